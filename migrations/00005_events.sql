-- +goose Up
CREATE TABLE events (
    id                     uuid PRIMARY KEY,
    organization_id        uuid NOT NULL REFERENCES organizations (id),
    type                   text NOT NULL,
    trigger_type           text NOT NULL,
    trigger_id             uuid NOT NULL,
    -- Set on an original event once a withdrawal replaced it; replaces_event_id points the other way.
    superseded_by_event_id uuid REFERENCES events (id) DEFERRABLE INITIALLY DEFERRED,
    replaces_event_id      uuid REFERENCES events (id) DEFERRABLE INITIALLY DEFERRED,
    -- One entry for every endpoint the organization had at the time: why it was or was not served.
    routing                jsonb NOT NULL DEFAULT '[]',
    created_at             timestamptz NOT NULL,
    CONSTRAINT events_type CHECK (type IN ('verification.session.succeeded', 'verification.session.failed', 'verification.session.expired', 'verification.session.cancelled', 'webhook.test')),
    CONSTRAINT events_trigger CHECK (
        (trigger_type = 'verification_session' AND type <> 'webhook.test')
        OR (trigger_type = 'webhook_endpoint' AND type = 'webhook.test')),
    CONSTRAINT events_superseded CHECK (superseded_by_event_id IS NULL OR type IN ('verification.session.succeeded', 'verification.session.failed')),
    CONSTRAINT events_replacement CHECK (replaces_event_id IS NULL OR type = 'verification.session.cancelled'),
    CONSTRAINT events_routing_array CHECK (jsonb_typeof(routing) = 'array'),
    UNIQUE (organization_id, id)
);
-- One original terminal event per session, one replacement per original (contract section 11).
CREATE UNIQUE INDEX events_one_original ON events (trigger_id) WHERE trigger_type = 'verification_session' AND replaces_event_id IS NULL;
CREATE UNIQUE INDEX events_one_replacement ON events (replaces_event_id) WHERE replaces_event_id IS NOT NULL;
CREATE INDEX events_superseded_by ON events (superseded_by_event_id) WHERE superseded_by_event_id IS NOT NULL;
CREATE INDEX events_list ON events (organization_id, created_at DESC, id DESC);
CREATE INDEX events_by_type ON events (organization_id, type, created_at DESC, id DESC);
CREATE INDEX events_trigger_id ON events (trigger_id);
CREATE INDEX events_age ON events (created_at);

-- +goose Down
DROP TABLE events;
