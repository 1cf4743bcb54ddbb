package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

const (
	// jobBurst is how much unused time a job may make up for: a second, and what a late step may miss. After an outage it
	// goes on at its rate; it does not catch up.
	jobBurst = 3 * time.Second / 2
	// jobSkew is how far another host's clock may be ahead (CLOCK_SKEW_MAX). A pace beyond it is an error, not a promise.
	jobSkew = 5 * time.Second
)

// RunJobs takes each organization's job one step further, visits at most budget deliveries in all and returns how many it
// visited. It never waits for a job's rate: it visits what has become allowed since the last step. Safe in many processes
// at once, and at any interval; an error in one job does not stop the others.
func (s *Service) RunJobs(ctx context.Context, budget int) (int, error) {
	var orgs []id.Organization
	// Whose running job had its last visit longest ago comes first, so that a small budget serves all in turn.
	err := s.DB.Reader(ctx).Raw(`SELECT organization_id FROM jobs WHERE status IN ('queued', 'running') GROUP BY organization_id
		ORDER BY COALESCE(max(updated_at) FILTER (WHERE status = 'running'), min(updated_at)), organization_id`).Scan(&orgs).Error
	if err != nil {
		return 0, fmt.Errorf("find open jobs: %w", err)
	}
	visited := 0
	var failed []error
	for _, org := range orgs {
		if visited >= budget || ctx.Err() != nil {
			break
		}
		n, err := s.stepJob(ctx, org, budget-visited)
		visited += n
		if err != nil {
			failed = append(failed, err)
		}
	}
	return visited, errors.Join(failed...)
}

// stepJob takes the organization's job one step further in one transaction: position, counts and requeues commit together,
// so that a job goes on after a crash without visiting a delivery twice.
func (s *Service) stepJob(ctx context.Context, org id.Organization, budget int) (int, error) {
	var visited int
	var turn id.Job
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		visited = 0
		if turn, err = jobTurn(tx, org); err != nil || turn.IsZero() {
			return err
		}
		var rows []Job
		err = tx.Raw("SELECT * FROM jobs WHERE id = $1 AND status IN ('queued', 'running') FOR UPDATE SKIP LOCKED", turn).Scan(&rows).Error
		if err != nil || len(rows) == 0 { // none: it is being cancelled
			return err
		}
		visited, err = s.visit(tx, rows[0], budget)
		return err
	})
	if err == nil {
		return visited, nil
	}
	err = fmt.Errorf("step job %s: %w", turn, err)
	if isBroken(err) && !turn.IsZero() {
		return 0, errors.Join(err, s.failJob(ctx, turn))
	}
	return 0, err
}

// jobTurn returns the organization's job that may go on, or the zero id when there is none or another process is at it.
// The lock keeps two processes from starting two jobs; a running job comes before an older one, which there can be only
// when the clocks of two hosts disagree.
func jobTurn(tx *postgres.Tx, org id.Organization) (id.Job, error) {
	var turn []id.Job
	free, err := tx.TryLock("jobs:" + org.String())
	if err != nil || !free {
		return id.Job{}, err
	}
	err = tx.Raw(`SELECT id FROM jobs WHERE organization_id = $1 AND status IN ('queued', 'running')
		ORDER BY status = 'running' DESC, created_at, id LIMIT 1`, org).Scan(&turn).Error
	if err != nil || len(turn) == 0 {
		return id.Job{}, err
	}
	return turn[0], nil
}

// visit retries the next deliveries of a locked job, as many as its rate allows by now.
func (s *Service) visit(tx *postgres.Tx, job Job, budget int) (int, error) {
	if job.Status == JobQueued {
		job.Status, job.StartedAt, job.PacedUntil = JobRunning, &tx.Now, tx.Now
	}
	job.rein(tx.Now)
	next, more, err := nextOfJob(tx, job, min(job.allowance(tx.Now), budget))
	if err != nil {
		return 0, err
	}
	if err := s.retryEach(tx, &job, next); err != nil {
		return 0, err
	}
	if len(next) > 0 {
		last := next[len(next)-1]
		job.PositionCreatedAt, job.PositionID = &last.CreatedAt, &last.ID
		job.VisitedCount += len(next)
		job.MatchedCount = max(job.MatchedCount, job.VisitedCount)
		job.pace(len(next))
	}
	if more {
		return len(next), saveJob(tx, job)
	}
	job.Status, job.FinishedAt = JobCompleted, &tx.Now
	if err := saveJob(tx, job); err != nil {
		return 0, err
	}
	return len(next), audit.Record(tx, access.ForSystem(job.OrganizationID), "webhook_job.finished", jobTarget(job.ID), job.counts())
}

// jobRow is a delivery that a job comes to next.
type jobRow struct {
	ID        id.Delivery
	CreatedAt time.Time
}

// nextOfJob returns up to n deliveries after the job's position, and whether more follow.
func nextOfJob(tx *postgres.Tx, job Job, n int) ([]jobRow, bool, error) {
	if job.UpperID == nil {
		return nil, false, nil
	}
	q := job.Filters.apply(tx, job.OrganizationID, tx.Table("webhook_deliveries AS d").Select("d.id, d.created_at")).
		Where("(d.created_at, d.id) <= (?, ?)", *job.UpperCreatedAt, *job.UpperID)
	if job.PositionID != nil {
		q = q.Where("(d.created_at, d.id) > (?, ?)", *job.PositionCreatedAt, *job.PositionID)
	}
	var rows []jobRow
	if err := q.Order("d.created_at, d.id").Limit(n + 1).Find(&rows).Error; err != nil {
		return nil, false, fmt.Errorf("find next deliveries: %w", err)
	}
	if len(rows) > n {
		return rows[:n], true, nil
	}
	return rows, false, nil
}

// jobVisit is one row of job_visits: a delivery that a job came to.
type jobVisit struct {
	JobID             id.Job
	WebhookDeliveryID id.Delivery
	Outcome           JobOutcome
	// CreatedAt is the delivery's, by which lists are ordered.
	CreatedAt time.Time
	// Run is the delivery's after the visit.
	Run int
}

// TableName names the table.
func (jobVisit) TableName() string { return "job_visits" }

// retryEach locks the deliveries, looks at each of them again and requeues those that still match and can be sent. What it did with
// each is noted.
func (s *Service) retryEach(tx *postgres.Tx, job *Job, next []jobRow) error {
	if len(next) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(next))
	for i, row := range next {
		ids[i] = row.ID.UUID
	}
	rows, err := s.lockForRequeue(tx, job.OrganizationID, "d.id = ANY($2::uuid[])", ids)
	if err != nil {
		return err
	}
	var matching []id.Delivery
	if err := job.Filters.apply(tx, job.OrganizationID, tx.Table("webhook_deliveries AS d").Select("d.id").Where("d.id IN ?", ids)).Find(&matching).Error; err != nil {
		return fmt.Errorf("look at deliveries again: %w", err)
	}
	skips := &job.SkippedReasons
	skips.Changed += len(next) - len(rows) // purged meanwhile
	var due []Due
	var visits []jobVisit
	for _, row := range rows {
		visit := jobVisit{job.ID, row.ID, JobChanged, row.CreatedAt, row.Run}
		if row.Status != Delivering && !slices.Contains(matching, row.ID) {
			skips.Changed++
			visits = append(visits, visit)
			continue
		}
		d, err := s.requeue(tx, row, Bulk)
		switch {
		case err == nil:
			visit.Outcome, visit.Run = JobRequeued, d.Run
			due = append(due, dueOf(d))
		case errors.Is(err, ErrInFlight):
			visit.Outcome = JobInFlight
			skips.InFlight++
		case errors.Is(err, ErrPayloadGone):
			visit.Outcome = JobPayloadGone
			skips.PayloadGone++
		case errors.Is(err, ErrEndpointDisabled):
			visit.Outcome = JobEndpointDisabled
			skips.EndpointDisabled++
		default:
			return err
		}
		visits = append(visits, visit)
	}
	if len(visits) > 0 {
		if err := tx.Create(&visits).Error; err != nil {
			return fmt.Errorf("note visits: %w", err)
		}
	}
	job.RequeuedCount += len(due)
	job.SkippedCount += len(next) - len(due)
	s.ring(tx, due)
	return nil
}

// rein brings the pace back to what makes sense now: time that was not used in time is lost, and a pace set by a host
// whose clock was wrong does not stop the job for longer than hosts may disagree.
func (j *Job) rein(now time.Time) {
	switch {
	case j.PacedUntil.Before(now.Add(-jobBurst)):
		j.PacedUntil = now.Add(-jobBurst)
	case j.PacedUntil.After(now.Add(jobSkew)):
		j.PacedUntil = now
	}
}

// allowance returns how many deliveries the rate allows by now: a second's worth at most.
func (j *Job) allowance(now time.Time) int {
	unused := int(now.Sub(j.PacedUntil) * time.Duration(j.RatePerSecond) / time.Second)
	return min(max(unused, 0), j.RatePerSecond)
}

// pace notes that n deliveries were visited. Their share of a second is rounded up to what the database keeps.
func (j *Job) pace(n int) {
	rate := time.Duration(j.RatePerSecond)
	share := (time.Duration(n)*time.Second/time.Microsecond + rate - 1) / rate
	j.PacedUntil = j.PacedUntil.Add(share * time.Microsecond)
}

// failJob ends a job that cannot go on, so that it does not keep those behind it.
func (s *Service) failJob(ctx context.Context, job id.Job) error {
	return s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		var ended []Job
		// Without the filters: they may be what is broken.
		err := tx.Raw(`UPDATE jobs SET status = 'failed', finished_at = $2 WHERE id = $1 AND status IN ('queued', 'running')
			RETURNING id, organization_id, status, matched_count, visited_count, requeued_count, skipped_count, skipped_reasons`, job, tx.Now).Scan(&ended).Error
		if err != nil {
			return fmt.Errorf("fail job %s: %w", job, err)
		}
		if len(ended) == 0 {
			return nil
		}
		return audit.Record(tx, access.ForSystem(ended[0].OrganizationID), "webhook_job.finished", jobTarget(job), ended[0].counts())
	})
}

// isBroken tells an error that comes again with every try, such as a row that a constraint refuses, from one that passes,
// such as a database that is away or a lock that was not free.
func isBroken(err error) bool {
	if errors.Is(err, errUnreadable) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code[:2] {
	case "22", "23", "42", "P0": // data, integrity, statement, raised by a trigger
		return true
	}
	return false
}
