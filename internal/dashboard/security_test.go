package dashboard

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/login"
	"kaylehooks/internal/postgres"
)

func TestSecurity_HeadersOfEveryPage(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
	}
	for _, path := range []string{"/", "/endpoints", "/nowhere", "/sign-in"} {
		a := b.get(path)
		for name, value := range want {
			if got := a.header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
		}
		for _, inline := range []string{"<script>", " style=", "onclick=", "<style"} {
			if strings.Contains(a.body, inline) {
				t.Errorf("%s holds %q, which the policy blocks", path, inline)
			}
		}
	}
}

func TestSession_CookieIsLockedDown(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.browser()
	b.get("/sign-in")
	a := b.post("/sign-in", "email", fixture.Email(fixture.UserID(t, s.owner)), "password", fixture.Password)
	var found bool
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.Name != sessionCookie {
			continue
		}
		found = true
		if !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
			t.Errorf("the cookie is %+v", c)
		}
	}
	if !found {
		t.Fatal("signing in sets no session cookie")
	}
}

func TestSession_SigningInAgainEndsTheFormerSession(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	sessions := func() int { return fixture.Scalar[int](t, s.db, "SELECT count(*) FROM login_sessions") }
	if n := sessions(); n != 1 {
		t.Fatalf("%d sessions after one sign-in", n)
	}
	before := fixture.Scalar[string](t, s.db, "SELECT encode(token_hash, 'hex') FROM login_sessions")
	b.get("/sign-in").redirects("/") // somebody signed in has no use for the form
	other := s.browser()
	other.http.Jar = b.http.Jar
	other.get("/endpoints")
	// A public form is checked against the token of a browser without a session.
	b.postAs("/sign-in", nil, "csrf_token", b.csrf, "email", fixture.Email(fixture.UserID(t, s.owner)), "password", fixture.Password).is(http.StatusForbidden)
	if after := fixture.Scalar[string](t, s.db, "SELECT encode(token_hash, 'hex') FROM login_sessions"); after != before || sessions() != 1 {
		t.Error("a refused sign-in changed the sessions")
	}
}

// TestSession_APlantedOneIsNotTaken is a browser into which somebody has put their own session and form token: whoever signs in
// there gets a session that nobody else holds, and the planted one ends.
func TestSession_APlantedOneIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	thief := s.as(fixture.User(t, s.db, s.org, access.Member))
	at, err := url.Parse(strings.Replace(s.server.URL, "http://", "https://", 1)) // the cookies are for https
	if err != nil {
		t.Fatal(err)
	}
	planted := thief.cookie(at, sessionCookie)
	victim := s.browser()
	victim.get("/sign-in").is(http.StatusOK)
	form := victim.cookie(at, formCookie)
	victim.http.Jar.SetCookies(at, []*http.Cookie{{Name: sessionCookie, Value: planted, Path: "/", Secure: true}})
	victim.get("/sign-in").redirects("/") // that is how far the thief's session goes
	victim.post("/sign-in", "email", fixture.Email(fixture.UserID(t, s.owner)), "password", fixture.Password).redirects("/")
	if got := victim.cookie(at, sessionCookie); got == planted || got == "" {
		t.Error("signing in keeps the session that was planted")
	}
	victim.get("/").is(http.StatusOK).shows(s.owner.Name)
	thief.get("/").redirects("/sign-in")
	if got := victim.cookie(at, formCookie); got != "" || form == "" {
		t.Error("the form token from before the sign-in is still there")
	}
	// Nor does signing out leave a session that a copy of the cookie opens.
	copied := s.browser()
	copied.http.Jar.SetCookies(at, []*http.Cookie{{Name: sessionCookie, Value: victim.cookie(at, sessionCookie), Path: "/", Secure: true}})
	copied.get("/").is(http.StatusOK)
	victim.post("/sign-out").redirects("/sign-in?out=1")
	copied.get("/").redirects("/sign-in")
}

// cookie is the value of a cookie that the browser holds, or "".
func (b *browser) cookie(at *url.URL, name string) string {
	for _, c := range b.http.Jar.Cookies(at) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// TestReveal_TheNewPasswordCheckIsOfOneSession posts to the form itself, which is how somebody would go round the page that asks.
func TestReveal_TheNewPasswordCheckIsOfOneSession(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, secret := b.createEndpoint("Risk engine")
	other, colleague := s.as(s.owner), s.as(fixture.User(t, s.db, s.org, access.Owner))
	s.clock.Advance(access.ReauthWindow + time.Second)
	for name, who := range map[string]*browser{"the same": b, "another browser": other, "another owner": colleague} {
		who.get("/")
		for _, fields := range [][]string{nil, {"password", ""}, {"password", "wrong password"}, {"next", "/", "reauthenticated", "1"}} {
			who.post(path+"/secret/reveal", fields...).is(http.StatusUnprocessableEntity).hides(secret)
		}
		a := who.postAs(path+"/secret/reveal", []string{"HX-Request", "true"}, "csrf_token", who.csrf)
		if a.status < 400 || strings.Contains(a.body, secret) {
			t.Errorf("%s, by htmx: %d", name, a.status)
		}
	}
	b.post("/reauthenticate", "password", "wrong password").is(http.StatusUnprocessableEntity)
	b.post(path + "/secret/reveal").is(http.StatusUnprocessableEntity).hides(secret)
	b.post("/reauthenticate", "password", fixture.Password, "next", path+"/secret").redirects(path + "/secret")
	b.post(path + "/secret/reveal").is(http.StatusOK).shows(secret)
	for name, who := range map[string]*browser{"another browser": other, "another owner": colleague} {
		if a := who.post(path + "/secret/reveal"); a.status != http.StatusUnprocessableEntity || strings.Contains(a.body, secret) {
			t.Errorf("%s takes advantage of the password that was entered here: %d", name, a.status)
		}
	}
	if n := fixture.Audited(t, s.db, s.org, "webhook_endpoint.signing_secret.revealed"); n != 1 {
		t.Errorf("%d reveals are in the log, want 1", n)
	}
	s.clock.Advance(access.ReauthWindow + time.Second)
	b.post(path + "/secret/reveal").is(http.StatusUnprocessableEntity).hides(secret)
	// The room asks by itself, by its own clock.
	endpoint, err := id.Parse[id.EndpointKind](strings.TrimPrefix(path, "/endpoints/"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.handler.Webhooks.RevealSecret(t.Context(), s.owner, endpoint)
	fixture.WantFault(t, err, access.ErrReauthenticate)
}

// TestReauthenticate_IsLimitedPerAddress: whoever found a browser that is signed in cannot guess on.
func TestReauthenticate_IsLimitedPerAddress(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, secret := b.createEndpoint("Risk engine")
	s.clock.Advance(access.ReauthWindow + time.Second)
	b.get("/")
	for n := range s.handler.RateIPBurst {
		b.post([]string{"/reauthenticate", path + "/secret/reveal"}[n%2], "password", "wrong password").is(http.StatusUnprocessableEntity).shows("This is not the password.")
	}
	for _, form := range []string{"/reauthenticate", path + "/secret/reveal"} {
		b.post(form, "password", fixture.Password).is(http.StatusUnprocessableEntity).shows("Too many tries").hides(secret)
	}
}

// TestRedirects_LeadNowhereElse sends every detour that comes back to an address that somebody chose.
func TestRedirects_LeadNowhereElse(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	for _, evil := range []string{"https://evil.example/", "//evil.example/", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)", "evil"} {
		b.get("/sign-in?next=" + url.QueryEscape(evil)).redirects("/") // signed in already
		b.get("/reauthenticate?next=" + url.QueryEscape(evil)).is(http.StatusOK).find(`(name="next" value="/")`)
		b.post("/reauthenticate", "password", "wrong password", "next", evil).is(http.StatusUnprocessableEntity).find(`(name="next" value="/")`)
		b.post("/settings/zone", "zone", "utc", "return", evil).redirects("/")
		b.post("/settings/live", "live", "1", "return", evil).redirects("/")
		b.post(path+"/pause", "return", evil).redirects(path)
		b.post(path+"/resume", "return", evil).redirects(path)
		b.get("/")
		b.postAs("/settings/live", []string{"Referer", evil}, "csrf_token", b.csrf, "live", "1").redirects("/")
		b.postAs("/settings/live", []string{"Referer", "http://evil.example/endpoints"}, "csrf_token", b.csrf, "live", "1").redirects("/")
		b.postAs("/settings/live", []string{"Referer", s.server.URL + "//evil.example/"}, "csrf_token", b.csrf, "live", "1").redirects("/")
	}
	for range 6 { // the bucket of passwords
		s.clock.Advance(time.Minute)
	}
	b.post("/reauthenticate", "password", fixture.Password, "next", "//evil.example/").redirects("/")
}

func TestSession_LostOneLeadsToSignInAndBack(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.browser()
	b.get("/endpoints?q=risk").redirects("/sign-in?next=%2Fendpoints%3Fq%3Drisk")
	a := b.get("/endpoints", "HX-Request", "true", "HX-Current-URL", s.server.URL+"/endpoints?q=risk").is(http.StatusUnauthorized)
	if got := a.header.Get("HX-Redirect"); got != "/sign-in?next=%2Fendpoints%3Fq%3Drisk" {
		t.Errorf("htmx is sent to %q", got)
	}
	a = b.get("/endpoints", "HX-Request", "true", "HX-Current-URL", "https://evil.example/phish").is(http.StatusUnauthorized)
	if got := a.header.Get("HX-Redirect"); got != "/sign-in" {
		t.Errorf("htmx on a foreign page is sent to %q", got)
	}
	// An idle session ends, and its form with it.
	b = s.as(s.owner)
	s.clock.Advance(13 * time.Hour)
	b.post("/endpoints").redirects("/sign-in")
}

func TestLocalPath_LeadsNowhereElse(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"/endpoints?q=1":                "/endpoints?q=1",
		"/":                             "/",
		"":                              "/x",
		"https://evil.example":          "/x",
		"//evil.example":                "/x",
		"/\\evil.example":               "/x",
		"/\t/evil.example":              "/x",
		"/\n//evil.example":             "/x",
		"/a\\b":                         "/x",
		"javascript:alert(1)":           "/x",
		"endpoints":                     "/x",
		"/" + strings.Repeat("a", 3000): "/x",
	}
	for in, want := range tests {
		if got := localPath(in, "/x"); got != want {
			t.Errorf("localPath(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSignIn_NextLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	for _, next := range []string{"https://evil.example/", "//evil.example/", "/\\evil.example"} {
		b := s.browser()
		b.get("/sign-in?next=" + next).hides(`value="` + next + `"`)
		b.post("/sign-in", "email", fixture.Email(fixture.UserID(t, s.owner)), "password", fixture.Password, "next", next).redirects("/")
	}
}

func TestSignIn_IsLimitedPerAddress(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	s.handler.RateIPPerMinute, s.handler.RateIPBurst = 6, 3
	b := s.browser()
	b.get("/sign-in")
	for range s.handler.RateIPBurst {
		b.post("/sign-in", "email", "a@example.com", "password", "wrong password").is(http.StatusUnprocessableEntity)
	}
	a := b.post("/sign-in", "email", fixture.Email(fixture.UserID(t, s.owner)), "password", fixture.Password).is(http.StatusTooManyRequests).shows("Too many tries")
	if after := a.header.Get("Retry-After"); after != "10" {
		t.Errorf("Retry-After is %q", after)
	}
	s.clock.Advance(time.Minute)
	b.post("/sign-in", "email", fixture.Email(fixture.UserID(t, s.owner)), "password", fixture.Password).redirects("/")
}

// TestSession_APageThatUpdatesItselfIsNoUse: nobody need be there for it, so it keeps no session from ending.
func TestSession_APageThatUpdatesItselfIsNoUse(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	s.handler.mux.Handle("/monitor/", s.handler.GuardMonitor(func(access.Actor) http.Handler { return http.NotFoundHandler() }))
	lasts := []int{http.StatusOK, http.StatusNotFound}
	for name, ask := range map[string]func(b *browser) answer{
		"polls":             func(b *browser) answer { return b.fragment("/attention") },
		"is the monitor":    func(b *browser) answer { return b.get("/monitor/api/queues") },
		"reloads by itself": func(b *browser) answer { return b.get("/deliveries?live=1") },
	} {
		b := s.as(s.owner)
		for range 11 {
			s.clock.Advance(time.Hour)
			if a := ask(b); !slices.Contains(lasts, a.status) {
				t.Fatalf("%s: status %d while the session lasts", name, a.status)
			}
		}
		s.clock.Advance(time.Hour)
		if a := ask(b); slices.Contains(lasts, a.status) {
			t.Errorf("a page that %s keeps its session for more than %s", name, login.IdleTimeout)
		}
	}
	b := s.as(s.owner)
	for range 13 {
		s.clock.Advance(time.Hour)
		b.get("/deliveries").is(http.StatusOK)
	}
}

func TestForms_WithoutOurTokenAreRefused(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	other := s.as(s.owner)
	for _, token := range []string{"", other.csrf, "made up"} {
		b.postAs(path+"/pause", nil, "csrf_token", token).is(http.StatusForbidden).shows("out of date, so nothing was changed", "reload the page")
	}
	if !fixture.Scalar[bool](t, s.db, "SELECT enabled FROM webhook_endpoints") {
		t.Error("a refused form paused the endpoint")
	}
	if n := fixture.Audited(t, s.db, s.org, "access.denied"); n != 3 {
		t.Errorf("%d refusals are audited, want 3", n)
	}
}

func TestForms_FromAnotherOriginAreRefused(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Origin", "http://127.0.0.1:1"},
	} {
		b.postAs(path+"/pause", headers, "csrf_token", b.csrf).is(http.StatusForbidden).shows("came from another site")
	}
	b.postAs(path+"/pause", []string{"Sec-Fetch-Site", "same-origin"}, "csrf_token", b.csrf).redirects(path)
}

func TestForms_TooLargeAreRefused(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	b.post("/endpoints", "name", strings.Repeat("a", formMax)).is(http.StatusRequestEntityTooLarge)
}

func TestRoles_MemberReadsAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	owner := s.as(s.owner)
	path, secret := owner.createEndpoint("Risk engine")
	owner.addKey(path, "k1")
	key := owner.get(path + "/keys").find(`(/keys/whk_[a-z0-9]+)/jwk`)

	member := s.as(fixture.User(t, s.db, s.org, access.Member))
	for _, page := range []string{"/", "/endpoints", path, path + "/deliveries", path + "/keys", path + "/secret", path + "/settings", path + "/activity", key + "/jwk"} {
		member.get(page).is(http.StatusOK).hides(secret, `href="/endpoints/new"`, `action="`+path+`/pause"`, "/reveal\"", "/rotate\"")
	}
	member.get(path + "/secret").shows("needs the role owner")
	for _, action := range []string{
		"/endpoints", path, path + "/test", path + "/pause", path + "/resume", path + "/delete", path + "/keys", path + "/keys/check",
		key + "/deactivate", key + "/reactivate", path + "/secret/rotate", path + "/secret/end-overlap", path + "/secret/reveal",
	} {
		member.post(action).is(http.StatusForbidden).shows("needs the role", "You are signed in as", s.owner.Name)
	}
	member.get("/endpoints/new").is(http.StatusForbidden).shows(s.owner.Name + " (owner)")
	if n := fixture.Audited(t, s.db, s.org, "access.denied"); n != 14 {
		t.Errorf("%d refusals are audited, want 14", n)
	}

	// An admin does everything but reveal.
	admin := s.as(fixture.User(t, s.db, s.org, access.Admin))
	admin.get(path+"/secret").is(http.StatusOK).shows("Rotate secret", "needs the role owner")
	admin.post(path + "/secret/reveal").is(http.StatusForbidden).hides(secret)
	admin.post(path + "/pause").redirects(path)
}

func TestTenants_AnotherOrganizationsThingsAreNotFound(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	owner := s.as(s.owner)
	path, secret := owner.createEndpoint("Risk engine")
	owner.addKey(path, "k1")
	key := owner.get(path + "/keys").find(`(/keys/whk_[a-z0-9]+)/jwk`)
	_, stranger := fixture.Organization(t, s.db)
	b := s.as(stranger)
	for _, page := range []string{path, path + "/overview", path + "/deliveries", path + "/keys", path + "/secret", path + "/settings", path + "/activity", path + "/delete", key + "/jwk", key + "/deactivate"} {
		b.get(page).is(http.StatusNotFound).hides("Risk engine", "hooks.example.com")
	}
	for _, action := range []string{
		path, path + "/test", path + "/pause", path + "/resume", path + "/delete", path + "/keys", path + "/keys/check",
		key + "/deactivate", key + "/reactivate", path + "/secret/rotate", path + "/secret/end-overlap", path + "/secret/reveal",
	} {
		b.post(action, "confirm", "Risk engine", "overlap", "0").is(http.StatusNotFound).hides("Risk engine", secret)
	}
	b.get("/endpoints/not-an-id").is(http.StatusNotFound)
	b.get("/endpoints/" + (id.Endpoint{UUID: id.NewUUID(s.clock.Now())}).String()).is(http.StatusNotFound)
	b.get("/endpoints").hides("Risk engine")
}

func TestErrors_DatabaseAwayAsksToWait(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	// The same dashboard, in front of a port where nothing listens.
	away, err := postgres.Open(t.Context(), postgres.Options{URL: "postgres://nobody@127.0.0.1:1/nothing", Now: s.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(away.Close)
	c := s.handler.Config
	c.DB, c.Login = away, &login.Service{DB: away, Org: c.Org}
	s.server = httptest.NewServer(New(c))
	t.Cleanup(s.server.Close)
	a := b.get("/endpoints").is(http.StatusServiceUnavailable).shows("The database does not answer", "Postgres")
	if a.header.Get("Refresh") != "5" {
		t.Errorf("Refresh is %q", a.header.Get("Refresh"))
	}
	if a := b.fragment("/endpoints").is(http.StatusServiceUnavailable); a.body != "" {
		t.Errorf("a poll gets %q", a.body)
	}
	b.get("/endpoints?q=risk", "HX-Request", "true", "HX-Source", "form", "HX-Target", "div#results").is(http.StatusServiceUnavailable).shows(`class="toast`, "The database does not answer").hides("<html")
	a.hides("Redis", "reload this page to send it again")
	a = b.post("/endpoints", "name", "Ledger").is(http.StatusServiceUnavailable).shows("reload this page to send it again: what was carried out is not done twice")
	if a.header.Get("Refresh") != "" || a.header.Get("Retry-After") == "" {
		t.Errorf("a form is sent again by itself: %v", a.header)
	}
	for away, want := range map[bool]string{false: "Redis reachable", true: "Redis no answer"} {
		c.Queue = &fakeQueue{away: away}
		s.server = httptest.NewServer(New(c))
		t.Cleanup(s.server.Close)
		if words := b.get("/endpoints").is(http.StatusServiceUnavailable).text(); !strings.Contains(words, want) {
			t.Errorf("no %q in %s", want, words)
		}
	}
}

func TestErrors_PanicBecomesAPageWithTheRequestID(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	doors{s.handler, map[string]bool{}}.route("GET /test/panic", "", func(*page) error { panic("secret detail") })
	b := s.as(s.owner)
	b.get("/test/panic").is(http.StatusInternalServerError).shows("This page could not be made", "req_").hides("secret detail")
	// To scripting it is a message, which names the request too.
	if a := b.fragment("/test/panic").is(http.StatusInternalServerError).shows("This page could not be made", "Request req_").hides("<html", "secret detail"); a.header.Get("HX-Retarget") != "#toasts" {
		t.Errorf("the message is put into %q", a.header.Get("HX-Retarget"))
	}
	b.get("/test/nowhere").is(http.StatusNotFound).shows("This page does not exist.")
}

func TestMonitor_IsGuarded(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("inside")) })
	s.handler.mux.Handle("/monitor/", s.handler.GuardMonitor(func(access.Actor) http.Handler { return inner }))
	s.browser().get("/monitor/").redirects("/sign-in?next=%2Fmonitor%2F")
	refused := s.as(fixture.User(t, s.db, s.org, access.Member))
	refused.get("/monitor/").is(http.StatusForbidden).hides("inside")
	refused.get("/monitor/api/%00").is(http.StatusForbidden).hides("inside") // what somebody made up is not in the log
	if n := fixture.Scalar[int](t, s.db, "SELECT count(*) FROM audit_logs WHERE event = 'access.denied' AND metadata ->> 'route' = '/monitor/'"); n != 2 {
		t.Errorf("%d refusals are in the log by their route, want 2", n)
	}
	b := s.as(s.owner)
	b.get("/monitor/").is(http.StatusOK).shows("inside")
	b.postAs("/monitor/api", []string{"Sec-Fetch-Site", "cross-site"}).is(http.StatusForbidden)
	b.postAs("/monitor/api/queues/fresh:pause", []string{"Sec-Fetch-Site", "same-origin"}).is(http.StatusOK)
	if n := fixture.Scalar[int](t, s.db, "SELECT count(*) FROM audit_logs WHERE event = 'queue.monitor_used' AND metadata ->> 'path' = '/monitor/api/queues/fresh:pause'"); n != 1 {
		t.Errorf("%d of what was done there is in the log, want 1", n)
	}
	if n := fixture.Audited(t, s.db, s.org, "queue.monitor_used"); n != 1 {
		t.Errorf("%d uses are in the log, want the one that changed something", n)
	}
	s.handler.Queue = &fakeQueue{seen: s.clock.Now()}
	b.get("/queue").is(http.StatusOK).shows(`href="/monitor"`)

	// It names the tasks of every organization, so with a second one it is for nobody.
	_, stranger := fixture.Organization(t, s.db)
	for _, who := range []*browser{b, s.as(stranger)} {
		who.get("/monitor/").is(http.StatusForbidden).shows("The monitor is closed", "names your organization's tasks only", `href="/queue"`).hides("inside")
		who.postAs("/monitor/api/queues/fresh:pause", []string{"Sec-Fetch-Site", "same-origin"}).is(http.StatusForbidden).hides("inside")
		who.get("/queue").is(http.StatusOK).hides(`href="/monitor"`)
	}
	if n := fixture.Scalar[int](t, s.db, "SELECT count(*) FROM audit_logs WHERE event = 'queue.monitor_used'"); n != 1 {
		t.Errorf("%d uses are in the log after refusals, want 1", n)
	}
}
