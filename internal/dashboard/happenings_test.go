package dashboard

import (
	"html"
	"net/http"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/ui"
)

func TestReachOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	whd := id.Delivery{}
	reason := func(r delivery.RetentionReason) *delivery.RetentionReason { return &r }
	sent := event.Route{Decision: event.Delivered, DeliveryID: &whd}
	skipped := event.Route{Decision: event.Skipped}
	succeeded := delivery.Delivery{Status: delivery.Succeeded}
	retrying := delivery.Delivery{Status: delivery.Pending, NextAttemptAt: &now, AttemptCount: 2}
	waiting := delivery.Delivery{Status: delivery.Pending}
	failed := delivery.Delivery{Status: delivery.Failed, AttemptCount: 8, PayloadRetentionReason: reason(delivery.Expired)}
	withdrawn := delivery.Delivery{Status: delivery.Failed, PayloadRetentionReason: reason(delivery.PrivacyRequest)}
	tests := map[string]struct {
		routing    event.Routing
		deliveries []delivery.Delivery
		words      string
		tone       ui.Tone
		label      string
	}{
		"nobody there":  {nil, nil, "no endpoint existed", ui.Neutral, "No endpoint"},
		"all skipped":   {event.Routing{skipped, skipped}, nil, "2 skipped", ui.Neutral, "No endpoint"},
		"all have it":   {event.Routing{sent, sent}, []delivery.Delivery{succeeded, succeeded}, "2 delivered", ui.OK, "Delivered"},
		"retrying":      {event.Routing{sent, sent, skipped}, []delivery.Delivery{succeeded, retrying}, "1 delivered, 1 retrying, 1 skipped", ui.Warn, "Retrying"},
		"waiting":       {event.Routing{sent, sent}, []delivery.Delivery{succeeded, waiting}, "1 delivered, 1 waiting", ui.Info, "Waiting"},
		"one failed":    {event.Routing{sent, sent}, []delivery.Delivery{succeeded, failed}, "1 delivered, 1 failed", ui.Bad, "Partly failed"},
		"all failed":    {event.Routing{sent}, []delivery.Delivery{failed}, "1 failed", ui.Bad, "Failed"},
		"all withdrawn": {event.Routing{sent}, []delivery.Delivery{withdrawn}, "1 withdrawn", ui.Neutral, "Withdrawn"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := reachOf(tc.routing, tc.deliveries, now)
			if r.words() != tc.words {
				t.Errorf("got %q, want %q", r.words(), tc.words)
			}
			if b := r.badge(); b.Tone != tc.tone || b.Label != tc.label {
				t.Errorf("got badge %s %q, want %s %q", b.Tone, b.Label, tc.tone, tc.label)
			}
			if m := r.meter(); m.Total != len(tc.routing) {
				t.Errorf("the meter is of %d endpoints, want %d", m.Total, len(tc.routing))
			}
		})
	}
}

func TestEvents_ListAndRouting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	b.get("/events").is(http.StatusOK).shows("No event yet")
	w.endpoint("risk", false)
	w.endpoint("keyless", true)
	name, types := "expiry-only", []string{string(event.SessionExpired)}
	_, _, err := w.handler.Webhooks.CreateEndpoint(t.Context(), w.owner, webhook.NewEndpoint{Name: &name, URL: "https://hooks.example.com/expiry", EventTypes: types})
	w.check(err)
	off := false
	paused, _ := w.endpoint("paused", false)
	_, err = w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, paused.ID, webhook.EndpointChange{Enabled: &off})
	w.check(err)
	s := w.fail()
	ev, found := w.of(s)
	w.work()
	w.succeed()

	b.get("/events").is(http.StatusOK).shows("Partly failed", "1 delivered, 1 failed, 2 skipped", "session.failed", "session.succeeded")
	b.get("/events?type=verification.session.failed").is(http.StatusOK).shows("1 delivered, 1 failed, 2 skipped").hides("1 waiting, 1 failed")
	b.get("/events?q="+s.ID.String()).is(http.StatusOK).shows(ev.ID.String(), "Search:")
	b.get("/events?type=verification.session.expired").is(http.StatusOK).shows("No events match 1 filter")
	b.get("/events?q=" + ev.ID.String()).redirects("/find?q=" + ev.ID.String())
	b.fragment("/events").is(http.StatusOK).hides("<html")

	path := "/events/" + ev.ID.String()
	b.get(path).is(http.StatusOK).shows(
		"4 endpoints existed at", "The endpoint subscribes to this type of event.", "Nothing could be encrypted for the endpoint.",
		"The endpoint does not subscribe to this type of event.", "The endpoint was paused at that time.", "Add a key", s.ID.String(), "No delivery of this event can be sent again now.")
	for e := range found {
		b.fragment(path + "/routes/" + e.String()).is(http.StatusOK).hides("<table")
	}
	b.fragment(path + "/routes/whe_01h455vb4pex5vsknk084sn02q").is(http.StatusNotFound)
	w.stranger().get(path).is(http.StatusNotFound)
}

// TestEvent_ALineTellsTheRest: with the line of a delivery comes what the page says of all of them, once and not at every poll.
func TestEvent_ALineTellsTheRest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	ev, _ := w.of(w.fail())
	b := w.as(w.owner)
	path := "/events/" + ev.ID.String()
	a := b.get(path).is(http.StatusOK).shows("1 waiting", "Replay to 1 endpoint").hides("gone since")
	poll := html.UnescapeString(a.find(`hx-get="(` + path + `/routes/[^"]+)"`))
	b.fragment(poll).is(http.StatusNoContent)
	w.work()
	b.fragment(poll).is(http.StatusOK).shows(
		"Succeeded", `<hx-partial hx-target=".head" hx-swap="outerHTML">`, "No delivery of this event can be sent again now.",
		`<hx-partial hx-target=".verdict" hx-swap="outerHTML">`, "Delivered to 1 endpoint.", `<hx-partial hx-target="#payload"`, "none held", "gone since ").hides("hx-get", "<html")
	b.get(path).is(http.StatusOK).shows("none held", "gone since ").hides(poll)
}

// TestEvent_ATestIsForOneEndpoint: the others have not missed it, and there is no session in which its outcome could be read.
func TestEvent_ATestIsForOneEndpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	w.endpoint("billing", false)
	test, err := w.handler.Deliveries.SendTest(t.Context(), w.admin, e.ID)
	w.check(err)
	missed := "Its server can read the session over the API."
	b := w.as(w.owner)
	b.get("/events/"+test.ID.String()).is(http.StatusOK).shows("billing", "Not targeted").hides(missed)
	_, err = w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, e.ID, webhook.EndpointChange{Enabled: new(bool)})
	w.check(err)
	ev, _ := w.of(w.fail())
	b.get("/events/"+ev.ID.String()).is(http.StatusOK).shows("Paused", missed)
}

func TestReplayEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.endpoint("billing", false)
	w.endpoint("keyless", true)
	ev, _ := w.of(w.fail())
	path := "/events/" + ev.ID.String()
	w.sender.answers(http.StatusInternalServerError, "")
	w.exhaust()
	b := w.as(w.admin)
	b.get(path).is(http.StatusOK).shows("3 failed", "Replay to 2 endpoints", "Retry the delivery to risk")
	m := w.as(w.member)
	m.get(path).is(http.StatusOK).shows("Retry the delivery to risk: Needs the role admin.").hides("/retry", "/replay")
	m.post(path + "/replay").is(http.StatusForbidden)
	w.stranger().post(path + "/replay").is(http.StatusNotFound)

	b.post(path + "/replay").redirects(path)
	b.get(path).shows("Replayed: 2 deliveries are due now.", "1 delivery was left alone", "2 waiting, 1 failed")
	b.post(path + "/replay").redirects(path) // what waits is made due again, and nothing is sent twice
	w.sender.answers(http.StatusOK, "")
	w.work()
	b.get(path).shows("2 delivered, 1 failed")
	b.post(path+"/replay").is(http.StatusConflict).shows("no longer held", "Nothing was changed.")
	if a := b.postAs(path+"/replay", []string{"HX-Request", "true"}, "csrf_token", b.csrf); a.status != http.StatusConflict || a.header.Get("HX-Retarget") != "#toasts" {
		t.Errorf("htmx gets %d, retargeted to %q", a.status, a.header.Get("HX-Retarget"))
	}
	if n := fixture.Audited(t, w.db, w.org, "webhook_event.replayed"); n != 2 {
		t.Errorf("%d replays are audited, want 2", n)
	}
}

func TestSessions_ListDetailAndCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	b.get("/sessions").is(http.StatusOK).shows("No session yet", "/v1/sessions")
	w.endpoint("risk", false)
	open, failed, done := w.open(), w.fail(), w.succeed()
	w.work()
	w.endpoint("keyless", true)
	b.get("/sessions/"+w.succeed().ID.String()).is(http.StatusOK).shows("All checks passed; 1 delivery of its event failed.", "1 waiting, 1 failed")
	b.get("/sessions").is(http.StatusOK).shows("no event yet", "document_<wbr>anti_<wbr>cloning_<wbr>attestation_<wbr>failed", "1 delivered", `data-label="Targets">all</td>`).hides("MARKERNAME")
	b.get("/sessions?status=created").is(http.StatusOK).shows(open.ID.String()).hides(failed.ID.String())
	b.get("/sessions?status=expired").is(http.StatusOK).shows("No sessions match 1 filter")
	b.get("/sessions?q=" + done.ID.String()).redirects("/find?q=" + done.ID.String())

	b.get("/sessions/"+failed.ID.String()).is(http.StatusOK).shows("A check failed (nfc)", "routed: 1 delivered", "Succeeded", "nfc 0 of 3").hides("Cancel session")
	b.get("/sessions/"+done.ID.String()).is(http.StatusOK).shows("All checks passed.", "family_name", "Values are never stored here").hides("MARKERNAME")
	path := "/sessions/" + open.ID.String()
	b.get(path).is(http.StatusOK).shows("No event yet", "It is open until", "Cancel session…")
	b.fragment(path).is(http.StatusOK).shows("Expires").hides("<html", "<hx-partial")

	m := w.as(w.member)
	m.get(path).is(http.StatusOK).shows("Needs the role admin.")
	m.get(path + "/cancel").is(http.StatusForbidden)
	m.post(path + "/cancel").is(http.StatusForbidden)
	x := w.stranger()
	x.get(path).is(http.StatusNotFound)
	x.post(path + "/cancel").is(http.StatusNotFound)

	b.get(path+"/cancel").is(http.StatusOK).shows("Cancel this session?", "Keep it open")
	b.post(path + "/cancel").redirects(path)
	b.get(path).shows("The session is cancelled.", "Cancelled by "+w.owner.Name)
	// Whoever had it open is not offered to cancel it any more.
	b.fragment(path).is(http.StatusOK).shows(`<hx-partial hx-target=".head" hx-swap="outerHTML">`, "Cancelled").hides("Cancel session…", "<html", "Live, updated")
	b.post(path + "/cancel").redirects(path)
	b.get(path).shows("had ended already")
	b.get(path + "/cancel").redirects(path)
	if n := fixture.Audited(t, w.db, w.org, "session.cancelled"); n != 1 {
		t.Errorf("%d cancellations are audited, want 1", n)
	}
	late := w.open()
	w.clock.Advance(verification.TTL)
	b.post("/sessions/" + late.ID.String() + "/cancel").redirects("/sessions/" + late.ID.String())
	b.get("/sessions/" + late.ID.String()).shows("ended before it could be cancelled: expired")
}

// TestSessions_TellsHowManyAreNew without moving a row, and within the filter.
func TestSessions_TellsHowManyAreNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.member)
	empty := b.get("/sessions").is(http.StatusOK).shows("No session yet", "API reference", "Pause").find(`hx-get="(/sessions/new[^"]*)"`)
	b.fragment(empty).is(http.StatusNoContent)
	w.clock.Advance(time.Second)
	w.open()
	b.fragment(empty).is(http.StatusOK).shows("1 new session: show")
	b.fragment(b.get("/sessions").find(`hx-get="(/sessions/new[^"]*)"`)).is(http.StatusNoContent)
	failed := b.get("/sessions?status=failed").is(http.StatusOK).find(`hx-get="(/sessions/new[^"]*)"`)
	w.clock.Advance(time.Second)
	w.open()
	b.fragment(failed).is(http.StatusNoContent)
	w.fail()
	if show := b.fragment(failed).is(http.StatusOK).shows("1 new session: show").find(`class="newrows" href="([^"]+)"`); show != "/sessions?status=failed" {
		t.Errorf("they are shown at %q", show)
	}
	b.get("/sessions?live=0").is(http.StatusOK).shows("Resume").hides("/sessions/new")
	w.stranger().fragment(empty).is(http.StatusNoContent)
}

// TestEvents_TellsHowManyAreNew does so within the filter, too.
func TestEvents_TellsHowManyAreNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.member)
	poll := func(list string) string { return b.get(list).is(http.StatusOK).find(`hx-get="(/events/new[^"]*)"`) }
	empty, cancelled := poll("/events"), poll("/events?type=verification.session.cancelled")
	b.fragment(empty).is(http.StatusNoContent)
	w.fail()
	b.fragment(empty).is(http.StatusOK).shows("1 new event: show")
	b.fragment(cancelled).is(http.StatusNoContent)
	newest := poll("/events")
	b.fragment(newest).is(http.StatusNoContent)
	w.clock.Advance(time.Second)
	w.fail()
	b.fragment(newest).is(http.StatusOK).shows("1 new event: show")
	w.stranger().fragment(empty).is(http.StatusNoContent)
}

func TestSession_NobodyReceivesItsEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.fail()
	a := w.as(w.member).get("/sessions/"+s.ID.String()).is(http.StatusOK).shows("Sent to nobody", "no endpoint existed", "See the routing")
	if strings.Contains(a.body, "hx-trigger=\"every 5s\"") {
		t.Error("a session that has ended polls")
	}
}
