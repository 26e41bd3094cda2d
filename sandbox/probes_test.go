package sandbox_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sdk/provider"
)

// wholeISV is an ISV made with the SDK that offers everything, as far as debug calls can see: they never reach it.
type wholeISV struct {
	*rightISV
	provider.Kit
	provider.Upgrader
	provider.ChangeChecker
	provider.OrderNotified
	provider.Licenser
}

// startWhole starts a sandbox, and an ISV that has all of its keys.
func startWhole(t *testing.T) *market {
	t.Helper()
	m := start(t, "")
	keys := m.Keys()
	h, err := provider.NewHandler(wholeISV{rightISV: newRightISV(t)}, provider.Config{
		BaseKeys: []string{keys.BaseKey}, KitKeys: []string{keys.KitKey}, GeneralKeys: []string{keys.GeneralKey}, LicenseKeys: []string{keys.LicenseKey},
		KitSecret: kitRSA(), V1: provider.V1Config{Keys: []string{keys.BaseKey}, Leeway: time.Minute}, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	m.ok("PUT", "/v1/provider", sandboxapi.ProviderSettings{ProductionAddress: server.URL + "/saasproduce"}, nil)
	return m
}

// ok calls the control API and wants it to do what it is asked for.
func (m *market) ok(method, path string, body, v any) {
	m.t.Helper()
	status, detail := m.call(method, path, body, v)
	require.Less(m.t, status, 300, "%s %s: %s", method, path, detail)
}

func (m *market) cases(product string) (o sandboxapi.CaseOverview) {
	m.t.Helper()
	m.ok("GET", "/v1/products/"+product+"/cases", nil, &o)
	return o
}

// startAt starts the clock at a time in Beijing.
func startAt(t *testing.T, text string) func(*sandbox.Config) {
	t.Helper()
	now, err := time.ParseInLocation("2006-01-02 15:04:05", text, time.FixedZone("", 8*3600))
	require.NoError(t, err)
	return func(cfg *sandbox.Config) { cfg.Now = func() time.Time { return now } }
}

// TestCases_EveryDemoProduct debugs and saves what each product needs, by V2, V1, kit and licence.
func TestCases_EveryDemoProduct(t *testing.T) {
	t.Parallel()
	m := startWhole(t)
	for _, product := range []string{"demo", "demo-accept", "demo-v1", "demo-notify", "demo-license"} {
		before := m.cases(product)
		require.Empty(t, before.Cases)
		require.NotEmpty(t, before.Missing)
		require.Equal(t, sandboxapi.ProductOnSale, before.Status, "a fresh sandbox sells without cases")
		require.True(t, before.NextProbeTime.IsZero(), "and nothing is probed then")

		var list sandboxapi.CaseResultList
		m.ok("POST", "/v1/products/"+product+"/cases/defaults", nil, &list)
		require.True(t, list.Passed, "%s: %+v", product, list.Results)
		require.Len(t, list.Results, len(before.Missing))
		after := m.cases(product)
		require.Empty(t, after.Missing)
		require.Len(t, after.Cases, len(before.Missing))
		require.False(t, after.NextProbeTime.IsZero())

		m.ok("POST", "/v1/products/"+product+"/probe", nil, &list)
		require.True(t, list.Passed, "%s again: %+v", product, list.Results)
		require.True(t, m.cases(product).LastProbePassed)
	}

	// A kit product needs its public key first.
	var list sandboxapi.CaseResultList
	m.ok("POST", "/v1/products/demo-kit/cases/defaults", nil, &list)
	require.False(t, list.Passed)
	missing := m.cases("demo-kit").Missing
	require.Len(t, missing, 1)
	require.Equal(t, "applicationSync", missing[0].Activity)
	m.ok("PUT", "/v1/products/demo-kit/kit-public-key", sandboxapi.KitPublicKey{KitPublicKey: kitRSA().PublicKeyText()}, nil)
	var result sandboxapi.CaseResult
	m.ok("POST", "/v1/products/demo-kit/cases", sandboxapi.CaseRequest{Activity: "applicationSync", Parameters: map[string]any{"clientSecret": "typed in clear"}}, &result)
	require.True(t, result.Passed, "%v", result.Problems)
	require.Empty(t, m.cases("demo-kit").Missing)
	for _, c := range m.cases("demo-kit").Cases {
		if c.Activity == "applicationSync" {
			require.Equal(t, "(encrypted)", c.Parameters["clientSecret"])
		}
	}

	// Calls as V1 names them went out as V1 has them.
	var attempts sandboxapi.AttemptList
	m.ok("GET", "/v1/attempts?limit=1000", nil, &attempts)
	seen := map[string]int{}
	for _, a := range attempts.Attempts {
		require.Equal(t, sandboxapi.AttemptSucceeded, a.Outcome, "%s: %s", a.URL, a.Detail)
		for _, activity := range []string{"expireInstance", "instanceStatus", "upgrade", "newInstance"} {
			if containsParam(a.URL, "activity", activity) && containsParam(a.URL, "testFlag", "1") {
				seen[activity]++
			}
		}
	}
	require.Len(t, seen, 4, "%v", seen)
	require.Empty(t, m.events("kind=notification"), "debug calls are no news")
}

func containsParam(address, name, value string) bool {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	return err == nil && req.URL.Query().Get(name) == value
}

func TestCases_OnlyWhatPassesIsSaved(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	const path = "/v1/products/demo-accept/cases"
	debug := func(answer string) (r sandboxapi.CaseResult) {
		isv.says(func(map[string]any, int) string { return answer })
		m.ok("POST", path, sandboxapi.CaseRequest{Activity: "newInstance", Scene: "ONE_TIME"}, &r)
		require.Equal(t, r.Passed, r.Saved)
		require.Equal(t, r.Passed, len(r.Problems) == 0)
		require.NotZero(t, r.CallID)
		return r
	}
	for answer, want := range map[string]string{
		`{"resultCode":"000005","resultMsg":"down"}`:                  "000005",
		`{"resultCode":"000004","resultMsg":"soon","instanceId":"i"}`: "000000",
		`{"resultCode":"000000","resultMsg":"success"}`:               "instanceId",
		`<html>`: "JSON",
		`{"resultCode":"000000","resultMsg":"x","instanceId":"` + longText(65) + `"}`: "64",
	} {
		r := debug(answer)
		require.False(t, r.Passed, answer)
		require.Contains(t, fmt.Sprint(r.Problems), want)
	}
	require.Empty(t, m.cases("demo-accept").Cases)
	require.True(t, debug(`{"resultCode":"000000","resultMsg":"success","instanceId":"i-1"}`).Passed)
	require.Len(t, m.cases("demo-accept").Cases, 1)
	got := isv.got("newInstance")
	require.Equal(t, "1", got[len(got)-1]["testFlag"])
	require.Equal(t, "MOCKONETIMENEW", got[len(got)-1]["orderId"])

	// It replaces the one before; one that fails replaces nothing.
	var r sandboxapi.CaseResult
	m.ok("POST", path, sandboxapi.CaseRequest{Activity: "newInstance", Scene: "ONE_TIME", Parameters: map[string]any{"orderId": "CS2211181819B4LVS"}}, &r)
	require.True(t, r.Saved)
	require.False(t, debug(`{"resultCode":"000001","resultMsg":"no"}`).Saved)
	saved := m.cases("demo-accept").Cases
	require.Len(t, saved, 1)
	require.Equal(t, map[string]any{"orderId": "CS2211181819B4LVS", "orderLineId": "CS2211181819B4LVS-000001"}, saved[0].Parameters)

	for _, tc := range []struct {
		method, path string
		body         any
		status       int
		want         string
	}{
		{"POST", path, sandboxapi.CaseRequest{Activity: "refreshInstance"}, 400, "it has newInstance ONE_TIME, queryInstance, releaseInstance"},
		{"POST", path, sandboxapi.CaseRequest{Activity: "queryInstance", Parameters: map[string]any{"nonsense": 1}}, 400, "nonsense cannot be chosen"},
		{"POST", "/v1/products/nothing/cases", sandboxapi.CaseRequest{Activity: "queryInstance"}, 404, "nothing of that id"},
		{"GET", "/v1/products/nothing/cases", nil, 404, "nothing of that id"},
		{"POST", "/v1/products/nothing/cases/defaults", nil, 404, "nothing of that id"},
		{"POST", "/v1/products/demo/probe", nil, 409, "no saved debug case"},
		{"PUT", "/v1/products/demo/status", sandboxapi.ProductStatusChange{Status: "gone"}, 400, "expected on-sale"},
		{"PUT", "/v1/products/nothing/status", sandboxapi.ProductStatusChange{Status: "on-sale"}, 404, "nothing of that id"},
	} {
		status, detail := m.call(tc.method, tc.path, tc.body, nil)
		require.Equal(t, tc.status, status, "%s %s: %s", tc.method, tc.path, detail)
		require.Contains(t, detail, tc.want)
	}
}

func longText(n int) string { return fmt.Sprintf("%0*d", n, 0) }

// TestProbes_FiveDaysFreezeAndOneGoodProbeBringsBack is the story of an ISV that is down for a week.
func TestProbes_FiveDaysFreezeAndOneGoodProbeBringsBack(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	down := atomic.Bool{}
	isv.says(func(call map[string]any, _ int) string {
		if down.Load() && call["testFlag"] == "1" {
			return `{"resultCode":"000005","resultMsg":"down"}`
		}
		return right(call)
	})
	// Now is 14:00; the first probe is the one of 15:00.
	m := start(t, isv.URL, startAt(t, "2026-03-01 14:00:00"))
	line := m.buy("demo-period")
	m.is(line, sandboxapi.InstanceReady)
	var list sandboxapi.CaseResultList
	m.ok("POST", "/v1/products/demo/cases/defaults", nil, &list)
	require.True(t, list.Passed, "%+v", list.Results)
	saved := len(list.Results)
	debugged := len(isv.debugged())
	require.Equal(t, saved, debugged)
	m.advance("1h")
	require.Len(t, isv.debugged(), 2*saved, "the probe of 15:00")
	require.True(t, m.cases("demo").LastProbePassed)

	down.Store(true)
	m.advance("4d23h") // fourteen o'clock on the fifth day after the last good probe
	o := m.cases("demo")
	require.Equal(t, sandboxapi.ProductOnSale, o.Status)
	require.Equal(t, 5, o.FailedDays)
	require.Len(t, m.events("kind=probe-failed"), 9)
	m.buy("demo-one-time")

	m.advance("1h")
	require.Equal(t, sandboxapi.ProductFrozen, m.cases("demo").Status)
	require.Len(t, m.events("kind=product-frozen"), 1)
	status, detail := m.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-one-time"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "frozen")
	m.buy("demo-accept-one-time") // another product is not concerned
	m.ok("POST", "/v1/instances/"+line+"/renew", sandboxapi.Renewal{Period: "1y"}, nil)
	m.is(line, sandboxapi.InstanceReady)

	m.advance("2d")
	require.Equal(t, sandboxapi.ProductFrozen, m.cases("demo").Status)
	down.Store(false)
	m.advance("18h") // over nine o'clock
	require.Equal(t, sandboxapi.ProductOnSale, m.cases("demo").Status)
	require.Len(t, m.events("kind=probe-recovered"), 1)
	require.Len(t, m.events("kind=product-on-sale"), 1)
	m.buy("demo-one-time")

	// The afternoon goes backwards.
	probed := isv.debugged()
	first := probed[len(probed)-saved:]
	m.advance("6h")
	then := isv.debugged()[len(probed):]
	require.Len(t, then, saved)
	for i := range first {
		require.Equal(t, first[i], then[saved-1-i])
	}
}

// debugged lists the debug calls that came, in their order.
func (i *isv) debugged() (calls []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, c := range i.calls {
		if c["testFlag"] == "1" {
			calls = append(calls, fmt.Sprint(c["activity"], c["orderId"], c["scene"], c["status"]))
		}
	}
	return calls
}

func TestProbes_ThirtyDaysFrozenDelist(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL, startAt(t, "2026-03-01 14:00:00"))
	m.ok("POST", "/v1/products/demo-accept/cases/defaults", nil, nil)
	isv.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"down"}` })
	m.advance("5d")
	require.Equal(t, sandboxapi.ProductOnSale, m.cases("demo-accept").Status)
	m.advance("1h")
	require.Equal(t, sandboxapi.ProductFrozen, m.cases("demo-accept").Status)
	m.advance("29d23h59m")
	require.Equal(t, sandboxapi.ProductFrozen, m.cases("demo-accept").Status)
	m.advance("2m")
	o := m.cases("demo-accept")
	require.Equal(t, sandboxapi.ProductDelisted, o.Status)
	require.True(t, o.NextProbeTime.IsZero(), "delisted products are not probed")
	n := len(isv.debugged())
	m.advance("10d")
	require.Len(t, isv.debugged(), n)

	// Back on sale by hand, and stopped.
	isv.says(func(call map[string]any, _ int) string { return right(call) })
	m.ok("PUT", "/v1/products/demo-accept/status", sandboxapi.ProductStatusChange{Status: "on-sale"}, &o)
	require.Equal(t, sandboxapi.ProductOnSale, o.Status)
	require.Zero(t, o.FailedDays)
	m.advance("24h")
	require.Len(t, isv.debugged(), n+6, "probed again, twice a day")
	m.ok("PUT", "/v1/products/demo-accept/status", sandboxapi.ProductStatusChange{Status: "stopped"}, nil)
	require.True(t, m.cases("demo-accept").NextProbeTime.IsZero())
	m.advance("48h")
	require.Len(t, isv.debugged(), n+6, "stopped products are not probed")
	status, _ := m.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-accept-one-time"}, nil)
	require.Equal(t, http.StatusConflict, status)

	// What has no cases needs to be told so.
	m.ok("PUT", "/v1/products/demo-notify/status", sandboxapi.ProductStatusChange{Status: "stopped"}, nil)
	status, detail := m.call("PUT", "/v1/products/demo-notify/status", sandboxapi.ProductStatusChange{Status: "on-sale"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "newInstance ONE_TIME, queryInstance, releaseInstance, orderNotify")
	m.ok("PUT", "/v1/products/demo-notify/status", sandboxapi.ProductStatusChange{Status: "on-sale", WithoutCases: true}, nil)
	require.Equal(t, sandboxapi.ProductOnSale, m.cases("demo-notify").Status)
}

// TestProducts_MoreThanFiveFailedOrdersInAMonthDelist counts over the end of a month in Beijing.
func TestProducts_MoreThanFiveFailedOrdersInAMonthDelist(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"down"}` })
	// Orders fail three hours after they are placed.
	m := start(t, isv.URL, startAt(t, "2026-03-31 17:00:00"))
	fail := func(n int) {
		t.Helper()
		for range n {
			m.buy("demo-one-time")
		}
		m.advance("4h")
	}
	fail(5) // at 20:00
	o := m.cases("demo")
	require.Equal(t, 5, o.FailedOrders)
	require.Equal(t, sandboxapi.ProductOnSale, o.Status, "five are not too many")
	require.Len(t, m.events("kind=order-failed"), 5)
	fail(0) // 01:00 in April
	require.Equal(t, 0, m.cases("demo").FailedOrders, "a new month")
	fail(5)
	require.Equal(t, sandboxapi.ProductOnSale, m.cases("demo").Status, "ten in all, but five in each month")
	fail(1)
	o = m.cases("demo")
	require.Equal(t, sandboxapi.ProductDelisted, o.Status)
	require.Equal(t, 6, o.FailedOrders)
	told := m.events("kind=product-delisted")
	require.Len(t, told, 1)
	require.Contains(t, told[0].Text, "6 of its orders failed")
	status, detail := m.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-one-time"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "delisted")

	// Put on sale again, it begins to count anew in the same month.
	m.ok("PUT", "/v1/products/demo/status", sandboxapi.ProductStatusChange{Status: "on-sale", WithoutCases: true}, &o)
	require.Zero(t, o.FailedOrders)
	fail(5)
	require.Equal(t, sandboxapi.ProductOnSale, m.cases("demo").Status)
}

// TestProducts_AChangeOfTheListingKeepsTheStatus: who changes a name does not put on sale what was delisted.
func TestProducts_AChangeOfTheListingKeepsTheStatus(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	m.ok("PUT", "/v1/products/demo-accept/status", sandboxapi.ProductStatusChange{Status: "delisted"}, nil)
	var product sandboxapi.Product
	m.ok("GET", "/v1/products/demo-accept", nil, &product)
	product.Name, product.Status = "another name", ""
	m.ok("PUT", "/v1/products/demo-accept", product, &product)
	require.Equal(t, sandboxapi.ProductDelisted, product.Status)
	product.Status = sandboxapi.ProductOnSale
	m.ok("PUT", "/v1/products/demo-accept", product, &product)
	require.Equal(t, sandboxapi.ProductOnSale, m.cases("demo-accept").Status)
	require.Len(t, m.events("kind=product-on-sale"), 1)
}

// TestProbes_AYear is the whole of a year's probes.
func TestProbes_AYear(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL, startAt(t, "2026-01-01 00:00:00"))
	m.ok("POST", "/v1/products/demo-accept/cases/defaults", nil, nil)
	days := 365
	if underRace {
		days = 30
	}
	m.advance(fmt.Sprintf("%dd", days))
	require.Len(t, isv.debugged(), 3+2*days*3, "three cases, saved once and probed twice a day")
	require.Empty(t, m.events("kind=probe-failed"))
	require.Equal(t, sandboxapi.ProductOnSale, m.cases("demo-accept").Status)
}
