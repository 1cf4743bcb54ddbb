package dashboard

import (
	"net/http"
	"slices"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const sessionsPath = "/sessions"

// undelivered is the choice of the delivery filter.
const undelivered = "undelivered"

// sessionBadge is a session's state as people see it.
func sessionBadge(s verification.Status) ui.Badge {
	switch s {
	case verification.Created:
		return ui.Badge{Tone: ui.Neutral, Icon: "clock", Label: "Created", Title: "The person has not begun."}
	case verification.InProgress:
		return ui.Badge{Tone: ui.Info, Icon: "arrow", Label: "In progress", Title: "The person is being checked."}
	case verification.Succeeded:
		return ui.Badge{Tone: ui.OK, Icon: "check", Label: "Succeeded", Title: "All checks passed."}
	case verification.Failed: // a result, not a fault: nobody here has to act on it
		return ui.Badge{Tone: ui.Warn, Icon: "cross", Label: "Failed", Title: "A check failed for good."}
	case verification.Expired:
		return ui.Badge{Tone: ui.Neutral, Icon: "hourglass", Label: "Expired", Title: "The person did not finish in time."}
	case verification.Cancelled:
		return ui.Badge{Tone: ui.Neutral, Icon: "square", Label: "Cancelled", Title: "It was cancelled, or the person withdrew."}
	}
	return ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: string(s)}
}

func listSessions(p *page) error {
	f, jump, impossible := p.sessionFilter()
	if jump != "" {
		return p.Redirect(jump, ui.Flash{})
	}
	at, err := pageOf(p, p.Sessions.Position)
	if err != nil {
		return err
	}
	var list postgres.List[verification.Session]
	if !impossible {
		if list, err = p.Sessions.List(p.Ctx, p.Actor, f, at); err != nil {
			return err
		}
	}
	v := pages.SessionsResults{
		Active: p.withSearch(p.activeFilters(
			[3]string{"status", "Status", lowerFirst(sessionBadge(f.Status).Label)}, [3]string{"delivery", "Delivery", "ended, not delivered"},
			[3]string{"from", "From", p.momentOf(p.Query("from"), false)}, [3]string{"to", "To", p.momentOf(p.Query("to"), true)},
		)),
		Pager: pager(p, list, at.Limit, func(s verification.Session) string { return s.ID.String() }), Status: counted(len(list.Rows), "session", "sessions"),
	}
	if v.Rows, err = p.sessionRows(list.Rows); err != nil {
		return err
	}
	if !impossible {
		newest := ""
		if len(list.Rows) > 0 {
			newest = list.Rows[0].ID.String()
		}
		v.New = p.newRows(sessionsPath+"/new", newest, list.HasNewer)
	}
	switch {
	case len(v.Rows) > 0:
	case len(v.Active.Items) > 0:
		v.State.NoMatch = noMatch("sessions", v.Active)
	case list.HasNewer:
		v.State.Empty = &ui.Empty{Icon: "session", Title: "Nothing older", Text: "The rows that were here are gone.", Actions: []ui.Action{{Label: "Newest sessions", Href: sessionsPath, Kind: "primary"}}}
	default:
		v.State.Empty = &ui.Empty{
			Icon: "session", Title: "No session yet", Text: "A session is one identity check. Your server opens it over the API with a key that carries sessions:write.",
			Actions: []ui.Action{{Label: "API reference", Icon: "help", Href: "/reference"}},
			Sample:  "curl -X POST " + p.absolute("/v1/sessions") + " \\\n  -H 'Authorization: Bearer kk_…' -H 'Content-Type: application/json' -d '{}'",
		}
	}
	if p.Fragment() {
		return p.Render(http.StatusOK, pages.SessionsList(v))
	}
	statuses := []ui.Option{{Label: "Any"}}
	for _, s := range verification.Statuses() {
		statuses = append(statuses, ui.Option{Value: string(s), Label: sessionBadge(s).Label})
	}
	heading := ui.Heading{Title: "Sessions", Live: p.liveNote(), Actions: exportActions(p, sessionsPath+"/export", "sessions")}
	return p.Render(http.StatusOK, pages.SessionsPage(pages.Sessions{
		Shell: p.Shell("Sessions", sessionsPath), Heading: heading, Results: v,
		Filters: ui.Filters{
			Action: sessionsPath, Search: &ui.SearchBox{Label: "Search by id", Placeholder: "Session or any other id", Value: p.Query("q")},
			Fields: []ui.FilterField{
				p.selectField("status", "Status", statuses...),
				p.selectField("delivery", "Delivery", ui.Option{Label: "Any"}, ui.Option{Value: undelivered, Label: "Ended, not delivered"}),
			},
			More:   []ui.FilterField{p.inputField("from", "From", "datetime-local"), p.inputField("to", "To", "datetime-local")},
			Hidden: p.carried("limit", "live"),
		},
	}))
}

// newSessions answers the poll of the list.
func newSessions(p *page) error {
	f, jump, impossible := p.sessionFilter()
	if jump != "" || impossible {
		return p.NoChange()
	}
	at, err := positionOf(p, p.Sessions.Position)
	if err != nil {
		return err
	}
	list, err := p.Sessions.List(p.Ctx, p.Actor, f, postgres.Page{Limit: newMax, Before: at})
	if err != nil {
		return err
	}
	return p.foundNew(len(list.Rows), list.HasNewer, "new session", "new sessions", sessionsPath)
}

// sessionFilter reads the filters of the session list from the address. An id leads to the page of what it names.
func (p *page) sessionFilter() (f verification.Filter, jump string, impossible bool) {
	if s := verification.Status(p.Query("status")); s != "" {
		f.Status, impossible = s, !slices.Contains(verification.Statuses(), s)
	}
	if d := p.Query("delivery"); d != "" {
		f.Undelivered, impossible = true, impossible || d != undelivered
	}
	var bad bool
	f.From, f.To, bad = p.querySpan()
	impossible = impossible || bad
	if text := p.Query("q"); text != "" {
		_, found := firstID(text)
		if found == "" {
			return f, "", true
		}
		jump = link(findPath, "q", found)
	}
	return f, jump, impossible
}

func (p *page) sessionRows(sessions []verification.Session) ([]pages.SessionRow, error) {
	if len(sessions) == 0 {
		return nil, nil
	}
	last, reached := map[id.Session]event.Event{}, map[id.Session]reach{}
	deliveries, err := p.lastEvents(sessions, last, reached)
	if err != nil {
		return nil, err
	}
	rows := make([]pages.SessionRow, len(sessions))
	for i, s := range sessions {
		row := pages.SessionRow{
			ID: ui.NewID(s.ID.String(), "", sessionsPath+"/"+s.ID.String()), Status: sessionBadge(s.Status), Targets: "all",
			Created: p.Past(s.CreatedAt), Finished: p.AtPtr(s.CompletedAt),
		}
		if n := len(s.WebhookEndpointIDs); n > 0 {
			row.Targets = ui.Count(n)
		}
		if s.FailureCode != nil {
			row.Reason = string(*s.FailureCode)
		}
		if s.Status.Active() {
			row.Expires = p.AtPtr(&s.ExpiresAt)
		}
		if e, ok := last[s.ID]; ok {
			r := reached[s.ID]
			row.Event = idPtr(ui.NewID(e.ID.String(), "", eventsPath+"/"+e.ID.String()))
			row.Reach, row.ReachOf = r.meter(), r.words()
			if row.PollEvery = p.watch(deliveries[e.ID]...); row.PollEvery != "" {
				row.PollHref = link(row.ID.Href+"/row", "live", p.Query("live"))
			}
		}
		rows[i] = row
	}
	return rows, nil
}

// showSessionRow is one row of the list, for a session of whose event something is in flight.
func showSessionRow(p *page) error {
	s, err := p.session()
	if err != nil {
		return err
	}
	rows, err := p.sessionRows([]verification.Session{s})
	if err != nil {
		return err
	}
	return p.Render(http.StatusOK, pages.SessionTableRow(rows[0]))
}

// lastEvents finds the event that counts of each session, how far it came and its deliveries. A replacement comes after its original.
func (p *page) lastEvents(sessions []verification.Session, last map[id.Session]event.Event, reached map[id.Session]reach) (map[id.Event][]delivery.Delivery, error) {
	ids := make([]id.Session, len(sessions))
	for i, s := range sessions {
		ids[i] = s.ID
	}
	events, err := event.OfSessions(p.DB.Reader(p.Ctx), p.Actor.Organization, ids)
	if err != nil {
		return nil, err
	}
	deliveries, err := p.deliveriesOf(events)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		last[e.SessionID()] = e
		reached[e.SessionID()] = reachOf(e.Routing, deliveries[e.ID], p.Now)
	}
	return deliveries, nil
}

func targetsWord(n int) string {
	if n == 0 {
		return "all endpoints"
	}
	return counted(n, "endpoint", "endpoints")
}
