-- +goose NO TRANSACTION
-- +goose Up
-- For the lists of events that no endpoint was to receive, and of replacements after a withdrawal: both are few among many.
-- An index that was left half built by an interrupted run is built anew.
DROP INDEX CONCURRENTLY IF EXISTS events_unreached;
CREATE INDEX CONCURRENTLY events_unreached ON events (organization_id, created_at DESC, id DESC)
    WHERE NOT jsonb_path_match(routing, '$[*].delivery_id != null');
DROP INDEX CONCURRENTLY IF EXISTS events_replacements;
CREATE INDEX CONCURRENTLY events_replacements ON events (organization_id, created_at DESC, id DESC)
    WHERE replaces_event_id IS NOT NULL;

-- +goose Down
DROP INDEX CONCURRENTLY events_replacements;
DROP INDEX CONCURRENTLY events_unreached;
