INSERT INTO debug_cases (product_code, name, scene, activity, order_id, body, saved_at, called_at, problem) VALUES ('crm', 'newInstance', '', 'newInstance', '', '{"activity":"newInstance"}', 9, 9, '');
INSERT INTO product_health (product_code, document) VALUES ('crm', '{}');
INSERT INTO failed_orders (order_id, product_code, failed_at) VALUES ('CS0', 'crm', 9);
