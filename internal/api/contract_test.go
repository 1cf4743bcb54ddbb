package api

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/id"
)

// unknown are well-formed ids that name nothing.
var unknown = map[string]string{
	"{endpoint_id}": "whe_01kdvdna00e4hr28t5cy4tqkff", "{key_id}": "whk_01kdvdna00e4hr28t5cy4tqkff", "{event_id}": "evt_01kdvdna00e4hr28t5cy4tqkff",
	"{delivery_id}": "whd_01kdvdna00e4hr28t5cy4tqkff", "{id}": "vs_01kdvdna00e4hr28t5cy4tqkff", "{job_id}": "job_01kdvdna00e4hr28t5cy4tqkff",
}

func fill(path string, ids map[string]string) string {
	for name, id := range ids {
		path = strings.ReplaceAll(path, name, id)
	}
	return path
}

// request is one that succeeds.
type request struct {
	ids  map[string]string
	path string
	body any
}

const goodSuccess = `{"claims":{"kayle_document_id":"abababababababababababababababababababababababababababababababab"},"selected_field_keys":["kayle_document_id"]}`

// prepare makes rows for a route's request to be about.
func (h *harness) prepare(op operation) request {
	h.Helper()
	event, delivery, endpoint := h.newEvent()
	session, token := h.newSession()
	r := request{ids: map[string]string{"{endpoint_id}": endpoint, "{event_id}": event, "{delivery_id}": delivery, "{id}": session}}
	switch op.method + " " + op.path {
	case "GET /v1/webhooks/keys/{key_id}", "POST /v1/webhooks/keys/{key_id}/deactivate", "POST /v1/webhooks/keys/{key_id}/reactivate":
		r.ids["{key_id}"] = h.newKey(endpoint, "k2")
	case "GET /v1/webhooks/jobs/{job_id}", "POST /v1/webhooks/jobs/{job_id}/cancel":
		r.ids["{job_id}"] = h.newJob()
	case "POST /v1/webhooks/endpoints/{endpoint_id}/signing-secret/end-overlap":
		h.do("POST", "/v1/webhooks/endpoints/"+endpoint+"/signing-secret/rotate", `{"overlap_hours":24}`).ok(200)
	case "POST /v1/webhooks/endpoints":
		r.body = map[string]any{"url": "https://receiver.example.com/in", "name": "Core", "labels": []any{"a"}, "enabled": true, "subscribed_event_types": []any{"verification.session.failed"}, "undelivered_payload_retention_hours": 24}
	case "PATCH /v1/webhooks/endpoints/{endpoint_id}":
		r.body = map[string]any{"url": "https://receiver.example.com/new", "name": "Core", "labels": []any{"a"}, "enabled": true, "subscribed_event_types": []any{"verification.session.failed"}, "undelivered_payload_retention_hours": 24}
	case "POST /v1/webhooks/endpoints/{endpoint_id}/keys":
		body := keyBody("k2")
		jwk := body["jwk"].(map[string]any)
		jwk["alg"], jwk["use"], jwk["kid"], jwk["key_ops"] = "RSA-OAEP-256", "enc", "k2", []any{"encrypt"}
		r.body = body
	case "POST /v1/webhooks/endpoints/{endpoint_id}/signing-secret/rotate":
		r.body = map[string]any{"overlap_hours": 24, "force": false}
	case "POST /v1/webhooks/deliveries/retry":
		r.body = map[string]any{"status": "failed", "endpoint_id": endpoint, "type": "webhook.test", "created_from": "2026-01-01T00:00:00Z", "created_to": "2027-01-01T00:00:00Z", "rate_per_second": 5}
	case "POST /v1/sessions":
		r.body = map[string]any{"redirect_url": "https://example.com/back", "webhook_endpoint_id": endpoint, "share_fields": map[string]any{"family_name": map[string]any{"required": true, "reason": "The contract"}}}
	case "POST /v1/sessions/{id}/check-failures":
		r.body = map[string]any{"failure_code": "liveness_failed"}
	case "POST /v1/sessions/{id}/success":
		r.body = goodSuccess
	case "POST /v1/verify/session/{id}/cancel":
		r.body = map[string]any{"cancel_token": token}
	}
	r.path = fill(op.path, r.ids)
	return r
}

// provoke makes the route answer with the status.
func (h *harness) provoke(op operation, status int) {
	h.Helper()
	r := h.prepare(op)
	switch status {
	case 200, 202, 204:
		h.do(op.method, r.path, r.body)
	case 400:
		switch {
		case strings.Contains(op.path, "{"):
			h.do(op.method, fill(op.path, map[string]string{"{endpoint_id}": "a.b", "{key_id}": "a.b", "{event_id}": "a.b", "{delivery_id}": "a.b", "{id}": "a.b", "{job_id}": "a.b"}), r.body)
		case op.method == "GET":
			h.do("GET", r.path+"?limit=0&from=x", nil)
		default:
			h.do(op.method, r.path, `[]`)
		}
	case 401:
		switch op.path {
		case "/v1/verify/session/{id}/cancel":
			h.do("POST", r.path, `{"cancel_token":"`+strings.Repeat("x", 48)+`"}`)
		default:
			h.as("").do(op.method, r.path, r.body)
		}
	case 403:
		others := slices.DeleteFunc(access.Scopes(), func(s access.Scope) bool { return slices.Contains(granting(op.scope), s) })
		h.as(h.issue(h.owner, others...)).do(op.method, r.path, r.body)
	case 404:
		h.do(op.method, fill(op.path, unknown), r.body)
	case 409:
		h.conflict(op, r)
	case 410:
		h.clock.Advance(2 * time.Hour)
		h.do(op.method, r.path, r.body)
	case 413:
		h.do(op.method, r.path, `{"x":"`+strings.Repeat("x", bodyMax)+`"}`)
	case 415:
		h.do(op.method, r.path, r.body, "Content-Type", "text/plain")
	case 429:
		limited := *h
		strict := newHarness(h.TB, func(c *Config) { c.RateKeyPerSecond, c.RateKeyBurst, c.RateIPPerMinute, c.RateIPBurst = 1, 1, 1, 1 })
		limited.door, limited.key, limited.db, limited.owner = strict.door, strict.key, strict.db, strict.owner
		for range 2 {
			limited.do(op.method, fill(op.path, unknown), r.body)
		}
	case 500:
		h.db.Close()
		h.do(op.method, r.path, r.body)
	default:
		h.Errorf("%s %s documents %d, which no case provokes", op.method, op.path, status)
	}
}

func (h *harness) conflict(op operation, r request) {
	h.Helper()
	switch {
	case h.door.routes[op.method+" "+op.path].idempotent:
		h.do("POST", "/v1/sessions", nil, "Idempotency-Key", "taken").ok(200)
		h.do(op.method, r.path, r.body, "Idempotency-Key", "taken")
	case strings.HasSuffix(op.path, "/rotate"):
		for range 2 {
			h.do(op.method, r.path, r.body)
		}
	case strings.HasSuffix(op.path, "/end-overlap"):
		for range 2 {
			h.do(op.method, r.path, r.body)
		}
	case strings.HasPrefix(op.path, "/v1/sessions/{id}/"):
		h.do("POST", "/v1/sessions/"+r.ids["{id}"]+"/cancel", nil)
		h.do(op.method, r.path, r.body)
	default:
		h.Errorf("%s %s documents 409, which no case provokes", op.method, op.path)
	}
}

// TestContract_EveryRouteGivesEveryDocumentedStatus provokes each status of each route and prints what it saw. The document itself is
// held against the contract by TestRoutes_AreThoseOfTheContract, and each answer against the document by the harness.
func TestContract_EveryRouteGivesEveryDocumentedStatus(t *testing.T) {
	t.Parallel()
	shared := newHarness(t)
	columns := map[int]bool{}
	table := map[string]map[int]string{}
	operations := shared.operations()
	slices.SortFunc(operations, func(a, b operation) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	for _, op := range operations {
		row, fresh := map[int]string{}, newHarness(t)
		table[op.method+" "+op.path] = row
		for text := range shared.doc.Paths.Find(op.path).GetOperation(op.method).Responses.Map() {
			status, err := strconv.Atoi(text)
			if err != nil {
				t.Errorf("%s %s documents %q, which is no status", op.method, op.path, text)
				continue
			}
			columns[status] = true
			h := fresh
			if status == http.StatusInternalServerError { // it loses its database
				h = newHarness(t)
			}
			h.seen = func(pattern string, got int, code string) {
				if pattern == op.method+" "+op.path && got == status {
					row[status] = code
				}
			}
			h.provoke(op, status)
			if _, ok := row[status]; !ok {
				t.Errorf("%s %s does not give the documented %d", op.method, op.path, status)
			}
		}
	}
	statuses := slices.Sorted(maps.Keys(columns))
	var out strings.Builder
	fmt.Fprintf(&out, "%-72s", "route")
	for _, s := range statuses {
		fmt.Fprintf(&out, " %4d", s)
	}
	for _, op := range operations {
		name := op.method + " " + op.path
		fmt.Fprintf(&out, "\n%-72s", name)
		for _, s := range statuses {
			mark := "" // not documented, so it must not be answered: the harness sees to that
			if _, ok := table[name][s]; ok {
				mark = "ok"
			}
			fmt.Fprintf(&out, " %4s", mark)
		}
	}
	t.Log("\n" + out.String())
}

// TestContract_EveryCodeIsGiven walks the error codes of contract section 8.8. One is left out: the checks that come before
// TOO_MANY_SHARE_FIELDS let at most 13 keys through, and 32 are allowed.
func TestContract_EveryCodeIsGiven(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.RateIPBurst, c.RateIPPerMinute = 4, 1 })
	event, delivery, endpoint := h.newEvent()
	session, token := h.newSession()
	used, usedToken := h.newSession()
	ended, _ := h.newSession()
	h.do("POST", "/v1/sessions/"+ended+"/cancel", nil)
	share := func(fields string) string { return `{"share_fields":{` + fields + `}}` }
	field := `{"required":true,"reason":"x"}`
	h.do("POST", "/v1/sessions", nil, "Idempotency-Key", "taken").ok(200)
	h.exec("UPDATE verification_sessions SET cancel_token_consumed_at = created_at WHERE id = $1", mustID[id.SessionKind](t, used))
	for _, c := range []struct {
		code, method, path string
		body               any
		headers            []string
	}{
		{"BAD_REQUEST", "POST", "/v1/webhooks/endpoints", `{}`, nil},
		{"INVALID_REQUEST", "GET", "/v1/sessions?starting_after=x", nil, nil},
		{"INVALID_SESSION_ID", "GET", "/v1/verify/session/a.b/status", nil, nil},
		{"WEBHOOK_URL_REJECTED", "POST", "/v1/webhooks/endpoints", `{"url":"https://localhost/"}`, nil},
		{"WEBHOOK_ENDPOINT_UNAVAILABLE", "POST", "/v1/sessions", `{"webhook_endpoint_id":"` + unknown["{endpoint_id}"] + `"}`, nil},
		{"INVALID_REDIRECT_URL", "POST", "/v1/sessions", `{"redirect_url":"ftp://x"}`, nil},
		{"INVALID_SHARE_FIELDS", "POST", "/v1/sessions", `{"share_fields":[]}`, nil},
		{"UNKNOWN_CLAIM_KEY", "POST", "/v1/sessions", share(`"shoe_size":` + field), nil},
		{"INVALID_AGE_GATE_KEY", "POST", "/v1/sessions", share(`"age_over_5":` + field), nil},
		{"MULTIPLE_AGE_GATES_NOT_ALLOWED", "POST", "/v1/sessions", share(`"age_over_18":` + field + `,"age_over_21":` + field), nil},
		{"REASON_REQUIRED", "POST", "/v1/sessions", share(`"family_name":{"required":true,"reason":" "}`), nil},
		{"REASON_TOO_LONG", "POST", "/v1/sessions", share(`"family_name":{"required":true,"reason":"` + strings.Repeat("x", 2000) + `"}`), nil},
		{"UNAUTHORIZED", "GET", "/v1/sessions", nil, []string{"Authorization", ""}},
		{"CANCEL_TOKEN_INVALID", "POST", "/v1/verify/session/" + session + "/cancel", `{"cancel_token":"` + strings.Repeat("x", 48) + `"}`, nil},
		{"CANCEL_TOKEN_USED", "POST", "/v1/verify/session/" + used + "/cancel", `{"cancel_token":"` + usedToken + `"}`, nil},
		{"NOT_FOUND", "GET", "/v1/nothing", nil, nil},
		{"SESSION_NOT_FOUND", "GET", "/v1/verify/session/" + unknown["{id}"] + "/status", nil, nil},
		{"METHOD_NOT_ALLOWED", "PUT", "/v1/sessions", nil, nil},
		{"CONFLICT", "POST", "/v1/webhooks/endpoints/" + endpoint + "/keys", keyBody("k1"), nil},
		{"SESSION_NOT_ACTIVE", "POST", "/v1/sessions/" + ended + "/start", nil, nil},
		{"IDEMPOTENCY_CONFLICT", "POST", "/v1/webhooks/events/" + event + "/replay", nil, []string{"Idempotency-Key", "taken"}},
		{"PAYLOAD_TOO_LARGE", "POST", "/v1/sessions", `{"x":"` + strings.Repeat("x", bodyMax) + `"}`, nil},
		{"UNSUPPORTED_MEDIA_TYPE", "POST", "/v1/sessions", `{}`, []string{"Content-Type", "text/plain"}},
		{"", "POST", "/v1/verify/session/" + session + "/cancel", `{"cancel_token":"` + token + `"}`, nil},
		{"", "POST", "/v1/verify/session/" + session + "/cancel", `{"cancel_token":"` + token + `"}`, nil},
		{"RATE_LIMITED", "POST", "/v1/verify/session/" + session + "/cancel", `{"cancel_token":"` + token + `"}`, nil},
	} {
		got := h.do(c.method, c.path, c.body, c.headers...)
		if c.code != "" && got.err["code"] != c.code {
			t.Errorf("%s %s %.80v: %d %s, want %s", c.method, c.path, c.body, got.status, got.raw, c.code)
		}
	}
	h.as(h.issue(h.owner, access.SessionsRead)).do("POST", "/v1/sessions", nil).refused(403, "FORBIDDEN")
	expiring, _ := h.newSession()
	h.clock.Advance(2 * time.Hour)
	h.do("POST", "/v1/sessions/"+expiring+"/start", nil).refused(410, "SESSION_EXPIRED")
	h.exec("UPDATE webhook_deliveries SET status = 'failed', payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = created_at, payload_retention_reason = 'expired', next_attempt_at = NULL")
	h.do("POST", "/v1/webhooks/deliveries/"+delivery+"/retry", nil).refused(409, "WEBHOOK_PAYLOAD_EXPIRED")
	h.db.Close()
	h.do("GET", "/v1/sessions", nil).refused(500, "INTERNAL_SERVER_ERROR")
}
