package conformance_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

// judged runs a check on a mutant, and gives its report as a file has it. The mutant stays there; queries are what it was sent, in order.
func judged(t *testing.T, name, check string) (r *conformance.Report, o conformance.Options, queries func() []string) {
	t.Helper()
	all := mutant.Mutants()
	n := slices.IndexFunc(all, func(m mutant.Mutant) bool { return m.Name == name })
	require.GreaterOrEqual(t, n, 0, "no mutant is called %q", name)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	market := listener.Addr().String()
	isv, err := mutant.New(mutant.Keys{Base: baseKey, Kit: "kit-key", General: "general-key", V1: "v1-key", License: "license-key", AK: "AK", SK: "an-sk-that-must-not-show"}, "http://"+market)
	require.NoError(t, err)
	handler := all[n].Build(isv)
	var mu sync.Mutex
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		seen = append(seen, r.URL.RawQuery+" "+string(body))
		mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	o = conformance.Options{Target: server.URL + "/saasproduce", BaseKey: baseKey, AK: "AK", SK: "an-sk-that-must-not-show", MarketListener: listener, Run: []string{check}}
	r, err = conformance.Run(t.Context(), o)
	require.NoError(t, err)
	require.Len(t, r.Checks, 1)
	require.Equal(t, suite.Fail, r.Checks[0].Status, r.Checks[0].Messages)
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	r, err = report.Read(&b)
	require.NoError(t, err)
	o.MarketListener, o.MarketListen, o.Run = nil, market, nil
	seen = nil
	return r, o, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func TestReplay_TheSameBytesAgain(t *testing.T) {
	t.Parallel()
	const check = "signing/replay-is-refused"
	r, o, queries := judged(t, "remembers no nonce, as the vendor's sample does", check)
	result, err := conformance.Replay(t.Context(), o, r, check)
	require.NoError(t, err)
	assert.Equal(t, suite.Fail, result.Now.Status)
	require.Len(t, result.Sent, 2)
	sent := slices.DeleteFunc(queries(), func(q string) bool { return !strings.HasSuffix(q, " "+result.Sent[0].Request.Body) })
	require.Len(t, sent, 2, "the query of the report, twice")
	assert.Equal(t, sent[0], sent[1], "with the same signature and nonce")
	for _, a := range result.Sent {
		assert.Contains(t, a.Request.URL, "signature=***")
	}
}

func TestReplay_TogetherAndWithItsOrders(t *testing.T) {
	t.Parallel()
	const check = "new-instance/overlapping-repeats-get-the-same-instance"
	r, o, _ := judged(t, "answers the businessId as the id of a repeat", check)
	result, err := conformance.Replay(t.Context(), o, r, check)
	require.NoError(t, err)
	assert.Equal(t, suite.Fail, result.Now.Status)
	require.GreaterOrEqual(t, len(result.Sent), 8)
	for _, a := range result.Sent {
		assert.Contains(t, a.Answer.Body, "000000", "the marketplace knows the order of that day")
	}
	var b strings.Builder
	result.Then.WriteReplay(&b, result.Sent, result.Now)
	assert.Contains(t, b.String(), "it still fails")
	assert.NotContains(t, b.String(), "must-not-show")
}

func TestReplay_Refuses(t *testing.T) {
	t.Parallel()
	r := &conformance.Report{Target: "http://127.0.0.1:1/saasproduce", Checks: []report.Check{
		{ID: "signing/replay-is-refused", Status: suite.Fail, Again: &report.Again{Requests: []report.Request{{}}}},
		{ID: "a/passed", Status: suite.Pass},
		{ID: "was/there", Status: suite.Fail},
	}}
	for want, change := range map[string]func(r *conformance.Report) string{
		`has no check "a/b"`:         func(*conformance.Report) string { return "a/b" },
		"did not fail in the report": func(*conformance.Report) string { return "a/passed" },
		"has a secret in it":         func(r *conformance.Report) string { r.Target += "?token=***"; return "was/there" },
		"no check is left to run":    func(*conformance.Report) string { return "was/there" },
		"none of the addresses": func(r *conformance.Report) string {
			r.Checks[0].Again.Requests[0].URL = "http://127.0.0.1:10/"
			return r.Checks[0].ID
		},
		"goes to \"http://127.0.0.1:1/saasproducer\"": func(r *conformance.Report) string {
			r.Checks[0].Again.Requests[0].URL = r.Target + "r"
			return r.Checks[0].ID
		},
	} {
		report := *r
		report.Checks = slices.Clone(r.Checks)
		id := change(&report)
		_, err := conformance.Replay(t.Context(), conformance.Options{BaseKey: "k", AK: "a", SK: "s", MarketListen: "127.0.0.1:0"}, &report, id)
		var usage *conformance.UsageError
		require.ErrorAs(t, err, &usage, want)
		assert.ErrorContains(t, err, want)
	}
}
