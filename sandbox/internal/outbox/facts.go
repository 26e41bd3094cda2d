package outbox

import (
	"errors"
	"fmt"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// facts collects what a call's access interface wants to know besides the call. V2 is content with the call; only the answer to
// queryInstance is judged by how the instance is charged, for calls that are delivered by the handler that accepts them.
func (o *Outbox) facts(tx *store.Tx, access catalogue.Access, call store.Call, asked bool) (f delivery.Facts, err error) {
	query := call.Call.Activity == providerapi.ActivityQueryInstance
	if access != catalogue.AccessV1 && (!query || !asked) {
		return f, nil
	}
	if call.LineID != "" {
		if f.Instance, err = tx.Instance(call.LineID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return f, fmt.Errorf("instance %s: %w", call.LineID, err)
		}
	}
	if access != catalogue.AccessV1 {
		return f, nil
	}
	if call.Debug {
		return o.debugFacts(tx, call)
	}
	product, err := tx.Product(call.ProductCode)
	if err != nil {
		return f, fmt.Errorf("product %s: %w", call.ProductCode, err)
	}
	if sku, ok := product.SKU(f.Instance.Product.SKUCode); ok {
		f.Linear = sku.Linear
	}
	orderID := call.Call.OrderID
	if query || orderID == "" {
		orderID = f.Instance.OrderID
	}
	placed, err := tx.Order(orderID)
	if errors.Is(err, store.ErrNotFound) {
		return f, nil // what V1 needs of it is told missing when the call is prepared
	}
	f.Order, f.Accepted = placed.Document, placed.AcceptedAt
	if orderID == f.Instance.OrderID {
		f.OrderLineID = f.Instance.OrderLineID
	}
	return f, err
}

// debugFacts: a debug call is about a mock order and the instance that it would have made.
func (o *Outbox) debugFacts(tx *store.Tx, call store.Call) (f delivery.Facts, err error) {
	mock, ok := order.Mock(call.Call.OrderID)
	if !ok {
		return f, nil
	}
	f.Order = mock
	f.Instance.OrderID, f.Instance.ChargingMode = mock.OrderID, mock.OrderLine[0].ChargingMode
	product, err := tx.Product(call.ProductCode)
	if err != nil {
		return f, fmt.Errorf("product %s: %w", call.ProductCode, err)
	}
	for _, sku := range product.SKUs {
		if sku.Linear != "" {
			f.Linear = sku.Linear
		}
	}
	return f, nil
}
