package delivery_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

func TestForecast_OfAllOrOfSomeEndpoints(t *testing.T) {
	t.Parallel()
	db := fixture.DB(t)
	_, owner := fixture.Organization(t, db)
	_, neighbour := fixture.Organization(t, db)
	svc := delivery.New(delivery.Config{DB: db, Keyring: fixture.Keyring(), Worker: "test"})
	// waiting adds an endpoint with one delivery that is due after so many minutes.
	waiting := func(org id.Organization, minutes int) id.Endpoint {
		t.Helper()
		e := id.Endpoint{UUID: uuid.New()}
		fixture.Exec(t, db, `INSERT INTO webhook_endpoints (id, organization_id, url, subscribed_event_types, signing_secret, signing_secret_rotated_at, created_at, updated_at)
			VALUES ($1, $2, 'https://a.example/', '{verification.session.failed}', 's', now(), now(), now())`, e, org)
		err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			if err := tx.Exec("SET LOCAL session_replication_role = replica").Error; err != nil { // there is no event
				return err
			}
			return tx.Exec(`INSERT INTO webhook_deliveries (id, organization_id, event_id, webhook_endpoint_id, event_type, status, payload, payload_expires_at, payload_retention_reason, next_attempt_at, created_at, updated_at)
				VALUES (gen_random_uuid(), $1, gen_random_uuid(), $2, 'verification.session.failed', 'pending', 'x', now() + interval '1 day', 'pending_delivery', now() + make_interval(mins => $3), now(), now())`, org, e, minutes).Error
		})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	overdue, soon, later := waiting(owner.Organization, -30), waiting(owner.Organization, 30), waiting(owner.Organization, 90)
	others := waiting(neighbour.Organization, 30)
	for name, tc := range map[string]struct {
		only []id.Endpoint
		want []int
	}{
		"all":                  {nil, []int{2, 1, 0}},
		"two":                  {[]id.Endpoint{overdue, later}, []int{1, 1, 0}},
		"one":                  {[]id.Endpoint{soon}, []int{1, 0, 0}},
		"somebody else's only": {[]id.Endpoint{others}, []int{0, 0, 0}},
	} {
		got, err := svc.Forecast(t.Context(), owner, time.Now(), 3, tc.only...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestCountBacklog_OfOneOrganizationOrOfAll(t *testing.T) {
	t.Parallel()
	ours := newBulk(t)
	theirs := &bulk{t: t, db: ours.db, clock: ours.clock, svc: ours.svc}
	_, theirs.owner = fixture.Organization(t, ours.db)
	first := ours.db.Now().Add(2*time.Hour + time.Microsecond) // when what is added first becomes due
	busy, quiet, elsewhere := ours.endpoint(), ours.endpoint(), theirs.endpoint()
	theirs.addMany(4, elsewhere, "pending")
	ours.addMany(2, busy, "pending")
	ours.add(quiet, "pending")
	ours.addMany(2, quiet, "delivering")
	theirs.add(elsewhere, "delivering")
	ours.add(busy, "failed")
	ours.clock.Advance(2 * time.Hour)
	ours.addMany(3, busy, "pending") // for later
	for name, want := range map[string]struct {
		of   id.Organization
		want delivery.Backlog
	}{
		"ours":     {ours.owner.Organization, delivery.Backlog{Due: 3, InFlight: 2, OldestDue: new(first.Add(4 * time.Microsecond))}},
		"theirs":   {theirs.owner.Organization, delivery.Backlog{Due: 4, InFlight: 1, OldestDue: &first}},
		"all":      {id.Organization{}, delivery.Backlog{Due: 7, InFlight: 3, OldestDue: &first}},
		"nobody's": {id.Organization{UUID: uuid.New()}, delivery.Backlog{}},
	} {
		got, err := ours.svc.CountBacklog(t.Context(), want.of)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
