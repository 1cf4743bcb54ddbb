package api

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAnalytics_BucketsByEndpointAndHour(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	endpoint, quiet := h.newEndpoint(), h.newEndpoint()
	add := func(hour time.Time, kind string, succeeded, failed int, latency string) {
		h.exec(`INSERT INTO delivery_rollups (organization_id, webhook_endpoint_id, hour, error_kind, status_code, slot, attempts, first_attempts, succeeded, failed, latency)
			VALUES ($1, $2, $3, $4, 0, 0, 4, 4, $5, $6, $7::integer[])`, h.owner.Organization, mustEndpoint(t, endpoint), hour, kind, succeeded, failed, latency)
	}
	nine := time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)
	add(nine, "", 3, 0, "{0,0,0,0,0,4,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}") // all between 7 and 10 ms
	add(nine, "dns", 0, 1, "{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}")
	add(nine.Add(-30*24*time.Hour), "dns", 0, 2, "{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0}")
	bucket := func(hour string, succeeded, failed, p50, p95 any) map[string]any {
		return map[string]any{"webhook_endpoint_id": endpoint, "hour": hour, "succeeded": succeeded, "failed": failed, "p50_ms": p50, "p95_ms": p95}
	}
	recent, old := bucket("2026-03-02T09:00:00.000Z", 3.0, 1.0, 8.0, 9.0), bucket("2026-01-31T09:00:00.000Z", 0.0, 2.0, nil, nil)
	for query, want := range map[string][]any{
		"":                         {recent},
		"?endpoint_id=" + endpoint: {recent},
		"?endpoint_id=" + quiet:    {},
		"?endpoint_id=whe_x":       {},
		"?from=2026-01-31T00:00:00Z&to=2026-03-02T10:00:00Z&endpoint_id=" + endpoint: {old, recent},
		"?to=2026-03-01T00:00:00Z": {},
	} {
		got := h.do("GET", "/v1/analytics/deliveries"+query, nil).ok(200)
		if diff := cmp.Diff(want, got["buckets"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	got := h.do("GET", "/v1/analytics/deliveries", nil).ok(200)
	if got["from"] != "2026-03-01T09:30:00.000Z" || got["to"] != "2026-03-02T09:30:00.000Z" {
		t.Errorf("got %v", got)
	}
	for query, field := range map[string]string{
		"?from=2026-02-23T09:29:59Z":                         "from",
		"?from=2026-01-30T09:29:59Z&endpoint_id=" + endpoint: "from",
		"?from=2026-03-03T00:00:00Z":                         "from",
		"?from=yesterday":                                    "from",
		"?to=2026-03-02":                                     "to",
		"?to=":                                               "to",
		"?to=0000-01-01T00:00:00Z":                           "to",
		"?endpoint_id=a.b":                                   "endpoint_id",
	} {
		h.do("GET", "/v1/analytics/deliveries"+query, nil).refused(400, "BAD_REQUEST", field)
	}
}
