package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// TaskState is where a task stands in its queue.
type TaskState string

// The states that a task of ours can have.
const (
	TaskPending   TaskState = "pending"
	TaskActive    TaskState = "active"
	TaskScheduled TaskState = "scheduled"
	TaskRetry     TaskState = "retry"
	TaskArchived  TaskState = "archived"
)

var taskStates = []TaskState{TaskPending, TaskActive, TaskScheduled, TaskRetry, TaskArchived}

// QueueTask is one task: what it rings for, and never more than ids.
type QueueTask struct {
	ID, Queue string
	State     TaskState
	// Dues are what it rings for; a zero delivery stands for whatever is due at the endpoint.
	Dues []delivery.Due
	// Retried counts the tries that ended in a fault of ours.
	Retried   int
	LastError string
	// NextAt is when it is tried again; zero for one that waits or is served.
	NextAt time.Time
}

const (
	// tasksShown is the length of a page of tasks.
	tasksShown = 50
	// tasksPages bounds how far the list can be turned over: tasks are gone within seconds.
	tasksPages = 100
	// tasksSearched is how many tasks of each queue and state are looked through for a delivery.
	tasksSearched = 200
)

func taskBadge(s TaskState) ui.Badge {
	switch s {
	case TaskPending:
		return ui.Badge{Tone: ui.Neutral, Icon: "clock", Label: "Pending", Title: "It waits for a worker."}
	case TaskActive:
		return ui.Badge{Tone: ui.Info, Icon: "arrow", Label: "Active", Title: "A worker is at it."}
	case TaskScheduled:
		return ui.Badge{Tone: ui.Neutral, Icon: "clock", Label: "Scheduled", Title: "It waits for its time."}
	case TaskRetry:
		return ui.Badge{Tone: ui.Warn, Icon: "loop", Label: "Retry", Title: "It failed for a reason on our side and is tried again."}
	case TaskArchived:
		return ui.Badge{Tone: ui.Bad, Icon: "square", Label: "Archived", Title: "It is not tried again."}
	}
	return ui.Badge{Tone: ui.Neutral, Icon: "dash", Label: string(s)}
}

func queueTasksPath(queue string, s TaskState) string {
	return link(queuePath+"/"+queue, "state", string(s))
}

// showQueueTasks lists the tasks of one queue. Redis serves all organizations: what belongs to another one is counted and
// not named.
func showQueueTasks(p *page) error {
	name := p.R.PathValue("name")
	if p.Queue == nil || !slices.Contains(p.Queue.Names(), name) {
		return errNoQueue
	}
	state := TaskState(p.Query("state"))
	if !slices.Contains(taskStates, state) {
		state = TaskPending
	}
	number, _ := strconv.Atoi(p.Query("page"))
	number = min(max(number, 1), tasksPages)
	endpoints, err := p.endpointsByID()
	if err != nil {
		return err
	}
	tasks, ok := asked(p, func(ctx context.Context) ([]QueueTask, error) {
		return p.Queue.Tasks(ctx, name, state, number, tasksShown)
	})
	v := pages.QueueTasks{
		Shell: p.Shell("Queue "+name+", "+string(state), queuePath),
		Heading: ui.Heading{
			Crumbs: []ui.Link{{Label: "Queue", Href: queuePath}}, Title: "Queue " + name, RangeOf: "State", Live: p.liveNote(),
			Sub: []ui.SubItem{{Text: "A task rings for deliveries and holds nothing but their ids. Most are gone within a second."}},
		},
	}
	for _, s := range taskStates {
		v.Heading.Range = append(v.Heading.Range, ui.Link{Label: taskBadge(s).Label, Href: queueTasksPath(name, s), Current: s == state})
	}
	v.Results.CSRF = p.Session.CSRFToken
	for i, t := range tasks {
		row := p.taskRow(t, endpoints)
		if row.Others != "" { // its id may name an endpoint of theirs
			row.ID, row.Short = "other-"+strconv.Itoa(i), "shared"
		}
		v.Results.Rows = append(v.Results.Rows, row)
	}
	switch {
	case !ok:
		v.Results.State.Error = &ui.ErrorPanel{
			Title: "Redis does not answer", Text: "Its tasks cannot be listed. Nothing is lost: what is due stays in Postgres.", RequestID: p.RequestID, RetryHref: p.With(seenParam, ""),
			Actions: []ui.Action{{Label: "What is due", Href: link(deliveriesPath, "status", anyWaiting)}},
		}
	case len(tasks) == 0:
		v.Results.State.Empty = &ui.Empty{
			Icon: "queue", Title: "No task is " + string(state) + " here", Text: "That is the usual state: a task is rung when a delivery is due and is gone when it was served.",
			Actions: []ui.Action{{Label: "What is due", Href: link(deliveriesPath, "status", anyWaiting)}, {Label: "All queues", Href: queuePath}},
		}
	default:
		v.Results.Pager = ui.Pager{Shown: counted(len(tasks), "task", "tasks") + ", the next one first"}
		if number > 1 {
			v.Results.Pager.Newer = p.With("page", strconv.Itoa(number-1), seenParam, "")
		}
		if len(tasks) == tasksShown && number < tasksPages {
			v.Results.Pager.Older = p.With("page", strconv.Itoa(number+1), seenParam, "")
		}
	}
	seen, err := seenOf(v.Results)
	if err != nil {
		return err
	}
	if p.live() {
		v.Results.PollHref = p.With(seenParam, seen)
	}
	if p.Fragment() {
		if p.Query(seenParam) == seen {
			return p.NoChange()
		}
		return p.Render(http.StatusOK, pages.QueueTasksList(v.Results))
	}
	return p.Render(http.StatusOK, pages.QueueTasksPage(v))
}

// shortTask shortens the id of a task, which is the id of an endpoint with a number, or a uuid.
func shortTask(text string) string {
	if short := ui.ShortID(text); short != text || len(text) <= 16 {
		return short
	}
	return text[:8] + "…" + text[len(text)-4:]
}

func (p *page) taskRow(t QueueTask, endpoints map[id.Endpoint]webhook.Endpoint) pages.QueueTaskRow {
	row := pages.QueueTaskRow{ID: t.ID, Short: shortTask(t.ID), State: taskBadge(t.State), Retried: ui.Count(t.Retried), Error: cutText(t.LastError, 200)}
	if !t.NextAt.IsZero() {
		row.Next = p.AtPtr(&t.NextAt)
	}
	others := 0
	for _, due := range t.Dues {
		e, ours := endpoints[due.EndpointID]
		switch {
		case !ours:
			others++
		case due.DeliveryID.IsZero():
			row.For = append(row.For, pages.QueueTaskFor{Text: "whatever is due at " + e.DisplayName(), Href: link(endpointPath(e.ID)+"/deliveries", "status", anyWaiting)})
		default:
			row.For = append(row.For, pages.QueueTaskFor{Text: ui.ShortID(due.DeliveryID.String()), Full: due.DeliveryID.String(), Href: deliveriesPath + "/" + due.DeliveryID.String(), Endpoint: e.DisplayName()})
		}
	}
	switch {
	case others > 0:
		row.Others = counted(others, "delivery", "deliveries") + " of other organizations"
	case len(t.Dues) == 0: // nobody can tell whose it is
		row.Others = "nothing that can be read, so it may be another organization's"
	}
	if row.Others != "" {
		row.Error = "" // it may name them
		return row
	}
	row.Actions = p.taskActions(t)
	return row
}

// taskOf finds the task that rings for a delivery among those that come first.
func (p *page) taskOf(d delivery.Delivery) (task *QueueTask, answered bool) {
	return asked(p, func(ctx context.Context) (*QueueTask, error) {
		for _, state := range []TaskState{TaskActive, TaskPending, TaskRetry} {
			for _, name := range p.Queue.Names() {
				tasks, err := p.Queue.Tasks(ctx, name, state, 1, tasksSearched)
				if err != nil {
					return nil, err
				}
				for i, t := range tasks {
					if slices.ContainsFunc(t.Dues, func(due delivery.Due) bool { return due.DeliveryID == d.ID }) {
						return &tasks[i], nil
					}
				}
			}
		}
		return nil, nil
	})
}

// taskFact says where the task of a delivery stands. A delivery that is not due has none: retries wait in Postgres.
func (p *page) taskFact(d delivery.Delivery) (ui.Fact, bool) {
	open := d.Status == delivery.Pending || d.Status == delivery.Delivering
	if !open || !p.Can(access.QueueRead) {
		return ui.Fact{}, false
	}
	fact := ui.Fact{Term: "Queue task", Href: queuePath}
	if d.Status == delivery.Pending && (d.NextAttemptAt == nil || d.NextAttemptAt.After(p.Now)) {
		fact.Text, fact.Sub = "none yet", "it waits in Postgres and gets one when it is due"
		if d.NextAttemptAt == nil {
			fact.Sub = "it is parked in Postgres until its endpoint is resumed"
		}
		return fact, true
	}
	t, answered := p.taskOf(d)
	switch {
	case !answered:
		fact.Text, fact.Sub = "not known", "Redis does not answer; what is due is rung for again when it does"
	case t == nil && d.Status == delivery.Delivering:
		fact.Text, fact.Sub = "taken", "a worker took it with others that were due at the endpoint"
	case t == nil:
		fact.Text, fact.Sub = "none in front", fmt.Sprintf("not among the first %d of a queue; what is due is rung for again within a minute", tasksSearched)
	default:
		fact.Text, fact.Href = strings.ToLower(taskBadge(t.State).Label)+" in queue "+t.Queue, queueTasksPath(t.Queue, t.State)
		if slices.ContainsFunc(t.Dues, func(due delivery.Due) bool { return due.EndpointID != d.WebhookEndpointID }) {
			fact.Sub = "with deliveries of other endpoints" // which may be another organization's, and the task's id may name one
			break
		}
		fact.Href += "#task-" + t.ID
		fact.Sub, fact.SubMono = t.ID, true
	}
	return fact, true
}
