package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
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
	err := s.persist(ctx, r.claim.LeaseExpiresAt, func() (err error) {
		if state, err = s.results.Do(ctx, r); err != nil || state != withdrawn {
			return err
		}
		state, err = s.settle(ctx, r)
		return err
	})
	attrs := []any{
		"delivery_id", r.claim.ID, "event_type", r.claim.EventType, "endpoint_id", r.claim.WebhookEndpointID,
		"run", r.attempt.Run, "number", r.attempt.Number, "trigger", r.attempt.Trigger, "status_code", r.outcome.statusCode,
		"error_kind", r.outcome.kind, "duration_ms", r.outcome.endedAt.Sub(r.outcome.startedAt).Milliseconds(), "sent", !r.outcome.unsent,
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
		// A failing result reads whether its endpoint is enabled; nobody may change that before we have written.
		var failing []id.Organization
		ids := make([]uuid.UUID, len(reports))
		for i, r := range reports {
			ids[i] = r.claim.ID.UUID
			if r.outcome.kind != "" {
				failing = append(failing, r.claim.OrganizationID)
			}
		}
		if len(failing) > 0 {
			if err := tx.ShareOrganizations(failing...); err != nil {
				return fmt.Errorf("lock endpoints: %w", err)
			}
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

// writer collects the rows that results leave behind and writes them in a fixed number of statements.
type writer struct {
	s        *Service
	tx       *postgres.Tx
	slot     int
	changes  []changedRow
	attempts []attemptRow
	scrubbed []uuid.UUID
	tallies  tallies
}

type changedRow struct {
	ID        uuid.UUID `json:"id"`
	UpdatedAt time.Time `json:"updated_at"`
	change
}

// attemptRow is an attempt with native ids.
type attemptRow struct {
	Attempt
	ID                uuid.UUID `json:"id"`
	OrganizationID    uuid.UUID `json:"organization_id"`
	WebhookDeliveryID uuid.UUID `json:"webhook_delivery_id"`
}

func (s *Service) newWriter(tx *postgres.Tx, slot int) *writer {
	return &writer{s: s, tx: tx, slot: slot, tallies: tallies{}}
}

// add applies an outcome to a row that was not withdrawn.
func (w *writer) add(row locked, o outcome, a Attempt) {
	c := decide(row.Standing, o, w.tx.Now, rand.Float64()) //nolint:gosec // spreads load, guards nothing
	w.put(row, c, o, a)
}

// addWithdrawn applies an outcome to a withdrawn row: a 2xx stands, anything else is scrubbed.
func (w *writer) addWithdrawn(row locked, o outcome, a Attempt) {
	c := decide(row.Standing, o, w.tx.Now, 0)
	if c.Status != Succeeded {
		c = c.end(Failed, PrivacyRequest, w.tx.Now)
		a.ResponseBody, a.ResponseBodyTruncated, a.ResponseHeaders = nil, false, nil
		w.scrubbed = append(w.scrubbed, row.ID.UUID)
	}
	w.put(row, c, o, a)
}

func (w *writer) put(row locked, c change, o outcome, a Attempt) {
	w.changes = append(w.changes, changedRow{row.ID.UUID, w.tx.Now, c})
	if !o.unsent {
		a.Counted, a.Run, a.Number, a.CreatedAt = c.counted, row.Standing.Run, row.Standing.AttemptCount+1, w.tx.Now
		if a.ResponseHeaders == nil {
			a.ResponseHeaders = []byte("{}")
		}
		w.attempts = append(w.attempts, attemptRow{a, a.ID.UUID, a.OrganizationID.UUID, a.WebhookDeliveryID.UUID})
		w.tallies.addAttempt(a, row.WebhookEndpointID)
	}
	if c.Status == Succeeded || c.Status == Failed {
		kind := o.kind
		if o.unsent || c.Reason != nil && *c.Reason == PrivacyRequest {
			kind = ErrorKind(*c.Reason)
		}
		w.tallies.addEnd(row.OrganizationID, row.WebhookEndpointID, w.tx.Now, c.Status, kind, o.statusCode)
	}
}

// write leaves the rows as decided. The lease is cleared and the next attempt is automatic again in every case.
func (w *writer) write() error {
	if len(w.changes) == 0 {
		return nil
	}
	err := w.tx.ExecRows(`UPDATE webhook_deliveries d SET status = v.status, attempt_count = v.attempt_count, worker_lost_count = v.worker_lost_count,
			next_attempt_at = v.next_attempt_at, payload = CASE WHEN v.drop_payload THEN NULL ELSE d.payload END, payload_expires_at = v.payload_expires_at,
			payload_scrubbed_at = v.payload_scrubbed_at, payload_retention_reason = v.payload_retention_reason, last_attempt_at = v.last_attempt_at,
			last_status_code = v.last_status_code, last_error_kind = v.last_error_kind, last_duration_ms = v.last_duration_ms, lease_token = NULL, lease_expires_at = NULL,
			next_trigger = 'automatic', rung_at = NULL, updated_at = v.updated_at
		FROM json_to_recordset($1::json) AS v(id uuid, status text, attempt_count smallint, worker_lost_count smallint, next_attempt_at timestamptz, drop_payload boolean,
			payload_expires_at timestamptz, payload_scrubbed_at timestamptz, payload_retention_reason text, last_attempt_at timestamptz, last_status_code smallint, last_error_kind text, last_duration_ms integer, updated_at timestamptz)
		WHERE d.id = v.id`, w.changes)
	if err != nil {
		return fmt.Errorf("update deliveries: %w", err)
	}
	if err := w.insertAttempts(); err != nil {
		return err
	}
	if len(w.scrubbed) > 0 {
		if err := eraseCaptures(w.tx, w.scrubbed); err != nil {
			return err
		}
	}
	return w.tallies.write(w.tx, w.slot)
}

func (w *writer) insertAttempts() error {
	if len(w.attempts) == 0 {
		return nil
	}
	err := w.tx.ExecRows(`INSERT INTO webhook_delivery_attempts (id, organization_id, webhook_delivery_id, run, number, counted, status, trigger, started_at, duration_ms,
			status_code, error_kind, dns_ms, connect_ms, tls_ms, first_byte_ms, remote_address, worker, response_headers, response_body, response_body_truncated, created_at)
		SELECT v.id, v.organization_id, v.webhook_delivery_id, v.run, v.number, v.counted, v.status, v.trigger, v.started_at, v.duration_ms,
			v.status_code, v.error_kind, v.dns_ms, v.connect_ms, v.tls_ms, v.first_byte_ms, v.remote_address, v.worker, v.response_headers, v.response_body, v.response_body_truncated, v.created_at
		FROM json_to_recordset($1::json) AS v(id uuid, organization_id uuid, webhook_delivery_id uuid, run integer, number smallint, counted boolean, status text, trigger text,
			started_at timestamptz, duration_ms integer, status_code smallint, error_kind text, dns_ms integer, connect_ms integer, tls_ms integer, first_byte_ms integer,
			remote_address text, worker text, response_headers jsonb, response_body text, response_body_truncated boolean, created_at timestamptz)`, w.attempts)
	if err != nil {
		return fmt.Errorf("insert attempts: %w", err)
	}
	return nil
}
