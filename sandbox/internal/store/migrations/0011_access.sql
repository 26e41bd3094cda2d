-- Who may what: the keys that sign tokens, what was done with tokens, and whose a tenant is. Times here are real time, in milliseconds
-- since 1970 (UTC).
CREATE TABLE token_keys (
  key_id     TEXT PRIMARY KEY,
  secret     TEXT NOT NULL,      -- Base64
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
  audit_id  INTEGER PRIMARY KEY AUTOINCREMENT,
  at        INTEGER NOT NULL,
  token_id  TEXT NOT NULL,       -- empty: the control token
  role      TEXT NOT NULL,
  seller_id TEXT NOT NULL,       -- whose token it was, or empty
  operation TEXT NOT NULL,
  ids       TEXT NOT NULL,       -- JSON object of text
  status    INTEGER NOT NULL,
  outcome   TEXT NOT NULL
) STRICT;

ALTER TABLE kit_tenants ADD COLUMN seller_id TEXT NOT NULL DEFAULT ''; -- empty: the operator's
UPDATE kit_tenants SET seller_id = coalesce((SELECT p.seller_id FROM kit_applications a JOIN products p ON p.product_code = a.product_code
  WHERE a.test_tenant_id = kit_tenants.tenant_id), '') WHERE test = 1;

CREATE INDEX calls_by_seller ON calls (seller_id, call_id);
CREATE INDEX attempts_by_seller ON attempts (seller_id, attempt_id);
CREATE INDEX usage_by_seller ON usage_records (seller_id, record_id);
