INSERT INTO token_keys (key_id, secret, created_at) VALUES ('k1', 'c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlIQ==', 11);
INSERT INTO audit (audit_id, at, token_id, role, seller_id, operation, ids, status, outcome) VALUES (4, 11, '', 'operator', '', 'reset', '{}', 200, 'done');
