package sandbox_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/secrets"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// lockedBuffer is a buffer that several may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A secret is put in every place where one can be, and everything is used. None of them is anywhere that anybody can look, but once, in the
// answer that is for its owner.
func TestSecrets_AreNowhere(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	database := filepath.Join(t.TempDir(), "canary.db")
	sealing := secrets.NewKey()
	k, f := everything(t, func(c *sandbox.Config) {
		c.Database, c.SecretsKey = database, sealing
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.Level(-100)}))
	})
	canaries := map[string]string{ // and the answer that may show it
		testKeys.BaseKey: "", testKeys.SK: "", testKeys.GeneralKey: "", testKeys.LicenseKey: "", testKitKey: "", testKeys.ControlToken: "", isvPassword: "", sealing: "",
	}
	var outputs [][2]string
	saw := func(where, text string) { outputs = append(outputs, [2]string{where, text}) }
	once := regexp.MustCompile(`"(?:password|token|sk|baseKey|kitKey|generalKey|licenseKey)":"([^"]+)"`)
	ask := func(token, method, path string, body any) string {
		t.Helper()
		resp, answer := k.as(token, method, path, body)
		where := fmt.Sprintf("%d: %s %s, HTTP %d", len(outputs), method, path, resp.StatusCode)
		if method != "GET" {
			for _, found := range once.FindAllStringSubmatch(answer, -1) {
				canaries[found[1]] = where
			}
		}
		saw(where, answer+fmt.Sprint(resp.Header))
		return answer
	}
	operator := testKeys.ControlToken

	// Secrets that are made here.
	ask(operator, "PUT", "/v1/sellers/second", sandboxapi.SellerSettings{})
	ask(operator, "PUT", "/v1/sellers/second", sandboxapi.SellerSettings{NewKeys: true})
	var made sandboxapi.Token
	require.NoError(t, json.Unmarshal([]byte(ask(operator, "POST", "/v1/tokens", sandboxapi.TokenRequest{Role: "seller", SellerID: "demo"})), &made))
	ask(operator, "POST", "/v1/kit/tenants/firstcorp/users/firstann/password", struct{}{})
	ask(operator, "POST", "/v1/products/demo-kit/kit-application/test-accounts", struct{}{})
	require.Len(t, canaries, 8+5+5+1+2)

	// Secrets in the wrong places.
	const wrong = "canary-in-the-wrong-place"
	canaries[wrong] = ""
	for _, address := range []string{"http://127.0.0.1:1/saas?password=" + wrong, "http://user:" + wrong + "@127.0.0.1:1/saas", "http://127.0.0.1:1/%zz" + wrong, wrong} {
		require.Contains(t, ask(operator, "PUT", "/v1/provider", sandboxapi.ProviderSettings{ProductionAddress: address}), "isvkit:invalid")
		ask(operator, "POST", "/v1/doctor", sandboxapi.Examination{ProductionAddress: address})
		ask(operator, "PUT", "/v1/sellers/second", sandboxapi.SellerSettings{ProductionAddress: address})
	}
	ask(operator, "GET", "/v1/orders?password="+wrong, nil)
	ask(wrong, "GET", "/v1/orders", nil)
	ask(made.Token+wrong, "GET", "/v1/orders", nil)
	ask("e30."+wrong+"."+wrong, "GET", "/v1/orders", nil)
	for _, path := range []string{"/v1/faults/" + url.PathEscape("password="+wrong), "/v1/licenses/" + wrong + "!", "/v1/token-keys/" + wrong + "="} {
		resp, _ := k.as(operator, "DELETE", path, nil)
		require.GreaterOrEqual(t, resp.StatusCode, 400) // whoever asks knows what he asked; the audit log must not
	}
	for _, path := range []string{orderPath + "?orderId=none&password=" + wrong, "/unified-login?password=" + wrong, "/nowhere?password=" + wrong} {
		resp, err := http.Get(k.openAPI.URL + path)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	for _, id := range []string{"password=" + wrong, "Bearer " + wrong, `"` + wrong, wrong + " x", wrong + strings.Repeat("x", 64)} {
		for _, at := range []string{k.control.URL + "/v1/orders", k.openAPI.URL + orderPath} {
			req, err := http.NewRequest("GET", at, nil)
			require.NoError(t, err)
			req.Header.Set("X-Request-Id", id)
			resp, err := http.DefaultClient.Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			saw("an answer to a strange X-Request-Id", fmt.Sprint(resp.Header))
		}
	}
	k.logIn("firstann@firstcorp", wrong)
	ask(operator, "POST", "/v1/products/demo-kit/cases", sandboxapi.CaseRequest{Activity: "applicationSync", Parameters: map[string]any{"clientSecret": wrong}})

	// An ISV that says more than it should, and one that is not there.
	chatty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"resultCode":"000005","resultMsg":"busy","info":[{"appInfo":{"password":%q},"client_secret":[%q]}],"accessToken":%q`, wrong, wrong, wrong)
	}))
	defer chatty.Close()

	// Everything, rightly and with faults.
	for _, kind := range []sandboxapi.FaultKind{
		sandboxapi.FaultDuplicate, sandboxapi.FaultReplay, sandboxapi.FaultWrongSignature, sandboxapi.FaultStaleTimestamp, sandboxapi.FaultOtherKey,
		sandboxapi.FaultDropAnswer, sandboxapi.FaultCut, sandboxapi.FaultUnknownFields,
	} {
		ask(operator, "PUT", "/v1/faults/"+string(kind), sandboxapi.FaultRule{Kind: kind, ProductCode: "demo", First: 2})
	}
	for _, sku := range []string{"demo-period", "demo-v1-period", "demo-notify-one-time", "demo-license-period"} {
		ask(operator, "POST", "/v1/orders", sandboxapi.Purchase{SKUCode: sku})
	}
	ask(operator, "POST", "/v1/clock/advance", sandboxapi.ClockAdvance{Duration: "2h"})
	ask(operator, "POST", "/v1/instances/"+f.line+"/details", struct{}{})
	ask(operator, "PUT", "/v1/provider", sandboxapi.ProviderSettings{ProductionAddress: chatty.URL})
	ask(operator, "POST", "/v1/orders", sandboxapi.Purchase{SKUCode: "demo-period"})
	ask(operator, "POST", "/v1/doctor", sandboxapi.Examination{})
	ask(operator, "POST", "/v1/clock/advance", sandboxapi.ClockAdvance{Duration: "10h"})
	require.Contains(t, ask(operator, "GET", "/v1/attempts?limit=1000", nil), `\"password\":\"***\"`, "the chatty one was heard")
	ask(operator, "PUT", "/v1/provider", sandboxapi.ProviderSettings{ProductionAddress: k.isv.URL + "/saasproduce"})
	aims := deeds(f)
	for _, token := range []string{made.Token, operator} {
		for _, o := range operations(t) {
			if strings.HasPrefix(o.id, "delete") || o.id == "reset" || o.id == "takeSnapshot" {
				continue
			}
			path, body := o.aim(t, aims)
			ask(token, o.method, path, body)
			if o.method == "GET" {
				ask(token, o.method, path+"?limit=1000&since=0", body)
			}
		}
	}
	for _, o := range operations(t) {
		if strings.HasPrefix(o.id, "delete") {
			path, body := o.aim(t, aims)
			ask(operator, o.method, path, body)
		}
	}
	ask(operator, "GET", "/v1/events?limit=1000&since=0", nil)
	ask(operator, "GET", "/v1/audit?limit=1000", nil)
	require.Contains(t, ask(operator, "GET", "/metrics", nil), "isv_sandbox_attempts_total{")
	require.Contains(t, ask("", "GET", "/readyz", nil), `"ready":true`)
	require.Contains(t, ask("", "GET", "/healthz", nil), "alive")
	k.isv.mu.Lock()
	for _, plain := range k.isv.secrets { // of kit applications, which only the ISV can read
		canaries[plain] = ""
	}
	k.isv.mu.Unlock()
	_, snapshot := k.as(operator, "GET", "/v1/snapshot", nil)
	require.Contains(t, snapshot, "SQLite format 3")
	saw("the snapshot", snapshot)
	ask(operator, "POST", "/v1/reset", struct{}{})
	k.stop()
	files, err := filepath.Glob(filepath.Dir(database) + "/*")
	require.NoError(t, err)
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		saw(name, string(data))
	}
	saw("the log", log.String())
	_, err = sandbox.New(t.Context(), sandbox.Config{Database: database, SecretsKey: secrets.NewKey()})
	require.True(t, sandbox.IsOtherSecretsKey(err))
	saw("an error", err.Error())
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		saw("keys in a format", fmt.Sprintf(verb, k.Keys()))
	}

	// The keys that sign tokens, which nobody is ever shown.
	st, err := store.Open(t.Context(), database)
	require.NoError(t, err)
	ring, err := secrets.Parse(sealing)
	require.NoError(t, err)
	require.NoError(t, st.Unlock(t.Context(), ring))
	signing, err := st.TokenKeys(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, signing)
	require.NoError(t, st.Close())
	for _, key := range signing {
		for _, text := range []string{string(key.Secret), hex.EncodeToString(key.Secret), base64.StdEncoding.EncodeToString(key.Secret)} {
			canaries[text] = ""
		}
	}

	require.Greater(t, len(outputs), 250)
	for canary, shown := range canaries {
		require.GreaterOrEqual(t, len(canary), 6)
		for _, o := range outputs {
			if o[0] != shown && strings.Contains(o[1], canary) {
				i := strings.Index(o[1], canary)
				t.Errorf("%q (shown in %q) is in %s: …%q…", canary, shown, o[0], o[1][max(0, i-80):min(len(o[1]), i+len(canary)+20)])
			}
		}
	}
}
