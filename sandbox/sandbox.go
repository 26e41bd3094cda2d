// Package sandbox is a marketplace on your own machine: a buyer pays, the ISV's production address is called as the
// marketplace would call it, and the open API answers the ISV's questions and takes its usage.
//
//	s, err := sandbox.New(ctx, sandbox.Config{ProductionAddress: "http://127.0.0.1:9000/saasproduce"})
//	…
//	go http.ListenAndServe("127.0.0.1:8480", s.OpenAPIHandler())
//	go http.ListenAndServe("127.0.0.1:8481", s.ControlHandler())
//	s.Run(ctx) // delivers until ctx is over
//
// The command isv-sandbox is this package behind flags. What the sandbox imitates and what it does not is in README.md.
package sandbox

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/authcentre"
	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/control"
	"github.com/isvkit/isvkit/sandbox/internal/delivery"
	"github.com/isvkit/isvkit/sandbox/internal/doctor"
	"github.com/isvkit/isvkit/sandbox/internal/egress"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/kitbook"
	"github.com/isvkit/isvkit/sandbox/internal/licensebook"
	"github.com/isvkit/isvkit/sandbox/internal/marketbook"
	"github.com/isvkit/isvkit/sandbox/internal/metrics"
	"github.com/isvkit/isvkit/sandbox/internal/openapiserver"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/outbox"
	"github.com/isvkit/isvkit/sandbox/internal/probebook"
	"github.com/isvkit/isvkit/sandbox/internal/queue"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/usagebook"
	"github.com/isvkit/isvkit/sandbox/market"
)

// Version is the version of the sandbox.
const Version = "0.1.0"

// Keys are the secrets that the sandbox and the ISV share, and the control API's token.
type Keys struct {
	BaseKey      string // access key of the base interface class: signs base calls, calls of V1, and the bodies of usage pushes
	KitKey       string // access key of the kit interface class: signs tenant, application, user and department calls
	GeneralKey   string // access key of the general interface class: signs order notices
	LicenseKey   string // access key of the licence interface class: signs calls about licences
	AK, SK       string // sign what the ISV sends to the open API
	ControlToken string // opens the control API
}

// GenerateKeys fills in the keys that are empty with random ones.
func (k Keys) GenerateKeys() Keys {
	for _, f := range []struct {
		key   *string
		bytes int
	}{{&k.BaseKey, 24}, {&k.KitKey, 24}, {&k.GeneralKey, 24}, {&k.LicenseKey, 24}, {&k.AK, 10}, {&k.SK, 24}, {&k.ControlToken, 24}} {
		if *f.key == "" {
			random := make([]byte, f.bytes)
			_, _ = rand.Read(random) // never fails, see crypto/rand
			*f.key = hex.EncodeToString(random)
		}
	}
	return k
}

// Format keeps the keys out of logs.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("{keys redacted}")) }

// Attempt is a request to an ISV as it leaves. Its Violations are none, or the sandbox has a mistake.
type Attempt = delivery.Sent

// Exchange is one request to the open API and how it was answered.
type Exchange = openapiserver.Exchange

// Limits are what one seller may take of a shared sandbox. 0 is no limit.
type Limits = access.Limits

// SharedLimits are limits for a sandbox that many sellers share: far more than a test needs, far less than a machine can do.
var SharedLimits = access.SharedLimits

// EgressPolicy says where the sandbox may connect to. Link-local addresses, the metadata addresses of clouds and the like are never
// among it. The address that was checked is the one that is dialled, whatever its name resolves to a moment later.
type EgressPolicy = egress.Rules

// The presets of an EgressPolicy.
const (
	EgressLaptop  = egress.Laptop
	EgressStaging = egress.Staging
)

// Config is what a sandbox can be told. The zero value is a sandbox in memory with random keys that knows no ISV yet.
type Config struct {
	// Database is a file, made if there is none, or postgres://user:password@host:port/database, a schema of its own in PostgreSQL (another
	// than the user's first with ?search_path=…), or ":memory:". Empty means ":memory:".
	Database string
	// Keys to use; empty ones are random. See [Sandbox.Keys].
	Keys Keys
	// ProductionAddress is where the demo seller's ISV is called. Empty means the one set earlier in the same database, if any.
	ProductionAddress string
	// Egress says where the sandbox may connect to. The zero value allows loopback and private networks.
	Egress EgressPolicy
	// HTTPClient makes the calls to the ISV. Its timeout and redirect policy are replaced by the marketplace's (20 s, none).
	// Egress does not bind it: where it connects to, which proxies it asks and whom it trusts is up to whoever made it. The doctor
	// does not use it, and is bound. Default: a client that keeps to Egress, asks no proxy, decompresses nothing, and keeps as many
	// connections to one ISV as there are attempts at a time.
	HTTPClient *http.Client
	// Now is real time. Default: time.Now.
	Now func() time.Time
	// Tokens closes the control API to the control token: only tokens that createToken made are taken, which say who asks and what he
	// may do. [Sandbox.OperatorToken] makes the first. Without it, the control token is the operator's, and tokens are taken as well.
	Tokens bool
	// SellerTokenTTL is how long a seller's token is good if nobody says otherwise. Default: a day.
	SellerTokenTTL time.Duration
	// Policies are the markets on which sellers can be registered. Default: those that come with package market.
	Policies *market.Set
	// Limits are what one seller may take. The zero value sets none; see [SharedLimits].
	Limits Limits
	// Retention says what is kept in the journal. The zero value keeps everything.
	Retention Retention
	// SecretsKey seals the secrets in the database: 32 bytes in Base64, one key a line; the first seals, every one opens. Empty: a random one
	// for a database in memory; for a file, that of [SecretsKeyFile] beside it, the name with .secrets in place of its extension. A
	// database in PostgreSQL needs one.
	SecretsKey string
	// Seed makes the ids of orders repeatable: with the same seed, the same purchases at the same times on the clock get the same ids.
	// 0 means random ones.
	Seed uint64
	// Observe, if set, is called after every request to the open API, from the goroutine that served it.
	Observe func(Exchange)
	// ObserveAttempt, if set, is called before every request to an ISV, from the goroutine that sends it.
	ObserveAttempt func(Attempt)
	// Logger gets what the operator should know. Default: slog.Default. It never gets keys.
	Logger *slog.Logger
	// MarketURL and ControlURL are what the status tells about the addresses the handlers are served at. They may be set later
	// with SetAddresses, once the listeners are bound.
	MarketURL, ControlURL string
	// AuthCentreURL is where browsers and the ISV reach the auth centres of kit tenants: https://host of AuthCentreHandler, because
	// the contract wants the domainName of tenantSync to begin with https://. Without it no instance can be bound to an enterprise.
	// It may be set later with SetAuthCentre.
	AuthCentreURL string
}

// Sandbox is a marketplace.
type Sandbox struct {
	now      func() time.Time // real time
	keys     Keys
	store    *store.Store
	clock    *clock.Clock
	outbox   *outbox.Outbox
	book     *orderbook.Book
	licenses *licensebook.Book
	probes   *probebook.Book
	markets  *marketbook.Book
	queue    queue.Queue
	log      *slog.Logger
	openAPI  http.Handler
	control  http.Handler
	kit      *kitbook.Book
	centres  http.Handler
	gate     *egress.Gate
	gated    bool // calls go through the gate: no HTTPClient was given
	metrics  *metrics.Metrics
	stored   stored

	retention Retention
	sweeping  sync.Mutex

	stopping context.Context //nolint:containedctx // over when Drain begins
	stop     context.CancelFunc

	clockMu   sync.Mutex
	clockText string // the settings of the clock as they were read or written last

	asked sync.Map // the latest request to the open API, *doctor.Asked, by seller; of anybody under ""

	mu         sync.Mutex
	marketURL  string
	controlURL string
	centreURL  string
}

// settings of the database
const (
	settingAhead  = "clock-ahead"
	settingHeld   = "clock-held"   // since when, if it was stopped
	settingMoving = "clock-moving" // where it is, while a process moves it; for those that share the database
	settingSeeded = "catalogue-seeded"
)

// New opens the database and makes a sandbox. Nothing is delivered before [Sandbox.Run].
func New(ctx context.Context, cfg Config) (*Sandbox, error) {
	if cfg.Database == "" {
		cfg.Database = ":memory:"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Policies == nil {
		cfg.Policies = market.Embedded()
	}
	policy, err := egress.New(cfg.Egress)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	gate, gated := egress.NewGate(policy, egress.Options{Log: cfg.Logger, Idle: queue.Workers}), cfg.HTTPClient == nil
	if gated {
		cfg.HTTPClient = &http.Client{Transport: gate}
	}
	if cfg.ProductionAddress != "" {
		err := catalogue.CheckAddress(cfg.ProductionAddress)
		if err == nil && gated {
			err = policy.Check(cfg.ProductionAddress)
		}
		if err != nil {
			return nil, fmt.Errorf("sandbox: %w", err)
		}
	}
	ring, made, err := secretsRing(cfg)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	keys := cfg.Keys.GenerateKeys()
	st, err := store.Open(ctx, cfg.Database)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := st.Unlock(ctx, ring); err != nil {
		if made != "" && IsOtherSecretsKey(err) { // the right one was somewhere else
			err = errors.Join(err, os.Remove(made))
		}
		return nil, errors.Join(fmt.Errorf("sandbox: database %s: %w", store.Redacted(cfg.Database), err), st.Close())
	}
	s := &Sandbox{
		now: cfg.Now, keys: keys, store: st, log: cfg.Logger, gate: gate, gated: gated,
		marketURL: cfg.MarketURL, controlURL: cfg.ControlURL, centreURL: cfg.AuthCentreURL, metrics: metrics.New(Version), retention: cfg.Retention,
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	st.Observe(s.metrics)
	if err := s.load(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: database %s: %w", store.Redacted(cfg.Database), err), s.Close())
	}
	if err := s.assemble(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox: %w", err), s.Close())
	}
	return s, nil
}

// assemble puts the parts together.
func (s *Sandbox) assemble(ctx context.Context, cfg Config) (err error) {
	s.outbox = outbox.New(s.store, s.clock, delivery.NewSender(cfg.HTTPClient, cfg.ObserveAttempt), cfg.Logger)
	s.outbox.Observe(s.metrics)
	s.licenses = licensebook.New(s.store, s.clock, func(tx *store.Tx, p orderbook.Placement) (store.Order, error) { return s.book.Place(tx, p) })
	s.probes = probebook.New(s.store, s.clock, s.outbox, cfg.Policies)
	s.markets = marketbook.New(s.store, s.clock, cfg.Policies, s.probes.Become)
	if s.book, err = orderbook.New(orderbook.Config{
		Store: s.store, Clock: s.clock, Asker: s.outbox, Licences: s.licenses, OrderFailed: s.probes.OrderFailed, Market: s.markets, Random: seeded(cfg.Seed),
	}); err != nil {
		return err
	}
	s.kit = kitbook.New(s.store, s.clock, s.AuthCentre)
	s.centres = authcentre.New(s.kit, func() bool { return strings.HasPrefix(s.AuthCentre(), "https://") }, cfg.Logger)
	s.outbox.Handle("", s.kit.AfterRelease(s.book))
	s.outbox.GoesBack(s.book.GoesBack)
	s.outbox.Handle(licensebook.KindLicense, s.licenses)
	s.outbox.Handle(licensebook.KindFile, s.licenses)
	if s.queue, err = s.openQueue(ctx); err != nil {
		return err
	}
	s.openAPI, err = openapiserver.New(openapiserver.Config{
		Store: s.store, Clock: s.clock, Usage: usagebook.New(s.store, s.clock, s.book.UsedUp), Licenses: s.licenses, Observe: cfg.Observe, Log: cfg.Logger,
		Seen: s.seen, Rates: access.NewRates(cfg.Limits.OpenAPIRate, cfg.Now),
	})
	if err != nil {
		return err
	}
	who := control.Access{ControlToken: s.keys.ControlToken, SellerTTL: cfg.SellerTokenTTL, Limits: cfg.Limits, Now: cfg.Now}
	if cfg.Tokens {
		who.ControlToken = ""
	}
	s.metrics.Watch(s.state)
	health := s.HealthHandler()
	controlAPI := control.New(driver{s}, who, control.Watch{Metrics: s.metrics, Observer: s.metrics, Stopping: s.stopping}, cfg.Logger)
	s.control = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			health.ServeHTTP(w, r)
			return
		}
		controlAPI.ServeHTTP(w, r)
	})
	return s.tellRefusedAddresses(ctx)
}

// seeded is a random source that gives the same each time; nil for seed 0.
func seeded(seed uint64) io.Reader {
	if seed == 0 {
		return nil
	}
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	return mathrand.NewChaCha8(key)
}

// openQueue gives the queue that goes with the store.
func (s *Sandbox) openQueue(ctx context.Context) (queue.Queue, error) {
	work := queue.Work{Deliver: s.outbox.Deliver, Tick: s.tick}
	if !s.store.Shared() {
		return queue.NewLocal(s.store, s.clock, work, s.log), nil
	}
	s.store.OnElsewhere(func() {
		if err := s.syncClock(context.Background()); err != nil {
			s.log.Warn("cannot read where the clock is", "error", err)
		}
	})
	shared, err := queue.NewRiver(ctx, s.store, s.clock, work, queue.Shared{Sync: s.syncClock, Save: s.saveClock, Adopt: s.adoptClock}, s.log)
	if err != nil {
		return nil, err
	}
	return shared, nil
}

// tick does what time demands of a subject.
func (s *Sandbox) tick(ctx context.Context, subject string) error {
	switch kind := outbox.KindOf(subject); kind {
	case "":
		return s.book.Tick(ctx, subject)
	case licensebook.KindLicense:
		return s.licenses.Tick(ctx, subject)
	case probebook.KindProbe:
		return s.probes.Tick(ctx, subject)
	case marketbook.KindSale, marketbook.KindStatement, marketbook.KindSeller:
		return s.markets.Tick(ctx, subject)
	default:
		return fmt.Errorf("nobody knows what to do with the timer of %s", subject)
	}
}

// load takes up what an earlier process left in the database, and makes it a marketplace if it is new.
func (s *Sandbox) load(ctx context.Context, cfg Config) error {
	s.clock = clock.New(cfg.Now, 0)
	if err := s.loadClock(ctx); err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx *store.Tx) error {
		keys, err := tx.TokenKeys()
		if err == nil && len(keys) == 0 {
			err = tx.AddTokenKey(access.NewKey(cfg.Now()))
		}
		return errors.Join(err, s.seed(tx, cfg.ProductionAddress))
	})
}

// operatorTTL is the life of the operator's token that the sandbox makes by itself. It is renewed when half of it is over.
const operatorTTL = 7 * 24 * time.Hour

// OperatorToken gives an operator's token for the control API, good for a week: the one that is given, if there is one, as long as the key
// that signed it still signs and half of its life is ahead; else a new one.
func (s *Sandbox) OperatorToken(ctx context.Context, earlier string) (string, error) {
	keys, err := s.store.TokenKeys(ctx)
	if err != nil {
		return "", err
	}
	now := s.now()
	newest, _ := keys.Newest()
	if p, err := keys.Verify(earlier, now); err == nil && p.Role == access.Operator && p.KeyID == newest.ID && p.Expires.Sub(now) > operatorTTL/2 {
		return earlier, nil
	}
	text, _, err := keys.Issue(access.Operator, "", operatorTTL, now)
	return text, err
}

// loadClock sets the clock as the database says.
func (s *Sandbox) loadClock(ctx context.Context) error {
	s.clockMu.Lock()
	defer s.clockMu.Unlock()
	s.clockText = ""
	return s.setClock(ctx)
}

// syncClock sets the clock as another process may have written it, unless this one is moving it.
func (s *Sandbox) syncClock(ctx context.Context) error {
	s.clockMu.Lock()
	defer s.clockMu.Unlock()
	return s.setClock(ctx)
}

func (s *Sandbox) setClock(ctx context.Context) error {
	if s.clock.Moving() {
		return nil
	}
	settings, err := s.store.Settings(ctx, settingAhead, settingHeld, settingMoving)
	if err != nil {
		return err
	}
	text := fmt.Sprint(settings)
	if text == s.clockText {
		return nil
	}
	var ahead time.Duration
	var stands time.Time
	for name, read := range map[string]func(text string) error{
		settingAhead: func(text string) (err error) { ahead, err = time.ParseDuration(text); return err },
		settingHeld:  func(text string) (err error) { stands, err = time.Parse(time.RFC3339Nano, text); return err },
	} {
		if text, found := settings[name]; found {
			if err := read(text); err != nil {
				return fmt.Errorf("setting %s: %w", name, err)
			}
		}
	}
	if text, found := settings[settingMoving]; found && s.store.Shared() {
		if stands, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return fmt.Errorf("setting %s: %w", settingMoving, err)
		}
	}
	s.clock.Restart(ahead, stands)
	s.clockText = text
	return nil
}

// saveClock writes where the clock is, for the next process and for those beside.
func (s *Sandbox) saveClock(ctx context.Context) error {
	s.clockMu.Lock()
	defer s.clockMu.Unlock()
	now, ahead := s.clock.Now().Format(time.RFC3339Nano), s.clock.Ahead().String()
	settings := map[string]string{settingAhead: ahead}
	if s.clock.Held() {
		settings[settingHeld] = now
	}
	if s.clock.Moving() && s.store.Shared() {
		settings[settingMoving] = now
	}
	err := s.store.UpdateQuietly(ctx, func(tx *store.Tx) error {
		tx.Announce()
		for _, name := range []string{settingAhead, settingHeld, settingMoving} {
			var err error
			if text, found := settings[name]; found {
				err = tx.PutSetting(name, text)
			} else {
				err = tx.DeleteSetting(name)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.clockText = fmt.Sprint(settings)
	}
	return err
}

// adoptClock lets the clock run on, or stand, where a process that died has moved it.
func (s *Sandbox) adoptClock(ctx context.Context) error {
	settings, err := s.store.Settings(ctx, settingHeld, settingMoving)
	if _, moving := settings[settingMoving]; err != nil || !moving {
		return err
	}
	if err := s.syncClock(ctx); err != nil {
		return err
	}
	if _, held := settings[settingHeld]; !held {
		s.clock.Run()
	}
	return s.saveClock(ctx)
}

// seed writes the seller, products and buyer that every sandbox has. The seller's keys are those of the configuration, whatever an
// earlier process had; products are written once, as they may be changed or deleted since.
func (s *Sandbox) seed(tx *store.Tx, address string) error {
	seller, err := tx.Seller(catalogue.DemoSeller)
	if errors.Is(err, store.ErrNotFound) {
		seller, err = catalogue.Seller{ID: catalogue.DemoSeller, Name: "Demo ISV"}, nil
		// Where databases of schema 1 kept it.
		if old, err := tx.Setting("production-address"); err == nil {
			seller.Address = old
		}
	}
	if err != nil {
		return err
	}
	if address != "" {
		seller.Address = address
	}
	seller.Keys = catalogue.Keys{
		AK: s.keys.AK, SK: s.keys.SK, Base: s.keys.BaseKey, Kit: s.keys.KitKey, General: s.keys.GeneralKey, License: s.keys.LicenseKey,
	}
	if err := tx.PutSeller(seller); err != nil {
		return err
	}
	switch _, err := tx.Setting(settingSeeded); {
	case err == nil:
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	for _, p := range catalogue.DemoProducts() {
		if err := tx.PutProduct(p); err != nil {
			return err
		}
	}
	return errors.Join(tx.PutBuyer(catalogue.DemoBuyer), tx.PutSetting(settingSeeded, "yes"))
}

// Keys are the keys in use. Show them to the ISV, and to nobody else.
func (s *Sandbox) Keys() Keys { return s.keys }

// OpenAPIHandler serves what the ISV calls, the auth centres included. Mount it at the root of a listener.
func (s *Sandbox) OpenAPIHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if authcentre.Handles(r.URL.Path) {
			s.centres.ServeHTTP(w, r)
			return
		}
		s.openAPI.ServeHTTP(w, r)
	})
}

// AuthCentreHandler serves the login page and the auth centres of kit tenants, and nothing else. Mount it at the root of a listener
// that speaks TLS, and tell where that is with SetAuthCentre.
func (s *Sandbox) AuthCentreHandler() http.Handler { return s.centres }

// SetAuthCentre tells where the auth centres are served, https://host. Tenants that are bound already keep the address that their
// ISV was told.
func (s *Sandbox) SetAuthCentre(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.centreURL = url
}

// AuthCentre is where the auth centres are served; empty if nobody said so.
func (s *Sandbox) AuthCentre() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.centreURL
}

// ControlHandler serves the control API. Mount it at the root of a listener of its own.
func (s *Sandbox) ControlHandler() http.Handler { return s.control }

// SetAddresses tells where the two handlers are served, for the status.
func (s *Sandbox) SetAddresses(marketURL, controlURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.marketURL, s.controlURL = marketURL, controlURL
}

// ProductionAddress is where the demo seller's ISV is called; empty if nobody said so yet.
func (s *Sandbox) ProductionAddress() string {
	seller, err := s.store.Seller(context.Background(), catalogue.DemoSeller)
	if err != nil {
		s.log.Error("cannot read the production address", "error", err)
	}
	return seller.Address
}

// interrupt marks the attempts that an earlier process began and did not end. Where others live, they may be theirs: the queue marks
// them when it goes on with what they are about.
func (s *Sandbox) interrupt(ctx context.Context) (n int64, err error) {
	if s.store.Shared() {
		var processes []int32
		err := store.Patiently(ctx, func() (err error) {
			processes, err = s.store.Processes(ctx)
			return err
		})
		if err != nil || len(processes) > 1 {
			return 0, err
		}
	}
	err = s.store.Update(ctx, func(tx *store.Tx) (err error) {
		n, err = tx.InterruptAttempts()
		return err
	})
	return n, err
}

// Run delivers calls until the context is over, and returns once no attempt is under way. What is not delivered by then stays
// in the database, for the next Run on it.
func (s *Sandbox) Run(ctx context.Context) error {
	interrupted, err := s.interrupt(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if interrupted > 0 {
		s.log.Info("going on where an earlier process stopped", "interruptedAttempts", interrupted)
	}
	sweeping, stop := context.WithCancel(ctx)
	var sweeper sync.WaitGroup
	sweeper.Go(func() { s.keepJournal(sweeping) })
	defer func() {
		stop()
		sweeper.Wait()
	}()
	if err := s.queue.Run(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// Close closes the database. Call it after Run has returned.
func (s *Sandbox) Close() error {
	s.stop()
	s.gate.CloseIdleConnections()
	if s.queue != nil {
		s.queue.Close()
	}
	return s.store.Close()
}

// SetEgress puts another policy in force. Attempts that begin from now on keep to it; connections that were made before are not used
// again.
func (s *Sandbox) SetEgress(p EgressPolicy) error {
	policy, err := egress.New(p)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	s.gate.Replace(policy)
	return nil
}

// Now is the time on the sandbox's clock.
func (s *Sandbox) Now() time.Time { return s.clock.Now() }

// Advance moves the clock forward. It returns when everything that came due on the way was attempted; Run must be running.
func (s *Sandbox) Advance(ctx context.Context, d time.Duration) error {
	return s.advance(ctx, func(now time.Time) time.Time { return now.Add(d) })
}

// AdvanceTo moves the clock forward to a moment, as [Sandbox.Advance] does. A moment that is past leaves it where it is.
func (s *Sandbox) AdvanceTo(ctx context.Context, t time.Time) error {
	return s.advance(ctx, func(time.Time) time.Time { return t })
}

func (s *Sandbox) advance(ctx context.Context, to func(now time.Time) time.Time) error {
	var before time.Time
	from := func(now time.Time) time.Time {
		before = now
		return to(now)
	}
	if err := s.queue.Advance(ctx, from, func() error { return s.saveClock(ctx) }); err != nil {
		return fmt.Errorf("move the clock: %w", err)
	}
	now := s.clock.Now()
	return errors.Join(s.store.Update(ctx, func(tx *store.Tx) error {
		return tx.AddEvent(event.ClockMoved(now.Sub(before).Round(time.Second), now))
	}))
}

// HoldClock stops the clock, so that only Advance moves it.
func (s *Sandbox) HoldClock(ctx context.Context) error {
	return s.changeClock(ctx, s.clock.Hold)
}

// changeClock changes the clock; where processes share it, from where it is for all of them, and while none moves it.
func (s *Sandbox) changeClock(ctx context.Context, change func()) error {
	f := func() error {
		change()
		return s.saveClock(ctx)
	}
	shared, ok := s.queue.(*queue.River)
	if !ok {
		return f()
	}
	return shared.Exclusively(ctx, func() error {
		if err := s.syncClock(ctx); err != nil {
			return err
		}
		return f()
	})
}

// RunClock lets a clock that was stopped run on from where it stands.
func (s *Sandbox) RunClock(ctx context.Context) error {
	defer s.queue.Look()
	return s.changeClock(ctx, s.clock.Run)
}

// Snapshot writes everything into a new file, an SQLite database. The sellers' keys in it are sealed with the secrets key, without which it
// cannot be restored.
func (s *Sandbox) Snapshot(ctx context.Context, file string) error {
	return s.store.Snapshot(ctx, file)
}

// Restore puts a snapshot in place of everything, once the attempts under way have ended, in all processes. The clock goes on where it was in
// the snapshot. The keys of the configuration stay in force, and the production address if the snapshot has none; keys of tokens and the audit
// log stay as they are. A snapshot whose secrets were sealed with a key that is not in [Config.SecretsKey] is refused: what goes from one
// sandbox in memory to another needs the same key in both.
func (s *Sandbox) Restore(ctx context.Context, file string) error {
	address := s.ProductionAddress()
	return s.queue.Replace(ctx, func() error {
		if err := s.store.Restore(ctx, file); err != nil {
			return err
		}
		ctx := context.WithoutCancel(ctx) // from here on it must be ended
		if err := s.loadClock(ctx); err != nil {
			return err
		}
		return s.store.Update(ctx, func(tx *store.Tx) error {
			if _, err := tx.InterruptAttempts(); err != nil {
				return err
			}
			if seller, err := tx.Seller(catalogue.DemoSeller); err == nil && seller.Address != "" {
				address = ""
			}
			return s.seed(tx, address)
		})
	})
}

// Reset forgets everything that happened, once the attempts under way have ended: the catalogue is as at the first start, the clock
// shows real time. Keys and production address stay.
func (s *Sandbox) Reset(ctx context.Context) error {
	address := s.ProductionAddress()
	return s.queue.Replace(ctx, func() error {
		if err := s.store.Clear(ctx); err != nil {
			return err
		}
		ctx := context.WithoutCancel(ctx)
		s.clock.Restart(0, time.Time{})
		return s.store.Update(ctx, func(tx *store.Tx) error { return s.seed(tx, address) })
	})
}

// Settle waits until nothing is due on the sandbox's clock and nothing is under way; Run must be running.
func (s *Sandbox) Settle(ctx context.Context) error { return s.queue.Settle(ctx) }

// RegisterOrder adds an order from outside, for a judge: order query answers it, but nothing is delivered for it.
func (s *Sandbox) RegisterOrder(ctx context.Context, order marketplaceapi.OrderInfo) error {
	return s.book.Register(ctx, order)
}

// RegisterInstance says that the ISV opened an instance for a line of a registered order, so that usage may be pushed for it.
func (s *Sandbox) RegisterInstance(ctx context.Context, orderLineID, instanceID string) error {
	return s.book.RegisterInstance(ctx, orderLineID, instanceID)
}

// UsageRecords lists pushed usage records, newest first.
func (s *Sandbox) UsageRecords(ctx context.Context, limit int) ([]sandboxapi.UsageRecord, error) {
	records, err := s.store.UsageRecords(ctx, limit)
	views := make([]sandboxapi.UsageRecord, len(records))
	for i, r := range records {
		views[i] = control.UsageView(r)
	}
	return views, err
}

// seen remembers what the ISV asked for last, for the doctor.
func (s *Sandbox) seen(x *Exchange) {
	s.metrics.OpenAPI(x.Operation, x.Status, x.Code, time.Since(x.Time))
	if x.SellerID != "" && (x.Code == openapiserver.CodeTooOften || x.Code == openapiserver.CodeThrottled) && x.Fault == "" {
		s.metrics.Limited(metrics.LimitOpenAPI)
	}
	asked := &doctor.Asked{Operation: x.Operation, Path: x.Path, Status: x.Status, Code: x.Code, Detail: x.Detail}
	s.asked.Store("", asked)
	if x.SellerID != "" {
		s.asked.Store(x.SellerID, asked)
	}
}

// driver shows a Sandbox to the control API without making all of it public.
type driver struct{ *Sandbox }

func (d driver) Book() *orderbook.Book           { return d.book }
func (d driver) Licenses() *licensebook.Book     { return d.licenses }
func (d driver) Probes() *probebook.Book         { return d.probes }
func (d driver) Markets() *marketbook.Book       { return d.markets }
func (d driver) Outbox() *outbox.Outbox          { return d.outbox }
func (d driver) Store() *store.Store             { return d.store }
func (d driver) Clock() *clock.Clock             { return d.clock }
func (d driver) Version() string                 { return Version }
func (d driver) Kit() *kitbook.Book              { return d.kit }
func (d driver) HasKeyFile(sellerID string) bool { return sellerID == catalogue.DemoSeller }

func (d driver) Gate() *egress.Gate { return d.gate }

// MayCall tells whether the policy allows calls to an address, as far as that can be told now.
func (d driver) MayCall(address string) error {
	if !d.gated {
		return nil
	}
	return d.gate.Policy().Check(address)
}

func (d driver) RefusedAddresses(ctx context.Context, sellerID string) ([]doctor.RefusedAddress, error) {
	return d.refusedAddresses(ctx, sellerID)
}

func (d driver) LastAsked(sellerID string) *doctor.Asked {
	asked, _ := d.asked.Load(sellerID)
	latest, _ := asked.(*doctor.Asked)
	return latest
}

func (d driver) SetProductionAddress(ctx context.Context, sellerID, address string) error {
	return d.store.Update(ctx, func(tx *store.Tx) error {
		seller, err := tx.Seller(sellerID)
		if err != nil {
			return err
		}
		seller.Address = address
		return errors.Join(tx.PutSeller(seller), tx.AddEvent(event.ProviderChanged(seller.ID, address, d.clock.Now())))
	})
}

func (d driver) Addresses() (market, control string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.marketURL, d.controlURL
}
