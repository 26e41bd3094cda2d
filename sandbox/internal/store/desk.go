package store

import (
	"context"
	"database/sql"
	"strings"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// desk is what SQLite's writer has before it: what it wrote a moment ago and would else read back, and what it writes at the end of a
// transaction for all updates that share it. Only the writer's goroutine uses it. It is cleared when a transaction is rolled back.
// A nil desk, as views and updates of PostgreSQL have, knows nothing and keeps nothing.
type desk struct {
	lastCall  int64 // the id of the latest call; 0: not known
	lastTry   int64 // and of the latest attempt
	instances map[string]lifecycle.Instance
	sales     map[string]Sale
	orders    map[string]openOrder // by id
	failed    failures
	attempts  [][]any // rows to be written, each with its id first
	events    [][]any // rows to be written
}

// openOrder is an order of one line that has not ended.
type openOrder struct {
	sellerID, lineID string // the line is that of the instance that it is about
	kind             marketplaceapi.OrderType
}

// failures tells whether deliveries failed that were not repaired.
type failures int

const (
	unknownFailures failures = iota
	noFailures
	someFailures
)

// maxInstances is how many instances, sales and orders the desk remembers before it forgets them.
const maxInstances = 16384

// nextCall gives the id of a new call.
func (d *desk) nextCall(tx *Tx) (int64, error) {
	return next(&d.lastCall, tx, "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'calls'), 0), coalesce((SELECT max(call_id) FROM calls), 0))")
}

// nextAttempt gives the id of a new attempt.
func (d *desk) nextAttempt(tx *Tx) (int64, error) {
	return next(&d.lastTry, tx, "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'attempts'), 0), coalesce((SELECT max(attempt_id) FROM attempts), 0))")
}

// next gives the number after the last. The query tells the last; numbers of rows that were deleted are not given again.
func next(last *int64, tx *Tx, query string) (int64, error) {
	if *last == 0 {
		if err := tx.row(query).Scan(last); err != nil {
			return 0, err
		}
	}
	*last++
	return *last, nil
}

// instance gives an instance as it was written, if that is known.
func (d *desk) instance(lineID string) (lifecycle.Instance, bool) {
	if d == nil {
		return lifecycle.Instance{}, false
	}
	i, ok := d.instances[lineID]
	return i, ok
}

// putInstance remembers an instance as it will be read back.
func (d *desk) putInstance(i lifecycle.Instance) {
	if d == nil {
		return
	}
	if len(i.Renewals) > 0 { // a list that whoever has the instance may change
		delete(d.instances, i.OrderLineID)
		return
	}
	if d.instances == nil || len(d.instances) >= maxInstances {
		d.instances = map[string]lifecycle.Instance{}
	}
	i.Renewals = nil
	i.CreateTime, i.ExpireTime, i.ReleaseTime = fromMillis(millis(i.CreateTime)), fromMillis(millis(i.ExpireTime)), fromMillis(millis(i.ReleaseTime))
	d.instances[i.OrderLineID] = i
}

// sale gives an order line as it was sold, if that is known.
func (d *desk) sale(lineID string) (Sale, bool) {
	if d == nil {
		return Sale{}, false
	}
	s, ok := d.sales[lineID]
	return s, ok
}

func (d *desk) putSale(s Sale) {
	if d == nil {
		return
	}
	if d.sales == nil || len(d.sales) >= maxInstances {
		d.sales = map[string]Sale{}
	}
	d.sales[s.LineID] = s
}

// order gives an order if it is known that it has one line and has not ended.
func (d *desk) order(id string) (openOrder, bool) {
	if d == nil {
		return openOrder{}, false
	}
	o, ok := d.orders[id]
	return o, ok
}

func (d *desk) putOrder(o Order) {
	if d == nil || len(o.Document.OrderLine) != 1 || o.Status == sandboxapi.OrderCompleted || o.Status == sandboxapi.OrderFailed {
		return
	}
	if d.orders == nil || len(d.orders) >= maxInstances {
		d.orders = map[string]openOrder{}
	}
	d.orders[o.OrderID] = openOrder{sellerID: o.SellerID, lineID: o.LineID, kind: o.Type}
}

func (d *desk) dropOrder(id string) {
	if d != nil {
		delete(d.orders, id)
	}
}

// noneFailed tells that no delivery failed and was not repaired, as nearly always. It is asked at every delivery.
func (d *desk) noneFailed(tx *Tx) (bool, error) {
	if d == nil {
		return false, nil
	}
	if d.failed == unknownFailures {
		d.failed = noFailures
		some, err := tx.exists("SELECT 1 FROM failed_deliveries WHERE repaired_at = 0 LIMIT 1")
		if err != nil {
			return false, err
		}
		if some {
			d.failed = someFailures
		}
	}
	return d.failed == noFailures, nil
}

func (d *desk) failedToDeliver() {
	if d != nil {
		d.failed = someFailures
	}
}

// rowsAtOnce are numbers of rows that one statement writes: a statement for each number of them would be one too many to keep.
var rowsAtOnce = [...]int{64, 8, 1}

// inserts gives the statements that write rows, by the number of rows.
func inserts(into, row string) map[int]string {
	all := map[int]string{}
	for _, n := range rowsAtOnce {
		all[n] = "INSERT INTO " + into + " VALUES " + row + strings.Repeat(", "+row, n-1)
	}
	return all
}

var (
	insertEvents   = inserts("events ("+eventValues+")", "(?, ?, ?, ?, ?, ?)")
	insertAttempts = inserts("attempts (attempt_id, "+startedColumns+")", "(?, "+startedValues+")")
)

// writeRows writes rows in their order, and tells of each statement how many it wrote.
func writeRows(ctx context.Context, tx transaction, insert map[int]string, rows [][]any, wrote func(n int, r sql.Result) error) error {
	for _, n := range rowsAtOnce {
		for len(rows) >= n {
			args := make([]any, 0, n*len(rows[0]))
			for _, row := range rows[:n] {
				args = append(args, row...)
			}
			rows = rows[n:]
			result, err := tx.ExecContext(ctx, insert[n], args...)
			if err != nil {
				return err
			}
			if err := wrote(n, result); err != nil {
				return err
			}
		}
	}
	return nil
}

// write writes what waits for the end of the transaction.
func (d *desk) write(ctx context.Context, tx transaction, eventsKept int64) error {
	if err := d.writeAttempts(ctx, tx); err != nil {
		return err
	}
	return d.writeEvents(ctx, tx, eventsKept)
}

// writeAttempts writes the attempts that begin with the transaction.
func (d *desk) writeAttempts(ctx context.Context, tx transaction) error {
	rows := d.attempts
	d.attempts = d.attempts[:0]
	return writeRows(ctx, tx, insertAttempts, rows, func(int, sql.Result) error { return nil })
}

// begins tells whether an attempt waits to be written.
func (d *desk) begins(attemptID int64) bool {
	return d != nil && len(d.attempts) > 0 && d.attempts[0][0].(int64) <= attemptID //nolint:forcetypeassert // see StartAttempt
}

// writeEvents writes the events of the updates that share a transaction, and deletes old ones if it is time.
func (d *desk) writeEvents(ctx context.Context, tx transaction, kept int64) error {
	rows := d.events
	d.events = d.events[:0]
	return writeRows(ctx, tx, insertEvents, rows, func(n int, r sql.Result) error {
		latest, err := r.LastInsertId()
		if err != nil || (latest-int64(n))/sweepEvery == latest/sweepEvery {
			return err
		}
		return sweepEvents(ctx, tx, latest/sweepEvery*sweepEvery, kept)
	})
}
