package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/conformance/internal/chaos"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
	"github.com/isvkit/isvkit/sandbox/mistyped"
)

// Explain tells people about a check, a requirement or an entry of the register of ambiguities, by its id.
func Explain(w io.Writer, id string) error {
	rules, err := requirements.Load()
	if err != nil {
		return err
	}
	var b strings.Builder
	t := &text{b: &b, rules: rules}
	checks := suite.All()
	if n := slices.IndexFunc(checks, func(c suite.Check) bool { return c.ID == id }); n >= 0 {
		t.check(checks[n])
	} else if rule, ok := rules.Requirement(id); ok {
		t.requirement(rule)
		t.list("checks", checksOf(checks, func(c suite.Check) bool { return c.Requirement == id }))
	} else if c, ok := ofTheAdversary(id); ok {
		t.check(c)
	} else if a, ok := rules.Ambiguity(id); ok {
		t.ambiguity(a)
		var resting []string
		for _, r := range rules.Requirements {
			if r.Ambiguity == id {
				resting = append(resting, r.ID+" "+r.Text)
			}
		}
		t.list("rules", resting)
	} else {
		return fmt.Errorf("nothing is called %q, expected the id of a check such as %s, of a requirement such as %s, or of an ambiguity such as %s%s",
			id, checks[0].ID, rules.Requirements[0].ID, rules.Ambiguities[0].ID, near(id, checks, rules))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// ofTheAdversary is a rule of the adversary as a check. What it finds can break other requirements, too; the report names the one.
func ofTheAdversary(id string) (suite.Check, bool) {
	for _, r := range chaos.Rules() {
		if id == chaos.Area+r.Name {
			return suite.Check{ID: id, Requirement: r.Requirement, Title: r.Title + "; --chaos tells the story"}, true
		}
	}
	return suite.Check{}, false
}

func checksOf(checks []suite.Check, want func(suite.Check) bool) []string {
	var found []string
	for _, c := range checks {
		if want(c) {
			found = append(found, c.ID+": "+c.Title)
		}
	}
	return found
}

// near suggests ids that have the text in them.
func near(id string, checks []suite.Check, rules *requirements.Set) string {
	var all, found []string
	for _, c := range checks {
		all = append(all, c.ID)
	}
	for _, r := range rules.Requirements {
		all = append(all, r.ID)
	}
	for _, a := range rules.Ambiguities {
		all = append(all, a.ID)
	}
	for _, known := range all {
		if id != "" && strings.Contains(strings.ToLower(known), strings.ToLower(id)) && len(found) < 5 {
			found = append(found, known)
		}
	}
	if len(found) == 0 {
		if one := mistyped.Name(id, all, mistyped.Third); one != "" {
			return "; did you mean " + one + "?"
		}
		return ""
	}
	return "; did you mean " + strings.Join(found, " or ") + "?"
}

func (t *text) check(c suite.Check) {
	rule, _ := t.rules.Requirement(c.Requirement)
	fmt.Fprintf(t.b, "%s\n", c.ID)
	t.item("looks", c.Title+".")
	if c.Charging != nil {
		t.item("for", "the charging modes "+strings.Join(c.Charging, ", "))
	}
	for _, needed := range []string{c.Capability, c.Besides} {
		if needed != "" {
			t.item("with", "the capability "+needed)
		}
	}
	fmt.Fprintln(t.b)
	t.requirement(rule)
}

func (t *text) requirement(r requirements.Requirement) {
	fmt.Fprintf(t.b, "%s %s (%s)\n", r.ID, r.Level, r.About)
	t.item("rule", r.Text)
	t.item("from", fmt.Sprintf("%s (%s)", sources(r.Source), r.Confidence))
	t.item("why", r.Why)
	t.item("mend", r.Mend)
	if a, ok := t.rules.Ambiguity(r.Ambiguity); ok {
		fmt.Fprintln(t.b)
		t.ambiguity(a)
	}
}

func (t *text) ambiguity(a requirements.Ambiguity) {
	fmt.Fprintf(t.b, "%s, which the published texts leave open\n", a.ID)
	t.item("ask", a.Question)
	for _, r := range a.Readings {
		mark := ""
		if r.ID == a.Taken {
			mark = " <- taken"
		}
		t.item("read", fmt.Sprintf("%s=%s: %s (%s)%s", a.ID, r.ID, r.Text, strings.Join(r.Sources, ", "), mark))
	}
	t.item("why", a.Because)
}

func (t *text) list(label string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(t.b, "\n%s\n", label)
	for _, l := range lines {
		t.item("", l)
	}
}
