package dashboard

import (
	"context"
	"net/http"
	"slices"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const eventsPath = "/events"

// eventFilter reads the filters of the event list from the address. An id of something else leads to its page.
func (p *page) eventFilter() (f event.Filter, jump string, impossible bool) {
	if t := event.Type(p.Query("type")); t != "" {
		f.Type, impossible = t, !t.Known()
	}
	if outcome := event.Outcome(p.Query("outcome")); outcome != "" {
		f.Outcome, impossible = outcome, impossible || !slices.Contains(event.Outcomes(), outcome)
	}
	f.From, _ = p.ParseFormTime(p.Query("from"), false)
	f.To, _ = p.ParseFormTime(p.Query("to"), true)
	text := p.Query("q")
	if text == "" {
		return f, "", impossible
	}
	kind, text := firstID(text)
	switch kind {
	case "":
		return f, "", true
	case "vs":
		session, err := id.Parse[id.SessionKind](text)
		f.SessionID = session
		return f, "", impossible || err != nil
	}
	return f, link("/find", "q", text), impossible
}

func (p *page) eventPosition(ctx context.Context, actor access.Actor, row id.Event) (*postgres.Position, error) {
	return event.Position(ctx, p.DB, actor, row)
}

func listEvents(p *page) error {
	f, jump, impossible := p.eventFilter()
	if jump != "" {
		return p.Redirect(jump, ui.Flash{})
	}
	at, err := pageOf(p, p.eventPosition)
	if err != nil {
		return err
	}
	var list postgres.List[event.Event]
	if !impossible {
		if list, err = event.List(p.Ctx, p.DB, p.Actor, f, at); err != nil {
			return err
		}
	}
	deliveries, err := p.deliveriesOf(list.Rows)
	if err != nil {
		return err
	}
	v := pages.EventsResults{
		CSRF: p.Session.CSRFToken, Bulk: p.eventsBulk(),
		Active: p.withSearch(p.activeFilters(
			[3]string{"type", "Type", f.Type.Short()}, [3]string{"outcome", "Outcome", lowerFirst(outcomeWord(f.Outcome))},
			[3]string{"from", "From", p.momentOf(p.Query("from"), false)}, [3]string{"to", "To", p.momentOf(p.Query("to"), true)},
		)),
		Pager: pager(p, list, at.Limit, func(e event.Event) string { return e.ID.String() }), Status: counted(len(list.Rows), "event", "events"),
	}
	for _, e := range list.Rows {
		v.Rows = append(v.Rows, p.eventRow(e, deliveries[e.ID]))
	}
	if !impossible {
		newest := ""
		if len(list.Rows) > 0 {
			newest = list.Rows[0].ID.String()
		}
		v.New = p.newRows(eventsPath+"/new", newest, at)
	}
	switch {
	case len(v.Rows) > 0:
	case len(v.Active.Items) > 0:
		v.State.NoMatch = noMatch("events", v.Active)
	case list.HasNewer:
		v.State.Empty = &ui.Empty{Icon: "event", Title: "Nothing older", Text: "The rows that were here are gone.", Actions: []ui.Action{{Label: "Newest events", Href: eventsPath, Kind: "primary"}}}
	default:
		v.State.Empty = &ui.Empty{
			Icon: "event", Title: "No event yet",
			Text:    "An event is written when a verification session ends, whether or not an endpoint receives it. A test event makes one at once.",
			Actions: []ui.Action{{Label: "Choose an endpoint to test", Href: "/endpoints", Kind: "primary"}},
		}
	}
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.EventsList(v))
	}
	filters := ui.Filters{
		Action: eventsPath,
		Search: &ui.SearchBox{Label: "Search by id", Placeholder: "Session or any other id", Value: p.Query("q")},
		Fields: []ui.FilterField{p.selectField("outcome", "Outcome", outcomeOptions()...), p.selectField("type", "Type", eventTypeOptions()...)},
		More:   []ui.FilterField{p.inputField("from", "From", "datetime-local"), p.inputField("to", "To", "datetime-local")},
		Hidden: p.carried("limit", "live"),
	}
	heading := ui.Heading{Title: "Events", Live: p.liveNote()}
	if len(v.Rows) > 0 {
		heading.Actions = exportActions(p, eventsPath+"/export", "events")
	}
	return p.Render(http.StatusOK, pages.EventsPage(pages.Events{
		Shell: p.Shell("Events", eventsPath), Heading: heading, Filters: filters, Results: v,
	}))
}

func outcomeOptions() []ui.Option {
	options := []ui.Option{{Label: "Any outcome"}}
	for _, o := range event.Outcomes() {
		options = append(options, ui.Option{Value: string(o), Label: outcomeWord(o)})
	}
	return options
}

func outcomeWord(o event.Outcome) string {
	switch o {
	case event.AllDelivered:
		return "All delivered"
	case event.AnyFailed:
		return "Any failed"
	case event.AnyWaiting:
		return "Any waiting"
	case event.NoDelivery:
		return "No endpoint matched"
	}
	return string(o)
}

// carried are parameters of the address that a filter form keeps.
func (p *page) carried(names ...string) []ui.Hidden {
	var out []ui.Hidden
	for _, name := range names {
		if value := p.Query(name); value != "" {
			out = append(out, ui.Hidden{Name: name, Value: value})
		}
	}
	return out
}

// deliveriesOf loads the deliveries of events.
func (p *page) deliveriesOf(events []event.Event) (map[id.Event][]delivery.Delivery, error) {
	if len(events) == 0 {
		return nil, nil
	}
	ids := make([]id.Event, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return p.Deliveries.OfEvents(p.Ctx, p.Actor, ids)
}

func newEvents(p *page) error {
	f, jump, impossible := p.eventFilter()
	if jump != "" || impossible {
		return p.NoChange()
	}
	at, err := positionOf(p, p.eventPosition)
	if err != nil {
		return err
	}
	list, err := event.List(p.Ctx, p.DB, p.Actor, f, postgres.Page{Limit: newMax, Before: at})
	if err != nil {
		return err
	}
	return p.foundNew(len(list.Rows), list.HasNewer, "new event", "new events", eventsPath)
}

func (p *page) eventRow(e event.Event, deliveries []delivery.Delivery) pages.EventRow {
	r := reachOf(e.Routing, deliveries, p.Now)
	return pages.EventRow{
		ID: ui.NewID(e.ID.String(), "", eventsPath+"/"+e.ID.String()), Type: e.Type.Short(), Test: e.Type == event.Test,
		Subject: subjectOf(e, ""), Outcome: r.badge(), Reach: r.meter(), ReachOf: r.words(), Payloads: r.held(), Created: p.At(e.CreatedAt),
		Selectable: r.Held > 0 && r.Waiting+r.Retrying+r.Failed > 0,
	}
}

// subjectOf is what an event is about: a session, or for a test an endpoint.
func subjectOf(e event.Event, kind string) ui.ID {
	text := e.TriggerText()
	if e.TriggerType == event.ByWebhookEndpoint {
		return ui.NewID(text, kind, "/endpoints/"+text)
	}
	return ui.NewID(text, kind, sessionsPath+"/"+text)
}
