package mutant_test

import (
	"net"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

var keys = mutant.Keys{
	Base: "base-key-of-the-tests", General: "general-key-of-the-tests", Kit: "kit-key-of-the-tests", V1: "v1-key-of-the-tests",
	License: "license-key-of-the-tests", AK: "AKTEST", SK: "sk-of-the-tests",
}

// judge runs the whole suite on an ISV.
func judge(t *testing.T, m mutant.Mutant, charging ...string) *conformance.Report {
	t.Helper()
	return judgeWith(t, m, suite.Capabilities(), charging...)
}

func judgeWith(t *testing.T, m mutant.Mutant, capabilities []string, charging ...string) *conformance.Report {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	isv, err := mutant.New(keys, "http://"+listener.Addr().String())
	require.NoError(t, err)
	first, second := m.Serve(isv)
	server, replica := httptest.NewServer(first), httptest.NewServer(second)
	defer server.Close()
	defer replica.Close()
	if len(charging) == 0 {
		charging = suite.Modes()
	}
	limit := 40 * time.Second // nobody is slow by this measure, whatever else the machine has to do
	if m.Hurried {
		limit = mutant.AnswerLimit
	}
	r, err := conformance.Run(t.Context(), conformance.Options{
		Target: server.URL + "/saasproduce", BaseKey: keys.Base, GeneralKey: keys.General, AK: keys.AK, SK: keys.SK,
		KitKey: keys.Kit, KitPublicKey: mutant.KitPublicKey(), V1Key: keys.V1, LicenseKey: keys.License,
		MarketListener: listener, Charging: charging, With: capabilities, Run: m.Run,
		Replicas: []string{replica.URL + "/saasproduce"}, Seed: 1, UsageWait: usageWait(charging), UsageRetry: usageLimit,
		AnswerLimit: limit, ReadyLimit: limit / 2,
	})
	require.NoError(t, err)
	return r
}

// usageLimit is enough for an ISV that pushes when it is asked for an instance, and is spent on those that do not.
const usageLimit = 2 * time.Second

// usageWait is how long a run waits for usage, where there is any.
func usageWait(charging []string) time.Duration {
	if slices.Contains(charging, suite.OnDemand) || slices.Contains(charging, suite.Package) {
		return usageLimit
	}
	return 0
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
			capabilities := suite.Capabilities()
			if v.With != nil {
				capabilities = v.With
			}
			r := judgeWith(t, v, capabilities)
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
			r := judge(t, right, mode)
			assert.Equal(t, report.Conformant, r.Verdict)
			assert.Empty(t, failed(r), messages(r, failed(r)))
			assert.Positive(t, r.Counts[suite.NotApplicable])
		})
	}
}

func TestPlain_IsConformant(t *testing.T) {
	t.Parallel()
	r := judgeWith(t, mutant.Plain(), nil, suite.Period)
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
	names := map[string]bool{}
	for _, m := range mutant.Mutants() {
		require.False(t, names[m.Name], "two mutants are called %q", m.Name)
		names[m.Name] = true
		if !looked(m) {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			r := judgeWith(t, m, baseCapabilities)
			got := failed(r)
			for _, id := range m.Caught {
				assert.Contains(t, got, id, "not caught")
			}
			var accused []string
			for _, id := range got {
				if !slices.Contains(m.Caught, id) && !mutant.Matches(m.Allowed, id) {
					accused = append(accused, id)
				}
			}
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
			t.Logf("%d ms, caught by %v", r.DurationMS, got)
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
	rules, err := requirements.Load()
	require.NoError(t, err)
	levels := map[string]requirements.Level{}
	for _, c := range conformance.Checks() {
		rule, ok := rules.Requirement(c.Requirement)
		require.True(t, ok, c.ID)
		levels[c.ID] = rule.Level
	}
	for _, m := range slices.Concat(mutant.Mutants(), mutant.OtherMutants()) {
		must := slices.ContainsFunc(m.Caught, func(id string) bool { return levels[id] == requirements.Must })
		if m.Warned {
			assert.False(t, must, m.Name)
		}
	}
}
