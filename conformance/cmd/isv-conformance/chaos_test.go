package main

import (
	"encoding/json"
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

func TestProgram_RerunTellsTheStoryAgain(t *testing.T) {
	t.Parallel()
	program, isv, market := build(t, "./conformance/cmd/isv-conformance"), buildBroken(t), freeAddress(t)
	target, file := start(t, isv, "http://"+market), filepath.Join(t.TempDir(), "report.json")
	args := []string{"--target", target, "--market-listen", market}
	code, stdout, stderr := built(t, program, append([]string{"chaos", "--seed", "7", "--chaos-calls", "60", "--json", file}, args...)...)
	require.Equal(t, 1, code, stdout+stderr)
	for _, word := range []string{"run", "chaos"} {
		code, stdout, stderr = built(t, program, append([]string{word, "--rerun", file}, args...)...)
		assert.Equal(t, 1, code, stdout+stderr)
		assert.Contains(t, stdout, "NEW-3 MUST  chaos/one-instance-per-order-line")
		assert.Contains(t, stdout, "of 60 calls with seed 7, has 1", "the same story")
	}
	code, stdout, stderr = command(t, "list", "--rerun", file)
	assert.Zero(t, code, stderr)
	assert.Contains(t, stdout, "0 checks\n")
	assert.Contains(t, stderr, "the adversary's story is told again, too")

	code, _, stderr = command(t, append([]string{"replay", file, "chaos/one-instance-per-order-line"}, args...)...)
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "run --rerun tells it again")

	// The report of a version that did not keep the story says what to do.
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var old map[string]any
	require.NoError(t, json.Unmarshal(text, &old))
	delete(old, "chaos")
	text, err = json.Marshal(old)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	code, _, stderr = command(t, append([]string{"run", "--rerun", file}, args...)...)
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "isv-conformance chaos --seed 7 --chaos-calls NUMBER tells it again")
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
		"there is no flag --chaos":                          {"chaos", "--chaos"},
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
