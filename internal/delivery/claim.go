package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

// Claim is a delivery that this worker alone may send, until its lease ends.
type Claim struct {
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
	receiver          *receiver
}

// wanted asks for up to n deliveries of an endpoint that are due.
type wanted struct {
	endpoint id.Endpoint
	n        int
}

// Claim takes up to n deliveries of the endpoint that are due, those due longest first, and gives them to this worker. Send
// each of them. When there are fewer than n, no more are due that nobody else is taking. An error is a fault of ours.
func (s *Service) Claim(ctx context.Context, endpoint id.Endpoint, n int) ([]*Claim, error) {
	return s.dueClaims.Do(ctx, wanted{endpoint, n})
}

// ClaimThese takes those of the deliveries that may be sent now and gives them to this worker; Send each of them. The claims are in the
// order of the ids, nil for a delivery that somebody else has or that is not due. An error is a fault of ours.
func (s *Service) ClaimThese(ctx context.Context, ids []id.Delivery) ([]*Claim, error) {
	return s.claims.DoAll(ctx, ids)
}

// A delivery that may be sent is pending, due, and has a payload that has not expired; its endpoint is enabled. A withdrawn
// one needs no test: withdrawal leaves no delivery of the original event pending.
//
// The time is wrapped, and so are the lists of the claims, to leave the planner nothing to estimate by: it would make a plan for
// each statement, none of them better than the one that reads the index of due rows in its order.
const (
	dueNow    = `d.next_attempt_at <= (SELECT $1::timestamptz) AND d.payload_expires_at > (SELECT $1::timestamptz)`
	claimable = `d.status = 'pending' AND ` + dueNow
)

// claimDueRows moves the rows of the table "due" from pending to delivering under a fresh lease (contract section 7.6 step 1). Rows
// that are claimed together share a token: it tells one claim of a row from the next, never one row from another. The commit does not
// wait for the disk: nobody is told of a claim, and one that a crash of the database undoes is fenced off like one whose lease ended.
const claimDueRows = `
	UPDATE webhook_deliveries d SET status = 'delivering', lease_token = $2, lease_expires_at = $3, next_attempt_at = NULL, worker = $4, updated_at = $1
	FROM due, webhook_endpoints e, set_config('synchronous_commit', 'off', true)
	WHERE d.id = due.id AND e.id = d.webhook_endpoint_id
	RETURNING d.id, d.organization_id, d.webhook_endpoint_id, d.event_id, d.event_type, d.payload, d.run, d.attempt_count,
		d.next_trigger, d.lease_token, d.lease_expires_at, d.updated_at,
		e.url, e.signing_secret, e.previous_signing_secret, e.previous_signing_secret_expires_at`

// claim runs a statement that ends in claimDueRows.
func (s *Service) claim(tx *postgres.Tx, due string, args ...any) ([]*Claim, error) {
	args = append([]any{tx.Now, uuid.New(), tx.Now.Add(Lease), s.Worker}, args...)
	var claims []*Claim
	var e webhook.Endpoint
	receivers := map[id.Endpoint]*receiver{}
	err := tx.Each(func(row postgres.Row) error {
		c := &Claim{}
		err := row.Scan(&c.ID, &c.OrganizationID, &c.WebhookEndpointID, &c.EventID, &c.EventType, &c.Payload, &c.Run, &c.AttemptCount,
			&c.Trigger, &c.LeaseToken, &c.LeaseExpiresAt, &c.ClaimedAt,
			&e.URL, &e.SigningSecret, &e.PreviousSigningSecret, &e.PreviousSigningSecretExpiresAt)
		if err != nil {
			return fmt.Errorf("read claim: %w", err)
		}
		if receivers[c.WebhookEndpointID] == nil {
			e.ID = c.WebhookEndpointID
			receivers[c.WebhookEndpointID] = s.newReceiver(e, tx.Now)
		}
		c.receiver = receivers[c.WebhookEndpointID]
		claims = append(claims, c)
		return nil
	}, "WITH due AS ("+due+")"+claimDueRows, args...)
	if err != nil {
		return nil, fmt.Errorf("claim deliveries: %w", err)
	}
	return claims, nil
}

// theseDue are the deliveries with these ids that may be sent. They are to be found by their ids: by statistics from before a backlog, or by
// none, Postgres would read all that waits, or all that the endpoint ever got. Hence the wrapped status, which no index is of, and the
// endpoint in a subquery, with which no plan can begin. The ids are wrapped as the time is.
const theseDue = `SELECT d.id FROM webhook_deliveries d
	WHERE d.id = ANY((SELECT $5::uuid[])::uuid[]) AND d.status || '' = 'pending' AND ` + dueNow + `
		AND (SELECT e.enabled AND e.deleted_at IS NULL FROM webhook_endpoints e WHERE e.id = d.webhook_endpoint_id)
	ORDER BY d.id FOR UPDATE OF d`

// claimBatch claims those of the deliveries that may be sent now, in one statement. One that may not be sent gives nil.
func (s *Service) claimBatch(ctx context.Context, ids []id.Delivery) ([]*Claim, error) {
	claims, err := s.claim(s.DB.Reader(ctx), theseDue, postgres.UUIDs(ids, func(d id.Delivery) uuid.UUID { return d.UUID }))
	if err != nil {
		return nil, err
	}
	won := make(map[id.Delivery]*Claim, len(claims))
	for _, c := range claims {
		won[c.ID] = c
	}
	out := make([]*Claim, len(ids))
	for i, d := range ids {
		out[i] = won[d]
		delete(won, d) // asked for twice in one batch: the first one has it
	}
	return out, nil
}

// longestDue are so many deliveries of each endpoint, those due longest.
const longestDue = `SELECT picked.id FROM UNNEST((SELECT $5::uuid[]), (SELECT $6::bigint[])) AS w(endpoint, n)
	JOIN webhook_endpoints e ON e.id = w.endpoint AND e.enabled AND e.deleted_at IS NULL
	CROSS JOIN LATERAL (
		SELECT d.id FROM webhook_deliveries d WHERE d.webhook_endpoint_id = e.id AND ` + claimable + `
		ORDER BY d.next_attempt_at LIMIT w.n FOR UPDATE OF d SKIP LOCKED
	) picked`

// claimDueBatch serves the wishes of many endpoints in one statement. Rows that somebody else has locked are left out.
func (s *Service) claimDueBatch(ctx context.Context, wishes []wanted) ([][]*Claim, error) {
	endpoints, limits := make([]uuid.UUID, len(wishes)), make([]int64, len(wishes))
	for i, w := range wishes {
		endpoints[i], limits[i] = w.endpoint.UUID, int64(w.n)
	}
	claims, err := s.claim(s.DB.Reader(ctx), longestDue, endpoints, limits)
	if err != nil {
		return nil, err
	}
	won := map[id.Endpoint][]*Claim{}
	for _, c := range claims {
		won[c.WebhookEndpointID] = append(won[c.WebhookEndpointID], c)
	}
	out := make([][]*Claim, len(wishes))
	for i, w := range wishes {
		out[i] = won[w.endpoint]
		delete(won, w.endpoint) // wished for twice in one batch: the first one has them all
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
func (s *Service) recheck(ctx context.Context, c *Claim) (verdict, error) {
	at := s.DB.Now()
	if c.LeaseExpiresAt.Sub(at) < HTTPTimeout {
		return leaseLost, nil
	}
	if at.Sub(c.ClaimedAt) < recheckAfter {
		return maySend, nil
	}
	var now []struct {
		WithdrawnAt *time.Time
		webhook.Endpoint
	}
	err := s.DB.ReaderAt(ctx, at).Raw(`SELECT d.withdrawn_at, e.* FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.webhook_endpoint_id
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
	c.receiver = s.newReceiver(now[0].Endpoint, at)
	return maySend, nil
}
