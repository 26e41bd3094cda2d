// Package readiness tells an ISV whether it may list a product on a marketplace: which of the market's conditions hold, which fail and why,
// which papers are needed, what to do next, and what it costs before anything is sold.
//
// The conditions are those of a policy document of package market; no market is known by name here. What a document asks for is answered by
// the ISV's profile, by the report of the conformance runner, and by the linter of an extension package.
package readiness

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/isvkit/isvkit/conformance/extension"
	"github.com/isvkit/isvkit/sandbox/market"
	"github.com/isvkit/isvkit/sandbox/market/settlement"
)

// Verdict is the outcome.
type Verdict string

// The verdicts.
const (
	Ready    Verdict = "ready"     // everything that is asked for entry and listing is met
	NotReady Verdict = "not-ready" // something is not, or a paper is missing
	Unknown  Verdict = "unknown"   // nothing fails, but the profile does not answer everything
)

// ExitCode is what the command ends with: 0, 1 or 2.
func (v Verdict) ExitCode() int {
	switch v {
	case Ready:
		return 0
	case NotReady:
		return 1
	default:
		return 2
	}
}

// Status is how a condition stands.
type Status string

// The statuses.
const (
	Holds        Status = "holds"
	Fails        Status = "fails"
	NotAnswered  Status = "not-answered"  // the profile does not say enough
	NotConcerned Status = "not-concerned" // it is for other sellers
)

// Request is what is judged.
type Request struct {
	Policy     *market.Policy
	Categories []string // one or more, as the document names them
	Profile    *Profile
	Report     *Report           // of the conformance runner; nil if there is none
	Extension  *extension.Result // what the linter found; nil if no package was given
	At         time.Time         // the day for which it is judged
}

// Result is what was found. Its JSON form is for programs.
type Result struct {
	Verdict    Verdict      `json:"verdict"`
	Market     string       `json:"market"`
	MarketName string       `json:"marketName"`
	ISV        string       `json:"isv,omitempty"` // name in the profile
	Categories []string     `json:"categories"`
	At         string       `json:"at"`
	Entry      string       `json:"entry"` // the day of entry as a seller: of the profile, otherwise At
	Policy     Edition      `json:"policy"`
	Conditions []Condition  `json:"conditions"`
	Papers     []Paper      `json:"papers"`
	Steps      []Step       `json:"steps"`
	Costs      Costs        `json:"costs"`
	Fees       []Fee        `json:"fees"` // what is kept of the revenue, later
	Report     *ReportFacts `json:"report,omitempty"`
	// Extension is what the linter found in the package; Conditions say what follows from it.
	Extension *extension.Result `json:"extension,omitempty"`
}

// Edition is the policy document that was applied.
type Edition struct {
	Effective string `json:"effective"`
	Until     string `json:"until,omitempty"`
	Lapsed    bool   `json:"lapsed"` // its published time is over, and no newer one is known
	Note      string `json:"note,omitempty"`
}

// Source is where a rule comes from.
type Source struct {
	Title      string `json:"title"`
	Confidence string `json:"confidence"`
}

// Condition is an entry condition and how it stands.
type Condition struct {
	ID         string   `json:"id"`
	Stage      string   `json:"stage"`
	Categories []string `json:"categories"` // of those asked for, which it concerns
	Says       string   `json:"says"`
	Status     Status   `json:"status"`
	Why        string   `json:"why"`
	Missing    []string `json:"missing,omitempty"` // fields that the profile does not answer
	Paper      string   `json:"paper,omitempty"`
	Next       string   `json:"next,omitempty"`
	Note       string   `json:"note,omitempty"`
	Source     Source   `json:"source"`
	// Findings are what the conformance report or the linter has to say of it.
	Findings []string `json:"findings,omitempty"`
	// Lacks is what was not given although the condition asks for it: report or package.
	Lacks string `json:"lacks,omitempty"`
}

// Blocks says whether it stands in the way of a listing. What is needed to withdraw money does not.
func (c Condition) Blocks() bool { return c.Stage != market.StageWithdrawal }

// Paper is a document that is handed in.
type Paper struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Says   string   `json:"says"`
	AtHand bool     `json:"atHand"`
	For    []string `json:"for"` // ids of the conditions that it proves
	Why    string   `json:"why,omitempty"`
	Source Source   `json:"source"`
}

// Step is a step of the market's onboarding, in its order.
type Step struct {
	ID    string `json:"id"`
	Says  string `json:"says"`
	By    string `json:"by"`
	Takes string `json:"takes,omitempty"`
	Done  bool   `json:"done"`
	Next  bool   `json:"next"` // the first that is not done
	// Papers and Conditions are what is missing for this step: ids of papers that are not at hand, and of conditions that do not hold.
	Papers     []string `json:"papers"`
	Conditions []string `json:"conditions"`
	Source     Source   `json:"source"`
}

// Count is how many conditions have a status, of those that stand in the way of a listing.
func (r *Result) Count(s Status) int {
	n := 0
	for _, c := range r.Conditions {
		if c.Status == s && c.Blocks() {
			n++
		}
	}
	return n
}

// MissingPapers are the papers that are not at hand.
func (r *Result) MissingPapers() []Paper {
	return slices.DeleteFunc(slices.Clone(r.Papers), func(p Paper) bool { return p.AtHand })
}

// Judge evaluates the conditions. An error means that it cannot be judged: the request itself is wrong.
func Judge(req Request) (*Result, error) {
	p := req.Policy
	categories, err := categoriesOf(p, req.Categories)
	if err != nil {
		return nil, err
	}
	j := &judge{Request: req, categories: categories}
	j.facts, err = factsOf(req.Report, p, req.At)
	if err != nil {
		return nil, err
	}
	r := &Result{
		Market: p.Market, MarketName: p.Name, ISV: req.Profile.Name, At: string(market.DateOf(req.At, p.Location())),
		Policy: Edition{Effective: string(p.Effective), Until: string(p.Until), Lapsed: p.Lapsed(req.At), Note: p.Note},
		Report: j.facts, Extension: req.Extension,
	}
	r.Entry = string(j.seller().Entered)
	for _, c := range categories {
		r.Categories = append(r.Categories, c.ID)
	}
	if r.Costs, err = j.costs(); err != nil {
		return nil, err
	}
	r.Fees = j.fees()
	r.Conditions = j.conditions(r.Costs)
	r.Papers = j.papers(r.Conditions)
	r.Steps = j.steps(r)
	switch {
	case r.Count(Fails) > 0 || len(r.MissingPapers()) > 0:
		r.Verdict = NotReady
	case r.Count(NotAnswered) > 0:
		r.Verdict = Unknown
	default:
		r.Verdict = Ready
	}
	return r, nil
}

func categoriesOf(p *market.Policy, ids []string) ([]market.Category, error) {
	var all []string
	for _, c := range p.Categories {
		all = append(all, c.ID)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("no category is given, expected one or more of %s", strings.Join(all, ", "))
	}
	var found []market.Category
	for _, id := range ids {
		c, ok := p.Category(id)
		if !ok {
			return nil, fmt.Errorf("%q is no category of %s; %s", id, p.Market, expected(id, all))
		}
		if slices.ContainsFunc(found, func(o market.Category) bool { return o.ID == id }) {
			return nil, fmt.Errorf("the category %q is given twice, expected each once", id)
		}
		found = append(found, c)
	}
	return found, nil
}

type judge struct {
	Request
	categories []market.Category
	facts      *ReportFacts
	deposited  string // why the deposit counts as paid although the profile does not say so
}

// answer looks a field up: in the profile, the conformance report or the linter's result, as the document says of the field.
func (j *judge) answer(field string) (any, bool) {
	switch j.Policy.Field(field).From {
	case market.FromReport:
		return j.facts.answer(field)
	case market.FromPackage:
		return packageAnswer(j.Extension, field)
	}
	if field == depositPaid && j.deposited != "" {
		return true, true
	}
	return j.Profile.Field(j.Policy.Market, field)
}

// depositPaid is the one field to which an answer may follow from the costs: where nothing is due, nothing has to be paid.
const depositPaid = "deposit.paid"

func packageAnswer(r *extension.Result, field string) (any, bool) {
	if r == nil || field != "package.lint" {
		return nil, false
	}
	if r.OK() {
		return "clean", true
	}
	return "problems", true
}

func (j *judge) source(id string) Source {
	s := j.Policy.Sources[id]
	return Source{Title: s.Title, Confidence: s.Confidence}
}

// conditions judges those that concern one of the categories, each once.
func (j *judge) conditions(costs Costs) []Condition {
	if costs.nothingDue() {
		j.deposited = "no deposit is due now"
	}
	var all []Condition
	for _, c := range j.categories {
		if !c.Open() {
			all = append(all, j.announced(c))
		}
	}
	for _, c := range j.Policy.Conditions {
		var concerned []string
		for _, category := range j.categories {
			if concerns(c.Categories, category.ID) {
				concerned = append(concerned, category.ID)
			}
		}
		if len(concerned) > 0 {
			all = append(all, j.condition(c, concerned))
		}
	}
	return all
}

// sells says whether one of the categories asked for is among these; none means all.
func (j *judge) sells(categories []string) bool {
	return slices.ContainsFunc(j.categories, func(c market.Category) bool { return concerns(categories, c.ID) })
}

func concerns(categories []string, id string) bool {
	return len(categories) == 0 || slices.Contains(categories, id)
}

// announced is the condition that every category has, whatever its document says besides.
func (j *judge) announced(c market.Category) Condition {
	var open []string
	for _, other := range j.Policy.Categories {
		if other.Open() {
			open = append(open, other.ID)
		}
	}
	return Condition{
		ID: "open", Stage: market.StageEntry, Categories: []string{c.ID}, Says: "The category can be entered.", Status: Fails,
		Why: c.ID + " is announced and not open yet", Next: "Wait, or enter what is open: " + strings.Join(open, ", ") + ".", Source: j.source(c.Source),
	}
}

func (j *judge) condition(c market.Condition, concerned []string) Condition {
	judged := Condition{
		ID: c.ID, Stage: c.Stage, Categories: concerned, Says: c.Says, Paper: c.Paper, Next: c.Next, Note: c.Note, Source: j.source(c.Source),
	}
	concern := j.Policy.Concerns(c.When, j.answer, j.At)
	if concern.Outcome == market.Fails {
		judged.Status, judged.Why = NotConcerned, concern.Why
		return judged
	}
	test := j.Policy.Check(c.Needs, j.answer, j.At)
	judged.Why = test.Why
	switch {
	case concern.Outcome == market.Unknown && test.Outcome == market.Holds: // it does not matter then whether it concerns the seller
		judged.Status = Holds
	case concern.Outcome == market.Unknown:
		judged.Status, judged.Why, judged.Missing = NotAnswered, "it is open whether it concerns you: "+concern.Why, concern.Missing
	case test.Outcome == market.Holds:
		judged.Status = Holds
		if j.deposited != "" && c.Needs.Field == depositPaid {
			if paid, _ := j.Profile.Field(j.Policy.Market, depositPaid); paid != true {
				judged.Why = j.deposited
			}
		}
	case test.Outcome == market.Fails:
		judged.Status = Fails
	default:
		judged.Status, judged.Missing = NotAnswered, test.Missing
		if judged.Lacks = j.lacking(test.Missing); judged.Lacks != "" { // what is not shown is not met
			judged.Status, judged.Why, judged.Missing = Fails, notGiven[judged.Lacks], nil
		}
	}
	if judged.Status == Fails {
		judged.Findings = j.findings(c.Needs)
	}
	return judged
}

// notGiven says what to give.
var notGiven = map[string]string{
	market.FromReport:  "no conformance report is given; isv-conformance run … --json FILE writes it, --report FILE gives it",
	market.FromPackage: "no extension package is given; --extension gives its folder or .tgz",
}

// lacking says what was not given at all, if one of the fields is answered by it.
func (j *judge) lacking(fields []string) string {
	for _, field := range fields {
		switch from := j.Policy.Field(field).From; {
		case from == market.FromReport && j.Report == nil, from == market.FromPackage && j.Extension == nil:
			return from
		}
	}
	return ""
}

// maxFindings keeps the list of what a report or a linter found within what one reads. The whole list is there.
const maxFindings = 5

// findings are the reasons behind an answer that is not the profile's.
func (j *judge) findings(t market.Test) []string {
	var all []string
	switch j.Policy.Field(t.Field).From {
	case market.FromReport:
		if t.Field == "conformance.verdict" {
			all = j.facts.problems()
		}
	case market.FromPackage:
		if j.Extension != nil {
			for _, f := range j.Extension.Broken() {
				all = append(all, f.String())
			}
		}
	}
	if n := len(all) - maxFindings; n > 0 {
		all = append(all[:maxFindings], fmt.Sprintf("and %d more", n))
	}
	return all
}

// papers are those that are asked of this seller: by a condition that concerns it, or by the document's own list.
func (j *judge) papers(conditions []Condition) []Paper {
	all := []Paper{}
	for _, paper := range j.Policy.Papers {
		p := Paper{ID: paper.ID, Name: paper.Name, Says: paper.Says, For: []string{}, Source: j.source(paper.Source)}
		concerned := j.Policy.Concerns(paper.When, j.answer, j.At)
		proves, asked := false, false
		for _, c := range j.Policy.Conditions {
			if c.Paper == paper.ID {
				proves = true
			}
		}
		for _, c := range conditions {
			if c.Paper == paper.ID && c.Status != NotConcerned {
				p.For, asked = append(p.For, c.ID), true
			}
		}
		if concerned.Outcome == market.Fails || proves && !asked {
			continue
		}
		if concerned.Outcome == market.Unknown {
			p.Why = "it may not be asked of you: " + concerned.Why
		}
		p.AtHand = j.Profile.has(j.Policy.Market, paper.ID) || j.proven(paper.ID)
		all = append(all, p)
	}
	return all
}

// proven says whether a paper is what was given here: the report or the package that a condition compares.
func (j *judge) proven(paper string) bool {
	for _, c := range j.Policy.Conditions {
		if c.Paper != paper {
			continue
		}
		switch j.Policy.Field(c.Needs.Field).From {
		case market.FromReport:
			return j.Report != nil
		case market.FromPackage:
			return j.Extension != nil
		}
	}
	return false
}

// steps are those that this seller takes, and what each waits for. What does not hold for entry or listing hinders the step that opens it;
// if that step is said to be done nevertheless, the next one that is not.
func (j *judge) steps(r *Result) []Step {
	open := map[string][]string{} // conditions that do not hold, by stage
	for _, c := range r.Conditions {
		if c.Status == Fails || c.Status == NotAnswered {
			open[c.Stage] = append(open[c.Stage], c.ID)
		}
	}
	missing := r.MissingPapers()
	all := []Step{}
	var hindering []string
	for _, s := range j.Policy.Onboarding {
		if !j.sells(s.Categories) || j.Policy.Concerns(s.When, j.answer, j.At).Outcome == market.Fails {
			continue
		}
		step := Step{ID: s.ID, Says: s.Says, By: s.By, Takes: takes(s.Takes), Papers: []string{}, Conditions: []string{}, Source: j.source(s.Source)}
		step.Done = j.Profile.did(j.Policy.Market, s.ID) || s.Done != nil && j.Policy.Check(*s.Done, j.answer, j.At).Outcome == market.Holds
		hindering = append(hindering, open[s.Opens]...)
		delete(open, s.Opens)
		if !step.Done {
			for _, need := range s.Needs {
				if slices.ContainsFunc(missing, func(p Paper) bool { return p.ID == need }) {
					step.Papers = append(step.Papers, need)
				}
			}
			step.Conditions = append(step.Conditions, hindering...)
			hindering = nil
		}
		all = append(all, step)
	}
	if next := slices.IndexFunc(all, func(s Step) bool { return !s.Done }); next >= 0 {
		all[next].Next = true
	}
	return all
}

func takes(s *market.Span) string {
	switch {
	case s == nil:
		return ""
	case s.AtLeast == s.AtMost || s.AtMost.N == 0:
		return s.AtLeast.String()
	case s.AtLeast.Unit == s.AtMost.Unit:
		return fmt.Sprintf("%d to %s", s.AtLeast.N, s.AtMost)
	}
	return s.AtLeast.String() + " to " + s.AtMost.String()
}

// ---- costs -------------------------------------------------------------------------------------------------------------------

// Cost is an amount that is paid before anything is sold.
type Cost struct {
	ID         string   `json:"id"`
	Kind       string   `json:"kind"` // deposit or charge
	Categories []string `json:"categories,omitempty"`
	Amount     string   `json:"amount"` // due before listing or withdrawal; in the currency of Costs
	Says       string   `json:"says"`
	Before     []string `json:"before,omitempty"` // what is not possible without it
	Every      string   `json:"every,omitempty"`  // it is due again after so long
	Returned   string   `json:"returned,omitempty"`
	Waived     string   `json:"waived,omitempty"` // why nothing is due, for good or for now
	Maybe      string   `json:"maybe,omitempty"`  // why nothing may be due: the profile does not say enough
	Source     Source   `json:"source"`
}

// Costs are what has to be paid up front.
type Costs struct {
	Currency string `json:"currency"`
	Items    []Cost `json:"items"`
	Total    string `json:"total"`              // of what is due
	Combine  string `json:"combine,omitempty"`  // of several categories: sum, or highest
	Unstated string `json:"unstated,omitempty"` // what is not published, so that the total is not all
}

const (
	kindDeposit = "deposit"
	kindCharge  = "charge"
)

// nothingDue says whether the deposit is known to be nothing.
func (c Costs) nothingDue() bool {
	deposits := 0
	for _, item := range c.Items {
		if item.Kind == kindDeposit {
			deposits++
			if item.Waived == "" {
				return false
			}
		}
	}
	return deposits > 0
}

// seller is who is judged, as package settlement knows a seller. Who has not entered yet is taken to enter on the day for which it is judged.
func (j *judge) seller() settlement.Seller {
	s := settlement.Seller{Entered: market.DateOf(j.At, j.Policy.Location()), Answers: j.answer}
	if day, ok := j.entered(); ok {
		s.Entered = day
	}
	for _, c := range j.categories {
		s.Categories = append(s.Categories, c.ID)
	}
	return s
}

// entered is the day on which the account became a seller, if it has.
func (j *judge) entered() (market.Date, bool) {
	day, ok := j.Profile.Field(j.Policy.Market, "account.entered")
	text, isText := day.(string)
	return market.Date(text), ok && isText
}

// costs are what package settlement says is paid before anything is sold, with the words of the document.
func (j *judge) costs() (Costs, error) {
	d := j.Policy.Deposit
	c := Costs{Currency: j.Policy.Currency, Items: []Cost{}, Unstated: d.Unstated}
	up, err := settlement.CostUpFront(j.Policy, j.seller(), j.At)
	if err != nil {
		return c, err
	}
	c.Total = up.Total.StringFixed(2)
	if len(j.categories) > 1 && len(up.Deposit.Parts) > 0 {
		c.Combine = d.Combine
	}
	waived, maybe, returned := "", "", "given back"
	for _, w := range d.Waivers {
		if w.ID == up.Deposit.Waived {
			waived = w.Says
		}
	}
	if waived == "" {
		maybe = j.perhapsWaived()
	}
	if d.Return != nil {
		returned = d.Return.Says
	}
	for _, part := range up.Deposit.Parts {
		at := slices.IndexFunc(d.Amounts, func(a market.DepositAmount) bool { return a.ID == part.Rule })
		c.Items = append(c.Items, Cost{
			ID: part.Rule, Kind: kindDeposit, Categories: []string{part.Category}, Amount: part.Amount.StringFixed(2), Says: d.Amounts[at].Says,
			Before: d.NeededFor, Returned: returned, Waived: waived, Maybe: maybe, Source: j.source(d.Amounts[at].Source),
		})
	}
	if c.Combine == "highest" {
		c.Items = combined(c.Items)
	}
	for _, due := range up.Charges {
		at := slices.IndexFunc(j.Policy.Charges, func(charge market.Charge) bool { return charge.ID == due.Rule })
		c.Items = append(c.Items, j.charge(j.Policy.Charges[at]))
	}
	return c, nil
}

func (j *judge) charge(charge market.Charge) Cost {
	item := Cost{
		ID: charge.ID, Kind: kindCharge, Amount: charge.Amount.StringFixed(2), Says: charge.Says, Source: j.source(charge.Source), Returned: "not given back",
	}
	if charge.Before != "" {
		item.Before = []string{charge.Before}
	}
	if charge.Every != nil {
		item.Every = charge.Every.String()
	}
	if charge.Refundable {
		item.Returned = "given back"
	}
	if concerned := j.Policy.Concerns(charge.When, j.answer, j.At); concerned.Outcome == market.Unknown {
		item.Maybe = concerned.Why
	}
	return item
}

// combined keeps the item with the highest amount, for all of the categories.
func combined(items []Cost) []Cost {
	highest := slices.MaxFunc(items, func(a, b Cost) int {
		return decimal.RequireFromString(a.Amount).Cmp(decimal.RequireFromString(b.Amount)) // written above
	})
	highest.Categories = nil
	for _, item := range items {
		highest.Categories = append(highest.Categories, item.Categories...)
	}
	return []Cost{highest}
}

// perhapsWaived says why perhaps no deposit is due: a waiver for which the profile says too little.
func (j *judge) perhapsWaived() string {
	for _, w := range j.Policy.Deposit.Waivers {
		if w.Entered != nil && !w.Entered.Holds(j.seller().Entered) {
			continue
		}
		if concerned := j.Policy.Concerns(w.When, j.answer, j.At); concerned.Outcome == market.Unknown {
			return w.Says + " " + concerned.Why
		}
	}
	return ""
}

// Fee is what the market keeps of the revenue, or a promotion that frees some of it.
type Fee struct {
	ID         string   `json:"id"`
	Kind       string   `json:"kind"` // fee, promotion, or unstated: nothing is published
	Categories []string `json:"categories"`
	Says       string   `json:"says"`
	Through    string   `json:"through,omitempty"` // the last day of a promotion that is for a time
	Maybe      string   `json:"maybe,omitempty"`   // why a promotion may not be for this seller: the profile does not say enough
	Source     Source   `json:"source"`
}

// fees are those in force, in words; package market computes them.
func (j *judge) fees() []Fee {
	today := market.DateOf(j.At, j.Policy.Location())
	all := []Fee{}
	add := func(kind string, rule market.Rule, categories []string) *Fee {
		f := Fee{ID: rule.ID, Kind: kind, Says: rule.Says, Source: j.source(rule.Source)}
		for _, c := range j.categories {
			if concerns(categories, c.ID) {
				f.Categories = append(f.Categories, c.ID)
			}
		}
		if len(f.Categories) == 0 {
			return nil
		}
		all = append(all, f)
		return &all[len(all)-1]
	}
	for _, f := range j.Policy.Fees.Rates {
		if f.Holds(today) {
			add("fee", f.Rule, f.Categories)
		}
	}
	for _, f := range j.Policy.Fees.Unstated {
		add("unstated", f.Rule, f.Categories)
	}
	seller := j.seller()
	for _, promo := range j.Policy.Promotions {
		through := settlement.FreeThrough(j.Policy, &promo, seller.Entered)
		concerned := j.Policy.Concerns(promo.When, j.answer, j.At)
		if promo.Entered != nil && !promo.Entered.Holds(seller.Entered) || through != "" && through < today || concerned.Outcome == market.Fails {
			continue
		}
		if f := add("promotion", promo.Rule, promo.Categories); f != nil {
			f.Through = string(through)
			if concerned.Outcome == market.Unknown {
				f.Maybe = concerned.Why
			}
		}
	}
	return all
}
