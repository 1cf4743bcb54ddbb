package api

import (
	"context"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

// The spans of contract section 1, ANALYTICS_RANGE.
const (
	analyticsDefault     = 24 * time.Hour
	analyticsMax         = 7 * 24 * time.Hour
	analyticsMaxEndpoint = 31 * 24 * time.Hour
)

func (d *door) analyticsRoutes() {
	add(d, route{method: "GET", path: "/v1/analytics/deliveries", id: "deliveryAnalytics", summary: "Deliveries by endpoint and hour", scope: access.AnalyticsRead}, d.deliveryAnalytics)
}

type analyticsInput struct {
	From       string `query:"from" doc:"ISO 8601 in UTC, ending in Z; 24 hours before to when left out."`
	To         string `query:"to" doc:"ISO 8601 in UTC, ending in Z; now when left out."`
	EndpointID string `query:"endpoint_id" pattern:"^[A-Za-z0-9_-]{1,128}$" doc:"With it the span can be 31 days, otherwise 7."`
}

type analytics struct {
	From    string            `json:"from" format:"date-time"`
	To      string            `json:"to" format:"date-time"`
	Buckets []analyticsBucket `json:"buckets"`
}

type analyticsBucket struct {
	WebhookEndpointID string `json:"webhook_endpoint_id"`
	Hour              string `json:"hour" format:"date-time"`
	Succeeded         int    `json:"succeeded"`
	Failed            int    `json:"failed"`
	P50MS             *int64 `json:"p50_ms"`
	P95MS             *int64 `json:"p95_ms"`
}

func (d *door) deliveryAnalytics(ctx context.Context, in *analyticsInput) (*one[analytics], error) {
	from, to, err := d.analyticsSpan(in)
	if err != nil {
		return nil, err
	}
	result := analytics{From: stamp(from), To: stamp(to), Buckets: []analyticsBucket{}}
	endpointID, matches := filterID[id.EndpointKind](in.EndpointID)
	if !matches {
		return oneOf(result), nil
	}
	hours, err := d.Deliveries.Hours(ctx, actorOf(ctx), from, to, endpointID)
	if err != nil {
		return nil, err
	}
	for _, h := range hours {
		bucket := analyticsBucket{WebhookEndpointID: h.EndpointID.String(), Hour: stamp(h.Hour), Succeeded: h.Succeeded, Failed: h.Failed}
		if ms, ok := h.Latency.Quantile(0.50); ok {
			bucket.P50MS = &ms
		}
		if ms, ok := h.Latency.Quantile(0.95); ok {
			bucket.P95MS = &ms
		}
		result.Buckets = append(result.Buckets, bucket)
	}
	return oneOf(result), nil
}

func (d *door) analyticsSpan(in *analyticsInput) (from, to time.Time, err error) {
	to = d.DB.Now()
	if in.To != "" {
		if to, err = parseInstant("to", in.To); err != nil {
			return from, to, err
		}
	}
	from = to.Add(-analyticsDefault)
	if in.From != "" {
		if from, err = parseInstant("from", in.From); err != nil {
			return from, to, err
		}
	}
	longest, message := analyticsMax, "must be at most 7 days before to, or 31 with endpoint_id"
	if in.EndpointID != "" {
		longest, message = analyticsMaxEndpoint, "must be at most 31 days before to"
	}
	switch span := to.Sub(from); {
	case span < 0:
		return from, to, fault.InvalidField("from", "must not be after to")
	case span > longest:
		return from, to, fault.InvalidField("from", message)
	}
	return from, to, nil
}
