package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/isvkit/isvkit/openapi/providerapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// About says what a call is about.
type About struct {
	Subject     string // calls of one subject are made one after the other: an order line for an instance, else kind/id
	LineID      string // the instance it is about, named by its order line; empty for calls about anything else
	SellerID    string
	ProductCode string // says where it goes and which keys sign it
}

// AboutInstance is the About of an instance's calls.
func AboutInstance(i lifecycle.Instance) About {
	return About{Subject: i.OrderLineID, LineID: i.OrderLineID, SellerID: i.SellerID, ProductCode: i.ProductCode}
}

// Call is a call as decided, and how far its delivery has come.
type Call struct {
	ID  int64
	Seq int64 // its place among the calls of its subject
	About
	Call       lifecycle.Call
	Debug      bool // a debug call, of which nothing follows
	Status     sandboxapi.CallStatus
	CreatedAt  time.Time
	StartedAt  time.Time // when its timetable began
	DueAt      time.Time // zero unless pending
	Tries      int       // attempts since StartedAt
	Attempts   int       // attempts in all
	ResultCode string
	LastError  string
}

const callColumns = "call_id, seq, subject, line_id, seller_id, product_code, activity, order_id, body, debug, status, created_at, started_at, due_at, tries, attempts, result_code, last_error"

func scanCall(row interface{ Scan(...any) error }) (c Call, err error) {
	var body []byte
	var created, started, due sql.NullInt64
	if err := row.Scan(&c.ID, &c.Seq, &c.Subject, &c.LineID, &c.SellerID, &c.ProductCode, &c.Call.Activity, &c.Call.OrderID, &body, &c.Debug, &c.Status, &created, &started, &due, &c.Tries, &c.Attempts,
		&c.ResultCode, &c.LastError); err != nil {
		return c, err
	}
	c.CreatedAt, c.StartedAt, c.DueAt = fromMillis(created), fromMillis(started), fromMillis(due)
	c.Call.Body, err = decodeBody(c.Call.Activity, body)
	return c, err
}

// decoders read the body of each call back into its type.
var decoders = map[providerapi.Activity]func(data []byte) (any, error){
	providerapi.ActivityNewInstance:             decode[providerapi.NewInstanceCall],
	providerapi.ActivityQueryInstance:           decode[providerapi.QueryInstanceCall],
	providerapi.ActivityRefreshInstance:         decode[providerapi.RefreshInstanceCall],
	providerapi.ActivityUpdateInstanceStatus:    decode[providerapi.UpdateInstanceStatusCall],
	providerapi.ActivityReleaseInstance:         decode[providerapi.ReleaseInstanceCall],
	providerapi.ActivityUpgradeInstance:         decode[providerapi.UpgradeInstanceCall],
	providerapi.ActivityChangeInstanceCheck:     decode[providerapi.ChangeInstanceCheckCall],
	providerapi.ActivityOrderNotify:             decode[providerapi.OrderNotifyCall],
	providerapi.ActivityRefreshLicenseCode:      decode[providerapi.RefreshLicenseCodeCall],
	providerapi.ActivityUpdateLicenseCodeStatus: decode[providerapi.UpdateLicenseCodeStatusCall],
	providerapi.ActivityReleaseLicenseCode:      decode[providerapi.ReleaseLicenseCodeCall],
	providerapi.ActivityGetLicenseAsync:         decode[providerapi.GetLicenseAsyncCall],
	"tenantSync":                                decode[providerapi.TenantSyncCall],
	"applicationSync":                           decode[providerapi.ApplicationSyncCall],
	"authSync":                                  decode[providerapi.AuthSyncCall],
	"singleOrgSync":                             decode[providerapi.SingleOrgSyncCall],
	"allOrgSync":                                decode[providerapi.AllOrgSyncCall],
}

func decodeBody(activity providerapi.Activity, data []byte) (any, error) {
	d, ok := decoders[activity]
	if !ok {
		return nil, fmt.Errorf("call with unknown activity %q", activity)
	}
	return d(data)
}

func decode[T any](data []byte) (any, error) {
	var v T
	err := json.Unmarshal(data, &v)
	return v, err
}

// AddCalls appends calls to the queue of their subject. They are due at once, one after the other.
func (tx *Tx) AddCalls(about About, now time.Time, calls []lifecycle.Call) error {
	for _, c := range calls {
		if _, err := tx.AddCall(Call{About: about, Call: c, Status: sandboxapi.CallPending, CreatedAt: now, StartedAt: now, DueAt: now}); err != nil {
			return err
		}
	}
	return nil
}

// AddCall appends a call to the queue of its subject and gives its id.
func (tx *Tx) AddCall(c Call) (int64, error) {
	body, err := json.Marshal(c.Call.Body)
	if err != nil {
		return 0, err
	}
	args := []any{
		c.Subject, c.LineID, c.SellerID, c.ProductCode, c.Call.Activity, c.Call.OrderID, string(body), c.Debug, c.Status,
		millis(c.CreatedAt), millis(c.StartedAt), millis(c.DueAt),
	}
	const columns = "subject, line_id, seller_id, product_code, activity, order_id, body, debug, status, created_at, started_at, due_at, tries, attempts, result_code, last_error"
	const values = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '', ''"
	if tx.desk != nil { // which knows what the next id is; to be told of it costs as much as the rest
		if c.ID, err = tx.desk.nextCall(tx); err != nil {
			return 0, err
		}
		c.Seq = c.ID
		err = tx.exec("INSERT INTO calls (call_id, seq, "+columns+") VALUES (?, ?, "+values+")", append([]any{c.ID, c.Seq}, args...)...)
	} else { // a trigger gives it its place: nobody knows which ids others are taking
		err = tx.row("INSERT INTO calls (seq, "+columns+") VALUES (0, "+values+") RETURNING call_id, seq", args...).Scan(&c.ID, &c.Seq)
	}
	tx.callWaits(c)
	tx.added = append(tx.added, c)
	return c.ID, err
}

// freshCalls are calls as they were added, for whoever delivers them a moment later: to read one back costs as much as to send it.
// What is not here is in the database.
type freshCalls struct {
	mu    sync.Mutex
	calls map[int64]Call
}

// maxFresh is how many are kept. A queue that is longer goes through the database.
const maxFresh = 16384

// keep takes up the calls that an update added, and drops those that it changed.
func (f *freshCalls) keep(added []Call, changed []Waits) {
	if len(added) == 0 && len(changed) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	touched := map[int64]int{}
	for _, w := range changed {
		touched[w.CallID]++
		delete(f.calls, w.CallID)
	}
	if f.calls == nil || len(f.calls) > maxFresh {
		f.calls = map[int64]Call{}
	}
	for _, c := range added {
		if touched[c.ID] == 1 { // by its own addition alone
			f.calls[c.ID] = c
		}
	}
}

// take gives a call, and does not keep it.
func (f *freshCalls) take(id int64) (Call, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.calls[id]
	delete(f.calls, id)
	return c, ok
}

// forget drops all.
func (f *freshCalls) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = nil
}

// callWaits notes whether a call waits for an attempt.
func (tx *Tx) callWaits(c Call) {
	w := Waits{Subject: c.Subject, Seller: c.SellerID, CallID: c.ID, Seq: c.Seq}
	if c.Status == sandboxapi.CallPending {
		w.Due = c.DueAt
	}
	tx.wait(w)
}

// Repeat tells again whether a call waits, and changes nothing.
func (tx *Tx) Repeat(c Call) { tx.callWaits(c) }

// SwapCalls exchanges the places of two calls of one subject, so that the later is made first.
func (tx *Tx) SwapCalls(first, second int64) error {
	a, errA := tx.Call(first)
	b, errB := tx.Call(second)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	a.Seq, b.Seq = b.Seq, a.Seq
	for _, c := range []Call{a, b} {
		if err := tx.exec("UPDATE calls SET seq = ? WHERE call_id = ?", c.Seq, c.ID); err != nil {
			return err
		}
		tx.callWaits(c)
	}
	return nil
}

// UpdateCall writes what an attempt changes.
func (tx *Tx) UpdateCall(c Call) error {
	tx.callWaits(c)
	return tx.exec("UPDATE calls SET status = ?, started_at = ?, due_at = ?, tries = ?, attempts = ?, result_code = ?, last_error = ? WHERE call_id = ?",
		c.Status, millis(c.StartedAt), millis(c.DueAt), c.Tries, c.Attempts, c.ResultCode, c.LastError, c.ID)
}

// CallToDeliver finds a call for its next attempt.
func (tx *Tx) CallToDeliver(id int64) (Call, error) {
	if c, ok := tx.store.fresh.take(id); ok {
		return c, nil
	}
	return tx.Call(id)
}

// Call finds a call.
func (tx *Tx) Call(id int64) (Call, error) {
	return one(scanCall(tx.tx.QueryRowContext(tx.ctx, "SELECT "+callColumns+" FROM calls WHERE call_id = ?", id)))
}

// callsOfLine selects the calls about an instance: nearly all have it as their subject.
const callsOfLine = "SELECT call_id FROM calls WHERE subject = ?1 UNION ALL SELECT call_id FROM calls WHERE line_id = ?1 AND line_id <> subject"

// Calls lists calls, newest first; of one instance if lineID is not empty.
func (s *Store) Calls(ctx context.Context, lineID string, limit int) ([]Call, error) {
	return collect(ctx, s.read, scanCall, "SELECT "+callColumns+" FROM calls WHERE (?1 = '' OR call_id IN ("+callsOfLine+")) ORDER BY call_id DESC LIMIT ?2", lineID, limit)
}

// PendingCalls counts an instance's calls that are under way.
func (s *Store) PendingCalls(ctx context.Context, lineID string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM calls WHERE call_id IN ("+callsOfLine+") AND status = 'pending'", lineID).Scan(&n)
	return n, err
}

func scanWaits(row interface{ Scan(...any) error }) (w Waits, err error) {
	var due sql.NullInt64
	err = row.Scan(&w.Subject, &w.Seller, &w.CallID, &w.Seq, &due)
	w.Due = fromMillis(due)
	return w, err
}

// Waiting lists all that waits: the pending calls, and the timers of instances and of everything else.
func (tx *Tx) Waiting() ([]Waits, error) {
	return collect(tx.ctx, tx.tx, scanWaits, `SELECT subject, seller_id, call_id, seq, due_at FROM calls WHERE status = 'pending'
		UNION ALL SELECT line_id, seller_id, 0, 0, timer_at FROM instances WHERE timer_at IS NOT NULL
		UNION ALL SELECT subject, '', 0, 0, due_at FROM timers`)
}

// Attempt is one HTTP exchange with the ISV.
type Attempt struct {
	ID     int64
	CallID int64
	About
	Activity       providerapi.Activity
	Number         int
	StartedAt      time.Time
	Fault          string // the fault that disturbed it, or because of which it was made; empty: none
	Method         string
	URL            string
	RequestHeaders map[string]string // those that carry a signature
	RequestBody    string
	Status         int
	ContentType    string
	ResponseBody   string
	Duration       time.Duration
	Outcome        sandboxapi.AttemptOutcome
	ResultCode     string
	Detail         string
	Violations     []string
}

const attemptColumns = "attempt_id, call_id, subject, line_id, seller_id, product_code, activity, number, started_at, fault, method, url, request_headers, request_body, " +
	"status, content_type, response_body, duration_us, outcome, result_code, detail, violations"

func scanAttempt(row interface{ Scan(...any) error }) (a Attempt, err error) {
	var started sql.NullInt64
	var micros int64
	var headers, violations []byte
	if err := row.Scan(&a.ID, &a.CallID, &a.Subject, &a.LineID, &a.SellerID, &a.ProductCode, &a.Activity, &a.Number, &started, &a.Fault, &a.Method, &a.URL,
		&headers, &a.RequestBody, &a.Status, &a.ContentType, &a.ResponseBody, &micros, &a.Outcome, &a.ResultCode, &a.Detail, &violations); err != nil {
		return a, err
	}
	a.StartedAt, a.Duration = fromMillis(started), time.Duration(micros)*time.Microsecond
	if err := json.Unmarshal(headers, &a.RequestHeaders); err != nil {
		return a, err
	}
	return a, json.Unmarshal(violations, &a.Violations)
}

const (
	startedColumns = `call_id, subject, line_id, seller_id, product_code, activity, number, started_at, fault, method, url, request_headers, request_body,
		status, content_type, response_body, duration_us, outcome, result_code, detail, violations`
	startedValues = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '{}', ?, 0, '', '', 0, 'started', '', '', '[]'"
)

// StartAttempt writes an attempt before it is made, so that one that never ends is seen too, and gives it its id.
func (tx *Tx) StartAttempt(a Attempt) (id int64, err error) {
	row := []any{a.CallID, a.Subject, a.LineID, a.SellerID, a.ProductCode, a.Activity, a.Number, millis(a.StartedAt), a.Fault, a.Method, a.URL, a.RequestBody}
	if tx.desk == nil {
		return tx.insert("INSERT INTO attempts ("+startedColumns+") VALUES ("+startedValues+")", "attempt_id", row...)
	}
	// Together with those of the updates that share this transaction. Nobody can ask for it before its end but [Tx.FinishAttempt].
	if id, err = tx.desk.nextAttempt(tx); err == nil {
		tx.desk.attempts = append(tx.desk.attempts, append([]any{id}, row...))
	}
	return id, err
}

// FinishAttempt writes how an attempt ended.
func (tx *Tx) FinishAttempt(a Attempt) error {
	if tx.desk.begins(a.ID) {
		if err := tx.desk.writeAttempts(tx.ctx, tx.tx); err != nil {
			return err
		}
	}
	headers, violations := []byte("{}"), []byte("[]")
	var err error
	if len(a.RequestHeaders) > 0 {
		if headers, err = json.Marshal(a.RequestHeaders); err != nil {
			return err
		}
	}
	if len(a.Violations) > 0 {
		if violations, err = json.Marshal(a.Violations); err != nil {
			return err
		}
	}
	return tx.exec(`UPDATE attempts SET url = ?, request_headers = ?, request_body = ?, status = ?, content_type = ?, response_body = ?, duration_us = ?, outcome = ?,
		result_code = ?, detail = ?, violations = ? WHERE attempt_id = ?`,
		a.URL, string(headers), a.RequestBody, a.Status, a.ContentType, a.ResponseBody, a.Duration.Microseconds(), a.Outcome, a.ResultCode, a.Detail, string(violations), a.ID)
}

// stopped is what is noted about an attempt whose process died.
const stopped = "the sandbox stopped while this attempt was under way"

// InterruptAttempts marks what was under way when the process died. The calls themselves are still pending and due; the attempts
// that never ended count, as their numbers are taken.
func (tx *Tx) InterruptAttempts() (int64, error) {
	const interrupted = `outcome = 'started' AND (call_id IN (SELECT call_id FROM calls WHERE status = 'pending') OR attempt_id IN (SELECT attempt_id FROM awaited))`
	if err := tx.exec("UPDATE calls SET attempts = a.number FROM (SELECT call_id, max(number) AS number FROM attempts WHERE " + interrupted + " GROUP BY call_id) a WHERE calls.call_id = a.call_id"); err != nil {
		return 0, err
	}
	r, err := tx.tx.ExecContext(tx.ctx, "UPDATE attempts SET outcome = 'interrupted', detail = '"+stopped+"' WHERE "+interrupted)
	if err != nil {
		return 0, err
	}
	if err := tx.exec("DELETE FROM awaited"); err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Await notes that an attempt is under way whose call is not pending, until [Tx.Awaited].
func (tx *Tx) Await(attemptID int64) error {
	var process int32
	if tx.store.server != nil {
		process = tx.store.server.process
	}
	return tx.exec("INSERT INTO awaited (attempt_id, process) VALUES (?, ?)", attemptID, process)
}

// Awaited notes that it is not any more, and tells whether it was: everything may have been replaced meanwhile, or its process taken for dead.
func (tx *Tx) Awaited(attemptID int64) (bool, error) {
	r, err := tx.tx.ExecContext(tx.ctx, "DELETE FROM awaited WHERE attempt_id = ?", attemptID)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

// AttemptFilter chooses attempts; what is empty chooses all.
type AttemptFilter struct {
	LineID, Subject, ProductCode, SellerID string
	CallID                                 int64
	Activity                               string
	Outcome                                sandboxapi.AttemptOutcome
	Fault                                  string // "any": all with one
	Violations                             bool   // only those with violations
	Before, After                          int64  // attempt ids
}

// Attempts lists the journal, newest first.
func (s *Store) Attempts(ctx context.Context, f AttemptFilter, limit int) ([]Attempt, error) {
	query, args := "SELECT "+attemptColumns+" FROM attempts WHERE 1 = 1", []any{}
	add := func(given bool, condition string, arg any) {
		if given {
			args = append(args, arg)
			query += fmt.Sprintf(" AND "+strings.ReplaceAll(condition, "?1", "?%[1]d"), len(args))
		}
	}
	add(f.LineID != "", "call_id IN ("+callsOfLine+")", f.LineID)
	add(f.Subject != "", "call_id IN (SELECT call_id FROM calls WHERE subject = ?1)", f.Subject)
	add(f.CallID != 0, "call_id = ?1", f.CallID)
	add(f.ProductCode != "", "product_code = ?1", f.ProductCode)
	add(f.SellerID != "", "seller_id = ?1", f.SellerID)
	add(f.Activity != "", "activity = ?1", f.Activity)
	add(f.Outcome != "", "outcome = ?1", f.Outcome)
	add(f.Fault != "", "fault <> '' AND (?1 = 'any' OR fault = ?1)", f.Fault)
	add(f.Violations, "violations <> ?1", "[]")
	add(f.Before != 0, "attempt_id < ?1", f.Before)
	add(f.After != 0, "attempt_id > ?1", f.After)
	return collect(ctx, s.read, scanAttempt, query+fmt.Sprintf(" ORDER BY attempt_id DESC LIMIT ?%d", len(args)+1), append(args, limit)...)
}

// Attempt finds an attempt.
func (s *Store) Attempt(ctx context.Context, id int64) (Attempt, error) {
	return one(scanAttempt(s.read.QueryRowContext(ctx, "SELECT "+attemptColumns+" FROM attempts WHERE attempt_id = ?", id)))
}

// EndedCalls lists calls that are no longer attempted, oldest first: those with numbers from first to last, or all if first is 0; of one
// seller, instance and activity, if given.
func (tx *Tx) EndedCalls(sellerID string, first, last int64, lineID, activity string, limit int) ([]Call, error) {
	return collect(tx.ctx, tx.tx, scanCall, "SELECT "+callColumns+` FROM calls WHERE status <> 'pending' AND (CAST(?1 AS BIGINT) = 0 OR call_id BETWEEN CAST(?1 AS BIGINT) AND ?2)
		AND (?3 = '' OR line_id = ?3) AND (?4 = '' OR activity = ?4) AND (?5 = '' OR seller_id = ?5) ORDER BY call_id LIMIT ?6`, first, last, lineID, activity, sellerID, limit)
}
