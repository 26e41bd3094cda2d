package extension

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"
)

// reference is the grammar of an image: an optional registry with a port, a path in lower case, a tag and a digest.
var reference = regexp.MustCompile(`^([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$`)

// parts of an image reference: all but tag and digest, and these.
func parts(image string) (repository, tag string) {
	rest, digest, _ := strings.Cut(image, "@")
	repository = rest
	if at := strings.LastIndex(rest, ":"); at > strings.LastIndex(rest, "/") {
		repository, tag = rest[:at], rest[at+1:]
	}
	if digest != "" {
		tag = digest
	}
	return repository, tag
}

// plainRepository is the repository without the registry that is meant when none is written.
func plainRepository(repository string) string {
	for _, implied := range []string{"docker.io/", "library/"} {
		repository = strings.TrimPrefix(repository, implied)
	}
	return repository
}

// used is an image that a chart names.
type used struct {
	repository, tag string // tag is empty where only rendering would tell
	file            string
}

func (u used) is(image string) bool {
	repository, tag := parts(image)
	return plainRepository(u.repository) == plainRepository(repository) && (u.tag == "" || u.tag == tag)
}

// images judges what extension.yaml says of images, and how the charts name them.
func (l *linter) images(m manifest) {
	declared := m.texts("images")
	uses := l.uses(m)
	if len(declared) == 0 && !(m.has("images") && m.fields["images"] == nil) {
		l.say("IMG-1", manifestFile, m.lines["images"], "images", "there are none")
	}
	texts := l.texts()
	for i, image := range declared {
		field := fmt.Sprintf("images[%d]", i)
		_, tag := parts(image)
		switch {
		case !reference.MatchString(image) || tag == "":
			l.say("IMG-2", manifestFile, m.lines["images"], field, "is %s", shown(image))
			continue
		case tag == "latest":
			l.say("IMG-3", manifestFile, m.lines["images"], field, "is %s", shown(image))
		}
		if !slices.ContainsFunc(uses, func(u used) bool { return u.is(image) }) &&
			!slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, plainRepository(image)) }) {
			l.say("IMG-4", manifestFile, m.lines["images"], field, "%s is in no values.yaml and no template", shown(image))
		}
	}
	if len(declared) > 0 {
		told := map[string]bool{}
		for _, u := range uses {
			name := u.repository
			if u.tag != "" {
				name += ":" + u.tag
			}
			if !told[name] && !slices.ContainsFunc(declared, u.is) {
				l.say("IMG-5", u.file, 0, "", "uses %s", shown(name))
			}
			told[name] = true
		}
	}
}

// texts are the values and templates of all charts, as they are written.
func (l *linter) texts() []string {
	var all []string
	for _, c := range append([]*chart{{files: l.p.files}}, l.subcharts()...) {
		for _, name := range append(c.templates(), "values.yaml") {
			all = append(all, string(c.files[name]))
		}
	}
	return all
}

// literalImage is an image that a template names without taking it from values.
var literalImage = regexp.MustCompile(`(?m)^\s*(?:-\s+)?image:\s*["']?([^\s"'{}#]+)["']?\s*(?:#.*)?$`)

// uses gathers the images of all charts: from values, with the package's own laid over those of the sub-charts as Helm does it, and from
// templates that name one literally. It also judges the templates on the way.
func (l *linter) uses(m manifest) []used {
	root := &chart{files: l.p.files}
	root.values = mapping(quietYAML(l.p.files["values.yaml"]))
	subs := l.subcharts()
	own := maps.Clone(root.values)
	for _, c := range subs {
		c.about = mapping(quietYAML(c.files["Chart.yaml"]))
		if content, there := c.files["values.yaml"]; there {
			c.values = l.readValues(c.file("values.yaml"), content)
		}
		for _, key := range chartKeys(m, text(c.about["name"])) {
			c.values = merged(c.values, mapping(root.values[key]))
			delete(own, key)
		}
	}
	root.values = own
	all := append([]*chart{root}, subs...)
	helpers := l.parse(all)
	var found []used
	for _, c := range all {
		appVersion := text(c.about["appVersion"])
		imagesIn(c.values, func(repository, tag string, bare bool) {
			if tag == "" && !bare {
				tag = appVersion // what nearly every template takes instead
			}
			found = append(found, used{repository, tag, c.file("values.yaml")})
		})
		for _, name := range c.templates() {
			for _, match := range literalImage.FindAllSubmatch(c.files[name], -1) {
				repository, tag := parts(string(match[1]))
				found = append(found, used{repository, tag, c.file(name)})
			}
			l.globals(c, name, helpers)
		}
	}
	return found
}

// quietYAML reads a file that was judged elsewhere.
func quietYAML(content []byte) any {
	tree, _, err := readYAML(content)
	if err != nil {
		return nil
	}
	return tree
}

// chartKeys are the keys under which the package's values speak to a sub-chart: its name, or the alias that a dependency gives it.
func chartKeys(m manifest, name string) []string {
	keys := []string{}
	for _, item := range items(m.fields["dependencies"]) {
		dependency := mapping(item)
		if text(dependency["name"]) != name {
			continue
		}
		if alias := text(dependency["alias"]); alias != "" {
			keys = append(keys, alias)
		}
	}
	if len(keys) == 0 {
		keys = append(keys, name)
	}
	return keys
}

// merged lays the values of over on those of under.
func merged(under, over map[string]any) map[string]any {
	all := maps.Clone(under)
	if all == nil {
		all = map[string]any{}
	}
	for key, value := range over {
		if deeper := mapping(value); deeper != nil {
			value = merged(mapping(all[key]), deeper)
		}
		all[key] = value
	}
	return all
}

// imagesIn finds what looks like an image in values: a mapping with repository, or a text under a key that ends in "image". bare is a text,
// which says itself what its tag is.
func imagesIn(values map[string]any, yield func(repository, tag string, bare bool)) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		isImage := strings.HasSuffix(strings.ToLower(key), "image")
		switch value := values[key].(type) {
		case string:
			if isImage && value != "" && reference.MatchString(value) {
				repository, tag := parts(value)
				yield(repository, tag, true)
			}
		case map[string]any:
			repository := text(value["repository"])
			_, tagged := value["tag"]
			_, pulled := value["pullPolicy"]
			if repository != "" && (isImage || tagged || pulled) {
				if registry := text(value["registry"]); registry != "" {
					repository = registry + "/" + repository
				}
				tag := ""
				if value["tag"] != nil {
					tag = fmt.Sprint(value["tag"]) // 1.4 is a number to YAML
				}
				if digest := text(value["digest"]); digest != "" {
					tag = digest
				}
				yield(repository, tag, false)
				continue
			}
			imagesIn(value, yield)
		case []any:
			for _, item := range value {
				imagesIn(mapping(item), yield)
			}
		}
	}
}

// ---- templates ---------------------------------------------------------------------------------------------------------------

var (
	registryMark = regexp.MustCompile(`\bimageRegistry\b`)
	selectorMark = regexp.MustCompile(`\bglobal\b[^\n]*\bnodeSelector\b`)
	// The same in two steps: {{ with .Values.global }} … {{ .nodeSelector }}.
	withGlobal   = regexp.MustCompile(`\bwith\b[^}\n]*\bglobal\s*-?\}\}`)
	bareSelector = regexp.MustCompile(`[\s({]\.nodeSelector\b`)
	containers   = regexp.MustCompile(`(?m)^\s*(?:-\s+)?image:\s`)
	// workloads are the kinds that the tool looks at for a node selector. A DaemonSet is on every node by design.
	workloads = regexp.MustCompile(`(?m)^kind:\s*["']?(Deployment|StatefulSet|ReplicaSet|Job|CronJob|Pod)["']?\s*$`)
	calls     = regexp.MustCompile(`\b(?:include|template)\s+"([^"]+)"`)
)

// helper is a template that others can call by name.
type helper struct{ registry, selector bool }

// maxTemplate is the largest template that is parsed. The parser calls itself for every level of nesting.
const maxTemplate = 256 << 10

// parse parses every template and gives the named ones, with what they honour, themselves or by what they call.
func (l *linter) parse(all []*chart) map[string]helper {
	bodies := map[string]string{}
	for _, c := range all {
		for _, name := range c.templates() {
			file := c.file(name)
			if len(c.files[name]) > maxTemplate {
				l.say("CHART-3", file, 0, "", "has %d bytes, more than %d, and was not read", len(c.files[name]), maxTemplate)
				continue
			}
			tree := parse.New(file)
			tree.Mode = parse.SkipFuncCheck // the functions are Helm's
			set := map[string]*parse.Tree{}
			if _, err := tree.Parse(string(c.files[name]), "{{", "}}", set); err != nil {
				l.say("CHART-3", file, 0, "", "%s", strings.TrimPrefix(err.Error(), "template: "))
				continue
			}
			for defined, body := range set {
				if defined != file && body.Root != nil {
					bodies[defined] += body.Root.String()
				}
			}
		}
	}
	helpers := map[string]helper{}
	for name, body := range bodies {
		helpers[name] = marks(body)
	}
	for changed := true; changed; { // what a helper calls counts for it, however deep
		changed = false
		for name, body := range bodies {
			h := helpers[name]
			for _, call := range calls.FindAllStringSubmatch(body, -1) {
				h.registry = h.registry || helpers[call[1]].registry
				h.selector = h.selector || helpers[call[1]].selector
			}
			if h != helpers[name] {
				helpers[name], changed = h, true
			}
		}
	}
	return helpers
}

func marks(body string) helper {
	return helper{
		registry: registryMark.MatchString(body),
		selector: selectorMark.MatchString(body) || withGlobal.MatchString(body) && bareSelector.MatchString(body),
	}
}

// globals judges whether a template honours the values that the platform sets for all extensions.
func (l *linter) globals(c *chart, name string, helpers map[string]helper) {
	body := string(c.files[name])
	honours := marks(body)
	for _, call := range calls.FindAllStringSubmatch(body, -1) {
		honours.registry = honours.registry || helpers[call[1]].registry
		honours.selector = honours.selector || helpers[call[1]].selector
	}
	if containers.MatchString(body) && !honours.registry {
		l.say("GLOB-1", c.file(name), 0, "", "names an image without global.imageRegistry")
	}
	if workloads.MatchString(body) && !honours.selector {
		l.say("GLOB-2", c.file(name), 0, "", "has a workload without global.nodeSelector")
	}
}
