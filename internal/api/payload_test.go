package api

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-jose/go-jose/v4"

	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
)

// What receivers decrypt is what the document says of it under webhooks: the stored ciphertexts of one event of every type and reason
// are opened and held against it.
func TestOpenAPI_DescribesWhatIsReallySent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.newEvent() // leaves a webhook.test behind
	report := func(end func(session, token string)) {
		session, token := h.newSession()
		end("/v1/sessions/"+session, token)
	}
	fail := func(session, code string) {
		h.do("POST", session+"/check-failures", map[string]any{"failure_code": code}).ok(200)
	}
	withdraw := func(session, token string) {
		h.do("POST", "/v1/verify/session/"+session[len("/v1/sessions/"):]+"/cancel", map[string]any{"cancel_token": token}).ok(204)
	}
	report(func(s, _ string) { h.do("POST", s+"/success", goodSuccess).ok(200) })
	report(func(s, token string) { h.do("POST", s+"/success", goodSuccess).ok(200); withdraw(s, token) })
	report(func(s, _ string) { fail(s, "document_anti_cloning_attestation_failed") })
	report(func(s, token string) { fail(s, "document_anti_cloning_attestation_failed"); withdraw(s, token) })
	report(func(s, _ string) { h.do("POST", s+"/cancel", nil).ok(204) })
	report(func(s, _ string) { fail(s, "liveness_failed"); h.do("POST", s+"/cancel", nil).ok(204) })
	report(func(s, _ string) {
		h.clock.Advance(2 * time.Hour)
		h.do("POST", s+"/start", nil).refused(http.StatusGone, "SESSION_EXPIRED")
	})

	seen := map[string]int{}
	for n := range h.count("SELECT count(*) FROM webhook_deliveries WHERE payload IS NOT NULL") {
		payload := fixture.Scalar[string](t, h.db, "SELECT payload FROM webhook_deliveries WHERE payload IS NOT NULL ORDER BY id OFFSET $1 LIMIT 1", n)
		jwe, err := jose.ParseEncryptedCompact(payload, []jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := jwe.Decrypt(fixture.PrivateKey())
		if err != nil {
			t.Fatal(err)
		}
		var sent map[string]any
		if err := json.Unmarshal(plain, &sent); err != nil {
			t.Fatal(err)
		}
		seen[text(sent, "type")]++
		if err := h.payloadSchema(text(sent, "type")).VisitJSON(sent); err != nil {
			t.Errorf("%s: %v", plain, err)
		}
		sent["surplus"] = true
		if h.payloadSchema(text(sent, "type")).VisitJSON(sent) == nil {
			t.Error("a member too many goes unnoticed")
		}
	}
	for _, kind := range event.Types() {
		if seen[string(kind)] == 0 {
			t.Errorf("no %s was sent: %v", kind, seen)
		}
	}
	if seen[string(event.SessionCancelled)] != 4 {
		t.Errorf("not every reason to cancel was seen: %v", seen)
	}
}

// payloadSchema is the documented payload of an event type, strict.
func (h *harness) payloadSchema(kind string) *openapi3.Schema {
	h.Helper()
	schema := *h.doc.Webhooks[kind].Post.RequestBody.Value.Content["application/json"].Schema.Value
	no := false
	schema.AdditionalProperties.Has = &no
	return &schema
}
