package readiness

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/sandbox/market"
)

// maxReport is the most bytes of a conformance report that are read. One of all checks has about a hundredth of it.
const maxReport = 16 << 20

// Report is the report of the conformance runner.
type Report struct {
	report.Report
	// Partial says why a report does not speak for the whole service although its verdict is good: checks that were left out on request, or
	// that failed as they were said to.
	Partial []string
}

// ReadReport reads the report that the conformance runner wrote with --json. Its verdict is derived anew from its checks, so that a report
// that says more than its checks do is not taken.
func ReadReport(r io.Reader) (*Report, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxReport+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxReport {
		return nil, fmt.Errorf("it is larger than %d MiB, expected the report of isv-conformance run --json", maxReport>>20)
	}
	parsed, err := report.Parse(text)
	if err != nil {
		return nil, err
	}
	read := Report{Report: *parsed}
	if read.NotSelected > 0 {
		read.Partial = append(read.Partial, fmt.Sprintf("%s of the suite left out; run all of them", count(read.NotSelected, "check")))
	}
	if read.StartedAt.IsZero() {
		return nil, errors.New("it does not say when it was made (startedAt), expected what isv-conformance run --json wrote")
	}
	if read.Verdict == report.Error {
		return &read, nil
	}
	if len(read.Checks) == 0 {
		return nil, errors.New("it has no checks, so nothing was judged")
	}
	said := read.Verdict
	if read.Judge(); read.Verdict != said {
		return nil, fmt.Errorf("it says %s, but its checks come to %s; expected it as isv-conformance wrote it", said, read.Verdict)
	}
	if n := read.Counts[report.KnownFailing]; n > 0 {
		read.Partial = append(read.Partial, fmt.Sprintf("%s failed, as it was said before; mend what fails", count(n, "check")))
	}
	return &read, nil
}

// ReportFacts are what of a conformance report counts here.
type ReportFacts struct {
	Verdict  report.Verdict `json:"verdict"`
	Target   string         `json:"target"`
	Judged   string         `json:"judged"` // day, in the market's time zone
	Charging []string       `json:"charging"`
	Passed   int            `json:"passed"`
	Failed   int            `json:"failed"` // on a MUST
	report   *Report
}

// factsOf takes what counts out of a report. A report of the future is one whose clock, or ours, is wrong.
func factsOf(r *Report, p *market.Policy, at time.Time) (*ReportFacts, error) {
	if r == nil {
		return nil, nil
	}
	judged, today := market.DateOf(r.StartedAt, p.Location()), market.DateOf(at, p.Location())
	if judged > today {
		return nil, fmt.Errorf("the conformance report is of %s, after the day for which it is judged, %s; expected a report that is there by then", judged, today)
	}
	return &ReportFacts{
		Verdict: r.Verdict, Target: r.Target, Judged: string(judged), Charging: append([]string{}, r.Charging...), Passed: r.Counts[suite.Pass],
		Failed: len(r.Failures()), report: r,
	}, nil
}

func (f *ReportFacts) answer(field string) (any, bool) {
	if f == nil {
		return nil, false
	}
	switch field {
	case "conformance.verdict":
		if len(f.report.Partial) > 0 && f.Verdict == report.Conformant {
			return string(report.NotConformant), true // not every case is green
		}
		return string(f.Verdict), true
	case "conformance.judged":
		return f.Judged, true
	case "conformance.charging":
		return f.Charging, true
	}
	return nil, false
}

// problems are the rules that are broken, or why nothing was judged.
func (f *ReportFacts) problems() []string {
	if f == nil {
		return nil
	}
	if f.report.Problem != "" {
		return []string{f.report.Problem}
	}
	all := slices.Clone(f.report.Partial)
	for _, c := range f.report.Failures() {
		all = append(all, fmt.Sprintf("%s %s: %s", c.Requirement, c.Level, c.Title))
	}
	return all
}
