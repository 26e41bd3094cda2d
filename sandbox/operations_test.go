package sandbox_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// scrape gives the metrics by their line without the value.
func (m *market) scrape() map[string]string {
	m.t.Helper()
	resp, body := m.as(testKeys.ControlToken, "GET", "/metrics", nil)
	require.Equal(m.t, http.StatusOK, resp.StatusCode, body)
	values := map[string]string{}
	for line := range strings.Lines(body) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), " "); found && !strings.HasPrefix(line, "#") {
			if i := strings.LastIndex(line, "} "); i >= 0 {
				name, value = line[:i+1], strings.TrimSpace(line[i+2:])
			}
			values[name] = value
		}
	}
	return values
}

func TestMetrics_TellWhatHappened(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	isv.says(func(call map[string]any, n int) string {
		if call["activity"] == "newInstance" && n == 1 {
			return `{"resultCode":"000005","resultMsg":"later"}`
		}
		return right(call)
	})
	now := time.Now()
	m := start(t, isv.URL, func(c *sandbox.Config) {
		c.Limits = sandbox.Limits{ControlRate: 1, OpenAPIRate: 1}
		c.Now = func() time.Time { return now } // so that no bucket fills up
	})
	line := m.buy("demo-one-time")
	m.advance("61m")
	order := m.is(line, sandboxapi.InstanceReady).OrderID
	for range 3 {
		req := m.request("GET", orderPath+"?orderId="+order, "", nil)
		m.raw(req)
	}
	own := m.token(sandboxapi.TokenRoleSeller, "demo")
	for range 3 {
		m.as(own, "GET", "/v1/orders", nil)
	}
	m.as("", "GET", "/v1/orders", nil)
	isv.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"never"}` })
	m.buy("demo-one-time")
	m.advance("1m")

	values := m.scrape()
	for name, want := range map[string]string{
		`isv_sandbox_attempts_total{activity="newInstance",outcome="refused"}`:                    "2",
		`isv_sandbox_attempts_total{activity="newInstance",outcome="succeeded"}`:                  "1",
		`isv_sandbox_attempt_duration_seconds_count{activity="newInstance"}`:                      "3",
		`isv_sandbox_attempt_delay_seconds_count`:                                                 "4", // and queryInstance
		`isv_sandbox_deliveries_total{activity="newInstance",outcome="succeeded"}`:                "1",
		`isv_sandbox_delivery_attempts_sum{outcome="succeeded"}`:                                  "3",
		`isv_sandbox_openapi_requests_total{code="MKT.0000",operation="queryOrder",status="200"}`: "2",
		`isv_sandbox_openapi_requests_total{code="MKT.0250",operation="queryOrder",status="406"}`: "1",
		`isv_sandbox_limit_refusals_total{limit="openapi-rate"}`:                                  "1",
		`isv_sandbox_limit_refusals_total{limit="control-rate"}`:                                  "1",
		`isv_sandbox_limit_refusals_total{limit="pending"}`:                                       "0",
		`isv_sandbox_control_requests_total{operation="placeOrder",status="201"}`:                 "2",
		`isv_sandbox_control_requests_total{operation="none",status="401"}`:                       "1",
		`isv_sandbox_control_requests_total{operation="none",status="429"}`:                       "1",
		`isv_sandbox_control_requests_total{operation="listOrders",status="200"}`:                 "2",
		`isv_sandbox_calls{state="scheduled"}`:                                                    "1",
		`isv_sandbox_calls{state="due"}`:                                                          "0",
		`isv_sandbox_calls{state="waiting"}`:                                                      "0",
		`isv_sandbox_oldest_due_seconds`:                                                          "0",
		`isv_sandbox_clock_lag_seconds`:                                                           "0",
		`isv_sandbox_clock_held`:                                                                  "0",
		`isv_sandbox_database_up`:                                                                 "1",
		`isv_sandbox_ready`:                                                                       "1",
		`isv_sandbox_processes`:                                                                   "1",
	} {
		require.Equal(t, want, values[name], name)
	}
	require.Equal(t, "3720", values["isv_sandbox_clock_ahead_seconds"])
	for _, name := range []string{"isv_sandbox_store_updates_total", "isv_sandbox_store_updates_per_commit_count", "isv_sandbox_database_bytes", "go_goroutines", "process_resident_memory_bytes"} {
		require.NotContains(t, []string{"", "0"}, values[name], name)
	}
	require.Equal(t, "1", values[`isv_sandbox_build_info{goversion="`+goVersion(values)+`",version="`+sandbox.Version+`"}`])

	// Every label is one of those whose values are known beforehand, and says nothing of whom or what it was about.
	label := regexp.MustCompile(`([a-zA-Z_]+)="([^"]*)"`)
	for name := range values {
		for _, found := range label.FindAllStringSubmatch(name, -1) {
			require.Contains(t, []string{"activity", "outcome", "operation", "status", "code", "limit", "what", "reason", "state", "le", "quantile", "version", "goversion"}, found[1], name)
			for _, id := range []string{line, order, "demo", isv.URL} {
				require.NotEqual(t, id, found[2], name)
			}
		}
	}
}

func goVersion(values map[string]string) string {
	for name := range values {
		if found := regexp.MustCompile(`goversion="([^"]+)"`).FindStringSubmatch(name); found != nil {
			return found[1]
		}
	}
	return ""
}

func TestMetrics_AreTheOperators(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	for token, want := range map[string]int{"": 401, "wrong": 401, m.token(sandboxapi.TokenRoleSeller, "demo"): 403, m.token(sandboxapi.TokenRoleOperator, ""): 200} {
		resp, body := m.as(token, "GET", "/metrics", nil)
		require.Equal(t, want, resp.StatusCode, body)
		require.Equal(t, want == 200, strings.Contains(body, "isv_sandbox_"))
	}
	open := httptest.NewServer(m.MetricsHandler())
	defer open.Close()
	for path, want := range map[string]int{"/metrics": 200, "/healthz": 200, "/readyz": 200, "/v1/status": 404} {
		resp, err := http.Get(open.URL + path)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, path)
	}
}

func TestHealth_IsReadyWhileItWorks(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	s, err := sandbox.New(t.Context(), sandbox.Config{Database: filepath.Join(t.TempDir(), "sandbox.db"), Keys: testKeys, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	server := httptest.NewServer(s.ControlHandler()) // and needs no token
	defer server.Close()
	ask := func(path string) (int, sandbox.Health) {
		resp, err := http.Get(server.URL + path)
		require.NoError(t, err)
		defer func() { require.NoError(t, resp.Body.Close()) }()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		var h sandbox.Health
		require.NoError(t, json.Unmarshal(body, &h))
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		return resp.StatusCode, h
	}
	code, h := ask("/readyz")
	require.Equal(t, 503, code)
	require.Equal(t, sandbox.Health{Parts: map[string]string{"database": "ok", "migrations": "ok", "keys": "ok", "queue": "the queue has not begun"}}, h)

	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	require.Eventually(t, func() bool { code, h = ask("/readyz"); return code == 200 }, 10*time.Second, time.Millisecond)
	require.True(t, h.Ready)

	require.NoError(t, s.Drain(t.Context()))
	code, h = ask("/readyz")
	require.Equal(t, 503, code)
	require.Equal(t, "the sandbox is shutting down", h.Parts["queue"])
	cancel()
	require.NoError(t, <-ran)
	require.NoError(t, s.Close())
	require.Eventually(t, func() bool { _, h = ask("/readyz"); return h.Parts["database"] != "ok" }, 10*time.Second, 50*time.Millisecond)
	require.Equal(t, "does not answer; the log says more", h.Parts["database"])
	require.Contains(t, log.String(), "not ready")
	code, _ = ask("/healthz")
	require.Equal(t, 200, code, "it is alive")
}

// TestDrain_EndsWaits has requests that wait for what will not happen end when the sandbox begins to shut down, on both queues.
func TestDrain_EndsWaits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		reached, release := make(chan struct{}, 10), make(chan struct{})
		isv := newISV(t)
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reached <- struct{}{}
			<-release
			isv.Config.Handler.ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		m := start(t, front.URL, func(c *sandbox.Config) { c.Database = database })
		line := m.buy("demo-one-time")
		<-reached
		type end struct {
			path, body string
			status     int
		}
		ended := make(chan end, 10)
		wait := func(method, path string, body any) {
			resp, text := m.as(testKeys.ControlToken, method, path, body)
			ended <- end{path, text, resp.StatusCode}
		}
		go wait("GET", "/v1/instances/"+line+"?until=ready&timeout=60s", nil)
		go wait("POST", "/v1/clock/settle?timeout=60s", struct{}{})
		go wait("POST", "/v1/clock/advance", sandboxapi.ClockAdvance{Duration: "1h"})
		streamed := make(chan error, 1)
		req, err := http.NewRequestWithContext(t.Context(), "GET", m.control.URL+"/v1/events/stream", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		go func() {
			_, err := io.Copy(io.Discard, resp.Body)
			streamed <- err
		}()

		drained := make(chan error, 1)
		go func() { drained <- m.Drain(t.Context()) }()
		for range 3 {
			e := <-ended
			require.Equal(t, 503, e.status, "%s: %s", e.path, e.body)
			require.Contains(t, e.body, "isvkit:shutting-down")
		}
		require.NoError(t, <-streamed)
		select {
		case err := <-drained:
			require.Fail(t, "an attempt is under way", "%v", err)
		default:
		}
		close(release)
		require.NoError(t, <-drained)
		attempts := m.attempts(line)
		require.Len(t, attempts, 1, "nothing was begun besides")
		require.Equal(t, sandboxapi.AttemptSucceeded, attempts[0].Outcome)

		// Where the time is over, it says so.
		short, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, m.Drain(t.Context()))
		_ = m.Drain(short) // there is nothing any more that would take time
	})
}

// TestRequests_HaveIds looks at what the log tells of requests.
func TestRequests_HaveIds(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	m := start(t, newISV(t).URL, func(c *sandbox.Config) {
		c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	line := m.buy("demo-one-time")
	order := m.is(line, sandboxapi.InstanceReady).OrderID
	ask := func(base, path, id string) string {
		req, err := http.NewRequestWithContext(t.Context(), "GET", base+path, nil)
		require.NoError(t, err)
		req.Header.Set("X-Request-Id", id)
		req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { require.NoError(t, resp.Body.Close()) }()
		return resp.Header.Get("X-Request-Id")
	}
	for _, base := range []string{m.control.URL + "/v1/orders", m.openAPI.URL + orderPath} {
		require.Equal(t, "mine-1", ask(base, "?secret=canary", "mine-1"))
		require.Regexp(t, "^[0-9a-f]{32}$", ask(base, "", "key=canary"))
	}
	code, answer := m.raw(m.request("GET", orderPath+"?orderId="+order, "", func(r *http.Request) { r.Header.Set("X-Request-Id", "mine-2") }))
	require.Equal(t, 200, code, answer)
	unsigned, err := http.NewRequestWithContext(t.Context(), "GET", m.openAPI.URL+orderPath, nil)
	require.NoError(t, err)
	unsigned.Header.Set("X-Request-Id", "mine-3")
	code, answer = m.raw(unsigned)
	require.Equal(t, 401, code)
	require.Equal(t, "mine-3", answer["request_id"], "who asks support is found in the log")
	m.as("", "GET", "/nowhere/canary", nil)

	type entry struct {
		Level, Msg, API, RequestID, Operation, Code, SellerID, Role string
		Status                                                      int
	}
	var entries []entry
	for text := range strings.Lines(log.String()) {
		var e entry
		require.NoError(t, json.Unmarshal([]byte(text), &e))
		if e.Msg == "request" {
			entries = append(entries, e)
		}
	}
	for _, want := range []entry{
		{"INFO", "request", "control", "", "placeOrder", "", "", "operator", 201},
		{"DEBUG", "request", "control", "mine-1", "listOrders", "", "", "operator", 200},
		{"INFO", "request", "open", "mine-1", "queryOrder", "APIGW.0301", "", "", 401},
		{"DEBUG", "request", "open", "mine-2", "queryOrder", "MKT.0000", "demo", "", 200},
		{"INFO", "request", "control", "", "", "", "", "", 401},
	} {
		require.True(t, slices.ContainsFunc(entries, func(e entry) bool {
			if want.RequestID == "" {
				e.RequestID = ""
			}
			return e == want
		}), "%+v in %+v", want, entries)
	}
	require.NotContains(t, log.String(), "canary")
}

// TestEgress_StoredAddressesAreCheckedAtTheStart starts a sandbox with a narrower policy than the one under which its addresses were set.
func TestEgress_StoredAddressesAreCheckedAtTheStart(t *testing.T) {
	t.Parallel()
	database := filepath.Join(t.TempDir(), "sandbox.db")
	m := start(t, "http://127.0.0.1:1/saas", func(c *sandbox.Config) { c.Database = database })
	m.ok("PUT", "/v1/sellers/acme", sandboxapi.SellerSettings{ProductionAddress: "http://10.1.2.3:9000/saas"}, nil)
	m.stop()

	var log lockedBuffer
	m = start(t, "", func(c *sandbox.Config) {
		c.Database, c.Egress = database, sandbox.EgressPolicy{Preset: sandbox.EgressStaging}
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	require.Contains(t, log.String(), "the egress policy refuses a stored production address")
	require.Contains(t, log.String(), "sellerId=acme")
	require.Contains(t, log.String(), "sellerId=demo")
	stored := func(token string, e sandboxapi.Examination) (found []string) {
		_, body := m.as(token, "POST", "/v1/doctor", e)
		var d sandboxapi.Diagnosis
		require.NoError(t, json.Unmarshal([]byte(body), &d), body)
		for _, f := range d.Findings {
			if f.About == "stored-addresses" {
				require.Equal(t, sandboxapi.SeverityWrong, f.Severity)
				found = append(found, f.Found)
			}
			if f.About == "address" {
				require.Equal(t, sandboxapi.SeverityWrong, f.Severity)
			}
		}
		return found
	}
	all := stored(testKeys.ControlToken, sandboxapi.Examination{})
	require.Len(t, all, 1, "the one that is examined tells itself")
	require.Contains(t, all[0], "of seller acme")
	require.Empty(t, stored(testKeys.ControlToken, sandboxapi.Examination{SellerID: "acme"}))
	require.Empty(t, stored(m.token(sandboxapi.TokenRoleSeller, "acme"), sandboxapi.Examination{}))
	resp, body := m.as(m.token(sandboxapi.TokenRoleSeller, "acme"), "POST", "/v1/doctor", sandboxapi.Examination{SellerID: "demo"})
	require.Equal(t, http.StatusNotFound, resp.StatusCode, body)

	m.stop()
	log = lockedBuffer{}
	m = start(t, "", func(c *sandbox.Config) { c.Database, c.Logger = database, slog.New(slog.NewTextHandler(&log, nil)) })
	require.NotContains(t, log.String(), "refuses a stored")
}
