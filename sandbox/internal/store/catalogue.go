package store

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/isvkit/isvkit/sandbox/internal/catalogue"
)

// scanDocument reads a row that is one JSON document.
func scanDocument[T any](row interface{ Scan(...any) error }) (v T, err error) {
	var document []byte
	if err := row.Scan(&document); err != nil {
		return v, err
	}
	return v, json.Unmarshal(document, &v)
}

// Seller finds a seller.
func (s *Store) Seller(ctx context.Context, id string) (catalogue.Seller, error) {
	return s.seller(one(scanDocument[catalogue.Seller](s.read.QueryRowContext(ctx, "SELECT document FROM sellers WHERE seller_id = ?", id))))
}

// SellerByAK finds the seller whose AK signs a request.
func (s *Store) SellerByAK(ctx context.Context, ak string) (catalogue.Seller, error) {
	return s.seller(one(scanDocument[catalogue.Seller](s.read.QueryRowContext(ctx, "SELECT document FROM sellers WHERE ak = ?", ak))))
}

// Sellers lists the sellers by id.
func (s *Store) Sellers(ctx context.Context) ([]catalogue.Seller, error) {
	return collect(ctx, s.read, func(row interface{ Scan(...any) error }) (catalogue.Seller, error) {
		return s.seller(scanDocument[catalogue.Seller](row))
	}, "SELECT document FROM sellers ORDER BY seller_id")
}

// Seller finds a seller.
func (tx *Tx) Seller(id string) (catalogue.Seller, error) {
	return tx.store.seller(one(scanDocument[catalogue.Seller](tx.row("SELECT document FROM sellers WHERE seller_id = ?", id))))
}

// PutSeller writes a seller, new or not.
func (tx *Tx) PutSeller(v catalogue.Seller) error {
	tx.store.seal(sealedSeller(&v))
	tx.catalogue = true
	return putSeller(tx.ctx, tx.tx, v)
}

// putSeller writes a seller as he is.
func putSeller(ctx context.Context, tx transaction, v catalogue.Seller) error {
	document, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO sellers (seller_id, ak, document) VALUES (?, ?, ?)
		ON CONFLICT (seller_id) DO UPDATE SET ak = excluded.ak, document = excluded.document`, v.ID, v.Keys.AK, string(document))
	return err
}

// Product finds a product.
func (s *Store) Product(ctx context.Context, code string) (catalogue.Product, error) {
	return one(scanDocument[catalogue.Product](s.read.QueryRowContext(ctx, "SELECT document FROM products WHERE product_code = ?", code)))
}

// Products lists the products by code; of one seller if sellerID is not empty.
func (s *Store) Products(ctx context.Context, sellerID string) ([]catalogue.Product, error) {
	return collect(ctx, s.read, scanDocument[catalogue.Product], "SELECT document FROM products WHERE ?1 = '' OR seller_id = ?1 ORDER BY product_code", sellerID)
}

// Product finds a product. Its SKUs are shared by all who ask: they are not to be changed.
func (tx *Tx) Product(code string) (catalogue.Product, error) {
	return decodedOnce(tx, &tx.store.products, code, tx.decodeProduct)
}

// decodedOnce reads something of the catalogue that is the same for thousands of calls: it is decoded once, until a seller, product or
// registration changes. What a transaction sees may be older than the latest version, but not than the one at its begin.
func decodedOnce[T any](tx *Tx, c *versioned[T], key string, read func(key string) (T, error)) (T, error) {
	version := tx.known.catalogue
	if tx.catalogue || version != tx.store.CatalogueVersion() {
		return read(key)
	}
	if v, ok := c.get(version, key); ok {
		return v, nil
	}
	v, err := read(key)
	if err == nil {
		c.put(version, key, v)
	}
	return v, err
}

// versioned are things of the catalogue as they were decoded, of one version of it.
type versioned[T any] struct {
	mu      sync.Mutex
	version int64
	all     map[string]T
}

func (c *versioned[T]) get(version int64, key string) (T, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.all[key]
	return v, ok && c.version == version
}

func (c *versioned[T]) put(version int64, key string, v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || version > c.version {
		c.all, c.version = map[string]T{}, version
	}
	if c.version == version {
		c.all[key] = v
	}
}

func (tx *Tx) decodeProduct(code string) (catalogue.Product, error) {
	return one(scanDocument[catalogue.Product](tx.row("SELECT document FROM products WHERE product_code = ?", code)))
}

// ProductBySKU finds the product that has a SKU.
func (tx *Tx) ProductBySKU(sku string) (catalogue.Product, error) {
	return one(scanDocument[catalogue.Product](tx.row("SELECT p.document FROM products p JOIN skus s ON s.product_code = p.product_code WHERE s.sku_code = ?", sku)))
}

// SKUs lists the codes of all SKUs.
func (tx *Tx) SKUs() ([]string, error) {
	return collect(tx.ctx, tx.tx, scanText, "SELECT sku_code FROM skus ORDER BY sku_code")
}

// PutProduct writes a product, new or not, and its SKUs. A SKU that another product has fails.
func (tx *Tx) PutProduct(p catalogue.Product) error {
	document, err := json.Marshal(p)
	if err != nil {
		return err
	}
	tx.catalogue = true
	if err := tx.exec(`INSERT INTO products (product_code, seller_id, document) VALUES (?, ?, ?)
		ON CONFLICT (product_code) DO UPDATE SET document = excluded.document`, p.Code, p.SellerID, string(document)); err != nil {
		return err
	}
	if err := tx.exec("DELETE FROM skus WHERE product_code = ?", p.Code); err != nil {
		return err
	}
	for _, sku := range p.SKUs {
		if err := tx.exec("INSERT INTO skus (sku_code, product_code) VALUES (?, ?)", sku.Code, p.Code); err != nil {
			return err
		}
	}
	return nil
}

// Buyer finds a buyer.
func (tx *Tx) Buyer(id string) (catalogue.Buyer, error) {
	return one(scanDocument[catalogue.Buyer](tx.row("SELECT document FROM buyers WHERE buyer_id = ?", id)))
}

// Buyers lists the buyers by id.
func (s *Store) Buyers(ctx context.Context) ([]catalogue.Buyer, error) {
	return collect(ctx, s.read, scanDocument[catalogue.Buyer], "SELECT document FROM buyers ORDER BY buyer_id")
}

// PutBuyer writes a buyer, new or not.
func (tx *Tx) PutBuyer(b catalogue.Buyer) error {
	document, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return tx.exec("INSERT INTO buyers (buyer_id, document) VALUES (?, ?) ON CONFLICT (buyer_id) DO UPDATE SET document = excluded.document", b.ID, string(document))
}

// Target finds what says where a product's calls go and which keys sign them.
func (tx *Tx) Target(productCode string) (catalogue.Product, catalogue.Seller, error) {
	p, err := tx.Product(productCode)
	if err != nil {
		return p, catalogue.Seller{}, err
	}
	s, err := tx.Seller(p.SellerID)
	return p, s, err
}
