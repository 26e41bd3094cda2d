package main

import (
	"context"
	"log"
	"strconv"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

// pushUsage meters every on-demand instance, one unit for each second that it was open, and tells the marketplace.
func (c *crm) pushUsage(ctx context.Context) {
	records := c.meter(time.Now().UTC().Truncate(time.Second))
	for len(records) > 0 {
		batch := records[:min(len(records), marketplace.MaxRecords)]
		records = records[len(batch):]
		result, err := c.market.PushUsage(ctx, batch)
		if err != nil {
			log.Printf("isv-minimal: usage is pushed again next time: %v", err)
			continue
		}
		failed := make(map[string]bool)
		for _, r := range result.Rejected {
			log.Printf("isv-minimal: usage record %s: %s %s", r.Record.MeteringSn, r.Code, r.Message)
			failed[r.Record.MeteringSn] = !r.Repeat() // a repeat is one that was taken earlier
		}
		c.settle(batch, failed)
	}
}

// meter returns one record per instance: the one that is not taken yet, or else a new one up to now. A record never changes
// once it is made, so that it can be pushed again safely: its metering_sn stands for exactly this time and this value.
func (c *crm) meter(now time.Time) (records []marketplaceapi.UsageRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, inst := range c.instances {
		if inst.charging != marketplaceapi.ChargingOnDemand || inst.metered.IsZero() {
			continue
		}
		if inst.pending == nil {
			if inst.frozen || !now.After(inst.metered) {
				continue
			}
			inst.pending = &marketplaceapi.UsageRecord{
				InstanceID: id,
				BeginTime:  marketplace.FormatTime(inst.metered),
				EndTime:    marketplace.FormatTime(now),
				RecordTime: marketplace.FormatTime(now),
				UsageValue: strconv.Itoa(int(now.Sub(inst.metered).Seconds())),
				MeteringSn: id + "-" + marketplace.FormatTime(inst.metered),
			}
			inst.metered = now
		}
		records = append(records, *inst.pending)
	}
	return records
}

// settle notes what was taken.
func (c *crm) settle(batch []marketplaceapi.UsageRecord, failed map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range batch {
		inst := c.instances[r.InstanceID]
		if inst == nil || inst.pending == nil || failed[r.MeteringSn] {
			continue // released meanwhile, or to be pushed again
		}
		value, _ := strconv.Atoi(r.UsageValue)
		inst.used += value
		inst.pending = nil
	}
}
