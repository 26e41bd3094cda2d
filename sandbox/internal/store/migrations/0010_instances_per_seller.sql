-- An instance's id is the ISV's choice, so it is unique among the instances of one seller, not of all.
CREATE TABLE instances_new (
  line_id       TEXT PRIMARY KEY,                   -- the order line that created it
  seller_id     TEXT NOT NULL,
  product_code  TEXT NOT NULL,
  buyer_id      TEXT NOT NULL,
  order_id      TEXT NOT NULL,
  instance_id   TEXT,                               -- what the ISV calls it, once known
  charging_mode TEXT NOT NULL,
  sku_code      TEXT NOT NULL,
  product_id    TEXT NOT NULL,
  quantity      INTEGER NOT NULL,
  status        TEXT NOT NULL,
  intent        TEXT NOT NULL,
  violation     INTEGER NOT NULL,
  created_at    INTEGER NOT NULL,
  expire_at     INTEGER,
  release_at    INTEGER,
  timer_at      INTEGER,                            -- when time demands something next
  front_end_url TEXT NOT NULL,
  more          TEXT NOT NULL                       -- JSON object of what no query asks for
) STRICT;
INSERT INTO instances_new (rowid, line_id, seller_id, product_code, buyer_id, order_id, instance_id, charging_mode, sku_code, product_id, quantity, status, intent,
    violation, created_at, expire_at, release_at, timer_at, front_end_url, more)
  SELECT rowid, line_id, seller_id, product_code, buyer_id, order_id, instance_id, charging_mode, sku_code, product_id, quantity, status, intent,
    violation, created_at, expire_at, release_at, timer_at, front_end_url, more FROM instances ORDER BY rowid;
DROP TABLE instances;
ALTER TABLE instances_new RENAME TO instances;
CREATE UNIQUE INDEX instances_by_id ON instances (instance_id, seller_id);
CREATE INDEX instances_by_time ON instances (created_at);
CREATE INDEX instances_packages ON instances (buyer_id, product_code, created_at) WHERE charging_mode = 'ON_DEMAND_PKG';

-- Short names of tenants are compared in lower case, which every database can do alike.
CREATE UNIQUE INDEX kit_tenants_by_code ON kit_tenants (lower(code));
