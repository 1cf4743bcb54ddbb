package verification_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kaylehooks/internal/id"
)

// The rows of an organization as they are stored, read by statements of the test's own.
type (
	sessionRow struct {
		ID            uuid.UUID
		Status        string
		FailureCode   *string
		NFC, Liveness int
		Targets       []uuid.UUID
		Consumed      *time.Time
		Expires       time.Time
		Completed     *time.Time
		Created       time.Time
		UpdatedAt     time.Time
	}
	eventRow struct {
		ID                     uuid.UUID
		Type                   string
		Trigger                uuid.UUID
		SupersededBy, Replaces *uuid.UUID
		Routing                []routeRow
		Created                time.Time
	}
	routeRow struct {
		Endpoint id.Endpoint  `json:"webhook_endpoint_id"`
		Decision string       `json:"decision"`
		Reason   string       `json:"reason"`
		Delivery *id.Delivery `json:"delivery_id"`
	}
	deliveryRow struct {
		ID, Event, Endpoint uuid.UUID
		Type, Status        string
		Payload             *string // its MD5
		Bytes               int     // of the payload it was born with
		Expires, Scrubbed   *time.Time
		Reason              string
		Run, Count, Losses  int
		Next                *time.Time
		NextTrigger         string
		LastAttempt         *time.Time
		LastStatus          int
		Token               *uuid.UUID
		Lease, Withdrawn    *time.Time
		Rung                *time.Time
		Created, UpdatedAt  time.Time
	}
	attemptRow struct {
		ID, Delivery uuid.UUID
		Run, Number  int
		Counted      bool
		Status       string
		Kind         string
		Code         int
		Started      time.Time
		Echo         bool // what a receiver may have echoed is kept
		Captured     bool // anything of the response is kept
	}
	endpointRow struct {
		ID              uuid.UUID
		Enabled         bool
		Deleted         *time.Time
		Types           []string
		Retention       int
		Secret          bool
		PreviousExpires *time.Time
		UpdatedAt       time.Time
	}
	keyRow struct {
		ID, Endpoint uuid.UUID
		Active       bool
	}
	auditRow struct {
		Event, Target                string
		EventID, FailureCode, Status string
	}
)

var modelQueries = []string{
	`SELECT id, status, failure_code, nfc_tries_used, liveness_tries_used, webhook_endpoint_ids, cancel_token_consumed_at, expires_at, completed_at, created_at, updated_at
		FROM verification_sessions WHERE organization_id = $1 ORDER BY created_at, id`,
	`SELECT id, type, trigger_id, superseded_by_event_id, replaces_event_id, routing, created_at
		FROM events WHERE organization_id = $1 ORDER BY created_at, id`,
	`SELECT id, event_id, webhook_endpoint_id, event_type, status, md5(payload), payload_bytes, payload_expires_at, payload_scrubbed_at, coalesce(payload_retention_reason, ''), run, attempt_count, worker_lost_count,
			next_attempt_at, next_trigger, last_attempt_at, coalesce(last_status_code, 0), lease_token, lease_expires_at, withdrawn_at, rung_at, created_at, updated_at
		FROM webhook_deliveries WHERE organization_id = $1 ORDER BY created_at, id`,
	`SELECT a.id, a.webhook_delivery_id, a.run, a.number, a.counted, a.status, coalesce(a.error_kind, ''), coalesce(a.status_code, 0), a.started_at,
			a.response_body IS NOT NULL OR a.response_headers ? 'content-type',
			a.response_body IS NOT NULL OR a.response_headers <> '{}' OR a.response_body_truncated
		FROM webhook_delivery_attempts a JOIN webhook_deliveries d ON d.id = a.webhook_delivery_id WHERE d.organization_id = $1
		ORDER BY a.run, a.number, a.counted, a.created_at, a.id`,
	`SELECT id, enabled, deleted_at, subscribed_event_types, undelivered_payload_retention_hours, signing_secret IS NOT NULL, previous_signing_secret_expires_at, updated_at
		FROM webhook_endpoints WHERE organization_id = $1 ORDER BY created_at, id`,
	`SELECT id, webhook_endpoint_id, is_active FROM webhook_encryption_keys WHERE organization_id = $1 ORDER BY created_at, id`,
	`SELECT event, target_id, coalesce(metadata->>'event_id', ''), coalesce(metadata->>'failure_code', ''), coalesce(metadata->>'session_status_at_request', '')
		FROM audit_logs WHERE organization_id = $1 ORDER BY created_at, id`,
}

// tables is everything a step can change; two of them are equal if it changed nothing.
type tables struct {
	sessions   []sessionRow
	events     []eventRow
	deliveries []deliveryRow
	attempts   []attemptRow
	endpoints  []endpointRow
	keys       []keyRow
	audit      []auditRow
}

type pair struct{ of, endpoint uuid.UUID }

// snapshot is the tables with the ways through them.
type snapshot struct {
	tables
	at          time.Time
	event       map[uuid.UUID]*eventRow
	original    map[uuid.UUID]*eventRow // by session
	replacement map[uuid.UUID]*eventRow // by original
	bySession   map[uuid.UUID]*sessionRow
	byID        map[uuid.UUID]*deliveryRow
	sent        map[pair]*deliveryRow // by event and endpoint
	tried       map[uuid.UUID][]*attemptRow
	endpoint    map[uuid.UUID]*endpointRow
	active      map[uuid.UUID]int // active keys by endpoint
}

// load reads the organization's rows in one round trip.
func (h *history) load() *snapshot {
	ctx := context.WithoutCancel(h.shard.t.Context())
	batch := &pgx.Batch{}
	for _, q := range modelQueries {
		batch.Queue(q, h.org.UUID)
	}
	s := &snapshot{at: h.clock.Now()}
	res := h.rows.SendBatch(ctx, batch)
	err := cmp.Or(
		collect(res, &s.sessions), collect(res, &s.events), collect(res, &s.deliveries), collect(res, &s.attempts),
		collect(res, &s.endpoints), collect(res, &s.keys), collect(res, &s.audit), res.Close())
	if err != nil {
		h.t.Fatalf("read the tables: %v", err)
	}
	s.event, s.original, s.replacement = map[uuid.UUID]*eventRow{}, map[uuid.UUID]*eventRow{}, map[uuid.UUID]*eventRow{}
	s.bySession, s.byID, s.sent = map[uuid.UUID]*sessionRow{}, map[uuid.UUID]*deliveryRow{}, map[pair]*deliveryRow{}
	s.tried, s.endpoint, s.active = map[uuid.UUID][]*attemptRow{}, map[uuid.UUID]*endpointRow{}, map[uuid.UUID]int{}
	for i := range s.sessions {
		s.bySession[s.sessions[i].ID] = &s.sessions[i]
	}
	for i := range s.events {
		e := &s.events[i]
		s.event[e.ID] = e
		if e.Replaces != nil {
			s.replacement[*e.Replaces] = e
		} else if e.Type != "webhook.test" {
			s.original[e.Trigger] = e
		}
	}
	for i := range s.endpoints {
		s.endpoint[s.endpoints[i].ID] = &s.endpoints[i]
	}
	for _, k := range s.keys {
		if k.Active {
			s.active[k.Endpoint]++
		}
	}
	for i := range s.attempts {
		s.tried[s.attempts[i].Delivery] = append(s.tried[s.attempts[i].Delivery], &s.attempts[i])
	}
	h.arrange(s)
	slices.SortFunc(s.deliveries, func(a, b deliveryRow) int {
		return cmp.Or(cmp.Compare(h.order[a.Event], h.order[b.Event]), cmp.Compare(h.numberOf(a.Endpoint), h.numberOf(b.Endpoint)))
	})
	for i := range s.deliveries {
		d := &s.deliveries[i]
		s.byID[d.ID], s.sent[pair{d.Event, d.Endpoint}] = d, d
	}
	return s
}

func collect[T any](res pgx.BatchResults, into *[]T) error {
	rows, err := res.Query()
	if err != nil {
		return err
	}
	*into, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	return err
}

// arrange numbers the events that are new by what they are about, the same way each time a history is run; ids are random.
func (h *history) arrange(s *snapshot) {
	fresh := slices.DeleteFunc(slices.Clone(s.events), func(e eventRow) bool { return h.order[e.ID] > 0 })
	key := func(e eventRow) []int {
		k := []int{0, h.numberOf(e.Trigger), 0}
		if e.Type == "webhook.test" {
			k[0] = 1
		}
		if e.Replaces != nil {
			k[2] = 1
		}
		return k
	}
	slices.SortFunc(fresh, func(a, b eventRow) int { return slices.Compare(key(a), key(b)) })
	for _, e := range fresh {
		h.order[e.ID] = len(h.order) + 1
	}
}

// numberOf is the model's number of a session or an endpoint.
func (h *history) numberOf(u uuid.UUID) int {
	for _, s := range h.opened {
		if s.id.UUID == u {
			return s.no
		}
	}
	for _, e := range h.endpoints {
		if e.id.UUID == u {
			return e.no
		}
	}
	return 0
}

// name is how the script and the problems call a delivery.
func (h *history) name(s *snapshot, d *deliveryRow) string {
	e := s.event[d.Event]
	if e.Type == "webhook.test" {
		return fmt.Sprintf("test → endpoint %d", h.numberOf(d.Endpoint))
	}
	short := e.Type[len("verification.session."):]
	if e.Replaces != nil {
		short += " (replacement)"
	}
	return fmt.Sprintf("session %d %s → endpoint %d", h.numberOf(e.Trigger), short, h.numberOf(d.Endpoint))
}

// withdrawn reports whether consent was withdrawn after the session had succeeded or failed, and the original it was about.
func (s *snapshot) withdrawn(session *sessionRow) (*eventRow, bool) {
	o := s.original[session.ID]
	return o, session.Consumed != nil && o != nil && withdrawable(o.Type)
}

func withdrawable(eventType string) bool {
	return eventType == "verification.session.succeeded" || eventType == "verification.session.failed"
}

// live reports whether the endpoint exists and is not deleted.
func (s *snapshot) live(e uuid.UUID) bool {
	return s.endpoint[e] != nil && s.endpoint[e].Deleted == nil
}

// sendable reports whether attempts at the endpoint are scheduled.
func (s *snapshot) sendable(e uuid.UUID) bool { return s.live(e) && s.endpoint[e].Enabled }

// claimable reports whether a worker may take the delivery now (contract section 7.6 step 1).
func (s *snapshot) claimable(d *deliveryRow) bool {
	return d.Status == "pending" && d.Next != nil && !d.Next.After(s.at) && d.Payload != nil && d.Expires.After(s.at) && s.sendable(d.Endpoint)
}
