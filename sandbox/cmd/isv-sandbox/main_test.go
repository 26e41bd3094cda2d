package main

import (
	"bufio"
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
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

// TestMain lets the test binary be the command itself, for tests that need a process of their own.
func TestMain(m *testing.M) {
	if os.Getenv("ISVKIT_TEST_MAIN") == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is isv-sandbox serve in a process of its own.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	dir  string
	keys map[string]string
	out  string
}

func serveProcess(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	return serveProcessLog(t, dir, io.Discard, args...)
}

// serveProcessLog is serveProcess with somewhere to write the log to.
func serveProcessLog(t *testing.T, dir string, log io.Writer, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	p := &process{t: t, dir: dir}
	p.cmd = exec.Command(exe, append([]string{"serve", "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "ISVKIT_TEST_MAIN=1")
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.cmd.Stderr = log
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		p.out += lines.Text() + "\n"
		if lines.Text() == "ready" {
			p.keys, err = readKeyFile(filepath.Join(dir, "isvkit.keys"))
			require.NoError(t, err)
			return p
		}
	}
	require.Fail(t, "isv-sandbox serve did not get ready", p.out)
	return nil
}

// kill is SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// command runs a command against the process and gives its exit code and output.
func (p *process) command(args ...string) (int, string, string) {
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), append(args, "--keys", filepath.Join(p.dir, "isvkit.keys")), &stdout, &stderr, func(string) string { return "" })
	return code, stdout.String(), stderr.String()
}

func (p *process) ok(args ...string) string {
	p.t.Helper()
	code, stdout, stderr := p.command(args...)
	require.Equal(p.t, 0, code, stderr)
	return stdout
}

// provider is an ISV that answers the n-th newInstance as a test says and everything else rightly.
func provider(t *testing.T, newInstance func(n int64, w http.ResponseWriter, lineID string)) *httptest.Server {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var call struct{ Activity, OrderLineID, InstanceID string }
		_ = json.NewDecoder(r.Body).Decode(&call)
		w.Header().Set("Content-Type", "application/json")
		switch call.Activity {
		case "newInstance":
			newInstance(n.Add(1), w, call.OrderLineID)
		case "queryInstance":
			_, _ = fmt.Fprintf(w, `{"resultCode":"000000","resultMsg":"ok","info":[{"instanceId":%q,"appInfo":{"frontEndUrl":"https://a.example.com"}}]}`, call.InstanceID)
		default:
			_, _ = io.WriteString(w, `{"resultCode":"000000","resultMsg":"ok"}`)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func created(w http.ResponseWriter, lineID string) {
	_, _ = fmt.Fprintf(w, `{"resultCode":"000000","resultMsg":"ok","instanceId":"i-%s"}`, lineID)
}

// TestServe_KilledInTheMiddleOfARetryGoesOn kills the process while an attempt is under way, in the middle of a retry, and
// starts it again on the same file.
func TestServe_KilledInTheMiddleOfARetryGoesOn(t *testing.T) {
	t.Parallel()
	reached, release := make(chan struct{}), make(chan struct{})
	isv := provider(t, func(n int64, w http.ResponseWriter, lineID string) {
		switch n {
		case 1:
			_, _ = io.WriteString(w, `{"resultCode":"000005","resultMsg":"not now"}`)
		case 2: // the retry, which never gets an answer
			close(reached)
			<-release
		default:
			created(w, lineID)
		}
	})
	defer close(release)
	dir := t.TempDir()
	p := serveProcess(t, dir, "--provider", isv.URL)
	line := regexp.MustCompile(`line (\S+)`).FindStringSubmatch(p.ok("buy", "--sku", "demo-period", "--wait", "0"))[1]
	go func() { _, _, _ = p.command("clock", "advance", "61m") }()
	select {
	case <-reached:
	case <-time.After(30 * time.Second):
		require.Fail(t, "the retry never came")
	}
	p.kill()

	again := serveProcess(t, dir)
	require.Equal(t, p.keys[envBaseKey], again.keys[envBaseKey], "the keys stay")
	require.Contains(t, again.out, isv.URL, "the production address stays")
	var i sandboxapi.Instance
	client, err := newClient(again.keys[envControlURL], again.keys[envControlToken], io.Discard, false)
	require.NoError(t, err)
	i, err = client.await(t.Context(), line, sandboxapi.InstanceReady, 30*time.Second)
	require.NoError(t, err)
	require.Equal(t, "i-"+line, i.InstanceID)

	journal := again.ok("journal", line)
	require.Contains(t, journal, "newInstance, attempt 1: refused, result code 000005")
	require.Contains(t, journal, "newInstance, attempt 2: interrupted")
	require.Contains(t, journal, "newInstance, attempt 3: succeeded")
}

func TestCommands_TellAStory(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) { created(w, lineID) })
	p := serveProcess(t, t.TempDir(), "--database", ":memory:", "--quiet")
	require.Regexp(t, `open API +http://127\.0\.0\.1:\d+`, p.out)
	require.Contains(t, p.out, "isvkit.keys (in a shell: . ./isvkit.keys)")

	code, _, stderr := p.command("buy", "--sku", "demo-period")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "does not know the ISV's production address yet")
	require.Contains(t, p.ok("provider", isv.URL+"/saasproduce"), "your ISV is called at "+isv.URL)
	require.Contains(t, p.ok("products"), "demo-on-demand")

	out := p.ok("buy", "--sku", "demo-period", "--period", "1m", "--quantity", "3", "--param", "ip=10.0.0.1")
	require.Regexp(t, `instance i-\S+ is ready, expires .*, open it at https://a.example.com`, out)
	line := regexp.MustCompile(`line (\S+)`).FindStringSubmatch(out)[1]
	require.Contains(t, p.ok("renew", line, "--period", "1y"), "is ready")
	require.Contains(t, p.ok("upgrade", line, "--sku", "demo-period-pro"), "is ready")
	require.Contains(t, p.ok("freeze", line), "is frozen")
	require.Contains(t, p.ok("unfreeze", line), "is ready")
	require.Regexp(t, `the clock shows \d{4}-`, p.ok("clock", "advance", "1d"))
	require.Contains(t, p.ok("release", line), "is released")
	require.Contains(t, p.ok("instances"), "demo-period-pro")
	require.Contains(t, p.ok("orders"), "UNSUBSCRIBE")
	require.Contains(t, p.ok("calls", line), "releaseInstance")
	require.Contains(t, p.ok("journal", line), "attempt 1: succeeded")
	require.Contains(t, p.ok("status"), "0 under way, 0 waiting")
	require.Equal(t, "none\n", p.ok("usage"))

	var placed sandboxapi.OrderPlaced
	require.NoError(t, json.Unmarshal([]byte(p.ok("buy", "--sku", "demo-one-time", "--wait", "0", "--json")), &placed))
	require.Equal(t, "ONE_TIME", placed.Instance.ChargingMode)
	var bought sandboxapi.Instance
	require.NoError(t, json.Unmarshal([]byte(p.ok("buy", "--json", "--sku", "demo-one-time")), &bought))
	require.Equal(t, sandboxapi.InstanceReady, bought.Status)

	code, _, stderr = p.command("restart", "1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "only a call that is waiting or being retried can be restarted")

	info, err := os.Stat(filepath.Join(p.dir, "isvkit.keys"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "keys are for their owner alone")
}

// TestCommands_OrdersOfEveryType has the commands of the whole order book.
func TestCommands_OrdersOfEveryType(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, lineID string) { created(w, lineID) })
	p := serveProcess(t, t.TempDir(), "--database", ":memory:", "--quiet", "--provider", isv.URL)
	lineOf := func(out string) string { return regexp.MustCompile(`line (\S+)`).FindStringSubmatch(out)[1] }

	trial := lineOf(p.ok("buy", "--sku", "demo-period", "--trial", "--period", "7d"))
	require.Contains(t, p.ok("formal", trial, "--period", "1m"), "TRIAL_TO_FORMAL")
	require.Contains(t, p.ok("renew", trial, "--period", "1m"), "RENEW")
	require.Contains(t, p.ok("cancel-renewal", trial), "UNSUBSCRIBE")
	require.Equal(t, "the ISV allows it\n", p.ok("check-change", trial, "--quantity", "4"))
	require.Contains(t, p.ok("renew", trial, "--sku", "demo-period-pro", "--quantity", "4"), "is ready")
	require.Regexp(t, `demo-period-pro +4`, p.ok("instances", "--status", "ready", "--product", "demo"))

	out := p.ok("buy", "--line", "sku=demo-period,period=3m,quantity=2,param=ip=10.0.0.1", "--line", "sku=demo-on-demand-two", "--discount", "10")
	require.Len(t, regexp.MustCompile(`is ready`).FindAllString(out, -1), 3)
	order := regexp.MustCompile(`order (\S+)`).FindStringSubmatch(out)[1]
	shown := p.ok("order", order)
	require.Regexp(t, `order +`+order+`, NEW, completed`, shown)
	require.Regexp(t, `paid +54`, shown)
	require.Regexp(t, order+`-000001 +completed +demo-period +2 +3 month +\d{4}-\d\d-\d\d 15:59:59 +54 +`+order+`-000001`, shown)
	require.Regexp(t, order+`-000003 +completed +demo-on-demand-two +1 +- +- +0 `, shown)
	var several sandboxapi.InstanceList
	require.NoError(t, json.Unmarshal([]byte(p.ok("buy", "--sku", "demo-on-demand-two", "--json")), &several))
	require.Len(t, several.Instances, 2)

	out = p.ok("buy", "--sku", "demo-accept-one-time")
	require.Contains(t, out, "the buyer has to accept it: isv-sandbox accept CS")
	require.Contains(t, p.ok("orders", "--status", "awaiting-acceptance"), "NEW")
	require.Contains(t, p.ok("accept", out[strings.LastIndex(out, " ")+1:len(out)-1]), "is ready")
	require.Equal(t, "none\n", p.ok("orders", "--status", "awaiting-acceptance"))
	require.Equal(t, "none\n", p.ok("orders", "--seller", "nobody"))
	require.Contains(t, p.ok("orders", "--type", "RENEW"), "RENEW")
	require.Contains(t, p.ok("details", trial), "open it at https://a.example.com")

	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"buy", "--line", "quantity=3"}, "sku= is missing"},
		{[]string{"buy", "--line", "sku=demo-period,quantity=x"}, `quantity "x": expected a number`},
		{[]string{"buy", "--line", "sku=demo-period,colour=red"}, `"colour=red": expected sku=, period=`},
		{[]string{"buy", "--line", "sku=demo-period,param=x"}, "expected name=value"},
		{[]string{"order", "nobodys"}, "there is no order \"nobodys\"\nisv-sandbox: hint: isv-sandbox orders shows"},
		{[]string{"cancel-renewal", trial}, "no call takes back"},
		{[]string{"orders", "--status", "happy"}, "no such status"},
	} {
		code, _, stderr := p.command(tc.args...)
		require.NotZero(t, code)
		require.Contains(t, stderr, tc.want)
	}
}

// TestBuy_TellsWhyItFailed: a buyer who waits is told what the first attempt met, at once rather than when the time is over.
func TestBuy_TellsWhyItFailed(t *testing.T) {
	t.Parallel()
	isv := provider(t, func(_ int64, w http.ResponseWriter, _ string) {
		_, _ = io.WriteString(w, `{"resultCode":"000001","resultMsg":"who are you?"}`)
	})
	p := serveProcess(t, t.TempDir(), "--database", ":memory:", "--quiet", "--provider", isv.URL)
	begin := time.Now()
	code, stdout, stderr := p.command("buy", "--sku", "demo-one-time", "--wait", "60s")
	require.Less(t, time.Since(begin), 50*time.Second, "it does not wait for the attempt in an hour")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "paid, line ")
	require.Contains(t, stderr, "newInstance, attempt 1: result code 000001: the signature is missing or wrong; has the ISV the base key")
	require.Contains(t, stderr, "the next attempt is due at ")
	require.Contains(t, stderr, "hint: isv-sandbox journal ")

	isv.Close()
	_, _, stderr = p.command("buy", "--sku", "demo-one-time", "--wait", "60s")
	require.Contains(t, stderr, "newInstance, attempt 1: no answer: ")
}

func TestRun_Misuse(t *testing.T) {
	t.Parallel()
	none := func(string) string { return "" }
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	staging := t.TempDir()
	write(t, filepath.Join(staging, "staging.keys"), "")
	for _, tc := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"serve", "--listen", taken.Addr().String(), "--database", ":memory:", "--keys", "testdata/keys"}, 1, "hint: is another sandbox running? choose another --listen"},
		{nil, 2, "no command given"},
		{[]string{"sell"}, 2, `no command "sell"`},
		{[]string{"srve"}, 2, `no command "srve"; did you mean serve?`},
		{[]string{"--keys", "testdata/keys", "products"}, 2, "no command is given before --keys; flags follow the command"},
		{[]string{"serve", "now"}, 2, `takes no argument "now"`},
		{[]string{"serve", "--listne", "x"}, 2, "isv-sandbox serve: there is no flag --listne; did you mean --listen?\nisv-sandbox: hint: isv-sandbox serve -h lists the flags\n"},
		{[]string{"serve", "--xylophone"}, 2, "there is no flag --xylophone\n"},
		{[]string{"serve", "--listen"}, 2, "--listen needs a value"},
		{[]string{"serve", "--tokens=perhaps"}, 2, `--tokens "perhaps": expected true or false`},
		{[]string{"serve", "--shutdown-timeout", "soon"}, 2, `--shutdown-timeout "soon": expected a time such as 30s, 5m or 1h`},
		{[]string{"journal", "--limit", "x"}, 2, `--limit "x": expected a number`},
		{[]string{"token", "new", "--keys", "testdata/keys"}, 2, "token new: expected --seller ID, whose token it is, or --role operator"},
		{[]string{"renew"}, 2, "usage: isv-sandbox renew LINE"},
		{[]string{"clock", "rewind", "1d", "--keys", "testdata/keys"}, 2, "usage: isv-sandbox clock advance"},
		{[]string{"restart", "x", "--keys", "testdata/keys"}, 2, `"x" is no number`},
		{[]string{"buy", "--keys", "testdata/keys"}, 2, "--sku is missing"},
		{[]string{"status", "--keys", "testdata/none"}, 1, "hint: start one with isv-sandbox serve"},
		{[]string{"status", "--keys", filepath.Join(staging, "isvkit.keys")}, 1, "hint: is it the sandbox of --keys " + filepath.Join(staging, "staging.keys") + "?"},
		{[]string{"status", "--keys", "testdata/keys"}, 1, "does not answer at http://127.0.0.1:1"},
		{[]string{"serve", "--provider", "localhost", "--database", ":memory:", "--keys", "testdata/keys"}, 1, "--provider: production address: expected an http or https address"},
		{[]string{"serve", "--listen", "127.0.0.1:x", "--database", ":memory:", "--keys", "testdata/keys"}, 1, "hint: expected host:port"},
		{[]string{"redeliver", "5", "1", "--keys", "testdata/keys"}, 2, "LAST, 1, is before CALL, 5"},
		{[]string{"serve", "--database", "testdata/no/such/folder.db", "--keys", "testdata/keys"}, 1, "hint: make the folder first: mkdir -p testdata/no/such"},
		{[]string{"serve", "--keys", "main_test.go"}, 1, "expected export NAME='value'"},
		{[]string{"serve", "--egress", "cloud"}, 2, "expected laptop, staging, or the name of a policy file"},
		{[]string{"serve", "--egress", "main_test.go"}, 1, "file main_test.go: yaml"},
		{[]string{"serve", "--allow-host", "https://x"}, 1, "expected a name such as isv.example.com"},
		{[]string{"serve", "--allow-network", "169.254.0.0/16"}, 1, "is never called"},
		{[]string{"serve", "--tokens", "--provider", "https://127.0.0.1", "--database", ":memory:", "--keys", "testdata/keys"}, 1, "the egress policy staging does not allow https://127.0.0.1: it is a loopback address; to allow it: isv-sandbox serve --allow-network 127.0.0.1/32"},
		{[]string{"serve", "--ca", "main_test.go"}, 1, "there is no certificate in it"},
		{[]string{"serve", "--egress", "staging", "--provider", "http://127.0.0.1", "--database", ":memory:", "--keys", "testdata/keys"}, 1, "it allows https only"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), tc.args, &stdout, &stderr, none)
		require.Equal(t, tc.code, code, "%v: %s", tc.args, stderr.String())
		require.Contains(t, stderr.String(), tc.want)
		require.Contains(t, stderr.String(), "isv-sandbox: error: ")
		require.Empty(t, stdout.String())
	}
	for _, args := range [][]string{{"help"}, {"--version"}, {"buy", "-h"}, {"serve", "--help"}} {
		var out bytes.Buffer
		require.Equal(t, 0, run(t.Context(), args, &out, &out, none), args)
		require.NotEmpty(t, out.String())
	}
	var buy, helpBuy bytes.Buffer
	require.Equal(t, 0, run(t.Context(), []string{"buy", "-h"}, &buy, &buy, none))
	require.Equal(t, 0, run(t.Context(), []string{"help", "buy"}, &helpBuy, &helpBuy, none))
	require.Equal(t, buy.String(), helpBuy.String())
	// Every command is in the help.
	var help bytes.Buffer
	require.Equal(t, 0, run(t.Context(), []string{"help"}, &help, &help, none))
	for _, g := range groups {
		for _, c := range g.commands {
			require.Contains(t, help.String(), c.name)
		}
	}
}

func TestKeyFile_SurvivesOddKeys(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "odd.keys")
	keys, err := loadKeys(name, func(key string) string {
		return map[string]string{envBaseKey: `it's $HOME "quoted" \n`, envAK: "中文"}[key]
	})
	require.NoError(t, err)
	require.NotEmpty(t, keys.SK)
	require.NoError(t, os.WriteFile(name, nil, 0o644))
	require.NoError(t, writeKeyFile(name, keys, "http://m", "http://c"))
	again, err := loadKeys(name, func(string) string { return "" })
	require.NoError(t, err)
	require.Equal(t, keys, again)
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("skipped: needs sh (any Unix has it)")
	}
	out, err := exec.CommandContext(t.Context(), shell, "-c", `. "$0" && printf %s "$ISVKIT_BASE_KEY"`, name).Output()
	require.NoError(t, err)
	require.Equal(t, keys.BaseKey, string(out))
	entries, err := os.ReadDir(filepath.Dir(name))
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file stays")
	require.False(t, strings.Contains(fmt.Sprintf("%v %+v %#v", keys, keys, keys), keys.SK))
}

// TestHoldsUp: an instance waits for the oldest call that is to come, whatever was decided after it; what failed long ago holds nothing up.
func TestHoldsUp(t *testing.T) {
	t.Parallel()
	call := func(id int64, status sandboxapi.CallStatus) sandboxapi.Call {
		return sandboxapi.Call{CallID: id, Status: status}
	}
	for _, tc := range []struct {
		calls []sandboxapi.Call // the newest first
		want  int64             // 0: none
	}{
		{nil, 0},
		{[]sandboxapi.Call{call(2, sandboxapi.CallSucceeded), call(1, sandboxapi.CallSucceeded)}, 0},
		{[]sandboxapi.Call{call(3, sandboxapi.CallPending), call(2, sandboxapi.CallPending), call(1, sandboxapi.CallSucceeded)}, 2},
		{[]sandboxapi.Call{call(2, sandboxapi.CallPending), call(1, sandboxapi.CallWaiting)}, 1},
		{[]sandboxapi.Call{call(2, sandboxapi.CallPending), call(1, sandboxapi.CallFailed)}, 2},
		{[]sandboxapi.Call{call(2, sandboxapi.CallFailed), call(1, sandboxapi.CallSucceeded)}, 2},
		{[]sandboxapi.Call{call(2, sandboxapi.CallSucceeded), call(1, sandboxapi.CallFailed)}, 0},
	} {
		var got int64
		if k := holdsUp(tc.calls); k != nil {
			got = k.CallID
		}
		require.Equal(t, tc.want, got)
	}
}

func TestExpires_ShowsTimesAlike(t *testing.T) {
	t.Parallel()
	require.Equal(t, "2027-11-22 15:59:59", expires("20271122155959"))
	require.Equal(t, "-", expires(""))
	require.Equal(t, "soon", expires("soon"))
}
