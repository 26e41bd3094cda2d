-- Joint operation: enterprises with departments and users, application credentials, bindings, and what the auth centres gave out.
-- Times are milliseconds since 1970 (UTC) on the sandbox's clock. Secrets, passwords and tokens are kept as digests.
CREATE TABLE kit_tenants (
  tenant_id  TEXT PRIMARY KEY,
  code       TEXT NOT NULL UNIQUE COLLATE NOCASE,
  name       TEXT NOT NULL,
  domain     TEXT NOT NULL,       -- of its auth centre, as told last
  test       INTEGER NOT NULL,    -- belongs to an application credential
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE kit_departments (
  tenant_id   TEXT NOT NULL REFERENCES kit_tenants (tenant_id),
  org_code    TEXT NOT NULL,
  org_name    TEXT NOT NULL,
  parent_code TEXT NOT NULL,      -- empty at the top
  PRIMARY KEY (tenant_id, org_code)
) STRICT;

CREATE TABLE kit_users (
  tenant_id     TEXT NOT NULL REFERENCES kit_tenants (tenant_id),
  user_name     TEXT NOT NULL,
  org_code      TEXT NOT NULL,
  document      TEXT NOT NULL,    -- kit.User
  centre_id     TEXT NOT NULL,    -- names of the user at the auth centre and
  account_id    TEXT NOT NULL,    -- in the marketplace's account system
  password_hash TEXT NOT NULL,
  PRIMARY KEY (tenant_id, user_name)
) STRICT;
CREATE INDEX kit_users_by_department ON kit_users (tenant_id, org_code);

CREATE TABLE kit_applications (
  app_id         TEXT PRIMARY KEY,
  product_code   TEXT NOT NULL UNIQUE REFERENCES products (product_code),
  name           TEXT NOT NULL,
  callback_url   TEXT NOT NULL,
  multi_instance INTEGER NOT NULL,
  digests        INTEGER NOT NULL, -- secret.Digests
  test_tenant_id TEXT NOT NULL REFERENCES kit_tenants (tenant_id),
  created_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE kit_clients (
  tenant_id   TEXT NOT NULL REFERENCES kit_tenants (tenant_id),
  app_id      TEXT NOT NULL REFERENCES kit_applications (app_id),
  client_id   TEXT NOT NULL UNIQUE,
  secret      TEXT NOT NULL,      -- encrypted with the ISV's public key
  secret_hash TEXT NOT NULL,
  PRIMARY KEY (tenant_id, app_id)
) STRICT;

CREATE TABLE kit_bindings (
  binding_id  INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant_id   TEXT NOT NULL REFERENCES kit_tenants (tenant_id),
  app_id      TEXT NOT NULL REFERENCES kit_applications (app_id),
  line_id     TEXT NOT NULL,      -- the instance; empty for the test tenant of a credential
  order_id    TEXT NOT NULL,
  instance_id TEXT NOT NULL,
  UNIQUE (tenant_id, app_id, line_id)
) STRICT;
CREATE UNIQUE INDEX kit_bindings_by_line ON kit_bindings (line_id) WHERE line_id <> '';

CREATE TABLE kit_grants (
  tenant_id TEXT NOT NULL,
  user_name TEXT NOT NULL,
  app_id    TEXT NOT NULL,
  line_id   TEXT NOT NULL,
  cancelled INTEGER NOT NULL,     -- the ISV knows the user, who may no longer use the instance
  PRIMARY KEY (tenant_id, user_name, app_id, line_id),
  FOREIGN KEY (tenant_id, user_name) REFERENCES kit_users (tenant_id, user_name)
) STRICT;
CREATE INDEX kit_grants_by_application ON kit_grants (app_id, tenant_id, line_id);

CREATE TABLE kit_tokens (
  token_hash TEXT PRIMARY KEY,
  kind       TEXT NOT NULL,       -- kit.TokenKind
  tenant_id  TEXT NOT NULL,
  app_id     TEXT NOT NULL,       -- empty for a session
  user_name  TEXT NOT NULL,
  family     TEXT NOT NULL,       -- of what came from one login
  used       INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX kit_tokens_by_family ON kit_tokens (family);
CREATE INDEX kit_tokens_by_user ON kit_tokens (tenant_id, user_name);
CREATE INDEX kit_tokens_by_expiry ON kit_tokens (expires_at);
