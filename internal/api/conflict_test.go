package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// atOnce sends n requests at the same time and counts the answers, as "200" or "409 CONFLICT".
func (h *harness) atOnce(n int, send func(i int) answer) map[string]int {
	h.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for i := range n {
		wg.Go(func() {
			got := send(i)
			code, _ := got.err["code"].(string)
			mu.Lock()
			defer mu.Unlock()
			answers[strings.TrimSpace(fmt.Sprint(got.status, " ", code))]++
		})
	}
	wg.Wait()
	return answers
}

// What two clients cannot both have, one gets; what both can have is done once.
func TestConflicts_OneOfManyRequestsWins(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, delivery, endpoint := h.newEvent()
	path := "/v1/webhooks/endpoints/" + endpoint
	first := h.do("GET", path+"/keys", nil).ids()[0]
	session, _ := h.newSession()
	finished, finishedToken := h.newSession()
	h.exec("UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, attempt_count = 8, payload_retention_reason = 'terminal_failure_retention'")
	for range 98 {
		h.newEndpoint()
	}
	const n = 10
	post := func(path string, body any) func(int) answer {
		return func(int) answer { return h.do("POST", path, body) }
	}
	for _, c := range []struct {
		name  string
		send  func(i int) answer
		want  map[string]int
		query string // is 1 afterwards
	}{
		{"the last endpoint", post("/v1/webhooks/endpoints", oneEndpoint), map[string]int{"200": 1, "409 CONFLICT": n - 1}, "SELECT count(*) - 99 FROM webhook_endpoints"},
		{"a key id", post(path+"/keys", keyBody("same")), map[string]int{"200": 1, "409 CONFLICT": n - 1}, "SELECT count(*) FROM webhook_encryption_keys WHERE is_active"},
		{"the active key", func(i int) answer {
			if i%2 == 0 {
				return h.do("POST", "/v1/webhooks/keys/"+first+"/reactivate", nil)
			}
			return h.do("POST", path+"/keys", keyBody(fmt.Sprint("key ", i)))
		}, map[string]int{"200": n}, "SELECT count(*) FROM webhook_encryption_keys WHERE is_active"},
		{"the overlap", post(path+"/signing-secret/rotate", `{"overlap_hours":1}`), map[string]int{"200": 1, "409 CONFLICT": n - 1}, "SELECT count(*) FROM audit_logs WHERE event LIKE '%rotated'"},
		{"its end", post(path+"/signing-secret/end-overlap", nil), map[string]int{"200": 1, "409 CONFLICT": n - 1}, "SELECT count(*) FROM audit_logs WHERE event LIKE '%overlap_ended'"},
		{"a retry", post("/v1/webhooks/deliveries/"+delivery+"/retry", nil), map[string]int{"200": n}, "SELECT run - 1 FROM webhook_deliveries WHERE status = 'pending'"},
		{"a cancel", post("/v1/sessions/"+session+"/cancel", nil), map[string]int{"204": n}, "SELECT count(*) FROM audit_logs WHERE event = 'session.cancelled'"},
		{"a result", post("/v1/sessions/"+finished+"/success", goodSuccess), map[string]int{"200": 1, "409 SESSION_NOT_ACTIVE": n - 1}, "SELECT count(*) FROM events WHERE type = 'verification.session.succeeded'"},
		{"a withdrawal", post("/v1/verify/session/"+finished+"/cancel", map[string]any{"cancel_token": finishedToken}), map[string]int{"204": n}, `SELECT count(*)
			FROM events AS replaced JOIN events AS event ON event.id = replaced.superseded_by_event_id
			WHERE replaced.type = 'verification.session.succeeded' AND event.type = 'verification.session.cancelled'
			AND (SELECT count(*) FROM events WHERE type = 'verification.session.cancelled') = 2
			AND (SELECT count(*) FROM audit_logs WHERE event = 'session.privacy_request.submitted') = 1`},
		{"disabling", func(int) answer { return h.do("PATCH", path, `{"enabled":false}`) }, map[string]int{"200": n}, "SELECT count(*) FROM webhook_endpoints WHERE disabled_at IS NOT NULL"},
		{"deleting", func(int) answer { return h.do("DELETE", path, nil) }, map[string]int{"200": 1, "404 NOT_FOUND": n - 1}, "SELECT count(*) FROM webhook_endpoints WHERE deleted_at IS NOT NULL"},
	} {
		if diff := cmp.Diff(c.want, h.atOnce(n, c.send)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if got := h.count(c.query); got != 1 {
			t.Errorf("%s: %s gives %d", c.name, c.query, got)
		}
	}
	if log := h.log.String(); log != "" {
		t.Errorf("the log says: %s", log)
	}
}
