-- +goose Up
CREATE TABLE webhook_deliveries (
    id                        uuid PRIMARY KEY,
    organization_id           uuid NOT NULL,
    event_id                  uuid NOT NULL,
    webhook_endpoint_id       uuid NOT NULL,
    webhook_encryption_key_id uuid REFERENCES webhook_encryption_keys (id),
    -- Copied from the event, which never changes them.
    event_type                text NOT NULL,
    status                    text NOT NULL,
    -- The compact JWE. Written once, then only ever set to null.
    payload                   text,
    payload_bytes             integer NOT NULL DEFAULT 0,
    payload_expires_at        timestamptz,
    payload_scrubbed_at       timestamptz,
    payload_retention_reason  text,
    run                       integer NOT NULL DEFAULT 1,
    attempt_count             smallint NOT NULL DEFAULT 0,
    -- Lost workers in a row; the third counts as an attempt.
    worker_lost_count         smallint NOT NULL DEFAULT 0,
    next_attempt_at           timestamptz,
    next_trigger              text NOT NULL DEFAULT 'automatic',
    last_attempt_at           timestamptz,
    last_status_code          smallint,
    last_error_kind           text,
    last_duration_ms          integer,
    -- Fencing token of the claim, and when others may take the row from its worker.
    lease_token               uuid,
    lease_expires_at          timestamptz,
    worker                    text,
    -- Set when consent was withdrawn while the request was in flight; its result decides (contract section 4.5).
    withdrawn_at              timestamptz,
    -- When the doorbell was last rung for this row.
    rung_at                   timestamptz,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL,
    FOREIGN KEY (organization_id, event_id) REFERENCES events (organization_id, id),
    FOREIGN KEY (organization_id, webhook_endpoint_id) REFERENCES webhook_endpoints (organization_id, id),
    CONSTRAINT webhook_deliveries_status CHECK (status IN ('pending', 'delivering', 'succeeded', 'failed')),
    CONSTRAINT webhook_deliveries_open_has_payload CHECK (status NOT IN ('pending', 'delivering') OR payload IS NOT NULL),
    CONSTRAINT webhook_deliveries_succeeded_has_none CHECK (status <> 'succeeded' OR payload IS NULL),
    CONSTRAINT webhook_deliveries_payload_expiry CHECK ((payload IS NULL) = (payload_expires_at IS NULL)),
    CONSTRAINT webhook_deliveries_scrubbed CHECK ((payload IS NULL) = (payload_scrubbed_at IS NOT NULL)),
    CONSTRAINT webhook_deliveries_reason CHECK (payload_retention_reason IN ('pending_delivery', 'delivered', 'terminal_failure_retention', 'expired', 'privacy_request', 'endpoint_deleted', 'no_active_key', 'jwe_creation_failed')),
    CONSTRAINT webhook_deliveries_lease CHECK ((lease_token IS NOT NULL) = (status = 'delivering') AND (lease_token IS NULL) = (lease_expires_at IS NULL)),
    CONSTRAINT webhook_deliveries_next_attempt CHECK (next_attempt_at IS NULL OR status = 'pending'),
    CONSTRAINT webhook_deliveries_attempt_count CHECK (attempt_count BETWEEN 0 AND 8),
    CONSTRAINT webhook_deliveries_trigger CHECK (next_trigger IN ('automatic', 'manual', 'replay', 'bulk', 'test')),
    CONSTRAINT webhook_deliveries_withdrawn CHECK (withdrawn_at IS NULL OR (status <> 'pending' AND event_type IN ('verification.session.succeeded', 'verification.session.failed')))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX webhook_deliveries_event_endpoint ON webhook_deliveries (event_id, webhook_endpoint_id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_endpoint_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_leases ON webhook_deliveries (lease_expires_at) WHERE status = 'delivering';
CREATE INDEX webhook_deliveries_payload_expiry ON webhook_deliveries (payload_expires_at) WHERE payload IS NOT NULL;
CREATE INDEX webhook_deliveries_list ON webhook_deliveries (organization_id, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_by_status ON webhook_deliveries (organization_id, status, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (webhook_endpoint_id, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_by_key ON webhook_deliveries (webhook_encryption_key_id);

-- A payload is written once: to null is the only change (contract section 7.9).
-- +goose StatementBegin
CREATE FUNCTION webhook_deliveries_payload_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a payload is written once' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER webhook_deliveries_payload_once BEFORE UPDATE OF payload ON webhook_deliveries
    FOR EACH ROW WHEN (NEW.payload IS NOT NULL AND NEW.payload IS DISTINCT FROM OLD.payload)
    EXECUTE FUNCTION webhook_deliveries_payload_once();

CREATE TABLE webhook_delivery_attempts (
    id                      uuid PRIMARY KEY,
    organization_id         uuid NOT NULL,
    webhook_delivery_id     uuid NOT NULL REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
    run                     integer NOT NULL,
    number                  smallint NOT NULL,
    counted                 boolean NOT NULL,
    status                  text NOT NULL,
    trigger                 text NOT NULL,
    started_at              timestamptz NOT NULL,
    duration_ms             integer,
    status_code             smallint,
    error_kind              text,
    dns_ms                  integer,
    connect_ms              integer,
    tls_ms                  integer,
    first_byte_ms           integer,
    remote_address          text,
    worker                  text,
    response_headers        jsonb NOT NULL DEFAULT '{}',
    response_body           text,
    response_body_truncated boolean NOT NULL DEFAULT false,
    created_at              timestamptz NOT NULL,
    CONSTRAINT webhook_delivery_attempts_status CHECK (status IN ('succeeded', 'failed')),
    CONSTRAINT webhook_delivery_attempts_error CHECK ((status = 'succeeded') = (error_kind IS NULL)),
    CONSTRAINT webhook_delivery_attempts_kind CHECK (error_kind IN ('http_status', 'redirect_refused', 'timeout_connect', 'timeout_response', 'dns', 'tls', 'refused', 'reset', 'blocked_address', 'no_signing_secret', 'internal', 'endpoint_disabled', 'worker_lost')),
    CONSTRAINT webhook_delivery_attempts_status_code CHECK ((status_code IS NOT NULL) = (status = 'succeeded' OR error_kind IN ('http_status', 'redirect_refused'))),
    CONSTRAINT webhook_delivery_attempts_trigger CHECK (trigger IN ('automatic', 'manual', 'replay', 'bulk', 'test')),
    CONSTRAINT webhook_delivery_attempts_body CHECK (octet_length(response_body) <= 16384)
);
CREATE UNIQUE INDEX webhook_delivery_attempts_number ON webhook_delivery_attempts (webhook_delivery_id, run, number) WHERE counted;
CREATE INDEX webhook_delivery_attempts_list ON webhook_delivery_attempts (webhook_delivery_id, started_at, id);

-- Deliveries and attempts per endpoint and hour, by outcome. slot spreads the writers: each worker process adds to its
-- own rows, readers add up.
CREATE TABLE delivery_rollups (
    organization_id     uuid NOT NULL,
    webhook_endpoint_id uuid NOT NULL,
    hour                timestamptz NOT NULL,
    -- '' for a 2xx.
    error_kind          text NOT NULL,
    -- 0 when no status was received.
    status_code         smallint NOT NULL,
    slot                smallint NOT NULL,
    attempts            integer NOT NULL,
    first_attempts      integer NOT NULL,
    succeeded           integer NOT NULL,
    failed              integer NOT NULL,
    -- Attempts that received a status, counted by duration (delivery.LatencyBounds).
    latency             integer[] NOT NULL,
    PRIMARY KEY (organization_id, hour, webhook_endpoint_id, error_kind, status_code, slot),
    FOREIGN KEY (organization_id, webhook_endpoint_id) REFERENCES webhook_endpoints (organization_id, id)
);
CREATE INDEX delivery_rollups_endpoint ON delivery_rollups (webhook_endpoint_id, hour);

CREATE TABLE jobs (
    id               uuid PRIMARY KEY,
    organization_id  uuid NOT NULL REFERENCES organizations (id),
    type             text NOT NULL,
    status           text NOT NULL,
    rate_per_second  smallint NOT NULL,
    filters          jsonb NOT NULL,
    -- The scope frozen at creation, and the last row visited.
    upper_created_at timestamptz,
    upper_id         uuid,
    position_created_at timestamptz,
    position_id      uuid,
    matched_count    integer NOT NULL DEFAULT 0,
    visited_count    integer NOT NULL DEFAULT 0,
    requeued_count   integer NOT NULL DEFAULT 0,
    skipped_count    integer NOT NULL DEFAULT 0,
    skipped_reasons  jsonb NOT NULL DEFAULT '{"in_flight":0,"payload_gone":0,"endpoint_disabled":0,"changed":0}',
    created_by_type  text NOT NULL,
    created_by_id    text NOT NULL DEFAULT '',
    created_by_name  text NOT NULL DEFAULT '',
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    started_at       timestamptz,
    finished_at      timestamptz,
    CONSTRAINT jobs_type CHECK (type = 'delivery_retry'),
    CONSTRAINT jobs_status CHECK (status IN ('queued', 'running', 'completed', 'cancelled', 'failed')),
    CONSTRAINT jobs_rate CHECK (rate_per_second BETWEEN 1 AND 100),
    CONSTRAINT jobs_finished CHECK ((finished_at IS NOT NULL) = (status IN ('completed', 'cancelled', 'failed')))
);
CREATE INDEX jobs_list ON jobs (organization_id, created_at DESC, id DESC);
CREATE INDEX jobs_open ON jobs (organization_id, created_at, id) WHERE status IN ('queued', 'running');

-- +goose Down
DROP TABLE jobs;
DROP TABLE delivery_rollups;
DROP TABLE webhook_delivery_attempts;
DROP TABLE webhook_deliveries;
DROP FUNCTION webhook_deliveries_payload_once();
