package delivery_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

func TestRunJobs_OldestFirstOnceEachAtItsRate(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	rows := b.addMany(45, b.endpoint(), "failed")
	job := b.create(failedOnes, 10)
	if job.Status != delivery.JobQueued || job.MatchedCount != 45 || job.StartedAt != nil || *job.UpperID != rows[44] {
		t.Errorf("created %+v", job)
	}
	for i, s := range []struct {
		wait time.Duration
		want int
	}{
		{0, 0}, // it starts
		{time.Second, 10},
		{0, 0},
		{350 * time.Millisecond, 3},
		{50 * time.Millisecond, 1}, // the half that was left
		{-2 * time.Second, 0},      // another host's clock is behind
		{2 * time.Second, 0},
		{time.Hour, 10}, // nobody was there: it does not catch up
		{time.Second, 10},
		{time.Second, 10},
	} {
		b.clock.Advance(s.wait)
		if got := b.step(b.svc); got != s.want {
			t.Errorf("step %d visited %d, want %d", i, got, s.want)
		}
		if got, want := b.visited(), rows[:b.get(job).VisitedCount]; !slices.Equal(got, want) {
			t.Errorf("step %d: %d visited, which are not the %d oldest", i, len(got), len(want))
		}
	}
	if now := b.get(job); now.Status != delivery.JobRunning || now.VisitedCount != 44 || now.FinishedAt != nil {
		t.Errorf("before the last delivery %+v", now)
	}
	done := b.finish(job)
	if done.Status != delivery.JobCompleted || done.VisitedCount != 45 || done.RequeuedCount != 45 || done.SkippedCount != 0 || done.FinishedAt == nil {
		t.Errorf("ended as %+v", done)
	}
	if len(b.rung) != 45 {
		t.Errorf("%d rings, want 45", len(b.rung))
	}
	b.audited("webhook_job.created", 1)
	b.audited("webhook_job.finished", 1)
	d, err := b.svc.Get(t.Context(), b.owner, rows[0])
	b.check(err)
	if d.AttemptCount != 0 || d.NextAttemptAt == nil || d.Reason() != delivery.PendingDelivery || !d.PayloadExpiresAt.After(fixture.Start.Add(99_305*time.Second)) {
		t.Errorf("requeued as %+v, want what a manual retry gives", d)
	}
}

func TestRunJobs_AWrongClockHoldsAJobForSecondsOnly(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	b.addMany(3, b.endpoint(), "failed")
	job := b.create(failedOnes, 10)
	b.step(b.svc)
	fixture.Exec(t, b.db, "UPDATE jobs SET updated_at = updated_at + interval '1 day'")
	b.step(b.svc)
	b.clock.Advance(time.Second)
	b.step(b.svc)
	if got := b.get(job); got.Status != delivery.JobCompleted || got.RequeuedCount != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestRunJobs_NothingCreatedAfterTheJobIsVisited(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	e := b.endpoint()
	before := b.addMany(4, e, "failed")
	job := b.create(failedOnes, 2)
	b.add(e, "failed")
	b.step(b.svc)
	b.clock.Advance(time.Second)
	b.step(b.svc)
	b.add(e, "failed")
	if done := b.finish(job); done.VisitedCount != 4 || done.MatchedCount != 4 {
		t.Errorf("ended as %+v", done)
	}
	if got := b.visited(); !slices.Equal(got, before) {
		t.Errorf("visited %v, want %v", got, before)
	}
}

func TestRunJobs_EmptyScopesCompleteAtOnce(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	for range 2 { // without any delivery, then without one that matches
		job := b.create(failedOnes, 1)
		b.step(b.svc)
		if job = b.get(job); job.Status != delivery.JobCompleted || job.StartedAt == nil || job.VisitedCount != 0 {
			t.Errorf("got %+v", job)
		}
		b.add(b.endpoint(), "pending")
	}
}

func TestRunJobs_SkipsForTheReasonsOfAManualRetry(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	live, off := b.endpoint(), b.endpoint()
	fixture.Exec(t, b.db, "UPDATE webhook_endpoints SET enabled = false, disabled_at = $1 WHERE id = $2", b.db.Now(), off)
	for _, tc := range []struct {
		filters delivery.JobFilters
		add     []string // with off: at the endpoint that is turned off
		want    delivery.JobSkips
		preview delivery.JobPreview
	}{
		{
			failedOnes,
			[]string{"failed", "failed", "gone", "gone", "gone", "off failed", "off gone", "delivering", "pending"},
			delivery.JobSkips{PayloadGone: 4, EndpointDisabled: 1},
			delivery.JobPreview{Matched: 7, Eligible: 2, PayloadGone: 4, EndpointDisabled: 1},
		},
		{
			delivery.JobFilters{Status: delivery.Pending},
			[]string{"pending", "off pending", "delivering", "delivering", "failed"},
			delivery.JobSkips{InFlight: 2, EndpointDisabled: 1},
			delivery.JobPreview{Matched: 4, Eligible: 1, InFlight: 2, EndpointDisabled: 1},
		},
	} {
		fixture.Exec(t, b.db, "DELETE FROM webhook_deliveries")
		for _, state := range tc.add {
			if n := len("off "); state[:n] == "off " {
				b.add(off, state[n:])
			} else {
				b.add(live, state)
			}
		}
		preview, err := b.svc.PreviewJob(t.Context(), b.owner, tc.filters)
		b.check(err)
		if diff := cmp.Diff(tc.preview, preview); diff != "" {
			t.Errorf("preview of %s (-want +got):\n%s", tc.filters.Status, diff)
		}
		done := b.finish(b.create(tc.filters, 100))
		if diff := cmp.Diff(tc.want, done.SkippedReasons); diff != "" {
			t.Errorf("skipped of %s (-want +got):\n%s", tc.filters.Status, diff)
		}
		for outcome, want := range map[delivery.JobOutcome]int{
			delivery.JobRequeued: preview.Eligible, delivery.JobInFlight: tc.want.InFlight, delivery.JobPayloadGone: tc.want.PayloadGone, delivery.JobEndpointDisabled: tc.want.EndpointDisabled, delivery.JobChanged: 0,
		} {
			if got := b.cameTo(b.owner, done, outcome); len(got) != want {
				t.Errorf("%d deliveries are listed as %s, want %d", len(got), outcome, want)
			}
		}
		if done.MatchedCount != preview.Matched || done.VisitedCount != preview.Matched || done.RequeuedCount != preview.Eligible || done.SkippedCount != preview.Matched-preview.Eligible {
			t.Errorf("the preview was %+v, the job %+v", preview, done)
		}
	}
	// A waiting delivery keeps its run and its count.
	got := fixture.Scalar[int](t, b.db, "SELECT count(*) FROM webhook_deliveries WHERE next_trigger = 'bulk' AND run = 1 AND attempt_count = 3 AND next_attempt_at <= $1", b.db.Now())
	if got != 1 {
		t.Errorf("%d waiting deliveries are due, want 1", got)
	}
}

// A delivery that another transaction holds while the job wants it is looked at again when that one is done.
func TestRunJobs_LooksAgainUnderTheLock(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	e := b.endpoint()
	rows := b.addMany(4, e, "failed")
	job := b.create(delivery.JobFilters{Status: delivery.Failed, MinAttempts: 8}, 10)
	b.step(b.svc)
	b.clock.Advance(time.Second)
	stepped := make(chan error, 1)
	b.check(b.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		if err := tx.Exec(`UPDATE webhook_deliveries SET status = 'succeeded', payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = $2 WHERE id = $1`, rows[0], tx.Now).Error; err != nil {
			return err
		}
		if err := tx.Exec(`UPDATE webhook_deliveries SET status = 'delivering', lease_token = gen_random_uuid(), lease_expires_at = $2 WHERE id = $1`, rows[1], tx.Now).Error; err != nil {
			return err
		}
		if err := tx.Exec("UPDATE webhook_deliveries SET attempt_count = 7 WHERE id = $1", rows[3]).Error; err != nil { // failed still, but not what was asked for
			return err
		}
		go func() {
			_, err := b.svc.RunJobs(t.Context(), 10)
			stepped <- err
		}()
		fixture.AwaitLocks(t, b.db, 1)
		return nil
	}))
	b.check(<-stepped)
	done := b.get(job)
	if diff := cmp.Diff(delivery.JobSkips{InFlight: 1, Changed: 2}, done.SkippedReasons); diff != "" || done.RequeuedCount != 1 {
		t.Errorf("requeued %d, skipped (-want +got):\n%s", done.RequeuedCount, diff)
	}
	for outcome, want := range map[delivery.JobOutcome][]id.Delivery{delivery.JobChanged: {rows[3], rows[0]}, delivery.JobInFlight: {rows[1]}, delivery.JobRequeued: {rows[2]}} {
		if got := b.cameTo(b.owner, done, outcome); !slices.Equal(got, want) {
			t.Errorf("listed as %s are %v, want %v", outcome, got, want)
		}
	}
	_, stranger := fixture.Organization(t, b.db)
	if got := b.cameTo(stranger, done, delivery.JobRequeued); len(got) != 0 {
		t.Errorf("a stranger lists %v", got)
	}
}

// A delivery that two jobs requeued knows the run that each of them made, and what hurried a run has not made it.
func TestJobsOf(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	d := b.add(b.endpoint(), "failed")
	first := b.finish(b.create(failedOnes, 10))
	b.finish(b.create(delivery.JobFilters{Status: delivery.Pending}, 10))
	fixture.Exec(t, b.db, "UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, payload_retention_reason = 'terminal_failure_retention'")
	again := b.finish(b.create(failedOnes, 10))
	jobs, err := b.svc.JobsOf(t.Context(), b.owner, d)
	b.check(err)
	if len(jobs) != 2 || jobs[2].ID != first.ID || jobs[3].ID != again.ID {
		t.Errorf("runs of jobs %+v, want 2 of %s and 3 of %s", jobs, first.ID, again.ID)
	}
	_, stranger := fixture.Organization(t, b.db)
	if jobs, err = b.svc.JobsOf(t.Context(), stranger, d); err != nil || len(jobs) != 0 {
		t.Errorf("a stranger is told of %v, %v", jobs, err)
	}
	// They go with the delivery.
	fixture.Exec(t, b.db, "DELETE FROM webhook_deliveries")
	if n := fixture.Scalar[int](t, b.db, "SELECT count(*) FROM job_visits"); n != 0 {
		t.Errorf("%d visits are left of a delivery that is gone", n)
	}
}

func TestRunJobs_GoesOnAfterACrashWithoutVisitingTwice(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	rows := b.addMany(12, b.endpoint(), "failed")
	job := b.create(failedOnes, 4)
	b.step(b.svc)
	b.clock.Advance(time.Second)
	b.step(b.svc)
	// The database goes away in the middle of a step: what the step did is gone with it.
	fixture.Exec(t, b.db, `CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'crash' USING ERRCODE = '57P01'; END $$`)
	fixture.Exec(t, b.db, `CREATE TRIGGER crash BEFORE UPDATE ON webhook_deliveries FOR EACH ROW WHEN (OLD.id = '`+rows[6].UUID.String()+`') EXECUTE FUNCTION crash()`)
	b.clock.Advance(time.Second)
	rung := len(b.rung)
	if _, err := b.svc.RunJobs(t.Context(), 1000); err == nil {
		t.Fatal("the step did not fail")
	}
	if got := b.get(job); got.Status != delivery.JobRunning || got.VisitedCount != 4 || len(b.visited()) != 4 || len(b.rung) != rung {
		t.Errorf("after the crash %+v, %d requeued, %d rung", got, len(b.visited()), len(b.rung))
	}
	fixture.Exec(t, b.db, "DROP TRIGGER crash ON webhook_deliveries")
	for b.get(job).Status.Open() {
		b.clock.Advance(time.Second)
		b.step(b.service()) // a new process each time
	}
	if done := b.get(job); done.Status != delivery.JobCompleted || done.VisitedCount != 12 || done.RequeuedCount != 12 {
		t.Errorf("ended as %+v", done)
	}
	if got := b.visited(); !slices.Equal(got, rows) {
		t.Errorf("%d of %d requeued", len(got), len(rows))
	}
}

func TestRunJobs_ABrokenJobFailsAndTheNextOneRuns(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	e := b.endpoint()
	rows := b.addMany(3, e, "failed")
	good := b.endpoint()
	b.add(good, "failed")
	unreadable := b.create(failedOnes, 10)
	fixture.Exec(t, b.db, `UPDATE jobs SET filters = '{"status": 7}'`)
	refused := b.create(delivery.JobFilters{Status: delivery.Failed, EndpointID: e.String()}, 10)
	next := b.create(delivery.JobFilters{Status: delivery.Failed, EndpointID: good.String()}, 10)
	fixture.Exec(t, b.db, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`)
	fixture.Exec(t, b.db, `CREATE TRIGGER refuse BEFORE UPDATE ON webhook_deliveries FOR EACH ROW WHEN (OLD.id = '`+rows[1].UUID.String()+`') EXECUTE FUNCTION refuse()`)
	errs := 0
	for range 8 {
		if _, err := b.svc.RunJobs(t.Context(), 1000); err != nil {
			errs++
		}
		b.clock.Advance(time.Second)
	}
	status := fixture.Scalar[string](t, b.db, "SELECT status FROM jobs WHERE id = $1", unreadable.ID)
	if got := b.get(refused); status != "failed" || got.Status != delivery.JobFailed || got.RequeuedCount != 0 || got.FinishedAt == nil {
		t.Errorf("ended as %s and %+v", status, got)
	}
	if got := b.get(next); got.Status != delivery.JobCompleted || got.RequeuedCount != 1 || errs != 2 {
		t.Errorf("the next job ended as %+v, %d errors", got, errs)
	}
	b.audited("webhook_job.finished", 3)
}

func TestRunJobs_OneAtATimePerOrganizationInTheirOrder(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	e := b.endpoint()
	b.addMany(4, e, "failed")
	first, second := b.create(failedOnes, 2), b.create(delivery.JobFilters{Status: delivery.Pending}, 2)
	_, other := fixture.Organization(t, b.db)
	rate := 1
	elsewhere, err := b.svc.CreateJob(t.Context(), other, delivery.JobInput{Filters: failedOnes, RatePerSecond: &rate})
	b.check(err)
	b.step(b.svc)
	status := func(job delivery.Job) delivery.JobStatus {
		return fixture.Scalar[delivery.JobStatus](t, b.db, "SELECT status FROM jobs WHERE id = $1", job.ID)
	}
	if status(first) != delivery.JobRunning || status(second) != delivery.JobQueued || status(elsewhere) != delivery.JobCompleted {
		t.Errorf("statuses %s, %s, %s", status(first), status(second), status(elsewhere))
	}
	// A job with an earlier time, from a host whose clock is behind, waits for the running one.
	fixture.Exec(t, b.db, "UPDATE jobs SET created_at = created_at - interval '3 s' WHERE id = $1", second.ID)
	b.clock.Advance(time.Second)
	b.step(b.svc)
	if status(second) != delivery.JobQueued {
		t.Errorf("two jobs run at once")
	}
	b.finish(first)
	if done := b.finish(second); done.VisitedCount != 4 || done.RequeuedCount != 4 {
		t.Errorf("second ended as %+v", done) // the first one made them pending
	}
}

// While one worker is starting a job, which nobody sees yet, another one must not start a job that looks older.
func TestRunJobs_TwoWorkersNeverStartTwo(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	b.addMany(4, b.endpoint(), "failed")
	first := b.create(failedOnes, 2)
	fixture.Exec(t, b.db, `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NEW; END $$`)
	fixture.Exec(t, b.db, `CREATE TRIGGER hold BEFORE UPDATE ON jobs FOR EACH ROW WHEN (OLD.id = '`+first.ID.UUID.String()+`') EXECUTE FUNCTION hold()`)
	started := make(chan error, 1)
	b.check(b.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		if err := tx.Exec("SELECT pg_advisory_xact_lock(42)").Error; err != nil {
			return err
		}
		go func() {
			_, err := b.service().RunJobs(t.Context(), 10)
			started <- err
		}()
		fixture.AwaitLocks(t, b.db, 1)
		second := b.create(failedOnes, 2)
		fixture.Exec(t, b.db, "UPDATE jobs SET created_at = created_at - interval '3 s' WHERE id = $1", second.ID)
		b.step(b.svc)
		return nil
	}))
	b.check(<-started)
	if got := fixture.Scalar[string](t, b.db, "SELECT string_agg(id::text, ' ') FROM jobs WHERE status = 'running'"); got != first.ID.UUID.String() {
		t.Errorf("running are %s", got)
	}
}

func TestRunJobs_ManyWorkersKeepTheRate(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	rows := b.addMany(30, b.endpoint(), "failed")
	job := b.create(failedOnes, 10)
	b.create(failedOnes, 10)
	for tick := range 4 {
		var workers sync.WaitGroup
		for range 6 {
			workers.Go(func() {
				if _, err := b.service().RunJobs(t.Context(), 1000); err != nil {
					t.Error(err)
				}
			})
		}
		workers.Wait()
		if got := b.get(job).VisitedCount; got != 10*tick {
			t.Errorf("%d visited after %d s", got, tick)
		}
		if got := fixture.Scalar[int](t, b.db, "SELECT count(*) FROM jobs WHERE status = 'running'"); got > 1 {
			t.Errorf("%d jobs run at once", got)
		}
		b.clock.Advance(time.Second)
	}
	if got := b.visited(); !slices.Equal(got, rows) {
		t.Errorf("%d of %d requeued", len(got), len(rows))
	}
}

func TestRunJobs_ABudgetServesOrganizationsInTurn(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	owners := []access.Actor{b.owner}
	for range 2 {
		_, owner := fixture.Organization(t, b.db)
		owners = append(owners, owner)
	}
	jobs := make([]delivery.Job, len(owners))
	for i, owner := range owners {
		b.owner = owner
		b.addMany(9, b.endpoint(), "failed")
		jobs[i] = b.create(failedOnes, 3)
		b.create(failedOnes, 3) // those behind it do not bring it forward
	}
	b.step(b.svc)
	b.clock.Advance(time.Second)
	for range 3 {
		n, err := b.svc.RunJobs(t.Context(), 3)
		b.check(err)
		if n > 3 {
			t.Errorf("visited %d with a budget of 3", n)
		}
	}
	for i, owner := range owners {
		b.owner = owner
		if got := b.get(jobs[i]); got.VisitedCount != 3 {
			t.Errorf("organization %d: %d visited, want 3", i, got.VisitedCount)
		}
	}
}
