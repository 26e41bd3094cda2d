package settlement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/isvkit/isvkit/sandbox/market"
)

// DepositPart is the deposit for one category.
type DepositPart struct {
	Category string          `json:"category"`
	Amount   decimal.Decimal `json:"amount"`
	Rule     string          `json:"rule"`
}

// DepositDue is what a seller has to deposit.
type DepositDue struct {
	Amount decimal.Decimal `json:"amount"`
	Parts  []DepositPart   `json:"parts"`
	Waived string          `json:"waived,omitempty"`  // the id of the waiver that holds
	DueBy  time.Time       `json:"dueBy,omitzero"`    // after a waiver for a time: until when it has to be paid
	Note   string          `json:"unstated,omitzero"` // why there is no amount
}

// DepositFor is what a seller of these categories has to deposit, as it is at a time. Several categories add up, or the highest counts, as the
// policy says.
func DepositFor(p *market.Policy, seller Seller, at time.Time) (DepositDue, error) {
	var due DepositDue
	d := p.Deposit
	for _, id := range seller.Categories {
		if _, ok := p.Category(id); !ok {
			return due, fmt.Errorf("category %q is none of %s, expected one of %s", id, p.Market, categories(p))
		}
		for _, a := range d.Amounts {
			if a.Unassigned || len(a.Categories) > 0 && !slices.Contains(a.Categories, id) {
				continue
			}
			due.Parts = append(due.Parts, DepositPart{Category: id, Amount: a.Amount, Rule: a.ID})
			if d.Combine == "sum" {
				due.Amount = due.Amount.Add(a.Amount)
			} else {
				due.Amount = decimal.Max(due.Amount, a.Amount)
			}
		}
	}
	due.Note = d.Unstated
	for i := range d.Waivers {
		w := &d.Waivers[i]
		if w.Entered != nil && (seller.Entered == "" || !w.Entered.Holds(seller.Entered)) ||
			p.Concerns(w.When, seller.answers(), at).Outcome != market.Holds {
			continue
		}
		if w.For != nil && seller.FirstListed != "" {
			over := p.WorkingDays().Add(seller.FirstListed.Start(p.Location()), *w.For)
			if !at.Before(over) {
				if w.DueIn != nil {
					due.DueBy = p.WorkingDays().Add(over, *w.DueIn)
				}
				continue
			}
		}
		due.Amount, due.Waived = decimal.Zero, w.ID
		return due, nil
	}
	return due, nil
}

// DepositState is how a seller stands with its deposit.
type DepositState struct {
	Required decimal.Decimal   `json:"required"`
	Held     decimal.Decimal   `json:"held"`
	Short    decimal.Decimal   `json:"short"`              // what has to be paid in
	TopUpBy  time.Time         `json:"topUpBy,omitzero"`   // after a deduction, or a waiver that is over
	Overdue  bool              `json:"overdue"`            // that time is over
	Follows  []market.Sanction `json:"sanctions,omitzero"` // what follows, if it is overdue
	Prevents []string          `json:"prevents,omitzero"`  // what is not possible as long as it is short: listing, withdrawal
}

// DepositAt is how a seller stands at a time, by its entries.
func DepositAt(p *market.Policy, seller Seller, entries []Entry, at time.Time) (DepositState, error) {
	due, err := DepositFor(p, seller, at)
	if err != nil {
		return DepositState{}, err
	}
	state := DepositState{Required: due.Amount, TopUpBy: due.DueBy}
	kept := slices.Clone(entries)
	slices.SortStableFunc(kept, func(a, b Entry) int { return a.At.Compare(b.At) })
	for _, e := range kept {
		if e.At.After(at) {
			break
		}
		switch e.Kind {
		case Deposit:
			state.Held = state.Held.Add(e.Amount)
			if state.Held.GreaterThanOrEqual(state.Required) {
				state.TopUpBy = time.Time{}
			}
		case Deduction, Return:
			state.Held = state.Held.Sub(e.Amount)
			if e.Kind == Deduction && p.Deposit.TopUp != nil && state.TopUpBy.IsZero() && state.Held.LessThan(state.Required) {
				state.TopUpBy = p.WorkingDays().Add(e.At, p.Deposit.TopUp.Within)
			}
		}
	}
	state.Short = decimal.Max(decimal.Zero, state.Required.Sub(state.Held))
	if state.Short.IsZero() {
		state.TopUpBy = time.Time{}
		return state, nil
	}
	state.Prevents = p.Deposit.NeededFor
	if !state.TopUpBy.IsZero() && !at.Before(state.TopUpBy) {
		state.Overdue = true
		if p.Deposit.TopUp != nil {
			state.Follows = p.Deposit.TopUp.Otherwise
		}
	}
	return state, nil
}

// DepositReturn says when a deposit comes back.
type DepositReturn struct {
	Amount    decimal.Decimal `json:"amount"`
	NotBefore time.Time       `json:"notBefore,omitzero"`
	NotAfter  time.Time       `json:"notAfter,omitzero"` // zero where nothing is stated
	Why       string          `json:"why"`
}

// ReturnOf says when a deposit comes back to a seller who has ended (left, or delisted everything, as the policy counts) at a time. clean is
// false if it has broken a rule.
func ReturnOf(p *market.Policy, held decimal.Decimal, ended time.Time, clean bool) DepositReturn {
	r := p.Deposit.Return
	switch {
	case r == nil:
		return DepositReturn{Why: "the policy does not say that a deposit comes back"}
	case r.Clean && !clean:
		return DepositReturn{Why: r.Says}
	}
	back := DepositReturn{Amount: held, NotBefore: ended, Why: r.Says}
	if r.Wait != nil {
		back.NotBefore = p.WorkingDays().Add(ended, *r.Wait)
	}
	if r.Within != nil {
		back.NotAfter = p.WorkingDays().Add(ended, *r.Within)
	}
	return back
}

// ChargeDue is a fixed charge that has to be paid.
type ChargeDue struct {
	Rule   string          `json:"rule"`
	Amount decimal.Decimal `json:"amount"`
	Before string          `json:"before"` // what is not possible without it
	Says   string          `json:"says"`
}

// ChargesDue are the fixed charges that are not paid at a time: never, or so long ago that they have to be paid again. The reason of the entry
// that pays one is the id of its rule.
func ChargesDue(p *market.Policy, seller Seller, entries []Entry, at time.Time) []ChargeDue {
	var due []ChargeDue
	for i := range p.Charges {
		c := &p.Charges[i]
		if p.Concerns(c.When, seller.answers(), at).Outcome == market.Fails {
			continue
		}
		paid := slices.ContainsFunc(entries, func(e Entry) bool {
			if e.Kind != Charge || e.Reason != c.ID || e.At.After(at) || e.Amount.LessThan(c.Amount) {
				return false
			}
			return c.Every == nil || at.Before(p.WorkingDays().Add(e.At, *c.Every))
		})
		if !paid {
			due = append(due, ChargeDue{Rule: c.ID, Amount: c.Amount, Before: c.Before, Says: c.Says})
		}
	}
	return due
}

// UpFront is what a seller pays before it can put a product on sale: the deposit and the fixed charges. Answers may be nil.
type UpFront struct {
	Deposit DepositDue      `json:"deposit"`
	Charges []ChargeDue     `json:"charges"`
	Total   decimal.Decimal `json:"total"`
}

// CostUpFront adds up what a seller of these categories pays, deposits that are needed only to withdraw included.
func CostUpFront(p *market.Policy, seller Seller, at time.Time) (UpFront, error) {
	due, err := DepositFor(p, seller, at)
	if err != nil {
		return UpFront{}, err
	}
	cost := UpFront{Deposit: due, Charges: ChargesDue(p, seller, nil, at), Total: due.Amount}
	for _, c := range cost.Charges {
		cost.Total = cost.Total.Add(c.Amount)
	}
	return cost, nil
}

// needs tells what stands in the way of a withdrawal in words; empty if nothing does.
func (s DepositState) missing(what string) string {
	if slices.Contains(s.Prevents, what) {
		return "the deposit is short of " + s.Short.StringFixed(2) + ", and is needed for " + strings.Join(s.Prevents, " and ")
	}
	return ""
}
