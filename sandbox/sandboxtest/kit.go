package sandboxtest

import (
	"net/http"
	"net/http/httptest"

	"github.com/isvkit/isvkit/sandbox"
)

// startAuthCentre serves the auth centres of kit tenants over TLS, because the contract wants their addresses to begin with https://.
func startAuthCentre(s *sandbox.Sandbox) *httptest.Server {
	centre := httptest.NewTLSServer(s.AuthCentreHandler())
	s.SetAuthCentre(centre.URL)
	return centre
}

// LoginPage is where users of kit tenants log in: what kitlogin.Config.LoginPage wants. It is served over TLS with a certificate that
// [Market.AuthClient] trusts.
func (m *Market) LoginPage() string { return m.centre.URL + "/unified-login" }

// AuthClient is a client that trusts the auth centres of kit tenants: what kitlogin.Config.HTTPClient wants. Enterprises, their
// users and bindings are made with [Market.Control].
func (m *Market) AuthClient() *http.Client { return m.centre.Client() }
