package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	_ "modernc.org/sqlite" // or any other driver

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sdk/marketplace"
	"github.com/isvkit/isvkit/sdk/usage"
	"github.com/isvkit/isvkit/sdk/usage/sqlstore"
)

// taking is a marketplace that takes everything. In a program this is a *marketplace.Client.
type taking struct{}

func (taking) PushUsage(_ context.Context, records []marketplaceapi.UsageRecord) (*marketplace.PushResult, error) {
	return &marketplace.PushResult{Accepted: len(records)}, nil
}

func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:") // in a program a file; see the package's comment
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // in memory, each connection is a database of its own
	store, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.SQLite})
	if err != nil {
		panic(err)
	}
	if err := store.Migrate(ctx); err != nil {
		panic(err)
	}
	now := time.Date(2026, 3, 4, 8, 30, 0, 0, time.UTC)
	reporter, err := usage.New(usage.Config{Store: store, Pusher: taking{}, PushAfter: 5 * time.Minute, Now: func() time.Time { return now }})
	if err != nil {
		panic(err)
	}
	if err := reporter.Record(ctx, "i-1", usage.MustParseAmount("1.25"), now); err != nil {
		panic(err)
	}
	now = now.Add(time.Hour)
	if err := reporter.Flush(ctx); err != nil {
		panic(err)
	}
	done, err := reporter.Inspect(ctx, usage.Filter{})
	for _, w := range done {
		fmt.Println(w.InstanceID, w.State, w.Amount)
	}
	fmt.Println(err)
	// Output:
	// i-1 done 1.25
	// <nil>
}
