package mutant_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/openapi/requirements"
)

var (
	update = flag.Bool("update", false, "write the kill matrix, MUTANTS.md, anew")
	seed   = flag.Uint64("mutants", 1, "which tenth of the mutants the race detector looks at")
)

// A run waits more than it works, so several are made at a time.
func TestMain(m *testing.M) {
	flag.Parse()
	if given := flag.Lookup("test.parallel"); given.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = given.Value.Set(strconv.Itoa(2 * runtime.GOMAXPROCS(0)))
	}
	os.Exit(m.Run())
}

// looked tells whether a mutant is judged in this run: each one, but for the race detector, under which everything takes many times as
// long; it gets a tenth.
func looked(m mutant.Mutant) bool {
	if !underRace {
		return true
	}
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, *seed, m.Name)
	return h.Sum64()%10 == 0
}

const matrixFile = "../../MUTANTS.md"

// The matrix says what TestMutants_AreCaught holds: which check fails on which mutant.
func TestMatrix_IsWritten(t *testing.T) {
	t.Parallel()
	want := matrix(t)
	if *update {
		require.NoError(t, os.WriteFile(matrixFile, []byte(want), 0o600))
	}
	got, err := os.ReadFile(matrixFile)
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "MUTANTS.md is out of date: go test ./conformance/internal/mutant -run Matrix -update")
}

func matrix(t *testing.T) string {
	t.Helper()
	rules, err := requirements.Load()
	require.NoError(t, err)
	mutants := slices.Concat(mutant.Mutants(), mutant.OtherMutants())
	caughtBy := map[string][]string{}
	for _, m := range mutants {
		for _, id := range m.Caught {
			caughtBy[id] = append(caughtBy[id], m.Name)
		}
	}
	var b strings.Builder
	checks := conformance.Checks()
	fmt.Fprintf(&b, `# The kill matrix

%d providers that are wrong in one way each, and the %d checks that catch them. Behind each check stand the providers that it has to fail;
a test runs the suite against all of them and holds that each of these checks fails, and no other but for the same reason.
Another holds that the %d providers that are right, each in another way, are accused of nothing.

Written by `+"`go test ./conformance/internal/mutant -run Matrix -update`"+`.
`, len(mutants), len(checks), len(mutant.Variants()))
	area := ""
	for _, c := range checks {
		if a, _, _ := strings.Cut(c.ID, "/"); a != area {
			area = a
			fmt.Fprintf(&b, "\n## %s\n\n| check | rule | fails these providers |\n|---|---|---|\n", area)
		}
		rule, _ := rules.Requirement(c.Requirement)
		_, name, _ := strings.Cut(c.ID, "/")
		fmt.Fprintf(&b, "| %s | %s %s | %s |\n", name, c.Requirement, rule.Level, strings.Join(caughtBy[c.ID], " · "))
	}
	return b.String()
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, id string
		want        bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/bc", false},
		{"a/*", "a/bc", true},
		{"*", "a/bc", true},
		{"a/*-c-*", "a/b-c-d", true},
		{"a/*-c-*", "a/b-d", false},
		{"a/*c", "a/bc", true},
		{"a/*c", "a/cb", false},
		{"a/*b*b", "a/b", false},
	} {
		assert.Equal(t, tc.want, mutant.Matches([]string{tc.pattern}, tc.id), "%s %s", tc.pattern, tc.id)
	}
}
