package scenario

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// question is what an expect or wait step asks: a thing or a list of things, and what must be true of it.
type question struct {
	noun    noun
	subject any // value, named or reference; nil: all
	// filter chooses items of a list.
	filter map[string]any
	// of a single thing: fields. Of a list: its plurals.
	fields []expectation
	count  *int
	each   map[string]any
	first  map[string]any
	last   map[string]any
	none   bool
}

// What can be said of a list besides its fields.
const (
	listCount = "count"
	listEach  = "each"
	listFirst = "first"
	listLast  = "last"
	listNone  = "none"
)

var listWords = []string{listCount, listEach, listFirst, listLast, listNone}

// question reads the fields of expect.
func (p *parser) question(node *yaml.Node) *question {
	if node.Kind != yaml.MappingNode || len(node.Content) == 0 {
		p.fail(node, "expect: expected what and how, such as { instance: crm, status: ready }")
		return nil
	}
	// The noun is the first field that is one: an instance has a status, and so has the sandbox.
	var q *question
	var nounKey *yaml.Node
	for key, value := range p.pairs(node) {
		if i := slices.IndexFunc(nouns, func(n noun) bool { return n.name == key.Value }); i >= 0 && q == nil {
			q, nounKey = &question{noun: nouns[i]}, key
			q.subject = p.subject(q.noun, value)
		}
	}
	if q == nil {
		p.fail(node, "expect: there is no %q to expect of; %s", node.Content[0].Value, expected(node.Content[0].Value, nounNames()))
		return nil
	}
	doc, item := controlDoc(), q.noun.item()
	said := false
	for key, value := range p.pairs(node) {
		if key == nounKey {
			continue
		}
		said = true
		if q.noun.many {
			p.ofList(q, key, value, item, doc)
		} else {
			q.fields = append(q.fields, p.ofThing(key, value, item, doc, q.noun.name)...)
		}
	}
	if !said {
		p.fail(node, "expect: says nothing about %s", nounKey.Value)
	}
	return q
}

// subject reads the value of a noun.
func (p *parser) subject(n noun, node *yaml.Node) any {
	if node.Value == all && node.Kind == yaml.ScalarNode && (n.many || n.param == "" && n.by == "") {
		return nil
	}
	key := n.param
	if key == "" {
		key = n.by
	}
	if key == "" {
		p.fail(node, "%s: expected all", n.name)
		return nil
	}
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		p.fail(node, "%s: expected the name of something that an earlier step saved", n.name)
		return nil
	}
	return p.named(node, key, schema{"type": "string"}, controlDoc())
}

func (p *parser) ofThing(key, value *yaml.Node, item schema, doc *document, noun string) []expectation {
	where, err := parsePath(key.Value)
	if err != nil {
		p.fail(key, "%s", err)
		return nil
	}
	properties := keys(doc.properties(item))
	where[0].name = longName(where[0].name, properties)
	if !slices.Contains(properties, where[0].name) {
		p.fail(key, "%s has no %q; %s", noun, key.Value, expected(key.Value, withShort(properties)))
		return nil
	}
	if err := where.check(item, doc, nil); err != nil {
		p.fail(key, "%s", err)
		return nil
	}
	if k, _, ok := refers(where[len(where)-1].name); ok && value.Kind == yaml.ScalarNode && slices.Contains(p.names, value.Value) {
		return []expectation{{key.Value, where, named{value.Value, k}}}
	}
	return []expectation{{key.Value, where, p.wanted(value, where.schema(item, doc), doc, key.Value)}}
}

func (p *parser) ofList(q *question, key, value *yaml.Node, item schema, doc *document) {
	properties := doc.properties(item)
	names := keys(properties)
	things := func() map[string]any {
		if value.Kind != yaml.MappingNode {
			p.fail(value, "%s: expected fields, such as { status: succeeded }", key.Value)
			return nil
		}
		fields, _ := p.wanted(value, item, doc, q.noun.name).(map[string]any)
		return fields
	}
	switch key.Value {
	case listCount:
		n := p.count(value)
		q.count = &n
		return
	case listEach:
		q.each = things()
		return
	case listFirst:
		q.first = things()
		return
	case listLast:
		q.last = things()
		return
	case listNone:
		q.none = value.Value == "true"
		if !q.none {
			p.fail(value, "none: expected true")
		}
		return
	}
	// A field itself chooses items; its plural is what they have in it.
	if name := longName(key.Value, names); slices.Contains(names, name) && (value.Kind != yaml.SequenceNode || properties[name] != nil && slices.Contains(doc.resolve(properties[name]).types(), "array")) {
		if q.filter == nil {
			q.filter = map[string]any{}
		}
		if k, _, ok := refers(name); ok && value.Kind == yaml.ScalarNode && slices.Contains(p.names, value.Value) {
			q.filter[name] = named{value.Value, k}
			return
		}
		q.filter[name] = p.wanted(value, doc.resolve(properties[name]), doc, key.Value)
		return
	}
	var plurals []string
	for _, name := range names {
		plurals = append(plurals, plural(name))
		if plural(name) != key.Value {
			continue
		}
		if value.Kind != yaml.SequenceNode && value.Kind != yaml.MappingNode {
			p.fail(value, "%s: expected a list, or a field in the singular: %s", key.Value, name)
			return
		}
		list := schema{"type": "array", "items": map[string]any(doc.resolve(properties[name]))}
		q.fields = append(q.fields, expectation{key.Value, path{{name: name}}, p.wanted(value, list, doc, key.Value)})
		return
	}
	if value.Kind == yaml.SequenceNode {
		p.fail(key, "%s have no %q; %s", q.noun.name, key.Value, expected(key.Value, plurals))
		return
	}
	p.fail(key, "%s have no %q; %s", q.noun.name, key.Value, expected(key.Value, slices.Concat(withShort(names), listWords)))
}

// judge tells what is not as the question wants it, of an answer's items, oldest first, or of the one thing.
func (q *question) judge(items []any) []string {
	if !q.noun.many {
		if len(items) == 0 {
			return []string{fmt.Sprintf("there is no such %s", q.noun.name)}
		}
		var differences []string
		for _, e := range q.fields {
			got, present := e.path.in(items[0])
			differences = append(differences, compare(e.label, e.want, got, present)...)
		}
		return differences
	}
	var chosen []any
	for _, item := range items {
		if len(compare("", q.filter, item, true)) == 0 {
			chosen = append(chosen, item)
		}
	}
	what := q.noun.name
	if len(q.filter) > 0 {
		what += " with " + show(q.filter)
	}
	var differences []string
	fail := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	if q.none {
		if len(chosen) > 0 {
			fail("%s: expected none, got %d", what, len(chosen))
		}
		return differences
	}
	if q.count != nil && len(chosen) != *q.count {
		fail("%s: expected %d, got %d", what, *q.count, len(chosen))
	}
	for _, e := range q.fields {
		list := make([]any, len(chosen))
		for i, item := range chosen {
			list[i], _ = e.path.in(item)
		}
		differences = append(differences, compare(e.label, e.want, list, true)...)
	}
	for i, item := range chosen {
		differences = append(differences, compare(fmt.Sprintf("%s, number %d", what, i+1), q.each, item, true)...)
	}
	if len(chosen) == 0 && q.count == nil && (len(q.fields) == 0 || q.each != nil) {
		fail("%s: expected at least one, got none", what)
		return differences
	}
	for word, fields := range map[string]map[string]any{listFirst: q.first, listLast: q.last} {
		if fields == nil {
			continue
		}
		if len(chosen) == 0 {
			fail("%s: expected at least one, got none", what)
			continue
		}
		item := chosen[0]
		if word == listLast {
			item = chosen[len(chosen)-1]
		}
		differences = append(differences, compare(word+" of the "+what, fields, item, true)...)
	}
	return differences
}

// resolved is the question with everything filled in that steps saved.
func (q *question) resolved(fill func(any) (any, error)) (*question, error) {
	r := *q
	var err error
	fillAll := func(m map[string]any) map[string]any {
		if m == nil || err != nil {
			return m
		}
		var v any
		if v, err = fill(maps.Clone(m)); err != nil {
			return nil
		}
		return object(v)
	}
	r.filter, r.each, r.first, r.last = fillAll(q.filter), fillAll(q.each), fillAll(q.first), fillAll(q.last)
	if err == nil && q.subject != nil {
		r.subject, err = fill(q.subject)
	}
	r.fields = slices.Clone(q.fields)
	for i := range r.fields {
		if err == nil {
			r.fields[i].want, err = fill(r.fields[i].want)
		}
	}
	return &r, err
}
