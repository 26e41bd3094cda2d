// Package event says what happened in the sandbox in words that a seller reads and in details that a program reads, and how events
// travel in a stream. It is pure.
//
// Where the marketplace tells the seller something by e-mail, SMS or site message, there is an event of kind notification; the
// sandbox sends no mail.
package event

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

// Event is something that happened.
type Event struct {
	ID       int64 // given by the store; 0 for attempts, which are in the journal
	Kind     sandboxapi.EventKind
	SellerID string // whom it concerns; empty: all
	Subject  string // an order line, or kind/id
	Time     time.Time
	Text     string // for people
	Details  map[string]string
}

// beijing is where the marketplace's people, and so its messages, have their time.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// Clock writes a time as messages do.
func Clock(t time.Time) string { return t.In(beijing).Format("2006-01-02 15:04:05") + " Beijing time" }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// details keeps what is not empty.
func details(pairs ...string) map[string]string {
	d := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			d[pairs[i]] = pairs[i+1]
		}
	}
	return d
}

// Order is what events tell of an order.
type Order struct {
	SellerID string
	OrderID  string
	Type     string
	Line     string // the order line of the instance that it is about
}

// OrderPlaced tells that a buyer ordered and paid, or that the marketplace unsubscribed on its own.
func OrderPlaced(o Order, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventOrderPlaced, SellerID: o.SellerID, Subject: o.Line, Time: at,
		Text: fmt.Sprintf("Order %s, %s, was placed.", o.OrderID, o.Type), Details: details("orderId", o.OrderID, "orderType", o.Type),
	}
}

// OrderCompleted tells that the ISV carried an order out.
func OrderCompleted(o Order, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventOrderCompleted, SellerID: o.SellerID, Subject: o.Line, Time: at,
		Text: fmt.Sprintf("Order %s, %s, is completed.", o.OrderID, o.Type), Details: details("orderId", o.OrderID, "orderType", o.Type),
	}
}

// OrderFailed tells that an order was not carried out in time.
func OrderFailed(o Order, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventOrderFailed, SellerID: o.SellerID, Subject: o.Line, Time: at,
		Text:    fmt.Sprintf("Order %s, %s, has failed; the buyer gets the money back.", o.OrderID, o.Type),
		Details: details("orderId", o.OrderID, "orderType", o.Type),
	}
}

// InstanceChanged tells that an instance has another status.
func InstanceChanged(sellerID, line, instanceID string, from, to sandboxapi.InstanceStatus, at time.Time) Event {
	text := fmt.Sprintf("The instance of order line %s is %s", line, to)
	if from != "" {
		text += fmt.Sprintf(", it was %s", from)
	}
	return Event{
		Kind: sandboxapi.EventInstanceChanged, SellerID: sellerID, Subject: line, Time: at, Text: text + ".",
		Details: details("instanceId", instanceID, "status", string(to), "before", string(from)),
	}
}

// Failure is an attempt that failed.
type Failure struct {
	SellerID    string
	Subject     string
	ProductCode string
	OrderID     string // the order that the call carries out, if any
	CallID      int64
	Activity    string
	Attempt     int // its number among the call's attempts
	Detail      string
	ResultCode  string
	Next        time.Time // zero: it is not tried again by itself
	FailsOrder  bool      // and its order fails with it
	Wanted      bool      // somebody asked for it and waits for the answer, so nobody tries it again for them
}

func (f Failure) details() map[string]string {
	return details("callId", strconv.FormatInt(f.CallID, 10), "activity", f.Activity, "attempt", strconv.Itoa(f.Attempt), "orderId", f.OrderID,
		"productCode", f.ProductCode, "resultCode", f.ResultCode, "detail", f.Detail, "nextTime", stamp(f.Next))
}

// about names what a call was about.
func (f Failure) about() string {
	switch {
	case f.OrderID != "":
		return "order " + f.OrderID
	case strings.Contains(f.Subject, "/"):
		return strings.Replace(f.Subject, "/", " ", 1)
	}
	return "order line " + f.Subject
}

// Notification is the message to the seller about an attempt that failed: what, when it is tried next, what to do.
func Notification(f Failure, at time.Time) Event {
	text := fmt.Sprintf("Your production address failed on %s for %s of product %s, attempt %d: %s.", f.Activity, f.about(), f.ProductCode, f.Attempt,
		strings.TrimSuffix(f.Detail, "."))
	switch {
	case !f.Next.IsZero():
		text += fmt.Sprintf(" It is called again at %s. Until then, see in the journal what was sent and answered (call %d), and mend it.", Clock(f.Next), f.CallID)
	case f.Wanted:
		text += " It is not called again by itself: whoever asked has to ask again."
	case f.FailsOrder:
		text += fmt.Sprintf(" It is not called again: %s has failed, and the buyer gets the money back."+
			" Mend it before the next order comes; more than five failed orders in a month delist a product.", f.about())
	default:
		text += fmt.Sprintf(" It is no longer called again by itself. Mend it, then restart call %d by hand (isv-sandbox restart %d).", f.CallID, f.CallID)
	}
	return Event{Kind: sandboxapi.EventNotification, SellerID: f.SellerID, Subject: f.Subject, Time: at, Text: text, Details: f.details()}
}

// CallWaiting tells that a call is no longer retried and waits for a restart by hand.
func CallWaiting(f Failure, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventCallWaiting, SellerID: f.SellerID, Subject: f.Subject, Time: at,
		Text:    fmt.Sprintf("Call %d, %s for %s, waits for a restart by hand after %d attempts.", f.CallID, f.Activity, f.about(), f.Attempt),
		Details: f.details(),
	}
}

// Product is the subject of events about a product.
func Product(code string) string { return "product/" + code }

// Status tells that a product has another status, and why.
func Status(sellerID, productCode string, kind sandboxapi.EventKind, why string, at time.Time) Event {
	words := map[sandboxapi.EventKind]string{
		sandboxapi.EventProductFrozen: "is frozen: it is hidden, and nobody can order it", sandboxapi.EventProductDelisted: "is delisted: nobody can order it any more",
		sandboxapi.EventProductHidden: "is hidden: nobody finds or orders it",
		sandboxapi.EventProductOnSale: "is on sale", sandboxapi.EventProductStopped: "is no longer sold, because you stopped it",
	}
	text := fmt.Sprintf("Product %s %s", productCode, words[kind])
	if why != "" {
		text += ". " + why
	}
	return Event{Kind: kind, SellerID: sellerID, Subject: Product(productCode), Time: at, Text: text + ".", Details: details("productCode", productCode)}
}

// ProbeFailed tells that a probe of a product failed. freezing is after how many days that freezes it; 0: it does not.
func ProbeFailed(sellerID, productCode string, failed []string, days, freezing int, next, at time.Time) Event {
	text := fmt.Sprintf("The probe of product %s failed: %s. ", productCode, strings.Join(failed, "; "))
	if !next.IsZero() {
		text += fmt.Sprintf("The next probe is at %s. ", Clock(next))
	}
	text += "Mend it"
	if freezing > 0 {
		text += fmt.Sprintf("; after %d days of failing probes in a row the product is frozen", freezing)
	}
	text += "."
	return Event{
		Kind: sandboxapi.EventProbeFailed, SellerID: sellerID, Subject: Product(productCode), Time: at, Text: text,
		Details: details("productCode", productCode, "failedCases", strconv.Itoa(len(failed)), "failedDays", strconv.Itoa(days), "nextTime", stamp(next)),
	}
}

// ProbeRecovered tells that a probe succeeded after one that had failed.
func ProbeRecovered(sellerID, productCode string, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventProbeRecovered, SellerID: sellerID, Subject: Product(productCode), Time: at,
		Text: fmt.Sprintf("The probe of product %s succeeded again.", productCode), Details: details("productCode", productCode),
	}
}

// UsageRejected tells that usage records, or a whole push, were refused. example is a refused record's instance and why.
func UsageRejected(sellerID string, rejected, of int, code, example string, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventUsageRejected, SellerID: sellerID, Subject: "usage/" + sellerID, Time: at,
		Text:    fmt.Sprintf("%d of %d usage records were refused; for one: %s. See isv-sandbox usage, mend them and push them again.", rejected, of, example),
		Details: details("rejected", strconv.Itoa(rejected), "records", strconv.Itoa(of), "errorCode", code),
	}
}

// ClockMoved tells that the sandbox's clock was moved.
func ClockMoved(by time.Duration, now time.Time) Event {
	by = by.Round(time.Second) // it runs while it is moved
	return Event{
		Kind: sandboxapi.EventClockMoved, Subject: "clock/sandbox", Time: now,
		Text: fmt.Sprintf("The clock was moved forward by %s, to %s.", by, Clock(now)), Details: details("by", by.String(), "now", stamp(now)),
	}
}

// FaultApplied tells that a fault disturbed an exchange, or was the reason of one.
func FaultApplied(sellerID, subject, faultID, kind, exchange string, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventFaultApplied, SellerID: sellerID, Subject: subject, Time: at,
		Text:    fmt.Sprintf("Fault %s, %s, was applied to %s.", faultID, kind, exchange),
		Details: details("faultId", faultID, "kind", kind, "exchange", exchange),
	}
}

// ProviderChanged tells that calls go to another production address from now on.
func ProviderChanged(sellerID, address string, at time.Time) Event {
	return Event{
		Kind: sandboxapi.EventProviderChanged, SellerID: sellerID, Subject: "seller/" + sellerID, Time: at,
		Text: fmt.Sprintf("The production address is %s now, also for calls that wait.", address), Details: details("productionAddress", address),
	}
}

// Ended is an attempt that ended, as the journal has it.
type Ended struct {
	ID, CallID  int64
	SellerID    string
	Subject     string
	ProductCode string
	Activity    string
	Number      int
	Time        time.Time // when it began
	Fault       string
	Status      int
	Duration    time.Duration // real time
	Outcome     sandboxapi.AttemptOutcome
	ResultCode  string
	Detail      string
}

// Attempt tells of an attempt that ended.
func Attempt(a Ended) Event {
	text := fmt.Sprintf("%s, attempt %d of call %d: %s", a.Activity, a.Number, a.CallID, a.Outcome)
	if a.Detail != "" {
		text += ", " + a.Detail
	}
	status := ""
	if a.Status != 0 {
		status = strconv.Itoa(a.Status)
	}
	return Event{
		Kind: sandboxapi.EventAttempt, SellerID: a.SellerID, Subject: a.Subject, Time: a.Time, Text: text + ".",
		Details: details("attemptId", strconv.FormatInt(a.ID, 10), "callId", strconv.FormatInt(a.CallID, 10), "activity", a.Activity, "number", strconv.Itoa(a.Number),
			"productCode", a.ProductCode, "fault", a.Fault, "status", status, "outcome", string(a.Outcome), "resultCode", a.ResultCode, "detail", a.Detail,
			"duration", a.Duration.Round(time.Microsecond).String()),
	}
}
