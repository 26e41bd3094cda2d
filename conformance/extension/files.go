package extension

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// documents judges what is written for people.
func (l *linter) documents() {
	for _, d := range []struct{ file, rule string }{
		{"README.md", "DOC-1"}, {"README_zh.md", "DOC-1"}, {"CHANGELOG.md", "DOC-2"}, {"CHANGELOG_zh.md", "DOC-3"},
	} {
		content, there := l.p.files[d.file]
		switch {
		case !there:
			l.say(d.rule, d.file, 0, "", "there is none")
		case len(bytes.TrimSpace(content)) == 0:
			l.say(d.rule, d.file, 0, "", "is empty")
		}
	}
}

// permissions judges permissions.yaml.
func (l *linter) permissions() {
	const file = "permissions.yaml"
	content, there := l.p.files[file]
	if !there {
		l.say("PERM-1", file, 0, "", "there is none")
		return
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	roles := 0
	for document := 1; ; document++ {
		var tree any
		err := decoder.Decode(&tree)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			l.say("PERM-2", file, 0, "", "is no YAML: %s", err)
			return
		}
		if tree == nil {
			continue // between two separators
		}
		where := fmt.Sprintf("document %d", document)
		role := mapping(tree)
		if kind := text(role["kind"]); kind != "ClusterRole" && kind != "Role" {
			l.say("PERM-2", file, 0, where, "kind is %s", describe(role["kind"]))
			continue
		}
		roles++
		granted, ok := role["rules"].([]any)
		if !ok {
			l.say("PERM-2", file, 0, where, "rules is %s", describe(role["rules"]))
			continue
		}
		for i, item := range granted {
			l.privilege(file, fmt.Sprintf("%s rules[%d]", where, i), item)
		}
	}
	if roles == 0 {
		l.say("PERM-1", file, 0, "", "holds no ClusterRole and no Role")
	}
}

func (l *linter) privilege(file, where string, item any) {
	rule, ok := item.(map[string]any)
	if !ok || len(items(rule["verbs"])) == 0 {
		l.say("PERM-2", file, 0, where, "has no verbs")
		return
	}
	every := func(field string) bool { return slices.Contains(items(rule[field]), any("*")) }
	if every("verbs") && every("resources") && every("apiGroups") {
		l.say("PERM-3", file, 0, where, "grants every verb on every resource")
		return
	}
	var asked []string
	for _, resource := range items(rule["resources"]) {
		if name := text(resource); slices.Contains(sensitive, name) {
			asked = append(asked, name)
		}
	}
	if len(asked) > 0 {
		l.say("PERM-3", file, 0, where, "asks for %s", strings.Join(asked, ", "))
	}
}

// chart is the package itself or a sub-chart of it.
type chart struct {
	dir    string // "" for the package
	files  map[string][]byte
	about  map[string]any // Chart.yaml
	values map[string]any // values.yaml
}

func (c *chart) file(name string) string {
	if c.dir == "" {
		return name
	}
	return c.dir + "/" + name
}

// templates are the paths, within the chart, of what Helm renders.
func (c *chart) templates() []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		if strings.HasPrefix(name, "templates/") && slices.Contains([]string{".yaml", ".yml", ".tpl", ".txt"}, path.Ext(name)) {
			found = append(found, name)
		}
	}
	return found
}

// subcharts are the charts of the package, packed or not, in the order of their paths.
func (l *linter) subcharts() []*chart {
	byDir := map[string]map[string][]byte{}
	for name, content := range l.p.files {
		parts := strings.SplitN(name, "/", 3)
		if len(parts) == 3 && parts[0] == "charts" {
			dir := "charts/" + parts[1]
			if byDir[dir] == nil {
				byDir[dir] = map[string][]byte{}
			}
			byDir[dir][parts[2]] = content
		}
	}
	for name, sub := range l.p.packed {
		if len(sub.files) > 0 {
			byDir[name] = sub.files
		}
	}
	var all []*chart
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		if !strings.HasPrefix(path.Base(dir), "_") && !strings.HasPrefix(path.Base(dir), ".") { // Helm passes these over
			all = append(all, &chart{dir: dir, files: byDir[dir]})
		}
	}
	return all
}

// hasChart says whether a sub-chart of that name is in the package.
func (l *linter) hasChart(name string) bool {
	return slices.ContainsFunc(l.subcharts(), func(c *chart) bool {
		about, _, err := readYAML(c.files["Chart.yaml"])
		return err == nil && text(about["name"]) == name
	})
}

// values judges the values.yaml of the package.
func (l *linter) values() {
	if content, there := l.p.files["values.yaml"]; there {
		l.readValues("values.yaml", content)
	}
}

func (l *linter) readValues(file string, content []byte) map[string]any {
	var tree any
	if err := yaml.Unmarshal(content, &tree); err != nil {
		l.say("CHART-2", file, 0, "", "is no YAML: %s", err)
		return nil
	}
	if _, ok := tree.(map[string]any); !ok && tree != nil {
		l.say("CHART-2", file, 0, "", "is %s", describe(tree))
	}
	return mapping(tree)
}

// charts judges the sub-charts.
func (l *linter) charts(manifest) {
	subs := l.subcharts()
	if root := (&chart{files: l.p.files}); len(subs) == 0 && len(root.templates()) == 0 {
		l.say("CHART-4", "charts", 0, "", "there is nothing to install")
	}
	for _, c := range subs {
		content, there := c.files["Chart.yaml"]
		if !there {
			l.say("CHART-1", c.file("Chart.yaml"), 0, "", "there is none")
			continue
		}
		about, lines, err := readYAML(content)
		if err != nil {
			l.say("CHART-1", c.file("Chart.yaml"), 0, "", "%s", err)
			continue
		}
		if v := text(about["apiVersion"]); v != "v2" && v != "v1" {
			l.say("CHART-1", c.file("Chart.yaml"), lines["apiVersion"], "apiVersion", "is %s", describe(about["apiVersion"]))
		}
		if text(about["name"]) == "" {
			l.say("CHART-1", c.file("Chart.yaml"), lines["name"], "name", "is %s", describe(about["name"]))
		}
		if !semver.MatchString(text(about["version"])) {
			l.say("CHART-1", c.file("Chart.yaml"), lines["version"], "version", "is %s", describe(about["version"]))
		}
	}
}

// size packs what would be uploaded and counts the bytes.
func (l *linter) size(m manifest) int64 {
	folder := path.Clean("./" + m.plain("staticFileDirectory"))
	var packed counter
	zipped := packers.Get().(*gzip.Writer)
	defer packers.Put(zipped)
	zipped.Reset(&packed)
	archive := tar.NewWriter(zipped)
	for _, name := range l.p.names() {
		if folder != "." && strings.HasPrefix(name, folder+"/") {
			continue
		}
		content := l.p.files[name]
		_ = archive.WriteHeader(&tar.Header{Name: "package/" + name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}) // a counter takes all
		_, _ = archive.Write(content)
	}
	_ = archive.Close()
	_ = zipped.Close()
	l.upload(int64(packed))
	return int64(packed)
}

// upload judges the size of what would be uploaded.
func (l *linter) upload(bytes int64) {
	if bytes > maxUpload {
		l.say("PKG-2", ".", 0, "", "has %d bytes, packed without static files", bytes)
	}
}

// packers are kept because each has tables of a megabyte.
var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

type counter int64

func (c *counter) Write(p []byte) (int, error) { *c += counter(len(p)); return len(p), nil }
