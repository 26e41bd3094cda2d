package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/probe"
)

// DebugCase is a saved debug case and what came of it the last time.
type DebugCase struct {
	ProductCode string
	probe.Key
	Call     lifecycle.Call
	SavedAt  time.Time
	CalledAt time.Time // when it was saved, or probed
	Problem  string    // why it failed then; empty: it passed
}

const caseColumns = "product_code, name, scene, activity, order_id, body, saved_at, called_at, problem"

func scanCase(row interface{ Scan(...any) error }) (c DebugCase, err error) {
	var body []byte
	var saved, called sql.NullInt64
	if err := row.Scan(&c.ProductCode, &c.Activity, &c.Scene, &c.Call.Activity, &c.Call.OrderID, &body, &saved, &called, &c.Problem); err != nil {
		return c, err
	}
	c.SavedAt, c.CalledAt = fromMillis(saved), fromMillis(called)
	c.Call.Body, err = decodeBody(c.Call.Activity, body)
	return c, err
}

// DebugCases lists the saved cases of a product in the order in which they were saved first.
func (s *Store) DebugCases(ctx context.Context, productCode string) ([]DebugCase, error) {
	return collect(ctx, s.read, scanCase, "SELECT "+caseColumns+" FROM debug_cases WHERE product_code = ? ORDER BY rowid", productCode)
}

// claimProduct is for updates that count what belongs to a product.
const claimProduct = "UPDATE products SET product_code = product_code WHERE product_code = ?"

// CountDebugCases counts the saved cases of a product.
func (tx *Tx) CountDebugCases(productCode string) (n int, err error) {
	if err := tx.claim(claimProduct, productCode); err != nil {
		return 0, err
	}
	err = tx.row("SELECT count(*) FROM debug_cases WHERE product_code = ?", productCode).Scan(&n)
	return n, err
}

// PutDebugCase saves a case, new or not.
func (tx *Tx) PutDebugCase(c DebugCase) error {
	body, err := json.Marshal(c.Call.Body)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO debug_cases (product_code, name, scene, activity, order_id, body, saved_at, called_at, problem) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (product_code, name, scene) DO UPDATE SET activity = excluded.activity, order_id = excluded.order_id, body = excluded.body,
		saved_at = excluded.saved_at, called_at = excluded.called_at, problem = excluded.problem`,
		c.ProductCode, c.Activity, c.Scene, c.Call.Activity, c.Call.OrderID, string(body), millis(c.SavedAt), millis(c.CalledAt), c.Problem)
}

// CalledDebugCase writes what came of a case in a probe. One that was dropped since stays so.
func (tx *Tx) CalledDebugCase(productCode string, key probe.Key, at time.Time, problem string) error {
	return tx.exec("UPDATE debug_cases SET called_at = ?, problem = ? WHERE product_code = ? AND name = ? AND scene = ?", millis(at), problem, productCode, key.Activity, key.Scene)
}

// Health reads what a product's probes have shown so far; the zero value if there was none.
func (s *Store) Health(ctx context.Context, productCode string) (probe.Health, error) {
	return health(s.read.QueryRowContext(ctx, "SELECT document FROM product_health WHERE product_code = ?", productCode))
}

// Health reads what a product's probes have shown so far; the zero value if there was none.
func (tx *Tx) Health(productCode string) (probe.Health, error) {
	return health(tx.row("SELECT document FROM product_health WHERE product_code = ?", productCode))
}

func health(row *sql.Row) (probe.Health, error) {
	h, err := one(scanDocument[probe.Health](row))
	if errors.Is(err, ErrNotFound) {
		return probe.Health{}, nil
	}
	return h, err
}

// PutHealth writes what a product's probes have shown so far.
func (tx *Tx) PutHealth(productCode string, h probe.Health) error {
	document, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO product_health (product_code, document) VALUES (?, ?) ON CONFLICT (product_code) DO UPDATE SET document = excluded.document", productCode, string(document))
}

// AddFailedOrder writes that an order failed, once.
func (tx *Tx) AddFailedOrder(orderID, productCode string, at time.Time) error {
	return tx.exec("INSERT INTO failed_orders (order_id, product_code, failed_at) VALUES (?, ?, ?) ON CONFLICT (order_id) DO NOTHING", orderID, productCode, millis(at))
}

const countFailed = "SELECT count(*) FROM failed_orders WHERE product_code = ? AND failed_at >= ? AND failed_at < ?"

// FailedOrders counts a product's orders that failed in a time, its end excluded.
func (tx *Tx) FailedOrders(productCode string, from, to time.Time) (n int, err error) {
	if err := tx.claim(claimProduct, productCode); err != nil {
		return 0, err
	}
	err = tx.row(countFailed, productCode, from.UnixMilli(), to.UnixMilli()).Scan(&n)
	return n, err
}

// FailedOrders counts a product's orders that failed in a time, its end excluded.
func (s *Store) FailedOrders(ctx context.Context, productCode string, from, to time.Time) (n int, err error) {
	err = s.read.QueryRowContext(ctx, countFailed, productCode, from.UnixMilli(), to.UnixMilli()).Scan(&n)
	return n, err
}

// DueTimer is when time demands something of a subject that is no instance; zero is never.
func (s *Store) DueTimer(ctx context.Context, subject string) (time.Time, error) {
	var due sql.NullInt64
	err := s.read.QueryRowContext(ctx, "SELECT due_at FROM timers WHERE subject = ?", subject).Scan(&due)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return fromMillis(due), err
}
