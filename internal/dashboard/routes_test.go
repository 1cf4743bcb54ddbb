package dashboard

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
)

// routeBook writes down what routes.go lists.
type routeBook map[string]func(*page) error

func (b routeBook) route(pattern string, _ access.Scope, f func(*page) error) { b[pattern] = f }
func (routeBook) public(string, func(*page) error)                            {}

// signedInRoutes are the routes of people who are signed in, without the page for everything else.
func signedInRoutes() routeBook {
	b := routeBook{}
	coreRoutes(b)
	activityRoutes(b)
	delete(b, "/")
	return b
}

// leastRoles says who may use a route: contract section 9.2 and the matrix of the members page, written down once more so that
// neither routes.go nor access.go vouches for itself. What changes something and is not here is for admins and owners, what only
// reads is for every member.
var leastRoles = map[string]access.Role{
	"POST /sign-out":                          access.Member, // everybody's own affairs
	"POST /reauthenticate":                    access.Member,
	"POST /settings/zone":                     access.Member,
	"POST /settings/live":                     access.Member,
	"POST /settings/profile":                  access.Member,
	"POST /settings/password":                 access.Member,
	"POST /settings/sessions/{id}/revoke":     access.Member,
	"POST /settings/sessions/others":          access.Member,
	"POST /help/receivers/check":              access.Member, // computes, and keeps nothing
	"GET /endpoints/pause":                    access.Admin,  // questions before a change
	"GET /endpoints/resume":                   access.Admin,
	"GET /endpoints/new":                      access.Admin,
	"GET /endpoints/{id}/recover":             access.Admin,
	"GET /endpoints/{id}/delete":              access.Admin,
	"GET /endpoints/{id}/secret/end-overlap":  access.Admin,
	"GET /keys/{id}/deactivate":               access.Admin,
	"GET /keys/{id}/reactivate":               access.Admin,
	"GET /deliveries/{id}/retry":              access.Admin,
	"GET /jobs/new":                           access.Admin,
	"GET /sessions/{id}/cancel":               access.Admin,
	"GET /api-keys":                           access.Admin, // what members need not see
	"GET /api-keys/{id}/delete":               access.Admin,
	"GET /audit":                              access.Admin,
	"GET /audit/export":                       access.Admin,
	"GET /queue":                              access.Admin,
	"GET /queue/{name}":                       access.Admin,
	"GET /queue/{name}/pause":                 access.Owner, // the installation's
	"GET /queue/{name}/tasks/{task}/run":      access.Owner,
	"GET /queue/{name}/tasks/{task}/archive":  access.Owner,
	"GET /queue/{name}/tasks/{task}/delete":   access.Owner,
	"POST /queue/{name}/tasks/{task}/archive": access.Owner,
	"POST /queue/{name}/tasks/{task}/run":     access.Owner,
	"POST /queue/{name}/tasks/{task}/delete":  access.Owner,
	"POST /queue/{name}/pause":                access.Owner,
	"POST /queue/{name}/resume":               access.Owner,
	"POST /endpoints/{id}/secret/reveal":      access.Owner, // secrets, people, the organization
	"GET /members/{id}/remove":                access.Owner,
	"POST /members/{id}/role":                 access.Owner,
	"POST /members/{id}/suspend":              access.Owner,
	"POST /members/{id}/restore":              access.Owner,
	"POST /members/{id}/remove":               access.Owner,
	"POST /members/invitations":               access.Owner,
	"POST /members/invitations/{id}/resend":   access.Owner,
	"POST /members/invitations/{id}/revoke":   access.Owner,
}

func leastRole(pattern string) access.Role {
	if least, ok := leastRoles[pattern]; ok {
		return least
	}
	if strings.HasPrefix(pattern, "POST ") {
		return access.Admin
	}
	return access.Member
}

// filled is every field of every form, so that a form that is let through does something.
var filled = []string{
	"name", "stolen", "url", endpointAddress, "confirm", "risk", "overlap", "0", "role", "member", "events", "verification.session.failed", "retention", "24", "enabled", "1",
	"label", "eu", "email", "thief@example.com", "scopes", "webhooks:read", "expires", "30", "environment", "theirs", "challenge", "kch_x", "then", "stage", "key_id", "theirs",
}

// filledFor are the fields that a form of that route needs beside those, or other than those.
func (f *furnished) filledFor(pattern string) []string {
	switch pattern {
	case "POST /keys/{id}/deactivate":
		return []string{"confirm", "risk-key"}
	case "POST /endpoints/{id}/keys":
		return []string{"keytext", f.publicKey}
	case "POST /jobs", "POST /jobs/preview":
		return []string{"id", f.ids["/deliveries/{id}"][0], "rate", "1"}
	case "POST /events/replay", "POST /events/preview":
		return []string{"id", f.ids["/events/{id}"][0]}
	case "POST /queue/{name}/tasks/{task}/run", "POST /queue/{name}/tasks/{task}/archive", "POST /queue/{name}/tasks/{task}/delete":
		return []string{"state", string(TaskRetry)}
	}
	return nil
}

// furnished is an organization that has one of everything a route can name.
type furnished struct {
	*world
	// ids are what stands for the {parts} of a pattern that begins so.
	ids map[string][]string
	// publicKey is one to add.
	publicKey string
}

func furnish(t *testing.T) *furnished {
	t.Helper()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	w.sender.answers(http.StatusServiceUnavailable, "busy")
	ev, found := w.of(w.fail())
	w.work()
	session := w.open()
	b := w.as(w.owner)
	key := fixture.Scalar[id.Key](t, w.db, "SELECT id FROM webhook_encryption_keys")
	b.get("/endpoints")
	b.post(keyPath(key) + "/challenge").is(http.StatusSeeOther)
	job := b.post("/jobs", append(b.get("/jobs/new?status=pending").is(http.StatusOK).hidden("/jobs"), "rate", "1")...).header.Get("Location")
	b.get("/members")
	b.post("/members/invitations", "email", "new@example.com", "role", "member").is(http.StatusOK)
	b.post("/api-keys", "name", "ci", "scopes", "webhooks:read", "expires", "90").is(http.StatusOK)
	w.handler.Queue = &fakeQueue{seen: w.clock.Now(), tasks: []QueueTask{{ID: "task-mine", Queue: "fresh", State: TaskRetry, Dues: []delivery.Due{{EndpointID: e.ID}}}}}
	public, _ := keyPair(t)
	return &furnished{world: w, publicKey: public, ids: map[string][]string{
		"/endpoints/{id}":           {e.ID.String()},
		"/keys/{id}":                {key.String()},
		"/deliveries/{id}":          {found[e.ID].ID.String()},
		"/events/{id}":              {ev.ID.String(), e.ID.String()},
		"/jobs/{id}":                {strings.TrimPrefix(job, "/jobs/")},
		"/sessions/{id}":            {session.ID.String()},
		"/queue/{name}":             {"fresh", "task-mine"},
		"/api-keys/{id}":            {fixture.Scalar[id.APIKey](t, w.db, "SELECT id FROM api_keys").String()},
		"/members/{id}":             {w.member.ID},
		"/members/invitations/{id}": {fixture.Scalar[id.Invitation](t, w.db, "SELECT id FROM invitations").String()},
		"/settings/sessions/{id}":   {fixture.Scalar[id.Login](t, w.db, "SELECT id FROM login_sessions ORDER BY id DESC LIMIT 1").String()},
	}}
}

var part = regexp.MustCompile(`\{[a-z]+\}`)

// address fills the parts of a pattern in.
func (f *furnished) address(pattern string) (method, path string) {
	f.t.Helper()
	method, path, _ = strings.Cut(pattern, " ")
	path = strings.TrimSuffix(path, "{$}")
	for begin, ids := range f.ids {
		if strings.HasPrefix(path, begin) {
			for _, v := range ids {
				if at := part.FindString(path); at != "" {
					path = strings.Replace(path, at, v, 1)
				}
			}
		}
	}
	if part.MatchString(path) {
		f.t.Fatalf("%s: say in furnish what its parts stand for", pattern)
	}
	return method, path
}

// state stands for everything that a form could change.
func (f *furnished) state() string {
	var all strings.Builder
	for _, table := range []string{
		"webhook_endpoints", "webhook_encryption_keys", "webhook_deliveries", "jobs", "verification_sessions", "memberships", "invitations", "events", "api_keys", "organizations", "users",
	} {
		all.WriteString(table + " " + fixture.Scalar[string](f.t, f.db, "SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM "+table+" AS t") + "\n")
	}
	return all.String()
}

// roles are a browser for each.
func (f *furnished) roles() map[access.Role]*browser {
	return map[access.Role]*browser{access.Owner: f.as(f.owner), access.Admin: f.as(f.admin), access.Member: f.as(f.member)}
}

// unchanged fails the test when something was changed since the state before.
func (f *furnished) unchanged(before string) {
	f.t.Helper()
	if after := f.state(); after != before {
		f.t.Errorf("a refused form changed something:\n%s\nbefore:\n%s", after, before)
	}
}

// TestRoutes_TheDoorAsksForTheRole knocks at every route with every role. The forms carry a wrong token, which is looked at after
// the role: so who may use one is stopped by that, and who may not by the role, before any room is entered.
func TestRoutes_TheDoorAsksForTheRole(t *testing.T) {
	t.Parallel()
	f, routes := furnish(t), signedInRoutes()
	for pattern := range leastRoles {
		if routes[pattern] == nil {
			t.Errorf("%s is no route any more", pattern)
		}
	}
	who := f.roles()
	doors := func() int {
		return fixture.Scalar[int](t, f.db, "SELECT count(*) FROM audit_logs WHERE event = 'access.denied' AND metadata ? 'missing'")
	}
	before := f.state()
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		method, path := f.address(pattern)
		least := leastRole(pattern)
		for role, b := range who {
			denied := doors()
			may := role.AtLeast(least)
			var a answer
			if method == http.MethodGet {
				a = b.get(path)
			} else {
				a = b.postAs(path, nil, append(slices.Clone(filled), "csrf_token", "of another page")...)
				if may && !strings.Contains(a.text(), errStaleForm.Message) {
					t.Errorf("%s as %s: a form with a wrong token got %d:\n%s", pattern, role, a.status, a.text())
				}
			}
			refused := a.status == http.StatusForbidden && strings.Contains(a.text(), "This needs the role "+string(least)+".")
			if refused == may {
				t.Errorf("%s as %s, which needs %s: got status %d:\n%s", pattern, role, least, a.status, a.text())
			}
			if refused && doors() != denied+1 {
				t.Errorf("%s as %s: the log does not tell of a refusal at the door", pattern, role)
			}
		}
	}
	f.unchanged(before)
}

// TestRoutes_NoFormIsTakenFromAnotherSite though it has the right token.
func TestRoutes_NoFormIsTakenFromAnotherSite(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	b := f.as(f.owner)
	before := f.state()
	for pattern := range signedInRoutes() {
		method, path := f.address(pattern)
		if method != http.MethodPost {
			continue
		}
		a := b.postAs(path, []string{"Sec-Fetch-Site", "cross-site"}, append(append(f.filledFor(pattern), filled...), "csrf_token", b.csrf)...)
		if a.status != http.StatusForbidden || !strings.Contains(a.text(), "came from another site") {
			t.Errorf("%s: status %d:\n%.300s", pattern, a.status, a.text())
		}
	}
	f.unchanged(before)
}

// harmless are forms that compute or find nothing to do: the door alone asks for the role.
var harmless = map[string]string{
	"POST /jobs/preview":              "counts",
	"POST /events/preview":            "counts",
	"POST /endpoints/{id}/keys/check": "judges a key",
	"POST /endpoints/{id}/resume":     "it is enabled already",
}

// TestRoutes_TheRoomAsksForTheRoleAgain takes the doors away: behind each, what changes something still refuses who may not.
func TestRoutes_TheRoomAsksForTheRoleAgain(t *testing.T) {
	t.Parallel()
	f, mux := furnish(t), http.NewServeMux()
	who := f.roles()
	for pattern, room := range signedInRoutes() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f.handler.serve(w, r, pattern, func(p *page) error {
				if err := errors.Join(p.signIn(), p.readForm()); err != nil {
					return err
				}
				return room(p)
			})
		})
	}
	doorless := *f.site
	doorless.server = httptest.NewServer(mux)
	t.Cleanup(doorless.server.Close)
	before := f.state()
	for pattern := range signedInRoutes() {
		method, path := f.address(pattern)
		least := leastRole(pattern)
		for role, b := range who {
			if method != http.MethodPost || harmless[pattern] != "" || role.AtLeast(least) {
				continue
			}
			inside := browser{t: t, site: &doorless, http: b.http, csrf: b.csrf}
			if a := inside.post(path, append(f.filledFor(pattern), filled...)...); a.status != http.StatusForbidden {
				t.Errorf("%s as %s, behind the door: got status %d:\n%s", pattern, role, a.status, a.text())
			}
		}
	}
	f.unchanged(before)
}

// common are routes whose parts name nothing of an organization.
var common = map[string]string{
	"GET /queue/{name}":         "one queue serves all organizations, and names of others only their number",
	"GET /queue/{name}/pause":   "as above",
	"POST /queue/{name}/pause":  "as above",
	"POST /queue/{name}/resume": "as above",
}

// TestRoutes_AnotherOrganizationsThingsAreNotFound comes to every route that names a thing as the owner of another organization.
func TestRoutes_AnotherOrganizationsThingsAreNotFound(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	b := f.stranger()
	before := f.state()
	hidden := []string{"risk", "hooks.example.com/risk", "new@example.com", f.member.Name}
	named := 0
	for pattern := range signedInRoutes() {
		if !part.MatchString(pattern) || common[pattern] != "" {
			continue
		}
		named++
		method, path := f.address(pattern)
		do := func() answer { return b.get(path) }
		if method == http.MethodPost {
			do = func() answer { return b.post(path, append(f.filledFor(pattern), filled...)...) }
		}
		if a := do(); a.status != http.StatusNotFound {
			t.Errorf("%s: got status %d, want 404:\n%s", pattern, a.status, a.text())
		} else {
			a.hides(hidden...)
		}
	}
	if named < 40 {
		t.Errorf("%d routes name a thing: the test looks in the wrong place", named)
	}
	// What is named beside the path is nothing that exists, either.
	for parameter, begin := range map[string]string{"endpoint": "/endpoints/{id}", "missed": "/endpoints/{id}", "key": "/keys/{id}", "target": "/endpoints/{id}", "q": "/deliveries/{id}", "after": "/events/{id}", "newest": "/events/{id}", "from": "/endpoints/{id}", "id": "/deliveries/{id}"} {
		for _, path := range []string{"/", "/find", "/endpoints", "/endpoints/new", "/deliveries", "/deliveries/new", "/deliveries/export", "/events", "/events/new", "/events/export", "/jobs/new", "/jobs", "/sessions", "/sessions/new", "/audit", "/help/receivers"} {
			b.get(path + "?" + parameter + "=" + f.ids[begin][0]).hides(hidden...)
		}
	}
	for _, path := range []string{"/jobs", "/jobs/preview", "/events/preview", "/events/replay", "/help/receivers/check"} {
		b.post(path, "id", f.ids["/deliveries/{id}"][0], "id", f.ids["/events/{id}"][0], "endpoint", f.ids["/endpoints/{id}"][0], "status", "failed", "rate", "1",
			"signature", "t=1,v1=00", "body", "a.b.c.d.e").hides(hidden...)
	}
	f.unchanged(before)
}

// secretForm is a secret that somebody could use.
var secretForm = regexp.MustCompile(`whsec_[a-z0-9]{32}|kk_[a-z0-9]{32}|/invitations/[A-Za-z0-9_-]{43}`)

// TestRoutes_NoCacheKeepsAnyOfThem: every answer forbids to keep it, whether or not it holds a secret, and one that is asked for
// by its address never holds one.
func TestRoutes_NoCacheKeepsAnyOfThem(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	b := f.as(f.owner)
	shown := 0
	for pattern := range signedInRoutes() {
		method, path := f.address(pattern)
		if pattern == "POST /sign-out" || strings.HasSuffix(pattern, "/revoke") {
			continue // the browser is needed, and so is what is named
		}
		a := b.get(path)
		if method == http.MethodPost {
			a = b.post(path, append(f.filledFor(pattern), filled...)...)
		}
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s has Cache-Control %q", pattern, got)
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Security-Policy") != contentPolicy {
			t.Errorf("%s has not our headers: %v", pattern, a.header)
		}
		switch found := secretForm.FindString(a.body); {
		case found != "" && method == http.MethodGet:
			t.Errorf("%s shows a secret", pattern)
		case found != "":
			shown++
		}
		b.get("/") // the token of the next form
	}
	if shown < 4 {
		t.Errorf("%d forms were answered with a secret: the test does not reach them", shown)
	}
}
