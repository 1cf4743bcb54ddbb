package api

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestEndpoints_Lifecycle(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const base = "/v1/webhooks/endpoints"
	created := h.do("POST", base, `{"url":" https://Receiver.example.com ","name":" Main ","labels":["eu"],"enabled":true,"unknown":1,"URL":"https://other.example.com"}`)
	body := created.ok(200)
	if created.header.Get("Cache-Control") != "no-store" {
		t.Error("a response with a secret may be stored")
	}
	endpoint := body["endpoint"].(map[string]any)
	id := text(endpoint, "id")
	if endpoint["url"] != "https://receiver.example.com/" || endpoint["name"] != "Main" || endpoint["created_at"] != "2026-03-02T09:30:00.000Z" {
		t.Errorf("got %v", endpoint)
	}
	if secret := text(body, "signing_secret"); len(secret) != len("whsec_")+32 {
		t.Errorf("signing secret %q", secret)
	}
	path := base + "/" + id
	if got := h.do("GET", path, nil).ok(200); text(got, "id") != id {
		t.Errorf("got %v", got)
	}
	h.clock.Advance(time.Millisecond * 5 / 2)
	updated := h.do("PATCH", path, `{"name":null,"enabled":false,"undelivered_payload_retention_hours":24.0}`).ok(200)
	if updated["name"] != nil || updated["enabled"] != false || updated["disabled_at"] != "2026-03-02T09:30:00.002Z" {
		t.Errorf("got %v", updated)
	}
	h.do("POST", path+"/test", nil).refused(409, "CONFLICT")
	h.clock.Advance(time.Millisecond)
	if again := h.do("PATCH", path, `{"enabled":false}`).ok(200); again["enabled"] != false || again["disabled_at"] != "2026-03-02T09:30:00.002Z" {
		t.Errorf("turned off twice: %v", again)
	}
	for range 2 {
		if on := h.do("PATCH", path, `{"enabled":true}`).ok(200); on["enabled"] != true || on["disabled_at"] != nil {
			t.Errorf("turned on: %v", on)
		}
	}

	revealed := h.do("POST", path+"/signing-secret/reveal", nil)
	if text(revealed.ok(200), "signing_secret") != text(body, "signing_secret") || revealed.header.Get("Cache-Control") != "no-store" {
		t.Errorf("revealed %s", revealed.raw)
	}
	rotated := h.do("POST", path+"/signing-secret/rotate", `{"overlap_hours":24}`)
	if got := rotated.ok(200); text(got, "previous_signing_secret_expires_at") != "2026-03-03T09:30:00.003Z" || rotated.header.Get("Cache-Control") != "no-store" {
		t.Errorf("rotated %s", rotated.raw)
	}
	h.do("POST", path+"/signing-secret/rotate", nil).refused(409, "CONFLICT")
	h.do("POST", path+"/signing-secret/rotate", `{"overlap_hours":5}`).refused(400, "BAD_REQUEST", "overlap_hours")
	h.do("POST", path+"/signing-secret/end-overlap", nil).ok(200)
	h.do("POST", path+"/signing-secret/end-overlap", nil).refused(409, "CONFLICT")
	h.do("POST", path+"/signing-secret/rotate", `{"force":true}`).ok(200)

	if got := h.do("DELETE", path, nil).ok(200); got["status"] != "success" {
		t.Errorf("got %v", got)
	}
	for _, suffix := range []string{"", "/keys"} {
		h.do("GET", path+suffix, nil).refused(404, "NOT_FOUND")
	}
	for _, suffix := range []string{"/test", "/signing-secret/reveal", "/signing-secret/rotate", "/signing-secret/end-overlap"} {
		h.do("POST", path+suffix, nil).refused(404, "NOT_FOUND")
	}
	h.do("DELETE", path, nil).refused(404, "NOT_FOUND")
}

func TestCreateEndpoint_RefusesWhatBreaksARule(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const good = `"url":"https://receiver.example.com/"`
	for name, tc := range map[string]struct {
		body   string
		code   string
		fields []string
	}{
		"no body":            {``, "BAD_REQUEST", []string{"body"}},
		"broken JSON":        {`{"url":`, "BAD_REQUEST", []string{"body"}},
		"two objects":        {`{} {}`, "BAD_REQUEST", []string{"body"}},
		"an array":           {`[]`, "BAD_REQUEST", []string{"body"}},
		"null":               {`null`, "BAD_REQUEST", []string{"body"}},
		"not UTF-8":          {"{\"url\":\"\xff\"}", "BAD_REQUEST", []string{"body"}},
		"no url":             {`{}`, "BAD_REQUEST", []string{"url"}},
		"url in other case":  {`{"URL":"https://receiver.example.com/"}`, "BAD_REQUEST", []string{"url"}},
		"url of wrong type":  {`{"url":5}`, "BAD_REQUEST", []string{"url"}},
		"null url":           {`{"url":null}`, "BAD_REQUEST", []string{"url"}},
		"rejected url":       {`{"url":"https://localhost/"}`, "WEBHOOK_URL_REJECTED", nil},
		"null name":          {`{` + good + `,"name":null}`, "BAD_REQUEST", []string{"name"}},
		"long name":          {`{` + good + `,"name":"` + strings.Repeat("x", 121) + `"}`, "BAD_REQUEST", []string{"name"}},
		"null labels":        {`{` + good + `,"labels":null}`, "BAD_REQUEST", []string{"labels"}},
		"labels not strings": {`{` + good + `,"labels":[1]}`, "BAD_REQUEST", []string{"labels"}},
		"null label":         {`{` + good + `,"labels":[null]}`, "BAD_REQUEST", []string{"labels[0]"}},
		"no event type":      {`{` + good + `,"subscribed_event_types":[]}`, "BAD_REQUEST", []string{"subscribed_event_types"}},
		"webhook.test":       {`{` + good + `,"subscribed_event_types":["webhook.test"]}`, "BAD_REQUEST", []string{"subscribed_event_types[0]"}},
		"odd retention":      {`{` + good + `,"undelivered_payload_retention_hours":71}`, "BAD_REQUEST", []string{"undelivered_payload_retention_hours"}},
		"broken retention":   {`{` + good + `,"undelivered_payload_retention_hours":24.5}`, "BAD_REQUEST", []string{"undelivered_payload_retention_hours"}},
		"text for bool":      {`{` + good + `,"enabled":"true"}`, "BAD_REQUEST", []string{"enabled"}},
		"two at once":        {`{"url":1,"enabled":2}`, "BAD_REQUEST", []string{"url", "enabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := *h
			h.TB = t
			got := h.do("POST", "/v1/webhooks/endpoints", tc.body).refused(400, tc.code, tc.fields...)
			if tc.code == "WEBHOOK_URL_REJECTED" && got.err["hint"] != "loopback_not_allowed" {
				t.Errorf("hint %v", got.err["hint"])
			}
		})
	}
	if n := h.count("SELECT count(*) FROM webhook_endpoints"); n != 0 {
		t.Errorf("%d endpoints were created", n)
	}
}

// Labels stay in the order given, event types go into that of the contract (section 5.1); a refused list changes nothing.
func TestEndpoints_ListsAreTidied(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	const base, types = "/v1/webhooks/endpoints", "verification.session."
	quoted := func(list []string) string {
		raw, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	all := []string{types + "succeeded", types + "failed", types + "expired", types + "cancelled"}
	if got := h.do("POST", base, `{"url":"https://receiver.example.com/"}`); !strings.Contains(got.raw, `"labels":[]`) || !strings.Contains(got.raw, `"subscribed_event_types":`+quoted(all)) {
		t.Errorf("left out: %s", got.raw)
	}
	path := base + "/" + h.newEndpoint()
	long := strings.Repeat("é", 40)
	for name, tc := range map[string]struct {
		member      string
		given, want []string // no want: refused
		field       string
	}{
		"labels":                   {"labels", []string{" b ", "A", "a b", long}, []string{"b", "A", "a b", long}, ""},
		"no labels":                {"labels", []string{}, []string{}, ""},
		"eight labels":             {"labels", []string{"8", "7", "6", "5", "4", "3", "2", "1"}, []string{"8", "7", "6", "5", "4", "3", "2", "1"}, ""},
		"nine labels":              {"labels", []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}, nil, "labels"},
		"the same label":           {"labels", []string{"eu", "us", "eu"}, nil, "labels[2]"},
		"the same in another case": {"labels", []string{"Ünion", "üNION"}, nil, "labels[1]"},
		"the same when trimmed":    {"labels", []string{"eu", " EU "}, nil, "labels[1]"},
		"a blank label":            {"labels", []string{"eu", "  "}, nil, "labels[1]"},
		"a long label":             {"labels", []string{long + "é"}, nil, "labels[0]"},
		"all types":                {"subscribed_event_types", []string{all[3], all[1], all[2], all[0]}, all, ""},
		"types twice":              {"subscribed_event_types", []string{all[2], all[0], all[2], all[0], all[0]}, []string{all[0], all[2]}, ""},
		"an unknown type":          {"subscribed_event_types", []string{all[2], types + "started"}, nil, "subscribed_event_types[1]"},
	} {
		t.Run(name, func(t *testing.T) {
			h := *h
			h.TB = t
			const url = `"url":"https://receiver.example.com/"`
			member := `"` + tc.member + `":` + quoted(tc.given)
			before := h.do("GET", path, nil).raw
			if tc.want == nil {
				h.do("POST", base, `{`+url+`,`+member+`}`).refused(400, "BAD_REQUEST", tc.field)
				h.do("PATCH", path, `{`+member+`}`).refused(400, "BAD_REQUEST", tc.field)
				if after := h.do("GET", path, nil).raw; after != before {
					t.Errorf("a refused update made %s of %s", after, before)
				}
				return
			}
			want := `"` + tc.member + `":` + quoted(tc.want)
			for _, got := range []answer{h.do("POST", base, `{`+url+`,`+member+`}`), h.do("PATCH", path, `{`+member+`}`), h.do("GET", path, nil)} {
				if got.ok(200); !strings.Contains(got.raw, want) {
					t.Errorf("got %s, want %s", got.raw, want)
				}
			}
		})
	}
}

func TestUpdateEndpoint_NeedsAKnownMember(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	path := "/v1/webhooks/endpoints/" + h.newEndpoint()
	h.do("PATCH", path, `{"colour":"red"}`).refused(400, "BAD_REQUEST", "body")
	h.do("PATCH", path, `{"name":7}`).refused(400, "BAD_REQUEST", "name")
	h.do("PATCH", path, `{"url":"http://receiver.example.com/"}`).refused(400, "WEBHOOK_URL_REJECTED")
	h.do("PATCH", path, nil).refused(400, "BAD_REQUEST", "body")
}

func TestListEndpoints_FiltersByEnabled(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	on, off := h.newEndpoint(), h.newEndpoint()
	h.do("PATCH", "/v1/webhooks/endpoints/"+off, `{"enabled":false}`).ok(200)
	for query, want := range map[string]string{"?enabled=true": on, "?enabled=false": off} {
		if got := h.do("GET", "/v1/webhooks/endpoints"+query, nil).ids(); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v", query, got)
		}
	}
	for _, bad := range []string{"1", "TRUE", "t", ""} {
		h.do("GET", "/v1/webhooks/endpoints?enabled="+bad, nil).refused(400, "BAD_REQUEST", "enabled")
	}
}

func TestReveal_UnreadableSecretIsOurFault(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	endpoint, other := h.newEndpoint(), h.newEndpoint()
	h.exec("UPDATE webhook_endpoints SET signing_secret = (SELECT signing_secret FROM webhook_endpoints WHERE id = $1) WHERE id = $2",
		mustEndpoint(t, other), mustEndpoint(t, endpoint))
	h.do("POST", "/v1/webhooks/endpoints/"+endpoint+"/signing-secret/reveal", nil).refused(500, "INTERNAL_SERVER_ERROR")
	if h.audited("webhook_endpoint.signing_secret.revealed") != 0 {
		t.Error("a reveal was audited that did not happen")
	}
}
