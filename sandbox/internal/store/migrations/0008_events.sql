-- What happened, written with it. Times are milliseconds since 1970 (UTC) on the sandbox's clock.
CREATE TABLE events (
  event_id  INTEGER PRIMARY KEY AUTOINCREMENT,
  seller_id TEXT NOT NULL,   -- whom it concerns, or empty
  kind      TEXT NOT NULL,
  subject   TEXT NOT NULL,
  at        INTEGER NOT NULL,
  text      TEXT NOT NULL,   -- for people
  details   TEXT NOT NULL    -- JSON object of text
) STRICT;
