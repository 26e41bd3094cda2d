package provider

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzMembers compares the splitter with encoding/json.
func FuzzMembers(f *testing.F) {
	for _, body := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":{"b":["]}\""]},"c":[],"d":{},"e":"\\","f":-1.5e3 , "g" : null }`, `{"":""}`, `{"\u0061":true}`, `[1]`, `"x"`, `{"a":1,"a":2}`,
		"{\n\"a\"\t:\r1\n,\n\"b\":\"x\"\n}\n",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !isObject(body) {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatal(err)
		}
		got, n := map[string]json.RawMessage{}, 0
		for name, value := range members(body) {
			got[unquote(name)] = value
			n++
		}
		if len(got) != len(want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		for name, value := range want {
			if string(got[name]) != string(value) {
				t.Fatalf("%q: got %s, want %s", name, got[name], value)
			}
		}
		if _, twice := readFields(body); (n > len(want)) != (twice != "" || strings.Contains(string(body), `""`) && n > len(want)) {
			t.Fatalf("twice is %q for %d members of %d names", twice, n, len(want))
		}
		if peekActivity(body) != unquote(want["activity"]) {
			t.Fatal("the activity is another one")
		}
	})
}
