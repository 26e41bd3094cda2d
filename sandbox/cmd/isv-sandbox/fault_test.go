package main

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFault_OnAndOff(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) { created(w, lineID) })
	p := serveProcess(t, t.TempDir(), "--database", ":memory:", "--quiet", "--provider", isv.URL)
	require.Contains(t, p.ok("fault", "list"), "none")
	require.Contains(t, p.ok("fault", "add", "duplicate", "--activity", "newInstance", "--first", "2"), "duplicate of newInstance first 2")
	require.Contains(t, p.ok("fault", "add", "delay", "--id", "late", "--delay", "2h", "--probability", "0.5", "--seed", "7", "--product", "demo-v1"),
		"delay product demo-v1 delay 2h0m0s bound 3 probability 0.5 seed 7")

	line := regexp.MustCompile(`line (\S+)`).FindStringSubmatch(p.ok("buy", "--sku", "demo-one-time"))[1]
	require.Regexp(t, `newInstance, attempt 1: succeeded \(fault: duplicate\)\n`, p.ok("journal", line))
	require.Regexp(t, `duplicate +duplicate of newInstance first 2 +1\n`, p.ok("fault", "list"))
	require.Contains(t, p.ok("fault", "remove", "late"), "off")
	require.NotContains(t, p.ok("fault", "list"), "late")
	require.Contains(t, p.ok("fault", "clear"), "all off")
	require.Contains(t, p.ok("fault", "list"), "none")

	for want, args := range map[string][]string{
		`kind "explode": expected one of duplicate`: {"fault", "add", "explode"},
		"not found":                      {"fault", "remove", "late"},
		`there is no product "none"`:     {"fault", "add", "cut", "--product", "none"},
		"delay: duration":                {"fault", "add", "delay", "--delay", "soon"},
		"status: cut has no such":        {"fault", "add", "cut", "--status", "503"},
		"usage: isv-sandbox fault":       {"fault", "explode"},
		"usage: isv-sandbox fault add K": {"fault", "add"},
	} {
		code, _, stderr := p.command(args...)
		require.NotZero(t, code, args)
		require.Contains(t, stderr, want, args)
	}
}
