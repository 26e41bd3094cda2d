package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"

	_ "modernc.org/sqlite" // or any other driver

	"github.com/isvkit/isvkit/sdk/provider"
	"github.com/isvkit/isvkit/sdk/provider/sqlstore"
)

func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
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
	handler, err := provider.NewHandler(&crm{}, provider.Config{
		BaseKeys: []string{"demo-access-key-0001"}, Instances: store, Nonces: store,
	})
	fmt.Println(handler != nil, err)

	// Of two replicas that save at once the first stands.
	line := provider.OrderLineKey{OrderID: "CS1", OrderLineID: "CS1-000001"}
	for _, id := range []string{"i-1", "i-2"} {
		stands, err := store.Save(ctx, line, provider.Remembered{InstanceID: id, Ready: true})
		fmt.Println(stands.InstanceID, err)
	}
	// Output:
	// true <nil>
	// i-1 <nil>
	// i-1 <nil>
}
