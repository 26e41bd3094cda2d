package scenario_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/sandboxtest"
	"github.com/isvkit/isvkit/sandbox/scenario"
	"github.com/isvkit/isvkit/sdk/provider"
)

// market starts a marketplace with the ISV of sandboxtest's examples behind it.
func market(t *testing.T, change ...func(http.Handler) http.Handler) (*sandboxtest.Market, *scenario.Runner) {
	t.Helper()
	m := sandboxtest.Start(t, sandboxtest.ProviderFunc(func(env sandboxtest.Env) http.Handler {
		h, err := provider.NewHandler(newApp(), provider.Config{BaseKeys: []string{env.Keys.BaseKey}, Market: env.Client})
		require.NoError(t, err)
		for _, c := range change {
			h = c(h)
		}
		return h
	}))
	keys := m.Keys()
	return m, &scenario.Runner{Control: m.Control(), ISV: scenario.ISV{BaseKey: keys.BaseKey, AK: keys.AK, SK: keys.SK, MarketURL: m.URL}}
}

func parse(t *testing.T, steps ...string) *scenario.File {
	t.Helper()
	f, err := scenario.Parse("test.yaml", []byte("name: test\nsteps:\n"+strings.Join(steps, "\n")+"\n"))
	require.NoError(t, err)
	return f
}

// TestParse_Refuses: whatever is wrong is told with its line, what was expected and the nearest name, all at once.
func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	for _, tc := range [][2]string{
		{"- bye: { sku: a }", `test.yaml:3: there is no verb "bye"; did you mean buy? expected one of `},
		{"- buy: { skq: a }", `test.yaml:3: buy has no field "skq"; did you mean sku?`},
		{"- buy: { period: 1y }", "buy: skuCode is missing"}, // not required any more, see below
		{"- buy: { sku: a, quantity: many }", `quantity: "many" is not a whole number`},
		{"- buy: { sku: a, trial: maybe }", `trial: "maybe" is not true or false`},
		{"- buy: { sku: a, lines: [{ skuu: a }] }", `lines has no field "skuu"; did you mean sku?`},
		{"- buy: [a]", "buy: expected fields"},
		{"- buy: { sku: a, sku: b }", "test.yaml:3: sku is there twice"},
		{"- { buy: a, release: b }", "a step has one verb, not buy and release"},
		{"- renew: crm", `no step before this one saves anything under the name "crm"; give that step`},
		{"- buy: a\n  as: crm\n- renew: crn", `test.yaml:5: no step before this one saves anything under the name "crn"; did you mean crm?`},
		{"- buy: a\n  as: Crm", `"Crm" is no name`},
		{"- buy: a\n  as: now", `"now" is no name`},
		{"- buy: a\n  as: a\n- buy: a\n  as: a", "an earlier step has the name a already"},
		{"- buy: a\n  az: x", `there is no verb "az"`},
		{"- buy: a\n  with: { a: b }", "buy has no with"},
		{"- call: getStatuz", `there is no operation "getStatuz"; did you mean getStatus?`},
		{"- call: getInstance", "call: instance is missing"},
		{"- openapi: queryOrdr", `there is no operation "queryOrdr"; did you mean queryOrder?`},
		{"- advance: { durations: 1d }", `advance has no field "durations"; did you mean duration?`},
		{"- expect: { instanz: crm }", `there is no "instanz" to expect of; did you mean instance?`},
		{"- buy: a\n  as: crm\n- expect: { instance: crm }", "says nothing about instance"},
		{"- buy: a\n  as: crm\n- expect: { instance: crm, stat: ready }", `instance has no "stat"; did you mean status?`},
		{"- buy: a\n  as: crm\n- expect: { instance: crm, status: frosen }", `status can never be "frosen"; did you mean frozen?`},
		{"- buy: a\n  as: crm\n- expect: { calls: crm, activitys: [a] }", `calls have no "activitys"; did you mean activities?`},
		{"- buy: a\n  as: crm\n- expect: { calls: crm, activities: a }", "activities: expected a list, or a field in the singular: activity"},
		{"- buy: a\n  as: crm\n- expect: { calls: crm, count: x }", `count: "x" is no number of things`},
		{"- buy: a\n  as: crm\n- expect: { calls: crm, each: { statuz: a } }", `calls has no "statuz"; did you mean status?`},
		{"- buy: a\n  as: crm\n- expect: { attempts: crm, each: { outcome: x } }", `outcome can never be "x"`},
		{"- call: getStatus\n  expect: { versions: 1 }", `the answer has no "versions"; did you mean version?`},
		{"- call: getStatus\n  expect: { clock.noww: 1 }", `the answer has no "noww"; did you mean now?`},
		{"- call: getStatus\n  expect: { clock..now: 1 }", "expected a path such as"},
		{"- call: getStatus\n  expect: { version: { matches: '(' } }", "matches: error parsing regexp"},
		{"- call: getStatus\n  expect: { orders: { atLeast: x } }", `atLeast: "x" is no number`},
		{"- wait: { instance: crm, status: ready, timeout: soon }", `timeout: "soon" is no duration`},
		{"- wait: now", "wait: expected settled"},
		{"- advance: $tomorrow", `no step before this one saves anything under the name "tomorrow"`},
		{"- advance: $now-1parsec", `$now-1parsec: "1parsec" is no duration`},
		{"- pushUsage: { value: 1 }", "pushUsage: instance is missing"},
		{"- pushUsage: { instance: i, value: 1, old: true }", "product belongs to the older push"},
		{"- pushUsage: { instance: i, values: 1 }", `pushUsage has no field "values"; did you mean value?`},
		{"- 5", "expected a step such as"},
		{"- {}", "the step has no verb"},
		{"- advance: &a [*a]", "an alias (*a) may stand for a single value only"},
		{"- freeze: crm\n  refused: yes\n  timeout: 5s", "freeze has no timeout"},
	} {
		steps, want := tc[0], tc[1]
		_, err := scenario.Parse("test.yaml", []byte("name: test\nsteps:\n"+steps+"\n"))
		if steps == "- buy: { period: 1y }" {
			require.NoError(t, err, "an order of several lines has no skuCode, so it is not required")
			continue
		}
		var invalid *scenario.InvalidError
		require.ErrorAs(t, err, &invalid, steps)
		require.ErrorContains(t, err, want, steps)
		require.NotZero(t, invalid.Problems[0].Line, steps)
	}
	for text, want := range map[string]string{
		"":                                     "expected `name:` and `steps:`",
		"- a":                                  "expected `name:` and `steps:`",
		"name: a":                              "expected `steps:`",
		"steps: [{advance: 1d}]":               "expected `name:`",
		"name: a\nsteps: 5":                    "steps: expected a list of steps",
		"name: a\nsteps: []":                   "steps: expected a list of steps",
		"name: a\nstep: []":                    `a scenario has no "step"; did you mean steps?`,
		"name: [a":                             "is no YAML",
		"name: a\nsteps:\n- bye: a\n- buyy: b": "test.yaml:4: there is no verb \"buyy\"",
	} {
		_, err := scenario.Parse("test.yaml", []byte(text))
		require.ErrorContains(t, err, want, text)
	}
	_, err := scenario.Load(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorContains(t, err, "none.yaml: cannot be read: no such file")
}

// TestPlay_Tells plays stories that go wrong and looks at what is said.
func TestPlay_Tells(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		steps []string
		want  []string
	}{
		"a field": {
			[]string{"- buy: demo-period", "  as: crm", "- expect: { instance: crm, status: frozen, quantity: 2 }"},
			[]string{"test.yaml:5: expect: { instance: crm, status: frozen, quantity: 2 }", "\n  status: expected frozen, got ready", "\n  quantity: expected 2, got 1", "the journal says: ", "\n    again: U="},
		},
		"a list": {
			[]string{"- buy: demo-period", "  as: crm", "- expect: { calls: crm, activities: [newInstance, newInstance] }"},
			[]string{"activities: expected [newInstance, newInstance], got [newInstance, queryInstance]"},
		},
		"a count": {
			[]string{"- buy: demo-period", "  as: crm", "- expect: { calls: crm, activity: newInstance, count: 2 }"},
			[]string{"calls with {activity: newInstance}: expected 2, got 1"},
		},
		"none": {
			[]string{"- buy: demo-period", "  as: crm", "- expect: { calls: crm, activity: newInstance, none: true }"},
			[]string{"expected none, got 1"},
		},
		"at least one": {
			[]string{"- buy: demo-period", "  as: crm", "- expect: { calls: crm, activity: releaseInstance }"},
			[]string{"calls with {activity: releaseInstance}: expected at least one, got none"},
		},
		"each and last": {
			[]string{"- buy: demo-period", "  as: crm", "- expect: { calls: crm, each: { activity: newInstance }, last: { status: failed }, first: { status: succeeded } }"},
			[]string{"calls, number 2.activity: expected newInstance, got queryInstance", "last of the calls.status: expected failed, got succeeded"},
		},
		"an answer": {
			[]string{"- call: getStatus", "  expect: { orders: { atLeast: 1 }, version: { not: { matches: '.' } } }"},
			[]string{"orders: expected at least 1, got 0", "version: expected anything but something that matches ."},
		},
		"a refusal that is not expected": {
			[]string{"- buy: no-such"},
			[]string{`the sandbox refuses: invalid: no product with skuCode "no-such"`},
		},
		"another refusal than expected": {
			[]string{"- buy: no-such", "  refused: illegal-move"},
			[]string{`expected to be refused with "illegal-move", got isvkit:invalid`},
		},
		"no refusal": {
			[]string{"- buy: demo-period", "  refused: invalid"},
			[]string{"expected to be refused, but it was done"},
		},
		"a wait in vain": {
			[]string{"- buy: demo-period", "  as: crm", "- wait: { instance: crm, status: frozen, timeout: 50ms }"},
			[]string{"status: expected frozen, got ready", "waited 50ms in real time"},
		},
		"nothing to restart": {
			[]string{"- buy: demo-period", "  as: crm", "- restart: crm"},
			[]string{"crm has no call that waits for a restart"},
		},
		"a reference to nothing": {
			[]string{"- buy: demo-period", "  as: crm", "- call: getInstance", "  with: { instance: $crm.order.none }"},
			[]string{"$crm: what the step saved has no such field"},
		},
		"too many names": {
			[]string{"- buy: demo-period", "  as: [a, b]"},
			[]string{"as: expected 2 instances, got 1"},
		},
		"the open API": {
			[]string{"- openapi: queryOrder", "  with: { orderId: CS-NONE }"},
			[]string{"the open API refuses: {"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, runner := market(t)
			err := runner.Play(t.Context(), parse(t, tc.steps...))
			var failed *scenario.FailedError
			require.ErrorAs(t, err, &failed)
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

// TestPlay_UsageAndOrders does what the ISV would do.
func TestPlay_UsageAndOrders(t *testing.T) {
	t.Parallel()
	_, runner := market(t)
	require.NoError(t, runner.Play(t.Context(), parse(t,
		"- buy: demo-on-demand", "  as: meter",
		"- advance: 3h",
		"- pushUsage: { instance: meter, value: 1.5, sn: sn-1, begin: $now-2h, end: $now-1h }",
		"  expect: { http: 200, code: MKT.0000 }",
		"- pushUsage: { instance: meter, value: 1.5, sn: sn-1, begin: $now-1h, end: $now }",
		"  expect: { http: 200, rejected: ['005'] }",
		"- pushUsage: { instance: meter, records: [{ value: 2 }, { value: 0, begin: $now-70m, end: $now-65m }] }",
		"  expect: { rejected: ['003'], data.abnormal_usage_data: { count: 1 } }",
		"- expect: { usage: meter, usageValues: ['1.5', '1.5', '2', '0'], accepteds: [true, false, true, false] }",
		"- openapi: queryOrder", "  with: { order: meter }",
		"  expect: { orderInfo.orderLine.0.chargingMode: ON_DEMAND, orderInfo.orderLine.-1.orderLineId: $meter.order.orderLineId }",
	)))
	// A push that is refused fails a step that expects nothing.
	err := runner.Play(t.Context(), parse(t, "- buy: demo-period", "  as: crm", "- pushUsage: { instance: crm, value: 1 }"))
	require.ErrorContains(t, err, "the open API refuses: ")
	// Without keys nothing can be signed.
	runner.ISV = scenario.ISV{MarketURL: runner.ISV.MarketURL}
	err = runner.Play(t.Context(), parse(t, "- openapi: queryOrder", "  with: { orderId: CS-1 }"))
	require.ErrorContains(t, err, "its keys are not known")
	require.False(t, errors.As(err, new(*scenario.FailedError)))
}

// TestPlay_ShowsTheAttemptConcerned: a failure names the exchange that went wrong, with a line that repeats it.
func TestPlay_ShowsTheAttemptConcerned(t *testing.T) {
	t.Parallel()
	_, runner := market(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `{"resultCode":"000005","resultMsg":"out of order"}`)
		})
	})
	err := runner.Play(t.Context(), parse(t, "- buy: demo-period", "  as: crm", "- expect: { instance: crm, status: ready }"))
	require.ErrorContains(t, err, "status: expected ready, got creating\n  the journal says: newInstance, attempt 1: refused, result code 000005")
	require.ErrorContains(t, err, "again: U=")
	require.NotContains(t, err.Error(), runner.ISV.BaseKey)

	// Where several went wrong, an hour later as well.
	require.NoError(t, runner.Play(t.Context(), parse(t,
		"- buy: demo-period", "  as: crm", "- advance: 61m",
		"- expect: { attempts: crm, activity: newInstance, outcomes: [refused, refused], each: { status: 200 } }",
		"- advance: 3h",
		"- expect: { order: crm, order.status: failed }")))
	err = runner.Play(t.Context(), parse(t, "- buy: no-such-sku"))
	require.ErrorContains(t, err, "the sandbox refuses: ")
	require.NotContains(t, err.Error(), "the journal says", "what an earlier story met is not concerned")
}

// TestPlay_TakesBackWhatWouldDisturbOthers: faults and the production address, whether it passed or failed.
func TestPlay_TakesBackWhatWouldDisturbOthers(t *testing.T) {
	t.Parallel()
	_, runner := market(t)
	err := runner.Play(t.Context(), parse(t,
		"- fault: { kind: cut, first: 100 }", "- fault: { kind: replay, faultId: x }", "- clearFault: x", "- provider: http://127.0.0.1:1/a", "- provider: http://127.0.0.1:1/b",
		"- expect: { fault: cut, struck: 1 }"))
	require.ErrorContains(t, err, "struck: expected 1, got 0")
	require.NoError(t, runner.Play(t.Context(), parse(t,
		"- expect: { faults: all, none: true }", "- buy: demo-period", "  as: crm", "- expect: { instance: crm, status: ready }")))
}

func TestRun_ReadsAndPlays(t *testing.T) {
	t.Parallel()
	m, _ := market(t)
	name := filepath.Join(t.TempDir(), "a.yaml")
	require.NoError(t, os.WriteFile(name, []byte("name: a\nsteps:\n- buy: demo-one-time\n  as: it\n- release: it\n- expect: { instance: it, status: released }\n"), 0o600))
	require.NoError(t, scenario.Run(t.Context(), m.Control(), name))
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"name: a\nsteps:\n- buy: { sku: demo }\n  as: a\n- expect: { instance: a, status: ready }\n", "name: a\nsteps:\n- call: getStatus\n  expect: { a.0.b: 1 }\n",
		"- a", "name: &a b\nsteps: [*a]", "name: a\nsteps:\n- pushUsage: { records: [{ instance: $a.b.0, value: $now-1d }] }\n",
		"name: a\nsteps:\n- wait: settled\n- expect: { attempts: all, each: { durationMs: { atLeast: 1 } } }\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := scenario.Parse("f", text)
		if err == nil && file.Steps() == 0 {
			t.Fatal("a file without steps")
		}
		if err != nil && !errors.As(err, new(*scenario.InvalidError)) {
			t.Fatalf("an error of another kind: %v", err)
		}
	})
}
