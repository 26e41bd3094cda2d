// Package lifecycle holds the rules of an instance's life as the marketplace sees it: which moves are legal, which calls they
// yield, what an answer changes, and how long a call is retried. It is pure: no clock, no store, no network.
package lifecycle

import (
	"fmt"
	"slices"
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
	Package      Package
	Trial        bool
	V1           bool // the ISV is called by the older interface, in which newInstance opens an instance and a renewal unfreezes it

	Status sandboxapi.InstanceStatus // what the ISV has confirmed
	Intent sandboxapi.InstanceStatus // what it will be once the calls under way succeed

	Violation   bool   // frozen for a violation, or because the buyer owes money, rather than for expiry
	Upgrading   string // the order of the upgrade under way
	CreateTime  time.Time
	ExpireTime  time.Time // zero: never
	ReleaseTime time.Time // zero: not frozen for expiry
	FrontEndURL string
	Renewals    []Renewal // those that may not have begun yet, oldest first
}

// Product is what an instance is an instance of.
type Product struct {
	SKUCode    string                    `json:"skuCode"`
	ProductID  string                    `json:"productId"`
	Quantity   int                       `json:"quantity"`
	PeriodType marketplaceapi.PeriodType `json:"periodType,omitempty"` // what its price is for; empty where nothing is charged by period
}

// Package is what an instance of a package holds; the zero value is no package.
type Package struct {
	Amount         string `json:"amount,omitempty"`         // units of usage, a decimal number
	StopWhenUsedUp bool   `json:"stopWhenUsedUp,omitempty"` // it ends when it is used up, rather than going on by usage
	UsedUp         bool   `json:"usedUp,omitempty"`
}

// Renewal is a renewal and what it changed, so that it can be cancelled.
type Renewal struct {
	OrderID string    `json:"orderId"`
	From    time.Time `json:"from"`              // the expiry before it, when the time that it bought begins
	Product Product   `json:"product"`           // before it
	Changed bool      `json:"changed,omitempty"` // it was combined with a change
}

// Order names the order, and its line, that a move carries out.
type Order struct {
	OrderID     string
	OrderLineID string
	Paid        time.Time
}

// Terms are what an order line says about the instance that it creates.
type Terms struct {
	SellerID     string
	ProductCode  string
	BuyerID      string
	ChargingMode marketplaceapi.ChargingMode
	Product      Product
	Package      Package
	Trial        bool
	V1           bool
	OnAcceptance bool      // it is opened when the buyer accepts, rather than when the buyer pays
	Expire       time.Time // zero: never, or not known before the buyer accepts
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
func New(order Order, terms Terms) (Instance, []Call) {
	i := Instance{
		SellerID: terms.SellerID, ProductCode: terms.ProductCode, BuyerID: terms.BuyerID, OrderID: order.OrderID, OrderLineID: order.OrderLineID,
		ChargingMode: terms.ChargingMode, Product: terms.Product, Package: terms.Package, Trial: terms.Trial, V1: terms.V1,
		Status: sandboxapi.InstanceCreating, Intent: sandboxapi.InstanceReady, CreateTime: order.Paid, ExpireTime: terms.Expire,
	}
	if terms.OnAcceptance {
		i.Status, i.Intent = sandboxapi.InstanceAwaitingAcceptance, sandboxapi.InstanceAwaitingAcceptance
		return i, nil
	}
	return i, []Call{i.create()}
}

func (i *Instance) create() Call {
	return Call{Activity: providerapi.ActivityNewInstance, OrderID: i.OrderID, Body: providerapi.NewInstanceCall{
		Activity: providerapi.ActivityNewInstance, OrderID: i.OrderID, OrderLineID: i.OrderLineID,
	}}
}

// Accept opens an instance that waited for the buyer's acceptance. Its time begins now.
func (i *Instance) Accept(now, expire time.Time) ([]Call, error) {
	if i.Status != sandboxapi.InstanceAwaitingAcceptance {
		return nil, &IllegalMoveError{"accept", i.Intent, "only what awaits the buyer's acceptance can be accepted"}
	}
	i.Status, i.Intent, i.CreateTime, i.ExpireTime = sandboxapi.InstanceCreating, sandboxapi.InstanceReady, now, expire
	return []Call{i.create()}, nil
}

// settled refuses a move while the instance is not, or no longer, there.
func (i *Instance) settled(move string) error {
	switch {
	case i.Status == sandboxapi.InstanceAwaitingAcceptance:
		return &IllegalMoveError{move, i.Status, "the buyer has to accept the order first"}
	case i.Status == sandboxapi.InstanceFailed || i.Intent == sandboxapi.InstanceReleased:
		return &IllegalMoveError{move, i.Intent, "it is gone; place a new order"}
	case i.Status == sandboxapi.InstanceCreating || i.Status == sandboxapi.InstanceOpening:
		return &IllegalMoveError{move, i.Status, "wait until the ISV has opened it"}
	}
	return nil
}

// renewable refuses what needs an expiry to set.
func (i *Instance) renewable(move string) error {
	if err := i.settled(move); err != nil {
		return err
	}
	switch {
	case i.ExpireTime.IsZero():
		return &IllegalMoveError{move, i.Intent, "it is charged " + string(i.ChargingMode) + " and never expires"}
	case i.Upgrading != "":
		return &IllegalMoveError{move, i.Intent, "its upgrade by order " + i.Upgrading + " is under way; wait until that is done or has failed"}
	}
	return nil
}

// Renew sets a new expiry. An instance that expired is unfrozen as well. product is what it is from now on: the same, or, where
// the kind of period changes, with another productId and type of period.
func (i *Instance) Renew(order Order, product Product, expire time.Time) ([]Call, error) {
	if err := i.CanRenew(); err != nil {
		return nil, err
	}
	return i.renew(order, providerapi.SceneRenewal, product, expire), nil
}

// CanRenew tells why the instance cannot be renewed now, if so.
func (i *Instance) CanRenew() error {
	if err := i.renewable("renew"); err != nil {
		return err
	}
	if i.Trial {
		return &IllegalMoveError{"renew", i.Intent, "it is a trial; convert it to a formal one"}
	}
	return nil
}

// RenewWithChange renews and changes SKU or quantity in one, after the ISV has said by changeInstanceCheck that it may be.
func (i *Instance) RenewWithChange(order Order, product Product, expire time.Time) ([]Call, error) {
	if err := i.CanRenewWithChange(); err != nil {
		return nil, err
	}
	return i.renew(order, providerapi.SceneRenewalChange, product, expire), nil
}

// CanRenewWithChange tells why the instance cannot be renewed with a change now, if so.
func (i *Instance) CanRenewWithChange() error {
	const move = "renew and change"
	if err := i.renewable(move); err != nil {
		return err
	}
	switch {
	case i.Trial:
		return &IllegalMoveError{move, i.Intent, "it is a trial; convert it to a formal one"}
	case i.ChargingMode != marketplaceapi.ChargingPeriod:
		return &IllegalMoveError{move, i.Intent, "it is charged " + string(i.ChargingMode) + "; only PERIOD can be changed"}
	case i.Intent == sandboxapi.InstanceFrozen && i.Violation:
		return &IllegalMoveError{move, i.Intent, "unfreeze it first"}
	}
	return nil
}

// Convert makes a trial a formal instance.
func (i *Instance) Convert(order Order, product Product, expire time.Time) ([]Call, error) {
	if err := i.CanConvert(); err != nil {
		return nil, err
	}
	calls := i.renew(order, providerapi.SceneTrialToFormal, product, expire)
	i.Trial, i.Renewals = false, nil // there is no way back to a trial
	return calls, nil
}

// CanConvert tells why the instance cannot become a formal one now, if so.
func (i *Instance) CanConvert() error {
	if err := i.settled("convert"); err != nil {
		return err
	}
	if !i.Trial {
		return &IllegalMoveError{"convert", i.Intent, "it is no trial"}
	}
	return i.renewable("convert")
}

// renew sets expiry and product and tells the ISV. An instance that expired is unfrozen.
func (i *Instance) renew(order Order, scene providerapi.Scene, product Product, expire time.Time) []Call {
	body := providerapi.RefreshInstanceCall{
		Activity: providerapi.ActivityRefreshInstance, InstanceID: i.InstanceID, Scene: scene,
		OrderID: order.OrderID, OrderLineID: order.OrderLineID, ExpireTime: expire.UTC().Format(ExpireTimeFormat),
	}
	if product.PeriodType != i.Product.PeriodType {
		body.ProductID = product.ProductID
	}
	thaw := i.Intent == sandboxapi.InstanceFrozen && !i.Violation
	begun := func(r Renewal) bool { return !order.Paid.Before(r.From) }
	i.Renewals = append(slices.DeleteFunc(slices.Clone(i.Renewals), begun), Renewal{
		OrderID: order.OrderID, From: i.ExpireTime, Product: i.Product, Changed: scene == providerapi.SceneRenewalChange,
	})
	i.Product, i.ExpireTime = product, expire
	calls := []Call{{Activity: providerapi.ActivityRefreshInstance, OrderID: order.OrderID, Body: body}}
	if thaw {
		unfreeze := i.setStatus(providerapi.StatusUnfreeze)
		if !i.renewalUnfreezes() {
			calls = append(calls, unfreeze)
		}
	}
	return calls
}

// renewalUnfreezes: V1 has no call that unfreezes an instance charged by period; the renewal does.
func (i *Instance) renewalUnfreezes() bool {
	return i.V1 && i.ChargingMode == marketplaceapi.ChargingPeriod
}

// CancelRenewal takes back the latest renewal, as long as the time that it bought has not begun.
func (i *Instance) CancelRenewal(order Order) ([]Call, error) {
	r, err := i.Cancellable(order.Paid)
	if err != nil {
		return nil, err
	}
	body := providerapi.RefreshInstanceCall{
		Activity: providerapi.ActivityRefreshInstance, InstanceID: i.InstanceID, Scene: providerapi.SceneUnsubscribeRenewalPeriod,
		OrderID: order.OrderID, OrderLineID: order.OrderLineID, ExpireTime: r.From.UTC().Format(ExpireTimeFormat),
	}
	if r.Product.PeriodType != i.Product.PeriodType {
		body.ProductID = r.Product.ProductID
	}
	// An upgrade since then stays; only what the renewal changed is taken back.
	i.Product.ProductID, i.Product.PeriodType, i.ExpireTime = r.Product.ProductID, r.Product.PeriodType, r.From
	i.Renewals = slices.Clone(i.Renewals[:len(i.Renewals)-1])
	return []Call{{Activity: providerapi.ActivityRefreshInstance, OrderID: order.OrderID, Body: body}}, nil
}

// Cancellable gives the renewal that [Instance.CancelRenewal] would take back, or tells why there is none.
func (i *Instance) Cancellable(now time.Time) (Renewal, error) {
	const move = "cancel the renewal of"
	if err := i.renewable(move); err != nil {
		return Renewal{}, err
	}
	if len(i.Renewals) == 0 {
		return Renewal{}, &IllegalMoveError{move, i.Intent, "there is none to cancel"}
	}
	r := i.Renewals[len(i.Renewals)-1]
	switch {
	case !now.Before(r.From):
		return r, &IllegalMoveError{move, i.Intent, "the time that order " + r.OrderID + " bought has begun; release the instance instead"}
	case r.Changed, r.Product.PeriodType != i.Product.PeriodType && r.Product.SKUCode != i.Product.SKUCode:
		return r, &IllegalMoveError{move, i.Intent, "the instance was changed with order " + r.OrderID + " or since, which no call takes back; release it instead"}
	}
	return r, nil
}

// Freeze takes the instance away from the buyer because of a violation, or because the buyer owes money.
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
	switch {
	case i.Intent != sandboxapi.InstanceFrozen:
		return nil, &IllegalMoveError{"unfreeze", i.Intent, "it is not frozen"}
	case !i.Violation && i.Trial:
		return nil, &IllegalMoveError{"unfreeze", i.Intent, "its trial is over; convert it to a formal one"}
	case !i.Violation:
		return nil, &IllegalMoveError{"unfreeze", i.Intent, "it expired; renew it"}
	}
	i.Violation = false
	return []Call{i.setStatus(providerapi.StatusUnfreeze)}, nil
}

// Unsubscribe ends the instance at the buyer's wish.
func (i *Instance) Unsubscribe(order Order) ([]Call, error) {
	if err := i.CanUnsubscribe(); err != nil {
		return nil, err
	}
	return []Call{i.release(order)}, nil
}

// CanUnsubscribe tells why the buyer cannot leave the instance now, if so.
func (i *Instance) CanUnsubscribe() error { return i.settled("release") }

// Upgrade changes SKU or quantity. Only formal instances that are charged by period and in use can be upgraded.
func (i *Instance) Upgrade(order Order) ([]Call, error) {
	if err := i.CanUpgrade(); err != nil {
		return nil, err
	}
	i.Upgrading = order.OrderID
	return []Call{{Activity: providerapi.ActivityUpgradeInstance, OrderID: order.OrderID, Body: providerapi.UpgradeInstanceCall{
		Activity: providerapi.ActivityUpgradeInstance, InstanceID: i.InstanceID, OrderID: order.OrderID, OrderLineID: order.OrderLineID,
	}}}, nil
}

// CanUpgrade tells why the instance cannot be upgraded now, if so.
func (i *Instance) CanUpgrade() error {
	if err := i.settled("upgrade"); err != nil {
		return err
	}
	switch {
	case i.ChargingMode != marketplaceapi.ChargingPeriod:
		return &IllegalMoveError{"upgrade", i.Intent, "it is charged " + string(i.ChargingMode) + "; only PERIOD can be upgraded"}
	case i.Trial:
		return &IllegalMoveError{"upgrade", i.Intent, "it is a trial; convert it to a formal one"}
	case i.Intent != sandboxapi.InstanceReady:
		return &IllegalMoveError{"upgrade", i.Intent, "renew or unfreeze it first"}
	case i.Upgrading != "":
		return &IllegalMoveError{"upgrade", i.Intent, "its upgrade by order " + i.Upgrading + " is under way; wait until that is done or has failed"}
	}
	return nil
}

// UseUp says that nothing is left in a package. One that stops when it is used up is released: nothing is published about it but
// that its ISV implements releaseInstance and no updateInstanceStatus, so no freeze comes before. Any other stays until it
// expires, and usage goes on by demand.
func (i *Instance) UseUp() ([]Call, error) {
	const move = "use up"
	if err := i.settled(move); err != nil {
		return nil, err
	}
	switch {
	case i.ChargingMode != marketplaceapi.ChargingPackage:
		return nil, &IllegalMoveError{move, i.Intent, "it is charged " + string(i.ChargingMode) + "; only ON_DEMAND_PKG holds an amount"}
	case i.Package.UsedUp:
		return nil, &IllegalMoveError{move, i.Intent, "it is used up already"}
	}
	i.Package.UsedUp = true
	if !i.Package.StopWhenUsedUp {
		return nil, nil
	}
	return []Call{i.release(Order{})}, nil
}

// Inspect tells why the buyer cannot look at the instance's details now, if so.
func (i *Instance) Inspect() error {
	const move = "open the details of"
	if i.Status == sandboxapi.InstanceOpening && i.Intent == sandboxapi.InstanceReady {
		return nil // it has an id already
	}
	return i.settled(move)
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
	i.Renewals = nil
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
	i.ReleaseTime, i.Renewals = time.Time{}, nil
	return Call{Activity: providerapi.ActivityReleaseInstance, OrderID: order.OrderID, Body: providerapi.ReleaseInstanceCall{
		Activity: providerapi.ActivityReleaseInstance, InstanceID: i.InstanceID, OrderID: order.OrderID, OrderLineID: order.OrderLineID,
	}}
}

// Answer is how the ISV answered a call, as far as the lifecycle cares.
type Answer struct {
	InProgress  bool   // result code 000004
	InstanceID  string // newInstance
	FrontEndURL string // queryInstance; in V1 newInstance
}

// Effect is what follows from an answer, or from giving up, besides the instance's own change.
type Effect struct {
	Calls          []Call
	OrderCompleted bool // the order line that the call carried out
	OrderFailed    bool
	Unsubscribe    bool // the marketplace unsubscribes on its own and has to release what may be there
}

// Succeeded applies the answer to a call that succeeded.
func (i *Instance) Succeeded(call Call, answer Answer) Effect {
	switch call.Activity {
	case providerapi.ActivityNewInstance:
		i.InstanceID = answer.InstanceID
		if i.V1 { // its answer tells what queryInstance tells later
			i.FrontEndURL = answer.FrontEndURL
			i.Status = sandboxapi.InstanceReady
			break
		}
		i.Status = sandboxapi.InstanceOpening
		return Effect{Calls: []Call{{Activity: providerapi.ActivityQueryInstance, OrderID: call.OrderID, Body: providerapi.QueryInstanceCall{
			Activity: providerapi.ActivityQueryInstance, InstanceID: i.InstanceID,
		}}}}
	case providerapi.ActivityQueryInstance:
		i.FrontEndURL = answer.FrontEndURL
		i.Status = sandboxapi.InstanceReady
	case providerapi.ActivityRefreshInstance:
		if i.renewalUnfreezes() && i.Status == sandboxapi.InstanceFrozen && i.Intent == sandboxapi.InstanceReady {
			i.Status = sandboxapi.InstanceReady
		}
	case providerapi.ActivityUpdateInstanceStatus:
		body, _ := call.Body.(providerapi.UpdateInstanceStatusCall)
		i.Status = sandboxapi.InstanceReady
		if body.Status == providerapi.StatusFreeze {
			i.Status = sandboxapi.InstanceFrozen
		}
	case providerapi.ActivityUpgradeInstance:
		i.upgraded(call)
	case providerapi.ActivityReleaseInstance:
		if i.Status != sandboxapi.InstanceFailed {
			i.Status = sandboxapi.InstanceReleased
		}
	}
	return Effect{OrderCompleted: call.OrderID != ""}
}

// upgraded ends an upgrade, well or not.
func (i *Instance) upgraded(call Call) {
	if i.Upgrading == call.OrderID {
		i.Upgrading = ""
	}
}

// GaveUp applies the end of a call's timetable. For calls that then wait for a restart by hand it changes nothing.
func (i *Instance) GaveUp(call Call) Effect {
	switch call.Activity {
	case providerapi.ActivityNewInstance, providerapi.ActivityQueryInstance:
		i.Status, i.Intent = sandboxapi.InstanceFailed, sandboxapi.InstanceReleased
		return Effect{OrderFailed: true, Unsubscribe: i.InstanceID != ""}
	case providerapi.ActivityUpgradeInstance:
		i.upgraded(call)
		return Effect{OrderFailed: true}
	}
	return Effect{}
}

// ReleaseAfterFailure is the call that clears up an instance which never became ready, on behalf of the unsubscription order.
func (i *Instance) ReleaseAfterFailure(order Order) Call { return i.release(order) }
