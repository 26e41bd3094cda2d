// Package storetest gives tests the databases that a sandbox can have.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// Each runs a test on a database in memory, in a file, and in PostgreSQL, each of them empty.
func Each(t *testing.T, test func(t *testing.T, database string)) {
	t.Helper()
	for _, kind := range []struct {
		name string
		open func(t testing.TB) string
	}{
		{"memory", func(testing.TB) string { return ":memory:" }},
		{"file", func(t testing.TB) string { return filepath.Join(t.TempDir(), "sandbox.db") }},
		{"postgres", Postgres},
	} {
		t.Run(kind.name, func(t *testing.T) { test(t, kind.open(t)) })
	}
}

var schemas atomic.Int64

// Postgres makes an empty schema in the PostgreSQL that ISVKIT_TEST_POSTGRES names, which goes with the test, and gives the name of the
// database in it. Where there is none, the test is skipped.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv("ISVKIT_TEST_POSTGRES") //nolint:forbidigo // tests alone are told so
	if server == "" {
		t.Skip("skipped: needs PostgreSQL (set ISVKIT_TEST_POSTGRES, see .ci/run)")
	}
	schema := fmt.Sprintf("sandbox_%d_%d_%d", time.Now().UnixNano(), os.Getpid(), schemas.Add(1))
	run(t, server, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { run(t, server, "DROP SCHEMA "+schema+" CASCADE") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("ISVKIT_TEST_POSTGRES is no URL")
	}
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}

func run(t testing.TB, server, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", server)
	if err == nil {
		_, err = db.ExecContext(context.Background(), statement)
		_ = db.Close()
	}
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
