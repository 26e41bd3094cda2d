//go:build ignore

// Command bench reads the output of `go test -bench` on standard input and compares it with a file of targets. It prints one
// line per target: `target NAME VALUE OP BOUND ok`, or `short` in place of `ok`. A target that nothing measured is an error.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: bench TARGETS <RESULTS")
	}
	values, err := read(in)
	if err != nil {
		return err
	}
	targets, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	for n, line := range strings.Split(string(targets), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 4 {
			return fmt.Errorf("%s, line %d: expected name, benchmark:unit, operator, bound", args[0], n+1)
		}
		bound, err := strconv.ParseFloat(fields[3], 64)
		if err != nil {
			return fmt.Errorf("%s, line %d: bound: %w", args[0], n+1, err)
		}
		runs := values[fields[1]]
		if len(runs) == 0 {
			return fmt.Errorf("%s, line %d: nothing measured %s", args[0], n+1, fields[1])
		}
		slices.Sort(runs)
		value := runs[len(runs)/2]
		verdict := "short"
		switch {
		case fields[2] == "<=" && value <= bound, fields[2] == ">=" && value >= bound:
			verdict = "ok"
		case fields[2] != "<=" && fields[2] != ">=":
			return fmt.Errorf("%s, line %d: operator %q, expected <= or >=", args[0], n+1, fields[2])
		}
		fmt.Fprintf(out, "target %s %s %s %s %s\n", fields[0], strconv.FormatFloat(value, 'f', -1, 64), fields[2], fields[3], verdict)
	}
	return nil
}

// procs is the number of processors that Go appends to the name of a benchmark.
var procs = regexp.MustCompile(`-\d+$`)

// read collects every value by benchmark and unit.
func read(in io.Reader) (map[string][]float64, error) {
	values := map[string][]float64{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := procs.ReplaceAllString(fields[0], "")
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %q is no number", name, fields[i])
			}
			values[name+":"+fields[i+1]] = append(values[name+":"+fields[i+1]], v)
		}
	}
	return values, lines.Err()
}
