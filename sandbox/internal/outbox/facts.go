package outbox

import (
	"errors"
	"fmt"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// facts collects what a call's access interface wants to know besides the call. V2 is content with the call; only the answer to
// queryInstance is judged by how the instance is charged.
func (o *Outbox) facts(tx *store.Tx, access catalogue.Access, call store.Call) (f delivery.Facts, err error) {
	query := call.Call.Activity == providerapi.ActivityQueryInstance
	if access != catalogue.AccessV1 && !query {
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
	order, err := tx.Order(orderID)
	if errors.Is(err, store.ErrNotFound) {
		return f, nil // what V1 needs of it is told missing when the call is prepared
	}
	f.Order, f.Accepted = order.Document, order.AcceptedAt
	if orderID == f.Instance.OrderID {
		f.OrderLineID = f.Instance.OrderLineID
	}
	return f, err
}
