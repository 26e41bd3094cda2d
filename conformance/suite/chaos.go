package suite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"slices"
	"sync"
	"time"

	"github.com/isvkit/isvkit/conformance/internal/chaos"
	"github.com/isvkit/isvkit/conformance/internal/intent"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// Play is one telling of a story.
type Play struct {
	Events []chaos.Event
	Made   []bool        // which calls of the story were made; the others are those that the marketplace could not make
	Sent   int           // calls in all
	Ready  time.Duration // the longest that an instance took to become ready
	Answer time.Duration // the longest that an answer took
}

// Tell plays a story against the ISV and asks in the end how it came out. Each telling makes orders of its own, by its name. The error
// says that it could not be told to its end, which is no fault of the ISV.
func (e *Env) Tell(ctx context.Context, story *chaos.Story, name string, readyLimit time.Duration) (*Play, error) {
	p := &player{
		env: e, c: e.newCase(name, ""), story: story, readyLimit: readyLimit, orders: map[string]marketplaceapi.OrderInfo{},
		instances: map[string]string{}, invented: map[string]string{}, over: make(chan struct{}),
	}
	for _, o := range story.Orders {
		if err := p.order(ctx, o.Name, o.Charging, marketplaceapi.OrderNew, max(1, o.Lines)); err != nil {
			return nil, err
		}
	}
	made := make([]bool, len(story.Calls))
	for n, call := range story.Calls {
		if p.gaveUp() {
			break
		}
		var err error
		if made[n], err = p.play(ctx, p.c, call); err != nil {
			return nil, err
		}
	}
	close(p.over)
	p.late.Wait()
	p.rest(ctx)
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	return &Play{p.events, made, p.sent, p.ready, p.slowest}, nil
}

type player struct {
	env        *Env
	c          *Case // makes up ids
	story      *chaos.Story
	readyLimit time.Duration
	late       sync.WaitGroup // calls that nobody waits for
	over       chan struct{}  // closed when no more calls of the story come

	mu        sync.Mutex
	orders    map[string]marketplaceapi.OrderInfo // by name in the story, and by deed, line and round
	instances map[string]string                   // by line: what the marketplace was told
	invented  map[string]string                   // by line: what a debug call was told
	events    []chaos.Event
	sent      int
	ready     time.Duration
	slowest   time.Duration
	silent    int   // calls in a row without an answer
	err       error // ours
}

// gaveUp reports whether the ISV seems to be gone, so that waiting for more answers tells nothing new.
func (p *player) gaveUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	const enough = 3
	return p.silent >= enough
}

// rest gives the ISV time to end what it is doing for callers that are gone.
func (p *player) rest(ctx context.Context) {
	p.mu.Lock()
	hung := slices.ContainsFunc(p.events, func(e chaos.Event) bool { return e.Hung })
	usual := p.slowest
	p.mu.Unlock()
	if hung {
		_ = pause(ctx, min(max(4*usual, 50*time.Millisecond), time.Second))
	}
}

// order makes an order up and tells the marketplace, once.
func (p *player) order(ctx context.Context, name, charging string, kind marketplaceapi.OrderType, lines int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.orders[name]; ok {
		return nil
	}
	p.c.Mode = charging
	order := p.c.newOrder(kind, lines)
	if err := p.env.Market.RegisterOrder(ctx, order); err != nil {
		return fmt.Errorf("register an order at the marketplace: %w", err)
	}
	p.orders[name] = order
	return nil
}

// request is a call as it is sent. It is false for one that the marketplace could not make, because it knows no instance.
func (p *player) request(ctx context.Context, c *Case, call chaos.Call) (body Body, ok bool, err error) {
	o, index := p.story.Find(call.Line)
	p.mu.Lock()
	order, instance := p.orders[o.Name], p.instances[call.Line]
	if call.Debug && instance == "" {
		instance = p.invented[call.Line]
	}
	p.mu.Unlock()
	round := max(1, call.Round)
	ofItsOwn := func(kind marketplaceapi.OrderType) (marketplaceapi.OrderInfo, error) {
		name := fmt.Sprint(call.Do, " ", call.Line, " ", round)
		err := p.order(ctx, name, o.Charging, kind, 1)
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.orders[name], err
	}
	switch {
	case call.Do == chaos.New:
		body = c.newInstance(order, index)
	case instance == "":
		return nil, false, nil
	case call.Do == chaos.Query:
		body = queryInstance(instance)
	case call.Do == chaos.Refresh:
		if order, err = ofItsOwn(marketplaceapi.OrderRenew); err == nil {
			body = refreshInstance(order, instance, "RENEWAL", time.Now().UTC().AddDate(1+round, 0, 0).Format("20060102")+"155959")
		}
	case call.Do == chaos.Freeze, call.Do == chaos.Unfreeze:
		body = updateStatus(instance, string(call.Do))
	case call.Do == chaos.Upgrade:
		if order, err = ofItsOwn(marketplaceapi.OrderChange); err == nil {
			body = upgradeInstance(order, instance)
		}
	case call.Do == chaos.Release:
		body = releaseInstance(instance)
	}
	if err == nil && call.Debug {
		body = body.Debug()
	}
	return body, err == nil, err
}

// play makes one call of the story, if the marketplace can make it.
func (p *player) play(ctx context.Context, c *Case, call chaos.Call) (made bool, err error) {
	var joined sync.WaitGroup
	together := ctx
	if call.Answer == chaos.Heard || call.Answer == chaos.Lost {
		together = intent.Together(ctx, call.Together)
	}
	for range max(1, call.Together) {
		body, ok, err := p.request(ctx, c, call)
		if err != nil || !ok {
			return false, err
		}
		switch call.Answer {
		case chaos.Late:
			out := make(chan struct{})
			var once sync.Once
			traced := httptrace.WithClientTrace(intent.With(ctx, intent.Intent{Over: p.over}), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { once.Do(func() { close(out) }) }})
			p.late.Go(func() {
				defer once.Do(func() { close(out) })
				p.make(traced, call, body)
			})
			<-out
			_ = pause(ctx, 5*time.Millisecond) // so that it arrives before the next one, as a rule
		case chaos.Reset:
			joined.Go(func() { p.cut(ctx, call, body) })
		case chaos.Heard, chaos.Lost:
			joined.Go(func() { p.make(together, call, body) })
		}
	}
	joined.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return true, errors.Join(p.err, ctx.Err())
}

// make makes a call and takes its answer down.
func (p *player) make(ctx context.Context, call chaos.Call, body Body) {
	a, err := p.env.exchange(ctx, curl.Request{URL: p.env.Target, Body: body.Text()})
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = errors.Join(p.err, err)
		return
	}
	p.sent++
	p.events = append(p.events, p.learn(call, body, a))
}

// learn makes an event of an answer, and remembers what the marketplace gets to know by it.
func (p *player) learn(call chaos.Call, body Body, a *Answer) chaos.Event {
	event := chaos.Event{Call: call, OK: a.Succeeded(), InProgress: a.InProgress(), Code: a.Code, Text: a.String()}
	if a.Err != nil {
		p.silent++
		event.NoAnswer = a.Err.Error()
		return event
	}
	p.silent, p.slowest = 0, max(p.slowest, a.Duration)
	switch {
	case call.Do == chaos.New && (event.OK || event.InProgress):
		event.Instance = a.InstanceID
		switch {
		case a.InstanceID == "":
		case call.Debug:
			p.invented[call.Line] = a.InstanceID
		case call.Answer == chaos.Heard && p.instances[call.Line] == "":
			p.instances[call.Line] = a.InstanceID
		}
	case call.Do == chaos.Query && event.OK:
		id, _ := body["instanceId"].(string)
		_, event.Entry = a.Entry(id)
	}
	return event
}

// cut makes a call and resets the connection as soon as the request is out.
func (p *player) cut(ctx context.Context, call chaos.Call, body Body) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	traced := httptrace.WithClientTrace(intent.With(ctx, intent.Intent{HangsUp: true}), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			conn := info.Conn
			if over, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
				conn = over.NetConn()
			}
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // closing resets
			}
		},
		WroteRequest: func(httptrace.WroteRequestInfo) { cancel() },
	})
	_, err := p.env.exchange(traced, curl.Request{URL: p.env.Target, Body: body.Text()})
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.err = errors.Join(p.err, err)
	}
	p.sent++
	p.events = append(p.events, chaos.Event{Call: call, Hung: true})
}

// settle asks each line how it ended. Lines have nothing to do with one another any more, so several are asked at a time.
func (p *player) settle(ctx context.Context) error {
	lines := p.story.Lines()
	found := make([][]chaos.Event, len(lines))
	errs := make([]error, len(lines))
	told := slices.Clone(p.events)
	p.real()
	if p.gaveUp() && p.env.Reach(ctx) == nil { // it is there, and has no answer to some calls only
		p.silent = 0
	}
	// What is released goes first, so that whatever a release does to another instance is seen.
	for _, first := range []bool{true, false} {
		var wg sync.WaitGroup
		slots := make(chan struct{}, 8)
		for n, line := range lines {
			if _, mayBeGone := chaos.Settlement(told, line); mayBeGone != first {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if n == 0 || !p.gaveUp() {
					found[n], errs[n] = p.ask(ctx, told, line)
				}
			})
		}
		wg.Wait()
	}
	for _, events := range found {
		p.events = append(p.events, events...)
	}
	return errors.Join(errors.Join(errs...), ctx.Err())
}

// real forgets made-up instances that are real ones: nothing says that a debug call must not answer one.
func (p *player) real() {
	known := map[string]bool{}
	for _, id := range p.instances {
		known[id] = true
	}
	for line, id := range p.invented {
		if known[id] {
			delete(p.invented, line)
		}
	}
}

// ask makes the calls that settle a line.
func (p *player) ask(ctx context.Context, told []chaos.Event, line string) (events []chaos.Event, err error) {
	c := p.env.newCase(p.c.ids.name+" "+line, "")
	calls, mayBeGone := chaos.Settlement(told, line)
	for _, call := range calls {
		event, ok, err := p.awaited(ctx, c, call, mayBeGone)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			continue // nothing is known to ask about
		}
		events = append(events, event)
		if event.NoAnswer != "" || call.Do == chaos.Query && !event.Entry && !mayBeGone {
			break // it is judged by this, and nothing is left to ask
		}
	}
	return events, nil
}

// awaited makes a call that settles a line. A query for an instance that must be there is made until it is ready.
func (p *player) awaited(ctx context.Context, c *Case, call chaos.Call, mayBeGone bool) (event chaos.Event, ok bool, err error) {
	started := time.Now()
	for wait := p.env.PollEvery / 4; ; wait = min(2*wait, 5*time.Second) {
		event, ok, err = p.settled(ctx, c, call)
		if err != nil || !ok {
			return event, ok, err
		}
		took := time.Since(started)
		if event.Entry {
			p.mu.Lock()
			p.ready = max(p.ready, took)
			p.mu.Unlock()
		}
		waits := call.Do == chaos.Query && !event.Entry && !mayBeGone && (event.OK || event.InProgress)
		if !waits || took+wait > p.readyLimit {
			return event, true, nil
		}
		if !pause(ctx, wait) {
			return event, false, ctx.Err()
		}
	}
}

// settled makes one call that settles a line.
func (p *player) settled(ctx context.Context, c *Case, call chaos.Call) (event chaos.Event, ok bool, err error) {
	body, ok, err := p.request(ctx, c, call)
	if !ok && err == nil && call.Do == chaos.Query {
		p.mu.Lock()
		invented := p.invented[call.Line]
		p.mu.Unlock()
		if invented != "" {
			body, ok = queryInstance(invented), true
		}
	}
	if err != nil || !ok {
		return event, false, err
	}
	a, err := p.env.exchange(ctx, curl.Request{URL: p.env.Target, Body: body.Text()})
	if err != nil {
		return event, false, err
	}
	if ctx.Err() != nil {
		return event, false, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent++
	event = p.learn(call, body, a)
	event.Settling = true
	return event, true, nil
}
