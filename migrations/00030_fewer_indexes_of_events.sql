-- +goose NO TRANSACTION
-- +goose Up
-- One index finds the events of a session or a tested endpoint and allows a session one original: all others differ by their id.
DROP INDEX CONCURRENTLY IF EXISTS events_of_trigger;
CREATE UNIQUE INDEX CONCURRENTLY events_of_trigger ON events (trigger_id,
    (CASE WHEN trigger_type = 'verification_session' AND replaces_event_id IS NULL THEN '00000000-0000-0000-0000-000000000000' ELSE id END));
DROP INDEX CONCURRENTLY IF EXISTS events_one_original;
ALTER INDEX events_of_trigger RENAME TO events_one_original;
DROP INDEX CONCURRENTLY IF EXISTS events_trigger_id;
-- The most frequent type is found among all, as with deliveries (00007).
DROP INDEX CONCURRENTLY IF EXISTS events_of_type;
CREATE INDEX CONCURRENTLY events_of_type ON events (organization_id, type, created_at DESC, id DESC)
    WHERE type <> 'verification.session.succeeded';
DROP INDEX CONCURRENTLY IF EXISTS events_by_type;
ALTER INDEX events_of_type RENAME TO events_by_type;
-- What is old is looked for by organization.
DROP INDEX CONCURRENTLY IF EXISTS events_age;
DROP INDEX CONCURRENTLY IF EXISTS audit_logs_age;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS audit_logs_age;
CREATE INDEX CONCURRENTLY audit_logs_age ON audit_logs (created_at);
DROP INDEX CONCURRENTLY IF EXISTS events_age;
CREATE INDEX CONCURRENTLY events_age ON events (created_at);
DROP INDEX CONCURRENTLY IF EXISTS events_of_type;
CREATE INDEX CONCURRENTLY events_of_type ON events (organization_id, type, created_at DESC, id DESC);
DROP INDEX CONCURRENTLY IF EXISTS events_by_type;
ALTER INDEX events_of_type RENAME TO events_by_type;
DROP INDEX CONCURRENTLY IF EXISTS events_trigger_id;
CREATE INDEX CONCURRENTLY events_trigger_id ON events (trigger_id);
DROP INDEX CONCURRENTLY IF EXISTS events_of_trigger;
CREATE UNIQUE INDEX CONCURRENTLY events_of_trigger ON events (trigger_id) WHERE trigger_type = 'verification_session' AND replaces_event_id IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS events_one_original;
ALTER INDEX events_of_trigger RENAME TO events_one_original;
