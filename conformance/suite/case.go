package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/conformance/internal/intent"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// Status is how a check ended.
type Status string

// The statuses. Fail says that the ISV is wrong, Error that the judge could not tell.
const (
	Pass          Status = "pass"
	Fail          Status = "fail"
	Skip          Status = "skip"
	NotApplicable Status = "not-applicable"
	Error         Status = "error"
)

// Result is the outcome of one check.
type Result struct {
	Status   Status
	Messages []string
	Curl     string // sends the requests of a failed check again
	Duration time.Duration

	// Cause is why it failed, if the suite found out.
	Cause string

	// Attempts are what was sent and came back, in the order of the check; Left is how many more there were.
	Attempts []Attempt
	Left     int
	// Requests are what a failed check sends, to be signed afresh and sent again, and Orders those that they are about.
	Requests []curl.Request
	Orders   []marketplaceapi.OrderInfo
}

// Case is one check at work: it makes the calls and collects what was not as expected.
type Case struct {
	Mode string // charging mode of the orders it makes

	ids      source
	env      *Env
	setup    bool
	failed   bool
	messages []string
	requests []curl.Request
	orders   []marketplaceapi.OrderInfo
	extra    []Attempt   // seen by other checks, and part of what this one judges
	asked    []Exchange  // requests of the ISV that the check judges
	talk     *transcript // of its own calls
}

// stopped unwinds a check that cannot go on.
type stopped struct{ status Status }

// rightIsAccepted is the requirement that says nothing but that a right signature is accepted.
const rightIsAccepted = "SIG-1"

// Execute runs one check.
func Execute(ctx context.Context, env *Env, check *Check, mode string) (result Result) {
	start := time.Now()
	ctx, talk, _ := branch(ctx)
	c := env.newCase(check.ID, mode)
	c.talk = talk
	defer func() {
		result.Duration = time.Since(start)
		result.Messages = c.messages
		c.tell(&result)
	}()
	result.Status = c.run(ctx, check)
	if result.Status == Fail && check.Requirement == rightIsAccepted && ctx.Err() == nil {
		probing, _, _ := branch(ctx) // it is no part of the check
		result.Cause = env.explainRefusal(probing)
	}
	// A call that is cut off by the end of the run unwinds the check without being counted as a failure, so a failure that stands
	// is a real one.
	if ctx.Err() != nil && result.Status != Pass && !c.failed {
		result.Status = Error
		c.messages = []string{OutOfTime(ctx)}
	}
	return result
}

// tell adds what was sent and what came back.
func (c *Case) tell(result *Result) {
	result.Attempts, result.Left = c.talk.taken()
	result.Attempts = append(result.Attempts, c.extra...)
	if result.Status == Pass {
		return
	}
	asked := c.asked
	for _, order := range c.orders {
		asked = append(asked, c.env.observed(func(x Exchange) bool { return x.Operation == opQuery && x.OrderID == order.OrderID })...)
	}
	const most = 6
	for n, x := range asked {
		if n == most {
			result.Left += len(asked) - most
			break
		}
		result.Attempts = append(result.Attempts, c.env.asked(x))
	}
	if result.Status == Fail {
		result.Curl = curl.Line(c.requests...)
		result.Requests, result.Orders = c.requests, c.orders
	}
}

// OutOfTime says why a run ended before its checks.
func OutOfTime(ctx context.Context) string {
	if errors.Is(ctx.Err(), context.Canceled) {
		return "the run was interrupted before this check had ended"
	}
	return "the time for the whole run was used up before this check had ended"
}

func (c *Case) run(ctx context.Context, check *Check) (status Status) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stopped:
			status = r.status
			if c.failed {
				status = Fail
			}
		default:
			status = Error
			c.messages = append(c.messages, fmt.Sprintf("the check itself broke, which is a fault of the suite: %v\n%s", r, debug.Stack()))
		}
	}()
	check.Run(ctx, c)
	if c.failed {
		return Fail
	}
	return Pass
}

// Errorf records one thing that is not as expected, in the form "what: expected X, got Y".
func (c *Case) Errorf(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if c.setup {
		c.skip(message)
	}
	c.failed = true
	c.messages = append(c.messages, message)
}

// Fatalf is Errorf for what leaves nothing more to look at.
func (c *Case) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	panic(stopped{Fail})
}

// Skipf ends the check without a judgement.
func (c *Case) Skipf(format string, args ...any) { c.skip(fmt.Sprintf(format, args...)) }

func (c *Case) skip(message string) {
	c.messages = append(c.messages, message)
	panic(stopped{Skip})
}

func (c *Case) abort(format string, args ...any) {
	c.messages = append(c.messages, fmt.Sprintf(format, args...))
	panic(stopped{Error})
}

// preparing runs f as set-up: whatever goes wrong in it skips the check, because another check judges it.
func (c *Case) preparing(f func()) {
	before := c.setup
	c.setup = true
	defer func() { c.setup = before }()
	f()
}

// ---- calls --------------------------------------------------------------------------------------------------------------

// Send makes one call with a right signature, or one that deviates as the variation says. A call without any answer ends the
// check.
func (c *Case) Send(ctx context.Context, body Body, variation ...curl.Variation) *Answer {
	r := c.plain(body)
	if len(variation) > 0 {
		r.Variation = variation[0]
	}
	return c.SendRequest(ctx, body.Activity(), r)
}

// plain is a right request, which is signed with the key of its class.
func (c *Case) plain(body Body) curl.Request {
	r := curl.Request{URL: c.env.Target, Body: body.Text()}
	if call, known := providerapi.Lookup(body.Activity()); known {
		switch call.Class {
		case providerapi.ClassGeneral:
			r.KeyVariable = generalKeyVariable
		case providerapi.ClassLicense:
			r.KeyVariable = licenseKeyVariable
		case providerapi.ClassBase, providerapi.ClassKit:
		}
	}
	return r
}

// SendRequest is Send for a request that no Body can describe. what names it in messages.
func (c *Case) SendRequest(ctx context.Context, what string, r curl.Request) *Answer {
	c.requests = append(c.requests, r)
	a := c.exchange(ctx, what, r)
	c.needAnswer(ctx, what, a)
	return a
}

func (c *Case) needAnswer(ctx context.Context, what string, a *Answer) {
	if a.Err == nil {
		return
	}
	if ctx.Err() != nil {
		panic(stopped{Error})
	}
	c.Fatalf("%s: expected an answer within %v, got %v", what, c.env.AnswerLimit, a)
}

func (c *Case) exchange(ctx context.Context, what string, r curl.Request) *Answer {
	a, err := c.env.exchange(ctx, r)
	if err != nil {
		c.abort("%s: %v", what, err)
	}
	if ctx.Err() == nil {
		c.env.record(what, a)
	}
	return a
}

// exchange signs and sends one request. The error is ours; what the ISV did wrong is in the answer.
func (e *Env) exchange(ctx context.Context, r curl.Request) (*Answer, error) {
	now, nonce := time.Now(), strings.ToUpper(randomNonce())
	if r.Scheme == curl.Base || r.Scheme == curl.Kit { // the readings are about V2
		r = e.read(r, now)
	}
	if r.Scheme != curl.Base {
		sent, err := r.Sent(e.keyOf(r), now, nonce)
		if err != nil {
			return nil, err
		}
		return e.deliver(ctx, sent)
	}
	params, err := r.Params(e.keyOf(r), now, nonce)
	if err != nil {
		return nil, err
	}
	return e.transmit(ctx, r, params)
}

func (e *Env) transmit(ctx context.Context, r curl.Request, params string) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, e.AnswerLimit)
	defer cancel()
	method := r.Method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, curl.Join(r.URL, params), strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", curl.ContentType)
	req.Header.Set("Accept", curl.Accept)
	for _, line := range r.Header {
		name, value, _ := strings.Cut(line, ":")
		req.Header.Set(name, strings.TrimSpace(value))
	}
	if req.Header.Get("Transfer-Encoding") == "chunked" {
		req.Header.Del("Transfer-Encoding") // of which the client takes care
		req.ContentLength = -1
	}
	start := time.Now()
	a := e.receive(req)
	if a.Err != nil {
		return a, nil
	}
	if r.URL == e.Target {
		e.clock.read(a.Header.Get("Date"), start, start.Add(a.Duration))
	}
	e.register(ctx, r.Body, a)
	return a, nil
}

// receive makes the exchange.
func (e *Env) receive(req *http.Request) *Answer {
	ctx, talk, join := branch(req.Context())
	defer join()
	req = req.WithContext(ctx)
	start := time.Now()
	a := &Answer{talk: talk}
	resp, err := e.Client.Do(req)
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		a.Status, a.ContentType, a.Header = resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header
		a.Body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
		if err == nil && len(a.Body) > maxAnswer {
			err = fmt.Errorf("an answer of more than %d bytes", maxAnswer)
		}
	}
	a.Duration = time.Since(start)
	if err != nil {
		a.Err = plainError(err)
		return a
	}
	a.parse()
	return a
}

// register tells the marketplace about an instance that the ISV has just opened, so that usage pushed for it counts. Orders that the
// marketplace does not know, because a check sent them wrongly on purpose, are left out.
func (e *Env) register(ctx context.Context, request string, a *Answer) {
	var call struct {
		Activity    string `json:"activity"`
		OrderLineID string `json:"orderLineId"`
		InstanceID  string `json:"instanceId"`
		TestFlag    string `json:"testFlag"`
	}
	if json.Unmarshal([]byte(request), &call) != nil || call.TestFlag == "1" {
		return
	}
	if call.Activity == "releaseInstance" && a.Succeeded() {
		e.mu.Lock()
		if _, known := e.released[call.InstanceID]; !known {
			e.released[call.InstanceID] = time.Now()
		}
		e.mu.Unlock()
	}
	if call.Activity != "newInstance" || a.Refused() || a.InstanceID == "" {
		return
	}
	e.mu.Lock()
	metered := e.metered[call.OrderLineID]
	e.mu.Unlock()
	if metered {
		_ = e.Market.RegisterInstance(ctx, call.OrderLineID, a.InstanceID)
	}
}

// maxAnswer is far above a query for 100 instances with every field at its limit, which is below 1 MB.
const maxAnswer = 4 << 20

// plainError takes the address, which holds the signature, out of an error of the HTTP client.
func plainError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("timeout")
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// saw makes the exchange of an answer that another check got a part of this one.
func (c *Case) saw(a *Answer) {
	if a.talk == nil {
		return
	}
	attempts, _ := a.talk.taken()
	c.extra = append(c.extra, attempts...)
}

// ---- expectations ----------------------------------------------------------------------------------------------------------

// WantSuccess expects 000000.
func (c *Case) WantSuccess(what string, a *Answer) bool {
	if a.Succeeded() {
		return true
	}
	c.Errorf("%s: expected 000000, got %v", what, a)
	return false
}

// WantRefused expects any answer but success.
func (c *Case) WantRefused(what string, a *Answer) {
	if !a.Refused() {
		c.Errorf("%s: expected a refusal, got %v", what, a)
	}
}

// WantCode expects one of several result codes.
func (c *Case) WantCode(what string, a *Answer, codes ...string) {
	for _, code := range codes {
		if a.Code == code {
			return
		}
	}
	c.Errorf("%s: expected %s, got %v", what, strings.Join(codes, " or "), a)
}

// ---- set-up ----------------------------------------------------------------------------------------------------------------

// Instance is an instance of the ISV and the order it came from.
type Instance struct {
	ID    string
	Order marketplaceapi.OrderInfo
	Line  int
	New   *Answer // to newInstance
	Ready *Answer // to the queryInstance that found it ready
	query Body
}

// Order makes an order and tells the marketplace about it.
func (c *Case) Order(ctx context.Context, kind marketplaceapi.OrderType, lines int) marketplaceapi.OrderInfo {
	order := c.newOrder(kind, lines)
	c.register(ctx, order)
	return order
}

// register tells the marketplace about an order.
func (c *Case) register(ctx context.Context, order marketplaceapi.OrderInfo) {
	if err := c.env.Market.RegisterOrder(ctx, order); err != nil {
		if ctx.Err() != nil {
			panic(stopped{Error})
		}
		c.abort("register order %s at the marketplace: %v", order.OrderID, err)
	}
	c.orders = append(c.orders, order)
	c.env.mu.Lock()
	defer c.env.mu.Unlock()
	for _, line := range order.OrderLine {
		if line.ChargingMode == marketplaceapi.ChargingOnDemand || line.ChargingMode == marketplaceapi.ChargingPackage {
			c.env.metered[line.OrderLineID] = true
		}
	}
}

// New sends newInstance for a line and expects it to be accepted, with an instance id.
func (c *Case) New(ctx context.Context, order marketplaceapi.OrderInfo, line int) *Instance {
	return c.accepted(order, line, c.Send(ctx, c.newInstance(order, line)))
}

func (c *Case) accepted(order marketplaceapi.OrderInfo, line int, a *Answer) *Instance {
	if !a.Succeeded() && !a.InProgress() {
		c.Fatalf("newInstance: expected 000000 or 000004, got %v%s", a, c.env.unasked(order.OrderID))
	}
	c.env.markOpened(order.OrderID)
	if a.InstanceID == "" {
		c.Fatalf("newInstance: expected an instanceId beside %s, got none", a.Code)
	}
	return &Instance{ID: a.InstanceID, Order: order, Line: line, New: a}
}

// unasked explains the commonest reason for a refused newInstance.
func (e *Env) unasked(orderID string) string {
	asked := e.observed(func(x Exchange) bool { return x.Operation == opQuery && x.OrderID == orderID })
	if len(asked) == 0 {
		return "; the ISV did not ask the marketplace of this run (" + e.MarketURL + ") for the order: is it pointed there?"
	}
	if last := asked[len(asked)-1]; last.Code != "MKT.0000" {
		return fmt.Sprintf("; its order query was answered %s %s", last.Code, last.Detail)
	}
	return ""
}

// AwaitReady asks for the instance until it is ready.
func (c *Case) AwaitReady(ctx context.Context, i *Instance) {
	i.query = queryInstance(i.ID)
	c.requests = append(c.requests, curl.Request{URL: c.env.Target, Body: i.query.Text()})
	deadline := time.Now().Add(c.env.ReadyLimit)
	polls := c.talk.mark()
	for wait := c.env.PollEvery; ; wait = min(2*wait, 5*time.Second) {
		c.talk.rewind(polls)
		a := c.exchange(ctx, "queryInstance", curl.Request{URL: c.env.Target, Body: i.query.Text()})
		c.needAnswer(ctx, "queryInstance", a)
		if a.Succeeded() {
			if _, ok := a.Entry(i.ID); ok {
				i.Ready = a
				return
			}
		}
		if !a.Succeeded() && !a.InProgress() || time.Now().Add(wait).After(deadline) {
			expected := fmt.Sprintf("queryInstance: expected 000000 with an entry for %s within %v", i.ID, c.env.ReadyLimit)
			if a.Succeeded() {
				c.Fatalf("%s, got %v with %s", expected, a, entries(a))
			}
			c.Fatalf("%s, got %v", expected, a)
		}
		if !pause(ctx, wait) {
			panic(stopped{Error})
		}
	}
}

func entries(a *Answer) string {
	if len(a.Info) == 0 {
		return "no entries"
	}
	var ids []string
	for _, e := range a.Info {
		ids = append(ids, fmt.Sprintf("%q", e.InstanceID))
	}
	return "entries for " + strings.Join(ids, ", ")
}

// pause waits, and reports false if the run's time ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Open makes an order and an instance that is ready, as set-up.
func (c *Case) Open(ctx context.Context) *Instance {
	var i *Instance
	c.preparing(func() {
		i = c.New(ctx, c.Order(ctx, marketplaceapi.OrderNew, 1), 0)
		c.AwaitReady(ctx, i)
	})
	return i
}

// Must sends a call as set-up and needs it to succeed.
func (c *Case) Must(ctx context.Context, body Body) *Answer {
	var a *Answer
	c.preparing(func() {
		a = c.Send(ctx, body)
		c.WantSuccess(body.Activity(), a)
	})
	return a
}

// common is an instance that several checks use.
type common struct {
	once     sync.Once
	instance *Instance
	problem  string // why there is none
}

// Shared is an instance that all checks share; it may be asked about and nothing else.
func (c *Case) Shared(ctx context.Context) *Instance {
	return c.common(ctx, &c.env.shared, "the shared instance")
}

// Target is an instance for calls that must be refused. Some ISVs carry them out, so nothing may rest on its state.
func (c *Case) Target(ctx context.Context) *Instance {
	return c.common(ctx, &c.env.target, "the instance for calls that must be refused")
}

func (c *Case) common(ctx context.Context, i *common, name string) *Instance {
	e := c.env
	i.once.Do(func() {
		open := Check{ID: name, Run: func(ctx context.Context, c *Case) { i.instance = c.Open(ctx) }}
		mode := (&Check{}).Mode(e.Charging)
		if r := Execute(ctx, e, &open, mode); r.Status != Pass {
			i.instance = nil
			i.problem = "it needs an instance: " + strings.Join(r.Messages, "; ")
		}
	})
	if i.instance == nil {
		if ctx.Err() != nil {
			panic(stopped{Error})
		}
		c.skip(i.problem)
	}
	return i.instance
}

// StillOpen expects an instance to be answered by queryInstance after something that must not have touched it.
func (c *Case) StillOpen(ctx context.Context, after string, i *Instance) {
	a := c.Send(ctx, queryInstance(i.ID))
	if _, ok := a.Entry(i.ID); !a.Succeeded() || !ok {
		c.Errorf("queryInstance after %s: expected 000000 with an entry for the instance, got %v with %s", after, a, entries(a))
	}
}

// Together makes several calls at the same time.
func (c *Case) Together(ctx context.Context, bodies []Body) []*Answer {
	answers := make([]*Answer, len(bodies))
	errs := make([]error, len(bodies))
	var joins []func()
	ctx = intent.Together(ctx, len(bodies))
	var wg sync.WaitGroup
	for n, body := range bodies {
		r := c.plain(body)
		r.Together = true
		c.requests = append(c.requests, r)
		own, _, join := branch(ctx)
		joins = append(joins, join)
		wg.Go(func() { answers[n], errs[n] = c.env.exchange(own, r) })
	}
	wg.Wait()
	for _, join := range joins {
		join() // in the order of the bodies, whichever was sent first
	}
	if err := errors.Join(errs...); err != nil {
		c.abort("%v", err)
	}
	for n, a := range answers {
		if ctx.Err() == nil {
			c.env.record(bodies[n].Activity(), a)
		}
		c.needAnswer(ctx, bodies[n].Activity(), a)
	}
	return answers
}
