package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSessions_CreateShowsTheTokenOnce(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a, b := h.newEndpoint(), h.newEndpoint()
	created := h.do("POST", "/v1/sessions", fmt.Sprintf(`{"redirect_url":"https://app.example.com/done?x=<1>","webhook_endpoint_id":["%s","%s","%s"],
		"share_fields":{"family_name":{"required":true,"reason":" to  greet you "}}}`, a, b, a))
	session := created.ok(200)
	token := text(session, "cancel_token")
	if created.header.Get("Cache-Control") != "no-store" || len(token) != 48 {
		t.Errorf("got %v %s", created.header, created.raw)
	}
	id := text(session, "id")
	if want := "https://verify.example.org/" + id + "?cancel_token=" + token; text(session, "verification_url") != want {
		t.Errorf("verification_url %q", text(session, "verification_url"))
	}
	if !strings.Contains(created.raw, `"redirect_url":"https://app.example.com/done?x=<1>"`) || !strings.Contains(created.raw, `"webhook_endpoint_id":["`+a+`","`+b+`"]`) {
		t.Errorf("got %s", created.raw)
	}
	if text(session, "share_fields", "family_name", "reason") != "to greet you" || text(session, "share_fields", "kayle_document_id", "source") != "default" {
		t.Errorf("share_fields %v", session["share_fields"])
	}
	got := h.do("GET", "/v1/sessions/"+id, nil)
	if shown := got.ok(200); strings.Contains(got.raw, token) || text(shown, "verification_url") != "https://verify.example.org/"+id || shown["contract_version"] != 1.0 {
		t.Errorf("got %s", got.raw)
	}
	for body, want := range map[string]string{`{"webhook_endpoint_id":"` + a + `"}`: `"webhook_endpoint_id":"` + a + `"`, `{}`: `"webhook_endpoint_id":null`} {
		if got := h.do("POST", "/v1/sessions", body); !strings.Contains(got.raw, want) {
			t.Errorf("%s: %s", body, got.raw)
		}
	}
	if ids := h.do("GET", "/v1/sessions?status=created&created_from=2026-03-02T09:30:00.000Z", nil).ids(); len(ids) != 3 {
		t.Errorf("listed %v", ids)
	}
	h.do("GET", "/v1/sessions?status=open", nil).refused(400, "BAD_REQUEST", "status")
}

// What a session asks for in the end, as it follows from what the client asked for (contract section 4.6).
func TestSessions_CreateShowsTheEffectiveShareContract(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	type asked = map[string]any
	type fields = map[string]shareField
	entry := func(required bool, reason string) any { return asked{"required": required, "reason": reason} }
	added := shareField{true, "", "default"} // the document id, where it was not asked for
	all := fields{"kayle_document_id": added}
	for _, key := range []string{"date_of_birth", "document_expiry_date", "document_number", "document_type_code", "family_name", "given_names", "issuing_country_code", "kayle_human_id", "mrz_optional_data", "nationality_code", "sex_marker"} {
		all[key] = shareField{false, "", "default"}
	}
	longest := strings.Repeat("é", 200)
	for name, tc := range map[string]struct {
		share any
		want  fields
		code  string
	}{
		"left out":                    {nil, all, ""},
		"empty":                       {asked{}, fields{"kayle_document_id": added}, ""},
		"neither is required":         {asked{"date_of_birth": entry(false, "x"), "age_over_18": entry(false, "y")}, fields{"date_of_birth": {false, "x", "rc"}, "age_over_18": {false, "y", "rc"}, "kayle_document_id": added}, ""},
		"the birth makes the gate":    {asked{"date_of_birth": entry(true, "x"), "age_over_18": entry(false, "y")}, fields{"date_of_birth": {true, "x", "rc"}, "age_over_18": {true, "y", "rc"}, "kayle_document_id": added}, ""},
		"the gate makes the birth":    {asked{"date_of_birth": entry(false, "x"), "age_over_18": entry(true, "y")}, fields{"date_of_birth": {true, "x", "rc"}, "age_over_18": {true, "y", "rc"}, "kayle_document_id": added}, ""},
		"the gate makes nothing else": {asked{"family_name": entry(false, "x"), "age_over_18": entry(true, "y")}, fields{"family_name": {false, "x", "rc"}, "age_over_18": {true, "y", "rc"}, "kayle_document_id": added}, ""},
		"the document id is forced":   {asked{"kayle_document_id": entry(false, "x")}, fields{"kayle_document_id": {true, "x", "rc"}}, ""},
		"a gate needs no reason":      {asked{"date_of_birth": entry(false, "x"), "age_over_18": entry(false, " ")}, fields{"date_of_birth": {false, "x", "rc"}, "age_over_18": {false, "", "rc"}, "kayle_document_id": added}, ""},
		"a lone gate needs one":       {asked{"age_over_18": entry(true, " "), "family_name": entry(true, "x")}, nil, "REASON_REQUIRED"},
		"the birth needs one":         {asked{"date_of_birth": entry(false, ""), "age_over_18": entry(false, "y")}, nil, "REASON_REQUIRED"},
		"the forced id needs one":     {asked{"kayle_document_id": entry(false, "")}, nil, "REASON_REQUIRED"},
		"the longest reason":          {asked{"family_name": entry(true, " "+longest+" ")}, fields{"family_name": {true, longest, "rc"}, "kayle_document_id": added}, ""},
		"a longer reason":             {asked{"family_name": entry(true, longest+"é")}, nil, "REASON_TOO_LONG"},
		"the lowest gate":             {asked{"age_over_12": entry(true, "x")}, fields{"age_over_12": {true, "x", "rc"}, "kayle_document_id": added}, ""},
		"the highest gate":            {asked{"age_over_130": entry(true, "x")}, fields{"age_over_130": {true, "x", "rc"}, "kayle_document_id": added}, ""},
		"below the lowest":            {asked{"age_over_11": entry(true, "x")}, nil, "INVALID_AGE_GATE_KEY"},
		"above the highest":           {asked{"age_over_131": entry(true, "x")}, nil, "INVALID_AGE_GATE_KEY"},
		"with a leading zero":         {asked{"age_over_012": entry(true, "x")}, nil, "INVALID_AGE_GATE_KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			h := *h
			h.TB = t
			body := asked{}
			if tc.share != nil {
				body["share_fields"] = tc.share
			}
			answered := h.do("POST", "/v1/sessions", body)
			if tc.code != "" {
				answered.refused(400, tc.code)
				return
			}
			id := text(answered.ok(200), "id")
			for _, shown := range []answer{answered, h.do("GET", "/v1/sessions/"+id, nil)} { // stored, too
				var got struct {
					Data struct {
						ShareFields fields `json:"share_fields"`
					}
				}
				if err := json.Unmarshal([]byte(shown.raw), &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, got.Data.ShareFields); diff != "" {
					t.Errorf("share_fields (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestSessions_CreateRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	off := h.newEndpoint()
	h.do("PATCH", "/v1/webhooks/endpoints/"+off, `{"enabled":false}`).ok(200)
	for body, code := range map[string]string{
		`{"redirect_url":"http://app.example.com/"}`:                              "INVALID_REDIRECT_URL",
		`{"redirect_url":"https://app.example.com:65536/"}`:                       "INVALID_REDIRECT_URL",
		`{"redirect_url":"https://:443/"}`:                                        "INVALID_REDIRECT_URL",
		`{"redirect_url":5}`:                                                      "INVALID_REDIRECT_URL",
		`{"redirect_url":null}`:                                                   "INVALID_REDIRECT_URL",
		`{"share_fields":[]}`:                                                     "INVALID_SHARE_FIELDS",
		`{"share_fields":null}`:                                                   "INVALID_SHARE_FIELDS",
		`{"share_fields":{"family_name":true}}`:                                   "INVALID_SHARE_FIELDS",
		`{"share_fields":{"family_name":{"Required":true,"reason":"x"}}}`:         "INVALID_SHARE_FIELDS",
		`{"share_fields":{"shoe_size":{"required":true,"reason":"x"}}}`:           "UNKNOWN_CLAIM_KEY",
		`{"share_fields":{"age_over_9":{"required":true,"reason":"x"}}}`:          "INVALID_AGE_GATE_KEY",
		`{"share_fields":{"family_name":{"required":true,"reason":" "}}}`:         "REASON_REQUIRED",
		`{"webhook_endpoint_id":"whe_x"}`:                                         "WEBHOOK_ENDPOINT_UNAVAILABLE",
		`{"webhook_endpoint_id":"` + off + `"}`:                                   "WEBHOOK_ENDPOINT_UNAVAILABLE",
		`{"webhook_endpoint_id":"` + strings.Repeat("x", 129) + `"}`:              "BAD_REQUEST",
		`{"webhook_endpoint_id":""}`:                                              "BAD_REQUEST",
		`{"webhook_endpoint_id":[]}`:                                              "BAD_REQUEST",
		`{"webhook_endpoint_id":[null]}`:                                          "BAD_REQUEST",
		`{"webhook_endpoint_id":null}`:                                            "BAD_REQUEST",
		`{"webhook_endpoint_id":7}`:                                               "BAD_REQUEST",
		`{"webhook_endpoint_id":[` + strings.Repeat(`"whe_x",`, 25) + `"whe_x"]}`: "BAD_REQUEST",
		// Two are wrong: the one that is first in the contract's table is named, wherever it stands.
		`{"webhook_endpoint_id":7,"redirect_url":"http://app.example.com/"}`:                          "INVALID_REDIRECT_URL",
		`{"webhook_endpoint_id":"","share_fields":{"family_name":true}}`:                              "INVALID_SHARE_FIELDS",
		`{"webhook_endpoint_id":[],"share_fields":{"a":{"required":1,"reason":""}}}`:                  "INVALID_SHARE_FIELDS",
		`{"webhook_endpoint_id":[null],"share_fields":{"family_name":{"required":true,"reason":""}}}`: "REASON_REQUIRED",
		`{"webhook_endpoint_id":"whe_x","redirect_url":5,"share_fields":[]}`:                          "INVALID_REDIRECT_URL",
	} {
		h.do("POST", "/v1/sessions", body).refused(400, code)
	}
}

func TestSessions_ChecksToTheEnd(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.newKey(h.newEndpoint(), "k1")
	id, _ := h.newSession()
	path := "/v1/sessions/" + id
	if got := h.do("POST", path+"/start", nil).ok(200); got["status"] != "in_progress" {
		t.Errorf("got %v", got)
	}
	for n := 1; n <= 3; n++ {
		got := h.do("POST", path+"/check-failures", `{"failure_code":"liveness_failed"}`).ok(200)
		if got["liveness_tries_used"] != float64(n) || (got["status"] == "failed") != (n == 3) {
			t.Errorf("failure %d: %v", n, got)
		}
	}
	if got := h.do("GET", path, nil).ok(200); got["failure_code"] != "liveness_failed" || got["completed_at"] == nil {
		t.Errorf("got %v", got)
	}
	h.do("POST", path+"/start", nil).refused(409, "SESSION_NOT_ACTIVE")
	h.do("POST", path+"/cancel", nil).ok(204)

	late, _ := h.newSession()
	h.clock.Advance(time.Hour)
	// A read tells of it what is stored, and leaves it so.
	events := h.count("SELECT count(*) FROM events")
	for range 2 {
		public := h.as("")
		for path, got := range map[string]map[string]any{
			"single":          h.do("GET", "/v1/sessions/"+late, nil).ok(200),
			"status":          public.do("GET", "/v1/verify/session/"+late+"/status", nil).ok(200),
			"privacy-context": public.do("GET", "/v1/verify/session/"+late+"/privacy-context", nil).ok(200),
		} {
			_, hasStatus := got["status"]
			_, saysTerminal := got["is_terminal"]
			if hasStatus && got["status"] != "created" || saysTerminal && got["is_terminal"] != false || !hasStatus && !saysTerminal {
				t.Errorf("%s: %v", path, got)
			}
		}
	}
	for query, want := range map[string][]string{"?status=created": {late}, "?status=expired": {}} {
		if got := h.do("GET", "/v1/sessions"+query, nil).ids(); !slices.Equal(got, want) {
			t.Errorf("list%s: %v, want %v", query, got, want)
		}
	}
	if n := h.count("SELECT count(*) FROM events"); n != events {
		t.Errorf("reads created %d events", n-events)
	}
	h.do("POST", "/v1/sessions/"+late+"/start", nil).refused(410, "SESSION_EXPIRED")
	if n := h.count("SELECT count(*) FROM events"); n != events+1 {
		t.Errorf("%d events of the session that an operation met too late", n-events)
	}
	h.do("POST", "/v1/sessions/"+late+"/cancel", nil).ok(204)
	h.do("POST", "/v1/sessions/vs_01kdvdna00e4hr28t5cy4tqkff/cancel", nil).refused(404, "NOT_FOUND")
	for body, fields := range map[string][]string{
		`{}`:                       {"failure_code"},
		`{"failure_code":"bored"}`: {"failure_code"},
		`{"failure_code":"liveness_failed","note":1}`:       {"note"},
		`{"failure_code":"liveness_failed","Not A Name":1}`: {"body"},
	} {
		h.do("POST", path+"/check-failures", body).refused(400, "BAD_REQUEST", fields...)
	}
}

func TestSessions_SuccessNeverEchoesClaims(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.newKey(h.newEndpoint(), "k1")
	created := h.do("POST", "/v1/sessions", `{"share_fields":{"family_name":{"required":true,"reason":"x"},"age_over_18":{"required":false,"reason":"x"}}}`).ok(200)
	path := "/v1/sessions/" + text(created, "id") + "/success"
	const marker = "zzmarkerzz"
	document := strings.Repeat("0", 64)
	for body, fields := range map[string][]string{
		`{"claims":{"family_name":"` + marker + `"`:                                                                                   {"body"},
		`{"claims":"` + marker + `","selected_field_keys":["` + marker + `"]}`:                                                        {"claims"},
		`{"claims":{},"selected_field_keys":{"` + marker + `":1}}`:                                                                    {"selected_field_keys"},
		`{"claims":{},"selected_field_keys":["family_name","kayle_document_id"],"` + marker + `!":1}`:                                 {"body"},
		`{"Claims":{"family_name":"` + marker + `"},"selected_field_keys":[]}`:                                                        {"claims", "body"},
		`{"claims":{"family_name":5,"kayle_document_id":"` + marker + `"},"selected_field_keys":["family_name","kayle_document_id"]}`: {"claims.family_name", "claims.kayle_document_id"},
	} {
		got := h.do("POST", path, body).refused(400, "BAD_REQUEST", fields...)
		if strings.Contains(got.raw, marker) {
			t.Errorf("%s is echoed: %s", body, got.raw)
		}
	}
	done := h.do("POST", path, `{"claims":{"family_name":"`+marker+`","kayle_document_id":"`+document+`","age_over_18":null},"selected_field_keys":["family_name","kayle_document_id"]}`)
	if got := done.ok(200); got["status"] != "succeeded" || strings.Contains(done.raw, marker) {
		t.Errorf("got %s", done.raw)
	}
	if strings.Contains(h.log.String(), marker) {
		t.Error("a claim is in the log")
	}
}

func TestVerify_PublicRoutes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.newKey(h.newEndpoint(), "k1")
	id, token := h.newSession()
	public := h.as("")
	base := "/v1/verify/session/" + id
	if got := public.do("GET", base+"/status", nil).ok(200); got["status"] != "created" || got["is_terminal"] != false || len(got) != 5 {
		t.Errorf("got %v", got)
	}
	privacy := public.do("GET", base+"/privacy-context", nil)
	if want := `{"data":{"has_withdrawn_consent":false,"is_terminal":false,"result_webhook_deliveries":{"total_count":0,"succeeded_count":0,"undelivered_count":0}},"error":null}` + "\n"; privacy.raw != want {
		t.Errorf("got %s", privacy.raw)
	}
	for _, body := range []string{``, `{`, `[]`, `{}`, `{"cancel_token":null}`, `{"cancel_token":"short"}`, `{"cancel_token":"` + strings.Repeat("A", 48) + `"}`} {
		public.do("POST", base+"/cancel", body).refused(400, "INVALID_REQUEST")
	}
	public.do("POST", base+"/cancel", `{"cancel_token":"`+strings.Repeat("a", 48)+`"}`).refused(401, "CANCEL_TOKEN_INVALID")
	for _, rest := range []string{"/cancel", "/status", "/privacy-context"} {
		method, body := "GET", any(nil)
		if rest == "/cancel" {
			method, body = "POST", `{"cancel_token":"`+token+`"}`
		}
		public.do(method, "/v1/verify/session/"+strings.Repeat("v", 129)+rest, body).refused(400, "INVALID_SESSION_ID")
		public.do(method, "/v1/verify/session/vs_x"+rest, body).refused(404, "SESSION_NOT_FOUND")
		public.do(method, "/v1/verify/session/vs_01kdvdna00e4hr28t5cy4tqkff"+rest, body).refused(404, "SESSION_NOT_FOUND")
	}
	public.do("POST", base+"/cancel", `{"cancel_token":"`+token+`"}`, "Content-Type", "").refused(415, "UNSUPPORTED_MEDIA_TYPE")
	for range 2 {
		public.do("POST", base+"/cancel", `{"cancel_token":"`+token+`"}`).ok(204)
	}
	h.exec("UPDATE verification_sessions SET status = 'created', completed_at = NULL")
	public.do("POST", base+"/cancel", `{"cancel_token":"`+token+`"}`).refused(401, "CANCEL_TOKEN_USED")
}

func TestVerify_PrivacyContextKnowsTheWithdrawal(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.newEndpoint()
	id, token := h.newSession()
	h.do("POST", "/v1/verify/session/"+id+"/cancel", `{"cancel_token":"`+token+`"}`).ok(204)
	if got := h.do("GET", "/v1/verify/session/"+id+"/privacy-context", nil).ok(200); got["has_withdrawn_consent"] != true || got["is_terminal"] != true {
		t.Errorf("got %v", got)
	}
}

// Only a result that told claims counts (contract section 8.6).
func TestVerify_PrivacyContextCountsDeliveriesOfSuccess(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range 3 {
		h.newKey(h.newEndpoint(), "k1")
	}
	succeeded, _ := h.newSession()
	h.do("POST", "/v1/sessions/"+succeeded+"/success", goodSuccess).ok(200)
	h.exec(`UPDATE webhook_deliveries SET status = 'succeeded', payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = created_at, payload_retention_reason = 'delivered', next_attempt_at = NULL
		WHERE id = (SELECT min(id::text)::uuid FROM webhook_deliveries)`)
	h.exec(`UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL WHERE id = (SELECT max(id::text)::uuid FROM webhook_deliveries)`) // the third is pending
	failed, _ := h.newSession()
	h.do("POST", "/v1/sessions/"+failed+"/check-failures", `{"failure_code":"document_anti_cloning_attestation_failed"}`).ok(200)
	if n := h.count("SELECT count(*) FROM webhook_deliveries"); n != 6 {
		t.Fatalf("%d deliveries, want three of each session", n)
	}
	for session, want := range map[string]string{
		succeeded: `{"total_count":3,"succeeded_count":1,"undelivered_count":2}`,
		failed:    `{"total_count":0,"succeeded_count":0,"undelivered_count":0}`,
	} {
		got := h.as("").do("GET", "/v1/verify/session/"+session+"/privacy-context", nil)
		if whole := `{"data":{"has_withdrawn_consent":false,"is_terminal":true,"result_webhook_deliveries":` + want + `},"error":null}` + "\n"; got.raw != whole {
			t.Errorf("got %s, want %s", got.raw, whole)
		}
	}
}

func TestSessions_EndWithoutAnyEndpoint(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id, _ := h.newSession()
	h.do("POST", "/v1/sessions/"+id+"/cancel", nil).ok(204)
	if got := h.do("GET", "/v1/webhooks/events", nil).ids(); len(got) != 1 {
		t.Errorf("events %v", got)
	}
}
