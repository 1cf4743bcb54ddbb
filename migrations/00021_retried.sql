-- +goose NO TRANSACTION
-- +goose Up
-- For the list of what was tried more than once, which is little among all there is. What succeeds at once never enters it.
-- An index that was left half built by an interrupted run is built anew.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_retried;
CREATE INDEX CONCURRENTLY webhook_deliveries_retried ON webhook_deliveries (organization_id, created_at DESC, id DESC)
    WHERE attempt_count > 1;

-- +goose Down
DROP INDEX CONCURRENTLY webhook_deliveries_retried;
