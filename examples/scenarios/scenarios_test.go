// Package scenarios_test plays every scenario file of this folder against a marketplace in memory and a right ISV.
package scenarios_test

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
			keys := m.Keys()
			runner := scenario.Runner{
				Control: m.Control(), ISV: scenario.ISV{MarketURL: m.URL, BaseKey: keys.BaseKey, AK: keys.AK, SK: keys.SK},
			}
			require.NoError(t, runner.Play(t.Context(), f))
		})
	}
}
