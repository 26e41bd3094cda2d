package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/secrets"
)

func TestRotateSecrets_OfACommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "isvkit.secrets")
	p := serveProcess(t, dir, "--quiet", "--auth-listen", "off")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	old, err := os.ReadFile(file)
	require.NoError(t, err)
	p.ok("seller", "acme")
	first := regexp.MustCompile(`key +(\S+)`).FindStringSubmatch(p.ok("rotate-secrets"))[1]
	p.kill()

	var stdout, stderr bytes.Buffer
	require.Zero(t, run(context.Background(), []string{"rotate-secrets", "--add", file}, &stdout, &stderr, func(string) string { return "" }), stderr.String())
	both, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(both), string(old)))
	p = serveProcess(t, dir, "--quiet", "--auth-listen", "off")
	said := p.ok("rotate-secrets")
	require.Regexp(t, `sealed anew +6\n`, said) // five keys of acme, one of tokens; those of the demo seller are written at each start
	require.Contains(t, said, first, "it seals nothing any more")
	require.NotContains(t, stdout.String()+said, strings.TrimSpace(strings.SplitN(string(both), "\n", 2)[0]))
	p.kill()

	// The old key may go, the new one may not.
	require.NoError(t, os.WriteFile(file, []byte(strings.SplitN(string(both), "\n", 2)[0]), 0o600))
	p = serveProcess(t, dir, "--quiet", "--auth-listen", "off")
	p.ok("status")
	p.kill()
	refused := func(want string, getenv func(string) string, args ...string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		args = append([]string{"serve", "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0", "--auth-listen", "off", "--database", filepath.Join(dir, "isvkit.db")}, args...)
		require.NotZero(t, run(ctx, args, &stdout, &stderr, getenv))
		require.Contains(t, stderr.String(), want)
	}
	nothing := func(string) string { return "" }
	require.NoError(t, os.Rename(file, file+".away"))
	refused("not the secrets key of this database", nothing)
	require.NoFileExists(t, file, "one that was made for nothing does not stay")
	refused("not the secrets key of this database", func(name string) string { return map[string]string{envSecretsKey: secrets.NewKey()}[name] })
	refused("openssl rand -base64 32", func(name string) string { return map[string]string{envSecretsKey: "short"}[name] })
	refused("rotate-secrets --add", nothing, "--secrets-key", filepath.Join(dir, "none"))
	require.NoError(t, os.Rename(file+".away", file))
	p = serveProcess(t, dir, "--quiet", "--auth-listen", "off")
	p.ok("status")
}

// What serve prints and logs has none of the keys.
func TestServe_TellsNoSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sealing := secrets.NewKey()
	canaries := map[string]string{
		envBaseKey: "canary-base-key", envKitKey: "canary-kit-key", envGeneralKey: "canary-general-key", envLicenseKey: "canary-license-key", envSK: "canary-sk",
		envControlToken: "canary-control-token", envSecretsKey: sealing,
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr bytes.Buffer
	done := make(chan int, 1)
	keys := filepath.Join(dir, "isvkit.keys")
	go func() {
		done <- run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0", "--auth-listen", "off", "--database", filepath.Join(dir, "isvkit.db"), "--tokens", "--egress", "laptop", "--provider", "http://127.0.0.1:1/saas"},
			&stdout, &stderr, func(name string) string { return canaries[name] })
	}()
	require.Eventually(t, func() bool { _, err := os.Stat(keys); return err == nil }, 20*time.Second, 10*time.Millisecond)
	client := &process{t: t, dir: dir}
	client.ok("buy", "--sku", "demo-period", "--wait", "0")
	cancel()
	require.Zero(t, <-done)
	files, err := filepath.Glob(filepath.Join(dir, "isvkit.db*"))
	require.NoError(t, err)
	output := stdout.String() + stderr.String()
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		output += string(data)
	}
	for name, canary := range canaries {
		require.NotContains(t, output, canary, name)
	}
	text, err := os.ReadFile(keys)
	require.NoError(t, err)
	require.NotContains(t, string(text), sealing, "what seals is not with what the ISV gets")
	require.NotContains(t, string(text), "canary-control-token", "it is not taken with --tokens")
}

// A start that fails before anything is stored leaves no new secrets key behind, which somebody would wonder about.
func TestServe_AStartThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	for _, args := range [][]string{{"--control-listen", taken.Addr().String()}, {"--provider", "localhost:9000"}, {"--egress", "nowhere.yaml"}} {
		dir := t.TempDir()
		var out bytes.Buffer
		require.NotZero(t, run(t.Context(), append([]string{"serve", "--database", filepath.Join(dir, "a.db"), "--listen", "127.0.0.1:0"}, args...), &out, &out, none), args)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left, args)
	}
}
