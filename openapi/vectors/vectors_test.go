package vectors_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/vectors"
)

func TestFilesAreArraysOfNamedVectors(t *testing.T) {
	t.Parallel()
	for file, atLeast := range map[string]int{"v2.json": 10, "aksk.json": 14} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			data, err := vectors.FS.ReadFile(file)
			require.NoError(t, err)
			var all []struct {
				Name      string `json:"name"`
				Signature string `json:"signature"`
			}
			require.NoError(t, json.Unmarshal(data, &all))
			require.GreaterOrEqual(t, len(all), atLeast)
			names := map[string]bool{}
			for _, v := range all {
				require.NotEmpty(t, v.Name)
				require.NotEmpty(t, v.Signature, v.Name)
				require.False(t, names[v.Name], "name %s twice", v.Name)
				names[v.Name] = true
			}
		})
	}
}

func TestV1_HasVectorsOfEveryKind(t *testing.T) {
	t.Parallel()
	data, err := vectors.FS.ReadFile("v1.json")
	require.NoError(t, err)
	var kinds map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(data, &kinds))
	for kind, atLeast := range map[string]int{"authToken": 3, "bodySign": 2, "aes": 28} {
		var all []json.RawMessage
		require.NoError(t, json.Unmarshal(kinds[kind], &all), kind)
		require.GreaterOrEqual(t, len(all), atLeast, kind)
	}
}
