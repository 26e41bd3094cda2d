package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/openapi/requirements"
)

// Exit codes beyond those of the verdicts.
const (
	exitOK         = 0
	exitUnjudgable = 2
)

const usage = `isv-conformance judges whether an ISV's production address does what the marketplace's contract asks of it.

  isv-conformance run --target URL --market-listen ADDRESS [flags]    judge an ISV that is running
  isv-conformance list [--json]                                       show every check, its requirement and level
  isv-conformance --version

While it runs it is the marketplace: the ISV's order queries and usage pushes must go to --market-listen. Start the ISV with the
same keys and pointed there, then run it:

  export ISVKIT_BASE_KEY=... ISVKIT_AK=... ISVKIT_SK=...
  ISVKIT_MARKET_URL=http://127.0.0.1:8480 ./your-isv &
  isv-conformance run --target http://127.0.0.1:9000/saasproduce --market-listen 127.0.0.1:8480 --charging period

Exit code: 0 conformant, 1 not conformant, 2 could not judge.

Flags of run:
`

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	if len(args) == 0 {
		return refuse(stderr, "no command is given, expected run or list", "isv-conformance --help shows how it is used")
	}
	switch args[0] {
	case "run":
		return judge(ctx, args[1:], stdout, stderr, getenv)
	case "list":
		return list(args[1:], stdout, stderr)
	case "--version", "-version":
		_, _ = fmt.Fprintf(stdout, "isv-conformance %s\n", conformance.Version)
		return exitOK
	case "--help", "-help", "-h", "help":
		help(stdout)
		return exitOK
	default:
		return refuse(stderr, fmt.Sprintf("unknown command %q, expected run or list", args[0]), "isv-conformance --help shows how it is used")
	}
}

func refuse(stderr io.Writer, problem, hint string) int {
	_, _ = fmt.Fprintf(stderr, "isv-conformance: error: %s\n", problem)
	if hint != "" {
		_, _ = fmt.Fprintf(stderr, "isv-conformance: hint: %s\n", hint)
	}
	return exitUnjudgable
}

func help(w io.Writer) {
	var opts conformance.Options
	flags, _, _ := runFlags(&opts, func(string) string { return "" })
	_, _ = io.WriteString(w, usage)
	flags.VisitAll(func(f *flag.Flag) {
		name, text := flag.UnquoteUsage(f)
		_, _ = fmt.Fprintf(w, "  --%-28s %s\n", strings.TrimSpace(f.Name+" "+name), text)
	})
}

// runFlags binds the flags of run.
func runFlags(opts *conformance.Options, getenv func(string) string) (flags *flag.FlagSet, jsonFile *string, hold *bool) {
	flags = flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.StringVar(&opts.Target, "target", "", "`URL` of the ISV's production address")
	flags.StringVar(&opts.MarketListen, "market-listen", "", "`ADDRESS` at which this program is the marketplace; the ISV must be pointed there")
	flags.StringVar(&opts.BaseKey, "base-key", getenv("ISVKIT_BASE_KEY"), "`KEY` of the base class; default: ISVKIT_BASE_KEY")
	flags.StringVar(&opts.GeneralKey, "general-key", getenv("ISVKIT_GENERAL_KEY"), "`KEY` of the general class, for order-notify; default: ISVKIT_GENERAL_KEY")
	flags.StringVar(&opts.AK, "ak", getenv("ISVKIT_AK"), "`AK` that the ISV signs with; default: ISVKIT_AK")
	flags.StringVar(&opts.SK, "sk", getenv("ISVKIT_SK"), "`SK` that the ISV signs with; default: ISVKIT_SK")
	flags.Var((*commaList)(&opts.Charging), "charging", "`MODES` the products are sold in, comma-separated: period, one-time, on-demand, package; default: period")
	flags.Var((*commaList)(&opts.With), "with", "`CAPABILITIES` the ISV has, comma-separated: upgrade, change-check, order-notify, kit, v1, license; default: none")
	flags.DurationVar(&opts.UsageWait, "usage-wait", 0, "`TIME` to keep an on-demand or package instance open for a usage push; default: 0")
	flags.DurationVar(&opts.Timeout, "timeout", 5*time.Minute, "`TIME` for the whole run; default: 5m")
	jsonFile = flags.String("json", "", "`FILE` for the report in JSON; - is the standard output, instead of the text")
	hold = flags.Bool("hold", false, "keep the marketplace open after the report until interrupted, for its curl lines")
	return flags, jsonFile, hold
}

type commaList []string

func (l *commaList) String() string { return strings.Join(*l, ",") }

func (l *commaList) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			return errors.New("an entry is empty")
		}
		*l = append(*l, part)
	}
	return nil
}

func judge(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	var opts conformance.Options
	flags, jsonFile, hold := runFlags(&opts, getenv)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			help(stdout)
			return exitOK
		}
		return refuse(stderr, err.Error(), "isv-conformance --help shows the flags")
	}
	if flags.NArg() > 0 {
		return refuse(stderr, fmt.Sprintf("unexpected argument %q", flags.Arg(0)), "flags start with --; lists are separated by commas without blanks")
	}
	if err := opts.Validate(); err != nil {
		return refuse(stderr, err.Error(), "isv-conformance --help shows the flags and the variables they default to")
	}
	var machine io.WriteCloser // where the report in JSON goes
	switch *jsonFile {
	case "":
	case "-":
		machine = keepOpen{stdout}
	default:
		file, err := os.Create(*jsonFile) // before the work, which takes a while
		if err != nil {
			return refuse(stderr, fmt.Sprintf("cannot write the report: %v", err), "choose another file with --json")
		}
		machine = file
	}
	_, _ = fmt.Fprintf(stderr, "isv-conformance: judging %s, as the marketplace at %s\n", opts.Target, opts.MarketListen)
	var written error
	opts.Hold = func(r *conformance.Report) {
		if *jsonFile != "-" {
			written = r.WriteText(stdout)
		}
		written = errors.Join(written, writeJSON(r, machine))
		if *hold && ctx.Err() == nil {
			_, _ = fmt.Fprintf(stderr, "isv-conformance: the marketplace stays open at %s; interrupt to end\n", opts.MarketListen)
			<-ctx.Done()
		}
	}
	r, err := conformance.Run(ctx, opts)
	if err != nil {
		hint := ""
		var unjudgeable *conformance.UnjudgeableError
		if errors.As(err, &unjudgeable) {
			hint = unjudgeable.Hint
		}
		code := refuse(stderr, fmt.Sprintf("could not judge: %v", err), hint)
		if err := writeJSON(conformance.Unjudged(opts, err), machine); err != nil {
			return refuse(stderr, fmt.Sprintf("cannot write the report: %v", err), "")
		}
		return code
	}
	if written != nil {
		return refuse(stderr, fmt.Sprintf("cannot write the report: %v", written), "")
	}
	return r.Verdict.ExitCode()
}

func writeJSON(r *conformance.Report, w io.WriteCloser) error {
	if w == nil {
		return nil
	}
	return errors.Join(r.WriteJSON(w), w.Close())
}

// keepOpen is the standard output, which is not ours to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// listed is a check as list shows it.
type listed struct {
	ID          string             `json:"id"`
	Requirement string             `json:"requirement"`
	Level       requirements.Level `json:"level"`
	Title       string             `json:"title"`
	Charging    []string           `json:"charging"` // empty: every mode
	Capability  string             `json:"capability"`
	Rule        string             `json:"rule"`
	Source      []string           `json:"source"`
}

func list(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("list", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			help(stdout)
			return exitOK
		}
		return refuse(stderr, err.Error(), "isv-conformance list [--json]")
	}
	if flags.NArg() > 0 {
		return refuse(stderr, fmt.Sprintf("unexpected argument %q", flags.Arg(0)), "isv-conformance list [--json]")
	}
	rules, err := requirements.Load()
	if err != nil {
		return refuse(stderr, err.Error(), "")
	}
	all := []listed{}
	for _, c := range conformance.Checks() {
		rule, _ := rules.Requirement(c.Requirement)
		all = append(all, listed{c.ID, c.Requirement, rule.Level, c.Title, append([]string{}, c.Charging...), c.Capability, rule.Text, rule.Source})
	}
	var b bytes.Buffer
	if *asJSON {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(all)
	} else {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, c := range all {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.ID, c.Requirement, c.Level, c.Title)
		}
		err = w.Flush()
		fmt.Fprintf(&b, "%d checks\n", len(all))
	}
	if err == nil {
		_, err = stdout.Write(b.Bytes())
	}
	if err != nil {
		return refuse(stderr, err.Error(), "")
	}
	return exitOK
}
