package curl

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sdk/signature"
)

// Sent is a request as it goes over the wire.
type Sent struct {
	Method string
	URL    string
	Header http.Header // names as they are written
	Body   string
}

// Sent signs the request with key at a time, with a nonce that the caller chose, and gives what is to be sent.
func (r Request) Sent(key string, now time.Time, nonce string) (Sent, error) {
	switch r.Scheme {
	case Kit:
		return r.kitSent(key, now, nonce)
	case V1Query, V1Body:
		return r.v1Sent(key, now)
	case Base:
	}
	params, err := r.Params(key, now, nonce)
	if err != nil {
		return Sent{}, err
	}
	s := r.posted()
	s.URL = Join(s.URL, params)
	return s, nil
}

// posted is the request without its signature.
func (r Request) posted() Sent {
	return Sent{Method: r.method(), URL: r.URL, Header: r.headers(http.Header{"Content-Type": {ContentType}, "Accept": {Accept}}), Body: r.Body}
}

// headers adds those of the variation.
func (r Request) headers(h http.Header) http.Header {
	for _, line := range r.Header {
		name, value, _ := strings.Cut(line, ":")
		h.Set(name, strings.TrimSpace(value))
	}
	return h
}

// sign computes what carries the signature of a scheme with timestamp and nonce, by the names of Variation.
func (r Request) sign(key string, now time.Time, nonce string, signAt func(key, body, timestamp, nonce string) (string, error)) (map[string]string, error) {
	if r.Key != "" {
		key = r.Key
	}
	timestamp := strconv.FormatInt(now.Add(r.Offset).UnixMilli(), 10)
	if r.Timestamp != "" {
		timestamp = r.Timestamp
	}
	if r.lacks("timestamp") {
		timestamp = ""
	}
	nonce = r.lengthened(nonce)
	if r.lacks("nonce") {
		nonce = ""
	}
	sum, err := signAt(key, r.signed(), timestamp, nonce)
	if err != nil {
		return nil, err
	}
	sum = r.Signature.apply(sum)
	if r.lacks("signature") {
		sum = ""
	}
	return map[string]string{"signature": sum, "timestamp": timestamp, "nonce": nonce}, nil
}

func kitSignAt(key, body, timestamp, nonce string) (string, error) {
	kit, err := signature.NewKit(signature.Config{Keys: []string{key}})
	if err != nil {
		return "", err
	}
	return kit.SignAt([]byte(body), timestamp, nonce), nil
}

// v1Sum is the token of V1 over some parameters, which need not be right.
func v1Sum(key, timestamp string, values map[string]string, stamped bool) string {
	var b strings.Builder
	for i, name := range v1Names(values, stamped) {
		if i > 0 {
			b.WriteByte('&')
		}
		value := values[name]
		if name == stamp {
			value = timestamp
		}
		b.WriteString(name + "=" + value)
	}
	if !stamped {
		timestamp = ""
	}
	m := hmac.New(sha256.New, []byte(key+timestamp))
	m.Write([]byte(b.String()))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// inBase64 reports whether a signature is a token of V1: hex has no padding.
func inBase64(sum string) bool { return strings.HasSuffix(sum, "=") }

// apply tampers with a finished signature.
func (t Tamper) apply(sum string) string {
	switch t {
	case AsComputed:
	case LowerCase:
		return strings.ToLower(sum)
	case LastDigit:
		if inBase64(sum) {
			return other(sum[0], 'A', 'B') + sum[1:]
		}
		return sum[:len(sum)-1] + other(sum[len(sum)-1], '0', '1')
	case OneShort:
		if inBase64(sum) {
			return sum[:len(sum)-4]
		}
		return sum[:len(sum)-1]
	case NotHex:
		return notHex
	case FirstDigit, MiddleDigit, HalfCut, OneMore: // of base calls of V2, which have their own
	}
	return sum
}

// other is one of two characters, not the one that is there.
func other(there, one, two byte) string {
	if there == one {
		return string(two)
	}
	return string(one)
}

// shell is apply for the shell variable S or A.
func (t Tamper) shell(variable string) []string {
	v := variable
	switch {
	case t == LowerCase:
		return []string{v + "=$(printf %s $" + v + " | tr A-Z a-z)"}
	case t == LastDigit && v == "A":
		return []string{"case $A in A*) A=B${A#?};; *) A=A${A#?};; esac"}
	case t == LastDigit:
		return []string{"case $" + v + " in *0) " + v + "=${" + v + "%?}1;; *) " + v + "=${" + v + "%?}0;; esac"}
	case t == OneShort && v == "A":
		return []string{"A=${A%????}"}
	case t == OneShort:
		return []string{v + "=${" + v + "%?}"}
	case t == NotHex:
		return []string{v + "=" + notHex}
	}
	return nil
}
