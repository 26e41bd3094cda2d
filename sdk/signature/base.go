package signature

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
)

var baseScheme = &scheme{
	name:      "base",
	signature: "signature",
	timestamp: "timestamp",
	nonce:     "nonce",
	seconds:   true,
	decode:    decodeHex,
	want:      "64 hexadecimal digits",
	sum:       baseSum,
	forms:     []func([]byte) ([]byte, bool){CanonicalBody},
}

// Base signs and verifies calls of the V2 base interfaces, which the marketplace sends to the ISV:
//
//	bodyHMAC  = lower-case hex( HMAC-SHA256( key, body ) )
//	signature = hex( HMAC-SHA256( key, key + nonce + timestamp + bodyHMAC ) )
//
// Source: vendor's signature page V2 and vendor's sample project. A Base is safe for concurrent use.
type Base struct{ party }

// NewBase returns a Base, or an error if cfg has no key, an empty key or a negative leeway.
func NewBase(cfg Config) (*Base, error) {
	p, err := newParty(baseScheme, cfg)
	if err != nil {
		return nil, err
	}
	return &Base{p}, nil
}

// Sign signs body, byte for byte as it will be sent, with the first key, the present time in milliseconds and a new nonce
// of 64 upper-case hexadecimal digits. Sign every attempt anew: a retry with the same nonce is a replay. To satisfy every
// verifier, the body should already be in the form of [CanonicalBody].
//
// The error is that of Config.Rand; it does not occur with the default.
func (b *Base) Sign(body []byte) (Params, error) {
	timestamp, nonce, err := b.stamp()
	if err != nil {
		return Params{}, err
	}
	return Params{Signature: b.SignAt(body, timestamp, nonce), Timestamp: timestamp, Nonce: nonce}, nil
}

// SignAt returns the signature of body with a given timestamp and nonce, 64 upper-case hexadecimal digits as in the vendor's
// documents. It does not judge the two, so that it can also make requests a verifier has to refuse.
func (b *Base) SignAt(body []byte, timestamp, nonce string) string {
	k := b.keys[0]
	m := k.get()
	defer k.put(m)
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], baseSum(k, m, timestamp, nonce, body))
	for i, c := range text {
		if c >= 'a' {
			text[i] = c - 'a' + 'A'
		}
	}
	return string(text[:])
}

// Verify checks a call: all three params present, well-formed, the timestamp fresh, the signature right for any of the
// keys, and the nonce unused. A failure is an *[Error], the first one in this order; anything else is an error of the nonce
// store, and the call must not be served then either.
//
//   - body is the request body exactly as received. If the signature does not fit it, the sorted compact form
//     ([CanonicalBody]), which is what the vendor's sample project checks, is tried as well.
//   - The signature is compared regardless of letter case and in constant time.
//   - The timestamp is in milliseconds, 13 digits. 10 digits of seconds are accepted too, because older pages of the vendor
//     say seconds while newer ones and all examples say milliseconds.
//   - The nonce is recorded only after everything else was right.
func (b *Base) Verify(ctx context.Context, p Params, body []byte) error {
	return b.verify(ctx, p, body)
}

// BaseParams takes the params of the base scheme from a request's query. A parameter given twice is an *[Error] of
// KindMalformed; one that is absent stays empty, and Verify reports it.
func BaseParams(q url.Values) (p Params, err error) {
	if p.Signature, err = single(baseScheme, "signature", q["signature"]); err != nil {
		return Params{}, err
	}
	if p.Timestamp, err = single(baseScheme, "timestamp", q["timestamp"]); err != nil {
		return Params{}, err
	}
	if p.Nonce, err = single(baseScheme, "nonce", q["nonce"]); err != nil {
		return Params{}, err
	}
	return p, nil
}

// Query returns p as the query parameters signature, timestamp and nonce of the base scheme.
func (p Params) Query() url.Values {
	return url.Values{"signature": {p.Signature}, "timestamp": {p.Timestamp}, "nonce": {p.Nonce}}
}

func baseSum(k *keyed, m *mac, timestamp, nonce string, body []byte) []byte {
	m.Write(body)
	bodySum := m.finish()
	m.buf = append(m.buf[:0], k.text...)
	m.buf = append(m.buf, nonce...)
	m.buf = append(m.buf, timestamp...)
	m.buf = hex.AppendEncode(m.buf, bodySum)
	m.Reset()
	m.Write(m.buf)
	return m.finish()
}

func decodeHex(text string) (sum [sha256.Size]byte, ok bool) {
	if len(text) != 2*sha256.Size {
		return sum, false
	}
	var src [2 * sha256.Size]byte
	copy(src[:], text)
	_, err := hex.Decode(sum[:], src[:])
	return sum, err == nil
}
