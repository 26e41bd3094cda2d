package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

// pushUsage pushes what on-demand instances used, in pieces of an hour, or of ISV_USAGE_EVERY.
func (c *crm) pushUsage(market *marketplace.Client) {
	every, err := time.ParseDuration(cmp.Or(os.Getenv("ISV_USAGE_EVERY"), "1h"))
	if err != nil || every < time.Second {
		log.Fatal("ISV_USAGE_EVERY: expected a time of at least 1s, such as 15m")
	}
	every = every.Truncate(time.Second)
	for range time.Tick(every) {
		c.pushOnce(context.Background(), market, every)
	}
}

func (c *crm) pushOnce(ctx context.Context, market *marketplace.Client, every time.Duration) {
	records := c.usage(every, time.Now())
	if len(records) == 0 {
		return
	}
	result, err := market.PushUsage(ctx, records)
	if err != nil {
		log.Printf("usage will be pushed again: %v", err)
		return
	}
	for _, r := range result.Rejected {
		log.Printf("usage record %s: %s %s", r.Record.MeteringSN, r.Code, r.Message)
	}
	for _, r := range records {
		_ = c.with(r.InstanceID, func(i *instance) { i.metered, i.used = i.metered.Add(every), i.used+int(every.Seconds()) })
	}
}

// usage is what each on-demand instance used in the next piece of time. Asked again before the marketplace took it, it gives the
// same records with the same metering_sn, so a push whose answer was lost is never billed twice.
func (c *crm) usage(every time.Duration, now time.Time) (records []marketplaceapi.UsageRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, i := range c.instances {
		end := i.metered.Add(every)
		if i.line.ChargingMode != marketplaceapi.ChargingOnDemand || i.frozen || end.After(now) || len(records) == marketplace.MaxRecords {
			continue
		}
		records = append(records, marketplaceapi.UsageRecord{
			InstanceID: id, MeteringSN: id + marketplace.FormatTime(i.metered), UsageValue: strconv.Itoa(int(every.Seconds())),
			BeginTime: marketplace.FormatTime(i.metered), EndTime: marketplace.FormatTime(end), RecordTime: marketplace.FormatTime(now),
		})
	}
	return records
}
