package report

import (
	_ "embed" // the schema
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/isvkit/isvkit/conformance/suite"
)

//go:embed report.schema.json
var schema []byte

// Schema is the JSON Schema of the report in JSON.
func Schema() []byte { return schema }

// Read reads a report in JSON. Fields that are not known are let through, so that reports of later suites can be read; whatever the
// verdict rests on must be there.
func Read(r io.Reader) (*Report, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse is [Read] for a text.
func Parse(text []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("it is no report in JSON: %w", err)
	}
	if !slices.Contains([]Verdict{Conformant, NotConformant, Error}, r.Verdict) {
		return nil, fmt.Errorf("it is no report in JSON: the verdict is %q, expected conformant, not-conformant or error", r.Verdict)
	}
	if r.SuiteVersion == "" || r.Target == "" {
		return nil, errors.New("it is no report in JSON: suiteVersion or target is missing")
	}
	seen := map[string]bool{}
	for n, c := range r.Checks {
		switch {
		case c.ID == "":
			return nil, fmt.Errorf("it is no report in JSON: checks[%d] has no id", n)
		case seen[c.ID]:
			return nil, fmt.Errorf("it is no report in JSON: the check %q is in it twice", c.ID)
		case !slices.Contains(Outcomes(), c.Outcome):
			return nil, fmt.Errorf("it is no report in JSON: the check %q has the outcome %q, which does not exist", c.ID, c.Outcome)
		}
		seen[c.ID] = true
	}
	return &r, nil
}

// Rerun reports whether a check is one to run again: it did not pass and did not come out as it was known to.
func (c *Check) Rerun() bool {
	switch c.Outcome {
	case suite.Pass, suite.NotApplicable, KnownFailing:
		return false
	}
	return true
}

// Check finds a check by its id.
func (r *Report) Check(id string) (*Check, bool) {
	n := slices.IndexFunc(r.Checks, func(c Check) bool { return c.ID == id })
	if n < 0 {
		return nil, false
	}
	return &r.Checks[n], true
}
