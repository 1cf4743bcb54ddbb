package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Filter narrows a list; the zero value of a field filters nothing. From and To are inclusive.
type Filter struct {
	Status     Status
	State      State
	EndpointID id.Endpoint
	EventID    id.Event
	EventType  event.Type
	KeyID      id.Key
	ErrorKind  ErrorKind
	// StatusCode is the last status received; StatusClass is its first digit.
	StatusCode  int
	StatusClass int
	// Unanswered keeps deliveries whose last attempt got no status; StatusClass must be 0.
	Unanswered  bool
	MinAttempts int
	// NextAttempt keeps what waits for that attempt, counted from 1.
	NextAttempt int
	// Trigger keeps deliveries of which an attempt was made for that reason, or is due for it.
	Trigger Trigger
	// Label is a label of the endpoint, in any letter case.
	Label    string
	From, To time.Time
	// FailedFrom keeps what has failed since.
	FailedFrom time.Time
	// DueFrom and DueTo keep what waits and becomes due between them, both included; either may be zero.
	DueFrom, DueTo time.Time
	// MinDuration keeps deliveries whose last attempt took so long at least, in whole milliseconds. No index helps with it: it is for what is
	// not rare among the other deliveries, such as the slowest in twenty.
	MinDuration time.Duration
	// Held keeps what is not delivered and can still be sent: its payload is there.
	Held bool
	// JobID keeps what a bulk retry visited with JobOutcome, which must be set with it.
	JobID      id.Job
	JobOutcome JobOutcome
}

// isFailed is written out, as a parameter it would not be known to be what the indexes of failed deliveries are of.
const isFailed = "d.status = 'failed'"

// hasErred is, likewise, what the indexes of those are of that got no 2xx at their last attempt.
const hasErred = "d.last_error_kind IS NOT NULL"

// wasRetried is what the index webhook_deliveries_retried is of.
const wasRetried = "d.attempt_count > 1"

// successClass is the first digit of the statuses that are no error.
const successClass = 2

// failedAs begins a condition on the display state of a failed delivery. It is what the index webhook_deliveries_failed_as is of.
const failedAs = isFailed + ` AND CASE
	WHEN d.payload_retention_reason IN ('no_active_key', 'jwe_creation_failed') THEN 'blocked'
	WHEN d.payload_retention_reason = 'privacy_request' THEN 'withdrawn'
	WHEN d.payload_retention_reason IN ('expired', 'endpoint_deleted') AND d.attempt_count < 8 THEN d.payload_retention_reason
	ELSE 'failed' END`

// failedAt is when a failed delivery d became so: when its payload was taken from it, or after its last attempt, or at once. It is what
// the index webhook_deliveries_failed_at is of.
const failedAt = `CASE
	WHEN d.payload_retention_reason = 'privacy_request' OR d.payload_retention_reason IN ('expired', 'endpoint_deleted') AND d.attempt_count < 8 THEN d.payload_scrubbed_at
	ELSE COALESCE(d.last_attempt_at, d.created_at) END`

// AnyFailed can be filtered by like a State, though no delivery has it: every way to fail but withdrawal, which is nobody's fault.
const AnyFailed = "any_failed"

// stateConditions select the display states; they mirror Delivery.State.
var stateConditions = map[State]string{
	StateScheduled:       "d.status = 'pending' AND d.next_attempt_at IS NOT NULL AND d.attempt_count = 0",
	StateInFlight:        "d.status = 'delivering'",
	StateRetrying:        "d.status = 'pending' AND d.next_attempt_at IS NOT NULL AND d.attempt_count > 0",
	StateParked:          "d.status = 'pending' AND d.next_attempt_at IS NULL",
	StateSucceeded:       "d.status = 'succeeded'",
	StateBlocked:         failedAs + " = 'blocked'",
	StateExpired:         failedAs + " = 'expired'",
	StateWithdrawn:       failedAs + " = 'withdrawn'",
	StateEndpointDeleted: failedAs + " = 'endpoint_deleted'",
	StateFailed:          failedAs + " = 'failed'",
	AnyFailed:            isFailed + " AND d.payload_retention_reason IS DISTINCT FROM 'privacy_request'",
}

// States lists the display states that can be filtered by.
func States() []State {
	return []State{
		StateScheduled, StateInFlight, StateRetrying, StateParked, StateSucceeded,
		StateFailed, StateBlocked, StateExpired, StateWithdrawn, StateEndpointDeleted,
	}
}

// apply narrows q by all but Held, Trigger, Label, DueFrom, DueTo and JobID, for which other tables are asked.
func (f Filter) apply(q *gorm.DB) *gorm.DB {
	switch f.Status {
	case "":
	case Failed:
		q = q.Where(isFailed)
	default:
		q = q.Where("d.status = ?", f.Status)
	}
	if condition, ok := stateConditions[f.State]; ok {
		q = q.Where(condition)
	}
	if !f.EndpointID.IsZero() {
		q = q.Where("d.webhook_endpoint_id = ?", f.EndpointID)
	}
	if !f.EventID.IsZero() {
		q = q.Where("d.event_id = ?", f.EventID)
	}
	if f.EventType != "" {
		q = q.Where("d.event_type = ?", f.EventType)
	}
	if !f.KeyID.IsZero() {
		q = q.Where("d.webhook_encryption_key_id = ?", f.KeyID)
	}
	if f.ErrorKind != "" {
		q = q.Where("d.last_error_kind = ?", f.ErrorKind)
	}
	if f.StatusCode != 0 {
		q = q.Where("d.last_status_code = ?", f.StatusCode)
	}
	if f.StatusClass != 0 || f.Unanswered || f.StatusCode != 0 {
		q = q.Where("COALESCE(d.last_status_code / 100, 0) = ?", max(f.StatusClass, f.StatusCode/100))
	}
	if f.erred() {
		q = q.Where(hasErred)
	}
	if f.MinAttempts > 0 {
		q = q.Where("d.attempt_count >= ?", f.MinAttempts)
	}
	if f.MinAttempts > 1 {
		q = q.Where(wasRetried)
	}
	if f.NextAttempt > 0 {
		q = q.Where("d.status = 'pending' AND d.attempt_count = ?", f.NextAttempt-1)
	}
	if f.MinDuration > 0 {
		q = q.Where("d.last_duration_ms >= ?", f.MinDuration.Milliseconds())
	}
	if !f.FailedFrom.IsZero() {
		q = q.Where(isFailed+" AND "+failedAt+" >= ?", f.FailedFrom)
	}
	if !f.From.IsZero() {
		q = q.Where("d.created_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		q = q.Where("d.created_at <= ?", f.To)
	}
	return q
}

// matching selects the columns of the organization's deliveries that match.
func (f Filter) matching(tx *postgres.Tx, org id.Organization, columns string) *gorm.DB {
	q := tx.Table("webhook_deliveries AS d").Select(columns)
	if f.ofKey() {
		// The planner takes a key's deliveries to be spread evenly over time, and would look for those of a retired one among all that came
		// later. So written, no index but the key's is of use.
		q = q.Where("d.webhook_encryption_key_id = ? AND (d.organization_id = ?) IS TRUE", f.KeyID, org)
		if !f.EndpointID.IsZero() {
			q = q.Where("EXISTS (SELECT FROM webhook_encryption_keys k WHERE k.id = ? AND k.webhook_endpoint_id = ?)", f.KeyID, f.EndpointID)
		}
		return Filter{From: f.From, To: f.To}.apply(q)
	}
	q = f.apply(q.Where("d.organization_id = ?", org))
	due := !f.DueFrom.IsZero() || !f.DueTo.IsZero()
	if due {
		q = q.Where("d.status = 'pending' AND d.next_attempt_at IS NOT NULL")
	}
	if !f.DueFrom.IsZero() {
		q = q.Where("d.next_attempt_at >= ?", f.DueFrom)
	}
	if !f.DueTo.IsZero() {
		q = q.Where("d.next_attempt_at <= ?", f.DueTo)
	}
	if f.Label != "" || due && f.EndpointID.IsZero() { // what is due has an index by endpoint alone
		q = atEndpoints(tx, org, f.Label, q)
	}
	if !f.JobID.IsZero() {
		q = q.Joins("JOIN (SELECT webhook_delivery_id AS id, created_at FROM job_visits WHERE job_id = ? AND outcome = ?) AS v ON v.id = d.id", f.JobID, f.JobOutcome)
	}
	if f.Held { // little among all there is, with an index by endpoint; an array, as it is to be found first
		q = q.Where(`d.id = ANY(ARRAY(SELECT h.id FROM webhook_endpoints e JOIN webhook_deliveries h ON h.webhook_endpoint_id = e.id AND h.payload IS NOT NULL
			WHERE h.payload_expires_at > ? AND e.organization_id = ? AND (? OR e.id = ?) AND (? OR h.webhook_encryption_key_id = ?)))`, tx.Now, org, f.EndpointID.IsZero(), f.EndpointID, f.KeyID.IsZero(), f.KeyID)
	}
	switch f.Trigger {
	case "":
	case Automatic:
		q = q.Where("(d.next_trigger = 'automatic' AND d.next_attempt_at IS NOT NULL OR EXISTS (SELECT FROM webhook_delivery_attempts a WHERE a.webhook_delivery_id = d.id AND a.trigger = 'automatic'))")
	default:
		// What people asked for is little among all there is, and has an index of its own. Its condition is written out for the same reason
		// as isFailed.
		q = q.Where(`d.id IN (SELECT a.webhook_delivery_id FROM webhook_delivery_attempts a WHERE a.organization_id = ? AND a.trigger = ? AND a.trigger <> 'automatic'
			UNION ALL SELECT w.id FROM webhook_deliveries w WHERE w.organization_id = ? AND w.status = 'pending' AND w.next_trigger = ? AND w.next_attempt_at IS NOT NULL)`,
			org, f.Trigger, org, f.Trigger)
	}
	return q
}

// atEndpoints limits a query on webhook_deliveries AS d to the organization's endpoints with the label, or to all of them for none. They are
// asked for first: whether few deliveries are theirs, so that their index is better than that of all, is known by the ids only.
func atEndpoints(tx *postgres.Tx, org id.Organization, label string, q *gorm.DB) *gorm.DB {
	var endpoints []uuid.UUID
	err := tx.Raw(`SELECT e.id FROM webhook_endpoints e WHERE e.organization_id = $1
		AND ($2 = '' OR EXISTS (SELECT FROM unnest(e.labels) AS label WHERE lower(label) = lower($2)))`, org, label).Scan(&endpoints).Error
	_ = q.AddError(err) // whoever runs q gets it
	return q.Where("d.webhook_endpoint_id IN ?", endpoints)
}

// erred reports whether the filter keeps answers, or their absence, that are an error.
func (f Filter) erred() bool {
	if f.StatusCode != 0 {
		return f.StatusCode/100 != successClass
	}
	return f.Unanswered || f.StatusClass != 0 && f.StatusClass != successClass
}

// List returns deliveries, newest first. It needs webhooks:read.
func (s *Service) List(ctx context.Context, actor access.Actor, f Filter, page postgres.Page) (list postgres.List[Delivery], err error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return list, err
	}
	find := func(tx *postgres.Tx) *gorm.DB {
		return f.matching(tx, actor.Organization, columns)
	}
	switch {
	case !f.EventID.IsZero():
		var rows []Delivery
		if err = find(tx).Find(&rows).Error; err == nil {
			list = postgres.Arrange(rows, Delivery.position, page)
		}
	case f.hasIndexes():
		err = s.DB.InTx(ctx, func(tx *postgres.Tx) error {
			// What several filters leave looks to the planner like little to sort, which is wrong as soon as its estimate is.
			return tx.WithoutSort(func() error {
				list, err = postgres.Fetch[Delivery](find(tx), f.ordered(), page)
				return err
			})
		})
	default:
		list, err = postgres.Fetch[Delivery](find(tx), f.ordered(), page)
	}
	if err != nil {
		return list, fmt.Errorf("list deliveries: %w", err)
	}
	return list, nil
}

// hasIndexes tells whether there is an index in the order of the list for each part of the filter. Deliveries of one event need
// none: there is at most one per endpoint.
func (f Filter) hasIndexes() bool {
	indexed := Filter{Status: f.Status, EndpointID: f.EndpointID, EventType: f.EventType, From: f.From, To: f.To}
	if strings.HasPrefix(stateConditions[f.State], failedAs) {
		indexed.State = f.State
	}
	indexed.MinAttempts = f.MinAttempts
	if indexed.ErrorKind = f.ErrorKind; f.erred() {
		indexed.StatusCode, indexed.StatusClass, indexed.Unanswered = f.StatusCode, f.StatusClass, f.Unanswered
	}
	return f == indexed || f.ofKey() || !f.JobID.IsZero()
}

// ordered is the alias of what has the order of the list: what a job visited is read in its own, and each delivery looked up.
func (f Filter) ordered() string {
	if !f.JobID.IsZero() {
		return "v"
	}
	return "d"
}

// ofKey tells whether the filter is by a key, and by nothing that has an index of its own but the time.
func (f Filter) ofKey() bool {
	return !f.KeyID.IsZero() && f == Filter{KeyID: f.KeyID, EndpointID: f.EndpointID, From: f.From, To: f.To}
}

func (d Delivery) position() postgres.Position {
	return postgres.Position{At: d.CreatedAt, ID: d.ID.UUID}
}

// Count returns how many deliveries match, up to atMost. It needs webhooks:read.
func (s *Service) Count(ctx context.Context, actor access.Actor, f Filter, atMost int) (int, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return 0, err
	}
	matching := f.matching(tx, actor.Organization, "1").Limit(atMost)
	var n int
	if err := tx.Raw("SELECT count(*) FROM (?) AS matching", matching).Scan(&n).Error; err != nil {
		return 0, fmt.Errorf("count deliveries: %w", err)
	}
	return n, nil
}

// Received reports whether receivers of the organization have ever taken an event of a session, and a test event. It needs
// webhooks:read.
func (s *Service) Received(ctx context.Context, actor access.Actor) (sessions, tests bool, err error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return false, false, err
	}
	// Tests are few among all deliveries; events have an index by type.
	var received struct{ Sessions, Tests bool }
	err = tx.Raw(`SELECT EXISTS (SELECT FROM webhook_deliveries WHERE organization_id = $1 AND status = 'succeeded' AND event_type <> $2) AS sessions,
		EXISTS (SELECT FROM events e JOIN webhook_deliveries d ON d.event_id = e.id WHERE e.organization_id = $1 AND e.type = $2 AND d.status = 'succeeded') AS tests`,
		actor.Organization, event.Test).Scan(&received).Error
	if err != nil {
		return false, false, fmt.Errorf("look for what was received: %w", err)
	}
	return received.Sessions, received.Tests, nil
}

// Position finds the delivery that a list continues after. It is postgres.ErrCursor for one of another organization.
func (s *Service) Position(ctx context.Context, actor access.Actor, delivery id.Delivery) (*postgres.Position, error) {
	return postgres.FindPosition(s.DB.Reader(ctx).Table("webhook_deliveries").Where("organization_id = ?", actor.Organization), delivery.UUID)
}

// Get returns one delivery. It needs webhooks:read; ErrNotFound.
func (s *Service) Get(ctx context.Context, actor access.Actor, delivery id.Delivery) (Delivery, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return Delivery{}, err
	}
	var d Delivery
	err := tx.Table("webhook_deliveries AS d").Select(columns).Where("d.organization_id = ? AND d.id = ?", actor.Organization, delivery).Take(&d).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Delivery{}, ErrNotFound
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("load delivery %s: %w", delivery, err)
	}
	return d, nil
}

// PayloadHash returns the SHA-256 of the ciphertext of a delivery in hex, by which a receiver can tell whether it got that very body; "" once
// the payload is gone. The ciphertext itself never leaves (contract section 8.7). It needs webhooks:read.
func (s *Service) PayloadHash(ctx context.Context, actor access.Actor, delivery id.Delivery) (string, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return "", err
	}
	var hash string
	err := tx.Raw(`SELECT encode(sha256(convert_to(payload, 'UTF8')), 'hex') FROM webhook_deliveries WHERE organization_id = $1 AND id = $2 AND payload IS NOT NULL`,
		actor.Organization, delivery).Scan(&hash).Error
	if err != nil {
		return "", fmt.Errorf("hash the payload of %s: %w", delivery, err)
	}
	return hash, nil
}

// OfEvents returns the deliveries of the events, in ascending id order. It needs webhooks:read.
func (s *Service) OfEvents(ctx context.Context, actor access.Actor, events []id.Event) (map[id.Event][]Delivery, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return nil, err
	}
	return OfEventsIn(tx, actor.Organization, events)
}

// OfEventsIn is OfEvents on the caller's Tx, without asking for a permission.
func OfEventsIn(tx *postgres.Tx, org id.Organization, events []id.Event) (map[id.Event][]Delivery, error) {
	var rows []Delivery
	err := tx.Table("webhook_deliveries AS d").Select(columns).Where("d.organization_id = ? AND d.event_id IN ?", org, events).Order("d.id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("load deliveries of events: %w", err)
	}
	byEvent := make(map[id.Event][]Delivery, len(events))
	for _, d := range rows {
		byEvent[d.EventID] = append(byEvent[d.EventID], d)
	}
	return byEvent, nil
}

// AttemptsPage asks for a part of a delivery's attempts, oldest first.
type AttemptsPage struct {
	Limit int
	After id.Attempt
}

// Attempts returns attempts of a delivery, oldest first, and whether there are more. It needs webhooks:read; ErrNotFound,
// postgres.ErrCursor.
func (s *Service) Attempts(ctx context.Context, actor access.Actor, delivery id.Delivery, page AttemptsPage) ([]Attempt, bool, error) {
	if _, err := s.Get(ctx, actor, delivery); err != nil {
		return nil, false, err
	}
	q := s.DB.Reader(ctx).Where("webhook_delivery_id = ?", delivery)
	if !page.After.IsZero() {
		var cursor []Attempt
		if err := s.DB.Reader(ctx).Where("webhook_delivery_id = ? AND id = ?", delivery, page.After).Limit(1).Find(&cursor).Error; err != nil {
			return nil, false, fmt.Errorf("find cursor: %w", err)
		}
		if len(cursor) == 0 {
			return nil, false, postgres.ErrCursor
		}
		q = q.Where("(started_at, id) > (?, ?)", cursor[0].StartedAt, cursor[0].ID)
	}
	var rows []Attempt
	if err := q.Order("started_at, id").Limit(page.Limit + 1).Find(&rows).Error; err != nil {
		return nil, false, fmt.Errorf("list attempts: %w", err)
	}
	if len(rows) > page.Limit {
		return rows[:page.Limit], true, nil
	}
	return rows, false, nil
}

// FindAttempt returns the delivery that an attempt belongs to, for a search by id. It needs webhooks:read; ErrNotFound.
func (s *Service) FindAttempt(ctx context.Context, actor access.Actor, attempt id.Attempt) (id.Delivery, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return id.Delivery{}, err
	}
	var rows []Attempt
	if err := tx.Where("organization_id = ? AND id = ?", actor.Organization, attempt).Limit(1).Find(&rows).Error; err != nil {
		return id.Delivery{}, fmt.Errorf("find attempt: %w", err)
	}
	if len(rows) == 0 {
		return id.Delivery{}, ErrNotFound
	}
	return rows[0].WebhookDeliveryID, nil
}
