// Package storetest holds a [usage.Store] to its contract. A store of one's own passes if
//
//	func TestStore(t *testing.T) { storetest.Run(t, func(t *testing.T) usage.Store { return newStore(t) }) }
//
// does. It needs nothing but the standard library.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/isvkit/isvkit/sdk/usage"
)

var hour = time.Date(2026, 3, 4, 8, 0, 0, 0, time.UTC)

// Run runs every test of the contract, each on a store that open returns and that is empty.
func Run(t *testing.T, open func(t *testing.T) usage.Store) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"SumsUp", sumsUp},
		{"KeepsApart", keepsApart},
		{"IDCountsOnce", idCountsOnce},
		{"IDConflicts", idConflicts},
		{"AmountIsBounded", amountIsBounded},
		{"ClaimIsExclusive", claimIsExclusive},
		{"ClaimIsInOrderAndLimited", claimIsInOrder},
		{"SealedStays", sealedStays},
		{"RangesAreDistinct", rangesAreDistinct},
		{"RangeBeginsWithFirstUsage", rangeBeginsWithFirstUsage},
		{"NoRangeLeftMoves", noRangeLeftMoves},
		{"LostClaimSettlesNothing", lostClaim},
		{"Verdicts", verdicts},
		{"Requeue", requeue},
		{"InspectPages", inspectPages},
		{"Prune", prune},
		{"ManyAtOnce", manyAtOnce},
		{"EndedContext", endedContext},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(&suite{T: t, store: open(t), sn: c.name})
		})
	}
}

type suite struct {
	*testing.T
	store usage.Store
	mu    sync.Mutex
	sn    string
	sns   int
}

func (s *suite) event(instance, pkg, amount string, at time.Time) usage.Event {
	begin := at.Truncate(time.Hour)
	return usage.Event{
		InstanceID: instance, PackageID: pkg, Amount: usage.MustParseAmount(amount), At: at, Begin: begin, End: begin.Add(time.Hour), Due: begin.Add(time.Hour),
	}
}

func (s *suite) add(e usage.Event) {
	s.Helper()
	if added, err := s.store.Add(s.Context(), e); err != nil || !added {
		s.Fatalf("Add: %v, %v; expected true and no error", added, err)
	}
}

func (s *suite) newSN() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sns++
	return fmt.Sprintf("%s-%d", s.sn, s.sns)
}

func (s *suite) claim(now time.Time, token string, limit int) []usage.Window {
	s.Helper()
	windows, err := s.store.Claim(s.Context(), usage.Claim{Now: now, Until: now.Add(5 * time.Minute), Token: token, Limit: limit, NewSN: s.newSN})
	if err != nil {
		s.Fatalf("Claim: %v", err)
	}
	return windows
}

func (s *suite) one(now time.Time, token string) usage.Window {
	s.Helper()
	windows := s.claim(now, token, 10)
	if len(windows) != 1 {
		s.Fatalf("Claim: %d windows, expected 1: %+v", len(windows), windows)
	}
	return windows[0]
}

func (s *suite) settle(token string, outcomes ...usage.Outcome) {
	s.Helper()
	if err := s.store.Settle(s.Context(), token, outcomes); err != nil {
		s.Fatalf("Settle: %v", err)
	}
}

func (s *suite) all(f usage.Filter) []usage.Window {
	s.Helper()
	windows, err := s.store.Inspect(s.Context(), f)
	if err != nil {
		s.Fatalf("Inspect: %v", err)
	}
	return windows
}

func (s *suite) totals() usage.Totals {
	s.Helper()
	t, err := s.store.Totals(s.Context())
	if err != nil {
		s.Fatalf("Totals: %v", err)
	}
	return t
}

func expect[T comparable](s *suite, what string, got, want T) {
	s.Helper()
	if got != want {
		s.Errorf("%s: got %v, expected %v", what, got, want)
	}
}

func sumsUp(s *suite) {
	s.add(s.event("i", "", "1.5", hour.Add(time.Minute)))
	s.add(s.event("i", "", "0.0001", hour.Add(59*time.Minute)))
	windows := s.all(usage.Filter{})
	expect(s, "windows", len(windows), 1)
	w := windows[0]
	expect(s, "amount", w.Amount.String(), "1.5001")
	expect(s, "state", w.State, usage.Open)
	expect(s, "begin", w.Begin, hour)
	expect(s, "end", w.End, hour.Add(time.Hour))
	expect(s, "due", w.Due, hour.Add(time.Hour))
	t := s.totals()
	expect(s, "open", t.Open, usage.Count{Windows: 1, Amount: usage.MustParseAmount("1.5001")})
	expect(s, "oldest", t.Oldest, hour.Add(time.Hour))
}

func keepsApart(s *suite) {
	s.add(s.event("i", "", "1", hour))
	s.add(s.event("i", "p", "1", hour))
	s.add(s.event("i2", "", "1", hour))
	s.add(s.event("i", "", "1", hour.Add(time.Hour)))
	expect(s, "windows", len(s.all(usage.Filter{})), 4)
	expect(s, "windows of i", len(s.all(usage.Filter{InstanceID: "i"})), 3)
}

func idCountsOnce(s *suite) {
	e := s.event("i", "p", "2", hour)
	e.ID = "a"
	s.add(e)
	for _, at := range []time.Time{e.At, e.At.Add(3 * time.Hour)} {
		e.At = at
		if added, err := s.store.Add(s.Context(), e); added || err != nil {
			s.Fatalf("Add again: %v, %v; expected false and no error", added, err)
		}
	}
	s.settle("t", usage.Outcome{Window: s.one(hour.Add(time.Hour), "t"), Verdict: usage.Finish})
	if added, err := s.store.Add(s.Context(), e); added || err != nil {
		s.Fatalf("Add again, after the push: %v, %v; expected false and no error", added, err)
	}
	expect(s, "done", s.totals().Done.Amount.String(), "2")
	expect(s, "open", s.totals().Open.Windows, 0)
}

func idConflicts(s *suite) {
	e := s.event("i", "p", "2", hour)
	e.ID = "a"
	s.add(e)
	for _, other := range []usage.Event{s.event("i", "p", "2.0001", hour), s.event("i2", "p", "2", hour), s.event("i", "", "2", hour)} {
		other.ID = "a"
		if added, err := s.store.Add(s.Context(), other); added || !errors.Is(err, usage.ErrConflictingID) {
			s.Errorf("Add: %v, %v; expected ErrConflictingID", added, err)
		}
	}
	expect(s, "open", s.totals().Open.Amount.String(), "2")
}

func amountIsBounded(s *suite) {
	s.add(s.event("i", "", "99999999", hour))
	s.add(s.event("i", "", "0.9999", hour))
	s.add(s.event("i", "", "0.0001", hour))
	s.add(s.event("i", "", "7", hour))
	windows := s.all(usage.Filter{})
	expect(s, "windows", len(windows), 2)
	expect(s, "full", windows[0].Amount.Units(), int64(usage.MaxUnits))
	expect(s, "rest", windows[1].Amount.String(), "7.0001")
	claimed := s.claim(hour.Add(time.Hour), "t", 10)
	expect(s, "claimed", len(claimed), 2)
	expect(s, "from", claimed[1].From, hour.Add(time.Second))
}

func claimIsExclusive(s *suite) {
	s.add(s.event("i", "", "1", hour))
	end := hour.Add(time.Hour)
	expect(s, "before it is due", len(s.claim(end.Add(-time.Second), "t0", 10)), 0)
	w := s.one(end, "t1")
	expect(s, "unsure at the first attempt", w.Unsure, false)
	expect(s, "attempts", w.Attempts, 1)
	expect(s, "claimed meanwhile", len(s.claim(end.Add(time.Minute), "t2", 10)), 0)
	stored := s.all(usage.Filter{State: usage.Sealed})
	expect(s, "unsure in the store", len(stored) == 1 && stored[0].Unsure, true)
	again := s.one(end.Add(5*time.Minute), "t3") // the claim has run out: its process is gone
	expect(s, "unsure after a claim that ran out", again.Unsure, true)
	expect(s, "attempts", again.Attempts, 2)
	expect(s, "record", again.Record(), w.Record())
}

func claimIsInOrder(s *suite) {
	for i, at := range []time.Duration{2 * time.Hour, 0, time.Hour} {
		s.add(s.event(fmt.Sprint("i", i), "", "1", hour.Add(at)))
	}
	now := hour.Add(24 * time.Hour)
	for _, want := range []string{"i1", "i2", "i0"} {
		windows := s.claim(now, want, 1)
		if len(windows) != 1 || windows[0].InstanceID != want {
			s.Fatalf("claimed %+v, expected the one of %s", windows, want)
		}
	}
	expect(s, "left", len(s.claim(now, "t", 10)), 0)
}

func sealedStays(s *suite) {
	e := s.event("i", "p", "1.25", hour.Add(time.Minute))
	s.add(s.event("i", "", "1", hour))
	s.add(e)
	now := hour.Add(65*time.Minute + 250*time.Millisecond)
	claimed := s.claim(now, "t", 10)
	if len(claimed) != 2 {
		s.Fatalf("claimed %d, expected 2", len(claimed))
	}
	w := claimed[1]
	expect(s, "state", w.State, usage.Sealed)
	expect(s, "sn", w.MeteringSN != "" && w.MeteringSN != claimed[0].MeteringSN, true)
	expect(s, "sealed at", w.SealedAt.Truncate(time.Second), now.Truncate(time.Second))
	record := w.Record()
	expect(s, "record", record.InstanceID+" "+record.RelatePkgInstance+" "+record.UsageValue, "i p 1.25")
	s.add(e) // comes late: must not change what is being pushed
	s.settle("t", usage.Outcome{Window: w, Verdict: usage.Repeat, Next: now.Add(time.Minute), Unsure: true, Code: "013", Message: "state"})
	again := s.all(usage.Filter{State: usage.Sealed})[1]
	expect(s, "record", again.Record(), record)
	expect(s, "unsure", again.Unsure, true)
	expect(s, "code", string(again.Code)+again.Message, "013state")
	expect(s, "next", again.Due.Truncate(time.Second), now.Add(time.Minute).Truncate(time.Second))
	late := s.all(usage.Filter{State: usage.Open})
	expect(s, "late windows", len(late), 1)
	expect(s, "late amount", late[0].Amount.String(), "1.25")
}

func rangesAreDistinct(s *suite) {
	now := hour.Add(time.Hour)
	seen := map[[2]time.Time]bool{}
	for round := range 6 {
		token := fmt.Sprint("t", round)
		s.add(s.event("i", "", "1", hour))
		s.add(s.event("i", fmt.Sprint("p", round%2), "1", hour))
		for _, w := range s.claim(now, token, 10) {
			key := [2]time.Time{w.From, w.To}
			if seen[key] || w.From.Before(hour) || w.To.After(now) || !w.From.Before(w.To) {
				s.Errorf("range %v to %v, seen before: %v", w.From, w.To, seen[key])
			}
			seen[key] = true
			s.settle(token, usage.Outcome{Window: w, Verdict: usage.Finish})
		}
	}
	expect(s, "ranges", len(seen), 12)
}

func rangeBeginsWithFirstUsage(s *suite) {
	s.add(s.event("i", "", "1", hour.Add(20*time.Minute+900*time.Millisecond)))
	s.add(s.event("i", "", "1", hour.Add(10*time.Minute+300*time.Millisecond)))
	s.add(s.event("i", "", "1", hour.Add(80*time.Minute)))
	windows := s.claim(hour.Add(2*time.Hour), "t", 10)
	expect(s, "claimed", len(windows), 2)
	expect(s, "the first begins with the first usage", windows[0].From, hour.Add(10*time.Minute))
	expect(s, "the next does not", windows[1].From, hour.Add(time.Hour))
}

func noRangeLeftMoves(s *suite) {
	last := hour.Add(time.Hour - time.Second/2) // the first usage of all: one second is left of the window
	s.add(s.event("i", "", "1", last))
	s.add(s.event("i", "p", "2", last))
	now := hour.Add(time.Hour)
	w := s.one(now, "t")
	expect(s, "from", w.From, now.Add(-time.Second))
	s.settle("t", usage.Outcome{Window: w, Verdict: usage.Finish})
	moved := s.all(usage.Filter{State: usage.Open})
	if len(moved) != 1 || moved[0].Begin != now || moved[0].End != now.Add(time.Hour) || moved[0].Due != moved[0].End || moved[0].Amount.String() != "2" {
		s.Fatalf("moved: %+v, expected the 2 in the following window", moved)
	}
	s.add(s.event("i", "p", "3", now))
	next := s.claim(now.Add(time.Hour), "t2", 10)
	expect(s, "claimed", len(next), 1)
	expect(s, "amount", next[0].Amount.String(), "5")
}

func lostClaim(s *suite) {
	s.add(s.event("i", "", "1", hour))
	now := hour.Add(time.Hour)
	w := s.one(now, "slow")
	again := s.one(now.Add(10*time.Minute), "quick")
	s.settle("slow", usage.Outcome{Window: w, Verdict: usage.Refuse})
	expect(s, "rejected", s.totals().Rejected.Windows, 0)
	s.settle("quick", usage.Outcome{Window: again, Verdict: usage.Finish})
	s.settle("quick", usage.Outcome{Window: again, Verdict: usage.Refuse})
	expect(s, "done", s.totals().Done.Windows, 1)
}

func verdicts(s *suite) {
	now := hour.Add(time.Hour)
	s.add(s.event("i", "", "1", hour))
	w := s.one(now, "t1")
	s.settle("t1", usage.Outcome{Window: w, Verdict: usage.Abandon, Next: now, Unsure: w.Unsure})
	w = s.one(now, "t2")
	expect(s, "attempts after Abandon", w.Attempts, 1)
	expect(s, "unsure after Abandon", w.Unsure, false)
	s.settle("t2", usage.Outcome{Window: w, Verdict: usage.Reseal, Next: now, Code: "010"})
	moved := s.one(now, "t3")
	expect(s, "sn after Reseal", moved.MeteringSN, w.MeteringSN)
	expect(s, "from after Reseal", moved.From, hour.Add(time.Second))
	s.settle("t3", usage.Outcome{Window: moved, Verdict: usage.Refuse, Code: "009", Message: "not yours"})
	expect(s, "claimed after Refuse", len(s.claim(now.Add(time.Hour), "t4", 10)), 0)
	rejected := s.all(usage.Filter{State: usage.Rejected})
	expect(s, "rejected", len(rejected), 1)
	expect(s, "why", string(rejected[0].Code)+" "+rejected[0].Message, "009 not yours")

	// A window of one second has one range only.
	last := hour.Add(time.Hour - time.Second)
	s.add(s.event("i2", "", "1", last))
	w = s.one(now, "t5")
	s.settle("t5", usage.Outcome{Window: w, Verdict: usage.Reseal, Next: now, Code: "010"})
	expect(s, "rejected", s.totals().Rejected.Windows, 2)
}

func requeue(s *suite) {
	now := hour.Add(time.Hour)
	s.add(s.event("i", "", "1", hour))
	w := s.one(now, "t1")
	if err := s.store.Requeue(s.Context(), w.MeteringSN, now); !errors.Is(err, usage.ErrNotFound) {
		s.Errorf("Requeue of a sealed window: %v, expected ErrNotFound", err)
	}
	s.settle("t1", usage.Outcome{Window: w, Verdict: usage.Refuse, Code: "012"})
	if err := s.store.Requeue(s.Context(), w.MeteringSN, now.Add(time.Minute)); err != nil {
		s.Fatalf("Requeue: %v", err)
	}
	again := s.one(now.Add(time.Minute), "t2")
	expect(s, "record", again.Record(), w.Record())
	expect(s, "attempts", again.Attempts, 1)
	s.settle("t2", usage.Outcome{Window: again, Verdict: usage.Finish})
	if err := s.store.Requeue(s.Context(), w.MeteringSN, now); !errors.Is(err, usage.ErrNotFound) {
		s.Errorf("Requeue of a done window: %v, expected ErrNotFound", err)
	}
}

func inspectPages(s *suite) {
	for i := range 105 {
		s.add(s.event(fmt.Sprintf("i%03d", i), "", "1", hour))
	}
	first := s.all(usage.Filter{})
	expect(s, "first page", len(first), 100)
	rest := s.all(usage.Filter{After: first[99].ID})
	expect(s, "second page", len(rest), 5)
	expect(s, "limit", len(s.all(usage.Filter{Limit: 3, State: usage.Open})), 3)
}

func prune(s *suite) {
	now := hour.Add(time.Hour)
	for i, verdict := range []usage.Verdict{usage.Finish, usage.Refuse, usage.Repeat} {
		e := s.event(fmt.Sprint("i", i), "", "1", hour)
		e.ID = fmt.Sprint("e", i)
		s.add(e)
		s.settle(e.ID, usage.Outcome{Window: s.one(now, e.ID), Verdict: verdict, Next: now.Add(time.Hour)})
	}
	s.add(s.event("i3", "", "1", hour))
	for _, before := range []time.Time{now, now.Add(time.Second)} {
		if err := s.store.Prune(s.Context(), before); err != nil {
			s.Fatalf("Prune: %v", err)
		}
		t := s.totals()
		want := 1
		if before.After(now) {
			want = 0
		}
		expect(s, "done", t.Done.Windows, want)
		expect(s, "rejected, sealed, open", t.Rejected.Windows+t.Sealed.Windows+t.Open.Windows, 3)
	}
	e := s.event("i0", "", "1", hour)
	e.ID = "e0"
	s.add(e) // its id is forgotten
}

// manyAtOnce records and claims from many goroutines: no window in two hands, nothing lost, nothing twice.
func manyAtOnce(s *suite) {
	const writers, each = 8, 40
	now := hour.Add(time.Hour)
	var wg sync.WaitGroup
	var mu sync.Mutex
	owner := map[string]string{}
	ranges := map[string]bool{}
	var sum usage.Amount
	for n := range writers {
		wg.Go(func() {
			for i := range each {
				e := s.event(fmt.Sprint("i", i%3), fmt.Sprint("p", i%2), "0.0001", hour.Add(time.Duration(n*i)*time.Second))
				e.ID = fmt.Sprint(i) + "-" + fmt.Sprint(n/2) // each is recorded by two
				e.InstanceID, e.PackageID = fmt.Sprint("i", i%3), fmt.Sprint("p", i%2)
				if _, err := s.store.Add(context.Background(), e); err != nil {
					s.Errorf("Add: %v", err)
				}
			}
		})
	}
	for n := range 3 {
		wg.Go(func() {
			for i := range 15 {
				token := fmt.Sprint("t", n, "-", i)
				windows, err := s.store.Claim(context.Background(), usage.Claim{Now: now, Until: now.Add(time.Hour), Token: token, Limit: 2, NewSN: s.newSN})
				if err != nil {
					s.Errorf("Claim: %v", err)
				}
				var outcomes []usage.Outcome
				for _, w := range windows {
					mu.Lock()
					key := w.InstanceID + " " + w.From.String() + " " + w.To.String()
					if owner[w.MeteringSN] != "" || ranges[key] {
						s.Errorf("%s, %s: claimed by %s and %s", w.MeteringSN, key, owner[w.MeteringSN], token)
					}
					owner[w.MeteringSN], ranges[key] = token, true
					sum, _ = sum.Add(w.Amount)
					mu.Unlock()
					outcomes = append(outcomes, usage.Outcome{Window: w, Verdict: usage.Finish})
				}
				if err := s.store.Settle(context.Background(), token, outcomes); err != nil {
					s.Errorf("Settle: %v", err)
				}
			}
		})
	}
	wg.Wait()
	t := s.totals()
	expect(s, "done", t.Done.Amount, sum)
	total, _ := t.Done.Amount.Add(t.Open.Amount)
	expect(s, "total", total.Units(), int64(writers/2*each))
	expect(s, "sealed", t.Sealed.Windows, 0)
}

func endedContext(s *suite) {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	added, err := s.store.Add(ctx, s.event("i", "", "1", hour))
	if t := s.totals(); (err == nil) != (t.Open.Windows == 1) || (err == nil) != added {
		s.Errorf("Add with a context that has ended: %v, %v, and %d windows; expected all or nothing", added, err, t.Open.Windows)
	}
}
