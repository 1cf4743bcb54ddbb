package pages

import "kaylehooks/web/templates/ui"

// Deliveries is the main working page.
//
//	GET  /deliveries?q=&status=&endpoint=&type=&code=&error=&from=&to=&after=&before=&limit=&live=
//	     #results
//	GET  /deliveries/new?…         HX-Request only: ui.NewRows, 204 when nothing is new
//	GET  /deliveries/{id}/row      HX-Request only: DeliveryTableRow of a row in flight
//	POST /deliveries/{id}/retry    run, return (path to go back to)   HX-Request: DeliverySwap
//	POST /jobs/preview             id (repeated): the chosen rows
//	GET  /jobs/new?status=&endpoint=&type=&from=&to=   all rows that match
type Deliveries struct {
	Shell   ui.Shell
	Heading ui.Heading // Live and a link to the CSV export
	Filters ui.Filters
	Results DeliveriesResults
}

// DeliveriesResults is the region #results of a deliveries list.
type DeliveriesResults struct {
	CSRF       string
	Caption    string // of the table, for example "Deliveries, newest first"
	Active     ui.ActiveFilters
	New        *ui.NewRows
	Rows       []DeliveryRow
	NoEndpoint bool   // leaves the endpoint column out, on an endpoint's own page
	AllHref    string // there, the same in the list of all deliveries, which searches and exports
	State      ui.ListState
	Pager      ui.Pager
	Status     string // announced after a filter change
	Bulk       *Bulk  // nil without the right to retry
}

// Bulk is the bar that appears when rows are chosen.
type Bulk struct {
	Action  string // "/jobs/preview"
	AllHref string // preview of everything that matches
	All     string // for example "Retry all that match…"
	Note    string // why there is no AllHref
	Return  string // the list, to come back to it
}

// DeliveryRow is one delivery in a list.
type DeliveryRow struct {
	ID           string
	Short        string
	Href         string
	PollHref     string // set while something happens soon: the row asks for itself
	PollEvery    string // how often, as a trigger of htmx
	Status       ui.Badge
	Test         bool
	Endpoint     string
	EndpointHref string
	Type         string // full event type
	TypeShort    string // for example "session.succeeded"
	Strip        ui.Strip
	Result       *ui.Code
	ResultText   string // beside or instead of Result, for example "sending"
	Latency      string
	Next         string   // for example "due now", "when resumed"
	NextTime     *ui.Time // wins over Next
	NextHref     string   // makes Next a link, for example "Add a key"
	RetryHref    string   // POST of a retry, in a list with boxes; the answer is DeliverySwap
	RetryRefused string   // why this person may not do that
	Retries      bool     // the list has retries, so that one that is refused is shown
	Run          string   // the run that a retry follows
	Focus        bool     // takes the focus of the button that it was swapped in for
	Expiry       *ui.Chip // payload-expiry note when it is near
	Created      ui.Time
	Selectable   bool
}

// Delivery is the page that answers "why".
//
//	GET  /deliveries/{id}?attempt=wha_… or its number   HX-Request: DeliveryBody, or DeliveryEnd for a poll once it has ended
//	POST /deliveries/{id}/retry           run (idempotency: the run the person saw)
//	POST /events/{id}/replay
type Delivery struct {
	Shell   ui.Shell
	Heading ui.Heading
	Body    DeliveryBody
}

// DeliveryBody is the region #delivery; it polls itself until the delivery is
// terminal.
type DeliveryBody struct {
	CSRF     string
	PollHref string // empty once terminal
	Verdict  ui.Verdict
	Zone     string    // for example "UTC"
	Scale    []string  // labels of the phase axis, for example 0 … 1000 ms
	Before   []ui.Step // created, routed, encrypted
	Attempts []AttemptView
	After    []ui.Step // next attempt or end, body expiry
	Facts    []ui.Fact
	FootActs []ui.Action
	Retry    RetryInfo
}

// RetryInfo explains a manual retry before it is made.
type RetryInfo struct {
	Text  string
	Note  string
	Alert *ui.Alert // why it is impossible now, and what to do instead
}

// AttemptView is one attempt of a delivery.
type AttemptView struct {
	ID      string
	Href    string // opens (or, when Open, closes) its panel
	Tone    ui.Tone
	Icon    string
	Number  string // for example "3/8"; "–" for an uncounted row
	RunHead string // set on the first attempt of a later run, for example "Run 2: manual, by Ana Lindqvist"
	RunJob  *ui.Link
	Started ui.Time
	Result  ui.Code
	Phases  ui.Phases
	Took    string
	Trigger string
	Open    bool
	Panel   *AttemptPanel
}

// AttemptPanel is the open attempt: what was sent, what came back, what it means.
type AttemptPanel struct {
	Remote       string // ip:port
	Worker       string
	WorkerHref   string // the workers, for those who may see them
	Asker        string // who asked for the attempt, where somebody did
	RequestLine  string
	RequestHead  []Header
	JWEHeader    string
	BodyFact     string // for example "1,287 bytes"
	BodyHash     string // hex of the SHA-256; empty once the body is gone
	Curl         string // copied by a button; placeholder secret
	Local        *LocalCheck
	Response     *ui.Code
	ResponseNote string // for example "Service Unavailable"
	ResponseHead []Header
	BodyTitle    string // for example "Body, complete (142 bytes)"
	ResponseBody string
	NotCaptured  string // why there is no body
	Meaning      string
	Next         string
}

// LocalCheck offers a command that verifies and decrypts the request on the receiver's own machine.
type LocalCheck struct {
	// Languages lead to the panel with the command in one of them.
	Languages []ui.Link
	Command   string // empty until a language is chosen
	Needs     string // what the machine has to have
	KeyID     string
	Variable  string // of the environment, which holds the signing secret
	Help      ui.Link
}

// Header is one HTTP header as shown. Note is set in lighter type.
type Header struct{ Name, Value, Note string }
