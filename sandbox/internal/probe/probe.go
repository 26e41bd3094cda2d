// Package probe holds the rules by which the marketplace tries a product out: which debug cases a product needs before it may be on sale
// and with which parameters, when the saved ones are called again, and what follows for the product. It is pure.
//
// Published is this: products on sale are probed each morning and afternoon with the saved cases; after five days of failing probes in
// a row trading is frozen and the product hidden, later it is delisted; so it is after more than five orders of a month failed. Everything
// more exact is ours, and said to be so where it stands.
package probe

import (
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
)

const (
	// FailingDays is how many days in a row of failing probes freeze a product.
	FailingDays = 5
	// DelistAfter is how long a product stays frozen before it is delisted. "Later" is all that is published; 30 days are ours.
	DelistAfter = 30 * 24 * time.Hour
	// MaxFailedOrders is how many orders may fail in a month; one more delists the product.
	MaxFailedOrders = 5
)

// beijing is where days and months begin and end.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// The hours in Beijing at which products are probed. "Each morning and afternoon" is published, the hours are ours.
const (
	morning   = 9
	afternoon = 15
)

// Next is when the next probe after t is due.
func Next(t time.Time) time.Time {
	year, month, day := t.In(beijing).Date()
	for _, hour := range []int{morning, afternoon, 24 + morning} {
		if slot := time.Date(year, month, day, hour, 0, 0, 0, beijing); slot.After(t) {
			return slot.UTC()
		}
	}
	panic("unreachable: tomorrow morning is after every time of today")
}

// Backwards tells whether the probe at t calls the cases in the opposite order. The afternoon's does: a case must not depend on the
// one before it, which a fixed order would hide. Ours.
func Backwards(t time.Time) bool { return t.In(beijing).Hour() >= afternoon }

func dayOf(t time.Time) string { return t.In(beijing).Format(time.DateOnly) }

// Month gives the calendar month in Beijing that t is in: its first moment and that of the next.
func Month(t time.Time) (from, to time.Time) {
	year, month, _ := t.In(beijing).Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, beijing).UTC(), time.Date(year, month+1, 1, 0, 0, 0, 0, beijing).UTC()
}

// TooManyFailures tells whether so many failed orders in one month delist a product.
func TooManyFailures(n int) bool { return n > MaxFailedOrders }

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
// break the row. The product is frozen with the afternoon's probe of the fifth day, so that five whole days have passed since the last
// good probe of the timetable. A probe that passes ends the row, and puts a frozen product on sale again. All of that is ours.
func (h *Health) Probed(status catalogue.ProductStatus, passed bool, at time.Time) catalogue.ProductStatus {
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
	if status == catalogue.OnSale && h.FailedDays >= FailingDays && at.In(beijing).Hour() >= afternoon {
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
func (h *Health) Lapsed(status catalogue.ProductStatus, now time.Time) bool {
	return status == catalogue.Frozen && !h.FrozenSince.IsZero() && !now.Before(h.FrozenSince.Add(DelistAfter))
}

// Timer is when time demands something of a product next, after now; zero is never. Frozen products go on being probed, so that they
// can come back (ours); stopped and delisted ones are not.
func (h *Health) Timer(status catalogue.ProductStatus, cases int, now time.Time) time.Time {
	var due time.Time
	if cases > 0 && (status == catalogue.OnSale || status == catalogue.Frozen) {
		due = Next(now)
	}
	if status == catalogue.Frozen && !h.FrozenSince.IsZero() {
		if lapse := h.FrozenSince.Add(DelistAfter); due.IsZero() || lapse.Before(due) {
			due = lapse
		}
	}
	return due
}
