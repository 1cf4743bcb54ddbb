package org_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
)

func TestMembers_FilterAndPage(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	var last access.Actor
	for range 3 {
		clock.Advance(time.Second)
		last = fixture.User(t, db, tenant, access.Member)
	}
	if err := s.Suspend(t.Context(), owner, fixture.UserID(t, last)); err != nil {
		t.Fatal(err)
	}
	page, err := s.Members(t.Context(), owner, org.MemberFilter{}, postgres.Page{Limit: 2})
	if err != nil || len(page.Rows) != 2 || !page.HasOlder || page.Rows[0].ID != fixture.UserID(t, last) || page.Rows[0].Active() {
		t.Fatalf("first page: %+v, %v", page, err)
	}
	after, err := s.MemberPosition(t.Context(), owner, page.Rows[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := s.Members(t.Context(), owner, org.MemberFilter{}, postgres.Page{Limit: 2, After: after})
	if err != nil || len(rest.Rows) != 2 || rest.HasOlder || rest.Rows[1].Role != access.Owner {
		t.Fatalf("second page: %+v, %v", rest, err)
	}
	for name, f := range map[string]org.MemberFilter{
		"role":      {Role: access.Owner},
		"suspended": {Suspended: ptr(true)},
		"text":      {Text: fixture.Email(fixture.UserID(t, last))[:8]},
	} {
		if list, err := s.Members(t.Context(), owner, f, first); err != nil || len(list.Rows) != 1 {
			t.Errorf("filter by %s: %+v, %v", name, list.Rows, err)
		}
	}
	if _, err := s.MemberPosition(t.Context(), stranger, fixture.UserID(t, owner)); err == nil {
		t.Error("another organization's member is a cursor")
	}
	if _, err := s.Member(t.Context(), stranger, fixture.UserID(t, owner)); err == nil {
		t.Error("another organization's member is visible")
	}
	if m, err := s.Member(t.Context(), owner, fixture.UserID(t, owner)); err != nil || m.Role != access.Owner {
		t.Errorf("Member = %+v, %v", m, err)
	}
}

// Every operation on a member: works, forbidden, other tenant, repeated.
func TestMemberOperations(t *testing.T) {
	t.Parallel()
	type operation func(s *org.Service, ctx context.Context, actor access.Actor, user id.User) error
	tests := map[string]struct {
		do     operation
		before operation // brings the member to where the operation has an effect
		event  string
		check  string // SQL that is true afterwards
		repeat fault.Kind
	}{
		"change role": {
			do: func(s *org.Service, ctx context.Context, actor access.Actor, user id.User) error {
				return s.ChangeRole(ctx, actor, user, access.Admin, "")
			},
			event: "member.role_changed", check: "SELECT role = 'admin' FROM memberships WHERE user_id = $1",
		},
		"suspend": {
			do: (*org.Service).Suspend, event: "member.suspended",
			check: "SELECT suspended_at IS NOT NULL FROM memberships WHERE user_id = $1",
		},
		"reinstate": {
			do: (*org.Service).Reinstate, before: (*org.Service).Suspend, event: "member.reinstated",
			check: "SELECT suspended_at IS NULL FROM memberships WHERE user_id = $1",
		},
		"remove": {
			do: (*org.Service).Remove, event: "member.removed",
			check: "SELECT NOT EXISTS (SELECT FROM memberships WHERE user_id = $1)", repeat: fault.NotFound,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, db, _ := newService(t)
			tenant, owner := fixture.Organization(t, db)
			_, stranger := fixture.Organization(t, db)
			admin := fixture.User(t, db, tenant, access.Admin)
			member := fixture.UserID(t, fixture.User(t, db, tenant, access.Member))
			if tc.before != nil {
				if err := tc.before(s, t.Context(), owner, member); err != nil {
					t.Fatal(err)
				}
			}
			fixture.WantKind(t, tc.do(s, t.Context(), admin, member), fault.Forbidden)
			fixture.WantKind(t, tc.do(s, t.Context(), stranger, member), fault.NotFound)
			if err := tc.do(s, t.Context(), owner, member); err != nil {
				t.Fatal(err)
			}
			if !fixture.Scalar[bool](t, db, tc.check, member) {
				t.Error("it had no effect")
			}
			err := tc.do(s, t.Context(), owner, member)
			if tc.repeat == "" && err != nil {
				t.Errorf("repeated: %v", err)
			} else if tc.repeat != "" {
				fixture.WantKind(t, err, tc.repeat)
			}
			if n := fixture.Audited(t, db, tenant, tc.event); n != 1 {
				t.Errorf("%s audited %d times", tc.event, n)
			}
		})
	}
}

func TestChangeRole_UnknownRoleIsRefused(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, owner := fixture.Organization(t, db)
	fixture.WantField(t, s.ChangeRole(t.Context(), owner, fixture.UserID(t, owner), "god", ""), "role")
}

func TestLastOwner_StaysWhateverIsTried(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	user := fixture.UserID(t, owner)
	// A suspended owner does not count.
	idle := fixture.User(t, db, tenant, access.Owner)
	if err := s.Suspend(t.Context(), owner, fixture.UserID(t, idle)); err != nil {
		t.Fatal(err)
	}
	fixture.WantFault(t, s.ChangeRole(t.Context(), owner, user, access.Admin, ""), org.ErrLastOwner)
	fixture.WantFault(t, s.Suspend(t.Context(), owner, user), org.ErrLastOwner)
	fixture.WantFault(t, s.Remove(t.Context(), owner, user), org.ErrLastOwner)
	// The suspended one may go, and be demoted.
	if err := s.ChangeRole(t.Context(), owner, fixture.UserID(t, idle), access.Member, ""); err != nil {
		t.Error(err)
	}
	if err := s.Remove(t.Context(), owner, fixture.UserID(t, idle)); err != nil {
		t.Error(err)
	}
}

func TestLastOwner_OneRemainsWhenAllLeaveAtOnce(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	owners := []access.Actor{owner}
	for range 5 {
		owners = append(owners, fixture.User(t, db, tenant, access.Owner))
	}
	var wg sync.WaitGroup
	for i, actor := range owners {
		self, next := fixture.UserID(t, actor), fixture.UserID(t, owners[(i+1)%len(owners)])
		for _, attempt := range []func() error{
			func() error { return s.Remove(t.Context(), actor, self) },
			func() error { return s.Suspend(t.Context(), actor, next) },
			func() error { return s.ChangeRole(t.Context(), actor, next, access.Member, "") },
		} {
			wg.Go(func() {
				err := attempt()
				if _, expected := fault.As(err); err != nil && !expected {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	n := fixture.Scalar[int](t, db, "SELECT count(*) FROM memberships WHERE organization_id = $1 AND role = 'owner' AND suspended_at IS NULL", tenant)
	if n != 1 {
		t.Errorf("%d active owners remain", n)
	}
}

func TestManage_AnOwnerWhoWasDemotedMeanwhileMayNot(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	second := fixture.User(t, db, tenant, access.Owner)
	if err := s.ChangeRole(t.Context(), owner, fixture.UserID(t, second), access.Member, ""); err != nil {
		t.Fatal(err)
	}
	// second still carries the role it signed in with.
	fixture.WantKind(t, s.ChangeRole(t.Context(), second, fixture.UserID(t, owner), access.Member, ""), fault.Forbidden)
}
