package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	v1Token = "authToken"
	v1Time  = "timeStamp"
)

var (
	v1Scheme = &scheme{name: "V1"}
	// v1BodyZone is the zone of timeStamp in the bodies of kit calls; in the query of base calls it is UTC.
	v1BodyZone = time.FixedZone("UTC+8", 8*60*60)
)

// V1Config is how a [V1] is set up. Only Keys is required.
type V1Config struct {
	// Keys are the access keys as text, at least one. The first signs and all of them verify.
	Keys []string

	// Now is the clock. Default: time.Now. It matters only where Leeway is set.
	Now func() time.Time

	// Leeway is how far a timeStamp may be from the clock, in the past and in the future. 0 means that freshness is not
	// checked, because V1 documents no window; a call overheard once then passes for ever.
	Leeway time.Duration
}

// String leaves the keys out.
func (c V1Config) String() string {
	return fmt.Sprintf("{Keys:%d redacted Leeway:%v}", len(c.Keys), c.Leeway)
}

// Format writes what String returns whatever the verb, so that no way of printing shows the keys.
func (c V1Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue leaves the keys out.
func (c V1Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// V1 signs and verifies calls of the V1 interfaces, which the marketplace sends to the ISV:
//
//	authToken = Base64( HMAC-SHA256( key + timeStamp, "name1=value1&name2=value2..." ) )
//
// with the names in order. Base calls (GET) carry everything in the query, kit calls (POST) the token in the header authToken
// and the rest in a JSON body. Source: vendor's V1 signature page, vendor's V1 sample, several public ISVs.
//
// The values are signed without any escape, so "a=1&b=2" is both two parameters and one whose value is "1&b=2". No verifier
// can tell; names with "=" or "&" in them are refused, and the rest is TLS's to protect. V1 has no nonce either: be idempotent.
//
// A V1 is safe for concurrent use.
type V1 struct {
	keys   []string
	now    func() time.Time
	leeway time.Duration
}

// NewV1 returns a V1, or an error if cfg has no key, an empty key or a negative leeway.
func NewV1(cfg V1Config) (*V1, error) {
	if len(cfg.Keys) == 0 {
		return nil, fmt.Errorf("signature: V1: V1Config.Keys is empty, expected at least one access key")
	}
	if i := slices.Index(cfg.Keys, ""); i >= 0 {
		return nil, fmt.Errorf("signature: V1: V1Config.Keys[%d] is empty", i)
	}
	if cfg.Leeway < 0 {
		return nil, fmt.Errorf("signature: V1: V1Config.Leeway is %v, expected 0 (no check) or more", cfg.Leeway)
	}
	v := &V1{keys: slices.Clone(cfg.Keys), now: cfg.Now, leeway: cfg.Leeway}
	if v.now == nil {
		v.now = time.Now
	}
	return v, nil
}

// Format makes every way of printing a V1 leave the keys out.
func (v V1) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{V1, %d keys redacted}", len(v.keys))
}

// SignQuery returns the authToken of a base call with the parameters q, whose values are the decoded ones. q has to have a
// timeStamp already (UTC, yyyyMMddHHmmssSSS); an authToken in it takes no part. Empty values take part, and of a name given
// twice the first value.
//
// The error is an *[Error] of the field timeStamp, or of a name that no verifier could accept.
func (v *V1) SignQuery(q url.Values) (authToken string, err error) {
	pairs, timeStamp, err := v1Query(q)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(v1Sum(v.keys[0]+timeStamp, pairs.text())), nil
}

// VerifyQuery checks a base call: authToken and timeStamp present, the token well-formed, the timeStamp fresh (if Leeway is
// set), the token right for any of the keys. It returns that key, which the answer has to be signed with and the sensitive
// fields are encrypted with. A failure is an *[Error], the first one in this order.
//
// q is the query as [url.ParseQuery] returns it, that is decoded once. Blanks in the token count as "+", which is what a
// sender that forgot to escape it turns them into. Read the first value of a name (as url.Values.Get does): it is what is
// signed.
func (v *V1) VerifyQuery(q url.Values) (key string, err error) {
	token, err := single(v1Scheme, v1Token, q[v1Token])
	if err != nil {
		return "", err
	}
	sum, err := v1TokenSum(token)
	if err != nil {
		return "", err
	}
	pairs, timeStamp, err := v1Query(q)
	if err != nil {
		return "", err
	}
	if err := v.checkFresh(timeStamp, time.UTC); err != nil {
		return "", err
	}
	if key, ok := v.match(sum, timeStamp, pairs.text()); ok {
		return key, nil
	}
	return "", v.mismatch(fmt.Sprintf("%d parameters", len(pairs)))
}

// SignBody returns the token of a kit call with a JSON body, for the header authToken. The fields of the body's top level
// take part as text: strings without quotes and escapes (also those that hold JSON), numbers with their digits, true and
// false. Fields that are null, empty or blank take no part, and of a name given twice the last one counts, as in most
// decoders. An object or array takes part as it stands in the body; ours: not published, V1 sends none.
//
// The body has to have a timeStamp already (UTC+8, yyyyMMddHHmmssSSS). The error is an *[Error] of the field timeStamp or body.
func (v *V1) SignBody(body []byte) (token string, err error) {
	pairs, timeStamp, err := v1Body(body)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(v1Sum(v.keys[0]+timeStamp, pairs.text())), nil
}

// VerifyBody checks a kit call as [V1.VerifyQuery] checks a base call. token is the value of the header authToken, body the
// request body exactly as received.
//
// The vendor's pages leave open whether the values in the body arrive URL-encoded. So if the token does not fit the values as
// they are, it is tried on the values decoded once; a URL-encoded token is decoded too. Which of the two it was only
// [V1.VerifyBodyFields] tells: take the values from there, or compare body with them.
func (v *V1) VerifyBody(token string, body []byte) (key string, err error) {
	key, _, err = v.VerifyBodyFields(token, body)
	return key, err
}

// VerifyBodyFields is [V1.VerifyBody] that also returns the fields as they were signed, by name: decoded if they arrived
// URL-encoded, and without those that are null, empty or blank.
func (v *V1) VerifyBodyFields(token string, body []byte) (key string, fields map[string]string, err error) {
	if strings.Contains(token, "%") {
		if decoded, err := url.PathUnescape(token); err == nil {
			token = decoded
		}
	}
	sum, err := v1TokenSum(token)
	if err != nil {
		return "", nil, err
	}
	pairs, timeStamp, err := v1Body(body)
	if err != nil {
		return "", nil, err
	}
	if err := v.checkFresh(timeStamp, v1BodyZone); err != nil {
		return "", nil, err
	}
	if key, ok := v.match(sum, timeStamp, pairs.text()); ok {
		return key, pairs.fields(), nil
	}
	if decoded, ok := pairs.unescaped(); ok {
		if key, ok := v.match(sum, timeStamp, decoded.text()); ok {
			return key, decoded.fields(), nil
		}
	}
	return "", nil, v.mismatch(fmt.Sprintf("body of %d bytes", len(body)))
}

func (v *V1) match(sum []byte, timeStamp string, text []byte) (key string, ok bool) {
	for _, key := range v.keys {
		if hmac.Equal(sum, v1Sum(key+timeStamp, text)) {
			return key, true
		}
	}
	return "", false
}

func (v *V1) mismatch(what string) error {
	return v1Fault(KindMismatch, v1Token, fmt.Sprintf("no key of %d signs this timeStamp and %s so", len(v.keys), what))
}

func (v *V1) checkFresh(timeStamp string, zone *time.Location) error {
	if v.leeway == 0 {
		return nil
	}
	at, ok := parseV1Time(timeStamp, zone)
	if !ok {
		return v1Fault(KindMalformed, v1Time, "expected yyyyMMddHHmmssSSS, got "+shown(timeStamp))
	}
	now := v.now()
	if off := now.Sub(at).Abs(); off > v.leeway {
		return v1Fault(KindStale, v1Time, fmt.Sprintf("expected within %v of %s in %s, got %s (%v away)",
			v.leeway, now.In(zone).Format("20060102150405"), zone, timeStamp, off))
	}
	return nil
}

func parseV1Time(text string, zone *time.Location) (time.Time, bool) {
	const seconds = "20060102150405"
	if _, ok := digits(text); !ok || len(text) != len(seconds)+3 {
		return time.Time{}, false
	}
	at, err := time.ParseInLocation(seconds+".000", text[:len(seconds)]+"."+text[len(seconds):], zone)
	return at, err == nil
}

func v1Fault(kind Kind, field, detail string) error {
	return &Error{Kind: kind, Scheme: v1Scheme.name, Field: field, Detail: detail}
}

func v1TokenSum(token string) ([]byte, error) {
	if token == "" {
		return nil, v1Fault(KindMissing, v1Token, "")
	}
	sum, ok := decodeBase64(strings.ReplaceAll(token, " ", "+"))
	if !ok {
		return nil, v1Fault(KindMalformed, v1Token, "expected Base64 of 32 bytes, got "+shown(token))
	}
	return sum[:], nil
}

func v1Sum(key string, text []byte) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write(text)
	return m.Sum(nil)
}

// v1Pair is a name with its value; v1Pairs are all that take part, in order.
type (
	v1Pair  struct{ name, value string }
	v1Pairs []v1Pair
)

func (p v1Pairs) sort() {
	slices.SortFunc(p, func(a, b v1Pair) int { return compareUTF16(a.name, b.name) })
}

// text returns what is signed.
func (p v1Pairs) text() []byte {
	var out []byte
	for i, pair := range p {
		if i > 0 {
			out = append(out, '&')
		}
		out = append(out, pair.name...)
		out = append(out, '=')
		out = append(out, pair.value...)
	}
	return out
}

func (p v1Pairs) fields() map[string]string {
	fields := make(map[string]string, len(p))
	for _, pair := range p {
		fields[pair.name] = pair.value
	}
	return fields
}

// unescaped returns p with the values URL-decoded; ok is false if that changes nothing or cannot be done.
func (p v1Pairs) unescaped() (decoded v1Pairs, ok bool) {
	for _, pair := range p {
		value, err := url.QueryUnescape(pair.value)
		if err != nil {
			return nil, false
		}
		ok = ok || value != pair.value
		if !blank(value) {
			decoded = append(decoded, v1Pair{pair.name, value})
		}
	}
	return decoded, ok
}

func v1Query(q url.Values) (pairs v1Pairs, timeStamp string, err error) {
	for name, values := range q {
		if name == v1Token || len(values) == 0 {
			continue
		}
		if strings.ContainsAny(name, "=&") {
			return nil, "", v1Fault(KindMalformed, shown(name), `expected a name without "=" and "&"`)
		}
		pairs = append(pairs, v1Pair{name, values[0]})
	}
	if timeStamp = q.Get(v1Time); timeStamp == "" {
		return nil, "", v1Fault(KindMissing, v1Time, "")
	}
	pairs.sort()
	return pairs, timeStamp, nil
}

func v1Body(body []byte) (pairs v1Pairs, timeStamp string, err error) {
	var fields map[string]json.RawMessage
	if !utf8.Valid(body) || !pairedSurrogates(body) || json.Unmarshal(body, &fields) != nil || fields == nil {
		return nil, "", v1Fault(KindMalformed, "body", fmt.Sprintf("expected one JSON object in UTF-8, got %d bytes", len(body)))
	}
	for name, raw := range fields {
		value := string(raw)
		if value == "null" {
			continue
		}
		if raw[0] == '"' && json.Unmarshal(raw, &value) != nil || blank(value) {
			continue
		}
		if strings.ContainsAny(name, "=&") {
			return nil, "", v1Fault(KindMalformed, shown(name), `expected a name without "=" and "&"`)
		}
		if name == v1Time {
			timeStamp = value
		}
		pairs = append(pairs, v1Pair{name, value})
	}
	if timeStamp == "" {
		return nil, "", v1Fault(KindMissing, v1Time, "")
	}
	pairs.sort()
	return pairs, timeStamp, nil
}

// blank reports what Java calls blank: nothing but characters of Character.isWhitespace.
func blank(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool {
		switch {
		case r >= '\t' && r <= '\r' || r >= 0x1c && r <= ' ':
			return false
		case r == 0xa0 || r == 0x2007 || r == 0x202f:
			return true
		default:
			return !unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp)
		}
	}) < 0
}

// compareUTF16 orders as Java's String.compareTo, by UTF-16 code units: characters above U+FFFF come before U+E000.
func compareUTF16(a, b string) int {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		x, m := utf8.DecodeRuneInString(a[i:])
		y, n := utf8.DecodeRuneInString(b[j:])
		if x != y {
			if (x > 0xffff) == (y > 0xffff) {
				return int(x) - int(y)
			}
			return int(firstUnit(x)) - int(firstUnit(y))
		}
		i, j = i+m, j+n
	}
	if restA, restB := len(a)-i, len(b)-j; restA != restB { // one is the start of the other; at most one rest is not empty
		return restA - restB
	}
	return strings.Compare(a, b) // they differ, if at all, in bytes that are not UTF-8
}

func firstUnit(r rune) rune {
	if r > 0xffff {
		return 0xd800 + (r-0x10000)>>10
	}
	return r
}
