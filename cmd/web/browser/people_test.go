package browser_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"kaylehooks/internal/access"
)

const memberPassword = "a password for the member"

// operatePeople invites somebody, changes what they may do, and removes them.
func operatePeople(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	b.visit("/members")
	b.expect(http.StatusConflict)
	b.fill("#invite [name=email]", s.email)
	b.send("#invite button", "Make invitation")
	b.check("invitation refused")

	s.invite(b, "late@fjordpay.example", "admin")
	b.check("members, invited")
	b.press("main button", "New link")
	b.see("main", "/invitations/")
	b.press("main button", "Withdraw")
	b.see(".toasts", "withdrawn")

	link := s.invite(b, "mia@fjordpay.example", "member")
	guest := s.open(t, s.base)
	guest.visit(link)
	guest.check("invitation")
	guest.expect(http.StatusUnprocessableEntity)
	guest.fill("[name=name]", "Mia Olsen")
	guest.fill("[name=password]", "short and bad")
	guest.do("too short", chromedp.SetValue("[name=password]", "short"))
	guest.press("button", "Join")
	guest.check("invitation refused by its form")
	guest.fill("[name=password]", memberPassword)
	guest.press("button", "Join")
	guest.see("main", "Overview")
	guest.check("overview of a member")
	nobody := s.open(t, s.base)
	nobody.expect(http.StatusNotFound).visit(link)
	nobody.check("invitation used already")

	meet(t, s, guest)

	b.visit("/members?q=mia")
	b.check("members, searched")
	b.do("narrow", chromedp.SetValue(".filters [name=state]", "suspended"), chromedp.Evaluate[chromedp.Void](`document.querySelector(".filters [name=state]").dispatchEvent(new Event("change", { bubbles: true }))`))
	b.see("#results", "No members match 2 filters")
	if said := ask[string](b, `document.querySelector("#announce").textContent`); said != "0 members" {
		t.Errorf("what a filter left is announced as %q", said)
	}
	b.check("members, no match")
	b.visit("/members?q=mia")
	row := "tr:has(select)"
	stale := s.signIn(t, s.base, s.email, s.password)
	stale.visit("/members?q=mia")
	save := func(b *tab, role string) {
		b.t.Helper()
		b.choose(row+" select", role)
		b.do("save", chromedp.Focus(row+" button"), chromedp.KeyEvent(kb.Enter))
	}
	save(b, "admin")
	b.see(".toasts", "Mia Olsen is an admin now.") // without leaving the page
	b.check("members, role saved")
	if at := ask[string](b, `document.activeElement.getAttribute("aria-label")`); at != "Save role of Mia Olsen" || b.path() != "/members?q=mia" {
		t.Errorf("after a role is saved, the focus is at %s of %s", at, b.path())
	}
	stale.expect(http.StatusConflict)
	save(stale, "owner")
	stale.see(".toasts", "Choose again if you still want owner.")
	if role := ask[string](stale, `document.querySelector("tr:has(select) select").value`); role != "admin" {
		t.Errorf("after a conflict the row offers %s", role)
	}
	stale.expect()
	guest.visit("/api-keys") // at once
	b.visit("/members?q=mia")
	b.press("main button", "Suspend")
	b.see("main", "Suspended")
	b.check("members, one suspended")
	guest.visit("/") // signed out
	guest.see("h1", "Sign in")
	b.press("main button", "Restore")
	b.visit("/members?q=mia")
	b.asks("remove member", "main a", "Remove")
	b.press("main button", "Remove")
	b.see(".toasts", "Mia")
}

// invite returns the link that the page shows once.
func (s *suite) invite(b *tab, email, role string) string {
	b.t.Helper()
	b.visit("/members")
	b.fill("#invite [name=email]", email)
	b.choose("#invite [name=role]", role)
	b.send("#invite button", "Make invitation")
	link := ask[string](b, `document.querySelector("main").innerText.match(/https?:\S+\/invitations\/\S+/)?.[0] ?? ""`)
	if link == "" {
		b.t.Fatalf("no link for %s: %s", email, b.text("main"))
	}
	return strings.TrimPrefix(link, s.base)
}

// meet opens every page as a member, who may read and change nothing: where more is asked for, the page says who can.
func meet(t *testing.T, s *suite, member *tab) {
	t.Helper()
	endpoint := member.link("/endpoints?q=KYC", "#results a.lead")
	paths := map[string]string{
		"GET /endpoints/new":                     "/endpoints/new",
		"GET /endpoints/pause":                   "/endpoints/pause",
		"GET /endpoints/resume":                  "/endpoints/resume",
		"GET /endpoints/{id}/recover":            endpoint + "/recover",
		"GET /endpoints/{id}/delete":             endpoint + "/delete",
		"GET /endpoints/{id}/secret/end-overlap": endpoint + "/secret/end-overlap",
		"GET /keys/{id}/reactivate":              "/keys/whk_00000000000000000000000000/reactivate",
		"GET /keys/{id}/deactivate":              "/keys/whk_00000000000000000000000000/deactivate",
		"GET /jobs/new":                          "/jobs/new?status=failed",
		"GET /jobs/{id}/cancel":                  "/jobs/job_00000000000000000000000000/cancel",
		"GET /sessions/{id}/cancel":              "/sessions/vs_00000000000000000000000000/cancel",
		"GET /queue":                             "/queue",
		"GET /queue/{name}":                      "/queue/fresh",
		"GET /queue/{name}/pause":                "/queue/fresh/pause",
		"GET /queue/{name}/tasks/{task}/run":     "/queue/fresh/tasks/x/run",
		"GET /queue/{name}/tasks/{task}/archive": "/queue/fresh/tasks/x/archive",
		"GET /queue/{name}/tasks/{task}/delete":  "/queue/fresh/tasks/x/delete",
		"GET /deliveries/{id}/retry":             "/deliveries/whd_00000000000000000000000000/retry",
		"GET /api-keys":                          "/api-keys",
		"GET /api-keys/{id}/delete":              "/api-keys/key_00000000000000000000000000/delete",
		"GET /members":                           "/members",
		"GET /members/{id}/remove":               "/members/usr_00000000000000000000000000/remove",
		"GET /audit":                             "/audit",
		"GET /audit/export":                      "/audit/export",
		"GET /api-keys/{id}/rotate":              "/api-keys/key_00000000000000000000000000/rotate",
	}
	for _, r := range s.routes.list {
		if r.scope == "" || !strings.HasPrefix(r.pattern, "GET ") || access.Member.AtLeast(access.LeastRole(r.scope)) {
			continue
		}
		path := paths[r.pattern]
		if path == "" {
			t.Errorf("%s needs %s, which members lack; say here how to get there", r.pattern, r.scope)
			continue
		}
		member.expect(http.StatusForbidden).visit(path)
		member.see("main", "Mia Olsen, member")
		member.see("main", "Ana Lindqvist (owner)")
		member.check("forbidden: " + r.pattern)
	}
	for name, path := range map[string]string{
		"endpoint": endpoint, "endpoint, keys": endpoint + "/keys", "endpoint, secret": endpoint + "/secret", "endpoint, settings": endpoint + "/settings",
		"endpoints": "/endpoints", "delivery": member.link("/deliveries?status=failed", "#results a[href^='/deliveries/whd_']"), "settings": "/settings",
	} {
		member.visit(path)
		member.check(name + " of a member")
	}
}

// operateAPIKeys creates, disables, enables, rotates and deletes one.
func operateAPIKeys(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	b.visit("/api-keys")
	b.press("a", "Create key")
	b.check("new API key")
	b.expect(http.StatusUnprocessableEntity)
	b.fill("[name=name]", "Nightly report")
	b.send("main button", "Create key")
	b.see("main [role=alert]", "Choose at least one.")
	b.check("API key refused")
	if !ask[bool](b, `document.activeElement.matches("[role=alert]")`) {
		t.Error("what is wrong has not got the focus")
	}
	b.do("choose a scope", chromedp.Click("[name=scopes]"))
	b.send("main button", "Create key")
	b.see("main", "kk_")
	b.see("#keys", "Nightly report")
	b.check("API key created")
	if at := ask[string](b, `document.activeElement.innerText`); at != "The key “Nightly report”" {
		t.Errorf("the focus is on %q", at)
	}
	b.visit("/api-keys")
	if !b.warned() {
		t.Error("a key that nobody has copied is left behind without a word")
	}
	row := `tr:has(button[aria-label*="Nightly report"])`
	b.press(row+" button", "Disable")
	b.see("main", "Disabled")
	b.check("API keys, one disabled")
	b.press(row+" button", "Enable")
	b.asks("rotate API key", row+" a", "Rotate")
	b.expect(http.StatusUnprocessableEntity)
	b.do("no choice", chromedp.Evaluate[chromedp.Void](`document.querySelector("[name=overlap]:checked").value = "2"`))
	b.press("main button", "Rotate key")
	b.check("rotation of an API key refused")
	b.press("main button", "Rotate key")
	b.see("main", "kk_")
	b.check("API key rotated")
	b.do("copy", chromedp.Click("[data-once] [data-copy]"))
	b.visit("/api-keys")
	if b.warned() {
		t.Error("a key that was copied holds its page back")
	}
	b.asks("delete API key", row+" a", "Delete")
	b.visit("/api-keys")
	b.do("open the dialog", chromedp.Click(b.find(row+" a", "Delete")), chromedp.WaitVisible("#dialog form"))
	b.press("#dialog button", "Delete key")
	b.see(".toasts", "Nightly report")
}

// operateSettings changes the organization and what belongs to the person: theme, rows, zone, password, browsers.
func operateSettings(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	b.visit("/settings")
	b.expect(http.StatusUnprocessableEntity)
	b.do("no name", chromedp.SetValue("#f-org-name", " "))
	b.send("#organization button", "Save organization")
	b.check("settings refused")
	b.fill("#f-org-name", "Fjordpay")
	b.press("#organization button", "Save organization")
	stale := s.signIn(t, s.base, s.email, s.password)
	stale.visit("/settings")
	b.visit("/settings")
	b.fill("#f-org-name", "Fjordpay AS")
	b.press("#organization button", "Save organization")
	b.see(".topbar", "Fjordpay AS")
	stale.expect(http.StatusConflict)
	stale.fill("#f-org-name", "Fjordpay ASA")
	stale.send("#organization button", "Save organization")
	stale.see("main", "Fjordpay AS")
	stale.check("conflicting edit of the organization")
	for _, color := range []string{"red", ""} {
		b.visit("/settings")
		b.do("choose a colour", chromedp.Click(`#organization [name=color][value="`+color+`"]`))
		b.press("#organization button", "Save organization")
		if red := b.has(".topbar .env.tone-bad"); red != (color == "red") {
			t.Errorf("after %q was chosen the badge is red: %t", color, red)
		}
		b.check("settings, badge " + color)
	}
	b.press("#organization button", "Save organization")
	b.see(".toasts", "nothing was changed")

	background := func() string { return ask[string](b, `getComputedStyle(document.body).backgroundColor`) }
	bright := background()
	for _, density := range []string{"compact", "relaxed"} {
		b.visit("/settings#profile")
		b.do("choose", chromedp.Click(`[name=theme][value=dark]`), chromedp.Click(`[name=density][value=`+density+`]`))
		b.press("#profile button", "Save my settings")
		if background() == bright {
			t.Error("the dark theme is not dark where the system prefers light")
		}
		b.visit("/deliveries")
		b.check("deliveries, " + density + " and dark")
	}
	b.visit("/settings")
	b.do("no shortcuts", chromedp.Click(`[name=shortcuts]`))
	b.press("#profile button", "Save my settings")
	b.visit("/help/keyboard")
	b.see("main", "You have switched them off.")
	b.check("keys, switched off")
	b.visit("/settings")
	b.do("choose", chromedp.Click(`[name=shortcuts]`), chromedp.Click(`[name=theme][value=auto]`), chromedp.Click(`[name=density][value=normal]`))
	b.press("#profile button", "Save my settings")
	if background() != bright {
		t.Error("the theme does not follow the system again")
	}

	// A pause on one page holds on the others.
	b.visit("/?range=7d")
	b.press("form[action='/settings/live'] button", "Pause")
	b.see(".live", "Paused at")
	b.check("overview, paused")
	b.visit("/deliveries")
	b.see(".live", "Paused at")
	b.press("form[action='/settings/live'] button", "Resume")
	b.see(".live", "Live, updated")

	b.visit("/deliveries")
	b.press(".topbar button", "Local")
	if b.path() != "/deliveries" || ask[string](b, `document.querySelector(".topbar .seg [aria-current]").innerText`) != "Local" {
		t.Errorf("the zone switch leads to %s", b.path())
	}
	b.check("deliveries in local time")
	b.press(".topbar button", "UTC")

	b.visit("/settings")
	b.expect(http.StatusUnprocessableEntity)
	b.fill("#password [name=current]", "not the password")
	b.fill("#password [name=password]", "another password for the owner")
	b.send("#password button", "Change password")
	b.check("password refused")
	b.fill("#password [name=current]", s.password)
	b.fill("#password [name=password]", "another password for the owner")
	b.press("#password button", "Change password")
	s.password = "another password for the owner"
	stale.expect(http.StatusUnauthorized) // its browser was signed out
	stale.fill("#f-org-name", "Fjordpay kept")
	stale.press("#organization button", "Save organization")
	stale.see("main", "what you entered is kept")
	stale.see("h1", "Sign in")

	s.signIn(t, s.base, s.email, s.password)
	s.signIn(t, s.base, s.email, s.password)
	b.visit("/settings")
	b.press("main form[action$='/revoke'] button", "Sign out") // of one, whatever the order of devices
	b.visit("/settings")
	b.press("main tr button", "Sign out the others")
}

// operateKeyboard does without a mouse: skip link, menus and dialogs that give the focus back, and the way out.
func operateKeyboard(t *testing.T, s *suite) {
	t.Helper()
	b := s.open(t, s.base)
	b.visit("/deliveries?status=failed") // and after signing in, there
	b.check("sign-in")
	b.expect(http.StatusUnprocessableEntity, http.StatusUnauthorized)
	b.fill("[name=email]", s.email)
	b.fill("[name=password]", "not the password")
	b.leave("wrong password", chromedp.SendKeys("[name=password]", kb.Enter))
	b.check("sign-in refused")
	b.fill("[name=email]", s.email)
	b.fill("[name=password]", s.password)
	b.leave("sign in", chromedp.SendKeys("[name=password]", kb.Enter))
	if b.path() != "/deliveries?status=failed" {
		t.Errorf("after the sign-in the browser is at %s", b.path())
	}
	focus := func() string {
		return ask[string](b, `(document.activeElement.innerText || document.activeElement.id || document.activeElement.localName).trim()`)
	}
	b.do("tab", chromedp.KeyEvent(kb.Tab))
	if focus() != "Skip to content" {
		t.Errorf("the first stop is %q", focus())
	}
	b.do("skip", chromedp.KeyEvent(kb.Enter))
	if focus() == "Skip to content" || !ask[bool](b, `document.activeElement.id === "main"`) {
		t.Errorf("the skip link leads to %.40q", focus())
	}

	b.visit("/deliveries?status=failed")
	b.do("what the keys do", chromedp.KeyEvent("?"), chromedp.WaitVisible("#dialog .keys"))
	b.checkPart("keys, dialog", "#dialog")
	b.do("close", chromedp.KeyEvent(kb.Escape), chromedp.WaitNotPresent("#dialog[open]"))
	b.do("walk", chromedp.KeyEvent("j"), chromedp.KeyEvent("j"), chromedp.KeyEvent("k"), chromedp.KeyEvent("j"))
	const second = "#results tbody tr:nth-child(2) .lead"
	if !ask[bool](b, `document.activeElement === document.querySelector(`+quote(second)+`)`) {
		t.Errorf("j and k lead to %q", focus())
	}
	b.do("retry", chromedp.KeyEvent("r"), chromedp.WaitVisible("#dialog form"))
	b.holds("retry", chromedp.JSPath("document.querySelector("+quote(second)+")"))
	failed := ask[string](b, `document.activeElement.getAttribute("href")`)
	b.leave("open", chromedp.KeyEvent(kb.Enter))
	if b.path() != failed {
		t.Errorf("Enter opens %s", b.path())
	}
	b.visit(failed + "/retry")
	b.check("retry")
	b.leave("go to the endpoints", chromedp.KeyEvent("g"), chromedp.KeyEvent("e"))
	if b.path() != "/endpoints" {
		t.Errorf("g e leads to %s", b.path())
	}
	b.visit("/help/keyboard")
	b.check("keys")

	b.do("menu", chromedp.Focus(".who"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible(".menu-list"))
	b.checkPart("account menu", ".topbar")
	if !ask[bool](b, `document.querySelector("[data-menu]").open`) {
		b.do("menu again", chromedp.Focus(".who"), chromedp.KeyEvent(kb.Enter))
	}
	b.do("into the menu", chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Escape))
	if ask[bool](b, `document.querySelector("[data-menu]").open || document.activeElement !== document.querySelector(".who")`) {
		t.Errorf("Escape leaves the menu open or the focus elsewhere: %q", focus())
	}

	b.view(phone, light)
	b.do("navigation", chromedp.Focus(".menu-btn"), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#nav"), chromedp.KeyEvent(kb.Escape), chromedp.WaitNotVisible("#nav"))
	if !ask[bool](b, `document.activeElement === document.querySelector(".menu-btn")`) {
		t.Errorf("closing the navigation leaves the focus at %q", focus())
	}
	b.do("navigation again", chromedp.Click(".menu-btn"), chromedp.WaitVisible("#nav"))
	b.shoot("navigation", phone, light)
	b.do("close it", chromedp.KeyEvent(kb.Escape), chromedp.WaitNotVisible("#nav"))

	// The switch of the zone is in the account menu of a phone, and beside it elsewhere.
	zones := func() int {
		return ask[int](b, `[...document.querySelectorAll("form[aria-label='Time zone']")].filter((f) => f.checkVisibility()).length`)
	}
	if n := zones(); n != 0 {
		t.Errorf("%d switches of the zone are in the bar of a phone", n)
	}
	b.do("account menu of a phone", chromedp.Click(".who"), chromedp.WaitVisible(".menu-list .seg"))
	if n := zones(); n != 1 {
		t.Errorf("%d switches of the zone are in the menu of a phone, want 1", n)
	}
	b.check("account menu of a phone")
	b.view(desk, light)
	if n := zones(); n != 1 {
		t.Errorf("%d switches of the zone are on a desk, want 1", n)
	}

	b.visit("/")
	b.see("main", "Needs attention")
	b.do("menu", chromedp.Click(".who"), chromedp.WaitVisible(".menu-list"))
	b.press(".menu-list button", "Sign out")
	b.see("h1", "Sign in")
	b.check("signed out")
	b.do("back", chromedp.Evaluate[chromedp.Void](`document.body.dataset.left = ""; history.back()`))
	eventually(t, "the way back leads to another page", func() bool { return b.has("body:not([data-left]) h1") })
	if left := b.text("body"); b.text("h1") != "Sign in" || strings.Contains(left, s.email) || strings.Contains(left, "Needs attention") {
		t.Errorf("the way back shows something of before: %s", left)
	}
}
