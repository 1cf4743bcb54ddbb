-- +goose NO TRANSACTION
-- +goose Up
-- For the list of deliveries of one event type. Deliveries of succeeded sessions, nearly all there are, stay out: a list of them
-- finds them close together in webhook_deliveries_list, and they cost nothing here. Neither column ever changes.
-- An index that was left half built by an interrupted run is built anew.
DROP INDEX CONCURRENTLY IF EXISTS webhook_deliveries_by_type;
CREATE INDEX CONCURRENTLY webhook_deliveries_by_type ON webhook_deliveries (organization_id, event_type, created_at DESC, id DESC)
    WHERE event_type <> 'verification.session.succeeded';

-- +goose Down
DROP INDEX CONCURRENTLY webhook_deliveries_by_type;
