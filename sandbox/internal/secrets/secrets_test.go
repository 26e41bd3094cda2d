package secrets

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func ring(t *testing.T, keys ...string) *Ring {
	t.Helper()
	r, err := Parse(strings.Join(keys, "\n"))
	require.NoError(t, err)
	return r
}

func TestRing(t *testing.T) {
	a, b := NewKey(), NewKey()
	r := ring(t, a)
	sealed := r.Seal("my secret", "sellers/demo/sk")
	require.True(t, Sealed(sealed))
	require.NotContains(t, sealed, "my secret")
	require.Equal(t, r.IDs()[0], KeyOf(sealed))
	require.NotEqual(t, sealed, r.Seal("my secret", "sellers/demo/sk"), "equal secrets do not look equal")
	plain, err := r.Open(sealed, "sellers/demo/sk")
	require.NoError(t, err)
	require.Equal(t, "my secret", plain)

	_, err = r.Open(sealed, "sellers/other/sk")
	require.ErrorIs(t, err, ErrDamaged, "it cannot be moved")
	for i := len(prefix) + 9; i < len(sealed); i++ {
		changed := []byte(sealed)
		changed[i] ^= 1
		_, err := r.Open(string(changed), "sellers/demo/sk")
		require.Error(t, err, "at %d", i)
	}
	for n := range len(sealed) - len(prefix) {
		_, err := r.Open(sealed[:len(prefix)+n], "sellers/demo/sk")
		require.Error(t, err, "cut after %d", n)
	}

	// Rotation: the new key seals, the old one still opens.
	both := ring(t, "# newest first", b, "", a)
	plain, err = both.Open(sealed, "sellers/demo/sk")
	require.NoError(t, err)
	require.Equal(t, "my secret", plain)
	again := both.Seal(plain, "sellers/demo/sk")
	require.NotEqual(t, KeyOf(sealed), KeyOf(again))
	_, err = r.Open(again, "sellers/demo/sk")
	var other *OtherKeyError
	require.ErrorAs(t, err, &other)
	require.Equal(t, both.IDs()[0], other.Need)
	require.Equal(t, r.IDs(), other.Have)

	require.Empty(t, r.Seal("", "x"))
	plain, err = r.Open("not sealed", "x")
	require.NoError(t, err)
	require.Equal(t, "not sealed", plain)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, both), a)
		require.Equal(t, "{secrets keys "+strings.Join(both.IDs(), ", ")+"}", fmt.Sprintf(verb, both))
	}
}

func TestParse(t *testing.T) {
	a, b := NewKey(), NewKey()
	require.Len(t, ring(t, a+","+b).IDs(), 2, "as an environment variable has it")
	for _, text := range []string{"", "# nothing", "short", a[:43], a + "A", "c2hvcnQ=", a + "\n" + "wrong-" + b} {
		_, err := Parse(text)
		require.ErrorContains(t, err, "openssl rand -base64 32")
		require.NotContains(t, err.Error(), a[:10])
		require.NotContains(t, err.Error(), b[:10])
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		`{"info":[{"appInfo":{"userName":"ann","password":"canary"}}]}`:    `{"info":[{"appInfo":{"userName":"ann","password":"***"}}]}`,
		`{"passWord" : "can\"ary" , "a":1}`:                                `{"passWord" : "***" , "a":1}`,
		`{"pass\u0077ord":"canary"}`:                                       `{"pass\u0077ord":"***"}`,
		`{"client_secret":{"deep":["canary",{"a":"canary"}]},"b":"canar"}`: `{"client_secret":"***","b":"canar"}`,
		`[{"accessToken":["canary"]},{"initialPwd":12345}]`:                `[{"accessToken":"***"},{"initialPwd":"***"}]`,
		`{"a":"password","password":null}`:                                 `{"a":"password","password":"***"}`,
		`{"secret":{},"secret":[],"x":{"secret":"canary"}}`:                `{"secret":"***","secret":"***","x":{"secret":"***"}}`,
		`{"a":1.50,  "b":"\u00e4"}`:                                        `{"a":1.50,  "b":"\u00e4"}`,
		`"password"`:                                                       `"password"`,
		``:                                                                 ``,
		`{"password":"canary`:                                              `{"password":"***"`,
		`{"a":[1],"client_secret":["canary"],"b":{"token":"canary`:         `{"a":[1],"client_secret":***`,
		`user=ann&password=canary&x=1`:                                     `user=ann&password=***&x=1`,
		`<p>Password: canary</p>`:                                          `<p>Password: ***</p>`,
		`{"resultCode":"000000","a":'secret'`:                              `{"resultCode":"000000","a":'secret'`,
	} {
		got := Redact(in)
		require.Equal(t, want, got)
		require.NotContains(t, got, "canary")
	}
}

func FuzzRedact(f *testing.F) {
	f.Add(`{"a":{"password":"x","b":[1,{"token":{"c":[]}}]}}`)
	f.Add(`{"password":"x`)
	f.Add(`[] []`)
	f.Add("to\u212Aen \u017Fecret PaSs")
	slow := regexp.MustCompile(`(?i)pass|pwd|secret|token|credential|key|\\u`)
	f.Fuzz(func(t *testing.T, text string) {
		if slow.MatchString(text) && !suspicious(text) {
			t.Errorf("%q is not looked at", text)
		}
		got := Redact(text)
		if json.Valid([]byte(text)) && !json.Valid([]byte(got)) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
