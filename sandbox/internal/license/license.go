// Package license holds the rules of a licence's life as the marketplace sees it: which moves are legal, which calls they yield,
// and what activation and heartbeat are answered. It is pure: no clock, no store, no network.
//
// Unlike an instance, a licence is the marketplace's own: a move holds at once, and its call tells the ISV.
package license

import (
	"fmt"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// Renewal is a renewal that can still be cancelled.
type Renewal struct {
	OrderID   string    `json:"orderId"`
	Before    time.Time `json:"before"`    // the expiry before it
	ProductID string    `json:"productId"` // the billing item before it
}

// License is one licence code.
type License struct {
	Code        string
	OrderID     string
	OrderLineID string // the order line that bought it
	SellerID    string
	ProductCode string
	BuyerID     string
	SKUCode     string
	ProductID   string
	Quantity    int
	Status      sandboxapi.LicenseState

	Violation  bool // frozen for a violation; the status stays what it is otherwise
	CreateTime time.Time
	// Period is how long it holds from its activation on, such as 1y; empty: for ever.
	Period       string
	ActivateTime time.Time // zero before
	ExpireTime   time.Time // zero before activation, and for ever where nothing expires
	ReleaseTime  time.Time // while it is expired: when it will be released
	Renewals     []Renewal // oldest first
}

// IllegalMoveError says that a move is not possible in the licence's present status.
type IllegalMoveError struct {
	Move   string
	Status sandboxapi.LicenseState
	Hint   string
}

func (e *IllegalMoveError) Error() string {
	return fmt.Sprintf("cannot %s a licence that is %s: %s", e.Move, e.Status, e.Hint)
}

// New gives the licence of a paid order line. It yields no call: the buyer is given the code, and the ISV's software activates it.
// handOver false keeps it back until the buyer has accepted, see [License.HandOver].
func New(l License, now time.Time, handOver bool) License {
	l.CreateTime, l.Status = now, sandboxapi.LicenseOrdered
	if handOver {
		l.Status = sandboxapi.LicenseIssued
	}
	return l
}

func (l *License) illegal(move, hint string) error { return &IllegalMoveError{move, l.Status, hint} }

const gone = "it is gone; place a new order"

// HandOver gives the code to the buyer.
func (l *License) HandOver() error {
	switch l.Status {
	case sandboxapi.LicenseOrdered:
		l.Status = sandboxapi.LicenseIssued
		return nil
	case sandboxapi.LicenseReleased:
		return l.illegal("hand over", gone)
	}
	return l.illegal("hand over", "the buyer has it already")
}

// Activate starts the life of the licence at effect; expire is the end of its period from then on, zero for ever.
func (l *License) Activate(effect, expire time.Time) error {
	switch {
	case l.Violation:
		return l.illegal("activate", "it is frozen for a violation")
	case l.Status == sandboxapi.LicenseIssued:
		l.Status, l.ActivateTime, l.ExpireTime = sandboxapi.LicenseAlive, effect, expire
		return nil
	case l.Status == sandboxapi.LicenseOrdered:
		return l.illegal("activate", "the buyer has not received it yet")
	case l.Status == sandboxapi.LicenseReleased:
		return l.illegal("activate", gone)
	}
	return l.illegal("activate", "it was activated before, and that can be done once")
}

// renewable refuses what changes the expiry while there is none.
func (l *License) renewable(move string) error {
	switch {
	case l.Status == sandboxapi.LicenseReleased:
		return l.illegal(move, gone)
	case l.Period == "":
		return l.illegal(move, "it never expires")
	case l.Status != sandboxapi.LicenseAlive && l.Status != sandboxapi.LicenseExpired:
		return l.illegal(move, "its period begins when it is activated")
	}
	return nil
}

// Renew sets a new expiry. A licence that expired is unfrozen as well. productID is the billing item of the renewal; the call tells
// it where it changes.
func (l *License) Renew(order lifecycle.Order, expire time.Time, productID string) ([]lifecycle.Call, error) {
	if err := l.renewable("renew"); err != nil {
		return nil, err
	}
	l.Renewals = append(l.Renewals, Renewal{OrderID: order.OrderID, Before: l.ExpireTime, ProductID: l.ProductID})
	calls := []lifecycle.Call{l.refresh(order, providerapi.SceneRenewal, expire, productID)}
	if l.Status == sandboxapi.LicenseExpired {
		l.Status, l.ReleaseTime = sandboxapi.LicenseAlive, time.Time{}
		if !l.Violation {
			calls = append(calls, l.setStatus(providerapi.StatusUnfreeze))
		}
	}
	return calls, nil
}

// CancelRenewal takes the last renewal back, if its time has not begun; the expiry is again what it was before. The call names the
// order that cancels.
func (l *License) CancelRenewal(order lifecycle.Order, now time.Time) ([]lifecycle.Call, error) {
	const move = "cancel a renewal of"
	if err := l.renewable(move); err != nil {
		return nil, err
	}
	n := len(l.Renewals)
	if n == 0 {
		return nil, l.illegal(move, "it was not renewed")
	}
	last := l.Renewals[n-1]
	if !now.Before(last.Before) {
		return nil, l.illegal(move, "the renewed time has begun; unsubscribe instead")
	}
	l.Renewals = l.Renewals[:n-1]
	return []lifecycle.Call{l.refresh(order, providerapi.SceneUnsubscribeRenewalPeriod, last.Before, last.ProductID)}, nil
}

func (l *License) refresh(order lifecycle.Order, scene providerapi.Scene, expire time.Time, productID string) lifecycle.Call {
	body := providerapi.RefreshLicenseCodeCall{
		Activity: providerapi.ActivityRefreshLicenseCode, Scene: scene, OrderID: order.OrderID, OrderLineID: order.OrderLineID,
		License: l.Code, ExpireTime: expire.UTC().Format(lifecycle.ExpireTimeFormat),
	}
	if productID != l.ProductID {
		body.ProductID = productID
	}
	l.ExpireTime, l.ProductID = expire, productID
	return lifecycle.Call{Activity: providerapi.ActivityRefreshLicenseCode, OrderID: order.OrderID, Body: body}
}

// Freeze takes the licence away from the buyer because of a violation.
func (l *License) Freeze() ([]lifecycle.Call, error) {
	switch {
	case l.Status == sandboxapi.LicenseReleased:
		return nil, l.illegal("freeze", gone)
	case l.Status == sandboxapi.LicenseOrdered:
		return nil, l.illegal("freeze", "the buyer has not received it yet")
	case l.Violation || l.Status == sandboxapi.LicenseExpired:
		return nil, l.illegal("freeze", "it is frozen already")
	}
	l.Violation = true
	return []lifecycle.Call{l.setStatus(providerapi.StatusFreeze)}, nil
}

// Unfreeze gives the licence back after a violation. One that expired meanwhile stays frozen, and needs a renewal.
func (l *License) Unfreeze() ([]lifecycle.Call, error) {
	switch {
	case l.Status == sandboxapi.LicenseReleased:
		return nil, l.illegal("unfreeze", gone)
	case !l.Violation && l.Status == sandboxapi.LicenseExpired:
		return nil, l.illegal("unfreeze", "renew it")
	case !l.Violation:
		return nil, l.illegal("unfreeze", "it is not frozen")
	}
	l.Violation = false
	if l.Status == sandboxapi.LicenseExpired {
		return nil, nil
	}
	return []lifecycle.Call{l.setStatus(providerapi.StatusUnfreeze)}, nil
}

func (l *License) setStatus(status providerapi.InstanceStatus) lifecycle.Call {
	return lifecycle.Call{Activity: providerapi.ActivityUpdateLicenseCodeStatus, Body: providerapi.UpdateLicenseCodeStatusCall{
		Activity: providerapi.ActivityUpdateLicenseCodeStatus, License: l.Code, Status: status,
	}}
}

// Unsubscribe ends the licence at the buyer's wish.
func (l *License) Unsubscribe(order lifecycle.Order) ([]lifecycle.Call, error) {
	if l.Status == sandboxapi.LicenseReleased {
		return nil, l.illegal("unsubscribe", gone)
	}
	return []lifecycle.Call{l.release(order)}, nil
}

func (l *License) release(order lifecycle.Order) lifecycle.Call {
	l.Status, l.ReleaseTime = sandboxapi.LicenseReleased, time.Time{}
	return lifecycle.Call{Activity: providerapi.ActivityReleaseLicenseCode, OrderID: order.OrderID, Body: providerapi.ReleaseLicenseCodeCall{
		Activity: providerapi.ActivityReleaseLicenseCode, License: l.Code, OrderID: order.OrderID, OrderLineID: order.OrderLineID,
	}}
}

// Timer is when [License.Tick] has something to do; zero is never.
func (l *License) Timer() time.Time {
	switch l.Status {
	case sandboxapi.LicenseAlive:
		return l.ExpireTime
	case sandboxapi.LicenseExpired:
		return l.ReleaseTime
	}
	return time.Time{}
}

// Tick does what the passing of time demands: freeze what expired, release what was not renewed.
func (l *License) Tick(now time.Time) []lifecycle.Call {
	timer := l.Timer()
	if timer.IsZero() || now.Before(timer) {
		return nil
	}
	if l.Status == sandboxapi.LicenseExpired {
		return []lifecycle.Call{l.release(lifecycle.Order{})}
	}
	l.Status, l.ReleaseTime = sandboxapi.LicenseExpired, l.ExpireTime.Add(lifecycle.Retention)
	if l.Violation {
		return nil // the ISV has frozen it already
	}
	return []lifecycle.Call{l.setStatus(providerapi.StatusFreeze)}
}

// Codes of the open API's licence operations.
const (
	CodeSuccess          = "92020000"
	CodeInternal         = "92020001"
	CodeParameter        = "92020002"
	CodeState            = "92020003"
	CodeNotReceived      = "92020004"
	CodeNotFound         = "92020005"
	CodeNotActivated     = "92020011"
	CodeOneInvalid       = "92020020"
	CodeRequestParameter = "95000001"
	CodeMethod           = "95000002"
	CodeContentType      = "95000003"
	CodeBody             = "95000004"
)

// ActivateCode is the code with which an activation is refused; empty if it is not.
func (l *License) ActivateCode() string {
	switch {
	case l.Status == sandboxapi.LicenseOrdered:
		return CodeNotReceived
	case l.Status == sandboxapi.LicenseIssued && !l.Violation:
		return ""
	}
	return CodeState
}

// Heartbeat is the status that a heartbeat is answered, or the code with which it is refused. There is none for a licence that is
// frozen for a violation; it counts as EXPIRED, because it may not be used (ours).
func (l *License) Heartbeat() (marketplaceapi.LicenseStatus, string) {
	switch {
	case l.Status == sandboxapi.LicenseIssued:
		return "", CodeNotActivated
	case l.Status == sandboxapi.LicenseOrdered:
		return "", CodeNotReceived
	case l.Status == sandboxapi.LicenseReleased:
		return marketplaceapi.LicenseReleased, ""
	case l.Status == sandboxapi.LicenseExpired || l.Violation:
		return marketplaceapi.LicenseExpired, ""
	}
	return marketplaceapi.LicenseAlive, ""
}
