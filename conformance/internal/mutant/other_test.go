package mutant_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

// baseCapabilities are those that the mutants of base calls are judged with.
var baseCapabilities = []string{suite.Upgrade, suite.ChangeCheck, suite.OrderNotify}

// TestOtherMutants_AreCaught is TestMutants_AreCaught for the interfaces beside the base calls of V2. Each is judged by the checks of its
// interface alone.
func TestOtherMutants_AreCaught(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(mutant.OtherMutants()), 75, "mutants got lost")
	names := map[string]bool{}
	for _, m := range mutant.OtherMutants() {
		require.False(t, names[m.Name], "two mutants are called %q", m.Name)
		names[m.Name] = true
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			r := judgeWith(t, m, m.With)
			got := failed(r)
			for _, id := range m.Caught {
				assert.Contains(t, got, id, "not caught")
			}
			accused := slices.DeleteFunc(slices.Clone(got), func(id string) bool {
				return slices.Contains(m.Caught, id) || mutant.Matches(m.Allowed, id)
			})
			assert.Empty(t, accused, "accused of what it does right: %q", messages(r, accused))
			assert.Zero(t, r.Counts[suite.Error], "%q", messages(r, errored(r)))
			want := report.NotConformant
			if m.Warned {
				want = report.Conformant
			}
			assert.Equal(t, want, r.Verdict, messages(r, got))
			t.Logf("%d ms, caught by %v", r.DurationMS, got)
		})
	}
}
