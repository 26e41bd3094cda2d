// Package orderbook carries the marketplace's business out: it applies what buyers, the operator, time and the ISV's answers
// do to the rules of package lifecycle, and writes state and calls in one transaction.
package orderbook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// ErrInvalid is wrapped by errors about what was asked for.
var ErrInvalid = catalogue.ErrInvalid

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// Refusal is why the marketplace, or the ISV, does not do what was asked for, though it was asked for rightly.
type Refusal struct {
	Kind   RefusalKind
	Detail string
}

func (e *Refusal) Error() string { return e.Detail }

// RefusalKind tells refusals apart.
type RefusalKind string

// The kinds.
const (
	NotOnSale     RefusalKind = "not-on-sale"
	NoProvider    RefusalKind = "no-provider"     // nobody said where the ISV is
	NoChangeCheck RefusalKind = "no-change-check" // the product offers no renewal with a change
	ChangeRefused RefusalKind = "change-refused"  // the ISV does not allow it
	NoAnswer      RefusalKind = "no-answer"       // the ISV gave none that can be used
)

// Asker makes a call at once and gives its answer; see package outbox.
type Asker interface {
	Ask(ctx context.Context, about store.About, c lifecycle.Call, debug bool) (store.Call, delivery.Result, error)
}

// Licences gives licences out. A product that is sold by licence has these instead of instances.
type Licences interface {
	// Issue makes the licence of the n-th line of a paid order, counted from 0.
	Issue(tx *store.Tx, o store.Order, n int, line order.Line, product catalogue.Product) error
}

// Market acts on the policy of the market on which a product's seller is registered; see package marketbook.
type Market interface {
	// LineCompleted is told of every order line that was delivered.
	LineCompleted(tx *store.Tx, sale store.Sale, now time.Time) error
	// Refund says what comes back of an instance that is unsubscribed, or of the one line of a renewal that is cancelled.
	Refund(tx *store.Tx, i lifecycle.Instance, only string, now time.Time) (order.Amount, error)
	// GoesBack tells whether an order whose delivery failed goes back to the seller, rather than to the buyer.
	GoesBack(tx *store.Tx, sellerID string, now time.Time) (bool, error)
	// DeliveryFailed and DeliveryRepaired are told of instances that were not delivered, and those that were in the end.
	DeliveryFailed(tx *store.Tx, lineID, sellerID, productCode string, now time.Time) error
	DeliveryRepaired(tx *store.Tx, lineID, sellerID, productCode string, now time.Time) error
}

// Config is what a book needs.
type Config struct {
	Store *store.Store
	Clock *clock.Clock
	Asker Asker
	// Random gives the order ids; the same bytes give the same ids to the same purchases at the same times. It is read once.
	// Default: crypto/rand.
	Random io.Reader
	// Licences may be nil; then products that are sold by licence cannot be bought.
	Licences Licences
	// OrderFailed, if set, is told of every order that failed, in the transaction in which it does.
	OrderFailed func(tx *store.Tx, productCode, orderID string, now time.Time) error
	// Market may be nil; then nothing is written down of money, and nothing follows from failed deliveries.
	Market Market
}

// Book is the order book. It is the handler of the calls about instances, see package outbox.
type Book struct {
	cfg    Config
	key    [32]byte // makes order ids
	bought atomic.Uint64
}

// New gives a book.
func New(cfg Config) (*Book, error) {
	b := &Book{cfg: cfg}
	if cfg.Random == nil {
		b.cfg.Random = rand.Reader
	}
	if _, err := io.ReadFull(b.cfg.Random, b.key[:]); err != nil {
		return nil, fmt.Errorf("random source of order ids: %w", err)
	}
	return b, nil
}

// newID gives an order id that is free. It is made from what causes the order, rather than drawn, so that it does not depend on
// which of several orders of one moment is written first.
func (b *Book) newID(tx *store.Tx, now time.Time, cause string) (string, error) {
	for n := 0; ; n++ {
		mac := hmac.New(sha256.New, b.key[:])
		_, _ = fmt.Fprintf(mac, "%s %d", cause, n)
		id, err := order.NewID(now, bytes.NewReader(mac.Sum(nil)))
		if err != nil {
			return "", err
		}
		if taken, err := tx.HasOrder(id); err != nil || !taken {
			return id, err
		}
	}
}

// Placement is an order that is placed and paid.
type Placement struct {
	Type    marketplaceapi.OrderType
	Status  sandboxapi.OrderStatus // empty: processing
	Product catalogue.Product
	BuyerID string
	LineID  string // the instance that it is about; empty: its lines create theirs
	Cause   string // what tells it from other orders of the same time
	Lines   []order.Line
}

// Place writes an order and tells the ISV of it, if it wants to know of orders. What follows from the order is the caller's.
func (b *Book) Place(tx *store.Tx, p Placement) (store.Order, error) {
	now := b.cfg.Clock.Now()
	buyer, err := tx.Buyer(p.BuyerID)
	if errors.Is(err, store.ErrNotFound) {
		return store.Order{}, invalid("buyerId %q: there is no such buyer", p.BuyerID)
	}
	if err != nil {
		return store.Order{}, err
	}
	id, err := b.newID(tx, now, fmt.Sprintf("%s %s %s", p.Type, p.LineID, p.Cause))
	if err != nil {
		return store.Order{}, err
	}
	o := store.Order{
		OrderID: id, SellerID: p.Product.SellerID, ProductCode: p.Product.Code, BuyerID: p.BuyerID, LineID: p.LineID,
		Type: p.Type, Status: p.Status, CreatedAt: now, Document: order.Document(id, p.Type, now, buyer.Info, p.Lines...),
	}
	if o.LineID == "" {
		o.LineID = order.LineID(id, 1)
	}
	if o.Status == "" {
		o.Status = sandboxapi.OrderProcessing
	}
	if err := errors.Join(tx.AddOrder(o), placed(tx, o)); err != nil {
		return o, err
	}
	if o.Status == sandboxapi.OrderCompleted && b.cfg.Market != nil { // nothing has to be delivered
		for _, line := range o.Document.OrderLine {
			if err := b.cfg.Market.LineCompleted(tx, store.SaleOf(o, line), now); err != nil {
				return o, err
			}
		}
	}
	if !p.Product.OrderNotify {
		return o, nil
	}
	return o, b.notify(tx, o, now)
}

// notify tells the ISV of an order, each of its lines in one notice. They are no part of any instance's calls, so that a notice which
// fails holds nothing up.
func (b *Book) notify(tx *store.Tx, o store.Order, now time.Time) error {
	about := store.About{Subject: "order/" + o.OrderID, SellerID: o.SellerID, ProductCode: o.ProductCode}
	var calls []lifecycle.Call
	for _, l := range o.Document.OrderLine {
		calls = append(calls, lifecycle.Call{Activity: providerapi.ActivityOrderNotify, OrderID: o.OrderID, Body: providerapi.OrderNotifyCall{
			Activity: providerapi.ActivityOrderNotify, OrderID: o.OrderID, OrderLineID: l.OrderLineID,
		}})
	}
	return tx.AddCalls(about, now, calls)
}

// lifecycleOrder names the n-th line of an order, counted from 0.
func lifecycleOrder(o store.Order, n int) lifecycle.Order {
	return lifecycle.Order{OrderID: o.OrderID, OrderLineID: o.Document.OrderLine[n].OrderLineID, Paid: o.CreatedAt}
}

// Accept refuses an instance id that the ISV gave to another order line already: the marketplace tells its instances apart by it.
func (b *Book) Accept(tx *store.Tx, call store.Call, r *delivery.Result) error {
	switch call.Call.Activity {
	case providerapi.ActivityQueryInstance:
		i, err := tx.Instance(call.LineID)
		if err == nil && delivery.Metered(i) && len(r.Usage) == 0 {
			r.MissUsage()
		}
		return err
	case providerapi.ActivityNewInstance:
	default:
		return nil
	}
	other, err := tx.InstanceIDTaken(call.SellerID, r.Lifecycle.InstanceID, call.LineID)
	if err != nil || other == "" {
		return err
	}
	r.Outcome = sandboxapi.AttemptInvalidAnswer
	r.Detail = "instanceId is that of order line " + other + " already; every order line needs its own"
	return nil
}

// Ended moves the instance on after a call about it.
func (b *Book) Ended(tx *store.Tx, call store.Call, r delivery.Result, succeeded bool, now time.Time) error {
	i, err := tx.Instance(call.LineID)
	if err != nil {
		return err
	}
	if !succeeded && call.Status == sandboxapi.CallWaiting && delivers(call) && b.cfg.Market != nil {
		return b.cfg.Market.DeliveryFailed(tx, call.LineID, call.SellerID, call.ProductCode, now)
	}
	before := i.Status
	var effect lifecycle.Effect
	if succeeded {
		effect = i.Succeeded(call.Call, r.Lifecycle)
	} else {
		effect = i.GaveUp(call.Call)
	}
	return errors.Join(b.apply(tx, &i, call.Call, effect, now), tx.PutInstance(i), changed(tx, before, i, now))
}

// delivers tells whether a call is part of the delivery of what was bought.
func delivers(call store.Call) bool {
	if call.Subject != call.LineID { // a call that was sent again, or that somebody asked for
		return false
	}
	return call.Call.Activity == providerapi.ActivityNewInstance || call.Call.Activity == providerapi.ActivityQueryInstance
}

// GoesBack tells whether a call that failed for good waits for a restart, rather than failing its order.
func (b *Book) GoesBack(tx *store.Tx, call store.Call, now time.Time) (bool, error) {
	if b.cfg.Market == nil || !delivers(call) {
		return false, nil
	}
	return b.cfg.Market.GoesBack(tx, call.SellerID, now)
}

func (b *Book) apply(tx *store.Tx, i *lifecycle.Instance, call lifecycle.Call, e lifecycle.Effect, now time.Time) error {
	// Only the order that created the instance has a line that is named like it; every other has one line.
	lineID := order.LineID(call.OrderID, 1)
	if call.OrderID == i.OrderID {
		lineID = i.OrderLineID
	}
	if e.OrderCompleted {
		if err := b.endLine(tx, i, call.OrderID, lineID, sandboxapi.OrderCompleted, now); err != nil {
			return err
		}
		if call.Activity == providerapi.ActivityUpgradeInstance {
			if err := upgraded(tx, i, call.OrderID); err != nil {
				return err
			}
		}
	}
	if e.OrderFailed {
		if err := b.endLine(tx, i, call.OrderID, lineID, sandboxapi.OrderFailed, now); err != nil {
			return err
		}
	}
	calls := e.Calls
	if e.Unsubscribe {
		o, err := b.refund(tx, i)
		if err != nil {
			return err
		}
		calls = append(calls, i.ReleaseAfterFailure(lifecycleOrder(o, 0)))
	}
	return tx.AddCalls(store.AboutInstance(*i), now, calls)
}

// upgraded gives an instance the product of its upgrade order.
func upgraded(tx *store.Tx, i *lifecycle.Instance, orderID string) error {
	o, err := tx.Order(orderID)
	if err != nil {
		return err
	}
	p := o.Document.OrderLine[0].ProductInfo[0]
	i.Product.SKUCode, i.Product.ProductID, i.Product.Quantity = p.SKUCode, p.ProductID, p.LinearValue
	return nil
}

// refund places the order by which the marketplace itself unsubscribes an instance that never became ready.
func (b *Book) refund(tx *store.Tx, i *lifecycle.Instance) (store.Order, error) {
	product, line, err := lineOf(tx, *i)
	if err != nil {
		return store.Order{}, err
	}
	if err := giveBack(tx, &line, i.OrderLineID); err != nil {
		return store.Order{}, err
	}
	return b.Place(tx, Placement{
		Type: marketplaceapi.OrderUnsubscribe, Product: product, BuyerID: i.BuyerID, LineID: i.OrderLineID, Cause: "failed", Lines: []order.Line{line},
	})
}

// giveBack makes a line return what another one cost.
func giveBack(tx *store.Tx, line *order.Line, paidLineID string) error {
	_, paid, err := tx.OrderOfLine(paidLineID)
	if err != nil {
		return err
	}
	for _, a := range []struct {
		to   *order.Amount
		from string
	}{{&line.Full, paid.Currency}, {&line.Paid, paid.CurrencyAfterDiscount}} {
		amount, err := order.ParseAmount(a.from)
		if err != nil { // an order from outside says nothing of money
			continue
		}
		*a.to = amount.Negative()
	}
	return nil
}

// lineOf describes an instance as a line of a new order about it, which costs nothing.
func lineOf(tx *store.Tx, i lifecycle.Instance) (catalogue.Product, order.Line, error) {
	line := order.Line{Product: i.Product, ChargingMode: i.ChargingMode, Expire: i.ExpireTime}
	product, err := tx.Product(i.ProductCode)
	if errors.Is(err, store.ErrNotFound) {
		return product, line, invalid("product %s of this instance is no longer there", i.ProductCode)
	}
	if err != nil {
		return product, line, err
	}
	sku, ok := product.SKU(i.Product.SKUCode)
	if !ok { // an instance from outside, or a SKU that was dropped since
		return product, line, nil
	}
	for _, item := range sku.Items {
		if item.ProductID == i.Product.ProductID {
			line.Name = product.Name + ", " + item.Name
		}
	}
	return product, line, nil
}
