INSERT INTO sellers (seller_id, ak, document) VALUES
  ('acme', 'ak-acme', '{"sellerId":"acme","name":"Acme","productionAddress":"https://isv.example.com","keys":{"ak":"ak-acme","sk":"plain-sk","base":"plain-base","kit":"","general":"","license":""}}');
INSERT INTO products (product_code, seller_id, document) VALUES ('crm', 'acme', '{"productCode":"crm","sellerId":"acme"}');
INSERT INTO skus (sku_code, product_code) VALUES ('crm-pro', 'crm');
INSERT INTO buyers (buyer_id, document) VALUES ('b', '{"buyerId":"b"}');
INSERT INTO orders (order_id, line_id, order_type, status, created_at, document, seller_id, buyer_id) VALUES ('CS2', 'CS2-000001', 'NEW', 'processing', 2, '{"orderId":"CS2","orderLine":[]}', 'acme', 'b');
INSERT INTO order_lines (line_id, order_id, instance_line_id, status) VALUES ('CS2-000001', 'CS2', 'CS2-000001', 'processing');
INSERT INTO instances (line_id, order_id, instance_id, charging_mode, sku_code, product_id, quantity, status, intent, violation, created_at, front_end_url, seller_id, product_code, buyer_id)
  VALUES ('CS2-000001', 'CS2', NULL, 'ON_DEMAND_PKG', 'crm-pro', 'OFFI2', 1, 'creating', 'ready', 0, 2, '', 'acme', 'crm', 'b');
INSERT INTO calls (call_id, seq, subject, line_id, seller_id, product_code, activity, order_id, body, debug, status, created_at, started_at, due_at, tries, attempts, result_code, last_error)
  VALUES (12, 12, 'CS2-000001', 'CS2-000001', 'acme', 'crm', 'releaseInstance', '', '{"activity":"releaseInstance","instanceId":"i2"}', 0, 'waiting', 2, 2, NULL, 3, 3, '000005', 'x');
INSERT INTO attempts (attempt_id, call_id, subject, line_id, seller_id, product_code, activity, number, started_at, fault, method, url, request_headers, request_body, status, content_type,
    response_body, duration_us, outcome, result_code, detail, violations)
  VALUES (13, 12, 'CS2-000001', 'CS2-000001', 'acme', 'crm', 'releaseInstance', 3, 2, '', 'POST', 'https://isv', '{}', '{}', 200, 'application/json', '{}', 5, 'refused', '000005', 'x', '[]');
INSERT INTO timers (subject, due_at) VALUES ('probe/crm', 77);
