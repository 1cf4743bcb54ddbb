package api

import (
	"context"
	"net/http"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

func (d *door) jobRoutes() {
	const single = "/v1/webhooks/jobs/{job_id}"
	missing := []int{http.StatusNotFound}
	add(d, route{method: "POST", path: "/v1/webhooks/deliveries/retry", id: "retryDeliveries", summary: "Send the deliveries that match a filter again, in the background", scope: access.WebhooksWrite, body: bodyRequired, idempotent: true, status: http.StatusAccepted}, d.retryDeliveries)
	add(d, route{method: "GET", path: single, id: "getJob", summary: "Get a bulk retry", scope: access.WebhooksRead, errors: missing}, d.getJob)
	add(d, route{method: "POST", path: single + "/cancel", id: "cancelJob", summary: "Stop a bulk retry before its next delivery", scope: access.WebhooksWrite, status: http.StatusNoContent, errors: missing}, d.cancelJob)
}

// jobResource is a bulk retry as contract section 7.11 shows it.
type jobResource struct {
	ID             string     `json:"id"`
	Type           string     `json:"type" enum:"delivery_retry"`
	Status         string     `json:"status" enum:"queued,running,completed,cancelled,failed"`
	RatePerSecond  int        `json:"rate_per_second" minimum:"1" maximum:"100"`
	CreatedAt      string     `json:"created_at" format:"date-time"`
	StartedAt      *string    `json:"started_at" format:"date-time"`
	FinishedAt     *string    `json:"finished_at" format:"date-time"`
	Filters        jobFilters `json:"filters"`
	MatchedCount   int        `json:"matched_count" doc:"How many deliveries matched when the job was created, counted up to 100,000."`
	VisitedCount   int        `json:"visited_count"`
	RequeuedCount  int        `json:"requeued_count"`
	SkippedCount   int        `json:"skipped_count"`
	SkippedReasons jobSkips   `json:"skipped_reasons"`
}

type jobFilters struct {
	Status      string  `json:"status" enum:"failed,pending"`
	EndpointID  *string `json:"endpoint_id"`
	Type        *string `json:"type"`
	CreatedFrom *string `json:"created_from" format:"date-time"`
	CreatedTo   *string `json:"created_to" format:"date-time"`
}

type jobSkips struct {
	InFlight         int `json:"in_flight"`
	PayloadGone      int `json:"payload_gone"`
	EndpointDisabled int `json:"endpoint_disabled"`
	Changed          int `json:"changed"`
}

func showJob(j delivery.Job) jobResource {
	given := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	instant := func(t time.Time) *string {
		if t.IsZero() {
			return nil
		}
		return stampPtr(&t)
	}
	return jobResource{
		ID: j.ID.String(), Type: j.Type, Status: string(j.Status), RatePerSecond: j.RatePerSecond,
		CreatedAt: stamp(j.CreatedAt), StartedAt: stampPtr(j.StartedAt), FinishedAt: stampPtr(j.FinishedAt),
		Filters: jobFilters{
			Status: string(j.Filters.Status), EndpointID: given(j.Filters.EndpointID), Type: given(string(j.Filters.EventType)),
			CreatedFrom: instant(j.Filters.From), CreatedTo: instant(j.Filters.To),
		},
		MatchedCount: j.MatchedCount, VisitedCount: j.VisitedCount, RequeuedCount: j.RequeuedCount, SkippedCount: j.SkippedCount,
		SkippedReasons: jobSkips(j.SkippedReasons),
	}
}

// bulkRetry is the body of a bulk retry. Null is the same as leaving a filter out, so that the filters of a job can be sent again.
type bulkRetry struct {
	Status        string    `json:"status" enum:"failed,pending"`
	EndpointID    clearable `json:"endpoint_id,omitempty" doc:"An id that names no endpoint matches nothing."`
	Type          clearable `json:"type,omitempty" doc:"An event type."`
	CreatedFrom   clearable `json:"created_from,omitempty" doc:"ISO 8601 in UTC, ending in Z; included."`
	CreatedTo     clearable `json:"created_to,omitempty" doc:"ISO 8601 in UTC, ending in Z; included."`
	RatePerSecond *int      `json:"rate_per_second,omitempty" minimum:"1" maximum:"100" nullable:"false" doc:"10 when left out."`
}

type bulkRetryInput struct{ Body body[bulkRetry] }

func (d *door) retryDeliveries(ctx context.Context, in *bulkRetryInput) (*one[jobResource], error) {
	b := in.Body.Value
	text := func(c clearable) string {
		if c.text == nil {
			return ""
		}
		return *c.text
	}
	var empty []fault.Field
	for _, given := range []struct {
		name string
		clearable
	}{{"endpoint_id", b.EndpointID}, {"type", b.Type}, {"created_from", b.CreatedFrom}, {"created_to", b.CreatedTo}} {
		if given.text != nil && *given.text == "" {
			empty = append(empty, fault.Field{Name: given.name, Message: "must not be empty"})
		}
	}
	if err := fault.InvalidFields(empty...); err != nil {
		return nil, err
	}
	from, to, err := period("created_from", text(b.CreatedFrom), "created_to", text(b.CreatedTo))
	if err != nil {
		return nil, err
	}
	input := delivery.JobInput{
		Filters:       delivery.JobFilters{Status: delivery.Status(b.Status), EndpointID: text(b.EndpointID), EventType: event.Type(text(b.Type)), From: from, To: to},
		RatePerSecond: b.RatePerSecond,
	}
	return once(ctx, d, input.Check, func(tx *postgres.Tx) (jobResource, error) {
		job, err := d.Deliveries.CreateJobIn(tx, actorOf(ctx), input)
		return showJob(job), err
	})
}

// JobPath names a bulk job.
type JobPath struct {
	JobID string `path:"job_id" pattern:"^[A-Za-z0-9_-]{1,128}$" example:"job_01kdvdna00e4hr28t5cy4tqkff"`
}

func (p JobPath) id() (id.Job, error) { return parseID[id.JobKind](p.JobID, delivery.ErrJobNotFound) }

func (d *door) getJob(ctx context.Context, in *JobPath) (*one[jobResource], error) {
	jobID, err := in.id()
	if err != nil {
		return nil, err
	}
	job, err := d.Deliveries.GetJob(ctx, actorOf(ctx), jobID)
	if err != nil {
		return nil, err
	}
	return oneOf(showJob(job)), nil
}

func (d *door) cancelJob(ctx context.Context, in *JobPath) (*nothing, error) {
	jobID, err := in.id()
	if err != nil {
		return nil, err
	}
	return &nothing{}, d.Deliveries.CancelJob(ctx, actorOf(ctx), jobID)
}
