package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// River is the queue of processes that share a database in PostgreSQL, carried by River (riverqueue.com).
//
// A job is a subject for which something is due. There is at most one for a subject that has not ended, whichever process works on it, so
// the calls of a subject are made one after the other. A job is inserted in the transaction that writes what is due, or, when the clock
// gets there, by the process that leads: River's own schedule knows real time only. A job ends in a transaction that sees that nothing
// more is due; one that adds something at that moment conflicts with it, and is run again.
//
// What is due stands in the store as it does for [Local], so jobs carry nothing but the subject, and one too many does no harm.
//
// The jobs of a process that died are given to others at once: whoever leads sees that it does not live any more.
type River struct {
	store  *store.Store
	clock  *clock.Clock
	work   Work
	shared Shared
	log    *slog.Logger

	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	wake   chan struct{}

	working context.Context //nolint:containedctx // of the work: over when Run ends, whatever River says
	stop    context.CancelFunc

	missing map[int64]int // jobs that this process was not at when it looked last, and their attempts

	mu       sync.Mutex
	running  bool
	draining bool
	stopped  bool
	sellers  sellers
}

// Shared is what processes have in common besides the store.
type Shared struct {
	Sync func(ctx context.Context) error // sets the clock as the store says, unless this process is moving it
	Save func(ctx context.Context) error // writes where the clock is
	// Adopt ends a move of the clock that its process did not live to end. It is called while no other moves it.
	Adopt func(ctx context.Context) error
}

const (
	jobQueue = "subjects"
	// clockLock is held by who moves or changes the clock, or replaces everything.
	clockLock = "clock"
	// pieces is how many things a job does before others have their turn.
	pieces = 8
	// lead is how often the leader looks for what has come due. Nothing else waits for it: what is due when it is written is told with it.
	lead = 50 * time.Millisecond
	// rescue is how often it looks for jobs of processes that died.
	rescue = time.Second
	// page is how many jobs are inserted at once.
	page = 500
)

// notEnded are the states of jobs that have not ended.
const notEnded = "queue = 'subjects' AND state IN ('available', 'pending', 'running', 'retryable', 'scheduled')"

// subjectJob is a subject for which something is due.
type subjectJob struct {
	Subject string `json:"subject" river:"unique"`
	Lane    string `json:"lane"`
	// Rescued says that a process died that was at work on it.
	Rescued bool `json:"rescued,omitempty"`
}

// Kind names it for River.
func (subjectJob) Kind() string { return "subject" }

// InsertOpts says that there is one for a subject that has not ended.
func (subjectJob) InsertOpts() river.InsertOpts {
	return river.InsertOpts{
		Queue: jobQueue, MaxAttempts: 30_000,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning, rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		}},
	}
}

// retry is River's policy for work that failed.
type retry struct{}

// NextRetry is after a pause.
func (retry) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(pause) }

// NewRiver gives a queue on a store in PostgreSQL; [River.Run] makes it work.
func NewRiver(ctx context.Context, s *store.Store, c *clock.Clock, work Work, shared Shared, log *slog.Logger) (*River, error) {
	pool, schema, err := s.Pool(ctx, 6)
	if err != nil {
		return nil, err
	}
	q := &River{store: s, clock: c, work: work, shared: shared, log: log, pool: pool, wake: make(chan struct{}, 1), sellers: newSellers()}
	q.working, q.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := q.open(ctx, schema); err != nil {
		pool.Close()
		return nil, fmt.Errorf("queue: %w", err)
	}
	s.OnDue(q.due)
	return q, nil
}

func (q *River) open(ctx context.Context, schema string) error {
	// River tells much that only its maker wants to know.
	quiet := slog.New(atLeast{q.log.Handler()})
	driver := riverpgxv5.New(q.pool)
	unlock, err := q.store.Lock(ctx, "river")
	if err != nil {
		return err
	}
	defer unlock()
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet, Schema: schema})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	if _, err := q.pool.Exec(ctx, "CREATE INDEX IF NOT EXISTS river_job_by_subject ON river_job ((args->>'subject')) WHERE "+notEnded); err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{q: q})
	q.client, err = river.NewClient(driver, &river.Config{
		ID: processName(q.store.Process()), Schema: schema, Logger: quiet, Workers: workers,
		Queues:        map[string]river.QueueConfig{jobQueue: {MaxWorkers: Workers}},
		FetchCooldown: 5 * time.Millisecond, FetchPollInterval: 250 * time.Millisecond,
		// An attempt has its own end. What River takes for stuck from its begin on waits for its ISV, maybe; see sellers.
		JobTimeout: -1, JobStuckThreshold: time.Millisecond, JobStuckHandler: q.stuck,
		RetryPolicy: retry{}, CompletedJobRetentionPeriod: time.Minute, DiscardedJobRetentionPeriod: time.Minute,
	})
	return err
}

func processName(process int32) string { return "sandbox-" + strconv.Itoa(int(process)) }

// atLeast passes on warnings and errors.
type atLeast struct{ slog.Handler }

// Enabled is true from warnings on.
func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

// Handle leaves out what River thinks of jobs that wait for an ISV.
func (h atLeast) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasSuffix(r.Message, "Job appears to be stuck") {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs keeps the level.
func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the level.
func (h atLeast) WithGroup(name string) slog.Handler { return atLeast{h.Handler.WithGroup(name)} }

// due inserts jobs for what an update wrote that is due, in its transaction.
func (q *River) due(tx *store.Tx, changes []store.Waits) error {
	now := q.clock.Now()
	var jobs []subjectJob
	for _, w := range changes {
		if !w.Due.IsZero() && !w.Due.After(now) && !slices.ContainsFunc(jobs, func(j subjectJob) bool { return j.Subject == w.Subject }) {
			jobs = append(jobs, subjectJob{Subject: w.Subject, Lane: laneOf(w.Seller, w.Subject)})
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	return tx.Postgres(func(t pgx.Tx) error {
		_, err := q.client.InsertManyTx(context.Background(), t, params(jobs))
		return err
	})
}

func params(jobs []subjectJob) []river.InsertManyParams {
	// In one order, so that two who insert the same do not wait for each other.
	slices.SortFunc(jobs, func(a, b subjectJob) int { return strings.Compare(a.Subject, b.Subject) })
	list := make([]river.InsertManyParams, len(jobs))
	for i, j := range jobs {
		list[i].Args = j
	}
	return list
}

// worker does jobs.
type worker struct {
	river.WorkerDefaults[subjectJob]
	q *River
}

// Timeout has River call [River.stuck] soon. The work takes no notice of it.
func (w *worker) Timeout(*river.Job[subjectJob]) time.Duration { return time.Millisecond }

// Work does what is due about a subject.
func (w *worker) Work(ctx context.Context, job *river.Job[subjectJob]) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(w.q.working, cancel)()
	p, err := w.q.enter(ctx, job)
	if err != nil {
		return err
	}
	defer w.q.leave(p)
	ctx = context.WithValue(ctx, outsideKey{}, outside(p))
	err = w.q.do(ctx, job)
	var snooze *river.JobSnoozeError
	if err != nil && ctx.Err() == nil && !errors.As(err, &snooze) {
		w.q.log.Error("queue: work failed", "subject", job.Args.Subject, "error", err)
	}
	return err
}

func (q *River) do(ctx context.Context, job *river.Job[subjectJob]) error {
	subject := job.Args.Subject
	if job.Attempt > 1 || job.Args.Rescued {
		// Who began it did not end it.
		if err := q.store.UpdateQuietly(ctx, func(tx *store.Tx) error { return tx.InterruptSubject(subject) }); err != nil {
			return err
		}
	}
	for piece := range pieces {
		if errors.Is(q.Working(), ErrStopping) {
			break // another process goes on
		}
		mine, rests, err := q.mine(ctx, job.JobRow, piece)
		if err != nil || !mine {
			return err
		}
		if rests {
			return river.JobSnooze(0)
		}
		if err := q.shared.Sync(ctx); err != nil {
			return err
		}
		waits, err := q.store.Next(ctx, subject)
		if err != nil {
			return err
		}
		callID, timer, isDue := pick(waits, q.clock.Now())
		switch {
		case !isDue:
			if more, err := q.complete(ctx, job); err != nil || !more {
				return err
			}
		case callID != 0:
			if err := q.work.Deliver(ctx, callID); err != nil {
				return err
			}
		default:
			if err := q.work.Tick(ctx, subject); err != nil {
				return err
			}
			after, err := q.store.Next(ctx, subject)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(after, func(w store.Waits) bool { return w.CallID == 0 && w.Due.Equal(timer) }) {
				return errors.New("its timer was not moved on")
			}
		}
	}
	return river.JobSnooze(0)
}

// mine tells whether a job was not given to another process, which the first piece of it needs not ask; and whether all are to rest.
func (q *River) mine(ctx context.Context, job *rivertype.JobRow, piece int) (mine, rests bool, err error) {
	if piece == 0 {
		return true, false, nil
	}
	err = q.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM river_job WHERE id = $1 AND state = 'running' AND attempt = $2),
		EXISTS (SELECT 1 FROM river_queue WHERE name = $3 AND paused_at IS NOT NULL)`, job.ID, job.Attempt, jobQueue).Scan(&mine, &rests)
	return mine, rests, err
}

// pick chooses what is to be done about a subject: what its timer demands, or else its first call.
func pick(waits []store.Waits, now time.Time) (callID int64, timer time.Time, isDue bool) {
	for _, w := range waits {
		switch {
		case w.Due.IsZero() || w.Due.After(now):
		case w.CallID == 0:
			return 0, w.Due, true
		default:
			callID, isDue = w.CallID, true
		}
	}
	return callID, time.Time{}, isDue
}

// complete ends a job unless something more is due.
func (q *River) complete(ctx context.Context, job *river.Job[subjectJob]) (more bool, err error) {
	err = q.store.UpdateQuietly(ctx, func(tx *store.Tx) error {
		waits, err := tx.Next(job.Args.Subject)
		if err != nil {
			return err
		}
		if _, _, more = pick(waits, q.clock.Now()); more {
			return nil
		}
		return tx.Postgres(func(t pgx.Tx) error {
			_, err := river.JobCompleteTx[*riverpgxv5.Driver](context.WithoutCancel(ctx), t, job)
			if errors.Is(err, rivertype.ErrNotFound) {
				return nil // it was given to another
			}
			return err
		})
	})
	return more, err
}

// Run works until the context is over.
func (q *River) Run(ctx context.Context) error {
	if err := store.Patiently(ctx, func() error { return q.client.Start(context.WithoutCancel(ctx)) }); err != nil {
		return err
	}
	q.mu.Lock()
	q.running = true
	q.mu.Unlock()
	q.lead(ctx)
	q.stop()
	err := q.client.StopAndCancel(context.WithoutCancel(ctx))
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	return err
}

// Drain takes no more jobs, and waits until those that were taken have ended. This process leads on meanwhile, if it does: others work.
func (q *River) Drain(ctx context.Context) error {
	q.mu.Lock()
	q.draining = true
	running := q.running
	q.mu.Unlock()
	if !running {
		return nil
	}
	return q.client.Stop(ctx)
}

// Working tells whether Run is at work.
func (q *River) Working() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.stopped:
		return ErrStopped
	case q.draining:
		return ErrStopping
	case !q.running:
		return ErrStarting
	}
	return nil
}

// Close closes the connections.
func (q *River) Close() {
	q.stop()
	q.pool.Close()
}

// Look has the leader look for work, if that is this process; another finds out itself.
func (q *River) Look() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// lead does what one of the processes has to do, while this is that one.
func (q *River) lead(ctx context.Context) {
	ticker := time.NewTicker(lead)
	defer ticker.Stop()
	var rescued, looked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-q.wake:
		}
		if now := time.Now(); now.Sub(looked) > 2*rescue {
			looked = now
			if err := q.lost(ctx); err != nil && ctx.Err() == nil && !store.Away(err) {
				q.log.Warn("queue: cannot look for lost jobs", "error", err)
			}
		}
		if !q.store.Leads(ctx) {
			continue
		}
		err := q.step(ctx)
		if now := time.Now(); err == nil && now.Sub(rescued) > rescue {
			rescued = now
			err = errors.Join(q.adopt(ctx), q.rescue(ctx))
		}
		if err != nil && ctx.Err() == nil {
			q.log.Warn("queue: cannot lead", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// step inserts jobs for what has come due.
func (q *River) step(ctx context.Context) error {
	if err := q.shared.Sync(ctx); err != nil {
		return err
	}
	return q.tell(ctx)
}

// untold are the subjects, and whose they are, that are due and have no job.
const untold = `SELECT subject, coalesce((SELECT seller_id FROM instances i WHERE i.line_id = due.subject),
	(SELECT seller_id FROM calls c WHERE c.subject = due.subject AND c.status = 'pending' LIMIT 1), '')
	FROM (SELECT subject, min(due_at) AS since FROM waiting WHERE due_at <= $1 AND NOT EXISTS (SELECT 1 FROM river_job WHERE args->>'subject' = subject AND ` + notEnded + `)
	GROUP BY subject ORDER BY since, subject LIMIT $2) AS due`

// tell inserts jobs for what is due and has none.
func (q *River) tell(ctx context.Context) error {
	for {
		rows, err := q.pool.Query(ctx, untold, q.clock.Now().UnixMilli(), page)
		if err != nil {
			return err
		}
		jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (j subjectJob, err error) {
			err = row.Scan(&j.Subject, &j.Lane)
			return j, err
		})
		if err != nil || len(jobs) == 0 {
			return err
		}
		for i, j := range jobs {
			jobs[i].Lane = laneOf(j.Lane, j.Subject)
		}
		if _, err := q.client.InsertMany(ctx, params(jobs)); err != nil || len(jobs) < page {
			return err
		}
	}
}

// adopt ends a move of the clock, or a rest, whose process died.
func (q *River) adopt(ctx context.Context) error {
	unlock, err := q.store.TryLock(ctx, clockLock)
	if err != nil || unlock == nil {
		return err
	}
	defer unlock()
	return errors.Join(q.goOn(ctx), q.shared.Adopt(ctx))
}

// rescue gives the jobs of processes that died to others.
func (q *River) rescue(ctx context.Context) error {
	rows, err := q.pool.Query(ctx, "SELECT id, attempted_by[array_upper(attempted_by, 1)] FROM river_job WHERE state = 'running' AND queue = $1", jobQueue)
	if err != nil {
		return err
	}
	type running struct {
		ID int64
		By string
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[running])
	if err != nil {
		return err
	}
	// After the look at the jobs: who has one lives before he takes it.
	alive, err := q.store.Processes(ctx)
	if err != nil {
		return err
	}
	var ids []int64
	var dead []string
	for _, j := range jobs {
		if !slices.ContainsFunc(alive, func(p int32) bool { return processName(p) == j.By }) {
			ids, dead = append(ids, j.ID), append(dead, j.By)
		}
	}
	if len(ids) > 0 {
		q.log.Info("queue: going on where another process stopped", "jobs", len(ids))
		if err := q.replace(ctx, ids, dead); err != nil {
			return err
		}
	}
	return q.store.InterruptAwaited(ctx, func(process int32) (bool, error) {
		if slices.Contains(alive, process) {
			return true, nil
		}
		alive, err = q.store.Processes(ctx) // it may have come since
		return slices.Contains(alive, process), err
	})
}

// lost replaces jobs that were handed to this process without reaching it: the server took note, and the connection broke before its answer
// came. They are those that it was not at in two looks.
func (q *River) lost(ctx context.Context) error {
	me := processName(q.store.Process())
	rows, err := q.pool.Query(ctx, "SELECT id, attempt FROM river_job WHERE state = 'running' AND queue = $1 AND attempted_by[array_upper(attempted_by, 1)] = $2", jobQueue, me)
	if err != nil {
		return err
	}
	type running struct {
		ID      int64
		Attempt int
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[running])
	if err != nil {
		return err
	}
	missing := map[int64]int{}
	var ids []int64
	q.mu.Lock()
	for _, j := range jobs {
		if q.sellers.pieces[j.ID] != nil {
			continue
		}
		missing[j.ID] = j.Attempt
		if q.missing[j.ID] == j.Attempt {
			ids = append(ids, j.ID)
		}
	}
	q.mu.Unlock()
	q.missing = missing
	if len(ids) == 0 {
		return nil
	}
	q.log.Info("queue: going on where a connection broke", "jobs", len(ids))
	return q.replace(ctx, ids, []string{me})
}

// replace ends jobs and puts others in their place. A process that was taken for dead, as its connection was lost, may come to the end of a
// job that it still believes to have: River would then end the one that another process is at, were it the same.
func (q *River) replace(ctx context.Context, ids []int64, dead []string) error {
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `UPDATE river_job SET state = 'discarded', finalized_at = now() WHERE id = ANY($1) AND state = 'running'
			AND attempted_by[array_upper(attempted_by, 1)] = ANY($2) RETURNING args->>'subject', coalesce(args->>'lane', '')`, ids, dead)
		if err != nil {
			return err
		}
		jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (subjectJob, error) {
			j := subjectJob{Rescued: true}
			err := row.Scan(&j.Subject, &j.Lane)
			return j, err
		})
		if err != nil || len(jobs) == 0 {
			return err
		}
		_, err = q.client.InsertManyTx(ctx, tx, params(jobs))
		return err
	})
}

// Settle waits until nothing is due and nothing under way, in any process.
func (q *River) Settle(ctx context.Context) error {
	wait := time.Millisecond
	for {
		if err := q.Working(); errors.Is(err, ErrStopped) || errors.Is(err, ErrStopping) {
			return err
		}
		settled, err := q.settled(ctx)
		if err != nil && !store.Away(err) || settled {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
			wait = min(2*wait, 20*time.Millisecond)
		}
	}
}

func (q *River) settled(ctx context.Context) (bool, error) {
	if err := q.shared.Sync(ctx); err != nil {
		return false, err
	}
	if err := q.tell(ctx); err != nil {
		return false, err
	}
	// First the jobs: what ends one writes what follows before, and what begins one is due until then.
	var busy, isDue bool
	if err := q.pool.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM river_job WHERE "+notEnded+")").Scan(&busy); err != nil || busy {
		return false, err
	}
	err := q.pool.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM waiting WHERE due_at <= $1)", q.clock.Now().UnixMilli()).Scan(&isDue)
	return !isDue, err
}

// Next is when the next thing is due.
func (q *River) Next(ctx context.Context) (time.Time, error) { return q.store.NextDue(ctx) }

// Advance moves the clock forward.
func (q *River) Advance(ctx context.Context, to func(now time.Time) time.Time, moved func() error) (err error) {
	unlock, err := q.store.Lock(ctx, clockLock)
	if err != nil {
		return err
	}
	defer unlock()
	if err := errors.Join(q.shared.Sync(ctx), q.shared.Adopt(ctx)); err != nil {
		return err
	}
	target := to(q.clock.Now())
	q.clock.Begin()
	defer func() {
		q.clock.End()
		err = errors.Join(err, q.shared.Save(context.WithoutCancel(ctx)))
		q.Look()
	}()
	if err := moved(); err != nil {
		return err
	}
	return steps(ctx, q, q.clock, target, q.store.NextDue, moved)
}

// Replace runs f while nobody moves the clock, once what is under way in all processes has ended, and while nothing is begun. A process that
// does not hear of it in time, because its connection is gone, ends its attempt without anything following from it.
func (q *River) Replace(ctx context.Context, f func() error) error {
	defer q.Look()
	return q.Exclusively(ctx, func() (err error) {
		defer func() { err = errors.Join(err, q.goOn(context.WithoutCancel(ctx))) }()
		if err := q.rest(ctx); err != nil {
			return err
		}
		return f()
	})
}

// rest has all processes begin nothing more, and waits until nothing is under way.
func (q *River) rest(ctx context.Context) error {
	if err := q.client.QueuePause(ctx, jobQueue, nil); err != nil {
		if errors.Is(err, river.ErrNotFound) { // nobody has worked yet
			return nil
		}
		return err
	}
	wait := time.Millisecond
	for {
		var busy bool
		if err := q.pool.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM river_job WHERE state = 'running')").Scan(&busy); err != nil || !busy {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the attempts under way: %w", ctx.Err())
		case <-time.After(wait):
			wait = min(2*wait, 20*time.Millisecond)
		}
	}
}

// goOn ends a rest, if there is one.
func (q *River) goOn(ctx context.Context) error {
	var rests bool
	if err := q.pool.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM river_queue WHERE name = $1 AND paused_at IS NOT NULL)", jobQueue).Scan(&rests); err != nil || !rests {
		return err
	}
	return q.client.QueueResume(ctx, jobQueue, nil)
}

// Exclusively runs f while no process moves the clock or replaces everything.
func (q *River) Exclusively(ctx context.Context, f func() error) error {
	unlock, err := q.store.Lock(ctx, clockLock)
	if err != nil {
		return err
	}
	defer unlock()
	return f()
}
