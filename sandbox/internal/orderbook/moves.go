package orderbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// move changes an instance and queues the calls that the change yields.
func (b *Book) move(ctx context.Context, lineID string, f func(tx *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error)) (i lifecycle.Instance, err error) {
	err = b.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		i, err = b.moveIn(tx, lineID, f)
		return err
	})
	return i, err
}

func (b *Book) moveIn(tx *store.Tx, lineID string, f func(tx *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error)) (lifecycle.Instance, error) {
	i, err := tx.Instance(lineID)
	if err != nil {
		return i, err
	}
	before := i.Status
	calls, err := f(tx, &i)
	if err != nil {
		return i, err
	}
	now := b.cfg.Clock.Now()
	return i, errors.Join(tx.PutInstance(i), changed(tx, before, i, now), tx.AddCalls(store.AboutInstance(i), now, calls))
}

// about places an order of one line about an instance.
func (b *Book) about(tx *store.Tx, i *lifecycle.Instance, kind marketplaceapi.OrderType, product catalogue.Product, line order.Line) (store.Order, error) {
	return b.Place(tx, Placement{
		Type: kind, Product: product, BuyerID: i.BuyerID, LineID: i.OrderLineID, Cause: b.cfg.Clock.Now().String(), Lines: []order.Line{line},
	})
}

// Change is what a buyer wants of an instance that exists. Empty fields leave it as it is.
type Change struct {
	Period   string // such as 1y; empty: what is usual for the SKU
	SKUCode  string
	Quantity int
}

// changes tells whether SKU or quantity change.
func (c Change) changes(i lifecycle.Instance) bool {
	return c.SKUCode != "" && c.SKUCode != i.Product.SKUCode || c.Quantity != 0 && c.Quantity != i.Product.Quantity
}

// target describes what an instance becomes by a change, as a line of an order. With time true the order buys time too, from the end
// of what is paid for; an instance that has expired begins anew, as nobody pays for the time that it was frozen.
func (b *Book) target(tx *store.Tx, i lifecycle.Instance, c Change, buysTime bool) (catalogue.Product, order.Line, error) {
	product, line, err := lineOf(tx, i)
	if err != nil {
		return product, line, err
	}
	code := i.Product.SKUCode
	if c.SKUCode != "" {
		code = c.SKUCode
	}
	quantity := max(i.Product.Quantity, 1)
	if c.Quantity != 0 {
		quantity = c.Quantity
	}
	sku, ok := product.SKU(code)
	switch {
	case !ok:
		return product, line, invalid("skuCode %q: product %s has no such SKU", code, product.Code)
	case sku.ChargingMode != i.ChargingMode:
		return product, line, invalid("skuCode: %s is charged %s, the instance %s", code, sku.ChargingMode, i.ChargingMode)
	}
	if err := order.CheckQuantity(sku, quantity); err != nil {
		return product, line, err
	}
	period := order.Period{Type: i.Product.PeriodType}
	if buysTime {
		if period, err = chosen(sku, c.Period); err != nil {
			return product, line, err
		}
	}
	item := sku.Items[0]
	if sku.ChargingMode == marketplaceapi.ChargingPeriod {
		if item, err = sku.Item(period.Type); err != nil {
			return product, line, err
		}
	}
	expire := i.ExpireTime
	if line, err = order.NewLine(product, sku, item, quantity, period); err != nil {
		return product, line, err
	}
	if buysTime {
		expire = period.ExpireFrom(later(expire, b.cfg.Clock.Now()))
	}
	line.Expire = expire
	return product, line, nil
}

func chosen(sku catalogue.SKU, period string) (order.Period, error) {
	if period == "" {
		return order.UsualPeriod(sku), nil
	}
	return order.ParsePeriod(period)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Renew renews. If SKU or quantity change as well, the ISV is asked first, and only if it allows that the order is placed.
func (b *Book) Renew(ctx context.Context, lineID string, c Change) (o store.Order, i lifecycle.Instance, err error) {
	if i, err = b.cfg.Store.Instance(ctx, lineID); err != nil {
		return o, i, err
	}
	withChange := c.changes(i)
	if withChange {
		answer, err := b.CheckChange(ctx, lineID, c)
		if err != nil {
			return o, i, err
		}
		if !answer.Allowed {
			return o, i, &Refusal{ChangeRefused, "the ISV does not allow to combine the renewal with this change, so no order was placed: " + answer.Detail}
		}
	}
	i, err = b.move(ctx, lineID, func(tx *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error) {
		can, do := i.CanRenew, i.Renew
		if withChange {
			can, do = i.CanRenewWithChange, i.RenewWithChange
		}
		if err := can(); err != nil {
			return nil, err
		}
		product, line, err := b.target(tx, *i, c, true)
		if err != nil {
			return nil, err
		}
		if o, err = b.about(tx, i, marketplaceapi.OrderRenew, product, line); err != nil {
			return nil, err
		}
		return do(lifecycleOrder(o, 0), line.Product, line.Expire)
	})
	return o, i, err
}

// Answer is what the ISV says to a change that the buyer wants to combine with a renewal.
type Answer struct {
	Allowed    bool
	ResultCode string
	Detail     string
	CallID     int64
}

// CheckChange asks the ISV whether a renewal may be combined with a change. It fails if the ISV cannot be asked, or gives no answer.
func (b *Book) CheckChange(ctx context.Context, lineID string, c Change) (Answer, error) {
	var i lifecycle.Instance
	var body providerapi.ChangeInstanceCheckCall
	err := b.cfg.Store.UpdateQuietly(ctx, func(tx *store.Tx) (err error) {
		if i, err = tx.Instance(lineID); err != nil {
			return err
		}
		if err := i.CanRenewWithChange(); err != nil {
			return err
		}
		product, line, err := b.target(tx, i, c, true)
		if err != nil {
			return err
		}
		if !c.changes(i) {
			return invalid("the instance is of that SKU and quantity already")
		}
		if !product.ChangeCheck {
			return &Refusal{NoChangeCheck, "product " + product.Code + " offers no renewal with a change; renew and upgrade one after the other"}
		}
		info, err := json.Marshal(providerapi.TargetProduct{
			ProductID: line.Product.ProductID, SKUCode: line.Product.SKUCode, LinearValue: line.Product.Quantity, ProductName: line.Name,
		})
		body = providerapi.ChangeInstanceCheckCall{Activity: providerapi.ActivityChangeInstanceCheck, InstanceID: i.InstanceID, ProductInfo: info}
		return err
	})
	if err != nil {
		return Answer{}, err
	}
	about := store.AboutInstance(i)
	about.Subject = "check/" + i.OrderLineID // the buyer waits; it overtakes what waits for the instance
	call, r, err := b.cfg.Asker.Ask(ctx, about, lifecycle.Call{Activity: providerapi.ActivityChangeInstanceCheck, Body: body}, false)
	if err != nil {
		return Answer{}, err
	}
	switch {
	case r.Outcome == sandboxapi.AttemptSucceeded:
		return Answer{Allowed: true, ResultCode: r.ResultCode, CallID: call.ID}, nil
	case r.ResultCode != "":
		return Answer{ResultCode: r.ResultCode, Detail: r.Detail, CallID: call.ID}, nil
	}
	return Answer{}, &Refusal{NoAnswer, fmt.Sprintf("the ISV was asked whether the change is allowed (call %d) and gave no answer: %s; no order was placed", call.ID, r.Detail)}
}

// CancelRenewal takes back the latest renewal, as long as the time that it bought has not begun.
func (b *Book) CancelRenewal(ctx context.Context, lineID string) (o store.Order, i lifecycle.Instance, err error) {
	i, err = b.move(ctx, lineID, func(tx *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error) {
		r, err := i.Cancellable(b.cfg.Clock.Now())
		if err != nil {
			return nil, err
		}
		product, line, err := lineOf(tx, *i)
		if err != nil {
			return nil, err
		}
		line.Expire = r.From
		if r.Product.PeriodType != line.Product.PeriodType {
			line.Product = r.Product
		}
		if err := giveBack(tx, &line, order.LineID(r.OrderID, 1)); err != nil {
			return nil, err
		}
		if b.cfg.Market != nil {
			if _, err := b.cfg.Market.Refund(tx, *i, order.LineID(r.OrderID, 1), b.cfg.Clock.Now()); err != nil {
				return nil, err
			}
		}
		if o, err = b.about(tx, i, marketplaceapi.OrderUnsubscribe, product, line); err != nil {
			return nil, err
		}
		return i.CancelRenewal(lifecycleOrder(o, 0))
	})
	return o, i, err
}

// Convert makes a trial formal. The formal time begins now, and what is left of the trial is given up.
func (b *Book) Convert(ctx context.Context, lineID, period string) (o store.Order, i lifecycle.Instance, err error) {
	i, err = b.move(ctx, lineID, func(tx *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error) {
		if err := i.CanConvert(); err != nil {
			return nil, err
		}
		trial := *i
		trial.ExpireTime = time.Time{}
		product, line, err := b.target(tx, trial, Change{Period: period}, true)
		if err != nil {
			return nil, err
		}
		if o, err = b.about(tx, i, marketplaceapi.OrderTrialToFormal, product, line); err != nil {
			return nil, err
		}
		return i.Convert(lifecycleOrder(o, 0), line.Product, line.Expire)
	})
	return o, i, err
}

// Upgrade orders another SKU or quantity.
func (b *Book) Upgrade(ctx context.Context, lineID string, c Change) (o store.Order, i lifecycle.Instance, err error) {
	i, err = b.move(ctx, lineID, func(tx *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error) {
		if err := i.CanUpgrade(); err != nil {
			return nil, err
		}
		product, line, err := b.target(tx, *i, c, false)
		if err != nil {
			return nil, err
		}
		if !c.changes(*i) {
			return nil, invalid("the instance is of that SKU and quantity already")
		}
		if o, err = b.about(tx, i, marketplaceapi.OrderChange, product, line); err != nil {
			return nil, err
		}
		return i.Upgrade(lifecycleOrder(o, 0))
	})
	return o, i, err
}

// Release unsubscribes.
func (b *Book) Release(ctx context.Context, lineID string) (o store.Order, i lifecycle.Instance, err error) {
	i, err = b.move(ctx, lineID, func(tx *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error) {
		if err := i.CanUnsubscribe(); err != nil {
			return nil, err
		}
		product, line, err := lineOf(tx, *i)
		if err != nil {
			return nil, err
		}
		if b.cfg.Market != nil {
			back, err := b.cfg.Market.Refund(tx, *i, "", b.cfg.Clock.Now())
			if err != nil {
				return nil, err
			}
			line.Full, line.Paid = back.Negative(), back.Negative()
		}
		if o, err = b.about(tx, i, marketplaceapi.OrderUnsubscribe, product, line); err != nil {
			return nil, err
		}
		return i.Unsubscribe(lifecycleOrder(o, 0))
	})
	return o, i, err
}

// Freeze freezes for a violation, or because the buyer owes money.
func (b *Book) Freeze(ctx context.Context, lineID string) (lifecycle.Instance, error) {
	return b.move(ctx, lineID, func(_ *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Freeze() })
}

// Unfreeze ends a violation.
func (b *Book) Unfreeze(ctx context.Context, lineID string) (lifecycle.Instance, error) {
	return b.move(ctx, lineID, func(_ *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error) { return i.Unfreeze() })
}

// UsedUp says that nothing is left in a package. One that stops then is released. It says nothing against a package that is used up, or
// gone, already.
func (b *Book) UsedUp(tx *store.Tx, lineID string) error {
	_, err := b.moveIn(tx, lineID, func(_ *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error) {
		if i.Package.UsedUp || i.Intent == sandboxapi.InstanceReleased {
			return nil, nil
		}
		return i.UseUp()
	})
	return err
}

// Tick does what time demands of an instance.
func (b *Book) Tick(ctx context.Context, lineID string) error {
	_, err := b.move(ctx, lineID, func(_ *store.Tx, i *lifecycle.Instance) ([]lifecycle.Call, error) {
		return i.Tick(b.cfg.Clock.Now()), nil
	})
	return err
}
