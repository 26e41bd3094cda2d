package conformance_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

var (
	timesInReports = regexp.MustCompile(`"(startedAt|durationMs|at|elapsedMs|offsetMs)": ("[^"]*"|[0-9.]+)|\b20[0-9]{12}([0-9]{3})?\b|\b[0-9]{13}\b|\b[0-9A-F]{64}\b|nonce=[0-9A-Za-z]+|[0-9.]+m?s\b|"Date": "[^"]*"|20[0-9]{6}T[0-9]{6}Z`)
	portsInReports = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
)

// seeded judges a new ISV with a seed, and gives the report without times, nonces and ports.
func seeded(t *testing.T, m mutant.Mutant, seed uint64) string {
	t.Helper()
	r, err := m.Try(t.Context(), func(o *conformance.Options) {
		o.Charging, o.With, o.Replicas, o.UsageWait, o.Seed = nil, []string{suite.Upgrade, suite.ChangeCheck, suite.OrderNotify}, nil, 0, seed
	})
	require.NoError(t, err)
	assert.Zero(t, r.Counts[suite.Error])
	// Which of several calls comes first that are made together is up to the network, so what was said in checks that pass is left out.
	var b strings.Builder
	for _, c := range r.Checks {
		_, _ = fmt.Fprintln(&b, c.ID, c.Requirement, c.Level, c.Status, c.Messages, c.Curl)
	}
	return timesInReports.ReplaceAllString(portsInReports.ReplaceAllString(b.String(), "PORT"), "TIME")
}

// Two runs with one seed give the same report, and another seed other ids.
func TestRun_OneSeedGivesOneReport(t *testing.T) {
	t.Parallel()
	all := mutant.Mutants()
	n := slices.IndexFunc(all, func(m mutant.Mutant) bool { return m.Name == "cannot unfreeze" })
	require.Positive(t, n)
	first, second, other := seeded(t, all[n], 7), seeded(t, all[n], 7), seeded(t, all[n], 8)
	assert.Equal(t, first, second)
	assert.NotEqual(t, first, other)
}

// An ISV that dies in the middle ends in a verdict: what it did wrong until then stands, and nothing hangs.
func TestRun_ISVThatDiesEndsInAVerdict(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	keys := mutant.Keys{Base: baseKey, General: "g", Kit: "k", V1: "v", License: "l", AK: "AK", SK: "an-sk"}
	isv, err := mutant.New(keys, "http://"+listener.Addr().String())
	require.NoError(t, err)
	calls := make(chan struct{}, 100_000)
	server := httptest.NewUnstartedServer(counted(isv.Handler, calls))
	server.Start()
	defer server.Close()
	go func() {
		for range 60 {
			<-calls
		}
		server.CloseClientConnections()
		_ = server.Listener.Close()
	}()
	r, err := conformance.Run(t.Context(), conformance.Options{
		Target: server.URL + "/saasproduce", BaseKey: keys.Base, AK: keys.AK, SK: keys.SK, MarketListener: listener,
		AnswerLimit: 10 * time.Second, Timeout: time.Minute,
	})
	require.NoError(t, err)
	assert.Equal(t, report.NotConformant, r.Verdict)
	assert.Positive(t, r.Counts[suite.Pass], "what it answered before counts")
	assert.Contains(t, text(t, r), "no answer")
}

// An ISV that answers garbage ends in a verdict: bytes that are no HTTP, halves of answers, answers without end.
func TestRun_GarbageEndsInAVerdict(t *testing.T) {
	t.Parallel()
	for name, garbage := range map[string]string{
		"no HTTP":             "\x00\x01\x02 what?\r\n\r\n",
		"half an answer":      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"resultCode\":",
		"a wrong length":      "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
		"an answer too large": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000000\r\n\r\n{\"resultCode\":\"" + strings.Repeat("0", 5_000_000-16) + "\"}",
		"binary":              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n\xff\xfe\x00\x80",
		"endless redirects":   "HTTP/1.1 302 Found\r\nLocation: /saasproduce\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := options(saying(t, garbage))
			o.AnswerLimit = 5 * time.Second
			r, err := conformance.Run(t.Context(), o)
			if err != nil { // it was not reached at all, which says so
				var unjudgeable *conformance.UnjudgeableError
				require.ErrorAs(t, err, &unjudgeable)
				return
			}
			assert.Equal(t, report.NotConformant, r.Verdict)
			assert.NotEmpty(t, text(t, r))
		})
	}
}
