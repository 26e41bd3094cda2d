package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox"
)

// logged has a process write its log into a file, from which it can be read while the process runs.
func logged(t *testing.T, dir string) (*os.File, func() string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f, func() string {
		text, err := os.ReadFile(f.Name())
		require.NoError(t, err)
		return string(text)
	}
}

// exit waits for the end of a process and gives its exit code.
func (p *process) exit() int {
	p.t.Helper()
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		require.Fail(p.t, "the process did not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// get asks for a page, with the control token or without.
func get(t *testing.T, url, token string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body), nil
}

// TestServe_EndsWhatIsUnderWay tells a process to stop while an attempt is under way. It is not ready any more, but the attempt comes to its
// end, which is stored, and the process ends well. The next one does not repeat it, and goes on with what follows.
func TestServe_EndsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) {
		once.Do(func() { close(reached) })
		<-release
		created(w, lineID)
	})
	dir := t.TempDir()
	p := serveProcess(t, dir, "--provider", isv.URL, "--metrics-listen", ":0")
	metrics := regexp.MustCompile(`metrics +(http://127\.0\.0\.1:\d+)/metrics`).FindStringSubmatch(p.out)
	require.NotNil(t, metrics, p.out)
	require.Eventually(t, func() bool {
		code, _, err := get(t, metrics[1]+"/readyz", "")
		return err == nil && code == http.StatusOK
	}, 20*time.Second, 10*time.Millisecond)
	line := regexp.MustCompile(`line (\S+)`).FindStringSubmatch(p.ok("buy", "--sku", "demo-period", "--wait", "0"))[1]
	<-reached

	// Somebody waits for what will not come any more in this process. He is told so.
	waits := make(chan int, 1)
	go func() {
		code, _, _ := get(t, p.keys[envControlURL]+"/v1/instances/"+line+"?until=ready&timeout=60s", p.keys[envControlToken])
		waits <- code
	}()
	require.Eventually(t, func() bool {
		_, body, err := get(t, metrics[1]+"/metrics", "")
		return err == nil && strings.Contains(body, `isv_sandbox_calls{state="due"} 1`)
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { // it takes no more requests, with an attempt under way
		_, _, err := get(t, p.keys[envControlURL]+"/readyz", "")
		return err != nil
	}, 20*time.Second, 10*time.Millisecond)
	require.Contains(t, []int{0, http.StatusServiceUnavailable}, <-waits) // 0: he was not yet there
	close(release)
	require.Equal(t, 0, p.exit())

	again := serveProcess(t, dir)
	client, err := newClient(again.keys[envControlURL], again.keys[envControlToken], io.Discard, false)
	require.NoError(t, err)
	_, err = client.await(t.Context(), line, "ready", 30*time.Second)
	require.NoError(t, err)
	journal := again.ok("journal", line)
	require.Contains(t, journal, "newInstance, attempt 1: succeeded")
	require.NotContains(t, journal, "interrupted")
	require.NotContains(t, journal, "newInstance, attempt 2")
}

// TestServe_CutsWhatTakesTooLong stops a process while an attempt is under way that takes longer than it may. It is journaled as interrupted
// and repeated by the next process.
func TestServe_CutsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	isv := provider(t, func(n int64, w http.ResponseWriter, lineID string) {
		if n == 1 {
			close(reached)
			<-release
			return
		}
		created(w, lineID)
	})
	dir := t.TempDir()
	file, log := logged(t, dir)
	p := serveProcessLog(t, dir, file, "--provider", isv.URL, "--shutdown-timeout", "50ms", "--log-format", "json")
	line := regexp.MustCompile(`line (\S+)`).FindStringSubmatch(p.ok("buy", "--sku", "demo-period", "--wait", "0"))[1]
	<-reached
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 0, p.exit())
	require.Contains(t, log(), "attempts under way are cut")

	again := serveProcessLog(t, dir, file, "--log-format", "json")
	client, err := newClient(again.keys[envControlURL], again.keys[envControlToken], io.Discard, false)
	require.NoError(t, err)
	_, err = client.await(t.Context(), line, "ready", 30*time.Second)
	require.NoError(t, err)
	journal := again.ok("journal", line)
	require.Contains(t, journal, "newInstance, attempt 1: interrupted")
	require.Contains(t, journal, "newInstance, attempt 2: succeeded")

	// Every line of the log is JSON, and those about the call say which, and whose.
	var attempts int
	for text := range strings.Lines(log()) {
		var entry struct {
			Msg, SellerID, OrderLineID, Activity, Outcome string
			CallID, AttemptID                             int64
		}
		require.NoError(t, json.Unmarshal([]byte(text), &entry), text)
		if entry.Msg == "attempt" {
			attempts++
			require.Equal(t, "demo", entry.SellerID)
			require.Equal(t, line, entry.OrderLineID)
			require.Positive(t, entry.CallID)
			require.Positive(t, entry.AttemptID)
			require.Equal(t, "succeeded", entry.Outcome)
		}
	}
	require.GreaterOrEqual(t, attempts, 1)
}

// TestServe_ASecondSignalEndsAtOnce tells a process twice to stop.
func TestServe_ASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	isv := provider(t, func(int64, http.ResponseWriter, string) {
		close(reached)
		<-release
	})
	dir := t.TempDir()
	file, log := logged(t, dir)
	p := serveProcessLog(t, dir, file, "--provider", isv.URL, "--shutdown-timeout", "1h")
	p.ok("buy", "--sku", "demo-period", "--wait", "0")
	<-reached
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool { return strings.Contains(log(), "shutting down") }, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, exitAtOnce, p.exit())
}

// TestDoor_IsAliveAndNotReadyBeforeItOpens looks at a process that is starting.
func TestDoor_IsAliveAndNotReadyBeforeItOpens(t *testing.T) {
	var d door
	ctx, failed := context.WithCancelCause(t.Context())
	v := newServers(failed)
	defer v.close()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	v.serve(l, &d)
	at := "http://" + l.Addr().String()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/metrics": 503, "/v1/status": 503} {
		code, body, err := get(t, at+path, "")
		require.NoError(t, err)
		require.Equal(t, want, code, path)
		require.True(t, json.Valid([]byte(body)), body)
	}
	s, err := sandbox.New(t.Context(), sandbox.Config{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	d.open(s.MetricsHandler())
	code, body, err := get(t, at+"/readyz", "")
	require.NoError(t, err)
	require.Equal(t, 503, code, "it does not run yet")
	require.Contains(t, body, `"queue":"the queue has not begun"`)
	require.Contains(t, body, `"database":"ok"`)
}

func TestServe_RefusesWhatCannotBeMeant(t *testing.T) {
	for flags, want := range map[string]string{
		"--journal-keep month": "expected days", "--journal-max -1": "expected 0 or more",
		"--log-format xml": "expected text or json", "--log-level loud": "log-level", "--shutdown-timeout -1s": "expected a duration", "--shutdown-timeout soon": "shutdown-timeout",
	} {
		var out strings.Builder
		code := run(t.Context(), append([]string{"serve", "--database", filepath.Join(t.TempDir(), "x.db")}, strings.Fields(flags)...), io.Discard, &out, func(string) string { return "" })
		require.Equal(t, 2, code, flags)
		require.Contains(t, out.String(), want)
	}
}

func TestTrim_OfACommandLine(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) { created(w, lineID) })
	p := serveProcess(t, t.TempDir(), "--provider", isv.URL, "--journal-keep", "30d", "--journal-max", "1000")
	p.ok("buy", "--sku", "demo-one-time")
	require.Contains(t, p.ok("trim"), "removed 0 attempts and 0 calls; 2 attempts are left")
	require.Contains(t, p.ok("trim", "--max", "1"), "removed 1 attempts and 0 calls; 1 attempts are left")
	require.Contains(t, p.ok("trim", "--keep", "0"), "removed 1 attempts and 2 calls; 0 attempts are left")
	require.Contains(t, p.ok("trim", "--keep", "30d", "--json"), `"attempts":0`)
	code, _, stderr := p.command("trim", "--keep", "soon")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "expected days, hours, minutes")
	require.Contains(t, p.ok("audit", "--operation", "trimJournal"), "done")
}
