-- +goose Up
-- A key that was never active is staged. A challenge is kept as a hash only: its text leaves encrypted to the key.
ALTER TABLE webhook_encryption_keys
    ADD COLUMN activated_at timestamptz,
    ADD COLUMN verified_at timestamptz,
    ADD COLUMN verified_by text NOT NULL DEFAULT '',
    ADD COLUMN challenge_hash text,
    ADD COLUMN challenge_event_id uuid;
UPDATE webhook_encryption_keys SET activated_at = created_at;
ALTER TABLE webhook_encryption_keys
    ADD CONSTRAINT webhook_encryption_keys_challenge CHECK ((challenge_hash IS NULL) = (challenge_event_id IS NULL)),
    ADD CONSTRAINT webhook_encryption_keys_verified_by CHECK (verified_at IS NOT NULL OR verified_by = '');

-- +goose Down
ALTER TABLE webhook_encryption_keys
    DROP COLUMN activated_at, DROP COLUMN verified_at, DROP COLUMN verified_by, DROP COLUMN challenge_hash, DROP COLUMN challenge_event_id;
