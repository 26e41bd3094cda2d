package providerapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/providerapi"
)

// TestWebhookInitiator_MakesEveryCall sends the example of every call through the generated initiator, and compares what arrives
// with the contract: the body, and the signature parameters in the query (base) or in headers (kit).
func TestWebhookInitiator_MakesEveryCall(t *testing.T) {
	t.Parallel()
	text, err := openapi.FS.ReadFile("provider.yaml")
	require.NoError(t, err)
	doc, err := openapi3.NewLoader().LoadFromData(text)
	require.NoError(t, err)
	var got *http.Request
	var body []byte
	isv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
	}))
	defer isv.Close()
	w, err := providerapi.NewWebhookInitiator()
	require.NoError(t, err)

	sent := map[string]func(example []byte, url string) (*http.Response, error){
		"newInstance":             via(t, w.NewInstance),
		"queryInstance":           via(t, w.QueryInstance),
		"refreshInstance":         via(t, w.RefreshInstance),
		"updateInstanceStatus":    via(t, w.UpdateInstanceStatus),
		"releaseInstance":         via(t, w.ReleaseInstance),
		"upgradeInstance":         via(t, w.UpgradeInstance),
		"changeInstanceCheck":     via(t, w.ChangeInstanceCheck),
		"orderNotify":             via(t, w.OrderNotify),
		"refreshLicenseCode":      via(t, w.RefreshLicenseCode),
		"updateLicenseCodeStatus": via(t, w.UpdateLicenseCodeStatus),
		"releaseLicenseCode":      via(t, w.ReleaseLicenseCode),
		"getLicenseAsync":         via(t, w.GetLicenseAsync),
		"tenantSync":              via(t, w.TenantSync),
		"applicationSync":         via(t, w.ApplicationSync),
		"authSync":                via(t, w.AuthSync),
		"singleOrgSync":           via(t, w.SingleOrgSync),
		"allOrgSync":              via(t, w.AllOrgSync),
	}
	require.Len(t, sent, len(providerapi.Calls))
	for _, call := range providerapi.Calls {
		schema := doc.Webhooks[call.Name].Post.RequestBody.Value.Content.Get("application/json").Schema.Value
		example, err := json.Marshal(schema.Example)
		require.NoError(t, err)
		resp, err := sent[call.Name](example, isv.URL+"/saasproduce"+call.SubPath)
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, http.MethodPost, got.Method)
		require.JSONEq(t, string(example), string(body), "nothing is lost in the Go types of %s", call.Name)
		violations, err := contract.Provider().Call(call.Name)
		require.NoError(t, err)
		require.Empty(t, violations.Violations(body))
		params := []string{got.Header.Get("x-sign"), got.Header.Get("x-timestamp"), got.Header.Get("x-nonce")}
		if call.Class != providerapi.ClassKit {
			q := got.URL.Query()
			params = []string{q.Get("signature"), q.Get("timestamp"), q.Get("nonce")}
		}
		require.Equal(t, []string{strings.Repeat("A", 64), "1680508066618", "n"}, params, call.Name)
	}
}

// via makes a call with one method of the initiator: the parameters of all calls have the same three values.
func via[P, B any](t *testing.T, send func(context.Context, string, *P, B, ...providerapi.RequestEditorFn) (*http.Response, error)) func([]byte, string) (*http.Response, error) {
	t.Helper()
	return func(example []byte, url string) (*http.Response, error) {
		var body B
		require.NoError(t, json.Unmarshal(example, &body))
		var params P
		values, err := json.Marshal(map[string]string{
			"signature": strings.Repeat("A", 64), "timestamp": "1680508066618", "nonce": "n",
			"x-sign": strings.Repeat("A", 64), "x-timestamp": "1680508066618", "x-nonce": "n",
		})
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(values, &params))
		return send(t.Context(), url, &params, body)
	}
}
