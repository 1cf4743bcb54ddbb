package dashboard

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

func TestAPIKeys_Life(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.admin)
	b.get("/api-keys").is(http.StatusOK).shows("No API key yet")
	b.get("/api-keys?preset=server").is(http.StatusOK).shows("Create an API key", "Only an owner can grant it.").hides("Check engine")
	if body := b.get("/api-keys?preset=server").body; !strings.Contains(body, `value="sessions:write"`) {
		t.Error("the preset's scopes are not offered")
	}

	// A rejected form says what is wrong and keeps the rest.
	b.post("/api-keys", "name", "", "expires", "30").is(http.StatusUnprocessableEntity).shows("2 things to correct before the key can be made", "Choose at least one.")
	// An admin cannot grant what only owners may, whatever the form says.
	b.post("/api-keys", "name", "x", "scopes", "checks:write", "expires", "30").is(http.StatusForbidden)

	a := b.post("/api-keys", "name", "Billing server", "scopes", "sessions:read", "scopes", "webhooks:read", "expires", "30").is(http.StatusOK)
	secret := a.find(`(kk_[a-z0-9]{32})`)
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a page with a secret has Cache-Control %q", got)
	}
	list := b.get("/api-keys").is(http.StatusOK).hides(secret).shows("Billing server", "kk_"+secret[3:7]+"…", "sessions:read", "Active", "never")
	path := list.find(`action="(/api-keys/key_[a-z0-9]+)/disable"`)
	if _, err := w.handler.APIKeys.Authenticate(t.Context(), secret, apikey.Use{Route: "GET /v1/sessions"}); err != nil {
		t.Fatalf("the new key does not work: %v", err)
	}

	// Members and strangers.
	m := w.as(w.member)
	m.get("/api-keys").is(http.StatusForbidden).shows("This needs the role admin.")
	m.post(path + "/disable").is(http.StatusForbidden)
	x := w.stranger()
	x.get("/api-keys").is(http.StatusOK).hides("Billing server")
	x.post(path + "/disable").is(http.StatusNotFound)
	x.get(path + "/delete").is(http.StatusNotFound)
	x.post(path + "/delete").is(http.StatusNotFound)

	b.post(path + "/disable").redirects("/api-keys")
	b.get("/api-keys").shows("is disabled.", "Undo", "Disabled")
	if _, err := w.handler.APIKeys.Authenticate(t.Context(), secret, apikey.Use{}); err == nil {
		t.Error("a disabled key works")
	}
	b.post(path + "/disable").redirects("/api-keys")
	b.post(path + "/enable").redirects("/api-keys")
	b.get(path+"/delete").is(http.StatusOK).shows("Delete the key “Billing server” for good?", "It was last used")
	b.post(path + "/delete").redirects("/api-keys")
	b.get("/api-keys").shows("is deleted.")
	b.post(path + "/delete").is(http.StatusNotFound)
	if n := fixture.Audited(t, w.db, w.org, "api_key.updated"); n != 2 {
		t.Errorf("%d updates are audited, want 2", n)
	}
}

func TestAPIKeys_ShowHowOftenTheyAreUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.admin)
	b.get("/api-keys?new=1")
	secret := b.post("/api-keys", "name", "Billing server", "scopes", "sessions:read", "expires", "0").is(http.StatusOK).shows(">none<").find(`(kk_[a-z0-9]{32})`)
	w.clock.Advance(time.Second)
	b.post("/api-keys", "name", "Idle", "scopes", "sessions:read", "expires", "0").is(http.StatusOK)
	keys := w.handler.APIKeys
	call := func(n int) {
		t.Helper()
		for range n {
			if _, err := keys.Authenticate(t.Context(), secret, apikey.Use{IP: netip.MustParseAddr("2001:db8::7"), Route: "GET /v1/sessions/{id}"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := keys.FlushCalls(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	call(3)
	w.clock.Set(time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)) // the world begins on March 2
	call(1)
	w.clock.Advance(time.Minute)
	b = w.as(w.admin)
	list := b.get("/api-keys").is(http.StatusOK).shows(
		"Billing server: 30 days, 4 calls, 1 of them today (UTC), most on Mon, Mar 2: 3", "4 calls, 1 today", ">none<",
		"1 min ago", "2001:db8::7", "GET /v1/sessions/{id}",
	)
	if bars := strings.Count(list.body, `class="f-hi"`); bars != 2 {
		t.Errorf("%d days have a bar, want 2", bars)
	}
	path := list.find(`(?s:.*)action="(/api-keys/key_[a-z0-9]+)/disable"`) // the older one
	b.get(path + "/delete").shows("It was last used 1 min ago from 2001:db8::7, for GET /v1/sessions/{id}.")
	b.post(path + "/disable").redirects("/api-keys")
	b.get("/api-keys").shows("Disabled", "4 calls, 1 today")
	w.stranger().get("/api-keys").is(http.StatusOK).hides("4 calls", "2001:db8::7")

	// Thirty days on there is nothing to draw.
	w.clock.Advance(31 * 24 * time.Hour)
	w.as(w.admin).get("/api-keys").is(http.StatusOK).shows("Billing server").hides("4 calls", `class="spark"`)
}

func TestAPIKeys_Rotate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	b.get("/api-keys?new=1")
	secret := b.post("/api-keys", "name", "Engine", "scopes", string(access.ChecksWrite), "expires", "90").is(http.StatusOK).find(`(kk_[a-z0-9]{32})`)
	path := b.get("/api-keys").find(`href="(/api-keys/key_[a-z0-9]+/rotate)"`)
	b.get(path).is(http.StatusOK).shows("Make a new key in place of “Engine”?", "It was never used.", "works for 90 days", "24 hours", "no time")
	b.post(path, "overlap", "2").is(http.StatusUnprocessableEntity).shows("Choose how long the former key goes on working.")

	// Not for an admin, who cannot grant its scope, nor for anybody with less.
	a := w.as(w.admin)
	a.get("/api-keys").shows("Engine").hides(path)
	a.post(path, "overlap", "24").is(http.StatusForbidden)
	w.as(w.member).post(path, "overlap", "24").is(http.StatusForbidden)
	x := w.stranger()
	x.get(path).is(http.StatusNotFound)
	x.post(path, "overlap", "24").is(http.StatusNotFound)

	b.get(path)
	made := b.post(path, "overlap", "24").is(http.StatusOK).shows("The key “Engine” is rotated.", "The former key works until", "Replaced")
	if made.header.Get("Cache-Control") != "no-store" {
		t.Error("the page with the new key may be stored")
	}
	fresh := made.find(`(kk_[a-z0-9]{32})`)
	b.get("/api-keys").hides(fresh, path).shows("Replaced", "kk_"+fresh[3:7]+"…", "kk_"+secret[3:7]+"…")
	for _, s := range []string{secret, fresh} {
		if _, err := w.handler.APIKeys.Authenticate(t.Context(), s, apikey.Use{}); err != nil {
			t.Errorf("within the overlap: %v", err)
		}
	}
	b.get(path) // a form of its own: sending the same one twice does one thing
	b.post(path, "overlap", "0").is(http.StatusConflict).shows("This key was rotated already.")
}

func TestMembers_InviteJoinAndManage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	b.get("/members").is(http.StatusOK).shows("There is one owner only", "the last owner", w.member.Name, "What each role may do", "Nobody is invited")
	for _, who := range []access.Actor{w.member, w.admin} { // a row that they may read says who could change it
		w.as(who).get("/members").is(http.StatusOK).shows(w.owner.Name, `aria-disabled="true" title="Needs the role owner."`).hides("Invite a person", "/suspend", "nvitations", "Nobody is invited")
	}
	b.get("/members").shows(`aria-disabled="true" title="The last owner stays."`).hides("Needs the role owner.")
	member := "/members/" + w.member.ID
	b.post(member + "/suspend").redirects("/members")
	w.as(w.admin).get("/members").is(http.StatusOK).shows("Restore "+w.member.Name+": Needs the role owner.", "Suspend "+w.admin.Name+": Needs the role owner.").hides("Suspend " + w.member.Name)
	b.post(member + "/restore").redirects("/members")

	b.post("/members/invitations", "email", "not an address", "role", "member").is(http.StatusUnprocessableEntity).shows("Enter an e-mail address", `value="not an address"`)
	a := b.post("/members/invitations", "email", "new@example.com", "role", "admin").is(http.StatusOK)
	link := a.find(`://[^/"]+(/invitations/[A-Za-z0-9_-]{43})`)
	b.get("/members").is(http.StatusOK).shows("new@example.com").hides(link)
	b.post("/members/invitations", "email", "new@example.com", "role", "admin").is(http.StatusConflict).shows("This address has an open invitation.")
	// A new link makes the old one worthless.
	invitation := b.get("/members").find(`action="(/members/invitations/inv_[a-z0-9]+)/resend"`)
	renewed := b.post(invitation + "/resend").is(http.StatusOK).find(`://[^/"]+(/invitations/[A-Za-z0-9_-]{43})`)
	n := w.browser()
	n.get(link).is(http.StatusNotFound).shows("Invitation no longer valid")
	n.get(renewed).is(http.StatusOK).shows("Join Org", "new@example.com", "an admin")
	n.post(renewed, "name", "Nina", "password", "short").is(http.StatusUnprocessableEntity).shows("Use at least 12 characters.", `value="Nina"`)
	n.post(renewed, "name", "Nina", "password", fixture.Password).redirects("/")
	n.get("/").is(http.StatusOK).shows("Nina")
	n.get(renewed).is(http.StatusNotFound)
	nina := fixture.Scalar[id.User](t, w.db, "SELECT id FROM users WHERE email = 'new@example.com'").String()

	b.get("/members?q=nina").is(http.StatusOK).shows("Nina").hides(fixture.Email(fixture.UserID(t, w.member)))
	b.get("/members?q=nobody&role=admin").is(http.StatusOK).shows("No members match 2 filters", "Search: nobody", "Role: admin")
	b.fragment("/members?role=admin").is(http.StatusOK).shows("Nina").hides("<html", w.owner.Name+"</strong>", "Invite a person")
	n.post("/members/"+w.member.ID+"/role", "role", "owner").is(http.StatusForbidden)
	b.post("/members/"+nina+"/role", "role", "owner").redirects("/members")
	b.get("/members").shows("Nina is an owner now.").hides("There is one owner only")
	b.post("/members/"+nina+"/role", "role", "king").is(http.StatusBadRequest)
	b.post("/members/" + nina + "/suspend").redirects("/members")
	n.get("/").redirects("/sign-in")
	b.get("/members").shows("Suspended", "Restore")
	b.post("/members/" + nina + "/restore").redirects("/members")
	b.get("/members/"+nina+"/remove").is(http.StatusOK).shows("Remove Nina?", "lose access")
	b.post("/members/" + nina + "/remove").redirects("/members")
	b.post("/members/" + nina + "/remove").is(http.StatusNotFound)
	b.get("/members")
	b.post("/members/"+w.owner.ID+"/role", "role", "member").is(http.StatusConflict).shows("keeps at least one active owner", "Nothing was changed.")
	b.postAs("/members/"+w.owner.ID+"/role", []string{"HX-Request", "true"}, b.identified([]string{"role", "member"})...).is(http.StatusConflict).
		shows("keeps at least one active owner", "the last owner", "<tr id=").hides("<html")
	x := w.stranger()
	x.get("/members").is(http.StatusOK).hides(w.member.Name)
	x.post("/members/" + w.member.ID + "/remove").is(http.StatusNotFound)

	b.post("/members/invitations", "email", "late@example.com", "role", "member").is(http.StatusOK)
	late := b.get("/members").find(`action="(/members/invitations/inv_[a-z0-9]+)/revoke"`)
	x.post(late + "/revoke").is(http.StatusNotFound)
	b.post(late + "/revoke").redirects("/members")
	b.post(late + "/revoke").is(http.StatusNotFound)
}

// TestMembers_ARoleThatChangedMeanwhileIsNotOverwrittenUnseen has two owners with the page open.
func TestMembers_ARoleThatChangedMeanwhileIsNotOverwrittenUnseen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := w.as(w.owner).reader("/members")
	two := w.as(fixture.User(t, w.db, w.org, access.Owner)).reader("/members")
	save := "Save role of " + w.member.Name
	one.send(save, "role", "admin")
	one.sees(http.StatusOK, w.member.Name+" is an admin now.")
	two.send(save, "role", "owner")
	two.sees(http.StatusConflict, "Somebody else changed this role in the meantime.", "Nothing was changed. The role is admin now. Choose again if you still want owner.")
	if role := fixture.Scalar[string](t, w.db, "SELECT role FROM memberships WHERE user_id = $1", fixture.UserID(t, w.member)); role != "admin" {
		t.Errorf("the role is %s", role)
	}
	// With scripting the row takes the place of the one before, and a message comes beside it.
	b := w.as(w.owner)
	path := "/members/" + w.member.ID
	swap := func(path string, fields ...string) answer {
		return b.postAs(path+"/role", []string{"HX-Request", "true"}, b.identified(fields)...)
	}
	row := swap(path, "role", "member", "seen", "member").is(http.StatusConflict).shows("<tr id=\""+w.member.ID, "changed this role in the meantime", `value="admin" selected`).hides("<html")
	row.find(`(<hx-partial hx-target="#toasts" hx-swap="beforeend">)`)
	again := b.identified([]string{"role", "member", "seen", "admin"})
	for _, want := range []string{w.member.Name + " is a member now.", ""} { // the second is a double click
		a := b.postAs(path+"/role", []string{"HX-Request", "true"}, again...).is(http.StatusOK).shows(want)
		if back := a.header.Get("HX-Redirect"); (back == "") != (want != "") {
			t.Errorf("it leads to %q and says %s", back, a.text())
		}
	}
	swap("/members/"+w.owner.ID, "role", "admin", "seen", "admin").is(http.StatusConflict).shows("changed this role in the meantime")
	if a := swap(path, "role", "owner", "seen", "member").is(http.StatusOK); a.header.Get("HX-Redirect") != "/members" { // who else is an owner is all over the page
		t.Errorf("a new owner: %v", a.header)
	}
	b.get("/members").shows(w.member.Name + " is an owner now.")
	swap(path, "role", "admin", "seen", "owner").is(http.StatusOK)
	swap("/members/"+strings.Replace(w.member.ID, "usr_0", "usr_1", 1), "role", "admin").is(http.StatusNotFound)
	two.open(two.get("/members"), "/members")
	two.send(save, "role", "owner") // now they have seen it
	two.sees(http.StatusOK, w.member.Name+" is an owner now.")
}

func TestAcceptInvitation_KnownPersonLandsInTheNewOrganization(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, other := fixture.Organization(t, w.db)
	theirs := fixture.Email(fixture.UserID(t, other))
	b := w.as(w.owner)
	b.get("/members")
	link := b.post("/members/invitations", "email", theirs, "role", "member").is(http.StatusOK).find(`://[^/"]+(/invitations/[A-Za-z0-9_-]{43})`)
	n := w.as(other)
	n.get(link).is(http.StatusOK).shows("Your password", "You have an account already")
	n.post(link, "password", "wrong password!").is(http.StatusUnprocessableEntity).shows("This is not the password.")
	n.post(link, "password", fixture.Password).redirects("/")
	name := fixture.Scalar[string](t, w.db, "SELECT name FROM organizations WHERE id = $1", w.org)
	n.get("/settings").is(http.StatusOK).shows(name, "Needs the role admin.")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.handler.Settings = []Setting{{Group: "Server", Label: "Retention", Value: "30 days", Variable: "RETENTION_DAYS", Default: true}}
	b := w.as(w.owner)
	b.get("/settings").is(http.StatusOK).shows("Organization", "My settings", "Password", "this one", "RETENTION_DAYS", "default",
		"Waits before the attempts 2 to 8", "5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h", "built in")
	b.post("/settings/organization", "name", "", "environment", "staging").is(http.StatusUnprocessableEntity).shows("Fill this in.", `value="staging"`)
	b.post("/settings/organization", "name", "Acme", "environment", "staging").redirects("/settings")
	b.get("/settings").shows("The organization is saved.", "staging", "Acme")
	b.post("/settings/organization", "name", "Acme", "environment", "staging").redirects("/settings")
	b.get("/settings").shows("nothing was changed")
	// A chosen colour stands above the name's.
	b.get("/settings").shows(`class="env tone-info">staging`)
	b.post("/settings/organization", "name", "Acme", "environment", "staging", "color", "url(x)").is(http.StatusUnprocessableEntity).shows("Choose one of the list.")
	b.post("/settings/organization", "name", "Acme", "environment", "staging", "color", "red").redirects("/settings")
	b.get("/settings").shows("The organization is saved.", `class="env tone-bad">staging`)
	b.post("/settings/organization", "name", "Acme", "environment", "staging", "color", "red").redirects("/settings")
	b.get("/settings").shows("nothing was changed")
	// Somebody else's change is not overwritten unseen.
	seen := b.get("/settings").find(`name="seen" value="([^"]+)"`)
	w.clock.Advance(time.Second)
	second := fixture.User(t, w.db, w.org, access.Owner)
	c := w.as(second)
	c.get("/settings")
	c.post("/settings/organization", "name", "Acme Two", "environment", "staging", "color", "green", "seen", seen).redirects("/settings")
	w.clock.Advance(2 * time.Minute)
	stale := b.post("/settings/organization", "name", "Acme Three", "environment", "staging", "color", "amber", "seen", seen).is(http.StatusConflict).
		shows(second.Name+" changed this 2 min ago.", "Now it is “Acme Two”, staging in green.", `value="Acme Three"`)
	if amber := stale.find(`value="amber"( checked)?`); amber == "" {
		t.Error("the colour that was chosen is lost")
	}
	c.post("/settings/organization", "name", "Acme Four", "environment", "staging", "seen", seen).is(http.StatusConflict).shows("You changed this 2 min ago, in another window.")

	b.post("/settings/profile", "zone_name", "local", "theme", "dark", "density", "compact").redirects("/settings")
	b.get("/settings").shows("Your settings are saved.")
	b.post("/settings/profile", "zone_name", "local", "theme", "dark", "density", "compact").redirects("/settings")
	b.get("/settings").shows("nothing was changed").hides("are saved")
	if body := b.get("/settings").body; !strings.Contains(body, "theme-dark") || !strings.Contains(body, "density-compact") {
		t.Error("the page does not look as chosen")
	}
	b.post("/settings/profile", "theme", "pink").is(http.StatusUnprocessableEntity).shows("Choose one of")

	// Another browser of the same person, signed out from here.
	other := w.as(w.owner)
	device := b.get("/settings").find(`action="(/settings/sessions/lgn_[a-z0-9]+)/revoke"`)
	w.as(w.member).post(device + "/revoke").is(http.StatusNotFound)
	b.post(device + "/revoke").redirects("/settings")
	other.get("/settings").redirects("/sign-in?next=%2Fsettings")
	b.post(device + "/revoke").is(http.StatusNotFound)
	twin := w.as(w.owner)
	b.get("/settings")
	b.post("/settings/sessions/others").redirects("/settings")
	twin.get("/settings").redirects("/sign-in?next=%2Fsettings")

	third := w.as(w.owner)
	b.get("/settings")
	b.post("/settings/password", "current", "wrong password!", "password", "a new long password").is(http.StatusUnprocessableEntity).shows("This is not the password.")
	b.post("/settings/password", "current", fixture.Password, "password", "short").is(http.StatusUnprocessableEntity).shows("Use at least 12 characters.").hides(`value="short"`)
	b.post("/settings/password", "current", fixture.Password, "password", "a new long password").redirects("/settings")
	third.get("/settings").redirects("/sign-in?next=%2Fsettings")

	m := w.as(w.member)
	m.get("/settings").is(http.StatusOK).shows("Needs the role admin.").hides("RETENTION_DAYS")
	m.post("/settings/organization", "name", "Mine", "environment", "x").is(http.StatusForbidden)
}

func TestAudit_FiltersAndRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	s := w.open()
	w.as(w.member).get("/audit").is(http.StatusForbidden).shows("This needs the role admin.")
	b := w.as(w.admin)
	b.get("/audit").is(http.StatusOK).shows("webhook_endpoint.created", "webhook_key.created", "session.created", "auth.signed_in", "access.denied")
	b.get("/audit?event=webhook_endpoint.").is(http.StatusOK).shows("webhook_endpoint.created", "About: endpoints").hides("session.created")
	b.get("/audit?actor=api_key").is(http.StatusOK).shows("session.created", "engine").hides("webhook_endpoint.created")
	b.get("/audit?target=" + e.ID.String()).is(http.StatusOK).shows("webhook_endpoint.created").hides("session.created")
	b.get("/audit?q=" + s.ID.String()).is(http.StatusOK).shows("session.created").hides("webhook_endpoint.created")
	b.get("/audit?q=" + w.member.ID).is(http.StatusOK).shows("access.denied").hides("webhook_endpoint.created")
	b.get("/audit?event=webhook_job.").is(http.StatusOK).shows("No entries match 1 filter", "Clear all filters")
	b.fragment("/audit").is(http.StatusOK).hides("<html")
	w.stranger().get("/audit").is(http.StatusOK).hides("session.created")

	// Text is looked for in what the rows say, whoever wrote it and however.
	for text, want := range map[string]string{"ENGINE": "session.created", "key.created": "webhook_key.created", "risk-key": "webhook_key.created", "req-test": "webhook_endpoint.created", "192.0.2.7": "webhook_endpoint.created"} {
		b.get("/audit?q="+url.QueryEscape(text)).is(http.StatusOK).shows(want, "Search: "+text).hides("auth.signed_in", "Only the latest")
	}
	b.get("/audit?q=100%25_nothing").is(http.StatusOK).shows("No entries match 1 filter")
	if export := b.get("/audit/export?q=risk-key").is(http.StatusOK).body; strings.Count(export, "aud_") != 1 {
		t.Errorf("exported is %s", export)
	}
	w.stranger().get("/audit?q=risk-key").is(http.StatusOK).shows("No entries match 1 filter")

	// An entry can be linked to.
	row := b.get("/audit?event=session.").find(`id="(aud_[a-z0-9]+)"`)
	to := b.get("/find?q=" + row).is(http.StatusSeeOther).header.Get("Location")
	path, anchor, _ := strings.Cut(to, "#")
	if anchor != row {
		t.Fatalf("the entry is found at %q", to)
	}
	b.get(path).is(http.StatusOK).shows(row)
}

// TestAudit_NamesWhatItIsAbout: a target has the name that it is known by last, also when it is gone, and leads to its page while
// there is one.
func TestAudit_NamesWhatItIsAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, _ := b.createEndpoint("Risk engine")
	b.addKey(path, "k1")
	key := fixture.Scalar[id.Key](t, w.db, "SELECT id FROM webhook_encryption_keys").String()
	b.get("/api-keys")
	b.post("/api-keys", "name", "Billing", "scopes", "sessions:read", "expires", "30").is(http.StatusOK)
	apiKey := fixture.Scalar[id.APIKey](t, w.db, "SELECT id FROM api_keys").String()
	b.post("/api-keys/" + apiKey + "/disable").redirects("/api-keys")
	b.post("/members/"+w.member.ID+"/role", "role", "admin").redirects("/members")
	b.post("/settings/organization", "name", "Acme", "environment", "staging").redirects("/settings")
	b.post(path+"?seen=", "name", "Risk engine", "url", endpointAddress+"?token=hidden-in-the-url", "labels", "eu, risk", "enabled", "1", "retention", "24",
		"events", "verification.session.succeeded", "events", "verification.session.failed").redirects(path + "/settings")
	find := func(id string) string { return `href="/find?q=` + id + `"` }
	log := b.get("/audit").is(http.StatusOK).shows("Kept for 365 days", `href="`+path+`">Risk engine`, find(key)+">k1", find(apiKey)+">Billing", find(w.member.ID)+">"+w.member.Name, `href="/settings"`,
		"undelivered payload retention hours 72 → 24", "url https://hooks.example.com, changed").hides("labels changed", "hidden-in-the-url")
	for _, id := range []string{key, apiKey, w.member.ID} {
		to := b.get("/find?q=" + id).header.Get("Location")
		if at, _, _ := strings.Cut(to, "#"); b.get(at).status != http.StatusOK {
			t.Errorf("%s leads to %q", id, to)
		}
	}
	if n := strings.Count(log.body, ">Billing</a>"); n != 2 { // the row that tells no name has it too
		t.Errorf("Billing is named in %d rows, want 2", n)
	}
	b.post("/api-keys/" + apiKey + "/delete").redirects("/api-keys")
	b.post("/members/" + w.member.ID + "/remove").redirects("/members")
	b.post(path+"/delete", "confirm", "Risk engine").redirects("/endpoints")
	b.get("/audit").is(http.StatusOK).shows("webhook endpoint, deleted", `href="`+path+`">Risk engine`, "webhook key, endpoint deleted", "k1", "API key, deleted", "Billing", "user, no member any more", w.member.Name).
		hides(find(key), find(apiKey), find(w.member.ID))
	b.get(path).is(http.StatusNotFound).shows("This endpoint was deleted.")
	w.stranger().get("/audit?q="+w.member.ID).is(http.StatusOK).hides(w.member.Name, "Billing", "Risk engine")
}

// TestPast_IsNeverInTheFuture: a row may be written while the page that shows it is made.
func TestPast_IsNeverInTheFuture(t *testing.T) {
	t.Parallel()
	now := fixture.Start
	p := &page{Now: now}
	for at, want := range map[time.Time]string{now.Add(300 * time.Millisecond): "0 s ago", now.Add(-2 * time.Second): "2 s ago"} {
		if got := p.Past(at).Text; got != want {
			t.Errorf("%s reads %q, want %q", at, got, want)
		}
	}
}

// TestAudit_SearchLooksAtTheLatestOnly has a row on either side of what is looked through.
func TestAudit_SearchLooksAtTheLatestOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fixture.Exec(t, w.db, `INSERT INTO audit_logs (id, organization_id, actor_type, actor_name, event, created_at)
		SELECT gen_random_uuid(), $1, 'system', CASE WHEN n IN (1, $2 + 10) THEN 'needle ' || n ELSE '' END, 'session.started', $3::timestamptz - n * interval '1 second' FROM generate_series(1, $2 + 10) n`,
		w.org, audit.SearchWindow, w.clock.Now())
	b := w.as(w.admin)
	b.get("/audit?q=Needle").is(http.StatusOK).shows("needle 1", "Only the latest 10,000 entries of the time span were looked through.").hides("needle 10010")
	from, to := w.clock.Now().Add(-3*time.Hour).Format(formTime), w.clock.Now().Add(-3*time.Minute).Format(formTime)
	b.get("/audit?q=needle&from="+from+"&to="+to).is(http.StatusOK).shows("needle 10010").hides("needle 1<", "Only the latest")
	b.get("/audit/export?q=needle").is(http.StatusBadRequest).shows("too wide to export", "Choose dates")
	if a := b.get("/audit/export?q=needle&from=" + from + "&to=" + to).is(http.StatusOK); strings.Count(a.body, "needle") != 1 {
		t.Errorf("the export is %q", a.body)
	}
	b.get("/audit?q=nothing-like-it").is(http.StatusOK).shows("No entries match 1 filter", "Only the latest")
}

// TestActivity_IsOfTheEndpointAndItsKeys in the order of time, page for page, and of no other endpoint.
func TestActivity_IsOfTheEndpointAndItsKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, _ := b.createEndpoint("Risk engine")
	other, _ := b.createEndpoint("Ledger")
	for n := range 3 {
		w.clock.Advance(time.Second)
		for _, endpoint := range []string{path, other} {
			b.addKey(endpoint, fmt.Sprintf("k%d", n))
			b.post(endpoint + "/pause").redirects(endpoint)
			w.clock.Advance(time.Second)
			b.post(endpoint + "/resume").redirects(endpoint)
		}
	}
	target := strings.TrimPrefix(path, "/endpoints/")
	var want, got []string
	w.check(w.db.Reader(t.Context()).Raw("SELECT event FROM audit_logs WHERE target_id = ? OR metadata ->> 'webhook_endpoint_id' = ? ORDER BY created_at DESC, id DESC", target, target).Scan(&want).Error)
	filter := audit.Filter{TargetID: target}
	for page := (postgres.Page{Limit: 2}); ; {
		list, err := audit.List(t.Context(), w.db, w.owner, filter, page)
		w.check(err)
		for _, e := range list.Rows {
			got = append(got, e.Event)
			page.After = &postgres.Position{At: e.CreatedAt, ID: e.ID.UUID}
		}
		if !list.HasOlder {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 10 {
		t.Errorf("%d entries (-want +got):\n%s", len(got), diff)
	}
	b.get("/") // what was said of the other
	b.get(path+"/activity").is(http.StatusOK).shows("webhook_key.created", "webhook_endpoint.created").hides("Ledger")
	filter.EventPrefix = "webhook_key."
	if list, err := audit.List(t.Context(), w.db, w.owner, filter, postgres.Page{Limit: 10}); err != nil || len(list.Rows) != 3 {
		t.Errorf("%d entries of keys, want 3: %v", len(list.Rows), err)
	}
}

func TestBrowserWords(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"": "Unknown browser", "curl/8.9.1": "curl",
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                       "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0":        "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":        "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15": "Safari on iPhone",
	} {
		if got := browserWords(agent); got != want {
			t.Errorf("%q is called %q, want %q", agent, got, want)
		}
	}
}

func TestAPIKey_ExpiryShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	b.get("/api-keys?new=1")
	b.post("/api-keys", "name", "Engine", "scopes", string(access.ChecksWrite), "expires", "30").is(http.StatusOK)
	w.clock.Advance(25 * 24 * time.Hour)
	b = w.as(w.owner)
	b.get("/api-keys").is(http.StatusOK).shows("Expires soon")
	w.clock.Advance(6 * time.Hour)
	b.get("/api-keys").is(http.StatusOK)
	w.clock.Advance(5 * 24 * time.Hour)
	b = w.as(w.owner)
	b.get("/api-keys").is(http.StatusOK).shows("Expired").hides("Disable Engine")
}
