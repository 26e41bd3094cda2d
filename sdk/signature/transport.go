package signature

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Transport returns a RoundTripper that signs every request afresh with c before next sends it: put it below whatever
// retries, so that each attempt has its own date. next nil means [http.DefaultTransport], now nil means [time.Now].
//
// The caller's request is not changed; a copy is signed and sent. Its body is read into memory to be hashed (the vendor's
// gateway takes at most 12 MB), unless X-Sdk-Content-Sha256 is set to UNSIGNED-PAYLOAD. A redirect that leads to another host
// is not followed: it ends with an error, because a signature is meant for one marketplace only.
func (c Credentials) Transport(next http.RoundTripper, now func() time.Time) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	if now == nil {
		now = time.Now
	}
	return &transport{credentials: c, next: next, now: now}
}

type transport struct {
	credentials Credentials
	next        http.RoundTripper
	now         func() time.Time
}

// Format makes every way of printing leave the SK out.
func (t *transport) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{signs as %v}", t.credentials)
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	signed, err := t.sign(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper closes the body, also when it fails
		}
		return nil, err
	}
	return t.next.RoundTrip(signed)
}

func (t *transport) sign(req *http.Request) (*http.Request, error) {
	if req.URL == nil {
		return nil, errNoRequest
	}
	// http.Client notes in Response which answer sent it here.
	if r := req.Response; r != nil && r.Request != nil && r.Request.URL != nil && r.Request.URL.Host != req.URL.Host {
		return nil, fmt.Errorf("signature: AK/SK: not signing a redirect from %s to %s", r.Request.URL.Host, req.URL.Host)
	}
	clone := req.Clone(req.Context())
	var body []byte
	if req.Body != nil && req.Body != http.NoBody && req.Header.Get(hashHeader) != unsignedPayload {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, fmt.Errorf("signature: AK/SK: read the body: %w", err)
		}
		_ = req.Body.Close()
		clone.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		clone.Body, clone.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if len(body) == 0 {
			clone.Body = http.NoBody // or the length would count as unknown
		}
	}
	if err := t.credentials.SignRequest(clone, body, t.now()); err != nil {
		return nil, err
	}
	return clone, nil
}
