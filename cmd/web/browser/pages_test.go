package browser_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
)

// visitPages looks at every page of the installation that has a history.
func visitPages(t *testing.T, s *suite) {
	t.Helper()
	b := s.signIn(t, s.base, s.email, s.password)
	page := func(name, path string) {
		b.visit(path)
		b.check(name)
	}
	failing := func(status int, name, path string) {
		b.expect(status).visit(path)
		b.check(name)
	}
	watching := s.signIn(t, s.base, s.email, s.password) // polls meanwhile
	listening := s.signIn(t, s.base, s.email, s.password)
	listening.visit("/events")
	waiting := s.signIn(t, s.base, s.email, s.password)
	waiting.visit("/sessions")
	page("overview", "/")
	b.do("open the tables behind the charts", chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("main details").forEach((d) => { d.open = true })`))
	b.check("overview, figures as tables")
	page("overview of a month", "/?range=30d")

	page("endpoints", "/endpoints")
	page("endpoints, no match", "/endpoints?q=nothing-like-this")
	page("new endpoint", "/endpoints/new")
	endpoint := b.link("/endpoints?q=Onboarding", "#results a.lead")
	page("endpoint", endpoint)
	for _, tab := range []string{"overview", "deliveries", "keys", "secret", "settings", "activity", "delete"} {
		if tab == "overview" {
			b.visit(endpoint + "/" + tab)
			b.check("endpoint")
			continue
		}
		page("endpoint, "+tab, endpoint+"/"+tab)
	}
	page("endpoint, deliveries, no match", endpoint+"/deliveries?q=whd_nothing")
	keyless := b.link("/endpoints?q=warehouse", "#results a.lead")
	page("endpoint without key", keyless)
	page("endpoint without key, keys", keyless+"/keys")
	broken := b.link("/endpoints?q=Risk", "#results a.lead")
	page("broken endpoint", broken)
	page("deactivate key", b.link(endpoint+"/keys", "a[href$='/deactivate']"))

	page("deliveries", "/deliveries")
	page("deliveries, no match", "/deliveries?q=whd_nothing")
	for _, status := range []string{"failed", "succeeded", "waiting"} {
		page("delivery, "+status, b.link("/deliveries?status="+status, "#results a[href^='/deliveries/whd_']"))
	}
	page("events", "/events")
	page("event", b.link("/events", "#results a[href^='/events/evt_']"))
	page("sessions", "/sessions")
	page("session", b.link("/sessions", "#results a[href^='/sessions/vs_']"))
	page("queue", "/queue")
	page("API keys", "/api-keys")
	page("members", "/members")
	page("audit log", "/audit")
	page("audit log, a text", "/audit?q=Old+CRM")
	page("audit log, no match", "/audit?q=nothing-like-this")
	page("settings", "/settings")
	page("help for receivers", "/help/receivers")
	page("reauthenticate", "/reauthenticate")
	failing(http.StatusNotFound, "no such page", "/no/such/page")
	failing(http.StatusNotFound, "no such delivery", "/deliveries/whd_00000000000000000000000000")
	eventually(t, "the overview polls what needs attention", func() bool { return s.routes.did("GET /attention") })
	watching.quiet("the overview, left open")
	eventually(t, "the list of events polls", func() bool { return s.routes.did("GET /events/new") })
	listening.quiet("the list of events, left open")
	eventually(t, "the list of sessions polls", func() bool { return s.routes.did("GET /sessions/new") })
	waiting.quiet("the list of sessions, left open")
}
