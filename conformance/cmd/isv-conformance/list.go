package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/openapi/requirements"
)

// listed is a check as list shows it.
type listed struct {
	ID           string             `json:"id"`
	Requirement  string             `json:"requirement"`
	Level        requirements.Level `json:"level"`
	Title        string             `json:"title"`
	Charging     []string           `json:"charging"`     // empty: every mode
	Capabilities []string           `json:"capabilities"` // that it needs; empty: none
	Applies      bool               `json:"applies"`      // to the charging modes and capabilities that were given; true if none were
	Reason       string             `json:"reason,omitempty"`
	Known        bool               `json:"known,omitempty"`
	Rule         string             `json:"rule"`
	Source       []string           `json:"source"`
}

func list(_ context.Context, t terminal, args []string) int {
	var opts conformance.Options
	s := selecting{opts: &opts}
	flags := quietFlags("list")
	asJSON := flags.Bool("json", false, "show them in JSON")
	s.bind(flags)
	if _, code, done := t.parse(flags, args); done {
		return code
	}
	const hint = "isv-conformance list --help shows the flags"
	if err := s.load(); err != nil {
		return t.refuse(err.Error(), hint)
	}
	if opts.Chaos != nil {
		t.say("the adversary's story is told again, too; it is no check of the suite")
	}
	everything := len(opts.Charging)+len(opts.With) == 0 // nothing is said about the ISV
	planned, err := conformance.Plan(opts)
	if err != nil {
		return t.refuse(flagged(err), hint)
	}
	all := []listed{}
	applying := 0
	for _, p := range planned {
		l := listed{
			ID: p.Check.ID, Requirement: p.Check.Requirement, Level: p.Rule.Level, Title: p.Check.Title, Charging: append([]string{}, p.Check.Charging...),
			Capabilities: []string{}, Applies: everything || p.Reason == "", Known: p.Known, Rule: p.Rule.Text, Source: p.Rule.Source,
		}
		for _, c := range []string{p.Check.Capability, p.Check.Besides} {
			if c != "" {
				l.Capabilities = append(l.Capabilities, c)
			}
		}
		if !l.Applies {
			l.Reason = p.Reason
		} else {
			applying++
		}
		all = append(all, l)
	}
	var b bytes.Buffer
	if *asJSON {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(all)
	} else {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, c := range all {
			title := c.Title
			if !c.Applies {
				title += " (not applicable: " + c.Reason + ")"
			} else if everything && len(c.Charging)+len(c.Capabilities) > 0 {
				title += " (only for " + strings.Join(append(append([]string{}, c.Charging...), c.Capabilities...), ", ") + ")"
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.ID, c.Requirement, c.Level, title)
		}
		err = w.Flush()
		fmt.Fprintf(&b, "%d checks", len(all))
		if applying < len(all) {
			fmt.Fprintf(&b, ", %d of them apply", applying)
		}
		b.WriteByte('\n')
	}
	if err == nil {
		_, err = t.out.Write(b.Bytes())
	}
	if err != nil {
		return t.refuse(err.Error(), "")
	}
	return exitOK
}
