package market

import (
	"time"

	"github.com/shopspring/decimal"
)

// Policy is one edition of a market's rules, as its document states them. Amounts are in the policy's currency, days begin at midnight in
// its time zone.
type Policy struct {
	Market    string            `yaml:"market"`    // its name in Load
	Name      string            `yaml:"name"`      // what people call it
	Effective Date              `yaml:"effective"` // the first day on which it is in force
	Until     Date              `yaml:"until"`     // the last day; empty if none was published
	Currency  string            `yaml:"currency"`
	Timezone  string            `yaml:"timezone"`
	Calendar  string            `yaml:"calendar"` // of working days; see Calendars
	Note      string            `yaml:"note"`
	Sources   map[string]Source `yaml:"sources"`
	Fields    map[string]Field  `yaml:"fields"` // of a profile, besides those that every document may ask for

	Categories     []Category     `yaml:"categories"`
	Papers         []Paper        `yaml:"papers"`
	Conditions     []Condition    `yaml:"conditions"`
	Onboarding     []Step         `yaml:"onboarding"`
	Charges        []Charge       `yaml:"charges"`
	Deposit        Deposit        `yaml:"deposit"`
	Revenue        []RevenueKind  `yaml:"revenue"`
	Fees           Fees           `yaml:"fees"`
	Promotions     []Promotion    `yaml:"promotions"`
	Settlement     Settlement     `yaml:"settlement"`
	Refunds        []Refund       `yaml:"refunds"`
	RefundRules    RefundRules    `yaml:"refundRules"`
	FailedDelivery FailedDelivery `yaml:"failedDelivery"`
	FailedOrders   *FailedOrders  `yaml:"failedOrders"`
	Probes         *Probes        `yaml:"probes"`
	Deadlines      []Deadline     `yaml:"deadlines"`
	Violations     []Violation    `yaml:"violations"`
	Exit           Exit           `yaml:"exit"`

	document string
	location *time.Location
	calendar *Calendar
}

// Source is where a figure comes from.
type Source struct {
	Title string `yaml:"title"`
	// Confidence is stated (the market's own seller documents say so), agreed (several published texts agree), single (one text), inferred,
	// or ours (nothing is published, and the choice is this project's).
	Confidence string `yaml:"confidence"`
}

// Rule is what every rule of a document has.
type Rule struct {
	ID         string   `yaml:"id"`
	Says       string   `yaml:"says"`   // one sentence for people
	Source     string   `yaml:"source"` // a key of Sources
	Note       string   `yaml:"note"`
	AlsoStated []Stated `yaml:"alsoStated"`
}

// Stated is another figure that is published for the same thing. The rule does not follow it.
type Stated struct {
	Value  string `yaml:"value"`
	Source string `yaml:"source"`
}

// Category is what a product is sold as. Some markets call it a market.
type Category struct {
	Rule   `yaml:",inline"`
	Name   string `yaml:"name"`
	Opens  string `yaml:"opens"`  // now (default), or announced: it cannot be entered yet
	SaaS   bool   `yaml:"saas"`   // delivered by calls to the seller's production address
	Family string `yaml:"family"` // for people: what several categories have in common
}

// Open tells whether the category can be entered.
func (c Category) Open() bool { return c.Opens != "announced" }

// Paper is a document that the seller hands in.
type Paper struct {
	Rule `yaml:",inline"`
	Name string `yaml:"name"`
	When *Test  `yaml:"when"` // only sellers for whom this holds hand it in; nil means all
}

// Stages for which a condition has to hold.
const (
	StageEntry      = "entry"      // becoming a seller in the category
	StageListing    = "listing"    // putting a product on sale
	StageWithdrawal = "withdrawal" // taking money out
)

// Condition is one entry condition, in a form that a program can compare with a profile.
type Condition struct {
	Rule       `yaml:",inline"`
	Stage      string   `yaml:"stage"`
	Categories []string `yaml:"categories"` // which it concerns; none means all
	When       *Test    `yaml:"when"`       // only sellers for whom this holds are concerned; nil means all
	Needs      Test     `yaml:"needs"`
	Paper      string   `yaml:"paper"` // the id of the paper that proves it; may be empty
	Next       string   `yaml:"next"`  // what to do if it does not hold
}

// Step is one step of onboarding. Steps are taken in the order of the document.
type Step struct {
	Rule       `yaml:",inline"`
	Categories []string `yaml:"categories"` // which it concerns; none means all
	By         string   `yaml:"by"`         // seller or market
	When       *Test    `yaml:"when"`
	Takes      *Span    `yaml:"takes"` // how long the market needs
	Needs      []string `yaml:"needs"` // papers, by id
	Done       *Test    `yaml:"done"`  // how a profile shows that the step is taken; nil where it cannot
	Opens      string   `yaml:"opens"` // what is possible after it
}

// Span is a time between two lengths.
type Span struct {
	AtLeast Period `yaml:"atLeast"`
	AtMost  Period `yaml:"atMost"`
}

// Charge is a fixed amount that is not given back.
type Charge struct {
	Rule       `yaml:",inline"`
	Amount     decimal.Decimal `yaml:"amount"`
	Every      *Period         `yaml:"every"`  // nil means once
	Before     string          `yaml:"before"` // what is not possible without it
	When       *Test           `yaml:"when"`
	Refundable bool            `yaml:"refundable"`
}

// Deposit says what is deposited, and when it comes back.
type Deposit struct {
	Unstated  string          `yaml:"unstated"`  // why there are no amounts; empty if there are
	NeededFor []string        `yaml:"neededFor"` // listing, withdrawal
	Combine   string          `yaml:"combine"`   // of several categories: sum, or highest
	PaidBy    string          `yaml:"paidBy"`
	Amounts   []DepositAmount `yaml:"amounts"`
	Waivers   []DepositWaiver `yaml:"waivers"`
	TopUp     *TopUp          `yaml:"topUp"`
	Return    *DepositReturn  `yaml:"return"`
}

// DepositAmount is the deposit for a category.
type DepositAmount struct {
	Rule       `yaml:",inline"`
	Amount     decimal.Decimal `yaml:"amount"`
	Categories []string        `yaml:"categories"` // none means all
	Unassigned bool            `yaml:"unassigned"` // the amount is published, but not for which category
}

// DepositWaiver frees some sellers of the deposit.
type DepositWaiver struct {
	Rule    `yaml:",inline"`
	When    *Test   `yaml:"when"`
	Entered *Dates  `yaml:"entered"` // only those who entered in this time
	For     *Period `yaml:"for"`     // from the first listing; nil means for good
	DueIn   *Period `yaml:"dueIn"`   // how long after the end of the waiver it may be paid
}

// Dates is from one day through another. An empty day is no bound.
type Dates struct {
	From    Date `yaml:"from"`
	Through Date `yaml:"through"`
}

// TopUp says what follows when money was taken from a deposit.
type TopUp struct {
	Rule      `yaml:",inline"`
	Within    Period     `yaml:"within"`
	Otherwise []Sanction `yaml:"otherwise"`
}

// DepositReturn says when a deposit comes back.
type DepositReturn struct {
	Rule     `yaml:",inline"`
	After    string  `yaml:"after"`    // exit, contract-end, or delisting of all products
	Within   *Period `yaml:"within"`   // at the latest so long after; nil where nothing is stated
	Wait     *Period `yaml:"wait"`     // not before so long after
	Interest bool    `yaml:"interest"` // whether it bears interest
	Clean    bool    `yaml:"clean"`    // only if no rule was broken
}

// RevenueKind is a kind of revenue that fees tell apart.
type RevenueKind struct {
	Rule `yaml:",inline"`
	Name string `yaml:"name"`
}

// Fees are the platform fees, a part of the revenue.
type Fees struct {
	Rates      []Fee        `yaml:"rates"`
	Unstated   []Unstated   `yaml:"unstated"` // categories for which no fee is published
	Correction *Correction  `yaml:"correction"`
	Rounding   RoundingRule `yaml:"rounding"`
}

// Unstated says that nothing is published for some categories.
type Unstated struct {
	Rule       `yaml:",inline"`
	Categories []string `yaml:"categories"` // none means all
}

// Fee is the fee of some categories.
type Fee struct {
	Rule       `yaml:",inline"`
	Categories []string `yaml:"categories"` // none means all
	Dates      `yaml:",inline"`
	Counts     []string `yaml:"counts"` // kinds of revenue that count towards the tier; none means all
	Charged    []string `yaml:"charged"`
	Tiers      []Tier   `yaml:"tiers"`
}

// Tier is a rate for the revenue of a month that is at least From and less than Below. The rate of a month's tier is that of all its
// revenue, not only of what exceeds From.
type Tier struct {
	From  decimal.Decimal  `yaml:"from"`
	Below *decimal.Decimal `yaml:"below"` // nil in the last tier
	Rate  Rate             `yaml:"rate"`
}

// Correction says that orders are charged by a provisional tier first, and corrected by that of the month.
type Correction struct {
	Rule  `yaml:",inline"`
	First string `yaml:"first"` // lowest: the first tier of the table
	At    string `yaml:"at"`    // next-month
}

// RoundingRule says how a fee becomes an amount of money.
type RoundingRule struct {
	Rule   `yaml:",inline"`
	Places int32  `yaml:"places"` // decimals of an amount
	Mode   string `yaml:"mode"`   // half-up, down
}

// Promotion frees some revenue of the platform fee.
type Promotion struct {
	Rule       `yaml:",inline"`
	Categories []string     `yaml:"categories"`
	When       *Test        `yaml:"when"`
	Entered    *Dates       `yaml:"entered"`
	Free       *FreeTime    `yaml:"free"`
	Revenue    *FreeRevenue `yaml:"revenue"`
}

// FreeTime is a time without a fee, from the day of entry.
type FreeTime struct {
	For     Period   `yaml:"for"`
	Windows []Window `yaml:"windows"` // if there are any, the time is counted from the day that closes the window of the entry
}

// Window is a range of days of the month. One that ends before it begins goes on into the next month.
type Window struct {
	FromDay    int `yaml:"fromDay"`
	ThroughDay int `yaml:"throughDay"`
}

// FreeRevenue is the first part of the revenue, within a time from the day of entry.
type FreeRevenue struct {
	UpTo   decimal.Decimal `yaml:"upTo"`
	Within Period          `yaml:"within"`
}

// Settlement says when an order is money, and how the money is taken out.
type Settlement struct {
	Order      *OrderSettlement `yaml:"order"`
	Withdrawal *Withdrawal      `yaml:"withdrawal"`
}

// OrderSettlement says when an order is completed and billed.
type OrderSettlement struct {
	Rule       `yaml:",inline"`
	After      string   `yaml:"after"` // acceptance: of the order by the buyer; or payment
	Delay      *Period  `yaml:"delay"`
	Billed     string   `yaml:"billed"`     // next-month
	Supervised []string `yaml:"supervised"` // categories whose orders the buyer accepts; of others delivery counts as acceptance
}

// Withdrawal says how the seller takes out what was settled.
type Withdrawal struct {
	Rule             `yaml:",inline"`
	FirstWorkingDays int              `yaml:"firstWorkingDays"` // of a month, in which one may apply; 0 means at any time
	Minimum          *decimal.Decimal `yaml:"minimum"`          // of a withdrawal; what is below waits and is joined with the next month
	WholeMonths      bool             `yaml:"wholeMonths"`      // never an amount of the seller's choice
	Needs            []string         `yaml:"needs"`            // deposit, invoice
}

// What is given back after the time of a full refund.
const (
	RefundUnused = "unused-part"
	RefundNone   = "none"
)

// Refund says what a buyer gets back.
type Refund struct {
	Rule       `yaml:",inline"`
	Categories []string    `yaml:"categories"` // none means all
	Full       *FullRefund `yaml:"full"`       // nil: never in full
	After      string      `yaml:"after"`      // unused-part or none
	Releases   bool        `yaml:"releases"`   // a refund ends the instance
	PerBuyer   *Allowance  `yaml:"perBuyer"`   // how many full refunds a buyer has; nil means any number
}

// FullRefund is the review period.
type FullRefund struct {
	Within   *Period `yaml:"within"`
	Counting string  `yaml:"counting"` // purchase-day: the day of purchase is the first day; moment: from the moment of purchase
	Until    string  `yaml:"until"`    // service-confirmed: until the buyer confirms the service
}

// Allowance is a number of times in a year.
type Allowance struct {
	Times int    `yaml:"times"`
	Per   string `yaml:"per"` // calendar-year
}

// RefundRules are those that concern the seller.
type RefundRules struct {
	Rate            *RefundRate `yaml:"rate"`
	PlatformRefunds []Rule      `yaml:"platformRefunds"` // reasons for which the market may give the money back itself
}

// RefundRate is the part of the orders that may be refunded for reasons of product or service.
type RefundRate struct {
	Rule      `yaml:",inline"`
	Above     Rate       `yaml:"above"`
	Sanctions []Sanction `yaml:"sanctions"`
	Improve   Period     `yaml:"improve"` // the time to do better
}

// Actions on products.
const (
	ActHide   = "hide"   // not found any more, not bought any more
	ActDelist = "delist" // taken off the market
)

// Products that an action reaches.
const (
	ScopeProduct = "product" // the one that is concerned
	ScopeSeller  = "seller"  // all of the seller, of the same kind
)

// FailedDelivery says what follows when a SaaS order cannot be delivered.
type FailedDelivery struct {
	Unstated string         `yaml:"unstated"`
	Steps    []FailureStep  `yaml:"steps"`
	Restores *FailureRepair `yaml:"restores"`
}

// FailureStep is what follows when a failed delivery was not repaired for so long.
type FailureStep struct {
	Rule  `yaml:",inline"`
	After Period `yaml:"after"` // 0 days: at once
	Do    string `yaml:"do"`    // hide or delist
	Scope string `yaml:"scope"`
}

// FailureRepair is what comes back when no failed delivery is left.
type FailureRepair struct {
	Rule `yaml:",inline"`
	What []string `yaml:"what"` // hide, delist: products with which that was done
}

// FailedOrders delists a product of which too many orders failed in a calendar month.
type FailedOrders struct {
	Rule     `yaml:",inline"`
	MoreThan int    `yaml:"moreThan"`
	Per      string `yaml:"per"` // calendar-month
	Do       string `yaml:"do"`
	Scope    string `yaml:"scope"`
}

// Probes says when a market tries products that are on sale, and what follows if that fails.
type Probes struct {
	Rule        `yaml:",inline"`
	At          []TimeOfDay `yaml:"at"` // when in the day; two times
	FailingDays int         `yaml:"failingDays"`
	Frozen      *Rule       `yaml:"frozen"`
	FrozenDays  int         `yaml:"frozenDays"` // after which a frozen product is delisted
}

// TimeOfDay is written HH:MM.
type TimeOfDay string

// Deadline is a time in which the seller has to do something.
type Deadline struct {
	Rule      `yaml:",inline"`
	Within    Period `yaml:"within"`
	Otherwise string `yaml:"otherwise"`
}

// Violation is what a seller must not do.
type Violation struct {
	Rule      `yaml:",inline"`
	Level     string     `yaml:"level"` // general or severe
	Sanctions []Sanction `yaml:"sanctions"`
}

// Sanction is what follows.
type Sanction struct {
	Do     string           `yaml:"do"` // see the schema
	For    *Period          `yaml:"for"`
	Amount *decimal.Decimal `yaml:"amount"` // taken from the deposit
}

// Exit says how a seller leaves.
type Exit struct {
	Unstated string `yaml:"unstated"`
	Steps    []Rule `yaml:"steps"`
	Return   *Rule  `yaml:"return"` // nil where nothing is stated
	MayEnter *bool  `yaml:"mayEnterAgain"`
}

// Document names the document of which the policy was read.
func (p *Policy) Document() string { return p.document }

// Location is the policy's time zone.
func (p *Policy) Location() *time.Location { return p.location }

// WorkingDays is the policy's calendar.
func (p *Policy) WorkingDays() *Calendar { return p.calendar }

// Lapsed tells whether the published time of the policy is over. Load gives it nevertheless if nothing newer is known.
func (p *Policy) Lapsed(at time.Time) bool {
	return p.Until != "" && !at.Before(p.Until.End(p.location))
}

// Category finds a category by its id.
func (p *Policy) Category(id string) (Category, bool) {
	for _, c := range p.Categories {
		if c.ID == id {
			return c, true
		}
	}
	return Category{}, false
}

// Paper finds a paper by its id.
func (p *Policy) Paper(id string) (Paper, bool) {
	for _, d := range p.Papers {
		if d.ID == id {
			return d, true
		}
	}
	return Paper{}, false
}

// ConditionsFor are the conditions that concern a category, in the order of the document.
func (p *Policy) ConditionsFor(category string) []Condition {
	var all []Condition
	for _, c := range p.Conditions {
		if concerns(c.Categories, category) {
			all = append(all, c)
		}
	}
	return all
}

func concerns(categories []string, category string) bool {
	if len(categories) == 0 {
		return true
	}
	for _, c := range categories {
		if c == category {
			return true
		}
	}
	return false
}
