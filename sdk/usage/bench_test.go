package usage_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isvkit/isvkit/sdk/usage"
	"github.com/isvkit/isvkit/sdk/usage/sqlstore"
)

func benchmarkRecord(b *testing.B, store usage.Store) {
	b.Helper()
	r, err := usage.New(usage.Config{Store: store, Pusher: pusherFunc(nil), Now: func() time.Time { return hour }})
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(16) // as many requests at once
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			if err := r.Record(b.Context(), fmt.Sprint("i", i%10), usage.FromUnits(375), hour, usage.ID(fmt.Sprint("e", i))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRecordMemory(b *testing.B) { benchmarkRecord(b, usage.NewMemoryStore()) }

// BenchmarkRecordSQLite records from 16 goroutines per core into a file, synchronous(FULL).
func BenchmarkRecordSQLite(b *testing.B) {
	db, err := sql.Open("sqlite", sqliteDSN(filepath.Join(b.TempDir(), "usage.db")))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	store, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.SQLite})
	if err != nil {
		b.Fatal(err)
	}
	if err := store.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	benchmarkRecord(b, store)
}
