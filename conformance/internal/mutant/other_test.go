package mutant_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
)

// ofItsInterface judges by the checks of one interface, or those of them that are chosen.
func ofItsInterface(m mutant.Mutant) func(*conformance.Options) {
	return func(o *conformance.Options) {
		o.Replicas, o.UsageWait = nil, 0
		if checks := chosen(m); checks != nil && len(m.Caught) > 0 {
			o.Run = checks
		}
	}
}

// TestOtherMutants_AreCaught is TestMutants_AreCaught for the interfaces beside the base calls of V2. Each is judged by the checks of its
// interface alone.
func TestOtherMutants_AreCaught(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(mutant.OtherMutants()), 180, "mutants got lost")
	caught(t, mutant.OtherMutants(), func(t *testing.T, m mutant.Mutant) *conformance.Report {
		t.Helper()
		return judge(t, m, ofItsInterface(m))
	})
}
