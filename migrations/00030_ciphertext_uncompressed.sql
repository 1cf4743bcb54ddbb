-- +goose Up
-- Ciphertext does not get smaller: a payload too large for its row goes beside it as it is, without the attempt.
ALTER TABLE webhook_deliveries ALTER COLUMN payload SET STORAGE EXTERNAL;

-- +goose Down
ALTER TABLE webhook_deliveries ALTER COLUMN payload SET STORAGE EXTENDED;
