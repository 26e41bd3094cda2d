package store_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// TestInstance_IsWhatWasCommitted reads an instance in updates after it was written, written and rolled back, and read back from the
// database: what an update remembers must be what the database has.
func TestInstance_IsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *store.Store) {
		written := lifecycle.Instance{
			SellerID: "demo", OrderID: "CS1", OrderLineID: "CS1-1", InstanceID: "i-1", Status: sandboxapi.InstanceReady, Intent: sandboxapi.InstanceReady,
			ChargingMode: marketplaceapi.ChargingPeriod, Product: lifecycle.Product{SKUCode: "sku", Quantity: 2},
			CreateTime: now.Add(123456 * time.Nanosecond).In(time.FixedZone("east", 8*3600)), // finer than the database, and in another zone
			ExpireTime: now.Add(time.Hour),
		}
		update := func(f func(i *lifecycle.Instance) error) error {
			return s.Update(t.Context(), func(tx *store.Tx) error {
				i, err := tx.Instance("CS1-1")
				if err != nil {
					return err
				}
				err = f(&i)
				return errors.Join(tx.PutInstance(i), err)
			})
		}
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.PutInstance(written) }))
		check := func(what string) {
			t.Helper()
			fromDatabase, err := s.Instance(t.Context(), "CS1-1")
			require.NoError(t, err)
			require.NoError(t, update(func(i *lifecycle.Instance) error {
				require.Equal(t, fromDatabase, *i, what)
				return nil
			}))
		}
		check("as written")
		require.NoError(t, update(func(i *lifecycle.Instance) error { i.Status = sandboxapi.InstanceFrozen; return nil }))
		check("changed")
		broken := errors.New("broken")
		require.ErrorIs(t, update(func(i *lifecycle.Instance) error {
			i.Status, i.InstanceID = sandboxapi.InstanceReleased, "i-2"
			return broken
		}), broken)
		check("rolled back")
		require.NoError(t, update(func(i *lifecycle.Instance) error {
			i.Renewals = append(i.Renewals, lifecycle.Renewal{OrderID: "CS2", From: now})
			return nil
		}))
		check("with a renewal")
		require.ErrorIs(t, update(func(i *lifecycle.Instance) error { i.Renewals[0].OrderID = "CS3"; return broken }), broken)
		check("with a renewal that was nearly changed")
	})
}

// TestEndOrderLine_KnowsHowItsOrderStands ends the lines of orders that the writer remembers and of those that it does not, twice, after an update
// that was rolled back, and after the order was ended by another way.
func TestEndOrderLine_KnowsHowItsOrderStands(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *store.Store) {
		const completed, failed = sandboxapi.OrderCompleted, sandboxapi.OrderFailed
		broken := errors.New("broken")
		add := func(id string, lines int) {
			o := store.Order{OrderID: id, SellerID: "demo", LineID: id + "-1", Type: marketplaceapi.OrderNew, Status: sandboxapi.OrderProcessing, CreatedAt: now}
			for n := range lines {
				o.Document.OrderLine = append(o.Document.OrderLine, marketplaceapi.OrderLine{OrderLineID: fmt.Sprintf("%s-%d", id, n+1)})
			}
			require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.AddOrder(o) }))
		}
		end := func(id string, line int, status sandboxapi.OrderStatus, fail error) (ended sandboxapi.OrderStatus) {
			t.Helper()
			require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) (err error) {
				ended, err = tx.EndOrderLine(id, fmt.Sprintf("%s-%d", id, line), status, now)
				return errors.Join(err, fail)
			}), fail)
			return ended
		}
		set := func(id string, status sandboxapi.OrderStatus) {
			t.Helper()
			require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.SetOrderStatus(id, status) }))
		}
		is := func(id string, status sandboxapi.OrderStatus) {
			t.Helper()
			o, err := s.Order(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, status, o.Status)
		}
		add("CS1", 1)
		require.Equal(t, completed, end("CS1", 1, completed, nil))
		require.Empty(t, end("CS1", 1, completed, nil), "it had ended")
		is("CS1", completed)
		add("CS2", 2)
		require.Empty(t, end("CS2", 1, failed, nil))
		is("CS2", sandboxapi.OrderProcessing)
		require.Equal(t, failed, end("CS2", 2, completed, nil))
		add("CS3", 1)
		require.Equal(t, failed, end("CS3", 1, failed, broken))
		is("CS3", sandboxapi.OrderProcessing)
		require.Equal(t, completed, end("CS3", 1, completed, nil))
		add("CS4", 1)
		set("CS4", failed)
		require.Empty(t, end("CS4", 1, completed, nil), "it had ended otherwise")
		is("CS4", failed)
		require.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) error {
			_, err := tx.EndOrderLine("CS5", "CS5-1", completed, now)
			return err
		}), store.ErrNotFound)
		events, err := s.Events(t.Context(), store.EventFilter{}, 100)
		require.NoError(t, err)
		var told []string
		for _, e := range events {
			told = append(told, string(e.Kind))
		}
		require.Len(t, told, 3, "%v", told)
	})
}

// TestAddCall_IDsGrow adds calls, some of which are rolled back, and goes on in another process: an id is given once, and calls of one
// subject have their places in the order in which they were added.
func TestAddCall_IDsGrow(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "sandbox.db")
	s := open(t, database)
	var ids []int64
	add := func(fail error) {
		t.Helper()
		var id int64
		err := s.Update(t.Context(), func(tx *store.Tx) (err error) {
			id, err = tx.AddCall(store.Call{
				About: store.About{Subject: "CS1-1", SellerID: "demo", ProductCode: "demo"}, Status: sandboxapi.CallPending, CreatedAt: now, StartedAt: now, DueAt: now,
				Call: lifecycle.Call{Activity: providerapi.ActivityQueryInstance, Body: providerapi.QueryInstanceCall{}},
			})
			return errors.Join(err, fail)
		})
		require.ErrorIs(t, err, fail)
		if fail == nil {
			ids = append(ids, id)
		}
	}
	broken := errors.New("broken")
	for range 3 {
		add(nil)
		add(broken)
	}
	require.NoError(t, s.Close())
	s = open(t, database)
	add(nil)
	require.IsIncreasing(t, ids)
	calls, err := s.Calls(t.Context(), "", 100)
	require.NoError(t, err)
	require.Len(t, calls, 4)
	for n, c := range calls {
		require.Equal(t, ids[len(ids)-1-n], c.ID)
		require.Equal(t, c.ID, c.Seq)
	}
}

// TestStartAttempt_IDsGrow begins attempts at the same time, some of which are rolled back, and goes on in another process: each is there once its
// update returned, under an id that is given once.
func TestStartAttempt_IDsGrow(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "sandbox.db")
	s := open(t, database)
	broken := errors.New("broken")
	var mu sync.Mutex
	ids := map[int64]string{}
	begin := func(n int, fail error) {
		a := store.Attempt{About: store.About{Subject: fmt.Sprintf("CS%d-1", n), SellerID: "demo", ProductCode: "demo"}, Activity: providerapi.ActivityQueryInstance, Number: 1, StartedAt: now}
		assert.ErrorIs(t, s.Update(t.Context(), func(tx *store.Tx) (err error) {
			if a.CallID, err = tx.AddCall(store.Call{
				About: a.About, Status: sandboxapi.CallPending, CreatedAt: now, StartedAt: now, DueAt: now, Call: lifecycle.Call{Activity: a.Activity, Body: providerapi.QueryInstanceCall{}},
			}); err != nil {
				return err
			}
			a.ID, err = tx.StartAttempt(a)
			return errors.Join(err, fail)
		}), fail)
		if fail != nil {
			return
		}
		got, err := s.Attempt(t.Context(), a.ID)
		assert.NoError(t, err)
		assert.Equal(t, a.Subject, got.Subject)
		mu.Lock()
		defer mu.Unlock()
		assert.NotContains(t, ids, a.ID)
		ids[a.ID] = a.Subject
	}
	many := func(from int) {
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				if n%10 == 9 {
					begin(from+n, broken)
				} else {
					begin(from+n, nil)
				}
			})
		}
		wg.Wait()
	}
	many(0)
	require.NoError(t, s.Close())
	s = open(t, database)
	many(100)
	all, err := s.Attempts(t.Context(), store.AttemptFilter{}, 1000)
	require.NoError(t, err)
	require.Len(t, all, 180)
	require.Len(t, ids, 180)
}
