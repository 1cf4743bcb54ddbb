-- +goose NO TRANSACTION
-- +goose Up
-- What failed lately, which is not what was created lately: the schedule of attempts takes more than a day.
-- An index that was left half built by an interrupted run is built anew.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_failed_at;
CREATE INDEX CONCURRENTLY webhook_deliveries_failed_at ON webhook_deliveries (organization_id, (CASE
    WHEN payload_retention_reason = 'privacy_request' OR payload_retention_reason IN ('expired', 'endpoint_deleted') AND attempt_count < 8 THEN payload_scrubbed_at
    ELSE COALESCE(last_attempt_at, created_at) END)) WHERE status = 'failed';

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_failed_at;
