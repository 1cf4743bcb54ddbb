package login

import (
	"strings"
	"unicode/utf8"

	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
)

// findSession loads a live session. where has the form "s.column = $1" and is never input.
func findSession(tx *postgres.Tx, where string, value any) (Session, bool, error) {
	var s Session
	found := tx.Raw(`SELECT s.id, s.csrf_token, s.flash <> '' AS has_flash, s.created_at, s.last_seen_at, s.expires_at,
			s.reauthenticated_at, m.role,
			u.id AS user_id, u.email AS user_email, u.name AS user_name, u.time_zone AS user_time_zone, u.theme AS user_theme,
			u.density AS user_density, u.live AS user_live, u.shortcuts AS user_shortcuts, u.created_at AS user_created_at, u.updated_at AS user_updated_at,
			o.id AS organization_id, o.name AS organization_name, o.environment AS organization_environment, o.environment_color AS organization_environment_color,
			o.created_at AS organization_created_at, o.updated_at AS organization_updated_at
		FROM login_sessions s
		JOIN memberships m ON m.organization_id = s.organization_id AND m.user_id = s.user_id
		JOIN users u ON u.id = s.user_id
		JOIN organizations o ON o.id = s.organization_id
		WHERE `+where+` AND s.expires_at > $2 AND m.suspended_at IS NULL`, value, tx.Now).Scan(&s)
	return s, found.RowsAffected > 0, found.Error
}

// entryPlace picks the organization in which a user signs in: where they were last, else the one they joined first.
func entryPlace(tx *postgres.Tx, user id.User) (id.Organization, bool, error) {
	var place struct{ OrganizationID id.Organization }
	found := tx.Raw(`SELECT organization_id FROM memberships WHERE user_id = $1 AND suspended_at IS NULL
		ORDER BY last_seen_at DESC NULLS LAST, created_at, organization_id LIMIT 1`, user).Scan(&place)
	return place.OrganizationID, found.RowsAffected > 0, found.Error
}

// open inserts a new session and returns it with its token.
func open(tx *postgres.Tx, user id.User, place id.Organization, from Client) (Session, string, error) {
	token, hash := org.NewToken()
	csrf, _ := org.NewToken()
	r := row{
		ID: id.Login{UUID: tx.NewUUID()}, UserID: user, OrganizationID: place, TokenHash: hash, CSRFToken: csrf,
		UserAgent: cut(from.UserAgent, userAgentMax), CreatedAt: tx.Now, LastSeenAt: tx.Now, ExpiresAt: expiry(tx.Now, tx.Now),
		ReauthenticatedAt: tx.Now, // the password was entered just now
	}
	if from.IP.IsValid() {
		r.IP = from.IP.String()
	}
	if err := tx.Create(&r).Error; err != nil {
		return Session{}, "", err
	}
	if err := noteSeen(tx, user, place); err != nil {
		return Session{}, "", err
	}
	session, found, err := findSession(tx, "s.id = $1", r.ID)
	if err == nil && !found {
		err = ErrNoSession // suspended in this very moment
	}
	return session, token, err
}

// noteSeen keeps when the user was last in the organization, for when the session is gone.
func noteSeen(tx *postgres.Tx, user id.User, place id.Organization) error {
	return tx.Exec("UPDATE memberships SET last_seen_at = $3 WHERE user_id = $1 AND organization_id = $2", user, place, tx.Now).Error
}

// cut returns at most n characters of valid text, which is all that Postgres accepts.
func cut(s string, n int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
	if utf8.RuneCountInString(s) > n {
		s = string([]rune(s)[:n])
	}
	return s
}
