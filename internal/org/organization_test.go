package org_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/org"
)

func setupInput() org.SetupInput {
	return org.SetupInput{Organization: " Acme ", Email: " Ana@Example.COM ", Name: "Ana", Password: fixture.Password}
}

func TestSetupFirst_CreatesOrganizationAndOwner(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	if exists, err := s.Exists(t.Context()); err != nil || exists {
		t.Fatalf("Exists = %v, %v before setup", exists, err)
	}
	organization, user, err := s.SetupFirst(t.Context(), access.Actor{RequestID: "req-1"}, setupInput())
	if err != nil {
		t.Fatal(err)
	}
	if exists, err := s.Exists(t.Context()); err != nil || !exists {
		t.Fatalf("Exists = %v, %v after setup", exists, err)
	}
	if organization.Name != "Acme" || organization.Environment != org.DefaultEnvironment || user.Email != "ana@example.com" {
		t.Errorf("got %+v and %+v", organization, user)
	}
	role := fixture.Scalar[string](t, db, "SELECT role FROM memberships WHERE organization_id = $1 AND user_id = $2", organization.ID, user.ID)
	if role != "owner" {
		t.Errorf("role = %q", role)
	}
	for _, event := range []string{"organization.created", "member.joined"} {
		if n := fixture.Audited(t, db, organization.ID, event); n != 1 {
			t.Errorf("%s audited %d times", event, n)
		}
	}
	got, ok, err := s.CheckPassword(t.Context(), "ANA@example.com", fixture.Password)
	if err != nil || !ok || got.ID != user.ID {
		t.Errorf("CheckPassword = %v, %v, %v", got, ok, err)
	}
}

func TestSetupFirst_OnlyOneOfManyWins(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	var wg sync.WaitGroup
	errs := make([]error, 5)
	for i := range errs {
		wg.Go(func() {
			in := setupInput()
			in.Email = strings.Repeat("x", i+1) + "@example.com"
			_, _, errs[i] = s.SetupFirst(t.Context(), access.Actor{}, in)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			fixture.WantFault(t, err, org.ErrAlreadySetUp)
		}
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM organizations"); won != 1 || n != 1 {
		t.Errorf("%d setups won, %d organizations", won, n)
	}
}

func TestSetup_AddsAnOrganizationForAKnownUser(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, user, err := s.SetupFirst(t.Context(), access.Actor{}, setupInput())
	if err != nil {
		t.Fatal(err)
	}
	in := setupInput()
	in.Organization, in.Environment, in.Password = "Second", "staging", "some other password"
	_, _, err = s.Setup(t.Context(), access.Actor{}, in)
	fixture.WantFault(t, err, org.ErrPassword)
	in.Password = ""
	second, same, err := s.Setup(t.Context(), access.Actor{}, in)
	if err != nil || same.ID != user.ID || second.Environment != "staging" {
		t.Fatalf("Setup = %+v, %+v, %v", second, same, err)
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM memberships WHERE user_id = $1 AND suspended_at IS NULL", user.ID); n != 2 {
		t.Fatalf("%d memberships, want 2", n)
	}
}

func TestSetup_NamesEveryBadField(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	_, _, err := s.Setup(t.Context(), access.Actor{}, org.SetupInput{Organization: "\x00", Email: "nobody", Name: "", Password: "short"})
	fixture.WantField(t, err, "organization")
	fixture.WantField(t, err, "email")
	in := setupInput()
	in.Name, in.Password = " ", in.Email
	_, _, err = s.Setup(t.Context(), access.Actor{}, in)
	fixture.WantField(t, err, "name")
	fixture.WantField(t, err, "password")
}

func TestPasswordRules(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	_, owner := fixture.Organization(t, s.DB)
	for password, ok := range map[string]bool{
		strings.Repeat("x", 11): false, strings.Repeat("x", 12): true, strings.Repeat("ü", 12): true,
		strings.Repeat("x", 200): true, strings.Repeat("x", 201): false,
		"ana@example.com": false, "ANA@example.com": false, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff": false,
	} {
		_, token, err := s.Invite(t.Context(), owner, "ana@example.com", access.Member)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = s.Accept(t.Context(), access.Actor{}, token, org.AcceptInput{Name: "Ana", Password: password})
		if (err == nil) != ok {
			t.Errorf("password of %d bytes: %v", len(password), err)
		}
		fixture.Exec(t, s.DB, "DELETE FROM invitations")
		fixture.Exec(t, s.DB, "DELETE FROM users WHERE email = 'ana@example.com'")
	}
}

func TestEmailRules(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	_, actor := fixture.Organization(t, s.DB)
	for email, ok := range map[string]bool{
		"a@b": true, "Ana.B+tag@Example.com": true, "root@localhost": true, "o'brien@example.com": true,
		"": false, "@b": false, "a@": false, "a b@example.com": false, "a@b@c": false, "a@exa..mple": false, "a@-x": false,
		"é@example.com": false, `"a"@example.com`: false, "a@example.com\n@": false, strings.Repeat("a", 65) + "@example.com": false,
	} {
		_, _, err := s.Invite(t.Context(), actor, email, access.Member)
		if (err == nil) != ok {
			t.Errorf("%q: %v", email, err)
		}
	}
}

func TestUpdateOrganization(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	other, _ := fixture.Organization(t, db)
	before, err := s.Organization(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Minute)
	change := org.OrganizationUpdate{Name: ptr(" New name "), Environment: ptr("staging"), EnvironmentColor: ptr("green"), Expected: &before.UpdatedAt}

	after, err := s.UpdateOrganization(t.Context(), owner, change)
	if err != nil || after.Name != "New name" || after.Environment != "staging" || after.EnvironmentColor != "green" || !after.UpdatedAt.Equal(clock.Now()) {
		t.Fatalf("works: %+v, %v", after, err)
	}
	if got, _ := s.Organization(t.Context(), owner); cmp.Diff(after, got) != "" {
		t.Error(cmp.Diff(after, got))
	}
	if !fixture.Scalar[bool](t, db, `SELECT metadata -> 'changes' = jsonb_build_object('name', jsonb_build_object('from', $2::text, 'to', 'New name'),
		'environment', jsonb_build_object('from', $3::text, 'to', 'staging'), 'environment_color', jsonb_build_object('from', '', 'to', 'green')) FROM audit_logs WHERE organization_id = $1 AND event = 'organization.updated'`,
		tenant, before.Name, before.Environment) {
		t.Error("the audit row does not say what was before and after")
	}

	_, err = s.UpdateOrganization(t.Context(), fixture.User(t, db, tenant, access.Member), change)
	fixture.WantKind(t, err, fault.Forbidden)

	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM organizations WHERE id = $1 AND name = 'New name'", other); n != 0 {
		t.Error("another organization changed")
	}
	stranger := owner
	stranger.Organization = id.Organization{UUID: id.NewUUID(clock.Now())}
	_, err = s.UpdateOrganization(t.Context(), stranger, change)
	fixture.WantKind(t, err, fault.NotFound)

	_, err = s.UpdateOrganization(t.Context(), owner, change)
	fixture.WantFault(t, err, org.ErrChanged)
	change.Expected = nil
	if _, err = s.UpdateOrganization(t.Context(), owner, change); err != nil {
		t.Fatal(err)
	}
	if n := fixture.Audited(t, db, tenant, "organization.updated"); n != 1 {
		t.Errorf("audited %d times: an update that changes nothing leaves no trace", n)
	}
	_, err = s.UpdateOrganization(t.Context(), owner, org.OrganizationUpdate{Name: ptr(""), Environment: ptr(strings.Repeat("x", 21)), EnvironmentColor: ptr("#fff")})
	fixture.WantField(t, err, "name")
	fixture.WantField(t, err, "environment")
	fixture.WantField(t, err, "environment_color")
}

func TestUpdatePreferences(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	colleague := fixture.User(t, db, tenant, access.Member)
	want := org.Preferences{TimeZone: "local", Theme: "dark", Density: "compact", Live: false}
	for range 2 {
		if err := s.UpdatePreferences(t.Context(), colleague, want, nil); err != nil {
			t.Fatal(err)
		}
	}
	const logged = `SELECT (metadata -> 'updated_fields')::text || (metadata -> 'changes' -> 'live')::text FROM audit_logs
		WHERE event = 'member.preferences_updated' AND actor_id = $1 AND target_id = $1`
	if got := fixture.Scalar[string](t, db, logged, colleague.ID); got != `["time_zone", "theme", "density", "live", "shortcuts"]{"to": false, "from": true}` {
		t.Errorf("the log tells of %s", got)
	}
	if u, err := s.User(t.Context(), colleague); err != nil || u.Preferences != want {
		t.Errorf("User = %+v, %v", u, err)
	}
	if u, err := s.User(t.Context(), owner); err != nil || u.Preferences != org.DefaultPreferences() {
		t.Errorf("another user changed: %+v, %v", u, err)
	}
	// A change that was made from others than those that are stored is none.
	seen, next := want, want
	seen.Density, next.Theme = "relaxed", "light"
	fixture.WantFault(t, s.UpdatePreferences(t.Context(), colleague, next, &seen), org.ErrChanged)
	if err := s.UpdatePreferences(t.Context(), colleague, next, &want); err != nil {
		t.Fatal(err)
	}
	if u, err := s.User(t.Context(), colleague); err != nil || u.Preferences != next {
		t.Errorf("User = %+v, %v", u, err)
	}
	want.Theme, want.TimeZone = "neon", "Europe/Oslo"
	err := s.UpdatePreferences(t.Context(), colleague, want, nil)
	fixture.WantField(t, err, "theme")
	fixture.WantField(t, err, "time_zone")
	fixture.WantKind(t, s.UpdatePreferences(t.Context(), access.ForSystem(tenant), want, nil), fault.Forbidden)
}

func TestCheckPassword_UnknownAddressAndWrongPassword(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, owner := fixture.Organization(t, db)
	user := fixture.UserID(t, owner)
	if u, ok, err := s.CheckPassword(t.Context(), "nobody@example.com", fixture.Password); err != nil || ok || !u.ID.IsZero() {
		t.Errorf("unknown address: %v, %v, %v", u, ok, err)
	}
	if u, ok, err := s.CheckPassword(t.Context(), fixture.Email(user), "not the password"); err != nil || ok || u.ID != user {
		t.Errorf("wrong password: %v, %v, %v", u, ok, err)
	}
	if _, ok, err := s.CheckPassword(t.Context(), fixture.Email(user), strings.Repeat("x", 1<<20)); err != nil || ok {
		t.Errorf("huge password: %v, %v", ok, err)
	}
	fixture.WantFault(t, s.ConfirmPassword(t.Context(), owner, "not the password"), org.ErrPassword)
	if err := s.ConfirmPassword(t.Context(), owner, fixture.Password); err != nil {
		t.Error(err)
	}
}
