package extension

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/mail"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
)

const manifestFile = "extension.yaml"

// fieldTypes are the fields of extension.yaml and what they hold.
var fieldTypes = map[string]string{
	"apiVersion": "text", "name": "text", "version": "text", "displayName": "texts by language", "description": "texts by language",
	"category": "text", "keywords": "list of texts", "home": "text", "docs": "text", "sources": "list of texts", "kubeVersion": "text",
	"ksVersion": "text", "maintainers": "list of mappings", "provider": "mappings by language", "staticFileDirectory": "text", "icon": "text",
	"screenshots": "list of texts", "dependencies": "list of mappings", "installationMode": "text", "namespace": "text",
	"images": "list of texts", "externalDependencies": "list of mappings", "annotations": "mapping of texts",
}

var required = []string{"apiVersion", "name", "version", "displayName", "description", "category", "provider", "icon"}

// manifest is extension.yaml: the fields whose type is right, and where each stands.
type manifest struct {
	fields map[string]any
	lines  map[string]int
}

func (m manifest) plain(field string) string { return text(m.fields[field]) }

func (m manifest) texts(field string) []string {
	var all []string
	for _, item := range items(m.fields[field]) {
		all = append(all, text(item))
	}
	return all
}

func (m manifest) has(field string) bool { _, ok := m.fields[field]; return ok }

// text, items and mapping are a value if it has that type, and empty otherwise.
func text(v any) string            { s, _ := v.(string); return s }
func items(v any) []any            { s, _ := v.([]any); return s }
func mapping(v any) map[string]any { s, _ := v.(map[string]any); return s }

// manifest judges extension.yaml and gives what could be read of it.
func (l *linter) manifest() manifest {
	m := manifest{fields: map[string]any{}, lines: map[string]int{}}
	content, there := l.p.files[manifestFile]
	if !there {
		seen := "there is none"
		for _, name := range l.p.names() {
			if path.Base(name) == manifestFile {
				seen = "there is none at the root, but one in " + path.Dir(name)
				break
			}
		}
		l.say("MAN-1", manifestFile, 0, "", "%s", seen)
		return m
	}
	tree, lines, err := readYAML(content)
	if err != nil {
		l.say("MAN-1", manifestFile, 0, "", "%s", err)
		return m
	}
	m.lines = lines
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		want, known := fieldTypes[name]
		switch value := tree[name]; {
		case !known:
			l.say("MAN-4", manifestFile, lines[name], name, "is no field of extension.yaml")
		case value == nil: // the same as a field that is not there
		case isA(value, want):
			m.fields[name] = value
		default:
			l.say("MAN-3", manifestFile, lines[name], name, "is %s, the tool reads a %s", describe(value), want)
			m.fields[name] = nil // it is given, so that it is not said to be missing
		}
	}
	for _, name := range required {
		if value, given := m.fields[name]; !given || value == "" {
			l.say("MAN-2", manifestFile, lines[name], name, "is missing or empty")
		}
	}
	l.identity(m)
	l.languages(m)
	l.provider(m)
	l.pictures(m)
	l.dependencies(m)
	return m
}

// readYAML reads a mapping and the lines of its fields. Anchors that would blow up are refused by the library.
func readYAML(content []byte) (tree map[string]any, lines map[string]int, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var node yaml.Node
	if err := decoder.Decode(&node); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil, errors.New("is empty")
		}
		return nil, nil, fmt.Errorf("is no YAML: %w", err)
	}
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, nil, fmt.Errorf("is no YAML: %w", err)
	}
	tree, ok := value.(map[string]any)
	if !ok {
		return nil, nil, fmt.Errorf("is %s, not a mapping", describe(value))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("holds more than one document")
	}
	lines = map[string]int{}
	if len(node.Content) == 1 && node.Content[0].Kind == yaml.MappingNode {
		for at, pairs := 0, node.Content[0].Content; at+1 < len(pairs); at += 2 {
			lines[pairs[at].Value] = pairs[at].Line
		}
	}
	return tree, lines, nil
}

func isA(value any, want string) bool {
	all := func(list []any, one string) bool {
		return !slices.ContainsFunc(list, func(item any) bool { return !isA(item, one) })
	}
	switch want {
	case "text":
		_, ok := value.(string)
		return ok
	case "mapping":
		_, ok := value.(map[string]any)
		return ok
	case "list of texts", "list of mappings":
		list, ok := value.([]any)
		return ok && all(list, strings.TrimSuffix(strings.TrimPrefix(want, "list of "), "s"))
	default: // a mapping of one type
		object, ok := value.(map[string]any)
		one := "text"
		if want == "mappings by language" {
			one = "mapping"
		}
		return ok && all(slices.Collect(maps.Values(object)), one)
	}
}

func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "empty"
	case string:
		return "the text " + shown(v)
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case bool:
		return fmt.Sprintf("%v, which YAML reads as a truth value", v)
	case int, int64, uint64, float64:
		return fmt.Sprintf("%v, which YAML reads as a number", v)
	default:
		return fmt.Sprintf("%s of another type", shown(fmt.Sprint(v)))
	}
}

var (
	dnsLabel     = `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
	dnsSubdomain = regexp.MustCompile(`^` + dnsLabel + `(\.` + dnsLabel + `)*$`)
	namespaceOK  = regexp.MustCompile(`^` + dnsLabel + `$`)
	plainName    = regexp.MustCompile(`^[a-z0-9]+$`)
	apiVersionOK = regexp.MustCompile(`^(v1|kubesphere\.io/v1alpha1)$`)
	// semver is the grammar of semver.org 2.0.0.
	semver = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)
	// versionRange is what Helm reads: comparisons, wildcards and hyphen ranges, joined by blanks or commas (and) and || (or).
	oneVersion   = `[vV]?(0|[1-9]\d*|[xX*])(\.(0|[1-9]\d*|[xX*])){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?`
	comparison   = `(=|!=|>|<|>=|=>|<=|=<|~|~>|\^)?\s*` + oneVersion
	alternative  = `(` + oneVersion + `\s+-\s+` + oneVersion + `|` + comparison + `((\s*,\s*|\s+)` + comparison + `)*)`
	versionRange = regexp.MustCompile(`^\s*` + alternative + `(\s*\|\|\s*` + alternative + `)*\s*$`)
)

func (l *linter) identity(m manifest) {
	at := func(field string) (string, int, string) { return manifestFile, m.lines[field], field }
	if v := m.plain("apiVersion"); v != "" && !apiVersionOK.MatchString(v) {
		file, line, field := at("apiVersion")
		l.say("MAN-5", file, line, field, "is %s", shown(v))
	}
	file, line, field := at("name")
	switch name := m.plain("name"); {
	case name == "":
	case !dnsSubdomain.MatchString(name):
		l.say("NAME-1", file, line, field, "is %s", shown(name))
	default:
		if n := len(name); n > maxNameLength {
			l.say("NAME-2", file, line, field, "%s has %d characters", shown(name), n)
		}
		if !plainName.MatchString(name) {
			l.say("NAME-3", file, line, field, "is %s", shown(name))
		}
	}
	if ns := m.plain("namespace"); ns != "" && (len(ns) > 63 || !namespaceOK.MatchString(ns)) {
		file, line, field := at("namespace")
		l.say("NAME-4", file, line, field, "is %s", shown(ns))
	}
	if v := m.plain("version"); v != "" && !semver.MatchString(v) {
		file, line, field := at("version")
		l.say("VER-1", file, line, field, "is %s", shown(v))
	}
	for _, name := range []string{"kubeVersion", "ksVersion"} {
		if v := m.plain(name); m.has(name) && v != "" && !isRange(v) {
			file, line, field := at(name)
			l.say("VER-2", file, line, field, "is %s", shown(v))
		}
	}
	if v := m.plain("category"); v != "" && !slices.Contains(categories, v) {
		file, line, field := at("category")
		l.say("CAT-1", file, line, field, "is %s", shown(v))
	}
	for _, name := range []string{"home", "docs"} {
		if v := m.plain(name); v != "" && !isWeb(v) {
			file, line, field := at(name)
			l.say("PROV-2", file, line, field, "is %s", shown(v))
		}
	}
	for i, v := range m.texts("sources") {
		if !isWeb(v) {
			l.say("PROV-2", manifestFile, m.lines["sources"], fmt.Sprintf("sources[%d]", i), "is %s", shown(v))
		}
	}
}

func isRange(s string) bool { return len(s) <= 256 && versionRange.MatchString(s) }

func isWeb(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func isMail(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

func isLanguage(code string) bool {
	if len(code) != 2 || strings.ToLower(code) != code {
		return false
	}
	base, err := language.ParseBase(code)
	return err == nil && base.String() != "und"
}

func (l *linter) languages(m manifest) {
	for _, field := range []string{"displayName", "description", "provider"} {
		if m.fields[field] == nil {
			continue // missing, or of another type: that was said
		}
		given := mapping(m.fields[field])
		for _, code := range slices.Sorted(maps.Keys(given)) {
			if !isLanguage(code) {
				l.say("LANG-1", manifestFile, m.lines[field], field+"."+code, "%s is no such code", shown(code))
			} else if field != "provider" && strings.TrimSpace(text(given[code])) == "" {
				l.say("LANG-2", manifestFile, m.lines[field], field+"."+code, "is empty")
			}
		}
		rule := "LANG-2"
		if field == "provider" {
			rule = "LANG-3"
		}
		for _, code := range []string{"zh", "en"} {
			if _, ok := given[code]; !ok {
				l.say(rule, manifestFile, m.lines[field], field, "has no %s", code)
			}
		}
	}
}

func (l *linter) provider(m manifest) {
	person := func(rule, line, field string, who map[string]any) {
		if name, ok := who["name"].(string); !ok || strings.TrimSpace(name) == "" {
			l.say(rule, manifestFile, m.lines[line], field+".name", "is missing or empty")
		}
		if v := text(who["email"]); v != "" && !isMail(v) {
			l.say("PROV-2", manifestFile, m.lines[line], field+".email", "is %s", shown(v))
		}
		if v := text(who["url"]); v != "" && !isWeb(v) {
			l.say("PROV-2", manifestFile, m.lines[line], field+".url", "is %s", shown(v))
		}
	}
	given := mapping(m.fields["provider"])
	for _, code := range slices.Sorted(maps.Keys(given)) {
		person("PROV-1", "provider", "provider."+code, mapping(given[code]))
	}
	for i, who := range items(m.fields["maintainers"]) {
		person("PROV-1", "maintainers", fmt.Sprintf("maintainers[%d]", i), mapping(who))
	}
}

// pictures judges icon, screenshots and the folder they lie in.
func (l *linter) pictures(m manifest) {
	folder := strings.TrimSuffix(path.Clean("./"+m.plain("staticFileDirectory")), "/")
	if given := m.plain("staticFileDirectory"); given == "" {
		l.say("STAT-1", manifestFile, m.lines["staticFileDirectory"], "staticFileDirectory", "is not given")
	} else if len(l.p.in(folder)) == 0 {
		l.say("STAT-1", manifestFile, m.lines["staticFileDirectory"], "staticFileDirectory", "%s is no folder of the package, or is empty", shown(given))
	}
	inside := func(field, name string) {
		if m.plain("staticFileDirectory") != "" && !strings.HasPrefix(name, folder+"/") {
			l.say("STAT-1", manifestFile, m.lines[strings.Split(field, "[")[0]], field, "%s lies outside of %s", shown(name), shown(folder))
		}
	}
	if icon := m.plain("icon"); icon != "" {
		kind, name, problem := l.picture(icon)
		switch {
		case problem != "":
			l.say("ICON-1", manifestFile, m.lines["icon"], "icon", "%s", problem)
		case kind == "" && name == "": // on the web
		case !slices.Contains([]string{"svg", "png", "jpeg", "gif", "webp"}, kind):
			l.say("ICON-1", manifestFile, m.lines["icon"], "icon", "%s is no such picture", shown(icon))
		}
		if problem == "" && name != "" {
			inside("icon", name)
		}
	}
	shots := m.texts("screenshots")
	if len(shots) < minScreenshots && !(m.has("screenshots") && m.fields["screenshots"] == nil) {
		l.say("SHOT-1", manifestFile, m.lines["screenshots"], "screenshots", "there are %d", len(shots))
	}
	for i, shot := range shots {
		field := fmt.Sprintf("screenshots[%d]", i)
		kind, name, problem := l.picture(shot)
		switch {
		case problem != "":
			l.say("SHOT-2", manifestFile, m.lines["screenshots"], field, "%s", problem)
		case kind == "" && name == "": // on the web
		case kind != "jpeg" && kind != "png":
			l.say("SHOT-2", manifestFile, m.lines["screenshots"], field, "%s is no JPEG and no PNG", shown(shot))
		}
		if problem == "" && name != "" {
			inside(field, name)
		}
		if slices.Index(shots, shot) < i {
			l.say("SHOT-2", manifestFile, m.lines["screenshots"], field, "%s is named twice", shown(shot))
		}
	}
}

// picture tells by its content what a picture is, and its path if it is a file of the package. A picture on the web is not fetched: both
// are empty.
func (l *linter) picture(ref string) (kind, name, problem string) {
	switch {
	case strings.HasPrefix(ref, "http://"), strings.HasPrefix(ref, "https://"):
		if !isWeb(ref) {
			return "", "", shown(ref) + " is no address"
		}
		return "", "", ""
	case strings.HasPrefix(ref, "data:"):
		head, data, _ := strings.Cut(ref, ",")
		mime, isImage := strings.CutPrefix(head, "data:image/")
		if !isImage {
			return "", "", shown(ref) + " is no picture"
		}
		subtype, encoding, _ := strings.Cut(mime, ";")
		if !strings.HasSuffix(";"+encoding, ";base64") {
			kind, _, _ = strings.Cut(subtype, "+")
			return kind, "", ""
		}
		content, err := base64.StdEncoding.DecodeString(data)
		if err != nil {
			return "", "", shown(ref) + " cannot be decoded as base64"
		}
		return pictureKind(content), "", ""
	}
	name = path.Clean(strings.TrimPrefix(ref, "./"))
	if path.IsAbs(ref) || name == ".." || strings.HasPrefix(name, "../") {
		return "", "", shown(ref) + " leads out of the package"
	}
	content, there := l.p.files[name]
	if !there {
		return "", "", shown(ref) + " is not in the package"
	}
	return pictureKind(content), name, ""
}

func pictureKind(content []byte) string {
	kind, isImage := strings.CutPrefix(http.DetectContentType(content), "image/")
	if isImage {
		return kind
	}
	if head := content[:min(len(content), 1024)]; bytes.Contains(head, []byte("<svg")) {
		return "svg"
	}
	return "other"
}

func (l *linter) dependencies(m manifest) {
	mode := m.plain("installationMode")
	if m.has("installationMode") && mode != "" && mode != "HostOnly" && mode != "Multicluster" {
		l.say("DEP-4", manifestFile, m.lines["installationMode"], "installationMode", "is %s", shown(mode))
	}
	seen, agent := map[string]bool{}, false
	for i, item := range items(m.fields["dependencies"]) {
		field := fmt.Sprintf("dependencies[%d]", i)
		dependency := mapping(item)
		name, repository := text(dependency["name"]), text(dependency["repository"])
		key := name
		if alias := text(dependency["alias"]); alias != "" {
			key = alias
		}
		switch {
		case name == "":
			l.say("DEP-1", manifestFile, m.lines["dependencies"], field+".name", "is missing or no text")
		case seen[key]:
			l.say("DEP-1", manifestFile, m.lines["dependencies"], field+".name", "%s is named twice", shown(key))
		case repository == "" && !l.hasChart(name):
			l.say("DEP-1", manifestFile, m.lines["dependencies"], field, "there is no charts/%s", name)
		case repository != "" && !strings.HasPrefix(repository, "file:") && !l.hasChart(name):
			l.say("DEP-2", manifestFile, m.lines["dependencies"], field+".repository", "is %s", shown(repository))
		}
		seen[key] = true
		for _, item := range items(dependency["tags"]) {
			switch tag := text(item); tag {
			case "agent":
				agent = true
			case "extension":
			default:
				l.say("DEP-3", manifestFile, m.lines["dependencies"], field+".tags", "has %s", shown(fmt.Sprint(item)))
			}
		}
	}
	if mode == "Multicluster" && !agent {
		l.say("DEP-4", manifestFile, m.lines["installationMode"], "installationMode", "is Multicluster, and no dependency is tagged agent")
	}
	for i, item := range items(m.fields["externalDependencies"]) {
		field := fmt.Sprintf("externalDependencies[%d]", i)
		other := mapping(item)
		if text(other["name"]) == "" {
			l.say("DEP-5", manifestFile, m.lines["externalDependencies"], field+".name", "is missing or no text")
		}
		if kind := text(other["type"]); kind != "extension" {
			l.say("DEP-5", manifestFile, m.lines["externalDependencies"], field+".type", "is %s", describe(other["type"]))
		}
		if !isRange(text(other["version"])) {
			l.say("DEP-5", manifestFile, m.lines["externalDependencies"], field+".version", "is %s", describe(other["version"]))
		}
	}
}
