package audit

import (
	"fmt"
	"time"

	"kaylehooks/internal/postgres"
)

// Keep is how long rows are kept (AUDIT_RETENTION).
const Keep = 365 * 24 * time.Hour

// Purge deletes up to limit rows older than Keep, oldest first, and returns how many.
func Purge(tx *postgres.Tx, limit int) (int64, error) {
	res := tx.Exec(`DELETE FROM audit_logs WHERE id IN (
		SELECT id FROM audit_logs WHERE created_at < $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, tx.Now.Add(-Keep), limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge audit rows: %w", res.Error)
	}
	return res.RowsAffected, nil
}
