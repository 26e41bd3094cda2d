package market

import (
	"time"
)

// Failure is a delivery that failed and has not been repaired.
type Failure struct {
	Product string
	Since   time.Time
}

// Consequence is what follows for a product.
type Consequence struct {
	Do      string // ActHide or ActDelist
	Rule    string // the step that says so
	Says    string
	Product string    // whose failure it is
	Since   time.Time // when the step was reached
}

// Consequences says what follows from failed deliveries that nobody has repaired, for each of the seller's products that are delivered
// by calls, and when more will follow; the zero time if nothing will. A product that is delisted is not hidden too, and of two reasons
// for the same the earlier counts.
func (p *Policy) Consequences(open []Failure, products []string, at time.Time) (map[string]Consequence, time.Time) {
	all := map[string]Consequence{}
	var next time.Time
	for _, failure := range open {
		for _, step := range p.FailedDelivery.Steps {
			due := p.calendar.Add(failure.Since, step.After)
			if due.After(at) {
				if next.IsZero() || due.Before(next) {
					next = due
				}
				continue
			}
			reached := products
			if step.Scope == ScopeProduct {
				reached = []string{failure.Product}
			}
			for _, product := range reached {
				c := Consequence{Do: step.Do, Rule: step.ID, Says: step.Says, Product: failure.Product, Since: due}
				if before, ok := all[product]; !ok || before.Do == ActHide && c.Do == ActDelist || before.Do == c.Do && c.Since.Before(before.Since) {
					all[product] = c
				}
			}
		}
	}
	return all, next
}

// Restores tells whether a product comes back from what was done to it when no failed delivery is left.
func (p *Policy) Restores(do string) bool {
	r := p.FailedDelivery.Restores
	if r == nil {
		return false
	}
	for _, what := range r.What {
		if what == do {
			return true
		}
	}
	return false
}

// DeadlineOf finds a deadline by its id, and says until when it is kept by who has to do something from a time on.
func (p *Policy) DeadlineOf(id string, from time.Time) (until time.Time, ok bool) {
	for _, d := range p.Deadlines {
		if d.ID == id {
			return p.calendar.Add(from, d.Within), true
		}
	}
	return time.Time{}, false
}
