package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProgram_ChaosFindsTheShortestStory(t *testing.T) {
	t.Parallel()
	program, isv, market := build(t, "./conformance/cmd/isv-conformance"), buildBroken(t), freeAddress(t)
	target, story := start(t, isv, "http://"+market), filepath.Join(t.TempDir(), "story.yaml")
	code, stdout, stderr := built(t, program, "chaos", "--target", target, "--market-listen", market, "--seed", "7", "--chaos-calls", "60", "--save", story)
	assert.Equal(t, 1, code, stdout+stderr)
	assert.Contains(t, stdout, "NEW-3 MUST  chaos/one-instance-per-order-line")
	assert.Contains(t, stdout, "of 60 calls with seed 7, has 1")
	assert.Contains(t, stderr, "tells it again")
	written, err := os.ReadFile(story)
	require.NoError(t, err)
	assert.Regexp(t, `(?m)\A# chaos/one-instance-per-order-line, NEW-3: .*\norders:\n  - \{ order: o\d+, charging: period(, lines: \d)? \}\ncalls:\n(  - \{ do: newInstance, line: .* \}\n){1,2}\z`, string(written))

	code, stdout, stderr = built(t, program, "chaos", "--target", target, "--market-listen", market, "--seed", "8", "--story", story)
	assert.Equal(t, 1, code, stdout+stderr)
	assert.Contains(t, stdout, "The shortest story, for isv-conformance chaos --story FILE:\n\n# chaos/one-instance-per-order-line")
	code, stdout, _ = built(t, program, "explain", "chaos/one-instance-per-order-line")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "NEW-3 MUST")
	for name, value := range environment {
		assert.NotContains(t, stdout+stderr, value, name)
	}
}

func TestProgram_ChaosAfterTheChecks(t *testing.T) {
	t.Parallel()
	program, isv, market := build(t, "./conformance/cmd/isv-conformance"), build(t, "./examples/isv-minimal"), freeAddress(t)
	code, stdout, stderr := built(t, program, "run", "--target", start(t, isv, "http://"+market), "--market-listen", market, "--run", "new-instance/*", "--chaos", "--chaos-calls", "50")
	assert.Zero(t, code, stdout+stderr)
	assert.Regexp(t, `(?m)^  chaos +9 pass$`, stdout)
	assert.Regexp(t, `(?m)^  new-instance `, stdout)
}

func TestChaos_BadFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad, empty := filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "empty.yaml")
	require.NoError(t, os.WriteFile(bad, []byte("orders: [{order: a, charging: monthly}]\ncalls: [{do: newInstance, line: b/1}]\n"), 0o600))
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	all := []string{"--target", "http://127.0.0.1:1/", "--market-listen", "127.0.0.1:0"}
	for want, args := range map[string][]string{
		"--save: it is about the adversary":                 {"run", "--save", "x"},
		"--chaos-calls: 0 is too few":                       {"chaos", "--chaos-calls", "0"},
		"--chaos-calls: the story has 10001 calls":          {"chaos", "--chaos-calls", "10001"},
		"flag provided but not defined: -chaos":             {"chaos", "--chaos"},
		"--story: open ":                                    {"chaos", "--story", filepath.Join(dir, "none.yaml")},
		"is empty, expected a story as --save writes it":    {"run", "--chaos", "--story", empty},
		`orders[0].charging: expected period, one-time, on`: {"chaos", "--story", bad},
		`calls[0].line: no order has the line "b/1"`:        {"chaos", "--story", bad},
	} {
		code, _, stderr := command(t, append(args, all...)...)
		assert.Equal(t, 2, code, want)
		assert.Contains(t, stderr, want)
	}
}
