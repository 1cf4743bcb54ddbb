package api

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/id"
	"kaylehooks/internal/ratelimit"
)

// What the door is registered with is exactly what the contract lists: routes, scopes, parameters, statuses and idempotency.
func TestRoutes_AreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	routes, _ := readContract(t)
	want, got := map[string]string{}, map[string]string{}
	for name, p := range routes {
		statuses := slices.Sorted(maps.Keys(p.codes))
		statuses = slices.DeleteFunc(statuses, func(s int) bool { return s == 405 }) // of the path, not of the operation
		want[name] = fmt.Sprint(p.scope, p.idempotent, p.query, append([]int{p.success}, statuses...))
	}
	for _, op := range h.operations() {
		described := h.doc.Paths.Find(op.path).GetOperation(op.method)
		var query []string
		for _, p := range described.Parameters {
			if p.Value.In == "query" {
				query = append(query, p.Value.Name)
			}
		}
		slices.Sort(query)
		var statuses []int
		for text := range described.Responses.Map() {
			status, err := strconv.Atoi(text)
			if err != nil {
				t.Errorf("%s %s documents %q, which is no status", op.method, op.path, text)
			}
			statuses = append(statuses, status)
		}
		slices.Sort(statuses)
		got[op.method+" "+op.path] = fmt.Sprint(op.scope, described.Parameters.GetByInAndName("header", "Idempotency-Key") != nil, query, statuses)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-contract +document):\n%s", diff)
	}
}

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
	case "GET /v1/webhooks/keys/{key_id}", "POST /v1/webhooks/keys/{key_id}/deactivate":
		r.ids["{key_id}"] = h.newKey(endpoint, "k2")
	case "POST /v1/webhooks/keys/{key_id}/reactivate":
		h.newKey(endpoint, "k2")
		r.ids["{key_id}"] = h.do("GET", "/v1/webhooks/endpoints/"+endpoint+"/keys?is_active=false", nil).ids()[0]
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

// provoke makes the route answer with the status and code.
func (h *harness) provoke(op operation, status int, code string) answer {
	h.Helper()
	r := h.prepare(op)
	send := func(path string, body any, headers ...string) answer { return h.do(op.method, path, body, headers...) }
	odd := map[string]string{"{endpoint_id}": "a.b", "{key_id}": "a.b", "{event_id}": "a.b", "{delivery_id}": "a.b", "{id}": "a.b", "{job_id}": "a.b"}
	share := func(fields string) string { return `{"share_fields":{` + fields + `}}` }
	const field = `{"required":true,"reason":"x"}`
	public := op.scope == ""
	switch code {
	case "":
		return send(r.path, r.body)
	case "BAD_REQUEST", "INVALID_SESSION_ID":
		switch {
		case strings.Contains(op.path, "{"):
			return send(fill(op.path, odd), r.body)
		case op.method == "GET":
			return send(r.path+"?limit=0&from=x", nil)
		}
		return send(r.path, `[]`)
	case "INVALID_REQUEST":
		if public {
			return send(r.path, `{}`)
		}
		return send(r.path+"?starting_after=x", nil)
	case "WEBHOOK_URL_REJECTED":
		return send(r.path, `{"url":"https://localhost/"}`)
	case "WEBHOOK_ENDPOINT_UNAVAILABLE":
		return send(r.path, `{"webhook_endpoint_id":"`+unknown["{endpoint_id}"]+`"}`)
	case "INVALID_REDIRECT_URL":
		return send(r.path, `{"redirect_url":"ftp://x"}`)
	case "INVALID_SHARE_FIELDS":
		return send(r.path, `{"share_fields":[]}`)
	case "UNKNOWN_CLAIM_KEY":
		return send(r.path, share(`"shoe_size":`+field))
	case "INVALID_AGE_GATE_KEY":
		return send(r.path, share(`"age_over_5":`+field))
	case "MULTIPLE_AGE_GATES_NOT_ALLOWED":
		return send(r.path, share(`"age_over_18":`+field+`,"age_over_21":`+field))
	case "REASON_REQUIRED":
		return send(r.path, share(`"family_name":{"required":true,"reason":" "}`))
	case "REASON_TOO_LONG":
		return send(r.path, share(`"family_name":{"required":true,"reason":"`+strings.Repeat("x", 201)+`"}`))
	case "TOO_MANY_SHARE_FIELDS":
		var many []string
		for n := range 33 {
			many = append(many, fmt.Sprintf(`"key_%d":%s`, n, field))
		}
		return send(r.path, share(strings.Join(many, ",")))
	case "UNAUTHORIZED":
		return h.as("").do(op.method, r.path, r.body)
	case "CANCEL_TOKEN_INVALID":
		return send(r.path, `{"cancel_token":"`+strings.Repeat("x", 48)+`"}`)
	case "CANCEL_TOKEN_USED":
		h.exec("UPDATE verification_sessions SET cancel_token_consumed_at = created_at WHERE id = $1", mustID[id.SessionKind](h, r.ids["{id}"]))
		return send(r.path, r.body)
	case "FORBIDDEN":
		others := slices.DeleteFunc(access.Scopes(), func(s access.Scope) bool { return slices.Contains(granting(op.scope), s) })
		return h.as(h.issue(h.owner, others...)).do(op.method, r.path, r.body)
	case "NOT_FOUND", "SESSION_NOT_FOUND":
		return send(fill(op.path, unknown), r.body)
	case "METHOD_NOT_ALLOWED":
		return h.do("PUT", r.path, r.body)
	case "PAYLOAD_TOO_LARGE":
		return send(r.path, `{"x":"`+strings.Repeat("x", bodyMax)+`"}`)
	case "UNSUPPORTED_MEDIA_TYPE":
		return send(r.path, r.body, "Content-Type", "text/plain")
	case "IDEMPOTENCY_CONFLICT":
		h.do("POST", "/v1/sessions", nil, "Idempotency-Key", "taken").ok(200)
		return send(r.path, r.body, "Idempotency-Key", "taken")
	case "WEBHOOK_PAYLOAD_EXPIRED":
		h.exec("UPDATE webhook_deliveries SET status = 'failed', payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = created_at, payload_retention_reason = 'expired', next_attempt_at = NULL")
		return send(r.path, r.body)
	case "SESSION_NOT_ACTIVE":
		h.do("POST", "/v1/sessions/"+r.ids["{id}"]+"/cancel", nil)
		return send(r.path, r.body)
	case "SESSION_EXPIRED":
		h.clock.Advance(2 * time.Hour)
		return send(r.path, r.body)
	case "RATE_LIMITED":
		c := h.door.Config
		c.RateKeyPerSecond, c.RateKeyBurst, c.RateIPPerMinute, c.RateIPBurst = 1, 1, 1, 1
		c.Limiter = ratelimit.New(nil, h.clock.Now, c.Log)
		strict := *h
		strict.door = newDoor(c)
		strict.do(op.method, fill(op.path, unknown), r.body)
		return strict.do(op.method, fill(op.path, unknown), r.body)
	case "INTERNAL_SERVER_ERROR":
		table := tableOf(op.path)
		h.exec("ALTER TABLE " + table + " RENAME TO elsewhere")
		defer h.exec("ALTER TABLE elsewhere RENAME TO " + table)
		got := send(r.path, r.body)
		if line := h.logged(got, "request failed"); !strings.Contains(line, table) {
			h.Errorf("%s %s failed of something else than its table %s: %s", op.method, op.path, table, line)
		}
		return got
	case "CONFLICT":
		return h.conflict(op, r)
	}
	h.Fatalf("%s %s can answer %d %s, which no case provokes", op.method, op.path, status, code)
	return answer{}
}

// tableOf is the one that a route reads first of its own: what comes before, such as the API key, is there.
func tableOf(path string) string {
	for _, t := range []struct{ in, table string }{
		{"/v1/webhooks/keys", "webhook_encryption_keys"},
		{"/attempts", "webhook_delivery_attempts"},
		{"/v1/webhooks/deliveries/retry", "jobs"},
		{"/v1/webhooks/jobs", "jobs"},
		{"/v1/webhooks/deliveries", "webhook_deliveries"},
		{"/events", "events"},
		{"/v1/webhooks/endpoints", "webhook_endpoints"},
		{"/v1/analytics", "delivery_rollups"},
	} {
		if strings.Contains(path, t.in) {
			return t.table
		}
	}
	return "verification_sessions"
}

// conflict brings the state about that does not allow the operation.
func (h *harness) conflict(op operation, r request) answer {
	h.Helper()
	switch path := op.path; {
	case path == "/v1/webhooks/endpoints":
		for range 100 - h.count("SELECT count(*) FROM webhook_endpoints") {
			h.newEndpoint()
		}
	case strings.HasSuffix(path, "/test"):
		h.do("PATCH", "/v1/webhooks/endpoints/"+r.ids["{endpoint_id}"], `{"enabled":false}`).ok(200)
	case strings.HasSuffix(path, "/replay"), strings.HasSuffix(path, "/retry"):
		h.exec("UPDATE webhook_deliveries SET status = 'delivering', lease_token = id, lease_expires_at = created_at, next_attempt_at = NULL")
	default: // what can be done once
		h.do(op.method, r.path, r.body).ok(200)
	}
	return h.do(op.method, r.path, r.body)
}

// TestContract_EveryRouteGivesEveryDocumentedError goes through the contract's tables: each success and each error of each route, by
// status and code. It prints what it saw, with no cell left open.
func TestContract_EveryRouteGivesEveryDocumentedError(t *testing.T) {
	t.Parallel()
	routes, codes := readContract(t)
	seen := map[string]map[int][]string{}
	given, statuses := map[string]bool{}, map[int]bool{}
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		p, cells := routes[name], map[int][]string{}
		seen[name] = cells
		method, path, _ := strings.Cut(name, " ")
		op := operation{method, path, p.scope}
		shared := newHarness(t)
		try := func(status int, code string) {
			h := shared
			if status == 409 || status == 410 { // these leave a state behind in which others cannot be provoked
				h = newHarness(t)
			}
			got := h.provoke(op, status, code)
			gotCode, _ := got.err["code"].(string)
			if got.status != status || gotCode != code {
				t.Errorf("%s: %d %s, want %d %s", name, got.status, got.raw, status, code)
				return
			}
			cells[status] = append(cells[status], code)
			given[code], statuses[status] = true, true
		}
		try(p.success, "")
		for status, all := range p.codes {
			if len(all) == 0 {
				t.Errorf("%s: no code for %d", name, status)
			}
			for _, code := range all {
				try(status, code)
			}
		}
	}
	columns := slices.Sorted(maps.Keys(statuses))
	var out strings.Builder
	fmt.Fprintf(&out, "%-72s", "route × status; the number of codes seen, – where the contract has none")
	for _, s := range columns {
		fmt.Fprintf(&out, " %4d", s)
	}
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		fmt.Fprintf(&out, "\n%-72s", name)
		for _, s := range columns {
			want, cell := len(routes[name].codes[s]), "–"
			if s == routes[name].success {
				want = 1
			}
			if want > 0 {
				cell = strconv.Itoa(len(seen[name][s]))
			}
			if len(seen[name][s]) != want {
				cell = ""
				t.Errorf("%s: the cell of %d is empty", name, s)
			}
			fmt.Fprintf(&out, " %4s", cell)
		}
	}
	t.Log("\n" + out.String())
	for _, code := range codes {
		if !given[code] {
			t.Errorf("no route gave %s", code)
		}
	}
	if len(codes) < 25 || len(routes) < 35 {
		t.Errorf("only %d codes and %d routes were read", len(codes), len(routes))
	}
}
