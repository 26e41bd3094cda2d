package conformance

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi/requirements"
)

// TestingT is what [Test] needs of a *testing.T. It is an interface of our own so that the package testing, and the flags that it defines,
// stay out of programs.
type TestingT[T any] interface {
	Helper()
	Context() context.Context
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
	Run(name string, f func(T)) bool
}

// Marketplace is what an ISV must be told about the marketplace of the run.
type Marketplace struct {
	URL string // where it asks for orders and pushes usage to
	// The access keys that the calls it gets are signed with, by interface class.
	BaseKey, GeneralKey, KitKey, V1Key, LicenseKey string
	// AK and SK are what it signs its own requests with.
	AK, SK string
}

// Format keeps the keys out of logs.
func (m Marketplace) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{URL:%s keys redacted}", m.URL)
}

// Test judges an ISV inside go test: it serves the handler on a listener of its own, runs the suite against it, and reports each check as
// a subtest that is called like the check. What fails at the level of the run fails its subtest, with the rule, what was seen, why it
// matters, how to mend it and a shell line; a warning is logged; what does not apply is skipped, with the reason.
//
// The handler was made before, so it has its keys and the marketplace's address already: give the same ones as BaseKey, AK and SK, and as
// MarketListen or MarketListener. Use [TestFunc] where the handler can be made for the test; nothing needs to be given then.
//
// Of Target only the path counts, or all of it is a path; default: /saasproduce. The checks run before the subtests report them, several at
// a time, so that go test -run chooses what is reported; Options.Run chooses what is run.
func Test[T TestingT[T]](t T, handler http.Handler, opts Options) {
	t.Helper()
	if handler == nil {
		t.Fatalf("conformance.Test: the handler is nil, expected the one that serves the production address")
		return
	}
	for _, given := range []struct{ name, value string }{{"BaseKey", opts.BaseKey}, {"AK", opts.AK}, {"SK", opts.SK}} {
		if given.value == "" {
			t.Fatalf("conformance.Test: Options.%s is empty, expected the one that the handler was made with; conformance.TestFunc makes up keys and tells them to the ISV", given.name)
			return
		}
	}
	test(t, func(Marketplace) http.Handler { return handler }, opts)
}

// TestFunc is [Test] for an ISV that is made once the marketplace of the run is known. Keys that the options do not give are made up.
func TestFunc[T TestingT[T]](t T, isv func(Marketplace) http.Handler, opts Options) {
	t.Helper()
	test(t, isv, opts)
}

func test[T TestingT[T]](t T, isv func(Marketplace) http.Handler, opts Options) {
	t.Helper()
	r, err := runTest(t.Context(), isv, opts)
	if err != nil {
		t.Fatalf("conformance: could not judge: %v", err)
		return
	}
	rules, err := requirements.Load()
	if err != nil {
		t.Fatalf("conformance: %v", err)
		return
	}
	for n := range r.Checks {
		c := &r.Checks[n]
		t.Run(c.ID, func(t T) {
			t.Helper()
			tell(t, c, rules)
		})
	}
	t.Logf("conformance: %d checks, seed %d, verdict: %s", len(r.Checks), r.Seed, r.Verdict)
	if r.Problem != "" {
		t.Errorf("conformance: %s", r.Problem)
	}
	if r.Verdict == report.Error && r.Counts[suite.Error] == 0 {
		t.Errorf("conformance: no check could be carried out to its end")
	}
}

// tell ends a subtest as its check ended.
func tell[T TestingT[T]](t T, c *report.Check, rules *requirements.Set) {
	t.Helper()
	switch c.Outcome {
	case suite.Pass:
	case suite.Fail:
		t.Errorf("%s", failureText(c, rules))
	case report.UnexpectedPass:
		t.Errorf("it passed although it is in KnownFailing; take it off the list")
	case suite.Error:
		t.Errorf("it could not be judged: %s", strings.Join(c.Messages, "; "))
	case report.Warning:
		t.Logf("a warning, which does not change the verdict\n%s", failureText(c, rules))
	case report.KnownFailing:
		t.Skip("known to fail, and did: " + strings.Join(c.Messages, "; "))
	default: // skip and not applicable
		t.Skip(fmt.Sprintf("%s: %s", strings.ReplaceAll(string(c.Outcome), "-", " "), strings.Join(c.Messages, "; ")))
	}
}

// failureText is all that one needs to mend what a check found.
func failureText(c *report.Check, rules *requirements.Set) string {
	rule, _ := rules.Requirement(c.Requirement)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", c.Requirement, c.Level)
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-5s %s\n", label, text)
		}
	}
	line("rule", rule.Text)
	for _, m := range c.Messages {
		line("seen", m)
	}
	line("note", c.Contested)
	line("why", rule.Why)
	line("mend", rule.Mend)
	line("curl", c.Curl)
	return strings.TrimSuffix(b.String(), "\n")
}

// runTest serves the ISV and judges it.
func runTest(ctx context.Context, isv func(Marketplace) http.Handler, opts Options) (*Report, error) {
	where, err := url.Parse(cmp.Or(opts.Target, "/saasproduce"))
	if err != nil {
		return nil, fmt.Errorf("the option Target %q is no address or path, expected one such as /saasproduce", opts.Target)
	}
	if opts.MarketListener == nil {
		if opts.MarketListener, err = listen(ctx, cmp.Or(opts.MarketListen, "127.0.0.1:0")); err != nil {
			return nil, fmt.Errorf("the marketplace of the run cannot listen: %w", err)
		}
	}
	market := opts.MarketListener
	defer func() { _ = market.Close() }() // Run closes it, unless it refuses the options
	for _, key := range []*string{&opts.BaseKey, &opts.GeneralKey, &opts.KitKey, &opts.LicenseKey, &opts.AK, &opts.SK} {
		if *key == "" {
			*key = madeUpKey()
		}
	}
	opts.V1Key = cmp.Or(opts.V1Key, opts.BaseKey)
	handler := isv(Marketplace{
		URL: "http://" + market.Addr().String(), BaseKey: opts.BaseKey, GeneralKey: opts.GeneralKey, KitKey: opts.KitKey, V1Key: opts.V1Key,
		LicenseKey: opts.LicenseKey, AK: opts.AK, SK: opts.SK,
	})
	if handler == nil {
		return nil, errors.New("the function that makes the ISV returned nil, expected a handler")
	}
	listener, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the ISV cannot listen: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with ErrServerClosed
	}()
	defer func() {
		_ = server.Close()
		<-done
	}()
	where.Scheme, where.Host = "http", listener.Addr().String()
	opts.Target = where.String()
	return Run(ctx, opts)
}

// madeUpKey is a key that nobody has had before.
func madeUpKey() string { return rand.Text() }

func listen(ctx context.Context, address string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
}
