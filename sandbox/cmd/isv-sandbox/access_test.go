package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/access"
)

func TestTokens_OfACommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serveProcess(t, dir, "--database", ":memory:", "--quiet", "--tokens", "--control-listen", "0.0.0.0:0", "--auth-listen", "off")
	require.True(t, access.LooksLikeToken(p.keys[envControlToken]), "the key file has an operator's token")
	info, err := os.Stat(filepath.Join(dir, "isvkit.keys"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	p.ok("status")

	p.ok("seller", "acme")
	seller := strings.TrimSpace(p.ok("token", "new", "--role", "seller", "--seller", "acme", "--ttl", "2h"))
	require.True(t, access.LooksLikeToken(seller))
	as := func(token string, args ...string) (int, string) {
		var stdout, stderr bytes.Buffer
		code := run(context.Background(), args, &stdout, &stderr, func(name string) string {
			return map[string]string{envControlURL: p.keys[envControlURL], envControlToken: token}[name]
		})
		return code, stdout.String() + stderr.String()
	}
	code, out := as(seller, "status")
	require.Zero(t, code, out)
	code, out = as(seller, "clock", "advance", "1h")
	require.NotZero(t, code)
	require.Contains(t, out, "the operator's")
	for _, wrong := range []string{"0123456789abcdef0123456789abcdef", seller + "x"} {
		code, out = as(wrong, "status")
		require.NotZero(t, code)
		require.NotContains(t, out, wrong)
	}

	old := regexp.MustCompile(`(?m)^(\S+) .*signs new tokens`).FindStringSubmatch(p.ok("token", "keys"))[1]
	require.Contains(t, p.ok("token", "rotate"), old)
	code, out = as(seller, "status")
	require.Zero(t, code, out)
	// The key file follows by itself.
	require.Eventually(t, func() bool {
		now, err := readKeyFile(filepath.Join(dir, "isvkit.keys"))
		return err == nil && now[envControlToken] != p.keys[envControlToken]
	}, 20*time.Second, 50*time.Millisecond)
	require.NotContains(t, p.ok("token", "revoke-key", old), old)
	code, out = as(seller, "status")
	require.NotZero(t, code)
	require.Contains(t, out, "not in force")
	audit := p.ok("audit")
	require.Regexp(t, `operator +[0-9a-f]{24} +revokeTokenKey +done +keyId=`+old, audit)
	require.Regexp(t, `acme +[0-9a-f]{24} +advanceClock +forbidden`, audit)
	require.NotContains(t, p.ok("audit", "--seller", "acme"), "revokeTokenKey")
	for want, args := range map[string][]string{
		"expected operator or seller": {"token", "new", "--role", "root"},
		"there is no seller":          {"token", "new", "--seller", "nobody"},
		"usage: isv-sandbox token":    {"token", "explode"},
		"rotate first":                {"token", "revoke-key", regexp.MustCompile(`(?m)^(\S+) .*signs new tokens`).FindStringSubmatch(p.ok("token", "keys"))[1]},
	} {
		code, _, stderr := p.command(args...)
		require.NotZero(t, code, args)
		require.Contains(t, stderr, want)
	}
}

func TestServe_RefusesWhatStrangersCouldReach(t *testing.T) {
	t.Parallel()
	good := func(string) string { return "" }
	demo := func(name string) string {
		return map[string]string{envSK: "test-sk-0123456789", envBaseKey: "short-Key"}[name]
	}
	for name, c := range map[string]struct {
		getenv func(string) string
		args   []string
		want   []string
	}{
		"control token only": {good, []string{"--control-listen", "0.0.0.0:0"}, []string{"control API would listen on", "--tokens"}},
		"IPv6":               {good, []string{"--control-listen", "[::]:0"}, []string{"control API would listen on", "127.0.0.1"}},
		"keys of a test":     {demo, []string{"--control-listen", "0.0.0.0:0", "--tokens"}, []string{"ISVKIT_BASE_KEY, ISVKIT_SK:", "good ones are made"}},
		"open API":           {demo, []string{"--listen", "0.0.0.0:0", "--control-listen", "127.0.0.1:0"}, []string{"ISVKIT_BASE_KEY, ISVKIT_SK:"}},
		"no life":            {good, []string{"--seller-token-ttl", "1s"}, []string{"--seller-token-ttl"}},
		"limit":              {good, []string{"--limit-pending", "-1"}, []string{"0 or more"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			var stdout, stderr bytes.Buffer
			args := append([]string{"serve", "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0", "--database", filepath.Join(dir, "isvkit.db"), "--auth-listen", "off"}, c.args...)
			require.NotZero(t, run(ctx, args, &stdout, &stderr, c.getenv))
			require.NotContains(t, stdout.String(), "ready")
			for _, want := range c.want {
				require.Contains(t, stderr.String(), want)
			}
			require.NotContains(t, stderr.String(), "test-sk-0123456789")
			require.NotContains(t, stderr.String(), "short-Key")
			require.NoFileExists(t, filepath.Join(dir, "isvkit.keys"))
		})
	}
}

// Going back from tokens to a laptop, the operator's token that the key file has is not taken for a control token.
func TestLoadKeys_NoTokenIsAControlToken(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "isvkit.keys")
	token, _, err := access.Ring{access.NewKey(time.Now())}.Issue(access.Operator, "", 0, time.Now())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, []byte("export ISVKIT_CONTROL_TOKEN='"+token+"'\n"), 0o600))
	keys, err := loadKeys(name, func(string) string { return "" })
	require.NoError(t, err)
	require.NotEqual(t, token, keys.ControlToken)
	require.Len(t, keys.ControlToken, 48)
}
