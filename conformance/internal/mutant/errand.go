package mutant

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isvkit/isvkit/conformance/internal/intent"
)

// errand is a call of which the judge told more than its bytes. An ISV that is wrong when calls meet, or when a caller hangs up, waits for
// that to happen, and not for some milliseconds in which it may have happened: so it is wrong each time, however busy the machine is.
//
//	judge ── intent in the context ──► carrier ── number in a header ──► received ── errand in the context ──► mutant
type errand struct {
	intent.Intent
	company *company
	arrived *signal
	ended   *signal // the ISV is done with it
}

// company are the calls of a group.
type company struct {
	mu      sync.Mutex
	missing int
	all     *signal // have arrived
	inside  map[string]int
}

// signal is given once.
type signal struct {
	once sync.Once
	c    chan struct{}
}

func newSignal() *signal     { return &signal{c: make(chan struct{})} }
func (s *signal) give()      { s.once.Do(func() { close(s.c) }) }
func (s *signal) wait() bool { return within(s.c) }

// patience bounds every wait for something that is about to happen. Where it runs out something is wrong, and the test will say so.
const patience = 20 * time.Second

// within waits until a channel is closed, and tells whether it was in time.
func within(c <-chan struct{}) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}

const errandHeader = "X-Mutant-Errand"

// carrier is the transport of a judge who tries a mutant.
type carrier struct {
	next http.RoundTripper
	last atomic.Int64

	mu        sync.Mutex
	errands   map[string]*errand
	companies map[*intent.Group]*company
	lasting   []*errand // during which others are made
}

func newCarrier() *carrier {
	return &carrier{
		next:    &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second},
		errands: map[string]*errand{}, companies: map[*intent.Group]*company{},
	}
}

// client makes the calls of the judge.
func (c *carrier) client() *http.Client {
	return &http.Client{Transport: c, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip makes an exchange. One that lasts has arrived before the next begins, and the ISV has ended one whose caller hung up.
func (c *carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	lasting := c.lasting
	c.mu.Unlock()
	i := intent.Of(r.Context())
	if i.Over == nil {
		for _, e := range lasting {
			e.arrived.wait()
		}
	}
	if i == (intent.Intent{}) {
		return c.next.RoundTrip(r)
	}
	id, e := c.begin(i)
	defer c.end(id)
	r = r.Clone(r.Context())
	r.Header.Set(errandHeader, id)
	answer, err := c.next.RoundTrip(r)
	if i.HangsUp && err != nil && e.arrived.wait() {
		e.ended.wait()
	}
	return answer, err
}

func (c *carrier) begin(i intent.Intent) (id string, e *errand) {
	id = strconv.FormatInt(c.last.Add(1), 10)
	e = &errand{Intent: i, arrived: newSignal(), ended: newSignal()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := i.Group; g != nil {
		if c.companies[g] == nil {
			c.companies[g] = &company{missing: g.Size, all: newSignal(), inside: map[string]int{}}
		}
		e.company = c.companies[g]
	}
	if i.Over != nil {
		c.lasting = append(c.lasting[:len(c.lasting):len(c.lasting)], e)
	}
	c.errands[id] = e
	return id, e
}

func (c *carrier) end(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ended := c.errands[id]
	delete(c.errands, id)
	var left []*errand
	for _, e := range c.lasting {
		if e != ended {
			left = append(left, e)
		}
	}
	c.lasting = left
}

// received takes the number from a call and gives the errand to the handler.
func (c *carrier) received(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		e := c.errands[r.Header.Get(errandHeader)]
		c.mu.Unlock()
		if e == nil {
			h.ServeHTTP(w, r)
			return
		}
		defer e.ended.give()
		r.Header.Del(errandHeader)
		e.arrive()
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), errandKey{}, e)))
	})
}

type errandKey struct{}

func (e *errand) arrive() {
	e.arrived.give()
	if c := e.company; c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.missing--; c.missing == 0 {
			c.all.give()
		}
	}
}

// errand is what is known about a call besides its bytes; nil: nothing.
func (c *call) errand() *errand {
	e, _ := c.request.Context().Value(errandKey{}).(*errand)
	return e
}

// meets waits until the calls that are made together with this one have arrived, and tells how many of the same key came before it. A call
// that is made alone meets nobody.
func (c *call) meets(key string) (before int) {
	e := c.errand()
	if e == nil || e.company == nil || !e.company.all.wait() {
		return 0
	}
	e.company.mu.Lock()
	defer e.company.mu.Unlock()
	before = e.company.inside[key]
	e.company.inside[key]++
	return before
}

// gone reports whether the caller hangs up while the ISV is busy, and waits until it has noticed.
func (c *call) gone() bool {
	e := c.errand()
	return e != nil && e.HangsUp && within(c.request.Context().Done())
}

// until waits for something that another call does while this one is being carried out. It is false if no such call comes any more.
func (c *call) until(done <-chan struct{}) bool {
	e := c.errand()
	if e == nil || e.Over == nil {
		return false
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-e.Over:
	case <-timer.C:
	}
	return false
}
