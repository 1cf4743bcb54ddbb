-- +goose Up
CREATE TABLE audit_logs (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    actor_type      text NOT NULL,
    actor_id        text NOT NULL DEFAULT '',
    -- The name the actor had then, so that a removed user or key stays readable.
    actor_name      text NOT NULL DEFAULT '',
    event           text NOT NULL,
    target_type     text NOT NULL DEFAULT '',
    target_id       text NOT NULL DEFAULT '',
    metadata        jsonb NOT NULL DEFAULT '{}',
    client_ip       text NOT NULL DEFAULT '',
    request_id      text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL,
    CONSTRAINT audit_logs_actor_type CHECK (actor_type IN ('user', 'api_key', 'system', 'subject')),
    CONSTRAINT audit_logs_metadata_object CHECK (jsonb_typeof(metadata) = 'object')
);
CREATE INDEX audit_logs_list ON audit_logs (organization_id, created_at DESC, id DESC);
CREATE INDEX audit_logs_target ON audit_logs (organization_id, target_id, created_at DESC, id DESC);
CREATE INDEX audit_logs_age ON audit_logs (created_at);

-- Append-only: nothing changes a row; only retention deletes, by age.
-- +goose StatementBegin
CREATE FUNCTION audit_logs_refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_logs is append-only' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_logs_append_only BEFORE UPDATE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION audit_logs_refuse_update();

CREATE TABLE idempotency_keys (
    id              uuid PRIMARY KEY,
    api_key_id      uuid NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    idempotency_key text NOT NULL,
    -- Keyed hash of method, path and body; never the request itself.
    fingerprint     text NOT NULL,
    master_key_id   text NOT NULL,
    status_code     smallint NOT NULL,
    -- Sealed under the subject idempotency:<id>.
    sealed_response text NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_length CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_success CHECK (status_code BETWEEN 200 AND 299)
);
CREATE UNIQUE INDEX idempotency_keys_key ON idempotency_keys (api_key_id, idempotency_key);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
DROP TABLE audit_logs;
DROP FUNCTION audit_logs_refuse_update();
