// Package catalogue holds what a marketplace knows before anybody buys: sellers with their keys, products with their SKUs, and
// buyers. It is pure.
package catalogue

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/secrets"
)

// Keys are the secrets that the marketplace shares with a seller: an AK/SK for the open API, and one access key for each
// interface class. A key that is empty is not set up; calls of its class cannot be made.
type Keys struct {
	AK      string `json:"ak"`
	SK      string `json:"sk"`
	Base    string `json:"base"`    // base calls of V2, all calls of V1, bodies of usage pushes
	Kit     string `json:"kit"`     // kit calls of V2
	General string `json:"general"` // orderNotify
	License string `json:"license"` // licence calls
}

// Format keeps the keys out of logs.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("{keys redacted}")) }

// Seller is an ISV on the marketplace.
type Seller struct {
	ID      string `json:"sellerId"`
	Name    string `json:"name"`
	Address string `json:"productionAddress"` // for products that have none of their own; empty: not known yet
	Keys    Keys   `json:"keys"`
}

// Access is the version of the access interface that a product was listed with.
type Access string

// The versions.
const (
	AccessV2 Access = "v2"
	AccessV1 Access = "v1" // no longer for new products, but still called for old ones
)

// Provision says what opens an instance.
type Provision string

// What opens an instance.
const (
	OnPayment    Provision = "payment"
	OnAcceptance Provision = "acceptance" // the buyer confirms first that everything is as agreed
)

// ProductStatus is whether a product can be bought.
type ProductStatus string

// The statuses.
const (
	OnSale   ProductStatus = "on-sale"
	Frozen   ProductStatus = "frozen"   // its probes failed for too long: hidden, no trading
	Delisted ProductStatus = "delisted" // too many of its orders failed, or it stayed frozen
	Stopped  ProductStatus = "stopped"  // the seller stopped selling it; probes do not run
	Hidden   ProductStatus = "hidden"   // a delivery failed and is not repaired: not found, no trading
)

// Product is what a seller lists. Its SKUs are what is bought.
type Product struct {
	Code         string        `json:"productCode"`
	SellerID     string        `json:"sellerId"`
	Name         string        `json:"name"`
	Access       Access        `json:"access"`
	Address      string        `json:"productionAddress,omitempty"` // empty: the seller's
	Provision    Provision     `json:"provision"`
	Kit          bool          `json:"kit,omitempty"`          // joint operation: tenants, users and departments are synchronised
	KitPublicKey string        `json:"kitPublicKey,omitempty"` // the ISV's RSA key, as pasted into the console: Base64, no PEM lines
	OrderNotify  bool          `json:"orderNotify,omitempty"`  // the ISV wants to hear of every order
	ChangeCheck  bool          `json:"changeCheck,omitempty"`  // renewals may be combined with a change, after a check
	License      bool          `json:"license,omitempty"`      // licence codes instead of instances
	Status       ProductStatus `json:"status"`
	SKUs         []SKU         `json:"skus"`
}

// SKU is one specification of a product.
type SKU struct {
	Code           string                      `json:"skuCode"`
	Name           string                      `json:"name"`
	ChargingMode   marketplaceapi.ChargingMode `json:"chargingMode"`
	StopWhenUsedUp bool                        `json:"stopWhenUsedUp,omitempty"` // a package that ends when it is used up, rather than going on by usage
	PackageAmount  string                      `json:"packageAmount,omitempty"`  // units in a package, a decimal number
	TrialDays      int                         `json:"trialDays,omitempty"`      // longest trial; 0: none
	Linear         string                      `json:"linear,omitempty"`         // name of the linear attribute whose quantity the buyer chooses; empty: none
	Params         []Param                     `json:"params,omitempty"`         // what the buyer enters while ordering
	Items          []Item                      `json:"items"`
}

// Param is something that the buyer enters while ordering.
type Param struct {
	Name     string `json:"name"`
	Required bool   `json:"required,omitempty"`
}

// Item is a billing item of a SKU. A PERIOD SKU has one for each type of period; an ON_DEMAND SKU one for each thing metered, and
// each gives an instance of its own; the others have one.
type Item struct {
	ProductID  string                    `json:"productId"` // as orders name it
	Name       string                    `json:"name"`
	PeriodType marketplaceapi.PeriodType `json:"periodType,omitempty"`
	Price      string                    `json:"price"`          // per unit and period, or per unit of usage: a decimal number
	Unit       string                    `json:"unit,omitempty"` // what a unit of usage is
}

// Buyer is a customer of the marketplace.
type Buyer struct {
	ID   string                   `json:"buyerId"`
	Info marketplaceapi.BuyerInfo `json:"info"`
}

// ErrInvalid is wrapped by what Check returns.
var ErrInvalid = errors.New("invalid")

var (
	idForm      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	decimalForm = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,4})?$`)
)

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// CheckID tells what is wrong with an id that somebody chose.
func CheckID(name, id string) error {
	if !idForm.MatchString(id) {
		return invalid("%s %q: expected 1 to 64 letters, digits, points, dashes or underlines", name, id)
	}
	return nil
}

// CheckAddress tells what is wrong with a production address.
func CheckAddress(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return invalid("production address: expected an http or https address such as http://127.0.0.1:9000/saasproduce, without user or fragment")
	}
	// Ours: addresses are shown, in the journal too, and calls are signed.
	for name := range u.Query() {
		if secrets.SoundsSecret(name) {
			return invalid("production address: its query has %q, which sounds like a secret, and the journal shows addresses; leave it out, the signature of each call tells you who calls", name)
		}
	}
	return nil
}

// Check tells what is wrong with a seller.
func (s Seller) Check() error {
	if err := CheckID("sellerId", s.ID); err != nil {
		return err
	}
	if s.Address == "" {
		return nil
	}
	return CheckAddress(s.Address)
}

// Check fills in defaults and tells what is wrong with a product.
func (p *Product) Check() error {
	p.Access, p.Provision, p.Status = cmp.Or(p.Access, AccessV2), cmp.Or(p.Provision, OnPayment), cmp.Or(p.Status, OnSale)
	p.Name = cmp.Or(p.Name, p.Code)
	if err := errors.Join(CheckID("productCode", p.Code), CheckID("sellerId", p.SellerID)); err != nil {
		return err
	}
	switch {
	case p.Access != AccessV1 && p.Access != AccessV2:
		return invalid("access %q: expected v2 or v1", p.Access)
	case p.Provision != OnPayment && p.Provision != OnAcceptance:
		return invalid("provision %q: expected payment or acceptance", p.Provision)
	case p.Status != OnSale && p.Status != Frozen && p.Status != Delisted && p.Status != Stopped && p.Status != Hidden:
		return invalid("status %q: expected on-sale, frozen, hidden, delisted or stopped", p.Status)
	case p.Access == AccessV1 && p.ChangeCheck:
		return invalid("changeCheck: access interface V1 has no such call")
	case len(p.SKUs) == 0:
		return invalid("skus: expected at least one")
	}
	if p.Address != "" {
		if err := CheckAddress(p.Address); err != nil {
			return err
		}
	}
	for i := range p.SKUs {
		if err := p.SKUs[i].check(); err != nil {
			return err
		}
		if slices.ContainsFunc(p.SKUs[:i], func(s SKU) bool { return s.Code == p.SKUs[i].Code }) {
			return invalid("skus: %s is there twice", p.SKUs[i].Code)
		}
	}
	return nil
}

func (s *SKU) check() error {
	s.Name = cmp.Or(s.Name, s.Code)
	if err := CheckID("skuCode", s.Code); err != nil {
		return err
	}
	where := "sku " + s.Code + ": "
	switch {
	case !s.ChargingMode.Valid():
		return invalid("%schargingMode %q: expected PERIOD, ONE_TIME, ON_DEMAND or ON_DEMAND_PKG", where, s.ChargingMode)
	case s.TrialDays < 0 || s.TrialDays > 365:
		return invalid("%strialDays %d: expected 0 to 365", where, s.TrialDays)
	case s.TrialDays > 0 && s.ChargingMode != marketplaceapi.ChargingPeriod:
		return invalid("%strialDays: only a PERIOD SKU has trials", where)
	case s.StopWhenUsedUp && s.ChargingMode != marketplaceapi.ChargingPackage:
		return invalid("%sstopWhenUsedUp: only an ON_DEMAND_PKG SKU is used up", where)
	case s.ChargingMode == marketplaceapi.ChargingPackage && !decimalForm.MatchString(s.PackageAmount):
		return invalid("%spackageAmount %q: expected a decimal number with at most 4 decimals", where, s.PackageAmount)
	case len(s.Items) == 0:
		return invalid("%sitems: expected at least one", where)
	case len(s.Items) > 1 && s.ChargingMode != marketplaceapi.ChargingOnDemand && s.ChargingMode != marketplaceapi.ChargingPeriod:
		return invalid("%sitems: a SKU charged %s has one", where, s.ChargingMode)
	}
	for i, item := range s.Items {
		n := utf8.RuneCountInString(item.ProductID)
		switch {
		case n == 0 || n > 64:
			return invalid("%sproductId: expected 1 to 64 characters", where)
		case !decimalForm.MatchString(item.Price):
			return invalid("%sprice %q: expected a decimal number with at most 4 decimals", where, item.Price)
		case s.ChargingMode == marketplaceapi.ChargingPeriod && !item.PeriodType.Valid():
			return invalid("%speriodType %q: expected year, month or day", where, item.PeriodType)
		case slices.ContainsFunc(s.Items[:i], func(o Item) bool {
			return o.ProductID == item.ProductID || item.PeriodType != "" && o.PeriodType == item.PeriodType
		}):
			return invalid("%sitems: productId and periodType of each must differ from the others'", where)
		}
		s.Items[i].Name = cmp.Or(item.Name, s.Name)
	}
	return nil
}

// SKU finds a SKU of the product.
func (p Product) SKU(code string) (SKU, bool) {
	i := slices.IndexFunc(p.SKUs, func(s SKU) bool { return s.Code == code })
	if i < 0 {
		return SKU{}, false
	}
	return p.SKUs[i], true
}

// Item finds the billing item for a type of period; for a SKU that is not charged by period, its first.
func (s SKU) Item(period marketplaceapi.PeriodType) (Item, error) {
	if s.ChargingMode != marketplaceapi.ChargingPeriod {
		return s.Items[0], nil
	}
	i := slices.IndexFunc(s.Items, func(item Item) bool { return item.PeriodType == period })
	if i >= 0 {
		return s.Items[i], nil
	}
	types := make([]string, len(s.Items))
	for i, item := range s.Items {
		types[i] = string(item.PeriodType)
	}
	return Item{}, invalid("period: %s is sold by %s, not by %s", s.Code, strings.Join(types, " or "), period)
}

// DefaultMarket and DefaultCategory are where sellers are registered of whom nobody said otherwise: the market that this sandbox plays.
const (
	DefaultMarket   = "koogallery"
	DefaultCategory = "saas"
)

// DemoSeller is the id of the seller that a fresh sandbox has.
const DemoSeller = "demo"

// DemoProducts is what a fresh sandbox sells: every charging mode, and every way to be called.
func DemoProducts() []Product {
	period := func(code, name, id, month, year string) SKU {
		return SKU{
			Code: code, Name: name, ChargingMode: marketplaceapi.ChargingPeriod, TrialDays: 30, Linear: "seats",
			Params: []Param{{Name: "emailDomainName"}, {Name: "ip"}},
			Items: []Item{
				{ProductID: id + "1", Name: name + ", by the month", PeriodType: marketplaceapi.PeriodMonth, Price: month},
				{ProductID: id + "2", Name: name + ", by the year", PeriodType: marketplaceapi.PeriodYear, Price: year},
				{ProductID: id + "3", Name: name + ", by the day", PeriodType: marketplaceapi.PeriodDay, Price: "1"},
			},
		}
	}
	one := func(code, name, id, price string, mode marketplaceapi.ChargingMode) SKU {
		return SKU{Code: code, Name: name, ChargingMode: mode, Items: []Item{{ProductID: id, Name: name, Price: price}}}
	}
	onDemand := one("demo-on-demand", "Demo, by usage", "OFFI700000000000000041", "1", marketplaceapi.ChargingOnDemand)
	onDemand.Items[0].Unit = "call"
	two := SKU{
		Code: "demo-on-demand-two", Name: "Demo, by usage, two billing items", ChargingMode: marketplaceapi.ChargingOnDemand,
		Items: []Item{
			{ProductID: "OFFI700000000000000051", Name: "Demo, traffic", Price: "0.5", Unit: "GB"},
			{ProductID: "OFFI700000000000000052", Name: "Demo, storage", Price: "0.02", Unit: "GB-hour"},
		},
	}
	pkg := one("demo-package", "Demo, package of usage", "OFFI700000000000000061", "80", marketplaceapi.ChargingPackage)
	pkg.PackageAmount = "1000"
	stop := one("demo-package-stop", "Demo, package that stops when used up", "OFFI700000000000000071", "70", marketplaceapi.ChargingPackage)
	stop.PackageAmount, stop.StopWhenUsedUp = "1000", true
	base := func(code, name string, skus ...SKU) Product {
		return Product{Code: code, SellerID: DemoSeller, Name: name, Access: AccessV2, Provision: OnPayment, Status: OnSale, SKUs: skus}
	}
	main := base("demo", "Demo product",
		period("demo-period", "Demo, basic", "OFFI70000000000000001", "10", "100"),
		period("demo-period-pro", "Demo, pro", "OFFI70000000000000002", "25", "250"),
		one("demo-one-time", "Demo, paid once", "OFFI700000000000000031", "900", marketplaceapi.ChargingOneTime),
		onDemand, two, pkg, stop)
	main.ChangeCheck = true
	accept := base("demo-accept", "Demo product, opened after acceptance",
		one("demo-accept-one-time", "Demo, opened after acceptance", "OFFI700000000000000081", "5000", marketplaceapi.ChargingOneTime))
	accept.Provision = OnAcceptance
	v1 := base("demo-v1", "Demo product, access interface V1",
		period("demo-v1-period", "Demo V1, basic", "OFFI70000000000000009", "10", "100"),
		one("demo-v1-one-time", "Demo V1, paid once", "OFFI700000000000000101", "900", marketplaceapi.ChargingOneTime),
		one("demo-v1-on-demand", "Demo V1, by usage", "OFFI700000000000000111", "1", marketplaceapi.ChargingOnDemand))
	v1.Access = AccessV1
	kit := base("demo-kit", "Demo product, joint operation", period("demo-kit-period", "Demo kit", "OFFI70000000000000012", "10", "100"))
	kit.Kit = true
	notify := base("demo-notify", "Demo product, with order notices",
		one("demo-notify-one-time", "Demo, with order notices", "OFFI700000000000000131", "900", marketplaceapi.ChargingOneTime))
	notify.OrderNotify = true
	license := base("demo-license", "Demo licence", period("demo-license-period", "Demo licence", "OFFI70000000000000014", "10", "100"))
	license.License = true
	return []Product{main, accept, v1, kit, notify, license}
}

// DemoBuyer is the buyer of orders that name none.
var DemoBuyer = Buyer{ID: "demo-buyer", Info: marketplaceapi.BuyerInfo{
	CustomerID: "b7f4f7a41d0c4c6c9a3b6a2d9c1e5f00", CustomerName: "demo-buyer", CustomerRealName: "Demo Buyer",
	MobilePhone: "13800000000", Email: "buyer@example.com",
}}
