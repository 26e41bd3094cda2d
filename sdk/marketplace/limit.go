package marketplace

import (
	"context"
	"sync"
	"time"
)

// limiter spaces the attempts of a client: a bucket of one token, which is filled at a steady rate, and a pause that the
// marketplace asks for. The zero limiter lets everything pass until it is told to pause.
type limiter struct {
	every time.Duration // time from one attempt to the next; 0 for no limit

	mu     sync.Mutex
	next   time.Time // when the next token is there
	paused time.Time // nothing is sent before
}

// wait returns when an attempt may be sent, or with an error when ctx ends. A token that was waited for in vain is lost.
func (l *limiter) wait(ctx context.Context) error {
	at := l.reserve(time.Now())
	for {
		wait := time.Until(at)
		if wait <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
		l.mu.Lock()
		at = l.paused // somebody may have been told to pause meanwhile
		l.mu.Unlock()
	}
}

func (l *limiter) reserve(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := now
	if l.paused.After(at) {
		at = l.paused
	}
	if l.every > 0 {
		if l.next.After(at) {
			at = l.next
		}
		l.next = at.Add(l.every)
	}
	return at
}

// pause holds all attempts of the client back.
func (l *limiter) pause(wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := time.Now().Add(wait); at.After(l.paused) {
		l.paused = at
	}
}
