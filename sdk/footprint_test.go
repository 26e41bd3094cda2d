// Package sdk_test measures what the SDK adds to a program that imports it.
package sdk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const withSDK = `package main

import (
	"net/http"

	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/provider"
)

func main() {
	market, _ := marketplace.New(marketplace.Config{URL: "https://mkt.example.com"})
	h, _ := provider.NewHandler(nil, provider.Config{Market: market})
	_ = http.ListenAndServe(":0", h)
}
`

const bare = `package main

import "net/http"

func main() { _ = http.ListenAndServe(":0", http.NotFoundHandler()) }
`

// build compiles a program inside the module, stripped, and gives the file.
func build(tb testing.TB, name, source string) string {
	tb.Helper()
	dir := tb.TempDir()
	overlay := filepath.Join(dir, "overlay.json")
	root, err := filepath.Abs("..")
	require.NoError(tb, err)
	file := filepath.Join(dir, "main.go")
	require.NoError(tb, os.WriteFile(file, []byte(source), 0o600))
	place := filepath.Join(root, "examples", name, "main.go")
	require.NoError(tb, os.WriteFile(overlay, []byte(`{"Replace":{`+quote(place)+`:`+quote(file)+`}}`), 0o600))
	binary := filepath.Join(dir, name)
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-overlay", overlay, "-o", binary, "./examples/"+name)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(tb, err, "%s", out)
	return binary
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `\`, `\\`) + `"` }

// TestModules holds that a program with provider and marketplace links at most five modules beyond ours.
func TestModules(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "version", "-m", build(t, "footprint-sdk", withSDK)).Output()
	require.NoError(t, err)
	var modules []string
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "dep" {
			modules = append(modules, fields[1])
		}
	}
	require.NotEmpty(t, modules)
	require.LessOrEqual(t, len(modules), 5, "%v", modules)
}

// BenchmarkStrippedSize reports how much larger a server with the SDK is than an empty one.
func BenchmarkStrippedSize(b *testing.B) {
	size := func(file string) float64 {
		info, err := os.Stat(file)
		require.NoError(b, err)
		return float64(info.Size()) / (1 << 20)
	}
	empty, full := size(build(b, "footprint-bare", bare)), size(build(b, "footprint-sdk", withSDK))
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(full-empty, "MB-above-bare")
	b.ReportMetric(full, "MB")
}
