package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// requeueRow is a delivery under lock, with what a retry needs to know of its endpoint.
type requeueRow struct {
	Delivery
	EndpointEnabled bool
	RetentionHours  int
}

// Retry makes a delivery due now: a waiting one in its present run, a failed one as a new run of eight attempts (contract
// section 7.10). It needs webhooks:write; ErrNotFound, ErrInFlight, ErrPayloadGone, ErrEndpointDisabled.
func (s *Service) Retry(ctx context.Context, actor access.Actor, delivery id.Delivery) (Delivery, error) {
	var d Delivery
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		d, err = s.RetryIn(tx, actor, delivery)
		return err
	})
	return d, err
}

// RetryIn is Retry inside the caller's transaction.
func (s *Service) RetryIn(tx *postgres.Tx, actor access.Actor, delivery id.Delivery) (Delivery, error) {
	if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
		return Delivery{}, err
	}
	rows, err := s.lockForRequeue(tx, actor.Organization, "d.id = $2", delivery)
	if err != nil {
		return Delivery{}, err
	}
	if len(rows) == 0 {
		return Delivery{}, ErrNotFound
	}
	d, err := s.requeue(tx, rows[0], Manual)
	if err != nil {
		return Delivery{}, err
	}
	s.ring(tx, []Due{dueOf(d)})
	target := audit.Target{Type: "webhook_delivery", ID: d.ID.String()}
	return d, audit.Record(tx, actor, "webhook_delivery.retried", target, audit.Metadata{"run": d.Run})
}

// Replay applies Retry to each delivery of the event; blocked ones are skipped and no endpoint is added. It needs
// webhooks:write; event.ErrNotFound, ErrPayloadGone when nothing is held for any delivery, ErrNothingToReplay.
func (s *Service) Replay(ctx context.Context, actor access.Actor, ev id.Event) (event.Event, error) {
	var e event.Event
	err := s.DB.InTx(ctx, func(tx *postgres.Tx) (err error) {
		e, err = s.ReplayIn(tx, actor, ev)
		return err
	})
	return e, err
}

// ReplayIn is Replay inside the caller's transaction.
func (s *Service) ReplayIn(tx *postgres.Tx, actor access.Actor, ev id.Event) (event.Event, error) {
	if err := actor.Require(access.WebhooksWrite, tx.Now); err != nil {
		return event.Event{}, err
	}
	e, err := event.Find(tx, actor.Organization, ev)
	if err != nil {
		return event.Event{}, err
	}
	rows, err := s.lockForRequeue(tx, actor.Organization, "d.event_id = $2", ev)
	if err != nil {
		return event.Event{}, err
	}
	var due []Due
	gone := 0
	for _, row := range rows {
		d, err := s.requeue(tx, row, Replay)
		switch {
		case err == nil:
			due = append(due, dueOf(d))
		case errors.Is(err, ErrPayloadGone):
			gone++
		case !isRefusal(err):
			return event.Event{}, err
		}
	}
	switch {
	case len(due) > 0:
	case len(rows) > 0 && gone == len(rows):
		return event.Event{}, ErrPayloadGone
	default:
		return event.Event{}, ErrNothingToReplay
	}
	s.ring(tx, due)
	target := audit.Target{Type: "webhook_event", ID: e.ID.String()}
	return e, audit.Record(tx, actor, "webhook_event.replayed", target, audit.Metadata{"requeued_count": len(due), "skipped_count": len(rows) - len(due)})
}

func isRefusal(err error) bool {
	_, expected := fault.As(err)
	return expected
}

func dueOf(d Delivery) Due {
	return Due{DeliveryID: d.ID, EndpointID: d.WebhookEndpointID}
}

// lockForRequeue locks the organization's deliveries that match the condition, in ascending id order, and holds their
// endpoints. The condition is a constant of this package with one parameter, $2.
func (s *Service) lockForRequeue(tx *postgres.Tx, org id.Organization, condition string, arg any) ([]requeueRow, error) {
	tx.ShareOrganizations(org)
	var rows []requeueRow
	err := tx.Raw(`SELECT `+columns+`, e.enabled AS endpoint_enabled, e.undelivered_payload_retention_hours AS retention_hours
		FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.webhook_endpoint_id
		WHERE d.organization_id = $1 AND `+condition+` ORDER BY d.id FOR UPDATE OF d`, org, arg).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("lock deliveries: %w", err)
	}
	return rows, nil
}

// requeue applies the table of contract section 7.10 to a locked row and returns it as it is then.
func (s *Service) requeue(tx *postgres.Tx, row requeueRow, trigger Trigger) (Delivery, error) {
	d := row.Delivery
	switch {
	case d.Status == Delivering:
		return d, ErrInFlight
	case d.Status == Succeeded || !d.PayloadHeld(tx.Now):
		return d, ErrPayloadGone
	case !row.EndpointEnabled:
		return d, ErrEndpointDisabled
	case d.Status == Failed:
		expires := later(*d.PayloadExpiresAt, initialExpiry(tx.Now, time.Duration(row.RetentionHours)*time.Hour))
		d.Run, d.AttemptCount, d.LastAttemptAt, d.LastStatusCode, d.LastErrorKind, d.LastDurationMS = d.Run+1, 0, nil, nil, nil, nil
		d.PayloadExpiresAt = &expires
	}
	reason := PendingDelivery
	d.Status, d.NextAttemptAt, d.NextTrigger, d.PayloadRetentionReason, d.UpdatedAt = Pending, &tx.Now, trigger, &reason, tx.Now
	err := tx.Exec(`UPDATE webhook_deliveries SET status = 'pending', run = $2, attempt_count = $3, worker_lost_count = CASE WHEN run = $2 THEN worker_lost_count ELSE 0 END,
			last_attempt_at = $4, last_status_code = $5, last_error_kind = $6, last_duration_ms = $7, payload_expires_at = $8, payload_retention_reason = $9,
			next_attempt_at = $10, next_trigger = $11, rung_at = $10, updated_at = $10
		WHERE id = $1`, d.ID, d.Run, d.AttemptCount, d.LastAttemptAt, d.LastStatusCode, d.LastErrorKind, d.LastDurationMS, d.PayloadExpiresAt, reason, tx.Now, trigger).Error
	if err != nil {
		return d, fmt.Errorf("requeue delivery %s: %w", d.ID, err)
	}
	return d, nil
}
