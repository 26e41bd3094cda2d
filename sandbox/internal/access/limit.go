package access

import (
	"math"
	"sync"
	"time"
)

// Limits are what one seller may take of a shared sandbox. 0 is no limit.
type Limits struct {
	ControlRate float64 // requests to the control API, per second
	OpenAPIRate float64 // requests to the open API, per second
	Pending     int     // deliveries that wait or are under way; more cannot be asked for
	Journal     int     // attempts in the journal; beyond it nothing can be asked for that would make more
}

// SharedLimits are what a sandbox with tokens has if nobody says otherwise: far more than a test needs, far less than a machine can do.
var SharedLimits = Limits{ControlRate: 50, OpenAPIRate: 100, Pending: 10_000, Journal: 1_000_000}

// Rates is a token bucket for each seller. A bucket holds what comes in two seconds, at least one request.
type Rates struct {
	perSecond float64
	now       func() time.Time

	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	full float64
	at   time.Time
}

// maxBuckets is how many are kept. A bucket that has filled up again says nothing, and is dropped when there are more.
const maxBuckets = 10_000

// NewRates makes the buckets. perSecond 0 is no limit.
func NewRates(perSecond float64, now func() time.Time) *Rates {
	return &Rates{perSecond: perSecond, now: now, buckets: map[string]*bucket{}}
}

// Take takes a request's worth out of somebody's bucket. If there is not enough, it tells after how long there will be, at least a second,
// as Retry-After counts in seconds.
func (r *Rates) Take(who string) (wait time.Duration, ok bool) {
	if r.perSecond <= 0 {
		return 0, true
	}
	size := math.Max(1, 2*r.perSecond)
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.buckets[who]
	if b == nil {
		if len(r.buckets) >= maxBuckets {
			r.sweep(now, size)
		}
		b = &bucket{full: size, at: now}
		r.buckets[who] = b
	}
	if passed := now.Sub(b.at); passed > 0 { // time never takes anything out
		b.full = math.Min(size, b.full+passed.Seconds()*r.perSecond)
		b.at = now
	}
	if b.full >= 1 {
		b.full--
		return 0, true
	}
	wait = time.Duration((1 - b.full) / r.perSecond * float64(time.Second))
	return max(time.Second, wait.Round(time.Millisecond)), false
}

// sweep drops the buckets that are full again by now.
func (r *Rates) sweep(now time.Time, size float64) {
	for who, b := range r.buckets {
		if b.full+now.Sub(b.at).Seconds()*r.perSecond >= size {
			delete(r.buckets, who)
		}
	}
}
