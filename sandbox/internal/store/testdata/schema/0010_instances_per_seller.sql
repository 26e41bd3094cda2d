INSERT INTO instances (line_id, seller_id, product_code, buyer_id, order_id, instance_id, charging_mode, sku_code, product_id, quantity, status, intent, violation, created_at, front_end_url, more)
  VALUES ('CS3-000001', 'acme', 'crm', 'b', 'CS3', 'i1', 'PERIOD', 'crm-pro', 'OFFI3', 1, 'ready', 'ready', 0, 10, '', '{}');
