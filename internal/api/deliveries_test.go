package api

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/id"
)

func TestEvents_OneAndMany(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	event, delivery, endpoint := h.newEvent()
	other := h.newEndpoint()
	h.do("POST", "/v1/webhooks/endpoints/"+other+"/test", nil).ok(200)
	for _, base := range []string{"/v1/webhooks/events", "/v1/events"} {
		got := h.do("GET", base+"/"+event, nil).ok(200)
		want := map[string]any{
			"id": event, "type": "webhook.test", "trigger_type": "webhook_endpoint", "trigger_id": endpoint,
			"created_at": "2026-03-02T09:30:00.000Z", "superseded_by_event_id": nil,
			"deliveries": []any{map[string]any{
				"id": delivery, "webhook_endpoint_id": endpoint, "status": "pending", "last_status_code": nil, "attempt_count": 0.0,
				"last_attempt_at": nil, "payload_expires_at": "2026-03-06T13:05:05.000Z", "payload_retention_reason": "pending_delivery",
				"payload_scrubbed_at": nil,
			}},
			"routing": []any{map[string]any{
				"webhook_endpoint_id": endpoint, "decision": "delivered", "reason": "test", "delivery_id": delivery,
				"created_at": "2026-03-02T09:30:00.000Z",
			}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
		list := h.do("GET", base+"?type=webhook.test&limit=1", nil)
		if ids := list.ids(); len(ids) != 1 || list.page["has_more"] != true || list.page["next_cursor"] != ids[0] || list.page["limit"] != 1.0 {
			t.Errorf("got %s", list.raw)
		}
		if _, has := list.data.([]any)[0].(map[string]any)["routing"]; has {
			t.Error("a list shows routing")
		}
		if ids := h.do("GET", base+"?type=verification.session.failed", nil).ids(); len(ids) != 0 {
			t.Errorf("got %v", ids)
		}
		h.do("GET", base+"?type=other", nil).refused(400, "BAD_REQUEST", "type")
		h.do("GET", base+"/evt_01kdvdna00e4hr28t5cy4tqkff", nil).refused(404, "NOT_FOUND")
	}
}

func TestReplay_FollowsTheTable(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	event, delivery, endpoint := h.newEvent()
	path := "/v1/webhooks/events/" + event + "/replay"
	if got := h.do("POST", path, nil).ok(202); text(got, "id") != event {
		t.Errorf("got %v", got)
	}
	h.do("PATCH", "/v1/webhooks/endpoints/"+endpoint, `{"enabled":false}`).ok(200)
	h.do("POST", path, nil).refused(409, "CONFLICT")
	h.exec("UPDATE webhook_deliveries SET status = 'failed', payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = created_at, payload_retention_reason = 'expired', next_attempt_at = NULL")
	h.do("POST", path, nil).refused(409, "WEBHOOK_PAYLOAD_EXPIRED")
	got := h.do("POST", "/v1/webhooks/deliveries/"+delivery+"/retry", nil).refused(409, "WEBHOOK_PAYLOAD_EXPIRED")
	if hint, _ := got.err["hint"].(string); len(hint) < 15 || hint[:15] != "Payload expired" {
		t.Errorf("hint %q", hint)
	}
	h.do("POST", "/v1/webhooks/events/evt_01kdvdna00e4hr28t5cy4tqkff/replay", nil).refused(404, "NOT_FOUND")
}

func TestDeliveries_ShapeFiltersAndRetry(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	event, delivery, endpoint := h.newEvent()
	h.clock.Advance(time.Hour)
	_, second, _ := h.newEvent()
	path := "/v1/webhooks/deliveries"
	got := h.do("GET", path+"/"+delivery, nil).ok(200)
	keyID, _ := got["webhook_encryption_key_id"].(string)
	want := map[string]any{
		"id": delivery, "event_id": event, "webhook_endpoint_id": endpoint, "webhook_encryption_key_id": keyID,
		"status": "pending", "attempt_count": 0.0, "next_attempt_at": "2026-03-02T09:30:00.000Z",
		"payload_expires_at": "2026-03-06T13:05:05.000Z", "payload_scrubbed_at": nil, "payload_retention_reason": "pending_delivery",
		"last_status_code": nil, "last_attempt_at": nil, "created_at": "2026-03-02T09:30:00.000Z", "updated_at": "2026-03-02T09:30:00.000Z",
	}
	if diff := cmp.Diff(want, got); diff != "" || keyID == "" {
		t.Errorf("delivery (-want +got):\n%s", diff)
	}
	for query, ids := range map[string][]string{
		"":                                  {second, delivery},
		"?status=pending":                   {second, delivery},
		"?status=failed":                    {},
		"?type=webhook.test":                {second, delivery},
		"?type=verification.session.failed": {},
		"?event_id=" + event:                {delivery},
		"?endpoint_id=" + endpoint:          {delivery},
		"?endpoint_id=whe_x":                {},
		"?endpoint_id=" + event:             {},
		"?endpoint_id=whe_00000000000000000000000000": {},
		"?event_id=evt_01kdvdna00e4hr28t5cy4tqkff":    {},
		"?created_from=2026-03-02T10:00:00Z":          {second},
		"?created_to=2026-03-02T09:30:00.000Z":        {delivery},
		"?created_to=2026-03-02T09:30Z":               {delivery},
		"?created_from=2026-03-02T10:30:00.000001Z":   {},
	} {
		if diff := cmp.Diff(ids, h.do("GET", path+query, nil).ids()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	for query, field := range map[string]string{
		"?status=parked": "status", "?endpoint_id=": "endpoint_id", "?event_id=a.b": "event_id",
		"?created_from=2026-03-02": "created_from", "?created_to=2026-03-02T09:30:00%2B00:00": "created_to",
		"?created_from=2026-02-30T00:00:00Z": "created_from", "?created_to=": "created_to", "?created_from=2026-03-02T09:30:00": "created_from",
	} {
		h.do("GET", path+query, nil).refused(400, "BAD_REQUEST", field)
	}
	h.do("GET", path+"?endpoint_id=whe_x&starting_after=whd_01kdvdna00e4hr28t5cy4tqkff", nil).refused(400, "INVALID_REQUEST")

	retry := path + "/" + delivery + "/retry"
	if got := h.do("POST", retry, nil).ok(200); got["status"] != "pending" || got["next_attempt_at"] != "2026-03-02T10:30:00.000Z" {
		t.Errorf("got %v", got)
	}
	h.exec("UPDATE webhook_deliveries SET status = 'delivering', lease_token = gen_random_uuid(), lease_expires_at = created_at, next_attempt_at = NULL WHERE id = $1", mustID[id.DeliveryKind](t, delivery))
	h.do("POST", retry, nil).refused(409, "CONFLICT")
	h.do("POST", path+"/whd_01h455vb4pex5vsknk084sn02q/retry", nil).refused(404, "NOT_FOUND")
}

func TestAttempts_ShapeAndPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, delivery, _ := h.newEvent()
	_, foreign, _ := h.newEvent()
	insert := func(of string, number int, started time.Time) string {
		attempt := id.Attempt{UUID: id.NewUUID(started)}
		h.exec(`INSERT INTO webhook_delivery_attempts (id, organization_id, webhook_delivery_id, run, number, counted, status, trigger, started_at, duration_ms,
				status_code, error_kind, dns_ms, remote_address, worker, response_headers, response_body, created_at)
			VALUES ($1, $2, $3, 1, $4, true, 'failed', 'automatic', $5, 12, 503, 'http_status', 3, '203.0.113.5:443', 'w1', '{"retry-after":"3"}', 'busy', $5)`,
			attempt, h.owner.Organization, mustID[id.DeliveryKind](t, of), number, started)
		return attempt.String()
	}
	at := h.clock.Now()
	var all []string
	for n := range 5 {
		all = append(all, insert(delivery, n+1, at.Add(time.Duration(n)*time.Second)))
	}
	alien := insert(foreign, 1, at)
	path := "/v1/webhooks/deliveries/" + delivery + "/attempts"
	list := h.do("GET", path+"?limit=1", nil)
	list.ok(200)
	want := map[string]any{
		"id": all[0], "webhook_delivery_id": delivery, "run": 1.0, "number": 1.0, "counted": true, "status": "failed", "trigger": "automatic",
		"started_at": "2026-03-02T09:30:00.000Z", "duration_ms": 12.0, "status_code": 503.0, "error_kind": "http_status",
		"timing":         map[string]any{"dns_ms": 3.0, "connect_ms": nil, "tls_ms": nil, "first_byte_ms": nil},
		"remote_address": "203.0.113.5:443", "worker": "w1", "response_headers": map[string]any{"retry-after": "3"},
		"response_body": "busy", "response_body_truncated": false,
	}
	if diff := cmp.Diff(want, list.data.([]any)[0]); diff != "" {
		t.Errorf("attempt (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(all, h.traverse(path, 2)); diff != "" {
		t.Errorf("oldest first (-want +got):\n%s", diff)
	}
	h.do("GET", path+"?starting_after="+alien, nil).refused(400, "INVALID_REQUEST")
	h.do("GET", path+"?starting_after=wha_00000000000000000000000000", nil).refused(400, "INVALID_REQUEST")
	h.do("GET", "/v1/webhooks/deliveries/whd_01h455vb4pex5vsknk084sn02q/attempts", nil).refused(404, "NOT_FOUND")
}

// traverse follows next_cursor to the end.
func (h *harness) traverse(path string, limit int) []string {
	h.Helper()
	var all []string
	cursor := ""
	for {
		got := h.do("GET", fmt.Sprintf("%s?limit=%d%s", path, limit, cursor), nil)
		ids := got.ids()
		all = append(all, ids...)
		if got.page["has_more"] != true {
			if got.page["next_cursor"] != nil {
				h.Errorf("next_cursor on the last page: %s", got.raw)
			}
			return all
		}
		if len(ids) != limit || got.page["next_cursor"] != ids[limit-1] {
			h.Fatalf("got %s", got.raw)
		}
		cursor = "&starting_after=" + ids[limit-1]
	}
}

func TestCursor_TraversalMeetsEveryRowOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	want := map[string]bool{}
	for range 23 { // all in one instant: the clock stands still
		want[h.newEndpoint()] = true
	}
	all := h.traverse("/v1/webhooks/endpoints", 5)
	for _, endpoint := range all {
		delete(want, endpoint)
	}
	if len(all) != 23 || len(want) != 0 {
		t.Errorf("%d rows, %d missed", len(all), len(want))
	}
	// A deleted endpoint, and one that the filter leaves out, stay usable as cursors.
	h.do("DELETE", "/v1/webhooks/endpoints/"+all[4], nil).ok(200)
	for _, filter := range []string{"", "&enabled=false"} {
		got := h.do("GET", "/v1/webhooks/endpoints?limit=1&starting_after="+all[4]+filter, nil).ids()
		if filter == "" && (len(got) != 1 || got[0] != all[5]) {
			t.Errorf("after a deleted endpoint: %v, want %s", got, all[5])
		}
	}
}

// INV-23: what was there at the start comes exactly once, though a thousand rows share a millisecond, two of them each microsecond, and
// more come meanwhile.
func TestCursor_AThousandRowsInAMillisecond(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, _ := h.newSession()
	add := func(n int, after string) {
		h.exec(`INSERT INTO verification_sessions SELECT (jsonb_populate_record(s, jsonb_build_object('id', gen_random_uuid(), 'created_at', s.created_at + (n / 2) * interval '1 microsecond' + $2::interval))).*
			FROM verification_sessions s, generate_series(0, $3 - 1) n WHERE s.id = $1`, mustID[id.SessionKind](t, session), after, n)
	}
	add(999, "0")
	seen, cursor, pages := map[string]int{}, "", 0
	for more := true; more; pages++ {
		got := h.do("GET", "/v1/sessions?limit=7"+cursor, nil)
		for _, id := range got.ids() {
			seen[id]++
			cursor = "&starting_after=" + id
		}
		more = got.page["has_more"] == true
		add(1, "1 millisecond")
	}
	if len(seen) != 1000 || pages != 143 {
		t.Errorf("%d rows in %d pages", len(seen), pages)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

func TestCursor_EveryListContinuesWhereItStopped(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, _, endpoint := h.newEvent()
	for n := range 4 {
		h.newKey(endpoint, fmt.Sprint("more", n))
		h.newSession()
		h.do("POST", "/v1/webhooks/endpoints/"+endpoint+"/test", nil).ok(200)
	}
	h.newSession()
	for _, path := range []string{"/v1/webhooks/endpoints/" + endpoint + "/keys", "/v1/webhooks/events", "/v1/events", "/v1/webhooks/deliveries", "/v1/sessions"} {
		all := h.do("GET", path+"?limit=100", nil).ids()
		if diff := cmp.Diff(all, h.traverse(path, 2)); diff != "" || len(all) != 5 {
			t.Errorf("%s: %d rows (-want +got)\n%s", path, len(all), diff)
		}
		h.do("GET", path+"?starting_after="+endpoint, nil).refused(400, "INVALID_REQUEST")
	}
	other := h.newEndpoint()
	alien := h.newKey(other, "k")
	h.do("GET", "/v1/webhooks/endpoints/"+endpoint+"/keys?starting_after="+alien, nil).refused(400, "INVALID_REQUEST")
	h.do("GET", "/v1/webhooks/endpoints/whe_01kdvdna00e4hr28t5cy4tqkff/keys?starting_after="+alien, nil).refused(404, "NOT_FOUND")
}
