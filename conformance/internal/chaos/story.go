// Package chaos plans what an adversary does to an ISV, judges how it ended, and shrinks what broke a rule to the shortest story that
// still does.
//
// It is pure: stories go in and come out, and what a play saw is given as events. Who sends the calls is package suite.
//
//	Plan(seed) ──► Story ──► played over HTTP ──► []Event ──► Judge ──► breaches ──► Shrink (plays again) ──► the shortest Story
package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Deed is what a call does. FREEZE and UNFREEZE are the two forms of updateInstanceStatus.
type Deed string

// The deeds.
const (
	New      Deed = "newInstance"
	Query    Deed = "queryInstance"
	Refresh  Deed = "refreshInstance"
	Freeze   Deed = "FREEZE"
	Unfreeze Deed = "UNFREEZE"
	Upgrade  Deed = "upgradeInstance"
	Release  Deed = "releaseInstance"
)

// Deeds are all of them.
func Deeds() []Deed { return []Deed{New, Query, Refresh, Freeze, Unfreeze, Upgrade, Release} }

// Fate is what becomes of the answer to a call.
type Fate string

// The fates.
const (
	Heard Fate = ""      // it arrives
	Lost  Fate = "lost"  // it gets lost on its way, so that the marketplace knows nothing of it
	Late  Fate = "late"  // nobody waits for it: the next calls are made while this one is being carried out
	Reset Fate = "reset" // the connection is reset as soon as the call is out
)

// Fates are those that can be given in a file.
func Fates() []Fate { return []Fate{Lost, Late, Reset} }

// Order is an order of a story. Its lines are called name/1, name/2 and so on.
type Order struct {
	Name     string `yaml:"order"`
	Charging string `yaml:"charging"`
	Lines    int    `yaml:"lines,omitempty"` // default: 1
}

// Call is one call, or several equal ones at a time. Each has a businessId, a nonce and a signature of its own.
type Call struct {
	Do       Deed   `yaml:"do"`
	Line     string `yaml:"line"`               // order line, such as o1/1
	Round    int    `yaml:"round,omitempty"`    // which renewal or upgrade of the line; repeats of one have the same. Default: 1
	Together int    `yaml:"together,omitempty"` // so many at the same time. Default: 1
	Answer   Fate   `yaml:"answer,omitempty"`   // default: it arrives
	Debug    bool   `yaml:"debug,omitempty"`    // testFlag 1
}

// Story is what the adversary does. Calls for an order line whose instance the marketplace has not been told are left out, because it
// could not make them.
type Story struct {
	Orders []Order `yaml:"orders"`
	Calls  []Call  `yaml:"calls"`
}

const (
	mostOrders   = 1000
	mostLines    = 10
	mostCalls    = 10000
	mostTogether = 16
	mostRounds   = 100
)

var orderName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Parse reads a story from YAML. The error tells everything that is wrong with it.
func Parse(text []byte) (*Story, error) {
	var s Story
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the story is empty, expected orders and calls")
		}
		return nil, fmt.Errorf("the story cannot be read: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more behind the story, expected one story in a file")
	}
	if err := s.valid(); err != nil {
		return nil, err
	}
	return &s, nil
}

func (s *Story) valid() error {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if len(s.Orders) == 0 || len(s.Orders) > mostOrders {
		bad("orders: expected 1 to %d, got %d", mostOrders, len(s.Orders))
	}
	if len(s.Calls) == 0 || len(s.Calls) > mostCalls {
		bad("calls: expected 1 to %d, got %d", mostCalls, len(s.Calls))
	}
	seen := map[string]bool{}
	for n := range s.Orders {
		o := &s.Orders[n]
		if o.Lines == 0 {
			o.Lines = 1
		}
		switch {
		case !orderName.MatchString(o.Name):
			bad("orders[%d].order: expected a name of letters and digits, got %q", n, o.Name)
		case seen[o.Name]:
			bad("orders[%d].order: %q is there twice", n, o.Name)
		}
		seen[o.Name] = true
		if !slices.Contains(modes(), o.Charging) {
			bad("orders[%d].charging: expected %s, got %q", n, strings.Join(modes(), ", "), o.Charging)
		}
		if o.Lines < 1 || o.Lines > mostLines {
			bad("orders[%d].lines: expected 1 to %d, got %d", n, mostLines, o.Lines)
		}
	}
	for n, c := range s.Calls {
		s.validCall(c, func(format string, args ...any) { bad("calls[%d]."+format, append([]any{n}, args...)...) })
	}
	if len(problems) == 0 {
		return nil
	}
	const most = 10
	if len(problems) > most {
		problems = append(problems[:most], fmt.Sprintf("and %d more", len(problems)-most))
	}
	return fmt.Errorf("the story makes no sense: %s", strings.Join(problems, "; "))
}

func (s *Story) validCall(c Call, bad func(format string, args ...any)) {
	if !slices.Contains(Deeds(), c.Do) {
		bad("do: unknown deed %q, expected one of %v", c.Do, Deeds())
	}
	if c.Answer != Heard && !slices.Contains(Fates(), c.Answer) {
		bad("answer: unknown %q, expected one of %v, or nothing for one that arrives", c.Answer, Fates())
	}
	if _, _, ok := s.find(c.Line); !ok {
		bad("line: no order has the line %q, expected one such as o1/1", c.Line)
	}
	if c.Together < 0 || c.Together > mostTogether {
		bad("together: expected 1 to %d, got %d", mostTogether, c.Together)
	}
	if c.Round < 0 || c.Round > mostRounds {
		bad("round: expected 1 to %d, got %d", mostRounds, c.Round)
	}
}

// find splits the name of an order line.
func (s *Story) find(line string) (order Order, index int, ok bool) {
	name, number, _ := strings.Cut(line, "/")
	index, err := strconv.Atoi(number)
	if err != nil || index < 1 {
		return Order{}, 0, false
	}
	n := slices.IndexFunc(s.Orders, func(o Order) bool { return o.Name == name })
	if n < 0 || index > max(1, s.Orders[n].Lines) {
		return Order{}, 0, false
	}
	return s.Orders[n], index - 1, true
}

// Find tells which order a line belongs to, and its index there.
func (s *Story) Find(line string) (order Order, index int) {
	order, index, _ = s.find(line)
	return order, index
}

// Lines are the order lines that the calls are about, in the order in which they come up.
func (s *Story) Lines() []string {
	var lines []string
	seen := map[string]bool{}
	for _, c := range s.Calls {
		if !seen[c.Line] {
			seen[c.Line] = true
			lines = append(lines, c.Line)
		}
	}
	return lines
}

// YAML writes the story, one call a line.
func (s *Story) YAML() string {
	var b strings.Builder
	b.WriteString("orders:\n")
	for _, o := range s.Orders {
		fmt.Fprintf(&b, "  - { order: %s, charging: %s", o.Name, o.Charging)
		if o.Lines > 1 {
			fmt.Fprintf(&b, ", lines: %d", o.Lines)
		}
		b.WriteString(" }\n")
	}
	b.WriteString("calls:\n")
	for _, c := range s.Calls {
		fmt.Fprintf(&b, "  - { do: %s, line: %s", c.Do, c.Line)
		if c.Round > 1 {
			fmt.Fprintf(&b, ", round: %d", c.Round)
		}
		if c.Together > 1 {
			fmt.Fprintf(&b, ", together: %d", c.Together)
		}
		if c.Answer != Heard {
			fmt.Fprintf(&b, ", answer: %s", c.Answer)
		}
		if c.Debug {
			b.WriteString(", debug: true")
		}
		b.WriteString(" }\n")
	}
	return b.String()
}

// String tells a call in a few words.
func (c Call) String() string {
	text := fmt.Sprintf("%s of %s", c.Do, c.Line)
	if c.Debug {
		text = "debug " + text
	}
	if c.Round > 1 {
		text += fmt.Sprintf(", the %d. of its kind", c.Round)
	}
	if c.Together > 1 {
		text += fmt.Sprintf(", %d times at once", c.Together)
	}
	switch c.Answer {
	case Lost:
		text += ", whose answer gets lost"
	case Late:
		text += ", without waiting for its answer"
	case Reset:
		text += ", whose connection is reset"
	}
	return text
}
