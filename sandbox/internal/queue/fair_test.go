package queue_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/isvkit/isvkit/sandbox/internal/queue"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

// callOf adds calls about so many subjects of a seller.
func (b *bench) callsOf(seller string, n int) {
	b.t.Helper()
	require.NoError(b.t, b.one(len(seller)).store.Update(b.t.Context(), func(tx *store.Tx) error {
		for i := range n {
			c := call(fmt.Sprintf("x/%s-%d", seller, i), start)
			c.SellerID = seller
			if _, err := tx.AddCall(c); err != nil {
				return err
			}
		}
		return nil
	}))
}

// hanging is an ISV that some sellers share, which answers nobody until it is freed.
type hanging struct {
	mu      sync.Mutex
	sellers map[string]bool
	under   map[string]int // by seller
	began   map[string]int
	most    int
	free    chan struct{}
}

func newHanging(sellers ...string) *hanging {
	h := &hanging{sellers: map[string]bool{}, under: map[string]int{}, began: map[string]int{}, free: make(chan struct{})}
	for _, s := range sellers {
		h.sellers[s] = true
	}
	return h
}

func (h *hanging) deliver(ctx context.Context, c store.Call) (time.Time, error) {
	defer queue.Outside(ctx)()
	if !h.sellers[c.SellerID] {
		return time.Time{}, nil
	}
	h.count(c.SellerID, +1)
	defer h.count(c.SellerID, -1)
	select {
	case <-h.free:
		return time.Time{}, nil
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

func (h *hanging) count(seller string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.under[seller] += n
	h.most = max(h.most, h.under[seller])
	if n > 0 {
		h.began[seller]++
	}
}

func (h *hanging) all(seller string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.began[seller]
}

// TestQueue_WhoHangsHoldsNobodyUp has the ISVs of some sellers answer nobody, for whom there is more to do than there are workers. All others
// are served while they hang, and each call to those that hang is begun nevertheless, as far as their limit goes.
func TestQueue_WhoHangsHoldsNobodyUp(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		const sellers, hangs, each = 60, 6, 3
		seller := func(i int) string { return fmt.Sprintf("seller-%d", i) }
		var names []string
		for i := range hangs {
			names = append(names, seller(i))
		}
		h := newHanging(names...)
		b.deliver = h.deliver
		many := 2 * queue.Workers / hangs * len(b.processes)
		above := queue.PerSeller*len(b.processes) + 10
		for i, name := range names {
			b.callsOf(name, []int{many, above}[min(max(i-hangs+2, 0), 1)])
		}
		for i := hangs; i < sellers; i++ {
			b.callsOf(seller(i), each)
		}
		require.Eventually(t, func() bool { return len(b.all()) == (sellers-hangs)*each }, 30*time.Second, time.Millisecond)
		for _, name := range names[:hangs-1] {
			require.Eventually(t, func() bool { return h.all(name) == many }, 30*time.Second, time.Millisecond, "the timetable promises every attempt")
		}
		// The limit is each process's, and nobody shares the calls out evenly: some wait in one process while another has room.
		require.Eventually(t, func() bool { return h.all(names[hangs-1]) >= queue.PerSeller }, 30*time.Second, time.Millisecond)
		for _, d := range b.all() {
			require.NotContains(t, names, d.subject[len("x/"):len(d.subject)-2])
		}
		close(h.free)
		b.settle(0)
		require.Len(t, b.all(), (sellers-hangs)*each+(hangs-1)*many+above)
		require.LessOrEqual(t, h.most, queue.PerSeller*len(b.processes))
	})
}

// TestQueue_ASlowSellersCallsKeepTheirTimes lets an ISV be slow several times in a row, and then brisk: each attempt is made when it is due.
func TestQueue_ASlowSellersCallsKeepTheirTimes(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
		b.deliver = func(ctx context.Context, c store.Call) (time.Time, error) {
			defer queue.Outside(ctx)()
			if c.Attempts < 2 {
				time.Sleep(queue.Brisk + 50*time.Millisecond)
			}
			if c.Attempts < 4 {
				return at(c.Attempts + 1), nil
			}
			return time.Time{}, nil
		}
		b.callsOf("slow", 3)
		b.settle(0)
		b.advance(0, 2*time.Hour)
		times := map[string][]time.Time{}
		for _, d := range b.all() {
			times[d.subject] = append(times[d.subject], d.at)
		}
		require.Len(t, times, 3)
		for _, got := range times {
			require.Equal(t, []time.Time{at(0), at(1), at(2), at(3), at(4)}, got)
		}
	})
}

// TestLocal_WhoHasLessUnderWayGoesFirst fills the queue with one seller's calls before another's one.
func TestLocal_WhoHasLessUnderWayGoesFirst(t *testing.T) {
	b := newBench(t, ":memory:", 0)
	b.add(":memory:")
	b.callsOf("many", 1000)
	b.callsOf("few", 1)
	b.one(0).start()
	b.settle(0)
	place := slices.IndexFunc(b.all(), func(d done) bool { return d.subject == "x/few-0" })
	require.Less(t, place, 2*queue.Workers, "it does not wait for the other's to end")
}
