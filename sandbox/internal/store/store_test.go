package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// each opens a store in every kind of database, for the contract that all of them keep.
func each(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, database string) { test(t, open(t, database)) })
}

func open(t *testing.T, database string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestUpdate_ConcurrentOnesAreWholeOrNotAtAll(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		var wg sync.WaitGroup
		broken := errors.New("broken")
		for i := range 200 {
			wg.Go(func() {
				err := s.Update(t.Context(), func(tx *store.Tx) error {
					if err := tx.PutSetting(fmt.Sprintf("a%d", i), "1"); err != nil {
						return err
					}
					if i%7 == 0 {
						return broken
					}
					return tx.PutSetting(fmt.Sprintf("b%d", i), "1")
				})
				if (i%7 == 0) != errors.Is(err, broken) {
					t.Errorf("update %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		for i := range 200 {
			for _, name := range []string{"a", "b"} {
				_, err := s.Setting(t.Context(), fmt.Sprintf("%s%d", name, i))
				if i%7 == 0 {
					require.ErrorIs(t, err, store.ErrNotFound)
				} else {
					require.NoError(t, err)
				}
			}
		}
	})
}

func TestUpdate_APanicIsTheCallersAlone(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		require.PanicsWithValue(t, "boom", func() {
			_ = s.Update(t.Context(), func(tx *store.Tx) error {
				_ = tx.PutSetting("x", "1")
				panic("boom")
			})
		})
		_, err := s.Setting(t.Context(), "x")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.NoError(t, s.PutSetting(t.Context(), "x", "2"))
	})
}

func TestUpdate_OfAContextThatIsOverDoesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, s.PutSetting(ctx, "x", "1"), context.Canceled)
		_, err := s.Setting(t.Context(), "x")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

func TestChanged_TellsOfEveryUpdateButQuietOnes(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		changed := s.Changed()
		require.NoError(t, s.UpdateQuietly(t.Context(), func(tx *store.Tx) error { return tx.PutSetting("x", "1") }))
		select {
		case <-changed:
			t.Fatal("a quiet update was told")
		default:
		}
		require.NoError(t, s.PutSetting(t.Context(), "x", "2"))
		<-changed
	})
}

func putCall(t *testing.T, s *store.Store, subject string) (id int64) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) (err error) {
		id, err = tx.AddCall(store.Call{
			About: store.About{Subject: subject, LineID: subject, SellerID: "demo", ProductCode: "demo"}, Status: sandboxapi.CallPending,
			CreatedAt: now, StartedAt: now, DueAt: now,
			Call: lifecycle.Call{Activity: providerapi.ActivityReleaseInstance, Body: providerapi.ReleaseInstanceCall{Activity: providerapi.ActivityReleaseInstance, InstanceID: "i"}},
		})
		return err
	}))
	return id
}

// TestOnWaits_IsWhatWaitingLists compares what was told, update by update, with what a new process reads.
func TestOnWaits_IsWhatWaitingLists(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		told := map[string]store.Waits{}
		s.OnWaits(func(changes []store.Waits) {
			for _, w := range changes {
				key := fmt.Sprint(w.Subject, w.CallID)
				told[key] = w
				if w.Due.IsZero() {
					delete(told, key)
				}
			}
		})
		first, second, third := putCall(t, s, "l1"), putCall(t, s, "l1"), putCall(t, s, "l2")
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
			c, err := tx.Call(third)
			if err != nil {
				return err
			}
			c.Status, c.DueAt = sandboxapi.CallSucceeded, time.Time{}
			i := lifecycle.Instance{
				SellerID: "demo", ProductCode: "demo", BuyerID: "b", OrderID: "o", OrderLineID: "l1", Status: sandboxapi.InstanceReady,
				Intent: sandboxapi.InstanceReady, CreateTime: now, ExpireTime: now.Add(time.Hour),
			}
			return errors.Join(tx.UpdateCall(c), tx.SwapCalls(first, second), tx.PutInstance(i), tx.SetTimer("probe/demo", now), tx.SetTimer("probe/x", now), tx.SetTimer("probe/x", time.Time{}))
		}))
		_ = s.Update(t.Context(), func(tx *store.Tx) error {
			return errors.Join(tx.SetTimer("never", now), errors.New("rolled back"))
		})
		var listed []store.Waits
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) (err error) {
			listed, err = tx.Waiting()
			return err
		}))
		want := map[string]store.Waits{}
		for _, w := range listed {
			want[fmt.Sprint(w.Subject, w.CallID)] = w
		}
		require.Len(t, want, 4)
		require.Equal(t, want, told)
		require.Less(t, want[fmt.Sprint("l1", second)].Seq, want[fmt.Sprint("l1", first)].Seq)
	})
}

// TestOpen_TakesOverADatabaseOfSchema1 builds a file as the first release wrote it.
func TestOpen_TakesOverADatabaseOfSchema1(t *testing.T) {
	name := filepath.Join(t.TempDir(), "old.db")
	old, err := sql.Open("sqlite", "file:"+name)
	require.NoError(t, err)
	schema, err := os.ReadFile("migrations/0001_first.sql")
	require.NoError(t, err)
	for _, text := range []string{
		string(schema),
		"PRAGMA user_version = 1",
		`INSERT INTO orders VALUES ('CS1', 'CS1-000001', 'NEW', 'completed', 1, '{"orderId":"CS1","orderLine":[{"orderLineId":"CS1-000001"}]}')`,
		`INSERT INTO instances VALUES ('CS1-000001', 'CS1', 'i1', 'PERIOD', 'demo-period', 'OFFI1', 2, 'ready', 'ready', 0, 1, 5000, NULL, 5000, 'https://app')`,
		`INSERT INTO calls VALUES (7, 'CS1-000001', 'releaseInstance', '', '{"activity":"releaseInstance","instanceId":"i1"}', 'pending', 1, 2, 3, 1, 4, '000005', 'x')`,
		`INSERT INTO attempts VALUES (9, 7, 'CS1-000001', 'releaseInstance', 5, 2, 'http://isv', '{}', 0, '', '', 0, 'started', '', '[]')`,
	} {
		_, err := old.ExecContext(t.Context(), text)
		require.NoError(t, err, text)
	}
	require.NoError(t, old.Close())

	s, err := store.Open(t.Context(), name)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	i, err := s.Instance(t.Context(), "CS1-000001")
	require.NoError(t, err)
	require.Equal(t, catalogue.DemoSeller, i.SellerID)
	require.Equal(t, "i1", i.InstanceID)
	require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
		n, err := tx.InterruptAttempts()
		require.EqualValues(t, 1, n)
		return err
	}))
	calls, err := s.Calls(t.Context(), "CS1-000001", 10)
	require.NoError(t, err)
	require.Len(t, calls, 1)
	require.Equal(t, "CS1-000001", calls[0].Subject)
	require.Equal(t, 5, calls[0].Attempts, "the number of the attempt that never ended is taken")
	require.IsType(t, providerapi.ReleaseInstanceCall{}, calls[0].Call.Body)
}

func TestOpen_RefusesANewerSchemaAndASecondProcess(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sandbox.db")
	s, err := store.Open(t.Context(), name)
	require.NoError(t, err)
	_, err = store.Open(t.Context(), name)
	require.ErrorIs(t, err, store.ErrInUse)
	require.NoError(t, s.Close())

	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077, "it holds keys")

	db, err := sql.Open("sqlite", "file:"+name)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", store.SchemaVersion()+1))
	require.NoError(t, errors.Join(err, db.Close()))
	_, err = store.Open(t.Context(), name)
	require.ErrorContains(t, err, "newer version")
}

func TestSnapshot_Restores(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		seller := catalogue.Seller{ID: "demo", Keys: catalogue.Keys{AK: "ak"}}
		product := catalogue.DemoProducts()[0]
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return errors.Join(tx.PutSeller(seller), tx.PutProduct(product)) }))
		id := putCall(t, s, "l1")
		file := filepath.Join(t.TempDir(), "snapshot.db")
		require.NoError(t, s.Snapshot(t.Context(), file))

		require.NoError(t, s.Clear(t.Context(), "setting"))
		_, err := s.Product(t.Context(), product.Code)
		require.ErrorIs(t, err, store.ErrNotFound)

		require.NoError(t, s.Restore(t.Context(), file))
		got, err := s.Product(t.Context(), product.Code)
		require.NoError(t, err)
		require.Equal(t, product, got)
		require.Greater(t, putCall(t, s, "l2"), id, "numbers go on where the snapshot was")
	})
}

func TestRestore_RefusesWhatIsNoSnapshot(t *testing.T) {
	s, err := store.Open(t.Context(), ":memory:")
	require.NoError(t, err)
	defer func() { _ = s.Close() }()
	require.NoError(t, s.PutSetting(t.Context(), "x", "1"))
	text := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(text, []byte("no database, but long enough for one"), 0o600))
	other := filepath.Join(t.TempDir(), "other.db")
	db, err := sql.Open("sqlite", "file:"+other)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "CREATE TABLE x (y)")
	require.NoError(t, errors.Join(err, db.Close()))
	for _, name := range []string{text, other} {
		require.ErrorIs(t, s.Restore(t.Context(), name), store.ErrNoSnapshot)
	}
	v, err := s.Setting(t.Context(), "x")
	require.NoError(t, err)
	require.Equal(t, "1", v)
}
