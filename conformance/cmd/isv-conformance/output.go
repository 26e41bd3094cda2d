package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/isvkit/isvkit/conformance"
	"github.com/isvkit/isvkit/conformance/report"
)

// outputs are where the report goes, and in which formats.
type outputs struct {
	files   map[string]*string // by format
	text    bool               // for people, on the standard output
	colour  bool
	out     io.Writer
	writers map[string]io.WriteCloser
}

// formats are those of a file, in the order in which they are written.
func formats() []string { return []string{"json", "junit", "html", "sarif"} }

func (o *outputs) bind(flags *flag.FlagSet) {
	o.files = map[string]*string{
		"json":  flags.String("json", "", "`FILE` for the report in JSON; - is the standard output, instead of the text"),
		"junit": flags.String("junit", "", "`FILE` for the report in JUnit XML; - is the standard output"),
		"html":  flags.String("html", "", "`FILE` for the report as a page, which works offline; - is the standard output"),
		"sarif": flags.String("sarif", "", "`FILE` for the report in SARIF 2.1.0; - is the standard output"),
	}
}

// open makes the files before the work, which takes a while.
func (o *outputs) open(t terminal) error {
	o.text, o.out, o.writers = true, t.out, map[string]io.WriteCloser{}
	o.colour = isTerminal(t.out) && t.getenv("NO_COLOR") == "" && t.getenv("TERM") != "dumb"
	for _, format := range formats() {
		switch name := *o.files[format]; name {
		case "":
		case "-":
			if !o.text {
				return fmt.Errorf("--%s: another report has the standard output already, expected - once", format)
			}
			o.text, o.writers[format] = false, keepOpen{t.out}
		default:
			file, err := os.Create(name) //nolint:gosec // whoever runs it names it
			if err != nil {
				return fmt.Errorf("--%s: cannot write the report: %w", format, err)
			}
			o.writers[format] = file
		}
	}
	return nil
}

func (o *outputs) write(r *conformance.Report) (err error) {
	switch {
	case o.text && o.colour:
		err = r.WriteColours(o.out)
	case o.text:
		err = r.WriteText(o.out)
	}
	for _, format := range formats() {
		if w := o.writers[format]; w != nil {
			var b bytes.Buffer
			err = errors.Join(err, writeAs(r, format, &b))
			_, wrong := w.Write(b.Bytes())
			err = errors.Join(err, wrong, w.Close())
		}
	}
	return err
}

func writeAs(r *conformance.Report, format string, w io.Writer) error {
	switch format {
	case "json":
		return r.WriteJSON(w)
	case "junit":
		return r.WriteJUnit(w)
	case "html":
		return r.WriteHTML(w)
	case "sarif":
		return r.WriteSARIF(w)
	default:
		return fmt.Errorf("unknown format %q", format)
	}
}

// keepOpen is the standard output, which is not ours to close.
type keepOpen struct{ io.Writer }

// Close does nothing.
func (keepOpen) Close() error { return nil }

// mostReport is far above any report that this program writes.
const mostReport = 64 << 20

// readReport reads a report in JSON from a file.
func readReport(name string) (*conformance.Report, error) {
	file, err := os.Open(name) //nolint:gosec // whoever runs it names it
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	r, err := report.Read(io.LimitReader(file, mostReport))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// isTerminal reports whether somebody looks at what is written there.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress shows how far a run is: a bar on a terminal, and elsewhere a line at each quarter.
type progress struct {
	t       terminal
	bar     bool
	drawn   bool
	quarter int
}

func newProgress(t terminal) *progress {
	return &progress{t: t, bar: isTerminal(t.err) && t.getenv("TERM") != "dumb"}
}

// step is told how many checks have ended.
func (p *progress) step(done, all int) {
	const width = 40
	if p.bar {
		full := width * done / all
		_, _ = fmt.Fprintf(p.t.err, "\r%s%s %d of %d checks", bytes.Repeat([]byte("█"), full), bytes.Repeat([]byte("░"), width-full), done, all)
		p.drawn = true
		return
	}
	if q := 4 * done / all; q > p.quarter && all >= 20 {
		p.quarter = q
		p.t.say("%d of %d checks", done, all)
	}
}

// end takes the bar away, before the report is written.
func (p *progress) end() {
	if p.drawn {
		_, _ = io.WriteString(p.t.err, "\r\x1b[K")
	}
}
