package hide_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/isvkit/isvkit/conformance/internal/hide"
)

const key = `a key/with "quotes"+more`

func TestSecrets(t *testing.T) {
	t.Parallel()
	s := hide.New(key, "short", "")
	for _, text := range []string{
		key, `{"x":"a key/with \"quotes\"+more"}`, "https://x/?q=" + url.QueryEscape(key), base64.StdEncoding.EncodeToString([]byte(key)),
		base64.RawURLEncoding.EncodeToString([]byte(key)),
	} {
		hidden := s.Known("before " + text + " after")
		assert.Contains(t, hidden, "before ")
		assert.Contains(t, hidden, "***")
		assert.NotContains(t, hidden, text)
	}
	assert.Equal(t, "a short word", s.Known("a short word"))
	assert.Equal(t, `{"password":"***","a":"***"}`, s.Text(`{"password":"x","a":"a key/with \"quotes\"+more"}`))

	s.Learn(`{"appInfo":{"initialPassword":"learned-1"},"token":"short"}`)
	s.LearnURL("https://x/?apiKey=learned-2&plain=value")
	assert.Equal(t, "*** *** value short", s.Known("learned-1 learned-2 value short"))
}

func TestSecrets_LongerOnesFirst(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "***", hide.New("secret", "secret-and-more").Known("secret-and-more"))
}

func TestSecrets_URL(t *testing.T) {
	t.Parallel()
	s := hide.New(key)
	assert.Equal(t, "https://x/p?signature=***&timestamp=1&nonce=2&a=b&&apiKey=***", s.URL("https://x/p?signature=ABC&timestamp=1&nonce=2&a=b&&apiKey=z"))
	assert.Equal(t, "https://x/p?signature=&authToken=***&signature=***", s.URL("https://x/p?signature=&authToken=a%2Fb&signature=B"))
	assert.Equal(t, "https://x/p", s.URL("https://x/p"))
	assert.Equal(t, "https://x/p?nonce=***&nonce=abc", s.URL("https://x/p?nonce="+strings.Repeat("0A", 32)+"&nonce=abc"))
}

func TestSecrets_Header(t *testing.T) {
	t.Parallel()
	s := hide.New(key)
	assert.Equal(t, map[string]string{"Authorization": "***", "X-Sign": "***", "Set-Cookie": "***", "X-Api-Key": "***", "Accept": "a, b", "X-Echo": "***"},
		s.Header(http.Header{"Authorization": {"SDK-HMAC"}, "X-Sign": {"A"}, "Set-Cookie": {"a=b"}, "X-Api-Key": {"k"}, "Accept": {"a", "b"}, "X-Echo": {key}}))
}

func FuzzSecrets(f *testing.F) {
	f.Add("secret-one", "https://x/?signature=secret-one&a", `{"password":"p"}`)
	f.Fuzz(func(t *testing.T, secret, address, body string) {
		s := hide.New(secret)
		s.Learn(body)
		s.LearnURL(address)
		shown := s.URL(address) + s.Text(body)
		if len(secret) >= 6 && len(address) < 6 && len(body) < 6 {
			assert.NotContains(t, shown, secret)
		}
	})
}
