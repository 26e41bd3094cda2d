package queue

import (
	"cmp"
	"container/heap"
	"container/list"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/clock"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// Local is the queue of one process.
//
// What waits stands in the store. The queue holds a copy in memory, which every update of the store keeps current, so a queue
// that dies takes nothing with it, and looking for work costs no query.
type Local struct {
	store *store.Store
	clock *clock.Clock
	work  Work
	log   *slog.Logger

	wake chan struct{}
	jobs chan *job

	advancing sync.Mutex // one move of the clock at a time, and none while everything is replaced

	mu       sync.Mutex
	idle     *sync.Cond
	subjects map[string]*subject
	lanes    map[string]*lane // those in which something waits or is under way, or that are slow

	// Each lane in which something waits stands in one of these.
	later       lanes // as far as is known, nothing is due in it
	slow, brisk lanes // something is due in it

	loads   loads
	outside list.List // pieces of work that wait for an ISV, those that hold a worker, in the order in which they began to
	busy    int       // pieces of work that hold a worker
	besides int       // those that are done beside them
	hands   int       // goroutines that wait for a piece of work
	workers sync.WaitGroup
	counter uint64
	running bool
	resting bool // nothing new is started
	drained bool // nor will be
	stopped bool
}

// subject is what waits about one subject.
type subject struct {
	name  string
	lane  *lane
	calls []waiting // in their order
	timer time.Time // zero: none
	busy  bool      // something is being done about it
	place int       // in its lane; -1 if it is not there
	turn  uint64    // among subjects that are due at the same time, first come first served
}

type waiting struct {
	id, seq int64
	due     time.Time
}

// due is when there is something to do; zero is never.
func (s *subject) due() time.Time {
	if len(s.calls) == 0 {
		return s.timer
	}
	if first := s.calls[0].due; s.timer.IsZero() || first.Before(s.timer) {
		return first
	}
	return s.timer
}

// NewLocal gives a queue that is told by the store of everything that waits; [Local.Run] makes it work.
func NewLocal(s *store.Store, c *clock.Clock, work Work, log *slog.Logger) *Local {
	q := &Local{store: s, clock: c, work: work, log: log, wake: make(chan struct{}, 1), jobs: make(chan *job, Workers+2*Beside), subjects: map[string]*subject{}, lanes: map[string]*lane{}}
	q.later.less, q.slow.less, q.brisk.less = sooner, fairer, fairer
	q.idle = sync.NewCond(&q.mu)
	s.OnWaits(q.changed)
	return q
}

// changed takes up what an update of the store changed.
func (q *Local) changed(changes []store.Waits) {
	q.mu.Lock()
	for _, w := range changes {
		q.put(w)
	}
	q.mu.Unlock()
	q.Look()
}

// Look has Run look for work, after the clock was changed.
func (q *Local) Look() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Local) put(w store.Waits) {
	s := q.subjects[w.Subject]
	if s == nil {
		if w.Due.IsZero() {
			return
		}
		s = &subject{name: w.Subject, lane: q.lane(laneOf(w.Seller, w.Subject)), place: -1}
		q.subjects[w.Subject] = s
	}
	if w.Seller != "" && s.lane.name != w.Seller { // its timer did not say whose it is
		if s.place >= 0 {
			heap.Remove(&s.lane.ready, s.place)
			q.stand(s.lane)
		}
		s.lane = q.lane(w.Seller)
	}
	if w.CallID == 0 {
		s.timer = w.Due
	} else {
		s.calls = slices.DeleteFunc(s.calls, func(c waiting) bool { return c.id == w.CallID })
		if !w.Due.IsZero() {
			at, _ := slices.BinarySearchFunc(s.calls, w.Seq, func(c waiting, seq int64) int { return cmp.Compare(c.seq, seq) })
			s.calls = slices.Insert(s.calls, at, waiting{w.CallID, w.Seq, w.Due})
		}
	}
	q.settle(s)
}

// settle puts a subject where it belongs after a change.
func (q *Local) settle(s *subject) {
	due := s.due()
	switch {
	case s.busy || due.IsZero():
		if s.place >= 0 {
			heap.Remove(&s.lane.ready, s.place)
		}
		if !s.busy {
			delete(q.subjects, s.name)
		}
	case s.place >= 0:
		heap.Fix(&s.lane.ready, s.place)
	default:
		q.counter++
		s.turn = q.counter
		s.lane = q.lane(s.lane.name) // it may have been dropped
		heap.Push(&s.lane.ready, s)
	}
	q.stand(s.lane)
}

// Load takes up all that waits in the store. Run does it at its start; whoever replaces the contents of the store does it again.
func (q *Local) Load(ctx context.Context) error {
	return q.store.Alone(ctx, func(tx *store.Tx) error {
		all, err := tx.Waiting()
		if err != nil {
			return err
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		for _, s := range q.subjects {
			s.calls, s.timer = nil, time.Time{}
			q.settle(s)
		}
		for _, w := range all {
			q.put(w)
		}
		return nil
	})
}

// Run works until the context is over, then waits for the attempts under way to notice that too.
func (q *Local) Run(ctx context.Context) error {
	defer func() {
		close(q.jobs)
		q.workers.Wait()
		q.mu.Lock()
		q.running, q.stopped = false, true
		q.idle.Broadcast()
		q.mu.Unlock()
	}()
	if err := q.Load(ctx); err != nil {
		return err
	}
	q.mu.Lock()
	q.running = true
	q.mu.Unlock()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(q.startDue(ctx))
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
	}
	return nil
}

// startDue starts everything that is due and free to go, and tells how long there is nothing more to do unless something changes.
func (q *Local) startDue(ctx context.Context) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock.Now()
	for !q.resting && !q.drained {
		l, beside := q.pick(now)
		if l == nil {
			break
		}
		q.start(ctx, l.ready[0], now, beside)
	}
	if q.busy+q.besides == 0 {
		q.idle.Broadcast()
	}
	wait := time.Hour
	if q.later.Len() > 0 {
		if until, runs := q.clock.Until(q.later.list[0].due()); runs {
			wait = min(wait, until)
		}
	}
	// Something is due and there is no worker: one may have to be taken from who waits for too long. All else that ends wakes us.
	if oldest := q.outside.Front(); oldest != nil && q.brisk.Len() > 0 && !q.resting && !q.drained {
		j, _ := oldest.Value.(*job)
		wait = min(wait, max(time.Until(j.left.Add(Brisk)), time.Millisecond))
	}
	return wait
}

// start has somebody do what is due about a subject.
func (q *Local) start(ctx context.Context, s *subject, now time.Time, beside bool) {
	s.busy = true
	if beside {
		q.besides++
	} else {
		q.busy++
	}
	q.counter++
	s.lane.turn = q.counter
	q.loads.add(&s.lane.load, +1)
	q.settle(s)
	timer := s.timer
	tick := !timer.IsZero() && !timer.After(now)
	var callID int64
	if !tick {
		callID = s.calls[0].id
	}
	// Goroutines that stay have the stack that the work needs; one made for each piece would grow it each time.
	if q.hands > 0 {
		q.hands--
	} else {
		q.workers.Go(func() { q.hand(ctx) })
	}
	q.jobs <- &job{queue: q, subject: s, lane: s.lane, timer: timer, tick: tick, callID: callID, beside: beside}
}

// hand does one piece of work after the other, until there are enough who wait for one.
func (q *Local) hand(ctx context.Context) {
	for j := range q.jobs {
		q.do(ctx, j)
		q.mu.Lock()
		enough := q.hands >= Workers
		if !enough {
			q.hands++
		}
		q.mu.Unlock()
		q.Look()
		if enough {
			return
		}
	}
}

// job is a piece of work on a subject.
type job struct {
	queue   *Local
	subject *subject
	lane    *lane
	timer   time.Time
	tick    bool
	callID  int64

	beside bool          // it holds no worker
	left   time.Time     // when it began to wait for an ISV
	place  *list.Element // among those that do and hold a worker
}

// do does a piece of work.
func (q *Local) do(ctx context.Context, j *job) {
	var err error
	work := context.WithValue(ctx, outsideKey{}, outside(j))
	if j.tick {
		err = q.work.Tick(work, j.subject.name)
	} else {
		err = q.work.Deliver(work, j.callID)
	}
	q.mu.Lock()
	if j.tick && err == nil && j.subject.timer.Equal(j.timer) {
		err = errors.New("its timer was not moved on")
	}
	q.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		q.log.Error("queue: work failed", "subject", j.subject.name, "callId", j.callID, "error", err)
		// Whatever it is, it stays due. Not at once again, or a broken disk makes a busy loop.
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	j.subject.busy = false
	q.loads.add(&j.lane.load, -1)
	if j.beside {
		q.besides--
	} else {
		q.busy--
	}
	q.settle(j.subject)
}

// Settle waits until nothing is due and nothing under way.
func (q *Local) Settle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.idle.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if q.stopped {
			return ErrStopped
		}
		if q.drained {
			return ErrStopping
		}
		if next := q.nextDue(); q.running && q.busy+q.besides == 0 && (next.IsZero() || next.After(q.clock.Now())) {
			return nil
		}
		q.Look()
		q.idle.Wait()
	}
}

// Drain starts nothing new, and waits until nothing is under way.
func (q *Local) Drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.idle.Broadcast()
	})
	defer stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drained = true
	q.idle.Broadcast()
	for q.busy+q.besides > 0 && ctx.Err() == nil {
		q.idle.Wait()
	}
	if q.busy+q.besides > 0 {
		return ctx.Err()
	}
	return nil
}

// Working tells whether Run is at work.
func (q *Local) Working() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.stopped:
		return ErrStopped
	case q.drained:
		return ErrStopping
	case !q.running:
		return ErrStarting
	}
	return nil
}

// Replace runs f, which replaces what is in the store, while nothing is under way, and then takes up what waits in it.
func (q *Local) Replace(ctx context.Context, f func() error) error {
	q.advancing.Lock()
	defer q.advancing.Unlock()
	q.mu.Lock()
	q.resting = true
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.idle.Broadcast()
	})
	defer stop()
	for q.busy+q.besides > 0 && ctx.Err() == nil {
		q.idle.Wait()
	}
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.resting = false
		q.mu.Unlock()
		q.Look()
	}()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return q.Load(context.WithoutCancel(ctx))
}

// NextDue is when the next thing is due that is not being done already; zero if nothing waits.
func (q *Local) NextDue() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.nextDue()
}

func (q *Local) nextDue() (next time.Time) {
	if q.later.Len() > 0 {
		next = q.later.list[0].due()
	}
	for _, h := range []*lanes{&q.slow, &q.brisk} { // few, and none where nothing is under way
		for _, l := range h.list {
			if due := l.due(); next.IsZero() || due.Before(next) {
				next = due
			}
		}
	}
	return next
}

// Next is when the next thing is due.
func (q *Local) Next(context.Context) (time.Time, error) { return q.NextDue(), nil }

// Advance moves the clock forward.
func (q *Local) Advance(ctx context.Context, to func(now time.Time) time.Time, moved func() error) (err error) {
	q.advancing.Lock()
	defer q.advancing.Unlock()
	target := to(q.clock.Now())
	q.clock.Begin()
	defer func() {
		q.clock.End()
		err = errors.Join(err, moved())
		q.Look()
	}()
	return steps(ctx, q, q.clock, target, func(context.Context) (time.Time, error) { return q.NextDue(), nil }, moved)
}

// byDue is a heap of subjects by when they are due.
type byDue []*subject

func (h byDue) Len() int { return len(h) }

func (h byDue) Less(i, j int) bool {
	if c := h[i].due().Compare(h[j].due()); c != 0 {
		return c < 0
	}
	return h[i].turn < h[j].turn
}

func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push is for container/heap.
func (h *byDue) Push(v any) {
	s, _ := v.(*subject)
	s.place = len(*h)
	*h = append(*h, s)
}

// Pop is for container/heap.
func (h *byDue) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	s.place = -1
	return s
}

// Close has nothing to close.
func (q *Local) Close() {}
