// Command quickstart tells the whole story with the real programs: it builds the sandbox, the judge and the sample ISV, starts
// them as processes on loopback with a database in a temporary folder, and plays buyer and time. It is what `make demo` runs.
// Every line behind a $ is a command you can type yourself.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "quickstart: error:", err)
		os.Exit(1)
	}
}

// story is the stage: a folder for programs and state, and the environment that the programs share.
type story struct {
	dir string
	env []string
	out io.Writer
}

func run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "isvkit-quickstart-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel() // ends the processes, too
	s := &story{dir: dir, env: os.Environ(), out: out}

	s.say("Building the sandbox, the judge and a sample ISV (the first time takes a while) …")
	if err := s.build(ctx); err != nil {
		return err
	}
	s.say("1. The sandbox plays the marketplace. It keeps its state in a file and writes the keys it shares with the ISV beside it.")
	if err := s.startSandbox(ctx); err != nil {
		return err
	}
	s.say("2. The ISV is examples/isv-minimal: one Go type on net/http. It gets the keys and the marketplace's address from its environment.")
	isv, err := s.startISV(ctx)
	if err != nil {
		return err
	}
	if _, err := s.command(ctx, "isv-sandbox", "provider", isv); err != nil {
		return err
	}
	if _, err := s.command(ctx, "isv-sandbox", "doctor"); err != nil {
		return err
	}

	s.say("3. A buyer orders a year and pays. The marketplace calls the ISV: signed newInstance, then queryInstance until it is ready.")
	line, err := s.buy(ctx, "demo-period")
	if err != nil {
		return err
	}
	if err := s.showCalls(ctx, line); err != nil {
		return err
	}

	s.say("4. Another buyer orders a product that is charged by use. The ISV meters it and pushes usage, signed, to the open API.")
	if _, err := s.buy(ctx, "demo-on-demand"); err != nil {
		return err
	}
	if err := s.awaitUsage(ctx); err != nil {
		return err
	}
	if _, err := s.command(ctx, "isv-sandbox", "usage"); err != nil {
		return err
	}

	s.say("5. A year passes in an instant. Nobody renewed, so the marketplace freezes the instance, and releases it 15 days later.")
	for _, step := range []struct{ days, status string }{{"366d", "frozen"}, {"15d", "released"}} {
		if _, err := s.command(ctx, "isv-sandbox", "clock", "advance", step.days); err != nil {
			return err
		}
		instances, err := s.command(ctx, "isv-sandbox", "instances")
		if err != nil {
			return err
		}
		if !regexp.MustCompile(regexp.QuoteMeta(line) + `\s+\S+\s+` + step.status).MatchString(instances) {
			return fmt.Errorf("the instance of %s is not %s", line, step.status)
		}
	}

	s.say("6. The same for CI: a story in a file, steps and what is expected, and one in which the ISV's answer gets lost.")
	if _, err := s.command(ctx, "isv-sandbox", "play", "scenarios/modes/period.yaml", "scenarios/faults/drop-answer.yaml"); err != nil {
		return err
	}

	s.say("7. Would the ISV pass? The judge brings its own marketplace, calls the ISV in every way the contract knows, and gives a verdict.")
	if err := s.judge(ctx); err != nil {
		return err
	}
	s.say("That was the whole life of a purchase. README.md says how to put your own service in the ISV's place.")
	return nil
}

func (s *story) say(text string) { _, _ = fmt.Fprintf(s.out, "\n%s\n", text) }

func (s *story) build(ctx context.Context) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/isvkit/isvkit").Output()
	if err != nil {
		return fmt.Errorf("run it inside a clone of isvkit, with Go installed: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", s.dir+string(filepath.Separator), "./sandbox/cmd/isv-sandbox", "./conformance/cmd/isv-conformance", "./examples/isv-minimal")
	cmd.Dir = strings.TrimSpace(string(root))
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build: %w", err)
	}
	return os.CopyFS(filepath.Join(s.dir, "scenarios"), os.DirFS(filepath.Join(cmd.Dir, "examples", "scenarios")))
}

// program gives a command of one of the programs, in the story's folder.
func (s *story) program(ctx context.Context, name string, args ...string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.dir, name), args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// command runs a program, shows it as one would type it, and what it prints.
func (s *story) command(ctx context.Context, name string, args ...string) (string, error) {
	_, _ = fmt.Fprintf(s.out, "  $ %s %s\n", name, strings.Join(args, " "))
	return s.finish(s.program(ctx, name, args...), name)
}

func (s *story) finish(cmd *exec.Cmd, name string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	for line := range strings.Lines(stdout.String()) {
		_, _ = fmt.Fprint(s.out, "    ", line)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// startSandbox starts isv-sandbox serve, waits until it is ready, and takes the keys it wrote into the environment.
func (s *story) startSandbox(ctx context.Context) error {
	args := []string{"serve", "--listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0", "--quiet"}
	_, _ = fmt.Fprintf(s.out, "  $ isv-sandbox %s\n", strings.Join(args, " "))
	cmd := s.program(ctx, "isv-sandbox", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		_, _ = fmt.Fprintln(s.out, "    "+lines.Text())
		if lines.Text() == "ready" {
			go func() { _ = cmd.Wait() }()
			return s.sourceKeys()
		}
	}
	return fmt.Errorf("isv-sandbox serve: %w: %s", cmd.Wait(), stderr.String())
}

// sourceKeys does what `. ./isvkit.keys` does in a shell.
func (s *story) sourceKeys() error {
	text, err := os.ReadFile(filepath.Join(s.dir, "isvkit.keys"))
	if err != nil {
		return err
	}
	for _, m := range regexp.MustCompile(`(?m)^export (\w+)='(.*)'$`).FindAllStringSubmatch(string(text), -1) {
		s.env = append(s.env, m[1]+"="+m[2])
	}
	return nil
}

// startISV starts the sample ISV, waits until it listens, and gives its production address.
func (s *story) startISV(ctx context.Context, env ...string) (string, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return "", err
	}
	env = append(env, "ISV_LISTEN="+address, "ISV_USAGE_EVERY=1s")
	_, _ = fmt.Fprintf(s.out, "  $ . ./isvkit.keys; %s isv-minimal &\n", strings.Join(env, " "))
	cmd := s.program(ctx, "isv-minimal")
	cmd.Env = append(cmd.Env, env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return "", err
	}
	died := make(chan error, 1)
	go func() { died <- cmd.Wait() }()
	for {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "tcp", address); err == nil {
			_ = conn.Close()
			return "http://" + address + "/saasproduce", nil
		}
		select {
		case err := <-died:
			return "", fmt.Errorf("isv-minimal: %w: %s", err, output.String())
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// freeAddress finds a port that is free now.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

var lineForm = regexp.MustCompile(`line (\S+)`)

func (s *story) buy(ctx context.Context, sku string) (string, error) {
	out, err := s.command(ctx, "isv-sandbox", "buy", "--sku", sku)
	if err != nil {
		return "", err
	}
	m := lineForm.FindStringSubmatch(out)
	if m == nil {
		return "", errors.New("isv-sandbox buy named no order line")
	}
	return m[1], nil
}

// showCalls shows the journal in short.
func (s *story) showCalls(ctx context.Context, line string) error {
	_, _ = fmt.Fprintf(s.out, "  $ isv-sandbox journal %s\n", line)
	text, err := s.program(ctx, "isv-sandbox", "journal", "--json", line).Output()
	if err != nil {
		return err
	}
	var list sandboxapi.AttemptList
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	for i := len(list.Attempts) - 1; i >= 0; i-- { // the journal has the newest first
		a := list.Attempts[i]
		_, _ = fmt.Fprintf(s.out, "    POST %s\n      %s\n    %d in %.1f ms, %s\n      %s\n", shorten(a.URL), a.RequestBody, a.Status, a.DurationMs, a.Outcome, strings.TrimSpace(a.ResponseBody))
	}
	return nil
}

// shorten keeps the signature parameters readable.
func shorten(url string) string {
	return regexp.MustCompile(`(signature|nonce)=(\w{8})\w+`).ReplaceAllString(url, "$1=$2…")
}

// awaitUsage waits until the marketplace has accepted a usage record.
func (s *story) awaitUsage(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		text, err := s.program(ctx, "isv-sandbox", "usage", "--json").Output()
		if err != nil {
			return fmt.Errorf("no usage record was accepted: %w", err)
		}
		var list sandboxapi.UsageRecordList
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
		for _, r := range list.UsageRecords {
			if r.Accepted {
				return nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// judge starts another ISV, pointed at the judge's own marketplace, and has it judged.
func (s *story) judge(ctx context.Context) error {
	market, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	isv, err := s.startISV(ctx, "ISVKIT_MARKET_URL=http://"+market)
	if err != nil {
		return err
	}
	_, err = s.command(ctx, "isv-conformance", "run", "--target", isv, "--market-listen", market,
		"--charging", "period,one-time,on-demand,package", "--usage-wait", "5s")
	return err
}
