package dashboard

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
)

// TestNoScript_FromEndpointToSignOut does what an engineer on call does, with the links and forms of the pages alone. Every
// form that does something is sent twice.
func TestNoScript_FromEndpointToSignOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.as(w.owner).reader("/")

	// An endpoint and its key.
	r.visit("Endpoints").sees(http.StatusOK, "No endpoints yet").visit("Create endpoint")
	twice := r.send("Create endpoint", "name", "risk", "url", endpointAddress, "events", "verification.session.failed")
	r.sees(http.StatusOK, "risk was created", "whsec_")
	r.again(twice)
	r.sees(http.StatusOK, "That was done already.")
	if n := w.rows(t, "webhook_endpoints"); n != 1 {
		t.Fatalf("two submissions made %d endpoints", n)
	}
	public, private := keyPair(t)
	r.visit("Keys").sees(http.StatusOK, "blocked until a key is active")
	r.send("Add and activate", "keytext", private, "key_id", "k1")
	r.sees(http.StatusUnprocessableEntity, "exposed").page.hides("BEGIN PRIVATE KEY", strings.Split(private, "\n")[1])
	r.send("Check only", "keytext", public, "key_id", "k1")
	r.sees(http.StatusOK, "RFC 7638")
	twice = r.send("Add and activate", "keytext", public, "key_id", "k1")
	r.sees(http.StatusOK, "k1 is the active key.")
	r.again(twice)
	r.sees(http.StatusOK, "That was done already.")
	if n := w.rows(t, "webhook_encryption_keys"); n != 1 {
		t.Fatalf("two submissions made %d keys", n)
	}

	// A delivery that failed is retried by hand.
	w.sender.answers(http.StatusServiceUnavailable, "")
	ev, found := w.of(w.fail())
	w.work()
	var whd string
	for _, d := range found {
		whd = d.ID.String()
	}
	r.visit("Deliveries").sees(http.StatusOK, "503")
	r.open(r.get("/deliveries/"+whd), "/deliveries/"+whd)
	r.send("Retry now")
	r.sees(http.StatusOK, "is due now.")
	w.work()

	// Its event is replayed.
	r.open(r.get("/events/"+ev.ID.String()), "/events/"+ev.ID.String())
	r.send("Replay to 1 endpoint")
	r.sees(http.StatusOK, "Replayed: 1 delivery is due now.")
	w.work()

	// What waits is sent again in bulk, and the job is stopped.
	r.visit("Bulk retries").visit("New bulk retry").sees(http.StatusOK, "No delivery of this scope can be sent again now.")
	r.open(r.get("/jobs/new?status=pending"), "/jobs/new")
	twice = r.send("Retry 1 delivery", "rate", "1")
	r.sees(http.StatusOK, "The bulk retry has started.", "of 1 visited")
	r.again(twice)
	r.sees(http.StatusOK, "That was done already.")
	if n := w.rows(t, "jobs"); n != 1 {
		t.Fatalf("two submissions made %d jobs", n)
	}
	twice = r.visit("Cancel job…").sees(http.StatusOK, "Cancel this bulk retry?", "1 delivery not visited yet").send("Cancel job")
	r.sees(http.StatusOK, "The bulk retry is cancelled.")
	r.again(twice)
	r.sees(http.StatusOK, "That was done already.")

	// Somebody else joins and gets another role.
	r.visit("Members")
	twice = r.send("Make invitation", "email", "new@example.com", "role", "member")
	invitation := r.sees(http.StatusOK).page.find(`://[^/"]+(/invitations/[A-Za-z0-9_-]{43})`)
	r.again(twice)
	r.sees(http.StatusOK, "That was done already.")
	n := w.browser().reader(invitation)
	n.send("Join", "name", "Nina", "password", fixture.Password)
	n.sees(http.StatusOK, "Nina")
	n.visit("Endpoints").sees(http.StatusOK, "Needs the role admin.").page.hides(`href="/endpoints/new"`)
	r.open(r.get("/members"), "/members")
	r.send("Save role of Nina", "role", "admin")
	r.sees(http.StatusOK, "Nina is an admin now.")
	n.visit("Endpoints").sees(http.StatusOK).page.shows(`href="/endpoints/new"`)

	// Both leave; what they had open does nothing any more.
	stale := n.send("Sign out")
	n.sees(http.StatusOK, "You are signed out.")
	n.again(stale)
	n.sees(http.StatusOK, "Sign in")
	n.open(n.get("/endpoints"), "/endpoints")
	if !strings.HasPrefix(n.path, "/sign-in?next=") {
		t.Errorf("a page behind the sign-in leads to %s", n.path)
	}
	n.send("Sign in", "email", "new@example.com", "password", fixture.Password)
	if n.sees(http.StatusOK, "risk"); n.path != "/endpoints" {
		t.Errorf("after the sign-in they are at %s", n.path)
	}
}

// TestNoScript_ExpiredSessionKeepsWhatWasTyped sends a long form too late: after the sign-in it is there to be sent.
func TestNoScript_ExpiredSessionKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.as(w.owner).reader("/endpoints/new")
	w.clock.Advance(13 * time.Hour)
	r.send("Create endpoint", "name", `Risk "engine"`, "url", endpointAddress, "events", "verification.session.failed", "events", "verification.session.expired")
	r.sees(http.StatusUnauthorized, "what you entered is kept")
	if n := w.rows(t, "webhook_endpoints"); n != 0 {
		t.Fatal("a form without a session made an endpoint")
	}
	email := fixture.Email(fixture.UserID(t, w.owner))
	r.send("Sign in", "email", email, "password", "wrong password")
	r.sees(http.StatusUnprocessableEntity, "do not match")
	r.send("Sign in", "email", email, "password", fixture.Password)
	r.sees(http.StatusOK, "You are signed in again", "Create endpoint with what you entered?", `Name: Risk "engine"`, endpointAddress, "verification.session.expired")
	if n := w.rows(t, "webhook_endpoints"); n != 0 {
		t.Fatal("a kept form was sent by itself")
	}
	r.send("Create endpoint")
	r.sees(http.StatusOK, `Risk "engine" was created`)
	if n := fixture.Scalar[int](t, w.db, "SELECT cardinality(subscribed_event_types) FROM webhook_endpoints"); n != 2 {
		t.Errorf("%d of 2 event types were kept", n)
	}

	// Secrets and foreign forms are not kept.
	b := w.browser()
	b.postAs("/api-keys", nil, "name", "Ana", "password", "SECRETWORD", "keytext", "SECRETWORD").is(http.StatusUnauthorized).shows(`value="Ana"`).hides("SECRETWORD")
	b.postAs("/settings/password", nil, "current", "SECRETWORD", "x", "y").redirects("/sign-in")
	for _, fields := range [][]string{{"name", "Ana", "confirm", "Ana"}, {"seen", "x", "form_id", "x", "name", ""}} {
		b.postAs("/settings/organization", nil, fields...).redirects("/sign-in")
	}
	b.postAs("/jobs", nil, "rate", "1", "status", "failed").redirects("/sign-in")
	b.postAs("/endpoints", []string{"Sec-Fetch-Site", "cross-site"}, "name", "Ana").redirects("/sign-in")
	b.postAs("/endpoints", nil, "name", strings.Repeat("a", keptMax)).redirects("/sign-in")
	b.get("/sign-in")
	b.post("/sign-in", "email", email, "password", fixture.Password, keptAction, "//evil.example/x", keptPrefix+"name", "x").redirects("/")
	b.get("/")
	b.post("/sign-out").redirects("/sign-in?out=1")
	b.get("/sign-in")
	b.post("/sign-in", "email", email, "password", fixture.Password, keptAction, "/jobs", keptPrefix+"rate", "1").redirects("/")
}
