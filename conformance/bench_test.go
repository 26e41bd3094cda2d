package conformance_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

// BenchmarkSuite is the whole suite, with all charging modes and capabilities, against a right ISV in this process.
func BenchmarkSuite(b *testing.B) { benchmarkSuite(b, 0) }

// BenchmarkSuiteRemote is the same for an ISV whose answers take 50 ms longer, and so do the marketplace's answers to it.
func BenchmarkSuiteRemote(b *testing.B) { benchmarkSuite(b, 50*time.Millisecond) }

func benchmarkSuite(b *testing.B, latency time.Duration) {
	b.Helper()
	mutant.KitPublicKey() // takes a while the first time
	passed := 0
	for b.Loop() {
		r := judgedFrom(b, latency)
		require.Equal(b, report.Conformant, r.Verdict, "%v", complaints(r))
		passed += r.Counts[suite.Pass]
	}
	b.ReportMetric(float64(passed)/b.Elapsed().Seconds(), "checks/s")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/run")
}

// judgedFrom judges the right ISV from afar.
func judgedFrom(tb testing.TB, latency time.Duration) *conformance.Report {
	tb.Helper()
	market := freeListener(tb)
	marketURL := "http://" + market.Addr().String()
	if latency > 0 {
		u, err := url.Parse(marketURL)
		require.NoError(tb, err)
		proxy := httptest.NewServer(delayed(httputil.NewSingleHostReverseProxy(u), latency))
		defer proxy.Close()
		marketURL = proxy.URL
	}
	keys := mutant.Keys{Base: baseKey, General: "general", Kit: "kit", V1: "v1", License: "license", AK: "AK", SK: "SK"}
	right, err := mutant.New(keys, marketURL)
	require.NoError(tb, err)
	server := httptest.NewServer(delayed(right.Handler, latency))
	defer server.Close()
	r, err := conformance.Run(tb.Context(), conformance.Options{
		Target: server.URL + "/saasproduce", BaseKey: keys.Base, GeneralKey: keys.General, AK: keys.AK, SK: keys.SK,
		KitKey: keys.Kit, KitPublicKey: mutant.KitPublicKey(), V1Key: keys.V1, LicenseKey: keys.License,
		MarketListener: market, Charging: suite.Modes(), With: suite.Capabilities(),
	})
	require.NoError(tb, err)
	return r
}

// delayed is a handler behind a long line: the request is on its way for half of the time, and the answer for the other half.
func delayed(next http.Handler, latency time.Duration) http.Handler {
	if latency == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(latency)
		next.ServeHTTP(w, r)
	})
}
