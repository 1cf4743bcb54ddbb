package pages

import "kaylehooks/web/templates/ui"

// Overview is the first page after sign-in: what needs a person, then figures.
//
//	GET /?range=1h|24h|7d|30d
//	GET /attention   HX-Request only: the Attention block, polled every 15 s,
//	                 204 when nothing changed
type Overview struct {
	Shell     ui.Shell
	Heading   ui.Heading
	Attention Attention
	Labels    *ui.Filters // chooses the endpoints that the figures are about
	Tiles     []ui.Tile   // five fit best
	Volume    ui.BarChart
	Latency   ui.LineChart
	Forecast  ui.BarChart
	Errors    ErrorKinds
	Failing   FailingEndpoints
	Checklist *Checklist // nil once done
	Empty     *ui.Empty  // an organization without endpoints: replaces the figures
}

// Attention lists what needs a person, worst first.
type Attention struct {
	PollHref string  // polled every 15 s; empty stops polling
	Count    string  // for example "4 open"
	Note     ui.Link // for example "the worst 12 are shown", to all of them
	Items    []AttentionItem
	Calm     string // shown when there are no items
}

// AttentionItem is one line: Lead, Subject as link, Text form a sentence.
type AttentionItem struct {
	Tone    ui.Tone
	Icon    string
	Lead    string
	Subject string
	Href    string
	Text    string
	Cause   ui.Link // a number that is the beginning of Why, with the list behind it
	Why     string
	When    string
	Action  *ui.Action
}

// ErrorKinds are the most frequent reasons of failed attempts.
type ErrorKinds struct {
	Note  string
	Items []ui.HBar
	At    string // what the Notes of the items are; "" when they have none
	Empty string
}

// FailingEndpoints lists endpoints by failures.
type FailingEndpoints struct {
	AllHref string
	Items   []FailingEndpoint
	Empty   string
}

// FailingEndpoint is one row of FailingEndpoints.
type FailingEndpoint struct {
	Name      string
	Href      string
	Health    ui.Badge
	FirstTry  string // empty without attempts
	FirstHref string
	Waiting   string
	WaitHref  string
}

// Checklist is the set-up list; its ticks come from data.
type Checklist struct {
	Note  string // for example "5 of 6 done"
	Items []ui.CheckStep
}
