-- +goose NO TRANSACTION
-- +goose Up
-- Nearly all deliveries succeed: those that did are found among all, the others have an index that they never enter.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_not_succeeded;
CREATE INDEX CONCURRENTLY webhook_deliveries_not_succeeded ON webhook_deliveries (organization_id, status, created_at DESC, id DESC)
    WHERE status <> 'succeeded';
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_by_status;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_by_status;
CREATE INDEX CONCURRENTLY webhook_deliveries_by_status ON webhook_deliveries (organization_id, status, created_at DESC, id DESC);
DROP INDEX CONCURRENTLY webhook_deliveries_not_succeeded;
