package usage

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
)

// Pusher pushes usage records; *[marketplace.Client] is one.
type Pusher interface {
	PushUsage(ctx context.Context, records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error)
}

// Rejection is a window that the marketplace does not take. Look at Code and Message of the window. Where its Unsure is true, an
// earlier push ended without an answer, so the marketplace may have it after all.
type Rejection struct{ Window Window }

// Config is how a Reporter is set up. Store and Pusher are required.
type Config struct {
	// Store keeps what was recorded until the marketplace has it: one of package sqlstore, or [NewMemoryStore] in tests.
	Store Store

	// Pusher is the way to the marketplace, a *[marketplace.Client].
	Pusher Pusher

	// Window is the length of the pieces of time that usage is summed up in, aligned to UTC. It must divide a day into whole
	// seconds. Shorter than an hour is for tests and demonstrations. Default: 1 h, which suits hourly and daily billing.
	Window time.Duration

	// PushAfter is how long after the end of its window usage is pushed. The marketplace wants minutes 0 to 15. Default: chosen
	// at random once per Reporter between 1/60 and 1/5 of the window (minutes 1 to 12), so that ISVs do not all come at once
	// and minutes are left for a retry. Negative: at once.
	PushAfter time.Duration

	// OnRejected is told of each window that the marketplace does not take, once at least: again if the process ends before the
	// store has noted it. It is called by the goroutine that pushes. Default: a line in the log.
	OnRejected func(context.Context, Rejection)

	// MaxBatch is how many records go into one push at most. Default, and the marketplace's limit: 1000.
	MaxBatch int

	// PushTimeout bounds one push, the client's own retries included. Default: 3 min. What is being pushed is reserved for this
	// Reporter for that long and a minute more; after a crash it takes as long until it is pushed again.
	PushTimeout time.Duration

	// RetryWaitMin and RetryWaitMax bound the waits before a record is pushed again. Defaults: 10 s and 10 min.
	RetryWaitMin, RetryWaitMax time.Duration

	// PollEvery is how often Run looks for due windows. Default: 15 s, or a tenth of a Window that is shorter than 150 s.
	PollEvery time.Duration

	// Retention is how long done windows and the ids of calls are kept. Default and least: 30 days, because usage that comes
	// late must be told from what was pushed. Rejected windows are kept for good.
	Retention time.Duration

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Rand is where metering_sn and jitter come from. Default: crypto/rand.Reader.
	Rand io.Reader

	// Logger gets a line per push and per rejection. Default: slog.Default(), looked up for each line.
	Logger *slog.Logger
}

const (
	defaultWindow       = time.Hour
	defaultPushTimeout  = 3 * time.Minute
	defaultRetryWaitMin = 10 * time.Second
	defaultRetryWaitMax = 10 * time.Minute
	defaultPollEvery    = 15 * time.Second
	defaultRetention    = 30 * 24 * time.Hour
	leaseMargin         = time.Minute
	settleTimeout       = 10 * time.Second
)

// Reporter records usage and pushes it. It is safe for concurrent use. Several Reporters, in several processes, may share one
// store.
type Reporter struct {
	cfg       Config
	pushAfter time.Duration

	random   sync.Mutex // guards cfg.Rand
	pruned   atomic.Int64
	counters counters
}

// New returns a Reporter. The error says which setting makes no sense. Nothing is pushed before [Reporter.Run] or
// [Reporter.Flush].
func New(cfg Config) (*Reporter, error) {
	if cfg.Store == nil || cfg.Pusher == nil {
		return nil, errors.New("usage: Config.Store or Config.Pusher is nil")
	}
	if cfg.Window == 0 {
		cfg.Window = defaultWindow
	}
	if cfg.Window < time.Second || cfg.Window%time.Second != 0 || (24*time.Hour)%cfg.Window != 0 {
		return nil, fmt.Errorf("usage: Config.Window is %v, expected whole seconds that divide a day", cfg.Window)
	}
	if cfg.PushAfter >= MaxAge-cfg.Window {
		return nil, fmt.Errorf("usage: Config.PushAfter is %v: the marketplace takes nothing that is older than 21 days", cfg.PushAfter)
	}
	if cfg.MaxBatch < 0 || cfg.MaxBatch > marketplace.MaxRecords {
		return nil, fmt.Errorf("usage: Config.MaxBatch is %d, expected 0 (for the default) to %d", cfg.MaxBatch, marketplace.MaxRecords)
	}
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = marketplace.MaxRecords
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"PushTimeout", &cfg.PushTimeout, defaultPushTimeout},
		{"RetryWaitMin", &cfg.RetryWaitMin, defaultRetryWaitMin},
		{"RetryWaitMax", &cfg.RetryWaitMax, max(defaultRetryWaitMax, cfg.RetryWaitMin)},
		{"PollEvery", &cfg.PollEvery, min(defaultPollEvery, cfg.Window/10)},
		{"Retention", &cfg.Retention, defaultRetention},
	} {
		if *d.value < 0 {
			return nil, fmt.Errorf("usage: Config.%s is %v, expected 0 (for the default) or more", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if cfg.RetryWaitMax < cfg.RetryWaitMin {
		return nil, fmt.Errorf("usage: Config.RetryWaitMax is %v, expected RetryWaitMin (%v) or more", cfg.RetryWaitMax, cfg.RetryWaitMin)
	}
	if cfg.Retention < defaultRetention {
		return nil, fmt.Errorf("usage: Config.Retention is %v, expected %v or more", cfg.Retention, defaultRetention)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	r := &Reporter{cfg: cfg, pushAfter: max(cfg.PushAfter, 0)}
	if cfg.PushAfter == 0 {
		least, most := cfg.Window/60, cfg.Window/5
		r.pushAfter = (least + r.jitter(most-least)).Truncate(time.Second)
	}
	return r, nil
}

// jitter returns a random time of less than n.
func (r *Reporter) jitter(n time.Duration) time.Duration {
	var b [8]byte
	r.read(b[:])
	return time.Duration(binary.BigEndian.Uint64(b[:]) >> 1 % uint64(max(n, 1))) //nolint:gosec // less than n
}

func (r *Reporter) newSN() string {
	var b [16]byte
	r.read(b[:])
	return hex.EncodeToString(b[:])
}

func (r *Reporter) read(b []byte) {
	r.random.Lock()
	defer r.random.Unlock()
	if _, err := io.ReadFull(r.cfg.Rand, b); err != nil {
		_, _ = rand.Read(b) // never fails; a source that has run dry must not repeat a metering_sn
	}
}

func (r *Reporter) logger() *slog.Logger {
	if r.cfg.Logger != nil {
		return r.cfg.Logger
	}
	return slog.Default()
}

// Option is an option of [Reporter.Record].
type Option func(*Event)

// ID makes a call of [Reporter.Record] repeatable: the same id counts once, however often it is recorded, for as long as it could
// be recorded at all (21 days). Use the id that your own database has for what was used. At most 128 characters. The same id with another
// instance, package instance or amount is [ErrConflictingID]; the time is not compared.
func ID(id string) Option { return func(e *Event) { e.ID = id } }

// Package names the package instance that the usage is deducted from. Products whose packages stop when used up must.
func Package(instanceID string) Option { return func(e *Event) { e.PackageID = instanceID } }

// Record counts what an on-demand instance used at a time. It is durable when Record returns nil, if the store is. After an error
// that is none of this package's it may or may not have been recorded: with an [ID] the call can simply be repeated.
//
// Refused are, with errors to tell apart: amounts that are not above 0 or above 99999999.9999, times whose window began more than
// 21 days ago or that are more than 5 minutes ahead, and ids that are empty or longer than 64 characters.
func (r *Reporter) Record(ctx context.Context, instanceID string, amount Amount, at time.Time, opts ...Option) error {
	now := r.cfg.Now().UTC()
	begin := at.UTC().Truncate(r.cfg.Window)
	e := Event{InstanceID: instanceID, Amount: amount, At: at.UTC(), Begin: begin, End: begin.Add(r.cfg.Window)}
	for _, o := range opts {
		o(&e)
	}
	if err := check(e, now); err != nil {
		r.counters.refused.Add(1)
		return err
	}
	e.Due = r.due(e, now)
	added, err := r.cfg.Store.Add(ctx, e)
	switch {
	case err != nil:
		return fmt.Errorf("usage: record: %w", err)
	case added:
		r.counters.recorded.Add(1)
	default:
		r.counters.repeated.Add(1)
	}
	return nil
}

func check(e Event, now time.Time) error {
	switch {
	case badID(e.InstanceID, 64) || e.InstanceID == "":
		return fmt.Errorf("%w: instance %s: expected 1 to 64 characters", ErrInvalidID, quote(e.InstanceID))
	case badID(e.PackageID, 64):
		return fmt.Errorf("%w: package instance %s: expected at most 64 characters", ErrInvalidID, quote(e.PackageID))
	case badID(e.ID, 128):
		return fmt.Errorf("%w: id of the call %s: expected at most 128 characters", ErrInvalidID, quote(e.ID))
	case e.Amount.units <= 0:
		return fmt.Errorf("%w: %v", ErrAmountNotPositive, e.Amount)
	case e.Amount.units > MaxUnits:
		return fmt.Errorf("%w: %v, expected at most %v", ErrAmountTooLarge, e.Amount, FromUnits(MaxUnits))
	case now.Sub(e.Begin) > MaxAge:
		return fmt.Errorf("%w: %s", ErrTooOld, marketplace.FormatTime(e.At))
	case e.At.After(now.Add(maxAhead)):
		return fmt.Errorf("%w: %s, and the clock shows %s", ErrInFuture, marketplace.FormatTime(e.At), marketplace.FormatTime(now))
	}
	return nil
}

func badID(id string, most int) bool {
	if len(id) > most && utf8.RuneCountInString(id) > most || !utf8.ValidString(id) {
		return true
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] == 0x7f { // PostgreSQL takes no NUL, and no id has the others
			return true
		}
	}
	return false
}

// due is when a window is pushed that this event opens. What comes too late for its own turn is gathered until the next, unless
// it would be too old then.
func (r *Reporter) due(e Event, now time.Time) time.Time {
	due := e.End.Add(r.pushAfter)
	if due.After(now) {
		return due
	}
	next := now.Truncate(r.cfg.Window).Add(r.pushAfter)
	if !next.After(now) {
		next = next.Add(r.cfg.Window)
	}
	if next.Add(r.cfg.Window).After(e.Begin.Add(MaxAge)) {
		return now
	}
	return next
}
