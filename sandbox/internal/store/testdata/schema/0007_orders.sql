UPDATE orders SET product_code = 'crm', accepted_at = 6 WHERE order_id = 'CS2';
UPDATE instances SET more = '{}' WHERE line_id = 'CS2-000001';
