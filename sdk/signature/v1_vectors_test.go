package signature_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

type v1Vectors struct {
	AuthToken []struct {
		Name, Key, DataToSign, HMACKey, AuthToken string
		Params                                    map[string]string
	}
	BodySign []struct{ Key, Body, Signature, Header string }
}

func loadV1(t testing.TB) (all v1Vectors) {
	t.Helper()
	load(t, "v1.json", &all)
	require.GreaterOrEqual(t, len(all.AuthToken), 3)
	require.GreaterOrEqual(t, len(all.BodySign), 2)
	return all
}

func newV1(t testing.TB, cfg signature.V1Config) *signature.V1 {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = []string{testKey}
	}
	v1, err := signature.NewV1(cfg)
	require.NoError(t, err)
	return v1
}

func TestV1Vectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadV1(t).AuthToken {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, v.AuthToken, base64HMAC(v.HMACKey, v.DataToSign), "the vector's intermediate values")
			v1 := newV1(t, signature.V1Config{Keys: []string{"other", v.Key}})
			q := url.Values{"authToken": {v.AuthToken}}
			for name, value := range v.Params {
				q.Set(name, value)
			}
			key, err := v1.VerifyQuery(q)
			require.NoError(t, err)
			require.Equal(t, v.Key, key)
			token, err := newV1(t, signature.V1Config{Keys: []string{v.Key}}).SignQuery(q)
			require.NoError(t, err)
			require.Equal(t, v.AuthToken, token)

			received, err := url.ParseQuery(q.Encode())
			require.NoError(t, err)
			received.Set("authToken", strings.ReplaceAll(v.AuthToken, "+", " "))
			_, err = v1.VerifyQuery(received)
			require.NoError(t, err, "through a request, with the token's + unescaped")
		})
	}
}

func TestBodySignVectors(t *testing.T) {
	t.Parallel()
	for _, v := range loadV1(t).BodySign {
		require.Equal(t, v.Header, "Body-Sign: "+signature.BodySign(v.Key, []byte(v.Body)))
		require.Contains(t, v.Header, v.Signature)
		require.NoError(t, signature.VerifyBodySign([]string{"other", v.Key}, strings.TrimPrefix(v.Header, "Body-Sign:"), []byte(v.Body)))
	}
}

func TestKitVectors(t *testing.T) {
	t.Parallel()
	for _, v := range v2Vectors(t, "kit", 3) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			kit, err := signature.NewKit(v.config())
			require.NoError(t, err)
			require.Equal(t, v.Signature, kit.SignAt([]byte(v.Body), v.Timestamp, v.Nonce))
			h := http.Header{}
			v.params().SetKitHeaders(h)
			p, err := signature.KitParams(h)
			require.NoError(t, err)
			require.Equal(t, v.params(), p)
			require.NoError(t, kit.Verify(t.Context(), p, []byte(v.Body)))
			loose := []byte(strings.Replace(v.Body, "{", "{\n ", 1))
			require.NoError(t, kit.Verify(t.Context(), p, loose), "the body with blanks")
			p.Signature = strings.ToLower(p.Signature)
			require.NoError(t, kit.Verify(t.Context(), p, []byte(v.Body)), "a signature in lower case")
		})
	}
}
