package market

import (
	_ "embed" // fields.yaml
	"maps"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed fields.yaml
var fieldsYAML []byte

// fields are those that every document may ask for. The file is embedded, and a test reads it.
var fields = sync.OnceValue(func() map[string]Field {
	var all map[string]Field
	dec := yaml.NewDecoder(strings.NewReader(string(fieldsYAML)))
	dec.KnownFields(true)
	if err := dec.Decode(&all); err != nil {
		panic("market: fields.yaml: " + err.Error())
	}
	return all
})

// Fields are the fields of a profile that every document may ask for, by path, such as "company.staff". A document may add its own;
// Policy.AllFields has both.
func Fields() map[string]Field { return maps.Clone(fields()) }

// AllFields are the fields that this policy may ask for: the common ones and its own.
func (p *Policy) AllFields() map[string]Field {
	all := Fields()
	maps.Copy(all, p.Fields)
	return all
}

// Field is one of AllFields. The zero Field, if there is none of that name.
func (p *Policy) Field(path string) Field {
	if f, ok := p.Fields[path]; ok {
		return f
	}
	return fields()[path]
}

// Asked are the fields that the conditions of a category really ask for, in the order in which the document comes to them.
func (p *Policy) Asked(category string) []string {
	var asked []string
	seen := map[string]bool{}
	var add func(t *Test)
	add = func(t *Test) {
		if t == nil {
			return
		}
		if t.Field != "" && !seen[t.Field] {
			seen[t.Field] = true
			asked = append(asked, t.Field)
		}
		for _, more := range [][]Test{t.All, t.Any} {
			for i := range more {
				add(&more[i])
			}
		}
		add(t.Not)
	}
	for _, c := range p.ConditionsFor(category) {
		add(c.When)
		add(&c.Needs)
	}
	for i := range p.Papers {
		add(p.Papers[i].When)
	}
	for i := range p.Onboarding {
		add(p.Onboarding[i].When)
		add(p.Onboarding[i].Done)
	}
	for i := range p.Charges {
		add(p.Charges[i].When)
	}
	for i := range p.Deposit.Waivers {
		add(p.Deposit.Waivers[i].When)
	}
	for i := range p.Promotions {
		if concerns(p.Promotions[i].Categories, category) {
			add(p.Promotions[i].When)
		}
	}
	return asked
}

// Who answers a field.
const (
	FromProfile = "profile" // the seller; also where From is empty
	FromReport  = "report"  // the report of the conformance runner
	FromPackage = "package" // the linter of a package
)

// FieldPaths are the paths of Fields in the order of fields.yaml, in which people are asked.
func FieldPaths() []string {
	var root yaml.Node
	if err := yaml.Unmarshal(fieldsYAML, &root); err != nil {
		panic("market: fields.yaml: " + err.Error()) // it is embedded, and a test reads it
	}
	var paths []string
	for i := 0; i+1 < len(root.Content[0].Content); i += 2 {
		paths = append(paths, root.Content[0].Content[i].Value)
	}
	return paths
}
