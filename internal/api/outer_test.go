package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
)

func TestOuter_EveryRefusalHasTheEnvelope(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const endpoints = "/v1/webhooks/endpoints"
	large := `{"url":"` + strings.Repeat("x", bodyMax) + `"}`
	exact := `{"x":"` + strings.Repeat("x", bodyMax-len(`{"x":""}`)) + `"}`
	for name, tc := range map[string]struct {
		method, path string
		body         any
		headers      []string
		status       int
		code         string
	}{
		"unknown route":        {"GET", "/v1/nothing", nil, nil, 404, "NOT_FOUND"},
		"root":                 {"GET", "/v1", nil, nil, 404, "NOT_FOUND"},
		"trailing slash":       {"GET", endpoints + "/", nil, nil, 404, "NOT_FOUND"},
		"double slash":         {"GET", "/v1//webhooks/endpoints", nil, nil, 404, "NOT_FOUND"},
		"dots":                 {"GET", "/v1/x/../sessions", nil, nil, 404, "NOT_FOUND"},
		"unknown route first":  {"GET", "/v1/nothing", nil, []string{"Authorization", ""}, 404, "NOT_FOUND"},
		"method":               {"PUT", endpoints, `x`, []string{"Authorization", ""}, 405, "METHOD_NOT_ALLOWED"},
		"options":              {"OPTIONS", endpoints, nil, nil, 405, "METHOD_NOT_ALLOWED"},
		"no key":               {"GET", endpoints, nil, []string{"Authorization", ""}, 401, "UNAUTHORIZED"},
		"blank key":            {"GET", endpoints, nil, []string{"Authorization", "Bearer  "}, 401, "UNAUTHORIZED"},
		"other scheme":         {"GET", endpoints, nil, []string{"Authorization", "bearer " + h.key}, 401, "UNAUTHORIZED"},
		"bare key":             {"GET", endpoints, nil, []string{"Authorization", h.key}, 401, "UNAUTHORIZED"},
		"unknown key":          {"GET", endpoints, nil, []string{"Authorization", "Bearer kk_" + strings.Repeat("a", 32)}, 401, "UNAUTHORIZED"},
		"key before type":      {"POST", endpoints, `{}`, []string{"Authorization", "", "Content-Type", "text/plain"}, 401, "UNAUTHORIZED"},
		"no type":              {"POST", endpoints, `{}`, []string{"Content-Type", ""}, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"wrong type":           {"POST", endpoints, `{}`, []string{"Content-Type", "text/json"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"odd type":             {"POST", endpoints, `{}`, []string{"Content-Type", "json"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"form":                 {"POST", endpoints, `url=x`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"type before size":     {"POST", endpoints, large, []string{"Content-Type", "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"},
		"too large":            {"POST", endpoints, large, nil, 413, "PAYLOAD_TOO_LARGE"},
		"just not too large":   {"POST", endpoints, exact, nil, 400, "BAD_REQUEST"},
		"with charset":         {"POST", endpoints, `{}`, []string{"Content-Type", "application/json; charset=utf-8"}, 400, "BAD_REQUEST"},
		"with suffix":          {"POST", endpoints, `{}`, []string{"Content-Type", "application/vnd.x+json"}, 400, "BAD_REQUEST"},
		"long id":              {"GET", endpoints + "/whe_" + strings.Repeat("a", 200), nil, nil, 400, "BAD_REQUEST"},
		"odd id":               {"GET", endpoints + "/whe.x", nil, nil, 400, "BAD_REQUEST"},
		"other prefix":         {"GET", endpoints + "/evt_01kdvdna00e4hr28t5cy4tqkff", nil, nil, 404, "NOT_FOUND"},
		"upper case id":        {"GET", endpoints + "/whe_01KDVDNA00E4HR28T5CY4TQKFF", nil, nil, 404, "NOT_FOUND"},
		"overflow":             {"GET", endpoints + "/whe_8zzzzzzzzzzzzzzzzzzzzzzzzz", nil, nil, 404, "NOT_FOUND"},
		"zero id":              {"GET", endpoints + "/whe_00000000000000000000000000", nil, nil, 404, "NOT_FOUND"},
		"accept is ignored":    {"GET", endpoints + "/whe_x", nil, []string{"Accept", "text/html"}, 404, "NOT_FOUND"},
		"limit":                {"GET", endpoints + "?limit=0", nil, nil, 400, "BAD_REQUEST"},
		"greater limit":        {"GET", endpoints + "?limit=101", nil, nil, 400, "BAD_REQUEST"},
		"empty limit":          {"GET", endpoints + "?limit=", nil, nil, 400, "BAD_REQUEST"},
		"limit is no number":   {"GET", endpoints + "?limit=ten", nil, nil, 400, "BAD_REQUEST"},
		"cursor":               {"GET", endpoints + "?starting_after=whe_x", nil, nil, 400, "INVALID_REQUEST"},
		"long cursor":          {"GET", endpoints + "?starting_after=" + strings.Repeat("x", 300), nil, nil, 400, "INVALID_REQUEST"},
		"empty cursor":         {"GET", endpoints + "?starting_after=", nil, nil, 400, "INVALID_REQUEST"},
		"unknown cursor":       {"GET", endpoints + "?starting_after=whe_01kdvdna00e4hr28t5cy4tqkff", nil, nil, 400, "INVALID_REQUEST"},
		"document, wrong verb": {"POST", "/openapi", nil, nil, 405, "METHOD_NOT_ALLOWED"},
	} {
		t.Run(name, func(t *testing.T) {
			h := *h
			h.TB = t
			got := h.do(tc.method, tc.path, tc.body, tc.headers...).refused(tc.status, tc.code)
			if (tc.status == 405) != (got.header.Get("Allow") != "") {
				t.Errorf("Allow is %q", got.header.Get("Allow"))
			}
			if (tc.code == "BAD_REQUEST") != (len(got.fields()) > 0) {
				t.Errorf("fields in %s", got.raw)
			}
		})
	}
}

func TestOuter_APanicIsAnOrdinary500(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.door.mux.HandleFunc("GET /v1/panic", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(`{"data":`))
		panic("kk_secret in a panic")
	})
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/panic", nil))
	if err := fixture.CheckResponse(h.doc, "", w.Code, w.Body.Bytes()); w.Code != 500 || err != nil || !strings.Contains(w.Body.String(), `"INTERNAL_SERVER_ERROR"`) {
		t.Errorf("got %d %s, %v", w.Code, w.Body, err)
	}
	h.logged(answer{header: w.Header()}, "request panicked")
	if strings.Contains(w.Body.String()+h.log.String(), "secret") {
		t.Errorf("it says what panicked: %s; log: %s", w.Body, h.log)
	}
}

func TestOuter_ADatabaseErrorNeverReachesTheClient(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec("ALTER TABLE webhook_endpoints RENAME TO elsewhere")
	got := h.do("GET", "/v1/webhooks/endpoints", nil).refused(500, "INTERNAL_SERVER_ERROR")
	h.logged(got, "request failed")
	if strings.Contains(got.raw, "relation") {
		t.Errorf("answer %s", got.raw)
	}
	h.db.Close()
	for _, path := range []string{"/v1/webhooks/endpoints", "/v1/verify/session/" + unknown["{id}"] + "/status"} {
		h.logged(h.do("GET", path, nil).refused(500, "INTERNAL_SERVER_ERROR"), "request failed")
	}
}

// logged is the line about the answer, which names its request.
func (h *harness) logged(got answer, message string) string {
	h.Helper()
	for line := range strings.Lines(h.log.String()) {
		if strings.Contains(line, message) && strings.Contains(line, "request_id="+got.header.Get("X-Request-Id")) {
			return line
		}
	}
	h.Errorf("no line %q with %s in the log: %s", message, got.header.Get("X-Request-Id"), h.log)
	return ""
}

func TestOuter_WriteFailsWithItsAuditRow(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.exec("ALTER TABLE audit_logs ADD CONSTRAINT broken CHECK (event <> 'webhook_endpoint.created') NOT VALID")
	h.do("POST", "/v1/webhooks/endpoints", `{"url":"https://receiver.example.com/"}`, "Idempotency-Key", "a").refused(500, "INTERNAL_SERVER_ERROR")
	if n := h.count("SELECT (SELECT count(*) FROM webhook_endpoints) + (SELECT count(*) FROM idempotency_keys)"); n != 0 {
		t.Errorf("%d rows were left", n)
	}
}

func TestOuter_RateLimitPerKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.RateKeyPerSecond, c.RateKeyBurst = 1, 2 })
	h.do("GET", "/v1/sessions", nil).ok(200)
	h.do("GET", "/v1/sessions", nil).ok(200)
	got := h.do("POST", "/v1/sessions", `{`, "Content-Type", "text/plain").refused(429, "RATE_LIMITED")
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	h.as(h.issue(h.owner, access.SessionsRead)).do("GET", "/v1/sessions", nil).ok(200)
}

func TestOuter_RateLimitHoldsForRequestsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.RateKeyPerSecond, c.RateKeyBurst = 1, 10 })
	var wg sync.WaitGroup
	var allowed atomic.Int32
	for range 100 {
		wg.Go(func() {
			if got := h.do("GET", "/v1/sessions", nil); got.status == http.StatusOK {
				allowed.Add(1)
			} else if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" {
				t.Errorf("got %d %v", got.status, got.header)
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 10 {
		t.Errorf("%d of 100 were allowed", allowed.Load())
	}
}

func TestOuter_RateLimitOfPublicCancelIsPerClient(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.RateIPPerMinute, c.RateIPBurst, c.TrustedProxyHops = 1, 1, 1 })
	h.newEndpoint()
	session, token := h.newSession()
	path := "/v1/verify/session/" + session + "/cancel"
	body := map[string]any{"cancel_token": token}
	h.do("POST", path, body, "X-Forwarded-For", "203.0.113.9, 198.51.100.1", "Authorization", "").ok(204)
	got := h.do("POST", path, body, "X-Forwarded-For", "198.51.100.1", "Authorization", "").refused(429, "RATE_LIMITED")
	if got.header.Get("Retry-After") != "60" {
		t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
	h.do("POST", path, body, "X-Forwarded-For", "198.51.100.2", "Authorization", "").ok(204)
	h.do("GET", "/v1/verify/session/"+session+"/status", nil, "X-Forwarded-For", "198.51.100.1", "Authorization", "").ok(200)
}

func TestOuter_AuditNamesTheTrueActor(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(c *Config) { c.TrustedProxyHops = 1 })
	got := h.do("POST", "/v1/webhooks/endpoints", `{"url":"https://receiver.example.com/"}`, "X-Forwarded-For", "198.51.100.7")
	got.ok(200)
	if n := h.count(`SELECT count(*) FROM audit_logs WHERE event = 'webhook_endpoint.created' AND actor_type = 'api_key' AND actor_id LIKE 'key\_%'
		AND client_ip = $1 AND request_id = $2`, netip.MustParseAddr("198.51.100.7").String(), got.header.Get("X-Request-Id")); n != 1 {
		t.Errorf("%d audit rows", n)
	}
}

func TestOuter_DisabledExpiredAndDeletedKeysAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	record, secret, err := h.door.APIKeys.Issue(h.Context(), h.owner, apikey.Input{Name: "other", Scopes: []access.Scope{access.SessionsRead}})
	if err != nil {
		t.Fatal(err)
	}
	h.as(secret).do("GET", "/v1/sessions", nil).ok(200)
	expiry := h.clock.Now().Add(time.Hour)
	_, expiring, err := h.door.APIKeys.Issue(h.Context(), h.owner, apikey.Input{Name: "for an hour", Scopes: []access.Scope{access.SessionsRead}, ExpiresAt: &expiry})
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Set(expiry.Add(-time.Microsecond))
	h.as(expiring).do("GET", "/v1/sessions", nil).ok(200)
	h.clock.Set(expiry)
	h.as(expiring).do("GET", "/v1/sessions", nil).refused(401, "UNAUTHORIZED")
	off := false
	if _, err := h.door.APIKeys.Update(context.Background(), h.owner, record.ID, apikey.Update{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	got := h.as(secret).do("GET", "/v1/sessions", nil).refused(401, "UNAUTHORIZED")
	if got.header.Get("WWW-Authenticate") != "Bearer" {
		t.Error("no WWW-Authenticate")
	}
	on := true
	if _, err := h.door.APIKeys.Update(context.Background(), h.owner, record.ID, apikey.Update{Enabled: &on}); err != nil {
		t.Fatal(err)
	}
	h.as(secret).do("GET", "/v1/sessions", nil).ok(200)
	if err := h.door.APIKeys.Delete(context.Background(), h.owner, record.ID); err != nil {
		t.Fatal(err)
	}
	h.as(secret).do("GET", "/v1/sessions", nil).refused(401, "UNAUTHORIZED")
}

func TestOuter_BodyIsIgnoredWhereNoneIsTaken(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, _ := h.newSession()
	h.do("POST", "/v1/sessions/"+session+"/start", "not json", "Content-Type", "text/plain").ok(200)
	h.do("GET", "/v1/sessions?colour=red", "not json", "Content-Type", "text/plain").ok(200)
	h.do("HEAD", "/v1/sessions", nil).ok(200)
}

func TestOuter_ABodyThatIsNotOneObjectIsToldSo(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, body := range []string{"[]", "null", `"x"`, " ", "{} {}", "{", `{"status":"failed"}x`, "{\"a\":\"\xff\"}", "\xef\xbb\xbf{}"} {
		got := h.do("POST", bulk, body).refused(400, "BAD_REQUEST", "body")
		if !strings.Contains(got.raw, `"must be exactly one JSON object"`) {
			t.Errorf("%q: %s", body, got.raw)
		}
	}
}

func TestOuter_BodyOfUnannouncedLength(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	send := func(kind, body string) answer {
		r := httptest.NewRequest(http.MethodPost, "/v1/sessions", io.NopCloser(strings.NewReader(body)))
		r.ContentLength = -1
		r.Header.Set("Authorization", "Bearer "+h.key)
		r.Header.Set("Content-Type", kind)
		return h.send(r)
	}
	send("", "").ok(200)
	send("application/json", "{}").ok(200)
	send("text/plain", "{}").refused(415, "UNSUPPORTED_MEDIA_TYPE")
	send("application/json", `{"x":"`+strings.Repeat("x", bodyMax)+`"}`).refused(413, "PAYLOAD_TOO_LARGE")
}

func TestOuter_AnAnswerHasABoundedNumberOfFields(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	session, _ := h.newSession()
	body := map[string]any{}
	for n := range 10_000 {
		body[fmt.Sprint("surplus_", n)] = n
	}
	if got := h.do("POST", "/v1/sessions/"+session+"/check-failures", body).refused(400, "BAD_REQUEST"); len(got.fields()) != fault.MaxFields {
		t.Errorf("%d fields", len(got.fields()))
	}
}

func TestOuter_RequestIDIsOurs(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	got := h.do("GET", "/v1/sessions", nil, "X-Request-Id", "req_mine")
	if got.ok(200); got.header.Get("X-Request-Id") == "req_mine" {
		t.Error("the client chose the request id")
	}
}
