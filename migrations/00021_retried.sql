-- +goose NO TRANSACTION
-- +goose Up
-- For the lists of what was tried more than once, and of what waits to be: little among all there is. What succeeds at once never
-- enters these.
-- An index that was left half built by an interrupted run is built anew.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_retried;
CREATE INDEX CONCURRENTLY webhook_deliveries_retried ON webhook_deliveries (organization_id, created_at DESC, id DESC)
    WHERE attempt_count > 1;
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_retrying;
CREATE INDEX CONCURRENTLY webhook_deliveries_retrying ON webhook_deliveries (organization_id, created_at DESC, id DESC)
    WHERE status = 'pending' AND attempt_count > 0;

-- +goose Down
DROP INDEX CONCURRENTLY webhook_deliveries_retrying;
DROP INDEX CONCURRENTLY webhook_deliveries_retried;
