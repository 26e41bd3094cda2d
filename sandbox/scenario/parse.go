package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// File is a scenario that was read and found to make sense.
type File struct {
	Path  string // as given to Parse or Load
	Name  string // what it tells
	About string // more about it, may be empty
	steps []step
}

// Steps is how many steps the file has.
func (f *File) Steps() int { return len(f.steps) }

// step is one line of the story.
type step struct {
	line    int
	text    string // as the file has it
	verb    string
	op      *operation     // nil for expect and wait
	args    map[string]any // of the operation
	as      []string
	answer  []expectation // of the operation's answer
	refused *refusal
	expect  *question     // of expect and wait
	settled bool          // wait: settled
	timeout time.Duration // of wait, openapi and pushUsage; zero: the default
	usage   *usagePush
}

// refusal says that a step must be refused, and how.
type refusal struct {
	contains string        // in the problem's kind or detail
	fields   []expectation // of the problem
}

// InvalidError tells everything that is wrong with a file.
type InvalidError struct{ Problems []Problem }

// Problem is one thing that is wrong with a file.
type Problem struct {
	Path string
	Line int // from 1; 0 if it is about the whole file
	Text string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.Path + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Text)
}

func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxFile is far more than any story needs.
const maxFile = 1 << 20

// Load reads a file. Everything that is wrong with it is an *[InvalidError].
func Load(name string) (*File, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%d bytes are too long for a scenario, expected at most %d", info.Size(), maxFile)
	}
	if err == nil {
		var text []byte
		if text, err = os.ReadFile(name); err == nil { //nolint:gosec // who plays a file names it
			return Parse(name, text)
		}
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return nil, &InvalidError{[]Problem{{Path: name, Text: "cannot be read: " + err.Error()}}}
}

// Parse reads a scenario. The path is for messages.
func Parse(path string, text []byte) (*File, error) {
	p := &parser{path: path, lines: strings.Split(string(text), "\n")}
	f := p.file(text)
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &InvalidError{p.problems}
	}
	return f, nil
}

type parser struct {
	path     string
	lines    []string
	names    []string // saved by the steps so far
	problems []Problem
}

func (p *parser) fail(node *yaml.Node, format string, args ...any) {
	line := 0
	if node != nil {
		line = node.Line
	}
	p.problems = append(p.problems, Problem{p.path, line, fmt.Sprintf(format, args...)})
}

// pairs goes over the fields of a mapping, and fails where one is there twice.
func (p *parser) pairs(node *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(*yaml.Node, *yaml.Node) bool) {
		seen := map[string]bool{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			if seen[key.Value] {
				p.fail(key, "%s is there twice", key.Value)
				continue
			}
			seen[key.Value] = true
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			if !yield(key, value) {
				return
			}
		}
	}
}

func (p *parser) file(text []byte) *File {
	if len(text) > maxFile {
		p.fail(nil, "%d bytes are too long for a scenario, expected at most %d", len(text), maxFile)
		return nil
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		p.fail(nil, "is no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if p.bombs(&root, 0) {
		return nil
	}
	if root.Kind != yaml.DocumentNode || root.Content[0].Kind != yaml.MappingNode {
		p.fail(nil, "expected `name:` and `steps:`")
		return nil
	}
	f := &File{Path: p.path}
	top := root.Content[0]
	steps := false
	for key, value := range p.pairs(top) {
		switch key.Value {
		case "name":
			f.Name = p.text(value, "name")
		case "about":
			f.About = p.text(value, "about")
		case "steps":
			steps = true
			if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
				p.fail(value, "steps: expected a list of steps")
				continue
			}
			for _, node := range value.Content {
				f.steps = append(f.steps, p.step(node))
			}
		default:
			p.fail(key, "a scenario has no %q; %s", key.Value, expected(key.Value, []string{"name", "about", "steps"}))
		}
	}
	if f.Name == "" {
		p.fail(top, "expected `name:`, a few words that tell what the story is")
	}
	if !steps {
		p.fail(top, "expected `steps:`, a list of steps")
	}
	return f
}

// bombs refuses files whose aliases would make them grow without bounds.
func (p *parser) bombs(node *yaml.Node, depth int) bool {
	if depth > 50 {
		p.fail(node, "is nested more than 50 deep")
		return true
	}
	if node.Kind == yaml.AliasNode && node.Alias.Kind != yaml.ScalarNode {
		p.fail(node, "an alias (*%s) may stand for a single value only", node.Value)
		return true
	}
	for _, n := range node.Content {
		if p.bombs(n, depth+1) {
			return true
		}
	}
	return false
}

func (p *parser) text(node *yaml.Node, where string) string {
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		p.fail(node, "%s: expected a text", where)
		return ""
	}
	return strings.TrimSpace(node.Value)
}

// The fields of a step beside its verb.
const (
	stepAs      = "as"
	stepWith    = "with"
	stepExpect  = "expect"
	stepRefused = "refused"
	stepTimeout = "timeout"
)

func (p *parser) step(node *yaml.Node) step {
	s := step{line: node.Line}
	if node.Line >= 1 && node.Line <= len(p.lines) {
		s.text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(p.lines[node.Line-1]), "- "))
	}
	if node.Kind != yaml.MappingNode {
		p.fail(node, "expected a step such as `- advance: 30d`")
		return s
	}
	var verbKey, verbValue *yaml.Node
	rest := map[string]*yaml.Node{}
	for key, value := range p.pairs(node) {
		verb := isVerb(key.Value)
		if key.Value == stepExpect {
			// The verb, unless another verb is there: then it is about that one's answer.
			verb = !slices.ContainsFunc(node.Content, func(n *yaml.Node) bool {
				return n != key && n.Value != stepExpect && isVerb(n.Value) && keyOf(node, n)
			})
		}
		switch {
		case verb && verbKey != nil:
			p.fail(key, "a step has one verb, not %s and %s", verbKey.Value, key.Value)
		case verb:
			verbKey, verbValue = key, value
		case slices.Contains([]string{stepAs, stepWith, stepExpect, stepRefused, stepTimeout}, key.Value):
			rest[key.Value] = value
		default:
			p.fail(key, "there is no verb %q; %s", key.Value, noVerb(key.Value))
			return s
		}
	}
	if verbKey == nil {
		p.fail(node, "the step has no verb; %s", noVerb(""))
		return s
	}
	s.verb = verbKey.Value
	p.verb(&s, verbKey, verbValue, rest)
	for name, n := range rest {
		p.fail(n, "%s has no %s", s.verb, name)
	}
	return s
}

func keyOf(mapping, node *yaml.Node) bool {
	i := slices.Index(mapping.Content, node)
	return i >= 0 && i%2 == 0
}

// verb reads what belongs to the verb, and takes what it has used from rest.
func (p *parser) verb(s *step, key, value *yaml.Node, rest map[string]*yaml.Node) {
	switch s.verb {
	case verbExpect:
		s.expect = p.question(value)
		return
	case verbWait:
		p.wait(s, value)
		return
	case verbPushUsage:
		s.op = marketDoc().operations["pushUsage"]
		s.usage = p.usage(value)
	case verbCall, verbOpenAPI:
		doc := controlDoc()
		if s.verb == verbOpenAPI {
			doc = marketDoc()
		}
		name := p.text(value, s.verb)
		op, ok := doc.operations[name]
		if !ok {
			p.fail(value, "%s: there is no operation %q; %s", s.verb, name, expected(name, keys(doc.operations)))
			clear(rest)
			return
		}
		s.op = op
		with := rest[stepWith]
		delete(rest, stepWith)
		p.arguments(s, key, with, verb{main: op.main()})
	default:
		v := verbOf(s.verb)
		s.op = controlDoc().operations[v.operation]
		p.arguments(s, key, value, v)
	}
	var extra []string
	if s.market() {
		extra = answerExtras
		if n := rest[stepTimeout]; n != nil {
			s.timeout = p.duration(n)
			delete(rest, stepTimeout)
		}
	}
	if n := rest[stepExpect]; n != nil {
		s.answer = p.answer(n, s.op.answer, s.op.doc, extra)
		delete(rest, stepExpect)
	}
	if n := rest[stepRefused]; n != nil && !s.market() {
		s.refused = p.refusal(n)
		delete(rest, stepRefused)
	}
	if n := rest[stepAs]; n != nil {
		s.as = p.as(n)
		delete(rest, stepAs)
		p.names = append(p.names, s.as...)
	}
}

// market tells whether the step calls the open API.
func (s *step) market() bool { return s.op != nil && s.op.doc == marketDoc() }

func (p *parser) as(node *yaml.Node) []string {
	nodes := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		nodes = node.Content
	}
	var names []string
	for _, n := range nodes {
		switch {
		case n.Kind != yaml.ScalarNode || !nameForm.MatchString(n.Value) || n.Value == "now" || n.Value == all:
			p.fail(n, "as: %q is no name, expected a small letter, then letters, digits and underlines; not now or all", n.Value)
		case slices.Contains(p.names, n.Value) || slices.Contains(names, n.Value):
			p.fail(n, "as: an earlier step has the name %s already", n.Value)
		default:
			names = append(names, n.Value)
		}
	}
	return names
}

func (p *parser) duration(node *yaml.Node) time.Duration {
	d, err := duration(p.text(node, "timeout"))
	if err != nil {
		p.fail(node, "timeout: %s", err)
	}
	return d
}

// arguments reads the fields of an operation.
func (p *parser) arguments(s *step, key, node *yaml.Node, v verb) {
	fields := s.op.fields()
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	s.args = map[string]any{}
	read := func(where *yaml.Node, name string, value *yaml.Node) {
		name = longName(name, names)
		i := slices.Index(names, name)
		if i < 0 {
			if len(names) == 0 {
				p.fail(where, "%s takes no fields", s.op.id)
				return
			}
			p.fail(where, "%s has no field %q; %s", s.verb, where.Value, expected(where.Value, withShort(names)))
			return
		}
		s.args[name] = p.named(value, name, fields[i].schema, s.op.doc)
	}
	switch {
	case node == nil || node.Kind == yaml.ScalarNode && node.Tag == "!!null":
	case node.Kind == yaml.MappingNode:
		for k, v := range p.pairs(node) {
			read(k, k.Value, v)
		}
	case node.Kind == yaml.ScalarNode && v.main != "":
		read(node, v.main, node)
	default:
		p.fail(node, "%s: expected fields, such as { %s: … }", s.verb, strings.Join(withShort(names), ": …, "))
	}
	if _, there := s.args[v.id]; v.id != "" && !there {
		s.args[v.id] = s.args[v.main]
	}
	for _, f := range fields {
		if _, there := s.args[f.name]; f.needed && !there {
			p.fail(key, "%s: %s is missing", s.verb, withShort([]string{f.name})[0])
		}
	}
}

func (p *parser) refusal(node *yaml.Node) *refusal {
	if node.Kind == yaml.ScalarNode {
		return &refusal{contains: p.text(node, stepRefused)}
	}
	doc := controlDoc()
	return &refusal{fields: p.answer(node, doc.resolve(map[string]any{"$ref": "#/components/schemas/Problem"}), doc, nil)}
}

// answer reads what is expected of an answer: paths and values.
func (p *parser) answer(node *yaml.Node, s schema, doc *document, extra []string) []expectation {
	if node.Kind != yaml.MappingNode {
		p.fail(node, "expect: expected paths and values, such as { order.status: completed }")
		return nil
	}
	var all []expectation
	for key, value := range p.pairs(node) {
		where, err := parsePath(key.Value)
		if err != nil {
			p.fail(key, "%s", err)
			continue
		}
		names := keys(doc.properties(s))
		if where[0].name != "" && !contains(extra, where[0].name) {
			where[0].name = longName(where[0].name, names)
		}
		if err := where.check(s, doc, extra); err != nil {
			p.fail(key, "%s", err)
			continue
		}
		all = append(all, expectation{key.Value, where, p.wanted(value, where.schema(s, doc), doc, key.Value)})
	}
	return all
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func contains(list []string, s string) bool { return slices.Contains(list, s) }
