package org

import (
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

// Member is a user in an organization.
type Member struct {
	ID    id.User
	Email string
	Name  string
	Role  access.Role
	// SuspendedAt is set while the membership grants nothing.
	SuspendedAt *time.Time
	// CreatedAt is when the user joined.
	CreatedAt time.Time
	// LastSeenAt is nil for who never signed in to the organization.
	LastSeenAt *time.Time
}

// Active reports whether the membership grants anything.
func (m Member) Active() bool { return m.SuspendedAt == nil }

// MemberFilter narrows a list; the zero value of a field filters nothing.
type MemberFilter struct {
	Text      string // part of name or address
	Role      access.Role
	Suspended *bool
}

// Errors about members.
var (
	// ErrRoleChanged reports a change that was decided on by a role that is no longer the member's.
	ErrRoleChanged = fault.New(fault.Conflict, fault.CodeConflict, "Somebody else changed this role in the meantime.")
	// ErrLastOwner protects the last active owner of an organization.
	ErrLastOwner = fault.New(fault.Conflict, fault.CodeConflict, "An organization keeps at least one active owner.").
			WithHint("Make another member an owner first.")
	// ErrAlreadyMember reports an invitation to somebody who already belongs to the organization.
	ErrAlreadyMember = fault.New(fault.Conflict, fault.CodeConflict, "This person is already a member.")
	errNoMember      = fault.Missing("member")
)

// membership is a row of memberships.
type membership struct {
	OrganizationID id.Organization
	UserID         id.User
	Role           access.Role
	SuspendedAt    *time.Time
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// TableName names the table.
func (membership) TableName() string { return "memberships" }

func (m membership) activeOwner() bool { return m.Role == access.Owner && m.SuspendedAt == nil }

// roster is every membership of one organization, locked.
type roster []membership

func (r roster) find(user id.User) (membership, bool) {
	for _, m := range r {
		if m.UserID == user {
			return m, true
		}
	}
	return membership{}, false
}

// keepsOwner reports whether an active owner remains when user is left out.
func (r roster) keepsOwner(without id.User) bool {
	for _, m := range r {
		if m.UserID != without && m.activeOwner() {
			return true
		}
	}
	return false
}

func checkRole(role access.Role) error {
	if !role.AtLeast(access.Member) {
		return fault.InvalidField("role", "Choose owner, admin or member.")
	}
	return nil
}
