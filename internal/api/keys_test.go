package api

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/id"
)

func mustEndpoint(t testing.TB, text string) id.Endpoint {
	t.Helper()
	return mustID[id.EndpointKind](t, text)
}

func TestKeys_Lifecycle(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	endpoint := h.newEndpoint()
	path := "/v1/webhooks/endpoints/" + endpoint + "/keys"
	first := h.do("POST", path, keyBody("k1")).ok(200)
	if first["is_active"] != true || text(first, "jwk", "kty") != "RSA" || text(first, "webhook_endpoint_id") != endpoint {
		t.Errorf("got %v", first)
	}
	h.clock.Advance(time.Second)
	second := h.newKey(endpoint, "k2")
	single := "/v1/webhooks/keys/" + text(first, "id")
	former := h.do("GET", single, nil).ok(200)
	if former["is_active"] != false || former["disabled_at"] != "2026-03-02T09:30:01.000Z" {
		t.Errorf("the former key is %v", former)
	}
	// A key that is off already stays as it is, whatever the others do (contract section 6.3).
	unchanged := func(what string, key, want map[string]any) {
		t.Helper()
		if diff := cmp.Diff(want, key); diff != "" {
			t.Errorf("%s (-before +after):\n%s", what, diff)
		}
	}
	audited := func() int { return h.count("SELECT count(*) FROM audit_logs WHERE starts_with(event, 'webhook_key.')") }
	h.clock.Advance(time.Second)
	third := h.newKey(endpoint, "k3")
	unchanged("a key created after it", h.do("GET", single, nil).ok(200), former)
	rows := audited()
	unchanged("deactivated again", h.do("POST", single+"/deactivate", nil).ok(200), former)
	unchanged("deactivated again, as stored", h.do("GET", single, nil).ok(200), former)
	if got := h.do("GET", path+"?is_active=true", nil).ids(); !slices.Equal(got, []string{third}) {
		t.Errorf("active: %v, want %s", got, third)
	}
	if n := audited(); n != rows {
		t.Errorf("%d audit rows of what changed nothing", n-rows)
	}
	other := h.do("GET", "/v1/webhooks/keys/"+second, nil).ok(200)
	h.clock.Advance(time.Second)
	reactivated := h.do("POST", single+"/reactivate", nil).ok(200)
	if reactivated["is_active"] != true || reactivated["disabled_at"] != nil {
		t.Errorf("reactivated %v", reactivated)
	}
	unchanged("another key reactivated", h.do("GET", "/v1/webhooks/keys/"+second, nil).ok(200), other)
	h.clock.Advance(time.Second)
	rows = audited()
	unchanged("reactivated again", h.do("POST", single+"/reactivate", nil).ok(200), reactivated)
	unchanged("reactivated again, as stored", h.do("GET", single, nil).ok(200), reactivated)
	if n := audited(); n != rows {
		t.Errorf("%d audit rows of what changed nothing", n-rows)
	}
	if got := h.do("GET", path+"?is_active=false", nil).ids(); !slices.Equal(got, []string{third, second}) {
		t.Errorf("inactive: %v", got)
	}
	if got := h.do("POST", single+"/deactivate", nil).ok(200); got["is_active"] != false {
		t.Errorf("deactivated %v", got)
	}
	h.do("POST", path, keyBody("k1")).refused(409, "CONFLICT")
	h.do("GET", path+"?is_active=yes", nil).refused(400, "BAD_REQUEST", "is_active")
}

func TestCreateKey_RefusesWhatBreaksARule(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	path := "/v1/webhooks/endpoints/" + h.newEndpoint() + "/keys"
	change := func(f func(body, jwk map[string]any)) map[string]any {
		body := keyBody("k1")
		f(body, body["jwk"].(map[string]any))
		return body
	}
	for name, tc := range map[string]struct {
		body   any
		fields []string
	}{
		"empty":         {map[string]any{}, []string{"key_id", "jwk", "algorithm", "key_type"}},
		"no n":          {change(func(_, jwk map[string]any) { delete(jwk, "n") }), []string{"jwk.n"}},
		"jwk is null":   {change(func(b, _ map[string]any) { b["jwk"] = nil }), []string{"jwk"}},
		"jwk is text":   {change(func(b, _ map[string]any) { b["jwk"] = "{}" }), []string{"jwk"}},
		"private":       {change(func(_, jwk map[string]any) { jwk["d"] = "c2VjcmV0" }), []string{"jwk.d"}},
		"algorithm":     {change(func(b, _ map[string]any) { b["algorithm"] = "RSA-OAEP" }), []string{"algorithm"}},
		"algorithm bad": {change(func(b, _ map[string]any) { b["algorithm"] = 1 }), []string{"algorithm"}},
		"key_id":        {change(func(b, _ map[string]any) { b["key_id"] = " k" }), []string{"key_id"}},
		"twice":         {`{"key_id":"k1","algorithm":"RSA-OAEP-256","key_type":"RSA","jwk":{"kty":"RSA","n":"AQ","n":"Ag","e":"AQAB"}}`, []string{"jwk"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := *h
			h.TB = t
			got := h.do("POST", path, tc.body).refused(400, "BAD_REQUEST", tc.fields...)
			if strings.Contains(got.raw, "c2VjcmV0") {
				t.Errorf("the answer repeats a private member: %s", got.raw)
			}
		})
	}
	// Shape comes before the endpoint, the key's rules after it (contract section 6.2).
	gone := strings.Replace(path, "/keys", "", 1)
	h.do("DELETE", gone, nil).ok(200)
	h.do("POST", path, map[string]any{}).refused(400, "BAD_REQUEST")
	h.do("POST", path, change(func(b, _ map[string]any) { b["algorithm"] = "RSA-OAEP" })).refused(404, "NOT_FOUND")
}
