package sandbox_test

import (
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
)

func (m *market) status() (s sandboxapi.Status) {
	m.t.Helper()
	code, detail := m.call("GET", "/v1/status", nil, &s)
	require.Equal(m.t, http.StatusOK, code, detail)
	return s
}

// rawControl makes a request of the control API whose body or answer is no JSON.
func (m *market) rawControl(method, path string, body []byte) (int, []byte) {
	m.t.Helper()
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.control.URL+path, bytes.NewReader(body))
	require.NoError(m.t, err)
	req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
	req.Header.Set("Content-Type", "application/vnd.sqlite3")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(m.t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(m.t, err)
	return resp.StatusCode, answer
}

func TestSandbox_ASnapshotPutsEverythingBack(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL, func(c *sandbox.Config) { c.Database = filepath.Join(t.TempDir(), "sandbox.db") })
	line := m.buy("demo-period")
	m.is(line, sandboxapi.InstanceReady)
	m.advance("400d")
	m.is(line, sandboxapi.InstanceReleased)
	before := m.status()

	code, snapshot := m.rawControl("GET", "/v1/snapshot", nil)
	require.Equal(t, http.StatusOK, code)
	code, detail := m.call("POST", "/v1/reset", nil, nil)
	require.Equal(t, http.StatusOK, code, detail)
	empty := m.status()
	require.Zero(t, empty.Orders)
	require.Equal(t, "0s", empty.Clock.Ahead)
	require.Equal(t, before.ProductionAddress, empty.ProductionAddress)
	m.is(m.buy("demo-one-time"), sandboxapi.InstanceReady)

	code, answer := m.rawControl("POST", "/v1/restore", snapshot)
	require.Equal(t, http.StatusOK, code, string(answer))
	after := m.status()
	require.WithinDuration(t, before.Clock.Now, after.Clock.Now, time.Minute)
	after.Clock, before.Clock = sandboxapi.Clock{}, sandboxapi.Clock{}
	require.Equal(t, before, after)
	require.Equal(t, sandboxapi.InstanceReleased, m.is(line, sandboxapi.InstanceReleased).Status)
	m.is(m.buy("demo-period"), sandboxapi.InstanceReady)

	code, answer = m.rawControl("POST", "/v1/restore", []byte("no snapshot, whatever it is called"))
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, string(answer), "no SQLite database")
	require.Equal(t, before.Orders+1, m.status().Orders, "a restore that is refused changes nothing")
}

// TestSandbox_ARestoredCallGoesOn takes the snapshot while a call is being retried.
func TestSandbox_ARestoredCallGoesOn(t *testing.T) {
	t.Parallel()
	p := newISV(t)
	p.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"later"}` })
	m := start(t, p.URL)
	line := m.buy("demo-one-time")
	require.Eventually(t, func() bool { return len(m.attempts(line)) == 1 && m.attempts(line)[0].Status == 200 }, 10*time.Second, time.Millisecond)
	_, snapshot := m.rawControl("GET", "/v1/snapshot", nil)
	m.call("POST", "/v1/reset", nil, nil)
	p.says(func(call map[string]any, _ int) string { return right(call) })
	m.advance("5h")
	require.Len(t, p.got("newInstance"), 1, "what was reset is not delivered")
	code, answer := m.rawControl("POST", "/v1/restore", snapshot)
	require.Equal(t, http.StatusOK, code, string(answer))
	m.advance("61m")
	m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, 2, m.attempts(line)[len(m.attempts(line))-2].Number)
}

func TestSandbox_ClockThatStands(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL, func(c *sandbox.Config) { c.Database = filepath.Join(t.TempDir(), "sandbox.db") })
	var clock sandboxapi.Clock
	m.call("POST", "/v1/clock/hold", nil, &clock)
	require.True(t, clock.Held)
	first := m.status().Clock.Now
	time.Sleep(5 * time.Millisecond) // real time must pass to show that the clock stands
	require.Equal(t, first, m.status().Clock.Now)
	line := m.buy("demo-period")
	ready := m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, first, ready.CreateTime, "work that is due is done while the clock stands")

	to := first.Add(400 * 24 * time.Hour)
	code, detail := m.call("POST", "/v1/clock/advance", sandboxapi.ClockAdvance{To: to}, &clock)
	require.Equal(t, http.StatusOK, code, detail)
	require.Equal(t, to, clock.Now)
	require.True(t, clock.Held)
	m.is(line, sandboxapi.InstanceReleased)
	code, detail = m.call("POST", "/v1/clock/advance", sandboxapi.ClockAdvance{To: first}, nil)
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, detail, "only moves forward")
	for _, wrong := range []sandboxapi.ClockAdvance{{}, {Duration: "1h", To: to.Add(time.Hour)}} {
		code, detail = m.call("POST", "/v1/clock/advance", wrong, nil)
		require.Equal(t, http.StatusBadRequest, code, detail)
	}
	m.call("POST", "/v1/clock/run", nil, &clock)
	require.False(t, clock.Held)
	require.Eventually(t, func() bool { return m.status().Clock.Now.After(to) }, 10*time.Second, time.Millisecond)
}

func TestSandbox_Redelivery(t *testing.T) {
	t.Parallel()
	p := newISV(t)
	m := start(t, p.URL)
	line := m.buy("demo-period")
	before := m.is(line, sandboxapi.InstanceReady)
	var again sandboxapi.CallList
	code, detail := m.call("POST", "/v1/redeliveries", sandboxapi.Redelivery{OrderLineID: line}, &again)
	require.Equal(t, http.StatusAccepted, code, detail)
	require.Len(t, again.Calls, 2)
	require.Equal(t, "newInstance", again.Calls[0].Activity)
	require.Eventually(t, func() bool { return len(p.got("queryInstance")) == 2 }, 10*time.Second, time.Millisecond)
	calls := p.got("newInstance")
	require.Equal(t, calls[0]["orderLineId"], calls[1]["orderLineId"])
	require.NotEqual(t, calls[0]["businessId"], calls[1]["businessId"])
	require.Equal(t, before, m.is(line, sandboxapi.InstanceReady), "nothing follows from it")
	for _, wrong := range []sandboxapi.Redelivery{{}, {FromCallID: 99999}, {OrderLineID: "none"}} {
		code, detail = m.call("POST", "/v1/redeliveries", wrong, nil)
		require.Equal(t, http.StatusBadRequest, code, detail)
	}
}

func TestSandbox_JournalFilters(t *testing.T) {
	t.Parallel()
	p := newISV(t)
	m := start(t, p.URL)
	line := m.buy("demo-period")
	m.is(line, sandboxapi.InstanceReady)
	m.is(m.buy("demo-one-time"), sandboxapi.InstanceReady)
	count := func(query string) int {
		var list sandboxapi.AttemptList
		code, detail := m.call("GET", "/v1/attempts?"+query, nil, &list)
		require.Equal(t, http.StatusOK, code, detail)
		return len(list.Attempts)
	}
	first := m.attempts(line)[1].AttemptID
	for query, want := range map[string]int{
		"": 4, "orderLineId=" + line: 2, "subject=" + line: 2, "activity=newInstance": 2, "outcome=succeeded": 4, "outcome=refused": 0, "fault=any": 0,
		"violations=true": 0, "productCode=demo": 4, "sellerId=other": 0, "limit=3": 3, "orderLineId=" + line + "&activity=queryInstance&outcome=succeeded": 1,
		"after=" + itoa(first): 3, "before=" + itoa(first+1): 1,
	} {
		require.Equal(t, want, count(query), query)
	}
	var one sandboxapi.Attempt
	code, _ := m.call("GET", "/v1/attempts/"+itoa(first), nil, &one)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "newInstance", one.Activity)
	require.Equal(t, "000000", one.ResultCode)
	code, _ = m.call("GET", "/v1/attempts/999999", nil, nil)
	require.Equal(t, http.StatusNotFound, code)
	code, detail := m.call("GET", "/v1/attempts?outcome=odd", nil, nil)
	require.Equal(t, http.StatusBadRequest, code, detail)
}

// TestSandbox_AnotherSeller has keys, a product and an ISV of its own.
func TestSandbox_AnotherSeller(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	var seller sandboxapi.Seller
	code, detail := m.call("PUT", "/v1/sellers/acme", sandboxapi.SellerSettings{Name: "Acme"}, &seller)
	require.Equal(t, http.StatusOK, code, detail)
	require.NotEmpty(t, seller.Keys.BaseKey)
	require.NotEqual(t, testKeys.BaseKey, seller.Keys.BaseKey)
	other := newISVWithKey(t, seller.Keys.BaseKey)
	var changed sandboxapi.Seller
	m.call("PUT", "/v1/sellers/acme", sandboxapi.SellerSettings{ProductionAddress: other.URL + "/saas"}, &changed)
	require.Empty(t, changed.Keys, "keys are shown once")
	require.Equal(t, "Acme", changed.Name)

	product := sandboxapi.Product{ProductCode: "acme-crm", SellerID: "acme", SKUs: []sandboxapi.SKU{{
		SKUCode: "acme-crm-basic", ChargingMode: sandboxapi.SKUOneTime, Items: []sandboxapi.BillingItem{{ProductID: "OFFI1", Price: "12.5"}},
	}}}
	code, detail = m.call("PUT", "/v1/products/acme-crm", product, &product)
	require.Equal(t, http.StatusOK, code, detail)
	require.Equal(t, sandboxapi.ProductOnSale, product.Status)
	m.is(m.buy("acme-crm-basic"), sandboxapi.InstanceReady)
	require.Len(t, other.got("newInstance"), 1)

	for says, wrong := range map[string]sandboxapi.Product{
		"no seller":   {ProductCode: "p", SellerID: "none", SKUs: product.SKUs},
		"stays so":    {ProductCode: "acme-crm", SellerID: "demo", SKUs: product.SKUs},
		"has a SKU":   {ProductCode: "p", SellerID: "acme", SKUs: product.SKUs},
		"at least":    {ProductCode: "p", SellerID: "acme"},
		"productCode": {ProductCode: "p p", SellerID: "acme", SKUs: product.SKUs},
	} {
		code, detail = m.call("PUT", "/v1/products/"+map[bool]string{true: "acme-crm", false: "p"}[wrong.ProductCode == "acme-crm"], wrong, nil)
		require.Equal(t, http.StatusBadRequest, code, says)
		require.Contains(t, detail, says)
	}
	code, detail = m.call("PUT", "/v1/sellers/demo", sandboxapi.SellerSettings{NewKeys: true}, nil)
	require.Equal(t, http.StatusConflict, code)
	require.Contains(t, detail, "key file")
	_, list := m.call("GET", "/v1/sellers", nil, nil)
	require.NotContains(t, list, seller.Keys.BaseKey)

	code, detail = m.call("PUT", "/v1/buyers/bob", sandboxapi.BuyerInfo{Email: "bob@example.com"}, nil)
	require.Equal(t, http.StatusOK, code, detail)
}
