package readiness_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance/extension"
	"github.com/isvkit/isvkit/conformance/readiness"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
	"github.com/isvkit/isvkit/sandbox/market"
)

var today = time.Date(2026, 11, 22, 4, 0, 0, 0, time.UTC)

func policyOf(t testing.TB, name string) *market.Policy {
	t.Helper()
	p, err := market.Load(name, today)
	require.NoError(t, err)
	return p
}

// fair is a market that is only in this document. It has whatever a document can ask for.
const fair = `market: fair
name: Village Fair
effective: 2020-01-01
currency: EUR
timezone: Europe/Berlin
calendar: china
sources:
  rules: {title: Rules of the fair, confidence: stated}
fields:
  stall.metres: {kind: number, asks: "How long is the stall?", example: "3"}
categories:
  - {id: bread, name: Bread, says: Bread., source: rules}
  - {id: cheese, name: Cheese, says: Cheese., source: rules}
  - {id: wine, name: Wine, opens: announced, says: Wine., source: rules}
  - {id: honey, name: Honey, says: Honey., source: rules}
papers:
  - {id: hygiene, name: Certificate of hygiene, says: It shows that hands are clean., source: rules}
  - {id: trade-licence, name: Trade licence, when: {field: company.kind, is: enterprise}, says: It shows the trade., source: rules}
conditions:
  - {id: stall, says: The stall has at most 4 metres., stage: entry, needs: {field: stall.metres, atMost: 4}, next: Saw something off., source: rules}
  - {id: clean, says: Hands are clean., stage: entry, categories: [cheese], needs: {field: company.cleanRecord, is: true}, paper: hygiene, next: Wash them., source: rules}
  - {id: big, says: A company has 5 people., stage: entry, when: {field: company.kind, is: enterprise}, needs: {field: company.staff, atLeast: 5}, next: Hire., source: rules}
  - {id: paid, says: The deposit is paid., stage: listing, needs: {field: deposit.paid, is: true}, next: Pay., source: rules}
  - {id: judged, says: The service is conformant., stage: listing, categories: [honey], needs: {field: conformance.verdict, is: conformant}, next: Run the judge., source: rules}
  - {id: box, says: The package is right., stage: listing, categories: [honey], needs: {field: package.lint, is: clean}, next: Mend it., source: rules}
  - {id: bank, says: There is a bank account., stage: withdrawal, needs: {field: company.bankAccountVerified, is: true}, next: Open one., source: rules}
onboarding:
  - {id: ask, says: Ask the mayor., by: seller, opens: entry, source: rules}
  - {id: wash, says: Show clean hands., by: seller, needs: [hygiene], source: rules}
  - {id: company, says: Show the licence., by: seller, when: {field: company.kind, is: enterprise}, needs: [trade-licence], source: rules}
  - {id: deposit, says: Pay the deposit., by: seller, done: {field: deposit.paid, is: true}, source: rules}
  - {id: open, says: The fair opens., by: market, takes: {atLeast: 2 days, atMost: 5 days}, opens: listing, source: rules}
charges:
  - {id: sweeping, says: The street is swept., amount: "12.50", every: 1 year, before: listing, refundable: false, source: rules}
  - {id: big-stall, says: A long stall costs more., amount: "7.00", before: listing, when: {field: stall.metres, moreThan: 3}, refundable: true, source: rules}
deposit:
  neededFor: [listing]
  combine: sum
  amounts:
    - {id: food, says: 100 for food., amount: "100.00", categories: [bread, cheese, wine], source: rules}
    - {id: honey, says: 20.50 for honey., amount: "20.50", categories: [honey], source: rules}
    - {id: rumour, says: Somebody pays 5., amount: "5.00", unassigned: true, source: rules}
  waivers:
    - {id: school, says: Schools pay nothing., when: {field: product.offer, is: free}, source: rules}
    - {id: first-year, says: Who came in 2020 pays later., entered: {from: 2020-01-01, through: 2020-12-31}, for: 1 year, dueIn: 5 days, source: rules}
  return: {id: return, says: It comes back in the evening., after: exit, source: rules}
revenue: [{id: direct, name: Sold, says: Sold., source: rules}]
fees:
  rates:
    - {id: old, says: 1% once., through: 2020-12-31, categories: [bread, cheese, wine], charged: [direct], tiers: [{from: "0.00", rate: 1%}], source: rules}
    - {id: now, says: 2% now., from: 2021-01-01, categories: [bread, cheese, wine], charged: [direct], tiers: [{from: "0.00", rate: 2%}], source: rules}
  unstated: [{id: honey, says: Nobody knows for honey., categories: [honey], source: rules}]
  rounding: {id: rounding, says: To the cent., places: 2, mode: half-up, source: rules}
promotions:
  - {id: newcomers, says: Enterprises are free for a month., when: {field: company.kind, is: enterprise}, free: {for: 1 month}, source: rules}
settlement: {}
refunds: [{id: none, says: Nothing comes back., after: none, source: rules}]
failedDelivery: {unstated: Nothing is delivered.}
violations: []
exit: {unstated: One goes home.}
`

func fairPolicy(t testing.TB, edit ...string) (*market.Policy, *market.Set) {
	t.Helper()
	text := strings.NewReplacer(edit...).Replace(fair)
	p, err := market.Parse("fair.yaml", []byte(text))
	require.NoError(t, err)
	return p, market.Embedded().Add(p)
}

func atFair(t testing.TB, text string, categories ...string) readiness.Request {
	t.Helper()
	policy, set := fairPolicy(t)
	p, err := readiness.ParseProfile("isv.yaml", []byte(text), set)
	require.NoError(t, err)
	return readiness.Request{Policy: policy, Categories: categories, Profile: p, At: today}
}

func judged(t testing.TB, r readiness.Request) *readiness.Result {
	t.Helper()
	result, err := readiness.Judge(r)
	require.NoError(t, err)
	return result
}

func condition(t testing.TB, r *readiness.Result, id string) readiness.Condition {
	t.Helper()
	at := slices.IndexFunc(r.Conditions, func(c readiness.Condition) bool { return c.ID == id })
	require.GreaterOrEqual(t, at, 0, id)
	return r.Conditions[at]
}

const individual = "stall: { metres: 3 }\ncompany: { kind: individual, cleanRecord: true, bankAccountVerified: true }\ndeposit: { paid: true }\nproduct: { offer: commercial }\naccount: { entered: 2024-01-01 }\n"

// TestJudge_MarketOfADocumentAlone: a market that no code knows, with every outcome that a document can have.
func TestJudge_MarketOfADocumentAlone(t *testing.T) {
	t.Parallel()
	r := judged(t, atFair(t, individual, "bread"))
	assert.Equal(t, readiness.Ready, r.Verdict)
	assert.Equal(t, readiness.NotConcerned, condition(t, r, "big").Status)
	assert.Empty(t, r.Papers, "an individual who sells bread hands nothing in")
	assert.Equal(t, "Village Fair", r.MarketName)
	assert.False(t, slices.ContainsFunc(r.Conditions, func(c readiness.Condition) bool { return c.ID == "clean" || c.ID == "judged" }), "other categories")

	for _, try := range []struct {
		name, text, category string
		want                 readiness.Verdict
		id                   string
		status               readiness.Status
		why                  string
	}{
		{"four metres are allowed", strings.Replace(individual, "metres: 3", "metres: 4", 1), "bread", readiness.Ready, "stall", readiness.Holds, "stall.metres is 4"},
		{"five are not", strings.Replace(individual, "metres: 3", "metres: 5", 1), "bread", readiness.NotReady, "stall", readiness.Fails, "stall.metres is 5, expected at most 4"},
		{"not said", strings.Replace(individual, "metres: 3", "metres:", 1), "bread", readiness.Unknown, "stall", readiness.NotAnswered, "stall.metres is not given"},
		{"not said who sells", strings.Replace(individual, "kind: individual", "kind: ~", 1), "bread", readiness.NotReady, "big", readiness.NotAnswered, "it is open whether it concerns you"},
		{"not said, and it does not matter", strings.Replace(individual, "kind: individual", "staff: 5", 1) + "papers: [trade-licence]\n", "bread", readiness.Ready, "big", readiness.Holds, "company.staff is 5"},
		{"a paper is missing", individual, "cheese", readiness.NotReady, "clean", readiness.Holds, "company.cleanRecord is true"},
		{"a paper is there", individual + "markets: { fair: { papers: [hygiene] } }\n", "cheese", readiness.Ready, "clean", readiness.Holds, ""},
		{"announced", individual, "wine", readiness.NotReady, "open", readiness.Fails, "wine is announced and not open yet"},
		{"money cannot be taken out", strings.Replace(individual, "bankAccountVerified: true", "bankAccountVerified: false", 1), "bread", readiness.Ready, "bank", readiness.Fails, "is false"},
		{"no deposit", strings.Replace(individual, "paid: true", "paid: false", 1), "bread", readiness.NotReady, "paid", readiness.Fails, "deposit.paid is false"},
		{"a deposit that is not due", "product: { offer: free }\n" + strings.Replace(strings.Replace(individual, "product: { offer: commercial }\n", "", 1), "paid: true", "paid: false", 1), "bread", readiness.Ready, "paid", readiness.Holds, "no deposit is due now"},
		{"no report", individual, "honey", readiness.NotReady, "judged", readiness.Fails, "no conformance report is given"},
		{"no package", individual, "honey", readiness.NotReady, "box", readiness.Fails, "no extension package is given"},
		{"an answer of the market goes first", individual + "markets: { fair: { stall: { metres: 9 } } }\n", "bread", readiness.NotReady, "stall", readiness.Fails, "9"},
	} {
		r := judged(t, atFair(t, try.text, try.category))
		assert.Equal(t, try.want, r.Verdict, try.name)
		c := condition(t, r, try.id)
		assert.Equal(t, try.status, c.Status, try.name)
		assert.Contains(t, c.Why, try.why, try.name)
	}
	assert.Equal(t, []int{0, 1, 2}, []int{readiness.Ready.ExitCode(), readiness.NotReady.ExitCode(), readiness.Unknown.ExitCode()})
}

func TestJudge_RefusesWhatCannotBeJudged(t *testing.T) {
	t.Parallel()
	for want, categories := range map[string][]string{
		"no category is given, expected one or more of bread": nil,
		`"bred" is no category of fair; did you mean bread?`:  {"bred"},
		`"bread" is given twice`:                              {"bread", "bread"},
	} {
		_, err := readiness.Judge(atFair(t, individual, categories...))
		require.ErrorContains(t, err, want)
	}
}

// TestJudge_Costs adds deposits up over categories, or takes the highest, as the document says.
func TestJudge_Costs(t *testing.T) {
	t.Parallel()
	for _, try := range []struct {
		name, text string
		edit       []string
		categories []string
		want       string // id amount, …; total
	}{
		{"one category", individual, nil, []string{"bread"}, "food 100.00, sweeping 12.50; 112.50"},
		{"two add up", individual, nil, []string{"bread", "honey"}, "food 100.00, honey 20.50, sweeping 12.50; 133.00"},
		{"the same rule for two", individual, nil, []string{"bread", "cheese"}, "food 100.00, food 100.00, sweeping 12.50; 212.50"},
		{"the highest", individual, []string{"combine: sum", "combine: highest"}, []string{"honey", "bread"}, "food 100.00, sweeping 12.50; 112.50"},
		{"a charge for some", strings.Replace(individual, "metres: 3", "metres: 3.01", 1), nil, []string{"bread"}, "food 100.00, sweeping 12.50, big-stall 7.00; 119.50"},
		{"a charge for some, perhaps", strings.Replace(individual, "metres: 3", "metres:", 1), nil, []string{"bread"}, "food 100.00, sweeping 12.50, big-stall 7.00 maybe; 119.50"},
		{"waived", strings.Replace(individual, "commercial", "free", 1), nil, []string{"bread"}, "food 100.00 waived, sweeping 12.50; 12.50"},
		{"waived, perhaps", strings.Replace(individual, "offer: commercial", "offer:", 1), nil, []string{"bread"}, "food 100.00 maybe, sweeping 12.50; 112.50"},
		{"entered in time", strings.Replace(individual, "2024-01-01", "2020-12-31", 1), nil, []string{"bread"}, "food 100.00 waived, sweeping 12.50; 12.50"},
		{"entered a day late", strings.Replace(individual, "2024-01-01", "2021-01-01", 1), nil, []string{"bread"}, "food 100.00, sweeping 12.50; 112.50"},
		{"entered on the first day", strings.Replace(individual, "2024-01-01", "2020-01-01", 1), nil, []string{"bread"}, "food 100.00 waived, sweeping 12.50; 12.50"},
		{"entered a day early", strings.Replace(individual, "2024-01-01", "2019-12-31", 1), nil, []string{"bread"}, "food 100.00, sweeping 12.50; 112.50"},
	} {
		policy, set := fairPolicy(t, try.edit...)
		p, err := readiness.ParseProfile("isv.yaml", []byte(try.text), set)
		require.NoError(t, err)
		r := judged(t, readiness.Request{Policy: policy, Categories: try.categories, Profile: p, At: today})
		var items []string
		for _, c := range r.Costs.Items {
			item := c.ID + " " + c.Amount
			if c.Waived != "" {
				item += " waived"
			}
			if c.Maybe != "" {
				item += " maybe"
			}
			items = append(items, item)
		}
		assert.Equal(t, try.want, strings.Join(items, ", ")+"; "+r.Costs.Total, try.name)
	}
}

// TestJudge_CostsOfTheDocuments are those that the documents of the five markets publish.
func TestJudge_CostsOfTheDocuments(t *testing.T) {
	t.Parallel()
	for _, try := range []struct {
		market, categories, profile, want string
	}{
		{"alibaba", "api", "", "30000.00"},
		{"alibaba", "api,services", "", "60000.00"},
		{"alibaba", "api,services,retail-link", "", "110000.00"},
		{"alibaba", "retail-link", "", "50000.00"},
		{"tencent", "image", "", "1300.00"},
		{"tencent", "saas", "", "5300.00"},
		{"tencent", "image,saas", "", "5300.00"},
		{"kubesphere", "dev-tools", "product: { offer: commercial }\ncompany: { kind: enterprise, staff: 11 }", "5000.00"},
		{"kubesphere", "dev-tools", "product: { offer: commercial }\ncompany: { kind: enterprise, staff: 10 }", "0.00"},
		{"kubesphere", "dev-tools", "product: { offer: open-source }", "0.00"},
		{"kubesphere", "dev-tools,storage", "product: { offer: commercial }\ncompany: { kind: individual }", "5000.00"},
		{"koogallery", "saas", "", "0.00"},
		{"kingsoft", "basic-software", "", "0.00"},
	} {
		r := judged(t, readiness.Request{
			Policy: policyOf(t, try.market), Categories: strings.Split(try.categories, ","), Profile: profile(t, try.profile), At: today,
		})
		assert.Equal(t, try.want, r.Costs.Total, "%s %s %s", try.market, try.categories, try.profile)
		assert.Equal(t, policyOf(t, try.market).Deposit.Unstated, r.Costs.Unstated)
	}
}

func TestJudge_StepsInTheMarketsOrder(t *testing.T) {
	t.Parallel()
	shown := func(r *readiness.Result) []string {
		var all []string
		for _, s := range r.Steps {
			line := s.ID
			if s.Done {
				line += " done"
			}
			if s.Next {
				line += " next"
			}
			if len(s.Papers) > 0 {
				line += " papers " + strings.Join(s.Papers, ",")
			}
			if len(s.Conditions) > 0 {
				line += " until " + strings.Join(s.Conditions, ",")
			}
			all = append(all, line)
		}
		return all
	}
	text := strings.NewReplacer("metres: 3", "metres: 5", "paid: true", "paid: false").Replace(individual)
	r := judged(t, atFair(t, text, "cheese"))
	assert.Equal(t, []string{"ask next until stall", "wash papers hygiene", "deposit", "open until paid"}, shown(r))
	assert.Equal(t, "2 to 5 days", r.Steps[3].Takes)

	r = judged(t, atFair(t, text+"markets: { fair: { done: [ask, wash] } }\n", "cheese"))
	assert.Equal(t, []string{"ask done", "wash done", "deposit next until stall", "open until paid"}, shown(r), "what hinders a step that is taken hinders the next")

	r = judged(t, atFair(t, strings.Replace(individual, "individual", "enterprise, staff: 5", 1), "bread"))
	assert.Equal(t, []string{"ask next", "wash", "company papers trade-licence", "deposit done", "open"}, shown(r))

	r = judged(t, atFair(t, individual+"markets: { fair: { done: [ask, wash, open] } }\n", "bread"))
	assert.Equal(t, []string{"ask done", "wash done", "deposit done", "open done"}, shown(r))
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b))
	assert.Contains(t, b.String(), "Every step is done.")
}

func TestJudge_Fees(t *testing.T) {
	t.Parallel()
	ids := func(r *readiness.Result) []string {
		var all []string
		for _, f := range r.Fees {
			all = append(all, f.Kind+" "+f.ID)
		}
		return all
	}
	request := atFair(t, individual, "bread", "honey")
	assert.Equal(t, []string{"fee now", "unstated honey"}, ids(judged(t, request)))
	request.At = time.Date(2020, 12, 31, 12, 0, 0, 0, time.UTC)
	assert.Equal(t, []string{"fee old", "unstated honey"}, ids(judged(t, request)))
	for entered, want := range map[string][]string{
		"2026-10-23": {"fee now", "promotion newcomers"}, // free through today
		"2026-10-22": {"fee now"},
		"":           {"fee now", "promotion newcomers"}, // who enters today
	} {
		text := strings.NewReplacer("individual", "enterprise", "entered: 2024-01-01", "entered: "+entered).Replace(individual)
		r := judged(t, atFair(t, text, "bread"))
		assert.Equal(t, want, ids(r), entered)
		if entered != "2026-10-22" {
			through := map[string]string{"2026-10-23": "2026-11-22", "": "2026-12-21"}[entered]
			assert.Equal(t, through, r.Fees[1].Through)
		}
	}
}

// ---- the conformance report --------------------------------------------------------------------------------------------------

// written is a report as the runner writes it.
func written(t testing.TB, edit func(*report.Report)) []byte {
	t.Helper()
	r := &report.Report{
		Target: "https://isv.example.com/saasproduce", StartedAt: today.Add(-time.Hour), SuiteVersion: "1.0.0", ContractVersion: "1.0.0",
		Charging: []string{"period", "on-demand"}, Level: report.LevelMust,
		Checks: []report.Check{
			{ID: "new-instance/ready", Requirement: "NEW-1", Level: requirements.Must, Status: suite.Pass, Title: "An instance is made"},
			{ID: "new-instance/repeat", Requirement: "NEW-3", Level: requirements.Must, Status: suite.Pass, Title: "A repeat gets the same instance"},
		},
	}
	if edit != nil {
		edit(r)
	}
	r.Judge()
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	return b.Bytes()
}

func read(t testing.TB, text []byte) *readiness.Report {
	t.Helper()
	r, err := readiness.ReadReport(bytes.NewReader(text))
	require.NoError(t, err)
	return r
}

// TestJudge_ReportOfKooGallery: a SaaS listing there needs a verdict that is good, recent, whole, and of the modes that are sold.
func TestJudge_ReportOfKooGallery(t *testing.T) {
	t.Parallel()
	const sold = "product: { charging: [period, on-demand] }\n"
	daysAgo := func(n int) func(*report.Report) {
		return func(r *report.Report) { r.StartedAt = today.AddDate(0, 0, -n) }
	}
	for _, try := range []struct {
		name, profile string
		edit          func(*report.Report)
		fails         []string
		finding       string
	}{
		{"as it should be", sold, nil, nil, ""},
		{"89 days old", sold, daysAgo(89), nil, ""},
		{"90 days old", sold, daysAgo(90), nil, ""},
		{"91 days old", sold, daysAgo(91), []string{"conformance-recent"}, ""},
		{"a mode was not judged", sold, func(r *report.Report) { r.Charging = []string{"period"} }, []string{"conformance-on-demand"}, ""},
		{"more modes were judged", "product: { charging: [period] }\n", nil, nil, ""},
		{"another mode is sold", "product: { charging: [package, one-time] }\n", nil, []string{"conformance-one-time", "conformance-package"}, ""},
		{"a MUST is broken", sold, func(r *report.Report) { r.Checks[1].Status = suite.Fail }, []string{"conformance"}, "NEW-3 MUST: A repeat gets the same instance"},
		{"a SHOULD is broken", sold, func(r *report.Report) { r.Checks[1].Status, r.Checks[1].Level = suite.Fail, requirements.Should }, nil, ""},
		{"checks were left out", sold, func(r *report.Report) { r.NotSelected = 3 }, []string{"conformance"}, "3 checks of the suite left out"},
		{"a failure was said before", sold, func(r *report.Report) { r.Checks[1].Status, r.Checks[1].Known = suite.Fail, true }, []string{"conformance"}, "1 check failed, as it was said before"},
		{"nothing was judged", sold, func(r *report.Report) { r.Checks, r.Problem = nil, "no HTTP answer" }, []string{"conformance"}, "no HTTP answer"},
	} {
		r := judged(t, readiness.Request{
			Policy: policyOf(t, "koogallery"), Categories: []string{"saas"}, Profile: profile(t, try.profile), Report: read(t, written(t, try.edit)), At: today,
		})
		var fails []string
		for _, c := range r.Conditions {
			if c.Status == readiness.Fails {
				fails = append(fails, c.ID)
			}
		}
		assert.Equal(t, try.fails, fails, try.name)
		if try.finding != "" {
			require.NotEmpty(t, condition(t, r, "conformance").Findings, try.name)
			assert.Contains(t, condition(t, r, "conformance").Findings[0], try.finding, try.name)
		}
		assert.True(t, r.Papers[0].AtHand, "the report is the paper")
	}
	offline := judged(t, readiness.Request{Policy: policyOf(t, "koogallery"), Categories: []string{"license"}, Profile: profile(t, ""), At: today})
	assert.False(t, slices.ContainsFunc(offline.Conditions, func(c readiness.Condition) bool { return strings.HasPrefix(c.ID, "conformance") }))

	_, err := readiness.Judge(readiness.Request{
		Policy: policyOf(t, "koogallery"), Categories: []string{"saas"}, Profile: profile(t, ""), Report: read(t, written(t, daysAgo(-1))), At: today,
	})
	require.ErrorContains(t, err, "the conformance report is of 2026-11-23, after the day for which it is judged, 2026-11-22")
}

func TestReadReport_Refuses(t *testing.T) {
	t.Parallel()
	good := string(written(t, nil))
	failed := string(written(t, func(r *report.Report) { r.Checks[0].Status = suite.Fail }))
	for want, text := range map[string]string{
		"no report in JSON":                             "text",
		"the verdict is":                                "{}",
		"does not say when it was made":                 strings.Replace(good, `"startedAt": "2026`, `"startedAt": "0001-01-01T00:00:00Z", "x": "`, 1),
		"it has no checks":                              `{"verdict":"conformant","target":"x","suiteVersion":"1","startedAt":"2026-11-22T00:00:00Z","checks":[]}`,
		"says conformant, but its checks come to not-c": strings.Replace(failed, `"verdict": "not-conformant"`, `"verdict": "conformant"`, 1),
		"larger than 16 MiB":                            strings.Repeat(" ", 16<<20+1),
	} {
		_, err := readiness.ReadReport(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
}

func FuzzReadReport(f *testing.F) {
	f.Add(written(f, nil))
	f.Add([]byte(`{"verdict":"error","target":"x","suiteVersion":"1","startedAt":"2026-11-22T00:00:00Z","checks":null}`))
	policy, p := policyOf(f, "koogallery"), profile(f, "")
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := readiness.ReadReport(bytes.NewReader(text))
		if err != nil {
			return
		}
		if result, err := readiness.Judge(readiness.Request{Policy: policy, Categories: []string{"saas"}, Profile: p, Report: r, At: today}); err == nil {
			require.NoError(t, result.WriteText(&bytes.Buffer{}))
		}
	})
}

// ---- the extension package ---------------------------------------------------------------------------------------------------

func TestJudge_PackageOfKubeSphere(t *testing.T) {
	t.Parallel()
	p, err := extension.FromFS(os.DirFS("../../examples/readiness/extension"))
	require.NoError(t, err)
	found := p.Lint()
	require.Empty(t, found.Findings)
	request := readiness.Request{
		Policy: policyOf(t, "kubesphere"), Categories: []string{"dev-tools"}, Profile: profile(t, ""), Extension: &found, At: today,
	}
	r := judged(t, request)
	assert.Equal(t, readiness.Holds, condition(t, r, "package").Status)

	broken := found
	for range 7 {
		broken.Findings = append(broken.Findings, extension.Finding{Rule: "DOC-1", Level: requirements.Must, File: "README.md", Seen: "there is none"})
	}
	request.Extension = &broken
	r = judged(t, request)
	c := condition(t, r, "package")
	assert.Equal(t, readiness.Fails, c.Status)
	require.Len(t, c.Findings, 6)
	assert.Contains(t, c.Findings[0], "DOC-1 MUST README.md: there is none")
	assert.Equal(t, "and 2 more", c.Findings[5])

	advised := found
	advised.Findings = []extension.Finding{{Rule: "NAME-3", Level: requirements.Should, File: "extension.yaml", Line: 2, Field: "name", Seen: `is "a-b"`, Mend: "leave out -"}}
	request.Extension = &advised
	r = judged(t, request)
	assert.Equal(t, readiness.Holds, condition(t, r, "package").Status, "advice hinders nobody")
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b))
	assert.Contains(t, b.String(), `NAME-3 extension.yaml:2 name: is "a-b"; better: leave out -`)
}

// ---- all documents -----------------------------------------------------------------------------------------------------------

// TestJudge_EveryCategory: with no answers nothing is ready, with all examples everything is answered, and the result can be written.
func TestJudge_EveryCategory(t *testing.T) {
	t.Parallel()
	set := market.Embedded()
	for _, name := range set.Names() {
		policy := policyOf(t, name)
		for _, category := range policy.Categories {
			for _, filled := range []bool{false, true} {
				text := ""
				if filled {
					text = readiness.FilledTemplate(set, policy, []string{category.ID})
				}
				r := judged(t, readiness.Request{
					Policy: policy, Categories: []string{category.ID}, Profile: profile(t, text), Report: read(t, written(t, nil)), At: today,
				})
				at := name + " " + category.ID
				if filled {
					assert.Zero(t, r.Count(readiness.NotAnswered), at)
					assert.Empty(t, r.MissingPapers(), at)
				} else {
					assert.NotEqual(t, readiness.Ready, r.Verdict, at)
				}
				for _, c := range r.Conditions {
					assert.NotEmpty(t, c.Why, "%s %s", at, c.ID)
					assert.NotEmpty(t, c.Source.Title, "%s %s", at, c.ID)
				}
				var b bytes.Buffer
				require.NoError(t, r.WriteText(&b))
				for line := range strings.Lines(b.String()) {
					assert.LessOrEqual(t, len([]rune(line)), 112, line)
				}
				asJSON, err := json.Marshal(r)
				require.NoError(t, err)
				assert.NotContains(t, string(asJSON), ":null", at)
			}
		}
	}
}

// TestCode_KnowsNoMarket: what a market asks stands in its document.
func TestCode_KnowsNoMarket(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	read := 0
	for _, file := range append(files, "../cmd/isv-conformance/readiness.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		read++
		for _, name := range market.Names() {
			assert.NotContains(t, strings.ToLower(string(text)), name, file)
		}
	}
	assert.Greater(t, read, 4)
}
