INSERT INTO setting (name, value) VALUES ('clock-ahead', '1h0m0s');
INSERT INTO orders (order_id, line_id, order_type, status, created_at, document) VALUES
  ('CS1', 'CS1-000001', 'NEW', 'completed', 1, '{"orderId":"CS1","orderLine":[{"orderLineId":"CS1-000001"}]}');
INSERT INTO instances (line_id, order_id, instance_id, charging_mode, sku_code, product_id, quantity, status, intent, violation, created_at, expire_at, release_at, timer_at, front_end_url)
  VALUES ('CS1-000001', 'CS1', 'i1', 'PERIOD', 'demo-period', 'OFFI1', 2, 'ready', 'ready', 0, 1, 5000, NULL, 5000, 'https://app');
INSERT INTO calls (call_id, line_id, activity, order_id, body, status, created_at, started_at, due_at, tries, attempts, result_code, last_error) VALUES
  (6, 'CS1-000001', 'newInstance', 'CS1', '{"activity":"newInstance","orderId":"CS1","orderLineId":"CS1-000001","businessId":"b1"}', 'succeeded', 1, 1, NULL, 1, 1, '000000', ''),
  (7, 'CS1-000001', 'releaseInstance', '', '{"activity":"releaseInstance","instanceId":"i1"}', 'pending', 1, 2, 3, 1, 1, '000005', 'x');
INSERT INTO attempts (attempt_id, call_id, line_id, activity, number, started_at, url, request_body, status, content_type, response_body, duration_us, outcome, detail, violations) VALUES
  (8, 6, 'CS1-000001', 'newInstance', 1, 1, 'http://isv', '{}', 200, 'application/json', '{}', 900, 'succeeded', '', '[]'),
  (9, 7, 'CS1-000001', 'releaseInstance', 2, 2, 'http://isv', '{}', 0, '', '', 0, 'started', '', '["a violation"]');
INSERT INTO usage_records (record_id, metering_sn, instance_id, package_id, begin_time, end_time, record_time, usage_value, received_at, accepted, error_code, error_msg) VALUES
  (3, 'sn-1', 'i1', '', '20260101000000', '20260101010000', '20260101010000', '5', 4, 1, '', ''), (4, 'sn-1', 'i1', '', '', '', '', 'x', 4, 0, '91010002', 'wrong');
