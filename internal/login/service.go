package login

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
)

// Service carries out the operations of this package. DB and Org are required.
type Service struct {
	DB  *postgres.DB
	Org *org.Service
	// FailureFloor is the least time a refused sign-in takes, so that its length tells nothing; 0 means 400 ms, negative
	// none.
	FailureFloor time.Duration
}

// SignIn checks address and password and opens a session; the token belongs in the cookie and nowhere else. Every refusal
// is ErrCredentials after the same time. A failure for a known member is audited.
func (s *Service) SignIn(ctx context.Context, email, password string, from Client) (Session, string, error) {
	floor := s.FailureFloor
	if floor == 0 {
		floor = standardFailureFloor
	}
	timer := time.NewTimer(max(floor, 0))
	defer timer.Stop()
	session, token, err := s.signIn(ctx, email, password, from)
	if err != nil {
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return session, token, err
}

func (s *Service) signIn(ctx context.Context, email, password string, from Client) (Session, string, error) {
	user, ok, err := s.Org.CheckPassword(ctx, email, password)
	if err != nil {
		return Session{}, "", fmt.Errorf("sign in: %w", err)
	}
	if user.ID.IsZero() {
		return Session{}, "", ErrCredentials
	}
	var session Session
	var token string
	refused := false
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		place, found, err := entryPlace(tx, user.ID)
		if err != nil {
			return err
		}
		if refused = !ok || !found; refused {
			if !found {
				return nil
			}
			// The password was wrong, so the user is what somebody tried, not who acted.
			actor := access.Actor{Type: access.System, Organization: place, IP: from.IP, RequestID: from.RequestID}
			return audit.Record(tx, actor, "auth.sign_in_failed", userTarget(user.ID), nil)
		}
		session, token, err = open(tx, user.ID, place, from)
		if err != nil {
			return err
		}
		return audit.Record(tx, session.Actor(from.IP, from.RequestID), "auth.signed_in", userTarget(user.ID), nil)
	})
	if err != nil {
		return Session{}, "", fmt.Errorf("sign in: %w", err)
	}
	if refused {
		return Session{}, "", ErrCredentials
	}
	return session, token, nil
}

// Authenticate returns the live session of a token, or ErrNoSession: unknown, ended, or the membership is suspended or
// gone. It moves the idle timeout, at most once a minute.
func (s *Service) Authenticate(ctx context.Context, token string) (Session, error) {
	return s.authenticate(ctx, token, true)
}

// Recognize is Authenticate for what nobody need be there for, such as a page that updates itself: it leaves the idle timeout
// alone.
func (s *Service) Recognize(ctx context.Context, token string) (Session, error) {
	return s.authenticate(ctx, token, false)
}

func (s *Service) authenticate(ctx context.Context, token string, used bool) (Session, error) {
	if len(token) != tokenLength {
		return Session{}, ErrNoSession
	}
	tx := s.DB.Reader(ctx)
	session, found, err := findSession(tx, "s.token_hash = $1", org.HashToken(token))
	if err != nil {
		return Session{}, fmt.Errorf("authenticate session: %w", err)
	}
	if !found {
		return Session{}, ErrNoSession
	}
	if !used || tx.Now.Sub(session.LastSeenAt) < seenGranularity {
		return session, nil
	}
	expires := expiry(session.CreatedAt, tx.Now)
	err = tx.Exec(`WITH touched AS (UPDATE login_sessions SET last_seen_at = $2, expires_at = $3 WHERE id = $1 AND last_seen_at < $2 RETURNING organization_id, user_id)
		UPDATE memberships m SET last_seen_at = $2 FROM touched t WHERE m.organization_id = t.organization_id AND m.user_id = t.user_id`,
		session.ID, tx.Now, expires).Error
	if err != nil {
		return Session{}, fmt.Errorf("touch session: %w", err)
	}
	session.LastSeenAt, session.ExpiresAt = tx.Now, expires
	return session, nil
}

// SignOut ends the session. Ending it twice is no error.
func (s *Service) SignOut(ctx context.Context, actor access.Actor, session id.Login) error {
	_, err := s.end(ctx, actor, "id = $2", session, nil)
	return err
}

// Revoke ends another of the acting user's own sessions, whatever organization it is in.
func (s *Service) Revoke(ctx context.Context, actor access.Actor, session id.Login) error {
	n, err := s.end(ctx, actor, "id = $2", session, audit.Metadata{"session_id": session.String()})
	if err == nil && n == 0 {
		err = errNotFound
	}
	return err
}

// RevokeOthers ends all of the acting user's sessions except the given one and returns how many.
func (s *Service) RevokeOthers(ctx context.Context, actor access.Actor, except id.Login) (int64, error) {
	return s.end(ctx, actor, "id <> $2", except, audit.Metadata{"others": true})
}

func (s *Service) end(ctx context.Context, actor access.Actor, which string, session id.Login, metadata audit.Metadata) (int64, error) {
	user, err := org.ActingUser(actor)
	if err != nil {
		return 0, err
	}
	var ended int64
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		done := tx.Exec("DELETE FROM login_sessions WHERE user_id = $1 AND "+which, user, session)
		ended = done.RowsAffected
		if done.Error != nil || ended == 0 {
			return done.Error
		}
		return audit.Record(tx, actor, "auth.signed_out", userTarget(user), metadata)
	})
	if err != nil {
		return 0, fmt.Errorf("end session: %w", err)
	}
	return ended, nil
}

// Reauthenticate checks the acting user's password again and opens access.ReauthWindow. A wrong password is
// org.ErrPassword and audited as a failed sign-in. The door limits how often this may be tried.
func (s *Service) Reauthenticate(ctx context.Context, actor access.Actor, session id.Login, password string) error {
	user, err := org.ActingUser(actor)
	if err != nil {
		return err
	}
	if err := s.confirmed(ctx, actor, user, s.Org.ConfirmPassword(ctx, actor, password)); err != nil {
		return err
	}
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		done := tx.Exec("UPDATE login_sessions SET reauthenticated_at = $3 WHERE id = $1 AND user_id = $2 AND expires_at > $3", session, user, tx.Now)
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return ErrNoSession
		}
		return audit.Record(tx, actor, "auth.reauthenticated", userTarget(user), nil)
	})
	if err != nil {
		return fmt.Errorf("reauthenticate: %w", err)
	}
	return nil
}

// ChangePassword replaces the acting user's password after checking the current one, and ends all their other sessions.
// A wrong current password is org.ErrPassword; a next one that breaks a rule names the field new_password.
func (s *Service) ChangePassword(ctx context.Context, actor access.Actor, session id.Login, current, next string) error {
	user, err := org.ActingUser(actor)
	if err != nil {
		return err
	}
	change, err := s.Org.PreparePassword(ctx, actor, current, next)
	if err := s.confirmed(ctx, actor, user, err); err != nil {
		return err
	}
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := s.Org.StorePassword(tx, actor, change); err != nil {
			return err
		}
		if err := tx.Exec("DELETE FROM login_sessions WHERE user_id = $1 AND id <> $2", user, session).Error; err != nil {
			return err
		}
		return tx.Exec("UPDATE login_sessions SET reauthenticated_at = $3 WHERE id = $1 AND user_id = $2", session, user, tx.Now).Error
	})
	if err != nil {
		return fmt.Errorf("change password: %w", err)
	}
	return nil
}

// ResetPassword gives the account with the address a new password, without the current one, and ends all its sessions. It is
// for the command line: whoever runs the server may do this, and nobody else.
func (s *Service) ResetPassword(ctx context.Context, email, next string) error {
	change, err := s.Org.PrepareReset(ctx, email, next)
	if err != nil {
		return err
	}
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		user, err := s.Org.StoreReset(tx, change)
		if err != nil {
			return err
		}
		return tx.Exec("DELETE FROM login_sessions WHERE user_id = $1", user).Error
	})
	if err != nil {
		return fmt.Errorf("reset password: %w", err)
	}
	return nil
}

// confirmed passes the outcome of a password check on, and audits a wrong one.
func (s *Service) confirmed(ctx context.Context, actor access.Actor, user id.User, outcome error) error {
	if !errors.Is(outcome, org.ErrPassword) {
		return outcome
	}
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		return audit.Record(tx, actor, "auth.sign_in_failed", userTarget(user), audit.Metadata{"signed_in_already": true})
	})
	if err != nil {
		return fmt.Errorf("record wrong password: %w", err)
	}
	return outcome
}

// Switch moves the session to another organization of the user. An organization where they have no active membership is
// NOT_FOUND.
func (s *Service) Switch(ctx context.Context, actor access.Actor, session id.Login, to id.Organization) error {
	user, err := org.ActingUser(actor)
	if err != nil {
		return err
	}
	if to == actor.Organization {
		return nil
	}
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		var place struct{ Role access.Role }
		found := tx.Raw(`UPDATE login_sessions AS s SET organization_id = m.organization_id FROM memberships AS m
			WHERE s.id = $1 AND s.user_id = $2 AND s.expires_at > $4 AND m.user_id = s.user_id AND m.organization_id = $3
			AND m.suspended_at IS NULL RETURNING m.role`, session, user, to, tx.Now).Scan(&place)
		if found.Error != nil {
			return found.Error
		}
		if found.RowsAffected == 0 {
			return errNoPlace
		}
		if err := noteSeen(tx, user, to); err != nil {
			return err
		}
		actor := actor
		actor.Organization, actor.Role = to, place.Role
		return audit.Record(tx, actor, "auth.signed_in", userTarget(user), audit.Metadata{"switched": true})
	})
	if err != nil {
		return fmt.Errorf("switch organization: %w", err)
	}
	return nil
}

// SetFlash leaves a message for the session's next page; it replaces one that was not shown. It must hold no secret.
func (s *Service) SetFlash(ctx context.Context, session id.Login, message string) error {
	err := s.DB.Reader(ctx).Exec("UPDATE login_sessions SET flash = $2 WHERE id = $1", session, strings.ToValidUTF8(message, "")).Error
	if err != nil {
		return fmt.Errorf("set flash: %w", err)
	}
	return nil
}

// TakeFlash returns the waiting message, once, or "".
func (s *Service) TakeFlash(ctx context.Context, session id.Login) (string, error) {
	var message string
	err := s.DB.Reader(ctx).Raw(`WITH waiting AS (SELECT id, flash FROM login_sessions WHERE id = $1 AND flash <> '' FOR UPDATE)
		UPDATE login_sessions AS s SET flash = '' FROM waiting WHERE s.id = waiting.id RETURNING waiting.flash`, session).Scan(&message).Error
	if err != nil {
		return "", fmt.Errorf("take flash: %w", err)
	}
	return message, nil
}

// Devices lists the acting user's live sessions, last seen first.
func (s *Service) Devices(ctx context.Context, actor access.Actor) ([]Device, error) {
	user, err := org.ActingUser(actor)
	if err != nil {
		return nil, err
	}
	tx := s.DB.Reader(ctx)
	var devices []Device
	err = tx.Raw(`SELECT s.id, o.name AS organization_name, s.ip, s.user_agent, s.created_at, s.last_seen_at, s.expires_at
		FROM login_sessions s JOIN organizations o ON o.id = s.organization_id
		WHERE s.user_id = $1 AND s.expires_at > $2 ORDER BY s.last_seen_at DESC, s.id DESC LIMIT $3`,
		user, tx.Now, sessionListMax).Scan(&devices).Error
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return devices, nil
}

// Purge deletes up to limit sessions that have ended and returns how many.
func Purge(tx *postgres.Tx, limit int) (int64, error) {
	done := tx.Exec(`DELETE FROM login_sessions WHERE id IN (SELECT id FROM login_sessions WHERE expires_at <= $1
		ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, tx.Now, limit)
	if done.Error != nil {
		return 0, fmt.Errorf("purge sessions: %w", done.Error)
	}
	return done.RowsAffected, nil
}

func userTarget(u id.User) audit.Target { return audit.Target{Type: "user", ID: u.String()} }
