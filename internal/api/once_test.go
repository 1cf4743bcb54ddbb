package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kaylehooks/internal/access"
)

const oneEndpoint = `{"url":"https://receiver.example.com/<&>"}`

func TestIdempotency_AHundredConcurrentCreatesHaveOneEffect(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	answers := make([]*httptest.ResponseRecorder, 100)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/v1/webhooks/endpoints", strings.NewReader(oneEndpoint))
			r.Header.Set("Authorization", "Bearer "+h.key)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "hundred")
			answers[i] = httptest.NewRecorder()
			h.door.ServeHTTP(answers[i], r)
		})
	}
	wg.Wait()
	first := h.do("POST", "/v1/webhooks/endpoints", oneEndpoint, "Idempotency-Key", "hundred")
	first.ok(200)
	fresh := 0
	for _, a := range answers {
		switch {
		case a.Code == 200 && a.Body.String() == first.raw:
			if a.Header().Get("Idempotent-Replayed") == "" {
				fresh++
			}
		case a.Code == 409 && a.Header().Get("Retry-After") == "1" && strings.Contains(a.Body.String(), "IDEMPOTENCY_CONFLICT"):
		default:
			t.Errorf("got %d %v %s", a.Code, a.Header(), a.Body)
		}
	}
	if n := h.count("SELECT count(*) FROM webhook_endpoints"); n != 1 || fresh != 1 || h.audited("webhook_endpoint.created") != 1 {
		t.Errorf("%d endpoints, %d first answers, %d audit rows", n, fresh, h.audited("webhook_endpoint.created"))
	}
}

func TestIdempotency_SameRequestGetsTheFirstResponse(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	event, delivery, endpoint := h.newEvent()
	h.exec("UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, attempt_count = 8")
	for path, body := range map[string]any{
		"/v1/webhooks/endpoints":                       oneEndpoint,
		"/v1/webhooks/endpoints/" + endpoint + "/keys": keyBody("k9"),
		"/v1/webhooks/endpoints/" + endpoint + "/test": nil,
		"/v1/sessions": nil,
		"/v1/webhooks/events/" + event + "/replay":       nil,
		"/v1/events/" + event + "/replay":                nil,
		"/v1/webhooks/deliveries/" + delivery + "/retry": nil,
		"/v1/webhooks/deliveries/retry":                  `{"status":"failed"}`,
	} {
		key := "same " + path
		first := h.do("POST", path, body, "Idempotency-Key", key)
		h.clock.Advance(time.Minute)
		second := h.do("POST", path, body, "Idempotency-Key", key)
		if first.status >= 300 || second.status != first.status || second.raw != first.raw {
			t.Errorf("%s: first %d %s, second %d %s", path, first.status, first.raw, second.status, second.raw)
		}
		if first.header.Get("Idempotent-Replayed") != "" || second.header.Get("Idempotent-Replayed") != "true" {
			t.Errorf("%s: Idempotent-Replayed %q and %q", path, first.header.Get("Idempotent-Replayed"), second.header.Get("Idempotent-Replayed"))
		}
		if first.header.Get("Cache-Control") != second.header.Get("Cache-Control") {
			t.Errorf("%s: Cache-Control %q", path, second.header.Get("Cache-Control"))
		}
	}
	if n := h.count("SELECT count(*) FROM idempotency_keys WHERE sealed_response LIKE '%whsec%' OR sealed_response LIKE '%data%'"); n != 0 {
		t.Error("a response is stored in the clear")
	}
}

func TestIdempotency_KeyBelongsToOneRequest(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	do := func(body string) answer {
		return h.do("POST", "/v1/webhooks/endpoints", body, "Idempotency-Key", "a")
	}
	do(`{}`).refused(400, "BAD_REQUEST")                                    // refused requests leave the key free
	do(`{"url":"https://localhost/"}`).refused(400, "WEBHOOK_URL_REJECTED") // also in the operation
	first := do(oneEndpoint)
	first.ok(200)
	do(oneEndpoint+" ").refused(409, "IDEMPOTENCY_CONFLICT")
	h.do("POST", "/v1/sessions", nil, "Idempotency-Key", "a").refused(409, "IDEMPOTENCY_CONFLICT")
	// Another API key, even of the same organization, has keys of its own.
	h.as(h.issue(h.owner, access.WebhooksWrite)).do("POST", "/v1/webhooks/endpoints", oneEndpoint, "Idempotency-Key", "a").ok(200)
	h.clock.Advance(24*time.Hour - time.Microsecond)
	if again := do(oneEndpoint); again.raw != first.raw {
		t.Errorf("got %s", again.raw)
	}
	h.clock.Advance(time.Microsecond)
	if again := do(oneEndpoint); again.status != 200 || again.raw == first.raw {
		t.Errorf("the answer outlived its time: %s", again.raw)
	}
}

func TestIdempotency_KeyHasAForm(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, key := range []string{strings.Repeat("k", 256), "ü", "a\tb"} {
		h.do("POST", "/v1/sessions", nil, "Idempotency-Key", key).refused(400, "BAD_REQUEST", "Idempotency-Key")
		h.do("GET", "/v1/sessions", nil, "Idempotency-Key", key).ok(200)
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/sessions", nil)
	r.Header = http.Header{"Authorization": {"Bearer " + h.key}, "Idempotency-Key": {""}}
	h.send(r).refused(400, "BAD_REQUEST", "Idempotency-Key")
	h.do("POST", "/v1/sessions", nil, "Idempotency-Key", strings.Repeat("k", 255)).ok(200)
}

func TestIdempotency_IsIgnoredElsewhere(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	path := "/v1/webhooks/endpoints/" + h.newEndpoint() + "/signing-secret/rotate"
	secrets := map[string]bool{}
	for i := range 2 {
		secrets[text(h.do("POST", path, nil, "Idempotency-Key", "a").ok(200), "signing_secret")] = true
		if len(secrets) != i+1 {
			t.Error("the second rotation gave the first one's secret")
		}
	}
	if n := h.count("SELECT count(*) FROM idempotency_keys"); n != 0 {
		t.Errorf("%d records", n)
	}
}
