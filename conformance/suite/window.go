package suite

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/conformance/internal/intent"
	"github.com/isvkit/isvkit/sandbox/curl"
)

const (
	window       = 60 * time.Second
	justOut      = window + time.Second
	stillIn      = window - 10*time.Second
	mostOnItsWay = time.Second
	staleTime    = "1700000000" // in seconds, in November 2023
)

// edge is a check of an edge of the window of 60 seconds, by the ISV's clock as its answers show it.
func edge(id, title string, accepted bool, offset func(low, top time.Duration) time.Duration) Check {
	return Check{ID: id, Requirement: "SIG-17", Title: title, Run: func(ctx context.Context, c *Case) {
		body := queryInstance(c.Shared(ctx).ID)
		low, top, ok := c.env.clock.ahead()
		if !ok {
			c.Skipf("the answers have no Date, or it changes from one to the next, so that the ISV's clock is not known")
		}
		a := c.Send(ctx, body, curl.Variation{Offset: offset(low, top)})
		const more = 4
		for range more { // the call loses some of the distance on its way
			if accepted || a.Refused() || a.Duration <= mostOnItsWay {
				break
			}
			a = c.Send(ctx, body, curl.Variation{Offset: offset(low, top)})
		}
		switch {
		case accepted:
			c.WantSuccess("queryInstance with a timestamp 50 seconds from the ISV's clock", a)
		case !a.Refused() && a.Duration > mostOnItsWay && offset(low, top) > 0:
			c.Skipf("the call was on its way for too long, %v", a.Duration)
		default:
			c.WantRefused("queryInstance with a timestamp 61 seconds from the ISV's clock", a)
		}
	}}
}

func windowChecks() []Check {
	return []Check{
		edge("signing/age-of-61-seconds-is-refused", "A call that is 61 seconds old is refused", false, func(low, _ time.Duration) time.Duration { return low - justOut }),
		edge("signing/61-seconds-ahead-is-refused", "A call that is dated 61 seconds ahead is refused", false, func(_, top time.Duration) time.Duration { return top + justOut + time.Second }),
		edge("signing/age-of-50-seconds-is-accepted", "A call that is 50 seconds old is accepted", true, func(_, top time.Duration) time.Duration { return top - stillIn }),
		edge("signing/50-seconds-ahead-is-accepted", "A call that is dated 50 seconds ahead is accepted", true, func(low, _ time.Duration) time.Duration { return low + stillIn }),
		refused("signing/old-time-in-seconds-is-refused", "SIG-5", "An old timestamp in seconds is refused, whatever unit it is read in",
			"queryInstance with a timestamp of 2023 in seconds", curl.Variation{Timestamp: staleTime}),
		{
			ID: "signing/second-timestamp-refreshes-nothing", Requirement: "SIG-5", Title: "An old call stays refused when a fresh timestamp is put beside its own",
			Run: func(ctx context.Context, c *Case) {
				body := queryInstance(c.Shared(ctx).ID)
				fresh := "timestamp=" + strconv.FormatInt(time.Now().UnixMilli(), 10)
				c.WantRefused("queryInstance, two minutes old, with a fresh timestamp behind its own", c.Send(ctx, body, curl.Variation{Offset: -beyond, After: fresh}))
				c.WantRefused("queryInstance, two minutes old, with a fresh timestamp in front of its own", c.Send(ctx, body, curl.Variation{Offset: -beyond, Before: fresh}))
			},
		},
		{
			ID: "signing/replay-after-other-calls-is-refused", Requirement: "SIG-7", Title: "The identical request is refused also when other calls came in between",
			Run: func(ctx context.Context, c *Case) {
				s := c.signed(ctx, queryInstance(c.Shared(ctx).ID))
				c.preparing(func() { c.WantSuccess("queryInstance", c.transmit(ctx, s, "")) })
				for range 5 {
					c.exchange(ctx, "queryInstance", curl.Request{URL: c.env.Target, Body: queryInstance(c.unknownID()).Text()})
				}
				c.WantRefused("queryInstance, the same bytes and parameters after five other calls", c.transmit(ctx, s, ""))
			},
		},
		{
			ID: "signing/replay-beside-a-second-nonce-is-refused", Requirement: "SIG-7", Title: "The identical request is refused when another nonce is put beside its own",
			Run: func(ctx context.Context, c *Case) {
				s := c.signed(ctx, queryInstance(c.Shared(ctx).ID))
				c.preparing(func() { c.WantSuccess("queryInstance", c.transmit(ctx, s, "")) })
				other := "nonce=" + strings.ToUpper(c.ids.hex(16))
				c.WantRefused("queryInstance again, with another nonce behind its own", c.transmit(ctx, s, s.params+"&"+other))
				c.WantRefused("queryInstance again, with another nonce in front of its own", c.transmit(ctx, s, other+"&"+s.params))
			},
		},
		{
			ID: "signing/replays-at-the-same-time-pass-once", Requirement: "SIG-7", Title: "Of identical requests that arrive at the same time one is accepted at most",
			Run: func(ctx context.Context, c *Case) {
				s := c.signed(ctx, queryInstance(c.Shared(ctx).ID))
				const copies = 6
				answers := make([]*Answer, copies)
				var wg sync.WaitGroup
				together := intent.Together(ctx, copies)
				for n := range answers {
					wg.Go(func() { answers[n], _ = c.env.transmit(together, s.request, s.params) })
				}
				wg.Wait()
				passed := 0
				for _, a := range answers {
					if a == nil {
						c.abort("a signed request could not be built")
					}
					c.needAnswer(ctx, "queryInstance", a)
					if a.Succeeded() {
						passed++
					}
				}
				c.requests = append(c.requests, s.request)
				for range copies - 1 {
					c.requests = append(c.requests, curl.Request{Variation: curl.Variation{Again: true}})
				}
				if passed > 1 {
					c.Errorf("queryInstance, %d times the same bytes and parameters together: expected one to be accepted, got more than one", copies)
				}
			},
		},
		{
			ID: "signing/forgery-uses-up-no-nonce", Requirement: "SIG-18", Title: "A call is accepted although somebody else used its nonce with a wrong signature before",
			Run: func(ctx context.Context, c *Case) {
				s := c.signed(ctx, queryInstance(c.Shared(ctx).ID))
				signature, rest, _ := strings.Cut(s.params, "&")
				wrong := signature[:len(signature)-1] + "0"
				if wrong == signature {
					wrong = signature[:len(signature)-1] + "1"
				}
				c.transmit(ctx, s, wrong+"&"+rest)
				c.WantSuccess("queryInstance whose nonce was seen with a wrong signature before", c.transmit(ctx, s, ""))
			},
		},
	}
}

// envelope is a request with its signature.
type envelope struct {
	request curl.Request
	params  string
}

func (c *Case) signed(_ context.Context, body Body) envelope {
	r := curl.Request{URL: c.env.Target, Body: body.Text()}
	params, err := r.Params(c.env.BaseKey, time.Now(), randomNonce())
	if err != nil {
		c.abort("%v", err)
	}
	return envelope{r, params}
}

// transmit sends a signed request as it is, or with other parameters than it was signed with. The request shown is the first one and
// its repeats.
func (c *Case) transmit(ctx context.Context, s envelope, params string) *Answer {
	v := curl.Variation{Again: len(c.requests) > 0}
	if params == "" {
		params = s.params
	}
	before, after, found := strings.Cut(params, s.params)
	if found && v.Again {
		v.Before, v.After = strings.TrimSuffix(before, "&"), strings.TrimPrefix(after, "&")
	}
	shown := s.request
	shown.Variation = v
	c.requests = append(c.requests, shown)
	a, err := c.env.transmit(ctx, s.request, params)
	if err != nil {
		c.abort("%v", err)
	}
	c.needAnswer(ctx, "queryInstance", a)
	return a
}
