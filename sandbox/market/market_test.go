package market_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/market"
)

var now = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC) // noon in Beijing

func TestEmbedded_AllFive(t *testing.T) {
	assert.Equal(t, []string{"alibaba", "kingsoft", "koogallery", "kubesphere", "tencent"}, market.Names())
	for _, name := range market.Names() {
		p, err := market.Load(name, now)
		require.NoError(t, err, name)
		assert.Equal(t, name, p.Market)
		assert.Equal(t, "policies/"+name+".yaml", p.Document())
		for id, s := range p.Sources {
			assert.NotContains(t, strings.ToLower(s.Title), "spec/", id)
		}
		for _, category := range p.Categories {
			assert.NotEmpty(t, p.ConditionsFor(category.ID), category.ID)
			for _, field := range p.Asked(category.ID) {
				assert.NotEmpty(t, p.AllFields()[field].Kind, field)
			}
		}
	}
}

// Sources that nothing refers to, and papers that nobody hands in, are left from an edit.
func TestEmbedded_NothingIsLeftOver(t *testing.T) {
	for _, name := range market.Names() {
		text, err := os.ReadFile(filepath.Join("policies", name+".yaml"))
		require.NoError(t, err)
		p, err := market.Parse(name, text)
		require.NoError(t, err)
		for id := range p.Sources {
			assert.True(t, strings.Contains(string(text), "source: "+id), "%s: nothing refers to source %s", name, id)
		}
	}
}

// A change of rule is an edit of a document, so no Go code may know a market. Tests may.
func TestCode_KnowsNoMarket(t *testing.T) {
	var files []string
	require.NoError(t, filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return err
	}))
	require.Greater(t, len(files), 8)
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, word := range []string{"koogallery", "huawei", "alibaba", "aliyun", "tencent", "kingsoft", "kubesphere"} {
			assert.NotContains(t, strings.ToLower(string(text)), word, path)
		}
	}
}

func TestLoad_PicksTheEdition(t *testing.T) {
	old := strings.Replace(small, "effective: 2026-01-01", "effective: 2020-01-01\nuntil: 2020-12-31", 1)
	files := fstest.MapFS{"a.yaml": {Data: []byte(small)}, "b.yaml": {Data: []byte(old)}, "notes.txt": {Data: []byte("x")}}
	set, err := market.Embedded().With(files, ".")
	require.NoError(t, err)
	assert.Contains(t, set.Names(), "corner-shop")
	assert.NotContains(t, market.Names(), "corner-shop", "the embedded set stays as it is")
	for at, want := range map[string]market.Date{
		"2020-01-01 00:00:00": "2020-01-01", "2021-06-01 00:00:00": "2020-01-01",
		"2025-12-31 23:59:59": "2020-01-01", "2026-01-01 00:00:00": "2026-01-01",
	} {
		p, err := set.Load("corner-shop", beijing(t, at))
		require.NoError(t, err)
		assert.Equal(t, want, p.Effective, at)
	}
	_, err = set.Load("corner-shop", beijing(t, "2019-12-31 23:59:59"))
	assert.EqualError(t, err, "no policy of corner-shop was in force on 2019-12-31, the oldest that is known is effective from 2020-01-01")
	_, err = market.Load("nowhere", now)
	assert.EqualError(t, err, `there is no market "nowhere", expected one of alibaba, kingsoft, koogallery, kubesphere, tencent`)

	p := set.Editions("corner-shop")[0]
	assert.False(t, p.Lapsed(beijing(t, "2020-12-31 23:59:59")))
	assert.True(t, p.Lapsed(beijing(t, "2021-01-01 00:00:00")))
	assert.False(t, set.Editions("corner-shop")[1].Lapsed(now))

	_, err = market.Embedded().With(fstest.MapFS{}, ".")
	assert.ErrorContains(t, err, "there is no policy document")
	_, err = market.Embedded().With(fstest.MapFS{"bad.yaml": {Data: []byte("market: x\n")}}, ".")
	assert.ErrorContains(t, err, "bad.yaml")
}

// small is a whole document, as short as one can be.
const small = `market: corner-shop
name: The corner shop
effective: 2026-01-01
currency: CNY
timezone: Asia/Shanghai
calendar: china
sources:
  ours: {title: made up for a test, confidence: ours}
fields:
  shop.bell: {kind: yes-no, asks: "Does the door have a bell?", example: "true"}
categories:
  - {id: saas, name: SaaS, saas: true, says: SaaS., source: ours}
papers:
  - {id: receipt, name: Receipt, says: Of the bell., source: ours}
conditions:
  - id: bell
    says: The door has a bell.
    stage: entry
    needs: {field: shop.bell, is: true}
    paper: receipt
    next: Buy a bell.
    source: ours
onboarding:
  - {id: come-in, says: Come in., by: seller, opens: listing, source: ours}
deposit:
  neededFor: [listing]
  combine: sum
  amounts: [{id: key, says: For the key., amount: "10.00", source: ours}]
revenue:
  - {id: direct, name: Sold, says: Sold., source: ours}
fees:
  rates:
    - id: fee
      says: In two tiers.
      charged: [direct]
      tiers:
        - {from: "0.00", below: "100.00", rate: 20%}
        - {from: "100.00", rate: 12.5%}
      source: ours
  correction: {id: month, says: Corrected., first: lowest, at: next-month, source: ours}
  rounding: {id: cents, says: Half up., places: 2, mode: half-up, source: ours}
settlement: {}
refunds:
  - {id: none, says: Nothing comes back., after: none, source: ours}
failedDelivery:
  steps:
    - {id: first, says: Hidden., after: 2 hours, do: hide, scope: product, source: ours}
    - {id: second, says: Delisted., after: 1 day, do: delist, scope: seller, source: ours}
violations: []
exit: {unstated: Nobody leaves.}
`

func TestParse_TheSmallOne(t *testing.T) {
	p, err := market.Parse("small.yaml", []byte(small))
	require.NoError(t, err)
	r := p.Check(p.Conditions[0].Needs, profile(map[string]any{"shop.bell": true}), now)
	assert.Equal(t, market.Holds, r.Outcome)
	assert.Equal(t, "12.5%", p.Fees.Rates[0].Tiers[1].Rate.String())
	assert.Equal(t, []string{"shop.bell"}, p.Asked("saas"))
}

func TestParse_SaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct{ name, old, replacement, want string }{
		{"a rate", "rate: 12.5%", "rate: ten", `m.yaml:38: fees.rates.0.tiers.1.rate: is "ten", expected a percentage, such as 10%`},
		{"an amount without cents", `amount: "10.00"`, `amount: "10"`, `m.yaml:28: deposit.amounts.0.amount: is "10", expected an amount in quotes with two decimals, such as "30000.00"`},
		{"an amount that is no text", `amount: "10.00"`, `amount: 10.00`, `m.yaml:28: deposit.amounts.0.amount: is of type number, expected string`},
		{"a gap between tiers", `from: "100.00"`, `from: "100.01"`, `m.yaml:38: fees.rates.0.tiers.1.from: is 100.01, expected 100.00, where the tier before it ends`},
		{"tiers that do not begin at zero", `from: "0.00"`, `from: "1.00"`, `m.yaml:37: fees.rates.0.tiers.0.from: is 1.00, expected 0.00, where the tier before it ends`},
		{"a last tier with an end", `from: "100.00",`, `from: "100.00", below: "200.00",`, `m.yaml:38: fees.rates.0.tiers.1.below: is there or not, expected it in every tier but the last`},
		{"tiers without a correction", "  correction:", "  note: x\n  correctio:", `fees.correctio: is not known here`},
		{"a period", "after: 1 day", "after: 1 week", `m.yaml:48: failedDelivery.steps.1.after: is "1 week", expected a period, such as "7 working days"`},
		{"steps in disorder", "after: 1 day", "after: 1 hour", `m.yaml:48: failedDelivery.steps.1.after: is 1 hour, expected no less than the step before it, 2 hours`},
		{"steps in working days", "after: 1 day", "after: 1 working day", `m.yaml:48: failedDelivery.steps.1.after: is 1 working day, expected hours or days`},
		{"an unknown source", "next: Buy a bell.\n    source: ours", "next: Buy a bell.\n    source: hearsay", `conditions.0.source: "hearsay" is no source of this document, expected one of ours`},
		{"no source", "next: Buy a bell.\n    source: ours", "next: Buy a bell.", `m.yaml:16: conditions.0: lacks source, expected it`},
		{"an unknown paper", "paper: receipt", "paper: bill", `conditions.0.paper: "bill" is no paper of this document, expected one of receipt`},
		{"an unknown field", "needs: {field: shop.bell", "needs: {field: shop.whistle", `conditions.0.needs.field: "shop.whistle" is no field that a profile may have`},
		{"a comparison that does not suit", "needs: {field: shop.bell, is: true}", "needs: {field: shop.bell, atLeast: 2}", `conditions.0.needs: does not suit shop.bell, which is yes or no`},
		{"a number that is none", "needs: {field: shop.bell, is: true}", "needs: {field: company.staff, atLeast: many}", `conditions.0.needs: does not suit company.staff, a number`},
		{"an age that is none", "needs: {field: shop.bell, is: true}", "needs: {field: company.licensed, atLeast: 2}", `conditions.0.needs: does not suit company.licensed, a date`},
		{"an age in working days", "needs: {field: shop.bell, is: true}", "needs: {field: company.licensed, atLeast: 2 working days}", `conditions.0.needs: does not suit company.licensed, a date`},
		{"a text that it cannot be", "needs: {field: shop.bell, is: true}", "needs: {field: company.kind, is: club}", `conditions.0.needs: compares company.kind with "club", which it cannot be, expected one of enterprise, individual`},
		{"two comparisons", "is: true}", "is: true, in: [a]}", `conditions.0.needs: has not one of the forms`},
		{"no comparison", "shop.bell, is: true}", "shop.bell}", `conditions.0.needs: has not one of the forms`},
		{"an unknown name", "calendar: china", "calendar: china\ncolour: red", `m.yaml:7: colour: is not known here, expected a name of policy.schema.json`},
		{"something missing", "papers:\n  - {id: receipt, name: Receipt, says: Of the bell., source: ours}\n", "", `lacks papers, expected it`},
		{"a stage", "stage: entry", "stage: door", `m.yaml:18: conditions.0.stage: is "door", expected one of entry, listing, withdrawal`},
		{"a zone", "Asia/Shanghai", "Local", `m.yaml:5: timezone: "Local" is not known`},
		{"a calendar", "calendar: china", "calendar: moon", `m.yaml:6: calendar: "moon" is not known, expected one of china`},
		{"a day", "effective: 2026-01-01", "effective: 2026-02-30", `m.yaml:3: effective: "2026-02-30" is no day of the calendar`},
		{"an end before the beginning", "effective: 2026-01-01", "effective: 2026-01-01\nuntil: 2025-12-31", `until: is 2025-12-31, expected a day not before effective`},
		{"the same id twice", "categories:\n", "categories:\n  - {id: saas, name: S, says: S., source: ours}\n", `categories.1.id: "saas" is there twice, expected each id once`},
		{"a category without a fee", "      charged: [direct]", "      charged: [direct]\n      categories: [other]", `"saas" has no fee, expected it in fees.rates, or in fees.unstated`},
		{"a key twice", "currency: CNY", "currency: CNY\ncurrency: EUR", `currency: is there twice, expected it once`},
		{"an alias", "says: Of the bell.", "says: &x Of the bell.", ""},
		{"an alias that is used", "name: Receipt, says: Of the bell.", "name: &x Receipt, says: *x", `papers.0.says: is an alias of something else, expected it in full`},
		{"a common field declared again", "  shop.bell:", "  company.staff: {kind: text, asks: \"How many?\"}\n  shop.bell:", `fields.company.staff: is a field of every document, expected another name`},
		{"no YAML", "market: corner-shop", "market: [", `m.yaml: is no YAML`},
		{"two documents", "exit: {unstated: Nobody leaves.}\n", "exit: {unstated: Nobody leaves.}\n---\na: b\n", `goes on after the first document`},
		{"a refund for a category twice", "refunds:\n", "refunds:\n  - {id: more, says: More., after: none, source: ours}\n", `refunds.1.categories: "saas" has a rule already`},
		{"a promotion of nothing", "settlement: {}", "promotions: [{id: p, says: P., source: ours}]\nsettlement: {}", `promotions.0: frees neither a time nor a revenue`},
	} {
		require.Contains(t, small, tc.old, tc.name)
		_, err := market.Parse("m.yaml", []byte(strings.Replace(small, tc.old, tc.replacement, 1)))
		if tc.want == "" {
			assert.NoError(t, err, tc.name)
			continue
		}
		assert.ErrorContains(t, err, tc.want, tc.name)
	}
	_, err := market.Parse("m.yaml", nil)
	assert.EqualError(t, err, "m.yaml: is empty, expected a policy document")
	_, err = market.Parse("m.yaml", make([]byte, 2<<20))
	assert.ErrorContains(t, err, "expected at most 1048576")
	_, err = market.Parse("m.yaml", []byte(strings.Repeat("[", 5000)+strings.Repeat("]", 5000)))
	assert.Error(t, err)
	_, err = market.Parse("m.yaml", []byte("- 1\n"))
	assert.EqualError(t, err, "m.yaml: is of type array, expected object")
	var all *market.DocumentError
	_, err = market.Parse("m.yaml", []byte(strings.NewReplacer("12.5%", "ten", "1 day", "soon").Replace(small)))
	require.ErrorAs(t, err, &all)
	assert.Len(t, all.Problems, 2, "all at once")
}

func TestConsequences(t *testing.T) {
	p, err := market.Load("tencent", now)
	require.NoError(t, err)
	since := beijing(t, "2026-11-02 10:00:00")
	products := []string{"a", "b", "c"}
	for _, tc := range []struct {
		at   time.Duration
		want map[string]string
		next time.Duration
	}{
		{-time.Second, map[string]string{}, 0},
		{0, map[string]string{"a": "hide at-once"}, 7 * 24 * time.Hour},
		{7*24*time.Hour - time.Second, map[string]string{"a": "hide at-once"}, 7 * 24 * time.Hour},
		{7 * 24 * time.Hour, map[string]string{"a": "hide at-once", "b": "hide seven-days", "c": "hide seven-days"}, 30 * 24 * time.Hour},
		{7*24*time.Hour + time.Second, map[string]string{"a": "hide at-once", "b": "hide seven-days", "c": "hide seven-days"}, 30 * 24 * time.Hour},
		{30*24*time.Hour - time.Second, map[string]string{"a": "hide at-once", "b": "hide seven-days", "c": "hide seven-days"}, 30 * 24 * time.Hour},
		{30 * 24 * time.Hour, map[string]string{"a": "delist thirty-days", "b": "delist thirty-days", "c": "delist thirty-days"}, -1},
		{31 * 24 * time.Hour, map[string]string{"a": "delist thirty-days", "b": "delist thirty-days", "c": "delist thirty-days"}, -1},
	} {
		got, next := p.Consequences([]market.Failure{{Product: "a", Since: since}}, products, since.Add(tc.at))
		words := map[string]string{}
		for product, c := range got {
			words[product] = c.Do + " " + c.Rule
			assert.Equal(t, "a", c.Product)
		}
		assert.Equal(t, tc.want, words, tc.at)
		if tc.next < 0 {
			assert.True(t, next.IsZero(), tc.at)
		} else {
			assert.True(t, next.Equal(since.Add(tc.next)), tc.at)
		}
	}
	// A newer failure of another product does not make the older one younger.
	got, _ := p.Consequences([]market.Failure{{"b", since.AddDate(0, 0, 6)}, {"a", since}}, products, since.AddDate(0, 0, 7))
	assert.Equal(t, "at-once", got["a"].Rule)
	assert.Equal(t, "at-once", got["b"].Rule)
	assert.Equal(t, "seven-days", got["c"].Rule)
	assert.True(t, p.Restores(market.ActHide))
	assert.True(t, p.Restores(market.ActDelist))
	small, err := market.Parse("small.yaml", []byte(small))
	require.NoError(t, err)
	assert.False(t, small.Restores(market.ActHide), "the document does not say so")
}

func TestDeadlines(t *testing.T) {
	for _, tc := range []struct{ market, id, from, until string }{
		{"koogallery", "reseller-request", "2026-11-20 10:00:00", "2026-11-25 10:00:00"},
		{"tencent", "work-begins", "2026-11-20 10:00:00", "2026-11-25 00:00:00"}, // a Friday: Monday and Tuesday
		{"tencent", "reachable", "2026-11-20 10:00:00", "2026-11-22 10:00:00"},
		{"tencent", "reachable-by-user", "2026-11-20 10:00:00", "2026-11-23 10:00:00"},
	} {
		p, err := market.Load(tc.market, now)
		require.NoError(t, err)
		until, ok := p.DeadlineOf(tc.id, beijing(t, tc.from))
		assert.True(t, ok, tc.id)
		assert.Equal(t, beijing(t, tc.until), until, tc.id)
		_, ok = p.DeadlineOf("nothing", now)
		assert.False(t, ok)
	}
}

// TestPolicies_Sanctions has what the violations of the documents cost.
func TestPolicies_Sanctions(t *testing.T) {
	p, err := market.Load("tencent", now)
	require.NoError(t, err)
	got := map[string]string{}
	for _, v := range p.Violations {
		var words []string
		for _, s := range v.Sanctions {
			word := s.Do
			if s.For != nil {
				word += " " + s.For.String()
			}
			if s.Amount != nil {
				word += " " + s.Amount.StringFixed(2)
			}
			words = append(words, word)
		}
		got[v.ID] = v.Level + ": " + strings.Join(words, ", ")
	}
	const expelled, fifteen = "severe: expel, ban, deduct-deposit 5000.00", "severe: hide-shop 15 days, no-new-products 15 days"
	assert.Equal(t, map[string]string{
		"general": "general: hide-content, delist-products", "offline-trade": expelled, "luring-buyers": expelled, "impersonation": expelled,
		"account-theft": expelled, "fraud": expelled, "fake-trades": fifteen, "malicious-reports": fifteen, "abuse": fifteen, "unreachable": fifteen,
		"dishonesty": "severe: hide-shop 30 days, no-new-products 30 days", "false-documents": "severe: ban, deduct-deposit 5000.00",
		"malicious-products": "severe: ban, deduct-deposit 5000.00", "other-cloud": "severe: hide-products, delist-products",
	}, got)
}

func TestPolicies_ProbesAndFailedOrders(t *testing.T) {
	p, err := market.Load("koogallery", now)
	require.NoError(t, err)
	require.NotNil(t, p.Probes)
	assert.Equal(t, 5, p.Probes.FailingDays)
	assert.Equal(t, 5, p.FailedOrders.MoreThan)
	assert.Equal(t, market.ActDelist, p.FailedOrders.Do)
	assert.False(t, *p.Exit.MayEnter)
}

// FuzzParse: a document of a stranger is an error or a policy, never a panic, and an error always names the document.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("market: &a [*a]"))
	f.Add([]byte("fees: {rounding: {places: .inf}}\n? [a]\n: b"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := market.Parse("fuzz.yaml", text)
		if err != nil {
			assert.Contains(t, err.Error(), "fuzz.yaml")
			return
		}
		for _, c := range p.Conditions {
			p.Check(c.Needs, profile(nil), now)
		}
		p.Consequences([]market.Failure{{"a", now}}, []string{"a"}, now.AddDate(0, 1, 0))
	})
}
