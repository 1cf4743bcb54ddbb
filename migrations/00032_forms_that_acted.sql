-- +goose Up
-- Whether a form has changed something, noted together with what it changed: its outcome, led_to, is noted after that.
ALTER TABLE form_submissions ADD COLUMN acted boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE form_submissions DROP COLUMN acted;
