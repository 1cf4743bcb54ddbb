package delivery

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// What one batch counts is added to what the batches before it counted, each bucket of latency to its own.
func TestTallies_AddUp(t *testing.T) {
	t.Parallel()
	db := fixture.DB(t)
	org, _ := fixture.Organization(t, db)
	endpoint := id.Endpoint{UUID: uuid.New()}
	at := time.Date(2026, 3, 2, 12, 30, 0, 0, time.UTC)
	fixture.Exec(t, db, `INSERT INTO webhook_endpoints (id, organization_id, url, subscribed_event_types, signing_secret, signing_secret_rotated_at, created_at, updated_at)
		VALUES ($1, $2, 'https://example.com/', '{verification.session.succeeded}', 'sealed', $3, $3, $3)`, endpoint, org, at)

	ok := 204
	longest := latencyBounds[len(latencyBounds)-1]
	want := make([]int, latencyBuckets)
	for batch := range 3 {
		counted := tallies{}
		for i, bound := range append(latencyBounds[:], longest+1) { // the bucket's number, plus one in each batch, tells it from its neighbours
			for range i + batch {
				counted.addAttempt(Attempt{OrganizationID: org, StatusCode: &ok, DurationMS: &bound, StartedAt: at}, endpoint)
			}
			want[i] += i + batch
		}
		if err := db.InTx(t.Context(), func(tx *postgres.Tx) error { return counted.write(tx, 0) }); err != nil {
			t.Fatal(err)
		}
	}

	type row struct {
		Attempts int
		Latency  string
	}
	var got []row
	if err := db.Reader(t.Context()).Raw("SELECT attempts, latency::text AS latency FROM delivery_rollups WHERE webhook_endpoint_id = $1", endpoint).Scan(&got).Error; err != nil {
		t.Fatal(err)
	}
	attempts := 0
	for _, n := range want {
		attempts += n
	}
	if diff := cmp.Diff([]row{{attempts, arrayText(want)}}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
