package delivery_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// What has failed since a time is not what was created since: it is found however long its attempts took, and without reading what
// failed before.
func TestList_FailedSince(t *testing.T) {
	t.Parallel()
	db := fixture.DB(t)
	_, owner := fixture.Organization(t, db)
	svc := delivery.New(delivery.Config{DB: db, Keyring: fixture.Keyring(), Worker: "test"})
	now := db.Now()
	ago := func(hours int) *time.Time {
		at := now.Add(-time.Duration(hours) * time.Hour)
		return &at
	}
	const earlier = 20_000
	if err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
		if err := tx.Exec("SET LOCAL session_replication_role = replica").Error; err != nil {
			return err
		}
		return tx.Exec(`INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload_scrubbed_at, payload_retention_reason, attempt_count, last_attempt_at, last_error_kind, created_at, updated_at)
			SELECT gen_random_uuid(), $2, gen_random_uuid(), gen_random_uuid(), 'verification.session.succeeded', 'failed', $3, 'expired', 8, $3, 'refused', $4, $3 FROM generate_series(1, $1::int)`,
			earlier, owner.Organization, ago(40), ago(70)).Error
	}); err != nil {
		t.Fatal(err)
	}
	var want []id.Delivery
	add := func(since bool, status delivery.Status, reason delivery.RetentionReason, attempts int, created, last, scrubbed *time.Time) id.Delivery {
		t.Helper()
		d := id.Delivery{UUID: uuid.New()}
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			if err := tx.Exec("SET LOCAL session_replication_role = replica").Error; err != nil {
				return err
			}
			return tx.Exec(`INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload, payload_expires_at, payload_scrubbed_at, payload_retention_reason,
					attempt_count, last_attempt_at, created_at, updated_at)
				SELECT $1, $2, gen_random_uuid(), gen_random_uuid(), 'verification.session.succeeded', $3, CASE WHEN $8::timestamptz IS NULL THEN 'x' END, CASE WHEN $8::timestamptz IS NULL THEN now() END, $8, $4, $5, $7, $6, $6`,
				d, owner.Organization, status, reason, attempts, created, last, scrubbed).Error
		}); err != nil {
			t.Fatal(err)
		}
		if since {
			want = append(want, d)
		}
		return d
	}
	add(true, delivery.Failed, delivery.TerminalFailureRetention, 8, ago(30), ago(2), nil)        // after the whole schedule
	add(false, delivery.Failed, delivery.TerminalFailureRetention, 8, ago(60), ago(32), nil)      // the same, before
	add(false, delivery.Failed, delivery.Expired, 8, ago(90), ago(60), ago(1))                    // its payload went lately, it failed before
	add(true, delivery.Failed, delivery.Expired, 0, ago(90), nil, ago(1))                         // parked until its payload went
	add(true, delivery.Failed, delivery.EndpointDeleted, 3, ago(30), ago(27), ago(2))             // with its endpoint
	add(true, delivery.Failed, delivery.NoActiveKey, 0, ago(3), nil, ago(3))                      // at once
	add(false, delivery.Failed, delivery.NoActiveKey, 0, ago(30), nil, ago(30))                   // at once, before
	add(false, delivery.Succeeded, delivery.Delivered, 2, ago(30), ago(1), ago(1))                // not at all
	withdrawn := add(true, delivery.Failed, delivery.PrivacyRequest, 1, ago(30), ago(29), ago(2)) // consent was withdrawn
	fixture.Exec(t, db, "ANALYZE webhook_deliveries")

	list := func(f delivery.Filter) []id.Delivery {
		t.Helper()
		found, err := svc.List(t.Context(), owner, f, postgres.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]id.Delivery, len(found.Rows))
		for i, d := range found.Rows {
			ids[i] = d.ID
		}
		return ids
	}
	same := func(f delivery.Filter, want []id.Delivery) {
		t.Helper()
		got := list(f)
		if len(got) != len(want) || slices.ContainsFunc(want, func(d id.Delivery) bool { return !slices.Contains(got, d) }) {
			t.Errorf("%+v: got %v, want %v", f, got, want)
		}
	}
	same(delivery.Filter{FailedFrom: *ago(24)}, want)
	blame := slices.DeleteFunc(slices.Clone(want), func(d id.Delivery) bool { return d == withdrawn })
	same(delivery.Filter{State: delivery.AnyFailed, FailedFrom: *ago(24)}, blame)

	seen := fixture.ExplainAll(t, db)
	if n, err := svc.Count(t.Context(), owner, delivery.Filter{State: delivery.AnyFailed, FailedFrom: *ago(24)}, 100); err != nil || n != len(blame) {
		t.Errorf("%d, %v", n, err)
	}
	for _, plan := range seen.Take(t) {
		if read := plan.Read("webhook_deliveries"); read > 100 {
			t.Errorf("read %.0f deliveries to count %d\n%s", read, len(blame), plan.Text)
		}
	}
}
