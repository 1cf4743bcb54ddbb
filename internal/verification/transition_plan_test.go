package verification

import (
	"testing"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
)

// Sessions that start or end are found by their ids, also in a rush that came after the statistics were taken: how many are open is not in
// them.
func TestTransition_ReadsWhatItChanges(t *testing.T) {
	t.Parallel()
	const ended, open, changed = 3000, 2000, 20
	db := fixture.DB(t)
	org, owner := fixture.Organization(t, db)
	store := func(n int, status Status, completed string) {
		fixture.Exec(t, db, `INSERT INTO verification_sessions (id, organization_id, status, share_fields, cancel_token_hash, cancel_token_master_key_id, expires_at, completed_at, created_at, updated_at)
			SELECT gen_random_uuid(), $1, $2, '{}', md5(random()::text) || md5(random()::text), 'test', now() + interval '1 hour', `+completed+`, now(), now() FROM generate_series(1, $3::int)`, org, status, n)
	}
	store(ended, Cancelled, "now()")
	fixture.Exec(t, db, "ANALYZE verification_sessions")
	store(open, Created, "NULL")
	var sessions []Session
	if err := db.Reader(t.Context()).Where("status = ?", Created).Limit(changed).Find(&sessions).Error; err != nil || len(sessions) != changed {
		t.Fatalf("%d sessions: %v", len(sessions), err)
	}
	svc := &Service{DB: db, Keyring: fixture.Keyring(), Deliveries: delivery.New(delivery.Config{DB: db, Keyring: fixture.Keyring(), Worker: "w"})}
	for what, change := range map[string]func(tx *postgres.Tx, s *Session) error{
		"start": func(tx *postgres.Tx, s *Session) error { return begin(tx, owner, s) },
		"end": func(tx *postgres.Tx, s *Session) error {
			return svc.finish(tx, ending{actor: owner, session: s, status: Cancelled, data: event.CancelledData{}})
		},
	} {
		var read int64
		err := db.InTx(t.Context(), func(tx *postgres.Tx) error {
			before := fixture.RowsRead(t, tx, "verification_sessions")
			for i := range sessions {
				s := sessions[i]
				if err := change(tx, &s); err != nil {
					return err
				}
			}
			read = fixture.RowsRead(t, tx, "verification_sessions") - before
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if read < changed || read > 4*changed {
			t.Errorf("%s: read %d sessions to change %d of %d", what, read, changed, open)
		}
	}
}
