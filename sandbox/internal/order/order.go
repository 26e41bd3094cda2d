// Package order makes orders: their ids, periods, prices, lines and documents, and the nine mock orders that the open API answers
// at any time. It is pure.
package order

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// TimeFormat is how orders write times, in UTC.
const TimeFormat = "20060102150405"

// ErrInvalid is wrapped by errors about what was asked for.
var ErrInvalid = catalogue.ErrInvalid

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// beijing is where order ids get their digits and days get their end, wherever the sandbox runs.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// alphabet has 32 characters, so that a byte picks each of them as often as any other.
const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

// NewID makes an order id of the shape seen at the marketplace: CS, the minute in Beijing, five letters or digits. They are read
// from random; two orders of one minute can get the same, so who makes many has to look.
func NewID(now time.Time, random io.Reader) (string, error) {
	five := make([]byte, 5)
	if _, err := io.ReadFull(random, five); err != nil {
		return "", fmt.Errorf("random source: %w", err)
	}
	for i, b := range five {
		five[i] = alphabet[int(b)%len(alphabet)]
	}
	return "CS" + now.In(beijing).Format("0601021504") + string(five), nil
}

// LineID is the id of the n-th line of an order, counted from 1.
func LineID(orderID string, n int) string { return fmt.Sprintf("%s-%06d", orderID, n) }

// Period is a number of years, months or days.
type Period struct {
	Number int
	Type   marketplaceapi.PeriodType
}

var (
	periodForm  = regexp.MustCompile(`^([1-9][0-9]?)([ymd])$`)
	periodTypes = map[string]marketplaceapi.PeriodType{
		"y": marketplaceapi.PeriodYear, "m": marketplaceapi.PeriodMonth, "d": marketplaceapi.PeriodDay,
	}
)

// ParsePeriod reads `1y`, `3m` or `14d`.
func ParsePeriod(s string) (Period, error) {
	m := periodForm.FindStringSubmatch(s)
	if m == nil {
		return Period{}, invalid("period %q: expected a number from 1 to 99 and y, m or d, such as 1y or 3m", s)
	}
	n, _ := strconv.Atoi(m[1])
	return Period{n, periodTypes[m[2]]}, nil
}

// ExpireFrom is when a period that starts at t ends: the last second of its last day in Beijing. January 31 and one month is the end
// of February, not March 3.
func (p Period) ExpireFrom(t time.Time) time.Time {
	year, month, day := t.In(beijing).Date()
	switch p.Type {
	case marketplaceapi.PeriodYear:
		year += p.Number
	case marketplaceapi.PeriodMonth:
		month += time.Month(p.Number)
	case marketplaceapi.PeriodDay:
		return time.Date(year, month, day+p.Number, 23, 59, 59, 0, beijing).UTC()
	}
	return time.Date(year, month, min(day, daysIn(year, month)), 23, 59, 59, 0, beijing).UTC()
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, beijing).Day()
}

// Expires tells whether instances of this charging mode end by themselves.
func Expires(mode marketplaceapi.ChargingMode) bool {
	return mode == marketplaceapi.ChargingPeriod || mode == marketplaceapi.ChargingPackage
}

// Line is a line of an order.
type Line struct {
	Product      lifecycle.Product
	Name         string
	ChargingMode marketplaceapi.ChargingMode
	Package      lifecycle.Package
	Period       Period    // zero where nothing expires, or the order does not buy time
	Expire       time.Time // zero where nothing expires, or it is not known yet
	ExtendParams []marketplaceapi.ExtendParam
	Full         Amount // before and after the discount
	Paid         Amount
}

// Document makes the order as queryOrder answers it.
func Document(id string, kind marketplaceapi.OrderType, now time.Time, buyer marketplaceapi.BuyerInfo, lines ...Line) marketplaceapi.OrderInfo {
	doc := marketplaceapi.OrderInfo{OrderID: id, OrderType: kind, CreateTime: now.UTC().Format(TimeFormat), BuyerInfo: buyer}
	for n, line := range lines {
		l := marketplaceapi.OrderLine{
			OrderLineID: LineID(id, n+1), ChargingMode: line.ChargingMode,
			ProductInfo: []marketplaceapi.ProductInfo{{
				ProductID: line.Product.ProductID, SKUCode: line.Product.SKUCode, LinearValue: line.Product.Quantity, ProductName: line.Name,
			}},
			ExtendParams: line.ExtendParams, Currency: line.Full.String(), CurrencyAfterDiscount: line.Paid.String(),
		}
		if line.Period.Number > 0 {
			l.PeriodType, l.PeriodNumber = line.Period.Type, line.Period.Number
		}
		if !line.Expire.IsZero() {
			l.ExpireTime = line.Expire.UTC().Format(TimeFormat)
		}
		doc.OrderLine = append(doc.OrderLine, l)
	}
	return doc
}

// Paid is what the buyer paid for all lines of an order. A line that does not say counts as nothing.
func Paid(doc marketplaceapi.OrderInfo) (sum Amount) {
	for _, l := range doc.OrderLine {
		if a, err := ParseAmount(l.CurrencyAfterDiscount); err == nil {
			sum.r.Add(&sum.r, &a.r)
		}
	}
	return sum
}
