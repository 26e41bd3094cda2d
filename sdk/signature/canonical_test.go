package signature_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sdk/signature"
)

var canonicalBodies = []struct{ name, body, top, deep string }{
	{"sorted already", `{"a":1,"b":2}`, `{"a":1,"b":2}`, `{"a":1,"b":2}`},
	{"unsorted with blanks", "{ \"b\" : 2 ,\r\n\t\"a\" : 1 }\n", `{"a":1,"b":2}`, `{"a":1,"b":2}`},
	{"empty object", " { } ", `{}`, `{}`},
	{"nulls dropped at the top", `{"b":null,"a":null,"c":0}`, `{"c":0}`, `{"c":0}`},
	{"empty strings kept", `{"b":"","a":[]}`, `{"a":[],"b":""}`, `{"a":[],"b":""}`},
	{
		"nested order and nulls kept", `{"b":{"z":1, "a":null},"a":[ {"y":1,"x":2} , null ]}`,
		`{"a":[{"y":1,"x":2},null],"b":{"z":1,"a":null}}`, `{"a":[{"x":2,"y":1},null],"b":{"a":null,"z":1}}`,
	},
	{"numbers keep their digits", `{"c":1.50,"b":10000000000000000000001,"a":-0E+2}`, `{"a":-0E+2,"b":10000000000000000000001,"c":1.50}`, `{"a":-0E+2,"b":10000000000000000000001,"c":1.50}`},
	{"true and false", `{"b":true,"a":false}`, `{"a":false,"b":true}`, `{"a":false,"b":true}`},
	{"upper before lower case", `{"a":1,"B":2,"_":3}`, `{"B":2,"_":3,"a":1}`, `{"B":2,"_":3,"a":1}`},
	{"a prefix first", `{"orderLineId":1,"orderId":2,"order":3}`, `{"order":3,"orderId":2,"orderLineId":1}`, `{"order":3,"orderId":2,"orderLineId":1}`},
	{"the last of two counts", `{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`, `{"a":3,"b":2}`},
	{"the last of two is null", `{"a":1,"a":null}`, `{}`, `{}`},
	{"the first of two is null", `{"a":null,"a":1}`, `{"a":1}`, `{"a":1}`},
	{"the same name escaped", `{"a":1,"\u0061":2}`, `{"a":2}`, `{"a":2}`},
	{"nested names twice", `{"o":{"b":1,"a":1,"b":2}}`, `{"o":{"b":1,"a":1,"b":2}}`, `{"o":{"a":1,"b":2}}`},
	{"no HTML escaping", `{"a":"<b>&\u003c\/b\u003E"}`, `{"a":"<b>&</b>"}`, `{"a":"<b>&</b>"}`},
	{"non-ASCII raw", `{"a":"实例\u5b9e\u2028\ud83d\ude00"}`, "{\"a\":\"实例实\u2028😀\"}", "{\"a\":\"实例实\u2028😀\"}"},
	{"control characters as Jackson", `{"a":"\u0001\u001f\u0008\u000c\u000a\u000d\u0009\u007f\"\\"}`, `{"a":"\u0001\u001F\b\f\n\r\t` + "\x7f" + `\"\\"}`, `{"a":"\u0001\u001F\b\f\n\r\t` + "\x7f" + `\"\\"}`},
	{"sorted by the name, not by its escapes", `{"#":1,"\"":2,"!":3}`, `{"!":3,"\"":2,"#":1}`, `{"!":3,"\"":2,"#":1}`},
	{"an empty name", `{"a":1,"":2}`, `{"":2,"a":1}`, `{"":2,"a":1}`},
	{"text that looks like null", `{"a":"null"}`, `{"a":"null"}`, `{"a":"null"}`},
}

func TestCanonicalBody(t *testing.T) {
	t.Parallel()
	for _, test := range canonicalBodies {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			body := []byte(test.body)
			top, ok := signature.CanonicalBody(body)
			require.True(t, ok)
			require.Equal(t, test.top, string(top))
			deep, ok := signature.CanonicalUsageBody(body)
			require.True(t, ok)
			require.Equal(t, test.deep, string(deep))
			require.Equal(t, test.body, string(body), "the body itself is left alone")
			require.NoError(t, checkCanonical(body))
		})
	}
}

func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels) + "1" + strings.Repeat("}", levels)
}

func TestCanonicalBody_NoSuchForm(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty": "", "blank": " ", "text": "hello", "array": "[1]", "string": `"a"`, "null": "null", "cut off": `{"a":1`,
		"two objects": `{}{}`, "trailing comma": `{"a":1,}`, "not UTF-8": "{\"a\":\"\xff\"}",
		"half a pair":               `{"a":"\ud800"}`,
		"the other half":            `{"a":"\uDC00"}`,
		"half a pair, then more":    `{"a":"\ud800\u0041"}`,
		"half a pair in a name":     `{"\ud800x":1}`,
		"two first halves":          `{"a":"\ud800\ud800"}`,
		"65 levels":                 nested(65),
		"a million levels":          nested(1_000_000),
		"a million array levels":    `{"a":` + strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000) + "}",
		"nine thousand levels flat": `{"a":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "}",
	} {
		_, ok := signature.CanonicalBody([]byte(body))
		require.False(t, ok, name)
		_, ok = signature.CanonicalUsageBody([]byte(body))
		require.False(t, ok, name)
	}
	_, ok := signature.CanonicalBody([]byte(nested(64)))
	require.True(t, ok)
}

func FuzzCanonicalBody(f *testing.F) {
	for _, test := range canonicalBodies {
		f.Add([]byte(test.body))
	}
	for _, v := range append(v2Vectors(f, "base", 6), v2Vectors(f, "usage", 1)...) {
		f.Add([]byte(v.Body))
	}
	f.Add([]byte(`{"a":"\ud800"}`))
	f.Add([]byte(nested(65)))
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := checkCanonical(body); err != nil {
			t.Fatal(err)
		}
	})
}

// checkCanonical compares both canonical forms with a plain decode-and-encode and puts them through a second time.
func checkCanonical(body []byte) error {
	for _, form := range []struct {
		name      string
		canonical func([]byte) ([]byte, bool)
		deep      bool
	}{{"CanonicalBody", signature.CanonicalBody, false}, {"CanonicalUsageBody", signature.CanonicalUsageBody, true}} {
		got, ok := form.canonical(body)
		want, wantOK := reference(body, form.deep)
		if ok != wantOK || !bytes.Equal(got, want) && ok {
			return fmt.Errorf("%s(%q) = %q, %v, expected %q, %v", form.name, body, got, ok, want, wantOK)
		}
		if !ok {
			continue
		}
		if again, ok := form.canonical(got); !ok || !bytes.Equal(again, got) {
			return fmt.Errorf("%s(%q) = %q, %v, expected the same again", form.name, got, again, ok)
		}
	}
	return nil
}

var (
	surrogate     = regexp.MustCompile(`^\\u[dD][89a-fA-F]`)
	surrogatePair = regexp.MustCompile(`^\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}`)
)

// lonely reports whether an escaped surrogate stands alone, reading escapes from the left.
func lonely(body string) bool {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		switch {
		case surrogatePair.MatchString(body[i:]):
			i += 11
		case surrogate.MatchString(body[i:]):
			return true
		default:
			i++
		}
	}
	return false
}

type pair struct{ name, value string }

// reference reads tokens and writes strings, as simply as can be.
func reference(body []byte, deep bool) ([]byte, bool) {
	if !json.Valid(body) || !utf8.Valid(body) || lonely(string(body)) || !strings.HasPrefix(strings.TrimLeft(string(body), " \t\r\n"), "{") {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	out, ok := referenceValue(d, 0, deep)
	if _, err := d.Token(); err != io.EOF {
		panic("more tokens in valid JSON")
	}
	return []byte(out), ok
}

func referenceValue(d *json.Decoder, depth int, deep bool) (string, bool) {
	token, err := d.Token()
	if err != nil {
		panic(err)
	}
	ok := true
	switch token := token.(type) {
	case json.Delim:
		var pairs []pair
		for d.More() {
			var p pair
			if token == '{' {
				name, err := d.Token()
				if err != nil {
					panic(err)
				}
				p.name = name.(string)
			}
			var valueOK bool
			p.value, valueOK = referenceValue(d, depth+1, deep)
			ok = ok && valueOK
			pairs = append(pairs, p)
		}
		if _, err := d.Token(); err != nil {
			panic(err)
		}
		ok = ok && depth < 64
		if token == '[' {
			var values []string
			for _, p := range pairs {
				values = append(values, p.value)
			}
			return "[" + strings.Join(values, ",") + "]", ok
		}
		if depth == 0 || deep {
			last := map[string]string{}
			for _, p := range pairs {
				last[p.name] = p.value
			}
			pairs = nil
			for name, value := range last {
				if value != "null" || depth > 0 {
					pairs = append(pairs, pair{name, value})
				}
			}
			slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.name, b.name) })
		}
		var members []string
		for _, p := range pairs {
			members = append(members, referenceText(p.name)+":"+p.value)
		}
		return "{" + strings.Join(members, ",") + "}", ok
	case string:
		return referenceText(token), true
	case nil:
		return "null", true
	default:
		return fmt.Sprint(token), true
	}
}

func referenceText(s string) string {
	var b strings.Builder
	short := strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	for _, r := range short.Replace(s) {
		if r < ' ' {
			fmt.Fprintf(&b, `\u%04X`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}
