package queue

import (
	"context"
	"slices"
	"time"

	"github.com/riverqueue/river"
)

// sellers are the lanes of a process that works for River, see fair.go. River hands out what is due in its order, so nobody's turn comes
// first here, but an ISV that does not answer holds nobody up either: River takes another job in place of one that waits for such an ISV,
// or for its turn in a slow lane.
type sellers struct {
	loads
	lanes   map[string]*riverLane
	pieces  map[int64]*piece // by job, those under way or waiting
	besides int              // those in whose place River took another
	waiting int
}

func newSellers() sellers { return sellers{lanes: map[string]*riverLane{}, pieces: map[int64]*piece{}} }

// riverLane is one seller's.
type riverLane struct {
	load
	name    string
	waiting []*piece // until it may
}

// piece is a job that is being done, or waits until it may.
type piece struct {
	q      *River
	lane   *riverLane
	id     int64
	may    chan struct{} // closed when it may begin; nil: it has
	beside bool
	left   time.Time // when it began to wait for its ISV; zero: it does not
}

// putOff is for how long a job is put off if too many wait already: as long as an ISV may take for an answer.
const putOff = 20 * time.Second

// enter waits until one more of a seller's jobs may be done.
func (q *River) enter(ctx context.Context, job *river.Job[subjectJob]) (*piece, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	v := &q.sellers
	name := laneOf(job.Args.Lane, job.Args.Subject)
	l := v.lanes[name]
	if l == nil {
		l = &riverLane{name: name}
		v.lanes[name] = l
	}
	p := &piece{q: q, lane: l, id: job.ID}
	if v.may(&l.load) {
		v.pieces[p.id] = p
		v.add(&l.load, +1)
		return p, nil
	}
	if v.waiting >= Beside {
		return nil, river.JobSnooze(putOff)
	}
	may := make(chan struct{})
	p.may = may
	v.pieces[p.id] = p
	l.waiting = append(l.waiting, p)
	v.waiting++
	q.mu.Unlock()
	select {
	case <-may:
	case <-ctx.Done():
	}
	q.mu.Lock()
	if p.may != nil { // it may not
		l.waiting = slices.DeleteFunc(l.waiting, func(other *piece) bool { return other == p })
		v.waiting--
		q.forget(p)
		return nil, ctx.Err()
	}
	return p, nil
}

// leave has the next begin.
func (q *River) leave(p *piece) {
	q.mu.Lock()
	defer q.mu.Unlock()
	v, l := &q.sellers, p.lane
	v.add(&l.load, -1)
	for len(l.waiting) > 0 && v.may(&l.load) {
		next := l.waiting[0]
		l.waiting = l.waiting[1:]
		v.waiting--
		v.add(&l.load, +1)
		close(next.may)
		next.may = nil
	}
	q.forget(p)
}

func (q *River) forget(p *piece) {
	v := &q.sellers
	if p.beside {
		v.besides--
	}
	if v.pieces[p.id] == p {
		delete(v.pieces, p.id)
	}
	if l := p.lane; l.under == 0 && len(l.waiting) == 0 && !l.slow {
		delete(v.lanes, l.name)
	}
}

// leaves says that the job begins to wait for its ISV.
func (p *piece) leaves() {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	p.left = time.Now()
}

// returns says that it no longer does.
func (p *piece) returns() {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	p.q.sellers.judge(&p.lane.load, time.Since(p.left) >= Brisk)
	p.left = time.Time{}
}

// stuck is asked by River, soon after a job began, whether it may take another in its place. It answers when it knows, or when the job has
// ended, with its context.
func (q *River) stuck(ctx context.Context, job river.JobStuckHandlerParams) river.JobStuckHandlerResult {
	for {
		another, wait := q.hangs(job.ID)
		if another {
			return river.JobStuckHandlerResult{AddWorkerSlot: true}
		}
		select {
		case <-ctx.Done():
			return river.JobStuckHandlerResult{}
		case <-time.After(wait):
		}
	}
}

// hangs tells whether a job waits for an ISV that is slow, or for its turn, or else when to look again.
func (q *River) hangs(id int64) (hangs bool, again time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	v := &q.sellers
	p := v.pieces[id]
	if p == nil || v.besides >= 2*Beside {
		return false, Brisk / 10 // it was not begun yet, or has ended
	}
	if !p.left.IsZero() {
		if wait := Brisk - time.Since(p.left); wait > 0 && !p.lane.slow {
			return false, wait
		}
		v.judge(&p.lane.load, true)
	} else if !p.lane.slow && p.may == nil {
		return false, Brisk / 2
	}
	p.beside = true
	v.besides++
	return true, 0
}
