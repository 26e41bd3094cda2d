package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/usage"
	"github.com/isvkit/isvkit/sdk/usage/sqlstore"
)

// books is a marketplace that loses answers, before and after it has booked.
type books struct {
	t      *testing.T
	mu     sync.Mutex
	rng    *rand.Rand
	booked map[string]marketplaceapi.UsageRecord
	ranges map[string]bool
	inside map[string]bool // being pushed at this moment
	sum    usage.Amount
}

func (b *books) PushUsage(_ context.Context, records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
	b.mu.Lock()
	for _, r := range records {
		if b.inside[r.MeteringSN] {
			b.t.Errorf("%s is pushed by two at once", r.MeteringSN)
		}
		b.inside[r.MeteringSN] = true
	}
	fault := b.rng.IntN(4)
	b.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range records {
		delete(b.inside, r.MeteringSN)
	}
	if fault == 0 {
		return nil, errors.New("connection refused")
	}
	res := &marketplace.PushResult{}
	for i, r := range records {
		span := r.InstanceID + r.BeginTime + r.EndTime
		if _, ok := b.booked[r.MeteringSN]; ok {
			res.Rejected = append(res.Rejected, marketplace.Rejected{Index: i, Record: r, Code: marketplaceapi.RecordMeteringSNDuplicate})
			continue
		}
		if b.ranges[span] {
			b.t.Errorf("two records of %s", span)
		}
		b.booked[r.MeteringSN], b.ranges[span] = r, true
		b.sum, _ = b.sum.Add(usage.MustParseAmount(r.UsageValue))
		res.Accepted++
	}
	if fault == 1 {
		return nil, errors.New("connection reset")
	}
	return res, nil
}

// replicas lets several Reporters record and push at once on stores that share a database.
func replicas(t *testing.T, open func(t testing.TB) []*sqlstore.Store) {
	stores := open(t)
	hour := time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC)
	var clock atomic.Int64
	clock.Store(hour.Unix())
	b := &books{t: t, rng: rand.New(rand.NewPCG(1, 2)), booked: map[string]marketplaceapi.UsageRecord{}, ranges: map[string]bool{}, inside: map[string]bool{}}
	const each = 150
	var want usage.Amount
	var mu sync.Mutex
	var recording, pushing sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	var reporters []*usage.Reporter
	for n, store := range stores {
		r, err := usage.New(usage.Config{
			Store: store, Pusher: b, Now: func() time.Time { return time.Unix(clock.Load(), 0) }, MaxBatch: 5, PushTimeout: time.Hour,
			RetryWaitMin: time.Second, RetryWaitMax: time.Minute, Logger: slog.New(slog.DiscardHandler),
			OnRejected: func(_ context.Context, r usage.Rejection) { t.Errorf("rejected: %+v", r.Window) },
		})
		require.NoError(t, err)
		reporters = append(reporters, r)
		recording.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(n)))
			for i := range each {
				amount := usage.FromUnits(1 + rng.Int64N(99_999))
				at := time.Unix(max(clock.Load()-rng.Int64N(5000), hour.Unix()), 0)
				instance := fmt.Sprint("i", rng.IntN(3))
				opts := []usage.Option{usage.ID(fmt.Sprint(n, "-", i)), usage.Package([]string{"", "p"}[rng.IntN(2)])}
				for range 1 + rng.IntN(2) {
					if err := r.Record(t.Context(), instance, amount, at, opts...); err != nil {
						t.Errorf("Record: %v", err)
					}
				}
				mu.Lock()
				want, _ = want.Add(amount)
				mu.Unlock()
				clock.Add(60)
			}
		})
		pushing.Go(func() {
			for ctx.Err() == nil {
				_ = r.Flush(ctx)
				time.Sleep(time.Millisecond)
			}
		})
	}
	recording.Wait()
	for deadline := time.Now().Add(30 * time.Second); ; {
		clock.Add(300)
		p, err := reporters[0].Pending(t.Context())
		require.NoError(t, err)
		if p.Open.Windows+p.Sealed.Windows == 0 {
			require.Equal(t, want, p.Done.Amount)
			break
		}
		require.True(t, time.Now().Before(deadline), "%+v", p)
		time.Sleep(time.Millisecond)
	}
	cancel()
	pushing.Wait()
	require.Equal(t, want, b.sum)
	t.Logf("%v in %d usage records by %d reporters", b.sum, len(b.booked), len(reporters))
}

func TestReplicas_SQLite(t *testing.T) {
	replicas(t, func(t testing.TB) []*sqlstore.Store {
		db := openSQLite(t)
		var stores []*sqlstore.Store
		for range 2 { // two stores know as little of each other as two processes
			s, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.SQLite})
			require.NoError(t, err)
			require.NoError(t, s.Migrate(t.Context()))
			stores = append(stores, s)
		}
		return stores
	})
}

func TestReplicas_PostgreSQL(t *testing.T) {
	db := openPostgres(t)
	replicas(t, func(t testing.TB) []*sqlstore.Store {
		first := postgresStore(t, db)
		return []*sqlstore.Store{first, first, first, first}
	})
}

func TestNew_RefusesWhatMakesNoSense(t *testing.T) {
	db := openSQLite(t)
	for name, c := range map[string]sqlstore.Config{
		"no dialect": {},
		"no name":    {Dialect: sqlstore.SQLite, Prefix: "x; DROP TABLE y"},
		"no schemas": {Dialect: sqlstore.SQLite, Prefix: "schema.x_"},
	} {
		_, err := sqlstore.New(db, c)
		require.Error(t, err, name)
	}
	_, err := sqlstore.New(nil, sqlstore.Config{Dialect: sqlstore.SQLite})
	require.Error(t, err)
}

func TestMigrate_NewerTables(t *testing.T) {
	db := openSQLite(t)
	s, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.SQLite})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	require.NoError(t, s.Migrate(t.Context()))
	_, err = db.ExecContext(t.Context(), "UPDATE isvkit_usage_schema SET version = 2")
	require.NoError(t, err)
	require.ErrorContains(t, s.Migrate(t.Context()), "version 2")
}
