package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/internal/selection"
	"github.com/isvkit/isvkit/conformance/report"
	"github.com/isvkit/isvkit/sandbox/keyfile"
)

// selecting are the flags that say which checks a run has.
type selecting struct {
	opts         *conformance.Options
	knownFailing string // file
	rerun        string // file
}

func (s *selecting) bind(flags *flag.FlagSet) {
	flags.Var((*commaList)(&s.opts.Charging), "charging", "`MODES` the products are sold in, comma-separated: period, one-time, on-demand, package; default: period")
	flags.Var((*commaList)(&s.opts.With), "with", "`CAPABILITIES` the ISV has, comma-separated: upgrade, change-check, order-notify, kit, v1, license; default: none")
	flags.Var((*commaList)(&s.opts.Run), "run", "`PATTERNS` of check ids and requirement ids to run, comma-separated, such as signing/*,NEW-3; default: all")
	flags.Var((*commaList)(&s.opts.Skip), "skip", "`PATTERNS` of check ids and requirement ids to leave out")
	flags.StringVar(&s.knownFailing, "known-failing", "", "`FILE` with a pattern a line of checks that are known to fail; they run, and must fail")
	flags.StringVar(&s.rerun, "rerun", "", "`REPORT` in JSON: run what did not pass in it, the adversary's story too, with its charging modes and capabilities unless others are given")
	flags.Var((*commaList)(&s.opts.Readings), "reading", "`AMBIGUITY=READING`: read an entry of the register in another way; what rests on the usual one warns")
	flags.StringVar(&s.opts.Level, "level", report.LevelMust, "`LEVEL` that decides the verdict: must or should; what fails below it is a warning")
}

// load reads the files that the flags name.
func (s *selecting) load() error {
	if s.knownFailing != "" {
		text, err := os.ReadFile(s.knownFailing)
		if err != nil {
			return fmt.Errorf("--known-failing: %w", err)
		}
		s.opts.KnownFailing = selection.List(string(text))
	}
	if s.rerun == "" {
		return nil
	}
	r, err := readReport(s.rerun)
	if err != nil {
		return fmt.Errorf("--rerun: %w", err)
	}
	s.opts.Only = []string{}
	for _, c := range r.Checks {
		if c.Rerun() {
			s.opts.Only = append(s.opts.Only, c.ID)
		}
	}
	if s.opts.Chaos, err = conformance.Again(r); err != nil {
		return fmt.Errorf("--rerun: %s: %w", s.rerun, err)
	}
	if s.opts.Chaos != nil {
		s.opts.Only = slices.DeleteFunc(s.opts.Only, func(id string) bool { return strings.HasPrefix(id, "chaos/") })
		s.opts.Chaos.Alone = len(s.opts.Only) == 0
	}
	if len(s.opts.Only) == 0 && s.opts.Chaos == nil {
		return fmt.Errorf("--rerun: everything passed in %s, there is nothing to run again", s.rerun)
	}
	if len(s.opts.Charging) == 0 {
		s.opts.Charging = r.Charging
	}
	if len(s.opts.With) == 0 {
		s.opts.With = r.With
	}
	return nil
}

// keys are the flags of the keys. A flag goes before the environment, and that before the file.
type keys struct {
	opts       *conformance.Options
	file       string
	publicFile string
}

type keyFlag struct {
	flag, variable, text string
	value                *string
}

func (k *keys) all() []keyFlag {
	return []keyFlag{
		{"base-key", "ISVKIT_BASE_KEY", "`KEY` of the base class", &k.opts.BaseKey},
		{"general-key", "ISVKIT_GENERAL_KEY", "`KEY` of the general class, for order-notify", &k.opts.GeneralKey},
		{"kit-key", "ISVKIT_KIT_KEY", "`KEY` of the kit class, for kit", &k.opts.KitKey},
		{"v1-key", "ISVKIT_V1_KEY", "`KEY` of the access interface V1.0, for v1; without it, the base key", &k.opts.V1Key},
		{"license-key", "ISVKIT_LICENSE_KEY", "`KEY` of the license class, for license", &k.opts.LicenseKey},
		{"ak", "ISVKIT_AK", "`AK` that the ISV signs with", &k.opts.AK},
		{"sk", "ISVKIT_SK", "`SK` that the ISV signs with", &k.opts.SK},
	}
}

func (k *keys) bind(flags *flag.FlagSet) {
	for _, f := range k.all() {
		flags.StringVar(f.value, f.flag, "", f.text+"; default: "+f.variable)
	}
	flags.StringVar(&k.publicFile, "kit-public-key", "", "`FILE` with the public RSA key of the kit in PEM, which client secrets are encrypted with, for kit")
	flags.StringVar(&k.file, "keys", "", "key `FILE` of a sandbox, for keys that neither a flag nor the environment gives")
}

func (k *keys) load(flags *flag.FlagSet, getenv func(string) string) error {
	file := map[string]string{}
	if k.file != "" {
		text, err := os.ReadFile(k.file)
		if err != nil {
			return fmt.Errorf("--keys: %w", err)
		}
		if file, err = keyfile.Parse(string(text)); err != nil {
			return fmt.Errorf("--keys: %s, %w", k.file, err)
		}
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, f := range k.all() {
		if given[f.flag] {
			continue
		}
		if *f.value = getenv(f.variable); *f.value == "" {
			*f.value = file[f.variable]
		}
	}
	if k.publicFile == "" {
		return nil
	}
	text, err := os.ReadFile(k.publicFile)
	if err != nil {
		return fmt.Errorf("--kit-public-key: %w", err)
	}
	k.opts.KitPublicKey = string(text)
	return nil
}

// judging is the command run, and the command chaos, which is a run without the checks of the suite.
type judging struct {
	name    string // default: run
	opts    conformance.Options
	targets addresses
	hold    bool
	keys
	selecting
	outputs
	adversary
}

func (j *judging) flags() *flag.FlagSet {
	j.keys.opts, j.selecting.opts = &j.opts, &j.opts
	flags := quietFlags(cmp.Or(j.name, "run"))
	flags.Var(&j.targets, "target", "`URL` of the ISV's production address; again for each further process of the same ISV")
	flags.StringVar(&j.opts.MarketListen, "market-listen", "", "`ADDRESS` at which this program is the marketplace; the ISV must be pointed there")
	flags.StringVar(&j.opts.Build, "build", "", "`ID` of what is judged, such as a version or a commit, for the report")
	flags.DurationVar(&j.opts.UsageWait, "usage-wait", 0, "`TIME` to keep an on-demand or package instance open for a usage push; default: 0")
	flags.DurationVar(&j.opts.UsageRetry, "usage-retry", 10*time.Minute, "`TIME` within which a usage push that was refused must come again; where --usage-wait is shorter, one that does not come is no failure; default: 10m")
	flags.DurationVar(&j.opts.Timeout, "timeout", 5*time.Minute, "`TIME` for the whole run; default: 5m")
	flags.Uint64Var(&j.opts.Seed, "seed", 0, "`NUMBER` that the ids of the run are made from, as the report has it; default: another one each time")
	flags.IntVar(&j.opts.Parallel, "parallel", 8, "`NUMBER` of checks that run at a time; default: 8")
	flags.BoolVar(&j.hold, "hold", false, "keep the marketplace open after the report until interrupted, for its curl lines")
	j.keys.bind(flags)
	j.selecting.bind(flags)
	j.outputs.bind(flags)
	j.adversary.bind(flags)
	return flags
}

func judge(ctx context.Context, t terminal, args []string) int {
	return (&judging{name: "run"}).run(ctx, t, args)
}

func (j *judging) run(ctx context.Context, t terminal, args []string) int {
	flags := j.flags()
	if _, code, done := t.parse(flags, args); done {
		return code
	}
	const hint = "isv-conformance --help shows the flags and the variables they default to"
	if err := errors.Join(j.keys.load(flags, t.getenv), j.selecting.load(), j.adversary.load(flags, &j.opts)); err != nil {
		return t.refuse(err.Error(), hint)
	}
	if len(j.targets) > 0 {
		j.opts.Target, j.opts.Replicas = j.targets[0], j.targets[1:]
	}
	if j.opts.UsageRetry <= 0 {
		return t.refuse(fmt.Sprintf("--usage-retry: %v is too short, expected more than 0, such as 90s", j.opts.UsageRetry), hint)
	}
	if j.opts.Parallel < 1 {
		return t.refuse(fmt.Sprintf("--parallel: %d is too few, expected 1 or more", j.opts.Parallel), hint)
	}
	if err := j.opts.Validate(); err != nil {
		return t.refuse(flagged(err), hint)
	}
	if err := j.open(t); err != nil {
		return t.refuse(err.Error(), "choose another file")
	}
	t.say("judging %s, as the marketplace at %s", j.opts.Target, j.opts.MarketListen)
	bar := newProgress(t)
	j.opts.Progress = bar.step
	var written error
	j.opts.Hold = func(r *conformance.Report) {
		bar.end()
		written = errors.Join(j.outputs.write(r), j.adversary.write(t, r, j.text))
		if j.hold && ctx.Err() == nil {
			t.say("the marketplace stays open at %s; interrupt to end", j.opts.MarketListen)
			<-ctx.Done()
		}
	}
	r, err := conformance.Run(ctx, j.opts)
	if err != nil {
		hint := ""
		var unjudgeable *conformance.UnjudgeableError
		if errors.As(err, &unjudgeable) {
			hint = unjudgeable.Hint
		}
		code := t.refuse(fmt.Sprintf("could not judge: %v", err), hint)
		j.text = false // the error says it all
		written = j.outputs.write(conformance.Unjudged(j.opts, err))
		if written == nil {
			return code
		}
	}
	if written != nil {
		return t.refuse(fmt.Sprintf("cannot write the report: %v", written), "")
	}
	return r.Verdict.ExitCode()
}

// flagged names the flag that a usage error is about.
func flagged(err error) string {
	var usage *conformance.UsageError
	if errors.As(err, &usage) && usage.Option != "" {
		return "--" + usage.Option + ": " + usage.Problem
	}
	return err.Error()
}

// addresses is a flag that may be given more than once. Addresses have commas in them, sometimes.
type addresses []string

func (a *addresses) String() string { return strings.Join(*a, " ") }

// Set adds one.
func (a *addresses) Set(text string) error {
	*a = append(*a, text)
	return nil
}
