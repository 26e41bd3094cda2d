package orderbook

import (
	"context"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// registeredProduct is the product that orders from outside count as, whatever they name.
const registeredProduct = "demo"

// Register adds an order from outside, for a judge: order query answers it, and nothing is delivered for it.
func (b *Book) Register(ctx context.Context, doc marketplaceapi.OrderInfo) error {
	if doc.OrderID == "" || len(doc.OrderLine) == 0 {
		return invalid("an order needs an id and a line")
	}
	for _, line := range doc.OrderLine {
		if line.OrderLineID == "" || len(line.ProductInfo) == 0 {
			return invalid("every order line needs an id and a product")
		}
	}
	return b.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		return tx.AddOrder(store.Order{
			OrderID: doc.OrderID, SellerID: catalogue.DemoSeller, ProductCode: registeredProduct, BuyerID: catalogue.DemoBuyer.ID,
			LineID: doc.OrderLine[0].OrderLineID, Type: doc.OrderType, Status: sandboxapi.OrderCompleted, CreatedAt: b.cfg.Clock.Now(), Document: doc,
		})
	})
}

// RegisterInstance says that the ISV has opened an instance for a line of a registered order.
func (b *Book) RegisterInstance(ctx context.Context, lineID, instanceID string) error {
	return b.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		o, line, err := tx.OrderOfLine(lineID)
		if err != nil {
			return err
		}
		product := line.ProductInfo[0]
		i, _ := lifecycle.New(lifecycle.Order{OrderID: o.OrderID, OrderLineID: lineID, Paid: o.CreatedAt}, lifecycle.Terms{
			SellerID: o.SellerID, ProductCode: o.ProductCode, BuyerID: o.BuyerID, ChargingMode: line.ChargingMode,
			Product: lifecycle.Product{SKUCode: product.SKUCode, ProductID: product.ProductID, Quantity: product.LinearValue},
		})
		i.InstanceID, i.Status = instanceID, sandboxapi.InstanceReady
		return tx.PutInstance(i)
	})
}
