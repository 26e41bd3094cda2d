package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkStart starts the real program on a new database in a new folder and waits until the open API has answered once; and tells how
// much memory the idle process has after that, as Linux counts it (VmRSS; 0 elsewhere).
func BenchmarkStart(b *testing.B) {
	exe := filepath.Join(b.TempDir(), "isv-sandbox")
	build := exec.CommandContext(b.Context(), "go", "build", "-o", exe, ".")
	out, err := build.CombinedOutput()
	require.NoError(b, err, string(out))
	var took time.Duration
	var memory float64
	for b.Loop() {
		took += startOnce(b, exe, &memory)
	}
	b.ReportMetric(float64(took.Microseconds())/1000/float64(b.N), "ms-to-answer")
	b.ReportMetric(memory/float64(b.N), "idle-MB")
}

func startOnce(b *testing.B, exe string, memory *float64) time.Duration {
	cmd := exec.CommandContext(b.Context(), exe, "serve", "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0")
	cmd.Dir = b.TempDir()
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	start := time.Now()
	require.NoError(b, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	address := ""
	lines := bufio.NewScanner(stdout)
	for address == "" && lines.Scan() {
		if _, after, found := strings.Cut(lines.Text(), "open API"); found {
			address = strings.TrimSpace(after)
		}
	}
	require.NotEmpty(b, address)
	resp, err := http.Get(address + "/api/mkp-openapi-public/global/v1/order/query?orderId=MOCKONETIMENEW")
	require.NoError(b, err)
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	took := time.Since(start)
	require.Equal(b, http.StatusUnauthorized, resp.StatusCode) // it was not signed, which is what it answers
	time.Sleep(500 * time.Millisecond)                         // idle is what remains after the start
	*memory += residentMB(b, cmd.Process.Pid)
	return took
}

func residentMB(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if kB, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kB), "kB")), 64)
			require.NoError(b, err)
			return n / 1024
		}
	}
	return 0
}
