package readiness_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/isvkit/isvkit/conformance/readiness"
	"github.com/isvkit/isvkit/sandbox/market"
)

func profile(t testing.TB, text string) *readiness.Profile {
	t.Helper()
	p, err := readiness.ParseProfile("isv.yaml", []byte(text), market.Embedded())
	require.NoError(t, err)
	return p
}

func TestParseProfile_Answers(t *testing.T) {
	t.Parallel()
	p := profile(t, `
name: Example
company: { staff: 40, capital: 1000000.50, kind: enterprise, licensed: 2020-06-30, lawful: true, vertical: }
product: { specNames: [Team, Company], hostedOn: [] }
experience: { bigData: 3 } # one document asks for it
papers: [business-licence]
markets:
  alibaba:
    company: { staff: 41 }
    papers: [reference]
  tencent:
`)
	assert.Equal(t, "Example", p.Name)
	for _, want := range []struct {
		market, field string
		value         any
	}{
		{"kingsoft", "company.staff", 40},
		{"alibaba", "company.staff", 41},
		{"alibaba", "company.capital", 1000000.50},
		{"alibaba", "company.kind", "enterprise"},
		{"alibaba", "company.licensed", "2020-06-30"},
		{"alibaba", "company.lawful", true},
		{"alibaba", "product.specNames", []string{"Team", "Company"}},
		{"alibaba", "product.hostedOn", []string{}},
		{"alibaba", "experience.bigData", 3},
	} {
		value, ok := p.Field(want.market, want.field)
		assert.True(t, ok, want.field)
		assert.Equal(t, want.value, value, want.field)
	}
	for _, field := range []string{"company.vertical", "company.contact", "company", "nothing.at.all"} {
		_, ok := p.Field("alibaba", field)
		assert.False(t, ok, field)
	}
	for _, empty := range []string{"", "# nothing\n", "null\n", "markets:\n", "company:\n"} {
		profile(t, empty)
	}
}

// mistakes are profiles with one thing wrong, and what is said of it. The JSON Schema refuses those that are marked.
var mistakes = []struct {
	text, want string
	schemaToo  bool
}{
	{"company:\n  stafff: 4\n", "isv.yaml:2: company.stafff: is no name that a market asks for; did you mean staff?", true},
	{"compny: { staff: 4 }\n", "isv.yaml:1: compny: is no name that a market asks for; did you mean company?", true},
	{"zzzzzzzzzzzz: 1\n", "expected one of account, agreement, certification,", true},
	{"company:\n  staff: many\n", `isv.yaml:2: company.staff: is "many", expected a number such as 40`, true},
	{"company:\n  staff: .inf\n", `is ".inf", expected a number`, false},
	{"company:\n  staff: [1]\n", "is a list, expected a number", true},
	{"company:\n  lawful: maybe\n", `is "maybe", expected true or false`, true},
	{"company:\n  lawful: 1\n", `is "1", expected true or false`, true},
	{"company:\n  licensed: 2020\n", `is "2020", expected a day such as 2020-06-30`, true},
	{"company:\n  licensed: 2020-02-30\n", `is "2020-02-30", expected a day`, false},
	{"company:\n  kind: company\n", `is "company", expected one of enterprise, individual`, true},
	{"company:\n  vertical: 3\n", `is "3", expected a text such as finance`, true},
	{"product:\n  charging: period\n", `is "period", expected a list such as [period]`, true},
	{"product:\n  charging: [weekly]\n", "expected a list in which each is one of period, one-time, on-demand, package", true},
	{"product:\n  specNames: [1]\n", "expected a list in which each is a text such as", true},
	{"company: 4\n", `isv.yaml:1: company: is "4", expected a mapping of names to answers`, true},
	{"company:\n  staff: { number: 4 }\n", "is a mapping, expected a number", true},
	{"company: { staff: 4 }\ncompany: { staff: 5 }\n", "isv.yaml:2: company: is there twice", false},
	{"company: { ? [a] : 4 }\n", "has a key that is no name", false},
	{"company: &c { staff: 4 }\nsupport: *c\n", "is an alias, expected a mapping", false},
	{"name: [a]\n", "name: is a list, expected a text", true},
	{"conformance:\n  verdict: conformant\n", "is answered by the conformance report, expected it to be given with --report", true},
	{"package:\n  lint: clean\n", "is answered by the linter, expected the package to be given with --extension", true},
	{"papers: [licence]\n", `papers.0: is "licence", which is no paper that is asked for; expected one of`, true},
	{"papers: [business-license]\n", "did you mean business-licence?", true},
	{"papers: business-licence\n", `papers: is "business-licence", expected a list such as [bank-account, business-licence]`, true},
	{"papers: [[a]]\n", "papers.0: is a list, expected an id", true},
	{"done: [account]\n", "isv.yaml:1: done: is no name that a market asks for", true},
	{"markets: { alibabba: { papers: [] } }\n", "markets.alibabba: is no market that is known; did you mean alibaba?", true},
	{"markets: [alibaba]\n", "markets: is a list, expected a mapping", true},
	{"markets: { tencent: { papers: [social-insurance] } }\n", `is "social-insurance", which is no paper that is asked for`, true},
	{"markets: { tencent: { done: [shop] } }\n", `markets.tencent.done.0: is "shop", which is no step of this market's onboarding`, true},
	{"markets: { tencent: { experience: { bigData: 1 } } }\n", "expected it as markets.alibaba.experience", true},
	{"markets: { tencent: { markets: {} } }\n", "markets.tencent.markets: is no name", true},
	{"[1]\n", "is a list, expected a mapping", true},
	{"a: b: c\n", "is no YAML", false},
	{"a: 1\n---\nb: 1\n", "goes on after the first document", false},
	{strings.Repeat("#", 128<<10+1), "is 131073 bytes long, expected at most 131072", false},
}

func TestParseProfile_Refuses(t *testing.T) {
	t.Parallel()
	for _, m := range mistakes {
		_, err := readiness.ParseProfile("isv.yaml", []byte(m.text), market.Embedded())
		require.Error(t, err, m.text)
		assert.Contains(t, err.Error(), m.want)
		var problems *market.DocumentError
		require.ErrorAs(t, err, &problems)
		assert.Len(t, problems.Problems, 1, "one mistake, one problem: %v", err)
	}
	_, err := readiness.ParseProfile("isv.yaml", []byte("company:\n  staf: 1\n  lawful: 1\nsuport: {}\n"), market.Embedded())
	require.Error(t, err)
	assert.Equal(t, 3, strings.Count(err.Error(), "isv.yaml:"), "all problems at once: %v", err)
}

// validator checks texts against the JSON Schema.
func validator(t *testing.T, set *market.Set) func(text string) error {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(readiness.Schema(set)))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("profile.json", document))
	schema, err := compiler.Compile("profile.json")
	require.NoError(t, err)
	return func(text string) error {
		var tree yaml.Node
		require.NoError(t, yaml.Unmarshal([]byte(text), &tree))
		var value any
		require.NoError(t, tree.Decode(&value))
		asJSON, err := json.Marshal(daysAsTexts(value))
		require.NoError(t, err)
		plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		require.NoError(t, err)
		if plain == nil {
			return errors.New("is empty")
		}
		return schema.Validate(plain)
	}
}

// daysAsTexts undoes what the YAML library makes of days; editors see them as texts.
func daysAsTexts(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = daysAsTexts(v[key])
		}
	case []any:
		for i := range v {
			v[i] = daysAsTexts(v[i])
		}
	case interface{ Format(string) string }:
		return v.Format(market.DateFormat)
	}
	return value
}

// TestSchema_SaysWhatTheParserSays, but for what a schema cannot see.
func TestSchema_SaysWhatTheParserSays(t *testing.T) {
	t.Parallel()
	validate := validator(t, market.Embedded())
	for _, m := range mistakes {
		if m.schemaToo {
			require.Error(t, validate(m.text), m.text)
		}
	}
	text, err := os.ReadFile("../../examples/readiness/isv.yaml")
	require.NoError(t, err)
	require.NoError(t, validate(string(text)))
	profile(t, string(text))
}

// TestTemplate_IsRight as it stands, and with every example filled in.
func TestTemplate_IsRight(t *testing.T) {
	t.Parallel()
	set := market.Embedded()
	validate := validator(t, set)
	try := func(policy *market.Policy, categories []string) {
		for _, filled := range []bool{false, true} {
			text := readiness.Template(set, policy, categories)
			if filled {
				text = readiness.FilledTemplate(set, policy, categories)
			}
			p, err := readiness.ParseProfile("isv.yaml", []byte(text), set)
			require.NoError(t, err, text)
			require.NoError(t, validate(text), text)
			if policy == nil {
				continue
			}
			for _, category := range categories {
				for _, field := range policy.Asked(category) {
					if from := policy.Field(field).From; from == market.FromReport || from == market.FromPackage {
						continue
					}
					_, answered := p.Field(policy.Market, field)
					assert.Equal(t, filled, answered, "%s: %s", policy.Market, field)
				}
			}
		}
	}
	try(nil, nil)
	for _, name := range set.Names() {
		policy := policyOf(t, name)
		for _, c := range policy.Categories {
			try(policy, []string{c.ID})
		}
	}
	whole := readiness.Template(set, nil, nil)
	for _, path := range market.FieldPaths() {
		last := path[strings.LastIndex(path, ".")+1:]
		if from := market.Fields()[path].From; from == "" || from == market.FromProfile {
			assert.Contains(t, whole, "  "+last+":", path)
		}
	}
	one := readiness.Template(set, policyOf(t, "kingsoft"), []string{"basic-software"})
	assert.NotContains(t, one, "zeroPriceTrial")
	assert.NotContains(t, one, "tencent")
}

func FuzzParseProfile(f *testing.F) {
	for _, m := range mistakes {
		if len(m.text) < 1<<10 {
			f.Add(m.text)
		}
	}
	f.Add(readiness.Template(market.Embedded(), nil, nil))
	set := market.Embedded()
	policy := policyOf(f, "koogallery")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := readiness.ParseProfile("isv.yaml", []byte(text), set)
		if err != nil {
			var problems *market.DocumentError
			require.ErrorAs(t, err, &problems)
			require.NotEmpty(t, problems.Problems)
			return
		}
		_, err = readiness.Judge(readiness.Request{Policy: policy, Categories: []string{"saas"}, Profile: p, At: today})
		require.NoError(t, err)
	})
}
