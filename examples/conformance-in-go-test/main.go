// Command conformance-in-go-test is a small ISV whose test is the whole suite of the judge: see main_test.go.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

// settings are all that differs between production and a test.
type settings struct {
	marketURL, baseKey, ak, sk string
}

// newService makes the handler of the production address.
func newService(s settings) (http.Handler, error) {
	market, err := marketplace.New(marketplace.Config{
		URL: s.marketURL, BaseKey: s.baseKey, Credentials: signature.Credentials{AK: s.ak, SK: s.sk},
	})
	if err != nil {
		return nil, err
	}
	return provider.NewHandler(&wiki{spaces: map[string]*space{}}, provider.Config{BaseKeys: []string{s.baseKey}, Market: market})
}

// wiki is the product: a space for each instance, in memory.
type wiki struct {
	mu     sync.Mutex
	spaces map[string]*space
}

type space struct {
	product  string
	expires  time.Time
	readOnly bool
}

// NewInstance opens a space for an order line.
func (w *wiki) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	line, err := call.OrderLine(ctx)
	if err != nil {
		return provider.Instance{}, err
	}
	id := call.SuggestedID()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spaces[id] == nil {
		w.spaces[id] = &space{product: line.ProductInfo[0].ProductID}
	}
	return provider.Instance{ID: id}, nil
}

// QueryInstance tells where the spaces are.
func (w *wiki) QueryInstance(_ context.Context, call provider.QueryInstance) (infos []provider.InstanceInfo, _ error) {
	for _, id := range call.InstanceIDs() {
		_ = w.change(id, func(*space) {
			infos = append(infos, provider.InstanceInfo{InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://wiki.example.com/" + id}})
		})
	}
	return infos, nil
}

// RefreshInstance moves the expiry.
func (w *wiki) RefreshInstance(_ context.Context, call provider.RefreshInstance) error {
	return w.change(call.InstanceID, func(s *space) { s.expires = call.Expiry() })
}

// UpdateInstanceStatus closes a space for writing, and opens it again.
func (w *wiki) UpdateInstanceStatus(_ context.Context, call provider.UpdateInstanceStatus) error {
	return w.change(call.InstanceID, func(s *space) { s.readOnly = call.Status == "FREEZE" })
}

// ReleaseInstance deletes a space.
func (w *wiki) ReleaseInstance(_ context.Context, call provider.ReleaseInstance) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.spaces, call.InstanceID)
	return nil
}

func (w *wiki) change(id string, do func(*space)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.spaces[id] == nil {
		return provider.ErrInstanceNotFound
	}
	do(w.spaces[id])
	return nil
}

func main() {
	service, err := newService(settings{os.Getenv("ISVKIT_MARKET_URL"), os.Getenv("ISVKIT_BASE_KEY"), os.Getenv("ISVKIT_AK"), os.Getenv("ISVKIT_SK")})
	if err != nil {
		log.Fatal("set ISVKIT_MARKET_URL, ISVKIT_BASE_KEY, ISVKIT_AK and ISVKIT_SK: ", err)
	}
	http.Handle("/saasproduce", service)
	log.Fatal((&http.Server{Addr: "127.0.0.1:9000", ReadTimeout: 10 * time.Second}).ListenAndServe())
}
