package usage

import (
	"context"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
)

// Event is one thing to count.
type Event struct {
	ID         string // counts once; empty: always
	InstanceID string
	PackageID  string
	Amount     Amount // above 0, at most MaxUnits
	At         time.Time
	Begin, End time.Time // the window of At
	Due        time.Time // of the window, if the event opens it
}

// Claim asks for windows to push.
type Claim struct {
	Now   time.Time
	Until time.Time     // nobody else gets them before
	Token string        // names this claim in Settle
	Limit int           // at most so many
	NewSN func() string // makes the metering_sn of a window that is sealed
}

// Verdict is what becomes of a window that was pushed.
type Verdict int

// The verdicts.
const (
	Finish  Verdict = iota + 1 // it becomes [Done]
	Refuse                     // it becomes [Rejected]
	Repeat                     // it stays [Sealed], and is due at Next
	Reseal                     // it stays [Sealed] with its metering_sn, gets another [Range], and is due at Next; without a free range it becomes Rejected
	Abandon                    // like Repeat, but the attempt was not made and does not count
)

// Outcome is how a push ended for one window.
type Outcome struct {
	Window  Window // as claimed
	Verdict Verdict
	Next    time.Time
	Unsure  bool
	Code    marketplaceapi.AbnormalUsageRecordErrorCode
	Message string
}

// Filter selects windows for [Reporter.Inspect]. The zero value selects the first 100.
type Filter struct {
	State      State  // empty: all
	InstanceID string // empty: all
	After      int64  // ids above this one, to read on
	Limit      int    // 0: 100
}

// Count is a number of windows and the sum of their amounts.
type Count struct {
	Windows int
	Amount  Amount
}

// Totals is what a store holds.
type Totals struct {
	Open, Sealed, Done, Rejected Count
	Oldest                       time.Time // end of the oldest window that is open or sealed; zero if there is none
}

// Store keeps windows. It is called at the same time by many goroutines, and a store in a database by many processes. What a
// method did is durable when it returns; after an error it was done wholly or not at all. Times are exact to the second at least. The
// package storetest holds a store to all this.
type Store interface {
	// Add counts an event, in the same step as it remembers its id. Added is false if the id was counted before;
	// [ErrConflictingID] if it was so with another instance, package instance or amount. The event goes to an open window
	// of its instance, package instance, begin and end, whose amount stays at most MaxUnits; if there is none, to a new one.
	Add(ctx context.Context, e Event) (added bool, err error)

	// Claim returns windows that are due and not claimed by others, the longest due first. The open ones among them are sealed: metering_sn,
	// [Range] and SealedAt are set, for good. One without a free range is not returned but moved to the following window. The
	// windows returned have counted this attempt, and are as before as to Unsure, while the store holds Unsure true from now on
	// until Settle says otherwise: the process may be gone in the next moment.
	Claim(ctx context.Context, c Claim) ([]Window, error)

	// Settle notes outcomes. Those whose claim is no longer token's are left out: others have it in hand.
	Settle(ctx context.Context, token string, outcomes []Outcome) error

	// Requeue makes a rejected window sealed again, due at once, or returns [ErrNotFound].
	Requeue(ctx context.Context, meteringSN string, now time.Time) error

	// Totals sums up.
	Totals(ctx context.Context) (Totals, error)

	// Inspect lists windows by id.
	Inspect(ctx context.Context, f Filter) ([]Window, error)

	// Prune forgets done windows that ended before a time, and ids of events before it.
	Prune(ctx context.Context, before time.Time) error
}
