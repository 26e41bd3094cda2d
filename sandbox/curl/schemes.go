package curl

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The parameters that carry the signature, as Variation names them, and what they are called in the schemes that are not Base.
var (
	kitHeaders = [][2]string{{"signature", "x-sign"}, {"timestamp", "x-timestamp"}, {"nonce", "x-nonce"}}
	kitShell   = map[string]string{"signature": "$S", "timestamp": "$T", "nonce": "$N"}
)

const (
	token = "authToken"
	// stamp is the parameter whose value the shell makes.
	stamp = "timeStamp"
)

// other gives the line of a request that is not signed as base calls are.
func (r Request) other() string {
	if r.Again {
		return r.resend()
	}
	steps := []string{"K=" + given(r.keyVariable())}
	if r.Key != "" {
		steps[0] = "K=" + Quote(r.Key)
	}
	switch r.Scheme {
	case Kit:
		steps = append(steps, r.kitSteps()...)
	case V1Query, V1Body:
		steps = append(steps, r.v1Steps()...)
	case Base:
	}
	return strings.Join(append(steps, r.resend()), "; ")
}

// resend is the command that sends what the steps before it have computed.
func (r Request) resend() string {
	var b strings.Builder
	switch r.Scheme {
	case Kit:
		b.WriteString("curl -sS -X " + r.method() + " " + Quote(r.URL))
		for _, h := range kitHeaders {
			switch {
			case slices.Contains(r.Empty, h[0]):
				b.WriteString(" -H '" + h[1] + ";'")
			case !slices.Contains(r.Without, h[0]):
				b.WriteString(` -H "` + h[1] + `: ` + kitShell[h[0]] + `"`)
			}
		}
		b.WriteString(posted + headerArgs(r.Header) + ` --data-raw "$B"`)
	case V1Query:
		b.WriteString("curl -sS ")
		if r.Method != "" {
			b.WriteString("-X " + r.Method + " ")
		}
		b.WriteString(Quote(open(r.v1Address())) + `"` + r.v1Stamps("$T", "$A") + `"`)
		if r.After != "" {
			b.WriteString(Quote("&" + r.After))
		}
		b.WriteString(" -H 'Accept: " + Accept + "'" + headerArgs(r.Header))
	case V1Body:
		b.WriteString("curl -sS -X " + r.method() + " " + Quote(r.URL))
		switch {
		case slices.Contains(r.Empty, "signature"):
			b.WriteString(" -H '" + token + ";'")
		case !slices.Contains(r.Without, "signature"):
			b.WriteString(` -H "` + token + `: $A"`)
		}
		b.WriteString(posted + headerArgs(r.Header) + ` --data-raw "$B"`)
	case Base:
	}
	b.WriteString("; echo")
	return b.String()
}

const posted = ` -H 'Content-Type: ` + ContentType + `' -H 'Accept: ` + Accept + `'`

// ---- kit ----------------------------------------------------------------------------------------------------------------

func (r Request) kitSteps() []string {
	steps := []string{"B=" + Quote(r.Body)}
	switch {
	case r.lacks("timestamp"):
		steps = append(steps, "T=")
	case r.Timestamp != "":
		steps = append(steps, "T="+Quote(r.Timestamp))
	case r.Offset != 0:
		steps = append(steps, fmt.Sprintf("T=$(($(date +%%s)%+d))000", int(r.Offset/time.Second)))
	default:
		steps = append(steps, "T=$(date +%s)000")
	}
	nonce, signed := "N=$(openssl rand -hex 16)", `"$K$N$T$B"`
	switch {
	case r.lacks("nonce"):
		nonce = "N="
	case r.NonceLength > 0:
		nonce = fmt.Sprintf("N=$(openssl rand -hex %d | cut -c1-%d)", r.NonceLength, r.NonceLength)
	}
	if r.Signed != "" {
		signed = `"$K$N$T"` + Quote(r.Signed)
	}
	steps = append(steps, nonce, `S=$(printf %s `+signed+` | openssl dgst -sha256 -hmac "$K" -r | cut -d" " -f1 | tr a-f A-F)`)
	return append(steps, r.Signature.shell("S")...)
}

func (r Request) kitSent(key string, now time.Time, nonce string) (Sent, error) {
	values, err := r.sign(key, now, nonce, kitSignAt)
	if err != nil {
		return Sent{}, err
	}
	s := r.posted()
	for _, h := range kitHeaders {
		if !slices.Contains(r.Without, h[0]) {
			s.Header.Set(h[1], values[h[0]])
		}
	}
	return s, nil
}

// ---- V1 -----------------------------------------------------------------------------------------------------------------

// v1Steps compute $T and $A, and of kit calls $B.
func (r Request) v1Steps() []string {
	now := "date -u +%Y%m%d%H%M%S"
	if r.Scheme == V1Body {
		now = "TZ=UTC-8 date +%Y%m%d%H%M%S"
	}
	T := "T=$(" + now + ")000"
	switch {
	case r.lacks("timestamp"):
		T = "T="
	case r.Timestamp != "":
		T = "T=" + Quote(r.Timestamp)
	}
	values, stamped := r.v1Values()
	text, key := v1Text(values, stamped), `"$K$T"`
	if !stamped {
		key = `"$K"`
	}
	A := `A=$(printf %s ` + text + ` | openssl dgst -sha256 -hmac ` + key + ` -binary | openssl base64 -A)`
	steps := []string{T, A}
	if r.RawToken { // a token has a + in it every other time only
		steps = []string{"I=100", "A=", "while case $A in *+*) false;; esac; do I=$((I+1)); T=$(" + now + ")$I; " + A + "; done"}
	}
	steps = append(steps, r.Signature.shell("A")...)
	if r.Scheme == V1Body {
		return append(steps, "B="+r.v1ShellBody())
	}
	escape := "s/+/%2B/g;s,/,%2F,g;s/=/%3D/g"
	if r.RawToken {
		escape = "s,/,%2F,g;s/=/%3D/g"
	}
	return append(steps, "A=$(printf %s \"$A\" | sed '"+escape+"')")
}

// v1Stamps is the end of the query of a base call.
func (r Request) v1Stamps(timestamp, sum string) string {
	var q []string
	for _, p := range [][3]string{{"timestamp", stamp, timestamp}, {"signature", token, sum}} {
		switch {
		case slices.Contains(r.Empty, p[0]):
			q = append(q, p[1]+"=")
		case !slices.Contains(r.Without, p[0]):
			q = append(q, p[1]+"="+p[2])
		}
	}
	return strings.Join(q, "&")
}

// v1Address is the address with the parameters of the call as they were written, without those of the signature.
func (r Request) v1Address() string {
	path, query, _ := strings.Cut(r.URL, "?")
	return Join(path, unstamped(query))
}

func unstamped(query string) string {
	kept := slices.DeleteFunc(strings.Split(query, "&"), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return name == "" || name == stamp || name == token
	})
	return strings.Join(kept, "&")
}

// v1Values are the parameters that the token covers, besides timeStamp, and whether there is that.
func (r Request) v1Values() (values map[string]string, stamped bool) {
	if r.Scheme == V1Body {
		return r.v1BodyValues()
	}
	_, query, _ := strings.Cut(r.URL, "?")
	if r.Signed != "" {
		query = r.Signed
	}
	q, _ := url.ParseQuery(unstamped(query)) // what cannot be read was not sent
	values = make(map[string]string, len(q))
	for name := range q {
		values[name] = q.Get(name)
	}
	return values, !slices.Contains(r.Without, "timestamp")
}

// v1BodyValues are those of a body: no blank ones, and numbers as they are written. A body that is no JSON object has none.
func (r Request) v1BodyValues() (values map[string]string, stamped bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(r.signed()), &fields) != nil || fields == nil {
		return nil, true
	}
	values = map[string]string{}
	for name, raw := range fields {
		value := string(raw)
		if value == "null" || raw[0] == '"' && json.Unmarshal(raw, &value) != nil || strings.TrimSpace(value) == "" {
			continue
		}
		values[name] = value
	}
	_, stamped = values[stamp]
	return values, stamped
}

// v1ShellBody is the body with the time of the shell in it, as a shell word.
func (r Request) v1ShellBody() string {
	before, after, found := r.v1Cut()
	if !found {
		return Quote(r.Body)
	}
	return Quote(before) + `"$T"` + Quote(after)
}

// v1Cut cuts the body at the value of timeStamp. A body without one, or that is no JSON object, is not cut.
func (r Request) v1Cut() (before, after string, found bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(r.Body), &fields) != nil || len(fields[stamp]) < 3 {
		return "", "", false
	}
	before, after, found = strings.Cut(r.Body, `"`+stamp+`":`+string(fields[stamp]))
	return before + `"` + stamp + `":"`, `"` + after, found
}

// v1Text is what is signed, as a shell word: the parameters by name.
func v1Text(values map[string]string, stamped bool) string {
	var b strings.Builder
	for i, name := range v1Names(values, stamped) {
		if i > 0 {
			b.WriteString("'&'")
		}
		if name == stamp {
			b.WriteString(`"` + stamp + `=$T"`)
			continue
		}
		b.WriteString(Quote(name + "=" + values[name]))
	}
	if b.Len() == 0 {
		return "''"
	}
	return b.String()
}

func v1Names(values map[string]string, stamped bool) []string {
	var names []string
	if stamped {
		names = append(names, stamp)
	}
	for name := range values {
		if name != stamp && name != token {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r Request) v1Sent(key string, now time.Time) (Sent, error) {
	if r.Key != "" {
		key = r.Key
	}
	if r.Offset != 0 {
		return Sent{}, fmt.Errorf("calls of V1 have no Offset: no window is documented")
	}
	values, stamped := r.v1Values()
	var timestamp, sum string
	for {
		timestamp = digits(now.UTC())
		if r.Scheme == V1Body {
			timestamp = digits(now.In(beijing))
		}
		if r.Timestamp != "" {
			timestamp = r.Timestamp
		}
		if r.lacks("timestamp") {
			timestamp = ""
		}
		sum = v1Sum(key, timestamp, values, stamped)
		if !r.RawToken || strings.Contains(sum, "+") {
			break
		}
		now = now.Add(time.Millisecond)
	}
	sum = r.Signature.apply(sum)
	if r.Scheme == V1Query {
		address := Join(r.v1Address(), r.v1Stamps(url.QueryEscape(timestamp), r.v1Escape(sum)))
		if r.After != "" {
			address += "&" + r.After
		}
		method := http.MethodGet
		if r.Method != "" {
			method = r.Method
		}
		return Sent{Method: method, URL: address, Header: r.headers(http.Header{"Accept": {Accept}})}, nil
	}
	if before, after, found := r.v1Cut(); found {
		r.Body = before + timestamp + after
	}
	s := r.posted()
	switch {
	case slices.Contains(r.Empty, "signature"):
		s.Header[token] = []string{""}
	case !slices.Contains(r.Without, "signature"):
		s.Header[token] = []string{sum}
	}
	return s, nil
}

func (r Request) v1Escape(sum string) string {
	if r.RawToken {
		return strings.ReplaceAll(url.QueryEscape(sum), "%2B", "+")
	}
	return url.QueryEscape(sum)
}
