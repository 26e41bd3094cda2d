// Package redact hides what a text, which somebody else wrote, gives by names that promise a secret.
package redact

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Hidden stands in the place of what is not shown.
const Hidden = "***"

var separators = strings.NewReplacer("_", "", "-", "", ".", "")

// SoundsSecret tells whether a name promises a secret: password, client_secret, accessToken and so on.
func SoundsSecret(name string) bool {
	plain := separators.Replace(strings.ToLower(name))
	for _, word := range []string{"password", "passwd", "pwd", "passphrase", "secret", "token", "credential", "apikey", "accesskey", "privatekey"} {
		if strings.Contains(plain, word) {
			return true
		}
	}
	return false
}

// Where the text is no JSON, or only the beginning of it, assigned finds a name and what stands between it and its value, as in name=value and
// "name": "value"; and given finds the value. Of a list or an object nobody knows where it ends, so it is all the rest.
var (
	assigned = regexp.MustCompile(`([A-Za-z0-9_.-]+)["']?\s*[:=]\s*`)
	given    = regexp.MustCompile(`^(?:"(?:[^"\\]|\\.)*(?:"|\\?$)|'[^']*'?|[\[{](?s:.*)|[^\s"'&,;<>{}\[\]]+)`)
)

// Text hides what a text, which somebody else wrote, gives by names that promise a secret. Everything else stays as it is, byte by byte.
func Text(text string) string {
	if !suspicious(text) {
		return text
	}
	if values, ok := secretValues([]byte(text)); ok {
		var b strings.Builder
		from := 0
		for _, v := range values {
			b.WriteString(text[from:v[0]])
			b.WriteString(`"` + Hidden + `"`)
			from = v[1]
		}
		return b.String() + text[from:]
	}
	var b strings.Builder
	from := 0
	for _, p := range assignments(text) {
		quote := text[p[0] : p[0]+1]
		if quote != `"` && quote != "'" {
			quote = ""
		}
		b.WriteString(text[from:p[0]] + quote + Hidden + quote)
		from = p[1]
	}
	return b.String() + text[from:]
}

// assignments finds the places of all values in a text that is no JSON, that are given by a name that promises a secret.
func assignments(text string) (places [][2]int) {
	for from := 0; ; {
		found := assigned.FindStringSubmatchIndex(text[from:])
		if found == nil {
			return places
		}
		name := text[from+found[2] : from+found[3]]
		from += found[1]
		if !SoundsSecret(name) {
			continue
		}
		if value := given.FindString(text[from:]); value != "" {
			places = append(places, [2]int{from, from + len(value)})
			from += len(value)
		}
	}
}

// suspicious finds texts that have to be looked at. In JSON, a name may be written with escapes. It is run on everything that is journaled,
// and a regular expression would take longer than the rest of the journal.
func suspicious(text string) bool {
	for i := range len(text) {
		var words []string
		switch text[i] {
		case 'p', 'P':
			words = []string{"pass", "pwd"}
		case 's', 'S':
			words = []string{"secret"}
		case 't', 'T':
			words = []string{"token"}
		case 'c', 'C':
			words = []string{"credential"}
		case 'k', 'K':
			words = []string{"key"}
		case '\\':
			words = []string{`\u`}
		case 0xC5, 0xE2: // the long s and the sign of Kelvin, which are an s and a k whatever their case
			words = []string{"\u017F", "\u212A"}
		}
		for _, w := range words {
			if len(text)-i >= len(w) && (text[i:i+len(w)] == w || strings.EqualFold(text[i:i+len(w)], w)) {
				return true
			}
		}
	}
	return false
}

// secretValues finds the places of all values in a JSON text that stand under a name that promises a secret, in their order. It is not ok
// for what is no JSON.
func secretValues(text []byte) (places [][2]int, ok bool) {
	if !json.Valid(text) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	// level is an object or list that is open.
	type level struct {
		object bool
		value  bool // in an object: a value comes next
		secret bool // everything in it is hidden
	}
	var open []level
	hide := false // the next value is hidden
	begin := 0    // of the outermost hidden value
	for {
		before := int(d.InputOffset())
		token, err := d.Token()
		if err != nil {
			return places, true // the end
		}
		after := int(d.InputOffset())
		in := level{}
		if len(open) > 0 {
			in = open[len(open)-1]
		}
		delim, isDelim := token.(json.Delim)
		if name, isName := token.(string); isName && in.object && !in.value {
			open[len(open)-1].value = true
			hide = !in.secret && SoundsSecret(name)
			continue
		}
		if isDelim && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			if in.secret && (len(open) == 0 || !open[len(open)-1].secret) {
				places = append(places, [2]int{begin, after})
			}
		} else {
			start := before + bytes.IndexFunc(text[before:after], func(r rune) bool { return !strings.ContainsRune(" \t\r\n:,", r) })
			switch {
			case isDelim:
				if hide {
					begin = start
				}
				open = append(open, level{object: delim == '{', secret: hide || in.secret})
				hide = false
				continue
			case hide:
				places = append(places, [2]int{start, after})
			}
			hide = false
		}
		if len(open) > 0 && open[len(open)-1].object {
			open[len(open)-1].value = false
		}
	}
}

// Values are the texts and numbers that stand under names that promise a secret, to be hidden elsewhere too. Of a text that is no JSON, or only
// the beginning of it, they are what [Text] hides, without quotes.
func Values(text string) []string {
	if !suspicious(text) {
		return nil
	}
	places, ok := secretValues([]byte(text))
	if !ok {
		places = assignments(text)
	}
	var found []string
	for _, p := range places {
		var v any
		d := json.NewDecoder(strings.NewReader(text[p[0]:p[1]]))
		d.UseNumber()
		if d.Decode(&v) == nil {
			found = leaves(v, found)
		} else if !ok {
			found = append(found, strings.Trim(text[p[0]:p[1]], `"'`))
		}
	}
	return found
}

func leaves(v any, found []string) []string {
	switch v := v.(type) {
	case string:
		return append(found, v)
	case json.Number:
		return append(found, v.String())
	case []any:
		for _, e := range v {
			found = leaves(e, found)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			found = leaves(v[name], found)
		}
	}
	return found
}
