package webhook_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

// Of two publications at once, both believe theirs to be the first use of a key.
func TestNoteFirstUse_KeepsTheFirst(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	e, _ := v.create(oldKeys)
	k, err := v.under(oldKeys).AddKey(t.Context(), v.owner, e, webhook.PublicKeyInput{KeyID: "k1", Algorithm: "RSA-OAEP-256", KeyType: "RSA", JWK: fixture.PublicJWK()})
	if err != nil {
		t.Fatal(err)
	}
	var first time.Time
	for i := range 2 {
		err := v.db.InTx(t.Context(), func(tx *postgres.Tx) error {
			if i == 0 {
				first = tx.Now
			}
			tx.Now = first.Add(time.Duration(i) * time.Minute)
			return webhook.NoteFirstUse(tx, []uuid.UUID{k.ID.UUID})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := fixture.Scalar[time.Time](t, v.db, "SELECT first_used_at FROM webhook_encryption_keys WHERE id = $1", k.ID); !got.Equal(first) {
		t.Errorf("first used at %s, want %s", got, first)
	}
}
