package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A value of a step is what encoding/json would make of it (numbers as json.Number), or one of these, which are filled in while the
// file is played.
type (
	// reference is what an earlier step saved, or something in it: $crm.order.orderId.
	reference struct {
		name string
		path path
	}
	// named is a saved name in a field that refers to what was saved: instance: crm.
	named struct{ name, key string }
	// moment is a time on the sandbox's clock: $now, $now-90m.
	moment struct{ offset time.Duration }
)

var (
	nameForm   = regexp.MustCompile(`^[a-z][A-Za-z0-9_]*$`)
	momentForm = regexp.MustCompile(`^\$now(?:([+-])([0-9a-z.]+))?$`)
	daysForm   = regexp.MustCompile(`^([0-9]{1,6})d(.*)$`)
)

// duration reads what the control API reads, for times of our own: days in front of what time.ParseDuration reads.
func duration(text string) (time.Duration, error) {
	var total time.Duration
	rest := text
	if m := daysForm.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // six digits
		if n > 36600 {
			return 0, fmt.Errorf("%q is too long, expected at most 36600d", text)
		}
		total, rest = time.Duration(n)*24*time.Hour, m[2]
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 {
			return 0, fmt.Errorf("%q is no duration, expected such as 90s, 36h or 366d", text)
		}
		total += d
	}
	if text == "" {
		return 0, errors.New("the duration is empty, expected such as 90s, 36h or 366d")
	}
	return total, nil
}

// special reads the values that begin with a dollar.
func (p *parser) special(node *yaml.Node) any {
	text := node.Value
	if strings.HasPrefix(text, "$$") {
		return text[1:]
	}
	if m := momentForm.FindStringSubmatch(text); m != nil {
		var at moment
		if m[2] != "" {
			d, err := duration(m[2])
			if err != nil {
				p.fail(node, "%s: %s", text, err)
			}
			at.offset = d
			if m[1] == "-" {
				at.offset = -d
			}
		}
		return at
	}
	name, rest, _ := strings.Cut(text[1:], ".")
	if !slices.Contains(p.names, name) {
		p.unsaved(node, name)
	}
	if rest == "" {
		return reference{name: name}
	}
	steps, err := parsePath(rest)
	if err != nil {
		p.fail(node, "%s: %s", text, err)
	}
	return reference{name, steps}
}

func (p *parser) unsaved(node *yaml.Node, name string) {
	if len(p.names) == 0 {
		p.fail(node, "no step before this one saves anything under the name %q; give that step `as: %s`", name, name)
		return
	}
	p.fail(node, "no step before this one saves anything under the name %q; %s", name, expected(name, p.names))
}

// value reads a node as a schema says.
func (p *parser) value(node *yaml.Node, s schema, doc *document, where string) any {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.ScalarNode:
		return p.scalar(node, s, where)
	case yaml.SequenceNode:
		if t := s.types(); t != nil && !slices.Contains(t, "array") {
			p.fail(node, "%s: expected %s, not a list", where, typeNames(t))
			return nil
		}
		items := doc.resolve(s["items"])
		list := []any{}
		for _, n := range node.Content {
			list = append(list, p.value(n, items, doc, where))
		}
		return list
	case yaml.MappingNode:
		if t := s.types(); t != nil && !slices.Contains(t, "object") {
			p.fail(node, "%s: expected %s, not fields", where, typeNames(t))
			return nil
		}
		return p.fields(node, s, doc, where)
	}
	p.fail(node, "%s: expected a value", where)
	return nil
}

func (p *parser) fields(node *yaml.Node, s schema, doc *document, where string) any {
	properties := doc.properties(s)
	names := slices.Sorted(maps.Keys(properties))
	more, open := s["additionalProperties"]
	values := map[string]any{}
	for key, n := range p.pairs(node) {
		name := longName(key.Value, names)
		property, known := properties[name]
		switch {
		case known:
			values[name] = p.named(n, name, doc.resolve(property), doc)
		case open && more != false, len(names) == 0:
			values[key.Value] = p.value(n, doc.resolve(more), doc, key.Value)
		default:
			p.fail(key, "%s has no field %q; %s", where, key.Value, expected(key.Value, withShort(names)))
		}
	}
	return values
}

// named reads the value of a field, which may be the name of something saved.
func (p *parser) named(node *yaml.Node, name string, s schema, doc *document) any {
	key, must, ok := refers(name)
	if !ok || node.Kind != yaml.ScalarNode || strings.HasPrefix(node.Value, "$") {
		return p.value(node, s, doc, name)
	}
	if slices.Contains(p.names, node.Value) {
		return named{node.Value, key}
	}
	if must && nameForm.MatchString(node.Value) {
		p.unsaved(node, node.Value)
		return nil
	}
	return p.value(node, s, doc, name)
}

func typeNames(types []string) string {
	words := map[string]string{
		"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "object": "fields", "array": "a list", "null": "nothing",
	}
	var all []string
	for _, t := range types {
		all = append(all, words[t])
	}
	return strings.Join(all, " or ")
}

func (p *parser) scalar(node *yaml.Node, s schema, where string) any {
	if strings.HasPrefix(node.Value, "$") {
		return p.special(node)
	}
	types := s.types()
	wrong := func() any {
		p.fail(node, "%s: %q is not %s", where, node.Value, typeNames(types))
		return nil
	}
	if values := s.enum(); values != nil && !slices.Contains(values, node.Value) {
		p.fail(node, "%s: there is no %q; %s", where, node.Value, expected(node.Value, values))
		return nil
	}
	switch {
	case len(types) == 0:
		return plain(node)
	case node.Tag == "!!null":
		if slices.Contains(types, "null") {
			return nil
		}
		return wrong()
	case slices.Contains(types, "string"):
		return node.Value
	case slices.Contains(types, "integer"):
		if _, err := strconv.ParseInt(node.Value, 10, 64); err != nil {
			return wrong()
		}
		return json.Number(node.Value)
	case slices.Contains(types, "number"):
		if _, err := strconv.ParseFloat(node.Value, 64); err != nil || !json.Valid([]byte(node.Value)) {
			return wrong()
		}
		return json.Number(node.Value)
	case slices.Contains(types, "boolean"):
		if node.Tag != "!!bool" {
			return wrong()
		}
		return strings.EqualFold(node.Value, "true")
	}
	return wrong()
}

// plain is a scalar of which nothing is known.
func plain(node *yaml.Node) any {
	switch node.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(node.Value, "true")
	case "!!int", "!!float":
		if json.Valid([]byte(node.Value)) {
			return json.Number(node.Value)
		}
	}
	return node.Value
}
