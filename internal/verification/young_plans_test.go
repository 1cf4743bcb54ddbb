package verification_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
)

// past is n sessions, each with an event, a delivery, an attempt and an entry in the log: all over, or all open and waiting for their next
// attempt.
const past = `
SET session_replication_role = replica;

CREATE TEMP TABLE past AS SELECT gen_random_uuid() AS id, $over AS over, $at::timestamptz - n * interval '1 second' AS at FROM generate_series(1, $n) n;

INSERT INTO verification_sessions (id, organization_id, status, share_fields, cancel_token_hash, cancel_token_master_key_id, expires_at, completed_at, created_at, updated_at)
SELECT id, '$org', CASE WHEN over THEN 'cancelled' ELSE 'created' END, '{}', md5(id::text) || md5(id::text), 'test', at + interval '1 day', CASE WHEN over THEN at END, at, at FROM past;

INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, routing, created_at) SELECT id, '$org', 'verification.session.cancelled', 'verification_session', id, '[]', at FROM past;

INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, webhook_encryption_key_id, event_type, status, payload, payload_expires_at, payload_scrubbed_at, payload_retention_reason, attempt_count, next_attempt_at, created_at, updated_at)
SELECT id, '$org', id, '$endpoint', '$key', 'verification.session.cancelled', CASE WHEN over THEN 'succeeded' ELSE 'pending' END, CASE WHEN NOT over THEN 'x' END, CASE WHEN NOT over THEN at + interval '3 days' END,
	CASE WHEN over THEN at END, CASE WHEN over THEN 'delivered' ELSE 'pending_delivery' END, 1, CASE WHEN NOT over THEN at + interval '2 days' END, at, at FROM past;

INSERT INTO webhook_delivery_attempts (id, organization_id, webhook_delivery_id, run, number, counted, status, trigger, started_at, status_code, created_at)
SELECT id, '$org', id, 1, 1, true, 'succeeded', 'automatic', at, 204, at FROM past;

INSERT INTO audit_logs (id, organization_id, actor_type, event, target_type, target_id, created_at) SELECT id, '$org', 'api_key', 'session.created', 'session', id::text, at FROM past;

DROP TABLE past;

SET session_replication_role = origin`

// Postgres keeps the plans that it made while the database was empty, or while nothing was open. By them, what is done for a session has to read
// as little when there is a lot stored: nothing of what is over, of what is open, or of what waits.
func TestPipeline_PlansOfQuietTimesStayGood(t *testing.T) {
	t.Parallel()
	const stored, rounds, most = 10_000, 5, 200
	for name, round := range map[string]func(h *harness, r *receiver){
		"success, delivered": func(h *harness, _ *receiver) {
			s, _ := h.open(verification.NewSession{})
			_, err := h.sessions.Start(h.t.Context(), h.engine, s.ID)
			h.check(err)
			h.succeed(s)
			h.deliver()
		},
		"failure, delivered after a retry": func(h *harness, r *receiver) {
			s, _ := h.open(verification.NewSession{})
			r.status(http.StatusServiceUnavailable)
			for range verification.CheckBudget {
				_, err := h.sessions.ReportFailure(h.t.Context(), h.engine, s.ID, verification.LivenessFailed)
				h.check(err)
			}
			h.deliver()
			r.status(http.StatusNoContent)
			h.clock.Advance(time.Minute)
			h.work()
		},
		"cancelled": func(h *harness, _ *receiver) {
			s, _ := h.open(verification.NewSession{})
			h.check(h.sessions.Cancel(h.t.Context(), h.engine, s.ID))
			h.work()
		},
		"expired": func(h *harness, _ *receiver) {
			h.open(verification.NewSession{})
			h.clock.Advance(verification.TTL)
			_, err := h.sessions.ExpireOverdue(h.t.Context(), 10)
			h.check(err)
			h.deliver()
		},
		"consent withdrawn": func(h *harness, _ *receiver) {
			s, token := h.open(verification.NewSession{})
			h.succeed(s)
			h.check(h.redeem(s, token))
			h.deliver()
		},
		"lost by a worker": func(h *harness, _ *receiver) {
			s, _ := h.open(verification.NewSession{})
			h.check(h.sessions.Cancel(h.t.Context(), h.engine, s.ID))
			_, err := h.deliveries.ClaimThese(h.t.Context(), []id.Delivery{h.rung[0].DeliveryID})
			h.check(err)
			h.clock.Advance(delivery.Lease)
			_, err = h.deliveries.SweepLeases(h.t.Context(), 10)
			h.check(err)
			h.work()
		},
		"replayed": func(h *harness, r *receiver) {
			s, _ := h.open(verification.NewSession{})
			r.status(http.StatusServiceUnavailable)
			h.check(h.sessions.Cancel(h.t.Context(), h.engine, s.ID))
			d, err := h.deliveries.Get(h.t.Context(), h.owner, h.rung[0].DeliveryID)
			h.check(err)
			h.deliver()
			r.status(http.StatusNoContent)
			_, err = h.deliveries.Replay(h.t.Context(), h.owner, d.EventID)
			h.check(err)
			h.deliver()
		},
	} {
		for _, analyzed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, analyzed %t", name, analyzed), func(t *testing.T) {
				t.Parallel()
				url := devtest.Database(t)
				// What a plan would be for values that are not known, which Postgres keeps when it is as good for those it has seen.
				h := newHarnessOn(t, url+"&plan_cache_mode=force_generic_plan")
				r := h.endpoint()
				key := fixture.Scalar[string](t, h.db, "SELECT id::text FROM webhook_encryption_keys")
				store := func(over bool) {
					fixture.Fill(t, h.db, strings.NewReplacer("$org", h.owner.Organization.UUID.String(), "$endpoint", r.ID.UUID.String(), "$key", key, "$over", strconv.FormatBool(over),
						"$n", strconv.Itoa(stored), "$at", "'"+h.clock.Now().Format(time.RFC3339)+"'").Replace(past))
				}
				if analyzed {
					store(true)
					fixture.Exec(t, h.db, "ANALYZE")
				}
				for range rounds {
					round(h, r)
				}
				if !analyzed {
					store(true)
				}
				store(false)
				for range rounds {
					round(h, r)
				}
				h.db.Close() // its connections tell what they have read when they end
				after, err := postgres.Open(t.Context(), postgres.Options{URL: url, Name: "after"})
				h.check(err)
				t.Cleanup(after.Close)
				awaitEnd(t, after)
				for _, table := range []string{"verification_sessions", "events", "webhook_deliveries", "webhook_delivery_attempts", "audit_logs"} {
					read := fixture.Scalar[int](t, after, "SELECT seq_tup_read + COALESCE(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = $1", table)
					if read > most {
						t.Errorf("%d rows of %s were read for %d sessions", read, table, 2*rounds)
					}
				}
				if done := fixture.Scalar[int](t, after, "SELECT count(*) FROM webhook_deliveries WHERE status = 'succeeded'") - stored; done != 2*rounds {
					t.Errorf("%d of %d sessions were told of", done, 2*rounds)
				}
			})
		}
	}
}

// A session that is locked is found by its id. By a plan from when there were few, the id was looked for among all that the organization has in
// the index of its sessions by status, which ends in it.
func TestPipeline_SessionsAreFoundByTheirID(t *testing.T) {
	t.Parallel()
	url := devtest.Database(t)
	h := newHarnessOn(t, url)
	const few = 12 // more than it takes Postgres to keep a plan
	for range few {
		s, _ := h.open(verification.NewSession{})
		_, err := h.sessions.Start(t.Context(), h.engine, s.ID)
		h.check(err)
	}
	h.db.Close() // its connections tell what they have read when they end
	after, err := postgres.Open(t.Context(), postgres.Options{URL: url, Name: "after"})
	h.check(err)
	t.Cleanup(after.Close)
	awaitEnd(t, after)
	const scans = "SELECT COALESCE(sum(idx_scan), 0)::int FROM pg_stat_user_indexes WHERE relname = 'verification_sessions' AND indexrelname "
	if n := fixture.Scalar[int](t, after, scans+"= 'verification_sessions_pkey'"); n != 2*few {
		t.Errorf("%d sessions were looked for %d times by their id, want once to lock each and once to change it", few, n)
	}
	if n := fixture.Scalar[int](t, after, scans+"<> 'verification_sessions_pkey'"); n != 0 {
		t.Errorf("%d sessions were looked for %d times in another index", few, n)
	}
}

// awaitEnd waits until no connection to the database is left but those of db.
func awaitEnd(t *testing.T, db *postgres.DB) {
	t.Helper()
	fixture.Until(t, "all other connections have ended", func() bool {
		return fixture.Scalar[int](t, db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'") == 0
	})
}
