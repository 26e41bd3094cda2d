package report

import (
	"cmp"
	_ "embed" // the page
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"sources": sources, "pretty": pretty, "cut": cutOff, "name": outcomeName, "area": area,
	"join":   func(list []string) string { return strings.Join(list, ", ") },
	"moment": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
}).Parse(pageText))

// WriteHTML writes the report as one page that needs nothing else: no network, no script.
func (r *Report) WriteHTML(w io.Writer) error {
	rules, err := requirements.Load()
	if err != nil {
		return err
	}
	v := &pageView{Report: r, rules: rules}
	return page.Execute(w, v)
}

// pageView is what the page shows.
type pageView struct {
	*Report
	rules *requirements.Set
}

// pageRule is a requirement that was broken, with its checks.
type pageRule struct {
	ID, Rule, Why, Mend, Sources string
	Level                        requirements.Level
	Open                         string // that the published texts leave it open
	Cause                        string // the likely one, of the first check that has one
	Checks                       []Check
}

// Broken are the requirements whose checks decide the verdict, and Weak those that only warn.
func (v *pageView) Broken() []pageRule { return v.grouped(v.Failures()) }

// Weak are the requirements that warn.
func (v *pageView) Weak() []pageRule { return v.grouped(v.Warnings()) }

func (v *pageView) grouped(checks []Check) []pageRule {
	var all []pageRule
	at := map[string]int{}
	for _, c := range checks {
		n, known := at[c.Requirement]
		if !known {
			n = len(all)
			at[c.Requirement] = n
			p := pageRule{ID: c.Requirement, Level: c.Level, Rule: c.Rule, Why: c.Why, Mend: c.Mend, Sources: sources(c.Source)}
			if rule, ok := v.rules.Requirement(c.Requirement); ok {
				if a, ok := v.rules.Ambiguity(rule.Ambiguity); ok {
					p.Open = fmt.Sprintf("The published texts leave this open: %s Taken is “%s”. %s", a.Question, a.Taken, a.Because)
				}
			}
			all = append(all, p)
		}
		all[n].Checks = append(all[n].Checks, c)
		all[n].Cause = cmp.Or(all[n].Cause, c.Cause)
	}
	return all
}

// Tell is the verdict in one or two sentences.
func (v *pageView) Tell() string {
	rules := len(v.Broken())
	switch v.Verdict {
	case Conformant:
		text := "Nothing that the contract demands was found missing."
		if n := v.Counts[suite.Skip]; n > 0 {
			text += fmt.Sprintf(" %s not be carried out, so this says nothing about them: see “Skipped”.", plural(n, "check could", "checks could"))
		}
		if n := v.Counts[Warning]; n > 0 {
			text += fmt.Sprintf(" %s worth a look.", plural(n, "warning is", "warnings are"))
		}
		if n := v.Counts[KnownFailing]; n > 0 {
			text += fmt.Sprintf(" %s as they were known to.", plural(n, "check failed", "checks failed"))
		}
		return text
	case NotConformant:
		var parts []string
		if n := v.Counts[suite.Fail]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s, against %s of the contract", plural(n, "check failed", "checks failed"), plural(rules, "rule", "rules")))
		}
		if n := v.Counts[UnexpectedPass]; n > 0 {
			parts = append(parts, plural(n, "known failure is mended and has to be taken off its list", "known failures are mended and have to be taken off their list"))
		}
		text := strings.Join(parts, ", and ") + "."
		if n := v.Counts[suite.Skip]; n > 0 {
			text += fmt.Sprintf(" %s not be carried out.", plural(n, "more check could", "more checks could"))
		}
		return text
	default:
		if v.Problem != "" {
			return v.Problem
		}
		return "Something could not be judged, so that there is no verdict. This says nothing about the ISV."
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Headline is the verdict in a few words.
func (v *pageView) Headline() string {
	return map[Verdict]string{Conformant: "Conformant", NotConformant: "Not conformant", Error: "Not judged"}[v.Verdict]
}

// Tiles are the counts.
func (v *pageView) Tiles() []pageTile {
	var tiles []pageTile
	for _, o := range []Outcome{suite.Pass, suite.Fail, UnexpectedPass, Warning, KnownFailing, suite.Error, suite.Skip, suite.NotApplicable} {
		n := v.Counts[o]
		if n == 0 && (o == KnownFailing || o == UnexpectedPass || o == suite.Error) {
			continue
		}
		tiles = append(tiles, pageTile{o, n})
	}
	return tiles
}

type pageTile struct {
	Outcome Outcome
	Count   int
}

func outcomeName(o Outcome) string {
	return map[Outcome]string{
		suite.Pass: "passed", suite.Fail: "failed", UnexpectedPass: "passed, though known to fail", Warning: "warnings", KnownFailing: "known to fail",
		suite.Error: "not judged", suite.Skip: "skipped", suite.NotApplicable: "not applicable",
	}[o]
}

// Others are the checks with an outcome and their reasons.
func (v *pageView) Others(o Outcome) []Check {
	return v.pick(func(c Check) bool { return c.Outcome == o })
}

// Reasons are the checks with an outcome, together where the reason is the same.
func (v *pageView) Reasons(o Outcome) []reason { return reasons(v.Others(o)) }

// Judged are the areas of which something applies.
func (v *pageView) Judged() []Area {
	judged, _ := applicable(v.Areas())
	return judged
}

// NothingApplies names the areas of which nothing applies.
func (v *pageView) NothingApplies() (names []string) {
	_, rest := applicable(v.Areas())
	for _, a := range rest {
		names = append(names, a.Name)
	}
	return names
}

// Duration is how long it took.
func (v *pageView) Duration() string {
	return (time.Duration(v.DurationMS) * time.Millisecond).Round(100 * time.Millisecond).String()
}

// Partial says that the run was not the whole suite.
func (v *pageView) Partial() string {
	if v.NotSelected == 0 {
		return ""
	}
	return fmt.Sprintf("Only %d of %d checks were selected for this run, so that it is no verdict on the whole.", len(v.Checks), len(v.Checks)+v.NotSelected)
}

// pretty indents JSON and leaves everything else. What was cut off is no JSON any more.
func pretty(body string) string {
	var v json.RawMessage
	if json.Unmarshal([]byte(body), &v) != nil {
		return body
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if enc.Encode(v) != nil {
		return body
	}
	return strings.TrimSpace(b.String())
}

// cutOff tells how much of a body is not shown.
func cutOff(s Side) string {
	if len(s.Body) == 0 || s.Bytes <= mostShown {
		return ""
	}
	return fmt.Sprintf("the beginning of %d bytes", s.Bytes)
}

// mostShown is how much of a body the suite keeps.
const mostShown = 8 << 10

// Passed are those that passed.
func (a Area) Passed() int { return a.Counts[suite.Pass] }

// Failed are those that decide.
func (a Area) Failed() int { return a.Counts[suite.Fail] + a.Counts[UnexpectedPass] }

// Warned are the warnings.
func (a Area) Warned() int { return a.Counts[Warning] }

// Rest are all others.
func (a Area) Rest() int {
	n := 0
	for _, count := range a.Counts {
		n += count
	}
	return n - a.Passed() - a.Failed() - a.Warned()
}
