package signature_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

func requireHidden(t *testing.T, values ...any) {
	t.Helper()
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			require.NotContains(t, fmt.Sprintf(verb, v), testKey)
			require.NotContains(t, fmt.Sprintf(verb, v), fmt.Sprintf("%x", testKey))
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		require.NotContains(t, log.String(), testKey)
	}
}

const v1At = "20230403074746618" // noon

func v1Call(t testing.TB, v1 *signature.V1) url.Values {
	t.Helper()
	q := url.Values{"activity": {"queryInstance"}, "instanceId": {"i-1", "i-2"}, "empty": {""}, "timeStamp": {v1At}}
	token, err := v1.SignQuery(q)
	require.NoError(t, err)
	q.Set("authToken", token)
	return q
}

func TestV1_QueryFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		change   func(q url.Values)
		kind     signature.Kind
		sentinel error
		field    string
	}{
		{"no token", func(q url.Values) { q.Del("authToken") }, signature.KindMissing, signature.ErrMissing, "authToken"},
		{"empty token", func(q url.Values) { q.Set("authToken", "") }, signature.KindMissing, signature.ErrMissing, "authToken"},
		{"two tokens", func(q url.Values) { q.Add("authToken", "x") }, signature.KindMalformed, signature.ErrMalformed, "authToken"},
		{"short token", func(q url.Values) { q.Set("authToken", q.Get("authToken")[1:]) }, signature.KindMalformed, signature.ErrMalformed, "authToken"},
		{"huge token", func(q url.Values) { q.Set("authToken", strings.Repeat("A", 1<<20)) }, signature.KindMalformed, signature.ErrMalformed, "authToken"},
		{"hexadecimal token", func(q url.Values) { q.Set("authToken", strings.Repeat("0", 64)) }, signature.KindMalformed, signature.ErrMalformed, "authToken"},
		{"no timeStamp", func(q url.Values) { q.Del("timeStamp") }, signature.KindMissing, signature.ErrMissing, "timeStamp"},
		{"timeStamp in ms", func(q url.Values) { q.Set("timeStamp", "1680508066618") }, signature.KindMalformed, signature.ErrMalformed, "timeStamp"},
		{"no such day", func(q url.Values) { q.Set("timeStamp", "20230231074746618") }, signature.KindMalformed, signature.ErrMalformed, "timeStamp"},
		{"signed", func(q url.Values) { q.Set("timeStamp", "+0230403074746618") }, signature.KindMalformed, signature.ErrMalformed, "timeStamp"},
		{"stale", func(q url.Values) { q.Set("timeStamp", "20230403074646617") }, signature.KindStale, signature.ErrStale, "timeStamp"},
		{"from the future", func(q url.Values) { q.Set("timeStamp", "20230403074846619") }, signature.KindStale, signature.ErrStale, "timeStamp"},
		{"in UTC+8", func(q url.Values) { q.Set("timeStamp", "20230403154746618") }, signature.KindStale, signature.ErrStale, "timeStamp"},
		{"name with =", func(q url.Values) { q.Set("a=b", "c") }, signature.KindMalformed, signature.ErrMalformed, `"a=b"`},
		{"one more", func(q url.Values) { q.Set("more", "") }, signature.KindMismatch, signature.ErrMismatch, "authToken"},
		{"one less", func(q url.Values) { q.Del("empty") }, signature.KindMismatch, signature.ErrMismatch, "authToken"},
		{"another first value", func(q url.Values) { q["instanceId"][0] = "i-2" }, signature.KindMismatch, signature.ErrMismatch, "authToken"},
		{"another time", func(q url.Values) { q.Set("timeStamp", "20230403074746617") }, signature.KindMismatch, signature.ErrMismatch, "authToken"},
	} {
		v1 := newV1(t, signature.V1Config{Leeway: time.Minute, Now: at(noon)})
		q := v1Call(t, v1)
		test.change(q)
		key, err := v1.VerifyQuery(q)
		require.Empty(t, key, test.name)
		requireFault(t, err, test.kind, test.sentinel, test.field)
		require.Contains(t, err.Error(), "signature: V1: ")
	}
}

func TestV1_Query(t *testing.T) {
	t.Parallel()
	v1 := newV1(t, signature.V1Config{Keys: []string{"new", testKey}})
	q := v1Call(t, newV1(t, signature.V1Config{}))
	key, err := v1.VerifyQuery(q)
	require.NoError(t, err, "years old, and no window is documented")
	require.Equal(t, testKey, key)
	q["instanceId"][1] = "i-3"
	_, err = v1.VerifyQuery(q)
	require.NoError(t, err, "only the first value is signed")
	q["none"] = nil
	_, err = v1.VerifyQuery(q)
	require.NoError(t, err)

	_, err = v1.SignQuery(url.Values{"a": {"b"}})
	requireFault(t, err, signature.KindMissing, signature.ErrMissing, "timeStamp")
	_, err = v1.SignQuery(nil)
	requireFault(t, err, signature.KindMissing, signature.ErrMissing, "timeStamp")
}

// The names in the order of Java's String.compareTo, which differs from that of UTF-8 above U+FFFF.
func TestV1_OrderOfNames(t *testing.T) {
	t.Parallel()
	const text = "B=3&a=1&aa=2&z=4&中=5&\U0001F600=6&\U0001F601=7&\ue000=8&\uffee=9&timeStamp="
	q := url.Values{}
	want := strings.Replace(text, "&z=", "&timeStamp="+v1At+"&z=", 1)
	want = strings.TrimSuffix(want, "&timeStamp=")
	for _, pair := range strings.Split(want, "&") {
		name, value, _ := strings.Cut(pair, "=")
		q.Set(name, value)
	}
	token, err := newV1(t, signature.V1Config{}).SignQuery(q)
	require.NoError(t, err)
	require.Equal(t, base64HMAC(testKey+v1At, want), token)
}

var v1Bodies = []struct{ name, body, text string }{
	{"as in the documents", `{"tenantId":"t-1","flag":1,"timeStamp":"20220413093539534","instanceId":"i-1"}`, "flag=1&instanceId=i-1&tenantId=t-1&timeStamp=20220413093539534"},
	{"blanks skipped", "{\"a\":null,\"b\":\"\",\"c\":\" \\t\\n\",\"d\":\"\u3000\\u001f\",\"e\":\" x \",\"timeStamp\":\"1\"}", "e= x &timeStamp=1"},
	{"not blank in Java", "{\"a\":\"\u00a0\",\"b\":\"\\u0085\",\"timeStamp\":\"1\"}", "a=\u00a0&b=\u0085&timeStamp=1"},
	{"numbers and booleans", `{"n":1.50,"m":-0,"big":10000000000000000000001,"t":true,"f":false,"timeStamp":20220413093539534}`, "big=10000000000000000000001&f=false&m=-0&n=1.50&t=true&timeStamp=20220413093539534"},
	{"JSON in a string verbatim", `{"userList":"[{\"name\": \"张三\", \"a\":1}]","timeStamp":"1"}`, `timeStamp=1&userList=[{"name": "张三", "a":1}]`},
	{"objects as they stand", `{"o": { "b":1, "a":[1, 2] },"timeStamp":"1"}`, `o={ "b":1, "a":[1, 2] }&timeStamp=1`},
	{"escapes resolved", `{"a":"\u5f20\/\"","timeStamp":"1"}`, `a=张/"&timeStamp=1`},
	{"the last of two", `{"a":1,"a":2,"timeStamp":"0","timeStamp":"1"}`, "a=2&timeStamp=1"},
	{"separators inside", `{"a":"x&b=y","timeStamp":"1"}`, "a=x&b=y&timeStamp=1"},
}

func TestV1_Body(t *testing.T) {
	t.Parallel()
	v1 := newV1(t, signature.V1Config{Keys: []string{testKey, "other"}})
	for _, test := range v1Bodies {
		at := test.text[strings.LastIndex(test.text, "timeStamp=")+len("timeStamp="):]
		at, _, _ = strings.Cut(at, "&")
		token, err := v1.SignBody([]byte(test.body))
		require.NoError(t, err, test.name)
		require.Equal(t, base64HMAC(testKey+at, test.text), token, test.name)
		key, err := v1.VerifyBody(base64HMAC("other"+at, test.text), []byte(test.body))
		require.NoError(t, err, test.name)
		require.Equal(t, "other", key)
		_, err = v1.VerifyBody(strings.ReplaceAll(token, "+", " "), []byte(test.body))
		require.NoError(t, err, test.name)
		_, err = v1.VerifyBody(url.QueryEscape(token), []byte(test.body))
		require.NoError(t, err, test.name)
	}
}

func TestV1_BodyWithEncodedValues(t *testing.T) {
	t.Parallel()
	v1 := newV1(t, signature.V1Config{})
	token := base64HMAC(testKey+"1", "name=张 三&secret=a+b&timeStamp=1")
	encoded := []byte(`{"name":"%E5%BC%A0+%E4%B8%89","secret":"a%2Bb","none":"%20","timeStamp":"1"}`)
	key, fields, err := v1.VerifyBodyFields(token, encoded)
	require.NoError(t, err)
	require.Equal(t, testKey, key)
	require.Equal(t, map[string]string{"name": "张 三", "secret": "a+b", "timeStamp": "1"}, fields)
	_, fields, err = v1.VerifyBodyFields(token, []byte(`{"name":"张 三","secret":"a+b","timeStamp":"1"}`))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"name": "张 三", "secret": "a+b", "timeStamp": "1"}, fields)
	_, fields, err = v1.VerifyBodyFields(token, []byte(`{"name":"%E5%BC%A0+%E4%B8%89","secret":"100%","timeStamp":"1"}`))
	requireFault(t, err, signature.KindMismatch, signature.ErrMismatch, "authToken")
	require.Nil(t, fields)
}

func TestV1_BodyFaults(t *testing.T) {
	t.Parallel()
	v1 := newV1(t, signature.V1Config{})
	for body, field := range map[string]string{
		"": "body", "null": "body", "[]": "body", `{"a":1`: "body", `{"a":"` + "\xff" + `"}`: "body", `{"a":"\ud800"}`: "body",
		"{}": "timeStamp", `{"timeStamp":" "}`: "timeStamp", `{"timeStamp":"1","a&b":1}`: `"a&b"`,
		strings.Repeat("[", 1<<20): "body",
	} {
		_, err := v1.SignBody([]byte(body))
		require.Error(t, err)
		var fault *signature.Error
		require.ErrorAs(t, err, &fault)
		require.Equal(t, field, fault.Field)
		_, err = v1.VerifyBody(base64HMAC("a", "b"), []byte(body))
		require.ErrorAs(t, err, &fault)
		require.Equal(t, field, fault.Field)
	}
	_, err := v1.VerifyBody("", []byte(`{"timeStamp":"1"}`))
	requireFault(t, err, signature.KindMissing, signature.ErrMissing, "authToken")
	_, err = v1.VerifyBody("%zz", []byte(`{"timeStamp":"1"}`))
	requireFault(t, err, signature.KindMalformed, signature.ErrMalformed, "authToken")

	// In bodies the time is that of UTC+8.
	fresh := newV1(t, signature.V1Config{Leeway: time.Minute, Now: at(noon)})
	for timeStamp, ok := range map[string]bool{"20230403154746618": true, "20230403154646618": true, "20230403154646617": false, v1At: false} {
		body := []byte(`{"timeStamp":"` + timeStamp + `"}`)
		token, err := fresh.SignBody(body)
		require.NoError(t, err)
		if _, err = fresh.VerifyBody(token, body); ok {
			require.NoError(t, err)
		} else {
			requireFault(t, err, signature.KindStale, signature.ErrStale, "timeStamp")
		}
	}
}

func TestV1_ConfigIsCheckedAndKeysAreHidden(t *testing.T) {
	t.Parallel()
	for _, cfg := range []signature.V1Config{{}, {Keys: []string{"a", ""}}, {Keys: []string{"a"}, Leeway: -1}} {
		_, err := signature.NewV1(cfg)
		require.Error(t, err)
	}
	cfg := signature.V1Config{Keys: []string{testKey}}
	requireHidden(t, cfg, &cfg, newV1(t, cfg), *newV1(t, cfg))
}

func TestBodySign_Header(t *testing.T) {
	t.Parallel()
	body := []byte(`{"resultCode":"000000"}`)
	sig := base64HMAC(testKey, string(body))
	require.Equal(t, `sign_type="HMAC-SHA256", signature= "`+sig+`"`, signature.BodySign(testKey, body))
	for header, kind := range map[string]signature.Kind{
		`sign_type="HMAC-SHA256", signature= "` + sig + `"`:                  0,
		`sign_type="HMAC-SHA256",signature="` + sig + `"`:                    0,
		"\t sign_type = \"HMAC-SHA256\"\t ,  signature =\t\"" + sig + "\"  ": 0,
		`signature="` + sig + `",sign_type="HMAC-SHA256"`:                    0,
		"":                                     signature.KindMissing,
		`sign_type="HMAC-SHA256"`:              signature.KindMissing,
		`signature="` + sig + `"`:              signature.KindMissing,
		`sign_type="",signature="` + sig + `"`: signature.KindMissing,
		`sign_type=HMAC-SHA256, signature="` + sig + `"`:                            signature.KindMalformed,
		`sign_type="HMAC-SHA256", signature=` + sig:                                 signature.KindMalformed,
		`sign_type='HMAC-SHA256', signature='` + sig + `'`:                          signature.KindMalformed,
		`sign_type="HMAC-SHA256", signature="` + sig:                                signature.KindMalformed,
		`sign_type="HMAC-SHA256" signature="` + sig + `"`:                           signature.KindMalformed,
		`sign_type="HMAC-SHA256", signature="` + sig + `",`:                         signature.KindMalformed,
		`sign_type="HMAC-SHA256", signature="` + sig + `", signature="` + sig + `"`: signature.KindMalformed,
		`sign_type="HMAC-SHA1", signature="` + sig + `"`:                            signature.KindMalformed,
		`sign_type="HMAC-SHA256", signature="` + sig[1:] + `"`:                      signature.KindMalformed,
		`sign_type="HMAC-SHA256", other="", signature="` + sig + `"`:                signature.KindMalformed,
		`Body-Sign: sign_type="HMAC-SHA256", signature="` + sig + `"`:               signature.KindMalformed,
		sig: signature.KindMalformed,
		`sign_type="HMAC-SHA256", signature="` + base64HMAC(testKey+"1", string(body)) + `"`: signature.KindMismatch,
	} {
		err := signature.VerifyBodySign([]string{"new", testKey}, header, body)
		if kind == 0 {
			require.NoError(t, err, header)
			requireFault(t, signature.VerifyBodySign([]string{testKey}, header, append(body, '\n')), signature.KindMismatch, signature.ErrMismatch, "Body-Sign")
			continue
		}
		var fault *signature.Error
		require.ErrorAs(t, err, &fault, header)
		require.Equal(t, kind, fault.Kind, header)
		requireFault(t, err, kind, map[signature.Kind]error{
			signature.KindMissing: signature.ErrMissing, signature.KindMalformed: signature.ErrMalformed, signature.KindMismatch: signature.ErrMismatch,
		}[kind], "Body-Sign")
	}
	var fault *signature.Error
	for _, keys := range [][]string{nil, {""}} {
		err := signature.VerifyBodySign(keys, signature.BodySign(testKey, body), body)
		require.Error(t, err)
		require.NotErrorAs(t, err, &fault)
	}
}
