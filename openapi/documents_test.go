package openapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/providerapi"
)

var documents = []string{"provider.yaml", "provider-v1.yaml", "marketplace.yaml", "sandbox.yaml"}

func load(t *testing.T, name string) *openapi3.T {
	t.Helper()
	text, err := openapi.FS.ReadFile(name)
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	return doc
}

// operations gives every operation of a document by a name for messages.
func operations(doc *openapi3.T) map[string]*openapi3.Operation {
	all := map[string]*openapi3.Operation{}
	for name, item := range doc.Webhooks {
		for method, op := range item.Operations() {
			all[method+" webhook "+name] = op
		}
	}
	if doc.Paths != nil {
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				all[method+" "+path] = op
			}
		}
	}
	return all
}

func TestDocuments_AreValid(t *testing.T) {
	t.Parallel()
	for _, name := range documents {
		doc := load(t, name)
		require.Equal(t, "3.1.0", doc.OpenAPI)
		require.NoError(t, doc.Validate(t.Context()), name)
	}
}

func TestDocuments_OperationIdsAreUnique(t *testing.T) {
	t.Parallel()
	counts := map[string]int{"provider.yaml": 17, "provider-v1.yaml": 12, "marketplace.yaml": 3, "sandbox.yaml": 15}
	for _, name := range documents {
		seen := map[string]string{}
		for where, op := range operations(load(t, name)) {
			require.NotEmpty(t, op.OperationID, "%s: %s", name, where)
			require.NotEmpty(t, op.Summary, "%s: %s", name, where)
			require.Empty(t, seen[op.OperationID], "%s: %s has the operation id of another", name, where)
			seen[op.OperationID] = where
		}
		require.GreaterOrEqual(t, len(seen), counts[name], name)
	}
}

// TestDocuments_ExamplesAreAsTheSchemasSay walks every schema and validates its example against it.
func TestDocuments_ExamplesAreAsTheSchemasSay(t *testing.T) {
	t.Parallel()
	for name, document := range map[string]*contract.Document{"provider.yaml": contract.Provider(), "provider-v1.yaml": contract.ProviderV1(), "marketplace.yaml": contract.Marketplace()} {
		checked := 0
		walk(tree(t, name), "", func(pointer string, node map[string]any) {
			example, has := node["example"]
			if !has || node["in"] != nil || strings.Contains(pointer, "/example") {
				return // parameters carry their example beside the schema; see below
			}
			schema, err := document.At(pointer)
			require.NoError(t, err)
			text, err := json.Marshal(example)
			require.NoError(t, err)
			require.Empty(t, schema.Violations(text), "%s%s: the example %s", name, pointer, text)
			checked++
		})
		walk(tree(t, name), "", func(pointer string, node map[string]any) {
			if node["in"] == nil || node["schema"] == nil {
				return
			}
			require.Contains(t, node, "example", "%s%s", name, pointer)
			schema, err := document.At(pointer + "/schema")
			require.NoError(t, err)
			text, err := json.Marshal(node["example"])
			require.NoError(t, err)
			require.Empty(t, schema.Violations(text), "%s%s: the example %s", name, pointer, text)
			checked++
		})
		require.Greater(t, checked, 50, name)
	}
}

// TestDocuments_EveryFieldSaysWhatItIsAndWhoSaysSo holds the promise of README.md: each field of the contract has a description,
// an example, a source and how sure we are of it.
func TestDocuments_EveryFieldSaysWhatItIsAndWhoSaysSo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"provider.yaml", "provider-v1.yaml", "marketplace.yaml"} {
		root := tree(t, name)
		sources, confidences := keysOf(t, root["x-sources"]), keysOf(t, root["x-confidences"])
		fields := 0
		walk(root, "", func(pointer string, node map[string]any) {
			parts := strings.Split(pointer, "/")
			if strings.Contains(pointer, "/example") || len(parts) < 3 || parts[len(parts)-2] != "properties" && node["in"] == nil || strings.Contains(pointer, "/if/") {
				return
			}
			if node["$ref"] != nil || strings.Contains(pointer, "securitySchemes") {
				return
			}
			fields++
			for _, key := range []string{"description", "x-source", "x-confidence"} {
				require.NotEmpty(t, node[key], "%s%s has no %s", name, pointer, key)
			}
			if node["items"] == nil && node["in"] == nil {
				require.Contains(t, node, "example", "%s%s", name, pointer)
			}
		})
		require.Greater(t, fields, 40, name)
		walk(root, "", func(pointer string, node map[string]any) {
			if list, ok := node["x-source"].([]any); ok {
				for _, id := range list {
					require.Contains(t, sources, id, "%s%s", name, pointer)
				}
			}
			if c, ok := node["x-confidence"]; ok {
				require.Contains(t, confidences, c, "%s%s", name, pointer)
			}
		})
	}
}

func keysOf(t *testing.T, node any) []any {
	t.Helper()
	object, ok := node.(map[string]any)
	require.True(t, ok)
	var keys []any
	for _, k := range slices.Sorted(maps.Keys(object)) {
		keys = append(keys, k)
	}
	return keys
}

func tree(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := openapi.FS.ReadFile(name)
	require.NoError(t, err)
	var root map[string]any
	require.NoError(t, yaml.Unmarshal(text, &root))
	return root
}

// walk visits every object of a tree with its JSON pointer.
func walk(node any, pointer string, visit func(pointer string, node map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		visit(pointer, node)
		for key, child := range node {
			walk(child, pointer+"/"+strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1"), visit)
		}
	case []any:
		for i, child := range node {
			walk(child, fmt.Sprintf("%s/%d", pointer, i), visit)
		}
	}
}

// TestFieldTable_AgreesWithTheSchemas compares the SDK's generated table with the schemas, over the example of each call and
// over every single change of it from a list: both must call it right, or both wrong.
func TestFieldTable_AgreesWithTheSchemas(t *testing.T) {
	t.Parallel()
	values := []string{
		`null`, `""`, `"x"`, `"` + strings.Repeat("x", 20) + `"`, `"` + strings.Repeat("x", 64) + `"`, `"` + strings.Repeat("x", 65) + `"`,
		`"` + strings.Repeat("中", 64) + `"`, `"` + strings.Repeat("中", 65) + `"`, `"` + strings.Repeat(`A`, 64) + `"`,
		`"` + strings.Repeat("x", 128) + `"`, `"` + strings.Repeat("x", 129) + `"`, `"` + strings.Repeat("x", 255) + `"`, `"` + strings.Repeat("x", 256) + `"`,
		`0`, `1`, `2`, `3`, `4`, `-1`, `1.5`, `"0"`, `"1"`, `true`, `[]`, `{}`, `"20221124023618"`, `"20221124023618256"`, `"2022112402361825"`, `"https://a"`, `"http://a"`,
		`"RENEWAL"`, `"renewal"`, `"FREEZE"`, `"UNFREEZE"`, `"newInstance"`,
	}
	compared := 0
	for _, call := range providerapi.Calls {
		doc := load(t, "provider.yaml")
		schema, err := contract.Provider().Call(call.Name)
		require.NoError(t, err)
		body := doc.Webhooks[call.Name].Post.RequestBody.Value.Content.Get("application/json").Schema.Value
		example, err := json.Marshal(body.Example)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(doc.Webhooks[call.Name].Post.Extensions["x-interface-class"]), string(call.Class))
		for _, field := range call.Fields {
			for _, value := range append(values, "") {
				if field.ItemMax > 0 && strings.Trim(value, `"x中A01`) == "" && len(value) > 4 {
					continue // a list's items are counted one by one; the schema knows the whole length only
				}
				if field.Kind == providerapi.KindObjectOrText || field.Kind == providerapi.KindArrayOrText {
					if strings.HasPrefix(value, `"`) {
						continue // the schema cannot look into text; the table does
					}
				}
				var changed map[string]json.RawMessage
				require.NoError(t, json.Unmarshal(example, &changed))
				if value == "" {
					delete(changed, field.Name)
				} else {
					changed[field.Name] = json.RawMessage(value)
				}
				if value == "null" && !field.Required {
					continue // the table reads a null as absent, as the marketplace's own sample drops it
				}
				text, err := json.Marshal(changed)
				require.NoError(t, err)
				bySchema, byTable := schema.Violations(text), call.Check(changed)
				require.Equal(t, len(bySchema) == 0, len(byTable) == 0, "%s.%s = %s: schema says %v, table says %v", call.Name, field.Name, value, bySchema, byTable)
				compared++
			}
		}
	}
	require.Greater(t, compared, 2000)
}

// TestFieldTableV1_AgreesWithTheSchemas does the same for V1, whose fields are parameters of a query, or fields of a body that are
// taken as text: the example of each call passes, and each single change of it gets one verdict from table and schema.
func TestFieldTableV1_AgreesWithTheSchemas(t *testing.T) {
	t.Parallel()
	values := []string{
		"x", strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("中", 65), strings.Repeat("x", 129), strings.Repeat("x", 256), strings.Repeat("x", 2049),
		"0", "1", "2", "3", "5", "-1", "1.5", "12345678", "20221124023618", "20221124023618256", "2022112402361825", "https://a", "http://a", "year", "FREEZE", "NORMAL", "UNFREEZE",
	}
	doc := load(t, "provider-v1.yaml")
	require.Len(t, providerapi.CallsV1, len(doc.Webhooks))
	compared := 0
	for _, call := range providerapi.CallsV1 {
		item := doc.Webhooks[call.Name]
		example, schemas, numbers := map[string]string{}, map[string]string{}, map[string]bool{}
		if item.Get != nil {
			require.Empty(t, call.SubPath)
			require.Equal(t, providerapi.ClassBase, call.Class)
			for i, p := range item.Get.Parameters {
				if p.Value.Required {
					example[p.Value.Name] = fmt.Sprint(p.Value.Example)
				}
				pointer := fmt.Sprintf("/webhooks/%s/get/parameters/%d/schema", call.Name, i)
				if name, ok := strings.CutPrefix(p.Ref, "#"); ok {
					pointer = name + "/schema"
				}
				schemas[p.Value.Name] = pointer
			}
		} else {
			require.Equal(t, "/produceAPI/"+call.Name, call.SubPath)
			require.Equal(t, providerapi.ClassKit, call.Class)
			body := item.Post.RequestBody.Value.Content.Get("application/json").Schema.Value
			fields, ok := body.Example.(map[string]any)
			require.True(t, ok)
			for name, value := range fields {
				example[name] = fmt.Sprint(value)
				schemas[name] = "/components/schemas/" + strings.ToUpper(call.Name[:1]) + call.Name[1:] + "Call/properties/" + name
				numbers[name] = body.Properties[name].Value.Type.Is("integer")
			}
		}
		require.Empty(t, call.CheckText(example), call.Name)
		require.Len(t, schemas, len(call.Fields), call.Name)
		for _, field := range call.Fields {
			schema, err := contract.ProviderV1().At(schemas[field.Name])
			require.NoError(t, err)
			for _, value := range values {
				if field.ItemMax > 0 && len(value) > 64 {
					continue // items are counted one by one; the schema knows the whole length only
				}
				changed := maps.Clone(example)
				changed[field.Name] = value
				text, err := json.Marshal(value)
				require.NoError(t, err)
				if numbers[field.Name] && strings.Trim(value, "-.0123456789") == "" {
					text = []byte(value)
				}
				bySchema, byTable := schema.Violations(text), call.CheckText(changed)
				require.Equal(t, len(bySchema) == 0, len(byTable) == 0, "%s.%s = %s: schema says %v, table says %v", call.Name, field.Name, value, bySchema, byTable)
				compared++
			}
			changed := maps.Clone(example)
			delete(changed, field.Name)
			mayBeEmpty := !field.Required || field.MinLength == 0 && field.Kind == providerapi.KindString && len(field.Enum) == 0
			require.Equal(t, mayBeEmpty, len(call.CheckText(changed)) == 0, "%s without %s", call.Name, field.Name)
		}
	}
	require.Greater(t, compared, 1500)
}

// TestImports holds the arrow openapi → sdk → sandbox → conformance → examples, and what the SDK must not drag in.
func TestImports(t *testing.T) {
	t.Parallel()
	deps := func(patterns ...string) []string {
		out, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, patterns...)...).Output()
		require.NoError(t, err, patterns)
		list := strings.Fields(string(out))
		require.Greater(t, len(list), 10, patterns)
		return list
	}
	const module = "github.com/isvkit/isvkit/"
	order := []string{"openapi", "sdk", "sandbox", "conformance", "examples"}
	for i, part := range order {
		for _, dep := range deps(module + part + "/...") {
			for _, later := range order[i+1:] {
				require.False(t, strings.HasPrefix(dep, module+later), "%s imports %s", part, dep)
			}
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", module+"sdk/...").Output()
	require.NoError(t, err)
	withoutDatabase := slices.DeleteFunc(strings.Fields(string(out)), func(pkg string) bool { return strings.HasSuffix(pkg, "/sqlstore") })
	for _, dep := range deps(withoutDatabase...) {
		require.NotEqual(t, "database/sql", dep) // its interfaces in database/sql/driver are something else
	}
	for _, dep := range deps(module + "sdk/...") {
		for _, unwanted := range []string{"labstack/echo", "sqlite", "pgx", "kin-openapi", "testify", "jsonschema"} {
			require.NotContains(t, dep, unwanted)
		}
	}
}
