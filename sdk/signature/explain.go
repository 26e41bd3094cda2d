package signature

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Finding is one mistake that a signature was made with. It never contains a key.
type Finding struct {
	Mistake     Mistake
	Explanation string // what the signer did
	Mend        string // what is right
}

// OtherKey is a key of another class, such as "kit", "general" or "SK", to recognise a signature made with it. The class turns
// up in the finding, the key does not.
type OtherKey struct{ Class, Key string }

// Explain says why the signature of a call does not fit: it makes the signature anew with the mistakes that implementations are
// known for, one at a time and then two at a time, and returns the first ones that give p.Signature. It returns nil if the
// signature is right and fresh, and also if no known mistake explains it; whatever it returns is certain, because a signature
// that is made with some recipe does not come out of another one.
//
// It is for the log of a developer who looks for his mistake, on either side. What it returns must never reach the peer: it
// would help a stranger to find out keys and forms. It does not verify (no nonce is looked at or recorded), and it costs up to
// some thousand HMACs of the body, so do not run it for strangers' calls without a limit. Two mistakes at a time are looked for
// in bodies of up to 16 KiB.
func (b *Base) Explain(p Params, body []byte, others ...OtherKey) []Finding {
	return b.explain(recipe{inners: baseInners(), texts: runTexts()}, p, body, others)
}

// Explain says why the signature of a call does not fit, as [Base.Explain] does and under the same conditions: what it returns
// must never reach the peer.
func (k *Kit) Explain(p Params, body []byte, others ...OtherKey) []Finding {
	return k.explain(recipe{inners: rawInners(), texts: runTexts()}, p, body, others)
}

// Explain says why the signature of a usage push does not fit, as [Base.Explain] does and under the same conditions: what it
// returns must never reach the peer.
func (u *Usage) Explain(p Params, body []byte, others ...OtherKey) []Finding {
	return u.explain(recipe{base64: true, inners: rawInners(), texts: namedTexts()}, p, body, others)
}

// ExplainQuery says why the authToken of a base call does not fit, as [Base.Explain] does and under the same conditions: what it
// returns must never reach the peer.
func (v *V1) ExplainQuery(q url.Values, others ...OtherKey) []Finding {
	pairs, timeStamp, err := v1Query(q)
	if err != nil {
		return nil
	}
	r := recipe{
		base64: true,
		most:   2,
		keys:   keyChoices(v.keys, others),
		macs:   v1MACs(),
		times:  []choice[string]{{value: timeStamp}},
		inners: []choice[inner]{{value: rawInner}},
		bodies: v1Texts(q, pairs),
		texts:  []choice[text]{{value: func(_, _, _, p string) string { return p }}},
	}
	findings, ok := r.search(q.Get(v1Token))
	if !ok {
		return nil
	}
	return withTime(findings, v.checkFresh(timeStamp, time.UTC))
}

// mostForPairs is the longest body in which two mistakes at a time are looked for.
const mostForPairs = 16 << 10

func (p *party) explain(r recipe, params Params, body []byte, others []OtherKey) []Finding {
	r.most = 2
	if len(body) > mostForPairs {
		r.most = 1
	}
	right := make([]string, 0, len(p.keys))
	for _, k := range p.keys {
		right = append(right, k.text)
	}
	r.keys, r.macs = keyChoices(right, others), v2MACs()
	r.nonce, r.times = params.Nonce, timeChoices(params.Timestamp)
	r.bodies = bodyChoices(p.scheme, body, params, r.most)
	findings, ok := r.search(params.Signature)
	if !ok {
		return nil
	}
	return withTime(findings, p.checkTimestamp(params, p.now()))
}

// withTime adds what a verifier says about the timestamp.
func withTime(findings []Finding, err error) []Finding {
	switch {
	case err == nil:
		return findings
	case errors.Is(err, ErrStale):
		return append(findings, stale)
	default:
		return append(findings, timestampForm)
	}
}

// choice is one way of doing one step, with the mistakes that are in it: none if it is the right way. extra makes a choice that
// is dear to try count as more mistakes than it is.
type choice[T any] struct {
	value    T
	findings []Finding
	extra    int
}

func (c choice[T]) cost() int { return len(c.findings) + c.extra }

type (
	// inner makes of the body what takes part in the text.
	inner func(key, body string) string
	// text is what is signed.
	text func(key, nonce, timestamp, payload string) string
	// macKeys are the keys of the inner and of the outer HMAC.
	macKeys func(key, timestamp string) (in, out string)
)

// recipe holds, for each step of a signature, the right ways and the wrong ones.
type recipe struct {
	base64 bool // the signature is Base64, not hexadecimal
	most   int  // mistakes at a time
	nonce  string
	keys   []choice[string]
	macs   []choice[macKeys]
	times  []choice[string]
	inners []choice[inner]
	bodies []choice[string]
	texts  []choice[text]
}

// search looks for the fewest mistakes that give the signature. The findings are empty if it is the right one.
func (r *recipe) search(signature string) (findings []Finding, ok bool) {
	all := readings(signature, r.base64)
	for mistakes := 0; mistakes <= r.most && len(all) > 0; mistakes++ {
		if findings, ok := r.searchAt(all, mistakes); ok {
			return findings, true
		}
	}
	return nil, false
}

// searchAt tries what adds up to exactly so many mistakes.
func (r *recipe) searchAt(readings []reading, mistakes int) (findings []Finding, ok bool) {
	for _, key := range r.keys {
		for _, mac := range r.macs {
			for _, at := range r.times {
				left := mistakes - key.cost() - mac.cost() - at.cost()
				if left < 0 {
					continue
				}
				if findings, ok := r.searchTexts(readings, key.value, mac.value, at.value, left); ok {
					reading, rest := findings[0], findings[1]
					return join(reading, key.findings, mac.findings, at.findings, rest), true
				}
			}
		}
	}
	return nil, false
}

// searchTexts returns the findings of the reading and those of the rest.
func (r *recipe) searchTexts(readings []reading, key string, mac macKeys, at string, mistakes int) (findings [2][]Finding, ok bool) {
	in, out := mac(key, at)
	for _, inner := range r.inners {
		for _, body := range r.bodies {
			left := mistakes - inner.cost() - body.cost()
			if left < 0 || !slices.ContainsFunc(r.texts, func(t choice[text]) bool { return t.cost() == left }) {
				continue
			}
			payload := inner.value(in, body.value)
			for _, text := range r.texts {
				if text.cost() != left {
					continue
				}
				sum := v1Sum(out, []byte(text.value(key, r.nonce, at, payload)))
				for _, reading := range readings {
					if reading.fits(sum) {
						return [2][]Finding{reading.findings, join(inner.findings, body.findings, text.findings)}, true
					}
				}
			}
		}
	}
	return findings, false
}

func join(lists ...[]Finding) (all []Finding) {
	for _, list := range lists {
		for _, f := range list {
			if len(all) == 0 || all[len(all)-1] != f {
				all = append(all, f)
			}
		}
	}
	return all
}

// reading is what the text of a signature may mean.
type reading struct {
	fits     func(sum []byte) bool
	findings []Finding
}

const fewestDigits = 16 // a shorter piece of a signature could fit by chance

// readings returns what a signature's text may mean where hexadecimal digits (or Base64) are right.
func readings(signature string, base64Wanted bool) (all []reading) {
	var before []Finding
	note := func(f Finding) { before = append(before, f) }
	trimmed := strings.Trim(signature, " \t\r\n\"'")
	if trimmed != signature {
		note(signatureWrapped)
	}
	if strings.Contains(trimmed, "%") {
		if decoded, err := url.PathUnescape(trimmed); err == nil {
			trimmed = decoded
			note(signatureEscaped)
		}
	}
	whole := func(sum []byte, f ...Finding) {
		sum = bytes.Clone(sum)
		all = append(all, reading{func(other []byte) bool { return hmac.Equal(sum, other) }, join(before, f)})
	}
	if sum, err := hex.DecodeString(trimmed); err == nil && len(sum) == sha256.Size {
		if base64Wanted {
			whole(sum, hexForBase64)
		} else {
			whole(sum)
		}
	}
	plus := strings.ReplaceAll(trimmed, " ", "+")
	for _, alphabet := range []struct {
		*base64.Encoding
		usual bool
	}{{base64.StdEncoding, true}, {base64.RawStdEncoding, false}, {base64.URLEncoding, false}, {base64.RawURLEncoding, false}} {
		sum, err := alphabet.Strict().DecodeString(plus)
		if err != nil {
			continue
		}
		if twice, err := hex.DecodeString(string(sum)); err == nil && len(twice) == sha256.Size {
			whole(twice, base64OfHex)
		}
		switch {
		case len(sum) != sha256.Size:
		case !base64Wanted:
			whole(sum, base64ForHex)
		case alphabet.usual:
			whole(sum)
		default:
			whole(sum, base64Alphabet)
		}
	}
	part := func(encode func([]byte) string, full int) {
		if len(trimmed) >= fewestDigits && len(trimmed) < full {
			all = append(all, reading{
				func(sum []byte) bool { return strings.HasPrefix(encode(sum), trimmed) },
				join(before, []Finding{truncated}),
			})
		}
	}
	if base64Wanted {
		part(base64.StdEncoding.EncodeToString, base64.StdEncoding.EncodedLen(sha256.Size)-1)
	} else {
		trimmed = strings.ToLower(trimmed)
		part(hex.EncodeToString, 2*sha256.Size)
	}
	return all
}

func keyChoices(right []string, others []OtherKey) (all []choice[string]) {
	seen := map[string]bool{"": true}
	add := func(key string, findings ...Finding) {
		if !seen[key] {
			seen[key] = true
			all = append(all, choice[string]{value: key, findings: findings})
		}
	}
	for _, key := range right {
		add(key)
	}
	for _, other := range others {
		add(other.Key, otherKey(other.Class))
	}
	for _, key := range right {
		add(strings.TrimSpace(key), keyBlanks)
		for _, end := range []string{"\n", "\r\n", "\r", " ", "\t"} {
			add(key+end, keyBlanks)
		}
		add(" "+key, keyBlanks)
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
			if decoded, err := encoding.DecodeString(key); err == nil {
				add(string(decoded), keyDecoded)
			}
		}
		add(base64.StdEncoding.EncodeToString([]byte(key)), keyEncoded)
	}
	return all
}

func v2MACs() []choice[macKeys] {
	return []choice[macKeys]{
		{value: func(key, _ string) (string, string) { return key, key }},
		{value: func(key, at string) (string, string) { return key, key + at }, findings: []Finding{keyAndTimestamp}},
		{value: func(key, at string) (string, string) { return key + at, key + at }, findings: []Finding{keyAndTimestamp}},
	}
}

// timeChoices returns the timestamp as it came and as the signer may have written it into the text.
func timeChoices(timestamp string) []choice[string] {
	all := []choice[string]{{value: timestamp}}
	_, ok := digits(timestamp)
	switch {
	case ok && len(timestamp) == milliDigits:
		all = append(all, choice[string]{value: timestamp[:secondDigits], findings: []Finding{secondsInText}})
	case ok && len(timestamp) == secondDigits:
		all = append(all, choice[string]{value: timestamp + "000", findings: []Finding{millisInText}})
		for ms := 1; ms < 1000; ms++ { // the rest of the second is nowhere to be seen
			end := string([]byte{byte('0' + ms/100), byte('0' + ms/10%10), byte('0' + ms%10)})
			all = append(all, choice[string]{value: timestamp + end, findings: []Finding{millisInText}, extra: 1})
		}
	}
	return all
}

func rawInner(_, body string) string { return body }

func hmacInner(encode func([]byte) string) inner {
	return func(key, body string) string { return encode(v1Sum(key, []byte(body))) }
}

func plainInner(encode func([]byte) string) inner {
	return func(_, body string) string {
		sum := sha256.Sum256([]byte(body))
		return encode(sum[:])
	}
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

func baseInners() []choice[inner] {
	return []choice[inner]{
		{value: hmacInner(hex.EncodeToString)},
		{value: hmacInner(upperHex), findings: []Finding{innerUpper}},
		{value: rawInner, findings: []Finding{innerMissing}},
		{value: plainInner(hex.EncodeToString), findings: []Finding{innerPlain}},
		{value: plainInner(upperHex), findings: []Finding{innerPlain, innerUpper}},
		{value: hmacInner(base64.StdEncoding.EncodeToString), findings: []Finding{innerBase64}},
		{value: hmacInner(func(b []byte) string { return string(b) }), findings: []Finding{innerBytes}},
	}
}

// rawInners are those of kit and usage, where the body itself takes part.
func rawInners() []choice[inner] {
	return []choice[inner]{
		{value: rawInner},
		{value: hmacInner(hex.EncodeToString), findings: []Finding{innerPresent}},
		{value: hmacInner(upperHex), findings: []Finding{innerPresent}},
		{value: plainInner(hex.EncodeToString), findings: []Finding{innerPlainPresent}},
		{value: plainInner(upperHex), findings: []Finding{innerPlainPresent}},
	}
}

// runTexts are the texts of base and kit: key, nonce, timestamp and payload without separators.
func runTexts() []choice[text] {
	all := []choice[text]{{value: func(k, n, t, p string) string { return k + n + t + p }}}
	permute([]int{0, 1, 2, 3}, func(order []int) {
		all = append(all, choice[text]{value: func(k, n, t, p string) string {
			parts := [...]string{k, n, t, p}
			return parts[order[0]] + parts[order[1]] + parts[order[2]] + parts[order[3]]
		}, findings: []Finding{wrongOrder}})
	})
	for _, separator := range []string{"&", "\n", ",", "+", " ", ":", "|"} {
		all = append(all, choice[text]{value: func(k, n, t, p string) string {
			return strings.Join([]string{k, n, t, p}, separator)
		}, findings: []Finding{separators}})
	}
	return append(all,
		choice[text]{value: func(_, n, t, p string) string { return n + t + p }, findings: []Finding{keyNotInText}},
		choice[text]{value: func(_, n, t, p string) string { return t + n + p }, findings: []Finding{keyNotInText, wrongOrder}},
		choice[text]{value: func(_, _, _, p string) string { return p }, findings: []Finding{bodyAlone}},
		choice[text]{value: usageText, findings: []Finding{usageRecipe}},
	)
}

func usageText(_, n, t, p string) string { return "ts=" + t + "&nonce=" + n + "&body=" + p }

// namedTexts are the texts of usage.
func namedTexts() []choice[text] {
	all := []choice[text]{{value: usageText}}
	permute([]int{0, 1, 2}, func(order []int) {
		all = append(all, choice[text]{value: func(_, n, t, p string) string {
			parts := [...]string{"ts=" + t, "nonce=" + n, "body=" + p}
			return parts[order[0]] + "&" + parts[order[1]] + "&" + parts[order[2]]
		}, findings: []Finding{wrongOrder}})
	})
	return append(all,
		choice[text]{value: func(k, n, t, p string) string { return k + n + t + p }, findings: []Finding{baseRecipe}},
		choice[text]{value: func(_, n, t, p string) string { return t + n + p }, findings: []Finding{namesMissing}},
		choice[text]{value: func(_, n, t, p string) string { return t + "&" + n + "&" + p }, findings: []Finding{namesMissing}},
		choice[text]{
			value:    func(_, n, t, p string) string { return "timestamp=" + t + "&nonce=" + n + "&body=" + p },
			findings: []Finding{namesMissing},
		},
		choice[text]{value: func(_, _, _, p string) string { return p }, findings: []Finding{bodyAlone}},
	)
}

// permute calls f with every order of list but the one it has, each in memory of its own.
func permute(list []int, f func([]int)) {
	var rest func(done, left []int)
	rest = func(done, left []int) {
		if len(left) == 0 {
			for i := range done {
				if done[i] != list[i] {
					f(done)
					return
				}
			}
			return
		}
		for i := range left {
			next := append(append([]int{}, done...), left[i])
			rest(next, append(append([]int{}, left[:i]...), left[i+1:]...))
		}
	}
	rest(nil, list)
}
