package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// attests signs the report.json in a directory, and verifies it.
func attests(t *testing.T, dir string) {
	t.Helper()
	file := func(name string) string { return filepath.Join(dir, name) }
	code, _, stderr := command(t, "keygen", "--key", file("judge.pem"))
	require.Zero(t, code, stderr)
	info, err := os.Stat(file("judge.pem"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	code, _, stderr = command(t, "keygen", "--key", file("judge.pem"))
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "never overwritten")
	code, _, _ = command(t, "keygen", "--key", file("other.pem"), "--public-key", file("other.public"))
	require.Zero(t, code)

	sign := []string{"attest", "--report", file("report.json"), "--key", file("judge.pem"), "--issuer", "https://market.example", "--out", file("statement.jwt")}
	code, stdout, stderr := command(t, sign...)
	require.Zero(t, code, stderr)
	assert.Empty(t, stdout)

	check := []string{"verify", "--attestation", file("statement.jwt"), "--report", file("report.json"), "--public-key", file("judge.pem.pub")}
	code, stdout, stderr = command(t, append(check, "--against", file("statement.jwt"))...)
	assert.Equal(t, 1, code, "genuine, but not conformant: %s", stderr)
	for _, want := range []string{"Verdict      not-conformant", "Build        42", "Judged by    https://market.example", "nothing changed"} {
		assert.Contains(t, stdout, want)
	}
	assert.Empty(t, stderr)

	text, err := os.ReadFile(file("report.json"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file("changed.json"), []byte(strings.Replace(string(text), "not-conformant", "conformant", 1)), 0o600))
	for want, args := range map[string][]string{
		"another report, or this one was changed": {"verify", "--attestation", file("statement.jwt"), "--report", file("changed.json"), "--public-key", file("judge.pem.pub")},
		"signed by somebody else":                 {"verify", "--attestation", file("statement.jwt"), "--report", file("report.json"), "--public-key", file("other.public")},
		`"https://market.example" judged`:         append(check, "--issuer", "https://other.example"),
	} {
		code, stdout, stderr := command(t, args...)
		assert.Equal(t, 1, code, want)
		assert.Empty(t, stdout, want)
		assert.Contains(t, stderr, "is not to be relied upon: ")
		assert.Contains(t, stderr, want)
	}
	for want, args := range map[string][]string{
		"--public-key: ":          {"verify", "--attestation", file("statement.jwt"), "--report", file("report.json"), "--public-key", file("judge.pem")},
		"--issuer is missing":     {"attest", "--report", file("report.json"), "--key", file("judge.pem")},
		"--report is missing":     {"verify", "--attestation", file("statement.jwt")},
		"--attestation: open":     {"verify", "--attestation", file("none"), "--report", file("report.json"), "--public-key", file("judge.pem.pub")},
		`about build "42", not`:   append(sign, "--build", "43"),
		"is over already":         append(sign, "--valid", "0d"),
		`"soon" is no time`:       append(sign, "--valid", "soon"),
		"it is no private key":    {"attest", "--report", file("report.json"), "--key", file("judge.pem.pub"), "--issuer", "x"},
		"--key is missing":        {"keygen"},
		"it is no report in JSON": {"attest", "--report", file("judge.pem"), "--key", file("judge.pem"), "--issuer", "x"},
	} {
		code, stdout, stderr := command(t, args...)
		assert.Equal(t, 2, code, want)
		assert.Empty(t, stdout, want)
		assert.Contains(t, stderr, want)
		assert.NotContains(t, stderr, "PRIVATE KEY-----")
	}
}

func TestDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute} {
		got, err := days(text)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, text := range []string{"", "d", "-1d", "0h", "99999999999d", "1w"} {
		_, err := days(text)
		assert.Error(t, err, text)
	}
}

func TestKeys_FlagsBeforeEnvironmentBeforeFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "isvkit.keys")
	require.NoError(t, os.WriteFile(file, []byte("export ISVKIT_BASE_KEY='of the file'\nexport ISVKIT_SK='of the file'\nexport ISVKIT_KIT_KEY='of the file'\n"), 0o600))
	var j judging
	flags := j.flags()
	require.NoError(t, flags.Parse([]string{"--keys", file, "--sk", "of the flag", "--v1-key", ""}))
	require.NoError(t, j.keys.load(flags, func(name string) string {
		return map[string]string{"ISVKIT_BASE_KEY": "of the environment", "ISVKIT_SK": "of the environment", "ISVKIT_V1_KEY": "of the environment"}[name]
	}))
	assert.Equal(t, "of the environment", j.opts.BaseKey)
	assert.Equal(t, "of the flag", j.opts.SK)
	assert.Equal(t, "of the file", j.opts.KitKey)
	assert.Empty(t, j.opts.V1Key, "it was said to be empty")
}
