package signature

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	algorithm       = "SDK-HMAC-SHA256"
	dateLayout      = "20060102T150405Z"
	dateHeader      = "X-Sdk-Date"
	hashHeader      = "X-Sdk-Content-Sha256"
	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// CanonicalRequest returns the text of req that AK/SK signing hashes: method, path, query, the headers named in signedHeaders
// (lower-case, in that order), their names, and the hash of body. It is what an explaining tool shows beside a signature that
// does not match; [Credentials.SignRequest] and [AKSK.Verify] use the same code. Nothing in it is secret.
//
//   - The path is the decoded one, encoded anew segment by segment, with a "/" appended if it has none at the end.
//   - "host" stands for req.Host, or req.URL.Host if that is empty. A header with several values has one line for each,
//     sorted.
//   - The hash is the lower-case hexadecimal SHA-256 of body, unless the request has the header X-Sdk-Content-Sha256: then it
//     is that header's value, whatever it says.
//
// The error says which signed header the request does not have, or what is wrong with its query. Source: vendor's Go SDK and
// vendor's API signing guide.
func CanonicalRequest(req *http.Request, signedHeaders []string, body []byte) (string, error) {
	if req == nil || req.URL == nil {
		return "", errNoRequest
	}
	headers := make([]header, 0, len(signedHeaders))
	for _, name := range signedHeaders {
		h := header{name: name, values: headerValues(req, name)}
		if len(h.values) == 0 {
			return "", fmt.Errorf("signature: AK/SK: signed header %s is not in the request", shown(name))
		}
		headers = append(headers, h)
	}
	var hash hexHash
	text, err := appendCanonicalRequest(nil, req, headers, payloadHash(req, body, &hash))
	return string(text), err
}

// StringToSign returns the text that AK/SK signing puts through HMAC-SHA256 with the SK: the name of the algorithm, the value
// of X-Sdk-Date and the hash of the canonical request, one per line.
func StringToSign(date, canonicalRequest string) string {
	return string(appendStringToSign(nil, date, []byte(canonicalRequest)))
}

var errNoRequest = errors.New("signature: AK/SK: no request, or a request without URL")

// header is one signed header.
type header struct {
	name   string // lower-case
	values []string
}

// hexHash has room for a SHA-256 in hexadecimal.
type hexHash [2 * sha256.Size]byte

func (h *hexHash) set(data []byte) []byte {
	sum := sha256.Sum256(data)
	hex.Encode(h[:], sum[:])
	return h[:]
}

func headerValues(req *http.Request, name string) []string {
	if name == "host" {
		if host := requestHost(req); host != "" {
			return []string{host}
		}
		return nil
	}
	return req.Header.Values(name)
}

// requestHost is the Host header that is sent (req.Host, or else that of the URL) or was received (req.Host).
func requestHost(req *http.Request) string {
	if req.Host != "" {
		return req.Host
	}
	return req.URL.Host
}

// payloadHash is the last line of the canonical request: the declared hash, or the one of body.
func payloadHash(req *http.Request, body []byte, hash *hexHash) []byte {
	if declared := req.Header[hashHeader]; len(declared) > 0 {
		return []byte(strings.TrimSpace(declared[0]))
	}
	return hash.set(body)
}

func appendStringToSign(out []byte, date string, canonicalRequest []byte) []byte {
	var hash hexHash
	out = append(out, algorithm+"\n"...)
	out = append(out, date...)
	out = append(out, '\n')
	return append(out, hash.set(canonicalRequest)...)
}

func appendCanonicalRequest(out []byte, req *http.Request, headers []header, payloadHash []byte) ([]byte, error) {
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	out = append(out, strings.ToUpper(method)...)
	out = append(out, '\n')
	out = appendPath(out, req.URL.Path)
	out = append(out, '\n')
	out, err := appendQuery(out, req.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	out = append(out, '\n')
	for _, h := range headers {
		out = appendHeader(out, h)
	}
	out = append(out, '\n')
	out = appendNames(out, headers)
	out = append(out, '\n')
	return append(out, payloadHash...), nil
}

func appendPath(out []byte, path string) []byte {
	out = appendEscaped(out, path, '/')
	if !strings.HasSuffix(path, "/") {
		out = append(out, '/')
	}
	return out
}

func appendQuery(out []byte, raw string) ([]byte, error) {
	type pair struct{ name, value string }
	var few [8]pair
	pairs := few[:0]
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		if strings.Contains(part, ";") {
			return nil, errors.New(`signature: AK/SK: the query has a bare ";", which receivers read differently: encode it as %3B`)
		}
		name, value, _ := strings.Cut(part, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if errName != nil || errValue != nil {
			return nil, fmt.Errorf("signature: AK/SK: the query has a wrong escape in %s", shown(part))
		}
		pairs = append(pairs, pair{name, value})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	for i, p := range pairs {
		if i > 0 {
			out = append(out, '&')
		}
		out = appendEscaped(out, p.name, 0)
		out = append(out, '=')
		out = appendEscaped(out, p.value, 0)
	}
	return out, nil
}

func appendHeader(out []byte, h header) []byte {
	values := h.values
	if len(values) > 1 {
		values = slices.Sorted(slices.Values(values))
	}
	for _, v := range values {
		out = append(out, h.name...)
		out = append(out, ':')
		out = append(out, strings.TrimSpace(v)...)
		out = append(out, '\n')
	}
	return out
}

func appendNames(out []byte, headers []header) []byte {
	for i, h := range headers {
		if i > 0 {
			out = append(out, ';')
		}
		out = append(out, h.name...)
	}
	return out
}

// unreserved marks the bytes that stay as they are in paths and queries.
var unreserved = func() (table [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") {
		table[c] = true
	}
	return table
}()

// appendEscaped appends s with everything but unreserved bytes and the byte keep as %XX.
func appendEscaped(out []byte, s string, keep byte) []byte {
	const upperHex = "0123456789ABCDEF"
	copied := 0
	for i := range len(s) {
		c := s[i]
		if unreserved[c] || c == keep && keep != 0 {
			continue
		}
		out = append(out, s[copied:i]...)
		out = append(out, '%', upperHex[c>>4], upperHex[c&15])
		copied = i + 1
	}
	return append(out, s[copied:]...)
}
