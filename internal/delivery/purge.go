package delivery

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

// purgeable is an original event that may go, with its replacement if it has one, and how many deliveries go with them.
type purgeable struct {
	ID          id.Event
	Replacement *id.Event
	Deliveries  int
}

// PurgeEvents deletes events created before a time, with their deliveries, attempts and routing: those that have no open
// delivery and hold no payload (contract section 10). It goes organization by organization, oldest first, which is the
// order of their index. A withdrawn original and its replacement point at each other and go together. It takes up to limit
// rows of events and deliveries, at least one event, and returns how many of each went; rows that others hold are left for
// the next time.
func PurgeEvents(tx *postgres.Tx, before time.Time, limit int) (events, deliveries int64, err error) {
	// Nothing that passes can come back: a payload that is gone stays so, and what has ended without one cannot be retried.
	// Hence the deliveries are not looked at again under their locks. An event that a withdrawal superseded after r was read is
	// left: Postgres looks at e again once it has the lock, but not at r.
	candidates, err := oldEvents(tx, before, limit)
	if err != nil {
		return 0, 0, err
	}
	chosen, ids := choose(candidates, limit)
	if len(chosen) == 0 {
		return 0, 0, nil
	}
	locked, err := lockDeliveries(tx, ids)
	if err != nil {
		return 0, 0, err
	}
	var gone []id.Event
	var rows []uuid.UUID
	for _, c := range chosen {
		mine := locked[c.ID]
		if c.Replacement != nil {
			mine = append(mine, locked[*c.Replacement]...)
		}
		if len(mine) != c.Deliveries {
			continue
		}
		gone, rows = append(gone, c.ID), append(rows, mine...)
		if c.Replacement != nil {
			gone = append(gone, *c.Replacement)
		}
	}
	// Attempts go with their delivery.
	res := tx.Exec("DELETE FROM webhook_deliveries WHERE id = ANY($1::uuid[])", rows)
	if res.Error != nil {
		return 0, 0, fmt.Errorf("purge deliveries: %w", res.Error)
	}
	events, err = event.Purge(tx, gone)
	return events, res.RowsAffected, err
}

// oldEvents locks up to limit original events that may go. A delivery keeps its event while it is open, and while its
// payload can still be asked for.
func oldEvents(tx *postgres.Tx, before time.Time, limit int) ([]purgeable, error) {
	var found []purgeable
	// Deliveries are counted event by event, and events are read in the order of their index: planned as a join or with a sort, and
	// on the day after an installation's statistics say so, a batch of ten would read every old event there is.
	err := tx.WithoutSort(func() error {
		return tx.Raw(`SELECT old.* FROM organizations o CROSS JOIN LATERAL (
				SELECT e.id, r.id AS replacement, d.deliveries
				FROM events e LEFT JOIN events r ON r.replaces_event_id = e.id
				CROSS JOIN LATERAL (
					SELECT count(*) AS deliveries, count(*) FILTER (WHERE status IN ('pending', 'delivering') OR payload_expires_at IS NOT NULL) AS keeping
					FROM webhook_deliveries WHERE event_id IN (e.id, r.id)
				) AS d
				WHERE e.organization_id = o.id AND e.created_at < $1 AND e.replaces_event_id IS NULL AND (r.id IS NULL OR r.created_at < $1)
					AND (e.superseded_by_event_id IS NULL) = (r.id IS NULL) AND d.keeping = 0
				ORDER BY e.created_at, e.id LIMIT $2 FOR UPDATE OF e SKIP LOCKED
			) AS old LIMIT $2`, before, limit).Scan(&found).Error
	})
	if err != nil {
		return nil, fmt.Errorf("find old events: %w", err)
	}
	return found, nil
}

// choose takes candidates until their rows reach the limit, and at least one.
func choose(candidates []purgeable, limit int) (chosen []purgeable, ids []uuid.UUID) {
	rows := 0
	for i, c := range candidates {
		rows += 1 + c.Deliveries
		if i > 0 && rows > limit {
			break
		}
		chosen, ids = append(chosen, c), append(ids, c.ID.UUID)
		if c.Replacement != nil {
			ids = append(ids, c.Replacement.UUID)
		}
	}
	return chosen, ids
}

// lockDeliveries locks those deliveries of the events that nobody else holds.
func lockDeliveries(tx *postgres.Tx, events []uuid.UUID) (map[id.Event][]uuid.UUID, error) {
	var rows []struct {
		ID      uuid.UUID
		EventID id.Event
	}
	err := tx.Raw("SELECT id, event_id FROM webhook_deliveries WHERE event_id = ANY($1::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED", events).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("lock old deliveries: %w", err)
	}
	locked := make(map[id.Event][]uuid.UUID, len(events))
	for _, row := range rows {
		locked[row.EventID] = append(locked[row.EventID], row.ID)
	}
	return locked, nil
}

// PurgeJobs deletes up to limit bulk jobs that finished before a time and returns how many.
func PurgeJobs(tx *postgres.Tx, before time.Time, limit int) (int64, error) {
	res := tx.Exec(`DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE finished_at < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)`, before, limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge jobs: %w", res.Error)
	}
	return res.RowsAffected, nil
}

// PurgeRollups deletes up to limit roll-up rows of hours before a time and returns how many. It goes organization by
// organization, which is the order that the primary key can be read in.
func PurgeRollups(tx *postgres.Tx, before time.Time, limit int) (int64, error) {
	res := tx.Exec(`DELETE FROM delivery_rollups WHERE ctid = ANY(ARRAY(
			SELECT old.ctid FROM organizations o CROSS JOIN LATERAL (
				SELECT r.ctid FROM delivery_rollups r WHERE r.organization_id = o.id AND r.hour < $1 ORDER BY r.hour LIMIT $2 FOR UPDATE SKIP LOCKED
			) AS old LIMIT $2))`, before.UTC().Truncate(time.Hour), limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge roll-ups: %w", res.Error)
	}
	return res.RowsAffected, nil
}

// routingMargin is added to the deletion of an endpoint when asking which events may name it: an event can be created a
// little later and still have seen it, through a clock that is ahead or a transaction that began before the deletion.
const routingMargin = time.Hour

// PurgeEndpoints deletes up to limit deleted endpoints with their keys once nothing refers to them: no delivery, no
// roll-up, and no event old enough to name them in its routing (contract section 10). It returns how many went.
func PurgeEndpoints(tx *postgres.Tx, limit int) (int64, error) {
	var unused []id.Endpoint
	err := tx.Raw(`SELECT e.id FROM webhook_endpoints e
		WHERE e.deleted_at IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM events v WHERE v.organization_id = e.organization_id AND v.created_at <= e.deleted_at + make_interval(secs => $1))
			AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d WHERE d.webhook_endpoint_id = e.id)
			AND NOT EXISTS (SELECT 1 FROM delivery_rollups r WHERE r.webhook_endpoint_id = e.id)
		ORDER BY e.deleted_at LIMIT $2 FOR UPDATE OF e SKIP LOCKED`, routingMargin.Seconds(), limit).Scan(&unused).Error
	if err != nil {
		return 0, fmt.Errorf("find unused endpoints: %w", err)
	}
	return webhook.Purge(tx, unused)
}
