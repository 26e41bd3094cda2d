package report_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

func check(level requirements.Level, status suite.Status) report.Check {
	return report.Check{ID: "new-instance/x", Requirement: "NEW-3", Level: level, Status: status, Title: "x"}
}

func TestReport_Judge(t *testing.T) {
	t.Parallel()
	must := func(s suite.Status) report.Check { return check(requirements.Must, s) }
	for name, tc := range map[string]struct {
		checks []report.Check
		want   report.Verdict
		exit   int
	}{
		"all passed":                   {[]report.Check{must(suite.Pass), must(suite.NotApplicable)}, report.Conformant, 0},
		"a MUST failed":                {[]report.Check{must(suite.Pass), must(suite.Fail)}, report.NotConformant, 1},
		"a SHOULD failed":              {[]report.Check{must(suite.Pass), check(requirements.Should, suite.Fail)}, report.Conformant, 0},
		"a MAY failed":                 {[]report.Check{must(suite.Pass), check(requirements.May, suite.Fail)}, report.Conformant, 0},
		"something could not be told":  {[]report.Check{must(suite.Pass), must(suite.Error)}, report.Error, 2},
		"a failure beats an error":     {[]report.Check{must(suite.Error), must(suite.Fail)}, report.NotConformant, 1},
		"a skip decides nothing":       {[]report.Check{must(suite.Pass), must(suite.Skip)}, report.Conformant, 0},
		"nothing passed":               {[]report.Check{must(suite.Skip), must(suite.NotApplicable)}, report.Error, 2},
		"nothing was run":              {nil, report.Error, 2},
		"only warnings, nothing right": {[]report.Check{check(requirements.Should, suite.Fail)}, report.Error, 2},
	} {
		r := report.Report{Checks: tc.checks}
		r.Judge()
		assert.Equal(t, tc.want, r.Verdict, name)
		assert.Equal(t, tc.exit, r.Verdict.ExitCode(), name)
		assert.Len(t, r.Counts, 8, name)
	}
}

func TestReport_WriteText(t *testing.T) {
	t.Parallel()
	r := report.Report{
		Target: "http://isv.example/saasproduce", StartedAt: time.Now(), DurationMS: 1234, SuiteVersion: "1", ContractVersion: "2",
		Charging: []string{"period"}, With: []string{"upgrade"},
		Checks: []report.Check{
			{ID: "signing/a", Requirement: "SIG-1", Level: requirements.Must, Status: suite.Pass},
			{ID: "signing/replay-is-refused", Requirement: "SIG-7", Level: requirements.Should, Status: suite.Fail, Messages: []string{"queryInstance again: expected a refusal, got 000000"}},
			{
				ID: "new-instance/repeat", Requirement: "NEW-3", Level: requirements.Must, Status: suite.Fail,
				Messages: []string{"newInstance: expected i-1, got i-2", "newInstance: expected i-1, got i-3"}, Curl: "U='http://isv.example'; call '{}'",
			},
			{ID: "new-instance/other", Requirement: "NEW-3", Level: requirements.Must, Status: suite.Fail, Messages: []string{"one more"}},
			{ID: "usage/a", Requirement: "USE-1", Level: requirements.Must, Status: suite.Skip, Messages: []string{"needs an instance"}},
			{ID: "usage/b", Requirement: "USE-2", Level: requirements.Must, Status: suite.Skip, Messages: []string{"needs an instance"}},
		},
	}
	r.Judge()
	var b bytes.Buffer
	require.NoError(t, r.WriteText(&b))
	got := b.String()
	for _, want := range []string{
		"Target    http://isv.example/saasproduce",
		"charging period, with upgrade",
		"NEW-3 MUST  new-instance/repeat",
		"seen  newInstance: expected i-1, got i-3",
		"why   A call is repeated",
		"mend  Store the instance",
		"curl  U='http://isv.example'; call '{}'",
		"SIG-7 SHOULD  signing/replay-is-refused",
		"usage/a, usage/b",
		"1 passed, 2 failed, 1 warnings, 2 skipped, 0 not applicable, 0 errors",
		"Verdict: NOT conformant",
	} {
		assert.Contains(t, got, want)
	}
	assert.Less(t, bytes.Index(b.Bytes(), []byte("NEW-3")), bytes.Index(b.Bytes(), []byte("SIG-7")), "failures come before warnings")
	assert.Contains(t, got, "\n  new-instance  2 fail\n", "the widest name makes the column")
	assert.Equal(t, 1, bytes.Count(b.Bytes(), []byte("why   A call is repeated")), "a rule is explained once")
}

// What does not concern the ISV is told in one place, so that what does is not lost among rows of zeros; what a conformant ISV was not
// judged by is told at the top.
func TestReport_TellsWhatWasNotJudged(t *testing.T) {
	t.Parallel()
	const why = "no usage was pushed during the run"
	r := report.Report{
		Target: "http://isv.example/saasproduce", Charging: []string{"on-demand"},
		Checks: []report.Check{
			{ID: "signing/a", Requirement: "SIG-1", Level: requirements.Must, Status: suite.Pass},
			{ID: "signing/b", Requirement: "SIG-1", Level: requirements.Must, Status: suite.NotApplicable},
			{ID: "usage/a", Requirement: "USE-1", Level: requirements.Must, Status: suite.Skip, Messages: []string{why}},
			{ID: "usage/b", Requirement: "USE-2", Level: requirements.Must, Status: suite.Skip, Messages: []string{why}},
			{ID: "kit/a", Requirement: "KIT-1", Level: requirements.Must, Status: suite.NotApplicable},
			{ID: "v1-refresh-instance/a", Requirement: "V1-1", Level: requirements.Must, Status: suite.NotApplicable},
		},
	}
	r.Judge()
	var text, page bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	require.NoError(t, r.WriteHTML(&page))
	assert.Contains(t, text.String(), "  signing  1 pass, 1 not-applicable\n  usage    2 skip\n  not sold so, not offered or not named for this run: kit, v1-refresh-instance\n")
	assert.Contains(t, page.String(), "<td>signing</td>")
	assert.NotContains(t, page.String(), "<td>kit</td>")
	assert.Contains(t, page.String(), "was not named for this run: kit, v1-refresh-instance.")
	assert.Contains(t, page.String(), "2 checks could not be carried out, so this says nothing about them: see “Skipped”.")
	assert.Equal(t, 1, bytes.Count(page.Bytes(), []byte(why)), "once for both")

	r.Checks[0].Status, r.Checks[0].Cause = suite.Fail, "the ISV has another base key"
	r.Judge()
	page.Reset()
	require.NoError(t, r.WriteHTML(&page))
	top, _, _ := strings.Cut(page.String(), "<h2>By area</h2>")
	assert.Contains(t, top, "1 check failed, against 1 rule of the contract. 2 more checks could not be carried out.")
	assert.Contains(t, top, "Likely cause:</span> the ISV has another base key", "where whoever decides reads it")
}
