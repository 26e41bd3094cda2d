package store_test

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

// TestMigrations_GoOnInStep holds the migrations of both databases to the same names from PostgreSQL's first on, which holds all that
// went before.
func TestMigrations_GoOnInStep(t *testing.T) {
	names := func(pattern string) (list []string) {
		files, err := fs.Glob(os.DirFS("migrations"), pattern)
		require.NoError(t, err)
		for _, f := range files {
			list = append(list, path.Base(f))
		}
		return list
	}
	ours, theirs := names("*.sql"), names("postgres/*.sql")
	require.Equal(t, "0010_first.sql", theirs[0])
	from := slices.Index(ours, "0010_instances_per_seller.sql")
	require.Equal(t, ours[from+1:], theirs[1:], "every migration is written for PostgreSQL too, in migrations/postgres, under the same name")
}

// TestMigrations_ComeToTheSame compares the tables and columns of both databases.
func TestMigrations_ComeToTheSame(t *testing.T) {
	columns := func(driver, source, query string) (list []string) {
		db, err := sql.Open(driver, source)
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		rows, err := db.QueryContext(t.Context(), query)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		for rows.Next() {
			var name, kind string
			var notNull bool
			require.NoError(t, rows.Scan(&name, &kind, &notNull))
			list = append(list, name+" "+kind+" "+strconv.FormatBool(notNull))
		}
		require.NoError(t, rows.Err())
		slices.Sort(list)
		return list
	}
	server, file := storetest.Postgres(t), filepath.Join(t.TempDir(), "sandbox.db")
	for _, database := range []string{server, file} {
		require.NoError(t, open(t, database).Close())
	}
	theirs := columns("pgx", server, `SELECT table_name || '.' || column_name, CASE data_type WHEN 'bigint' THEN 'INTEGER' WHEN 'bytea' THEN 'BLOB' ELSE upper(data_type) END, is_nullable = 'NO'
		FROM information_schema.columns WHERE table_schema = current_schema() AND column_name <> 'rowid' AND table_name NOT IN ('schema_version', 'waiting')`)
	ours := columns("sqlite", "file:"+file, `SELECT t.name || '.' || c.name, c.type, c."notnull" OR c.pk > 0 FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'`)
	require.Equal(t, ours, theirs)
	require.Greater(t, len(ours), 100)

	indexes := func(driver, source, query string) []string { return columns(driver, source, query) }
	require.Equal(t,
		indexes("sqlite", "file:"+file, `SELECT name, '', 0 FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL`),
		indexes("pgx", server, `SELECT c.relname, '', false FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = current_schema()::regnamespace
			AND c.relname NOT IN ('calls_by_due', 'calls_first', 'instances_by_timer', 'timers_by_due', 'attempts_started')
			AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)`))
}

// named gives a database's connections a name, so that a test can end them.
func named(database, name string) string { return database + "&application_name=" + name }

// end ends the connections of a name, as the server does when it is stopped.
func end(ctx context.Context, database, name string) (n int, err error) {
	db, err := sql.Open("pgx", database)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(ctx, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1", name).Scan(&n)
	return n, err
}

// TestPostgres_LosesNothingWithItsConnections ends all connections again and again while updates are under way, in the middle of their
// commits too: each is done once.
func TestPostgres_LosesNothingWithItsConnections(t *testing.T) {
	database := storetest.Postgres(t)
	name := "ended_" + strconv.Itoa(os.Getpid())
	s := open(t, named(database, name))
	const writers, times = 6, 60
	var wg sync.WaitGroup
	over := make(chan struct{})
	for w := range writers {
		wg.Go(func() {
			for range times {
				if err := s.Update(t.Context(), count("n"+strconv.Itoa(w))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var ended int
	go func() { wg.Wait(); close(over) }()
	for ending := true; ending; {
		select {
		case <-over:
			ending = false
		case <-time.After(30 * time.Millisecond):
			n, err := end(t.Context(), database, name)
			require.NoError(t, err)
			ended += n
		}
	}
	require.Positive(t, ended)
	for w := range writers {
		n, err := s.Setting(t.Context(), "n"+strconv.Itoa(w))
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(times), n)
	}
}

func TestPostgres_RefusesANewerSchema(t *testing.T) {
	database := storetest.Postgres(t)
	require.NoError(t, open(t, database).Close())
	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	_, err = db.ExecContext(t.Context(), "INSERT INTO schema_version (version) VALUES (1000)")
	require.NoError(t, err)
	_, err = store.Open(t.Context(), database)
	require.ErrorContains(t, err, "newer version")
}

// TestPostgres_IsShared has processes open an empty schema at the same time, and work on it together.
func TestPostgres_IsShared(t *testing.T) {
	database := storetest.Postgres(t)
	var wg sync.WaitGroup
	stores := make([]*store.Store, 4)
	for i := range stores {
		wg.Go(func() {
			s, err := store.Open(context.Background(), database)
			if err != nil {
				t.Error(err)
				return
			}
			stores[i] = s
			for range 20 {
				if err := s.Update(t.Context(), count("n")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	n, err := stores[0].Setting(t.Context(), "n")
	require.NoError(t, err)
	require.Equal(t, "80", n)

	alive, err := stores[0].Processes(t.Context())
	require.NoError(t, err)
	require.Len(t, alive, 4)
	require.Contains(t, alive, stores[3].Process())
	require.True(t, stores[1].Leads(t.Context()))
	require.True(t, stores[1].Leads(t.Context()))
	require.False(t, stores[2].Leads(t.Context()))
	require.NoError(t, stores[1].Close())
	require.Eventually(t, func() bool { return stores[2].Leads(t.Context()) }, 10*time.Second, time.Millisecond, "another takes over")
	require.Eventually(t, func() bool {
		alive, err := stores[0].Processes(t.Context())
		return err == nil && len(alive) == 3
	}, 10*time.Second, time.Millisecond)

	unlock, err := stores[0].Lock(t.Context(), "x")
	require.NoError(t, err)
	none, err := stores[2].TryLock(t.Context(), "x")
	require.NoError(t, err)
	require.Nil(t, none)
	unlock()
	require.Eventually(t, func() bool {
		unlock, err := stores[2].TryLock(t.Context(), "x")
		if unlock != nil {
			unlock()
		}
		return err == nil && unlock != nil
	}, 10*time.Second, time.Millisecond)

	// What one changes the others do not take from what they know.
	version := stores[0].CatalogueVersion()
	require.NoError(t, stores[2].Update(t.Context(), func(tx *store.Tx) error { return tx.PutSeller(catalogue.Seller{ID: "s"}) }))
	require.Eventually(t, func() bool { return stores[0].CatalogueVersion() > version }, 10*time.Second, time.Millisecond)
	told := make(chan struct{}, 100)
	stores[0].OnElsewhere(func() { told <- struct{}{} })
	require.NoError(t, stores[2].Update(t.Context(), func(tx *store.Tx) error { tx.Announce(); return nil }))
	<-told
	changed := stores[0].Changed()
	require.NoError(t, stores[2].PutSetting(t.Context(), "x", "1"))
	<-changed
	for _, s := range stores {
		require.NoError(t, s.Close())
	}
}

func TestOpen_TellsNoPassword(t *testing.T) {
	for _, database := range []string{
		"postgres://user:canary@127.0.0.1:1/db", "postgres://127.0.0.1:1/db?password=canary&sslmode=disable", "postgres://user:canary@127.0.0.1:port/db",
		"postgresql://user:canary@[::1/db", "postgres://127.0.0.1:1/db?sslpassword=canary&sslmode=none",
	} {
		_, err := store.Open(t.Context(), database)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "canary")
		require.NotContains(t, store.Redacted(database), "canary")
		require.True(t, strings.HasPrefix(store.Redacted(database), "postgres"))
	}
	require.Equal(t, "a file.db", store.Redacted("a file.db"))
}
