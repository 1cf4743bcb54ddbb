package pages

import "kaylehooks/web/templates/ui"

// QueueTasks lists the tasks of one queue in one state.
//
//	GET  /queue/{name}?state=pending|active|scheduled|retry|archived&page=   HX-Request: QueueTasksList, polled every 5 s
//	GET  /queue/{name}/tasks/{task}/run | /archive | /delete, and POST
type QueueTasks struct {
	Shell   ui.Shell
	Heading ui.Heading
	Results QueueTasksResults
}

// QueueTasksResults is the region #results of the list of tasks.
type QueueTasksResults struct {
	CSRF     string
	PollHref string
	Rows     []QueueTaskRow
	State    ui.ListState
	Pager    ui.Pager
}

// QueueTaskRow is one task.
type QueueTaskRow struct {
	ID, Short string
	State     ui.Badge
	For       []QueueTaskFor
	Others    string // what it rings for besides and is not to be named
	Retried   string
	Error     string
	Next      *ui.Time
	Actions   []ui.Action
}

// QueueTaskFor is a delivery that a task rings for.
type QueueTaskFor struct {
	Text, Full, Href string
	Endpoint         string
}
