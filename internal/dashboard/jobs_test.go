package dashboard

import (
	"errors"
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/ui"
)

// hidden are the hidden fields of the form on the page that posts to action, without the token, as a browser without
// scripting sends them.
func (a answer) hidden(action string) []string {
	a.t.Helper()
	form := a.find(`(?s)<form[^>]*action="` + action + `"(.*?)</form>`)
	var fields []string
	for _, m := range hiddenField.FindAllStringSubmatch(form, -1) {
		if m[1] != "csrf_token" {
			fields = append(fields, m[1], m[2])
		}
	}
	return fields
}

// TestJobs_PreviewStartAndCancel is a receiver that was down: what failed is counted, sent again at a rate, and stopped.
func TestJobs_PreviewStartAndCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	off := false
	risk, _ := w.endpoint("risk", false)
	paused, _ := w.endpoint("paused", false)
	w.endpoint("keyless", true)
	w.sender.answers(http.StatusInternalServerError, "")
	for range 3 {
		w.fail()
	}
	for range 8 {
		w.work()
		w.clock.Advance(11*time.Hour + time.Minute)
	}
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, paused.ID, webhook.EndpointChange{Enabled: &off})
	w.check(err)
	b := w.as(w.admin)
	b.get("/jobs").is(http.StatusOK).shows("No bulk retry yet", "New bulk retry")
	b.get("/deliveries?status=any_failed").is(http.StatusOK).shows("Retry all failed…", "Retry chosen…", "/jobs/new?status=failed")
	b.get("/deliveries?trigger=automatic").is(http.StatusOK).shows("Retry chosen…", "All that match cannot be retried at once with these filters").hides("Retry all failed…")
	b.get("/deliveries?status=any_failed&failed_from=2026-01-01T00:00").is(http.StatusOK).shows("Retry all failed…", "/jobs/new?failed_from=2026-01-01T00%3A00").hides("cannot be retried at once")
	for _, waits := range []string{"waiting", "retrying", "scheduled"} { // which is shown with nothing that failed
		b.get("/deliveries?status=" + waits + "&failed_from=2026-01-01T00:00").is(http.StatusOK).hides("/jobs/new?")
	}
	// A filter that is added later is one that a bulk retry does not know.
	b.get("/deliveries?some_filter=x").is(http.StatusOK).shows("Retry chosen…").hides("Retry all failed…")
	b.get("/deliveries?status=any_failed&live=0&limit=25").is(http.StatusOK).shows("Retry all failed…")

	preview := b.get("/jobs/new").is(http.StatusOK).shows("Failed, all endpoints", "Retry 3 deliveries")
	for label, n := range map[string]string{"Eligible": "3", "Never encrypted": "3", "Payload gone": "0", "Endpoint paused or deleted": "3", "Matched": "9"} {
		if got := preview.find(`(?s)` + label + `.*?<td[^>]*>\s*(?:<a [^>]*>)?([0-9,]+)<`); got != n {
			t.Errorf("%s counts %s, want %s", label, got, n)
		}
	}
	proven(b, preview, "Never encrypted")
	proven(b, b.get("/jobs/new?endpoint="+risk.ID.String()).is(http.StatusOK), "Eligible")
	b.get("/jobs/new?endpoint="+paused.ID.String()).is(http.StatusOK).shows("endpoint paused", "No delivery of this scope can be sent again now.").hides("Retry 3")
	b.get("/jobs/new?status=nonsense").is(http.StatusUnprocessableEntity).shows("Must be failed or pending.")
	b.get("/jobs/new?endpoint=nonsense").is(http.StatusOK).shows("No delivery of this scope")
	b.get("/jobs/new?type=nonsense").is(http.StatusUnprocessableEntity).shows("Is not an event type.")
	b.get("/jobs/new?error=nonsense").is(http.StatusUnprocessableEntity).shows("Is not a kind of error.")
	b.get("/jobs/new?code=nonsense").is(http.StatusUnprocessableEntity).shows("“Code” is no status.").hides("Retry 3")
	b.get("/jobs/new?attempts=9").is(http.StatusUnprocessableEntity).shows("must be 1 to 8").hides("Retry 3")

	fields := preview.hidden("/jobs")
	b.get("/jobs/new")
	b.post("/jobs", append(fields, "rate", "101")...).is(http.StatusUnprocessableEntity).shows("Must be 1 to 100.", `value="101"`)
	w.clock.Advance(time.Minute)
	w.fail() // later than what was previewed
	a := b.post("/jobs", append(fields, "rate", "1")...)
	job := a.header.Get("Location")
	a.redirects(job)
	b.post("/jobs", append(fields, "rate", "1")...).redirects(job) // a double click
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM jobs"); n != 1 {
		t.Fatalf("two submissions made %d jobs", n)
	}
	b.get(job).is(http.StatusOK).shows("The bulk retry has started.", "of 9 visited", "created to ", "Later deliveries are not swept in", "Cancel job", "Queued")
	b.fragment(job).is(http.StatusOK).shows("hx-get").hides("<html")
	b.fragment(job + "/row").is(http.StatusOK).shows("0 of 9")
	b.get("/jobs").is(http.StatusOK).shows("0 of 9", "1/s")
	b.get("/find?q=" + strings.TrimPrefix(job, "/jobs/")).redirects(job)

	m := w.as(w.member)
	m.get(job).is(http.StatusOK).shows("Needs the role admin.")
	m.get("/jobs/new").is(http.StatusForbidden)
	m.get(job + "/cancel").is(http.StatusForbidden)
	for _, action := range []string{"/jobs", "/jobs/preview", job + "/cancel"} {
		m.post(action, fields...).is(http.StatusForbidden)
	}
	m.get("/deliveries").is(http.StatusOK).hides("Retry chosen…")
	x := w.stranger()
	x.get(job).is(http.StatusNotFound)
	x.post(job + "/cancel").is(http.StatusNotFound)
	x.post("/jobs/preview", "id", "x").is(http.StatusUnprocessableEntity).shows("Choose at least one delivery")

	for range 2 { // the first step opens it
		w.clock.Advance(2 * time.Second)
		_, err = w.handler.Deliveries.RunJobs(t.Context(), 100)
		w.check(err)
	}
	b.get(job).is(http.StatusOK).shows("Running", "1 per second, oldest first")
	b.get(job+"/cancel").is(http.StatusOK).shows("Cancel this bulk retry?", "Let it go on", "8 deliveries not visited yet: left as they are.", "requeued so far: sent all the same.")
	b.post(job + "/cancel").redirects(job)
	b.get(job).is(http.StatusOK).shows("The bulk retry is cancelled.", "Cancelled").hides("Cancel job", `hx-get="/jobs`)
	b.post(job + "/cancel").redirects(job)
	b.get(job).shows("had ended already: cancelled")
	b.get(job + "/cancel").redirects(job)
	b.get(job).shows("had ended already: cancelled")
	if got := b.fragment(job).is(http.StatusOK).header.Get("HX-Redirect"); got != job {
		t.Errorf("the page of a job that ended is sent to %q", got)
	}
	visited := fixture.Scalar[int](t, w.db, "SELECT visited_count FROM jobs")
	w.clock.Advance(time.Minute)
	_, err = w.handler.Deliveries.RunJobs(t.Context(), 100)
	w.check(err)
	if after := fixture.Scalar[int](t, w.db, "SELECT visited_count FROM jobs"); visited < 1 || after != visited {
		t.Errorf("the job visited %d before it was cancelled and %d after", visited, after)
	}
	for _, name := range []string{"webhook_job.created", "webhook_job.cancelled"} {
		if n := fixture.Audited(t, w.db, w.org, name); n != 1 {
			t.Errorf("%s is audited %d times, want once", name, n)
		}
	}
}

// TestJobs_TakeTheFiltersOfTheList: a bulk retry is of no more than what the list that led to it shows.
func TestJobs_TakeTheFiltersOfTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	risk, _ := w.endpoint("risk", false)
	labels := []string{"EU"}
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, risk.ID, webhook.EndpointChange{Labels: &labels})
	w.check(err)
	w.sender.answers(http.StatusBadGateway, "")
	w.fail()
	w.fail()
	w.exhaust()
	fixture.Exec(t, w.db, "UPDATE webhook_deliveries SET last_status_code = 503 WHERE id = (SELECT id FROM webhook_deliveries LIMIT 1)")
	w.sender.answers(http.StatusServiceUnavailable, "")
	w.fail()
	w.work() // retrying
	b := w.as(w.owner)
	for list, want := range map[string]struct {
		scope string
		count int
	}{
		"code=502":                     {"Failed, all endpoints, code 502", 1},
		"code=5xx":                     {"Failed, all endpoints, code 5xx", 2},
		"error=http_status&attempts=8": {"Failed, all endpoints, last error HTTP status, attempts at least 8", 2},
		"status=failed&code=503":       {"Failed, all endpoints, code 503", 1},
		"status=retrying&code=503":     {"Retrying, all endpoints, code 503", 1},
		"label=eu":                     {"Failed, all endpoints, label eu", 2},
	} {
		preview := b.get(html.UnescapeString(b.get("/deliveries?" + list).is(http.StatusOK).find(`href="(/jobs/new[^"]*)"`)))
		preview.is(http.StatusOK).shows(want.scope, "Retry "+counted(want.count, "delivery", "deliveries"))
		if strings.HasPrefix(list, "status=retrying") {
			proven(b, preview, "Matched")
			proven(b, preview, "Eligible")
		}
		job := b.post("/jobs", append(preview.hidden("/jobs"), "rate", "1")...).header.Get("Location")
		b.get(job).is(http.StatusOK).shows(append(strings.Split(want.scope, ", all endpoints"), "of "+strconv.Itoa(want.count)+" visited")...)
	}
	b.get("/deliveries?status=parked").is(http.StatusOK).hides("Retry all")
}

// TestJobs_EligibleLeadsToWhatCanBeSent: a payload whose time is over counts as gone, and is in no list of what is held, before it is erased.
func TestJobs_EligibleLeadsToWhatCanBeSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.sender.answers(http.StatusInternalServerError, "")
	w.fail()
	w.fail()
	w.exhaust()
	fixture.Exec(t, w.db, "UPDATE webhook_deliveries SET payload_expires_at = $1 WHERE id = (SELECT id FROM webhook_deliveries LIMIT 1)", w.clock.Now())
	b := w.as(w.admin)
	proven(b, b.get("/jobs/new").is(http.StatusOK).shows("Retry 1 delivery"), "Eligible")
}

// proven follows a count of a preview to the list that it leads to.
func proven(b *browser, preview answer, label string) {
	b.t.Helper()
	cells := answer{t: b.t, body: preview.find(`(?s)` + label + `(.*?)</tr>`)}
	row := cells.find(`(?s)<td[^>]*>\s*(<a href="[^"]+">[0-9,]+)<`)
	door, n, _ := strings.Cut(strings.TrimPrefix(row, `<a href="`), `">`)
	if rows := strings.Count(b.get(html.UnescapeString(door)).is(http.StatusOK).body, `<tr id="row-`); strconv.Itoa(rows) != n {
		b.t.Errorf("behind %s %s are %d deliveries: %s", n, label, rows, door)
	}
}

func TestJobs_ChosenRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	_, d := w.of(w.succeed())
	var ids []string
	w.work()
	for _, d := range d {
		ids = append(ids, "id", d.ID.String())
	}
	w.sender.answers(http.StatusInternalServerError, "")
	_, d = w.of(w.fail())
	w.work()
	var failing string
	for _, d := range d {
		failing = d.ID.String()
		ids = append(ids, "id", failing, "id", failing)
	}
	b := w.as(w.owner)
	x := w.stranger()
	x.post("/jobs/preview", ids...).is(http.StatusUnprocessableEntity).hides(failing)
	x.post("/jobs", ids...).redirects("/deliveries")
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_deliveries WHERE next_trigger = 'manual'"); n != 0 {
		t.Fatal("a stranger made a delivery due")
	}

	b.get("/deliveries").is(http.StatusOK).shows(`value="`+failing+`"`, "Choose ")
	fields := b.post("/jobs/preview", ids...).is(http.StatusOK).shows("2 chosen deliveries", "Delivered already", "Retry 1 delivery", "They are due at once.").hidden("/jobs")
	for range 2 {
		b.post("/jobs", fields...).redirects("/deliveries")
	}
	b.get("/deliveries").shows("due now.")
	if n := fixture.Audited(t, w.db, w.org, "webhook_delivery.retried"); n != 1 {
		t.Errorf("%d retries are audited, want 1", n)
	}
	var many []string
	for range chosenMax + 1 {
		many = append(many, "id", failing)
	}
	b.post("/jobs/preview", many...).is(http.StatusBadRequest).shows("At most " + strconv.Itoa(chosenMax))

	// What was never encrypted is told apart from what was erased.
	e, _ := w.endpoint("keyless", true)
	_, d = w.of(w.fail())
	preview := b.post("/jobs/preview", "id", d[e.ID].ID.String()).is(http.StatusUnprocessableEntity)
	for label, n := range map[string]string{"Never encrypted": "1", "Payload gone": "0"} {
		if got := preview.find(`(?s)` + label + `.*?<td[^>]*>([0-9,]+)</td>`); got != n {
			t.Errorf("%s counts %s, want %s", label, got, n)
		}
	}
}

// TestJobs_ManyAskForTheNumber writes rows past the rooms: a thousand deliveries take too long to make one by one.
func TestJobs_ManyAskForTheNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	w.sender.answers(http.StatusInternalServerError, "")
	w.fail()
	w.work()
	w.check(w.db.Reader(t.Context()).Exec(`INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, created_at)
		SELECT gen_random_uuid(), $1, 'webhook.test', 'webhook_endpoint', $2, $3 FROM generate_series(1, 1000)`, w.org, e.ID, w.clock.Now()).Error)
	w.check(w.db.Reader(t.Context()).Exec(`INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, webhook_encryption_key_id, event_type, status, payload,
			payload_bytes, payload_expires_at, payload_retention_reason, next_attempt_at, created_at, updated_at)
		SELECT gen_random_uuid(), e.organization_id, e.id, e.trigger_id, d.webhook_encryption_key_id, e.type, 'pending', d.payload, d.payload_bytes, d.payload_expires_at,
			d.payload_retention_reason, d.next_attempt_at, e.created_at, e.created_at FROM events e, webhook_deliveries d WHERE e.type = 'webhook.test'`).Error)
	b := w.as(w.owner)
	fields := b.get("/jobs/new?status=pending").is(http.StatusOK).shows("Waiting, all endpoints", "Retry 1,001 deliveries", "Type 1001 to confirm").hidden("/jobs")
	fields = append(fields, "rate", "100")
	counts := 0
	note := func(tx *gorm.DB) {
		if strings.Contains(tx.Statement.SQL.String(), "WHERE fate = 'eligible'") {
			counts++
		}
	}
	w.check(errors.Join(w.db.Reader(t.Context()).Callback().Row().After("gorm:row").Register("note", note), w.db.Reader(t.Context()).Callback().Query().After("gorm:query").Register("note", note)))
	once := func(what string) {
		t.Helper()
		if counts != 1 {
			t.Errorf("%s: they are counted %d times, want once", what, counts)
		}
		counts = 0
	}
	for _, typed := range []string{"", "1000"} {
		b.post("/jobs", append(fields, "confirm", typed)...).is(http.StatusUnprocessableEntity).shows("This is not the number of deliveries.")
		once("refused")
	}
	b.post("/jobs", append(slices.Clone(fields[:len(fields)-1]), "0", "confirm", "1000")...).is(http.StatusUnprocessableEntity).shows("Must be 1 to 100.", "This is not the number of deliveries.")
	counts = 0
	// What was told is told again once there is much more of it, and what was typed for it does not count any more.
	told := func(n string) []string {
		old := slices.Clone(fields)
		old[slices.Index(old, "count")+1] = n
		return old
	}
	for _, n := range []string{"900", "12", "0", "many"} {
		stale := b.post("/jobs", append(told(n), "confirm", n)...).is(http.StatusConflict).shows("1,001 can be sent again by now, not ", "Nothing was started", "Type 1001 to confirm")
		if now := stale.hidden("/jobs"); now[slices.Index(now, "count")+1] != "1001" {
			t.Errorf("the next question is about %v", now)
		}
	}
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM jobs"); n != 0 {
		t.Errorf("%d were started", n)
	}
	counts = 0
	a := b.post("/jobs", append(fields, "confirm", "1,001")...)
	once("started")
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/jobs/job_") {
		t.Fatalf("got %d to %q:\n%s", a.status, a.header.Get("Location"), a.text())
	}
	// A few more are no other question: while a receiver is down there are more every second.
	if a = b.post("/jobs", append(told("950"), "confirm", "950")...); a.status != http.StatusSeeOther {
		t.Errorf("950 of 1,001: got %d:\n%s", a.status, a.text())
	}
}

// TestJobs_TenThousandCancelledMidway: two receivers were down. What failed is counted with what cannot be sent again and why; halfway
// the job is stopped; what failed meanwhile is not swept in, nor is the other half touched. Rows are written past the rooms, as above.
func TestJobs_TenThousandCancelledMidway(t *testing.T) {
	t.Parallel()
	const each = 5_000
	w := newWorld(t)
	risk, _ := w.endpoint("risk", false)
	w.endpoint("ledger", false)
	paused, _ := w.endpoint("paused", false)
	w.sender.answers(http.StatusInternalServerError, "")
	w.fail()
	w.exhaust()
	// One failed delivery to each is the model for the rest.
	copies := `WITH made AS (INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, created_at)
			SELECT gen_random_uuid(), $1, 'webhook.test', 'webhook_endpoint', $2, $3::timestamptz + n * interval '1 ms' FROM generate_series(1, $4) n RETURNING id, created_at)
		INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, webhook_encryption_key_id, event_type, status, payload,
			payload_bytes, payload_expires_at, payload_retention_reason, attempt_count, last_error_kind, last_status_code, created_at, updated_at)
		SELECT gen_random_uuid(), d.organization_id, made.id, d.webhook_endpoint_id, d.webhook_encryption_key_id, 'webhook.test', 'failed', d.payload,
			d.payload_bytes, d.payload_expires_at, 'terminal_failure_retention', 8, 'http_status', 500, made.created_at, made.created_at
		FROM made, webhook_deliveries d WHERE d.event_type <> 'webhook.test' AND d.webhook_endpoint_id = ANY($5::uuid[])`
	add := func(n int, at time.Time, endpoints string) {
		t.Helper()
		w.check(w.db.Reader(t.Context()).Exec(copies, w.org, risk.ID, at, n, endpoints).Error)
	}
	var both string
	w.check(w.db.Reader(t.Context()).Raw("SELECT array_agg(id) FROM webhook_endpoints WHERE name IN ('risk', 'ledger')").Scan(&both).Error)
	add(each-1, fixture.Start, both)
	add(299, fixture.Start, "{"+paused.ID.UUID.String()+"}")
	fixture.Exec(t, w.db, "UPDATE webhook_endpoints SET enabled = false, disabled_at = $1 WHERE id = $2", w.clock.Now(), paused.ID)
	fixture.Exec(t, w.db, `UPDATE webhook_deliveries SET payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = updated_at, payload_retention_reason = 'expired'
		WHERE id IN (SELECT id FROM webhook_deliveries WHERE webhook_endpoint_id = $1 LIMIT 200)`, paused.ID)

	b := w.as(w.admin)
	preview := b.get("/jobs/new?status=failed").is(http.StatusOK).shows("Retry 10,000 deliveries", "Type 10000 to confirm", "About 17 min at 10 per second") // 10,300 visits
	for label, n := range map[string]string{"Eligible": "10,000", "Payload gone": "200", "Endpoint paused or deleted": "100", "Matched": "10,300"} {
		if got := preview.find(`(?s)` + label + `.*?<td[^>]*>([0-9,]+)</td>`); got != n {
			t.Errorf("%s counts %s, want %s", label, got, n)
		}
	}
	// run starts what was previewed and lets it go on for up to so many seconds, in each of which two more fail.
	run := func(preview answer, count, seconds int) (job string, visited int) {
		t.Helper()
		job = b.post("/jobs", append(preview.hidden("/jobs"), "rate", "100", "confirm", strconv.Itoa(count))...).header.Get("Location")
		for s := range seconds + 1 { // in the first step it starts
			n, err := w.handler.Deliveries.RunJobs(t.Context(), 1000)
			w.check(err)
			if n == 0 && s > 0 {
				break
			}
			visited += n
			add(1, w.clock.Now(), both)
			w.clock.Advance(time.Second)
		}
		return job, visited
	}
	due := func() int {
		return fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'")
	}
	job, visited := run(preview, 10_000, 50)
	b.get(job).is(http.StatusOK).shows("Running", "5,000 of 10,300 visited")
	b.post(job + "/cancel").redirects(job)
	made := due()
	for range 3 {
		w.clock.Advance(time.Minute)
		n, err := w.handler.Deliveries.RunJobs(t.Context(), 1000)
		w.check(err)
		visited += n
	}
	b.get(job).is(http.StatusOK).shows("The bulk retry is cancelled.", "5,000 of 10,300 visited")
	skipped := fixture.Scalar[int](t, w.db, "SELECT skipped_count FROM jobs")
	if visited != 5_000 || due() != made || made+skipped != visited || made == 0 || skipped == 0 {
		t.Errorf("%d of 5,000 were visited and %d skipped; %d are due now, %d when it was cancelled", visited, skipped, due(), made)
	}
	if n := fixture.Scalar[int](t, w.db, "SELECT count(DISTINCT webhook_endpoint_id) FROM webhook_deliveries WHERE status = 'pending'"); n != 2 {
		t.Errorf("they are of %d endpoints, want both that were down", n)
	}

	// Another takes the rest to its end, and what failed in the meantime of the first; what fails after its start stays.
	left := 10_000 - made + 2*51
	preview = b.get("/jobs/new?status=failed").is(http.StatusOK).shows("Retry " + counted(left, "delivery", "deliveries"))
	before := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_deliveries")
	job, _ = run(preview, left, 100)
	b.get(job).is(http.StatusOK).shows("Completed")
	later := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_deliveries") - before
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM webhook_deliveries WHERE status = 'failed' AND payload IS NOT NULL AND webhook_endpoint_id <> '"+paused.ID.UUID.String()+"'"); n != later || later < 100 {
		t.Errorf("%d failed after it had started, of which %d were left alone", later, n)
	}
	for name, want := range map[string]int{"webhook_job.created": 2, "webhook_job.cancelled": 1, "webhook_job.finished": 1} {
		if n := fixture.Audited(t, w.db, w.org, name); n != want {
			t.Errorf("%s is audited %d times, want %d", name, n, want)
		}
	}
}

// TestJobs_EveryCountLeadsToItsDeliveries follows the numbers of a job's page, and from a delivery back to the job that made its run.
func TestJobs_EveryCountLeadsToItsDeliveries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	risk, _ := w.endpoint("risk", false)
	paused, _ := w.endpoint("paused", false)
	w.sender.answers(http.StatusInternalServerError, "")
	for range 3 {
		w.fail()
	}
	w.exhaust()
	off := false
	_, err := w.handler.Webhooks.UpdateEndpoint(t.Context(), w.owner, paused.ID, webhook.EndpointChange{Enabled: &off})
	w.check(err)
	fixture.Exec(t, w.db, `UPDATE webhook_deliveries SET payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = updated_at, payload_retention_reason = 'expired'
		WHERE id = (SELECT id FROM webhook_deliveries WHERE webhook_endpoint_id = $1 LIMIT 1)`, risk.ID)
	b := w.as(w.admin)
	start := func(scope string) string {
		t.Helper()
		preview := b.get("/jobs/new?" + scope).is(http.StatusOK)
		job := b.post("/jobs", append(preview.hidden("/jobs"), "rate", "100")...).header.Get("Location")
		for range 3 {
			w.clock.Advance(2 * time.Second)
			_, err = w.handler.Deliveries.RunJobs(t.Context(), 100)
			w.check(err)
		}
		return job
	}
	job := start("status=failed")
	page := b.get(job).is(http.StatusOK).shows("Completed")
	rows := func(path string) int { return strings.Count(b.get(path).is(http.StatusOK).body, `<tr id="row-`) }
	doors := map[string]int{page.find(`(?s)href="(/deliveries[^"]*)"[^>]*>\s*<span class="tile-label">Requeued</span>\s*<span class="tile-num">\s*2`): 2}
	for label, want := range map[string]int{"Payload gone": 1, "Endpoint paused or deleted": 3} {
		doors[page.find(`(?s)`+label+`.*?<td[^>]*>\s*<a href="([^"]+)">`+strconv.Itoa(want)+`</a>`)] = want
	}
	for door, want := range doors {
		if got := rows(html.UnescapeString(door)); got != want {
			t.Errorf("behind %d are %d deliveries: %s", want, got, door)
		}
	}
	page.find(`(?s)(In flight)\s*</span>\s*</th>\s*<td[^>]*>\s*0\s*</td>`)
	short := ui.ShortID(strings.TrimPrefix(job, "/jobs/"))
	requeued := b.get(html.UnescapeString(b.get("/jobs").is(http.StatusOK).find(`(?s)data-label="Requeued">\s*<a href="([^"]+)">2</a>`))).is(http.StatusOK).shows("Bulk retry: requeued by " + short)
	requeued.hides("Retry all failed…")
	bare := "/deliveries?job=" + strings.TrimPrefix(job, "/jobs/")
	if rows(bare) != 2 {
		t.Error("a job by itself does not stand for what it requeued")
	}
	b.get(bare + "/payload_gone").is(http.StatusOK).shows("skipped by " + short + ", payload gone")
	b.get(bare + "/nonsense").is(http.StatusOK).shows("No deliveries match 1 filter")
	b.get("/deliveries?job=nonsense").is(http.StatusOK).shows("No deliveries match 1 filter")
	w.stranger().get(bare).is(http.StatusOK).shows("No deliveries match 1 filter")

	// Another retry ran before the attempts of the first were made: each run is still said to be of its own.
	start("status=pending")
	w.work()
	delivery := requeued.find(`href="(/deliveries/whd_[a-z0-9]+)"`)
	b.get(delivery).is(http.StatusOK).shows(`href="` + job + `"`)
}
