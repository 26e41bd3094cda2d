package store

import (
	"context"
	"database/sql"
	"io/fs"
	"time"
)

// Backlog is what waits for its attempt.
type Backlog struct {
	Due       int       // due or under way
	Scheduled int       // due later
	Waiting   int       // not retried any more; somebody may restart them
	Oldest    time.Time // since when the oldest of Due is; zero if there is none
}

// Backlog counts what waits at a moment of the sandbox's clock.
func (s *Store) Backlog(ctx context.Context, now time.Time) (b Backlog, err error) {
	var oldest sql.NullInt64
	err = s.read.QueryRowContext(ctx, `SELECT coalesce(sum(CASE WHEN due_at <= CAST(?1 AS BIGINT) THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN due_at <= CAST(?1 AS BIGINT) THEN 0 ELSE 1 END), 0),
		(SELECT count(*) FROM calls WHERE status = 'waiting'), min(due_at) FROM calls WHERE status = 'pending'`, now.UnixMilli()).
		Scan(&b.Due, &b.Scheduled, &b.Waiting, &oldest)
	if b.Oldest = fromMillis(oldest); b.Due == 0 {
		b.Oldest = time.Time{}
	}
	return b, err
}

// Bytes is how large the database is: SQLite's file without its log, or what all tables and indexes of the schema take in PostgreSQL.
func (s *Store) Bytes(ctx context.Context) (n int64, err error) {
	query := "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
	if s.Shared() {
		query = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'"
	}
	err = s.read.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

// Current asks the database, and tells whether its schema still is the one that this program knows.
func (s *Store) Current(ctx context.Context) (bool, error) {
	pattern, query := "migrations/*.sql", "PRAGMA user_version"
	if s.Shared() {
		pattern, query = "migrations/postgres/*.sql", "SELECT coalesce(max(version), 0) FROM schema_version"
	}
	files, err := fs.Glob(migrations, pattern)
	if err != nil {
		return false, err
	}
	var version int
	// Not by way of a handle, which waits for a server that is away.
	err = s.read.db.QueryRowContext(ctx, query).Scan(&version)
	return version == len(files), err
}
