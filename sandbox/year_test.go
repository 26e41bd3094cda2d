package sandbox_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
)

// aYear is a made-up year of a seller: every day some buyers buy, most of them for a month or three, some renew the day before it
// ends, some let it end, some unsubscribe; the ISV fails now and then. What each instance must be at the end is worked out
// beside it, from the plan alone.
type aYear struct {
	t         testing.TB
	s         *sandbox.Sandbox
	now       time.Time // on the sandbox's clock
	instances []*planned
}

type planned struct {
	line   string
	sku    string
	bought time.Time
	period int  // months; 0: never ends
	renews bool // the day before each end
	ends   time.Time
	leaves time.Time // the buyer unsubscribes then; zero: never
	left   bool
	fails  bool // the ISV never opens it
}

var yearStart = time.Date(2027, 1, 1, 2, 0, 0, 0, time.UTC) // ten in the morning in Beijing

// yearISV opens instances, except that it fails some calls once, and opens none for buyers of a certain kind.
func yearISV(tb testing.TB) string {
	var mu sync.Mutex
	failed := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var call map[string]any
		_ = json.Unmarshal(body, &call)
		delete(call, "businessId")
		key, _ := json.Marshal(call)
		answer := right(call)
		lot := fnv.New32a()
		_, _ = lot.Write(key)
		mu.Lock()
		if lot.Sum32()%20 == 0 && !failed[string(key)] {
			failed[string(key)] = true
			answer = `{"resultCode":"000005","resultMsg":"not now"}`
		}
		mu.Unlock()
		if line, _ := call["orderLineId"].(string); call["activity"] == "newInstance" && neverOpens(line) {
			answer = `{"resultCode":"000100","resultMsg":"none left"}`
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	tb.Cleanup(server.Close)
	return server.URL + "/saasproduce"
}

func neverOpens(line string) bool {
	lot := fnv.New32a()
	_, _ = io.WriteString(lot, line)
	return lot.Sum32()%1000 == 1 // more than five failures in a month would delist the product
}

func newYear(tb testing.TB, seed uint64) *aYear {
	s, err := sandbox.New(tb.Context(), sandbox.Config{
		Keys: testKeys, ProductionAddress: yearISV(tb), Seed: seed, Now: func() time.Time { return yearStart }, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, <-done)
		require.NoError(tb, s.Close())
	})
	return &aYear{t: tb, s: s, now: yearStart}
}

func (y *aYear) control(method, path string, body, into any) {
	text, err := json.Marshal(body)
	require.NoError(y.t, err)
	req := httptest.NewRequestWithContext(y.t.Context(), method, path, bytes.NewReader(text))
	req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	y.s.ControlHandler().ServeHTTP(w, req)
	require.Less(y.t, w.Code, 300, "%s %s: %s", method, path, w.Body)
	if into != nil {
		require.NoError(y.t, json.Unmarshal(w.Body.Bytes(), into))
	}
}

// live lives through a year with so many instances.
func (y *aYear) live(instances int) {
	const days = 365
	for day := range days {
		for n := instances * day / days; n < instances*(day+1)/days; n++ {
			y.buy(n)
		}
		y.advance(yearStart.Add(time.Duration(day)*24*time.Hour + 6*time.Hour)) // what was bought is open, or being retried
		for _, p := range y.instances {
			y.manage(p)
		}
		y.advance(yearStart.Add(time.Duration(day+1) * 24 * time.Hour))
	}
}

func (y *aYear) buy(n int) {
	p := &planned{bought: y.now}
	order := sandboxapi.Purchase{}
	switch n % 10 {
	case 0:
		order.SKUCode = "demo-one-time"
	case 1:
		order.SKUCode = "demo-on-demand"
	default:
		order.SKUCode, p.period = "demo-period", []int{1, 3}[n%2]
		order.Period = fmt.Sprintf("%dm", p.period)
		p.renews = n%3 != 0
	}
	if n%7 == 0 {
		p.leaves = y.now.Add(time.Duration(20+n%50) * 24 * time.Hour)
	}
	var placed sandboxapi.OrderPlaced
	y.control("POST", "/v1/orders", order, &placed)
	p.sku, p.line = order.SKUCode, placed.Order.OrderLineID
	p.fails = neverOpens(p.line)
	if p.period > 0 {
		p.ends = endOf(p.bought, p.period)
	}
	y.instances = append(y.instances, p)
}

// endOf is the last second of the last day in Beijing, so many months on.
func endOf(from time.Time, months int) time.Time {
	beijing := time.FixedZone("", 8*3600)
	year, month, day := from.In(beijing).Date()
	last := time.Date(year, month+time.Month(months)+1, 0, 0, 0, 0, 0, beijing).Day()
	return time.Date(year, month+time.Month(months), min(day, last), 23, 59, 59, 0, beijing)
}

const retained = 15 * 24 * time.Hour

// manage does what the buyer does on this day.
func (y *aYear) manage(p *planned) {
	gone := p.fails || p.left || !p.ends.IsZero() && !y.now.Before(p.ends.Add(retained))
	switch {
	case gone:
	case !p.leaves.IsZero() && !y.now.Before(p.leaves):
		y.control("POST", "/v1/instances/"+p.line+"/release", struct{}{}, nil)
		p.left = true
	case p.renews && p.ends.Sub(y.now) < 24*time.Hour && y.now.Before(p.ends):
		y.control("POST", "/v1/instances/"+p.line+"/renew", sandboxapi.Renewal{Period: fmt.Sprintf("%dm", p.period)}, nil)
		p.ends = endOf(p.ends, p.period)
	}
}

func (y *aYear) advance(to time.Time) {
	require.NoError(y.t, y.s.AdvanceTo(y.t.Context(), to))
	y.now = to
}

// status is what the instance must be now.
func (y *aYear) status(p *planned) sandboxapi.InstanceStatus {
	switch {
	case p.fails:
		return sandboxapi.InstanceFailed
	case p.left:
		return sandboxapi.InstanceReleased
	case p.ends.IsZero() || y.now.Before(p.ends):
		return sandboxapi.InstanceReady
	case y.now.Before(p.ends.Add(retained)):
		return sandboxapi.InstanceFrozen
	}
	return sandboxapi.InstanceReleased
}

// check compares every instance with the plan.
func (y *aYear) check() map[sandboxapi.InstanceStatus]int {
	count := map[sandboxapi.InstanceStatus]int{}
	for _, p := range y.instances {
		var i sandboxapi.Instance
		y.control("GET", "/v1/instances/"+p.line, nil, &i)
		require.Equal(y.t, y.status(p), i.Status, "%+v", *p)
		if !p.ends.IsZero() {
			require.Equal(y.t, p.ends.UTC(), i.ExpireTime)
		}
		count[i.Status]++
	}
	return count
}

// state is all that the sandbox knows of orders, instances and calls, in an order that does not depend on who was first.
func (y *aYear) state() string {
	var orders sandboxapi.OrderList
	y.control("GET", "/v1/orders?limit=1000", nil, &orders)
	slices.SortFunc(orders.Orders, func(a, b sandboxapi.Order) int { return cmp.Compare(a.OrderID, b.OrderID) })
	all := []any{orders}
	for _, p := range y.instances {
		var i sandboxapi.Instance
		y.control("GET", "/v1/instances/"+p.line, nil, &i)
		var calls sandboxapi.CallList
		y.control("GET", "/v1/calls?limit=1000&orderLineId="+p.line, nil, &calls)
		for n := range calls.Calls {
			calls.Calls[n].CallID = 0
		}
		all = append(all, i, calls)
	}
	text, err := json.MarshalIndent(all, "", " ")
	require.NoError(y.t, err)
	return string(text)
}

func TestSandbox_TwoYearsWithOneSeedAreEqual(t *testing.T) {
	t.Parallel()
	first, second, other := newYear(t, 7), newYear(t, 7), newYear(t, 8)
	instances := 60
	if underRace {
		instances = 10
	}
	for _, y := range []*aYear{first, second, other} {
		y.live(instances)
		count := y.check()
		require.Positive(t, count[sandboxapi.InstanceReady])
		require.Positive(t, count[sandboxapi.InstanceReleased])
	}
	require.Equal(t, first.state(), second.state())
	require.NotEqual(t, first.state(), other.state())
}

// peakMB is the most memory that this process had at any time, as Linux tells it; 0 elsewhere. Go's own figures would leave out the
// database in memory.
func peakMB(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if kB, found := strings.CutPrefix(line, "VmHWM:"); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kB), "kB")), 64)
			require.NoError(b, err)
			return n / 1024
		}
	}
	return 0
}

// BenchmarkYear takes 10,000 instances through a year: some 60,000 calls, each really made. It tells how long that takes, and how
// much memory the process has from the system at the end, the ISV and the test included.
func BenchmarkYear(b *testing.B) {
	for range b.N {
		y := newYear(b, 1)
		start := time.Now()
		y.live(10_000)
		b.ReportMetric(time.Since(start).Seconds(), "s/year")
		b.StopTimer()
		count := y.check()
		var status sandboxapi.Status
		y.control("GET", "/v1/status", nil, &status)
		b.ReportMetric(peakMB(b), "peak-MB")
		b.Logf("%d orders; instances: %v", status.Orders, count)
		b.StartTimer()
	}
}
