package dashboard

import (
	"crypto/md5"
	"encoding/csv"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

// TestRecover_TakesWhatFailedSinceThen is a receiver that was down twice: only what failed in the second outage is sent again,
// though it was created before.
func TestRecover_TakesWhatFailedSinceThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	other, _ := w.endpoint("ledger", false)
	path := "/endpoints/" + e.ID.String()
	b := w.as(w.admin)
	b.get(path+"/recover").is(http.StatusOK).shows("Recover what failed", "No delivery of this scope can be sent again now.", "No event since then passed it by")
	w.sender.answers(http.StatusInternalServerError, "")
	run := func() {
		for range 8 {
			w.work()
			w.clock.Advance(11*time.Hour + time.Minute)
		}
	}
	w.fail()
	run()
	_, deliveries := w.of(w.fail())
	created := w.clock.Now()
	w.work()
	w.clock.Advance(time.Minute)
	since := w.clock.Now()
	run()
	late := deliveries[e.ID].ID.String()

	b = w.as(w.admin) // a day has passed
	b.get(path).is(http.StatusOK).shows(path+"/recover", "Recover…")
	address := path + "/recover?since=" + since.UTC().Format("2006-01-02T15:04:05Z")
	preview := b.get(address).is(http.StatusOK).shows("Retry 1 delivery", "endpoint risk, ", "failed since")
	if got := preview.find(`(?s)Matched.*?<td[^>]*>([0-9,]+)</td>`); got != "1" {
		t.Errorf("%s deliveries failed since then, want 1", got)
	}
	if since.Before(created) {
		t.Fatal("the test must look back to after the creation")
	}
	b.get(path + "/recover?since=yesterday").is(http.StatusUnprocessableEntity).shows("That is not a time")
	b.get(path+"/recover").is(http.StatusOK).shows("Failed since", "24 h")

	a := b.post("/jobs", append(b.get(address).hidden("/jobs"), "rate", "100")...)
	job := a.header.Get("Location")
	a.redirects(job)
	b.get(job).is(http.StatusOK).shows("failed since", "of 1 visited")
	for range 3 {
		w.clock.Advance(time.Second)
		_, err := w.handler.Deliveries.RunJobs(t.Context(), 100)
		w.check(err)
	}
	var due []string
	w.check(w.db.Reader(t.Context()).Raw("SELECT webhook_endpoint_id::text FROM webhook_deliveries WHERE status = 'pending'").Scan(&due).Error)
	if len(due) != 1 || due[0] != e.ID.UUID.String() {
		t.Errorf("due are deliveries to %v, want one to %s and none to %s", due, e.ID.UUID, other.ID.UUID)
	}
	b.get("/deliveries/" + late).is(http.StatusOK).shows("Attempt 1 of run 2 is due now.")
	if n := fixture.Audited(t, w.db, w.org, "webhook_job.created"); n != 1 {
		t.Errorf("the recovery is audited %d times", n)
	}

	// What was blocked has failed without an attempt.
	fixture.Exec(t, w.db, "UPDATE webhook_encryption_keys SET is_active = false, disabled_at = $1 WHERE webhook_endpoint_id = $2", w.clock.Now(), e.ID)
	w.fail()
	if got := b.get(path + "/recover").is(http.StatusOK).find(`(?s)Never encrypted.*?<td[^>]*>\s*<a [^>]*>([0-9,]+)</a>\s*</td>`); got != "1" {
		t.Errorf("%s deliveries were never encrypted, want 1", got)
	}

	off := false
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, e.ID, webhook.EndpointChange{Enabled: &off})
	w.check(err)
	b.get(path + "/recover").is(http.StatusOK).shows("is paused: resume it first")
	w.as(w.member).get(path + "/recover").is(http.StatusForbidden)
	w.stranger().get(path + "/recover").is(http.StatusNotFound)
}

// TestRecover_SaysExactlyWhatWasMissedWhilePaused pauses an endpoint, lets things happen, and resumes it: the page and the list
// behind its link name the events that it would have got, and no others.
func TestRecover_SaysExactlyWhatWasMissedWhilePaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	other, _ := w.endpoint("ledger", false)
	path := "/endpoints/" + e.ID.String()
	change := func(c webhook.EndpointChange) {
		t.Helper()
		_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, e.ID, c)
		w.check(err)
	}
	on, off := true, false
	happen := func(s verification.Session) string {
		evt, _ := w.of(s)
		w.clock.Advance(10 * time.Second)
		return evt.ID.String()
	}
	targeted := func(endpoint id.Endpoint) verification.Session {
		t.Helper()
		s, _, err := w.handler.Sessions.Create(t.Context(), w.engine, verification.NewSession{Targets: []string{endpoint.String()}})
		w.check(err)
		_, err = w.handler.Sessions.ReportFailure(t.Context(), w.engine, s.ID, verification.DocumentAntiCloningAttestationFailed)
		w.check(err)
		return s
	}
	var missed, got []string
	subscribed := []string{string(event.SessionFailed)}
	change(webhook.EndpointChange{EventTypes: &subscribed, Enabled: &off})
	early := happen(w.fail())
	w.clock.Advance(2 * time.Minute)
	since := w.clock.Now()
	change(webhook.EndpointChange{Enabled: &on})
	got = append(got, happen(w.fail()))
	toBoth := func() verification.Session {
		t.Helper()
		s, _, err := w.handler.Sessions.Create(t.Context(), w.engine, verification.NewSession{Targets: []string{e.ID.String(), other.ID.String()}})
		w.check(err)
		return s
	}()
	change(webhook.EndpointChange{Enabled: &off})
	missed = append(missed, happen(w.fail()))
	got = append(got, happen(w.succeed())) // a type that it does not subscribe to
	got = append(got, happen(targeted(other.ID)))
	_, err := w.handler.Sessions.ReportFailure(t.Context(), w.engine, toBoth.ID, verification.DocumentAntiCloningAttestationFailed)
	w.check(err)
	missed = append(missed, happen(toBoth))
	w.clock.Advance(time.Minute)
	b := w.as(w.admin)
	address := path + "/recover?since=" + since.UTC().Format(formTime)
	b.get(address).is(http.StatusOK).shows("2 events were missed while it was paused")
	change(webhook.EndpointChange{Enabled: &on})
	got = append(got, happen(w.fail()))

	page := b.get(address).is(http.StatusOK).shows("2 events were missed while it was paused", "GET /v1/sessions/{id}", "See 2 missed events")
	door := page.find(`href="(/events\?[^"]*missed=[^"]*)"`)
	list := b.get(door).is(http.StatusOK).shows("Missed while paused: risk", "2 events").shows(missed...).hides(got...).hides(early)
	list.find(`(name="missed" value="[^"]+")`) // another filter keeps this one
	b.get(strings.Replace(door, "from=", "x=", 1)).is(http.StatusOK).shows(append(missed, early)...).hides(got...)
	b.get(door + "&outcome=waiting").is(http.StatusOK).shows(missed...).hides(got...) // the other endpoint has them still
	b.get(door + "&outcome=none").is(http.StatusOK).hides(append(missed, got...)...)
	b.get(door + "&type=" + string(event.SessionSucceeded)).is(http.StatusOK).hides(append(missed, got...)...)
	if export := b.get(strings.Replace(door, "/events?", "/events/export?format=csv&", 1)).is(http.StatusOK).body; strings.Count(export, "evt_") != 2 || !strings.Contains(export, missed[0]) || !strings.Contains(export, missed[1]) {
		t.Errorf("exported is %s", export)
	}
	b.get("/endpoints/" + other.ID.String() + "/recover").is(http.StatusOK).shows("No event since then passed it by")
	b.get("/events?missed=whe_nobody").is(http.StatusOK).shows("an unknown endpoint").hides(missed...)
	w.stranger().get(door).is(http.StatusOK).shows("an unknown endpoint").hides(missed...).hides("risk")
}

// TestResume_LeadsToWhatWasMissed: whoever resumes an endpoint hears at once that something passed it by, and where to read what.
func TestResume_LeadsToWhatWasMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	path := endpointPath(e.ID)
	b := w.as(w.admin)
	b.get(path)
	b.post(path + "/pause").redirects(path)
	b.post(path + "/resume").redirects(path)
	b.get(path).shows("risk is resumed.", "data-fade").hides("missed while it was paused")

	for _, want := range []string{"1 event was missed while it was paused: what is left of it", "2 events were missed while it was paused: what is left of them"} {
		w.clock.Advance(5 * time.Minute) // what was missed in an earlier pause is not told again
		b.post(path + "/pause").redirects(path)
		for range int(want[0] - '0') {
			w.clock.Advance(time.Second)
			w.fail()
		}
		b.get(path).is(http.StatusOK)
		b.post(path + "/resume").redirects(path)
		a := b.get(path).shows("risk is resumed.", "Undo").hides("data-fade")
		if !strings.Contains(a.text(), want) {
			t.Errorf("no %q in %s", want, a.text())
		}
		missed, _, _ := strings.Cut(want, ":")
		b.get(a.find(`href="(` + path + `/recover\?since=[^"]+)"`)).is(http.StatusOK).shows(missed)
	}
}

// TestUpdateEndpoint_ResumingLeadsToWhatWasMissed: the form of the settings resumes as the button does.
func TestUpdateEndpoint_ResumingLeadsToWhatWasMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	path := endpointPath(e.ID)
	b := w.as(w.admin)
	save := func(enabled ...string) answer {
		t.Helper()
		b.get(path + "/settings").is(http.StatusOK)
		b.post(path, append(enabled, "name", "risk", "url", e.URL, "retention", "72", "events", "verification.session.failed")...).redirects(path + "/settings")
		return b.get(path + "/settings").is(http.StatusOK).shows("Changes to risk are saved.")
	}
	save().hides("missed while")
	w.fail()
	save().hides("missed while")
	a := save("enabled", "1").shows("1 event was missed while it was paused:")
	b.get(a.find(`href="(` + path + `/recover\?since=[^"]+)"`)).is(http.StatusOK).shows("1 event was missed")
	save("enabled", "1").hides("missed while")
}

// TestEndpoints_PauseChangesTheRow: with scripting the list stays as it is but for the row and a message with the way back.
func TestEndpoints_PauseChangesTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	w.fail()
	b := w.as(w.admin)
	path, row, list := endpointPath(e.ID), endpointRowID(e.ID), "/endpoints?q=ri"
	htmx := []string{"HX-Request", "true", "HX-Target", "tr#" + row}
	b.get(list).is(http.StatusOK).find(`hx-post="(` + path + `/pause)" hx-target="#` + row + `"`)
	sent := b.identified([]string{"return", list})
	a := b.postAs(path+"/pause", htmx, sent...).is(http.StatusOK).shows(`<tr id="`+row, "Paused", "Resume risk", "risk is paused.", "1 waiting delivery is parked; new events skip it.", `hx-target="#toasts"`).hides("<html", "Pause risk")
	undo := a.find(`(?s)<hx-partial.*hx-post="([^"]+)" hx-target="#` + row + `"`)
	if undo != path+"/resume" || strings.Count(a.body, `name="return" value="/endpoints?q=ri"`) != 2 {
		t.Errorf("the way back is %s:\n%s", undo, a.body)
	}
	if to := b.postAs(path+"/pause", htmx, sent...).is(http.StatusOK).header.Get("HX-Redirect"); to != list {
		t.Errorf("the form sent twice leads to %q", to)
	}
	b.postAs(path+"/pause", htmx, b.identified([]string{"return", list})...).is(http.StatusOK).shows(`<tr id="`+row, "risk is paused already.").hides("Undo")
	b.postAs(undo, htmx, b.identified([]string{"return", list})...).is(http.StatusOK).shows("Pause risk", "risk is resumed.", "1 parked delivery is due now.", path+"/pause")
	if n := fixture.Audited(t, w.db, w.org, "webhook_endpoint.updated"); n != 2 {
		t.Errorf("%d changes are in the log, want 2", n)
	}
	w.work()
	b.postAs(path+"/pause", htmx, b.identified([]string{"return", list})...).is(http.StatusOK).shows("Nothing waits; new events skip it.")
	b.postAs(path+"/resume", htmx, b.identified([]string{"return", list})...).is(http.StatusOK).shows("Nothing was parked.")
	// Without, it is a page with a message.
	b.post(path+"/pause", "return", list).redirects(list)
	b.get(list).shows("risk is paused.", "Undo", "Resume risk")
	// Whoever may not, and whoever comes too late, hears that in a message and keeps the list.
	m := w.as(w.member)
	m.get("/endpoints").is(http.StatusOK).shows("Resume risk: Needs the role admin.").hides(path + "/resume")
	for _, late := range []answer{m.postAs(path+"/resume", htmx, m.identified(nil)...).is(http.StatusForbidden), func() answer {
		b.post(path+"/delete", "confirm", "risk").redirects("/endpoints")
		return b.postAs(path+"/resume", htmx, b.identified(nil)...).is(http.StatusNotFound).shows("risk was deleted")
	}()} {
		if late.header.Get("HX-Retarget") != "#toasts" || strings.Contains(late.body, "<html") {
			t.Errorf("status %d is put into %q: %s", late.status, late.header.Get("HX-Retarget"), late.body)
		}
	}
	if a := b.get(path+"/deliveries/new", "HX-Request", "true", "HX-Source", "div#new", "HX-Target", "div#new").is(http.StatusNotFound); a.body != "" {
		t.Errorf("a poll of what was deleted is answered with %q", a.body)
	}
}

// TestEndpoint_HeadTellsTheStreak, of failures and of successes.
func TestEndpoint_HeadTellsTheStreak(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	path := endpointPath(e.ID)
	b := w.as(w.member)
	b.get(path).is(http.StatusOK).hides("in a row")
	for _, step := range []struct {
		status int
		times  int
		want   string
	}{
		{http.StatusNoContent, 1, "1 delivery in a row with a 2xx"},
		{http.StatusNoContent, 2, "3 deliveries in a row with a 2xx"},
		{http.StatusServiceUnavailable, 2, "2 deliveries in a row without a 2xx"},
		{http.StatusNoContent, 1, "2 deliveries in a row with a 2xx"}, // and one of those that failed, at its second attempt
	} {
		w.sender.answers(step.status, "")
		for range step.times {
			w.clock.Advance(time.Second)
			w.fail()
			w.work()
		}
		for _, page := range []string{"", "/keys"} {
			b.get(path + page).is(http.StatusOK).shows(step.want)
		}
	}
	w.clock.Advance(time.Second)
	w.fail() // not attempted yet
	b.get(path).is(http.StatusOK).shows("2 deliveries in a row with a 2xx")

	// Without a 2xx for an hour the verdict counts the same ones.
	w.sender.answers(http.StatusServiceUnavailable, "")
	w.clock.Advance(3 * time.Hour)
	for range 2 {
		w.clock.Advance(time.Second)
		w.fail()
	}
	w.work()
	a := b.get(path).is(http.StatusOK).shows("3 deliveries in a row without a 2xx", "This endpoint is failing: no 2xx in its latest attempts.")
	// What waits on the schedule is a number that leads to the list of just those.
	door := path + "/deliveries?next=2"
	if got := a.find(`href="` + regexp.QuoteMeta(door) + `">([^<]+)<`); got != "3 waiting" {
		t.Errorf("the second attempt has %q", got)
	}
	if n := strings.Count(b.get(door).is(http.StatusOK).shows("Waits for attempt: 2").body, "<tr") - 1; n != 3 {
		t.Errorf("behind it are %d deliveries", n)
	}
}

// TestMissed_LooksAtSoManyEventsOnly has more events than are looked at, and a missed one on either side of the limit.
func TestMissed_LooksAtSoManyEventsOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	routing := func(reason event.Reason) string {
		return `[{"webhook_endpoint_id": "` + e.ID.String() + `", "decision": "skipped", "reason": "` + string(reason) + `", "delivery_id": null, "created_at": "2026-03-01T00:00:00Z"}]`
	}
	stranger, _ := fixture.Organization(t, w.db)
	for org, apart := range map[id.Organization]string{w.org: "1 second", stranger: "1 millisecond"} { // what others have counts for nothing
		fixture.Exec(t, w.db, `INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, routing, created_at)
			SELECT gen_random_uuid(), $1, 'verification.session.failed', 'verification_session', gen_random_uuid(), CASE WHEN n IN (1, $2, $2 + 1) THEN $3::jsonb ELSE $4::jsonb END,
				$5::timestamptz - n * $6::interval FROM generate_series(1, $2 + 1) n`,
			org, event.MissedWindow, routing(event.Disabled), routing(event.NotTargeted), w.clock.Now(), apart)
	}
	b := w.as(w.admin)
	b.get("/endpoints/"+e.ID.String()+"/recover").is(http.StatusOK).shows("2 events were missed", "Only the latest 10,000 events were looked at")
	b.get("/events?missed=" + e.ID.String()).is(http.StatusOK).shows("2 events")
	recent := w.clock.Now().Add(-time.Hour).Format(formTime)
	b.get("/endpoints/"+e.ID.String()+"/recover?since="+recent).is(http.StatusOK).shows("1 event was missed", "its session").hides("Only the latest")

	fixture.Exec(t, w.db, "DELETE FROM events WHERE created_at = (SELECT min(created_at) FROM events WHERE organization_id = $1)", w.org)
	b.get("/endpoints/"+e.ID.String()+"/recover").is(http.StatusOK).shows("2 events were missed").hides("Only the latest", "At least")
}

func TestEndpoints_PausedAndResumedByLabel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.admin)
	b.get("/endpoints").is(http.StatusOK).hides("by label")
	b.get("/endpoints/pause").is(http.StatusOK).shows("No endpoint carries a label yet.")
	labelled := func(name string, labels ...string) webhook.Endpoint {
		e, _ := w.endpoint(name, false)
		_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, e.ID, webhook.EndpointChange{Labels: &labels})
		w.check(err)
		return e
	}
	labelled("risk", "eu", "core")
	labelled("ledger", "EU")
	labelled("crm", "us")
	w.fail() // waits at each of them
	state := func() string {
		t.Helper()
		return fixture.Scalar[string](t, w.db, `SELECT string_agg(name, ',' ORDER BY name) FROM webhook_endpoints WHERE enabled`)
	}
	x := w.stranger()
	x.get("/endpoints/pause?label=eu").is(http.StatusOK).shows("No endpoint carries a label yet.").hides("risk")
	x.post("/endpoints/pause", "label", "eu").redirects("/endpoints?label=eu")
	m := w.as(w.member)
	m.get("/endpoints?label=eu").is(http.StatusOK).hides("Pause all")
	m.get("/endpoints/pause?label=eu").is(http.StatusForbidden)
	m.post("/endpoints/pause", "label", "eu").is(http.StatusForbidden)
	m.post("/endpoints/resume", "label", "eu").is(http.StatusForbidden)
	if got := state(); got != "crm,ledger,risk" {
		t.Fatalf("enabled are %s", got)
	}

	r := b.reader("/endpoints").visit("Pause by label…").sees(http.StatusOK, "Choose the label whose endpoints to pause.")
	r.open(b.get("/endpoints?label=eu"), "/endpoints?label=eu")
	r.visit("Pause all “eu”…").sees(http.StatusOK, "Pause 2 endpoints labelled “eu”?", "ledger", "risk", "2 waiting deliveries are parked")
	sent := r.send("Pause 2 endpoints")
	r.sees(http.StatusOK, "2 endpoints are paused.", "Undo…")
	r.again(sent) // a double click
	if got := state(); got != "crm" {
		t.Fatalf("after pausing enabled are %s", got)
	}
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND next_attempt_at IS NULL"); n != 2 {
		t.Errorf("%d deliveries are parked, want 2", n)
	}
	audited := fixture.Audited(t, w.db, w.org, "webhook_endpoint.updated")
	b.post("/endpoints/pause", "label", "eu").redirects("/endpoints?label=eu")
	b.get("/endpoints").shows("Nothing was changed")
	if again := fixture.Audited(t, w.db, w.org, "webhook_endpoint.updated"); again != audited || audited != 5 {
		t.Errorf("audited are %d changes, after a repetition %d; want 5", audited, again)
	}
	w.fail() // while they are paused
	w.clock.Advance(time.Second)
	w.fail()
	b.get("/endpoints/pause?label=eu").is(http.StatusOK).shows("nothing to pause").hides("<form class=\"inline\" method=\"post\" action=\"/endpoints/pause\"")
	b.get("/endpoints/pause?label=nowhere").is(http.StatusOK).shows("No endpoint carries the label “nowhere”.")

	r.open(b.get("/endpoints/resume?label=eu"), "/endpoints/resume?label=eu")
	r.sees(http.StatusOK, "2 parked deliveries become due at once.", "Missed while paused, and not sent later: ", "ledger 2 events", "risk 2 events").send("Resume 2 endpoints")
	r.sees(http.StatusOK, "2 endpoints are resumed.", "ledger 2 events", "risk 2 events", "What is left of that is on the page “Recover” of each.")
	if got := state(); got != "crm,ledger,risk" {
		t.Fatalf("after resuming enabled are %s", got)
	}
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND next_attempt_at IS NULL"); n != 0 {
		t.Errorf("%d deliveries stay parked", n)
	}

	// One with the label, which missed an event, and then none.
	w.clock.Advance(time.Minute)
	b.post("/endpoints/pause", "label", "core").redirects("/endpoints?label=core")
	w.clock.Advance(time.Minute)
	w.fail()
	r.open(b.get("/endpoints/resume?label=core"), "/endpoints/resume?label=core")
	r.sees(http.StatusOK, "not sent later: risk 1 event.").send("Resume 1 endpoint")
	r.sees(http.StatusOK, "1 event was missed while it was paused:").visit("what is left of it").sees(http.StatusOK, "Recover what failed", "1 event was missed")
	w.clock.Advance(time.Minute)
	b.post("/endpoints/pause", "label", "core").redirects("/endpoints?label=core")
	r.open(b.get("/endpoints/resume?label=core"), "/endpoints/resume?label=core")
	r.sees(http.StatusOK, "No event was missed while they were paused.").send("Resume 1 endpoint")
	r.sees(http.StatusOK, "1 endpoint is resumed.", "they missed no event meanwhile")
}

func TestEvents_ReplayChosen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.endpoint("ledger", false)
	done, _ := w.of(w.succeed())
	w.work()
	w.sender.answers(http.StatusInternalServerError, "")
	failing, _ := w.of(w.fail())
	w.exhaust()
	b := w.as(w.admin)
	b.get("/events?outcome=failed&some_filter=x").is(http.StatusOK).shows("Replay chosen…").hides("/jobs/new?status=failed")
	list := b.get("/events").is(http.StatusOK).shows("Replay chosen…", "Replay all that failed…", "/jobs/new?status=failed")
	if !strings.Contains(list.find(`(<input class="check"[^>]*value="`+done.ID.String()+`"[^>]*>)`), "disabled") {
		t.Error("an event that was delivered everywhere can be chosen")
	}
	b.get("/events?outcome=waiting&type=verification.session.failed").is(http.StatusOK)
	b.get("/events?outcome=failed&type=verification.session.failed").shows("/jobs/new?status=failed&type=verification.session.failed")
	b.get("/events?outcome=delivered").shows("Replay chosen…").hides("Replay all")

	ids := []string{"id", done.ID.String(), "id", failing.ID.String(), "id", failing.ID.String(), "id", "evt_nonsense"}
	m, x := w.as(w.member), w.stranger()
	m.get("/events").is(http.StatusOK).hides("Replay chosen…")
	for _, action := range []string{"/events/preview", "/events/replay"} {
		m.post(action, ids...).is(http.StatusForbidden)
	}
	x.post("/events/preview", ids...).is(http.StatusUnprocessableEntity).shows("Replay 0 chosen events", "Choose at least one event").hides(failing.ID.String())
	x.post("/events/replay", ids...).redirects("/events")
	if n := fixture.Audited(t, w.db, w.org, "webhook_event.replayed"); n != 0 {
		t.Fatal("a stranger or a member replayed an event")
	}
	b.post("/events/preview").is(http.StatusUnprocessableEntity).shows("Choose at least one event")

	r := b.reader("/events")
	r.send("Replay chosen…", ids[:4]...)
	r.sees(http.StatusOK, "Replay 2 chosen events", "Delivered already", "Replay 1 event?", "2 deliveries are due at once")
	sent := r.send("Replay 1 event")
	r.sees(http.StatusOK, "1 event is replayed")
	r.again(sent)
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending' AND next_trigger = 'replay'"); n != 2 {
		t.Errorf("%d deliveries are due, want 2", n)
	}
	if n := fixture.Audited(t, w.db, w.org, "webhook_event.replayed"); n != 1 {
		t.Errorf("%d replays are audited, want 1", n)
	}
}

func TestExport_Sessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	first := w.succeed()
	w.work()
	w.clock.Advance(time.Second)
	second := w.fail()
	w.clock.Advance(time.Second)
	third := w.open()
	b := w.as(w.member)
	b.get("/sessions?status=failed").is(http.StatusOK).shows("/sessions/export?status=failed", `data-export="10000"`, "/static/export.")
	b.get("/sessions?status=expired").is(http.StatusOK).shows("/sessions/export?status=expired") // another choice of filters may have rows
	a := b.get("/sessions/export").is(http.StatusOK).hides("MARKERNAME", "family_name", "98aca4d9")
	rows, err := csv.NewReader(strings.NewReader(a.body)).ReadAll()
	w.check(err)
	var got [][]string
	for _, row := range rows[1:] {
		got = append(got, []string{row[0], row[2], row[8], row[9], row[11]}) // status, outcome, delivered, waiting
	}
	want := [][]string{
		{third.ID.String(), "created", "", "", ""}, {second.ID.String(), "failed", "Waiting", "0", "1"}, {first.ID.String(), "succeeded", "Delivered", "1", "0"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exported (-want +got):\n%s\n%s", diff, a.body)
	}
	if n := strings.Count(b.get("/sessions/export?format=jsonl&delivery=undelivered").is(http.StatusOK).shows(second.ID.String()).body, "\n"); n != 1 {
		t.Errorf("%d undelivered sessions are exported, want 1", n)
	}
	if n := strings.Count(w.stranger().get("/sessions/export").is(http.StatusOK).body, "\n"); n != 1 {
		t.Errorf("a stranger exports %d lines, want the head only", n)
	}
	if n := fixture.Audited(t, w.db, w.org, "export.created"); n != 2 {
		t.Errorf("%d exports are audited, want 2", n)
	}
}

// TestFind_LeadsToThePageThatHasTheRow writes rows past the rooms: they are more than one page shows.
func TestFind_LeadsToThePageThatHasTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	exec := func(statement string, args ...any) {
		t.Helper()
		w.check(w.db.Reader(t.Context()).Exec(statement, args...).Error)
	}
	begin := w.clock.Now().Add(-time.Hour)
	exec(`INSERT INTO webhook_encryption_keys SELECT (json_populate_record(k, json_build_object('id', md5('k' || n)::uuid, 'key_id', 'old-' || n, 'thumbprint', left(md5('t' || n) || md5('u' || n), 43), 'is_active', false,
			'disabled_at', $2::timestamptz, 'created_at', $2::timestamptz - n * interval '1 minute'))).* FROM webhook_encryption_keys k, generate_series(1, 250) n WHERE k.webhook_endpoint_id = $1`, e.ID, begin)
	exec(`INSERT INTO users SELECT (json_populate_record(u, json_build_object('id', md5('u' || n)::uuid, 'email', 'm' || n || chr(64) || 'example.com'))).* FROM users u, generate_series(1, 1100) n WHERE u.id = $1`, fixture.UserID(t, w.member))
	exec(`INSERT INTO memberships SELECT (json_populate_record(m, json_build_object('user_id', md5('u' || n)::uuid, 'created_at', $2::timestamptz - n * interval '1 minute'))).*
		FROM memberships m, generate_series(1, 1100) n WHERE m.user_id = $1 AND m.organization_id = $3`, fixture.UserID(t, w.member), begin, w.org)
	key, _, err := w.handler.APIKeys.Issue(t.Context(), w.owner, apikey.Input{Name: "first", Scopes: []access.Scope{access.WebhooksRead}})
	w.check(err)
	exec(`INSERT INTO api_keys SELECT (json_populate_record(k, json_build_object('id', md5('a' || n)::uuid, 'key_hash', md5('h' || n) || md5('i' || n), 'created_at', $2::timestamptz - n * interval '1 minute'))).*
		FROM api_keys k, generate_series(1, 1100) n WHERE k.id = $1`, key.ID, begin)
	named := func(text string) uuid.UUID { return md5.Sum([]byte(text)) }

	b := w.as(w.owner)
	for _, c := range []struct{ first, last string }{
		{id.Key{UUID: named("k7")}.String(), id.Key{UUID: named("k240")}.String()},
		{id.User{UUID: named("u7")}.String(), id.User{UUID: named("u1090")}.String()},
		{id.APIKey{UUID: named("a7")}.String(), id.APIKey{UUID: named("a1090")}.String()},
	} {
		for _, row := range []string{c.first, c.last} {
			to := b.get("/find?q=" + row).header.Get("Location")
			path, anchor, _ := strings.Cut(to, "#")
			if anchor != row || strings.Contains(path, "after=") != (row == c.last) {
				t.Errorf("%s leads to %q", row, to)
			}
			b.get(path).is(http.StatusOK).shows(`id="` + row + `"`)
		}
	}
	path := "/endpoints/" + e.ID.String() + "/keys"
	r := b.reader(path).sees(http.StatusOK, "risk-key", "old-1", "99 retired keys shown")
	r.page.hides("old-240")
	r.visit("Older").sees(http.StatusOK, "risk-key", "old-150").visit("Older").sees(http.StatusOK, "risk-key", "old-240")
	r.visit("Newer").sees(http.StatusOK, "old-150")
	b.get(path + "?after=" + id.Key{UUID: named("nothing")}.String()).is(http.StatusBadRequest)
}
