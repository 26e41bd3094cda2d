package sandbox_test

import (
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
)

// TestEgress_AddressesAreRefusedWhenTheyAreSet: whoever sets an address that cannot be called learns why, and what would allow it.
func TestEgress_AddressesAreRefusedWhenTheyAreSet(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, isv.URL)
	var demo sandboxapi.Product
	code, _ := m.call("GET", "/v1/products/demo", nil, &demo)
	require.Equal(t, http.StatusOK, code)
	for address, want := range map[string]string{
		"http://169.254.169.254/latest":  "link-local address, where clouds keep their metadata, which is never called",
		"http://[::ffff:127.0.0.1]/":     "an IPv6 form with an IPv4 address inside, which is never called",
		"http://2130706433/":             "its host is a number but no IPv4 address",
		"https://93.184.216.34/saas":     "to allow it: isv-sandbox serve --allow-network 93.184.216.34/32",
		"http://93.184.216.34/saas":      "a public address, which is called over https only",
		"http://100.64.1.1/":             "shared space",
		"http://isv.example.com./":       "leave it out",
		"ftp://127.0.0.1/":               "expected an http or https address",
		"http://root:hunter2@127.0.0.1/": "without user",
	} {
		product := demo
		product.ProductionAddress = address
		for path, body := range map[string]any{
			"/v1/provider":      sandboxapi.ProviderSettings{ProductionAddress: address},
			"/v1/sellers/acme":  sandboxapi.SellerSettings{ProductionAddress: address},
			"/v1/products/demo": product,
		} {
			code, detail := m.call("PUT", path, body, nil)
			require.Equal(t, http.StatusBadRequest, code, "%s %s", path, address)
			require.Contains(t, detail, want)
			require.NotContains(t, detail, "hunter2")
		}
		_, err := sandbox.New(t.Context(), sandbox.Config{Keys: testKeys, ProductionAddress: address, Logger: slog.New(slog.DiscardHandler)})
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, isv.URL, m.ProductionAddress())
	var sellers sandboxapi.SellerList
	m.call("GET", "/v1/sellers", nil, &sellers)
	require.Len(t, sellers.Sellers, 1, "no seller was added")
	// The doctor does not connect to it either.
	var found sandboxapi.Diagnosis
	code, detail := m.call("POST", "/v1/doctor", sandboxapi.Examination{ProductionAddress: "http://169.254.169.254/latest"}, &found)
	require.Equal(t, http.StatusOK, code, detail)
	require.Equal(t, sandboxapi.SeverityWrong, found.Findings[0].Severity)
	require.Contains(t, found.Findings[0].Found, "the egress policy laptop does not allow http://169.254.169.254")
	require.NotEqual(t, "connection", found.Findings[1].About)
	_, err := sandbox.New(t.Context(), sandbox.Config{Egress: sandbox.EgressPolicy{Preset: "cloud"}})
	require.ErrorContains(t, err, "expected laptop or staging")
}

// TestEgress_AnAttemptThatThePolicyStops: it is journaled and retried like any that fails, and does not tell what a name resolves to.
func TestEgress_AnAttemptThatThePolicyStops(t *testing.T) {
	t.Parallel()
	isv := newISV(t)
	m := start(t, strings.Replace(isv.URL, "127.0.0.1", "localhost", 1))
	require.NoError(t, m.SetEgress(sandbox.EgressPolicy{DenyNetworks: []string{"127.0.0.0/8", "::1"}}))
	line := m.buy("demo-period")
	m.advance("1s")
	a := m.attempts(line)[0]
	require.Equal(t, sandboxapi.AttemptUnreachable, a.Outcome)
	require.Regexp(t, `^not sent: the egress policy laptop does not allow http://localhost:\d+: an address of its name is in a network that it denies$`, a.Detail)
	require.NoError(t, m.SetEgress(sandbox.EgressPolicy{Preset: sandbox.EgressStaging, AllowNetworks: []string{"127.0.0.0/8"}}))
	m.advance("1h")
	require.Contains(t, m.attempts(line)[0].Detail, "http: it allows https only")
	require.Empty(t, isv.got("newInstance"))
	require.NoError(t, m.SetEgress(sandbox.EgressPolicy{}))
	m.advance("1h")
	m.is(line, sandboxapi.InstanceReady)
	require.Error(t, m.SetEgress(sandbox.EgressPolicy{AllowNetworks: []string{"169.254.0.0/16"}}))

	secret := start(t, "", func(c *sandbox.Config) {
		c.Egress = sandbox.EgressPolicy{Preset: sandbox.EgressStaging, AllowNetworks: []string{"10.0.0.0/8"}}
	})
	code, detail := secret.call("PUT", "/v1/provider", sandboxapi.ProviderSettings{ProductionAddress: "https://localhost:8443/"}, nil)
	require.Equal(t, http.StatusOK, code, detail) // it might be in 10.0.0.0/8
	line = secret.buy("demo-period")
	secret.advance("1s")
	a = secret.attempts(line)[0]
	require.Equal(t, sandboxapi.AttemptUnreachable, a.Outcome)
	require.Contains(t, a.Detail, "neither the name nor every address that it may have is allowed; for public addresses: isv-sandbox serve --allow-host localhost")
	require.NotContains(t, a.Detail, "127.0.0.1")
}

// TestEgress_OwnCA: a certificate of an authority of one's own is verified, and without it the call is not made.
func TestEgress_OwnCA(t *testing.T) {
	t.Parallel()
	plain := newISV(t)
	secure := httptest.NewUnstartedServer(plain.Config.Handler)
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secure.StartTLS()
	defer secure.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	m := start(t, secure.URL)
	line := m.buy("demo-period")
	m.advance("1s")
	a := m.attempts(line)[0]
	require.Equal(t, sandboxapi.AttemptUnreachable, a.Outcome)
	require.Contains(t, a.Detail, "certificate")
	for _, policy := range []sandbox.EgressPolicy{{CA: ca}, {Preset: sandbox.EgressStaging, AllowNetworks: []string{"127.0.0.0/8"}, CA: ca}} {
		m := start(t, secure.URL, func(c *sandbox.Config) { c.Egress = policy })
		m.is(m.buy("demo-period"), sandboxapi.InstanceReady)
	}
}

// TestEgress_AnswersThatDoNotEnd: an answer that switches protocols, or has a head without end, ends the attempt.
func TestEgress_AnswersThatDoNotEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer  http.HandlerFunc
		outcome sandboxapi.AttemptOutcome
		detail  string
	}{
		"101": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "h2c")
			w.WriteHeader(http.StatusSwitchingProtocols) // and says nothing more
		}, sandboxapi.AttemptInvalidAnswer, "101"},
		"a long head": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
		}, sandboxapi.AttemptUnreachable, "header"},
		"compressed, though nobody asked": {func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b\x08")
		}, sandboxapi.AttemptInvalidAnswer, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			isv := httptest.NewServer(tc.answer)
			t.Cleanup(isv.Close)
			m := start(t, isv.URL)
			line := m.buy("demo-period")
			m.advance("1s")
			a := m.attempts(line)[0]
			require.Equal(t, tc.outcome, a.Outcome, a.Detail)
			require.Contains(t, a.Detail, tc.detail)
		})
	}
}
