// Package market holds the policies of marketplaces as data: who may sell, what it costs, and what follows when something fails. A policy
// is a YAML document, checked against a JSON Schema; a change of rule, or a new market, is an edit of a document. README.md explains the form.
//
// Nothing here waits, stores or connects: Load gives the rules that are in force at a time, Check compares a profile with a condition, and
// a Calendar counts working days.
package market

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed policies/*.yaml
var policyFiles embed.FS

// Set is a number of policies: markets, each with one or more editions.
type Set struct {
	editions func() map[string][]*Policy // by market, the oldest first
}

// Embedded gives the policies that come with this package. They are read once, when the first of them is asked for.
func Embedded() *Set { return embedded }

// embedded panics on a broken document: a test loads them all.
var embedded = &Set{sync.OnceValue(func() map[string][]*Policy {
	s, err := (&Set{}).With(policyFiles, "policies")
	if err != nil {
		panic("market: " + err.Error())
	}
	return s.all()
})}

func (s *Set) all() map[string][]*Policy {
	if s.editions == nil {
		return nil
	}
	return s.editions()
}

// Names are the markets of the embedded policies, in alphabetical order.
func Names() []string { return Embedded().Names() }

// Load gives the policy of an embedded market that is in force at a time. See Set.Load.
func Load(name string, at time.Time) (*Policy, error) { return Embedded().Load(name, at) }

// With gives a set that has the documents of a folder too: all files that end in .yaml. An edition that the set has already, of the same
// market and effective on the same day, is replaced.
func (s *Set) With(files fs.FS, folder string) (*Set, error) {
	names, err := fs.Glob(files, strings.TrimPrefix(folder+"/*.yaml", "./"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: there is no policy document, expected at least one file that ends in .yaml", folder)
	}
	more := s
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		p, err := Parse(name, text)
		if err != nil {
			return nil, err
		}
		more = more.Add(p)
	}
	return more, nil
}

// Add gives a set that has this policy too. An edition of the same market, effective on the same day, is replaced.
func (s *Set) Add(p *Policy) *Set {
	more := map[string][]*Policy{}
	maps.Copy(more, s.all())
	others := slices.DeleteFunc(slices.Clone(more[p.Market]), func(o *Policy) bool { return o.Effective == p.Effective })
	others = append(others, p)
	slices.SortFunc(others, func(a, b *Policy) int { return strings.Compare(string(a.Effective), string(b.Effective)) })
	more[p.Market] = others
	return &Set{func() map[string][]*Policy { return more }}
}

// Names are the markets of the set, in alphabetical order.
func (s *Set) Names() []string {
	return slices.Sorted(maps.Keys(s.all()))
}

// Editions are the policies of a market, the oldest first.
func (s *Set) Editions(name string) []*Policy { return slices.Clone(s.all()[name]) }

// Load gives the policy of a market that is in force at a time: the newest that was effective by then. A policy whose published time is
// over is given if there is no newer one; Policy.Lapsed tells. Before the first edition there is an error.
func (s *Set) Load(name string, at time.Time) (*Policy, error) {
	editions := s.all()[name]
	if len(editions) == 0 {
		return nil, fmt.Errorf("there is no market %q, expected one of %s", name, strings.Join(s.Names(), ", "))
	}
	for _, p := range slices.Backward(editions) {
		if !at.Before(p.Effective.Start(p.location)) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no policy of %s was in force on %s, the oldest that is known is effective from %s",
		name, at.Format(DateFormat), editions[0].Effective)
}
