package market_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/market"
)

// profile answers from a map of paths.
func profile(m map[string]any) market.Answers {
	return func(field string) (any, bool) { v, ok := m[field]; return v, ok }
}

// TestConditions_Bounds has every number and age of the five documents: the value at the bound, one step to each side, and what that comes to.
// H holds, F fails.
func TestConditions_Bounds(t *testing.T) {
	const twoYears, oneYear = "2024-11-22", "2025-11-22" // now is 2026-11-22
	two := map[any]string{"2024-11-23": "F", twoYears: "H", "2024-11-21": "H"}
	one := map[any]string{"2025-11-23": "F", oneYear: "H", "2025-11-21": "H"}
	million := map[any]string{999999: "F", 1000000: "H", 1000001: "H", "999999.99": "F", "1000000.00": "H"}
	number := func(n int) map[any]string { return map[any]string{n - 1: "F", n: "H", n + 1: "H"} }
	heavy := []string{"services", "website-building", "new-retail", "enterprise-applications", "security", "solutions", "devops"}
	kingsoft := []string{"basic-software", "api", "enterprise-applications", "website-building", "services", "solutions"}
	enterprise := map[string]any{"company.kind": "enterprise"}
	for _, tc := range []struct {
		market     string
		categories []string
		condition  string
		field      string
		values     map[any]string
		besides    map[string]any
	}{
		{"alibaba", heavy, "licence-two-years", "company.licensed", two, nil},
		{"alibaba", []string{"basic-software", "data-intelligence"}, "licence-one-year", "company.licensed", one, nil},
		{"alibaba", []string{"retail-link"}, "licence-over-one-year", "company.licensed", map[any]string{"2025-11-23": "F", oneYear: "F", "2025-11-21": "H"}, nil},
		{"alibaba", heavy, "capital-million", "company.capital", million, nil},
		{"alibaba", []string{"basic-software"}, "capital-hundred-thousand", "company.capital", number(100000), nil},
		{"alibaba", []string{"retail-link"}, "capital-over-million", "company.capital", map[any]string{1000000: "F", 999999: "F", 1000001: "H", "1000000.01": "H"}, nil},
		{"alibaba", []string{
			"api", "basic-software", "services", "website-building", "data-intelligence", "new-retail",
			"enterprise-applications", "security", "solutions", "iot",
		}, "staff", "company.technicalStaff", number(20), nil},
		{"alibaba", []string{"retail-link"}, "staff-four", "company.staff", number(4), nil},
		{
			"alibaba",
			[]string{"api", "data-intelligence", "enterprise-applications", "solutions"},
			"support-five-eight", "support.days", number(5),
			map[string]any{"support.hours": 8},
		},
		{"alibaba", []string{"api"}, "support-five-eight", "support.hours", number(8), map[string]any{"support.days": 5}},
		{
			"alibaba",
			[]string{"basic-software", "services", "website-building", "new-retail", "devops", "retail-link"},
			"support-five-eight-online", "support.days",
			number(5),
			map[string]any{"support.hours": 8, "support.online": true},
		},
		{"alibaba", []string{"security"}, "support-always", "support.days", map[any]string{6: "F", 7: "H"}, map[string]any{"support.hours": 24}},
		{"alibaba", []string{"security"}, "support-always", "support.hours", map[any]string{23: "F", 24: "H"}, map[string]any{"support.days": 7}},
		{"alibaba", []string{"basic-software", "services", "website-building"}, "experience-two-years", "company.experience", number(2), nil},
		{"alibaba", []string{"api"}, "experience-one-year", "company.experience", number(1), nil},
		{"alibaba", []string{"data-intelligence"}, "experience-big-data", "experience.bigData", number(1), nil},
		{"alibaba", []string{"security"}, "experience-security", "experience.security", number(1), nil},
		{"alibaba", []string{"solutions"}, "engineer", "company.certifiedEngineers", number(1), nil},
		{"alibaba", []string{"solutions"}, "vertical", "company.vertical", map[any]string{
			"finance": "H", "logistics": "H", "e-commerce": "H", "government": "H", "media": "H", "iot": "H", "farming": "F",
		}, nil},
		{"tencent", []string{"saas", "image"}, "support", "support.days", map[any]string{6: "F", 7: "H"}, map[string]any{"support.hours": 8, "support.online": true}},
		{"tencent", []string{"saas", "image"}, "support", "support.hours", number(8), map[string]any{"support.days": 7, "support.online": true}},
		{"kingsoft", kingsoft, "licence-one-year", "company.licensed", one, nil},
		{"kingsoft", kingsoft, "licence-two-years", "company.licensed", two, nil},
		{"kingsoft", kingsoft, "staff", "company.technicalStaff", number(15), nil},
		{"kingsoft", kingsoft, "experience", "company.experience", number(2), nil},
		{"kingsoft", kingsoft, "support", "support.hours", number(8), map[string]any{"support.days": 5, "support.online": true}},
		{"kubesphere", []string{"storage"}, "staff", "company.technicalStaff", number(10), enterprise},
		{"kubesphere", []string{"storage"}, "licence-one-year", "company.licensed", one, enterprise},
		{"kubesphere", []string{"storage"}, "capital", "company.capital", map[any]string{499999: "F", 500000: "F", 500001: "H"}, enterprise},
		{"kubesphere", []string{"storage"}, "support", "support.days", number(6), map[string]any{"support.hours": 10}},
		{"kubesphere", []string{"storage"}, "support", "support.hours", number(10), map[string]any{"support.days": 6}},
		{"kubesphere", []string{"storage"}, "screenshots", "product.screenshots", number(3), nil},
	} {
		p, err := market.Load(tc.market, now)
		require.NoError(t, err)
		for _, category := range tc.categories {
			found := false
			for _, c := range p.ConditionsFor(category) {
				if c.ID != tc.condition {
					continue
				}
				found = true
				for value, want := range tc.values {
					said := map[string]any{tc.field: value}
					for k, v := range tc.besides {
						said[k] = v
					}
					r := p.Check(c.Needs, profile(said), now)
					assert.Equal(t, map[string]market.Outcome{"H": market.Holds, "F": market.Fails}[want], r.Outcome, "%s %s %s %v: %s", tc.market, category, tc.condition, value, r.Why)
				}
			}
			assert.True(t, found, "%s: %s concerns %s", tc.market, tc.condition, category)
		}
	}
}

// TestConditions_OfEachMarket has the conditions of the twelve markets of the Alibaba table, so that a category that is missing, or one too
// many, is seen.
func TestConditions_OfEachMarket(t *testing.T) {
	p, err := market.Load("alibaba", now)
	require.NoError(t, err)
	for category, want := range map[string][]string{
		"api":                     {"verified", "staff", "support-five-eight", "experience-one-year", "interface", "deposit"},
		"basic-software":          {"verified", "licence-one-year", "capital-hundred-thousand", "staff", "support-five-eight-online", "experience-two-years", "interface", "image", "deposit"},
		"services":                {"verified", "licence-two-years", "capital-million", "staff", "support-five-eight-online", "marketing", "experience-two-years", "deposit"},
		"website-building":        {"verified", "licence-two-years", "capital-million", "staff", "support-five-eight-online", "experience-two-years", "on-host-cloud", "deposit"},
		"data-intelligence":       {"verified", "licence-one-year", "staff", "support-five-eight", "experience-big-data", "interface", "deposit"},
		"new-retail":              {"verified", "licence-two-years", "capital-million", "staff", "support-five-eight-online", "ecosystem", "joint-solution", "deposit"},
		"enterprise-applications": {"verified", "licence-two-years", "capital-million", "staff", "support-five-eight", "interface", "enterprise-software", "deposit"},
		"security":                {"verified", "licence-two-years", "capital-million", "staff", "support-always", "experience-security", "image", "deposit"},
		"solutions":               {"verified", "licence-two-years", "capital-million", "staff", "support-five-eight", "interface", "vertical", "engineer", "reference-customer", "deposit"},
		"iot":                     {"verified", "staff", "on-host-cloud", "reference-customer", "deposit"},
		"devops":                  {"verified", "licence-two-years", "capital-million", "support-five-eight-online", "ecosystem", "deposit"},
		"retail-link":             {"verified", "licence-over-one-year", "capital-over-million", "staff-four", "support-five-eight-online", "business-account", "clean-record", "deposit"},
	} {
		var got []string
		for _, c := range p.ConditionsFor(category) {
			got = append(got, c.ID)
		}
		assert.Equal(t, want, got, category)
	}
	assert.Len(t, p.Categories, 12)
}

func TestCheck_SaysWhy(t *testing.T) {
	p, err := market.Load("kubesphere", now)
	require.NoError(t, err)
	staff := market.Test{Field: "company.staff", AtMost: "10"}
	offer := market.Test{Field: "product.offer", In: []string{"free", "open-source"}}
	for _, tc := range []struct {
		name string
		test market.Test
		said map[string]any
		want market.Outcome
		why  string
		miss []string
	}{
		{"number", staff, map[string]any{"company.staff": 11}, market.Fails, "company.staff is 11, expected at most 10", nil},
		{"nothing said", staff, nil, market.Unknown, "company.staff is not given", []string{"company.staff"}},
		{"no number", staff, map[string]any{"company.staff": "many"}, market.Unknown, "company.staff: expected a number", []string{"company.staff"}},
		{"a huge number", staff, map[string]any{"company.staff": "1e999999999"}, market.Unknown, "company.staff: expected a number of at most 30 digits", []string{"company.staff"}},
		{"text", offer, map[string]any{"product.offer": "commercial"}, market.Fails, `product.offer is "commercial", expected one of free, open-source`, nil},
		{
			"text that is not known", offer,
			map[string]any{"product.offer": "gift"},
			market.Unknown,
			`product.offer: "gift" is not known, expected one of commercial, free, open-source`,
			[]string{"product.offer"},
		},
		{
			"all: one fails, another is unknown",
			market.Test{All: []market.Test{offer, staff}},
			map[string]any{"company.staff": 11},
			market.Fails,
			"company.staff is 11, expected at most 10", nil,
		},
		{
			"all: one is unknown",
			market.Test{All: []market.Test{offer, staff}},
			map[string]any{"company.staff": 1},
			market.Unknown, "product.offer is not given",
			[]string{"product.offer"},
		},
		{
			"any: one holds, another is unknown",
			market.Test{Any: []market.Test{offer, staff}},
			map[string]any{"company.staff": 10},
			market.Holds,
			"company.staff is 10", nil,
		},
		{
			"any: none holds",
			market.Test{Any: []market.Test{offer, staff}},
			map[string]any{"company.staff": 11, "product.offer": "commercial"},
			market.Fails,
			`product.offer is "commercial", expected one of free, open-source or company.staff is 11, expected at most 10`, nil,
		},
		{"not", market.Test{Not: &staff}, map[string]any{"company.staff": 11}, market.Holds, "company.staff is 11, expected at most 10", nil},
		{"not, unknown", market.Test{Not: &staff}, nil, market.Unknown, "company.staff is not given", []string{"company.staff"}},
		{
			"list",
			market.Test{Field: "product.languages", Has: []string{"zh", "en"}},
			map[string]any{"product.languages": []any{"zh"}},
			market.Fails,
			"product.languages is [zh], expected all of zh, en", nil,
		},
		{
			"list, none of",
			market.Test{Field: "product.languages", HasNone: []string{"fr"}},
			map[string]any{"product.languages": []string{"zh"}},
			market.Holds,
			"product.languages is [zh]", nil,
		},
		{
			"date",
			market.Test{Field: "company.licensed", AtLeast: "1 year"},
			map[string]any{"company.licensed": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
			market.Fails,
			"company.licensed is 2026-01-01, expected at least 1 year ago", nil,
		},
		{
			"no date",
			market.Test{Field: "company.licensed", AtLeast: "1 year"},
			map[string]any{"company.licensed": "2026-02-30"},
			market.Unknown,
			"company.licensed: expected a date such as 2020-06-30",
			[]string{"company.licensed"},
		},
	} {
		got := p.Check(tc.test, profile(tc.said), now)
		assert.Equal(t, market.Result{Outcome: tc.want, Why: tc.why, Missing: tc.miss}, got, tc.name)
	}
}

// A day is that of the market, not that of the machine: 16:00 UTC is the next day in Beijing.
func TestCheck_CountsDaysWhereTheMarketIs(t *testing.T) {
	p, err := market.Load("kingsoft", now)
	require.NoError(t, err)
	test := market.Test{Field: "company.licensed", AtLeast: "1 year"}
	said := profile(map[string]any{"company.licensed": "2025-11-23"})
	before := time.Date(2026, 11, 22, 15, 59, 59, 0, time.UTC)
	assert.Equal(t, market.Fails, p.Check(test, said, before).Outcome)
	assert.Equal(t, market.Holds, p.Check(test, said, before.Add(time.Second)).Outcome)
}
