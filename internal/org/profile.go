package org

import (
	"context"
	"fmt"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// User returns the acting user.
func (s *Service) User(ctx context.Context, actor access.Actor) (User, error) {
	user, err := ActingUser(actor)
	if err != nil {
		return User{}, err
	}
	row, found, err := findUser(s.DB.Reader(ctx), "id", user)
	if err == nil && !found {
		err = errNoUser
	}
	return row.User, err
}

// UpdatePreferences sets how pages look for the acting user. seen, when given, are those that the change was made from; others are
// ErrChanged. An update that changes nothing leaves no trace.
func (s *Service) UpdatePreferences(ctx context.Context, actor access.Actor, p Preferences, seen *Preferences) error {
	user, err := ActingUser(actor)
	if err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		var before Preferences
		found := tx.Raw("SELECT time_zone, theme, density, live, shortcuts FROM users WHERE id = $1 FOR UPDATE", user).Scan(&before)
		switch {
		case found.Error != nil:
			return found.Error
		case found.RowsAffected == 0:
			return errNoUser
		case seen != nil && *seen != before:
			return ErrChanged
		case p == before:
			return nil
		}
		err := tx.Exec("UPDATE users SET time_zone = $2, theme = $3, density = $4, live = $5, shortcuts = $6, updated_at = $7 WHERE id = $1",
			user, p.TimeZone, p.Theme, p.Density, p.Live, p.Shortcuts, tx.Now).Error
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "member.preferences_updated", userTarget(user), before.changedTo(p))
	})
	if err != nil {
		return fmt.Errorf("update preferences: %w", err)
	}
	return nil
}

// changedTo is what the log tells of a change from p.
func (p Preferences) changedTo(next Preferences) audit.Metadata {
	var fields []string
	changes := audit.Changes{}
	for _, f := range []struct {
		name     string
		from, to any
	}{{"time_zone", p.TimeZone, next.TimeZone}, {"theme", p.Theme, next.Theme}, {"density", p.Density, next.Density}, {"live", p.Live, next.Live}, {"shortcuts", p.Shortcuts, next.Shortcuts}} {
		if f.from != f.to {
			fields = append(fields, f.name)
			changes[f.name] = audit.Change{From: f.from, To: f.to}
		}
	}
	return audit.Metadata{"updated_fields": fields, audit.ChangesField: changes}
}

// CheckPassword compares a password with that of the address. It does the same work whether or not the address is known;
// user is zero when it is not, and ok is false for a wrong password.
func (s *Service) CheckPassword(ctx context.Context, email, password string) (user User, ok bool, err error) {
	email, malformed := cleanEmail(email)
	if malformed != nil {
		email = "" // nobody's, which takes as long to find out
	}
	row, _, err := findUser(s.DB.Reader(ctx), "email", email)
	if err != nil {
		return User{}, false, err
	}
	ok, err = s.Passwords.Check(ctx, password, row.PasswordHash)
	return row.User, ok, err
}

// ConfirmPassword checks the acting user's own password again: nil or ErrPassword.
func (s *Service) ConfirmPassword(ctx context.Context, actor access.Actor, password string) error {
	_, err := s.confirm(ctx, actor, password)
	return err
}

func (s *Service) confirm(ctx context.Context, actor access.Actor, password string) (userRow, error) {
	user, err := ActingUser(actor)
	if err != nil {
		return userRow{}, err
	}
	row, _, err := findUser(s.DB.Reader(ctx), "id", user)
	if err != nil {
		return userRow{}, err
	}
	ok, err := s.Passwords.Check(ctx, password, row.PasswordHash)
	if err != nil {
		return userRow{}, err
	}
	if !ok {
		return userRow{}, ErrPassword
	}
	return row, nil
}

// PasswordChange is a checked and hashed new password, ready to be stored.
type PasswordChange struct {
	user     id.User
	from, to string
}

// PreparePassword checks the acting user's current password and the rules for the next one: 12 to 200 characters and not
// the e-mail address. It is ErrPassword when current is wrong.
func (s *Service) PreparePassword(ctx context.Context, actor access.Actor, current, next string) (PasswordChange, error) {
	row, err := s.confirm(ctx, actor, current)
	if err != nil {
		return PasswordChange{}, err
	}
	var bad complaints
	bad.add(checkNewPassword("new_password", next, row.Email))
	if err := bad.err(); err != nil {
		return PasswordChange{}, err
	}
	hash, err := s.Passwords.Hash(ctx, next)
	if err != nil {
		return PasswordChange{}, err
	}
	return PasswordChange{user: row.ID, from: row.PasswordHash, to: hash}, nil
}

// PrepareReset checks and hashes a new password for the account with the address, without the current one: for somebody who
// runs the server. It is a NOT_FOUND fault when no account has the address.
func (s *Service) PrepareReset(ctx context.Context, email, next string) (PasswordChange, error) {
	row, found, err := findUser(s.DB.Reader(ctx), "email", NormalEmail(email))
	if err != nil {
		return PasswordChange{}, err
	}
	if !found {
		return PasswordChange{}, errNoUser
	}
	var bad complaints
	bad.add(checkNewPassword("password", next, row.Email))
	if err := bad.err(); err != nil {
		return PasswordChange{}, err
	}
	hash, err := s.Passwords.Hash(ctx, next)
	if err != nil {
		return PasswordChange{}, err
	}
	return PasswordChange{user: row.ID, from: row.PasswordHash, to: hash}, nil
}

// StoreReset stores what PrepareReset returned, and leaves a trace in every organization of the person. login calls it, to
// end the person's sessions in the same transaction.
func (s *Service) StoreReset(tx *postgres.Tx, change PasswordChange) (id.User, error) {
	err := affected(tx.Exec("UPDATE users SET password_hash = $3, updated_at = $4 WHERE id = $1 AND password_hash = $2",
		change.user, change.from, change.to, tx.Now), ErrChanged)
	if err != nil {
		return id.User{}, fmt.Errorf("store password: %w", err)
	}
	var places []id.Organization
	if err := tx.Raw("SELECT organization_id FROM memberships WHERE user_id = $1 ORDER BY organization_id", change.user).Scan(&places).Error; err != nil {
		return id.User{}, fmt.Errorf("list memberships: %w", err)
	}
	for _, place := range places {
		actor := access.Actor{Type: access.System, Organization: place}
		if err := audit.Record(tx, actor, "member.password_reset", userTarget(change.user), nil); err != nil {
			return id.User{}, err
		}
	}
	return change.user, nil
}

// StorePassword stores what PreparePassword returned, and is ErrChanged when the password changed since. login calls it,
// to end the user's other sessions in the same transaction.
func (s *Service) StorePassword(tx *postgres.Tx, actor access.Actor, change PasswordChange) error {
	err := affected(tx.Exec("UPDATE users SET password_hash = $3, updated_at = $4 WHERE id = $1 AND password_hash = $2",
		change.user, change.from, change.to, tx.Now), ErrChanged)
	if err != nil {
		return fmt.Errorf("store password: %w", err)
	}
	return audit.Record(tx, actor, "member.password_changed", userTarget(change.user), nil)
}
