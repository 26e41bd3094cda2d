package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/sandbox/mistyped"
)

// Exit codes beyond those of the verdicts.
const (
	exitOK         = 0
	exitNot        = 1
	exitUnjudgable = 2
)

// terminal is what a command has to do with: arguments come in, data goes to out, talk to err.
type terminal struct {
	out, err io.Writer
	getenv   func(string) string
}

// verb is one word behind isv-conformance.
type verb struct {
	name, synopsis, about string
	run                   func(ctx context.Context, t terminal, args []string) int
}

func commands() []verb {
	return []verb{
		{"run", "--target URL --market-listen ADDRESS [flags]", "judge an ISV that is running", judge},
		{"chaos", "--target URL --market-listen ADDRESS [flags]", "tell the ISV a long story in which much goes wrong, and look how it ended", confuse},
		{"list", "[--json] [flags that select]", "show every check, its requirement and level", list},
		{"explain", "ID", "tell about a check, a requirement or an ambiguity: the rule, its source, why, how to mend", explain},
		{"replay", "REPORT CHECK-ID [--market-listen ADDRESS] [flags]", "send the requests of a failed check again, signed afresh, and judge it anew", replay},
		{"keygen", "--key FILE [--public-key FILE]", "make a key pair to sign verdicts with", keygen},
		{"attest", "--report FILE --key FILE --issuer NAME [flags]", "sign the verdict of a report", attestation},
		{"verify", "--attestation FILE --report FILE --public-key FILE [--against FILE]", "check a signed verdict offline, and compare it with an earlier one", verify},
		{"readiness", "--market NAME --category C --profile FILE", "tell whether you may list on a market, and what it costs; readiness --help tells more", ready},
	}
}

const about = `isv-conformance judges whether an ISV's production address does what the marketplace's contract asks of it.

`

const usage = `
While it runs it is the marketplace: the ISV's order queries and usage pushes must go to --market-listen. Start the ISV with the
same keys and pointed there, then run it:

  export ISVKIT_BASE_KEY=... ISVKIT_AK=... ISVKIT_SK=...
  ISVKIT_MARKET_URL=http://127.0.0.1:8480 ./your-isv &
  isv-conformance run --target http://127.0.0.1:9000/saasproduce --market-listen 127.0.0.1:8480 --charging period

Exit code: 0 conformant, 1 not conformant, 2 could not judge.

Flags of run:
`

func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	t := terminal{stdout, stderr, getenv}
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	expected := strings.Join(names, ", ")
	if len(args) == 0 {
		return t.refuse("no command is given, expected one of "+expected, "isv-conformance --help shows how it is used")
	}
	switch args[0] {
	case "--version", "-version":
		_, _ = fmt.Fprintf(stdout, "isv-conformance %s\n", conformance.Version)
		return exitOK
	case "--help", "-help", "-h", "help":
		help(stdout)
		return exitOK
	}
	if n := slices.Index(names, args[0]); n >= 0 {
		return commands()[n].run(ctx, t, args[1:])
	}
	if strings.HasPrefix(args[0], "-") {
		return t.refuse(fmt.Sprintf("no command is given before %s, expected one of %s", args[0], expected), "isv-conformance --help shows how it is used")
	}
	if near := mistyped.Name(args[0], names, mistyped.Third); near != "" {
		expected = near + "? There are " + expected
		return t.refuse(fmt.Sprintf("unknown command %q; did you mean %s", args[0], expected), "isv-conformance --help shows how it is used")
	}
	return t.refuse(fmt.Sprintf("unknown command %q, expected one of %s", args[0], expected), "isv-conformance --help shows how it is used")
}

func (t terminal) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.err, "isv-conformance: "+format+"\n", args...)
}

func (t terminal) refuse(problem, hint string) int {
	t.say("error: %s", problem)
	if hint != "" {
		t.say("hint: %s", hint)
	}
	return exitUnjudgable
}

func help(w io.Writer) {
	_, _ = io.WriteString(w, about)
	for _, c := range commands() {
		_, _ = fmt.Fprintf(w, "  isv-conformance %s %s\n      %s\n", c.name, c.synopsis, c.about)
	}
	_, _ = fmt.Fprintf(w, "  isv-conformance --version\n%s", usage)
	flags := (&judging{}).flags()
	flags.VisitAll(func(f *flag.Flag) { printFlag(w, f) })
}

func printFlag(w io.Writer, f *flag.Flag) {
	name, text := flag.UnquoteUsage(f)
	_, _ = fmt.Fprintf(w, "  --%-28s %s\n", strings.TrimSpace(f.Name+" "+name), text)
}

// quietFlags is a set that says nothing by itself.
func quietFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return flags
}

// parse reads the flags of a command and the arguments besides, which are at most as many as it has names for, and by default as many. If
// done, the command is over, with this exit code.
func (t terminal) parse(flags *flag.FlagSet, args []string, names ...string) (rest []string, code int, done bool) {
	c := commands()[slices.IndexFunc(commands(), func(c verb) bool { return c.name == flags.Name() })]
	line := "isv-conformance " + c.name + " " + c.synopsis
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				if c.name == "run" {
					help(t.out)
				} else {
					_, _ = fmt.Fprintf(t.out, "%s\n\n%s\n\n", line, c.about)
					flags.VisitAll(func(f *flag.Flag) { printFlag(t.out, f) })
				}
				return nil, exitOK, true
			}
			return nil, t.refuse(mistyped.Flag(flags, err, mistyped.Third), line+"; isv-conformance "+c.name+" --help shows the flags"), true
		}
		if flags.NArg() == 0 {
			break
		}
		// Flags may stand behind the arguments, too.
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
	switch {
	case len(rest) > len(names):
		return nil, t.refuse(fmt.Sprintf("unexpected argument %q", rest[len(names)]), "flags start with --; lists are separated by commas without blanks; "+line), true
	case len(rest) < len(names):
		return nil, t.refuse("no "+names[len(rest)]+" is given", line), true
	}
	return rest, 0, false
}

// commaList is a flag with a list; it may be given more than once.
type commaList []string

func (l *commaList) String() string { return strings.Join(*l, ",") }

// Set adds entries.
func (l *commaList) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			return errors.New("an entry is empty")
		}
		*l = append(*l, part)
	}
	return nil
}
