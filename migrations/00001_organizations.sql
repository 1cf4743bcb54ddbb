-- +goose Up
CREATE TABLE organizations (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    environment text NOT NULL DEFAULT 'production',
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT organizations_name_length CHECK (char_length(name) BETWEEN 1 AND 120),
    CONSTRAINT organizations_environment_length CHECK (char_length(environment) BETWEEN 1 AND 20)
);

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL,
    name          text NOT NULL,
    password_hash text NOT NULL,
    -- How pages look for this user.
    time_zone     text NOT NULL DEFAULT 'UTC',
    theme         text NOT NULL DEFAULT 'system',
    density       text NOT NULL DEFAULT 'normal',
    live          boolean NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT users_email_form CHECK (email = lower(email) AND char_length(email) BETWEEN 3 AND 254),
    CONSTRAINT users_name_length CHECK (char_length(name) BETWEEN 1 AND 120),
    CONSTRAINT users_theme CHECK (theme IN ('system', 'light', 'dark')),
    CONSTRAINT users_density CHECK (density IN ('compact', 'normal', 'relaxed'))
);
CREATE UNIQUE INDEX users_email_key ON users (email);

CREATE TABLE memberships (
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id         uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role            text NOT NULL,
    suspended_at    timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id),
    CONSTRAINT memberships_role CHECK (role IN ('owner', 'admin', 'member'))
);
CREATE INDEX memberships_user ON memberships (user_id);

CREATE TABLE invitations (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    email           text NOT NULL,
    role            text NOT NULL,
    token_hash      bytea NOT NULL,
    invited_by      uuid REFERENCES users (id) ON DELETE SET NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    accepted_at     timestamptz,
    CONSTRAINT invitations_role CHECK (role IN ('owner', 'admin', 'member')),
    CONSTRAINT invitations_email_form CHECK (email = lower(email) AND char_length(email) BETWEEN 3 AND 254)
);
CREATE UNIQUE INDEX invitations_token_hash_key ON invitations (token_hash);
CREATE UNIQUE INDEX invitations_one_open ON invitations (organization_id, email) WHERE accepted_at IS NULL;
CREATE INDEX invitations_invited_by ON invitations (invited_by);

CREATE TABLE login_sessions (
    id                  uuid PRIMARY KEY,
    user_id             uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    organization_id     uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    -- SHA-256 of the opaque token in the cookie: 256 random bits need no keyed hash.
    token_hash          bytea NOT NULL,
    csrf_token          text NOT NULL,
    flash               text NOT NULL DEFAULT '',
    ip                  text NOT NULL DEFAULT '',
    user_agent          text NOT NULL DEFAULT '',
    created_at          timestamptz NOT NULL,
    last_seen_at        timestamptz NOT NULL,
    expires_at          timestamptz NOT NULL,
    reauthenticated_at  timestamptz NOT NULL,
    FOREIGN KEY (organization_id, user_id) REFERENCES memberships (organization_id, user_id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX login_sessions_token_hash_key ON login_sessions (token_hash);
CREATE INDEX login_sessions_user ON login_sessions (user_id);
CREATE INDEX login_sessions_membership ON login_sessions (organization_id, user_id);
CREATE INDEX login_sessions_expiry ON login_sessions (expires_at);

CREATE TABLE api_keys (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    name            text NOT NULL,
    key_hash        text NOT NULL,
    master_key_id   text NOT NULL,
    -- The first characters after the prefix, to tell keys apart in a list.
    hint            text NOT NULL,
    scopes          text[] NOT NULL,
    enabled         boolean NOT NULL DEFAULT true,
    created_by      uuid REFERENCES users (id) ON DELETE SET NULL,
    expires_at      timestamptz,
    last_used_at    timestamptz,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CONSTRAINT api_keys_name_length CHECK (char_length(name) BETWEEN 1 AND 120),
    CONSTRAINT api_keys_has_scope CHECK (cardinality(scopes) > 0),
    CONSTRAINT api_keys_hash_form CHECK (key_hash ~ '^[0-9a-f]{64}$')
);
CREATE UNIQUE INDEX api_keys_key_hash_key ON api_keys (key_hash);
CREATE INDEX api_keys_list ON api_keys (organization_id, created_at DESC, id DESC);
CREATE INDEX api_keys_created_by ON api_keys (created_by);

-- +goose Down
DROP TABLE api_keys;
DROP TABLE login_sessions;
DROP TABLE invitations;
DROP TABLE memberships;
DROP TABLE users;
DROP TABLE organizations;
