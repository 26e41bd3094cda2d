package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
	"github.com/isvkit/isvkit/sandbox/market"
	"github.com/isvkit/isvkit/sandbox/market/settlement"
)

// Registration is a seller on a market.
type Registration struct {
	Market      string            `json:"market"`
	Entered     market.Date       `json:"entered,omitempty"`     // the day of entry; empty: no promotion that counts from it applies
	FirstListed market.Date       `json:"firstListed,omitempty"` // the day on which its first product was put on sale
	Categories  []string          `json:"categories"`            // the first is that of products for which nothing is said
	Products    map[string]string `json:"products,omitempty"`    // categories by product
	Profile     map[string]any    `json:"profile,omitempty"`     // what the policy may ask, by path
}

// Category is that of a product.
func (r Registration) Category(productCode string) string {
	if c, ok := r.Products[productCode]; ok {
		return c
	}
	return r.Categories[0]
}

// Seller is the seller as the rules of money see it.
func (r Registration) Seller(id string) settlement.Seller {
	return settlement.Seller{
		ID: id, Entered: r.Entered, FirstListed: r.FirstListed, Categories: r.Categories,
		Answers: func(field string) (any, bool) { v, ok := r.Profile[field]; return v, ok },
	}
}

// DefaultRegistration is that of sellers who are registered nowhere else.
func DefaultRegistration() Registration {
	return Registration{Market: catalogue.DefaultMarket, Categories: []string{catalogue.DefaultCategory}}
}

const registrationOf = "SELECT document FROM registrations WHERE seller_id = ?"

// Registration says where a seller is registered.
func (s *Store) Registration(ctx context.Context, sellerID string) (Registration, error) {
	return registration(scanDocument[Registration](s.read.QueryRowContext(ctx, registrationOf, sellerID)))
}

// Registration says where a seller is registered. What it has is shared by all who ask: it is not to be changed.
func (tx *Tx) Registration(sellerID string) (Registration, error) {
	return decodedOnce(tx, &tx.store.registrations, sellerID, func(sellerID string) (Registration, error) {
		return registration(scanDocument[Registration](tx.row(registrationOf, sellerID)))
	})
}

func registration(r Registration, err error) (Registration, error) {
	r, err = one(r, err)
	if errors.Is(err, ErrNotFound) {
		return DefaultRegistration(), nil
	}
	return r, err
}

// PutRegistration registers a seller on a market.
func (tx *Tx) PutRegistration(sellerID string, r Registration) error {
	document, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tx.catalogue = true
	return tx.exec("INSERT INTO registrations (seller_id, document) VALUES (?, ?) ON CONFLICT (seller_id) DO UPDATE SET document = excluded.document", sellerID, string(document))
}

// MarketEntry is a movement of a seller's money.
type MarketEntry struct {
	settlement.Entry
	SellerID string
	BuyerID  string // of a refund
	Full     bool   // a full refund, of which a buyer may have so many in a year
}

// AddMarketEntry writes an entry. One that is there already stays as it is; false says so.
func (tx *Tx) AddMarketEntry(e MarketEntry) (added bool, err error) {
	document, err := json.Marshal(e.Entry)
	if err != nil {
		return false, err
	}
	full := 0
	if e.Full {
		full = 1
	}
	r, err := tx.tx.ExecContext(tx.ctx, `INSERT INTO market_entries (seller_id, entry_id, at, of_id, buyer_id, full_refund, document) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (seller_id, entry_id) DO NOTHING`, e.SellerID, e.ID, millis(e.At), e.Of, e.BuyerID, full, string(document))
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// SettleNow moves a sale that lies ahead to now.
func (tx *Tx) SettleNow(sellerID, entryID string, now time.Time) error {
	return tx.exec("UPDATE market_entries SET at = ? WHERE seller_id = ? AND entry_id = ? AND at > ?", millis(now), sellerID, entryID, millis(now))
}

const entryColumns = "at, document"

func scanEntry(row interface{ Scan(...any) error }) (e settlement.Entry, err error) {
	var at int64
	var document []byte
	if err := row.Scan(&at, &document); err != nil {
		return e, err
	}
	err = json.Unmarshal(document, &e)
	e.At = time.UnixMilli(at).UTC()
	return e, err
}

const entriesUntil = "SELECT " + entryColumns + " FROM market_entries WHERE seller_id = ? AND at <= ? ORDER BY at, entry_id"

// MarketEntries lists a seller's entries up to a time, oldest first.
func (s *Store) MarketEntries(ctx context.Context, sellerID string, until time.Time) ([]settlement.Entry, error) {
	return collect(ctx, s.read, scanEntry, entriesUntil, sellerID, millis(until))
}

// MarketEntries lists a seller's entries up to a time, oldest first.
func (tx *Tx) MarketEntries(sellerID string, until time.Time) ([]settlement.Entry, error) {
	return collect(tx.ctx, tx.tx, scanEntry, entriesUntil, sellerID, millis(until))
}

// MarketEntry finds an entry.
func (tx *Tx) MarketEntry(sellerID, entryID string) (settlement.Entry, error) {
	return one(scanEntry(tx.row("SELECT "+entryColumns+" FROM market_entries WHERE seller_id = ? AND entry_id = ?", sellerID, entryID)))
}

// RefundsOf lists the refunds of a sale.
func (tx *Tx) RefundsOf(sellerID, entryID string) ([]settlement.Entry, error) {
	return collect(tx.ctx, tx.tx, scanEntry, "SELECT "+entryColumns+" FROM market_entries WHERE seller_id = ? AND of_id = ? AND of_id <> '' ORDER BY at, entry_id", sellerID, entryID)
}

// FullRefunds counts the full refunds of a buyer in a time, its end excluded.
func (tx *Tx) FullRefunds(buyerID string, from, to time.Time) (n int, err error) {
	err = tx.row("SELECT count(*) FROM market_entries WHERE buyer_id = ? AND full_refund = 1 AND at >= ? AND at < ?", buyerID, millis(from), millis(to)).Scan(&n)
	return n, err
}

// OrdersAbout lists the orders about an instance, oldest first.
func (tx *Tx) OrdersAbout(lineID string) ([]Order, error) {
	return collect(tx.ctx, tx.tx, scanOrder, "SELECT "+orderColumns+" FROM orders WHERE order_id IN (SELECT order_id FROM order_lines WHERE instance_line_id = ?) ORDER BY created_at, order_id", lineID)
}

// FailedDelivery is an instance that could not be delivered.
type FailedDelivery struct {
	LineID, SellerID, ProductCode string
	Since                         time.Time
}

func scanFailed(row interface{ Scan(...any) error }) (f FailedDelivery, err error) {
	var since int64
	err = row.Scan(&f.LineID, &f.SellerID, &f.ProductCode, &since)
	f.Since = time.UnixMilli(since).UTC()
	return f, err
}

const openFailures = "SELECT line_id, seller_id, product_code, failed_at FROM failed_deliveries WHERE seller_id = ? AND repaired_at = 0 ORDER BY failed_at, line_id"

// FailedDeliveries lists the failed deliveries of a seller that are not repaired, oldest first.
func (s *Store) FailedDeliveries(ctx context.Context, sellerID string) ([]FailedDelivery, error) {
	return collect(ctx, s.read, scanFailed, openFailures, sellerID)
}

// FailedDeliveries lists the failed deliveries of a seller that are not repaired, oldest first. Another update of the same seller's waits.
func (tx *Tx) FailedDeliveries(sellerID string) ([]FailedDelivery, error) {
	if err := tx.claim("UPDATE sellers SET seller_id = seller_id WHERE seller_id = ?", sellerID); err != nil {
		return nil, err
	}
	return collect(tx.ctx, tx.tx, scanFailed, openFailures, sellerID)
}

// AddFailedDelivery writes that a delivery failed. One that failed before, and was not repaired, goes on failing since then.
func (tx *Tx) AddFailedDelivery(f FailedDelivery) error {
	tx.desk.failedToDeliver()
	return tx.exec(`INSERT INTO failed_deliveries (line_id, seller_id, product_code, failed_at, repaired_at) VALUES (?, ?, ?, ?, 0)
		ON CONFLICT (line_id) DO UPDATE SET failed_at = CASE WHEN failed_deliveries.repaired_at = 0 THEN failed_deliveries.failed_at ELSE excluded.failed_at END, repaired_at = 0`,
		f.LineID, f.SellerID, f.ProductCode, millis(f.Since))
}

// RepairDelivery writes that a delivery is repaired; false if it had not failed.
func (tx *Tx) RepairDelivery(lineID string, now time.Time) (bool, error) {
	if none, err := tx.desk.noneFailed(tx); err != nil || none {
		return false, err
	}
	r, err := tx.tx.ExecContext(tx.ctx, "UPDATE failed_deliveries SET repaired_at = ? WHERE line_id = ? AND repaired_at = 0", millis(now), lineID)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// MarketAction is what a market did to a product because deliveries failed.
type MarketAction struct {
	ProductCode string                  `json:"productCode"`
	SellerID    string                  `json:"sellerId"`
	Do          string                  `json:"do"`
	Rule        string                  `json:"rule"`
	Before      catalogue.ProductStatus `json:"before"` // that of the product before
}

const actionsOf = "SELECT document FROM market_actions WHERE seller_id = ? ORDER BY product_code"

// MarketActions lists what a market did to the products of a seller.
func (s *Store) MarketActions(ctx context.Context, sellerID string) ([]MarketAction, error) {
	return collect(ctx, s.read, scanDocument[MarketAction], actionsOf, sellerID)
}

// MarketActions lists what a market did to the products of a seller.
func (tx *Tx) MarketActions(sellerID string) ([]MarketAction, error) {
	return collect(tx.ctx, tx.tx, scanDocument[MarketAction], actionsOf, sellerID)
}

// PutMarketAction writes what a market did to a product.
func (tx *Tx) PutMarketAction(a MarketAction) error {
	document, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO market_actions (product_code, seller_id, document) VALUES (?, ?, ?) ON CONFLICT (product_code) DO UPDATE SET document = excluded.document", a.ProductCode, a.SellerID, string(document))
}

// DropMarketAction forgets what a market did to a product.
func (tx *Tx) DropMarketAction(productCode string) error {
	return tx.exec("DELETE FROM market_actions WHERE product_code = ?", productCode)
}

// ProductsOf lists the products of a seller by code.
func (tx *Tx) ProductsOf(sellerID string) ([]catalogue.Product, error) {
	return collect(tx.ctx, tx.tx, scanDocument[catalogue.Product], "SELECT document FROM products WHERE seller_id = ? ORDER BY product_code", sellerID)
}
