package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/curl"
)

// tool is a command that does not need a running sandbox, or not only.
type tool struct {
	name string
	do   func(ctx context.Context, t stdio, args []string) error
}

// stdio is what a tool has of its surroundings.
type stdio struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

var tools = []tool{{"play", play}, {"wait", wait}, {"doctor", doctor}, {"env", env}, {"sign", sign}}

const toolsHelp = `
  isv-sandbox play FILE… [--start --provider URL [--kit-key PRODUCT=FILE]]
                                                    play scenario files, for CI; --schema prints what editors want to know of them
  isv-sandbox wait --ready | --calls-settled | --instance LINE --status ready | --order ID --status completed
                                                    wait, with --timeout; exit code 1 when it is over
  isv-sandbox doctor                                tell what is wrong between the sandbox and your ISV
  isv-sandbox env [--shell sh|fish|powershell|docker|json]
                                                    what your ISV wants in its environment
  isv-sandbox sign --attempt N | [--class base|kit|general|license] [--v1] URL <body
                                                    print a curl line with a fresh signature
`

// exitError ends the program with a code other than 1. What there is to say was said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// settings reads variables from the environment, else from the key file.
func (t stdio) settings(keyFile string) (func(string) string, error) {
	file, err := readKeyFile(keyFile)
	return func(name string) string {
		if v := t.getenv(name); v != "" {
			return v
		}
		return file[name]
	}, err
}

// running gives a client of the sandbox that the key file tells of.
func (t stdio) running(keyFile string) (*client, func(string) string, error) {
	get, err := t.settings(keyFile)
	if err != nil {
		return nil, nil, err
	}
	address, token := get(envControlURL), get(envControlToken)
	if address == "" || token == "" {
		return nil, nil, noSandbox(keyFile)
	}
	c, err := newClient(address, token, t.out, false)
	return c, get, err
}

func keysFlag(fs *flag.FlagSet) *string {
	return fs.String("keys", "isvkit.keys", "key `file` of the sandbox")
}

// waiting is between two looks at something that is waited for.
const waiting = 50 * time.Millisecond

func wait(ctx context.Context, t stdio, args []string) error {
	fs := newFlags("wait", t.err, "wait --ready | --calls-settled | --instance LINE --status STATUS | --order ID --status STATUS [--timeout 30s]")
	keyFile := keysFlag(fs)
	ready := fs.Bool("ready", false, "until the sandbox answers")
	settled := fs.Bool("calls-settled", false, "until everything that is due was attempted")
	instance := fs.String("instance", "", "until the instance of this order `line` has the status and no call about it is under way")
	order := fs.String("order", "", "until the order of this `id` has the status")
	status := fs.String("status", "", "the status that is waited for: of an instance ready, frozen, released …, of an order completed, failed …")
	timeout := fs.Duration("timeout", 30*time.Second, "how long to wait, in real time")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	chosen := 0
	for _, c := range []bool{*ready, *settled, *instance != "", *order != ""} {
		if c {
			chosen++
		}
	}
	switch {
	case len(rest) > 0:
		return misuse("wait takes no argument %q", rest[0])
	case chosen != 1:
		return misuse("wait: expected one of --ready, --calls-settled, --instance and --order")
	case (*status != "") != (*instance != "" || *order != ""):
		return misuse("wait: expected --status together with --instance or --order")
	case *instance != "" && !sandboxapi.InstanceStatus(*status).Valid():
		return misuse("wait: an instance is never %q", *status)
	case *order != "" && !sandboxapi.OrderStatus(*status).Valid():
		return misuse("wait: an order is never %q", *status)
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	last := errors.New("not yet") // what the latest look has shown
	for {
		err := look(ctx, t, *keyFile, *settled, *instance, *order, *status)
		var not *notYet
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil: // it says nothing but that
		case errors.As(err, &not), *ready:
			last = err
		default:
			return err
		}
		select {
		case <-time.After(waiting):
		case <-ctx.Done():
			return fmt.Errorf("after %s: %w", *timeout, last)
		}
	}
}

// notYet is that something has another state than the one that is waited for.
type notYet struct{ text string }

func (e *notYet) Error() string { return "not yet: " + e.text }

// look looks whether what is waited for is there. The error says what is there instead.
func look(ctx context.Context, t stdio, keyFile string, settled bool, instance, order, status string) error {
	c, _, err := t.running(keyFile)
	if err != nil {
		return err
	}
	switch {
	case settled:
		resp, err := c.api.Settle(ctx, &sandboxapi.SettleParams{Timeout: "60s"})
		_, err = read[sandboxapi.Clock](c, resp, err)
		return err
	case instance != "":
		resp, err := c.api.GetInstance(ctx, instance, &sandboxapi.GetInstanceParams{})
		i, err := read[sandboxapi.Instance](c, resp, err)
		if err == nil && (string(i.Status) != status || i.CallsPending > 0) {
			err = &notYet{fmt.Sprintf("the instance is %s, with %d calls under way", i.Status, i.CallsPending)}
		}
		return err
	case order != "":
		resp, err := c.api.GetOrder(ctx, order)
		o, err := read[sandboxapi.OrderDetails](c, resp, err)
		if err == nil && string(o.Order.Status) != status {
			err = &notYet{fmt.Sprintf("the order is %s", o.Order.Status)}
		}
		return err
	}
	resp, err := c.api.GetStatus(ctx)
	_, err = read[sandboxapi.Status](c, resp, err)
	return err
}

func doctor(ctx context.Context, t stdio, args []string) error {
	fs := newFlags("doctor", t.err, "doctor [--seller ID] [--provider URL] [--v1] [--json]")
	keyFile := keysFlag(fs)
	e := sandboxapi.Examination{}
	fs.StringVar(&e.ProductionAddress, "provider", "", "the production address to examine, a `URL` (default: where the seller's ISV is called)")
	fs.StringVar(&e.SellerID, "seller", "", "whose ISV it is, and whose key signs, by `id` (default: the demo seller, or whose token it is)")
	v1 := fs.Bool("v1", false, "speak access interface V1")
	asJSON := fs.Bool("json", false, "print the answer as it came")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return misuse("doctor takes no argument %q", rest[0])
	}
	if *v1 {
		e.Access = sandboxapi.ExamineV1
	}
	c, _, err := t.running(*keyFile)
	if err != nil {
		return err
	}
	c.asJSON = *asJSON
	resp, err := c.api.Examine(ctx, e)
	d, err := read[sandboxapi.Diagnosis](c, resp, err)
	if err != nil {
		return err
	}
	if !*asJSON {
		for _, f := range d.Findings {
			_, _ = fmt.Fprintf(t.out, "%-7s  %s: %s\n", f.Severity, f.About, f.Found)
			if f.Means != "" {
				_, _ = fmt.Fprintf(t.out, "         it means: %s\n         mend it:  %s\n", f.Means, f.Mend)
			}
		}
		_, _ = fmt.Fprintf(t.out, "%d wrong, %d warnings\n", d.Wrong, d.Warnings)
	}
	if d.Wrong > 0 {
		return &exitError{1}
	}
	return nil
}

// forISV are the variables that an ISV wants. The control API is not for it.
var forISV = []string{envMarketURL, envBaseKey, envKitKey, envGeneralKey, envLicenseKey, envAK, envSK, envLoginPage, envAuthCA}

func env(_ context.Context, t stdio, args []string) error {
	fs := newFlags("env", t.err, "env [--shell sh|fish|powershell|docker|json]")
	keyFile := keysFlag(fs)
	shell := fs.String("shell", "sh", "for `whom`: sh (bash, zsh), fish, powershell, docker (an --env-file), json")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return misuse("env takes no argument %q", rest[0])
	}
	write, ok := shells[*shell]
	if !ok {
		return misuse("env: no shell %q; expected sh, fish, powershell, docker or json", *shell)
	}
	get, err := t.settings(*keyFile)
	if err != nil {
		return err
	}
	var values [][2]string
	for _, name := range forISV {
		if v := get(name); v != "" {
			values = append(values, [2]string{name, v})
		}
	}
	if len(values) == 0 {
		return &hintError{fmt.Errorf("no keys are known: no key file %s", *keyFile), "start a sandbox with isv-sandbox serve, or name its key file with --keys"}
	}
	text, err := write(values)
	if err != nil {
		return err
	}
	_, err = io.WriteString(t.out, text)
	return err
}

func sign(ctx context.Context, t stdio, args []string) error {
	fs := newFlags("sign", t.err, "sign --attempt N | [--class base|kit|general|license] [--v1] URL <body")
	keyFile := keysFlag(fs)
	attempt := fs.Int64("attempt", 0, "`number` of an exchange in the journal to send again")
	class := fs.String("class", "base", "interface `class` whose key signs: base, kit, general, license")
	v1 := fs.Bool("v1", false, "sign as access interface V1 does; a base call has no body but its parameters in the URL")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	variable, ok := map[string]string{"base": envBaseKey, "kit": envKitKey, "general": envGeneralKey, "license": envLicenseKey}[*class]
	switch {
	case !ok:
		return misuse("sign: no class %q; expected base, kit, general or license", *class)
	case *attempt != 0 && len(rest) > 0, *attempt == 0 && len(rest) != 1:
		return misuse("sign: expected --attempt N or a URL")
	}
	var r curl.Request
	if *attempt != 0 {
		r, err = t.attempt(ctx, *keyFile, *attempt)
	} else {
		r, err = t.request(rest[0], *class, variable, *v1)
	}
	if err != nil {
		return err
	}
	get, err := t.settings(*keyFile)
	if err != nil {
		return err
	}
	key := get(r.KeyName())
	if key == "" {
		return &hintError{fmt.Errorf("the key is not known: %s is neither set nor in the key file %s", r.KeyName(), *keyFile), "name the key file with --keys"}
	}
	line, err := r.SignedLine(key, time.Now())
	if err != nil {
		return fmt.Errorf("cannot sign it: %w", err)
	}
	_, err = fmt.Fprintln(t.out, line)
	return err
}

// attempt is an exchange of the journal.
func (t stdio) attempt(ctx context.Context, keyFile string, id int64) (curl.Request, error) {
	c, _, err := t.running(keyFile)
	if err != nil {
		return curl.Request{}, err
	}
	resp, err := c.api.GetAttempt(ctx, id)
	a, err := read[sandboxapi.Attempt](c, resp, err)
	if err == nil && a.URL == "" {
		err = fmt.Errorf("attempt %d was never sent", id)
	}
	return curl.Of(a.Activity, a.Method, a.URL, a.RequestBody), err
}

// maxSigned is more than any call has.
const maxSigned = 8 << 20

// request is a call to an address, with the body from the standard input.
func (t stdio) request(address, class, variable string, v1 bool) (curl.Request, error) {
	if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		return curl.Request{}, misuse("sign: expected an http or https URL")
	}
	r := curl.Request{URL: address, KeyVariable: variable}
	switch {
	case v1 && class == "base":
		r.Scheme = curl.V1Query
		return r, nil
	case v1 && class == "kit":
		r.Scheme, r.KeyVariable = curl.V1Body, envBaseKey // V1 has one key for all
	case v1:
		return r, misuse("sign: access interface V1 has the classes base and kit only")
	case class == "kit":
		r.Scheme = curl.Kit
	}
	body, err := io.ReadAll(io.LimitReader(t.in, maxSigned+1))
	switch {
	case err != nil:
		return r, fmt.Errorf("read the body: %w", err)
	case len(body) > maxSigned:
		return r, fmt.Errorf("the body is longer than %d bytes", maxSigned)
	case len(body) == 0:
		return r, misuse("sign: there is no body; give it on the standard input")
	}
	r.Body = string(body)
	return r, nil
}
