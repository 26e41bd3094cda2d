package readiness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/sandbox/market"
)

// maxProfile is the most bytes of a profile that are read. An empty template has about a tenth of it.
const maxProfile = 128 << 10

// Names in a profile besides those of fields.
const (
	keyName    = "name"    // of the ISV, for people
	keyPapers  = "papers"  // ids of the papers at hand
	keyMarkets = "markets" // answers that are for one market
	keyDone    = "done"    // in a market: ids of the onboarding steps that are taken
)

// Profile is what an ISV says about itself and its product.
type Profile struct {
	Name    string
	common  answers
	markets map[string]answers
}

// answers are those for all markets, or for one.
type answers struct {
	fields map[string]any
	papers []string
	done   []string
}

// Field gives an answer: what is said for the market, otherwise what is said for all. It is a [market.Answers] once the market is known.
func (p *Profile) Field(name, field string) (any, bool) {
	for _, a := range []answers{p.markets[name], p.common} {
		if value, ok := a.fields[field]; ok {
			return value, true
		}
	}
	return nil, false
}

// has says whether a paper is at hand for a market.
func (p *Profile) has(name, paper string) bool {
	return slices.Contains(p.common.papers, paper) || slices.Contains(p.markets[name].papers, paper)
}

// did says whether a step of a market's onboarding is taken.
func (p *Profile) did(name, step string) bool { return slices.Contains(p.markets[name].done, step) }

// ParseProfile reads a profile. The first argument names it in errors. It is strict: a name that no market asks for is an error that says
// what was meant, so that an answer is not passed over because of a letter. What is wrong is a *[market.DocumentError] with all problems.
func ParseProfile(document string, text []byte, set *market.Set) (*Profile, error) {
	r := &reader{document: document, known: vocabularyOf(set)}
	root, err := r.decode(text)
	if err != nil {
		return nil, err
	}
	p := &Profile{markets: map[string]answers{}}
	p.common = r.answers(root, "", r.known.fields, r.known.papers, nil, func(key string, value *yaml.Node) bool {
		switch key {
		case keyName:
			if value.ShortTag() != "!!str" && value.ShortTag() != "!!null" {
				r.problem(value, keyName, "is %s, expected a text", seen(value))
			} else {
				p.Name = value.Value
			}
			return true
		case keyMarkets:
			r.markets(p, value)
			return true
		}
		return false
	}, keyName, keyMarkets)
	if len(r.problems) > 0 {
		return nil, r.err()
	}
	return p, nil
}

// vocabulary is what a profile may say.
type vocabulary struct {
	fields  map[string]market.Field // that any market asks for; of two markets that differ about one, it is only said for the market
	papers  []string
	markets map[string]marketVocabulary
}

type marketVocabulary struct {
	fields       map[string]market.Field
	papers, done []string
}

func vocabularyOf(set *market.Set) vocabulary {
	v := vocabulary{fields: market.Fields(), markets: map[string]marketVocabulary{}}
	differ := map[string]bool{}
	for _, name := range set.Names() {
		m := marketVocabulary{fields: market.Fields()}
		for _, edition := range set.Editions(name) {
			maps.Copy(m.fields, edition.Fields)
			for _, paper := range edition.Papers {
				m.papers = append(m.papers, paper.ID)
			}
			for _, step := range edition.Onboarding {
				m.done = append(m.done, step.ID)
			}
		}
		for path, field := range m.fields {
			if other, taken := v.fields[path]; taken && !alike(other, field) {
				differ[path] = true
			}
			v.fields[path] = field
		}
		m.papers, m.done = sorted(m.papers), sorted(m.done)
		v.papers = append(v.papers, m.papers...)
		v.markets[name] = m
	}
	maps.DeleteFunc(v.fields, func(path string, _ market.Field) bool { return differ[path] })
	v.papers = sorted(v.papers)
	return v
}

func alike(a, b market.Field) bool {
	return a.Kind == b.Kind && slices.Equal(a.Values, b.Values) && a.From == b.From
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// reader gathers problems.
type reader struct {
	document string
	known    vocabulary
	problems []market.Problem
}

func (r *reader) problem(at *yaml.Node, path, format string, args ...any) {
	line := 0
	if at != nil {
		line = at.Line
	}
	r.problems = append(r.problems, market.Problem{Line: line, Path: path, What: fmt.Sprintf(format, args...)})
}

func (r *reader) err() error {
	return &market.DocumentError{Document: r.document, Problems: r.problems}
}

// decode gives the mapping that a profile is; an empty one is nil.
func (r *reader) decode(text []byte) (*yaml.Node, error) {
	if len(text) > maxProfile {
		r.problem(nil, "", "is %d bytes long, expected at most %d", len(text), maxProfile)
		return nil, r.err()
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		r.problem(nil, "", "is no YAML: %v", err)
		return nil, r.err()
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.problem(nil, "", "goes on after the first document, expected one profile in a file")
		return nil, r.err()
	}
	return root.Content[0], nil
}

// answers reads the answers of one level: for all markets, or for one. more takes what is no answer.
func (r *reader) answers(n *yaml.Node, path string, fields map[string]market.Field, papers, done []string, more func(string, *yaml.Node) bool, others ...string) answers {
	a := answers{fields: map[string]any{}}
	r.each(n, path, func(key, value *yaml.Node) {
		switch at := join(path, key.Value); {
		case more(key.Value, value):
		case key.Value == keyPapers:
			a.papers = r.ids(value, at, papers, "paper that is asked for")
		case key.Value == keyDone && done != nil:
			a.done = r.ids(value, at, done, "step of this market's onboarding")
		default:
			r.field(&a, key, value, path, "", fields, append([]string{keyPapers}, others...))
		}
	})
	return a
}

func (r *reader) markets(p *Profile, n *yaml.Node) {
	r.each(n, keyMarkets, func(key, value *yaml.Node) {
		at := join(keyMarkets, key.Value)
		known, ok := r.known.markets[key.Value]
		if !ok {
			r.problem(key, at, "is no market that is known; %s", expected(key.Value, slices.Collect(maps.Keys(r.known.markets))))
			return
		}
		p.markets[key.Value] = r.answers(value, at, known.fields, known.papers, append([]string{}, known.done...), func(string, *yaml.Node) bool { return false }, keyDone)
	})
}

// each goes through a mapping.
func (r *reader) each(n *yaml.Node, path string, visit func(key, value *yaml.Node)) {
	if n == nil || n.ShortTag() == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.problem(n, path, "is %s, expected a mapping of names to answers", seen(n))
		return
	}
	taken := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge":
			r.problem(key, path, "has a key that is no name")
		case taken[key.Value]:
			r.problem(key, join(path, key.Value), "is there twice, expected it once")
		default:
			taken[key.Value] = true
			visit(key, value)
		}
	}
}

// field reads what stands at a key: an answer, or a group of answers. path is where the key stands in the document, inside where it stands
// among the fields.
func (r *reader) field(a *answers, key, value *yaml.Node, path, inside string, fields map[string]market.Field, others []string) {
	at, name := join(path, key.Value), join(inside, key.Value)
	if f, ok := fields[name]; ok {
		switch {
		case f.From == market.FromReport:
			r.problem(key, at, "is answered by the conformance report, expected it to be given with --report")
		case f.From == market.FromPackage:
			r.problem(key, at, "is answered by the linter, expected the package to be given with --extension")
		case value.ShortTag() == "!!null": // asked, not answered
		default:
			if answer, err := answerOf(f, value); err != nil {
				r.problem(value, at, "is %s, expected %v", seen(value), err)
			} else {
				a.fields[name] = answer
			}
		}
		return
	}
	var below []string
	for path := range fields {
		if rest, ok := strings.CutPrefix(path, name+"."); ok {
			first, _, _ := strings.Cut(rest, ".")
			below = append(below, first)
		}
	}
	if len(below) > 0 {
		r.each(value, at, func(key, value *yaml.Node) { r.field(a, key, value, at, name, fields, nil) })
		return
	}
	var names []string
	for path, f := range fields {
		if rest, ok := strings.CutPrefix(path, prefix(inside)); ok && (f.From == "" || f.From == market.FromProfile) {
			first, _, _ := strings.Cut(rest, ".")
			names = append(names, first)
		}
	}
	hint := expected(key.Value, append(names, others...))
	if elsewhere := r.elsewhere(name); elsewhere != "" {
		hint = "expected it as " + elsewhere
	}
	r.problem(key, at, "is no name that a market asks for; %s", hint)
}

// elsewhere is where an answer belongs that is at the wrong level: a field, or a group of them, of one market, or one that two markets understand differently.
func (r *reader) elsewhere(field string) string {
	for _, name := range slices.Sorted(maps.Keys(r.known.markets)) {
		for path := range r.known.markets[name].fields {
			if path == field || strings.HasPrefix(path, field+".") {
				return join(join(keyMarkets, name), field)
			}
		}
	}
	return ""
}

func (r *reader) ids(n *yaml.Node, path string, known []string, what string) []string {
	if n.ShortTag() == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.problem(n, path, "is %s, expected a list such as [%s]", seen(n), strings.Join(known[:min(len(known), 2)], ", "))
		return nil
	}
	var list []string
	for i, item := range n.Content {
		at := fmt.Sprintf("%s.%d", path, i)
		switch {
		case item.Kind != yaml.ScalarNode:
			r.problem(item, at, "is %s, expected an id", seen(item))
		case !slices.Contains(known, item.Value):
			r.problem(item, at, "is %q, which is no %s; %s", item.Value, what, expected(item.Value, known))
		default:
			list = append(list, item.Value)
		}
	}
	return list
}

// answerOf reads an answer in the form that [market.Policy.Check] compares. The error says what was expected.
func answerOf(f market.Field, n *yaml.Node) (any, error) {
	switch f.Kind {
	case market.KindNumber:
		var v any
		if n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!int" || n.ShortTag() == "!!float") && n.Decode(&v) == nil {
			if x, isFloat := v.(float64); !isFloat || !math.IsNaN(x) && !math.IsInf(x, 0) {
				return v, nil
			}
		}
		return nil, fmt.Errorf("a number such as %s", f.Example)
	case market.KindYesNo:
		var v bool
		if n.ShortTag() == "!!bool" && n.Decode(&v) == nil {
			return v, nil
		}
		return nil, errors.New("true or false")
	case market.KindDate:
		if n.Kind == yaml.ScalarNode {
			if _, err := time.Parse(market.DateFormat, n.Value); err == nil {
				return n.Value, nil
			}
		}
		return nil, fmt.Errorf("a day such as %s", f.Example)
	case market.KindText:
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && allowed(f, n.Value) {
			return n.Value, nil
		}
		return nil, errors.New(textExpected(f))
	case market.KindTexts:
		if n.Kind != yaml.SequenceNode {
			return nil, fmt.Errorf("a list such as %s", f.Example)
		}
		list := make([]string, 0, len(n.Content))
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode || item.ShortTag() != "!!str" || !allowed(f, item.Value) {
				return nil, fmt.Errorf("a list in which each is %s", textExpected(f))
			}
			list = append(list, item.Value)
		}
		return list, nil
	}
	return nil, errors.New("a kind of field that this version knows")
}

func allowed(f market.Field, value string) bool {
	return len(f.Values) == 0 || slices.Contains(f.Values, value)
}

func textExpected(f market.Field) string {
	if len(f.Values) > 0 {
		return "one of " + strings.Join(f.Values, ", ")
	}
	return "a text such as " + f.Example
}

// seen is what stands in the profile, for a message.
func seen(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	value := []rune(n.Value)
	if len(value) > 60 {
		return fmt.Sprintf("%q", string(value[:60])+"…")
	}
	return fmt.Sprintf("%q", n.Value)
}

func join(path, name string) string { return prefix(path) + name }

func prefix(path string) string {
	if path == "" {
		return ""
	}
	return path + "."
}
