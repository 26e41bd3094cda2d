package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/access"
	"github.com/isvkit/isvkit/sandbox/internal/kit"
	"github.com/isvkit/isvkit/sandbox/internal/license"
	"github.com/isvkit/isvkit/sandbox/internal/lifecycle"
	"github.com/isvkit/isvkit/sandbox/internal/usage"
)

// stays tells the tables that neither a restore nor a reset touches: keys that were revoked do not come back, and nobody who did something
// can make it forgotten.
func stays(table string) bool { return slices.Contains([]string{"token_keys", "audit"}, table) }

func (s *Store) scanTokenKey(row interface{ Scan(...any) error }) (k access.Key, err error) {
	var secret string
	var created sql.NullInt64
	if err := row.Scan(&k.ID, &secret, &created); err != nil {
		return k, err
	}
	k.Created = fromMillis(created)
	if err := s.openText(&secret, tokenKeyPlace(k.ID)); err != nil {
		return k, err
	}
	if k.Secret, err = base64.StdEncoding.DecodeString(secret); err != nil {
		return k, fmt.Errorf("token key %s: its secret is damaged", k.ID)
	}
	return k, nil
}

const selectTokenKeys = "SELECT key_id, secret, created_at FROM token_keys ORDER BY created_at DESC, key_id DESC" //nolint:gosec // a query

// TokenKeys are the keys that are in force, newest first.
func (s *Store) TokenKeys(ctx context.Context) (access.Ring, error) {
	return collect(ctx, s.read, s.scanTokenKey, selectTokenKeys)
}

// TokenKeys are the keys that are in force, newest first.
func (tx *Tx) TokenKeys() (access.Ring, error) {
	return collect(tx.ctx, tx.tx, tx.store.scanTokenKey, selectTokenKeys)
}

// AddTokenKey puts a key in force.
func (tx *Tx) AddTokenKey(k access.Key) error {
	secret := base64.StdEncoding.EncodeToString(k.Secret)
	tx.store.seal(map[string]*string{tokenKeyPlace(k.ID): &secret})
	return tx.exec("INSERT INTO token_keys (key_id, secret, created_at) VALUES (?, ?, ?)", k.ID, secret, millis(k.Created))
}

// DeleteTokenKey takes a key out of force.
func (tx *Tx) DeleteTokenKey(id string) error {
	return tx.exec("DELETE FROM token_keys WHERE key_id = ?", id)
}

// AuditEntry says who changed what through the control API. It holds neither bodies nor secrets.
type AuditEntry struct {
	ID        int64
	Time      time.Time // real time
	TokenID   string
	Role      access.Role
	SellerID  string
	Operation string
	IDs       map[string]string
	Status    int
	Outcome   string
}

// keptAudit is how many entries are kept, about.
const keptAudit = 100_000

// AddAudit writes an entry.
func (tx *Tx) AddAudit(e AuditEntry) error {
	ids, err := json.Marshal(e.IDs)
	if err != nil {
		return err
	}
	var id int64
	if err := tx.row("INSERT INTO audit (at, token_id, role, seller_id, operation, ids, status, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING audit_id",
		e.Time.UnixMilli(), e.TokenID, e.Role, e.SellerID, e.Operation, string(ids), e.Status, e.Outcome).Scan(&id); err != nil || id%1000 != 0 {
		return err
	}
	return tx.exec("DELETE FROM audit WHERE audit_id <= ?", id-keptAudit)
}

func scanAudit(row interface{ Scan(...any) error }) (e AuditEntry, err error) {
	var at sql.NullInt64
	var ids []byte
	if err := row.Scan(&e.ID, &at, &e.TokenID, &e.Role, &e.SellerID, &e.Operation, &ids, &e.Status, &e.Outcome); err != nil {
		return e, err
	}
	e.Time = fromMillis(at)
	return e, json.Unmarshal(ids, &e.IDs)
}

// AuditFilter chooses entries; what is empty chooses all.
type AuditFilter struct {
	SellerID, Operation string
	Before              int64
}

// Audit lists entries, newest first.
func (s *Store) Audit(ctx context.Context, f AuditFilter, limit int) ([]AuditEntry, error) {
	return collect(ctx, s.read, scanAudit, `SELECT audit_id, at, token_id, role, seller_id, operation, ids, status, outcome FROM audit
		WHERE (?1 = '' OR seller_id = ?1) AND (?2 = '' OR operation = ?2) AND (CAST(?3 AS BIGINT) = 0 OR audit_id < ?3) ORDER BY audit_id DESC LIMIT ?4`,
		f.SellerID, f.Operation, f.Before, limit)
}

// What follows is what the lists of this package are, for one seller only.

// CallsOfSeller lists a seller's calls, newest first; of one instance if lineID is not empty.
func (s *Store) CallsOfSeller(ctx context.Context, sellerID, lineID string, limit int) ([]Call, error) {
	return collect(ctx, s.read, scanCall, "SELECT "+callColumns+" FROM calls WHERE seller_id = ?2 AND (?1 = '' OR call_id IN ("+callsOfLine+")) ORDER BY call_id DESC LIMIT ?3",
		lineID, sellerID, limit)
}

// UsageRecordsOfSeller lists the usage records that a seller pushed, newest first.
func (s *Store) UsageRecordsOfSeller(ctx context.Context, sellerID string, limit int) ([]UsageRecord, error) {
	return collect(ctx, s.read, scanUsage, "SELECT record_id, "+usageColumns+" FROM usage_records WHERE seller_id = ? ORDER BY record_id DESC LIMIT ?", sellerID, limit)
}

// BillsOfSeller lists the bills of a seller's instances, of one instance if lineID is not empty.
func (s *Store) BillsOfSeller(ctx context.Context, sellerID, lineID, from, to string, limit int) ([]usage.Bill, error) {
	return collect(ctx, s.read, scanBill, "SELECT "+billColumns+` FROM usage_bills
		WHERE line_id IN (SELECT line_id FROM instances WHERE seller_id = ?5 AND (?1 = '' OR line_id = ?1)) AND day >= ?2 AND (?3 = '' OR day <= ?3)
		ORDER BY line_id, day, price LIMIT ?4`, lineID, from, to, limit, sellerID)
}

// PackagesOfSeller lists the packages that a seller's buyers bought, newest first.
func (s *Store) PackagesOfSeller(ctx context.Context, sellerID string, limit int) ([]lifecycle.Instance, error) {
	return collect(ctx, s.read, scanInstance, "SELECT "+instanceColumns+` FROM instances WHERE charging_mode = 'ON_DEMAND_PKG' AND seller_id = ?
		ORDER BY created_at DESC, line_id DESC LIMIT ?`, sellerID, limit)
}

// LicensesOfSeller lists a seller's licences, newest first; of one order if orderID is not empty.
func (s *Store) LicensesOfSeller(ctx context.Context, sellerID, orderID string, limit int) ([]license.License, error) {
	return collect(ctx, s.read, scanDocument[license.License],
		"SELECT document FROM licenses WHERE seller_id = ?1 AND (?2 = '' OR order_id = ?2) ORDER BY created_at DESC, code DESC LIMIT ?3", sellerID, orderID, limit)
}

// LicenseFilesOfSeller lists the licence files that a seller was asked for, newest first; of one instance if lineID is not empty.
func (s *Store) LicenseFilesOfSeller(ctx context.Context, sellerID, lineID string, limit int) ([]LicenseFile, error) {
	return collect(ctx, s.read, scanLicenseFile, "SELECT "+licenseFileColumns+
		" FROM license_files WHERE seller_id = ?1 AND (?2 = '' OR line_id = ?2) ORDER BY asked_at DESC, event_id DESC LIMIT ?3", sellerID, lineID, limit)
}

// KitTenantsOfSeller lists the tenants that a seller made, and those of its credentials, newest first.
func (s *Store) KitTenantsOfSeller(ctx context.Context, sellerID string, limit int) ([]kit.Tenant, error) {
	list, err := collect(ctx, s.read, scanTenant, "SELECT "+tenantColumns+" FROM kit_tenants WHERE seller_id = ? ORDER BY created_at DESC, tenant_id DESC LIMIT ?", sellerID, limit)
	for i := range list {
		list[i], err = s.wholeTenant(ctx, s.read, list[i], err)
	}
	return list, err
}

// CountsOfSeller counts what is a seller's.
func (s *Store) CountsOfSeller(ctx context.Context, sellerID string) (c Counts, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM orders WHERE seller_id = ?1), (SELECT count(*) FROM instances WHERE seller_id = ?1),
		(SELECT count(*) FROM calls WHERE status = 'pending' AND seller_id = ?1), (SELECT count(*) FROM calls WHERE status = 'waiting' AND seller_id = ?1),
		(SELECT count(*) FROM usage_records WHERE accepted = 1 AND seller_id = ?1)`, sellerID).
		Scan(&c.Orders, &c.Instances, &c.CallsPending, &c.CallsWaiting, &c.UsageRecords)
	return c, err
}

// Load is what a seller takes of the sandbox: calls that wait or are under way, and attempts in the journal.
func (s *Store) Load(ctx context.Context, sellerID string) (pending, journal int, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM calls WHERE status = 'pending' AND seller_id = ?1),
		(SELECT count(*) FROM attempts WHERE seller_id = ?1)`, sellerID).Scan(&pending, &journal)
	return pending, journal, err
}
