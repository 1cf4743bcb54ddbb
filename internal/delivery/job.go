package delivery

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

// Numbers of bulk retries (contract section 1, BULK_RATE).
const (
	MinJobRate     = 1
	MaxJobRate     = 100
	DefaultJobRate = 10
	// JobCountLimit bounds how many deliveries a preview, and the matched count of a new job, look at.
	JobCountLimit = 100_000
)

// JobTypeRetry is the only type of job.
const JobTypeRetry = "delivery_retry"

// JobStatus is the state of a bulk job (contract section 7.11).
type JobStatus string

// The states; the first two are open.
const (
	JobQueued    JobStatus = "queued"
	JobRunning   JobStatus = "running"
	JobCompleted JobStatus = "completed"
	JobCancelled JobStatus = "cancelled"
	JobFailed    JobStatus = "failed"
)

// Open reports whether the job still has something to do.
func (s JobStatus) Open() bool { return s == JobQueued || s == JobRunning }

// ErrJobNotFound reports a job that is absent or another organization's.
var ErrJobNotFound = fault.Missing("job")

// JobFilters say which deliveries a job is for. The zero value of a field but Status filters nothing; From and To are
// inclusive. Its JSON is what is stored.
type JobFilters struct {
	// Status is Failed or Pending. A pending delivery whose attempt is under way counts as matching, and is skipped.
	Status Status `json:"status"`
	// State narrows Status; it is empty, StateScheduled or StateRetrying.
	State State `json:"state,omitempty"`
	// EndpointID is a text id; one that names no endpoint of the organization matches nothing.
	EndpointID string     `json:"endpoint_id,omitempty"`
	EventType  event.Type `json:"type,omitempty"`
	From       time.Time  `json:"created_from,omitzero"`
	To         time.Time  `json:"created_to,omitzero"`
	// FailedFrom is when it failed at the earliest; what is pending has not. A delivery fails up to a day and more after it was
	// created, so a receiver's bad time is better told by this than by From.
	FailedFrom time.Time `json:"failed_from,omitzero"`
	// Label, ErrorKind, StatusCode, StatusClass, Unanswered and MinAttempts are those of [Filter].
	Label       string    `json:"label,omitempty"`
	ErrorKind   ErrorKind `json:"last_error,omitempty"`
	StatusCode  int       `json:"last_status_code,omitempty"`
	StatusClass int       `json:"last_status_class,omitempty"`
	Unanswered  bool      `json:"unanswered,omitempty"`
	MinAttempts int       `json:"min_attempts,omitempty"`
}

// JobOutcome is what a job did with a delivery that it visited.
type JobOutcome string

// The outcomes: made due again, or skipped for a reason (contract section 7.11).
const (
	JobRequeued         JobOutcome = "requeued"
	JobInFlight         JobOutcome = "in_flight"
	JobPayloadGone      JobOutcome = "payload_gone"
	JobEndpointDisabled JobOutcome = "endpoint_disabled"
	JobChanged          JobOutcome = "changed"
)

// JobOutcomes lists the outcomes.
func JobOutcomes() []JobOutcome {
	return []JobOutcome{JobRequeued, JobInFlight, JobPayloadGone, JobEndpointDisabled, JobChanged}
}

// JobInput is the input of CreateJob.
type JobInput struct {
	Filters JobFilters
	// RatePerSecond nil means DefaultJobRate.
	RatePerSecond *int
	// Consider, unless it is nil, is told what the job would meet before it is created; its error is CreateJob's, and no job is.
	Consider func(JobPreview) error
}

// JobSkips counts the visited deliveries that were not requeued, by reason.
type JobSkips struct {
	InFlight         int `json:"in_flight"`
	PayloadGone      int `json:"payload_gone"`
	EndpointDisabled int `json:"endpoint_disabled"`
	// Changed counts those that stopped matching just before the visit.
	Changed int `json:"changed"`
}

// Job is one row of jobs: a bulk retry and how far it got.
type Job struct {
	ID             id.Job
	OrganizationID id.Organization
	Type           string
	Status         JobStatus
	RatePerSecond  int
	Filters        JobFilters `gorm:"type:jsonb"`
	// Upper is the organization's greatest delivery when the job was created, nil when it had none.
	UpperCreatedAt *time.Time
	UpperID        *id.Delivery
	// Position is the delivery visited last.
	PositionCreatedAt *time.Time
	PositionID        *id.Delivery
	// MatchedCount is how many deliveries matched at creation, counted up to JobCountLimit; it is raised when more are
	// visited, and stays above VisitedCount where deliveries stopped matching before their turn.
	MatchedCount   int
	VisitedCount   int
	RequeuedCount  int
	SkippedCount   int
	SkippedReasons JobSkips `gorm:"type:jsonb"`
	CreatedByType  access.ActorType
	CreatedByID    string
	CreatedByName  string
	CreatedAt      time.Time
	// PacedUntil is until when the rate has been used up: every visit moves it on by its share of a second.
	PacedUntil time.Time `gorm:"column:updated_at"`
	StartedAt  *time.Time
	FinishedAt *time.Time
}

// TableName names the table.
func (Job) TableName() string { return "jobs" }

// Value stores the filters as jsonb.
func (f JobFilters) Value() (driver.Value, error) { return jsonValue(f) }

// Scan reads the filters from jsonb.
func (f *JobFilters) Scan(src any) error { return scanJSON(src, f) }

// Value stores the counts as jsonb.
func (s JobSkips) Value() (driver.Value, error) { return jsonValue(s) }

// Scan reads the counts from jsonb.
func (s *JobSkips) Scan(src any) error { return scanJSON(src, s) }

func jsonValue(v any) (driver.Value, error) {
	b, err := json.Marshal(v)
	return string(b), err
}

// errUnreadable reports stored JSON that this release cannot read.
var errUnreadable = errors.New("unreadable json")

func scanJSON(src, dst any) error {
	var b []byte
	switch v := src.(type) {
	case []byte:
		b = v
	case string:
		b = []byte(v)
	}
	if err := json.Unmarshal(b, dst); err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return nil
}

// idForm is ID_MAX (contract section 1).
var idForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// check returns what is wrong with the filters.
func (f JobFilters) check() []fault.Field {
	var problems []fault.Field
	if f.Status != Failed && f.Status != Pending {
		problems = append(problems, fault.Field{Name: "status", Message: "must be failed or pending"})
	}
	if f.EndpointID != "" && !idForm.MatchString(f.EndpointID) {
		problems = append(problems, fault.Field{Name: "endpoint_id", Message: "is not an id"})
	}
	if f.EventType != "" && !f.EventType.Known() {
		problems = append(problems, fault.Field{Name: "type", Message: "is not an event type"})
	}
	if f.State != "" && (f.Status != Pending || f.State != StateScheduled && f.State != StateRetrying) {
		problems = append(problems, fault.Field{Name: "state", Message: "must be scheduled or retrying, of what is pending"})
	}
	if utf8.RuneCountInString(f.Label) > webhook.MaxLabel || !utf8.ValidString(f.Label) || strings.ContainsRune(f.Label, 0) {
		problems = append(problems, fault.Field{Name: "label", Message: "is not a label"})
	}
	if f.ErrorKind != "" && !slices.Contains(ErrorKinds(), f.ErrorKind) {
		problems = append(problems, fault.Field{Name: "last_error", Message: "is not a kind of error"})
	}
	return problems
}

// statuses are those a delivery may have to be visited.
func (f JobFilters) statuses() []Status {
	if f.Status == Pending {
		return []Status{Pending, Delivering}
	}
	return []Status{f.Status}
}

// apply limits a query on the organization's webhook_deliveries AS d to what matches now.
func (f JobFilters) apply(tx *postgres.Tx, org id.Organization, q *gorm.DB) *gorm.DB {
	rest := Filter{
		State: f.State, EventType: f.EventType, From: f.From, To: f.To, FailedFrom: f.FailedFrom,
		ErrorKind: f.ErrorKind, StatusCode: f.StatusCode, StatusClass: f.StatusClass, Unanswered: f.Unanswered, MinAttempts: f.MinAttempts,
	}
	if f.EndpointID != "" {
		endpoint, err := id.Parse[id.EndpointKind](f.EndpointID)
		if err != nil {
			return q.Where("false")
		}
		rest.EndpointID = endpoint
	}
	q = rest.apply(q.Where("d.organization_id = ?", org)).Where("d.status IN ?", f.statuses())
	if f.Label != "" {
		q = atEndpoints(tx, org, f.Label, q)
	}
	return q
}

// CreateJob queues a bulk retry of what matches the filters and exists by now; RunJobs works it off. It needs
// webhooks:write; faults that name the fields.
func (s *Service) CreateJob(ctx context.Context, actor access.Actor, in JobInput) (Job, error) {
	var job Job
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		job, err = s.CreateJobIn(tx, actor, in)
		return err
	})
	return job, err
}

// CreateJobIn is CreateJob inside the caller's transaction.
func (s *Service) CreateJobIn(tx *postgres.Tx, actor access.Actor, in JobInput) (Job, error) {
	if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
		return Job{}, err
	}
	if err := in.Check(); err != nil {
		return Job{}, err
	}
	job := Job{
		ID: id.Job{UUID: tx.NewUUID()}, OrganizationID: actor.Organization, Type: JobTypeRetry, Status: JobQueued,
		RatePerSecond: in.rate(), Filters: in.Filters,
		CreatedByType: actor.Type, CreatedByID: actor.ID, CreatedByName: actor.Name, CreatedAt: tx.Now, PacedUntil: tx.Now,
	}
	job.Filters.From, job.Filters.To, job.Filters.FailedFrom = in.Filters.From.UTC(), in.Filters.To.UTC(), in.Filters.FailedFrom.UTC()
	var greatest []Delivery
	err := tx.Raw("SELECT id, created_at FROM webhook_deliveries WHERE organization_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1", actor.Organization).Scan(&greatest).Error
	if err != nil {
		return Job{}, fmt.Errorf("find greatest delivery: %w", err)
	}
	var counts JobPreview
	if len(greatest) > 0 {
		job.UpperCreatedAt, job.UpperID = &greatest[0].CreatedAt, &greatest[0].ID
		if counts, err = countJob(tx, job.OrganizationID, job.Filters); err != nil {
			return Job{}, err
		}
		job.MatchedCount = counts.Matched
	}
	if in.Consider != nil {
		if err := in.Consider(counts); err != nil {
			return Job{}, err
		}
	}
	if err := tx.Create(&job).Error; err != nil {
		return Job{}, fmt.Errorf("insert job: %w", err)
	}
	return job, audit.Record(tx, actor, "webhook_job.created", jobTarget(job.ID), audit.Metadata{
		"filters": job.Filters, "rate_per_second": job.RatePerSecond, "matched_count": job.MatchedCount,
	})
}

// Check reports what CreateJob would refuse: for callers that look into something else first.
func (in JobInput) Check() error {
	problems := in.Filters.check()
	if rate := in.rate(); rate < MinJobRate || rate > MaxJobRate {
		problems = append(problems, fault.Field{Name: "rate_per_second", Message: fmt.Sprintf("must be %d to %d", MinJobRate, MaxJobRate)})
	}
	return fault.InvalidFields(problems...)
}

func (in JobInput) rate() int {
	if in.RatePerSecond == nil {
		return DefaultJobRate
	}
	return *in.RatePerSecond
}

func jobTarget(job id.Job) audit.Target { return audit.Target{Type: "webhook_job", ID: job.String()} }

// counts are the audit metadata of a job that ended.
func (j Job) counts() audit.Metadata {
	return audit.Metadata{
		"status": j.Status, "matched_count": j.MatchedCount, "visited_count": j.VisitedCount, "requeued_count": j.RequeuedCount,
		"skipped_count": j.SkippedCount, "skipped_reasons": j.SkippedReasons,
	}
}

// JobPreview counts what a job would meet if it were done now. Matched is the sum of the others.
type JobPreview struct {
	Matched  int
	Eligible int
	InFlight int
	// NeverEncrypted counts those whose endpoint had no usable key when their event happened.
	NeverEncrypted   int
	PayloadGone      int
	EndpointDisabled int
	// Capped is set when at least JobCountLimit deliveries match: the counts are over that many of them.
	Capped bool
}

// PreviewJob counts what a job with these filters would meet, at a bounded cost. It needs webhooks:read; faults that name
// the fields.
func (s *Service) PreviewJob(ctx context.Context, actor access.Actor, filters JobFilters) (JobPreview, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return JobPreview{}, err
	}
	if err := fault.InvalidFields(filters.check()...); err != nil {
		return JobPreview{}, err
	}
	return countJob(tx, actor.Organization, filters)
}

// countJob sorts what matches now by the rules of contract section 7.10, in their order.
func countJob(tx *postgres.Tx, org id.Organization, filters JobFilters) (JobPreview, error) {
	matching := filters.apply(tx, org, tx.Table("webhook_deliveries AS d").Joins("JOIN webhook_endpoints AS e ON e.id = d.webhook_endpoint_id").
		Select(`CASE WHEN d.status = 'delivering' THEN 'in_flight' WHEN d.payload_retention_reason IN ('no_active_key', 'jwe_creation_failed') THEN 'never_encrypted'
			WHEN d.payload_expires_at IS NULL OR d.payload_expires_at <= ? THEN 'payload_gone'
			WHEN NOT e.enabled THEN 'endpoint_disabled' ELSE 'eligible' END AS fate`, tx.Now)).Limit(JobCountLimit)
	var p JobPreview
	err := tx.Raw(`SELECT count(*) AS matched, count(*) FILTER (WHERE fate = 'eligible') AS eligible, count(*) FILTER (WHERE fate = 'in_flight') AS in_flight,
			count(*) FILTER (WHERE fate = 'never_encrypted') AS never_encrypted, count(*) FILTER (WHERE fate = 'payload_gone') AS payload_gone, count(*) FILTER (WHERE fate = 'endpoint_disabled') AS endpoint_disabled
		FROM (?) AS matching`, matching).Scan(&p).Error
	if err != nil {
		return JobPreview{}, fmt.Errorf("count deliveries: %w", err)
	}
	p.Capped = p.Matched == JobCountLimit
	return p, nil
}

// GetJob returns one job. It needs webhooks:read; ErrJobNotFound.
func (s *Service) GetJob(ctx context.Context, actor access.Actor, job id.Job) (Job, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return Job{}, err
	}
	var j Job
	err := tx.Where("organization_id = ? AND id = ?", actor.Organization, job).Take(&j).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Job{}, ErrJobNotFound
	}
	if err != nil {
		return Job{}, fmt.Errorf("load job %s: %w", job, err)
	}
	return j, nil
}

// ListJobs returns the organization's jobs, newest first. It needs webhooks:read.
func (s *Service) ListJobs(ctx context.Context, actor access.Actor, page postgres.Page) (postgres.List[Job], error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return postgres.List[Job]{}, err
	}
	list, err := postgres.Fetch[Job](tx.Table("jobs AS j").Where("j.organization_id = ?", actor.Organization), "j", page)
	if err != nil {
		return list, fmt.Errorf("list jobs: %w", err)
	}
	return list, nil
}

// JobsOf returns the jobs that made the delivery due, by the run that it was in then; the first of each run. It needs webhooks:read.
func (s *Service) JobsOf(ctx context.Context, actor access.Actor, delivery id.Delivery) (map[int]Job, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return nil, err
	}
	var rows []struct {
		Job
		Run int
	}
	err := tx.Raw(`SELECT DISTINCT ON (v.run) v.run, j.* FROM job_visits v JOIN jobs j ON j.id = v.job_id
		WHERE v.webhook_delivery_id = $2 AND v.outcome = 'requeued' AND j.organization_id = $1 ORDER BY v.run, j.started_at, j.id`, actor.Organization, delivery).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find jobs of delivery %s: %w", delivery, err)
	}
	jobs := make(map[int]Job, len(rows))
	for _, row := range rows {
		jobs[row.Run] = row.Job
	}
	return jobs, nil
}

// JobPosition finds the job that a list continues after. It is postgres.ErrCursor for one of another organization.
func (s *Service) JobPosition(ctx context.Context, actor access.Actor, job id.Job) (*postgres.Position, error) {
	return postgres.FindPosition(s.DB.Reader(ctx).Table("jobs").Where("organization_id = ?", actor.Organization), job.UUID)
}

// CancelJob stops a job before its next delivery. It is idempotent: a job that has ended is left as it is. What the job
// has requeued stays so. It needs webhooks:write; ErrJobNotFound.
func (s *Service) CancelJob(ctx context.Context, actor access.Actor, job id.Job) error {
	return s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
			return err
		}
		// Waits for a step under way, which is short.
		var rows []Job
		err := tx.Raw("SELECT * FROM jobs WHERE organization_id = $1 AND id = $2 FOR UPDATE", actor.Organization, job).Scan(&rows).Error
		if err != nil {
			return fmt.Errorf("lock job %s: %w", job, err)
		}
		if len(rows) == 0 {
			return ErrJobNotFound
		}
		if !rows[0].Status.Open() {
			return nil
		}
		j := rows[0]
		j.Status, j.FinishedAt = JobCancelled, &tx.Now
		if err := saveJob(tx, j); err != nil {
			return err
		}
		return audit.Record(tx, actor, "webhook_job.cancelled", jobTarget(j.ID), j.counts())
	})
}

// saveJob writes how far a locked job got.
func saveJob(tx *postgres.Tx, j Job) error {
	res := tx.Exec(`UPDATE jobs SET status = $2, position_created_at = $3, position_id = $4, matched_count = $5, visited_count = $6,
			requeued_count = $7, skipped_count = $8, skipped_reasons = $9, updated_at = $10, started_at = $11, finished_at = $12
		WHERE id = $1 AND status IN ('queued', 'running')`, j.ID, j.Status, j.PositionCreatedAt, j.PositionID, j.MatchedCount, j.VisitedCount,
		j.RequeuedCount, j.SkippedCount, j.SkippedReasons, j.PacedUntil, j.StartedAt, j.FinishedAt)
	if res.Error != nil {
		return fmt.Errorf("update job %s: %w", j.ID, res.Error)
	}
	if res.RowsAffected != 1 {
		return fmt.Errorf("update job %s: it has ended", j.ID)
	}
	return nil
}
