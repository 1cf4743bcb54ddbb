package pages

import "kaylehooks/web/templates/ui"

// Sessions is the list of verification sessions. It never shows claims or
// personal data.
//
//	GET /sessions?q=&status=&delivery=undelivered&from=&to=&after=&before=&limit=   #results
//	GET /sessions/new?…      HX-Request only: ui.NewRows
//	GET /sessions/{id}/row   HX-Request only: SessionTableRow of a session of whose event something is in flight
type Sessions struct {
	Shell   ui.Shell
	Heading ui.Heading
	Filters ui.Filters
	Results SessionsResults
}

// SessionsResults is the region #results of the session list.
type SessionsResults struct {
	Active ui.ActiveFilters
	New    *ui.NewRows
	Rows   []SessionRow
	State  ui.ListState
	Pager  ui.Pager
	Status string
}

// SessionRow is one session.
type SessionRow struct {
	ID        ui.ID
	Status    ui.Badge
	Reason    string // failure code or cancellation reason
	Targets   string // of endpoints: "all", or how many
	Event     *ui.ID // terminal event
	Reach     ui.Meter
	ReachOf   string
	Created   ui.Time
	Expires   *ui.Time // while open
	Finished  *ui.Time
	PollHref  string // set while something of its event happens soon: the row asks for itself
	PollEvery string // how often, as a trigger of htmx
}

// Session is one session joined with its event and deliveries.
//
//	GET  /sessions/{id}          HX-Request: SessionBody, or SessionSwap once it has ended
//	POST /sessions/{id}/cancel   (an Action of the heading)
type Session struct {
	Shell   ui.Shell
	Heading ui.Heading
	Body    SessionBody
}

// SessionBody is the region #session; it polls itself while the session is open or its event is on its way.
type SessionBody struct {
	CSRF       string
	PollHref   string
	PollEvery  string
	Verdict    ui.Verdict
	Steps      []ui.Step
	Facts      []ui.Fact
	Deliveries []DeliveryRow
	NoEvent    *ui.Empty // an open session has no event yet
	ShareNote  string
	Share      []ShareField // the requested claims by key; never a value
}

// ShareField is one key of the session's share contract.
type ShareField struct {
	Key      string
	Required bool
	Source   string
	Reason   string
}
