package api

import (
	"context"
	"net/http"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

func (d *door) eventRoutes() {
	missing, conflict := []int{http.StatusNotFound}, []int{http.StatusNotFound, http.StatusConflict}
	// The second path is an alias (contract section 8.2).
	for _, p := range []struct{ base, suffix string }{{"/v1/webhooks/events", ""}, {"/v1/events", "Alias"}} {
		single := p.base + "/{event_id}"
		add(d, route{method: "GET", path: p.base, id: "listEvents" + p.suffix, summary: "List events", scope: access.WebhooksRead}, d.listEvents)
		add(d, route{method: "GET", path: single, id: "getEvent" + p.suffix, summary: "Get an event", scope: access.WebhooksRead, errors: missing}, d.getEvent)
		add(d, route{method: "POST", path: single + "/replay", id: "replayEvent" + p.suffix, summary: "Send an event again", scope: access.WebhooksWrite, idempotent: true, status: http.StatusAccepted, errors: conflict}, d.replayEvent)
	}
}

// EventResource is an event as lists show it (contract section 8.7). It is exported because huma looks into exported
// embedded structs only.
type EventResource struct {
	ID                  string          `json:"id"`
	Type                string          `json:"type" enum:"verification.session.succeeded,verification.session.failed,verification.session.expired,verification.session.cancelled,webhook.test"`
	TriggerType         string          `json:"trigger_type" enum:"verification_session,webhook_endpoint"`
	TriggerID           string          `json:"trigger_id"`
	CreatedAt           string          `json:"created_at" format:"date-time"`
	SupersededByEventID *string         `json:"superseded_by_event_id"`
	Deliveries          []eventDelivery `json:"deliveries"`
}

// eventWithRouting is an event on its own.
type eventWithRouting struct {
	EventResource
	Routing []routing `json:"routing"`
}

type eventDelivery struct {
	ID                     string  `json:"id"`
	WebhookEndpointID      string  `json:"webhook_endpoint_id"`
	Status                 string  `json:"status" enum:"pending,delivering,succeeded,failed"`
	LastStatusCode         *int    `json:"last_status_code"`
	AttemptCount           int     `json:"attempt_count" minimum:"0" maximum:"8"`
	LastAttemptAt          *string `json:"last_attempt_at" format:"date-time"`
	PayloadExpiresAt       *string `json:"payload_expires_at" format:"date-time"`
	PayloadRetentionReason *string `json:"payload_retention_reason"`
	PayloadScrubbedAt      *string `json:"payload_scrubbed_at" format:"date-time"`
}

type routing struct {
	WebhookEndpointID string  `json:"webhook_endpoint_id"`
	Decision          string  `json:"decision" enum:"delivered,skipped"`
	Reason            string  `json:"reason" enum:"not_targeted,disabled,not_subscribed,no_active_key,encryption_failed,subscribed,test,replacement,original_delivered,original_undecided"`
	DeliveryID        *string `json:"delivery_id"`
	CreatedAt         string  `json:"created_at" format:"date-time"`
}

func (e EventResource) cursor() string { return e.ID }

func showEvent(e event.Event, deliveries []delivery.Delivery) EventResource {
	shown := make([]eventDelivery, len(deliveries))
	for i, row := range deliveries {
		shown[i] = eventDelivery{
			ID: row.ID.String(), WebhookEndpointID: row.WebhookEndpointID.String(), Status: string(row.Status),
			LastStatusCode: row.LastStatusCode, AttemptCount: row.AttemptCount, LastAttemptAt: stampPtr(row.LastAttemptAt),
			PayloadExpiresAt: stampPtr(row.PayloadExpiresAt), PayloadRetentionReason: stringPtr(row.PayloadRetentionReason),
			PayloadScrubbedAt: stampPtr(row.PayloadScrubbedAt),
		}
	}
	return EventResource{
		ID: e.ID.String(), Type: string(e.Type), TriggerType: string(e.TriggerType), TriggerID: e.TriggerText(),
		CreatedAt: stamp(e.CreatedAt), SupersededByEventID: textPtr(e.SupersededByEventID), Deliveries: shown,
	}
}

func showEventWithRouting(e event.Event, deliveries []delivery.Delivery) eventWithRouting {
	routes := make([]routing, len(e.Routing))
	for i, r := range e.Routing {
		routes[i] = routing{r.EndpointID.String(), string(r.Decision), string(r.Reason), textPtr(r.DeliveryID), stamp(r.CreatedAt)}
	}
	return eventWithRouting{showEvent(e, deliveries), routes}
}

// showEventIn reads the deliveries of an event in the transaction that changed them.
func showEventIn(tx *postgres.Tx, e event.Event) (eventWithRouting, error) {
	deliveries, err := delivery.OfEventsIn(tx, e.OrganizationID, []id.Event{e.ID})
	if err != nil {
		return eventWithRouting{}, err
	}
	return showEventWithRouting(e, deliveries[e.ID]), nil
}

type eventPath struct {
	EventID string `path:"event_id" pattern:"^[A-Za-z0-9_-]{1,128}$" example:"evt_01kdvdna00e4hr28t5cy4tqkff"`
}

func (p eventPath) id() (id.Event, error) {
	return parseID[id.EventKind](p.EventID, event.ErrNotFound)
}

type listEventsInput struct {
	Paging
	Period
	Type string `query:"type" enum:"verification.session.succeeded,verification.session.failed,verification.session.expired,verification.session.cancelled,webhook.test"`
}

func (d *door) listEvents(ctx context.Context, in *listEventsInput) (*many[EventResource], error) {
	actor := actorOf(ctx)
	from, to, err := in.times()
	if err != nil {
		return nil, err
	}
	at, err := page(in.Paging, func(cursor id.Event) (*postgres.Position, error) {
		return event.Position(ctx, d.DB, actor, cursor)
	})
	if err != nil {
		return nil, err
	}
	list, err := event.List(ctx, d.DB, actor, event.Filter{Type: event.Type(in.Type), From: from, To: to}, at)
	if err != nil {
		return nil, err
	}
	ids := make([]id.Event, len(list.Rows))
	for i, e := range list.Rows {
		ids[i] = e.ID
	}
	deliveries, err := d.Deliveries.OfEvents(ctx, actor, ids)
	if err != nil {
		return nil, err
	}
	return listOf(in.Limit, list.Rows, list.HasOlder, func(e event.Event) EventResource { return showEvent(e, deliveries[e.ID]) }), nil
}

func (d *door) getEvent(ctx context.Context, in *eventPath) (*one[eventWithRouting], error) {
	actor := actorOf(ctx)
	eventID, err := in.id()
	if err != nil {
		return nil, err
	}
	found, err := event.Get(ctx, d.DB, actor, eventID)
	if err != nil {
		return nil, err
	}
	deliveries, err := d.Deliveries.OfEvents(ctx, actor, []id.Event{eventID})
	if err != nil {
		return nil, err
	}
	return oneOf(showEventWithRouting(found, deliveries[eventID])), nil
}

func (d *door) replayEvent(ctx context.Context, in *eventPath) (*one[eventWithRouting], error) {
	eventID, err := in.id()
	if err != nil {
		return nil, err
	}
	return once(ctx, d, nil, func(tx *postgres.Tx) (eventWithRouting, error) {
		replayed, err := d.Deliveries.ReplayIn(tx, actorOf(ctx), eventID)
		if err != nil {
			return eventWithRouting{}, err
		}
		return showEventIn(tx, replayed)
	})
}
