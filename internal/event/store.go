package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"kaylehooks/internal/access"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// ErrNotFound reports an event that is absent or another organization's.
var ErrNotFound = fault.Missing("event")

// Insert adds the events. The unique indexes refuse a second original for a session and a second replacement for an event.
func Insert(tx *postgres.Tx, events ...Event) error {
	rows := make([]row, len(events))
	for i, e := range events {
		rows[i] = row{ID: e.ID.UUID, OrganizationID: e.OrganizationID.UUID, Type: e.Type, TriggerType: e.TriggerType, TriggerID: e.TriggerID, Routing: e.Routing, CreatedAt: e.CreatedAt}
		if e.ReplacesEventID != nil {
			rows[i].ReplacesEventID = &e.ReplacesEventID.UUID
		}
	}
	err := tx.ExecRows(`INSERT INTO events (id, organization_id, type, trigger_type, trigger_id, replaces_event_id, routing, created_at)
		SELECT id, organization_id, type, trigger_type, trigger_id, replaces_event_id, COALESCE(routing, '[]'), created_at
		FROM GIVEN AS v(id uuid, organization_id uuid, type text, trigger_type text, trigger_id uuid, replaces_event_id uuid, routing jsonb, created_at timestamptz)`, rows)
	if err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	return nil
}

// row is an event with native ids.
type row struct {
	ID              uuid.UUID   `json:"id"`
	OrganizationID  uuid.UUID   `json:"organization_id"`
	Type            Type        `json:"type"`
	TriggerType     TriggerType `json:"trigger_type"`
	TriggerID       uuid.UUID   `json:"trigger_id"`
	ReplacesEventID *uuid.UUID  `json:"replaces_event_id"`
	Routing         Routing     `json:"routing"`
	CreatedAt       time.Time   `json:"created_at"`
}

// SetRouting replaces the routing record, when a withdrawal is settled.
func SetRouting(tx *postgres.Tx, event id.Event, routing Routing) error {
	res := tx.Exec("UPDATE events SET routing = $1 WHERE id = $2", routing, event)
	if res.Error != nil {
		return fmt.Errorf("update routing of %s: %w", event, res.Error)
	}
	return nil
}

// Supersede notes that replacement took the place of original.
func Supersede(tx *postgres.Tx, original, replacement id.Event) error {
	res := tx.Exec("UPDATE events SET superseded_by_event_id = $1 WHERE id = $2 AND superseded_by_event_id IS NULL", replacement, original)
	if res.Error != nil {
		return fmt.Errorf("supersede %s: %w", original, res.Error)
	}
	if res.RowsAffected != 1 {
		return fmt.Errorf("supersede %s: already superseded", original)
	}
	return nil
}

// Original returns the session's original terminal event, or ErrNotFound while the session is active.
func Original(tx *postgres.Tx, session id.Session) (Event, error) {
	return take(tx.Where("trigger_id = ? AND trigger_type = ? AND replaces_event_id IS NULL", session, ByVerificationSession))
}

// LockOriginal is Original, and keeps the event from being purged or replaced by others until the transaction ends. It waits for a
// purge under way, and is ErrNotFound if that took the event.
func LockOriginal(tx *postgres.Tx, session id.Session) (Event, error) {
	return take(tx.Clauses(clause.Locking{Strength: "NO KEY UPDATE"}).Where("trigger_id = ? AND trigger_type = ? AND replaces_event_id IS NULL", session, ByVerificationSession))
}

// ReplacementOf returns the event that replaced original, or ErrNotFound.
func ReplacementOf(tx *postgres.Tx, original id.Event) (Event, error) {
	return take(tx.Where("replaces_event_id = ?", original))
}

// OfSessions returns every event of the sessions, oldest first.
func OfSessions(tx *postgres.Tx, org id.Organization, sessions []id.Session) ([]Event, error) {
	var events []Event
	ids := make([]uuid.UUID, len(sessions))
	for i, s := range sessions {
		ids[i] = s.UUID
	}
	err := tx.Where("organization_id = ? AND trigger_type = ? AND trigger_id IN ?", org, ByVerificationSession, ids).Order("created_at, id").Find(&events).Error
	if err != nil {
		return nil, fmt.Errorf("load events of sessions: %w", err)
	}
	return events, nil
}

// Find returns an event of the organization without asking for a permission.
func Find(tx *postgres.Tx, org id.Organization, event id.Event) (Event, error) {
	return take(tx.Where("organization_id = ? AND id = ?", org, event))
}

func take(q *gorm.DB) (Event, error) {
	var e Event
	err := q.Take(&e).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Event{}, ErrNotFound
	}
	if err != nil {
		return Event{}, fmt.Errorf("load event: %w", err)
	}
	return e, nil
}

// Filter narrows a list; the zero value of a field filters nothing. From and To are inclusive.
type Filter struct {
	Type      Type
	SessionID id.Session
	Outcome   Outcome
	From, To  time.Time
	// MissedBy selects events of MissedTypes that this endpoint did not get because it was disabled. Only the latest
	// MissedWindow events of the time are looked at, since routing has no index.
	MissedBy    id.Endpoint
	MissedTypes []Type
}

// Get returns one event. It needs webhooks:read.
func Get(ctx context.Context, db *postgres.DB, actor access.Actor, event id.Event) (Event, error) {
	tx := db.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return Event{}, err
	}
	return Find(tx, actor.Organization, event)
}

// List returns events, newest first. It needs webhooks:read.
func List(ctx context.Context, db *postgres.DB, actor access.Actor, f Filter, page postgres.Page) (postgres.List[Event], error) {
	tx := db.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return postgres.List[Event]{}, err
	}
	if _, rare := rareOutcomes[f.Outcome]; rare && f.SessionID.IsZero() && f.MissedBy.IsZero() {
		list, err := listRare(tx, actor.Organization, f, page)
		if err != nil {
			return list, fmt.Errorf("list events by outcome: %w", err)
		}
		return list, nil
	}
	q := tx.Table("events AS e").Where("e.organization_id = ?", actor.Organization)
	if f.Type != "" {
		q = q.Where("e.type = ?", f.Type)
	}
	if !f.SessionID.IsZero() {
		q = q.Where("e.trigger_type = ? AND e.trigger_id = ?", ByVerificationSession, f.SessionID)
	}
	if condition, ok := outcomeConditions[f.Outcome]; ok {
		q = q.Where(condition)
	}
	if rare, ok := rareOutcomes[f.Outcome]; ok {
		q = q.Where("EXISTS (SELECT FROM webhook_deliveries d WHERE d.event_id = e.id AND d.status IN ? AND "+rare.delivery+")", rare.statuses)
	}
	if !f.MissedBy.IsZero() {
		condition, args := f.missed()
		q = q.Where("e.id IN (?)", f.window(tx, actor.Organization).Select("w.id").Where(condition, args...))
	}
	q = f.within(q)
	list, err := postgres.Fetch[Event](q, "e", page)
	if err != nil {
		return list, fmt.Errorf("list events: %w", err)
	}
	return list, nil
}

// MissedWindow is how many events a search for missed ones looks at.
const MissedWindow = 10_000

// Missed is how many events an endpoint did not get because it was disabled.
type Missed struct {
	Events int
	// Partial tells that there are more events than were looked at: these are the latest MissedWindow.
	Partial bool
}

// CountMissed counts what List finds with f.MissedBy, f.MissedTypes and the time; the rest of f is ignored. It needs
// webhooks:read.
func CountMissed(ctx context.Context, db *postgres.DB, actor access.Actor, f Filter) (Missed, error) {
	tx := db.Reader(ctx)
	if err := actor.Require(access.WebhooksRead, tx.Now); err != nil {
		return Missed{}, err
	}
	condition, args := f.missed()
	var found struct{ Events, Seen int }
	if err := f.window(tx, actor.Organization).Select("count(*) FILTER (WHERE "+condition+") AS events, count(*) AS seen", args...).Scan(&found).Error; err != nil {
		return Missed{}, fmt.Errorf("count missed events: %w", err)
	}
	m := Missed{Events: found.Events}
	if found.Seen == MissedWindow {
		err := f.latest(tx, actor.Organization).Select("true").Offset(MissedWindow).Limit(1).Scan(&m.Partial).Error
		if err != nil {
			return Missed{}, fmt.Errorf("look beyond the missed events: %w", err)
		}
	}
	return m, nil
}

// window is the latest events of the time, as w.
func (f Filter) window(tx *postgres.Tx, org id.Organization) *gorm.DB {
	return tx.Table("(?) AS w", f.latest(tx, org).Select("e.id, e.type, e.routing").Limit(MissedWindow))
}

// latest is the events of the time, newest first.
func (f Filter) latest(tx *postgres.Tx, org id.Organization) *gorm.DB {
	return f.within(tx.Table("events AS e").Where("e.organization_id = ?", org)).Order("e.created_at DESC, e.id DESC")
}

// missed is the condition on w. A disabled endpoint is recorded as such for every type, also for those that it would not
// have got.
func (f Filter) missed() (condition string, args []any) {
	return "w.type IN ? AND w.routing @> jsonb_build_array(jsonb_build_object('webhook_endpoint_id', ?::text, 'reason', ?::text))",
		[]any{f.MissedTypes, f.MissedBy.String(), Disabled}
}

// within narrows the events e to the time of the filter.
func (f Filter) within(q *gorm.DB) *gorm.DB {
	if !f.From.IsZero() {
		q = q.Where("e.created_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		q = q.Where("e.created_at <= ?", f.To)
	}
	return q
}

// Position finds the event that a list continues after. It is postgres.ErrCursor for an event of another organization.
func Position(ctx context.Context, db *postgres.DB, actor access.Actor, event id.Event) (*postgres.Position, error) {
	return postgres.FindPosition(db.Reader(ctx).Table("events").Where("organization_id = ?", actor.Organization), event.UUID)
}
