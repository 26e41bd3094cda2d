package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance/suite"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Skipped *junitProblem `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as CI systems read it: a suite for each area, a case for each check. A warning passes, with its text as
// output; a known failure is skipped.
func (r *Report) WriteJUnit(w io.Writer) error {
	seconds := func(ms int64) string { return fmt.Sprintf("%.3f", float64(ms)/1000) }
	all := junitSuites{Name: "isv-conformance " + r.Target, Time: seconds(r.DurationMS)}
	for _, a := range r.Areas() {
		s := junitSuite{
			Name: a.Name, Timestamp: r.StartedAt.Format(time.RFC3339),
			Properties: []junitProperty{
				{"target", r.Target},
				{"verdict", string(r.Verdict)},
				{"suiteVersion", r.SuiteVersion},
				{"contractVersion", r.ContractVersion},
				{"charging", strings.Join(r.Charging, ",")},
				{"with", strings.Join(r.With, ",")},
				{"seed", fmt.Sprint(r.Seed)},
			},
		}
		var ms int64
		for _, c := range r.Checks {
			if area(c.ID) != a.Name {
				continue
			}
			one := junitCase{Class: a.Name, Name: c.ID, Time: seconds(c.DurationMS)}
			problem := &junitProblem{Message: firstLine(c), Type: c.Requirement, Text: c.plain()}
			switch c.Outcome {
			case suite.Fail, UnexpectedPass:
				one.Failure = problem
				s.Failures++
			case suite.Error:
				one.Error = problem
				s.Errors++
			case suite.Skip, suite.NotApplicable, KnownFailing:
				one.Skipped = &junitProblem{Message: string(c.Outcome) + ": " + firstLine(c)}
				s.Skipped++
			case Warning:
				one.Out = "WARNING " + c.plain()
			}
			s.Tests++
			ms += c.DurationMS
			s.Cases = append(s.Cases, one)
		}
		s.Time = seconds(ms)
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Skipped += s.Skipped
		all.Suites = append(all.Suites, s)
	}
	if r.Problem != "" && len(r.Checks) == 0 { // so that nobody takes an empty file for a success
		problem := &junitProblem{Message: r.Problem, Text: r.Problem}
		all.Suites = append(all.Suites, junitSuite{
			Name: "run", Tests: 1, Errors: 1, Time: "0.000", Timestamp: r.StartedAt.Format(time.RFC3339),
			Cases: []junitCase{{Class: "run", Name: "could not judge", Time: "0.000", Error: problem}},
		})
		all.Tests, all.Errors = 1, 1
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func firstLine(c Check) string {
	if c.Outcome == UnexpectedPass {
		return "it passed although it is on the list of known failures; take it off"
	}
	if len(c.Messages) == 0 {
		return c.Title
	}
	return c.Messages[0]
}

// plain is everything about a check that did not pass, in lines.
func (c *Check) plain() string {
	var b strings.Builder
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-6s %s\n", label, text)
		}
	}
	fmt.Fprintf(&b, "%s %s %s\n", c.Requirement, c.Level, c.ID)
	line("rule", c.Rule)
	line("from", sources(c.Source))
	for _, m := range c.Messages {
		line("seen", m)
	}
	line("cause", c.Cause)
	line("why", c.Why)
	line("mend", c.Mend)
	line("note", c.Contested)
	for _, a := range c.shown() {
		line("sent", a.sent())
		line("came", a.came())
	}
	line("curl", c.Curl)
	return b.String()
}

// shown are the attempts that a short report tells: the last calls of the marketplace, because a check ends with what it is about, and
// what the ISV asked in vain.
func (c *Check) shown() []Attempt {
	const most = 3
	var found []Attempt
	for _, a := range c.Attempts {
		if a.From == FromMarketplace || a.Refused != "" {
			found = append(found, a)
		}
	}
	return found[max(0, len(found)-most):]
}

func (a *Attempt) sent() string {
	by := ""
	if a.From == FromISV {
		by = "by the ISV: "
	}
	where := a.Request.URL
	if u, err := url.Parse(where); err == nil && u.Host != "" {
		u.Scheme, u.Host, u.User = "", "", nil
		where = u.String()
	}
	return strings.TrimSpace(by + a.Request.Method + " " + where + " " + short(a.Request.Body))
}

func (a *Attempt) came() string {
	if a.Error != "" && a.Answer.Status == 0 {
		return "no answer (" + a.Error + ")"
	}
	text := fmt.Sprintf("%d %s", a.Answer.Status, short(a.Answer.Body))
	if a.Refused != "" {
		text += " (" + a.Refused + ")"
	}
	if a.Error != "" {
		text += " (cut off: " + a.Error + ")"
	}
	return text
}

func short(body string) string {
	const most = 300
	runes := []rune(strings.Join(strings.Fields(body), " "))
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(runes)
}
