package sandboxtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

// maxJournal is how many exchanges a failure shows.
const maxJournal = 20

// journal tells what was sent to the ISV and what came, for the log of a test that failed; an empty line means all instances.
func (m *Market) journal(t testing.TB, line string) string {
	t.Helper()
	attempts := m.attempts(t, line)
	var b strings.Builder
	b.WriteString("\n\nWhat the journal says")
	if line != "" {
		b.WriteString(" about order line " + line)
	}
	if len(attempts) > maxJournal {
		fmt.Fprintf(&b, ", the last %d of %d exchanges", maxJournal, len(attempts))
		attempts = attempts[len(attempts)-maxJournal:]
	}
	b.WriteString(":\n")
	if len(attempts) == 0 {
		b.WriteString("  nothing was sent to the ISV\n")
	}
	for _, a := range attempts {
		fmt.Fprintf(&b, "  %s  %s, attempt %d: %s", a.Time.UTC().Format("2006-01-02 15:04:05"), a.Activity, a.Number, a.Outcome)
		if a.Detail != "" {
			b.WriteString(", " + a.Detail)
		}
		b.WriteString("\n    sent  " + a.RequestBody + "\n")
		if a.Status != 0 {
			fmt.Fprintf(&b, "    got   HTTP %d, %s: %s\n", a.Status, a.ContentType, a.ResponseBody)
		}
		for _, v := range a.Violations {
			b.WriteString("    not as the contract says: " + v + "\n")
		}
	}
	return b.String()
}

// attempts about an instance, or all; oldest first. It is used where a test fails already, so that it fails itself quietly.
func (m *Market) attempts(t testing.TB, line string) []Attempt {
	t.Helper()
	resp, err := m.control.ListAttempts(t.Context(), &sandboxapi.ListAttemptsParams{OrderLineID: line, Limit: 1000})
	if err != nil {
		return nil
	}
	answer, err := sandboxapi.ParseListAttemptsResponse(resp)
	if err != nil || answer.JSON200 == nil {
		return nil
	}
	slices.Reverse(answer.JSON200.Attempts)
	return answer.JSON200.Attempts
}
