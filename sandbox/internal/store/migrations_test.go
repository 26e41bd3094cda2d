package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/secrets"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// migrationsOf lists the migrations of SQLite or PostgreSQL, in their order.
func migrationsOf(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := fs.Glob(os.DirFS("migrations"), pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// lastAlone is the last migration before PostgreSQL's first, which holds all up to it.
const lastAlone = "0010_instances_per_seller.sql"

func run(t *testing.T, db *sql.DB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		_, err := db.ExecContext(t.Context(), text)
		require.NoError(t, err, text)
	}
}

func text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err, "every migration has rows of its version in testdata/schema, under the same name; a file with a comment if it has none")
	return string(data)
}

// oldFile makes a file as a program of a schema wrote it, with rows that programs of each schema up to it have written.
func oldFile(t *testing.T, version int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "old.db")
	db, err := sql.Open("sqlite", "file:"+name)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	for _, m := range migrationsOf(t, "*.sql")[:version] {
		run(t, db, text(t, "migrations/"+m), text(t, "testdata/schema/"+m))
	}
	run(t, db, fmt.Sprintf("PRAGMA user_version = %d", version))
	require.NoError(t, db.Close())
	return name
}

// oldServer does the same in PostgreSQL. What its first schema holds is what SQLite held then.
func oldServer(t *testing.T, version int) string {
	t.Helper()
	name := storetest.Postgres(t)
	db, err := sql.Open("pgx", name)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	run(t, db, "CREATE TABLE schema_version (version BIGINT NOT NULL)")
	for i, m := range migrationsOf(t, "postgres/*.sql")[:version] {
		run(t, db, text(t, "migrations/"+m))
		if i > 0 {
			run(t, db, text(t, "testdata/schema/"+path.Base(m)))
		} else {
			alike := oldFile(t, slices.Index(migrationsOf(t, "*.sql"), lastAlone)+1)
			from, err := sql.Open("sqlite", "file:"+alike)
			require.NoError(t, err)
			copyRows(t, from, db)
			require.NoError(t, from.Close())
		}
		run(t, db, fmt.Sprintf("INSERT INTO schema_version (version) VALUES (%d)", i+1))
	}
	return name
}

// copyRows copies the rows of all tables.
func copyRows(t *testing.T, from, to *sql.DB) {
	t.Helper()
	tx, err := to.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), "SET CONSTRAINTS ALL DEFERRED")
	require.NoError(t, err)
	for table := range counts(t, from, "sqlite") {
		rows, err := from.QueryContext(t.Context(), "SELECT * FROM "+table)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		var places []string
		for i := range columns {
			places = append(places, fmt.Sprintf("$%d", i+1))
		}
		for rows.Next() {
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			require.NoError(t, rows.Scan(into...))
			for i, v := range values {
				if empty, bytes := v.([]byte); bytes && empty == nil {
					values[i] = []byte{}
				}
			}
			_, err := tx.ExecContext(t.Context(), "INSERT INTO "+table+" ("+strings.Join(columns, ", ")+") VALUES ("+strings.Join(places, ", ")+")", values...)
			require.NoError(t, err, table)
		}
		require.NoError(t, errors.Join(rows.Err(), rows.Close()))
	}
	// Numbers go on after those that are taken.
	for table, column := range map[string]string{"calls": "call_id", "attempts": "attempt_id", "usage_records": "record_id", "kit_bindings": "binding_id", "events": "event_id"} {
		_, err := tx.ExecContext(t.Context(), fmt.Sprintf("SELECT setval(pg_get_serial_sequence('%s', '%s'), greatest(1, (SELECT coalesce(max(%s), 0) FROM %s)))", table, column, column, table))
		require.NoError(t, err)
	}
	require.NoError(t, tx.Commit())
}

// counts gives the number of rows of each table.
func counts(t *testing.T, db *sql.DB, driver string) map[string]int {
	t.Helper()
	query := "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if driver == "pgx" {
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' AND table_name <> 'schema_version'"
	}
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, errors.Join(rows.Err(), rows.Close()))
	n := map[string]int{}
	for _, name := range names {
		var count int
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+name).Scan(&count))
		n[name] = count
	}
	return n
}

// TestMigrations_FromEverySchema makes a database of every schema that there was, with rows in it, and opens it with this program.
func TestMigrations_FromEverySchema(t *testing.T) {
	for _, kind := range []struct {
		name, driver, migrations string
		first                    int // of SQLite's, which the first of this holds
		old                      func(t *testing.T, version int) string
	}{
		{"file", "sqlite", "*.sql", 0, oldFile},
		{"postgres", "pgx", "postgres/*.sql", slices.Index(migrationsOf(t, "*.sql"), lastAlone), oldServer},
	} {
		all := migrationsOf(t, kind.migrations)
		for version := 1; version <= len(all); version++ {
			t.Run(kind.name+"/"+path.Base(all[version-1]), func(t *testing.T) {
				t.Parallel()
				name := kind.old(t, version)
				source := name
				if kind.driver == "sqlite" {
					source = "file:" + name
				}
				rows := func() map[string]int {
					db, err := sql.Open(kind.driver, source)
					require.NoError(t, err)
					defer func() { require.NoError(t, db.Close()) }()
					return counts(t, db, kind.driver)
				}
				before := rows()
				for table, n := range before {
					require.Positive(t, n, "the rows of this version have none for table %s", table)
				}
				key := secrets.NewKey()
				s, err := store.Open(t.Context(), name)
				require.NoError(t, err)
				require.NoError(t, s.Unlock(t.Context(), ringOf(t, key)))
				for table, n := range rows() {
					if had, there := before[table]; there && table != "setting" { // where the seal is noted
						require.Equal(t, had, n, "table %s", table)
					}
				}
				works(t, s, kind.first+version)
				// A snapshot of it goes into every kind of database.
				snapshot := filepath.Join(t.TempDir(), "snapshot.db")
				require.NoError(t, s.Snapshot(t.Context(), snapshot))
				require.NoError(t, s.Close())
				if version == len(all) {
					storetest.Each(t, func(t *testing.T, database string) {
						again := open(t, database)
						require.NoError(t, again.Unlock(t.Context(), ringOf(t, key)))
						require.NoError(t, again.Restore(t.Context(), snapshot))
						_, err = again.Instance(t.Context(), "CS1-000001")
						require.NoError(t, err)
					})
				}
				again := open(t, name)
				require.NoError(t, again.Unlock(t.Context(), ringOf(t, key)), "a second start changes nothing more")
			})
		}
	}
}

// works reads what was there and goes on with it. version is the number of SQLite's schema that the rows came from.
func works(t *testing.T, s *store.Store, version int) {
	t.Helper()
	ctx := t.Context()
	i, err := s.Instance(ctx, "CS1-000001")
	require.NoError(t, err)
	require.Equal(t, catalogue.DemoSeller, i.SellerID)
	require.Equal(t, "i1", i.InstanceID)
	require.EqualValues(t, 5000, i.ExpireTime.UnixMilli())
	require.NoError(t, s.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.InterruptAttempts()
		return err
	}))
	calls, err := s.Calls(ctx, "CS1-000001", 10)
	require.NoError(t, err)
	require.Len(t, calls, 2)
	require.Equal(t, "CS1-000001", calls[0].Subject)
	require.Equal(t, 2, calls[0].Attempts, "the number of the attempt that never ended is taken")
	attempts, err := s.Attempts(ctx, store.AttemptFilter{LineID: "CS1-000001"}, 10)
	require.NoError(t, err)
	require.Len(t, attempts, 2)
	require.EqualValues(t, "interrupted", attempts[0].Outcome)
	require.Equal(t, []string{"a violation"}, attempts[0].Violations)
	usage, err := s.UsageRecords(ctx, 10)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(usage), 2)
	ahead, err := s.Setting(ctx, "clock-ahead")
	require.NoError(t, err)
	require.Equal(t, "1h0m0s", ahead)
	if version >= 2 {
		seller, err := s.SellerByAK(ctx, "ak-acme")
		require.NoError(t, err)
		require.Equal(t, "plain-sk", seller.Keys.SK, "sealed or not")
		next, err := s.Next(ctx, "probe/crm")
		require.NoError(t, err)
		require.Len(t, next, 1)
		n, err := s.CountsOfSeller(ctx, "acme")
		require.NoError(t, err)
		require.Equal(t, 1, n.CallsWaiting)
	}
	if version >= 3 {
		tenant, err := s.KitTenant(ctx, "CORP")
		require.NoError(t, err)
		require.Len(t, tenant.Departments, 1)
	}
	// New rows get numbers of their own.
	require.Greater(t, putCall(t, s, "CS1-000001"), calls[0].ID)
	id := journaled(t, s, "acme", "succeeded", 1, false)
	require.Greater(t, id, calls[0].ID+1)
	require.NoError(t, s.Update(ctx, func(tx *store.Tx) error { return tx.MarkJournal(now) }))
	current, err := s.Current(ctx)
	require.NoError(t, err)
	require.True(t, current)
}
