INSERT INTO events (event_id, seller_id, kind, subject, at, text, details) VALUES (5, 'acme', 'order-placed', 'CS2-000001', 8, 'an order', '{"a":"b"}');
