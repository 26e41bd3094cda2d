package suite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

const usageLayout = "20060102T150405Z"

// seen is a record in the push it came with.
type seenRecord struct {
	pushedRecord
	at       time.Time // of the push
	accepted bool
}

// begin reads when the metered time begins. It is false where that or its end cannot be read, or the end comes first.
func (r *pushedRecord) begin() (begin time.Time, ok bool) {
	begin, err1 := time.Parse(usageLayout, r.Begin)
	end, err2 := time.Parse(usageLayout, r.End)
	return begin, err1 == nil && err2 == nil && begin.Before(end)
}

// key is what makes a record that record. The older push has no metering_sn.
func (r *pushedRecord) key() string {
	if r.MeteringSN != "" {
		return r.MeteringSN
	}
	return r.InstanceID + " " + r.Begin + " " + r.End
}

// records are those of all pushes, with whether they were taken, in the order of their pushes.
func records(all []Exchange) []seenRecord {
	var found []seenRecord
	for _, x := range all {
		refused := rejectedOf(x)
		for _, r := range recordsOf(x) {
			found = append(found, seenRecord{r, x.Time, x.Status == 200 && !slices.Contains(refused, r.key())})
		}
	}
	return found
}

// rejectedOf are the keys of the records that the marketplace did not take.
func rejectedOf(x Exchange) []string {
	var answer marketplaceapi.UsageAnswer
	_ = json.Unmarshal(x.ResponseBody, &answer)
	var keys []string
	for _, r := range answer.Data.AbnormalUsageData {
		p := pushedRecord{InstanceID: r.InstanceID, MeteringSN: r.MeteringSN, Begin: r.BeginTime, End: r.EndTime}
		keys = append(keys, p.key())
	}
	return keys
}

func billingChecks() []Check {
	return []Check{
		{ID: "usage/accepted-records-are-not-pushed-again", Requirement: "USE-9", Title: "A record that was accepted is not pushed again", Charging: usageModes, After: true, Run: notPushedAgain},
		{ID: "usage/metered-times-do-not-overlap", Requirement: "USE-10", Title: "The metered times of one instance do not overlap", Charging: usageModes, After: true, Run: noOverlap},
		{
			ID: "usage/records-have-whole-values", Requirement: "USE-6", Title: "Every usage_value is above 0 and has at most 4 decimals", Charging: usageModes, After: true,
			Run: func(_ context.Context, c *Case) {
				for _, r := range records(c.pushes()) {
					value := fmt.Sprint(r.Value)
					if !usageNumber.MatchString(value) || strings.Trim(value, "0.") == "" {
						c.Errorf("usage record %q: expected a usage_value above 0 with at most 4 decimals, got %q", r.MeteringSN, value)
					}
				}
			},
		},
		{
			ID: "usage/no-usage-of-released-instances", Requirement: "USE-11", Title: "No record covers a time after the release of its instance", Charging: usageModes, After: true,
			Run: func(_ context.Context, c *Case) {
				const slack = 2 * time.Minute // for clocks that differ
				found := records(c.pushes())
				released := c.env.releasedAt()
				for _, r := range found {
					at, gone := released[r.InstanceID]
					if begin, ok := r.begin(); gone && ok && begin.After(at.Add(slack)) {
						c.Errorf("usage record %q: expected no usage after the release at %s, got some from %s on", r.MeteringSN, at.UTC().Format(usageLayout), r.Begin)
					}
				}
			},
		},
		{
			ID: "usage/no-usage-of-debug-instances", Requirement: "USE-12", Title: "No usage is pushed for what debug calls have made up", Charging: usageModes, After: true,
			Run: func(_ context.Context, c *Case) {
				invented := c.env.inventedIDs()
				told := map[string]bool{}
				for _, r := range records(c.pushes()) {
					if slices.Contains(invented, r.InstanceID) && !told[r.InstanceID] {
						told[r.InstanceID] = true
						c.Errorf("usage push: expected none for instance %q, which only debug calls know, got one", r.InstanceID)
					}
				}
			},
		},
		{
			ID: "usage/pushed-again-after-a-server-error", Requirement: "USE-13", Title: "A push that was answered with status 500 is made again", Charging: []string{OnDemand}, Waits: true,
			Run: func(ctx context.Context, c *Case) { c.pushedAgain(ctx, serverError, "status 500") },
		},
		{
			ID: "usage/pushed-again-after-a-passing-rejection", Requirement: "USE-14", Title: "A record that was refused with code 013 is pushed again", Charging: []string{OnDemand}, Waits: true,
			Run: func(ctx context.Context, c *Case) {
				c.pushedAgain(ctx, rejectionOfAll, "code "+recordIsAbnormal+" for the record")
			},
		},
	}
}

func notPushedAgain(_ context.Context, c *Case) {
	taken := map[string]int{}
	for _, r := range records(c.pushes()) {
		if taken[r.key()] > 0 {
			if taken[r.key()]++; taken[r.key()] == 2 {
				c.Errorf("usage record %q: expected it to be pushed until it is accepted, got it again after that", r.key())
			}
		}
		if r.accepted && taken[r.key()] == 0 {
			taken[r.key()] = 1
		}
	}
}

// noOverlap looks at accepted records only: the same time pushed again after a rejection is no second metering. Records of one instance
// may be about different units, and about different packages, which no record tells; such records have the very same times.
func noOverlap(_ context.Context, c *Case) {
	byInstance := map[string][]seenRecord{}
	var instances []string
	for _, r := range records(c.pushes()) {
		if _, ok := r.begin(); !ok || !r.accepted {
			continue
		}
		if byInstance[r.InstanceID] == nil {
			instances = append(instances, r.InstanceID)
		}
		byInstance[r.InstanceID] = append(byInstance[r.InstanceID], r)
	}
	slices.Sort(instances)
	for _, id := range instances {
		list := byInstance[id]
		slices.SortFunc(list, func(a, b seenRecord) int { return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End)) })
		for n := 1; n < len(list); n++ {
			one, two := list[n-1], list[n]
			if same := one.Begin == two.Begin && one.End == two.End; !same && two.Begin < one.End {
				c.Errorf("usage of instance %q: expected metered times side by side, got %s to %s and %s to %s", id, one.Begin, one.End, two.Begin, two.End)
			}
		}
	}
}

// pushedAgain keeps an on-demand instance open whose first push ends badly, and expects the same record again.
func (c *Case) pushedAgain(ctx context.Context, kind disturbance, answered string) {
	var i *Instance
	c.preparing(func() {
		i = c.New(ctx, c.Order(ctx, marketplaceapi.OrderNew, 1), 0)
		c.env.disturb(i.ID, kind, 1)
		c.AwaitReady(ctx, i)
	})
	about := func(x Exchange) bool {
		return (x.Operation == opPush || x.Operation == opPushOld) && slices.ContainsFunc(recordsOf(x), func(r pushedRecord) bool { return r.InstanceID == i.ID })
	}
	deadline := time.Now().Add(c.env.UsageWait)
	for wait := c.env.PollEvery; ; wait = min(2*wait, 5*time.Second) {
		pushes := c.env.observed(about)
		n := slices.IndexFunc(pushes, func(x Exchange) bool { return x.Fault != "" })
		if n >= 0 && again(pushes[n], pushes[n+1:], i.ID) {
			return
		}
		wait = min(wait, time.Until(deadline))
		if wait <= 0 {
			if n < 0 {
				c.Skipf("no usage was pushed for the instance within %v", c.env.UsageWait)
			}
			if c.env.UsageWait < c.env.UsageRetry {
				c.Skipf("the record was not pushed again within %v, which may be too short for it; wait for %v to have it judged", c.env.UsageWait, c.env.UsageRetry)
			}
			c.Errorf("usage push that was answered with %s: expected the same record again within %v, got none", answered, c.env.UsageWait)
			return
		}
		if !pause(ctx, wait) {
			panic(stopped{Error})
		}
		c.exchange(ctx, "queryInstance", c.plain(queryInstance(i.ID)))
	}
}

// again reports whether every record of a push about an instance came again in later ones.
func again(push Exchange, later []Exchange, instance string) bool {
	for _, r := range recordsOf(push) {
		came := slices.ContainsFunc(later, func(x Exchange) bool {
			return slices.ContainsFunc(recordsOf(x), func(l pushedRecord) bool { return l.key() == r.key() })
		})
		if r.InstanceID == instance && !came {
			return false
		}
	}
	return true
}
