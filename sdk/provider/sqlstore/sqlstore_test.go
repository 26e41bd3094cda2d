package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/provider/sqlstore"
	"github.com/isvkit/isvkit/sdk/signature"
)

const key = "demo-access-key-0001"

var prefixes atomic.Int64

// onEach runs a test on each kind of database. open gives a new connection pool to the same database, as another replica has it.
func onEach(t *testing.T, test func(t *testing.T, open func() *sql.DB, cfg sqlstore.Config)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "test.db")
		test(t, func() *sql.DB {
			return open(t, "sqlite", "file:"+file+"?_pragma=busy_timeout(20000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)")
		}, sqlstore.Config{Dialect: sqlstore.SQLite})
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv("ISVKIT_TEST_POSTGRES")
		if url == "" {
			t.Skip("skipped: needs PostgreSQL (set ISVKIT_TEST_POSTGRES=postgres://...)")
		}
		prefix := fmt.Sprintf("t%d_%d_", time.Now().UnixNano(), prefixes.Add(1))
		t.Cleanup(func() {
			db, err := sql.Open("pgx", url)
			require.NoError(t, err)
			defer func() { _ = db.Close() }()
			_, err = db.ExecContext(context.Background(), "DROP TABLE IF EXISTS "+prefix+"order_lines, "+prefix+"order_line_leases, "+prefix+"nonces")
			assert.NoError(t, err)
		})
		test(t, func() *sql.DB {
			db := open(t, "pgx", url)
			db.SetMaxOpenConns(8)
			return db
		}, sqlstore.Config{Dialect: sqlstore.PostgreSQL, Prefix: prefix})
	})
}

func open(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newStore(t *testing.T, db *sql.DB, cfg sqlstore.Config) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(db, cfg)
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

func TestNew_RefusesSettingsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	db := open(t, "sqlite", ":memory:")
	for want, cfg := range map[string]sqlstore.Config{
		"Dialect":   {},
		"Retention": {Dialect: sqlstore.SQLite, Retention: -1},
		"Prefix":    {Dialect: sqlstore.SQLite, Prefix: `x"; DROP TABLE y; --`},
	} {
		_, err := sqlstore.New(db, cfg)
		require.ErrorContains(t, err, want)
	}
	_, err := sqlstore.New(nil, sqlstore.Config{Dialect: sqlstore.SQLite})
	require.ErrorContains(t, err, "nil")
}

func TestStore_MigratesManyReplicasAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func() *sql.DB, cfg sqlstore.Config) {
		var wg sync.WaitGroup
		for range 8 {
			db := open()
			wg.Go(func() {
				s, err := sqlstore.New(db, cfg)
				assert.NoError(t, err)
				assert.NoError(t, s.Migrate(t.Context()))
				assert.NoError(t, s.Migrate(t.Context()))
			})
		}
		wg.Wait()
	})
}

func TestStore_TheFirstIDStands(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func() *sql.DB, cfg sqlstore.Config) {
		s := newStore(t, open(), cfg)
		line := provider.OrderLineKey{OrderID: "CS1", OrderLineID: ""}
		_, ok, err := s.Load(t.Context(), line)
		require.NoError(t, err)
		require.False(t, ok)
		for i, step := range []struct{ save, want provider.Remembered }{
			{provider.Remembered{InstanceID: "i-1"}, provider.Remembered{InstanceID: "i-1"}},
			{provider.Remembered{InstanceID: "i-2"}, provider.Remembered{InstanceID: "i-1"}},
			{provider.Remembered{InstanceID: "i-2", Ready: true}, provider.Remembered{InstanceID: "i-1", Ready: true}},
			{provider.Remembered{InstanceID: "i-1"}, provider.Remembered{InstanceID: "i-1", Ready: true}},
		} {
			got, err := s.Save(t.Context(), line, step.save)
			require.NoError(t, err)
			require.Equal(t, step.want, got, i)
			loaded, ok, err := s.Load(t.Context(), line)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, step.want, loaded, i)
		}
		_, ok, err = s.Load(t.Context(), provider.OrderLineKey{OrderID: "CS1", OrderLineID: "x"})
		require.NoError(t, err)
		require.False(t, ok)
	})
}

func TestStore_ALeaseIsForOneAndEnds(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func() *sql.DB, cfg sqlstore.Config) {
		a, b := newStore(t, open(), cfg), newStore(t, open(), cfg)
		line := provider.OrderLineKey{OrderID: "CS1", OrderLineID: "CS1-000001"}
		unlock, ok, err := a.TryLock(t.Context(), line, time.Minute)
		require.NoError(t, err)
		require.True(t, ok)
		_, ok, err = b.TryLock(t.Context(), line, time.Minute)
		require.NoError(t, err)
		require.False(t, ok, "somebody has it")
		require.NoError(t, unlock(t.Context()))
		late, ok, err := b.TryLock(t.Context(), line, 50*time.Millisecond)
		require.NoError(t, err)
		require.True(t, ok, "it was given back")
		require.Eventually(t, func() bool {
			_, ok, err = a.TryLock(t.Context(), line, time.Minute)
			return err == nil && ok
		}, 5*time.Second, 10*time.Millisecond, "the lease ended")
		require.NoError(t, late(t.Context()), "whose lease is over takes nothing from the next")
		_, ok, err = b.TryLock(t.Context(), line, time.Minute)
		require.NoError(t, err)
		require.False(t, ok)
	})
}

func TestStore_OfManyUsersOfANonceOneIsFirst(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func() *sql.DB, cfg sqlstore.Config) {
		now := time.UnixMilli(1680508066618)
		cfg.Now = func() time.Time { return now }
		stores := []*sqlstore.Store{newStore(t, open(), cfg), newStore(t, open(), cfg)}
		var fresh atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				ok, err := stores[i%2].Use(t.Context(), "n-1", now.Add(time.Minute))
				assert.NoError(t, err)
				if ok {
					fresh.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, fresh.Load())
		use := func() bool {
			ok, err := stores[0].Use(t.Context(), "n-1", now.Add(time.Minute))
			require.NoError(t, err)
			return ok
		}
		now = now.Add(time.Minute)
		require.False(t, use(), "up to and including the time")
		now = now.Add(time.Millisecond)
		require.True(t, use(), "its time is over")
	})
}

func TestStore_CleanupKeepsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func() *sql.DB, cfg sqlstore.Config) {
		now := time.UnixMilli(1680508066618)
		cfg.Now = func() time.Time { return now }
		forEver := newStore(t, open(), cfg)
		cfg.Retention = 30 * time.Millisecond
		s := newStore(t, open(), cfg)
		save := func(id string, ready bool) {
			_, err := s.Save(t.Context(), provider.OrderLineKey{OrderID: id}, provider.Remembered{InstanceID: id, Ready: ready})
			require.NoError(t, err)
		}
		save("ready", true)
		save("pending", false)
		for _, nonce := range []struct {
			text  string
			until time.Time
		}{{"old", now.Add(-time.Millisecond)}, {"new", now}} {
			_, err := s.Use(t.Context(), nonce.text, nonce.until)
			require.NoError(t, err)
		}
		_, _, err := s.TryLock(t.Context(), provider.OrderLineKey{OrderID: "left"}, time.Millisecond)
		require.NoError(t, err)
		time.Sleep(60 * time.Millisecond)
		n, err := forEver.Cleanup(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2, n, "a nonce and a lease")
		n, err = s.Cleanup(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, n, "the ready order line")
		_, ok, err := s.Load(t.Context(), provider.OrderLineKey{OrderID: "pending"})
		require.NoError(t, err)
		require.True(t, ok, "what is not ready stays")
		ok, err = s.Use(t.Context(), "new", now)
		require.NoError(t, err)
		require.False(t, ok)
	})
}

func TestStore_TellsThatTheDatabaseIsGone(t *testing.T) {
	t.Parallel()
	db := open(t, "sqlite", ":memory:")
	s := newStore(t, db, sqlstore.Config{Dialect: sqlstore.SQLite})
	require.NoError(t, db.Close())
	line := provider.OrderLineKey{OrderID: "CS1"}
	_, _, err := s.Load(t.Context(), line)
	require.ErrorContains(t, err, "sqlstore: load")
	_, err = s.Save(t.Context(), line, provider.Remembered{InstanceID: "i"})
	require.ErrorContains(t, err, "sqlstore: save")
	_, _, err = s.TryLock(t.Context(), line, time.Minute)
	require.ErrorContains(t, err, "sqlstore: lock")
	_, err = s.Use(t.Context(), "n", time.Now())
	require.ErrorContains(t, err, "sqlstore: use")
	_, err = s.Cleanup(t.Context())
	require.ErrorContains(t, err, "sqlstore: clean up")
	require.ErrorContains(t, s.Migrate(t.Context()), "sqlstore: migrate")
}

// crm makes an instance with an id of its own each time it is asked, so a second call for one order line would be seen.
type crm struct {
	provider.Application
	mu    sync.Mutex
	made  map[provider.OrderLineKey]int
	pause time.Duration
}

func (a *crm) NewInstance(_ context.Context, call provider.NewInstance) (provider.Instance, error) {
	time.Sleep(a.pause)
	a.mu.Lock()
	defer a.mu.Unlock()
	line := provider.OrderLineKey{OrderID: call.OrderID, OrderLineID: call.OrderLineID}
	a.made[line]++
	return provider.Instance{ID: fmt.Sprintf("i-%s-%d", call.OrderID, a.made[line])}, nil
}

func post(t *testing.T, h http.Handler, body string) string {
	t.Helper()
	base, err := signature.NewBase(signature.Config{Keys: []string{key}})
	require.NoError(t, err)
	params, err := base.Sign([]byte(body))
	require.NoError(t, err)
	req := httptest.NewRequest(http.MethodPost, "/saasproduce?"+params.Query().Encode(), strings.NewReader(body))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec.Body.String()
}

// TestReplicas_OneInstancePerOrderLine has two replicas share a database, and repeats 20 orders 10 times each, all at once.
func TestReplicas_OneInstancePerOrderLine(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func() *sql.DB, cfg sqlstore.Config) {
		a := &crm{made: map[provider.OrderLineKey]int{}, pause: 20 * time.Millisecond}
		var replicas []http.Handler
		for range 2 {
			store := newStore(t, open(), cfg)
			h, err := provider.NewHandler(a, provider.Config{
				BaseKeys: []string{key}, Instances: store, Nonces: store, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler),
			})
			require.NoError(t, err)
			replicas = append(replicas, h)
		}
		const orders, calls = 20, 200
		answers := make([]string, calls)
		var wg sync.WaitGroup
		for i := range calls {
			wg.Go(func() {
				order := fmt.Sprintf("CS%d", i%orders)
				answers[i] = post(t, replicas[i/orders%2], fmt.Sprintf(`{"activity":"newInstance","businessId":"b-%d","orderId":%q,"orderLineId":%q}`, i, order, order+"-000001"))
			})
		}
		wg.Wait()
		for i, answer := range answers {
			want := fmt.Sprintf(`{"instanceId":"i-CS%d-1","resultCode":"000000","resultMsg":"success"}`, i%orders)
			require.Equal(t, want, answer)
		}
		require.Len(t, a.made, orders)
		for line, n := range a.made {
			require.Equal(t, 1, n, "calls of the Application for %v", line)
		}
	})
}

// TestReplicas_ALineThatAnotherReplicaHas is answered with what is known when the time is over.
func TestReplicas_ALineThatAnotherReplicaHas(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, open func() *sql.DB, cfg sqlstore.Config) {
		a := &crm{made: map[provider.OrderLineKey]int{}}
		store := newStore(t, open(), cfg)
		cfgOf := provider.Config{BaseKeys: []string{key}, Instances: store, Logger: slog.New(slog.DiscardHandler)}
		patient, err := provider.NewHandler(a, cfgOf)
		require.NoError(t, err)
		cfgOf.Timeout = 500 * time.Millisecond
		h, err := provider.NewHandler(a, cfgOf)
		require.NoError(t, err)
		line := provider.OrderLineKey{OrderID: "CS1", OrderLineID: "CS1-000001"}
		unlock, ok, err := store.TryLock(t.Context(), line, time.Minute)
		require.NoError(t, err)
		require.True(t, ok)
		const body = `{"activity":"newInstance","businessId":"b","orderId":"CS1","orderLineId":"CS1-000001"}`
		require.Contains(t, post(t, h, body), "000005")
		_, err = store.Save(t.Context(), line, provider.Remembered{InstanceID: "i-9"})
		require.NoError(t, err)
		require.JSONEq(t, `{"instanceId":"i-9","resultCode":"000004","resultMsg":"being processed"}`, post(t, h, body))
		require.Empty(t, a.made)
		require.NoError(t, unlock(t.Context()))
		require.Contains(t, post(t, patient, body), `"i-9","resultCode":"000000"`)
		require.Len(t, a.made, 1)
	})
}
