package verification

import (
	"fmt"
	"time"

	"kaylehooks/internal/postgres"
)

// Purge deletes up to limit terminal sessions that finished before a time and whose events are gone (contract section 10),
// and returns how many.
func Purge(tx *postgres.Tx, before time.Time, limit int) (int64, error) {
	res := tx.Exec(`DELETE FROM verification_sessions WHERE id IN (
			SELECT s.id FROM verification_sessions s
			WHERE s.completed_at < $1 AND NOT EXISTS (SELECT 1 FROM events e WHERE e.trigger_id = s.id AND e.trigger_type = 'verification_session')
			ORDER BY s.completed_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, before, limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge sessions: %w", res.Error)
	}
	return res.RowsAffected, nil
}

// CountByMasterKey returns how many hashes of cancel tokens belong to each master key id, over all organizations: what stands in the way
// of dropping an old master key. A token that was used is among them, since it is answered as before when it comes again (INV-20).
func CountByMasterKey(tx *postgres.Tx) (map[string]int64, error) {
	var rows []struct {
		MasterKeyID string
		N           int64
	}
	err := tx.Raw("SELECT cancel_token_master_key_id AS master_key_id, count(*) AS n FROM verification_sessions GROUP BY 1").Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("count cancel token hashes: %w", err)
	}
	counts := make(map[string]int64, len(rows))
	for _, r := range rows {
		counts[r.MasterKeyID] = r.N
	}
	return counts, nil
}
