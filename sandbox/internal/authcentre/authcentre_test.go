package authcentre_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/authcentre"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sandbox/internal/kitbook"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sdk/secret"
)

const callback = "https://crm.example.com/kit/callback?from=market"

// isvKey is an ISV's key; making one takes a while.
var isvKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		panic(err)
	}
	return key
})

// centre is an auth centre at work: a tenant "acme" that has bound an instance, with the users ann (authorised), bob (authorised,
// disabled) and eve (not authorised).
type centre struct {
	*httptest.Server
	t         *testing.T
	book      *kitbook.Book
	store     *store.Store
	tenant    kit.Tenant
	app       kit.Application
	client    string
	secret    string
	passwords map[string]string

	mu  sync.Mutex
	now time.Time
}

func (c *centre) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// later moves the clock.
func (c *centre) later(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func start(t *testing.T, database string) *centre {
	t.Helper()
	c := &centre{t: t, passwords: map[string]string{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	var err error
	c.store, err = store.Open(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.store.Close()) })
	c.book = kitbook.New(c.store, clock.New(c.time, 0), func() string { return c.URL })
	c.Server = httptest.NewTLSServer(authcentre.New(c.book, func() bool { return true }, slog.New(slog.DiscardHandler)))
	t.Cleanup(c.Close)

	der, err := x509.MarshalPKIXPublicKey(&isvKey().PublicKey)
	require.NoError(t, err)
	require.NoError(t, c.store.Update(t.Context(), func(tx *store.Tx) error {
		for _, p := range catalogue.DemoProducts() {
			if p.Code == "demo-kit" {
				p.KitPublicKey = base64.StdEncoding.EncodeToString(der)
				return joined(tx.PutSeller(catalogue.Seller{ID: catalogue.DemoSeller, Name: "Demo"}), tx.PutProduct(p), tx.PutInstance(instance("L1")), tx.PutInstance(instance("L2")))
			}
		}
		return nil
	}))
	c.app, _, err = c.book.CreateApplication(t.Context(), kit.Application{ProductCode: "demo-kit", Name: "<CRM>", CallbackURL: callback})
	require.NoError(t, err)
	c.tenant, c.client, c.secret = c.bind("acme", "L1")
	for _, u := range []kit.User{
		{UserName: "ann", Name: "Ann Lee", OrgCode: "sales", Email: "ann@acme.example", Mobile: "13800000000", Role: providerapi.RoleAdmin},
		{UserName: "bob", Name: "Bob", OrgCode: "sales", Enable: providerapi.EnableFalse},
		{UserName: "eve", Name: "Eve", OrgCode: "sales"},
	} {
		_, password, _, err := c.book.PutUser(t.Context(), c.tenant.ID, u)
		require.NoError(t, err)
		c.passwords[u.UserName] = password
	}
	_, _, err = c.book.Authorise(t.Context(), c.tenant.ID, "L1", []string{"ann", "bob"})
	require.NoError(t, err)
	return c
}

func joined(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func instance(line string) lifecycle.Instance {
	return lifecycle.Instance{
		OrderLineID: line, OrderID: "CS" + line, InstanceID: "i-" + line, SellerID: catalogue.DemoSeller, ProductCode: "demo-kit", BuyerID: "b",
		ChargingMode: marketplaceapi.ChargingPeriod, Status: sandboxapi.InstanceReady, Intent: sandboxapi.InstanceReady, CreateTime: time.Unix(0, 0),
	}
}

// bind makes a tenant that binds an instance, and gives what its ISV is told.
func (c *centre) bind(code, line string) (_ kit.Tenant, clientID, clientSecret string) {
	c.t.Helper()
	tenant, err := c.book.CreateTenant(c.t.Context(), "", code, strings.ToUpper(code), []kit.Department{{OrgCode: "sales", OrgName: "Sales"}})
	require.NoError(c.t, err)
	tenant, calls, err := c.book.Bind(c.t.Context(), tenant.ID, line)
	require.NoError(c.t, err)
	require.Len(c.t, calls, 3)
	sync, ok := calls[0].Call.Body.(providerapi.TenantSyncCall)
	require.True(c.t, ok)
	require.Equal(c.t, c.URL+"/tenants/"+tenant.ID, sync.DomainName)
	app, ok := calls[1].Call.Body.(providerapi.ApplicationSyncCall)
	require.True(c.t, ok)
	oaep, err := secret.NewOAEP(secret.OAEPConfig{Key: isvKey(), Digests: []secret.Digests{secret.DigestsJCE}})
	require.NoError(c.t, err)
	plain, err := oaep.Decrypt(app.ClientSecret)
	require.NoError(c.t, err)
	return tenant, app.ClientID, plain
}

// browser is one with cookies that does not follow redirects.
func (c *centre) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(c.t, err)
	return &http.Client{Transport: c.Client().Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// do sends a request and gives status, headers and body.
func (c *centre) do(hc *http.Client, method, address, body string, header ...string) (*http.Response, string) {
	c.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = c.URL + address
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, address, strings.NewReader(body))
	require.NoError(c.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := hc.Do(req)
	require.NoError(c.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	require.NoError(c.t, resp.Body.Close())
	require.Equal(c.t, "no-store", resp.Header.Get("Cache-Control"))
	return resp, string(text)
}

func (c *centre) form(account, password string) string {
	return url.Values{"appId": {c.app.ID}, "account": {account}, "password": {password}}.Encode()
}

// code logs ann in and gives the code of the call-back.
func (c *centre) code(hc *http.Client) string {
	c.t.Helper()
	resp, text := c.do(hc, "POST", "/unified-login", c.form("ann@acme", c.passwords["ann"]))
	require.Equal(c.t, http.StatusFound, resp.StatusCode, text)
	return c.callback(resp)
}

// callback checks the redirect to the ISV and gives its code.
func (c *centre) callback(resp *http.Response) string {
	c.t.Helper()
	u, err := resp.Location()
	require.NoError(c.t, err)
	q := u.Query()
	require.Equal(c.t, c.tenant.ID, q.Get("tenant"))
	require.Equal(c.t, "market", q.Get("from"), "the registered address keeps its own query")
	code := q.Get("code")
	require.NotEmpty(c.t, code)
	u.RawQuery = ""
	require.Equal(c.t, "https://crm.example.com/kit/callback", u.String())
	return code
}

// ask asks an operation of the tenant's auth centre, compares the answer with the contract, and decodes it.
func (c *centre) ask(method, path, body string, header ...string) (int, map[string]string) {
	c.t.Helper()
	resp, text := c.do(c.browser(), method, "/tenants/"+c.tenant.ID+path, body, header...)
	require.Equal(c.t, "application/json", resp.Header.Get("Content-Type"), text)
	schema, err := contract.Marketplace().Response(method, path, resp.StatusCode)
	require.NoError(c.t, err)
	require.Empty(c.t, schema.Violations([]byte(text)), text)
	var answer map[string]any
	require.NoError(c.t, json.Unmarshal([]byte(text), &answer))
	texts := map[string]string{}
	for name, v := range answer {
		if s, ok := v.(string); ok {
			texts[name] = s
		}
	}
	if n, ok := answer["expires_in"]; ok {
		require.InDelta(c.t, 7200, n, 0)
	}
	return resp.StatusCode, texts
}

const (
	tokenPath = "/api/v1/oauth2/token"
	userPath  = "/api/v1/oauth2/userinfo"
)

func (c *centre) redeem(code string) (int, map[string]string) {
	return c.ask("POST", tokenPath, url.Values{"grant_type": {"authorization_code"}, "client_id": {c.client}, "client_secret": {c.secret}, "code": {code}}.Encode())
}

func (c *centre) refresh(token string) (int, map[string]string) {
	return c.ask("POST", tokenPath, url.Values{"grant_type": {"refresh_token"}, "client_id": {c.client}, "client_secret": {c.secret}, "refresh_token": {token}}.Encode())
}

func (c *centre) user(token string) (int, map[string]string) {
	return c.ask("GET", userPath, "", "Authorization", "Bearer "+token)
}

var unauthorized = map[string]string{"error": "unauthorized", "error_description": "Full authentication is required to access this resource"}

func TestLogin_FromPageToUser(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	hc := c.browser()
	resp, text := c.do(hc, "GET", "/unified-login?ind=UNOP&appId="+c.app.ID, "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, text, "Log in to &lt;CRM&gt;", "names are escaped")
	require.Contains(t, text, `<option value="ann@acme">`)
	require.NotContains(t, text, "bob@acme", "disabled")
	require.NotContains(t, text, "eve@acme", "not authorised")
	require.NotContains(t, text, "<script")
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "form-action 'self' https://crm.example.com")
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")

	code := c.code(hc)
	status, token := c.redeem(code)
	require.Equal(t, http.StatusOK, status, token)
	require.Equal(t, "Bearer", token["token_type"])
	require.Equal(t, "get_user_info", token["scope"])
	require.NotEmpty(t, token["refresh_token"])

	status, user := c.user(token["access_token"])
	require.Equal(t, http.StatusOK, status)
	require.Len(t, user["id"], 32)
	require.Len(t, user["userId"], 32)
	require.NotEqual(t, user["id"], user["userId"])
	delete(user, "id")
	delete(user, "userId")
	require.Equal(t, map[string]string{
		"userName": "ann", "name": "Ann Lee", "email": "ann@acme.example", "mobile": "13800000000", "role": "admin", "organizationName": "Sales",
		"organizationCode": "sales", "accName": "acme", "loginName": "ann@acme", "projectName": "ACME", "tenant": c.tenant.ID,
	}, user)
}

func TestToken_CodeIsGoodForOneUse(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	code := c.code(c.browser())
	status, token := c.redeem(code)
	require.Equal(t, http.StatusOK, status)
	status, answer := c.redeem(code)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, map[string]string{"error": "invalid_grant", "error_description": "Invalid authorization code"}, answer)
	// Who uses a code twice may have stolen it: what came of it is good no more.
	status, answer = c.user(token["access_token"])
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, unauthorized, answer)
	status, _ = c.refresh(token["refresh_token"])
	require.Equal(t, http.StatusBadRequest, status)
}

func TestToken_CodeIsRedeemedOnceHoweverManyTry(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	code := c.code(c.browser())
	var wg sync.WaitGroup
	won := make(chan string, 16)
	for range 16 {
		wg.Go(func() {
			if token, err := c.book.Token(context.Background(), c.tenant.ID, marketplaceapi.KitTokenRequest{
				GrantType: marketplaceapi.GrantCode, ClientID: c.client, ClientSecret: c.secret, Code: code,
			}); err == nil {
				won <- token.AccessToken
			}
		})
	}
	wg.Wait()
	require.Len(t, won, 1)
}

func TestToken_Refresh(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	_, first := c.redeem(c.code(c.browser()))
	c.later(3 * time.Hour)
	status, _ := c.user(first["access_token"])
	require.Equal(t, http.StatusUnauthorized, status, "after 7200 s")
	status, second := c.refresh(first["refresh_token"])
	require.Equal(t, http.StatusOK, status)
	require.NotEqual(t, first["refresh_token"], second["refresh_token"])
	status, user := c.user(second["access_token"])
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ann", user["userName"])

	c.later(29 * 24 * time.Hour)
	status, third := c.refresh(second["refresh_token"])
	require.Equal(t, http.StatusOK, status, "each refresh token is good for 30 days")
	status, answer := c.refresh(second["refresh_token"])
	require.Equal(t, http.StatusBadRequest, status, "and for one use")
	require.Equal(t, map[string]string{"error": "invalid_grant", "error_description": "Invalid refresh token"}, answer)
	status, _ = c.user(third["access_token"])
	require.Equal(t, http.StatusUnauthorized, status, "a second use ends the login")
}

func TestToken_Expires(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	code := c.code(c.browser())
	c.later(kit.CodeLife - time.Second)
	status, token := c.redeem(code)
	require.Equal(t, http.StatusOK, status)
	late := c.code(c.browser())
	c.later(kit.CodeLife)
	status, answer := c.redeem(late)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "invalid_grant", answer["error"])

	c.later(kit.AccessLife - kit.CodeLife - time.Second)
	status, _ = c.user(token["access_token"])
	require.Equal(t, http.StatusOK, status)
	c.later(time.Second)
	status, _ = c.user(token["access_token"])
	require.Equal(t, http.StatusUnauthorized, status)
	c.later(kit.RefreshLife - kit.AccessLife)
	status, _ = c.refresh(token["refresh_token"])
	require.Equal(t, http.StatusBadRequest, status)
}

// TestToken_Refuses is the table of requests with one mistake each.
func TestToken_Refuses(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	_, otherClient, otherSecret := c.bind("other", "L2")
	form := "application/x-www-form-urlencoded"
	for name, tc := range map[string]struct {
		change func(v url.Values)
		header string
		status int
		code   string
		about  string
	}{
		"right":                  {func(url.Values) {}, form, 200, "", ""},
		"right, with redirect":   {func(v url.Values) { v.Set("redirect_uri", callback) }, form, 200, "", ""},
		"right, with charset":    {func(url.Values) {}, form + "; charset=UTF-8", 200, "", ""},
		"no grant_type":          {func(v url.Values) { v.Del("grant_type") }, form, 400, "invalid_request", "grant_type is missing"},
		"another grant_type":     {func(v url.Values) { v.Set("grant_type", "password") }, form, 400, "unsupported_grant_type", "expected authorization_code or refresh_token"},
		"no code":                {func(v url.Values) { v.Del("code") }, form, 400, "invalid_request", "code is missing"},
		"no refresh_token":       {func(v url.Values) { v.Set("grant_type", "refresh_token") }, form, 400, "invalid_request", "refresh_token is missing"},
		"no client_id":           {func(v url.Values) { v.Del("client_id") }, form, 400, "invalid_request", "client_id is missing"},
		"no client_secret":       {func(v url.Values) { v.Del("client_secret") }, form, 400, "invalid_request", "client_secret is missing"},
		"code twice":             {func(v url.Values) { v.Add("code", "x") }, form, 400, "invalid_request", "more than once"},
		"unknown code":           {func(v url.Values) { v.Set("code", "x") }, form, 400, "invalid_grant", "Invalid authorization code"},
		"unknown refresh_token":  {func(v url.Values) { v.Set("grant_type", "refresh_token"); v.Set("refresh_token", "x") }, form, 400, "invalid_grant", "Invalid refresh token"},
		"a code to refresh with": {func(v url.Values) { v.Set("grant_type", "refresh_token"); v.Set("refresh_token", v.Get("code")) }, form, 400, "invalid_grant", "Invalid refresh token"},
		"wrong redirect_uri":     {func(v url.Values) { v.Set("redirect_uri", "https://crm.example.com/kit/callback") }, form, 400, "invalid_grant", "redirect_uri"},
		"wrong secret":           {func(v url.Values) { v.Set("client_secret", "x") }, form, 401, "invalid_client", "client secret is wrong"},
		"the encrypted secret":   {func(v url.Values) { v.Set("client_secret", c.tenant.Bindings[0].Client.Secret) }, form, 401, "invalid_client", ""},
		"unknown client":         {func(v url.Values) { v.Set("client_id", "x") }, form, 401, "invalid_client", ""},
		"another tenant's":       {func(v url.Values) { v.Set("client_id", otherClient); v.Set("client_secret", otherSecret) }, form, 401, "invalid_client", ""},
		"JSON":                   {func(url.Values) {}, "application/json", 400, "invalid_request", "Content-Type"},
		"no content type":        {func(url.Values) {}, "", 400, "invalid_request", "Content-Type"},
	} {
		t.Run(name, func(t *testing.T) {
			v := url.Values{"grant_type": {"authorization_code"}, "client_id": {c.client}, "client_secret": {c.secret}, "code": {c.code(c.browser())}}
			tc.change(v)
			status, answer := c.ask("POST", tokenPath, v.Encode(), "Content-Type", tc.header)
			require.Equal(t, tc.status, status, answer)
			require.Equal(t, tc.code, answer["error"])
			require.Contains(t, answer["error_description"], tc.about)
			for _, value := range []string{c.secret, v.Get("code")} {
				require.True(t, len(value) < 8 || !strings.Contains(answer["error_description"], value))
			}
		})
	}
	t.Run("in the address", func(t *testing.T) {
		v := url.Values{"grant_type": {"authorization_code"}, "client_id": {c.client}, "client_secret": {c.secret}, "code": {c.code(c.browser())}}
		resp, text := c.do(c.browser(), "POST", "/tenants/"+c.tenant.ID+tokenPath+"?"+v.Encode(), "x=y")
		require.Equal(t, http.StatusBadRequest, resp.StatusCode, text)
	})
	t.Run("too long", func(t *testing.T) {
		status, answer := c.ask("POST", tokenPath, "code="+strings.Repeat("x", 1<<17))
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, "invalid_request", answer["error"])
	})
	t.Run("at another tenant's address", func(t *testing.T) {
		v := url.Values{"grant_type": {"authorization_code"}, "client_id": {c.client}, "client_secret": {c.secret}, "code": {c.code(c.browser())}}
		resp, _ := c.do(c.browser(), "POST", "/tenants/nobody"+tokenPath, v.Encode())
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	})
}

func TestUserInfo_Refuses(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	_, token := c.redeem(c.code(c.browser()))
	for name, header := range map[string]string{
		"none": "", "no scheme": token["access_token"], "another scheme": "Basic " + token["access_token"], "unknown": "Bearer x",
		"a refresh token": "Bearer " + token["refresh_token"],
	} {
		status, answer := c.ask("GET", userPath, "", "Authorization", header)
		require.Equal(t, http.StatusUnauthorized, status, name)
		require.Equal(t, unauthorized, answer, name)
	}
	status, _ := c.ask("GET", userPath, "", "Authorization", "bearer "+token["access_token"])
	require.Equal(t, http.StatusOK, status, "the scheme has no case")
	resp, _ := c.do(c.browser(), "GET", "/tenants/"+c.app.TestTenantID+userPath, "", "Authorization", "Bearer "+token["access_token"])
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "at another tenant's address")
}

// TestAccess_EndsWithTheAuthorisation: whatever takes a user's right away ends what his login gave him.
func TestAccess_EndsWithTheAuthorisation(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *centre) error{
		"cancelled": func(c *centre) error {
			_, _, err := c.book.Cancel(context.Background(), c.tenant.ID, "L1", []string{"ann"})
			return err
		},
		"disabled": func(c *centre) error {
			_, _, _, err := c.book.PutUser(context.Background(), c.tenant.ID, kit.User{UserName: "ann", Name: "Ann", OrgCode: "sales", Enable: providerapi.EnableFalse})
			return err
		},
		"deleted": func(c *centre) error {
			_, err := c.book.DeleteUser(context.Background(), c.tenant.ID, "ann")
			return err
		},
		"unbound": func(c *centre) error {
			_, _, err := c.book.Unbind(context.Background(), c.tenant.ID, "L1")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, ":memory:")
			hc := c.browser()
			_, token := c.redeem(c.code(hc))
			unredeemed := c.code(c.browser())
			require.NoError(t, end(c))
			status, answer := c.user(token["access_token"])
			require.Equal(t, http.StatusUnauthorized, status)
			require.Equal(t, unauthorized, answer)
			status, _ = c.refresh(token["refresh_token"])
			require.GreaterOrEqual(t, status, 400)
			status, _ = c.redeem(unredeemed)
			require.GreaterOrEqual(t, status, 400)
			resp, text := c.do(c.browser(), "POST", "/unified-login", c.form("ann@acme", c.passwords["ann"]))
			require.Equal(t, http.StatusForbidden, resp.StatusCode, text)
			resp, _ = c.do(hc, "GET", "/unified-login?appId="+c.app.ID, "")
			require.Equal(t, http.StatusOK, resp.StatusCode, "nor does the session help")
		})
	}
}

func TestLogin_Refuses(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	for name, tc := range map[string]struct {
		form   string
		status int
	}{
		"right":            {c.form("ann@acme", c.passwords["ann"]), 302},
		"code in capitals": {c.form(" ann@ACME ", c.passwords["ann"]), 302},
		"wrong password":   {c.form("ann@acme", "x"), 403},
		"no password":      {c.form("ann@acme", ""), 403},
		"no tenant":        {c.form("ann", c.passwords["ann"]), 403},
		"unknown tenant":   {c.form("ann@nowhere", c.passwords["ann"]), 403},
		"unknown user":     {c.form("nobody@acme", c.passwords["ann"]), 403},
		"disabled":         {c.form("bob@acme", c.passwords["bob"]), 403},
		"not authorised":   {c.form("eve@acme", c.passwords["eve"]), 403},
		"another tenant":   {c.form("ann@acme", c.passwords["ann"]) + "&tenant=" + c.app.TestTenantID, 403},
		"unknown app":      {"appId=x&account=ann@acme&password=" + c.passwords["ann"], 404},
		"bad escapes":      {"appId=%zz", 400},
	} {
		resp, text := c.do(c.browser(), "POST", "/unified-login", tc.form)
		require.Equal(t, tc.status, resp.StatusCode, name)
		if tc.status == 403 {
			require.Contains(t, text, `<p role="alert">Account or password are wrong, or the account may not use this application.`, name)
			require.Empty(t, resp.Cookies(), name)
		}
	}
	for _, address := range []string{"/unified-login", "/unified-login?appId=x"} {
		resp, text := c.do(c.browser(), "GET", address, "")
		require.Equal(t, http.StatusNotFound, resp.StatusCode)
		require.Contains(t, text, "appId: expected the id of an application credential")
	}
	resp, _ := c.do(c.browser(), "POST", "/unified-login", c.form("ann@acme", c.passwords["ann"]), "Origin", "https://evil.example.com")
	require.Equal(t, http.StatusForbidden, resp.StatusCode, "another site's form")
	require.Empty(t, resp.Header.Get("Location"))
	resp, text := c.do(c.browser(), "POST", "/unified-login", c.form(`"><b>@acme`, "x"))
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.NotContains(t, text, "<b>")
	resp, _ = c.do(c.browser(), "GET", "/tenants/"+c.tenant.ID+tokenPath, "")
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
}

func TestSession_SignsInAgainUntilLogout(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	hc := c.browser()
	_, token := c.redeem(c.code(hc))
	page := "/unified-login?appId=" + c.app.ID
	resp, _ := c.do(hc, "GET", page, "")
	require.Equal(t, http.StatusFound, resp.StatusCode, "signed in already")
	status, _ := c.redeem(c.callback(resp))
	require.Equal(t, http.StatusOK, status)

	resp, _ = c.do(hc, "GET", "/tenants/"+c.tenant.ID+"/api/v1/logout", "")
	require.Equal(t, http.StatusFound, resp.StatusCode)
	require.Equal(t, "/unified-login/signed-out", resp.Header.Get("Location"))
	resp, text := c.do(hc, "GET", resp.Header.Get("Location"), "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, text, "signed out")
	resp, _ = c.do(hc, "GET", page, "")
	require.Equal(t, http.StatusOK, resp.StatusCode, "the form again")
	status, _ = c.user(token["access_token"])
	require.Equal(t, http.StatusOK, status, "the ISV ends its own session itself")

	c.code(hc)
	c.later(kit.SessionLife)
	resp, _ = c.do(hc, "GET", page, "")
	require.Equal(t, http.StatusOK, resp.StatusCode, "a session ends after a while")
}

func TestSession_CookieIsTheBrowsersAlone(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	resp, _ := c.do(c.browser(), "POST", "/unified-login", c.form("ann@acme", c.passwords["ann"]))
	require.Len(t, resp.Cookies(), 1)
	cookie := resp.Cookies()[0]
	require.True(t, cookie.HttpOnly)
	require.True(t, cookie.Secure)
	require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	resp, _ = c.do(c.browser(), "GET", "/unified-login?appId="+c.app.ID, "", "Cookie", cookie.Name+"=x")
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// TestLogout_IsNoOpenRedirect is the table of addresses.
func TestLogout_IsNoOpenRedirect(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	const own = "/unified-login/signed-out"
	for target, want := range map[string]string{
		"https://crm.example.com/goodbye":           "https://crm.example.com/goodbye",
		"https://CRM.example.com/":                  "https://CRM.example.com/",
		"/unified-login":                            "/unified-login",
		"http://crm.example.com/goodbye":            own,
		"https://crm.example.com:8443/":             own,
		"https://evil.example.com/":                 own,
		"https://crm.example.com.evil.example.com/": own,
		"https://crm.example.com@evil.example.com/": own,
		"//evil.example.com":                        own,
		"/\\evil.example.com":                       own,
		"\\\\evil.example.com":                      own,
		"\t//evil.example.com":                      own,
		"javascript:alert(1)":                       own,
		"data:text/html,x":                          own,
		"evil":                                      own,
		"":                                          own,
	} {
		resp, _ := c.do(c.browser(), "GET", "/tenants/"+c.tenant.ID+"/api/v1/logout?redirect_url="+url.QueryEscape(target), "")
		require.Equal(t, http.StatusFound, resp.StatusCode, target)
		require.Equal(t, want, resp.Header.Get("Location"), target)
	}
	resp, _ := c.do(c.browser(), "GET", "/tenants/"+c.tenant.ID+"/api/v1/logout?redirect_url=/a&redirect_url=/b", "")
	require.Equal(t, own, resp.Header.Get("Location"))
	resp, _ = c.do(c.browser(), "GET", "/tenants/nobody/api/v1/logout?redirect_url=https://crm.example.com/", "")
	require.Equal(t, own, resp.Header.Get("Location"), "a tenant with no application leads nowhere")
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	path := "/tenants/" + c.tenant.ID + "/api/v1/oauth2/authorize?"
	right := url.Values{"client_id": {c.client}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"s 1"}}
	hc := c.browser()
	resp, text := c.do(hc, "GET", path+right.Encode(), "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, text, `name="state" value="s 1"`)
	require.Contains(t, text, `name="tenant" value="`+c.tenant.ID+`"`)
	resp, _ = c.do(hc, "POST", "/unified-login", c.form("ann@acme", c.passwords["ann"])+"&state=s+1&tenant="+c.tenant.ID)
	u, err := resp.Location()
	require.NoError(t, err)
	require.Equal(t, "s 1", u.Query().Get("state"))
	status, _ := c.redeem(c.callback(resp))
	require.Equal(t, http.StatusOK, status)
	resp, _ = c.do(hc, "GET", path+right.Encode(), "")
	require.Equal(t, http.StatusFound, resp.StatusCode, "signed in already")

	for name, tc := range map[string]struct {
		change func(v url.Values)
		about  string
	}{
		"client":        {func(v url.Values) { v.Set("client_id", "x") }, "client_id"},
		"redirect":      {func(v url.Values) { v.Set("redirect_uri", "https://evil.example.com/") }, "redirect_uri"},
		"response_type": {func(v url.Values) { v.Set("response_type", "token") }, "response_type"},
	} {
		v := url.Values{"client_id": {c.client}, "redirect_uri": {callback}, "response_type": {"code"}}
		tc.change(v)
		resp, text := c.do(hc, "GET", path+v.Encode(), "")
		require.Equal(t, http.StatusBadRequest, resp.StatusCode, name)
		require.Empty(t, resp.Header.Get("Location"), name)
		require.Contains(t, text, tc.about+": expected", name)
	}
}

func TestRenewSecrets_TheOldOneEnds(t *testing.T) {
	t.Parallel()
	c := start(t, ":memory:")
	calls, err := c.book.RenewSecrets(t.Context(), "demo-kit")
	require.NoError(t, err)
	require.Len(t, calls, 2, "the test tenant's, and acme's")
	status, answer := c.redeem(c.code(c.browser()))
	require.Equal(t, http.StatusUnauthorized, status)
	require.Equal(t, "invalid_client", answer["error"])
	app, ok := calls[1].Call.Body.(providerapi.ApplicationSyncCall)
	require.True(t, ok)
	require.Equal(t, providerapi.FlagModify, app.Flag)
	oaep, err := secret.NewOAEP(secret.OAEPConfig{Key: isvKey()})
	require.NoError(t, err)
	c.secret, err = oaep.Decrypt(app.ClientSecret)
	require.NoError(t, err)
	status, _ = c.redeem(c.code(c.browser()))
	require.Equal(t, http.StatusOK, status)
}

// TestStore_KeepsNoSecret looks for everything that was given out in the bytes of the database.
func TestStore_KeepsNoSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, filepath.Join(dir, "kit.db"))
	hc := c.browser()
	resp, _ := c.do(hc, "POST", "/unified-login", c.form("ann@acme", c.passwords["ann"]))
	code := c.callback(resp)
	_, token := c.redeem(code)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	var bytes strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		bytes.Write(text)
	}
	require.Contains(t, bytes.String(), c.client, "the look finds what is there")
	for what, value := range map[string]string{
		"password": c.passwords["ann"], "client secret": c.secret, "code": code, "access token": token["access_token"], "refresh token": token["refresh_token"],
		"session": resp.Cookies()[0].Value,
	} {
		require.NotContains(t, bytes.String(), value, what)
	}
}
