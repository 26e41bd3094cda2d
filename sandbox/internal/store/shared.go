package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// Several processes share a database in PostgreSQL. Each holds a lock with its number as long as it lives, by which the others see that
// it does; the server gives it back when the process or its connection is gone. What a process knows without asking the database is
// forgotten when another says that it changed.

// Shared tells whether other processes may work on the same database.
func (s *Store) Shared() bool { return s.server != nil }

// Process is the number of this process among those that share the database.
func (s *Store) Process() int32 { return s.server.process }

// newProcess gives a number. Two processes with the same one would share a lock, so it is a random one of very many.
func newProcess() int32 { return rand.Int32() } //nolint:gosec // it is no secret

// keyOf gives the key of a lock of this schema. Advisory locks are the database's.
const keyOf = "hashtext('isv-sandbox ' || $1::text || ' ' || current_schema())"

// hold takes the lock that says that this process lives, and looks after it.
func (v *server) hold(ctx context.Context, db *sql.DB) error {
	held, err := v.tryHold(ctx, db)
	if err != nil {
		return err
	}
	v.held = held
	background, stop := context.WithCancel(context.Background())
	v.stop = stop
	v.background.Go(func() { v.keep(background, db) })
	return nil
}

func (v *server) tryHold(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock_shared("+keyOf+", $2::integer)", "process", v.process); err != nil {
		return nil, errors.Join(err, discard(conn))
	}
	return conn, nil
}

// keep takes the lock again when the server was away.
func (v *server) keep(ctx context.Context, db *sql.DB) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		v.holding.Lock()
		if v.held != nil {
			alive, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := v.held.PingContext(alive)
			cancel()
			if err != nil && ctx.Err() == nil {
				_ = discard(v.held)
				v.held, v.leads = nil, false
			}
		}
		if v.held == nil && ctx.Err() == nil {
			if held, err := v.tryHold(ctx, db); err == nil {
				v.held = held
			}
		}
		v.holding.Unlock()
	}
}

// Leads tells whether this process leads the others, and makes it so if no other does.
func (s *Store) Leads(ctx context.Context) bool {
	v := s.server
	v.holding.Lock()
	defer v.holding.Unlock()
	if v.held == nil {
		return false
	}
	if v.leads {
		return true // until the connection is gone, see keep
	}
	var free bool
	err := v.held.QueryRowContext(ctx, "SELECT pg_try_advisory_lock("+keyOf+", 0)", "leader").Scan(&free)
	v.leads = err == nil && free
	return v.leads
}

// Processes lists the numbers of the processes that live.
func (s *Store) Processes(ctx context.Context) (numbers []int32, err error) {
	rows, err := s.read.db.QueryContext(ctx, `SELECT objid::bigint::integer FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND classid::bigint = `+keyOf+`::bigint & 4294967295`, "process")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var number int32
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	return numbers, rows.Err()
}

// Lock takes a lock of a name, of which there is one for all processes, and gives what gives it back.
func (s *Store) Lock(ctx context.Context, name string) (unlock func(), err error) {
	conn, err := s.write.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock("+keyOf+", 0)", name); err != nil {
		return nil, errors.Join(err, discard(conn))
	}
	return sync.OnceFunc(func() { _ = discard(conn) }), nil
}

// TryLock is Lock without waiting; unlock is nil if another has it.
func (s *Store) TryLock(ctx context.Context, name string) (unlock func(), err error) {
	conn, err := s.write.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var free bool
	if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock("+keyOf+", 0)", name).Scan(&free); err != nil || !free {
		return nil, errors.Join(err, discard(conn))
	}
	return sync.OnceFunc(func() { _ = discard(conn) }), nil
}

// OnElsewhere has a function called when another process says that it changed what processes know without asking the database, or may
// have. There is one function.
func (s *Store) OnElsewhere(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.elsewhere = f
}

// OnDue has a function called in every update's transaction, at its end, with what it changed about what waits. There is one function.
func (s *Store) OnDue(f func(tx *Tx, changes []Waits) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server.due = f
}

// Announce tells the other processes, once it is committed, that what they know without asking the database may be wrong.
func (tx *Tx) Announce() { tx.announce = true }

// channel is what processes are told by.
const channel = "isv_sandbox"

// announcing is the statement that tells the others.
func (v *server) announcing() string {
	return fmt.Sprintf("NOTIFY %s, '%s %d'", channel, v.schema, v.process)
}

// listen hears what other processes announce. After every interruption it acts as if something had been.
func (s *Store) listen(ctx context.Context, config *pgx.ConnConfig) {
	for ctx.Err() == nil {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err == nil {
			_, err = conn.Exec(ctx, "LISTEN "+channel)
			for err == nil {
				s.heard()
				for {
					var n *pgconn.Notification
					if n, err = conn.WaitForNotification(ctx); err != nil {
						break
					}
					schema, process, _ := strings.Cut(n.Payload, " ")
					if schema == s.server.schema && process != fmt.Sprint(s.server.process) {
						break
					}
				}
			}
			_ = conn.Close(context.WithoutCancel(ctx))
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// heard forgets what may be wrong.
func (s *Store) heard() {
	s.forget()
	s.server.horizon.Clear()
	s.mu.Lock()
	elsewhere := s.server.elsewhere
	s.mu.Unlock()
	if elsewhere != nil {
		elsewhere()
	}
}

// look wakes those who wait for a change, which may be made by another process: they look for themselves.
func (s *Store) look(ctx context.Context) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.wake()
		}
	}
}

// Pool opens connections of their own to the same schema, for a queue.
func (s *Store) Pool(ctx context.Context, connections int32) (pool *pgxpool.Pool, schema string, err error) {
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, "", err
	}
	config.ConnConfig = s.server.config.Copy()
	config.MaxConns = connections
	pool, err = pgxpool.NewWithConfig(ctx, config)
	return pool, s.server.schema, err
}

// Postgres runs f with the transaction as PostgreSQL's driver has it.
func (tx *Tx) Postgres(f func(pgx.Tx) error) error {
	t, ok := tx.tx.(*serverTx)
	if !ok {
		return errors.New("store: not a transaction in PostgreSQL")
	}
	return t.conn.Raw(func(c any) error { return t.note(f(borrowed{c.(*stdlib.Conn).Conn()})) }) //nolint:forcetypeassert // the pool was opened with this driver
}

// borrowed is a transaction that somebody else ends.
type borrowed struct{ conn }

// conn is a connection under another name, as a transaction has a method of that one.
type conn = *pgx.Conn

var errBorrowed = errors.New("store: the transaction is not yours to end")

func (borrowed) Begin(context.Context) (pgx.Tx, error) { return nil, errBorrowed }
func (borrowed) Commit(context.Context) error          { return errBorrowed }
func (borrowed) Rollback(context.Context) error        { return errBorrowed }
func (b borrowed) Conn() *pgx.Conn                     { return b.conn }
func (borrowed) LargeObjects() pgx.LargeObjects        { return pgx.LargeObjects{} }

// Settings reads settings of these names; those that were never written are not among them.
func (s *Store) Settings(ctx context.Context, names ...string) (map[string]string, error) {
	type setting struct{ name, value string }
	all, err := collect(ctx, s.read, func(row interface{ Scan(...any) error }) (v setting, err error) {
		err = row.Scan(&v.name, &v.value)
		return v, err
	}, "SELECT name, value FROM setting")
	found := map[string]string{}
	for _, v := range all {
		if slices.Contains(names, v.name) {
			found[v.name] = v.value
		}
	}
	return found, err
}

// NextDue is when the next thing is due; zero if nothing waits.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var next sql.NullInt64
	err := s.read.QueryRowContext(ctx, "SELECT min(due_at) FROM waiting").Scan(&next)
	return fromMillis(next), err
}

const dueOfSubject = `SELECT subject, '', 0, 0, due_at FROM timers WHERE subject = ?1 UNION ALL SELECT line_id, seller_id, 0, 0, timer_at FROM instances WHERE line_id = ?1 AND timer_at IS NOT NULL
	UNION ALL SELECT * FROM (SELECT subject, seller_id, call_id, seq, due_at FROM calls WHERE subject = ?1 AND status = 'pending' ORDER BY seq LIMIT 1) AS first_call`

// Next tells what a subject waits for: its timer, if it has one, and its first call.
func (s *Store) Next(ctx context.Context, subject string) ([]Waits, error) {
	return collect(ctx, s.read, scanWaits, dueOfSubject, subject)
}

// Next tells what a subject waits for: its timer, if it has one, and its first call.
func (tx *Tx) Next(subject string) ([]Waits, error) {
	return collect(tx.ctx, tx.tx, scanWaits, dueOfSubject, subject)
}

// InterruptSubject marks the attempts about a subject that never ended, where nothing can be under way. They count, as their numbers
// are taken.
func (tx *Tx) InterruptSubject(subject string) error {
	if err := tx.exec(`UPDATE calls SET attempts = a.number FROM (SELECT call_id, max(number) AS number FROM attempts WHERE outcome = 'started'
		AND call_id IN (SELECT call_id FROM calls WHERE subject = ? AND status = 'pending') GROUP BY call_id) a WHERE calls.call_id = a.call_id`, subject); err != nil {
		return err
	}
	return tx.exec(`UPDATE attempts SET outcome = 'interrupted', detail = '`+stopped+`' WHERE outcome = 'started'
		AND call_id IN (SELECT call_id FROM calls WHERE subject = ? AND status = 'pending')`, subject)
}

// InterruptAwaited marks the attempts that somebody waited for in processes that do not live any more. Alive tells those that do, and is asked
// after the look at the attempts.
func (s *Store) InterruptAwaited(ctx context.Context, alive func(process int32) (bool, error)) error {
	type awaited struct {
		attemptID int64
		process   int32
	}
	all, err := collect(ctx, s.read, func(row interface{ Scan(...any) error }) (a awaited, err error) {
		err = row.Scan(&a.attemptID, &a.process)
		return a, err
	}, "SELECT attempt_id, process FROM awaited")
	if err != nil || len(all) == 0 {
		return err
	}
	for _, a := range all {
		if lives, err := alive(a.process); err != nil || lives {
			if err != nil {
				return err
			}
			continue
		}
		if err := s.UpdateQuietly(ctx, func(tx *Tx) error {
			if still, err := tx.Awaited(a.attemptID); err != nil || !still {
				return err
			}
			return tx.exec("UPDATE attempts SET outcome = 'interrupted', detail = '"+stopped+"' WHERE attempt_id = ? AND outcome = 'started'", a.attemptID)
		}); err != nil {
			return err
		}
	}
	return nil
}

// ClaimAttempt writes that an attempt begins, whose number the call has, and tells whether it may: the call is pending, and no attempt of
// that number was begun by another process. What was begun earlier and has not ended will not: whoever began it lost the call, see UnderWay.
func (tx *Tx) ClaimAttempt(c Call) (bool, error) {
	if tx.store.server == nil {
		return true, nil // there is no other
	}
	r, err := tx.tx.ExecContext(tx.ctx, "UPDATE calls SET attempts = ?1 WHERE call_id = ?2 AND status = 'pending' AND attempts = ?1 - 1", c.Attempts, c.ID)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	if err == nil && n == 1 && c.Attempts > 1 {
		err = tx.exec("UPDATE attempts SET outcome = 'interrupted', detail = 'the process that made this attempt lost the database, and another went on' WHERE call_id = ? AND outcome = 'started'", c.ID)
	}
	return n == 1, err
}

// UnderWay tells whether an attempt, whose number the call has, is the latest of a pending call and was not taken for interrupted. If it is
// not, another process has gone on with the call.
func (tx *Tx) UnderWay(attemptID int64, c Call) (bool, error) {
	if tx.store.server == nil {
		return true, nil // there is no other
	}
	return tx.exists(`SELECT 1 FROM attempts a JOIN calls c ON c.call_id = a.call_id WHERE a.attempt_id = ? AND c.call_id = ? AND a.outcome = 'started'
		AND c.status = 'pending' AND c.attempts = ?`, attemptID, c.ID, c.Attempts)
}
