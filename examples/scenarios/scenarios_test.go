// Package scenarios_test plays every scenario file of this folder against a marketplace in memory and a right ISV.
package scenarios_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/sandboxtest"
	"github.com/isvkit/isvkit/sandbox/scenario"
)

// files are the scenario files of this folder and those below.
func files(t *testing.T) (names []string) {
	t.Helper()
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".yaml") {
			names = append(names, filepath.FromSlash(name))
		}
		return err
	}))
	require.NotEmpty(t, names)
	return names
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, name := range files(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := scenario.Load(name)
			require.NoError(t, err)
			m := sandboxtest.Start(t, sandboxtest.ProviderFunc(func(env sandboxtest.Env) http.Handler { return newISV(t, env) }))
			key, err := kitKey()
			require.NoError(t, err)
			resp, err := m.Control().SetKitPublicKey(t.Context(), "demo-kit", sandboxapi.KitPublicKey{KitPublicKey: key.PublicKeyText()})
			require.NoError(t, err)
			defer func() { _ = resp.Body.Close() }()
			require.Equal(t, http.StatusOK, resp.StatusCode)
			keys := m.Keys()
			runner := scenario.Runner{
				Control: m.Control(), ISV: scenario.ISV{MarketURL: m.URL, BaseKey: keys.BaseKey, AK: keys.AK, SK: keys.SK},
			}
			require.NoError(t, runner.Play(t.Context(), f))
		})
	}
}

// enum reads an enumeration of a document.
func enum(t *testing.T, document, name string) (values []string) {
	t.Helper()
	text, err := openapi.FS.ReadFile(document)
	require.NoError(t, err)
	var doc struct {
		Components struct {
			Schemas map[string]struct{ Enum []string }
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &doc))
	values = doc.Components.Schemas[name].Enum
	require.NotEmpty(t, values, "%s has no enumeration %s", document, name)
	return values
}

// TestScenarios_ThereIsOneForEach holds that each fault and each charging mode has a file: faults by their names, charging modes by
// what the files expect.
func TestScenarios_ThereIsOneForEach(t *testing.T) {
	t.Parallel()
	names := files(t)
	kinds := enum(t, "sandbox.yaml", "FaultKind")
	for _, kind := range kinds {
		name := filepath.Join("faults", kind+".yaml")
		require.Contains(t, names, name)
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Contains(t, string(text), "- fault: ", "%s: the fault is switched on", name)
		require.Contains(t, string(text), kind, name)
		require.True(t, strings.HasPrefix(string(text), "# "), "%s: says what it teaches", name)
	}
	for _, name := range names {
		if dir, file := filepath.Split(name); dir == "faults"+string(filepath.Separator) {
			require.Contains(t, kinds, strings.TrimSuffix(file, ".yaml"), "there is no such fault")
		}
	}
	var modes string
	for _, name := range names {
		if strings.HasPrefix(name, "modes") {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			modes += string(text)
		}
	}
	for _, mode := range enum(t, "marketplace.yaml", "ChargingMode") {
		require.Contains(t, modes, "chargingMode: "+mode)
	}
	for _, file := range []string{
		"trial", "on-demand-two", "package-stop", "upgrade", "renewal-with-change", "acceptance", "multi-line", "v1", "kit", "order-notify", "license", "probes",
	} {
		require.True(t, slices.Contains(names, filepath.Join("modes", file+".yaml")), file)
	}
	for _, file := range []string{"settlement", "refunds", "failed-deliveries"} {
		require.True(t, slices.Contains(names, filepath.Join("market", file+".yaml")), file)
	}
}
