package signature_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

// FuzzKitVerify changes a call in any way and compares the verdict with the published formula.
func FuzzKitVerify(f *testing.F) {
	for _, v := range v2Vectors(f, "kit", 3) {
		f.Add(v.Key, v.Signature, v.Timestamp, v.Nonce, []byte(v.Body))
		f.Add(v.Key, strings.ToLower(v.Signature), v.Timestamp, v.Nonce, []byte(" "+v.Body))
		f.Add(v.Key, v.Signature, v.Timestamp[:10], v.Nonce, []byte(v.Body))
	}
	f.Fuzz(func(t *testing.T, key, sig, timestamp, nonce string, body []byte) {
		kit, err := signature.NewKit(signature.Config{Keys: []string{key}, Now: at(noon)})
		if err != nil {
			require.Empty(t, key)
			return
		}
		for _, sig := range []string{sig, kit.SignAt(body, timestamp, nonce)} {
			p := signature.Params{Signature: sig, Timestamp: timestamp, Nonce: nonce}
			err := kit.Verify(t.Context(), p, body)
			right := strings.EqualFold(sig, hexHMAC(key, key+nonce+timestamp+string(body)))
			if canonical, ok := signature.CanonicalBody(body); ok && !right {
				right = strings.EqualFold(sig, hexHMAC(key, key+nonce+timestamp+string(canonical)))
			}
			var fault *signature.Error
			switch {
			case err == nil:
				require.True(t, right, "a wrong signature was accepted")
			case !errors.As(err, &fault):
				t.Fatalf("expected *Error, got %T: %v", err, err)
			case fault.Kind == signature.KindMismatch:
				require.False(t, right, "a right signature was refused: %v", err)
			}
		}
	})
}

// FuzzExplain lets any body be signed with a mistake: what is found is right, and no key is in it. It is slow by nature.
func FuzzExplain(f *testing.F) {
	f.Add([]byte(`{"a":"<张>","b":[1,{"c":null}]}`), "n", uint8(0))
	f.Add([]byte(`{"b":"\u0001\\\"/","a":null, "a":1}`), "nonce", uint8(1))
	f.Add([]byte("\ufeff[%zz]\n"), "", uint8(2))
	f.Fuzz(func(t *testing.T, body []byte, nonce string, mistake uint8) {
		if len(body) > 64 || len(nonce) > 32 {
			return
		}
		kit := newKit(t, signature.Config{})
		p := signature.Params{Timestamp: wrongTime, Nonce: nonce}
		require.Empty(t, kit.Explain(signature.Params{Signature: kit.SignAt(body, wrongTime, nonce), Timestamp: wrongTime, Nonce: nonce}, body))
		text := testKey + nonce + wrongTime + string(body)
		switch mistake % 4 {
		case 0:
			p.Signature = toBase64(hexHMAC(testKey, text))
		case 1:
			p.Signature = hexHMAC(testKey, text)[:40]
		case 2:
			p.Signature = hexHMAC("the-other-key-77", "the-other-key-77"+nonce+wrongTime+string(body)+"\n")
		case 3:
			p.Signature = hexHMAC(testKey, text+"no known mistake")
		}
		found := kit.Explain(p, body, signature.OtherKey{Class: "base", Key: "the-other-key-77"})
		require.Equal(t, mistake%4 != 3, len(found) > 0)
		requireNoKey(t, found, "the-other-key-77", testKey)
	})
}

// FuzzV1Query changes a query in any way and compares the verdict with the published formula, written here with Java's order.
func FuzzV1Query(f *testing.F) {
	for _, v := range loadV1(f).AuthToken {
		q := url.Values{"authToken": {v.AuthToken}}
		for name, value := range v.Params {
			q.Set(name, value)
		}
		f.Add(v.Key, q.Encode())
		f.Add(v.Key, strings.ReplaceAll(q.Encode(), "%2B", "+"))
	}
	f.Fuzz(func(t *testing.T, key, query string) {
		q, err := url.ParseQuery(query)
		if err != nil || key == "" {
			return
		}
		v1 := newV1(t, signature.V1Config{Keys: []string{key}})
		names := []string{}
		for name := range q {
			if name != "authToken" {
				names = append(names, name)
			}
		}
		slices.SortFunc(names, func(a, b string) int {
			if c := slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b))); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		})
		var pairs []string
		for _, name := range names {
			pairs = append(pairs, name+"="+q.Get(name))
		}
		want := base64HMAC(key+q.Get("timeStamp"), strings.Join(pairs, "&"))

		got, err := v1.VerifyQuery(q)
		var fault *signature.Error
		switch right := strings.ReplaceAll(q.Get("authToken"), " ", "+") == want; {
		case err == nil:
			require.True(t, right, "a wrong token was accepted")
			require.Equal(t, key, got)
			require.Empty(t, v1.ExplainQuery(q))
		case !errors.As(err, &fault):
			t.Fatalf("expected *Error, got %T: %v", err, err)
		case fault.Kind == signature.KindMismatch:
			require.False(t, right, "a right token was refused: %v", err)
		}
		if token, err := v1.SignQuery(q); err == nil {
			require.Equal(t, want, token)
			q.Set("authToken", token)
			_, err = v1.VerifyQuery(q)
			require.NoError(t, err)
		}
	})
}

// FuzzV1Body changes a body in any way. What is signed here passes here, with the fields of the body, and nothing else does.
func FuzzV1Body(f *testing.F) {
	for _, test := range v1Bodies {
		f.Add(base64HMAC(testKey+"1", test.text), []byte(test.body))
	}
	for _, v := range v2Vectors(f, "kit", 3) {
		f.Add(v.Signature, []byte(v.Body))
	}
	v1 := newV1(f, signature.V1Config{})
	f.Fuzz(func(t *testing.T, token string, body []byte) {
		var fault *signature.Error
		right, err := v1.SignBody(body)
		if err != nil {
			require.ErrorAs(t, err, &fault)
			_, err = v1.VerifyBody(token, body)
			require.ErrorAs(t, err, &fault)
			return
		}
		require.True(t, json.Valid(body))
		_, fields, err := v1.VerifyBodyFields(right, body)
		require.NoError(t, err)
		var read map[string]any
		require.NoError(t, json.Unmarshal(body, &read))
		for name, value := range fields {
			if text, ok := read[name].(string); ok {
				require.Equal(t, text, value)
			}
		}
		if _, fields, err := v1.VerifyBodyFields(token, body); err == nil {
			names := make([]string, 0, len(fields))
			for name := range fields {
				names = append(names, name)
			}
			require.NotEmpty(t, names)
		} else {
			require.ErrorAs(t, err, &fault)
		}
	})
}

// FuzzBodySignHeader changes a header in any way; what is accepted contains the right signature in quotes.
func FuzzBodySignHeader(f *testing.F) {
	for _, v := range loadV1(f).BodySign {
		f.Add(strings.TrimPrefix(v.Header, "Body-Sign:"), []byte(v.Body))
		f.Add(`signature ="`+v.Signature+`" , sign_type= "HMAC-SHA256"`, []byte(v.Body))
	}
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		const key = "dummy-access-key"
		var fault *signature.Error
		if err := signature.VerifyBodySign([]string{key}, header, body); err == nil {
			require.Contains(t, header, `"`+base64HMAC(key, string(body))+`"`)
			require.Contains(t, header, `"HMAC-SHA256"`)
		} else {
			require.ErrorAs(t, err, &fault)
			require.NotContains(t, err.Error(), "\n")
		}
		require.NoError(t, signature.VerifyBodySign([]string{key}, signature.BodySign(key, body), body))
	})
}
