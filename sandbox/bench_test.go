package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox"
)

// receiver is an ISV that answers as fast as one can, and keeps what it was sent if asked to.
type receiver struct {
	*httptest.Server
	got  atomic.Int64
	keep atomic.Bool
	mu   sync.Mutex
	sent []recorded
}

type recorded struct {
	url  string
	body []byte
}

func newReceiver(b *testing.B) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if r.keep.Load() {
			r.mu.Lock()
			r.sent = append(r.sent, recorded{req.URL.String(), body})
			r.mu.Unlock()
		}
		var call map[string]any
		_ = json.Unmarshal(body, &call)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, right(call))
		r.got.Add(1)
	}))
	b.Cleanup(r.Close)
	return r
}

// BenchmarkDeliveryRatio compares durable deliveries, each journaled before and after and applied to the state in a file, with a bare
// client that posts the same signed bodies to the same receiver, one after the other.
func BenchmarkDeliveryRatio(b *testing.B) {
	const orders = 1000
	isv := newReceiver(b)
	var durable, bare time.Duration
	for range b.N {
		b.StopTimer()
		s, err := sandbox.New(b.Context(), sandbox.Config{
			Database: filepath.Join(b.TempDir(), "sandbox.db"), Keys: testKeys, ProductionAddress: isv.URL + "/saasproduce",
			Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(b, err)
		placeOrders(b, s, orders)
		isv.keep.Store(true)
		isv.sent = isv.sent[:0]
		isv.got.Store(0)
		ctx, cancel := context.WithCancel(b.Context())
		done := make(chan struct{})
		b.StartTimer()
		start := time.Now()
		go func() { _ = s.Run(ctx); close(done) }()
		for isv.got.Load() < 2*orders {
			time.Sleep(time.Millisecond)
		}
		require.NoError(b, s.Advance(ctx, 0)) // until the last answer is applied
		durable += time.Since(start)
		b.StopTimer()
		cancel()
		<-done
		require.NoError(b, s.Close())
		isv.keep.Store(false)
		client := &http.Client{}
		start = time.Now()
		for _, r := range isv.sent {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, isv.URL+r.url, bytes.NewReader(r.body))
			require.NoError(b, err)
			req.Header.Set("Content-Type", "application/json;charset=utf8")
			resp, err := client.Do(req)
			require.NoError(b, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		bare += time.Since(start)
		b.StartTimer()
	}
	n := float64(b.N) * 2 * orders
	b.ReportMetric(n/durable.Seconds(), "deliveries/s")
	b.ReportMetric(n/bare.Seconds(), "bare/s")
	b.ReportMetric(bare.Seconds()/durable.Seconds(), "delivery-ratio")
}

func placeOrders(b *testing.B, s *sandbox.Sandbox, n int) {
	b.Helper()
	for range n {
		req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/orders", strings.NewReader(`{"skuCode":"demo-period"}`))
		req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ControlHandler().ServeHTTP(w, req)
		require.Equal(b, http.StatusCreated, w.Code, w.Body.String())
	}
}
