// Package order makes orders: their ids, periods, prices and documents, the catalogue that a fresh sandbox sells, and the nine
// mock orders that the open API answers at any time. It is pure.
package order

import (
	"crypto/rand"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// TimeFormat is how orders write times, in UTC.
const TimeFormat = "20060102150405"

// beijing is where order ids get their digits and days get their end, wherever the sandbox runs.
var beijing = time.FixedZone("UTC+8", 8*60*60)

const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// NewID makes an order id of the shape seen at the marketplace: CS, the minute in Beijing, five letters or digits.
func NewID(now time.Time) string {
	random := make([]byte, 5)
	_, _ = rand.Read(random) // never fails, see crypto/rand
	for i, b := range random {
		random[i] = alphabet[int(b)%len(alphabet)]
	}
	return "CS" + now.In(beijing).Format("0601021504") + string(random)
}

// LineID is the id of the n-th line of an order, counted from 1.
func LineID(orderID string, n int) string { return fmt.Sprintf("%s-%06d", orderID, n) }

// Period is a number of years, months or days.
type Period struct {
	Number int
	Type   marketplaceapi.PeriodType
}

var periodForm = regexp.MustCompile(`^([1-9][0-9]?)([ymd])$`)

// ParsePeriod reads `1y`, `3m` or `14d`.
func ParsePeriod(s string) (Period, error) {
	m := periodForm.FindStringSubmatch(s)
	if m == nil {
		return Period{}, fmt.Errorf("period %q: expected a number from 1 to 99 and y, m or d, such as 1y or 3m", s)
	}
	n, _ := strconv.Atoi(m[1])
	return Period{n, map[string]marketplaceapi.PeriodType{
		"y": marketplaceapi.PeriodYear, "m": marketplaceapi.PeriodMonth, "d": marketplaceapi.PeriodDay,
	}[m[2]]}, nil
}

// ExpireFrom is when a period that starts at t ends: the last second of its last day in Beijing.
func (p Period) ExpireFrom(t time.Time) time.Time {
	local := t.In(beijing)
	year, month, day := local.Date()
	switch p.Type {
	case marketplaceapi.PeriodYear:
		year += p.Number
	case marketplaceapi.PeriodMonth:
		month += time.Month(p.Number)
	case marketplaceapi.PeriodDay:
		day += p.Number
	}
	// January 31 and one month is the end of February, not March 3.
	if p.Type != marketplaceapi.PeriodDay {
		last := time.Date(year, month+1, 0, 0, 0, 0, 0, beijing).Day()
		day = min(day, last)
	}
	return time.Date(year, month, day, 23, 59, 59, 0, beijing).UTC()
}

// Product is an entry of the catalogue.
type Product struct {
	SKUCode      string
	ProductID    string
	Name         string
	ChargingMode marketplaceapi.ChargingMode
	Price        int // per unit and period, or per unit of usage
}

// Catalogue is what a fresh sandbox sells: one product for each charging mode, and one to upgrade to.
var Catalogue = []Product{
	{"demo-period", "OFFI700000000000000001", "Demo product, basic, by period", marketplaceapi.ChargingPeriod, 100},
	{"demo-period-pro", "OFFI700000000000000002", "Demo product, pro, by period", marketplaceapi.ChargingPeriod, 250},
	{"demo-one-time", "OFFI700000000000000003", "Demo product, paid once", marketplaceapi.ChargingOneTime, 900},
	{"demo-on-demand", "OFFI700000000000000004", "Demo product, by usage", marketplaceapi.ChargingOnDemand, 1},
	{"demo-package", "OFFI700000000000000005", "Demo product, package of usage", marketplaceapi.ChargingPackage, 80},
}

// FindProduct looks a product up by SKU; the error names the SKUs that exist.
func FindProduct(sku string) (Product, error) {
	i := slices.IndexFunc(Catalogue, func(p Product) bool { return p.SKUCode == sku })
	if i >= 0 {
		return Catalogue[i], nil
	}
	names := make([]string, len(Catalogue))
	for i, p := range Catalogue {
		names[i] = p.SKUCode
	}
	return Product{}, fmt.Errorf("no product with skuCode %q; there are %s", sku, strings.Join(names, ", "))
}

// Expires tells whether instances of this charging mode end by themselves.
func Expires(mode marketplaceapi.ChargingMode) bool {
	return mode == marketplaceapi.ChargingPeriod || mode == marketplaceapi.ChargingPackage
}

// Line is what an order is made of.
type Line struct {
	Product      Product
	Quantity     int
	Period       Period // zero where nothing expires
	Expire       time.Time
	ExtendParams map[string]string
}

// Document makes the order as queryOrder answers it.
func Document(id string, kind marketplaceapi.OrderType, now time.Time, line Line) marketplaceapi.OrderInfo {
	amount := strconv.Itoa(line.Product.Price * line.Quantity * max(line.Period.Number, 1))
	l := marketplaceapi.OrderLine{
		OrderLineID: LineID(id, 1), ChargingMode: line.Product.ChargingMode,
		ProductInfo: []marketplaceapi.ProductInfo{{
			ProductID: line.Product.ProductID, SKUCode: line.Product.SKUCode, LinearValue: line.Quantity, ProductName: line.Product.Name,
		}},
		Currency: amount, CurrencyAfterDiscount: amount,
	}
	if line.Period.Number > 0 {
		l.PeriodType, l.PeriodNumber = line.Period.Type, line.Period.Number
	}
	if !line.Expire.IsZero() {
		l.ExpireTime = line.Expire.UTC().Format(TimeFormat)
	}
	for _, name := range slices.Sorted(maps.Keys(line.ExtendParams)) {
		l.ExtendParams = append(l.ExtendParams, marketplaceapi.ExtendParam{Name: name, Value: line.ExtendParams[name]})
	}
	return marketplaceapi.OrderInfo{
		OrderID: id, OrderType: kind, CreateTime: now.UTC().Format(TimeFormat), OrderLine: []marketplaceapi.OrderLine{l},
		BuyerInfo: demoBuyer,
	}
}

var demoBuyer = marketplaceapi.BuyerInfo{
	CustomerID: "b7f4f7a41d0c4c6c9a3b6a2d9c1e5f00", CustomerName: "demo-buyer", CustomerRealName: "Demo Buyer",
	MobilePhone: "13800000000", Email: "buyer@example.com",
}

// ProductOf reads the product back from an order's line.
func ProductOf(doc marketplaceapi.OrderInfo) lifecycle.Product {
	p := doc.OrderLine[0].ProductInfo[0]
	return lifecycle.Product{SKUCode: p.SKUCode, ProductID: p.ProductID, Quantity: p.LinearValue}
}
