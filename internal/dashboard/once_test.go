package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/login"
	"kaylehooks/internal/postgres"
)

func TestForms_SentTwiceDoOneThing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, _ := b.createEndpoint("Risk engine")
	b.addKey(path, "k1")
	tests := func() int { return fixture.Audited(t, w.db, w.org, "webhook_endpoint.tested") }

	// Two clicks, one test; another form is another test.
	b.post(path+"/test", "form_id", "one").redirects(path)
	b.post(path+"/test", "form_id", "one").redirects(path)
	if n := tests(); n != 1 {
		t.Errorf("a form sent twice made %d tests", n)
	}
	b.post(path+"/test", "form_id", "two").redirects(path)
	if n := tests(); n != 2 {
		t.Errorf("two forms made %d tests", n)
	}
	// A secret is shown in the first answer alone.
	key := []string{"form_id", "three", "name", "Billing", "scopes", "sessions:read", "expires", "30"}
	b.post("/api-keys", key...).is(http.StatusOK).find(`(kk_[a-z0-9]{32})`)
	b.post("/api-keys", key...).redirects("/api-keys")
	b.get("/api-keys").shows("That was done already.")
	if n := fixture.Audited(t, w.db, w.org, "api_key.created"); n != 1 {
		t.Errorf("a form sent twice made %d keys", n)
	}
	// A refused form did nothing, so it may be sent again; a corrected one is another.
	b.post("/api-keys", "form_id", "four", "name", "", "expires", "30").is(http.StatusUnprocessableEntity)
	b.post("/api-keys", "form_id", "four", "name", "", "expires", "30").is(http.StatusUnprocessableEntity)
	b.post("/api-keys", "form_id", "four", "name", "Other", "scopes", "sessions:read", "expires", "30").is(http.StatusOK)
	// Nor is one the same that was changed after going back, or that does something else.
	for _, name := range []string{"Fifth", "Fifth, changed"} {
		b.post("/api-keys", "form_id", "five", "name", name, "scopes", "sessions:read", "expires", "30").is(http.StatusOK)
	}
	b.post(path+"/pause", "form_id", "six").redirects(path)
	b.post(path+"/resume", "form_id", "six").redirects(path)
	if !fixture.Scalar[bool](t, w.db, "SELECT enabled FROM webhook_endpoints") {
		t.Error("a form was taken for another with the same identity")
	}
	// The identity of one person's form means nothing in another's hands.
	w.as(w.admin).post(path+"/test", "form_id", "one").redirects(path)
	if n := tests(); n != 3 {
		t.Errorf("another person's form with the same identity: %d tests, want 3", n)
	}
	// A switch may be set, set back and set again from pages the browser kept.
	for _, zone := range []string{"local", "utc", "local"} {
		b.post("/settings/zone", "form_id", "five", "zone", zone, "return", "/").redirects("/")
	}
	if got := fixture.Scalar[string](t, w.db, "SELECT time_zone FROM users WHERE id = $1", fixture.UserID(t, w.owner)); got != "local" {
		t.Errorf("the zone is %q", got)
	}
}

// TestForms_SentTwiceAtOnceDoOneThing sends one form eight times at once to two processes: each has a handler of its own.
func TestForms_SentTwiceAtOnceDoOneThing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := httptest.NewServer(New(w.handler.Config))
	t.Cleanup(other.Close)
	servers := []string{w.server.URL, other.URL}
	b := w.as(w.owner)
	path, _ := b.createEndpoint("Risk engine")
	b.addKey(path, "k1")
	form := url.Values{"csrf_token": {b.csrf}, "form_id": {"one"}}.Encode()
	var all sync.WaitGroup
	for i := range 8 {
		r := b.request(http.MethodPost, path+"/test", strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded")
		r.URL.Host, r.Host = strings.TrimPrefix(servers[i%2], "http://"), ""
		all.Go(func() {
			res, err := b.http.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != path {
				t.Errorf("got status %d to %q", res.StatusCode, res.Header.Get("Location"))
			}
		})
	}
	all.Wait()
	if n := fixture.Audited(t, w.db, w.org, "webhook_endpoint.tested"); n != 1 {
		t.Errorf("eight clicks at once made %d tests", n)
	}
}

// TestForms_AnotherFileIsAnotherForm sends the form of a key again with another file, as somebody does who went back.
func TestForms_AnotherFileIsAnotherForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, _ := b.createEndpoint("Risk engine")
	b.get(path + "/keys")
	one, _ := keyPair(t)
	two, _ := keyPair(t)
	for _, key := range []string{one, one, two, two} {
		b.upload(path+"/keys", nil, "form_id", "one", "keytext", "", "key_id", "", "@keyfile", key).redirects(path + "/keys")
	}
	if n := fixture.Audited(t, w.db, w.org, "webhook_key.created"); n != 2 {
		t.Errorf("two files, each sent twice, made %d keys", n)
	}
}

// TestForms_AFormLeftBehindIsTakenOver is a process that died over a form: after a minute it may be sent again.
func TestForms_AFormLeftBehindIsTakenOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, _ := b.createEndpoint("Risk engine")
	b.addKey(path, "k1")
	b.post(path+"/test", "form_id", "one").redirects(path)
	w.check(w.db.Reader(t.Context()).Exec("UPDATE form_submissions SET led_to = '', acted = false").Error)
	w.clock.Advance(2*formLimit + 1)
	b.post(path+"/test", "form_id", "one").redirects(path)
	if n := fixture.Audited(t, w.db, w.org, "webhook_endpoint.tested"); n != 2 {
		t.Errorf("%d tests, want 2", n)
	}
	// Outcomes do not pile up.
	w.clock.Advance(outcomeLife + 1)
	b.post(path+"/test", "form_id", "two").redirects(path)
	if n := w.rows(t, "form_submissions"); n != 1 {
		t.Errorf("%d outcomes are kept, want 1", n)
	}
}

// TestForms_WhatActedIsNotDoneAgain is an outage between what a form does and its answer: the same form is not carried out once more.
func TestForms_WhatActedIsNotDoneAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, _ := b.createEndpoint("Risk engine")
	b.addKey(path, "k1")
	b.post(path+"/test", "form_id", "one").redirects(path)
	b.get(path)
	w.check(w.db.Reader(t.Context()).Exec("UPDATE form_submissions SET led_to = ''").Error)
	w.clock.Advance(2*formLimit + 1)
	b.post(path+"/test", "form_id", "one").redirects("/")
	b.get("/").shows("That was done already.")
	if n := fixture.Audited(t, w.db, w.org, "webhook_endpoint.tested"); n != 1 {
		t.Errorf("%d tests, want 1", n)
	}

	// What broke after it had acted leads back; what broke before, only read or only prepared may be sent again.
	broken := errors.New("broken")
	p := func() *page {
		form := httptest.NewRequest(http.MethodPost, "/endpoints", strings.NewReader("form_id=two"))
		form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w.check(form.ParseForm())
		p := &page{Handler: w.handler, Ctx: t.Context(), R: form, Now: w.clock.Now(), pattern: "POST /endpoints"}
		p.Session.ID = fixture.Scalar[id.Login](t, w.db, "SELECT id FROM login_sessions ORDER BY created_at DESC LIMIT 1")
		return p
	}
	outcomes := func() string {
		return fixture.Scalar[string](t, w.db, "SELECT coalesce(string_agg(led_to || ' ' || acted, ','), '') FROM form_submissions WHERE created_at = $1", w.clock.Now())
	}
	change := func(tx *postgres.Tx) error { return tx.Exec("UPDATE organizations SET updated_at = now()").Error }
	for name, does := range map[string]func(p *page) error{
		"reads": func(p *page) error {
			return p.DB.InTx(p.Ctx, func(tx *postgres.Tx) error { return tx.Exec("SELECT count(*) FROM organizations").Error })
		},
		"prepares": func(p *page) error { return p.DB.InTx(p.preparing(), change) },
		"goes back": func(p *page) error {
			return p.DB.InTx(p.Ctx, func(tx *postgres.Tx) error { return errors.Join(change(tx), broken) })
		},
	} {
		err := p().doOnce(func(p *page) error { return errors.Join(does(p), broken) })
		if got := outcomes(); !errors.Is(err, broken) || got != "" {
			t.Errorf("one that %s: %v, and the form stays %q, though it has changed nothing", name, err, got)
		}
	}
	err := p().doOnce(func(p *page) error { return errors.Join(p.DB.InTx(p.Ctx, change), broken) })
	if got := outcomes(); !errors.Is(err, broken) || got != "/ true" {
		t.Errorf("%v, and the form is %q, though it has acted", err, got)
	}
	if before, free, err := p().outcome(fixture.Scalar[string](t, w.db, "SELECT form FROM form_submissions WHERE created_at = $1", w.clock.Now())); before != "/" || free || err != nil {
		t.Errorf("sent again at once, it leads to %q, free %v, %v", before, free, err)
	}
}

// TestForms_ARefusedFormGetsItsPage: what a form is refused for is said on a page, whichever refusal it is, and a refusal by
// the room leaves its trace as one at the door does.
func TestForms_ARefusedFormGetsItsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, _ := b.createEndpoint("Risk engine")
	gone, _ := b.createEndpoint("Old engine")
	b.post(gone+"/delete", "confirm", "Old engine").redirects("/endpoints")
	nowhere := id.Delivery{UUID: id.NewUUID(w.clock.Now())}.String()
	owner, admin := "/members/"+fixture.UserID(t, w.owner).String(), w.as(w.admin)
	for _, test := range []struct {
		name   string
		who    *browser
		action string
		status int
		says   string
		denied int
	}{
		{"unknown", b, "/deliveries/" + nowhere + "/retry", http.StatusNotFound, "Paste an id to look for it", 0},
		{"conflict", b, path + "/secret/end-overlap", http.StatusConflict, "Nothing was changed", 0},
		{"tombstone", b, gone + "/pause", http.StatusNotFound, "Old engine", 0},
		{"forbidden by the room", admin, owner + "/remove", http.StatusForbidden, "You are signed in as", 1},
		{"forbidden at the door", w.as(w.member), path + "/pause", http.StatusForbidden, "You are signed in as", 1},
	} {
		before := fixture.Audited(t, w.db, w.org, "access.denied")
		a := test.who.post(test.action)
		if a.status != test.status || !strings.Contains(a.header.Get("Content-Type"), "text/html") || !strings.Contains(a.body, "</html>") {
			t.Errorf("%s: got status %d, want %d with a page:\n%s", test.name, a.status, test.status, a.text())
			continue
		}
		a.shows(test.says)
		if n := fixture.Audited(t, w.db, w.org, "access.denied") - before; n != test.denied {
			t.Errorf("%s: %d denials are audited, want %d", test.name, n, test.denied)
		}
	}
}

// TestForms_AWaiterLeavesWithItsBrowser is the second click of somebody who closes the page: nobody is left to be told where
// the first one led.
func TestForms_AWaiterLeavesWithItsBrowser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as(w.owner)
	left, leave := context.WithCancel(t.Context())
	leave()
	form := httptest.NewRequest(http.MethodPost, "/endpoints", strings.NewReader("form_id=one")).WithContext(left)
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w.check(form.ParseForm())
	p := &page{Handler: w.handler, Ctx: left, R: form, Now: w.clock.Now(), pattern: "POST /endpoints"}
	p.Session.ID = fixture.Scalar[id.Login](t, w.db, "SELECT id FROM login_sessions ORDER BY created_at DESC LIMIT 1")
	work := func(p *page) error {
		p.ledTo = "/endpoints"
		return p.Ctx.Err()
	}
	// What the browser began is carried through, and the page is its own again afterwards.
	if err := p.doOnce(work); err != nil || p.Ctx != left {
		t.Fatalf("the first click: %v, in the context %v", err, p.Ctx)
	}
	for _, acted := range []bool{false, true} { // under way, before and after it changes something
		w.check(w.db.Reader(t.Context()).Exec("UPDATE form_submissions SET led_to = '', acted = ?", acted).Error)
		if err := p.doOnce(work); !errors.Is(err, context.Canceled) {
			t.Errorf("the second click ends with %v, want to leave with its browser (acted: %v)", err, acted)
		}
	}
	// What is refused to them leaves its trace all the same.
	p.Actor = w.owner
	p.recordDenial(left, errForeignForm)
	if n := fixture.Audited(t, w.db, w.org, "access.denied"); n != 1 {
		t.Errorf("%d refusals are audited, want 1", n)
	}
}

// TestForms_TheSecondOfTwoClicksOnSignOut finds its session gone when it gets to claim the form.
func TestForms_TheSecondOfTwoClicksOnSignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := &page{Handler: w.handler, Ctx: t.Context(), Now: w.clock.Now(), pattern: "POST /sign-out"}
	p.Session.ID = id.Login{UUID: id.NewUUID(w.clock.Now())}
	_, err := p.claimForm(t.Context().Done(), "form")
	fixture.WantFault(t, err, login.ErrNoSession)
}
