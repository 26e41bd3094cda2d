package signature

import (
	"net/url"
	"slices"
	"strings"
)

func v1MACs() []choice[macKeys] {
	return []choice[macKeys]{
		{value: func(key, at string) (string, string) { return "", key + at }},
		{value: func(key, _ string) (string, string) { return "", key }, findings: []Finding{keyWithoutTimestamp}},
		{value: func(key, at string) (string, string) { return "", at + key }, findings: []Finding{timestampBeforeKey}},
	}
}

// v1Texts returns the right text of a base call and the ones that signers are known to make.
func v1Texts(q url.Values, right v1Pairs) []choice[string] {
	type step struct {
		change   func(v1Pairs) v1Pairs
		findings []Finding
	}
	values := func(change func(string) string) func(v1Pairs) v1Pairs {
		return func(p v1Pairs) v1Pairs {
			p = slices.Clone(p)
			for i := range p {
				p[i].value = change(p[i].value)
			}
			return p
		}
	}
	ordered := func(less func(a, b v1Pair) int) func(v1Pairs) v1Pairs {
		return func(p v1Pairs) v1Pairs {
			p = slices.Clone(p)
			slices.SortStableFunc(p, less)
			return p
		}
	}
	without := func(drop func(v1Pair) bool) func(v1Pairs) v1Pairs {
		return func(p v1Pairs) v1Pairs { return slices.DeleteFunc(slices.Clone(p), drop) }
	}
	unescape := func(s string) string {
		if decoded, err := url.QueryUnescape(s); err == nil {
			return decoded
		}
		return s
	}
	unchanged := step{change: func(p v1Pairs) v1Pairs { return p }}

	ofValues := []step{
		unchanged,
		{values(url.QueryEscape), []Finding{valuesEscaped}},
		{values(func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }), []Finding{valuesEscaped}},
		{values(unescape), []Finding{urlDecoded}},
		{values(func(s string) string { return strings.ReplaceAll(s, " ", "+") }), []Finding{blankForPlus}},
		{values(func(s string) string { return strings.ReplaceAll(s, "+", " ") }), []Finding{blankForPlus}},
		{func(p v1Pairs) v1Pairs {
			p = slices.Clone(p)
			for i := range p {
				p[i].value = q[p[i].name][len(q[p[i].name])-1]
			}
			return p
		}, []Finding{lastValue}},
	}
	ofPairs := []step{
		unchanged,
		{without(func(p v1Pair) bool { return p.value == "" }), []Finding{emptyDropped}},
		{without(func(p v1Pair) bool { return p.name == v1Time }), []Finding{timestampLeftOut}},
	}
	ofOrder := []step{
		unchanged,
		{ordered(func(a, b v1Pair) int { return compareUTF16(b.name, a.name) }), []Finding{namesDescending}},
		{ordered(func(a, b v1Pair) int {
			return compareUTF16(strings.ToLower(a.name), strings.ToLower(b.name))
		}), []Finding{caseIgnored}},
	}
	writings := []choice[func(v1Pairs) string]{
		{value: func(p v1Pairs) string { return string(p.text()) }},
		{value: func(p v1Pairs) string { return string(p.text()) + "&" }, findings: []Finding{separators}},
		{value: func(p v1Pairs) string { return "?" + string(p.text()) }, findings: []Finding{separators}},
		{value: func(p v1Pairs) string {
			var out strings.Builder
			for _, pair := range p {
				out.WriteString(pair.name + pair.value)
			}
			return out.String()
		}, findings: []Finding{separators}},
	}
	v := &variants{most: 2, at: map[string]int{}}
	for _, value := range ofValues {
		for _, pair := range ofPairs {
			for _, order := range ofOrder {
				for _, writing := range writings {
					findings := slices.Concat(value.findings, pair.findings, order.findings, writing.findings)
					v.add(writing.value(order.change(value.change(pair.change(right)))), findings...)
				}
			}
		}
	}
	return v.all
}
