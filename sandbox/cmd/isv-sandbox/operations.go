package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
)

// operationOptions are the flags of serve for who looks after it.
type operationOptions struct {
	metricsListen   string
	logFormat       string
	logLevel        slog.Level
	quiet           bool
	shutdownTimeout time.Duration
	journalKeep     string
	journalMax      int
}

// journalKeep is for how long a sandbox with tokens keeps attempts if nobody says otherwise.
const journalKeep = "30d"

// shutdownTimeout is by default what the longest attempt may take, and some more to store it.
const shutdownTimeout = 25 * time.Second

func operationFlags(fs *flag.FlagSet) *operationOptions {
	o := &operationOptions{}
	fs.StringVar(&o.metricsListen, "metrics-listen", "", "`address` that serves /metrics, /healthz and /readyz to everybody who can reach it; :PORT is on loopback (default: none; the control API has them, /metrics for operators)")
	fs.StringVar(&o.logFormat, "log-format", "text", "`form` of the log: text or json")
	fs.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "log from this `level` on: debug (each request too), info, warn or error")
	fs.BoolVar(&o.quiet, "quiet", false, "log only what went wrong; the same as --log-level warn")
	fs.DurationVar(&o.shutdownTimeout, "shutdown-timeout", shutdownTimeout, "how long attempts under way may take to end when the sandbox is told to stop, a `duration`; what is cut is repeated after the next start")
	fs.StringVar(&o.journalKeep, "journal-keep", "", "for how long attempts are kept in the journal, in real time, a `duration` such as 30d; 0: for ever (default: for ever, or "+journalKeep+" with --tokens)")
	fs.IntVar(&o.journalMax, "journal-max", 0, "how many `attempts` of one seller are kept, the newest; 0: all")
	return o
}

// retention is what the flags say of the journal.
func (o *operationOptions) retention(tokens bool) (r sandbox.Retention, err error) {
	keep := o.journalKeep
	if keep == "" {
		keep = "0"
		if tokens {
			keep = journalKeep
		}
	}
	if r.Keep, err = sandbox.ParseKeep(keep); err != nil {
		return r, misuse("--journal-keep: %s", err)
	}
	if o.journalMax < 0 {
		return r, misuse("--journal-max %d: expected 0 or more", o.journalMax)
	}
	r.MaxPerSeller = o.journalMax
	return r, nil
}

// log gives the log that the flags ask for.
func (o *operationOptions) log(to io.Writer) (*slog.Logger, error) {
	level := o.logLevel
	if o.quiet {
		level = max(level, slog.LevelWarn)
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(to, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, options)), nil
	}
	return nil, misuse("--log-format %q: expected text or json", o.logFormat)
}

// check refuses what cannot be meant.
func (o *operationOptions) check() error {
	if o.shutdownTimeout < 0 {
		return misuse("--shutdown-timeout %s: expected a duration such as 25s, or 0 to cut what is under way", o.shutdownTimeout)
	}
	return nil
}

// metricsAddress is where the metrics are served: on loopback, if no host is given.
func (o *operationOptions) metricsAddress() string {
	if strings.HasPrefix(o.metricsListen, ":") {
		return "127.0.0.1" + o.metricsListen
	}
	return o.metricsListen
}

// door is a handler that comes later. Until then it tells that this process is alive, and not ready.
type door struct {
	handler atomic.Pointer[http.Handler]
}

func (d *door) open(h http.Handler) { d.handler.Store(&h) }

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := d.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Path == "/healthz" {
		_, _ = io.WriteString(w, "{\"alive\":true}\n")
		return
	}
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, "{\"ready\":false,\"parts\":{\"queue\":\"the sandbox is starting\"}}\n")
}

// servers are the listeners and what is served there.
type servers struct {
	requests context.Context //nolint:containedctx // that of every request
	cut      context.CancelFunc
	failed   context.CancelCauseFunc
	all      []*http.Server
}

// newServers gives servers whose requests are cut when stop is called, and not before. failed is told of a listener that fails.
func newServers(failed context.CancelCauseFunc) *servers {
	v := &servers{failed: failed}
	v.requests, v.cut = context.WithCancel(context.Background())
	return v
}

// serve serves at a listener.
func (v *servers) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return v.requests }}
	v.all = append(v.all, server)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			v.failed(err)
		}
	}()
}

// shutdown takes no more requests, and waits for those under way until the context is over. Then they are cut.
func (v *servers) shutdown(ctx context.Context) {
	done := make(chan struct{}, len(v.all))
	for _, server := range v.all {
		go func() {
			_ = server.Shutdown(ctx)
			done <- struct{}{}
		}()
	}
	for range v.all {
		<-done
	}
	v.close()
}

// close ends everything at once.
func (v *servers) close() {
	v.cut()
	for _, server := range v.all {
		_ = server.Close()
	}
}

// runUntil delivers until the context is over, then stops in order: not ready, no new requests and attempts, those under way come to their
// end and are stored. What takes longer than the timeout is cut, and done again after the next start.
func runUntil(ctx context.Context, s *sandbox.Sandbox, v *servers, timeout time.Duration, log *slog.Logger) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ran := make(chan error, 1)
	go func() { ran <- s.Run(work) }()
	var err error
	running := true
	select {
	case <-ctx.Done():
	case err = <-ran: // it could not begin
		running = false
	}
	if running {
		log.Info("shutting down: attempts under way come to their end", "timeout", timeout.String())
	}
	limit, stop := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer stop()
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(limit) }()
	v.shutdown(limit)
	if drainErr := <-drained; drainErr != nil && running {
		log.Warn("shutting down: attempts under way are cut; they are repeated after the next start", "error", drainErr)
	}
	cut()
	if running {
		err = <-ran
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// listen opens a listener for a flag.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, cannotListen(flag, err)
	}
	return l, nil
}

// shownMetrics says where the metrics are.
func shownMetrics(l net.Listener, controlURL string) string {
	if l == nil {
		return controlURL + "/metrics (with an operator's token)"
	}
	return fmt.Sprintf("http://%s/metrics", l.Addr())
}

const operationsHelp = `
Looking after a sandbox, see sandbox/OPERATIONS.md:
  isv-sandbox serve [--metrics-listen :9464] [--log-format json] [--log-level debug] [--journal-keep 30d] [--shutdown-timeout 25s]
  isv-sandbox trim [--keep 30d] [--max N]           remove now what is not kept of the journal
`

var operationCommands = []command{
	{"trim", "trim [flags]", [2]int{0, 0}, func(fs *flag.FlagSet) any {
		t := &sandboxapi.JournalTrim{}
		fs.StringVar(&t.Keep, "keep", "", "keep attempts for this `duration` of real time, such as 30d; 0: not at all")
		fs.IntVar(&t.MaxPerSeller, "max", 0, "keep so many `attempts` of one seller, the newest (default, without --keep too: what serve was told)")
		return t
	}, trim},
}

func trim(ctx context.Context, c *client, _ []string, flags any) error {
	t, _ := flags.(*sandboxapi.JournalTrim)
	var sum sandboxapi.JournalTrimmed
	for sum.More = true; sum.More; {
		resp, err := c.api.TrimJournal(ctx, *t)
		done, err := read[sandboxapi.JournalTrimmed](c, resp, err)
		if err != nil {
			return err
		}
		sum.Attempts, sum.Calls, sum.Bytes, sum.More = sum.Attempts+done.Attempts, sum.Calls+done.Calls, sum.Bytes+done.Bytes, done.More
	}
	if c.asJSON {
		return nil
	}
	resp, err := c.api.GetJournal(ctx)
	left, err := read[sandboxapi.Journal](c, resp, err)
	if err != nil {
		return err
	}
	return c.table("", [][]string{{fmt.Sprintf("removed %d attempts and %d calls; %d attempts are left", sum.Attempts, sum.Calls, left.Attempts)}})
}
