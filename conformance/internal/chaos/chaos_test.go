package chaos_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance/internal/chaos"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

func shape(calls int) chaos.Shape {
	return chaos.Shape{Charging: suite.Modes(), Upgrade: true, Calls: calls}
}

func TestPlan_IsMadeOfItsSeed(t *testing.T) {
	t.Parallel()
	one, two, other := chaos.Plan(7, shape(300)), chaos.Plan(7, shape(300)), chaos.Plan(8, shape(300))
	assert.Equal(t, one, two)
	assert.NotEqual(t, one.YAML(), other.YAML())
	assert.Len(t, one.Calls, 300)
	assert.Len(t, chaos.Plan(1, shape(1)).Calls, 1)
}

// Over some seeds everything that an adversary can do comes up, for every deed that it can do it to.
func TestPlan_HasEveryNuisance(t *testing.T) {
	t.Parallel()
	seen, lines := map[string]bool{}, 0
	for seed := range uint64(5) {
		s := chaos.Plan(seed, shape(400))
		assert.Greater(t, len(s.Orders), 20)
		lines += len(s.Lines()) - len(s.Orders)
		for _, c := range s.Calls {
			if c.Do == chaos.Query {
				continue
			}
			seen[string(c.Do)+" "+string(c.Answer)] = true
			if c.Together > 1 {
				seen[string(c.Do)+" together"] = true
			}
			if c.Debug {
				seen["debug "+string(c.Do)] = true
			}
		}
	}
	assert.Positive(t, lines, "orders have several lines, sometimes")
	for _, do := range chaos.Deeds() {
		if do == chaos.Query {
			continue
		}
		for _, how := range []string{"", "lost", "late", "reset", "together"} {
			assert.True(t, seen[string(do)+" "+how], "%s %s does not come up", do, how)
		}
	}
	assert.True(t, seen["debug newInstance"] && seen["debug releaseInstance"], "%v", slices.Sorted(maps.Keys(seen)))
}

func TestPlan_FitsTheISV(t *testing.T) {
	t.Parallel()
	s := chaos.Plan(3, chaos.Shape{Charging: []string{"one-time"}, Calls: 300})
	for _, c := range s.Calls {
		assert.Contains(t, []chaos.Deed{chaos.New, chaos.Query, chaos.Release}, c.Do)
	}
	for _, o := range s.Orders {
		assert.Equal(t, "one-time", o.Charging)
	}
	for _, c := range chaos.Plan(3, chaos.Shape{Charging: []string{"period"}, Calls: 300}).Calls {
		assert.NotEqual(t, chaos.Upgrade, c.Do)
	}
}

func TestStory_IsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5) {
		s := chaos.Plan(seed, shape(200))
		again, err := chaos.Parse([]byte(s.YAML()))
		require.NoError(t, err)
		assert.Equal(t, s.YAML(), again.YAML())
	}
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	const order = "orders: [{order: a, charging: period, lines: 2}]\n"
	for text, want := range map[string]string{
		"":                  "the story is empty",
		"- 1":               "cannot be read",
		"orders: []\n":      "orders: expected 1 to 1000, got 0; calls: expected 1 to 10000, got 0",
		order + "tree: 1\n": "field tree not found",
		order + "calls: [{do: newInstance, line: a/3}]":                                  `calls[0].line: no order has the line "a/3"`,
		order + "calls: [{do: newInstance, line: a}]":                                    `no order has the line "a"`,
		order + "calls: [{do: paint, line: a/1}]":                                        `unknown deed "paint"`,
		order + "calls: [{do: newInstance, line: a/1, answer: never}]":                   `unknown "never", expected one of [lost late reset]`,
		order + "calls: [{do: newInstance, line: a/1, together: 17}]":                    "together: expected 1 to 16, got 17",
		order + "calls: [{do: newInstance, line: a/1, round: -1}]":                       "round: expected 1 to 100, got -1",
		"orders: [{order: a, charging: x}]\ncalls: [{do: newInstance, line: a/1}]":       "orders[0].charging: expected period, one-time, on-demand, package",
		"orders: [{order: a b, charging: period}]\ncalls: []":                            "expected a name of letters and digits",
		"orders: [{order: a, charging: period},{order: a, charging: period}]\ncalls: []": `"a" is there twice`,
		"orders: [{order: a, charging: period, lines: 11}]\ncalls: []":                   "lines: expected 1 to 10, got 11",
		order + "calls: [{do: newInstance, line: a/1}]\n---\n" + order:                   "expected one story in a file",
	} {
		_, err := chaos.Parse([]byte(text))
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), want, text)
	}
}

func FuzzParse(f *testing.F) {
	s := chaos.Plan(1, shape(20))
	f.Add([]byte(s.YAML()))
	f.Add([]byte("orders: [{order: a, charging: period}]\ncalls: [{do: newInstance, line: a/1, answer: lost}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := chaos.Parse(text)
		if err != nil {
			return
		}
		again, err := chaos.Parse([]byte(s.YAML()))
		require.NoError(t, err, "what is read can be written and read again")
		assert.Equal(t, s.YAML(), again.YAML())
	})
}

func TestShrink_FindsTheCallsThatMatter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		whole := chaos.Plan(seed, shape(300))
		line := whole.Lines()[3]
		// Broken is what has a newInstance of a line, and then a release of any other line.
		broken := func(s chaos.Story) ([]bool, bool) {
			opened := false
			for _, c := range s.Calls {
				opened = opened || c.Line == line && c.Do == chaos.New && !c.Debug
				if opened && c.Line != line && c.Do == chaos.Release && !c.Debug {
					return nil, true
				}
			}
			return nil, false
		}
		if _, is := broken(whole); !is {
			continue
		}
		shortest, tries := chaos.Shrink(whole, []string{line}, 200, broken)
		require.Len(t, shortest.Calls, 2, "seed %d:\n%s", seed, shortest.YAML())
		for _, c := range shortest.Calls {
			assert.Equal(t, chaos.Call{Do: c.Do, Line: c.Line}, c, "plain")
		}
		assert.Len(t, shortest.Orders, len(slices.Compact([]string{order(shortest.Calls[0]), order(shortest.Calls[1])})))
		assert.LessOrEqual(t, tries, 200)
		_, err := chaos.Parse([]byte(shortest.YAML()))
		assert.NoError(t, err)
	}
}

func order(c chaos.Call) string {
	name, _, _ := strings.Cut(c.Line, "/")
	return name
}

func TestShrink_KeepsWhatMattersAndDropsWhatWasLeftOut(t *testing.T) {
	t.Parallel()
	s := chaos.Story{
		Orders: []chaos.Order{{Name: "a", Charging: "period", Lines: 1}, {Name: "b", Charging: "period", Lines: 1}},
		Calls: []chaos.Call{
			{Do: chaos.New, Line: "a/1", Together: 4, Answer: chaos.Lost}, {Do: chaos.Freeze, Line: "b/1"}, {Do: chaos.Freeze, Line: "a/1", Answer: chaos.Reset}, {Do: chaos.Query, Line: "a/1"},
		},
	}
	shortest, _ := chaos.Shrink(s, []string{"a/1"}, 100, func(s chaos.Story) (made []bool, is bool) {
		overlap, cut := false, false
		for _, c := range s.Calls {
			overlap = overlap || c.Do == chaos.New && c.Together > 1
			cut = cut || c.Do == chaos.Freeze && c.Answer == chaos.Reset
			made = append(made, c.Do != chaos.Query)
		}
		return made, overlap && cut
	})
	assert.Equal(t, []chaos.Call{{Do: chaos.New, Line: "a/1", Together: 2}, {Do: chaos.Freeze, Line: "a/1", Answer: chaos.Reset}}, shortest.Calls)
	assert.Equal(t, s.Orders[:1], shortest.Orders)

	played := 0
	same, tries := chaos.Shrink(s, nil, 3, func(chaos.Story) ([]bool, bool) { played++; return nil, false })
	assert.Equal(t, s, same, "nothing shorter shows it")
	assert.Equal(t, 3, tries)
	assert.Equal(t, 3, played)
}

// ---- judging ------------------------------------------------------------------------------------------------------------------------

func did(do chaos.Deed, line string) chaos.Event {
	return chaos.Event{Call: chaos.Call{Do: do, Line: line}, OK: true, Code: "000000", Text: "000000"}
}

func opened(line, id string) chaos.Event {
	e := did(chaos.New, line)
	e.Instance = id
	return e
}

func found(line string) chaos.Event {
	e := did(chaos.Query, line)
	e.Entry = true
	return e
}

func refused(do chaos.Deed, line, code string) chaos.Event {
	return chaos.Event{Call: chaos.Call{Do: do, Line: line}, Code: code, Text: code}
}

func end(e chaos.Event) chaos.Event {
	e.Settling = true
	return e
}

func hung(do chaos.Deed, line string) chaos.Event {
	return chaos.Event{Call: chaos.Call{Do: do, Line: line, Answer: chaos.Reset}, Hung: true}
}

func debug(e chaos.Event) chaos.Event {
	e.Debug = true
	return e
}

func late(e chaos.Event) chaos.Event {
	e.Answer = chaos.Late
	return e
}

func TestJudge(t *testing.T) {
	t.Parallel()
	gone := end(refused(chaos.Query, "a/1", "000003"))
	for _, test := range []struct {
		name   string
		events []chaos.Event
		want   []string // rule and requirement
	}{
		{"a life", []chaos.Event{opened("a/1", "i"), found("a/1"), did(chaos.Release, "a/1"), gone, end(refused(chaos.Release, "a/1", "000003")), gone}, nil},
		{"two ids", []chaos.Event{opened("a/1", "i"), opened("a/1", "j"), end(found("a/1"))}, []string{"one-instance-per-order-line NEW-3"}},
		{"another id after the release", []chaos.Event{opened("a/1", "i"), did(chaos.Release, "a/1"), opened("a/1", "j")}, []string{"one-instance-per-order-line NEW-3"}},
		{"a shared id", []chaos.Event{opened("a/1", "i"), opened("a/2", "i")}, []string{"an-instance-of-its-own-for-each-line NEW-4"}},
		{"no id", []chaos.Event{opened("a/1", "")}, []string{"an-id-for-each-instance NEW-2"}},
		{"debug ids do not count", []chaos.Event{debug(opened("a/1", "d")), debug(opened("a/2", "d")), opened("a/1", "i")}, nil},
		{"refused in the story", []chaos.Event{opened("a/1", "i"), refused(chaos.New, "a/1", "000005"), refused(chaos.Freeze, "a/1", "000005")}, nil},
		{"refused at the end", []chaos.Event{opened("a/1", "i"), end(refused(chaos.New, "a/1", "000103"))}, []string{"repeats-are-accepted NEW-3"}},
		{"never accepted", []chaos.Event{hung(chaos.New, "a/1"), end(refused(chaos.New, "a/1", "000005"))}, []string{"repeats-are-accepted NEW-1"}},
		{"not accepted after a debug call", []chaos.Event{debug(opened("a/1", "d")), end(refused(chaos.New, "a/1", "000005"))}, []string{"repeats-are-accepted DBG-4"}},
		{"repeats refused", []chaos.Event{
			opened("a/1", "i"), end(refused(chaos.Refresh, "a/1", "000005")), end(refused(chaos.Unfreeze, "a/1", "000005")), end(refused(chaos.Upgrade, "a/1", "000005")),
		}, []string{"repeats-are-accepted REF-3", "repeats-are-accepted STA-2", "repeats-are-accepted UPG-2"}},
		{"release refused", []chaos.Event{opened("a/1", "i"), end(refused(chaos.Release, "a/1", "000005"))}, []string{"repeated-release-is-confirmed REL-2"}},
		{"missing", []chaos.Event{opened("a/1", "i"), gone}, []string{"instances-stay QRY-1"}},
		{"missing after a freeze", []chaos.Event{opened("a/1", "i"), did(chaos.Freeze, "a/1"), gone}, []string{"instances-stay STA-4"}},
		{"missing after an upgrade", []chaos.Event{opened("a/1", "i"), did(chaos.Upgrade, "a/1"), gone}, []string{"instances-stay UPG-1"}},
		{"missing after the release of another", []chaos.Event{opened("a/1", "i"), opened("a/2", "j"), did(chaos.Release, "a/2"), gone}, []string{"instances-stay REL-4"}},
		{"missing after a debug release", []chaos.Event{opened("a/1", "i"), debug(did(chaos.Release, "a/1")), gone}, []string{"instances-stay DBG-3"}},
		{"missing after a debug newInstance", []chaos.Event{debug(opened("a/1", "d")), opened("a/1", "i"), gone}, []string{"instances-stay DBG-4"}},
		{"still there", []chaos.Event{opened("a/1", "i"), did(chaos.Release, "a/1"), end(found("a/1"))}, []string{"released-stays-released REL-3"}},
		{"brought back by a repeat", []chaos.Event{opened("a/1", "i"), did(chaos.Release, "a/1"), opened("a/1", "i"), end(found("a/1"))}, nil},
		{"opened by a call that may have come later", []chaos.Event{hung(chaos.New, "a/1"), opened("a/1", "i"), did(chaos.Release, "a/1"), end(found("a/1"))}, nil},
		{"opened by a call that nobody waited for", []chaos.Event{late(opened("a/1", "i")), did(chaos.Release, "a/1"), end(found("a/1"))}, nil},
		{"the release was never confirmed", []chaos.Event{opened("a/1", "i"), hung(chaos.Release, "a/1"), end(found("a/1"))}, nil},
		{"nothing for a debug call", []chaos.Event{debug(opened("a/1", "d")), gone}, nil},
		{"something for a debug call", []chaos.Event{debug(opened("a/1", "d")), end(found("a/1"))}, []string{"no-instance-for-a-debug-call DBG-6"}},
		{"no answer in the story", []chaos.Event{opened("a/1", "i"), {Call: chaos.Call{Do: chaos.Freeze, Line: "a/1"}, NoAnswer: "timeout"}, end(found("a/1"))}, nil},
		{"no answer at the end", []chaos.Event{opened("a/1", "i"), end(chaos.Event{Call: chaos.Call{Do: chaos.New, Line: "a/1"}, NoAnswer: "timeout"})}, []string{"every-call-is-answered ANS-8"}},
	} {
		var got []string
		for _, b := range chaos.Judge(&chaos.Story{}, test.events) {
			got = append(got, b.Rule+" "+b.Requirement)
			assert.NotEmpty(t, b.Seen, test.name)
			assert.NotEmpty(t, b.Lines, test.name)
		}
		assert.Equal(t, test.want, got, test.name)
	}
}

func TestSettlement(t *testing.T) {
	t.Parallel()
	again := did(chaos.Refresh, "a/1")
	again.Round = 2
	for _, test := range []struct {
		events    []chaos.Event
		want      string
		mayBeGone bool
	}{
		{[]chaos.Event{debug(opened("a/1", "d"))}, "[queryInstance of a/1]", true},
		{[]chaos.Event{hung(chaos.New, "a/1"), opened("a/2", "j"), did(chaos.Release, "a/2")}, "[newInstance of a/1 queryInstance of a/1]", false},
		{[]chaos.Event{opened("a/1", "i"), did(chaos.Release, "a/1"), opened("a/1", "i")}, "[queryInstance of a/1 releaseInstance of a/1 queryInstance of a/1]", true},
		{
			[]chaos.Event{opened("a/1", "i"), did(chaos.Freeze, "a/1"), did(chaos.Refresh, "a/1"), again, again, did(chaos.Upgrade, "a/1")},
			"[newInstance of a/1 queryInstance of a/1 UNFREEZE of a/1 refreshInstance of a/1 refreshInstance of a/1, the 2. of its kind upgradeInstance of a/1 queryInstance of a/1]", false,
		},
	} {
		calls, mayBeGone := chaos.Settlement(test.events, "a/1")
		assert.Equal(t, test.want, fmt.Sprint(calls))
		assert.Equal(t, test.mayBeGone, mayBeGone)
	}
}

// Everything that the adversary asserts is a requirement.
func TestRules_AreRequirements(t *testing.T) {
	t.Parallel()
	set, err := requirements.Load()
	require.NoError(t, err)
	names := map[string]bool{}
	for _, r := range chaos.Rules() {
		assert.False(t, names[r.Name], r.Name)
		names[r.Name] = true
		_, ok := set.Requirement(r.Requirement)
		assert.True(t, ok, r.Requirement)
	}
	for _, id := range []string{"DBG-3", "DBG-4", "STA-2", "STA-4", "REF-3", "UPG-1", "UPG-2", "REL-4"} {
		_, ok := set.Requirement(id)
		assert.True(t, ok, id)
	}
}
