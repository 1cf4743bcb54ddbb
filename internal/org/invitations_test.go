package org_test

import (
	"sync"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
)

const invited = "bo@example.com"

func TestInvite(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	admin := fixture.User(t, db, tenant, access.Admin)

	invitation, token, err := s.Invite(t.Context(), owner, " Bo@Example.com", access.Admin)
	if err != nil || invitation.Email != invited || invitation.InvitedByName != owner.Name {
		t.Fatalf("works: %+v, %v", invitation, err)
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM invitations WHERE position($1::bytea IN token_hash) > 0", []byte(token)); n != 0 {
		t.Error("the token is stored")
	}
	_, _, err = s.Invite(t.Context(), admin, "cy@example.com", access.Member)
	fixture.WantKind(t, err, fault.Forbidden)
	_, _, err = s.Invite(t.Context(), owner, invited, access.Member)
	fixture.WantFault(t, err, org.ErrInvited)
	// Two organizations may invite one person.
	if _, _, err = s.Invite(t.Context(), stranger, invited, access.Member); err != nil {
		t.Error(err)
	}
	_, _, err = s.Invite(t.Context(), owner, fixture.Email(fixture.UserID(t, admin)), access.Member)
	fixture.WantFault(t, err, org.ErrAlreadyMember)
	_, _, err = s.Invite(t.Context(), owner, "cy@example.com", "god")
	fixture.WantField(t, err, "role")

	list, err := s.Invitations(t.Context(), owner, first)
	if err != nil || len(list.Rows) != 1 || list.Rows[0].ID != invitation.ID || list.Rows[0].InvitedByName != owner.Name || list.Rows[0].InvitedBy != invitation.InvitedBy {
		t.Errorf("Invitations = %+v, %v", list.Rows, err)
	}
	if _, err := s.InvitationPosition(t.Context(), stranger, invitation.ID); err == nil {
		t.Error("another organization's invitation is a cursor")
	}
	if n := fixture.Audited(t, db, tenant, "member.invited"); n != 1 {
		t.Errorf("audited %d times", n)
	}
}

func TestInvite_ReplacesAnExpiredInvitation(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	_, old, err := s.Invite(t.Context(), owner, invited, access.Member)
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(org.InvitationTTL)
	_, err = s.Offer(t.Context(), old)
	fixture.WantFault(t, err, org.ErrInvitation)
	if _, _, err = s.Invite(t.Context(), owner, invited, access.Member); err != nil {
		t.Error(err)
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	invitation, old, err := s.Invite(t.Context(), owner, invited, access.Member)
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(org.InvitationTTL + time.Hour)
	_, _, err = s.Renew(t.Context(), fixture.User(t, db, tenant, access.Admin), invitation.ID)
	fixture.WantKind(t, err, fault.Forbidden)
	_, _, err = s.Renew(t.Context(), stranger, invitation.ID)
	fixture.WantKind(t, err, fault.NotFound)
	var token string
	for range 2 {
		renewed, again, err := s.Renew(t.Context(), owner, invitation.ID)
		if err != nil || !renewed.ExpiresAt.Equal(clock.Now().Add(org.InvitationTTL)) || again == token {
			t.Fatalf("Renew = %+v, %v", renewed, err)
		}
		token = again
	}
	_, err = s.Offer(t.Context(), old)
	fixture.WantFault(t, err, org.ErrInvitation)
	if _, err = s.Offer(t.Context(), token); err != nil {
		t.Error(err)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	invitation, token, err := s.Invite(t.Context(), owner, invited, access.Member)
	if err != nil {
		t.Fatal(err)
	}
	fixture.WantKind(t, s.Revoke(t.Context(), fixture.User(t, db, tenant, access.Admin), invitation.ID), fault.Forbidden)
	fixture.WantKind(t, s.Revoke(t.Context(), stranger, invitation.ID), fault.NotFound)
	if err := s.Revoke(t.Context(), owner, invitation.ID); err != nil {
		t.Fatal(err)
	}
	fixture.WantKind(t, s.Revoke(t.Context(), owner, invitation.ID), fault.NotFound)
	_, _, err = s.Accept(t.Context(), access.Actor{}, token, org.AcceptInput{Name: "Bo", Password: fixture.Password})
	fixture.WantFault(t, err, org.ErrInvitation)
	if n := fixture.Audited(t, db, tenant, "member.invitation_revoked"); n != 1 {
		t.Errorf("audited %d times", n)
	}
}

func TestAccept_ANewPersonGetsAnAccount(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, token, err := s.Invite(t.Context(), owner, invited, access.Admin)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := s.Offer(t.Context(), token)
	if err != nil || offer.Email != invited || offer.Role != access.Admin || offer.KnownUser {
		t.Fatalf("Offer = %+v, %v", offer, err)
	}
	_, _, err = s.Accept(t.Context(), access.Actor{}, token, org.AcceptInput{Name: "", Password: "short"})
	fixture.WantField(t, err, "name")
	fixture.WantField(t, err, "password")
	_, _, err = s.Accept(t.Context(), access.Actor{}, token+"x", org.AcceptInput{Name: "Bo", Password: fixture.Password})
	fixture.WantFault(t, err, org.ErrInvitation)

	user, joined, err := s.Accept(t.Context(), access.Actor{}, token, org.AcceptInput{Name: "Bo", Password: fixture.Password})
	if err != nil || joined != tenant || user.Email != invited || user.Name != "Bo" {
		t.Fatalf("Accept = %+v, %v, %v", user, joined, err)
	}
	m, err := s.Member(t.Context(), owner, user.ID)
	if err != nil || m.Role != access.Admin {
		t.Errorf("Member = %+v, %v", m, err)
	}
	if n := fixture.Audited(t, db, tenant, "member.joined"); n != 1 {
		t.Errorf("audited %d times", n)
	}
	_, _, err = s.Accept(t.Context(), access.Actor{}, token, org.AcceptInput{Name: "Bo", Password: fixture.Password})
	fixture.WantFault(t, err, org.ErrInvitation)
}

func TestAccept_AKnownPersonMustGiveTheirPassword(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	known := fixture.UserID(t, stranger)
	_, token, err := s.Invite(t.Context(), owner, fixture.Email(known), access.Member)
	if err != nil {
		t.Fatal(err)
	}
	if offer, err := s.Offer(t.Context(), token); err != nil || !offer.KnownUser {
		t.Errorf("Offer = %+v, %v", offer, err)
	}
	for _, guess := range []string{"", "a password of the inviter's choice"} {
		_, _, err = s.Accept(t.Context(), access.Actor{}, token, org.AcceptInput{Name: "Mallory", Password: guess})
		fixture.WantFault(t, err, org.ErrPassword)
	}
	user, _, err := s.Accept(t.Context(), access.Actor{}, token, org.AcceptInput{Name: "Mallory", Password: fixture.Password})
	if err != nil || user.ID != known || user.Name == "Mallory" {
		t.Fatalf("Accept = %+v, %v", user, err)
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM memberships WHERE user_id = $1 AND suspended_at IS NULL", known); n != 2 {
		t.Errorf("%d memberships, want 2", n)
	}
}

func TestAccept_OneTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, token, err := s.Invite(t.Context(), owner, invited, access.Member)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		wg.Go(func() {
			_, _, errs[i] = s.Accept(t.Context(), access.Actor{}, token, org.AcceptInput{Name: "Bo", Password: fixture.Password})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			fixture.WantFault(t, err, org.ErrInvitation)
		}
	}
	if n := fixture.Audited(t, db, tenant, "member.joined"); won != 1 || n != 1 {
		t.Errorf("%d accepted, %d audited", won, n)
	}
}

func TestAccept_DoesNotEndASuspension(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	user := fixture.UserID(t, stranger)
	_, token, err := s.Invite(t.Context(), owner, fixture.Email(user), access.Member)
	if err != nil {
		t.Fatal(err)
	}
	now := db.Now()
	fixture.Exec(t, db, "INSERT INTO memberships VALUES ($1, $2, 'member', $3, $3, $3)", tenant, user, now)
	_, _, err = s.Accept(t.Context(), access.Actor{}, token, org.AcceptInput{Password: fixture.Password})
	fixture.WantFault(t, err, org.ErrAlreadyMember)
}

func TestPurgeInvitations_KeepsWhatIsOpenOrRecent(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	for _, email := range []string{"a@example.com", "b@example.com", "c@example.com"} {
		if _, _, err := s.Invite(t.Context(), owner, email, access.Member); err != nil {
			t.Fatal(err)
		}
	}
	purge := func() (n int64) {
		err := db.InTx(t.Context(), func(tx *postgres.Tx) (err error) {
			n, err = org.PurgeInvitations(tx, 2)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	clock.Advance(org.InvitationTTL + 30*24*time.Hour - time.Second)
	if n := purge(); n != 0 {
		t.Errorf("purged %d too early", n)
	}
	clock.Advance(time.Second)
	if a, b, c := purge(), purge(), purge(); a != 2 || b != 1 || c != 0 {
		t.Errorf("purged %d, %d, %d", a, b, c)
	}
}
