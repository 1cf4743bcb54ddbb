package apikey_test

import (
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

func TestMain(m *testing.M) { fixture.Main(m) }

func newService(t *testing.T) (*apikey.Service, *postgres.DB, *fixture.Clock) {
	t.Helper()
	clock := fixture.NewClock()
	db := fixture.DBAt(t, clock)
	return apikey.New(db, fixture.Keyring()), db, clock
}

func ptr[T any](v T) *T { return &v }

var readOnly = apikey.Input{Name: "reader", Scopes: []access.Scope{access.WebhooksRead, access.AnalyticsRead}}

// use is what the tests use keys for.
var use = apikey.Use{IP: netip.MustParseAddr("192.0.2.7"), Route: "GET /v1/webhooks/endpoints/{webhook_endpoint_id}"}

func issue(t *testing.T, s *apikey.Service, actor access.Actor, in apikey.Input) (apikey.Key, string) {
	t.Helper()
	key, secret, err := s.Issue(t.Context(), actor, in)
	if err != nil {
		t.Fatal(err)
	}
	return key, secret
}

func TestIssue(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	in := apikey.Input{Name: " sender ", Scopes: []access.Scope{access.WebhooksWrite, access.SessionsWrite, access.WebhooksWrite}, ExpiresAt: ptr(clock.Now().Add(time.Hour))}
	key, secret := issue(t, s, owner, in)
	if !regexp.MustCompile(`^kk_[a-z0-9]{32}$`).MatchString(secret) || key.Hint != secret[3:7] {
		t.Errorf("secret of %d characters, hint %q", len(secret), key.Hint)
	}
	want := apikey.Key{
		ID: key.ID, OrganizationID: tenant, Name: "sender", Hint: key.Hint, Enabled: true,
		Scopes:    apikey.Scopes{access.SessionsWrite, access.WebhooksWrite},
		CreatedBy: fixture.UserID(t, owner), CreatedByName: owner.Name,
		ExpiresAt: in.ExpiresAt, CreatedAt: clock.Now(), UpdatedAt: clock.Now(),
	}
	if diff := cmp.Diff(want, key); diff != "" {
		t.Error(diff)
	}
	if n := fixture.Audited(t, db, tenant, "api_key.created"); n != 1 {
		t.Errorf("audited %d times", n)
	}
	if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM audit_logs a, api_keys k WHERE strpos(a::text || k::text, $1) > 0", secret[3:]); n != 0 {
		t.Error("the key is stored")
	}

	member := fixture.User(t, db, tenant, access.Member)
	_, _, err := s.Issue(t.Context(), member, readOnly)
	fixture.WantKind(t, err, fault.Forbidden)
	_, _, err = s.Issue(t.Context(), key.Actor(), readOnly)
	fixture.WantKind(t, err, fault.Forbidden)
	if again, other := issue(t, s, owner, in); again.ID == key.ID || other == secret {
		t.Error("issuing again gives the same key")
	}
}

func TestIssue_NamesEveryBadField(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	_, _, err := s.Issue(t.Context(), owner, apikey.Input{Name: strings.Repeat("x", 121), ExpiresAt: ptr(clock.Now())})
	for _, field := range []string{"name", "scopes", "expires_at"} {
		fixture.WantField(t, err, field)
	}
	// A permission of the dashboard is no scope of a key.
	_, _, err = s.Issue(t.Context(), owner, apikey.Input{Name: "x", Scopes: []access.Scope{access.AnalyticsRead, access.MembersManage}})
	fixture.WantField(t, err, "scopes")
}

func TestIssue_OnlyAnOwnerGrantsSecretsAndChecks(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	admin := fixture.User(t, db, tenant, access.Admin)
	for _, scope := range access.Scopes() {
		in := apikey.Input{Name: "x", Scopes: []access.Scope{scope}}
		if _, _, err := s.Issue(t.Context(), owner, in); err != nil {
			t.Errorf("owner, %s: %v", scope, err)
		}
		_, _, err := s.Issue(t.Context(), admin, in)
		if reserved := scope == access.WebhooksSecrets || scope == access.ChecksWrite; !reserved && err != nil {
			t.Errorf("admin, %s: %v", scope, err)
		} else if reserved {
			fixture.WantKind(t, err, fault.Forbidden)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	key, secret := issue(t, s, owner, apikey.Input{Name: "k", Scopes: []access.Scope{access.WebhooksRead}, ExpiresAt: ptr(clock.Now().Add(time.Hour))})
	actor, err := s.Authenticate(t.Context(), secret, use)
	if err != nil || actor.Type != access.APIKey || actor.Organization != tenant || actor.ID != key.ID.String() || actor.Name != "k" {
		t.Fatalf("Authenticate = %+v, %v", actor, err)
	}
	if actor.Require(access.WebhooksRead, clock.Now()) != nil || actor.Require(access.WebhooksWrite, clock.Now()) == nil {
		t.Errorf("scopes %v", actor.Scopes)
	}
	for _, bad := range []string{"", "kk_", strings.ToUpper(secret), secret + "a", " " + secret, secret + "\n", secret[3:], "kk_" + strings.Repeat("a", 32)} {
		_, err := s.Authenticate(t.Context(), bad, use)
		fixture.WantFault(t, err, apikey.ErrUnauthorized)
	}
	if _, err := s.Update(t.Context(), owner, key.ID, apikey.Update{Enabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Authenticate(t.Context(), secret, use)
	fixture.WantFault(t, err, apikey.ErrUnauthorized)
	if _, err := s.Update(t.Context(), owner, key.ID, apikey.Update{Enabled: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Hour - time.Microsecond)
	if _, err := s.Authenticate(t.Context(), secret, use); err != nil {
		t.Error(err)
	}
	clock.Advance(time.Microsecond)
	_, err = s.Authenticate(t.Context(), secret, use)
	fixture.WantFault(t, err, apikey.ErrUnauthorized)
}

func TestAuthenticate_IgnoresUnknownStoredScopes(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, owner := fixture.Organization(t, db)
	key, secret := issue(t, s, owner, readOnly)
	fixture.Exec(t, db, "UPDATE api_keys SET scopes = '{analytics:read,moon:write,members:manage}'")
	actor, err := s.Authenticate(t.Context(), secret, use)
	if err != nil || cmp.Diff([]access.Scope{access.AnalyticsRead}, actor.Scopes) != "" {
		t.Errorf("scopes %v, %v", actor.Scopes, err)
	}
	// Renaming keeps them for the release that knows them.
	if _, err := s.Update(t.Context(), owner, key.ID, apikey.Update{Name: ptr("new")}); err != nil {
		t.Fatal(err)
	}
	if n := fixture.Scalar[int](t, db, "SELECT cardinality(scopes) FROM api_keys"); n != 3 {
		t.Errorf("%d scopes remain", n)
	}
}

func TestAuthenticate_WritesLastUsedOnceAMinute(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	key, secret := issue(t, s, owner, readOnly)
	first := clock.Now()
	for _, step := range []struct {
		after time.Duration
		want  time.Time
	}{{0, first}, {59 * time.Second, first}, {time.Second, first.Add(time.Minute)}} {
		clock.Advance(step.after)
		if _, err := s.Authenticate(t.Context(), secret, use); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), owner, key.ID); err != nil || got.LastUsedAt == nil || !got.LastUsedAt.Equal(step.want) {
			t.Errorf("at %s: last used %v, %v", clock.Now(), got.LastUsedAt, err)
		}
	}
}

func TestAuthenticate_WritesOnceForManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	_, owner := fixture.Organization(t, db)
	_, secret := issue(t, s, owner, readOnly)
	fixture.Exec(t, db, "CREATE TABLE writes (at timestamptz)")
	fixture.Exec(t, db, "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO writes VALUES (NEW.last_used_at); RETURN NULL; END'")
	fixture.Exec(t, db, "CREATE TRIGGER note AFTER UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION note()")
	for minute := 1; minute <= 2; minute++ {
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := s.Authenticate(t.Context(), secret, use); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := fixture.Scalar[int](t, db, "SELECT count(*) FROM writes"); n != minute {
			t.Errorf("%d writes in %d minutes", n, minute)
		}
		clock.Advance(time.Minute)
	}
}

func TestAuthenticate_RehashesUnderTheFirstMasterKey(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	_, owner := fixture.Organization(t, db)
	s.Keyring = fixture.KeyringOf("old")
	_, secret := issue(t, s, owner, readOnly)
	issue(t, s, owner, readOnly)
	rotated := apikey.New(db, fixture.KeyringOf("new", "old"))
	for range 2 {
		if _, err := rotated.Authenticate(t.Context(), secret, use); err != nil {
			t.Fatal(err)
		}
	}
	counts, err := apikey.CountByMasterKey(db.Reader(t.Context()))
	if diff := cmp.Diff(map[string]int64{"new": 1, "old": 1}, counts); diff != "" || err != nil {
		t.Error(diff, err)
	}
	// Once the old key is dropped, only what was used survives.
	if _, err := apikey.New(db, fixture.KeyringOf("new")).Authenticate(t.Context(), secret, use); err != nil {
		t.Error(err)
	}
	_, err = s.Authenticate(t.Context(), secret, use)
	fixture.WantFault(t, err, apikey.ErrUnauthorized)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	key, _ := issue(t, s, owner, readOnly)
	clock.Advance(time.Minute)
	change := apikey.Update{Name: ptr("new"), Enabled: ptr(false), Scopes: ptr([]access.Scope{access.SessionsWrite})}

	_, err := s.Update(t.Context(), fixture.User(t, db, tenant, access.Member), key.ID, change)
	fixture.WantKind(t, err, fault.Forbidden)
	_, err = s.Update(t.Context(), stranger, key.ID, change)
	fixture.WantKind(t, err, fault.NotFound)
	for range 2 {
		after, err := s.Update(t.Context(), owner, key.ID, change)
		want := key
		want.Name, want.Enabled, want.Scopes, want.UpdatedAt = "new", false, apikey.Scopes{access.SessionsWrite}, clock.Now()
		if diff := cmp.Diff(want, after); diff != "" || err != nil {
			t.Error(diff, err)
		}
		if stored, err := s.Get(t.Context(), owner, key.ID); err != nil || cmp.Diff(want, stored) != "" {
			t.Error(cmp.Diff(want, stored), err)
		}
	}
	if n := fixture.Audited(t, db, tenant, "api_key.updated"); n != 1 {
		t.Errorf("audited %d times: an update that changes nothing leaves no trace", n)
	}
	if got, want := fixture.Scalar[string](t, db, "SELECT (metadata -> 'changes')::text FROM audit_logs WHERE organization_id = $1 AND event = 'api_key.updated'", tenant),
		`{"name": {"to": "new", "from": "reader"}, "scopes": {"to": ["sessions:write"], "from": ["webhooks:read", "analytics:read"]}, "enabled": {"to": false, "from": true}}`; got != want {
		t.Errorf("the audit row says that %s changed, want %s", got, want)
	}
	_, err = s.Update(t.Context(), owner, key.ID, apikey.Update{Name: ptr(" "), Scopes: &[]access.Scope{}})
	fixture.WantField(t, err, "name")
	fixture.WantField(t, err, "scopes")
}

func TestUpdate_AnAdminAddsAndEnablesNoOwnerScope(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	admin := fixture.User(t, db, tenant, access.Admin)
	key, _ := issue(t, s, owner, apikey.Input{Name: "k", Scopes: []access.Scope{access.WebhooksSecrets, access.WebhooksRead}})

	_, err := s.Update(t.Context(), admin, key.ID, apikey.Update{Scopes: &[]access.Scope{access.WebhooksSecrets, access.ChecksWrite}})
	fixture.WantKind(t, err, fault.Forbidden)
	// Keeping and taking away is fine, and so is disabling.
	for _, change := range []apikey.Update{{Scopes: &[]access.Scope{access.WebhooksSecrets, access.WebhooksWrite}}, {Enabled: ptr(false)}} {
		if _, err := s.Update(t.Context(), admin, key.ID, change); err != nil {
			t.Error(err)
		}
	}
	_, err = s.Update(t.Context(), admin, key.ID, apikey.Update{Enabled: ptr(true)})
	fixture.WantKind(t, err, fault.Forbidden)
	if _, err := s.Update(t.Context(), owner, key.ID, apikey.Update{Enabled: ptr(true)}); err != nil {
		t.Error(err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s, db, _ := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	key, secret := issue(t, s, owner, readOnly)
	fixture.WantKind(t, s.Delete(t.Context(), fixture.User(t, db, tenant, access.Member), key.ID), fault.Forbidden)
	fixture.WantKind(t, s.Delete(t.Context(), stranger, key.ID), fault.NotFound)
	if err := s.Delete(t.Context(), owner, key.ID); err != nil {
		t.Fatal(err)
	}
	fixture.WantKind(t, s.Delete(t.Context(), owner, key.ID), fault.NotFound)
	_, err := s.Authenticate(t.Context(), secret, use)
	fixture.WantFault(t, err, apikey.ErrUnauthorized)
	if n := fixture.Audited(t, db, tenant, "api_key.deleted"); n != 1 {
		t.Errorf("audited %d times", n)
	}
}

func TestList_PagesOneOrganization(t *testing.T) {
	t.Parallel()
	s, db, clock := newService(t)
	tenant, owner := fixture.Organization(t, db)
	_, stranger := fixture.Organization(t, db)
	issue(t, s, stranger, readOnly)
	var want []id.APIKey
	for range 3 {
		clock.Advance(time.Second)
		key, _ := issue(t, s, owner, readOnly)
		want = append([]id.APIKey{key.ID}, want...)
	}
	page, err := s.List(t.Context(), owner, postgres.Page{Limit: 2})
	if err != nil || len(page.Rows) != 2 || !page.HasOlder {
		t.Fatalf("List = %+v, %v", page, err)
	}
	after, err := s.Position(t.Context(), owner, page.Rows[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := s.List(t.Context(), owner, postgres.Page{Limit: 2, After: after})
	if err != nil || rest.HasOlder {
		t.Fatalf("List = %+v, %v", rest, err)
	}
	var got []id.APIKey
	for _, key := range append(page.Rows, rest.Rows...) {
		got = append(got, key.ID)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, err = s.Position(t.Context(), stranger, want[0])
	fixture.WantFault(t, err, postgres.ErrCursor)
	_, err = s.List(t.Context(), fixture.User(t, db, tenant, access.Member), postgres.Page{Limit: 2})
	fixture.WantKind(t, err, fault.Forbidden)
	_, err = s.Get(t.Context(), stranger, want[0])
	fixture.WantKind(t, err, fault.NotFound)
}
