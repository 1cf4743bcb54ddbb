package org

import (
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

// InvitationTTL is how long an invitation can be accepted.
const InvitationTTL = 7 * 24 * time.Hour

// Invitation offers a membership to whoever holds its token. The token is shown once and stored as a hash.
type Invitation struct {
	ID             id.Invitation
	OrganizationID id.Organization
	Email          string
	Role           access.Role
	InvitedBy      id.User
	// InvitedByName is empty when that user is gone.
	InvitedByName string `gorm:"->"`
	CreatedAt     time.Time
	ExpiresAt     time.Time
}

// Expired reports whether the invitation can no longer be accepted at now.
func (i Invitation) Expired(now time.Time) bool { return !now.Before(i.ExpiresAt) }

// Offer is an invitation as the holder of its token sees it.
type Offer struct {
	Organization string
	Email        string
	Role         access.Role
	// KnownUser tells that the address has an account already: its password proves who accepts, and no name is asked.
	KnownUser bool
	ExpiresAt time.Time
}

// AcceptInput is what the invited person enters. Name is ignored for a known user.
type AcceptInput struct {
	Name     string
	Password string
}

// Errors about invitations.
var (
	// ErrInvitation reports a token that is unknown, used, revoked or expired.
	ErrInvitation = fault.New(fault.NotFound, fault.CodeNotFound, "This invitation is not valid (any more).").
			WithHint("Ask an owner of the organization for a new one.")
	// ErrInvited reports an address with an invitation that is still open.
	ErrInvited = fault.New(fault.Conflict, fault.CodeConflict, "This address has an open invitation.").
			WithHint("Renew or revoke that invitation.")
	errNoInvitation = fault.Missing("invitation")
)

// invitationRow is an Invitation as it is stored.
type invitationRow struct {
	Invitation
	TokenHash  []byte
	AcceptedAt *time.Time
}

// TableName names the table.
func (invitationRow) TableName() string { return "invitations" }
