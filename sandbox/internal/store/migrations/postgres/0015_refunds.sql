-- Most entries are sales, which are of no other entry.
DROP INDEX market_entries_by_sale;
CREATE INDEX market_entries_by_sale ON market_entries (seller_id, of_id) WHERE of_id <> '';
