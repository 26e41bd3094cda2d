CREATE TABLE licenses (
  code       TEXT PRIMARY KEY,
  order_id   TEXT NOT NULL,
  seller_id  TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  document   TEXT NOT NULL      -- license.License
) STRICT;
CREATE INDEX licenses_by_order ON licenses (order_id);
CREATE INDEX licenses_by_time ON licenses (created_at);

-- Licences of instances that buyers asked for as a text or a file, and what the ISV uploaded.
CREATE TABLE license_files (
  event_id    TEXT PRIMARY KEY,
  line_id     TEXT NOT NULL,
  seller_id   TEXT NOT NULL,
  instance_id TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  asked_at    INTEGER NOT NULL,
  uploaded_at INTEGER,
  type        TEXT NOT NULL,
  file_name   TEXT NOT NULL,
  sha256      TEXT NOT NULL,
  size        INTEGER NOT NULL,
  content     BLOB NOT NULL
) STRICT;
CREATE INDEX license_files_by_line ON license_files (line_id);
