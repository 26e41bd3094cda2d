package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/openapi"
)

// schema is a JSON Schema as the document has it, without references at its top.
type schema map[string]any

// operation is an operation of a document: what a step can do.
type operation struct {
	id, method, path string
	summary          string
	mediaType        string // of the body; empty without one
	params           []parameter
	body             schema // of the body, nil without one
	answer           schema // of the first answer that is a success, nil without JSON
	unsigned         bool   // takes no AK/SK
	bearer           bool   // takes a bearer token
	server           string // name of the variable that is its server; empty: the document's
	doc              *document
}

type parameter struct {
	name, in string
	required bool
	schema   schema
}

// document is an OpenAPI document reduced to what steps need.
type document struct {
	root       map[string]any
	operations map[string]*operation
}

var (
	controlDoc = sync.OnceValue(func() *document { return mustLoad("sandbox.yaml") })
	marketDoc  = sync.OnceValue(func() *document { return mustLoad("marketplace.yaml") })
)

// mustLoad panics on a broken document: it is embedded, and tests load it.
func mustLoad(name string) *document {
	text, err := openapi.FS.ReadFile(name)
	if err != nil {
		panic("scenario: " + err.Error())
	}
	d := &document{operations: map[string]*operation{}}
	if err := yaml.Unmarshal(text, &d.root); err != nil {
		panic("scenario: " + name + ": " + err.Error())
	}
	for path, item := range object(d.root["paths"]) {
		server := ""
		if servers, ok := object(item)["servers"].([]any); ok && len(servers) == 1 {
			for name := range object(object(servers[0])["variables"]) {
				server = name
			}
		}
		for method, value := range object(item) {
			op := object(value)
			id, _ := op["operationId"].(string)
			if id == "" {
				continue // servers, parameters
			}
			shared, _ := object(item)["parameters"].([]any)
			own, _ := op["parameters"].([]any)
			o := d.read(id, strings.ToUpper(method), path, op, slices.Concat(shared, own))
			o.server = server
			d.operations[id] = o
		}
	}
	return d
}

func (d *document) read(id, method, path string, op map[string]any, params []any) *operation {
	o := &operation{id: id, method: method, path: path, doc: d}
	o.summary, _ = op["summary"].(string)
	for _, value := range params {
		p := d.resolve(value)
		one := parameter{schema: d.resolve(p["schema"])}
		one.name, _ = p["name"].(string)
		one.in, _ = p["in"].(string)
		one.required, _ = p["required"].(bool)
		if text, ok := p["description"].(string); ok {
			one.schema = maps.Clone(one.schema)
			one.schema["description"] = text
		}
		o.params = append(o.params, one)
	}
	for mediaType, content := range object(d.resolve(op["requestBody"])["content"]) {
		o.mediaType, o.body = mediaType, d.resolve(object(content)["schema"])
	}
	security, own := op["security"].([]any)
	for _, s := range security {
		_, kit := object(s)["kit"]
		o.bearer = o.bearer || kit
	}
	o.unsigned = o.bearer || own && len(security) == 0
	responses := object(op["responses"])
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		if strings.HasPrefix(status, "2") {
			content := object(d.resolve(responses[status])["content"])
			o.answer = d.resolve(object(content["application/json"])["schema"])
			break
		}
	}
	return o
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// resolve follows references within the document.
func (d *document) resolve(v any) schema {
	for {
		m := object(v)
		ref, ok := m["$ref"].(string)
		if !ok {
			return m
		}
		v = d.root
		for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			v = object(v)[part]
		}
	}
}

// field is something that an operation takes.
type field struct {
	name   string
	schema schema
	needed bool
}

// fieldToken is the field in which a step gives the access token of an operation that takes one.
const fieldToken = "token"

// fields lists what an operation takes: its parameters, then the fields of its body.
func (o *operation) fields() []field {
	var all []field
	for _, p := range o.params {
		if p.in != "header" {
			all = append(all, field{p.name, p.schema, p.required})
		}
	}
	if o.server != "" {
		all = append(all, field{o.server, schema{"type": "string", "description": "Address of the server, such as that of a tenant's auth centre."}, true})
	}
	if o.bearer {
		all = append(all, field{fieldToken, schema{"type": "string", "description": "The access token."}, false})
	}
	required, _ := o.body["required"].([]any)
	for _, name := range slices.Sorted(maps.Keys(o.doc.properties(o.body))) {
		all = append(all, field{name, o.doc.resolve(o.doc.properties(o.body)[name]), slices.Contains(required, any(name))})
	}
	return all
}

// main is the field that is meant where a step gives a plain value instead of fields: the one in the path.
func (o *operation) main() string {
	name := ""
	for _, p := range o.params {
		if p.in == "path" {
			if name != "" {
				return ""
			}
			name = p.name
		}
	}
	return name
}

// properties of an object, those of its allOf included.
func (d *document) properties(s schema) map[string]any {
	all := maps.Clone(object(s["properties"]))
	if all == nil {
		all = map[string]any{}
	}
	parts, _ := s["allOf"].([]any)
	for _, part := range parts {
		maps.Copy(all, d.properties(d.resolve(part)))
	}
	return all
}

// types of a schema: string, integer, number, boolean, object, array, null.
func (s schema) types() []string {
	switch t := s["type"].(type) {
	case string:
		return []string{t}
	case []any:
		var all []string
		for _, one := range t {
			all = append(all, fmt.Sprint(one))
		}
		return all
	}
	if s["properties"] != nil || s["additionalProperties"] != nil || s["allOf"] != nil {
		return []string{"object"}
	}
	return nil
}

// enum of a schema, as text.
func (s schema) enum() []string {
	values, _ := s["enum"].([]any)
	var all []string
	for _, v := range values {
		all = append(all, fmt.Sprint(v))
	}
	return all
}
