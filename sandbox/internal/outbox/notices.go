package outbox

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// notify writes what the marketplace tells the seller about an attempt: e-mail, SMS and site message on every failure, the guides say.
// An ISV that is asked again because it is still at work has not failed, and a debug call fails before the eyes of who made it.
func notify(tx *store.Tx, call store.Call, r delivery.Result, wanted bool, now time.Time) error {
	if call.Debug || call.Status == sandboxapi.CallSucceeded || r.Outcome == sandboxapi.AttemptInProgress && call.Status == sandboxapi.CallPending {
		return nil
	}
	f := event.Failure{
		SellerID: call.SellerID, Subject: call.Subject, ProductCode: call.ProductCode, OrderID: call.Call.OrderID, CallID: call.ID,
		Activity: string(call.Call.Activity), Attempt: call.Attempts, Detail: r.Detail, ResultCode: r.ResultCode,
		Next: call.DueAt, FailsOrder: call.Status == sandboxapi.CallFailed && call.Call.OrderID != "", Wanted: wanted,
	}
	err := tx.AddEvent(event.Notification(f, now))
	if call.Status == sandboxapi.CallWaiting {
		err = errors.Join(err, tx.AddEvent(event.CallWaiting(f, now)))
	}
	return err
}

// tellFaults tells of the faults that strike at an attempt.
func tellFaults(tx *store.Tx, call store.Call, number int, rules []fault.Rule, uses []string, now time.Time) error {
	for _, r := range rules {
		if !slices.Contains(uses, r.ID) {
			continue
		}
		exchange := fmt.Sprintf("%s, attempt %d of call %d", call.Call.Activity, number, call.ID)
		if err := tx.AddEvent(event.FaultApplied(call.SellerID, call.Subject, r.ID, string(r.Kind), exchange, now)); err != nil {
			return err
		}
	}
	return nil
}
