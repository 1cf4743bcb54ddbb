package webhook

import (
	"fmt"

	"github.com/google/uuid"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Purge removes deleted endpoints and their keys and returns how many endpoints went. The caller knows that nothing refers
// to them any more; a live endpoint is left alone.
func Purge(tx *postgres.Tx, endpoints []id.Endpoint) (int64, error) {
	if len(endpoints) == 0 {
		return 0, nil
	}
	ids := make([]uuid.UUID, len(endpoints))
	for i, e := range endpoints {
		ids[i] = e.UUID
	}
	err := tx.Exec(`DELETE FROM webhook_encryption_keys k USING webhook_endpoints e
		WHERE e.id = k.webhook_endpoint_id AND e.deleted_at IS NOT NULL AND e.id = ANY($1::uuid[])`, ids).Error
	if err != nil {
		return 0, fmt.Errorf("purge encryption keys: %w", err)
	}
	res := tx.Exec("DELETE FROM webhook_endpoints WHERE id = ANY($1::uuid[]) AND deleted_at IS NOT NULL", ids)
	if res.Error != nil {
		return 0, fmt.Errorf("purge endpoints: %w", res.Error)
	}
	return res.RowsAffected, nil
}
