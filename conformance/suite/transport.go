package suite

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/conformance/internal/intent"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// flow is how the bytes of a body are sent.
type flow struct {
	// pause between two pieces. Default: none.
	pause time.Duration
	// cut ends the connection after so many bytes. 0: not at all.
	cut int
	// hang stops sending after so many bytes, and waits for the end of the context. 0: not at all.
	hang int
	// hung is called when hang has come.
	hung func()
	// hangUp closes the connection once all is sent, without waiting for the answer.
	hangUp bool
}

// intent is what it is for.
func (f flow) intent(ctx context.Context) intent.Intent {
	i := intent.Intent{HangsUp: f.hangUp || f.cut > 0}
	if f.hang > 0 {
		i.Over = ctx.Done()
	}
	return i
}

// piece is how much is sent at once. It is more than what an HTTP client collects before it sends.
const piece = 6 << 10

var errCut = errors.New("cut on purpose")

// stream is a body that is sent in a certain way.
type stream struct {
	flow
	text string
	sent int
	ctx  context.Context //nolint:containedctx // a reader has no other way to learn that it is over
}

func (s *stream) Read(p []byte) (int, error) {
	switch {
	case s.cut > 0 && s.sent >= s.cut:
		return 0, errCut
	case s.hang > 0 && s.sent >= s.hang:
		s.hung()
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	case s.sent == len(s.text):
		return 0, io.EOF
	case s.sent > 0 && s.pause > 0 && !pause(s.ctx, s.pause):
		return 0, s.ctx.Err()
	}
	n := copy(p[:min(len(p), piece)], s.text[s.sent:])
	if s.cut > 0 {
		n = min(n, s.cut-s.sent)
	}
	if s.hang > 0 {
		n = min(n, s.hang-s.sent)
	}
	s.sent += n
	return n, nil
}

// pour sends a rightly signed body in a certain way. The answer has an error where there is none.
func (c *Case) pour(ctx context.Context, text string, how flow) *Answer {
	r := curl.Request{URL: c.env.Target, Body: text}
	params, err := r.Params(c.env.BaseKey, time.Now(), strings.ToUpper(randomNonce()))
	if err != nil {
		c.abort("%v", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if how.hang == 0 { // else it lasts as long as the caller wants
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, c.env.AnswerLimit)
		defer end()
	}
	ctx = intent.With(ctx, how.intent(ctx))
	if how.hangUp {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }})
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, curl.Join(r.URL, params), &stream{flow: how, text: text, ctx: ctx})
	if err != nil {
		c.abort("%v", err)
	}
	req.ContentLength = int64(len(text))
	req.Header.Set("Content-Type", curl.ContentType)
	req.Header.Set("Accept", curl.Accept)
	start := time.Now()
	a := &Answer{}
	resp, err := c.env.Client.Do(req)
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		a.Status, a.ContentType, a.Header = resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header
		a.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	}
	a.Duration = time.Since(start)
	if err != nil {
		a.Err = plainError(err)
		return a
	}
	a.parse()
	return a
}

// timedOut reports that the answer did not come in time, unlike one that was refused by closing the connection.
func (a *Answer) timedOut() bool { return a.Err != nil && a.Err.Error() == "timeout" }

// long is a query for an instance that takes several packets.
func long(instance string) string {
	return queryText(instance, `,"memo":"`+strings.Repeat("memo ", 4*piece/5)+`"`)
}

func transportChecks() []Check {
	return []Check{
		{
			ID: "robust/chunked-body-is-accepted", Requirement: "ROB-3", Title: "A call whose body comes in chunks, without a Content-Length, is accepted",
			Run: func(ctx context.Context, c *Case) {
				a := c.Send(ctx, queryInstance(c.Shared(ctx).ID), curl.Variation{Header: []string{"Transfer-Encoding: chunked"}})
				c.WantSuccess("queryInstance in chunks", a)
			},
		},
		{
			ID: "robust/slow-body-is-accepted", Requirement: "ROB-3", Title: "A call whose body comes in pieces, with pauses between them, is accepted",
			Run: func(ctx context.Context, c *Case) {
				a := c.pour(ctx, long(c.Shared(ctx).ID), flow{pause: 30 * time.Millisecond})
				c.needAnswer(ctx, "queryInstance in pieces", a)
				c.WantSuccess("queryInstance in pieces", a)
			},
		},
		{
			ID: "robust/cut-connection-does-no-harm", Requirement: "ROB-4", Title: "After a connection that was cut in the middle of a call the next call is answered",
			Run: func(ctx context.Context, c *Case) {
				i := c.Open(ctx)
				for range 3 {
					c.pour(ctx, long(i.ID), flow{cut: 2 * piece})
				}
				pause(ctx, c.env.PollEvery) // so that the ISV has noticed
				c.StillOpen(ctx, "three connections that were cut", i)
			},
		},
		{
			ID: "robust/caller-that-hangs-up-does-no-harm", Requirement: "ROB-4", Title: "newInstance whose caller did not wait for the answer succeeds when it is repeated",
			Run: func(ctx context.Context, c *Case) {
				order := c.Order(ctx, marketplaceapi.OrderNew, 1)
				c.pour(ctx, c.newInstance(order, 0).Text(), flow{hangUp: true})
				first := c.Send(ctx, c.newInstance(order, 0))
				for wait := c.env.PollEvery; first.Refused() && wait < c.env.ReadyLimit; wait *= 2 { // the first one may still be at work
					if !pause(ctx, wait) {
						panic(stopped{Error})
					}
					first = c.Send(ctx, c.newInstance(order, 0))
				}
				c.accepts("newInstance after one whose answer nobody waited for", first)
				if second := c.Send(ctx, c.newInstance(order, 0)); first.InstanceID != "" && second.InstanceID != first.InstanceID {
					c.Errorf("newInstance once more: expected instanceId %q, got %v with %q", first.InstanceID, second, second.InstanceID)
				}
			},
		},
		{
			ID: "robust/idle-callers-block-nobody", Requirement: "ROB-5", Title: "A call is answered while four others have stopped in the middle of their bodies", Alone: true,
			Run: func(ctx context.Context, c *Case) {
				i := c.Shared(ctx)
				c.preparing(func() { c.StillOpen(ctx, "all other checks", i) })
				idle, wake := context.WithCancel(ctx)
				var wg, hanging sync.WaitGroup
				for range 4 {
					hanging.Add(1)
					stopped := sync.OnceFunc(hanging.Done)
					wg.Go(func() {
						c.pour(idle, long(i.ID), flow{hang: 2 * piece, hung: stopped})
						stopped() // it was refused before that
					})
				}
				hanging.Wait()
				pause(ctx, c.env.PollEvery) // so that all of them have arrived
				a, err := c.env.exchange(ctx, curl.Request{URL: c.env.Target, Body: queryInstance(i.ID).Text()})
				wake()
				wg.Wait()
				if err != nil {
					c.abort("%v", err)
				}
				c.requests = append(c.requests, curl.Request{URL: c.env.Target, Body: queryInstance(i.ID).Text()})
				c.needAnswer(ctx, "queryInstance beside four callers that have stopped", a)
				c.WantSuccess("queryInstance beside four callers that have stopped", a)
			},
		},
	}
}
