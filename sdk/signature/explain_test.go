package signature_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

const (
	wrongTime  = "1680508066618"
	wrongNonce = "ABCDEF0123456789"
	// wrongBody is sorted and compact already, so the wire form is the signed form.
	wrongBody = `{"activity":"newInstance","flag":1,"name":"张三 <b>&'=","path":"https://a/b?c=%41+d","user":{"z":1,"a":null}}`
)

func sha(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// toBase64 recodes hexadecimal digits.
func toBase64(digits string) string {
	sum, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(sum)
}

// The three right recipes, written down a second time.
func baseOf(key, body string) string {
	return hexHMAC(key, key+wrongNonce+wrongTime+hexHMAC(key, body))
}
func kitOf(key, body string) string { return hexHMAC(key, key+wrongNonce+wrongTime+body) }
func usageOf(key, body string) string {
	return base64HMAC(key, "ts="+wrongTime+"&nonce="+wrongNonce+"&body="+body)
}

// wrongBodies are what signers make of wrongBody, taken down from the programs in question.
var wrongBodies = []struct {
	name     string
	body     string
	mistakes []signature.Mistake
}{
	{"Z to A", `{"user":{"z":1,"a":null},"path":"https://a/b?c=%41+d","name":"张三 <b>&'=","flag":1,"activity":"newInstance"}`, is(signature.MistakeDescending)},
	{"pretty 2", "{\n  \"activity\": \"newInstance\",\n  \"flag\": 1,\n  \"name\": \"张三 <b>&'=\",\n  \"path\": \"https://a/b?c=%41+d\",\n  \"user\": {\n    \"z\": 1,\n    \"a\": null\n  }\n}", is(signature.MistakePrettyPrinted)},
	{"pretty 4", "{\n    \"activity\": \"newInstance\",\n    \"flag\": 1,\n    \"name\": \"张三 <b>&'=\",\n    \"path\": \"https://a/b?c=%41+d\",\n    \"user\": {\n        \"z\": 1,\n        \"a\": null\n    }\n}", is(signature.MistakePrettyPrinted)},
	{"pretty Jackson", "{\n  \"activity\" : \"newInstance\",\n  \"flag\" : 1,\n  \"name\" : \"张三 <b>&'=\",\n  \"path\" : \"https://a/b?c=%41+d\",\n  \"user\" : {\n    \"z\" : 1,\n    \"a\" : null\n  }\n}", is(signature.MistakePrettyPrinted)},
	{"pretty CRLF", "{\r\n  \"activity\": \"newInstance\",\r\n  \"flag\": 1,\r\n  \"name\": \"张三 <b>&'=\",\r\n  \"path\": \"https://a/b?c=%41+d\",\r\n  \"user\": {\r\n    \"z\": 1,\r\n    \"a\": null\r\n  }\r\n}", is(signature.MistakePrettyPrinted)},
	{"HTML escaped", `{"activity":"newInstance","flag":1,"name":"张三 \u003cb\u003e\u0026'=","path":"https://a/b?c=%41+d","user":{"z":1,"a":null}}`, is(signature.MistakeHTMLEscaped)},
	{"HTML escaped by Gson", `{"activity":"newInstance","flag":1,"name":"张三 \u003cb\u003e\u0026\u0027\u003d","path":"https://a/b?c\u003d%41+d","user":{"z":1,"a":null}}`, is(signature.MistakeHTMLEscaped)},
	{"ASCII", `{"activity":"newInstance","flag":1,"name":"\u5f20\u4e09 <b>&'=","path":"https://a/b?c=%41+d","user":{"z":1,"a":null}}`, is(signature.MistakeNonASCIIEscaped)},
	{"ASCII upper", `{"activity":"newInstance","flag":1,"name":"\u5F20\u4E09 <b>&'=","path":"https://a/b?c=%41+d","user":{"z":1,"a":null}}`, is(signature.MistakeNonASCIIEscaped)},
	{"slashes", `{"activity":"newInstance","flag":1,"name":"张三 <b>&'=","path":"https:\/\/a\/b?c=%41+d","user":{"z":1,"a":null}}`, is(signature.MistakeSlashesEscaped)},
	{"Python without ensure_ascii", `{"activity": "newInstance", "flag": 1, "name": "张三 <b>&'=", "path": "https://a/b?c=%41+d", "user": {"z": 1, "a": null}}`, is(signature.MistakeSpaces)},
	{"Python", `{"activity": "newInstance", "flag": 1, "name": "\u5f20\u4e09 <b>&'=", "path": "https://a/b?c=%41+d", "user": {"z": 1, "a": null}}`, is(signature.MistakeSpaces, signature.MistakeNonASCIIEscaped)},
	{"PHP", `{"activity":"newInstance","flag":1,"name":"\u5f20\u4e09 <b>&'=","path":"https:\/\/a\/b?c=%41+d","user":{"z":1,"a":null}}`, is(signature.MistakeNonASCIIEscaped, signature.MistakeSlashesEscaped)},
	{"a map of strings", `{"activity":"newInstance","flag":"1","name":"张三 <b>&'=","path":"https://a/b?c=%41+d","user":{"z":1,"a":null}}`, is(signature.MistakeScalarsAsText)},
	{"line feed", wrongBody + "\n", is(signature.MistakeNewline)},
	{"CRLF", wrongBody + "\r\n", is(signature.MistakeNewline)},
	{"BOM", "\xef\xbb\xbf" + wrongBody, is(signature.MistakeBOM)},
	{"BOM and Z to A is one too many for a BOM", "\xef\xbb\xbf{}", nil},
	{"empty", "", is(signature.MistakeEmptyBody)},
	{"decoded once too often", strings.ReplaceAll(wrongBody, "%41+d", "A d"), is(signature.MistakeURLDecoded)},
	{"decoded, plus kept", strings.ReplaceAll(wrongBody, "%41+d", "A+d"), is(signature.MistakeURLDecoded)},
	{"encoded", url.QueryEscape(wrongBody), is(signature.MistakeFormEncoded)},
	{"form", "activity=newInstance&flag=1&name=张三 <b>&'=&path=https://a/b?c=%41+d&user={\"z\":1,\"a\":null}", is(signature.MistakeFormEncoded)},
	{"query", "timestamp=" + wrongTime + "&nonce=" + wrongNonce, is(signature.MistakeQuery)},
	{"query the other way", "nonce=" + wrongNonce + "&timestamp=" + wrongTime, is(signature.MistakeQuery)},
	{"JSON string", `"{\"a\":1}"`, nil},
	{"question marks", strings.ReplaceAll(wrongBody, "张三", "??"), is(signature.MistakeCharset)},
	{"Latin-1", strings.ReplaceAll(wrongBody, "张三", "å¼\u00a0ä¸\u0089"), is(signature.MistakeCharset)},
	{"another body", `{"activity":"releaseInstance"}`, nil},
}

func is(m ...signature.Mistake) []signature.Mistake { return m }

func mistakes(findings []signature.Finding) (all []signature.Mistake) {
	for _, f := range findings {
		all = append(all, f.Mistake)
	}
	return all
}

// requireNoKey looks for keys in everything a finding says.
func requireNoKey(t testing.TB, findings []signature.Finding, keys ...string) {
	t.Helper()
	for _, f := range findings {
		require.NotEmpty(t, f.Explanation)
		require.NotEmpty(t, f.Mend)
		for _, key := range keys {
			require.NotContains(t, fmt.Sprintf("%+v", f), key)
		}
	}
}

type explainer struct {
	name    string
	right   func(key, body string) string
	explain func(p signature.Params, body []byte, others ...signature.OtherKey) []signature.Finding
}

func explainers(t testing.TB, cfg signature.Config) []explainer {
	t.Helper()
	if cfg.Keys == nil {
		cfg.Keys = []string{"unused-key", testKey}
	}
	if cfg.Now == nil {
		cfg.Now = at(noon)
	}
	kit, err := signature.NewKit(cfg)
	require.NoError(t, err)
	return []explainer{
		{"base", baseOf, newBase(t, cfg).Explain},
		{"kit", kitOf, kit.Explain},
		{"usage", usageOf, newUsage(t, cfg).Explain},
	}
}

func TestExplain_Bodies(t *testing.T) {
	t.Parallel()
	for _, e := range explainers(t, signature.Config{}) {
		for _, test := range wrongBodies {
			p := signature.Params{Signature: e.right(testKey, test.body), Timestamp: wrongTime, Nonce: wrongNonce}
			got := e.explain(p, []byte(wrongBody))
			require.Equal(t, test.mistakes, mistakes(got), "%s %s", e.name, test.name)
			requireNoKey(t, got, testKey)
		}
	}
}

// Here the body on the wire is the one that is special.
func TestExplain_WireBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wire, signed string
		mistakes     []signature.Mistake
	}{
		"wire has a line feed":      {"not JSON\n", "not JSON", is(signature.MistakeNewline)},
		"wire has a BOM":            {"\ufeff{\"a\":1}", `{"a":1}`, is(signature.MistakeBOM)},
		"wire pretty, unsorted":     {"{\n \"b\" : 1,\n \"a\" : 2\n}", `{"b":1,"a":2}`, is(signature.MistakeReserialised)},
		"escapes kept":              {"{ \"b\":\"\\u5f20\", \"a\":2}", `{"b":"\u5f20","a":2}`, is(signature.MistakeReserialised)},
		"nulls kept":                {`{"b":null,"a":2}`, `{"a":2,"b":null}`, is(signature.MistakeNullsKept)},
		"double encoded":            {`{"a":1}`, `"{\"a\":1}"`, is(signature.MistakeDoubleEncoded)},
		"the last of repeated name": {`{"b":1,"a":2,"b":3}`, `{"b":3,"a":2}`, is(signature.MistakeDescending)},
		"right as it came":          {`{"b":1, "a":2}`, `{"b":1, "a":2}`, nil},
		"right in sorted form":      {`{"b":1, "a":2}`, `{"a":2,"b":1}`, nil},
	} {
		for _, e := range explainers(t, signature.Config{}) {
			p := signature.Params{Signature: e.right(testKey, test.signed), Timestamp: wrongTime, Nonce: wrongNonce}
			require.Equal(t, test.mistakes, mistakes(e.explain(p, []byte(test.wire))), "%s %s", e.name, name)
		}
	}
	sorted := `{"a":{"x":2,"y":1}}`
	for _, e := range explainers(t, signature.Config{})[:2] {
		p := signature.Params{Signature: e.right(testKey, sorted), Timestamp: wrongTime, Nonce: wrongNonce}
		require.Equal(t, is(signature.MistakeNestedSorted), mistakes(e.explain(p, []byte(`{"a":{"y":1,"x":2}}`))), e.name)
	}
}

func TestExplain_Recipes(t *testing.T) {
	t.Parallel()
	const (
		k, n, ts, seconds, b = testKey, wrongNonce, wrongTime, "1680508066", wrongBody
		v1                   = k + ts
	)
	inner := hexHMAC(k, b)
	other := signature.OtherKey{Class: "kit", Key: "the-kit-key"}
	upper := strings.ToUpper
	for i, tests := range [][]struct {
		name, sig string
		mistakes  []signature.Mistake
	}{{
		{"right", baseOf(k, b), nil},
		{"right, upper case", upper(baseOf(k, b)), nil},
		{"keyed as V1, outer", hexHMAC(v1, k+n+ts+inner), is(signature.MistakeKeyAndTimestamp)},
		{"keyed as V1, both", hexHMAC(v1, k+n+ts+hexHMAC(v1, b)), is(signature.MistakeKeyAndTimestamp)},
		{"seconds", hexHMAC(k, k+n+seconds+inner), is(signature.MistakeSeconds)},
		{"Base64", toBase64(baseOf(k, b)), is(signature.MistakeBase64)},
		{"Base64 of the digits", base64.StdEncoding.EncodeToString([]byte(baseOf(k, b))), is(signature.MistakeBase64OfHex)},
		{"inner in upper case", hexHMAC(k, k+n+ts+upper(inner)), is(signature.MistakeInnerUpper)},
		{"inner missing", kitOf(k, b), is(signature.MistakeInnerMissing)},
		{"plain inner", hexHMAC(k, k+n+ts+sha(b)), is(signature.MistakeInnerPlain)},
		{"plain inner in upper case", hexHMAC(k, k+n+ts+upper(sha(b))), is(signature.MistakeInnerPlain, signature.MistakeInnerUpper)},
		{"inner in Base64", hexHMAC(k, k+n+ts+toBase64(inner)), is(signature.MistakeInnerForm)},
		{"key, timestamp, nonce", hexHMAC(k, k+ts+n+inner), is(signature.MistakeOrder)},
		{"timestamp first", hexHMAC(k, ts+n+k+inner), is(signature.MistakeOrder)},
		{"separators", hexHMAC(k, k+"\n"+n+"\n"+ts+"\n"+inner), is(signature.MistakeSeparators)},
		{"key not in the text", hexHMAC(k, n+ts+inner), is(signature.MistakeKeyNotInText)},
		{"body HMAC only", inner, is(signature.MistakeInnerMissing, signature.MistakeBodyAlone)},
		{"as usage", usageOf(k, b), is(signature.MistakeBase64, signature.MistakeInnerMissing, signature.MistakeOtherScheme)},
		{"key with a line feed", baseOf(k+"\n", b), is(signature.MistakeKeyBlanks)},
		{"key with a blank", baseOf(" "+k, b), is(signature.MistakeKeyBlanks)},
		{"Base64 of the key", baseOf(base64.StdEncoding.EncodeToString([]byte(k)), b), is(signature.MistakeKeyBase64)},
		{"other key", baseOf(other.Key, b), is(signature.MistakeOtherKey)},
		{"other key, its recipe", kitOf(other.Key, b), is(signature.MistakeOtherKey, signature.MistakeInnerMissing)},
		{"truncated", baseOf(k, b)[:50], is(signature.MistakeTruncated)},
		{"truncated and a mistake", hexHMAC(k, k+n+seconds+inner)[:32], is(signature.MistakeTruncated, signature.MistakeSeconds)},
		{"too little left", baseOf(k, b)[:15], nil},
		{"quotes", `"` + baseOf(k, b) + `"` + "\n", is(signature.MistakeSignatureWrapped)},
		{"two: seconds, Base64 and no inner", toBase64(hexHMAC(k, k+n+seconds+b)), is(signature.MistakeBase64, signature.MistakeSeconds, signature.MistakeInnerMissing)},
		{"two: V1 key, line feed", hexHMAC(v1, k+n+ts+hexHMAC(k, b+"\n")), is(signature.MistakeKeyAndTimestamp, signature.MistakeNewline)},
		{"two: order and empty body", hexHMAC(k, k+ts+n+hexHMAC(k, "")), is(signature.MistakeEmptyBody, signature.MistakeOrder)},
		{"random", sha("random"), nil},
		{"random Base64", toBase64(sha("random")), nil},
		{"none", "", nil},
		{"garbage", "%zz\x00", nil},
	}, {
		{"right", kitOf(k, b), nil},
		{"keyed as V1", hexHMAC(v1, k+n+ts+b), is(signature.MistakeKeyAndTimestamp)},
		{"seconds", hexHMAC(k, k+n+seconds+b), is(signature.MistakeSeconds)},
		{"Base64", toBase64(kitOf(k, b)), is(signature.MistakeBase64)},
		{"inner present", baseOf(k, b), is(signature.MistakeInnerPresent)},
		{"inner in upper case", hexHMAC(k, k+n+ts+upper(inner)), is(signature.MistakeInnerPresent)},
		{"plain inner", hexHMAC(k, k+n+ts+sha(b)), is(signature.MistakeInnerPlain)},
		{"order", hexHMAC(k, n+k+ts+b), is(signature.MistakeOrder)},
		{"other key", kitOf(other.Key, b), is(signature.MistakeOtherKey)},
		{"truncated", kitOf(k, b)[:63], is(signature.MistakeTruncated)},
		{"body alone", hexHMAC(k, b), is(signature.MistakeBodyAlone)},
		{"random", sha("random"), nil},
	}, {
		{"right", usageOf(k, b), nil},
		{"keyed as V1", base64HMAC(v1, "ts="+ts+"&nonce="+n+"&body="+b), is(signature.MistakeKeyAndTimestamp)},
		{"seconds", base64HMAC(k, "ts="+seconds+"&nonce="+n+"&body="+b), is(signature.MistakeSeconds)},
		{"hexadecimal", hexHMAC(k, "ts="+ts+"&nonce="+n+"&body="+b), is(signature.MistakeHex)},
		{"no padding", strings.TrimRight(usageOf(k, b), "="), is(signature.MistakeBase64Alphabet)},
		{"URL-encoded", url.QueryEscape(usageOf(k, b)), is(signature.MistakeSignatureEscaped)},
		{"order", base64HMAC(k, "nonce="+n+"&ts="+ts+"&body="+b), is(signature.MistakeOrder)},
		{"no names", base64HMAC(k, ts+n+b), is(signature.MistakeNames)},
		{"as base", baseOf(k, b), is(signature.MistakeHex, signature.MistakeInnerPresent, signature.MistakeOtherScheme)},
		{"as kit", kitOf(k, b), is(signature.MistakeHex, signature.MistakeOtherScheme)},
		{"other key", usageOf(other.Key, b), is(signature.MistakeOtherKey)},
		{"truncated", usageOf(k, b)[:30], is(signature.MistakeTruncated)},
		{"body encoded", usageOf(k, url.QueryEscape(b)), is(signature.MistakeFormEncoded)},
		{"random", toBase64(sha("random")), nil},
	}} {
		e := explainers(t, signature.Config{})[i]
		for _, test := range tests {
			p := signature.Params{Signature: test.sig, Timestamp: ts, Nonce: n}
			got := e.explain(p, []byte(b), other)
			require.Equal(t, test.mistakes, mistakes(got), "%s: %s", e.name, test.name)
			requireNoKey(t, got, k, other.Key)
		}
	}
}

func TestExplain_ConfiguredKeyIsTheWrongOne(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(testKey))
	for key, mistake := range map[string]signature.Mistake{
		testKey + "\r\n":                signature.MistakeKeyBlanks,
		"\t " + testKey:                 signature.MistakeKeyBlanks,
		encoded:                         signature.MistakeKeyBase64,
		strings.TrimRight(encoded, "="): signature.MistakeKeyBase64,
	} {
		for _, e := range explainers(t, signature.Config{Keys: []string{key}}) {
			p := signature.Params{Signature: e.right(testKey, wrongBody), Timestamp: wrongTime, Nonce: wrongNonce}
			got := e.explain(p, []byte(wrongBody))
			require.Equal(t, is(mistake), mistakes(got), "%s %q", e.name, key)
			requireNoKey(t, got, key, testKey)
		}
	}
}

func TestExplain_Timestamps(t *testing.T) {
	t.Parallel()
	for _, e := range explainers(t, signature.Config{Now: at(noon.Add(61 * time.Second))}) {
		p := signature.Params{Signature: e.right(testKey, wrongBody), Timestamp: wrongTime, Nonce: wrongNonce}
		require.Equal(t, is(signature.MistakeStale), mistakes(e.explain(p, []byte(wrongBody))), e.name)
		p.Signature = e.right(testKey, wrongBody+"\n")
		require.Equal(t, is(signature.MistakeNewline, signature.MistakeStale), mistakes(e.explain(p, []byte(wrongBody))), e.name)
	}
	for i, e := range explainers(t, signature.Config{}) {
		// The call has seconds, the text milliseconds: those that were cut off are found by trying.
		p := signature.Params{Signature: e.right(testKey, wrongBody), Timestamp: wrongTime[:10], Nonce: wrongNonce}
		want := is(signature.MistakeMilliseconds)
		if i > 0 {
			want = is(signature.MistakeMilliseconds, signature.MistakeTimestampForm)
		}
		require.Equal(t, want, mistakes(e.explain(p, []byte(wrongBody))), e.name)
	}
	kit, err := signature.NewKit(signature.Config{Keys: []string{testKey}, Now: at(noon)})
	require.NoError(t, err)
	p := signature.Params{Signature: kit.SignAt(nil, "20230403074746618", "n"), Timestamp: "20230403074746618", Nonce: "n"}
	require.Equal(t, is(signature.MistakeTimestampForm), mistakes(kit.Explain(p, nil)))
}

// Looking for two mistakes in a big body would cost too much; one is still looked for.
func TestExplain_BigBodies(t *testing.T) {
	t.Parallel()
	body := `{"a":"` + strings.Repeat("x", 1<<15) + `"}`
	for _, e := range explainers(t, signature.Config{}) {
		p := signature.Params{Signature: e.right(testKey, body+"\n"), Timestamp: wrongTime, Nonce: wrongNonce}
		require.Equal(t, is(signature.MistakeNewline), mistakes(e.explain(p, []byte(body))), e.name)
		p.Signature = e.right(testKey+"\n", body+"\n")
		require.Empty(t, e.explain(p, []byte(body)), e.name)
	}
}

func TestExplain_RecordsNoNonce(t *testing.T) {
	t.Parallel()
	guard := signature.NewReplayGuard(0, at(noon))
	base := newBase(t, signature.Config{Nonces: guard})
	p, err := base.Sign(nil)
	require.NoError(t, err)
	require.Empty(t, base.Explain(p, nil))
	require.Zero(t, guard.Len())
}

func TestV1ExplainQuery(t *testing.T) {
	t.Parallel()
	const ts, key = "20200727073711903", testKey
	q := url.Values{
		"activity": {"newInstance"}, "Zone": {"a b+c"}, "name": {"张三", "second"}, "empty": {""}, "pct": {"100%41"},
		"timeStamp": {ts},
	}
	const text = "Zone=a b+c&activity=newInstance&empty=&name=张三&pct=100%41&timeStamp=" + ts
	other := signature.OtherKey{Class: "general", Key: "the-general-key"}
	v1 := newV1(t, signature.V1Config{})
	for name, test := range map[string]struct {
		token    string
		mistakes []signature.Mistake
	}{
		"right":                {base64HMAC(key+ts, text), nil},
		"random":               {toBase64(sha("x")), nil},
		"none":                 {"", nil},
		"hexadecimal":          {hexHMAC(key+ts, text), is(signature.MistakeHex)},
		"key alone":            {base64HMAC(key, text), is(signature.MistakeKeyWithoutTimestamp)},
		"time before key":      {base64HMAC(ts+key, text), is(signature.MistakeOrder)},
		"Z to A":               {base64HMAC(key+ts, "timeStamp="+ts+"&pct=100%41&name=张三&empty=&activity=newInstance&Zone=a b+c"), is(signature.MistakeDescending)},
		"letter case":          {base64HMAC(key+ts, "activity=newInstance&empty=&name=张三&pct=100%41&timeStamp="+ts+"&Zone=a b+c"), is(signature.MistakeCaseIgnored)},
		"empty dropped":        {base64HMAC(key+ts, strings.Replace(text, "empty=&", "", 1)), is(signature.MistakeEmptyDropped)},
		"no timeStamp":         {base64HMAC(key+ts, strings.TrimSuffix(text, "&timeStamp="+ts)), is(signature.MistakeTimestampLeftOut)},
		"escaped":              {base64HMAC(key+ts, "Zone=a+b%2Bc&activity=newInstance&empty=&name=%E5%BC%A0%E4%B8%89&pct=100%2541&timeStamp="+ts), is(signature.MistakeValuesEscaped)},
		"escaped as PHP":       {base64HMAC(key+ts, "Zone=a%20b%2Bc&activity=newInstance&empty=&name=%E5%BC%A0%E4%B8%89&pct=100%2541&timeStamp="+ts), is(signature.MistakeValuesEscaped)},
		"decoded twice":        {base64HMAC(key+ts, "Zone=a b c&activity=newInstance&empty=&name=张三&pct=100A&timeStamp="+ts), is(signature.MistakeURLDecoded)},
		"plus for blank":       {base64HMAC(key+ts, strings.Replace(text, "a b+c", "a+b+c", 1)), is(signature.MistakeBlankForPlus)},
		"last value":           {base64HMAC(key+ts, strings.Replace(text, "张三", "second", 1)), is(signature.MistakeLastValue)},
		"no separators":        {base64HMAC(key+ts, strings.NewReplacer("&", "", "=", "").Replace(text)), is(signature.MistakeSeparators)},
		"trailing separator":   {base64HMAC(key+ts, text+"&"), is(signature.MistakeSeparators)},
		"other key":            {base64HMAC(other.Key+ts, text), is(signature.MistakeOtherKey)},
		"key with a line feed": {base64HMAC(key+"\n"+ts, text), is(signature.MistakeKeyBlanks)},
		"truncated":            {base64HMAC(key+ts, text)[:40], is(signature.MistakeTruncated)},
		"blank in the token":   {strings.ReplaceAll(base64HMAC(key+ts, text), "+", " "), nil},
		"escaped, key alone":   {base64HMAC(key, "Zone=a+b%2Bc&activity=newInstance&empty=&name=%E5%BC%A0%E4%B8%89&pct=100%2541&timeStamp="+ts), is(signature.MistakeKeyWithoutTimestamp, signature.MistakeValuesEscaped)},
	} {
		q.Set("authToken", test.token)
		got := v1.ExplainQuery(q, other)
		require.Equal(t, test.mistakes, mistakes(got), name)
		requireNoKey(t, got, key, other.Key)
	}
	q.Set("authToken", base64HMAC(key+ts, text))
	old := newV1(t, signature.V1Config{Leeway: time.Minute, Now: at(noon)})
	require.Equal(t, is(signature.MistakeStale), mistakes(old.ExplainQuery(q)))
	q.Set("timeStamp", "now")
	q.Set("authToken", base64HMAC(key+"now", strings.Replace(text, ts, "now", 1)))
	require.Equal(t, is(signature.MistakeTimestampForm), mistakes(old.ExplainQuery(q)))
	q.Del("timeStamp")
	require.Empty(t, v1.ExplainQuery(q))
}

// Every right vector of every scheme, and each with one byte changed, leads to no claim at all.
func TestExplain_ClaimsNothingFalse(t *testing.T) {
	t.Parallel()
	for _, v := range v2Vectors(t, "base", 6) {
		base, err := signature.NewBase(v.config())
		require.NoError(t, err)
		require.Empty(t, base.Explain(v.params(), []byte(v.Body)), v.Name)
		p := v.params()
		for i := range 8 {
			mac := hmac.New(sha256.New, []byte{byte(i)})
			p.Signature = hex.EncodeToString(mac.Sum(nil))
			require.Empty(t, base.Explain(p, []byte(v.Body)), v.Name)
		}
	}
	for _, v := range v2Vectors(t, "kit", 3) {
		kit, err := signature.NewKit(v.config())
		require.NoError(t, err)
		require.Empty(t, kit.Explain(v.params(), []byte(v.Body)), v.Name)
		require.Empty(t, kit.Explain(v.params(), []byte(strings.Replace(v.Body, "i", "j", 1))), v.Name)
	}
}

func BenchmarkExplain_Nothing(b *testing.B) {
	base := newBase(b, signature.Config{})
	p := signature.Params{Signature: sha("random"), Timestamp: wrongTime, Nonce: wrongNonce}
	b.ReportAllocs()
	for b.Loop() {
		if len(base.Explain(p, kilobyte)) > 0 {
			b.Fatal("a false claim")
		}
	}
}
