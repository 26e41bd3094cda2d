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

// BenchmarkHandler is one updateInstanceStatus, from request to answer: signature, replay guard, contract, log line.
func BenchmarkHandler(b *testing.B) {
	ticks := 0
	ticking := func() time.Time { ticks++; return now.Add(time.Duration(ticks) * time.Microsecond) }
	h, err := provider.NewHandler(&app{}, provider.Config{
		BaseKeys: []string{baseKey}, GeneralKeys: []string{generalKey}, Now: ticking,
		Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
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
	w := &discard{header: make(http.Header)}
	reader := strings.NewReader(statusBody)
	queries := make([]string, 0, 1<<16)
	for n := range cap(queries) {
		nonce := strconv.Itoa(n)
		queries = append(queries, "signature="+base.SignAt(body, timestamp, nonce)+"&timestamp="+timestamp+"&nonce="+nonce)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		req.URL.RawQuery = queries[n%len(queries)]
		n++
		reader.Reset(statusBody)
		req.Body = io.NopCloser(reader)
		h.ServeHTTP(w, req)
	}
	if last := string(w.buf[:w.n]); !strings.Contains(last, "000000") {
		b.Fatal(last)
	}
}

// BenchmarkBareHandler decodes the same body into the generated type and answers success, and nothing else.
func BenchmarkBareHandler(b *testing.B) {
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
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(statusBody)
		req.Body = io.NopCloser(reader)
		h.ServeHTTP(w, req)
	}
}
