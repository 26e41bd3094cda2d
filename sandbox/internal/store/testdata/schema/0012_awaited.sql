INSERT INTO awaited (attempt_id, process) VALUES (13, 0);
