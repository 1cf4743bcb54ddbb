package idempotency

import (
	"fmt"

	"github.com/google/uuid"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

// Resealed is what became of a batch of stored responses.
type Resealed struct {
	// Seen is how many records the batch had; fewer than the limit means that it was the last one. Last is its last record.
	Seen int
	Last uuid.UUID
	// Moved is how many were moved to the first master key, Unreadable how many no master key opens.
	Moved, Unreadable int
}

// ResealBatch moves up to limit stored responses of the API keys to the first master key, in ascending order of records
// after a given one (contract section 2.4). No request waits for it. Fingerprints stay with the master key that made
// them: they last for TTL only.
func ResealBatch(tx *postgres.Tx, keyring *seal.Keyring, keys []id.APIKey, after uuid.UUID, limit int) (Resealed, error) {
	r := Resealed{Last: after}
	if len(keys) == 0 {
		return r, nil
	}
	owners := make([]uuid.UUID, len(keys))
	for i, key := range keys {
		owners[i] = key.UUID
	}
	var rows []record
	err := tx.Raw("SELECT id, sealed_response FROM idempotency_keys WHERE api_key_id = ANY($1::uuid[]) AND id > $2 ORDER BY id LIMIT $3", owners, after, limit).Scan(&rows).Error
	if err != nil {
		return r, fmt.Errorf("load idempotency records: %w", err)
	}
	for _, row := range rows {
		r.Seen, r.Last = r.Seen+1, row.ID
		if !keyring.NeedsReseal(row.SealedResponse) {
			continue
		}
		fresh, err := keyring.Reseal(subject(row.ID), row.SealedResponse)
		if err != nil {
			r.Unreadable++ // it lasts for TTL only
			continue
		}
		res := tx.Exec("UPDATE idempotency_keys SET sealed_response = $1 WHERE id = $2 AND sealed_response = $3", fresh, row.ID, row.SealedResponse)
		if res.Error != nil {
			return r, fmt.Errorf("reseal idempotency record %s: %w", row.ID, res.Error)
		}
		r.Moved += int(res.RowsAffected)
	}
	return r, nil
}
