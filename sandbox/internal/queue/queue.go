// Package queue decides when things happen: it knows what waits on the sandbox's clock, calls for their attempt and subjects for their
// time, and has it done when it is due, several subjects at a time and each subject's calls in their order.
//
// There are two: [Local] for one process, and [River] for any number of them that share a database in PostgreSQL. Both keep what
// contract_test.go says.
package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/clock"
)

// Workers is how many pieces of work a process does at the same time. A call waits for the ISV nearly all its time, so there are far
// more than processors.
const Workers = 64

// pause is how long a subject rests after its work failed, before it is tried again.
const pause = time.Second

// Work is what there is to do.
type Work struct {
	Deliver func(ctx context.Context, callID int64) error   // one attempt, with everything that follows from it
	Tick    func(ctx context.Context, subject string) error // what time demands of a subject
}

// Queue has done what is due.
type Queue interface {
	// Run works until the context is over, then waits for the attempts under way to notice that too.
	Run(ctx context.Context) error
	// Look has Run look for work, after the clock was changed.
	Look()
	// Settle waits until nothing is due and nothing under way.
	Settle(ctx context.Context) error
	// Advance moves the clock forward to a moment that it tells from now, stopping at everything that comes due on the way until it is
	// done, and calls moved after each step, and when the clock runs on.
	Advance(ctx context.Context, to func(now time.Time) time.Time, moved func() error) error
	// Replace runs f, which replaces what is in the store, and then takes up what waits in it.
	Replace(ctx context.Context, f func() error) error
	// Drain starts nothing new from now on, and waits until nothing is under way in this process, or the context is over. Run goes on until
	// its own context is.
	Drain(ctx context.Context) error
	// Next is when the next thing is due; zero if nothing waits. What is under way may be among it where processes share a database.
	Next(ctx context.Context) (time.Time, error)
	// Working tells that Run is at work, or why it is not.
	Working() error
	// Close closes what Run does not.
	Close()
}

// Why a queue does not work.
var (
	ErrStarting = errors.New("the queue has not begun")
	ErrStopping = errors.New("the sandbox is shutting down")
	ErrStopped  = errors.New("the queue was stopped")
)

// steps moves a clock that was begun to be moved to its target, from one thing that comes due to the next, each done before the clock
// goes on.
func steps(ctx context.Context, q Queue, c *clock.Clock, target time.Time, nextDue func(ctx context.Context) (time.Time, error), moved func() error) error {
	for {
		if err := q.Settle(ctx); err != nil {
			return fmt.Errorf("wait for what is due at %s: %w", c.Now().Format(time.RFC3339), err)
		}
		next, err := nextDue(ctx)
		if err != nil {
			return err
		}
		last := next.IsZero() || next.After(target)
		if last {
			next = target
		}
		c.Set(next)
		if err := moved(); err != nil {
			return err
		}
		if last {
			return q.Settle(ctx)
		}
	}
}
