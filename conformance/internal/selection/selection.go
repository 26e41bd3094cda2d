// Package selection decides, before anything runs, which checks a run has, which of them apply, and what their failures count for.
//
// It is pure: from the list of checks, the rules and what was asked for, to a plan.
package selection

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
	"github.com/isvkit/isvkit/sandbox/mistyped"
)

// Wish is what was asked for. The zero value runs everything that applies.
type Wish struct {
	// What the ISV declared, and the run was given; which checks apply depends on it.
	Charging, With, Replicas []string
	UsageWait                time.Duration

	Run          []string // patterns; empty: all
	Skip         []string // patterns
	KnownFailing []string // patterns of checks that must fail
	Only         []string // ids, of a run before; nil: all. What is not known any more is ignored.
	Readings     []string // ambiguity=reading
}

// Entry is one check of a run.
type Entry struct {
	Check     suite.Check
	Rule      requirements.Requirement
	Mode      string // the charging mode to run it in
	Reason    string // why it does not apply; empty: it does
	Known     bool   // it is known to fail, and must
	Contested string // why its failure is a warning whatever its level; empty: it is not
}

// Plan is a run before it runs.
type Plan struct {
	Entries     []Entry
	NotSelected int               // checks that Run, Skip or Only left out
	Readings    map[string]string // by ambiguity, those that differ from the ones taken
}

// Make decides. The error says which part of the wish makes no sense.
func Make(checks []suite.Check, rules *requirements.Set, wish Wish) (*Plan, error) {
	plan := &Plan{}
	var err error
	if plan.Readings, err = readings(rules, wish.Readings); err != nil {
		return nil, err
	}
	for _, list := range []struct {
		what     string
		patterns []string
	}{{"--run", wish.Run}, {"--skip", wish.Skip}, {"--known-failing", wish.KnownFailing}} {
		for _, p := range list.patterns {
			if err := matchesSomething(checks, p); err != nil {
				return nil, fmt.Errorf("%s: %w", list.what, err)
			}
		}
	}
	env := &suite.Env{Charging: wish.Charging, With: wish.With, Replicas: wish.Replicas, UsageWait: wish.UsageWait}
	rests := map[string]bool{}
	for _, check := range checks {
		rule, ok := rules.Requirement(check.Requirement)
		if !ok {
			return nil, fmt.Errorf("check %s names the unknown requirement %s", check.ID, check.Requirement)
		}
		e := Entry{Check: check, Rule: rule}
		if reading := plan.Readings[rule.Ambiguity]; reading != "" {
			rests[rule.Ambiguity] = true
			e.Contested = "it rests on another reading of " + rule.Ambiguity + " than the one that was chosen, " + reading
		}
		if len(wish.Run) > 0 && !matchesAny(check, wish.Run) || matchesAny(check, wish.Skip) || wish.Only != nil && !slices.Contains(wish.Only, check.ID) {
			plan.NotSelected++
			continue
		}
		e.Known = matchesAny(check, wish.KnownFailing)
		e.Mode, e.Reason = check.Mode(wish.Charging), check.Missing(env)
		plan.Entries = append(plan.Entries, e)
	}
	for id := range plan.Readings {
		if !rests[id] && !suite.Sends(id) {
			return nil, fmt.Errorf("--reading: no check rests on %s, so that a reading of it changes nothing", id)
		}
	}
	return plan, nil
}

// Applying is how many checks will run.
func (p *Plan) Applying() int {
	n := 0
	for _, e := range p.Entries {
		if e.Reason == "" {
			n++
		}
	}
	return n
}

func matchesAny(c suite.Check, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return Matches(p, c.ID) || Matches(p, c.Requirement) })
}

// matchesSomething refuses a pattern without a match: whoever wrote it meant something.
func matchesSomething(checks []suite.Check, pattern string) error {
	if slices.ContainsFunc(checks, func(c suite.Check) bool { return matchesAny(c, []string{pattern}) }) {
		return nil
	}
	for _, better := range []string{pattern + "/*", pattern + "-*", pattern + "*", "*" + pattern + "*", strings.ToUpper(pattern), strings.ToLower(pattern)} {
		if pattern != "" && slices.ContainsFunc(checks, func(c suite.Check) bool { return matchesAny(c, []string{better}) }) {
			return fmt.Errorf("the pattern %q matches no check and no requirement; did you mean %q?", pattern, better)
		}
	}
	var names []string
	for _, c := range checks {
		names = append(names, c.ID, c.Requirement)
	}
	if near := mistyped.Name(pattern, names, mistyped.Third); near != "" && !strings.Contains(pattern, "*") {
		return fmt.Errorf("the pattern %q matches no check and no requirement; did you mean %q?", pattern, near)
	}
	return fmt.Errorf("the pattern %q matches no check and no requirement; isv-conformance list shows them", pattern)
}

// Matches reports whether a text fits a pattern, in which * stands for any characters and ? for one.
func Matches(pattern, text string) bool {
	// next is where to go on after the last *, with one more character of the text taken by it.
	p, t, star, next := 0, 0, -1, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, next = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			next++
			p, t = star+1, next
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// readings reads ambiguity=reading, and leaves out the readings that are taken anyway.
func readings(rules *requirements.Set, list []string) (map[string]string, error) {
	chosen, seen := map[string]string{}, map[string]string{}
	for _, text := range list {
		id, reading, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("--reading: %q is no reading, expected AMBIGUITY=READING such as TIMESTAMP-UNIT=seconds", text)
		}
		a, ok := rules.Ambiguity(id)
		if !ok {
			var ids []string
			for _, a := range rules.Ambiguities {
				ids = append(ids, a.ID)
			}
			return nil, fmt.Errorf("--reading: the register has no entry %q, expected one of %s", id, strings.Join(ids, ", "))
		}
		var known []string
		for _, r := range a.Readings {
			known = append(known, r.ID)
		}
		if !slices.Contains(known, reading) {
			return nil, fmt.Errorf("--reading: %s has no reading %q, expected %s", id, reading, strings.Join(known, " or "))
		}
		if before, twice := seen[id]; twice && before != reading {
			return nil, fmt.Errorf("--reading: %s has two readings, %s and %s", id, before, reading)
		}
		seen[id] = reading
		if reading != a.Taken {
			chosen[id] = reading
		}
	}
	return chosen, nil
}

// List reads a file with a pattern a line. Empty lines and what follows a # are left out.
func List(text string) []string {
	patterns := []string{}
	for line := range strings.SplitSeq(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			patterns = append(patterns, line)
		}
	}
	return patterns
}
