package signature

import (
	"container/heap"
	"context"
	"strings"
	"sync"
	"time"
)

// NonceStore remembers nonces. Use reports whether nonce was unused until now and marks it used; the store must go on
// remembering it up to and including the time until. Use is called at the same time by many goroutines, and of two calls
// with the same nonce exactly one may be answered with fresh.
//
// Services with several replicas need a store that the replicas share; [ReplayGuard] serves a single process.
type NonceStore interface {
	Use(ctx context.Context, nonce string, until time.Time) (fresh bool, err error)
}

// defaultNonces at two minutes each is about 1,000 calls a second, far above what a marketplace sends; in memory it is some
// 25 MB when full.
const defaultNonces = 1 << 17

// ReplayGuard is the [NonceStore] in memory. It holds a bounded number of nonces: when it is full, the one that would expire
// first is dropped to make room. Only nonces of requests whose signature was right are ever recorded, so a stranger cannot
// fill it; the bound is there for a peer that holds the key and runs wild.
//
// Create it with [NewReplayGuard]. It is safe for concurrent use and runs no goroutine. Its content is lost on restart, so
// within the leeway a call from before the restart can be replayed once.
type ReplayGuard struct {
	mu       sync.Mutex
	now      func() time.Time
	capacity int
	seen     map[string]struct{}
	byExpiry expiryHeap
}

// NewReplayGuard returns an empty guard for at most capacity nonces; 0 or less means 131,072. now tells the time and must
// be the clock of the verifier that uses the guard; nil means [time.Now].
func NewReplayGuard(capacity int, now func() time.Time) *ReplayGuard {
	if capacity <= 0 {
		capacity = defaultNonces
	}
	if now == nil {
		now = time.Now
	}
	return &ReplayGuard{now: now, capacity: capacity, seen: make(map[string]struct{})}
}

// Use implements [NonceStore]. The error is always nil.
func (g *ReplayGuard) Use(_ context.Context, nonce string, until time.Time) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropExpired()
	if _, used := g.seen[nonce]; used {
		return false, nil
	}
	for len(g.seen) >= g.capacity {
		g.dropFirst()
	}
	nonce = strings.Clone(nonce) // it may be a piece of a whole request line
	g.seen[nonce] = struct{}{}
	heap.Push(&g.byExpiry, expiry{nonce: nonce, until: until})
	return true, nil
}

// Len returns how many nonces are remembered now.
func (g *ReplayGuard) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropExpired()
	return len(g.seen)
}

func (g *ReplayGuard) dropExpired() {
	now := g.now()
	for len(g.byExpiry) > 0 && now.After(g.byExpiry[0].until) {
		g.dropFirst()
	}
}

func (g *ReplayGuard) dropFirst() {
	delete(g.seen, heap.Pop(&g.byExpiry).(expiry).nonce)
}

type expiry struct {
	nonce string
	until time.Time
}

// expiryHeap keeps the nonce that expires first at index 0.
type expiryHeap []expiry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h expiryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *expiryHeap) Push(x any)        { *h = append(*h, x.(expiry)) }

func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = expiry{} // let the nonce go
	*h = (*h)[:last]
	return e
}
