-- +goose Up
-- A key that was never activated is staged: nothing may be encrypted to it.
ALTER TABLE webhook_encryption_keys
    ADD CONSTRAINT webhook_encryption_keys_activated CHECK (NOT is_active OR activated_at IS NOT NULL);

-- +goose Down
ALTER TABLE webhook_encryption_keys DROP CONSTRAINT webhook_encryption_keys_activated;
