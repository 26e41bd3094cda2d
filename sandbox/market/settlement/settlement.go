// Package settlement is the money between a seller and a market: platform fees with their tiers, corrections and promotions, deposits, refunds,
// monthly statements and withdrawals, as the market's policy document says. It knows no market by name.
//
// Everything is pure and decimal. A statement is computed from the seller's entries, each time anew, so the same entries give the same
// statement. Rounding, in the mode and to the places of the document:
//
//   - the fee of an order is rounded when it is charged;
//   - where a document corrects fees by the month's tier, the fee that is due for a category and a month is computed from the month's
//     revenue and rounded once; the correction is the difference from what was charged. Without a correction the orders' fees are what is due;
//   - a refund in the month of its sale takes the sale back as far as it goes. A refund in a later month gives back the part of the sale's
//     final fee that belongs to the part of the sale that was refunded so far, less what was given back before; so a sale that is refunded in
//     several parts gives back exactly its fee.
//
// A refund counts as negative revenue of the month in which it is made. All of that about refunds is ours: no market publishes it.
package settlement

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/isvkit/isvkit/sandbox/market"
)

// Terms gives the policy that is in force at a time.
type Terms func(at time.Time) (*market.Policy, error)

// Always gives the same policy at any time.
func Always(p *market.Policy) Terms {
	return func(time.Time) (*market.Policy, error) { return p, nil }
}

// Of gives the edition of a market that is in force. Times before the first edition have the first (ours), so that a clock that was set back
// does not stop a market.
func Of(set *market.Set, name string) Terms {
	return func(at time.Time) (*market.Policy, error) {
		p, err := set.Load(name, at)
		if err != nil {
			if first := set.Editions(name); len(first) > 0 {
				return first[0], nil
			}
		}
		return p, err
	}
}

// Seller is what is known of the seller.
type Seller struct {
	ID          string
	Entered     market.Date // the day of entry; empty: no promotion that counts from it applies
	FirstListed market.Date // the day on which its first product was put on sale
	Categories  []string    // that it has entered
	Answers     market.Answers
}

func (s Seller) answers() market.Answers {
	if s.Answers == nil {
		return func(string) (any, bool) { return nil, false }
	}
	return s.Answers
}

// Kind is what an entry is.
type Kind string

// Kinds of entries.
const (
	Sale       Kind = "sale"       // an order that is settled
	Refund     Kind = "refund"     // of a sale, wholly or in part
	Deposit    Kind = "deposit"    // paid in
	Deduction  Kind = "deduction"  // taken from the deposit
	Return     Kind = "return"     // the deposit paid back
	Charge     Kind = "charge"     // a fixed charge that the seller paid
	Withdrawal Kind = "withdrawal" // of what was settled
)

// Entry is one movement of money. Amounts are never negative.
type Entry struct {
	ID       string          `json:"id"`
	At       time.Time       `json:"at"`
	Kind     Kind            `json:"kind"`
	Category string          `json:"category,omitempty"`
	Revenue  string          `json:"revenue,omitempty"` // the kind of revenue; empty is the first of the document
	Amount   decimal.Decimal `json:"amount"`
	Of       string          `json:"of,omitempty"`     // for a refund the id of the sale, for a withdrawal the last month that it takes
	Reason   string          `json:"reason,omitempty"` // for people
}

// Line is an entry with the fee that it costs. A refund has the fee that is given back, as a negative one.
type Line struct {
	Entry
	Free decimal.Decimal `json:"free"`           // the part of the amount without a fee
	Rate market.Rate     `json:"rate"`           // at which it was charged
	Fee  decimal.Decimal `json:"fee"`            // as charged
	Rule string          `json:"rule,omitempty"` // the promotion or the fee that decided
}

// Total is a category's month.
type Total struct {
	Category   string          `json:"category"`
	Sales      decimal.Decimal `json:"sales"`
	Refunds    decimal.Decimal `json:"refunds"`
	Counted    decimal.Decimal `json:"counted"` // what picks the tier
	Rate       market.Rate     `json:"rate"`    // of the tier
	Charged    decimal.Decimal `json:"charged"` // fees of this month's sales, as charged, less those of sales taken back
	Due        decimal.Decimal `json:"due"`     // fees of this month's sales, by the month's tier
	Correction decimal.Decimal `json:"correction"`
	GivenBack  decimal.Decimal `json:"givenBack"` // fees of sales of earlier months that were refunded
}

// Statement is a month of a seller.
type Statement struct {
	Market      string          `json:"market"`
	Policy      string          `json:"policy"` // effective from
	Seller      string          `json:"seller"`
	Month       string          `json:"month"`
	Currency    string          `json:"currency"`
	Final       bool            `json:"final"` // the month is over, so its tier is known
	Lines       []Line          `json:"lines"`
	Totals      []Total         `json:"totals"`
	Opening     decimal.Decimal `json:"opening"` // balance of what was settled before
	Sales       decimal.Decimal `json:"sales"`
	Refunds     decimal.Decimal `json:"refunds"`
	Charged     decimal.Decimal `json:"charged"`
	Correction  decimal.Decimal `json:"correction"` // of fees, returned to the seller
	GivenBack   decimal.Decimal `json:"givenBack"`
	Net         decimal.Decimal `json:"net"` // what the month comes to: sales, less refunds and fees
	Withdrawn   decimal.Decimal `json:"withdrawn"`
	Closing     decimal.Decimal `json:"closing"`
	DepositPaid decimal.Decimal `json:"deposit"` // the deposit at the end of the month
	Notes       []string        `json:"notes,omitempty"`
}

// MonthFormat is how months are written.
const MonthFormat = "2006-01"

// Account is what a seller's entries come to.
type Account struct {
	Seller     Seller
	Statements []Statement // one for each month from the first entry to that of At
	At         time.Time

	terms   Terms
	entries []Entry
}

// sale is what is remembered of a sale until it is refunded.
type sale struct {
	entry    Entry
	month    string
	fee      *market.Fee
	policy   *market.Policy
	feeable  decimal.Decimal
	refunded decimal.Decimal
	// takenBack is what was refunded in the month of the sale: its fee was never due.
	takenBack decimal.Decimal
	charged   decimal.Decimal // provisional, less what was taken back in its own month
	rate      decimal.Decimal // final, when its month is over
	given     decimal.Decimal // fee given back in later months
}

// Settle computes the account of a seller at a time. Entries after it are left out; their order does not matter.
func Settle(terms Terms, seller Seller, entries []Entry, at time.Time) (*Account, error) {
	now, err := terms(at)
	if err != nil {
		return nil, err
	}
	zone := now.Location()
	kept := make([]Entry, 0, len(entries))
	for _, e := range entries {
		if !e.At.After(at) {
			kept = append(kept, e)
		}
	}
	slices.SortStableFunc(kept, func(a, b Entry) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	account := &Account{Seller: seller, At: at, terms: terms, entries: kept}
	if len(kept) == 0 {
		return account, nil
	}
	s := &settler{terms: terms, seller: seller, zone: zone, sales: map[string]*sale{}, used: map[string]decimal.Decimal{}}
	first := kept[0].At.In(zone)
	month := time.Date(first.Year(), first.Month(), 1, 0, 0, 0, 0, zone)
	for !month.After(at) {
		next := month.AddDate(0, 1, 0)
		n := 0
		for n < len(kept) && kept[n].At.Before(next) {
			n++
		}
		statement, err := s.month(month, next, kept[:n], !next.After(at))
		if err != nil {
			return nil, err
		}
		account.Statements = append(account.Statements, *statement)
		kept, month = kept[n:], next
	}
	return account, nil
}

// settler goes from month to month.
type settler struct {
	terms   Terms
	seller  Seller
	zone    *time.Location
	sales   map[string]*sale
	used    map[string]decimal.Decimal // of a promotion's free revenue
	balance decimal.Decimal
	deposit decimal.Decimal
}

// group is the month of a category under one fee of one edition.
type group struct {
	policy   *market.Policy
	fee      *market.Fee
	category string
	base     decimal.Decimal // feeable sales of the month, less their refunds in it
	charged  decimal.Decimal
	sales    []*sale
}

func (s *settler) month(start, next time.Time, entries []Entry, final bool) (*Statement, error) {
	policy, err := s.terms(start)
	if err != nil {
		return nil, err
	}
	st := &Statement{
		Market: policy.Market, Policy: string(policy.Effective), Seller: s.seller.ID, Month: start.Format(MonthFormat),
		Currency: policy.Currency, Final: final, Opening: s.balance, Lines: []Line{}, Totals: []Total{},
	}
	totals := map[string]*Total{}
	counted := map[string]decimal.Decimal{}
	groups := map[string]*group{}
	total := func(category string) *Total {
		if totals[category] == nil {
			totals[category] = &Total{Category: category}
		}
		return totals[category]
	}
	for _, e := range entries {
		if e.Amount.IsNegative() {
			return nil, fmt.Errorf("entry %s: amount: is %s, expected none below zero", e.ID, e.Amount)
		}
		line := Line{Entry: e}
		switch e.Kind {
		case Sale:
			if s.sales[e.ID] != nil {
				return nil, fmt.Errorf("entry %s: there are two sales with this id, expected one", e.ID)
			}
			sold, err := s.sell(&line)
			if err != nil {
				return nil, err
			}
			sold.month = st.Month
			s.sales[e.ID] = sold
			t := total(e.Category)
			t.Sales = t.Sales.Add(e.Amount)
			if sold.fee == nil || counts(sold.fee.Counts, line.Revenue) {
				counted[e.Category] = counted[e.Category].Add(e.Amount)
			}
			if sold.fee == nil {
				addNote(st, "no platform fee is published for category %s: it is counted as 0", e.Category)
				break
			}
			g := groupOf(groups, sold, e.Category)
			g.sales = append(g.sales, sold)
			g.base = g.base.Add(sold.feeable)
			g.charged = g.charged.Add(sold.charged)
		case Refund:
			sold := s.sales[e.Of]
			if sold == nil {
				return nil, fmt.Errorf("entry %s: of: there is no sale %q before it", e.ID, e.Of)
			}
			if sold.refunded.Add(e.Amount).GreaterThan(sold.entry.Amount) {
				return nil, fmt.Errorf("entry %s: amount: is %s, expected at most %s, which is left of the sale", e.ID, e.Amount,
					sold.entry.Amount.Sub(sold.refunded))
			}
			line.Category, line.Revenue = sold.entry.Category, sold.entry.Revenue
			s.refund(&line, sold, st.Month, groups)
			t := total(line.Category)
			t.Refunds = t.Refunds.Add(e.Amount)
			if sold.month != st.Month {
				t.GivenBack = t.GivenBack.Sub(line.Fee)
			}
			if sold.fee == nil || counts(sold.fee.Counts, line.Revenue) {
				counted[line.Category] = counted[line.Category].Sub(e.Amount)
			}
		case Deposit:
			s.deposit = s.deposit.Add(e.Amount)
		case Deduction, Return:
			if e.Amount.GreaterThan(s.deposit) {
				return nil, fmt.Errorf("entry %s: amount: is %s, expected at most the deposit, %s", e.ID, e.Amount, s.deposit)
			}
			s.deposit = s.deposit.Sub(e.Amount)
		case Withdrawal:
			st.Withdrawn = st.Withdrawn.Add(e.Amount)
		case Charge:
		default:
			return nil, fmt.Errorf("entry %s: kind: is %q, expected sale, refund, deposit, deduction, return, charge or withdrawal", e.ID, e.Kind)
		}
		st.Lines = append(st.Lines, line)
	}
	for category, sum := range counted {
		total(category).Counted = sum
	}
	for _, key := range sortedKeys(groups) {
		s.due(groups[key], total(groups[key].category), final)
	}
	for _, category := range sortedKeys(totals) {
		t := totals[category]
		t.Correction = t.Charged.Sub(t.Due)
		st.Totals = append(st.Totals, *t)
		st.Sales, st.Refunds = st.Sales.Add(t.Sales), st.Refunds.Add(t.Refunds)
		st.Charged, st.Correction, st.GivenBack = st.Charged.Add(t.Charged), st.Correction.Add(t.Correction), st.GivenBack.Add(t.GivenBack)
	}
	st.Net = st.Sales.Sub(st.Refunds).Sub(st.Charged).Add(st.Correction).Add(st.GivenBack)
	s.balance = st.Opening.Add(st.Net).Sub(st.Withdrawn)
	st.Closing, st.DepositPaid = s.balance, s.deposit
	if end := next.Add(-time.Second); policy.Lapsed(end) {
		addNote(st, "the published time of this policy ended on %s; nothing newer is known", policy.Until)
	}
	return st, nil
}

// sell charges a sale by the first tier, or by the only one.
func (s *settler) sell(line *Line) (*sale, error) {
	p, err := s.terms(line.At)
	if err != nil {
		return nil, err
	}
	if _, ok := p.Category(line.Category); !ok {
		return nil, fmt.Errorf("entry %s: category: %q is none of %s, expected one of %s", line.ID, line.Category, p.Market, categories(p))
	}
	if line.Revenue == "" && len(p.Revenue) > 0 {
		line.Revenue = p.Revenue[0].ID
	}
	if !slices.ContainsFunc(p.Revenue, func(k market.RevenueKind) bool { return k.ID == line.Revenue }) {
		return nil, fmt.Errorf("entry %s: revenue: %q is none of %s, expected one of its kinds of revenue", line.ID, line.Revenue, p.Market)
	}
	sold := &sale{entry: line.Entry, policy: p, fee: FeeFor(p, line.Category, line.At)}
	if sold.fee == nil {
		return sold, nil
	}
	line.Rule = sold.fee.ID
	if !slices.Contains(sold.fee.Charged, line.Revenue) {
		line.Free = line.Amount
		return sold, nil
	}
	var rule string
	if line.Free, rule = s.free(p, line.Entry); rule != "" {
		line.Rule = rule
	}
	sold.feeable = line.Amount.Sub(line.Free)
	line.Rate = sold.fee.Tiers[0].Rate
	sold.charged = Round(p, sold.feeable.Mul(line.Rate.Part))
	sold.rate = line.Rate.Part
	line.Fee = sold.charged
	return sold, nil
}

// free is the part of a sale that promotions free of the fee, and which of them did.
func (s *settler) free(p *market.Policy, e Entry) (decimal.Decimal, string) {
	day := market.DateOf(e.At, s.zone)
	for i := range p.Promotions {
		promo := &p.Promotions[i]
		if !Applies(p, promo, s.seller, e.Category, e.At) {
			continue
		}
		if promo.Free != nil {
			if day >= s.seller.Entered && day <= FreeThrough(p, promo, s.seller.Entered) {
				return e.Amount, promo.ID
			}
			continue
		}
		end := p.WorkingDays().Add(s.seller.Entered.Start(s.zone), promo.Revenue.Within)
		if day < s.seller.Entered || !e.At.Before(end) {
			continue
		}
		left := promo.Revenue.UpTo.Sub(s.used[promo.ID])
		part := decimal.Min(left, e.Amount)
		if part.IsPositive() {
			s.used[promo.ID] = s.used[promo.ID].Add(part)
			return part, promo.ID
		}
	}
	return decimal.Zero, ""
}

// refund takes back a sale of this month, or gives back the fee of an earlier one.
func (s *settler) refund(line *Line, sold *sale, month string, groups map[string]*group) {
	before := sold.refunded
	sold.refunded = before.Add(line.Amount)
	if sold.fee == nil || sold.entry.Amount.IsZero() {
		return
	}
	line.Rule = sold.fee.ID
	line.Rate = market.Rate{Part: sold.rate}
	// feeableLeft is the part with a fee of what was not refunded yet, to the cent.
	left := func(refunded decimal.Decimal) decimal.Decimal {
		return Round(sold.policy, sold.feeable.Mul(sold.entry.Amount.Sub(refunded)).Div(sold.entry.Amount))
	}
	line.Free = line.Amount.Sub(left(before).Sub(left(sold.refunded)))
	if sold.month == month {
		charged := Round(sold.policy, left(sold.refunded).Mul(sold.rate))
		line.Fee = charged.Sub(sold.charged)
		g := groupOf(groups, sold, sold.entry.Category)
		g.base = g.base.Sub(left(before)).Add(left(sold.refunded))
		g.charged = g.charged.Add(line.Fee)
		sold.charged, sold.takenBack = charged, sold.refunded
		return
	}
	back := Round(sold.policy, left(sold.takenBack).Sub(left(sold.refunded)).Mul(sold.rate)).Sub(sold.given)
	sold.given = sold.given.Add(back)
	line.Fee = back.Neg()
}

// due computes the fee that is due for a group, by the tier of the month if the month is over.
func (s *settler) due(g *group, t *Total, final bool) {
	tier := TierOf(g.fee, t.Counted)
	if !final || g.policy.Fees.Correction == nil {
		t.Rate = g.fee.Tiers[0].Rate
		t.Charged, t.Due = t.Charged.Add(g.charged), t.Due.Add(g.charged)
		return
	}
	t.Rate = tier.Rate
	t.Charged = t.Charged.Add(g.charged)
	t.Due = t.Due.Add(Round(g.policy, g.base.Mul(tier.Rate.Part)))
	for _, sold := range g.sales {
		sold.rate = tier.Rate.Part
	}
}

func addNote(s *Statement, format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !slices.Contains(s.Notes, note) {
		s.Notes = append(s.Notes, note)
	}
}

func counts(kinds []string, kind string) bool { return len(kinds) == 0 || slices.Contains(kinds, kind) }

func groupOf(groups map[string]*group, sold *sale, category string) *group {
	key := category + " " + string(sold.policy.Effective) + " " + sold.fee.ID
	if groups[key] == nil {
		groups[key] = &group{policy: sold.policy, fee: sold.fee, category: category}
	}
	return groups[key]
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func categories(p *market.Policy) string {
	ids := make([]string, len(p.Categories))
	for i, c := range p.Categories {
		ids[i] = c.ID
	}
	return strings.Join(ids, ", ")
}
