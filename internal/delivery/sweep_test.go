package delivery_test

import (
	"testing"
	"time"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
)

// refuse makes the database refuse every change of a delivery.
func (b *bulk) refuse(d id.Delivery) {
	b.t.Helper()
	fixture.Exec(b.t, b.db, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$`)
	fixture.Exec(b.t, b.db, `CREATE TRIGGER refuse BEFORE UPDATE ON webhook_deliveries FOR EACH ROW WHEN (OLD.id = '`+d.UUID.String()+`') EXECUTE FUNCTION refuse()`)
}

// All leases that have ended are taken back in one pass, however many (INV-7), and a row that cannot be stops no other.
func TestSweepLeases_TakesAllButWhatIsBroken(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	rows := b.addMany(8, b.endpoint(), "delivering")
	b.clock.Advance(time.Minute)
	b.refuse(rows[1])
	taken, err := b.svc.SweepLeases(t.Context(), 3)
	if left := fixture.Scalar[string](t, b.db, "SELECT string_agg(id::text, ' ') FROM webhook_deliveries WHERE status = 'delivering'"); taken != 7 || err == nil || left != rows[1].UUID.String() {
		t.Errorf("took %d and left %s, %v, want all but %s, and to hear of that", taken, left, err, rows[1].UUID)
	}
	if n := fixture.Scalar[int](t, b.db, "SELECT count(*) FROM webhook_delivery_attempts WHERE error_kind = 'worker_lost'"); n != 7 {
		t.Errorf("%d attempts were recorded, want 7", n)
	}
	fixture.Exec(t, b.db, "DROP TRIGGER refuse ON webhook_deliveries")
	for _, want := range []int{1, 0} {
		if taken, err = b.svc.SweepLeases(t.Context(), 3); taken != want || err != nil {
			t.Errorf("then took %d, %v, want %d", taken, err, want)
		}
	}
}

// What expired first is erased first, whichever endpoint it is of, and a payload that cannot be stops no other.
func TestSweepPayloads_OldestFirstAndAllButWhatIsBroken(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	first, second := b.endpoint(), b.endpoint()
	rows := []id.Delivery{b.add(second, "pending"), b.add(first, "failed"), b.add(second, "failed"), b.add(first, "pending"), b.add(second, "failed")}
	b.clock.Advance(48 * time.Hour)
	held := func() int {
		return fixture.Scalar[int](t, b.db, "SELECT count(*) FROM webhook_deliveries WHERE payload IS NOT NULL")
	}
	for i := range 2 {
		n, err := b.svc.SweepPayloads(t.Context(), 1)
		b.check(err)
		if gone := fixture.Scalar[int](t, b.db, "SELECT count(*) FROM webhook_deliveries WHERE payload IS NULL AND id = $1", rows[i]); n != 1 || gone != 1 || held() != len(rows)-1-i {
			t.Errorf("sweep %d erased %d, %d are held, that of %s is erased: %d", i, n, held(), rows[i].UUID, gone)
		}
	}
	b.refuse(rows[2])
	if n, err := b.svc.SweepPayloads(t.Context(), 10); n != 2 || err == nil || held() != 1 {
		t.Errorf("erased %d, %d are held, %v, want 2, 1 and to hear of that", n, held(), err)
	}
}
