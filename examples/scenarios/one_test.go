package scenarios_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/sandboxtest"
	"github.com/isvkit/isvkit/sandbox/scenario"
)

// TestScenarios_OneAfterTheOther plays all files against one marketplace, as isv-sandbox play does: none disturbs the next.
func TestScenarios_OneAfterTheOther(t *testing.T) {
	t.Parallel()
	m := sandboxtest.Start(t, sandboxtest.ProviderFunc(func(env sandboxtest.Env) http.Handler { return newISV(t, env) }))
	key, err := kitKey()
	require.NoError(t, err)
	resp, err := m.Control().SetKitPublicKey(t.Context(), "demo-kit", sandboxapi.KitPublicKey{KitPublicKey: key.PublicKeyText()})
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	keys := m.Keys()
	runner := scenario.Runner{Control: m.Control(), ISV: scenario.ISV{MarketURL: m.URL, BaseKey: keys.BaseKey, AK: keys.AK, SK: keys.SK}}
	for _, name := range files(t) {
		if name == filepath.Join("market", "failed-deliveries.yaml") { // registers the seller elsewhere, which is refused once something was earned
			continue
		}
		f, err := scenario.Load(name)
		require.NoError(t, err)
		assert.NoError(t, runner.Play(t.Context(), f))
	}
}
