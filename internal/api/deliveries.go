package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

func (d *door) deliveryRoutes() {
	const base, single = "/v1/webhooks/deliveries", "/v1/webhooks/deliveries/{delivery_id}"
	missing, conflict := []int{http.StatusNotFound}, []int{http.StatusNotFound, http.StatusConflict}
	add(d, route{method: "GET", path: base, id: "listDeliveries", summary: "List deliveries", scope: access.WebhooksRead}, d.listDeliveries)
	add(d, route{method: "GET", path: single, id: "getDelivery", summary: "Get a delivery", scope: access.WebhooksRead, errors: missing}, d.getDelivery)
	add(d, route{method: "GET", path: single + "/attempts", id: "listAttempts", summary: "List the attempts of a delivery, oldest first", scope: access.WebhooksRead, errors: missing}, d.listAttempts)
	add(d, route{method: "POST", path: single + "/retry", id: "retryDelivery", summary: "Send a delivery again", scope: access.WebhooksWrite, idempotent: true, errors: conflict}, d.retryDelivery)
}

// deliveryResource is a delivery as contract section 8.7 shows it.
type deliveryResource struct {
	ID                     string  `json:"id"`
	EventID                string  `json:"event_id"`
	WebhookEndpointID      string  `json:"webhook_endpoint_id"`
	WebhookEncryptionKeyID *string `json:"webhook_encryption_key_id"`
	Status                 string  `json:"status" enum:"pending,delivering,succeeded,failed"`
	AttemptCount           int     `json:"attempt_count" minimum:"0" maximum:"8"`
	NextAttemptAt          *string `json:"next_attempt_at" format:"date-time"`
	PayloadExpiresAt       *string `json:"payload_expires_at" format:"date-time"`
	PayloadScrubbedAt      *string `json:"payload_scrubbed_at" format:"date-time"`
	PayloadRetentionReason *string `json:"payload_retention_reason" doc:"pending_delivery, delivered, terminal_failure_retention, expired, privacy_request, endpoint_deleted, no_active_key or jwe_creation_failed"`
	LastStatusCode         *int    `json:"last_status_code"`
	LastAttemptAt          *string `json:"last_attempt_at" format:"date-time"`
	CreatedAt              string  `json:"created_at" format:"date-time"`
	UpdatedAt              string  `json:"updated_at" format:"date-time"`
}

func (r deliveryResource) cursor() string { return r.ID }

func showDelivery(row delivery.Delivery) deliveryResource {
	return deliveryResource{
		ID: row.ID.String(), EventID: row.EventID.String(), WebhookEndpointID: row.WebhookEndpointID.String(),
		WebhookEncryptionKeyID: textPtr(row.WebhookEncryptionKeyID), Status: string(row.Status), AttemptCount: row.AttemptCount,
		NextAttemptAt: stampPtr(row.NextAttemptAt), PayloadExpiresAt: stampPtr(row.PayloadExpiresAt),
		PayloadScrubbedAt: stampPtr(row.PayloadScrubbedAt), PayloadRetentionReason: stringPtr(row.PayloadRetentionReason),
		LastStatusCode: row.LastStatusCode, LastAttemptAt: stampPtr(row.LastAttemptAt),
		CreatedAt: stamp(row.CreatedAt), UpdatedAt: stamp(row.UpdatedAt),
	}
}

// attempt is one request to an endpoint (contract section 7.8).
type attempt struct {
	ID                    string            `json:"id"`
	WebhookDeliveryID     string            `json:"webhook_delivery_id"`
	Run                   int               `json:"run" minimum:"1"`
	Number                int               `json:"number" minimum:"1"`
	Counted               bool              `json:"counted"`
	Status                string            `json:"status" enum:"succeeded,failed"`
	Trigger               string            `json:"trigger" enum:"automatic,manual,replay,bulk,test"`
	StartedAt             string            `json:"started_at" format:"date-time"`
	DurationMS            *int64            `json:"duration_ms"`
	StatusCode            *int              `json:"status_code"`
	ErrorKind             *string           `json:"error_kind" doc:"http_status, redirect_refused, timeout_connect, timeout_response, dns, tls, refused, reset, blocked_address, no_signing_secret, internal, endpoint_disabled or worker_lost"`
	Timing                timing            `json:"timing"`
	RemoteAddress         *string           `json:"remote_address"`
	Worker                *string           `json:"worker"`
	ResponseHeaders       map[string]string `json:"response_headers"`
	ResponseBody          *string           `json:"response_body"`
	ResponseBodyTruncated bool              `json:"response_body_truncated"`
}

type timing struct {
	DNSMS       *int64 `json:"dns_ms"`
	ConnectMS   *int64 `json:"connect_ms"`
	TLSMS       *int64 `json:"tls_ms"`
	FirstByteMS *int64 `json:"first_byte_ms"`
}

func (a attempt) cursor() string { return a.ID }

func showAttempt(a delivery.Attempt) (attempt, error) {
	headers := map[string]string{}
	if len(a.ResponseHeaders) > 0 {
		if err := json.Unmarshal(a.ResponseHeaders, &headers); err != nil {
			return attempt{}, fmt.Errorf("read response headers of %s: %w", a.ID, err)
		}
	}
	if headers == nil {
		headers = map[string]string{}
	}
	return attempt{
		ID: a.ID.String(), WebhookDeliveryID: a.WebhookDeliveryID.String(), Run: a.Run, Number: a.Number, Counted: a.Counted,
		Status: string(a.Status), Trigger: string(a.Trigger), StartedAt: stamp(a.StartedAt), DurationMS: a.DurationMS,
		StatusCode: a.StatusCode, ErrorKind: stringPtr(a.ErrorKind),
		Timing:        timing{a.DNSMS, a.ConnectMS, a.TLSMS, a.FirstByteMS},
		RemoteAddress: a.RemoteAddress, Worker: a.Worker, ResponseHeaders: headers,
		ResponseBody: a.ResponseBody, ResponseBodyTruncated: a.ResponseBodyTruncated,
	}, nil
}

// DeliveryPath names a delivery.
type DeliveryPath struct {
	DeliveryID string `path:"delivery_id" pattern:"^[A-Za-z0-9_-]{1,128}$" example:"whd_01h455vb4pex5vsknk084sn02q"`
}

func (p DeliveryPath) id() (id.Delivery, error) {
	return parseID[id.DeliveryKind](p.DeliveryID, delivery.ErrNotFound)
}

type listDeliveriesInput struct {
	Paging
	Period
	Status     string `query:"status" enum:"pending,delivering,succeeded,failed"`
	Type       string `query:"type" enum:"verification.session.succeeded,verification.session.failed,verification.session.expired,verification.session.cancelled,webhook.test"`
	EndpointID string `query:"endpoint_id" pattern:"^[A-Za-z0-9_-]{1,128}$" doc:"A deleted endpoint's id still finds its deliveries."`
	EventID    string `query:"event_id" pattern:"^[A-Za-z0-9_-]{1,128}$"`
}

func (d *door) listDeliveries(ctx context.Context, in *listDeliveriesInput) (*many[deliveryResource], error) {
	actor := actorOf(ctx)
	from, to, err := in.times()
	if err != nil {
		return nil, err
	}
	at, err := page(in.Paging, func(cursor id.Delivery) (*postgres.Position, error) {
		return d.Deliveries.Position(ctx, actor, cursor)
	})
	if err != nil {
		return nil, err
	}
	endpointID, oneEndpoint := filterID[id.EndpointKind](in.EndpointID)
	eventID, oneEvent := filterID[id.EventKind](in.EventID)
	if !oneEndpoint || !oneEvent {
		return emptyList[deliveryResource](in.Limit), nil
	}
	list, err := d.Deliveries.List(ctx, actor, delivery.Filter{
		Status: delivery.Status(in.Status), EventType: event.Type(in.Type), EndpointID: endpointID, EventID: eventID, From: from, To: to,
	}, at)
	if err != nil {
		return nil, err
	}
	return listOf(in.Limit, list.Rows, list.HasOlder, showDelivery), nil
}

func (d *door) getDelivery(ctx context.Context, in *DeliveryPath) (*one[deliveryResource], error) {
	deliveryID, err := in.id()
	if err != nil {
		return nil, err
	}
	found, err := d.Deliveries.Get(ctx, actorOf(ctx), deliveryID)
	if err != nil {
		return nil, err
	}
	return oneOf(showDelivery(found)), nil
}

type listAttemptsInput struct {
	DeliveryPath
	Paging
}

func (d *door) listAttempts(ctx context.Context, in *listAttemptsInput) (*many[attempt], error) {
	at := delivery.AttemptsPage{Limit: in.Limit}
	if in.StartingAfter != "" {
		cursor, err := id.Parse[id.AttemptKind](in.StartingAfter)
		if err != nil {
			return nil, postgres.ErrCursor
		}
		at.After = cursor
	}
	deliveryID, err := in.id()
	if err != nil {
		return nil, err
	}
	rows, more, err := d.Deliveries.Attempts(ctx, actorOf(ctx), deliveryID, at)
	if err != nil {
		return nil, err
	}
	shown := make([]attempt, len(rows))
	for i, row := range rows {
		if shown[i], err = showAttempt(row); err != nil {
			return nil, err
		}
	}
	return listOf(in.Limit, shown, more, func(a attempt) attempt { return a }), nil
}

func (d *door) retryDelivery(ctx context.Context, in *DeliveryPath) (*one[deliveryResource], error) {
	deliveryID, err := in.id()
	if err != nil {
		return nil, err
	}
	return once(ctx, d, nil, func(tx *postgres.Tx) (deliveryResource, error) {
		retried, err := d.Deliveries.RetryIn(tx, actorOf(ctx), deliveryID)
		return showDelivery(retried), err
	})
}
