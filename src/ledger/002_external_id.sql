-- Version 2. The bot's own name of an invoice: an invoice for an order of the POS has another id than its order.
ALTER TABLE attempts ADD COLUMN external_id TEXT;
UPDATE attempts SET external_id =
    (SELECT foreign_id FROM orders JOIN parts ON parts.order_id = orders.id WHERE parts.id = attempts.part_id)
 WHERE bot IS NOT NULL;
