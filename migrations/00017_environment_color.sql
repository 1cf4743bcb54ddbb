-- +goose Up
-- The colour of the environment's badge; '' leaves it to the environment's name.
ALTER TABLE organizations
    ADD COLUMN environment_color text NOT NULL DEFAULT '',
    ADD CONSTRAINT organizations_environment_color CHECK (environment_color IN ('', 'plain', 'blue', 'green', 'amber', 'red', 'violet'));

-- +goose Down
ALTER TABLE organizations DROP COLUMN environment_color;
