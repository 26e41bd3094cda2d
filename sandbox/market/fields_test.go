package market_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/market"
)

// TestSchema_NamesWhatTheTypesRead walks the schema and the types side by side: a name that only one of them has would be read by nobody, or
// never be allowed.
func TestSchema_NamesWhatTheTypesRead(t *testing.T) {
	var root map[string]any
	require.NoError(t, json.Unmarshal(market.Schema(), &root))
	defs := root["$defs"].(map[string]any)
	compared := 0
	var walk func(path string, schema map[string]any, typ reflect.Type)
	walk = func(path string, schema map[string]any, typ reflect.Type) {
		for typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if ref, ok := schema["$ref"].(string); ok {
			if ref == "#/$defs/test" && path != "test" {
				return // compared once, below
			}
			schema = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		}
		if items, ok := schema["items"].(map[string]any); ok && typ.Kind() == reflect.Slice {
			walk(path+"[]", items, typ.Elem())
			return
		}
		if more, ok := schema["additionalProperties"].(map[string]any); ok && typ.Kind() == reflect.Map {
			walk(path+"{}", more, typ.Elem())
			return
		}
		properties, ok := schema["properties"].(map[string]any)
		if !ok || typ.Kind() != reflect.Struct {
			return
		}
		compared++
		read := map[string]reflect.Type{}
		var tags func(reflect.Type)
		tags = func(typ reflect.Type) {
			for i := range typ.NumField() {
				tag := typ.Field(i).Tag.Get("yaml")
				switch {
				case tag == ",inline":
					tags(typ.Field(i).Type)
				case tag != "":
					read[tag] = typ.Field(i).Type
				}
			}
		}
		tags(typ)
		assert.ElementsMatch(t, keys(properties), keys(read), path)
		for name, property := range properties {
			if typ, ok := read[name]; ok {
				walk(path+"."+name, property.(map[string]any), typ)
			}
		}
	}
	walk("policy", root, reflect.TypeFor[market.Policy]())
	walk("test", map[string]any{"$ref": "#/$defs/test"}, reflect.TypeFor[market.Test]())
	assert.Greater(t, compared, 30)
}

func keys[V any](m map[string]V) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func TestFields_HaveAKindAQuestionAndAnExample(t *testing.T) {
	for path, f := range market.Fields() {
		assert.Contains(t, []string{market.KindNumber, market.KindYesNo, market.KindText, market.KindTexts, market.KindDate}, f.Kind, path)
		assert.True(t, strings.HasSuffix(f.Asks, "?") || strings.HasSuffix(f.Asks, "."), path)
		assert.NotEmpty(t, f.Example, path)
	}
}
