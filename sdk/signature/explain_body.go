package signature

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// variants collects forms of the body; of one that comes up in several ways the way with the fewest mistakes stays.
type variants struct {
	most int
	all  []choice[string]
	at   map[string]int
}

func (v *variants) add(body string, findings ...Finding) {
	if len(findings) > v.most {
		return
	}
	i, known := v.at[body]
	switch {
	case !known:
		v.at[body] = len(v.all)
		v.all = append(v.all, choice[string]{value: body, findings: findings})
	case len(findings) < len(v.all[i].findings):
		v.all[i].findings = findings
	}
}

// bodyChoices returns the forms of the body that a verifier takes and those that signers are known to make of it.
func bodyChoices(s *scheme, body []byte, p Params, most int) []choice[string] {
	v := &variants{most: most, at: map[string]int{}}
	v.add(string(body))
	right := []string{string(body)}
	for _, form := range s.forms {
		if other, ok := form(body); ok {
			v.add(string(other))
			right = append(right, string(other))
		}
	}
	for _, b := range right {
		v.around(b)
		v.escaped(b)
		v.charset(b)
	}
	v.add("", emptyBody)
	v.add("{}", emptyBody)
	v.add("null", emptyBody)
	v.add("timestamp="+p.Timestamp+"&nonce="+p.Nonce, querySigned)
	v.add("nonce="+p.Nonce+"&timestamp="+p.Timestamp, querySigned)
	v.add("?timestamp="+p.Timestamp+"&nonce="+p.Nonce, querySigned)
	v.add("?nonce="+p.Nonce+"&timestamp="+p.Timestamp, querySigned)
	var compact bytes.Buffer
	if json.Compact(&compact, body) == nil {
		v.add(compact.String(), reserialised)
	}
	fields, ok := topFields(body)
	if !ok {
		return v.all
	}
	v.form(fields)
	v.serialised(fields)
	return v.all
}

// around adds b with something before or behind it, and without.
func (v *variants) around(b string) {
	const bom = "\ufeff"
	v.add(b+"\n", newline)
	v.add(b+"\r\n", newline)
	v.add(strings.TrimSpace(b), newline)
	v.add(bom+b, byteOrderMark)
	if without, ok := strings.CutPrefix(b, bom); ok {
		v.add(without, byteOrderMark)
		if canonical, ok := CanonicalBody([]byte(without)); ok {
			v.add(string(canonical), byteOrderMark)
		}
	}
	if literal, err := json.Marshal(b); err == nil {
		v.add(string(literal), doubleEncoded)
	}
}

func (v *variants) escaped(b string) {
	v.add(url.QueryEscape(b), formEncoded)
	v.add(url.PathEscape(b), formEncoded)
	v.add(strings.ReplaceAll(url.QueryEscape(b), "+", "%20"), formEncoded)
	once, twice := b, b
	for range 2 {
		if decoded, err := url.QueryUnescape(once); err == nil {
			v.add(decoded, urlDecoded)
			once = decoded
		}
		if decoded, err := url.PathUnescape(twice); err == nil {
			v.add(decoded, urlDecoded)
			twice = decoded
		}
	}
}

// charset adds b as a program with the wrong character set would write it.
func (v *variants) charset(b string) {
	var latin, asked strings.Builder
	for i := range len(b) {
		latin.WriteRune(rune(b[i]))
	}
	for _, r := range b {
		if r >= utf8.RuneSelf {
			r = '?'
		}
		asked.WriteRune(r)
	}
	v.add(latin.String(), charset)
	v.add(asked.String(), charset)
}

// form adds the fields as name=value.
func (v *variants) form(fields []topField) {
	values := url.Values{}
	var arrival v1Pairs
	for _, f := range fields {
		value := string(f.value)
		if f.value[0] == '"' && json.Unmarshal(f.value, &value) != nil {
			return
		}
		arrival = append(arrival, v1Pair{string(f.name), value})
		values.Set(string(f.name), value)
	}
	sorted := slices.Clone(arrival)
	sorted.sort()
	v.add(string(arrival.text()), formEncoded)
	v.add(string(sorted.text()), formEncoded)
	v.add(values.Encode(), formEncoded)
}

// style is a way of writing JSON: spacing or escaping.
type style struct {
	write    func(compact string) string
	findings []Finding
}

func (v *variants) serialised(fields []topField) {
	arrival := jsonOf(fields)
	sorted := sortedFields(fields)
	descending := slices.Clone(sorted)
	slices.Reverse(descending)
	kept := slices.DeleteFunc(slices.Clone(sorted), topField.null)
	asText := slices.Clone(kept)
	for i, f := range asText {
		if c := f.value[0]; c != '"' && c != '{' && c != '[' {
			asText[i].value = appendText(nil, f.value)
		}
	}
	orders := []choice[string]{
		{value: jsonOf(kept)},
		{value: arrival},
		{value: jsonOf(slices.DeleteFunc(descending, topField.null)), findings: []Finding{sortedDescending}},
		{value: jsonOf(sorted), findings: []Finding{nullsKept}},
		{value: jsonOf(asText), findings: []Finding{scalarsAsText}},
	}
	if deep, ok := CanonicalUsageBody([]byte(arrival)); ok {
		orders = append(orders, choice[string]{value: string(deep), findings: []Finding{nestedSorted}})
	}
	for i, order := range orders {
		for _, escape := range escapes() {
			for _, spacing := range spacings() {
				findings := slices.Concat(order.findings, spacing.findings, escape.findings)
				if len(findings) == 0 && i == 1 {
					findings = []Finding{reserialised} // where the body as it came is not this one already
				}
				if len(findings) <= v.most {
					v.add(spacing.write(escape.write(order.value)), findings...)
				}
			}
		}
	}
}

func same(s string) string { return s }

// escapes work on compact JSON with raw strings, where the characters in question stand in strings only.
func escapes() []style {
	ascii := func(digits string) func(string) string {
		return func(s string) string {
			var out strings.Builder
			for _, r := range s {
				if r < utf8.RuneSelf {
					out.WriteRune(r)
					continue
				}
				for _, u := range utf16.Encode([]rune{r}) {
					out.WriteString(`\u`)
					for shift := 12; shift >= 0; shift -= 4 {
						out.WriteByte(digits[u>>shift&15])
					}
				}
			}
			return out.String()
		}
	}
	slashes := strings.NewReplacer("/", `\/`).Replace
	php := func(s string) string { return slashes(ascii("0123456789abcdef")(s)) }
	html := []string{"<", `\u003c`, ">", `\u003e`, "&", `\u0026`}
	return []style{
		{write: same},
		{ascii("0123456789abcdef"), []Finding{nonASCIIEscaped}},
		{ascii("0123456789ABCDEF"), []Finding{nonASCIIEscaped}},
		{strings.NewReplacer(append(html, "\u2028", `\u2028`, "\u2029", `\u2029`)...).Replace, []Finding{htmlEscaped}},
		{strings.NewReplacer(append(html, "=", `\u003d`, "'", `\u0027`)...).Replace, []Finding{htmlEscaped}},
		{slashes, []Finding{slashesEscaped}},
		{php, []Finding{nonASCIIEscaped, slashesEscaped}},
	}
}

func spacings() []style {
	indent := func(by, colon, line string) func(string) string {
		return func(compact string) string {
			var out bytes.Buffer
			if json.Indent(&out, []byte(compact), "", by) != nil {
				return compact
			}
			return strings.ReplaceAll(spaced(out.String(), colon, ","), "\n", line)
		}
	}
	pretty := []Finding{prettyPrinted}
	return []style{
		{write: same},
		{indent("  ", ":", "\n"), pretty},
		{indent("    ", ":", "\n"), pretty},
		{indent("\t", ":", "\n"), pretty},
		{indent("  ", " :", "\n"), pretty},
		{indent("  ", ":", "\r\n"), pretty},
		{func(s string) string { return spaced(s, ": ", ", ") }, []Finding{separatorsSpaced}},
	}
}

// spaced writes JSON with other separators.
func spaced(s, colon, comma string) string {
	var out strings.Builder
	inside := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case inside && c == '\\':
			out.WriteByte(c)
			i++
			out.WriteByte(s[i])
		case c == '"':
			inside = !inside
			out.WriteByte(c)
		case !inside && c == ':':
			out.WriteString(colon)
		case !inside && c == ',':
			out.WriteString(comma)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// topField is a member of the top level, its value in compact form.
type topField struct{ name, value []byte }

func (f topField) null() bool { return string(f.value) == "null" }

// topFields returns the members of the body's top level as they come.
func topFields(body []byte) (fields []topField, ok bool) {
	if !json.Valid(body) || !utf8.Valid(body) {
		return nil, false
	}
	w := walker{src: body}
	if w.next() != '{' {
		return nil, false
	}
	for w.pos++; w.next() != '}' && !w.failed; {
		if w.src[w.pos] == ',' {
			w.pos++
			w.next()
		}
		f := topField{name: w.text()}
		w.next()
		w.pos++ // the colon
		f.value = w.value(nil, 1)
		fields = append(fields, f)
	}
	return fields, !w.failed
}

// sortedFields returns the fields in order of their names; the last of two stays.
func sortedFields(fields []topField) []topField {
	sorted := slices.Clone(fields)
	slices.Reverse(sorted)
	byName := func(a, b topField) int { return bytes.Compare(a.name, b.name) }
	slices.SortStableFunc(sorted, byName)
	return slices.CompactFunc(sorted, func(a, b topField) bool { return byName(a, b) == 0 })
}

func jsonOf(fields []topField) string {
	out := []byte{'{'}
	for i, f := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendText(out, f.name), ':')
		out = append(out, f.value...)
	}
	return string(append(out, '}'))
}
