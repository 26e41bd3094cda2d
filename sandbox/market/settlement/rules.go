package settlement

import (
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/isvkit/isvkit/sandbox/market"
)

// Round makes an amount of money of a fee, as the policy says.
func Round(p *market.Policy, d decimal.Decimal) decimal.Decimal {
	r := p.Fees.Rounding
	if r.Mode == "down" {
		return d.Truncate(r.Places)
	}
	return d.Round(r.Places) // half away from zero
}

// FeeFor is the fee of a category on a day; nil if none is published.
func FeeFor(p *market.Policy, category string, at time.Time) *market.Fee {
	day := market.DateOf(at, p.Location())
	for i := range p.Fees.Rates {
		f := &p.Fees.Rates[i]
		if f.Holds(day) && (len(f.Categories) == 0 || slices.Contains(f.Categories, category)) {
			return f
		}
	}
	return nil
}

// TierOf is the tier for the revenue of a month. Less than nothing has the first tier.
func TierOf(f *market.Fee, revenue decimal.Decimal) market.Tier {
	for _, t := range f.Tiers {
		if t.Below == nil || revenue.LessThan(*t.Below) {
			return t
		}
	}
	return f.Tiers[len(f.Tiers)-1]
}

// Applies tells whether a promotion is for this seller and category. A condition of which the profile says too little does not hold.
func Applies(p *market.Policy, promo *market.Promotion, seller Seller, category string, at time.Time) bool {
	switch {
	case seller.Entered == "":
		return false
	case len(promo.Categories) > 0 && !slices.Contains(promo.Categories, category):
		return false
	case promo.Entered != nil && !promo.Entered.Holds(seller.Entered):
		return false
	}
	return p.Concerns(promo.When, seller.answers(), at).Outcome == market.Holds
}

// FreeThrough is the last day without a fee for who entered on that day. With windows the time is counted from the day that closes the window
// of the entry, and that day of the month is free too; without them it ends on the day before the anniversary.
func FreeThrough(p *market.Policy, promo *market.Promotion, entered market.Date) market.Date {
	if promo.Free == nil {
		return ""
	}
	zone := p.Location()
	start := entered.Start(zone)
	for _, w := range promo.Free.Windows {
		day, over := start.Day(), w.FromDay > w.ThroughDay
		switch {
		case !over && (day < w.FromDay || day > w.ThroughDay), over && day < w.FromDay && day > w.ThroughDay:
			continue
		}
		closing := time.Date(start.Year(), start.Month(), 1, 0, 0, 0, 0, zone)
		if over && day >= w.FromDay {
			closing = closing.AddDate(0, 1, 0)
		}
		last := min(w.ThroughDay, closing.AddDate(0, 1, -1).Day())
		return market.DateOf(p.WorkingDays().Add(closing.AddDate(0, 0, last-1), promo.Free.For), zone)
	}
	return market.DateOf(p.WorkingDays().Add(start, promo.Free.For).AddDate(0, 0, -1), zone)
}

// CompletedAt is when an order is completed, and so counts as revenue: at payment, unless the policy waits for the buyer's acceptance.
// accepted is the zero time as long as the buyer has not accepted; then so is the result.
func CompletedAt(p *market.Policy, paid, accepted time.Time) time.Time {
	o := p.Settlement.Order
	if o == nil || o.After == "payment" {
		accepted = paid
	}
	if accepted.IsZero() || o == nil || o.Delay == nil {
		return accepted
	}
	return p.WorkingDays().Add(accepted, *o.Delay)
}

// BilledFrom is when what was completed at that time is billed, and can be withdrawn: the beginning of the next month.
func BilledFrom(p *market.Policy, completed time.Time) time.Time {
	t := completed.In(p.Location())
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, p.Location()).AddDate(0, 1, 0)
}

// Purchase is what a refund depends on.
type Purchase struct {
	Category  string
	Amount    decimal.Decimal // paid
	Paid      time.Time
	Begins    time.Time // of the time that was bought; zero: when it was paid
	Ends      time.Time // zero: nothing was bought for a time
	Confirmed bool      // the buyer has confirmed that the service is complete
	// FullRefunds is how many full refunds the buyer has had in the calendar year.
	FullRefunds int
}

// RefundDue is what a buyer gets back.
type RefundDue struct {
	Amount    decimal.Decimal `json:"amount"`
	Full      bool            `json:"full"`
	Releases  bool            `json:"releases"` // the instance is released
	Rule      string          `json:"rule"`
	Why       string          `json:"why"`
	FullUntil time.Time       `json:"fullUntil,omitzero"` // the end of the review period; zero where it has none that is a time
}

// RefundFor is what a buyer gets back who unsubscribes at a time. The unused part is that of the time that was bought, to the second,
// rounded as fees are (ours); of what is not bought for a time nothing is unused once it was used.
func RefundFor(p *market.Policy, b Purchase, at time.Time) RefundDue {
	var rule *market.Refund
	for i := range p.Refunds {
		if r := &p.Refunds[i]; len(r.Categories) == 0 || slices.Contains(r.Categories, b.Category) {
			rule = r
		}
	}
	if rule == nil {
		return RefundDue{Why: "the policy says nothing about refunds of this category"}
	}
	due := RefundDue{Rule: rule.ID, Releases: rule.Releases, Why: rule.Says}
	if f := rule.Full; f != nil {
		within := f.Until != "" && !b.Confirmed
		if f.Within != nil {
			from := b.Paid.In(p.Location())
			if f.Counting == "purchase-day" {
				from = market.DateOf(b.Paid, p.Location()).Start(p.Location())
			}
			due.FullUntil = p.WorkingDays().Add(from, *f.Within)
			within = at.Before(due.FullUntil)
		}
		if within && (rule.PerBuyer == nil || b.FullRefunds < rule.PerBuyer.Times) {
			due.Full, due.Amount = true, b.Amount
			return due
		}
	}
	begins := b.Begins
	if begins.IsZero() {
		begins = b.Paid
	}
	switch {
	case rule.After != market.RefundUnused || b.Ends.IsZero() || !at.Before(b.Ends):
	case !at.After(begins):
		due.Amount = b.Amount
	default:
		left, whole := b.Ends.Sub(at)/time.Second, b.Ends.Sub(begins)/time.Second
		if whole > 0 {
			due.Amount = Round(p, b.Amount.Mul(decimal.NewFromInt(int64(left))).Div(decimal.NewFromInt(int64(whole))))
		}
	}
	return due
}

// RefundRate is the part of a seller's orders that was refunded for reasons of product or service, and whether that is too much.
func RefundRate(p *market.Policy, orders, refunded int) (rate market.Rate, tooMuch bool) {
	if orders <= 0 {
		return rate, false
	}
	n, m := decimal.NewFromInt(int64(refunded)), decimal.NewFromInt(int64(orders))
	rate = market.Rate{Part: n.Div(m)}
	if r := p.RefundRules.Rate; r != nil {
		tooMuch = n.GreaterThan(r.Above.Part.Mul(m)) // exact, where a quotient would be rounded
	}
	return rate, tooMuch
}
