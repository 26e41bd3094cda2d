package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/scenario"
	"github.com/isvkit/isvkit/sdk/signature"
)

func none(string) string { return "" }

// with runs a command with something on its standard input.
func with(stdin string, args ...string) (int, string, string) {
	var stdout, stderr bytes.Buffer
	code := runWith(context.Background(), args, stdio{strings.NewReader(stdin), &stdout, &stderr, none})
	return code, stdout.String(), stderr.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

const (
	goodStory = "name: bought and left\nsteps:\n  - buy: demo-one-time\n    as: it\n  - release: it\n  - expect: { instance: it, status: released }\n"
	badStory  = "name: never frozen\nsteps:\n  - buy: demo-one-time\n    as: it\n  - expect: { instance: it, status: frozen }\n"
)

func TestPlay(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) { created(w, lineID) })
	dir := t.TempDir()
	p := serveProcess(t, dir, "--database", ":memory:", "--quiet", "--provider", isv.URL)
	good, bad := write(t, filepath.Join(dir, "s", "good.yaml"), goodStory), write(t, filepath.Join(dir, "s", "bad.yaml"), badStory)
	broken := write(t, filepath.Join(dir, "broken.yaml"), "name: a\nsteps:\n  - bye: demo\n")

	code, stdout, _ := p.command("play", good)
	require.Equal(t, 0, code, stdout)
	require.Regexp(t, `^ok    \S+good.yaml  bought and left \(3 steps, [\d.]+m?s\)\n1 passed, 0 failed, 0 could not be played\n$`, stdout)

	code, stdout, _ = p.command("play", filepath.Join(dir, "s"))
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "FAIL  "+bad+"  never frozen")
	require.Contains(t, stdout, bad+":5: expect: { instance: it, status: frozen }\n        status: expected frozen, got ready\n")
	require.Contains(t, stdout, "again: U=")
	require.Contains(t, stdout, "ok    "+good, "the other files go on")
	require.Contains(t, stdout, "1 passed, 1 failed, 0 could not be played")

	code, stdout, _ = p.command("play", broken, good, filepath.Join(dir, "none.yaml"))
	require.Equal(t, 2, code)
	require.Contains(t, stdout, "ERROR "+broken+"\n      "+broken+`:3: there is no verb "bye"; did you mean buy?`)
	require.Contains(t, stdout, "none.yaml: cannot be read: no such file")
	require.Contains(t, stdout, "1 passed, 0 failed, 2 could not be played")

	p.kill()
	code, _, stderr := p.command("play", good)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "does not answer")
	require.Contains(t, stderr, "hint: is it running?")

	// Without a running one: each file has a sandbox of its own.
	listen := "127.0.0.1:0"
	code, stdout, stderr = p.command("play", "--start", "--provider", isv.URL, "--listen", listen, good, bad, good)
	require.Equal(t, 1, code, stderr)
	require.Contains(t, stdout, "2 passed, 1 failed, 0 could not be played")

	// It has an auth centre like one that is served, and knows the ISV's key from the beginning.
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())
	var seen atomic.Value // what the ISV found at the login page
	kitISV := provider(t, func(_ int64, w http.ResponseWriter, lineID string) {
		resp, err := browser(t, filepath.Join(dir, "isvkit.ca.pem")).Get("https://" + free.Addr().String() + "/unified-login")
		if assert.NoError(t, err) {
			seen.Store(resp.Header.Get("Content-Type"))
			assert.NoError(t, resp.Body.Close())
		}
		created(w, lineID)
	})
	login := write(t, filepath.Join(dir, "login.yaml"), "name: login\nsteps:\n"+
		"  - credential: { product: demo-kit, callbackUrl: 'https://crm.example.com/kit/callback' }\n"+
		"    expect: { application.loginUrl: { contains: 'https://"+free.Addr().String()+"/unified-login' } }\n  - buy: demo-one-time\n")
	code, stdout, stderr = p.command("play", "--start", "--provider", kitISV.URL, "--listen", listen, "--auth-listen", free.Addr().String(),
		"--kit-key", "demo-kit="+rsaKeyFile(t, dir), login)
	require.Equal(t, 0, code, "%s%s", stdout, stderr)
	require.Contains(t, stderr, "login page https://"+free.Addr().String()+"/unified-login")
	require.Contains(t, seen.Load(), "text/html")
	code, stdout, stderr = p.command("play", "--start", "--provider", kitISV.URL, "--listen", listen, "--auth-listen", "off", login)
	require.Equal(t, 1, code, stderr)
	require.Contains(t, stdout, "has no https address")

	code, stdout, stderr = with("", "play", "--schema")
	require.Equal(t, 0, code, stderr)
	require.JSONEq(t, string(scenario.Schema()), stdout)

	empty := t.TempDir()
	for want, args := range map[string][]string{
		"expected scenario files":                  {"play"},
		"expected --start and --provider together": {"play", "--start", good},
		"has no scenario files":                    {"play", empty},
		"expected PRODUCT=FILE":                    {"play", "--start", "--provider", isv.URL, "--kit-key", "kit.pem", good},
		"are for --start":                          {"play", "--auth-listen", "off", good},
		"the keys are not known":                   {"play", "--start", "--provider", isv.URL, "--keys", filepath.Join(empty, "k"), good},
		"no running sandbox is known":              {"play", "--keys", filepath.Join(empty, "k"), good},
	} {
		code, _, stderr := with("", args...)
		require.Equal(t, 2, code, want)
		require.Contains(t, stderr, want)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) { created(w, lineID) })
	p := serveProcess(t, t.TempDir(), "--database", ":memory:", "--quiet", "--provider", isv.URL)
	var placed sandboxapi.OrderPlaced
	require.NoError(t, json.Unmarshal([]byte(p.ok("buy", "--sku", "demo-one-time", "--wait", "0", "--json")), &placed))
	line := placed.Order.OrderLineID
	require.Empty(t, p.ok("wait", "--instance", line, "--status", "ready"))
	require.Empty(t, p.ok("wait", "--order", placed.Order.OrderID, "--status", "completed"))
	require.Empty(t, p.ok("wait", "--calls-settled"))
	require.Empty(t, p.ok("wait", "--ready"))

	for want, args := range map[string][]string{
		"after 600ms: not yet: the instance is ready, with 0 calls under way": {"--instance", line, "--status", "frozen", "--timeout", "600ms"},
		"after 700ms: not yet: the order is completed":                        {"--order", placed.Order.OrderID, "--status", "failed", "--timeout", "700ms"},
		"there is no order line":                                              {"--instance", "CS-NONE-000001", "--status", "ready"},
	} {
		code, _, stderr := p.command(append([]string{"wait"}, args...)...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, want)
	}
	for want, args := range map[string][]string{
		"expected one of --ready":      {},
		"expected --status together":   {"--instance", line},
		"an instance is never \"up\"":  {"--instance", line, "--status", "up"},
		"an order is never \"frozen\"": {"--order", "x", "--status", "frozen"},
		"no argument":                  {"--ready", "now"},
	} {
		code, _, stderr := p.command(append([]string{"wait"}, args...)...)
		require.Equal(t, 2, code)
		require.Contains(t, stderr, want)
	}
	code, _, stderr := with("", "wait", "--ready", "--timeout", "60ms", "--keys", filepath.Join(t.TempDir(), "k"))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "after 60ms: no running sandbox is known")
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) { created(w, lineID) }) // it verifies nothing
	p := serveProcess(t, t.TempDir(), "--database", ":memory:", "--quiet", "--provider", isv.URL)
	code, stdout, _ := p.command("doctor")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "ok       answer: HTTP 200, application/json")
	require.Contains(t, stdout, "wrong    wrong-key: a call that is signed with another key succeeds\n         it means: Anybody can make and delete instances.\n         mend it:  Verify")
	require.Contains(t, stdout, "ok       calls: no call waits")
	require.Regexp(t, `(?m)^1 wrong, \d warnings$`, stdout)

	code, stdout, _ = p.command("doctor", "--json", "--v1", "--provider", "http://127.0.0.1:1/x")
	require.Equal(t, 1, code)
	var d sandboxapi.Diagnosis
	require.NoError(t, json.Unmarshal([]byte(stdout), &d))
	require.Equal(t, 1, d.Wrong)
	code, _, stderr := p.command("doctor", "--provider", "nowhere")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "expected an http or https address")
}

func TestEnv(t *testing.T) {
	t.Parallel()
	keys := write(t, filepath.Join(t.TempDir(), "k"), "export ISVKIT_BASE_KEY='it'\\''s \\ \"$HOME\"'\nexport ISVKIT_AK='a'\nexport ISVKIT_CONTROL_TOKEN='secret-token'\nexport ISVKIT_CONTROL_URL='http://c'\n")
	value := `it's \ "$HOME"`
	for shell, want := range map[string]string{
		"sh":         "export ISVKIT_BASE_KEY='it'\\''s \\ \"$HOME\"'\nexport ISVKIT_AK='a'\n",
		"fish":       "set -gx ISVKIT_BASE_KEY 'it\\'s \\\\ \"$HOME\"'\nset -gx ISVKIT_AK 'a'\n",
		"powershell": "$env:ISVKIT_BASE_KEY = 'it''s \\ \"$HOME\"'\n$env:ISVKIT_AK = 'a'\n",
		"docker":     "ISVKIT_BASE_KEY=" + value + "\nISVKIT_AK=a\n",
	} {
		code, stdout, stderr := with("", "env", "--keys", keys, "--shell", shell)
		require.Equal(t, 0, code, stderr)
		require.Equal(t, want, stdout, "without the control API")
	}
	code, stdout, _ := with("", "env", "--keys", keys, "--shell", "json")
	require.Equal(t, 0, code)
	require.JSONEq(t, `{"ISVKIT_BASE_KEY":"it's \\ \"$HOME\"","ISVKIT_AK":"a"}`, stdout)
	if shell, err := exec.LookPath("sh"); err == nil {
		_, lines, _ := with("", "env", "--keys", keys)
		out, err := exec.CommandContext(t.Context(), shell, "-c", `eval "$0"; printf %s "$ISVKIT_BASE_KEY"`, lines).Output()
		require.NoError(t, err)
		require.Equal(t, value, string(out))
	}
	broken := write(t, filepath.Join(t.TempDir(), "k"), "")
	for want, args := range map[string][]string{
		"no keys are known": {"env", "--keys", broken},
		`no shell "cmd"`:    {"env", "--shell", "cmd", "--keys", keys},
		"no argument":       {"env", "now"},
	} {
		code, stdout, stderr := with("", args...)
		require.NotZero(t, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
	}
}

// TestSign runs the lines that sign prints, against a server that verifies them.
func TestSign(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("skipped: needs sh (any Unix has it)")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("skipped: needs curl")
	}
	keys := map[string]string{"base": "base key's", "kit": "kit-key", "general": "general-key", "license": "license-key"}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s", verify(t, r, body, keys), body)
	}))
	t.Cleanup(srv.Close)
	file := write(t, filepath.Join(t.TempDir(), "k"), "ISVKIT_BASE_KEY='base key'\\''s'\nISVKIT_KIT_KEY='kit-key'\nISVKIT_GENERAL_KEY='general-key'\nISVKIT_LICENSE_KEY='license-key'\n")
	const body = `{"activity":"queryInstance","instanceId":"it's 100% $HOME \\ 实例"}`
	for name, tc := range map[string]struct {
		args []string
		body string
		want string
	}{
		"base":         {nil, body, "base " + body},
		"kit":          {[]string{"--class", "kit"}, body, "kit " + body},
		"general":      {[]string{"--class", "general"}, body, "general " + body},
		"license":      {[]string{"--class", "license"}, body, "license " + body},
		"v1":           {[]string{"--v1"}, "", "v1 "},
		"v1 kit":       {[]string{"--v1", "--class", "kit"}, `{"tenantId":"t","timeStamp":"20200101000000000"}`, `v1kit {"tenantId":"t","timeStamp":"2`},
		"v1 unstamped": {[]string{"--v1", "--class", "kit"}, `{"tenantId":"t"}`, `v1kit {"tenantId":"t","timeStamp":"2`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, line, stderr := with(tc.body, append([]string{"sign", "--keys", file, srv.URL + "/saasproduce?tenant=a&activity=queryInstance"}, tc.args...)...)
			require.Equal(t, 0, code, stderr)
			for _, key := range keys {
				require.NotContains(t, line, key)
			}
			out, err := exec.CommandContext(t.Context(), shell, "-c", line).Output()
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(out), tc.want), "%s: %s", line, out)
			require.NotContains(t, string(out), "20200101", "the time is set anew")
		})
	}
	for want, args := range map[string][]string{
		"expected --attempt N or a URL": {"sign"},
		`no class "kits"`:               {"sign", "--class", "kits", srv.URL},
		"expected an http or https URL": {"sign", "localhost"},
		"there is no body":              {"sign", srv.URL},
		"has the classes base and kit":  {"sign", "--v1", "--class", "general", srv.URL},
	} {
		code, stdout, stderr := with("", append(args, "--keys", file)...)
		require.Equal(t, 2, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, want)
	}
	code, _, stderr := with(body, "sign", srv.URL, "--keys", filepath.Join(t.TempDir(), "none"))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "the key is not known: ISVKIT_BASE_KEY")
	code, _, stderr = with("no JSON", "sign", "--v1", "--class", "kit", srv.URL, "--keys", file)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "the body is no JSON object")
}

// verify tells which key a request is signed with.
func verify(t *testing.T, r *http.Request, body []byte, keys map[string]string) string {
	t.Helper()
	v1, err := signature.NewV1(signature.V1Config{Keys: []string{keys["base"]}})
	if err != nil {
		return err.Error()
	}
	if r.Method == http.MethodGet {
		if _, err := v1.VerifyQuery(r.URL.Query()); err != nil {
			return err.Error()
		}
		return "v1"
	}
	if token := r.Header.Get("authToken"); token != "" {
		if _, err := v1.VerifyBody(token, body); err != nil {
			return err.Error()
		}
		return "v1kit"
	}
	kit, _ := signature.NewKit(signature.Config{Keys: []string{keys["kit"]}})
	if p, err := signature.KitParams(r.Header); err == nil && kit.Verify(r.Context(), p, body) == nil {
		return "kit"
	}
	p, err := signature.BaseParams(r.URL.Query())
	if err != nil {
		return err.Error()
	}
	for _, class := range []string{"base", "general", "license"} {
		base, _ := signature.NewBase(signature.Config{Keys: []string{keys[class]}})
		if base.Verify(r.Context(), p, body) == nil {
			return class
		}
	}
	return "nobody's"
}

// TestSign_Attempt: the line that the journal shows works as it stands.
func TestSign_Attempt(t *testing.T) {
	t.Parallel()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("skipped: needs sh (any Unix has it)")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("skipped: needs curl")
	}
	var again atomic.Int64
	isv := provider(t, func(n int64, w http.ResponseWriter, lineID string) { again.Store(n); created(w, lineID) })
	dir := t.TempDir()
	p := serveProcess(t, dir, "--database", ":memory:", "--quiet", "--provider", isv.URL)
	p.ok("buy", "--sku", "demo-one-time")
	var list sandboxapi.AttemptList
	require.NoError(t, json.Unmarshal([]byte(p.ok("journal", "--json")), &list))
	first := list.Attempts[len(list.Attempts)-1]
	require.Equal(t, "newInstance", first.Activity)
	line := p.ok("sign", "--attempt", fmt.Sprint(first.AttemptID))
	require.Regexp(t, regexp.MustCompile(`^curl -sS -X POST 'http://.*signature=`), line)
	_, old, _ := strings.Cut(first.URL, "signature=")
	require.NotEmpty(t, old)
	require.NotContains(t, line, old, "it is signed anew")
	out, err := exec.CommandContext(t.Context(), shell, "-c", line).CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(out), `"resultCode":"000000"`)
	require.EqualValues(t, 2, again.Load())

	// The journal's own line calls isv-sandbox: this test binary, by that name.
	exe, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(exe, filepath.Join(dir, "isv-sandbox")))
	cmd := exec.CommandContext(t.Context(), shell, "-c", first.Sign)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "ISVKIT_TEST_MAIN=1", "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err = cmd.CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(out), `"resultCode":"000000"`, first.Sign)
	require.EqualValues(t, 3, again.Load())

	code, _, stderr := p.command("sign", "--attempt", "999")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "there is no attempt")
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{"0.0.0.0:8480": "127.0.0.1:8480", "[::]:8480": "127.0.0.1:8480", "10.1.2.3:8480": "10.1.2.3:8480", "[::1]:8480": "[::1]:8480"} {
		a, err := net.ResolveTCPAddr("tcp", address)
		require.NoError(t, err)
		require.Equal(t, want, reachable(a), address)
	}
}
