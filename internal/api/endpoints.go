package api

import (
	"context"
	"net/http"

	"kaylehooks/internal/access"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

func (d *door) endpointRoutes() {
	const base, single = "/v1/webhooks/endpoints", "/v1/webhooks/endpoints/{endpoint_id}"
	missing, conflict := []int{http.StatusNotFound}, []int{http.StatusNotFound, http.StatusConflict}
	add(d, route{method: "GET", path: base, id: "listEndpoints", summary: "List endpoints", scope: access.WebhooksRead}, d.listEndpoints)
	add(d, route{method: "POST", path: base, id: "createEndpoint", summary: "Create an endpoint", scope: access.WebhooksWrite, body: bodyRequired, idempotent: true, secret: true}, d.createEndpoint)
	add(d, route{method: "GET", path: single, id: "getEndpoint", summary: "Get an endpoint", scope: access.WebhooksRead, errors: missing}, d.getEndpoint)
	add(d, route{method: "PATCH", path: single, id: "updateEndpoint", summary: "Change an endpoint", scope: access.WebhooksWrite, body: bodyRequired, errors: missing}, d.updateEndpoint)
	add(d, route{method: "DELETE", path: single, id: "deleteEndpoint", summary: "Delete an endpoint", scope: access.WebhooksWrite, errors: missing}, d.deleteEndpoint)
	add(d, route{method: "POST", path: single + "/signing-secret/reveal", id: "revealSigningSecret", summary: "Reveal the signing secret", scope: access.WebhooksSecrets, secret: true, errors: missing}, d.revealSecret)
	add(d, route{method: "POST", path: single + "/signing-secret/rotate", id: "rotateSigningSecret", summary: "Rotate the signing secret", scope: access.WebhooksWrite, body: bodyOptional, secret: true, errors: conflict}, d.rotateSecret)
	add(d, route{method: "POST", path: single + "/signing-secret/end-overlap", id: "endSigningSecretOverlap", summary: "Erase the previous signing secret", scope: access.WebhooksWrite, errors: conflict}, d.endOverlap)
	add(d, route{method: "POST", path: single + "/test", id: "sendTestEvent", summary: "Send a test event", scope: access.WebhooksWrite, idempotent: true, errors: conflict}, d.sendTest)
}

// endpoint is the resource of contract section 5.1.
type endpoint struct {
	ID                               string   `json:"id"`
	OrganizationID                   string   `json:"organization_id"`
	Name                             *string  `json:"name"`
	Labels                           []string `json:"labels"`
	URL                              string   `json:"url"`
	Enabled                          bool     `json:"enabled"`
	SubscribedEventTypes             []string `json:"subscribed_event_types"`
	UndeliveredPayloadRetentionHours int      `json:"undelivered_payload_retention_hours" enum:"0,24,72,168"`
	PreviousSigningSecretExpiresAt   *string  `json:"previous_signing_secret_expires_at" format:"date-time"`
	CreatedAt                        string   `json:"created_at" format:"date-time"`
	UpdatedAt                        string   `json:"updated_at" format:"date-time"`
	DisabledAt                       *string  `json:"disabled_at" format:"date-time"`
}

func (e endpoint) cursor() string { return e.ID }

func showEndpoint(e webhook.Endpoint) endpoint {
	labels := e.Labels
	if labels == nil {
		labels = postgres.TextArray{}
	}
	return endpoint{
		ID: e.ID.String(), OrganizationID: e.OrganizationID.String(), Name: e.Name, Labels: labels, URL: e.URL, Enabled: e.Enabled,
		SubscribedEventTypes: e.SubscribedEventTypes, UndeliveredPayloadRetentionHours: e.UndeliveredPayloadRetentionHours,
		PreviousSigningSecretExpiresAt: stampPtr(e.PreviousSigningSecretExpiresAt),
		CreatedAt:                      stamp(e.CreatedAt), UpdatedAt: stamp(e.UpdatedAt), DisabledAt: stampPtr(e.DisabledAt),
	}
}

// EndpointPath names an endpoint.
type EndpointPath struct {
	EndpointID string `path:"endpoint_id" pattern:"^[A-Za-z0-9_-]{1,128}$" example:"whe_01kdvdna00e4hr28t5cy4tqkff"`
}

func (p EndpointPath) id() (id.Endpoint, error) {
	return parseID[id.EndpointKind](p.EndpointID, webhook.ErrEndpointNotFound)
}

type listEndpointsInput struct {
	Paging
	Enabled string `query:"enabled" enum:"true,false" doc:"Only endpoints that are enabled, or that are not."`
}

func (d *door) listEndpoints(ctx context.Context, in *listEndpointsInput) (*many[endpoint], error) {
	actor := actorOf(ctx)
	at, err := page(in.Paging, func(cursor id.Endpoint) (*postgres.Position, error) {
		return d.Webhooks.EndpointPosition(ctx, actor, cursor)
	})
	if err != nil {
		return nil, err
	}
	list, err := d.Webhooks.ListEndpoints(ctx, actor, flag(in.Enabled), at)
	if err != nil {
		return nil, err
	}
	return listOf(in.Limit, list.Rows, list.HasOlder, showEndpoint), nil
}

type endpointCreate struct {
	URL                              string   `json:"url" doc:"Where events are sent: https, a host name, port 443 or 1024 to 65535." example:"https://hooks.example.com/kayle"`
	Name                             *string  `json:"name,omitempty" doc:"1 to 120 characters."`
	Labels                           []string `json:"labels,omitempty" doc:"At most 8, each 1 to 40 characters, unique whatever the case."`
	Enabled                          *bool    `json:"enabled,omitempty" doc:"True when left out."`
	SubscribedEventTypes             []string `json:"subscribed_event_types,omitempty" enum:"verification.session.succeeded,verification.session.failed,verification.session.expired,verification.session.cancelled" doc:"All four when left out."`
	UndeliveredPayloadRetentionHours *int     `json:"undelivered_payload_retention_hours,omitempty" enum:"0,24,72,168" nullable:"false" doc:"72 when left out."`
}

type createEndpointInput struct{ Body body[endpointCreate] }

// endpointWithSecret is the one answer that shows a signing secret unasked.
type endpointWithSecret struct {
	Endpoint      endpoint `json:"endpoint"`
	SigningSecret string   `json:"signing_secret"`
}

func (d *door) createEndpoint(ctx context.Context, in *createEndpointInput) (*one[endpointWithSecret], error) {
	b := in.Body.Value
	wanted := webhook.NewEndpoint{
		Name: b.Name, Labels: b.Labels, URL: b.URL, Enabled: b.Enabled,
		EventTypes: b.SubscribedEventTypes, RetentionHours: b.UndeliveredPayloadRetentionHours,
	}
	check := func() error { return d.Webhooks.CheckNew(wanted) }
	return once(ctx, d, check, func(tx *postgres.Tx) (endpointWithSecret, error) {
		created, secret, err := d.Webhooks.CreateEndpointIn(tx, actorOf(ctx), wanted)
		return endpointWithSecret{showEndpoint(created), secret}, err
	})
}

func (d *door) getEndpoint(ctx context.Context, in *EndpointPath) (*one[endpoint], error) {
	endpointID, err := in.id()
	if err != nil {
		return nil, err
	}
	found, err := d.Webhooks.GetEndpoint(ctx, actorOf(ctx), endpointID)
	if err != nil {
		return nil, err
	}
	return oneOf(showEndpoint(found)), nil
}

type endpointUpdate struct {
	Name                             clearable `json:"name,omitempty" doc:"1 to 120 characters; null clears it."`
	Labels                           *[]string `json:"labels,omitempty" doc:"Replaces all labels."`
	URL                              *string   `json:"url,omitempty" nullable:"false"`
	Enabled                          *bool     `json:"enabled,omitempty" nullable:"false"`
	SubscribedEventTypes             *[]string `json:"subscribed_event_types,omitempty" doc:"Replaces all subscriptions."`
	UndeliveredPayloadRetentionHours *int      `json:"undelivered_payload_retention_hours,omitempty" enum:"0,24,72,168" nullable:"false"`
}

type updateEndpointInput struct {
	EndpointPath
	Body body[endpointUpdate]
}

func (d *door) updateEndpoint(ctx context.Context, in *updateEndpointInput) (*one[endpoint], error) {
	b := in.Body.Value
	change := webhook.EndpointChange{
		Name: b.Name.text, ClearName: b.Name.given && b.Name.text == nil, Labels: b.Labels, URL: b.URL, Enabled: b.Enabled,
		EventTypes: b.SubscribedEventTypes, RetentionHours: b.UndeliveredPayloadRetentionHours,
	}
	if err := d.Webhooks.CheckChange(change); err != nil {
		return nil, err
	}
	endpointID, err := in.id()
	if err != nil {
		return nil, err
	}
	updated, err := d.Webhooks.UpdateEndpoint(ctx, actorOf(ctx), endpointID, change)
	if err != nil {
		return nil, err
	}
	return oneOf(showEndpoint(updated)), nil
}

type deletedEndpoint struct {
	Message string `json:"message"`
	Status  string `json:"status" enum:"success"`
}

func (d *door) deleteEndpoint(ctx context.Context, in *EndpointPath) (*one[deletedEndpoint], error) {
	endpointID, err := in.id()
	if err != nil {
		return nil, err
	}
	if err := d.Webhooks.DeleteEndpoint(ctx, actorOf(ctx), endpointID); err != nil {
		return nil, err
	}
	return oneOf(deletedEndpoint{"The webhook endpoint was deleted.", "success"}), nil
}

type revealedSecret struct {
	EndpointID    string `json:"endpoint_id"`
	SigningSecret string `json:"signing_secret"`
}

func (d *door) revealSecret(ctx context.Context, in *EndpointPath) (*one[revealedSecret], error) {
	endpointID, err := in.id()
	if err != nil {
		return nil, err
	}
	secret, err := d.Webhooks.RevealSecret(ctx, actorOf(ctx), endpointID)
	if err != nil {
		return nil, err
	}
	return oneOf(revealedSecret{endpointID.String(), secret}), nil
}

type secretRotation struct {
	OverlapHours *int  `json:"overlap_hours,omitempty" enum:"0,1,24,72,168" nullable:"false" doc:"How long the former secret goes on signing; 0 when left out."`
	Force        *bool `json:"force,omitempty" nullable:"false" doc:"Rotate even during an overlap; the older secret is dropped at once."`
}

type rotateSecretInput struct {
	EndpointPath
	Body body[secretRotation]
}

type rotatedSecret struct {
	EndpointID                     string  `json:"endpoint_id"`
	SigningSecret                  string  `json:"signing_secret"`
	PreviousSigningSecretExpiresAt *string `json:"previous_signing_secret_expires_at" format:"date-time"`
}

func (d *door) rotateSecret(ctx context.Context, in *rotateSecretInput) (*one[rotatedSecret], error) {
	endpointID, err := in.id()
	if err != nil {
		return nil, err
	}
	var overlap int
	if in.Body.Value.OverlapHours != nil {
		overlap = *in.Body.Value.OverlapHours
	}
	force := in.Body.Value.Force != nil && *in.Body.Value.Force
	rotation, err := d.Webhooks.RotateSecret(ctx, actorOf(ctx), endpointID, overlap, force)
	if err != nil {
		return nil, err
	}
	return oneOf(rotatedSecret{endpointID.String(), rotation.Secret, stampPtr(rotation.Endpoint.PreviousSigningSecretExpiresAt)}), nil
}

func (d *door) endOverlap(ctx context.Context, in *EndpointPath) (*one[endpoint], error) {
	endpointID, err := in.id()
	if err != nil {
		return nil, err
	}
	updated, err := d.Webhooks.EndOverlap(ctx, actorOf(ctx), endpointID)
	if err != nil {
		return nil, err
	}
	return oneOf(showEndpoint(updated)), nil
}

func (d *door) sendTest(ctx context.Context, in *EndpointPath) (*one[eventWithRouting], error) {
	endpointID, err := in.id()
	if err != nil {
		return nil, err
	}
	return once(ctx, d, nil, func(tx *postgres.Tx) (eventWithRouting, error) {
		sent, err := d.Deliveries.SendTestIn(tx, actorOf(ctx), endpointID)
		if err != nil {
			return eventWithRouting{}, err
		}
		return showEventIn(tx, sent)
	})
}
