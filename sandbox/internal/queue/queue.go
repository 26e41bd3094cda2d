// Package queue decides when things happen: it takes what is due on the sandbox's clock, calls to deliver and timers to act on,
// and has it done, several instances at a time and each instance's calls in their order. What is due stands in the store, so
// a queue that dies takes nothing with it.
package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// workers is how many calls are delivered at the same time. A call waits for the ISV nearly all its time, so there are far
// more than processors.
const workers = 32

// pause is how long the queue rests when the store fails, before it tries again.
const pause = time.Second

// Work is what there is to do.
type Work struct {
	Deliver func(ctx context.Context, call store.Call) error // one attempt, with everything that follows from it
	Tick    func(ctx context.Context, subject string) error  // what time demands of a subject
}

// Queue is the local queue.
type Queue struct {
	store *store.Store
	clock *clock.Clock
	work  Work
	log   *slog.Logger

	wake chan struct{}
	done sync.WaitGroup

	advancing sync.Mutex // one move of the clock at a time

	mu       sync.Mutex
	idle     *sync.Cond
	inFlight map[string]bool // by subject
	looks    uint64          // how often the queue has begun to look for work
	clean    uint64          // the last look that found nothing due and nothing under way
	stopped  bool
}

// New gives a queue; [Queue.Run] makes it work.
func New(s *store.Store, c *clock.Clock, work Work, log *slog.Logger) *Queue {
	q := &Queue{store: s, clock: c, work: work, log: log, wake: make(chan struct{}, 1), inFlight: map[string]bool{}}
	q.idle = sync.NewCond(&q.mu)
	return q
}

// Wake tells the queue that something may be due.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Run works until the context is over, then waits for the attempts under way to notice that too.
func (q *Queue) Run(ctx context.Context) {
	defer func() {
		q.done.Wait()
		q.mu.Lock()
		q.stopped = true
		q.idle.Broadcast()
		q.mu.Unlock()
	}()
	for ctx.Err() == nil {
		// A wake-up from here on may be about something that this look does not see.
		next, err := q.look(ctx)
		wait := pause
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			q.log.Error("queue: cannot read what is due", "error", err)
		default:
			wait = q.untilNext(next)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// untilNext is how long there is nothing to do unless woken.
func (q *Queue) untilNext(next time.Time) time.Duration {
	const idle = time.Hour
	if next.IsZero() {
		return idle
	}
	wait, runs := q.clock.Until(next)
	if !runs {
		return idle
	}
	return min(wait, idle)
}

// look starts everything that is due and free to go, and tells when the next thing is due that is not.
func (q *Queue) look(ctx context.Context) (next time.Time, err error) {
	for {
		q.mu.Lock()
		q.looks++
		this := q.looks
		q.mu.Unlock()
		now := q.clock.Now()
		timers, err := q.store.DueTimers(ctx, now, 2*workers)
		if err != nil {
			return next, err
		}
		started := 0
		for _, subject := range timers {
			if q.start(ctx, subject, func() error { return q.work.Tick(ctx, subject) }) {
				started++
			}
		}
		calls, err := q.store.DueCalls(ctx, now, 2*workers)
		if err != nil {
			return next, err
		}
		for _, call := range calls {
			if q.start(ctx, call.Subject, func() error { return q.work.Deliver(ctx, call) }) {
				started++
			}
		}
		if next, err = q.store.NextDue(ctx); err != nil {
			return next, err
		}
		if started > 0 {
			continue
		}
		q.mu.Lock()
		if len(q.inFlight) == 0 && (next.IsZero() || next.After(q.clock.Now())) {
			q.clean = this
			q.idle.Broadcast()
		}
		busy := len(q.inFlight) > 0
		q.mu.Unlock()
		if busy && !next.IsZero() && !next.After(now) {
			next = time.Time{} // due, but its instance is busy or there is no free worker; the end of an attempt wakes us
		}
		return next, nil
	}
}

// start runs a piece of work on an instance in the background, unless the instance is busy or there is no free worker.
func (q *Queue) start(ctx context.Context, subject string, work func() error) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.inFlight[subject] || len(q.inFlight) >= workers {
		return false
	}
	q.inFlight[subject] = true
	q.done.Go(func() {
		if err := work(); err != nil && ctx.Err() == nil {
			q.log.Error("queue: work failed", "subject", subject, "error", err)
			// Whatever it is, it stays due. Not at once again, or a broken disk makes a busy loop.
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
		q.mu.Lock()
		delete(q.inFlight, subject)
		q.mu.Unlock()
		q.Wake()
	})
	return true
}

// Settle waits until nothing is due and nothing under way.
func (q *Queue) Settle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.idle.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	// The look under way now may have missed what the caller did just before; the one after it has not.
	since := q.looks
	q.Wake()
	for q.clean <= since {
		if err := ctx.Err(); err != nil {
			return err
		}
		if q.stopped {
			return fmt.Errorf("the queue was stopped")
		}
		q.idle.Wait()
	}
	return nil
}

// Advance moves the clock forward by d, stopping at everything that comes due on the way until it is done, and calls moved
// after each step with how far the clock is ahead now.
func (q *Queue) Advance(ctx context.Context, d time.Duration, moved func(ahead time.Duration) error) error {
	q.advancing.Lock()
	defer q.advancing.Unlock()
	target := q.clock.Now().Add(d)
	q.clock.Hold()
	defer q.Wake()
	defer q.clock.Release()
	for {
		if err := q.Settle(ctx); err != nil {
			return err
		}
		next, err := q.store.NextDue(ctx)
		if err != nil {
			return err
		}
		last := next.IsZero() || next.After(target)
		if last {
			next = target
		}
		q.clock.Set(next)
		if err := moved(q.clock.Ahead()); err != nil {
			return err
		}
		if last {
			return q.Settle(ctx)
		}
	}
}
