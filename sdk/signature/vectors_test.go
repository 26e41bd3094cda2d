package signature_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/vectors"
	"github.com/isvkit/isvkit/sdk/signature"
)

type v2Vector struct {
	Name, Scheme, Key, Timestamp, Nonce, Body, SignedBody, BodyHMAC, Signature string
}

func (v v2Vector) params() signature.Params {
	return signature.Params{Signature: v.Signature, Timestamp: v.Timestamp, Nonce: v.Nonce}
}

func (v v2Vector) config() signature.Config {
	ms, err := strconv.ParseInt(v.Timestamp, 10, 64)
	if err != nil {
		panic(err)
	}
	return signature.Config{Keys: []string{v.Key}, Now: func() time.Time { return time.UnixMilli(ms) }}
}

// v2Vectors returns the vectors of one scheme and insists that there are at least so many.
func v2Vectors(t testing.TB, scheme string, atLeast int) []v2Vector {
	t.Helper()
	var all, of []v2Vector
	load(t, "v2.json", &all)
	for _, v := range all {
		if v.Scheme == scheme {
			of = append(of, v)
		}
	}
	require.GreaterOrEqual(t, len(of), atLeast, "vectors of scheme %s", scheme)
	return of
}

type akskVector struct {
	Name, Method, URL, Body, AK, SK, Date, SignedHeaders     string
	CanonicalRequest, StringToSign, Signature, Authorization string
	Headers                                                  map[string]string
}

// request builds the request as a server receives it.
func (v akskVector) request(t testing.TB) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), v.Method, v.URL, strings.NewReader(v.Body))
	require.NoError(t, err)
	for name, value := range v.Headers {
		if name != "Host" {
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("Authorization", v.Authorization)
	return req
}

func (v akskVector) now() time.Time {
	at, err := time.Parse("20060102T150405Z", v.Date)
	if err != nil {
		panic(err)
	}
	return at
}

func (v akskVector) verifier(t testing.TB) *signature.AKSK {
	t.Helper()
	return akskVerifier(t, v.AK, v.SK, v.now)
}

func akskVerifier(t testing.TB, ak, sk string, now func() time.Time) *signature.AKSK {
	t.Helper()
	verifier, err := signature.NewAKSK(signature.AKSKConfig{
		Secret: func(_ context.Context, id string) (string, bool, error) { return sk, id == ak, nil },
		Now:    now,
	})
	require.NoError(t, err)
	return verifier
}

func akskVectors(t testing.TB) []akskVector {
	t.Helper()
	var all []akskVector
	load(t, "aksk.json", &all)
	require.GreaterOrEqual(t, len(all), 14)
	return all
}

func load(t testing.TB, file string, into any) {
	t.Helper()
	data, err := vectors.FS.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

func TestBaseVectors(t *testing.T) {
	t.Parallel()
	for _, v := range v2Vectors(t, "base", 6) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			base, err := signature.NewBase(v.config())
			require.NoError(t, err)
			signed := []byte(v.Body)
			if v.SignedBody != "" {
				signed = []byte(v.SignedBody)
				canonical, ok := signature.CanonicalBody([]byte(v.Body))
				require.True(t, ok)
				require.Equal(t, v.SignedBody, string(canonical))
			}
			mac := hmac.New(sha256.New, []byte(v.Key))
			mac.Write(signed)
			require.Equal(t, v.BodyHMAC, hex.EncodeToString(mac.Sum(nil)), "the vector's intermediate value")

			require.Equal(t, v.Signature, base.SignAt(signed, v.Timestamp, v.Nonce))
			require.NoError(t, base.Verify(t.Context(), v.params(), signed))
			require.NoError(t, base.Verify(t.Context(), v.params(), []byte(v.Body)), "the body as sent")
			lower := v.params()
			lower.Signature = strings.ToLower(lower.Signature)
			require.NoError(t, base.Verify(t.Context(), lower, []byte(v.Body)), "a signature in lower case")
		})
	}
}

func TestUsageVectors(t *testing.T) {
	t.Parallel()
	for _, v := range v2Vectors(t, "usage", 1) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			usage, err := signature.NewUsage(v.config())
			require.NoError(t, err)
			require.Equal(t, v.Signature, usage.SignAt([]byte(v.Body), v.Timestamp, v.Nonce))
			require.NoError(t, usage.Verify(t.Context(), v.params(), []byte(v.Body)))
			loose := bytes.ReplaceAll([]byte(v.Body), []byte(":"), []byte(" : "))
			require.NoError(t, usage.Verify(t.Context(), v.params(), loose), "the body with blanks")
		})
	}
}

func TestAKSKVectors(t *testing.T) {
	t.Parallel()
	for _, v := range akskVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			req := v.request(t)
			canonical, err := signature.CanonicalRequest(req, strings.Split(v.SignedHeaders, ";"), []byte(v.Body))
			require.NoError(t, err)
			require.Equal(t, v.CanonicalRequest, canonical)
			toSign := signature.StringToSign(v.Date, canonical)
			require.Equal(t, v.StringToSign, toSign)
			mac := hmac.New(sha256.New, []byte(v.SK))
			mac.Write([]byte(toSign))
			require.Equal(t, v.Signature, hex.EncodeToString(mac.Sum(nil)))
			require.True(t, strings.HasSuffix(v.Authorization, v.Signature))

			ak, err := v.verifier(t).Verify(req, []byte(v.Body))
			require.NoError(t, err)
			require.Equal(t, v.AK, ak)
		})
	}
}

// Where a vector's signer signed what SignRequest signs, the whole header has to be the same.
func TestAKSKVectors_SignRequestGivesTheSameAuthorization(t *testing.T) {
	t.Parallel()
	compared := 0
	for _, v := range akskVectors(t) {
		req := v.request(t)
		req.Header.Del("Authorization")
		req.Header.Del("Content-Type") // the vendor's signer leaves it out
		require.NoError(t, signature.Credentials{AK: v.AK, SK: v.SK}.SignRequest(req, []byte(v.Body), v.now()), v.Name)
		require.Equal(t, v.Date, req.Header.Get("X-Sdk-Date"))
		got := req.Header.Get("Authorization")
		if !strings.Contains(got, "SignedHeaders="+v.SignedHeaders+",") {
			require.Contains(t, got, "SignedHeaders=host;", v.Name)
			require.NotContains(t, v.SignedHeaders, "host", v.Name)
			continue
		}
		compared++
		require.Equal(t, v.Authorization, got, v.Name)
	}
	require.GreaterOrEqual(t, compared, 11)
}

// A unit test published by an ISV in Ruby, the one public value with a known key.
func TestAKSK_PublishedRubyVector(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"https://mkt.myhuaweicloud.com/api/mkp-openapi-public/global/v1/license/activate", nil)
	require.NoError(t, err)
	req.Header.Set("X-Stage", "RELEASE")
	req.Header.Set("Content-Type", "application/json")
	at := time.Date(2024, 3, 17, 14, 42, 37, 0, time.UTC)
	require.NoError(t, signature.Credentials{AK: "test", SK: "123"}.SignRequest(req, nil, at))
	require.Equal(t, "SDK-HMAC-SHA256 Access=test, SignedHeaders=content-type;host;x-sdk-date;x-stage, "+
		"Signature=77595ad624b6e4e49990b8c4e84bf1c287457fca61069c4e60b9b6765b52053d", req.Header.Get("Authorization"))
}
