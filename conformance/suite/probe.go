package suite

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sandbox/curl"
)

// probe is a wrong way to make a signature that implementations are known for. An ISV that refuses the right one and accepts this makes the
// same mistake.
type probe struct {
	mistake string // what the ISV does, in words
	sign    func(key, body, timestamp, nonce string) string
	seconds bool // the timestamp is in seconds
}

func mac(key, text string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func upper(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

// innerOf is the part of the text that stands for the body.
func innerOf(key, body string) string { return hex.EncodeToString(mac(key, body)) }

func probes() []probe {
	plain := func(body string) string { sum := sha256.Sum256([]byte(body)); return hex.EncodeToString(sum[:]) }
	return []probe{
		{"it takes key + timestamp as the key of the outer HMAC, as V1 does; the key alone is right", func(k, b, t, n string) string { return upper(mac(k+t, k+n+t+innerOf(k, b))) }, false},
		{"it takes key + timestamp as the key of both HMACs; the key alone is right", func(k, b, t, n string) string { return upper(mac(k+t, k+n+t+innerOf(k+t, b))) }, false},
		{"it hashes the body without a key (SHA-256); HMAC-SHA256 with the access key is right", func(k, b, t, n string) string { return upper(mac(k, k+n+t+plain(b))) }, false},
		{"it puts the body itself into the text; the HMAC of the body in lower-case hex is right", func(k, b, t, n string) string { return upper(mac(k, k+n+t+b)) }, false},
		{"it writes the HMAC of the body in upper case; lower case is right", func(k, b, t, n string) string { return upper(mac(k, k+n+t+strings.ToUpper(innerOf(k, b)))) }, false},
		{"it writes the HMAC of the body in Base64; lower-case hex is right", func(k, b, t, n string) string {
			return upper(mac(k, k+n+t+base64.StdEncoding.EncodeToString(mac(k, b))))
		}, false},
		{"it leaves the key out of the text; key + nonce + timestamp + HMAC of the body is right", func(k, b, t, n string) string { return upper(mac(k, n+t+innerOf(k, b))) }, false},
		{"it puts the timestamp before the nonce; key + nonce + timestamp + HMAC of the body is right", func(k, b, t, n string) string { return upper(mac(k, k+t+n+innerOf(k, b))) }, false},
		{"it leaves the body out; key + nonce + timestamp + HMAC of the body is right", func(k, _, t, n string) string { return upper(mac(k, k+n+t)) }, false},
		{"it takes an empty body, as when the framework has read it before; the bytes as received are right", func(k, _, t, n string) string { return upper(mac(k, k+n+t+innerOf(k, ""))) }, false},
		{"it signs the body with a line break behind it; the bytes as received are right", func(k, b, t, n string) string { return upper(mac(k, k+n+t+innerOf(k, b+"\n"))) }, false},
		{"it signs the body written anew with blanks after colons and commas; the bytes as received are right", func(k, b, t, n string) string {
			return upper(mac(k, k+n+t+innerOf(k, strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(b))))
		}, false},
		{"it expects the signature in Base64; hex is right", func(k, b, t, n string) string {
			return base64.StdEncoding.EncodeToString(mac(k, k+n+t+innerOf(k, b)))
		}, false},
		{"it takes the timestamp for seconds; it is in milliseconds", func(k, b, t, n string) string { return upper(mac(k, k+n+t+innerOf(k, b))) }, true},
	}
}

// explainRefusal says why an ISV refuses right signatures: it tries the known mistakes, and the keys of other classes, until one is accepted.
func (e *Env) explainRefusal(ctx context.Context) string {
	c := e.newCase("the probe of signatures", "")
	c.Mode = (&Check{}).Mode(e.Charging)
	body := c.newInstance(mockOrder(c.Mode), 0).Debug().Text()
	accepted := func(p probe, key string) bool {
		now := time.Now()
		t, n := strconv.FormatInt(now.UnixMilli(), 10), strings.ToUpper(randomNonce())
		if p.seconds {
			t = strconv.FormatInt(now.Unix(), 10)
		}
		q := url.Values{"signature": {p.sign(key, body, t, n)}, "timestamp": {t}, "nonce": {n}}
		a, err := e.deliver(ctx, curl.Sent{
			Method: http.MethodPost, URL: curl.Join(e.Target, q.Encode()), Body: body,
			Header: http.Header{"Content-Type": {curl.ContentType}, "Accept": {curl.Accept}},
		})
		return err == nil && a.Succeeded()
	}
	right := probe{sign: func(k, b, t, n string) string { return upper(mac(k, k+n+t+innerOf(k, b))) }}
	if accepted(right, e.BaseKey) {
		return "" // it is accepted now, so that the signature is not what it was refused for
	}
	for _, other := range []struct{ class, key string }{
		{"general", e.GeneralKey}, {"kit", e.KitKey}, {"V1", e.V1Key}, {"license", e.LicenseKey}, {"SK", e.SK}, {"base, with blanks or a line break around it", e.BaseKey + "\n"},
	} {
		if other.key != "" && other.key != e.BaseKey && accepted(right, other.key) {
			return fmt.Sprintf("The ISV verifies with another key: a signature made with the key %s is accepted.", other.class)
		}
	}
	for _, p := range probes() {
		if ctx.Err() != nil {
			return ""
		}
		if accepted(p, e.BaseKey) {
			return "The ISV verifies in another way: " + p.mistake + "."
		}
	}
	return fmt.Sprintf("Signatures made with %d known mistakes are refused, too. Most likely the ISV has another base key than this run, or its clock is off by more than a minute.", len(probes()))
}
