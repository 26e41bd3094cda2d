-- As 0012_awaited.sql of SQLite.
CREATE TABLE awaited (
  attempt_id BIGINT PRIMARY KEY,
  process    BIGINT NOT NULL
);
INSERT INTO awaited (attempt_id, process) SELECT attempt_id, 0 FROM attempts WHERE outcome = 'started' AND call_id NOT IN (SELECT call_id FROM calls WHERE status = 'pending');
