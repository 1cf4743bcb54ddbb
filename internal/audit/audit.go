package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

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

// Record appends a row for what actor did. An error fails the caller's transaction: no row, no write.
func Record(tx *postgres.Tx, actor access.Actor, event string, target Target, metadata Metadata) error {
	if metadata == nil {
		metadata = Metadata{}
	}
	raw, err := json.Marshal(metadata)
	if err != nil {
		return fmt.Errorf("encode audit metadata: %w", err)
	}
	entry := Entry{
		ID: id.Audit{UUID: tx.NewUUID()}, OrganizationID: actor.Organization,
		ActorType: actor.Type, ActorID: actor.ID, ActorName: actor.Name,
		Event: event, TargetType: target.Type, TargetID: target.ID, Metadata: raw,
		RequestID: actor.RequestID, CreatedAt: tx.Now,
	}
	if actor.IP.IsValid() {
		entry.ClientIP = actor.IP.String()
	}
	if err := tx.Create(&entry).Error; err != nil {
		return fmt.Errorf("record audit %s: %w", event, err)
	}
	return nil
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
}

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
	q := tx.Table("audit_logs AS a").Where("a.organization_id = ?", actor.Organization)
	if f.ActorID != "" {
		q = q.Where("a.actor_id = ?", f.ActorID)
	}
	if f.ActorType != "" {
		q = q.Where("a.actor_type = ?", f.ActorType)
	}
	if f.EventPrefix != "" {
		q = q.Where("starts_with(a.event, ?)", f.EventPrefix)
	}
	if f.TargetID != "" {
		// What was done to an endpoint's keys names the key as target and the endpoint in its metadata.
		q = q.Where("(a.target_id = ? OR a.metadata ->> 'webhook_endpoint_id' = ?)", f.TargetID, f.TargetID)
	}
	if !f.From.IsZero() {
		q = q.Where("a.created_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		q = q.Where("a.created_at <= ?", f.To)
	}
	list, err := postgres.Fetch[Entry](q, "a", page)
	if err != nil {
		return list, fmt.Errorf("list audit entries: %w", err)
	}
	return list, nil
}

// Position finds the row that a list continues after.
func Position(ctx context.Context, db *postgres.DB, actor access.Actor, row id.Audit) (*postgres.Position, error) {
	return postgres.FindPosition(db.Reader(ctx).Table("audit_logs").Where("organization_id = ?", actor.Organization), row.UUID)
}
