package readiness

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/sandbox/market"
)

// tree is the fields of a profile by the parts of their paths, in the order in which people are asked.
type tree struct {
	name  string
	field *market.Field
	below []*tree
}

func (t *tree) put(path string, f market.Field) {
	first, rest, deeper := strings.Cut(path, ".")
	at := slices.IndexFunc(t.below, func(b *tree) bool { return b.name == first })
	if at < 0 {
		at = len(t.below)
		t.below = append(t.below, &tree{name: first})
	}
	if deeper {
		t.below[at].put(rest, f)
		return
	}
	t.below[at].field = &f
}

// treeOf are the fields that a profile answers: the common ones in their order, then others by name.
func treeOf(fields map[string]market.Field, wanted func(path string) bool) *tree {
	paths := market.FieldPaths()
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	root := &tree{}
	for _, path := range paths {
		f, ok := fields[path]
		if ok && (f.From == "" || f.From == market.FromProfile) && wanted(path) {
			root.put(path, f)
		}
	}
	return root
}

// Template is an empty profile with a comment for every answer. It is right as it stands: nothing is answered. For a market and categories it has
// what these ask for, without a market what any asks for.
func Template(set *market.Set, policy *market.Policy, categories []string) string {
	return template(set, policy, categories, false)
}

// template fills the examples in if it is asked to.
func template(set *market.Set, policy *market.Policy, categories []string, filled bool) string {
	known := vocabularyOf(set)
	all := func(string) bool { return true }
	asked, markets := all, set.Names()
	if policy != nil {
		fields := map[string]bool{}
		for _, category := range categories {
			for _, path := range policy.Asked(category) {
				fields[path] = true
			}
		}
		asked, markets = func(path string) bool { return fields[path] }, []string{policy.Market}
	}
	var b strings.Builder
	t := &templater{b: &b, filled: filled}
	b.WriteString(`# What you say about your company and your product, for isv-conformance readiness.
# Leave empty what you do not know; it is told as not answered. Days are written 2026-01-31, lists [one, two].
# isv-conformance readiness --schema prints a JSON Schema with which editors complete and check this file.

`)
	t.line("", keyName, "", "Your name, as the output shows it", `"Example Software Ltd"`)
	common := map[string]market.Field{}
	for path, f := range market.Fields() {
		if _, ok := known.fields[path]; ok {
			common[path] = f
		}
	}
	for _, group := range treeOf(common, asked).below {
		b.WriteString("\n")
		t.tree(group, "")
	}
	b.WriteString("\n# What is for one market alone. Any answer from above may be given here too, and is taken for this market instead.\n")
	b.WriteString(keyMarkets + ":\n")
	for _, name := range markets {
		m := known.markets[name]
		fmt.Fprintf(&b, "  %s:\n", name)
		t.list(keyPapers, "papers that are at hand", m.papers)
		t.list(keyDone, "steps that are taken", m.done)
		own := map[string]market.Field{}
		for path, f := range m.fields {
			if _, isCommon := common[path]; !isCommon {
				own[path] = f
			}
		}
		for _, group := range treeOf(own, asked).below {
			t.tree(group, "    ")
		}
	}
	return b.String()
}

type templater struct {
	b      *strings.Builder
	filled bool
}

func (t *templater) tree(n *tree, indent string) {
	if n.field == nil {
		fmt.Fprintf(t.b, "%s%s:\n", indent, n.name)
		for _, below := range n.below {
			t.tree(below, indent+"  ")
		}
		return
	}
	var answers string
	switch f := n.field; {
	case f.Kind == market.KindYesNo:
		answers = "true or false"
	case len(f.Values) > 0:
		answers = strings.Join(f.Values, ", ")
	default:
		answers = "such as " + f.Example
	}
	t.line(indent, n.name, answers, n.field.Asks, n.field.Example)
}

func (t *templater) line(indent, name, answers, asks, example string) {
	value := indent + name + ":"
	if t.filled {
		value += " " + example
	}
	comment := asks
	if answers != "" {
		comment += " (" + answers + ")"
	}
	fmt.Fprintf(t.b, "%-26s # %s\n", value, comment)
}

func (t *templater) list(name, what string, ids []string) {
	value := "[]"
	if t.filled {
		value = "[" + strings.Join(ids, ", ") + "]"
	}
	if len(ids) == 0 {
		return
	}
	fmt.Fprintf(t.b, "    # %s: %s\n    %s: %s\n", what, strings.Join(ids, ", "), name, value)
}

// ---- schema ------------------------------------------------------------------------------------------------------------------

type object = map[string]any

// Schema is the JSON Schema of profiles for the markets of the set, for editors. [ParseProfile] says the same with hints.
func Schema(set *market.Set) []byte {
	known := vocabularyOf(set)
	all := func(string) bool { return true }
	root := treeOf(known.fields, all).schema()
	properties := root["properties"].(object)
	properties[keyName] = object{"type": []string{"string", "null"}, "description": "What the ISV is called, for people."}
	properties[keyPapers] = idsSchema(known.papers, "Papers that are at hand, for any market.")
	markets := object{}
	for name, m := range known.markets {
		s := treeOf(m.fields, all).schema()
		p := s["properties"].(object)
		p[keyPapers] = idsSchema(m.papers, "Papers that are at hand.")
		p[keyDone] = idsSchema(m.done, "Steps of the onboarding that are taken.")
		markets[name] = s
	}
	properties[keyMarkets] = object{
		"type": []string{"object", "null"}, "additionalProperties": false, "properties": markets,
		"description": "Answers that are for one market alone.",
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Profile of an ISV for isv-conformance readiness"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("readiness: " + err.Error()) // it is made of maps and texts
	}
	return append(text, '\n')
}

func idsSchema(ids []string, description string) object {
	s := object{"type": []string{"array", "null"}, "description": description}
	if len(ids) == 0 {
		s["maxItems"] = 0
	} else {
		s["items"] = object{"enum": ids}
	}
	return s
}

func (t *tree) schema() object {
	if t.field != nil {
		return fieldSchema(*t.field)
	}
	properties := object{}
	for _, below := range t.below {
		properties[below.name] = below.schema()
	}
	return object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
}

func fieldSchema(f market.Field) object {
	text := func() object {
		if len(f.Values) > 0 {
			return object{"enum": f.Values}
		}
		return object{"type": "string"}
	}
	s := object{}
	switch f.Kind {
	case market.KindNumber:
		s["type"] = "number"
	case market.KindYesNo:
		s["type"] = "boolean"
	case market.KindDate:
		s["type"], s["pattern"] = "string", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
	case market.KindTexts:
		s["type"], s["items"] = "array", text()
	default:
		s = text()
	}
	return object{"anyOf": []object{s, {"type": "null"}}, "description": f.Asks}
}
