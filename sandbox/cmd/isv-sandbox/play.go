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

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/scenario"
)

func play(ctx context.Context, t stdio, args []string) error {
	fs := newFlags("play", t.err, "play FILE… [flags]")
	keyFile := keysFlag(fs)
	start := fs.Bool("start", false, "start a sandbox in memory for each file, instead of using the one that runs; its keys are those of the environment or the key file")
	provider := fs.String("provider", "", "with --start: your ISV's production address, a `URL`")
	listen := fs.String("listen", "127.0.0.1:8480", "with --start: `address` of the open API, which your ISV calls")
	authListen := fs.String("auth-listen", "", "with --start: `address` of the login page and the auth centres of kit tenants, over https (default: that of --listen, two ports on), or off")
	kitKeys := map[string]string{}
	fs.Func("kit-key", "with --start: the ISV's RSA key for client secrets of a kit product, `PRODUCT=FILE`, public or private; may be repeated", func(s string) error {
		product, file, ok := strings.Cut(s, "=")
		if !ok || product == "" || file == "" {
			return errors.New("expected PRODUCT=FILE, such as demo-kit=kit.pem")
		}
		kitKeys[product] = file
		return nil
	})
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
	case !*start && (*authListen != "" || len(kitKeys) > 0):
		return misuse("play: --auth-listen and --kit-key are for --start; a sandbox that runs has an auth centre of its own, and takes keys with isv-sandbox kit key")
	}
	if files, err = scenarioFiles(files); err != nil {
		return t.cannot(err)
	}
	p := player{stdio: t}
	if *start {
		err = p.started(ctx, files, fresh{keyFile: *keyFile, listen: *listen, authListen: *authListen, provider: *provider, kitKeys: kitKeys})
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

// fresh is how the sandboxes of --start are made.
type fresh struct {
	keyFile, listen, authListen, provider string
	kitKeys                               map[string]string // file by product
}

// publicKeys reads the files of kitKeys.
func (f fresh) publicKeys() (map[string]string, error) {
	keys := map[string]string{}
	for product, file := range f.kitKeys {
		text, err := os.ReadFile(file) //nolint:gosec // who plays files names it
		if err != nil {
			return nil, fmt.Errorf("--kit-key: %w", err)
		}
		if keys[product], err = publicKeyIn(text); err != nil {
			return nil, fmt.Errorf("--kit-key %s: %w", file, err)
		}
	}
	return keys, nil
}

// started plays each file against a sandbox of its own. All of them are served at the same addresses, so that the ISV finds them.
func (p *player) started(ctx context.Context, files []string, f fresh) error {
	get, err := p.settings(f.keyFile)
	if err != nil {
		return err
	}
	if get(envBaseKey) == "" || get(envAK) == "" || get(envSK) == "" {
		return &hintError{
			fmt.Errorf("the keys are not known: neither the environment nor the key file %s has %s, %s and %s", f.keyFile, envBaseKey, envAK, envSK),
			"choose any, and give the same ones to your ISV; isv-sandbox serve makes a key file",
		}
	}
	keys, err := loadKeys(f.keyFile, p.getenv)
	if err != nil {
		return err
	}
	kitKeys, err := f.publicKeys()
	if err != nil {
		return err
	}
	market, err := listen(ctx, "--listen", f.listen)
	if err != nil {
		return err
	}
	opened := swapping(market)
	defer opened.close()
	inner, err := listen(ctx, "the control API", "127.0.0.1:0")
	if err != nil {
		return err
	}
	control := swapping(inner)
	defer control.close()
	marketURL, controlURL := "http://"+reachable(market.Addr()), "http://"+inner.Addr().String()
	var centre authCentre
	var login *swap
	if f.authListen != "off" {
		if centre, err = openAuthCentre(ctx, f.authListen, f.listen, f.keyFile); err != nil {
			return err
		}
		login = swapping(centre)
		defer login.close()
		_, _ = fmt.Fprintf(p.err, "isv-sandbox: open API %s, login page %s (trust %s)\n", marketURL, centre.loginPage, centre.trust)
	}
	begin := func() (*scenario.Runner, func() error, error) {
		s, err := sandbox.New(ctx, sandbox.Config{Keys: keys, ProductionAddress: f.provider, AuthCentreURL: centre.url, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return nil, nil, err
		}
		s.SetAddresses(marketURL, controlURL)
		opened.serve(s.OpenAPIHandler())
		control.serve(s.ControlHandler())
		if login != nil {
			login.serve(s.AuthCentreHandler())
		}
		running, cancel := context.WithCancel(ctx)
		ran := make(chan error, 1)
		go func() { ran <- s.Run(running) }()
		stop := func() error {
			cancel()
			return errors.Join(<-ran, s.Close())
		}
		c, err := newClient(controlURL, keys.ControlToken, io.Discard, false)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		for product, key := range kitKeys {
			resp, err := c.api.SetKitPublicKey(ctx, product, sandboxapi.KitPublicKey{KitPublicKey: key})
			if _, err := read[sandboxapi.KitPublicKey](c, resp, err); err != nil {
				return nil, nil, errors.Join(fmt.Errorf("--kit-key %s: %w", product, err), stop())
			}
		}
		return &scenario.Runner{Control: c.api, ISV: scenario.ISV{MarketURL: marketURL, BaseKey: keys.BaseKey, AK: keys.AK, SK: keys.SK}}, stop, nil
	}
	for _, name := range files {
		if err := p.play(ctx, name, begin); err != nil {
			return err
		}
	}
	return nil
}

// swap is a server whose handler changes from file to file.
type swap struct {
	server  *http.Server
	handler atomic.Pointer[http.Handler]
}

func swapping(l net.Listener) *swap {
	s := &swap{}
	s.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := s.handler.Load(); h != nil {
			(*h).ServeHTTP(w, r)
			return
		}
		http.Error(w, "no scenario is played", http.StatusServiceUnavailable)
	})}
	go func() { _ = s.server.Serve(l) }()
	return s
}

func (s *swap) serve(h http.Handler) { s.handler.Store(&h) }
func (s *swap) close()               { _ = s.server.Close() }
