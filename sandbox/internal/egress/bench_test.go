package egress_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/egress"
)

// BenchmarkGate is what the policy costs a request over a kept connection, beside a transport without one.
func BenchmarkGate(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	p, err := egress.New(egress.Rules{})
	require.NoError(b, err)
	for name, transport := range map[string]http.RoundTripper{
		"without": &http.Transport{MaxIdleConnsPerHost: 2}, "with": egress.NewGate(p, egress.Options{}),
	} {
		b.Run(name, func(b *testing.B) {
			client := &http.Client{Transport: transport}
			for b.Loop() {
				ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
				require.NoError(b, err)
				resp, err := client.Do(req)
				require.NoError(b, err)
				require.NoError(b, resp.Body.Close())
				cancel()
			}
		})
	}
	b.Run("decision", func(b *testing.B) {
		for b.Loop() {
			require.NoError(b, p.Check(server.URL))
		}
	})
}
