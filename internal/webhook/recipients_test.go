package webhook_test

import (
	"testing"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

// Sessions of several organizations may end in one transaction: each has its own endpoints, with its own keys.
func TestRecipientsOf(t *testing.T) {
	t.Parallel()
	db := fixture.DB(t)
	svc := &webhook.Service{DB: db, Keyring: fixture.Keyring(), Deliveries: noDeliveries{}}
	want := map[id.Organization]id.Key{}
	for range 3 {
		_, owner := fixture.Organization(t, db)
		want[owner.Organization] = newEndpointWithKey(t, svc, owner)
	}
	var orgs []id.Organization
	for org := range want {
		orgs = append(orgs, org)
	}
	for n := 1; n < len(orgs); n++ { // one, and several; never the last, which nobody asks for
		err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			got, err := webhook.RecipientsOf(tx, orgs[:n])
			if err != nil {
				return err
			}
			if len(got) != n {
				t.Errorf("asked for %d organizations, got %d", n, len(got))
			}
			for _, org := range orgs[:n] {
				if r := got[org]; len(r) != 1 || r[0].Key == nil || r[0].Key.ID != want[org] {
					t.Errorf("of %d: the recipients of %s are %+v", n, org, r)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A recipient has all that publishing goes by, and only the key that is active.
func TestRecipients_HaveWhatPublishingNeeds(t *testing.T) {
	t.Parallel()
	db := fixture.DB(t)
	svc := &webhook.Service{DB: db, Keyring: fixture.Keyring(), Deliveries: noDeliveries{}}
	_, owner := fixture.Organization(t, db)
	key := newEndpointWithKey(t, svc, owner)
	used := fixture.Start.UTC()
	fixture.Exec(t, db, "UPDATE webhook_encryption_keys SET first_used_at = $1", used)
	fixture.Exec(t, db, `UPDATE webhook_endpoints SET undelivered_payload_retention_hours = 168, subscribed_event_types = '{verification.session.failed}', enabled = false, disabled_at = updated_at`)
	e := fixture.Scalar[string](t, db, "SELECT webhook_endpoint_id::text FROM webhook_encryption_keys")
	fixture.Exec(t, db, `INSERT INTO webhook_encryption_keys SELECT (jsonb_populate_record(k, '{"id": "00000000-0000-7000-8000-000000000001", "key_id": "staged", "is_active": false, "activated_at": null, "disabled_at": "2026-01-01T00:00:00Z"}')).* FROM webhook_encryption_keys k`)
	gone, _, err := svc.CreateEndpoint(t.Context(), owner, webhook.NewEndpoint{URL: "https://example.com/"})
	if err == nil {
		err = svc.DeleteEndpoint(t.Context(), owner, gone.ID)
	}
	if err != nil {
		t.Fatal(err)
	}

	var got []webhook.Recipient
	err = db.InTx(t.Context(), func(tx *postgres.Tx) (err error) {
		got, err = webhook.Recipients(tx, owner.Organization)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 {
		t.Fatalf("%d recipients, want 1: %+v", len(got), got)
	}
	r := got[0]
	if r.ID.UUID.String() != e || r.Enabled || r.UndeliveredPayloadRetentionHours != 168 || len(r.SubscribedEventTypes) != 1 || !r.Subscribes("verification.session.failed") {
		t.Errorf("the endpoint is %+v", r.Endpoint)
	}
	if r.Key == nil || r.Key.ID != key || r.Key.KeyID != "k1" || r.Key.FirstUsedAt == nil || !r.Key.FirstUsedAt.Equal(used) {
		t.Fatalf("the key is %+v", r.Key)
	}
	if _, err := webhook.SealTo(*r.Key, []byte("payload")); err != nil {
		t.Errorf("encrypt to it: %v", err)
	}
}

func newEndpointWithKey(t *testing.T, svc *webhook.Service, owner access.Actor) id.Key {
	t.Helper()
	e, _, err := svc.CreateEndpoint(t.Context(), owner, webhook.NewEndpoint{URL: "https://example.com/"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := svc.AddKey(t.Context(), owner, e.ID, webhook.PublicKeyInput{KeyID: "k1", Algorithm: webhook.KeyAlgorithm, KeyType: webhook.KeyType, JWK: fixture.PublicJWK()})
	if err != nil {
		t.Fatal(err)
	}
	return key.ID
}
