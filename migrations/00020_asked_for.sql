-- +goose NO TRANSACTION
-- +goose Up
-- For the list of deliveries that people asked to be sent: among millions that nobody asked for, each had to be looked at. What is sent by
-- itself never enters it.
-- An index that was left half built by an interrupted run is built anew.
DROP INDEX CONCURRENTLY IF EXISTS webhook_delivery_attempts_asked_for;
CREATE INDEX CONCURRENTLY webhook_delivery_attempts_asked_for ON webhook_delivery_attempts (organization_id, trigger, webhook_delivery_id)
    WHERE trigger <> 'automatic';

-- +goose Down
DROP INDEX CONCURRENTLY webhook_delivery_attempts_asked_for;
