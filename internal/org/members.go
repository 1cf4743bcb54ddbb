package org

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Members lists the organization's members, who joined last first. It needs members:read.
func (s *Service) Members(ctx context.Context, actor access.Actor, f MemberFilter, page postgres.Page) (postgres.List[Member], error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.MembersRead, tx.Now); err != nil {
		return postgres.List[Member]{}, err
	}
	q := members(tx, actor.Organization)
	if f.Text != "" {
		text := strings.ToLower(f.Text)
		q = q.Where("(strpos(m.email, ?) > 0 OR strpos(lower(m.name), ?) > 0)", text, text)
	}
	if f.Role != "" {
		q = q.Where("m.role = ?", f.Role)
	}
	if f.Suspended != nil {
		q = q.Where("(m.suspended_at IS NOT NULL) = ?", *f.Suspended)
	}
	list, err := postgres.Fetch[Member](q, "m", page)
	if err != nil {
		return list, fmt.Errorf("list members: %w", err)
	}
	return list, nil
}

// MemberPosition finds the member that a list continues after.
func (s *Service) MemberPosition(ctx context.Context, actor access.Actor, user id.User) (*postgres.Position, error) {
	return postgres.FindPosition(members(s.DB.Reader(ctx), actor.Organization), user.UUID)
}

// Member returns one member. It needs members:read.
func (s *Service) Member(ctx context.Context, actor access.Actor, user id.User) (Member, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.MembersRead, tx.Now); err != nil {
		return Member{}, err
	}
	var m Member
	err := members(tx, actor.Organization).Where("m.id = ?", user).Take(&m).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return m, errNoMember
	}
	if err != nil {
		return m, fmt.Errorf("load member %s: %w", user, err)
	}
	return m, nil
}

func members(tx *postgres.Tx, org id.Organization) *gorm.DB {
	rows := tx.Table("memberships").Joins("JOIN users ON users.id = memberships.user_id").
		Where("memberships.organization_id = ?", org).
		Select("users.id, users.email, users.name, memberships.role, memberships.suspended_at, memberships.created_at, memberships.last_seen_at")
	return tx.Table("(?) AS m", rows)
}

// ChangeRole gives a member another role. seen, unless it is empty, is the role that the change was made from: when that is not
// theirs any more, it is ErrRoleChanged. It needs members:manage, is ErrLastOwner when no active owner would remain, and leaves
// no trace when the member has the role already.
func (s *Service) ChangeRole(ctx context.Context, actor access.Actor, user id.User, role, seen access.Role) error {
	if err := checkRole(role); err != nil {
		return err
	}
	return s.manage(ctx, actor, user, func(tx *postgres.Tx, all roster, m membership) error {
		if m.Role == role {
			return nil
		}
		if seen != "" && m.Role != seen {
			return ErrRoleChanged.WithHint("The role is " + string(m.Role) + " now. Choose again if you still want " + string(role) + ".")
		}
		if role != access.Owner && m.activeOwner() && !all.keepsOwner(user) {
			return ErrLastOwner
		}
		err := affected(tx.Exec("UPDATE memberships SET role = $3, updated_at = $4 WHERE organization_id = $1 AND user_id = $2",
			m.OrganizationID, user, role, tx.Now), errNoMember)
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "member.role_changed", userTarget(user), audit.Metadata{"from": m.Role, "to": role})
	})
}

// Suspend makes a membership grant nothing until Reinstate. It needs members:manage, is ErrLastOwner when no active owner
// would remain, and leaves no trace when the membership is suspended already.
func (s *Service) Suspend(ctx context.Context, actor access.Actor, user id.User) error {
	return s.manage(ctx, actor, user, func(tx *postgres.Tx, all roster, m membership) error {
		if m.SuspendedAt != nil {
			return nil
		}
		if m.activeOwner() && !all.keepsOwner(user) {
			return ErrLastOwner
		}
		err := affected(tx.Exec("UPDATE memberships SET suspended_at = $3, updated_at = $3 WHERE organization_id = $1 AND user_id = $2 AND suspended_at IS NULL",
			m.OrganizationID, user, tx.Now), errNoMember)
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "member.suspended", userTarget(user), nil)
	})
}

// Reinstate ends a suspension. It needs members:manage and leaves no trace when there is none.
func (s *Service) Reinstate(ctx context.Context, actor access.Actor, user id.User) error {
	return s.manage(ctx, actor, user, func(tx *postgres.Tx, _ roster, m membership) error {
		if m.SuspendedAt == nil {
			return nil
		}
		err := affected(tx.Exec("UPDATE memberships SET suspended_at = NULL, updated_at = $3 WHERE organization_id = $1 AND user_id = $2 AND suspended_at IS NOT NULL",
			m.OrganizationID, user, tx.Now), errNoMember)
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "member.reinstated", userTarget(user), nil)
	})
}

// Remove ends a membership and, with it, the user's sessions in the organization. The user remains, since they may belong
// to others. It needs members:manage and is ErrLastOwner when no active owner would remain.
func (s *Service) Remove(ctx context.Context, actor access.Actor, user id.User) error {
	return s.manage(ctx, actor, user, func(tx *postgres.Tx, all roster, m membership) error {
		if m.activeOwner() && !all.keepsOwner(user) {
			return ErrLastOwner
		}
		err := affected(tx.Exec("DELETE FROM memberships WHERE organization_id = $1 AND user_id = $2", m.OrganizationID, user), errNoMember)
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "member.removed", userTarget(user), audit.Metadata{"role": m.Role})
	})
}

// manage runs f in a transaction in which no membership of the organization can change, so that f may count owners.
func (s *Service) manage(ctx context.Context, actor access.Actor, user id.User, f func(tx *postgres.Tx, all roster, m membership) error) error {
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.MembersManage, tx.Now); err != nil {
			return err
		}
		all, err := lockRoster(tx, actor.Organization)
		if err != nil {
			return err
		}
		if err := stillMay(tx, actor, all); err != nil {
			return err
		}
		m, ok := all.find(user)
		if !ok {
			return errNoMember
		}
		return f(tx, all, m)
	})
	if err != nil {
		return fmt.Errorf("manage member %s: %w", user, err)
	}
	return nil
}

// stillMay asks again under the lock: of two owners who demote each other at once, the second is no owner any more.
func stillMay(tx *postgres.Tx, actor access.Actor, all roster) error {
	if actor.Type != access.User {
		return nil
	}
	self, err := ActingUser(actor)
	if err != nil {
		return err
	}
	m, _ := all.find(self)
	actor.Role = m.Role
	if m.SuspendedAt != nil {
		actor.Role = ""
	}
	return actor.Require(access.MembersManage, tx.Now)
}

// Person is somebody as a log names them.
type Person struct {
	ID   id.User
	Name string
	// Member tells whether they are a member still.
	Member bool
}

// People returns who the ids stand for. The caller has the ids from the organization's own records.
func People(tx *postgres.Tx, org id.Organization, users []id.User) (map[id.User]Person, error) {
	var rows []Person
	err := tx.Table("users AS u").Where("u.id IN ?", users).
		Select("u.id, u.name, EXISTS (SELECT 1 FROM memberships m WHERE m.organization_id = ? AND m.user_id = u.id) AS member", org).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("load people: %w", err)
	}
	all := make(map[id.User]Person, len(rows))
	for _, p := range rows {
		all[p.ID] = p
	}
	return all, nil
}
