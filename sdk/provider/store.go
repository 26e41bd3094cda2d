package provider

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// OrderLineKey is what a newInstance is about: the same pair is the same purchase.
type OrderLineKey struct {
	OrderID     string
	OrderLineID string
}

// Remembered is what an [InstanceStore] keeps of an order line.
type Remembered struct {
	InstanceID string
	Ready      bool // answered 000000; false after 000004
}

// InstanceStore remembers which instance id an order line was answered. It is called at the same time by many goroutines. An
// error makes the call fail with 000005, and the marketplace repeats it.
type InstanceStore interface {
	// Load returns what is remembered of the order line.
	Load(ctx context.Context, line OrderLineKey) (r Remembered, ok bool, err error)

	// Save remembers r, and returns what holds from now on: the instance id that was saved first stays for good, and
	// Ready never goes back to false. Of several replicas that save at once exactly one is first.
	Save(ctx context.Context, line OrderLineKey, r Remembered) (Remembered, error)
}

// Locker is an [InstanceStore] that replicas share and that keeps two of them from asking the Application for one order line at
// the same time. Within one process the handler sees to that itself.
type Locker interface {
	// TryLock takes the order line, unless somebody else has it: then ok is false, at once. It is free again after
	// unlock, or after the lease, whichever is first. The handler holds it while it calls the Application and saves.
	TryLock(ctx context.Context, line OrderLineKey, lease time.Duration) (unlock func(context.Context) error, ok bool, err error)
}

const defaultInstances = 100_000 // order lines; about 25 MB when full

// MemoryStore is the [InstanceStore] of a single process. It holds a bounded number of order lines: when it is full, the one
// that became ready longest ago is forgotten first, and only if none is ready the oldest that is not. Forgotten or lost in a
// restart means that a repeat asks the Application again, which is harmless where it uses [NewInstance.SuggestedID].
//
// Create it with [NewMemoryStore].
type MemoryStore struct {
	mu       sync.Mutex
	capacity int
	entries  map[OrderLineKey]*list.Element // of *entry, in ready or in pending
	ready    list.List                      // the one that became ready first is at the front
	pending  list.List                      // the oldest is at the front
}

type entry struct {
	line OrderLineKey
	Remembered
}

// NewMemoryStore returns an empty store for at most capacity order lines; 0 or less means 100,000.
func NewMemoryStore(capacity int) *MemoryStore {
	if capacity <= 0 {
		capacity = defaultInstances
	}
	return &MemoryStore{capacity: capacity, entries: make(map[OrderLineKey]*list.Element)}
}

// Load implements [InstanceStore]. The error is always nil.
func (s *MemoryStore) Load(_ context.Context, line OrderLineKey) (Remembered, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.entries[line]; ok {
		return at.Value.(*entry).Remembered, true, nil
	}
	return Remembered{}, false, nil
}

// Save implements [InstanceStore]. The error is always nil.
func (s *MemoryStore) Save(_ context.Context, line OrderLineKey, r Remembered) (Remembered, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.entries[line]
	if !ok {
		for len(s.entries) >= s.capacity {
			s.forgetOne()
		}
		e := &entry{line: line, Remembered: r}
		if r.Ready {
			s.entries[line] = s.ready.PushBack(e)
		} else {
			s.entries[line] = s.pending.PushBack(e)
		}
		return r, nil
	}
	e := at.Value.(*entry)
	if r.Ready && !e.Ready {
		e.Ready = true
		s.pending.Remove(at)
		s.entries[line] = s.ready.PushBack(e)
	}
	return e.Remembered, nil
}

// Len returns how many order lines are remembered.
func (s *MemoryStore) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

func (s *MemoryStore) forgetOne() {
	from := &s.ready
	if from.Len() == 0 {
		from = &s.pending
	}
	delete(s.entries, from.Remove(from.Front()).(*entry).line)
}
