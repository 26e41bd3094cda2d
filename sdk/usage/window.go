package usage

import (
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

// MaxAge is how far back a record may begin; the marketplace refuses older ones.
const MaxAge = 21 * 24 * time.Hour

// maxAhead is how far in the future usage may lie: the clocks of an ISV's machines differ.
const maxAhead = 5 * time.Minute

// State is where a window is on its way.
type State string

// The states, in their order.
const (
	Open     State = "open"     // takes what is recorded
	Sealed   State = "sealed"   // has its metering_sn, begin and end for good, and is pushed until its outcome is known
	Done     State = "done"     // the marketplace has it
	Rejected State = "rejected" // the marketplace does not take it; kept until [Reporter.Requeue]
)

// Window is usage of one instance (and package instance) in one piece of time. It becomes one usage record.
type Window struct {
	ID         int64  // of the store
	InstanceID string // on-demand instance
	PackageID  string // package instance to deduct from; empty for none
	Begin, End time.Time
	Amount     Amount
	State      State
	Due        time.Time // when it is pushed next

	// From here on set when it is sealed.

	MeteringSN string
	From, To   time.Time // begin_time and end_time; inside Begin and End, see [Range]
	SealedAt   time.Time // record_time
	Attempts   int       // how often it was taken up to be pushed
	Unsure     bool      // a push of it ended without an answer, so the marketplace may have it

	// Code and Message are what the marketplace said last, if it said no.
	Code    marketplaceapi.AbnormalUsageRecordErrorCode
	Message string
}

// Record is the window as the marketplace wants it. It is the same on every push.
func (w Window) Record() marketplaceapi.UsageRecord {
	return marketplaceapi.UsageRecord{
		InstanceID:        w.InstanceID,
		RecordTime:        marketplace.FormatTime(w.SealedAt),
		BeginTime:         marketplace.FormatTime(w.From),
		EndTime:           marketplace.FormatTime(w.To),
		UsageValue:        w.Amount.String(),
		MeteringSN:        w.MeteringSN,
		RelatePkgInstance: w.PackageID,
	}
}

// Range chooses begin_time and end_time for a window that is sealed, so that no two records of an instance have the same pair:
// the whole window if it is free, else a piece of it that is shorter by whole seconds. first is when the instance was used first;
// nothing begins before it, because a record must not begin before its instance does. ok is false if every piece is taken.
func Range(begin, end, first time.Time, taken func(from, to time.Time) bool) (from, to time.Time, ok bool) {
	first = first.UTC().Truncate(time.Second)
	if begin.Before(first) && first.Before(end) {
		begin = first
	}
	for to = end; to.After(begin); to = to.Add(-time.Second) {
		for from = begin; from.Before(to); from = from.Add(time.Second) {
			if !taken(from, to) {
				return from, to, true
			}
		}
	}
	return time.Time{}, time.Time{}, false
}
