package delivery_test

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// million fills the tables as a month of a busy organization leaves them: nearly all succeeded, some types and statuses rare, one
// endpoint with half of the traffic and one with hardly any. Neighbours have a tenth of it. Indexes and triggers that would check
// row by row are away meanwhile.
const million = `
SET session_replication_role = replica;

CREATE TEMP TABLE taken AS SELECT indexdef FROM pg_indexes WHERE tablename IN ('webhook_deliveries', 'events') AND indexname NOT LIKE '%%_pkey' AND indexname NOT LIKE '%%_key';

DO $$ DECLARE name text; BEGIN
	FOR name IN SELECT indexname FROM pg_indexes WHERE tablename IN ('webhook_deliveries', 'events') AND indexname NOT LIKE '%%_pkey' AND indexname NOT LIKE '%%_key' LOOP
		EXECUTE 'DROP INDEX ' || name;
	END LOOP;
END $$;

INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload, payload_expires_at,
	payload_scrubbed_at, payload_retention_reason, attempt_count, next_attempt_at, lease_token, lease_expires_at, last_error_kind, last_status_code, last_duration_ms, webhook_encryption_key_id, created_at, updated_at)
SELECT md5('d' || n)::uuid, CASE WHEN n %% 11 = 10 THEN '%[2]s'::uuid ELSE '%[1]s'::uuid END, md5('e' || n / 2)::uuid,
	md5('p' || CASE WHEN n %% 11 = 10 THEN 1000 WHEN n %% 2 = 0 THEN 0 WHEN n %% 20001 = 1 THEN 20 ELSE 1 + n %% 19 END)::uuid,
	CASE WHEN n %% 100 < 80 THEN 'verification.session.succeeded' WHEN n %% 100 < 90 THEN 'verification.session.failed' WHEN n %% 100 < 97 THEN 'verification.session.expired'
		WHEN n %% 10007 = 99 THEN 'webhook.test' ELSE 'verification.session.cancelled' END,
	s, CASE WHEN s IN ('pending', 'delivering') THEN 'x' END, CASE WHEN s IN ('pending', 'delivering') THEN at + interval '1 day' END,
	CASE WHEN s IN ('succeeded', 'failed') THEN at END, CASE s WHEN 'succeeded' THEN 'delivered' WHEN 'failed' THEN 'expired' ELSE 'pending_delivery' END,
	CASE s WHEN 'pending' THEN CASE WHEN n %% 10090 = 7 THEN 2 ELSE 0 END WHEN 'failed' THEN 8 ELSE 1 END, CASE WHEN s = 'pending' THEN at END,
	CASE WHEN s = 'delivering' THEN md5('l' || n)::uuid END, CASE WHEN s = 'delivering' THEN at END,
	CASE WHEN s = 'failed' THEN CASE WHEN n %% 970 = 7 THEN 'timeout_response' ELSE 'http_status' END END,
	CASE s WHEN 'failed' THEN CASE WHEN n %% 970 = 7 THEN NULL WHEN n %% 9700 = 104 THEN 302 ELSE 503 END WHEN 'succeeded' THEN 200 END, CASE WHEN s IN ('failed', 'succeeded') THEN n %% 1000 END,
	md5('k' || CASE WHEN n %% 2 = 1 THEN 3 WHEN n %% 20000 = 2 THEN 2 WHEN n > 500000 THEN 1 ELSE 0 END)::uuid, at, at
FROM (SELECT n, '%[3]s'::timestamptz - n * interval '2.4 seconds' AS at,
	CASE WHEN n %% 50021 = 7 THEN 'delivering' WHEN n %% 1009 = 7 THEN 'pending' WHEN n %% 97 = 7 THEN 'failed' ELSE 'succeeded' END AS s
	FROM generate_series(1, 1100000) n) AS rows;

DO $$ DECLARE definition text; BEGIN
	FOR definition IN SELECT indexdef FROM taken LOOP EXECUTE definition; END LOOP;
END $$;

INSERT INTO webhook_delivery_attempts (id, organization_id, webhook_delivery_id, run, number, counted, status, trigger, started_at, status_code, created_at)
SELECT md5('a' || n)::uuid, '%[1]s', md5('d' || n)::uuid, 1, 1, true, 'succeeded', CASE n %% 40 WHEN 1 THEN 'manual' ELSE 'automatic' END, now(), 200, now() FROM generate_series(1, 200000, 20) n;

INSERT INTO webhook_endpoints (id, organization_id, labels, url, enabled, subscribed_event_types, undelivered_payload_retention_hours, signing_secret, signing_secret_rotated_at, created_at, updated_at)
SELECT md5('p' || n)::uuid, '%[1]s', CASE n WHEN 20 THEN '{rare}' ELSE '{frequent}' END::text[], 'https://example.com', true, '{verification.session.failed}', 72, 'x', now(), now(), now() FROM generate_series(0, 20) n;

INSERT INTO webhook_encryption_keys (id, organization_id, webhook_endpoint_id, key_id, modulus, exponent, bits, thumbprint, spki_sha256, is_active, disabled_at, created_at, updated_at)
SELECT md5('k' || n)::uuid, '%[1]s', md5('p0')::uuid, 'k' || n, 'x', 'AQAB', 2048, 'x', 'x', false, now(), now(), now() FROM generate_series(0, 2) n;

SET session_replication_role = origin;

ANALYZE webhook_deliveries, webhook_delivery_attempts, webhook_endpoints;`

// What a client of GET /v1/webhooks/deliveries can ask for is answered in the order of an index: nothing reads the whole table or
// sorts what it found.
func TestList_AnyFilterAnswersFromAnIndexAtAMillionRows(t *testing.T) {
	t.Parallel()
	db := fixture.DB(t)
	_, owner := fixture.Organization(t, db)
	_, neighbour := fixture.Organization(t, db)
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	begin := time.Now()
	fixture.Fill(t, db, fmt.Sprintf(million, owner.Organization.UUID, neighbour.Organization.UUID, now.Format(time.RFC3339)))
	t.Logf("filled in %s", time.Since(begin))
	svc := delivery.New(delivery.Config{DB: db, Keyring: fixture.Keyring(), Worker: "test"})
	seen := fixture.ExplainAll(t, db)

	named := func(kind string, n int) uuid.UUID { return md5.Sum([]byte(fmt.Sprint(kind, n))) } // as the script makes them
	busy, quiet, gone := id.Endpoint{UUID: named("p", 0)}, id.Endpoint{UUID: named("p", 20)}, id.Endpoint{UUID: named("p", 99)}
	month, day, minute := now.Add(-30*24*time.Hour), now.Add(-15*24*time.Hour), now.Add(-5*24*time.Hour)
	cursors := []*postgres.Position{nil, {At: now.Add(-20 * 24 * time.Hour), ID: named("d", 700_000)}}
	n := 0
	for _, status := range []delivery.Status{"", delivery.Pending, delivery.Delivering, delivery.Succeeded, delivery.Failed} {
		for _, kind := range append([]event.Type{""}, event.Types()...) {
			for _, endpoint := range []id.Endpoint{{}, busy, quiet, gone} {
				for _, ofEvent := range []id.Event{{}, {UUID: named("e", 400_000)}} {
					for _, span := range [][2]time.Time{{}, {month, time.Time{}}, {day, day.Add(24 * time.Hour)}, {minute, minute.Add(time.Minute)}, {time.Time{}, month}} {
						for _, cursor := range cursors {
							f := delivery.Filter{Status: status, EventType: kind, EndpointID: endpoint, EventID: ofEvent, From: span[0], To: span[1]}
							n++
							checkPlan(t, svc, owner, seen, f, postgres.Page{Limit: 10, After: cursor})
						}
					}
				}
			}
		}
	}
	for _, state := range []delivery.State{delivery.StateFailed, delivery.StateBlocked, delivery.StateExpired, delivery.StateWithdrawn, delivery.StateEndpointDeleted} {
		for _, cursor := range cursors {
			checkPlan(t, svc, owner, seen, delivery.Filter{State: state}, postgres.Page{Limit: 10, After: cursor})
			n++
		}
	}
	for _, f := range []delivery.Filter{
		{ErrorKind: "http_status"},
		{ErrorKind: "timeout_response"},
		{ErrorKind: "tls"},
		{StatusCode: 503},
		{StatusCode: 302},
		{StatusCode: 418},
		{StatusCode: 101},
		{StatusClass: 1},
		{StatusClass: 3},
		{StatusClass: 4},
		{StatusClass: 5},
		{Unanswered: true},
		{MinAttempts: 2},
		{MinAttempts: 8},
		{KeyID: id.Key{UUID: named("k", 0)}},
		{KeyID: id.Key{UUID: named("k", 1)}}, // long retired
		{KeyID: id.Key{UUID: named("k", 2)}}, // hardly used
	} {
		for _, endpoint := range []id.Endpoint{{}, busy, quiet, gone} {
			for _, cursor := range cursors {
				f.EndpointID = endpoint
				checkPlan(t, svc, owner, seen, f, postgres.Page{Limit: 10, After: cursor})
				n++
			}
		}
	}
	for _, f := range []delivery.Filter{
		{Trigger: delivery.Manual},
		{Trigger: delivery.Replay},
		{Label: "Rare"},
		{Label: "frequent"},
		{Label: "none"},
		{MinDuration: 950 * time.Millisecond},
		{MinDuration: 950 * time.Millisecond, From: day, Label: "frequent"},
		{Held: true},
		{Held: true, EndpointID: busy, KeyID: id.Key{UUID: named("k", 1)}},
	} {
		for _, cursor := range cursors {
			plan := explainList(t, svc, owner, seen, f, postgres.Page{Limit: 10, After: cursor})
			plan.Walk(func(p fixture.PlanNode) {
				if read := p.Looked(); read > asked {
					t.Errorf("%+v after %v: reads %.0f rows\n%s", f, cursor, read, plan.Text)
				}
			})
			n++
		}
	}
	for _, f := range []delivery.Filter{
		{DueFrom: day, DueTo: day.Add(time.Hour)},
		{DueFrom: day, DueTo: day.Add(time.Hour), Label: "frequent"},
		{DueFrom: day, DueTo: day.Add(time.Hour), EndpointID: busy},
		{DueTo: month},
		{DueFrom: now},
	} {
		for _, cursor := range cursors {
			found := false
			plan := explainList(t, svc, owner, seen, f, postgres.Page{Limit: 10, After: cursor})
			plan.Walk(func(p fixture.PlanNode) {
				found = found || strings.Contains(p.IndexCond, "webhook_endpoint_id") && strings.Contains(p.IndexCond, "next_attempt_at")
				if read := p.Looked(); read > becomeDue {
					t.Errorf("%+v after %v: reads %.0f rows\n%s", f, cursor, read, plan.Text)
				}
			})
			if !found {
				t.Errorf("%+v after %v: what is due is not looked for by endpoint and time\n%s", f, cursor, plan.Text)
			}
			n++
		}
	}
	t.Logf("%d combinations of filters in %s", n, time.Since(begin))
}

// wasted is how many rows may be read that are not part of the answer: as many as the rarest of the filters leaves on its own.
const wasted = 20_000

// mostWasted is that bound for a filter: an index is of just what is asked for when it is failed deliveries.
func mostWasted(f delivery.Filter) float64 {
	erred := f.ErrorKind != "" || f.StatusCode != 0 || f.StatusClass != 0 || f.Unanswered
	if f.EventType == "" && f.EventID.IsZero() && (f.Status == delivery.Failed || f.State != "" || erred && f.EndpointID.IsZero()) {
		return 0
	}
	return wasted
}

// asked is how many attempts of the script somebody asked for, and a few more. An endpoint with a rare label has fewer deliveries.
const asked = 5_100

// becomeDue is more than become due, in the script, in any of the times asked for, and far less than what waits in all.
const becomeDue = 50

func explainList(t *testing.T, svc *delivery.Service, actor access.Actor, seen *fixture.Plans, f delivery.Filter, page postgres.Page) fixture.Plan {
	t.Helper()
	if _, err := svc.List(t.Context(), actor, f, page); err != nil {
		t.Fatalf("List: %v", err)
	}
	plans := seen.Take(t)
	if len(plans) == 2 && plans[0].Read("webhook_deliveries") == 0 { // the endpoints of a label
		plans = plans[1:]
	}
	if len(plans) != 1 {
		t.Fatalf("%+v: %d queries were explained", f, len(plans))
	}
	return plans[0]
}

func checkPlan(t *testing.T, svc *delivery.Service, actor access.Actor, seen *fixture.Plans, f delivery.Filter, page postgres.Page) {
	t.Helper()
	plan := explainList(t, svc, actor, seen, f, page)
	index := false
	plan.Walk(func(n fixture.PlanNode) {
		index = index || n.Index != ""
		if n.Removed > mostWasted(f) {
			t.Errorf("%+v after %v: reads %.0f rows for nothing\n%s", f, page.After, n.Removed, plan.Text)
		}
		if n.Type == "Seq Scan" || strings.Contains(n.Type, "Sort") {
			t.Errorf("%+v after %v: %s\n%s", f, page.After, n.Type, plan.Text)
		}
	})
	if !index {
		t.Errorf("%+v: no index\n%s", f, plan.Text)
	}
}
