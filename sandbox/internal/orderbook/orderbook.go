// Package orderbook carries the marketplace's business out: it applies what buyers, the operator, time and the ISV's answers
// do to the rules of package lifecycle, and writes state and calls in one transaction.
package orderbook

import (
	"context"
	"errors"
	"fmt"
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
var ErrInvalid = errors.New("invalid")

// Book is the order book. It is the handler of the calls about instances, see package outbox.
type Book struct {
	store *store.Store
	clock *clock.Clock
}

// New gives a book.
func New(s *store.Store, c *clock.Clock) *Book { return &Book{store: s, clock: c} }

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
	i.SellerID, i.ProductCode, i.BuyerID = catalogue.DemoSeller, "demo", catalogue.DemoBuyer.ID
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.AddOrder(o), tx.PutInstance(i), tx.AddCalls(store.AboutInstance(i), now, calls))
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
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		if i, err = tx.Instance(lineID); err != nil {
			return err
		}
		now := b.clock.Now()
		calls, err := f(tx, &i, now)
		if err != nil {
			return err
		}
		return errors.Join(tx.PutInstance(i), tx.AddCalls(store.AboutInstance(i), now, calls))
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

// Accept refuses an instance id that another order line got already: the marketplace tells instances apart by it.
func (b *Book) Accept(tx *store.Tx, call store.Call, r *delivery.Result) error {
	if call.Call.Activity != providerapi.ActivityNewInstance {
		return nil
	}
	other, err := tx.InstanceByID(r.Lifecycle.InstanceID)
	if errors.Is(err, store.ErrNotFound) || err == nil && other.OrderLineID == call.LineID {
		return nil
	}
	if err != nil {
		return err
	}
	r.Outcome = sandboxapi.AttemptInvalidAnswer
	r.Detail = "instanceId is that of order line " + other.OrderLineID + " already; every order line needs its own"
	return nil
}

// Ended moves the instance on after a call about it.
func (b *Book) Ended(tx *store.Tx, call store.Call, r delivery.Result, succeeded bool, now time.Time) error {
	i, err := tx.Instance(call.LineID)
	if err != nil {
		return err
	}
	var effect lifecycle.Effect
	if succeeded {
		effect = i.Succeeded(call.Call, r.Lifecycle)
	} else {
		effect = i.GaveUp(call.Call)
	}
	return errors.Join(b.apply(tx, &i, call.Call, effect, now), tx.PutInstance(i))
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
	return tx.AddCalls(store.AboutInstance(*i), now, calls)
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
	return b.store.Update(ctx, func(tx *store.Tx) error {
		o := newOrder(doc, doc.OrderLine[0].OrderLineID, now)
		o.Status = sandboxapi.OrderCompleted
		return tx.AddOrder(o)
	})
}

// RegisterInstance says that the ISV has opened an instance for a line of a registered order.
func (b *Book) RegisterInstance(ctx context.Context, lineID, instanceID string) error {
	return b.store.Update(ctx, func(tx *store.Tx) error {
		o, line, err := tx.OrderOfLine(lineID)
		if err != nil {
			return err
		}
		product := line.ProductInfo[0]
		i, _ := lifecycle.New(lifecycle.Order{OrderID: o.OrderID, OrderLineID: lineID}, line.ChargingMode, lifecycle.Product{
			SKUCode: product.SKUCode, ProductID: product.ProductID, Quantity: product.LinearValue,
		}, o.CreatedAt, time.Time{})
		i.SellerID, i.ProductCode, i.BuyerID = catalogue.DemoSeller, "demo", catalogue.DemoBuyer.ID
		i.InstanceID, i.Status = instanceID, sandboxapi.InstanceReady
		return tx.PutInstance(i)
	})
}
