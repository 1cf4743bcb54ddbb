package verification_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
)

// manySessions fills the tables with sessions that have ended, each with an event and two deliveries. Of every thousandth
// consent was withdrawn while a delivery was in flight, so that its event has a replacement whose delivery came later. Of
// the first organization a handful failed long ago, of the second one in twenty, and of the third, which is small,
// whatever there is.
const manySessions = `
SET session_replication_role = replica;

CREATE TEMP TABLE many AS SELECT o, org, n, '%[4]s'::timestamptz - n * interval '20 seconds' AS at, md5(o || 's' || n)::uuid AS session, md5(o || 'e' || n)::uuid AS event,
	CASE o WHEN 1 THEN CASE WHEN n IN (50000, 50001, 59000) THEN 'failed' ELSE 'succeeded' END
		WHEN 2 THEN CASE WHEN n %% 20 = 0 THEN 'failed' WHEN n %% 100 = 1 THEN 'pending' ELSE 'succeeded' END
		ELSE (ARRAY['failed', 'pending', 'delivering', 'succeeded', 'succeeded'])[1 + (hashint4(n) & 3)] END AS s,
	CASE o WHEN 1 THEN n IN (30000, 58000) WHEN 2 THEN n %% 50 = 3 ELSE n %% 7 = 3 END AS nobody,
	CASE o WHEN 3 THEN n %% 5 = 1 ELSE n %% 1000 = 500 END AS withdrawn
	FROM (VALUES (1, '%[1]s'::uuid, 60000), (2, '%[2]s'::uuid, 60000), (3, '%[3]s'::uuid, 120)) AS orgs(o, org, size), generate_series(1, size) n;

INSERT INTO verification_sessions (id, organization_id, status, share_fields, cancel_token_hash, cancel_token_master_key_id, expires_at, completed_at, created_at, updated_at)
SELECT session, org, 'succeeded', '{}', md5(session::text) || md5(event::text), 'm1', at + interval '1 hour', at + interval '10 seconds', at, at FROM many;

INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, routing, superseded_by_event_id, created_at)
SELECT event, org, 'verification.session.succeeded', 'verification_session', session, CASE WHEN nobody THEN '[%[5]s]' ELSE '[%[5]s, %[6]s]' END::jsonb,
	CASE WHEN withdrawn THEN md5(event::text)::uuid END, CASE WHEN o = 3 THEN date_trunc('minute', at) ELSE at + interval '10 seconds' END FROM many;

INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, routing, replaces_event_id, created_at)
SELECT md5(event::text)::uuid, org, 'verification.session.cancelled', 'verification_session', session, '[%[6]s]', event, at + interval '1 hour' FROM many WHERE withdrawn;

INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload, payload_expires_at, payload_scrubbed_at, payload_retention_reason,
	attempt_count, next_attempt_at, lease_token, lease_expires_at, created_at, updated_at)
SELECT md5(e.id::text || copy)::uuid, e.organization_id, e.id, md5(many.o || 'p' || copy)::uuid, e.type, s, CASE WHEN s IN ('pending', 'delivering') THEN 'x' END,
	CASE WHEN s IN ('pending', 'delivering') THEN late + interval '1 day' END, CASE WHEN s IN ('succeeded', 'failed') THEN late END,
	CASE s WHEN 'succeeded' THEN 'delivered' WHEN 'failed' THEN 'expired' ELSE 'pending_delivery' END, 1, CASE WHEN s = 'pending' THEN late END,
	CASE WHEN s = 'delivering' THEN many.event END, CASE WHEN s = 'delivering' THEN late END, late, late
FROM many, events e, generate_series(1, 2) copy, LATERAL (SELECT CASE WHEN e.replaces_event_id IS NULL THEN e.created_at ELSE e.created_at + interval '3 minutes' END AS late) AS times
WHERE e.trigger_id = many.session AND NOT (nobody AND e.replaces_event_id IS NULL);

SET session_replication_role = origin;

ANALYZE verification_sessions, events, webhook_deliveries`

// TestLists_ByOutcomeStayFlat asks for events by what became of them, and for sessions that ended without being delivered,
// where there are hardly any and where there are many. Nothing reads a whole table, sorts one, or touches more than a
// bounded number of pages; and what is found is what a plain look at every row finds.
func TestLists_ByOutcomeStayFlat(t *testing.T) {
	t.Parallel()
	db := fixture.DB(t)
	var actors []access.Actor
	var orgs []any
	for range 3 {
		_, owner := fixture.Organization(t, db)
		actors, orgs = append(actors, owner), append(orgs, owner.Organization.UUID)
	}
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	fixture.Fill(t, db, fmt.Sprintf(manySessions, append(orgs, now.Format(time.RFC3339), route(`null`), route(`"`+id.Delivery{UUID: uuid.Max}.String()+`"`))...))
	p := &planned{t: t, db: db, sessions: &verification.Service{DB: db, Keyring: fixture.Keyring()}, seen: fixture.ExplainAll(t, db)}
	cursor := func(back time.Duration) *postgres.Position { return &postgres.Position{At: now.Add(-back)} }
	month := now.Add(-60000 * 20 * time.Second)
	pages := []postgres.Page{{Limit: 50}, {Limit: 50, After: cursor(time.Hour)}, {Limit: 50, After: cursor(6 * 24 * time.Hour)}, {Limit: 50, Before: cursor(9 * 24 * time.Hour)}, {Limit: 50, After: cursor(13 * 24 * time.Hour)}}
	for i, actor := range actors[:2] {
		for _, span := range [][2]time.Time{{}, {now.Add(-24 * time.Hour), {}}, {month, now.Add(-8 * 24 * time.Hour)}} {
			for _, page := range pages {
				for _, outcome := range event.Outcomes() {
					for _, kind := range []event.Type{"", event.SessionSucceeded, event.SessionCancelled} {
						what := fmt.Sprintf("organization %d, events %s %s, %v, %+v", i+1, outcome, kind, span, page)
						p.look(what, func() (int, error) {
							list, err := event.List(t.Context(), db, actor, event.Filter{Outcome: outcome, Type: kind, From: span[0], To: span[1]}, page)
							return len(list.Rows), err
						})
					}
				}
				for _, status := range []verification.Status{"", verification.Succeeded, verification.Failed} {
					p.look(fmt.Sprintf("organization %d, sessions %s, %v, %+v", i+1, status, span, page), func() (int, error) {
						list, err := p.sessions.List(t.Context(), actor, verification.Filter{Undelivered: true, Status: status, From: span[0], To: span[1]}, page)
						return len(list.Rows), err
					})
				}
			}
		}
	}
	t.Logf("the costliest of %d reads touches %.0f pages: %s", p.n, p.worst, p.worstOf)
	p.sameAsPlain(actors)
}

// route is a line of a routing record.
func route(delivery string) string {
	return `{"webhook_endpoint_id": "` + id.Endpoint{UUID: uuid.Max}.String() + `", "decision": "skipped", "reason": "disabled", "created_at": "2026-03-02T09:30:00Z", "delivery_id": ` + delivery + `}`
}

type planned struct {
	t        *testing.T
	db       *postgres.DB
	sessions *verification.Service
	seen     *fixture.Plans
	n        int
	worst    float64
	worstOf  string
}

// mostPages bounds what a list may touch, and mostSorted how many rows it may put in order: pages of some branches, or the
// sessions of what verification looks up one by one. A table here has more than 120,000 rows.
const (
	mostPages  = 10_000
	mostSorted = 4_000
)

func (p *planned) look(what string, list func() (int, error)) {
	p.t.Helper()
	if _, err := list(); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	touched, plans := 0.0, p.seen.Take(p.t)
	for _, plan := range plans {
		touched += plan.Hit + plan.Missed
		plan.Walk(func(n fixture.PlanNode) {
			if n.Type == "Seq Scan" || n.Type == "Sort" && n.Rows*n.Loops > mostSorted {
				p.t.Errorf("%s: %s of %.0f rows\n%s", what, n.Type, n.Rows*n.Loops, plan.Text)
			}
		})
	}
	p.n++
	if touched > p.worst {
		p.worst, p.worstOf = touched, what
	}
	if touched > mostPages {
		p.t.Errorf("%s: touches %.0f pages\n%+v", what, touched, plans)
	}
}

// sameAsPlain turns over the lists of every organization, forwards and back, and compares them with a look at every row.
func (p *planned) sameAsPlain(actors []access.Actor) {
	p.t.Helper()
	p.seen.Stop()
	const open, failed = "d.status IN ('pending', 'delivering')", "d.status = 'failed'"
	has := func(condition string) string {
		return "EXISTS (SELECT FROM webhook_deliveries d WHERE d.event_id = e.id AND " + condition + ")"
	}
	plain := map[event.Outcome]string{
		event.AllDelivered: has("true") + " AND NOT " + has("d.status <> 'succeeded'"), event.AnyFailed: has(failed), event.AnyWaiting: has(open), event.NoDelivery: "NOT " + has("true"),
	}
	for i, actor := range actors {
		for outcome, condition := range plain {
			if i < 2 && outcome == event.AllDelivered {
				continue // nearly all there are
			}
			for _, kind := range []event.Type{"", event.SessionCancelled} {
				var want []id.Event
				q := p.db.Reader(p.t.Context()).Table("events AS e").Where("e.organization_id = ?", actor.Organization).Where(condition)
				if kind != "" {
					q = q.Where("e.type = ?", kind)
				}
				if err := q.Order("e.created_at DESC, e.id DESC").Limit(400).Pluck("e.id", &want).Error; err != nil {
					p.t.Fatal(err)
				}
				p.turnOver(fmt.Sprintf("organization %d, %s %s", i+1, outcome, kind), asTexts(want), func(page postgres.Page) ([]string, []postgres.Position, bool, bool) {
					list, err := event.List(p.t.Context(), p.db, actor, event.Filter{Outcome: outcome, Type: kind}, page)
					if err != nil {
						p.t.Fatal(err)
					}
					var texts []string
					var at []postgres.Position
					for _, e := range list.Rows {
						texts, at = append(texts, e.ID.String()), append(at, postgres.Position{At: e.CreatedAt, ID: e.ID.UUID})
					}
					return texts, at, list.HasOlder, list.HasNewer
				})
			}
		}
		var want []id.Session
		err := p.db.Reader(p.t.Context()).Raw(`SELECT s.id FROM verification_sessions s JOIN events e ON e.trigger_id = s.id AND e.superseded_by_event_id IS NULL
			WHERE s.organization_id = ? AND (NOT `+has("true")+` OR `+has("d.status <> 'succeeded'")+`) ORDER BY s.created_at DESC, s.id DESC LIMIT 400`, actor.Organization).Scan(&want).Error
		if err != nil {
			p.t.Fatal(err)
		}
		p.turnOver(fmt.Sprintf("organization %d, sessions", i+1), asTexts(want), func(page postgres.Page) ([]string, []postgres.Position, bool, bool) {
			list, err := p.sessions.List(p.t.Context(), actor, verification.Filter{Undelivered: true}, page)
			if err != nil {
				p.t.Fatal(err)
			}
			var texts []string
			var at []postgres.Position
			for _, s := range list.Rows {
				texts, at = append(texts, s.ID.String()), append(at, postgres.Position{At: s.CreatedAt, ID: s.ID.UUID})
			}
			return texts, at, list.HasOlder, list.HasNewer
		})
	}
}

func asTexts[T fmt.Stringer](ids []T) []string {
	texts := make([]string, len(ids))
	for i, v := range ids {
		texts[i] = v.String()
	}
	return texts
}

// turnOver reads up to 400 rows in small pages, then goes back to the first.
func (p *planned) turnOver(what string, want []string, list func(postgres.Page) (rows []string, at []postgres.Position, older, newer bool)) {
	p.t.Helper()
	const size = 37
	var got []string
	var positions []postgres.Position
	for page := (postgres.Page{Limit: size}); len(got) < len(want)+1; {
		rows, at, older, _ := list(page)
		got, positions = append(got, rows...), append(positions, at...)
		if !older || len(rows) == 0 {
			break
		}
		page.After = &at[len(at)-1]
	}
	if diff := cmp.Diff(want, got[:min(len(got), max(len(want), 1))]); diff != "" && (len(want) > 0 || len(got) > 0) {
		p.t.Errorf("%s (-want +got):\n%s", what, diff)
		return
	}
	if len(got) < 2 {
		return
	}
	last := len(want) - 1
	var back []string
	for page := (postgres.Page{Limit: size, Before: &positions[last]}); ; {
		rows, at, _, newer := list(page)
		back = append(slices.Clone(rows), back...)
		if !newer || len(rows) == 0 {
			break
		}
		page.Before = &at[0]
	}
	if diff := cmp.Diff(want[:last], back); diff != "" {
		p.t.Errorf("%s, backwards (-want +got):\n%s", what, diff)
	}
}
