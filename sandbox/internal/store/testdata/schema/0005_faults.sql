INSERT INTO faults (fault_id, seq, rule, total, requests, row) VALUES ('f1', 1, '{"id":"f1","kind":"duplicate"}', 1, 0, 0);
INSERT INTO fault_uses (fault_id, call_id, number) VALUES ('f1', 12, 1);
