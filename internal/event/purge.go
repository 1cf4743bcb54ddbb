package event

import (
	"fmt"

	"github.com/google/uuid"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Purge deletes events and returns how many. The caller has deleted their deliveries and names an original together with
// its replacement; the database refuses anything else.
func Purge(tx *postgres.Tx, events []id.Event) (int64, error) {
	if len(events) == 0 {
		return 0, nil
	}
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.UUID
	}
	res := tx.Exec("DELETE FROM events WHERE id = ANY($1::uuid[])", ids)
	if res.Error != nil {
		return 0, fmt.Errorf("purge events: %w", res.Error)
	}
	return res.RowsAffected, nil
}
