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
	"cmp"
	"context"
	"crypto/rsa"
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

	"github.com/isvkit/isvkit/conformance/internal/cause"
	"github.com/isvkit/isvkit/conformance/internal/selection"
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
	// Planned is a check of a run before it runs.
	Planned = selection.Entry
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

	// Run and Skip are patterns of check ids and requirement ids, in which * stands for any characters, such as signing/* or NEW-3.
	// Default: everything that applies is run.
	Run, Skip []string
	// KnownFailing are patterns of checks that are known to fail. They are run and must fail; one that passes makes the verdict not
	// conformant, so that the list does not outlive its reasons.
	KnownFailing []string
	// Only are ids of checks to run, as of those that failed in an earlier report. Default: nil, which is all.
	Only []string
	// Level is must or should: what fails below it is a warning and does not change the verdict. Default: must.
	Level string
	// Readings are entries of the register of ambiguities to be read in another way than usual, as TIMESTAMP-UNIT=seconds. What the
	// marketplace of the run sends follows them, where they are about that; a check that rests on the usual reading warns and never fails.
	Readings []string
	// Build is what the target is called in the report, such as a version or a commit. Default: nothing.
	Build string

	// Chaos, if set, lets the adversary play once the checks have ended. Default: it does not.
	Chaos *Chaos

	// Progress, if set, is told after each check how many of those that apply have ended. It is called from several goroutines, one at a
	// time.
	Progress func(done, all int)

	// UsageWait is how long to keep an on-demand or package instance open and wait for a usage push. Default: 0, do not wait.
	UsageWait time.Duration
	// UsageRetry is the time within which a push that was refused must come again. Where UsageWait is shorter, a push that does not come is
	// no failure. Default: 10 minutes, which is ours.
	UsageRetry time.Duration
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
type UsageError struct {
	Problem string
	Option  string // the option that it is about, by the name of its flag, such as "target"; empty if it is about none in particular
}

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

func badOption(option, format string, args ...any) error {
	return &UsageError{Problem: fmt.Sprintf(format, args...), Option: option}
}

// Validate says what is wrong with the options, as a *[UsageError], before anything is done.
func (o *Options) Validate() error {
	bad := badOption
	if o.Target == "" {
		return bad("target", "no target is given, expected the production address of the ISV")
	}
	targets := append([]string{o.Target}, o.Replicas...)
	for n, target := range targets {
		u, err := url.Parse(target)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			return bad("target", "the target %q is no address, expected something like http://localhost:9000/saasproduce", target)
		case u.Fragment != "" || u.User != nil:
			return bad("target", "a target has a fragment or a user in it, expected a plain address such as http://localhost:9000/saasproduce")
		case slices.Contains(targets[:n], target):
			return bad("target", "the target %q is given twice, expected the address of another process", target)
		}
	}
	switch {
	case o.BaseKey == "":
		return bad("base-key", "no base key is given, expected the access key that the ISV was given")
	case o.AK == "" || o.SK == "":
		return bad("ak", "no AK and SK are given, expected those that the ISV signs its requests with")
	case o.MarketListen == "" && o.MarketListener == nil:
		return bad("market-listen", "no address for the marketplace is given, expected one such as 127.0.0.1:8480")
	case o.UsageWait < 0 || o.UsageRetry < 0 || o.Timeout < 0 || o.AnswerLimit < 0 || o.ReadyLimit < 0 || o.Parallel < 0:
		return bad("", "a time or number is negative, expected 0 (for the default) or more")
	}
	if err := o.validateSelection(); err != nil {
		return err
	}
	if slices.Contains(o.With, suite.OrderNotify) && o.GeneralKey == "" {
		return bad("general-key", "the capability order-notify needs the key of the general class, which is not given")
	}
	if err := o.validateKit(); err != nil {
		return err
	}
	if err := o.Chaos.validate(); err != nil {
		return err
	}
	plan, err := o.plan()
	if err != nil {
		return bad("", "%v", err)
	}
	if plan.Applying() == 0 && o.Chaos == nil {
		return bad("", "no check is left to run: what was selected does not apply to the charging modes and capabilities that were given")
	}
	if o.UsageWait > 0 && !slices.Contains(o.Charging, suite.OnDemand) && !slices.Contains(o.Charging, suite.Package) {
		return bad("usage-wait", "there is nothing to wait for: usage is pushed for the charging modes on-demand and package only")
	}
	return nil
}

// Plan lists the checks that a run with these options has, in their order, and says which of them apply. It needs neither a target nor keys.
func Plan(o Options) ([]Planned, error) {
	if err := o.validateSelection(); err != nil {
		return nil, err
	}
	plan, err := o.plan()
	if err != nil {
		return nil, badOption("", "%v", err)
	}
	return plan.Entries, nil
}

// plan says which checks there will be.
func (o *Options) plan() (*selection.Plan, error) {
	rules, err := requirements.Load()
	if err != nil {
		return nil, err
	}
	full := o.withDefaults()
	plan, err := selection.Make(suite.All(), rules, selection.Wish{
		Charging: full.Charging, With: full.With, Replicas: o.Replicas, UsageWait: o.UsageWait, Run: o.Run, Skip: o.Skip, KnownFailing: o.KnownFailing, Only: o.Only, Readings: o.Readings,
	})
	if err != nil {
		return nil, err
	}
	if o.Chaos != nil && o.Chaos.Alone {
		plan.NotSelected, plan.Entries = plan.NotSelected+len(plan.Entries), nil
	}
	return plan, nil
}

// validateSelection is Validate for what names charging modes, capabilities and a level.
func (o *Options) validateSelection() error {
	bad := badOption
	for _, list := range []struct {
		flag, what   string
		given, known []string
	}{{"charging", "charging mode", o.Charging, suite.Modes()}, {"with", "capability", o.With, suite.Capabilities()}} {
		for _, g := range list.given {
			if !slices.Contains(list.known, g) {
				return bad(list.flag, "unknown %s %q, expected %s", list.what, g, strings.Join(list.known, ", "))
			}
		}
	}
	switch o.Level {
	case "", report.LevelMust, report.LevelShould:
	default:
		return bad("level", "unknown level %q, expected must or should", o.Level)
	}
	return nil
}

// validateKit is Validate for the keys of kit and licence calls.
func (o *Options) validateKit() error {
	bad := badOption
	if slices.Contains(o.With, suite.Licences) && o.LicenseKey == "" {
		return bad("license-key", "the capability license needs the key of the license class, which is not given")
	}
	if !slices.Contains(o.With, suite.Kit) {
		return nil
	}
	switch {
	case o.KitKey == "":
		return bad("kit-key", "the capability kit needs the key of the kit class, which is not given")
	case o.KitPublicKey == "":
		return bad("kit-public-key", "the capability kit needs the public key that client secrets are encrypted with, which is not given")
	}
	if _, err := secret.ParsePublicKey(o.KitPublicKey); err != nil {
		return bad("kit-public-key", "the public key of the kit cannot be read, expected an RSA key in PEM, as `openssl rsa -pubout` writes it: %v", err)
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
	if o.Level == "" {
		o.Level = report.LevelMust
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	if o.AnswerLimit == 0 {
		o.AnswerLimit = 20 * time.Second
	}
	if o.UsageRetry == 0 {
		o.UsageRetry = 10 * time.Minute
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
func Run(ctx context.Context, opts Options) (*Report, error) { return run(ctx, opts, nil) }

// run is Run with something to do before the checks.
func run(ctx context.Context, opts Options, before func(context.Context, *suite.Env) error) (*Report, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	plan, err := opts.plan()
	if err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()

	env := (&suite.Env{
		Target: opts.Target, Replicas: opts.Replicas, Seed: opts.Seed, BaseKey: opts.BaseKey, GeneralKey: opts.GeneralKey, Client: opts.Client,
		KitKey: opts.KitKey, KitPublicKey: opts.publicKey(), V1Key: opts.V1Key, LicenseKey: opts.LicenseKey, SK: opts.SK,
		Charging: opts.Charging, With: opts.With, Readings: plan.Readings,
		AnswerLimit: opts.AnswerLimit, ReadyLimit: opts.ReadyLimit, UsageWait: opts.UsageWait, UsageRetry: opts.UsageRetry, PollEvery: 100 * time.Millisecond,
	}).Open()

	var ours atomic.Pointer[string]
	closeMarket, err := openMarket(ctx, &opts, env, &ours)
	if err != nil {
		return nil, err
	}
	defer closeMarket()
	recorded := *opts.Client
	recorded.Transport = suite.Recording(recorded.Transport)
	env.Client = &recorded
	if err := env.Reach(ctx); err != nil {
		return nil, &UnjudgeableError{
			Err:  fmt.Errorf("no HTTP answer from %s: %w", opts.Target, err),
			Hint: "start the ISV first, pointed at the marketplace of this run, " + env.MarketURL + ", and check the address and the port",
		}
	}

	if before != nil {
		if err := before(ctx, env); err != nil {
			return nil, err
		}
	}
	r := begin(opts, started)
	r.NotSelected = plan.NotSelected
	r.Checks = append(runChecks(ctx, env, &opts, plan), opts.adversary(ctx, env)...)
	r.DurationMS = time.Since(started).Milliseconds()
	if problem := ours.Load(); problem != nil {
		r.Problem = *problem
	}
	r.Hide(opts.secrets())
	r.Judge()
	if opts.Hold != nil {
		opts.Hold(r)
	}
	return r, nil
}

func begin(opts Options, started time.Time) *Report {
	return &Report{
		Target: opts.Target, StartedAt: started.UTC().Truncate(time.Millisecond), SuiteVersion: Version, ContractVersion: contractVersion(),
		Charging: opts.Charging, With: opts.With, Level: opts.Level, Readings: opts.Readings,
		Replicas: opts.Replicas, Seed: opts.Seed, Build: opts.Build, Chaos: opts.Chaos.told(opts.Seed), Checks: []report.Check{},
	}
}

// Unjudged is the report of a run that could not begin, for programs that expect one in any case.
func Unjudged(opts Options, problem error) *Report {
	r := begin(opts.withDefaults(), time.Now())
	r.Problem = problem.Error()
	r.Hide(opts.secrets())
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
func runChecks(ctx context.Context, env *suite.Env, opts *Options, plan *selection.Plan) []report.Check {
	results := make([]report.Check, len(plan.Entries))
	var mu sync.Mutex
	done, all := 0, plan.Applying()
	run := func(n int) {
		e := &plan.Entries[n]
		result := suite.Result{Status: suite.NotApplicable, Messages: []string{e.Reason}}
		switch {
		case e.Reason != "":
		case ctx.Err() != nil:
			result = suite.Result{Status: suite.Error, Messages: []string{suite.OutOfTime(ctx)}}
		default:
			result = suite.Execute(ctx, env, &e.Check, e.Mode)
		}
		results[n] = told(e, result)
		if opts.Progress != nil && e.Reason == "" {
			mu.Lock()
			defer mu.Unlock()
			done++
			opts.Progress(done, all)
		}
	}
	each := func(parallel int, which func(*suite.Check) bool) {
		var wg sync.WaitGroup
		slots := make(chan struct{}, parallel)
		for n := range plan.Entries {
			if !which(&plan.Entries[n].Check) {
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
	each(opts.Parallel, func(c *suite.Check) bool { return !c.Alone && !c.After })
	each(1, func(c *suite.Check) bool { return c.Alone && !c.After })
	if slices.ContainsFunc(plan.Entries, func(e selection.Entry) bool { return e.Reason == "" && e.Check.JudgesUsage() }) {
		env.AwaitUsage(ctx)
	}
	if plan.NotSelected > 0 && slices.ContainsFunc(plan.Entries, func(e selection.Entry) bool { return e.Check.After && e.Reason == "" }) {
		env.Warm(ctx)
	}
	each(opts.Parallel, func(c *suite.Check) bool { return c.After })
	return results
}

// told is a check as the report has it.
func told(e *selection.Entry, result suite.Result) report.Check {
	c := report.Check{
		ID: e.Check.ID, Requirement: e.Check.Requirement, Level: e.Rule.Level, Title: e.Check.Title, Status: result.Status,
		Rule: e.Rule.Text, Source: append([]string{}, e.Rule.Source...),
		Messages: append([]string{}, result.Messages...), Known: e.Known, Contested: e.Contested,
		Curl: result.Curl, Attempts: []report.Attempt{}, AttemptsLeft: result.Left, DurationMS: result.Duration.Milliseconds(),
	}
	if len(c.Curl) > report.MostCurl {
		c.Curl = ""
	}
	for _, a := range result.Attempts {
		c.Attempts = append(c.Attempts, report.NewAttempt(a))
	}
	if result.Status == suite.Fail {
		c.Cause, c.Why, c.Mend = cmp.Or(result.Cause, cause.Of(result.Attempts)), e.Rule.Why, e.Rule.Mend
		c.Again = report.NewAgain(result.Requests, result.Orders)
	}
	return c
}

// secrets are what no report may show.
func (o *Options) secrets() []string {
	return []string{o.BaseKey, o.GeneralKey, o.KitKey, o.V1Key, o.LicenseKey, o.SK}
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
