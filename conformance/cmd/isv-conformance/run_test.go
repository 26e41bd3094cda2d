package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var environment = map[string]string{"ISVKIT_BASE_KEY": "base-key-of-the-test", "ISVKIT_AK": "AKTEST", "ISVKIT_SK": "sk-of-the-test"}

func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, talk bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &talk, func(name string) string { return environment[name] })
	return code, out.String(), talk.String()
}

func TestRun_UsageErrors(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"no command is given":                          {},
		"unknown command":                              {"judge"},
		"no flag --targte; did you mean --target?":     {"run", "--targte", "x"},
		"unexpected argument":                          {"run", "--target", "http://x/", "--market-listen", ":0", "more"},
		"no target is given":                           {"run", "--market-listen", ":0"},
		"is no address":                                {"run", "--market-listen", ":0", "--target", "nowhere"},
		"no address for the":                           {"run", "--target", "http://x/"},
		"unknown charging mode":                        {"run", "--target", "http://x/", "--market-listen", ":0", "--charging", "weekly"},
		"an entry is empty":                            {"run", "--target", "http://x/", "--market-listen", ":0", "--charging", "period,"},
		"unknown capability":                           {"run", "--target", "http://x/", "--market-listen", ":0", "--with", "magic"},
		"--timeout \"soon\": expected a time such as":  {"run", "--target", "http://x/", "--market-listen", ":0", "--timeout", "soon"},
		"no base key":                                  {"run", "--target", "http://x/", "--market-listen", ":0", "--base-key", ""},
		"did you mean \"signing/*\"?":                  {"run", "--target", "http://x/", "--market-listen", ":0", "--run", "signing"},
		"--charging: unknown ch":                       {"list", "--charging", "weekly"},
		"--level: unknown level":                       {"list", "--level", "may"},
		"--known-failing: open":                        {"list", "--known-failing", "/nowhere/at/all"},
		"--rerun: open":                                {"list", "--rerun", "/nowhere/at/all"},
		"--keys: open":                                 {"run", "--keys", "/nowhere/at/all"},
		"--parallel: 0 is too few":                     {"run", "--parallel", "0"},
		"--usage-retry: -1m0s is too":                  {"run", "--usage-retry", "-1m"},
		"--usage-retry: 0s is too sh":                  {"run", "--usage-retry", "0"},
		"given twice":                                  {"run", "--target", "http://x/", "--target", "http://x/", "--market-listen", ":0"},
		"has the standard output":                      {"run", "--target", "http://x/", "--market-listen", ":0", "--json", "-", "--html", "-"},
		"no id of a check is given":                    {"replay", "report.json"},
		"no id of a check, a requ":                     {"explain"},
		"nothing is called \"x-y-z\"":                  {"explain", "x-y-z"},
		"cannot write":                                 {"run", "--target", "http://x/", "--market-listen", ":0", "--json", "/nowhere/at/all/report.json"},
		"did you mean NEW-3?":                          {"explain", "NWE-3"},
		"did you mean \"NEW-3\"?":                      {"list", "--run", "NWE-3"},
		"unknown command \"lsit\"; did you mean list?": {"lsit"},
		"no command is given before --target":          {"--target", "http://x/"},
		"there is no flag --yaml":                      {"list", "--yaml"},
	} {
		code, stdout, stderr := command(t, args...)
		assert.Equal(t, 2, code, want)
		assert.Empty(t, stdout, want)
		assert.Contains(t, stderr, "isv-conformance: error: ", want)
		assert.Contains(t, stderr, want)
		assert.Contains(t, stderr, "isv-conformance: hint: ", want)
	}
}

func TestRun_Help(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"run", "--help"}} {
		code, stdout, stderr := command(t, args...)
		assert.Zero(t, code)
		assert.Empty(t, stderr)
		for _, want := range []string{"--target", "--market-listen", "--charging", "--usage-wait", "--usage-retry", "--json", "ISVKIT_BASE_KEY", "Exit code: 0 conformant"} {
			assert.Contains(t, stdout, want)
		}
	}
	code, stdout, stderr := command(t, "list", "-h")
	assert.Zero(t, code)
	assert.Empty(t, stderr)
	assert.Contains(t, stdout, "--charging")
	assert.NotContains(t, stdout, "--market-listen")
	code, stdout, _ = command(t, "--version")
	assert.Zero(t, code)
	assert.Regexp(t, `^isv-conformance [0-9]+\.[0-9]+\.[0-9]+\n$`, stdout)
}

func TestRun_List(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, "list")
	assert.Zero(t, code)
	assert.Empty(t, stderr)
	assert.Regexp(t, `(?m)^new-instance/repeat-gets-the-same-instance +NEW-3 +MUST +A repeat`, stdout)

	code, stdout, _ = command(t, "list", "--json")
	assert.Zero(t, code)
	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(stdout), &all))
	require.GreaterOrEqual(t, len(all), 140)
	for _, c := range all {
		for _, name := range []string{"id", "requirement", "level", "title", "rule"} {
			assert.NotEmpty(t, c[name], "%v: %s", c["id"], name)
		}
	}
}

func TestRun_CannotJudge(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := command(t, "run", "--target", "http://"+freeAddress(t)+"/saasproduce", "--market-listen", "127.0.0.1:0")
	assert.Equal(t, 2, code, stderr)
	assert.Empty(t, stdout)
	assert.Contains(t, stderr, "isv-conformance: error: could not judge: no HTTP answer")
	assert.Contains(t, stderr, "isv-conformance: hint: start the ISV first")

	// A program that reads the report gets one in any case.
	code, stdout, _ = command(t, "run", "--target", "http://"+freeAddress(t)+"/saasproduce", "--market-listen", "127.0.0.1:0", "--json", "-")
	assert.Equal(t, 2, code)
	var report struct {
		Verdict, Problem string
		Checks           []any
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &report))
	assert.Equal(t, "error", report.Verdict)
	assert.Contains(t, report.Problem, "no HTTP answer")
	assert.NotNil(t, report.Checks)

	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	code, _, stderr = command(t, "run", "--target", "http://127.0.0.1:1/", "--market-listen", listener.Addr().String())
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "cannot listen")
	assert.Contains(t, stderr, "isv-conformance: hint: choose a free port")
}

// ---- against examples/isv-minimal, right and broken --------------------------------------------------------------------------

// module is the root of the source tree.
func module(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMOD").Output()
	require.NoError(t, err)
	return filepath.Dir(strings.TrimSpace(string(out)))
}

func build(t *testing.T, pkg string, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(pkg))
	args := append(append([]string{"build", "-o", binary}, flags...), pkg)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = module(t)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return binary
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// start runs an ISV until the test ends, and waits until it listens.
func start(t *testing.T, binary, marketURL string) (target string) {
	t.Helper()
	address := freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), "ISVKIT_MARKET_URL="+marketURL, "ISV_LISTEN="+address, "ISV_USAGE_EVERY=1s")
	for name, value := range environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, time.Minute, 20*time.Millisecond, "the ISV does not listen")
	return "http://" + address + "/saasproduce"
}

// built runs the command as a program.
func built(t *testing.T, binary string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = os.Environ()
	for name, value := range environment {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), talk.String()
}

// brokenFile wraps the handler so that it answers a repeated newInstance with the businessId of the repeat.
const brokenFile = `package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
)

func broken(next http.Handler) http.Handler {
	var mu sync.Mutex
	seen := map[string]bool{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(raw))
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		var call, body map[string]any
		_ = json.Unmarshal(raw, &call)
		_ = json.Unmarshal(answer.Body.Bytes(), &body)
		mu.Lock()
		if call["activity"] == "newInstance" && call["testFlag"] == nil && body["resultCode"] == "000000" {
			line, _ := call["orderLineId"].(string)
			if seen[line] {
				body["instanceId"] = call["businessId"]
			}
			seen[line] = true
		}
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	})
}
`

// buildBroken builds isv-minimal with its handler wrapped, without touching the sources.
func buildBroken(t *testing.T) string {
	t.Helper()
	dir, temp := filepath.Join(module(t), "examples", "isv-minimal"), t.TempDir()
	source, err := os.ReadFile(filepath.Join(dir, "main.go"))
	require.NoError(t, err)
	const mounted, wrapped = `"/saasproduce", handler)`, `"/saasproduce", broken(handler))`
	require.Equal(t, 1, strings.Count(string(source), mounted), "isv-minimal mounts its handler in another way now")
	overlay := map[string]string{}
	for name, text := range map[string]string{"main.go": strings.Replace(string(source), mounted, wrapped, 1), "broken.go": brokenFile} {
		file := filepath.Join(temp, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		overlay[filepath.Join(dir, name)] = file
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	file := filepath.Join(temp, "overlay.json")
	require.NoError(t, os.WriteFile(file, list, 0o600))
	return build(t, "./examples/isv-minimal", "-overlay", file)
}

func TestProgram_IsvMinimalIsConformant(t *testing.T) {
	t.Parallel()
	program, isv, market := build(t, "./conformance/cmd/isv-conformance"), build(t, "./examples/isv-minimal"), freeAddress(t)
	file := filepath.Join(t.TempDir(), "report.json")
	code, stdout, stderr := built(t, program, "run", "--target", start(t, isv, "http://"+market), "--market-listen", market,
		"--charging", "period,one-time,on-demand,package", "--usage-wait", "20s", "--json", file)
	assert.Zero(t, code, stdout+stderr)
	assert.Contains(t, stdout, "Verdict: conformant")
	// A usage push that was refused may come again after the wait.
	assert.Regexp(t, " 0 failed, 0 warnings, [0-2] skipped,", stdout)
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(written), `"verdict": "conformant"`)
	t.Log(stdout)

	// With this report the sample ISV may list.
	code, stdout, stderr = built(t, program, "readiness", "--market", "koogallery", "--category", "saas", "--profile", filepath.Join(samples, "isv.yaml"), "--report", file)
	assert.Zero(t, code, stdout+stderr)
	assert.Contains(t, stdout, "READY: all 10 conditions hold")
}

func TestProgram_BrokenIsvMinimalIsNot(t *testing.T) {
	t.Parallel()
	program, isv, market := build(t, "./conformance/cmd/isv-conformance"), buildBroken(t), freeAddress(t)
	target := start(t, isv, "http://"+market)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	code, stdout, stderr := built(t, program, "run", "--target", target, "--market-listen", market, "--charging", "period", "--build", "42",
		"--json", file("report.json"), "--junit", file("report.xml"), "--html", file("report.html"), "--sarif", file("report.sarif"))
	assert.Equal(t, 1, code, stdout+stderr)
	assert.Contains(t, stdout, "Verdict: NOT conformant")
	assert.Contains(t, stdout, "NEW-3 MUST  new-instance/repeat-gets-the-same-instance")
	assert.NotContains(t, stdout+stderr, "\x1b", "nobody looks at a terminal")
	assert.Regexp(t, `isv-conformance: [0-9]+ of [0-9]+ checks`, stderr)
	written := stdout + stderr
	for name, want := range map[string]string{
		"report.json": `"verdict": "not-conformant"`, "report.xml": "<testsuites", "report.html": "<h1>Not conformant</h1>", "report.sarif": `"version": "2.1.0"`,
	} {
		text, err := os.ReadFile(file(name))
		require.NoError(t, err)
		assert.Contains(t, string(text), want)
		assert.Contains(t, string(text), "new-instance/repeat-gets-the-same-instance")
		written += string(text)
	}
	for name, value := range environment {
		if name != "ISVKIT_AK" { // it is no secret
			assert.NotContains(t, written, value, name)
		}
	}

	t.Run("replay", func(t *testing.T) {
		code, stdout, stderr := built(t, program, "replay", file("report.json"), "new-instance/repeat-gets-the-same-instance", "--market-listen", market)
		assert.Equal(t, 1, code, stdout+stderr)
		assert.Contains(t, stderr, "sending to "+target)
		for _, want := range []string{"The requests of the report, sent again", `sent  POST /saasproduce?signature=***`, "then  200", "now   200", "The check, run anew: it still fails"} {
			assert.Contains(t, stdout, want)
		}
		code, _, stderr = built(t, program, "replay", file("report.json"), "signing/wrong-key-is-refused", "--market-listen", market)
		assert.Equal(t, 2, code)
		assert.Contains(t, stderr, "did not fail in the report")
		code, _, stderr = built(t, program, "replay", file("report.json"), "no/such-check", "--market-listen", market)
		assert.Equal(t, 2, code)
		assert.Contains(t, stderr, `the report has no check "no/such-check"`)
	})
	t.Run("replay of what is mended", func(t *testing.T) {
		market := freeAddress(t)
		right := start(t, build(t, "./examples/isv-minimal"), "http://"+market)
		code, stdout, stderr := built(t, program, "replay", file("report.json"), "new-instance/repeat-gets-the-same-instance", "--market-listen", market, "--target", right)
		assert.Zero(t, code, stdout+stderr)
		assert.Contains(t, stdout, "The check, run anew: it passes now")
	})
	t.Run("replay goes nowhere else", func(t *testing.T) {
		text, err := os.ReadFile(file("report.json"))
		require.NoError(t, err)
		forged := strings.ReplaceAll(string(text), `"url": "`+target+`"`, `"url": "http://127.0.0.1:1/elsewhere"`)
		require.NotEqual(t, string(text), forged)
		require.NoError(t, os.WriteFile(file("forged.json"), []byte(forged), 0o600))
		code, _, stderr := built(t, program, "replay", file("forged.json"), "new-instance/repeat-gets-the-same-instance", "--market-listen", market)
		assert.Equal(t, 2, code)
		assert.Contains(t, stderr, "none of the addresses that the report is about")
	})
	t.Run("rerun", func(t *testing.T) {
		code, stdout, stderr := built(t, program, "run", "--target", target, "--market-listen", market, "--rerun", file("report.json"), "--known-failing", os.DevNull)
		assert.Equal(t, 1, code, stdout+stderr)
		assert.Regexp(t, `0 passed, [1-9][0-9]* failed, .* not selected`, stdout)
	})
	t.Run("known failures", func(t *testing.T) {
		list := file("known.txt")
		require.NoError(t, os.WriteFile(list, []byte("# ticket 12\nNEW-3\n"), 0o600))
		args := []string{"run", "--target", target, "--market-listen", market, "--known-failing", list, "--run"}
		code, stdout, stderr := built(t, program, append(args, "NEW-3,signing/right-signature-is-accepted")...)
		assert.Zero(t, code, stdout+stderr)
		assert.Contains(t, stdout, "KNOWN TO FAIL, AND DID")
		require.NoError(t, os.WriteFile(list, []byte("SIG-2\n"), 0o600))
		code, stdout, stderr = built(t, program, append(args, "SIG-2")...)
		assert.Equal(t, 1, code, stdout+stderr)
		assert.Contains(t, stdout, "KNOWN TO FAIL, BUT PASSED (take them off the list of known failures)")
	})
	t.Run("attest", func(t *testing.T) { attests(t, dir) })

	_, after, found := strings.Cut(stdout, "new-instance/repeat-gets-the-same-instance")
	require.True(t, found)
	line := regexp.MustCompile(`(?m)^  curl  (.+)$`).FindStringSubmatch(after)
	require.NotNil(t, line, after)
	for _, tool := range []string{"curl", "openssl", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("skipped: needs curl and openssl (apt-get install curl openssl)")
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line[1])
	cmd.Env = append(os.Environ(), "ISVKIT_BASE_KEY="+environment["ISVKIT_BASE_KEY"])
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(`"instanceId":"([^"]+)"`).FindAllStringSubmatch(string(out), -1) {
		ids[m[1]] = true
	}
	assert.GreaterOrEqual(t, len(ids), 2, "the line shows the second instance:\n%s\n%s", line[1], out)
	t.Log(stdout)
}

// notice calls a function once a text was written.
type notice struct {
	text  string
	found func()
}

func (n notice) Write(p []byte) (int, error) {
	if strings.Contains(string(p), n.text) {
		n.found()
	}
	return len(p), nil
}

func TestRun_HoldKeepsTheMarketplaceOpenAfterTheReport(t *testing.T) {
	t.Parallel()
	isv, market := build(t, "./examples/isv-minimal"), freeAddress(t)
	target := start(t, isv, "http://"+market)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout bytes.Buffer
	held := false
	stderr := notice{"stays open", func() {
		assert.Contains(t, stdout.String(), "Verdict: conformant", "the report comes first")
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", market)
		if assert.NoError(t, err) {
			_ = conn.Close()
			held = true
		}
		interrupt()
	}}
	code := run(ctx, []string{"run", "--target", target, "--market-listen", market, "--hold"}, nil, &stdout, stderr, func(name string) string { return environment[name] })
	assert.Zero(t, code, stdout.String())
	assert.True(t, held)
}
