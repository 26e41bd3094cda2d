package scenario

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
)

// Schema is the JSON Schema of scenario files, for editors: with a first line `# yaml-language-server: $schema=…` they complete and
// explain what can be written. It is made of the OpenAPI documents, so that it knows whatever the sandbox can do. It is looser than
// [Parse], which also knows what was saved, and which names are lists.
var Schema = sync.OnceValue(func() []byte {
	text, err := json.MarshalIndent(fileSchema(), "", "  ")
	if err != nil {
		panic("scenario: " + err.Error()) // the documents are embedded
	}
	return append(text, '\n')
})

type jsonObject = map[string]any

func fileSchema() jsonObject {
	defs := jsonObject{}
	for prefix, doc := range map[string]*document{"control": controlDoc(), "market": marketDoc()} {
		for name, s := range object(object(doc.root["components"])["schemas"]) {
			defs[prefix+name] = loose(s, "#/$defs/"+prefix)
		}
	}
	steps := jsonObject{
		verbExpect:    jsonObject{"type": "object", "description": "What must be true: of an instance, order, sku or the sandbox its fields, of calls, attempts and so on their number, order and contents."},
		verbWait:      jsonObject{"anyOf": []any{jsonObject{"const": "settled"}, jsonObject{"type": "object"}}, "description": "Like expect, but it may become true within timeout (default 10s, real time)."},
		verbCall:      jsonObject{"enum": keys(controlDoc().operations), "description": "An operation of the control API."},
		verbOpenAPI:   jsonObject{"enum": keys(marketDoc().operations), "description": "An operation of the open API, called once, as the ISV would call it."},
		verbPushUsage: usageSchema(),
		stepAs:        jsonObject{"anyOf": []any{jsonObject{"type": "string"}, jsonObject{"type": "array", "items": jsonObject{"type": "string"}}}, "description": "The name for what the step answers; several for the instances of an order."},
		stepWith:      jsonObject{"type": "object", "description": "Parameters and body fields of call and openapi."},
		stepRefused:   jsonObject{"type": []any{"string", "object"}, "description": "The step must be refused; what the refusal has in it."},
		stepTimeout:   jsonObject{"type": "string", "description": "How long openapi and pushUsage wait for the answer, in real time."},
	}
	for _, name := range slices.Concat(keys(controlDoc().operations), verbNames()) {
		if _, own := steps[name]; own {
			continue
		}
		v := verbOf(name)
		op := controlDoc().operations[v.operation]
		fields, names := jsonObject{}, []string{}
		for _, f := range op.fields() {
			names = append(names, f.name)
			fields[f.name] = anything(f.schema, "#/$defs/control")
		}
		for _, s := range slices.Sorted(maps.Keys(short)) {
			if long := longName(s, names); long != s {
				fields[s] = fields[long]
			}
		}
		steps[name] = jsonObject{"description": op.summary, "anyOf": []any{
			jsonObject{"type": "object", "properties": fields, "additionalProperties": false},
			jsonObject{"type": []any{"string", "number", "null"}},
		}}
	}
	return jsonObject{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "isvkit scenario", "type": "object",
		"required": []any{"name", "steps"}, "additionalProperties": false, "$defs": defs,
		"properties": jsonObject{
			"name":  jsonObject{"type": "string", "description": "What the story is, in a few words."},
			"about": jsonObject{"type": "string", "description": "More about it."},
			"steps": jsonObject{"type": "array", "minItems": 1, "items": jsonObject{
				"type": "object", "minProperties": 1, "properties": steps, "additionalProperties": false,
			}},
		},
	}
}

func usageSchema() jsonObject {
	record := jsonObject{}
	for name := range usageFields {
		record[name] = jsonObject{"type": []any{"string", "number"}}
	}
	all := maps.Clone(record)
	all["old"] = jsonObject{"type": "boolean", "description": "The older push, without metering_sn."}
	all["records"] = jsonObject{"type": "array", "items": jsonObject{"type": "object", "properties": record, "additionalProperties": false}}
	return jsonObject{
		"type": "object", "properties": all, "additionalProperties": false,
		"description": "The ISV pushes usage; without times that of the last hour on the sandbox's clock.",
	}
}

// anything is a schema beside which a reference to something saved, or a name, may stand.
func anything(s schema, prefix string) jsonObject {
	return jsonObject{"description": s["description"], "anyOf": []any{loose(s, prefix), jsonObject{"type": []any{"string", "number"}}}}
}

// loose is a schema of the documents for files: references lead to $defs, names may be short, and what is required is left to Parse.
func loose(v any, prefix string) any {
	switch v := v.(type) {
	case map[string]any:
		out := jsonObject{}
		for name, value := range v {
			switch name {
			case "required", "example", "pattern", "format", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "const":
			case "$ref":
				ref, _ := value.(string)
				out["$ref"] = prefix + ref[len("#/components/schemas/"):]
			case "properties":
				properties := jsonObject{}
				for field, value := range object(value) {
					properties[field] = loose(value, prefix)
				}
				out[name] = properties
			case "additionalProperties":
				if value != false {
					out[name] = loose(value, prefix)
				}
			default:
				if len(name) > 2 && name[:2] == "x-" {
					continue
				}
				out[name] = loose(value, prefix)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = loose(v[i], prefix)
		}
		return out
	case schema:
		return loose(map[string]any(v), prefix)
	}
	return v
}
