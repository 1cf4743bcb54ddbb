package pages

import "kaylehooks/web/templates/ui"

// Queue is the native queue page.
//
//	GET  /queue                         HX-Request: QueueBody, polled every 5 s
//	GET  /queue/{name}/pause            asks
//	POST /queue/{name}/pause | /resume
//	GET  /monitor                       asynqmon, linked from the heading
type Queue struct {
	Shell   ui.Shell
	Heading ui.Heading
	Body    QueueBody
}

// QueueBody is the region #queue.
type QueueBody struct {
	Shared   bool // with other organizations: figures of the machinery are those of all of them, and not shown
	CSRF     string
	PollHref string
	Alarm    *ui.Alert // no worker seen, deliveries late
	Stale    *ui.Alert // Redis away
	AsOf     string    // when queues, workers and Redis were like that, if that is not now
	Tiles    []ui.Tile // four fit best
	Queues   []QueueRow
	Workers  []WorkerRow
	NoWorker *ui.Empty
	// Schedules are what schedulers put into the queues. Known says that there is an answer, if only that there is none.
	Schedules []ui.Fact
	Known     bool
	Redis     []ui.Fact
	Truth     []ui.Fact // what Postgres says: due, oldest due, leases
	Forecast  ui.BarChart
}

// QueueRow is one queue of the workers.
type QueueRow struct {
	Name      string
	Href      string
	Sub       string    // what it is for
	Hrefs     [5]string // the tasks behind the next five figures
	State     ui.Badge
	Pending   string
	Active    string
	Scheduled string
	Retry     string
	Archived  string
	Oldest    string // age of the oldest pending task
	Processed string // today
	Failed    string // today
	Memory    string
	Actions   []ui.Action
}

// WorkerRow is one worker process.
type WorkerRow struct {
	Name      string
	Host      string
	State     ui.Badge
	Queues    string
	Busy      ui.Meter
	BusyOf    string   // for example "12 of 64"
	Heartbeat *ui.Time // nil: within 30 s
	Started   ui.Time
}
