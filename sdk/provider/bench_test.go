package provider_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

// discard is a ResponseWriter that keeps the last answer only.
type discard struct {
	header http.Header
	buf    [512]byte
	n      int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { d.n = copy(d.buf[:], p); return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// handled returns a function that serves one updateInstanceStatus, from request to answer: signature, replay guard, contract,
// log line.
func handled(b *testing.B) (serve func(), w *discard) {
	b.Helper()
	ticks := 0
	ticking := func() time.Time { ticks++; return now.Add(time.Duration(ticks) * time.Microsecond) }
	h, err := provider.NewHandler(&app{}, provider.Config{
		BaseKeys: []string{baseKey}, GeneralKeys: []string{generalKey}, KitKeys: []string{kitKey}, LicenseKeys: []string{licenseKey},
		V1: provider.V1Config{Keys: []string{v1Key}}, Now: ticking, Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		// Half as large as the number of nonces below, which come round again when they are forgotten.
		Nonces: signature.NewReplayGuard(1<<15, ticking),
	})
	if err != nil {
		b.Fatal(err)
	}
	base := signer(b, baseKey)
	req := httptest.NewRequest(http.MethodPost, "/saasproduce", nil)
	req.ContentLength = int64(len(statusBody))
	body, timestamp := []byte(statusBody), millis(now)
	w = &discard{header: make(http.Header)}
	reader := strings.NewReader(statusBody)
	queries := make([]string, 0, 1<<16)
	for n := range cap(queries) {
		nonce := strconv.Itoa(n)
		queries = append(queries, "signature="+base.SignAt(body, timestamp, nonce)+"&timestamp="+timestamp+"&nonce="+nonce)
	}
	n := 0
	return func() {
		req.URL.RawQuery = queries[n%len(queries)]
		n++
		reader.Reset(statusBody)
		req.Body = io.NopCloser(reader)
		h.ServeHTTP(w, req)
	}, w
}

// bare returns a function that decodes the same body into the generated type and answers success, and nothing else.
func bare(b *testing.B) (serve func()) {
	b.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call providerapi.UpdateInstanceStatusCall
		if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
			b.Fatal(err)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(providerapi.Answer{ResultCode: providerapi.ResultSuccess, ResultMsg: "success"})
	})
	req := httptest.NewRequest(http.MethodPost, "/saasproduce", nil)
	w := &discard{header: make(http.Header)}
	reader := strings.NewReader(statusBody)
	return func() {
		reader.Reset(statusBody)
		req.Body = io.NopCloser(reader)
		h.ServeHTTP(w, req)
	}
}

func (d *discard) mustBeSuccess(b *testing.B) {
	b.Helper()
	if last := string(d.buf[:d.n]); !strings.Contains(last, "000000") {
		b.Fatal(last)
	}
}

func BenchmarkHandler(b *testing.B) {
	serve, w := handled(b)
	b.ReportAllocs()
	for b.Loop() {
		serve()
	}
	w.mustBeSuccess(b)
}

func BenchmarkBareHandler(b *testing.B) {
	serve := bare(b)
	b.ReportAllocs()
	for b.Loop() {
		serve()
	}
}

// BenchmarkHandlerAboveBare alternates between the two, in batches, so that what else the machine does falls on both, and
// reports by how many microseconds a call the handler is above the bare one.
func BenchmarkHandlerAboveBare(b *testing.B) {
	const batch = 64
	serve, w := handled(b)
	serveBare := bare(b)
	var full, least time.Duration
	calls := 0
	for b.Loop() {
		for _, side := range []struct {
			serve func()
			took  *time.Duration
		}{{serve, &full}, {serveBare, &least}} {
			start := time.Now()
			for range batch {
				side.serve()
			}
			*side.took += time.Since(start)
		}
		calls += batch
	}
	w.mustBeSuccess(b)
	b.ReportMetric(float64((full-least).Nanoseconds())/1e3/float64(calls), "us-above-bare")
}
