package dashboard

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
)

// formCase is a form as somebody without scripting finds and sends it.
type formCase struct {
	// pattern is the route that it is sent to.
	pattern string
	// page has the form; parts in braces stand for what furnish has made. Empty, it is the page that the case before led to.
	page, button string
	fields       []string
	// shows is on the page that it leads to.
	shows string
	// before sets up what else it needs.
	before func(*furnished)
	// again is why the form may be sent twice; without a reason the second time does nothing.
	again string
	// silent is why it leaves no trace in the log.
	silent string
	// typed is why what was entered is not kept when the session has ended; without a reason it is, if anything was.
	typed string
}

// formCases are all forms of people who are signed in, in an order in which each finds what it needs.
func (f *furnished) formCases() []formCase {
	computes, own := "it computes, and keeps nothing", "a switch of one's own pages"
	secret, pasted, choice := "a secret", "it was pasted, and may hold what is secret", "one choice, made on the page that it leads back to"
	confirmation := "a confirmation is for the page on which it was typed"
	moreBrowsers := func(f *furnished) { f.as(f.owner); f.as(f.owner) }
	return []formCase{
		{pattern: "POST /endpoints", page: "/endpoints/new", button: "Create endpoint", fields: []string{"name", "second", "url", endpointAddress, "events", "verification.session.failed"}, shows: "second was created"},
		{pattern: "POST /endpoints/{id}", page: "{endpoint}/settings", button: "Save changes", fields: []string{"labels", "eu"}, shows: "Changes to risk are saved."},
		{pattern: "POST /endpoints/{id}/check", page: "{endpoint}/settings", button: "Check connection", shows: "The connection to risk was checked."},
		{pattern: "POST /endpoints/{id}/test", page: "{endpoint}", button: "Send test event to risk", shows: "A test event is on its way to risk."},
		{pattern: "POST /endpoints/{id}/pause", page: "{endpoint}", button: "Pause risk", shows: "risk is paused."},
		{pattern: "POST /endpoints/{id}/resume", page: "{endpoint}", button: "Resume risk", shows: "risk is resumed."},
		{pattern: "POST /endpoints/pause", page: "/endpoints/pause?label=eu", button: "Pause 1 endpoint", shows: "1 endpoint is paused."},
		{pattern: "POST /endpoints/resume", page: "/endpoints/resume?label=eu", button: "Resume 1 endpoint", shows: "1 endpoint is resumed."},
		{pattern: "POST /endpoints/{id}/keys/check", page: "{endpoint}/keys", button: "Check only", fields: []string{"keytext", f.publicKey, "key_id", "k2"}, shows: "rules passed", again: computes, silent: computes},
		{pattern: "POST /endpoints/{id}/keys", page: "{endpoint}/keys", button: "Add and activate", fields: []string{"keytext", f.publicKey, "key_id", "k2"}, shows: "k2 is the active key."},
		{pattern: "POST /keys/{id}/reactivate", page: "{key}/reactivate", button: "Reactivate key", shows: "risk-key is the active key."},
		{pattern: "POST /keys/{id}/challenge", page: "{endpoint}/keys", button: "Verify risk-key", shows: "A code is on its way, encrypted to risk-key."},
		{pattern: "POST /keys/{id}/verify", page: "{endpoint}/keys", button: "Verify key", fields: []string{"challenge", "kch_wrong"}, shows: "This is not the code that was sent.", again: computes, silent: "a wrong code changes nothing", typed: pasted},
		{pattern: "POST /keys/{id}/deactivate", page: "{key}/deactivate", button: "Deactivate key", fields: []string{"confirm", "risk-key"}, shows: "risk-key is deactivated.", typed: confirmation},
		{pattern: "POST /endpoints/{id}/secret/rotate", page: "{endpoint}/secret", button: "Rotate secret", fields: []string{"overlap", "24"}, shows: "The secret is rotated.", typed: choice},
		{pattern: "POST /endpoints/{id}/secret/end-overlap", page: "{endpoint}/secret/end-overlap", button: "End overlap", shows: "The overlap has ended."},
		{pattern: "POST /endpoints/{id}/secret/reveal", page: "{endpoint}/secret", button: "Reveal", shows: "whsec_", again: "the first answer is lost with the first click; each look is in the log"},
		{pattern: "POST /deliveries/{id}/retry", page: "{delivery}", button: "Retry now", shows: "Attempt 2 of 8 is due now."},
		{pattern: "POST /events/{id}/replay", page: "{event}", button: "Replay to 1 endpoint", shows: "Replayed: 1 delivery is due now."},
		{pattern: "POST /events/preview", page: "/events", button: "Replay chosen…", fields: []string{"id", f.ids["/events/{id}"][0]}, shows: "Replay 1 event?", again: computes, silent: computes, typed: choice},
		{pattern: "POST /events/replay", button: "Replay 1 event", shows: "1 event is replayed"},
		{pattern: "POST /jobs/preview", page: "/deliveries", button: "Retry chosen…", fields: []string{"id", f.ids["/deliveries/{id}"][0]}, shows: "1 chosen delivery", again: computes, silent: computes, typed: choice},
		{pattern: "POST /jobs", button: "Retry 1 delivery", shows: "1 delivery is due now."},
		{pattern: "POST /jobs", page: "/jobs/new?status=pending&type=verification.session.failed", button: "Retry 1 delivery", fields: []string{"rate", "1"}, shows: "The bulk retry has started.", typed: "it belongs to a count that is made anew"},
		{pattern: "POST /jobs/{id}/cancel", page: "{job}/cancel", button: "Cancel job", shows: "The bulk retry is cancelled."},
		{pattern: "POST /sessions/{id}/cancel", page: "{session}/cancel", button: "Cancel session", shows: "The session is cancelled."},
		{pattern: "POST /queue/{name}/pause", page: "/queue/fresh/pause", button: "Pause queue", shows: "The queue fresh is paused."},
		{pattern: "POST /queue/{name}/resume", page: "/queue", button: "Resume the queue fresh", shows: "The queue fresh is resumed."},
		{pattern: "POST /queue/{name}/tasks/{task}/archive", page: "/queue/fresh/tasks/task-mine/archive", button: "Archive task", shows: "is archived."},
		{pattern: "POST /queue/{name}/tasks/{task}/run", page: "/queue/fresh/tasks/task-mine/run", button: "Run now", shows: "Task task-mine is"},
		{pattern: "POST /queue/{name}/tasks/{task}/delete", page: "/queue/fresh/tasks/task-mine/delete", button: "Delete task", shows: "is deleted."},
		{pattern: "POST /api-keys", page: "/api-keys?new=1", button: "Create key", fields: []string{"name", "billing", "scopes", "webhooks:read"}, shows: "The key “billing”"},
		{pattern: "POST /api-keys/{id}/disable", page: "/api-keys", button: "Disable ci, *", shows: "The key “ci” is disabled."},
		{pattern: "POST /api-keys/{id}/enable", page: "/api-keys", button: "Enable ci, *", shows: "The key “ci” is enabled."},
		{pattern: "POST /api-keys/{id}/rotate", page: "{apikey}/rotate", button: "Rotate key", fields: []string{"overlap", "1"}, shows: "The key “ci” is rotated.", typed: choice},
		{pattern: "POST /api-keys/{id}/delete", page: "{apikey}/delete", button: "Delete key", shows: "The key “ci” is deleted."},
		{pattern: "POST /members/{id}/role", page: "/members", button: "Save role of " + f.member.Name, fields: []string{"role", "admin"}, shows: f.member.Name + " is an admin now.", typed: choice},
		{pattern: "POST /members/{id}/suspend", page: "/members", button: "Suspend " + f.member.Name, shows: f.member.Name + " is suspended"},
		{pattern: "POST /members/{id}/restore", page: "/members", button: "Restore " + f.member.Name, shows: f.member.Name + " is active again."},
		{pattern: "POST /members/{id}/remove", page: "{member}/remove", button: "Remove " + f.member.Name, shows: f.member.Name + " was removed."},
		{pattern: "POST /members/invitations", page: "/members", button: "Make invitation", fields: []string{"email", "nina@example.com", "role", "admin"}, shows: "Invitation of nina@example.com"},
		{pattern: "POST /members/invitations/{id}/resend", page: "/members", button: "New link for new@example.com", shows: "The earlier link has stopped working."},
		{pattern: "POST /members/invitations/{id}/revoke", page: "/members", button: "Withdraw the invitation of new@example.com", shows: "The invitation is withdrawn"},
		{pattern: "POST /settings/organization", page: "/settings", button: "Save organization", fields: []string{"name", "Acme", "environment", "staging"}, shows: "The organization is saved."},
		{pattern: "POST /settings/profile", page: "/settings", button: "Save my settings", fields: []string{"theme", "dark"}, shows: "Your settings are saved."},
		{pattern: "POST /settings/password", page: "/settings", button: "Change password", fields: []string{"current", fixture.Password, "password", fixture.Password + "!"}, shows: "The password is changed.", typed: secret},
		{pattern: "POST /settings/password", page: "/settings", button: "Change password", fields: []string{"current", fixture.Password + "!", "password", fixture.Password}, shows: "The password is changed.", typed: secret},
		{pattern: "POST /settings/sessions/{id}/revoke", page: "/settings", button: "Sign out Unknown*", shows: "That browser is signed out.", before: moreBrowsers},
		{pattern: "POST /settings/sessions/others", page: "/settings", button: "Sign out the others", shows: "signed out.", before: moreBrowsers},
		{pattern: "POST /settings/zone", page: "/deliveries", button: "Local", shows: "<tbody>", again: own},
		{pattern: "POST /settings/live", page: "/deliveries", button: "Pause live updates", shows: "Paused at", again: own},
		{pattern: "POST /reauthenticate", page: "/reauthenticate?next=/endpoints", button: "Confirm", fields: []string{"password", fixture.Password}, shows: "Create endpoint", typed: secret},
		{pattern: "POST /help/receivers/check", page: "/help/receivers", button: "Check", fields: []string{"signature", "t=1,v1=00", "body", "a.b.c.d.e"}, shows: "The signature is not right", again: computes, silent: computes, typed: pasted},
		{pattern: "POST /endpoints/{id}/delete", page: "{endpoint}/delete", button: "Delete endpoint", fields: []string{"confirm", "risk"}, shows: "risk is deleted.", typed: confirmation},
		{pattern: "POST /sign-out", page: "/settings", button: "Sign out", shows: "You are signed out."},
	}
}

// others are the forms of people without a session, and the tests of this suite that send them from their page.
var otherForms = map[string]string{
	"POST /setup":               "TestNoScript_Setup",
	"POST /sign-in":             "TestNoScript_FromEndpointToSignOut",
	"POST /invitations/{token}": "TestNoScript_FromEndpointToSignOut",
}

// everyRoute is a routeBook with the pages of people without a session as well.
type everyRoute struct{ routeBook }

func (b everyRoute) public(pattern string, f func(*page) error) { b.routeBook[pattern] = f }

// TestNoScript_EveryFormIsSent: a route that takes a form has a case below, or is named with the test that sends it.
func TestNoScript_EveryFormIsSent(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	all := everyRoute{routeBook{}}
	coreRoutes(all)
	activityRoutes(all)
	sent := maps.Clone(otherForms)
	for _, c := range f.formCases() {
		sent[c.pattern] = c.page
	}
	for pattern := range all.routeBook {
		if _, ok := sent[pattern]; !ok && strings.HasPrefix(pattern, "POST ") {
			t.Errorf("%s is sent from no page", pattern)
		}
	}
	for pattern := range sent {
		if all.routeBook[pattern] == nil {
			t.Errorf("%s is no route any more", pattern)
		}
	}
}

// walk goes through all forms in their order. visit is called on the page of each, before it is sent; refill goes there once more.
func (f *furnished) walk(visit func(r *reader, c formCase, form sentForm, refill func() sentForm)) {
	f.t.Helper()
	r := f.as(f.owner).reader("/")
	cases := f.formCases()
	for i, c := range cases {
		f.clock.Advance(3 * time.Minute / time.Duration(f.handler.RateIPPerMinute)) // the bucket of passwords
		refill := func() sentForm { return f.reach(r, cases[:i+1]) }
		form := refill()
		target, err := url.Parse(form.action)
		f.check(err)
		if _, pattern := f.handler.mux.Handler(&http.Request{Method: http.MethodPost, URL: target}); pattern != c.pattern {
			f.t.Fatalf("%s: the form is sent to %s", c.pattern, pattern)
		}
		visit(r, c, form, refill)
	}
}

// reach goes to the page of the last of the cases, by way of those before it where it has no address, and fills the form in.
func (f *furnished) reach(r *reader, cases []formCase) sentForm {
	f.t.Helper()
	c := cases[len(cases)-1]
	if c.before != nil {
		c.before(f)
	}
	if c.page == "" {
		before := cases[:len(cases)-1]
		r.again(f.reach(r, before))
	} else {
		page := f.fillIn(c.page)
		r.open(r.get(page), page)
	}
	r.sees(http.StatusOK)
	return r.fill(c.button, c.fields...)
}

// done fails the test unless the reader is where the form leads to when it has done its work.
func (c formCase) done(r *reader) {
	r.t.Helper()
	if !strings.Contains(r.page.text(), c.shows) && !strings.Contains(r.page.body, c.shows) {
		r.t.Fatalf("%s: %s does not show %q:\n%s", c.pattern, r.path, c.shows, r.page.text())
	}
}

// fillIn writes what stands for {endpoint} and the like.
func (f *furnished) fillIn(page string) string {
	for part, begin := range map[string]string{
		"{endpoint}": "/endpoints/{id}", "{key}": "/keys/{id}", "{delivery}": "/deliveries/{id}", "{event}": "/events/{id}", "{job}": "/jobs/{id}", "{session}": "/sessions/{id}",
		"{apikey}": "/api-keys/{id}", "{member}": "/members/{id}",
	} {
		page = strings.Replace(page, part, strings.Replace(begin, "{id}", f.ids[begin][0], 1), 1)
	}
	return page
}

// everything is state with what the log and the queue say.
func (f *furnished) everything() string {
	q, _ := f.handler.Queue.(*fakeQueue)
	return f.state() + fmt.Sprintf("audit_logs %d\nqueue %v %v\n", f.rows(f.t, "audit_logs"), q.paused, q.tasks)
}

// TestNoScript_EveryFormDoesOneThing sends every form from its page, twice: the second time changes nothing and says so.
func TestNoScript_EveryFormDoesOneThing(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	f.walk(func(r *reader, c formCase, form sentForm, _ func() sentForm) {
		before := f.rows(t, "audit_logs")
		r.again(form)
		c.done(r)
		if logged := f.rows(t, "audit_logs") > before; logged == (c.silent != "") {
			t.Errorf("%s: in the log: %v", c.pattern, logged)
		}
		after := f.everything()
		path := r.path
		r.again(form)
		if c.again != "" {
			return
		}
		if f.everything() != after {
			t.Errorf("%s: a second click changed something:\n%s\nbefore:\n%s", c.pattern, f.everything(), after)
		}
		if c.pattern == "POST /sign-out" {
			return
		}
		if !strings.Contains(r.page.text(), "That was done already.") {
			t.Errorf("%s: a second click leads from %s to %s, which says\n%s", c.pattern, path, r.path, r.page.text())
		}
	})
}

// TestNoScript_EveryFormWithoutItsLogDoesNothing: the log cannot be written, as when Postgres goes away within a form. The page
// says so, nothing of the form is done, and the same form does it once the database is back.
func TestNoScript_EveryFormWithoutItsLogDoesNothing(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	tx := f.db.Reader(t.Context())
	f.check(tx.Exec("CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'away' USING ERRCODE = '57P01'; END $$").Error)
	f.walk(func(r *reader, c formCase, form sentForm, _ func() sentForm) {
		if c.silent == "" {
			before := f.everything()
			f.check(tx.Exec("CREATE TRIGGER away BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION away()").Error)
			a := r.answerTo(form)
			f.check(tx.Exec("DROP TRIGGER away ON audit_logs").Error)
			if a.status != http.StatusServiceUnavailable || !strings.Contains(a.text(), "The database does not answer") || !strings.Contains(a.text(), "reload this page to send it again") {
				t.Errorf("%s without a log has status %d:\n%s", c.pattern, a.status, a.text())
			}
			if secretForm.MatchString(a.body) {
				t.Errorf("%s shows a secret that nobody knows of", c.pattern)
			}
			if after := f.everything(); after != before {
				t.Errorf("%s without a log changed something:\n%s\nbefore:\n%s", c.pattern, after, before)
			}
		}
		r.again(form)
		c.done(r)
	})
}

// TestNoScript_EveryFormOutlivesItsSession: the session has ended when a form is sent. It does nothing; after the sign-in what was
// entered is there to be sent, or the page of the form is.
func TestNoScript_EveryFormOutlivesItsSession(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	email := fixture.Email(fixture.UserID(t, f.owner))
	f.walk(func(r *reader, c formCase, form sentForm, refill func() sentForm) {
		if c.pattern == "POST /sign-out" {
			return
		}
		page, before := r.path, f.everything()
		f.check(f.db.Reader(t.Context()).Exec("DELETE FROM login_sessions").Error)
		r.again(form)
		if after := f.everything(); after != before {
			t.Errorf("%s without a session changed something:\n%s\nbefore:\n%s", c.pattern, after, before)
		}
		kept := strings.Contains(r.page.text(), "what you entered is kept")
		if want := len(c.fields) > 0 && c.typed == ""; kept != want {
			t.Errorf("%s: what was entered is kept: %v, want %v", c.pattern, kept, want)
		}
		password := fixture.Password
		if i := slices.Index(c.fields, "current"); i >= 0 {
			password = c.fields[i+1]
		}
		r.send("Sign in", "email", email, "password", password)
		switch {
		case kept:
			r.sees(http.StatusOK, "You are signed in again")
			for i := 1; i < len(c.fields); i += 2 {
				if c.fields[i-1] == "keytext" { // written anew
					r.sees(http.StatusOK, `"kty": "RSA"`)
					continue
				}
				r.sees(http.StatusOK, c.fields[i])
			}
			_, again := r.formOf(keptForms[c.pattern].action)
			r.send(textOf(again))
		default:
			r.sees(http.StatusOK)
			if there, _, _ := strings.Cut(r.path, "?"); c.page != "" && there != strings.Split(page, "?")[0] {
				t.Errorf("%s: after the sign-in they are at %s, which was %s", c.pattern, r.path, page)
			}
			r.again(refill())
		}
		c.done(r)
	})
}

// TestNoScript_Setup is the first form there is.
func TestNoScript_Setup(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.token = "setup-token-of-the-test"
	r := s.browser().reader("/")
	r.sees(http.StatusOK, "Set up Kaylehooks")
	twice := r.send("Create organization and owner", "token", s.token, "organization", "Acme", "name", "Ana", "email", "ana@example.com", "password", fixture.Password)
	r.sees(http.StatusOK, "Ana", "No endpoints yet")
	r.again(twice)
	if n := s.rows(t, "organizations"); n != 1 {
		t.Errorf("two submissions made %d organizations", n)
	}
}

// TestNoScript_ConflictingEditsShowBoth: somebody else has saved since the form was opened. Nothing is saved, both versions are
// there, and the form that came back replaces what is stored.
func TestNoScript_ConflictingEditsShowBoth(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	mine, theirs := f.as(f.owner).reader("/"), f.as(f.owner).reader("/")
	for _, c := range []struct {
		page, button  string
		theirs, mine  []string
		stored, typed string // what is shown of the two
		wins          string
	}{
		{"{endpoint}/settings", "Save changes", []string{"name", "ledger"}, []string{"name", "audit"}, "Name is now “ledger”", `value="audit"`, "SELECT name = 'audit' FROM webhook_endpoints"},
		{"/settings", "Save organization", []string{"name", "Theirs", "environment", "staging"}, []string{"name", "Mine"}, "Now it is “Theirs”, staging", `value="Mine"`, "SELECT name = 'Mine' FROM organizations"},
		{"/settings", "Save my settings", []string{"theme", "dark"}, []string{"density", "compact"}, "Theme is now “dark”", `value="compact" checked`, "SELECT theme = 'system' AND density = 'compact' FROM users WHERE id = '" + fixture.UserID(t, f.owner).UUID.String() + "'"},
		{"/members", "Save role of " + f.member.Name, []string{"role", "admin"}, []string{"role", "owner"}, "The role is admin now.", "if you still want owner", "SELECT role = 'owner' FROM memberships WHERE user_id = '" + fixture.UserID(t, f.member).UUID.String() + "'"},
	} {
		page := f.fillIn(c.page)
		mine.open(mine.get(page), page)
		stale := mine.fill(c.button, c.mine...)
		theirs.open(theirs.get(page), page)
		theirs.send(c.button, c.theirs...)
		theirs.sees(http.StatusOK)
		before := f.everything()
		mine.again(stale)
		mine.sees(http.StatusConflict, c.stored, c.typed)
		if after := f.everything(); after != before {
			t.Errorf("%s: the conflict changed something", c.page)
		}
		mine.send(c.button, c.mine...)
		mine.sees(http.StatusOK)
		if !fixture.Scalar[bool](t, f.db, c.wins) {
			t.Errorf("%s: what was sent again is not stored", c.page)
		}
	}
}

// TestNoScript_AConflictComesBeforeWhatIsWrong: the page that says what is wrong carries the version that is stored by now, so whoever
// mended it there would overwrite the other's edit unseen.
func TestNoScript_AConflictComesBeforeWhatIsWrong(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	mine, theirs := f.as(f.owner).reader("/"), f.as(f.owner).reader("/")
	for _, c := range []struct {
		page, button  string
		theirs, wrong []string
		stored        string
	}{
		{"{endpoint}/settings", "Save changes", []string{"name", "ledger"}, []string{"url", "nonsense"}, "Name is now “ledger”"},
		{"/settings", "Save organization", []string{"name", "Theirs"}, []string{"name", ""}, "Now it is “Theirs”"},
		{"/settings", "Save my settings", []string{"theme", "dark"}, []string{"density", "none"}, "Theme is now “dark”"},
	} {
		page := f.fillIn(c.page)
		mine.open(mine.get(page), page)
		stale := mine.fill(c.button, c.wrong...)
		theirs.open(theirs.get(page), page)
		theirs.send(c.button, c.theirs...)
		theirs.sees(http.StatusOK)
		mine.again(stale)
		mine.sees(http.StatusConflict, c.stored)
		mine.send(c.button, c.wrong...)
		mine.sees(http.StatusUnprocessableEntity)
	}
}

// TestRoutes_ADeletedEndpointLeavesATombstone at every address that an endpoint or a key of it had.
func TestRoutes_ADeletedEndpointLeavesATombstone(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	b := f.as(f.owner)
	b.post(f.fillIn("{endpoint}/delete"), "confirm", "risk").redirects("/endpoints")
	x := f.stranger()
	before := f.state()
	tombs := 0
	for pattern := range signedInRoutes() {
		method, path := f.address(pattern)
		if !strings.HasPrefix(path, f.fillIn("{endpoint}")) && !strings.HasPrefix(path, f.fillIn("{key}")) {
			continue
		}
		tombs++
		a := b.get(path)
		if method == http.MethodPost {
			a = b.post(path, append(f.filledFor(pattern), filled...)...)
		}
		if a.status != http.StatusNotFound || !strings.Contains(a.text(), "This endpoint was deleted.") || !strings.Contains(a.text(), "Its deliveries") {
			t.Errorf("%s: status %d:\n%.400s", pattern, a.status, a.text())
		}
		if a = x.get(path); strings.Contains(a.body, "risk") {
			t.Errorf("%s: a stranger is told of it", pattern)
		}
	}
	if tombs < 20 {
		t.Errorf("%d routes: the test looks in the wrong place", tombs)
	}
	f.unchanged(before)
	b.get("/find?q=" + f.ids["/keys/{id}"][0]).is(http.StatusNotFound).shows("This endpoint was deleted.")
	x.get("/find?q="+f.ids["/keys/{id}"][0]).is(http.StatusNotFound).hides("This endpoint was deleted.", "risk")
}
