package kitlogin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/signature"
)

// LoginPage is the marketplace's login page in China.
const LoginPage = "https://macroverse.huaweicloud.com/unified-login/#/portal-login"

// Tenants tells what the calls tenantSync and applicationSync brought.
type Tenants interface {
	// Tenant returns what is stored for a tenant and an application. [ErrUnknownTenant] says that there is nothing. tenantID is
	// what a browser sent; only its length and that it is text were checked.
	Tenant(ctx context.Context, tenantID, appID string) (Tenant, error)
}

// Tenant is how to reach the auth centre of a tenant. Printing and logging it leaves the secret out.
type Tenant struct {
	DomainName   string // of tenantSync: https://host
	ClientID     string // of applicationSync
	ClientSecret string // of applicationSync, decrypted
}

// String leaves the secret out.
func (t Tenant) String() string {
	return fmt.Sprintf("{DomainName:%s ClientID:%s}", t.DomainName, t.ClientID)
}

// Format writes what String returns whatever the verb.
func (t Tenant) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue leaves the secret out.
func (t Tenant) LogValue() slog.Value { return slog.StringValue(t.String()) }

// User is what the auth centre tells about a user. UserName is the userName of authSync and unique within the tenant.
type User = marketplaceapi.KitUser

// Token gives access to the user's data. Printing and logging it shows no token.
type Token struct {
	TenantID     string
	AccessToken  string
	RefreshToken string    // good for 30 days
	TokenType    string    // Bearer
	Scope        string    // get_user_info
	Expiry       time.Time // of the access token; zero if it was not told
}

// String leaves the tokens out.
func (t Token) String() string {
	return fmt.Sprintf("{TenantID:%s Expiry:%s}", t.TenantID, t.Expiry.Format(time.RFC3339))
}

// Format writes what String returns whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue leaves the tokens out.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Config is how a login is set up. AppID and Tenants are required.
type Config struct {
	// AppID is the id of the application credential that was applied for in the seller's console.
	AppID string

	// Tenants knows the tenants.
	Tenants Tenants

	// RedirectURL is the registered callback address. It is sent along with a code if it is set; it must be the registered one
	// then.
	RedirectURL string

	// RedirectHosts are the hosts, besides that of RedirectURL, to which LogoutURL may send a browser on.
	RedirectHosts []string

	// LoginPage is where users log in. Default: the constant LoginPage.
	LoginPage string

	// Keys sign the state cookie, each at least 32 random bytes: the first one signs, all of them verify. Default: a random key,
	// which is right for one process and forgets half-done logins when that ends.
	Keys [][]byte

	// StateTTL is how long a user may take to log in. Default: ten minutes.
	StateTTL time.Duration

	// Nonces remembers the cookies that were used. Default: memory, which is right for one process.
	Nonces signature.NonceStore

	// InsecureCookie sends the state cookie over http too and drops the prefix __Host- of its name. For development only.
	InsecureCookie bool

	// InsecureAllowHTTP allows an http address of an auth centre on another machine. http to the own machine is always allowed.
	InsecureAllowHTTP bool

	// OnError answers a login that failed; the error tells why. Default: 403 or 502 and one sentence that tells nothing.
	OnError func(w http.ResponseWriter, r *http.Request, err error)

	// HTTPClient sends the requests to auth centres; its transport and timeout are used, and no cookie jar. Default:
	// http.DefaultTransport and 20 s.
	HTTPClient *http.Client

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Rand is where nonces and the default key come from. Default: crypto/rand.Reader.
	Rand io.Reader

	// Logger gets a line per login that failed. Default: slog.Default(), looked up for each line.
	Logger *slog.Logger
}

// String leaves the keys out.
func (c Config) String() string {
	return fmt.Sprintf("{AppID:%s Keys:%d redacted}", c.AppID, len(c.Keys))
}

// Format writes what String returns whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue leaves the keys out.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

const (
	defaultStateTTL = 10 * time.Minute
	defaultTimeout  = 20 * time.Second
	leastKey        = 32
	maxAnswer       = 64 << 10 // bytes; a user or a token is about one KiB
	maxID           = 64       // characters of a tenant id
	maxCode         = 2048     // ours: not published
)

// Login logs users in. It is safe for concurrent use.
type Login struct {
	cfg   Config
	page  string
	hosts []string // to which a logout may lead
	http  *http.Client
}

// New returns a Login. The error says which setting makes no sense; nothing is sent.
func New(cfg Config) (*Login, error) {
	l := &Login{}
	switch {
	case cfg.AppID == "":
		return nil, errors.New("kitlogin: Config.AppID is empty")
	case cfg.Tenants == nil:
		return nil, errors.New("kitlogin: Config.Tenants is nil")
	case cfg.StateTTL < 0:
		return nil, fmt.Errorf("kitlogin: Config.StateTTL is %v, expected 0 (for %v) or more", cfg.StateTTL, defaultStateTTL)
	}
	for i, key := range cfg.Keys {
		if len(key) < leastKey {
			return nil, fmt.Errorf("kitlogin: Config.Keys[%d] has %d bytes, expected at least %d", i, len(key), leastKey)
		}
	}
	page, err := url.Parse(cmp.Or(cfg.LoginPage, LoginPage))
	if problem := addressProblem(page, err, cfg.InsecureAllowHTTP); problem != "" {
		return nil, errors.New("kitlogin: Config.LoginPage " + problem)
	}
	l.page = page.String()
	l.hosts = slices.Clone(cfg.RedirectHosts)
	if cfg.RedirectURL != "" {
		redirect, err := url.Parse(cfg.RedirectURL)
		if problem := addressProblem(redirect, err, cfg.InsecureAllowHTTP); problem != "" {
			return nil, errors.New("kitlogin: Config.RedirectURL " + problem)
		}
		l.hosts = append(l.hosts, redirect.Host)
	}
	cfg.StateTTL = cmp.Or(cfg.StateTTL, defaultStateTTL)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Nonces == nil {
		cfg.Nonces = signature.NewReplayGuard(0, cfg.Now)
	}
	if len(cfg.Keys) == 0 {
		key := make([]byte, leastKey)
		if _, err := io.ReadFull(cfg.Rand, key); err != nil {
			return nil, fmt.Errorf("kitlogin: Config.Rand: %w", err)
		}
		cfg.Keys = [][]byte{key}
	}
	l.cfg = cfg
	l.http = httpClient(cfg.HTTPClient)
	return l, nil
}

// String names the application and nothing secret.
func (l *Login) String() string { return "kitlogin.Login{" + l.cfg.AppID + "}" }

// Format writes what String returns whatever the verb.
func (l *Login) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// LoginURL is the address of the login page for this application. LoginHandler redirects there; a link to it in a page does not
// set the state cookie.
func (l *Login) LoginURL() string {
	separator := "?"
	if strings.Contains(l.page, "?") {
		separator = "&"
	}
	return l.page + separator + "ind=UNOP&appId=" + url.QueryEscape(l.cfg.AppID) // behind the fragment, as the page wants it
}

// Exchange redeems the code that a browser brought to the callback, at the auth centre of the tenant it named. A code can be used once,
// so the request is never repeated. A code that is no good is [ErrInvalidGrant].
//
//isvkit:operation kitToken
func (l *Login) Exchange(ctx context.Context, tenantID, code string) (Token, error) {
	if code == "" || len(code) > maxCode {
		return Token{}, fmt.Errorf("kitlogin: the code has %d bytes, expected 1 to %d", len(code), maxCode)
	}
	return l.token(ctx, tenantID, code, func(ctx context.Context, conf *oauth2.Config) (*oauth2.Token, error) {
		conf.RedirectURL = l.cfg.RedirectURL
		return conf.Exchange(ctx, code)
	})
}

// Refresh gets a new access token for a refresh token. If the answer has no new refresh token, the old one stays. One that is no good
// is [ErrInvalidGrant]: the user has to log in again.
//
//isvkit:operation kitToken
func (l *Login) Refresh(ctx context.Context, tenantID, refreshToken string) (Token, error) {
	if refreshToken == "" {
		return Token{}, errors.New("kitlogin: the refresh token is empty")
	}
	return l.token(ctx, tenantID, refreshToken, func(ctx context.Context, conf *oauth2.Config) (*oauth2.Token, error) {
		return conf.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
	})
}

// token runs one of the two grants. secret is what must not come back in an error, besides the client secret.
func (l *Login) token(ctx context.Context, tenantID, secret string, grant func(context.Context, *oauth2.Config) (*oauth2.Token, error)) (Token, error) {
	const op = "kitToken"
	tenant, domain, err := l.tenant(ctx, tenantID)
	if err != nil {
		return Token{}, err
	}
	got, err := grant(context.WithValue(ctx, oauth2.HTTPClient, l.http), &oauth2.Config{
		ClientID: tenant.ClientID, ClientSecret: tenant.ClientSecret,
		Endpoint: oauth2.Endpoint{TokenURL: domain + "/api/v1/oauth2/token", AuthStyle: oauth2.AuthStyleInParams},
	})
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused): // its own text has the whole answer in it
		return Token{}, refusal(op, refused.Response.StatusCode, refused.ErrorCode, refused.ErrorDescription, tenant.ClientSecret, secret)
	case err != nil:
		return Token{}, fmt.Errorf("kitlogin: %s: %w", op, err)
	}
	token := Token{TenantID: tenantID, AccessToken: got.AccessToken, RefreshToken: got.RefreshToken, TokenType: got.TokenType}
	token.Scope, _ = got.Extra("scope").(string)
	if got.ExpiresIn > 0 {
		token.Expiry = l.cfg.Now().Add(time.Duration(got.ExpiresIn) * time.Second)
	}
	if !strings.EqualFold(cmp.Or(got.TokenType, "Bearer"), "Bearer") {
		return Token{}, fmt.Errorf("kitlogin: %s: the token is of another type than Bearer", op)
	}
	return token, nil
}

// UserInfo asks who an access token belongs to. One that is no good any more is [ErrUnauthorized]. A user of another tenant is
// [ErrAnotherTenant]; a user without id and userName is an error too.
//
//isvkit:operation kitUserInfo
func (l *Login) UserInfo(ctx context.Context, token Token) (User, error) {
	const op = "kitUserInfo"
	if token.AccessToken == "" || strings.ContainsFunc(token.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return User{}, errors.New("kitlogin: the access token is empty, or cannot stand in a header")
	}
	_, domain, err := l.tenant(ctx, token.TenantID)
	if err != nil {
		return User{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, domain+"/api/v1/oauth2/userinfo", http.NoBody)
	if err != nil {
		return User{}, fmt.Errorf("kitlogin: %s: %w", op, err)
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	resp, err := l.http.Do(req)
	if err != nil {
		return User{}, fmt.Errorf("kitlogin: %s: %w", op, err)
	}
	body, err := io.ReadAll(resp.Body) // in memory already, see reader
	_ = resp.Body.Close()
	if err != nil {
		return User{}, fmt.Errorf("kitlogin: %s: %w", op, err)
	}
	var said marketplaceapi.KitErrorAnswer
	_ = json.Unmarshal(body, &said)
	if resp.StatusCode != http.StatusOK || said.Error != "" {
		return User{}, refusal(op, resp.StatusCode, said.Error, said.ErrorDescription, token.AccessToken)
	}
	user, err := readUser(body)
	switch {
	case err != nil:
		return User{}, fmt.Errorf("kitlogin: %s: %w", op, err)
	case user.Tenant != "" && user.Tenant != token.TenantID:
		return User{}, ErrAnotherTenant
	}
	return user, nil
}

// readUser reads texts, numbers where text belongs as their text, and nothing else.
func readUser(body []byte) (user User, err error) {
	var fields map[string]any
	numbers := json.NewDecoder(bytes.NewReader(body))
	numbers.UseNumber()
	if err := numbers.Decode(&fields); err != nil {
		return User{}, errors.New("the answer is no JSON object")
	}
	for name, value := range fields {
		switch value := value.(type) {
		case string:
		case json.Number:
			fields[name] = value.String()
		default:
			delete(fields, name)
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return User{}, err
	}
	if err := json.Unmarshal(text, &user); err != nil {
		return User{}, err
	}
	if user.ID == "" && user.UserName == "" {
		return User{}, errors.New("the answer names no user")
	}
	return user, nil
}

// LogoutURL is where a browser is sent to end its session at the auth centre of a tenant, and from there to redirect: an address on the
// host of Config.RedirectURL or on one of Config.RedirectHosts. With an empty redirect it stays there. End the ISV's own session
// first.
//
//isvkit:operation kitLogout
func (l *Login) LogoutURL(ctx context.Context, tenantID, redirect string) (string, error) {
	_, domain, err := l.tenant(ctx, tenantID)
	if err != nil {
		return "", err
	}
	address := domain + "/api/v1/logout"
	if redirect == "" {
		return address, nil
	}
	u, err := url.Parse(redirect)
	if problem := addressProblem(u, err, l.cfg.InsecureAllowHTTP); problem != "" {
		return "", errors.New("kitlogin: the address after the logout " + problem)
	}
	if !slices.ContainsFunc(l.hosts, func(host string) bool { return strings.EqualFold(host, u.Host) }) {
		return "", errors.New("kitlogin: the address after the logout is on a host that is neither that of Config.RedirectURL nor in Config.RedirectHosts")
	}
	return address + "?redirect_url=" + url.QueryEscape(u.String()), nil
}

// tenant looks a tenant up and checks what it finds.
func (l *Login) tenant(ctx context.Context, id string) (_ Tenant, domain string, _ error) {
	if n := utf8.RuneCountInString(id); n == 0 || n > maxID || !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Tenant{}, "", fmt.Errorf("%w: the id is no text of 1 to %d characters", ErrUnknownTenant, maxID)
	}
	tenant, err := l.cfg.Tenants.Tenant(ctx, id, l.cfg.AppID)
	if err != nil {
		return Tenant{}, "", fmt.Errorf("kitlogin: look up a tenant: %w", err)
	}
	u, err := url.Parse(tenant.DomainName)
	problem := addressProblem(u, err, l.cfg.InsecureAllowHTTP)
	switch {
	case problem != "":
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		problem = "has a query or a fragment"
	case tenant.ClientID == "" || tenant.ClientSecret == "":
		return Tenant{}, "", errors.New("kitlogin: the tenant has no client id or no client secret")
	}
	if problem != "" {
		return Tenant{}, "", errors.New("kitlogin: the domainName of the tenant " + problem)
	}
	return tenant, strings.TrimRight(u.String(), "/"), nil
}

// addressProblem returns what is wrong with an address, "" if nothing is.
func addressProblem(u *url.URL, err error, allowHTTP bool) string {
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "is not of the form https://host"
	case u.User != nil:
		return "has a user"
	case u.Scheme == "http" && !allowHTTP && !loopback(u.Hostname()):
		return "is http to another machine, expected https (or InsecureAllowHTTP)"
	}
	return ""
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// httpClient is a copy of the caller's client that follows no redirects, which would take the client secret along, and reads each answer
// to its end.
func httpClient(from *http.Client) *http.Client {
	var hc http.Client
	if from != nil {
		hc = *from
	}
	hc.Jar = nil // or the cookies of one user would go along with the next
	hc.Timeout = cmp.Or(hc.Timeout, defaultTimeout)
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if hc.Transport == nil {
		hc.Transport = http.DefaultTransport
	}
	hc.Transport = reader{hc.Transport}
	return &hc
}

type reader struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t reader) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "isvkit")
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	_ = resp.Body.Close()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	resp.Header = resp.Header.Clone()
	if resp.Header == nil {
		resp.Header = http.Header{}
	}
	resp.Header.Set("Content-Type", "application/json") // the only form there is, or oauth2 reads text/plain as a form
	return resp, nil
}
