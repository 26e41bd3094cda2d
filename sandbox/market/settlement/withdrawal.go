package settlement

import (
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/isvkit/isvkit/sandbox/market"
)

// Withdrawable says what a seller can withdraw at a time.
type Withdrawable struct {
	Possible bool            `json:"possible"`
	Why      string          `json:"why"`               // why not, and when; or what the withdrawal takes
	Amount   decimal.Decimal `json:"amount"`            // what is settled and not withdrawn
	Minimum  decimal.Decimal `json:"minimum"`           // of a withdrawal
	Months   []string        `json:"months"`            // that it takes
	From     time.Time       `json:"from,omitzero"`     // the window in which one may apply; zero: at any time
	Until    time.Time       `json:"until,omitzero"`    // the end of it
	Whole    bool            `json:"wholeMonths"`       // no other amount than this
	Invoice  bool            `json:"invoice,omitempty"` // it is paid when the seller's invoice has come
}

// Withdrawable says what can be withdrawn at the account's time: what was settled in the months before, and not withdrawn. A month that is too
// small, and one that was missed, waits and is joined with the next (the second is ours).
func (a *Account) Withdrawable() (Withdrawable, error) {
	p, err := a.terms(a.At)
	if err != nil {
		return Withdrawable{}, err
	}
	var w Withdrawable
	taken := "" // the last month that was withdrawn
	for _, e := range a.entries {
		if e.Kind == Withdrawal {
			taken = max(taken, e.Of)
			w.Amount = w.Amount.Sub(e.Amount)
		}
	}
	for _, s := range a.Statements {
		if !s.Final {
			continue
		}
		w.Amount = w.Amount.Add(s.Net)
		if s.Month > taken && (!s.Net.IsZero() || len(s.Totals) > 0) {
			w.Months = append(w.Months, s.Month)
		}
	}
	w.Amount = w.Amount.Round(p.Fees.Rounding.Places)
	deposit, err := DepositAt(p, a.Seller, a.entries, a.At)
	if err != nil {
		return Withdrawable{}, err
	}
	rule := p.Settlement.Withdrawal
	if rule == nil {
		rule = &market.Withdrawal{Rule: market.Rule{Says: "Nothing is published about withdrawals; any settled amount may be taken at any time (ours)."}}
	}
	w.Whole, w.Invoice = rule.WholeMonths, slices.Contains(rule.Needs, "invoice")
	if rule.Minimum != nil {
		w.Minimum = *rule.Minimum
	}
	if n := rule.FirstWorkingDays; n > 0 {
		w.From, w.Until = window(p, a.At, n)
		if !a.At.Before(w.Until) { // that of the next month
			at := a.At.In(p.Location())
			next := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, p.Location()).AddDate(0, 1, 0)
			w.From, w.Until = window(p, next, n)
		}
	}
	switch {
	case !w.Amount.IsPositive():
		w.Why = "nothing that is settled waits to be withdrawn"
	case slices.Contains(rule.Needs, "deposit") && deposit.missing(market.StageWithdrawal) != "":
		w.Why = deposit.missing(market.StageWithdrawal)
	case w.Amount.LessThan(w.Minimum):
		w.Why = fmt.Sprintf("%s is less than %s; it waits and is joined with the next month", w.Amount.StringFixed(2), w.Minimum.StringFixed(2))
	case a.At.Before(w.From):
		w.Why = fmt.Sprintf("one may apply within the first %d working days of a month, next from %s", rule.FirstWorkingDays, w.From.Format(market.DateFormat))
	default:
		w.Possible, w.Why = true, rule.Says
	}
	return w, nil
}

// window is the time of the first n working days of the month: from the midnight that begins the month to the one that ends the last of them.
func window(p *market.Policy, month time.Time, n int) (from, until time.Time) {
	m := month.In(p.Location())
	return time.Date(m.Year(), m.Month(), 1, 0, 0, 0, 0, p.Location()), p.WorkingDays().WorkingDay(m, n).AddDate(0, 0, 1)
}

// Withdraw gives the entry of a withdrawal. An amount of zero takes everything; another one is possible only where the policy does not pay
// whole months.
func (a *Account) Withdraw(id string, amount decimal.Decimal) (Entry, error) {
	w, err := a.Withdrawable()
	if err != nil {
		return Entry{}, err
	}
	if amount.IsZero() {
		amount = w.Amount
	}
	places := int32(2)
	if p, err := a.terms(a.At); err == nil {
		places = p.Fees.Rounding.Places
	}
	switch {
	case !w.Possible:
		return Entry{}, fmt.Errorf("nothing can be withdrawn: %s", w.Why)
	case amount.IsNegative() || !amount.Equal(amount.Round(places)):
		return Entry{}, fmt.Errorf("amount: is %s, expected one above zero with at most %d decimals", amount, places)
	case w.Whole && !amount.Equal(w.Amount):
		return Entry{}, fmt.Errorf("amount: is %s, expected %s: whole months are withdrawn, never a chosen amount", amount.StringFixed(2), w.Amount.StringFixed(2))
	case amount.LessThan(w.Minimum):
		return Entry{}, fmt.Errorf("amount: is %s, expected at least %s", amount.StringFixed(2), w.Minimum.StringFixed(2))
	case amount.GreaterThan(w.Amount):
		return Entry{}, fmt.Errorf("amount: is %s, expected at most %s, which is settled", amount.StringFixed(2), w.Amount.StringFixed(2))
	}
	last := ""
	if len(w.Months) > 0 {
		last = w.Months[len(w.Months)-1]
	}
	return Entry{ID: id, At: a.At, Kind: Withdrawal, Amount: amount, Of: last}, nil
}

// Statement finds the statement of a month, written 2026-01. A month without entries has none before the first and after the last.
func (a *Account) Statement(month string) (Statement, bool) {
	for _, s := range a.Statements {
		if s.Month == month {
			return s, true
		}
	}
	return Statement{}, false
}
