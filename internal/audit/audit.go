package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// Entry is one row of audit_logs.
type Entry struct {
	ID             id.Audit
	OrganizationID id.Organization
	ActorType      access.ActorType
	ActorID        string
	ActorName      string
	Event          string
	TargetType     string
	TargetID       string
	Metadata       json.RawMessage `gorm:"type:jsonb"`
	ClientIP       string
	RequestID      string
	CreatedAt      time.Time
}

// TableName names the table.
func (Entry) TableName() string { return "audit_logs" }

// Target is what an operation worked on.
type Target struct {
	Type string
	ID   string
}

// Metadata holds counts, ids and names of changed fields; never a secret and never a claim value.
type Metadata map[string]any

// ChangesField names the member of Metadata that holds a Changes.
const ChangesField = "changes"

// Changes holds the values of changed fields before and after, by the fields' API names. Only for what is neither secret nor
// personal; of any other field Metadata says just that it changed.
type Changes map[string]Change

// Change is a value before and after.
type Change struct {
	From any `json:"from"`
	To   any `json:"to"`
}

// Deed is what somebody did.
type Deed struct {
	Actor    access.Actor
	Event    string
	Target   Target
	Metadata Metadata
}

// Record appends a row for what actor did. An error fails the caller's transaction: no row, no write.
func Record(tx *postgres.Tx, actor access.Actor, event string, target Target, metadata Metadata) error {
	return RecordAll(tx, []Deed{{actor, event, target, metadata}})
}

// RecordAll is Record for many deeds, in one statement.
func RecordAll(tx *postgres.Tx, deeds []Deed) error {
	rows := make([]row, len(deeds))
	for i, d := range deeds {
		if d.Metadata == nil {
			d.Metadata = Metadata{}
		}
		rows[i] = row{
			ID: tx.NewUUID(), OrganizationID: d.Actor.Organization.UUID, ActorType: d.Actor.Type, ActorID: d.Actor.ID, ActorName: d.Actor.Name,
			Event: d.Event, TargetType: d.Target.Type, TargetID: d.Target.ID, Metadata: d.Metadata, RequestID: d.Actor.RequestID, CreatedAt: tx.Now,
		}
		if d.Actor.IP.IsValid() {
			rows[i].ClientIP = d.Actor.IP.String()
		}
	}
	err := tx.ExecRows(`INSERT INTO audit_logs (id, organization_id, actor_type, actor_id, actor_name, event, target_type, target_id, metadata, client_ip, request_id, created_at)
		SELECT id, organization_id, actor_type, actor_id, actor_name, event, target_type, target_id, metadata, client_ip, request_id, created_at
		FROM GIVEN AS v(id uuid, organization_id uuid, actor_type text, actor_id text, actor_name text, event text, target_type text,
			target_id text, metadata jsonb, client_ip text, request_id text, created_at timestamptz)`, rows)
	if err != nil {
		return fmt.Errorf("record audit %s: %w", deeds[0].Event, err)
	}
	return nil
}

// row is an entry with native ids.
type row struct {
	ID             uuid.UUID        `json:"id"`
	OrganizationID uuid.UUID        `json:"organization_id"`
	ActorType      access.ActorType `json:"actor_type"`
	ActorID        string           `json:"actor_id"`
	ActorName      string           `json:"actor_name"`
	Event          string           `json:"event"`
	TargetType     string           `json:"target_type"`
	TargetID       string           `json:"target_id"`
	Metadata       Metadata         `json:"metadata"`
	ClientIP       string           `json:"client_ip"`
	RequestID      string           `json:"request_id"`
	CreatedAt      time.Time        `json:"created_at"`
}

// Filter narrows a list; the zero value of a field filters nothing.
type Filter struct {
	// ActorID is a text id; ActorType one of the kinds.
	ActorID   string
	ActorType access.ActorType
	// EventPrefix is the first part of an event name, such as "webhook_endpoint.".
	EventPrefix string
	TargetID    string
	From, To    time.Time
	// Text is part of a name, an event, an id, an address or a value, in any case. Only the latest SearchWindow rows of the time
	// span are looked through.
	Text string
}

// SearchWindow is how many rows a search for a text looks through: no index helps it.
const SearchWindow = 10_000

// List returns the organization's rows, newest first. It needs audit:read, or webhooks:read when TargetID limits it to one
// resource.
func List(ctx context.Context, db *postgres.DB, actor access.Actor, f Filter, page postgres.Page) (postgres.List[Entry], error) {
	tx := db.Reader(ctx)
	need := access.AuditRead
	if f.TargetID != "" {
		need = access.WebhooksRead
	}
	if err := actor.Require(need, tx.Now); err != nil {
		return postgres.List[Entry]{}, err
	}
	q := within(tx, actor.Organization, f)
	if f.Text != "" {
		q = tx.Table("(?) AS a", q.Order("a.created_at DESC, a.id DESC").Limit(SearchWindow)).
			Where("strpos(lower(concat_ws(' ', a.actor_name, a.event, a.target_id, a.client_ip, a.request_id, a.metadata)), lower(?)) > 0", f.Text)
	}
	if f.ActorID != "" {
		q = q.Where("a.actor_id = ?", f.ActorID)
	}
	if f.ActorType != "" {
		q = q.Where("a.actor_type = ?", f.ActorType)
	}
	if f.EventPrefix != "" {
		q = q.Where("starts_with(a.event, ?)", f.EventPrefix)
	}
	if f.leavesOutFrequent() {
		q = q.Where(rare)
	}
	list, err := postgres.Fetch[Entry](q, "a", page)
	if err != nil {
		return list, fmt.Errorf("list audit entries: %w", err)
	}
	return list, nil
}

// frequent is what API keys do for every session.
var frequent = []string{"session.created", "session.started", "session.check.failed", "session.succeeded"}

// rare is the condition of an index, which what is frequent never enters.
var rare = "(a.actor_type <> 'api_key' OR a.event NOT IN ('" + strings.Join(frequent, "', '") + "'))"

// leavesOutFrequent reports whether only rows that are rare can match.
func (f Filter) leavesOutFrequent() bool {
	if f.ActorType != "" && f.ActorType != access.APIKey || strings.HasPrefix(f.ActorID, "usr_") {
		return true
	}
	return !slices.ContainsFunc(frequent, func(event string) bool { return strings.HasPrefix(event, f.EventPrefix) })
}

// within are the organization's rows of the filter's time span and target.
func within(tx *postgres.Tx, organization id.Organization, f Filter) *gorm.DB {
	q := tx.Table("audit_logs AS a").Where("a.organization_id = ?", organization)
	if !f.From.IsZero() {
		q = q.Where("a.created_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		q = q.Where("a.created_at <= ?", f.To)
	}
	if f.TargetID == "" {
		return q
	}
	of := q.Session(&gorm.Session{})
	direct := of.Where("a.target_id = ?", f.TargetID)
	if !strings.HasPrefix(f.TargetID, "whe_") {
		return direct
	}
	// What was done to an endpoint's keys names the key as target and the endpoint in its metadata. Each half has an index, in order.
	ofKeys := of.Where("a.metadata ->> 'webhook_endpoint_id' = ? AND a.target_id <> ?", f.TargetID, f.TargetID)
	return tx.Table("(? UNION ALL ?) AS a", direct, ofKeys)
}

// BeyondSearch reports whether the time span holds rows that a search for a text does not look at. It needs audit:read.
func BeyondSearch(ctx context.Context, db *postgres.DB, actor access.Actor, f Filter) (bool, error) {
	tx := db.Reader(ctx)
	if err := actor.Require(access.AuditRead, tx.Now); err != nil {
		return false, err
	}
	var beyond []id.Audit
	err := within(tx, actor.Organization, f).Order("a.created_at DESC, a.id DESC").Offset(SearchWindow).Limit(1).Pluck("a.id", &beyond).Error
	if err != nil {
		return false, fmt.Errorf("look beyond the search: %w", err)
	}
	return len(beyond) > 0, nil
}

// Position finds the row that a list continues after.
func Position(ctx context.Context, db *postgres.DB, actor access.Actor, row id.Audit) (*postgres.Position, error) {
	return postgres.FindPosition(db.Reader(ctx).Table("audit_logs").Where("organization_id = ?", actor.Organization), row.UUID)
}
