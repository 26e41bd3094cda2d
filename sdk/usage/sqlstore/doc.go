// Package sqlstore keeps metered usage in SQLite or PostgreSQL, as a [usage.Store] on database/sql. The driver is the caller's
// choice: this package imports none.
//
//	store, err := sqlstore.New(db, sqlstore.Config{Dialect: sqlstore.PostgreSQL})
//	err = store.Migrate(ctx) // at every start
//	reporter, err := usage.New(usage.Config{Store: store, Pusher: client})
//
// # SQLite
//
// With the driver modernc.org/sqlite open the file as
//
//	file:usage.db?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)
//
// synchronous(FULL) is what makes a record survive a power failure; with NORMAL it survives the end of the process only.
// busy_timeout is for other processes on the same file; inside a process the Store lets one writer in at a time, and what
// other goroutines record meanwhile goes into the next transaction together, so that they share its fsync.
//
// # PostgreSQL
//
// Any driver for database/sql, such as github.com/jackc/pgx/v5/stdlib. Any number of Reporters may share the tables. Locks are always
// taken in the same order, so that they do not deadlock: claim, id of the event, instance, windows. Isolation is READ
// COMMITTED, the default. All times come from the Reporters' clocks, not from the database.
package sqlstore
