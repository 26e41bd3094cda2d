// Package curl describes signed calls as data, wrong ones included, and writes them down twice: as what is sent now, and as a
// line for a POSIX shell that sends the same again later, freshly signed. The line needs curl and openssl and reads the access
// key from the environment; no key and no signature stands in it.
package curl

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sdk/signature"
)

// The headers that every call carries.
const (
	ContentType = "application/json;charset=utf8"
	Accept      = "application/json"
)

// DefaultKeyVariable is the environment variable that lines read the access key from.
const DefaultKeyVariable = "ISVKIT_BASE_KEY"

// Scheme is how a request is signed.
type Scheme uint8

// The schemes.
const (
	Base    Scheme = iota // V2, signature in the query: base calls, orderNotify and licence calls, each with the key of their class
	Kit                   // V2, signature in headers
	V1Query               // V1 base calls: everything is in the query
	V1Body                // V1 kit calls: token in a header
)

// Request is one call. The zero Variation is a right one.
type Request struct {
	URL  string // the production address, without signature parameters; of V1 base calls with the parameters of the call
	Body string // sent as it is, byte for byte; only in kit calls of V1 timeStamp is set anew, because it is part of the token

	// Scheme is how it is signed. Default: Base.
	Scheme Scheme

	// KeyVariable names the environment variable with the access key. Default: ISVKIT_BASE_KEY.
	KeyVariable string

	Variation
}

// Variation is how a request differs from a right one. Everything the zero value does is right; the fields can be combined.
type Variation struct {
	// Method instead of POST.
	Method string
	// Header lines to add, such as "X-Request-Id: 1".
	Header []string

	// Signed is what the signature covers, if that is not Body, or of V1 base calls the query of URL. The empty text means that it is.
	Signed string
	// Key signs instead of the one from the environment. It appears in the line, so it must be a made-up one.
	Key string
	// Offset moves the timestamp away from now.
	Offset time.Duration
	// Timestamp is sent and signed instead of the time. Use Without for an empty one.
	Timestamp string

	// NonceLength is how many characters the nonce has. Default: as many as there are.
	NonceLength int

	// Without names parameters to leave out: signature, timestamp, nonce, whatever they are called in the scheme. The signature is
	// computed as if they were empty. The timestamp of a V1 kit call is part of its body.
	Without []string
	// Empty names parameters to send without a value; otherwise like Without.
	Empty []string
	// Signature says what happens to the signature after it was computed.
	Signature Tamper

	// Before and After are more of the query, escaped, which the signature does not cover: in front of its parameters and behind them. Of
	// requests with Again they change. Kit calls have neither, and base calls of V1 no Before.
	Before, After string
	// RawToken leaves a + in the token of a V1 base call as it is, instead of writing %2B; there is one in the token.
	RawToken bool

	// Again sends the very same bytes and parameters as the request before, whatever the other fields say. Schemes other than
	// Base want the other fields as they were.
	Again bool
	// Together sends the request at the same time as its neighbours that have it set as well.
	Together bool
}

// Tamper is a change to a finished signature.
type Tamper uint8

// The changes.
const (
	AsComputed  Tamper = iota // upper-case hex, as the marketplace sends it
	LowerCase                 // the same in lower case
	LastDigit                 // the last digit changed; of a token in Base64 the first character, all of whose bits count
	OneShort                  // the last digit cut off; of a token in Base64 the last four characters
	NotHex                    // text that is no signature at all
	FirstDigit                // the first digit changed; base calls of V2 only, like the following ones
	MiddleDigit               // one digit in the middle changed
	HalfCut                   // the second half cut off
	OneMore                   // one digit more at the end
)

const notHex = "not-a-signature"

// Params computes the query parameters for key at a time, with a nonce that the caller chose. The result is what goes behind the
// question mark.
func (r Request) Params(key string, now time.Time, nonce string) (string, error) {
	if r.Key != "" {
		key = r.Key
	}
	base, err := signature.NewBase(signature.Config{Keys: []string{key}})
	if err != nil {
		return "", err
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
	sig := base.SignAt([]byte(r.signed()), timestamp, nonce)
	switch r.Signature {
	case AsComputed:
	case LowerCase:
		sig = strings.ToLower(sig)
	case LastDigit:
		sig = changed(sig, len(sig)-1)
	case OneShort:
		sig = sig[:len(sig)-1]
	case NotHex:
		sig = notHex
	case FirstDigit:
		sig = changed(sig, 0)
	case MiddleDigit:
		sig = changed(sig, middle)
	case HalfCut:
		sig = sig[:len(sig)/2]
	case OneMore:
		sig += "0"
	}
	if r.lacks("signature") {
		sig = ""
	}
	var q []string
	for _, p := range [][2]string{{"signature", sig}, {"timestamp", timestamp}, {"nonce", nonce}} {
		if !slices.Contains(r.Without, p[0]) {
			q = append(q, p[0]+"="+url.QueryEscape(p[1]))
		}
	}
	return r.around(strings.Join(q, "&")), nil
}

// around puts Before and After around the parameters of the signature.
func (r Request) around(params string) string {
	parts := slices.DeleteFunc([]string{r.Before, params, r.After}, func(p string) bool { return p == "" })
	return strings.Join(parts, "&")
}

// lengthened is a nonce of the length that is asked for.
func (r Request) lengthened(nonce string) string {
	if r.NonceLength == 0 {
		return nonce
	}
	return strings.Repeat(nonce, r.NonceLength/len(nonce)+1)[:r.NonceLength]
}

// middle is where MiddleDigit changes a signature.
const middle = 30

// changed is a signature with another digit at a place.
func changed(sig string, at int) string {
	digit := "0"
	if sig[at] == '0' {
		digit = "1"
	}
	return sig[:at] + digit + sig[at+1:]
}

// Join puts query parameters behind an address that may have some already.
func Join(address, params string) string {
	if params == "" {
		return address
	}
	return open(address) + params
}

// open is an address with the character behind it that query parameters can follow.
func open(address string) string {
	if strings.Contains(address, "?") {
		return address + "&"
	}
	return address + "?"
}

func (r Request) signed() string {
	if r.Signed != "" {
		return r.Signed
	}
	return r.Body
}

func (r Request) lacks(param string) bool {
	return slices.Contains(r.Without, param) || slices.Contains(r.Empty, param)
}

func (r Request) keyVariable() string {
	if r.KeyVariable != "" {
		return r.KeyVariable
	}
	return DefaultKeyVariable
}

// given is what a shell puts in place of a variable; a shell in which it is not set stops there, and signs nothing with an empty key.
func given(variable string) string { return "${" + variable + ":?set it to the access key}" }

func (r Request) method() string {
	if r.Method != "" {
		return r.Method
	}
	return "POST"
}

// plain reports whether the shell function call can send r, once address and key are set.
func (r Request) plain() bool {
	return r.method() == "POST" && len(r.Header) == 0 && r.Signed == "" && r.Key == "" && r.Offset == 0 && r.Timestamp == "" && len(r.Without) == 0 && len(r.Empty) == 0 &&
		r.Signature == AsComputed && r.NonceLength == 0 && r.Before == "" && r.After == "" && !r.RawToken && !r.Again
}

// Line gives one line for sh that sends the requests one after the other, each with a timestamp and a nonce of its own, and
// prints an answer per line. No requests give no line.
func Line(requests ...Request) string {
	if len(requests) == 0 {
		return ""
	}
	if i := slices.IndexFunc(requests, func(r Request) bool { return r.Scheme != Base }); i >= 0 {
		line, n := others(requests[i:])
		parts := []string{Line(requests[:i]...), line, Line(requests[i+n:]...)}
		return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "; ")
	}
	first := requests[0]
	url, key, method, header := first.URL, first.keyVariable(), "POST", ""
	parts := []string{
		"U=" + Quote(open(url)),
		"K=" + given(key),
		`h() { printf %s "$1" | openssl dgst -sha256 -hmac "$K" -r | cut -d" " -f1; }`,
		`sign() { T=${2-$(date +%s)000}; N=${3-$(openssl rand -hex 16)}; S=$(h "$K$N$T$(h "$1")" | tr a-f A-F); Q="signature=$S&timestamp=$T&nonce=$N"; }`,
		sender(method, header),
	}
	if slices.ContainsFunc(requests, Request.plain) {
		parts = append(parts, `call() { sign "$1"; send "$1"; }`)
	}
	line := strings.Builder{}
	line.WriteString(strings.Join(parts, "; "))
	background := false
	write := func(text string, together bool) {
		switch {
		case background && !together:
			line.WriteString(" & wait; " + text)
		case background:
			line.WriteString(" & " + text)
		default:
			line.WriteString("; " + text)
		}
		background = together
	}
	for _, r := range requests {
		if r.Again && r.Before == "" && r.After == "" {
			write("send \"$B\"", false)
			continue
		}
		if r.Again {
			write("Q="+r.aroundQuoted("$Q")+"; send \"$B\"", false)
			continue
		}
		if r.URL != url {
			url = r.URL
			write("U="+Quote(open(url)), false)
		}
		if k := r.keyVariable(); k != key {
			key = k
			write("K="+given(key), false)
		}
		if m, hd := r.method(), headerArgs(r.Header); m != method || hd != header {
			method, header = m, hd
			write(sender(method, header), false)
		}
		body := Quote(r.Body)
		if r.plain() {
			write("call "+body, r.Together)
			continue
		}
		write(strings.Join(r.steps(key, body), "; "), false)
	}
	if background {
		line.WriteString(" & wait")
	}
	return line.String()
}

// others is the line of the first of requests, and of those that are sent together with it; n is how many these are.
func others(requests []Request) (line string, n int) {
	together := func(r Request) bool { return r.Together && r.Scheme != Base }
	for n < len(requests) && together(requests[n]) {
		line += "{ " + requests[n].other() + "; } & "
		n++
	}
	if n == 0 {
		return requests[0].other(), 1
	}
	return line + "wait", n
}

// steps are the commands for a request that call cannot send.
func (r Request) steps(key, body string) []string {
	var steps []string
	if r.Key != "" {
		steps = append(steps, "K="+Quote(r.Key))
	}
	sign := "sign " + Quote(r.signed())
	switch {
	case r.lacks("timestamp"):
		sign += " ''"
	case r.Timestamp != "":
		sign += " " + Quote(r.Timestamp)
	case r.Offset != 0:
		sign += fmt.Sprintf(" $(($(date +%%s)%+d))000", int(r.Offset/time.Second))
	case r.lacks("nonce"), r.NonceLength > 0:
		sign += " $(date +%s)000"
	}
	switch {
	case r.lacks("nonce"):
		sign += " ''"
	case r.NonceLength > 0:
		sign += fmt.Sprintf(" $(openssl rand -hex %d | cut -c1-%d)", r.NonceLength, r.NonceLength)
	}
	steps = append(steps, sign)
	switch r.Signature {
	case AsComputed:
	case LowerCase:
		steps = append(steps, "S=$(printf %s $S | tr A-F a-f)")
	case LastDigit:
		steps = append(steps, "case $S in *0) S=${S%?}1;; *) S=${S%?}0;; esac")
	case OneShort:
		steps = append(steps, "S=${S%?}")
	case NotHex:
		steps = append(steps, "S="+notHex)
	case FirstDigit:
		steps = append(steps, "case $S in 0*) S=1${S#?};; *) S=0${S#?};; esac")
	case MiddleDigit:
		steps = append(steps, fmt.Sprintf(`S=$(printf %%s $S | awk '{d=substr($0,%d,1)=="0"?"1":"0"; print substr($0,1,%d) d substr($0,%d)}')`, middle+1, middle, middle+2))
	case HalfCut:
		steps = append(steps, "S=$(printf %s $S | cut -c1-32)")
	case OneMore:
		steps = append(steps, "S=${S}0")
	}
	if slices.Contains(r.Empty, "signature") {
		steps = append(steps, "S=")
	}
	if r.Signature != AsComputed || len(r.Without) > 0 || len(r.Empty) > 0 || r.Before != "" || r.After != "" {
		var q []string
		for _, p := range [][2]string{{"signature", "$S"}, {"timestamp", "$T"}, {"nonce", "$N"}} {
			if !slices.Contains(r.Without, p[0]) {
				q = append(q, p[0]+"="+p[1])
			}
		}
		steps = append(steps, "Q="+r.aroundQuoted(strings.Join(q, "&")))
	}
	if r.Key != "" {
		steps = append(steps, "K="+given(key))
	}
	return append(steps, "send "+body)
}

// aroundQuoted is around as a shell word.
func (r Request) aroundQuoted(params string) string {
	word := `"` + params + `"`
	if r.Before != "" {
		word = Quote(r.Before+"&") + word
	}
	if r.After != "" {
		word += Quote("&" + r.After)
	}
	return word
}

func headerArgs(lines []string) string {
	text := ""
	for _, l := range lines {
		text += " -H " + Quote(l)
	}
	return text
}

func sender(method, header string) string {
	return `send() { B=$1; curl -sS -X ` + method + ` "$U$Q" -H 'Content-Type: ` + ContentType + `' -H 'Accept: ` + Accept + `'` + header +
		` --data-raw "$B"; echo; }`
}

// Quote writes text as one word for a POSIX shell.
func Quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
