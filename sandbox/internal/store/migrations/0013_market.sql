-- Sellers on markets, what they earned and paid, and what followed from failed deliveries. Times are milliseconds since 1970 (UTC) on the
-- sandbox's clock.
CREATE TABLE registrations (
  seller_id TEXT PRIMARY KEY,
  document  TEXT NOT NULL        -- store.Registration
) STRICT;

CREATE TABLE market_entries (
  seller_id   TEXT NOT NULL,
  entry_id    TEXT NOT NULL,     -- of a sale the order line
  at          INTEGER NOT NULL,  -- may be ahead: a sale counts some hours after acceptance
  of_id       TEXT NOT NULL,     -- of a refund the sale, or empty
  buyer_id    TEXT NOT NULL,
  full_refund INTEGER NOT NULL,  -- 1: it is one of the buyer's full refunds of the year
  document    TEXT NOT NULL,     -- settlement.Entry
  PRIMARY KEY (seller_id, entry_id)
) STRICT;
CREATE INDEX market_entries_by_time ON market_entries (seller_id, at);
CREATE INDEX market_entries_by_sale ON market_entries (seller_id, of_id);
CREATE INDEX market_entries_by_buyer ON market_entries (buyer_id, at) WHERE full_refund = 1;

CREATE TABLE failed_deliveries (
  line_id      TEXT PRIMARY KEY,
  seller_id    TEXT NOT NULL,
  product_code TEXT NOT NULL,
  failed_at    INTEGER NOT NULL,
  repaired_at  INTEGER NOT NULL  -- 0: not repaired
) STRICT;
CREATE INDEX failed_deliveries_open ON failed_deliveries (seller_id, failed_at) WHERE repaired_at = 0;

CREATE TABLE market_actions (
  product_code TEXT PRIMARY KEY,
  seller_id    TEXT NOT NULL,
  document     TEXT NOT NULL     -- store.MarketAction: what the market did to the product, and what it was before
) STRICT;
