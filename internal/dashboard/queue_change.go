package dashboard

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"kaylehooks/internal/access"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/logging"
	"kaylehooks/internal/postgres"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

// What a change of a task can fail with besides a fault of Redis.
var (
	// ErrNoTask reports a task that is not in the queue any more.
	ErrNoTask = fault.Missing("task")
	// ErrTaskMoved reports a task in a state that the change has no place in: a worker took it, or somebody else changed it.
	ErrTaskMoved = fault.New(fault.Conflict, fault.CodeConflict, "The task is in another state by now.")
)

var (
	errNoQueue       = fault.Missing("queue")
	errMonitorShared = fault.New(fault.Forbidden, fault.CodeForbidden, "The monitor is closed: it names the tasks of every organization, and there is more than one here.")
	errQueueReadOnly = fault.New(fault.Forbidden, fault.CodeForbidden, "The queue of this installation is read-only.")
	errQueueShared   = fault.New(fault.Forbidden, fault.CodeForbidden, "The queues serve every organization here, so none of them can stop one.")
	// errQueueAway and errUnconfirmed are answered with 503.
	errQueueAway   = fault.New(fault.Conflict, fault.CodeConflict, "Redis does not answer, so the queue cannot be changed.").WithHint("Nothing was changed. Try again when it is back.")
	errUnconfirmed = fault.New(fault.Conflict, fault.CodeConflict, "Redis did not confirm the change.").WithHint("It may have been made all the same: look at the queue before you try again.")
)

// inTime is what f learns from the task queue, or does to it, within the patience for Redis. The library behind the queue
// heeds no context, so f runs on the side and is left alone when it is late: it ends with the time limits of its connection.
func inTime[T any](p *page, f func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(p.Ctx, queuePatience)
	defer cancel()
	type result struct {
		answer T
		err    error
	}
	results, log := make(chan result, 1), p.Log
	go func() {
		var r result
		defer func() {
			if v := recover(); v != nil { // nothing else would catch it here
				log.LogAttrs(ctx, slog.LevelError, "queue panicked", logging.Panic(v)...)
				r.err = errPanic
			}
			results <- r
		}()
		r.answer, r.err = f(ctx)
	}()
	select {
	case r := <-results:
		return r.answer, r.err
	case <-ctx.Done():
		var nothing T
		return nothing, ctx.Err()
	}
}

// asked is what f learns from the task queue; ok is false when there is no queue or it does not answer in time.
func asked[T any](p *page, f func(ctx context.Context) (T, error)) (answer T, ok bool) {
	if p.Queue == nil {
		return answer, false
	}
	answer, err := inTime(p, f)
	if err != nil {
		p.Log.LogAttrs(p.Ctx, slog.LevelWarn, "queue not read", slog.String("error", err.Error()))
		return answer, false
	}
	return answer, true
}

// changeQueue does something to the queue and leaves a trace of it. Redis has no part in a transaction, so one of the two can
// fail alone. The trace comes first: a change that nobody can be asked about is worse than a row too many. What Redis then
// does not confirm gets a second row, so that the first one does not pass for something that happened.
func (p *page) changeQueue(event string, target audit.Target, metadata audit.Metadata, change func(context.Context) error) error {
	record := func(ctx context.Context, event string) error {
		return p.DB.InTx(ctx, func(tx *postgres.Tx) error { return audit.Record(tx, p.Actor, event, target, metadata) })
	}
	if err := record(p.Ctx, event); err != nil {
		return err
	}
	_, err := inTime(p, func(ctx context.Context) (struct{}, error) { return struct{}{}, change(ctx) })
	if err == nil {
		return nil
	}
	metadata["change"] = event
	switch f, _ := fault.As(err); f {
	case ErrNoTask:
		metadata["outcome"] = "gone before"
	case ErrTaskMoved:
		metadata["outcome"] = "moved before"
	default: // an answer that got lost may follow a change that was made
		p.Log.LogAttrs(p.Ctx, slog.LevelWarn, "queue not changed", slog.String("event", event), slog.String("error", err.Error()))
		metadata["outcome"], err = "not confirmed", errUnconfirmed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Ctx), formLimit) // the time may be what ran out
	defer cancel()
	if err := record(ctx, "queue.change_failed"); err != nil {
		return err
	}
	return err
}

// recordMonitor leaves a trace of what is about to be done in the monitor, which keeps no log of its own. What only looks leaves
// none, and what the monitor refuses leaves one too many.
func (p *page) recordMonitor() error {
	if p.R.Method == http.MethodGet || p.R.Method == http.MethodHead {
		return nil
	}
	return p.DB.InTx(p.Ctx, func(tx *postgres.Tx) error {
		return audit.Record(tx, p.Actor, "queue.monitor_used", audit.Target{}, audit.Metadata{"method": p.R.Method, "path": cutText(p.R.URL.Path, 200)})
	})
}

// queueLocked says why the person cannot change the queue; empty when they can.
func (p *page) queueLocked() string {
	switch {
	case p.QueueReadOnly:
		return "QUEUE_READ_ONLY is set."
	case !p.Can(access.QueueManage):
		return needsRole(access.QueueManage)
	}
	return ""
}

// queueOf finds the queue of the route, to change it.
func (p *page) queueOf() (QueueState, error) {
	if err := p.require(access.QueueManage); err != nil { // the queue itself does not ask
		return QueueState{}, err
	}
	if p.QueueReadOnly {
		return QueueState{}, errQueueReadOnly
	}
	name := p.R.PathValue("name")
	if p.Queue == nil || !slices.Contains(p.Queue.Names(), name) {
		return QueueState{}, errNoQueue
	}
	now := p.queueNow()
	if !now.current {
		return QueueState{}, errQueueAway
	}
	i := slices.IndexFunc(now.Queues, func(q QueueState) bool { return q.Name == name })
	if i < 0 {
		return QueueState{}, errNoQueue
	}
	return now.Queues[i], nil
}

// queueToPause finds the queue of the route. One that serves several organizations is not to be stopped by one of them; resuming it
// takes nothing from the others.
func (p *page) queueToPause() (QueueState, error) {
	q, err := p.queueOf()
	if err != nil {
		return q, err
	}
	several, err := p.Org.Several(p.Ctx)
	if err == nil && several {
		err = errQueueShared
	}
	return q, err
}

// askPauseQueue says what a pause does: it is wide.
func askPauseQueue(p *page) error {
	q, err := p.queueToPause()
	if err != nil {
		return err
	}
	return p.askPage(pages.ConfirmPage{
		Shell:   p.Shell("Pause queue "+q.Name, queuePath),
		Heading: ui.Heading{Crumbs: []ui.Link{{Label: "Queue", Href: queuePath}}, Title: "Pause a queue"},
		Confirm: ui.Confirm{
			ID: "pause", Icon: "pause", Title: "Pause the queue " + q.Name + "?",
			Effects: []string{
				q.Purpose + ": none is sent until the queue is resumed.",
				inQueue(q),
				"Nothing is lost: what is due stays in Postgres. Payloads go on ageing, and one that expires meanwhile is erased undelivered.",
			},
			Action: queuePath + "/" + q.Name + "/pause", Submit: "Pause queue", BackHref: queuePath, Back: "Keep it running",
		},
	})
}

// inQueue says what a queue holds.
func inQueue(q QueueState) string {
	if q.Pending+q.Active == 0 {
		return "Nothing is in it now."
	}
	return counted(q.Pending, "task waits", "tasks wait") + " in it now; " + counted(q.Active, "that is under way is", "that are under way are") + " finished."
}

func pauseQueue(p *page) error  { return p.switchQueue(true) }
func resumeQueue(p *page) error { return p.switchQueue(false) }

// switchQueue stops or resumes a queue of the whole system and leaves a trace in the log of the one who did it.
func (p *page) switchQueue(paused bool) error {
	find, verb, event := p.queueOf, "resumed", "queue.resumed"
	if paused {
		find, verb, event = p.queueToPause, "paused", "queue.paused"
	}
	q, err := find()
	if err != nil {
		return err
	}
	if q.Paused == paused {
		return p.Redirect(queuePath, ui.Flash{Tone: ui.Info, Text: "The queue " + q.Name + " is " + verb + " already."})
	}
	err = p.changeQueue(event, audit.Target{Type: "queue", ID: q.Name}, audit.Metadata{}, func(ctx context.Context) error {
		return p.Queue.SetPaused(ctx, q.Name, paused)
	})
	if err != nil {
		return err
	}
	flash := ui.Flash{Tone: ui.OK, Text: "The queue " + q.Name + " is " + verb + "."}
	if paused {
		flash.Sub = "Its tasks wait; retries keep their place in Postgres."
	}
	return p.Redirect(queuePath, flash)
}

// taskChange is something that a person can do to a task.
type taskChange struct {
	verb string // last part of the address
	// offer is the label of the link, title what is asked (%s is the task), submit the label of the button.
	offer, title, submit string
	icon                 string
	danger               bool
	effects              []string
	of                   []TaskState // where it has a place
	event, done          string
	do                   func(ctx context.Context, q Queue, queue, task string) error
}

// nothingLost ends the effects of what takes a task away.
const nothingLost = "No delivery is lost: what is due is rung for again within about a minute. To stop a delivery, pause its endpoint."

var (
	taskRun = taskChange{
		verb: "run", offer: "Run now…", title: "Run task %s now?", submit: "Run now", icon: "play",
		effects: []string{"The next worker that is free takes it, and sends what is due by then."},
		of:      []TaskState{TaskScheduled, TaskRetry, TaskArchived},
		event:   "queue.task_run", done: "waiting for a worker now",
		do: func(ctx context.Context, q Queue, queue, task string) error { return q.RunTask(ctx, queue, task) },
	}
	taskArchive = taskChange{
		verb: "archive", offer: "Archive…", title: "Archive task %s?", submit: "Archive task", icon: "square",
		effects: []string{"No worker takes it until somebody runs it. Redis keeps it for 90 days.", nothingLost},
		of:      []TaskState{TaskPending, TaskScheduled, TaskRetry},
		event:   "queue.task_archived", done: "archived",
		do: func(ctx context.Context, q Queue, queue, task string) error { return q.ArchiveTask(ctx, queue, task) },
	}
	taskDelete = taskChange{
		verb: "delete", offer: "Delete…", title: "Delete task %s?", submit: "Delete task", icon: "trash", danger: true,
		effects: []string{nothingLost},
		of:      []TaskState{TaskPending, TaskScheduled, TaskRetry, TaskArchived},
		event:   "queue.task_deleted", done: "deleted",
		do: func(ctx context.Context, q Queue, queue, task string) error { return q.DeleteTask(ctx, queue, task) },
	}
)

// taskActions are what can be done to a task, each by way of a question.
func (p *page) taskActions(t QueueTask) []ui.Action {
	var out []ui.Action
	for _, c := range []taskChange{taskRun, taskArchive, taskDelete} {
		if !slices.Contains(c.of, t.State) {
			continue
		}
		out = append(out, ui.Action{
			Label: c.offer, Icon: c.icon, Href: c.path(t), Small: true, Name: strings.TrimSuffix(c.offer, "…") + ": task " + shortTask(t.ID), Dialog: true, Disabled: p.queueLocked(),
		})
	}
	return out
}

func (c taskChange) path(t QueueTask) string {
	return queuePath + "/" + t.Queue + "/tasks/" + t.ID + "/" + c.verb
}

func (c taskChange) asked(t QueueTask) string { return fmt.Sprintf(c.title, shortTask(t.ID)) }

// ownTask finds the task of the route, to change it; one that rings for another organization too, or for nothing that can
// be read, is not to be touched here.
func (p *page) ownTask() (t QueueTask, err error) {
	if err := p.require(access.QueueManage); err != nil { // the queue itself does not ask
		return t, err
	}
	if p.QueueReadOnly {
		return t, errQueueReadOnly
	}
	name := p.R.PathValue("name")
	if p.Queue == nil || !slices.Contains(p.Queue.Names(), name) {
		return t, errNoQueue
	}
	endpoints, err := p.endpointsByID()
	if err != nil {
		return t, err
	}
	task := p.R.PathValue("task")
	found, ok := asked(p, func(ctx context.Context) (*QueueTask, error) {
		t, err := p.Queue.Task(ctx, name, task)
		if f, known := fault.As(err); known && f == ErrNoTask {
			return nil, nil
		}
		return &t, err
	})
	switch {
	case !ok:
		return t, errQueueAway
	case found == nil, len(found.Dues) == 0, slices.ContainsFunc(found.Dues, func(d delivery.Due) bool { _, ours := endpoints[d.EndpointID]; return !ours }):
		return t, ErrNoTask
	}
	return *found, nil
}

// taskOf finds the task of the route; has is false where the change has no place in its state, which was answered then.
func (c taskChange) taskOf(p *page) (t QueueTask, has bool, err error) {
	if t, err = p.ownTask(); err != nil {
		return t, false, err
	}
	if !slices.Contains(c.of, t.State) {
		return t, false, p.Redirect(queueTasksPath(t.Queue, t.State), ui.Flash{Tone: ui.Info, Text: "Nothing was changed: the task is " + string(t.State) + "."})
	}
	return t, true, nil
}

// ask asks whether the task of the route is to be changed.
func (c taskChange) ask(p *page) error {
	t, has, err := c.taskOf(p)
	if !has {
		return err
	}
	title, back := c.asked(t), queueTasksPath(t.Queue, t.State)
	return p.askPage(pages.ConfirmPage{
		Shell:   p.Shell(strings.TrimSuffix(title, "?"), queuePath),
		Heading: ui.Heading{Crumbs: []ui.Link{{Label: "Queue", Href: queuePath}, {Label: t.Queue, Href: back}}, Title: c.submit},
		Confirm: ui.Confirm{
			ID: c.verb, Icon: c.icon, Danger: c.danger, Title: title,
			Effects: append([]string{"It is " + string(t.State) + " and rings for " + counted(len(t.Dues), "delivery", "deliveries") + "."}, c.effects...),
			Action:  c.path(t), Submit: c.submit, BackHref: back, Back: "Leave it",
		},
	})
}

// carryOut changes the task of the route, which is the organization's own.
func (c taskChange) carryOut(p *page) error {
	t, has, err := c.taskOf(p)
	if !has {
		return err
	}
	about := audit.Metadata{"queue": t.Queue, "state": t.State, "deliveries": len(t.Dues)}
	err = p.changeQueue(c.event, audit.Target{Type: "queue_task", ID: t.ID}, about, func(ctx context.Context) error { return c.do(ctx, p.Queue, t.Queue, t.ID) })
	flash := ui.Flash{Tone: ui.OK, Text: "Task " + shortTask(t.ID) + " is " + c.done + "."}
	if err != nil {
		switch f, _ := fault.As(err); f {
		case ErrNoTask:
			flash = ui.Flash{Tone: ui.Info, Text: "The task was served meanwhile."}
		case ErrTaskMoved:
			flash = ui.Flash{Tone: ui.Info, Text: "Nothing was changed: a worker took the task meanwhile, or somebody else changed it."}
		default:
			return err
		}
	}
	return p.Redirect(queueTasksPath(t.Queue, t.State), flash)
}
