package kitlogin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/contract"
	"github.com/isvkit/isvkit/sdk/kitlogin"
)

const (
	tenantID     = "68cbc86abc2018ab880d92f36422fa0e"
	clientSecret = "demo-client-secret"
	callback     = "https://crm.example.com/callback"
)

// clock stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// centre is the auth centre of one tenant below a path of its own, and an ISV that logs its users in.
type centre struct {
	t     *testing.T
	url   string
	login *kitlogin.Login
	clock *clock
	log   *bytes.Buffer
	codes map[string]bool // that are good once
	forms []url.Values
	token func(w http.ResponseWriter) // in place of the right answer, if set
	user  func(w http.ResponseWriter)
}

func say(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain") // must not matter
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

const userAnswer = `{"id":"u-1","userName":"zhangsan","name":"Zhang San","email":"z@example.com","mobile":"13800000000","role":"admin",
 "organizationName":"Sales","organizationCode":"org-1","userId":"m-1","accName":"acme","loginName":"zhangsan@acme","projectName":"Acme","tenant":"` + tenantID + `"}`

func open(t *testing.T, change ...func(*kitlogin.Config)) *centre {
	t.Helper()
	c := &centre{t: t, clock: &clock{at: time.Unix(1709690865, 0)}, log: new(bytes.Buffer), codes: map[string]bool{"code-1": true}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /behind/a/path/api/v1/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
		assert.Equal(t, "application/json", r.Header.Get("Accept"))
		assert.Empty(t, r.Header.Get("Authorization"))
		assert.Empty(t, r.Cookies(), "of another user")
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "of-this-user"})
		assert.NoError(t, r.ParseForm())
		c.forms = append(c.forms, r.PostForm)
		conforms(t, "KitTokenRequest", flat(r.PostForm))
		if c.token != nil {
			c.token(w)
			return
		}
		code := r.PostForm.Get("code")
		if r.PostForm.Get("client_secret") != clientSecret || code != "" && !c.codes[code] || code == "" && r.PostForm.Get("refresh_token") != "refresh-1" {
			say(w, 400, `{"error":"invalid_grant","error_description":"Invalid code `+code+` for `+clientSecret+`"}`)
			return
		}
		delete(c.codes, code)
		say(w, 200, `{"access_token":"access-1","token_type":"Bearer","expires_in":7200,"scope":"get_user_info","refresh_token":"refresh-1"}`)
	})
	mux.HandleFunc("GET /behind/a/path/api/v1/oauth2/userinfo", func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "application/json", r.Header.Get("Accept"))
		switch {
		case c.user != nil:
			c.user(w)
		case r.Header.Get("Authorization") != "Bearer access-1":
			say(w, 401, `{"error":"unauthorized","error_description":"Full authentication is required to access this resource"}`)
		default:
			say(w, 200, userAnswer)
		}
	})
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	server.Client().Jar, _ = cookiejar.New(nil)
	c.url = server.URL + "/behind/a/path"
	cfg := kitlogin.Config{
		AppID: "app 1&x", Tenants: c, RedirectURL: callback, RedirectHosts: []string{"www.example.com"}, HTTPClient: server.Client(),
		Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}, Now: c.clock.Now, Logger: slog.New(slog.NewTextHandler(c.log, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	c.login, err = kitlogin.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { c.discreet(c.log.String()) })
	return c
}

func (c *centre) Tenant(_ context.Context, id, app string) (kitlogin.Tenant, error) {
	assert.Equal(c.t, "app 1&x", app)
	if id != tenantID {
		return kitlogin.Tenant{}, kitlogin.ErrUnknownTenant
	}
	return kitlogin.Tenant{DomainName: c.url + "/", ClientID: "client-1", ClientSecret: clientSecret}, nil
}

// discreet holds that a text gives no secret away.
func (c *centre) discreet(text string) {
	c.t.Helper()
	for _, secret := range []string{clientSecret, "code-1", "access-1", "refresh-1", "kkkk"} {
		assert.NotContains(c.t, text, secret)
	}
}

func (c *centre) failed(err, kind error) *kitlogin.Error {
	c.t.Helper()
	require.ErrorIs(c.t, err, kind)
	c.discreet(fmt.Sprintf("%v %+v %#v", err, err, err))
	var e *kitlogin.Error
	require.ErrorAs(c.t, err, &e)
	return e
}

func flat(form url.Values) map[string]string {
	m := map[string]string{}
	for name := range form {
		m[name] = form.Get(name)
	}
	return m
}

// conforms holds a value to a schema of the contract.
func conforms(t *testing.T, schema string, value any) {
	t.Helper()
	s, err := contract.Marketplace().At("/components/schemas/" + schema)
	require.NoError(t, err)
	text, err := json.Marshal(value)
	require.NoError(t, err)
	assert.Empty(t, s.Violations(text))
}

func TestExchange(t *testing.T) {
	t.Parallel()
	c := open(t)
	token, err := c.login.Exchange(t.Context(), tenantID, "code-1")
	require.NoError(t, err)
	want := kitlogin.Token{
		TenantID: tenantID, AccessToken: "access-1", RefreshToken: "refresh-1", TokenType: "Bearer", Scope: "get_user_info",
		Expiry: c.clock.Now().Add(2 * time.Hour),
	}
	assert.Equal(t, want, token)
	assert.Equal(t, map[string]string{
		"grant_type": "authorization_code", "code": "code-1", "client_id": "client-1", "client_secret": clientSecret, "redirect_uri": callback,
	}, flat(c.forms[0]))

	user, err := c.login.UserInfo(t.Context(), token)
	require.NoError(t, err)
	assert.Equal(t, kitlogin.User{
		ID: "u-1", UserName: "zhangsan", Name: "Zhang San", Email: "z@example.com", Mobile: "13800000000", Role: "admin", OrganizationName: "Sales",
		OrganizationCode: "org-1", UserID: "m-1", AccName: "acme", LoginName: "zhangsan@acme", ProjectName: "Acme", Tenant: tenantID,
	}, user)

	c.clock.Advance(time.Hour)
	again, err := c.login.Refresh(t.Context(), tenantID, token.RefreshToken)
	require.NoError(t, err)
	want.Expiry = want.Expiry.Add(time.Hour)
	assert.Equal(t, want, again)
	assert.Equal(t, map[string]string{
		"grant_type": "refresh_token", "refresh_token": "refresh-1", "client_id": "client-1", "client_secret": clientSecret,
	}, flat(c.forms[1]))

	_, err = c.login.Exchange(t.Context(), tenantID, "code-1")
	e := c.failed(err, kitlogin.ErrInvalidGrant)
	assert.Equal(t, &kitlogin.Error{Operation: "kitToken", Status: 400, Code: "invalid_grant", Description: "Invalid code redacted for redacted"}, e)
	require.NotErrorIs(t, err, kitlogin.ErrUnauthorized)
	_, err = c.login.Refresh(t.Context(), tenantID, "refresh-9")
	assert.Equal(t, 400, c.failed(err, kitlogin.ErrInvalidGrant).Status)
	_, err = c.login.UserInfo(t.Context(), kitlogin.Token{TenantID: tenantID, AccessToken: "access-9"})
	assert.Contains(t, c.failed(err, kitlogin.ErrUnauthorized).Error(), "HTTP 401, unauthorized: Full authentication")
	assert.Len(t, c.forms, 4, "nothing is repeated")
}

func TestExchange_AnswersThatAreNoToken(t *testing.T) {
	t.Parallel()
	for body, status := range map[string]int{
		``: 200, `[]`: 200, `{}`: 200, `{"access_token":""}`: 200, `{"access_token":5}`: 200, `{"access_token":"a","token_type":"mac"}`: 200,
		`{"access_token":"a","error":"invalid_grant"}`: 200, `<html>`: 502, `{"error":5}`: 400, `access_token=a`: 200,
		`{"access_token":"` + strings.Repeat("x", 64<<10) + `"}`: 200,
	} {
		c := open(t)
		c.token = func(w http.ResponseWriter) { say(w, status, body) }
		token, err := c.login.Exchange(t.Context(), tenantID, "code-1")
		require.Error(t, err, body)
		assert.Zero(t, token)
		c.discreet(err.Error())
	}
	c := open(t)
	c.token = func(w http.ResponseWriter) { w.Header().Set("Location", c.url+"/api/v1/oauth2/token"); say(w, 307, ``) }
	_, err := c.login.Exchange(t.Context(), tenantID, "code-1")
	require.ErrorContains(t, err, "redirects are not followed")
	assert.Len(t, c.forms, 1, "the client secret is not taken elsewhere")
	c.token = func(w http.ResponseWriter) { say(w, 401, `{"error":"invalid_client"}`) }
	_, err = c.login.Exchange(t.Context(), tenantID, "code-1")
	assert.Equal(t, 401, c.failed(err, kitlogin.ErrInvalidClient).Status)
	c.token = func(w http.ResponseWriter) { say(w, 200, `{"access_token":"a","expires_in":"60"}`) }
	token, err := c.login.Exchange(t.Context(), tenantID, "code-1")
	require.NoError(t, err)
	assert.Equal(t, c.clock.Now().Add(time.Minute), token.Expiry, "a number as text")
}

func TestUserInfo_Answers(t *testing.T) {
	t.Parallel()
	token := kitlogin.Token{TenantID: tenantID, AccessToken: "access-1"}
	for body, problem := range map[string]string{
		``: "no JSON object", `[]`: "no JSON object", `null`: "names no user", `{}`: "names no user", `{"id":{},"userName":null}`: "names no user",
		`{"id":"u-1","tenant":"another"}`: "another tenant", `{"error":"oops"}`: "HTTP 200, oops", strings.Repeat(" ", 64<<10+1): "longer than",
	} {
		c := open(t)
		c.user = func(w http.ResponseWriter) { say(w, 200, body) }
		_, err := c.login.UserInfo(t.Context(), token)
		require.ErrorContains(t, err, problem)
	}
	c := open(t)
	c.user = func(w http.ResponseWriter) {
		say(w, 200, `{"id":17,"mobile":13800000000,"email":null,"role":["admin"],"new":{}}`)
	}
	user, err := c.login.UserInfo(t.Context(), token)
	require.NoError(t, err)
	assert.Equal(t, kitlogin.User{ID: "17", Mobile: "13800000000"}, user)
	c.user = func(w http.ResponseWriter) { say(w, 401, ``) }
	_, err = c.login.UserInfo(t.Context(), token)
	assert.Equal(t, "the answer has no error", c.failed(err, kitlogin.ErrUnauthorized).Description)
	for _, bad := range []string{"", "a b", "a\r\nX: y", "ü"} {
		_, err = c.login.UserInfo(t.Context(), kitlogin.Token{TenantID: tenantID, AccessToken: bad})
		require.ErrorContains(t, err, "cannot stand in a header")
	}
}

// stored is a tenant that is looked up.
type stored struct {
	tenant kitlogin.Tenant
	err    error
}

func (s stored) Tenant(context.Context, string, string) (kitlogin.Tenant, error) {
	return s.tenant, s.err
}

func TestTenant_IsChecked(t *testing.T) {
	t.Parallel()
	good := kitlogin.Tenant{DomainName: "https://centre.example.com", ClientID: "client-1", ClientSecret: clientSecret}
	offline := &http.Client{Transport: wire(func(*http.Request) (*http.Response, error) { t.Error("nothing must be sent"); return nil, io.EOF })}
	for problem, change := range map[string]func(*stored){
		"is not of the form":          func(s *stored) { s.tenant.DomainName = "centre.example.com" },
		"http to another machine":     func(s *stored) { s.tenant.DomainName = "http://centre.example.com" },
		"has a user":                  func(s *stored) { s.tenant.DomainName = "https://u:p@centre.example.com" },
		"a query or a fragment":       func(s *stored) { s.tenant.DomainName = "https://centre.example.com/?" },
		"no client id or no client s": func(s *stored) { s.tenant.ClientSecret = "" },
		"disk":                        func(s *stored) { s.err = errors.New("disk") },
		"no such tenant":              func(s *stored) { s.err = kitlogin.ErrUnknownTenant },
	} {
		s := stored{tenant: good}
		change(&s)
		l, err := kitlogin.New(kitlogin.Config{AppID: "a", Tenants: s, HTTPClient: offline})
		require.NoError(t, err)
		_, err = l.Exchange(t.Context(), tenantID, "code-1")
		require.ErrorContains(t, err, problem)
		_, err = l.Refresh(t.Context(), tenantID, "refresh-1")
		require.ErrorContains(t, err, problem)
		_, err = l.UserInfo(t.Context(), kitlogin.Token{TenantID: tenantID, AccessToken: "a"})
		require.ErrorContains(t, err, problem)
		_, err = l.LogoutURL(t.Context(), tenantID, "")
		require.ErrorContains(t, err, problem)
	}
	l, err := kitlogin.New(kitlogin.Config{AppID: "a", Tenants: stored{tenant: good}, HTTPClient: offline})
	require.NoError(t, err)
	for _, id := range []string{"", strings.Repeat("x", 65), "\xff", "a\nb"} {
		_, err = l.Exchange(t.Context(), id, "code-1")
		require.ErrorIs(t, err, kitlogin.ErrUnknownTenant)
	}
	for _, code := range []string{"", strings.Repeat("x", 2049)} {
		_, err = l.Exchange(t.Context(), tenantID, code)
		require.ErrorContains(t, err, "the code has")
	}
	_, err = l.Refresh(t.Context(), tenantID, "")
	require.ErrorContains(t, err, "is empty")
}

type wire func(*http.Request) (*http.Response, error)

func (f wire) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestURLs(t *testing.T) {
	t.Parallel()
	c := open(t)
	assert.Equal(t, "https://macroverse.huaweicloud.com/unified-login/#/portal-login?ind=UNOP&appId=app+1%26x", c.login.LoginURL())
	other := open(t, func(cfg *kitlogin.Config) { cfg.LoginPage = "http://localhost:8080/login?lang=en" })
	assert.Equal(t, "http://localhost:8080/login?lang=en&ind=UNOP&appId=app+1%26x", other.login.LoginURL())

	for redirect, want := range map[string]string{
		"":                                    c.url + "/api/v1/logout",
		"https://crm.example.com/bye?a=b&c":   c.url + "/api/v1/logout?redirect_url=https%3A%2F%2Fcrm.example.com%2Fbye%3Fa%3Db%26c",
		"https://WWW.example.com":             c.url + "/api/v1/logout?redirect_url=https%3A%2F%2FWWW.example.com",
		"https://evil.example.com/":           "",
		"https://crm.example.com@evil.com/":   "",
		"https://crm.example.com:444/":        "",
		"http://crm.example.com/":             "",
		"//crm.example.com/":                  "",
		"/bye":                                "",
		"javascript:alert(1)":                 "",
		"https://crm.example.com\\@evil.com/": "",
	} {
		got, err := c.login.LogoutURL(t.Context(), tenantID, redirect)
		assert.Equal(t, want, got)
		assert.Equal(t, want == "", err != nil, redirect)
	}
}

func TestNew_ChecksItsConfig(t *testing.T) {
	t.Parallel()
	good := kitlogin.Config{AppID: "a", Tenants: stored{}}
	_, err := kitlogin.New(good)
	require.NoError(t, err)
	for problem, change := range map[string]func(*kitlogin.Config){
		"AppID is empty":           func(c *kitlogin.Config) { c.AppID = "" },
		"Tenants is nil":           func(c *kitlogin.Config) { c.Tenants = nil },
		"StateTTL is -1s":          func(c *kitlogin.Config) { c.StateTTL = -time.Second },
		"Keys[0] has 31 bytes":     func(c *kitlogin.Config) { c.Keys = [][]byte{make([]byte, 31)} },
		"LoginPage is http to":     func(c *kitlogin.Config) { c.LoginPage = "http://login.example.com" },
		"RedirectURL is not of th": func(c *kitlogin.Config) { c.RedirectURL = "/callback" },
		"Rand: EOF":                func(c *kitlogin.Config) { c.Rand = strings.NewReader("") },
	} {
		cfg := good
		change(&cfg)
		_, err := kitlogin.New(cfg)
		require.ErrorContains(t, err, problem)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	c := open(t)
	tenant, err := c.Tenant(t.Context(), tenantID, "app 1&x")
	require.NoError(t, err)
	token := kitlogin.Token{TenantID: tenantID, AccessToken: "access-1", RefreshToken: "refresh-1"}
	cfg := kitlogin.Config{AppID: "a", Keys: [][]byte{[]byte(strings.Repeat("k", 32))}}
	for _, value := range []any{tenant, &tenant, token, &token, cfg, &cfg, c.login} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			c.discreet(fmt.Sprintf(format, value))
		}
		slog.New(slog.NewTextHandler(c.log, nil)).Info("x", "value", value)
	}
}

// browser goes through a login, keeping cookies.
type browser struct {
	t   *testing.T
	hc  *http.Client
	url string
}

func (c *centre) browser() *browser {
	c.t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/login", c.login.LoginHandler())
	mux.Handle("/callback", c.login.CallbackHandler(func(w http.ResponseWriter, r *http.Request, user kitlogin.User, token kitlogin.Token) {
		assert.Equal(c.t, "access-1", token.AccessToken)
		_, _ = fmt.Fprintf(w, "%s %s", user.UserName, kitlogin.ReturnTo(r.Context()))
	}))
	server := httptest.NewTLSServer(mux)
	c.t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(c.t, err)
	hc := server.Client()
	hc.Jar, hc.CheckRedirect = jar, func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{c.t, hc, server.URL}
}

func (b *browser) get(path string) (resp *http.Response, body string) {
	b.t.Helper()
	resp, err := b.hc.Get(b.url + path)
	require.NoError(b.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	require.NoError(b.t, resp.Body.Close())
	assert.Equal(b.t, "no-store", resp.Header.Get("Cache-Control"))
	assert.Equal(b.t, "no-referrer", resp.Header.Get("Referrer-Policy"))
	return resp, string(text)
}

const back = "/callback?code=code-1&tenant=" + tenantID

func TestHandlers(t *testing.T) {
	t.Parallel()
	c := open(t)
	b := c.browser()
	resp, _ := b.get("/login?return_to=" + url.QueryEscape("/reports?year=2026#top"))
	assert.Equal(t, http.StatusFound, resp.StatusCode)
	assert.Equal(t, c.login.LoginURL(), resp.Header.Get("Location"))
	cookie := resp.Cookies()[0]
	assert.Equal(t, "__Host-kitlogin", cookie.Name)
	assert.True(t, cookie.HttpOnly && cookie.Secure && cookie.SameSite == http.SameSiteLaxMode && cookie.Path == "/" && cookie.Domain == "" && cookie.MaxAge == 600, cookie.String())
	resp, body := b.get(back)
	assert.Equal(t, http.StatusOK, resp.StatusCode, body)
	assert.Equal(t, "zhangsan /reports?year=2026#top", body)
	assert.Negative(t, resp.Cookies()[0].MaxAge)

	c.codes["code-1"] = true
	resp, body = b.get(back) // the cookie is gone
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	assert.Equal(t, "The login failed. Please begin again.\n", body)
	assert.Contains(t, c.log.String(), "no cookie")

	post, err := b.hc.Post(b.url+"/login", "text/plain", nil)
	require.NoError(t, err)
	_ = post.Body.Close()
	assert.Equal(t, http.StatusMethodNotAllowed, post.StatusCode)
}

// TestCallback_State: nobody gets as far as the auth centre without a cookie of this browser.
func TestCallback_State(t *testing.T) {
	t.Parallel()
	for want, act := range map[error]func(c *centre, b *browser, cookie *http.Cookie) string{
		kitlogin.ErrNoState:      func(*centre, *browser, *http.Cookie) string { return "" },
		kitlogin.ErrStateInvalid: func(_ *centre, _ *browser, k *http.Cookie) string { return k.Name + "=" + k.Value + "A" },
		kitlogin.ErrStateExpired: func(c *centre, _ *browser, k *http.Cookie) string {
			c.clock.Advance(10 * time.Minute)
			return k.Name + "=" + k.Value
		},
		kitlogin.ErrStateUsed: func(c *centre, b *browser, k *http.Cookie) string {
			resp, body := b.get(back)
			assert.Equal(c.t, http.StatusOK, resp.StatusCode, body)
			c.codes["code-1"], c.forms = true, nil
			return k.Name + "=" + k.Value
		},
		kitlogin.ErrState: func(_ *centre, _ *browser, k *http.Cookie) string { // one that a neighbour planted, beside the right one
			return k.Name + "=" + k.Value + "; " + k.Name + "=" + k.Value
		},
	} {
		var got error
		c := open(t, func(cfg *kitlogin.Config) {
			cfg.OnError = func(w http.ResponseWriter, _ *http.Request, err error) { got = err; w.WriteHeader(http.StatusTeapot) }
		})
		b := c.browser()
		resp, _ := b.get("/login")
		header := act(c, b, resp.Cookies()[0])
		b.hc.Jar = nil
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+back, http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Cookie", header)
		answer, err := b.hc.Do(req)
		require.NoError(t, err)
		_ = answer.Body.Close()
		assert.Equal(t, http.StatusTeapot, answer.StatusCode)
		require.ErrorIs(t, got, want)
		require.ErrorIs(t, got, kitlogin.ErrState)
		assert.Empty(t, c.forms, "%v", want)
	}
}

func TestCallback_Failures(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]struct {
		status int
		log    string
	}{
		"/callback":                                  {403, "no code and no tenant"},
		"/callback?code=code-1":                      {403, "no code and no tenant"},
		back + "&code=code-2":                        {403, "or several"},
		"/callback?code=code-1&tenant=x":             {403, "no such tenant"},
		"/callback?code=used&tenant=" + tenantID:     {403, "invalid_grant"},
		"/callback?code=&tenant=" + tenantID:         {502, "the code has 0 bytes"},
		"/callback?error=access_denied&tenant=x%0Ay": {403, "no code and no tenant"},
	} {
		c := open(t)
		b := c.browser()
		b.get("/login")
		resp, body := b.get(path)
		assert.Equal(t, want.status, resp.StatusCode, path)
		assert.Equal(t, "The login failed. Please begin again.\n", body)
		assert.Contains(t, c.log.String(), want.log)
	}
	c := open(t)
	c.user = func(w http.ResponseWriter) { say(w, 500, ``) }
	b := c.browser()
	b.get("/login")
	resp, _ := b.get(back)
	assert.Equal(t, http.StatusBadGateway, resp.StatusCode)
}

func TestReturnTo_StaysOnTheSite(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"": "/", "/a/b?c=d": "/a/b?c=d", "https://evil.example.com": "/", "//evil.example.com": "/", `/\evil.example.com`: "/", "/\t/evil.example.com": "/",
		"javascript:alert(1)": "/", "a": "/", "/%zz": "/", "/" + strings.Repeat("x", 1024): "/", "/.//evil.example.com": "/.//evil.example.com",
	} {
		c := open(t)
		b := c.browser()
		b.get("/login?return_to=" + url.QueryEscape(given))
		_, body := b.get(back)
		assert.Equal(t, "zhangsan "+want, body, given)
	}
	assert.Equal(t, "/", kitlogin.ReturnTo(t.Context()))
}

func TestKeys_CanBeChanged(t *testing.T) {
	t.Parallel()
	before, after := bytes.Repeat([]byte("k"), 32), bytes.Repeat([]byte("j"), 32)
	cookie := func(c *centre) *http.Cookie {
		w := httptest.NewRecorder()
		c.login.LoginHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/login", http.NoBody))
		return w.Result().Cookies()[0]
	}
	status := func(c *centre, k *http.Cookie) int {
		r := httptest.NewRequest(http.MethodGet, back, http.NoBody)
		r.AddCookie(k)
		w := httptest.NewRecorder()
		c.login.CallbackHandler(func(http.ResponseWriter, *http.Request, kitlogin.User, kitlogin.Token) {}).ServeHTTP(w, r)
		return w.Code
	}
	with := func(app string, keys ...[]byte) func(*kitlogin.Config) {
		return func(c *kitlogin.Config) { c.Keys, c.AppID = keys, app }
	}
	old := cookie(open(t, with("app 1&x", before)))
	assert.Equal(t, 200, status(open(t, with("app 1&x", after, before)), old))
	assert.Equal(t, 403, status(open(t, with("app 1&x", after)), old))
	assert.Equal(t, 403, status(open(t, with("app 2", before)), old), "of another application")
	assert.Equal(t, 403, status(open(t, with("app 1&x")), old), "a random key")
	insecure := open(t, func(c *kitlogin.Config) { c.InsecureCookie, c.Keys = true, nil })
	k := cookie(insecure)
	assert.Equal(t, "kitlogin", k.Name)
	assert.False(t, k.Secure)
	assert.Equal(t, 200, status(insecure, k))
}

// FuzzState: only what LoginHandler made, to the letter, is a state.
func FuzzState(f *testing.F) {
	l, err := kitlogin.New(kitlogin.Config{
		AppID: "a", Tenants: stored{err: kitlogin.ErrUnknownTenant}, Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}, Rand: zero{},
		Now: func() time.Time { return time.Unix(1709690865, 0) }, Logger: slog.New(slog.DiscardHandler), Nonces: forgetful{},
		OnError: func(w http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, kitlogin.ErrState) {
				w.WriteHeader(http.StatusForbidden)
			}
		},
	})
	require.NoError(f, err)
	made := func(returnTo string) string {
		w := httptest.NewRecorder()
		l.LoginHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/login?return_to="+url.QueryEscape(returnTo), http.NoBody))
		return w.Result().Cookies()[0].Value
	}
	for _, returnTo := range []string{"/", "/a?b=c"} {
		value := made(returnTo)
		for _, text := range []string{value, value + "=", value[:len(value)-1], strings.ToUpper(value), "2" + value[1:], strings.Replace(value, ".", "..", 1), value + "." + value} {
			f.Add(text)
		}
	}
	for _, text := range []string{"", ".", "....", "1.2.3.4.5", strings.Repeat(".", 3000)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequest(http.MethodGet, "/callback?code=c&tenant=t", http.NoBody)
		r.Header.Set("Cookie", "__Host-kitlogin="+text)
		w := httptest.NewRecorder()
		l.CallbackHandler(nil).ServeHTTP(w, r)
		sent := r.CookiesNamed("__Host-kitlogin")
		good := len(sent) == 1 && (sent[0].Value == made("/") || sent[0].Value == made("/a?b=c"))
		require.Equal(t, good, w.Code != http.StatusForbidden, "%q", text)
	})
}

type zero struct{}

func (zero) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type forgetful struct{}

func (forgetful) Use(context.Context, string, time.Time) (bool, error) { return true, nil }
