package orderbook

import (
	"errors"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// placed tells of a new order. That of a licence is completed with it.
func placed(tx *store.Tx, o store.Order) error {
	e := event.Order{SellerID: o.SellerID, OrderID: o.OrderID, Type: string(o.Type), Line: o.LineID}
	err := tx.AddEvent(event.OrderPlaced(e, o.CreatedAt))
	if o.Status == sandboxapi.OrderCompleted {
		err = errors.Join(err, tx.AddEvent(event.OrderCompleted(e, o.CreatedAt)))
	}
	return err
}

// changed tells of an instance's new status, if it has another one than before.
func changed(tx *store.Tx, before sandboxapi.InstanceStatus, i lifecycle.Instance, now time.Time) error {
	if i.Status == before {
		return nil
	}
	return tx.AddEvent(event.InstanceChanged(i.SellerID, i.OrderLineID, i.InstanceID, before, i.Status, now))
}

// endLine writes how an order line ended, and what follows if its order failed with that.
func (b *Book) endLine(tx *store.Tx, i *lifecycle.Instance, orderID, lineID string, status sandboxapi.OrderStatus, now time.Time) error {
	ended, err := tx.EndOrderLine(orderID, lineID, status, now)
	if err == nil && status == sandboxapi.OrderCompleted && b.cfg.Market != nil {
		return b.delivered(tx, i, lineID, now)
	}
	if err != nil || ended != sandboxapi.OrderFailed || b.cfg.OrderFailed == nil {
		return err
	}
	return b.cfg.OrderFailed(tx, i.ProductCode, orderID, now)
}

// delivered tells the market that a line was delivered.
func (b *Book) delivered(tx *store.Tx, i *lifecycle.Instance, lineID string, now time.Time) error {
	sale, err := tx.Sale(lineID)
	if err != nil {
		return err
	}
	err = b.cfg.Market.LineCompleted(tx, sale, now)
	if lineID == i.OrderLineID {
		err = errors.Join(err, b.cfg.Market.DeliveryRepaired(tx, lineID, i.SellerID, i.ProductCode, now))
	}
	return err
}
