package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// recordState says what became of a report.
type recordState int

const (
	// fenced: the lease is no longer ours, so the result changes nothing.
	fenced recordState = iota
	// recorded: attempt and delivery are written.
	recorded
	// withdrawn: the row was marked meanwhile; the result must be settled with the session locked.
	withdrawn
)

// record writes the result of an attempt (contract section 7.6 step 5). It tries again while the lease can still be ours,
// so that a short outage of the database loses no result.
func (s *Service) record(ctx context.Context, r report) error {
	var state recordState
	results := s.results
	if r.outcome.kind == "" {
		results = s.successes
	}
	err := s.persist(ctx, r.claim.LeaseExpiresAt, func() (err error) {
		if state, err = results.Do(ctx, r); err != nil || state != withdrawn {
			return err
		}
		state, err = s.settle(ctx, r)
		return err
	})
	attrs := []any{ // strings, since whatever else has text is written twice to look for secrets in it
		"delivery_id", r.claim.ID.String(), "event_type", string(r.claim.EventType), "endpoint_id", r.claim.WebhookEndpointID.String(),
		"run", r.attempt.Run, "number", r.attempt.Number, "trigger", string(r.attempt.Trigger), "status_code", r.outcome.statusCode,
		"error_kind", string(r.outcome.kind), "duration_ms", r.outcome.endedAt.Sub(r.outcome.startedAt).Milliseconds(), "sent", !r.outcome.unsent,
	}
	switch {
	case err != nil:
		s.Log.ErrorContext(ctx, "attempt not recorded", append(attrs, "error", err)...)
	case state == fenced:
		s.Log.WarnContext(ctx, "late attempt discarded", attrs...)
	default:
		s.Log.InfoContext(ctx, "attempt", attrs...)
	}
	return err
}

// persist repeats f while the database is away, until the deadline.
func (s *Service) persist(ctx context.Context, deadline time.Time, f func() error) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := f()
		away := postgres.IsUnavailable(err) || errors.Is(err, context.DeadlineExceeded)
		if err == nil || !away || !s.DB.Now().Add(wait).Before(deadline) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

// locked is a delivering row under lock, with what decide needs.
type locked struct {
	ID                id.Delivery
	OrganizationID    id.Organization
	WebhookEndpointID id.Endpoint
	LeaseToken        uuid.UUID
	WithdrawnAt       *time.Time
	Standing          standing `gorm:"embedded"`
}

const lockedColumns = `d.id, d.organization_id, d.webhook_endpoint_id, d.lease_token, d.withdrawn_at, d.event_type, d.attempt_count, d.worker_lost_count,
	d.run, d.payload_expires_at, d.last_attempt_at, d.last_status_code, d.last_error_kind, d.last_duration_ms,
	e.enabled AS endpoint_enabled, e.deleted_at IS NOT NULL AS endpoint_deleted, e.undelivered_payload_retention_hours AS retention_hours`

// recordBatch writes the results of many attempts in one transaction.
func (s *Service) recordBatch(ctx context.Context, reports []report) ([]recordState, error) {
	var states []recordState
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		states = make([]recordState, len(reports))
		// A failing result reads whether its endpoint is enabled; nobody may change that before we have written. Endpoints are
		// locked before deliveries (contract section 4.2).
		var failing []id.Organization
		ids := make([]uuid.UUID, len(reports))
		for i, r := range reports {
			ids[i] = r.claim.ID.UUID
			if r.outcome.kind != "" {
				failing = append(failing, r.claim.OrganizationID)
			}
		}
		if len(failing) > 0 {
			tx.ShareOrganizations(failing...)
		}
		var rows []locked
		err := tx.Raw(`SELECT `+lockedColumns+` FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.webhook_endpoint_id
			WHERE d.id = ANY($1::uuid[]) AND d.status = 'delivering' ORDER BY d.id FOR UPDATE OF d`, ids).Scan(&rows).Error
		if err != nil {
			return fmt.Errorf("lock deliveries: %w", err)
		}
		held := make(map[id.Delivery]locked, len(rows))
		for _, row := range rows {
			held[row.ID] = row
		}
		w := s.newWriter(tx, s.slot)
		for i, r := range reports {
			row, ok := held[r.claim.ID]
			switch {
			case !ok || row.LeaseToken != r.claim.LeaseToken:
			case row.WithdrawnAt != nil:
				states[i] = withdrawn
			default:
				states[i] = recorded
				w.add(row, r.outcome, r.attempt)
			}
		}
		return w.write()
	})
	return states, err
}

// settle records the result of a delivery that was withdrawn while in flight: with the session locked first (contract
// section 4.5, last paragraph).
func (s *Service) settle(ctx context.Context, r report) (recordState, error) {
	state := fenced
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		state = fenced
		original, err := event.Find(tx, r.claim.OrganizationID, r.claim.EventID)
		if err != nil {
			return err
		}
		return s.Settler.SettleWithdrawn(tx, r.claim.OrganizationID, original.SessionID(), func() (bool, error) {
			var rows []locked
			err := tx.Raw(`SELECT `+lockedColumns+` FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.webhook_endpoint_id
				WHERE d.id = $1 AND d.lease_token = $2 FOR UPDATE OF d`, r.claim.ID, r.claim.LeaseToken).Scan(&rows).Error
			if err != nil || len(rows) == 0 {
				return false, err
			}
			state = recorded
			w := s.newWriter(tx, s.slot)
			w.addWithdrawn(rows[0], r.outcome, r.attempt)
			return true, w.write()
		})
	})
	return state, err
}
