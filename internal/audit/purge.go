package audit

import (
	"fmt"
	"time"

	"kaylehooks/internal/postgres"
)

// Keep is how long rows are kept (AUDIT_RETENTION).
const Keep = 365 * 24 * time.Hour

// Purge deletes up to limit rows older than Keep and returns how many. It goes organization by organization, oldest first, which is
// the order of their index.
func Purge(tx *postgres.Tx, limit int) (int64, error) {
	var n int64
	err := tx.WithoutSort(func() error {
		res := tx.Exec(`DELETE FROM audit_logs WHERE id = ANY(ARRAY(
			SELECT old.id FROM organizations o CROSS JOIN LATERAL (
				SELECT a.id FROM audit_logs a WHERE a.organization_id = o.id AND a.created_at < $1 ORDER BY a.created_at, a.id LIMIT $2 FOR UPDATE SKIP LOCKED
			) AS old LIMIT $2))`, tx.Now.Add(-Keep), limit)
		n = res.RowsAffected
		return res.Error
	})
	if err != nil {
		return 0, fmt.Errorf("purge audit rows: %w", err)
	}
	return n, nil
}
