// Package conformance judges whether an ISV's production address does what the contract asks of it.
//
// It plays the marketplace against a running ISV: it signs calls, rightly and wrongly on purpose, answers the ISV's order
// queries and takes its usage pushes, and compares every answer with the rules of requirements.yaml.
//
//	ISV  ◄── calls ─────────────── checks (package suite)
//	 └───── order query, usage ──► marketplace (package sandbox, in this process, at Options.MarketListen)
//
// The command isv-conformance is this package behind flags. The ISV may be written in any language; all it needs is to be told
// the keys and the address of the marketplace.
//
// What it does not do: it judges no TLS and no load.
package conformance

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/conformance/suite"
	"github.com/isvkit/isvkit/openapi"
	"github.com/isvkit/isvkit/openapi/requirements"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sdk/secret"
)

// Version is the version of the suite.
const Version = "0.1.0"

type (
	// Report is the outcome of a run.
	Report = report.Report
	// Check is one entry of the suite.
	Check = suite.Check
)

// Options say whom to judge and how.
type Options struct {
	// Target is the production address of the ISV.
	Target string
	// Replicas are further addresses of the same ISV, each of one of its processes. Calls are repeated there to see whether the processes
	// know of each other.
	Replicas []string
	// Seed chooses the ids of the orders and instances that the run makes up. Two runs with one seed make the same calls, so the ISV has
	// to start afresh for the second one. Default: another one each time.
	Seed uint64
	// BaseKey is the access key of the base class that the ISV was given.
	BaseKey string
	// GeneralKey is the access key of the general class; needed with the capability order-notify only.
	GeneralKey string
	// KitKey is the access key of the kit class, and KitPublicKey the public RSA key that the ISV pasted into the console, in PEM or as
	// Base64 of its SubjectPublicKeyInfo; client secrets are encrypted with it. Both are needed with the capability kit only.
	KitKey, KitPublicKey string
	// V1Key is the access key of the access interface V1.0; used with the capability v1 only. Default: BaseKey.
	V1Key string
	// LicenseKey is the access key of the license class; needed with the capability license only.
	LicenseKey string
	// AK and SK are what the ISV signs its requests to the marketplace with.
	AK, SK string

	// MarketListen is the address at which the marketplace of the run listens, such as 127.0.0.1:8480. The ISV must be
	// pointed there before the run.
	MarketListen string
	// MarketListener is used instead of MarketListen if it is set. It is closed at the end.
	MarketListener net.Listener

	// Charging are the modes that the ISV's products are sold in: period, one-time, on-demand, package. Default: period.
	Charging []string
	// With are optional capabilities of the ISV: upgrade, change-check, order-notify, kit, v1, license. Default: none.
	With []string

	// UsageWait is how long to keep an on-demand or package instance open and wait for a usage push. Default: 0, do not wait.
	UsageWait time.Duration
	// Timeout is the time for the whole run; what is not judged by then becomes an error. Default: 5 minutes.
	Timeout time.Duration
	// AnswerLimit is the time for one answer. Default: 20 s, as the contract says; make it shorter only to test the suite.
	AnswerLimit time.Duration
	// ReadyLimit is the time in which a new instance must become ready. Default: 60 s.
	ReadyLimit time.Duration

	// Hold, if set, is called with the finished report while the marketplace of the run is still open, so that what the report
	// shows can be tried again: a repeated newInstance may make the ISV ask for its order. Run returns after it.
	Hold func(*Report)

	// Parallel is how many checks run at a time. Default: 8.
	Parallel int
	// Client makes the calls. Default: a client that follows no redirects.
	Client *http.Client
	// Logger gets what the marketplace of the run has to say. Default: nothing is logged.
	Logger *slog.Logger
}

// Format keeps the keys out of logs.
func (o Options) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{Target:%s keys redacted}", o.Target)
}

// UsageError says that Options make no sense.
type UsageError struct{ Problem string }

func (e *UsageError) Error() string { return e.Problem }

// UnjudgeableError says why a run could not begin, and what to do about it.
type UnjudgeableError struct {
	Err  error
	Hint string
}

func (e *UnjudgeableError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *UnjudgeableError) Unwrap() error { return e.Err }

// Checks lists every check of the suite.
func Checks() []Check { return suite.All() }

// Validate says what is wrong with the options, as a *[UsageError], before anything is done.
func (o *Options) Validate() error {
	bad := func(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }
	if o.Target == "" {
		return bad("no target is given, expected the production address of the ISV")
	}
	targets := append([]string{o.Target}, o.Replicas...)
	for n, target := range targets {
		u, err := url.Parse(target)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			return bad("the target %q is no address, expected something like http://localhost:9000/saasproduce", target)
		case u.Fragment != "" || u.User != nil:
			return bad("the target %q has a fragment or a user in it, expected a plain address", target)
		case slices.Contains(targets[:n], target):
			return bad("the target %q is given twice, expected the address of another process", target)
		}
	}
	switch {
	case o.BaseKey == "":
		return bad("no base key is given, expected the access key that the ISV was given")
	case o.AK == "" || o.SK == "":
		return bad("no AK and SK are given, expected those that the ISV signs its requests with")
	case o.MarketListen == "" && o.MarketListener == nil:
		return bad("no address for the marketplace is given, expected one such as 127.0.0.1:8480")
	case o.UsageWait < 0 || o.Timeout < 0 || o.AnswerLimit < 0 || o.ReadyLimit < 0 || o.Parallel < 0:
		return bad("a time or number is negative, expected 0 (for the default) or more")
	}
	for what, list := range map[string]struct{ given, known []string }{
		"charging mode": {o.Charging, suite.Modes()},
		"capability":    {o.With, suite.Capabilities()},
	} {
		for _, g := range list.given {
			if !slices.Contains(list.known, g) {
				return bad("unknown %s %q, expected %s", what, g, strings.Join(list.known, ", "))
			}
		}
	}
	if slices.Contains(o.With, suite.OrderNotify) && o.GeneralKey == "" {
		return bad("the capability order-notify needs the key of the general class, which is not given")
	}
	if err := o.validateKit(); err != nil {
		return err
	}
	if o.UsageWait > 0 && !slices.Contains(o.Charging, suite.OnDemand) && !slices.Contains(o.Charging, suite.Package) {
		return bad("there is nothing to wait for: usage is pushed for the charging modes on-demand and package only")
	}
	return nil
}

// validateKit is Validate for the keys of kit and licence calls.
func (o *Options) validateKit() error {
	bad := func(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }
	if slices.Contains(o.With, suite.Licences) && o.LicenseKey == "" {
		return bad("the capability license needs the key of the license class, which is not given")
	}
	if !slices.Contains(o.With, suite.Kit) {
		return nil
	}
	switch {
	case o.KitKey == "":
		return bad("the capability kit needs the key of the kit class, which is not given")
	case o.KitPublicKey == "":
		return bad("the capability kit needs the public key that client secrets are encrypted with, which is not given")
	}
	if _, err := secret.ParsePublicKey(o.KitPublicKey); err != nil {
		return bad("the public key of the kit cannot be read, expected an RSA key in PEM, as `openssl rsa -pubout` writes it: %v", err)
	}
	return nil
}

// publicKey is KitPublicKey; nil where there is none, which Validate has refused if it matters.
func (o *Options) publicKey() *rsa.PublicKey {
	key, err := secret.ParsePublicKey(o.KitPublicKey)
	if err != nil {
		return nil
	}
	return key
}

func (o Options) withDefaults() Options {
	if len(o.Charging) == 0 {
		o.Charging = []string{suite.Period}
	}
	o.Charging = inOrder(o.Charging, suite.Modes())
	o.With = inOrder(o.With, suite.Capabilities())
	if o.V1Key == "" {
		o.V1Key = o.BaseKey
	}
	for o.Seed == 0 {
		o.Seed = rand.Uint64() //nolint:gosec // ids that nobody must guess are no part of it
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.AnswerLimit == 0 {
		o.AnswerLimit = 20 * time.Second
	}
	if o.ReadyLimit == 0 {
		o.ReadyLimit = time.Minute
	}
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	if o.Client == nil {
		o.Client = &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// inOrder gives what stands in list, once, in the order of known.
func inOrder(list, known []string) []string {
	found := []string{}
	for _, k := range known {
		if slices.Contains(list, k) {
			found = append(found, k)
		}
	}
	return found
}

// Run judges an ISV. The error is a *[UsageError] or an *[UnjudgeableError] if the run could not begin; once it has begun, whatever
// happens is in the report.
func Run(ctx context.Context, opts Options) (*Report, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	rules, err := requirements.Load()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()

	env := &suite.Env{
		Target: opts.Target, Replicas: opts.Replicas, Seed: opts.Seed, BaseKey: opts.BaseKey, GeneralKey: opts.GeneralKey, Client: opts.Client,
		KitKey: opts.KitKey, KitPublicKey: opts.publicKey(), V1Key: opts.V1Key, LicenseKey: opts.LicenseKey,
		Charging: opts.Charging, With: opts.With,
		AnswerLimit: opts.AnswerLimit, ReadyLimit: opts.ReadyLimit, UsageWait: opts.UsageWait, PollEvery: 100 * time.Millisecond,
	}
	var ours atomic.Pointer[string]
	closeMarket, err := openMarket(ctx, &opts, env, &ours)
	if err != nil {
		return nil, err
	}
	defer closeMarket()
	if err := env.Reach(ctx); err != nil {
		return nil, &UnjudgeableError{
			Err:  fmt.Errorf("no HTTP answer from %s: %w", opts.Target, err),
			Hint: "start the ISV first, pointed at the marketplace of this run, " + env.MarketURL + ", and check the address and the port",
		}
	}

	r := begin(opts, started)
	r.Checks, err = runChecks(ctx, env, &opts, rules)
	if err != nil {
		return nil, err
	}
	r.DurationMS = time.Since(started).Milliseconds()
	if problem := ours.Load(); problem != nil {
		r.Problem = *problem
	}
	r.Judge()
	if opts.Hold != nil {
		opts.Hold(r)
	}
	return r, nil
}

func begin(opts Options, started time.Time) *Report {
	return &Report{
		Target: opts.Target, StartedAt: started.UTC().Truncate(time.Millisecond), SuiteVersion: Version, ContractVersion: contractVersion(),
		Charging: opts.Charging, With: opts.With, Checks: []report.Check{},
	}
}

// Unjudged is the report of a run that could not begin, for programs that expect one in any case.
func Unjudged(opts Options, problem error) *Report {
	r := begin(opts.withDefaults(), time.Now())
	r.Problem = problem.Error()
	r.Judge()
	return r
}

// openMarket starts the marketplace that the ISV asks for orders. Every answer of its own is compared with the contract, and what is
// not as it says is kept in ours: nobody can be judged by a market that does not keep its own rules.
func openMarket(ctx context.Context, opts *Options, env *suite.Env, ours *atomic.Pointer[string]) (closeAll func(), err error) {
	listener := opts.MarketListener
	if listener == nil {
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", opts.MarketListen)
		if err != nil {
			return nil, &UnjudgeableError{
				Err:  fmt.Errorf("the marketplace cannot listen at %s: %w", opts.MarketListen, err),
				Hint: "choose a free port with --market-listen, and point the ISV at it",
			}
		}
	}
	market, err := sandbox.New(context.WithoutCancel(ctx), sandbox.Config{
		Keys: sandbox.Keys{BaseKey: opts.BaseKey, AK: opts.AK, SK: opts.SK},
		Observe: func(x sandbox.Exchange) {
			if found := x.Violations(); len(found) > 0 {
				problem := fmt.Sprintf("this program's own answer to %s %s is not as the contract says (%s); please report it", x.Method, x.Path, found[0])
				ours.CompareAndSwap(nil, &problem)
			}
			env.Observe(suite.Exchange(x))
		},
		Logger: opts.Logger,
	})
	if err != nil {
		_ = listener.Close()
		return nil, &UnjudgeableError{Err: fmt.Errorf("the marketplace cannot start: %w", err)}
	}
	env.Market = market
	env.MarketURL = "http://" + listener.Addr().String()
	server := &http.Server{Handler: env.Disturbed(market.OpenAPIHandler()), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(opts.Logger.Handler(), slog.LevelWarn)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends with ErrServerClosed
	}()
	return func() {
		_ = server.Close()
		<-done
		_ = market.Close()
	}, nil
}

// runChecks runs what applies, and returns the results in the order of the list.
func runChecks(ctx context.Context, env *suite.Env, opts *Options, rules *requirements.Set) ([]report.Check, error) {
	checks := suite.All()
	results := make([]report.Check, len(checks))
	for n, check := range checks {
		rule, ok := rules.Requirement(check.Requirement)
		if !ok {
			return nil, errors.New("check " + check.ID + " names the unknown requirement " + check.Requirement)
		}
		results[n] = report.Check{ID: check.ID, Requirement: check.Requirement, Level: rule.Level, Title: check.Title, Messages: []string{}}
	}
	run := func(n int) {
		check := &checks[n]
		mode := check.Mode(env.Charging)
		result := suite.Result{Status: suite.NotApplicable}
		switch missing := check.Missing(env); {
		case missing != "":
			result.Messages = []string{missing}
		case ctx.Err() != nil:
			result.Status = suite.Error
			result.Messages = []string{suite.OutOfTime(ctx)}
		default:
			result = suite.Execute(ctx, env, check, mode)
		}
		results[n].Status, results[n].Messages, results[n].Curl = result.Status, append(results[n].Messages, result.Messages...), result.Curl
		results[n].DurationMS = result.Duration.Milliseconds()
	}
	each := func(after bool) {
		var wg sync.WaitGroup
		slots := make(chan struct{}, opts.Parallel)
		for n := range checks {
			if checks[n].After != after {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				run(n)
			})
		}
		wg.Wait()
	}
	each(false)
	env.AwaitUsage(ctx)
	each(true)
	return results, nil
}

var versionLine = regexp.MustCompile(`(?m)^  version: (\S+)$`)

// contractVersion is the version of provider.yaml.
func contractVersion() string {
	text, err := openapi.FS.ReadFile("provider.yaml")
	if err != nil {
		return ""
	}
	if m := versionLine.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}
