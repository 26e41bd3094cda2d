// Command isv-echo is isv-minimal's application, without usage, inside an echo server: the handler of package provider is an ordinary
// http.Handler, so any router takes it.
package main

import (
	"cmp"
	"context"
	"log"
	"net/http"
	"os"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

type crm struct{ instances sync.Map } // a real one has a database

func (c *crm) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	line, err := call.OrderLine(ctx) // what was bought; an order that the marketplace does not know makes no instance
	if err != nil {
		return provider.Instance{}, err
	}
	id := call.SuggestedID() // the same on every repeat
	c.instances.LoadOrStore(id, line)
	return provider.Instance{ID: id}, nil
}

func (c *crm) QueryInstance(_ context.Context, call provider.QueryInstance) (infos []provider.InstanceInfo, _ error) {
	for _, id := range call.InstanceIDs() {
		if c.known(id) == nil {
			infos = append(infos, provider.InstanceInfo{InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://crm.example.com/" + id}})
		}
	}
	return infos, nil
}

func (c *crm) RefreshInstance(_ context.Context, call provider.RefreshInstance) error {
	return c.known(call.InstanceID)
}

func (c *crm) UpdateInstanceStatus(_ context.Context, call provider.UpdateInstanceStatus) error {
	return c.known(call.InstanceID)
}

func (c *crm) ReleaseInstance(_ context.Context, call provider.ReleaseInstance) error {
	c.instances.Delete(call.InstanceID)
	return nil
}

func (c *crm) known(id string) error {
	if _, ok := c.instances.Load(id); !ok {
		return provider.ErrInstanceNotFound
	}
	return nil
}

// server mounts production on echo. Nothing in front of it may read or change the body: its bytes are signed.
func server(production http.Handler) *echo.Echo {
	e := echo.New()
	e.GET("/healthz", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	e.Any("/saasproduce", echo.WrapHandler(production))
	e.Any("/saasproduce/*", echo.WrapHandler(production)) // kit calls have paths of their own
	return e
}

func main() {
	key := os.Getenv("ISVKIT_BASE_KEY")
	market, err := marketplace.New(marketplace.Config{
		URL: os.Getenv("ISVKIT_MARKET_URL"), Credentials: signature.Credentials{AK: os.Getenv("ISVKIT_AK"), SK: os.Getenv("ISVKIT_SK")},
	})
	if err != nil {
		log.Fatal("set ISVKIT_MARKET_URL, ISVKIT_BASE_KEY, ISVKIT_AK and ISVKIT_SK: ", err)
	}
	production, err := provider.NewHandler(&crm{}, provider.Config{BaseKeys: []string{key}, Market: market})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server(production).Start(cmp.Or(os.Getenv("ISV_LISTEN"), "127.0.0.1:9000")))
}
