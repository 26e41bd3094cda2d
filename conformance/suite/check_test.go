package suite_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

// The floor makes lost checks visible.
const atLeast = 450

func TestAll_IsWellFormed(t *testing.T) {
	t.Parallel()
	checks := suite.All()
	require.GreaterOrEqual(t, len(checks), atLeast, "checks got lost")
	seen := map[string]bool{}
	for _, c := range checks {
		assert.Regexp(t, `^[a-z][a-z0-9]*(-[a-z]+)*/[a-z0-9]+(-[a-z0-9]+)*$`, c.ID)
		assert.False(t, seen[c.ID], "two checks are called %s", c.ID)
		seen[c.ID] = true
		assert.NotEmpty(t, c.Title, c.ID)
		assert.NotNil(t, c.Run, c.ID)
		assert.Subset(t, suite.Modes(), c.Charging, c.ID)
		for _, capability := range []string{c.Capability, c.Besides} {
			if capability != "" {
				assert.Contains(t, suite.Capabilities(), capability, c.ID)
			}
		}
	}
}

func TestAll_ChecksEveryRequirement(t *testing.T) {
	t.Parallel()
	rules, err := requirements.Load()
	require.NoError(t, err)
	checked := map[string]bool{}
	for _, c := range suite.All() {
		_, ok := rules.Requirement(c.Requirement)
		assert.True(t, ok, "%s names the requirement %s, which does not exist", c.ID, c.Requirement)
		checked[c.Requirement] = true
	}
	for _, r := range rules.Requirements {
		assert.True(t, checked[r.ID], "no check for requirement %s", r.ID)
	}
}

func TestCheck_Mode(t *testing.T) {
	t.Parallel()
	all, usage := suite.Check{}, suite.Check{Charging: []string{suite.OnDemand, suite.Package}}
	assert.Equal(t, suite.Period, all.Mode([]string{suite.OneTime, suite.Period}))
	assert.Equal(t, suite.OneTime, all.Mode([]string{suite.OneTime}))
	assert.Equal(t, suite.Package, usage.Mode([]string{suite.Period, suite.Package}))
	assert.Empty(t, usage.Mode([]string{suite.Period}))
	assert.Empty(t, all.Mode(nil))
}

func TestCheck_Lacks(t *testing.T) {
	t.Parallel()
	plain, one, two := suite.Check{}, suite.Check{Capability: suite.V1}, suite.Check{Capability: suite.V1, Besides: suite.Upgrade}
	assert.Empty(t, plain.Lacks(nil))
	assert.Equal(t, suite.V1, one.Lacks([]string{suite.Upgrade}))
	assert.Empty(t, one.Lacks([]string{suite.V1}))
	assert.Equal(t, suite.Upgrade, two.Lacks([]string{suite.V1}))
	assert.Empty(t, two.Lacks(suite.Capabilities()))
}
