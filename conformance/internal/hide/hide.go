// Package hide keeps secrets out of what a report shows: the keys of the run wherever they turn up and however they are written, and what
// is given under a name that promises a secret.
package hide

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/sandbox/redact"
)

// shortest is the length from which on a secret is hidden wherever it stands. Shorter ones would turn up in ordinary words.
const shortest = 6

// Secrets are what is to be hidden. They are learned first, and then everything is hidden with them.
type Secrets struct {
	known    map[string]bool
	proofs   map[string]bool // names that were looked at: a report has the same few many times
	replacer *strings.Replacer
}

// New knows the keys of a run.
func New(keys ...string) *Secrets {
	s := &Secrets{known: map[string]bool{}, proofs: map[string]bool{}}
	s.add(keys...)
	return s
}

func (s *Secrets) add(secrets ...string) {
	for _, secret := range secrets {
		if len(secret) < shortest || s.known[secret] {
			continue
		}
		s.known[secret] = true
		s.replacer = nil
	}
}

// Learn remembers what a body gives under names that promise a secret, so that it is hidden in other places too.
func (s *Secrets) Learn(body string) { s.add(redact.Values(body)...) }

// LearnURL remembers the values of query parameters whose names promise a secret.
func (s *Secrets) LearnURL(address string) {
	u, err := url.Parse(address)
	if err != nil {
		return
	}
	for name, values := range u.Query() {
		if redact.SoundsSecret(name) {
			s.add(values...)
		}
	}
}

// forms are the ways in which a secret can be written.
func forms(secret string) []string {
	quoted, _ := json.Marshal(secret) // texts only
	b := []byte(secret)
	return []string{
		secret, string(quoted[1 : len(quoted)-1]), url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)),
		base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b), base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
	}
}

// Known hides the secrets that are known, and nothing else.
func (s *Secrets) Known(text string) string {
	if s.replacer == nil {
		var all []string
		for secret := range s.known {
			all = append(all, forms(secret)...)
		}
		// Longer ones first, so that of a secret that contains another one nothing is left.
		slices.SortFunc(all, func(a, b string) int {
			if len(a) != len(b) {
				return len(b) - len(a)
			}
			return strings.Compare(a, b)
		})
		var pairs []string
		for _, form := range slices.Compact(all) {
			pairs = append(pairs, form, redact.Hidden)
		}
		s.replacer = strings.NewReplacer(pairs...)
	}
	return s.replacer.Replace(text)
}

// Text hides known secrets and what stands under a name that promises one, as in a body.
func (s *Secrets) Text(text string) string { return s.Known(redact.Text(text)) }

// proofs are parameters and headers that prove who somebody is. A V1 token never expires, and any signature lets a weak key be guessed.
var proofs = []string{"signature", "authtoken", "x-sign", "authorization", "proxy-authorization", "cookie", "set-cookie", "body-sign"}

func (s *Secrets) proves(name string) bool {
	proves, known := s.proofs[name]
	if !known {
		proves = slices.Contains(proofs, strings.ToLower(name)) || redact.SoundsSecret(name)
		s.proofs[name] = proves
	}
	return proves
}

// ourNonce recognises the nonces that a run makes up, which are another one each time and tell nothing. Others are shown: they are what a
// check is about.
func ourNonce(name, value string) bool {
	return (strings.EqualFold(name, "nonce") || strings.EqualFold(name, "x-nonce")) && random.MatchString(value)
}

var random = regexp.MustCompile(`^(?:[0-9A-F]{64}|[0-9a-f]{64})$`)

// URL hides signatures and secrets in the query of an address, whose order stays as it is.
func (s *Secrets) URL(address string) string {
	path, query, found := strings.Cut(address, "?")
	if !found {
		return s.Known(address)
	}
	params := strings.Split(query, "&")
	for n, p := range params {
		name, value, _ := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); err == nil && (s.proves(plain) || ourNonce(plain, value)) && value != "" {
			params[n] = name + "=" + redact.Hidden
		}
	}
	return s.Known(path + "?" + strings.Join(params, "&"))
}

// Header hides what proves who somebody is, and gives one text a name.
func (s *Secrets) Header(h http.Header) map[string]string {
	shown := map[string]string{}
	for name, values := range h {
		value := strings.Join(values, ", ")
		if (s.proves(name) || ourNonce(name, value)) && value != "" {
			value = redact.Hidden
		}
		shown[name] = s.Known(value)
	}
	return shown
}
