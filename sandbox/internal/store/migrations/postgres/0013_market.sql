-- As 0013_market.sql of SQLite.
CREATE TABLE registrations (
  seller_id TEXT COLLATE "C" PRIMARY KEY,
  document  TEXT COLLATE "C" NOT NULL
);

CREATE TABLE market_entries (
  seller_id   TEXT COLLATE "C" NOT NULL,
  entry_id    TEXT COLLATE "C" NOT NULL,
  at          BIGINT NOT NULL,
  of_id       TEXT COLLATE "C" NOT NULL,
  buyer_id    TEXT COLLATE "C" NOT NULL,
  full_refund BIGINT NOT NULL,
  document    TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (seller_id, entry_id)
);
CREATE INDEX market_entries_by_time ON market_entries (seller_id, at);
CREATE INDEX market_entries_by_sale ON market_entries (seller_id, of_id);
CREATE INDEX market_entries_by_buyer ON market_entries (buyer_id, at) WHERE full_refund = 1;

CREATE TABLE failed_deliveries (
  line_id      TEXT COLLATE "C" PRIMARY KEY,
  seller_id    TEXT COLLATE "C" NOT NULL,
  product_code TEXT COLLATE "C" NOT NULL,
  failed_at    BIGINT NOT NULL,
  repaired_at  BIGINT NOT NULL
);
CREATE INDEX failed_deliveries_open ON failed_deliveries (seller_id, failed_at) WHERE repaired_at = 0;

CREATE TABLE market_actions (
  product_code TEXT COLLATE "C" PRIMARY KEY,
  seller_id    TEXT COLLATE "C" NOT NULL,
  document     TEXT COLLATE "C" NOT NULL
);
