INSERT INTO registrations (seller_id, document) VALUES ('acme', '{}');
INSERT INTO market_entries (seller_id, entry_id, at, of_id, buyer_id, full_refund, document) VALUES ('acme', 'CS2-000001', 13, '', 'b', 0, '{}');
INSERT INTO failed_deliveries (line_id, seller_id, product_code, failed_at, repaired_at) VALUES ('CS2-000001', 'acme', 'crm', 13, 0);
INSERT INTO market_actions (product_code, seller_id, document) VALUES ('crm', 'acme', '{}');
