package fault

import "time"

// Attempt is what there is to know about an attempt before it is made.
type Attempt struct {
	CallID      int64
	Number      int // of the attempt within the call, from 1
	Activity    string
	ProductCode string
	Subject     string // what the call is about: an order line, …
}

// Used is how often a rule has struck so far.
type Used struct {
	Total int
	Call  int  // attempts of this call
	Now   bool // this very attempt: it was put off, and is now due again
}

// Exchange is how one exchange is disturbed. The zero value is an exchange that is not.
type Exchange struct {
	Kind Kind
	Over time.Duration // slow-body: how long the body takes
}

// Plan is what is to happen to an attempt.
type Plan struct {
	Exchange Exchange      // the attempt itself
	Extra    []Exchange    // besides it, and after it
	PutOff   time.Duration // not now, but so much later
	Reorder  bool          // not now, but after the next call of its subject, if there is one that may pass
	Uses     []string      // the rules that strike with this plan, to be counted
}

// Disturbed tells whether any rule has a hand in the attempt.
func (p Plan) Disturbed() bool { return p.Exchange.Kind != "" || len(p.Extra) > 0 }

// PlanAttempt decides about an attempt. Rules are asked in their order; of those that change the attempt itself the first one
// that strikes is taken.
func PlanAttempt(rules []Rule, used map[string]Used, a Attempt) (p Plan) {
	own := "" // the rule that changes the attempt itself
	for i := range rules {
		r := &rules[i]
		if r.Kind.OpenAPI() || !r.matches(a) {
			continue
		}
		u, extra := used[r.ID], r.Kind.Extra()
		if !extra && p.Exchange.Kind != "" {
			continue
		}
		if u.Now {
			if !extra {
				p.Exchange.Kind = r.Kind
			}
			continue
		}
		if !r.strikes(u.Total, u.Call, a.CallID, int64(a.Number)) {
			continue
		}
		p.Uses = append(p.Uses, r.ID)
		switch {
		case extra:
			p.Extra = append(p.Extra, Exchange{Kind: r.Kind})
			continue
		case r.Kind == Delay:
			p.PutOff = r.Delay
		case r.Kind == Reorder:
			p.Reorder = true
		}
		p.Exchange.Kind, own = r.Kind, r.ID
		if r.Kind == SlowBody {
			p.Exchange.Over = r.Delay
		}
	}
	if p.PutOff > 0 || p.Reorder { // the others are asked again when the attempt is made
		p.Extra, p.Uses = nil, []string{own}
	}
	return p
}

func (r *Rule) matches(a Attempt) bool {
	return (r.Activity == "" || r.Activity == a.Activity) && (r.ProductCode == "" || r.ProductCode == a.ProductCode) &&
		(r.OrderLineID == "" || r.OrderLineID == a.Subject)
}

// MayPass tells whether a call may be passed by the next one of its subject. Calls of the same name are not swapped: of two
// expiries, or of a freeze and an unfreeze, the ISV cannot know which was meant to be the last. Nor does anything pass the calls
// that make an instance, or a release pass anything.
func MayPass(call, next string) bool {
	creates := func(name string) bool { return name == "newInstance" || name == "queryInstance" }
	return call != next && !creates(call) && !creates(next) && call != "releaseInstance" && next != "releaseInstance"
}

// Seen is what a rule of the open API has seen and done so far.
type Seen struct {
	Requests int `json:"requests"` // that matched
	Total    int `json:"total"`    // that it disturbed
	Row      int `json:"row"`      // that it disturbed one after the other, up to now
}

// PlanRequest decides about a request to the open API, and updates what was seen. The first rule that strikes is taken, nil if
// none does.
func PlanRequest(rules []Rule, seen map[string]Seen, operation string) (struck *Rule) {
	for i := range rules {
		r := &rules[i]
		if !r.Kind.OpenAPI() || r.Operation != "" && r.Operation != operation {
			continue
		}
		s := seen[r.ID]
		s.Requests++
		if struck == nil && r.strikes(s.Total, s.Row, int64(s.Requests), 0) {
			s.Total++
			s.Row++
			struck = r
		} else {
			s.Row = 0
		}
		seen[r.ID] = s
	}
	return struck
}
