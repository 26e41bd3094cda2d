// Package marketbook acts on the policies of marketplaces: it writes down what a seller earns and pays, says what a buyer gets back, and hides and
// delists products whose deliveries fail. What it does and when is in the documents of package market; no market is known here by name.
package marketbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/market"
	"github.com/isvkit/isvkit/sandbox/market/settlement"
)

// Kinds of the subjects whose timers are this package's.
const (
	KindSale      = "sale"      // sale/SELLER/LINE: an order line counts as revenue from then on
	KindStatement = "statement" // statement/SELLER/2026-10: the month is over
	KindSeller    = "failures"  // failures/SELLER: more follows from failed deliveries
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", catalogue.ErrInvalid, fmt.Errorf(format, args...))
}

// ConflictError is why something cannot be done now.
type ConflictError struct{ Detail string }

func (e *ConflictError) Error() string { return e.Detail }

// Book acts on policies.
type Book struct {
	store  *store.Store
	clock  *clock.Clock
	set    *market.Set
	status SetStatus
}

// SetStatus gives a product a status, and tells why.
type SetStatus func(tx *store.Tx, p catalogue.Product, status catalogue.ProductStatus, why string, now time.Time) error

// New gives a book. set are the policies that there are.
func New(s *store.Store, c *clock.Clock, set *market.Set, status SetStatus) *Book {
	return &Book{s, c, set, status}
}

// Policies are the policies that there are.
func (b *Book) Policies() *market.Set { return b.set }

// Policy is that of the market on which a seller is registered, as it is at a time.
func (b *Book) Policy(tx *store.Tx, sellerID string, at time.Time) (*market.Policy, store.Registration, error) {
	r, err := tx.Registration(sellerID)
	if err != nil {
		return nil, r, err
	}
	p, err := settlement.Of(b.set, r.Market)(at)
	return p, r, err
}

// Register registers a seller on a market. One who has earned or paid something stays where he is.
func (b *Book) Register(ctx context.Context, sellerID string, r store.Registration) error {
	now := b.clock.Now()
	p, err := settlement.Of(b.set, r.Market)(now)
	if err != nil {
		return invalid("market: %w", err)
	}
	if len(r.Categories) == 0 {
		for _, c := range p.Categories {
			if c.Open() && (c.SaaS || len(r.Categories) == 0) {
				r.Categories = []string{c.ID}
			}
			if c.Open() && c.SaaS {
				break
			}
		}
	}
	named := slices.Clone(r.Categories)
	for _, c := range r.Products {
		named = append(named, c)
	}
	for _, id := range named {
		c, ok := p.Category(id)
		switch {
		case !ok:
			return invalid("categories: %q is none of %s, expected one of %s", id, r.Market, categories(p))
		case !c.Open():
			return invalid("categories: %q of %s is announced, but not open yet", id, r.Market)
		}
	}
	for name, day := range map[string]market.Date{"entered": r.Entered, "firstListed": r.FirstListed} {
		if day != "" && day.Start(p.Location()).IsZero() {
			return invalid("%s: %q is no day, expected one such as 2026-01-05", name, day)
		}
	}
	for path := range r.Profile {
		if p.Field(path).Kind == "" {
			return invalid("profile: %s asks for no field %q", r.Market, path)
		}
	}
	return b.store.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.Seller(sellerID); err != nil {
			return err
		}
		before, err := tx.Registration(sellerID)
		if err != nil {
			return err
		}
		for code := range r.Products {
			if product, err := tx.Product(code); errors.Is(err, store.ErrNotFound) || err == nil && product.SellerID != sellerID {
				return invalid("products: the seller has no product %q", code)
			} else if err != nil {
				return err
			}
		}
		if before.Market != r.Market {
			entries, err := tx.MarketEntries(sellerID, now.AddDate(1, 0, 0))
			if err != nil {
				return err
			}
			if len(entries) > 0 {
				return &ConflictError{fmt.Sprintf("seller %s has earned or paid on %s already, and stays there: add another seller, or reset the sandbox", sellerID, before.Market)}
			}
		}
		return errors.Join(tx.PutRegistration(sellerID, r), tx.AddEvent(event.Registered(sellerID, r.Market, r.Categories, now)))
	})
}

func categories(p *market.Policy) string {
	ids := make([]string, len(p.Categories))
	for i, c := range p.Categories {
		ids[i] = c.ID
	}
	return strings.Join(ids, ", ")
}

// paid is what the buyer paid for a line. One that does not say costs nothing.
func paid(price string) decimal.Decimal {
	if price == "" || len(price) > 30 {
		return decimal.Zero
	}
	d, err := decimal.NewFromString(price)
	if err != nil || !d.IsPositive() {
		return decimal.Zero
	}
	return d
}

// LineCompleted writes that an order line was delivered, and is revenue of its seller: as soon as the policy says that it is completed.
func (b *Book) LineCompleted(tx *store.Tx, sale store.Sale, now time.Time) error {
	amount := paid(sale.Price)
	if amount.IsZero() || sale.Type == marketplaceapi.OrderUnsubscribe {
		return nil
	}
	p, r, err := b.Policy(tx, sale.SellerID, now)
	if err != nil {
		return err
	}
	// Delivery counts as acceptance where the buyer does not accept.
	accepted := now
	if sale.AcceptedAt.Before(now) && !sale.AcceptedAt.IsZero() {
		accepted = sale.AcceptedAt
	}
	at := settlement.CompletedAt(p, now, accepted)
	if at.Before(now) {
		at = now
	}
	added, err := tx.AddMarketEntry(store.MarketEntry{SellerID: sale.SellerID, Entry: settlement.Entry{
		ID: sale.LineID, At: at, Kind: settlement.Sale, Category: r.Category(sale.ProductCode), Amount: amount, Reason: sale.ProductCode,
	}})
	if err != nil || !added {
		return err
	}
	if at.After(now) {
		return tx.SetTimer(KindSale+"/"+sale.SellerID+"/"+sale.LineID, at)
	}
	return b.settled(tx, p, sale.SellerID, sale.LineID, amount, at)
}

// settled tells that a sale counts, and sees to it that the end of its month is told.
func (b *Book) settled(tx *store.Tx, p *market.Policy, sellerID, lineID string, amount decimal.Decimal, at time.Time) error {
	billed := settlement.BilledFrom(p, at)
	month := at.In(p.Location()).Format(settlement.MonthFormat)
	return errors.Join(
		tx.AddEvent(event.Settled(sellerID, lineID, amount.StringFixed(2), p.Currency, billed, at)),
		tx.SetTimer(KindStatement+"/"+sellerID+"/"+month, billed),
	)
}

// Refund writes what the buyer of an instance gets back when it is unsubscribed, and gives the sum. With only set, it is the line of a
// renewal that is cancelled, which comes back in full.
func (b *Book) Refund(tx *store.Tx, i lifecycle.Instance, only string, now time.Time) (order.Amount, error) {
	none := order.Amount{}
	p, r, err := b.Policy(tx, i.SellerID, now)
	if err != nil {
		return none, err
	}
	orders, err := tx.OrdersAbout(i.OrderLineID)
	if err != nil {
		return none, err
	}
	year := now.In(p.Location()).Year()
	begin := time.Date(year, 1, 1, 0, 0, 0, 0, p.Location())
	had, err := tx.FullRefunds(i.BuyerID, begin, begin.AddDate(1, 0, 0))
	if err != nil {
		return none, err
	}
	sum, counted := decimal.Zero, false
	for _, o := range orders {
		for _, line := range o.Document.OrderLine {
			creates := o.OrderID == i.OrderID
			if o.Type == marketplaceapi.OrderUnsubscribe || o.Status == sandboxapi.OrderFailed || creates && line.OrderLineID != i.OrderLineID || only != "" && line.OrderLineID != only {
				continue
			}
			due, err := b.refundLine(tx, p, r, i, o, line, had, only != "", now)
			if err != nil {
				return none, err
			}
			if !due.Amount.IsPositive() {
				continue
			}
			sum = sum.Add(due.Amount)
			full := due.Full && only == "" && !counted
			counted = counted || full
			entry := settlement.Entry{ID: fmt.Sprintf("refund-%s-%d", line.OrderLineID, now.UnixMilli()), At: now, Kind: settlement.Refund, Of: line.OrderLineID, Amount: due.Amount, Reason: due.Rule}
			if _, err := tx.AddMarketEntry(store.MarketEntry{SellerID: i.SellerID, BuyerID: i.BuyerID, Full: full, Entry: entry}); err != nil {
				return none, err
			}
			if err := errors.Join(
				tx.AddEvent(event.Refunded(i.SellerID, i.OrderLineID, o.OrderID, due.Amount.StringFixed(2), p.Currency, due.Full, due.Why, now)),
				tx.SetTimer(KindStatement+"/"+i.SellerID+"/"+now.In(p.Location()).Format(settlement.MonthFormat), settlement.BilledFrom(p, now)),
			); err != nil {
				return none, err
			}
		}
	}
	return order.ParseAmount(sum.String())
}

// refundLine is what comes back of one line. A sale that is not completed yet is settled now, so that its refund has something to be of.
func (b *Book) refundLine(tx *store.Tx, p *market.Policy, r store.Registration, i lifecycle.Instance, o store.Order, line marketplaceapi.OrderLine, had int, all bool, now time.Time) (settlement.RefundDue, error) {
	var due settlement.RefundDue
	amount := paid(line.CurrencyAfterDiscount)
	if amount.IsZero() {
		return due, nil
	}
	sale := settlement.Entry{ID: line.OrderLineID, At: now, Kind: settlement.Sale, Category: r.Category(o.ProductCode), Amount: amount, Reason: o.ProductCode}
	if _, err := tx.AddMarketEntry(store.MarketEntry{SellerID: i.SellerID, Entry: sale}); err != nil {
		return due, err
	}
	if err := errors.Join(tx.SettleNow(i.SellerID, line.OrderLineID, now), tx.SetTimer(KindSale+"/"+i.SellerID+"/"+line.OrderLineID, time.Time{})); err != nil {
		return due, err
	}
	refunds, err := tx.RefundsOf(i.SellerID, line.OrderLineID)
	if err != nil {
		return due, err
	}
	left := amount
	for _, e := range refunds {
		left = left.Sub(e.Amount)
	}
	if all {
		return settlement.RefundDue{Amount: left, Full: true, Rule: "cancelled", Why: "The time that was bought had not begun."}, nil
	}
	purchase := settlement.Purchase{Category: r.Category(o.ProductCode), Amount: amount, Paid: o.CreatedAt, FullRefunds: had}
	if ends, err := time.Parse(order.TimeFormat, line.ExpireTime); err == nil {
		purchase.Ends = ends
		purchase.Begins = begins(o, line, ends)
	}
	due = settlement.RefundFor(p, purchase, now)
	due.Amount = decimal.Min(due.Amount, left)
	return due, nil
}

// begins is when the time that a line bought begins: a renewal's where the time before it ends.
func begins(o store.Order, line marketplaceapi.OrderLine, ends time.Time) time.Time {
	first := o.CreatedAt
	if !o.AcceptedAt.IsZero() {
		first = o.AcceptedAt
	}
	if o.Type != marketplaceapi.OrderRenew {
		return first
	}
	var begin time.Time
	switch line.PeriodType {
	case marketplaceapi.PeriodYear:
		begin = ends.AddDate(-line.PeriodNumber, 0, 0)
	case marketplaceapi.PeriodMonth:
		begin = ends.AddDate(0, -line.PeriodNumber, 0)
	default:
		begin = ends.AddDate(0, 0, -line.PeriodNumber)
	}
	if begin.Before(first) {
		return first
	}
	return begin
}

// Tick does what time demands.
func (b *Book) Tick(ctx context.Context, subject string) error {
	kind, rest, _ := strings.Cut(subject, "/")
	sellerID, what, _ := strings.Cut(rest, "/")
	return b.store.Update(ctx, func(tx *store.Tx) error {
		now := b.clock.Now()
		if err := tx.SetTimer(subject, time.Time{}); err != nil {
			return err
		}
		if kind == KindSeller {
			return b.follow(tx, sellerID, now)
		}
		p, r, err := b.Policy(tx, sellerID, now)
		if err != nil {
			return err
		}
		if kind == KindSale {
			e, err := tx.MarketEntry(sellerID, what)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			return errors.Join(err, b.settled(tx, p, sellerID, e.ID, e.Amount, e.At))
		}
		entries, err := tx.MarketEntries(sellerID, now)
		if err != nil {
			return err
		}
		account, err := settlement.Settle(settlement.Of(b.set, r.Market), r.Seller(sellerID), entries, now)
		if err != nil {
			return err
		}
		if s, ok := account.Statement(what); ok {
			return tx.AddEvent(event.Statement(sellerID, s.Month, s.Currency, s.Sales.StringFixed(2), s.Refunds.StringFixed(2), s.Charged.Sub(s.Correction).Sub(s.GivenBack).StringFixed(2), s.Net.StringFixed(2), now))
		}
		return nil
	})
}

// Standing is how a seller stands with its market.
type Standing struct {
	Policy       *market.Policy
	Registration store.Registration
	Deposit      settlement.DepositState
	Charges      []settlement.ChargeDue
	Withdrawable settlement.Withdrawable
	Failures     []store.FailedDelivery
	Actions      []store.MarketAction
	Statements   []settlement.Statement
}

// Standing tells how a seller stands.
func (b *Book) Standing(ctx context.Context, sellerID string) (s Standing, err error) {
	now := b.clock.Now()
	if _, err = b.store.Seller(ctx, sellerID); err != nil {
		return s, err
	}
	if s.Registration, err = b.store.Registration(ctx, sellerID); err != nil {
		return s, err
	}
	if s.Policy, err = settlement.Of(b.set, s.Registration.Market)(now); err != nil {
		return s, err
	}
	entries, err := b.store.MarketEntries(ctx, sellerID, now)
	if err != nil {
		return s, err
	}
	seller := s.Registration.Seller(sellerID)
	account, err := settlement.Settle(settlement.Of(b.set, s.Registration.Market), seller, entries, now)
	if err != nil {
		return s, err
	}
	s.Statements = account.Statements
	if s.Withdrawable, err = account.Withdrawable(); err != nil {
		return s, err
	}
	if s.Deposit, err = settlement.DepositAt(s.Policy, seller, entries, now); err != nil {
		return s, err
	}
	s.Charges = settlement.ChargesDue(s.Policy, seller, entries, now)
	if s.Failures, err = b.store.FailedDeliveries(ctx, sellerID); err != nil {
		return s, err
	}
	s.Actions, err = b.store.MarketActions(ctx, sellerID)
	return s, err
}

// Move writes a movement of money that somebody makes by hand: a deposit, a deduction from it or its return, a charge that is paid, or a
// withdrawal, whose amount may be zero for everything.
func (b *Book) Move(ctx context.Context, sellerID string, kind settlement.Kind, amount decimal.Decimal, reason string) (e settlement.Entry, err error) {
	switch {
	case kind == settlement.Withdrawal && amount.IsZero():
	case !amount.IsPositive() || !amount.Equal(amount.Round(2)):
		return e, invalid("amount: is %s, expected one above zero with at most two decimals", amount)
	}
	now := b.clock.Now()
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		p, r, err := b.Policy(tx, sellerID, now)
		if err != nil {
			return err
		}
		if _, err := tx.FailedDeliveries(sellerID); err != nil { // and no other movement of this seller's beside this one
			return err
		}
		entries, err := tx.MarketEntries(sellerID, now)
		if err != nil {
			return err
		}
		id := fmt.Sprintf("%08d-%s", len(entries), kind) // entries of one moment count in the order of their ids
		e = settlement.Entry{ID: id, At: now, Kind: kind, Amount: amount, Reason: reason}
		switch kind {
		case settlement.Withdrawal:
			account, err := settlement.Settle(settlement.Of(b.set, r.Market), r.Seller(sellerID), entries, now)
			if err != nil {
				return err
			}
			if e, err = account.Withdraw(id, amount); err != nil {
				return &ConflictError{err.Error()}
			}
		case settlement.Charge:
			if !slices.ContainsFunc(p.Charges, func(c market.Charge) bool { return c.ID == reason }) {
				return invalid("reason: %q is no charge of %s", reason, r.Market)
			}
		case settlement.Deposit, settlement.Deduction, settlement.Return:
			if _, err := settlement.Settle(settlement.Of(b.set, r.Market), r.Seller(sellerID), append(entries, e), now); err != nil {
				return &ConflictError{strings.TrimPrefix(err.Error(), "entry "+id+": ")}
			}
		default:
			return invalid("kind: is %q, expected deposit, deduction, return, charge or withdrawal", kind)
		}
		_, err = tx.AddMarketEntry(store.MarketEntry{SellerID: sellerID, Entry: e})
		return errors.Join(err, tx.AddEvent(event.MoneyMoved(sellerID, string(kind), e.Amount.StringFixed(2), p.Currency, reason, now)))
	})
	return e, err
}
