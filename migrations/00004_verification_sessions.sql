-- +goose Up
CREATE TABLE verification_sessions (
    id                         uuid PRIMARY KEY,
    organization_id            uuid NOT NULL REFERENCES organizations (id),
    status                     text NOT NULL,
    failure_code               text,
    nfc_tries_used             smallint NOT NULL DEFAULT 0,
    liveness_tries_used        smallint NOT NULL DEFAULT 0,
    -- The effective share contract: claim key -> {required, reason, source}. Which of them the person selected, and
    -- their values, are never stored.
    share_fields               jsonb NOT NULL,
    redirect_url               text,
    -- Targets of the session; empty means every endpoint.
    webhook_endpoint_ids       uuid[] NOT NULL DEFAULT '{}',
    cancel_token_hash          text NOT NULL,
    cancel_token_master_key_id text NOT NULL,
    cancel_token_consumed_at   timestamptz,
    expires_at                 timestamptz NOT NULL,
    completed_at               timestamptz,
    created_at                 timestamptz NOT NULL,
    updated_at                 timestamptz NOT NULL,
    CONSTRAINT verification_sessions_status CHECK (status IN ('created', 'in_progress', 'succeeded', 'failed', 'expired', 'cancelled')),
    CONSTRAINT verification_sessions_completed CHECK ((completed_at IS NULL) = (status IN ('created', 'in_progress'))),
    CONSTRAINT verification_sessions_failure_code CHECK ((failure_code IS NOT NULL) = (status = 'failed')),
    CONSTRAINT verification_sessions_tries CHECK (nfc_tries_used BETWEEN 0 AND 3 AND liveness_tries_used BETWEEN 0 AND 3),
    CONSTRAINT verification_sessions_targets CHECK (cardinality(webhook_endpoint_ids) <= 25),
    CONSTRAINT verification_sessions_token_hash CHECK (cancel_token_hash ~ '^[0-9a-f]{64}$'),
    UNIQUE (organization_id, id)
);
CREATE INDEX verification_sessions_list ON verification_sessions (organization_id, created_at DESC, id DESC);
CREATE INDEX verification_sessions_by_status ON verification_sessions (organization_id, status, created_at DESC, id DESC);
CREATE INDEX verification_sessions_overdue ON verification_sessions (expires_at) WHERE status IN ('created', 'in_progress');
CREATE INDEX verification_sessions_completed ON verification_sessions (completed_at) WHERE completed_at IS NOT NULL;

-- +goose Down
DROP TABLE verification_sessions;
