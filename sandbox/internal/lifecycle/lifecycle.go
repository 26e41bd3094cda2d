// Package lifecycle holds the rules of an instance's life as the marketplace sees it: which moves are legal, which calls they
// yield, what an answer changes, and how long a call is retried. It is pure: no clock, no store, no network.
package lifecycle

import (
	"fmt"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

// Retention is how long an expired instance stays frozen before it is released. The guides say "up to 15 days, depending on
// the customer"; the sandbox takes the longest.
const Retention = 15 * 24 * time.Hour

// ExpireTimeFormat is how expiry dates travel, in UTC.
const ExpireTimeFormat = "20060102150405"

// Instance is one instance, from the payment of the order line that creates it.
type Instance struct {
	SellerID     string
	ProductCode  string
	BuyerID      string
	OrderID      string
	OrderLineID  string // its name inside the sandbox: the line that created it
	InstanceID   string // the ISV's name for it, once known
	ChargingMode marketplaceapi.ChargingMode
	Product      Product

	Status sandboxapi.InstanceStatus // what the ISV has confirmed
	Intent sandboxapi.InstanceStatus // what it will be once the calls under way succeed

	Violation   bool // frozen for a violation rather than for expiry
	CreateTime  time.Time
	ExpireTime  time.Time // zero: never
	ReleaseTime time.Time // zero: not frozen for expiry
	FrontEndURL string
}

// Product is what an instance is an instance of.
type Product struct {
	SKUCode   string
	ProductID string
	Quantity  int
}

// Order names the order, and its line, that a move carries out.
type Order struct {
	OrderID     string
	OrderLineID string
	Type        marketplaceapi.OrderType
}

// Call is a lifecycle call as decided. Body is one of the call types of providerapi, without what changes per attempt.
type Call struct {
	Activity providerapi.Activity
	OrderID  string // the order it carries out; empty for calls that time or the operator caused
	Body     any
}

// IllegalMoveError says that a move is not possible in the instance's present status.
type IllegalMoveError struct {
	Move   string
	Status sandboxapi.InstanceStatus
	Hint   string
}

func (e *IllegalMoveError) Error() string {
	return fmt.Sprintf("cannot %s an instance that is %s: %s", e.Move, e.Status, e.Hint)
}

// New gives the instance of a paid order line, and the call that creates it at the ISV.
func New(order Order, mode marketplaceapi.ChargingMode, product Product, now, expire time.Time) (Instance, []Call) {
	i := Instance{
		OrderID: order.OrderID, OrderLineID: order.OrderLineID, ChargingMode: mode, Product: product,
		Status: sandboxapi.InstanceCreating, Intent: sandboxapi.InstanceReady, CreateTime: now, ExpireTime: expire,
	}
	return i, []Call{{Activity: providerapi.ActivityNewInstance, OrderID: order.OrderID, Body: providerapi.NewInstanceCall{
		Activity: providerapi.ActivityNewInstance, OrderID: order.OrderID, OrderLineID: order.OrderLineID,
	}}}
}

// settled refuses a move while the instance is not, or no longer, there.
func (i *Instance) settled(move string) error {
	switch {
	case i.Status == sandboxapi.InstanceCreating || i.Status == sandboxapi.InstanceOpening:
		return &IllegalMoveError{move, i.Status, "wait until the ISV has opened it"}
	case i.Status == sandboxapi.InstanceFailed || i.Intent == sandboxapi.InstanceReleased:
		return &IllegalMoveError{move, i.Intent, "it is gone; place a new order"}
	}
	return nil
}

// Renew sets a new expiry. An instance that expired is unfrozen as well.
func (i *Instance) Renew(order Order, expire time.Time) ([]Call, error) {
	if err := i.settled("renew"); err != nil {
		return nil, err
	}
	if i.ExpireTime.IsZero() {
		return nil, &IllegalMoveError{"renew", i.Intent, "it is charged " + string(i.ChargingMode) + " and never expires"}
	}
	calls := []Call{{Activity: providerapi.ActivityRefreshInstance, OrderID: order.OrderID, Body: providerapi.RefreshInstanceCall{
		Activity: providerapi.ActivityRefreshInstance, InstanceID: i.InstanceID, Scene: providerapi.SceneRenewal,
		OrderID: order.OrderID, OrderLineID: order.OrderLineID, ExpireTime: expire.UTC().Format(ExpireTimeFormat),
	}}}
	i.ExpireTime = expire
	if i.Intent == sandboxapi.InstanceFrozen && !i.Violation {
		calls = append(calls, i.setStatus(providerapi.StatusUnfreeze))
	}
	return calls, nil
}

// Freeze takes the instance away from the buyer because of a violation.
func (i *Instance) Freeze() ([]Call, error) {
	if err := i.settled("freeze"); err != nil {
		return nil, err
	}
	if i.Intent == sandboxapi.InstanceFrozen {
		return nil, &IllegalMoveError{"freeze", i.Intent, "it is frozen already"}
	}
	i.Violation = true
	return []Call{i.setStatus(providerapi.StatusFreeze)}, nil
}

// Unfreeze gives the instance back after a violation. One that expired needs a renewal instead.
func (i *Instance) Unfreeze() ([]Call, error) {
	if err := i.settled("unfreeze"); err != nil {
		return nil, err
	}
	if i.Intent != sandboxapi.InstanceFrozen {
		return nil, &IllegalMoveError{"unfreeze", i.Intent, "it is not frozen"}
	}
	if !i.Violation {
		return nil, &IllegalMoveError{"unfreeze", i.Intent, "it expired; renew it"}
	}
	i.Violation = false
	return []Call{i.setStatus(providerapi.StatusUnfreeze)}, nil
}

// Unsubscribe ends the instance at the buyer's wish.
func (i *Instance) Unsubscribe(order Order) ([]Call, error) {
	if err := i.settled("release"); err != nil {
		return nil, err
	}
	return []Call{i.release(order)}, nil
}

// Upgrade changes product or quantity. Only instances that are charged by period and in use can be upgraded.
func (i *Instance) Upgrade(order Order) ([]Call, error) {
	if err := i.settled("upgrade"); err != nil {
		return nil, err
	}
	if i.ChargingMode != marketplaceapi.ChargingPeriod {
		return nil, &IllegalMoveError{"upgrade", i.Intent, "it is charged " + string(i.ChargingMode) + "; only PERIOD can be upgraded"}
	}
	if i.Intent != sandboxapi.InstanceReady {
		return nil, &IllegalMoveError{"upgrade", i.Intent, "renew or unfreeze it first"}
	}
	return []Call{{Activity: providerapi.ActivityUpgradeInstance, OrderID: order.OrderID, Body: providerapi.UpgradeInstanceCall{
		Activity: providerapi.ActivityUpgradeInstance, InstanceID: i.InstanceID, OrderID: order.OrderID, OrderLineID: order.OrderLineID,
	}}}, nil
}

// Timer is when [Instance.Tick] has something to do; zero is never.
func (i *Instance) Timer() time.Time {
	switch i.Intent {
	case sandboxapi.InstanceReady:
		if i.Status == sandboxapi.InstanceCreating || i.Status == sandboxapi.InstanceOpening {
			return time.Time{}
		}
		return i.ExpireTime
	case sandboxapi.InstanceFrozen:
		if i.Violation {
			return time.Time{}
		}
		return i.ReleaseTime
	}
	return time.Time{}
}

// Tick does what the passing of time demands: freeze what expired, release what stayed expired.
func (i *Instance) Tick(now time.Time) []Call {
	timer := i.Timer()
	if timer.IsZero() || now.Before(timer) {
		return nil
	}
	if i.Intent == sandboxapi.InstanceReady {
		i.ReleaseTime = i.ExpireTime.Add(Retention)
		return []Call{i.setStatus(providerapi.StatusFreeze)}
	}
	return []Call{i.release(Order{})}
}

func (i *Instance) setStatus(status providerapi.InstanceStatus) Call {
	i.Intent = sandboxapi.InstanceFrozen
	if status == providerapi.StatusUnfreeze {
		i.Intent = sandboxapi.InstanceReady
		i.ReleaseTime = time.Time{}
	}
	return Call{Activity: providerapi.ActivityUpdateInstanceStatus, Body: providerapi.UpdateInstanceStatusCall{
		Activity: providerapi.ActivityUpdateInstanceStatus, InstanceID: i.InstanceID, Status: status,
	}}
}

func (i *Instance) release(order Order) Call {
	i.Intent = sandboxapi.InstanceReleased
	i.ReleaseTime = time.Time{}
	return Call{Activity: providerapi.ActivityReleaseInstance, OrderID: order.OrderID, Body: providerapi.ReleaseInstanceCall{
		Activity: providerapi.ActivityReleaseInstance, InstanceID: i.InstanceID, OrderID: order.OrderID, OrderLineID: order.OrderLineID,
	}}
}

// Answer is how the ISV answered a call, as far as the lifecycle cares.
type Answer struct {
	InProgress  bool   // result code 000004
	InstanceID  string // newInstance
	FrontEndURL string // queryInstance
}

// Effect is what follows from an answer, or from giving up, besides the instance's own change.
type Effect struct {
	Calls          []Call
	OrderCompleted bool // the order that the call carried out
	OrderFailed    bool
	Unsubscribe    bool // the marketplace unsubscribes on its own and has to release what may be there
}

// Succeeded applies the answer to a call that succeeded.
func (i *Instance) Succeeded(call Call, answer Answer) Effect {
	switch call.Activity {
	case providerapi.ActivityNewInstance:
		i.InstanceID = answer.InstanceID
		i.Status = sandboxapi.InstanceOpening
		return Effect{Calls: []Call{{Activity: providerapi.ActivityQueryInstance, OrderID: call.OrderID, Body: providerapi.QueryInstanceCall{
			Activity: providerapi.ActivityQueryInstance, InstanceID: i.InstanceID,
		}}}}
	case providerapi.ActivityQueryInstance:
		i.FrontEndURL = answer.FrontEndURL
		i.Status = sandboxapi.InstanceReady
	case providerapi.ActivityUpdateInstanceStatus:
		body, _ := call.Body.(providerapi.UpdateInstanceStatusCall)
		i.Status = sandboxapi.InstanceReady
		if body.Status == providerapi.StatusFreeze {
			i.Status = sandboxapi.InstanceFrozen
		}
	case providerapi.ActivityReleaseInstance:
		if i.Status != sandboxapi.InstanceFailed {
			i.Status = sandboxapi.InstanceReleased
		}
	}
	return Effect{OrderCompleted: call.OrderID != ""}
}

// GaveUp applies the end of a call's timetable. For calls that then wait for a restart by hand it changes nothing.
func (i *Instance) GaveUp(call Call) Effect {
	switch call.Activity {
	case providerapi.ActivityNewInstance, providerapi.ActivityQueryInstance:
		i.Status, i.Intent = sandboxapi.InstanceFailed, sandboxapi.InstanceReleased
		return Effect{OrderFailed: true, Unsubscribe: i.InstanceID != ""}
	case providerapi.ActivityUpgradeInstance:
		return Effect{OrderFailed: true}
	}
	return Effect{}
}

// ReleaseAfterFailure is the call that clears up an instance which never became ready, on behalf of the unsubscription order.
func (i *Instance) ReleaseAfterFailure(order Order) Call { return i.release(order) }
