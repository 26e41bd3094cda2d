package suite

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/conformance/internal/intent"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// Replay sends requests of an earlier check again, in their order, each signed afresh, after the marketplace was told about their orders. An
// attempt without an answer ends nothing. The error is ours.
func Replay(ctx context.Context, env *Env, requests []curl.Request, orders []marketplaceapi.OrderInfo) ([]Attempt, error) {
	for _, order := range orders {
		if err := env.Market.RegisterOrder(ctx, order); err != nil {
			return nil, fmt.Errorf("register order %s at the marketplace: %w", order.OrderID, err)
		}
	}
	ctx, talk, _ := branch(ctx)
	var last curl.Request
	var now time.Time
	var nonce string
	for n := 0; n < len(requests); {
		together := 1
		for requests[n].Together && n+together < len(requests) && requests[n+together].Together {
			together++
		}
		sent := make([]curl.Sent, together)
		for i := range sent {
			r := requests[n+i]
			if r.Again { // the same bytes and parameters as before, so neither time nor nonce are new
				before, after := r.Before, r.After
				r = last
				r.Before, r.After = before, after
			} else {
				now, nonce = time.Now(), strings.ToUpper(randomNonce())
				if r.Scheme == curl.Base || r.Scheme == curl.Kit {
					r = env.read(r, now)
				}
				last = r
			}
			var err error
			if sent[i], err = r.Sent(env.keyOf(r), now, nonce); err != nil {
				return nil, fmt.Errorf("request %d: %w", n+i+1, err)
			}
		}
		if err := env.sendAll(ctx, sent); err != nil {
			return nil, err
		}
		n += together
		if ctx.Err() != nil {
			break
		}
	}
	attempts, _ := talk.taken()
	return attempts, nil
}

// sendAll sends requests at the same time.
func (e *Env) sendAll(ctx context.Context, sent []curl.Sent) error {
	ctx = intent.Together(ctx, len(sent))
	var wg sync.WaitGroup
	errs := make([]error, len(sent))
	var joins []func()
	for n, s := range sent {
		own, _, join := branch(ctx)
		joins = append(joins, join)
		wg.Go(func() {
			answer, err := e.deliver(own, s)
			errs[n] = err
			if err == nil && answer.Err == nil {
				e.register(own, s.Body, answer)
			}
		})
	}
	wg.Wait()
	for _, join := range joins {
		join()
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Warm buys something in every charging mode, so that checks that judge what the others saw see something in a run of a few checks.
func (e *Env) Warm(ctx context.Context) {
	for _, mode := range e.Charging {
		open := Check{ID: "the purchase in " + mode, Run: func(ctx context.Context, c *Case) { c.Open(ctx) }}
		Execute(ctx, e, &open, mode)
	}
}
