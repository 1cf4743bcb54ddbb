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
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const eventsPath = "/events"

// missedBy fills in the filter for what an endpoint missed while it was paused, of the types that it subscribes to now.
func missedBy(f event.Filter, e webhook.Endpoint) event.Filter {
	f.MissedBy, f.MissedTypes = e.ID, nil
	for _, t := range e.SubscribedEventTypes {
		f.MissedTypes = append(f.MissedTypes, event.Type(t))
	}
	return f
}

// eventQuery is what the address of the event list asks for.
type eventQuery struct {
	event.Filter
	// jump is the page of an id that was searched for and is nothing to filter by.
	jump string
	// impossible tells that nothing can match.
	impossible bool
	// missedBy names the endpoint whose missed events are asked for.
	missedBy string
}

// eventFilter reads the filters of the event list from the address.
func (p *page) eventFilter() (q eventQuery, err error) {
	if t := event.Type(p.Query("type")); t != "" {
		q.Type, q.impossible = t, !t.Known()
	}
	if outcome := event.Outcome(p.Query("outcome")); outcome != "" {
		q.Outcome, q.impossible = outcome, q.impossible || !slices.Contains(event.Outcomes(), outcome)
	}
	var bad bool
	q.From, q.To, bad = p.querySpan()
	q.impossible = q.impossible || bad
	if text := p.Query("missed"); text != "" {
		endpoints, err := p.endpointsByID()
		if err != nil {
			return q, err
		}
		endpoint, _ := id.Parse[id.EndpointKind](text) // a malformed id is nobody's
		if e, ok := endpoints[endpoint]; ok {
			q.Filter, q.missedBy = missedBy(q.Filter, e), e.DisplayName()
		} else {
			q.impossible, q.missedBy = true, "an unknown endpoint"
		}
	}
	text := p.Query("q")
	if text == "" {
		return q, nil
	}
	kind, text := firstID(text)
	switch kind {
	case "":
		q.impossible = true
	case "vs":
		session, err := id.Parse[id.SessionKind](text)
		q.SessionID, q.impossible = session, q.impossible || err != nil
	default:
		q.jump = link(findPath, "q", text)
	}
	return q, nil
}

func (p *page) eventPosition(ctx context.Context, actor access.Actor, row id.Event) (*postgres.Position, error) {
	return event.Position(ctx, p.DB, actor, row)
}

func listEvents(p *page) error {
	f, err := p.eventFilter()
	if err != nil {
		return err
	}
	if f.jump != "" {
		return p.Redirect(f.jump, ui.Flash{})
	}
	at, err := pageOf(p, p.eventPosition)
	if err != nil {
		return err
	}
	var list postgres.List[event.Event]
	if !f.impossible {
		if list, err = event.List(p.Ctx, p.DB, p.Actor, f.Filter, at); err != nil {
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
			[3]string{"missed", "Missed while paused", f.missedBy},
			[3]string{"from", "From", p.momentOf(p.Query("from"), false)}, [3]string{"to", "To", p.momentOf(p.Query("to"), true)},
		)),
		Pager: pager(p, list, at.Limit, func(e event.Event) string { return e.ID.String() }), Status: counted(len(list.Rows), "event", "events"),
	}
	for _, e := range list.Rows {
		v.Rows = append(v.Rows, p.eventRow(e, deliveries[e.ID], v.Bulk != nil))
	}
	if !f.impossible {
		newest := ""
		if len(list.Rows) > 0 {
			newest = list.Rows[0].ID.String()
		}
		v.New = p.newRows(eventsPath+"/new", newest, list.HasNewer)
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
			Text: "An event is written when a verification session ends, whether or not an endpoint receives it. A test event makes one at once.",
		}
		if p.Can(access.WebhooksWrite) {
			v.State.Empty.Actions = []ui.Action{chooseEndpointAction()}
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
		Hidden: p.carried("limit", "live", "missed"),
	}
	heading := ui.Heading{Title: "Events", Live: p.liveNote(), Actions: exportActions(p, eventsPath+"/export", "events")}
	return p.Render(http.StatusOK, pages.EventsPage(pages.Events{
		Shell: p.Shell("Events", eventsPath), Heading: heading, Filters: filters, Results: v,
	}))
}

func outcomeOptions() []ui.Option {
	options := []ui.Option{{Label: "Any"}}
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
	f, err := p.eventFilter()
	if err != nil {
		return err
	}
	if f.jump != "" || f.impossible {
		return p.NoChange()
	}
	at, err := positionOf(p, p.eventPosition)
	if err != nil {
		return err
	}
	list, err := event.List(p.Ctx, p.DB, p.Actor, f.Filter, postgres.Page{Limit: newMax, Before: at})
	if err != nil {
		return err
	}
	return p.foundNew(len(list.Rows), list.HasNewer, "new event", "new events", eventsPath)
}

// eventRow is one event in the list; choose tells that the rows have boxes.
func (p *page) eventRow(e event.Event, deliveries []delivery.Delivery, choose bool) pages.EventRow {
	r := reachOf(e.Routing, deliveries, p.Now)
	href := eventsPath + "/" + e.ID.String()
	row := pages.EventRow{
		ID: ui.NewID(e.ID.String(), "", href), Type: e.Type.Short(), Test: e.Type == event.Test,
		Subject: subjectOf(e, ""), Outcome: r.badge(), Reach: r.meter(), ReachOf: r.words(), Payloads: r.held(), Created: p.Past(e.CreatedAt),
		Selectable: r.Held > 0 && r.Waiting+r.Retrying+r.Failed > 0,
	}
	if row.PollEvery = p.watch(deliveries...); row.PollEvery != "" {
		row.PollHref = link(href+"/row", "live", p.Query("live"))
		if choose {
			row.PollHref = link(row.PollHref, "choose", "1")
		}
	}
	return row
}

// showEventRow is one row of the list, for an event of which something is in flight.
func showEventRow(p *page) error {
	evt, err := pathID[id.EventKind](p, "id", event.ErrNotFound)
	if err != nil {
		return err
	}
	e, err := event.Get(p.Ctx, p.DB, p.Actor, evt)
	if err != nil {
		return err
	}
	deliveries, err := p.deliveriesOf([]event.Event{e})
	if err != nil {
		return err
	}
	choose := p.Query("choose") == "1"
	return p.Render(http.StatusOK, pages.EventTableRow(p.eventRow(e, deliveries[evt], choose), choose))
}

// subjectOf is what an event is about: a session, or for a test an endpoint.
func subjectOf(e event.Event, kind string) ui.ID {
	text := e.TriggerText()
	if e.TriggerType == event.ByWebhookEndpoint {
		return ui.NewID(text, kind, "/endpoints/"+text)
	}
	return ui.NewID(text, kind, sessionsPath+"/"+text)
}
