package dashboard

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
)

const endpointAddress = "https://hooks.example.com/kayle"

// publicPEM is a fresh public key; privatePEM its private half.
func keyPair(t *testing.T) (publicPEM, privatePEM string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return encode("PUBLIC KEY", public), encode("PRIVATE KEY", private)
}

// createEndpoint fills the form as a person would and returns the new endpoint's path and secret.
func (b *browser) createEndpoint(name string) (path, secret string) {
	b.t.Helper()
	b.get("/endpoints/new").is(http.StatusOK)
	a := b.post("/endpoints", "name", name, "url", endpointAddress, "labels", "eu, risk", "enabled", "1", "retention", "72",
		"events", "verification.session.succeeded", "events", "verification.session.failed").is(http.StatusOK)
	return a.find(`href="(/endpoints/whe_[a-z0-9]+)"`), a.find(`(whsec_[a-z0-9]{32})`)
}

// addKey adds a fresh key to the endpoint.
func (b *browser) addKey(path, keyID string) {
	b.t.Helper()
	public, _ := keyPair(b.t)
	b.get(path + "/keys").is(http.StatusOK)
	b.upload(path+"/keys", nil, "keytext", public, "key_id", keyID).redirects(path + "/keys")
}

// TestSetup_NamesWhatIsThereAndWhatIsNot: whoever sets up sees what else the installation lacks.
func TestSetup_NamesWhatIsThereAndWhatIsNot(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.token = "setup-token-of-the-test"
	b := s.browser()
	for _, c := range []struct {
		name         string
		public       string
		queue        Queue
		shows, hides []string
	}{
		{"no queue", s.server.URL, nil, []string{"Postgres reachable", "Public address " + s.server.URL}, []string{"Redis", "You came by"}},
		{"all there", s.server.URL, &fakeQueue{seen: s.clock.Now()}, []string{"Redis reachable", "Worker running"}, []string{"no answer", "none has reported"}},
		{"silent worker", s.server.URL, &fakeQueue{}, []string{"Redis reachable", "Worker none has reported", "bin/web worker"}, nil},
		{"Redis away", s.server.URL, &fakeQueue{away: true}, []string{"Redis no answer", "REDIS_URL", "Worker not known"}, []string{"Worker running"}},
		{"other address", "https://hooks.example.com", nil, []string{"Public address https://hooks.example.com", "You came by 127.0.0.1:", "PUBLIC_URL"}, nil},
	} {
		s.handler.PublicURL, s.handler.Queue = c.public, c.queue
		words := b.get("/setup").is(http.StatusOK).text()
		for _, want := range c.shows {
			if !strings.Contains(words, want) {
				t.Errorf("%s: no %q in %s", c.name, want, words)
			}
		}
		for _, not := range c.hides {
			if strings.Contains(words, not) {
				t.Errorf("%s: %q in %s", c.name, not, words)
			}
		}
	}
}

// TestDashboard_FromSetupToDeletedEndpoint walks through the life of an installation's first endpoint.
func TestDashboard_FromSetupToDeletedEndpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.token = "setup-token-of-the-test"
	b := s.browser()

	// Nobody can sign in yet, so every way leads to the setup.
	b.get("/").redirects("/sign-in")
	b.get("/sign-in").redirects("/setup")
	b.get("/setup").is(http.StatusOK).shows("Set up Kaylehooks")
	fill := []string{"organization", "Acme", "environment", "staging", "name", "Ana Lindqvist", "email", "ana@example.com", "zone_name", "local"}
	b.post("/setup", "organization", "Acme", "environment", "staging", "name", "Ana", "email", "ana@example.com", "password", fixture.Password,
		"token", s.token, "zone_name", "Mars/Olympus").is(http.StatusUnprocessableEntity).shows("Choose one of: UTC, local.")
	b.post("/setup", append(fill, "token", "guessed", "password", fixture.Password)...).is(http.StatusUnprocessableEntity).
		shows("This is not the token", "Each start prints a new one", "web setup-token")
	b.post("/setup", append(fill, "token", s.token, "password", "short")...).is(http.StatusUnprocessableEntity).
		shows("Use at least 12 characters.", `value="Ana Lindqvist"`).hides(`value="short"`)
	b.post("/setup", append(fill, "token", s.token, "password", fixture.Password, "color", "pink")...).is(http.StatusUnprocessableEntity).shows("Choose one of the list.")
	b.post("/setup", append(fill, "token", s.token, "password", fixture.Password, "color", "green")...).redirects("/")
	b.get("/").shows(`class="env tone-ok"`)
	s.token = ""
	b.get("/").is(http.StatusOK).shows("No endpoints yet", "staging", "Ana Lindqvist", "0 of 6 done")
	if zone := fixture.Scalar[string](t, s.db, "SELECT time_zone FROM users WHERE email = 'ana@example.com'"); zone != "local" {
		t.Errorf("the owner's times are in %q", zone)
	}
	b.get("/setup").redirects("/sign-in")

	// Signing out ends the session on the server, not only in the browser.
	b.post("/sign-out").redirects("/sign-in?out=1")
	b.get("/sign-in?out=1").is(http.StatusOK).shows("You are signed out.")
	b.post("/sign-in", "email", "ana@example.com", "password", "wrong password").is(http.StatusUnprocessableEntity).shows("do not match", `value="ana@example.com"`)
	b.post("/sign-in", "email", "nobody@example.com", "password", fixture.Password).is(http.StatusUnprocessableEntity).shows("do not match")
	b.post("/sign-in", "email", "ana@example.com", "password", fixture.Password, "next", "/endpoints?health=failing").redirects("/endpoints?health=failing")

	// The secret is on the page that creates the endpoint and on no other.
	path, secret := b.createEndpoint("Risk engine")
	for _, page := range []string{path, path + "/overview", path + "/secret", path + "/settings", path + "/deliveries", path + "/activity", "/endpoints", "/"} {
		b.get(page).is(http.StatusOK).hides(secret).shows("Risk engine")
	}
	b.get(path).shows("No key", "blocked")

	// A key; a test needs one.
	b.addKey(path, "k1")
	b.get(path+"/keys").is(http.StatusOK).shows("k1 is the active key.", "RFC 7638").hides("are blocked until a key is active")
	b.get(path + "/keys").hides("k1 is the active key.") // a flash is shown once
	b.post(path + "/test").redirects(path)
	b.get(path).shows("A test event is on its way", "Scheduled")

	// Pausing parks what waits; Undo comes with the message.
	b.post(path + "/pause").redirects(path)
	b.get(path).shows("Risk engine is paused.", "Undo", "1 delivery is parked")
	b.post(path + "/pause").redirects(path)
	b.get(path).shows("is paused already")
	b.post(path+"/resume", "return", "/endpoints").redirects("/endpoints")
	b.get(path).shows("is resumed")

	// Rotation shows the new secret once; while both sign, another rotation needs a decision.
	b.get(path + "/secret").is(http.StatusOK)
	rotated := b.post(path+"/secret/rotate", "overlap", "24").is(http.StatusOK).shows("New signing secret", "Both secrets sign until").find(`(whsec_[a-z0-9]{32})`)
	if rotated == secret {
		t.Fatal("the rotated secret is the old one")
	}
	b.post(path+"/secret/rotate", "overlap", "24").is(http.StatusConflict).shows("still in its overlap", "Drop the older secret at once")
	b.post(path + "/secret/end-overlap").redirects(path + "/secret")
	b.post(path + "/secret/end-overlap").is(http.StatusConflict)

	// Reveal: within ten minutes of the password without asking, later only with it.
	b.get(path + "/secret").is(http.StatusOK).hides(rotated)
	if got := b.post(path + "/secret/reveal").is(http.StatusOK).shows(rotated).header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("a page with a secret has Cache-Control %q", got)
	}
	s.clock.Advance(11 * 60e9)
	b.get(path + "/secret").shows("Your password")
	b.post(path + "/secret/reveal").is(http.StatusUnprocessableEntity).hides(rotated).shows("Enter your password")
	b.post(path+"/secret/reveal", "password", "wrong password").is(http.StatusUnprocessableEntity).hides(rotated).shows("This is not the password.")
	b.post(path+"/secret/reveal", "password", fixture.Password).is(http.StatusOK).shows(rotated)
	org := fixture.Scalar[id.Organization](t, s.db, "SELECT id FROM organizations")
	if n := fixture.Audited(t, s.db, org, "webhook_endpoint.signing_secret.revealed"); n != 2 {
		t.Errorf("%d reveals are audited, want 2", n)
	}

	// Deleting asks for the name and leaves a tombstone.
	b.get(path + "/delete").is(http.StatusOK).shows("1 waiting webhook is dropped")
	b.post(path+"/delete", "confirm", "risk").is(http.StatusUnprocessableEntity).shows("This is not “Risk engine”.")
	b.post(path+"/delete", "confirm", "Risk engine").redirects("/endpoints")
	b.get("/endpoints").shows("Risk engine is deleted.", "No endpoints yet")
	b.get(path).is(http.StatusNotFound).shows("This endpoint was deleted.", "Its deliveries")
	b.get(path + "/keys").is(http.StatusNotFound)
}

func TestCreateEndpoint_RejectedFormKeepsWhatWasEntered(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	b.get("/endpoints/new")
	a := b.post("/endpoints", "form_id", "f1", "name", "Risk", "url", "http://10.0.0.1/x", "labels", "eu", "retention", "24", "enabled", "1").is(http.StatusUnprocessableEntity)
	a.shows(`value="http://10.0.0.1/x"`, `value="Risk"`, `value="eu"`, "to correct before this endpoint can be created", "Must name 1 to 4 event types.")
	if !strings.Contains(a.body, `<option value="24" selected`) {
		t.Error("the chosen retention is lost")
	}
	// The same form, corrected, still goes through: a rejected try is no outcome.
	b.post("/endpoints", "form_id", "f1", "name", "Risk", "url", endpointAddress, "retention", "24", "enabled", "1", "events", "verification.session.failed").is(http.StatusOK)
}

func TestCreateEndpoint_DoubleSubmitMakesOne(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	const action = "/endpoints"
	fields := []string{"form_id", b.get("/endpoints/new").find(`action="/endpoints"[^§]*?name="form_id" value="([^"]+)"`), "url", endpointAddress, "retention", "72", "enabled", "1", "events", "verification.session.failed"}
	csrf := b.csrf
	path := b.post(action, fields...).is(http.StatusOK).find(`href="(/endpoints/whe_[a-z0-9]+)"`)
	b.csrf = csrf
	b.post(action, fields...).redirects(path)
	b.get(path).is(http.StatusOK).shows("That was done already.", "What is shown once was in the first answer")
	if n := fixture.Scalar[int](t, s.db, "SELECT count(*) FROM webhook_endpoints"); n != 1 {
		t.Errorf("two submissions made %d endpoints", n)
	}
}

func TestUpdateEndpoint_SomebodyElsesChangeIsNotOverwrittenUnseen(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	stale := b.get(path + "/settings").is(http.StatusOK).find(`action="(` + path + `\?seen=[^"]+)"`)
	fields := func(name string) []string {
		return []string{"name", name, "url", endpointAddress, "labels", "eu", "retention", "72", "enabled", "1", "events", "verification.session.failed"}
	}
	s.clock.Advance(1e9)
	b.post(stale, fields("Theirs")...).redirects(path + "/settings")
	conflict := b.post(stale, fields("Mine")...).is(http.StatusConflict).shows("Somebody else changed this endpoint", "Name is now “Theirs”", `value="Mine"`)
	b.post(conflict.find(`action="(`+path+`\?seen=[^"]+)"`), fields("Mine")...).redirects(path + "/settings")
	b.get(path+"/settings").shows("Changes to Mine are saved.", `value="Mine"`)
	b.post(path+"?seen=yesterday", fields("Blind")...).is(http.StatusConflict).shows("Name is now “Mine”", `value="Blind"`)
	b.post(path, fields("")...).redirects(path + "/settings")
	b.get(path + "/settings").shows("hooks.example.com")
}

func TestListEndpoints_FiltersAndFragment(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	b.get("/endpoints").is(http.StatusOK).shows("No endpoints yet", "Create endpoint", "bin/web listen --secret", "ALLOW_PRIVATE_ENDPOINTS=true")
	s.as(fixture.User(t, s.db, s.org, access.Member)).get("/endpoints").is(http.StatusOK).shows("No endpoints yet", "An admin or owner can create one.", "Needs the role admin.").hides("bin/web listen", `href="/endpoints/new"`)
	b.createEndpoint("Risk engine")
	b.createEndpoint("Ledger")
	b.get("/endpoints?q=risk").is(http.StatusOK).shows("Risk engine", "Text: risk", "Skip to content").hides("Ledger")
	b.get("/endpoints?q=evt_01kjpy44e0e02b4rx9qsh7xhse").redirects("/find?q=evt_01kjpy44e0e02b4rx9qsh7xhse") // an id of something else
	a := b.fragment("/endpoints?q=risk").is(http.StatusOK).shows("Risk engine").hides("Skip to content", "Ledger")
	if a.header.Get("Vary") != "HX-Request" || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a fragment can be cached: %v", a.header)
	}
	b.get("/endpoints?health=healthy").shows("No endpoints match 1 filter", "Clear all filters")
	b.get("/endpoints?label=EU&health=no_key&sort=health").shows("Risk engine", "Ledger")
}

func TestDuplicateEndpoint_CopiesTheFormAndNoSecret(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	path, secret := b.createEndpoint("Risk engine")
	b.addKey(path, "k1")
	b.post(path+"/secret/rotate", "overlap", "24").is(http.StatusOK)
	r := b.reader(path + "/settings")
	r.visit("Duplicate…").sees(http.StatusOK, "Filled in as Risk engine is.", `value="Copy of Risk engine"`, `value="eu, risk"`).send("Create endpoint", "labels", "us")
	copied := r.sees(http.StatusOK, "Copy of Risk engine was created").page.find(`(whsec_[a-z0-9]{32})`)
	if copied == secret {
		t.Error("the copy has the secret of the original")
	}
	if got := fixture.Scalar[string](t, w.db, `SELECT string_agg(concat_ws(' ', name, (SELECT count(*) FROM webhook_encryption_keys k WHERE k.webhook_endpoint_id = e.id), 'keys', count_of), ', ' ORDER BY name)
		FROM webhook_endpoints e CROSS JOIN LATERAL (SELECT num_nonnulls(signing_secret, previous_signing_secret) || ' secrets' AS count_of) s`); got != "Copy of Risk engine 0 keys 1 secrets, Risk engine 1 keys 2 secrets" {
		t.Errorf("there are %s", got)
	}
	b.get("/endpoints?q=copy+of").shows("Copy of Risk engine", "Add a key", "us")
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_endpoints WHERE url = $1 AND subscribed_event_types = '{verification.session.succeeded,verification.session.failed}'", endpointAddress); n != 2 {
		t.Errorf("%d endpoints are alike, want 2", n)
	}
	if n := fixture.Audited(t, w.db, w.org, "webhook_endpoint.created"); n != 2 {
		t.Errorf("%d creations are audited", n)
	}
	from := "/endpoints/new?from=" + strings.TrimPrefix(path, "/endpoints/")
	w.as(w.member).get(from).is(http.StatusForbidden)
	w.as(w.member).get(path + "/settings").hides("Duplicate…")
	w.stranger().get(from).is(http.StatusNotFound)
	b.get("/endpoints/new?from=nonsense").is(http.StatusNotFound)
}
