-- +goose Up
-- When a key was used first outlives the deliveries, which are kept for a while only. For the keys of today it is the first use
-- on record since they were active.
ALTER TABLE webhook_encryption_keys ADD COLUMN first_used_at timestamptz;
UPDATE webhook_encryption_keys k SET first_used_at = (
    SELECT d.created_at FROM webhook_deliveries d
    WHERE d.webhook_endpoint_id = k.webhook_endpoint_id AND d.webhook_encryption_key_id = k.id AND d.created_at >= k.activated_at
    ORDER BY d.created_at, d.id LIMIT 1);

-- +goose Down
ALTER TABLE webhook_encryption_keys DROP COLUMN first_used_at;
