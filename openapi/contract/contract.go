// Package contract compares bodies with the documents. An OpenAPI 3.1 schema is a JSON Schema (2020-12), so the schemas are
// compiled once, straight from the document, and used for every body that crosses the sandbox or the judge.
//
// The SDK does not use it: there the generated table of package providerapi does the same for calls, without a validator.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/isvkit/isvkit/openapi"
)

// Document is one of the contract's documents, ready to validate.
type Document struct {
	name string
	root map[string]any

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*Schema
}

// Provider is provider.yaml.
var Provider = sync.OnceValue(func() *Document { return mustLoad("provider.yaml") })

// ProviderV1 is provider-v1.yaml.
var ProviderV1 = sync.OnceValue(func() *Document { return mustLoad("provider-v1.yaml") })

// Marketplace is marketplace.yaml.
var Marketplace = sync.OnceValue(func() *Document { return mustLoad("marketplace.yaml") })

// mustLoad panics on a broken document: it is embedded, and a test loads it.
func mustLoad(name string) *Document {
	d, err := load(name)
	if err != nil {
		panic("contract: " + err.Error())
	}
	return d
}

func load(name string) (*Document, error) {
	text, err := openapi.FS.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	object, ok := root.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: is no object", name)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(url(name), root); err != nil {
		return nil, err
	}
	return &Document{name: name, root: object, compiler: c, compiled: map[string]*Schema{}}, nil
}

func url(name string) string { return "isvkit:///" + name }

// Schema validates one kind of body.
type Schema struct{ schema *jsonschema.Schema }

// At gives the schema at a JSON pointer, such as `/components/schemas/Answer`.
func (d *Document) At(pointer string) (*Schema, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.compiled[pointer]; ok {
		return s, nil
	}
	compiled, err := d.compiler.Compile(url(d.name) + "#" + pointer)
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w", d.name, pointer, err)
	}
	s := &Schema{compiled}
	d.compiled[pointer] = s
	return s, nil
}

// Call gives the schema of a call's body, by the name of the webhook.
func (d *Document) Call(name string) (*Schema, error) {
	return d.resolved("/webhooks/" + name + "/post/requestBody")
}

// Answer gives the schema of a call's answer, by the name of the webhook.
func (d *Document) Answer(name string) (*Schema, error) {
	if s, err := d.resolved("/webhooks/" + name + "/post/responses/200"); err == nil {
		return s, nil
	}
	return d.resolved("/webhooks/" + name + "/get/responses/200") // the base calls of V1
}

// Request gives the schema of an operation's request body.
func (d *Document) Request(method, path string) (*Schema, error) {
	return d.resolved(operation(method, path) + "/requestBody")
}

// Response gives the schema of an operation's answer with this HTTP status.
func (d *Document) Response(method, path string, status int) (*Schema, error) {
	return d.resolved(fmt.Sprintf("%s/responses/%d", operation(method, path), status))
}

func operation(method, path string) string {
	return "/paths/" + strings.ReplaceAll(strings.ReplaceAll(path, "~", "~0"), "/", "~1") + "/" + strings.ToLower(method)
}

// resolved gives the JSON schema of the body or response at pointer, following a reference there: JSON Schema itself knows none
// to responses.
func (d *Document) resolved(pointer string) (*Schema, error) {
	var node any = d.root
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		object, _ := node.(map[string]any)
		if node = object[strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")]; node == nil {
			return nil, fmt.Errorf("%s has nothing at %s", d.name, pointer)
		}
	}
	if object, ok := node.(map[string]any); ok {
		if ref, ok := object["$ref"].(string); ok {
			pointer = strings.TrimPrefix(ref, "#")
		}
	}
	return d.At(pointer + "/content/application~1json/schema")
}

// Meaning says what a value of an enumeration in components/schemas means, in the words of the document; empty if it is not one.
func (d *Document) Meaning(schema, value string) string {
	node := d.root
	for _, key := range []string{"components", "schemas", schema} {
		node, _ = node[key].(map[string]any)
	}
	values, _ := node["enum"].([]any)
	texts, _ := node["x-enum-descriptions"].([]any)
	for i, v := range values {
		if v == value && i < len(texts) {
			text, _ := texts[i].(string)
			return text
		}
	}
	return ""
}

var printer = message.NewPrinter(language.English)

// Violations tells everything in the body that is not as the schema says, one sentence each, in a stable order: where, then
// what. Values are not quoted. A body that is no JSON is one violation.
func (s *Schema) Violations(body []byte) []string {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return []string{"the body is not JSON"}
	}
	err = s.schema.Validate(value)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	var found []string
	collect(invalid, &found)
	slices.Sort(found)
	return slices.Compact(found)
}

func collect(e *jsonschema.ValidationError, found *[]string) {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			collect(cause, found)
		}
		return
	}
	where := strings.Join(e.InstanceLocation, ".")
	if where != "" {
		where += ": "
	}
	*found = append(*found, where+describe(e.ErrorKind))
}

// describe words the kinds whose usual wording quotes the value.
func describe(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Pattern:
		return "does not match " + k.Want
	case *kind.Required:
		return "is missing " + strings.Join(k.Missing, ", ")
	case *kind.Type:
		return "is of type " + k.Got + ", expected " + strings.Join(k.Want, " or ")
	case *kind.MaxLength:
		return fmt.Sprintf("is %d characters long, expected at most %d", k.Got, k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("is %d characters long, expected at least %d", k.Got, k.Want)
	}
	return k.LocalizedString(printer)
}
