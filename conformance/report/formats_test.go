package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

var update = flag.Bool("update", false, "write the examples in testdata anew from example.json")

func formats(r *report.Report) map[string]func(io.Writer) error {
	return map[string]func(io.Writer) error{"json": r.WriteJSON, "txt": r.WriteText, "xml": r.WriteJUnit, "html": r.WriteHTML, "sarif": r.WriteSARIF}
}

func written(t testing.TB, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, write(&b))
	return b.String()
}

func example(t testing.TB) *report.Report {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "example.json"))
	require.NoError(t, err)
	r, err := report.Parse(text)
	require.NoError(t, err)
	return r
}

// The report of one mutant in each format is what the README shows. What is read and written again stays the same.
func TestFormats_AreAsShown(t *testing.T) {
	t.Parallel()
	r := example(t)
	for extension, write := range formats(r) {
		name := filepath.Join("testdata", "example."+extension)
		got := written(t, write)
		if *update {
			require.NoError(t, os.WriteFile(name, []byte(got), 0o600))
		}
		want, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, string(want), got, "%s: go test ./conformance/report -update writes it anew", name)
	}
}

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(report.Schema()))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("report.schema.json", doc))
	s, err := c.Compile("report.schema.json")
	require.NoError(t, err)
	return s
}

func requireValid(t testing.TB, text string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	require.NoError(t, schema(t).Validate(doc))
}

func TestSchema_FitsReports(t *testing.T) {
	t.Parallel()
	requireValid(t, written(t, example(t).WriteJSON))
	requireValid(t, written(t, odd().WriteJSON))
	empty := &report.Report{Target: "http://x/", SuiteVersion: "1", Level: report.LevelMust, Charging: []string{}, With: []string{}, Checks: []report.Check{}, Problem: "nobody there"}
	empty.Judge()
	requireValid(t, written(t, empty.WriteJSON))
}

func TestSchema_RefusesWhatIsNoReport(t *testing.T) {
	t.Parallel()
	text := written(t, example(t).WriteJSON)
	for _, change := range [][2]string{
		{`"verdict": "not-conformant"`, `"verdict": "good"`},
		{`"outcome": "pass"`, `"outcome": "fine"`},
		{`"seed": "1"`, `"seed": 1`},
		{`"level": "must"`, `"levels": "must"`},
		{`"from": "marketplace"`, `"from": "me"`},
	} {
		require.Contains(t, text, change[0])
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(text, change[0], change[1], 1)))
		require.NoError(t, err)
		assert.Error(t, schema(t).Validate(doc), change[1])
	}
}

// odd is a report with every outcome, and with text that could break a format.
func odd() *report.Report {
	const nasty = "<script>alert(1)</script> ]]> & \"quotes\" 'and' \x00\x1b[31m \u2028 实例 `tick` --> {{.}}"
	attempt := report.NewAttempt(suite.Attempt{
		Method: "POST", URL: "http://isv.example/p?signature=AB&timestamp=1", RequestBody: []byte(`{"a":"` + nasty), RequestSize: 20000,
		Status: 200, AnswerBody: []byte("\xff\xfe" + nasty), AnswerSize: 30,
	})
	lost := report.NewAttempt(suite.Attempt{Method: "POST", URL: "http://isv.example/p", Err: "timeout"})
	asked := report.NewAttempt(suite.Attempt{Asked: true, Method: "GET", URL: "/order", Status: 401, Note: "APIG.0301 " + nasty})
	r := &report.Report{
		Target: "http://isv.example/saasproduce", SuiteVersion: "0", ContractVersion: "2", Level: report.LevelMust, Charging: []string{"period"}, With: []string{"kit"},
		Readings: []string{"TIMESTAMP-UNIT=seconds"}, NotSelected: 3, Seed: 1 << 63, Build: nasty, Replicas: []string{"http://isv.example/2"},
	}
	add := func(id string, level requirements.Level, status suite.Status, change func(*report.Check)) {
		c := report.Check{
			ID: id, Requirement: "NEW-3", Level: level, Status: status, Title: nasty, Rule: nasty, Source: []string{"guide-cn", "no-such-source"},
			Messages: []string{nasty, "second"}, Attempts: []report.Attempt{attempt, lost, asked}, AttemptsLeft: 2, DurationMS: 1500,
		}
		change(&c)
		r.Checks = append(r.Checks, c)
	}
	same := func(*report.Check) {}
	add("a/passed", requirements.Must, suite.Pass, same)
	add("a/failed", requirements.Must, suite.Fail, func(c *report.Check) { c.Cause, c.Why, c.Mend, c.Curl = nasty, nasty, nasty, "U='x'; call" })
	add("a/warned", requirements.Should, suite.Fail, same)
	add("b/contested", requirements.Must, suite.Fail, func(c *report.Check) { c.Contested = "it rests on another reading" })
	add("b/known", requirements.Must, suite.Fail, func(c *report.Check) { c.Known = true })
	add("b/mended", requirements.Must, suite.Pass, func(c *report.Check) { c.Known = true })
	add("b/skipped", requirements.Must, suite.Skip, same)
	add("c/error", requirements.Must, suite.Error, func(c *report.Check) { c.Attempts = []report.Attempt{} })
	add("c/not-applicable", requirements.May, suite.NotApplicable, func(c *report.Check) { c.Messages = []string{} })
	r.Judge()
	return r
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	var doc struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Tests int    `xml:"tests,attr"`
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Type    string `xml:"type,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
				Out string `xml:"system-out"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal([]byte(written(t, odd().WriteJUnit)), &doc))
	assert.Equal(t, []int{9, 2, 1, 3}, []int{doc.Tests, doc.Failures, doc.Errors, doc.Skipped})
	require.Len(t, doc.Suites, 3)
	assert.Equal(t, "a", doc.Suites[0].Name)
	failed := doc.Suites[0].Cases[1]
	assert.Equal(t, "a/failed", failed.Name)
	require.NotNil(t, failed.Failure)
	assert.Equal(t, "NEW-3", failed.Failure.Type)
	for _, want := range []string{"alert(1)", "sent", "came", "no answer (timeout)", "curl   U='x'; call", "Chinese SaaS access guide"} {
		assert.Contains(t, failed.Failure.Text, want)
	}
	assert.Contains(t, doc.Suites[0].Cases[2].Out, "WARNING")

	empty := &report.Report{Problem: "nobody there"}
	empty.Judge()
	text := written(t, empty.WriteJUnit)
	assert.Contains(t, text, `errors="1"`, "a run that could not begin is no success")
	assert.Contains(t, text, "nobody there")
}

func TestSARIF(t *testing.T) {
	t.Parallel()
	var doc struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct {
				RuleID       string
				RuleIndex    int
				Level        string
				Message      struct{ Text string }
				Suppressions []any
				WebRequest   struct{ Target string }
				Locations    []struct {
					LogicalLocations []struct{ FullyQualifiedName string }
				}
			}
			Invocations []struct {
				ExecutionSuccessful        bool
				ToolExecutionNotifications []struct{ Message struct{ Text string } }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(written(t, odd().WriteSARIF)), &doc))
	assert.Equal(t, "2.1.0", doc.Version)
	require.Len(t, doc.Runs, 1)
	run := doc.Runs[0]
	levels := map[string]string{}
	for _, r := range run.Results {
		assert.Equal(t, r.RuleID, run.Tool.Driver.Rules[r.RuleIndex].ID)
		assert.NotEmpty(t, r.Message.Text)
		assert.Equal(t, "http://isv.example/p", r.WebRequest.Target, "the last call of the marketplace")
		levels[r.Locations[0].LogicalLocations[0].FullyQualifiedName] = r.Level
		assert.Equal(t, r.Locations[0].LogicalLocations[0].FullyQualifiedName == "b/known", len(r.Suppressions) > 0)
	}
	assert.Equal(t, map[string]string{"a/failed": "error", "a/warned": "warning", "b/contested": "warning", "b/known": "error", "b/mended": "error"}, levels)
	require.Len(t, run.Invocations, 1)
	assert.True(t, run.Invocations[0].ExecutionSuccessful)
	require.Len(t, run.Invocations[0].ToolExecutionNotifications, 1)
	assert.Contains(t, run.Invocations[0].ToolExecutionNotifications[0].Message.Text, "c/error")
}

// sarifSchema is that of OASIS; testdata/sarif/README.md tells where it is from.
func sarifSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/sarif/sarif-schema-2.1.0.json")
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("sarif.json", doc))
	s, err := c.Compile("sarif.json")
	require.NoError(t, err)
	return s
}

func TestSARIF_FitsItsSchema(t *testing.T) {
	t.Parallel()
	s := sarifSchema(t)
	empty := &report.Report{Target: "http://x/", Problem: "nobody there"}
	empty.Judge()
	for name, r := range map[string]*report.Report{"example": example(t), "odd": odd(), "empty": empty} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(written(t, r.WriteSARIF)))
		require.NoError(t, err)
		require.NoError(t, s.Validate(doc), name)
	}
	text := written(t, odd().WriteSARIF)
	for _, change := range [][2]string{
		{`"version": "2.1.0"`, `"version": "2.0.0"`},
		{`"level": "warning"`, `"level": "warn"`},
		{`"ruleIndex": 0`, `"ruleIndex": "0"`},
		{`"noResponseReceived": true`, `"noResponse": true`},
		{`"executionSuccessful": true`, `"successful": true`},
		{`"startTimeUtc": "0001-01-01T00:00:00Z"`, `"startTimeUtc": "yesterday"`},
	} {
		require.Contains(t, text, change[0])
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(text, change[0], change[1], 1)))
		require.NoError(t, err)
		assert.Error(t, s.Validate(doc), change[1])
	}
}

func TestHTML(t *testing.T) {
	t.Parallel()
	got := written(t, odd().WriteHTML)
	assert.NotContains(t, got, "<script", "what an ISV answers is text, not markup")
	assert.NotRegexp(t, regexp.MustCompile(`(?i)(src|href)="(https?:)?//`), got, "the page needs no network")
	assert.NotContains(t, got, "@import")
	for _, want := range []string{
		"<title>Not conformant", "1 check failed, against 1 rule of the contract", "1 known failure is mended", "Only 9 of 12 checks were selected",
		"&lt;script&gt;", "the beginning of 20000 bytes", "No answer (timeout)", "b/skipped", "c/error", "TIMESTAMP-UNIT=seconds",
	} {
		assert.Contains(t, got, want)
	}
	for verdict, change := range map[string]func(*report.Report){
		"<h1>Conformant</h1>": func(r *report.Report) { r.Checks = r.Checks[:1] },
		"<h1>Not judged</h1>": func(r *report.Report) { r.Checks = r.Checks[7:8] },
	} {
		r := odd()
		change(r)
		r.Judge()
		assert.Contains(t, written(t, r.WriteHTML), verdict)
	}
}

func TestText_Colours(t *testing.T) {
	t.Parallel()
	r := example(t)
	plain, coloured := written(t, r.WriteText), written(t, r.WriteColours)
	assert.NotContains(t, plain, "\x1b[")
	assert.Contains(t, coloured, "\x1b[1;31m")
	assert.Equal(t, plain, regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured, ""))

	// What the ISV sends must not move the cursor or paint.
	assert.NotContains(t, written(t, odd().WriteText), "\x1b[31m")
}

func TestJudge_Outcomes(t *testing.T) {
	t.Parallel()
	r := odd()
	for _, o := range report.Outcomes() {
		want := 1
		if o == report.Warning {
			want = 2
		}
		assert.Equal(t, want, r.Counts[o], o)
	}
	assert.Equal(t, report.NotConformant, r.Verdict)

	r.Level = report.LevelShould
	r.Judge()
	assert.Equal(t, 2, r.Counts[suite.Fail], "a SHOULD counts now")

	one := func(c report.Check, level string) report.Verdict {
		r := report.Report{Level: level, Checks: []report.Check{{Status: suite.Pass, Level: requirements.Must}, c}}
		r.Judge()
		return r.Verdict
	}
	assert.Equal(t, report.Conformant, one(report.Check{Status: suite.Fail, Level: requirements.Must, Known: true}, report.LevelMust))
	assert.Equal(t, report.NotConformant, one(report.Check{Status: suite.Pass, Level: requirements.May, Known: true}, report.LevelMust))
	assert.Equal(t, report.Conformant, one(report.Check{Status: suite.Fail, Level: requirements.Must, Contested: "x"}, report.LevelShould))
	assert.Equal(t, report.Conformant, one(report.Check{Status: suite.Fail, Level: requirements.May}, report.LevelShould))
	assert.Equal(t, report.NotConformant, one(report.Check{Status: suite.Fail, Level: requirements.Should}, report.LevelShould))
}

func TestParse_Refuses(t *testing.T) {
	t.Parallel()
	right := `{"verdict":"conformant","target":"http://x/","suiteVersion":"1","checks":[{"id":"a/b","outcome":"pass","laterField":1}]}`
	_, err := report.Parse([]byte(right))
	require.NoError(t, err)
	for want, text := range map[string]string{
		"no report in JSON":                     "<html>",
		`the verdict is "good"`:                 strings.Replace(right, "conformant", "good", 1),
		"target is missing":                     strings.Replace(right, "http://x/", "", 1),
		`the outcome "fine"`:                    strings.Replace(right, `"pass"`, `"fine"`, 1),
		"checks[0] has no id":                   strings.Replace(right, "a/b", "", 1),
		`the check "a/b" is in it twice`:        strings.Replace(right, "[{", `[{"id":"a/b","outcome":"pass"},{`, 1),
		`the field "colour" is not known`:       strings.Replace(right, `"laterField":1`, `"again":{"requests":[{"colour":1}]}`, 1),
		"request: body: json: cannot unmarshal": strings.Replace(right, `"laterField":1`, `"again":{"requests":[{"body":1}]}`, 1),
	} {
		_, err := report.Parse([]byte(text))
		assert.ErrorContains(t, err, want)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for id, want := range map[string][]string{
		"new-instance/repeat-gets-the-same-instance": {"NEW-3 MUST", "looks", "why", "mend", "Chinese SaaS access guide"},
		"NEW-3":          {"rule", "new-instance/repeat-gets-the-same-instance: A repeat", "ON-DEMAND-KEY"},
		"TIMESTAMP-UNIT": {"TIMESTAMP-UNIT=milliseconds", "<- taken", "SIG-5"},
	} {
		got := written(t, func(w io.Writer) error { return report.Explain(w, id) })
		for _, text := range want {
			assert.Contains(t, got, text, id)
		}
	}
	err := report.Explain(io.Discard, "ew-instance/repeat-gets-the-same")
	assert.ErrorContains(t, err, `nothing is called "ew-instance/repeat-gets-the-same", expected the id of a check`)
	assert.ErrorContains(t, err, "new-instance/repeat-gets-the-same-instance")
	for _, r := range allIDs(t) {
		assert.NotEmpty(t, written(t, func(w io.Writer) error { return report.Explain(w, r) }))
	}
}

func allIDs(t *testing.T) []string {
	t.Helper()
	rules, err := requirements.Load()
	require.NoError(t, err)
	var ids []string
	for _, c := range suite.All() {
		ids = append(ids, c.ID)
	}
	for _, r := range rules.Requirements {
		ids = append(ids, r.ID)
	}
	for _, a := range rules.Ambiguities {
		ids = append(ids, a.ID)
	}
	return ids
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"verdict":"conformant","target":"http://x/","suiteVersion":"1","checks":[{"id":"a/b","outcome":"fail","attempts":[{"from":"isv"}],"again":{"requests":[{"body":"x"}]}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := report.Parse(text)
		if err != nil {
			return
		}
		for _, write := range formats(r) {
			require.NoError(t, write(io.Discard))
		}
	})
}
