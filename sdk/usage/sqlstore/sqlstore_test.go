package sqlstore_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/isvkit/isvkit/sdk/usage"
	"github.com/isvkit/isvkit/sdk/usage/sqlstore"
	"github.com/isvkit/isvkit/sdk/usage/storetest"
)

func openSQLite(t testing.TB) *sql.DB {
	t.Helper()
	path := filepath.ToSlash(filepath.Join(t.TempDir(), "usage.db"))
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func sqliteStore(t testing.TB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(openSQLite(t), sqlstore.Config{Dialect: sqlstore.SQLite})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	return s
}

func openPostgres(t testing.TB) *sql.DB {
	t.Helper()
	url := os.Getenv("ISVKIT_TEST_POSTGRES")
	if url == "" {
		t.Skip("skipped: needs PostgreSQL (set ISVKIT_TEST_POSTGRES=postgres://...)")
	}
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// postgresStore returns a store on tables of its own, which are dropped in the end.
func postgresStore(t testing.TB, db *sql.DB) *sqlstore.Store {
	t.Helper()
	prefix := "test_" + strings.ToLower(rand.Text()[:12]) + "_"
	s, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.PostgreSQL, Prefix: prefix})
	require.NoError(t, err)
	require.NoError(t, s.Migrate(t.Context()))
	t.Cleanup(func() {
		for _, table := range []string{"schema", "instance", "event", "window"} {
			_, err := db.Exec(fmt.Sprintf("DROP TABLE %susage_%s", prefix, table))
			require.NoError(t, err)
		}
	})
	return s
}

func TestStore_SQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) usage.Store { return sqliteStore(t) })
}

func TestStore_PostgreSQL(t *testing.T) {
	db := openPostgres(t)
	storetest.Run(t, func(t *testing.T) usage.Store { return postgresStore(t, db) })
}
