// Package usagebook takes pushed usage: it judges the records of a push with the rules of package usage, keeps all of them, deducts
// what counts from packages, and adds it to the bills. One push is one transaction.
package usagebook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/usage"
)

// UsedUp is told that nothing is left in a package, named by its order line; see [orderbook.Book.UsedUp].
type UsedUp func(tx *store.Tx, lineID string) error

// Book takes usage.
type Book struct {
	store  *store.Store
	clock  *clock.Clock
	usedUp UsedUp
}

// New gives a book.
func New(s *store.Store, c *clock.Clock, usedUp UsedUp) *Book { return &Book{s, c, usedUp} }

// Take judges and keeps the records of one push of a seller. The rejections are in the order of the records; the zero value is
// a record that counts.
func (b *Book) Take(ctx context.Context, sellerID string, records []usage.Record, withSN bool) (rejections []usage.Rejection, err error) {
	err = b.store.Update(ctx, func(tx *store.Tx) error {
		rejections = make([]usage.Rejection, len(records))
		p := &push{tx: tx, seller: sellerID, products: map[string]*catalogue.Product{}, packages: map[string]*usage.Package{}, now: b.clock.Now()}
		for i, r := range records {
			var empty []string
			if rejections[i], empty, err = p.take(r, withSN); err != nil {
				return err
			}
			for _, line := range empty {
				if err := b.usedUp(tx, line); err != nil {
					return err
				}
			}
		}
		return tell(p, records, rejections)
	})
	return rejections, err
}

// tell tells the seller of the records that were refused, in one event for a push.
func tell(p *push, records []usage.Record, rejections []usage.Rejection) error {
	n, first := 0, 0
	for i := len(rejections) - 1; i >= 0; i-- {
		if rejections[i].Code != "" {
			n, first = n+1, i
		}
	}
	if n == 0 {
		return nil
	}
	why := fmt.Sprintf("instance %.64s: %s %s", records[first].InstanceID, rejections[first].Code, rejections[first].Message)
	return p.tx.AddEvent(event.UsageRejected(p.seller, n, len(records), string(rejections[first].Code), why, p.now))
}

// push is one push on its way in. It remembers what many of its records ask for.
type push struct {
	tx       *store.Tx
	seller   string
	now      time.Time
	products map[string]*catalogue.Product // nil: not in the catalogue
	packages map[string]*usage.Package     // by order line
}

var _ usage.Facts = (*push)(nil)

// take judges and keeps one record, and tells in which packages it leaves nothing.
func (p *push) take(r usage.Record, withSN bool) (_ usage.Rejection, empty []string, _ error) {
	v, err := usage.Check(r, withSN, p.now, p)
	if err != nil {
		return v.Rejection, nil, err
	}
	record := store.UsageRecord{
		Record: r, SellerID: p.seller, LineID: v.Instance.LineID, ReceivedAt: p.now, Rejection: v.Rejection, Warnings: v.Warnings,
	}
	if v.Code != "" {
		_, err := p.tx.AddUsage(record)
		return v.Rejection, nil, err
	}
	item, err := p.item(v.Instance)
	if err != nil {
		return v.Rejection, nil, err
	}
	price, err := usage.ParseDecimal(item.Price)
	if err != nil {
		return v.Rejection, nil, err
	}
	packages, err := p.paying(v, item)
	if err != nil {
		return v.Rejection, nil, err
	}
	entry := usage.Enter(v.Value, v.Begin, price, packages)
	record.Day, record.Price = entry.Day, price.String()
	id, err := p.tx.AddUsage(record)
	if err != nil {
		return v.Rejection, nil, err
	}
	for _, d := range entry.Deductions {
		pkg := p.packages[d.LineID]
		pkg.Used = pkg.Used.Add(d.Amount)
		if err := p.tx.Deduct(id, d.Amount, *pkg); err != nil {
			return v.Rejection, nil, err
		}
		if d.UsedUp {
			empty = append(empty, d.LineID)
		}
	}
	bill, err := p.tx.Bill(record.LineID, entry.Day, record.Price)
	if errors.Is(err, store.ErrNotFound) {
		bill, err = usage.Bill{LineID: record.LineID, Day: entry.Day, Price: price}, nil
	}
	if err != nil {
		return v.Rejection, nil, err
	}
	bill.Add(entry)
	return v.Rejection, empty, p.tx.PutBill(bill)
}

// paying lists the packages that pay for a record. One that the record names is the only one. A record that names none is paid by
// the buyer's packages of the same product, oldest first, as far as they are for the same unit; not by those that stop when they
// are used up, which have to be named.
func (p *push) paying(v usage.Verdict, item catalogue.Item) ([]usage.Package, error) {
	if v.Package != nil {
		return []usage.Package{*v.Package}, nil
	}
	instances, err := p.tx.OpenPackages(v.Instance.Buyer, v.Instance.Product)
	if err != nil {
		return nil, err
	}
	var list []usage.Package
	for _, i := range instances {
		view, err := p.view(i)
		if err != nil {
			return nil, err
		}
		own, err := p.item(view)
		if err != nil {
			return nil, err
		}
		if view.Package.StopWhenUsedUp || !usage.Pays(i.Status) || own.Unit != "" && own.Unit != item.Unit {
			continue
		}
		list = append(list, *view.Package)
	}
	return list, nil
}

// product finds the product of an instance; nil if the catalogue has none, as with what a judge registers.
func (p *push) product(code string) (*catalogue.Product, error) {
	if known, ok := p.products[code]; ok {
		return known, nil
	}
	product, err := p.tx.Product(code)
	switch {
	case errors.Is(err, store.ErrNotFound):
		p.products[code] = nil
	case err != nil:
		return nil, err
	default:
		p.products[code] = &product
	}
	return p.products[code], nil
}

// item finds the billing item of an instance. One that is not in the catalogue has the price 0.
func (p *push) item(i usage.Instance) (catalogue.Item, error) {
	product, err := p.product(i.Product)
	if err != nil || product == nil {
		return catalogue.Item{Price: "0"}, err
	}
	for _, sku := range product.SKUs {
		if n := slices.IndexFunc(sku.Items, func(item catalogue.Item) bool { return item.ProductID == i.ProductID }); n >= 0 {
			return sku.Items[n], nil
		}
	}
	return catalogue.Item{Price: "0"}, nil
}

// Instance finds an instance by the id that the ISV gave it; if it has none of that id, one of another ISV.
func (p *push) Instance(id string) (usage.Instance, bool, error) {
	i, err := p.tx.InstanceByID(p.seller, id)
	if errors.Is(err, store.ErrNotFound) {
		i, err = p.tx.InstanceByID("", id)
	}
	if errors.Is(err, store.ErrNotFound) {
		return usage.Instance{}, false, nil
	}
	if err != nil {
		return usage.Instance{}, false, err
	}
	view, err := p.view(i)
	return view, err == nil, err
}

// view is an instance as the rules see it.
func (p *push) view(i lifecycle.Instance) (usage.Instance, error) {
	view := usage.Instance{
		LineID: i.OrderLineID, ChargingMode: i.ChargingMode, Status: i.Status, CreateTime: i.CreateTime, Foreign: i.SellerID != p.seller,
		Buyer: i.BuyerID, Product: i.ProductCode, ProductID: i.Product.ProductID,
	}
	product, err := p.product(i.ProductCode)
	if err != nil {
		return view, err
	}
	view.Delisted = product != nil && product.Status == catalogue.Delisted
	if i.ChargingMode != marketplaceapi.ChargingPackage {
		return view, nil
	}
	view.Package = p.packages[i.OrderLineID]
	if view.Package == nil {
		use, err := p.tx.PackageUse(i.OrderLineID)
		known, err := PackageOf(i, use, err)
		if err != nil {
			return view, err
		}
		view.Package = &known
		p.packages[i.OrderLineID] = &known
	}
	return view, nil
}

// PackageOf puts together what is known about a package: its instance, and how far it is used, as PackageUse gave it.
func PackageOf(i lifecycle.Instance, use store.PackageUse, err error) (usage.Package, error) {
	if errors.Is(err, store.ErrNotFound) {
		// Nothing was deducted yet. One from outside holds nothing.
		use.Amount, err = usage.ParseDecimal(cmp.Or(i.Package.Amount, "0"))
		use.Amount = use.Amount.Mul(usage.Whole(max(i.Product.Quantity, 1)))
	}
	return usage.Package{
		LineID: i.OrderLineID, Amount: use.Amount, Used: use.Used, From: i.CreateTime, Until: i.ExpireTime, StopWhenUsedUp: i.Package.StopWhenUsedUp,
	}, err
}

// MeteringSNUsed tells whether the seller has an accepted record of this metering_sn.
func (p *push) MeteringSNUsed(sn string) (bool, error) { return p.tx.MeteringSNUsed(p.seller, sn) }

// WindowUsed tells whether the instance has an accepted record of the same begin and end.
func (p *push) WindowUsed(lineID, begin, end string) (bool, error) {
	return p.tx.WindowUsed(lineID, begin, end)
}
