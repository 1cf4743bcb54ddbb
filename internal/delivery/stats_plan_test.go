package delivery_test

import (
	"testing"

	"github.com/google/uuid"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// What a page says of an endpoint and its keys is read from what is held for it and a few rows more: neither what others hold nor what was
// ever delivered to it is walked through.
func TestStats_ReadWhatIsHeld(t *testing.T) {
	t.Parallel()
	const ended, held, others, most = 20_000, 7, 60_000, 10_000
	db := fixture.DB(t)
	_, owner := fixture.Organization(t, db)
	_, neighbour := fixture.Organization(t, db)
	endpoint, key, retired := id.Endpoint{UUID: uuid.New()}, id.Key{UUID: uuid.New()}, id.Key{UUID: uuid.New()}
	fixture.Exec(t, db, `INSERT INTO webhook_endpoints (id, organization_id, url, subscribed_event_types, signing_secret, signing_secret_rotated_at, created_at, updated_at)
		VALUES ($1, $2, 'https://a.example/', '{verification.session.failed}', 's', now(), now(), now())`, endpoint, owner.Organization)
	fixture.Exec(t, db, `INSERT INTO webhook_encryption_keys (id, organization_id, webhook_endpoint_id, key_id, modulus, exponent, bits, thumbprint, spki_sha256, is_active, activated_at, disabled_at, created_at, updated_at)
		SELECT k, $1, $2, k::text, 'm', 'e', 2048, 't', 's', k = $3, now() - interval '30 days', CASE WHEN k <> $3 THEN now() END, now(), now() FROM unnest(ARRAY[$3, $4]::uuid[]) AS k`, owner.Organization, endpoint, key, retired)
	store := func(n int, org id.Organization, e uuid.UUID, k *id.Key, status string) {
		t.Helper()
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			if err := tx.Exec("SET LOCAL session_replication_role = replica").Error; err != nil {
				return err
			}
			return tx.Exec(`INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, webhook_encryption_key_id, event_type, status, payload, payload_expires_at,
					payload_scrubbed_at, last_attempt_at, payload_retention_reason, created_at, updated_at)
				SELECT gen_random_uuid(), $2, gen_random_uuid(), $3, $4, 'verification.session.succeeded', $5::text, CASE WHEN $5 = 'pending' THEN 'x' END, CASE WHEN $5 = 'pending' THEN now() + interval '1 day' END,
					CASE WHEN $5 <> 'pending' THEN now() END, CASE WHEN $5 <> 'pending' THEN now() END, CASE WHEN $5 = 'pending' THEN 'pending_delivery' ELSE 'delivered' END, now() - n * interval '1 second', now()
				FROM generate_series(1, $1::int) n`, n, org, e, k, status).Error
		}); err != nil {
			t.Fatal(err)
		}
	}
	store(ended, owner.Organization, endpoint.UUID, &key, "succeeded")
	store(held, owner.Organization, endpoint.UUID, &retired, "pending")
	busy := id.Endpoint{UUID: uuid.New()}
	store(others, neighbour.Organization, busy.UUID, nil, "pending")
	full := id.Endpoint{UUID: uuid.New()}
	store(most, neighbour.Organization, full.UUID, nil, "pending")
	fixture.Exec(t, db, "ANALYZE")

	svc := delivery.New(delivery.Config{DB: db, Keyring: fixture.Keyring(), Worker: "test"})
	seen := fixture.ExplainAll(t, db)
	standings, err := svc.Standings(t.Context(), owner)
	if err != nil || standings[endpoint].Parked != held {
		t.Errorf("%+v, %v", standings, err)
	}
	uses, err := svc.KeyUses(t.Context(), owner, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if u := uses[key]; u.Deliveries != 1000 || !u.More || u.Waiting != 0 || u.LastUsed == nil {
		t.Errorf("active key: %+v", u)
	}
	if u := uses[retired]; u.Deliveries != held || u.More || u.Waiting != held || u.LastExpiry == nil || u.LastUsed == nil {
		t.Errorf("retired key: %+v", u)
	}
	if streak, err := svc.Streak(t.Context(), owner, endpoint); err != nil || !streak.Delivered || streak.Deliveries != 100 || !streak.More {
		t.Errorf("streak: %+v, %v", streak, err)
	}
	if b, err := svc.Steps(t.Context(), owner, endpoint); err != nil || b.Waiting[0] != held || b.Seen != held || b.Partial {
		t.Errorf("steps: %+v, %v", b, err)
	}
	if b, err := svc.Steps(t.Context(), neighbour, busy); err != nil || b.Waiting[0] != most || b.Seen != most || !b.Partial {
		t.Errorf("steps of many: %+v, %v", b, err)
	}
	plans := seen.Take(t)
	if len(plans) != 5 {
		t.Fatalf("%d statements were explained", len(plans))
	}
	for n, plan := range plans {
		limit := 2100.0
		if n >= 4 {
			limit = most + 100
		}
		if read := plan.Read("webhook_deliveries"); read > limit {
			t.Errorf("read %.0f deliveries\n%s", read, plan.Text)
		}
	}
	if b, err := svc.Steps(t.Context(), neighbour, full); err != nil || b.Seen != most || b.Partial {
		t.Errorf("steps of no more than are looked at: %+v, %v", b, err)
	}
	if b, err := svc.Steps(t.Context(), owner, busy); err != nil || b.Seen != 0 {
		t.Errorf("steps of somebody else: %+v, %v", b, err)
	}
}
