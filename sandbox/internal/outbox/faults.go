package outbox

import (
	"context"
	"errors"
	"slices"

	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/queue"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

func putOff(p fault.Plan) bool { return p.PutOff > 0 || p.Reorder }

// disturb asks the rules about the next attempt at a call. Where they put it off, that is done when it returns. Debug calls are left
// alone: they show whether the ISV is as it should be, and a product hangs on them. A call that somebody waits for is not put off.
func (o *Outbox) disturb(tx *store.Tx, call store.Call, mayWait bool) (fault.Plan, error) {
	rules, err := tx.FaultRules()
	if err != nil || call.Debug || !slices.ContainsFunc(rules, func(r fault.Rule) bool { return !r.Kind.OpenAPI() }) {
		return fault.Plan{}, err
	}
	number := call.Attempts + 1
	used, err := tx.FaultUses(call.ID, number)
	if err != nil {
		return fault.Plan{}, err
	}
	next, passes, err := o.passes(tx, call, rules, mayWait)
	if err != nil {
		return fault.Plan{}, err
	}
	able := slices.DeleteFunc(slices.Clone(rules), func(r fault.Rule) bool {
		waits := r.Kind == fault.Delay && !mayWait || r.Kind == fault.Reorder && !passes
		return waits && !used[r.ID].Now
	})
	plan := fault.PlanAttempt(able, used, fault.Attempt{
		CallID: call.ID, Number: number, Activity: string(call.Call.Activity), ProductCode: call.ProductCode, Subject: call.Subject,
	})
	err = errors.Join(tx.UseFaults(plan.Uses, call.ID, number), tellFaults(tx, call, number, rules, plan.Uses, o.clock.Now()))
	switch {
	case err != nil:
	case plan.Reorder:
		err = tx.SwapCalls(call.ID, next.ID)
	case plan.PutOff > 0:
		call.DueAt = o.clock.Now().Add(plan.PutOff)
		err = tx.UpdateCall(call)
	}
	return plan, err
}

// passes finds the next call of the same subject, and whether it may pass this one. One that was passed itself does not pass back.
func (o *Outbox) passes(tx *store.Tx, call store.Call, rules []fault.Rule, mayWait bool) (next store.Call, ok bool, err error) {
	reorders := func(r fault.Rule) bool { return r.Kind == fault.Reorder }
	if !mayWait || !slices.ContainsFunc(rules, reorders) {
		return next, false, nil
	}
	next, err = tx.CallAfter(call)
	if errors.Is(err, store.ErrNotFound) {
		return next, false, nil
	}
	if err != nil || !fault.MayPass(string(call.Call.Activity), string(next.Call.Activity)) {
		return next, false, err
	}
	used, err := tx.FaultUses(next.ID, next.Attempts+1)
	for _, r := range rules {
		if reorders(r) && used[r.ID].Now {
			return next, false, err
		}
	}
	return next, true, err
}

// extras makes the exchanges besides an attempt. They are journaled under its number, and nothing follows from them.
func (o *Outbox) extras(ctx context.Context, call store.Call, attempt store.Attempt, p delivery.Prepared, result delivery.Result, extras []fault.Exchange) error {
	for _, x := range extras {
		a := attempt
		a.Fault, a.StartedAt = string(x.Kind), o.clock.Now()
		err := o.store.UpdateQuietly(ctx, func(tx *store.Tx) (err error) {
			if a.ID, err = tx.StartAttempt(a); err != nil {
				return err
			}
			return tx.Await(a.ID)
		})
		if err != nil {
			return err
		}
		returned := queue.Outside(ctx)
		r, err := o.sender.Extra(ctx, p, result, x)
		returned()
		if err != nil {
			return err
		}
		a = journaled(a, r)
		err = o.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
			if still, err := tx.Awaited(a.ID); err != nil || !still {
				return err
			}
			return tx.FinishAttempt(a)
		})
		if err != nil {
			return err
		}
		o.tell(ending{attempt: a, call: call, failed: !r.Succeeded(call.Call.Activity), fault: r.Fault}, -1)
	}
	return nil
}
