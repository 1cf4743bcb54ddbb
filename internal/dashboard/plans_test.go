package dashboard

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/net/html"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
)

// history is two weeks of an organization and, with a tenth of it, of its neighbour: a session every six seconds with an event, two
// deliveries with an attempt each and two entries in the log; two of twenty endpoints have most of it, and hardly anything fails. Indexes are away meanwhile.
const history = `
SET session_replication_role = replica;

CREATE TEMP TABLE taken AS SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%%_pkey' AND indexname NOT LIKE '%%_key'
	AND tablename IN ('webhook_deliveries', 'webhook_delivery_attempts', 'events', 'verification_sessions', 'audit_logs');

DO $$ DECLARE name text; BEGIN FOR name IN SELECT indexname FROM taken LOOP EXECUTE 'DROP INDEX ' || name; END LOOP; END $$;

CREATE TEMP TABLE past AS SELECT n, CASE WHEN n %% 11 = 10 THEN '%[2]s'::uuid ELSE '%[1]s'::uuid END AS org, '%[3]s'::timestamptz - n * interval '6 seconds' AS at, md5('s' || n)::uuid AS session,
	md5('e' || n)::uuid AS event, (ARRAY['succeeded', 'succeeded', 'succeeded', 'succeeded', 'failed', 'expired', 'cancelled'])[1 + n %% 7] AS s FROM generate_series(1, 200000) n;

INSERT INTO webhook_endpoints (id, organization_id, name, labels, url, enabled, subscribed_event_types, undelivered_payload_retention_hours, signing_secret, signing_secret_rotated_at, created_at, updated_at)
SELECT md5(o || 'p' || n)::uuid, o, 'shop ' || n, CASE n WHEN 20 THEN '{rare}' ELSE '{frequent}' END::text[], 'https://example.com', true, '{verification.session.failed}', 72, 'x', now(), '%[3]s', now()
FROM unnest(ARRAY['%[1]s', '%[2]s']::uuid[]) o, generate_series(1, 20) n;

INSERT INTO verification_sessions (id, organization_id, status, share_fields, cancel_token_hash, cancel_token_master_key_id, expires_at, completed_at, failure_code, created_at, updated_at)
SELECT session, org, s, '{}', md5(session::text) || md5(event::text), 'm1', at + interval '1 hour', at + interval '10 seconds', CASE s WHEN 'failed' THEN 'document_anti_cloning_attestation_failed' END, at, at FROM past;

INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, routing, created_at) SELECT event, org, 'verification.session.' || s, 'verification_session', session, '[]', at FROM past;

INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload, payload_expires_at, payload_scrubbed_at, payload_retention_reason,
	attempt_count, next_attempt_at, last_error_kind, last_status_code, last_duration_ms, last_attempt_at, created_at, updated_at)
SELECT md5('d' || n || copy)::uuid, org, event, md5(org || 'p' || CASE WHEN n %% 10 < 8 THEN copy ELSE 1 + (n / 10 + copy) %% 20 END)::uuid, 'verification.session.' || past.s, d.s, CASE WHEN d.s = 'pending' THEN 'x' END,
	CASE WHEN d.s = 'pending' THEN at + interval '15 days' END, CASE WHEN d.s <> 'pending' THEN at END, CASE d.s WHEN 'succeeded' THEN 'delivered' WHEN 'failed' THEN 'expired' ELSE 'pending_delivery' END,
	CASE d.s WHEN 'failed' THEN 8 WHEN 'pending' THEN 2 ELSE 1 END, CASE d.s WHEN 'pending' THEN '%[3]s'::timestamptz + n * interval '1 s' END, CASE WHEN d.s <> 'succeeded' THEN 'http_status' END,
	CASE d.s WHEN 'succeeded' THEN 200 ELSE 503 END, n %% 1000, at, at, at
FROM past, generate_series(1, 2) copy, LATERAL (SELECT CASE WHEN n %% 1009 = 7 THEN 'pending' WHEN n %% 97 = 7 THEN 'failed' ELSE 'succeeded' END AS s) AS d;

INSERT INTO webhook_delivery_attempts (id, organization_id, webhook_delivery_id, run, number, counted, status, trigger, started_at, status_code, error_kind, created_at)
SELECT md5('a' || id)::uuid, organization_id, id, 1, 1, true, CASE status WHEN 'succeeded' THEN 'succeeded' ELSE 'failed' END, 'automatic', created_at, last_status_code, last_error_kind, created_at
FROM webhook_deliveries WHERE status <> 'pending' OR payload = 'x';

INSERT INTO audit_logs (id, organization_id, actor_type, actor_id, actor_name, event, target_type, target_id, created_at)
SELECT md5('l' || n || copy)::uuid, org, CASE WHEN n %% 5000 = 0 THEN 'user' ELSE 'api_key' END, 'key_x', 'engine', CASE WHEN n %% 5000 = 0 THEN 'auth.signed_in' WHEN copy = 1 THEN 'session.created' ELSE 'session.succeeded' END,
	'session', 'vs_' || n, at FROM past, generate_series(1, 2) copy;

INSERT INTO delivery_rollups (organization_id, webhook_endpoint_id, hour, error_kind, status_code, slot, attempts, first_attempts, succeeded, failed, latency)
SELECT o, md5(o || 'p' || n)::uuid, date_trunc('hour', '%[3]s'::timestamptz) - h * interval '1 hour', e.kind, e.code, 0, 100, 90, CASE e.code WHEN 200 THEN 90 ELSE 0 END, CASE e.code WHEN 200 THEN 0 ELSE 10 END, '{}'
FROM unnest(ARRAY['%[1]s', '%[2]s']::uuid[]) o, generate_series(1, 20) n, generate_series(0, 720) h, (VALUES ('', 200), ('http_status', 503)) AS e(kind, code);

INSERT INTO jobs (id, organization_id, type, status, rate_per_second, filters, created_by_type, created_at, updated_at, finished_at)
VALUES ('5eed0000-0000-4000-8000-000000000001', '%[1]s', 'delivery_retry', 'completed', 100, '{"status": "failed"}', 'user', '%[3]s', '%[3]s', '%[3]s');

INSERT INTO job_visits (job_id, webhook_delivery_id, outcome, created_at, run)
SELECT '5eed0000-0000-4000-8000-000000000001'::uuid, id, CASE last_duration_ms WHEN 7 THEN 'in_flight' ELSE 'requeued' END, created_at, 2 FROM webhook_deliveries WHERE organization_id = '%[1]s' AND last_duration_ms %% 3 = 1;

DO $$ DECLARE definition text; BEGIN FOR definition IN SELECT indexdef FROM taken LOOP EXECUTE definition; END LOOP; END $$;

SET session_replication_role = origin;

ANALYZE`

// large are the tables that grow with the traffic.
var large = []string{"webhook_deliveries", "webhook_delivery_attempts", "events", "verification_sessions", "audit_logs"}

// mostRows is how many rows a page may look at, of the 1.6 million that there are.
const mostRows = 25_000

// TestPages_ReadLittleOfALongHistory opens every page, and every list with each of the filters that it offers, and asks Postgres how it carries out
// every question: none reads a whole table that grows, or more than mostRows of it, however much is stored.
func TestPages_ReadLittleOfALongHistory(t *testing.T) {
	t.Parallel()
	f := furnish(t)
	_, neighbour := fixture.Organization(t, f.db)
	began := time.Now()
	fixture.Fill(t, f.db, fmt.Sprintf(history, f.org.UUID, neighbour.Organization.UUID, f.clock.Now().Format(time.RFC3339)))
	t.Logf("filled in %s", time.Since(began))

	seen := fixture.ExplainAll(t, f.db)
	b := f.as(f.owner)
	pages, worst, worstOf := 0, 0.0, ""
	look := func(path string) answer {
		t.Helper()
		a := b.get(path)
		if a.status >= http.StatusInternalServerError {
			t.Errorf("%s: %d", path, a.status)
		}
		read := 0.0
		for _, plan := range seen.Take(t) {
			rows, whole := plan.Read(large...), false
			plan.Walk(func(n fixture.PlanNode) { whole = whole || n.Type == "Seq Scan" && slices.Contains(large, n.Relation) })
			read += rows
			if rows > mostRows || whole {
				t.Errorf("%s looks at %.0f rows, or at all of a table:\n%s", path, rows, plan.Text)
			}
		}
		pages++
		t.Logf("%6.0f %s", read, path)
		if read > worst {
			worst, worstOf = read, path
		}
		return a
	}
	for pattern := range signedInRoutes() {
		if method, path := f.address(pattern); method == http.MethodGet && !strings.HasSuffix(path, "/export") {
			for _, filtered := range filterings(t, path, look(path)) {
				look(filtered)
			}
		}
	}
	job := id.Job{UUID: uuid.MustParse("5eed0000-0000-4000-8000-000000000001")}
	for _, outcome := range []delivery.JobOutcome{delivery.JobRequeued, delivery.JobInFlight} {
		visited := visitedBy(job, outcome)
		older := regexp.MustCompile(`href="([^"]*after=[^"]*)"`).FindStringSubmatch(look(visited).body)
		if older == nil {
			t.Fatalf("%s has one page", visited)
		}
		look(older[1])
		for _, also := range []string{"&status=succeeded", "&code=503", "&label=rare"} { // what became of them
			look(visited + also)
		}
	}
	t.Logf("of %d pages, the one that reads most is %s: %.0f rows", pages, worstOf, worst)
}

// filterings are the addresses to which the filters of a page lead: each choice of each of them, something typed, two weeks and a
// day of them, and the older page.
func filterings(t *testing.T, path string, a answer) (paths []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	with := func(name, value string) { paths = append(paths, path+"?"+url.Values{name: {value}}.Encode()) }
	for n := range root.Descendants() {
		if n.Data == "a" && strings.Contains(attr(n, "href"), "after=") {
			paths = append(paths, attr(n, "href"))
		}
		if n.Data != "form" || !strings.Contains(attr(n, "class"), "filters") {
			continue
		}
		for field := range n.Descendants() {
			switch name := attr(field, "name"); {
			case name == "" || attr(field, "type") == "hidden":
			case field.Data == "select":
				for option := range field.Descendants() {
					if option.Data == "option" && attr(option, "value") != "" {
						with(name, attr(option, "value"))
					}
				}
			case attr(field, "type") == "datetime-local" || attr(field, "type") == "date":
				for _, at := range []string{"2026-03-02T09:30", "2026-02-20T00:00"} {
					with(name, at[:map[string]int{"date": 10, "datetime-local": 16}[attr(field, "type")]])
				}
			case field.Data == "input":
				with(name, "shop 7")
				with(name, "rare")
				with(name, "usr_01h455vb4pex5vsknk084sn02q")
				with(name, "whe_01h455vb4pex5vsknk084sn02q")
				with(name, "vs_01h455vb4pex5vsknk084sn02q")
			}
		}
	}
	return paths
}
