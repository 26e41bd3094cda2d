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

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/sdk/provider"
)

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkHandler is one updateInstanceStatus, from request to answer: signature, replay guard, contract, log line.
func BenchmarkHandler(b *testing.B) {
	h, err := provider.NewHandler(&app{}, provider.Config{
		BaseKeys: []string{baseKey}, GeneralKeys: []string{generalKey}, Now: clock,
		Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	base := signer(b, baseKey)
	req := httptest.NewRequest(http.MethodPost, "/saasproduce", nil)
	req.ContentLength = int64(len(statusBody))
	body, timestamp := []byte(statusBody), millis(now)
	w := &discard{make(http.Header)}
	reader := strings.NewReader(statusBody)
	queries := make([]string, 0, 1<<16)
	for n := range cap(queries) {
		nonce := strconv.Itoa(n)
		queries = append(queries, "signature="+base.SignAt(body, timestamp, nonce)+"&timestamp="+timestamp+"&nonce="+nonce)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		// After 65,536 calls nonces come again and are refused as replays, at the very end and at the same price less one
		// decoding; the guard is as full as it gets in two minutes of 500 calls a second.
		req.URL.RawQuery = queries[n%len(queries)]
		n++
		reader.Reset(statusBody)
		req.Body = io.NopCloser(reader)
		h.ServeHTTP(w, req)
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
	w := &discard{make(http.Header)}
	reader := strings.NewReader(statusBody)
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(statusBody)
		req.Body = io.NopCloser(reader)
		h.ServeHTTP(w, req)
	}
}
