package market

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// checker compares the parts of a document with each other.
type checker struct {
	r                           *reader
	p                           *Policy
	categories, papers, revenue map[string]bool
}

func (c checker) known(path string, ids []string, known map[string]bool, what string) {
	for i, id := range ids {
		if !known[id] {
			c.r.problem(join(path, strconv.Itoa(i)), "%q is no %s of this document, expected one of %s", id, what,
				strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
}

func (c checker) date(path string, d Date) {
	if d != "" && d.Start(c.p.location).IsZero() {
		c.r.problem(path, "%q is no day of the calendar, expected one such as 2026-01-31", d)
	}
}

func (c checker) dates(path string, d *Dates) {
	if d == nil {
		return
	}
	c.date(path+".from", d.From)
	c.date(path+".through", d.Through)
	if d.From != "" && d.Through != "" && d.Through < d.From {
		c.r.problem(path+".through", "is %s, expected a day not before %s", d.Through, d.From)
	}
}

// list checks what all rules of a list have in common: ids that are there once, and sources that exist.
func (c checker) list(path string, n int, rule func(int) *Rule) {
	seen := map[string]bool{}
	for i := range n {
		rule := rule(i)
		at := path + "." + strconv.Itoa(i)
		if seen[rule.ID] {
			c.r.problem(at+".id", "%q is there twice, expected each id once", rule.ID)
		}
		seen[rule.ID] = true
		c.source(at, rule)
	}
}

func (c checker) source(path string, rule *Rule) {
	sources := slices.Sorted(maps.Keys(c.p.Sources))
	if _, ok := c.p.Sources[rule.Source]; !ok {
		c.r.problem(path+".source", "%q is no source of this document, expected one of %s", rule.Source, strings.Join(sources, ", "))
	}
	for i, also := range rule.AlsoStated {
		if _, ok := c.p.Sources[also.Source]; !ok {
			c.r.problem(fmt.Sprintf("%s.alsoStated.%d.source", path, i), "%q is no source of this document, expected one of %s",
				also.Source, strings.Join(sources, ", "))
		}
	}
}

func (c checker) rules() {
	p := c.p
	c.list("categories", len(p.Categories), func(i int) *Rule { return &p.Categories[i].Rule })
	c.list("papers", len(p.Papers), func(i int) *Rule { return &p.Papers[i].Rule })
	for i, paper := range p.Papers {
		c.test(fmt.Sprintf("papers.%d.when", i), paper.When)
	}
	c.list("conditions", len(p.Conditions), func(i int) *Rule { return &p.Conditions[i].Rule })
	for i, cond := range p.Conditions {
		at := fmt.Sprintf("conditions.%d", i)
		c.known(at+".categories", cond.Categories, c.categories, "category")
		c.test(at+".when", cond.When)
		c.test(at+".needs", &cond.Needs)
		if cond.Paper != "" {
			c.paper(at+".paper", cond.Paper)
		}
	}
	c.list("onboarding", len(p.Onboarding), func(i int) *Rule { return &p.Onboarding[i].Rule })
	for i, step := range p.Onboarding {
		at := fmt.Sprintf("onboarding.%d", i)
		c.test(at+".when", step.When)
		c.known(at+".needs", step.Needs, c.papers, "paper")
		c.known(at+".categories", step.Categories, c.categories, "category")
		c.test(at+".done", step.Done)
	}
	c.list("charges", len(p.Charges), func(i int) *Rule { return &p.Charges[i].Rule })
	for i, charge := range p.Charges {
		c.test(fmt.Sprintf("charges.%d.when", i), charge.When)
	}
	c.deposit()
	c.list("revenue", len(p.Revenue), func(i int) *Rule { return &p.Revenue[i].Rule })
	c.list("promotions", len(p.Promotions), func(i int) *Rule { return &p.Promotions[i].Rule })
	for i, promo := range p.Promotions {
		at := fmt.Sprintf("promotions.%d", i)
		c.known(at+".categories", promo.Categories, c.categories, "category")
		c.test(at+".when", promo.When)
		c.dates(at+".entered", promo.Entered)
		if (promo.Free == nil) == (promo.Revenue == nil) {
			c.r.problem(at, "frees neither a time nor a revenue, or both, expected one of free and revenue")
		}
	}
	if s := p.Settlement.Order; s != nil {
		c.source("settlement.order", &s.Rule)
		c.known("settlement.order.supervised", s.Supervised, c.categories, "category")
	}
	if s := p.Settlement.Withdrawal; s != nil {
		c.source("settlement.withdrawal", &s.Rule)
	}
	c.list("refunds", len(p.Refunds), func(i int) *Rule { return &p.Refunds[i].Rule })
	taken := map[string]bool{}
	for i, refund := range p.Refunds {
		at := fmt.Sprintf("refunds.%d", i)
		c.known(at+".categories", refund.Categories, c.categories, "category")
		c.once(at, refund.Categories, taken)
	}
	if rate := p.RefundRules.Rate; rate != nil {
		c.source("refundRules.rate", &rate.Rule)
	}
	c.list("refundRules.platformRefunds", len(p.RefundRules.PlatformRefunds), func(i int) *Rule { return &p.RefundRules.PlatformRefunds[i] })
	c.failures()
	c.list("deadlines", len(p.Deadlines), func(i int) *Rule { return &p.Deadlines[i].Rule })
	c.list("violations", len(p.Violations), func(i int) *Rule { return &p.Violations[i].Rule })
	c.list("exit.steps", len(p.Exit.Steps), func(i int) *Rule { return &p.Exit.Steps[i] })
	if p.Exit.Return != nil {
		c.source("exit.return", p.Exit.Return)
	}
}

func (c checker) paper(path, id string) {
	if !c.papers[id] {
		c.r.problem(path, "%q is no paper of this document, expected one of %s", id, strings.Join(slices.Sorted(maps.Keys(c.papers)), ", "))
	}
}

// once: no category may have two rules of the same kind. No categories means all.
func (c checker) once(path string, categories []string, taken map[string]bool) {
	if len(categories) == 0 {
		categories = slices.Sorted(maps.Keys(c.categories))
	}
	for _, id := range categories {
		if taken[id] {
			c.r.problem(path+".categories", "%q has a rule already, expected one rule for a category", id)
		}
		taken[id] = true
	}
}

func (c checker) deposit() {
	d := c.p.Deposit
	c.list("deposit.amounts", len(d.Amounts), func(i int) *Rule { return &d.Amounts[i].Rule })
	taken := map[string]bool{}
	for i, amount := range d.Amounts {
		at := fmt.Sprintf("deposit.amounts.%d", i)
		c.known(at+".categories", amount.Categories, c.categories, "category")
		if !amount.Unassigned {
			c.once(at, amount.Categories, taken)
		}
	}
	c.list("deposit.waivers", len(d.Waivers), func(i int) *Rule { return &d.Waivers[i].Rule })
	for i, w := range d.Waivers {
		at := fmt.Sprintf("deposit.waivers.%d", i)
		c.test(at+".when", w.When)
		c.dates(at+".entered", w.Entered)
	}
	if d.TopUp != nil {
		c.source("deposit.topUp", &d.TopUp.Rule)
	}
	if d.Return != nil {
		c.source("deposit.return", &d.Return.Rule)
	}
}

func (c checker) failures() {
	p := c.p
	steps := p.FailedDelivery.Steps
	c.list("failedDelivery.steps", len(steps), func(i int) *Rule { return &steps[i].Rule })
	for i, step := range steps {
		at := fmt.Sprintf("failedDelivery.steps.%d.after", i)
		if step.After.Unit != CalendarDays && step.After.Unit != Hours {
			c.r.problem(at, "is %s, expected hours or days", step.After)
		} else if i > 0 && hours(step.After) < hours(steps[i-1].After) {
			c.r.problem(at, "is %s, expected no less than the step before it, %s", step.After, steps[i-1].After)
		}
	}
	if p.FailedDelivery.Restores != nil {
		c.source("failedDelivery.restores", &p.FailedDelivery.Restores.Rule)
	}
	if p.FailedOrders != nil {
		c.source("failedOrders", &p.FailedOrders.Rule)
	}
	if p.Probes != nil {
		c.source("probes", &p.Probes.Rule)
		if p.Probes.Frozen != nil {
			c.source("probes.frozen", p.Probes.Frozen)
		}
		if p.Probes.At[0] >= p.Probes.At[1] {
			c.r.problem("probes.at", "is %s and %s, expected the second time after the first", p.Probes.At[0], p.Probes.At[1])
		}
	}
}

func hours(p Period) int {
	if p.Unit == CalendarDays {
		return 24 * p.N
	}
	return p.N
}

// fees: every category has a fee or is said to have none that is known; tiers begin at zero and leave no gap.
func (c checker) fees() {
	f := c.p.Fees
	c.list("fees.rates", len(f.Rates), func(i int) *Rule { return &f.Rates[i].Rule })
	c.list("fees.unstated", len(f.Unstated), func(i int) *Rule { return &f.Unstated[i].Rule })
	c.source("fees.rounding", &f.Rounding.Rule)
	if f.Correction != nil {
		c.source("fees.correction", &f.Correction.Rule)
	}
	covered := map[string]bool{}
	cover := func(path string, categories []string) {
		c.known(path+".categories", categories, c.categories, "category")
		if len(categories) == 0 {
			maps.Copy(covered, c.categories)
		}
		for _, id := range categories {
			covered[id] = true
		}
	}
	for i, fee := range f.Rates {
		at := fmt.Sprintf("fees.rates.%d", i)
		cover(at, fee.Categories)
		c.dates(at, &fee.Dates)
		c.known(at+".counts", fee.Counts, c.revenue, "kind of revenue")
		c.known(at+".charged", fee.Charged, c.revenue, "kind of revenue")
		for j, other := range f.Rates[:i] {
			if overlap(fee, other) {
				c.r.problem(at, "is for a category and a day for which rates.%d is too, expected one fee at a time", j)
			}
		}
		if len(fee.Tiers) > 1 && f.Correction == nil {
			c.r.problem("fees.correction", "is not there, expected it, because %s has several tiers", at)
		}
		next := decimal.Zero
		for j, tier := range fee.Tiers {
			at := fmt.Sprintf("%s.tiers.%d", at, j)
			if !tier.From.Equal(next) {
				c.r.problem(at+".from", "is %s, expected %s, where the tier before it ends", tier.From.StringFixed(2), next.StringFixed(2))
			}
			last := j == len(fee.Tiers)-1
			switch {
			case last != (tier.Below == nil):
				c.r.problem(at+".below", "is there or not, expected it in every tier but the last")
				return
			case !last && !tier.Below.GreaterThan(tier.From):
				c.r.problem(at+".below", "is %s, expected more than from", tier.Below.StringFixed(2))
			case !last:
				next = *tier.Below
			}
		}
	}
	for i, none := range f.Unstated {
		cover(fmt.Sprintf("fees.unstated.%d", i), none.Categories)
	}
	for i, category := range c.p.Categories {
		if !covered[category.ID] {
			c.r.problem(fmt.Sprintf("categories.%d", i), "%q has no fee, expected it in fees.rates, or in fees.unstated if none is known", category.ID)
		}
	}
}

func overlap(a, b Fee) bool {
	if a.Through != "" && b.From != "" && a.Through < b.From || b.Through != "" && a.From != "" && b.Through < a.From {
		return false
	}
	return len(a.Categories) == 0 || len(b.Categories) == 0 ||
		slices.ContainsFunc(a.Categories, func(id string) bool { return slices.Contains(b.Categories, id) })
}

// test: the field is one that a profile may have, and the comparison suits its kind.
func (c checker) test(path string, t *Test) {
	if t == nil {
		return
	}
	for i := range t.All {
		c.test(fmt.Sprintf("%s.all.%d", path, i), &t.All[i])
	}
	for i := range t.Any {
		c.test(fmt.Sprintf("%s.any.%d", path, i), &t.Any[i])
	}
	c.test(path+".not", t.Not)
	if t.Field == "" {
		return
	}
	field := c.p.Field(t.Field)
	if field.Kind == "" {
		c.r.problem(path+".field", "%q is no field that a profile may have, expected one of fields.yaml, or of `fields` in this document", t.Field)
		return
	}
	bound := t.AtLeast + t.MoreThan + t.AtMost + t.LessThan
	texts := len(t.Has) + len(t.HasAny) + len(t.HasNone)
	switch field.Kind {
	case KindNumber:
		limit := bound + t.Is
		if _, err := asNumber(limit); err != nil || limit == "" {
			c.r.problem(path, "does not suit %s, a number: expected atLeast, moreThan, atMost, lessThan or is, with a number", t.Field)
		}
	case KindDate:
		if _, err := ParsePeriod(bound); err != nil || strings.Contains(bound, "working") {
			c.r.problem(path, "does not suit %s, a date: expected atLeast, moreThan, atMost or lessThan, with a period such as 2 years", t.Field)
		}
	case KindYesNo:
		if t.Is != "true" && t.Is != "false" {
			c.r.problem(path, "does not suit %s, which is yes or no: expected is, with true or false", t.Field)
		}
	case KindText:
		values := slices.Clone(t.In)
		if t.Is != "" {
			values = append(values, t.Is)
		}
		if len(values) == 0 {
			c.r.problem(path, "does not suit %s, a text: expected is or in", t.Field)
		}
		for _, v := range values {
			if len(field.Values) > 0 && !slices.Contains(field.Values, v) {
				c.r.problem(path, "compares %s with %q, which it cannot be, expected one of %s", t.Field, v, strings.Join(field.Values, ", "))
			}
		}
	case KindTexts:
		if texts == 0 {
			c.r.problem(path, "does not suit %s, a list: expected has, hasAny or hasNone", t.Field)
		}
	}
}
