package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/verification"
)

// Whatever routes there are that write: the row of the audit log names who did it and the request, and without the row nothing is
// written (INV-26).
func TestAudit_EveryWriteLeavesARowOrIsNone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	state := everything(h)
	h.exec("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''full''; END'")
	keyID := fixture.Scalar[id.APIKey](h, h.db, "SELECT id FROM api_keys").String()
	h.issue(h.owner, access.Scopes()...) // somebody else's
	writes := 0
	for _, op := range h.operations() {
		if op.method == http.MethodGet {
			continue
		}
		writes++
		r := h.prepare(op)
		actor, actorID := "api_key", keyID
		if op.scope == "" {
			actor, actorID = "subject", ""
		}
		h.exec("CREATE TRIGGER refuse BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION refuse()")
		before := fixture.Scalar[string](h, h.db, state)
		h.do(op.method, r.path, r.body).refused(500, "INTERNAL_SERVER_ERROR")
		if fixture.Scalar[string](h, h.db, state) != before {
			t.Errorf("%s %s wrote without its audit row", op.method, op.path)
		}
		h.exec("DROP TRIGGER refuse ON audit_logs")
		got := h.do(op.method, r.path, r.body)
		if got.status >= 300 {
			t.Errorf("%s %s: %d %s", op.method, op.path, got.status, got.raw)
		}
		if n := h.count("SELECT count(*) FROM audit_logs WHERE request_id = $1 AND actor_type = $2 AND actor_id = $3", got.header.Get("X-Request-Id"), actor, actorID); n == 0 {
			t.Errorf("%s %s: no audit row of that request by %s %s", op.method, op.path, actor, actorID)
		}
	}
	if writes < 18 {
		t.Errorf("only %d routes write", writes)
	}
	h.wantMetadata()
}

// wantMetadata compares what the rows tell besides their event with the contract's table (section 9.4), after what the routes alone do
// not lead to.
func (h *harness) wantMetadata() {
	h.Helper()
	endpoint := h.newEndpoint()
	h.newKey(endpoint, "k1")
	h.do("PATCH", "/v1/webhooks/endpoints/"+endpoint, `{"name":"Core"}`).ok(200) // names neither enabled nor the retention
	withdrawn, token := h.newSession()
	h.do("POST", "/v1/sessions/"+withdrawn+"/success", goodSuccess).ok(200)
	h.exec("UPDATE webhook_deliveries SET status = 'delivering', lease_token = id, lease_expires_at = created_at, next_attempt_at = NULL WHERE status = 'pending' AND event_type = 'verification.session.succeeded'")
	h.do("POST", "/v1/verify/session/"+withdrawn+"/cancel", `{"cancel_token":"`+token+`"}`).ok(204)
	if _, err := h.door.Deliveries.SweepLeases(h.Context(), 1000); err != nil { // settles it
		h.Fatal(err)
	}
	failed, _ := h.newSession()
	h.do("POST", "/v1/sessions/"+failed+"/check-failures", `{"failure_code":"document_anti_cloning_attestation_failed"}`).ok(200)
	late, _ := h.newSession()
	h.clock.Advance(verification.TTL)
	h.do("POST", "/v1/sessions/"+late+"/start", nil).refused(410, "SESSION_EXPIRED")
	for range 100 { // steps are enough for all jobs to finish
		h.clock.Advance(time.Second)
		if _, err := h.door.Deliveries.RunJobs(h.Context(), 1000); err != nil {
			h.Fatal(err)
		}
	}
	const key, job, withdrawal = "key_id thumbprint webhook_endpoint_id", "matched_count requeued_count skipped_count skipped_reasons status visited_count",
		"delivered_webhook_delivery_count scrubbed_webhook_payload_count session_status_at_request total_webhook_delivery_count undecided_webhook_delivery_count"
	want := []string{
		"session.cancelled: event_id reason",
		"session.check.failed: failed_check failure_code",
		"session.created: ",
		"session.expired: event_id",
		"session.failed: event_id failure_code",
		"session.privacy_request.settled: " + withdrawal,
		"session.privacy_request.submitted: " + withdrawal,
		"session.started: ",
		"session.succeeded: event_id",
		"webhook_delivery.retried: run",
		"webhook_endpoint.created: enabled url",
		"webhook_endpoint.deleted: failed_delivery_count",
		"webhook_endpoint.signing_secret.overlap_ended: ",
		"webhook_endpoint.signing_secret.revealed: ",
		"webhook_endpoint.signing_secret.rotated: forced overlap_hours",
		"webhook_endpoint.tested: event_id",
		"webhook_endpoint.updated: changes enabled undelivered_payload_retention_hours updated_fields", // changes are more than the contract asks for
		"webhook_endpoint.updated: changes updated_fields",
		"webhook_event.replayed: requeued_count skipped_count",
		"webhook_job.cancelled: " + job,
		"webhook_job.created: filters matched_count rate_per_second",
		"webhook_job.finished: " + job,
		"webhook_key.created: " + key,
		"webhook_key.deactivated: " + key,
		"webhook_key.reactivated: " + key,
	}
	got := fixture.Scalar[string](h, h.db, `SELECT string_agg(DISTINCT line, E'\n' ORDER BY line) FROM (
		SELECT event || ': ' || coalesce((SELECT string_agg(k, ' ' ORDER BY k COLLATE "C") FROM jsonb_object_keys(metadata) k), '') COLLATE "C" AS line
		FROM audit_logs WHERE event LIKE 'webhook%' OR event LIKE 'session.%') rows`)
	if diff := cmp.Diff(want, strings.Split(got, "\n")); diff != "" {
		h.Errorf("events and their metadata (-want +got):\n%s", diff)
	}
	// Path and query of a URL may hold tokens.
	if n := h.count("SELECT count(*) FROM audit_logs WHERE metadata::text LIKE '%receiver.example.com/%'"); n != 0 {
		h.Errorf("%d rows hold more of a URL than its origin", n)
	}
	if n := h.count("SELECT count(*) FROM audit_logs WHERE event LIKE 'webhook_endpoint.%' AND metadata::text LIKE '%https://receiver.example.com%'"); n == 0 {
		h.Error("no row holds the origin of a URL")
	}
}
