package kitlogin

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxReturnTo = 1024 // bytes
	maxState    = 2048 // bytes of a cookie
	nonceSize   = 16
)

var encoding = base64.RawURLEncoding.Strict()

// state is what the cookie says: which login was begun, until when it may end, and where the browser wants to be then.
//
//	1.<expiry, seconds since 1970>.<nonce>.<return path>.<HMAC-SHA256 of all that and the application>
type state struct {
	nonce    string
	expiry   time.Time
	returnTo string
}

// newState makes the value of a cookie.
func (l *Login) newState(returnTo string) (string, error) {
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(l.cfg.Rand, nonce); err != nil {
		return "", fmt.Errorf("kitlogin: Config.Rand: %w", err)
	}
	payload := fmt.Sprintf("1.%d.%s.%s", l.cfg.Now().Add(l.cfg.StateTTL).Unix(), encoding.EncodeToString(nonce), encoding.EncodeToString([]byte(returnTo)))
	return payload + "." + encoding.EncodeToString(l.mac(l.cfg.Keys[0], payload)), nil
}

func (l *Login) mac(key []byte, payload string) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = io.WriteString(m, "kitlogin state\n"+l.cfg.AppID+"\n"+payload)
	return m.Sum(nil)
}

// parseState reads the value of a cookie that was made here and has not expired. It does not use it up.
func (l *Login) parseState(text string) (state, error) {
	if len(text) > maxState {
		return state{}, ErrStateInvalid
	}
	i := strings.LastIndexByte(text, '.')
	if i < 0 {
		return state{}, ErrStateInvalid
	}
	payload := text[:i]
	sum, err := encoding.DecodeString(text[i+1:])
	if err != nil {
		return state{}, ErrStateInvalid
	}
	good := false
	for _, key := range l.cfg.Keys {
		good = hmac.Equal(sum, l.mac(key, payload)) || good
	}
	fields := strings.Split(payload, ".")
	if !good || len(fields) != 4 || fields[0] != "1" { // the second and third can only be a later version of ours
		return state{}, ErrStateInvalid
	}
	seconds, err1 := strconv.ParseInt(fields[1], 10, 64)
	returnTo, err2 := encoding.DecodeString(fields[3])
	if err1 != nil || err2 != nil {
		return state{}, ErrStateInvalid
	}
	s := state{nonce: fields[2], expiry: time.Unix(seconds, 0), returnTo: string(returnTo)}
	if !l.cfg.Now().Before(s.expiry) {
		return state{}, ErrStateExpired
	}
	return s, nil
}

// useState finds the state cookie of a callback and uses it up.
func (l *Login) useState(r *http.Request) (state, error) {
	cookies := r.CookiesNamed(l.cookieName())
	if len(cookies) != 1 {
		return state{}, ErrNoState
	}
	s, err := l.parseState(cookies[0].Value)
	if err != nil {
		return state{}, err
	}
	fresh, err := l.cfg.Nonces.Use(r.Context(), s.nonce, s.expiry)
	switch {
	case err != nil:
		return state{}, fmt.Errorf("kitlogin: Config.Nonces: %w", err)
	case !fresh:
		return state{}, ErrStateUsed
	}
	return s, nil
}

func (l *Login) cookieName() string {
	if l.cfg.InsecureCookie {
		return "kitlogin"
	}
	return "__Host-kitlogin" // browsers take it only from this very host, so that a neighbour cannot plant one
}

// cookie is the state cookie. Lax, because the browser comes back from another site.
func (l *Login) cookie(value string, maxAge time.Duration) *http.Cookie {
	c := &http.Cookie{ //nolint:gosec // Secure is left out with InsecureCookie only
		Name: l.cookieName(), Value: value, Path: "/", MaxAge: int(maxAge / time.Second),
		HttpOnly: true, Secure: !l.cfg.InsecureCookie, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// localPath returns a path on the own site with query and fragment, or "/" in place of anything that could lead elsewhere.
func localPath(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || len(text) > maxReturnTo,
		!strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//"),
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }),
		u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//"):
		return "/"
	}
	return text
}

type returnToKey struct{}

// ReturnTo is where the user wanted to go when the login began: the path given to LoginHandler as return_to, or "/". It is for the
// context of onLogin's request, and always a path on the own site.
func ReturnTo(ctx context.Context) string {
	path, _ := ctx.Value(returnToKey{}).(string)
	return localPath(path)
}
