-- How far the journal had come at moments of real time (milliseconds since 1970, UTC), so that what is older than so many days can be told by
-- its number: the times of attempts are those of the sandbox's clock, which can be moved.
CREATE TABLE journal_marks (
  at         INTEGER PRIMARY KEY,
  attempt_id INTEGER NOT NULL,    -- the latest of that moment
  call_id    INTEGER NOT NULL
) STRICT;
