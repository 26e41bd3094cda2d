package signature

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Credentials are an access key id and its secret key, with which an ISV calls the marketplace's open API. Printing and logging
// them shows the AK and leaves the SK out; encoding them as JSON does not.
type Credentials struct{ AK, SK string }

// String leaves the SK out.
func (c Credentials) String() string { return fmt.Sprintf("{AK:%s SK:redacted}", c.AK) }

// GoString leaves the SK out.
func (c Credentials) GoString() string {
	return fmt.Sprintf("signature.Credentials{AK:%q, SK:\"redacted\"}", c.AK)
}

// Format writes what String or GoString returns whatever the verb, so that no way of printing shows the SK.
func (c Credentials) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, c.GoString())
		return
	}
	_, _ = io.WriteString(f, c.String())
}

// LogValue leaves the SK out.
func (c Credentials) LogValue() slog.Value {
	return slog.GroupValue(slog.String("ak", c.AK), slog.String("sk", "redacted"))
}

// SignRequest signs req with SDK-HMAC-SHA256 as of the time at: it sets the headers X-Sdk-Date and Authorization and changes
// nothing else. body must be the bytes that will be sent; req.Body is not read. Set the other headers first, Content-Type
// among them, and sign every attempt anew, because the gateway refuses a date that is more than 15 minutes off.
//
// Signed are host (req.Host, or else the host of req.URL), x-sdk-date, and every other header that is set, content-type
// included, except those that the Go client or a proxy on the way adds, rewrites or drops: hop-by-hop and forwarding headers,
// Accept-Encoding, Content-Length, User-Agent, tracing headers, and names with an underscore. The vendor's SDKs differ in
// what they sign, and a verifier follows the list in Authorization; signing host is what the header table of the vendor's
// open API asks for.
//
// The body is always covered by its SHA-256, unless the caller has set X-Sdk-Content-Sha256 to UNSIGNED-PAYLOAD, which the
// vendor's SDK does by itself for bodies other than JSON. If that header holds a hash, it must be the one of body.
//
// An error means that nothing was set.
func (c Credentials) SignRequest(req *http.Request, body []byte, at time.Time) error {
	if err := c.check(); err != nil {
		return err
	}
	if req == nil || req.URL == nil {
		return errNoRequest
	}
	var hash hexHash
	if declared := req.Header[hashHeader]; len(declared) > 1 ||
		len(declared) == 1 && declared[0] != unsignedPayload && declared[0] != string(hash.set(body)) {
		return errors.New("signature: AK/SK: " + hashHeader + " is set to something else than the hash of the body")
	}
	values := []string{at.UTC().Format(dateLayout), "", requestHost(req)} // date, Authorization, host
	if values[2] == "" {
		return errors.New("signature: AK/SK: the request has no host")
	}
	var few [16]header
	headers := append(few[:0], header{"host", values[2:]}, header{"x-sdk-date", values[:1:1]})
	headers, err := appendStableHeaders(headers, req.Header)
	if err != nil {
		return err
	}
	m := getSecretMAC(c.SK)
	defer putSecretMAC(m)
	text, err := appendCanonicalRequest(m.buf[:0], req, headers, payloadHash(req, body, &hash))
	if err != nil {
		return err
	}
	sum := m.signCanonical(text, values[0], text)
	auth := append(m.buf[:0], algorithm+" Access="...)
	auth = append(auth, c.AK...)
	auth = append(auth, ", SignedHeaders="...)
	auth = appendNames(auth, headers)
	auth = append(auth, ", Signature="...)
	m.buf = hex.AppendEncode(auth, sum)
	values[1] = string(m.buf)

	if req.Header == nil {
		req.Header = make(http.Header, 2)
	}
	req.Header[dateHeader], req.Header["Authorization"] = values[:1:1], values[1:2:2]
	return nil
}

// signCanonical returns the signature of the canonical request text, in m's memory. It writes the string to sign behind room.
func (m *mac) signCanonical(room []byte, date string, text []byte) []byte {
	m.buf = appendStringToSign(room, date, text)
	m.Write(m.buf[len(room):])
	return m.finish()
}

func (c Credentials) check() error {
	if c.AK == "" || c.SK == "" {
		return errors.New("signature: AK/SK: the AK or the SK is empty")
	}
	if !plain(c.AK) {
		return errors.New("signature: AK/SK: the AK has characters that cannot stand in an Authorization header")
	}
	return nil
}

// plain reports whether ak can stand in the Authorization header: visible ASCII without the separator.
func plain(ak string) bool {
	for i := range len(ak) {
		if c := ak[i]; c <= ' ' || c > '~' || c == ',' {
			return false
		}
	}
	return true
}

// appendStableHeaders appends the headers of h that arrive as they were sent, and sorts the whole list by name.
func appendStableHeaders(headers []header, h http.Header) ([]header, error) {
	for key, values := range h {
		name := lower(key)
		if len(values) == 0 || rewritten(name) {
			continue
		}
		for _, v := range values {
			if strings.ContainsAny(v, "\r\n") {
				return nil, fmt.Errorf("signature: AK/SK: header %s has a line break", shown(key))
			}
		}
		headers = append(headers, header{name, values})
	}
	slices.SortFunc(headers, func(a, b header) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(headers); i++ {
		if headers[i].name == headers[i-1].name {
			return nil, fmt.Errorf("signature: AK/SK: header %s is set under two spellings", shown(headers[i].name))
		}
	}
	return headers, nil
}

// lower is strings.ToLower that spares the allocation for the headers nearly every request has.
func lower(key string) string {
	switch key {
	case "Content-Type":
		return "content-type"
	case "Accept":
		return "accept"
	case "User-Agent":
		return "user-agent"
	case dateHeader:
		return "x-sdk-date"
	case hashHeader:
		return "x-sdk-content-sha256"
	}
	return strings.ToLower(key)
}

// rewritten reports whether a header is not signed: SignRequest sets it itself, the Go client or a proxy changes it, or, for
// names with an underscore, proxies commonly drop it (vendor's Go SDK leaves those out too).
func rewritten(name string) bool {
	switch name {
	case "host", "x-sdk-date", "authorization",
		"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect",
		"accept-encoding", "content-length", "user-agent", "cookie", "referer",
		"forwarded", "via", "x-real-ip", "x-request-id", "x-correlation-id",
		"traceparent", "tracestate", "baggage", "b3", "cdn-loop":
		return true
	}
	return strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "x-b3-") ||
		strings.Contains(name, "_")
}

// AKSKConfig is how an [AKSK] is set up. Only Secret is required.
type AKSKConfig struct {
	// Secret finds the SK of an AK; ok is false if there is no such AK. It is asked only for requests that are complete,
	// well-formed and fresh. An error is ours, not the caller's fault: Verify passes it on wrapped.
	Secret func(ctx context.Context, ak string) (sk string, ok bool, err error)

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Leeway is how far X-Sdk-Date may be from the clock, in both directions. Default: 15 minutes (vendor's API signing
	// guide; that it holds for the future too is ours).
	Leeway time.Duration
}

// AKSK verifies requests signed with SDK-HMAC-SHA256, the part of the marketplace's gateway. It is safe for concurrent use.
type AKSK struct{ cfg AKSKConfig }

const (
	akskScheme        = "AK/SK"
	defaultAKSKLeeway = 15 * time.Minute
	maxAuthorization  = 8 << 10 // ours: not published
	maxAK             = 128     // ours: not published
	maxSignedHeaders  = 64      // ours: not published
)

// NewAKSK returns an AKSK, or an error if cfg has no Secret or a negative Leeway.
func NewAKSK(cfg AKSKConfig) (*AKSK, error) {
	if cfg.Secret == nil {
		return nil, errors.New("signature: AK/SK: AKSKConfig.Secret is nil")
	}
	if cfg.Leeway < 0 {
		return nil, fmt.Errorf("signature: AK/SK: AKSKConfig.Leeway is %v, expected 0 (for %v) or more",
			cfg.Leeway, defaultAKSKLeeway)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Leeway == 0 {
		cfg.Leeway = defaultAKSKLeeway
	}
	return &AKSK{cfg}, nil
}

// Verify checks the signature of a received request and returns the AK that signed it. body is the request body exactly as
// received; req.Body is not read. A failure is an *[Error]; anything else is an error of AKSKConfig.Secret.
//
// It checks that Authorization and X-Sdk-Date are present and well-formed, that x-sdk-date and only headers the request has
// are in the list of signed headers, the freshness of the date, the body against X-Sdk-Content-Sha256 if that is present,
// then looks up the secret and compares signatures, in constant time. Which headers are signed besides x-sdk-date is up to
// the signer; the vendor's SDKs differ, and some do not sign host.
//
// With X-Sdk-Content-Sha256: UNSIGNED-PAYLOAD, which is accepted only beside a Content-Type that is neither
// application/json nor application/bson (the rule of vendor's Go SDK), the body is not covered by the signature.
//
// The scheme has no nonce: within the leeway a request can be repeated, so the caller must recognise repeats by their content.
// Segments of the path are signed decoded: /a%2Fb and /a/b have the same signature.
func (v *AKSK) Verify(req *http.Request, body []byte) (ak string, err error) {
	if req == nil || req.URL == nil {
		return "", errNoRequest
	}
	auth, err := v.authorization(req)
	if err != nil {
		return "", err
	}
	date, err := v.date(req)
	if err != nil {
		return "", err
	}
	headers, err := v.signedHeaders(req, auth.signedHeaders)
	if err != nil {
		return "", err
	}
	now := v.cfg.Now()
	at, err := time.Parse(dateLayout, date)
	if err != nil || len(date) != len(dateLayout) {
		return "", akskFault(KindMalformed, dateHeader, "expected the form "+dateLayout+", got "+shown(date))
	}
	if off := now.Sub(at).Abs(); off > v.cfg.Leeway {
		return "", akskFault(KindStale, dateHeader, fmt.Sprintf("expected within %v of %s, got %s (%v away)",
			v.cfg.Leeway, now.UTC().Format(dateLayout), date, off))
	}
	var hash hexHash
	payload, err := v.payload(req, body, &hash)
	if err != nil {
		return "", err
	}
	var room [1024]byte
	text, err := appendCanonicalRequest(room[:0], req, headers, payload)
	if err != nil {
		return "", akskFault(KindMalformed, "query", "expected a query that can be decoded, without a bare semicolon")
	}

	sk, ok, err := v.cfg.Secret(req.Context(), auth.ak)
	switch {
	case err != nil:
		return "", fmt.Errorf("signature: AK/SK: look up a secret: %w", err)
	case !ok:
		return "", akskFault(KindUnknownKey, "Authorization", "no secret for the AK "+shown(auth.ak))
	case sk == "":
		return "", fmt.Errorf("signature: AK/SK: the secret of the AK %s is empty", shown(auth.ak))
	}
	m := getSecretMAC(sk)
	defer putSecretMAC(m)
	if !hmac.Equal(auth.signature[:], m.signCanonical(m.buf[:0], date, text)) {
		return "", akskFault(KindMismatch, "Authorization", "the SK of this AK does not sign the request so; compare canonical requests")
	}
	return auth.ak, nil
}

type authorization struct {
	ak            string
	signedHeaders string
	signature     [sha256.Size]byte
}

// authorization parses "SDK-HMAC-SHA256 Access=AK, SignedHeaders=a;b, Signature=hex"; the blank after a comma is optional.
func (v *AKSK) authorization(req *http.Request) (auth authorization, err error) {
	const name = "Authorization"
	value, err := one(req, name)
	if err != nil {
		return auth, err
	}
	if len(value) > maxAuthorization {
		return auth, akskFault(KindMalformed, name, fmt.Sprintf("expected at most %d bytes, got %d", maxAuthorization, len(value)))
	}
	rest, ok := strings.CutPrefix(value, algorithm+" ")
	if !ok {
		kind, _, _ := strings.Cut(value, " ")
		return auth, akskFault(KindMalformed, name, "expected "+algorithm+", got "+shown(kind))
	}
	access, rest, ok1 := strings.Cut(strings.TrimLeft(rest, " "), ",")
	list, sum, ok2 := strings.Cut(rest, ",")
	access, ok3 := strings.CutPrefix(access, "Access=")
	list, ok4 := strings.CutPrefix(strings.TrimLeft(list, " "), "SignedHeaders=")
	sum, ok5 := strings.CutPrefix(strings.TrimLeft(sum, " "), "Signature=")
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return auth, akskFault(KindMalformed, name, "expected Access=..., SignedHeaders=..., Signature=...")
	}
	if access == "" || len(access) > maxAK || !plain(access) {
		return auth, akskFault(KindMalformed, name, "expected an AK of 1 to 128 visible characters, got "+shown(access))
	}
	auth.ak, auth.signedHeaders = access, list
	if auth.signature, ok = decodeHex(sum); !ok {
		return auth, akskFault(KindMalformed, name, "expected a signature of 64 hexadecimal digits, got "+shown(sum))
	}
	return auth, nil
}

func (v *AKSK) date(req *http.Request) (string, error) { return one(req, dateHeader) }

// signedHeaders looks up the listed headers.
func (v *AKSK) signedHeaders(req *http.Request, list string) ([]header, error) {
	const field = "SignedHeaders"
	headers := make([]header, 0, 8)
	dated := false
	for name := range strings.SplitSeq(list, ";") {
		if !headerName(name) {
			return nil, akskFault(KindMalformed, field, "expected lower-case header names with semicolons between, got "+shown(name))
		}
		if len(headers) == maxSignedHeaders {
			return nil, akskFault(KindMalformed, field, fmt.Sprintf("expected at most %d names", maxSignedHeaders))
		}
		for _, h := range headers {
			if h.name == name {
				return nil, akskFault(KindMalformed, field, "expected each name once, got twice "+shown(name))
			}
		}
		h := header{name, headerValues(req, name)}
		if len(h.values) == 0 {
			return nil, akskFault(KindMissing, http.CanonicalHeaderKey(name), "it is listed as signed")
		}
		for _, value := range h.values {
			if strings.ContainsAny(value, "\r\n") {
				return nil, akskFault(KindMalformed, http.CanonicalHeaderKey(name), "it has a line break")
			}
		}
		dated = dated || name == "x-sdk-date"
		headers = append(headers, h)
	}
	if !dated {
		return nil, akskFault(KindMalformed, field, "expected x-sdk-date to be signed, got "+shown(list))
	}
	return headers, nil
}

func headerName(name string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// payload returns the last line of the canonical request, after comparing a declared hash with body.
func (v *AKSK) payload(req *http.Request, body []byte, hash *hexHash) ([]byte, error) {
	if len(req.Header[hashHeader]) == 0 {
		return hash.set(body), nil
	}
	declared, err := one(req, hashHeader)
	if err != nil {
		return nil, err
	}
	if declared == unsignedPayload {
		contentType := req.Header.Get("Content-Type")
		if contentType == "" || strings.Contains(contentType, "application/json") ||
			strings.Contains(contentType, "application/bson") {
			return nil, akskFault(KindMismatch, hashHeader, "expected the hash of the body, got "+unsignedPayload+
				", which is for content types other than JSON; this is "+shown(contentType))
		}
		return []byte(unsignedPayload), nil
	}
	if declared != string(hash.set(body)) {
		return nil, akskFault(KindMismatch, hashHeader, fmt.Sprintf(
			"expected the lower-case SHA-256 of the body of %d bytes, got %s", len(body), shown(declared)))
	}
	return hash[:], nil
}

// one returns the only value of a required header.
func one(req *http.Request, name string) (string, error) {
	values := req.Header[name]
	switch {
	case len(values) > 1:
		return "", akskFault(KindMalformed, name, fmt.Sprintf("expected it once, got it %d times", len(values)))
	case len(values) == 0 || strings.TrimSpace(values[0]) == "":
		return "", akskFault(KindMissing, name, "")
	}
	return strings.TrimSpace(values[0]), nil
}

func akskFault(kind Kind, field, detail string) error {
	return &Error{Kind: kind, Scheme: akskScheme, Field: field, Detail: detail}
}
