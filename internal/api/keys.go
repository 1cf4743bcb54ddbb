package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"kaylehooks/internal/access"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

func (d *door) keyRoutes() {
	const ofEndpoint, single = "/v1/webhooks/endpoints/{endpoint_id}/keys", "/v1/webhooks/keys/{key_id}"
	missing := []int{http.StatusNotFound}
	add(d, route{method: "GET", path: ofEndpoint, id: "listKeys", summary: "List the encryption keys of an endpoint", scope: access.WebhooksRead, errors: missing}, d.listKeys)
	add(d, route{method: "POST", path: ofEndpoint, id: "createKey", summary: "Register an encryption key", scope: access.WebhooksWrite, body: bodyRequired, idempotent: true, errors: missing}, d.createKey)
	add(d, route{method: "GET", path: single, id: "getKey", summary: "Get an encryption key", scope: access.WebhooksRead, errors: missing}, d.getKey)
	add(d, route{method: "POST", path: single + "/deactivate", id: "deactivateKey", summary: "Deactivate an encryption key", scope: access.WebhooksWrite, errors: missing}, d.deactivateKey)
	add(d, route{method: "POST", path: single + "/reactivate", id: "reactivateKey", summary: "Make an encryption key the active one", scope: access.WebhooksWrite, errors: missing}, d.reactivateKey)
}

// key is the resource of contract section 6.1.
type key struct {
	ID                string    `json:"id"`
	WebhookEndpointID string    `json:"webhook_endpoint_id"`
	KeyID             string    `json:"key_id"`
	Algorithm         string    `json:"algorithm" enum:"RSA-OAEP-256"`
	KeyType           string    `json:"key_type" enum:"RSA"`
	JWK               publicJWK `json:"jwk"`
	IsActive          bool      `json:"is_active"`
	CreatedAt         string    `json:"created_at" format:"date-time"`
	UpdatedAt         string    `json:"updated_at" format:"date-time"`
	DisabledAt        *string   `json:"disabled_at" format:"date-time"`
}

type publicJWK struct {
	Alg    string   `json:"alg" enum:"RSA-OAEP-256"`
	E      string   `json:"e"`
	KeyOps []string `json:"key_ops" enum:"encrypt"`
	Kty    string   `json:"kty" enum:"RSA"`
	N      string   `json:"n"`
}

func (k key) cursor() string { return k.ID }

func showKey(k webhook.Key) key {
	return key{
		ID: k.ID.String(), WebhookEndpointID: k.WebhookEndpointID.String(), KeyID: k.KeyID, Algorithm: k.Algorithm, KeyType: k.KeyType,
		JWK:      publicJWK{Alg: k.Algorithm, E: k.Exponent, KeyOps: []string{"encrypt"}, Kty: k.KeyType, N: k.Modulus},
		IsActive: k.IsActive, CreatedAt: stamp(k.CreatedAt), UpdatedAt: stamp(k.UpdatedAt), DisabledAt: stampPtr(k.DisabledAt),
	}
}

type keyPath struct {
	KeyID string `path:"key_id" pattern:"^[A-Za-z0-9_-]{1,128}$" example:"whk_01kdvdna00e4hr28t5cy4tqkff"`
}

func (p keyPath) id() (id.Key, error) { return parseID[id.KeyKind](p.KeyID, webhook.ErrKeyNotFound) }

type listKeysInput struct {
	EndpointPath
	Paging
	IsActive string `query:"is_active" enum:"true,false" doc:"Only the active key, or only inactive ones."`
}

func (d *door) listKeys(ctx context.Context, in *listKeysInput) (*many[key], error) {
	actor := actorOf(ctx)
	endpointID, err := in.id()
	if err != nil {
		return nil, err
	}
	at, err := page(in.Paging, func(cursor id.Key) (*postgres.Position, error) {
		// Without its endpoint there is no list that the cursor could belong to.
		if _, err := d.Webhooks.GetEndpoint(ctx, actor, endpointID); err != nil {
			return nil, err
		}
		return d.Webhooks.KeyPosition(ctx, actor, endpointID, cursor)
	})
	if err != nil {
		return nil, err
	}
	list, err := d.Webhooks.ListKeys(ctx, actor, endpointID, flag(in.IsActive), at)
	if err != nil {
		return nil, err
	}
	return listOf(in.Limit, list.Rows, list.HasOlder, showKey), nil
}

type keyCreate struct {
	KeyID     string `json:"key_id" doc:"1 to 128 printable ASCII characters, unique within the endpoint."`
	JWK       rawJWK `json:"jwk"`
	Algorithm string `json:"algorithm" enum:"RSA-OAEP-256"`
	KeyType   string `json:"key_type" enum:"RSA"`
}

// rawJWK is judged member by member in the room, duplicates included, so it must get there as it was sent.
type rawJWK struct{ json.RawMessage }

func (*rawJWK) wanted() string { return "a JSON object" }

// Schema describes what is accepted.
func (rawJWK) Schema(huma.Registry) *huma.Schema {
	text := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description}
	}
	return &huma.Schema{
		Type: huma.TypeObject, Description: "A public RSA key of 2048 to 8192 bits. Members of a private key are refused.",
		Required: []string{"kty", "n", "e"}, AdditionalProperties: true,
		Properties: map[string]*huma.Schema{
			"kty": text("RSA"), "n": text("Modulus, base64url."), "e": text("Exponent, base64url."),
			"alg": text("RSA-OAEP-256, if present."), "use": text("enc, if present."), "kid": text("The same as key_id, if present."),
		},
	}
}

type createKeyInput struct {
	EndpointPath
	Body body[keyCreate]
}

func (d *door) createKey(ctx context.Context, in *createKeyInput) (*one[key], error) {
	b := in.Body.Value
	offered := webhook.PublicKeyInput{KeyID: b.KeyID, Algorithm: b.Algorithm, KeyType: b.KeyType, JWK: b.JWK.RawMessage}
	if err := webhook.CheckKeyShape(offered); err != nil {
		return nil, err
	}
	endpointID, err := in.id()
	if err != nil {
		return nil, err
	}
	return once(ctx, d, nil, func(tx *postgres.Tx) (key, error) {
		added, err := d.Webhooks.AddKeyIn(tx, actorOf(ctx), endpointID, offered)
		return showKey(added), err
	})
}

func (d *door) getKey(ctx context.Context, in *keyPath) (*one[key], error) {
	return d.oneKey(ctx, in, d.Webhooks.GetKey)
}

func (d *door) deactivateKey(ctx context.Context, in *keyPath) (*one[key], error) {
	return d.oneKey(ctx, in, d.Webhooks.DeactivateKey)
}

func (d *door) reactivateKey(ctx context.Context, in *keyPath) (*one[key], error) {
	return d.oneKey(ctx, in, d.Webhooks.ReactivateKey)
}

func (d *door) oneKey(ctx context.Context, in *keyPath, operation func(context.Context, access.Actor, id.Key) (webhook.Key, error)) (*one[key], error) {
	keyID, err := in.id()
	if err != nil {
		return nil, err
	}
	found, err := operation(ctx, actorOf(ctx), keyID)
	if err != nil {
		return nil, err
	}
	return oneOf(showKey(found)), nil
}
