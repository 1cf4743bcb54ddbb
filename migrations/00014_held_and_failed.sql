-- +goose NO TRANSACTION
-- +goose Up
-- What is held for an endpoint is counted on nearly every page. By expiry alone, each endpoint's count read what is held for all
-- endpoints of everybody. The sweep asks endpoint by endpoint too.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_held;
CREATE INDEX CONCURRENTLY webhook_deliveries_held ON webhook_deliveries (webhook_endpoint_id, payload_expires_at) WHERE payload IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_payload_expiry;
-- Failed deliveries are few among all but many among themselves: those of an endpoint that hardly ever fails, and those of one kind
-- (delivery.State), were looked for among all of the organization (measured with 10 M deliveries, 3 in 100 failed: 110,000 pages). What succeeds
-- never enters these.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_failed_of_endpoint;
CREATE INDEX CONCURRENTLY webhook_deliveries_failed_of_endpoint ON webhook_deliveries (webhook_endpoint_id, created_at DESC, id DESC)
    WHERE status = 'failed';
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_failed_as;
CREATE INDEX CONCURRENTLY webhook_deliveries_failed_as ON webhook_deliveries (organization_id, (CASE
    WHEN payload_retention_reason IN ('no_active_key', 'jwe_creation_failed') THEN 'blocked'
    WHEN payload_retention_reason = 'privacy_request' THEN 'withdrawn'
    WHEN payload_retention_reason IN ('expired', 'endpoint_deleted') AND attempt_count < 8 THEN payload_retention_reason
    ELSE 'failed' END), created_at DESC, id DESC)
    WHERE status = 'failed';

-- +goose Down
DROP INDEX CONCURRENTLY webhook_deliveries_failed_as;
DROP INDEX CONCURRENTLY webhook_deliveries_failed_of_endpoint;
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_payload_expiry;
CREATE INDEX CONCURRENTLY webhook_deliveries_payload_expiry ON webhook_deliveries (payload_expires_at) WHERE payload IS NOT NULL;
DROP INDEX CONCURRENTLY webhook_deliveries_held;
