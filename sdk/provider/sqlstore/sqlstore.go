// Package sqlstore keeps what replicas of one ISV must know together, in a database they share: which instance id an order line
// was answered ([provider.InstanceStore]), which replica is at work on one ([provider.Locker]), and which nonces were used
// ([signature.NonceStore]). One [Store] is all three.
//
//	store, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.PostgreSQL})
//	err = store.Migrate(ctx) // at every start; replicas may do it at the same time
//	handler, err := provider.NewHandler(app, provider.Config{BaseKeys: keys, Instances: store, Nonces: store})
//
// It uses database/sql and imports no driver: open the database with the driver of your choice. Every method is one
// statement, so no transaction stays open and no connection is held while an Application works.
//
// With SQLite, let processes that write wait for each other: give the driver a busy timeout of some seconds, and WAL mode. Inside a process a
// Store lets one writer in at a time, in the order in which they came; SQLite itself would have them try again and again, some for seconds.
//
// Nothing is deleted by itself; call [Store.Cleanup] now and then.
package sqlstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/signature"
)

// Dialect is the kind of database. The zero Dialect is not used.
type Dialect uint8

// The databases that are known.
const (
	SQLite     Dialect = iota + 1 // 3.35 or newer
	PostgreSQL                    // 10 or newer
)

// Config is how a [Store] is set up. Only Dialect is required.
type Config struct {
	Dialect Dialect

	// Prefix is put before the names of the three tables: order_lines, order_line_leases and nonces. Lower-case letters, digits
	// and underscores, for PostgreSQL also a schema and a dot before them. Default: isvkit_.
	Prefix string

	// Retention is how long after it became ready an order line is remembered, before [Store.Cleanup] deletes it. Default: for
	// ever. The marketplace repeats a V2 newInstance for three hours; V1 repeats it whenever a buyer looks at the instance, and
	// so wants lines to be kept as long as instances live, or an Application that uses SuggestedID.
	Retention time.Duration

	// Now is the clock that nonces expire by; it must be the clock of the handler. Default: time.Now. Everything else goes by
	// the clock of the database, which all replicas share.
	Now func() time.Time
}

// Store is a [provider.InstanceStore], a [provider.Locker] and a [signature.NonceStore]. It is safe for concurrent use, by any
// number of processes. Create it with [New].
type Store struct {
	db        *sql.DB
	dialect   Dialect
	retention time.Duration
	now       func() time.Time
	writer    chan struct{} // SQLite: holds one while somebody writes
	schema    []string

	load, save, lock, unlock, use      string
	cleanLines, cleanLeases, cleanUsed string
}

var (
	_ provider.InstanceStore = (*Store)(nil)
	_ provider.Locker        = (*Store)(nil)
	_ signature.NonceStore   = (*Store)(nil)
)

var prefix = regexp.MustCompile(`^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,31}$`)

// New returns a Store in db. It does not touch the database; see [Store.Migrate]. The error says which setting makes no sense.
func New(db *sql.DB, cfg Config) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlstore: the database is nil")
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "isvkit_"
	}
	if !prefix.MatchString(cfg.Prefix) {
		return nil, fmt.Errorf("sqlstore: Config.Prefix is %q, expected lower-case letters, digits and underscores", cfg.Prefix)
	}
	if cfg.Retention < 0 {
		return nil, fmt.Errorf("sqlstore: Config.Retention is %v, expected 0 (for ever) or more", cfg.Retention)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Store{db: db, dialect: cfg.Dialect, retention: cfg.Retention, now: cfg.Now}
	if cfg.Dialect == SQLite {
		s.writer = make(chan struct{}, 1)
	}
	var now string // milliseconds since 1970, by the clock of the database
	switch cfg.Dialect {
	case SQLite:
		now = `CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)`
	case PostgreSQL:
		now = `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)`
	default:
		return nil, fmt.Errorf("sqlstore: Config.Dialect is %d, expected SQLite or PostgreSQL", cfg.Dialect)
	}
	s.write(cfg.Prefix, now)
	return s, nil
}

// write writes the statements.
func (s *Store) write(prefix, now string) {
	fill := func(text string) string {
		text = strings.NewReplacer("{lines}", prefix+"order_lines", "{leases}", prefix+"order_line_leases", "{nonces}", prefix+"nonces", "{now}", now).Replace(text)
		if s.dialect != PostgreSQL {
			return text
		}
		parts := strings.Split(text, "?")
		text = parts[0]
		for i, part := range parts[1:] {
			text += "$" + strconv.Itoa(i+1) + part
		}
		return text
	}
	for _, table := range []string{
		`CREATE TABLE IF NOT EXISTS {lines} (
			order_id VARCHAR(255) NOT NULL, order_line_id VARCHAR(255) NOT NULL,
			instance_id VARCHAR(255) NOT NULL, ready SMALLINT NOT NULL, saved_at BIGINT NOT NULL,
			PRIMARY KEY (order_id, order_line_id))`,
		`CREATE TABLE IF NOT EXISTS {leases} (
			order_id VARCHAR(255) NOT NULL, order_line_id VARCHAR(255) NOT NULL,
			holder VARCHAR(64) NOT NULL, until BIGINT NOT NULL,
			PRIMARY KEY (order_id, order_line_id))`,
		`CREATE TABLE IF NOT EXISTS {nonces} (nonce VARCHAR(255) NOT NULL PRIMARY KEY, until BIGINT NOT NULL)`,
	} {
		s.schema = append(s.schema, fill(table))
	}
	s.load = fill(`SELECT instance_id, ready FROM {lines} WHERE order_id = ? AND order_line_id = ?`)
	// saved_at is when the line was saved first or became ready, whichever was later.
	s.save = fill(`INSERT INTO {lines} AS l (order_id, order_line_id, instance_id, ready, saved_at) VALUES (?, ?, ?, ?, {now})
		ON CONFLICT (order_id, order_line_id) DO UPDATE SET
			saved_at = CASE WHEN l.ready < excluded.ready THEN excluded.saved_at ELSE l.saved_at END,
			ready = CASE WHEN l.ready < excluded.ready THEN excluded.ready ELSE l.ready END
		RETURNING instance_id, ready`)
	s.lock = fill(`INSERT INTO {leases} AS l (order_id, order_line_id, holder, until) VALUES (?, ?, ?, {now} + ?)
		ON CONFLICT (order_id, order_line_id) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE l.until < {now}`)
	s.unlock = fill(`DELETE FROM {leases} WHERE order_id = ? AND order_line_id = ? AND holder = ?`)
	s.use = fill(`INSERT INTO {nonces} AS n (nonce, until) VALUES (?, ?)
		ON CONFLICT (nonce) DO UPDATE SET until = excluded.until WHERE n.until < ?`)
	s.cleanLines = fill(`DELETE FROM {lines} WHERE ready = 1 AND saved_at < {now} - ?`)
	s.cleanLeases = fill(`DELETE FROM {leases} WHERE until < {now}`)
	s.cleanUsed = fill(`DELETE FROM {nonces} WHERE until < ?`)
}

// Migrate creates the tables that do not exist yet. Replicas may call it at the same time.
func (s *Store) Migrate(ctx context.Context) error {
	const patience, pause = 10 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(patience); ; {
		err := s.migrate(ctx)
		// Of several that make or switch a SQLite file to WAL at once, SQLite turns some away without waiting for its busy
		// timeout. Every statement here may be repeated.
		if s.dialect != SQLite || err == nil || !strings.Contains(err.Error(), "locked") || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *Store) migrate(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if s.dialect == PostgreSQL { // two CREATE TABLE IF NOT EXISTS at once can fail there
		if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(7814302566471)`); err != nil {
			return fmt.Errorf("sqlstore: migrate: %w", err)
		}
	}
	for _, table := range s.schema {
		if _, err := tx.ExecContext(ctx, table); err != nil {
			return fmt.Errorf("sqlstore: migrate: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	return nil
}

// Load implements [provider.InstanceStore].
func (s *Store) Load(ctx context.Context, line provider.OrderLineKey) (provider.Remembered, bool, error) {
	r, err := scan(s.db.QueryRowContext(ctx, s.load, line.OrderID, line.OrderLineID))
	if errors.Is(err, sql.ErrNoRows) {
		return provider.Remembered{}, false, nil
	}
	if err != nil {
		return provider.Remembered{}, false, fmt.Errorf("sqlstore: load an order line: %w", err)
	}
	return r, true, nil
}

// Save implements [provider.InstanceStore].
func (s *Store) Save(ctx context.Context, line provider.OrderLineKey, r provider.Remembered) (provider.Remembered, error) {
	ready := 0
	if r.Ready {
		ready = 1
	}
	var stands provider.Remembered
	err := s.inTurn(ctx, func() (err error) {
		stands, err = scan(s.db.QueryRowContext(ctx, s.save, line.OrderID, line.OrderLineID, r.InstanceID, ready))
		return err
	})
	if err != nil {
		return provider.Remembered{}, fmt.Errorf("sqlstore: save an order line: %w", err)
	}
	return stands, nil
}

func scan(row *sql.Row) (r provider.Remembered, err error) {
	var ready int
	err = row.Scan(&r.InstanceID, &ready)
	r.Ready = ready == 1
	return r, err
}

// TryLock implements [provider.Locker]. A lease that is not given back ends by the clock of the database.
func (s *Store) TryLock(ctx context.Context, line provider.OrderLineKey, lease time.Duration) (func(context.Context) error, bool, error) {
	holder := rand.Text()
	ok, err := s.changed(ctx, s.lock, line.OrderID, line.OrderLineID, holder, lease.Milliseconds())
	if err != nil {
		return nil, false, fmt.Errorf("sqlstore: lock an order line: %w", err)
	}
	if !ok {
		return nil, false, nil
	}
	return func(ctx context.Context) error {
		if _, err := s.change(ctx, s.unlock, line.OrderID, line.OrderLineID, holder); err != nil {
			return fmt.Errorf("sqlstore: unlock an order line: %w", err)
		}
		return nil
	}, true, nil
}

// Use implements [signature.NonceStore].
func (s *Store) Use(ctx context.Context, nonce string, until time.Time) (fresh bool, err error) {
	fresh, err = s.changed(ctx, s.use, nonce, until.UnixMilli(), s.now().UnixMilli())
	if err != nil {
		return false, fmt.Errorf("sqlstore: use a nonce: %w", err)
	}
	return fresh, nil
}

// Cleanup deletes what nobody asks for any more: nonces and leases whose time is over, and order lines that have been ready for
// longer than Config.Retention. It returns how many rows that were. Once an hour is often enough; replicas may call it at the
// same time.
func (s *Store) Cleanup(ctx context.Context) (deleted int64, err error) {
	clean := func(query string, args ...any) error {
		n, err := s.change(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("sqlstore: clean up: %w", err)
		}
		deleted += n
		return nil
	}
	err = errors.Join(clean(s.cleanUsed, s.now().UnixMilli()), clean(s.cleanLeases))
	if s.retention > 0 {
		err = errors.Join(err, clean(s.cleanLines, s.retention.Milliseconds()))
	}
	return deleted, err
}

// changed tells whether a statement changed a row.
func (s *Store) changed(ctx context.Context, query string, args ...any) (bool, error) {
	n, err := s.change(ctx, query, args...)
	return n == 1, err
}

// change runs a statement and tells how many rows it changed.
func (s *Store) change(ctx context.Context, query string, args ...any) (rows int64, err error) {
	err = s.inTurn(ctx, func() error {
		result, err := s.db.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		rows, err = result.RowsAffected()
		return err
	})
	return rows, err
}

// inTurn runs what writes, with SQLite when nobody else in this process does.
func (s *Store) inTurn(ctx context.Context, f func() error) error {
	if s.writer != nil {
		select {
		case s.writer <- struct{}{}:
			defer func() { <-s.writer }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f()
}
