package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
)

// update writes what the command says anew: go test ./conformance/cmd/isv-conformance -run Readiness -update
var update = flag.Bool("update", false, "write the expected output of readiness anew")

const samples = "../../../examples/readiness"

// conformantReport is the report of a run in which every check of the suite passed.
func conformantReport(t *testing.T, edit func(*report.Report)) string {
	t.Helper()
	r := &report.Report{
		Target: "http://127.0.0.1:9000/saasproduce", StartedAt: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC), SuiteVersion: conformance.Version,
		ContractVersion: "1.0.0", Charging: []string{"period", "on-demand"}, With: []string{}, Level: report.LevelMust,
	}
	for _, c := range conformance.Checks() {
		r.Checks = append(r.Checks, report.Check{ID: c.ID, Requirement: c.Requirement, Level: "MUST", Status: suite.Pass, Title: c.Title})
	}
	if edit != nil {
		edit(r)
	}
	r.Judge()
	var b bytes.Buffer
	require.NoError(t, r.WriteJSON(&b))
	file := filepath.Join(t.TempDir(), "conformance.json")
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
	return file
}

// TestReadiness_SampleISV asks for the sample ISV on every market and compares with the files beside it.
func TestReadiness_SampleISV(t *testing.T) {
	t.Parallel()
	conformant := conformantReport(t, nil)
	for _, try := range []struct {
		market string
		code   int
		args   []string
	}{
		{"koogallery", 0, []string{"--category", "saas", "--report", conformant}},
		{"alibaba", 1, []string{"--category", "enterprise-applications,api"}},
		{"tencent", 1, []string{"--category", "saas"}},
		{"kingsoft", 1, []string{"--category", "basic-software"}},
		{"kubesphere", 0, []string{"--category", "dev-tools", "--extension", filepath.Join(samples, "extension")}},
	} {
		args := append([]string{"readiness", "--market", try.market, "--profile", filepath.Join(samples, "isv.yaml"), "--at", "2026-11-22"}, try.args...)
		code, stdout, stderr := command(t, args...)
		assert.Equal(t, try.code, code, "%s: %s", try.market, stderr)
		assert.Empty(t, stderr)
		golden := filepath.Join(samples, try.market+".txt")
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(stdout), 0o600))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		assert.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), stdout, try.market)
	}
}

// TestReadiness_ReadmesShowWhatItSays: a line that is indented in a README's readiness part is one of the sample's output.
func TestReadiness_ReadmesShowWhatItSays(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(samples, "*.txt"))
	require.NoError(t, err)
	require.Len(t, files, 5)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			said[strings.TrimSpace(line)] = true
		}
	}
	for _, readme := range []string{"../../../README.md", "../../../README.zh-CN.md", "../../README.md", samples + "/README.md"} {
		text, err := os.ReadFile(readme)
		require.NoError(t, err)
		shown := 0
		for n, block := range strings.Split(string(text), "\n```") {
			if n%2 == 0 || !strings.Contains(block, "isv-conformance readiness --market") {
				continue // between two blocks of code, or another one
			}
			for line := range strings.Lines(block) {
				line = strings.TrimSpace(line)
				if line == "" || line == "…" || strings.Contains(line, "isv-conformance ") || strings.HasPrefix(line, "cd ") {
					continue
				}
				shown++
				assert.True(t, said[line], "%s shows %q, which readiness does not say", readme, line)
			}
		}
		assert.Positive(t, shown, "%s shows nothing that readiness says", readme)
	}
}

func TestReadiness_ExitCodes(t *testing.T) {
	t.Parallel()
	sample := filepath.Join(samples, "isv.yaml")
	empty := filepath.Join(t.TempDir(), "empty.yaml")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	old := conformantReport(t, func(r *report.Report) { r.StartedAt = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) })
	broken := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(broken, "extension.yaml"), []byte("name: Big"), 0o600))
	for _, try := range []struct {
		name string
		code int
		says string
		args []string
	}{
		{"nothing is said", 2, "NOT KNOWN: nothing fails, but 4 conditions not answered by the profile", []string{"--market", "koogallery", "--category", "hardware", "--profile", empty}},
		{"no report", 1, "no conformance report is given", []string{"--market", "koogallery", "--category", "saas", "--profile", sample}},
		{"an old report", 1, "conformance.judged is 2025-01-01, expected at most 90 days ago", []string{"--market", "koogallery", "--category", "saas", "--profile", sample, "--report", old}},
		{"a broken package", 1, `MAN-2 MUST extension.yaml version: is missing or empty`, []string{"--market", "kubesphere", "--category", "dev-tools", "--profile", sample, "--extension", broken}},
		{"several categories, in two flags", 1, "60,000.00   CNY, the deposits of all categories added up", []string{"--market", "alibaba", "--category", "api", "--category", "services", "--profile", sample}},
	} {
		code, stdout, stderr := command(t, append([]string{"readiness", "--at", "2026-11-22"}, try.args...)...)
		assert.Equal(t, try.code, code, "%s: %s", try.name, stderr)
		assert.Contains(t, stdout, try.says, try.name)
		assert.Empty(t, stderr, try.name)
	}
}

func TestReadiness_Refuses(t *testing.T) {
	t.Parallel()
	sample := filepath.Join(samples, "isv.yaml")
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	whole := []string{"--market", "koogallery", "--category", "saas", "--profile", sample}
	for want, args := range map[string][]string{
		"no market is given, expected --market with one of alibaba": {},
		"no profile is given":                       {"--market", "koogallery"},
		`there is no market "koogalery"`:            {"--market", "koogalery", "--profile", sample},
		"no category is given":                      {"--market", "koogallery", "--profile", sample},
		`"sas" is no category of koogallery; did`:   {"--market", "koogallery", "--category", "sas", "--profile", sample},
		"cannot read the profile":                   {"--market", "koogallery", "--category", "saas", "--profile", "nowhere.yaml"},
		"stafff: is no name that a market asks for": {"--market", "koogallery", "--category", "saas", "--profile", file("isv.yaml", "company: { stafff: 1 }")},
		"cannot read the report":                    append([]string{"--report", "nowhere.json"}, whole...),
		"cannot be taken: it is no report in JSON":  append([]string{"--report", file("report.json", "text")}, whole...),
		"cannot read the extension package":         append([]string{"--extension", "nowhere.tgz"}, whole...),
		"cannot write the result":                   append([]string{"--json", filepath.Join(t.TempDir(), "no", "where.json")}, whole...),
		`--at is "soon"`:                            append([]string{"--at", "soon"}, whole...),
		"no policy of koogallery was in force":      append([]string{"--at", "1999-01-01"}, whole...),
		"cannot read the policies":                  append([]string{"--policies", t.TempDir()}, whole...),
		"unexpected argument":                       append(whole, "more"),
		"no flag --markt; did you mean --market?":   {"--markt", "koogallery"},
		"--category is given without --market":      {"--init", "--category", "saas"},
		`"sas" is no category of koogallery; isv`:   {"--init", "--market", "koogallery", "--category", "sas"},
		`there is no market "x"`:                    {"--init", "--market", "x"},
	} {
		code, _, stderr := command(t, append([]string{"readiness"}, args...)...)
		assert.Equal(t, 2, code, want)
		assert.Contains(t, stderr, "isv-conformance: error: ", want)
		assert.Contains(t, stderr, want)
		assert.Contains(t, stderr, "isv-conformance: hint: ", want)
	}
}

func TestReadiness_InitListSchemaHelp(t *testing.T) {
	t.Parallel()
	code, template, _ := command(t, "readiness", "--init")
	assert.Zero(t, code)
	file := filepath.Join(t.TempDir(), "isv.yaml")
	require.NoError(t, os.WriteFile(file, []byte(template), 0o600))
	code, stdout, stderr := command(t, "readiness", "--market", "tencent", "--category", "image", "--profile", file)
	assert.Equal(t, 1, code, "the papers are not at hand: %s", stderr)
	assert.Contains(t, stdout, "NOT ANSWERED")
	assert.NotContains(t, stdout, "FAILS")

	code, template, _ = command(t, "readiness", "--init", "--market", "koogallery")
	assert.Zero(t, code)
	assert.Contains(t, template, "charging:")
	assert.NotContains(t, template, "alibaba")

	code, stdout, _ = command(t, "readiness", "--list")
	assert.Zero(t, code)
	assert.Regexp(t, `(?m)^koogallery +Huawei Cloud KooGallery$`, stdout)
	assert.Regexp(t, `(?m)^ +saas +SaaS, delivered`, stdout)
	assert.Regexp(t, `(?m)^ +services +Services \(announced, cannot be entered yet\)$`, stdout)

	code, stdout, _ = command(t, "readiness", "--schema")
	assert.Zero(t, code)
	assert.True(t, json.Valid([]byte(stdout)))

	code, stdout, _ = command(t, "readiness", "--help")
	assert.Zero(t, code)
	for _, want := range []string{"Exit code: 0 ready; 1 not ready", "--profile FILE", "--report FILE", "--extension PACKAGE", "--at DAY", "--policies FOLDER"} {
		assert.Contains(t, stdout, want)
	}
}

// TestReadiness_MarketOfADocument: with a document of one's own the command knows one more market.
func TestReadiness_MarketOfADocument(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	text, err := os.ReadFile("../../../sandbox/market/policies/kingsoft.yaml")
	require.NoError(t, err)
	mine := strings.NewReplacer("market: kingsoft", "market: mine", "name: Kingsoft Cloud Marketplace", "name: My Market", "atLeast: 15", "atLeast: 19").Replace(string(text))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "mine.yaml"), []byte(mine), 0o600))
	code, stdout, stderr := command(t, "readiness", "--policies", folder, "--market", "mine", "--category", "basic-software", "--profile", filepath.Join(samples, "isv.yaml"))
	assert.Equal(t, 1, code, stderr)
	assert.Contains(t, stdout, "My Market (mine): may Aurora Software list in basic-software?")
	assert.Contains(t, stdout, "company.technicalStaff is 18, expected at least 19")

	result := filepath.Join(t.TempDir(), "result.json")
	code, stdout, _ = command(t, "readiness", "--policies", folder, "--market", "mine", "--category", "basic-software", "--profile", filepath.Join(samples, "isv.yaml"), "--json", result)
	assert.Equal(t, 1, code)
	assert.Contains(t, stdout, "NOT READY")
	asJSON, err := os.ReadFile(result)
	require.NoError(t, err)
	code, stdout, _ = command(t, "readiness", "--policies", folder, "--market", "mine", "--category", "basic-software", "--profile", filepath.Join(samples, "isv.yaml"), "--json", "-")
	assert.Equal(t, 1, code)
	assert.Equal(t, string(asJSON), stdout)
	var read struct {
		Verdict, Market string
		Conditions      []struct{ ID, Status, Why string }
	}
	require.NoError(t, json.Unmarshal(asJSON, &read))
	assert.Equal(t, "not-ready mine", read.Verdict+" "+read.Market)
	assert.Len(t, read.Conditions, 9)
}
