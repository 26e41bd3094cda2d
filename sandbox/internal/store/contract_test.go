package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// count adds one to a number in the settings, as any update does that reads and writes back.
func count(name string) func(tx *store.Tx) error {
	return func(tx *store.Tx) error {
		n := 0
		text, err := tx.Setting(name)
		if err == nil {
			n, err = strconv.Atoi(text)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return tx.PutSetting(name, strconv.Itoa(n+1))
	}
}

func TestUpdate_NoneIsLostAndNoneIsDoneTwice(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		const writers, times = 8, 25
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range times {
					if err := s.Update(t.Context(), count("n")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		n, err := s.Setting(t.Context(), "n")
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(writers*times), n)
	})
}

// TestUpdate_DecidesByWhatIsTrue has a department deleted because it has no users while a user is put into it.
func TestUpdate_DecidesByWhatIsTrue(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.AddKitTenant(kit.Tenant{ID: "t", Code: "Code"}, now) }))
		for round := range 20 {
			department := fmt.Sprintf("d%d", round)
			require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error { return tx.PutKitDepartment("t", kit.Department{OrgCode: department}) }))
			var wg sync.WaitGroup
			wg.Go(func() {
				require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
					_, err := tx.KitTenant("t")
					used, usedErr := tx.KitDepartmentsInUse("t")
					if err := errors.Join(err, usedErr); err != nil {
						return err
					}
					for _, d := range used {
						if d == department {
							return nil
						}
					}
					return tx.DeleteKitDepartment("t", department)
				}))
			})
			wg.Go(func() {
				require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
					tenant, err := tx.KitTenantByCode("cODE")
					if err != nil {
						return err
					}
					for _, d := range tenant.Departments {
						if d.OrgCode == department {
							return tx.PutKitUser(store.KitUser{TenantID: "t", User: kit.User{UserName: "u" + department, OrgCode: department}})
						}
					}
					return nil
				}))
			})
			wg.Wait()
			tenant, err := s.KitTenant(t.Context(), "code")
			require.NoError(t, err)
			_, err = s.KitUser(t.Context(), "t", "u"+department)
			there := false
			for _, d := range tenant.Departments {
				there = there || d.OrgCode == department
			}
			require.Equal(t, there, err == nil, "a user without a department, or the other way round")
		}
	})
}

// TestOnWaits_EndsAsTheDatabaseDoes has updates change the same calls and timers at the same time: the last that is told of each is what
// is true.
func TestOnWaits_EndsAsTheDatabaseDoes(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		calls := []int64{putCall(t, s, "l1"), putCall(t, s, "l2")}
		told := map[string]store.Waits{} // the store tells one after the other
		s.OnWaits(func(changes []store.Waits) {
			for _, w := range changes {
				told[fmt.Sprint(w.Subject, w.CallID)] = w
			}
		})
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for range 20 {
					due := now.Add(time.Duration(rand.IntN(1000)) * time.Second)
					if err := s.Update(t.Context(), func(tx *store.Tx) error {
						c, err := tx.Call(calls[due.Unix()%2])
						if err != nil {
							return err
						}
						c.DueAt = due
						return errors.Join(tx.UpdateCall(c), tx.SetTimer("x/"+strconv.Itoa(int(due.Unix()%3)), due))
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var listed []store.Waits
		require.NoError(t, s.Alone(t.Context(), func(tx *store.Tx) (err error) {
			listed, err = tx.Waiting()
			return err
		}))
		want := map[string]store.Waits{}
		for _, w := range listed {
			want[fmt.Sprint(w.Subject, w.CallID)] = w
		}
		require.Equal(t, want, told)
	})
}

// TestEventsAfter_PassesNone follows the events and attempts while several write them, each transaction ending when it likes.
func TestEventsAfter_PassesNone(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		call := putCall(t, s, "l1")
		const writers, times = 6, 30
		var wg sync.WaitGroup
		var left atomic.Int64
		left.Store(writers)
		broken := errors.New("broken")
		for range writers {
			wg.Go(func() {
				defer left.Add(-1)
				for i := range times {
					err := s.Update(t.Context(), func(tx *store.Tx) error {
						if err := tx.AddEvent(event.Event{Kind: sandboxapi.EventOrderPlaced, Subject: "x", Time: now}); err != nil {
							return err
						}
						if _, err := tx.StartAttempt(store.Attempt{CallID: call, About: store.About{Subject: "l1"}, StartedAt: now}); err != nil {
							return err
						}
						_, err := tx.SKUs() // so that it takes a little
						if i%5 == 0 {
							return errors.Join(err, broken)
						}
						return err
					})
					if err != nil && !errors.Is(err, broken) {
						t.Error(err)
					}
				}
			})
		}
		seen, attempts := 0, 0
		lastEvent, lastAttempt := int64(0), int64(0)
		for over := false; ; {
			events, err := s.EventsAfter(t.Context(), store.EventFilter{}, lastEvent, 7)
			require.NoError(t, err)
			for _, e := range events {
				require.Greater(t, e.ID, lastEvent)
				lastEvent = e.ID
				seen++
			}
			journal, err := s.AttemptsAfter(t.Context(), lastAttempt, nil, 7)
			require.NoError(t, err)
			for _, a := range journal {
				require.Greater(t, a.ID, lastAttempt)
				lastAttempt = a.ID
				attempts++
			}
			if len(events)+len(journal) > 0 {
				continue
			}
			if over {
				break
			}
			over = left.Load() == 0 // one more look
		}
		wg.Wait()
		require.Equal(t, writers*(times-times/5), seen)
		require.Equal(t, seen, attempts)
		latest, err := s.LatestEvent(t.Context())
		require.NoError(t, err)
		require.Equal(t, lastEvent, latest)
		latest, open, err := s.AttemptsNow(t.Context(), 5)
		require.NoError(t, err)
		require.Equal(t, lastAttempt, latest)
		require.Len(t, open, 5)
		require.Equal(t, latest, open[4])
	})
}

func instance(seller, line, id string) lifecycle.Instance {
	return lifecycle.Instance{
		SellerID: seller, ProductCode: "p", BuyerID: "b", OrderID: "o", OrderLineID: line, InstanceID: id, Status: sandboxapi.InstanceReady,
		Intent: sandboxapi.InstanceReady, CreateTime: now,
	}
}

func TestInstanceByID_IsOfASeller(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		put := func(i lifecycle.Instance) error {
			return s.Update(t.Context(), func(tx *store.Tx) error { return tx.PutInstance(i) })
		}
		require.NoError(t, put(instance("a", "l1", "same")))
		require.NoError(t, put(instance("b", "l2", "same")), "another ISV may call its own alike")
		require.Error(t, put(instance("b", "l3", "same")))
		require.NoError(t, put(instance("b", "l3", "")))
		require.NoError(t, put(instance("b", "l4", "")), "those that have none yet")
		for seller, line := range map[string]string{"a": "l1", "b": "l2", "": "l1"} {
			i, err := s.InstanceByID(t.Context(), seller, "same")
			require.NoError(t, err)
			require.Equal(t, line, i.OrderLineID)
		}
		_, err := s.InstanceByID(t.Context(), "c", "same")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

// TestAttempts_KeepWhateverAnISVAnswers holds also where a text cannot be anything: what cannot be kept is marked.
func TestAttempts_KeepWhateverAnISVAnswers(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		call := putCall(t, s, "l1")
		var id int64
		a := store.Attempt{CallID: call, About: store.About{Subject: "l1"}, StartedAt: now, Outcome: sandboxapi.AttemptRefused, ResponseBody: "a\x00b\xff'?1' ü 好"}
		require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) (err error) {
			if id, err = tx.StartAttempt(a); err != nil {
				return err
			}
			a.ID = id
			return tx.FinishAttempt(a)
		}))
		got, err := s.Attempt(t.Context(), id)
		require.NoError(t, err)
		require.Contains(t, []string{a.ResponseBody, "a\uFFFDb\uFFFD'?1' ü 好"}, got.ResponseBody)
	})
}

// TestSnapshot_GoesFromAnyDatabaseToAnyOther carries one of nearly everything.
func TestSnapshot_GoesFromAnyDatabaseToAnyOther(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		from := open(t, database)
		require.NoError(t, from.Update(t.Context(), func(tx *store.Tx) error {
			for _, s := range []string{"z", "a"} {
				if err := tx.PutSeller(catalogue.Seller{ID: s, Keys: catalogue.Keys{AK: s}}); err != nil {
					return err
				}
			}
			product := catalogue.DemoProducts()[0]
			product.SellerID = "z"
			return errors.Join(
				tx.PutProduct(product), tx.PutInstance(instance("z", "l2", "i1")), tx.PutInstance(instance("z", "l1", "")), tx.AddKitTenant(kit.Tenant{ID: "t", Code: "Code"}, now),
				tx.PutKitDepartment("t", kit.Department{OrgCode: "z"}), tx.PutKitDepartment("t", kit.Department{OrgCode: "a"}),
				tx.PutLicenseFile(store.LicenseFile{EventID: "e", LineID: "l1", AskedAt: now}, []byte{0, 1, 255}),
				tx.AddEvent(event.Event{Kind: sandboxapi.EventOrderPlaced, Subject: "x", Time: now}), tx.PutSetting("name", "value"))
		}))
		first, second := putCall(t, from, "l1"), putCall(t, from, "l1")
		require.NoError(t, from.Update(t.Context(), func(tx *store.Tx) error { return tx.SwapCalls(first, second) }))
		file := filepath.Join(t.TempDir(), "snapshot.db")
		require.NoError(t, from.Snapshot(t.Context(), file))

		storetest.Each(t, func(t *testing.T, database string) {
			to := open(t, database)
			id := putCall(t, to, "to be gone")
			require.NoError(t, to.Restore(t.Context(), file))
			if id > second {
				_, err := readCall(t, to, id)
				require.ErrorIs(t, err, store.ErrNotFound)
			}
			instances, err := to.Instances(t.Context(), store.InstanceFilter{}, 10)
			require.NoError(t, err)
			require.Equal(t, []lifecycle.Instance{instance("z", "l1", ""), instance("z", "l2", "i1")}, instances, "in their order")
			tenant, err := to.KitTenant(t.Context(), "CODE")
			require.NoError(t, err)
			require.Equal(t, []kit.Department{{OrgCode: "z"}, {OrgCode: "a"}}, tenant.Departments)
			c, err := readCall(t, to, second)
			require.NoError(t, err)
			require.Equal(t, first, c.Seq, "as they were swapped")
			events, err := to.EventsAfter(t.Context(), store.EventFilter{}, 0, 10)
			require.NoError(t, err)
			require.Len(t, events, 1)
			require.Greater(t, putCall(t, to, "l3"), second)
			require.NoError(t, to.Update(t.Context(), func(tx *store.Tx) error { return tx.PutInstance(instance("z", "l0", "")) }))
			instances, err = to.Instances(t.Context(), store.InstanceFilter{}, 1)
			require.NoError(t, err)
			require.Equal(t, "l0", instances[0].OrderLineID, "what is added later comes later")
		})
	})
}

func readCall(t *testing.T, s *store.Store, id int64) (c store.Call, err error) {
	t.Helper()
	err = s.View(t.Context(), func(tx *store.Tx) error {
		c, err = tx.Call(id)
		return err
	})
	return c, err
}

func TestClose_EndsUpdates(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.PutSetting(t.Context(), "x", "1"))
		require.NoError(t, s.Close())
		require.ErrorIs(t, s.PutSetting(t.Context(), "x", "2"), store.ErrClosed)
		require.NoError(t, s.Close())
	})
}
