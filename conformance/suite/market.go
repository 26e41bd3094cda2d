package suite

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/contract"
)

var (
	usageModes      = []string{OnDemand, Package}
	usageNumber     = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]{1,4})?$`)
	statisticalTime = regexp.MustCompile(`^[0-9]{14}([0-9]{3})?$`)
)

func usageChecks() []Check {
	return slices.Concat(
		perMode(usageModes, "usage/%s-instance-shows-its-usage", "USE-1", "queryInstance of an %s instance answers usageInfo", func(ctx context.Context, c *Case) {
			i := c.Open(ctx)
			if len(usageOf(i)) == 0 {
				e, _ := i.Ready.Entry(i.ID)
				c.Errorf("queryInstance: expected usageInfo with at least one entry, got %s", orNone(e.Fields["usageInfo"]))
			}
		}),
		[]Check{
			{
				ID: "usage/values-are-numbers", Requirement: "USE-2", Title: "Every usageInfo has a usageValue that fits, and a statisticalTime", Charging: usageModes,
				Run: func(ctx context.Context, c *Case) {
					for n, u := range c.shownUsage(ctx) {
						if v := string(u["usageValue"]); !usageNumber.MatchString(v) || len(strings.ReplaceAll(v, ".", "")) > 12 {
							c.Errorf("usageInfo[%d].usageValue: expected a number of at most 12 digits, 4 of them decimals, got %s", n, orNone(u["usageValue"]))
						}
						if u["statisticalTime"] == nil {
							c.Errorf("usageInfo[%d].statisticalTime: expected a time, got none", n)
						}
					}
				},
			},
			{
				ID: "usage/statistical-time-is-well-formed", Requirement: "USE-3", Title: "statisticalTime has the form yyyyMMddHHmmssSSS", Charging: usageModes,
				Run: func(ctx context.Context, c *Case) {
					for n, u := range c.shownUsage(ctx) {
						if u["statisticalTime"] == nil {
							continue
						}
						if _, ok := readStatisticalTime(u["statisticalTime"]); !ok {
							c.Errorf("usageInfo[%d].statisticalTime: expected text of the form yyyyMMddHHmmssSSS, got %s", n, shorten(u["statisticalTime"]))
						}
					}
				},
			},
			{
				ID: "usage/statistical-time-is-utc", Requirement: "USE-4", Title: "statisticalTime is not in the future", Charging: usageModes,
				Run: func(ctx context.Context, c *Case) {
					const slack = 10 * time.Minute // for clocks that differ; a wrong time zone is off by hours
					looked := false
					for n, u := range c.shownUsage(ctx) {
						at, ok := readStatisticalTime(u["statisticalTime"])
						looked = looked || ok
						if ok && time.Until(at) > slack {
							c.Errorf("usageInfo[%d].statisticalTime: expected a time in UTC that is not in the future, got %s at %s UTC", n, shorten(u["statisticalTime"]),
								time.Now().UTC().Format("20060102150405"))
						}
					}
					if !looked {
						c.Skipf("no statisticalTime was readable")
					}
				},
			},
			{
				ID: "usage/pushes-are-signed", Requirement: "USE-5", Title: "Usage pushes of the run are signed rightly", Charging: usageModes, After: true,
				Run: func(_ context.Context, c *Case) {
					for _, x := range c.pushes() {
						if refusedSignature(x) {
							c.Errorf("%s: expected a right signature, got one that was refused with %s: %s", x.Operation, x.Code, x.Detail)
						}
					}
				},
			},
			{ID: "usage/records-are-accepted", Requirement: "USE-6", Title: "Every pushed record is as the contract says and is accepted", Charging: usageModes, After: true, Run: recordsAccepted},
			{ID: "usage/records-have-ids-of-their-own", Requirement: "USE-7", Title: "No two records share a metering_sn", Charging: usageModes, After: true, Run: recordsUnique},
			{ID: "usage/records-are-timely", Requirement: "USE-8", Title: "Records cover a time that is over and not long gone", Charging: usageModes, After: true, Run: recordsTimely},
		},
	)
}

// usageOf reads usageInfo from the answer that found the instance ready.
func usageOf(i *Instance) []map[string]json.RawMessage {
	e, _ := i.Ready.Entry(i.ID)
	var usage []map[string]json.RawMessage
	_ = json.Unmarshal(e.Fields["usageInfo"], &usage)
	return usage
}

func (c *Case) shownUsage(ctx context.Context) []map[string]json.RawMessage {
	usage := usageOf(c.Open(ctx))
	if len(usage) == 0 {
		c.Skipf("queryInstance answered no usageInfo")
	}
	return usage
}

func readStatisticalTime(raw json.RawMessage) (time.Time, bool) {
	s := text(raw)
	if !statisticalTime.MatchString(s) {
		return time.Time{}, false
	}
	at, err := time.Parse("20060102150405", s[:14])
	return at, err == nil
}

// pushes are the usage pushes seen so far; the check is skipped when there are none.
func (c *Case) pushes() []Exchange {
	found := c.env.observed(func(x Exchange) bool { return x.Operation == opPush || x.Operation == opPushOld })
	found = undisturbed(found)
	if len(found) == 0 {
		c.Skipf("no usage was pushed during the run; --usage-wait keeps an instance open and waits for a push, and the ISV should meter in short intervals for it")
	}
	c.asked = refusedFirst(found)
	return found
}

// refusedFirst gives the requests that were refused before the others.
func refusedFirst(all []Exchange) []Exchange {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b Exchange) int {
		return cmp.Compare(boolean(a.Code == "MKT.0000"), boolean(b.Code == "MKT.0000"))
	})
	return sorted
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

func refusedSignature(x Exchange) bool {
	return strings.HasPrefix(x.Code, "APIG") || x.Code == "MKT.0102" || x.Code == "MKT.0154"
}

// pushedRecord is a record as it came.
type pushedRecord struct {
	InstanceID string `json:"instance_id"`
	Begin      string `json:"begin_time"`
	End        string `json:"end_time"`
	Value      any    `json:"usage_value"`
	MeteringSN string `json:"metering_sn"`
}

func recordsOf(x Exchange) []pushedRecord {
	var push struct {
		Records []pushedRecord `json:"usage_records"`
	}
	_ = json.Unmarshal(x.RequestBody, &push)
	return push.Records
}

func recordsAccepted(ctx context.Context, c *Case) {
	for n, x := range c.pushes() {
		if refusedSignature(x) {
			continue
		}
		schema, err := contract.Marketplace().Request(x.Method, x.Path)
		if err != nil {
			c.abort("%v", err)
		}
		for _, v := range schema.Violations(x.RequestBody) {
			c.Errorf("usage push %d: expected a body as the contract says, got %s", n+1, v)
		}
		if x.Status != 200 {
			c.Errorf("usage push %d: expected to be taken, got refused with %s: %s", n+1, x.Code, x.Detail)
		}
	}
	records, err := c.env.Market.UsageRecords(ctx, 10000)
	if err != nil {
		c.abort("read the usage records of the marketplace: %v", err)
	}
	for _, r := range records {
		if !r.Accepted && r.ErrorCode != duplicateSN {
			c.Errorf("usage record %q of instance %q: expected to be accepted, got refused with %s: %s", r.MeteringSN, r.InstanceID, r.ErrorCode, r.ErrorMsg)
		}
	}
}

// duplicateSN is the record-level code of a metering_sn that was used before.
const duplicateSN = "005"

func recordsUnique(_ context.Context, c *Case) {
	first := map[string]pushedRecord{}
	looked := 0
	for _, x := range c.pushes() {
		if x.Operation != opPush {
			continue
		}
		inPush := map[string]bool{}
		for _, r := range recordsOf(x) {
			looked++
			if r.MeteringSN == "" {
				continue // not as the contract says, which is judged already
			}
			known, again := first[r.MeteringSN]
			switch {
			case inPush[r.MeteringSN]:
				c.Errorf("metering_sn %q: expected it once in a push, got it twice", r.MeteringSN)
			case again && known != r: // the same record sent again is a retry
				c.Errorf("metering_sn %q: expected one record, got another one (%s to %s, then %s to %s)", r.MeteringSN, known.Begin, known.End, r.Begin, r.End)
			}
			inPush[r.MeteringSN] = true
			if !again {
				first[r.MeteringSN] = r
			}
		}
	}
	if looked == 0 {
		c.Skipf("no record with a metering_sn was pushed")
	}
}

func recordsTimely(_ context.Context, c *Case) {
	const layout = "20060102T150405Z"
	const slack = 2 * time.Minute // for clocks that differ
	for _, x := range c.pushes() {
		for _, r := range recordsOf(x) {
			begin, err1 := time.Parse(layout, r.Begin)
			end, err2 := time.Parse(layout, r.End)
			if err1 != nil || err2 != nil {
				continue // not as the contract says, which is judged already
			}
			what := fmt.Sprintf("usage record %q", r.MeteringSN)
			switch {
			case !begin.Before(end):
				c.Errorf("%s: expected begin_time before end_time, got %s and %s", what, r.Begin, r.End)
			case end.After(x.Time.Add(slack)):
				c.Errorf("%s: expected end_time in the past, got %s in a push at %s", what, r.End, x.Time.UTC().Format(layout))
			case x.Time.Sub(end) > 2*time.Hour+slack:
				c.Errorf("%s: expected a push within 2 hours of end_time, got %s in a push at %s", what, r.End, x.Time.UTC().Format(layout))
			}
		}
	}
}

func orderQueryChecks() []Check {
	queries := func(c *Case) []Exchange {
		found := undisturbed(c.env.observed(func(x Exchange) bool { return x.Operation == opQuery }))
		if len(found) == 0 {
			c.Skipf("the ISV did not ask for any order; is it pointed at the marketplace of this run, %s?", c.env.MarketURL)
		}
		c.asked = refusedFirst(found)
		return found
	}
	return []Check{
		{
			ID: "order-query/is-signed", Requirement: "ORD-1", Title: "Order queries of the run are signed rightly with AK/SK", After: true,
			Run: func(_ context.Context, c *Case) {
				seen := map[string]bool{}
				for _, x := range queries(c) {
					message := fmt.Sprintf("order query: expected a right AK/SK signature, got one that was refused with %s: %s", x.Code, x.Detail)
					if refusedSignature(x) && !seen[message] {
						seen[message] = true
						c.Errorf("%s", message)
					}
				}
			},
		},
		{
			ID: "order-query/names-the-order", Requirement: "ORD-2", Title: "Order queries name an order, and a line that belongs to it", After: true,
			Run: func(_ context.Context, c *Case) {
				opened := c.env.openedOrders()
				looked := 0
				for _, x := range queries(c) {
					if refusedSignature(x) {
						continue
					}
					q, err := url.ParseQuery(x.Query)
					if err != nil || !q.Has("orderId") {
						looked++
						c.Errorf("order query: expected the parameter orderId, got %q", x.Query)
						continue
					}
					if !slices.Contains(opened, q.Get("orderId")) {
						continue // an order of a check that sends it wrongly on purpose
					}
					looked++
					if x.Status != 200 {
						c.Errorf("order query for %s: expected an answer, got refused with %s: %s", q.Get("orderId"), x.Code, x.Detail)
					}
				}
				if looked == 0 {
					c.Skipf("no order query got as far as naming an order")
				}
			},
		},
		{
			ID: "order-query/orders-are-asked-for", Requirement: "ORD-3", Title: "Orders of accepted newInstance calls are asked for", After: true,
			Run: func(_ context.Context, c *Case) {
				opened := c.env.openedOrders()
				if len(opened) == 0 {
					c.Skipf("no newInstance was accepted")
				}
				missing := 0
				for _, id := range slices.Compact(opened) {
					if len(c.env.observed(func(x Exchange) bool { return x.Operation == opQuery && x.OrderID == id })) == 0 {
						missing++
					}
				}
				if missing > 0 {
					c.Errorf("order queries: expected one for every order, got none for %d of %d", missing, len(opened))
				}
			},
		},
	}
}
