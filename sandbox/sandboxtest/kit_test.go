package sandboxtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/sandboxtest"
)

func TestMarket_HasAnAuthCentre(t *testing.T) {
	t.Parallel()
	m := sandboxtest.Start(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.LoginPage(), http.NoBody)
	require.NoError(t, err)
	resp, err := m.AuthClient().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "no application named")
	require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))

	answer, err := m.Control().CreateKitTenant(t.Context(), sandboxapi.KitTenantInput{TenantCode: "acme", Name: "Acme"})
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	var made sandboxapi.KitTenant
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&made))
	require.Equal(t, strings.TrimSuffix(m.LoginPage(), "/unified-login")+"/tenants/"+made.TenantID, made.DomainName)
}
