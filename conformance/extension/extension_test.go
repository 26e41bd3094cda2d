package extension_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance/extension"
	"github.com/isvkit/isvkit/openapi/requirements"
)

var (
	png  = "\x89PNG\r\n\x1a\n rest of a picture"
	jpeg = "\xff\xd8\xff\xe0 rest of a picture"
	svg  = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>`
)

// good is a package that keeps every rule.
func good() map[string]string {
	return map[string]string{
		"extension.yaml": `apiVersion: v1
name: hello
version: 1.4.0
displayName:
  zh: 你好
  en: Hello
description:
  zh: 一个示例
  en: A sample
category: dev-tools
keywords: [hello]
home: https://hello.example.com
docs: https://hello.example.com/docs
sources: [https://hello.example.com/git]
kubeVersion: ">=1.19.0-0"
ksVersion: ">=3.4.0 <5.0.0 || ^6.1"
maintainers:
  - name: Hello
    email: hello@example.com
    url: https://hello.example.com
provider:
  zh: { name: 你好公司, email: hello@example.com, url: "https://hello.example.com" }
  en: { name: Hello Ltd, email: hello@example.com, url: "https://hello.example.com" }
staticFileDirectory: static
icon: ./static/favicon.svg
screenshots:
  - ./static/screenshots/one.png
  - ./static/screenshots/two.jpg
  - https://hello.example.com/three.png
dependencies:
  - name: frontend
    tags: [extension]
  - name: backend
    tags: [agent]
installationMode: Multicluster
namespace: extension-hello
images:
  - docker.io/hello/frontend:1.4.0
  - registry.example.com:5000/hello/backend:1.4.1
  - docker.io/library/busybox:1.36
externalDependencies:
  - name: whizard-monitoring
    type: extension
    version: ">= 1.0.0"
    required: true
annotations:
  team: hello
`,
		"README.md": "# Hello\n", "README_zh.md": "# 你好\n", "CHANGELOG.md": "## 1.4.0\n", "CHANGELOG_zh.md": "## 1.4.0\n",
		"permissions.yaml": `kind: ClusterRole
rules:
  - verbs: [create, patch, update, get]
    apiGroups: [extensions.kubesphere.io]
    resources: ["*"]
---
kind: Role
rules:
  - verbs: ["*"]
    apiGroups: ["", apps]
    resources: [deployments, services]
`,
		"values.yaml":                        "global:\n  imageRegistry: \"\"\n  nodeSelector: {}\nbackend:\n  image:\n    tag: 1.4.1\n",
		"static/favicon.svg":                 svg,
		"static/screenshots/one.png":         png,
		"static/screenshots/two.jpg":         jpeg,
		"charts/frontend/Chart.yaml":         "apiVersion: v2\nname: frontend\nversion: 1.4.0\nappVersion: 1.4.0\n",
		"charts/frontend/values.yaml":        "image:\n  repository: hello/frontend\n  tag: \"\"\n",
		"charts/backend/Chart.yaml":          "apiVersion: v2\nname: backend\nversion: 1.4.0\n",
		"charts/backend/values.yaml":         "image:\n  registry: registry.example.com:5000\n  repository: hello/backend\n  tag: 1.0.0\n",
		"charts/backend/templates/NOTES.txt": "Hello {{ .Release.Name }}\n",
		"charts/backend/templates/_helpers.tpl": `{{- define "backend.image" -}}
{{ include "backend.registry" . }}{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}
{{- define "backend.registry" -}}{{ with .Values.global.imageRegistry }}{{ . }}/{{ end }}{{- end }}
{{- define "backend.nodes" -}}{{ toYaml (merge .Values.global.nodeSelector .Values.nodeSelector) }}{{- end }}
`,
		"charts/backend/templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ .Release.Name }} }
spec:
  template:
    spec:
      nodeSelector: {{ include "backend.nodes" . | nindent 8 }}
      initContainers:
        - image: busybox:1.36
          name: first
      containers:
        - name: backend
          image: "{{ include "backend.image" . }}"
`,
		"charts/frontend/templates/deployment.yaml": `apiVersion: apps/v1
kind: Deployment
spec:
  template:
    spec:
      nodeSelector: {{ .Values.global.nodeSelector | toYaml | nindent 8 }}
      containers:
        - image: {{ .Values.global.imageRegistry }}/{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
`,
	}
}

func folder(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, content := range files {
		m[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return m
}

func lint(t *testing.T, files map[string]string) extension.Result {
	t.Helper()
	p, err := extension.FromFS(folder(files))
	require.NoError(t, err)
	return p.Lint()
}

// entry is a tar entry; the type is a file's if it is not said.
type entry struct {
	name, content string
	kind          byte
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	w := tar.NewWriter(zipped)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Typeflag: e.kind, Size: int64(len(e.content))}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag != tar.TypeReg {
			h.Size, h.Linkname = 0, e.content
		}
		require.NoError(t, w.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, e.content)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	require.NoError(t, zipped.Close())
	return b.Bytes()
}

func packed(t testing.TB, root string, files map[string]string) []byte {
	t.Helper()
	var entries []entry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, entry{name: root + "/" + name, content: files[name]})
	}
	return archive(t, entries...)
}

func lintArchive(t *testing.T, content []byte) extension.Result {
	t.Helper()
	p, err := extension.FromArchive(bytes.NewReader(content))
	require.NoError(t, err)
	return p.Lint()
}

func TestLint_GoodPackage(t *testing.T) {
	t.Parallel()
	unpacked := lint(t, good())
	assert.Empty(t, unpacked.Findings)
	assert.True(t, unpacked.OK())
	assert.Equal(t, "hello", unpacked.Name)
	assert.Equal(t, "1.4.0", unpacked.Version)
	assert.Equal(t, len(good()), unpacked.Files)
	assert.Equal(t, unpacked, lintArchive(t, packed(t, "hello", good())), "packed or not, it is the same package")
	assert.Equal(t, unpacked, lintArchive(t, packed(t, "./hello", good())))
}

// change is a good package with one thing wrong.
type change struct {
	rule  string
	where string // a part of Finding.Where
	seen  string // a part of Finding.Seen
	edit  func(map[string]string)
	also  []string // rules that the same mistake breaks besides
}

func in(file, old, with string) func(map[string]string) {
	return func(files map[string]string) {
		if !strings.Contains(files[file], old) {
			panic(file + " has no " + old)
		}
		files[file] = strings.Replace(files[file], old, with, 1)
	}
}

func manifest(old, with string) func(map[string]string) { return in("extension.yaml", old, with) }

func without(names ...string) func(map[string]string) {
	return func(files map[string]string) {
		for _, name := range names {
			delete(files, name)
		}
	}
}

func with(name, content string) func(map[string]string) {
	return func(files map[string]string) { files[name] = content }
}

// noise is text that cannot be compressed.
func noise(n int) string { return chaos()[:n] }

var chaos = sync.OnceValue(func() string {
	b := make([]byte, 2<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], r.Uint64())
	}
	return string(b)
})

var long33 = "a" + strings.Repeat("b", 32)

func mistakes() []change {
	return []change{
		{"PKG-1", "a", "a file and as a folder", nil, nil}, // only in an archive; see TestFromArchive_Refuses
		{"PKG-1", ".helmignore", "** is not supported", with(".helmignore", "**/x\n"), nil},
		{"PKG-1", ".helmignore", "cannot be read", with(".helmignore", "[\n"), nil},
		{"PKG-1", "charts/more.tgz", "no gzip", with("charts/more.tgz", "text"), nil},
		{"PKG-2", "package", "packed without static files", with("charts/big.bin", noise(1<<20+1<<16)), nil},

		{"MAN-1", "extension.yaml", "there is none", without("extension.yaml"), []string{"*"}},
		{"MAN-1", "extension.yaml", "in hello", func(f map[string]string) {
			f["hello/extension.yaml"] = f["extension.yaml"]
			delete(f, "extension.yaml")
		}, []string{"*"}},
		{"MAN-1", "extension.yaml", "is empty", with("extension.yaml", ""), []string{"*"}},
		{"MAN-1", "extension.yaml", "not a mapping", with("extension.yaml", "[1]"), []string{"*"}},
		{"MAN-1", "extension.yaml", "is no YAML", with("extension.yaml", "a: b: c"), []string{"*"}},
		{"MAN-1", "extension.yaml", "already defined", manifest("name: hello\n", "name: hello\nname: hello2\n"), []string{"*"}},
		{"MAN-1", "extension.yaml", "more than one document", manifest("name: hello\n", "name: hello\n---\nx: y\n"), []string{"*"}},
		{"MAN-2", "extension.yaml apiVersion", "missing", manifest("apiVersion: v1\n", ""), nil},
		{"MAN-2", "extension.yaml name", "missing", manifest("name: hello\n", ""), nil},
		{"MAN-2", "extension.yaml:2 name", "empty", manifest("name: hello\n", "name:\n"), nil},
		{"MAN-2", "extension.yaml:3 version", "empty", manifest("version: 1.4.0", `version: ""`), nil},
		{"MAN-2", "extension.yaml displayName", "missing", manifest("displayName:\n  zh: 你好\n  en: Hello\n", ""), nil},
		{"MAN-2", "extension.yaml description", "missing", manifest("description:\n  zh: 一个示例\n  en: A sample\n", ""), nil},
		{"MAN-2", "extension.yaml category", "missing", manifest("category: dev-tools\n", ""), nil},
		{"MAN-2", "extension.yaml icon", "missing", manifest("icon: ./static/favicon.svg\n", ""), nil},
		{"MAN-3", "extension.yaml:3 version", "1.4, which YAML reads as a number", manifest("version: 1.4.0", "version: 1.4"), nil},
		{"MAN-3", "extension.yaml:4 displayName", `the text "Hello"`, manifest("displayName:\n  zh: 你好\n  en: Hello\n", "displayName: Hello\n"), nil},
		{"MAN-3", "keywords", "the text", manifest("keywords: [hello]", "keywords: hello"), nil},
		{"MAN-3", "keywords", "a list", manifest("keywords: [hello]", "keywords: [1]"), nil},
		{"MAN-3", "provider", "a mapping", manifest(`  en: { name: Hello Ltd, email: hello@example.com, url: "https://hello.example.com" }`, "  en: Hello Ltd"), nil},
		{"MAN-3", "annotations", "a mapping", manifest("team: hello", "team: true"), nil},
		{"MAN-4", "extension.yaml:10 categroy", "no field", manifest("category: dev-tools", "categroy: dev-tools"), []string{"MAN-2"}},
		{"MAN-5", "extension.yaml:1 apiVersion", `"v2"`, manifest("apiVersion: v1", "apiVersion: v2"), nil},

		{"NAME-1", "extension.yaml:2 name", `"Hello"`, manifest("name: hello", "name: Hello"), nil},
		{"NAME-1", "name", `"-hello"`, manifest("name: hello", "name: -hello"), nil},
		{"NAME-1", "name", `"hello_world"`, manifest("name: hello", "name: hello_world"), nil},
		{"NAME-2", "name", "33 characters", manifest("name: hello", "name: "+long33), nil},
		{"NAME-3", "name", `"hello-world"`, manifest("name: hello", "name: hello-world"), nil},
		{"NAME-4", "namespace", `"hello.world"`, manifest("namespace: extension-hello", "namespace: hello.world"), nil},
		{"NAME-4", "namespace", "…", manifest("namespace: extension-hello", "namespace: "+strings.Repeat("a", 64)), nil},

		{"VER-1", "version", `"v1.4.0"`, manifest("version: 1.4.0", "version: v1.4.0"), nil},
		{"VER-1", "version", `"1.4.0.1"`, manifest("version: 1.4.0", "version: 1.4.0.1"), nil},
		{"VER-1", "version", `"1.04.0"`, manifest("version: 1.4.0", "version: 1.04.0"), nil},
		{"VER-2", "kubeVersion", `"newer"`, manifest(`kubeVersion: ">=1.19.0-0"`, "kubeVersion: newer"), nil},
		{"VER-2", "ksVersion", `">=3.4.0 and"`, manifest(`ksVersion: ">=3.4.0 <5.0.0 || ^6.1"`, `ksVersion: ">=3.4.0 and"`), nil},

		{"LANG-1", "displayName.cn", `"cn"`, manifest("displayName:\n", "displayName:\n  cn: x\n"), nil},
		{"LANG-1", "description.zho", `"zho"`, manifest("description:\n", "description:\n  zho: x\n"), nil},
		{"LANG-1", "provider.EN", `"EN"`, manifest("provider:\n", "provider:\n  EN: { name: x }\n"), nil},
		{"LANG-2", "displayName", "no zh", manifest("  zh: 你好\n", ""), nil},
		{"LANG-2", "description.en", "empty", manifest("  en: A sample", `  en: " "`), nil},
		{"LANG-3", "provider", "no zh", manifest(`  zh: { name: 你好公司, email: hello@example.com, url: "https://hello.example.com" }`+"\n", ""), nil},

		{"PROV-1", "provider.en.name", "missing", manifest("name: Hello Ltd, ", ""), nil},
		{"PROV-1", "maintainers[0].name", "missing", manifest("- name: Hello\n    email", "- email"), nil},
		{"PROV-2", "provider.zh.email", `"hello"`, manifest("你好公司, email: hello@example.com", "你好公司, email: hello"), nil},
		{"PROV-2", "maintainers[0].url", `"hello"`, manifest("    url: https://hello.example.com", "    url: hello"), nil},
		{"PROV-2", "home", `"hello"`, manifest("home: https://hello.example.com", "home: hello"), nil},
		{"PROV-2", "sources[0]", "ssh", manifest("https://hello.example.com/git", "ssh://hello.example.com/git"), nil},
		{"CAT-1", "category", `"devops"`, manifest("category: dev-tools", "category: devops"), nil},

		{"ICON-1", "icon", "not in the package", manifest("favicon.svg", "favicon.png"), nil},
		{"ICON-1", "icon", "leads out", manifest("./static/favicon.svg", "../favicon.svg"), nil},
		{"ICON-1", "icon", "leads out", manifest("./static/favicon.svg", "/favicon.svg"), nil},
		{"ICON-1", "icon", "no such picture", with("static/favicon.svg", "not a picture"), nil},
		{"ICON-1", "icon", "no picture", manifest("./static/favicon.svg", "data:text/plain;base64,AAAA"), nil},
		{"ICON-1", "icon", "cannot be decoded", manifest("./static/favicon.svg", "data:image/png;base64,%%%"), nil},
		{"ICON-1", "icon", "no such picture", manifest("./static/favicon.svg", "data:image/png;base64,aGVsbG8="), nil},
		{"ICON-1", "icon", "no address", manifest("./static/favicon.svg", "https://"), nil},
		{"SHOT-1", "screenshots", "there are 2", manifest("  - https://hello.example.com/three.png\n", ""), nil},
		{"SHOT-2", "screenshots[0]", "not in the package", without("static/screenshots/one.png"), nil},
		{"SHOT-2", "screenshots[0]", "no JPEG and no PNG", with("static/screenshots/one.png", svg), nil},
		{"SHOT-2", "screenshots[1]", "named twice", manifest("two.jpg", "one.png"), nil},
		{"STAT-1", "staticFileDirectory", "not given", manifest("staticFileDirectory: static\n", ""), nil},
		{"STAT-1", "staticFileDirectory", "no folder", manifest("staticFileDirectory: static\n", "staticFileDirectory: pictures\n"), nil},
		{"STAT-1", "icon", "outside", func(f map[string]string) { f["icon.svg"] = svg; manifest("./static/favicon.svg", "icon.svg")(f) }, nil},

		{"DOC-1", "README.md", "none", without("README.md"), nil},
		{"DOC-1", "README_zh.md", "empty", with("README_zh.md", " \n"), nil},
		{"DOC-2", "CHANGELOG.md", "none", without("CHANGELOG.md"), nil},
		{"DOC-3", "CHANGELOG_zh.md", "none", without("CHANGELOG_zh.md"), nil},

		{"DEP-1", "dependencies[0].name", "missing", manifest("- name: frontend\n    tags", "- tags"), nil},
		{"DEP-1", "dependencies[0]", "no charts/web", manifest("- name: frontend", "- name: web"), nil},
		{"DEP-1", "dependencies[1].name", "twice", manifest("- name: backend", "- name: frontend"), nil},
		{"DEP-2", "dependencies[0].repository", "https://charts.example.com", manifest("- name: frontend", "- name: web\n    repository: https://charts.example.com"), nil},
		{"DEP-3", "dependencies[0].tags", `"host"`, manifest("[extension]", "[host]"), nil},
		{"DEP-4", "installationMode", `"Everywhere"`, manifest("Multicluster", "Everywhere"), nil},
		{"DEP-4", "installationMode", "no dependency is tagged agent", manifest("[agent]", "[extension]"), nil},
		{"DEP-5", "externalDependencies[0].name", "missing", manifest("- name: whizard-monitoring\n    type", "- type"), nil},
		{"DEP-5", "externalDependencies[0].type", "chart", manifest("type: extension", "type: chart"), nil},
		{"DEP-5", "externalDependencies[0].version", "new", manifest(`version: ">= 1.0.0"`, "version: new"), nil},
		{"CHART-1", "charts/extra/Chart.yaml", "none", with("charts/extra/values.yaml", ""), nil},
		{"CHART-1", "charts/backend/Chart.yaml", "no YAML", with("charts/backend/Chart.yaml", "a: b: c"), []string{"DEP-1", "IMG-4", "IMG-5"}},
		{"CHART-1", "charts/backend/Chart.yaml:1 apiVersion", "v3", in("charts/backend/Chart.yaml", "v2", "v3"), nil},
		{"CHART-1", "charts/backend/Chart.yaml name", "empty", in("charts/backend/Chart.yaml", "name: backend\n", ""), []string{"DEP-1", "IMG-4", "IMG-5"}},
		{"CHART-1", "charts/backend/Chart.yaml:3 version", "1.4", in("charts/backend/Chart.yaml", "1.4.0", "1.4"), nil},
		{"CHART-2", "values.yaml", "no YAML", with("values.yaml", "a: b: c"), []string{"IMG-4", "IMG-5"}},
		{"CHART-2", "charts/frontend/values.yaml", "a list", with("charts/frontend/values.yaml", "[1]"), []string{"IMG-4"}},
		{"CHART-3", "charts/frontend/templates/service.yaml", "unclosed action", with("charts/frontend/templates/service.yaml", "a: {{ .b"), nil},
		{"CHART-3", "charts/frontend/templates/big.yaml", "was not read", with("charts/frontend/templates/big.yaml", strings.Repeat("#", 256<<10+1)), nil},
		{"CHART-4", "charts", "nothing to install", func(f map[string]string) {
			maps.DeleteFunc(f, func(name, _ string) bool { return strings.HasPrefix(name, "charts/") })
		}, []string{"DEP-1", "IMG-4"}},

		{"PERM-1", "permissions.yaml", "none", without("permissions.yaml"), nil},
		{"PERM-1", "permissions.yaml", "no ClusterRole", with("permissions.yaml", "---\n"), nil},
		{"PERM-2", "permissions.yaml", "no YAML", with("permissions.yaml", "a: b: c"), nil},
		{"PERM-2", "permissions.yaml document 1", "Deployment", in("permissions.yaml", "kind: ClusterRole", "kind: Deployment"), nil},
		{"PERM-2", "permissions.yaml document 2", "rules is empty", with("permissions.yaml", "kind: Role\nrules: []\n---\nkind: Role\n"), nil},
		{"PERM-2", "document 1 rules[0]", "no verbs", in("permissions.yaml", "verbs: [create, patch, update, get]", "verbs: []"), nil},
		{"PERM-3", "document 1 rules[0]", "every verb", in("permissions.yaml", "  - verbs: [create, patch, update, get]\n    apiGroups: [extensions.kubesphere.io]", "  - verbs: ['*']\n    apiGroups: ['*']"), nil},
		{"PERM-3", "document 2 rules[0]", "secrets", in("permissions.yaml", "deployments,", "secrets,"), nil},

		{"IMG-1", "images", "none", manifest("images:\n  - docker.io/hello/frontend:1.4.0\n  - registry.example.com:5000/hello/backend:1.4.1\n  - docker.io/library/busybox:1.36\n", ""), nil},
		{"IMG-2", "images[0]", "frontend", manifest("docker.io/hello/frontend:1.4.0", "docker.io/hello/frontend"), []string{"IMG-5"}},
		{"IMG-2", "images[0]", "Frontend", manifest("docker.io/hello/frontend:1.4.0", "docker.io/hello/Frontend:1.4.0"), []string{"IMG-5"}},
		{"IMG-3", "images[0]", "latest", func(f map[string]string) {
			manifest("frontend:1.4.0", "frontend:latest")(f)
			in("charts/frontend/Chart.yaml", "appVersion: 1.4.0", "appVersion: latest")(f)
		}, nil},
		{"IMG-4", "images[3]", "hello/unused:1.0", manifest("  - docker.io/library/busybox:1.36", "  - docker.io/library/busybox:1.36\n  - hello/unused:1.0"), nil},
		{"IMG-5", "charts/backend/templates/deployment.yaml", "busybox:1.36", manifest("  - docker.io/library/busybox:1.36\n", ""), nil},
		{"IMG-5", "values.yaml", "hello/agent:2.1", in("values.yaml", "backend:", "agentImage: hello/agent:2.1\nbackend:"), nil},
		{"GLOB-1", "charts/frontend/templates/deployment.yaml", "without global.imageRegistry", in("charts/frontend/templates/deployment.yaml", "{{ .Values.global.imageRegistry }}/", ""), nil},
		{"GLOB-1", "charts/backend/templates/deployment.yaml", "without", in("charts/backend/templates/_helpers.tpl", ".Values.global.imageRegistry", ".Values.mirror"), nil},
		{"GLOB-2", "charts/frontend/templates/deployment.yaml", "without global.nodeSelector", in("charts/frontend/templates/deployment.yaml", ".Values.global.nodeSelector", ".Values.nodeSelector"), nil},
	}
}

// TestLint_OneMistake makes one mistake at a time: its rule is named with the place, and no other.
func TestLint_OneMistake(t *testing.T) {
	t.Parallel()
	judged := map[string]bool{}
	for _, m := range mistakes() {
		judged[m.rule] = true
		if m.edit == nil {
			continue
		}
		files := good()
		m.edit(files)
		result := lint(t, files)
		var rules []string
		hit := false
		for _, f := range result.Findings {
			if f.Rule == m.rule {
				hit = hit || strings.Contains(f.Where(), m.where) && strings.Contains(f.Seen, m.seen)
			} else if !slices.Contains(m.also, f.Rule) && !slices.Contains(m.also, "*") {
				rules = append(rules, f.String())
			}
			assert.NotEmpty(t, f.Expected)
			assert.NotEmpty(t, f.Mend)
		}
		assert.True(t, hit, "%s at %s: %s, got %v", m.rule, m.where, m.seen, result.Findings)
		assert.Empty(t, rules, "%s at %s: %s", m.rule, m.where, m.seen)
		at := slices.IndexFunc(extension.Rules(), func(r extension.Rule) bool { return r.ID == m.rule })
		require.GreaterOrEqual(t, at, 0, m.rule)
		if extension.Rules()[at].Level == requirements.Must || len(m.also) > 0 {
			continue
		}
		assert.True(t, result.OK(), "%s is no MUST", m.rule)
	}
	for _, r := range extension.Rules() {
		assert.True(t, judged[r.ID], "no package breaks %s", r.ID)
		assert.NotEmpty(t, r.Text, r.ID)
		assert.NotEmpty(t, r.Source, r.ID)
		assert.NotEmpty(t, r.Mend, r.ID)
	}
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), fmt.Sprintf("%d rules, each with its source", len(extension.Rules())))
}

// TestLint_AlsoRight are packages that differ from the good one and are as good.
func TestLint_AlsoRight(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(map[string]string){
		"a name of 32 characters":       manifest("name: hello", "name: "+long33[:32]),
		"the other apiVersion":          manifest("apiVersion: v1", "apiVersion: kubesphere.io/v1alpha1"),
		"a pre-release":                 manifest("version: 1.4.0", "version: 1.4.0-rc.1+build.5"),
		"host only is the default":      manifest("installationMode: Multicluster\n", ""),
		"a namespace of 63 characters":  manifest("namespace: extension-hello", "namespace: "+strings.Repeat("a", 63)),
		"an icon in extension.yaml":     manifest("./static/favicon.svg", "data:image/png;base64,"+base64.StdEncoding.EncodeToString([]byte(png))),
		"an icon in extension.yaml, as": manifest("./static/favicon.svg", "data:image/svg+xml;utf8,"+"<svg></svg>"),
		"an icon on the web":            manifest("./static/favicon.svg", "https://hello.example.com/icon.svg"),
		"static files are not counted":  with("static/video.bin", noise(2<<20)),
		"left out by .helmignore": func(f map[string]string) {
			f[".helmignore"] = "\ufeff# not in the package\n.git/\n*.bak\n/big.bin\nhack/*.sh\n"
			f[".git/objects/x"], f["big.bin"], f["values.bak"] = noise(2<<20), noise(2<<20), noise(2<<20)
			f["hack/a.sh"] = noise(2 << 20)
		},
		"a template that is a comment": with("charts/backend/templates/empty.yaml", "{{/* image: */}}\n"),
		"documents of nothing":         in("permissions.yaml", "---\n", "---\n---\n"),
		"an alias": func(f map[string]string) {
			manifest("- name: backend\n", "- name: backend\n    alias: server\n")(f)
			in("values.yaml", "backend:", "server:")(f)
		},
		"a helper of another chart": func(f map[string]string) {
			f["charts/common/Chart.yaml"] = "apiVersion: v2\nname: common\nversion: 1.0.0\ntype: library\n"
			f["charts/common/templates/_all.tpl"] = f["charts/backend/templates/_helpers.tpl"]
			delete(f, "charts/backend/templates/_helpers.tpl")
		},
		"a globals block": in("charts/frontend/templates/deployment.yaml", "{{ .Values.global.nodeSelector | toYaml | nindent 8 }}", "{{ with .Values.global }}{{ .nodeSelector }}{{ end }}"),
		"a digest": func(f map[string]string) {
			digest := "sha256:" + strings.Repeat("ab", 32)
			manifest("docker.io/hello/frontend:1.4.0", "hello/frontend@"+digest)(f)
			f["charts/frontend/values.yaml"] = "image:\n  repository: hello/frontend\n  digest: " + digest + "\n"
		},
	} {
		files := good()
		edit(files)
		assert.Empty(t, lint(t, files).Findings, name)
	}
}

// TestLint_PackedChart: a sub-chart may be an archive of its own.
func TestLint_PackedChart(t *testing.T) {
	t.Parallel()
	files, backend := good(), map[string]string{}
	for name, content := range files {
		if rest, ok := strings.CutPrefix(name, "charts/backend/"); ok {
			backend[rest] = content
			delete(files, name)
		}
	}
	files["charts/backend-1.4.0.tgz"] = string(packed(t, "backend", backend))
	assert.Empty(t, lint(t, files).Findings)
	backend["templates/deployment.yaml"] += "          image: other:1.0\n"
	files["charts/backend-1.4.0.tgz"] = string(packed(t, "backend", backend))
	result := lint(t, files)
	require.Len(t, result.Findings, 1)
	assert.Equal(t, "charts/backend-1.4.0.tgz/templates/deployment.yaml", result.Findings[0].Where())
}

func TestLint_SizeAtTheLimit(t *testing.T) {
	t.Parallel()
	assert.Empty(t, extension.Upload(1<<20-1))
	assert.Empty(t, extension.Upload(1<<20))
	assert.Len(t, extension.Upload(1<<20+1), 1)
	files := good()
	before := lint(t, files).Size
	files["charts/backend/files/data.bin"] = noise(100 << 10)
	assert.InDelta(t, before+100<<10, lint(t, files).Size, 1<<10, "what cannot be compressed counts in full")
	files["static/data.bin"] = noise(200 << 10)
	assert.InDelta(t, before+100<<10, lint(t, files).Size, 1<<10, "static files do not count")
}

func TestFromArchive_Refuses(t *testing.T) {
	t.Parallel()
	many := make([]entry, 65)
	for i := range many {
		many[i] = entry{name: fmt.Sprintf("hello/%d", i)}
	}
	whole := packed(t, "hello", good())
	zeros := strings.Repeat("\x00", 128<<10+1)
	for want, content := range map[string][]byte{
		"is no gzip file":                        []byte("text"),
		"is no gzip file: EOF":                   {},
		"no tar archive":                         gzipped(t, "text that is long enough to be no end of an archive"),
		"holds no file":                          archive(t, entry{name: "hello/", kind: tar.TypeDir}),
		"cut off":                                whole[:len(whole)/2],
		`"../evil" leads out`:                    archive(t, entry{name: "../evil"}),
		`"hello/../../evil" leads out`:           archive(t, entry{name: "hello/../../evil"}),
		`"/etc/passwd" leads out`:                archive(t, entry{name: "/etc/passwd"}),
		`"hello\\..\\evil" leads out`:            archive(t, entry{name: `hello\..\evil`}),
		`"C:/evil" leads out`:                    archive(t, entry{name: "C:/evil"}),
		`"hello//x" leads out`:                   archive(t, entry{name: "hello//x"}),
		"neither a file nor a folder":            archive(t, entry{name: "hello/x", kind: tar.TypeSymlink, content: "/etc/passwd"}),
		`"hello/y" is neither`:                   archive(t, entry{name: "hello/y", kind: tar.TypeLink, content: "hello/x"}),
		`"hello/z" is neither`:                   archive(t, entry{name: "hello/z", kind: tar.TypeFifo}),
		"lies beside the package's folder":       archive(t, entry{name: "hello/x"}, entry{name: "y"}),
		`two folders at its root, "a"`:           archive(t, entry{name: "a/x"}, entry{name: "b/x"}),
		`two folders at its root, "c"`:           archive(t, entry{name: "c/", kind: tar.TypeDir}, entry{name: "d/", kind: tar.TypeDir}),
		`has "hello/x" twice`:                    archive(t, entry{name: "hello/x"}, entry{name: "./hello/x"}),
		`has "x" as a file and as a folder`:      archive(t, entry{name: "hello/x"}, entry{name: "hello/x/y"}),
		"has a path of 513 bytes":                archive(t, entry{name: strings.Repeat("a", 513)}),
		"more than 64 files and folders":         archive(t, many...),
		"together are larger than 131072 bytes":  archive(t, entry{name: "hello/zeros", content: zeros}),
		"the archive is larger than 65536 bytes": make([]byte, 64<<10+1),
		"charts/inner.tgz: the files together":   archive(t, entry{name: "hello/charts/inner.tgz", content: string(archive(t, entry{name: "in/zeros", content: zeros}))}),
	} {
		p, err := extension.FromArchiveSmall(bytes.NewReader(content))
		require.NoError(t, err, want)
		result := p.Lint()
		require.NotEmpty(t, result.Findings, want)
		first := result.Findings[0]
		assert.Equal(t, "PKG-1", first.Rule, want)
		assert.Contains(t, first.Where()+": "+first.Seen, want)
		assert.False(t, result.OK(), want)
	}
	for name, content := range map[string][]byte{
		"64 files":           archive(t, many[:64]...),
		"128 KiB of zeros":   archive(t, entry{name: "hello/zeros", content: zeros[1:]}),
		"a path of 512":      archive(t, entry{name: "hello/" + strings.Repeat("a", 506)}),
		"an archive in half": archive(t, entry{name: "hello/charts/inner.tgz", content: string(archive(t, entry{name: "in/zeros", content: zeros[:100<<10]}))}),
	} {
		p, err := extension.FromArchiveSmall(bytes.NewReader(content))
		require.NoError(t, err, name)
		assert.NotContains(t, fmt.Sprint(p.Lint().Findings), "PKG-1", name)
	}
	packed, total, files := extension.UsualLimits()
	assert.Equal(t, []int64{32 << 20, 64 << 20, 4096}, []int64{packed, total, int64(files)})

	_, err := extension.FromArchive(errReader{})
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// TestFromFS_LinksAreNotFollowed: a link in a folder may lead anywhere, and the packed package would not have it.
func TestFromFS_LinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret.md")
	require.NoError(t, os.WriteFile(outside, []byte("a secret **"), 0o600))
	dir := t.TempDir()
	for name, content := range good() {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	p, err := extension.FromFS(os.DirFS(dir))
	require.NoError(t, err)
	require.Empty(t, p.Lint().Findings)

	require.NoError(t, os.Remove(filepath.Join(dir, "README.md")))
	if err := os.Symlink(outside, filepath.Join(dir, "README.md")); err != nil {
		t.Skip("this system has no links: " + err.Error())
	}
	p, err = extension.FromFS(os.DirFS(dir))
	require.NoError(t, err)
	result := p.Lint()
	require.Len(t, result.Findings, 2)
	assert.Equal(t, "PKG-1 MUST README.md", result.Findings[0].Rule+" MUST "+result.Findings[0].Where())
	assert.Contains(t, result.Findings[0].Seen, "symbolic link")
	assert.Equal(t, "DOC-1", result.Findings[1].Rule)

	require.NoError(t, os.Symlink(outside, filepath.Join(dir, ".helmignore")))
	p, err = extension.FromFS(os.DirFS(dir))
	require.NoError(t, err)
	findings := p.Lint().Findings
	assert.Equal(t, "PKG-1 .helmignore", findings[0].Rule+" "+findings[0].Where())
	assert.NotContains(t, fmt.Sprint(findings), "a secret")

	_, err = extension.FromFS(os.DirFS(filepath.Join(dir, "nowhere")))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestFromFS_TooMuch(t *testing.T) {
	t.Parallel()
	small := func(files map[string]string) []extension.Finding {
		p, err := extension.FromFSSmall(folder(files))
		require.NoError(t, err)
		return p.Lint().Findings
	}
	files := good()
	require.Empty(t, small(files))
	for i := range 64 {
		files[fmt.Sprintf("node_modules/%d", i)] = ""
	}
	require.Contains(t, small(files)[0].Seen, "more than 64 files and folders")
	files[".helmignore"] = "node_modules/\n"
	assert.Empty(t, small(files))

	files = good()
	files["static/zeros"] = strings.Repeat("\x00", 128<<10)
	require.Contains(t, small(files)[0].String(), "static/zeros: the files together are larger than 131072 bytes")
}

// FuzzFromArchive feeds the reader and all rules with a stranger's bytes.
func FuzzFromArchive(f *testing.F) {
	f.Add(packed(f, "hello", good()))
	f.Add(archive(f, entry{name: "../evil"}, entry{name: "hello/x", kind: tar.TypeSymlink, content: "/"}))
	f.Add([]byte("text"))
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := extension.FromArchive(bytes.NewReader(content))
		require.NoError(t, err)
		p.Lint()
	})
}

// FuzzLint feeds the rules with a stranger's files.
func FuzzLint(f *testing.F) {
	files := good()
	f.Add(files["extension.yaml"], files["charts/backend/templates/deployment.yaml"], files["charts/backend/values.yaml"], files["permissions.yaml"], "*.bak\n")
	f.Add("a: &a [*a]", `{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}`, "image: [a: {b: c}]", "kind: 1", "!x\n")
	f.Add("icon: data:image/svg+xml\nscreenshots: [data:image/,]", "{{((((", "image: {repository: 1, tag: {}}", "rules: {}", "[")
	f.Fuzz(func(t *testing.T, manifest, template, values, permissions, ignore string) {
		p, err := extension.FromFS(folder(map[string]string{
			"extension.yaml": manifest, "permissions.yaml": permissions, ".helmignore": ignore, "values.yaml": values,
			"charts/backend/templates/deployment.yaml": template, "charts/backend/values.yaml": values, "charts/backend/Chart.yaml": "name: backend",
		}))
		require.NoError(t, err)
		for _, finding := range p.Lint().Findings {
			require.NotEmpty(t, finding.Seen)
		}
	})
}
