-- +goose Up
-- Single keys act on pages; WCAG 2.1.4 asks for a way to switch that off.
ALTER TABLE users ADD COLUMN shortcuts boolean NOT NULL DEFAULT true;

-- +goose Down
ALTER TABLE users DROP COLUMN shortcuts;
