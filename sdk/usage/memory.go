package usage

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// MemoryStore is a [Store] in memory: for tests, and for trying things out. It is NOT durable: what was recorded and not yet pushed
// ends with the process. Create it with [NewMemoryStore].
type MemoryStore struct {
	mu      sync.Mutex
	lastID  int64
	windows map[int64]*memoryWindow
	active  map[int64]*memoryWindow     // open and sealed
	open    map[openKey][]*memoryWindow // by what an event looks for
	ranges  map[string]map[span]bool    // taken, by instance
	first   map[string]time.Time        // first usage, by instance
	events  map[string]Event
}

type openKey struct {
	instance, pkg string
	span
}

type span struct{ begin, end int64 } // Unix seconds

type memoryWindow struct {
	Window
	token string
	until time.Time
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{
		windows: map[int64]*memoryWindow{}, active: map[int64]*memoryWindow{}, open: map[openKey][]*memoryWindow{},
		ranges: map[string]map[span]bool{}, first: map[string]time.Time{}, events: map[string]Event{},
	}
}

func keyOf(w Window) openKey {
	return openKey{w.InstanceID, w.PackageID, span{w.Begin.Unix(), w.End.Unix()}}
}

// Add implements [Store].
func (s *MemoryStore) Add(_ context.Context, e Event) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.ID != "" {
		if old, ok := s.events[e.ID]; ok {
			if old.InstanceID != e.InstanceID || old.PackageID != e.PackageID || old.Amount != e.Amount {
				return false, ErrConflictingID
			}
			return false, nil
		}
		s.events[e.ID] = e
	}
	if first, ok := s.first[e.InstanceID]; !ok || e.At.Before(first) {
		s.first[e.InstanceID] = e.At
	}
	key := openKey{e.InstanceID, e.PackageID, span{e.Begin.Unix(), e.End.Unix()}}
	for _, w := range s.open[key] {
		if sum := w.Amount.units + e.Amount.units; sum <= MaxUnits {
			w.Amount.units = sum
			return true, nil
		}
	}
	s.lastID++
	w := &memoryWindow{Window: Window{
		ID: s.lastID, InstanceID: e.InstanceID, PackageID: e.PackageID, Begin: e.Begin, End: e.End, Amount: e.Amount, State: Open, Due: e.Due,
	}}
	s.windows[w.ID], s.active[w.ID] = w, w
	s.open[key] = append(s.open[key], w)
	return true, nil
}

// Claim implements [Store].
func (s *MemoryStore) Claim(_ context.Context, c Claim) (claimed []Window, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []*memoryWindow
	for _, w := range s.active {
		if !w.Due.After(c.Now) && !w.until.After(c.Now) {
			due = append(due, w)
		}
	}
	slices.SortFunc(due, func(a, b *memoryWindow) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) })
	for _, w := range due[:min(len(due), c.Limit)] {
		if w.State == Open && !s.seal(w, c) {
			continue
		}
		w.token, w.until = c.Token, c.Until
		w.Attempts++
		claimed = append(claimed, w.Window)
		w.Unsure = true
	}
	return claimed, nil
}

func (s *MemoryStore) seal(w *memoryWindow, c Claim) bool {
	key := keyOf(w.Window)
	s.open[key] = slices.DeleteFunc(s.open[key], func(o *memoryWindow) bool { return o == w })
	if len(s.open[key]) == 0 {
		delete(s.open, key)
	}
	if !s.choose(w) {
		w.Begin, w.End = w.End, w.End.Add(w.End.Sub(w.Begin))
		w.Due = w.End
		s.open[keyOf(w.Window)] = append(s.open[keyOf(w.Window)], w)
		return false
	}
	w.State, w.MeteringSN, w.SealedAt = Sealed, c.NewSN(), c.Now
	return true
}

// choose gives w a range that was never given to its instance.
func (s *MemoryStore) choose(w *memoryWindow) (ok bool) {
	taken := s.ranges[w.InstanceID]
	from, to, ok := Range(w.Begin, w.End, s.first[w.InstanceID], func(from, to time.Time) bool { return taken[span{from.Unix(), to.Unix()}] })
	if !ok {
		return false
	}
	if taken == nil {
		taken = map[span]bool{}
		s.ranges[w.InstanceID] = taken
	}
	w.From, w.To = from, to
	taken[span{from.Unix(), to.Unix()}] = true
	return true
}

// Settle implements [Store].
func (s *MemoryStore) Settle(_ context.Context, token string, outcomes []Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range outcomes {
		w := s.active[o.Window.ID]
		if w == nil || w.token != token {
			continue
		}
		w.token, w.until = "", time.Time{}
		w.Unsure, w.Code, w.Message, w.Due = o.Unsure, o.Code, o.Message, o.Next
		switch o.Verdict {
		case Finish:
			w.State = Done
		case Refuse:
			w.State = Rejected
		case Reseal:
			if !s.choose(w) {
				w.State = Rejected
			}
		case Abandon:
			w.Attempts--
		}
		if w.State != Sealed {
			delete(s.active, w.ID)
		}
	}
	return nil
}

// Requeue implements [Store].
func (s *MemoryStore) Requeue(_ context.Context, sn string, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.windows {
		if w.State == Rejected && w.MeteringSN == sn {
			w.State, w.Due, w.Attempts = Sealed, now, 0
			s.active[w.ID] = w
			return nil
		}
	}
	return ErrNotFound
}

// Totals implements [Store].
func (s *MemoryStore) Totals(context.Context) (t Totals, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.windows {
		c := t.Of(w.State)
		c.Windows++
		if c.Amount, err = c.Amount.Add(w.Amount); err != nil {
			return Totals{}, err
		}
		if w.State == Open || w.State == Sealed {
			if t.Oldest.IsZero() || w.End.Before(t.Oldest) {
				t.Oldest = w.End
			}
		}
	}
	return t, nil
}

// Inspect implements [Store].
func (s *MemoryStore) Inspect(_ context.Context, f Filter) (found []Window, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.windows {
		if w.ID > f.After && (f.State == "" || f.State == w.State) && (f.InstanceID == "" || f.InstanceID == w.InstanceID) {
			found = append(found, w.Window)
		}
	}
	slices.SortFunc(found, func(a, b Window) int { return cmp.Compare(a.ID, b.ID) })
	return found[:min(len(found), f.limit())], nil
}

// Prune implements [Store].
func (s *MemoryStore) Prune(_ context.Context, before time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, w := range s.windows {
		if w.State == Done && w.End.Before(before) {
			delete(s.windows, id)
			delete(s.ranges[w.InstanceID], span{w.From.Unix(), w.To.Unix()})
		}
	}
	for id, e := range s.events {
		if e.At.Before(before) {
			delete(s.events, id)
		}
	}
	return nil
}

// Of returns the count of a state, nil for an unknown one.
func (t *Totals) Of(state State) *Count {
	switch state {
	case Open:
		return &t.Open
	case Sealed:
		return &t.Sealed
	case Done:
		return &t.Done
	case Rejected:
		return &t.Rejected
	}
	return nil
}

func (f Filter) limit() int {
	if f.Limit <= 0 {
		return 100
	}
	return f.Limit
}
