package retention_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/retention"
)

func TestMain(m *testing.M) { fixture.Main(m) }

const day = 24 * time.Hour

// ledger is a database whose rows have the ages that the test gives them.
type ledger struct {
	t     *testing.T
	db    *postgres.DB
	clock *fixture.Clock
	org   id.Organization
	svc   *retention.Service
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{t: t, clock: fixture.NewClock()}
	l.db = fixture.DBAt(t, l.clock)
	l.org, _ = fixture.Organization(t, l.db)
	l.svc = &retention.Service{DB: l.db, Days: 30}
	return l
}

// insert adds a row of the organization with the given columns, which are SQL, and returns its id.
func (l *ledger) insert(table string, columns map[string]any) uuid.UUID {
	l.t.Helper()
	row := uuid.New()
	names, marks, args := []string{"id", "organization_id"}, []string{"$1", "$2"}, []any{row, l.org}
	if table == "idempotency_keys" {
		names, marks, args = names[:1], marks[:1], args[:1]
	}
	for name, value := range columns {
		args = append(args, value)
		names, marks = append(names, name), append(marks, fmt.Sprintf("$%d", len(args)))
	}
	fixture.Exec(l.t, l.db, "INSERT INTO "+table+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(marks, ", ")+")", args...)
	return row
}

func (l *ledger) ago(age time.Duration) time.Time { return l.db.Now().Add(-age) }

func (l *ledger) session(age time.Duration, status string) uuid.UUID {
	at := l.ago(age)
	columns := map[string]any{
		"status": status, "share_fields": "{}", "cancel_token_hash": strings.Repeat("0", 64), "cancel_token_master_key_id": "test",
		"expires_at": at, "created_at": at, "updated_at": at,
	}
	if status != "created" {
		columns["completed_at"] = at
	}
	return l.insert("verification_sessions", columns)
}

func (l *ledger) event(age time.Duration, session uuid.UUID) uuid.UUID {
	return l.insert("events", map[string]any{"type": "verification.session.succeeded", "trigger_type": "verification_session", "trigger_id": session, "created_at": l.ago(age)})
}

// replacement adds the event that takes the place of another.
func (l *ledger) replacement(age time.Duration, session, original uuid.UUID) uuid.UUID {
	e := l.insert("events", map[string]any{
		"type": "verification.session.cancelled", "trigger_type": "verification_session", "trigger_id": session,
		"replaces_event_id": original, "created_at": l.ago(age),
	})
	fixture.Exec(l.t, l.db, "UPDATE events SET superseded_by_event_id = $1 WHERE id = $2", e, original)
	return e
}

func (l *ledger) endpoint(deleted time.Duration) uuid.UUID {
	at := l.ago(100 * day)
	columns := map[string]any{
		"url": "https://example.com/", "subscribed_event_types": "{verification.session.failed}", "signing_secret_rotated_at": at,
		"created_at": at, "updated_at": at,
	}
	if deleted > 0 {
		columns["deleted_at"] = l.ago(deleted)
	} else {
		columns["signing_secret"] = "sealed"
	}
	e := l.insert("webhook_endpoints", columns)
	l.insert("webhook_encryption_keys", map[string]any{
		"webhook_endpoint_id": e, "key_id": "k1", "modulus": "AQAB", "exponent": "AQAB", "bits": 2048, "thumbprint": "t", "spki_sha256": "s",
		"is_active": deleted == 0, "activated_at": at, "created_at": at, "updated_at": at, "disabled_at": map[bool]any{true: nil, false: at}[deleted == 0],
	})
	return e
}

// delivery adds a delivery with one attempt.
func (l *ledger) delivery(event, endpoint uuid.UUID, state string) uuid.UUID {
	at := fixture.Scalar[time.Time](l.t, l.db, "SELECT created_at FROM events WHERE id = $1", event)
	columns := map[string]any{"event_id": event, "webhook_endpoint_id": endpoint, "event_type": "verification.session.failed", "created_at": at, "updated_at": at}
	held := func(status string) {
		columns["status"], columns["payload"], columns["payload_expires_at"], columns["payload_retention_reason"] = status, "jwe", l.ago(-day), "pending_delivery"
	}
	switch state {
	case "succeeded", "failed":
		columns["status"], columns["payload_scrubbed_at"], columns["payload_retention_reason"] = state, at, "expired"
	case "held":
		held("failed")
	case "parked":
		held("pending")
	case "delivering":
		held(state)
		columns["lease_token"], columns["lease_expires_at"] = uuid.New(), l.ago(-time.Second)
	}
	d := l.insert("webhook_deliveries", columns)
	l.insert("webhook_delivery_attempts", map[string]any{
		"webhook_delivery_id": d, "run": 1, "number": 1, "counted": true, "status": "failed", "trigger": "automatic", "started_at": at,
		"error_kind": "dns", "created_at": at,
	})
	return d
}

func (l *ledger) has(table string, row uuid.UUID) bool {
	return fixture.Scalar[bool](l.t, l.db, "SELECT EXISTS (SELECT 1 FROM "+table+" WHERE id = $1)", row)
}

func (l *ledger) run() retention.Counts {
	l.t.Helper()
	counts, err := l.svc.Run(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	// What refers to something that is gone, and deliveries without the event they belong to, there must never be.
	if n := fixture.Scalar[int](l.t, l.db, `SELECT count(*) FROM events e, jsonb_array_elements(e.routing) r
		WHERE NOT EXISTS (SELECT 1 FROM webhook_endpoints w WHERE w.id::text = r ->> 'webhook_endpoint_id')`); n > 0 {
		l.t.Errorf("%d routes name an endpoint that is gone", n)
	}
	return counts
}

func TestRun_EventsGoWithEverythingOrNotAtAll(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	a, b := l.endpoint(0), l.endpoint(0)
	type shape struct {
		age        time.Duration
		deliveries []string
		// replaced is the age of the replacement; 0 is none.
		replaced   time.Duration
		replacings []string
		keep       bool
	}
	type made struct{ session, event, replacement uuid.UUID }
	shapes := map[string]shape{
		"young":                             {age: 30*day - time.Second, deliveries: []string{"succeeded"}, keep: true},
		"old":                               {age: 30*day + time.Second, deliveries: []string{"succeeded", "failed"}},
		"old, sent to nobody":               {age: 31 * day},
		"old, one parked":                   {age: 40 * day, deliveries: []string{"succeeded", "parked"}, keep: true},
		"old, one in flight":                {age: 40 * day, deliveries: []string{"delivering", "failed"}, keep: true},
		"old, one holding its payload":      {age: 40 * day, deliveries: []string{"failed", "held"}, keep: true},
		"old, with an old replacement":      {age: 50 * day, deliveries: []string{"failed"}, replaced: 49 * day, replacings: []string{"succeeded"}},
		"old, with a young replacement":     {age: 50 * day, deliveries: []string{"failed"}, replaced: day, replacings: []string{"succeeded"}, keep: true},
		"old, the replacement is open":      {age: 50 * day, deliveries: []string{"failed"}, replaced: 49 * day, replacings: []string{"parked"}, keep: true},
		"old, the replacement holds":        {age: 50 * day, deliveries: []string{"failed"}, replaced: 49 * day, replacings: []string{"held"}, keep: true},
		"old, replacement sent to nobody":   {age: 50 * day, deliveries: []string{"failed"}, replaced: 49 * day},
		"old and open, with an old replace": {age: 50 * day, deliveries: []string{"parked"}, replaced: 49 * day, keep: true},
	}
	all := map[string]made{}
	for name, s := range shapes {
		m := made{session: l.session(s.age, "cancelled")}
		m.event = l.event(s.age, m.session)
		for i, state := range s.deliveries {
			l.delivery(m.event, []uuid.UUID{a, b}[i], state)
		}
		if s.replaced > 0 {
			m.replacement = l.replacement(s.replaced, m.session, m.event)
			for i, state := range s.replacings {
				l.delivery(m.replacement, []uuid.UUID{a, b}[i], state)
			}
		}
		all[name] = m
	}
	counts := l.run()
	if counts.Events != 6 || counts.Deliveries != 5 || counts.Sessions != 4 {
		t.Errorf("counted %+v", counts)
	}
	for name, s := range shapes {
		m := all[name]
		left := fixture.Scalar[int](t, l.db, "SELECT count(*) FROM webhook_deliveries WHERE event_id IN ($1, $2)", m.event, m.replacement)
		attempts := fixture.Scalar[int](t, l.db, `SELECT count(*) FROM webhook_delivery_attempts a JOIN webhook_deliveries d ON d.id = a.webhook_delivery_id
			WHERE d.event_id IN ($1, $2)`, m.event, m.replacement)
		want := 0
		if s.keep {
			want = len(s.deliveries) + len(s.replacings)
		}
		if l.has("events", m.event) != s.keep || l.has("verification_sessions", m.session) != s.keep || left != want || attempts != want ||
			(s.replaced > 0 && l.has("events", m.replacement) != s.keep) {
			t.Errorf("%s: kept %t, session %t, %d deliveries, %d attempts", name, l.has("events", m.event), l.has("verification_sessions", m.session), left, attempts)
		}
	}
	if n := fixture.Scalar[int](t, l.db, "SELECT count(*) FROM webhook_delivery_attempts a WHERE NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.id = a.webhook_delivery_id)"); n != 0 {
		t.Errorf("%d attempts without a delivery", n)
	}
	if again := l.run(); again.Total() != 0 {
		t.Errorf("the second run found %+v", again)
	}
}

func TestRun_SessionsGoAfterTheirEvents(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	active, young, old := l.session(90*day, "created"), l.session(29*day, "expired"), l.session(31*day, "expired")
	l.run()
	if !l.has("verification_sessions", active) || !l.has("verification_sessions", young) || l.has("verification_sessions", old) {
		t.Error("only the old terminal session may go")
	}
}

func TestRun_ADeletedEndpointGoesWhenNothingNamesIt(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	live := l.endpoint(0)
	unused := l.endpoint(time.Hour)
	if counts := l.run(); counts.Endpoints != 1 || l.has("webhook_endpoints", unused) || !l.has("webhook_endpoints", live) {
		t.Fatalf("counted %+v", counts)
	}
	// The organization's oldest event decides what routing can name an endpoint.
	event := l.event(20*day, l.session(20*day, "succeeded"))
	earlier, later, margin := l.endpoint(21*day), l.endpoint(19*day), l.endpoint(20*day+30*time.Minute)
	delivered, counted := l.endpoint(50*day), l.endpoint(50*day)
	d := l.delivery(event, delivered, "succeeded")
	l.rollup(counted, 29*day)
	fixture.Exec(t, l.db, `UPDATE events e SET routing = (SELECT jsonb_agg(jsonb_build_object('webhook_endpoint_id', w.id::text)) FROM webhook_endpoints w
		WHERE w.deleted_at IS NULL OR w.deleted_at > e.created_at - interval '1 hour')`)
	l.run()
	for name, tc := range map[string]struct {
		endpoint uuid.UUID
		keep     bool
	}{
		"deleted before the event": {earlier, false}, "deleted after it": {later, true}, "deleted shortly before it": {margin, true},
		"with a delivery": {delivered, true}, "with a roll-up": {counted, true},
	} {
		keys := fixture.Scalar[int](t, l.db, "SELECT count(*) FROM webhook_encryption_keys WHERE webhook_endpoint_id = $1", tc.endpoint)
		if l.has("webhook_endpoints", tc.endpoint) != tc.keep || (keys == 1) != tc.keep {
			t.Errorf("%s: kept %t with %d keys, want %t", name, l.has("webhook_endpoints", tc.endpoint), keys, tc.keep)
		}
	}
	// In time all of it goes, in one run.
	l.clock.Advance(40 * day)
	counts := l.run()
	if l.has("webhook_deliveries", d) || counts.Endpoints != 4 || counts.Events != 1 || counts.Rollups != 1 || !l.has("webhook_endpoints", live) {
		t.Errorf("counted %+v", counts)
	}
}

func (l *ledger) rollup(endpoint uuid.UUID, age time.Duration) {
	l.t.Helper()
	fixture.Exec(l.t, l.db, `INSERT INTO delivery_rollups (organization_id, webhook_endpoint_id, hour, error_kind, status_code, slot, attempts, first_attempts, succeeded, failed, latency)
		VALUES ($1, $2, date_trunc('hour', $3::timestamptz), '', 200, 0, 1, 1, 1, 0, '{1}')`, l.org, endpoint, l.ago(age))
}

func TestRun_RollupsOutliveTheAnalytics(t *testing.T) {
	t.Parallel()
	for days, oldest := range map[int]time.Duration{7: 31 * day, 30: 31 * day, 60: 60 * day} {
		l := newLedger(t)
		l.svc.Days = days
		e := l.endpoint(0)
		for _, age := range []time.Duration{0, 8 * day, oldest, oldest + time.Hour, oldest + 40*day} {
			l.rollup(e, age)
		}
		// The hour in which the reach of the analytics begins is still whole.
		if counts := l.run(); counts.Rollups != 2 {
			t.Errorf("%d days: %d roll-ups went, want 2", days, counts.Rollups)
		}
	}
}

func TestRun_EverythingElse(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	type row struct {
		table string
		id    uuid.UUID
		keep  bool
	}
	var rows []row
	add := func(table string, keep bool, columns map[string]any) {
		rows = append(rows, row{table, l.insert(table, columns), keep})
	}
	for age, keep := range map[time.Duration]bool{29 * day: true, 31 * day: false} {
		add("jobs", keep, map[string]any{
			"type": "delivery_retry", "status": "completed", "rate_per_second": 1, "filters": "{}", "created_by_type": "system",
			"created_at": l.ago(40 * day), "updated_at": l.ago(age), "finished_at": l.ago(age),
		})
	}
	add("jobs", true, map[string]any{
		"type": "delivery_retry", "status": "running", "rate_per_second": 1, "filters": "{}", "created_by_type": "system",
		"created_at": l.ago(90 * day), "updated_at": l.ago(90 * day),
	})
	key := l.insert("api_keys", map[string]any{
		"name": "k", "key_hash": strings.Repeat("0", 64), "master_key_id": "test", "hint": "h", "scopes": "{webhooks:read}",
		"created_at": l.ago(day), "updated_at": l.ago(day),
	})
	for age, keep := range map[time.Duration]bool{23 * time.Hour: true, 25 * time.Hour: false} {
		add("idempotency_keys", keep, map[string]any{
			"api_key_id": key, "idempotency_key": age.String(), "fingerprint": "f", "master_key_id": "test", "status_code": 200, "sealed_response": "s",
			"created_at": l.ago(age),
		})
	}
	for age, keep := range map[time.Duration]bool{364 * day: true, 366 * day: false} {
		add("audit_logs", keep, map[string]any{"actor_type": "system", "event": "test", "created_at": l.ago(age)})
	}
	for age, keep := range map[time.Duration]bool{day: true, 31 * day: false} {
		add("invitations", keep, map[string]any{
			"email": age.String() + "@example.com", "role": "member", "token_hash": []byte(age.String()), "created_at": l.ago(60 * day), "expires_at": l.ago(age),
		})
	}
	user := fixture.UserID(t, fixture.User(t, l.db, l.org, "member"))
	for age, keep := range map[time.Duration]bool{-time.Hour: true, time.Second: false} {
		add("login_sessions", keep, map[string]any{
			"user_id": user, "token_hash": []byte(age.String()), "csrf_token": "c", "created_at": l.ago(day), "last_seen_at": l.ago(day), "expires_at": l.ago(age),
			"reauthenticated_at": l.ago(day),
		})
	}
	for _, age := range []time.Duration{0, 29 * day, 30 * day} {
		fixture.Exec(t, l.db, "INSERT INTO api_key_calls (organization_id, api_key_id, day, calls) VALUES ($1, $2, $3, 1)", l.org, key, l.ago(age))
	}
	got := l.run()
	if diff := cmp.Diff(retention.Counts{Jobs: 1, Calls: 1, Idempotency: 1, Audit: 1, Invitations: 1, SignIns: 1}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, r := range rows {
		if l.has(r.table, r.id) != r.keep {
			t.Errorf("a row of %s is kept: %t", r.table, !r.keep)
		}
	}
}

func TestRun_GoesOnAfterAFullBatch(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	fixture.Exec(t, l.db, `INSERT INTO audit_logs (id, organization_id, actor_type, event, created_at)
		SELECT gen_random_uuid(), $1, 'system', 'test', $2 FROM generate_series(1, 1234)`, l.org, l.ago(400*day))
	a, b := l.endpoint(0), l.endpoint(0)
	fixture.Exec(t, l.db, `INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, created_at)
		SELECT gen_random_uuid(), $1, 'webhook.test', 'webhook_endpoint', $2, $3 FROM generate_series(1, 700)`, l.org, a, l.ago(31*day))
	fixture.Exec(t, l.db, `INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload_scrubbed_at, created_at, updated_at)
		SELECT gen_random_uuid(), v.organization_id, v.id, e.id, v.type, 'succeeded', v.created_at, v.created_at, v.created_at
		FROM events v CROSS JOIN webhook_endpoints e WHERE e.id IN ($1, $2)`, a, b)
	if got := l.run(); got.Audit != 1234 || got.Events != 700 || got.Deliveries != 1400 {
		t.Errorf("counted %+v", got)
	}
}

func TestRun_AnErrorInOneTableDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	fixture.Exec(t, l.db, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`)
	for _, table := range []string{"events", "audit_logs"} {
		fixture.Exec(t, l.db, "CREATE TRIGGER refuse BEFORE DELETE ON "+table+" FOR EACH ROW EXECUTE FUNCTION refuse()")
	}
	session, old := l.session(40*day, "expired"), l.session(40*day, "expired")
	e := l.event(40*day, session)
	d := l.delivery(e, l.endpoint(0), "succeeded")
	row := l.insert("audit_logs", map[string]any{"actor_type": "system", "event": "test", "created_at": l.ago(400 * day)})
	got, err := l.svc.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "purge events") || !strings.Contains(err.Error(), "purge audit rows") {
		t.Errorf("error %v, want one of each table", err)
	}
	if diff := cmp.Diff(retention.Counts{Sessions: 1}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if l.has("verification_sessions", old) || !l.has("verification_sessions", session) || !l.has("events", e) || !l.has("webhook_deliveries", d) || !l.has("audit_logs", row) {
		t.Error("a batch that failed left traces, or stopped another")
	}
}

func TestRun_LeavesWhatOthersHold(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	a := l.endpoint(0)
	busy, free := l.event(40*day, l.session(40*day, "succeeded")), l.event(41*day, l.session(40*day, "succeeded"))
	held := l.delivery(busy, a, "succeeded")
	l.delivery(free, a, "succeeded")
	session := l.session(40*day, "expired")
	err := l.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		if err := tx.Exec("SELECT 1 FROM webhook_deliveries WHERE id = $1 FOR UPDATE", held).Error; err != nil {
			return err
		}
		if err := tx.Exec("SELECT 1 FROM verification_sessions WHERE id = $1 FOR UPDATE", session).Error; err != nil {
			return err
		}
		if got := l.run(); got.Events != 1 || got.Deliveries != 1 || got.Sessions != 1 {
			t.Errorf("counted %+v while a delivery and a session are held", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.run(); got.Events != 1 || got.Deliveries != 1 || got.Sessions != 2 {
		t.Errorf("counted %+v afterwards", got)
	}
}

func TestRun_ManyProcessesAtOnce(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	a := l.endpoint(0)
	const events = 60
	for range events {
		l.delivery(l.event(40*day, l.session(40*day, "succeeded")), a, "succeeded")
	}
	var mu sync.Mutex
	var sum int64
	var processes sync.WaitGroup
	for range 6 {
		processes.Go(func() {
			got, err := (&retention.Service{DB: l.db, Days: 30}).Run(t.Context())
			mu.Lock()
			defer mu.Unlock()
			sum += got.Events
			if err != nil {
				t.Error(err)
			}
		})
	}
	processes.Wait()
	if sum != events {
		t.Errorf("%d events counted, want %d", sum, events)
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for after, want := range map[string]string{
		"2026-03-02T00:00:00Z":           "2026-03-02T02:23:00Z",
		"2026-03-02T02:22:59.999999Z":    "2026-03-02T02:23:00Z",
		"2026-03-02T02:23:00Z":           "2026-03-03T02:23:00Z",
		"2026-12-31T23:00:00Z":           "2027-01-01T02:23:00Z",
		"2026-03-02T03:00:00+01:00":      "2026-03-02T02:23:00Z",
		"2026-03-29T04:00:00.5+02:00":    "2026-03-29T02:23:00Z",
		"2026-03-02T20:00:00.123-10:00":  "2026-03-04T02:23:00Z",
		"2026-02-28T02:23:00.000000001Z": "2026-03-01T02:23:00Z",
	} {
		if got := retention.Next(at(after)); !got.Equal(at(want)) {
			t.Errorf("after %s: %s, want %s", after, got, want)
		}
	}
}

func TestRunDue_OnceADay(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	due := func() bool {
		t.Helper()
		old := l.session(40*day, "expired")
		n, err := l.svc.RunDue(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		gone := !l.has("verification_sessions", old)
		if gone != (n > 0) {
			t.Errorf("reported %d, did %t", n, gone)
		}
		return gone
	}
	if due() { // half past nine
		t.Error("ran at start")
	}
	runs := 0
	for minutes := range 3 * 24 * 60 {
		l.clock.Advance(time.Minute)
		now := l.db.Now()
		at := now.Hour() == 2 && now.Minute() == 23
		if !at && minutes%240 != 0 { // a look now and then shows as much as one every minute
			continue
		}
		if got := due(); got != at {
			t.Errorf("at %s ran: %t", now, got)
		} else if got {
			runs++
		}
	}
	if runs != 3 {
		t.Errorf("ran %d times in three days", runs)
	}
	// A process that starts late does the run of the day; one that starts later still waits for the next.
	for start, want := range map[time.Duration]bool{0: true, 59 * time.Minute: true, 61 * time.Minute: false, -time.Minute: false} {
		l.clock.Set(fixture.Start.Truncate(day).Add(10*day + 2*time.Hour + 23*time.Minute + start))
		l.svc = &retention.Service{DB: l.db, Days: 30}
		if got := due(); got != want {
			t.Errorf("a start %s after 02:23 runs: %t", start, got)
		}
	}
}

func TestRunDue_TriesAgainAfterAnError(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	old := l.session(40*day, "expired")
	l.clock.Set(fixture.Start.Truncate(day).Add(day + 2*time.Hour + 23*time.Minute))
	fixture.Exec(t, l.db, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`)
	fixture.Exec(t, l.db, "CREATE TRIGGER refuse BEFORE DELETE ON verification_sessions FOR EACH ROW EXECUTE FUNCTION refuse()")
	errs := 0
	for range 9 {
		if _, err := l.svc.RunDue(t.Context()); err != nil {
			errs++
		}
		l.clock.Advance(time.Minute)
	}
	fixture.Exec(t, l.db, "DROP TRIGGER refuse ON verification_sessions")
	l.clock.Advance(time.Minute)
	n, err := l.svc.RunDue(t.Context())
	if errs != 1 || err != nil || n != 1 || l.has("verification_sessions", old) {
		t.Error(errs, n, errors.Unwrap(err))
	}
}
