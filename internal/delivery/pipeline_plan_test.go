package delivery

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
)

// Postgres keeps the plans of what records results. One that it made while the table was empty has to find each row by its id all the same
// when the table is large and nobody has analyzed it yet.
func TestRecord_APlanOfAnEmptyTableStaysGood(t *testing.T) {
	t.Parallel()
	const stored, changed = 3000, 20
	ids := make([]uuid.UUID, changed)
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	lease := uuid.New()
	for name, record := range map[string]func(tx *postgres.Tx, ids []uuid.UUID) error{
		"successes": func(tx *postgres.Tx, ids []uuid.UUID) error {
			rows := make([]successRow, len(ids))
			for i, d := range ids {
				rows[i] = successRow{ID: d, LeaseToken: lease, AttemptCount: 1, ScrubbedAt: at, LastAttemptAt: at, LastStatusCode: 204, UpdatedAt: at}
			}
			return tx.ExecRows(recordSuccesses, rows, []attemptRow{}, []*tally{})
		},
		"others": func(tx *postgres.Tx, ids []uuid.UUID) error {
			rows, reason := make([]changedRow, len(ids)), PendingDelivery
			for i, d := range ids {
				rows[i] = changedRow{d, at, change{Status: Pending, AttemptCount: 1, NextAttemptAt: &at, PayloadExpiresAt: &at, Reason: &reason}}
			}
			return tx.ExecRows(updateDeliveries, rows)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var read int64
			err := fixture.DB(t).InTx(t.Context(), func(tx *postgres.Tx) error {
				for range 10 { // the first five plans are thrown away
					if err := record(tx, nil); err != nil {
						return err
					}
				}
				if err := tx.Exec("SET session_replication_role = replica").Error; err != nil { // what a delivery refers to is not needed here
					return err
				}
				err := tx.Exec(`INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload, payload_expires_at, lease_token, lease_expires_at, created_at, updated_at)
					SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'test', 'delivering', 'x', $1, $2, $1, $1, $1 FROM generate_series(1, $3::int)`, at, lease, stored).Error
				if err != nil {
					return err
				}
				mine := make([]uuid.UUID, 0, changed)
				if err := tx.Raw("SELECT id FROM webhook_deliveries LIMIT $1", len(ids)).Scan(&mine).Error; err != nil {
					return err
				}
				before := fixture.RowsRead(t, tx, "webhook_deliveries")
				if err := record(tx, mine); err != nil {
					return err
				}
				read = fixture.RowsRead(t, tx, "webhook_deliveries") - before
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if read < changed || read > 3*changed {
				t.Errorf("read %d rows to change %d of %d", read, changed, stored)
			}
		})
	}
}

// A claim reads what it takes, whatever the statistics say of an endpoint with a backlog: how many of its deliveries wait is not in them. Nor
// does it matter that a plan was made while the table was empty.
func TestClaim_ReadsWhatItTakes(t *testing.T) {
	t.Parallel()
	const finished, due, n = 60_000, 120, 5 // so that the planner expects one to be due
	for name, c := range map[string]struct{ young, history, backlog bool }{"with statistics": {history: true, backlog: true}, "before the backlog was analyzed": {history: true}, "by plans of an empty table": {young: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := fixture.DB(t).InTx(t.Context(), func(tx *postgres.Tx) error {
				s, endpoint := New(Config{Worker: "w"}), uuid.New()
				err := tx.Exec(`SET session_replication_role = replica; -- what the rows refer to is not needed here
					INSERT INTO webhook_endpoints (id, organization_id, name, url, subscribed_event_types, signing_secret, signing_secret_rotated_at, created_at, updated_at)
					VALUES ('` + endpoint.String() + `', gen_random_uuid(), 'e', 'https://x.example/', '{verification.session.failed}', 'x', now(), now(), now())`).Error
				if err != nil {
					return err
				}
				for range 10 { // the first five plans of each are thrown away
					if !c.young {
						break
					}
					if _, err := s.claim(tx, longestDue, []uuid.UUID{endpoint}, []int64{n}); err != nil {
						return err
					}
					if _, err := s.claim(tx, theseDue, []uuid.UUID{endpoint}); err != nil {
						return err
					}
				}
				if c.young {
					var planned []int
					if err := tx.Raw("SELECT custom_plans FROM pg_prepared_statements WHERE statement LIKE 'WITH due AS%'").Scan(&planned).Error; err != nil {
						return err
					}
					if len(planned) != 2 || slices.Max(planned) > 5 {
						t.Errorf("each of ten claims was planned: %v", planned)
					}
				}
				// One in ten is the endpoint's, the others are those of nine neighbours.
				oneOf := "CASE WHEN i % 10 = 0 THEN '" + endpoint.String() + "' ELSE lpad((i % 10)::text, 32, '0') END::uuid"
				for _, statement := range []string{
					`INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload_scrubbed_at, created_at, updated_at)
						SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), ` + oneOf + `, 'test', 'succeeded', now(), now(), now() FROM generate_series(1, ` + strconv.Itoa(finished) + `) i`,
					map[bool]string{true: "ANALYZE webhook_deliveries", false: "SELECT"}[c.history],
					`INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload, payload_expires_at, next_attempt_at, created_at, updated_at)
						SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), ` + oneOf + `, 'test', 'pending', 'x', now() + interval '1 day', now() - random() * interval '1 hour', now(), now() FROM generate_series(1, ` + strconv.Itoa(10*due) + `) i`,
				} {
					if err := tx.Exec(statement).Error; err != nil {
						return err
					}
				}
				if c.backlog {
					if err := tx.Exec("ANALYZE webhook_deliveries").Error; err != nil {
						return err
					}
				}
				check := func(what, statement string, args ...any) error {
					before := fixture.RowsRead(t, tx, "webhook_deliveries")
					claims, err := s.claim(tx, statement, args...)
					if read := fixture.RowsRead(t, tx, "webhook_deliveries") - before; err == nil && (len(claims) != n || read > 5*n) {
						t.Errorf("%s: read %d rows of %d to claim %d, want %d", what, read, due, len(claims), n)
					}
					return err
				}
				if err := check("those due longest", longestDue, []uuid.UUID{endpoint}, []int64{n}); err != nil {
					return err
				}
				var named []uuid.UUID
				if err := tx.Raw("SELECT id FROM webhook_deliveries WHERE webhook_endpoint_id = $1 AND status = 'pending' LIMIT $2", endpoint, n).Scan(&named).Error; err != nil {
					return err
				}
				return check("named", theseDue, named)
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
