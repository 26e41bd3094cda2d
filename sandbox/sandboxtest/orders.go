package sandboxtest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

// The statuses of an instance.
const (
	Creating = sandboxapi.InstanceCreating // newInstance is not answered yet
	Opening  = sandboxapi.InstanceOpening  // the ISV has it, and is asked until it is ready
	Ready    = sandboxapi.InstanceReady    // in use
	Frozen   = sandboxapi.InstanceFrozen   // expired or in violation; the data is kept
	Released = sandboxapi.InstanceReleased // deleted
	Failed   = sandboxapi.InstanceFailed   // never came into being; the order was refunded
)

// The statuses of an order.
const (
	OrderProcessing = sandboxapi.OrderProcessing
	OrderCompleted  = sandboxapi.OrderCompleted
	OrderFailed     = sandboxapi.OrderFailed
)

type (
	// Call is a call as it was decided, with how it stands.
	Call = sandboxapi.Call
	// Attempt is one exchange with the ISV.
	Attempt = sandboxapi.Attempt
	// UsageRecord is a usage record that the ISV pushed, and whether it was accepted.
	UsageRecord = sandboxapi.UsageRecord
	// State is what the marketplace knows of an instance.
	State = sandboxapi.Instance
	// Fault says what goes wrong, and when; sandbox/FAULTS.md tells what each kind does and teaches.
	Fault = sandboxapi.FaultRule
)

// Purchase says what is bought.
type Purchase func(*sandboxapi.Purchase)

// SKU is any SKU that the marketplace sells. See [Market.Control] for listing others.
func SKU(code string) Purchase { return func(p *sandboxapi.Purchase) { p.SKUCode = code } }

// Period buys the demo product that is charged by period, for a number of units: "year", "month" or "day". Together with [SKU] it is
// the period of that SKU.
func Period(n int, unit string) Purchase {
	return func(p *sandboxapi.Purchase) {
		if p.SKUCode == "" {
			p.SKUCode = "demo-period"
		}
		p.Period = period(n, unit)
	}
}

// period writes a period as the control API reads it. What it cannot read is refused there, by name.
func period(n int, unit string) string {
	switch one := strings.TrimSuffix(unit, "s"); one {
	case "year", "month", "day":
		unit = one[:1]
	}
	return fmt.Sprint(n) + unit
}

// Trial makes it a trial of a number of days. Without [SKU] it is one of the demo product that is charged by period.
func Trial(days int) Purchase {
	return func(p *sandboxapi.Purchase) {
		Period(days, "day")(p)
		p.Trial = true
	}
}

// OneTime buys the demo product that is paid once.
func OneTime() Purchase { return SKU("demo-one-time") }

// OnDemand buys the demo product that is charged by usage.
func OnDemand() Purchase { return SKU("demo-on-demand") }

// Package buys the demo product that is a package of usage.
func Package() Purchase { return SKU("demo-package") }

// Quantity is how much of the linear attribute is bought, such as the number of seats. Default: 1.
func Quantity(n int) Purchase { return func(p *sandboxapi.Purchase) { p.Quantity = n } }

// Param is something that the buyer enters while ordering.
func Param(name, value string) Purchase {
	return func(p *sandboxapi.Purchase) {
		if p.ExtendParams == nil {
			p.ExtendParams = map[string]string{}
		}
		p.ExtendParams[name] = value
	}
}

// Line is one line of an order of several: one SKU with what belongs to it. Use it as often as there are lines, and nothing else beside it.
func Line(what ...Purchase) Purchase {
	return func(p *sandboxapi.Purchase) {
		one := sandboxapi.Purchase{}
		for _, w := range what {
			w(&one)
		}
		p.Lines = append(p.Lines, sandboxapi.PurchaseLine{SKUCode: one.SKUCode, Period: one.Period, Quantity: one.Quantity, ExtendParams: one.ExtendParams})
	}
}

// Order is an order that was placed and paid.
type Order struct {
	// ID is the order's id.
	ID string

	market *Market
	lines  []string
}

// Buy has the buyer order and pay. Without a purchase it is a year of the demo product. When it returns, the ISV was called.
func (m *Market) Buy(t testing.TB, what ...Purchase) *Order {
	t.Helper()
	p := sandboxapi.Purchase{}
	for _, w := range what {
		w(&p)
	}
	if p.SKUCode == "" && len(p.Lines) == 0 {
		Period(1, "year")(&p)
	}
	resp, err := m.control.PlaceOrder(t.Context(), p)
	placed := read[sandboxapi.OrderPlaced](t, m, "", resp, err)
	m.Settle(t)
	o := &Order{ID: placed.Order.OrderID, market: m, lines: []string{placed.Order.OrderLineID}}
	if len(placed.Instances) > 0 {
		o.lines = nil
	}
	for _, i := range placed.Instances {
		o.lines = append(o.lines, i.OrderLineID)
	}
	return o
}

// Instance is the order's first instance, whatever its status.
func (o *Order) Instance() *Instance { return &Instance{Line: o.lines[0], market: o.market} }

// Instances are all instances of the order: one for each line, and of a SKU with several billing items one for each of those.
func (o *Order) Instances() []*Instance {
	all := make([]*Instance, len(o.lines))
	for i, line := range o.lines {
		all[i] = &Instance{Line: line, market: o.market}
	}
	return all
}

// Accept has the buyer confirm that everything is as agreed, for products that are opened only then.
func (o *Order) Accept(t testing.TB) *Order {
	t.Helper()
	resp, err := o.market.control.AcceptOrder(t.Context(), o.ID)
	_ = read[sandboxapi.OrderPlaced](t, o.market, o.lines[0], resp, err)
	o.market.Settle(t)
	return o
}

// Ready is the order's first instance, and ends the test unless it is ready. An ISV that opens instances later is asked
// by the marketplace after a minute; move the clock first.
func (o *Order) Ready(t testing.TB) *Instance {
	t.Helper()
	i := o.Instance()
	i.Is(t, Ready)
	return i
}

// Is ends the test unless the order has this status.
func (o *Order) Is(t testing.TB, status sandboxapi.OrderStatus) {
	t.Helper()
	if got := o.status(t); got != status {
		t.Fatalf("order %s: expected %s, got %s%s", o.ID, status, got, o.market.journal(t, o.lines[0]))
	}
}

func (o *Order) status(t testing.TB) sandboxapi.OrderStatus {
	t.Helper()
	resp, err := o.market.control.GetOrder(t.Context(), o.ID)
	return read[sandboxapi.OrderDetails](t, o.market, o.lines[0], resp, err).Order.Status
}

// Instance is something that the ISV opened, or is to open, for a buyer.
type Instance struct {
	// Line is the order line that created it, its name at the marketplace. See [Instance.State] for the ISV's id.
	Line string

	market *Market
}

// State is what the marketplace knows of the instance.
func (i *Instance) State(t testing.TB) State {
	t.Helper()
	resp, err := i.market.control.GetInstance(t.Context(), i.Line, nil)
	return read[sandboxapi.Instance](t, i.market, i.Line, resp, err)
}

// ID is the id that the ISV gave the instance.
func (i *Instance) ID(t testing.TB) string {
	t.Helper()
	id := i.State(t).InstanceID
	if id == "" {
		t.Fatalf("instance of order line %s: the ISV has given it no id%s", i.Line, i.market.journal(t, i.Line))
	}
	return id
}

// Is ends the test unless the instance has this status and no call about it is under way or to be tried again.
func (i *Instance) Is(t testing.TB, status sandboxapi.InstanceStatus) {
	t.Helper()
	switch s := i.State(t); {
	case s.Status != status:
		t.Fatalf("instance of order line %s: expected %s, got %s%s", i.Line, status, s.Status, i.market.journal(t, i.Line))
	case s.CallsPending > 0 && status != Creating && status != Opening:
		t.Fatalf("instance of order line %s is %s, but %d calls about it are still to be tried again%s", i.Line, status, s.CallsPending, i.market.journal(t, i.Line))
	}
}

// Calls are the calls about the instance, in the order in which they were decided.
func (m *Market) Calls(t testing.TB, i *Instance) []Call {
	t.Helper()
	resp, err := m.control.ListCalls(t.Context(), &sandboxapi.ListCallsParams{OrderLineID: i.Line, Limit: 1000})
	list := read[sandboxapi.CallList](t, m, i.Line, resp, err)
	slices.Reverse(list.Calls)
	return list.Calls
}

// Attempts are the exchanges about the instance, the journal, oldest first.
func (m *Market) Attempts(t testing.TB, i *Instance) []Attempt {
	t.Helper()
	resp, err := m.control.ListAttempts(t.Context(), &sandboxapi.ListAttemptsParams{OrderLineID: i.Line, Limit: 1000})
	list := read[sandboxapi.AttemptList](t, m, i.Line, resp, err)
	slices.Reverse(list.Attempts)
	return list.Attempts
}

// Usage is what the ISV pushed, oldest first, whether it was accepted or not.
func (m *Market) Usage(t testing.TB) []UsageRecord {
	t.Helper()
	resp, err := m.control.ListUsageRecords(t.Context(), &sandboxapi.ListUsageRecordsParams{Limit: 1000})
	list := read[sandboxapi.UsageRecordList](t, m, "", resp, err)
	slices.Reverse(list.UsageRecords)
	return list.UsageRecords
}

// Renew has the buyer renew by a number of units: "year", "month" or "day".
func (i *Instance) Renew(t testing.TB, n int, unit string) *Order {
	t.Helper()
	resp, err := i.market.control.RenewInstance(t.Context(), i.Line, sandboxapi.Renewal{Period: period(n, unit)})
	return i.ordered(t, resp, err)
}

// Upgrade has the buyer order another SKU or [Quantity]; what is not said stays as it is.
func (i *Instance) Upgrade(t testing.TB, what ...Purchase) *Order {
	t.Helper()
	p := sandboxapi.Purchase{}
	for _, w := range what {
		w(&p)
	}
	resp, err := i.market.control.UpgradeInstance(t.Context(), i.Line, sandboxapi.Upgrade{SKUCode: p.SKUCode, Quantity: p.Quantity})
	return i.ordered(t, resp, err)
}

// Formal has the buyer make a trial formal, for a number of units: "year", "month" or "day".
func (i *Instance) Formal(t testing.TB, n int, unit string) *Order {
	t.Helper()
	resp, err := i.market.control.ConvertTrial(t.Context(), i.Line, sandboxapi.Conversion{Period: period(n, unit)})
	return i.ordered(t, resp, err)
}

// Release has the buyer unsubscribe.
func (i *Instance) Release(t testing.TB) *Order {
	t.Helper()
	resp, err := i.market.control.ReleaseInstance(t.Context(), i.Line)
	return i.ordered(t, resp, err)
}

// Freeze has the marketplace freeze the instance because of a violation.
func (i *Instance) Freeze(t testing.TB) {
	t.Helper()
	resp, err := i.market.control.FreezeInstance(t.Context(), i.Line)
	_ = read[sandboxapi.Instance](t, i.market, i.Line, resp, err)
	i.market.Settle(t)
}

// Unfreeze says that the violation is settled.
func (i *Instance) Unfreeze(t testing.TB) {
	t.Helper()
	resp, err := i.market.control.UnfreezeInstance(t.Context(), i.Line)
	_ = read[sandboxapi.Instance](t, i.market, i.Line, resp, err)
	i.market.Settle(t)
}

func (i *Instance) ordered(t testing.TB, resp *http.Response, err error) *Order {
	t.Helper()
	placed := read[sandboxapi.OrderPlaced](t, i.market, i.Line, resp, err)
	i.market.Settle(t)
	return &Order{ID: placed.Order.OrderID, market: i.market, lines: []string{i.Line}}
}

// Fault switches faults on. One of a kind that is on already begins anew.
func (m *Market) Fault(t testing.TB, faults ...Fault) {
	t.Helper()
	for _, f := range faults {
		resp, err := m.control.PutFault(t.Context(), string(f.Kind), f)
		_ = read[sandboxapi.Fault](t, m, "", resp, err)
	}
}

// NoFaults switches all faults off.
func (m *Market) NoFaults(t testing.TB) {
	t.Helper()
	resp, err := m.control.DeleteFaults(t.Context())
	if err != nil {
		t.Fatalf("sandboxtest: %s", err)
	}
	_ = resp.Body.Close()
}

// Until moves the clock to a time, which must not be over.
func (m *Market) Until(t testing.TB, at time.Time) {
	t.Helper()
	d := at.Sub(m.Now())
	if d <= 0 {
		t.Fatalf("sandboxtest: the clock shows %s already, past %s", m.Now(), at)
	}
	m.Advance(t, d)
}
