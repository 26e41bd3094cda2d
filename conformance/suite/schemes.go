package suite

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/conformance/internal/intent"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// The environment variables that the shell lines take keys from.
const (
	generalKeyVariable = "ISVKIT_GENERAL_KEY"
	kitKeyVariable     = "ISVKIT_KIT_KEY"
	v1KeyVariable      = "ISVKIT_V1_KEY"
	licenseKeyVariable = "ISVKIT_LICENSE_KEY"
)

// keyOf is the key that a request is signed with.
func (e *Env) keyOf(r curl.Request) string {
	switch r.KeyVariable {
	case generalKeyVariable:
		return e.GeneralKey
	case kitKeyVariable:
		return e.KitKey
	case v1KeyVariable:
		return e.V1Key
	case licenseKeyVariable:
		return e.LicenseKey
	}
	return e.BaseKey
}

// v1Variable names the key of V1, which may be the base key.
func (e *Env) v1Variable() string {
	if e.V1Key == e.BaseKey {
		return curl.DefaultKeyVariable
	}
	return v1KeyVariable
}

// below is the production address with a sub-path behind its path.
func below(target, subPath string) string {
	path, query, found := strings.Cut(target, "?")
	path = strings.TrimSuffix(path, "/") + subPath
	if found {
		return path + "?" + query
	}
	return path
}

// kitRequest is a kit call of V2, rightly signed.
func (e *Env) kitRequest(call, body string) curl.Request {
	path := "/produceAPI/v2/" + call
	if known, ok := providerapi.Lookup(call); ok {
		path = known.SubPath
	}
	return curl.Request{URL: below(e.Target, path), Body: body, Scheme: curl.Kit, KeyVariable: kitKeyVariable}
}

// v1Request is a base call of V1 with these parameters, in the order of their names, rightly signed.
func (e *Env) v1Request(p Params) curl.Request {
	return curl.Request{URL: curl.Join(e.Target, p.Query()), Scheme: curl.V1Query, KeyVariable: e.v1Variable()}
}

// v1KitRequest is a kit call of V1, rightly signed.
func (e *Env) v1KitRequest(call, body string) curl.Request {
	path := "/produceAPI/" + call
	if known, ok := providerapi.LookupV1(call); ok {
		path = known.SubPath
	}
	return curl.Request{URL: below(e.Target, path), Body: body, Scheme: curl.V1Body, KeyVariable: e.v1Variable()}
}

// Params are the parameters of a V1 base call.
type Params map[string]string

// With returns a copy with one parameter set.
func (p Params) With(name, value string) Params {
	c := make(Params, len(p)+1)
	for n, v := range p {
		c[n] = v
	}
	c[name] = value
	return c
}

// Without returns a copy with one parameter left out.
func (p Params) Without(name string) Params {
	c := p.With(name, "")
	delete(c, name)
	return c
}

// Debug returns a copy with testFlag 1.
func (p Params) Debug() Params { return p.With("testFlag", "1") }

// Query writes the parameters.
func (p Params) Query() string {
	q := make(url.Values, len(p))
	for name, value := range p {
		q.Set(name, value)
	}
	return q.Encode()
}

// SendKit makes one kit call of V2, rightly signed, or deviating as the variation says.
func (c *Case) SendKit(ctx context.Context, call string, body Body, variation ...curl.Variation) *Answer {
	r := c.env.kitRequest(call, body.Text())
	if len(variation) > 0 {
		r.Variation = variation[0]
	}
	return c.SendRequest(ctx, call, r)
}

// SendV1 makes one base call of V1.
func (c *Case) SendV1(ctx context.Context, p Params, variation ...curl.Variation) *Answer {
	r := c.env.v1Request(p)
	if len(variation) > 0 {
		r.Variation = variation[0]
	}
	return c.SendRequest(ctx, "V1 "+p["activity"], r)
}

// SendV1Kit makes one kit call of V1.
func (c *Case) SendV1Kit(ctx context.Context, call string, body Body, variation ...curl.Variation) *Answer {
	r := c.env.v1KitRequest(call, body.Text())
	if len(variation) > 0 {
		r.Variation = variation[0]
	}
	return c.SendRequest(ctx, "V1 "+call, r)
}

// SendTwice sends the very same request twice, and gives both answers.
func (c *Case) SendTwice(ctx context.Context, what string, r curl.Request) (first, second *Answer) {
	again := r
	again.Again = true
	c.requests = append(c.requests, r, again)
	now := time.Now()
	if r.Scheme == curl.Kit {
		r = c.env.read(r, now)
	}
	sent, err := r.Sent(c.env.keyOf(r), now, strings.ToUpper(randomNonce()))
	if err != nil {
		c.abort("%s: %v", what, err)
	}
	answers := make([]*Answer, 2)
	for n := range answers {
		if answers[n], err = c.env.deliver(ctx, sent); err != nil {
			c.abort("%s: %v", what, err)
		}
		c.needAnswer(ctx, what, answers[n])
		c.env.record(what, answers[n])
	}
	return answers[0], answers[1]
}

// SendTogether makes several calls at the same time.
func (c *Case) SendTogether(ctx context.Context, what string, requests []curl.Request) []*Answer {
	answers, errs := make([]*Answer, len(requests)), make([]error, len(requests))
	var joins []func()
	ctx = intent.Together(ctx, len(requests))
	var wg sync.WaitGroup
	for n, r := range requests {
		r.Together = true
		c.requests = append(c.requests, r)
		own, _, join := branch(ctx)
		joins = append(joins, join)
		wg.Go(func() { answers[n], errs[n] = c.env.exchange(own, r) })
	}
	wg.Wait()
	for _, join := range joins {
		join() // in the order of the requests, whichever was sent first
	}
	for n, a := range answers {
		if errs[n] != nil {
			c.abort("%s: %v", what, errs[n])
		}
		if ctx.Err() == nil {
			c.env.record(what, a)
		}
		c.needAnswer(ctx, what, a)
	}
	return answers
}

// deliver sends a request that is signed already. The error is ours.
func (e *Env) deliver(ctx context.Context, sent curl.Sent) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, e.AnswerLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, sent.Method, sent.URL, strings.NewReader(sent.Body))
	if err != nil {
		return nil, err
	}
	req.Header = sent.Header
	return e.receive(req), nil
}
