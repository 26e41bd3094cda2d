package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/scenario"
)

func play(ctx context.Context, t stdio, args []string) error {
	fs := newFlags("play", t.err, "play FILE… [flags]")
	keyFile := keysFlag(fs)
	start := fs.Bool("start", false, "start a sandbox in memory for each file, instead of using the one that runs; its keys are those of the environment or the key file")
	provider := fs.String("provider", "", "with --start: your ISV's production address, a `URL`")
	listen := fs.String("listen", "127.0.0.1:8480", "with --start: `address` of the open API, which your ISV calls")
	schema := fs.Bool("schema", false, "print the JSON Schema of scenario files, for editors, and do nothing else")
	files, err := parse(fs, args)
	if err != nil {
		return err
	}
	switch {
	case *schema:
		_, err := t.out.Write(scenario.Schema())
		return err
	case len(files) == 0:
		return misuse("play: expected scenario files, or folders that have some")
	case *start != (*provider != ""):
		return misuse("play: expected --start and --provider together")
	}
	if files, err = scenarioFiles(files); err != nil {
		return t.cannot(err)
	}
	p := player{stdio: t}
	if *start {
		err = p.started(ctx, files, *keyFile, *listen, *provider)
	} else {
		err = p.running(ctx, files, *keyFile)
	}
	if err != nil {
		return t.cannot(err)
	}
	return p.finish()
}

// cannot says why nothing could be played, which is another thing than that something failed.
func (t stdio) cannot(err error) error {
	_, _ = fmt.Fprintf(t.err, "isv-sandbox: error: %s\n", err)
	var hinted *hintError
	if errors.As(err, &hinted) {
		_, _ = fmt.Fprintf(t.err, "isv-sandbox: hint: %s\n", hinted.hint)
	}
	return &exitError{2}
}

// scenarioFiles lists the files, and those in folders.
func scenarioFiles(names []string) (files []string, _ error) {
	for _, name := range names {
		info, err := os.Stat(name) //nolint:gosec // who plays files names them
		if err != nil || !info.IsDir() {
			files = append(files, name) // what cannot be read is told when it is
			continue
		}
		before := len(files)
		err = filepath.WalkDir(name, func(file string, _ fs.DirEntry, err error) error { //nolint:gosec // as above
			if ext := filepath.Ext(file); ext == ".yaml" || ext == ".yml" {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s has no scenario files, expected names that end in .yaml", name)
		}
	}
	return files, nil
}

// player plays files one after the other, and counts.
type player struct {
	stdio
	passed, failed, unplayed int
}

func (p *player) finish() error {
	_, _ = fmt.Fprintf(p.out, "%d passed, %d failed, %d could not be played\n", p.passed, p.failed, p.unplayed)
	switch {
	case p.unplayed > 0:
		return &exitError{2}
	case p.failed > 0:
		return &exitError{1}
	}
	return nil
}

// play plays one file with a runner that is made once the file is known to make sense.
func (p *player) play(ctx context.Context, name string, with func() (*scenario.Runner, func() error, error)) error {
	f, err := scenario.Load(name)
	if err != nil {
		p.unplayed++
		_, _ = fmt.Fprintf(p.out, "ERROR %s\n%s\n", name, indent(err.Error()))
		return nil
	}
	runner, stop, err := with()
	if err != nil {
		return err
	}
	begin := time.Now()
	err = runner.Play(ctx, f)
	took := time.Since(begin).Round(time.Millisecond)
	var failed *scenario.FailedError
	switch {
	case err == nil:
		p.passed++
		_, _ = fmt.Fprintf(p.out, "ok    %s  %s (%d steps, %s)\n", name, f.Name, f.Steps(), took)
	case errors.As(err, &failed):
		p.failed++
		_, _ = fmt.Fprintf(p.out, "FAIL  %s  %s (%s)\n%s\n", name, f.Name, took, indent(err.Error()))
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), stop())
	default:
		p.unplayed++
		_, _ = fmt.Fprintf(p.out, "ERROR %s  %s\n%s\n", name, f.Name, indent(err.Error()))
	}
	return stop()
}

func indent(text string) string { return "      " + strings.ReplaceAll(text, "\n", "\n      ") }

// running plays against the sandbox that runs.
func (p *player) running(ctx context.Context, files []string, keyFile string) error {
	c, get, err := p.stdio.running(keyFile)
	if err != nil {
		return err
	}
	runner := &scenario.Runner{Control: c.api, ISV: scenario.ISV{MarketURL: get(envMarketURL), BaseKey: get(envBaseKey), AK: get(envAK), SK: get(envSK)}}
	resp, err := c.api.GetStatus(ctx)
	if err != nil {
		return &hintError{fmt.Errorf("the sandbox does not answer at %s", c.address), "is it running? start it with isv-sandbox serve, or play with --start"}
	}
	_ = resp.Body.Close()
	for _, name := range files {
		if err := p.play(ctx, name, func() (*scenario.Runner, func() error, error) { return runner, func() error { return nil }, nil }); err != nil {
			return err
		}
	}
	return nil
}

// started plays each file against a sandbox of its own. All of them are served at one address, so that the ISV finds them.
func (p *player) started(ctx context.Context, files []string, keyFile, listen, provider string) error {
	get, err := p.settings(keyFile)
	if err != nil {
		return err
	}
	if get(envBaseKey) == "" || get(envAK) == "" || get(envSK) == "" {
		return &hintError{
			fmt.Errorf("the keys are not known: neither the environment nor the key file %s has %s, %s and %s", keyFile, envBaseKey, envAK, envSK),
			"choose any, and give the same ones to your ISV; isv-sandbox serve makes a key file",
		}
	}
	keys, err := loadKeys(keyFile, p.getenv)
	if err != nil {
		return err
	}
	market, err := swapping(ctx, listen)
	if err != nil {
		return cannotListen("--listen", err)
	}
	defer market.close()
	control, err := swapping(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer control.close()
	for _, name := range files {
		err := p.play(ctx, name, func() (*scenario.Runner, func() error, error) {
			s, err := sandbox.New(ctx, sandbox.Config{Keys: keys, ProductionAddress: provider, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				return nil, nil, err
			}
			s.SetAddresses(market.url, control.url)
			market.serve(s.OpenAPIHandler())
			control.serve(s.ControlHandler())
			running, cancel := context.WithCancel(ctx)
			ran := make(chan error, 1)
			go func() { ran <- s.Run(running) }()
			stop := func() error {
				cancel()
				return errors.Join(<-ran, s.Close())
			}
			c, err := newClient(control.url, keys.ControlToken, io.Discard, false)
			if err != nil {
				return nil, nil, errors.Join(err, stop())
			}
			return &scenario.Runner{Control: c.api, ISV: scenario.ISV{MarketURL: market.url, BaseKey: keys.BaseKey, AK: keys.AK, SK: keys.SK}}, stop, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// swap is a server whose handler changes from file to file.
type swap struct {
	url     string
	server  *http.Server
	handler atomic.Pointer[http.Handler]
}

func swapping(ctx context.Context, address string) (*swap, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &swap{url: "http://" + l.Addr().String()}
	s.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.handler.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		http.Error(w, "no scenario is played", http.StatusServiceUnavailable)
	})}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

func (s *swap) serve(h http.Handler) { s.handler.Store(&h) }
func (s *swap) close()               { _ = s.server.Close() }
