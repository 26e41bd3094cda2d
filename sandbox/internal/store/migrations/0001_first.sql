-- Times are milliseconds since 1970 (UTC) on the sandbox's clock.
CREATE TABLE setting (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

CREATE TABLE orders (
  order_id    TEXT PRIMARY KEY,
  line_id     TEXT NOT NULL,     -- the instance it is about
  order_type  TEXT NOT NULL,
  status      TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  document    TEXT NOT NULL      -- as queryOrder answers it
) STRICT;
CREATE INDEX orders_by_time ON orders (created_at);

CREATE TABLE instances (
  line_id       TEXT PRIMARY KEY,  -- the order line that created it
  order_id      TEXT NOT NULL,
  instance_id   TEXT UNIQUE,       -- what the ISV calls it, once known
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
  timer_at      INTEGER,           -- when time demands something next
  front_end_url TEXT NOT NULL
) STRICT;
CREATE INDEX instances_by_timer ON instances (timer_at) WHERE timer_at IS NOT NULL;
CREATE INDEX instances_by_time ON instances (created_at);

CREATE TABLE calls (
  call_id     INTEGER PRIMARY KEY AUTOINCREMENT,
  line_id     TEXT NOT NULL REFERENCES instances (line_id),
  activity    TEXT NOT NULL,
  order_id    TEXT NOT NULL,       -- the order it carries out, or empty
  body        TEXT NOT NULL,
  status      TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  started_at  INTEGER NOT NULL,    -- when its timetable began: created, or restarted
  due_at      INTEGER,
  tries       INTEGER NOT NULL,    -- attempts since started_at
  attempts    INTEGER NOT NULL,    -- attempts in all
  result_code TEXT NOT NULL,
  last_error  TEXT NOT NULL
) STRICT;
CREATE INDEX calls_due ON calls (due_at) WHERE status = 'pending';
CREATE INDEX calls_by_line ON calls (line_id, status, call_id);

CREATE TABLE attempts (
  attempt_id    INTEGER PRIMARY KEY AUTOINCREMENT,
  call_id       INTEGER NOT NULL REFERENCES calls (call_id),
  line_id       TEXT NOT NULL,
  activity      TEXT NOT NULL,
  number        INTEGER NOT NULL,
  started_at    INTEGER NOT NULL,
  url           TEXT NOT NULL,
  request_body  TEXT NOT NULL,
  status        INTEGER NOT NULL,
  content_type  TEXT NOT NULL,
  response_body TEXT NOT NULL,
  duration_us   INTEGER NOT NULL,  -- real time
  outcome       TEXT NOT NULL,
  detail        TEXT NOT NULL,
  violations    TEXT NOT NULL      -- JSON array of text
) STRICT;
CREATE INDEX attempts_by_call ON attempts (call_id);
CREATE INDEX attempts_by_line ON attempts (line_id);

CREATE TABLE usage_records (
  record_id     INTEGER PRIMARY KEY AUTOINCREMENT,
  metering_sn   TEXT NOT NULL,
  instance_id   TEXT NOT NULL,
  package_id    TEXT NOT NULL,
  begin_time    TEXT NOT NULL,
  end_time      TEXT NOT NULL,
  record_time   TEXT NOT NULL,
  usage_value   TEXT NOT NULL,
  received_at   INTEGER NOT NULL,
  accepted      INTEGER NOT NULL,
  error_code    TEXT NOT NULL,
  error_msg     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX usage_by_sn ON usage_records (metering_sn) WHERE accepted = 1 AND metering_sn <> '';
CREATE UNIQUE INDEX usage_by_window ON usage_records (instance_id, begin_time, end_time) WHERE accepted = 1;
