package verification

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// fewUndelivered is how many undelivered webhooks, and events for nobody, are looked up one by one. Where there are more, a
// page of their sessions is soon found by looking through the sessions.
const fewUndelivered = 4000

// decisive is an event that says how its session ended: one that a withdrawal replaced does not.
const decisive = "e.trigger_type = 'verification_session' AND e.superseded_by_event_id IS NULL"

// whereUndelivered keeps what [Filter].Undelivered does. Few sessions among many are found by way of their webhooks, whose
// index knows the status: looking through all sessions would take the longer the better everything works. Webhooks come
// after their session was created, so from bounds them too.
func whereUndelivered(tx *postgres.Tx, q *gorm.DB, org id.Organization, from time.Time) (*gorm.DB, error) {
	q = q.Where("s.completed_at IS NOT NULL")
	events := []uuid.UUID{}
	for _, part := range []string{
		"SELECT d.event_id FROM webhook_deliveries d WHERE d.organization_id = ? AND d.status = 'failed' AND d.created_at >= ? ORDER BY d.created_at DESC, d.id DESC LIMIT ?",
		"SELECT d.event_id FROM webhook_deliveries d WHERE d.organization_id = ? AND d.status = 'pending' AND d.created_at >= ? ORDER BY d.created_at DESC, d.id DESC LIMIT ?",
		"SELECT d.event_id FROM webhook_deliveries d WHERE d.organization_id = ? AND d.status = 'delivering' AND d.created_at >= ? ORDER BY d.created_at DESC, d.id DESC LIMIT ?",
		"SELECT e.id FROM events e WHERE e.organization_id = ? AND e.created_at >= ? AND " + event.Unreached + " ORDER BY e.created_at DESC, e.id DESC LIMIT ?",
	} {
		var found []uuid.UUID
		if err := tx.Raw(part, org, from, fewUndelivered+1-len(events)).Scan(&found).Error; err != nil {
			return nil, fmt.Errorf("find undelivered events: %w", err)
		}
		if events = append(events, found...); len(events) > fewUndelivered {
			return q.Where("EXISTS (SELECT FROM events e WHERE e.trigger_id = s.id AND " + decisive + " AND (" + event.Unreached +
				" OR EXISTS (SELECT FROM webhook_deliveries d WHERE d.event_id = e.id AND d.status <> 'succeeded')))"), nil
		}
	}
	return q.Where("s.id IN (SELECT e.trigger_id FROM events e WHERE e.id = ANY(?) AND "+decisive+")", postgres.UUIDArray(events)), nil
}
