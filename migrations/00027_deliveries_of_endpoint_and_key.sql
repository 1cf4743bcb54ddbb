-- +goose NO TRANSACTION
-- +goose Up
-- Each index of deliveries costs every delivery three entries. That of an endpoint now knows the key too, and replaces that of a key: a delivery
-- is encrypted to a key of its endpoint, which the schema now holds it to.
DROP INDEX CONCURRENTLY IF EXISTS webhook_encryption_keys_of_endpoint;
CREATE UNIQUE INDEX CONCURRENTLY webhook_encryption_keys_of_endpoint ON webhook_encryption_keys (webhook_endpoint_id, id);
ALTER TABLE webhook_deliveries DROP CONSTRAINT IF EXISTS webhook_deliveries_key_of_endpoint;
ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_key_of_endpoint
    FOREIGN KEY (webhook_endpoint_id, webhook_encryption_key_id) REFERENCES webhook_encryption_keys (webhook_endpoint_id, id) NOT VALID;
ALTER TABLE webhook_deliveries VALIDATE CONSTRAINT webhook_deliveries_key_of_endpoint;
ALTER TABLE webhook_deliveries DROP CONSTRAINT IF EXISTS webhook_deliveries_webhook_encryption_key_id_fkey;
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_of_endpoint;
CREATE INDEX CONCURRENTLY webhook_deliveries_of_endpoint ON webhook_deliveries (webhook_endpoint_id, created_at DESC, id DESC, webhook_encryption_key_id);
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_by_endpoint;
ALTER INDEX webhook_deliveries_of_endpoint RENAME TO webhook_deliveries_by_endpoint;
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_by_key;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_by_key;
CREATE INDEX CONCURRENTLY webhook_deliveries_by_key ON webhook_deliveries (webhook_encryption_key_id, created_at DESC, id DESC);
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_of_endpoint;
CREATE INDEX CONCURRENTLY webhook_deliveries_of_endpoint ON webhook_deliveries (webhook_endpoint_id, created_at DESC, id DESC);
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_by_endpoint;
ALTER INDEX webhook_deliveries_of_endpoint RENAME TO webhook_deliveries_by_endpoint;
ALTER TABLE webhook_deliveries DROP CONSTRAINT IF EXISTS webhook_deliveries_webhook_encryption_key_id_fkey;
ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_webhook_encryption_key_id_fkey
    FOREIGN KEY (webhook_encryption_key_id) REFERENCES webhook_encryption_keys (id) NOT VALID;
ALTER TABLE webhook_deliveries VALIDATE CONSTRAINT webhook_deliveries_webhook_encryption_key_id_fkey;
ALTER TABLE webhook_deliveries DROP CONSTRAINT webhook_deliveries_key_of_endpoint;
DROP INDEX CONCURRENTLY webhook_encryption_keys_of_endpoint;
