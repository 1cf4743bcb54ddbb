package org

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

func getOrganization(tx *postgres.Tx, org id.Organization) (Organization, error) {
	return takeOrganization(tx.Table("organizations"), org)
}

func lockOrganization(tx *postgres.Tx, org id.Organization) (Organization, error) {
	var o Organization
	found := tx.Raw("SELECT * FROM organizations WHERE id = $1 FOR NO KEY UPDATE", org).Scan(&o)
	if found.Error == nil && found.RowsAffected == 0 {
		return o, errNoOrganization
	}
	return o, found.Error
}

func takeOrganization(q *gorm.DB, org id.Organization) (Organization, error) {
	var o Organization
	err := q.Where("id = ?", org).Take(&o).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return o, errNoOrganization
	}
	if err != nil {
		return o, fmt.Errorf("load organization %s: %w", org, err)
	}
	return o, nil
}

// findUser looks a user up by a column that is never input: "id" or "email". The second result is false when there is none.
func findUser(tx *postgres.Tx, column string, value any) (userRow, bool, error) {
	var u userRow
	err := tx.Where(column+" = ?", value).Take(&u).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return userRow{}, false, nil
	}
	if err != nil {
		return userRow{}, false, fmt.Errorf("load user: %w", err)
	}
	return u, true, nil
}

// lockRoster locks every membership of the organization until the transaction ends. The order of the locks is that of the
// user ids, so that two callers cannot wait for each other; the strength leaves sign-ins (which refer to a membership)
// undisturbed.
func lockRoster(tx *postgres.Tx, org id.Organization) (roster, error) {
	var r roster
	err := tx.Raw("SELECT * FROM memberships WHERE organization_id = $1 ORDER BY user_id FOR NO KEY UPDATE", org).Scan(&r).Error
	if err != nil {
		return nil, fmt.Errorf("lock members: %w", err)
	}
	return r, nil
}

func insertMembership(tx *postgres.Tx, org id.Organization, user id.User, role access.Role) error {
	err := tx.Create(&membership{OrganizationID: org, UserID: user, Role: role, CreatedAt: tx.Now, UpdatedAt: tx.Now}).Error
	if postgres.IsUnique(err, "memberships_pkey") {
		return ErrAlreadyMember
	}
	if err != nil {
		return fmt.Errorf("add member: %w", err)
	}
	return nil
}

// account is a user to be added to an organization: one that exists, or one to create.
type account struct {
	User User
	hash string // empty when the user exists
}

// prepareAccount does the slow and the checking part of adding a user, outside any transaction. A known address must be
// proven by its password, which the command line may leave out (trusted): otherwise whoever invites an address could
// take its account over.
func (s *Service) prepareAccount(ctx context.Context, email, name, password string, trusted bool) (*account, error) {
	known, found, err := findUser(s.DB.Reader(ctx), "email", email)
	if err != nil {
		return nil, err
	}
	if found {
		if trusted && password == "" {
			return &account{User: known.User}, nil
		}
		same, err := s.Passwords.Check(ctx, password, known.PasswordHash)
		if err != nil {
			return nil, err
		}
		if !same {
			return nil, ErrPassword
		}
		return &account{User: known.User}, nil
	}
	var bad complaints
	name, complaint := cleanText("name", name, nameMax)
	bad.add(complaint)
	bad.add(checkNewPassword("password", password, email))
	if err := bad.err(); err != nil {
		return nil, err
	}
	hash, err := s.Passwords.Hash(ctx, password)
	if err != nil {
		return nil, err
	}
	return &account{User: User{Email: email, Name: name, Preferences: DefaultPreferences()}, hash: hash}, nil
}

// ensure inserts the user unless it exists. It is ErrChanged when the address was taken since prepareAccount.
func (a *account) ensure(tx *postgres.Tx) error {
	if a.hash == "" {
		return nil
	}
	a.User.ID = id.User{UUID: tx.NewUUID()}
	a.User.CreatedAt, a.User.UpdatedAt = tx.Now, tx.Now
	err := tx.Create(&userRow{User: a.User, PasswordHash: a.hash}).Error
	if postgres.IsUnique(err, "users_email_key") {
		return ErrChanged
	}
	if err != nil {
		return fmt.Errorf("add user: %w", err)
	}
	return nil
}

// affected turns a conditional update that matched no row into missing.
func affected(result *gorm.DB, missing *fault.Error) error {
	if result.Error != nil {
		return result.Error
	}
	if result.RowsAffected == 0 {
		return missing
	}
	return nil
}
