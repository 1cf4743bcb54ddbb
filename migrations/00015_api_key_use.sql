-- +goose Up
-- Where a key was last used from and for what; written with last_used_at, so at most once a minute.
ALTER TABLE api_keys
    ADD COLUMN last_used_ip text NOT NULL DEFAULT '',
    ADD COLUMN last_used_route text NOT NULL DEFAULT '',
    -- When another key was made in place of this one, which works on until expires_at.
    ADD COLUMN replaced_at timestamptz,
    ADD CONSTRAINT api_keys_replaced CHECK (replaced_at IS NULL OR expires_at IS NOT NULL),
    ADD CONSTRAINT api_keys_organization_id_id_key UNIQUE (organization_id, id);

-- How often each key was used on each day (UTC). Every process of the API adds what it counted, about once a minute.
CREATE TABLE api_key_calls (
    organization_id uuid NOT NULL,
    api_key_id      uuid NOT NULL,
    day             date NOT NULL,
    calls           bigint NOT NULL,
    PRIMARY KEY (organization_id, day, api_key_id),
    CONSTRAINT api_key_calls_calls CHECK (calls > 0),
    FOREIGN KEY (organization_id, api_key_id) REFERENCES api_keys (organization_id, id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE api_key_calls;
ALTER TABLE api_keys
    DROP CONSTRAINT api_keys_organization_id_id_key, DROP COLUMN replaced_at, DROP COLUMN last_used_ip, DROP COLUMN last_used_route;
