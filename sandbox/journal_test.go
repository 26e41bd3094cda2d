package sandbox_test

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// TestJournal_IsKeptForAsLongAsItIsTold has real days pass while the sandbox's clock stands, so that a call is still being retried.
func TestJournal_IsKeptForAsLongAsItIsTold(t *testing.T) {
	storetest.Each(t, func(t *testing.T, database string) {
		var now atomic.Int64
		now.Store(time.Now().UnixMilli())
		var log lockedBuffer
		isv := newISV(t)
		m := start(t, isv.URL, func(c *sandbox.Config) {
			c.Database, c.Retention = database, sandbox.Retention{Keep: 48 * time.Hour}
			c.Now = func() time.Time { return time.UnixMilli(now.Load()) }
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		trim := func(t2 sandboxapi.JournalTrim) (done sandboxapi.JournalTrimmed) {
			m.ok("POST", "/v1/journal/trim", t2, &done)
			require.False(t, done.More)
			return done
		}
		m.ok("POST", "/v1/clock/hold", struct{}{}, nil)
		ready := m.buy("demo-one-time")
		m.is(ready, sandboxapi.InstanceReady)
		isv.says(func(map[string]any, int) string { return `{"resultCode":"000005","resultMsg":"later"}` })
		retried := m.buy("demo-one-time")
		m.ok("POST", "/v1/clock/settle", struct{}{}, nil)
		require.Zero(t, trim(sandboxapi.JournalTrim{}).Attempts, "nothing is that old")

		now.Add((49 * time.Hour).Milliseconds())
		isv.says(func(call map[string]any, _ int) string { return right(call) })
		young := m.buy("demo-one-time")
		m.is(young, sandboxapi.InstanceReady)
		done := trim(sandboxapi.JournalTrim{})
		require.Equal(t, sandboxapi.JournalTrimmed{Attempts: 2, Calls: 2, Bytes: done.Bytes}, done)
		require.Empty(t, m.attempts(ready))
		require.Empty(t, m.calls(ready))
		require.Len(t, m.attempts(young), 2)
		require.Len(t, m.attempts(retried), 1, "it is not over")
		m.is(ready, sandboxapi.InstanceReady)
		require.Contains(t, log.String(), "journal: removed what is not kept")
		require.Equal(t, "2", m.scrape()[`isv_sandbox_journal_removed_total{what="attempts"}`])

		m.advance("61m")
		m.is(retried, sandboxapi.InstanceReady)
		require.Equal(t, 2, m.attempts(retried)[1].Number, "newInstance went on where it was") // the latest is queryInstance
		m.do(ready, "freeze")
		m.is(ready, sandboxapi.InstanceFrozen)

		// By the number, and all of it.
		before := len(m.attempts(""))
		require.Equal(t, int64(before-3), trim(sandboxapi.JournalTrim{MaxPerSeller: 3}).Attempts)
		require.Len(t, m.attempts(""), 3)
		require.Equal(t, int64(3), trim(sandboxapi.JournalTrim{Keep: "0s"}).Attempts)
		var j sandboxapi.Journal
		m.ok("GET", "/v1/journal", nil, &j)
		require.Equal(t, sandboxapi.Journal{Keep: "48h0m0s"}, j)
		for _, wrong := range []sandboxapi.JournalTrim{{Keep: "soon"}, {Keep: "-1h"}, {MaxPerSeller: -1}} {
			code, detail := m.call("POST", "/v1/journal/trim", wrong, nil)
			require.Equal(t, http.StatusBadRequest, code, detail)
		}
		m.is(m.buy("demo-period"), sandboxapi.InstanceReady)
	})
}

// TestJournal_IsSweptByItself waits for a sandbox that keeps next to nothing.
func TestJournal_IsSweptByItself(t *testing.T) {
	t.Parallel()
	m := start(t, newISV(t).URL, func(c *sandbox.Config) {
		c.Database, c.Retention = filepath.Join(t.TempDir(), "sandbox.db"), sandbox.Retention{Keep: time.Millisecond}
	})
	line := m.buy("demo-one-time")
	m.is(line, sandboxapi.InstanceReady)
	require.Eventually(t, func() bool { return len(m.attempts(line)) == 0 && len(m.calls(line)) == 0 }, 30*time.Second, 20*time.Millisecond)
}

func TestParseKeep(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "0s": 0, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute} {
		got, err := sandbox.ParseKeep(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "-1h", "month", "30", strings.Repeat("9", 30) + "d"} {
		_, err := sandbox.ParseKeep(text)
		require.Error(t, err, text)
	}
}
