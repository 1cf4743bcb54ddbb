package delivery_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// bulk is the delivery room on a database of its own, with rows that the test puts there.
type bulk struct {
	t     *testing.T
	db    *postgres.DB
	clock *fixture.Clock
	owner access.Actor
	svc   *delivery.Service

	mu   sync.Mutex
	rung []delivery.Due
}

func newBulk(t *testing.T) *bulk {
	t.Helper()
	b := &bulk{t: t, clock: fixture.NewClock()}
	b.db = fixture.DBAt(t, b.clock)
	_, b.owner = fixture.Organization(t, b.db)
	b.svc = b.service()
	return b
}

// service is the room as a process that has just started has it.
func (b *bulk) service() *delivery.Service {
	return delivery.New(delivery.Config{DB: b.db, Keyring: fixture.Keyring(), Worker: "test", Ring: func(due []delivery.Due) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.rung = append(b.rung, due...)
	}})
}

func (b *bulk) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bulk) endpoint() id.Endpoint {
	b.t.Helper()
	e := id.Endpoint{UUID: id.NewUUID(b.db.Now())}
	fixture.Exec(b.t, b.db, `INSERT INTO webhook_endpoints (id, organization_id, url, subscribed_event_types, signing_secret, signing_secret_rotated_at, created_at, updated_at)
		VALUES ($1, $2, 'https://example.com/', '{verification.session.failed}', 'sealed', $3, $3, $3)`, e, b.owner.Organization, b.db.Now())
	return e
}

// add puts a delivery there, a microsecond after the one before. State is failed, gone, pending or delivering.
func (b *bulk) add(e id.Endpoint, state string) id.Delivery {
	b.t.Helper()
	b.clock.Advance(time.Microsecond)
	now := b.db.Now()
	ev, d := id.Event{UUID: id.NewUUID(now)}, id.Delivery{UUID: id.NewUUID(now)}
	fixture.Exec(b.t, b.db, `INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, created_at)
		VALUES ($1, $2, 'webhook.test', 'webhook_endpoint', $3, $4)`, ev, b.owner.Organization, e, now)
	row := map[string]string{
		"failed":     "'failed', 'jwe', $5::timestamptz + interval '1 day', NULL, 'terminal_failure_retention', 8, NULL, NULL, NULL",
		"gone":       "'failed', NULL, NULL, $5, 'expired', 8, NULL, NULL, NULL",
		"pending":    "'pending', 'jwe', $5::timestamptz + interval '1 day', NULL, 'pending_delivery', 3, $5::timestamptz + interval '2 hours', NULL, NULL",
		"delivering": "'delivering', 'jwe', $5::timestamptz + interval '1 day', NULL, 'pending_delivery', 3, NULL, gen_random_uuid(), $5::timestamptz + interval '30 s'",
	}[state]
	fixture.Exec(b.t, b.db, `INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, created_at, updated_at, event_type,
			status, payload, payload_expires_at, payload_scrubbed_at, payload_retention_reason, attempt_count, next_attempt_at, lease_token, lease_expires_at)
		VALUES ($1, $2, $3, $4, $5, $5, 'webhook.test', `+row+`)`, d, b.owner.Organization, ev, e, now)
	return d
}

func (b *bulk) addMany(n int, e id.Endpoint, state string) []id.Delivery {
	b.t.Helper()
	rows := make([]id.Delivery, n)
	for i := range rows {
		rows[i] = b.add(e, state)
	}
	return rows
}

func (b *bulk) create(f delivery.JobFilters, rate int) delivery.Job {
	b.t.Helper()
	b.clock.Advance(time.Microsecond)
	job, err := b.svc.CreateJob(b.t.Context(), b.owner, delivery.JobInput{Filters: f, RatePerSecond: &rate})
	b.check(err)
	return job
}

// step lets a service do one step and returns how many deliveries it visited.
func (b *bulk) step(s *delivery.Service) int {
	b.t.Helper()
	n, err := s.RunJobs(b.t.Context(), 1000)
	b.check(err)
	return n
}

// finish steps once a second until the job ends.
func (b *bulk) finish(job delivery.Job) delivery.Job {
	b.t.Helper()
	for range 100 {
		if job = b.get(job); !job.Status.Open() {
			return job
		}
		b.step(b.svc)
		b.clock.Advance(time.Second)
	}
	b.t.Fatalf("job does not end: %+v", job)
	return job
}

func (b *bulk) get(job delivery.Job) delivery.Job {
	b.t.Helper()
	job, err := b.svc.GetJob(b.t.Context(), b.owner, job.ID)
	b.check(err)
	return job
}

// cameTo returns what the job did so to, newest first, as the actor sees it.
func (b *bulk) cameTo(actor access.Actor, job delivery.Job, outcome delivery.JobOutcome) []id.Delivery {
	b.t.Helper()
	list, err := b.svc.List(b.t.Context(), actor, delivery.Filter{JobID: job.ID, JobOutcome: outcome}, postgres.Page{Limit: 100})
	b.check(err)
	var ids []id.Delivery
	for _, d := range list.Rows {
		ids = append(ids, d.ID)
	}
	return ids
}

// visited returns the deliveries that a job requeued, in ascending order. It fails if one was requeued twice.
func (b *bulk) visited() []id.Delivery {
	b.t.Helper()
	var rows []delivery.Delivery
	b.check(b.db.Reader(b.t.Context()).Raw("SELECT id, run, status, next_trigger FROM webhook_deliveries WHERE run > 1 ORDER BY created_at, id").Scan(&rows).Error)
	ids := make([]id.Delivery, len(rows))
	for i, d := range rows {
		ids[i] = d.ID
		if d.Run != 2 || d.Status != delivery.Pending || d.NextTrigger != delivery.Bulk {
			b.t.Errorf("requeued %+v, want one new run with trigger bulk", d)
		}
	}
	return ids
}

func (b *bulk) audited(event string, want int) {
	b.t.Helper()
	if got := fixture.Audited(b.t, b.db, b.owner.Organization, event); got != want {
		b.t.Errorf("%d audit rows %s, want %d", got, event, want)
	}
}

var failedOnes = delivery.JobFilters{Status: delivery.Failed}

func TestCancelJob(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	rows := b.addMany(9, b.endpoint(), "failed")
	running, queued := b.create(failedOnes, 3), b.create(failedOnes, 3)
	b.step(b.svc)
	b.clock.Advance(time.Second)
	b.step(b.svc)

	_, stranger := fixture.Organization(t, b.db)
	fixture.WantFault(t, b.svc.CancelJob(t.Context(), stranger, running.ID), delivery.ErrJobNotFound)
	fixture.WantFault(t, b.svc.CancelJob(t.Context(), b.owner, id.Job{UUID: uuid.New()}), delivery.ErrJobNotFound)
	member := fixture.User(t, b.db, b.owner.Organization, access.Member)
	if err := b.svc.CancelJob(t.Context(), member, running.ID); err == nil {
		t.Error("a member cancelled a job")
	}
	for range 2 { // the second time nothing happens
		b.check(b.svc.CancelJob(t.Context(), b.owner, running.ID))
		b.check(b.svc.CancelJob(t.Context(), b.owner, queued.ID))
		b.clock.Advance(time.Second)
		b.step(b.svc)
	}
	b.audited("webhook_job.cancelled", 2)
	b.audited("webhook_job.finished", 0)
	if got := b.get(running); got.Status != delivery.JobCancelled || got.VisitedCount != 3 || got.FinishedAt == nil {
		t.Errorf("running one ended as %+v", got)
	}
	if got := b.get(queued); got.Status != delivery.JobCancelled || got.StartedAt != nil || got.VisitedCount != 0 {
		t.Errorf("queued one ended as %+v", got)
	}
	if got := b.visited(); !slices.Equal(got, rows[:3]) {
		t.Errorf("%d requeued, want 3", len(got))
	}
	done := b.finish(b.create(failedOnes, 100))
	b.check(b.svc.CancelJob(t.Context(), b.owner, done.ID))
	if got := b.get(done); got.Status != delivery.JobCompleted {
		t.Errorf("a completed job became %s", got.Status)
	}
}

func TestCreateJob_Rules(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	member := fixture.User(t, b.db, b.owner.Organization, access.Member)
	_, err := b.svc.CreateJob(t.Context(), member, delivery.JobInput{Filters: failedOnes})
	fixture.WantKind(t, err, "forbidden")
	for field, in := range map[string]delivery.JobInput{
		"status":          {Filters: delivery.JobFilters{}},
		"type":            {Filters: delivery.JobFilters{Status: delivery.Failed, EventType: "nope"}},
		"endpoint_id":     {Filters: delivery.JobFilters{Status: delivery.Failed, EndpointID: "a\x00"}},
		"state":           {Filters: delivery.JobFilters{Status: delivery.Failed, State: delivery.StateRetrying}},
		"last_error":      {Filters: delivery.JobFilters{Status: delivery.Failed, ErrorKind: "nope"}},
		"rate_per_second": {Filters: failedOnes, RatePerSecond: new(int)},
	} {
		_, err := b.svc.CreateJob(t.Context(), b.owner, in)
		fixture.WantField(t, err, field)
		if _, err = b.svc.PreviewJob(t.Context(), b.owner, in.Filters); field != "rate_per_second" {
			fixture.WantField(t, err, field)
		}
	}
	for _, status := range []delivery.Status{delivery.Succeeded, delivery.Delivering} {
		_, err := b.svc.CreateJob(t.Context(), b.owner, delivery.JobInput{Filters: delivery.JobFilters{Status: status}})
		fixture.WantField(t, err, "status")
	}
	rate := 101
	_, err = b.svc.CreateJob(t.Context(), b.owner, delivery.JobInput{Filters: failedOnes, RatePerSecond: &rate})
	fixture.WantField(t, err, "rate_per_second")
	b.audited("webhook_job.created", 0)
	job, err := b.svc.CreateJob(t.Context(), b.owner, delivery.JobInput{Filters: failedOnes})
	b.check(err)
	if job.RatePerSecond != 10 || job.CreatedByName != b.owner.Name {
		t.Errorf("created %+v", job)
	}
}

func TestJobs_BelongToTheirOrganization(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	e := b.endpoint()
	mine := b.addMany(2, e, "failed")
	job := b.create(failedOnes, 10)
	_, stranger := fixture.Organization(t, b.db)
	_, err := b.svc.GetJob(t.Context(), stranger, job.ID)
	fixture.WantFault(t, err, delivery.ErrJobNotFound)
	_, err = b.svc.JobPosition(t.Context(), stranger, job.ID)
	fixture.WantFault(t, err, postgres.ErrCursor)
	list, err := b.svc.ListJobs(t.Context(), stranger, postgres.Page{Limit: 10})
	b.check(err)
	if len(list.Rows) != 0 {
		t.Errorf("a stranger lists %d jobs", len(list.Rows))
	}
	preview, err := b.svc.PreviewJob(t.Context(), stranger, delivery.JobFilters{Status: delivery.Failed, EndpointID: e.String()})
	b.check(err)
	if preview != (delivery.JobPreview{}) {
		t.Errorf("a stranger previews %+v", preview)
	}
	// Nor does a stranger's job reach it, by naming the endpoint.
	_, err = b.svc.CreateJob(t.Context(), stranger, delivery.JobInput{Filters: delivery.JobFilters{Status: delivery.Failed, EndpointID: e.String()}})
	b.check(err)
	b.check(b.svc.CancelJob(t.Context(), b.owner, job.ID))
	b.step(b.svc)
	b.clock.Advance(time.Second)
	b.step(b.svc)
	if got := b.visited(); len(got) != 0 {
		t.Errorf("requeued %v of %v", got, mine)
	}
	later := b.create(failedOnes, 10)
	list, err = b.svc.ListJobs(t.Context(), b.owner, postgres.Page{Limit: 10})
	b.check(err)
	if len(list.Rows) != 2 || list.Rows[0].ID != later.ID || list.Rows[1].Status != delivery.JobCancelled {
		t.Errorf("listed %+v", list.Rows)
	}
	noRead := access.Actor{Type: access.APIKey, Organization: b.owner.Organization, Scopes: []access.Scope{access.SessionsRead}}
	_, err = b.svc.GetJob(t.Context(), noRead, job.ID)
	fixture.WantKind(t, err, "forbidden")
	_, err = b.svc.ListJobs(t.Context(), noRead, postgres.Page{Limit: 1})
	fixture.WantKind(t, err, "forbidden")
	_, err = b.svc.PreviewJob(t.Context(), noRead, failedOnes)
	fixture.WantKind(t, err, "forbidden")
}

func TestJobs_EveryFilterNarrows(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	e, f := b.endpoint(), b.endpoint()
	rows := append(b.addMany(3, e, "failed"), b.add(f, "failed"))
	waiting := b.add(f, "pending") // for its fourth attempt
	fixture.Exec(t, b.db, "UPDATE webhook_endpoints SET labels = '{EU}' WHERE id = $1", e)
	mark := func() {
		fixture.Exec(t, b.db, `UPDATE webhook_deliveries SET status = 'failed', run = 1, attempt_count = 8, next_attempt_at = NULL, payload_retention_reason = 'terminal_failure_retention'
			WHERE id <> $1`, waiting)
		fixture.Exec(t, b.db, "UPDATE webhook_deliveries SET last_error_kind = 'http_status', last_status_code = 503 WHERE id = $1", rows[0])
		fixture.Exec(t, b.db, "UPDATE webhook_deliveries SET last_error_kind = 'dns', attempt_count = 7 WHERE id = $1", rows[1])
	}
	mark()
	at := func(i int) time.Time {
		d, err := b.svc.Get(t.Context(), b.owner, rows[i])
		b.check(err)
		return d.CreatedAt
	}
	failed := func(change func(*delivery.JobFilters)) delivery.JobFilters {
		filters := failedOnes
		change(&filters)
		return filters
	}
	for name, tc := range map[string]struct {
		filters delivery.JobFilters
		want    int
	}{
		"all":           {failedOnes, 4},
		"endpoint":      {failed(func(f *delivery.JobFilters) { f.EndpointID = e.String() }), 3},
		"zero endpoint": {failed(func(f *delivery.JobFilters) { f.EndpointID = "whe_00000000000000000000000000" }), 0},
		"no endpoint":   {failed(func(f *delivery.JobFilters) { f.EndpointID = "whe_nonsense" }), 0},
		"another thing": {failed(func(f *delivery.JobFilters) { f.EndpointID = rows[0].String() }), 0},
		"type":          {failed(func(f *delivery.JobFilters) { f.EventType = event.Test }), 4},
		"other type":    {failed(func(f *delivery.JobFilters) { f.EventType = event.SessionFailed }), 0},
		"from":          {failed(func(f *delivery.JobFilters) { f.From = at(1) }), 3},
		"to":            {failed(func(f *delivery.JobFilters) { f.To = at(1) }), 2},
		"from to":       {failed(func(f *delivery.JobFilters) { f.From, f.To = at(1), at(2) }), 2},
		"error":         {failed(func(f *delivery.JobFilters) { f.ErrorKind = delivery.DNS }), 1},
		"code":          {failed(func(f *delivery.JobFilters) { f.StatusCode = 503 }), 1},
		"other code":    {failed(func(f *delivery.JobFilters) { f.StatusCode = 500 }), 0},
		"class":         {failed(func(f *delivery.JobFilters) { f.StatusClass = 5 }), 1},
		"no answer":     {failed(func(f *delivery.JobFilters) { f.Unanswered = true }), 1},
		"attempts":      {failed(func(f *delivery.JobFilters) { f.MinAttempts = 8 }), 3},
		"label":         {failed(func(f *delivery.JobFilters) { f.Label = "eu" }), 3},
		"no such label": {failed(func(f *delivery.JobFilters) { f.Label = "us" }), 0},
		"pending":       {delivery.JobFilters{Status: delivery.Pending}, 1},
		"retrying":      {delivery.JobFilters{Status: delivery.Pending, State: delivery.StateRetrying}, 1},
		"scheduled":     {delivery.JobFilters{Status: delivery.Pending, State: delivery.StateScheduled}, 0},
	} {
		preview, err := b.svc.PreviewJob(t.Context(), b.owner, tc.filters)
		b.check(err)
		if preview.Matched != tc.want {
			t.Errorf("%s: preview of %d, want %d", name, preview.Matched, tc.want)
		}
		job := b.create(tc.filters, 100)
		if diff := cmp.Diff(tc.filters, b.get(job).Filters); diff != "" {
			t.Errorf("%s: stored (-want +got)\n%s", name, diff)
		}
		b.step(b.svc)
		b.clock.Advance(time.Second)
		b.step(b.svc)
		if got := b.get(job); got.MatchedCount != tc.want || got.RequeuedCount != tc.want || got.Status != delivery.JobCompleted {
			t.Errorf("%s: %s", name, fmt.Sprintf("%+v", got))
		}
		mark()
	}
}
