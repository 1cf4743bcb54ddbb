package org

import (
	"cmp"
	"context"
	"fmt"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Service carries out the operations of this package. All fields are required.
type Service struct {
	DB        *postgres.DB
	Passwords *Passwords
}

// SetupInput is what a new organization needs. Environment may be empty (DefaultEnvironment), as may EnvironmentColor, and
// TimeZone, which is one of TimeZones and becomes the preference of an owner who is new.
type SetupInput struct {
	Organization string
	Environment  string
	// EnvironmentColor is one of EnvironmentColors.
	EnvironmentColor string
	Email            string
	Name             string
	Password         string
	TimeZone         string
}

// Exists reports whether there is any organization. Without one the system waits for its first-run setup.
func (s *Service) Exists(ctx context.Context) (bool, error) {
	var exists bool
	if err := s.DB.Reader(ctx).Raw("SELECT EXISTS (SELECT FROM organizations)").Scan(&exists).Error; err != nil {
		return false, fmt.Errorf("look for an organization: %w", err)
	}
	return exists, nil
}

// Several reports whether there is more than one organization here: what shows the machinery of all of them is for none then.
func (s *Service) Several(ctx context.Context) (bool, error) {
	var several bool
	if err := s.DB.Reader(ctx).Raw("SELECT EXISTS (SELECT FROM organizations OFFSET 1)").Scan(&several).Error; err != nil {
		return false, fmt.Errorf("count organizations: %w", err)
	}
	return several, nil
}

// SetupFirst creates the first organization and its owner. It is ErrAlreadySetUp as soon as there is any organization,
// also when two callers race. The caller proves its right to do so, with a one-time token; actor gives only the address
// and request id for the audit log.
func (s *Service) SetupFirst(ctx context.Context, actor access.Actor, in SetupInput) (Organization, User, error) {
	// The exclusive lock on the table makes "is there none" and the insert one step.
	return s.setup(ctx, actor, in, false, func(tx *postgres.Tx) error {
		if err := tx.Exec("LOCK TABLE organizations IN SHARE ROW EXCLUSIVE MODE").Error; err != nil {
			return err
		}
		var exists bool
		if err := tx.Raw("SELECT EXISTS (SELECT FROM organizations)").Scan(&exists).Error; err != nil {
			return err
		}
		if exists {
			return ErrAlreadySetUp
		}
		return nil
	})
}

// Setup creates a further organization and its owner, for the command line. When the address has an account already,
// that user becomes the owner: Name is ignored and Password must be theirs, or empty.
func (s *Service) Setup(ctx context.Context, actor access.Actor, in SetupInput) (Organization, User, error) {
	return s.setup(ctx, actor, in, true, func(*postgres.Tx) error { return nil })
}

func (s *Service) setup(ctx context.Context, actor access.Actor, in SetupInput, trusted bool, allowed func(*postgres.Tx) error) (Organization, User, error) {
	var bad complaints
	var complaint *fault.Field
	if in.Environment == "" {
		in.Environment = DefaultEnvironment
	}
	in.Organization, complaint = cleanText("organization", in.Organization, nameMax)
	bad.add(complaint)
	in.Environment, complaint = cleanText("environment", in.Environment, environmentMax)
	bad.add(complaint)
	bad.add(checkColor(in.EnvironmentColor))
	in.Email, complaint = cleanEmail(in.Email)
	bad.add(complaint)
	if err := bad.err(); err != nil {
		return Organization{}, User{}, err
	}
	prefs := DefaultPreferences()
	prefs.TimeZone = cmp.Or(in.TimeZone, prefs.TimeZone)
	if err := prefs.check(); err != nil {
		return Organization{}, User{}, err
	}
	account, err := s.prepareAccount(ctx, in.Email, in.Name, in.Password, trusted)
	if err != nil {
		return Organization{}, User{}, err
	}
	if account.hash != "" { // somebody who has an account has chosen already
		account.User.Preferences = prefs
	}
	var organization Organization
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := allowed(tx); err != nil {
			return err
		}
		organization = Organization{
			ID: id.Organization{UUID: tx.NewUUID()}, Name: in.Organization, Environment: in.Environment, EnvironmentColor: in.EnvironmentColor,
			CreatedAt: tx.Now, UpdatedAt: tx.Now,
		}
		if err := tx.Create(&organization).Error; err != nil {
			return err
		}
		if err := account.ensure(tx); err != nil {
			return err
		}
		if err := insertMembership(tx, organization.ID, account.User.ID, access.Owner); err != nil {
			return err
		}
		actor := access.Actor{Type: access.System, Organization: organization.ID, IP: actor.IP, RequestID: actor.RequestID}
		if err := audit.Record(tx, actor, "organization.created", target(organization.ID), audit.Metadata{"name": organization.Name}); err != nil {
			return err
		}
		return audit.Record(tx, actor, "member.joined", userTarget(account.User.ID), audit.Metadata{"role": access.Owner})
	})
	if err != nil {
		return Organization{}, User{}, fmt.Errorf("set up organization: %w", err)
	}
	return organization, account.User, nil
}

// Organization returns the actor's own organization.
func (s *Service) Organization(ctx context.Context, actor access.Actor) (Organization, error) {
	return getOrganization(s.DB.Reader(ctx), actor.Organization)
}

// UpdateOrganization renames the organization or its environment, or gives that another colour, and returns it. It needs organization:manage. An update
// that changes nothing leaves no trace.
func (s *Service) UpdateOrganization(ctx context.Context, actor access.Actor, change OrganizationUpdate) (Organization, error) {
	var bad complaints
	for _, f := range []struct {
		field string
		text  **string
		most  int
	}{{"name", &change.Name, nameMax}, {"environment", &change.Environment, environmentMax}} {
		if *f.text != nil {
			clean, complaint := cleanText(f.field, **f.text, f.most)
			bad.add(complaint)
			*f.text = &clean
		}
	}
	if change.EnvironmentColor != nil {
		bad.add(checkColor(*change.EnvironmentColor))
	}
	var updated Organization
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.OrganizationManage, tx.Now); err != nil {
			return err
		}
		before, err := lockOrganization(tx, actor.Organization)
		if err != nil {
			return err
		}
		if change.Expected != nil && !before.UpdatedAt.Equal(*change.Expected) { // before what is wrong with it: an editor mends that on what is stored now
			return ErrChanged
		}
		if err := bad.err(); err != nil {
			return err
		}
		updated = before
		var fields []string
		changes := audit.Changes{}
		if change.Name != nil && *change.Name != before.Name {
			updated.Name, fields = *change.Name, append(fields, "name")
			changes["name"] = audit.Change{From: before.Name, To: updated.Name}
		}
		if change.Environment != nil && *change.Environment != before.Environment {
			updated.Environment, fields = *change.Environment, append(fields, "environment")
			changes["environment"] = audit.Change{From: before.Environment, To: updated.Environment}
		}
		if change.EnvironmentColor != nil && *change.EnvironmentColor != before.EnvironmentColor {
			updated.EnvironmentColor, fields = *change.EnvironmentColor, append(fields, "environment_color")
			changes["environment_color"] = audit.Change{From: before.EnvironmentColor, To: updated.EnvironmentColor}
		}
		if len(fields) == 0 {
			return nil
		}
		updated.UpdatedAt = tx.Now
		err = tx.Exec("UPDATE organizations SET name = $2, environment = $3, environment_color = $4, updated_at = $5 WHERE id = $1",
			updated.ID, updated.Name, updated.Environment, updated.EnvironmentColor, updated.UpdatedAt).Error
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "organization.updated", target(updated.ID), audit.Metadata{"updated_fields": fields, audit.ChangesField: changes})
	})
	if err != nil {
		return Organization{}, fmt.Errorf("update organization: %w", err)
	}
	return updated, nil
}

func target(o id.Organization) audit.Target {
	return audit.Target{Type: "organization", ID: o.String()}
}
func userTarget(u id.User) audit.Target { return audit.Target{Type: "user", ID: u.String()} }
