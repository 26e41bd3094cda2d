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

	"github.com/isvkit/isvkit/conformance/extension"
	"github.com/isvkit/isvkit/conformance/readiness"
	"github.com/isvkit/isvkit/sandbox/market"
	"github.com/isvkit/isvkit/sandbox/mistyped"
)

const readinessUsage = `isv-conformance readiness tells whether you may list on a marketplace: which conditions hold, which fail and why, which papers are
needed, what it costs up front, and what to do next.

  isv-conformance readiness --init >isv.yaml           write an empty profile; with --market and --category, what these ask for
  isv-conformance readiness --list                     show markets and categories
  isv-conformance readiness --market NAME --category C --profile isv.yaml [flags]

Exit code: 0 ready; 1 not ready: a condition fails or a paper is missing; 2 could not judge: mistakes in the command line or a file, or
nothing fails and the profile does not answer everything.

Flags:
`

// readinessFlags are what the command line of readiness says.
type readinessFlags struct {
	market, profile, report, extension, json, at, policies string
	categories                                             commaList
	initialize, list, schema                               bool
}

func (o *readinessFlags) flags() *flag.FlagSet {
	flags := quietFlags("readiness")
	flags.StringVar(&o.market, "market", "", "`NAME` of the market; --list shows them")
	flags.Var(&o.categories, "category", "`CATEGORIES` to sell in, comma-separated or given several times")
	flags.StringVar(&o.profile, "profile", "", "`FILE` with what you say about yourself")
	flags.StringVar(&o.report, "report", "", "`FILE` of run --json, for markets that ask for the verdict")
	flags.StringVar(&o.extension, "extension", "", "`PACKAGE` of an extension to lint: its folder or .tgz, for markets that list such packages")
	flags.StringVar(&o.json, "json", "", "`FILE` for the result in JSON; - is the standard output, instead of the text")
	flags.StringVar(&o.at, "at", "", "`DAY` for which it is judged, such as 2026-01-31; default: today")
	flags.StringVar(&o.policies, "policies", "", "`FOLDER` with policy documents of your own, besides those that are built in")
	flags.BoolVar(&o.initialize, "init", false, "print an empty profile with a comment for every answer")
	flags.BoolVar(&o.list, "list", false, "print markets and their categories")
	flags.BoolVar(&o.schema, "schema", false, "print the JSON Schema of profiles, for editors")
	return flags
}

// ready is the command readiness.
func ready(_ context.Context, t terminal, args []string) int {
	var o readinessFlags
	flags := o.flags()
	const hint = "isv-conformance readiness --help shows the flags"
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			_, _ = io.WriteString(t.out, readinessUsage)
			flags.VisitAll(func(f *flag.Flag) { printFlag(t.out, f) })
			return exitOK
		}
		return t.refuse(mistyped.Flag(flags, err, mistyped.Third), hint)
	}
	if flags.NArg() > 0 {
		return t.refuse(fmt.Sprintf("unexpected argument %q", flags.Arg(0)), "flags start with --; lists are separated by commas without blanks")
	}
	at := time.Now()
	if o.at != "" {
		day, err := time.Parse(market.DateFormat, o.at)
		if err != nil {
			return t.refuse(fmt.Sprintf("--at is %q, expected a day such as 2026-01-31", o.at), hint)
		}
		at = day.Add(12 * time.Hour) // the same day in every time zone that a market may have
	}
	set := market.Embedded()
	if o.policies != "" {
		more, err := set.With(os.DirFS(o.policies), ".")
		if err != nil {
			return t.refuse(fmt.Sprintf("cannot read the policies in %s: %v", o.policies, err), "sandbox/market/README.md has the form of a policy document")
		}
		set = more
	}
	var out []byte
	var err error
	switch {
	case o.schema:
		out = readiness.Schema(set)
	case o.list:
		out, err = listMarkets(set, at)
	case o.initialize:
		out, err = emptyProfile(set, o, at)
	default:
		return o.judge(t, set, at)
	}
	if err == nil {
		_, err = t.out.Write(out)
	}
	if err != nil {
		return t.refuse(err.Error(), hint)
	}
	return exitOK
}

func listMarkets(set *market.Set, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, name := range set.Names() {
		p, err := set.Load(name, at)
		if err != nil {
			return nil, err
		}
		_, _ = fmt.Fprintf(w, "%s\t\t%s\n", name, p.Name)
		for _, c := range p.Categories {
			about := c.Name
			if !c.Open() {
				about += " (announced, cannot be entered yet)"
			}
			_, _ = fmt.Fprintf(w, "\t%s\t%s\n", c.ID, about)
		}
	}
	err := w.Flush()
	return b.Bytes(), err
}

func emptyProfile(set *market.Set, o readinessFlags, at time.Time) ([]byte, error) {
	if o.market == "" {
		if len(o.categories) > 0 {
			return nil, errors.New("--category is given without --market")
		}
		return []byte(readiness.Template(set, nil, nil)), nil
	}
	p, err := set.Load(o.market, at)
	if err != nil {
		return nil, err
	}
	categories := []string(o.categories)
	for _, id := range categories {
		if _, ok := p.Category(id); !ok {
			return nil, fmt.Errorf("%q is no category of %s; isv-conformance readiness --list shows them", id, o.market)
		}
	}
	if len(categories) == 0 {
		for _, c := range p.Categories {
			categories = append(categories, c.ID)
		}
	}
	return []byte(readiness.Template(set, p, categories)), nil
}

// judge reads what is given, judges, and writes the result.
func (o readinessFlags) judge(t terminal, set *market.Set, at time.Time) int {
	const markets = "isv-conformance readiness --list shows markets and categories"
	switch {
	case o.market == "":
		return t.refuse("no market is given, expected --market with one of "+strings.Join(set.Names(), ", "), markets)
	case o.profile == "":
		return t.refuse("no profile is given, expected --profile FILE", "isv-conformance readiness --init >isv.yaml writes an empty one")
	}
	policy, err := set.Load(o.market, at)
	if err != nil {
		return t.refuse(err.Error(), markets)
	}
	request := readiness.Request{Policy: policy, Categories: o.categories, At: at}
	text, err := readProfile(o.profile)
	if err != nil {
		return t.refuse(fmt.Sprintf("cannot read the profile: %v", err), "isv-conformance readiness --init >isv.yaml writes an empty one")
	}
	if request.Profile, err = readiness.ParseProfile(o.profile, text, set); err != nil {
		return t.refuse(err.Error(), "isv-conformance readiness --init shows what a profile has, --schema is for editors")
	}
	if o.report != "" {
		file, err := os.Open(o.report)
		if err != nil {
			return t.refuse(fmt.Sprintf("cannot read the report: %v", err), "isv-conformance run … --json FILE writes it")
		}
		request.Report, err = readiness.ReadReport(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return t.refuse(fmt.Sprintf("the report %s cannot be taken: %v", o.report, err), "isv-conformance run … --json FILE writes it")
		}
	}
	if o.extension != "" {
		found, err := lintExtension(o.extension)
		if err != nil {
			return t.refuse(fmt.Sprintf("cannot read the extension package: %v", err), "give the package's folder or its .tgz")
		}
		request.Extension = &found
	}
	result, err := readiness.Judge(request)
	if err != nil {
		return t.refuse(err.Error(), markets)
	}
	if o.json != "-" {
		if err := result.WriteText(t.out); err != nil {
			return t.refuse(fmt.Sprintf("cannot write the result: %v", err), "")
		}
	}
	if err := o.writeJSON(result, t.out); err != nil {
		return t.refuse(fmt.Sprintf("cannot write the result: %v", err), "choose another file with --json")
	}
	return result.Verdict.ExitCode()
}

func (o readinessFlags) writeJSON(result *readiness.Result, stdout io.Writer) error {
	if o.json == "" {
		return nil
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(result); err != nil {
		return err
	}
	if o.json == "-" {
		_, err := stdout.Write(b.Bytes())
		return err
	}
	return os.WriteFile(o.json, b.Bytes(), 0o600)
}

// readProfile reads the file, but not much more than a profile can be.
func readProfile(name string) ([]byte, error) {
	file, err := os.Open(name) //nolint:gosec // a file that the command line names
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, 1<<20))
	return text, errors.Join(err, file.Close())
}

func lintExtension(name string) (extension.Result, error) {
	info, err := os.Stat(name)
	if err != nil {
		return extension.Result{}, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(name) // nothing outside of the folder is read, whatever links are in it
		if err != nil {
			return extension.Result{}, err
		}
		p, err := extension.FromFS(root.FS())
		if err = errors.Join(err, root.Close()); err != nil {
			return extension.Result{}, err
		}
		return p.Lint(), nil
	}
	file, err := os.Open(name) //nolint:gosec // a file that the command line names
	if err != nil {
		return extension.Result{}, err
	}
	p, err := extension.FromArchive(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return extension.Result{}, err
	}
	return p.Lint(), nil
}
