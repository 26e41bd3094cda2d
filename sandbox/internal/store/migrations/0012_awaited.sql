-- Attempts under way whose call is not pending: somebody waits for the answer, or they are made besides another. If their process dies, nothing
-- else tells that they ended.
CREATE TABLE awaited (
  attempt_id INTEGER PRIMARY KEY,
  process    INTEGER NOT NULL     -- its number among those that share the database; 0 where there is one
) STRICT;
INSERT INTO awaited (attempt_id, process) SELECT attempt_id, 0 FROM attempts WHERE outcome = 'started' AND call_id NOT IN (SELECT call_id FROM calls WHERE status = 'pending');
