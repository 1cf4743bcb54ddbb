package pages

import "kaylehooks/web/templates/ui"

// Jobs lists bulk retries.
//
//	GET /jobs?after=   #results
type Jobs struct {
	Shell   ui.Shell
	Heading ui.Heading
	Results JobsResults
}

// JobsResults is the region #results of the job list.
type JobsResults struct {
	Rows  []JobRow
	State ui.ListState
	Pager ui.Pager
}

// JobRow is one bulk job.
type JobRow struct {
	ID       ui.ID
	PollHref string // while queued or running: GET /jobs/{id}/row
	Status   ui.Badge
	Filter   string
	Progress ui.Meter
	Of       string // for example "1,820 of 8,412"
	Requeued string
	// RequeuedHref is the list behind Requeued.
	RequeuedHref string
	Skipped      string
	SkippedHref  string // the reasons
	Rate         string
	By           string
	Created      ui.Time
}

// JobPreview counts what a bulk retry would do, before it is started.
//
//	GET  /jobs/new?status=failed|pending&endpoint=&type=&from=&to=
//	POST /jobs/preview   id (repeated)
//	POST /jobs           status, endpoint, type, from, to, rate (1–100), confirm;
//	                     or id (repeated) for chosen rows
type JobPreview struct {
	Shell   ui.Shell
	Heading ui.Heading
	Notes   []ui.Alert
	Scope   *ui.Filters // a GET form that changes the scope; nil for chosen rows
	Filter  string      // the scope in words
	Counts  []CountRow
	Form    *JobForm // nil: nothing is eligible
	Blocked *ui.Alert
	Back    ui.Link // where it was asked for; empty: the deliveries
}

// CountRow is one line of a count table.
type CountRow struct {
	Label  string
	Sub    string
	Count  string
	Href   string // the list behind Count
	Strong bool
	Tone   ui.Tone
	Mono   bool
}

// JobForm starts the job.
type JobForm struct {
	Hidden []ui.Hidden // the frozen scope
	Rate   ui.Field    // name "rate", type number; without a name for chosen rows, which are few
	Typed  *ui.Field   // name "confirm": the number of deliveries, above 1,000
	Submit string      // for example "Retry 812 deliveries"
	Errors ui.FormErrors
	Takes  string // for example "About 14 min at 10 per second"
}

// Job is one bulk job.
//
//	GET  /jobs/{id}          HX-Request: JobBody, polled every 3 s while it runs
//	POST /jobs/{id}/cancel   (an Action of the heading)
type Job struct {
	Shell   ui.Shell
	Heading ui.Heading
	Body    JobBody
}

// JobBody is the region #job.
type JobBody struct {
	PollHref string
	Note     string // for example "10 per second, oldest first; about 11 min left"
	Visited  string
	VisitOf  string // for example "of 8,412 visited, 21.6 %"
	Progress ui.Meter
	Legend   []ui.Legend
	Tiles    []ui.Tile // four fit best
	Preview  []CountRow
	Skipped  []CountRow
	Facts    []ui.Fact // frozen scope
}
