INSERT INTO kit_tenants (tenant_id, code, name, domain, test, created_at) VALUES ('t1', 'Corp', 'Corp Limited', 'https://c', 0, 3), ('t2', 'testcorp', 'Test', 'https://t', 1, 3);
INSERT INTO kit_departments (tenant_id, org_code, org_name, parent_code) VALUES ('t1', 'sales', 'Sales', '');
INSERT INTO kit_users (tenant_id, user_name, org_code, document, centre_id, account_id, password_hash) VALUES ('t1', 'ann', 'sales', '{"userName":"ann"}', 'c', 'a', 'hash');
INSERT INTO kit_applications (app_id, product_code, name, callback_url, multi_instance, digests, test_tenant_id, created_at) VALUES ('app', 'crm', 'CRM', 'https://isv/cb', 0, 1, 't2', 3);
INSERT INTO kit_clients (tenant_id, app_id, client_id, secret, secret_hash) VALUES ('t1', 'app', 'client', 'for the ISV', 'hash');
INSERT INTO kit_bindings (tenant_id, app_id, line_id, order_id, instance_id) VALUES ('t1', 'app', 'CS2-000001', 'CS2', 'i2');
INSERT INTO kit_grants (tenant_id, user_name, app_id, line_id, cancelled) VALUES ('t1', 'ann', 'app', 'CS2-000001', 0);
INSERT INTO kit_tokens (token_hash, kind, tenant_id, app_id, user_name, family, used, expires_at) VALUES ('h', 'session', 't1', '', 'ann', 'f', 0, 99);
