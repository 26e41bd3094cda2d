package main

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
)

// crm is the product that is sold. A real one keeps its instances in a database.
type crm struct {
	market    *marketplace.Client
	mu        sync.Mutex
	instances map[string]*instance
}

type instance struct {
	charging marketplaceapi.ChargingMode
	seats    int
	expires  time.Time // zero: never
	frozen   bool
	metered  time.Time                   // usage is recorded up to here; zero: not seen open by the marketplace yet
	used     int                         // seconds, taken by the marketplace so far
	pending  *marketplaceapi.UsageRecord // made, and not yet known to be taken: pushed again as it is
}

func (c *crm) NewInstance(ctx context.Context, call provider.NewInstance) (provider.Instance, error) {
	line, err := call.OrderLine(ctx) // what was bought is not in the call, the marketplace has to be asked
	if err != nil {
		return provider.Instance{}, err // becomes 000005, the detail stays in the log
	}
	inst := &instance{charging: line.ChargingMode, seats: line.ProductInfo[0].LinearValue}
	inst.expires, _ = marketplace.ParseOrderTime(line.ExpireTime) // only period orders have one
	id := call.SuggestedID()                                      // the same on every repeat
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.instances[id] == nil {
		c.instances[id] = inst
	}
	return provider.Instance{ID: id}, nil
}

func (c *crm) QueryInstance(_ context.Context, call provider.QueryInstance) ([]provider.InstanceInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var infos []provider.InstanceInfo
	for _, id := range call.InstanceIDs() {
		inst := c.instances[id]
		if inst == nil {
			continue // the others can still be answered
		}
		info := provider.InstanceInfo{InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://crm.example.com/" + id}}
		if inst.charging == marketplaceapi.ChargingOnDemand || inst.charging == marketplaceapi.ChargingPackage {
			if inst.metered.IsZero() { // open from the next full second on, so never before the marketplace knows
				inst.metered = time.Now().UTC().Truncate(time.Second).Add(time.Second)
			}
			info.UsageInfo = []provider.UsageInfo{{
				UsageValue:      json.Number(strconv.Itoa(inst.used)),
				StatisticalTime: provider.FormatStatisticalTime(time.Now()),
			}}
		}
		infos = append(infos, info)
	}
	if len(infos) == 0 {
		return nil, provider.ErrInstanceNotFound
	}
	return infos, nil
}

func (c *crm) RefreshInstance(_ context.Context, call provider.RefreshInstance) error {
	return c.with(call.InstanceID, func(inst *instance) { inst.expires = call.Expiry() }) // set, not add: repeats change nothing
}

func (c *crm) UpdateInstanceStatus(_ context.Context, call provider.UpdateInstanceStatus) error {
	return c.with(call.InstanceID, func(inst *instance) {
		freeze := call.Status == providerapi.StatusFreeze
		if inst.frozen && !freeze && !inst.metered.IsZero() {
			inst.metered = time.Now().UTC().Truncate(time.Second).Add(time.Second) // what was frozen costs nothing
		}
		inst.frozen = freeze
	})
}

func (c *crm) ReleaseInstance(_ context.Context, call provider.ReleaseInstance) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.instances, call.InstanceID)
	return nil // also when it is gone already
}

func (c *crm) UpgradeInstance(ctx context.Context, call provider.UpgradeInstance) error {
	if err := c.with(call.InstanceID, func(*instance) {}); err != nil {
		return err
	}
	line, err := call.OrderLine(ctx)
	if err != nil {
		return err
	}
	return c.with(call.InstanceID, func(inst *instance) { inst.seats = line.ProductInfo[0].LinearValue })
}

// with changes an instance that exists.
func (c *crm) with(id string, change func(*instance)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	inst := c.instances[id]
	if inst == nil {
		return provider.ErrInstanceNotFound
	}
	change(inst)
	return nil
}
