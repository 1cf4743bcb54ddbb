package dashboard

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
)

// TestForms_AreAnsweredInPlace: what htmx gets for a form is that form, with what is wrong or newer, and never another page; a form that
// did something leads on.
func TestForms_AreAnsweredInPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	htmx := []string{"HX-Request", "true"}
	send := func(path string, fields ...string) answer {
		t.Helper()
		return b.postAs(path, htmx, b.identified(fields)...).hides("<html")
	}
	settings := b.get("/settings").is(http.StatusOK).shows(`hx-post="/settings/organization"`, `hx-post="/settings/profile"`, `hx-post="/settings/password"`)
	if n := strings.Count(settings.body, `hx-disable="find [type=submit]"`); n != 3 || strings.Count(settings.body, `hx-status:50x="swap:beforeend target:#toasts"`) != n {
		t.Errorf("%d of 3 forms rest while they are sent, and tell of a fault", n)
	}
	b.fragment("/settings").is(http.StatusOK).shows("<html", "Signed-in browsers")
	first := settings.find(`name="seen" value="([^"]+)"`)
	for path, c := range map[string]struct {
		fields []string
		status int
		begins string
		shows  []string
	}{
		"/settings/organization":       {[]string{"name", "", "environment", "staging", "seen", first}, http.StatusUnprocessableEntity, `id="organization"`, []string{"Fill this in.", "data-focus"}},
		"/settings/profile":            {[]string{"theme", "pink"}, http.StatusUnprocessableEntity, `id="profile"`, []string{"Choose one of"}},
		"/settings/profile?conflict":   {[]string{"theme", "dark", "seen", "others"}, http.StatusConflict, `id="profile"`, []string{"You changed your settings in another window", `value="dark" checked`}},
		"/settings/password":           {[]string{"current", "wrong password!", "password", "a new long password"}, http.StatusUnprocessableEntity, `id="password"`, []string{"This is not the password."}},
		"/api-keys":                    {[]string{"name", "Billing"}, http.StatusUnprocessableEntity, `id="new-key"`, []string{"Scopes:", `value="Billing"`}},
		"/members/invitations":         {[]string{"email", "nobody", "role", "admin"}, http.StatusUnprocessableEntity, `id="inviting"`, []string{"Enter an e-mail address", `value="nobody"`}},
		"/members/invitations?already": {[]string{"email", fixture.Email(fixture.UserID(t, w.member)), "role", "admin"}, http.StatusConflict, `id="inviting"`, []string{"already a member"}},
	} {
		a := send(path, c.fields...).is(c.status).shows(c.shows...)
		if element, _, _ := strings.Cut(strings.TrimSpace(a.body), ">"); !strings.Contains(element, c.begins) {
			t.Errorf("%s is answered with %s", path, element)
		}
		if strings.Count(a.body, `method="post"`) != 1 && !strings.Contains(c.begins, "inviting") {
			t.Errorf("%s is answered with more than its form: %s", path, a.text())
		}
	}

	leads := func(to string, a answer) {
		t.Helper()
		if got := a.is(http.StatusOK).header.Get("HX-Redirect"); got != to {
			t.Errorf("it leads to %q, want %q", got, to)
		}
	}
	w.clock.Advance(time.Second)
	leads("/settings", send("/settings/organization", "name", "Acme", "environment", "staging", "seen", first))
	send("/settings/organization", "name", "Acme Two", "environment", "staging", "seen", first).is(http.StatusConflict).shows("You changed this", "Now it is “Acme”", `value="Acme Two"`)
	leads("/settings", send("/settings/profile", "theme", "dark"))
	leads("/settings", send("/settings/password", "current", fixture.Password, "password", fixture.Password+"!"))

	// What is shown once comes in place of the form, and the list beside it has the new row.
	for path, c := range map[string]struct{ fields, shows []string }{
		"/api-keys":            {[]string{"name", "Billing", "scopes", "sessions:read", "expires", "30"}, []string{"kk_", "shown again", "data-once", `<hx-partial hx-target="#keys" hx-swap="outerHTML">`, "Rotate Billing"}},
		"/members/invitations": {[]string{"email", "nina@example.com", "role", "admin"}, []string{"/invitations/", "Make invitation", `<hx-partial hx-target="#invitations" hx-swap="outerHTML">`, "New link for nina@example.com"}},
	} {
		sent := b.identified(c.fields)
		b.postAs(path, htmx, sent...).is(http.StatusOK).shows(c.shows...).hides("<html")
		again := b.postAs(path, htmx, sent...)
		if to := again.header.Get("HX-Redirect"); to != path && to != "/members" || secretForm.MatchString(again.body) {
			t.Errorf("%s, sent twice, leads to %q", path, to)
		}
	}
}

// TestForms_OfALostSessionAreSentOnceMore: what htmx sent is sent again as the page's form is, which keeps what was entered.
func TestForms_OfALostSessionAreSentOnceMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	b.get("/settings")
	fixture.Exec(t, w.db, "DELETE FROM login_sessions")
	htmx := []string{"HX-Request", "true"}
	fields := b.identified([]string{"name", "Acme", "environment", "staging"})
	a := b.postAs("/settings/organization", htmx, fields...).is(http.StatusUnauthorized)
	if a.body != "" || a.header.Get("HX-Trigger") != "lost" || a.header.Get("HX-Reswap") != "none" || a.header.Get("HX-Redirect") != "" {
		t.Errorf("htmx is told %v: %s", a.header, a.body)
	}
	b.postAs("/settings/organization", nil, fields...).is(http.StatusUnauthorized).shows("what you entered is kept", `name="kept.name" value="Acme"`)
	// Nothing of a password is kept.
	a = b.postAs("/settings/password", append(htmx, "HX-Current-URL", w.server.URL+"/settings"), b.identified([]string{"current", fixture.Password, "password", "x"})...).is(http.StatusUnauthorized)
	if to := a.header.Get("HX-Redirect"); to != "/sign-in?next=%2Fsettings" {
		t.Errorf("htmx is led to %q", to)
	}
}

// TestAPIKeys_OneThatSomebodyMayNotRotateSaysSo.
func TestAPIKeys_OneThatSomebodyMayNotRotateSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	owner := w.as(w.owner)
	owner.get("/api-keys")
	owner.post("/api-keys", "name", "Engine", "scopes", string(access.ChecksWrite), "expires", "30").is(http.StatusOK)
	owner.get("/api-keys").shows("Rotate Engine").hides("Only an owner can grant")
	w.as(w.admin).get("/api-keys").is(http.StatusOK).shows(`aria-disabled="true" title="Only an owner can grant what it carries."`, "aria-label=\"Rotate Engine, kk_", "Disable Engine").hides(`/rotate"`)
}
