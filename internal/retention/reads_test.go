package retention_test

import (
	"testing"
	"time"

	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
)

// A batch reads what it deletes, not every old event: a month of them would be read again for each batch. Neither statistics that know
// the table nor none at all may change that.
func TestPurgeEvents_ReadsWhatItDeletes(t *testing.T) {
	t.Parallel()
	const stored, limit = 3000, 20
	for _, analyzed := range []bool{false, true} {
		l := newLedger(t)
		endpoint := l.endpoint(0)
		fixture.Exec(t, l.db, `WITH sessions AS (
				INSERT INTO verification_sessions (id, organization_id, status, share_fields, cancel_token_hash, cancel_token_master_key_id, expires_at, completed_at, created_at, updated_at)
				SELECT gen_random_uuid(), $1, 'cancelled', '{}', repeat('0', 64), 'test', t, t, t, t FROM generate_series(1, $3::int) i, LATERAL (SELECT $4::timestamptz + make_interval(secs => i) AS t) at
				RETURNING id, created_at
			), published AS (
				INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, created_at)
				SELECT gen_random_uuid(), $1, 'verification.session.cancelled', 'verification_session', id, created_at FROM sessions
				RETURNING id, created_at
			)
			INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload_scrubbed_at, created_at, updated_at)
			SELECT gen_random_uuid(), $1, id, $2, 'verification.session.cancelled', 'succeeded', created_at, created_at, created_at FROM published`,
			l.org, endpoint, stored, l.ago(40*day))
		if analyzed {
			fixture.Exec(t, l.db, "ANALYZE")
		}
		var events, deliveries, read int64
		err := l.db.InTx(t.Context(), func(tx *postgres.Tx) error {
			before := fixture.RowsRead(t, tx, "events", "webhook_deliveries")
			var err error
			events, deliveries, err = delivery.PurgeEvents(tx, l.ago(30*day), limit)
			read = fixture.RowsRead(t, tx, "events", "webhook_deliveries") - before
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if events != limit/2 || deliveries != limit/2 {
			t.Errorf("%d events and %d deliveries went, want %d of each", events, deliveries, limit/2)
		}
		if read > 10*limit {
			t.Errorf("analyzed %t: read %d rows to delete %d of %d", analyzed, read, limit, 2*stored)
		}
	}
}

// What is old goes of every organization, and what is not is not read: there is no index of age.
func TestPurge_GoesByOrganization(t *testing.T) {
	t.Parallel()
	const kept, old, limit = 3000, 15, 20
	l := newLedger(t)
	neighbour, _ := fixture.Organization(t, l.db)
	for _, org := range []any{l.org, neighbour} {
		for n, at := range map[int]time.Time{old: l.ago(400 * day), kept: l.ago(day)} {
			fixture.Exec(t, l.db, `INSERT INTO audit_logs (id, organization_id, actor_type, event, created_at) SELECT gen_random_uuid(), $1, 'system', 'test', $3 FROM generate_series(1, $2::int)`, org, n, at)
			fixture.Exec(t, l.db, `INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, created_at)
				SELECT gen_random_uuid(), $1, 'webhook.test', 'webhook_endpoint', gen_random_uuid(), $3 FROM generate_series(1, $2::int)`, org, n, at)
		}
	}
	for name, purge := range map[string]func(tx *postgres.Tx) (int64, error){
		"audit_logs": func(tx *postgres.Tx) (int64, error) { return audit.Purge(tx, limit) },
		"events": func(tx *postgres.Tx) (int64, error) {
			n, _, err := delivery.PurgeEvents(tx, l.ago(30*day), limit)
			return n, err
		},
	} {
		for _, want := range []int64{limit, 2*old - limit, 0} {
			var gone, read int64
			err := l.db.InTx(t.Context(), func(tx *postgres.Tx) error {
				before := fixture.RowsRead(t, tx, name)
				var err error
				gone, err = purge(tx)
				read = fixture.RowsRead(t, tx, name) - before
				return err
			})
			if err != nil || gone != want || read > 10*limit {
				t.Errorf("%s: %d of %d went after %d rows were read, %v", name, gone, want, read, err)
			}
		}
	}
}
