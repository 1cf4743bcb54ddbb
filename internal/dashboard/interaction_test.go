package dashboard

import (
	"net/http"
	"strings"
	"testing"

	"kaylehooks/internal/fixture"
)

// TestConfirmations_AreDialogsToScriptingAndPagesToEverybody asks for each confirmation in both ways: the form is the same.
func TestConfirmations_AreDialogsToScriptingAndPagesToEverybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	e, _ := w.endpoint("risk", false)
	path := endpointPath(e.ID)
	session := w.open()
	key := b.get(path + "/keys").find(`href="(/keys/whk_[a-z0-9]+/deactivate)"`)
	b.post("/api-keys", "name", "Billing", "scopes", "sessions:read", "expires", "30").is(http.StatusOK)
	apiKey := b.get("/api-keys").find(`href="(/api-keys/key_[a-z0-9]+/delete)"`)
	member := "/members/" + w.member.ID + "/remove"
	b.post(path + "/test").redirects(path)
	retry := b.get(path+"/deliveries").find(`href="(/deliveries/whd_[a-z0-9]+)"`) + "/retry"

	b.post(path+"/secret/rotate", "overlap", "24").is(http.StatusOK)
	b.get(path+"/secret/end-overlap").is(http.StatusOK).shows("erased at once and cannot be brought back", "1 waiting delivery is signed with the new secret alone")

	for at, from := range map[string]string{
		path + "/delete": path + "/settings", path + "/secret/end-overlap": path + "/secret", key: path + "/keys", apiKey: "/api-keys", member: "/members",
		"/sessions/" + session.ID.String() + "/cancel": "/sessions/" + session.ID.String(), retry: "",
	} {
		action := `action="` + at + `"`
		b.get(at).is(http.StatusOK).shows("Skip to content", action, `name="csrf_token"`, `class="panel confirm"`).hides(`id="dialog-t"`)
		dialog := b.fragment(at).is(http.StatusOK).shows(action, `name="csrf_token"`, `name="form_id"`, `id="dialog-t" class="confirm-title" tabindex="-1" autofocus`, "data-back").
			hides("Skip to content", "<html")
		if strings.Contains(dialog.body, "hx-") {
			t.Errorf("%s: the form of the dialog is not sent as the page's is: %s", at, dialog.body)
		}
		if from != "" { // the opener is a link to the page, which scripting takes for the dialog
			b.get(from).is(http.StatusOK).shows(`hx-get="`+at+`"`, `hx-target="#dialog"`, `href="`+at+`"`, `<dialog class="dialog" id="dialog">`)
		}
		w.as(w.member).fragment(at).is(http.StatusForbidden)
	}
	w.work()
	b.get(path + "/secret/end-overlap").shows("Nothing waits now; what comes is signed with the new secret alone")
	b.post(path + "/secret/end-overlap").redirects(path + "/secret")
	b.get(path + "/secret/end-overlap").redirects(path + "/secret")
	// A name that cannot be right stays in the browser.
	b.get(path + "/delete").shows(`pattern="risk"`)
}

func TestRetryQuestion_SaysWhatItDoesAndReturns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	e, _ := w.endpoint("risk", false)
	b.post(endpointPath(e.ID) + "/test").redirects(endpointPath(e.ID))
	path := b.get("/deliveries").find(`href="(/deliveries/whd_[a-z0-9]+)"`)
	list := w.server.URL + "/deliveries?status=scheduled"
	dialog := b.get(path+"/retry", "HX-Request", "true", "HX-Current-URL", list).is(http.StatusOK).
		shows("now?", "Makes the next attempt due now", "stays encrypted to risk-key", `name="return" value="/deliveries?status=scheduled"`)
	b.post(path+"/retry", "run", dialog.find(`name="run" value="(\d+)"`), "return", "/deliveries?status=scheduled").redirects("/deliveries?status=scheduled")
	w.work()
	b.get(path+"/retry").is(http.StatusConflict).shows("cannot be retried now", "It was delivered: nothing is left to retry.")
}

func TestShortcuts_AreListedAndSwitchedOff(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	const script = "/static/keys."
	b.get("/").is(http.StatusOK).shows(script, `href="/help/keyboard"`, `<kbd aria-hidden="true">/</kbd>`)
	b.get("/help/keyboard").is(http.StatusOK).shows("Keyboard shortcuts", "Next row of a list", "They rest while you type.", "Skip to content")
	b.fragment("/help/keyboard").is(http.StatusOK).shows(`id="dialog-t"`, "Next row of a list", `method="dialog"`).hides("Skip to content")

	r := b.reader("/settings")
	r.send("Save my settings", "theme", "dark") // nothing else is touched
	b.get("/").shows(script, "theme-dark")
	b.post("/settings/profile", "zone_name", "UTC", "theme", "dark", "density", "normal").redirects("/settings")
	b.get("/").hides(script, `<kbd aria-hidden="true">/</kbd>`)
	b.get("/help/keyboard").shows("You have switched them off.")
	b.post("/settings/profile", "shortcuts", "1").redirects("/settings")
	b.get("/").shows(script, "theme-dark")
	if n := fixture.Scalar[int](t, s.db, "SELECT count(*) FROM users WHERE shortcuts"); n != 1 {
		t.Errorf("%d people have shortcuts", n)
	}
}
