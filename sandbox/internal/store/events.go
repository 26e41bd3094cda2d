package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/event"
)

const (
	// keptEvents is how many events are kept unless [Store.KeepEvents] says otherwise; the oldest go first.
	keptEvents = 100_000
	// sweepEvery is after how many new events the oldest are deleted, so that no event pays for it alone, and none for too many.
	sweepEvery = 1000
)

// KeepEvents says how many events are kept from now on, about: they are deleted a thousand at a time. 0 is 100,000.
func (s *Store) KeepEvents(n int) { s.keepEvents.Store(int64(n)) }

// AddEvent writes what happened, in the transaction in which it happens.
func (tx *Tx) AddEvent(e event.Event) error {
	details := []byte("{}")
	var err error
	if len(e.Details) > 0 {
		if details, err = json.Marshal(e.Details); err != nil {
			return err
		}
	}
	row := []any{e.SellerID, e.Kind, e.Subject, e.Time.UnixMilli(), e.Text, string(details)}
	if tx.desk != nil { // together with those of the updates that share this transaction
		tx.desk.events = append(tx.desk.events, row)
		return nil
	}
	id, err := tx.insert("INSERT INTO events ("+eventValues+") VALUES (?, ?, ?, ?, ?, ?)", "event_id", row...)
	if err != nil || id%sweepEvery != 0 {
		return err
	}
	return sweepEvents(tx.ctx, tx.tx, id, tx.store.eventsKept())
}

const eventValues = "seller_id, kind, subject, at, text, details"

func (s *Store) eventsKept() int64 { return cmp.Or(s.keepEvents.Load(), keptEvents) }

// sweepEvents deletes the oldest events: twice as many as came, so that more than should be there melt away in time.
func sweepEvents(ctx context.Context, tx transaction, latest, kept int64) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM events WHERE event_id IN (SELECT event_id FROM events WHERE event_id <= ? ORDER BY event_id LIMIT ?)", latest-kept, 2*sweepEvery)
	return err
}

// EventFilter says which events are wanted; zero fields want all.
type EventFilter struct {
	SellerID string
	Kinds    []sandboxapi.EventKind
	Subject  string
}

// args are the filter's parameters: ?1 the seller, ?2 the subject, ?3 the kinds.
func (f EventFilter) args(more ...any) []any {
	kinds := ""
	if len(f.Kinds) > 0 {
		text, _ := json.Marshal(f.Kinds) // texts
		kinds = string(text)
	}
	return append([]any{f.SellerID, f.Subject, kinds}, more...)
}

const (
	eventColumns = "event_id, seller_id, kind, subject, at, text, details"
	eventFilter  = "(?1 = '' OR seller_id = ?1) AND (?2 = '' OR subject = ?2) AND (?3 = '' OR kind IN (SELECT value FROM json_each(?3)))"
)

func scanEvent(row interface{ Scan(...any) error }) (e event.Event, err error) {
	var at sql.NullInt64
	var details []byte
	if err := row.Scan(&e.ID, &e.SellerID, &e.Kind, &e.Subject, &at, &e.Text, &details); err != nil {
		return e, err
	}
	e.Time = fromMillis(at)
	return e, json.Unmarshal(details, &e.Details)
}

// Events lists the latest events, oldest first.
func (s *Store) Events(ctx context.Context, f EventFilter, limit int) ([]event.Event, error) {
	return collect(ctx, s.read, scanEvent, "SELECT * FROM (SELECT "+eventColumns+" FROM events WHERE "+eventFilter+" ORDER BY event_id DESC LIMIT ?4) AS latest ORDER BY event_id", f.args(limit)...)
}

// EventsAfter lists events that came after one, oldest first.
func (s *Store) EventsAfter(ctx context.Context, f EventFilter, since int64, limit int) ([]event.Event, error) {
	to, err := s.settled(ctx, "events_event_id_seq")
	if err != nil {
		return nil, err
	}
	return collect(ctx, s.read, scanEvent, "SELECT "+eventColumns+" FROM events WHERE "+eventFilter+" AND event_id > ?4 AND event_id <= ?5 ORDER BY event_id LIMIT ?6", f.args(since, to, limit)...)
}

// LatestEvent is the id of the latest event; 0 if there is none.
func (s *Store) LatestEvent(ctx context.Context) (id int64, err error) {
	to, err := s.settled(ctx, "events_event_id_seq")
	if err != nil {
		return 0, err
	}
	err = s.read.QueryRowContext(ctx, "SELECT coalesce(max(event_id), 0) FROM events WHERE event_id <= ?", to).Scan(&id)
	return id, err
}

const endedColumns = "attempt_id, call_id, seller_id, subject, product_code, activity, number, started_at, fault, status, duration_us, outcome, result_code, detail"

func scanEnded(row interface{ Scan(...any) error }) (a event.Ended, err error) {
	var started sql.NullInt64
	var micros int64
	err = row.Scan(&a.ID, &a.CallID, &a.SellerID, &a.Subject, &a.ProductCode, &a.Activity, &a.Number, &started, &a.Fault, &a.Status, &micros, &a.Outcome, &a.ResultCode, &a.Detail)
	a.Time, a.Duration = fromMillis(started), time.Duration(micros)*time.Microsecond
	return a, err
}

// AttemptsAfter lists attempts after one in the order of their ids, and before them those of open that have ended. The outcome tells
// of those after it whether they have.
func (s *Store) AttemptsAfter(ctx context.Context, since int64, open []int64, limit int) ([]event.Ended, error) {
	to, err := s.settled(ctx, "attempts_attempt_id_seq")
	if err != nil {
		return nil, err
	}
	ids, err := json.Marshal(append([]int64{}, open...))
	if err != nil {
		return nil, err
	}
	return collect(ctx, s.read, scanEnded, "SELECT "+endedColumns+` FROM (
		SELECT * FROM (SELECT `+endedColumns+` FROM attempts WHERE attempt_id IN (SELECT CAST(value AS BIGINT) FROM json_each(?1)) AND outcome <> 'started') AS ended
		UNION ALL SELECT * FROM (SELECT `+endedColumns+` FROM attempts WHERE attempt_id > ?2 AND attempt_id <= ?3 ORDER BY attempt_id LIMIT ?4) AS later) AS all_of_them
		ORDER BY attempt_id`, string(ids), since, to, limit)
}

// AttemptsNow gives the id of the latest attempt, and those of attempts that are under way, at most so many of them, the latest.
func (s *Store) AttemptsNow(ctx context.Context, limit int) (latest int64, open []int64, err error) {
	to, err := s.settled(ctx, "attempts_attempt_id_seq")
	if err != nil {
		return 0, nil, err
	}
	// One query, so that nothing ends between two.
	ids, err := collect(ctx, s.read, func(row interface{ Scan(...any) error }) (id int64, err error) {
		err = row.Scan(&id)
		return id, err
	}, `SELECT id FROM (SELECT 1 AS place, coalesce(max(attempt_id), 0) AS id FROM attempts WHERE attempt_id <= ?1
		UNION ALL SELECT 2, attempt_id FROM (SELECT attempt_id FROM attempts WHERE outcome = 'started' AND attempt_id <= ?1 ORDER BY attempt_id DESC LIMIT ?2) AS open)
		AS all_of_them ORDER BY place, id DESC`, to, limit)
	if err != nil || len(ids) == 0 {
		return 0, nil, err
	}
	for i := len(ids) - 1; i > 0; i-- {
		open = append(open, ids[i])
	}
	return ids[0], open, nil
}
