package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"unicode/utf8"

	"github.com/isvkit/isvkit/sandbox/curl"
)

// onceTour is what takeTour is for other interfaces: one call of every kind, once per run.
type onceTour struct {
	once  sync.Once
	stops []stop
}

// guide makes the calls of a tour. It ends early when one gets no answer, or set-up fails; what was seen until then is judged.
type guide func(ctx context.Context, c *Case, send func(what string, r curl.Request, fault bool) *Answer)

func (c *Case) tourOf(ctx context.Context, name string, o *onceTour, g guide) []stop {
	o.once.Do(func() {
		tour := Check{ID: name, Run: func(ctx context.Context, c *Case) {
			g(ctx, c, func(what string, r curl.Request, fault bool) *Answer {
				a := c.SendRequest(ctx, what, r)
				o.stops = append(o.stops, stop{what: what, request: r, answer: a, fault: fault, key: c.env.V1Key})
				return a
			})
		}}
		Execute(ctx, c.env, &tour, c.Mode)
	})
	if len(o.stops) == 0 {
		if ctx.Err() != nil {
			panic(stopped{Error})
		}
		c.Skipf("no call was answered at all")
	}
	return o.stops
}

// shape is a rule about answers.
type shape struct {
	slug, requirement, title string
	which                    func(stop) bool
	look                     func(stop) string // what is wrong, "" if nothing is
}

// shapeChecks judge the answers of a tour.
func shapeChecks(prefix, capability string, tour func(ctx context.Context, c *Case) []stop, shapes []shape) []Check {
	checks := make([]Check, len(shapes))
	for n, s := range shapes {
		checks[n] = Check{ID: prefix + "/" + s.slug, Requirement: s.requirement, Title: s.title, Capability: capability, Run: func(ctx context.Context, c *Case) {
			looked := 0
			for _, at := range tour(ctx, c) {
				if !s.which(at) {
					continue
				}
				looked++
				if problem := s.look(at); problem != "" {
					c.requests = append(c.requests, at.request)
					c.saw(at.answer)
					c.Errorf("%s: %s", at.what, problem)
				}
			}
			if looked == 0 {
				c.Skipf("no answer of this kind was seen")
			}
		}}
	}
	return checks
}

// answerShapes are the rules that hold for the answers of every interface; known are the result codes of it.
func answerShapes(of string, known func(code string) bool) []shape {
	return []shape{
		{"success-has-status-200", "ANS-1", "Every successful answer to " + of + " has HTTP status 200", successStop, func(s stop) string {
			if s.answer.Status == 200 {
				return ""
			}
			return fmt.Sprintf("expected HTTP status 200, got %d", s.answer.Status)
		}},
		{"refusal-has-status-200", "ANS-2", "Every refusal of " + of + " has HTTP status 200 and is JSON", refusalStop, func(s stop) string {
			switch {
			case s.answer.Status != 200:
				return fmt.Sprintf("expected HTTP status 200 and a result code, got HTTP status %d", s.answer.Status)
			case s.answer.JSONErr != nil:
				return fmt.Sprintf("expected JSON with a result code, got %s", shorten(s.answer.Body))
			}
			return ""
		}},
		{"content-type-is-json", "ANS-3", "Every answer to " + of + " has the content type application/json", anyStop, func(s stop) string {
			if s.answer.JSONContentType() || s.answer.Status != 200 { // another status is judged already
				return ""
			}
			return fmt.Sprintf("expected Content-Type application/json, got %q", s.answer.ContentType)
		}},
		{
			"result-code-is-six-digits-of-text", "ANS-4", "Every answer to " + of + " is a JSON object with a resultCode of six digits",
			func(s stop) bool { return s.answer.Status == 200 }, func(s stop) string {
				raw := s.answer.Fields["resultCode"]
				switch {
				case s.answer.JSONErr != nil:
					return fmt.Sprintf("expected a JSON object, got %s", shorten(s.answer.Body))
				case !sixDigits.MatchString(text(raw)):
					return fmt.Sprintf("expected resultCode as text of six digits, got %s", orNone(raw))
				}
				return ""
			},
		},
		{"result-code-is-a-published-one", "ANS-5", "Every resultCode in answers to " + of + " is one of the published ones", codedStop, func(s stop) string {
			if known(s.answer.Code) {
				return ""
			}
			return fmt.Sprintf("expected a published result code, got %s", s.answer.Code)
		}},
		{"result-message-is-there", "ANS-6", "Every answer to " + of + " has a resultMsg", readableStop, func(s stop) string {
			var msg *string
			if raw := s.answer.Fields["resultMsg"]; json.Unmarshal(raw, &msg) != nil || msg == nil {
				return fmt.Sprintf("expected resultMsg as text, got %s", orNone(raw))
			}
			return ""
		}},
		{"result-message-is-short-enough", "ANS-7", "No resultMsg in answers to " + of + " is longer than 255 characters", messageStop, func(s stop) string {
			if n := utf8.RuneCountInString(messageOf(s)); n > 255 {
				return fmt.Sprintf("expected a resultMsg of at most 255 characters, got %d", n)
			}
			return ""
		}},
	}
}
