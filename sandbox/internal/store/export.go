package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Snapshots of a database in PostgreSQL are SQLite files too. The tables and columns of both are the same, but for rowid, which SQLite
// has without being told.

// table is a table as both have it.
type table struct {
	name    string
	columns []string // rowid among them if PostgreSQL has it
	counter string   // the column that PostgreSQL numbers for who does not, besides rowid; or empty
}

func (t table) list() string { return `"` + strings.Join(t.columns, `", "`) + `"` }

func (t table) hasRowID() bool { return slices.Contains(t.columns, "rowid") }

// tables lists the tables of PostgreSQL.
func tables(ctx context.Context, q querier) ([]table, error) {
	names, err := collect(ctx, q, scanText, "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name <> 'schema_version' AND table_name NOT LIKE 'river%' ORDER BY table_name")
	if err != nil {
		return nil, err
	}
	list := make([]table, len(names))
	for i, name := range names {
		list[i].name = name
		if list[i].columns, err = collect(ctx, q, scanText, "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position", name); err != nil {
			return nil, err
		}
		numbered, err := collect(ctx, q, scanText, `SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = ?
			AND column_name <> 'rowid' AND pg_get_serial_sequence(quote_ident(table_name), column_name) IS NOT NULL`, name)
		if err != nil {
			return nil, err
		}
		if len(numbered) > 0 {
			list[i].counter = numbered[0]
		}
	}
	return list, nil
}

// export writes all of PostgreSQL into a new file.
func (s *Store) export(ctx context.Context, name string) (err error) {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s exists already", name)
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // written for the caller
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	file, err := openFile(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.db.Close()) }()
	if err := file.migrate(ctx); err != nil {
		return err
	}
	// A snapshot of its own, so that the updates go on beside it.
	from, err := s.read.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = from.Rollback() }()
	to, err := file.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = to.Rollback() }() // does nothing after a commit
	if _, err := to.ExecContext(ctx, "PRAGMA defer_foreign_keys = 1"); err != nil {
		return err
	}
	list, err := tables(ctx, plain{from})
	if err != nil {
		return err
	}
	for _, t := range list {
		if err := errors.Join(t.export(ctx, from, to), t.exportCounter(ctx, from, to)); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return to.Commit()
}

func (t table) export(ctx context.Context, from, to *sql.Tx) error {
	rows, err := from.QueryContext(ctx, `SELECT `+t.list()+` FROM "`+t.name+`"`) //nolint:gosec // a table of our own schema
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	insert, err := to.PrepareContext(ctx, `INSERT INTO "`+t.name+`" (`+t.list()+`) VALUES (?`+strings.Repeat(", ?", len(t.columns)-1)+`)`) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	values, into := row(len(t.columns))
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exportCounter has the numbers of a table go on in SQLite where they are in PostgreSQL, though its last rows may be deleted.
func (t table) exportCounter(ctx context.Context, from, to *sql.Tx) error {
	if t.counter == "" {
		return nil
	}
	var latest int64
	err := from.QueryRowContext(ctx, "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(quote_ident($1::text), $2::text)::regclass), 0)", t.name, t.counter).Scan(&latest)
	if err != nil || latest == 0 {
		return err
	}
	if _, err := to.ExecContext(ctx, "DELETE FROM sqlite_sequence WHERE name = ?", t.name); err != nil {
		return err
	}
	_, err = to.ExecContext(ctx, "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", t.name, latest)
	return err
}

// row gives room for a row's values, and where to scan them to.
func row(columns int) (values, into []any) {
	values, into = make([]any, columns), make([]any, columns)
	for i := range values {
		into[i] = &values[i]
	}
	return values, into
}

// plain runs PostgreSQL's queries in a plain transaction.
type plain struct{ *sql.Tx }

// QueryContext runs a query that gives rows.
func (p plain) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.Tx.QueryContext(ctx, postgresText(query), args...)
}

// QueryRowContext runs a query that gives one row.
func (p plain) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.Tx.QueryRowContext(ctx, postgresText(query), args...)
}

// load replaces all of PostgreSQL but what stays by what a checked snapshot holds.
func (s *Store) load(ctx context.Context, name string) error {
	file, err := openFile(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.db.Close() }()
	return s.replaceAll(ctx, func(conn *pgx.Conn, list []table) error {
		for _, t := range list {
			if err := t.load(ctx, file.db, conn); err != nil {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
		}
		return nil
	}, nil)
}

// clear empties PostgreSQL's tables but those named and those that stay.
func (s *Store) clear(ctx context.Context, keep []string) error {
	return s.replaceAll(ctx, func(*pgx.Conn, []table) error { return nil }, keep)
}

// replaceAll empties the tables but those named and has them filled, in one transaction, while no update is under way.
func (s *Store) replaceAll(ctx context.Context, fill func(conn *pgx.Conn, list []table) error, keep []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.server.gate.Lock()
	defer s.server.gate.Unlock()
	defer func() {
		s.forget()
		s.server.horizon.Clear() // numbers may begin anew
	}()
	conn, err := s.write.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	for _, statement := range []string{
		"LOCK TABLE setting IN EXCLUSIVE MODE", // until the updates of all processes have ended; those that come later wait
		"SET CONSTRAINTS ALL DEFERRED", s.server.announcing(),
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	list, err := tables(ctx, plain{tx})
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(t table) bool { return stays(t.name) || slices.Contains(keep, t.name) })
	for _, t := range list {
		if _, err := tx.ExecContext(ctx, `DELETE FROM "`+t.name+`"`); err != nil { //nolint:gosec // as above
			return err
		}
		if t.counter != "" {
			if _, err := tx.ExecContext(ctx, setCounter, t.name, t.counter, 0); err != nil {
				return err
			}
		}
	}
	err = conn.Raw(func(c any) error { return fill(c.(*stdlib.Conn).Conn(), list) }) //nolint:forcetypeassert // the pool was opened with this driver
	if err != nil {
		return err
	}
	return tx.Commit()
}

// setCounter has a counter go on after a number.
const setCounter = "SELECT setval(pg_get_serial_sequence(quote_ident($1::text), $2::text), greatest($3::bigint, 1), $3::bigint > 0)"

func (t table) load(ctx context.Context, from *sql.DB, to *pgx.Conn) error {
	order := ""
	if t.hasRowID() {
		order = " ORDER BY rowid"
	}
	rows, err := from.QueryContext(ctx, `SELECT `+t.list()+` FROM "`+t.name+`"`+order) //nolint:gosec // as above
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	_, err = to.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromFunc(func() ([]any, error) {
		if !rows.Next() {
			return nil, rows.Err()
		}
		values, into := row(len(t.columns))
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range values {
			if empty, bytes := v.([]byte); bytes && empty == nil { // as SQLite's driver gives what is empty, and PostgreSQL's takes what is NULL
				values[i] = []byte{}
			}
		}
		return postgresArgs(values), nil
	}))
	if err != nil {
		return err
	}
	if err := rows.Close(); err != nil {
		return err
	}
	for _, column := range []string{"rowid", t.counter} {
		if !slices.Contains(t.columns, column) {
			continue
		}
		var highest int64
		if err := from.QueryRowContext(ctx, `SELECT max((SELECT coalesce(max("`+column+`"), 0) FROM "`+t.name+`"), (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?))`, t.name).
			Scan(&highest); err != nil {
			return err
		}
		if _, err := to.Exec(ctx, setCounter, t.name, column, highest); err != nil {
			return err
		}
	}
	return nil
}
