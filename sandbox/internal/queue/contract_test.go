package queue_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/queue"
	"github.com/isvkit/isvkit/sandbox/internal/store"
	"github.com/isvkit/isvkit/sandbox/internal/store/storetest"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// done is a piece of work that was done.
type done struct {
	subject string
	call    int64 // 0: a tick
	at      time.Time
}

// bench is one or more processes at work on one store, on a clock that stands.
type bench struct {
	t         *testing.T
	processes []*process

	mu      sync.Mutex
	done    []done
	busy    map[string]int // subjects that are being worked on
	most    int            // of them at the same time
	deliver func(ctx context.Context, c store.Call) (next time.Time, err error)
	tick    func(subject string) (next time.Time, err error)
}

// process is a process, or as good as one.
type process struct {
	bench *bench
	store *store.Store
	clock *clock.Clock
	queue.Queue
	stop func()
}

const setting = "stands-at"

// each runs a test on the local queue, and on River in one process and in three.
func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	t.Run("local", func(t *testing.T) { test(t, newBench(t, ":memory:", 1)) })
	t.Run("river", func(t *testing.T) { test(t, newBench(t, storetest.Postgres(t), 1)) })
	t.Run("river3", func(t *testing.T) { test(t, newBench(t, storetest.Postgres(t), 3)) })
}

func newBench(t *testing.T, database string, n int) *bench {
	t.Helper()
	b := &bench{t: t, busy: map[string]int{}}
	for range n {
		b.add(database)
	}
	for _, p := range b.processes {
		p.start()
	}
	return b
}

func (b *bench) add(database string) {
	b.t.Helper()
	s, err := store.Open(b.t.Context(), database)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = s.Close() })
	p := &process{bench: b, store: s, clock: clock.New(nil, 0), stop: func() {}}
	p.clock.Restart(0, start)
	work := queue.Work{Deliver: p.deliver, Tick: p.tick}
	if s.Shared() {
		p.Queue, err = queue.NewRiver(b.t.Context(), s, p.clock, work, queue.Shared{Sync: p.sync, Save: p.save, Adopt: p.sync}, slog.New(slog.DiscardHandler))
		require.NoError(b.t, err)
	} else {
		p.Queue = queue.NewLocal(s, p.clock, work, slog.New(slog.DiscardHandler))
	}
	b.t.Cleanup(p.Close)
	b.processes = append(b.processes, p)
}

func (p *process) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(p.bench.t, <-ended)
	})
	p.bench.t.Cleanup(p.stop)
}

func (p *process) sync(ctx context.Context) error {
	if p.clock.Moving() {
		return nil
	}
	text, err := p.store.Setting(ctx, setting)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if at.After(p.clock.Now()) {
		p.clock.Restart(0, at)
	}
	return err
}

func (p *process) save(ctx context.Context) error {
	return p.store.UpdateQuietly(ctx, func(tx *store.Tx) error { return tx.PutSetting(setting, p.clock.Now().Format(time.RFC3339Nano)) })
}

// begin notes that work on a subject begins. Nobody else may be at it.
func (b *bench) begin(subject string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy[subject]++
	if b.busy[subject] > 1 {
		b.t.Errorf("two at work on %s", subject)
	}
	working := 0
	for _, n := range b.busy {
		working += n
	}
	b.most = max(b.most, working)
}

func (b *bench) end(subject string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy[subject]--
}

func (b *bench) note(d done) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = append(b.done, d)
}

func (b *bench) all() []done {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.done)
}

func (p *process) deliver(ctx context.Context, id int64) error {
	var c store.Call
	err := p.store.View(ctx, func(tx *store.Tx) (err error) {
		c, err = tx.CallToDeliver(id)
		return err
	})
	if err != nil {
		return err
	}
	p.bench.begin(c.Subject)
	defer p.bench.end(c.Subject)
	var next time.Time
	if p.bench.deliver != nil {
		if next, err = p.bench.deliver(ctx, c); err != nil {
			return err
		}
	}
	p.bench.note(done{c.Subject, id, p.clock.Now()})
	return p.store.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		c.Status, c.DueAt, c.Attempts = sandboxapi.CallSucceeded, time.Time{}, c.Attempts+1
		if !next.IsZero() {
			c.Status, c.DueAt = sandboxapi.CallPending, next
		}
		return tx.UpdateCall(c)
	})
}

func (p *process) tick(ctx context.Context, subject string) error {
	p.bench.begin(subject)
	defer p.bench.end(subject)
	p.bench.note(done{subject, 0, p.clock.Now()})
	next, err := p.bench.tick(subject)
	if err != nil {
		return err
	}
	return p.store.Update(ctx, func(tx *store.Tx) error { return tx.SetTimer(subject, next) })
}

// one is any of the processes.
func (b *bench) one(n int) *process { return b.processes[n%len(b.processes)] }

// call adds a call about a subject, in any of the processes.
func (b *bench) call(subject string, due time.Time) (id int64) {
	b.t.Helper()
	require.NoError(b.t, b.one(len(subject)).store.Update(b.t.Context(), func(tx *store.Tx) (err error) {
		id, err = tx.AddCall(call(subject, due))
		return err
	}))
	return id
}

func call(subject string, due time.Time) store.Call {
	return store.Call{
		About: store.About{Subject: subject, SellerID: "s", ProductCode: "p"}, Status: sandboxapi.CallPending, CreatedAt: start, StartedAt: start, DueAt: due,
		Call: lifecycle.Call{Activity: providerapi.ActivityReleaseInstance, Body: providerapi.ReleaseInstanceCall{InstanceID: "i"}},
	}
}

func (b *bench) settle(n int) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(b.t, b.one(n).Settle(ctx))
}

func (b *bench) advance(n int, d time.Duration) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	p := b.one(n)
	require.NoError(b.t, p.Advance(ctx, func(now time.Time) time.Time { return now.Add(d) }, func() error { return p.save(ctx) }))
}

func TestQueue_CallsOfASubjectComeInOrderAndOneAtATime(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const subjects, calls = 20, 6
		want := map[string][]int64{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range subjects {
			wg.Go(func() {
				subject := fmt.Sprintf("x/%d", i)
				for n := range calls {
					var id int64
					err := b.one(n).store.Update(t.Context(), func(tx *store.Tx) (err error) {
						id, err = tx.AddCall(call(subject, start))
						return err
					})
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					want[subject] = append(want[subject], id)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		b.settle(0)
		got := map[string][]int64{}
		for _, d := range b.all() {
			got[d.subject] = append(got[d.subject], d.call)
		}
		require.Equal(t, want, got)
		require.Greater(t, b.most, 1, "several subjects at the same time")
	})
}

func TestQueue_WaitsOnTheClock(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.tick = func(subject string) (time.Time, error) { return time.Time{}, nil }
		b.deliver = func(_ context.Context, c store.Call) (time.Time, error) {
			if c.Attempts < 2 {
				return start.Add(time.Duration(c.Attempts+1) * time.Hour), nil
			}
			return time.Time{}, nil
		}
		retried := b.call("x/retried", start)
		behind := b.call("x/retried", start)
		b.settle(1)
		require.Equal(t, []done{{"x/retried", retried, start}}, b.all(), "the one behind it waits for its turn")
		require.NoError(t, b.one(2).store.Update(t.Context(), func(tx *store.Tx) error { return tx.SetTimer("x/timer", start.Add(90*time.Minute)) }))
		b.settle(0)
		require.Len(t, b.all(), 1)
		b.advance(1, 59*time.Minute)
		require.Len(t, b.all(), 1)
		b.advance(2, 20*time.Hour)
		h := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
		require.Equal(t, []done{
			{"x/retried", retried, start},
			{"x/retried", retried, h(1)},
			{"x/timer", 0, start.Add(90 * time.Minute)},
			{"x/retried", retried, h(2)},
			{"x/retried", behind, h(2)}, // due from the start, and so at once when its turn comes
			{"x/retried", behind, h(2)},
			{"x/retried", behind, h(2)},
		}, b.all())
		for _, p := range b.processes {
			require.NoError(t, p.sync(t.Context()))
			require.Equal(t, start.Add(20*time.Hour+59*time.Minute), p.clock.Now())
		}
	})
}

func TestQueue_TriesAgainWhatFailed(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		var mu sync.Mutex
		failed := map[string]int{}
		fail := func(name string) error {
			mu.Lock()
			defer mu.Unlock()
			failed[name]++
			if failed[name] < 2 {
				return errors.New("broken")
			}
			return nil
		}
		b.deliver = func(_ context.Context, c store.Call) (time.Time, error) { return time.Time{}, fail(c.Subject) }
		b.tick = func(subject string) (time.Time, error) {
			if fail(subject) != nil {
				return start, nil // it is where it was
			}
			return start.Add(time.Hour), nil
		}
		id := b.call("x/call", start)
		require.NoError(t, b.one(1).store.Update(t.Context(), func(tx *store.Tx) error { return tx.SetTimer("x/timer", start) }))
		b.settle(0)
		all := b.all()
		slices.SortFunc(all, func(a, b done) int { return len(a.subject) - len(b.subject) })
		require.Equal(t, []done{{"x/call", id, start}, {"x/timer", 0, start}, {"x/timer", 0, start}}, all)
	})
}

func TestQueue_SettleEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		free := make(chan struct{})
		b.deliver = func(context.Context, store.Call) (time.Time, error) { <-free; return time.Time{}, nil }
		b.call("x/slow", start)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, b.one(0).Settle(ctx), context.DeadlineExceeded)
		close(free)
		b.settle(1)
		require.Len(t, b.all(), 1)
	})
}

// TestQueue_StopsAndGoesOn stops a process in the middle of its work, which another does then, or the same when it comes back.
func TestQueue_StopsAndGoesOn(t *testing.T) {
	for name, database := range map[string]func(t testing.TB) string{
		"local": func(t testing.TB) string { return t.TempDir() + "/sandbox.db" },
		"river": storetest.Postgres,
	} {
		t.Run(name, func(t *testing.T) {
			database := database(t)
			b := newBench(t, database, 1)
			began := make(chan struct{}, 1)
			b.deliver = func(ctx context.Context, _ store.Call) (time.Time, error) {
				began <- struct{}{}
				<-ctx.Done()
				return time.Time{}, ctx.Err()
			}
			id := b.call("x/y", start)
			<-began
			first := b.one(0)
			first.stop()
			require.Error(t, first.Settle(t.Context()), "it was stopped")
			require.Empty(t, b.all())
			first.Close()
			require.NoError(t, first.store.Close())

			b.deliver = nil
			b.processes = nil
			b.add(database)
			b.one(0).start()
			b.settle(0)
			require.Equal(t, []done{{"x/y", id, start}}, b.all())
		})
	}
}

func TestQueue_ReplaceTakesUpWhatWaitsThen(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.call("x/old", start.Add(time.Hour))
		p := b.one(1)
		require.NoError(t, p.Replace(t.Context(), func() error {
			if err := p.store.Clear(t.Context()); err != nil {
				return err
			}
			return p.store.Update(t.Context(), func(tx *store.Tx) error {
				_, err := tx.AddCall(call("x/new", start))
				return err
			})
		}))
		b.settle(2)
		b.advance(0, 2*time.Hour)
		all := b.all()
		require.Len(t, all, 1)
		require.Equal(t, "x/new", all[0].subject)
	})
}

// TestRiver_AttemptsThatSomebodyAwaitedEndWithTheirProcess is about attempts that no job is for.
func TestRiver_AttemptsThatSomebodyAwaitedEndWithTheirProcess(t *testing.T) {
	b := newBench(t, storetest.Postgres(t), 2)
	var theirs, ours int64
	for p, id := range map[*process]*int64{b.one(0): &ours, b.one(1): &theirs} {
		require.NoError(t, p.store.Update(t.Context(), func(tx *store.Tx) error {
			c := call("case/x", start)
			c.Status, c.DueAt = sandboxapi.CallFailed, time.Time{}
			var err error
			if c.ID, err = tx.AddCall(c); err != nil {
				return err
			}
			if *id, err = tx.StartAttempt(store.Attempt{CallID: c.ID, About: c.About, Activity: c.Call.Activity, Number: 1, StartedAt: start}); err != nil {
				return err
			}
			return tx.Await(*id)
		}))
	}
	gone := b.one(1)
	gone.stop()
	gone.Close()
	require.NoError(t, gone.store.Close())
	outcome := func(id int64) sandboxapi.AttemptOutcome {
		a, err := b.processes[0].store.Attempt(t.Context(), id)
		require.NoError(t, err)
		return a.Outcome
	}
	require.Eventually(t, func() bool { return outcome(theirs) == sandboxapi.AttemptInterrupted }, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, sandboxapi.AttemptStarted, outcome(ours), "its process lives")
}

func TestQueue_ReplaceWaitsForWhatIsUnderWay(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		began, free := make(chan struct{}), make(chan struct{})
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		b.deliver = func(context.Context, store.Call) (time.Time, error) {
			close(began)
			<-free
			note("delivered")
			return time.Time{}, nil
		}
		b.call("x/slow", start)
		<-began
		replaced := make(chan error, 1)
		go func() {
			replaced <- b.one(2).Replace(t.Context(), func() error { note("replaced"); return nil })
		}()
		time.Sleep(50 * time.Millisecond) // were it not to wait, it would be done by now
		close(free)
		require.NoError(t, <-replaced)
		require.Equal(t, []string{"delivered", "replaced"}, order)

		// And goes on then.
		b.deliver = nil
		b.call("x/next", start)
		b.settle(1)
		require.Len(t, b.all(), 2)
	})
}

// TestRiver_ARestEndsWithItsProcess lets a process die while all rest.
func TestRiver_ARestEndsWithItsProcess(t *testing.T) {
	database := storetest.Postgres(t)
	b := newBench(t, database, 1)
	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.Eventually(t, func() bool {
		r, err := db.ExecContext(t.Context(), "UPDATE river_queue SET paused_at = now()")
		require.NoError(t, err)
		n, err := r.RowsAffected()
		require.NoError(t, err)
		return n == 1
	}, 30*time.Second, time.Millisecond)
	b.call("x/y", start)
	b.settle(0)
	require.Len(t, b.all(), 1)
}

// TestRiver_AJobThatNeverReachedItsProcessIsReplaced has the server take note that a job was handed to a process that knows nothing of it.
func TestRiver_AJobThatNeverReachedItsProcessIsReplaced(t *testing.T) {
	database := storetest.Postgres(t)
	b := newBench(t, database, 1)
	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.Eventually(t, func() bool {
		r, err := db.ExecContext(t.Context(), "UPDATE river_queue SET paused_at = NULL") // it works
		require.NoError(t, err)
		n, err := r.RowsAffected()
		require.NoError(t, err)
		return n == 1
	}, 30*time.Second, time.Millisecond)
	_, err = db.ExecContext(t.Context(), `INSERT INTO river_job (state, queue, kind, args, attempt, attempted_at, attempted_by, max_attempts, priority)
		VALUES ('running', 'subjects', 'subject', '{"subject": "x/y"}', 1, now(), ARRAY[$1::text], 100, 1)`, fmt.Sprintf("sandbox-%d", b.one(0).store.Process()))
	require.NoError(t, err)
	require.NoError(t, b.one(0).store.UpdateQuietly(t.Context(), func(tx *store.Tx) error {
		_, err := tx.AddCall(call("x/y", start.Add(time.Hour)))
		return err
	}))
	b.advance(0, 2*time.Hour)
	require.Len(t, b.all(), 1)
}
