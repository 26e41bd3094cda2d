package signature

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
)

var kitScheme = &scheme{
	name:      "kit",
	signature: "x-sign",
	timestamp: "x-timestamp",
	nonce:     "x-nonce",
	decode:    decodeHex,
	want:      "64 hexadecimal digits",
	sum:       kitSum,
	forms:     []func([]byte) ([]byte, bool){CanonicalBody},
}

// Kit signs and verifies calls of the V2 kit interfaces (tenantSync, applicationSync, authSync, singleOrgSync, allOrgSync),
// which the marketplace sends to the ISV:
//
//	x-sign = hex( HMAC-SHA256( key, key + x-nonce + x-timestamp + body ) )
//
// Unlike the base scheme, the body itself takes part and not its HMAC, the values travel in headers, and the key is the one
// bound to the kit interfaces. Source: vendor's signature page V2 and vendor's sample project. A Kit is safe for concurrent use.
type Kit struct{ party }

// NewKit returns a Kit, or an error if cfg has no key, an empty key or a negative leeway.
func NewKit(cfg Config) (*Kit, error) {
	p, err := newParty(kitScheme, cfg)
	if err != nil {
		return nil, err
	}
	return &Kit{p}, nil
}

// Sign signs body, byte for byte as it will be sent, with the first key, the present time in milliseconds and a new nonce
// of 64 upper-case hexadecimal digits. Sign every attempt anew: a retry with the same nonce is a replay. To satisfy every
// verifier, the body should already be in the form of [CanonicalBody].
//
// The error is that of Config.Rand; it does not occur with the default.
func (k *Kit) Sign(body []byte) (Params, error) {
	timestamp, nonce, err := k.stamp()
	if err != nil {
		return Params{}, err
	}
	return Params{Signature: k.SignAt(body, timestamp, nonce), Timestamp: timestamp, Nonce: nonce}, nil
}

// SignAt returns the signature of body with a given timestamp and nonce, 64 upper-case hexadecimal digits. It does not judge
// the two, so that it can also make requests a verifier has to refuse.
func (k *Kit) SignAt(body []byte, timestamp, nonce string) string {
	key := k.keys[0]
	m := key.get()
	defer key.put(m)
	return strings.ToUpper(hex.EncodeToString(kitSum(key, m, timestamp, nonce, body)))
}

// Verify checks a call in the order of [Base.Verify] and with the same errors; it too tries the body as received first and
// the sorted compact form ([CanonicalBody]) next. The one difference: the timestamp is in milliseconds only, because no page
// of the vendor says seconds here.
//
// Verify before decrypting the client secret of applicationSync; the vendor's sample project does it the other way round.
func (k *Kit) Verify(ctx context.Context, p Params, body []byte) error {
	return k.verify(ctx, p, body)
}

// KitParams takes the params of the kit scheme from the headers x-sign, x-timestamp and x-nonce. A header given twice is an
// *[Error] of KindMalformed; one that is absent stays empty, and Verify reports it.
func KitParams(h http.Header) (p Params, err error) {
	if p.Signature, err = single(kitScheme, "x-sign", h["X-Sign"]); err != nil {
		return Params{}, err
	}
	if p.Timestamp, err = single(kitScheme, "x-timestamp", h["X-Timestamp"]); err != nil {
		return Params{}, err
	}
	if p.Nonce, err = single(kitScheme, "x-nonce", h["X-Nonce"]); err != nil {
		return Params{}, err
	}
	return p, nil
}

// SetKitHeaders sets p as the headers x-sign, x-timestamp and x-nonce of the kit scheme.
func (p Params) SetKitHeaders(h http.Header) {
	h.Set("X-Sign", p.Signature)
	h.Set("X-Timestamp", p.Timestamp)
	h.Set("X-Nonce", p.Nonce)
}

// kitSum signs one run of characters. The boundaries in it cannot move to make a second call of the same signature: the
// timestamp has a fixed length, and a body that starts inside it is not a JSON object.
func kitSum(k *keyed, m *mac, timestamp, nonce string, body []byte) []byte {
	m.buf = append(m.buf[:0], k.text...)
	m.buf = append(m.buf, nonce...)
	m.buf = append(m.buf, timestamp...)
	m.Write(m.buf)
	m.Write(body)
	return m.finish()
}
