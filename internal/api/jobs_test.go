package api

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const bulk = "/v1/webhooks/deliveries/retry"

// newJob queues a bulk retry of all that failed.
func (h *harness) newJob() string {
	h.Helper()
	return text(h.do("POST", bulk, `{"status":"failed"}`).ok(202), "id")
}

func TestJobs_ShapeAndProgress(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, delivery, endpoint := h.newEvent()
	_, gone, _ := h.newEvent()
	h.exec("UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, attempt_count = 8, payload_retention_reason = 'terminal_failure_retention'")
	h.clock.Advance(time.Hour)
	filters := map[string]any{"status": "failed", "endpoint_id": endpoint, "type": "webhook.test", "created_from": "2026-03-02T09:30:00.000Z", "created_to": "2026-03-02T10:30:00.000Z"}
	created := h.do("POST", bulk, map[string]any{
		"status": "failed", "endpoint_id": endpoint, "type": "webhook.test", "created_from": "2026-03-02T09:30:00Z", "created_to": "2026-03-02T10:30Z", "rate_per_second": 100,
	}).ok(202)
	jobID := text(created, "id")
	want := map[string]any{
		"id": jobID, "type": "delivery_retry", "status": "queued", "rate_per_second": 100.0, "created_at": "2026-03-02T10:30:00.000Z", "started_at": nil, "finished_at": nil,
		"filters": filters, "matched_count": 1.0, "visited_count": 0.0, "requeued_count": 0.0, "skipped_count": 0.0,
		"skipped_reasons": map[string]any{"in_flight": 0.0, "payload_gone": 0.0, "endpoint_disabled": 0.0, "changed": 0.0},
	}
	if diff := cmp.Diff(want, created); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	for range 5 {
		if _, err := h.door.Deliveries.RunJobs(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(time.Second)
	}
	got := h.do("GET", "/v1/webhooks/jobs/"+jobID, nil).ok(200)
	want["status"], want["started_at"], want["finished_at"] = "completed", got["started_at"], got["finished_at"]
	want["visited_count"], want["requeued_count"] = 1.0, 1.0
	if diff := cmp.Diff(want, got); diff != "" || got["started_at"] == nil || got["finished_at"] == nil {
		t.Errorf("finished (-want +got):\n%s", diff)
	}
	for id, status := range map[string]string{delivery: "pending", gone: "failed"} {
		if got := h.do("GET", "/v1/webhooks/deliveries/"+id, nil).ok(200); got["status"] != status {
			t.Errorf("%s is %v, want %s", id, got["status"], status)
		}
	}
	// The filters of a job can be sent again.
	h.do("POST", bulk, filters).ok(202)
}

func TestJobs_UnsetFiltersAreNull(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, body := range []string{`{"status":"pending"}`, `{"status":"pending","endpoint_id":null,"type":null,"created_from":null,"created_to":null,"else":1}`} {
		got := h.do("POST", bulk, body).ok(202)
		want := map[string]any{"status": "pending", "endpoint_id": nil, "type": nil, "created_from": nil, "created_to": nil}
		if diff := cmp.Diff(want, got["filters"]); diff != "" || got["rate_per_second"] != 10.0 {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestJobs_CancelStopsOpenOnes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	jobID := h.newJob()
	for range 2 { // the second time it has ended
		if got := h.do("POST", "/v1/webhooks/jobs/"+jobID+"/cancel", nil); got.status != 204 || got.raw != "" {
			t.Errorf("got %d %q", got.status, got.raw)
		}
	}
	if got := h.do("GET", "/v1/webhooks/jobs/"+jobID, nil).ok(200); got["status"] != "cancelled" || got["finished_at"] == nil {
		t.Errorf("got %v", got)
	}
	if n := h.audited("webhook_job.cancelled"); n != 1 {
		t.Errorf("%d audit rows", n)
	}
	for _, unknown := range []string{"job_01kdvdna00e4hr28t5cy4tqkff", "whd_01kdvdna00e4hr28t5cy4tqkff", "x"} {
		h.do("GET", "/v1/webhooks/jobs/"+unknown, nil).refused(404, "NOT_FOUND")
		h.do("POST", "/v1/webhooks/jobs/"+unknown+"/cancel", nil).refused(404, "NOT_FOUND")
	}
}

func TestJobs_WrongBodiesAreNamed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for body, field := range map[string]string{
		`{}`:                  "status",
		`{"status":null}`:     "status",
		`{"status":"parked"}`: "status",
		`{"status":"failed","endpoint_id":"a.b"}`:                 "endpoint_id",
		`{"status":"failed","endpoint_id":""}`:                    "endpoint_id",
		`{"status":"failed","endpoint_id":7}`:                     "endpoint_id",
		`{"status":"failed","type":"verification.session"}`:       "type",
		`{"status":"failed","type":""}`:                           "type",
		`{"status":"failed","created_from":"yesterday"}`:          "created_from",
		`{"status":"failed","created_to":"2026-02-30T00:00:00Z"}`: "created_to",
		`{"status":"failed","created_to":""}`:                     "created_to",
		`{"status":"failed","rate_per_second":0}`:                 "rate_per_second",
		`{"status":"failed","rate_per_second":101}`:               "rate_per_second",
		`{"status":"failed","rate_per_second":1.5}`:               "rate_per_second",
		`{"status":"failed","rate_per_second":null}`:              "rate_per_second",
	} {
		h.do("POST", bulk, body).refused(400, "BAD_REQUEST", field)
	}
	h.do("POST", bulk, `{"status":"failed","type":"","endpoint_id":"","created_to":""}`).refused(400, "BAD_REQUEST", "endpoint_id", "type", "created_to")
	h.do("POST", bulk, nil).refused(400, "BAD_REQUEST", "body")
	if got := h.do("GET", bulk, nil); got.status != 404 {
		t.Errorf("GET %s: %d, want that of a delivery that does not exist", bulk, got.status)
	}
	if n := h.count("SELECT count(*) FROM jobs"); n != 0 {
		t.Errorf("%d jobs", n)
	}
	// An id that names nothing matches nothing.
	h.newEvent()
	h.exec("UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL")
	for _, id := range []string{"whe_01kdvdna00e4hr28t5cy4tqkff", "whe_00000000000000000000000000", "x"} {
		if got := h.do("POST", bulk, `{"status":"failed","endpoint_id":"`+id+`"}`).ok(202); got["matched_count"] != 0.0 {
			t.Errorf("%s: %v", id, got)
		}
	}
}
