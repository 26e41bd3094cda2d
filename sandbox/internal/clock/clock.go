// Package clock is the sandbox's own time. It runs like real time until it is moved or stopped; everything that waits in the
// sandbox waits on it, so a year passes as fast as the work in it can be done.
//
// It only ever moves forward, and it has millisecond resolution because that is what the store keeps.
package clock

import (
	"sync"
	"time"
)

// Clock is a clock that can differ from real time. The zero value is not usable; see [New].
type Clock struct {
	real func() time.Time

	mu       sync.Mutex
	ahead    time.Duration
	standing bool      // it was stopped, until it is let run
	moving   bool      // it stands because it is being moved from one event to the next
	at       time.Time // while standing or moving
}

// New gives a clock that is ahead of the real one. A nil real means time.Now.
func New(real func() time.Time, ahead time.Duration) *Clock {
	if real == nil {
		real = time.Now
	}
	return &Clock{real: real, ahead: ahead}
}

// Now is the time on this clock, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	if c.standing || c.moving {
		return c.at
	}
	return c.real().Add(c.ahead).UTC().Truncate(time.Millisecond)
}

// Ahead is how far the clock is ahead of real time; less than nothing if it stood still for some time.
func (c *Clock) Ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.standing || c.moving {
		return c.at.Sub(c.real()).Round(time.Millisecond)
	}
	return c.ahead
}

// Held tells whether the clock was stopped.
func (c *Clock) Held() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.standing
}

// Moving tells whether the clock is between Begin and End.
func (c *Clock) Moving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moving
}

// Hold stops the clock, until [Clock.Run].
func (c *Clock) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.standing = c.now(), true
}

// Run lets the clock run on from where it stands.
func (c *Clock) Run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.standing = false
	c.runOn()
}

// Restart sets the clock as a new one would be: ahead of real time, or held at a moment if that is not zero. It may go back.
func (c *Clock) Restart(ahead time.Duration, held time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead, c.standing, c.moving, c.at = ahead, !held.IsZero(), false, held.UTC().Truncate(time.Millisecond)
}

// Begin stops the clock so that [Clock.Set] can move it from one event to the next, until [Clock.End].
func (c *Clock) Begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.moving = c.now(), true
}

// Set moves a clock between Begin and End. A time that is not later than Now changes nothing.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.moving && t.After(c.at) {
		c.at = t.UTC().Truncate(time.Millisecond)
	}
}

// End lets the clock run on from where it was set, unless it was stopped before.
func (c *Clock) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moving = false
	c.runOn()
}

func (c *Clock) runOn() {
	if !c.standing && !c.moving && !c.at.IsZero() {
		// Rounded up, so that the clock does not step back by the part of a millisecond that it does not show.
		c.ahead = (c.at.Sub(c.real()) + time.Millisecond - 1).Truncate(time.Millisecond)
		c.at = time.Time{}
	}
}

// Until is how long to wait in real time until the clock shows t, and whether waiting helps at all: a clock that stands does not
// get there.
func (c *Clock) Until(t time.Time) (wait time.Duration, runs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(t.Sub(c.now()), 0), !c.standing && !c.moving
}
