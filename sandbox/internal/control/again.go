package control

import (
	"github.com/isvkit/isvkit/sandbox/curl"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// again is the shell line that makes an attempt once more, freshly signed with openssl. An attempt that was never sent has none.
func again(a store.Attempt) string {
	if a.URL == "" {
		return ""
	}
	return curl.Line(curl.Of(string(a.Activity), a.Method, a.URL, a.RequestBody))
}

// signAgain is the same, signed by the command isv-sandbox.
func signAgain(a store.Attempt) string {
	if a.URL == "" {
		return ""
	}
	return curl.Of(string(a.Activity), a.Method, a.URL, a.RequestBody).SignLine()
}
