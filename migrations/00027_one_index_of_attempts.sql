-- +goose NO TRANSACTION
-- +goose Up
-- One index finds a delivery's attempts and keeps the numbers of those that count unique: the others differ by their id.
-- The old one goes when the new one is there, in one step: without any, two attempts could get one number.
DROP INDEX CONCURRENTLY IF EXISTS webhook_delivery_attempts_numbered;
CREATE UNIQUE INDEX CONCURRENTLY webhook_delivery_attempts_numbered ON webhook_delivery_attempts
    (webhook_delivery_id, run, number, (CASE WHEN counted THEN '00000000-0000-0000-0000-000000000000' ELSE id END));
-- +goose StatementBegin
DO $$ BEGIN
    DROP INDEX IF EXISTS webhook_delivery_attempts_number;
    ALTER INDEX webhook_delivery_attempts_numbered RENAME TO webhook_delivery_attempts_number;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS webhook_delivery_attempts_list;

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS webhook_delivery_attempts_list;
CREATE INDEX CONCURRENTLY webhook_delivery_attempts_list ON webhook_delivery_attempts (webhook_delivery_id, started_at, id);
DROP INDEX CONCURRENTLY IF EXISTS webhook_delivery_attempts_numbered;
CREATE UNIQUE INDEX CONCURRENTLY webhook_delivery_attempts_numbered ON webhook_delivery_attempts (webhook_delivery_id, run, number) WHERE counted;
-- +goose StatementBegin
DO $$ BEGIN
    DROP INDEX IF EXISTS webhook_delivery_attempts_number;
    ALTER INDEX webhook_delivery_attempts_numbered RENAME TO webhook_delivery_attempts_number;
END $$;
-- +goose StatementEnd
