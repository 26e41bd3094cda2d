// Package orderbook carries the marketplace's business out: it applies what buyers, the operator, time and the ISV's answers
// do to the rules of package lifecycle, and writes state and calls in one transaction.
package orderbook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// ErrInvalid is wrapped by errors about what was asked for.
var ErrInvalid = errors.New("invalid")

// Book is the order book.
type Book struct {
	store *store.Store
	clock *clock.Clock

	mu      sync.Mutex
	changed chan struct{}
	wake    func()
}

// New gives a book. wake is called after every change that may have made something due.
func New(s *store.Store, c *clock.Clock, wake func()) *Book {
	return &Book{store: s, clock: c, changed: make(chan struct{}), wake: wake}
}

// Changed gives a channel that is closed at the next change of anything.
func (b *Book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// update runs f in a transaction; afterwards whoever waits looks again.
func (b *Book) update(ctx context.Context, f func(tx *store.Tx) error) error {
	if err := b.store.Update(ctx, f); err != nil {
		return err
	}
	b.mu.Lock()
	close(b.changed)
	b.changed = make(chan struct{})
	b.mu.Unlock()
	b.wake()
	return nil
}

// Purchase is what a buyer asks for.
type Purchase struct {
	SKUCode      string
	Period       string // such as 1y; empty: 1y where something expires
	Quantity     int    // 0: 1
	ExtendParams map[string]string
}

// Buy places and pays an order.
func (b *Book) Buy(ctx context.Context, p Purchase) (store.Order, lifecycle.Instance, error) {
	product, err := order.FindProduct(p.SKUCode)
	if err != nil {
		return store.Order{}, lifecycle.Instance{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	now := b.clock.Now()
	line := order.Line{Product: product, Quantity: max(p.Quantity, 1), ExtendParams: p.ExtendParams}
	switch {
	case order.Expires(product.ChargingMode):
		if line.Period, err = order.ParsePeriod(orDefault(p.Period, "1y")); err != nil {
			return store.Order{}, lifecycle.Instance{}, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		line.Expire = line.Period.ExpireFrom(now)
	case p.Period != "":
		return store.Order{}, lifecycle.Instance{}, fmt.Errorf("%w: period: %s is charged %s and has none", ErrInvalid, p.SKUCode, product.ChargingMode)
	}
	doc := order.Document(order.NewID(now), marketplaceapi.OrderNew, now, line)
	o := newOrder(doc, doc.OrderLine[0].OrderLineID, now)
	i, calls := lifecycle.New(lifecycleOrder(o), product.ChargingMode, order.ProductOf(doc), now, line.Expire)
	err = b.update(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.AddOrder(o), tx.PutInstance(i), tx.AddCalls(i.OrderLineID, now, calls))
	})
	return o, i, err
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

func newOrder(doc marketplaceapi.OrderInfo, lineID string, now time.Time) store.Order {
	return store.Order{OrderID: doc.OrderID, LineID: lineID, Type: doc.OrderType, Status: sandboxapi.OrderProcessing, CreatedAt: now, Document: doc}
}

func lifecycleOrder(o store.Order) lifecycle.Order {
	return lifecycle.Order{OrderID: o.OrderID, OrderLineID: o.Document.OrderLine[0].OrderLineID, Type: o.Type}
}

// move changes an instance and queues the calls that the change yields.
func (b *Book) move(ctx context.Context, lineID string, f func(tx *store.Tx, i *lifecycle.Instance, now time.Time) ([]lifecycle.Call, error)) (i lifecycle.Instance, err error) {
	err = b.update(ctx, func(tx *store.Tx) error {
		if i, err = tx.Instance(lineID); err != nil {
			return err
		}
		now := b.clock.Now()
		calls, err := f(tx, &i, now)
		if err != nil {
			return err
		}
		return errors.Join(tx.PutInstance(i), tx.AddCalls(lineID, now, calls))
	})
	return i, err
}

// lineOf describes an instance as a line of a new order about it.
func lineOf(i lifecycle.Instance) order.Line {
	product, err := order.FindProduct(i.Product.SKUCode)
	if err != nil { // an instance that was registered from outside the catalogue
		product = order.Product{SKUCode: i.Product.SKUCode, ProductID: i.Product.ProductID, ChargingMode: i.ChargingMode}
	}
	return order.Line{Product: product, Quantity: max(i.Product.Quantity, 1), Expire: i.ExpireTime}
}

// Renew renews by a period such as 1y.
func (b *Book) Renew(ctx context.Context, lineID, period string) (o store.Order, i lifecycle.Instance, err error) {
	p, err := order.ParsePeriod(orDefault(period, "1y"))
	if err != nil {
		return o, i, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	i, err = b.move(ctx, lineID, func(tx *store.Tx, i *lifecycle.Instance, now time.Time) ([]lifecycle.Call, error) {
		line := lineOf(*i)
		line.Period = p
		// Who renews late pays from now on, not for the time the instance was frozen.
		from := i.ExpireTime
		if now.After(from) {
			from = now
		}
		line.Expire = p.ExpireFrom(from)
		o = newOrder(order.Document(order.NewID(now), marketplaceapi.OrderRenew, now, line), lineID, now)
		calls, err := i.Renew(lifecycleOrder(o), line.Expire)
		if err != nil {
			return nil, err
		}
		return calls, tx.AddOrder(o)
	})
	return o, i, err
}

// Upgrade orders another product or quantity.
func (b *Book) Upgrade(ctx context.Context, lineID, sku string, quantity int) (o store.Order, i lifecycle.Instance, err error) {
	i, err = b.move(ctx, lineID, func(tx *store.Tx, i *lifecycle.Instance, now time.Time) ([]lifecycle.Call, error) {
		line := lineOf(*i)
		if sku != "" {
			if line.Product, err = order.FindProduct(sku); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
			}
			if line.Product.ChargingMode != i.ChargingMode {
				return nil, fmt.Errorf("%w: skuCode: %s is charged %s, the instance %s", ErrInvalid, sku, line.Product.ChargingMode, i.ChargingMode)
			}
		}
		if quantity > 0 {
			line.Quantity = quantity
		}
		if line.Product.SKUCode == i.Product.SKUCode && line.Quantity == i.Product.Quantity {
			return nil, fmt.Errorf("%w: the instance is of that product and quantity already", ErrInvalid)
		}
		o = newOrder(order.Document(order.NewID(now), marketplaceapi.OrderChange, now, line), lineID, now)
		calls, err := i.Upgrade(lifecycleOrder(o))
		if err != nil {
			return nil, err
		}
		return calls, tx.AddOrder(o)
	})
	return o, i, err
}

// Release unsubscribes.
func (b *Book) Release(ctx context.Context, lineID string) (o store.Order, i lifecycle.Instance, err error) {
	i, err = b.move(ctx, lineID, func(tx *store.Tx, i *lifecycle.Instance, now time.Time) ([]lifecycle.Call, error) {
		o = newOrder(order.Document(order.NewID(now), marketplaceapi.OrderUnsubscribe, now, lineOf(*i)), lineID, now)
		calls, err := i.Unsubscribe(lifecycleOrder(o))
		if err != nil {
			return nil, err
		}
		return calls, tx.AddOrder(o)
	})
	return o, i, err
}

// Freeze freezes for a violation.
func (b *Book) Freeze(ctx context.Context, lineID string) (lifecycle.Instance, error) {
	return b.move(ctx, lineID, func(_ *store.Tx, i *lifecycle.Instance, _ time.Time) ([]lifecycle.Call, error) { return i.Freeze() })
}

// Unfreeze ends a violation.
func (b *Book) Unfreeze(ctx context.Context, lineID string) (lifecycle.Instance, error) {
	return b.move(ctx, lineID, func(_ *store.Tx, i *lifecycle.Instance, _ time.Time) ([]lifecycle.Call, error) { return i.Unfreeze() })
}

// Tick does what time demands of an instance.
func (b *Book) Tick(ctx context.Context, lineID string) error {
	_, err := b.move(ctx, lineID, func(_ *store.Tx, i *lifecycle.Instance, now time.Time) ([]lifecycle.Call, error) {
		return i.Tick(now), nil
	})
	return err
}

// Restart sends a call again that is no longer retried, with a fresh timetable.
func (b *Book) Restart(ctx context.Context, callID int64) (call store.Call, err error) {
	err = b.update(ctx, func(tx *store.Tx) error {
		if call, err = tx.Call(callID); err != nil {
			return err
		}
		if call.Status != sandboxapi.CallWaiting {
			return fmt.Errorf("%w: call %d is %s; only a call that is waiting can be restarted", ErrInvalid, callID, call.Status)
		}
		now := b.clock.Now()
		call.Status, call.StartedAt, call.DueAt, call.Tries = sandboxapi.CallPending, now, now, 0
		return tx.UpdateCall(call)
	})
	return call, err
}

// ErrNotDue says that a call is not, or no longer, to be attempted: it was, since the queue looked.
var ErrNotDue = errors.New("the call is not due any more")

// Start journals that an attempt begins, and gives it its number. It fails with ErrNotDue unless the call is still as the queue
// saw it and the first of its instance: what the queue read may be older than the attempt before.
func (b *Book) Start(ctx context.Context, call store.Call, p delivery.Prepared) (a store.Attempt, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		next, err := tx.NextCall(call.LineID)
		if errors.Is(err, store.ErrNotFound) || err == nil && (next.ID != call.ID || next.Attempts != call.Attempts) {
			return ErrNotDue
		}
		if err != nil {
			return err
		}
		call.Attempts++
		a = store.Attempt{
			CallID: call.ID, LineID: call.LineID, Activity: call.Call.Activity, Number: call.Attempts,
			StartedAt: b.clock.Now(), URL: p.Address, RequestBody: string(p.Body),
		}
		if a.ID, err = tx.StartAttempt(a); err != nil {
			return err
		}
		return tx.UpdateCall(call)
	})
	return a, err
}

// Finish journals how an attempt ended and applies it: the instance moves on, or the call is retried, or given up.
func (b *Book) Finish(ctx context.Context, call store.Call, a store.Attempt, r delivery.Result) error {
	return b.update(ctx, func(tx *store.Tx) error {
		now := b.clock.Now()
		i, err := tx.Instance(call.LineID)
		if err != nil {
			return err
		}
		succeeded := r.Succeeded(call.Call.Activity)
		if succeeded && call.Call.Activity == providerapi.ActivityNewInstance {
			if succeeded, err = b.checkUnique(tx, i, &r); err != nil {
				return err
			}
		}
		a.URL, a.Status, a.ContentType, a.ResponseBody, a.Duration = r.URL, r.Status, r.ContentType, r.Answer, r.Duration
		a.Outcome, a.Detail, a.Violations = r.Outcome, r.Detail, r.Violations
		call.Attempts = a.Number
		call.Tries++
		call.ResultCode, call.LastError, call.DueAt = r.ResultCode, "", time.Time{}
		var effect lifecycle.Effect
		if succeeded {
			call.Status = sandboxapi.CallSucceeded
			effect = i.Succeeded(call.Call, r.Lifecycle)
		} else {
			call.LastError = r.Detail
			timetable := lifecycle.TimetableOf(call.Call.Activity)
			if next, again := timetable.Next(call.StartedAt, now, call.Tries); again {
				call.DueAt = next
			} else {
				call.Status = sandboxapi.CallWaiting
				if timetable.Final {
					call.Status = sandboxapi.CallFailed
				}
				effect = i.GaveUp(call.Call)
			}
		}
		return errors.Join(tx.FinishAttempt(a), tx.UpdateCall(call), b.apply(tx, &i, call.Call, effect, now), tx.PutInstance(i))
	})
}

// checkUnique refuses an instance id that another order line got already: the marketplace tells instances apart by it.
func (b *Book) checkUnique(tx *store.Tx, i lifecycle.Instance, r *delivery.Result) (bool, error) {
	other, err := tx.InstanceByID(r.Lifecycle.InstanceID)
	if errors.Is(err, store.ErrNotFound) || err == nil && other.OrderLineID == i.OrderLineID {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	r.Outcome = sandboxapi.AttemptInvalidAnswer
	r.Detail = "instanceId is that of order line " + other.OrderLineID + " already; every order line needs its own"
	return false, nil
}

func (b *Book) apply(tx *store.Tx, i *lifecycle.Instance, call lifecycle.Call, e lifecycle.Effect, now time.Time) error {
	if e.OrderCompleted && call.Activity != providerapi.ActivityNewInstance {
		if err := tx.SetOrderStatus(call.OrderID, sandboxapi.OrderCompleted); err != nil {
			return err
		}
		if call.Activity == providerapi.ActivityUpgradeInstance {
			o, err := tx.Order(call.OrderID)
			if err != nil {
				return err
			}
			i.Product = order.ProductOf(o.Document)
		}
	}
	if e.OrderFailed {
		if err := tx.SetOrderStatus(call.OrderID, sandboxapi.OrderFailed); err != nil {
			return err
		}
	}
	calls := e.Calls
	if e.Unsubscribe {
		o := newOrder(order.Document(order.NewID(now), marketplaceapi.OrderUnsubscribe, now, lineOf(*i)), i.OrderLineID, now)
		if err := tx.AddOrder(o); err != nil {
			return err
		}
		calls = append(calls, i.ReleaseAfterFailure(lifecycleOrder(o)))
	}
	return tx.AddCalls(i.OrderLineID, now, calls)
}

// Register adds an order from outside, for a judge: order query answers it, and nothing is delivered for it.
func (b *Book) Register(ctx context.Context, doc marketplaceapi.OrderInfo) error {
	if doc.OrderID == "" || len(doc.OrderLine) == 0 {
		return fmt.Errorf("%w: an order needs an id and a line", ErrInvalid)
	}
	for _, line := range doc.OrderLine {
		if line.OrderLineID == "" || len(line.ProductInfo) == 0 {
			return fmt.Errorf("%w: every order line needs an id and a product", ErrInvalid)
		}
	}
	now := b.clock.Now()
	return b.update(ctx, func(tx *store.Tx) error {
		o := newOrder(doc, doc.OrderLine[0].OrderLineID, now)
		o.Status = sandboxapi.OrderCompleted
		return tx.AddOrder(o)
	})
}

// RegisterInstance says that the ISV has opened an instance for a line of a registered order.
func (b *Book) RegisterInstance(ctx context.Context, lineID, instanceID string) error {
	return b.update(ctx, func(tx *store.Tx) error {
		o, line, err := tx.OrderOfLine(lineID)
		if err != nil {
			return err
		}
		product := line.ProductInfo[0]
		i, _ := lifecycle.New(lifecycle.Order{OrderID: o.OrderID, OrderLineID: lineID}, line.ChargingMode, lifecycle.Product{
			SKUCode: product.SKUCode, ProductID: product.ProductID, Quantity: product.LinearValue,
		}, o.CreatedAt, time.Time{})
		i.InstanceID, i.Status = instanceID, sandboxapi.InstanceReady
		return tx.PutInstance(i)
	})
}
