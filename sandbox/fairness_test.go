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
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/queue"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// staging is a sandbox that sellers share, without a listener.
type staging struct {
	tb testing.TB
	*sandbox.Sandbox
}

// newStaging starts one.
func newStaging(tb testing.TB, database string) staging {
	tb.Helper()
	s, err := sandbox.New(tb.Context(), sandbox.Config{
		Database: database, Keys: testKeys, SecretsKey: testSecretsKey, ProductionAddress: "http://127.0.0.1:1", Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		require.NoError(tb, <-done)
		require.NoError(tb, s.Close())
	})
	return staging{tb, s}
}

// control calls the control API.
func (s staging) control(method, path string, body, into any) {
	s.tb.Helper()
	text, err := json.Marshal(body)
	require.NoError(s.tb, err)
	req := httptest.NewRequestWithContext(s.tb.Context(), method, path, bytes.NewReader(text))
	req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ControlHandler().ServeHTTP(w, req)
	require.Less(s.tb, w.Code, 300, "%s %s: %s", method, path, w.Body)
	if into != nil {
		require.NoError(s.tb, json.Unmarshal(w.Body.Bytes(), into))
	}
}

// seller adds a seller with a product of one SKU, whose ISV is at an address. The SKU has the seller's name.
func (s staging) seller(name, address string) {
	s.tb.Helper()
	s.control("PUT", "/v1/sellers/"+name, sandboxapi.SellerSettings{Name: name, ProductionAddress: address, NewKeys: true}, nil)
	s.control("PUT", "/v1/products/"+name, sandboxapi.Product{ProductCode: name, SellerID: name, SKUs: []sandboxapi.SKU{{
		SKUCode: name, ChargingMode: sandboxapi.SKUOneTime, Items: []sandboxapi.BillingItem{{ProductID: name + "-item", Price: "1"}},
	}}}, nil)
}

// buy buys and gives the order line.
func (s staging) buy(sku string) string {
	s.tb.Helper()
	var placed sandboxapi.OrderPlaced
	s.control("POST", "/v1/orders", sandboxapi.Purchase{SKUCode: sku}, &placed)
	return placed.Order.OrderLineID
}

// manyISVs answer for many sellers at once, each at /NAME. Those that hang answer nobody, until it is closed.
type manyISVs struct {
	*httptest.Server
	hang func(seller string) bool
	free chan struct{}

	mu      sync.Mutex
	hanging int                  // requests that are not answered
	got     map[string]time.Time // when the newInstance of a line came
}

func newManyISVs(tb testing.TB, hang func(seller string) bool) *manyISVs {
	v := &manyISVs{hang: hang, free: make(chan struct{}), got: map[string]time.Time{}}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := time.Now()
		body, _ := io.ReadAll(r.Body)
		var call map[string]any
		_ = json.Unmarshal(body, &call)
		if seller, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/"); v.hang(seller) && !v.wait(r.Context()) {
			return
		}
		if line, ok := call["orderLineId"].(string); ok {
			v.mu.Lock()
			v.got[line] = at
			v.mu.Unlock()
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, right(call))
	}))
	tb.Cleanup(v.Close)
	return v
}

// wait hangs.
func (v *manyISVs) wait(ctx context.Context) (freed bool) {
	v.count(+1)
	defer v.count(-1)
	select {
	case <-v.free:
		return true
	case <-ctx.Done():
		return false
	}
}

func (v *manyISVs) count(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hanging += n
}

func (v *manyISVs) hangs() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hanging
}

// times gives when the newInstance of lines came, as soon as all have come.
func (v *manyISVs) times(tb testing.TB, lines []string) (times []time.Time) {
	tb.Helper()
	require.Eventually(tb, func() bool {
		times = times[:0]
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, line := range lines {
			at, came := v.got[line]
			if !came {
				return false
			}
			times = append(times, at)
		}
		return true
	}, 60*time.Second, time.Millisecond)
	return times
}

// TestFairness_OthersAreDeliveredWhileSomeHang has more calls wait for ISVs that do not answer than there are workers. All others are
// delivered while every one of those still waits, and those are delivered too, once their ISVs answer.
func TestFairness_OthersAreDeliveredWhileSomeHang(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{
		"sqlite":   func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "sandbox.db") },
		"postgres": storetest.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			const sellers, hanging, each = 20, 2, queue.Workers*2/3 + 1
			seller := func(i int) string { return fmt.Sprintf("seller-%02d", i) }
			isvs := newManyISVs(t, func(s string) bool { return s < seller(hanging) })
			s := newStaging(t, database(t))
			for i := range sellers {
				s.seller(seller(i), isvs.URL+"/"+seller(i))
			}
			var slow, others []string
			for range each {
				for i := range hanging {
					slow = append(slow, s.buy(seller(i)))
				}
			}
			for i := hanging; i < sellers; i++ {
				others = append(others, s.buy(seller(i)), s.buy(seller(i)))
			}
			isvs.times(t, others)
			require.Eventually(t, func() bool { return isvs.hangs() == len(slow) }, 60*time.Second, time.Millisecond)
			require.Greater(t, len(slow), queue.Workers)
			close(isvs.free)
			isvs.times(t, slow)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			require.NoError(t, s.Settle(ctx))
			for _, line := range slices.Concat(slow, others) {
				var i sandboxapi.Instance
				s.control("GET", "/v1/instances/"+line, nil, &i)
				require.Equal(t, sandboxapi.InstanceReady, i.Status)
			}
		})
	}
}

// BenchmarkFairness compares how soon the orders of 190 sellers are delivered while the ISVs of another ten answer nobody until the
// marketplace gives up, with how soon they are while those answer too. More calls hang from the beginning than there are workers, and each
// round adds some. Orders come at the same pace in both, in turns, one of each seller a round. p99-ratio is the 99th percentile with them
// divided by that without; a delivery's time begins with the order and ends when its newInstance is at the ISV.
func BenchmarkFairness(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) {
		benchmarkFairness(b, 3, func() string { return filepath.Join(b.TempDir(), "sandbox.db") })
	})
	b.Run("postgres", func(b *testing.B) { benchmarkFairness(b, 1, func() string { return storetest.Postgres(b) }) })
}

func benchmarkFairness(b *testing.B, rounds int, database func() string) {
	const sellers, hanging, before, pause = 200, 10, 8, 2500 * time.Microsecond
	seller := func(i int) string { return fmt.Sprintf("seller-%03d", i) }
	type side struct {
		isvs *manyISVs
		staging
		took []time.Duration
	}
	var sides [2]side
	for n := range sides {
		isvs := newManyISVs(b, func(s string) bool { return n == 1 && s < seller(hanging) })
		sides[n] = side{isvs: isvs, staging: newStaging(b, database())}
		for i := range sellers {
			sides[n].seller(seller(i), isvs.URL+"/"+seller(i))
		}
		for i := range hanging * before {
			sides[n].buy(seller(i % hanging))
		}
	}
	require.Eventually(b, func() bool { return sides[1].isvs.hangs() == hanging*before }, time.Minute, time.Millisecond)
	for b.Loop() {
		for n := range rounds * len(sides) {
			n %= len(sides)
			var lines []string
			var placed []time.Time
			ticker := time.NewTicker(pause)
			for i := range sellers {
				<-ticker.C
				at := time.Now()
				line := sides[n].buy(seller(i))
				if i >= hanging {
					lines, placed = append(lines, line), append(placed, at)
				}
			}
			ticker.Stop()
			for i, at := range sides[n].isvs.times(b, lines) {
				sides[n].took = append(sides[n].took, at.Sub(placed[i]))
			}
		}
	}
	hung := sides[1].isvs.hangs()
	close(sides[1].isvs.free)
	p99 := func(took []time.Duration) float64 {
		slices.Sort(took)
		return float64(took[len(took)*99/100].Microseconds()) / 1000
	}
	without, with := p99(sides[0].took), p99(sides[1].took)
	b.ReportMetric(without, "p99-ms-without")
	b.ReportMetric(with, "p99-ms-with")
	b.ReportMetric(with/without, "p99-ratio")
	b.ReportMetric(float64(hung), "hanging")
}
