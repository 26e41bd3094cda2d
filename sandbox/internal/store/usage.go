package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/usage"
)

// UsageRecord is a record as it came, and whether it counts.
type UsageRecord struct {
	usage.Record
	ID         int64
	SellerID   string
	LineID     string // the instance; empty where it was not found
	ReceivedAt time.Time
	Rejection  usage.Rejection // zero: accepted
	Warnings   []string
	Day        string // of the bill that it belongs to
	Price      string // of a unit, when it came
}

// Accepted tells whether the record counts.
func (r UsageRecord) Accepted() bool { return r.Rejection.Code == "" }

const usageColumns = "metering_sn, instance_id, package_id, begin_time, end_time, record_time, usage_value, received_at, accepted, error_code, error_msg, " +
	"seller_id, line_id, product_id, warnings, day, price"

func scanUsage(row interface{ Scan(...any) error }) (u UsageRecord, err error) {
	var received sql.NullInt64
	var accepted bool
	var warnings []byte
	if err := row.Scan(&u.ID, &u.MeteringSN, &u.InstanceID, &u.RelatePkgInstance, &u.BeginTime, &u.EndTime, &u.RecordTime, &u.UsageValue, &received,
		&accepted, &u.Rejection.Code, &u.Rejection.Message, &u.SellerID, &u.LineID, &u.ProductID, &warnings, &u.Day, &u.Price); err != nil {
		return u, err
	}
	u.ReceivedAt = fromMillis(received)
	if string(warnings) == "[]" {
		return u, nil
	}
	return u, json.Unmarshal(warnings, &u.Warnings)
}

// AddUsage keeps a record, accepted or not, and gives its id.
func (tx *Tx) AddUsage(u UsageRecord) (int64, error) {
	warnings := []byte("[]")
	if len(u.Warnings) > 0 {
		var err error
		if warnings, err = json.Marshal(u.Warnings); err != nil {
			return 0, err
		}
	}
	var id int64
	err := tx.row("INSERT INTO usage_records ("+usageColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING record_id",
		u.MeteringSN, u.InstanceID, u.RelatePkgInstance, u.BeginTime, u.EndTime, u.RecordTime, u.UsageValue, millis(u.ReceivedAt),
		u.Accepted(), u.Rejection.Code, u.Rejection.Message, u.SellerID, u.LineID, u.ProductID, string(warnings), u.Day, u.Price).Scan(&id)
	return id, err
}

// UsageRecords lists records, newest first.
func (s *Store) UsageRecords(ctx context.Context, limit int) ([]UsageRecord, error) {
	return collect(ctx, s.read, scanUsage, "SELECT record_id, "+usageColumns+" FROM usage_records ORDER BY record_id DESC LIMIT ?", limit)
}

// MeteringSNUsed tells whether the seller has an accepted record of this metering_sn.
func (tx *Tx) MeteringSNUsed(sellerID, sn string) (bool, error) {
	return tx.exists("SELECT 1 FROM usage_records WHERE accepted = 1 AND seller_id = ? AND metering_sn = ? AND metering_sn <> ''", sellerID, sn)
}

// WindowUsed tells whether the instance has an accepted record of the same begin and end.
func (tx *Tx) WindowUsed(lineID, begin, end string) (bool, error) {
	return tx.exists("SELECT 1 FROM usage_records WHERE accepted = 1 AND line_id = ? AND begin_time = ? AND end_time = ?", lineID, begin, end)
}

func (tx *Tx) exists(query string, args ...any) (bool, error) {
	var n int
	err := tx.row(query, args...).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// PackageUse is how far a package is used.
type PackageUse struct{ Amount, Used usage.Decimal }

func scanPackageUse(row interface{ Scan(...any) error }) (p PackageUse, err error) {
	err = row.Scan(decimalColumn{&p.Amount}, decimalColumn{&p.Used})
	return p, err
}

// decimalColumn reads a number that was written as text.
type decimalColumn struct{ to *usage.Decimal }

func (c decimalColumn) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("a number is stored as %T, expected text", v)
	}
	d, err := usage.ParseDecimal(text)
	*c.to = d
	return err
}

// PackageUse tells how far a package is used; ErrNotFound if nothing was deducted yet.
func (tx *Tx) PackageUse(lineID string) (PackageUse, error) {
	return one(scanPackageUse(tx.row("SELECT amount, used FROM usage_packages WHERE line_id = ?", lineID)))
}

// PackageUse tells how far a package is used; ErrNotFound if nothing was deducted yet.
func (s *Store) PackageUse(ctx context.Context, lineID string) (PackageUse, error) {
	return one(scanPackageUse(s.read.QueryRowContext(ctx, "SELECT amount, used FROM usage_packages WHERE line_id = ?", lineID)))
}

// Packages lists packages of usage, newest first.
func (s *Store) Packages(ctx context.Context, limit int) ([]lifecycle.Instance, error) {
	return collect(ctx, s.read, scanInstance, "SELECT "+instanceColumns+" FROM instances WHERE charging_mode = 'ON_DEMAND_PKG' ORDER BY created_at DESC, rowid DESC LIMIT ?", limit)
}

// OpenPackages lists the packages of a buyer and product that are not known to be empty, oldest first.
func (tx *Tx) OpenPackages(buyerID, productCode string) ([]lifecycle.Instance, error) {
	return collect(tx.ctx, tx.tx, scanInstance, "SELECT "+instanceColumns+` FROM instances i
		WHERE charging_mode = 'ON_DEMAND_PKG' AND buyer_id = ? AND product_code = ? AND instance_id IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM usage_packages p WHERE p.line_id = i.line_id AND p.empty = 1) ORDER BY created_at, rowid`, buyerID, productCode)
}

// Deduct writes what a package pays for a record. p is the package afterwards.
func (tx *Tx) Deduct(recordID int64, amount usage.Decimal, p usage.Package) error {
	return errors.Join(
		tx.exec("INSERT INTO usage_deductions (record_id, line_id, amount) VALUES (?, ?, ?)", recordID, p.LineID, amount.String()),
		tx.exec(`INSERT INTO usage_packages (line_id, amount, used, empty) VALUES (?, ?, ?, ?)
			ON CONFLICT (line_id) DO UPDATE SET used = excluded.used, empty = excluded.empty`,
			p.LineID, p.Amount.String(), p.Used.String(), p.Left().Sign() <= 0),
	)
}

// Deductions tells what packages paid for a record, by the package's order line.
func (s *Store) Deductions(ctx context.Context, recordID int64) (map[string]string, error) {
	type pair struct{ line, amount string }
	pairs, err := collect(ctx, s.read, func(row interface{ Scan(...any) error }) (p pair, err error) {
		err = row.Scan(&p.line, &p.amount)
		return p, err
	}, "SELECT line_id, amount FROM usage_deductions WHERE record_id = ?", recordID)
	list := map[string]string{}
	for _, p := range pairs {
		list[p.line] = p.amount
	}
	return list, err
}

const billColumns = "line_id, day, price, records, usage, deducted, unpaid, charged, amount"

func scanBill(row interface{ Scan(...any) error }) (b usage.Bill, err error) {
	err = row.Scan(&b.LineID, &b.Day, decimalColumn{&b.Price}, &b.Records, decimalColumn{&b.Usage}, decimalColumn{&b.Deducted}, decimalColumn{&b.Unpaid},
		decimalColumn{&b.Charged}, decimalColumn{&b.Amount})
	return b, err
}

// Bill finds a bill.
func (tx *Tx) Bill(lineID, day, price string) (usage.Bill, error) {
	return one(scanBill(tx.row("SELECT "+billColumns+" FROM usage_bills WHERE line_id = ? AND day = ? AND price = ?", lineID, day, price)))
}

// PutBill writes a bill, new or not.
func (tx *Tx) PutBill(b usage.Bill) error {
	return tx.exec("INSERT INTO usage_bills ("+billColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (line_id, day, price) DO UPDATE SET
		records = excluded.records, usage = excluded.usage, deducted = excluded.deducted, unpaid = excluded.unpaid, charged = excluded.charged, amount = excluded.amount`,
		b.LineID, b.Day, b.Price.String(), b.Records, b.Usage.String(), b.Deducted.String(), b.Unpaid.String(), b.Charged.String(), b.Amount.String())
}

// Bills lists bills by instance and day; of one instance, and from and to a day, where these are not empty.
func (s *Store) Bills(ctx context.Context, lineID, from, to string, limit int) ([]usage.Bill, error) {
	return collect(ctx, s.read, scanBill, "SELECT "+billColumns+` FROM usage_bills
		WHERE (?1 = '' OR line_id = ?1) AND day >= ?2 AND (?3 = '' OR day <= ?3) ORDER BY line_id, day, price LIMIT ?4`, lineID, from, to, limit)
}

// InstanceByID finds an instance by the id that its ISV gave it; of any seller, then the first that has it, if sellerID is empty.
func (s *Store) InstanceByID(ctx context.Context, sellerID, instanceID string) (lifecycle.Instance, error) {
	return one(scanInstance(s.read.QueryRowContext(ctx, instanceByID, sellerID, instanceID)))
}
