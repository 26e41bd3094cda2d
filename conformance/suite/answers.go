package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// stop is one exchange of the tour.
type stop struct {
	what    string
	request curl.Request
	answer  *Answer
	fault   bool   // the request was made so that it must be refused for its signature
	key     string // that signs answers of V1
}

// takeTour sends one call of every kind, once per run: debug calls, the life of a real instance, and calls that must be
// refused. The checks of area ANS look at the answers; whether they are the right ones is judged elsewhere.
func (c *Case) takeTour(ctx context.Context) []stop {
	c.env.tourOnce.Do(func() {
		ctx, talk, _ := branch(ctx) // no attempts of the check that happens to be the first
		guide := c.env.newCase("the tour", c.Mode)
		guide.talk = talk
		t := &tour{c: guide}
		// The tour ends early when a call gets no answer; what was seen until then is judged.
		guide.run(ctx, &Check{Run: func(ctx context.Context, _ *Case) { t.all(ctx) }})
		c.env.tour = t.stops
	})
	if len(c.env.tour) == 0 {
		if ctx.Err() != nil {
			panic(stopped{Error})
		}
		c.Skipf("no call was answered at all")
	}
	return c.env.tour
}

type tour struct {
	c     *Case
	stops []stop
}

func (t *tour) send(ctx context.Context, what string, r curl.Request) *Answer {
	a := t.c.exchange(ctx, what, r)
	if a.Err != nil {
		panic(stopped{Skip}) // the check of the time limit judges it, and more calls would only wait as long
	}
	t.stops = append(t.stops, stop{what: what, request: r, answer: a, fault: r.Key != ""})
	return a
}

func (t *tour) all(ctx context.Context) {
	c := t.c
	send := func(what string, b Body, v curl.Variation) *Answer {
		return t.send(ctx, what, curl.Request{URL: c.env.Target, Body: b.Text(), Variation: v})
	}
	right := curl.Variation{}

	mock := mockOrder(c.Mode)
	invented := c.uuid()
	send("debug newInstance", c.newInstance(mock, 0).Debug(), right)
	send("debug queryInstance", queryInstance(invented).Debug(), right)
	if slices.ContainsFunc(c.env.Charging, func(m string) bool { return m != OneTime }) {
		send("debug refreshInstance", refreshInstance(mock, invented, "RENEWAL", inAYear()).Debug(), right)
	}
	if slices.Contains(c.env.Charging, Period) {
		send("debug updateInstanceStatus", updateStatus(invented, "FREEZE").Debug(), right)
	}
	send("debug releaseInstance", releaseInstance(invented).Debug(), right)

	order := c.Order(ctx, marketplaceapi.OrderNew, 1)
	if a := send("newInstance", c.newInstance(order, 0), right); a.InstanceID != "" {
		c.env.markOpened(order.OrderID)
		send("queryInstance", queryInstance(a.InstanceID), right)
	}
	i := c.Open(ctx)
	send("queryInstance of an open instance", queryInstance(i.ID), right)
	if c.Mode == Period {
		renewal := c.Order(ctx, marketplaceapi.OrderRenew, 1)
		send("refreshInstance", refreshInstance(renewal, i.ID, "RENEWAL", inAYear()), right)
		send("updateInstanceStatus", updateStatus(i.ID, "FREEZE"), right)
	}
	send("releaseInstance", releaseInstance(i.ID), right)

	send("queryInstance of an unknown instance", queryInstance(c.unknownID()), right)
	send("newInstance without orderId", c.newInstance(order, 0).Without("orderId"), right)
	send("a call with an unknown activity", queryInstance(invented).With("activity", "paintInstance"), right)
	send("queryInstance with a wrong signature", queryInstance(invented), curl.Variation{Key: "not-the-key-of-this-isv"})
}

// inAYear is an expiry in the form of the contract.
func inAYear() string { return time.Now().UTC().AddDate(1, 0, 0).Format("20060102150405") }

// everyAnswer is a check of the shape of answers. look gives what is wrong with one, "" if nothing is.
func everyAnswer(id, requirement, title string, which func(stop) bool, look func(stop) string) Check {
	return Check{ID: id, Requirement: requirement, Title: title, Run: func(ctx context.Context, c *Case) {
		looked := 0
		for _, s := range c.takeTour(ctx) {
			if !which(s) {
				continue
			}
			looked++
			if problem := look(s); problem != "" {
				c.requests = append(c.requests, s.request)
				c.saw(s.answer)
				c.Errorf("%s: %s", s.what, problem)
			}
		}
		if looked == 0 {
			c.Skipf("no answer of this kind was seen")
		}
	}}
}

func anyStop(stop) bool        { return true }
func successStop(s stop) bool  { return s.answer.Succeeded() || s.answer.InProgress() }
func refusalStop(s stop) bool  { return !successStop(s) }
func readableStop(s stop) bool { return s.answer.JSONErr == nil }
func codedStop(s stop) bool    { return sixDigits.MatchString(s.answer.Code) }
func messageStop(s stop) bool  { return messageOf(s) != "" }
func messageOf(s stop) string  { return text(s.answer.Fields["resultMsg"]) }
func published(code string) bool {
	call := providerapi.ResultCode(code)
	return call.Valid()
}

var sixDigits = regexp.MustCompile(`^[0-9]{6}$`)

func answerChecks() []Check {
	return []Check{
		everyAnswer("answers/success-has-status-200", "ANS-1", "Every successful answer has HTTP status 200", successStop, func(s stop) string {
			if s.answer.Status == 200 {
				return ""
			}
			return fmt.Sprintf("expected HTTP status 200, got %d", s.answer.Status)
		}),
		everyAnswer("answers/refusal-has-status-200", "ANS-2", "Every refusal has HTTP status 200 and is JSON", refusalStop, func(s stop) string {
			switch {
			case s.answer.Status != 200:
				return fmt.Sprintf("expected HTTP status 200 and a result code, got HTTP status %d", s.answer.Status)
			case s.answer.JSONErr != nil:
				return fmt.Sprintf("expected JSON with a result code, got %s", shorten(s.answer.Body))
			}
			return ""
		}),
		everyAnswer("answers/content-type-is-json", "ANS-3", "Every answer has the content type application/json", anyStop, func(s stop) string {
			if s.answer.JSONContentType() || s.answer.Status != 200 { // another status is judged already
				return ""
			}
			return fmt.Sprintf("expected Content-Type application/json, got %q", s.answer.ContentType)
		}),
		everyAnswer("answers/result-code-is-six-digits-of-text", "ANS-4", "Every answer is a JSON object with a resultCode of six digits",
			func(s stop) bool { return s.answer.Status == 200 }, func(s stop) string {
				if s.answer.JSONErr != nil {
					return fmt.Sprintf("expected a JSON object, got %s", shorten(s.answer.Body))
				}
				raw := s.answer.Fields["resultCode"]
				if raw == nil {
					return fmt.Sprintf("expected resultCode, got none in %s", shorten(s.answer.Body))
				}
				if !sixDigits.MatchString(text(raw)) {
					return fmt.Sprintf("expected resultCode as text of six digits, got %s", shorten(raw))
				}
				return ""
			}),
		everyAnswer("answers/result-code-is-a-published-one", "ANS-5", "Every resultCode is one of the published ones", codedStop, func(s stop) string {
			if published(s.answer.Code) {
				return ""
			}
			return fmt.Sprintf("expected a published result code, got %s", s.answer.Code)
		}),
		everyAnswer("answers/result-message-is-there", "ANS-6", "Every answer has a resultMsg", readableStop, func(s stop) string {
			raw, ok := s.answer.Fields["resultMsg"]
			var msg *string
			switch {
			case !ok:
				return "expected resultMsg, got none"
			case json.Unmarshal(raw, &msg) != nil || msg == nil:
				return fmt.Sprintf("expected resultMsg as text, got %s", shorten(raw))
			}
			return ""
		}),
		everyAnswer("answers/result-message-is-short-enough", "ANS-7", "No resultMsg is longer than 255 characters", messageStop, func(s stop) string {
			if n := utf8.RuneCountInString(messageOf(s)); n > 255 {
				return fmt.Sprintf("expected a resultMsg of at most 255 characters, got %d", n)
			}
			return ""
		}),
		{
			ID: "answers/come-in-time", Requirement: "ANS-8", Title: "Every call of the run was answered before the marketplace gives up", After: true,
			Run: func(_ context.Context, c *Case) {
				c.within(c.env.AnswerLimit, func(a *Answer) bool { return a.Err != nil && a.Err.Error() == "timeout" })
			},
		},
		{
			ID: "answers/come-soon", Requirement: "ANS-9", Title: "Every call of the run was answered within a quarter of that time (5 seconds)", After: true,
			Run: func(_ context.Context, c *Case) {
				limit := c.env.AnswerLimit / 4
				c.within(limit, func(a *Answer) bool { return a.Duration > limit })
			},
		},
		{
			ID: "answers/unknown-instance-has-its-code", Requirement: "ANS-10", Title: "Calls for an instance that does not exist are refused with 000003",
			Run: func(ctx context.Context, c *Case) {
				bodies := []Body{queryInstance(c.unknownID())}
				if c.Mode != OneTime {
					bodies = append(bodies, refreshInstance(c.Order(ctx, marketplaceapi.OrderRenew, 1), c.unknownID(), "RENEWAL", inAYear()))
				}
				if c.Mode == Period {
					bodies = append(bodies, updateStatus(c.unknownID(), "FREEZE"))
				}
				for _, b := range bodies {
					if a := c.Send(ctx, b); a.Refused() { // success is judged elsewhere
						c.WantCode(b.Activity()+" of an unknown instance", a, "000003")
					}
				}
			},
		},
	}
}

// within reports calls that took too long, one message per kind of call.
func (c *Case) within(limit time.Duration, late func(*Answer) bool) {
	seen := map[string]int{}
	var kinds []string
	worst := map[string]time.Duration{}
	all := c.env.recorded()
	for _, r := range all {
		if late(r.answer) {
			if seen[r.what] == 0 {
				kinds = append(kinds, r.what)
			}
			if seen[r.what]++; seen[r.what] == 1 {
				c.saw(r.answer)
			}
			worst[r.what] = max(worst[r.what], r.duration)
		}
	}
	for _, k := range kinds {
		c.Errorf("%s: expected an answer within %v, got none so soon from %d calls (longest wait %v)", k, limit, seen[k], worst[k].Round(time.Millisecond))
	}
	if len(all) == 0 {
		c.Skipf("no calls were made")
	}
}
