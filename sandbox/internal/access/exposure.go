package access

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// minSecret is how many characters a key must have where strangers can try.
const minSecret = 16

// wellKnown are words that the keys of documents, examples and tests are made of.
var wellKnown = []string{"test", "demo", "example", "sample", "secret", "changeme", "change-me", "password", "isvkit", "your-", "dummy", "placeholder"}

// Exposure is what a sandbox listens on, and what protects it.
type Exposure struct {
	Addresses []net.Addr        // all of them
	Control   net.Addr          // that of the control API
	Tokens    bool              // tokens are on, and the control token is no bearer token
	Secrets   map[string]string // the keys, by the names of the variables that set them
}

// ExposureError says why a sandbox must not listen where it would.
type ExposureError struct {
	What string
	Mend string
}

func (e *ExposureError) Error() string { return e.What }

// Loopback tells whether nobody outside of this machine can reach an address.
func Loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// Check refuses a control API that strangers can reach without tokens, and keys that strangers can guess where they can be tried. Its
// errors name keys, but never show them.
func (e Exposure) Check() error {
	if !Loopback(e.Control) && !e.Tokens {
		return &ExposureError{
			fmt.Sprintf("the control API would listen on %s, which others can reach, with nothing but one control token to protect it", e.Control),
			"bind it to 127.0.0.1, or switch tokens on with --tokens",
		}
	}
	if !slices.ContainsFunc(e.Addresses, func(a net.Addr) bool { return !Loopback(a) }) {
		return nil
	}
	var weak []string
	for name, value := range e.Secrets {
		if guessable(value) {
			weak = append(weak, name)
		}
	}
	if len(weak) == 0 {
		return nil
	}
	slices.Sort(weak)
	return &ExposureError{
		fmt.Sprintf("%s: shorter than %d characters, or like the keys of documents and tests, while others can reach this sandbox", strings.Join(weak, ", "), minSecret),
		"take them out of the environment and the key file, and good ones are made; or bind every address to 127.0.0.1",
	}
}

// guessable tells whether a key is one that a stranger would try.
func guessable(value string) bool {
	if len(value) < minSecret {
		return true
	}
	lower := strings.ToLower(value)
	if slices.ContainsFunc(wellKnown, func(word string) bool { return strings.Contains(lower, word) }) {
		return true
	}
	seen := map[rune]bool{}
	for _, r := range value {
		seen[r] = true
	}
	return len(seen) < 6 // aaaaaaaaaaaaaaaa, 0123012301230123
}
