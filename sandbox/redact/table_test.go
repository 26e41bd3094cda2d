package redact

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestText_Table(t *testing.T) {
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
		got := Text(in)
		require.Equal(t, want, got)
		require.NotContains(t, got, "canary")
	}
}

func FuzzText(f *testing.F) {
	f.Add(`{"a":{"password":"x","b":[1,{"token":{"c":[]}}]}}`)
	f.Add(`{"password":"x`)
	f.Add(`[] []`)
	f.Add("to\u212Aen \u017Fecret PaSs")
	slow := regexp.MustCompile(`(?i)pass|pwd|secret|token|credential|key|\\u`)
	f.Fuzz(func(t *testing.T, text string) {
		if slow.MatchString(text) && !suspicious(text) {
			t.Errorf("%q is not looked at", text)
		}
		got := Text(text)
		if json.Valid([]byte(text)) && !json.Valid([]byte(got)) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
