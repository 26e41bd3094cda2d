package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// Call is a lifecycle call and how far its delivery has come.
type Call struct {
	ID         int64
	LineID     string
	Call       lifecycle.Call
	Status     sandboxapi.CallStatus
	CreatedAt  time.Time
	StartedAt  time.Time // when its timetable began
	DueAt      time.Time // zero unless pending
	Tries      int       // attempts since StartedAt
	Attempts   int       // attempts in all
	ResultCode string
	LastError  string
}

const callColumns = "call_id, line_id, activity, order_id, body, status, created_at, started_at, due_at, tries, attempts, result_code, last_error"

func scanCall(row interface{ Scan(...any) error }) (c Call, err error) {
	var body []byte
	var created, started, due sql.NullInt64
	if err := row.Scan(&c.ID, &c.LineID, &c.Call.Activity, &c.Call.OrderID, &body, &c.Status, &created, &started, &due, &c.Tries, &c.Attempts,
		&c.ResultCode, &c.LastError); err != nil {
		return c, err
	}
	c.CreatedAt, c.StartedAt, c.DueAt = fromMillis(created), fromMillis(started), fromMillis(due)
	c.Call.Body, err = decodeBody(c.Call.Activity, body)
	return c, err
}

func decodeBody(activity providerapi.Activity, data []byte) (any, error) {
	switch activity {
	case providerapi.ActivityNewInstance:
		return decode[providerapi.NewInstanceCall](data)
	case providerapi.ActivityQueryInstance:
		return decode[providerapi.QueryInstanceCall](data)
	case providerapi.ActivityRefreshInstance:
		return decode[providerapi.RefreshInstanceCall](data)
	case providerapi.ActivityUpdateInstanceStatus:
		return decode[providerapi.UpdateInstanceStatusCall](data)
	case providerapi.ActivityReleaseInstance:
		return decode[providerapi.ReleaseInstanceCall](data)
	case providerapi.ActivityUpgradeInstance:
		return decode[providerapi.UpgradeInstanceCall](data)
	}
	return nil, fmt.Errorf("call with unknown activity %q", activity)
}

func decode[T any](data []byte) (any, error) {
	var v T
	err := json.Unmarshal(data, &v)
	return v, err
}

// AddCalls appends calls to an instance's queue. They are due at once, one after the other.
func (tx *Tx) AddCalls(lineID string, now time.Time, calls []lifecycle.Call) error {
	for _, c := range calls {
		body, err := json.Marshal(c.Body)
		if err != nil {
			return err
		}
		if _, err := tx.tx.ExecContext(tx.ctx, `INSERT INTO calls (line_id, activity, order_id, body, status, created_at, started_at, due_at, tries, attempts, result_code, last_error)
			VALUES (?, ?, ?, ?, 'pending', ?, ?, ?, 0, 0, '', '')`,
			lineID, c.Activity, c.OrderID, string(body), millis(now), millis(now), millis(now)); err != nil {
			return err
		}
	}
	return nil
}

// UpdateCall writes what an attempt changes.
func (tx *Tx) UpdateCall(c Call) error {
	_, err := tx.tx.ExecContext(tx.ctx, "UPDATE calls SET status = ?, started_at = ?, due_at = ?, tries = ?, attempts = ?, result_code = ?, last_error = ? WHERE call_id = ?",
		c.Status, millis(c.StartedAt), millis(c.DueAt), c.Tries, c.Attempts, c.ResultCode, c.LastError, c.ID)
	return err
}

// Call finds a call.
func (tx *Tx) Call(id int64) (Call, error) {
	return one(scanCall(tx.tx.QueryRowContext(tx.ctx, "SELECT "+callColumns+" FROM calls WHERE call_id = ?", id)))
}

// NextCall finds the call of an instance that is to be attempted next, due or not.
func (tx *Tx) NextCall(lineID string) (Call, error) {
	return one(scanCall(tx.tx.QueryRowContext(tx.ctx, "SELECT "+callColumns+" FROM calls WHERE line_id = ? AND status = 'pending' ORDER BY call_id LIMIT 1", lineID)))
}

// Calls lists calls, newest first; of one instance if lineID is not empty.
func (s *Store) Calls(ctx context.Context, lineID string, limit int) ([]Call, error) {
	return collect(ctx, s.read, scanCall, "SELECT "+callColumns+" FROM calls WHERE (?1 = '' OR line_id = ?1) ORDER BY call_id DESC LIMIT ?2", lineID, limit)
}

// PendingCalls counts an instance's calls that are under way.
func (s *Store) PendingCalls(ctx context.Context, lineID string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM calls WHERE line_id = ? AND status = 'pending'", lineID).Scan(&n)
	return n, err
}

// first: only the oldest pending call of an instance may go, which keeps the order of calls.
const first = "status = 'pending' AND NOT EXISTS (SELECT 1 FROM calls p WHERE p.line_id = c.line_id AND p.status = 'pending' AND p.call_id < c.call_id)"

// DueCalls lists the calls that may be attempted at now, the longest due first.
func (s *Store) DueCalls(ctx context.Context, now time.Time, limit int) ([]Call, error) {
	return collect(ctx, s.read, scanCall, "SELECT "+callColumns+" FROM calls c WHERE due_at <= ? AND "+first+" ORDER BY due_at, call_id LIMIT ?", now.UnixMilli(), limit)
}

// NextDue is when the next call or timer comes due; zero if nothing waits.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var next sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT min(t) FROM (SELECT min(due_at) AS t FROM calls c WHERE `+first+`
		UNION ALL SELECT min(timer_at) FROM instances WHERE timer_at IS NOT NULL)`).Scan(&next)
	return fromMillis(next), err
}

// Attempt is one HTTP exchange with the ISV.
type Attempt struct {
	ID           int64
	CallID       int64
	LineID       string
	Activity     providerapi.Activity
	Number       int
	StartedAt    time.Time
	URL          string
	RequestBody  string
	Status       int
	ContentType  string
	ResponseBody string
	Duration     time.Duration
	Outcome      sandboxapi.AttemptOutcome
	Detail       string
	Violations   []string
}

const attemptColumns = "attempt_id, call_id, line_id, activity, number, started_at, url, request_body, status, content_type, response_body, duration_us, outcome, detail, violations"

func scanAttempt(row interface{ Scan(...any) error }) (a Attempt, err error) {
	var started sql.NullInt64
	var micros int64
	var violations []byte
	if err := row.Scan(&a.ID, &a.CallID, &a.LineID, &a.Activity, &a.Number, &started, &a.URL, &a.RequestBody, &a.Status, &a.ContentType,
		&a.ResponseBody, &micros, &a.Outcome, &a.Detail, &violations); err != nil {
		return a, err
	}
	a.StartedAt, a.Duration = fromMillis(started), time.Duration(micros)*time.Microsecond
	return a, json.Unmarshal(violations, &a.Violations)
}

// StartAttempt writes an attempt before it is made, so that one that never ends is seen too, and gives it its id.
func (tx *Tx) StartAttempt(a Attempt) (int64, error) {
	r, err := tx.tx.ExecContext(tx.ctx, `INSERT INTO attempts (call_id, line_id, activity, number, started_at, url, request_body, status, content_type, response_body, duration_us, outcome, detail, violations)
		VALUES (?, ?, ?, ?, ?, ?, ?, 0, '', '', 0, 'started', '', '[]')`,
		a.CallID, a.LineID, a.Activity, a.Number, millis(a.StartedAt), a.URL, a.RequestBody)
	if err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// FinishAttempt writes how an attempt ended.
func (tx *Tx) FinishAttempt(a Attempt) error {
	if a.Violations == nil {
		a.Violations = []string{}
	}
	violations, err := json.Marshal(a.Violations)
	if err != nil {
		return err
	}
	_, err = tx.tx.ExecContext(tx.ctx, "UPDATE attempts SET url = ?, status = ?, content_type = ?, response_body = ?, duration_us = ?, outcome = ?, detail = ?, violations = ? WHERE attempt_id = ?",
		a.URL, a.Status, a.ContentType, a.ResponseBody, a.Duration.Microseconds(), a.Outcome, a.Detail, string(violations), a.ID)
	return err
}

// InterruptAttempts marks what was under way when the process died. The calls themselves are still pending and due.
func (tx *Tx) InterruptAttempts() (int64, error) {
	r, err := tx.tx.ExecContext(tx.ctx, "UPDATE attempts SET outcome = 'interrupted', detail = 'the sandbox stopped while this attempt was under way' WHERE outcome = 'started'")
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Attempts lists the journal, newest first; of one instance or call if given.
func (s *Store) Attempts(ctx context.Context, lineID string, callID int64, limit int) ([]Attempt, error) {
	return collect(ctx, s.read, scanAttempt, "SELECT "+attemptColumns+" FROM attempts WHERE (?1 = '' OR line_id = ?1) AND (?2 = 0 OR call_id = ?2) ORDER BY attempt_id DESC LIMIT ?3", lineID, callID, limit)
}
