package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sandbox"
)

func serve(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) error {
	fs := newFlags("serve", stderr, "serve [flags]")
	listen := fs.String("listen", "127.0.0.1:8480", "`address` of the open API, which your ISV calls; port 0 picks one")
	controlListen := fs.String("control-listen", "127.0.0.1:8481", "`address` of the control API, which these commands call")
	database := fs.String("database", "isvkit.db", "`file` that keeps the state, or :memory:")
	keyFile := fs.String("keys", "", "key `file`, made if there is none (default: the database with .keys in place of its extension)")
	provider := fs.String("provider", "", "your ISV's production address, a `URL`; kept in the database")
	quiet := fs.Bool("quiet", false, "log only what went wrong")
	rest, err := parse(fs, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return misuse("serve takes no argument %q", rest[0])
	}
	if *keyFile == "" {
		*keyFile = "isvkit.keys"
		if *database != ":memory:" {
			*keyFile = strings.TrimSuffix(*database, filepath.Ext(*database)) + ".keys"
		}
	}
	keys, err := loadKeys(*keyFile, getenv)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if *quiet {
		level = slog.LevelWarn
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	s, err := sandbox.New(ctx, sandbox.Config{Database: *database, Keys: keys, ProductionAddress: *provider, Logger: log})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()

	var lc net.ListenConfig
	market, err := lc.Listen(ctx, "tcp", *listen)
	if err != nil {
		return &hintError{err, "is another sandbox running? choose another --listen"}
	}
	defer func() { _ = market.Close() }()
	control, err := lc.Listen(ctx, "tcp", *controlListen)
	if err != nil {
		return &hintError{err, "is another sandbox running? choose another --control-listen"}
	}
	defer func() { _ = control.Close() }()
	marketURL, controlURL := "http://"+market.Addr().String(), "http://"+control.Addr().String()
	s.SetAddresses(marketURL, controlURL)
	if err := writeKeyFile(*keyFile, s.Keys(), marketURL, controlURL); err != nil {
		return err
	}
	isv := *provider
	if isv == "" {
		isv = s.ProductionAddress()
	}
	if isv == "" {
		isv = "not known yet; tell it with: isv-sandbox provider http://127.0.0.1:9000/saasproduce"
	}
	_, _ = fmt.Fprintf(stdout, `isv-sandbox %s
  open API     %s
  control API  %s
  keys         %s (in a shell: . %s)
  database     %s
  your ISV     %s
ready
`, sandbox.Version, marketURL, controlURL, *keyFile, shellPath(*keyFile), *database, isv)

	return runAll(ctx, s, map[net.Listener]http.Handler{market: s.OpenAPIHandler(), control: s.ControlHandler()})
}

// shellPath is how to name a file to the shell's dot command, which looks a bare name up in PATH.
func shellPath(name string) string {
	if strings.ContainsRune(name, filepath.Separator) {
		return name
	}
	return "./" + name
}

// runAll delivers and serves until the context is over or a listener fails, then stops in order: no new requests, then the
// attempts under way.
func runAll(ctx context.Context, s *sandbox.Sandbox, handlers map[net.Listener]http.Handler) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	var servers []*http.Server
	for listener, handler := range handlers {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
		servers = append(servers, server)
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		}()
	}
	<-ctx.Done()
	stopping, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	for _, server := range servers {
		_ = server.Shutdown(stopping)
	}
	err := <-ran
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}
