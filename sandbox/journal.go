package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// Retention says what is kept in the journal. Zero fields keep everything. What is not kept is deleted a little at a time: attempts, but those
// under way and those of calls that are still being delivered, and then calls that succeeded or failed for good. Orders, instances, usage, probes
// and the like are not the journal's, and stay.
type Retention struct {
	Keep         time.Duration // for how long, in real time: the clock of the sandbox can be moved, a disk fills up in days
	MaxPerSeller int           // attempts of one seller, the newest
}

const (
	// marksPerKeep is how many marks are made in the time for which something is kept; it is kept for that much longer at most.
	marksPerKeep = 50
	maxSweep     = time.Hour
	minSweep     = time.Second
	// sweepSellers is how often it is looked at how much each seller has.
	sweepSellers = time.Minute
	// trimBatch is how many attempts or calls are looked at in one transaction.
	trimBatch = 200
	// trimShare of the time the deletion leaves to others: so many times as long as a batch took, it pauses.
	trimShare = 4
	// trimLimit is how long a request to trim the journal takes at most.
	trimLimit = 30 * time.Second
)

// interval is how often the journal is swept.
func (r Retention) interval() time.Duration {
	every := maxSweep
	if r.Keep > 0 {
		every = min(every, max(minSweep, r.Keep/marksPerKeep))
	}
	if r.MaxPerSeller > 0 {
		every = min(every, sweepSellers)
	}
	return every
}

// Swept is what was removed from the journal.
type Swept struct {
	Attempts, Calls int64
	Bytes           int64 // given back to the file system
	More            bool  // there is more to remove than there was time for
}

// keepJournal sweeps the journal until the context is over. Where processes share the database, the one that leads does it.
func (s *Sandbox) keepJournal(ctx context.Context) {
	if s.retention == (Retention{}) {
		return
	}
	ticker := time.NewTicker(s.retention.interval())
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.store.Shared() && !s.store.Leads(ctx) {
			continue
		}
		if _, err := s.sweep(ctx, s.retention.Keep > 0, s.retention); err != nil && ctx.Err() == nil {
			s.log.Error("journal: retention failed", "error", err)
		}
	}
}

// sweep removes what a retention does not keep; nothing because of its age if it is not aged.
func (s *Sandbox) sweep(ctx context.Context, aged bool, r Retention) (swept Swept, err error) {
	began := time.Now()
	s.sweeping.Lock() // one at a time
	defer s.sweeping.Unlock()
	now := s.now()
	if err := s.store.UpdateQuietly(ctx, func(tx *store.Tx) error { return tx.MarkJournal(now) }); err != nil {
		return swept, err
	}
	defer func() {
		s.metrics.Removed("attempts", swept.Attempts)
		s.metrics.Removed("calls", swept.Calls)
		if errors.Is(err, context.DeadlineExceeded) {
			swept.More, err = true, nil
		}
		if swept.Attempts+swept.Calls+swept.Bytes > 0 {
			s.log.Info("journal: removed what is not kept", "attempts", swept.Attempts, "calls", swept.Calls, "bytesGivenBack", swept.Bytes,
				"keep", r.Keep.String(), "maxPerSeller", r.MaxPerSeller, "more", swept.More, "ms", time.Since(began).Milliseconds())
		}
	}()
	if aged {
		mark, err := s.store.JournalMark(ctx, now.Add(-r.Keep))
		switch {
		case errors.Is(err, store.ErrNotFound): // nothing is that old
		case err != nil:
			return swept, err
		default:
			if err := s.trim(ctx, &swept.Attempts, func(tx *store.Tx, after int64) (store.Trimmed, error) {
				return tx.TrimAttempts("", after, mark.AttemptID, trimBatch)
			}); err != nil {
				return swept, err
			}
			if err := s.trim(ctx, &swept.Calls, func(tx *store.Tx, after int64) (store.Trimmed, error) {
				return tx.TrimCalls(after, mark.CallID, trimBatch)
			}); err != nil {
				return swept, err
			}
			if err := s.store.UpdateQuietly(ctx, func(tx *store.Tx) error { return tx.ForgetMarks(mark) }); err != nil {
				return swept, err
			}
		}
	}
	if r.MaxPerSeller > 0 {
		crowds, err := s.store.Crowds(ctx, r.MaxPerSeller)
		if err != nil {
			return swept, err
		}
		for _, c := range crowds {
			upTo, err := s.store.AttemptBeyond(ctx, c.SellerID, r.MaxPerSeller)
			if err != nil {
				return swept, err
			}
			if err := s.trim(ctx, &swept.Attempts, func(tx *store.Tx, after int64) (store.Trimmed, error) {
				return tx.TrimAttempts(c.SellerID, after, upTo, trimBatch)
			}); err != nil {
				return swept, err
			}
		}
	}
	swept.Bytes, err = s.store.Shrink(ctx, func() { s.pause(ctx, 10*time.Millisecond) })
	return swept, err
}

// Journal tells how long the journal is, and what is kept of it.
func (d driver) Journal(ctx context.Context) (j sandboxapi.Journal, err error) {
	j = sandboxapi.Journal{Keep: d.retention.Keep.String(), MaxPerSeller: d.retention.MaxPerSeller}
	j.Attempts, j.OldestAttemptID, err = d.store.JournalSize(ctx)
	return j, err
}

// TrimJournal removes now what is not to be kept.
func (d driver) TrimJournal(ctx context.Context, t sandboxapi.JournalTrim) (done sandboxapi.JournalTrimmed, err error) {
	r, aged := d.retention, d.retention.Keep > 0
	if t.Keep != "" || t.MaxPerSeller != 0 {
		r, aged = Retention{MaxPerSeller: t.MaxPerSeller}, t.Keep != ""
	}
	if aged && t.Keep != "" {
		if r.Keep, err = ParseKeep(t.Keep); err != nil {
			return done, fmt.Errorf("%w: keep: %w", orderbook.ErrInvalid, err)
		}
	}
	if t.MaxPerSeller < 0 {
		return done, fmt.Errorf("%w: maxPerSeller %d: expected 1 or more", orderbook.ErrInvalid, t.MaxPerSeller)
	}
	ctx, cancel := context.WithTimeout(ctx, trimLimit)
	defer cancel()
	swept, err := d.sweep(ctx, aged, r)
	return sandboxapi.JournalTrimmed{Attempts: swept.Attempts, Calls: swept.Calls, Bytes: swept.Bytes, More: swept.More}, err
}

// ParseKeep reads for how long to keep something: a duration with days, such as 30d, or 0.
func ParseKeep(text string) (time.Duration, error) {
	if text == "0" || text == "0s" {
		return 0, nil
	}
	return clock.ParseDuration(text)
}

// trim removes one batch after the other, and leaves most of the time to others.
func (s *Sandbox) trim(ctx context.Context, removed *int64, batch func(tx *store.Tx, after int64) (store.Trimmed, error)) error {
	var after int64
	for {
		var t store.Trimmed
		began := time.Now()
		err := s.store.UpdateQuietly(ctx, func(tx *store.Tx) (err error) {
			t, err = batch(tx, after)
			return err
		})
		if err != nil || t.Last == 0 {
			return err
		}
		*removed += t.Removed
		after = t.Last
		s.pause(ctx, trimShare*time.Since(began))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// pause waits.
func (s *Sandbox) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
