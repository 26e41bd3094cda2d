package sandbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

// events lists events; query is as in the address.
func (m *market) events(query string) []sandboxapi.Event {
	m.t.Helper()
	var list sandboxapi.EventList
	status, detail := m.call("GET", "/v1/events?"+query, nil, &list)
	require.Equal(m.t, http.StatusOK, status, detail)
	return list.Events
}

// message is one message of a stream.
type message struct {
	id string
	sandboxapi.Event
}

// stream is a client of the event stream.
type stream struct {
	t    *testing.T
	resp *http.Response
	text *bufio.Scanner
}

// stream opens the stream, after the message of an id if it is not empty.
func (m *market) stream(ctx context.Context, query, lastID string) *stream {
	m.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.control.URL+"/v1/events/stream?"+query, nil)
	require.NoError(m.t, err)
	req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(m.t, err)
	require.Equal(m.t, http.StatusOK, resp.StatusCode)
	require.Equal(m.t, "text/event-stream", resp.Header.Get("Content-Type"))
	s := &stream{m.t, resp, bufio.NewScanner(resp.Body)}
	m.t.Cleanup(func() { _ = resp.Body.Close() })
	return s
}

// next reads the next message; false if the stream is over.
func (s *stream) next() (m message, ok bool) {
	for s.text.Scan() {
		name, value, _ := strings.Cut(s.text.Text(), ": ")
		switch name {
		case "id":
			m.id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &m.Event); err != nil {
				s.t.Errorf("data of message %s: %v", m.id, err)
			}
		case "":
			if m.id != "" {
				return m, true
			}
		}
	}
	return m, false
}

func TestEvents_TheSellerIsToldOfEveryFailure(t *testing.T) {
	t.Parallel()
	provider := newISV(t)
	m := start(t, provider.URL)
	line := m.buy("demo-period")
	m.is(line, sandboxapi.InstanceReady)
	require.Empty(t, m.events("kind=notification"), "nothing has failed")

	provider.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"down"}` })
	m.do(line, "freeze")
	m.advance("2h")
	told := m.events("kind=notification&subject=" + line)
	require.Len(t, told, 61, "an attempt each minute for an hour")
	require.Contains(t, told[0].Text, "updateInstanceStatus for order line "+line)
	require.Contains(t, told[0].Text, "000005")
	require.Contains(t, told[0].Text, "It is called again at "+told[1].Time.In(time.FixedZone("", 8*3600)).Format("2006-01-02 15:04"))
	require.Equal(t, "demo", told[0].SellerID)
	last := told[60]
	require.Contains(t, last.Text, "isv-sandbox restart "+last.Details["callId"])

	waiting := m.events("kind=call-waiting&sellerId=demo")
	require.Len(t, waiting, 1)
	require.Equal(t, last.Details["callId"], waiting[0].Details["callId"])
	require.Equal(t, last.Time, waiting[0].Time)

	require.Len(t, m.events("kind=notification&limit=5"), 5)
	require.Equal(t, told[56:], m.events("kind=notification&limit=5"), "the latest, oldest first")
	require.Equal(t, told[10:20], m.events(fmt.Sprintf("kind=notification&limit=10&since=%d", told[9].EventID)))
	require.Len(t, m.events("kind=notification&kind=call-waiting"), 62)
	require.Empty(t, m.events("sellerId=nobody&kind=notification"))

	moved := m.events("kind=clock-moved")
	require.Len(t, moved, 1)
	require.Equal(t, "2h0m0s", moved[0].Details["by"])

	for path, want := range map[string]string{
		"/v1/events?kind=nonsense": "no such kind", "/v1/events/stream?kind=nonsense": "no such kind",
	} {
		status, detail := m.call("GET", path, nil, nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, detail, want)
	}
}

// TestEvents_WhoResumesMissesNothing reads the stream with interruptions while a thousand events are written and attempts are made.
func TestEvents_WhoResumesMissesNothing(t *testing.T) {
	t.Parallel()
	provider := newISV(t)
	m := start(t, provider.URL)
	first := m.stream(t.Context(), "", "")

	changes, orders := 1000, 60
	if underRace {
		changes, orders = 100, 12
	}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range changes / 4 {
				address := fmt.Sprintf("%s/%d/%d", provider.URL, w, i)
				if status, detail := m.call("PUT", "/v1/provider", sandboxapi.ProviderSettings{ProductionAddress: address}, nil); status != http.StatusOK {
					t.Error(detail)
				}
			}
		})
	}
	writers.Go(func() {
		for range orders {
			m.buy("demo-one-time")
		}
	})

	seen := map[string]int{}     // production address: how often it was told
	attempts := map[string]int{} // attempt: how often it was told
	lastEvent, lastID := int64(0), ""
	read := func(s *stream, enough func(n int) bool) {
		for n := 1; ; n++ {
			msg, ok := s.next()
			if !ok {
				t.Error("the stream ended")
				return
			}
			lastID = msg.id
			switch msg.Kind {
			case sandboxapi.EventProviderChanged:
				seen[msg.Details["productionAddress"]]++
			case sandboxapi.EventAttempt:
				attempts[msg.Details["attemptId"]]++
			}
			if msg.EventID != 0 {
				if msg.EventID <= lastEvent {
					t.Errorf("event %d after %d", msg.EventID, lastEvent)
				}
				lastEvent = msg.EventID
			}
			if enough(n) {
				return
			}
		}
	}
	// Each time some are read, the connection is dropped with more on their way, and the next one begins behind the last that was read.
	read(first, func(n int) bool { return n == 7 })
	_ = first.resp.Body.Close()
	complete := func() bool { return len(seen) == changes && len(attempts) == 2*orders }
	for n := 1; !complete(); n++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		read(m.stream(ctx, "", lastID), func(read int) bool { return read == 13*n || complete() })
		cancel()
		if t.Failed() {
			return
		}
	}
	writers.Wait()
	for what, times := range map[string]map[string]int{"address": seen, "attempt": attempts} {
		for name, n := range times {
			require.Equal(t, 1, n, "%s %s", what, name)
		}
	}

	// From the beginning, by the number of the event; and filtered.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := m.stream(ctx, "since=0&kind=provider-changed&sellerId=demo", "")
	for range changes {
		msg, ok := all.next()
		require.True(t, ok)
		require.Equal(t, sandboxapi.EventProviderChanged, msg.Kind)
		seen[msg.Details["productionAddress"]]++
	}
	for name, n := range seen {
		require.Equal(t, 2, n, name)
	}

	status, detail := m.call("GET", "/v1/events/stream?since="+url.QueryEscape("-1"), nil, nil)
	require.Equal(t, http.StatusBadRequest, status, detail)
}

// TestEvents_OfOrdersInstancesFaultsAndUsage: each is told once, with what it tells of.
func TestEvents_OfOrdersInstancesFaultsAndUsage(t *testing.T) {
	t.Parallel()
	provider := newISV(t)
	m := start(t, provider.URL)
	line := m.buy("demo-on-demand")
	m.is(line, sandboxapi.InstanceReady)
	kinds := func(subject string) (list []string) {
		for _, e := range m.events("subject=" + subject) {
			list = append(list, strings.TrimSpace(string(e.Kind)+" "+e.Details["status"]))
		}
		return list
	}
	require.Equal(t, []string{"order-placed", "instance-changed opening", "order-completed", "instance-changed ready"}, kinds(line))
	m.do(line, "freeze")
	m.is(line, sandboxapi.InstanceFrozen)
	require.Equal(t, []string{"instance-changed frozen"}, kinds(line)[4:])

	// A line that fails: three retries, then the order fails. One notice for each attempt.
	provider.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"down"}` })
	failed := m.buy("demo-one-time")
	m.advance("4h")
	require.Equal(t, []string{
		"order-placed", "notification", "notification", "notification", "notification", "order-failed", "instance-changed failed",
	}, kinds(failed))
	last := m.events("kind=notification&limit=1")[0]
	require.Contains(t, last.Text, "has failed, and the buyer gets the money back")
	require.NotContains(t, last.Details, "nextTime")
	provider.says(func(call map[string]any, _ int) string { return right(call) })

	m.putFault("twice", sandboxapi.FaultRule{Kind: sandboxapi.FaultDuplicate, Activity: "newInstance", First: 1})
	second := m.buy("demo-one-time")
	m.is(second, sandboxapi.InstanceReady)
	faults := m.events("kind=fault-applied")
	require.Len(t, faults, 1)
	require.Equal(t, second, faults[0].Subject)
	require.Equal(t, "duplicate", faults[0].Details["kind"])
	m.putFault("slow-down", sandboxapi.FaultRule{Kind: sandboxapi.FaultRateLimit, Operation: "queryOrder", First: 1})
	status, _ := m.raw(m.request("GET", "/api/mkp-openapi-public/global/v1/order/query?orderId=MOCKONDEMAND", "", nil))
	require.Equal(t, http.StatusTooManyRequests, status)
	faults = m.events("kind=fault-applied")
	require.Len(t, faults, 2)
	require.Equal(t, "seller/demo", faults[1].Subject)

	hour := m.Now().Add(-time.Hour)
	record := func(sn, instance string) marketplaceapi.UsageRecord {
		return marketplaceapi.UsageRecord{
			MeteringSN: sn, InstanceID: instance, UsageValue: "1", RecordTime: marketplace.FormatTime(m.Now()),
			BeginTime: marketplace.FormatTime(hour), EndTime: marketplace.FormatTime(m.Now()),
		}
	}
	_, err := m.sdk().PushUsage(t.Context(), []marketplaceapi.UsageRecord{record("sn-1", "nobody"), record("sn-2", "i-"+line), record("sn-3", "noone")})
	require.NoError(t, err)
	rejected := m.events("kind=usage-rejected")
	require.Len(t, rejected, 1, "one for a push")
	require.Equal(t, "demo", rejected[0].SellerID)
	require.Equal(t, "3", rejected[0].Details["records"])
	require.Contains(t, rejected[0].Text, "instance nobody: 001")
}
