INSERT INTO usage_records (record_id, metering_sn, instance_id, package_id, begin_time, end_time, record_time, usage_value, received_at, accepted, error_code, error_msg, seller_id, line_id, product_id, warnings, day, price)
  VALUES (9, 'sn-1', 'i2', 'p', '20260102000000', '20260102010000', '20260102010000', '7', 5, 1, '', '', 'acme', 'CS2-000001', '', '["late"]', '2026-01-02', '0.1');
INSERT INTO usage_deductions (record_id, line_id, amount) VALUES (9, 'CS2-000001', '7');
INSERT INTO usage_packages (line_id, amount, used, empty) VALUES ('CS2-000001', '100', '7', 0);
INSERT INTO usage_bills (line_id, day, price, records, usage, deducted, unpaid, charged, amount) VALUES ('CS2-000001', '2026-01-02', '0.1', 1, '7', '7', '0', '0', '0');
