// Package probe holds the rules by which the marketplace tries a product out: which debug cases a product needs before it may be on sale
// and with which parameters, when the saved ones are called again, and what follows for the product. It is pure.
//
// How often products are probed, how many days freeze them, and how many failed orders delist them is in the policy of the market on which
// their seller is registered: see [Of]. Everything more exact is ours, and said to be so where it stands.
package probe

import (
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/market"
)

// Rules are a market's rules about probes and failed orders.
type Rules struct {
	Probes          bool          // products are probed at all
	At              [2]time.Time  // the times of day, of any day
	FailingDays     int           // days in a row of failing probes that freeze a product
	DelistAfter     time.Duration // how long a product stays frozen before it is delisted; 0: for ever
	FailedOrders    bool          // failed orders delist a product
	MaxFailedOrders int           // how many may fail in a month; one more delists
}

// Of gives the rules of a policy. One that says nothing of probes, or of failed orders, has none.
func Of(p *market.Policy) Rules {
	var r Rules
	if p.Probes != nil {
		r.Probes, r.FailingDays, r.DelistAfter = true, p.Probes.FailingDays, time.Duration(p.Probes.FrozenDays)*24*time.Hour
		for i := range r.At {
			r.At[i], _ = time.Parse("15:04", string(p.Probes.At[i])) // the schema allows nothing else
		}
	}
	if p.FailedOrders != nil {
		r.FailedOrders, r.MaxFailedOrders = true, p.FailedOrders.MoreThan
	}
	return r
}

// beijing is where days and months begin and end.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// on is a time of day on that day and n days later.
func on(t, clock time.Time, n int) time.Time {
	year, month, day := t.In(beijing).Date()
	return time.Date(year, month, day+n, clock.Hour(), clock.Minute(), 0, 0, beijing)
}

// Next is when the next probe after t is due.
func (r Rules) Next(t time.Time) time.Time {
	for _, slot := range []time.Time{on(t, r.At[0], 0), on(t, r.At[1], 0)} {
		if slot.After(t) {
			return slot.UTC()
		}
	}
	return on(t, r.At[0], 1).UTC()
}

// afternoon tells whether t is the time of the second probe of its day, or later.
func (r Rules) afternoon(t time.Time) bool { return !t.Before(on(t, r.At[1], 0)) }

// Backwards tells whether the probe at t calls the cases in the opposite order. The afternoon's does: a case must not depend on the
// one before it, which a fixed order would hide. Ours.
func (r Rules) Backwards(t time.Time) bool { return r.afternoon(t) }

func dayOf(t time.Time) string { return t.In(beijing).Format(time.DateOnly) }

// Month gives the calendar month in Beijing that t is in: its first moment and that of the next.
func Month(t time.Time) (from, to time.Time) {
	year, month, _ := t.In(beijing).Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, beijing).UTC(), time.Date(year, month+1, 1, 0, 0, 0, 0, beijing).UTC()
}

// TooManyFailures tells whether so many failed orders in one month delist a product.
func (r Rules) TooManyFailures(n int) bool { return r.FailedOrders && n > r.MaxFailedOrders }

// Health is what a product's probes have shown so far. The zero value is that of a product that was never probed.
type Health struct {
	LastProbe   time.Time `json:"lastProbe,omitzero"`
	LastPassed  bool      `json:"lastPassed,omitempty"`
	GoodDay     string    `json:"goodDay,omitempty"`    // the last day in Beijing with a probe that passed
	BadDay      string    `json:"badDay,omitempty"`     // the last day that counts among FailedDays
	FailedDays  int       `json:"failedDays,omitempty"` // days in a row on which probes were made and none passed
	FrozenSince time.Time `json:"frozenSince,omitzero"` // zero unless the product is frozen
	OnSaleSince time.Time `json:"onSaleSince,omitzero"` // failed orders before do not count; zero: since ever
}

// Probed applies a probe and gives the product's status after it.
//
// A day counts once it had a probe and none that passed; days without any probe, because the sandbox did not run, neither count nor
// break the row. The product is frozen with the afternoon's probe of the last of these days, so that whole days have passed since the last
// good probe of the timetable. A probe that passes ends the row, and puts a frozen product on sale again. All of that is ours.
func (h *Health) Probed(r Rules, status catalogue.ProductStatus, passed bool, at time.Time) catalogue.ProductStatus {
	day := dayOf(at)
	h.LastProbe, h.LastPassed = at, passed
	if passed {
		h.GoodDay, h.BadDay, h.FailedDays = day, "", 0
		if status == catalogue.Frozen {
			return h.Set(catalogue.OnSale, at)
		}
		return status
	}
	if day != h.GoodDay && day != h.BadDay {
		h.BadDay = day
		h.FailedDays++
	}
	if status == catalogue.OnSale && r.Probes && h.FailedDays >= r.FailingDays && r.afternoon(at) {
		return h.Set(catalogue.Frozen, at)
	}
	return status
}

// Saved applies that a case was debugged and saved: the day is a good one, and one more bad probe of it does not count; a row of bad days before it goes on.
func (h *Health) Saved(at time.Time) { h.GoodDay = dayOf(at) }

// Set gives the product a status, by whatever it came about. One that is put on sale begins anew.
func (h *Health) Set(status catalogue.ProductStatus, at time.Time) catalogue.ProductStatus {
	h.FrozenSince = time.Time{}
	switch status {
	case catalogue.Frozen:
		h.FrozenSince = at
	case catalogue.OnSale:
		h.FailedDays, h.BadDay, h.OnSaleSince = 0, "", at
	}
	return status
}

// Lapsed tells whether a frozen product is to be delisted.
func (h *Health) Lapsed(r Rules, status catalogue.ProductStatus, now time.Time) bool {
	return status == catalogue.Frozen && r.DelistAfter > 0 && !h.FrozenSince.IsZero() && !now.Before(h.FrozenSince.Add(r.DelistAfter))
}

// Timer is when time demands something of a product next, after now; zero is never. Frozen products go on being probed, so that they
// can come back (ours); stopped and delisted ones are not.
func (h *Health) Timer(r Rules, status catalogue.ProductStatus, cases int, now time.Time) time.Time {
	var due time.Time
	if r.Probes && cases > 0 && (status == catalogue.OnSale || status == catalogue.Frozen) {
		due = r.Next(now)
	}
	if status == catalogue.Frozen && r.DelistAfter > 0 && !h.FrozenSince.IsZero() {
		if lapse := h.FrozenSince.Add(r.DelistAfter); due.IsZero() || lapse.Before(due) {
			due = lapse
		}
	}
	return due
}
