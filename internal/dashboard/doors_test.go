package dashboard

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/webhook"
)

// TestOverview_OfOneLabel: the figures, and the lists behind them, are those of the endpoints with the label.
func TestOverview_OfOneLabel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.member)
	w.endpoint("risk", false)
	b.get("/").is(http.StatusOK).hides("Endpoints of the figures")
	ledger, _ := w.endpoint("ledger", false)
	labels := []string{"EU"}
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, ledger.ID, webhook.EndpointChange{Labels: &labels})
	w.check(err)
	w.fail()
	w.work()
	w.sender.answers(http.StatusInternalServerError, "")
	w.fail()
	w.work()
	delivered := func(path string) string {
		return b.get(path).is(http.StatusOK).find(`(?s)Delivered</span>.*?class="tile-num">\s*([0-9,]+)`)
	}
	if got := delivered("/"); got != "2" {
		t.Errorf("%s are delivered in all, want 2", got)
	}
	if got := delivered("/?label=eu"); got != "1" {
		t.Errorf("%s are delivered with the label, want 1", got)
	}
	b.get("/?label=eu&range=7d").is(http.StatusOK).shows("Endpoints of the figures", "/deliveries?from=", "label=eu", "/endpoints?label=eu", `name="range" value="7d"`, "ledger").hides(">risk<")
	b.get("/?label=nowhere").is(http.StatusOK).shows("No endpoint carries the label “nowhere”", "Show all endpoints")
}

// TestDoors are the ways on from where somebody is: each leads to what it names.
func TestDoors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	off := false
	paused, _ := w.endpoint("paused", false)
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, paused.ID, webhook.EndpointChange{Enabled: &off})
	w.check(err)
	w.clock.Advance(time.Second)
	ev, deliveries := w.of(w.fail())
	w.sender.answers(http.StatusInternalServerError, "")
	w.work()
	b, m := w.as(w.admin), w.as(w.member)
	path := "/events/" + ev.ID.String()
	b.get(path).is(http.StatusOK).shows("Nothing was encrypted for this endpoint")
	m.get(path).is(http.StatusOK).hides("Nothing was encrypted for this endpoint")

	delivery := "/deliveries/" + deliveries[e.ID].ID.String()
	attempt := delivery + "?attempt=" + b.get(delivery).is(http.StatusOK).find(`(wha_[a-z0-9]+)`)
	b.get(attempt).is(http.StatusOK).shows(`href="/queue#workers-t"`)
	m.get(attempt).is(http.StatusOK).hides(`href="/queue#workers-t"`)

	entry := b.get("/audit?event=webhook_endpoint.created").is(http.StatusOK).find(`<a class="plain" href="(/find\?q=aud_[a-z0-9]+)"`)
	b.reader(entry).sees(http.StatusOK, `id="`+entry[len("/find?q="):]+`"`)

	for _, page := range []string{"/deliveries", "/events", "/queue"} {
		b.get(page).is(http.StatusOK).find(`(?s)<noscript>\s*<a class="btn btn-sm" href="(` + page + `)">`)
	}
}

// TestNavigation_ItsNumberIsADoor: what failed lately is counted on every page, and the number leads to just that.
func TestNavigation_ItsNumberIsADoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.endpoint("keyless", true)
	w.fail() // blocked at one endpoint, long ago
	w.clock.Advance(25 * time.Hour)
	b := w.as(w.member)
	b.get("/settings").is(http.StatusOK).hides("nav-count")
	w.clock.Advance(time.Minute)
	for range 2 {
		w.fail()
	}
	for _, page := range []string{"/settings", "/deliveries"} {
		a := b.get(page).is(http.StatusOK)
		if n := a.find(`(?s)class="nav-count tone-bad"[^>]*>\s*([0-9+]+)\s*<span class="vh">failed in 24 h</span>`); n != "2" {
			t.Errorf("%s counts %s", page, n)
		}
		list := b.get(a.find(`class="nav-count tone-bad" href="([^"]+)"`)).is(http.StatusOK)
		if n := strings.Count(list.body, "<tr") - 1; n != 2 {
			t.Errorf("behind the number of %s are %d deliveries", page, n)
		}
	}
}
