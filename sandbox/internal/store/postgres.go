package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// In PostgreSQL updates run beside each other, each in a transaction that sees the database as it was at its begin (REPEATABLE READ).
// One that would overwrite what another has changed since is rolled back by the server and run again here, so an update that reads a row
// and writes it back is safe. One that decides by rows that it does not write has to [Tx.claim] something that all such updates write.
//
// A transaction whose end is not known, because the server went away in the middle of its commit, is asked for by its number once the
// server is back: it is not run again if it was committed.

const (
	// writeConnections and readConnections are how many of each a process holds open at most. Several processes share a server, which
	// takes 100 by default.
	writeConnections = 8
	readConnections  = 4
	// patience is how long an update waits for a server that is away, and for others to be through with the same rows.
	patience = 30 * time.Second
)

// server is what a store in PostgreSQL has besides.
type server struct {
	name string

	gate  sync.RWMutex // read: updates, until what they changed was told; write: whoever needs the database for itself
	turns turns        // in which what updates changed is told

	config  *pgx.ConnConfig
	schema  string
	process int32

	holding sync.Mutex
	held    *sql.Conn // holds the lock that says that this process lives; nil while there is no server
	leads   bool

	stop       context.CancelFunc
	background sync.WaitGroup

	due       func(tx *Tx, changes []Waits) error
	elsewhere func()

	horizon sync.Map // by counter: an int64 up to which all is settled
}

// IsPostgres tells whether a database's name is that of one in PostgreSQL.
func IsPostgres(name string) bool {
	return strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://")
}

// Redacted is the name of a database without a password.
func Redacted(name string) string {
	if !IsPostgres(name) {
		return name
	}
	u, err := url.Parse(name)
	if err != nil {
		return "postgres://…"
	}
	query := u.Query()
	for key := range query {
		if strings.Contains(key, "password") {
			query.Set(key, "xxxxx")
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}

func openPostgres(ctx context.Context, name string) (*Store, error) {
	s := &Store{closing: make(chan struct{}), closed: make(chan struct{}), server: &server{name: Redacted(name), process: newProcess()}}
	s.server.turns.changed = sync.NewCond(&s.server.turns.mu)
	if err := s.connect(ctx, name); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", s.server.name, err), s.Close())
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context, name string) error {
	config, err := pgx.ParseConfig(name)
	if err != nil {
		return fmt.Errorf("expected postgres://user:password@host:port/database, as PostgreSQL's own programs take it: %w", err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "isv-sandbox"
	}
	s.server.config = config
	// Two more, which hold locks.
	s.write = newHandle(stdlib.OpenDB(*config), true, writeConnections+2)
	s.read = newHandle(stdlib.OpenDB(*config), true, readConnections)
	var schema sql.NullString
	if err := s.read.db.QueryRowContext(ctx, "SELECT current_schema()").Scan(&schema); err != nil {
		return err
	}
	if !schema.Valid {
		return errors.New("there is no schema of the search_path: create it first")
	}
	s.server.schema = schema.String
	if err := s.write.migratePostgres(ctx); err != nil {
		return err
	}
	if err := s.server.hold(ctx, s.write.db); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.Background())
	hold := s.server.stop
	s.server.stop = func() { stop(); hold() }
	s.server.background.Go(func() { s.listen(background, config) })
	s.server.background.Go(func() { s.look(background) })
	return nil
}

func (v *server) close() {
	v.gate.Lock() // until the updates under way have ended; those that come later are refused
	defer v.gate.Unlock()
	if v.stop != nil {
		v.stop()
		v.background.Wait()
	}
	if v.held != nil {
		_ = discard(v.held)
	}
}

// discard closes a connection for good, which ends all that it holds.
func discard(conn *sql.Conn) error {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	if err := conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

// migratePostgres brings the schema to the newest version. Processes that start at the same time do it one after the other.
func (h *handle) migratePostgres(ctx context.Context) (err error) {
	files, err := fs.Glob(migrations, "migrations/postgres/*.sql")
	if err != nil {
		return err
	}
	conn, err := h.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, discard(conn)) }() // which gives the lock back
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock("+keyOf+", 0)", "migration"); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)"); err != nil {
		return err
	}
	var version int
	if err := conn.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version); err != nil {
		return err
	}
	return migrate(files, version, func(version int, text string) error {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO schema_version (version) VALUES ($1)", version); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
}

// turns give updates their turn to tell what they changed. An update takes its turn when it has written everything and before it is
// committed; one that writes the same rows later can only do so after that commit, and so has a later turn.
type turns struct {
	mu      sync.Mutex
	changed *sync.Cond
	taken   uint64
	over    uint64
}

func (t *turns) take() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken++
	return t.taken
}

// wait waits for a turn to come.
func (t *turns) wait(turn uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.over != turn-1 {
		t.changed.Wait()
	}
}

// done ends a turn that was waited for.
func (t *turns) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over++
	t.changed.Broadcast()
}

// updateBeside runs an update in a transaction of its own.
func (s *Store) updateBeside(ctx context.Context, f func(tx *Tx) error, quiet bool) error {
	s.server.gate.RLock()
	defer s.server.gate.RUnlock()
	return s.untilDone(ctx, f, quiet)
}

// updateAlone runs an update while no other is under way.
func (s *Store) updateAlone(ctx context.Context, f func(tx *Tx) error) error {
	s.server.gate.Lock()
	defer s.server.gate.Unlock()
	return s.untilDone(ctx, f, false)
}

// untilDone runs an update as often as it takes.
func (s *Store) untilDone(ctx context.Context, f func(tx *Tx) error, quiet bool) error {
	began := time.Now()
	duplicates := 0
	for try := 0; ; try++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		select {
		case <-s.closing:
			return ErrClosed
		default:
		}
		start := time.Now()
		why, err := s.once(ctx, f, quiet)
		s.tellOnce(why, err, start)
		pause := time.Duration(0)
		switch why {
		case final:
			return err
		case conflict:
			pause = time.Duration(rand.Int64N(int64(time.Millisecond) << min(try, 6))) //nolint:gosec // it only spreads them
		case duplicate:
			// Another wrote the same key in the meantime: next time f sees it, and decides for itself. If it does not, it is its mistake.
			if duplicates++; duplicates > 2 {
				return err
			}
		case away:
			pause = time.Duration(100+rand.IntN(100)) * time.Millisecond //nolint:gosec // it only spreads them
		}
		if time.Since(began) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-s.closing:
			return errors.Join(err, ErrClosed)
		case <-time.After(pause):
		}
	}
}

// tellOnce tells the observer how an update went.
func (s *Store) tellOnce(why outcome, err error, began time.Time) {
	if why == final {
		if err == nil {
			s.tellCommitted(1, began)
		}
		return
	}
	s.mu.Lock()
	by := s.observer
	s.mu.Unlock()
	if by != nil {
		by.Again(map[outcome]string{conflict: "conflict", duplicate: "duplicate", away: "away"}[why])
	}
}

// outcome is why an update ended.
type outcome int

const (
	final     outcome = iota // it was committed, or failed of itself
	conflict                 // others changed the same rows
	duplicate                // others wrote the same key
	away                     // the server is not there; nothing was committed
)

// once runs an update once.
func (s *Store) once(ctx context.Context, f func(tx *Tx) error, quiet bool) (why outcome, err error) {
	known := s.known() // before the begin: nothing that it sees is older
	conn, err := s.write.db.Conn(ctx)
	if err != nil {
		return away, err
	}
	tx := &serverTx{conn: conn, handle: s.write}
	// A statement that is broken off costs the connection, and what is done is done soon.
	ctx = context.WithoutCancel(ctx)
	done := false
	defer func() {
		if done {
			err = errors.Join(err, conn.Close())
		} else {
			_ = discard(conn) // rolls back
		}
	}()
	number, err := tx.begin(ctx)
	if err != nil {
		return tx.why(err), err
	}
	t := &Tx{ctx: ctx, tx: tx, store: s, known: known}
	if err := f(t); err != nil {
		why := tx.why(err)
		done = tx.end(ctx, "ROLLBACK") == nil
		return why, err
	}
	if tx.failed != nil { // and f took no notice
		why := tx.why(tx.failed)
		done = tx.end(ctx, "ROLLBACK") == nil
		return why, tx.failed
	}
	s.mu.Lock()
	due := s.server.due
	s.mu.Unlock()
	if due != nil && len(t.waits) > 0 {
		if err := due(t, t.waits); err != nil {
			why := tx.why(err)
			done = tx.end(ctx, "ROLLBACK") == nil
			return why, err
		}
	}
	commit := []string{"COMMIT"}
	if t.announce || t.catalogue || t.faultsChanged {
		commit = []string{s.server.announcing(), "COMMIT"}
	}
	turn := s.server.turns.take()
	err = tx.end(ctx, commit...)
	done = err == nil
	committed := err == nil
	why = final
	if err != nil {
		if why = tx.why(err); why == away || why == final {
			committed, why, err = s.asked(ctx, number, err)
		}
	}
	s.server.turns.wait(turn)
	defer s.server.turns.done()
	if !committed {
		return why, err
	}
	s.committed(t)
	if !quiet {
		s.wake()
	}
	return final, nil
}

// survived asks for what became of a transaction, unless the server was started anew since its begin and does not know of it: one that crashed
// may have forgotten the numbers of transactions of its last moments, and gives them to others. What it knows of it has written at the end of
// its recovery, before it takes connections.
const survived = `SELECT s.known, CASE WHEN s.known THEN pg_xact_status($1::text::xid8) END
	FROM (SELECT extract(epoch FROM pg_postmaster_start_time())::text = $2::text
	OR $1::text::numeric < split_part(next_xid, ':', 1)::numeric * 4294967296 + split_part(next_xid, ':', 2)::numeric AS known FROM pg_control_checkpoint()) AS s`

// asked finds out what became of a transaction whose commit was not answered.
func (s *Store) asked(ctx context.Context, number string, lost error) (committed bool, why outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var status sql.NullString
		var known bool
		xid, began, _ := strings.Cut(number, " ")
		err := s.read.db.QueryRowContext(ctx, survived, xid, began).Scan(&known, &status)
		switch {
		case err == nil && !known:
			return false, away, lost
		case err != nil || status.String == "in progress":
		case status.String == "committed":
			return true, final, nil
		default:
			return false, away, lost // rolled back, so it may be run again
		}
		select {
		case <-ctx.Done():
			return false, final, fmt.Errorf("nobody knows whether an update was committed: %w", lost)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// serverTx is a transaction in PostgreSQL. It does without sql.Tx to learn the transaction's number with its begin, in one exchange, and
// whether its commit was one.
type serverTx struct {
	conn   *sql.Conn
	handle *handle
	failed error // the first error of a statement, after which the server takes no other
}

func (t *serverTx) note(err error) error {
	if t.failed == nil && err != nil {
		t.failed = err
	}
	return err
}

// beginning waits for whoever replaces everything, before the transaction sees anything.
const beginning = "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE setting IN ROW SHARE MODE; SELECT pg_current_xact_id()::text || ' ' || extract(epoch FROM pg_postmaster_start_time())"

// begin begins and gives the transaction's number.
func (t *serverTx) begin(ctx context.Context) (number string, err error) {
	err = t.conn.Raw(func(c any) error {
		conn := c.(*stdlib.Conn).Conn().PgConn() //nolint:forcetypeassert // the pool was opened with this driver
		results, err := conn.Exec(ctx, beginning).ReadAll()
		if err != nil {
			return err
		}
		number = string(results[len(results)-1].Rows[0][0])
		return nil
	})
	return number, err
}

// end commits or rolls back.
func (t *serverTx) end(ctx context.Context, how ...string) error {
	return t.conn.Raw(func(c any) error {
		conn := c.(*stdlib.Conn).Conn().PgConn() //nolint:forcetypeassert // as above
		results, err := conn.Exec(ctx, strings.Join(how, ";")).ReadAll()
		if err != nil {
			return err
		}
		last := len(how) - 1
		if tag := results[last].CommandTag.String(); tag != how[last] {
			return fmt.Errorf("%s was answered with %s", how[last], tag)
		}
		return nil
	})
}

// ExecContext runs a statement that gives no rows.
func (t *serverTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	r, err := t.conn.ExecContext(ctx, t.handle.text(query), postgresArgs(args)...)
	return r, t.note(err)
}

// QueryContext runs a query that gives rows.
func (t *serverTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := t.conn.QueryContext(ctx, t.handle.text(query), postgresArgs(args)...)
	return rows, t.note(err)
}

// QueryRowContext runs a query that gives one row.
func (t *serverTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	row := t.conn.QueryRowContext(ctx, t.handle.text(query), postgresArgs(args)...)
	_ = t.note(row.Err())
	return row
}

// Away tells whether an error says that the server of the database is not there, or not yet, and nothing else is wrong.
func Away(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		switch answer.Code {
		case "57P01", "57P02", "57P03", "25006", "53300": // shut down, crashed, starting up, a standby, too many connections
			return true
		}
		return strings.HasPrefix(answer.Code, "08")
	}
	var network net.Error
	var connecting *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connecting) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// waiting is how long a query has waited for a server that is away.
type waiting struct{ tries int }

// more waits, at first for a moment, and tells whether to try again.
func (w *waiting) more(ctx context.Context) bool {
	w.tries++
	pause := min(time.Millisecond<<min(w.tries, 10), 200*time.Millisecond)
	if time.Duration(w.tries)*200*time.Millisecond > patience {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// Patiently does what needs the server of the database, and does it again if the server goes away meanwhile, for about half a minute.
func Patiently(ctx context.Context, f func() error) error {
	err := f()
	for wait := (waiting{}); Away(err) && wait.more(ctx); {
		err = f()
	}
	return err
}

// why tells why an update failed with an error.
func (t *serverTx) why(err error) outcome {
	for _, err := range []error{t.failed, err} { // f may have made another error of the first
		var answer *pgconn.PgError
		if !errors.As(err, &answer) {
			continue
		}
		switch answer.Code {
		case "40001", "40P01": // serialization failure, deadlock
			return conflict
		case "23505":
			return duplicate
		}
		if Away(answer) {
			return away
		}
	}
	gone := t.conn.Raw(func(c any) error {
		if c.(*stdlib.Conn).Conn().IsClosed() { //nolint:forcetypeassert // as above
			return errors.New("gone")
		}
		return nil
	})
	if gone != nil {
		return away
	}
	return final
}

// claim makes an update one that conflicts with every other that claims the same row, so that what it reads of all that belongs to that
// row is true when it is committed. The query writes the row as it is.
func (tx *Tx) claim(query string, key string) error {
	if tx.store.server == nil {
		return nil // one at a time
	}
	if _, reads := tx.tx.(view); reads {
		return nil
	}
	return tx.exec(query, key)
}

// settled gives the highest id of a table up to which everything is committed or never will be.
func (s *Store) settled(ctx context.Context, counter string) (id int64, err error) {
	if s.server == nil {
		return math.MaxInt64, nil // one writer
	}
	s.server.gate.RLock() // numbers may begin anew while somebody has it all
	defer s.server.gate.RUnlock()
	if err := s.read.db.QueryRowContext(ctx, "SELECT settled($1::text::regclass)", counter).Scan(&id); err != nil {
		return 0, err
	}
	// What was settled stays so, even if somebody notes an older id now: he gets a newer one.
	for {
		earlier, loaded := s.server.horizon.LoadOrStore(counter, id)
		if before, _ := earlier.(int64); !loaded || id <= before {
			return max(id, before), nil
		}
		if s.server.horizon.CompareAndSwap(counter, earlier, id) {
			return id, nil
		}
	}
}
