// Package cause guesses why a check failed, from what came over the wire. A guess is for people: it names the likeliest place to look at,
// and the verdict does not depend on it.
package cause

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/isvkit/isvkit/conformance/suite"
)

// Of is the likeliest cause for a check that failed, "" if nothing stands out. The attempts are those of the check.
func Of(attempts []suite.Attempt) string {
	// What the ISV's own requests were refused for is told by the marketplace, and explains everything that follows from it.
	for _, a := range attempts {
		if a.Asked && a.Note != "" {
			return "The request of the ISV to the marketplace did not succeed: " + a.Note + "."
		}
	}
	for n := len(attempts) - 1; n >= 0; n-- {
		if c := ofAnswer(attempts[n]); !attempts[n].Asked && c != "" {
			return c
		}
	}
	return ""
}

func ofAnswer(a suite.Attempt) string {
	switch {
	case strings.Contains(a.Err, "timeout"):
		return "The call was taken and not answered in time. Look for a lock that is held, for a slow service behind it, or for work that belongs behind the answer (000004 says that it goes on)."
	case strings.Contains(a.Err, "connection refused"):
		return "Nobody listens at the address any more. Did the process crash, or restart, on this call? Its log and its exit code tell."
	case a.Err != "":
		return "The connection ended before the answer did. The usual reasons are a handler that crashed, and a proxy that gives up earlier than the marketplace."
	}
	switch a.Status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return "The address redirects, and the marketplace does not follow. Give the final address; a slash at the end, http instead of https and a login page are the usual reasons."
	case http.StatusNotFound:
		return "The router does not know the path. Compare it with the path that the handler is mounted at, a prefix of the proxy included."
	case http.StatusMethodNotAllowed:
		return "The router knows the path, but not for this method."
	case http.StatusUnauthorized, http.StatusForbidden:
		if !isJSON(a) {
			return "Something in front of the handler refuses the call: a gateway, a firewall for applications, or a framework's login. The signature is the only authentication that the marketplace knows."
		}
	case http.StatusRequestEntityTooLarge:
		return "A proxy or the framework limits the size of bodies."
	case http.StatusUnsupportedMediaType:
		return "The framework takes another content type only. The marketplace sends application/json;charset=utf8."
	case http.StatusTooManyRequests:
		return "The calls are limited in number. The marketplace does not wait and repeats."
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "A proxy answered in place of the ISV: the process behind it is down, restarting or too slow."
	}
	switch {
	case a.Status >= 500:
		return "The handler failed on its way, as after an exception that nobody caught. Its log tells where."
	case bytes.HasPrefix(bytes.ToLower(bytes.TrimSpace(a.AnswerBody)), []byte("<!doctype")) || bytes.HasPrefix(bytes.ToLower(bytes.TrimSpace(a.AnswerBody)), []byte("<html")):
		return "A web page came back. The call did not reach the handler: the path, or a login page in front of it."
	case a.Status != 0 && len(bytes.TrimSpace(a.AnswerBody)) == 0:
		return "The answer is empty. The handler returned without writing one."
	}
	return ""
}

func isJSON(a suite.Attempt) bool {
	kind, _, _ := mime.ParseMediaType(a.AnswerHeader.Get("Content-Type"))
	return kind == "application/json" || json.Valid(a.AnswerBody)
}
