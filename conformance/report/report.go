// Package report says how a run of the conformance suite ended: the verdict, for people and for programs.
package report

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance/internal/hide"
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

// Outcome is what the status of a check means for the verdict. It is the status, except for checks that failed without deciding anything
// and for known failures.
type Outcome = suite.Status

// The outcomes that are no statuses.
const (
	Warning        Outcome = "warning"         // it failed, below the level of the run or under a contested reading
	KnownFailing   Outcome = "known-failing"   // it failed, as it was said to
	UnexpectedPass Outcome = "unexpected-pass" // it passed although it was said to fail: the list is out of date
)

// Outcomes are all outcomes, the worst first.
func Outcomes() []Outcome {
	return []Outcome{suite.Fail, UnexpectedPass, suite.Error, Warning, KnownFailing, suite.Skip, suite.NotApplicable, suite.Pass}
}

// Levels that a run can be held to.
const (
	LevelMust   = "must"
	LevelShould = "should"
)

// Report is a run. Its JSON form is the machine-readable report.
type Report struct {
	Verdict         Verdict         `json:"verdict"`
	Target          string          `json:"target"`
	Replicas        []string        `json:"replicas,omitempty"` // further addresses of the same ISV
	Seed            uint64          `json:"seed,string"`        // of the ids that the run made up; as text, because it is larger than what programs read exactly
	Build           string          `json:"build,omitempty"`    // what was judged, as whoever ran it calls it
	StartedAt       time.Time       `json:"startedAt"`
	DurationMS      int64           `json:"durationMs"`
	SuiteVersion    string          `json:"suiteVersion"`
	ContractVersion string          `json:"contractVersion"`
	Charging        []string        `json:"charging"`
	With            []string        `json:"with"`
	Level           string          `json:"level"`              // below it, failures are warnings
	Readings        []string        `json:"readings,omitempty"` // entries of the register that were read in another way than usual
	NotSelected     int             `json:"notSelected"`        // checks of the suite that were left out on request
	Counts          map[Outcome]int `json:"counts"`
	Checks          []Check         `json:"checks"`
	Chaos           *Chaos          `json:"chaos,omitempty"` // the adversary's story; nil: he did not play
	// Problem is why no check could be run at all.
	Problem string `json:"problem,omitempty"`
}

// Chaos is what the adversary's story is told again from.
type Chaos struct {
	Seed  uint64 `json:"seed,string"`     // what it follows from
	Calls int    `json:"calls"`           // how many it has
	Story string `json:"story,omitempty"` // one that was given, in YAML, instead of those
}

// Check is the outcome of one check.
type Check struct {
	ID          string             `json:"id"`
	Requirement string             `json:"requirement"`
	Level       requirements.Level `json:"level"`
	Status      suite.Status       `json:"status"`  // what was seen
	Outcome     Outcome            `json:"outcome"` // what it means
	Title       string             `json:"title"`
	Rule        string             `json:"rule"`
	Source      []string           `json:"source"`
	Messages    []string           `json:"messages"`              // what was expected and what was got
	Cause       string             `json:"likelyCause,omitempty"` // a guess from what came over the wire
	Why         string             `json:"why,omitempty"`         // what goes wrong otherwise; of failures
	Mend        string             `json:"mend,omitempty"`        // of failures
	Contested   string             `json:"contested,omitempty"`   // why a failure is a warning whatever its level
	Known       bool               `json:"known,omitempty"`       // it was said to fail
	Curl        string             `json:"curl"`                  // a line that sends the requests of a failure again
	Attempts    []Attempt          `json:"attempts"`              // what was sent and came back
	// AttemptsLeft is how many more attempts there were.
	AttemptsLeft int    `json:"attemptsLeft,omitempty"`
	Again        *Again `json:"again,omitempty"` // what replay sends; of failures
	// Story is the shortest story by which the adversary showed a failure, in YAML.
	Story      string `json:"story,omitempty"`
	DurationMS int64  `json:"durationMs"`
}

// Attempt is one HTTP exchange.
type Attempt struct {
	From     string `json:"from"` // marketplace or isv: who asked
	Request  Side   `json:"request"`
	Answer   Side   `json:"answer"`
	Error    string `json:"error,omitempty"` // no answer, or not all of it
	Refused  string `json:"refused,omitempty"`
	Purposed bool   `json:"onPurpose,omitempty"` // the marketplace answered wrongly on purpose
	// DurationMS is until the last byte of the answer.
	DurationMS int64 `json:"durationMs"`
}

// Side is one half of an attempt.
type Side struct {
	Method string            `json:"method,omitempty"`
	URL    string            `json:"url,omitempty"`
	Status int               `json:"status,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body"`  // the beginning of it
	Bytes  int               `json:"bytes"` // of the whole

	header http.Header
}

// The two who ask.
const (
	FromMarketplace = "marketplace"
	FromISV         = "isv"
)

// NewAttempt is an attempt as reports have it, before [Report.Hide].
func NewAttempt(a suite.Attempt) Attempt {
	from := FromMarketplace
	if a.Asked {
		from = FromISV
	}
	body := func(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
	return Attempt{
		From: from, Error: a.Err, Refused: a.Note, Purposed: a.Fault, DurationMS: a.Duration.Milliseconds(),
		Request: Side{Method: a.Method, URL: a.URL, Body: body(a.RequestBody), Bytes: a.RequestSize, header: a.RequestHeader},
		Answer:  Side{Status: a.Status, Body: body(a.AnswerBody), Bytes: a.AnswerSize, header: a.AnswerHeader},
	}
}

// Hide takes secrets out: the given ones wherever they stand and however they are written, and what the ISV or a call gives under a name
// that promises a secret.
func (r *Report) Hide(keys []string) {
	s := hide.New(keys...)
	for _, target := range append([]string{r.Target}, r.Replicas...) {
		s.LearnURL(target)
	}
	for _, c := range r.Checks {
		for _, a := range c.Attempts {
			s.Learn(a.Answer.Body)
		}
	}
	r.Target, r.Problem, r.Build = s.URL(r.Target), s.Known(r.Problem), s.Known(r.Build)
	for n := range r.Replicas {
		r.Replicas[n] = s.URL(r.Replicas[n])
	}
	for n := range r.Checks {
		c := &r.Checks[n]
		for m := range c.Messages {
			c.Messages[m] = s.Known(c.Messages[m])
		}
		c.Cause, c.Curl = s.Known(c.Cause), s.Known(c.Curl)
		for m := range c.Attempts {
			a := &c.Attempts[m]
			a.Error, a.Refused = s.Known(a.Error), s.Known(a.Refused)
			for _, side := range []*Side{&a.Request, &a.Answer} {
				side.URL, side.Body, side.Header = s.URL(side.URL), s.Text(side.Body), s.Header(side.header)
				if len(side.Header) == 0 {
					side.Header = nil
				}
			}
		}
		if c.Again != nil {
			c.Again.hide(s)
		}
	}
}

// Judge gives every check its outcome, counts them, and derives the verdict: a failure that counts decides, then whatever could not be
// judged, and a run in which nothing passed is no verdict either.
func (r *Report) Judge() {
	r.Counts = map[Outcome]int{}
	for _, o := range Outcomes() {
		r.Counts[o] = 0
	}
	for n := range r.Checks {
		c := &r.Checks[n]
		c.Outcome = r.outcome(c)
		r.Counts[c.Outcome]++
	}
	switch {
	case r.Counts[suite.Fail]+r.Counts[UnexpectedPass] > 0:
		r.Verdict = NotConformant
	case r.Counts[suite.Error] > 0 || r.Counts[suite.Pass]+r.Counts[KnownFailing] == 0:
		r.Verdict = Error
	default:
		r.Verdict = Conformant
	}
}

func (r *Report) outcome(c *Check) Outcome {
	switch {
	case c.Status == suite.Pass && c.Known:
		return UnexpectedPass
	case c.Status != suite.Fail:
		return c.Status
	case c.Known:
		return KnownFailing
	case c.Contested != "" || !r.decides(c.Level):
		return Warning
	default:
		return suite.Fail
	}
}

// decides reports whether a failure at a level changes the verdict.
func (r *Report) decides(level requirements.Level) bool {
	return level == requirements.Must || level == requirements.Should && r.Level == LevelShould
}

// Failures are the checks that failed and decide the verdict.
func (r *Report) Failures() []Check {
	return r.pick(func(c Check) bool { return c.Outcome == suite.Fail })
}

// Warnings are the checks that failed and change nothing.
func (r *Report) Warnings() []Check {
	return r.pick(func(c Check) bool { return c.Outcome == Warning })
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
