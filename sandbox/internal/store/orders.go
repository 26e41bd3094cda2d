package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// Order is an order with its document.
type Order struct {
	OrderID   string
	LineID    string // the instance it is about
	Type      marketplaceapi.OrderType
	Status    sandboxapi.OrderStatus
	CreatedAt time.Time
	Document  marketplaceapi.OrderInfo
}

const orderColumns = "order_id, line_id, order_type, status, created_at, document"

func scanOrder(row interface{ Scan(...any) error }) (o Order, err error) {
	var created sql.NullInt64
	var document []byte
	if err := row.Scan(&o.OrderID, &o.LineID, &o.Type, &o.Status, &created, &document); err != nil {
		return o, err
	}
	o.CreatedAt = fromMillis(created)
	if err := json.Unmarshal(document, &o.Document); err != nil {
		return o, fmt.Errorf("order %s: %w", o.OrderID, err)
	}
	return o, nil
}

// Order finds an order.
func (s *Store) Order(ctx context.Context, id string) (Order, error) {
	return one(scanOrder(s.read.QueryRowContext(ctx, "SELECT "+orderColumns+" FROM orders WHERE order_id = ?", id)))
}

// Orders lists orders, newest first.
func (s *Store) Orders(ctx context.Context, limit int) ([]Order, error) {
	return collect(ctx, s.read, scanOrder, "SELECT "+orderColumns+" FROM orders ORDER BY created_at DESC, rowid DESC LIMIT ?", limit)
}

// Order finds an order.
func (tx *Tx) Order(id string) (Order, error) {
	return one(scanOrder(tx.tx.QueryRowContext(tx.ctx, "SELECT "+orderColumns+" FROM orders WHERE order_id = ?", id)))
}

// OrderOfLine finds an order by one of its lines.
func (tx *Tx) OrderOfLine(lineID string) (Order, marketplaceapi.OrderLine, error) {
	o, err := one(scanOrder(tx.tx.QueryRowContext(tx.ctx, "SELECT "+orderColumns+` FROM orders
		WHERE EXISTS (SELECT 1 FROM json_each(document, '$.orderLine') WHERE json_extract(value, '$.orderLineId') = ?)`, lineID)))
	if err != nil {
		return o, marketplaceapi.OrderLine{}, err
	}
	i := slices.IndexFunc(o.Document.OrderLine, func(l marketplaceapi.OrderLine) bool { return l.OrderLineID == lineID })
	return o, o.Document.OrderLine[i], nil
}

// AddOrder writes a new order.
func (tx *Tx) AddOrder(o Order) error {
	document, err := json.Marshal(o.Document)
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO orders ("+orderColumns+") VALUES (?, ?, ?, ?, ?, ?)",
		o.OrderID, o.LineID, o.Type, o.Status, millis(o.CreatedAt), string(document))
}

// SetOrderStatus changes an order's status.
func (tx *Tx) SetOrderStatus(id string, status sandboxapi.OrderStatus) error {
	_, err := tx.tx.ExecContext(tx.ctx, "UPDATE orders SET status = ? WHERE order_id = ?", status, id)
	return err
}

const instanceColumns = "seller_id, product_code, buyer_id, line_id, order_id, instance_id, charging_mode, sku_code, product_id, quantity, status, intent, violation, created_at, expire_at, release_at, front_end_url"

func scanInstance(row interface{ Scan(...any) error }) (i lifecycle.Instance, err error) {
	var instanceID sql.NullString
	var created, expire, release sql.NullInt64
	err = row.Scan(&i.SellerID, &i.ProductCode, &i.BuyerID, &i.OrderLineID, &i.OrderID, &instanceID, &i.ChargingMode, &i.Product.SKUCode, &i.Product.ProductID, &i.Product.Quantity,
		&i.Status, &i.Intent, &i.Violation, &created, &expire, &release, &i.FrontEndURL)
	i.InstanceID = instanceID.String
	i.CreateTime, i.ExpireTime, i.ReleaseTime = fromMillis(created), fromMillis(expire), fromMillis(release)
	return i, err
}

// Instance finds an instance by the order line that created it.
func (s *Store) Instance(ctx context.Context, lineID string) (lifecycle.Instance, error) {
	return one(scanInstance(s.read.QueryRowContext(ctx, "SELECT "+instanceColumns+" FROM instances WHERE line_id = ?", lineID)))
}

// Instances lists instances, newest first.
func (s *Store) Instances(ctx context.Context, limit int) ([]lifecycle.Instance, error) {
	return collect(ctx, s.read, scanInstance, "SELECT "+instanceColumns+" FROM instances ORDER BY created_at DESC, rowid DESC LIMIT ?", limit)
}

// Instance finds an instance by the order line that created it.
func (tx *Tx) Instance(lineID string) (lifecycle.Instance, error) {
	return one(scanInstance(tx.tx.QueryRowContext(tx.ctx, "SELECT "+instanceColumns+" FROM instances WHERE line_id = ?", lineID)))
}

// InstanceByID finds an instance by the id that the ISV gave it.
func (tx *Tx) InstanceByID(instanceID string) (lifecycle.Instance, error) {
	return one(scanInstance(tx.tx.QueryRowContext(tx.ctx, "SELECT "+instanceColumns+" FROM instances WHERE instance_id = ?", instanceID)))
}

// PutInstance writes an instance, new or not.
func (tx *Tx) PutInstance(i lifecycle.Instance) error {
	tx.wait(Waits{Subject: i.OrderLineID, Due: i.Timer()})
	_, err := tx.tx.ExecContext(tx.ctx, "INSERT INTO instances ("+instanceColumns+", timer_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"+`
		ON CONFLICT (line_id) DO UPDATE SET instance_id = excluded.instance_id, sku_code = excluded.sku_code, product_id = excluded.product_id,
		quantity = excluded.quantity, status = excluded.status, intent = excluded.intent, violation = excluded.violation,
		expire_at = excluded.expire_at, release_at = excluded.release_at, front_end_url = excluded.front_end_url, timer_at = excluded.timer_at`,
		i.SellerID, i.ProductCode, i.BuyerID, i.OrderLineID, i.OrderID, sql.NullString{String: i.InstanceID, Valid: i.InstanceID != ""}, i.ChargingMode, i.Product.SKUCode,
		i.Product.ProductID, i.Product.Quantity, i.Status, i.Intent, i.Violation, millis(i.CreateTime), millis(i.ExpireTime),
		millis(i.ReleaseTime), i.FrontEndURL, millis(i.Timer()))
	return err
}

// SetTimer says when time demands something of a subject that is no instance; zero is never.
func (tx *Tx) SetTimer(subject string, due time.Time) error {
	tx.wait(Waits{Subject: subject, Due: due})
	if due.IsZero() {
		return tx.exec("DELETE FROM timers WHERE subject = ?", subject)
	}
	return tx.exec("INSERT INTO timers (subject, due_at) VALUES (?, ?) ON CONFLICT (subject) DO UPDATE SET due_at = excluded.due_at", subject, millis(due))
}

func scanText(row interface{ Scan(...any) error }) (v string, err error) {
	err = row.Scan(&v)
	return v, err
}
