// Package extension lints a KubeSphere extension package: a Helm chart with extension.yaml in place of Chart.yaml, which is what is listed
// on that market instead of an interface that the marketplace calls. It reads files and judges them by a list of rules; nothing is
// rendered, installed or asked of the network, so a rule about templates reads them and says so.
//
// The rules are gathered from three public sources that differ in places: the extension development guide, the code of the ksbuilder tool,
// and the market's own documents. Where they differ the stricter one is a SHOULD.
package extension

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/openapi/requirements"
)

// Sources of the rules.
const (
	Guide  = "KubeSphere extension development guide, packaging and release"
	Tool   = "ksbuilder, code of lint, validate and push"
	Market = "KubeSphere marketplace documents, May 2024"
	Ours   = "ours"
)

// Rule is something that a package is judged by.
type Rule struct {
	ID     string             `json:"id"`
	Level  requirements.Level `json:"level"` // a package that breaks a MUST is not ready; a SHOULD is told
	Text   string             `json:"text"`  // what is expected
	Source string             `json:"source"`
	Mend   string             `json:"mend"`
}

// Finding is a place where a rule is broken.
type Finding struct {
	Rule     string             `json:"rule"`
	Level    requirements.Level `json:"level"`
	File     string             `json:"file"`            // path in the package; "." is the package
	Line     int                `json:"line,omitempty"`  // in File, from 1; 0 is the whole file
	Field    string             `json:"field,omitempty"` // such as provider.en.email
	Seen     string             `json:"seen"`
	Expected string             `json:"expected"`
	Mend     string             `json:"mend"`
}

// Where is the file, the line and the field.
func (f Finding) Where() string {
	where := f.File
	if f.File == "." {
		where = "package"
	}
	if f.Line > 0 {
		where += fmt.Sprintf(":%d", f.Line)
	}
	if f.Field != "" {
		where += " " + f.Field
	}
	return where
}

func (f Finding) String() string {
	return fmt.Sprintf("%s %s %s: %s; expected: %s; to mend: %s", f.Rule, f.Level, f.Where(), f.Seen, f.Expected, f.Mend)
}

// Result is what a package was found to be.
type Result struct {
	Name    string `json:"name"`    // as extension.yaml says; empty if it does not
	Version string `json:"version"` // likewise
	// Size is what would be uploaded, packed, in bytes: without the folder of static files, which go their own way.
	Size     int64     `json:"size"`
	Files    int       `json:"files"`
	Findings []Finding `json:"findings"` // the worst first
}

// OK says that no MUST is broken.
func (r Result) OK() bool { return len(r.Broken()) == 0 }

// Broken are the findings on a MUST.
func (r Result) Broken() []Finding {
	var broken []Finding
	for _, f := range r.Findings {
		if f.Level == requirements.Must {
			broken = append(broken, f)
		}
	}
	return broken
}

// Lint judges the package by all rules.
func (p *Package) Lint() Result {
	l := &linter{p: p}
	l.findings = slices.Clone(p.problems)
	result := Result{Files: len(p.files)}
	if len(p.files) > 0 {
		m := l.manifest()
		l.documents()
		l.permissions()
		l.values()
		l.charts(m)
		l.images(m)
		result.Name, result.Version, result.Size = m.plain("name"), m.plain("version"), l.size(m)
	}
	order := map[requirements.Level]int{requirements.Must: 0, requirements.Should: 1, requirements.May: 2}
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.Level], order[b.Level]), cmp.Compare(place(a.Rule), place(b.Rule)))
	})
	result.Findings = append([]Finding{}, l.findings...)
	return result
}

type linter struct {
	p        *Package
	findings []Finding
}

// say keeps a finding.
func (l *linter) say(rule, file string, line int, field, format string, args ...any) {
	l.findings = append(l.findings, found(rule, file, line, field, fmt.Sprintf(format, args...)))
}

func found(rule, file string, line int, field, seen string) Finding {
	at := place(rule)
	if at < 0 {
		panic("extension: no rule " + rule) // a mistake in this package; every rule has a test
	}
	r := rules[at]
	return Finding{Rule: rule, Level: r.Level, File: file, Line: line, Field: field, Seen: seen, Expected: r.Text, Mend: r.Mend}
}

func place(rule string) int {
	return slices.IndexFunc(rules, func(r Rule) bool { return r.ID == rule })
}

// shown is text from the package, cut so that a message stays readable.
func shown(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
