package orderbook_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/order"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// shop is a book on a real store, whose ISV answers what a test lets it.
type shop struct {
	*orderbook.Book
	t     *testing.T
	store *store.Store
}

func open(t *testing.T, change ...func(*orderbook.Config)) *shop {
	t.Helper()
	st, err := store.Open(t.Context(), ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	require.NoError(t, st.Update(t.Context(), func(tx *store.Tx) error {
		if err := tx.PutSeller(catalogue.Seller{ID: catalogue.DemoSeller, Address: "http://isv.example.com"}); err != nil {
			return err
		}
		for _, p := range catalogue.DemoProducts() {
			if err := tx.PutProduct(p); err != nil {
				return err
			}
		}
		return tx.PutBuyer(catalogue.DemoBuyer)
	}))
	now := time.Date(2026, 1, 31, 2, 0, 0, 0, time.UTC)
	cfg := orderbook.Config{Store: st, Clock: clock.New(func() time.Time { return now }, 0)}
	for _, f := range change {
		f(&cfg)
	}
	book, err := orderbook.New(cfg)
	require.NoError(t, err)
	return &shop{book, t, st}
}

func (s *shop) buy(sku string) (store.Order, []lifecycle.Instance) {
	s.t.Helper()
	o, instances, err := s.Buy(s.t.Context(), orderbook.Purchase{Lines: []order.Choice{{SKUCode: sku}}})
	require.NoError(s.t, err)
	return o, instances
}

// opened buys and lets the ISV's answers come until the instance is ready.
func (s *shop) opened(sku string) lifecycle.Instance {
	s.t.Helper()
	_, instances := s.buy(sku)
	line := instances[0].OrderLineID
	for range 2 {
		s.end(line, true)
	}
	i, err := s.store.Instance(s.t.Context(), line)
	require.NoError(s.t, err)
	require.Equal(s.t, sandboxapi.InstanceReady, i.Status)
	return i
}

// end ends the oldest pending call of an instance.
func (s *shop) end(line string, succeeded bool) store.Call {
	s.t.Helper()
	calls, err := s.store.Calls(s.t.Context(), line, 100)
	require.NoError(s.t, err)
	for n := len(calls) - 1; n >= 0; n-- {
		if calls[n].Status != sandboxapi.CallPending {
			continue
		}
		require.NoError(s.t, s.store.Update(s.t.Context(), func(tx *store.Tx) error {
			calls[n].Status, calls[n].DueAt = sandboxapi.CallSucceeded, time.Time{}
			if err := tx.UpdateCall(calls[n]); err != nil {
				return err
			}
			return s.Ended(tx, calls[n], delivery.Result{Lifecycle: lifecycle.Answer{InstanceID: "i-" + line}}, succeeded, time.Now())
		}))
		return calls[n]
	}
	s.t.Fatal("no call is pending")
	return store.Call{}
}

func (s *shop) usedUp(line string) error {
	return s.store.Update(s.t.Context(), func(tx *store.Tx) error { return s.UsedUp(tx, line) })
}

func TestBook_Packages(t *testing.T) {
	t.Parallel()
	s := open(t)
	stop := s.opened("demo-package-stop")
	require.Equal(t, lifecycle.Package{Amount: "1000", StopWhenUsedUp: true}, stop.Package)
	require.NoError(t, s.usedUp(stop.OrderLineID))
	require.NoError(t, s.usedUp(stop.OrderLineID), "said twice, it holds once")
	c := s.end(stop.OrderLineID, true)
	require.Equal(t, providerapi.ActivityReleaseInstance, c.Call.Activity, "released at once, without a freeze")
	require.Empty(t, c.Call.OrderID, "nobody unsubscribed")
	i, err := s.store.Instance(t.Context(), stop.OrderLineID)
	require.NoError(t, err)
	require.Equal(t, sandboxapi.InstanceReleased, i.Status)
	require.True(t, i.Package.UsedUp)
	require.NoError(t, s.usedUp(stop.OrderLineID))

	normal := s.opened("demo-package")
	require.NoError(t, s.usedUp(normal.OrderLineID))
	i, err = s.store.Instance(t.Context(), normal.OrderLineID)
	require.NoError(t, err)
	require.True(t, i.Package.UsedUp)
	require.Equal(t, sandboxapi.InstanceReady, i.Intent, "usage goes on by demand")

	var illegal *lifecycle.IllegalMoveError
	require.ErrorAs(t, s.usedUp(s.opened("demo-period").OrderLineID), &illegal)
	require.ErrorIs(t, s.usedUp("nobodys"), store.ErrNotFound)
}

func TestBook_WhatIsNotOnSaleIsNotBought(t *testing.T) {
	t.Parallel()
	s := open(t)
	i := s.opened("demo-period")
	for status, why := range map[catalogue.ProductStatus]string{
		catalogue.Frozen: "probes failed for too long", catalogue.Delisted: "it was delisted", catalogue.Stopped: "stopped selling",
	} {
		require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error {
			p, err := tx.Product("demo")
			if err != nil {
				return err
			}
			p.Status = status
			return tx.PutProduct(p)
		}))
		for _, trial := range []bool{false, true} {
			_, _, err := s.Buy(t.Context(), orderbook.Purchase{Trial: trial, Lines: []order.Choice{{SKUCode: "demo-period"}}})
			var refusal *orderbook.Refusal
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, orderbook.NotOnSale, refusal.Kind)
			require.ErrorContains(t, err, why)
		}
		_, _, err := s.Renew(t.Context(), i.OrderLineID, orderbook.Change{})
		require.NoError(t, err, "what was bought goes on")
	}
	_, _, err := s.Release(t.Context(), i.OrderLineID)
	require.NoError(t, err)

	_, _, err = s.Buy(t.Context(), orderbook.Purchase{Lines: []order.Choice{{SKUCode: "demo-license-period"}}})
	require.ErrorContains(t, err, "sold by licence, which this sandbox does not do")
	require.NoError(t, s.store.Update(t.Context(), func(tx *store.Tx) error { return tx.PutSeller(catalogue.Seller{ID: catalogue.DemoSeller}) }))
	_, _, err = s.Buy(t.Context(), orderbook.Purchase{Lines: []order.Choice{{SKUCode: "demo-kit-period"}}})
	require.ErrorContains(t, err, "does not know the ISV's production address yet")
}

// licences notes what it is to issue.
type licences struct{ issued []string }

func (l *licences) Issue(_ *store.Tx, o store.Order, n int, line order.Line, product catalogue.Product) error {
	l.issued = append(l.issued, fmt.Sprintf("%t %s %s", o.Document.OrderLine[n].OrderLineID == order.LineID(o.OrderID, n+1), line.Product.SKUCode, product.Code))
	return nil
}

func TestBook_LicencesAreIssuedInsteadOfInstances(t *testing.T) {
	t.Parallel()
	l := &licences{}
	s := open(t, func(c *orderbook.Config) { c.Licences = l })
	o, instances := s.buy("demo-license-period")
	require.Empty(t, instances)
	require.Equal(t, []string{"true demo-license-period demo-license"}, l.issued)
	calls, err := s.store.Calls(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, calls)
	require.Equal(t, sandboxapi.OrderCompleted, o.Status, "the code is given out with the order")
}

// TestBook_IDs: the same source gives the same ids, and one that is taken is passed over.
func TestBook_IDs(t *testing.T) {
	t.Parallel()
	seeded := func(c *orderbook.Config) { c.Random = bytes.NewReader(bytes.Repeat([]byte{7}, 32)) }
	s := open(t, seeded)
	first, _ := s.buy("demo-one-time")
	second, _ := s.buy("demo-one-time")
	require.NotEqual(t, first.OrderID, second.OrderID)
	again, _ := open(t, seeded).buy("demo-one-time")
	require.Equal(t, first.OrderID, again.OrderID)

	// The same purchase again, as after a restart with the same seed.
	book, err := orderbook.New(orderbook.Config{Store: s.store, Clock: clock.New(func() time.Time { return first.CreatedAt }, 0), Random: bytes.NewReader(bytes.Repeat([]byte{7}, 32))})
	require.NoError(t, err)
	third, _, err := book.Buy(t.Context(), orderbook.Purchase{Lines: []order.Choice{{SKUCode: "demo-one-time"}}})
	require.NoError(t, err)
	require.NotContains(t, []string{first.OrderID, second.OrderID}, third.OrderID)

	_, err = orderbook.New(orderbook.Config{Random: strings.NewReader("too short")})
	require.ErrorContains(t, err, "random source")
}

// TestBook_FailedCreationIsUnsubscribed: the marketplace gives the money back on its own.
func TestBook_FailedCreationIsUnsubscribed(t *testing.T) {
	t.Parallel()
	s := open(t)
	o, instances, err := s.Buy(t.Context(), orderbook.Purchase{DiscountPercent: 50, Lines: []order.Choice{{SKUCode: "demo-period"}}})
	require.NoError(t, err)
	line := instances[0].OrderLineID
	s.end(line, true)
	s.end(line, false) // queryInstance never says that it is ready
	release := s.end(line, true)
	require.Equal(t, providerapi.ActivityReleaseInstance, release.Call.Activity)
	refund, err := s.store.Order(t.Context(), release.Call.OrderID)
	require.NoError(t, err)
	require.Equal(t, "-100", refund.Document.OrderLine[0].Currency)
	require.Equal(t, "-50", refund.Document.OrderLine[0].CurrencyAfterDiscount)
	require.Equal(t, sandboxapi.OrderCompleted, refund.Status)
	failed, err := s.store.Order(t.Context(), o.OrderID)
	require.NoError(t, err)
	require.Equal(t, sandboxapi.OrderFailed, failed.Status)
}

// asker is an ISV that is asked at once.
type asker func(c lifecycle.Call) delivery.Result

func (a asker) Ask(_ context.Context, _ store.About, c lifecycle.Call, _ bool) (store.Call, delivery.Result, error) {
	return store.Call{ID: 1}, a(c), nil
}

// TestBook_WhatTheISVAllowedIsLookedAtAgain: between its answer and the order the instance may have changed.
func TestBook_WhatTheISVAllowedIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	var s *shop
	var line string
	s = open(t, func(c *orderbook.Config) {
		c.Asker = asker(func(lifecycle.Call) delivery.Result {
			_, _, err := s.Release(t.Context(), line)
			require.NoError(t, err)
			return delivery.Result{Outcome: sandboxapi.AttemptSucceeded, ResultCode: "000000"}
		})
	})
	line = s.opened("demo-period").OrderLineID
	_, _, err := s.Renew(t.Context(), line, orderbook.Change{Quantity: 4})
	var illegal *lifecycle.IllegalMoveError
	require.ErrorAs(t, err, &illegal)
	orders, err := s.store.Orders(t.Context(), store.OrderFilter{Type: "RENEW"}, 10)
	require.NoError(t, err)
	require.Empty(t, orders)
}
