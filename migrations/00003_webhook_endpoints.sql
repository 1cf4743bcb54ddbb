-- +goose Up
CREATE TABLE webhook_endpoints (
    id                                 uuid PRIMARY KEY,
    organization_id                    uuid NOT NULL REFERENCES organizations (id),
    name                               text,
    labels                             text[] NOT NULL DEFAULT '{}',
    url                                text NOT NULL,
    enabled                            boolean NOT NULL DEFAULT true,
    subscribed_event_types             text[] NOT NULL,
    undelivered_payload_retention_hours integer NOT NULL DEFAULT 72,
    -- Sealed for webhook_endpoint:<whe id>:signing_secret; erased with the endpoint.
    signing_secret                     text,
    -- Sealed for …:previous_signing_secret; present during an overlap only.
    previous_signing_secret            text,
    previous_signing_secret_expires_at timestamptz,
    signing_secret_rotated_at          timestamptz NOT NULL,
    created_at                         timestamptz NOT NULL,
    updated_at                         timestamptz NOT NULL,
    disabled_at                        timestamptz,
    deleted_at                         timestamptz,
    CONSTRAINT webhook_endpoints_name_length CHECK (char_length(name) BETWEEN 1 AND 120),
    CONSTRAINT webhook_endpoints_labels_count CHECK (cardinality(labels) <= 8),
    CONSTRAINT webhook_endpoints_url_length CHECK (char_length(url) BETWEEN 1 AND 8192),
    CONSTRAINT webhook_endpoints_retention CHECK (undelivered_payload_retention_hours IN (0, 24, 72, 168)),
    CONSTRAINT webhook_endpoints_subscriptions CHECK (
        cardinality(subscribed_event_types) BETWEEN 1 AND 4
        AND subscribed_event_types <@ ARRAY['verification.session.succeeded', 'verification.session.failed', 'verification.session.expired', 'verification.session.cancelled']),
    CONSTRAINT webhook_endpoints_disabled_at CHECK (enabled = (disabled_at IS NULL)),
    CONSTRAINT webhook_endpoints_previous_secret CHECK ((previous_signing_secret IS NULL) = (previous_signing_secret_expires_at IS NULL)),
    CONSTRAINT webhook_endpoints_secret CHECK ((deleted_at IS NULL) = (signing_secret IS NOT NULL)),
    CONSTRAINT webhook_endpoints_deleted_secret CHECK (deleted_at IS NULL OR previous_signing_secret IS NULL),
    UNIQUE (organization_id, id)
);
CREATE INDEX webhook_endpoints_list ON webhook_endpoints (organization_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX webhook_endpoints_overlap ON webhook_endpoints (previous_signing_secret_expires_at) WHERE previous_signing_secret IS NOT NULL;
CREATE INDEX webhook_endpoints_deleted ON webhook_endpoints (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE webhook_encryption_keys (
    id                  uuid PRIMARY KEY,
    organization_id     uuid NOT NULL,
    webhook_endpoint_id uuid NOT NULL,
    key_id              text NOT NULL,
    algorithm           text NOT NULL DEFAULT 'RSA-OAEP-256',
    key_type            text NOT NULL DEFAULT 'RSA',
    -- The public key, as unpadded base64url (RFC 7518 section 6.3.1). Private members are never stored.
    modulus             text NOT NULL,
    exponent            text NOT NULL,
    bits                integer NOT NULL,
    thumbprint          text NOT NULL,
    spki_sha256         text NOT NULL,
    is_active           boolean NOT NULL,
    created_by          text NOT NULL DEFAULT '',
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    disabled_at         timestamptz,
    FOREIGN KEY (organization_id, webhook_endpoint_id) REFERENCES webhook_endpoints (organization_id, id),
    CONSTRAINT webhook_encryption_keys_key_id CHECK (key_id ~ '^[!-~]([ -~]{0,126}[!-~])?$'),
    CONSTRAINT webhook_encryption_keys_algorithm CHECK (algorithm = 'RSA-OAEP-256' AND key_type = 'RSA'),
    CONSTRAINT webhook_encryption_keys_bits CHECK (bits BETWEEN 2048 AND 8192),
    CONSTRAINT webhook_encryption_keys_disabled_at CHECK (is_active = (disabled_at IS NULL))
);
CREATE UNIQUE INDEX webhook_encryption_keys_one_active ON webhook_encryption_keys (webhook_endpoint_id) WHERE is_active;
CREATE UNIQUE INDEX webhook_encryption_keys_key_id_key ON webhook_encryption_keys (webhook_endpoint_id, key_id);
CREATE INDEX webhook_encryption_keys_list ON webhook_encryption_keys (webhook_endpoint_id, created_at DESC, id DESC);
CREATE INDEX webhook_encryption_keys_endpoint ON webhook_encryption_keys (organization_id, webhook_endpoint_id);

-- +goose Down
DROP TABLE webhook_encryption_keys;
DROP TABLE webhook_endpoints;
