package signature

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

var usageScheme = &scheme{
	name:      "usage",
	signature: "signature",
	timestamp: "ts",
	nonce:     "nonce",
	reserved:  "&=",
	decode:    decodeBase64,
	want:      "Base64 of 32 bytes",
	sum:       usageSum,
	forms:     []func([]byte) ([]byte, bool){CanonicalBody, CanonicalUsageBody},
}

// Usage signs and verifies the new usage push, which the ISV sends to the marketplace:
//
//	signature = Base64( HMAC-SHA256( key, "ts=" + ts + "&nonce=" + nonce + "&body=" + body ) )
//
// The key is the ISV's access key bound to the base interfaces, not the SK. Source: vendor's usage push page (new). A Usage is
// safe for concurrent use.
type Usage struct{ party }

// NewUsage returns a Usage, or an error if cfg has no key, an empty key or a negative leeway.
func NewUsage(cfg Config) (*Usage, error) {
	p, err := newParty(usageScheme, cfg)
	if err != nil {
		return nil, err
	}
	return &Usage{p}, nil
}

// Sign signs body, byte for byte as it will be sent, with the first key, the present time in milliseconds and a new nonce
// of 64 upper-case hexadecimal digits. The vendor's page says that the body takes part "in natural order" without saying
// how deep: send compact JSON that is already sorted at every level ([CanonicalUsageBody]), and the question does not arise.
//
// The error is that of Config.Rand; it does not occur with the default.
func (u *Usage) Sign(body []byte) (Params, error) {
	timestamp, nonce, err := u.stamp()
	if err != nil {
		return Params{}, err
	}
	return Params{Signature: u.SignAt(body, timestamp, nonce), Timestamp: timestamp, Nonce: nonce}, nil
}

// SignAt returns the signature of body with a given timestamp and nonce, in Base64 with padding. It does not judge the two.
func (u *Usage) SignAt(body []byte, timestamp, nonce string) string {
	k := u.keys[0]
	m := k.get()
	defer k.put(m)
	return base64.StdEncoding.EncodeToString(usageSum(k, m, timestamp, nonce, body))
}

// Verify checks a usage push in the order of [Base.Verify] and with the same errors. The differences:
//
//   - If the signature does not fit the body as received, it is tried on the body sorted at the top level ([CanonicalBody])
//     and on the body sorted at every level ([CanonicalUsageBody]).
//   - The timestamp is in milliseconds only.
//   - The 60 s of leeway and the nonce check are ours: the vendor does not publish how it checks ts and nonce.
//   - The nonce may contain neither "&" nor "=", which separate the parts of what is signed.
func (u *Usage) Verify(ctx context.Context, p Params, body []byte) error {
	return u.verify(ctx, p, body)
}

// UsageParams takes the params of the usage scheme from the headers signature, ts and nonce. A header given twice is an
// *[Error] of KindMalformed; one that is absent stays empty, and Verify reports it.
func UsageParams(h http.Header) (p Params, err error) {
	if p.Signature, err = single(usageScheme, "signature", h["Signature"]); err != nil {
		return Params{}, err
	}
	if p.Timestamp, err = single(usageScheme, "ts", h["Ts"]); err != nil {
		return Params{}, err
	}
	if p.Nonce, err = single(usageScheme, "nonce", h["Nonce"]); err != nil {
		return Params{}, err
	}
	return p, nil
}

// SetUsageHeaders sets p as the headers signature, ts and nonce of the usage scheme.
func (p Params) SetUsageHeaders(h http.Header) {
	h.Set("Signature", p.Signature)
	h.Set("Ts", p.Timestamp)
	h.Set("Nonce", p.Nonce)
}

func usageSum(_ *keyed, m *mac, timestamp, nonce string, body []byte) []byte {
	m.buf = append(m.buf[:0], "ts="...)
	m.buf = append(m.buf, timestamp...)
	m.buf = append(m.buf, "&nonce="...)
	m.buf = append(m.buf, nonce...)
	m.buf = append(m.buf, "&body="...)
	m.Write(m.buf)
	m.Write(body)
	return m.finish()
}

func decodeBase64(text string) (sum [sha256.Size]byte, ok bool) {
	if len(text) != base64.StdEncoding.EncodedLen(sha256.Size) {
		return sum, false
	}
	var src, dst [48]byte // 44 characters; decoding may touch a little more than 32 bytes
	n, err := base64.StdEncoding.Strict().Decode(dst[:], src[:copy(src[:], text)])
	if err != nil || n != sha256.Size {
		return sum, false
	}
	copy(sum[:], dst[:])
	return sum, true
}
