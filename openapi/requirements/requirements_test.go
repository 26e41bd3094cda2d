package requirements_test

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/requirements"
)

func load(t *testing.T) *requirements.Set {
	t.Helper()
	set, err := requirements.Load()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(set.Requirements), 50, "requirements got lost")
	require.GreaterOrEqual(t, len(set.Ambiguities), 30, "entries of the register got lost")
	return set
}

// documents are the embedded YAML documents except the one under test.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	names, err := fs.Glob(openapi.FS, "*.yaml")
	require.NoError(t, err)
	for _, name := range names {
		if name == "requirements.yaml" {
			continue
		}
		text, err := openapi.FS.ReadFile(name)
		require.NoError(t, err)
		texts[name] = string(text)
	}
	require.GreaterOrEqual(t, len(texts), 3)
	return texts
}

func sources(t *testing.T) []string {
	t.Helper()
	var known []string
	for name, text := range documents(t) {
		var doc struct {
			Sources map[string]string `yaml:"x-sources"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &doc), name)
		for id := range doc.Sources {
			known = append(known, id)
		}
	}
	require.Contains(t, known, "guide-cn")
	return known
}

func TestRequirements_AreWellFormed(t *testing.T) {
	set, known := load(t), sources(t)
	shape := regexp.MustCompile(`^(SIG|ANS|NEW|QRY|REF|STA|REL|UPG|CHK|NTF|DBG|PAR|ROB|SEQ|USE|ORD|KIT|V1|LIC)-[1-9][0-9]*$`)
	seen := map[string]bool{}
	for _, r := range set.Requirements {
		assert.Regexp(t, shape, r.ID)
		assert.False(t, seen[r.ID], "%s stands twice", r.ID)
		seen[r.ID] = true
		assert.Contains(t, []requirements.Level{requirements.Must, requirements.Should, requirements.May}, r.Level, r.ID)
		assert.Contains(t, []requirements.Confidence{requirements.Confirmed, requirements.Single, requirements.Inferred, requirements.Ours}, r.Confidence, r.ID)
		if r.Level == requirements.Must {
			assert.Contains(t, []requirements.Confidence{requirements.Confirmed, requirements.Single}, r.Confidence,
				"%s is a MUST, so a source must state it", r.ID)
			assert.NotEqual(t, []string{"ours"}, r.Source, r.ID)
		}
		if r.Confidence == requirements.Ours {
			assert.Contains(t, r.Source, "ours", r.ID)
		}
		assert.NotEmpty(t, r.Source, r.ID)
		for _, s := range r.Source {
			assert.Contains(t, known, s, r.ID)
		}
		for what, text := range map[string]string{"text": r.Text, "why": r.Why, "mend": r.Mend} {
			assert.NotEmpty(t, text, "%s: %s", r.ID, what)
			assert.True(t, strings.HasSuffix(text, ".") || strings.HasSuffix(text, "}."), "%s: %s is no sentence: %q", r.ID, what, text)
		}
		assert.NotEmpty(t, r.About, r.ID)
		if r.Ambiguity != "" {
			_, ok := set.Ambiguity(r.Ambiguity)
			assert.True(t, ok, "%s: ambiguity %s is not in the register", r.ID, r.Ambiguity)
		}
	}
}

func TestAmbiguities_AreWellFormed(t *testing.T) {
	set, known := load(t), sources(t)
	seen := map[string]bool{}
	for _, a := range set.Ambiguities {
		assert.Regexp(t, `^[A-Z0-9]+(-[A-Z0-9]+)*$`, a.ID)
		assert.False(t, seen[a.ID], "%s stands twice", a.ID)
		seen[a.ID] = true
		assert.True(t, strings.HasSuffix(a.Question, "?"), "%s: %q is no question", a.ID, a.Question)
		assert.NotEmpty(t, a.Because, a.ID)
		var ids []string
		for _, r := range a.Readings {
			assert.NotContains(t, ids, r.ID, a.ID)
			ids = append(ids, r.ID)
			assert.NotEmpty(t, r.Text, "%s: %s", a.ID, r.ID)
			assert.NotEmpty(t, r.Sources, "%s: %s", a.ID, r.ID)
			for _, s := range r.Sources {
				assert.Contains(t, known, s, "%s: %s", a.ID, r.ID)
			}
		}
		assert.Contains(t, ids, a.Taken, "%s: the reading taken is none of its readings", a.ID)
	}
}

func TestAmbiguities_CoverTheDocuments(t *testing.T) {
	set := load(t)
	used := regexp.MustCompile(`x-ambiguity: *([A-Z0-9-]+)`)
	n := 0
	for name, text := range documents(t) {
		for _, m := range used.FindAllStringSubmatch(text, -1) {
			n++
			_, ok := set.Ambiguity(m[1])
			assert.True(t, ok, "%s uses x-ambiguity %s, which is not in the register", name, m[1])
		}
	}
	require.GreaterOrEqual(t, n, 20, "the documents name no ambiguities any more")
}

func TestParse_RefusesWhatItDoesNotKnow(t *testing.T) {
	_, err := requirements.Parse([]byte("requirements: [{id: NEW-1, levle: MUST}]"))
	require.ErrorContains(t, err, "levle")
	_, err = requirements.Parse([]byte("ambiguities: []"))
	require.ErrorContains(t, err, "empty")
}

func TestSet_Finds(t *testing.T) {
	set := load(t)
	r, ok := set.Requirement("NEW-3")
	require.True(t, ok)
	assert.Equal(t, "NEW", r.Area())
	assert.Equal(t, requirements.Must, r.Level)
	_, ok = set.Requirement("NEW-99")
	assert.False(t, ok)
	_, ok = set.Ambiguity("NOTHING")
	assert.False(t, ok)
	assert.True(t, slices.ContainsFunc(set.Ambiguities, func(a requirements.Ambiguity) bool { return a.ID == "ANSWER-TIMEOUT" }))
}
