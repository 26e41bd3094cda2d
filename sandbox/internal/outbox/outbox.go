// Package outbox carries calls out. A call is written to the store in the transaction that decided it; from there it is attempted
// when it is due, journaled, judged, retried as its timetable says, or given up, and whatever follows from its end is written
// in the transaction that ends it. What follows is not known here: each kind of subject has a [Handler] for that.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/queue"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// Handler knows what follows from the calls about one kind of subject.
type Handler interface {
	// Accept looks at an answer that is a success by itself. It makes it a failure by changing the result.
	Accept(tx *store.Tx, call store.Call, r *delivery.Result) error
	// Ended applies the end of a call: it succeeded, or it will not be attempted again unless somebody restarts it.
	Ended(tx *store.Tx, call store.Call, r delivery.Result, succeeded bool, now time.Time) error
}

// Outbox carries calls out.
type Outbox struct {
	store    *store.Store
	clock    *clock.Clock
	sender   *delivery.Sender
	log      *slog.Logger
	handlers map[string]Handler
	observer Observer // may be nil
	goesBack func(tx *store.Tx, call store.Call, now time.Time) (bool, error)

	mu        sync.Mutex
	targets   map[string]delivery.Target // by product
	targetsOf int64                      // the catalogue's version
}

// New gives an outbox. Handlers are added with [Outbox.Handle] before the first call is delivered.
func New(s *store.Store, c *clock.Clock, sender *delivery.Sender, log *slog.Logger) *Outbox {
	return &Outbox{store: s, clock: c, sender: sender, log: log, handlers: map[string]Handler{}, targetsOf: -1}
}

// Handle names the handler of a kind of subject: what stands before the first slash of a subject, or nothing for an instance, whose
// subject is its order line. Calls of a kind without a handler are delivered, and nothing follows from them.
func (o *Outbox) Handle(kind string, h Handler) { o.handlers[kind] = h }

// Observer is told of what ended, once it is stored. It must not block.
type Observer interface {
	// Attempted tells of an attempt. late is how long after it was due it began, on the sandbox's clock; below zero if it was never due.
	Attempted(activity, outcome string, took, late time.Duration)
	// Delivered tells of a call that will not be attempted again unless somebody restarts it, and after how many attempts.
	Delivered(activity, outcome string, attempts int)
}

// Observe has an observer told, of which there is one, before the first call is delivered.
func (o *Outbox) Observe(by Observer) { o.observer = by }

// GoesBack names who decides whether a call that failed for good waits for a restart by hand, so that its order has not failed. It is set
// before the first call is delivered. Default: none does.
func (o *Outbox) GoesBack(f func(tx *store.Tx, call store.Call, now time.Time) (bool, error)) {
	o.goesBack = f
}

// KindOf is the kind of a subject.
func KindOf(subject string) string {
	kind, _, found := strings.Cut(subject, "/")
	if !found {
		return ""
	}
	return kind
}

// ErrInvalid is wrapped by errors about what was asked for.
var ErrInvalid = errors.New("invalid")

// errTaken rolls an attempt back that another process makes.
var errTaken = errors.New("another process is at it")

// Deliver makes one attempt at a call that is due, journals it, and applies what came of it.
func (o *Outbox) Deliver(ctx context.Context, callID int64) (err error) {
	var call store.Call
	defer func() {
		if err != nil {
			err = fmt.Errorf("call %d (%s, seller %s, order line %s): %w", callID, call.Call.Activity, call.SellerID, call.LineID, err)
		}
	}()
	var prepared delivery.Prepared
	// Beside the updates, of which there is one at a time. Nobody else works on this subject.
	err = o.store.View(ctx, func(tx *store.Tx) (err error) {
		if call, err = tx.CallToDeliver(callID); err != nil || call.Status != sandboxapi.CallPending {
			return err
		}
		prepared, err = o.prepare(tx, call, false)
		return err
	})
	if err != nil {
		return err
	}
	if call.Status != sandboxapi.CallPending {
		// Whoever ended it could not tell that it does not wait any more.
		return o.store.UpdateQuietly(ctx, func(tx *store.Tx) error {
			now, err := tx.Call(callID)
			if err == nil {
				tx.Repeat(now)
			}
			return err
		})
	}
	var attempt store.Attempt
	var plan fault.Plan
	number := call.Attempts + 1
	err = o.store.UpdateQuietly(ctx, func(tx *store.Tx) (err error) {
		call.Attempts = number - 1
		if plan, err = o.disturb(tx, call, true); err != nil || putOff(plan) {
			return err
		}
		call.Attempts = number
		if mine, err := tx.ClaimAttempt(call); err != nil || !mine {
			return errors.Join(err, errTaken)
		}
		attempt, err = o.start(tx, call, prepared, plan.Exchange.Kind)
		return err
	})
	if errors.Is(err, errTaken) {
		return nil
	}
	if err != nil || putOff(plan) {
		return err
	}
	result, err := o.send(ctx, prepared, plan.Exchange)
	if err != nil {
		return err
	}
	// An answer that came is kept even if we are told to stop in this moment.
	var ended ending
	err = o.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) (err error) {
		ended, err = o.finish(tx, call, attempt, result)
		return err
	})
	if err != nil {
		return err
	}
	o.tell(ended, attempt.StartedAt.Sub(call.DueAt))
	return o.extras(ctx, call, attempt, prepared, result, plan.Extra)
}

// send makes the exchange. The piece of work that it belongs to waits for the ISV meanwhile.
func (o *Outbox) send(ctx context.Context, p delivery.Prepared, x fault.Exchange) (delivery.Result, error) {
	defer queue.Outside(ctx)()
	return o.sender.Send(ctx, p, x)
}

// prepare makes a call ready to be sent, because it is due or because somebody asked.
func (o *Outbox) prepare(tx *store.Tx, call store.Call, asked bool) (delivery.Prepared, error) {
	target, err := o.target(tx, call.ProductCode)
	if err != nil {
		return delivery.Prepared{}, fmt.Errorf("product %s: %w", call.ProductCode, err)
	}
	facts, err := o.facts(tx, target.Access, call, asked)
	if err != nil {
		return delivery.Prepared{}, err
	}
	return delivery.Prepare(target, call.Call, facts, delivery.Options{Debug: call.Debug})
}

// start writes that the attempt begins whose number the call has.
func (o *Outbox) start(tx *store.Tx, call store.Call, p delivery.Prepared, kind fault.Kind) (a store.Attempt, err error) {
	a = store.Attempt{
		CallID: call.ID, About: call.About, Activity: call.Call.Activity, Number: call.Attempts,
		StartedAt: o.clock.Now(), Fault: string(kind), Method: p.Method, URL: p.Address, RequestBody: string(p.Body),
	}
	a.ID, err = tx.StartAttempt(a)
	return a, err
}

// target finds where a product's calls go. It is the same for thousands of calls, so it is kept until a seller or product changes.
func (o *Outbox) target(tx *store.Tx, productCode string) (delivery.Target, error) {
	version := o.store.CatalogueVersion()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.targetsOf != version {
		o.targets, o.targetsOf = map[string]delivery.Target{}, version
	}
	if t, ok := o.targets[productCode]; ok {
		return t, nil
	}
	product, seller, err := tx.Target(productCode)
	if err != nil {
		return delivery.Target{}, err
	}
	t := delivery.Target{Address: cmp.Or(product.Address, seller.Address), Access: product.Access, Keys: seller.Keys}
	o.targets[productCode] = t
	return t, nil
}

// ending is an attempt that ended, with its call as it is then.
type ending struct {
	attempt store.Attempt // zero: it was not for us to end it
	call    store.Call
	over    bool // so is the delivery
	failed  bool
	fault   fault.Kind
}

// finish journals how an attempt ended and applies it: the call is done, or attempted again, or given up.
func (o *Outbox) finish(tx *store.Tx, call store.Call, a store.Attempt, r delivery.Result) (e ending, err error) {
	if mine, err := tx.UnderWay(a.ID, call); err != nil || !mine {
		return e, err // another process has gone on with the call, or all of it is gone
	}
	now := o.clock.Now()
	handler := o.handlers[KindOf(call.Subject)]
	succeeded := r.Succeeded(call.Call.Activity)
	if succeeded && handler != nil {
		if err := handler.Accept(tx, call, &r); err != nil {
			return e, err
		}
		succeeded = r.Succeeded(call.Call.Activity)
	}
	call.Tries++
	call.ResultCode, call.LastError, call.DueAt = r.ResultCode, "", time.Time{}
	ended := true
	if succeeded {
		call.Status = sandboxapi.CallSucceeded
	} else {
		call.LastError = r.Detail
		timetable := lifecycle.TimetableOf(call.Call.Activity)
		if next, again := timetable.Next(call.StartedAt, now, call.Tries); again {
			call.DueAt, ended = next, false
		} else {
			call.Status = sandboxapi.CallWaiting
			if timetable.Final {
				back := false
				if o.goesBack != nil {
					var err error
					if back, err = o.goesBack(tx, call, now); err != nil {
						return ending{}, err
					}
				}
				if !back {
					call.Status = sandboxapi.CallFailed
				}
			}
		}
	}
	a = journaled(a, r)
	e = ending{attempt: a, call: call, over: ended, failed: !succeeded, fault: r.Fault}
	if err := errors.Join(tx.FinishAttempt(a), tx.UpdateCall(call), notify(tx, call, r, false, now)); err != nil || !ended || handler == nil {
		return e, err
	}
	return e, handler.Ended(tx, call, r, succeeded, now)
}

// journaled completes an attempt.
func journaled(a store.Attempt, r delivery.Result) store.Attempt {
	if r.URL != "" { // it was sent
		a.URL, a.RequestHeaders, a.RequestBody = r.URL, r.RequestHeaders, r.RequestBody
	}
	a.Status, a.ContentType, a.ResponseBody, a.Duration = r.Status, r.ContentType, r.Answer, r.Duration
	a.Outcome, a.ResultCode, a.Detail, a.Violations = r.Outcome, r.ResultCode, r.Detail, r.Violations
	return a
}

// tell tells the observer and the log of an attempt that ended, once it is stored.
func (o *Outbox) tell(e ending, late time.Duration) {
	a := e.attempt
	if a.ID == 0 {
		return
	}
	if o.observer != nil {
		o.observer.Attempted(string(a.Activity), string(a.Outcome), a.Duration, late)
		if e.over {
			o.observer.Delivered(string(a.Activity), string(e.call.Status), e.call.Attempts)
		}
	}
	level := slog.LevelInfo
	if e.failed {
		level = slog.LevelWarn
	}
	if ctx := context.Background(); o.log.Enabled(ctx, level) {
		o.log.LogAttrs(ctx, level, "attempt", append(logged(e.call),
			slog.Int64("attemptId", a.ID), slog.Int("number", a.Number), slog.String("fault", string(e.fault)), slog.String("outcome", string(a.Outcome)),
			slog.String("resultCode", a.ResultCode), slog.String("detail", a.Detail), slog.Int64("ms", a.Duration.Milliseconds()))...)
	}
}

// logged says in a line of the log which call it is about.
func logged(c store.Call) []slog.Attr {
	return []slog.Attr{
		slog.Int64("callId", c.ID), slog.String("activity", string(c.Call.Activity)), slog.String("sellerId", c.SellerID),
		slog.String("orderLineId", c.LineID), slog.String("subject", c.Subject),
	}
}

// Ask makes a call at once, whatever else waits for its subject, and gives its result. Nobody retries it: whoever asked waits for
// the answer and decides. It is journaled like any other, and nothing follows from it.
func (o *Outbox) Ask(ctx context.Context, about store.About, c lifecycle.Call, debug bool) (store.Call, delivery.Result, error) {
	var prepared delivery.Prepared
	var attempt store.Attempt
	var plan fault.Plan
	now := o.clock.Now()
	call := store.Call{About: about, Call: c, Debug: debug, Status: sandboxapi.CallFailed, CreatedAt: now, StartedAt: now}
	err := o.store.View(ctx, func(tx *store.Tx) (err error) {
		prepared, err = o.prepare(tx, call, true)
		return err
	})
	if err != nil {
		return call, delivery.Result{}, err
	}
	err = o.store.UpdateQuietly(ctx, func(tx *store.Tx) (err error) {
		call.Attempts = 0
		if call.ID, err = tx.AddCall(call); err != nil {
			return err
		}
		if plan, err = o.disturb(tx, call, false); err != nil {
			return err
		}
		call.Attempts = 1
		if attempt, err = o.start(tx, call, prepared, plan.Exchange.Kind); err != nil {
			return err
		}
		return tx.Await(attempt.ID)
	})
	if err != nil {
		return call, delivery.Result{}, err
	}
	result, err := o.send(ctx, prepared, plan.Exchange)
	if err != nil {
		return call, result, err
	}
	call.ResultCode, call.LastError, call.Tries = result.ResultCode, result.Detail, 1
	if result.Succeeded(c.Activity) {
		call.Status, call.LastError = sandboxapi.CallSucceeded, ""
	}
	made := journaled(attempt, result)
	err = o.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		if still, err := tx.Awaited(attempt.ID); err != nil || !still {
			return err
		}
		return errors.Join(tx.FinishAttempt(made), tx.UpdateCall(call), notify(tx, call, result, true, o.clock.Now()))
	})
	if err == nil {
		o.tell(ending{attempt: made, call: call, over: true, failed: call.Status != sandboxapi.CallSucceeded, fault: result.Fault}, -1)
		err = o.extras(ctx, call, attempt, prepared, result, plan.Extra)
	}
	return call, result, err
}

// Restart sends a call again that is no longer retried, with a fresh timetable, or one that is being retried before its time, as the
// seller's console can while the timetable runs.
func (o *Outbox) Restart(ctx context.Context, callID int64) (call store.Call, err error) {
	err = o.store.Update(ctx, func(tx *store.Tx) error {
		if call, err = tx.Call(callID); err != nil {
			return err
		}
		now := o.clock.Now()
		switch call.Status {
		case sandboxapi.CallWaiting:
			call.Status, call.StartedAt, call.DueAt, call.Tries = sandboxapi.CallPending, now, now, 0
		case sandboxapi.CallPending: // its timetable goes on from here
			call.DueAt = now
		default:
			return fmt.Errorf("%w: call %d is %s; only a call that is waiting or being retried can be restarted; one that ended can be redelivered", ErrInvalid, callID, call.Status)
		}
		return tx.UpdateCall(call)
	})
	return call, err
}

// maxRedeliveries is how many calls one request may send again.
const maxRedeliveries = 1000

// Redeliver sends calls again that ended, as new calls with the same content and in the same order. They have a subject of their own,
// so they do not hold up what is under way, and nothing follows from them: the ISV has to answer as it did. Only calls of one seller are
// looked at if sellerID is not empty.
func (o *Outbox) Redeliver(ctx context.Context, sellerID string, first, last int64, lineID, activity string) (again []store.Call, err error) {
	if first == 0 && lineID == "" {
		return nil, fmt.Errorf("%w: say which calls: fromCallId, or orderLineId", ErrInvalid)
	}
	err = o.store.Update(ctx, func(tx *store.Tx) error {
		again = nil
		calls, err := tx.EndedCalls(sellerID, first, max(first, last), lineID, activity, maxRedeliveries+1)
		switch {
		case err != nil:
			return err
		case len(calls) == 0:
			return fmt.Errorf("%w: no call that ended matches; one that is pending is delivered anyway", ErrInvalid)
		case len(calls) > maxRedeliveries:
			return fmt.Errorf("%w: more than %d calls match; choose fewer", ErrInvalid, maxRedeliveries)
		}
		now := o.clock.Now()
		for _, old := range calls {
			c := store.Call{About: old.About, Call: old.Call, Debug: old.Debug, Status: sandboxapi.CallPending, CreatedAt: now, StartedAt: now, DueAt: now}
			c.Subject = "again/" + strings.TrimPrefix(old.Subject, "again/")
			if c.ID, err = tx.AddCall(c); err != nil {
				return err
			}
			again = append(again, c)
		}
		return nil
	})
	return again, err
}
