package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/isvkit/isvkit/openapi/marketplaceapi"
	"github.com/isvkit/isvkit/sandbox/internal/license"
)

// License finds a licence by its code; of one seller if sellerID is not empty.
func (tx *Tx) License(sellerID, code string) (license.License, error) {
	return one(scanDocument[license.License](tx.row("SELECT document FROM licenses WHERE code = ?1 AND (?2 = '' OR seller_id = ?2)", code, sellerID)))
}

// License finds a licence by its code; of one seller if sellerID is not empty.
func (s *Store) License(ctx context.Context, sellerID, code string) (license.License, error) {
	return one(scanDocument[license.License](s.read.QueryRowContext(ctx, "SELECT document FROM licenses WHERE code = ?1 AND (?2 = '' OR seller_id = ?2)", code, sellerID)))
}

// Licenses lists licences, newest first; of one order if orderID is not empty.
func (s *Store) Licenses(ctx context.Context, orderID string, limit int) ([]license.License, error) {
	return collect(ctx, s.read, scanDocument[license.License],
		"SELECT document FROM licenses WHERE ?1 = '' OR order_id = ?1 ORDER BY created_at DESC, rowid DESC LIMIT ?2", orderID, limit)
}

// PutLicense writes a licence, new or not.
func (tx *Tx) PutLicense(l license.License) error {
	document, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return tx.exec(`INSERT INTO licenses (code, order_id, seller_id, created_at, document) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (code) DO UPDATE SET document = excluded.document`, l.Code, l.OrderID, l.SellerID, millis(l.CreateTime), string(document))
}

// PendingCallsOf counts the calls about a subject that are under way.
func (s *Store) PendingCallsOf(ctx context.Context, subject string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM calls WHERE subject = ? AND status = 'pending'", subject).Scan(&n)
	return n, err
}

// LicenseFile is a licence that a buyer asked for as a text or a file.
type LicenseFile struct {
	EventID     string
	LineID      string // the instance
	SellerID    string
	InstanceID  string
	Fingerprint string
	AskedAt     time.Time
	UploadedAt  time.Time // zero: not yet
	Type        marketplaceapi.UploadType
	FileName    string
	SHA256      string
	Size        int
}

const licenseFileColumns = "event_id, line_id, seller_id, instance_id, fingerprint, asked_at, uploaded_at, type, file_name, sha256, size"

func scanLicenseFile(row interface{ Scan(...any) error }) (f LicenseFile, err error) {
	var asked, uploaded sql.NullInt64
	err = row.Scan(&f.EventID, &f.LineID, &f.SellerID, &f.InstanceID, &f.Fingerprint, &asked, &uploaded, &f.Type, &f.FileName, &f.SHA256, &f.Size)
	f.AskedAt, f.UploadedAt = fromMillis(asked), fromMillis(uploaded)
	return f, err
}

// LicenseFile finds what was asked for by its event id.
func (tx *Tx) LicenseFile(eventID string) (LicenseFile, error) {
	return one(scanLicenseFile(tx.row("SELECT "+licenseFileColumns+" FROM license_files WHERE event_id = ?", eventID)))
}

// LicenseFile finds what was asked for by its event id.
func (s *Store) LicenseFile(ctx context.Context, eventID string) (LicenseFile, error) {
	return one(scanLicenseFile(s.read.QueryRowContext(ctx, "SELECT "+licenseFileColumns+" FROM license_files WHERE event_id = ?", eventID)))
}

// LicenseFileContent gives the bytes that were uploaded; ErrNotFound if none were.
func (s *Store) LicenseFileContent(ctx context.Context, eventID string) (content []byte, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT content FROM license_files WHERE event_id = ? AND uploaded_at IS NOT NULL", eventID).Scan(&content)
	return one(content, err)
}

// LicenseFiles lists what was asked for, newest first; for one instance if lineID is not empty.
func (s *Store) LicenseFiles(ctx context.Context, lineID string, limit int) ([]LicenseFile, error) {
	return collect(ctx, s.read, scanLicenseFile, "SELECT "+licenseFileColumns+
		" FROM license_files WHERE ?1 = '' OR line_id = ?1 ORDER BY asked_at DESC, rowid DESC LIMIT ?2", lineID, limit)
}

// PutLicenseFile writes what was asked for, new or not, and the content.
func (tx *Tx) PutLicenseFile(f LicenseFile, content []byte) error {
	if content == nil {
		content = []byte{} // no value would be NULL
	}
	return tx.exec("INSERT INTO license_files ("+licenseFileColumns+`, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (event_id) DO UPDATE SET uploaded_at = excluded.uploaded_at, type = excluded.type, file_name = excluded.file_name,
		sha256 = excluded.sha256, size = excluded.size, content = excluded.content`,
		f.EventID, f.LineID, f.SellerID, f.InstanceID, f.Fingerprint, millis(f.AskedAt), millis(f.UploadedAt), f.Type, f.FileName, f.SHA256, f.Size, content)
}
