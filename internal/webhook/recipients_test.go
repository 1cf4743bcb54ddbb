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
