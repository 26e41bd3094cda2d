package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

const baseKey = "a-base-key-that-must-not-show"

func options(target string) conformance.Options {
	return conformance.Options{
		Target: target, BaseKey: baseKey, AK: "AK", SK: "an-sk-that-must-not-show", MarketListen: "127.0.0.1:0",
		AnswerLimit: 20 * time.Second, ReadyLimit: 200 * time.Millisecond, Timeout: time.Minute,
	}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL + "/saasproduce"
}

func TestRun_RefusesBadOptions(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*conformance.Options){
		"no target":             func(o *conformance.Options) { o.Target = "" },
		"is no address":         func(o *conformance.Options) { o.Target = "localhost:9000" },
		"given twice":           func(o *conformance.Options) { o.Replicas = []string{o.Target} },
		"a fragment or a user":  func(o *conformance.Options) { o.Target = "http://me@localhost/" },
		"no base key":           func(o *conformance.Options) { o.BaseKey = "" },
		"no AK and SK":          func(o *conformance.Options) { o.SK = "" },
		"no address for the":    func(o *conformance.Options) { o.MarketListen = "" },
		"is negative":           func(o *conformance.Options) { o.UsageWait = -1 },
		"unknown charging mode": func(o *conformance.Options) { o.Charging = []string{"monthly"} },
		"unknown capability":    func(o *conformance.Options) { o.With = []string{"teleport"} },
		"needs the key of":      func(o *conformance.Options) { o.With = []string{"order-notify"} },
		"key of the kit class":  func(o *conformance.Options) { o.With = []string{"kit"} },
		"needs the public key":  func(o *conformance.Options) { o.With, o.KitKey = []string{"kit"}, "k" },
		"the public key of":     func(o *conformance.Options) { o.With, o.KitKey, o.KitPublicKey = []string{"kit"}, "k", "QUJD" },
		"the license class":     func(o *conformance.Options) { o.With = []string{"license"} },
		"nothing to wait for":   func(o *conformance.Options) { o.UsageWait = time.Second },
	} {
		o := options("http://127.0.0.1:1/saasproduce")
		change(&o)
		_, err := conformance.Run(t.Context(), o)
		var usage *conformance.UsageError
		require.ErrorAs(t, err, &usage, want)
		assert.ErrorContains(t, err, want)
	}
}

func TestOptions_ShowNoKeys(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, options("http://x/")), "must-not-show")
	}
}

func TestRun_CannotJudgeWhatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, err = conformance.Run(t.Context(), options("http://"+address+"/saasproduce"))
	var unjudgeable *conformance.UnjudgeableError
	require.ErrorAs(t, err, &unjudgeable)
	assert.Contains(t, unjudgeable.Hint, "start the ISV first")
	assert.NotContains(t, err.Error(), "signature=")
}

func TestRun_CannotJudgeWithoutAMarketplace(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	o := options("http://127.0.0.1:1/")
	o.MarketListen = listener.Addr().String()
	_, err = conformance.Run(t.Context(), o)
	var unjudgeable *conformance.UnjudgeableError
	require.ErrorAs(t, err, &unjudgeable)
	assert.Contains(t, unjudgeable.Hint, "free port")
}

// A web page that answers everything with 200 is no ISV, and must not pass for one.
func TestRun_WebPageIsNotConformant(t *testing.T) {
	t.Parallel()
	r, err := conformance.Run(t.Context(), options(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>welcome</html>"))
	})))
	require.NoError(t, err)
	assert.Equal(t, report.NotConformant, r.Verdict)
	assert.NotContains(t, text(t, r), "must-not-show")
}

// An ISV that says yes to everything must be caught, too.
func TestRun_YesSayerIsNotConformant(t *testing.T) {
	t.Parallel()
	r, err := conformance.Run(t.Context(), options(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"resultCode":"000000","resultMsg":"success","instanceId":"i-1","info":[{"instanceId":"i-1","appInfo":{"frontEndUrl":"https://x"}}]}`))
	})))
	require.NoError(t, err)
	assert.Equal(t, report.NotConformant, r.Verdict)
	assert.Greater(t, len(r.Failures()), 20)
}

// An ISV that answers the first call and hangs from then on must end in a verdict.
func TestRun_HangingISVEndsInAVerdict(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the caller is gone
		if calls.Add(1) > 1 {
			<-r.Context().Done()
		}
	})
	o := options(target)
	o.AnswerLimit, o.Run = 4*time.Second, []string{"new-instance/*"} // time for the first call on a machine at work, and not too much of it
	r, err := conformance.Run(t.Context(), o)
	require.NoError(t, err)
	assert.Equal(t, report.NotConformant, r.Verdict)
	assert.Contains(t, text(t, r), "expected an answer within 4s")
	assert.Zero(t, r.Counts[suite.Pass])

	// With less time than that, whatever was not judged is an error, and no failure is made of the missing time.
	calls.Store(0)
	o = options(target)
	o.AnswerLimit, o.Timeout = time.Hour, 15*time.Second
	r, err = conformance.Run(t.Context(), o)
	require.NoError(t, err)
	assert.Equal(t, report.Error, r.Verdict)
	assert.Zero(t, r.Counts[suite.Fail], text(t, r))
	assert.Positive(t, r.Counts[suite.Error])
	assert.Contains(t, text(t, r), "time for the whole run was used up")
}

func text(t *testing.T, r *conformance.Report) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b))
	return b.String()
}

func TestReport_JSON(t *testing.T) {
	t.Parallel()
	r, err := conformance.Run(t.Context(), options(serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	assert.NotContains(t, b.String(), "must-not-show")
	assert.NotContains(t, b.String(), `": null`, "lists are empty, never null")
	var doc struct {
		Verdict, Target, StartedAt, SuiteVersion, ContractVersion string
		DurationMs                                                *int64
		Charging                                                  []string
		Counts                                                    map[string]int
		Checks                                                    []struct {
			ID, Requirement, Level, Status, Title, Curl string
			Messages                                    []string
			DurationMs                                  *int64
		}
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &doc))
	assert.Equal(t, "not-conformant", doc.Verdict)
	assert.Equal(t, []string{"period"}, doc.Charging)
	assert.NotEmpty(t, doc.ContractVersion)
	assert.Len(t, doc.Counts, 8)
	require.Len(t, doc.Checks, len(conformance.Checks()))
	total := 0
	for _, n := range doc.Counts {
		total += n
	}
	assert.Equal(t, len(doc.Checks), total)
	for _, c := range doc.Checks {
		if c.Status == "fail" && !strings.HasPrefix(c.ID, "order-query/") {
			assert.NotEmpty(t, c.Messages, c.ID)
		}
	}
}
