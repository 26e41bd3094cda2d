package signature_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

var (
	testCredentials = signature.Credentials{AK: "ak-1", SK: "sk-1-secret"}
	ordersURL       = "https://mkt.example.com/api/v1/order/query?orderId=CS1"
)

func signedRequest(t testing.TB, method, url string, body []byte, header http.Header) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	require.NoError(t, err)
	for name, values := range header {
		req.Header[name] = values
	}
	require.NoError(t, testCredentials.SignRequest(req, body, noon))
	return req
}

func TestAKSK_OneFaultEach(t *testing.T) {
	t.Parallel()
	edit := func(old, new string) func(*http.Request, *[]byte) {
		return func(r *http.Request, _ *[]byte) {
			auth := r.Header.Get("Authorization")
			require.Contains(t, auth, old)
			r.Header.Set("Authorization", strings.Replace(auth, old, new, 1))
		}
	}
	set := func(name, value string) func(*http.Request, *[]byte) {
		return func(r *http.Request, _ *[]byte) { r.Header.Set(name, value) }
	}
	for _, test := range []struct {
		name     string
		change   func(r *http.Request, body *[]byte)
		kind     signature.Kind
		sentinel error
		field    string
	}{
		{"no Authorization", func(r *http.Request, _ *[]byte) { r.Header.Del("Authorization") }, signature.KindMissing, signature.ErrMissing, "Authorization"},
		{"blank Authorization", set("Authorization", " "), signature.KindMissing, signature.ErrMissing, "Authorization"},
		{"no date", func(r *http.Request, _ *[]byte) { r.Header.Del("X-Sdk-Date") }, signature.KindMissing, signature.ErrMissing, "X-Sdk-Date"},
		{"a listed header is gone", func(r *http.Request, _ *[]byte) { r.Header.Del("X-Stage") }, signature.KindMissing, signature.ErrMissing, "X-Stage"},
		{"two Authorizations", func(r *http.Request, _ *[]byte) { r.Header.Add("Authorization", "x") }, signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"another algorithm", edit("SDK-HMAC-SHA256", "SDK-HMAC-SM3"), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"a bearer token", set("Authorization", "Bearer x"), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"nothing behind the algorithm", set("Authorization", "SDK-HMAC-SHA256 "), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"no Access", edit("Access=", "Credential="), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"an empty AK", edit("Access=ak-1", "Access="), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"an AK with a blank", edit("Access=ak-1", "Access=ak 1"), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"an AK of other letters", edit("Access=ak-1", "Access=Ĺk"), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"an overlong AK", edit("Access=ak-1", "Access="+strings.Repeat("a", 129)), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"no SignedHeaders", edit("SignedHeaders=", "Headers="), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"an empty list", edit("content-type;host;x-sdk-date;x-stage", ""), signature.KindMalformed, signature.ErrMalformed, "SignedHeaders"},
		{"a list in upper case", edit("content-type;host", "Content-Type;Host"), signature.KindMalformed, signature.ErrMalformed, "SignedHeaders"},
		{"a name twice", edit("content-type;host", "host;host"), signature.KindMalformed, signature.ErrMalformed, "SignedHeaders"},
		{"an endless list", func(r *http.Request, b *[]byte) {
			var names strings.Builder
			for i := range 100 {
				r.Header.Set(fmt.Sprintf("X-%d", i), "v")
				fmt.Fprintf(&names, "x-%d;", i)
			}
			edit("content-type;", names.String())(r, b)
		}, signature.KindMalformed, signature.ErrMalformed, "SignedHeaders"},
		{"date not signed", edit("host;x-sdk-date;", "host;"), signature.KindMalformed, signature.ErrMalformed, "SignedHeaders"},
		{"no Signature", edit(", Signature=", ", Sig="), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"a short signature", edit(", Signature=", ", Signature=a"), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"an overlong header", edit("Access=", "Access="+strings.Repeat("a", 9000)), signature.KindMalformed, signature.ErrMalformed, "Authorization"},
		{"two dates", func(r *http.Request, _ *[]byte) { r.Header.Add("X-Sdk-Date", "20230403T074746Z") }, signature.KindMalformed, signature.ErrMalformed, "X-Sdk-Date"},
		{"a date of another form", set("X-Sdk-Date", "2023-04-03T07:47:46Z"), signature.KindMalformed, signature.ErrMalformed, "X-Sdk-Date"},
		{"a date with fractions", set("X-Sdk-Date", "20230403T074746.5Z"), signature.KindMalformed, signature.ErrMalformed, "X-Sdk-Date"},
		{"a query that cannot be decoded", func(r *http.Request, _ *[]byte) { r.URL.RawQuery += "&a=%zz" }, signature.KindMalformed, signature.ErrMalformed, "query"},
		{"a query with a semicolon", func(r *http.Request, _ *[]byte) { r.URL.RawQuery += ";a=1" }, signature.KindMalformed, signature.ErrMalformed, "query"},
		{"a line break in a header", set("X-Stage", "a\nb"), signature.KindMalformed, signature.ErrMalformed, "X-Stage"},
		{"stale", set("X-Sdk-Date", "20230403T073246Z"), signature.KindStale, signature.ErrStale, "X-Sdk-Date"},
		{"from the future", set("X-Sdk-Date", "20230403T080247Z"), signature.KindStale, signature.ErrStale, "X-Sdk-Date"},
		{"an unknown AK", edit("Access=ak-1", "Access=ak-2"), signature.KindUnknownKey, signature.ErrUnknownKey, "Authorization"},
		{"another date", set("X-Sdk-Date", "20230403T074747Z"), signature.KindMismatch, signature.ErrMismatch, "Authorization"},
		{"another method", func(r *http.Request, _ *[]byte) { r.Method = "PUT" }, signature.KindMismatch, signature.ErrMismatch, "Authorization"},
		{"another path", func(r *http.Request, _ *[]byte) { r.URL.Path += "x" }, signature.KindMismatch, signature.ErrMismatch, "Authorization"},
		{"another query", func(r *http.Request, _ *[]byte) { r.URL.RawQuery += "&a" }, signature.KindMismatch, signature.ErrMismatch, "Authorization"},
		{"another host", func(r *http.Request, _ *[]byte) { r.Host = "evil.example.com" }, signature.KindMismatch, signature.ErrMismatch, "Authorization"},
		{"another content type", set("Content-Type", "text/plain"), signature.KindMismatch, signature.ErrMismatch, "Authorization"},
		{"a signed header changed", set("X-Stage", "TEST"), signature.KindMismatch, signature.ErrMismatch, "Authorization"},
		{"a header fewer signed", edit("date;x-stage", "date"), signature.KindMismatch, signature.ErrMismatch, "Authorization"},
		{"another body", func(_ *http.Request, b *[]byte) { *b = []byte(`{"a":2}`) }, signature.KindMismatch, signature.ErrMismatch, "Authorization"},
		{"a wrong body hash", set("X-Sdk-Content-Sha256", strings.Repeat("0", 64)), signature.KindMismatch, signature.ErrMismatch, "X-Sdk-Content-Sha256"},
		{"unsigned payload in JSON", set("X-Sdk-Content-Sha256", "UNSIGNED-PAYLOAD"), signature.KindMismatch, signature.ErrMismatch, "X-Sdk-Content-Sha256"},
		{"two body hashes", func(r *http.Request, _ *[]byte) { r.Header["X-Sdk-Content-Sha256"] = []string{"a", "b"} }, signature.KindMalformed, signature.ErrMalformed, "X-Sdk-Content-Sha256"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := []byte(`{"a":1}`)
			header := http.Header{"Content-Type": {"application/json"}, "X-Stage": {"RELEASE"}}
			req := signedRequest(t, http.MethodPost, ordersURL, body, header)
			verifier := akskVerifier(t, testCredentials.AK, testCredentials.SK, at(noon))
			ak, err := verifier.Verify(req, body)
			require.NoError(t, err, "before the change")
			require.Equal(t, testCredentials.AK, ak)

			test.change(req, &body)
			ak, err = verifier.Verify(req, body)
			requireFault(t, err, test.kind, test.sentinel, test.field)
			require.Empty(t, ak)
			require.NotContains(t, err.Error(), testCredentials.SK)
		})
	}
}

func TestAKSK_FreshnessBoundaries(t *testing.T) {
	t.Parallel()
	at0 := noon.Truncate(time.Second)
	for off, fresh := range map[time.Duration]bool{
		15 * time.Minute: true, -15 * time.Minute: true,
		15*time.Minute + time.Millisecond: false, -15*time.Minute - time.Millisecond: false,
	} {
		req := signedRequest(t, http.MethodGet, ordersURL, nil, nil)
		_, err := akskVerifier(t, testCredentials.AK, testCredentials.SK, at(at0.Add(off))).Verify(req, nil)
		if fresh {
			require.NoError(t, err, off)
		} else {
			require.ErrorIs(t, err, signature.ErrStale, off)
		}
	}
}

func TestAKSK_SecretIsAskedOnlyForWellFormedFreshRequests(t *testing.T) {
	t.Parallel()
	asked := 0
	broken := errors.New("vault is down")
	verifier, err := signature.NewAKSK(signature.AKSKConfig{Now: at(noon), Secret: func(context.Context, string) (string, bool, error) {
		asked++
		return "", false, broken
	}})
	require.NoError(t, err)
	req := signedRequest(t, http.MethodGet, ordersURL, nil, nil)
	_, err = verifier.Verify(req, nil)
	require.ErrorIs(t, err, broken)
	var fault *signature.Error
	require.NotErrorAs(t, err, &fault)
	require.Equal(t, 1, asked)
	req.Header.Set("X-Sdk-Date", "20200101T000000Z")
	_, err = verifier.Verify(req, nil)
	require.ErrorIs(t, err, signature.ErrStale)
	require.Equal(t, 1, asked)
}

// With an empty secret anybody could sign.
func TestAKSK_AnEmptySecretIsAnError(t *testing.T) {
	t.Parallel()
	req := signedRequest(t, http.MethodGet, ordersURL, nil, nil)
	_, err := akskVerifier(t, testCredentials.AK, "", at(noon)).Verify(req, nil)
	require.Error(t, err)
	var fault *signature.Error
	require.NotErrorAs(t, err, &fault)
}

func TestNewAKSK_ChecksItsConfig(t *testing.T) {
	t.Parallel()
	_, err := signature.NewAKSK(signature.AKSKConfig{})
	require.Error(t, err)
	secret := func(context.Context, string) (string, bool, error) { return "", false, nil }
	_, err = signature.NewAKSK(signature.AKSKConfig{Secret: secret, Leeway: -1})
	require.Error(t, err)
	v, err := signature.NewAKSK(signature.AKSKConfig{Secret: secret})
	require.NoError(t, err)
	_, err = v.Verify(nil, nil)
	require.Error(t, err)
	_, err = v.Verify(&http.Request{}, nil)
	require.Error(t, err)
}

func TestAKSK_UnsignedPayload(t *testing.T) {
	t.Parallel()
	verifier := akskVerifier(t, testCredentials.AK, testCredentials.SK, at(noon))
	header := http.Header{"X-Sdk-Content-Sha256": {"UNSIGNED-PAYLOAD"}, "Content-Type": {"multipart/form-data; boundary=b"}}
	req := signedRequest(t, http.MethodPost, ordersURL, []byte("x"), header)
	_, err := verifier.Verify(req, []byte("whatever arrives"))
	require.NoError(t, err)
	for _, contentType := range []string{"", "application/json;charset=utf8", "application/bson"} {
		if header.Del("Content-Type"); contentType != "" {
			header.Set("Content-Type", contentType)
		}
		_, err := verifier.Verify(signedRequest(t, http.MethodPost, ordersURL, nil, header), nil)
		requireFault(t, err, signature.KindMismatch, signature.ErrMismatch, "X-Sdk-Content-Sha256")
	}
}

func TestSignRequest_SignsWhatProxiesLeaveAlone(t *testing.T) {
	t.Parallel()
	req := signedRequest(t, "", "https://mkt.example.com", nil, http.Header{
		"Accept": {"b", "a"}, "X-Project-Id": {" p "}, "Content-Type": {"application/json"},
		"User-Agent": {"u"}, "Accept-Encoding": {"gzip"}, "Content-Length": {"0"}, "Connection": {"close"}, "Via": {"v"},
		"X-Forwarded-For": {"1.2.3.4"}, "X-Request-Id": {"r"}, "Traceparent": {"t"}, "X_underscore": {"u"},
		"Authorization": {"old"}, "X-Sdk-Date": {"old"}, "Host": {"ignored.example.com"}, "X-Empty": {},
	})
	require.Contains(t, req.Header.Get("Authorization"), "SignedHeaders=accept;content-type;host;x-project-id;x-sdk-date,")
	_, err := akskVerifier(t, testCredentials.AK, testCredentials.SK, at(noon)).Verify(req, nil)
	require.NoError(t, err)

	req.Header["Accept"] = []string{"a", "b"} // the order of repeated headers is not signed
	_, err = akskVerifier(t, testCredentials.AK, testCredentials.SK, at(noon)).Verify(req, nil)
	require.NoError(t, err)
}

func TestSignRequest_ErrorsLeaveTheRequestAlone(t *testing.T) {
	t.Parallel()
	good := testCredentials
	for name, test := range map[string]struct {
		credentials signature.Credentials
		url         string
		header      http.Header
	}{
		"no AK":               {signature.Credentials{SK: "s"}, ordersURL, nil},
		"no SK":               {signature.Credentials{AK: "a"}, ordersURL, nil},
		"AK with a comma":     {signature.Credentials{AK: "a,b", SK: "s"}, ordersURL, nil},
		"AK with a newline":   {signature.Credentials{AK: "a\nb", SK: "s"}, ordersURL, nil},
		"no host":             {good, "/path", nil},
		"a wrong escape":      {good, "https://h/?a=%zz", nil},
		"a semicolon":         {good, "https://h/?a=1;b=2", nil},
		"a line break":        {good, ordersURL, http.Header{"X-A": {"1\r\nX-B: 2"}}},
		"two spellings":       {good, ordersURL, http.Header{"X-A": {"1"}, "x-a": {"2"}}},
		"two hashes":          {good, ordersURL, http.Header{"X-Sdk-Content-Sha256": {"UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD"}}},
		"another body's hash": {good, ordersURL, http.Header{"X-Sdk-Content-Sha256": {strings.Repeat("0", 64)}}},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, test.url, nil)
		require.NoError(t, err, name)
		if test.header != nil {
			req.Header = test.header
		}
		before := req.Header.Clone()
		require.Error(t, test.credentials.SignRequest(req, nil, noon), name)
		require.Equal(t, before, req.Header, name)
	}
	require.Error(t, good.SignRequest(nil, nil, noon))
	require.Error(t, good.SignRequest(&http.Request{}, nil, noon))
}

func TestSignRequest_NilHeaderAndDeclaredHash(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ordersURL, nil)
	require.NoError(t, err)
	req.Header = nil
	require.NoError(t, testCredentials.SignRequest(req, nil, noon))
	req.Header.Set("X-Sdk-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	require.NoError(t, testCredentials.SignRequest(req, nil, noon))
	require.Contains(t, req.Header.Get("Authorization"), "host;x-sdk-content-sha256;x-sdk-date")
	_, err = akskVerifier(t, testCredentials.AK, testCredentials.SK, at(noon)).Verify(req, nil)
	require.NoError(t, err)
}

func TestCanonicalRequest_Errors(t *testing.T) {
	t.Parallel()
	_, err := signature.CanonicalRequest(nil, nil, nil)
	require.Error(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://h/?a=%zz", nil)
	require.NoError(t, err)
	_, err = signature.CanonicalRequest(req, []string{"x-missing"}, nil)
	require.ErrorContains(t, err, "x-missing")
	_, err = signature.CanonicalRequest(req, []string{"host"}, nil)
	require.ErrorContains(t, err, "escape")
}

func TestCanonicalRequest_EncodesLikeTheVendor(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://h/a%20b/*~%E4%BA%91/?q=a+b&q=%2F*&e&=x&&Z=1", nil)
	require.NoError(t, err)
	text, err := signature.CanonicalRequest(req, []string{"host"}, nil)
	require.NoError(t, err)
	lines := strings.Split(text, "\n")
	require.Equal(t, "/a%20b/%2A~%E4%BA%91/", lines[1])
	require.Equal(t, "=x&Z=1&e=&q=%2F%2A&q=a%20b", lines[2])
}

func TestTransport_SignsACopyOfEveryAttempt(t *testing.T) {
	t.Parallel()
	now := noon
	verifier := akskVerifier(t, testCredentials.AK, testCredentials.SK, func() time.Time { return now })
	var dates []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if _, err := verifier.Verify(r, body); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		dates = append(dates, r.Header.Get("X-Sdk-Date"))
		if r.URL.Path == "/again" {
			http.Redirect(w, r, "/final", http.StatusTemporaryRedirect)
			return
		}
		_, _ = fmt.Fprintf(w, "%d %s", r.ContentLength, body)
	}))
	t.Cleanup(server.Close)
	client := &http.Client{Transport: testCredentials.Transport(nil, func() time.Time { return now })}

	for _, test := range []struct{ path, body, want string }{
		{"/x?b=2&a=%2F", "", "0 "}, {"/", `{"a":1}`, `7 {"a":1}`}, {"/again", "hello", "5 hello"},
	} {
		now = now.Add(time.Minute)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+test.path, strings.NewReader(test.body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "text/plain")
		resp, err := client.Do(req)
		require.NoError(t, err)
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, "%s", answer)
		require.Equal(t, test.want, string(answer))
		require.Empty(t, req.Header.Get("Authorization"), "the caller's request is not changed")
		require.Equal(t, now.UTC().Format("20060102T150405Z"), dates[len(dates)-1])
	}
	require.Len(t, dates, 4)
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTransport_DoesNotSignARedirectToAnotherHost(t *testing.T) {
	t.Parallel()
	var asked []string
	next := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Host)
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"https://evil.example.com/"}}, Body: http.NoBody, Request: r}, nil
	})
	client := &http.Client{Transport: testCredentials.Transport(next, nil)}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ordersURL, nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	if resp != nil {
		_ = resp.Body.Close()
	}
	require.ErrorContains(t, err, "redirect")
	require.Equal(t, []string{"mkt.example.com"}, asked)
}

type closeRecorder struct {
	io.Reader
	closed bool
}

func (c *closeRecorder) Close() error { c.closed = true; return nil }

func TestTransport_Bodies(t *testing.T) {
	t.Parallel()
	var sent *http.Request
	next := roundTripFunc(func(r *http.Request) (*http.Response, error) {
		sent = r
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
	})
	transport := testCredentials.Transport(next, at(noon))
	do := func(body io.ReadCloser, header http.Header) error {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, ordersURL, nil)
		req.Body, req.ContentLength, req.Header = body, -1, header
		resp, err := transport.RoundTrip(req)
		if resp != nil {
			_ = resp.Body.Close()
		}
		return err
	}

	stream := &closeRecorder{Reader: strings.NewReader("stream")}
	require.NoError(t, do(stream, http.Header{"X-Sdk-Content-Sha256": {"UNSIGNED-PAYLOAD"}}))
	require.Same(t, stream, sent.Body, "an unsigned payload is not read")

	body := &closeRecorder{Reader: strings.NewReader("body")}
	require.NoError(t, do(body, http.Header{}))
	require.True(t, body.closed)
	require.EqualValues(t, 4, sent.ContentLength)
	again, err := sent.GetBody()
	require.NoError(t, err)
	text, err := io.ReadAll(again)
	require.NoError(t, err)
	require.Equal(t, "body", string(text))

	empty := &closeRecorder{Reader: strings.NewReader("")}
	require.NoError(t, do(empty, http.Header{}))
	require.Equal(t, http.NoBody, sent.Body)

	broken := &closeRecorder{Reader: iotest.ErrReader(errors.New("cut off"))}
	require.ErrorContains(t, do(broken, http.Header{}), "cut off")
	require.True(t, broken.closed, "the body is closed after an error too")
}

// replace every hexadecimal digit of the signature in turn: none may pass.
func TestAKSK_EveryDigitOfTheSignatureCounts(t *testing.T) {
	t.Parallel()
	req := signedRequest(t, http.MethodGet, ordersURL, nil, nil)
	verifier := akskVerifier(t, testCredentials.AK, testCredentials.SK, at(noon))
	auth := req.Header.Get("Authorization")
	for i := len(auth) - 64; i < len(auth); i++ {
		digit := byte('0')
		if auth[i] == '0' {
			digit = '1'
		}
		req.Header.Set("Authorization", auth[:i]+string(digit)+auth[i+1:])
		_, err := verifier.Verify(req, nil)
		require.ErrorIs(t, err, signature.ErrMismatch)
	}
}
