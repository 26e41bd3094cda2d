package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// kinds are the databases and numbers of processes that are compared.
var kinds = []struct {
	name      string
	processes int
	database  func(testing.TB) string
}{
	{"sqlite", 1, func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "sandbox.db") }},
	{"postgres-1", 1, storetest.Postgres},
	{"postgres-2", 2, storetest.Postgres},
	{"postgres-4", 4, storetest.Postgres},
}

// buyMany places orders through the control APIs of processes, some at a time, and gives the order ids.
func buyMany(b *testing.B, workers []*worker, sku string, n int) (ids []string) {
	b.Helper()
	const buyers = 8
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: buyers}}
	defer client.CloseIdleConnections()
	body, err := json.Marshal(sandboxapi.Purchase{SKUCode: sku})
	require.NoError(b, err)
	ids = make([]string, n)
	var wg sync.WaitGroup
	for c := range buyers {
		wg.Go(func() {
			for i := c; i < n; i += buyers {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, workers[i%len(workers)].control+"/v1/orders", bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
				req.Header.Set("Content-Type", "application/json")
				var placed sandboxapi.OrderPlaced
				resp, err := client.Do(req)
				if err == nil {
					err = json.NewDecoder(resp.Body).Decode(&placed)
					_ = resp.Body.Close()
				}
				if err != nil || resp.StatusCode != http.StatusCreated {
					b.Errorf("an order was not taken: %v", err)
					return
				}
				ids[i] = placed.Order.OrderID
			}
		})
	}
	wg.Wait()
	return ids
}

// BenchmarkProcesses measures processes of their own that share a database, beside one with SQLite. Deliveries are those of orders that
// were all placed before: 50 orders are one op, and each is two deliveries, journaled before and after and applied. Queries are order
// queries of 16 clients, spread over the processes: 100 are one op.
func BenchmarkProcesses(b *testing.B) {
	for _, kind := range kinds {
		b.Run("deliveries/"+kind.name, func(b *testing.B) {
			const orders = 50
			isv := newReceiver(b)
			database := kind.database(b)
			shop := startWorker(b, database, isv.URL, true)
			buyMany(b, []*worker{shop}, "demo-period", orders*b.N)
			shop.kill()
			var workers []*worker
			for range kind.processes {
				workers = append(workers, startWorker(b, database, isv.URL, true))
			}
			b.ResetTimer()
			began := time.Now()
			for _, w := range workers {
				w.goOn()
			}
			for isv.got.Load() < int64(2*orders*b.N) {
				time.Sleep(100 * time.Microsecond)
			}
			b.ReportMetric(float64(2*orders*b.N)/time.Since(began).Seconds(), "deliveries/s")
			b.StopTimer()
			for _, w := range workers {
				w.kill()
			}
		})
	}
	for _, kind := range kinds {
		b.Run("queries/"+kind.name, func(b *testing.B) {
			const clients, queries = 16, 100
			isv := newReceiver(b)
			database := kind.database(b)
			var workers []*worker
			for range kind.processes {
				workers = append(workers, startWorker(b, database, isv.URL, true))
			}
			ids := buyMany(b, workers, "demo-period", 100)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
			defer client.CloseIdleConnections()
			b.ResetTimer()
			began := time.Now()
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
					for i := c; i < queries*b.N; i += clients {
						if err := queryOrder(b, client, workers[i%len(workers)].openAPI, ids[i%len(ids)]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(queries*b.N)/time.Since(began).Seconds(), "queries/s")
			b.StopTimer()
			for _, w := range workers {
				w.kill()
			}
		})
	}
}

func queryOrder(b *testing.B, client *http.Client, openAPI, id string) error {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, openAPI+orderPath+"?orderId="+id, nil)
	if err == nil {
		err = credentials.SignRequest(req, nil, time.Now())
	}
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, body)
	}
	return err
}

// BenchmarkLoad makes 100,000 deliveries, of 50,000 orders that are placed meanwhile, with one process of its own, and tells how much memory
// that process has after each fifth, as Linux counts it: it does not grow with their number. The orders are of a SKU that does not end; each
// instance that has an end waits for it in the memory of a process with SQLite.
func BenchmarkLoad(b *testing.B) {
	for _, kind := range kinds[:2] {
		b.Run(kind.name, func(b *testing.B) {
			const orders, parts = 50_000, 5
			for b.Loop() {
				isv := newReceiver(b)
				w := startWorker(b, kind.database(b), isv.URL, false)
				began := time.Now()
				for part := range parts {
					buyMany(b, []*worker{w}, "demo-one-time", orders/parts)
					for isv.got.Load() < int64(2*orders/parts*(part+1)) {
						time.Sleep(time.Millisecond)
					}
					b.ReportMetric(memoryMB(b, w.pid, "VmRSS:"), fmt.Sprintf("MB-after-%d", 2*orders/parts*(part+1)))
				}
				took := time.Since(began)
				b.ReportMetric(took.Seconds(), "s")
				b.ReportMetric(2*orders/took.Seconds(), "deliveries/s")
				b.ReportMetric(memoryMB(b, w.pid, "VmHWM:"), "peak-MB")
				w.kill()
			}
		})
	}
}

// memoryMB is what Linux says of the memory of a process; 0 elsewhere.
func memoryMB(b *testing.B, pid int, field string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if kB, found := strings.CutPrefix(line, field); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kB), "kB")), 64)
			require.NoError(b, err)
			return n / 1024
		}
	}
	return 0
}
