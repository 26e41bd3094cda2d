// Command isv-minimal is the smallest right ISV: a CRM in memory, sold by period, once, or by the second of use. This file is
// all that an ISV needs; usage.go is for those that also sell by usage.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

type crm struct { // a real one has a database in place of the map
	mu        sync.Mutex
	instances map[string]*instance
}

type instance struct {
	line    *marketplaceapi.OrderLine // what was bought
	expires time.Time
	frozen  bool
	metered time.Time // usage is pushed up to here
	used    int       // seconds
}

func (c *crm) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	line, err := call.OrderLine(ctx) // the call does not tell what was bought, so the marketplace is asked
	if err != nil {
		return provider.Instance{}, err // answered 000005, to be called again; the log gets the reason
	}
	id := call.SuggestedID() // the same on every repeat
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.instances[id] == nil {
		c.instances[id] = &instance{line: line, metered: time.Now().UTC().Truncate(time.Second)}
	}
	return provider.Instance{ID: id}, nil
}

func (c *crm) QueryInstance(_ context.Context, call provider.QueryInstance) (infos []provider.InstanceInfo, _ error) {
	for _, id := range call.InstanceIDs() {
		_ = c.with(id, func(i *instance) { // an unknown one is left out; none at all is answered 000003
			infos = append(infos, provider.InstanceInfo{
				InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://crm.example.com/" + id},
				UsageInfo: []provider.UsageInfo{{
					UsageValue: json.Number(strconv.Itoa(i.used)), StatisticalTime: provider.FormatStatisticalTime(i.metered),
				}},
			})
		})
	}
	return infos, nil
}

func (c *crm) RefreshInstance(_ context.Context, call provider.RefreshInstance) error {
	return c.with(call.InstanceID, func(i *instance) { i.expires = call.Expiry() }) // set, not added: a repeat changes nothing
}

func (c *crm) UpdateInstanceStatus(_ context.Context, call provider.UpdateInstanceStatus) error {
	return c.with(call.InstanceID, func(i *instance) {
		i.frozen = call.Status == providerapi.StatusFreeze
		i.metered = time.Now().UTC().Truncate(time.Second) // what was frozen is not billed
	})
}

func (c *crm) ReleaseInstance(_ context.Context, call provider.ReleaseInstance) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.instances, call.InstanceID) // also fine when it is gone already
	return nil
}

func (c *crm) with(id string, do func(*instance)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.instances[id] == nil {
		return provider.ErrInstanceNotFound // answered 000003
	}
	do(c.instances[id])
	return nil
}

func main() {
	key, listen := os.Getenv("ISVKIT_BASE_KEY"), cmp.Or(os.Getenv("ISV_LISTEN"), "127.0.0.1:9000")
	market, err := marketplace.New(marketplace.Config{
		URL: os.Getenv("ISVKIT_MARKET_URL"), BaseKey: key,
		Credentials: signature.Credentials{AK: os.Getenv("ISVKIT_AK"), SK: os.Getenv("ISVKIT_SK")},
	})
	if err != nil {
		log.Fatal("set ISVKIT_MARKET_URL, ISVKIT_BASE_KEY, ISVKIT_AK and ISVKIT_SK: ", err)
	}
	app := &crm{instances: map[string]*instance{}}
	handler, err := provider.NewHandler(app, provider.Config{BaseKeys: []string{key}, Market: market})
	if err != nil {
		log.Fatal(err)
	}
	go app.pushUsage(market)
	http.Handle("/saasproduce", handler)
	log.Printf("isv-minimal: production address http://%s/saasproduce", listen)
	log.Fatal((&http.Server{Addr: listen, ReadTimeout: 10 * time.Second}).ListenAndServe())
}
