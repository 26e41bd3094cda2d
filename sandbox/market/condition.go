package market

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Kinds of fields.
const (
	KindNumber = "number"
	KindYesNo  = "yes-no"
	KindText   = "text"
	KindTexts  = "texts" // a list
	KindDate   = "date"  // compared by its age: "at least 2 years" ago
)

// Field is something that a profile tells about an ISV and its product.
type Field struct {
	Kind    string   `yaml:"kind"`
	Asks    string   `yaml:"asks"`    // the question, for people
	Example string   `yaml:"example"` // a value as a profile would have it
	Values  []string `yaml:"values"`  // of a text or texts: what it may be; none means anything
	// From says who answers: profile (default), report (of the conformance runner), package (what a linter found).
	From string `yaml:"from"`
}

// Test compares fields with values. It has a field with one comparison, or one of all, any and not.
//
//	is             the field is this text, number, or true or false
//	in             the field is one of these texts
//	atLeast …      the number, or the age of the date, is so much: atLeast, moreThan, atMost, lessThan
//	has, hasAny    the list has all of these, or one of them
//	hasNone        the list has none of these
type Test struct {
	Field    string   `yaml:"field"`
	Is       string   `yaml:"is"`
	In       []string `yaml:"in"`
	AtLeast  string   `yaml:"atLeast"`
	MoreThan string   `yaml:"moreThan"`
	AtMost   string   `yaml:"atMost"`
	LessThan string   `yaml:"lessThan"`
	Has      []string `yaml:"has"`
	HasAny   []string `yaml:"hasAny"`
	HasNone  []string `yaml:"hasNone"`
	All      []Test   `yaml:"all"`
	Any      []Test   `yaml:"any"`
	Not      *Test    `yaml:"not"`
}

// Answers looks a field up in a profile: "company.staff". It may give what YAML or JSON decode to: string, bool, numbers, lists of
// strings, time.Time. The second result is false where the profile says nothing.
type Answers func(field string) (any, bool)

// Outcome is what a test came to.
type Outcome int

// Outcomes. Unknown means that the profile does not say enough, or that an answer is of the wrong kind.
const (
	Unknown Outcome = iota
	Holds
	Fails
)

// String is for people.
func (o Outcome) String() string { return [...]string{"unknown", "holds", "fails"}[o] }

// Result is the outcome of a test, with a sentence that says why. Missing are the fields that a profile would have to answer.
type Result struct {
	Outcome Outcome
	Why     string
	Missing []string
}

// Check compares a profile with a test. Ages are counted to the day in which `at` lies in the policy's time zone.
func (p *Policy) Check(t Test, answers Answers, at time.Time) Result {
	return p.check(t, answers, DateOf(at, p.location))
}

// Concerns tells whether a condition concerns the seller at all. Unknown if the profile does not say.
func (p *Policy) Concerns(when *Test, answers Answers, at time.Time) Result {
	if when == nil {
		return Result{Outcome: Holds}
	}
	return p.Check(*when, answers, at)
}

func (p *Policy) check(t Test, answers Answers, today Date) Result {
	switch {
	case len(t.All) > 0:
		return p.several(t.All, answers, today, Fails, Holds, " and ")
	case len(t.Any) > 0:
		return p.several(t.Any, answers, today, Holds, Fails, " or ")
	case t.Not != nil:
		r := p.check(*t.Not, answers, today)
		switch r.Outcome {
		case Holds:
			r.Outcome = Fails
		case Fails:
			r.Outcome = Holds
		}
		return r
	}
	field := p.Field(t.Field)
	value, ok := answers(t.Field)
	if !ok {
		return Result{Unknown, t.Field + " is not given", []string{t.Field}}
	}
	holds, got, err := t.compare(field, value, today, p.location)
	if err != nil {
		return Result{Unknown, fmt.Sprintf("%s: %v", t.Field, err), []string{t.Field}}
	}
	if holds {
		return Result{Holds, fmt.Sprintf("%s is %s", t.Field, got), nil}
	}
	return Result{Fails, fmt.Sprintf("%s is %s, expected %s", t.Field, got, t.expectation()), nil}
}

// several: the first outcome that decides does so; otherwise what is unknown makes the whole unknown.
func (p *Policy) several(tests []Test, answers Answers, today Date, decides, otherwise Outcome, joint string) Result {
	whole := Result{Outcome: otherwise}
	var why []string
	for _, t := range tests {
		r := p.check(t, answers, today)
		if r.Outcome == decides {
			return r
		}
		if r.Outcome == Unknown {
			if whole.Outcome != Unknown {
				why = nil
			}
			whole.Outcome = Unknown
			whole.Missing = append(whole.Missing, r.Missing...)
		}
		if r.Outcome == whole.Outcome {
			why = append(why, r.Why)
		}
	}
	if otherwise == Holds && whole.Outcome == Holds || whole.Outcome == Unknown {
		joint = " and "
	}
	whole.Why = strings.Join(why, joint)
	return whole
}

// compare gives whether it holds, and the value in words.
func (t Test) compare(f Field, value any, today Date, in *time.Location) (bool, string, error) {
	switch f.Kind {
	case KindNumber:
		n, err := asNumber(value)
		if err != nil {
			return false, "", err
		}
		holds, err := t.bounds(func(limit string) (int, error) {
			d, err := decimal.NewFromString(limit)
			return n.Cmp(d), err
		})
		return holds, n.String(), err
	case KindDate:
		day, err := asDate(value, in)
		if err != nil {
			return false, "", err
		}
		holds, err := t.bounds(func(limit string) (int, error) {
			p, err := ParsePeriod(limit)
			if err != nil {
				return 0, err
			}
			back := p
			back.N = -p.N
			then := DateOf((&Calendar{location: in}).Add(today.Start(in), back), in)
			return strings.Compare(string(then), string(day)), nil // an older date is a greater age
		})
		return holds, string(day), err
	case KindYesNo:
		b, ok := value.(bool)
		if !ok {
			return false, "", fmt.Errorf("expected true or false")
		}
		return strconv.FormatBool(b) == t.Is, strconv.FormatBool(b), nil
	case KindText:
		s, ok := value.(string)
		if !ok {
			return false, "", fmt.Errorf("expected a text")
		}
		if len(f.Values) > 0 && !slices.Contains(f.Values, s) {
			return false, "", fmt.Errorf("%q is not known, expected one of %s", s, strings.Join(f.Values, ", "))
		}
		return s == t.Is && t.Is != "" || slices.Contains(t.In, s), strconv.Quote(s), nil
	case KindTexts:
		list, err := asTexts(value)
		if err != nil {
			return false, "", err
		}
		in := func(s string) bool { return slices.Contains(list, s) }
		holds := (len(t.Has) == 0 || !slices.ContainsFunc(t.Has, func(s string) bool { return !in(s) })) &&
			(len(t.HasAny) == 0 || slices.ContainsFunc(t.HasAny, in)) &&
			!slices.ContainsFunc(t.HasNone, in)
		return holds, "[" + strings.Join(list, ", ") + "]", nil
	}
	return false, "", fmt.Errorf("is no field that a document may ask for")
}

// bounds applies the comparison that the test has. cmp compares the value with a limit.
func (t Test) bounds(cmp func(limit string) (int, error)) (bool, error) {
	for _, b := range []struct {
		limit string
		holds func(int) bool
	}{
		{t.AtLeast, func(c int) bool { return c >= 0 }},
		{t.MoreThan, func(c int) bool { return c > 0 }},
		{t.AtMost, func(c int) bool { return c <= 0 }},
		{t.LessThan, func(c int) bool { return c < 0 }},
		{t.Is, func(c int) bool { return c == 0 }},
	} {
		if b.limit != "" {
			c, err := cmp(b.limit)
			return err == nil && b.holds(c), err
		}
	}
	return false, fmt.Errorf("the document compares it with nothing")
}

// expectation says in words what the comparison wants.
func (t Test) expectation() string {
	switch {
	case t.Is != "":
		return t.Is
	case len(t.In) > 0:
		return "one of " + strings.Join(t.In, ", ")
	case t.AtLeast != "":
		return "at least " + t.AtLeast + t.ago(t.AtLeast)
	case t.MoreThan != "":
		return "more than " + t.MoreThan + t.ago(t.MoreThan)
	case t.AtMost != "":
		return "at most " + t.AtMost + t.ago(t.AtMost)
	case t.LessThan != "":
		return "less than " + t.LessThan + t.ago(t.LessThan)
	case len(t.Has) > 0:
		return "all of " + strings.Join(t.Has, ", ")
	case len(t.HasAny) > 0:
		return "one of " + strings.Join(t.HasAny, ", ")
	}
	return "none of " + strings.Join(t.HasNone, ", ")
}

func (t Test) ago(limit string) string {
	if strings.Contains(limit, " ") { // a period, so the field is a date
		return " ago"
	}
	return ""
}

func asNumber(value any) (decimal.Decimal, error) {
	var text string
	switch v := value.(type) {
	case int:
		return decimal.NewFromInt(int64(v)), nil
	case int64:
		return decimal.NewFromInt(v), nil
	case uint64:
		text = strconv.FormatUint(v, 10)
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	if len(text) > 30 || strings.ContainsAny(text, "eE") { // an exponent would make a number of any length
		return decimal.Decimal{}, fmt.Errorf("expected a number of at most 30 digits")
	}
	n, err := decimal.NewFromString(text)
	if err != nil {
		return n, fmt.Errorf("expected a number")
	}
	return n, nil
}

func asDate(value any, in *time.Location) (Date, error) {
	switch v := value.(type) {
	case time.Time:
		return Date(v.Format(DateFormat)), nil
	case string:
		if !Date(v).Start(in).IsZero() {
			return Date(v), nil
		}
	}
	return "", fmt.Errorf("expected a date such as 2020-06-30")
}

func asTexts(value any) ([]string, error) {
	switch v := value.(type) {
	case []string:
		return v, nil
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("expected a list of texts")
			}
			list = append(list, s)
		}
		return list, nil
	}
	return nil, fmt.Errorf("expected a list of texts")
}
