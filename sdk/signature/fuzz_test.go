package signature_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

func hexHMAC(key, data string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(data))
	return hex.EncodeToString(mac.Sum(nil))
}

func base64HMAC(key, data string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(data))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// FuzzBaseVerify changes a call in any way and compares the verdict with the published formula. The clock stands at the
// vectors' time.
func FuzzBaseVerify(f *testing.F) {
	for _, v := range v2Vectors(f, "base", 6) {
		f.Add(v.Key, v.Signature, v.Timestamp, v.Nonce, []byte(v.Body))
		f.Add(v.Key, strings.ToLower(v.Signature), v.Timestamp, v.Nonce, []byte(v.SignedBody))
		f.Add(v.Key, v.Signature, v.Timestamp[:10], v.Nonce+v.Timestamp[10:], []byte(v.Body))
	}
	f.Fuzz(func(t *testing.T, key, sig, timestamp, nonce string, body []byte) {
		base, err := signature.NewBase(signature.Config{Keys: []string{key}, Now: at(noon)})
		if err != nil {
			require.Empty(t, key)
			return
		}
		// What came, and what would have been right in its place.
		for _, sig := range []string{sig, base.SignAt(body, timestamp, nonce)} {
			err = base.Verify(t.Context(), signature.Params{Signature: sig, Timestamp: timestamp, Nonce: nonce}, body)
			right := strings.EqualFold(sig, hexHMAC(key, key+nonce+timestamp+hexHMAC(key, string(body))))
			if canonical, ok := signature.CanonicalBody(body); ok && !right {
				right = strings.EqualFold(sig, hexHMAC(key, key+nonce+timestamp+hexHMAC(key, string(canonical))))
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
			if err != nil {
				require.NotContains(t, err.Error(), "\n")
			}
		}
	})
}

// FuzzAKSKVerify changes a request and its Authorization in any way. Whatever is accepted must be signed as the published
// formula says.
func FuzzAKSKVerify(f *testing.F) {
	for _, v := range akskVectors(f) {
		u, err := url.Parse(v.URL)
		require.NoError(f, err)
		f.Add(v.Method, u.Path, u.RawQuery, v.Authorization, v.Headers["X-Sdk-Date"], v.Headers["Content-Type"],
			v.Headers["X-Sdk-Content-Sha256"], []byte(v.Body))
	}
	now := akskVectors(f)[0].now()
	f.Fuzz(func(t *testing.T, method, path, query, auth, date, contentType, hash string, body []byte) {
		req := &http.Request{Method: method, Host: "mkt.example.com", URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
		for name, value := range map[string]string{"Authorization": auth, "X-Sdk-Date": date, "Content-Type": contentType, "X-Sdk-Content-Sha256": hash} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		verifier := akskVerifier(t, "AccessKey", "SecretKey", at(now))
		_, err := verifier.Verify(req, body)
		if err == nil {
			_, list, _ := strings.Cut(auth, "SignedHeaders=")
			list, sig, _ := strings.Cut(list, ",")
			_, sig, _ = strings.Cut(sig, "Signature=")
			require.Contains(t, ";"+list+";", ";x-sdk-date;")
			canonical, err := signature.CanonicalRequest(req, strings.Split(list, ";"), body)
			require.NoError(t, err)
			want := hexHMAC("SecretKey", signature.StringToSign(strings.TrimSpace(date), canonical))
			require.True(t, strings.EqualFold(want, strings.TrimSpace(sig)), "a wrong signature was accepted")
			sum := sha256.Sum256(body)
			require.True(t, hash == "" || strings.TrimSpace(hash) == "UNSIGNED-PAYLOAD" || strings.TrimSpace(hash) == hex.EncodeToString(sum[:]))
		} else {
			var fault *signature.Error
			require.ErrorAs(t, err, &fault)
		}

		// What is signed here passes here.
		req.Header.Del("Authorization")
		if (signature.Credentials{AK: "AccessKey", SK: "SecretKey"}).SignRequest(req, body, now) == nil {
			_, err := verifier.Verify(req, body)
			var fault *signature.Error
			if errors.As(err, &fault) && fault.Field == "X-Sdk-Content-Sha256" {
				return // the signer may leave a payload unsigned where the verifier does not have it
			}
			require.NoError(t, err)
		}
	})
}
