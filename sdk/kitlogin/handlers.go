package kitlogin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// LoginHandler begins a login: it sets the state cookie and redirects to the login page. A path on the own site in the query parameter
// return_to comes back through [ReturnTo].
func (l *Login) LoginHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.get(w, r) {
			return
		}
		value, err := l.newState(localPath(r.URL.Query().Get("return_to")))
		if err != nil {
			l.fail(w, r, err)
			return
		}
		http.SetCookie(w, l.cookie(value, l.cfg.StateTTL))
		http.Redirect(w, r, l.LoginURL(), http.StatusFound)
	})
}

// CallbackHandler ends a login: it checks the state cookie and uses it up, redeems the code, asks for the user, and calls onLogin, which
// begins the ISV's own session and answers, for instance by a redirect to [ReturnTo]. Serve it at the address that is registered
// with the application credential. onLogin must begin a new session: one from before the login may be known to others.
func (l *Login) CallbackHandler(onLogin func(w http.ResponseWriter, r *http.Request, user User, token Token)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.get(w, r) {
			return
		}
		http.SetCookie(w, l.cookie("", 0))
		state, err := l.useState(r)
		if err != nil {
			l.fail(w, r, err)
			return
		}
		query := r.URL.Query()
		if len(query["code"]) != 1 || len(query["tenant"]) != 1 {
			l.fail(w, r, errBadCallback)
			return
		}
		token, err := l.Exchange(r.Context(), query.Get("tenant"), query.Get("code"))
		if err != nil {
			l.fail(w, r, err)
			return
		}
		user, err := l.UserInfo(r.Context(), token)
		if err != nil {
			l.fail(w, r, err)
			return
		}
		onLogin(w, r.WithContext(context.WithValue(r.Context(), returnToKey{}, state.returnTo)), user, token)
	})
}

// get answers anything but GET, and keeps codes out of caches and of the Referer header.
func (l *Login) get(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.Method == http.MethodGet {
		return true
	}
	w.Header().Set("Allow", http.MethodGet)
	http.Error(w, "expected GET", http.StatusMethodNotAllowed)
	return false
}

func (l *Login) fail(w http.ResponseWriter, r *http.Request, err error) {
	logger := l.cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(r.Context(), slog.LevelWarn, "kit login failed", slog.String("reason", oneLine(err.Error(), 1024)))
	if l.cfg.OnError != nil {
		l.cfg.OnError(w, r, err)
		return
	}
	status := http.StatusBadGateway
	for _, theirs := range []error{ErrState, errBadCallback, ErrUnknownTenant, ErrAnotherTenant, ErrInvalidGrant} {
		if errors.Is(err, theirs) {
			status = http.StatusForbidden
		}
	}
	http.Error(w, "The login failed. Please begin again.", status)
}
