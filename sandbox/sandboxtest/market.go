package sandboxtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/signature"
)

// Env is what an ISV has to know of its marketplace.
type Env struct {
	// MarketURL is the address of the open API.
	MarketURL string
	// Keys are what the ISV and the marketplace share. The control token in it is not for the ISV.
	Keys sandbox.Keys
	// Client is a client of the open API, with the keys and short waits between its attempts.
	Client *marketplace.Client
}

// Market is a marketplace that runs until the test is over.
type Market struct {
	// URL is the address of the open API, which the ISV calls.
	URL string

	sandbox *sandbox.Sandbox
	control *sandboxapi.Client
	client  *marketplace.Client
	centre  *httptest.Server
}

type options struct {
	cfg      sandbox.Config
	provider func(Env) http.Handler
	url      string
	at       time.Time
	held     bool
}

// Option says something about the marketplace to start.
type Option func(*options)

// Provider is the ISV under test, served on a listener of its own at every path. See [ProviderFunc] for a handler that cannot be made
// before the address of the marketplace and the keys are known.
func Provider(h http.Handler) Option { return ProviderFunc(func(Env) http.Handler { return h }) }

// ProviderFunc makes the ISV under test, once the marketplace listens.
func ProviderFunc(f func(env Env) http.Handler) Option { return func(o *options) { o.provider = f } }

// ProviderURL is the production address of an ISV that is served elsewhere, in any language. Give it [Market.URL] and [Market.Keys],
// which can be chosen with [WithKeys].
func ProviderURL(address string) Option { return func(o *options) { o.url = address } }

// WithKeys chooses the keys; those left empty are random, as all are by default.
func WithKeys(keys sandbox.Keys) Option { return func(o *options) { o.cfg.Keys = keys } }

// StartingAt is the time that the clock shows at the start, for tests about dates, such as the end of a month or a leap year. It
// runs on from there. Signatures carry real time all the same. Default: now.
func StartingAt(at time.Time) Option { return func(o *options) { o.at = at } }

// Held keeps the clock from running by itself: it moves only with [Market.Advance], so that two runs of a test see the same times. By
// default it runs like real time between the moves.
func Held() Option { return func(o *options) { o.held = true } }

// Observe is called after every request to the open API, from the goroutine that served it.
func Observe(f func(sandbox.Exchange)) Option { return func(o *options) { o.cfg.Observe = f } }

// Logger gets what the operator of a sandbox should know. Default: nothing is logged.
func Logger(l *slog.Logger) Option { return func(o *options) { o.cfg.Logger = l } }

// now is the real time of the sandbox's clock.
func (o *options) now() func() time.Time {
	begin := time.Now()
	at := o.at
	if at.IsZero() {
		at = begin
	}
	switch {
	case o.held:
		return func() time.Time { return at }
	case o.at.IsZero():
		return nil
	}
	return func() time.Time { return at.Add(time.Since(begin)) }
}

// Start starts a marketplace with the products of the demo seller. It is stopped when the test is over.
func Start(t testing.TB, opts ...Option) *Market {
	t.Helper()
	o := options{cfg: sandbox.Config{Logger: slog.New(slog.DiscardHandler)}}
	for _, opt := range opts {
		opt(&o)
	}
	if o.provider != nil && o.url != "" {
		t.Fatal("sandboxtest: Provider and ProviderURL: expected one of them")
	}
	o.cfg.Now, o.cfg.ProductionAddress = o.now(), o.url
	// What the sandbox itself sends and answers is compared with the contract in every test, so that it never accuses wrongly.
	o.cfg.ObserveAttempt = func(a sandbox.Attempt) {
		for _, v := range a.Violations() {
			t.Errorf("sandboxtest: a mistake of the sandbox, please report it: its call %s %s is not as the contract says: %s", a.Activity, a.Body, v)
		}
	}
	o.cfg.Observe = func(x sandbox.Exchange) {
		for _, v := range x.Violations() {
			t.Errorf("sandboxtest: a mistake of the sandbox, please report it: its answer %s to %s %s is not as the contract says: %s", x.ResponseBody, x.Method, x.Path, v)
		}
	}
	s, err := sandbox.New(t.Context(), o.cfg)
	if err != nil {
		t.Fatalf("sandboxtest: %s", err)
	}
	market := httptest.NewServer(s.OpenAPIHandler())
	m := &Market{URL: market.URL, sandbox: s, control: controlClient(s), centre: startAuthCentre(s)}
	s.SetAddresses(market.URL, "")
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		market.CloseClientConnections()
		if err := <-ran; err != nil {
			t.Errorf("sandboxtest: %s", err)
		}
		market.Close()
		m.centre.CloseClientConnections()
		m.centre.Close()
		if err := s.Close(); err != nil {
			t.Errorf("sandboxtest: %s", err)
		}
	})
	m.client, err = marketplace.New(marketplace.Config{
		URL: m.URL, BaseKey: s.Keys().BaseKey, Credentials: signature.Credentials{AK: s.Keys().AK, SK: s.Keys().SK},
		RetryWaitMin: 10 * time.Millisecond, RetryWaitMax: time.Second, Logger: o.cfg.Logger,
	})
	if err != nil {
		t.Fatalf("sandboxtest: %s", err)
	}
	if o.provider != nil {
		handler := o.provider(Env{MarketURL: m.URL, Keys: s.Keys(), Client: m.client})
		if handler == nil {
			t.Fatal("sandboxtest: the ISV's handler is nil")
		}
		isv := httptest.NewServer(handler)
		t.Cleanup(isv.Close)
		m.SetProvider(t, isv.URL+"/saasproduce")
	}
	return m
}

// Keys are what the ISV and the marketplace share.
func (m *Market) Keys() sandbox.Keys { return m.sandbox.Keys() }

// Client is a client of the open API for the ISV, with the keys and short waits between its attempts.
func (m *Market) Client(testing.TB) *marketplace.Client { return m.client }

// Control is a client of the control API, described in openapi/sandbox.yaml, for what has no method here. Its requests do not leave
// the process.
func (m *Market) Control() *sandboxapi.Client { return m.control }

// SetProvider says where the ISV is called from now on, also for calls that wait.
func (m *Market) SetProvider(t testing.TB, address string) {
	t.Helper()
	resp, err := m.control.SetProvider(t.Context(), sandboxapi.ProviderSettings{ProductionAddress: address})
	_ = read[sandboxapi.ProviderSettings](t, m, "", resp, err)
}

// Now is the time on the marketplace's clock.
func (m *Market) Now() time.Time { return m.sandbox.Now() }

// Advance moves the clock forward. Everything that comes due on the way happens, in its order: retries, polls, expiry, release.
func (m *Market) Advance(t testing.TB, d time.Duration) {
	t.Helper()
	if d < 0 {
		t.Fatalf("sandboxtest: advance by %s: the clock only moves forward", d)
	}
	if err := m.sandbox.Advance(t.Context(), d); err != nil {
		t.Fatalf("sandboxtest: %s", err)
	}
}

// Settle waits until everything that is due was attempted. Methods that set something off do it themselves.
func (m *Market) Settle(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settleTimeout)
	defer cancel()
	if err := m.sandbox.Settle(ctx); err != nil {
		t.Fatalf("sandboxtest: calls to the ISV are still under way after %s: %s%s", settleTimeout, err, m.journal(t, ""))
	}
}

// settleTimeout is longer than the marketplace waits for an answer.
const settleTimeout = time.Minute

// controlClient is a client whose requests go straight to the handler.
func controlClient(s *sandbox.Sandbox) *sandboxapi.Client {
	token := "Bearer " + s.Keys().ControlToken
	return &sandboxapi.Client{
		Server: "http://control.invalid/",
		Client: &http.Client{Transport: direct{s.ControlHandler()}},
		RequestEditors: []sandboxapi.RequestEditorFn{func(_ context.Context, req *http.Request) error {
			req.Header.Set("Authorization", token)
			return nil
		}},
	}
}

// direct serves requests with a handler of this process.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	served := req.Clone(req.Context())
	if served.Body == nil {
		served.Body = http.NoBody
	}
	served.RequestURI = req.URL.RequestURI()
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, served)
	resp := rec.Result()
	resp.Request = req
	return resp, req.Context().Err()
}

// read reads an answer of the control API. A problem ends the test, with the journal of an instance.
func read[T any](t testing.TB, m *Market, line string, resp *http.Response, err error) (v T) {
	t.Helper()
	if err != nil {
		t.Fatalf("sandboxtest: %s", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("sandboxtest: %s", err)
	}
	if resp.StatusCode >= http.StatusBadRequest {
		var p sandboxapi.Problem
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatalf("sandboxtest: the control API answers HTTP %d: %s", resp.StatusCode, body)
		}
		t.Fatalf("sandboxtest: the marketplace refuses: %s: %s%s", p.Title, p.Detail, m.journal(t, line))
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&v); err != nil {
		t.Fatalf("sandboxtest: the control API's answer: %s", err)
	}
	return v
}
