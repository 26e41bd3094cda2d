package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

const width = 110

// WriteText writes the report for people: what is wrong first, then warnings, then what could not be judged, then the counts and the
// verdict.
func (r *Report) WriteText(w io.Writer) error { return r.writeText(w, false) }

// WriteColours is WriteText for a terminal that shows colours.
func (r *Report) WriteColours(w io.Writer) error { return r.writeText(w, true) }

func (r *Report) writeText(w io.Writer, colours bool) error {
	rules, err := requirements.Load()
	if err != nil {
		return err
	}
	var b strings.Builder
	t := &text{b: &b, rules: rules, colours: colours}
	fmt.Fprintf(&b, "Target    %s\n", Clean(strings.Join(append([]string{r.Target}, r.Replicas...), " ")))
	if r.Build != "" {
		fmt.Fprintf(&b, "Build     %s\n", Clean(r.Build))
	}
	fmt.Fprintf(&b, "Judged    charging %s%s, suite %s, contract %s, seed %d, %d checks in %v\n", strings.Join(r.Charging, ", "), with(r.With), r.SuiteVersion,
		r.ContractVersion, r.Seed, len(r.Checks), (time.Duration(r.DurationMS) * time.Millisecond).Round(100*time.Millisecond))
	if r.Level == LevelShould {
		fmt.Fprintf(&b, "          SHOULD counts as much as MUST\n")
	}
	if len(r.Readings) > 0 {
		fmt.Fprintf(&b, "          read as %s\n", strings.Join(r.Readings, ", "))
	}
	if r.Problem != "" {
		t.heading("PROBLEM", red)
		t.item("", r.Problem)
	}
	t.failed("NOT AS THE CONTRACT SAYS", red, r.Failures())
	t.passedUnexpectedly(r.pick(func(c Check) bool { return c.Outcome == UnexpectedPass }))
	t.failed("WARNINGS (these do not change the verdict)", yellow, r.Warnings())
	t.others("KNOWN TO FAIL, AND DID", r.pick(func(c Check) bool { return c.Outcome == KnownFailing }))
	t.others("COULD NOT BE JUDGED", r.pick(func(c Check) bool { return c.Status == suite.Error }))
	t.others("SKIPPED", r.pick(func(c Check) bool { return c.Status == suite.Skip }))
	t.areas(r.Areas())
	if failed := append(r.Failures(), r.Warnings()...); len(failed) > 0 {
		again := fmt.Sprintf("with --json REPORT, isv-conformance replay REPORT %s sends it again", failed[0].ID)
		if failed[0].Story != "" {
			again = "isv-conformance chaos --story FILE tells its story again"
		}
		fmt.Fprintf(&b, "\nTo go on: isv-conformance explain %s tells more; %s.\n", failed[0].ID, again)
	}
	fmt.Fprintf(&b, "\n%s\n", r.countsText())
	fmt.Fprintf(&b, "Verdict: %s\n", t.paint(map[Verdict]string{Conformant: green, NotConformant: red, Error: yellow}[r.Verdict], r.verdictText()))
	_, err = io.WriteString(w, b.String())
	return err
}

// The colours, as terminals know them.
const (
	bold   = "1"
	red    = "1;31"
	green  = "1;32"
	yellow = "1;33"
)

func (t *text) paint(colour, s string) string {
	if !t.colours {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

func with(capabilities []string) string {
	if len(capabilities) == 0 {
		return ""
	}
	return ", with " + strings.Join(capabilities, ", ")
}

// countsText gives the numbers; those that are usually 0 only where they are not.
func (r *Report) countsText() string {
	text := fmt.Sprintf("%d passed, %d failed, %d warnings, %d skipped, %d not applicable, %d errors", r.Counts[suite.Pass], r.Counts[suite.Fail],
		r.Counts[Warning], r.Counts[suite.Skip], r.Counts[suite.NotApplicable], r.Counts[suite.Error])
	for _, more := range []struct {
		n    int
		what string
	}{{r.Counts[KnownFailing], "known to fail"}, {r.Counts[UnexpectedPass], "passed although known to fail"}, {r.NotSelected, "not selected"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	return text
}

func (r *Report) verdictText() string {
	text := r.wholeVerdict()
	if r.NotSelected > 0 {
		text += fmt.Sprintf(" (of the %d checks that were selected, out of %d)", len(r.Checks), len(r.Checks)+r.NotSelected)
	}
	return text
}

func (r *Report) wholeVerdict() string {
	switch r.Verdict {
	case Conformant:
		return "conformant"
	case NotConformant:
		return "NOT conformant"
	default:
		if r.Counts[suite.Pass] == 0 && r.Counts[suite.Error] == 0 {
			return "none: no check could be carried out to its end"
		}
		return "none: something could not be judged"
	}
}

type text struct {
	b       *strings.Builder
	rules   *requirements.Set
	colours bool
}

func (t *text) heading(title, colour string) { fmt.Fprintf(t.b, "\n%s\n", t.paint(colour, title)) }

// failed writes checks that failed, with everything one needs to mend it. The rule is explained once, with its first check.
func (t *text) failed(title, colour string, checks []Check) {
	if len(checks) == 0 {
		return
	}
	t.heading(title, colour)
	explained := map[string]bool{}
	for _, c := range checks {
		rule, _ := t.rules.Requirement(c.Requirement)
		fmt.Fprintf(t.b, "\n%s %s  %s\n", c.Requirement, c.Level, t.paint(bold, c.ID))
		t.item("rule", rule.Text)
		if !explained[c.Requirement] {
			t.item("from", strings.Join(rule.Source, ", "))
		}
		for _, m := range c.Messages {
			t.item("seen", m)
		}
		for _, a := range c.shown() {
			t.item("sent", a.sent())
			t.item("came", a.came())
		}
		if c.Contested != "" {
			t.item("note", c.Contested+".")
		}
		if c.Cause != "" {
			t.item("cause", c.Cause)
		}
		if !explained[c.Requirement] {
			t.item("why", rule.Why)
			t.item("mend", rule.Mend)
			if a, ok := t.rules.Ambiguity(rule.Ambiguity); ok {
				t.item("note", fmt.Sprintf("the published texts leave this open: %s Taken: %s.", a.Question, a.Taken))
			}
			explained[c.Requirement] = true
		}
		if c.Curl != "" && Clean(c.Curl) == c.Curl {
			fmt.Fprintf(t.b, "  %-5s %s\n", "curl", c.Curl) // on one line, to be copied
		}
	}
}

func (t *text) item(label, s string) {
	s = Clean(s)
	const indent = 8
	lines := wrap(s, width-indent)
	for i, line := range lines {
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(t.b, "  %-5s %s\n", label, line)
	}
}

// passedUnexpectedly names known failures that are mended.
func (t *text) passedUnexpectedly(checks []Check) {
	if len(checks) == 0 {
		return
	}
	t.heading("KNOWN TO FAIL, BUT PASSED (take them off the list of known failures)", red)
	for _, c := range checks {
		t.item("", c.ID)
	}
}

// longID is an id in a message: every check makes instances of its own, so that only the id tells otherwise equal reasons apart.
var longID = regexp.MustCompile(`\b[0-9A-Za-z-]{20,}\b`)

// others writes checks without a judgement, together where the reason is the same.
func (t *text) others(title string, checks []Check) {
	if len(checks) == 0 {
		return
	}
	t.heading(title, bold)
	for _, r := range reasons(checks) {
		shown := strings.Join(r.IDs, ", ")
		if len(r.IDs) > 4 {
			shown = fmt.Sprintf("%s and %d more", strings.Join(r.IDs[:3], ", "), len(r.IDs)-3)
		}
		t.item("", shown)
		t.item("", "    "+r.Text)
	}
}

// reason is why some checks have no judgement.
type reason struct {
	Text string
	IDs  []string // of the checks
}

// reasons puts checks together where the reason is the same.
func reasons(checks []Check) (all []reason) {
	at := map[string]int{}
	for _, c := range checks {
		text := longID.ReplaceAllString(strings.Join(c.Messages, "; "), "…")
		n, known := at[text]
		if !known {
			n = len(all)
			at[text] = n
			all = append(all, reason{Text: text})
		}
		all[n].IDs = append(all[n].IDs, c.ID)
	}
	return all
}

// areas writes a line per area with its counts. Those of which nothing applies stand together at the end.
func (t *text) areas(areas []Area) {
	t.heading("CHECKS", bold)
	judged, rest := applicable(areas)
	longest := 0
	for _, a := range judged {
		longest = max(longest, len(a.Name))
	}
	for _, a := range judged {
		var parts []string
		for _, o := range []Outcome{suite.Pass, suite.Fail, UnexpectedPass, Warning, KnownFailing, suite.Error, suite.Skip, suite.NotApplicable} {
			if n := a.Counts[o]; n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", n, o))
			}
		}
		fmt.Fprintf(t.b, "  %-*s  %s\n", longest, a.Name, strings.Join(parts, ", "))
	}
	if len(rest) > 0 {
		names := make([]string, len(rest))
		for i, a := range rest {
			names[i] = a.Name
		}
		for _, line := range wrap("not sold so, not offered or not named for this run: "+strings.Join(names, ", "), width) {
			fmt.Fprintf(t.b, "  %s\n", line)
		}
	}
}

// applicable parts the areas of which something applies to the ISV from those of which nothing does.
func applicable(areas []Area) (judged, rest []Area) {
	for _, a := range areas {
		if len(a.Counts) == 1 && a.Counts[suite.NotApplicable] > 0 {
			rest = append(rest, a)
		} else {
			judged = append(judged, a)
		}
	}
	return judged, rest
}

// Clean takes out what moves the cursor of a terminal, or paints on it: part of a report was written by the ISV.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// wrap breaks text at blanks; leading blanks are kept on every line.
func wrap(s string, most int) []string {
	trimmed := strings.TrimLeft(s, " ")
	lead := s[:len(s)-len(trimmed)]
	var lines []string
	line := ""
	for _, word := range strings.Fields(trimmed) {
		if line != "" && len([]rune(lead+line))+1+len([]rune(word)) > most {
			lines = append(lines, lead+line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, lead+line)
}
