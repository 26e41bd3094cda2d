package selection_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance/internal/selection"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

func rules() *requirements.Set {
	return &requirements.Set{
		Requirements: []requirements.Requirement{
			{ID: "SIG-1", Level: requirements.Must, Ambiguity: "TIMESTAMP-UNIT"}, {ID: "SIG-2", Level: requirements.Must}, {ID: "NEW-3", Level: requirements.Should},
		},
		Ambiguities: []requirements.Ambiguity{
			{ID: "TIMESTAMP-UNIT", Taken: "milliseconds", Readings: []requirements.Reading{{ID: "milliseconds"}, {ID: "seconds"}}},
			{ID: "COLOUR", Taken: "red", Readings: []requirements.Reading{{ID: "red"}, {ID: "blue"}}},
		},
	}
}

func checks() []suite.Check {
	run := func(context.Context, *suite.Case) {}
	return []suite.Check{
		{ID: "signing/right", Requirement: "SIG-1", Run: run},
		{ID: "signing/wrong", Requirement: "SIG-2", Run: run},
		{ID: "new-instance/repeat", Requirement: "NEW-3", Charging: []string{suite.Period}, Run: run},
		{ID: "kit/login", Requirement: "SIG-2", Capability: suite.Kit, Run: run},
	}
}

func ids(p *selection.Plan, want func(selection.Entry) bool) string {
	var found []string
	for _, e := range p.Entries {
		if want(e) {
			found = append(found, e.Check.ID)
		}
	}
	return strings.Join(found, " ")
}

func TestMake(t *testing.T) {
	t.Parallel()
	applies := func(e selection.Entry) bool { return e.Reason == "" }
	for name, tc := range map[string]struct {
		wish        selection.Wish
		applies     string
		notSelected int
	}{
		"everything that applies": {selection.Wish{}, "signing/right signing/wrong new-instance/repeat", 0},
		"an area":                 {selection.Wish{Run: []string{"signing/*"}}, "signing/right signing/wrong", 2},
		"a requirement":           {selection.Wish{Run: []string{"SIG-1"}}, "signing/right", 3},
		"two patterns":            {selection.Wish{Run: []string{"SIG-1", "NEW-*"}}, "signing/right new-instance/repeat", 2},
		"all but":                 {selection.Wish{Skip: []string{"*/repeat"}}, "signing/right signing/wrong", 1},
		"skip beats run":          {selection.Wish{Run: []string{"signing/*"}, Skip: []string{"SIG-1"}}, "signing/wrong", 3},
		"of a run before":         {selection.Wish{Only: []string{"signing/wrong", "gone/away"}}, "signing/wrong", 3},
		"nothing failed before":   {selection.Wish{Only: []string{}}, "", 4},
		"a capability":            {selection.Wish{With: []string{suite.Kit}, Run: []string{"kit/*"}}, "kit/login", 3},
		"another mode":            {selection.Wish{Charging: []string{suite.OneTime}}, "signing/right signing/wrong", 0},
	} {
		if tc.wish.Charging == nil {
			tc.wish.Charging = []string{suite.Period}
		}
		plan, err := selection.Make(checks(), rules(), tc.wish)
		require.NoError(t, err, name)
		assert.Equal(t, tc.applies, ids(plan, applies), name)
		assert.Equal(t, tc.notSelected, plan.NotSelected, name)
		assert.Equal(t, len(strings.Fields(tc.applies)), plan.Applying(), name)
	}
}

func TestMake_SaysWhy(t *testing.T) {
	t.Parallel()
	plan, err := selection.Make(checks(), rules(), selection.Wish{
		Charging: []string{suite.OneTime}, KnownFailing: []string{"SIG-2"}, Readings: []string{"TIMESTAMP-UNIT=seconds"},
	})
	require.NoError(t, err)
	require.Len(t, plan.Entries, 4)
	assert.Contains(t, plan.Entries[0].Contested, "TIMESTAMP-UNIT")
	assert.Empty(t, plan.Entries[1].Contested)
	assert.Equal(t, "signing/wrong kit/login", ids(plan, func(e selection.Entry) bool { return e.Known }))
	assert.Equal(t, "only for the charging modes period", plan.Entries[2].Reason)
	assert.Equal(t, "only with the capability kit", plan.Entries[3].Reason)
	assert.Equal(t, map[string]string{"TIMESTAMP-UNIT": "seconds"}, plan.Readings)

	plan, err = selection.Make(checks(), rules(), selection.Wish{Charging: []string{suite.Period}, Readings: []string{"TIMESTAMP-UNIT=milliseconds"}})
	require.NoError(t, err)
	assert.Empty(t, plan.Readings, "the reading that is taken anyway changes nothing")
	assert.Empty(t, plan.Entries[0].Contested)
}

func TestMake_Refuses(t *testing.T) {
	t.Parallel()
	for want, wish := range map[string]selection.Wish{
		`--run: the pattern "signing" matches no check and no requirement; did you mean "signing/*"?`: {Run: []string{"signing"}},
		`--skip: the pattern "SIG" matches no check and no requirement; did you mean "SIG-*"?`:        {Skip: []string{"SIG"}},
		`--run: the pattern "sig-1" matches no check and no requirement; did you mean "SIG-1"?`:       {Run: []string{"sig-1"}},
		`--known-failing: the pattern "gone/away" matches no check and no requirement; isv-conf`:      {KnownFailing: []string{"SIG-1", "gone/away"}},
		`--run: the pattern "" matches no check and no requirement; isv-conformance list`:             {Run: []string{""}},
		`--reading: "seconds" is no reading, expected AMBIGUITY=READING`:                              {Readings: []string{"seconds"}},
		`--reading: the register has no entry "TIME", expected one of TIMESTAMP-UNIT, COLOUR`:         {Readings: []string{"TIME=seconds"}},
		`--reading: TIMESTAMP-UNIT has no reading "hours", expected milliseconds or seconds`:          {Readings: []string{"TIMESTAMP-UNIT=hours"}},
		`--reading: TIMESTAMP-UNIT has two readings, seconds and milliseconds`:                        {Readings: []string{"TIMESTAMP-UNIT=seconds", "TIMESTAMP-UNIT=milliseconds"}},
		`--reading: no check rests on COLOUR, so that a reading of it changes nothing`:                {Readings: []string{"COLOUR=blue"}},
	} {
		_, err := selection.Make(checks(), rules(), wish)
		assert.ErrorContains(t, err, want)
	}
	_, err := selection.Make([]suite.Check{{ID: "a/b", Requirement: "ZZZ-1"}}, rules(), selection.Wish{})
	assert.ErrorContains(t, err, "a/b names the unknown requirement ZZZ-1")
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"a/b", "a/b", true},
		{"a/b", "a/bc", false},
		{"a/*", "a/b", true},
		{"*", "a/b", true},
		{"*", "", true},
		{"", "", true},
		{"", "a", false},
		{"*/b*", "a/bc", true},
		{"a?b", "a/b", true},
		{"a?b", "ab", false},
		{"*b*b", "abcb", true},
		{"*b*b", "abc", false},
		{"a**", "a", true},
	} {
		assert.Equal(t, tc.want, selection.Matches(tc.pattern, tc.text), "%q %q", tc.pattern, tc.text)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"signing/right", "NEW-3"}, selection.List("# known since May\nsigning/right  # ticket 12\r\n\n  NEW-3\n"))
	assert.Empty(t, selection.List(""))
}

func FuzzMatches(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if selection.Matches(pattern, text) && !strings.ContainsAny(pattern, "*?") {
			assert.Equal(t, pattern, text)
		}
		assert.True(t, selection.Matches("*"+text+"*", "x"+text+"y") || strings.ContainsAny(text, "*?"))
	})
}
