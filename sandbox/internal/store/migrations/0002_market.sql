-- From one product and one seller to a marketplace: sellers, products, buyers, orders of several lines, and calls about more than
-- instances. Times are milliseconds since 1970 (UTC) on the sandbox's clock.
CREATE TABLE sellers (
  seller_id TEXT PRIMARY KEY,
  ak        TEXT NOT NULL UNIQUE,   -- finds the seller of a request to the open API
  document  TEXT NOT NULL           -- catalogue.Seller
) STRICT;

CREATE TABLE products (
  product_code TEXT PRIMARY KEY,
  seller_id    TEXT NOT NULL REFERENCES sellers (seller_id),
  document     TEXT NOT NULL        -- catalogue.Product
) STRICT;
CREATE INDEX products_by_seller ON products (seller_id);

CREATE TABLE skus (
  sku_code     TEXT PRIMARY KEY,
  product_code TEXT NOT NULL REFERENCES products (product_code)
) STRICT;

CREATE TABLE buyers (
  buyer_id TEXT PRIMARY KEY,
  document TEXT NOT NULL            -- catalogue.Buyer
) STRICT;

ALTER TABLE orders ADD COLUMN seller_id TEXT NOT NULL DEFAULT 'demo';
ALTER TABLE orders ADD COLUMN buyer_id TEXT NOT NULL DEFAULT 'demo-buyer';

-- Which instance each line of an order is about.
CREATE TABLE order_lines (
  line_id          TEXT PRIMARY KEY,
  order_id         TEXT NOT NULL,
  instance_line_id TEXT NOT NULL,   -- the line that created the instance; itself for a new order
  status           TEXT NOT NULL
) STRICT;
CREATE INDEX order_lines_by_order ON order_lines (order_id);
CREATE INDEX order_lines_by_instance ON order_lines (instance_line_id);
INSERT INTO order_lines (line_id, order_id, instance_line_id, status)
  SELECT json_extract(document, '$.orderLine[0].orderLineId'), order_id, line_id, status FROM orders;

ALTER TABLE instances ADD COLUMN seller_id TEXT NOT NULL DEFAULT 'demo';
ALTER TABLE instances ADD COLUMN product_code TEXT NOT NULL DEFAULT 'demo';
ALTER TABLE instances ADD COLUMN buyer_id TEXT NOT NULL DEFAULT 'demo-buyer';

CREATE TABLE calls_new (
  call_id      INTEGER PRIMARY KEY AUTOINCREMENT,
  seq          INTEGER NOT NULL,    -- its place among the calls of its subject
  subject      TEXT NOT NULL,       -- what it is about; calls of one subject are made one after the other
  line_id      TEXT NOT NULL,       -- the instance it is about, or empty
  seller_id    TEXT NOT NULL,
  product_code TEXT NOT NULL,       -- says where it goes and which keys sign it
  activity     TEXT NOT NULL,
  order_id     TEXT NOT NULL,       -- the order it carries out, or empty
  body         TEXT NOT NULL,
  debug        INTEGER NOT NULL,    -- a debug call, of which nothing follows
  status       TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  started_at   INTEGER NOT NULL,    -- when its timetable began: created, or restarted
  due_at       INTEGER,
  tries        INTEGER NOT NULL,    -- attempts since started_at
  attempts     INTEGER NOT NULL,    -- attempts in all
  result_code  TEXT NOT NULL,
  last_error   TEXT NOT NULL
) STRICT;
INSERT INTO calls_new SELECT call_id, call_id, line_id, line_id, 'demo', 'demo', activity, order_id, body, 0, status, created_at, started_at, due_at,
  tries, attempts, result_code, last_error FROM calls;

CREATE TABLE attempts_new (
  attempt_id      INTEGER PRIMARY KEY AUTOINCREMENT,
  call_id         INTEGER NOT NULL,
  subject         TEXT NOT NULL,
  line_id         TEXT NOT NULL,
  seller_id       TEXT NOT NULL,
  product_code    TEXT NOT NULL,
  activity        TEXT NOT NULL,
  number          INTEGER NOT NULL,
  started_at      INTEGER NOT NULL,
  fault           TEXT NOT NULL,    -- the fault that disturbed it, or because of which it was made; or empty
  method          TEXT NOT NULL,
  url             TEXT NOT NULL,
  request_headers TEXT NOT NULL,    -- JSON object of those that carry a signature
  request_body    TEXT NOT NULL,
  status          INTEGER NOT NULL,
  content_type    TEXT NOT NULL,
  response_body   TEXT NOT NULL,
  duration_us     INTEGER NOT NULL, -- real time
  outcome         TEXT NOT NULL,
  result_code     TEXT NOT NULL,
  detail          TEXT NOT NULL,
  violations      TEXT NOT NULL     -- JSON array of text
) STRICT;
INSERT INTO attempts_new SELECT attempt_id, call_id, line_id, line_id, 'demo', 'demo', activity, number, started_at, '', 'POST', url, '{}', request_body, status,
  content_type, response_body, duration_us, outcome, '', detail, violations FROM attempts;

DROP TABLE attempts;
DROP TABLE calls;
ALTER TABLE calls_new RENAME TO calls;
ALTER TABLE attempts_new RENAME TO attempts;
CREATE INDEX calls_pending ON calls (call_id) WHERE status = 'pending';
CREATE INDEX calls_by_line ON calls (line_id) WHERE line_id <> subject;
CREATE INDEX calls_by_subject ON calls (subject, call_id);
CREATE INDEX calls_waiting ON calls (call_id) WHERE status = 'waiting';
CREATE INDEX attempts_by_call ON attempts (call_id);

-- When time demands something of anything but an instance, by subject.
CREATE TABLE timers (
  subject TEXT PRIMARY KEY,
  due_at  INTEGER NOT NULL
) STRICT;
DROP INDEX instances_by_timer;
