-- +goose NO TRANSACTION
-- +goose Up
-- Rows that become due at one moment, as when an endpoint is enabled again, shared one entry of the index for hundreds of them, and
-- such an entry goes only when all of its rows are gone: every claim walked over those claimed before (measured with 100 endpoints: 75 pages a row, 40 without such entries).
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_due_single;
CREATE INDEX CONCURRENTLY webhook_deliveries_due_single ON webhook_deliveries (webhook_endpoint_id, next_attempt_at) WITH (deduplicate_items = off)
    WHERE status = 'pending';
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_due;
ALTER INDEX webhook_deliveries_due_single RENAME TO webhook_deliveries_due;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_due_single;
CREATE INDEX CONCURRENTLY webhook_deliveries_due_single ON webhook_deliveries (webhook_endpoint_id, next_attempt_at) WHERE status = 'pending';
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_due;
ALTER INDEX webhook_deliveries_due_single RENAME TO webhook_deliveries_due;
