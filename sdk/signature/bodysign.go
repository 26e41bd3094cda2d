package signature

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	bodySign     = "Body-Sign"
	bodySignType = "HMAC-SHA256"
)

// BodySign returns the value of the header Body-Sign for an answer of a V1 interface:
//
//	sign_type="HMAC-SHA256", signature= "Base64( HMAC-SHA256( key, body ) )"
//
// body is the answer's body, byte for byte as it will be written: blanks and line breaks count. The key has no timestamp
// behind it, unlike that of a call. Source: vendor's V1 signature page, several public ISVs. Set the header as "Body-Sign";
// the vendor's checker looks at the letter case of the name.
func BodySign(key string, body []byte) string {
	return `sign_type="` + bodySignType + `", signature= "` + base64.StdEncoding.EncodeToString(v1Sum(key, body)) + `"`
}

// VerifyBodySign checks the header Body-Sign of an answer against body, exactly as received; it has to be right for any of
// the keys. A failure is an *[Error]: KindMissing for an absent header or part, KindMalformed for one that cannot be read,
// KindMismatch for a signature that does not fit; no key at all, or an empty one, is an ordinary error.
//
// Blanks and tabs around names, "=", "," and the whole are ignored, since ISVs in production differ in them. The double
// quotes around both values are required, as the vendor's pages say.
func VerifyBodySign(keys []string, header string, body []byte) error {
	if len(keys) == 0 {
		return errors.New("signature: Body-Sign: no keys, expected at least one access key")
	}
	if slices.Contains(keys, "") {
		return errors.New("signature: Body-Sign: a key is empty")
	}
	text, err := parseBodySign(header)
	if err != nil {
		return err
	}
	sum, ok := decodeBase64(text)
	if !ok {
		return bodySignFault(KindMalformed, "expected a signature in Base64 of 32 bytes, got "+shown(text))
	}
	for _, key := range keys {
		if hmac.Equal(sum[:], v1Sum(key, body)) {
			return nil
		}
	}
	return bodySignFault(KindMismatch, fmt.Sprintf("no key of %d signs this body of %d bytes so", len(keys), len(body)))
}

// parseBodySign returns the signature in the header.
func parseBodySign(header string) (string, error) {
	const blanks = " \t"
	rest := strings.Trim(header, blanks)
	if rest == "" {
		return "", bodySignFault(KindMissing, "")
	}
	values := map[string]string{}
	for {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.Trim(name, blanks)
		if !ok || name != "sign_type" && name != "signature" {
			return "", bodySignFault(KindMalformed, `expected sign_type="..." or signature="...", got `+shown(rest))
		}
		if _, twice := values[name]; twice {
			return "", bodySignFault(KindMalformed, "expected "+name+" once, got it twice")
		}
		after = strings.TrimLeft(after, blanks)
		if !strings.HasPrefix(after, `"`) {
			return "", bodySignFault(KindMalformed, "expected the value of "+name+" in double quotes, got "+shown(after))
		}
		value, after, ok := strings.Cut(after[1:], `"`)
		if !ok {
			return "", bodySignFault(KindMalformed, "expected a closing quote after the value of "+name)
		}
		values[name] = value
		if rest = strings.TrimLeft(after, blanks); rest == "" {
			break
		}
		if !strings.HasPrefix(rest, ",") {
			return "", bodySignFault(KindMalformed, "expected a comma after the value of "+name+", got "+shown(rest))
		}
		rest = rest[1:]
	}
	for _, name := range []string{"sign_type", "signature"} {
		if values[name] == "" {
			return "", bodySignFault(KindMissing, "expected "+name+`="..."`)
		}
	}
	if kind := values["sign_type"]; kind != bodySignType {
		return "", bodySignFault(KindMalformed, `expected sign_type="`+bodySignType+`", got `+shown(kind))
	}
	return values["signature"], nil
}

func bodySignFault(kind Kind, detail string) error {
	return &Error{Kind: kind, Scheme: bodySign, Field: bodySign, Detail: detail}
}
