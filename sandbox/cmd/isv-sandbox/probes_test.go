package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// syncBuffer is a buffer that is read while it is written.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	wake chan struct{}
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return b.text.Write(p)
}

func (b *syncBuffer) has(want string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.text.String(), want)
}

func TestCommands_CasesProbesAndEvents(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	up := true
	isv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case !up:
			_, _ = io.WriteString(w, `{"resultCode":"000005","resultMsg":"down"}`)
		case bytes.Contains(body, []byte(`"newInstance"`)):
			_, _ = io.WriteString(w, `{"resultCode":"000000","resultMsg":"success","instanceId":"i-1"}`)
		default:
			_, _ = io.WriteString(w, `{"resultCode":"000000","resultMsg":"success","info":[{"instanceId":"i-1","appInfo":{"frontEndUrl":"https://a.example.com"}}]}`)
		}
	}))
	t.Cleanup(isv.Close)
	p := serveProcess(t, t.TempDir(), "--database", ":memory:", "--quiet", "--provider", isv.URL)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	followed := &syncBuffer{wake: make(chan struct{}, 1)}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"events", "--follow", "--since", "0", "--kind", "attempt,product-stopped,probe-failed", "--keys", filepath.Join(p.dir, "isvkit.keys")}, followed, io.Discard, func(string) string { return "" })
	}()

	require.Regexp(t, `newInstance ONE_TIME +- +missing`, p.ok("cases", "demo-accept"))
	require.Regexp(t, `queryInstance +passed`, p.ok("debug", "demo-accept", "queryInstance", "--param", "instanceId=i-7"))
	require.Regexp(t, `releaseInstance +passed`, p.ok("debug", "demo-accept"))
	require.Regexp(t, `queryInstance +passed`, p.ok("probe", "demo-accept"))

	mu.Lock()
	up = false
	mu.Unlock()
	code, out, stderr := p.command("probe", "demo-accept")
	require.Equal(t, 1, code)
	require.Regexp(t, `queryInstance +failed: result code 000005`, out)
	require.Contains(t, stderr, "3 of 3 cases failed")
	require.Regexp(t, `last probe +\d{4}-.*, failed`, p.ok("cases", "demo-accept"))
	require.Regexp(t, `status +stopped`, p.ok("sale", "demo-accept", "stopped"))
	out = p.ok("events", "--subject", "product/demo-accept")
	require.Contains(t, out, "probe-failed")
	require.Contains(t, out, "Product demo-accept is no longer sold")
	require.Contains(t, p.ok("events", "--kind", "probe-failed,product-stopped", "--limit", "1"), "product-stopped")

	code, _, stderr = p.command("probe", "demo")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "has no saved debug case")
	require.Contains(t, stderr, "hint: isv-sandbox debug demo makes them")
	require.Regexp(t, `status +stopped`, p.ok("sale", "demo", "stopped"))
	code, _, stderr = p.command("sale", "demo", "on-sale")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "hint: isv-sandbox debug demo makes them; --without-cases does without")
	code, _, stderr = p.command("debug", "demo", "--param", "x=y")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "--param needs an ACTIVITY")
	code, _, stderr = p.command("events", "--kind", "nonsense")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no such kind")
	code, _, stderr = p.command("events", "--follow", "--kind", "nonsense")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "no such kind")

	deadline := time.After(time.Minute)
	for _, want := range []string{"probe-failed  ", "product-stopped  ", "attempt 1 of call"} {
		for !followed.has(want) {
			p.command("probe", "demo-accept") // the stream may have begun after those before
			select {
			case <-followed.wake:
			case <-deadline:
				t.Fatalf("%q was not told", want)
			}
		}
	}
	cancel()
	require.Zero(t, <-done)
}
