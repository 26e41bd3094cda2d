// Command isv-sandbox is a marketplace on your own machine. See `isv-sandbox help`.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/mistyped"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		<-signals // whoever says it twice does not want to wait
		os.Exit(exitAtOnce)
	}()
	os.Exit(runWith(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr, os.Getenv}))
}

// exitAtOnce is the exit code of a process that was told twice to stop.
const exitAtOnce = 130

const usage = `isv-sandbox plays the marketplace for an ISV: it calls your production address, and answers and takes what you send.

  isv-sandbox serve      start it; state is kept in a file, keys are written beside it
         [--egress laptop|staging|FILE] [--allow-host NAME] [--allow-network CIDR] [--ca FILE]
                                                    where ISVs may be called; at first this machine and private networks
  isv-sandbox provider URL                          where your ISV is, such as http://127.0.0.1:9000/saasproduce
  isv-sandbox buy --sku SKU [--period 1y] [--quantity N] [--param name=value …]
                                                    the buyer pays; waits until the instance is ready
  isv-sandbox renew LINE [--period 1y]              the buyer renews
  isv-sandbox upgrade LINE [--sku SKU] [--quantity N]
  isv-sandbox freeze LINE | unfreeze LINE           a violation, and its end
  isv-sandbox release LINE                          the buyer unsubscribes
  isv-sandbox clock advance 366d                    expiry, retries, release: now
  isv-sandbox clock to TIME | hold | run            move the clock to a time, stop it, let it run on
  isv-sandbox status | orders | instances | calls | journal | usage
                                                    what happened; calls and journal take a LINE
  isv-sandbox restart CALL                          try a call now that is being retried, or again one that is not any more
`

const usageEnd = `
LINE is the order line that created an instance, as buy prints it. "isv-sandbox COMMAND -h" lists a command's flags.
Every command but serve reads the address and the token of a running sandbox from the key file (--keys, default isvkit.keys)
or from ISVKIT_CONTROL_URL and ISVKIT_CONTROL_TOKEN. --json prints the answer as it came.

Example, each line in a terminal of its own, with the sample ISV of this project:
  isv-sandbox serve --provider http://127.0.0.1:9000/saasproduce
  . ./isvkit.keys; go run ./examples/isv-minimal
  isv-sandbox buy --sku demo-period
`

// run is the program with nothing on its standard input.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	return runWith(ctx, args, stdio{strings.NewReader(""), stdout, stderr, getenv})
}

// runWith is the whole program: 0 is success, 1 is that something could not be done, 2 a mistake in the command line. The
// command play says with 1 that something did not go as expected, and with 2 that it could not be tried.
func runWith(ctx context.Context, args []string, t stdio) int {
	err := dispatch(ctx, args, t)
	stderr := t.err
	var wrong *usageError
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		_, _ = fmt.Fprintf(stderr, "isv-sandbox: error: %s\nisv-sandbox: hint: %s\n", wrong, cmp.Or(wrong.hint, "isv-sandbox help"))
		return 2
	}
	_, _ = fmt.Fprintf(stderr, "isv-sandbox: error: %s\n", err)
	var hinted *hintError
	if errors.As(err, &hinted) {
		_, _ = fmt.Fprintf(stderr, "isv-sandbox: hint: %s\n", hinted.hint)
	}
	return 1
}

// usageError is a mistake in the command line.
type usageError struct{ text, hint string }

func (e *usageError) Error() string { return e.text }

func misuse(format string, args ...any) error { return &usageError{text: fmt.Sprintf(format, args...)} }

// hintError is an error with advice.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

func dispatch(ctx context.Context, args []string, t stdio) error {
	stdout, stderr, getenv := t.out, t.err, t.getenv
	if len(args) == 0 {
		return misuse("no command given")
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "--help":
		if len(rest) > 0 && rest[0] != "help" {
			return dispatch(ctx, append(rest[:1:1], "-h"), t)
		}
		text := usage
		for _, g := range groups {
			text += g.help
		}
		_, err := io.WriteString(stdout, text+usageEnd)
		return err
	case "version", "--version":
		_, err := fmt.Fprintln(stdout, "isv-sandbox", sandbox.Version)
		return err
	case "serve":
		return serve(ctx, rest, stdout, stderr, getenv)
	}
	for _, one := range tools {
		if one.name == name {
			return one.do(ctx, t, rest)
		}
	}
	for _, g := range groups {
		for _, c := range g.commands {
			if c.name == name {
				return c.execute(ctx, rest, stdout, stderr, getenv)
			}
		}
	}
	if strings.HasPrefix(name, "-") {
		return misuse("no command is given before %s; flags follow the command", name)
	}
	if near := mistyped.Name(name, commandNames(), mistyped.Half); near != "" {
		return misuse("no command %q; did you mean %s?", name, near)
	}
	return misuse("no command %q", name)
}

func commandNames() []string {
	names := []string{"help", "version", "serve"}
	for _, one := range tools {
		names = append(names, one.name)
	}
	for _, g := range groups {
		for _, c := range g.commands {
			names = append(names, c.name)
		}
	}
	return names
}

// newFlags gives a flag set that reports its mistakes through run.
func newFlags(name string, stderr io.Writer, what string) *flag.FlagSet {
	fs := flag.NewFlagSet("isv-sandbox "+name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {
		fs.SetOutput(stderr)
		_, _ = fmt.Fprintf(stderr, "usage: isv-sandbox %s\n", what)
		fs.PrintDefaults()
		fs.SetOutput(io.Discard)
	}
	return fs
}

// parse reads flags before, between and after the positional arguments.
func parse(fs *flag.FlagSet, args []string) (positional []string, err error) {
	usage := fs.Usage
	fs.Usage = func() {} // a mistake is told in a line, and not under all flags that there are
	defer func() { fs.Usage = usage }()
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				usage()
				return nil, err
			}
			return nil, &usageError{fs.Name() + ": " + mistyped.Flag(fs, err, mistyped.Half), fs.Name() + " -h lists the flags"}
		}
		if fs.NArg() == 0 {
			return positional, nil
		}
		positional = append(positional, fs.Arg(0))
		args = fs.Args()[1:]
	}
}
