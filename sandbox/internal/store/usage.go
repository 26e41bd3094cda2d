package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/usage"
)

// UsageRecord is a record as it came, and whether it counts.
type UsageRecord struct {
	usage.Record
	ReceivedAt time.Time
	Rejection  usage.Rejection // zero: accepted
}

// Accepted tells whether the record counts.
func (r UsageRecord) Accepted() bool { return r.Rejection.Code == "" }

const usageColumns = "metering_sn, instance_id, package_id, begin_time, end_time, record_time, usage_value, received_at, accepted, error_code, error_msg"

func scanUsage(row interface{ Scan(...any) error }) (u UsageRecord, err error) {
	var received sql.NullInt64
	var accepted bool
	err = row.Scan(&u.MeteringSN, &u.InstanceID, &u.RelatePkgInstance, &u.BeginTime, &u.EndTime, &u.RecordTime, &u.UsageValue, &received,
		&accepted, &u.Rejection.Code, &u.Rejection.Message)
	u.ReceivedAt = fromMillis(received)
	return u, err
}

// AddUsage keeps a record, accepted or not.
func (tx *Tx) AddUsage(u UsageRecord) error {
	_, err := tx.tx.ExecContext(tx.ctx, "INSERT INTO usage_records ("+usageColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		u.MeteringSN, u.InstanceID, u.RelatePkgInstance, u.BeginTime, u.EndTime, u.RecordTime, u.UsageValue, millis(u.ReceivedAt),
		u.Accepted(), u.Rejection.Code, u.Rejection.Message)
	return err
}

// UsageRecords lists records, newest first.
func (s *Store) UsageRecords(ctx context.Context, limit int) ([]UsageRecord, error) {
	return collect(ctx, s.read, scanUsage, "SELECT "+usageColumns+" FROM usage_records ORDER BY record_id DESC LIMIT ?", limit)
}

// UsageFacts lets [usage.Check] ask this transaction.
func (tx *Tx) UsageFacts() usage.Facts { return facts{tx} }

type facts struct{ tx *Tx }

func (f facts) Instance(id string) (usage.Instance, bool, error) {
	i, err := f.tx.InstanceByID(id)
	if errors.Is(err, ErrNotFound) {
		return usage.Instance{}, false, nil
	}
	return usage.Instance{ChargingMode: i.ChargingMode, Status: i.Status, CreateTime: i.CreateTime}, err == nil, err
}

func (f facts) MeteringSNUsed(sn string) (bool, error) {
	return f.exists("SELECT 1 FROM usage_records WHERE accepted = 1 AND metering_sn = ? AND metering_sn <> ''", sn)
}

func (f facts) WindowUsed(instanceID, begin, end string) (bool, error) {
	return f.exists("SELECT 1 FROM usage_records WHERE accepted = 1 AND instance_id = ? AND begin_time = ? AND end_time = ?", instanceID, begin, end)
}

func (f facts) exists(query string, args ...any) (bool, error) {
	var n int
	err := f.tx.tx.QueryRowContext(f.tx.ctx, query, args...).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
