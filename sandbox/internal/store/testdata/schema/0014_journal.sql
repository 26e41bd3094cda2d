INSERT INTO journal_marks (at, attempt_id, call_id) VALUES (13, 13, 12);
