package order

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

const (
	// MaxLines is how many lines an order has at most. Nothing is published; it is ours.
	MaxLines = 100
	// MaxPackages is how many packages an order holds at most, each an instance of its own, as the guide says.
	MaxPackages = 30
	// MaxQuantity is the largest quantity: V1 sends it with seven digits.
	MaxQuantity = 9_999_999
)

// Choice is one SKU that a buyer puts into an order.
type Choice struct {
	SKUCode      string
	Period       string // such as 1y; empty: a year where it is sold by the year, else one period
	Quantity     int    // 0: 1
	ExtendParams map[string]string
}

// Terms are what holds for a whole purchase.
type Terms struct {
	Trial           bool
	DiscountPercent int
	Now             time.Time
}

// Lines makes the lines of an order about SKUs of one product. A choice gives one line, but a SKU charged by usage one for each of its
// billing items, and packages one for each package, because each is an instance of its own.
func Lines(product catalogue.Product, choices []Choice, terms Terms) ([]Line, error) {
	if terms.DiscountPercent < 0 || terms.DiscountPercent > 100 {
		return nil, invalid("discountPercent %d: expected 0 to 100", terms.DiscountPercent)
	}
	var lines []Line
	packages := 0
	for _, c := range choices {
		sku, ok := product.SKU(c.SKUCode)
		if !ok {
			return nil, invalid("skuCode %s is not of product %s; the lines of one order are SKUs of one product", c.SKUCode, product.Code)
		}
		more, err := choose(product, sku, c, terms)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
		if sku.ChargingMode == marketplaceapi.ChargingPackage {
			packages += len(more)
		}
		switch {
		case packages > MaxPackages:
			return nil, invalid("quantity: an order holds at most %d packages", MaxPackages)
		case len(lines) > MaxLines:
			return nil, invalid("lines: an order has at most %d", MaxLines)
		}
	}
	if len(lines) == 0 {
		return nil, invalid("lines: expected at least one")
	}
	return lines, nil
}

func choose(product catalogue.Product, sku catalogue.SKU, c Choice, terms Terms) ([]Line, error) {
	quantity := cmp.Or(c.Quantity, 1)
	params, err := extendParams(sku, c.ExtendParams)
	if err != nil {
		return nil, err
	}
	if quantity < 0 || quantity > MaxQuantity {
		return nil, invalid("quantity %d: expected 1 to %d", quantity, MaxQuantity)
	}
	copies := 1
	if sku.ChargingMode == marketplaceapi.ChargingPackage && sku.Linear == "" {
		if quantity > MaxPackages {
			return nil, invalid("quantity %d: an order holds at most %d packages", quantity, MaxPackages)
		}
		copies, quantity = quantity, 1
	}
	if err := CheckQuantity(sku, quantity); err != nil {
		return nil, err
	}
	period, err := choosePeriod(sku, c.Period, terms.Trial)
	if err != nil {
		return nil, err
	}
	items := sku.Items
	if sku.ChargingMode == marketplaceapi.ChargingPeriod {
		item, err := itemFor(sku, period, terms.Trial)
		if err != nil {
			return nil, err
		}
		items = []catalogue.Item{item}
	}
	var lines []Line
	for range copies {
		for _, item := range items {
			line, err := NewLine(product, sku, item, quantity, period)
			if err != nil {
				return nil, err
			}
			line.ExtendParams = params
			if terms.Trial {
				line.Full = Amount{}
			}
			line.Paid = line.Full.Less(terms.DiscountPercent)
			if period.Number > 0 {
				line.Expire = period.ExpireFrom(terms.Now)
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// itemFor finds the billing item of a SKU that is charged by period. A trial is counted in days, whether they are sold or not.
func itemFor(sku catalogue.SKU, period Period, trial bool) (catalogue.Item, error) {
	item, err := sku.Item(period.Type)
	if err != nil && trial {
		return sku.Items[0], nil
	}
	return item, err
}

// CheckQuantity tells whether a SKU can be bought in this quantity.
func CheckQuantity(sku catalogue.SKU, quantity int) error {
	switch {
	case quantity < 1 || quantity > MaxQuantity:
		return invalid("quantity %d: expected 1 to %d", quantity, MaxQuantity)
	case quantity > 1 && sku.Linear == "":
		return invalid("quantity %d: %s has no linear attribute, so its quantity is 1", quantity, sku.Code)
	}
	return nil
}

// NewLine describes a billing item as a line of an order, with its price. What is charged by usage costs nothing when it is ordered.
func NewLine(product catalogue.Product, sku catalogue.SKU, item catalogue.Item, quantity int, period Period) (Line, error) {
	price, err := ParseAmount(item.Price)
	if err != nil {
		return Line{}, err
	}
	if sku.ChargingMode == marketplaceapi.ChargingOnDemand {
		price = Amount{}
	}
	periods := 1
	if sku.ChargingMode == marketplaceapi.ChargingPeriod {
		periods = max(period.Number, 1)
	}
	full := price.Times(quantity).Times(periods)
	line := Line{
		Product:      lifecycle.Product{SKUCode: sku.Code, ProductID: item.ProductID, Quantity: quantity, PeriodType: item.PeriodType},
		Name:         product.Name + ", " + item.Name,
		ChargingMode: sku.ChargingMode, Period: period, Full: full, Paid: full,
	}
	if sku.ChargingMode == marketplaceapi.ChargingPackage {
		line.Package = lifecycle.Package{Amount: sku.PackageAmount, StopWhenUsedUp: sku.StopWhenUsedUp}
	}
	return line, nil
}

// choosePeriod reads the period that the buyer chose for a SKU, or takes the usual one.
func choosePeriod(sku catalogue.SKU, period string, trial bool) (Period, error) {
	switch {
	case trial && sku.TrialDays == 0:
		return Period{}, invalid("trial: %s has none", sku.Code)
	case trial && period == "":
		return Period{sku.TrialDays, marketplaceapi.PeriodDay}, nil
	case !Expires(sku.ChargingMode) && period != "":
		return Period{}, invalid("period: %s is charged %s and has none", sku.Code, sku.ChargingMode)
	case !Expires(sku.ChargingMode):
		return Period{}, nil
	}
	if period == "" {
		return UsualPeriod(sku), nil
	}
	p, err := ParsePeriod(period)
	if err == nil && trial && (p.Type != marketplaceapi.PeriodDay || p.Number > sku.TrialDays) {
		return p, invalid("period %s: a trial of %s is for at most %dd, in days", period, sku.Code, sku.TrialDays)
	}
	return p, err
}

// UsualPeriod is what a buyer who names no period gets: a year, or where it is not sold by the year, one period of the first kind.
func UsualPeriod(sku catalogue.SKU) Period {
	p := Period{1, marketplaceapi.PeriodYear}
	if _, err := sku.Item(p.Type); err != nil {
		p.Type = sku.Items[0].PeriodType
	}
	return p
}

// extendParams puts what the buyer entered into the order's form, by name.
func extendParams(sku catalogue.SKU, entered map[string]string) ([]marketplaceapi.ExtendParam, error) {
	var known, missing []string
	for _, p := range sku.Params {
		known = append(known, p.Name)
		if p.Required && entered[p.Name] == "" {
			missing = append(missing, p.Name)
		}
	}
	if len(missing) > 0 {
		return nil, invalid("extendParams: %s asks the buyer for %s", sku.Code, strings.Join(missing, " and "))
	}
	var params []marketplaceapi.ExtendParam
	for _, name := range slices.Sorted(maps.Keys(entered)) {
		if !slices.Contains(known, name) {
			asks := "nothing"
			if len(known) > 0 {
				asks = strings.Join(known, ", ")
			}
			return nil, invalid("extendParams: %s does not ask the buyer for %q; it asks for %s", sku.Code, name, asks)
		}
		params = append(params, marketplaceapi.ExtendParam{Name: name, Value: entered[name]})
	}
	return params, nil
}
