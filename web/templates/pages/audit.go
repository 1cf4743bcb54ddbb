package pages

import "kaylehooks/web/templates/ui"

// Audit is the audit log.
//
//	GET /audit?q=&actor=user|api_key|system|subject&event=&target=&from=&to=&after=&before=&limit=   #results
//	GET /audit/export?…   the filtered rows as CSV (an Action of the heading)
type Audit struct {
	Shell   ui.Shell
	Heading ui.Heading
	Filters ui.Filters
	Results AuditResults
}

// AuditResults is the region #results of an audit list.
type AuditResults struct {
	Active ui.ActiveFilters
	Rows   []AuditRow
	State  ui.ListState
	Pager  ui.Pager
	Note   string // what was not looked at
	Status string
}

// AuditRow is one audit row.
type AuditRow struct {
	ID         string
	Href       string // leads to this entry, for others to follow
	Time       ui.Time
	Actor      string
	ActorKind  string // "user", "API key", "system", "subject"
	ActorIcon  string
	Event      string // for example "webhook_endpoint.updated"
	Tone       ui.Tone
	Target     ui.ID     // what it is about, and the page of that
	TargetName string    // "" when it has none
	TargetSub  string    // its kind
	Summary    string    // one line, for example "url, enabled"
	Details    []ui.Fact // metadata, shown on opening
	Address    string
	RequestID  string
}
