package store_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// journaled writes a call of a seller with some attempts, the last of which may be under way.
func journaled(t *testing.T, s *store.Store, seller string, status sandboxapi.CallStatus, attempts int, underWay bool) (callID int64) {
	t.Helper()
	c := store.Call{
		About: store.About{Subject: "s", LineID: "l", SellerID: seller, ProductCode: "p"}, Status: sandboxapi.CallPending, CreatedAt: now, StartedAt: now, DueAt: now,
		Call: lifecycle.Call{Activity: providerapi.ActivityReleaseInstance, Body: providerapi.ReleaseInstanceCall{Activity: providerapi.ActivityReleaseInstance, InstanceID: "i"}},
	}
	require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) (err error) {
		if c.ID, err = tx.AddCall(c); err != nil {
			return err
		}
		for n := range attempts {
			a := store.Attempt{CallID: c.ID, About: c.About, Activity: c.Call.Activity, Number: n + 1, StartedAt: now, Outcome: sandboxapi.AttemptRefused, ResponseBody: strings.Repeat("x", 1000)}
			if a.ID, err = tx.StartAttempt(a); err != nil {
				return err
			}
			if underWay && n == attempts-1 {
				continue
			}
			if err := tx.FinishAttempt(a); err != nil {
				return err
			}
		}
		c.Status, c.Attempts = status, attempts
		return tx.UpdateCall(c)
	}))
	return c.ID
}

// trimmed runs batches until there is nothing more, and gives how much they removed.
func trimmed(t *testing.T, s *store.Store, batch func(tx *store.Tx, after int64) (store.Trimmed, error)) (removed int64) {
	t.Helper()
	var after int64
	for {
		var b store.Trimmed
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) (err error) {
			b, err = batch(tx, after)
			return err
		}))
		if b.Last == 0 {
			return removed
		}
		require.Greater(t, b.Last, after)
		removed, after = removed+b.Removed, b.Last
	}
}

func attemptsOf(t *testing.T, s *store.Store, call int64) int {
	t.Helper()
	list, err := s.Attempts(t.Context(), store.AttemptFilter{CallID: call}, 100)
	require.NoError(t, err)
	return len(list)
}

func TestTrim_LeavesWhatIsUnderWay(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.PutFault(fault.Rule{ID: "f", Kind: fault.Duplicate})
			return err
		}))
		const done, failed, waits = sandboxapi.CallSucceeded, sandboxapi.CallFailed, sandboxapi.CallWaiting
		var old []int64
		for range 5 {
			old = append(old, journaled(t, s, "a", done, 2, false), journaled(t, s, "a", failed, 1, false))
		}
		pending := journaled(t, s, "a", sandboxapi.CallPending, 3, true)
		waiting := journaled(t, s, "a", waits, 2, false)
		asked := journaled(t, s, "a", failed, 1, true) // somebody waits for the answer
		silent := journaled(t, s, "a", done, 0, false) // such as one that never needed an attempt
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
			return tx.UseFaults([]string{"f"}, old[0], 1)
		}))
		_, err := s.JournalMark(t.Context(), now.Add(time.Hour))
		require.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.MarkJournal(now) }))
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.MarkJournal(now) }), "twice in a moment")
		young := journaled(t, s, "a", done, 1, false)
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.MarkJournal(now.Add(time.Hour)) }))

		_, err = s.JournalMark(t.Context(), now.Add(-time.Millisecond))
		require.ErrorIs(t, err, store.ErrNotFound)
		mark, err := s.JournalMark(t.Context(), now.Add(time.Minute))
		require.NoError(t, err)
		require.True(t, mark.At.Equal(now))
		require.Equal(t, silent, mark.CallID)
		require.Equal(t, int64(5*3+2), trimmed(t, s, func(tx *store.Tx, after int64) (store.Trimmed, error) {
			return tx.TrimAttempts("", after, mark.AttemptID, 3)
		}))
		require.Equal(t, int64(11), trimmed(t, s, func(tx *store.Tx, after int64) (store.Trimmed, error) { return tx.TrimCalls(after, mark.CallID, 3) }))
		for call, want := range map[int64]int{pending: 3, waiting: 0, asked: 1, young: 1} {
			require.Equal(t, want, attemptsOf(t, s, call))
			_, err := readCall(t, s, call)
			require.NoError(t, err)
		}
		c, err := readCall(t, s, pending)
		require.NoError(t, err)
		require.Equal(t, 3, c.Attempts)
		for _, call := range append(old, silent) {
			_, err := readCall(t, s, call)
			require.ErrorIs(t, err, store.ErrNotFound)
		}
		require.NoError(t, s.View(t.Context(), func(tx *store.Tx) error {
			uses, err := tx.FaultUses(old[0], 1)
			require.Zero(t, uses["f"].Call, "nothing is asked about a call that is gone")
			require.NotZero(t, uses["f"].Total, "what the rule has done stays")
			return err
		}))
		n, oldest, err := s.JournalSize(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5, n)
		require.Positive(t, oldest)

		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.ForgetMarks(mark) }))
		again, err := s.JournalMark(t.Context(), now.Add(time.Minute))
		require.NoError(t, err)
		require.Equal(t, mark, again, "the latest that is old enough stays")
		require.Greater(t, journaled(t, s, "a", done, 1, false), young, "no number is given twice")
	})
}

func TestTrim_OfASeller(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		var calls []int64
		for i := range 12 {
			calls = append(calls, journaled(t, s, []string{"a", "b", "b"}[i%3], sandboxapi.CallSucceeded, 1, false))
		}
		crowds, err := s.Crowds(t.Context(), 4)
		require.NoError(t, err)
		require.Equal(t, []store.Crowd{{SellerID: "b", Attempts: 8}}, crowds)
		beyond, err := s.AttemptBeyond(t.Context(), "b", 4)
		require.NoError(t, err)
		require.Equal(t, int64(4), trimmed(t, s, func(tx *store.Tx, after int64) (store.Trimmed, error) { return tx.TrimAttempts("b", after, beyond, 3) }))
		for i, call := range calls {
			want := 1
			if i%3 > 0 && i < 6 {
				want = 0
			}
			require.Equal(t, want, attemptsOf(t, s, call), fmt.Sprint(i))
		}
		beyond, err = s.AttemptBeyond(t.Context(), "a", 4)
		require.NoError(t, err)
		require.Zero(t, beyond)
		crowds, err = s.Crowds(t.Context(), 4)
		require.NoError(t, err)
		require.Empty(t, crowds)
	})
}

// TestShrink_GivesPagesBack fills a file, empties its journal, and looks at its size.
func TestShrink_GivesPagesBack(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		for range 40 {
			journaled(t, s, "a", sandboxapi.CallSucceeded, 50, false)
		}
		before, err := s.Bytes(t.Context())
		require.NoError(t, err)
		require.Positive(t, before)
		paused := 0
		freed, err := s.Shrink(t.Context(), func() { paused++ })
		require.NoError(t, err)
		require.Zero(t, freed, "nothing is free")
		trimmed(t, s, func(tx *store.Tx, after int64) (store.Trimmed, error) {
			return tx.TrimAttempts("", after, math.MaxInt64, 200)
		})
		freed, err = s.Shrink(t.Context(), func() { paused++ })
		require.NoError(t, err)
		if s.Shared() || !strings.HasSuffix(t.Name(), "/file") { // PostgreSQL looks after itself, and memory has no file
			require.Zero(t, freed)
			return
		}
		after, err := s.Bytes(t.Context())
		require.NoError(t, err)
		require.Equal(t, before-after, freed)
		require.Less(t, after, before/2)
		require.Greater(t, paused, 1, "a few at a time")
		journaled(t, s, "a", sandboxapi.CallSucceeded, 1, false)
	})
}

func TestCurrent_ComparesTheSchema(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		current, err := s.Current(t.Context())
		require.NoError(t, err)
		require.True(t, current)
		require.NoError(t, s.Close())
		_, err = s.Current(t.Context())
		require.Error(t, err)
	})
}

func TestBacklog_CountsWhatWaits(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		b, err := s.Backlog(t.Context(), now)
		require.NoError(t, err)
		require.Equal(t, store.Backlog{}, b)
		put := func(status sandboxapi.CallStatus, due time.Time) {
			id := journaled(t, s, "a", status, 0, false)
			require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
				c, err := tx.Call(id)
				if err != nil {
					return err
				}
				c.DueAt = due
				return tx.UpdateCall(c)
			}))
		}
		put(sandboxapi.CallPending, now.Add(-time.Minute))
		put(sandboxapi.CallPending, now)
		put(sandboxapi.CallPending, now.Add(time.Millisecond))
		put(sandboxapi.CallWaiting, time.Time{})
		put(sandboxapi.CallSucceeded, time.Time{})
		b, err = s.Backlog(t.Context(), now)
		require.NoError(t, err)
		require.True(t, b.Oldest.Equal(now.Add(-time.Minute)))
		b.Oldest = time.Time{}
		require.Equal(t, store.Backlog{Due: 2, Scheduled: 1, Waiting: 1}, b)
	})
}

// told is an observer that counts.
type told struct{ updates int }

func (o *told) Committed(updates int, _ time.Duration) { o.updates += updates }
func (*told) Again(string)                             {}

func TestObserve_TellsOfEveryUpdate(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		o := &told{}
		s.Observe(o)
		for range 5 {
			require.NoError(t, s.PutSetting(context.WithoutCancel(t.Context()), "x", "1"))
		}
		require.Error(t, s.Update(t.Context(), func(*store.Tx) error { return context.Canceled }))
		require.Equal(t, 5, o.updates)
	})
}
