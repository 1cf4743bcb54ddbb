package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
)

// claim is a delivery that this worker alone may send, until its lease ends.
type claim struct {
	ID                id.Delivery
	OrganizationID    id.Organization
	WebhookEndpointID id.Endpoint
	EventID           id.Event
	EventType         event.Type
	Payload           string
	Run               int
	AttemptCount      int
	Trigger           Trigger
	LeaseToken        uuid.UUID
	LeaseExpiresAt    time.Time
	ClaimedAt         time.Time

	URL                            string
	SigningSecret                  *string
	PreviousSigningSecret          *string
	PreviousSigningSecretExpiresAt *time.Time
}

// claimBatch moves those of the deliveries that may be sent now from pending to delivering, each under a fresh lease
// token, in one statement (contract section 7.6 step 1). A delivery that may not be sent gives nil.
//
// A withdrawn delivery needs no test here: withdrawal leaves no delivery of the original event pending.
func (s *Service) claimBatch(ctx context.Context, ids []id.Delivery) ([]*claim, error) {
	natives, tokens := make([]uuid.UUID, len(ids)), make([]uuid.UUID, len(ids))
	for i, d := range ids {
		natives[i], tokens[i] = d.UUID, uuid.New()
	}
	tx := s.DB.Reader(ctx)
	var rows []claim
	err := tx.Raw(`WITH ticket AS (
				SELECT DISTINCT ON (t.id) t.id, t.token FROM UNNEST($1::uuid[], $2::uuid[]) AS t(id, token)
			), due AS (
				SELECT d.id, t.token FROM webhook_deliveries d
				JOIN ticket t ON t.id = d.id
				JOIN webhook_endpoints e ON e.id = d.webhook_endpoint_id
				WHERE d.status = 'pending' AND d.next_attempt_at <= $3 AND d.payload IS NOT NULL AND d.payload_expires_at > $3
					AND e.enabled AND e.deleted_at IS NULL
				ORDER BY d.id FOR UPDATE OF d
			)
			UPDATE webhook_deliveries d SET status = 'delivering', lease_token = due.token, lease_expires_at = $4,
				next_attempt_at = NULL, worker = $5, updated_at = $3
			FROM due, webhook_endpoints e
			WHERE d.id = due.id AND e.id = d.webhook_endpoint_id
			RETURNING d.id, d.organization_id, d.webhook_endpoint_id, d.event_id, d.event_type, d.payload, d.run, d.attempt_count,
				d.next_trigger AS trigger, d.lease_token, d.lease_expires_at, d.updated_at AS claimed_at,
				e.url, e.signing_secret, e.previous_signing_secret, e.previous_signing_secret_expires_at`,
		natives, tokens, tx.Now, tx.Now.Add(Lease), s.Worker).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("claim deliveries: %w", err)
	}
	won := make(map[id.Delivery]*claim, len(rows))
	for i := range rows {
		won[rows[i].ID] = &rows[i]
	}
	out := make([]*claim, len(ids))
	for i, d := range ids {
		out[i] = won[d]
		delete(won, d) // asked for twice in one batch: the first one has it
	}
	return out, nil
}

// recheckAfter is the age of a claim from which its circumstances are read again before sending.
const recheckAfter = 250 * time.Millisecond

// verdict of the pre-send check.
type verdict int

const (
	maySend verdict = iota
	leaseLost
	withdrawnMeanwhile
	disabledMeanwhile
	deletedMeanwhile
)

// recheck reads what may have changed since the claim and refreshes URL and secrets (contract section 7.6 step 3).
func (s *Service) recheck(ctx context.Context, c *claim) (verdict, error) {
	tx := s.DB.Reader(ctx)
	if c.LeaseExpiresAt.Sub(tx.Now) < HTTPTimeout {
		return leaseLost, nil
	}
	if tx.Now.Sub(c.ClaimedAt) < recheckAfter {
		return maySend, nil
	}
	var now []struct {
		WithdrawnAt *time.Time
		webhook.Endpoint
	}
	err := tx.Raw(`SELECT d.withdrawn_at, e.* FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.webhook_endpoint_id
		WHERE d.id = $1 AND d.lease_token = $2`, c.ID, c.LeaseToken).Scan(&now).Error
	switch {
	case err != nil:
		return leaseLost, fmt.Errorf("check claim: %w", err)
	case len(now) == 0:
		return leaseLost, nil
	case now[0].WithdrawnAt != nil:
		return withdrawnMeanwhile, nil
	case now[0].DeletedAt != nil:
		return deletedMeanwhile, nil
	case !now[0].Enabled:
		return disabledMeanwhile, nil
	}
	e := now[0].Endpoint
	c.URL, c.SigningSecret = e.URL, e.SigningSecret
	c.PreviousSigningSecret, c.PreviousSigningSecretExpiresAt = e.PreviousSigningSecret, e.PreviousSigningSecretExpiresAt
	return maySend, nil
}
