package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
)

// BenchmarkOrderQueryRatio compares the sandbox's order query, whose AK/SK is verified and which is answered from a database in a file,
// with a bare echo handler that answers the same bytes to the same requests. Both are asked in turns, over loopback with connections
// kept alive, by a few clients at a time. order-query-ratio is the sandbox's throughput divided by the bare handler's.
func BenchmarkOrderQueryRatio(b *testing.B) {
	const orders, clients, round = 500, 4, 250
	s, err := sandbox.New(b.Context(), sandbox.Config{
		Database: filepath.Join(b.TempDir(), "sandbox.db"), Keys: testKeys, ProductionAddress: "http://127.0.0.1:1", Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	placeOrders(b, s, orders)
	ids := orderIDs(b, s, orders)

	market := httptest.NewServer(s.OpenAPIHandler())
	defer market.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	requests := func(url string) (list []*http.Request) {
		for _, id := range ids {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url+orderPath+"?orderId="+id, nil)
			require.NoError(b, err)
			require.NoError(b, credentials.SignRequest(req, nil, time.Now()))
			list = append(list, req)
		}
		return list
	}
	ask := func(req *http.Request) ([]byte, error) {
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, body)
		}
		return body, err
	}
	ours := requests(market.URL)
	answers := map[string][]byte{}
	for i, req := range ours {
		answers[ids[i]], err = ask(req)
		require.NoError(b, err)
		require.Contains(b, string(answers[ids[i]]), ids[i])
	}
	e := echo.New()
	e.GET(orderPath, func(c echo.Context) error { return c.JSONBlob(http.StatusOK, answers[c.QueryParam("orderId")]) })
	bare := httptest.NewServer(e)
	defer bare.Close()
	theirs := requests(bare.URL)
	for _, req := range theirs { // connections and caches are warm on both sides
		_, err := ask(req)
		require.NoError(b, err)
	}

	n := 0
	run := func(list []*http.Request) time.Duration {
		var wg sync.WaitGroup
		start := time.Now()
		for c := range clients {
			wg.Go(func() {
				for i := c; i < round; i += clients {
					if _, err := ask(list[(n+i)%len(list)]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	var sandboxTime, bareTime time.Duration
	b.ResetTimer()
	for b.Loop() {
		sandboxTime += run(ours)
		bareTime += run(theirs)
		n += round
	}
	b.ReportMetric(float64(n)/sandboxTime.Seconds(), "queries/s")
	b.ReportMetric(float64(n)/bareTime.Seconds(), "bare/s")
	b.ReportMetric(bareTime.Seconds()/sandboxTime.Seconds(), "order-query-ratio")
}

// orderIDs lists the orders of a sandbox.
func orderIDs(b *testing.B, s *sandbox.Sandbox, n int) (ids []string) {
	b.Helper()
	req := httptest.NewRequestWithContext(b.Context(), http.MethodGet, fmt.Sprintf("/v1/orders?limit=%d", n), nil)
	req.Header.Set("Authorization", "Bearer "+testKeys.ControlToken)
	w := httptest.NewRecorder()
	s.ControlHandler().ServeHTTP(w, req)
	var list sandboxapi.OrderList
	require.NoError(b, json.Unmarshal(w.Body.Bytes(), &list))
	require.Len(b, list.Orders, n)
	for _, o := range list.Orders {
		ids = append(ids, o.OrderID)
	}
	return ids
}
