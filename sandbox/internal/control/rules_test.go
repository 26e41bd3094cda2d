package control

import (
	"reflect"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi"
)

// Every operation of the document has a rule, and the rule is what x-role says. An operation that is added later fails here until somebody
// has thought about whose it is.
func TestRules_AreThoseOfTheDocument(t *testing.T) {
	text, err := openapi.FS.ReadFile("sandbox.yaml")
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	documented := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			documented[op.OperationID] = true
			rule, known := rules[op.OperationID]
			if !known {
				t.Errorf("%s %s: operation %s has no rule in rules.go", method, path, op.OperationID)
				continue
			}
			if op.Extensions["x-role"] != string(rule.role) {
				t.Errorf("%s %s: x-role is %v, the rule of %s says %s", method, path, op.Extensions["x-role"], op.OperationID, rule.role)
			}
			if method != "GET" && rule.reads && op.OperationID != "settle" {
				t.Errorf("%s %s: %s would not be in the audit log", method, path, op.OperationID)
			}
		}
	}
	for operation := range rules {
		if !documented[operation] {
			t.Errorf("there is a rule for %s, which is no operation", operation)
		}
	}
	// The generated code calls operations by other names.
	server := reflect.TypeFor[StrictServerInterface]()
	for i := range server.NumMethod() {
		require.Contains(t, rules, operationID(server.Method(i).Name))
	}
}
