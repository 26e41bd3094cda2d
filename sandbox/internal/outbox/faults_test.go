package outbox_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/outbox"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// bench is an outbox with a store in memory, a clock that stands, and an ISV that says yes and remembers what it was asked.
type bench struct {
	*outbox.Outbox
	t     *testing.T
	store *store.Store
	clock *clock.Clock

	mu  sync.Mutex
	got []string
}

func newBench(t *testing.T, rules ...fault.Rule) *bench {
	t.Helper()
	b := &bench{t: t}
	isv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var call struct{ Activity, OrgCode, TenantCode string }
		_ = json.Unmarshal(body, &call)
		b.mu.Lock()
		b.got = append(b.got, call.Activity+call.OrgCode+call.TenantCode)
		b.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"resultCode":"000000","resultMsg":"success"}`)
	}))
	t.Cleanup(isv.Close)
	var err error
	b.store, err = store.Open(t.Context(), ":memory:")
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.store.Close() })
	b.clock = clock.New(nil, 0)
	b.clock.Hold()
	require.NoError(t, b.store.Update(t.Context(), func(tx *store.Tx) error {
		for _, p := range catalogue.DemoProducts() {
			if p.Code == "demo" {
				require.NoError(t, tx.PutSeller(catalogue.Seller{
					ID: catalogue.DemoSeller, Address: isv.URL, Keys: catalogue.Keys{AK: "ak", SK: "sk", Base: "base-key", Kit: "kit-key"},
				}))
				require.NoError(t, tx.PutProduct(p))
			}
		}
		for _, r := range rules {
			require.NoError(t, r.Check())
			if _, err := tx.PutFault(r); err != nil {
				return err
			}
		}
		return nil
	}))
	b.Outbox = outbox.New(b.store, b.clock, delivery.NewSender(isv.Client(), nil), slog.New(slog.DiscardHandler))
	return b
}

func (b *bench) received() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}

var about = store.About{Subject: "kit/t-1", SellerID: catalogue.DemoSeller, ProductCode: "demo"}

func tenant(code string) lifecycle.Call {
	return lifecycle.Call{Activity: "tenantSync", Body: providerapi.TenantSyncCall{
		TenantID: "t-1", TenantCode: code, Name: "n", DomainName: "https://t.example.com", Flag: providerapi.FlagAdd,
	}}
}

func org(code string) lifecycle.Call {
	return lifecycle.Call{Activity: "singleOrgSync", Body: providerapi.SingleOrgSyncCall{TenantID: "t-1", OrgCode: code, OrgName: "n", Flag: providerapi.FlagAdd}}
}

// add queues calls and gives their ids.
func (b *bench) add(calls ...lifecycle.Call) (ids []int64) {
	b.t.Helper()
	require.NoError(b.t, b.store.Update(b.t.Context(), func(tx *store.Tx) error {
		for _, c := range calls {
			now := b.clock.Now()
			id, err := tx.AddCall(store.Call{About: about, Call: c, Status: sandboxapi.CallPending, CreatedAt: now, StartedAt: now, DueAt: now})
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	}))
	return ids
}

func (b *bench) call(id int64) (call store.Call) {
	b.t.Helper()
	require.NoError(b.t, b.store.Update(b.t.Context(), func(tx *store.Tx) (err error) {
		call, err = tx.Call(id)
		return err
	}))
	return call
}

func TestDeliver_AKitCallThatIsPassed(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.Rule{ID: "f", Kind: fault.Reorder, First: 9})
	ids := b.add(tenant("a"), org("b"))
	require.NoError(t, b.Deliver(t.Context(), ids[0]))
	require.Empty(t, b.received(), "the other one is first now")
	require.Greater(t, b.call(ids[0]).Seq, b.call(ids[1]).Seq)
	require.NoError(t, b.Deliver(t.Context(), ids[1]))
	require.Equal(t, []string{"b"}, b.received(), "what has passed is not passed back")
	require.NoError(t, b.Deliver(t.Context(), ids[0]))
	require.Equal(t, []string{"a"}, b.received())
	attempts, err := b.store.Attempts(t.Context(), store.AttemptFilter{CallID: ids[0]}, 10)
	require.NoError(t, err)
	require.Len(t, attempts, 1)
	require.Equal(t, "reorder", attempts[0].Fault)
}

func TestDeliver_DelaysOnTheSandboxClock(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.Rule{ID: "f", Kind: fault.Delay, Delay: 2 * time.Hour})
	id := b.add(tenant("a"))[0]
	due := b.clock.Now().Add(2 * time.Hour)
	require.NoError(t, b.Deliver(t.Context(), id))
	require.Empty(t, b.received())
	require.WithinDuration(t, due, b.call(id).DueAt, time.Millisecond)
	b.clock.Set(due)
	require.NoError(t, b.Deliver(t.Context(), id))
	require.Equal(t, []string{"a"}, b.received())
	require.Equal(t, sandboxapi.CallSucceeded, b.call(id).Status)
}

// TestAsk_IsNotPutOff, but disturbed in every other way; a debug call is left alone.
func TestAsk_IsNotPutOff(t *testing.T) {
	t.Parallel()
	b := newBench(t,
		fault.Rule{ID: "late", Kind: fault.Delay, First: 9}, fault.Rule{ID: "order", Kind: fault.Reorder, First: 9},
		fault.Rule{ID: "twice", Kind: fault.Duplicate, First: 9}, fault.Rule{ID: "lost", Kind: fault.DropAnswer, First: 1},
	)
	b.add(org("waiting"))
	_, r, err := b.Ask(t.Context(), about, tenant("debug"), true)
	require.NoError(t, err)
	require.Equal(t, sandboxapi.AttemptSucceeded, r.Outcome)
	require.Equal(t, []string{"debug"}, b.received())

	call, r, err := b.Ask(t.Context(), about, tenant("real"), false)
	require.NoError(t, err)
	require.Equal(t, sandboxapi.AttemptTimeout, r.Outcome)
	require.Equal(t, sandboxapi.CallFailed, call.Status)
	require.Equal(t, []string{"real", "real"}, b.received())
	attempts, err := b.store.Attempts(t.Context(), store.AttemptFilter{CallID: call.ID}, 10)
	require.NoError(t, err)
	require.Len(t, attempts, 2)
	require.Equal(t, []string{"duplicate", "drop-answer"}, []string{attempts[0].Fault, attempts[1].Fault})
	require.Equal(t, []int{1, 1}, []int{attempts[0].Number, attempts[1].Number})
}

// TestDeliver_StoppedBeforeTheExtras: the attempt counts, and what was not made is not made up for.
func TestDeliver_StoppedBeforeTheExtras(t *testing.T) {
	t.Parallel()
	b := newBench(t, fault.Rule{ID: "twice", Kind: fault.Duplicate})
	id := b.add(tenant("a"))[0]
	ctx, cancel := context.WithCancel(t.Context())
	b.Handle("kit", ending{cancel})
	require.ErrorIs(t, b.Deliver(ctx, id), context.Canceled)
	require.Equal(t, []string{"a"}, b.received())
	require.Equal(t, sandboxapi.CallSucceeded, b.call(id).Status)
}

// ending stops the outbox at the end of a call.
type ending struct{ stop func() }

func (ending) Accept(*store.Tx, store.Call, *delivery.Result) error { return nil }

func (e ending) Ended(*store.Tx, store.Call, delivery.Result, bool, time.Time) error {
	e.stop()
	return nil
}

// TestDeliver_LeavesAloneWhatHasEnded is about a call that ended without the queue being told, because nobody knew: it is told now, and
// the ISV is not.
func TestDeliver_LeavesAloneWhatHasEnded(t *testing.T) {
	b := newBench(t)
	id := b.add(tenant("a"))[0]
	require.NoError(t, b.Deliver(t.Context(), id))
	require.Equal(t, []string{"a"}, b.received())
	var told []store.Waits
	b.store.OnWaits(func(changes []store.Waits) { told = append(told, changes...) })
	require.NoError(t, b.Deliver(t.Context(), id))
	require.Empty(t, b.received())
	require.Equal(t, []store.Waits{{Subject: "kit/t-1", Seller: b.call(id).SellerID, CallID: id, Seq: b.call(id).Seq}}, told)
	require.Equal(t, 1, b.call(id).Attempts)
}
