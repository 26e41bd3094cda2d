package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/orderbook"
	"github.com/isvkit/isvkit/sandbox/internal/store"
)

const (
	// heartbeat is how often a stream says that it is alive when nothing happens. Proxies cut what is silent for a minute.
	heartbeat = 15 * time.Second
	// patience is how long a reader may take to read before it is cut off.
	patience = 10 * time.Second
	// breath is how long a stream gathers what happens before it looks: a thousand deliveries in a second need no thousand looks.
	breath = 20 * time.Millisecond
	// streamBatch is how many messages are read and written at once.
	streamBatch = 200
)

func eventView(e event.Event) sandboxapi.Event {
	return sandboxapi.Event{
		EventID: e.ID, Kind: e.Kind, SellerID: e.SellerID, Subject: e.Subject, Time: e.Time, Text: e.Text, Details: e.Details,
	}
}

func eventFilter(sellerID, subject string, kinds []sandboxapi.EventKind, since *int64) (store.EventFilter, error) {
	if since != nil && *since < 0 {
		return store.EventFilter{}, fmt.Errorf("%w: since %d: expected the id of an event, or 0", orderbook.ErrInvalid, *since)
	}
	for _, kind := range kinds {
		if !kind.Valid() {
			return store.EventFilter{}, fmt.Errorf("%w: kind %q: no such kind of event; see EventKind in openapi/sandbox.yaml", orderbook.ErrInvalid, kind)
		}
	}
	return store.EventFilter{SellerID: sellerID, Subject: subject, Kinds: kinds}, nil
}

func (s *server) ListEvents(ctx context.Context, r ListEventsRequestObject) (ListEventsResponseObject, error) {
	filter, err := eventFilter(r.Params.SellerID, r.Params.Subject, r.Params.Kind, r.Params.Since)
	if err != nil {
		return nil, err
	}
	var events []event.Event
	if r.Params.Since == nil {
		events, err = s.s.Store().Events(ctx, filter, limit(r.Params.Limit))
	} else {
		events, err = s.s.Store().EventsAfter(ctx, filter, *r.Params.Since, limit(r.Params.Limit))
	}
	list := ListEvents200JSONResponse{Events: make([]sandboxapi.Event, len(events))}
	for i, e := range events {
		list.Events[i] = eventView(e)
	}
	return list, err
}

func (s *server) StreamEvents(ctx context.Context, r StreamEventsRequestObject) (StreamEventsResponseObject, error) {
	filter, err := eventFilter(r.Params.SellerID, r.Params.Subject, r.Params.Kind, r.Params.Since)
	if err != nil {
		return nil, err
	}
	st := s.s.Store()
	journal := len(filter.Kinds) == 0 || slices.Contains(filter.Kinds, sandboxapi.EventAttempt)
	latest, err := st.LatestEvent(ctx)
	if err != nil {
		return nil, err
	}
	from := event.Cursor{Event: latest}
	switch {
	case r.Params.LastEventID != "":
		if from, err = event.ParseCursor(r.Params.LastEventID); err != nil {
			return nil, fmt.Errorf("%w: %w", orderbook.ErrInvalid, err)
		}
	case r.Params.Since != nil:
		from.Event = *r.Params.Since
	}
	if journal && !from.Journal {
		from.Journal = true
		if from.Attempt, from.Open, err = st.AttemptsNow(ctx, event.MaxOpen); err != nil {
			return nil, err
		}
	}
	from.Journal = journal
	return &stream{ctx: ctx, store: st, filter: filter, at: from, heartbeat: heartbeat, patience: patience}, nil
}

// stream writes what happens until its reader leaves or does not read. It keeps nothing but how far it has come; what it writes next
// is read from the store, so a slow reader costs no memory.
type stream struct {
	ctx       context.Context //nolint:containedctx // the answer's writer gets none
	store     *store.Store
	filter    store.EventFilter
	at        event.Cursor
	heartbeat time.Duration
	patience  time.Duration
}

// VisitStreamEventsResponse writes the stream. The generated answer would copy from a reader; it knows no heartbeat and no deadline.
func (s *stream) VisitStreamEventsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	write := func(text []byte) error {
		// A writer that knows no deadline, as in tests without a network, is waited for.
		if err := control.SetWriteDeadline(time.Now().Add(s.patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		return control.Flush()
	}
	// The connection may carry another request later.
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	if err := write([]byte("retry: 1000\n\n")); err != nil {
		return nil //nolint:nilerr // the reader has left
	}
	for {
		changed := s.store.Changed() // before the look, so that nothing falls between
		for {
			messages, err := s.next()
			if s.ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			if len(messages) == 0 {
				break
			}
			if err := write(messages); err != nil {
				return nil //nolint:nilerr // the reader has left, or does not read; it resumes where it stopped
			}
		}
		if !s.wait(changed, func() error { return write([]byte(": alive\n\n")) }) {
			return nil
		}
	}
}

// wait waits for something to happen, and tells whether there still is a reader.
func (s *stream) wait(changed <-chan struct{}, alive func() error) bool {
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-beat.C:
		return alive() == nil // and look: what nobody waits for is written without a word to us
	case <-changed:
	}
	pause := time.NewTimer(breath)
	defer pause.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-pause.C:
		return true
	}
}

// next gives the next messages, or nothing if there are none now.
func (s *stream) next() (messages []byte, err error) {
	for len(messages) == 0 {
		before := s.at
		if messages, err = s.events(nil); err != nil {
			return nil, err
		}
		if s.at.Journal {
			if messages, err = s.attempts(messages); err != nil {
				return nil, err
			}
		}
		if s.at.Event == before.Event && s.at.Attempt == before.Attempt {
			break // otherwise something was passed that the filter does not want, and there may be more behind it
		}
	}
	return messages, nil
}

func (s *stream) events(messages []byte) ([]byte, error) {
	latest, err := s.store.LatestEvent(s.ctx) // before the look, which then has seen everything up to it
	if err != nil || latest == s.at.Event {
		return messages, err
	}
	if latest < s.at.Event {
		// The sandbox was reset, or an older state was restored. What happens from now on is all there is to tell.
		s.at.Event = latest
		if s.at.Journal {
			s.at.Attempt, s.at.Open, err = s.store.AttemptsNow(s.ctx, event.MaxOpen)
		}
		return messages, err
	}
	events, err := s.store.EventsAfter(s.ctx, s.filter, s.at.Event, streamBatch)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		s.at.Event = e.ID
		if messages, err = message(messages, s.at, e); err != nil {
			return nil, err
		}
	}
	if len(events) < streamBatch {
		s.at.Event = max(s.at.Event, latest)
	}
	return messages, nil
}

func (s *stream) attempts(messages []byte) ([]byte, error) {
	attempts, err := s.store.AttemptsAfter(s.ctx, s.at.Attempt, s.at.Open, streamBatch)
	if err != nil {
		return nil, err
	}
	for _, a := range attempts {
		ended := a.Outcome != sandboxapi.AttemptStarted
		if !ended && len(s.at.Open) >= event.MaxOpen {
			break // until one of those has ended
		}
		s.at = s.at.Passed(a.ID, ended)
		if !ended || s.filter.SellerID != "" && a.SellerID != s.filter.SellerID || s.filter.Subject != "" && a.Subject != s.filter.Subject {
			continue
		}
		if messages, err = message(messages, s.at, event.Attempt(a)); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// message appends a message.
func message(to []byte, id event.Cursor, e event.Event) ([]byte, error) {
	data, err := json.Marshal(eventView(e)) // one line: JSON writes line ends in texts as \n
	if err != nil {
		return nil, err
	}
	to = append(append(to, "id: "...), id.String()...)
	to = append(append(to, "\ndata: "...), data...)
	return append(to, "\n\n"...), nil
}
