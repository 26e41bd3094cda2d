package fault_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
)

func rule(t *testing.T, r fault.Rule) fault.Rule {
	t.Helper()
	if r.ID == "" {
		r.ID = "f"
	}
	require.NoError(t, r.Check())
	return r
}

func TestOperations_AreTheContracts(t *testing.T) {
	t.Parallel()
	text, err := openapi.FS.ReadFile("marketplace.yaml")
	require.NoError(t, err)
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^\s+operationId: (\w+)$`).FindAllSubmatch(text, -1) {
		if !bytes.HasPrefix(m[1], []byte("kit")) {
			names = append(names, string(m[1]))
		}
	}
	require.ElementsMatch(t, names, fault.Operations)
}

func TestRule_CheckRefuses(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]fault.Rule{
		"faultId":                         {ID: "a b", Kind: fault.Cut},
		"expected one of duplicate":       {ID: "f", Kind: "explode"},
		"activity \"buy\"":                {ID: "f", Kind: fault.Cut, Activity: "buy"},
		"not operation":                   {ID: "f", Kind: fault.Cut, Operation: "queryOrder"},
		"expected operation, not":         {ID: "f", Kind: fault.RateLimit, Activity: "newInstance"},
		"operation \"query\"":             {ID: "f", Kind: fault.RateLimit, Operation: "query"},
		"only pushUsage":                  {ID: "f", Kind: fault.PartialRejection, Operation: "queryOrder"},
		"first -1":                        {ID: "f", Kind: fault.Cut, First: -1},
		"probability 1.5":                 {ID: "f", Kind: fault.Cut, Probability: 1.5},
		"probability NaN":                 {ID: "f", Kind: fault.Cut, Probability: math.NaN()},
		"expected one of them":            {ID: "f", Kind: fault.Cut, First: 1, Probability: 0.5},
		"bound -1":                        {ID: "f", Kind: fault.Cut, Bound: -1},
		"delay: cut has no such":          {ID: "f", Kind: fault.Cut, Delay: time.Second},
		"status: rate-limit":              {ID: "f", Kind: fault.RateLimit, Status: 500},
		"html: server-error":              {ID: "f", Kind: fault.ServerError, HTML: true},
		"retryAfter: cut":                 {ID: "f", Kind: fault.Cut, RetryAfter: 1},
		"recordCode: cut":                 {ID: "f", Kind: fault.Cut, RecordCode: "001"},
		"records: cut":                    {ID: "f", Kind: fault.Cut, Records: 1},
		"delay -1s: expected more than 0": {ID: "f", Kind: fault.Delay, Delay: -time.Second},
		"because it is real time":         {ID: "f", Kind: fault.SlowBody, Delay: time.Hour},
		"status 404":                      {ID: "f", Kind: fault.ServerError, Status: 404},
		"retryAfter 9999":                 {ID: "f", Kind: fault.RateLimit, RetryAfter: 9999},
		"recordCode \"008\"":              {ID: "f", Kind: fault.PartialRejection, RecordCode: "008"},
		"records -1":                      {ID: "f", Kind: fault.PartialRejection, Records: -1},
	} {
		err := r.Check()
		require.ErrorIs(t, err, fault.ErrInvalid, want)
		require.ErrorContains(t, err, want)
	}
}

func TestRule_CheckFillsIn(t *testing.T) {
	t.Parallel()
	for _, k := range fault.Kinds() {
		r := rule(t, fault.Rule{Kind: k})
		require.Equal(t, 1, r.First, k)
		again := r
		require.NoError(t, again.Check())
		require.Equal(t, r, again, "checking twice changes nothing")
	}
	require.Equal(t, fault.DefaultBound, rule(t, fault.Rule{Kind: fault.Cut, Probability: 0.5}).Bound)
	require.Equal(t, "pushUsage", rule(t, fault.Rule{Kind: fault.PartialRejection}).Operation)
	require.Equal(t, 503, rule(t, fault.Rule{Kind: fault.ServerError, Status: 503}).Status)
}

func TestPlanAttempt_Matches(t *testing.T) {
	t.Parallel()
	a := fault.Attempt{CallID: 7, Number: 1, Activity: "newInstance", ProductCode: "demo", Subject: "CS1-000001"}
	for name, tc := range map[string]struct {
		rule fault.Rule
		want bool
	}{
		"everything":     {fault.Rule{}, true},
		"activity":       {fault.Rule{Activity: "newInstance"}, true},
		"other activity": {fault.Rule{Activity: "queryInstance"}, false},
		"product":        {fault.Rule{ProductCode: "demo"}, true},
		"other product":  {fault.Rule{ProductCode: "demo-v1"}, false},
		"line":           {fault.Rule{OrderLineID: "CS1-000001"}, true},
		"other line":     {fault.Rule{OrderLineID: "CS2-000001"}, false},
		"all":            {fault.Rule{Activity: "newInstance", ProductCode: "demo", OrderLineID: "CS1-000001"}, true},
	} {
		tc.rule.Kind = fault.Cut
		p := fault.PlanAttempt([]fault.Rule{rule(t, tc.rule)}, nil, a)
		require.Equal(t, tc.want, p.Disturbed(), name)
		require.Equal(t, tc.want, len(p.Uses) == 1, name)
	}
}

func TestPlanAttempt_FirstAndBound(t *testing.T) {
	t.Parallel()
	first := rule(t, fault.Rule{Kind: fault.Cut, First: 2})
	bound := rule(t, fault.Rule{Kind: fault.Cut, First: 100, Bound: 2})
	for name, tc := range map[string]struct {
		rule fault.Rule
		used fault.Used
		want bool
	}{
		"first of two":   {first, fault.Used{}, true},
		"second of two":  {first, fault.Used{Total: 1, Call: 1}, true},
		"third of two":   {first, fault.Used{Total: 2}, false},
		"within bound":   {bound, fault.Used{Total: 50, Call: 1}, true},
		"bound reached":  {bound, fault.Used{Total: 50, Call: 2}, false},
		"of other calls": {bound, fault.Used{Total: 50}, true},
	} {
		p := fault.PlanAttempt([]fault.Rule{tc.rule}, map[string]fault.Used{"f": tc.used}, fault.Attempt{CallID: 1, Number: 1})
		require.Equal(t, tc.want, p.Exchange.Kind == fault.Cut, name)
	}
}

// TestPlanAttempt_Chance: the share is about right, a seed gives the same twice and another seed something else, and the bound
// ends it.
func TestPlanAttempt_Chance(t *testing.T) {
	t.Parallel()
	struck := func(seed int64) (hits []int) {
		r := rule(t, fault.Rule{Kind: fault.DropAnswer, Probability: 0.25, Seed: seed})
		for call := range 4000 {
			if fault.PlanAttempt([]fault.Rule{r}, nil, fault.Attempt{CallID: int64(call), Number: 1}).Disturbed() {
				hits = append(hits, call)
			}
		}
		return hits
	}
	require.InDelta(t, 1000, len(struck(1)), 120)
	require.Equal(t, struck(1), struck(1))
	require.NotEqual(t, struck(1), struck(2))

	always := rule(t, fault.Rule{Kind: fault.DropAnswer, Probability: 1})
	n := 0
	for number := 1; number <= 10; number++ {
		if fault.PlanAttempt([]fault.Rule{always}, map[string]fault.Used{"f": {Total: n, Call: n}}, fault.Attempt{Number: number}).Disturbed() {
			n++
		}
	}
	require.Equal(t, fault.DefaultBound, n)
}

func TestPlanAttempt_Combines(t *testing.T) {
	t.Parallel()
	rules := []fault.Rule{
		rule(t, fault.Rule{ID: "dup", Kind: fault.Duplicate}),
		rule(t, fault.Rule{ID: "slow", Kind: fault.SlowBody, Delay: 5 * time.Millisecond}),
		rule(t, fault.Rule{ID: "cut", Kind: fault.Cut}),
		rule(t, fault.Rule{ID: "key", Kind: fault.OtherKey}),
		rule(t, fault.Rule{ID: "limit", Kind: fault.RateLimit}),
	}
	p := fault.PlanAttempt(rules, nil, fault.Attempt{CallID: 1, Number: 1})
	require.Equal(t, fault.Plan{
		Exchange: fault.Exchange{Kind: fault.SlowBody, Over: 5 * time.Millisecond},
		Extra:    []fault.Exchange{{Kind: fault.Duplicate}, {Kind: fault.OtherKey}},
		Uses:     []string{"dup", "slow", "key"},
	}, p, "one change of the attempt itself, any number beside it")
}

// TestPlanAttempt_PutsOff: a delayed attempt uses the delay alone; when it is due again it is made, marked, and the other rules
// have their turn.
func TestPlanAttempt_PutsOff(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Delay, fault.Reorder} {
		rules := []fault.Rule{
			rule(t, fault.Rule{ID: "dup", Kind: fault.Duplicate}), rule(t, fault.Rule{ID: "off", Kind: kind}), rule(t, fault.Rule{ID: "cut", Kind: fault.Cut}),
		}
		a := fault.Attempt{CallID: 1, Number: 1}
		p := fault.PlanAttempt(rules, nil, a)
		require.Equal(t, []string{"off"}, p.Uses)
		require.Empty(t, p.Extra)
		require.Equal(t, kind == fault.Delay, p.PutOff == fault.DefaultDelay)
		require.Equal(t, kind == fault.Reorder, p.Reorder)

		p = fault.PlanAttempt(rules, map[string]fault.Used{"off": {Total: 1, Call: 1, Now: true}}, a)
		require.Zero(t, p.PutOff)
		require.False(t, p.Reorder)
		require.Equal(t, kind, p.Exchange.Kind)
		require.Equal(t, []string{"dup"}, p.Uses)
	}
}

func TestMayPass(t *testing.T) {
	t.Parallel()
	require.True(t, fault.MayPass("refreshInstance", "updateInstanceStatus"))
	require.True(t, fault.MayPass("tenantSync", "applicationSync"))
	for _, pair := range [][2]string{
		{"refreshInstance", "refreshInstance"},
		{"newInstance", "queryInstance"},
		{"queryInstance", "refreshInstance"},
		{"refreshInstance", "releaseInstance"},
		{"releaseInstance", "refreshInstance"},
	} {
		require.False(t, fault.MayPass(pair[0], pair[1]), pair)
	}
}

func TestPlanRequest(t *testing.T) {
	t.Parallel()
	rules := []fault.Rule{
		rule(t, fault.Rule{ID: "limit", Kind: fault.RateLimit, Operation: "queryOrder", First: 2}),
		rule(t, fault.Rule{ID: "down", Kind: fault.ServerError, Probability: 1, Bound: 2}),
		rule(t, fault.Rule{ID: "cut", Kind: fault.Cut, First: 100}),
	}
	seen := map[string]fault.Seen{}
	var got []string
	for i := range 7 {
		operation := "queryOrder"
		if i == 3 {
			operation = "pushUsage"
		}
		text := "-"
		if r := fault.PlanRequest(rules, seen, operation); r != nil {
			text = r.ID
		}
		got = append(got, text)
	}
	require.Equal(t, []string{"limit", "limit", "down", "down", "-", "down", "down"}, got)
	require.Equal(t, fault.Seen{Requests: 6, Total: 2}, seen["limit"])
	require.NotContains(t, seen, "cut")
}

// FuzzRule: whatever JSON says, Check ends, and a rule that it lets through is complete and stays as it is.
func FuzzRule(f *testing.F) {
	for _, k := range fault.Kinds() {
		f.Add(fmt.Appendf(nil, `{"faultId":"f","kind":%q,"first":1,"delay":1000,"status":503}`, k))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r fault.Rule
		if json.Unmarshal(data, &r) != nil || r.Check() != nil {
			return
		}
		again := r
		require.NoError(t, again.Check())
		require.Equal(t, r, again)
		fault.PlanAttempt([]fault.Rule{r}, nil, fault.Attempt{CallID: 1, Number: 1, Activity: "newInstance"})
		fault.PlanRequest([]fault.Rule{r}, map[string]fault.Seen{}, "queryOrder")
	})
}
