package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The numbers of contract section 1 as a client meets them: the greatest is taken, one more is refused by name. Characters are counted,
// not bytes.
func TestBounds_TheGreatestIsTakenAndOneMoreIsNot(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	endpoint := h.newEndpoint()
	list := func(n int, item func(i int) string) string {
		items := make([]string, n)
		for i := range items {
			items[i] = item(i)
		}
		encoded, err := json.Marshal(items)
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	letters := func(n int) string { return strings.Repeat("ü", n) }
	succeed := func(claim string) answer {
		created := h.do("POST", "/v1/sessions", `{"share_fields":{"family_name":{"required":true,"reason":"x"}}}`).ok(200)
		body := strings.Replace(goodSuccess, `"claims":{`, `"claims":{"family_name":"`+claim+`",`, 1)
		return h.do("POST", "/v1/sessions/"+text(created, "id")+"/success", strings.Replace(body, `"selected_field_keys":[`, `"selected_field_keys":["family_name",`, 1))
	}
	var targets []string
	for range 26 {
		targets = append(targets, h.newEndpoint())
	}
	patch := func(body string) answer { return h.do("PATCH", "/v1/webhooks/endpoints/"+endpoint, body) }
	session := func(body string) answer { return h.do("POST", "/v1/sessions", body) }
	for _, c := range []struct {
		field string
		most  int
		send  func(n int) answer
		good  int
		bad   string
	}{
		{"name", 120, func(n int) answer { return patch(`{"name":" ` + letters(n) + ` "}`) }, 200, "400 BAD_REQUEST"},
		{"labels", 8, func(n int) answer {
			return patch(`{"labels":` + list(n, func(i int) string { return fmt.Sprint("l", i) }) + `}`)
		}, 200, "400 BAD_REQUEST"},
		{"labels[0]", 40, func(n int) answer { return patch(`{"labels":["` + letters(n) + `"]}`) }, 200, "400 BAD_REQUEST"},
		{"url", 2048, func(n int) answer {
			const start = "https://receiver.example.com/"
			return patch(`{"url":"` + start + strings.Repeat("x", n-len(start)) + `"}`)
		}, 200, "400 WEBHOOK_URL_REJECTED"},
		{"key_id", 128, func(n int) answer {
			return h.do("POST", "/v1/webhooks/endpoints/"+endpoint+"/keys", keyBody(strings.Repeat("k", n)))
		}, 200, "400 BAD_REQUEST"},
		{"redirect_url", 2048, func(n int) answer {
			const start = "https://app.example.com/"
			return session(`{"redirect_url":"` + start + letters(n-len(start)) + `"}`)
		}, 200, "400 INVALID_REDIRECT_URL"},
		{"reason", 200, func(n int) answer {
			return session(`{"share_fields":{"family_name":{"required":true,"reason":"  ` + letters(n) + `  "}}}`)
		}, 200, "400 REASON_TOO_LONG"},
		{"webhook_endpoint_id", 25, func(n int) answer {
			return session(`{"webhook_endpoint_id":` + list(n, func(i int) string { return targets[i] }) + `}`)
		}, 200, "400 BAD_REQUEST"},
		{"claims.family_name", 512, func(n int) answer { return succeed(letters(n)) }, 200, "400 BAD_REQUEST"},
		{"rate_per_second", 100, func(n int) answer {
			return h.do("POST", bulk, fmt.Sprintf(`{"status":"failed","rate_per_second":%d}`, n))
		}, 202, "400 BAD_REQUEST"},
		{"limit", 100, func(n int) answer { return h.do("GET", fmt.Sprint("/v1/sessions?limit=", n), nil) }, 200, "400 BAD_REQUEST"},
		{"endpoint_id", 128, func(n int) answer {
			return h.do("GET", "/v1/webhooks/deliveries?endpoint_id="+strings.Repeat("x", n), nil)
		}, 200, "400 BAD_REQUEST"},
		{"endpoint_id", 128, func(n int) answer { return h.do("GET", "/v1/webhooks/endpoints/"+strings.Repeat("x", n), nil) }, 404, "400 BAD_REQUEST"},
		{"Idempotency-Key", 255, func(n int) answer {
			return h.do("POST", "/v1/sessions", nil, "Idempotency-Key", strings.Repeat("k", n))
		}, 200, "400 BAD_REQUEST"},
		{"", bodyMax, func(n int) answer {
			const start, end = `{"redirect_url":"https://app.example.com/","x":"`, `"}`
			return session(start + strings.Repeat("x", n-len(start)-len(end)) + end)
		}, 200, "413 PAYLOAD_TOO_LARGE"},
	} {
		if got := c.send(c.most); got.status != c.good {
			t.Errorf("%s with %d: %d %.300s", c.field, c.most, got.status, got.raw)
		}
		got := c.send(c.most + 1)
		if code := fmt.Sprint(got.status, " ", got.err["code"]); code != c.bad || strings.HasSuffix(code, "BAD_REQUEST") && got.fields()[0] != c.field {
			t.Errorf("%s with %d: %s %.300s", c.field, c.most+1, code, got.raw)
		}
	}
	for _, hours := range []int{0, 24, 72, 168} {
		patch(fmt.Sprintf(`{"undelivered_payload_retention_hours":%d}`, hours)).ok(200)
	}
	for _, hours := range []int{0, 1, 24, 72, 168} {
		h.do("POST", "/v1/webhooks/endpoints/"+endpoint+"/signing-secret/rotate", fmt.Sprintf(`{"overlap_hours":%d,"force":true}`, hours)).ok(200)
	}
	created := session(`{}`).ok(200)
	if text(created, "created_at") != "2026-03-02T09:30:00.000Z" || text(created, "expires_at") != "2026-03-02T10:30:00.000Z" {
		t.Errorf("a session lasts from %s to %s", text(created, "created_at"), text(created, "expires_at"))
	}
}
