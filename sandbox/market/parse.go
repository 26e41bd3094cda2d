package market

import (
	"bytes"
	_ "embed" // policy.schema.json
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a policy names its time zone, and not every machine has the names

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed policy.schema.json
var schemaJSON []byte

// Schema is the JSON Schema of a policy document.
func Schema() []byte { return slices.Clone(schemaJSON) }

var schema = sync.OnceValue(func() *jsonschema.Schema {
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaJSON))
	if err == nil {
		c := jsonschema.NewCompiler()
		const url = "isvkit:///market-policy.json"
		if err = c.AddResource(url, root); err == nil {
			var s *jsonschema.Schema
			if s, err = c.Compile(url); err == nil {
				return s
			}
		}
	}
	panic("market: policy.schema.json: " + err.Error())
})

// maxDocument and maxDepth bound what is read of a document that somebody else wrote.
const (
	maxDocument = 1 << 20
	maxDepth    = 40
)

// Problem is one thing that is wrong in a document.
type Problem struct {
	Line int    // 0 where none can be told
	Path string // such as fees.rates.0.tiers.2.rate
	What string // what was found, and what was expected
}

// DocumentError is everything that is wrong in a document.
type DocumentError struct {
	Document string
	Problems []Problem
}

// Error has a line for each problem.
func (e *DocumentError) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		where := e.Document
		if p.Line > 0 {
			where += ":" + strconv.Itoa(p.Line)
		}
		if p.Path != "" {
			where += ": " + p.Path
		}
		lines = append(lines, where+": "+p.What)
	}
	return strings.Join(lines, "\n")
}

// Parse reads a policy document. The first argument names it in errors. What is wrong is a *DocumentError that has all problems.
func Parse(document string, text []byte) (*Policy, error) {
	r := &reader{document: document, lines: map[string]int{}}
	if len(text) > maxDocument {
		r.problem("", "is %d bytes long, expected at most %d", len(text), maxDocument)
		return nil, r.err()
	}
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		r.problem("", "is empty, expected a policy document")
		return nil, r.err()
	case err != nil:
		r.problem("", "is no YAML: %v", err)
		return nil, r.err()
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.problem("", "goes on after the first document, expected one policy in a file")
		return nil, r.err()
	}
	value := r.plain(&root, "", 0)
	if len(r.problems) > 0 {
		return nil, r.err()
	}
	var invalid *jsonschema.ValidationError
	if err := schema().Validate(value); errors.As(err, &invalid) {
		r.collect(invalid)
		return nil, r.err()
	}
	p := &Policy{document: document}
	if err := root.Decode(p); err != nil {
		r.problem("", "%v", err)
		return nil, r.err()
	}
	r.check(p)
	if len(r.problems) > 0 {
		return nil, r.err()
	}
	return p, nil
}

// reader gathers problems, and knows on which line a path is.
type reader struct {
	document string
	lines    map[string]int
	problems []Problem
}

func (r *reader) problem(path, format string, args ...any) {
	r.problems = append(r.problems, Problem{Line: r.line(path), Path: path, What: fmt.Sprintf(format, args...)})
}

// line is that of the path, or of the nearest thing around it.
func (r *reader) line(path string) int {
	for {
		if line, ok := r.lines[path]; ok || path == "" {
			return line
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
}

func (r *reader) err() error {
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return a.Line - b.Line })
	return &DocumentError{Document: r.document, Problems: slices.Compact(r.problems)}
}

// plain turns nodes into what a JSON Schema understands. Dates stay texts. Anchors are refused: documents do not need them, and they can
// make a small file a huge one.
func (r *reader) plain(n *yaml.Node, path string, depth int) any {
	if path != "" {
		r.lines[path] = n.Line
	}
	if depth > maxDepth {
		r.problem(path, "is nested too deeply, expected at most %d levels", maxDepth)
		return nil
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return r.plain(n.Content[0], path, depth)
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				r.problem(path, "has a key that is no name")
				continue
			}
			at := join(path, key.Value)
			if _, twice := object[key.Value]; twice {
				r.problem(at, "is there twice, expected it once")
			}
			object[key.Value] = r.plain(n.Content[i+1], at, depth+1)
		}
		return object
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, e := range n.Content {
			list = append(list, r.plain(e, join(path, strconv.Itoa(i)), depth+1))
		}
		return list
	case yaml.ScalarNode:
		switch n.ShortTag() {
		case "!!bool", "!!int", "!!float", "!!null":
			var v any
			if err := n.Decode(&v); err != nil {
				r.problem(path, "cannot be read: %v", err)
			}
			if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
				r.problem(path, "is no number")
				return nil
			}
			return v
		case "!!str", "!!timestamp":
			return n.Value
		}
		r.problem(path, "has the tag %s, expected none", n.ShortTag())
		return nil
	}
	r.problem(path, "is an alias of something else, expected it in full")
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

var printer = message.NewPrinter(language.English)

func (r *reader) collect(e *jsonschema.ValidationError) {
	path := strings.Join(e.InstanceLocation, ".")
	switch k := e.ErrorKind.(type) {
	case *kind.OneOf, *kind.AnyOf: // the branches say less than what is wanted as a whole
		r.problem(path, "has not one of the forms that are possible here, expected one of those in policy.schema.json")
		return
	case *kind.Required:
		r.problem(path, "lacks %s, expected it", strings.Join(k.Missing, ", "))
		return
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			r.problem(join(path, name), "is not known here, expected a name of policy.schema.json")
		}
		return
	case *kind.Pattern:
		r.problem(path, "is %q, expected %s", short(k.Got), wanted(k.Want))
		return
	case *kind.Enum:
		r.problem(path, "is %q, expected one of %s", short(fmt.Sprint(k.Got)), list(k.Want))
		return
	case *kind.Type:
		r.problem(path, "is of type %s, expected %s", k.Got, strings.Join(k.Want, " or "))
		return
	}
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			r.collect(cause)
		}
		return
	}
	r.problem(path, "%s", short(e.ErrorKind.LocalizedString(printer)))
}

func short(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

func list(values []any) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, ", ")
}

// wanted gives the patterns of the schema in words.
func wanted(pattern string) string {
	switch {
	case strings.Contains(pattern, `\.[0-9]{2}$`):
		return `an amount in quotes with two decimals, such as "30000.00"`
	case strings.Contains(pattern, "%"):
		return `a percentage, such as 10%`
	case strings.Contains(pattern, "working day"):
		return `a period, such as "7 working days"`
	case strings.Contains(pattern, "[0-9]{4}-"):
		return `a day, such as 2026-01-31`
	case strings.Contains(pattern, "[a-zA-Z0-9]"):
		return `the path of a field, such as company.staff`
	case strings.Contains(pattern, "[a-z0-9-]"):
		return `lower-case letters, digits and "-"`
	}
	return pattern
}

// check finds what a schema cannot: references that lead nowhere, tiers with gaps, comparisons that do not suit a field.
func (r *reader) check(p *Policy) {
	var err error
	if p.location, err = time.LoadLocation(p.Timezone); err != nil || p.Timezone == "Local" {
		r.problem("timezone", "%q is not known, expected a name such as Asia/Shanghai", p.Timezone)
		p.location = time.UTC
	}
	if days := calendars()[p.Calendar]; days == nil {
		r.problem("calendar", "%q is not known, expected one of %s", p.Calendar, strings.Join(Calendars(), ", "))
	} else {
		own := *days
		own.location = p.location // a month is counted from midnight to midnight where the market is
		p.calendar = &own
	}
	c := checker{r: r, p: p, categories: map[string]bool{}, papers: map[string]bool{}, revenue: map[string]bool{}}
	for _, category := range p.Categories {
		c.categories[category.ID] = true
	}
	for _, paper := range p.Papers {
		c.papers[paper.ID] = true
	}
	for _, kind := range p.Revenue {
		c.revenue[kind.ID] = true
	}
	c.date("effective", p.Effective)
	c.date("until", p.Until)
	if p.Until != "" && p.Until < p.Effective {
		r.problem("until", "is %s, expected a day not before effective, %s", p.Until, p.Effective)
	}
	common := fields()
	for path := range p.Fields {
		if _, taken := common[path]; taken {
			r.problem("fields."+path, "is a field of every document, expected another name")
		}
	}
	c.rules()
	c.fees()
}
