package store_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// TestEvents_TheOldestGo writes more events than are kept, and then wants fewer of them.
func TestEvents_TheOldestGo(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *store.Store) {
		add := func(n int) {
			t.Helper()
			require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
				for i := range n {
					if err := tx.AddEvent(event.Event{Kind: sandboxapi.EventClockMoved, Time: now, Text: fmt.Sprint(i)}); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		first := func() (id int64, n int) {
			t.Helper()
			all, err := s.EventsAfter(t.Context(), store.EventFilter{}, 0, 1_000_000)
			require.NoError(t, err)
			return all[0].ID, len(all)
		}
		s.KeepEvents(4000)
		add(5999)
		id, n := first()
		require.Equal(t, int64(1001), id, "swept with the 5000th")
		require.Equal(t, 4999, n)
		add(1)
		id, n = first()
		require.Equal(t, int64(2001), id)
		require.Equal(t, 4000, n)

		s.KeepEvents(500)
		add(1000)
		id, _ = first()
		require.Equal(t, int64(4001), id, "two thousand at a time")
		add(2000)
		id, _ = first()
		require.Equal(t, int64(8001), id)
		add(1000)
		id, n = first()
		require.Equal(t, int64(9501), id)
		require.Equal(t, 500, n)

		latest, err := s.Events(t.Context(), store.EventFilter{}, 2)
		require.NoError(t, err)
		require.Equal(t, []int64{9999, 10000}, []int64{latest[0].ID, latest[1].ID}, "the latest, oldest first")
	})
}

// TestAttemptsAfter_AnyEnd: attempts are found whichever order they end in.
func TestAttemptsAfter_AnyEnd(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *store.Store) {
		start := func() (a store.Attempt) {
			t.Helper()
			require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) (err error) {
				a = store.Attempt{CallID: 1, About: store.About{Subject: "x/1", SellerID: "demo", ProductCode: "demo"}, Activity: "newInstance", Number: 1, StartedAt: now}
				a.ID, err = tx.StartAttempt(a)
				return err
			}))
			return a
		}
		end := func(a store.Attempt) {
			t.Helper()
			a.Outcome = sandboxapi.AttemptSucceeded
			require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.FinishAttempt(a) }))
		}
		list := func(since int64, open ...int64) (ids []string) {
			t.Helper()
			attempts, err := s.AttemptsAfter(t.Context(), since, open, 100)
			require.NoError(t, err)
			for _, a := range attempts {
				ids = append(ids, fmt.Sprint(a.ID, " ", a.Outcome))
			}
			return ids
		}
		latest, open, err := s.AttemptsNow(t.Context(), 10)
		require.NoError(t, err)
		require.Zero(t, latest)
		require.Empty(t, open)
		a, b, c := start(), start(), start()
		end(b)
		latest, open, err = s.AttemptsNow(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, c.ID, latest)
		require.Equal(t, []int64{a.ID, c.ID}, open)
		require.Equal(t, []string{"1 started", "2 succeeded", "3 started"}, list(0))
		require.Empty(t, list(3, 1, 3))
		end(a)
		require.Equal(t, []string{"1 succeeded"}, list(3, 1, 3))
	})
}
