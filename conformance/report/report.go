// Package report says how a run of the conformance suite ended: the verdict, for people and for programs.
package report

import (
	"encoding/json"
	"io"
	"time"

	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

// Verdict is the outcome of a run.
type Verdict string

// The verdicts.
const (
	Conformant    Verdict = "conformant"     // no MUST was broken
	NotConformant Verdict = "not-conformant" // at least one MUST was broken
	Error         Verdict = "error"          // it could not be judged
)

// ExitCode is what the command ends with: 0, 1 or 2.
func (v Verdict) ExitCode() int {
	switch v {
	case Conformant:
		return 0
	case NotConformant:
		return 1
	default:
		return 2
	}
}

// Report is a run. Its JSON form is the machine-readable report.
type Report struct {
	Verdict         Verdict              `json:"verdict"`
	Target          string               `json:"target"`
	StartedAt       time.Time            `json:"startedAt"`
	DurationMS      int64                `json:"durationMs"`
	SuiteVersion    string               `json:"suiteVersion"`
	ContractVersion string               `json:"contractVersion"`
	Charging        []string             `json:"charging"`
	With            []string             `json:"with"`
	Counts          map[suite.Status]int `json:"counts"`
	Checks          []Check              `json:"checks"`
	// Problem is why no check could be run at all.
	Problem string `json:"problem,omitempty"`
}

// Check is the outcome of one check.
type Check struct {
	ID          string             `json:"id"`
	Requirement string             `json:"requirement"`
	Level       requirements.Level `json:"level"`
	Status      suite.Status       `json:"status"`
	Title       string             `json:"title"`
	Messages    []string           `json:"messages"`
	Curl        string             `json:"curl"`
	DurationMS  int64              `json:"durationMs"`
}

// Judge counts the checks and derives the verdict from them: a broken MUST decides, then whatever could not be judged, and a run
// in which nothing passed is no verdict either.
func (r *Report) Judge() {
	r.Counts = map[suite.Status]int{suite.Pass: 0, suite.Fail: 0, suite.Skip: 0, suite.NotApplicable: 0, suite.Error: 0}
	broken := 0
	for _, c := range r.Checks {
		r.Counts[c.Status]++
		if c.Status == suite.Fail && c.Level == requirements.Must {
			broken++
		}
	}
	switch {
	case broken > 0:
		r.Verdict = NotConformant
	case r.Counts[suite.Error] > 0 || r.Counts[suite.Pass] == 0:
		r.Verdict = Error
	default:
		r.Verdict = Conformant
	}
}

// Failures are the checks that failed on a MUST.
func (r *Report) Failures() []Check {
	return r.pick(func(c Check) bool { return c.Status == suite.Fail && c.Level == requirements.Must })
}

// Warnings are the checks that failed on a SHOULD or MAY.
func (r *Report) Warnings() []Check {
	return r.pick(func(c Check) bool { return c.Status == suite.Fail && c.Level != requirements.Must })
}

func (r *Report) pick(want func(Check) bool) []Check {
	var found []Check
	for _, c := range r.Checks {
		if want(c) {
			found = append(found, c)
		}
	}
	return found
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
