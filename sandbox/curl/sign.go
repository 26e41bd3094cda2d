package curl

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sdk/signature"
)

// SignedLine gives a line for sh that sends the request as it is signed now. It holds the signature, which is good for a minute, and not the
// key. Only right requests are signed: a Variation is an error.
func (r Request) SignedLine(key string, now time.Time) (string, error) {
	if !r.plain() || r.Together {
		return "", fmt.Errorf("only right requests can be signed")
	}
	cfg := signature.Config{Keys: []string{key}, Now: func() time.Time { return now }}
	post := func(address, header string) string {
		return "curl -sS -X POST " + Quote(address) + header + " -H " + Quote("Content-Type: "+ContentType) + " -H " + Quote("Accept: "+Accept) +
			" --data-raw " + Quote(r.Body)
	}
	switch r.Scheme {
	case Kit:
		kit, err := signature.NewKit(cfg)
		if err != nil {
			return "", err
		}
		p, err := kit.Sign([]byte(r.Body))
		if err != nil {
			return "", err
		}
		return post(r.URL, " -H "+Quote("x-sign: "+p.Signature)+" -H "+Quote("x-timestamp: "+p.Timestamp)+" -H "+Quote("x-nonce: "+p.Nonce)), nil
	case V1Query, V1Body:
		v1, err := signature.NewV1(signature.V1Config{Keys: []string{key}})
		if err != nil {
			return "", err
		}
		if r.Scheme == V1Query {
			address, err := r.signedV1Query(v1, now)
			return "curl -sS " + Quote(address) + " -H " + Quote("Accept: "+Accept), err
		}
		if r.Body, err = r.stampedV1Body(now); err != nil {
			return "", err
		}
		token, err := v1.SignBody([]byte(r.Body))
		return post(r.URL, " -H "+Quote("authToken: "+token)), err
	}
	base, err := signature.NewBase(cfg)
	if err != nil {
		return "", err
	}
	p, err := base.Sign([]byte(r.Body))
	return post(Join(r.URL, p.Query().Encode()), ""), err
}

// beijing is the zone of timeStamp in kit calls of V1.
var beijing = time.FixedZone("Asia/Shanghai", 8*60*60)

// digits is how V1 writes times: yyyyMMddHHmmssSSS.
func digits(t time.Time) string { return strings.Replace(t.Format("20060102150405.000"), ".", "", 1) }

func (r Request) signedV1Query(v1 *signature.V1, now time.Time) (string, error) {
	path, query, _ := strings.Cut(r.URL, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("the query of the address: %w", err)
	}
	q.Del("authToken")
	q.Set(stamp, digits(now.UTC()))
	token, err := v1.SignQuery(q)
	if err != nil {
		return "", err
	}
	q.Set("authToken", token)
	return Join(path, q.Encode()), nil
}

// stampedV1Body is the body with the time in it, in place of the one that it has.
func (r Request) stampedV1Body(now time.Time) (string, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(r.Body), &fields); err != nil {
		return "", fmt.Errorf("the body is no JSON object")
	}
	value := strconv.Quote(digits(now.In(beijing)))
	if before, after, found := strings.Cut(r.Body, `"`+stamp+`":`+string(fields[stamp])); found {
		return before + `"` + stamp + `":` + value + after, nil
	}
	fields[stamp] = json.RawMessage(value)
	body, err := json.Marshal(fields)
	return string(body), err
}

// Classes are the interface classes, by the variables that their keys are in.
var classes = map[string]string{DefaultKeyVariable: "base", "ISVKIT_KIT_KEY": "kit", "ISVKIT_GENERAL_KEY": "general", "ISVKIT_LICENSE_KEY": "license"}

// SignLine gives a line for sh that sends the request again, signed afresh by the command isv-sandbox, which takes the key from the key
// file or the environment. It works without openssl, and on every system that has isv-sandbox, curl and a shell.
func (r Request) SignLine() string {
	command := "isv-sandbox sign"
	switch r.Scheme {
	case Base, Kit:
		if class := classes[r.keyVariable()]; class != "base" {
			command += " --class " + class
		}
	case V1Query:
		return command + " --v1 " + Quote(r.URL) + " | sh"
	case V1Body:
		command += " --v1 --class kit"
	}
	return "printf %s " + Quote(r.Body) + " | " + command + " " + Quote(r.URL) + " | sh"
}
