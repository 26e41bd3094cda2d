package mutant_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

func TestPlainV1_IsConformant(t *testing.T) {
	t.Parallel()
	r := judge(t, mutant.PlainV1(), sold(suite.Period), ofItsInterface(mutant.PlainV1()))
	assert.Equal(t, report.Conformant, r.Verdict)
	assert.Empty(t, failed(r), messages(r, failed(r)))
	assert.Zero(t, r.Counts[suite.Error])
	assert.Greater(t, r.Counts[suite.Pass], 50)
}

func TestPlainKit_IsConformant(t *testing.T) {
	t.Parallel()
	r := judge(t, mutant.PlainKit(), sold(suite.Period), ofItsInterface(mutant.PlainKit()))
	assert.Equal(t, report.Conformant, r.Verdict)
	// It has one code for all that it does not like, and the digests of most libraries, which are warnings and nothing more.
	assert.Subset(t, []string{"kit-parameters/missing-parameter-has-its-code", "kit-secret/java-digests-are-taken"}, failed(r), messages(r, failed(r)))
	assert.Zero(t, r.Counts[suite.Error])
	assert.Greater(t, r.Counts[suite.Pass], 80)
}
