package attest

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance/report"
)

// Describe tells people what a statement says.
func (s *Statement) Describe(w io.Writer) {
	var b strings.Builder
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-12s %s\n", label, report.Clean(text))
		}
	}
	line("Verdict", string(s.Verdict))
	line("Target", s.Subject)
	line("Build", s.Build)
	line("Judged by", s.Issuer+", "+s.JudgedAt.UTC().Format(time.RFC1123))
	line("Judged with", fmt.Sprintf("suite %s, contract %s, level %s", s.SuiteVersion, s.ContractVersion, s.Level))
	with := strings.Join(s.Charging, ", ")
	if len(s.With) > 0 {
		with += "; with " + strings.Join(s.With, ", ")
	}
	line("Sold as", with)
	line("Read as", strings.Join(s.Readings, ", "))
	var counts []string
	for _, o := range report.Outcomes() {
		if n := len(s.Outcomes[o]); n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, o))
		}
	}
	line("Checks", strings.Join(counts, ", "))
	line("Holds until", s.ExpiresAt.UTC().Format(time.RFC1123))
	line("Report", "SHA-256 "+s.ReportSHA256)
	_, _ = io.WriteString(w, b.String())
}

// Describe tells people what changed.
func (d Difference) Describe(w io.Writer) {
	var b strings.Builder
	b.WriteString("\nSince the earlier statement\n")
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "  %s\n", report.Clean(n))
	}
	for _, l := range []struct {
		what string
		ids  []string
	}{{"worse", d.Worse}, {"better", d.Better}, {"judged now", d.Added}, {"not judged any more", d.Dropped}} {
		if len(l.ids) > 0 {
			fmt.Fprintf(&b, "  %d %s\n", len(l.ids), l.what)
		}
		for _, id := range l.ids {
			fmt.Fprintf(&b, "    %s\n", report.Clean(id))
		}
	}
	if len(d.Notes)+len(d.Worse)+len(d.Better)+len(d.Added)+len(d.Dropped) == 0 {
		b.WriteString("  nothing changed\n")
	}
	_, _ = io.WriteString(w, b.String())
}
