package provider

import (
	"bytes"
	"encoding/json"
	"iter"
	"unicode/utf8"
)

// isObject reports whether body is one JSON object in UTF-8, which is what members wants.
func isObject(body []byte) bool {
	if !json.Valid(body) || !utf8.Valid(body) {
		return false
	}
	return body[blanks(body, 0)] == '{'
}

// members yields names, in their quotes as they came, and values of a JSON object's top level. The object was found valid before.
// It is not decoded into a struct because encoding/json takes "ORDERID" for orderId, so that what is checked and what is used
// could differ; and not into a map before the signature is right, because a stranger's map can be many times his body.
func members(object []byte) iter.Seq2[[]byte, json.RawMessage] {
	return func(yield func([]byte, json.RawMessage) bool) {
		i := blanks(object, blanks(object, 0)+1)
		for object[i] != '}' {
			nameEnd := skip(object, i)
			name := object[i:nameEnd]
			i = blanks(object, blanks(object, nameEnd)+1) // behind the colon
			valueEnd := skip(object, i)
			if !yield(name, object[i:valueEnd:valueEnd]) {
				return
			}
			if i = blanks(object, valueEnd); object[i] == ',' {
				i = blanks(object, i+1)
			}
		}
	}
}

// blanks returns the position of the first byte at or after i that is no JSON white space.
func blanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skip returns the position behind the value, or the text, that starts at i.
func skip(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of a number or literal
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// unquote decodes a JSON text; anything else is "".
func unquote(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' {
		return ""
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var text string
	_ = json.Unmarshal(raw, &text)
	return text
}

// peekActivity reads the activity of a body nobody has vouched for, to choose the key that checks it.
func peekActivity(object []byte) (activity string) {
	for name, value := range members(object) {
		if string(name) == `"activity"` || bytes.IndexByte(name, '\\') >= 0 && unquote(name) == "activity" {
			activity = unquote(value)
		}
	}
	return activity
}

// fields are the top-level fields of a body.
type fields map[string]json.RawMessage

// readFields takes an object apart; twice is a name that stands in it more than once.
func readFields(object []byte) (f fields, twice string) {
	f = make(fields, 8)
	for name, value := range members(object) {
		key := unquote(name)
		if _, ok := f[key]; ok {
			return nil, key
		}
		f[key] = value
	}
	return f, ""
}

// text is a field that the contract check found to be text, null or absent.
func (f fields) text(name string) string { return unquote(f[name]) }
