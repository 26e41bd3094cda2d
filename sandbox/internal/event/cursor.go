package event

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxOpen is how many attempts that have not ended a [Cursor] can pass. A reader that has passed so many waits for one of them.
const MaxOpen = 200

// Cursor is how far a reader of the stream has come, exactly: it has read every event up to Event and, if it reads the journal,
// every attempt up to Attempt but those in Open, which had not ended when it passed them. It is the id of a message, so that the
// message after it can be found wherever a reader stopped.
type Cursor struct {
	Event   int64
	Journal bool
	Attempt int64
	Open    []int64 // in rising order
}

// String gives the id of a message: `event`, or `event.attempt` and, with a dash, how far below it each attempt lies that is still
// under way.
func (c Cursor) String() string {
	s := strconv.FormatInt(c.Event, 10)
	if !c.Journal {
		return s
	}
	s += "." + strconv.FormatInt(c.Attempt, 10)
	for _, id := range c.Open {
		s += "-" + strconv.FormatInt(c.Attempt-id, 10)
	}
	return s
}

// ParseCursor reads the id of a message.
func ParseCursor(s string) (c Cursor, err error) {
	fail := func() (Cursor, error) {
		return Cursor{}, fmt.Errorf("Last-Event-ID %.60q: expected the id of a message of this stream, such as 120 or 120.340", s)
	}
	number := func(text string) (int64, bool) {
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil && n >= 0 && text == strconv.FormatInt(n, 10)
	}
	events, attempts, both := strings.Cut(s, ".")
	var ok bool
	if c.Event, ok = number(events); !ok {
		return fail()
	}
	if !both {
		return c, nil
	}
	parts := strings.Split(attempts, "-")
	c.Journal = true
	if c.Attempt, ok = number(parts[0]); !ok || len(parts)-1 > MaxOpen {
		return fail()
	}
	for _, part := range parts[1:] {
		below, ok := number(part)
		if !ok || below >= c.Attempt || len(c.Open) > 0 && c.Attempt-below <= c.Open[len(c.Open)-1] {
			return fail()
		}
		c.Open = append(c.Open, c.Attempt-below)
	}
	return c, nil
}

// Passed gives the cursor of a reader that has come by an attempt: over one that ended, or past one that has not.
func (c Cursor) Passed(attempt int64, ended bool) Cursor {
	next := Cursor{Event: c.Event, Journal: true, Attempt: max(c.Attempt, attempt), Open: c.Open}
	at, open := slices.BinarySearch(c.Open, attempt)
	switch {
	case open && ended:
		next.Open = slices.Delete(slices.Clone(c.Open), at, at+1)
	case !open && !ended:
		next.Open = slices.Insert(slices.Clone(c.Open), at, attempt)
	}
	return next
}
