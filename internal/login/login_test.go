package login_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/login"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
)

func TestMain(m *testing.M) { fixture.Main(m) }

var client = login.Client{IP: netip.MustParseAddr("192.0.2.9"), UserAgent: "browser\x00 \xff", RequestID: "req-1"}

func newService(t *testing.T) (*login.Service, *postgres.DB, *fixture.Clock) {
	t.Helper()
	clock := fixture.NewClock()
	db := fixture.DBAt(t, clock)
	cheap := argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	rooms := &org.Service{DB: db, Passwords: org.NewPasswords(cheap)}
	return &login.Service{DB: db, Org: rooms, FailureFloor: -1}, db, clock
}

// signIn opens a session for a user of the fixture.
func signIn(t *testing.T, s *login.Service, user access.Actor) (login.Session, string, access.Actor) {
	t.Helper()
	session, token, err := s.SignIn(t.Context(), fixture.Email(fixture.UserID(t, user)), fixture.Password, client)
	if err != nil {
		t.Fatal(err)
	}
	return session, token, session.Actor(client.IP, client.RequestID)
}

func TestSignIn_OpensASession(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	session, token, actor := signIn(t, s, owner)
	got, err := s.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(session, got); diff != "" {
		t.Error(diff)
	}
	if got.Organization.ID != tenant || got.Role != access.Owner || got.User.ID != fixture.UserID(t, owner) ||
		got.User.Preferences != org.DefaultPreferences() || got.CSRFToken == "" || got.CSRFToken == token || got.HasFlash {
		t.Errorf("session %+v", got)
	}
	want := owner
	want.IP, want.RequestID, want.ReauthenticatedAt = client.IP, client.RequestID, clock.Now()
	if diff := cmp.Diff(want, actor, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM login_sessions WHERE position($1::bytea IN token_hash) > 0", []byte(token)); n != 0 {
		t.Error("the token is stored")
	}
	if n := fixture.Audited(t, db, tenant, "auth.signed_in"); n != 1 {
		t.Errorf("audited %d times", n)
	}
	if second, again, _ := signIn(t, s, owner); second.ID == session.ID || again == token {
		t.Error("a second sign-in has the first one's session")
	}
}

func TestSignIn_EveryRefusalIsTheSame(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	suspended := fixture.User(t, db, tenant, access.Member)
	if err := s.Org.Suspend(t.Context(), owner, fixture.UserID(t, suspended)); err != nil {
		t.Fatal(err)
	}
	removed := fixture.User(t, db, tenant, access.Member)
	if err := s.Org.Remove(t.Context(), owner, fixture.UserID(t, removed)); err != nil {
		t.Fatal(err)
	}
	for name, credentials := range map[string][2]string{
		"unknown address": {"nobody@example.com", fixture.Password},
		"no address":      {"", ""},
		"wrong password":  {fixture.Email(fixture.UserID(t, owner)), fixture.Password + "!"},
		"no password":     {fixture.Email(fixture.UserID(t, owner)), ""},
		"suspended":       {fixture.Email(fixture.UserID(t, suspended)), fixture.Password},
		"removed":         {fixture.Email(fixture.UserID(t, removed)), fixture.Password},
	} {
		_, token, err := s.SignIn(t.Context(), credentials[0], credentials[1], client)
		fixture.WantFault(t, err, login.ErrCredentials)
		if token != "" || err.Error() != login.ErrCredentials.Error() {
			t.Errorf("%s: token %q, error %v", name, token, err)
		}
	}
	if n := fixture.Audited(t, db, tenant, "auth.sign_in_failed"); n != 2 {
		t.Errorf("audited %d failures of an active member, want 2", n)
	}
}

func TestSignIn_ARefusalTakesAtLeastTheFloor(t *testing.T) {
	t.Parallel()
	s, _, _ := newService(t)
	s.FailureFloor = 150 * time.Millisecond
	start := time.Now()
	_, _, err := s.SignIn(t.Context(), "nobody@example.com", fixture.Password, client)
	fixture.WantFault(t, err, login.ErrCredentials)
	if took := time.Since(start); took < s.FailureFloor {
		t.Errorf("took %s", took)
	}
}

func TestAuthenticate_IdleAndAbsoluteExpiry(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	_, idle, _ := signIn(t, s, owner)
	clock.Advance(login.IdleTimeout)
	_, err := s.Authenticate(t.Context(), idle)
	fixture.WantFault(t, err, login.ErrNoSession)

	session, token, _ := signIn(t, s, owner)
	for clock.Now().Before(session.CreatedAt.Add(login.Lifetime - time.Hour)) {
		clock.Advance(time.Hour)
		if _, err := s.Authenticate(t.Context(), token); err != nil {
			t.Fatalf("after %s: %v", clock.Now().Sub(session.CreatedAt), err)
		}
	}
	clock.Advance(time.Hour)
	_, err = s.Authenticate(t.Context(), token)
	fixture.WantFault(t, err, login.ErrNoSession)
	for _, bad := range []string{"", "x", token + "x", strings.Repeat("A", 43)} {
		_, err = s.Authenticate(t.Context(), bad)
		fixture.WantFault(t, err, login.ErrNoSession)
	}
}

func TestAuthenticate_WritesLastSeenOnceAMinute(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	session, token, actor := signIn(t, s, owner)
	clock.Advance(59 * time.Second)
	if got, err := s.Authenticate(t.Context(), token); err != nil || !got.LastSeenAt.Equal(session.LastSeenAt) {
		t.Errorf("after 59 s: %v, %v", got.LastSeenAt, err)
	}
	clock.Advance(time.Second)
	got, err := s.Authenticate(t.Context(), token)
	if err != nil || !got.LastSeenAt.Equal(clock.Now()) || !got.ExpiresAt.Equal(clock.Now().Add(login.IdleTimeout)) {
		t.Errorf("after 60 s: %+v, %v", got, err)
	}
	if stored, err := s.Authenticate(t.Context(), token); err != nil || cmp.Diff(got, stored) != "" {
		t.Errorf("stored: %s, %v", cmp.Diff(got, stored), err)
	}
	// It outlives the session.
	if err := s.SignOut(t.Context(), actor, session.ID); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour)
	member, err := s.Org.Member(t.Context(), actor, session.User.ID)
	if err != nil || member.LastSeenAt == nil || !member.LastSeenAt.Equal(got.LastSeenAt) {
		t.Errorf("after the sign-out: %+v, %v", member, err)
	}
}

func TestSignIn_LeadsToWhereOneWasLast(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	second, _ := fixture.Organization(t, db)
	user := fixture.UserID(t, owner)
	clock.Advance(time.Second)
	fixture.Exec(t, db, "INSERT INTO memberships VALUES ($1, $2, 'member', NULL, $3, $3)", second, user, clock.Now())
	session, _, actor := signIn(t, s, owner)
	if session.Organization.ID == second {
		t.Fatal("the first sign-in leads to the organization that they joined last")
	}
	clock.Advance(time.Minute)
	if err := s.Switch(t.Context(), actor, session.ID, second); err != nil {
		t.Fatal(err)
	}
	if err := s.SignOut(t.Context(), actor, session.ID); err != nil {
		t.Fatal(err)
	}
	if again, _, _ := signIn(t, s, owner); again.Organization.ID != second {
		t.Errorf("they were in %s last, and are led to %s", second, again.Organization.ID)
	}
}

func TestAuthenticate_FollowsTheMembership(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	member := fixture.User(t, db, tenant, access.Member)
	user := fixture.UserID(t, member)
	_, token, _ := signIn(t, s, member)

	if err := s.Org.ChangeRole(t.Context(), owner, user, access.Admin, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Authenticate(t.Context(), token); err != nil || got.Role != access.Admin {
		t.Errorf("after a new role: %v, %v", got.Role, err)
	}
	if err := s.Org.Suspend(t.Context(), owner, user); err != nil {
		t.Fatal(err)
	}
	_, err := s.Authenticate(t.Context(), token)
	fixture.WantFault(t, err, login.ErrNoSession)
	if err := s.Org.Reinstate(t.Context(), owner, user); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), token); err != nil {
		t.Error(err)
	}
	if err := s.Org.Remove(t.Context(), owner, user); err != nil {
		t.Fatal(err)
	}
	_, err = s.Authenticate(t.Context(), token)
	fixture.WantFault(t, err, login.ErrNoSession)
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	session, token, actor := signIn(t, s, owner)
	_, _, other := signIn(t, s, stranger)

	fixture.WantKind(t, s.SignOut(t.Context(), access.ForSystem(tenant), session.ID), fault.Forbidden)
	if err := s.SignOut(t.Context(), other, session.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), token); err != nil {
		t.Error("somebody else signed the user out")
	}
	for range 2 {
		if err := s.SignOut(t.Context(), actor, session.ID); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Authenticate(t.Context(), token)
	fixture.WantFault(t, err, login.ErrNoSession)
	if n := fixture.Audited(t, db, tenant, "auth.signed_out"); n != 1 {
		t.Errorf("audited %d times", n)
	}
}

func TestDevices_ListAndRevoke(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	here, token, actor := signIn(t, s, owner)
	_, _, other := signIn(t, s, stranger)
	clock.Advance(time.Second)
	there, _, _ := signIn(t, s, owner)
	third, _, _ := signIn(t, s, owner)

	devices, err := s.Devices(t.Context(), actor)
	if err != nil || len(devices) != 3 || devices[2].ID != here.ID || devices[0].IP != "192.0.2.9" || devices[0].UserAgent != "browser " ||
		devices[0].OrganizationName == "" {
		t.Fatalf("Devices = %+v, %v", devices, err)
	}
	fixture.WantKind(t, s.Revoke(t.Context(), other, there.ID), fault.NotFound)
	if err := s.Revoke(t.Context(), actor, there.ID); err != nil {
		t.Fatal(err)
	}
	fixture.WantKind(t, s.Revoke(t.Context(), actor, there.ID), fault.NotFound)
	for _, want := range []int64{1, 0} {
		if n, err := s.RevokeOthers(t.Context(), actor, here.ID); err != nil || n != want {
			t.Errorf("RevokeOthers = %d, %v, want %d (session %s)", n, err, want, third.ID)
		}
	}
	if _, err := s.Authenticate(t.Context(), token); err != nil {
		t.Error(err)
	}
	if devices, err := s.Devices(t.Context(), other); err != nil || len(devices) != 1 {
		t.Errorf("another user's devices: %+v, %v", devices, err)
	}
}

func TestReauthenticate(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	session, token, actor := signIn(t, s, owner)
	_, _, other := signIn(t, s, stranger)
	if !session.RecentlyAuthenticated(clock.Now()) {
		t.Error("signing in enters the password")
	}
	clock.Advance(access.ReauthWindow + time.Second)
	if session.RecentlyAuthenticated(clock.Now()) {
		t.Error("the window does not end")
	}
	err := s.Reauthenticate(t.Context(), actor, session.ID, "not the password")
	fixture.WantFault(t, err, org.ErrPassword)
	if n := fixture.Audited(t, db, tenant, "auth.sign_in_failed"); n != 1 {
		t.Errorf("wrong password audited %d times", n)
	}
	fixture.WantFault(t, s.Reauthenticate(t.Context(), other, session.ID, fixture.Password), login.ErrNoSession)
	fixture.WantKind(t, s.Reauthenticate(t.Context(), access.ForSystem(tenant), session.ID, fixture.Password), fault.Forbidden)
	for range 2 {
		if err := s.Reauthenticate(t.Context(), actor, session.ID, fixture.Password); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Authenticate(t.Context(), token)
	if err != nil || !got.RecentlyAuthenticated(clock.Now()) || got.Actor(client.IP, "").Require(access.WebhooksSecrets, clock.Now()) != nil {
		t.Errorf("session %+v, %v", got, err)
	}
}

func TestChangePassword_EndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	session, token, actor := signIn(t, s, owner)
	_, elsewhere, _ := signIn(t, s, owner)
	const next = "a wholly new password"

	err := s.ChangePassword(t.Context(), actor, session.ID, "not the password", next)
	fixture.WantFault(t, err, org.ErrPassword)
	fixture.WantField(t, s.ChangePassword(t.Context(), actor, session.ID, fixture.Password, "short"), "new_password")
	fixture.WantKind(t, s.ChangePassword(t.Context(), access.ForSystem(tenant), session.ID, fixture.Password, next), fault.Forbidden)
	if n := fixture.Audited(t, db, tenant, "auth.sign_in_failed"); n != 1 {
		t.Errorf("wrong password audited %d times", n)
	}
	if err := s.ChangePassword(t.Context(), actor, session.ID, fixture.Password, next); err != nil {
		t.Fatal(err)
	}
	fixture.WantFault(t, s.ChangePassword(t.Context(), actor, session.ID, fixture.Password, next), org.ErrPassword)
	if _, err := s.Authenticate(t.Context(), token); err != nil {
		t.Errorf("this session: %v", err)
	}
	_, err = s.Authenticate(t.Context(), elsewhere)
	fixture.WantFault(t, err, login.ErrNoSession)
	email := fixture.Email(fixture.UserID(t, owner))
	_, _, err = s.SignIn(t.Context(), email, fixture.Password, client)
	fixture.WantFault(t, err, login.ErrCredentials)
	if _, _, err = s.SignIn(t.Context(), strings.ToUpper(email), next, client); err != nil {
		t.Error(err)
	}
	if n := fixture.Audited(t, db, tenant, "member.password_changed"); n != 1 {
		t.Errorf("audited %d times", n)
	}
}

func TestResetPassword_EndsEverySessionAndIsAudited(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	email := fixture.Email(fixture.UserID(t, owner))
	_, first, _ := signIn(t, s, owner)
	_, second, _ := signIn(t, s, owner)
	for _, bad := range []string{"", "short", email} {
		if err := s.ResetPassword(t.Context(), email, bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if err := s.ResetPassword(t.Context(), "nobody@example.com", "another password"); err == nil {
		t.Error("an unknown address was accepted")
	}
	if _, err := s.Authenticate(t.Context(), first); err != nil {
		t.Fatalf("a refused reset ended a session: %v", err)
	}
	if err := s.ResetPassword(t.Context(), " "+strings.ToUpper(email), "another password"); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{first, second} {
		if _, err := s.Authenticate(t.Context(), token); err == nil {
			t.Error("a session outlived the reset")
		}
	}
	if _, _, err := s.SignIn(t.Context(), email, fixture.Password, client); err == nil {
		t.Error("the former password still works")
	}
	if _, _, err := s.SignIn(t.Context(), email, "another password", client); err != nil {
		t.Errorf("the new password does not work: %v", err)
	}
	if n := fixture.Audited(t, db, tenant, "member.password_reset"); n != 1 {
		t.Errorf("%d resets are audited, want 1", n)
	}
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	home, owner := fixture.Organization(t, db)
	away, host := fixture.Organization(t, db)
	foreign, _ := fixture.Organization(t, db)
	user := fixture.UserID(t, owner)
	clock.Advance(time.Second)
	fixture.Exec(t, db, "INSERT INTO memberships VALUES ($1, $2, 'member', NULL, $3, $3)", away, user, clock.Now())
	session, token, actor := signIn(t, s, owner)
	_, _, other := signIn(t, s, host)

	fixture.WantKind(t, s.Switch(t.Context(), access.ForSystem(home), session.ID, away), fault.Forbidden)
	fixture.WantKind(t, s.Switch(t.Context(), actor, session.ID, foreign), fault.NotFound)
	fixture.WantKind(t, s.Switch(t.Context(), actor, session.ID, id.Organization{}), fault.NotFound)
	fixture.WantKind(t, s.Switch(t.Context(), other, session.ID, home), fault.NotFound)
	if err := s.Switch(t.Context(), actor, session.ID, away); err != nil {
		t.Fatal(err)
	}
	got, err := s.Authenticate(t.Context(), token)
	if err != nil || got.Organization.ID != away || got.Role != access.Member {
		t.Fatalf("session %+v, %v", got, err)
	}
	if err := s.Switch(t.Context(), got.Actor(client.IP, ""), session.ID, away); err != nil {
		t.Error(err)
	}
	if n := fixture.Audited(t, db, away, "auth.signed_in"); n != 2 { // the host's own, and this one
		t.Errorf("audited %d times", n)
	}
	// The next sign-in leads to where the user was last.
	clock.Advance(time.Minute)
	if _, err := s.Authenticate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if again, _, _ := signIn(t, s, owner); again.Organization.ID != away {
		t.Error("signed in somewhere else than last time")
	}
	if err := s.Org.Suspend(t.Context(), host, user); err != nil {
		t.Fatal(err)
	}
	if again, _, _ := signIn(t, s, owner); again.Organization.ID != home {
		t.Error("signed in where the membership is suspended")
	}
}

func TestFlash_IsShownOnce(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, owner := fixture.Organization(t, db)
	session, token, _ := signIn(t, s, owner)
	for _, message := range []string{"first", "Saved."} {
		if err := s.SetFlash(t.Context(), session.ID, message); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Authenticate(t.Context(), token); err != nil || !got.HasFlash {
		t.Errorf("HasFlash = %v, %v", got.HasFlash, err)
	}
	for _, want := range []string{"Saved.", ""} {
		if got, err := s.TakeFlash(t.Context(), session.ID); err != nil || got != want {
			t.Errorf("TakeFlash = %q, %v, want %q", got, err, want)
		}
	}
}

func TestPurge_DeletesEndedSessionsInBatches(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	for range 3 {
		signIn(t, s, owner)
	}
	clock.Advance(login.IdleTimeout)
	_, token, _ := signIn(t, s, owner)
	for _, want := range []int64{2, 1, 0} {
		var n int64
		err := db.InTx(t.Context(), func(tx *postgres.Tx) (err error) {
			n, err = login.Purge(tx, 2)
			return err
		})
		if err != nil || n != want {
			t.Errorf("Purge = %d, %v, want %d", n, err, want)
		}
	}
	if _, err := s.Authenticate(t.Context(), token); err != nil {
		t.Error(err)
	}
}
