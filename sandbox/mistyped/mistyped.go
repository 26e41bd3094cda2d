// Package mistyped guesses what was meant by a name that is misspelt, and tells of mistakes in a command line in words that help.
package mistyped

import (
	"flag"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Tolerance is how much of a name may be wrong: one letter of so many, and one besides.
type Tolerance int

// The tolerances: one for few names that differ much, one for many that resemble each other.
const (
	Half  Tolerance = 2
	Third Tolerance = 3
)

// Name is the name that was probably meant, or nothing if none is near.
func Name(name string, names []string, t Tolerance) string {
	name = name[:min(len(name), 64)]
	best, distance := "", len(name)/int(t)+2
	for _, n := range names {
		if d := edits(strings.ToLower(name), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// edits counts the letters to add, drop or change to get from a to b.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

var (
	noFlag   = regexp.MustCompile(`^flag provided but not defined: -(.*)$`)
	noValue  = regexp.MustCompile(`^flag needs an argument: -(.*)$`)
	badValue = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([^:]*): (.*)$`)
)

// Flag says what package flag found wrong.
func Flag(fs *flag.FlagSet, err error, t Tolerance) string {
	text := err.Error()
	if m := noFlag.FindStringSubmatch(text); m != nil {
		var names []string
		fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
		if near := Name(m[1], names, t); near != "" {
			return fmt.Sprintf("there is no flag --%s; did you mean --%s?", m[1], near)
		}
		return fmt.Sprintf("there is no flag --%s", m[1])
	}
	if m := noValue.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("--%s needs a value", m[1])
	}
	m := badValue.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	if m[3] == "parse error" { // of a type that package flag reads itself
		m[3] = "expected a number"
		if f := fs.Lookup(m[2]); f != nil {
			if g, ok := f.Value.(flag.Getter); ok {
				switch g.Get().(type) {
				case time.Duration:
					m[3] = "expected a time such as 30s, 5m or 1h"
				case bool:
					m[3] = "expected true or false"
				}
			}
		}
	}
	return fmt.Sprintf("--%s %s: %s", m[2], m[1], m[3])
}
