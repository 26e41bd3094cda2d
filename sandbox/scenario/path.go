package scenario

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// path leads to something in an answer: data.abnormal_usage_data.0.error_code. Numbers count the items of a list from 0, negative ones
// from its end.
type path []pathStep

type pathStep struct {
	name  string
	index int
	isIdx bool
}

var indexForm = regexp.MustCompile(`^-?[0-9]{1,6}$`)

func parsePath(text string) (path, error) {
	var p path
	for _, part := range strings.Split(text, ".") {
		switch {
		case part == "" || strings.ContainsAny(part, "[] "):
			return nil, fmt.Errorf("expected a path such as order.orderId or events.0.kind, not %q", text)
		case indexForm.MatchString(part):
			n, _ := strconv.Atoi(part) // the form allows nothing else
			p = append(p, pathStep{index: n, isIdx: true})
		default:
			p = append(p, pathStep{name: part})
		}
	}
	return p, nil
}

// in gives what the path leads to.
func (p path) in(v any) (any, bool) {
	for _, s := range p {
		if s.isIdx {
			list, _ := v.([]any)
			i := s.index
			if i < 0 {
				i += len(list)
			}
			if i < 0 || i >= len(list) {
				return nil, false
			}
			v = list[i]
			continue
		}
		next, ok := object(v)[s.name]
		if !ok {
			return nil, false
		}
		v = next
	}
	return v, true
}

// check tells which name of a path an answer with this schema cannot have.
func (p path) check(s schema, doc *document, extra []string) error {
	for i, step := range p {
		properties := doc.properties(s)
		if step.isIdx {
			s = doc.resolve(s["items"])
			continue
		}
		property, ok := properties[step.name]
		if !ok {
			if i == 0 && contains(extra, step.name) || len(properties) == 0 || s["additionalProperties"] != nil && s["additionalProperties"] != false {
				return nil
			}
			names := keys(properties)
			if i == 0 {
				names = append(names, extra...)
			}
			return fmt.Errorf("the answer has no %q; %s", step.name, expected(step.name, names))
		}
		s = doc.resolve(property)
	}
	return nil
}

// find looks for a field of this name: at the top, then deeper, level by level.
func find(v any, name string) (any, bool) {
	for level := []any{v}; len(level) > 0; {
		var next []any
		for _, one := range level {
			switch one := one.(type) {
			case map[string]any:
				if value, ok := one[name]; ok && value != nil && value != "" {
					return value, true
				}
				for _, k := range keys(one) {
					next = append(next, one[k])
				}
			case []any:
				next = append(next, one...)
			}
		}
		level = next
	}
	return nil, false
}
