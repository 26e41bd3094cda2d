package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// What retention deletes are attempts of calls that are not pending, and then calls that ended for good and have no attempt left. All that
// decides anything is kept elsewhere: a call knows how many attempts it had and what came of the last, usage and its idempotency, probes, failed
// orders and faults have tables of their own.

// MarkJournal notes how far the journal has come at a moment of real time.
func (tx *Tx) MarkJournal(at time.Time) error {
	return tx.exec(`INSERT INTO journal_marks (at, attempt_id, call_id)
		SELECT CAST(?1 AS BIGINT), (SELECT coalesce(max(attempt_id), 0) FROM attempts), (SELECT coalesce(max(call_id), 0) FROM calls) ON CONFLICT (at) DO UPDATE SET attempt_id = excluded.attempt_id, call_id = excluded.call_id`, at.UnixMilli())
}

// Mark is how far the journal had come at some moment.
type Mark struct {
	At                time.Time
	AttemptID, CallID int64
}

// JournalMark finds the latest mark that is not later than a moment; ErrNotFound if there is none.
func (s *Store) JournalMark(ctx context.Context, until time.Time) (m Mark, err error) {
	var at sql.NullInt64
	err = s.read.QueryRowContext(ctx, "SELECT at, attempt_id, call_id FROM journal_marks WHERE at <= ? ORDER BY at DESC LIMIT 1", until.UnixMilli()).Scan(&at, &m.AttemptID, &m.CallID)
	m.At = fromMillis(at)
	return one(m, err)
}

// ForgetMarks deletes the marks before one, which nothing will be asked about any more.
func (tx *Tx) ForgetMarks(before Mark) error {
	return tx.exec("DELETE FROM journal_marks WHERE at < ?", before.At.UnixMilli())
}

// Crowd is a seller with more attempts in the journal than it may have.
type Crowd struct {
	SellerID string
	Attempts int
}

// Crowds lists the sellers that have more attempts in the journal than so many.
func (s *Store) Crowds(ctx context.Context, most int) ([]Crowd, error) {
	return collect(ctx, s.read, func(row interface{ Scan(...any) error }) (c Crowd, err error) {
		err = row.Scan(&c.SellerID, &c.Attempts)
		return c, err
	}, "SELECT seller_id, count(*) FROM attempts GROUP BY seller_id HAVING count(*) > CAST(? AS BIGINT) ORDER BY seller_id", most)
}

// AttemptBeyond gives the latest attempt of a seller that is not among its newest so many; 0 if there is none.
func (s *Store) AttemptBeyond(ctx context.Context, sellerID string, most int) (id int64, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT coalesce(max(attempt_id), 0) FROM (SELECT attempt_id FROM attempts WHERE seller_id = ? ORDER BY attempt_id DESC LIMIT 1 OFFSET ?) AS beyond", sellerID, most).Scan(&id)
	return id, err
}

// Trimmed is what one batch of a retention did.
type Trimmed struct {
	Removed int64
	Last    int64 // the last number that was looked at, from where the next batch goes on; 0: there is nothing more
}

// TrimAttempts deletes attempts with numbers above after and up to upTo, of one seller if sellerID is not empty; at most batch of them, in the
// order of their numbers. Those that are under way, and those of calls that are pending, stay.
func (tx *Tx) TrimAttempts(sellerID string, after, upTo int64, batch int) (t Trimmed, err error) {
	const of = "(?3 = '' OR seller_id = ?3)"
	query := "SELECT coalesce(max(attempt_id), 0) FROM (SELECT attempt_id FROM attempts WHERE attempt_id > ?1 AND attempt_id <= ?2 ORDER BY attempt_id LIMIT ?3) AS batch"
	args := []any{after, upTo, batch}
	if sellerID != "" { // by another index
		query = "SELECT coalesce(max(attempt_id), 0) FROM (SELECT attempt_id FROM attempts WHERE seller_id = ?4 AND attempt_id > ?1 AND attempt_id <= ?2 ORDER BY attempt_id LIMIT ?3) AS batch"
		args = append(args, sellerID)
	}
	if err := tx.row(query, args...).Scan(&t.Last); err != nil || t.Last == 0 {
		return t, err
	}
	r, err := tx.tx.ExecContext(tx.ctx, `DELETE FROM attempts WHERE attempt_id > ?1 AND attempt_id <= ?2 AND `+of+` AND outcome <> 'started'
		AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.call_id = attempts.call_id AND c.status = 'pending')`, after, t.Last, sellerID)
	if err != nil {
		return t, err
	}
	t.Removed, err = r.RowsAffected()
	return t, err
}

// TrimCalls deletes calls with numbers above after and up to upTo that ended for good and have no attempt in the journal; it looks at batch of
// them at most, in the order of their numbers.
func (tx *Tx) TrimCalls(after, upTo int64, batch int) (t Trimmed, err error) {
	if err := tx.row("SELECT coalesce(max(call_id), 0) FROM (SELECT call_id FROM calls WHERE call_id > ?1 AND call_id <= ?2 ORDER BY call_id LIMIT ?3) AS batch", after, upTo, batch).
		Scan(&t.Last); err != nil || t.Last == 0 {
		return t, err
	}
	r, err := tx.tx.ExecContext(tx.ctx, `DELETE FROM calls WHERE call_id > ?1 AND call_id <= ?2 AND status IN ('succeeded', 'failed')
		AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.call_id = calls.call_id)`, after, t.Last)
	if err != nil {
		return t, err
	}
	if t.Removed, err = r.RowsAffected(); err != nil || t.Removed == 0 {
		return t, err
	}
	return t, tx.exec("DELETE FROM fault_uses WHERE call_id > ?1 AND call_id <= ?2 AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.call_id = fault_uses.call_id)", after, t.Last)
}

// JournalSize counts the attempts in the journal, and tells the oldest of them, 0 if there is none.
func (s *Store) JournalSize(ctx context.Context) (attempts int, oldest int64, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*), coalesce(min(attempt_id), 0) FROM attempts").Scan(&attempts, &oldest)
	return attempts, oldest, err
}

const (
	// looseShare is which part of SQLite's file may be free before pages are given back, and tightShare which part is left then: what is free
	// is used first by what comes next.
	looseShare = 4
	tightShare = 10
	// vacuumPages is how many are given back at once, while nothing else is written.
	vacuumPages = 200
)

// Shrink gives pages of SQLite's file that retention has freed back to the file system, if there are many, a few at a time, and tells how many
// bytes. A file that was made by a version before 0014 of the schema keeps its size; its free pages are used again. PostgreSQL looks after itself.
func (s *Store) Shrink(ctx context.Context, pause func()) (freed int64, err error) {
	if s.Shared() {
		return 0, nil
	}
	var pages, free, mode, size int64
	look := func() error {
		return s.read.QueryRowContext(ctx, "SELECT page_count, freelist_count, auto_vacuum, page_size FROM pragma_page_count, pragma_freelist_count, pragma_auto_vacuum, pragma_page_size").
			Scan(&pages, &free, &mode, &size)
	}
	const incremental = 2
	share := int64(looseShare)
	for {
		before := pages
		if err := look(); err != nil || mode != incremental {
			return freed, err
		}
		if before > 0 {
			freed += max(0, before-pages) * size
		}
		if free*share < pages || free < vacuumPages || before == pages {
			return freed, nil
		}
		share = tightShare
		if err := s.exclusively(ctx, func(conn *sql.Conn) error {
			rows, err := conn.QueryContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages)) // it frees a page with every step
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
			}
			return rows.Err()
		}); err != nil {
			return freed, err
		}
		pause()
	}
}
