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

// Whatever routes there are that honour the key: of a hundred requests at once one has an effect, and the others get its answer or are
// told to come back. Later the answer is still the same.
func TestIdempotency_AHundredRequestsHaveOneEffectOnEveryRoute(t *testing.T) {
	t.Parallel()
	shared := newHarness(t)
	for _, op := range shared.operations() {
		if shared.doc.Paths.Find(op.path).GetOperation(op.method).Parameters.GetByInAndName("header", "Idempotency-Key") == nil {
			continue
		}
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			h := newHarness(t)
			r := h.prepare(op)
			effects := func() int { return h.count("SELECT count(*) FROM audit_logs") } // every write leaves one row there
			before := effects()
			var wg sync.WaitGroup
			var mu sync.Mutex
			var first *answer
			again := map[string]int{}
			for range 100 {
				wg.Go(func() {
					got := h.do(op.method, r.path, r.body, "Idempotency-Key", "hundred")
					mu.Lock()
					defer mu.Unlock()
					switch {
					case got.status < 300 && got.header.Get("Idempotent-Replayed") == "" && first == nil:
						first = &got
					case got.status < 300 && got.header.Get("Idempotent-Replayed") == "true":
						again[got.raw]++
					case got.status == 409 && got.header.Get("Retry-After") == "1" && got.err["code"] == "IDEMPOTENCY_CONFLICT":
					default:
						t.Errorf("got %d %v %s", got.status, got.header, got.raw)
					}
				})
			}
			wg.Wait()
			h.clock.Advance(time.Minute)
			last := h.do(op.method, r.path, r.body, "Idempotency-Key", "hundred")
			again[last.raw]++
			if n := effects() - before; n != 1 || first == nil || len(again) != 1 || again[first.raw] == 0 {
				t.Fatalf("%d effects; first %v, then %v", n, first, again)
			}
			if last.status != first.status || last.header.Get("Idempotent-Replayed") != "true" || last.header.Get("Cache-Control") != first.header.Get("Cache-Control") {
				t.Errorf("first %d %v, then %d %v", first.status, first.header, last.status, last.header)
			}
			if n := h.count(`SELECT count(*) FROM idempotency_keys WHERE sealed_response LIKE '%"data"%' OR sealed_response LIKE '%whsec\_%'`); n != 0 {
				t.Error("a response is stored in the clear")
			}
		})
	}
}

// Contract section 8.2: what is wrong in any case is said before the key is looked at.
func TestIdempotency_ComesAfterValidation(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	keys := "/v1/webhooks/endpoints/" + h.newEndpoint() + "/keys"
	h.do("POST", "/v1/sessions", nil, "Idempotency-Key", "taken").ok(200)
	for _, c := range []struct{ path, body, code string }{
		{"/v1/webhooks/endpoints", `{"url":"https://localhost/"}`, "WEBHOOK_URL_REJECTED"},
		{"/v1/webhooks/endpoints", `{"url":"https://a.example.com/","undelivered_payload_retention_hours":1}`, "BAD_REQUEST"},
		{keys, `{"key_id":" ","algorithm":"RSA-OAEP-256","key_type":"RSA","jwk":{}}`, "BAD_REQUEST"},
		{"/v1/sessions", `{"redirect_url":"http://a.example.com/"}`, "INVALID_REDIRECT_URL"},
		{"/v1/sessions", `{"share_fields":{"shoe_size":{"required":true,"reason":"x"}}}`, "UNKNOWN_CLAIM_KEY"},
		{"/v1/sessions", `{"webhook_endpoint_id":[]}`, "BAD_REQUEST"},
		{bulk, `{"status":"succeeded"}`, "BAD_REQUEST"},
		{bulk, `{"status":"failed","rate_per_second":101}`, "BAD_REQUEST"},
	} {
		h.do("POST", c.path, c.body, "Idempotency-Key", "taken").refused(400, c.code)
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
