package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
)

// rightISV is an ISV made with the SDK. It remembers what was done, not what was asked.
type rightISV struct {
	*httptest.Server

	mu       sync.Mutex
	created  map[string]int // by instance
	expiry   map[string]time.Time
	frozen   map[string]bool
	released map[string]bool
	renewed  map[string]int
	received []string // activities in the order in which they came through
}

func newRightISV(t *testing.T, change ...func(*provider.Config)) *rightISV {
	t.Helper()
	i := &rightISV{
		created: map[string]int{}, expiry: map[string]time.Time{}, frozen: map[string]bool{}, released: map[string]bool{}, renewed: map[string]int{},
	}
	cfg := provider.Config{
		BaseKeys: []string{testKeys.BaseKey}, V1: provider.V1Config{Keys: []string{testKeys.BaseKey}, Leeway: time.Minute},
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&cfg)
	}
	handler, err := provider.NewHandler(i, cfg)
	require.NoError(t, err)
	i.Server = httptest.NewServer(handler)
	t.Cleanup(i.Close)
	return i
}

func (i *rightISV) NewInstance(_ context.Context, c provider.NewInstance) (provider.Instance, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.received = append(i.received, "newInstance")
	id := c.SuggestedID()
	i.created[id]++
	return provider.Instance{ID: id}, nil
}

func (i *rightISV) QueryInstance(_ context.Context, c provider.QueryInstance) (infos []provider.InstanceInfo, _ error) {
	for _, id := range c.InstanceIDs() {
		infos = append(infos, provider.InstanceInfo{InstanceID: id, AppInfo: provider.AppInfo{FrontEndURL: "https://app.example.com"}})
	}
	return infos, nil
}

// on runs f about an instance that is there.
func (i *rightISV) on(activity, id string, f func()) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.received = append(i.received, activity)
	if i.created[id] == 0 || i.released[id] {
		return provider.ErrInstanceNotFound
	}
	f()
	return nil
}

func (i *rightISV) RefreshInstance(_ context.Context, c provider.RefreshInstance) error {
	return i.on("refreshInstance", c.InstanceID, func() {
		if !i.expiry[c.InstanceID].Equal(c.Expiry()) {
			i.renewed[c.InstanceID]++
		}
		i.expiry[c.InstanceID] = c.Expiry()
	})
}

func (i *rightISV) UpdateInstanceStatus(_ context.Context, c provider.UpdateInstanceStatus) error {
	return i.on("updateInstanceStatus", c.InstanceID, func() { i.frozen[c.InstanceID] = c.Status == providerapi.StatusFreeze })
}

func (i *rightISV) ReleaseInstance(_ context.Context, c provider.ReleaseInstance) error {
	err := i.on("releaseInstance", c.InstanceID, func() { i.released[c.InstanceID] = true })
	if errors.Is(err, provider.ErrInstanceNotFound) {
		return nil // a repeat
	}
	return err
}

// putFault switches a fault on.
func (m *market) putFault(id string, rule sandboxapi.FaultRule) {
	m.t.Helper()
	status, detail := m.call("PUT", "/v1/faults/"+id, rule, nil)
	require.Equal(m.t, http.StatusOK, status, detail)
}

func (m *market) fault(id string) sandboxapi.Fault {
	m.t.Helper()
	var list sandboxapi.FaultList
	m.call("GET", "/v1/faults", nil, &list)
	i := slices.IndexFunc(list.Faults, func(f sandboxapi.Fault) bool { return f.FaultID == id })
	require.GreaterOrEqual(m.t, i, 0)
	return list.Faults[i]
}

// outgoing are the faults of calls to the ISV.
var outgoing = []sandboxapi.FaultKind{
	sandboxapi.FaultDuplicate, sandboxapi.FaultReplay, sandboxapi.FaultWrongSignature, sandboxapi.FaultStaleTimestamp, sandboxapi.FaultOtherKey,
	sandboxapi.FaultReorder, sandboxapi.FaultDelay, sandboxapi.FaultDropAnswer, sandboxapi.FaultCut, sandboxapi.FaultSlowBody,
	sandboxapi.FaultUnknownFields, sandboxapi.FaultUnsortedBody,
}

// TestFaults_ARightISVStandsThem: an instance is bought, renewed, expires, is renewed again and unsubscribed, while each fault strikes
// the first three attempts of every call. Nothing is lost, nothing is done twice, and there is no violation.
func TestFaults_ARightISVStandsThem(t *testing.T) {
	t.Parallel()
	for _, sku := range []string{"demo-period", "demo-v1-period"} {
		for _, kind := range outgoing {
			t.Run(sku+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				isv := newRightISV(t)
				m := start(t, isv.URL)
				rule := sandboxapi.FaultRule{Kind: kind, First: 1000, Bound: 3}
				if kind == sandboxapi.FaultSlowBody {
					rule.Delay = "20ms"
				}
				m.putFault("it", rule)

				line := m.buy(sku)
				m.advance("5h")
				bought := m.is(line, sandboxapi.InstanceReady)
				m.do(line, "renew")
				m.advance("1h")
				renewed := m.is(line, sandboxapi.InstanceReady)
				require.True(t, renewed.ExpireTime.After(bought.ExpireTime))
				m.advance("732d") // expired, and not released yet
				m.is(line, sandboxapi.InstanceFrozen)
				isv.mu.Lock()
				require.True(t, isv.frozen[bought.InstanceID] || sku == "demo-v1-period", "V1 says it by expireInstance")
				require.Equal(t, 1, isv.renewed[bought.InstanceID])
				isv.received = nil
				isv.mu.Unlock()
				m.do(line, "renew")
				m.advance("1h")
				last := m.is(line, sandboxapi.InstanceReady)
				isv.mu.Lock()
				require.Equal(t, 2, isv.renewed[bought.InstanceID])
				require.True(t, last.ExpireTime.Equal(isv.expiry[bought.InstanceID]), "%s %s", last.ExpireTime, isv.expiry[bought.InstanceID])
				if sku == "demo-period" {
					require.False(t, isv.frozen[bought.InstanceID])
					wanted := []string{"refreshInstance", "updateInstanceStatus"}
					if kind == sandboxapi.FaultReorder {
						slices.Reverse(wanted)
					}
					require.Equal(t, wanted, slices.Compact(slices.Clone(isv.received)))
				}
				isv.mu.Unlock()
				m.do(line, "release")
				m.advance("1h")
				m.is(line, sandboxapi.InstanceReleased)

				isv.mu.Lock()
				require.Equal(t, map[string]int{bought.InstanceID: 1}, isv.created, "one instance, made once")
				require.True(t, isv.released[bought.InstanceID])
				isv.mu.Unlock()
				struck, journaled := m.fault("it").Struck, 0
				for _, a := range m.attempts(line) {
					require.Empty(t, a.Violations, "%s %s", a.Activity, a.Fault)
					if a.Fault == string(kind) {
						journaled++
					}
				}
				if kind == sandboxapi.FaultReorder && sku == "demo-v1-period" {
					require.Zero(t, struck, "V1 has no two calls that follow each other")
					return
				}
				require.Positive(t, struck)
				require.Equal(t, struck, journaled)
				for _, c := range m.calls(line) {
					require.Equal(t, sandboxapi.CallSucceeded, c.Status, c.Activity)
				}
			})
		}
	}
}

// gullible is an ISV that believes everything, makes an instance for every request, and takes no body but the one it knows.
func gullible(t *testing.T) string {
	t.Helper()
	var mu sync.Mutex
	n := 0
	isv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.HasPrefix(body, []byte(`{"activity":"`)) || bytes.Contains(body, []byte("addedByTheFault")) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		n++
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"resultCode":"000000","resultMsg":"success","instanceId":"i-%d"}`, n)
	}))
	t.Cleanup(isv.Close)
	return isv.URL
}

// TestFaults_AWrongISVShows: what each fault is there to find is told as a violation, or as a call that does not come through.
func TestFaults_AWrongISVShows(t *testing.T) {
	t.Parallel()
	for kind, want := range map[sandboxapi.FaultKind]string{
		sandboxapi.FaultDuplicate:      "another instanceId than the first time",
		sandboxapi.FaultReplay:         "another instanceId than the first time",
		sandboxapi.FaultWrongSignature: "must not be believed",
		sandboxapi.FaultStaleTimestamp: "must not be believed",
		sandboxapi.FaultOtherKey:       "must not be believed",
		sandboxapi.FaultUnknownFields:  "HTTP status 400",
		sandboxapi.FaultUnsortedBody:   "HTTP status 400",
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			m := start(t, gullible(t))
			m.putFault("it", sandboxapi.FaultRule{Kind: kind, Activity: "newInstance"})
			line := m.buy("demo-period")
			m.advance("1s")
			attempts := m.attempts(line)
			i := slices.IndexFunc(attempts, func(a sandboxapi.Attempt) bool { return a.Fault == string(kind) })
			require.GreaterOrEqual(t, i, 0)
			require.Contains(t, strings.Join(append(attempts[i].Violations, attempts[i].Detail), "\n"), want)
			require.Equal(t, 1, attempts[i].Number)
		})
	}
}

// TestFaults_ALostAnswerShowsOrphans: whoever makes an instance for each request, rather than for each order line, has one too many
// after an answer that was lost.
func TestFaults_ALostAnswerShowsOrphans(t *testing.T) {
	t.Parallel()
	m := start(t, gullible(t))
	m.putFault("it", sandboxapi.FaultRule{Kind: sandboxapi.FaultDropAnswer, Activity: "newInstance"})
	line := m.buy("demo-period")
	m.advance("1h1m")
	var i sandboxapi.Instance
	m.call("GET", "/v1/instances/"+line, nil, &i)
	require.Equal(t, "i-2", i.InstanceID, "i-1 was made, and nobody knows of it")
}

// TestFaults_SameSeedSameFaults: two runs with one seed strike the same calls and attempts.
func TestFaults_SameSeedSameFaults(t *testing.T) {
	t.Parallel()
	run := func(seed int64) (struck []string) {
		isv := newRightISV(t)
		m := start(t, isv.URL)
		m.putFault("lost", sandboxapi.FaultRule{Kind: sandboxapi.FaultDropAnswer, Probability: 0.5, Seed: seed})
		m.putFault("twice", sandboxapi.FaultRule{Kind: sandboxapi.FaultDuplicate, Probability: 0.5, Seed: seed})
		for range 4 {
			line := m.buy("demo-one-time")
			m.advance("8h")
			m.is(line, sandboxapi.InstanceReady)
			attempts := m.attempts(line)
			slices.Reverse(attempts)
			for _, a := range attempts {
				struck = append(struck, fmt.Sprint(a.CallID, a.Number, a.Fault))
			}
		}
		return struck
	}
	first := run(1)
	require.Equal(t, first, run(1))
	require.NotEqual(t, first, run(2))
	require.Contains(t, strings.Join(first, " "), "drop-answer")
	require.Contains(t, strings.Join(first, " "), "duplicate")
}

// TestFaults_StrikeNothingElse: other products are left alone, and a fault that is switched off strikes no more.
func TestFaults_StrikeNothingElse(t *testing.T) {
	t.Parallel()
	isv := newRightISV(t)
	m := start(t, isv.URL)
	m.putFault("other", sandboxapi.FaultRule{Kind: sandboxapi.FaultCut, First: 100, ProductCode: "demo-v1"})
	m.putFault("off", sandboxapi.FaultRule{Kind: sandboxapi.FaultCut, First: 100})
	status, detail := m.call("DELETE", "/v1/faults/off", nil, nil)
	require.Equal(t, http.StatusNoContent, status, detail)
	line := m.buy("demo-one-time")
	m.is(line, sandboxapi.InstanceReady)
	for _, a := range m.attempts(line) {
		require.Empty(t, a.Fault)
	}
	require.Zero(t, m.fault("other").Struck)
	status, _ = m.call("DELETE", "/v1/faults", nil, nil)
	require.Equal(t, http.StatusNoContent, status)
	status, _ = m.call("DELETE", "/v1/faults/other", nil, nil)
	require.Equal(t, http.StatusNotFound, status)
}

// patient is a client of the open API as an ISV has it, with short waits.
func (m *market) patient(timeout time.Duration) *marketplace.Client {
	m.t.Helper()
	c, err := marketplace.New(marketplace.Config{
		URL: m.openAPI.URL, Credentials: credentials, BaseKey: testKeys.BaseKey, RetryMax: 4, RetryWaitMin: time.Millisecond, RetryWaitMax: 20 * time.Millisecond,
		Timeout: timeout,
	})
	require.NoError(m.t, err)
	return c
}

// TestFaults_OfTheOpenAPI: a client that tries again gets its answer, and its usage is counted once; one that does not is told what
// went wrong.
func TestFaults_OfTheOpenAPI(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rule sandboxapi.FaultRule
		want error
	}{
		"server-error":         {sandboxapi.FaultRule{Kind: sandboxapi.FaultServerError, First: 2}, marketplace.ErrInternal},
		"server-error 503":     {sandboxapi.FaultRule{Kind: sandboxapi.FaultServerError, First: 2, Status: 503}, marketplace.ErrInternal},
		"rate-limit":           {sandboxapi.FaultRule{Kind: sandboxapi.FaultRateLimit, First: 2}, marketplace.ErrRateLimited},
		"gateway-error":        {sandboxapi.FaultRule{Kind: sandboxapi.FaultGatewayError, First: 2}, nil},
		"gateway-error page":   {sandboxapi.FaultRule{Kind: sandboxapi.FaultGatewayError, First: 2, HTML: true}, marketplace.ErrInternal},
		"timeout":              {sandboxapi.FaultRule{Kind: sandboxapi.FaultTimeout, First: 2, Delay: "2s"}, nil},
		"server-error by dice": {sandboxapi.FaultRule{Kind: sandboxapi.FaultServerError, Probability: 1, Bound: 2}, marketplace.ErrInternal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t, newISV(t).URL)
			line := m.buy("demo-on-demand")
			instance := m.is(line, sandboxapi.InstanceReady)
			m.advance("3h")
			m.putFault("it", tc.rule)

			_, err := m.sdk().QueryOrder(contextOf(t, 300*time.Millisecond), instance.OrderID, "")
			require.Error(t, err)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
			}
			timeout := 5 * time.Second
			if tc.rule.Kind == sandboxapi.FaultTimeout {
				timeout = 300 * time.Millisecond
			}
			client := m.patient(timeout)
			order, err := client.QueryOrder(t.Context(), instance.OrderID, "")
			require.NoError(t, err)
			require.Equal(t, instance.OrderID, order.OrderID)

			m.putFault("it", tc.rule) // anew
			begin := m.Now().Add(-2 * time.Hour)
			result, err := client.PushUsage(t.Context(), []marketplaceapi.UsageRecord{{
				MeteringSN: "sn-1", InstanceID: instance.InstanceID, UsageValue: "2.5", RecordTime: marketplace.FormatTime(m.Now()),
				BeginTime: marketplace.FormatTime(begin), EndTime: marketplace.FormatTime(begin.Add(time.Hour)),
			}})
			require.NoError(t, err)
			for _, r := range result.Rejected { // what was carried out although its answer came too late
				require.True(t, r.Repeat() && tc.rule.Kind == sandboxapi.FaultTimeout, r.Code)
			}
			require.Equal(t, 2, m.fault("it").Struck)
			require.Equal(t, map[string]string{"sn-1": "2.5"}, m.accepted())
		})
	}
}

func contextOf(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// accepted gives the usage that counts, by metering_sn.
func (m *market) accepted() map[string]string {
	m.t.Helper()
	records, err := m.UsageRecords(m.t.Context(), 100)
	require.NoError(m.t, err)
	accepted := map[string]string{}
	for _, r := range records {
		if r.Accepted {
			accepted[r.MeteringSN] += r.UsageValue // twice would show
		}
	}
	return accepted
}

// TestFaults_PartialRejection: records that are refused one by one are pushed again by whoever reads the answer, and lost by whoever
// looks at the HTTP status alone.
func TestFaults_PartialRejection(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL)
	instance := m.is(m.buy("demo-on-demand"), sandboxapi.InstanceReady)
	m.advance("5h")
	m.putFault("it", sandboxapi.FaultRule{Kind: sandboxapi.FaultPartialRejection, Records: 2, RecordCode: "003"})
	begin := m.Now().Add(-4 * time.Hour)
	var records []marketplaceapi.UsageRecord
	for n := range 3 {
		from := begin.Add(time.Duration(n) * time.Hour)
		records = append(records, marketplaceapi.UsageRecord{
			MeteringSN: fmt.Sprintf("sn-%d", n), InstanceID: instance.InstanceID, UsageValue: "1", RecordTime: marketplace.FormatTime(m.Now()),
			BeginTime: marketplace.FormatTime(from), EndTime: marketplace.FormatTime(from.Add(time.Hour)),
		})
	}
	result, err := m.sdk().PushUsage(t.Context(), records)
	require.NoError(t, err, "HTTP 200: to look at the status is not enough")
	require.Equal(t, 1, result.Accepted)
	require.Len(t, result.Rejected, 2)
	require.Equal(t, map[string]string{"sn-2": "1"}, m.accepted())
	var again []marketplaceapi.UsageRecord
	for _, r := range result.Rejected {
		require.EqualValues(t, "003", r.Code)
		again = append(again, r.Record)
	}
	result, err = m.sdk().PushUsage(t.Context(), again)
	require.NoError(t, err)
	require.Empty(t, result.Rejected)
	require.Equal(t, map[string]string{"sn-0": "1", "sn-1": "1", "sn-2": "1"}, m.accepted())
}

// TestFaults_SurviveARestart: faults and what they have done are state like any other; a reset switches them off.
func TestFaults_SurviveARestart(t *testing.T) {
	t.Parallel()
	isv := newRightISV(t)
	database := filepath.Join(t.TempDir(), "sandbox.db")
	file := func(c *sandbox.Config) { c.Database = database }
	m := start(t, isv.URL, file)
	m.putFault("it", sandboxapi.FaultRule{Kind: sandboxapi.FaultDuplicate, Activity: "newInstance", First: 3})
	m.is(m.buy("demo-one-time"), sandboxapi.InstanceReady)
	m.advance("1s")
	require.Equal(t, 1, m.fault("it").Struck)
	m.stop()

	m = start(t, isv.URL, file)
	code, snapshot := m.rawControl("GET", "/v1/snapshot", nil)
	require.Equal(t, http.StatusOK, code)
	m.is(m.buy("demo-one-time"), sandboxapi.InstanceReady)
	m.advance("1s")
	require.Equal(t, 2, m.fault("it").Struck)
	code, detail := m.call("POST", "/v1/reset", nil, nil)
	require.Equal(t, http.StatusOK, code, detail)
	line := m.buy("demo-one-time")
	m.is(line, sandboxapi.InstanceReady)
	m.advance("1s")
	for _, a := range m.attempts(line) {
		require.Empty(t, a.Fault)
	}
	code, answer := m.rawControl("POST", "/v1/restore", snapshot)
	require.Equal(t, http.StatusOK, code, string(answer))
	require.Equal(t, 1, m.fault("it").Struck)
	line = m.buy("demo-one-time")
	m.is(line, sandboxapi.InstanceReady)
	m.advance("1s")
	require.Equal(t, 2, m.fault("it").Struck)
}
