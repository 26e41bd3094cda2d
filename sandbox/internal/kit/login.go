package kit

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
)

// How long what the auth centre gives out is good for, on the sandbox's clock.
const (
	CodeLife    = 5 * time.Minute     // ours: not published
	AccessLife  = 7200 * time.Second  // source: CN-448
	RefreshLife = 30 * 24 * time.Hour // source: CN-448; a refreshed one begins anew, which is ours
	SessionLife = 12 * time.Hour      // of a browser at the auth centre; ours
)

// TokenKind is what a token is good for.
type TokenKind string

// The kinds of tokens.
const (
	CodeToken    TokenKind = "code"    // comes with the browser, once
	AccessToken  TokenKind = "access"  // asks for the user
	RefreshToken TokenKind = "refresh" // asks for new tokens, once
	SessionToken TokenKind = "session" // the browser's cookie
)

// Life is how long a token of this kind is good for.
func (k TokenKind) Life() time.Duration {
	switch k {
	case CodeToken:
		return CodeLife
	case AccessToken:
		return AccessLife
	case RefreshToken:
		return RefreshLife
	}
	return SessionLife
}

// Token is something random that the auth centre gave out. It is known by its hash alone.
type Token struct {
	Hash      string
	Kind      TokenKind
	TenantID  string
	AppID     string // empty for a session, which is good for every application of the tenant
	UserName  string
	Family    string // of all tokens that came from one login
	ExpiresAt time.Time
	Used      bool // codes and refresh tokens are good for one use
}

// NewToken makes a token and gives its text, which is not kept.
func NewToken(kind TokenKind, tenantID, appID, userName, family string, now time.Time) (Token, string) {
	value := RandomText(32)
	return Token{
		Hash: Hash(value), Kind: kind, TenantID: tenantID, AppID: appID, UserName: userName, Family: family, ExpiresAt: now.Add(kind.Life()),
	}, value
}

// Refusal is why the auth centre says no, as a word of OAuth 2.0 and a text for people. Neither has a secret in it.
type Refusal struct {
	Code        string
	Description string
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Description }

// The refusals.
var (
	ErrUnauthorized = &Refusal{"unauthorized", "Full authentication is required to access this resource"} // the documented text
	ErrBadClient    = &Refusal{"invalid_client", "The client id is not known to this tenant, or the client secret is wrong"}
	ErrBadCode      = &Refusal{"invalid_grant", "Invalid authorization code"}
	ErrBadRefresh   = &Refusal{"invalid_grant", "Invalid refresh token"}
	ErrBadRedirect  = &Refusal{"invalid_grant", "redirect_uri is not the call-back address that is registered with the application"}
	ErrBadLogin     = &Refusal{"access_denied", "Account or password are wrong, or the account may not use this application"}
)

// Good tells whether a token can be used for an application of a tenant now.
func (t Token) Good(kind TokenKind, tenantID, appID string, now time.Time) bool {
	return t.Kind == kind && t.TenantID == tenantID && t.AppID == appID && !t.Used && now.Before(t.ExpiresAt)
}

// MayLogIn tells whether a user may use an application: he is enabled, and authorised for one of its instances.
func MayLogIn(u User, grants []Grant, appID string) bool {
	return u.Enable == providerapi.EnableTrue &&
		slices.ContainsFunc(grants, func(g Grant) bool { return g.UserName == u.UserName && g.AppID == appID && !g.Cancelled })
}

// SplitAccount reads user@code, the form of accounts; what stands behind the last @ is the tenant's code.
func SplitAccount(account string) (userName, tenantCode string, ok bool) {
	i := strings.LastIndexByte(account, '@')
	if i <= 0 || i == len(account)-1 {
		return "", "", false
	}
	return account[:i], account[i+1:], true
}

// Callback is where a browser is sent after a login. A state that is not empty goes back with it.
func (a Application) Callback(code, tenantID, state string) string {
	u, err := url.Parse(a.CallbackURL)
	if err != nil {
		return a.CallbackURL // it was checked when it was registered
	}
	q := u.Query()
	q.Set("code", code)
	q.Set("tenant", tenantID)
	if state != "" {
		q.Set("state", state)
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// MayLeadTo tells whether a logout may send the browser to an address: a path of the auth centre, or the origin of a registered
// call-back. Anything else would make it an open redirect.
func MayLeadTo(address string, callbacks []string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return false
	}
	if u.Scheme == "" && u.Host == "" {
		return strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "//")
	}
	return slices.ContainsFunc(callbacks, func(callback string) bool {
		c, err := url.Parse(callback)
		return err == nil && u.Scheme == c.Scheme && strings.EqualFold(u.Host, c.Host)
	})
}
