// Package store keeps the sandbox's state in SQLite or PostgreSQL: sellers and products, orders, instances, calls, the attempt
// journal, usage records. State and the calls it yields are written in one transaction, so that a process killed at any moment
// goes on where it was.
//
// A file is written ahead-logged and synced as SQLite's NORMAL does: nothing committed is lost when the process dies; the
// last moments may be when the machine loses power. PostgreSQL loses nothing that is committed, as far as it is not told otherwise.
//
// The queries are the same for both: see dialect.go for what differs, and postgres.go for how updates run there.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/internal/fault"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/secrets"
)

// migrations are numbered files; the number of the last one applied is the schema version of a database.
//
//go:embed migrations/*.sql migrations/postgres/*.sql
var migrations embed.FS

// ErrNotFound is returned where a row that was asked for by its key does not exist.
var ErrNotFound = errors.New("store: not found")

// ErrInUse is returned by Open where another process has the file open. Two would deliver every call twice.
var ErrInUse = errors.New("another process is using it")

// Store is the database. Its methods may be called concurrently.
type Store struct {
	lock  *flock.Flock // nil for a database in memory
	write *handle      // one connection: SQLite has one writer at a time
	read  *handle      // the same handle for a database in memory, which has one connection only

	checkpoints *checkpoints // of a file

	writing bool          // the writer was started
	jobs    chan *job     // updates for the writer
	closing chan struct{} // closed by Close
	closed  chan struct{} // closed when the writer has stopped

	server *server // of a database in PostgreSQL, which needs no writer

	mu      sync.Mutex
	changed chan struct{}
	waits   func(changes []Waits)

	desk             desk // the writer's
	fresh            freshCalls
	catalogueVersion atomic.Int64
	products         versioned[catalogue.Product]
	registrations    versioned[Registration]
	faultRules       atomic.Pointer[[]fault.Rule] // nil: not read since they were changed
	faultsVersion    atomic.Int64                 // grows with every change of them

	observer   Observer                     // may be nil
	keepEvents atomic.Int64                 // see KeepEvents
	secrets    atomic.Pointer[secrets.Ring] // see Unlock
}

// Observer is told of transactions. It must not block, nor call the store.
type Observer interface {
	// Committed tells of a transaction that some updates shared, and how long it took.
	Committed(updates int, took time.Duration)
	// Again tells that an update is run again, and why: conflict, duplicate or away.
	Again(reason string)
}

// Observe has an observer told, of which there is one, before the first update.
func (s *Store) Observe(by Observer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observer = by
}

// Waits says that something waits, or no longer does: a call for its attempt, or a subject for its time. It is told as it stands
// after the update, so telling it twice does no harm.
type Waits struct {
	Subject string
	Seller  string    // whose it is; empty if that is not known
	CallID  int64     // 0: the subject's timer
	Seq     int64     // of a call
	Due     time.Time // zero: it does not wait any more
}

// OnWaits has a function called with what every update changed about what waits, in the order of the updates and before the
// update returns; there is one function. It must not block, nor call the store.
func (s *Store) OnWaits(f func(changes []Waits)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = f
}

// CatalogueVersion grows with every change of a seller or product.
func (s *Store) CatalogueVersion() int64 { return s.catalogueVersion.Load() }

// Changed gives a channel that is closed after the next update.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

// wake wakes those who wait for a change.
func (s *Store) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Open opens or creates the database in a file, or in memory for ":memory:", or opens one of PostgreSQL for postgres://….
func Open(ctx context.Context, name string) (*Store, error) {
	if IsPostgres(name) {
		return openPostgres(ctx, name)
	}
	dsn := ":memory:?_pragma=foreign_keys(1)"
	if name != ":memory:" {
		u := url.URL{Scheme: "file", Opaque: strings.NewReplacer("?", "%3f", "#", "%23").Replace(name)}
		dsn = u.String() + "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=wal_autocheckpoint(16000)&_pragma=cache_size(-8000)&_pragma=foreign_keys(1)&_txlock=immediate"
	}
	s := &Store{jobs: make(chan *job, maxBatch), closing: make(chan struct{}), closed: make(chan struct{})}
	if err := s.open(ctx, name, dsn); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", name, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, name, dsn string) (err error) {
	writing := dsn
	if name != ":memory:" {
		s.lock = flock.New(name + ".lock")
		free, err := s.lock.TryLock()
		if err != nil {
			return err
		}
		if !free {
			return ErrInUse
		}
		// The file holds keys, so it is its owner's alone from the start.
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names it
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if info.Size() == 0 { // so that its pages can be given back, see Shrink; it can be said only before there is anything
			writing = strings.Replace(dsn, "&_pragma=journal_mode", "&_pragma=auto_vacuum(2)&_pragma=journal_mode", 1)
		}
	}
	if s.write, err = open(writing, 1); err != nil {
		return err
	}
	s.read = s.write
	if err := s.write.migrate(ctx); err != nil {
		return err
	}
	go s.writer()
	s.writing = true
	if name == ":memory:" {
		return nil
	}
	if s.checkpoints, err = startCheckpoints(dsn); err != nil {
		return err
	}
	if s.read, err = open(dsn+"&_pragma=query_only(1)", 4); err != nil {
		s.read = s.write
		return err
	}
	return nil
}

// ErrClosed is returned by updates of a store that is closed.
var ErrClosed = errors.New("store: closed")

// Close closes the database. Once it is closed it does nothing.
func (s *Store) Close() (err error) {
	select {
	case <-s.closing:
		return nil
	default:
		close(s.closing)
	}
	if s.writing {
		<-s.closed
	}
	if s.checkpoints != nil {
		err = s.checkpoints.close()
	}
	if s.server != nil {
		s.server.close()
	}
	if s.read != nil && s.read != s.write {
		err = errors.Join(err, s.read.db.Close())
	}
	if s.write != nil {
		err = errors.Join(err, s.write.db.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// migrate brings the database to the newest schema, one migration after the other, each in a transaction of its own.
func (h *handle) migrate(ctx context.Context) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	var version int
	if err := h.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	return migrate(files, version, func(version int, text string) error {
		tx, err := h.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, text+fmt.Sprintf(";\nPRAGMA user_version = %d;", version)); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
}

// migrate applies the migrations that a database of a version has not seen.
func migrate(files []string, version int, apply func(version int, text string) error) error {
	if version > len(files) {
		return fmt.Errorf("it was written by a newer version (schema %d, this program knows %d)", version, len(files))
	}
	for ; version < len(files); version++ {
		text, err := migrations.ReadFile(files[version])
		if err == nil {
			err = apply(version+1, string(text))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", files[version], err)
		}
	}
	return nil
}

// SchemaVersion is the version of the newest schema of a file, which is that of every open one.
func SchemaVersion() int {
	files, _ := fs.Glob(migrations, "migrations/*.sql")
	return len(files)
}

// Tx is a transaction that may write.
type Tx struct {
	ctx   context.Context //nolint:containedctx // a Tx lives only inside Update
	tx    transaction
	store *Store
	known *known
	desk  *desk // in an update of SQLite

	announce  bool               // other processes are to forget what they know
	instance  lifecycle.Instance // the last one that was read
	waits     []Waits
	added     []Call
	catalogue bool // a seller or product was changed

	faultsChanged bool
	faultRules    *[]fault.Rule // read in this transaction
}

// known is what the process knew at the begin of a transaction without asking the database.
type known struct {
	catalogue  int64 // its version
	faults     int64 // the version of the rules
	faultRules *[]fault.Rule
}

func (s *Store) known() *known {
	k := &known{catalogue: s.catalogueVersion.Load(), faults: s.faultsVersion.Load()}
	k.faultRules = s.faultRules.Load()
	return k
}

// wait notes that something waits, for after the commit.
func (tx *Tx) wait(w Waits) { tx.waits = append(tx.waits, w) }

// exec runs a statement that gives no rows.
func (tx *Tx) exec(query string, args ...any) error {
	_, err := tx.tx.ExecContext(tx.ctx, query, args...)
	return err
}

// row runs a query that gives one row.
func (tx *Tx) row(query string, args ...any) *sql.Row {
	return tx.tx.QueryRowContext(tx.ctx, query, args...)
}

// text runs a query that gives one text; sql.ErrNoRows if it gives none.
func (tx *Tx) text(query string, args ...any) (text string, err error) {
	if p, ok := tx.tx.(*prepared); ok {
		return p.text(tx.ctx, query, args)
	}
	err = tx.row(query, args...).Scan(&text)
	return text, err
}

// insert adds a row and gives its number, which the database makes.
func (tx *Tx) insert(query, number string, args ...any) (id int64, err error) {
	if tx.store.write.postgres {
		err = tx.row(query+" RETURNING "+number, args...).Scan(&id)
		return id, err
	}
	// SQLite knows it without being asked, which costs half as much.
	r, err := tx.tx.ExecContext(tx.ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// job is an update that waits for its transaction.
type job struct {
	ctx      context.Context //nolint:containedctx // handed to the writer
	f        func(tx *Tx) error
	quiet    bool
	alone    func() error // in place of f: work outside of any transaction
	tx       *Tx
	err      error
	panicked any
	done     chan struct{} // closed when err is final
}

// yields is how often the writer lets others go first before it begins a transaction. It costs nothing where nobody else has anything to do.
const yields = 8

// maxBatch is how many updates share a transaction at most; more would make the first of them wait for long.
const maxBatch = 128

// Update runs f in a transaction and commits it, or rolls it back if f fails. f must not call Update, and may be run more than once.
//
// In SQLite updates that come while another is being committed share the next transaction: one commit for all of them, each of them
// whole or not at all; f is run again if another of them fails. In PostgreSQL each has its own, beside the others; f is run again if
// another changed what it read or wrote, and if the server goes away and comes back.
func (s *Store) Update(ctx context.Context, f func(tx *Tx) error) error {
	return s.update(ctx, f, false)
}

// UpdateQuietly is Update for changes that nobody waits for.
func (s *Store) UpdateQuietly(ctx context.Context, f func(tx *Tx) error) error {
	return s.update(ctx, f, true)
}

func (s *Store) update(ctx context.Context, f func(tx *Tx) error, quiet bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.server != nil {
		return s.updateBeside(ctx, f, quiet)
	}
	return s.submit(&job{ctx: ctx, f: f, quiet: quiet, done: make(chan struct{})})
}

// View runs f on what is committed, beside the updates. Each of its queries sees what is committed then; f must not write.
func (s *Store) View(ctx context.Context, f func(tx *Tx) error) error {
	return f(&Tx{ctx: ctx, tx: view{s.read}, store: s, known: s.known()})
}

// Alone runs f in a transaction while no other update of this process is under way: what f reads is told by no update later.
func (s *Store) Alone(ctx context.Context, f func(tx *Tx) error) error {
	if s.server != nil {
		return s.updateAlone(ctx, f)
	}
	return s.Update(ctx, f) // where there is one at a time
}

// submit hands a job to the writer and waits for its end.
func (s *Store) submit(j *job) error {
	select {
	case s.jobs <- j:
	case <-s.closing:
		return ErrClosed
	}
	select {
	case <-j.done:
	case <-s.closed:
		return ErrClosed
	}
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

// writer runs updates until the store is closed. It is one goroutine for all of them: SQLite has one writer at a time, and needs much
// stack, which is grown only once.
func (s *Store) writer() {
	defer close(s.closed)
	for {
		var batch []*job
		select {
		case j := <-s.jobs:
			batch = append(batch, j)
		case <-s.closing:
			return
		}
		for range yields { // whoever is about to update may as well share this transaction
			runtime.Gosched()
		}
	more:
		for len(batch) < maxBatch {
			select {
			case j := <-s.jobs:
				batch = append(batch, j)
			default:
				break more
			}
		}
		s.commit(batch)
		s.checkpoints.written(len(batch))
		if slices.ContainsFunc(batch, func(j *job) bool { return !j.quiet }) {
			s.wake()
		}
		for _, j := range batch {
			close(j.done)
		}
	}
}

// commit runs updates in one transaction. If one of them fails, nothing of that transaction stays, and each is run again in one of its
// own: failures are rare, and a savepoint for each would cost more than the updates themselves.
func (s *Store) commit(batch []*job) {
	if i := slices.IndexFunc(batch, func(j *job) bool { return j.alone != nil }); i >= 0 {
		if i > 0 {
			s.commit(batch[:i])
		}
		j := batch[i]
		func() {
			defer func() { j.panicked = recover() }()
			j.err = j.alone()
			s.desk = desk{}
			s.forget()
		}()
		if i+1 < len(batch) {
			s.commit(batch[i+1:])
		}
		return
	}
	if err := s.together(batch); err == nil {
		s.tell(batch)
		return
	} else if len(batch) == 1 {
		if batch[0].err == nil {
			batch[0].err = err
		}
		return
	}
	for _, j := range batch {
		j.err, j.panicked, j.tx = nil, nil, nil
		s.commit([]*job{j})
	}
}

// together runs updates in one transaction; it gives the first error, after which nothing of any of them stays.
func (s *Store) together(batch []*job) error {
	ctx := context.Background()
	began := time.Now()
	conn, err := s.write.db.Conn(ctx)
	if err != nil {
		return err
	}
	own, err := s.transact(ctx, conn, batch)
	if err := errors.Join(err, conn.Close()); err != nil { // Close gives it back
		s.desk = desk{}
		return err
	}
	s.tellCommitted(len(batch), began)
	// What was prepared inside is prepared for good now that the connection is free.
	for query := range own {
		_, _ = s.write.prepare(ctx, query)
	}
	return nil
}

func (s *Store) transact(ctx context.Context, conn *sql.Conn, batch []*job) (own map[string]*sql.Stmt, err error) {
	sqlTx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	tx := &prepared{Tx: sqlTx, conn: conn, handle: s.write, own: map[string]*sql.Stmt{}}
	known := s.known()
	for _, j := range batch {
		j.run(s, tx, known)
		if j.panicked != nil || j.err != nil {
			return nil, errors.Join(errors.New("rolled back"), j.err, sqlTx.Rollback())
		}
	}
	if err := s.desk.write(ctx, tx, s.eventsKept()); err != nil {
		return nil, errors.Join(err, sqlTx.Rollback())
	}
	if err := sqlTx.Commit(); err != nil {
		_ = sqlTx.Rollback()
		return nil, err
	}
	return tx.own, nil
}

func (s *Store) tellCommitted(updates int, began time.Time) {
	s.mu.Lock()
	by := s.observer
	s.mu.Unlock()
	if by != nil {
		by.Committed(updates, time.Since(began))
	}
}

// tell passes on what committed updates changed. It comes before the next transaction may begin, so that all is told in order.
func (s *Store) tell(batch []*job) {
	for _, j := range batch {
		if j.err == nil && j.tx != nil {
			s.committed(j.tx)
		}
	}
}

// committed passes on what a transaction changed.
func (s *Store) committed(tx *Tx) {
	s.mu.Lock()
	told := s.waits
	s.mu.Unlock()
	if s.server == nil { // another process may change a call
		s.fresh.keep(tx.added, tx.waits)
	}
	if tx.catalogue {
		s.catalogueVersion.Add(1)
	}
	if tx.faultsChanged {
		s.faultRules.Store(nil)
		s.faultsVersion.Add(1)
	} else if tx.faultRules != nil && tx.known.faults == s.faultsVersion.Load() {
		s.faultRules.Store(tx.faultRules)
	}
	if told != nil && len(tx.waits) > 0 {
		told(tx.waits)
	}
}

// forget drops all that is known without asking the database, after everything in it was replaced.
func (s *Store) forget() {
	s.catalogueVersion.Add(1)
	s.fresh.forget()
	s.faultRules.Store(nil)
	s.faultsVersion.Add(1)
}

// run runs one update.
func (j *job) run(s *Store, tx *prepared, known *known) {
	if j.err = j.ctx.Err(); j.err != nil {
		return
	}
	defer func() { j.panicked = recover() }()
	// A statement that is broken off in the middle would take the others' transaction with it.
	j.tx = &Tx{ctx: context.WithoutCancel(j.ctx), tx: tx, store: s, known: known, desk: &s.desk}
	j.err = j.f(j.tx)
}

func collect[T any](ctx context.Context, q querier, scan func(row interface{ Scan(...any) error }) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

func one[T any](v T, err error) (T, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrNotFound
	}
	return v, err
}

func millis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

func fromMillis(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMilli(n.Int64).UTC()
}

// Setting reads a setting; ErrNotFound if it was never written.
func (s *Store) Setting(ctx context.Context, name string) (string, error) {
	var v string
	err := s.read.QueryRowContext(ctx, "SELECT value FROM setting WHERE name = ?", name).Scan(&v)
	return one(v, err)
}

// PutSetting writes a setting.
func (s *Store) PutSetting(ctx context.Context, name, value string) error {
	return s.Update(ctx, func(tx *Tx) error { return tx.PutSetting(name, value) })
}

// PutSetting writes a setting.
func (tx *Tx) PutSetting(name, value string) error {
	return tx.exec("INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
}

// DeleteSetting removes a setting, if there is one.
func (tx *Tx) DeleteSetting(name string) error {
	return tx.exec("DELETE FROM setting WHERE name = ?", name)
}

// Setting reads a setting; ErrNotFound if it was never written.
func (tx *Tx) Setting(name string) (string, error) {
	var v string
	err := tx.row("SELECT value FROM setting WHERE name = ?", name).Scan(&v)
	return one(v, err)
}

// Counts are totals for the status page.
type Counts struct{ Orders, Instances, CallsPending, CallsWaiting, UsageRecords int }

// Counts counts.
func (s *Store) Counts(ctx context.Context) (c Counts, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM instances),
		(SELECT count(*) FROM calls WHERE status = 'pending'), (SELECT count(*) FROM calls WHERE status = 'waiting'),
		(SELECT count(*) FROM usage_records WHERE accepted = 1)`).
		Scan(&c.Orders, &c.Instances, &c.CallsPending, &c.CallsWaiting, &c.UsageRecords)
	return c, err
}
