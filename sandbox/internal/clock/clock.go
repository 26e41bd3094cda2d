// Package clock is the sandbox's own time. It runs like real time until it is moved; everything that waits in the sandbox
// waits on it, so a year passes as fast as the work in it can be done.
//
// It only ever moves forward, and it has millisecond resolution because that is what the store keeps.
package clock

import (
	"sync"
	"time"
)

// Clock is a clock that can be ahead of real time. The zero value is not usable; see [New].
type Clock struct {
	real func() time.Time

	mu    sync.Mutex
	ahead time.Duration
	held  bool
	at    time.Time // while held
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
	if c.held {
		return c.at
	}
	return c.real().Add(c.ahead).UTC().Truncate(time.Millisecond)
}

// Ahead is how far the clock is ahead of real time.
func (c *Clock) Ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		return c.at.Sub(c.real()).Round(time.Millisecond)
	}
	return c.ahead
}

// Hold stops the clock, so that [Clock.Set] can move it from one event to the next.
func (c *Clock) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.held = c.now(), true
}

// Set moves a held clock. A time that is not later than Now changes nothing.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held && t.After(c.at) {
		c.at = t.UTC().Truncate(time.Millisecond)
	}
}

// Release lets a held clock run on from where it was set.
func (c *Clock) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		c.ahead = max(c.at.Sub(c.real()).Round(time.Millisecond), 0)
		c.held = false
	}
}

// Until is how long to wait in real time until the clock shows t, and whether waiting helps at all: a held clock does not
// run.
func (c *Clock) Until(t time.Time) (wait time.Duration, runs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(t.Sub(c.now()), 0), !c.held
}
