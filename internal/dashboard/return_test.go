package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
)

// TestRoutes_TheAddressOfAFormIsNoDeadEnd asks for the address of every form, as a reload does of what a form was answered with.
func TestRoutes_TheAddressOfAFormIsNoDeadEnd(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	b := f.as(f.owner)
	above := map[string]string{ // a few of them, to be sure that they lead to what the form is about
		"POST /jobs/preview": "/jobs", "POST /settings/password": "/settings", "POST /members/{id}/role": "/members", "POST /endpoints/{id}/secret/rotate": "/endpoints/{id}/secret", "POST /sign-out": "/",
		"POST /keys/{id}/verify": "/find?q=" + f.ids["/keys/{id}"][0],
	}
	forms := 0
	for pattern := range signedInRoutes() {
		method, path := f.address(pattern)
		if method != http.MethodPost {
			continue
		}
		forms++
		a := b.get(path + "?x=1")
		if want, ok := above[pattern]; ok {
			_, want = f.address("GET " + want)
			if to := a.header.Get("Location"); to != want {
				t.Errorf("%s leads to %q, want %q", path, to, want)
			}
		}
		for a.status == http.StatusSeeOther {
			path = a.header.Get("Location")
			a = b.get(path)
		}
		if a.status != http.StatusOK {
			t.Errorf("%s: %s has status %d:\n%.300s", pattern, path, a.status, a.text())
		}
	}
	if forms < 40 {
		t.Errorf("%d forms: the test looks in the wrong place", forms)
	}
	f.browser().get("/jobs/preview").redirects("/sign-in?next=%2Fjobs%2Fpreview")
}

// TestSignIn_AfterAPreviewLeadsBackToTheList is a form on a page that was itself the answer to a form.
func TestSignIn_AfterAPreviewLeadsBackToTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.sender.answers(http.StatusInternalServerError, "")
	_, found := w.of(w.fail())
	w.work()
	b := w.as(w.owner)
	b.get("/deliveries")
	var failing string
	for _, d := range found {
		failing = d.ID.String()
	}
	fields := b.post("/jobs/preview", "id", failing).is(http.StatusOK).hidden("/jobs")
	w.clock.Advance(13 * time.Hour)
	a := b.postAs("/jobs", []string{"Referer", w.server.URL + "/jobs/preview"}, append(fields, "csrf_token", b.csrf)...)
	next, err := url.Parse(a.header.Get("Location"))
	w.check(err)
	b.get(next.String()).is(http.StatusOK)
	r := b.reader(next.String())
	r.send("Sign in", "email", fixture.Email(fixture.UserID(t, w.owner)), "password", fixture.Password)
	r.sees(http.StatusOK, "Bulk retries")
}

// TestFilters_ATimeThatIsNoneIsNotLeftOut: a list without it would be wider than what was asked for, and so would be what is done
// with all of it.
func TestFilters_ATimeThatIsNoneIsNotLeftOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.sender.answers(http.StatusInternalServerError, "")
	w.fail()
	w.exhaust()
	b := w.as(w.owner)
	for _, list := range []string{"/deliveries", "/events", "/sessions", "/audit", b.get("/endpoints").find(`href="(/endpoints/whe_[a-z0-9]+)"`) + "/deliveries"} {
		b.get(list).is(http.StatusOK).shows("<tbody>")
		for _, filter := range []string{"from", "to"} {
			b.get(list+"?"+filter+"=yesterday").is(http.StatusOK).shows("match 1 filter", "yesterday").hides("<tbody>")
		}
	}
	for _, export := range []string{"/deliveries", "/events", "/sessions", "/audit"} {
		if a := b.get(export + "/export?from=yesterday").is(http.StatusOK); strings.Count(a.body, "\n") != 1 {
			t.Errorf("%s exports %q", export, a.body)
		}
	}
	b.get("/deliveries?from=" + url.QueryEscape(w.clock.Now().Add(-200*time.Hour).Format("2006-01-02 15:04"))).shows("<tbody>") // as people write it

	b.get("/jobs/new").is(http.StatusOK).shows("Retry 1 delivery")
	for name, label := range map[string]string{"from": "From", "to": "To", "failed_from": "Failed since"} {
		b.get("/jobs/new?"+name+"=yesterday").is(http.StatusUnprocessableEntity).shows("“"+label+"” is no time.", "2026-01-31T14:00").hides("Retry 1 delivery", `action="/jobs"`)
		b.get("/jobs/new")
		b.post("/jobs", "status", "failed", "rate", "10", name, "yesterday").is(http.StatusUnprocessableEntity).shows("“" + label + "” is no time.")
	}
	if n := w.rows(t, "jobs"); n != 0 {
		t.Errorf("%d bulk retries of more than was asked for", n)
	}
}

// TestRows_RestWhilePagesArePaused: on every list a row in flight asks for itself only while pages are live.
func TestRows_RestWhilePagesArePaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	ev, found := w.of(w.fail()) // due now
	b := w.as(w.owner)
	row := "/deliveries/" + found[e.ID].ID.String() + "/row"
	lists := []string{"/deliveries", endpointPath(e.ID), endpointPath(e.ID) + "/deliveries", "/sessions/" + ev.SessionID().String()}
	for _, list := range lists {
		poll := b.get(list).is(http.StatusOK).find(`hx-get="(` + row + `[^"]*)"`)
		b.fragment(poll).is(http.StatusOK).shows(`hx-get="` + poll + `"`)
		b.get(list + "?live=0").is(http.StatusOK).hides(row)
	}
	b.post("/settings/live", "live", "0").redirects("/")
	for _, list := range lists {
		b.get(list).is(http.StatusOK).hides(row)
		poll := b.get(list + "?live=1").is(http.StatusOK).find(`hx-get="(` + row + `[^"]*)"`)
		b.fragment(poll).is(http.StatusOK).shows(`hx-get="` + strings.ReplaceAll(poll, "&amp;", "&") + `"`)
	}
	b.fragment(row).is(http.StatusOK).hides("hx-get")

	// What stands for several deliveries does so while something of them is in flight.
	b.post("/settings/live", "live", "1").redirects("/")
	session := "/sessions/" + ev.SessionID().String()
	polls := map[string]string{"/events": "/events/" + ev.ID.String() + "/row?choose=1", "/sessions": session + "/row", session: session}
	asks := func(poll string) string { // the page of a session asks with what it shows, a row for itself
		if poll == session {
			return poll + "?seen="
		}
		return poll + `"`
	}
	for list, poll := range polls {
		b.get(list).is(http.StatusOK).shows(`hx-get="` + asks(poll))
		b.fragment(poll).is(http.StatusOK).shows(`hx-get="`+asks(poll), "1 waiting").hides("<html")
		b.get(list + "?live=0").is(http.StatusOK).hides(`hx-get="` + poll)
		if at, _, _ := strings.Cut(poll, "?"); at != session {
			w.stranger().fragment(poll).is(http.StatusNotFound)
			b.fragment(strings.Replace(at, "_0", "_1", 1)).is(http.StatusNotFound)
		}
	}
	b.fragment(polls["/events"]).shows(`type="checkbox"`)
	w.as(w.member).fragment("/events/" + ev.ID.String() + "/row").is(http.StatusOK).hides(`type="checkbox"`)
	w.sender.answers(http.StatusServiceUnavailable, "")
	w.work()
	w.clock.Advance(time.Second)
	for _, poll := range polls { // in 5 seconds
		b.fragment(poll).is(http.StatusOK).shows(`hx-get="`+asks(poll), "1 retrying")
	}
	// A page of a session says what it shows, and gets nothing new while that is so.
	b.fragment(b.get(session).find(`hx-get="(` + session + `\?seen=[^"]+)"`)).is(http.StatusNoContent)
	w.sender.answers(http.StatusOK, "")
	w.clock.Advance(5 * time.Second)
	w.work()
	for list, poll := range polls {
		b.fragment(poll).is(http.StatusOK).shows("1 delivered").hides(`hx-get="` + poll)
		b.get(list).is(http.StatusOK).hides(`hx-get="` + poll)
	}
}

// TestChosen_ComesBackToTheListItWasChosenIn
func TestChosen_ComesBackToTheListItWasChosenIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	w.sender.answers(http.StatusInternalServerError, "")
	ev, found := w.of(w.fail())
	w.work()
	b := w.as(w.owner)
	delivery := found[e.ID].ID.String()
	for _, c := range []struct{ list, row, choose, back, preview, action string }{
		{"/deliveries?code=500", delivery, "Retry chosen…", "Back to deliveries", "/jobs/preview", "/jobs"},
		{endpointPath(e.ID) + "/deliveries?code=500", delivery, "Retry chosen…", "Back to deliveries", "/jobs/preview", "/jobs"},
		{"/events?outcome=waiting", ev.ID.String(), "Replay chosen…", "Back to events", "/events/preview", "/events/replay"},
	} {
		r := b.reader(c.list)
		r.send(c.choose) // nothing is chosen
		r.sees(http.StatusUnprocessableEntity, "Choose at least one").visit(c.back)
		if r.path != c.list {
			t.Errorf("%s: back leads to %s", c.list, r.path)
		}
		fields := b.post(c.preview, append(b.get(c.list).is(http.StatusOK).hidden(c.preview), "id", c.row)...).is(http.StatusOK).hidden(c.action)
		b.post(c.action, fields...).redirects(c.list)
	}
}
