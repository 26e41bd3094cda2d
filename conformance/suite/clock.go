package suite

import (
	"net/http"
	"sync"
	"time"
)

// clock estimates how far the ISV's clock is from ours. Each answer has a Date in whole seconds, so each narrows the difference a bit;
// after some answers it is known to a fraction of a second. The edges of the window of 60 seconds are judged by the ISV's clock, not by
// ours.
type clock struct {
	mu       sync.Mutex
	known    bool
	low, top time.Duration // the ISV's time is ours plus something between these
	broken   bool          // its answers contradict each other, as those of several machines behind one address do
}

// read takes an answer's Date into account. The request was sent and the answer's head was read at these times by our clock.
func (c *clock) read(date string, sent, received time.Time) {
	at, err := http.ParseTime(date)
	if err != nil {
		return
	}
	low, top := at.Sub(received), at.Add(time.Second).Sub(sent)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		c.known, c.low, c.top = true, low, top
		return
	}
	c.low, c.top = max(c.low, low), min(c.top, top)
	// A server may keep the text of Date for a while; so much is no contradiction.
	const slack = time.Second
	c.broken = c.broken || c.low > c.top+slack
}

// ahead tells between which limits the ISV's clock is ahead of ours. It is false where that is not known well enough.
func (c *clock) ahead() (low, top time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	low, top = min(c.low, c.top), max(c.low, c.top)
	const wellEnough = 3 * time.Second
	return low, top, c.known && !c.broken && top-low <= wellEnough
}
