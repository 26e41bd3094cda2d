package scenario

import (
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// expectation is that something in an answer has a value.
type expectation struct {
	label string // as the file calls it
	path  path
	want  any // a value, a matcher, or lists and maps of them
}

// matcher is a condition other than equality.
type matcher struct {
	kind    string
	arg     any
	pattern *regexp.Regexp
	count   int
}

// The matchers.
const (
	matchNot      = "not"
	matchMatches  = "matches"
	matchContains = "contains"
	matchAtLeast  = "atLeast"
	matchAtMost   = "atMost"
	matchCount    = "count"
	matchAbsent   = "absent"
)

var matcherNames = []string{matchNot, matchMatches, matchContains, matchAtLeast, matchAtMost, matchCount, matchAbsent}

// schema is that of what the path leads to; nil if it is not known.
func (p path) schema(s schema, doc *document) schema {
	for _, step := range p {
		if step.isIdx {
			s = doc.resolve(s["items"])
		} else {
			s = doc.resolve(doc.properties(s)[step.name])
		}
	}
	return s
}

// wanted reads an expected value.
func (p *parser) wanted(node *yaml.Node, s schema, doc *document, where string) any {
	switch node.Kind {
	case yaml.ScalarNode:
		if strings.HasPrefix(node.Value, "$") {
			return p.special(node)
		}
		if values := s.enum(); values != nil && !slices.Contains(values, node.Value) {
			p.fail(node, "%s can never be %q; %s", where, node.Value, expected(node.Value, values))
		}
		return plain(node)
	case yaml.SequenceNode:
		list := []any{}
		for _, n := range node.Content {
			list = append(list, p.wanted(n, doc.resolve(s["items"]), doc, where))
		}
		return list
	case yaml.MappingNode:
		if len(node.Content) == 2 && slices.Contains(matcherNames, node.Content[0].Value) {
			return p.matcher(node.Content[0], node.Content[1], s, doc, where)
		}
		fields := map[string]any{}
		properties := doc.properties(s)
		for key, value := range p.pairs(node) {
			name := longName(key.Value, keys(properties))
			property, known := properties[name]
			if !known && len(properties) > 0 {
				p.fail(key, "%s has no %q; %s", where, key.Value, expected(key.Value, withShort(keys(properties))))
				continue
			}
			if k, _, ok := refers(name); ok && slices.Contains(p.names, value.Value) {
				fields[name] = named{value.Value, k}
				continue
			}
			fields[name] = p.wanted(value, doc.resolve(property), doc, key.Value)
		}
		return fields
	}
	p.fail(node, "%s: expected a value", where)
	return nil
}

func (p *parser) matcher(key, value *yaml.Node, s schema, doc *document, where string) any {
	m := matcher{kind: key.Value}
	switch m.kind {
	case matchNot:
		m.arg = p.wanted(value, s, doc, where)
	case matchContains:
		items := doc.resolve(s["items"])
		m.arg = p.wanted(value, items, doc, where)
	case matchMatches:
		pattern, err := regexp.Compile(value.Value)
		if err != nil {
			p.fail(value, "matches: %s", err)
			return nil
		}
		m.pattern = pattern
	case matchAtLeast, matchAtMost:
		m.arg = plain(value)
		if strings.HasPrefix(value.Value, "$") {
			m.arg = p.special(value)
		} else if _, ok := number(m.arg); !ok {
			p.fail(value, "%s: %q is no number", m.kind, value.Value)
		}
	case matchCount:
		m.count = p.count(value)
	case matchAbsent:
		if value.Value != "true" {
			p.fail(value, "absent: expected true; say { not: … } for something else")
		}
	}
	return m
}

func (p *parser) count(node *yaml.Node) int {
	n := 0
	if err := node.Decode(&n); err != nil || n < 0 {
		p.fail(node, "count: %q is no number of things", node.Value)
	}
	return n
}

// compare tells how what came differs from what was expected, one line for each difference. present is false if there is nothing.
func compare(label string, want, got any, present bool) []string {
	differs := func(expected string) []string {
		if !present {
			return []string{fmt.Sprintf("%s: expected %s, got nothing", label, expected)}
		}
		return []string{fmt.Sprintf("%s: expected %s, got %s", label, expected, show(got))}
	}
	switch want := want.(type) {
	case matcher:
		if want.holds(got, present) {
			return nil
		}
		return differs(want.String())
	case map[string]any:
		if len(want) > 0 && object(got) == nil {
			return differs(show(want))
		}
		var all []string
		for _, name := range keys(want) {
			value, there := object(got)[name]
			all = append(all, compare(label+"."+name, want[name], value, there)...)
		}
		return all
	case []any:
		list, ok := got.([]any)
		if len(want) == 0 && (!present || got == nil) {
			return nil // an empty list is as good as none
		}
		if !ok || len(list) != len(want) {
			return differs(show(want))
		}
		for i := range want {
			if compare("", want[i], list[i], true) != nil {
				return differs(show(want))
			}
		}
		return nil
	}
	if !equal(want, got) || !present && want != nil {
		return differs(show(want))
	}
	return nil
}

// equal compares plain values: numbers by value, anything else by its text.
func equal(want, got any) bool {
	if want == nil || got == nil {
		return want == nil && got == nil
	}
	a, aIs := want.(json.Number)
	b, bIs := got.(json.Number)
	if aIs && bIs {
		x, okX := number(a)
		y, okY := number(b)
		return okX && okY && x.Cmp(y) == 0
	}
	return fmt.Sprint(want) == fmt.Sprint(got)
}

// number reads numbers and texts that are numbers, as amounts of money are in the API.
func number(v any) (*big.Rat, bool) {
	switch v.(type) {
	case json.Number, string:
		text := fmt.Sprint(v)
		if len(text) > 64 || strings.ContainsAny(text, "/eExX_pP") {
			return nil, false
		}
		return new(big.Rat).SetString(text)
	}
	return nil, false
}

func (m matcher) holds(got any, present bool) bool {
	switch m.kind {
	case matchNot:
		return compare("", m.arg, got, present) != nil
	case matchAbsent:
		return !present || got == nil || got == ""
	case matchMatches:
		return present && m.pattern.MatchString(text(got))
	case matchContains:
		if list, ok := got.([]any); ok {
			return slices.ContainsFunc(list, func(one any) bool { return compare("", m.arg, one, true) == nil })
		}
		return present && strings.Contains(text(got), text(m.arg))
	case matchCount:
		list, _ := got.([]any)
		return len(list) == m.count
	}
	a, okA := number(m.arg)
	b, okB := number(got)
	if !okA || !okB { // times are compared as texts; RFC 3339 in UTC sorts
		x, y := text(m.arg), text(got)
		return present && !okA && (m.kind == matchAtLeast && y >= x || m.kind == matchAtMost && y <= x)
	}
	return m.kind == matchAtLeast && b.Cmp(a) >= 0 || m.kind == matchAtMost && b.Cmp(a) <= 0
}

func (m matcher) String() string {
	switch m.kind {
	case matchNot:
		return "anything but " + show(m.arg)
	case matchAbsent:
		return "nothing"
	case matchMatches:
		return "something that matches " + m.pattern.String()
	case matchContains:
		return "something that contains " + show(m.arg)
	case matchAtLeast:
		return "at least " + show(m.arg)
	case matchAtMost:
		return "at most " + show(m.arg)
	}
	return fmt.Sprintf("a list of %d", m.count)
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case map[string]any, []any:
		return show(v)
	}
	return fmt.Sprint(v)
}

// maxShown is how much of a value a message repeats.
const maxShown = 300

// show writes a value for people.
func show(v any) string {
	s := write(v)
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}

func write(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if v == "" {
			return `""`
		}
		return v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = write(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		var parts []string
		for _, k := range keys(v) {
			parts = append(parts, k+": "+write(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case matcher:
		return v.String()
	}
	return fmt.Sprint(v)
}
