package dashboard

import (
	"net/http"
	"strings"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/web/templates/pages"
	"kaylehooks/web/templates/ui"
)

const (
	queuePath = "/queue"
	// queuePatience is how long the page waits for Redis: what Postgres knows is shown in any case.
	queuePatience = 2 * time.Second
	// workerSilence is how long a worker may be quiet before it counts as gone.
	workerSilence = 30 * time.Second
	// workerCommand starts a worker.
	workerCommand = "bin/web worker"
	// dueLate is how long a due delivery may wait before people are told.
	dueLate = time.Minute
)

func showQueue(p *page) error {
	body, err := p.queueBody()
	if err != nil {
		return err
	}
	seen, err := seenOf(body)
	if err != nil {
		return err
	}
	if p.live() {
		body.PollHref = link(queuePath, "live", p.Query("live"), seenParam, seen)
	}
	if p.Fragment() {
		if p.Query(seenParam) == seen {
			return p.NoChange()
		}
		return p.Render(http.StatusOK, pages.QueueRegion(body))
	}
	heading := ui.Heading{Title: "Queue", Live: p.liveNote()}
	if p.Queue != nil && !body.Shared {
		heading.Actions = []ui.Action{{Label: "Open monitor", Icon: "link", Href: "/monitor", External: true}}
	}
	return p.Render(http.StatusOK, pages.QueuePage(pages.Queue{Shell: p.Shell("Queue", queuePath), Heading: heading, Body: body}))
}

func (p *page) queueBody() (pages.QueueBody, error) {
	body := pages.QueueBody{CSRF: p.Session.CSRFToken}
	backlog, err := p.Deliveries.CountBacklog(p.Ctx, p.Actor.Organization)
	if err != nil {
		return body, err
	}
	if body.Shared, err = p.Org.Several(p.Ctx); err != nil {
		return body, err
	}
	due, err := p.Deliveries.Forecast(p.Ctx, p.Actor, p.forecastStart(), forecastHours)
	if err != nil {
		return body, err
	}
	body.Forecast = p.forecastChart(due, "Attempts of this organization that become due", "")
	now := p.queueNow()
	body.Known = !now.at.IsZero()
	for _, q := range now.Queues {
		body.Queues = append(body.Queues, p.queueRow(q, now.current, body.Shared))
	}
	for _, f := range now.Redis {
		body.Redis = append(body.Redis, ui.Fact{Term: f.Name, Text: f.Value})
	}
	for _, s := range now.Schedules {
		body.Schedules = append(body.Schedules, p.scheduleFact(s))
	}
	busy, size := 0, 0
	for _, w := range now.Workers {
		if w.running(now.at) {
			busy, size = busy+w.Busy, size+w.Size
		}
		body.Workers = append(body.Workers, p.workerRow(w, now, body.Shared))
	}
	for _, w := range now.gone { // where none is left, the page says that instead
		if len(now.Workers) > 0 && !w.running(now.at) {
			body.Workers = append(body.Workers, p.workerRow(w, now, body.Shared))
		}
	}
	body.Truth, body.Tiles = p.backlogView(backlog), p.queueTiles(backlog, body.Forecast.Bars)
	if now.current && size > 0 && !body.Shared {
		body.Tiles[1].Note = counted(busy, "place", "places") + " of " + ui.Count(size) + " busy"
		body.Tiles[1].Meter = &ui.Meter{Total: size, Parts: []ui.MeterPart{{Value: busy, Fill: ui.FillStrong}}}
	}
	switch {
	case p.Queue == nil:
		body.Alarm = &ui.Alert{
			Tone: ui.Warn, Icon: "info", Title: "Redis is not configured", Text: "This process knows no task queue: set REDIS_URL. What is due is read from Postgres and is right all the same.",
		}
		body.NoWorker = &ui.Empty{Icon: "queue", Title: "Workers are not known", Text: "They report over Redis."}
	case !now.current:
		body.Stale = &ui.Alert{
			Tone: ui.Bad, Icon: "warn", Title: "Redis does not answer", Urgent: true,
			Text: "Nothing is lost: what is due stays in Postgres, and workers go on when Redis is back. The figures from Postgres are current; of the queues nothing is known yet.",
		}
		body.NoWorker = &ui.Empty{Icon: "queue", Title: "Workers are not known", Text: "They report over Redis."}
		if !now.at.IsZero() {
			at := p.Clock(now.at)
			body.AsOf = at.Text + " " + p.ZoneLabel()
			body.Stale.Text = "Nothing is lost: what is due stays in Postgres, and workers go on when Redis is back. The figures from Postgres are current; those of the queues and workers are as of " + body.AsOf + "."
		}
	case now.workersGone(p.Now):
		body.Alarm = &ui.Alert{Tone: ui.Bad, Icon: "warn", Title: "No worker is running", Text: "Nothing is delivered until one is started: " + workerCommand + ". Nothing is lost meanwhile.", Urgent: true}
		body.NoWorker = &ui.Empty{Icon: "queue", Title: "No worker has reported", Text: "Start one on this or another machine with the same environment.", Sample: workerCommand}
	case !now.working():
		body.NoWorker = &ui.Empty{
			Icon: "queue", Title: "No worker reports just now", Text: "The last one was seen at " + p.Clock(now.workerAt).Text + " " + p.ZoneLabel() + ". One that is being replaced is back within seconds.", Sample: workerCommand,
		}
	case backlog.OldestDue != nil && p.Now.Sub(*backlog.OldestDue) > dueLate:
		body.Alarm = &ui.Alert{Tone: ui.Warn, Icon: "clock", Title: "Deliveries wait longer than they should", Text: "The oldest has been due for " + length(p.Now.Sub(*backlog.OldestDue)) + ". Start more workers, or look for an endpoint that holds them up."}
	}
	return body, nil
}

// queueRow is one queue; one that was read a while ago cannot be changed. One that several organizations share is shown without figures, which are those of all of them.
func (p *page) queueRow(q QueueState, current, shared bool) pages.QueueRow {
	row := pages.QueueRow{Name: q.Name, Href: queueTasksPath(q.Name, TaskPending), Sub: q.Purpose, State: ui.Badge{Tone: ui.OK, Icon: "check", Label: "Running"}}
	if !shared {
		countTasks(&row, q)
	}
	change := ui.Action{Label: "Pause…", Icon: "pause", Href: queuePath + "/" + q.Name + "/pause", Small: true, Name: "Pause the queue " + q.Name, Dialog: true}
	if q.Paused {
		row.State = ui.Badge{Tone: ui.Warn, Icon: "pause", Label: "Paused"}
		change = ui.Action{Label: "Resume", Icon: "play", Href: queuePath + "/" + q.Name + "/resume", Post: true, Small: true, Name: "Resume the queue " + q.Name}
	}
	switch change.Disabled = p.queueLocked(); {
	case !current:
		change.Disabled = "Redis does not answer."
	case change.Disabled == "" && shared && !q.Paused:
		change.Disabled = errQueueShared.Message
	}
	row.Actions = []ui.Action{change}
	return row
}

// countTasks writes the figures of a queue into its row.
func countTasks(row *pages.QueueRow, q QueueState) {
	row.Pending, row.Active, row.Scheduled, row.Retry, row.Archived = ui.Count(q.Pending), ui.Count(q.Active), ui.Count(q.Scheduled), ui.Count(q.Retry), ui.Count(q.Archive)
	row.Processed, row.Failed, row.Memory = ui.Count(q.ProcessedToday), ui.Count(q.FailedToday), ui.Bytes(q.MemoryBytes)
	for i, n := range []int{q.Pending, q.Active, q.Scheduled, q.Retry, q.Archive} {
		if n > 0 {
			row.Hrefs[i] = queueTasksPath(q.Name, taskStates[i])
		}
	}
	if q.Pending+q.Active+q.Scheduled+q.Retry+q.Archive == 0 {
		row.Sub += "; empty"
	}
	if q.FailedToday > 0 {
		row.Failed += ", " + percent(q.FailedToday, q.ProcessedToday)
	}
	if q.Pending > 0 {
		row.Oldest = shortWait(q.Oldest)
	}
}

func (p *page) workerRow(w WorkerState, now queueNow, shared bool) pages.WorkerRow {
	row := pages.WorkerRow{
		Name: w.Name, Host: w.Host, Queues: strings.Join(w.Queues, ", "), State: ui.Badge{Tone: ui.OK, Icon: "check", Label: "Running"}, Started: p.At(w.StartedAt),
	}
	if !shared {
		row.Busy, row.BusyOf = ui.Meter{Total: w.Size, Parts: []ui.MeterPart{{Value: w.Busy, Fill: ui.FillStrong}}}, ui.Count(w.Busy)+" of "+ui.Count(w.Size)
	}
	switch {
	case w.Stopped:
		row.State = ui.Badge{Tone: ui.Neutral, Icon: "square", Label: "Stopped"}
	case !w.running(now.at):
		row.State = ui.Badge{Tone: ui.Neutral, Icon: "warn", Label: "Silent", Title: "No heartbeat for " + length(now.at.Sub(w.SeenAt)) + ": it was stopped, or it died"}
	}
	if !now.current || !w.running(now.at) {
		at := p.At(earlier(w.SeenAt, p.Now))
		row.Heartbeat = &at // of one that runs it would be new in every poll
	}
	return row
}

func (p *page) scheduleFact(s QueueSchedule) ui.Fact {
	f := ui.Fact{Term: s.Task, Time: p.AtPtr(&s.Next), Sub: s.Spec, SubMono: true}
	if !s.Last.IsZero() {
		f.Sub += ", last " + p.Moment(s.Last)
	}
	return f
}

// earlier keeps a clock that is a little ahead of ours from telling of the future.
func earlier(a, b time.Time) time.Time {
	if a.After(b) {
		return b
	}
	return a
}

// backlogView is what Postgres knows, which is what counts.
func (p *page) backlogView(b delivery.Backlog) []ui.Fact {
	facts := []ui.Fact{{Term: "Due", Text: ui.Count(b.Due), Sub: "in this organization"}, {Term: "In flight", Text: ui.Count(b.InFlight), Sub: "leases held by workers"}}
	if b.OldestDue != nil {
		facts = append(facts, ui.Fact{Term: "Oldest due", Time: exactPtr(p, b.OldestDue)})
	}
	return facts
}

// queueTiles are the headline figures, of this organization like the lists that they lead to; forecast is what becomes due by hour.
func (p *page) queueTiles(b delivery.Backlog, forecast []ui.Bar) []ui.Tile {
	due := ui.Tile{Label: "Due now", Number: ui.Count(b.Due), Href: link(deliveriesPath, "due_to", p.FormTime(p.Now)), Note: "Nothing waits for a worker", NoteTone: ui.OK}
	if b.OldestDue != nil {
		wait := p.Now.Sub(*b.OldestDue)
		due.Note, due.NoteTone = "Oldest "+shortWait(wait), ""
		if wait > dueLate {
			due.NoteTone = ui.Bad
		}
	}
	total := 0
	for _, hour := range forecast {
		total += hour.Value
	}
	last := p.forecastStart().Add(time.Duration(len(forecast))*time.Hour - time.Minute)
	return []ui.Tile{
		due,
		{Label: "In flight", Number: ui.Count(b.InFlight), Href: link(deliveriesPath, "status", string(delivery.StateInFlight)), Note: "being sent right now"},
		{Label: "Waiting, 24 h", Number: ui.Count(total), Href: link(deliveriesPath, "due_to", p.FormTime(last)), Note: "in this organization"},
		{Label: "Due within 1 h", Number: ui.Count(forecast[0].Value), Href: forecast[0].Href, Note: "in this organization"},
	}
}

// shortWait writes a wait that is mostly below a second.
func shortWait(d time.Duration) string {
	if d = max(d, 0); d < time.Minute {
		return ui.Millis(int(d.Milliseconds()))
	}
	return length(d)
}
