package queue

import (
	"cmp"
	"container/heap"
	"context"
	"strings"
	"time"
)

// How sellers do not wait for each other.
//
// What is due stands in lanes, one for each seller. Of the lanes in which something is due, the one goes first that has the least under way,
// so that one with much to do does not make another wait that has little.
//
// An ISV that does not answer holds nobody up. A piece of work that waits for an answer for longer than [Brisk] gives its worker back, and its
// lane is slow from then on: what is due in it is done beside the workers, until the ISV answers briskly again. That is all that the breaker
// does. It does not skip an attempt, nor put one off, because the timetable promises each of them, and an ISV that is tested against a
// marketplace has to see them: an endpoint that hangs is called as often as the timetable says, at no other seller's cost.
//
// How much of one lane is under way is limited, and so is what is under way in all slow lanes together, which they share evenly. Only beyond
// that an attempt begins later than it is due. These limits, as all of this, are ours, and those of each process.
const (
	// PerSeller is how many pieces of work of one seller a process does at the same time.
	PerSeller = 64
	// Beside is how many pieces of work a process does for slow lanes at the same time, beside those that its workers do.
	Beside = 1024
	// Brisk is how long an ISV may take for its answer without being slow.
	Brisk = 500 * time.Millisecond
)

// laneOf names the lane of what waits: that of its seller, or of its kind where there is none.
func laneOf(seller, subject string) string {
	kind, _, _ := strings.Cut(subject, "/")
	return cmp.Or(seller, kind+"/")
}

// load is how much of a lane is under way.
type load struct {
	under int
	slow  bool
}

// loads are those of all lanes.
type loads struct {
	slow int // how many lanes are slow and have something under way
}

// add counts what begins or ends.
func (c *loads) add(l *load, more int) {
	before := l.under > 0
	l.under += more
	switch after := l.under > 0; {
	case !l.slow || before == after:
	case after:
		c.slow++
	default:
		c.slow--
	}
}

// judge says whether a lane is slow, and tells whether that is new.
func (c *loads) judge(l *load, slow bool) (changed bool) {
	if l.slow == slow {
		return false
	}
	under := l.under
	c.add(l, -under)
	l.slow = slow
	c.add(l, under)
	return true
}

// may tells whether one more piece of work of a lane may be begun.
func (c *loads) may(l *load) bool {
	if l.slow {
		return l.under < max(1, min(PerSeller, Beside/max(c.slow, 1)))
	}
	return l.under < PerSeller
}

// outsideKey is the key of what a context carries for [Outside].
type outsideKey struct{}

// outside is told when a piece of work begins to wait for an ISV, and when it no longer does.
type outside interface {
	leaves()
	returns()
}

// Outside says that the piece of work that a context belongs to waits for an ISV from now on, until what it gives is called. A context that
// belongs to none does no harm.
func Outside(ctx context.Context) (returned func()) {
	o, ok := ctx.Value(outsideKey{}).(outside)
	if !ok {
		return func() {}
	}
	o.leaves()
	return o.returns
}

// lane is what waits about one seller's subjects, in the local queue.
type lane struct {
	load
	name  string
	ready byDue // the subjects that wait and are not busy

	in    *lanes // where it stands; nil: nothing waits in it
	place int
	turn  uint64 // when it had its last turn
}

func (l *lane) due() time.Time { return l.ready[0].due() }

// lanes is a heap of lanes.
type lanes struct {
	list []*lane
	less func(a, b *lane) bool
}

// sooner orders lanes by when something is due in them.
func sooner(a, b *lane) bool { return a.due().Before(b.due()) }

// fairer orders lanes in which something is due by who has the least under way, and then by who has waited for the longest time.
func fairer(a, b *lane) bool {
	if a.under != b.under {
		return a.under < b.under
	}
	return a.turn < b.turn
}

func (h *lanes) Len() int           { return len(h.list) }
func (h *lanes) Less(i, j int) bool { return h.less(h.list[i], h.list[j]) }

func (h *lanes) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].place, h.list[j].place = i, j
}

// Push is for container/heap.
func (h *lanes) Push(v any) {
	l, _ := v.(*lane)
	l.in, l.place = h, len(h.list)
	h.list = append(h.list, l)
}

// Pop is for container/heap.
func (h *lanes) Pop() any {
	last := len(h.list) - 1
	l := h.list[last]
	h.list[last] = nil
	h.list = h.list[:last]
	l.in = nil
	return l
}

// put has a lane stand here and nowhere else, at its place.
func (h *lanes) put(l *lane) {
	if l.in == h {
		heap.Fix(h, l.place)
		return
	}
	l.out()
	heap.Push(h, l)
}

// out has it stand nowhere.
func (l *lane) out() {
	if l.in != nil {
		heap.Remove(l.in, l.place)
	}
}

// lane gives the lane of a name.
func (q *Local) lane(name string) *lane {
	l := q.lanes[name]
	if l == nil {
		l = &lane{name: name}
		q.lanes[name] = l
	}
	return l
}

// stand has a lane stand where it belongs after what waits in it has changed. One in which something has come due is found by [Local.pick].
func (q *Local) stand(l *lane) {
	switch {
	case len(l.ready) == 0:
		l.out()
		if l.under == 0 && !l.slow {
			delete(q.lanes, l.name)
		}
	case l.in == nil || l.in == &q.later:
		q.later.put(l)
	case l.slow:
		q.slow.put(l)
	default:
		q.brisk.put(l)
	}
}

// pick chooses the lane whose first subject is to be started, and tells whether that is done beside the workers; nil if there is nothing that
// may be started.
func (q *Local) pick(now time.Time) (l *lane, beside bool) {
	for q.later.Len() > 0 && !q.later.list[0].due().After(now) {
		l := q.later.list[0]
		l.out()
		if l.slow {
			q.slow.put(l)
		} else {
			q.brisk.put(l)
		}
	}
	for _, h := range []*lanes{&q.slow, &q.brisk} {
		for h.Len() > 0 && h.list[0].due().After(now) {
			q.later.put(h.list[0])
		}
	}
	// The first of each has the least under way, so if it may not, none of them may.
	if q.slow.Len() > 0 && q.loads.may(&q.slow.list[0].load) && q.besides < Beside {
		return q.slow.list[0], true
	}
	if q.brisk.Len() == 0 || !q.loads.may(&q.brisk.list[0].load) {
		return nil, false
	}
	if q.busy < Workers {
		return q.brisk.list[0], false
	}
	if q.release() {
		return q.pick(now) // lanes have become slow
	}
	return nil, false
}

// release takes their workers from the pieces of work that have waited for an ISV for too long.
func (q *Local) release() (some bool) {
	now := time.Now()
	for e := q.outside.Front(); e != nil && q.besides < 2*Beside; e = q.outside.Front() {
		j, _ := e.Value.(*job)
		if now.Sub(j.left) < Brisk {
			break
		}
		q.outside.Remove(e)
		j.place, j.beside, some = nil, true, true
		q.busy--
		q.besides++
		q.judge(j.lane, true)
	}
	return some
}

// judge says whether a lane is slow.
func (q *Local) judge(l *lane, slow bool) {
	if q.loads.judge(&l.load, slow) {
		q.stand(l)
	}
}

// leaves says that a piece of work begins to wait for an ISV.
func (j *job) leaves() {
	j.queue.mu.Lock()
	defer j.queue.mu.Unlock()
	j.left = time.Now()
	if !j.beside {
		j.place = j.queue.outside.PushBack(j)
	}
}

// returns says that it no longer does.
func (j *job) returns() {
	j.queue.mu.Lock()
	defer j.queue.mu.Unlock()
	if j.place != nil {
		j.queue.outside.Remove(j.place)
		j.place = nil
	}
	j.queue.judge(j.lane, time.Since(j.left) >= Brisk)
}
