package delivery

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/postgres"
)

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
	if err := w.updateChanged(); err != nil {
		return err
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

func (w *writer) updateChanged() error {
	if len(w.changes) == 0 {
		return nil
	}
	if err := w.tx.ExecRows(updateDeliveries, w.changes); err != nil {
		return fmt.Errorf("update deliveries: %w", err)
	}
	return nil
}

const updateDeliveries = `UPDATE webhook_deliveries d SET status = v.status, attempt_count = v.attempt_count, worker_lost_count = v.worker_lost_count,
			next_attempt_at = v.next_attempt_at, payload = CASE WHEN v.drop_payload THEN NULL ELSE d.payload END, payload_expires_at = v.payload_expires_at,
			payload_scrubbed_at = v.payload_scrubbed_at, payload_retention_reason = v.payload_retention_reason, last_attempt_at = v.last_attempt_at,
			last_status_code = v.last_status_code, last_error_kind = v.last_error_kind, last_duration_ms = v.last_duration_ms, lease_token = NULL, lease_expires_at = NULL,
			next_trigger = 'automatic', rung_at = NULL, updated_at = v.updated_at
		FROM GIVEN AS v(id uuid, status text, attempt_count smallint, worker_lost_count smallint, next_attempt_at timestamptz, drop_payload boolean,
			payload_expires_at timestamptz, payload_scrubbed_at timestamptz, payload_retention_reason text, last_attempt_at timestamptz, last_status_code smallint, last_error_kind text, last_duration_ms integer, updated_at timestamptz)
		WHERE d.id = v.id`

func (w *writer) insertAttempts() error {
	if len(w.attempts) == 0 {
		return nil
	}
	if err := w.tx.ExecRows(insertAttempts, w.attempts); err != nil {
		return fmt.Errorf("insert attempts: %w", err)
	}
	return nil
}

const insertAttempts = `INSERT INTO webhook_delivery_attempts (id, organization_id, webhook_delivery_id, run, number, counted, status, trigger, started_at, duration_ms,
			status_code, error_kind, dns_ms, connect_ms, tls_ms, first_byte_ms, remote_address, worker, response_headers, response_body, response_body_truncated, created_at)
		SELECT v.id, v.organization_id, v.webhook_delivery_id, v.run, v.number, v.counted, v.status, v.trigger, v.started_at, v.duration_ms,
			v.status_code, v.error_kind, v.dns_ms, v.connect_ms, v.tls_ms, v.first_byte_ms, v.remote_address, v.worker, v.response_headers, v.response_body, v.response_body_truncated, v.created_at
		FROM GIVEN AS v(id uuid, organization_id uuid, webhook_delivery_id uuid, run integer, number smallint, counted boolean, status text, trigger text,
			started_at timestamptz, duration_ms integer, status_code smallint, error_kind text, dns_ms integer, connect_ms integer, tls_ms integer, first_byte_ms integer,
			remote_address text, worker text, response_headers jsonb, response_body text, response_body_truncated boolean, created_at timestamptz)`
