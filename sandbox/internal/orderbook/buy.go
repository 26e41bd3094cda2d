package orderbook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// Purchase is what a buyer asks for.
type Purchase struct {
	Lines           []order.Choice // SKUs of one product
	BuyerID         string         // empty: the demo buyer
	Trial           bool
	DiscountPercent int
}

// Buy places and pays an order. It gives the instances that are being created; there are none for what is sold by licence.
func (b *Book) Buy(ctx context.Context, p Purchase) (o store.Order, instances []lifecycle.Instance, err error) {
	if len(p.Lines) == 0 {
		return o, nil, invalid("lines: expected at least one")
	}
	if p.BuyerID == "" {
		p.BuyerID = catalogue.DemoBuyer.ID
	}
	cause := fmt.Sprintf("buy %d", b.bought.Add(1))
	err = b.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		o, instances, err = b.buy(tx, p, cause)
		return err
	})
	return o, instances, err
}

func (b *Book) buy(tx *store.Tx, p Purchase, cause string) (o store.Order, instances []lifecycle.Instance, err error) {
	product, err := productOf(tx, p.Lines[0].SKUCode)
	if err != nil {
		return o, nil, err
	}
	if err := b.tradable(tx, product); err != nil {
		return o, nil, err
	}
	lines, err := order.Lines(product, p.Lines, order.Terms{Trial: p.Trial, DiscountPercent: p.DiscountPercent, Now: b.cfg.Clock.Now()})
	if err != nil {
		return o, nil, err
	}
	if product.Access == catalogue.AccessV1 {
		if err := tellable(lines); err != nil {
			return o, nil, err
		}
	}
	placement := Placement{Type: marketplaceapi.OrderNew, Product: product, BuyerID: p.BuyerID, Cause: cause, Lines: lines}
	if p.Trial {
		placement.Type = marketplaceapi.OrderTrial
	}
	if product.License {
		placement.Status = sandboxapi.OrderCompleted // the code is there; nothing has to be done by the ISV
	}
	onAcceptance := product.Provision == catalogue.OnAcceptance
	if onAcceptance {
		placement.Status = sandboxapi.OrderAwaitingAcceptance
		for n := range lines { // nothing runs before the buyer accepts
			lines[n].Expire = time.Time{}
		}
	}
	if o, err = b.Place(tx, placement); err != nil {
		return o, nil, err
	}
	if product.License {
		for n, line := range lines {
			if err := b.cfg.Licences.Issue(tx, o, n, line, product); err != nil {
				return o, nil, err
			}
		}
		return o, nil, nil
	}
	for n, line := range lines {
		i, calls := lifecycle.New(lifecycleOrder(o, n), lifecycle.Terms{
			SellerID: product.SellerID, ProductCode: product.Code, BuyerID: p.BuyerID, ChargingMode: line.ChargingMode, Product: line.Product,
			Package: line.Package, Trial: p.Trial, V1: product.Access == catalogue.AccessV1, OnAcceptance: onAcceptance, Expire: line.Expire,
		})
		if err := errors.Join(tx.PutInstance(i), tx.AddCalls(store.AboutInstance(i), o.CreatedAt, calls)); err != nil {
			return o, nil, err
		}
		instances = append(instances, i)
	}
	return o, instances, nil
}

// tellable refuses an order of which V1 could not tell the instances apart: it names the order, and productId for what is charged by
// usage, but no line.
func tellable(lines []order.Line) error {
	seen := map[string]bool{}
	for _, l := range lines {
		if len(lines) > 1 && (l.ChargingMode != marketplaceapi.ChargingOnDemand || seen[l.Product.ProductID]) {
			return invalid("lines: access interface V1 tells instances apart by their order alone, or by productId if they are charged by usage; order %s by itself", l.Product.SKUCode)
		}
		seen[l.Product.ProductID] = true
	}
	return nil
}

// productOf finds the product that has a SKU; the error names the SKUs that there are.
func productOf(tx *store.Tx, sku string) (catalogue.Product, error) {
	product, err := tx.ProductBySKU(sku)
	if !errors.Is(err, store.ErrNotFound) {
		return product, err
	}
	all, err := tx.SKUs()
	if err != nil {
		return product, err
	}
	return product, invalid("no product with skuCode %q; there are %s", sku, strings.Join(all, ", "))
}

// tradable tells why a product cannot be bought now, if so. What was bought before goes on all the same.
func (b *Book) tradable(tx *store.Tx, product catalogue.Product) error {
	why := map[catalogue.ProductStatus]string{
		catalogue.Frozen:   "trading with it is frozen, because its probes failed for too long",
		catalogue.Delisted: "it was delisted",
		catalogue.Stopped:  "its seller stopped selling it",
		catalogue.Hidden:   "it is hidden, because a delivery failed and is not repaired",
	}[product.Status]
	if why != "" {
		return &Refusal{NotOnSale, "product " + product.Code + " cannot be bought: " + why}
	}
	if product.License {
		if b.cfg.Licences == nil {
			return &Refusal{NotOnSale, "product " + product.Code + " is sold by licence, which this sandbox does not do"}
		}
		return nil
	}
	seller, err := tx.Seller(product.SellerID)
	if err == nil && seller.Address == "" && product.Address == "" {
		return &Refusal{NoProvider, "the sandbox does not know the ISV's production address yet: setProvider, or serve --provider"}
	}
	return err
}

// AcceptOrder is the buyer who confirms that everything is as agreed, for products that are opened then.
func (b *Book) AcceptOrder(ctx context.Context, orderID string) (o store.Order, instances []lifecycle.Instance, err error) {
	err = b.cfg.Store.Update(ctx, func(tx *store.Tx) error {
		if o, err = tx.Order(orderID); err != nil {
			return err
		}
		instances = nil
		o.AcceptedAt = b.cfg.Clock.Now()
		for n := range o.Document.OrderLine {
			line := &o.Document.OrderLine[n]
			i, err := tx.Instance(line.OrderLineID)
			if errors.Is(err, store.ErrNotFound) {
				return invalid("order %s is of type %s and creates no instance that could be accepted", o.OrderID, o.Type)
			}
			if err != nil {
				return err
			}
			var expire time.Time
			if line.PeriodNumber > 0 {
				expire = order.Period{Number: line.PeriodNumber, Type: line.PeriodType}.ExpireFrom(o.AcceptedAt)
				line.ExpireTime = expire.Format(order.TimeFormat)
			}
			calls, err := i.Accept(o.AcceptedAt, expire)
			if err != nil {
				return err
			}
			if err := errors.Join(tx.PutInstance(i), changed(tx, sandboxapi.InstanceAwaitingAcceptance, i, o.AcceptedAt), tx.AddCalls(store.AboutInstance(i), o.AcceptedAt, calls)); err != nil {
				return err
			}
			instances = append(instances, i)
		}
		o.Status = sandboxapi.OrderProcessing
		return tx.AcceptOrder(o)
	})
	return o, instances, err
}
