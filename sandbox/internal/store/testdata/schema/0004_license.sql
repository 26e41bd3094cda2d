INSERT INTO licenses (code, order_id, seller_id, created_at, document) VALUES ('L-1', 'CS2', 'acme', 4, '{"code":"L-1"}');
INSERT INTO license_files (event_id, line_id, seller_id, instance_id, fingerprint, asked_at, uploaded_at, type, file_name, sha256, size, content)
  VALUES ('e1', 'CS1-000001', 'demo', 'i1', 'f', 4, NULL, '', '', '', 0, X'');
