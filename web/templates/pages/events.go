package pages

import "kaylehooks/web/templates/ui"

// Events is the list of events.
//
//	GET /events?q=&type=&outcome=delivered|waiting|failed|nobody&from=&to=&after=&before=&limit=   #results
//	GET /events/new?…      HX-Request only: ui.NewRows
//	GET /events/{id}/row   HX-Request only: EventTableRow of an event of which something is in flight
type Events struct {
	Shell   ui.Shell
	Heading ui.Heading
	Filters ui.Filters
	Results EventsResults
}

// EventsResults is the region #results of the event list.
type EventsResults struct {
	CSRF   string
	Bulk   *Bulk // nil: rows cannot be chosen
	Active ui.ActiveFilters
	New    *ui.NewRows
	Rows   []EventRow
	State  ui.ListState
	Pager  ui.Pager
	Status string
}

// EventRow is one event.
type EventRow struct {
	ID       ui.ID
	Type     string
	Test     bool
	Subject  ui.ID    // session, or endpoint for tests
	Outcome  ui.Badge // overall
	Reach    ui.Meter // delivered, waiting, failed, skipped
	ReachOf  string   // for example "2 sent, 1 retrying, 1 skipped"
	Payloads string   // for example "2 bodies held" or "none held"
	Created  ui.Time
	// Selectable is whether a replay could send something.
	Selectable bool
	PollHref   string // set while something of it happens soon: the row asks for itself
	PollEvery  string // how often, as a trigger of htmx
}

// Event is one event with its routing.
//
//	GET  /events/{id}
//	POST /events/{id}/replay   return
type Event struct {
	Shell    ui.Shell
	Heading  ui.Heading // Replay is a POST action
	Verdict  ui.Verdict
	RoutedAt string // for example "7 endpoints existed at 09:41:12 UTC"
	Routing  []RouteRow
	Facts    []ui.Fact
	Payload  []ui.Fact
}

// RouteRow is the decision for one endpoint.
type RouteRow struct {
	PollHref  string // set while something happens to its delivery soon: GET /events/{id}/routes/{endpoint}, answered by RouteSwap
	PollEvery string
	Key       string // unique suffix for the element id, the endpoint id
	Endpoint  string
	Href      string
	Host      string
	Gone      bool // the endpoint was deleted since
	Decision  ui.Badge
	Reason    string // the stored word, for example "not_subscribed"
	Why       string // in a sentence
	Delivery  *ui.Badge
	DelHref   string
	Strip     *ui.Strip
	Action    *ui.Action // Retry (POST) or a link such as "Add a key"
}
