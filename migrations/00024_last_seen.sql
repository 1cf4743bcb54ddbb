-- +goose Up
-- When somebody was last seen in an organization outlives the sessions that tell it: those end, and are deleted.
ALTER TABLE memberships ADD COLUMN last_seen_at timestamptz;
UPDATE memberships m SET last_seen_at = (
    SELECT max(s.last_seen_at) FROM login_sessions s WHERE s.organization_id = m.organization_id AND s.user_id = m.user_id);

-- +goose Down
ALTER TABLE memberships DROP COLUMN last_seen_at;
