-- Debug cases, what probes of products with them showed, and the orders that failed. Times are milliseconds since 1970 (UTC) on the
-- sandbox's clock.
CREATE TABLE debug_cases (
  product_code TEXT NOT NULL,
  name         TEXT NOT NULL,     -- the activity as the product's access interface names it
  scene        TEXT NOT NULL,
  activity     TEXT NOT NULL,     -- the activity in V2
  order_id     TEXT NOT NULL,     -- the mock order that it is about, or empty
  body         TEXT NOT NULL,
  saved_at     INTEGER NOT NULL,
  called_at    INTEGER NOT NULL,  -- saved, or probed
  problem      TEXT NOT NULL,     -- why it failed then; empty: it passed
  PRIMARY KEY (product_code, name, scene)
) STRICT;

CREATE TABLE product_health (
  product_code TEXT PRIMARY KEY,
  document     TEXT NOT NULL      -- probe.Health
) STRICT;

CREATE TABLE failed_orders (
  order_id     TEXT PRIMARY KEY,
  product_code TEXT NOT NULL,
  failed_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX failed_orders_by_product ON failed_orders (product_code, failed_at);
