package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const auditPath = "/audit"

// auditKept says how long entries last.
var auditKept = fmt.Sprintf("Kept for %d days. Each entry is written together with what it records; none is ever changed.", int(audit.Keep.Hours())/24)

// auditGroups are the choices of the event filter: a prefix of event names, and what they are about.
var auditGroups = []ui.Option{
	{Value: "webhook_endpoint.", Label: "Endpoints"},
	{Value: "webhook_endpoint.signing_secret.", Label: "Signing secrets"},
	{Value: "webhook_key.", Label: "Encryption keys"},
	{Value: "webhook_delivery.", Label: "Retries"},
	{Value: "webhook_event.", Label: "Replays"},
	{Value: "webhook_job.", Label: "Bulk retries"},
	{Value: "session.", Label: "Sessions"},
	{Value: "session.privacy_request.", Label: "Withdrawals"},
	{Value: "api_key.", Label: "API keys"},
	{Value: "member.", Label: "Members"},
	{Value: "organization.", Label: "Organization"},
	{Value: "auth.", Label: "Sign-ins"},
	{Value: "access.denied", Label: "Denied attempts"},
	{Value: "queue.", Label: "Queue"},
	{Value: "export.", Label: "Exports"},
	{Value: "system.", Label: "System"},
}

// auditFilter reads the filters of the audit log from the address. An id in the search box is a target, or a person's or
// key's doings; anything else is looked for in what the rows say.
func (p *page) auditFilter() (f audit.Filter, impossible bool) {
	f.ActorType = access.ActorType(p.Query("actor"))
	f.EventPrefix = p.Query("event")
	f.TargetID = p.Query("target")
	f.From, f.To, impossible = p.querySpan()
	if text := p.Query("q"); text != "" {
		kind, found := firstID(text)
		switch kind {
		case "":
			f.Text = text
		case "usr", "key":
			f.ActorID = found
		default:
			f.TargetID = found
		}
	}
	return f, impossible || len(f.EventPrefix) > 100 || len(f.TargetID) > 128 || len(f.Text) > findMax
}

func (p *page) auditPosition(ctx context.Context, actor access.Actor, row id.Audit) (*postgres.Position, error) {
	return audit.Position(ctx, p.DB, actor, row)
}

func listAudit(p *page) error {
	at, err := pageOf(p, p.auditPosition)
	if err != nil {
		return err
	}
	f, impossible := p.auditFilter()
	var list postgres.List[audit.Entry]
	if !impossible {
		if list, err = audit.List(p.Ctx, p.DB, p.Actor, f, at); err != nil {
			return err
		}
	}
	v := pages.AuditResults{
		Active: p.withSearch(p.activeFilters(
			[3]string{"actor", "By", actorWord(f.ActorType)}, [3]string{"event", "About", groupWord(f.EventPrefix)}, [3]string{"target", "On", ui.ShortID(f.TargetID)},
			[3]string{"from", "From", p.momentOf(p.Query("from"), false)}, [3]string{"to", "To", p.momentOf(p.Query("to"), true)},
		)),
		Pager: pager(p, list, at.Limit, func(e audit.Entry) string { return e.ID.String() }), Status: counted(len(list.Rows), "entry", "entries"),
	}
	if v.Rows, err = p.auditRows(list.Rows); err != nil {
		return err
	}
	beyond, err := p.beyondSearch(f)
	if err != nil {
		return err
	}
	if beyond {
		v.Note = "Only the latest " + ui.Count(audit.SearchWindow) + " entries of the time span were looked through. Choose dates to look further back, and to export."
	}
	switch {
	case len(v.Rows) > 0:
	case len(v.Active.Items) > 0:
		v.State.NoMatch = noMatch("entries", v.Active)
	default:
		v.State.Empty = &ui.Empty{Icon: "audit", Title: "No entries", Text: "Everything that changes something, every sign-in and every refusal is written down here and kept for a year."}
	}
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.AuditList(v))
	}
	return p.Render(http.StatusOK, pages.AuditPage(pages.Audit{
		Shell: p.Shell("Audit log", auditPath), Results: v,
		Heading: ui.Heading{
			Title: "Audit log", Actions: exportActions(p, auditPath+"/export", "entries"),
			Sub: []ui.SubItem{{Text: auditKept}},
		},
		Filters: ui.Filters{
			Action: auditPath, Search: &ui.SearchBox{Label: "Search the log", Placeholder: "Any id, name, event, address or request", Value: p.Query("q")},
			Fields: []ui.FilterField{
				p.selectField("actor", "By", append([]ui.Option{{Label: "Anybody"}}, actorOptions()...)...),
				p.selectField("event", "About", append([]ui.Option{{Label: "Anything"}}, auditGroups...)...),
			},
			More:   []ui.FilterField{p.inputField("target", "Target id", "text"), p.inputField("from", "From", "datetime-local"), p.inputField("to", "To", "datetime-local")},
			Hidden: p.carried("limit"),
		},
	}))
}

// errSearchTooWide refuses an export that would lack rows without a word about it.
var errSearchTooWide = fault.New(fault.Invalid, fault.CodeBadRequest, "This search is too wide to export.").
	WithHint("A search for a text looks through the latest " + ui.Count(audit.SearchWindow) + " entries of the time span, and there are more. Choose dates, so that the file has all that match.")

// beyondSearch reports whether there are rows that a search for a text does not look at.
func (p *page) beyondSearch(f audit.Filter) (bool, error) {
	if f.Text == "" {
		return false, nil
	}
	return audit.BeyondSearch(p.Ctx, p.DB, p.Actor, f)
}

func actorOptions() []ui.Option {
	var options []ui.Option
	for _, t := range []access.ActorType{access.User, access.APIKey, access.System, access.Subject} {
		options = append(options, ui.Option{Value: string(t), Label: upperFirst(actorWord(t))})
	}
	return options
}

func actorWord(t access.ActorType) string {
	switch t {
	case access.User:
		return "people"
	case access.APIKey:
		return "API keys"
	case access.System:
		return "the system"
	case access.Subject:
		return "checked persons"
	}
	return string(t)
}

func groupWord(prefix string) string {
	i := slices.IndexFunc(auditGroups, func(o ui.Option) bool { return o.Value == prefix })
	if i < 0 {
		return prefix
	}
	return lowerFirst(auditGroups[i].Label)
}

// exportAudit streams the filtered rows.
func exportAudit(p *page) error {
	f, impossible := p.auditFilter()
	beyond, err := p.beyondSearch(f)
	if err != nil {
		return err
	}
	if beyond {
		return errSearchTooWide
	}
	head := []string{"id", "time_utc", "actor_type", "actor_id", "actor_name", "event", "target_type", "target_id", "metadata", "address", "request_id"}
	return exportList(p, "audit-log", impossible, head,
		func(at postgres.Page) (postgres.List[audit.Entry], error) {
			return audit.List(p.Ctx, p.DB, p.Actor, f, at)
		},
		func(e audit.Entry) ([]any, postgres.Position) {
			return []any{
				e.ID.String(), e.CreatedAt.UTC().Format(time.RFC3339Nano), string(e.ActorType), e.ActorID, e.ActorName, e.Event,
				e.TargetType, e.TargetID, json.RawMessage(e.Metadata), e.ClientIP, e.RequestID,
			}, postgres.Position{At: e.CreatedAt, ID: e.ID.UUID}
		})
}
