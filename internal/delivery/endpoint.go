package delivery

import (
	"fmt"

	"github.com/google/uuid"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Park takes the pending deliveries of an endpoint that is being disabled off the schedule; no attempt is used.
func (s *Service) Park(tx *postgres.Tx, endpoint id.Endpoint) error {
	err := tx.Exec(`WITH parked AS (
			SELECT id FROM webhook_deliveries WHERE webhook_endpoint_id = $1 AND status = 'pending' AND next_attempt_at IS NOT NULL ORDER BY id FOR UPDATE
		)
		UPDATE webhook_deliveries d SET next_attempt_at = NULL, updated_at = $2 FROM parked WHERE d.id = parked.id`, endpoint, tx.Now).Error
	if err != nil {
		return fmt.Errorf("park deliveries of %s: %w", endpoint, err)
	}
	return nil
}

// Resume makes the parked deliveries of an endpoint that is being enabled due now, unless their payload has expired.
func (s *Service) Resume(tx *postgres.Tx, endpoint id.Endpoint) error {
	res := tx.Exec(`WITH parked AS (
			SELECT id FROM webhook_deliveries WHERE webhook_endpoint_id = $1 AND status = 'pending' AND next_attempt_at IS NULL AND payload_expires_at > $2 ORDER BY id FOR UPDATE
		)
		UPDATE webhook_deliveries d SET next_attempt_at = $2, rung_at = NULL, updated_at = $2 FROM parked WHERE d.id = parked.id`, endpoint, tx.Now)
	if res.Error != nil {
		return fmt.Errorf("resume deliveries of %s: %w", endpoint, res.Error)
	}
	if res.RowsAffected > 0 {
		s.ring(tx, []Due{{EndpointID: endpoint}})
	}
	return nil
}

// Abandon ends the pending deliveries of an endpoint that is being deleted, erases every payload held for it and returns
// how many deliveries it ended. Deliveries in flight are settled by their result (contract section 5.3).
func (s *Service) Abandon(tx *postgres.Tx, org id.Organization, endpoint id.Endpoint) (int, error) {
	var rows []struct {
		ID         uuid.UUID
		WasPending bool
	}
	err := tx.Raw(`WITH held AS (
			SELECT id, status FROM webhook_deliveries WHERE webhook_endpoint_id = $1 AND payload IS NOT NULL AND status IN ('pending', 'failed') ORDER BY id FOR UPDATE
		)
		UPDATE webhook_deliveries d SET status = 'failed', next_attempt_at = NULL, payload = NULL, payload_expires_at = NULL,
			payload_scrubbed_at = $2, payload_retention_reason = 'endpoint_deleted', updated_at = $2
		FROM held WHERE d.id = held.id RETURNING d.id, held.status = 'pending' AS was_pending`, endpoint, tx.Now).Scan(&rows).Error
	if err != nil {
		return 0, fmt.Errorf("abandon deliveries of %s: %w", endpoint, err)
	}
	ended, count := tallies{}, 0
	for _, row := range rows {
		if row.WasPending {
			ended.addEnd(org, endpoint, tx.Now, Failed, ErrorKind(EndpointDeleted), 0)
			count++
		}
	}
	return count, ended.write(tx, randomSlot())
}
