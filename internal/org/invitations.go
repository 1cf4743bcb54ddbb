package org

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Invite creates an invitation and returns its token, which is never shown again. It needs members:manage. An address
// with an open invitation is ErrInvited; an expired invitation is replaced.
func (s *Service) Invite(ctx context.Context, actor access.Actor, email string, role access.Role) (Invitation, string, error) {
	email, complaint := cleanEmail(email)
	roleErr := checkRole(role)
	token, hash := NewToken()
	var made Invitation
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.MembersManage, tx.Now); err != nil {
			return err
		}
		if complaint != nil {
			return fault.InvalidFields(*complaint)
		}
		if roleErr != nil {
			return roleErr
		}
		var member bool
		err := tx.Raw("SELECT EXISTS (SELECT FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.organization_id = $1 AND u.email = $2)",
			actor.Organization, email).Scan(&member).Error
		if err != nil {
			return err
		}
		if member {
			return ErrAlreadyMember
		}
		err = tx.Exec("DELETE FROM invitations WHERE organization_id = $1 AND email = $2 AND accepted_at IS NULL AND expires_at <= $3",
			actor.Organization, email, tx.Now).Error
		if err != nil {
			return err
		}
		made = Invitation{
			ID: id.Invitation{UUID: tx.NewUUID()}, OrganizationID: actor.Organization, Email: email, Role: role,
			CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(InvitationTTL),
		}
		if user, err := ActingUser(actor); err == nil {
			made.InvitedBy, made.InvitedByName = user, actor.Name
		}
		err = tx.Create(&invitationRow{Invitation: made, TokenHash: hash}).Error
		if postgres.IsUnique(err, "invitations_one_open") {
			return ErrInvited
		}
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "member.invited", invitationTarget(made.ID), audit.Metadata{"role": role})
	})
	if err != nil {
		return Invitation{}, "", fmt.Errorf("invite: %w", err)
	}
	return made, token, nil
}

// Renew gives an invitation that was not accepted a new token and another seven days; the old token stops working. It
// needs members:manage.
func (s *Service) Renew(ctx context.Context, actor access.Actor, invitation id.Invitation) (Invitation, string, error) {
	token, hash := NewToken()
	var renewed Invitation
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.MembersManage, tx.Now); err != nil {
			return err
		}
		found := tx.Raw(`UPDATE invitations SET token_hash = $3, expires_at = $4
			WHERE id = $1 AND organization_id = $2 AND accepted_at IS NULL RETURNING *`,
			invitation, actor.Organization, hash, tx.Now.Add(InvitationTTL)).Scan(&renewed)
		if err := affected(found, errNoInvitation); err != nil {
			return err
		}
		return audit.Record(tx, actor, "member.invited", invitationTarget(invitation), audit.Metadata{"role": renewed.Role, "renewed": true})
	})
	if err != nil {
		return Invitation{}, "", fmt.Errorf("renew invitation %s: %w", invitation, err)
	}
	return renewed, token, nil
}

// Revoke withdraws an invitation that was not accepted. It needs members:manage.
func (s *Service) Revoke(ctx context.Context, actor access.Actor, invitation id.Invitation) error {
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.MembersManage, tx.Now); err != nil {
			return err
		}
		err := affected(tx.Exec("DELETE FROM invitations WHERE id = $1 AND organization_id = $2 AND accepted_at IS NULL",
			invitation, actor.Organization), errNoInvitation)
		if err != nil {
			return err
		}
		return audit.Record(tx, actor, "member.invitation_revoked", invitationTarget(invitation), nil)
	})
	if err != nil {
		return fmt.Errorf("revoke invitation %s: %w", invitation, err)
	}
	return nil
}

// Invitations lists what was not accepted, expired ones included, newest first. It needs members:read.
func (s *Service) Invitations(ctx context.Context, actor access.Actor, page postgres.Page) (postgres.List[Invitation], error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.MembersRead, tx.Now); err != nil {
		return postgres.List[Invitation]{}, err
	}
	q := tx.Table("invitations AS i").Joins("LEFT JOIN users AS u ON u.id = i.invited_by").
		Select("i.*, COALESCE(u.name, '') AS invited_by_name").
		Where("i.organization_id = ? AND i.accepted_at IS NULL", actor.Organization)
	list, err := postgres.Fetch[Invitation](q, "i", page)
	if err != nil {
		return list, fmt.Errorf("list invitations: %w", err)
	}
	return list, nil
}

// InvitationPosition finds the invitation that a list continues after.
func (s *Service) InvitationPosition(ctx context.Context, actor access.Actor, invitation id.Invitation) (*postgres.Position, error) {
	return postgres.FindPosition(s.DB.Reader(ctx).Table("invitations").Where("organization_id = ?", actor.Organization), invitation.UUID)
}

// Offer shows what a token offers, or is ErrInvitation. The holder of the token need not be signed in.
func (s *Service) Offer(ctx context.Context, token string) (Offer, error) {
	tx := s.DB.Reader(ctx)
	open, err := openInvitation(tx, token)
	if err != nil {
		return Offer{}, err
	}
	organization, err := getOrganization(tx, open.OrganizationID)
	if err != nil {
		return Offer{}, err
	}
	_, known, err := findUser(tx, "email", open.Email)
	if err != nil {
		return Offer{}, err
	}
	return Offer{
		Organization: organization.Name, Email: open.Email, Role: open.Role, KnownUser: known, ExpiresAt: open.ExpiresAt,
	}, nil
}

// Accept makes the holder of the token a member. A new address gets an account; a known one must give its password, or
// it is ErrPassword: the link alone may be in the hands of whoever invited. actor gives only the address and request id
// for the audit log. The door limits how often this may be tried.
func (s *Service) Accept(ctx context.Context, actor access.Actor, token string, in AcceptInput) (User, id.Organization, error) {
	open, err := openInvitation(s.DB.Reader(ctx), token)
	if err != nil {
		return User{}, id.Organization{}, err
	}
	account, err := s.prepareAccount(ctx, open.Email, in.Name, in.Password, false)
	if err != nil {
		return User{}, id.Organization{}, err
	}
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		err := affected(tx.Exec("UPDATE invitations SET accepted_at = $3 WHERE id = $1 AND token_hash = $2 AND accepted_at IS NULL AND expires_at > $3",
			open.ID, HashToken(token), tx.Now), ErrInvitation)
		if err != nil {
			return err
		}
		if err := account.ensure(tx); err != nil {
			return err
		}
		if err := insertMembership(tx, open.OrganizationID, account.User.ID, open.Role); err != nil {
			return err
		}
		joined := access.Actor{
			Type: access.User, Organization: open.OrganizationID, ID: account.User.ID.String(), Name: account.User.Name,
			Role: open.Role, IP: actor.IP, RequestID: actor.RequestID,
		}
		return audit.Record(tx, joined, "member.joined", userTarget(account.User.ID),
			audit.Metadata{"role": open.Role, "invitation_id": open.ID.String()})
	})
	if err != nil {
		return User{}, id.Organization{}, fmt.Errorf("accept invitation %s: %w", open.ID, err)
	}
	return account.User, open.OrganizationID, nil
}

// PurgeInvitations deletes up to limit invitations that were accepted or expired more than 30 days ago, since they hold
// addresses that nobody needs any more, and returns how many.
func PurgeInvitations(tx *postgres.Tx, limit int) (int64, error) {
	const keep = 30 * 24 * time.Hour
	done := tx.Exec(`DELETE FROM invitations WHERE id IN (SELECT id FROM invitations
		WHERE COALESCE(accepted_at, expires_at) <= $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)`, tx.Now.Add(-keep), limit)
	if done.Error != nil {
		return 0, fmt.Errorf("purge invitations: %w", done.Error)
	}
	return done.RowsAffected, nil
}

func openInvitation(tx *postgres.Tx, token string) (Invitation, error) {
	var row invitationRow
	err := tx.Where("token_hash = ? AND accepted_at IS NULL AND expires_at > ?", HashToken(token), tx.Now).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Invitation{}, ErrInvitation
	}
	if err != nil {
		return Invitation{}, fmt.Errorf("load invitation: %w", err)
	}
	return row.Invitation, nil
}

func invitationTarget(i id.Invitation) audit.Target {
	return audit.Target{Type: "invitation", ID: i.String()}
}
