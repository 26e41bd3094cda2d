-- What the whole order book knows of orders and instances.
ALTER TABLE orders ADD COLUMN product_code TEXT NOT NULL DEFAULT 'demo';
ALTER TABLE orders ADD COLUMN accepted_at INTEGER;                -- when the buyer accepted, where that opens the instances
ALTER TABLE instances ADD COLUMN more TEXT NOT NULL DEFAULT '{}'; -- JSON object of what no query asks for
