package mutant_test

import (
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

// baseCapabilities are those that the mutants of base calls are judged with.
var baseCapabilities = []string{suite.Upgrade, suite.ChangeCheck, suite.OrderNotify}

// judgeOther runs the checks of one interface on a mutant: all of them, or under the race detector, which takes ten times as long, those of the
// areas that it is caught in.
func judgeOther(t *testing.T, m mutant.Mutant, charging ...string) *conformance.Report {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	isv, err := mutant.New(keys, "http://"+listener.Addr().String())
	require.NoError(t, err)
	server := httptest.NewServer(m.Build(isv))
	defer server.Close()
	patterns := m.Run
	if underRace && len(m.Caught) > 0 {
		patterns = nil
		for _, id := range m.Caught {
			area, _, _ := strings.Cut(id, "/")
			if !slices.Contains(patterns, area+"/*") {
				patterns = append(patterns, area+"/*")
			}
		}
	}
	if len(charging) == 0 {
		charging = suite.Modes()
	}
	r, err := conformance.Run(t.Context(), conformance.Options{
		Target: server.URL + "/saasproduce", BaseKey: keys.Base, GeneralKey: keys.General, AK: keys.AK, SK: keys.SK,
		KitKey: keys.Kit, KitPublicKey: mutant.KitPublicKey(), V1Key: keys.V1, LicenseKey: keys.License,
		MarketListener: listener, Charging: charging, With: m.With, Run: patterns,
	})
	require.NoError(t, err)
	return r
}

// TestOtherMutants_AreCaught is TestMutants_AreCaught for the interfaces beside the base calls of V2. Each is judged by the checks of its
// interface alone.
func TestOtherMutants_AreCaught(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(mutant.OtherMutants()), 180, "mutants got lost")
	names := map[string]bool{}
	for n, m := range mutant.OtherMutants() {
		require.False(t, names[m.Name], "two mutants are called %q", m.Name)
		names[m.Name] = true
		if underRace && n%10 != 0 {
			continue // what the others do is the same to the race detector
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			r := judgeOther(t, m)
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
