package curl

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// other gives the line of a request that is not signed as base calls are.
func (r Request) other() string {
	key := "K=$" + r.keyVariable()
	post := ` -H 'Content-Type: ` + ContentType + `' -H 'Accept: ` + Accept + `' --data-raw "$B"; echo`
	switch r.Scheme {
	case Kit:
		return strings.Join([]string{
			key, "B=" + Quote(r.Body), "T=$(date +%s)000", "N=$(openssl rand -hex 16)",
			`S=$(printf %s "$K$N$T$B" | openssl dgst -sha256 -hmac "$K" -r | cut -d" " -f1 | tr a-f A-F)`,
			`curl -sS -X POST ` + Quote(r.URL) + ` -H "x-sign: $S" -H "x-timestamp: $T" -H "x-nonce: $N"` + post,
		}, "; ")
	case V1Query:
		text, query := r.v1Query()
		return strings.Join([]string{
			key, "T=$(date -u +%Y%m%d%H%M%S)000", v1Token(text, ` | sed 's/+/%2B/g;s,/,%2F,g;s/=/%3D/g'`),
			`curl -sS ` + query + `"timeStamp=$T&authToken=$A" -H 'Accept: ` + Accept + `'; echo`,
		}, "; ")
	case V1Body:
		text, body := r.v1Body()
		return strings.Join([]string{
			key, "T=$(TZ=UTC-8 date +%Y%m%d%H%M%S)000", "B=" + body, v1Token(text, ""),
			`curl -sS -X POST ` + Quote(r.URL) + ` -H "authToken: $A"` + post,
		}, "; ")
	}
	return ""
}

// v1Token is the command that signs text, a shell word that may have $T in it.
func v1Token(text, then string) string {
	return `A=$(printf %s ` + text + ` | openssl dgst -sha256 -hmac "$K$T" -binary | openssl base64 -A` + then + `)`
}

// stamp is the parameter whose value the shell makes.
const stamp = "timeStamp"

// v1Text is what is signed, as a shell word: the parameters by name.
func v1Text(values map[string]string) string {
	names := []string{stamp}
	for name := range values {
		if name != stamp && name != "authToken" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString("'&'")
		}
		if name == stamp {
			b.WriteString(`"` + stamp + `=$T"`)
			continue
		}
		b.WriteString(Quote(name + "=" + values[name]))
	}
	return b.String()
}

// v1Query gives what is signed, and the address up to where timeStamp follows, both as shell words.
func (r Request) v1Query() (text, address string) {
	path, query, _ := strings.Cut(r.URL, "?")
	q, _ := url.ParseQuery(query) // what cannot be read was not sent
	q.Del(stamp)
	q.Del("authToken")
	values := map[string]string{}
	for name := range q {
		values[name] = q.Get(name)
	}
	return v1Text(values), Quote(open(Join(path, q.Encode())))
}

// v1Body gives what is signed, and the body with the time of the shell, both as shell words. A body that is no JSON object is left
// as it is.
func (r Request) v1Body() (text, body string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(r.Body), &fields) != nil {
		return v1Text(nil), Quote(r.Body)
	}
	values := map[string]string{}
	for name, raw := range fields {
		value := string(raw)
		if value == "null" || raw[0] == '"' && json.Unmarshal(raw, &value) != nil || strings.TrimSpace(value) == "" {
			continue
		}
		values[name] = value
	}
	old := `"` + stamp + `":` + string(fields[stamp])
	before, after, found := strings.Cut(r.Body, old)
	if !found {
		return v1Text(values), Quote(r.Body)
	}
	return v1Text(values), Quote(before+`"`+stamp+`":"`) + `"$T"` + Quote(`"`+after)
}
