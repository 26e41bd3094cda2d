// Package store keeps the sandbox's state in SQLite: orders, instances, calls, the attempt journal, usage records. State and
// the calls it yields are written in one transaction, so that a process killed at any moment goes on where it was.
//
// A file is written ahead-logged and synced as SQLite's NORMAL does: nothing committed is lost when the process dies; the
// last moments may be when the machine loses power.
package store

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gofrs/flock"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed schema.sql
var schema string

// schemaVersion is written to the file. There is one so far.
const schemaVersion = 1

// ErrNotFound is returned where a row that was asked for by its key does not exist.
var ErrNotFound = errors.New("store: not found")

// ErrInUse is returned by Open where another process has the file open. Two would deliver every call twice.
var ErrInUse = errors.New("another process is using it")

// Store is the database. Its methods may be called concurrently.
type Store struct {
	lock  *flock.Flock // nil for a database in memory
	write *sql.DB      // one connection: SQLite has one writer at a time
	read  *sql.DB      // the same handle for a database in memory, which has one connection only
}

// Open opens or creates the database in a file, or in memory for ":memory:".
func Open(ctx context.Context, name string) (*Store, error) {
	dsn := ":memory:"
	if name != ":memory:" {
		u := url.URL{Scheme: "file", Opaque: strings.NewReplacer("?", "%3f", "#", "%23").Replace(name)}
		dsn = u.String() + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)&_txlock=immediate"
	}
	s := &Store{}
	if err := s.open(ctx, name, dsn); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", name, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, name, dsn string) (err error) {
	if name != ":memory:" {
		s.lock = flock.New(name + ".lock")
		free, err := s.lock.TryLock()
		if err != nil {
			return err
		}
		if !free {
			return ErrInUse
		}
	}
	if s.write, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	s.read = s.write
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if name == ":memory:" {
		return nil
	}
	if s.read, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		s.read = s.write
		return err
	}
	s.read.SetMaxOpenConns(4)
	s.read.SetMaxIdleConns(4)
	return nil
}

// Close closes the database.
func (s *Store) Close() (err error) {
	if s.read != nil && s.read != s.write {
		err = s.read.Close()
	}
	if s.write != nil {
		err = errors.Join(err, s.write.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

func (s *Store) migrate(ctx context.Context) error {
	var version int
	if err := s.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version == schemaVersion:
		return nil
	case version > schemaVersion:
		return fmt.Errorf("it was written by a newer version (schema %d, this program knows %d)", version, schemaVersion)
	}
	return s.Update(ctx, func(tx *Tx) error {
		if _, err := tx.tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		_, err := tx.tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
		return err
	})
}

// Tx is a transaction that may write.
type Tx struct {
	ctx context.Context //nolint:containedctx // a Tx lives only inside Update
	tx  *sql.Tx
}

// Update runs f in a transaction and commits it, or rolls it back if f fails.
func (s *Store) Update(ctx context.Context, f func(tx *Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(&Tx{ctx, tx}); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// querier is what both a handle and a transaction can do.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func collect[T any](ctx context.Context, q querier, scan func(row interface{ Scan(...any) error }) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

func one[T any](v T, err error) (T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrNotFound
	}
	return v, err
}

func millis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

func fromMillis(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMilli(n.Int64).UTC()
}

// Setting reads a setting; ErrNotFound if it was never written.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	var v string
	err := s.read.QueryRowContext(ctx, "SELECT value FROM setting WHERE name = ?", name).Scan(&v)
	return one(v, err)
}

// PutSetting writes a setting.
func (s *Store) PutSetting(ctx context.Context, name, value string) error {
	_, err := s.write.ExecContext(ctx, "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
	return err
}

// Counts are totals for the status page.
type Counts struct{ Orders, Instances, CallsPending, CallsWaiting, UsageRecords int }

// Counts counts.
func (s *Store) Counts(ctx context.Context) (c Counts, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM instances),
		(SELECT count(*) FROM calls WHERE status = 'pending'), (SELECT count(*) FROM calls WHERE status = 'waiting'),
		(SELECT count(*) FROM usage_records WHERE accepted = 1)`).
		Scan(&c.Orders, &c.Instances, &c.CallsPending, &c.CallsWaiting, &c.UsageRecords)
	return c, err
}
