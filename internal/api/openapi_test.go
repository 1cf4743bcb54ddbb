package api

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
)

func TestOpenAPI_IsValidAndDescribesThePayloads(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openapi", nil))
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("got %d %v, version %s", w.Code, w.Header(), doc.OpenAPI)
	}
	if strings.Contains(w.Body.String(), `"422"`) || strings.Contains(w.Body.String(), "$schema") {
		t.Error("the document still has huma's own error or schema members")
	}
	var types []string
	for _, t := range event.Types() {
		types = append(types, string(t))
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(types)), slices.Sorted(maps.Keys(doc.Webhooks))); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
}

// operation is one of the document.
type operation struct {
	method, path string
	scope        access.Scope // "" when public
}

func (h *harness) operations() []operation {
	var all []operation
	for path, item := range h.doc.Paths.Map() {
		for method, op := range item.Operations() {
			scope, _ := op.Extensions["x-scope"].(string)
			all = append(all, operation{method, path, access.Scope(scope)})
		}
	}
	return all
}

// granting are the scopes that include s.
func granting(s access.Scope) []access.Scope {
	switch s {
	case access.WebhooksRead:
		return []access.Scope{s, access.WebhooksWrite}
	case access.SessionsRead:
		return []access.Scope{s, access.SessionsWrite}
	default:
		return []access.Scope{s}
	}
}

func TestScopes_EveryRouteAsksForItsOwn(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	keys := map[access.Scope]string{}
	for _, s := range access.Scopes() {
		keys[s] = h.issue(h.owner, s)
	}
	for _, op := range h.operations() {
		if op.scope == "" {
			continue
		}
		grants := granting(op.scope)
		others := slices.DeleteFunc(access.Scopes(), func(s access.Scope) bool { return slices.Contains(grants, s) })
		// The scope comes before type, size and validation (contract section 8.2).
		before := h.audited("access.denied")
		got := h.as(h.issue(h.owner, others...)).do(op.method, op.path, "nonsense", "Content-Type", "text/plain", "Idempotency-Key", "\t")
		got.refused(403, "FORBIDDEN")
		if h.audited("access.denied") != before+1 {
			t.Errorf("%s %s: the refusal was not audited", op.method, op.path)
		}
		if n := h.count("SELECT count(*) FROM audit_logs WHERE event = 'access.denied' AND actor_type = 'api_key' AND request_id = $1 AND metadata = jsonb_build_object('method', $2::text, 'route', $3::text, 'scope', $4::text)",
			got.header.Get("X-Request-Id"), op.method, op.path, string(op.scope)); n != 1 {
			t.Errorf("%s %s: the audit row is another one", op.method, op.path)
		}
		for _, s := range grants {
			if got := h.as(keys[s]).do(op.method, op.path, nil); got.status == 401 || got.status == 403 {
				t.Errorf("%s %s with %s: %d", op.method, op.path, s, got.status)
			}
		}
		h.as("").do(op.method, op.path, nil).refused(401, "UNAUTHORIZED")
	}
}

func TestTenants_NoRouteReachesAnotherOrganization(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	eventID, deliveryID, endpointID := h.newEvent()
	keyID := h.do("GET", "/v1/webhooks/endpoints/"+endpointID+"/keys", nil).ids()[0]
	sessionID, _ := h.newSession()
	h.exec(`INSERT INTO delivery_rollups (organization_id, webhook_endpoint_id, hour, error_kind, status_code, slot, attempts, first_attempts, succeeded, failed, latency)
		VALUES ($1, $2, $3, '', 0, 0, 1, 1, 1, 0, '{0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}'::integer[])`, h.owner.Organization, mustEndpoint(t, endpointID), h.clock.Now().Truncate(time.Hour))
	ids := map[string]string{"{endpoint_id}": endpointID, "{key_id}": keyID, "{event_id}": eventID, "{delivery_id}": deliveryID, "{id}": sessionID, "{job_id}": h.newJob()}
	bodies := map[string]any{
		"PATCH /v1/webhooks/endpoints/{endpoint_id}":     `{"enabled":false}`,
		"POST /v1/webhooks/endpoints/{endpoint_id}/keys": keyBody("k2"),
		"POST /v1/sessions/{id}/check-failures":          `{"failure_code":"liveness_failed"}`,
		"POST /v1/sessions/{id}/success":                 `{"claims":{},"selected_field_keys":[]}`,
		"POST /v1/webhooks/deliveries/retry":             `{"status":"failed"}`,
	}
	_, stranger := fixture.Organization(t, h.db)
	other := h.as(h.issue(stranger, access.Scopes()...))
	state := func() string {
		return fixture.Scalar[string](h, h.db, `SELECT concat((SELECT json_agg(e) FROM webhook_endpoints e), (SELECT json_agg(k) FROM webhook_encryption_keys k),
			(SELECT json_agg(e) FROM events e), (SELECT json_agg(d) FROM webhook_deliveries d), (SELECT json_agg(s) FROM verification_sessions s), (SELECT json_agg(j) FROM jobs j), (SELECT count(*) FROM audit_logs))`)
	}
	before := state()
	for _, op := range h.operations() {
		path := op.path
		for name, id := range ids {
			path = strings.ReplaceAll(path, name, id)
		}
		switch {
		case op.scope == "":
		case path != op.path:
			foreign := other.do(op.method, path, bodies[op.method+" "+op.path]).refused(404, "NOT_FOUND")
			missing := other.do(op.method, fill(op.path, unknown), bodies[op.method+" "+op.path])
			for _, got := range []answer{foreign, missing} {
				got.header.Del("X-Request-Id")
			}
			if diff := cmp.Diff(missing.header, foreign.header); diff != "" || missing.raw != foreign.raw {
				t.Errorf("%s %s: what is foreign is told from what is missing: %s, %s %s", op.method, op.path, foreign.raw, missing.raw, diff)
			}
		case op.scope == access.AnalyticsRead:
			if own, got := h.do("GET", path, nil).ok(200)["buckets"].([]any), other.do("GET", path, nil).ok(200)["buckets"].([]any); len(own) != 1 || len(got) != 0 {
				t.Errorf("%s shows %v, and to its own organization %v", path, got, own)
			}
		case op.method == "GET":
			if got := other.do("GET", path, nil).ids(); len(got) != 0 {
				t.Errorf("%s shows %v", path, got)
			}
			for _, id := range ids {
				other.do("GET", path+"?starting_after="+id, nil).refused(400, "INVALID_REQUEST")
			}
		}
	}
	for _, query := range []string{"?endpoint_id=" + endpointID, "?event_id=" + eventID} {
		if got := other.do("GET", "/v1/webhooks/deliveries"+query, nil).ids(); len(got) != 0 {
			t.Errorf("%s shows %v", query, got)
		}
	}
	other.do("POST", "/v1/sessions", `{"webhook_endpoint_id":"`+endpointID+`"}`).refused(400, "WEBHOOK_ENDPOINT_UNAVAILABLE")
	if after := state(); after != before {
		t.Errorf("something changed:\n%s", cmp.Diff(before, after))
	}
}

func TestHarness_NoticesDrift(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	row := h.do("GET", "/v1/webhooks/endpoints/"+h.newEndpoint(), nil).ok(200)
	schema := h.doc.Components.Schemas["Endpoint"].Value
	if err := schema.VisitJSON(row); err != nil {
		t.Errorf("a good row does not match: %v", err)
	}
	for name, spoil := range map[string]func(map[string]any){
		"extra member":   func(r map[string]any) { r["signing_secret"] = "x" },
		"missing member": func(r map[string]any) { delete(r, "disabled_at") },
		"wrong type":     func(r map[string]any) { r["enabled"] = "true" },
		"null":           func(r map[string]any) { r["url"] = nil },
	} {
		spoiled := maps.Clone(row)
		spoil(spoiled)
		if schema.VisitJSON(spoiled) == nil {
			t.Errorf("%s goes unnoticed", name)
		}
	}
}
