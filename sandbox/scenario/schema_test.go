package scenario_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/sandbox/scenario"
)

// TestSchema_KnowsWhatPlays: whatever is in the examples is right to the schema, and mistakes are not.
func TestSchema_KnowsWhatPlays(t *testing.T) {
	t.Parallel()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(scenario.Schema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("scenario.json", document))
	schema, err := compiler.Compile("scenario.json")
	require.NoError(t, err)
	validate := func(text []byte) error {
		var tree any
		require.NoError(t, yaml.Unmarshal(text, &tree))
		asJSON, err := json.Marshal(tree)
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		require.NoError(t, err)
		return schema.Validate(value)
	}
	examples, files := os.DirFS("../../examples/scenarios"), 0
	require.NoError(t, fs.WalkDir(examples, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".yaml") {
			return err
		}
		files++
		text, err := fs.ReadFile(examples, name)
		require.NoError(t, err)
		require.NoError(t, validate(text), name)
		return nil
	}))
	require.Greater(t, files, 20)
	for _, text := range []string{
		"steps: [{ advance: 1d }]", "name: a", "name: a\nsteps: []", "name: a\nsteps: [{ bye: a }]", "name: a\nsteps: [{ buy: { skuu: a } }]",
		"name: a\nsteps: [{ buy: { sku: a, quantity: [1] } }]", "name: a\nsteps: [{ call: getStatuz }]", "name: a\nsteps: [{ pushUsage: { values: 1 } }]",
	} {
		require.Error(t, validate([]byte(text)), text)
	}
}
