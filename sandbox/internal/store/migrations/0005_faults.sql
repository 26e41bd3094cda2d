-- Faults that are switched on, and where they have struck.
CREATE TABLE faults (
  fault_id TEXT PRIMARY KEY,
  seq      INTEGER NOT NULL,        -- the order in which rules are asked
  rule     TEXT NOT NULL,           -- fault.Rule
  total    INTEGER NOT NULL,        -- how often it has struck
  requests INTEGER NOT NULL,        -- open API: requests that matched
  row      INTEGER NOT NULL         -- open API: struck one after the other, up to now
) STRICT;

-- The attempts that a rule has struck.
CREATE TABLE fault_uses (
  fault_id TEXT NOT NULL REFERENCES faults (fault_id) ON DELETE CASCADE,
  call_id  INTEGER NOT NULL,
  number   INTEGER NOT NULL,        -- of the attempt
  PRIMARY KEY (call_id, fault_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX fault_uses_by_fault ON fault_uses (fault_id);
