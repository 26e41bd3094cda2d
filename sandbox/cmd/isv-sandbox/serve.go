package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/market"
)

func serve(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) error {
	flags := newFlags("serve", stderr, "serve [flags]")
	listenAt := flags.String("listen", "127.0.0.1:8480", "`address` of the open API, which your ISV calls; port 0 picks one")
	controlListen := flags.String("control-listen", "127.0.0.1:8481", "`address` of the control API, which these commands call")
	authListen := flags.String("auth-listen", "", "`address` of the login page and the auth centres of kit tenants, over https (default: that of --listen, two ports on), or off")
	database := flags.String("database", "isvkit.db", "`file` that keeps the state, or :memory:, or postgres://… for any number of processes that share it")
	keyFile := flags.String("keys", "", "key `file`, made if there is none (default: the database with .keys in place of its extension)")
	provider := flags.String("provider", "", "your ISV's production address, a `URL`; kept in the database")
	secretsKey := flags.String("secrets-key", "", "`file` with the keys that seal secrets in the database (default: "+envSecretsKey+", else a file beside the key file, made if there is none)")
	policies := flags.String("policies", "", "`folder` with policy documents of more markets, or newer editions, beside those that are built in")
	who := accessFlags(flags)
	calls := egressFlags(flags)
	operation := operationFlags(flags)
	rest, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return misuse("serve takes no argument %q", rest[0])
	}
	if *keyFile == "" {
		*keyFile = "isvkit.keys"
		if *database != ":memory:" && !strings.Contains(*database, "://") {
			*keyFile = strings.TrimSuffix(*database, filepath.Ext(*database)) + ".keys"
		}
	}
	policy, err := calls.policy(who.tokens)
	if err != nil {
		return err
	}
	log, err := operation.log(stderr)
	if err := errors.Join(err, operation.check()); err != nil {
		return err
	}
	retention, err := operation.retention(who.tokens)
	if err != nil {
		return err
	}
	keys, err := loadKeys(*keyFile, getenv)
	if err != nil {
		return err
	}
	if *provider != "" {
		if err := catalogue.CheckAddress(*provider); err != nil {
			return fmt.Errorf("--provider: %s", strings.TrimPrefix(err.Error(), "invalid: "))
		}
	}
	cfg := sandbox.Config{
		Database: *database, Keys: keys, ProductionAddress: *provider, Egress: policy, Retention: retention, Logger: log,
	}
	if *policies != "" {
		if cfg.Policies, err = market.Embedded().With(os.DirFS(*policies), "."); err != nil {
			return fmt.Errorf("--policies: %w", err)
		}
	}
	if err := who.config(&cfg); err != nil {
		return err
	}
	// These are there before the sandbox is: to bring a large database to a new schema takes its time, in which this process is alive.
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	serving := newServers(fail)
	defer serving.close()
	control, err := listen(ctx, "--control-listen", *controlListen)
	if err != nil {
		return err
	}
	defer func() { _ = control.Close() }()
	var controlDoor, metricsDoor door
	serving.serve(control, &controlDoor)
	var metrics net.Listener
	if operation.metricsListen != "" {
		if metrics, err = listen(ctx, "--metrics-listen", operation.metricsAddress()); err != nil {
			return err
		}
		defer func() { _ = metrics.Close() }()
		serving.serve(metrics, &metricsDoor)
	}
	sealing, made, err := loadSecretsKey(*secretsKey, *keyFile, getenv) // no sooner: a start that fails leaves no new key behind
	if err != nil {
		return err
	}
	cfg.SecretsKey = sealing
	s, err := sandbox.New(ctx, cfg)
	if folder := filepath.Dir(*database); err != nil && errors.Is(err, fs.ErrNotExist) && !isFolder(folder) {
		return &hintError{fmt.Errorf("--database: %w", err), "make the folder first: mkdir -p " + folder}
	}
	if errors.Is(err, store.ErrInUse) {
		return &hintError{err, "stop that one, or choose another file with --database"}
	}
	if err != nil {
		if made != "" && sandbox.IsOtherSecretsKey(err) { // the right one is somewhere else
			err = errors.Join(err, os.Remove(made))
		}
		return err
	}
	defer func() { _ = s.Close() }()

	market, err := listen(ctx, "--listen", *listenAt)
	if err != nil {
		return err
	}
	defer func() { _ = market.Close() }()
	marketURL, controlURL := "http://"+reachable(market.Addr()), "http://"+reachable(control.Addr())
	s.SetAddresses(marketURL, controlURL)
	handlers := map[net.Listener]http.Handler{market: s.OpenAPIHandler()}
	centre := authCentre{loginPage: "off"}
	if *authListen != "off" {
		if centre, err = openAuthCentre(ctx, *authListen, *listenAt, *keyFile); err != nil {
			return err
		}
		defer func() { _ = centre.Close() }()
		handlers[centre] = s.AuthCentreHandler()
		s.SetAuthCentre(centre.url)
	}
	listeners := append(slices.Collect(maps.Keys(handlers)), control)
	if err := who.check(s.Keys(), control, listeners...); err != nil {
		return err
	}
	write := func(token string) error {
		shown := s.Keys()
		shown.ControlToken = token
		return writeKeyFile(*keyFile, shown, marketURL, controlURL, centre.variables()...)
	}
	if !who.tokens {
		err = write(s.Keys().ControlToken)
	} else {
		keeping, stop := context.WithCancel(ctx)
		defer stop()
		err = keepToken(keeping, s, tokenCheck, write, stderr)
	}
	if err != nil {
		return err
	}
	isv := *provider
	if isv == "" {
		isv = s.ProductionAddress()
	}
	if isv == "" {
		isv = "not known yet; tell it with: isv-sandbox provider http://127.0.0.1:9000/saasproduce"
	}
	controlDoor.open(s.ControlHandler())
	metricsDoor.open(s.MetricsHandler())
	for listener, handler := range handlers {
		serving.serve(listener, handler)
	}
	_, _ = fmt.Fprintf(stdout, `isv-sandbox %s
  open API     %s
  control API  %s
  login page   %s
  metrics      %s
  keys         %s (in a shell: . %s)
  database     %s
  your ISV     %s
ready
`, sandbox.Version, marketURL, controlURL, centre.loginPage, shownMetrics(metrics, controlURL), *keyFile, shellPath(*keyFile), store.Redacted(*database), isv)

	return runUntil(ctx, s, serving, operation.shutdownTimeout, log)
}

// authCentre is where the auth centres are served.
type authCentre struct {
	net.Listener
	url       string
	loginPage string
	trust     string // file with the certificate
}

// variables are what the ISV needs to know of it.
func (a authCentre) variables() [][2]string {
	if a.url == "" {
		return nil
	}
	return [][2]string{{envLoginPage, a.loginPage}, {envAuthCA, a.trust}}
}

// openAuthCentre listens for the auth centres with a certificate of our own, which is kept beside the key file. They are served over
// TLS because the contract wants their addresses to begin with https://.
func openAuthCentre(ctx context.Context, address, listen, keyFile string) (a authCentre, err error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return a, err
	}
	if address == "" {
		n, err := net.DefaultResolver.LookupPort(ctx, "tcp", port)
		if err != nil {
			return a, err
		}
		if n != 0 {
			n += 2
		}
		address = net.JoinHostPort(host, strconv.Itoa(n))
	} else if host, _, err = net.SplitHostPort(address); err != nil {
		return a, misuse("--auth-listen %q: expected host:port, or off", address)
	}
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if ip := net.ParseIP(host); host != "" && !slices.Contains(hosts, host) && (ip == nil || !ip.IsUnspecified()) {
		hosts = append(hosts, host)
	}
	base := strings.TrimSuffix(keyFile, filepath.Ext(keyFile))
	if a.trust, err = filepath.Abs(base + ".ca.pem"); err != nil {
		return a, err
	}
	cert, err := ownCertificate(base+".tls.pem", a.trust, hosts, time.Now())
	if err != nil {
		return a, err
	}
	var lc net.ListenConfig
	plain, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return a, &hintError{fmt.Errorf("--auth-listen: %w", err), "choose another --auth-listen, or off if no product of yours is sold in joint operation"}
	}
	a.Listener = tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	a.url = "https://" + plain.Addr().String()
	if tcp, ok := plain.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() { // no address to tell anybody
		a.url = "https://" + net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	a.loginPage = a.url + "/unified-login"
	return a, nil
}

// shellPath is how to name a file to the shell's dot command, which looks a bare name up in PATH.
func shellPath(name string) string {
	if strings.ContainsRune(name, filepath.Separator) {
		return name
	}
	return "./" + name
}

// reachable is an address under which a listener is reached from this machine: one that is bound to all addresses has no other to tell.
func reachable(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(tcp.Port))
	}
	return a.String()
}

func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// cannotListen says which flag named the address, and what to do if it is taken.
func cannotListen(flag string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return &hintError{fmt.Errorf("%s: %w", flag, err), "is another sandbox running? choose another " + flag + "; port 0, as in 127.0.0.1:0, picks a free one"}
	}
	return &hintError{fmt.Errorf("%s: %w", flag, err), "expected host:port, such as 127.0.0.1:8480; port 0 picks one"}
}
