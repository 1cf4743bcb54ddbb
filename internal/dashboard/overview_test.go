package dashboard

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
)

// rollup inserts what happened at an endpoint in an hour: attempts with one outcome, all of them first ones.
func (s *site) rollup(endpoint string, hour time.Time, kind string, code, attempts int) {
	s.t.Helper()
	e, err := id.Parse[id.EndpointKind](endpoint)
	if err != nil {
		s.t.Fatal(err)
	}
	succeeded, failed := attempts, 0
	if kind != "" {
		succeeded, failed = 0, attempts
	}
	fixture.Exec(s.t, s.db, `INSERT INTO delivery_rollups (organization_id, webhook_endpoint_id, hour, error_kind, status_code, slot, attempts, first_attempts, succeeded, failed, latency)
		VALUES ($1, $2, $3, $4, $5, 0, $6, $6, $7, $8, array_fill(0, ARRAY[15]) || $6::int || array_fill(0, ARRAY[12]))`,
		s.org, e, hour, kind, code, attempts, succeeded, failed)
}

func TestOverview_FiguresAndWhatNeedsAttention(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	calm, _ := b.createEndpoint("Ledger")
	b.addKey(path, "k1")
	hour := s.clock.Now().Truncate(time.Hour)
	endpoint := strings.TrimPrefix(path, "/endpoints/")
	s.rollup(endpoint, hour.Add(-5*time.Hour), "", 200, 1900)
	s.rollup(endpoint, hour.Add(-4*time.Hour), "http_status", 503, 100)
	s.rollup(endpoint, hour.Add(-72*time.Hour), "tls", 0, 7)

	a := b.get("/").is(http.StatusOK).shows(
		"1,900", "95.0", "below the target of 99 %", "Risk engine", "is degraded: 95.0 % of first attempts", "Ledger", "has no active key",
		"2 open", "2 of 6 done", "2,000 first attempts in 24 hours, 100 not 2xx", "503")
	if strings.Index(a.body, "has no active key") > strings.Index(a.body, "is degraded") {
		t.Error("the worst is not first")
	}
	a.hides("TLS")
	b.get("/?range=7d").is(http.StatusOK).shows("TLS", "2,007 first attempts in 7 days")
	b.get("/?range=1h").is(http.StatusOK).shows("Nothing was sent in the last hour.")
	b.get(path+"?range=24h").is(http.StatusOK).shows("This endpoint is degraded", "Response codes", "2xx", "503")
	b.get("/endpoints?health=degraded").shows("95.0 %", "Risk engine").hides("Ledger")

	// The attention block answers nothing while nothing changed.
	poll := a.find(`hx-get="(/attention\?seen=[^"]+)"`)
	b.fragment(poll).is(http.StatusNoContent)
	b.addKey(calm, "k1")
	b.fragment(poll).is(http.StatusOK).shows("1 open", "is degraded").hides("has no active key", "Skip to content")

	// A member reads the same, without what they cannot do.
	s.as(fixture.User(t, s.db, s.org, access.Member)).get("/").is(http.StatusOK).shows("1,900").hides("Set-up checklist", "Add a key")
}

func TestPreferences_PauseIsRememberedForThePerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	colleague := w.as(fixture.User(t, w.db, w.org, access.Member))
	b.get("/deliveries").is(http.StatusOK).shows("Pause live updates", "/deliveries/new")
	b.post("/settings/live", "live", "0", "return", "/deliveries?code=503").redirects("/deliveries?code=503")
	for _, path := range []string{"/deliveries", "/events"} {
		b.get(path).is(http.StatusOK).shows("Resume live updates").hides(path + "/new")
	}
	b.get("/").is(http.StatusOK).shows("Resume live updates").hides("/attention?")
	b.get("/?range=7d").is(http.StatusOK).shows("Reload every 10 seconds", "/?live=1&range=7d").hides("http-equiv")
	b.get("/?live=1&range=7d").is(http.StatusOK).shows(`<noscript><meta http-equiv="refresh" content="10"></noscript>`, "Stop reloading")
	b.get("/?live=1&range=7d").is(http.StatusOK).shows("/attention?live=1", "Pause live updates", `name="return" value="/?range=7d"`)
	b.get("/queue").is(http.StatusOK).shows("Resume live updates")
	// One page can differ, and the choice of another page or person is not touched by that.
	b.get("/deliveries?live=1&code=503").is(http.StatusOK).shows("/deliveries/new", `name="return" value="/deliveries?code=503"`)
	b.get("/deliveries").hides("/deliveries/new")
	colleague.get("/deliveries").is(http.StatusOK).shows("/deliveries/new")
	// Filters change the address of a page without loading it: the browser's own one counts.
	filtered := []string{"Referer", w.server.URL + "/deliveries?live=1&status=failed&type=webhook.test"}
	b.get("/deliveries")
	b.postAs("/settings/live", filtered, b.identified([]string{"live", "0", "return", "/deliveries"})...).redirects("/deliveries?status=failed&type=webhook.test")
	b.postAs("/settings/zone", filtered, b.identified([]string{"zone", "utc", "return", "/deliveries?code=503"})...).redirects("/deliveries?status=failed&type=webhook.test")
	b.postAs("/settings/zone", filtered, b.identified([]string{"zone", "utc", "return", "/events"})...).redirects("/events") // as on the answer to a form
	// The settings show it and change it.
	b.get("/settings").is(http.StatusOK).shows("Pages update themselves")
	b.post("/settings/profile", "live", "1", "shortcuts", "1").redirects("/settings")
	b.get("/deliveries").shows("/deliveries/new")
	b.post("/settings/profile", "shortcuts", "1").redirects("/settings")
	b.get("/deliveries").hides("/deliveries/new")
	b.post("/settings/live", "live", "1", "return", "https://evil.example/").redirects("/")
	b.get("/deliveries").shows("/deliveries/new")
}

func TestPreferences_ZoneSwitchComesBackToThePage(t *testing.T) {
	t.Parallel()
	s := newOrg(t)
	b := s.as(s.owner)
	path, _ := b.createEndpoint("Risk engine")
	b.get(path).shows("2026-03-02 09:30:00.000 UTC")
	b.post("/settings/zone", "zone", "local", "return", path+"?range=7d").redirects(path + "?range=7d")
	b.get(path).shows("2026-03-02 09:30:00.000 UTC", "is not known yet")
	b.get(path, "Cookie", "").is(http.StatusOK)
	oslo := b.request(http.MethodGet, path, nil)
	oslo.AddCookie(&http.Cookie{Name: zoneCookie, Value: "Europe%2FOslo"})
	b.do(oslo).is(http.StatusOK).shows("2026-03-02 10:30:00.000 CET", "Europe/Oslo")
	b.post("/settings/zone", "zone", "utc", "return", "https://evil.example/").redirects("/")
}
