// Package authcentre serves the auth centres of the tenants: the login page, and the OAuth2 operations that the contract calls
// kit-login (marketplace.yaml). It is HTTP and HTML; who may log in, and what codes and tokens are worth, stands in package kit,
// and is kept by package kitbook.
//
// Each tenant's auth centre has an address of its own, <base>/tenants/<tenantId>; that is the domainName which tenantSync tells.
// The login page is one for all, <base>/unified-login.
package authcentre

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
)

// LoginPath is where the login page is.
const LoginPath = "/unified-login"

const (
	signedOutPath = "/unified-login/signed-out"
	tenantsPrefix = "/tenants/"
	cookieName    = "isvkit-session"
	maxForm       = 64 << 10 // bytes; a form is about one KiB
	maxAccounts   = 500      // that the login page offers
)

// TenantPath is the path of a tenant's auth centre.
func TenantPath(tenantID string) string { return tenantsPrefix + tenantID }

// Handles tells whether a path belongs to the auth centres rather than to the open API.
func Handles(path string) bool {
	return path == LoginPath || strings.HasPrefix(path, LoginPath+"/") || strings.HasPrefix(path, tenantsPrefix)
}

// SignIn is what a browser brings to the login page.
type SignIn struct {
	AppID    string
	TenantID string // empty: the account's
	Account  string // user@code
	Password string
}

// Signed is a browser that is signed in, and the code that it takes to the ISV.
type Signed struct {
	Application kit.Application
	TenantID    string
	Code        string
	Session     string // empty: the one it came with
}

// Book is who knows tenants, users and tokens. Its methods return a *kit.Refusal where the answer is no.
type Book interface {
	// Application finds an application.
	Application(ctx context.Context, appID string) (kit.Application, error)
	// ClientApplication finds the application of a client of a tenant.
	ClientApplication(ctx context.Context, tenantID, clientID string) (kit.Application, error)
	// Accounts lists accounts that may use an application, of one tenant or of all.
	Accounts(ctx context.Context, appID, tenantID string, limit int) ([]string, error)
	// SignIn checks a password, and begins a session.
	SignIn(ctx context.Context, in SignIn) (Signed, error)
	// Resume makes a code for a browser that has a session.
	Resume(ctx context.Context, session, appID, tenantID string) (Signed, error)
	// Token redeems a code or a refresh token.
	Token(ctx context.Context, tenantID string, r marketplaceapi.KitTokenRequest) (marketplaceapi.KitToken, error)
	// UserInfo tells who an access token belongs to.
	UserInfo(ctx context.Context, tenantID, accessToken string) (marketplaceapi.KitUser, error)
	// SignOut ends a session, and lists the call-back addresses of the tenant's applications.
	SignOut(ctx context.Context, tenantID, session string) ([]string, error)
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

type server struct {
	book   Book
	secure func() bool
	log    *slog.Logger
}

// New gives the handler of all auth centres. secure tells whether browsers reach it by https, so that cookies are kept to that.
func New(book Book, secure func() bool, log *slog.Logger) http.Handler {
	s := &server{book, secure, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+LoginPath, s.loginPage)
	mux.HandleFunc("POST "+LoginPath, s.login)
	mux.HandleFunc("GET "+signedOutPath, func(w http.ResponseWriter, _ *http.Request) {
		s.show(w, http.StatusOK, view{Title: "Signed out", Message: "You are signed out of the auth centre."})
	})
	mux.HandleFunc("POST "+tenantsPrefix+"{tenant}/api/v1/oauth2/token", s.token)
	mux.HandleFunc("GET "+tenantsPrefix+"{tenant}/api/v1/oauth2/userinfo", s.userInfo)
	mux.HandleFunc("GET "+tenantsPrefix+"{tenant}/api/v1/oauth2/authorize", s.authorize)
	mux.HandleFunc("GET "+tenantsPrefix+"{tenant}/api/v1/logout", s.logout)
	// A page of somebody else cannot make a browser log in here as another user.
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		guarded.ServeHTTP(w, r)
	})
}

// view is what the page shows: a form, or a message.
type view struct {
	Title    string
	Message  string
	Problem  string
	App      kit.Application
	Action   string
	TenantID string
	State    string
	Account  string
	Accounts []string
}

func (s *server) show(w http.ResponseWriter, status int, v view) {
	form := "'self'"
	if u, err := url.Parse(v.App.CallbackURL); err == nil && u.Host != "" {
		form += " " + u.Scheme + "://" + u.Host // browsers hold the redirect after a form against the policy too
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action "+form)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if err := page.Execute(w, v); err != nil {
		s.log.Debug("auth centre: the page could not be written", "error", err)
	}
}

// sorry answers a browser with a page.
func (s *server) sorry(w http.ResponseWriter, status int, message string) {
	s.show(w, status, view{Title: "That did not work", Message: message})
}

func (s *server) internal(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody is listening any more
	}
	s.log.Error("auth centre: cannot answer", "path", r.URL.Path, "error", err)
	s.sorry(w, http.StatusInternalServerError, "The auth centre failed; the sandbox's log says why.")
}

// application finds the application of the login page, or answers that there is none.
func (s *server) application(w http.ResponseWriter, r *http.Request, appID string) (kit.Application, bool) {
	app, err := s.book.Application(r.Context(), appID)
	var refusal *kit.Refusal
	switch {
	case err == nil:
		return app, true
	case errors.As(err, &refusal):
		s.sorry(w, http.StatusNotFound, "appId: expected the id of an application credential; this address has none, or one that does not exist.")
	default:
		s.internal(w, r, err)
	}
	return app, false
}

func session(r *http.Request) string {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	return c.Value
}

func (s *server) setSession(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever browsers come by https
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode,
	})
}

// loginPage shows the form; a browser that is signed in goes on at once.
func (s *server) loginPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if app, ok := s.application(w, r, q.Get("appId")); ok {
		s.offer(w, r, app, "", "")
	}
}

// offer shows the form for an application, of one tenant or of all, unless the browser's session will do.
func (s *server) offer(w http.ResponseWriter, r *http.Request, app kit.Application, tenantID, state string) {
	if value := session(r); value != "" {
		signed, err := s.book.Resume(r.Context(), value, app.ID, tenantID)
		var refusal *kit.Refusal
		switch {
		case err == nil:
			http.Redirect(w, r, app.Callback(signed.Code, signed.TenantID, state), http.StatusFound) //nolint:gosec // to the registered call-back alone
			return
		case !errors.As(err, &refusal):
			s.internal(w, r, err)
			return
		}
	}
	s.form(w, r, http.StatusOK, view{App: app, TenantID: tenantID, State: state})
}

func (s *server) form(w http.ResponseWriter, r *http.Request, status int, v view) {
	accounts, err := s.book.Accounts(r.Context(), v.App.ID, v.TenantID, maxAccounts)
	if err != nil {
		s.internal(w, r, err)
		return
	}
	v.Title, v.Action, v.Accounts = "Log in to "+v.App.Name, LoginPath, accounts
	s.show(w, status, v)
}

// login takes the form.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.sorry(w, http.StatusBadRequest, "The form could not be read.")
		return
	}
	app, ok := s.application(w, r, r.PostForm.Get("appId"))
	if !ok {
		return
	}
	in := SignIn{AppID: app.ID, TenantID: r.PostForm.Get("tenant"), Account: strings.TrimSpace(r.PostForm.Get("account")), Password: r.PostForm.Get("password")}
	state := r.PostForm.Get("state")
	signed, err := s.book.SignIn(r.Context(), in)
	var refusal *kit.Refusal
	switch {
	case errors.As(err, &refusal):
		s.log.Info("auth centre: login refused", "appId", app.ID)
		s.form(w, r, http.StatusForbidden, view{App: app, TenantID: in.TenantID, State: state, Account: in.Account, Problem: refusal.Description})
	case err != nil:
		s.internal(w, r, err)
	default:
		s.setSession(w, signed.Session, int(kit.SessionLife.Seconds()))
		http.Redirect(w, r, app.Callback(signed.Code, signed.TenantID, state), http.StatusFound) //nolint:gosec // to the registered call-back alone
	}
}

// authorize is the other way to the login page: the standard one of OAuth 2.0. What is wrong with the client or its address is told
// to the browser and not to that address.
func (s *server) authorize(w http.ResponseWriter, r *http.Request) {
	q, tenantID := r.URL.Query(), r.PathValue("tenant")
	app, err := s.book.ClientApplication(r.Context(), tenantID, q.Get("client_id"))
	var refusal *kit.Refusal
	switch redirect := q.Get("redirect_uri"); {
	case errors.As(err, &refusal):
		s.sorry(w, http.StatusBadRequest, "client_id: expected the clientId of applicationSync for this tenant.")
	case err != nil:
		s.internal(w, r, err)
	case q.Has("redirect_uri") && redirect != app.CallbackURL:
		s.sorry(w, http.StatusBadRequest, "redirect_uri: expected the call-back address that is registered with the application, letter for letter.")
	case q.Get("response_type") != "code":
		s.sorry(w, http.StatusBadRequest, "response_type: expected code.")
	default:
		s.offer(w, r, app, tenantID, q.Get("state"))
	}
}

// token redeems a code or a refresh token. Parameters are taken from the body alone: an address is logged in too many places for a
// secret.
func (s *server) token(w http.ResponseWriter, r *http.Request) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		s.refuse(w, r, &kit.Refusal{Code: "invalid_request", Description: "Content-Type: expected application/x-www-form-urlencoded"})
		return
	}
	if err := r.ParseForm(); err != nil {
		s.refuse(w, r, &kit.Refusal{Code: "invalid_request", Description: "The form could not be read"})
		return
	}
	for _, values := range r.PostForm {
		if len(values) > 1 {
			s.refuse(w, r, &kit.Refusal{Code: "invalid_request", Description: "A parameter is there more than once"})
			return
		}
	}
	answer, err := s.book.Token(r.Context(), r.PathValue("tenant"), marketplaceapi.KitTokenRequest{
		GrantType: marketplaceapi.KitTokenRequestGrantType(r.PostForm.Get("grant_type")),
		ClientID:  r.PostForm.Get("client_id"), ClientSecret: r.PostForm.Get("client_secret"),
		Code: r.PostForm.Get("code"), RedirectURI: r.PostForm.Get("redirect_uri"), RefreshToken: r.PostForm.Get("refresh_token"),
	})
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.answer(w, http.StatusOK, answer)
}

func (s *server) userInfo(w http.ResponseWriter, r *http.Request) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		value = "" // which is nobody's
	}
	user, err := s.book.UserInfo(r.Context(), r.PathValue("tenant"), strings.TrimSpace(value))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.answer(w, http.StatusOK, user)
}

// logout ends the browser's session and sends it on, wherever it wants to go as long as that is no stranger's.
func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	callbacks, err := s.book.SignOut(r.Context(), r.PathValue("tenant"), session(r))
	if err != nil {
		s.internal(w, r, err)
		return
	}
	s.setSession(w, "", -1)
	targets := r.URL.Query()["redirect_url"]
	if len(targets) == 1 && kit.MayLeadTo(targets[0], callbacks) {
		http.Redirect(w, r, targets[0], http.StatusFound) //nolint:gosec // MayLeadTo has looked at it
		return
	}
	if len(targets) > 0 {
		s.log.Warn("auth centre: logout leads to its own page: redirect_url is neither a path nor on the origin of a registered call-back")
	}
	http.Redirect(w, r, signedOutPath, http.StatusFound)
}

// refuse is the one place where an error of an operation becomes an answer.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *kit.Refusal
	status := http.StatusBadRequest
	switch {
	case !errors.As(err, &refusal):
		if r.Context().Err() != nil {
			return // nobody is listening any more
		}
		s.log.Error("auth centre: cannot answer", "path", r.URL.Path, "error", err)
		// The contract knows no 5xx here, and OAuth 2.0 has this word for it.
		refusal = &kit.Refusal{Code: "server_error", Description: "The auth centre failed"}
	case refusal.Code == "invalid_client" || refusal.Code == "unauthorized":
		status = http.StatusUnauthorized
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	s.log.Info("auth centre: refused", "path", r.URL.Path, "error", refusal.Code, "reason", refusal.Description)
	s.answer(w, status, marketplaceapi.KitErrorAnswer{Error: refusal.Code, ErrorDescription: refusal.Description})
}

func (s *server) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.Debug("auth centre: the answer could not be written", "error", err)
	}
}
