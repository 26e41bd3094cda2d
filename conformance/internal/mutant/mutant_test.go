package mutant_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

// judge tries a mutant.
func judge(t *testing.T, m mutant.Mutant, changes ...func(*conformance.Options)) *conformance.Report {
	t.Helper()
	r, err := m.Try(t.Context(), changes...)
	require.NoError(t, err)
	return r
}

// baseCapabilities are those that the mutants of base calls are judged with.
var baseCapabilities = []string{suite.Upgrade, suite.ChangeCheck, suite.OrderNotify}

// everything is that and the rest.
func everything(o *conformance.Options) {
	if o.With == nil {
		o.With = suite.Capabilities()
	}
}

// by judges the base calls of V2 by some checks; nil are all.
func by(checks []string) func(*conformance.Options) {
	return func(o *conformance.Options) { o.With, o.Run = baseCapabilities, checks }
}

// sold is one charging mode only.
func sold(mode string) func(*conformance.Options) {
	return func(o *conformance.Options) {
		o.Charging = []string{mode}
		switch mode {
		case suite.OnDemand:
		case suite.Package: // the right one pushes nothing for packages
			o.UsageWait, o.UsageRetry = mutant.ShortUsageWait, mutant.ShortUsageWait
		default:
			o.UsageWait = 0
		}
	}
}

func failed(r *conformance.Report) []string {
	var ids []string
	for _, c := range r.Checks {
		if c.Status == suite.Fail {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

func messages(r *conformance.Report, ids []string) []string {
	var all []string
	for _, c := range r.Checks {
		if slices.Contains(ids, c.ID) {
			all = append(all, c.ID)
			all = append(all, c.Messages...)
		}
	}
	return all
}

func TestVariants_AreConformant(t *testing.T) {
	t.Parallel()
	for _, v := range mutant.Variants() {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			r := judge(t, v, everything)
			assert.Equal(t, report.Conformant, r.Verdict)
			wrong := slices.Concat(failed(r), nil)
			allowed := 0
			if v.Name == "pushes no usage" {
				allowed = 11 // nothing was pushed to be judged
			}
			assert.Empty(t, wrong, messages(r, wrong))
			assert.Zero(t, r.Counts[suite.Error])
			assert.Equal(t, allowed, r.Counts[suite.Skip])
			assert.Equal(t, v.With != nil, r.Counts[suite.NotApplicable] > 0)
			t.Logf("%d checks in %d ms", len(r.Checks), r.DurationMS)
		})
	}
}

func TestRight_IsConformantInEachModeAlone(t *testing.T) {
	t.Parallel()
	right := mutant.Variants()[0]
	for _, mode := range suite.Modes() {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := judge(t, right, everything, sold(mode))
			assert.Equal(t, report.Conformant, r.Verdict)
			assert.Empty(t, failed(r), messages(r, failed(r)))
			assert.Positive(t, r.Counts[suite.NotApplicable])
		})
	}
}

func TestPlain_IsConformant(t *testing.T) {
	t.Parallel()
	r := judge(t, mutant.Plain(), sold(suite.Period))
	assert.Equal(t, report.Conformant, r.Verdict)
	// It needs no order to sell one product, which is a warning and nothing more.
	assert.Subset(t, []string{
		"order-query/orders-are-asked-for", "order-query/unknown-order-makes-no-instance", "order-query/foreign-line-makes-no-instance",
	}, failed(r), messages(r, failed(r)))
	assert.Zero(t, r.Counts[suite.Error])
}

func TestMutants_AreCaught(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(mutant.Mutants()), 350, "mutants got lost")
	caught(t, mutant.Mutants(), func(t *testing.T, m mutant.Mutant) *conformance.Report {
		t.Helper()
		return judge(t, m, by(chosen(m)))
	})
}

// caught holds that each mutant is caught by the checks that are named for it, and accused of nothing else.
func caught(t *testing.T, mutants []mutant.Mutant, judge func(*testing.T, mutant.Mutant) *conformance.Report) {
	t.Helper()
	names := map[string]bool{}
	for _, m := range mutants {
		require.False(t, names[m.Name], "two mutants are called %q", m.Name)
		names[m.Name] = true
		if !looked(m) {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			r := judge(t, m)
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
			for _, c := range r.Checks {
				if c.Status == suite.Fail && slices.Contains(m.Caught, c.ID) {
					assert.NotEmpty(t, c.Messages, c.ID)
				}
			}
			t.Logf("%d ms, %d checks, caught by %v", r.DurationMS, len(r.Checks), got)
		})
	}
}

func errored(r *conformance.Report) []string {
	var ids []string
	for _, c := range r.Checks {
		if c.Status == suite.Error {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// Every check must be able to fail, or it checks nothing.
func TestMutants_CoverEveryCheck(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, m := range slices.Concat(mutant.Mutants(), mutant.OtherMutants()) {
		for _, id := range m.Caught {
			covered[id] = true
		}
	}
	for _, c := range conformance.Checks() {
		assert.True(t, covered[c.ID], "no mutant is caught by %s", c.ID)
		delete(covered, c.ID)
	}
	assert.Empty(t, covered, "mutants name checks that do not exist")
}

func TestMutants_WarnedFitsTheLevels(t *testing.T) {
	t.Parallel()
	for _, m := range slices.Concat(mutant.Mutants(), mutant.OtherMutants()) {
		if m.Warned {
			assert.False(t, breaksMust(m), m.Name)
		}
	}
}
