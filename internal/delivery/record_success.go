package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/postgres"
)

// successRow is a delivery that a 2xx ends, if the lease is still ours.
type successRow struct {
	ID             uuid.UUID `json:"id"`
	LeaseToken     uuid.UUID `json:"lease_token"`
	AttemptCount   int       `json:"attempt_count"`
	ScrubbedAt     time.Time `json:"payload_scrubbed_at"`
	LastAttemptAt  time.Time `json:"last_attempt_at"`
	LastStatusCode int       `json:"last_status_code"`
	LastDurationMS int64     `json:"last_duration_ms"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// recordSuccesses is recordBatch for results that were all a 2xx, which end their deliveries whatever the rows say: under our lease
// nobody else changes what the claim read. It is one statement, its own transaction, for all of them or, when a row is not ours any
// more or was withdrawn, for none: recordBatch then finds out which.
func (s *Service) recordSuccesses(ctx context.Context, reports []report) ([]recordState, error) {
	w := s.newWriter(s.DB.Reader(ctx), s.slot)
	rows, states := make([]successRow, len(reports)), make([]recordState, len(reports))
	for i, r := range reports {
		states[i] = recorded
		c := r.claim
		row := locked{ID: c.ID, OrganizationID: c.OrganizationID, WebhookEndpointID: c.WebhookEndpointID, Standing: standing{Run: c.Run, AttemptCount: c.AttemptCount}}
		w.add(row, r.outcome, r.attempt)
		left := w.changes[i]
		rows[i] = successRow{left.ID, c.LeaseToken, left.AttemptCount, *left.ScrubbedAt, *left.LastAttemptAt, *left.LastStatusCode, *left.LastDurationMS, left.UpdatedAt}
	}
	slices.SortFunc(rows, func(a, b successRow) int { return slices.Compare(a.ID[:], b.ID[:]) })
	switch err := w.tx.ExecRows(recordSuccesses, rows, w.attempts, w.tallies.rows(s.slot)); {
	case postgres.IsDivisionByZero(err):
		return s.recordBatch(ctx, reports)
	case err != nil:
		return nil, fmt.Errorf("record successes: %w", err)
	}
	return states, nil
}

// recordSuccesses takes the rows, their attempts and the tallies. It divides by zero, which undoes it, when it does not find as many rows
// as there are ids, which are its first array.
var recordSuccesses = `WITH done AS (
		UPDATE webhook_deliveries d SET status = 'succeeded', attempt_count = v.attempt_count, worker_lost_count = 0,
			payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = v.payload_scrubbed_at, payload_retention_reason = 'delivered', last_attempt_at = v.last_attempt_at,
			last_status_code = v.last_status_code, last_error_kind = NULL, last_duration_ms = v.last_duration_ms, lease_token = NULL, lease_expires_at = NULL,
			next_trigger = 'automatic', rung_at = NULL, updated_at = v.updated_at
		FROM GIVEN AS v(id uuid, lease_token uuid, attempt_count smallint, payload_scrubbed_at timestamptz, last_attempt_at timestamptz,
			last_status_code smallint, last_duration_ms integer, updated_at timestamptz)
		WHERE d.id = v.id AND d.lease_token = v.lease_token AND d.withdrawn_at IS NULL
		RETURNING d.id
	),
	attempts AS (` + insertAttempts + `),
	tallies AS (` + addTallies + `)
	SELECT 1 / (count(*) = cardinality($1))::int FROM done`
