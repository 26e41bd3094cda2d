package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
	"github.com/isvkit/isvkit/sdk/signature"
)

var testKeys = sandbox.Keys{BaseKey: "test-base-key", LicenseKey: "test-license-key", GeneralKey: "test-general-key", AK: "test-ak", SK: "test-sk", ControlToken: "test-token"}

// testSecretsKey seals the secrets of databases that several processes share: 32 bytes.
const testSecretsKey = "dGhpcyBpcyBubyBzZWNyZXQsIGJ1dCBhIHRlc3QgIzE="

// isv is an ISV that verifies every call against signature and contract, and answers what a test says.
type isv struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	calls  []map[string]any
	answer func(call map[string]any, n int) string // n counts the calls of this activity, from 1
	counts map[string]int
}

func newISV(t *testing.T) *isv { t.Helper(); return newISVWithKey(t, testKeys.BaseKey) }

func newISVWithKey(t *testing.T, baseKey string) *isv {
	t.Helper()
	i := &isv{t: t, counts: map[string]int{}, answer: func(call map[string]any, _ int) string { return right(call) }}
	nonces := signature.NewReplayGuard(0, nil)
	base, err := signature.NewBase(signature.Config{Keys: []string{baseKey}, Nonces: nonces})
	require.NoError(t, err)
	license, err := signature.NewBase(signature.Config{Keys: []string{testKeys.LicenseKey}, Nonces: nonces})
	require.NoError(t, err)
	notices, err := signature.NewBase(signature.Config{Keys: []string{testKeys.GeneralKey}, Nonces: nonces})
	require.NoError(t, err)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var call map[string]any
		if err := json.Unmarshal(body, &call); err != nil {
			t.Errorf("the sandbox's body: %v", err)
		}
		activity, _ := call["activity"].(string)
		verifier := base
		switch { // another interface class, another key
		case activity == "orderNotify":
			verifier = notices
		case strings.Contains(activity, "License"):
			verifier = license
		}
		params, err := signature.BaseParams(r.URL.Query())
		if err == nil {
			err = verifier.Verify(r.Context(), params, body)
		}
		if err != nil {
			t.Errorf("the sandbox's signature of %s: %v", activity, err)
		}
		schema, err := contract.Provider().Call(activity)
		if err != nil {
			t.Errorf("the sandbox's call: %v", err)
			return
		}
		for _, v := range schema.Violations(body) {
			t.Errorf("%s is not as the contract says: %s", activity, v)
		}
		i.mu.Lock()
		i.calls = append(i.calls, call)
		i.counts[activity]++
		answer := i.answer(call, i.counts[activity])
		i.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(i.Close)
	return i
}

// right is what a right ISV answers.
func right(call map[string]any) string {
	switch call["activity"] {
	case "newInstance":
		return fmt.Sprintf(`{"resultCode":"000000","resultMsg":"success","instanceId":"i-%s"}`, call["orderLineId"])
	case "queryInstance":
		return fmt.Sprintf(`{"resultCode":"000000","resultMsg":"success","info":[{"instanceId":%q,"appInfo":{"frontEndUrl":"https://app.example.com"}}]}`, call["instanceId"])
	}
	return `{"resultCode":"000000","resultMsg":"success"}`
}

// says replaces the ISV's answers.
func (i *isv) says(answer func(call map[string]any, n int) string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func (i *isv) got(activity string) (calls []map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, c := range i.calls {
		if c["activity"] == activity {
			calls = append(calls, c)
		}
	}
	return calls
}

// market is a sandbox at work, and its control API.
type market struct {
	*sandbox.Sandbox
	t       *testing.T
	openAPI *httptest.Server
	control *httptest.Server
	stop    func()
}

// start starts a sandbox in memory, or where it is told. ISVKIT_TEST_SANDBOX_DB=postgres puts those that are not told into PostgreSQL.
func start(t *testing.T, provider string, change ...func(*sandbox.Config)) *market {
	t.Helper()
	cfg := sandbox.Config{Keys: testKeys, ProductionAddress: provider, Logger: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	if cfg.Database == "" && os.Getenv("ISVKIT_TEST_SANDBOX_DB") == "postgres" {
		cfg.Database = storetest.Postgres(t)
	}
	if cfg.SecretsKey == "" && strings.HasPrefix(cfg.Database, "postgres") {
		cfg.SecretsKey = testSecretsKey
	}
	// Every answer of the open API is compared with the contract, in every test.
	observe := cfg.Observe
	cfg.Observe = func(x sandbox.Exchange) {
		for _, v := range x.Violations() {
			t.Errorf("%s %s: HTTP %d %s is not as the contract says: %s", x.Method, x.Path, x.Status, x.ResponseBody, v)
		}
		if observe != nil {
			observe(x)
		}
	}
	// And every request to an ISV.
	cfg.ObserveAttempt = func(a sandbox.Attempt) {
		for _, v := range a.Violations() {
			t.Errorf("%s %s %s is not as the contract says: %s", a.Activity, a.URL, a.Body, v)
		}
	}
	s, err := sandbox.New(t.Context(), cfg)
	require.NoError(t, err)
	m := &market{Sandbox: s, t: t, openAPI: httptest.NewServer(s.OpenAPIHandler()), control: httptest.NewServer(s.ControlHandler())}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		m.openAPI.Close()
		m.control.Close()
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, s.Close())
	})
	t.Cleanup(m.stop)
	return m
}

// call calls the control API, decodes its answer into v if it is not nil, and gives the status and the problem's detail.
func (m *market) call(method, path string, body, v any) (int, string) {
	m.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(m.t, err)
	req, err := http.NewRequestWithContext(m.t.Context(), method, m.control.URL+path, bytes.NewReader(text))
	require.NoError(m.t, err)
	req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(m.t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(m.t, err)
	if resp.StatusCode >= 400 {
		require.Equal(m.t, "application/problem+json", resp.Header.Get("Content-Type"))
		var p sandboxapi.Problem
		require.NoError(m.t, json.Unmarshal(answer, &p))
		require.Equal(m.t, resp.StatusCode, p.Status)
		return resp.StatusCode, p.Detail
	}
	if v != nil {
		require.NoError(m.t, json.Unmarshal(answer, v), "%s", answer)
	}
	return resp.StatusCode, ""
}

// buy buys and gives the order line.
func (m *market) buy(sku string) string {
	m.t.Helper()
	var placed sandboxapi.OrderPlaced
	status, detail := m.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: sku}, &placed)
	require.Equal(m.t, http.StatusCreated, status, detail)
	return placed.Order.OrderLineID
}

// is waits until the instance has this status and nothing is under way.
func (m *market) is(line string, status sandboxapi.InstanceStatus) sandboxapi.Instance {
	m.t.Helper()
	var i sandboxapi.Instance
	code, detail := m.call("GET", "/v1/instances/"+line+"?timeout=20s&until="+string(status), nil, &i)
	require.Equal(m.t, http.StatusOK, code, detail)
	return i
}

func (m *market) do(line, move string) {
	m.t.Helper()
	status, detail := m.call("POST", "/v1/instances/"+line+"/"+move, struct{}{}, nil)
	require.Less(m.t, status, 300, detail)
}

func (m *market) advance(duration string) {
	m.t.Helper()
	status, detail := m.call("POST", "/v1/clock/advance", sandboxapi.ClockAdvance{Duration: duration}, nil)
	require.Equal(m.t, http.StatusOK, status, detail)
}

func (m *market) calls(line string) []sandboxapi.Call {
	m.t.Helper()
	var list sandboxapi.CallList
	m.call("GET", "/v1/calls?orderLineId="+line, nil, &list)
	return list.Calls
}

func (m *market) attempts(line string) []sandboxapi.Attempt {
	m.t.Helper()
	var list sandboxapi.AttemptList
	m.call("GET", "/v1/attempts?orderLineId="+line, nil, &list)
	return list.Attempts
}

func (m *market) order(id string) sandboxapi.Order {
	m.t.Helper()
	var list sandboxapi.OrderList
	m.call("GET", "/v1/orders", nil, &list)
	for _, o := range list.Orders {
		if o.OrderID == id {
			return o
		}
	}
	require.Fail(m.t, "no order "+id)
	return sandboxapi.Order{}
}

func TestSandbox_AYearOfLife(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL+"/saasproduce?tenant=a")

	line := m.buy("demo-period")
	i := m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "i-"+line, i.InstanceID)
	require.Equal(t, "https://app.example.com", i.FrontEndURL)
	require.Equal(t, sandboxapi.OrderCompleted, m.order(i.OrderID).Status)

	m.do(line, "renew")
	renewed := m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, i.ExpireTime.AddDate(1, 0, 0), renewed.ExpireTime)
	refresh := isv.got("refreshInstance")[0]
	require.Equal(t, "RENEWAL", refresh["scene"])
	require.NotEqual(t, i.OrderID, refresh["orderId"])
	require.Equal(t, renewed.ExpireTime.Format("20060102150405"), refresh["expireTime"])

	status, detail := m.call("POST", "/v1/instances/"+line+"/upgrade", sandboxapi.Upgrade{SKUCode: "demo-period-pro", Quantity: 7}, nil)
	require.Equal(t, http.StatusCreated, status, detail)
	upgraded := m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "demo-period-pro", upgraded.SKUCode)
	require.Equal(t, 7, upgraded.Quantity)

	m.do(line, "freeze")
	m.is(line, sandboxapi.InstanceFrozen)
	m.do(line, "unfreeze")
	m.is(line, sandboxapi.InstanceReady)

	m.advance("732d")
	frozen := m.is(line, sandboxapi.InstanceFrozen)
	require.Equal(t, frozen.ExpireTime.Add(15*24*time.Hour), frozen.ReleaseTime)
	m.do(line, "renew")
	m.is(line, sandboxapi.InstanceReady)
	m.advance("400d")
	m.is(line, sandboxapi.InstanceReleased)
	require.NotContains(t, isv.got("releaseInstance")[0], "orderId", "nobody unsubscribed")

	line = m.buy("demo-one-time")
	m.is(line, sandboxapi.InstanceReady)
	m.do(line, "release")
	m.is(line, sandboxapi.InstanceReleased)
	unsubscription, _ := isv.got("releaseInstance")[1]["orderId"].(string)
	require.Equal(t, "UNSUBSCRIBE", m.order(unsubscription).OrderType)
	require.Equal(t, sandboxapi.OrderCompleted, m.order(unsubscription).Status)
}

func TestSandbox_CreationIsRetriedHourlyForThreeHours(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"out of order"}` })
	m := start(t, isv.URL)
	line := m.buy("demo-period")
	m.advance("1s") // until the first attempt is over
	require.Len(t, isv.got("newInstance"), 1)
	m.advance("59m")
	require.Len(t, isv.got("newInstance"), 1)
	m.advance("62m")
	require.Len(t, isv.got("newInstance"), 3)
	m.advance("365d")
	calls := isv.got("newInstance")
	require.Len(t, calls, 4)
	businessIDs := map[any]bool{}
	for _, c := range calls {
		businessIDs[c["businessId"]] = true
	}
	require.Len(t, businessIDs, 4, "every attempt has its own businessId")

	i := m.is(line, sandboxapi.InstanceFailed)
	require.Equal(t, sandboxapi.OrderFailed, m.order(i.OrderID).Status)
	require.Empty(t, isv.got("releaseInstance"), "there is nothing to release")
	call := m.calls(line)[0]
	require.Equal(t, sandboxapi.CallFailed, call.Status)
	require.Equal(t, "000005", call.ResultCode)
	attempt := m.attempts(line)[0]
	require.Equal(t, 4, attempt.Number)
	require.Regexp(t, `\?nonce=\w+&signature=[0-9A-F]{64}&timestamp=\d{13}$`, attempt.URL)
	require.Equal(t, sandboxapi.AttemptRefused, attempt.Outcome)
	require.NotContains(t, fmt.Sprint(attempt), testKeys.BaseKey)
}

func TestSandbox_AsynchronousCreationIsPolled(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(call map[string]any, n int) string {
		switch {
		case call["activity"] == "newInstance":
			return fmt.Sprintf(`{"resultCode":"000004","resultMsg":"working","instanceId":"i-%s"}`, call["orderLineId"])
		case call["activity"] == "queryInstance" && n < 5:
			return `{"resultCode":"000004","resultMsg":"working"}`
		}
		return right(call)
	})
	m := start(t, isv.URL)
	line := m.buy("demo-period")
	m.advance("9m")
	require.Equal(t, sandboxapi.InstanceOpening, getInstance(m, line).Status)
	m.advance("90s")
	m.is(line, sandboxapi.InstanceReady)
	require.Len(t, isv.got("newInstance"), 1)
	require.Len(t, isv.got("queryInstance"), 5, "after 0, 1, 3, 6 and 10 minutes")
}

func getInstance(m *market, line string) (i sandboxapi.Instance) {
	m.t.Helper()
	m.call("GET", "/v1/instances/"+line, nil, &i)
	return i
}

func TestSandbox_NeverReadyIsUnsubscribedAndReleased(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(call map[string]any, _ int) string {
		if call["activity"] == "queryInstance" {
			return `{"resultCode":"000000","resultMsg":"success","info":[]}`
		}
		return right(call)
	})
	m := start(t, isv.URL)
	line := m.buy("demo-on-demand")
	m.advance("4h")
	i := m.is(line, sandboxapi.InstanceFailed)
	require.Equal(t, sandboxapi.OrderFailed, m.order(i.OrderID).Status)
	released := isv.got("releaseInstance")
	require.Len(t, released, 1)
	unsubscription, _ := released[0]["orderId"].(string)
	require.Equal(t, "UNSUBSCRIBE", m.order(unsubscription).OrderType)
}

func TestSandbox_OtherCallsWaitForARestartAfterAnHour(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	line := m.buy("demo-period")
	m.is(line, sandboxapi.InstanceReady)
	isv.says(func(call map[string]any, _ int) string {
		if call["activity"] == "updateInstanceStatus" {
			return `{"resultCode":"000003","resultMsg":"who?"}`
		}
		return right(call)
	})
	m.do(line, "freeze")
	m.do(line, "renew") // must not overtake the freeze
	m.advance("59m")
	require.Empty(t, isv.got("refreshInstance"))
	m.advance("5m")
	require.Len(t, isv.got("updateInstanceStatus"), 61)
	require.Len(t, isv.got("refreshInstance"), 1, "a call that waits for a restart does not hold up the others")
	var waiting sandboxapi.Call
	for _, c := range m.calls(line) {
		if c.Status == sandboxapi.CallWaiting {
			waiting = c
		}
	}
	require.Equal(t, "updateInstanceStatus", waiting.Activity)
	require.Equal(t, "the ISV knows no such instance", waiting.LastError)

	isv.says(func(call map[string]any, _ int) string { return right(call) })
	path := fmt.Sprintf("/v1/calls/%d/restart", waiting.CallID)
	status, detail := m.call("POST", path, struct{}{}, nil)
	require.Equal(t, http.StatusAccepted, status, detail)
	m.is(line, sandboxapi.InstanceFrozen)
	status, detail = m.call("POST", path, struct{}{}, nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, detail, "only a call that is waiting or being retried")
}

func TestSandbox_UpgradeThatFailsLeavesTheInstance(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	line := m.buy("demo-period")
	m.is(line, sandboxapi.InstanceReady)
	isv.says(func(call map[string]any, _ int) string {
		if call["activity"] == "upgradeInstance" {
			return `{"resultCode":"000005","resultMsg":"no"}`
		}
		return right(call)
	})
	var placed sandboxapi.OrderPlaced
	m.call("POST", "/v1/instances/"+line+"/upgrade", sandboxapi.Upgrade{Quantity: 3}, &placed)
	m.advance("4h")
	i := m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, 1, i.Quantity)
	require.Len(t, isv.got("upgradeInstance"), 4)
	require.Equal(t, sandboxapi.OrderFailed, m.order(placed.Order.OrderID).Status)
}

func TestSandbox_OneInstanceIDForTwoOrdersIsNoAnswer(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(call map[string]any, _ int) string {
		if call["activity"] == "newInstance" {
			return `{"resultCode":"000000","resultMsg":"success","instanceId":"always-the-same"}`
		}
		return right(call)
	})
	m := start(t, isv.URL)
	one := m.buy("demo-period")
	m.is(one, sandboxapi.InstanceReady)
	two := m.buy("demo-period")
	m.advance("1s")
	a := m.attempts(two)[0]
	require.Equal(t, sandboxapi.AttemptInvalidAnswer, a.Outcome)
	require.Contains(t, a.Detail, one)
}

// TestSandbox_JudgesAnswers is the table of what an answer to a call is worth.
func TestSandbox_JudgesAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status            int
		contentType, body string
		outcome           sandboxapi.AttemptOutcome
		detail            string
	}{
		"HTTP 500":         {500, "application/json", `{"resultCode":"000000","instanceId":"i"}`, sandboxapi.AttemptInvalidAnswer, "HTTP status 500, expected 200"},
		"redirect":         {302, "application/json", `{}`, sandboxapi.AttemptInvalidAnswer, "HTTP status 302, expected 200"},
		"HTML":             {200, "text/html", `{"resultCode":"000000","instanceId":"i"}`, sandboxapi.AttemptInvalidAnswer, `Content-Type "text/html"`},
		"no JSON":          {200, "application/json", `ok`, sandboxapi.AttemptInvalidAnswer, "no JSON object"},
		"list":             {200, "application/json", `[]`, sandboxapi.AttemptInvalidAnswer, "no JSON object"},
		"no code":          {200, "application/json", `{}`, sandboxapi.AttemptInvalidAnswer, "resultCode is missing"},
		"code as a number": {200, "application/json", `{"resultCode":0}`, sandboxapi.AttemptInvalidAnswer, "resultCode is missing, or no text"},
		"no id":            {200, "application/json", `{"resultCode":"000000"}`, sandboxapi.AttemptInvalidAnswer, "instanceId is missing"},
		"long id":          {200, "application/json", `{"resultCode":"000000","instanceId":"` + string(bytes.Repeat([]byte("x"), 65)) + `"}`, sandboxapi.AttemptInvalidAnswer, "65 characters long, expected at most 64"},
		"sold out":         {200, "application/json;charset=UTF-8", `{"resultCode":"000106","resultMsg":"sold out"}`, sandboxapi.AttemptRefused, "result code 000106"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			isv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tc.contentType)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}))
			defer isv.Close()
			m := start(t, isv.URL)
			line := m.buy("demo-period")
			m.advance("1s")
			a := m.attempts(line)[0]
			require.Equal(t, tc.outcome, a.Outcome)
			require.Contains(t, a.Detail, tc.detail)
		})
	}
	for name, tc := range map[string]struct {
		err     error
		outcome sandboxapi.AttemptOutcome
		detail  string
	}{
		"no answer in time": {os.ErrDeadlineExceeded, sandboxapi.AttemptTimeout, "no answer within 20s"},
		"cut off":           {io.ErrUnexpectedEOF, sandboxapi.AttemptUnreachable, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, "http://isv.example.com", func(c *sandbox.Config) { c.HTTPClient = &http.Client{Transport: failing{tc.err}} })
			line := m.buy("demo-period")
			m.advance("1s")
			a := m.attempts(line)[0]
			require.Equal(t, tc.outcome, a.Outcome)
			require.Contains(t, a.Detail, tc.detail)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		gone := httptest.NewServer(http.NotFoundHandler())
		gone.Close()
		m := start(t, gone.URL)
		line := m.buy("demo-period")
		m.advance("1s")
		a := m.attempts(line)[0]
		require.Equal(t, sandboxapi.AttemptUnreachable, a.Outcome)
		require.NotContains(t, a.Detail, "signature=")
	})
}

// failing is a network that fails.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestSandbox_JournalKeepsNoPasswords(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(call map[string]any, _ int) string {
		if call["activity"] == "queryInstance" {
			return fmt.Sprintf(`{"resultCode":"000000","resultMsg":"ok","info":[{"instanceId":%q,"appInfo":{"frontEndUrl":"https://a","userName":"admin","password" : "hun\"ter2"}}]}`, call["instanceId"])
		}
		return right(call)
	})
	m := start(t, isv.URL)
	line := m.buy("demo-period")
	m.is(line, sandboxapi.InstanceReady)
	a := m.attempts(line)[0]
	require.Equal(t, "queryInstance", a.Activity)
	require.Contains(t, a.ResponseBody, `"password" : "***"`)
	require.NotContains(t, a.ResponseBody, "ter2")
}

func TestSandbox_GoesOnAfterAStop(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"later"}` })
	file := func(c *sandbox.Config) { c.Database = filepath.Join(t.TempDir(), "a b?c#d%.db") }
	var cfg sandbox.Config
	file(&cfg)
	same := func(c *sandbox.Config) { c.Database = cfg.Database }
	m := start(t, isv.URL, same)
	line := m.buy("demo-period")
	m.advance("61m")
	before := m.Now()
	require.Len(t, isv.got("newInstance"), 2)
	_, err := sandbox.New(t.Context(), cfg)
	require.ErrorContains(t, err, "another process is using it")
	m.stop()

	isv.says(func(call map[string]any, _ int) string { return right(call) })
	m = start(t, "", same)
	require.False(t, m.Now().Before(before), "the clock goes on where it was")
	m.advance("60m")
	m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, 3, m.calls(line)[1].Attempts)
}

func TestControl_RefusesWithAProblem(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	line := m.buy("demo-one-time")
	m.is(line, sandboxapi.InstanceReady)
	for name, tc := range map[string]struct {
		method, path string
		body         any
		status       int
		detail       string
	}{
		"unknown SKU":       {"POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "x"}, 400, `no product with skuCode "x"; there are demo-accept-one-time, `},
		"bad period":        {"POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period", Period: "1w"}, 400, "such as 1y or 3m"},
		"period on once":    {"POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-one-time", Period: "1y"}, 400, "has none"},
		"body of a list":    {"POST", "/v1/orders", []int{1}, 400, ""},
		"unknown instance":  {"POST", "/v1/instances/x/renew", struct{}{}, 404, "nothing of that id"},
		"renew once":        {"POST", "/v1/instances/" + line + "/renew", struct{}{}, 409, "never expires"},
		"unfreeze ready":    {"POST", "/v1/instances/" + line + "/unfreeze", struct{}{}, 409, "it is not frozen"},
		"upgrade once":      {"POST", "/v1/instances/" + line + "/upgrade", sandboxapi.Upgrade{Quantity: 5}, 409, "only PERIOD"},
		"clock backwards":   {"POST", "/v1/clock/advance", sandboxapi.ClockAdvance{Duration: "-1h"}, 400, "more than 0"},
		"provider nonsense": {"PUT", "/v1/provider", sandboxapi.ProviderSettings{ProductionAddress: "localhost:9000"}, 400, "expected an http or https address"},
		"until nonsense":    {"GET", "/v1/instances/" + line + "?until=happy", nil, 400, "no such status"},
		"too long a wait":   {"GET", "/v1/instances/" + line + "?until=frozen&timeout=1h", nil, 400, "expected a duration"},
		"not yet":           {"GET", "/v1/instances/" + line + "?until=frozen&timeout=1ms", nil, 408, "the instance is ready"},
		"unknown path":      {"GET", "/v1/nonsense", nil, 404, "no such path"},
		"wrong method":      {"DELETE", "/v1/orders", nil, 405, ""},
		"unknown call":      {"POST", "/v1/calls/4711/restart", nil, 404, ""},
		"call of no number": {"POST", "/v1/calls/x/restart", nil, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, detail := m.call(tc.method, tc.path, tc.body, nil)
			require.Equal(t, tc.status, status, detail)
			require.Contains(t, detail, tc.detail)
		})
	}
	for _, header := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + testKeys.ControlToken, testKeys.ControlToken} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", m.control.URL+"/v1/status", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", header)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode, header)
	}
	nobody := start(t, "")
	status, detail := nobody.call("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period"}, nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, detail, "setProvider")
}

func TestSandbox_ManyInstancesInAnyOrder(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL, func(c *sandbox.Config) { c.Database = filepath.Join(t.TempDir(), "many.db") })
	lines := make([]string, 100)
	var wg sync.WaitGroup
	for i := range lines {
		wg.Go(func() { lines[i] = m.buy("demo-period") })
	}
	wg.Wait()
	m.advance("366d")
	for _, line := range lines {
		m.is(line, sandboxapi.InstanceFrozen)
	}
	m.advance("16d")
	for _, line := range lines {
		m.is(line, sandboxapi.InstanceReleased)
	}
	// Each call exactly once: nothing is delivered again after its success was stored.
	require.Equal(t, map[string]int{"newInstance": 100, "queryInstance": 100, "updateInstanceStatus": 100, "releaseInstance": 100}, isv.counts)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// TestSandbox_ACallThatIsRetriedCanBeTriedNow does not move the clock, and the timetable goes on.
func TestSandbox_ACallThatIsRetriedCanBeTriedNow(t *testing.T) {
	t.Parallel()
	p := newISV(t)
	p.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"later"}` })
	m := start(t, p.URL)
	line := m.buy("demo-one-time")
	attempted := func(n int) {
		require.Eventually(t, func() bool {
			all := m.attempts(line)
			return len(all) == n && all[0].Status == http.StatusOK
		}, 10*time.Second, time.Millisecond)
	}
	attempted(1)
	first := m.calls(line)[0]
	code, detail := m.call("POST", "/v1/calls/"+itoa(first.CallID)+"/restart", struct{}{}, nil)
	require.Equal(t, http.StatusAccepted, code, detail)
	attempted(2)
	require.WithinDuration(t, first.DueTime, m.calls(line)[0].DueTime, time.Minute, "again in an hour")
	p.says(func(call map[string]any, _ int) string { return right(call) })
	m.call("POST", "/v1/calls/"+itoa(first.CallID)+"/restart", struct{}{}, nil)
	m.is(line, sandboxapi.InstanceReady)
	require.Equal(t, "0s", m.status().Clock.Ahead)
}
