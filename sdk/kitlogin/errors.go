package kitlogin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The reasons why a login fails, for [errors.Is].
var (
	ErrUnknownTenant = errors.New("kitlogin: no such tenant") // said by Tenants
	ErrAnotherTenant = errors.New("kitlogin: the user belongs to another tenant than the one that was named")

	ErrInvalidGrant  = errors.New("kitlogin: the code or the refresh token is no good") // invalid_grant
	ErrInvalidClient = errors.New("kitlogin: client id or secret are refused")          // invalid_client, unauthorized_client
	ErrUnauthorized  = errors.New("kitlogin: the access token is no good")              // unauthorized, invalid_token, HTTP 401 of userinfo

	ErrState        = errors.New("kitlogin: this browser did not begin the login, or long ago") // any of the following
	ErrNoState      = fmt.Errorf("%w: no cookie", ErrState)                                     // or several
	ErrStateInvalid = fmt.Errorf("%w: the cookie was not made here, or was changed", ErrState)
	ErrStateExpired = fmt.Errorf("%w: the cookie has expired", ErrState)
	ErrStateUsed    = fmt.Errorf("%w: the cookie was used before", ErrState) // the back button, or a replay
)

// errBadCallback is a browser's fault.
var errBadCallback = errors.New("kitlogin: the callback has no code and no tenant, or several of them")

// Error is an answer of an auth centre that says no. Everything in it was said by the peer.
type Error struct {
	Operation   string // kitToken or kitUserInfo: the operationId of the contract
	Status      int    // HTTP status
	Code        string // "invalid_grant", …; empty if the answer had none
	Description string // text for people
}

// Error returns everything that is known in one line.
func (e *Error) Error() string {
	text := fmt.Sprintf("kitlogin: %s: HTTP %d", e.Operation, e.Status)
	if e.Code != "" {
		text += ", " + oneLine(e.Code, 64)
	}
	if e.Description != "" {
		text += ": " + oneLine(e.Description, 512)
	}
	return text
}

// Is reports whether target is the sentinel of e's code.
func (e *Error) Is(target error) bool {
	switch e.Code {
	case "invalid_grant":
		return target == ErrInvalidGrant
	case "invalid_client", "unauthorized_client":
		return target == ErrInvalidClient
	case "unauthorized", "invalid_token":
		return target == ErrUnauthorized
	}
	return target == ErrUnauthorized && e.Operation == "kitUserInfo" && e.Status == http.StatusUnauthorized
}

// refusal makes an *Error in which none of the secrets is left, should the peer repeat them.
func refusal(op string, status int, code, description string, secrets ...string) error {
	for _, secret := range secrets {
		if secret != "" {
			code = strings.ReplaceAll(code, secret, "redacted")
			description = strings.ReplaceAll(description, secret, "redacted")
		}
	}
	if code == "" && description == "" {
		description = "the answer has no error"
		if 300 <= status && status < 400 {
			description = "redirects are not followed"
		}
	}
	return &Error{Operation: op, Status: status, Code: code, Description: description}
}

// oneLine cuts what the peer said to at most n bytes in one line of valid UTF-8.
func oneLine(text string, n int) string {
	if len(text) > n {
		text = text[:n] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}
