package signature

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

const (
	defaultLeeway = 60 * time.Second // vendor's signature page V2: "differs by no more than 60 s"
	maxNonce      = 128              // ours: not published; the examples have 32, 36 and 64 characters
	nonceBytes    = 32               // 64 characters, as in the examples of the vendor's signature page V2
)

// Params are the three values that travel with a signed call. The base scheme carries them as the query parameters
// signature, timestamp and nonce, the usage scheme as the headers signature, ts and nonce, the kit scheme as the headers
// x-sign, x-timestamp and x-nonce.
type Params struct {
	Signature string // base and kit: 64 hexadecimal digits; usage: Base64 of 32 bytes
	Timestamp string // Unix time in milliseconds, 13 digits
	Nonce     string // random, new for every attempt, at most 128 visible ASCII characters
}

// Config is how a [Base], a [Kit] or a [Usage] is set up. Only Keys is required.
type Config struct {
	// Keys are the access keys as text, used as they are; a console that shows them in Base64 (the European one) wants
	// them decoded first. At least one. The first signs and all of them verify, so that a key can be changed without
	// losing calls: put the new one first, and take the old one out when the peer has changed too.
	Keys []string

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Leeway is how far a timestamp may be from the clock, in the past and in the future. Default: 60 s (vendor's
	// signature page V2; its sample project checks the past only, both directions are ours).
	Leeway time.Duration

	// Nonces remembers the nonces of accepted calls, so that none passes twice. nil means that replays are not
	// detected: right for a value that only signs, and for nothing else.
	Nonces NonceStore

	// Rand is where nonces come from. Default: crypto/rand.Reader.
	Rand io.Reader
}

// String leaves the keys out.
func (c Config) String() string {
	return fmt.Sprintf("{Keys:%d redacted Leeway:%v}", len(c.Keys), c.Leeway)
}

// Format writes what String returns whatever the verb, so that no way of printing shows the keys.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue leaves the keys out.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// scheme is what differs between the base, the kit and the usage signature.
type scheme struct {
	name      string // in errors
	signature string // name of the signature parameter
	timestamp string // name of the timestamp parameter
	nonce     string // name of the nonce parameter
	seconds   bool   // also accept a timestamp in seconds
	reserved  string // characters a nonce may not contain, because they separate the parts of what is signed

	// decode turns a signature's text into its 32 bytes.
	decode func(text string) (sum [sha256.Size]byte, ok bool)
	// want is the form decode asks for, in words.
	want string
	// sum computes the signature in m's memory.
	sum func(k *keyed, m *mac, timestamp, nonce string, body []byte) []byte
	// forms are the forms of the body that the signature may cover besides the raw one.
	forms []func(body []byte) ([]byte, bool)
}

// party signs and verifies in one scheme.
type party struct {
	*scheme
	keys   []*keyed
	now    func() time.Time
	leeway time.Duration
	nonces NonceStore
	rand   io.Reader
}

func newParty(s *scheme, cfg Config) (party, error) {
	if len(cfg.Keys) == 0 {
		return party{}, fmt.Errorf("signature: %s: Config.Keys is empty, expected at least one access key", s.name)
	}
	if cfg.Leeway < 0 {
		return party{}, fmt.Errorf("signature: %s: Config.Leeway is %v, expected 0 (for %v) or more",
			s.name, cfg.Leeway, defaultLeeway)
	}
	p := party{scheme: s, now: cfg.Now, leeway: cfg.Leeway, nonces: cfg.Nonces, rand: cfg.Rand}
	for i, key := range cfg.Keys {
		if key == "" {
			return party{}, fmt.Errorf("signature: %s: Config.Keys[%d] is empty", s.name, i)
		}
		p.keys = append(p.keys, newKeyed(key))
	}
	if p.now == nil {
		p.now = time.Now
	}
	if p.leeway == 0 {
		p.leeway = defaultLeeway
	}
	if p.rand == nil {
		p.rand = rand.Reader
	}
	return p, nil
}

// Format makes every way of printing a Base, a Kit or a Usage leave the keys out.
func (p party) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{%s, %d keys redacted}", p.name, len(p.keys))
}

// stamp returns a fresh timestamp and nonce.
func (p *party) stamp() (timestamp, nonce string, err error) {
	var random [nonceBytes]byte
	if _, err := io.ReadFull(p.rand, random[:]); err != nil {
		return "", "", fmt.Errorf("signature: %s: make a nonce: %w", p.name, err)
	}
	return strconv.FormatInt(p.now().UnixMilli(), 10), strings.ToUpper(hex.EncodeToString(random[:])), nil
}

// verify checks in an order that costs a stranger's request as little as possible: presence, form, freshness, signature,
// and the nonce last, so that only a holder of the key can put nonces into the store.
func (p *party) verify(ctx context.Context, params Params, body []byte) error {
	if err := p.checkPresent(params); err != nil {
		return err
	}
	sum, ok := p.decode(params.Signature)
	if !ok {
		return p.fault(KindMalformed, p.signature, "expected "+p.want+", got "+shown(params.Signature))
	}
	if err := p.checkNonce(params.Nonce); err != nil {
		return err
	}
	now := p.now()
	if err := p.checkTimestamp(params, now); err != nil {
		return err
	}
	if !p.signed(params, body, sum[:]) {
		return p.fault(KindMismatch, p.signature, fmt.Sprintf(
			"no key of %d signs this timestamp, nonce and body of %d bytes so", len(p.keys), len(body)))
	}
	if p.nonces == nil {
		return nil
	}
	// A timestamp from the future stays fresh for up to twice the leeway.
	fresh, err := p.nonces.Use(ctx, params.Nonce, now.Add(2*p.leeway))
	if err != nil {
		return fmt.Errorf("signature: %s: nonce store: %w", p.name, err)
	}
	if !fresh {
		return p.fault(KindReplayed, p.nonce, "expected an unused nonce, "+shown(params.Nonce)+" was used before")
	}
	return nil
}

func (p *party) checkPresent(params Params) error {
	switch {
	case params.Signature == "":
		return p.fault(KindMissing, p.signature, "")
	case params.Timestamp == "":
		return p.fault(KindMissing, p.timestamp, "")
	case params.Nonce == "":
		return p.fault(KindMissing, p.nonce, "")
	}
	return nil
}

func (p *party) checkNonce(nonce string) error {
	if len(nonce) > maxNonce {
		return p.fault(KindMalformed, p.nonce, fmt.Sprintf("expected at most %d characters, got %d", maxNonce, len(nonce)))
	}
	for i := range len(nonce) {
		if c := nonce[i]; c <= ' ' || c > '~' || strings.IndexByte(p.reserved, c) >= 0 {
			return p.fault(KindMalformed, p.nonce, fmt.Sprintf("expected visible ASCII characters, got %s", shown(nonce)))
		}
	}
	return nil
}

const (
	milliDigits  = 13 // from 2001 to 2286
	secondDigits = 10
)

func (p *party) checkTimestamp(params Params, now time.Time) error {
	text := params.Timestamp
	value, ok := digits(text)
	var at time.Time
	switch {
	case ok && len(text) == milliDigits:
		at = time.UnixMilli(value)
	case ok && len(text) == secondDigits && p.seconds:
		at = time.Unix(value, 0)
		if err := p.checkBoundary(params, now); err != nil {
			return err
		}
	default:
		return p.fault(KindMalformed, p.timestamp, fmt.Sprintf(
			"expected Unix milliseconds in %d digits, got %s", milliDigits, shown(text)))
	}
	if off := now.Sub(at).Abs(); off > p.leeway {
		return p.fault(KindStale, p.timestamp, fmt.Sprintf("expected within %v of %s, got %s (%v away)",
			p.leeway, now.UTC().Format("2006-01-02T15:04:05.000Z"), text, off))
	}
	return nil
}

// checkBoundary keeps a signed call from having two readings. Nonce and timestamp are signed as one run of characters, so
// nonce "A" with 1701701701702 milliseconds is also nonce "A170" with 1701701702 seconds. When both readings are fresh, as
// here, the one in milliseconds stands and the one in seconds would be a replay under another nonce.
func (p *party) checkBoundary(params Params, now time.Time) error {
	const moved = milliDigits - secondDigits
	if len(params.Nonce) < moved {
		return nil
	}
	value, ok := digits(params.Nonce[len(params.Nonce)-moved:] + params.Timestamp)
	if ok && now.Sub(time.UnixMilli(value)).Abs() <= p.leeway {
		return p.fault(KindMalformed, p.timestamp, "expected milliseconds: in seconds, after this nonce, it can be read in two ways")
	}
	return nil
}

// digits parses up to 18 ASCII digits; no sign, no blank.
func digits(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// signed reports whether any key signs any form of the body as sum.
func (p *party) signed(params Params, body, sum []byte) bool {
	if p.matches(params, body, sum) {
		return true
	}
	for _, form := range p.forms {
		if other, ok := form(body); ok && string(other) != string(body) && p.matches(params, other, sum) {
			return true
		}
	}
	return false
}

func (p *party) matches(params Params, body, sum []byte) bool {
	for _, k := range p.keys {
		m := k.get()
		equal := hmac.Equal(sum, p.sum(k, m, params.Timestamp, params.Nonce, body))
		k.put(m)
		if equal {
			return true
		}
	}
	return false
}

func (p *party) fault(kind Kind, field, detail string) error {
	return &Error{Kind: kind, Scheme: p.name, Field: field, Detail: detail}
}

// single returns the only value, "" if there is none.
func single(s *scheme, field string, values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	default:
		return "", &Error{
			Kind: KindMalformed, Scheme: s.name, Field: field,
			Detail: fmt.Sprintf("expected it once, got it %d times", len(values)),
		}
	}
}
