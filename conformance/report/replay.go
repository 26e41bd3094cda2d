package report

import (
	"fmt"
	"strings"

	"github.com/isvkit/isvkit/conformance/suite"
)

// WriteReplay tells what came of a failed check when its requests were sent again, and when it was run anew.
func (c *Check) WriteReplay(b *strings.Builder, sent []Attempt, now Check) {
	t := &text{b: b}
	fmt.Fprintf(b, "%s %s  %s\n", c.Requirement, c.Level, c.ID)
	t.item("rule", c.Rule)
	for _, m := range c.Messages {
		t.item("then", m)
	}
	if len(sent) == 0 {
		b.WriteString("\nThe report holds no requests of this check.\n")
	} else {
		b.WriteString("\nThe requests of the report, sent again\n")
	}
	used := make([]bool, len(c.Attempts))
	for n := range sent {
		a := &sent[n]
		fmt.Fprintln(b)
		t.item("sent", a.sent())
		for i := range c.Attempts {
			// The one then with the same body, in order: what is signed afresh has another query.
			if before := &c.Attempts[i]; !used[i] && before.From == FromMarketplace && before.Request.Body == a.Request.Body && before.Request.Method == a.Request.Method {
				used[i] = true
				t.item("then", before.came())
				break
			}
		}
		t.item("now", a.came())
	}
	fmt.Fprintf(b, "\nThe check, run anew: %s\n", map[suite.Status]string{
		suite.Pass: "it passes now", suite.Fail: "it still fails", suite.Skip: "skipped", suite.Error: "it could not be judged", suite.NotApplicable: "it does not apply",
	}[now.Status])
	for _, m := range now.Messages {
		t.item("seen", m)
	}
	if now.Status == suite.Fail {
		if now.Cause != "" {
			t.item("cause", now.Cause)
		}
		t.item("mend", now.Mend)
	}
}
