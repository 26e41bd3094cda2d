package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

// flight is one Application.NewInstance under way, and everybody who waits for it.
type flight struct {
	done chan struct{} // closed when rep is set
	rep  reply
	// remembered is the id of an earlier 000004; guarded by handler.mu.
	remembered string
}

// saveTimeout bounds how long the instance id is being saved. The Application's own time may be over by then, and an
// instance that exists and is not remembered would be worse than an answer that comes a little later.
const saveTimeout = 3 * time.Second

// newInstance serves repeats of one order line that come together with one Application call. The first of them makes the call
// in its own goroutine, with a context that does not end when its client goes away, because others may be waiting for the
// outcome, and so that a server that shuts down waits for it too.
func (h *handler) newInstance(ctx context.Context, x *exchange, call NewInstance) reply {
	if x.debug {
		return reply{code: providerapi.ResultSuccess, instanceID: call.SuggestedID()}
	}
	line := OrderLineKey{OrderID: call.OrderID, OrderLineID: call.OrderLineID}
	h.mu.Lock()
	f, underWay := h.flights[line]
	if !underWay {
		f = &flight{done: make(chan struct{}), rep: internal("the Application ended its goroutine")}
		h.flights[line] = f
	}
	h.mu.Unlock()
	if underWay {
		return h.wait(ctx, f)
	}
	return h.lead(context.WithoutCancel(ctx), f, line, call)
}

func (h *handler) lead(ctx context.Context, f *flight, line OrderLineKey, call NewInstance) (rep reply) {
	defer func() {
		if p := recover(); p != nil {
			rep = panicked(p)
			f.rep = rep
			f.rep.stack = "" // once is enough
		}
		h.mu.Lock()
		delete(h.flights, line)
		h.mu.Unlock()
		close(f.done)
	}()
	f.rep = h.create(ctx, f, line, call)
	return f.rep
}

// wait returns the outcome of a call that is under way, or, when the time is over, what is known by then: 000004 if an
// earlier answer has named the instance id, else 000005, because 000004 is not complete without one.
func (h *handler) wait(ctx context.Context, f *flight) reply {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	select {
	case <-f.done:
		return f.rep
	case <-ctx.Done():
	}
	h.mu.Lock()
	id := f.remembered
	h.mu.Unlock()
	if id != "" {
		return reply{code: providerapi.ResultInProgress, instanceID: id, reason: "an earlier call is still under way"}
	}
	return internal("an earlier call of this order line is still under way: %v", context.Cause(ctx))
}

func (h *handler) create(ctx context.Context, f *flight, line OrderLineKey, call NewInstance) (rep reply) {
	appCtx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	known, ok, err := h.recall(appCtx, f, line)
	if err != nil {
		return internal("instance store: %v", err)
	}
	if locker, shared := h.cfg.Instances.(Locker); shared && !known.Ready {
		var unlock func(context.Context) error
		known, ok, unlock, err = h.lock(appCtx, locker, f, line, known, ok)
		if unlock != nil {
			defer func() {
				unlockCtx, cancel := context.WithTimeout(ctx, saveTimeout)
				defer cancel()
				if err := unlock(unlockCtx); err != nil {
					rep.reason = note(rep.reason, "instance store: "+err.Error())
				}
			}()
		}
		switch {
		case errors.Is(err, errBusy) && ok && !known.Ready:
			return reply{code: providerapi.ResultInProgress, instanceID: known.InstanceID, reason: err.Error()}
		case err != nil:
			return internal("instance store: %v", err)
		}
	}
	if known.Ready {
		return reply{code: providerapi.ResultSuccess, instanceID: known.InstanceID}
	}
	call.remembered = known.InstanceID

	inst, err := h.app.NewInstance(appCtx, call)
	rep = outcome(providerapi.ActivityNewInstance, err)
	if rep.code != providerapi.ResultSuccess && rep.code != providerapi.ResultInProgress {
		return rep // not remembered: the next repeat is a new attempt
	}
	id := inst.ID
	switch {
	case ok && id != "" && id != known.InstanceID:
		rep.reason = note(rep.reason, "the Application named another instance id than the one answered before, which stands")
		fallthrough
	case ok:
		id = known.InstanceID
	case id == "":
		id = call.SuggestedID()
	}
	if problem := checkInstanceID(id); problem != "" {
		return internal("the Application's answer breaks the contract: instanceId %s", problem)
	}

	saveCtx, cancelSave := context.WithTimeout(ctx, saveTimeout)
	defer cancelSave()
	stands, err := h.cfg.Instances.Save(saveCtx, line, Remembered{InstanceID: id, Ready: rep.code == providerapi.ResultSuccess})
	if err != nil {
		return internal("instance store: the instance %s was made but cannot be remembered: %v", clip(id, 64), err)
	}
	if stands.InstanceID != id {
		rep.reason = note(rep.reason, fmt.Sprintf("another replica was first, its instance id stands instead of %s", clip(id, 64)))
	}
	rep.instanceID = stands.InstanceID
	return rep
}

// recall asks the store, and lets those who wait know the id.
func (h *handler) recall(ctx context.Context, f *flight, line OrderLineKey) (known Remembered, ok bool, err error) {
	known, ok, err = h.cfg.Instances.Load(ctx, line)
	if err != nil || !ok {
		return Remembered{}, false, err
	}
	h.mu.Lock()
	f.remembered = known.InstanceID
	h.mu.Unlock()
	return known, true, nil
}

var errBusy = errors.New("another replica is still at work on this order line")

// lock waits until this replica has the order line (unlock is set then), or until another one has made it ready. What is
// remembered is read anew, because the replica that had it before may have saved something; known and ok are what it was before.
func (h *handler) lock(
	ctx context.Context, locker Locker, f *flight, line OrderLineKey, known Remembered, ok bool,
) (_ Remembered, _ bool, unlock func(context.Context) error, err error) {
	const first, longest = 10 * time.Millisecond, 500 * time.Millisecond
	for pause := first; ctx.Err() == nil; pause = min(2*pause, longest) {
		unlock, locked, err := locker.TryLock(ctx, line, h.cfg.Timeout+2*saveTimeout)
		if err != nil && ctx.Err() != nil {
			break
		}
		if err != nil {
			return known, ok, nil, err
		}
		if !locked {
			unlock = nil
		}
		if r, found, err := h.recall(ctx, f, line); err == nil {
			known, ok = r, found
		} else if locked || ctx.Err() == nil {
			return known, ok, unlock, err
		}
		if known.Ready || locked {
			return known, ok, unlock, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return known, ok, nil, errBusy
}

func note(reason, more string) string {
	if reason == "" {
		return more
	}
	return reason + "; " + more
}
