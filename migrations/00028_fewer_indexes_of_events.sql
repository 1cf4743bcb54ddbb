-- +goose NO TRANSACTION
-- +goose Up
-- One index finds the events of a session or a tested endpoint and allows a session one original: all others differ by their id.
-- The old one goes when the new one is there, in one step: without any, a session could get two.
DROP INDEX CONCURRENTLY IF EXISTS events_of_trigger;
CREATE UNIQUE INDEX CONCURRENTLY events_of_trigger ON events (trigger_id,
    (CASE WHEN trigger_type = 'verification_session' AND replaces_event_id IS NULL THEN '00000000-0000-0000-0000-000000000000' ELSE id END));
-- +goose StatementBegin
DO $$ BEGIN
    DROP INDEX IF EXISTS events_one_original;
    ALTER INDEX events_of_trigger RENAME TO events_one_original;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS events_trigger_id;
-- What is old is looked for by organization.
DROP INDEX CONCURRENTLY IF EXISTS events_age;
DROP INDEX CONCURRENTLY IF EXISTS audit_logs_age;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS audit_logs_age;
CREATE INDEX CONCURRENTLY audit_logs_age ON audit_logs (created_at);
DROP INDEX CONCURRENTLY IF EXISTS events_age;
CREATE INDEX CONCURRENTLY events_age ON events (created_at);
DROP INDEX CONCURRENTLY IF EXISTS events_trigger_id;
CREATE INDEX CONCURRENTLY events_trigger_id ON events (trigger_id);
DROP INDEX CONCURRENTLY IF EXISTS events_of_trigger;
CREATE UNIQUE INDEX CONCURRENTLY events_of_trigger ON events (trigger_id) WHERE trigger_type = 'verification_session' AND replaces_event_id IS NULL;
-- +goose StatementBegin
DO $$ BEGIN
    DROP INDEX IF EXISTS events_one_original;
    ALTER INDEX events_of_trigger RENAME TO events_one_original;
END $$;
-- +goose StatementEnd
