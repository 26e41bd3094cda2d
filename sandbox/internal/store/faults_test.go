package store_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

func rule(t *testing.T, id string, kind fault.Kind) fault.Rule {
	t.Helper()
	r := fault.Rule{ID: id, Kind: kind}
	require.NoError(t, r.Check())
	return r
}

// ids gives the rules as the outbox sees them: by what is remembered.
func ids(t *testing.T, s *store.Store) (ids []string) {
	t.Helper()
	rules, err := s.FaultRules(t.Context())
	require.NoError(t, err)
	for _, r := range rules {
		ids = append(ids, r.ID)
	}
	return ids
}

// TestFaults_AreRemembered: the rules that are remembered are those in the database, after every change and after one that failed.
func TestFaults_AreRemembered(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		put := func(r fault.Rule) {
			t.Helper()
			require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.PutFault(r)
				return err
			}))
		}
		require.Empty(t, ids(t, s))
		put(rule(t, "a", fault.Cut))
		put(rule(t, "b", fault.Delay))
		require.Equal(t, []string{"a", "b"}, ids(t, s))
		put(rule(t, "a", fault.Replay))
		require.Equal(t, []string{"a", "b"}, ids(t, s), "in its old place")

		broken := errors.New("broken")
		require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
			require.NoError(t, tx.DeleteFaults())
			rules, err := tx.FaultRules()
			require.NoError(t, err)
			require.Empty(t, rules)
			return broken
		}), broken)
		require.Equal(t, []string{"a", "b"}, ids(t, s))

		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.DeleteFault("a") }))
		require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.DeleteFault("a") }), store.ErrNotFound)
		require.Equal(t, []string{"b"}, ids(t, s))
		require.NoError(t, s.Clear(t.Context()))
		require.Empty(t, ids(t, s))
	})
}

func TestFaults_Counts(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		used := func(callID int64, number int) (used map[string]fault.Used) {
			t.Helper()
			require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) (err error) {
				used, err = tx.FaultUses(callID, number)
				return err
			}))
			return used
		}
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
			_, errA := tx.PutFault(rule(t, "a", fault.Cut))
			_, errB := tx.PutFault(rule(t, "b", fault.RateLimit))
			return errors.Join(errA, errB,
				tx.UseFaults([]string{"a"}, 7, 1), tx.UseFaults([]string{"a"}, 7, 2), tx.UseFaults([]string{"a"}, 8, 1),
				tx.PutFaultsSeen(map[string]fault.Seen{"b": {Requests: 5, Total: 2, Row: 1}}))
		}))
		require.Equal(t, map[string]fault.Used{"a": {Total: 3, Call: 2, Now: true}, "b": {Total: 2}}, used(7, 2))
		require.Equal(t, map[string]fault.Used{"a": {Total: 3, Call: 2}, "b": {Total: 2}}, used(7, 3))
		require.Equal(t, map[string]fault.Used{"a": {Total: 3}, "b": {Total: 2}}, used(9, 1))
		all, err := s.Faults(t.Context())
		require.NoError(t, err)
		require.Equal(t, 3, all[0].Total)
		require.Equal(t, fault.Seen{Requests: 5, Total: 2, Row: 1}, all[1].Seen)

		// Replaced, it begins anew.
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.PutFault(rule(t, "a", fault.Cut))
			return err
		}))
		require.Equal(t, fault.Used{}, used(7, 2)["a"])
	})
}
