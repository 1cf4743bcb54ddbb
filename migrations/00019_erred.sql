-- +goose NO TRANSACTION
-- +goose Up
-- Every bar of error kinds and of answers leads to the list of just those, which was looked for among all deliveries. Nothing that
-- succeeds at once enters these.
-- An index that was left half built by an interrupted run is built anew.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_erred_as;
CREATE INDEX CONCURRENTLY webhook_deliveries_erred_as ON webhook_deliveries (organization_id, last_error_kind, created_at DESC, id DESC)
    WHERE last_error_kind IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_erred_with_class;
CREATE INDEX CONCURRENTLY webhook_deliveries_erred_with_class ON webhook_deliveries (organization_id, (COALESCE(last_status_code / 100, 0)), created_at DESC, id DESC)
    WHERE last_error_kind IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_erred_of_endpoint;
CREATE INDEX CONCURRENTLY webhook_deliveries_erred_of_endpoint ON webhook_deliveries (webhook_endpoint_id, created_at DESC, id DESC)
    WHERE last_error_kind IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY webhook_deliveries_erred_of_endpoint;
DROP INDEX CONCURRENTLY webhook_deliveries_erred_with_class;
DROP INDEX CONCURRENTLY webhook_deliveries_erred_as;
