package idempotency_test

import (
	"testing"

	"github.com/google/uuid"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/idempotency"
	"kaylehooks/internal/postgres"
)

func TestResealBatch_GoesOnFromBatchToBatch(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	old, both := fixture.KeyringOf("old"), fixture.KeyringOf("new", "old")
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		l.want(old, l.request(name, "{}"), name, name, false)
	}
	lost := fixture.KeyringOf("lost")
	l.want(lost, l.request("f", "{}"), "f", "f", false)
	owner := l.request("a", "").APIKey
	batch := func(keys []id.APIKey, after uuid.UUID) idempotency.Resealed {
		t.Helper()
		var r idempotency.Resealed
		err := l.db.InTx(t.Context(), func(tx *postgres.Tx) (err error) {
			r, err = idempotency.ResealBatch(tx, both, keys, after, 4)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, none := range [][]id.APIKey{nil, {{UUID: uuid.New()}}} {
		if got := batch(none, uuid.Nil); got != (idempotency.Resealed{}) {
			t.Errorf("of other keys %+v", got)
		}
	}
	one := batch([]id.APIKey{owner}, uuid.Nil)
	two := batch([]id.APIKey{owner}, one.Last)
	if one.Seen != 4 || two.Seen != 2 || one.Moved+two.Moved != 5 || one.Unreadable+two.Unreadable != 1 {
		t.Errorf("got %+v, then %+v", one, two)
	}
	if again := batch([]id.APIKey{owner}, uuid.Nil); again.Moved != 0 {
		t.Errorf("again %+v", again)
	}
	for _, name := range names {
		l.want(both, l.request(name, "{}"), "another", name, true)
	}
}
