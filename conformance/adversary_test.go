package conformance_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/chaos"
	"github.com/isvkit/isvkit/conformance/internal/mutant"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

// adversary lets only the adversary play against an ISV.
func adversary(t *testing.T, m mutant.Mutant, seed uint64, change ...func(*conformance.Options)) *conformance.Report {
	t.Helper()
	r, err := m.Try(t.Context(), append([]func(*conformance.Options){func(o *conformance.Options) {
		o.Seed, o.With, o.Replicas, o.UsageWait = seed, []string{suite.Upgrade}, nil, 0
		o.Chaos = &conformance.Chaos{Calls: 120, Alone: true}
	}}, change...)...)
	require.NoError(t, err)
	return r
}

func complaints(r *conformance.Report) []string {
	var all []string
	for _, c := range r.Checks {
		if c.Status != suite.Pass {
			all = append(all, c.ID+" "+c.Requirement+" "+string(c.Status))
			all = append(all, c.Messages...)
		}
	}
	return all
}

// Nobody who is right may be accused, whatever the story.
func TestAdversary_AccusesNobodyWrongly(t *testing.T) {
	t.Parallel()
	for n, v := range mutant.Variants() {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			seeds, calls := uint64(1), 120
			if n == 0 {
				seeds, calls = 20, 60
			}
			for seed := range seeds {
				r := adversary(t, v, seed+1, func(o *conformance.Options) { o.Chaos.Calls = calls })
				assert.Equal(t, report.Conformant, r.Verdict)
				assert.Empty(t, complaints(r), "seed %d", seed+1)
			}
		})
	}
}

// These ISVs pass every check that was written for one call or two. The adversary catches them, and its story gets short.
func TestAdversary_CatchesWhatTakesAStory(t *testing.T) {
	t.Parallel()
	for _, m := range mutant.ForTheAdversary() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			const seeds = 20 // what is seldom does not come up in each story
			var r *conformance.Report
			for seed := uint64(1); seed <= seeds && (r == nil || len(complaints(r)) == 0); seed++ {
				r = adversary(t, m, seed, func(o *conformance.Options) { o.Chaos.Calls = 300 })
			}
			require.Equal(t, m.Warned, r.Verdict == report.Conformant, complaints(r))
			var failed []string
			for _, c := range r.Checks {
				if c.Status == suite.Fail {
					failed = append(failed, c.ID)
					assert.LessOrEqual(t, strings.Count(c.Story, "do:"), 6, c.Story)
				}
			}
			require.Subset(t, failed, m.Caught, complaints(r)) // one fault can show in several places

			// The story that it printed shows the same again, by itself.
			again := adversary(t, m, 99, func(o *conformance.Options) {
				o.Chaos = &conformance.Chaos{Alone: true, Story: conformance.ShortestStory(r)}
			})
			assert.Equal(t, r.Verdict, again.Verdict)
			assert.Subset(t, failures(again), m.Caught, complaints(again))
			t.Logf("seed %d, %d ms\n%s", r.Seed, r.DurationMS, conformance.ShortestStory(r))
		})
	}
}

func failures(r *conformance.Report) []string {
	var ids []string
	for _, c := range r.Checks {
		if c.Status == suite.Fail {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// Each rule of the adversary can be broken, or it says nothing.
func TestAdversary_EachRuleCanBreak(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{}
	for _, m := range slices.Concat(mutant.ForTheAdversary(), mutant.BreaksEndOf()) {
		for _, id := range m.Caught {
			broken[id] = true
		}
	}
	for _, rule := range chaos.Rules() {
		assert.True(t, broken[chaos.Area+rule.Name], "no mutant breaks %s", rule.Name)
		delete(broken, chaos.Area+rule.Name)
	}
	assert.Empty(t, broken, "mutants name rules that do not exist")
	for _, m := range mutant.BreaksEndOf() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			var r *conformance.Report
			const seeds = 10 // what is seldom does not come up in each story
			for seed := uint64(1); seed <= seeds && (r == nil || !slices.Contains(failures(r), m.Caught[0])); seed++ {
				r = adversary(t, m, seed, func(o *conformance.Options) { o.Run, o.Chaos.Tries = nil, 40 })
			}
			assert.Subset(t, failures(r), m.Caught, complaints(r))
			for _, c := range r.Checks {
				if slices.Contains(m.Caught, c.ID) {
					assert.NotEmpty(t, c.Story)
				}
			}
		})
	}
}

// The suite alone lets them pass, or they would be no work for the adversary.
func TestAdversary_IsNeeded(t *testing.T) {
	t.Parallel()
	for _, m := range mutant.ForTheAdversary() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			r := adversary(t, m, 1, func(o *conformance.Options) {
				o.Chaos, o.Run = nil, []string{"new-instance/*", "query-instance/*", "refresh-instance/*", "instance-status/*", "release-instance/*", "upgrade-instance/*"}
			})
			assert.Equal(t, report.Conformant, r.Verdict)
			assert.Empty(t, failures(r))
		})
	}
}

// What does not depend on who is faster is found by the same story in each run.
func TestAdversary_IsTheSameForASeed(t *testing.T) {
	t.Parallel()
	var m mutant.Mutant
	for _, m = range mutant.ForTheAdversary() {
		if strings.HasPrefix(m.Name, "a release that is repeated") {
			break
		}
	}
	told := func(seed uint64) []report.Check {
		r := adversary(t, m, seed)
		for n := range r.Checks {
			r.Checks[n].DurationMS = 0
		}
		return r.Checks
	}
	first := told(1)
	assert.Equal(t, first, told(1))
	assert.NotEqual(t, first, told(2))
}

// An ISV that is gone in the middle of the story gets a verdict, and soon.
func TestAdversary_JudgesWhatDies(t *testing.T) {
	t.Parallel()
	r := adversary(t, mutant.Mutant{Build: func(isv *mutant.ISV) http.Handler {
		var calls atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if calls.Add(1) > 40 {
				panic(http.ErrAbortHandler)
			}
			isv.Handler.ServeHTTP(w, r)
		})
	}}, 1)
	assert.Equal(t, report.NotConformant, r.Verdict)
	assert.Equal(t, []string{"chaos/every-call-is-answered"}, failures(r), complaints(r))
}

func TestAdversary_EndsWithTheRun(t *testing.T) {
	t.Parallel()
	r := adversary(t, mutant.Mutant{Build: func(isv *mutant.ISV) http.Handler {
		var calls atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the caller is gone
			if calls.Add(1) > 1 {
				<-r.Context().Done()
			}
		})
	}}, 1, func(o *conformance.Options) { o.Timeout, o.AnswerLimit = 15*time.Second, time.Hour })
	assert.Equal(t, report.Error, r.Verdict)
	assert.Len(t, r.Checks, r.Counts[suite.Error])
	assert.Contains(t, complaints(r), "the time for the whole run was used up before this check had ended")
}
