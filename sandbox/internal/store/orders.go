package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/openapi/sandboxapi"
	"github.com/isvkit/isvkit/sandbox/internal/event"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
)

// Order is an order with its document.
type Order struct {
	OrderID     string
	SellerID    string
	ProductCode string
	BuyerID     string
	LineID      string // the instance it is about, named by the line that created it; for an order of several, the first
	Type        marketplaceapi.OrderType
	Status      sandboxapi.OrderStatus
	CreatedAt   time.Time
	AcceptedAt  time.Time // zero unless the buyer had to accept, and did
	Document    marketplaceapi.OrderInfo
}

// OrderLine is a line of an order and what became of it.
type OrderLine struct {
	LineID         string
	OrderID        string
	InstanceLineID string // the instance it is about; itself for a line that created one
	Status         sandboxapi.OrderStatus
}

const orderColumns = "order_id, seller_id, product_code, buyer_id, line_id, order_type, status, created_at, accepted_at, document"

func scanOrder(row interface{ Scan(...any) error }) (o Order, err error) {
	var created, accepted sql.NullInt64
	var document []byte
	if err := row.Scan(&o.OrderID, &o.SellerID, &o.ProductCode, &o.BuyerID, &o.LineID, &o.Type, &o.Status, &created, &accepted, &document); err != nil {
		return o, err
	}
	o.CreatedAt, o.AcceptedAt = fromMillis(created), fromMillis(accepted)
	if err := json.Unmarshal(document, &o.Document); err != nil {
		return o, fmt.Errorf("order %s: %w", o.OrderID, err)
	}
	return o, nil
}

// Order finds an order.
func (s *Store) Order(ctx context.Context, id string) (Order, error) {
	return one(scanOrder(s.read.QueryRowContext(ctx, "SELECT "+orderColumns+" FROM orders WHERE order_id = ?", id)))
}

// OrderDocument gives an order of a seller as queryOrder answers it, in JSON. The bytes must not be changed.
func (s *Store) OrderDocument(ctx context.Context, sellerID, id string) (document []byte, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT document FROM orders WHERE order_id = ? AND seller_id = ?", id, sellerID).Scan(&document)
	return one(document, err)
}

// OrderFilter narrows a list of orders; empty fields leave it as wide as it is.
type OrderFilter struct {
	SellerID, ProductCode, BuyerID string
	Type                           marketplaceapi.OrderType
	Status                         sandboxapi.OrderStatus
	LineID                         string // about this instance
}

// Orders lists orders, newest first.
func (s *Store) Orders(ctx context.Context, f OrderFilter, limit int) ([]Order, error) {
	return collect(ctx, s.read, scanOrder, "SELECT "+orderColumns+` FROM orders o WHERE (?1 = '' OR seller_id = ?1) AND (?2 = '' OR product_code = ?2)
		AND (?3 = '' OR buyer_id = ?3) AND (?4 = '' OR order_type = ?4) AND (?5 = '' OR status = ?5)
		AND (?6 = '' OR order_id IN (SELECT order_id FROM order_lines WHERE instance_line_id = ?6))
		ORDER BY created_at DESC, rowid DESC LIMIT ?7`, f.SellerID, f.ProductCode, f.BuyerID, f.Type, f.Status, f.LineID, limit)
}

func scanOrderLine(row interface{ Scan(...any) error }) (l OrderLine, err error) {
	err = row.Scan(&l.LineID, &l.OrderID, &l.InstanceLineID, &l.Status)
	return l, err
}

// OrderLines lists the lines of an order.
func (s *Store) OrderLines(ctx context.Context, orderID string) ([]OrderLine, error) {
	return collect(ctx, s.read, scanOrderLine, "SELECT line_id, order_id, instance_line_id, status FROM order_lines WHERE order_id = ? ORDER BY line_id", orderID)
}

// OrderLines lists the lines of an order.
func (tx *Tx) OrderLines(orderID string) ([]OrderLine, error) {
	return collect(tx.ctx, tx.tx, scanOrderLine, "SELECT line_id, order_id, instance_line_id, status FROM order_lines WHERE order_id = ? ORDER BY line_id", orderID)
}

// Order finds an order.
func (tx *Tx) Order(id string) (Order, error) {
	return one(scanOrder(tx.row("SELECT "+orderColumns+" FROM orders WHERE order_id = ?", id)))
}

// HasOrder tells whether an order id is taken.
func (tx *Tx) HasOrder(id string) (bool, error) {
	var n int
	err := tx.row("SELECT 1 FROM orders WHERE order_id = ?", id).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// OrderOfLine finds an order by one of its lines.
func (tx *Tx) OrderOfLine(lineID string) (Order, marketplaceapi.OrderLine, error) {
	var orderID string
	if _, err := one(0, tx.row("SELECT order_id FROM order_lines WHERE line_id = ?", lineID).Scan(&orderID)); err != nil {
		return Order{}, marketplaceapi.OrderLine{}, err
	}
	o, err := tx.Order(orderID)
	if err != nil {
		return o, marketplaceapi.OrderLine{}, err
	}
	i := slices.IndexFunc(o.Document.OrderLine, func(l marketplaceapi.OrderLine) bool { return l.OrderLineID == lineID })
	if i < 0 {
		return o, marketplaceapi.OrderLine{}, ErrNotFound
	}
	return o, o.Document.OrderLine[i], nil
}

// Sale is an order line as something that was sold.
type Sale struct {
	SellerID, OrderID, ProductCode, LineID string
	Type                                   marketplaceapi.OrderType
	AcceptedAt                             time.Time // zero unless the buyer had to accept, and did
	Price                                  string    // after all discounts, as the order's document has it
}

// SaleOf is a line of an order as something that was sold.
func SaleOf(o Order, l marketplaceapi.OrderLine) Sale {
	return Sale{
		SellerID: o.SellerID, OrderID: o.OrderID, ProductCode: o.ProductCode, LineID: l.OrderLineID, Type: o.Type,
		AcceptedAt: fromMillis(millis(o.AcceptedAt)), Price: l.CurrencyAfterDiscount,
	}
}

// Sale finds an order line as something that was sold.
func (tx *Tx) Sale(lineID string) (Sale, error) {
	if s, ok := tx.desk.sale(lineID); ok {
		return s, nil
	}
	o, l, err := tx.OrderOfLine(lineID)
	return SaleOf(o, l), err
}

// AddOrder writes a new order and its lines. If LineID is its own first line, each of its lines creates an instance; otherwise all are
// about the instance that LineID names.
func (tx *Tx) AddOrder(o Order) error {
	document, err := json.Marshal(o.Document)
	if err != nil {
		return err
	}
	if err := tx.exec("INSERT INTO orders ("+orderColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		o.OrderID, o.SellerID, o.ProductCode, o.BuyerID, o.LineID, o.Type, o.Status, millis(o.CreatedAt), millis(o.AcceptedAt), string(document)); err != nil {
		return err
	}
	creates := len(o.Document.OrderLine) > 0 && o.Document.OrderLine[0].OrderLineID == o.LineID
	for _, l := range o.Document.OrderLine {
		about := o.LineID
		if creates {
			about = l.OrderLineID
		}
		if err := tx.exec("INSERT INTO order_lines (line_id, order_id, instance_line_id, status) VALUES (?, ?, ?, ?)",
			l.OrderLineID, o.OrderID, about, o.Status); err != nil {
			return err
		}
		tx.desk.putSale(SaleOf(o, l))
	}
	tx.desk.putOrder(o)
	return nil
}

// AcceptOrder writes that the buyer accepted, and what the order's document says since.
func (tx *Tx) AcceptOrder(o Order) error {
	document, err := json.Marshal(o.Document)
	if err != nil {
		return err
	}
	for _, l := range o.Document.OrderLine {
		tx.desk.putSale(SaleOf(o, l))
	}
	return errors.Join(
		tx.exec("UPDATE orders SET accepted_at = ?, document = ? WHERE order_id = ?", millis(o.AcceptedAt), string(document), o.OrderID),
		tx.SetOrderStatus(o.OrderID, sandboxapi.OrderProcessing))
}

// SetOrderStatus changes the status of an order and all its lines.
func (tx *Tx) SetOrderStatus(id string, status sandboxapi.OrderStatus) error {
	tx.desk.dropOrder(id)
	return errors.Join(
		tx.exec("UPDATE orders SET status = ? WHERE order_id = ?", status, id),
		tx.exec("UPDATE order_lines SET status = ? WHERE order_id = ?", status, id))
}

// EndOrderLine writes how a line ended. The order is processed until all its lines have ended; then it failed if any of them did. If it
// is this line that ends the order, an event tells of it, and how the order ended is returned; otherwise nothing is.
func (tx *Tx) EndOrderLine(orderID, lineID string, status sandboxapi.OrderStatus, now time.Time) (ended sandboxapi.OrderStatus, err error) {
	o, before, others, err := tx.orderOfLines(orderID, lineID)
	if err != nil {
		return "", fmt.Errorf("order %s: %w", orderID, err)
	}
	var after sandboxapi.OrderStatus
	if err := tx.exec("UPDATE order_lines SET status = ? WHERE line_id = ?", status, lineID); err != nil {
		return "", err
	}
	switch {
	case before == sandboxapi.OrderCompleted || before == sandboxapi.OrderFailed: // it had ended before
		return "", nil
	case others.open > 0:
		after = sandboxapi.OrderProcessing
	case others.failed > 0 || status == sandboxapi.OrderFailed:
		after = sandboxapi.OrderFailed
	default:
		after = sandboxapi.OrderCompleted
	}
	// Also if it is processed still: where updates run beside each other, the last two lines must not both take the other for open.
	if err := tx.exec("UPDATE orders SET status = ? WHERE order_id = ?", after, orderID); err != nil {
		return "", err
	}
	switch after {
	case sandboxapi.OrderCompleted:
		return after, tx.AddEvent(event.OrderCompleted(o, now))
	case sandboxapi.OrderFailed:
		return after, tx.AddEvent(event.OrderFailed(o, now))
	default:
		return "", nil
	}
}

// otherLines counts an order's lines besides one.
type otherLines struct{ open, failed int }

// orderOfLines is an order for which one of its lines ends: what is told of it, its status, and how its other lines stand.
func (tx *Tx) orderOfLines(orderID, lineID string) (o event.Order, before sandboxapi.OrderStatus, others otherLines, err error) {
	o.OrderID = orderID
	if known, ok := tx.desk.order(orderID); ok {
		tx.desk.dropOrder(orderID)
		o.SellerID, o.Type, o.Line = known.sellerID, string(known.kind), known.lineID
		return o, sandboxapi.OrderProcessing, others, nil
	}
	_, err = one(0, tx.row(`SELECT seller_id, order_type, line_id, status,
		(SELECT count(*) FROM order_lines l WHERE l.order_id = orders.order_id AND l.line_id <> ?1 AND l.status NOT IN ('completed', 'failed')),
		(SELECT count(*) FROM order_lines l WHERE l.order_id = orders.order_id AND l.line_id <> ?1 AND l.status = 'failed')
		FROM orders WHERE order_id = ?2`, lineID, orderID).Scan(&o.SellerID, &o.Type, &o.Line, &before, &others.open, &others.failed))
	return o, before, others, err
}

// more is what an instance knows beyond its columns.
type more struct {
	PeriodType marketplaceapi.PeriodType `json:"periodType,omitempty"`
	Package    *lifecycle.Package        `json:"package,omitempty"`
	Trial      bool                      `json:"trial,omitempty"`
	V1         bool                      `json:"v1,omitempty"`
	Upgrading  string                    `json:"upgrading,omitempty"`
	Renewals   []lifecycle.Renewal       `json:"renewals,omitempty"`
}

const instanceColumns = "seller_id, product_code, buyer_id, line_id, order_id, instance_id, charging_mode, sku_code, product_id, quantity, status, intent, violation, " +
	"created_at, expire_at, release_at, front_end_url, more"

func scanInstance(row interface{ Scan(...any) error }) (i lifecycle.Instance, err error) {
	var instanceID sql.NullString
	var created, expire, release sql.NullInt64
	var rest []byte
	if err := row.Scan(&i.SellerID, &i.ProductCode, &i.BuyerID, &i.OrderLineID, &i.OrderID, &instanceID, &i.ChargingMode, &i.Product.SKUCode,
		&i.Product.ProductID, &i.Product.Quantity, &i.Status, &i.Intent, &i.Violation, &created, &expire, &release, &i.FrontEndURL, &rest); err != nil {
		return i, err
	}
	i.InstanceID = instanceID.String
	i.CreateTime, i.ExpireTime, i.ReleaseTime = fromMillis(created), fromMillis(expire), fromMillis(release)
	if string(rest) == "{}" {
		return i, nil
	}
	var m more
	if err := json.Unmarshal(rest, &m); err != nil {
		return i, fmt.Errorf("instance of line %s: %w", i.OrderLineID, err)
	}
	i.Product.PeriodType, i.Trial, i.V1, i.Upgrading, i.Renewals = m.PeriodType, m.Trial, m.V1, m.Upgrading, m.Renewals
	if m.Package != nil {
		i.Package = *m.Package
	}
	return i, nil
}

// Instance finds an instance by the order line that created it.
func (s *Store) Instance(ctx context.Context, lineID string) (lifecycle.Instance, error) {
	return one(scanInstance(s.read.QueryRowContext(ctx, "SELECT "+instanceColumns+" FROM instances WHERE line_id = ?", lineID)))
}

// InstanceFilter narrows a list of instances; empty fields leave it as wide as it is.
type InstanceFilter struct {
	SellerID, ProductCode, BuyerID string
	Status                         sandboxapi.InstanceStatus
	OrderID                        string // that created it
}

// Instances lists instances, newest first.
func (s *Store) Instances(ctx context.Context, f InstanceFilter, limit int) ([]lifecycle.Instance, error) {
	return collect(ctx, s.read, scanInstance, "SELECT "+instanceColumns+` FROM instances WHERE (?1 = '' OR seller_id = ?1) AND (?2 = '' OR product_code = ?2)
		AND (?3 = '' OR buyer_id = ?3) AND (?4 = '' OR status = ?4) AND (?5 = '' OR order_id = ?5)
		ORDER BY created_at DESC, rowid DESC LIMIT ?6`, f.SellerID, f.ProductCode, f.BuyerID, f.Status, f.OrderID, limit)
}

// Instance finds an instance by the order line that created it.
func (tx *Tx) Instance(lineID string) (lifecycle.Instance, error) {
	if tx.instance.OrderLineID == lineID && lineID != "" { // one update mostly is about one instance, and asks for it twice
		return tx.instance, nil
	}
	if i, ok := tx.desk.instance(lineID); ok {
		tx.instance = i
		return i, nil
	}
	i, err := one(scanInstance(tx.row("SELECT "+instanceColumns+" FROM instances WHERE line_id = ?", lineID)))
	if err == nil {
		tx.instance = i
	}
	return i, err
}

const instanceByID = "SELECT " + instanceColumns + " FROM instances WHERE instance_id = ?2 AND (?1 = '' OR seller_id = ?1) ORDER BY created_at, rowid LIMIT 1"

// InstanceByID finds an instance by the id that its ISV gave it; of any seller, then the first that has it, if sellerID is empty.
func (tx *Tx) InstanceByID(sellerID, instanceID string) (lifecycle.Instance, error) {
	return one(scanInstance(tx.row(instanceByID, sellerID, instanceID)))
}

// InstanceIDTaken finds the order line of another instance of the same seller to which its ISV gave an id; it is empty if there is none.
func (tx *Tx) InstanceIDTaken(sellerID, instanceID, lineID string) (other string, err error) {
	other, err = tx.text("SELECT line_id FROM instances WHERE instance_id = ? AND seller_id = ?", instanceID, sellerID)
	if errors.Is(err, sql.ErrNoRows) || other == lineID {
		return "", nil
	}
	return other, err
}

// PutInstance writes an instance, new or not.
func (tx *Tx) PutInstance(i lifecycle.Instance) error {
	tx.wait(Waits{Subject: i.OrderLineID, Seller: i.SellerID, Due: i.Timer()})
	tx.instance = lifecycle.Instance{}
	before, known := tx.desk.instance(i.OrderLineID)
	tx.desk.putInstance(i)
	m := more{PeriodType: i.Product.PeriodType, Trial: i.Trial, V1: i.V1, Upgrading: i.Upgrading, Renewals: i.Renewals}
	if i.Package != (lifecycle.Package{}) {
		m.Package = &i.Package
	}
	rest, err := json.Marshal(m)
	if err != nil {
		return err
	}
	// Nearly always it is there already, and what it was bought as does not change.
	const changing = "sku_code = ?, product_id = ?, quantity = ?, status = ?, intent = ?, violation = ?, expire_at = ?, release_at = ?, front_end_url = ?, more = ?, timer_at = ?"
	args := []any{
		i.Product.SKUCode, i.Product.ProductID, i.Product.Quantity, i.Status, i.Intent, i.Violation, millis(i.ExpireTime), millis(i.ReleaseTime), i.FrontEndURL, string(rest), millis(i.Timer()),
	}
	if known && before.InstanceID == i.InstanceID && millis(before.CreateTime) == millis(i.CreateTime) {
		// No index has to be written: SQLite writes those of all columns that are set, even to what they are.
		return tx.exec("UPDATE instances SET "+changing+" WHERE line_id = ?", append(args, i.OrderLineID)...)
	}
	instanceID := sql.NullString{String: i.InstanceID, Valid: i.InstanceID != ""}
	r, err := tx.tx.ExecContext(tx.ctx, "UPDATE instances SET "+changing+", instance_id = ?, created_at = ? WHERE line_id = ?",
		append(args, instanceID, millis(i.CreateTime), i.OrderLineID)...)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return tx.exec("INSERT INTO instances ("+instanceColumns+", timer_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		i.SellerID, i.ProductCode, i.BuyerID, i.OrderLineID, i.OrderID, instanceID, i.ChargingMode,
		i.Product.SKUCode, i.Product.ProductID, i.Product.Quantity, i.Status, i.Intent, i.Violation, millis(i.CreateTime), millis(i.ExpireTime),
		millis(i.ReleaseTime), i.FrontEndURL, string(rest), millis(i.Timer()))
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
