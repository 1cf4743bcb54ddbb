-- +goose NO TRANSACTION
-- +goose Up
-- What was encrypted to a key is listed newest first, however much it is.
-- An index that was left half built by an interrupted run is built anew.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_of_key;
CREATE INDEX CONCURRENTLY webhook_deliveries_of_key ON webhook_deliveries (webhook_encryption_key_id, created_at DESC, id DESC);
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_by_key;
ALTER INDEX webhook_deliveries_of_key RENAME TO webhook_deliveries_by_key;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_of_key;
CREATE INDEX CONCURRENTLY webhook_deliveries_of_key ON webhook_deliveries (webhook_encryption_key_id);
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_by_key;
ALTER INDEX webhook_deliveries_of_key RENAME TO webhook_deliveries_by_key;
