package delivery

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// lookAhead is how many of an endpoint's due deliveries, those due longest, are searched for one that nobody has been rung for. The
// others wait until these are claimed, or their rings are no longer trusted.
const lookAhead = 100

// DueEndpoints returns up to limit endpoints, apart from those in except, that have deliveries which are due and for which nobody
// has been rung lately. It changes nothing.
func (s *Service) DueEndpoints(ctx context.Context, limit int, except []id.Endpoint) ([]id.Endpoint, error) {
	return s.dueEndpoints(ctx, limit, except, RingWindow)
}

func (s *Service) dueEndpoints(ctx context.Context, limit int, except []id.Endpoint, trust time.Duration) ([]id.Endpoint, error) {
	tx := s.DB.Reader(ctx)
	skip := make([]uuid.UUID, len(except))
	for i, e := range except {
		skip[i] = e.UUID
	}
	var rows []struct{ ID id.Endpoint }
	// The order and the bound keep Postgres on the index of due rows, whatever its statistics say of a table that fills and empties,
	// and off the thousands that were rung for a moment ago.
	err := tx.Raw(`SELECT e.id FROM webhook_endpoints e
		WHERE e.enabled AND e.deleted_at IS NULL AND e.id <> ALL($4::uuid[]) AND EXISTS (
			SELECT FROM (
				SELECT d.rung_at FROM webhook_deliveries d WHERE d.webhook_endpoint_id = e.id AND `+claimable+` ORDER BY d.next_attempt_at LIMIT $5
			) oldest WHERE rung_at IS NULL OR rung_at <= $2
		) LIMIT $3`, tx.Now, tx.Now.Add(-trust), limit, skip, lookAhead).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find endpoints with due deliveries: %w", err)
	}
	due := make([]id.Endpoint, len(rows))
	for i, row := range rows {
		due[i] = row.ID
	}
	return due, nil
}

// DeliverDue makes one attempt of every delivery that is due, up to parallel at once for each endpoint, and returns how many
// there were. It is for processes without a queue.
func (s *Service) DeliverDue(ctx context.Context, parallel int) (int, error) {
	endpoints, err := s.dueEndpoints(ctx, math.MaxInt32, nil, 0)
	if err != nil {
		return 0, err
	}
	sent := 0
	for _, e := range endpoints {
		for {
			claims, err := s.Claim(ctx, e, parallel)
			if err != nil {
				return sent, err
			}
			var all errgroup.Group
			for _, c := range claims {
				all.Go(func() error { return s.Send(ctx, c, func(Sent) {}) })
			}
			sent += len(claims)
			if err := all.Wait(); err != nil || len(claims) < parallel {
				if err != nil {
					return sent, err
				}
				break
			}
		}
	}
	return sent, nil
}

// allOrEach does f to the rows all at once and, if one of them is broken, to each by itself: it stops no other (contract section 11).
// f returns how many it did.
func allOrEach(rows []uuid.UUID, f func(rows []uuid.UUID) (int, error)) (int, error) {
	n, err := f(rows)
	if len(rows) < 2 || !isBroken(err) {
		return n, err
	}
	var failed []error
	n = 0
	for i := range rows {
		did, err := f(rows[i : i+1])
		n += did
		failed = append(failed, err)
	}
	return n, errors.Join(failed...)
}

// SweepLeases takes deliveries back from workers whose lease ran out (contract section 7.6), batch by batch, and returns how many it took.
func (s *Service) SweepLeases(ctx context.Context, batch int) (taken int, err error) {
	now := s.DB.Now() // what ends later is for the next sweep
	var failed []error
	for after := uuid.Nil; ; {
		var rows []uuid.UUID
		err := s.DB.Reader(ctx).Raw("SELECT id FROM webhook_deliveries WHERE status = 'delivering' AND lease_expires_at <= $1 AND id > $2 ORDER BY id LIMIT $3", now, after, batch).Scan(&rows).Error
		if err != nil {
			return taken, fmt.Errorf("find expired leases: %w", err)
		}
		n, err := allOrEach(rows, func(rows []uuid.UUID) (int, error) { return s.takeBack(ctx, rows) })
		taken += n
		failed = append(failed, err)
		if len(rows) < batch || err != nil && !isBroken(err) {
			return taken, errors.Join(failed...)
		}
		after = rows[len(rows)-1]
	}
}

// takeBack takes those of the deliveries back whose lease has run out still, and returns how many it took.
func (s *Service) takeBack(ctx context.Context, deliveries []uuid.UUID) (taken int, err error) {
	if len(deliveries) == 0 {
		return 0, nil
	}
	var marked []report
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		marked = nil
		var orgs []id.Organization
		err := tx.Raw("SELECT DISTINCT organization_id FROM webhook_deliveries WHERE id = ANY($1::uuid[])", deliveries).Scan(&orgs).Error
		if err != nil {
			return err
		}
		tx.ShareOrganizations(orgs...)
		var rows []struct {
			Row         locked `gorm:"embedded"`
			EventID     id.Event
			NextTrigger Trigger
			Worker      *string
			// LeaseExpiresAt less the lease is when the worker claimed the row.
			LeaseExpiresAt time.Time
		}
		err = tx.Raw(`SELECT `+lockedColumns+`, d.event_id, d.next_trigger, d.worker, d.lease_expires_at
			FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.webhook_endpoint_id
			WHERE d.id = ANY($1::uuid[]) AND d.status = 'delivering' AND d.lease_expires_at <= $2
			ORDER BY d.id FOR UPDATE OF d SKIP LOCKED`, deliveries, tx.Now).Scan(&rows).Error
		if err != nil {
			return fmt.Errorf("lock expired leases: %w", err)
		}
		w := s.newWriter(tx, randomSlot())
		for _, row := range rows {
			kind, claimedAt := WorkerLost, row.LeaseExpiresAt.Add(-Lease)
			// Started at the claim: nobody knows whether it was sent.
			a := Attempt{
				ID: id.Attempt{UUID: tx.NewUUID()}, OrganizationID: row.Row.OrganizationID, WebhookDeliveryID: row.Row.ID,
				Run: row.Row.Standing.Run, Number: row.Row.Standing.AttemptCount + 1, Status: Failed, Trigger: row.NextTrigger,
				StartedAt: claimedAt, ErrorKind: &kind, Worker: row.Worker, CreatedAt: tx.Now,
			}
			o := outcome{kind: WorkerLost, startedAt: claimedAt, endedAt: tx.Now}
			if row.Row.WithdrawnAt != nil {
				c := &Claim{ID: row.Row.ID, OrganizationID: row.Row.OrganizationID, EventID: row.EventID, LeaseToken: row.Row.LeaseToken}
				marked = append(marked, report{claim: c, outcome: o, attempt: a})
				continue
			}
			w.add(row.Row, o, a)
		}
		taken = len(rows)
		return w.write()
	})
	if err != nil {
		return 0, err
	}
	for _, r := range marked {
		if _, err := s.settle(ctx, r); err != nil {
			// One row must not stop the others; it stays for the next sweep.
			s.Log.ErrorContext(ctx, "settle expired lease", "delivery_id", r.claim.ID, "error", err)
		}
	}
	return taken, nil
}

// SweepPayloads erases up to limit payloads past their expiry, oldest first, and ends the pending deliveries among them
// (contract section 7.9). Deliveries in flight are left alone.
func (s *Service) SweepPayloads(ctx context.Context, limit int) (int, error) {
	// Endpoint by endpoint, as their index is; the oldest of all are among the oldest of each.
	var old []uuid.UUID
	err := s.DB.Reader(ctx).Raw(`SELECT held.id FROM webhook_endpoints e CROSS JOIN LATERAL (
			SELECT id, payload_expires_at FROM webhook_deliveries d WHERE d.webhook_endpoint_id = e.id AND payload IS NOT NULL AND payload_expires_at <= $1
				AND status IN ('pending', 'failed') ORDER BY payload_expires_at LIMIT $2
		) held ORDER BY held.payload_expires_at LIMIT $2`, s.DB.Now(), limit).Scan(&old).Error
	if err != nil {
		return 0, fmt.Errorf("find expired payloads: %w", err)
	}
	return allOrEach(old, func(rows []uuid.UUID) (int, error) { return s.erase(ctx, rows) })
}

// erase takes the payloads of those of the deliveries that are past their expiry still, and not in flight. It returns how many.
func (s *Service) erase(ctx context.Context, deliveries []uuid.UUID) (count int, err error) {
	if len(deliveries) == 0 {
		return 0, nil
	}
	err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
		var rows []struct {
			OrganizationID id.Organization
			EndpointID     id.Endpoint
			WasPending     bool
		}
		err := tx.Raw(`WITH old AS (
				SELECT id, status FROM webhook_deliveries WHERE id = ANY($2::uuid[]) AND payload IS NOT NULL AND payload_expires_at <= $1
					AND status IN ('pending', 'failed') ORDER BY id FOR UPDATE SKIP LOCKED
			)
			UPDATE webhook_deliveries d SET status = 'failed', next_attempt_at = NULL, payload = NULL, payload_expires_at = NULL,
				payload_scrubbed_at = $1, payload_retention_reason = 'expired', updated_at = $1
			FROM old WHERE d.id = old.id
			RETURNING d.organization_id, d.webhook_endpoint_id AS endpoint_id, old.status = 'pending' AS was_pending`, tx.Now, deliveries).Scan(&rows).Error
		if err != nil {
			return fmt.Errorf("erase expired payloads: %w", err)
		}
		ended := tallies{}
		for _, row := range rows {
			if row.WasPending {
				ended.addEnd(row.OrganizationID, row.EndpointID, tx.Now, Failed, ErrorKind(Expired), 0)
			}
		}
		count = len(rows)
		return ended.write(tx, randomSlot())
	})
	return count, err
}
