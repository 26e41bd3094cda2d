package signature

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a body that is put into canonical form. No body of the contract nests deeper than four;
// without a bound, sorting at every level would cost depth times size.
const maxDepth = 64

// CanonicalBody returns body in the sorted compact form that the vendor's sample project signs: the names of the top level
// in ascending byte order, top-level nulls left out, no blanks. Everything nested keeps its order and its nulls; numbers
// keep their digits; strings escape only the quote, the backslash and control characters, and the rest is raw UTF-8. Of a
// name given twice the last one counts, as in most decoders. Ours: not published, because the sample cannot read it, is
// that nested objects are taken over in arrival order.
//
// ok is false if there is no such form: body is not one valid JSON object in UTF-8, holds half of a surrogate pair, or
// nests deeper than 64 levels. body is not modified.
func CanonicalBody(body []byte) (canonical []byte, ok bool) { return canonicalJSON(body, false) }

// CanonicalUsageBody is [CanonicalBody] with the names in ascending order at every level, the reading of "natural order"
// that the usage push admits besides the other. Nested nulls stay. Ours: not published.
func CanonicalUsageBody(body []byte) (canonical []byte, ok bool) { return canonicalJSON(body, true) }

func canonicalJSON(body []byte, deep bool) ([]byte, bool) {
	if !json.Valid(body) || !utf8.Valid(body) {
		return nil, false
	}
	w := walker{src: body, deep: deep}
	if w.next() != '{' {
		return nil, false
	}
	out := w.sorted(make([]byte, 0, len(body)), 1)
	return out, !w.failed
}

// walker copies JSON that is known to be valid from src in compact form.
type walker struct {
	src    []byte
	pos    int
	deep   bool // sort at every level
	failed bool
}

// next skips blanks and returns the byte at the new position.
func (w *walker) next() byte {
	for {
		switch c := w.src[w.pos]; c {
		case ' ', '\t', '\r', '\n':
			w.pos++
		default:
			return c
		}
	}
}

// member is one name and value that sorted has written as out[start:end].
type member struct {
	name       []byte
	start, end int
	null       bool
}

// sorted appends the object at pos with its members in order of their names. depth is that of the object, 1 at the top.
func (w *walker) sorted(out []byte, depth int) []byte {
	var members []member
	start := len(out)
	for w.pos++; w.next() != '}'; {
		if w.src[w.pos] == ',' {
			w.pos++
			w.next()
		}
		m := member{name: w.text(), start: len(out)}
		out = append(appendText(out, m.name), ':')
		w.next()
		w.pos++ // the colon
		value := len(out)
		out = w.value(out, depth)
		if w.failed {
			return out
		}
		m.end, m.null = len(out), depth == 1 && string(out[value:]) == "null"
		members = append(members, m)
	}
	w.pos++

	slices.SortStableFunc(members, func(a, b member) int { return bytes.Compare(a.name, b.name) })
	written := slices.Clone(out[start:])
	out = append(out[:start], '{')
	for i, m := range members {
		if m.null || i+1 < len(members) && bytes.Equal(m.name, members[i+1].name) {
			continue
		}
		if len(out) > start+1 {
			out = append(out, ',')
		}
		out = append(out, written[m.start-start:m.end-start]...)
	}
	return append(out, '}')
}

// value appends the value at pos, which belongs to a container of the given depth.
func (w *walker) value(out []byte, depth int) []byte {
	c := w.next()
	switch {
	case w.failed:
		return out
	case c == '"':
		return appendText(out, w.text())
	case c != '{' && c != '[':
		return w.literal(out)
	case depth == maxDepth:
		w.failed = true
		return out
	case c == '{' && w.deep:
		return w.sorted(out, depth+1)
	default:
		return w.container(out, depth+1)
	}
}

// container appends the object or array at pos in arrival order.
func (w *walker) container(out []byte, depth int) []byte {
	out = append(out, w.src[w.pos])
	w.pos++
	for {
		switch c := w.next(); c {
		case ',', ':':
			out = append(out, c)
			w.pos++
		case '}', ']':
			w.pos++
			return append(out, c)
		default:
			if out = w.value(out, depth); w.failed {
				return out
			}
		}
	}
}

// literal appends the number, true, false or null at pos.
func (w *walker) literal(out []byte) []byte {
	start := w.pos
	for w.pos < len(w.src) && bytes.IndexByte([]byte(" \t\r\n,:]}"), w.src[w.pos]) < 0 {
		w.pos++
	}
	return append(out, w.src[start:w.pos]...)
}

// text returns the string at pos without its quotes and escapes.
func (w *walker) text() []byte {
	start := w.pos + 1
	end := start
	escaped := false
	for ; w.src[end] != '"'; end++ {
		if w.src[end] == '\\' {
			escaped = true
			end++
		}
	}
	w.pos = end + 1
	raw := w.src[start:end]
	if !escaped {
		return raw
	}
	var s string
	if !pairedSurrogates(raw) || json.Unmarshal(w.src[start-1:end+1], &s) != nil {
		w.failed = true
	}
	return []byte(s)
}

// pairedSurrogates reports whether every \uD800 to \uDFFF in the escaped string is half of a pair. A lone half has no form in
// UTF-8, and decoders disagree about what to make of it.
func pairedSurrogates(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		switch half(raw[i:]) {
		case 'h':
			if i+6 >= len(raw) || raw[i+5] != '\\' || half(raw[i+6:]) != 'l' {
				return false
			}
			i += 6
		case 'l':
			return false
		}
	}
	return true
}

// half says whether s starts with uD8.. to uDB.. ('h', high) or uDC.. to uDF.. ('l', low).
func half(s []byte) byte {
	if len(s) < 5 || s[0] != 'u' || s[1]|0x20 != 'd' {
		return 0
	}
	switch c := s[2] | 0x20; {
	case c == '8' || c == '9' || c == 'a' || c == 'b':
		return 'h'
	case c >= 'c' && c <= 'f':
		return 'l'
	}
	return 0
}

// appendText appends s as a JSON string the way Jackson, the library of the vendor's sample project, writes it.
func appendText(out, s []byte) []byte {
	const upperHex = "0123456789ABCDEF"
	out = append(out, '"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c >= ' ':
			out = append(out, c)
		case c == '\b':
			out = append(out, `\b`...)
		case c == '\f':
			out = append(out, `\f`...)
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		default:
			out = append(out, '\\', 'u', '0', '0', upperHex[c>>4], upperHex[c&15])
		}
	}
	return append(out, '"')
}
