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
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/chaos"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/openapi/requirements"
)

var (
	update = flag.Bool("update", false, "write the kill matrix, MUTANTS.md, anew")
	whole  = flag.Bool("whole", false, "judge every mutant by the whole suite")
	seed   = flag.Uint64("mutants", 1, "which tenth of the mutants the race detector looks at; 0: all")
)

// A run waits more than it works, so several are made at a time.
func TestMain(m *testing.M) {
	flag.Parse()
	if given := flag.Lookup("test.parallel"); given.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		most := 4
		if underRace { // which makes it work more than wait
			most = 2
		}
		_ = given.Value.Set(strconv.Itoa(most * runtime.GOMAXPROCS(0)))
	}
	os.Exit(m.Run())
}

// looked tells whether a mutant is judged in this run: each one, but for the race detector, under which everything takes many times as
// long; it gets a tenth.
func looked(m mutant.Mutant) bool {
	if !underRace || *seed == 0 {
		return true
	}
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, *seed, m.Name)
	return h.Sum64()%10 == 0
}

// areas are patterns for all checks of the areas that a mutant is caught in.
func areas(m mutant.Mutant) []string {
	var patterns []string
	for _, id := range m.Caught {
		area, _, _ := strings.Cut(id, "/")
		if !slices.Contains(patterns, area+"/*") {
			patterns = append(patterns, area+"/*")
		}
	}
	return patterns
}

// chosen are the checks that a mutant is judged by: those of the areas that it is caught in, and of the others every twelfth, which are other
// ones for each mutant. Every twelfth mutant is judged by the whole suite, and so are those that are caught by checks which judge what all
// others saw, or break a MUST somewhere else. With -whole, each one is.
func chosen(m mutant.Mutant) []string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(m.Name))
	const of = 12
	turn := int(h.Sum32() % of)
	after := slices.ContainsFunc(conformance.Checks(), func(c conformance.Check) bool { return c.After && slices.Contains(m.Caught, c.ID) })
	if *whole || after || !m.Warned && !breaksMust(m) || turn == 0 && !underRace {
		return nil
	}
	patterns := areas(m)
	for n, c := range conformance.Checks() {
		if n%of == turn && (m.Run == nil || mutant.Matches(m.Run, c.ID)) {
			patterns = append(patterns, c.ID)
		}
	}
	return patterns
}

// levels are those of the checks, by their ids.
var levels = sync.OnceValue(func() map[string]requirements.Level {
	rules, err := requirements.Load()
	if err != nil {
		panic(err) // it is our file
	}
	levels := map[string]requirements.Level{}
	for _, c := range conformance.Checks() {
		rule, _ := rules.Requirement(c.Requirement)
		levels[c.ID] = rule.Level
	}
	return levels
})

// breaksMust tells whether one of the checks that a mutant is named to be caught by is about a MUST.
func breaksMust(m mutant.Mutant) bool {
	return slices.ContainsFunc(m.Caught, func(id string) bool { return levels()[id] == requirements.Must })
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
	alone := map[string][]string{}
	for _, m := range mutant.ForTheAdversary() {
		for _, id := range m.Caught {
			alone[id] = append(alone[id], m.Name)
		}
	}
	also := map[string][]string{}
	for _, m := range mutant.BreaksEndOf() {
		for _, id := range m.Caught {
			also[id] = append(also[id], m.Name)
		}
	}
	fmt.Fprintf(&b, `
## The adversary

%d more providers pass every check, because each call by itself is answered rightly. They are wrong in what becomes of a story, and
the adversary (`+"`--chaos`"+`) catches them by a rule about its end. Rules that none of them breaks are shown by providers from above.

| rule about the end | requirement | breaks it, and passes every check | breaks it, too |
|---|---|---|---|
`, len(mutant.ForTheAdversary()))
	for _, r := range chaos.Rules() {
		rule, ok := rules.Requirement(r.Requirement)
		require.True(t, ok, r.Requirement)
		id := chaos.Area + r.Name
		fmt.Fprintf(&b, "| %s | %s %s | %s | %s |\n", r.Name, r.Requirement, rule.Level, strings.Join(alone[id], " · "), strings.Join(also[id], " · "))
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
