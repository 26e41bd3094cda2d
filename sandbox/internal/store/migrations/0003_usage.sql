-- Usage of several sellers, and what it comes to: packages, bills. Numbers that must be exact are text.
DROP INDEX usage_by_sn;
DROP INDEX usage_by_window;
ALTER TABLE usage_records ADD COLUMN seller_id TEXT NOT NULL DEFAULT 'demo';
ALTER TABLE usage_records ADD COLUMN line_id TEXT NOT NULL DEFAULT '';     -- the instance; empty where it was not found
ALTER TABLE usage_records ADD COLUMN product_id TEXT NOT NULL DEFAULT '';  -- as pushed in the older form
ALTER TABLE usage_records ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';  -- JSON array of text
ALTER TABLE usage_records ADD COLUMN day TEXT NOT NULL DEFAULT '';         -- the bill it belongs to
ALTER TABLE usage_records ADD COLUMN price TEXT NOT NULL DEFAULT '';       -- of a unit, when it came
UPDATE usage_records SET line_id = coalesce((SELECT line_id FROM instances i WHERE i.instance_id = usage_records.instance_id), '') WHERE accepted = 1;
CREATE UNIQUE INDEX usage_by_sn ON usage_records (seller_id, metering_sn) WHERE accepted = 1 AND metering_sn <> '';
CREATE UNIQUE INDEX usage_by_window ON usage_records (line_id, begin_time, end_time) WHERE accepted = 1;

-- What packages paid for a record.
CREATE TABLE usage_deductions (
  record_id INTEGER NOT NULL REFERENCES usage_records (record_id),
  line_id   TEXT NOT NULL,      -- the package
  amount    TEXT NOT NULL,
  PRIMARY KEY (record_id, line_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_deductions_by_package ON usage_deductions (line_id);

-- How far packages are used. There is a row from the first deduction on.
CREATE TABLE usage_packages (
  line_id TEXT PRIMARY KEY,
  amount  TEXT NOT NULL,        -- as bought
  used    TEXT NOT NULL,
  empty   INTEGER NOT NULL
) STRICT;
CREATE INDEX instances_packages ON instances (buyer_id, product_code, created_at) WHERE charging_mode = 'ON_DEMAND_PKG';

-- Running sums by instance, day in Beijing, and price.
CREATE TABLE usage_bills (
  line_id  TEXT NOT NULL,
  day      TEXT NOT NULL,
  price    TEXT NOT NULL,
  records  INTEGER NOT NULL,
  usage    TEXT NOT NULL,
  deducted TEXT NOT NULL,
  unpaid   TEXT NOT NULL,
  charged  TEXT NOT NULL,
  amount   TEXT NOT NULL,
  PRIMARY KEY (line_id, day, price)
) STRICT, WITHOUT ROWID;
