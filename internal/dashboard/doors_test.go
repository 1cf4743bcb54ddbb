package dashboard

import (
	"html"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/verification"
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
	m.get(path).is(http.StatusOK).shows("Nothing was encrypted for this endpoint").hides("/retry")

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

// TestOverview_EveryNumberLeadsToTheListThatProvesIt follows the bars of the forecast and counts what is behind them, and opens the lists of what
// was slow and of what failed.
func TestOverview_EveryNumberLeadsToTheListThatProvesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	ledger, _ := w.endpoint("ledger", false)
	labels := []string{"EU"}
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, ledger.ID, webhook.EndpointChange{Labels: &labels})
	w.check(err)
	// At both endpoints one becomes due, with the retries made at once: overdue, in 5 minutes, in 2 and in 10 hours.
	for i, due := range []time.Duration{-time.Hour, 5 * time.Minute, 2*time.Hour + time.Second, 10 * time.Hour} {
		w.fail()
		fixture.Exec(t, w.db, "UPDATE webhook_deliveries SET next_attempt_at = $1 WHERE created_at = (SELECT max(created_at) FROM webhook_deliveries)", w.clock.Now().Add(due+time.Duration(i)*time.Second))
		w.clock.Advance(time.Second)
	}
	w.clock.Advance(17 * time.Second)
	b := w.as(w.member)
	rows := func(path string) int { return strings.Count(b.get(path).is(http.StatusOK).body, `<tr id="row-`) }
	for label, each := range map[string]int{"": 2, "EU": 1} {
		a := b.get(link("/", "label", label)).is(http.StatusOK)
		total := 0
		for _, bar := range regexp.MustCompile(`<a href="([^"]*due_to=[^"]*)" aria-label="[^"]*: ([0-9]+) attempts? due"`).FindAllStringSubmatch(a.body, -1) {
			n, err := strconv.Atoi(bar[2])
			w.check(err)
			total += n
			if n > 0 || total > 0 && total < 4*each { // and not each of those after the last
				if got := rows(html.UnescapeString(bar[1])); got != n {
					t.Errorf("behind a bar of %d with the label %q are %d deliveries: %s", n, label, got, bar[1])
				}
			}
		}
		if total != 4*each {
			t.Errorf("%d attempts are in the forecast of the label %q, want %d", total, label, 4*each)
		}
	}
	admin := w.as(w.admin)
	fixture.Exec(t, w.db, "UPDATE webhook_deliveries SET next_attempt_at = $1 WHERE next_attempt_at > $2", w.clock.Now().Add(30*time.Hour), w.clock.Now().Add(9*time.Hour))
	queue := admin.get("/queue").is(http.StatusOK)
	for label, want := range map[string]int{"Due now": 2, "Waiting, 24 h": 6, "Due within 1 h": 4} {
		door := queue.find(`(?s)<a class="tile-to" href="([^"]+)">\s*<span class="tile-label">` + label + `</span>\s*<span class="tile-num">\s*` + strconv.Itoa(want))
		if got := rows(door); got != want {
			t.Errorf("behind %q are %d deliveries, want %d: %s", label, got, want, door)
		}
	}
	elsewhere := w.stranger().get("/queue").is(http.StatusOK)
	for label, want := range map[string]string{`Due now</span>\s*<span class="tile-num">`: "0", `In flight</span>\s*<span class="tile-num">`: "0", `<dt>Due</dt>.*?<dd[^>]*>`: "0"} {
		if got := elsewhere.find(`(?s)` + label + `\s*([0-9,]+)`); got != want {
			t.Errorf("in another organization %s tells of %s, want %s", label, got, want)
		}
	}
	b.get("/deliveries?due_from=2026-03-02T09:00&due_to=2026-03-02T12:00").is(http.StatusOK).shows("Due from: Mar 2, 09:00 UTC", "Due to: Mar 2, 12:00 UTC").hides("Retry all")

	// One of the answers is slow. The list of what took as long as the slowest twentieth has just that.
	fixture.Exec(t, w.db, "UPDATE webhook_deliveries SET next_attempt_at = $1", w.clock.Now())
	w.work()
	w.sender.answers(http.StatusInternalServerError, "")
	w.fail()
	w.work()
	fixture.Exec(t, w.db, "UPDATE webhook_deliveries SET last_duration_ms = CASE WHEN event_id = (SELECT max(event_id::text)::uuid FROM webhook_deliveries) THEN 900 ELSE 3 END")
	hour := w.clock.Now().Truncate(time.Hour)
	fixture.Exec(t, w.db, "UPDATE delivery_rollups SET latency = array_fill(0, ARRAY[28])")
	w.rollup(ledger.ID.String(), hour, "", http.StatusOK, 1)
	a := b.get("/").is(http.StatusOK)
	slow := a.find(`(?s)<a class="tile-to" href="([^"]+)">\s*<span class="tile-label">Response time p95`)
	if got := b.get(slow).is(http.StatusOK).shows("Took at least: 225 ms"); strings.Count(got.body, `<tr id="row-`) != 2 {
		t.Errorf("behind the response time are %d deliveries, want the 2 slow ones: %s", strings.Count(got.body, `<tr id="row-`), slow)
	}
	for path, want := range map[string]int{"/deliveries?took=x": 0, "/deliveries?took=0": 0, "/deliveries?took=901": 0, "/deliveries?took=900": 2} {
		if got := rows(path); got != want {
			t.Errorf("%s has %d deliveries, want %d", path, got, want)
		}
	}
	tried := a.find(`(?s)<a class="lead" href="` + endpointPath(ledger.ID) + `">.*?<a href="([^"]+)">[0-9.]+ %</a>`)
	if got := rows(tried); got != 5 {
		t.Errorf("behind the share of first attempts are %d deliveries, want 5: %s", got, tried)
	}
	b.get("/endpoints").is(http.StatusOK).shows("took=225")

	// The numbers in the notes of the figures lead to lists of their own, and so does the number of what waits at an endpoint.
	note := func(a answer, text string) string {
		return a.find(`<a class="tile-note[^"]*" href="([^"]+)">` + text + `</a>`)
	}
	for text, want := range map[string]int{"[0-9,]+ attempts in 24 hours": 10, "2 attempts due in the next hour": 2, "p50 [^<]+": 2} {
		if got := rows(note(a, text)); got != want {
			t.Errorf("behind %q are %d deliveries, want %d: %s", text, got, want, note(a, text))
		}
	}
	detail := b.get(endpointPath(ledger.ID)).is(http.StatusOK)
	for name, door := range map[string]string{"the note": note(detail, "1 after a failed attempt"), "the tab": detail.find(`<a class="n" href="([^"]+)" title="waiting">`)} {
		if got := rows(door); got != 1 {
			t.Errorf("behind %s are %d deliveries, want 1: %s", name, got, door)
		}
	}
	fixture.Exec(t, w.db, "UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, payload_retention_reason = 'terminal_failure_retention' WHERE status = 'pending'")
	b.get("/").is(http.StatusOK).shows("2 can still be retried").hides("/jobs/new")
	for path, want := range map[string]string{"/": "2", link("/", "label", "EU"): "1", endpointPath(ledger.ID): "1"} {
		admin.get(note(admin.get(path).is(http.StatusOK), want+" can still be retried")).is(http.StatusOK).shows("Retry " + want + " deliver")
	}
}

// TestHealth_LeadsToWhatProvesIt: in the list, on the overview and at the head of an endpoint.
func TestHealth_LeadsToWhatProvesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	off, hour := false, w.clock.Now().Truncate(time.Hour)
	want := map[string]string{}
	for name, to := range map[string]string{"keyless": "/keys", "failing": "/deliveries", "degraded": "/deliveries?attempts=2&from=", "resting": "/activity", "fresh": "/deliveries", "well": "/deliveries?from="} {
		e, _ := w.endpoint(name, name == "keyless")
		path := endpointPath(e.ID)
		want[name] = path + to
		switch name {
		case "failing":
			w.rollup(e.ID.String(), hour, "http_status", http.StatusInternalServerError, 5)
		case "degraded":
			w.rollup(e.ID.String(), hour, "", http.StatusOK, 90)
			w.rollup(e.ID.String(), hour, "http_status", http.StatusInternalServerError, 10)
		case "well":
			w.rollup(e.ID.String(), hour, "", http.StatusOK, 90)
		case "resting":
			_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, e.ID, webhook.EndpointChange{Enabled: &off})
			w.check(err)
		}
	}
	b := w.as(w.member)
	list, overview := b.get("/endpoints").is(http.StatusOK), b.get("/").is(http.StatusOK)
	rows := strings.Split(list.body, `<tr id="row-`)
	for name, to := range want {
		at := slices.IndexFunc(rows, func(row string) bool { return strings.Contains(row, ">"+name+"</a>") })
		head := b.get(strings.Join(strings.SplitN(to, "/", 4)[:3], "/")).is(http.StatusOK)
		for place, body := range map[string]string{"list": rows[at], "head": head.body} {
			door := answer{t: t, body: body}.find(`<a class="badge [^"]*" href="([^"]+)" title="Healthy: `)
			if !strings.HasPrefix(door, to) {
				t.Errorf("%s: the health of %s leads to %s, want %s", place, name, door, to)
			}
			b.get(door).is(http.StatusOK)
		}
	}
	if n := strings.Count(overview.body, `<a class="badge `); n != 3 {
		t.Errorf("%d endpoints with failures have a health that leads somewhere, want 3", n)
	}
	list.shows("No key").hides(">Add a key</a>") // which a member cannot do
	w.as(w.admin).get("/endpoints").is(http.StatusOK).shows(">Add a key</a>")
}

// TestDoors_NamesAndParts: names lead to what they name, parts of a page to their list.
func TestDoors_NamesAndParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	w.sender.answers(http.StatusInternalServerError, "")
	ev, _ := w.of(w.fail())
	w.fail()
	w.work()
	b := w.as(w.admin)
	path := endpointPath(e.ID)

	list := b.get(path + "/deliveries?status=retrying").is(http.StatusOK)
	all := list.find(`href="([^"]+)">Search and export</a>`)
	if n := strings.Count(b.get(all).is(http.StatusOK).shows("Status: retrying", "Endpoint: risk", "CSV").body, `<tr id="row-`); n != 2 || n != strings.Count(list.body, `<tr id="row-`) {
		t.Errorf("behind %s are %d deliveries, want the 2 of the endpoint", all, n)
	}
	b.get("/").is(http.StatusOK).shows(`<a href="` + path + `">risk</a>`)

	preview := b.get("/jobs/new?status=pending").is(http.StatusOK)
	job := b.post("/jobs", append(preview.hidden("/jobs"), "rate", "1")...).header.Get("Location")
	fixture.Exec(t, w.db, "UPDATE jobs SET skipped_count = 1, visited_count = 1")
	b.get(b.get("/jobs").is(http.StatusOK).find(`href="(/jobs/[^"#]+)#skipped-t">1</a>`)).is(http.StatusOK).shows(`id="skipped-t"`)
	b.get(b.get(job).find(`href="([^"]+)">Who started and cancelled it</a>`)).is(http.StatusOK).shows("webhook_job.created")
	w.as(w.member).get(job).is(http.StatusOK).hides("Who started and cancelled it")

	b.get("/events/"+ev.ID.String()).is(http.StatusOK).hides(">Test<", "tone-test")
	b.post(path+"/test", "return", path).redirects(path)
	b.get("/events/" + b.get("/events?type=webhook.test").is(http.StatusOK).shows("tone-test").find(`href="/events/(evt_[a-z0-9]+)"`)).is(http.StatusOK).shows("tone-test")

	// One that was deleted has no name to lead from.
	w.check(w.handler.Webhooks.DeleteEndpoint(t.Context(), w.owner, e.ID))
	w.endpoint("other", false)
	b.get("/").is(http.StatusOK).shows("HTTP 500").hides(`<a href="` + path + `"></a>`)
}

// TestMembers_PagesOfAnEndpointSayWhichRoleTheyTake: what cannot be sent cannot be filled.
func TestMembers_PagesOfAnEndpointSayWhichRoleTheyTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("keyless", true)
	path := endpointPath(e.ID)
	const locked = `<fieldset class="form" disabled>`
	for page, says := range map[string]string{
		"/settings": "Changing an endpoint needs the role admin.", "/keys": "Adding a key needs the role admin.", "/secret": "Rotating the secret needs the role admin.",
	} {
		w.as(w.member).get(path + page).is(http.StatusOK).shows(says)
		w.as(w.admin).get(path+page).is(http.StatusOK).hides(says, locked)
	}
	w.as(w.member).get(path + "/settings").shows(locked)
	w.as(w.member).get(path + "/secret").shows("Revealing the secret needs the role owner.")
}

// TestBlocked_WaysToAKey: they are for those who may add one, as long as there is an endpoint to add it to, and it has none.
func TestBlocked_WaysToAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("keyless", true)
	ev, found := w.of(w.fail())
	way := `href="` + endpointPath(e.ID) + `/keys"`
	places := []string{"/deliveries", "/deliveries/" + found[e.ID].ID.String(), "/events/" + ev.ID.String()}
	admin, member := w.as(w.admin), w.as(w.member)
	for _, place := range places {
		admin.get(place).is(http.StatusOK).shows(way)
		member.get(place).is(http.StatusOK).shows("keyless").hides(way)
	}
	key, err := w.handler.Webhooks.AddKey(t.Context(), w.owner, e.ID, webhook.PublicKeyInput{KeyID: "late", Algorithm: "RSA-OAEP-256", KeyType: "RSA", JWK: fixture.PublicJWK()})
	w.check(err)
	for _, place := range places {
		admin.get(place).is(http.StatusOK).shows("keyless").hides(way, "Add a key")
	}
	admin.get(places[1]).shows("The endpoint has an active key by now.")
	_, err = w.handler.Webhooks.DeactivateKey(t.Context(), w.owner, key.ID)
	w.check(err)
	admin.get(places[0]).is(http.StatusOK).shows(way)
	w.check(w.handler.Webhooks.DeleteEndpoint(t.Context(), w.owner, e.ID))
	for _, place := range places {
		admin.get(place).is(http.StatusOK).shows("keyless").hides(way, "Add a key")
	}
}

// TestEndpoints_NumbersAreDoors: what waits, in what needs attention and on the endpoint's own page; what an endpoint subscribes to; and
// what does not fit among what needs attention.
func TestEndpoints_NumbersAreDoors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	w.rollup(e.ID.String(), w.clock.Now().Truncate(time.Hour), "http_status", http.StatusInternalServerError, 5)
	w.fail()
	w.fail()
	b, path := w.as(w.member), endpointPath(e.ID)
	waiting := func(page, label string) {
		t.Helper()
		door := b.get(page).is(http.StatusOK).find(`<a href="([^"]+)">` + label + `</a>`)
		if n := strings.Count(b.get(door).is(http.StatusOK).body, `<tr id="row-`); n != 2 || !strings.HasPrefix(door, path+"/deliveries?") {
			t.Errorf("%s: behind %q are %d deliveries, want 2: %s", page, label, n, door)
		}
	}
	waiting("/", "2 deliveries")
	waiting(path, "2 deliveries wait")
	b.get(b.get("/endpoints").find(`data-label="Events">\s*<a href="([^"#]+)#f-events">[0-9] / [0-9]</a>`)).is(http.StatusOK).shows(`id="f-events`)
	for i := range attentionMax {
		w.endpoint("keyless-"+strconv.Itoa(i), true)
	}
	door := b.get("/").is(http.StatusOK).find(`<a class="meta" href="([^"]+)">the worst 12 are shown</a>`)
	if body := b.get(door).is(http.StatusOK).body; strings.Index(body, ">risk<") < strings.Index(body, ">keyless-3<") || door != "/endpoints?sort=health" {
		t.Errorf("%s is not in the order of health", door)
	}
}

// TestAttention_RetriesOfADegradedEndpointAreADoor: behind the number are those that the schedule tries again.
func TestAttention_RetriesOfADegradedEndpointAreADoor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	w.rollup(e.ID.String(), w.clock.Now().Truncate(time.Hour), "", http.StatusOK, 90)
	w.sender.answers(http.StatusInternalServerError, "")
	w.fail()
	w.fail()
	w.work()
	w.fail() // waits for its first attempt
	b := w.as(w.member)
	door := b.get("/").is(http.StatusOK).shows("is degraded: 97.8 % of first attempts").find(`<a href="([^"]+)">2 deliveries</a>\s*are tried again by the schedule.`)
	if n := strings.Count(b.get(door).is(http.StatusOK).body, `<tr id="row-`); n != 2 {
		t.Errorf("behind it are %d deliveries, want the 2 that were tried: %s", n, door)
	}
}

// TestAttention_PayloadsThatExpireAreADoor: behind it are the deliveries that lose theirs, whether they failed or are parked.
func TestAttention_PayloadsThatExpireAreADoor(t *testing.T) {
	t.Parallel()
	for _, paused := range []bool{false, true} {
		w := newWorld(t)
		w.sender.answers(http.StatusInternalServerError, "")
		e, _ := w.endpoint("risk", false)
		w.fail()
		path := endpointPath(e.ID)
		if paused {
			w.as(w.admin).post(path + "/pause").redirects(path)
		}
		for _, wait := range []time.Duration{0, time.Minute, 6 * time.Minute, time.Hour, 3 * time.Hour, 7 * time.Hour, 12 * time.Hour, 12 * time.Hour} {
			w.clock.Advance(wait)
			w.work()
		}
		for range 7 * 24 {
			if strings.Contains(w.as(w.admin).get("/").is(http.StatusOK).body, "are about to expire") {
				break
			}
			w.clock.Advance(time.Hour)
		}
		b := w.as(w.admin)
		door := b.get("/").shows("are about to expire", `<a href="`+path+`">risk</a>`).find(`(?s)href="([^"]+)"[^>]*>\s*See deliveries`)
		b.get(door).is(http.StatusOK).shows(`<tr id="row-`, "Payload: held")
		expires := fixture.Scalar[time.Time](t, w.db, "SELECT min(payload_expires_at) FROM webhook_deliveries")
		for _, left := range []struct {
			time.Duration
			tone string
		}{{time.Hour, "warn"}, {59 * time.Minute, "bad"}} {
			w.clock.Advance(expires.Sub(w.clock.Now()) - left.Duration)
			items := strings.Split(w.as(w.admin).get("/").is(http.StatusOK).body, `<li class="tone-`)
			i := slices.IndexFunc(items, func(item string) bool { return strings.Contains(item, "are about to expire") })
			if i < 0 || !strings.HasPrefix(items[i], left.tone+`"`) {
				t.Errorf("%s before payloads expire, their item (%d of %d) is not in the tone %q", left.Duration, i, len(items), left.tone)
			}
		}
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

// TestNavigation_CountsWhatFailedAfterItsWholeSchedule, which takes longer than the day that is counted.
func TestNavigation_CountsWhatFailedAfterItsWholeSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sender.answers(http.StatusInternalServerError, "")
	e, _ := w.endpoint("risk", false)
	w.fail()
	b := w.as(w.member)
	w.work()
	b.get(endpointPath(e.ID)).hides("This endpoint is failing")
	w.fail()
	for _, wait := range []time.Duration{0, time.Minute, 6 * time.Minute, time.Hour, 3 * time.Hour, 7 * time.Hour, 12 * time.Hour, 12 * time.Hour} {
		w.clock.Advance(wait)
		w.work()
	}
	b = w.as(w.member) // whose session has ended meanwhile
	b.get(endpointPath(e.ID)).shows("This endpoint is failing: no 2xx in 24 h.", "Never a 2xx", "2 deliveries in a row without a 2xx")
	for _, page := range []string{"/", endpointPath(e.ID)} {
		b.get(b.get(page).find(`href="([^"]+)"[^>]*>\s*See failures`)).is(http.StatusOK).shows(`<tr id="row-`)
	}
	for _, door := range []string{`class="nav-count tone-bad" href="([^"]+)"`, `class="tile-to" href="([^"]+any_failed[^"]*)"`} {
		list := b.get(b.get("/").is(http.StatusOK).find(door)).is(http.StatusOK).shows("Failed since")
		if n := strings.Count(list.body, `<tr id="row-`); n != 2 {
			t.Errorf("behind %s are %d deliveries", door, n)
		}
	}
}

// TestNavigation_WithdrawnIsNoFailure: nobody has to act on what a person took back.
func TestNavigation_WithdrawnIsNoFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	s, token, err := w.handler.Sessions.Create(w.t.Context(), w.engine, verification.NewSession{})
	w.check(err)
	_, err = w.handler.Sessions.ReportFailure(w.t.Context(), w.engine, s.ID, verification.DocumentAntiCloningAttestationFailed)
	w.check(err)
	w.check(w.handler.Sessions.Redeem(w.t.Context(), access.Actor{Type: access.Subject}, s.ID, token))
	b := w.as(w.member)
	a := b.get("/").is(http.StatusOK).hides("nav-count tone-bad")
	if n := a.find(`(?s)<span class="tile-label">Failed</span>\s*<span class="tile-num">\s*([0-9]+)`); n != "0" {
		t.Errorf("the tile counts %s as failed", n)
	}
	b.get("/").is(http.StatusOK).shows("No endpoint failed in 24 hours.")
	b.get("/deliveries?status=any_failed").is(http.StatusOK).hides(`<tr id="row-`)
	b.get("/deliveries?status=withdrawn").is(http.StatusOK).shows(`<tr id="row-`)
}
