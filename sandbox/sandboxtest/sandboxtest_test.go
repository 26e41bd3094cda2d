package sandboxtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/sandboxtest"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

func TestMarket_AYearOfLife(t *testing.T) {
	t.Parallel()
	m := sandboxtest.Start(t, sandboxtest.ProviderFunc(newCRM))
	order := m.Buy(t, sandboxtest.Period(1, "year"), sandboxtest.Quantity(3), sandboxtest.Param("ip", "10.0.0.1"))
	order.Is(t, sandboxtest.OrderCompleted)
	inst := order.Ready(t)
	require.NotEmpty(t, inst.ID(t))
	require.Equal(t, 3, inst.State(t).Quantity)

	inst.Renew(t, 1, "year").Is(t, sandboxtest.OrderCompleted)
	inst.Upgrade(t, sandboxtest.SKU("demo-period-pro")).Is(t, sandboxtest.OrderCompleted)
	inst.Freeze(t)
	inst.Is(t, sandboxtest.Frozen)
	inst.Unfreeze(t)
	m.Advance(t, 2*366*24*time.Hour)
	inst.Is(t, sandboxtest.Frozen)
	inst.Renew(t, 1, "month")
	inst.Is(t, sandboxtest.Ready)
	inst.Release(t).Is(t, sandboxtest.OrderCompleted)
	inst.Is(t, sandboxtest.Released)
	var activities []string
	for _, c := range m.Calls(t, inst) {
		activities = append(activities, c.Activity)
	}
	require.Equal(t, []string{
		"newInstance", "queryInstance", "refreshInstance", "upgradeInstance", "updateInstanceStatus", "updateInstanceStatus", "updateInstanceStatus",
		"refreshInstance", "updateInstanceStatus", "releaseInstance",
	}, activities)
	require.Len(t, m.Attempts(t, inst), len(activities))
}

func TestMarket_WhatCanBeBought(t *testing.T) {
	t.Parallel()
	m := sandboxtest.Start(t, sandboxtest.ProviderFunc(newCRM))
	require.Equal(t, "PERIOD", m.Buy(t).Ready(t).State(t).ChargingMode)
	require.Equal(t, "ONE_TIME", m.Buy(t, sandboxtest.OneTime()).Ready(t).State(t).ChargingMode)
	require.Equal(t, "ON_DEMAND_PKG", m.Buy(t, sandboxtest.Package()).Ready(t).State(t).ChargingMode)
	trial := m.Buy(t, sandboxtest.Trial(14)).Ready(t)
	require.True(t, trial.State(t).Trial)
	trial.Formal(t, 1, "year")
	require.False(t, trial.State(t).Trial)
	two := m.Buy(t, sandboxtest.Line(sandboxtest.Period(1, "month")), sandboxtest.Line(sandboxtest.OneTime())).Instances()
	require.Len(t, two, 2)
	two[0].Is(t, sandboxtest.Ready)
	two[1].Is(t, sandboxtest.Ready)
	project := m.Buy(t, sandboxtest.SKU("demo-accept-one-time"))
	require.Empty(t, m.Calls(t, project.Instance()))
	project.Accept(t).Ready(t)
}

func TestMarket_Usage(t *testing.T) {
	t.Parallel()
	m := sandboxtest.Start(t, sandboxtest.ProviderFunc(newCRM))
	meter := m.Buy(t, sandboxtest.OnDemand()).Ready(t)
	m.Advance(t, 2*time.Hour)
	_, err := m.Client(t).PushUsage(t.Context(), []marketplaceapi.UsageRecord{{
		InstanceID: meter.ID(t), MeteringSN: "sn-1", UsageValue: "3", BeginTime: marketplace.FormatTime(m.Now().Add(-time.Hour)),
		EndTime: marketplace.FormatTime(m.Now()), RecordTime: marketplace.FormatTime(m.Now()),
	}})
	require.NoError(t, err)
	usage := m.Usage(t)
	require.Len(t, usage, 1)
	require.True(t, usage[0].Accepted)
}

func TestMarket_Faults(t *testing.T) {
	t.Parallel()
	m := sandboxtest.Start(t, sandboxtest.ProviderFunc(newCRM))
	m.Fault(t, sandboxtest.Fault{Kind: sandboxapi.FaultDropAnswer, Activity: "newInstance"})
	order := m.Buy(t)
	order.Instance().Is(t, sandboxtest.Creating)
	m.Advance(t, 61*time.Minute)
	order.Ready(t)
	m.Fault(t, sandboxtest.Fault{Kind: sandboxapi.FaultCut, First: 100})
	m.NoFaults(t)
	m.Buy(t).Ready(t)
}

func TestMarket_Clock(t *testing.T) {
	t.Parallel()
	leap := time.Date(2028, 2, 29, 3, 0, 0, 0, time.UTC)
	held := sandboxtest.Start(t, sandboxtest.ProviderFunc(newCRM), sandboxtest.StartingAt(leap), sandboxtest.Held())
	require.Equal(t, leap, held.Now())
	inst := held.Buy(t, sandboxtest.Period(1, "year")).Ready(t)
	require.Equal(t, time.Date(2029, 2, 28, 15, 59, 59, 0, time.UTC), inst.State(t).ExpireTime)
	held.Until(t, time.Date(2029, 2, 28, 15, 59, 58, 0, time.UTC))
	inst.Is(t, sandboxtest.Ready)
	held.Advance(t, 2*time.Second)
	inst.Is(t, sandboxtest.Frozen)
	require.Equal(t, time.Date(2029, 2, 28, 16, 0, 0, 0, time.UTC), held.Now(), "it stands between the moves")

	past := sandboxtest.Start(t, sandboxtest.StartingAt(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)))
	require.WithinDuration(t, time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), past.Now(), time.Minute)
	first := past.Now()
	require.Eventually(t, func() bool { return past.Now().After(first) }, 5*time.Second, time.Millisecond, "it runs")
}

func TestMarket_ProviderElsewhere(t *testing.T) {
	t.Parallel()
	keys := sandbox.Keys{BaseKey: "chosen-base-key", AK: "chosen-ak", SK: "chosen-sk"}
	var handler http.Handler
	isv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(isv.Close)
	m := sandboxtest.Start(t, sandboxtest.ProviderURL(isv.URL+"/saasproduce"), sandboxtest.WithKeys(keys))
	require.Equal(t, "chosen-base-key", m.Keys().BaseKey)
	require.NotEmpty(t, m.Keys().KitKey, "those left empty are random")
	handler = newCRM(sandboxtest.Env{MarketURL: m.URL, Keys: m.Keys(), Client: m.Client(t)})
	m.Buy(t).Ready(t)
	nobody := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(nobody.Close)
	m.SetProvider(t, nobody.URL)
	m.Buy(t).Instance().Is(t, sandboxtest.Creating)
}

// failing is a test that fails without failing this one.
type failing struct {
	testing.TB
	ctx context.Context
	log strings.Builder
}

type stopped struct{}

func (f *failing) Helper()                  {}
func (f *failing) Context() context.Context { return f.ctx }
func (f *failing) Fatalf(format string, args ...any) {
	fmt.Fprintf(&f.log, format, args...)
	panic(stopped{})
}

// fails runs something that ends its test, and gives what the log says.
func fails(t *testing.T, do func(t testing.TB)) string {
	t.Helper()
	f := &failing{TB: t, ctx: t.Context()}
	func() {
		defer func() {
			if _, ours := recover().(stopped); !ours {
				t.Error("expected the test to end")
			}
		}()
		do(f)
	}()
	return f.log.String()
}

// TestMarket_TellsWhyATestFails: what was sent, what came, and why it was judged as it was.
func TestMarket_TellsWhyATestFails(t *testing.T) {
	t.Parallel()
	m := sandboxtest.Start(t, sandboxtest.Provider(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"resultCode":"000005","resultMsg":"disk full"}`)
	})))
	order := m.Buy(t, sandboxtest.OneTime())
	log := fails(t, func(t testing.TB) { order.Ready(t) })
	line := order.Instance().Line
	require.Contains(t, log, "instance of order line "+line+": expected ready, got creating")
	require.Contains(t, log, "What the journal says about order line "+line)
	require.Contains(t, log, "newInstance, attempt 1: refused, result code 000005")
	require.Contains(t, log, `sent  {"activity":"newInstance"`)
	require.Contains(t, log, `got   HTTP 200, application/json: {"resultCode":"000005","resultMsg":"disk full"}`)
	require.NotContains(t, log, m.Keys().BaseKey)

	require.Contains(t, fails(t, func(t testing.TB) { order.Instance().Renew(t, 1, "year") }), "the marketplace refuses: illegal move: ")
	require.Contains(t, fails(t, func(t testing.TB) { order.Is(t, sandboxtest.OrderCompleted) }), "expected completed, got processing")
	require.Contains(t, fails(t, func(t testing.TB) { order.Instance().ID(t) }), "the ISV has given it no id")
	require.Contains(t, fails(t, func(t testing.TB) { m.Buy(t, sandboxtest.SKU("none")) }), "the marketplace refuses: invalid: ")
	require.Contains(t, fails(t, func(t testing.TB) { m.Until(t, time.Now().Add(-time.Hour)) }), "the clock shows")
	require.Contains(t, fails(t, func(t testing.TB) { m.Fault(t, sandboxtest.Fault{Kind: "explode"}) }), "the marketplace refuses: invalid")
}

// TestMarket_RefusesWhatMakesNoSense: a slip in a test is told, and not taken for something else.
func TestMarket_RefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	m := sandboxtest.Start(t, sandboxtest.Provider(http.NotFoundHandler()))
	require.Contains(t, fails(t, func(t testing.TB) { m.Buy(t, sandboxtest.Period(1, "yeer")) }), `period "1yeer": expected`)
	require.Contains(t, fails(t, func(t testing.TB) { m.Advance(t, -time.Hour) }), "the clock only moves forward")
}
