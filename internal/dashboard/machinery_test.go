package dashboard

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/webhook"
)

// fakeQueue is a task queue of one lane.
type fakeQueue struct {
	mu        sync.Mutex
	paused    bool
	away      bool
	seen      time.Time
	tasks     []QueueTask
	schedules []QueueSchedule
	// hangs, while it is open, keeps what reads from answering, whatever the context says, as asynq does.
	hangs chan struct{}
	// none hides the worker, second adds one, young has it started a moment ago.
	none, second, young bool
	// snapshots counts the questions for everything.
	snapshots atomic.Int32
	// stalls does the same to what changes something.
	stalls chan struct{}
	// refuses is what every change ends with.
	refuses error
	// panics is what every question and change panics with.
	panics any
}

func (q *fakeQueue) wait() {
	if q.panics != nil {
		panic(q.panics)
	}
	if q.hangs != nil {
		<-q.hangs
	}
}

// change begins a change, which ends with the error; the caller unlocks.
func (q *fakeQueue) change() error {
	if q.stalls != nil {
		<-q.stalls
	}
	q.mu.Lock()
	return q.refuses
}

func (*fakeQueue) Names() []string { return []string{"fresh", "slow"} }

func (q *fakeQueue) Tasks(_ context.Context, queue string, state TaskState, page, size int) ([]QueueTask, error) {
	q.wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away {
		return nil, errors.New("redis is away")
	}
	var out []QueueTask
	for _, t := range q.tasks {
		if t.Queue == queue && t.State == state {
			out = append(out, t)
		}
	}
	from := min((page-1)*size, len(out))
	return out[from:min(from+size, len(out))], nil
}

func (q *fakeQueue) Task(_ context.Context, _, task string) (QueueTask, error) {
	q.wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range q.tasks {
		if t.ID == task {
			return t, nil
		}
	}
	return QueueTask{}, ErrNoTask
}

func (q *fakeQueue) RunTask(_ context.Context, _, task string) error {
	return q.move(task, TaskPending)
}

func (q *fakeQueue) ArchiveTask(_ context.Context, _, task string) error {
	return q.move(task, TaskArchived)
}

func (q *fakeQueue) move(task string, to TaskState) error {
	err := q.change()
	defer q.mu.Unlock()
	if err != nil {
		return err
	}
	for i := range q.tasks {
		if q.tasks[i].ID == task {
			q.tasks[i].State = to
			return nil
		}
	}
	return ErrNoTask
}

func (q *fakeQueue) DeleteTask(_ context.Context, _, task string) error {
	err := q.change()
	defer q.mu.Unlock()
	if err != nil {
		return err
	}
	before := len(q.tasks)
	q.tasks = slices.DeleteFunc(q.tasks, func(t QueueTask) bool { return t.ID == task })
	if len(q.tasks) == before {
		return ErrNoTask
	}
	return nil
}

func (q *fakeQueue) Ping(context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away {
		return errors.New("redis is away")
	}
	return nil
}

func (q *fakeQueue) Snapshot(context.Context) (QueueSnapshot, error) {
	q.wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.snapshots.Add(1)
	if q.away {
		return QueueSnapshot{}, errors.New("redis is away")
	}
	s := QueueSnapshot{
		Queues:  []QueueState{{Name: "fresh", Purpose: "First attempts", Paused: q.paused, Pending: 3, Oldest: 400 * time.Millisecond, ProcessedToday: 4839, MemoryBytes: 12_700}},
		Workers: []WorkerState{{Name: "wk-1", Host: "app-1", Queues: []string{"fresh", "retry"}, Busy: 4, Size: 64, SeenAt: q.seen, StartedAt: q.seen.Truncate(time.Minute).Add(-time.Hour)}},
		Redis:   []QueueFact{{"Version", "7.4.1"}},
	}
	if q.young {
		s.Workers[0].StartedAt = q.seen
	}
	if q.none {
		s.Workers = nil
	}
	if q.second {
		other := s.Workers[0]
		other.Name = "wk-2"
		s.Workers = append(s.Workers, other)
	}
	s.Schedules = q.schedules
	return s, nil
}

func (q *fakeQueue) SetPaused(_ context.Context, _ string, paused bool) error {
	err := q.change()
	defer q.mu.Unlock()
	if err != nil {
		return err
	}
	q.paused = paused
	return nil
}

func TestQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.fail()
	b := w.as(w.owner)
	w.as(w.member).get("/queue").is(http.StatusForbidden)
	b.get("/queue").is(http.StatusOK).shows("Redis is not configured", "Due now").hides("Open monitor")
	b.post("/queue/fresh/pause").is(http.StatusNotFound)

	q := &fakeQueue{seen: w.clock.Now()}
	w.handler.Queue = q
	b.get("/queue").is(http.StatusOK).shows("fresh", "First attempts", "400 ms", "4,839", "wk-1", "4 of 64", "7.4.1", "There is none, and none is needed", "Open monitor", "Pause the queue fresh").hides("Redis is not configured", "No worker is running")
	q.schedules = []QueueSchedule{{Task: "tidy", Spec: "0 3 * * *", Next: w.clock.Now().Add(2 * time.Hour), Last: w.clock.Now().Add(-22 * time.Hour)}}
	if said := b.get("/queue").is(http.StatusOK).text(); !strings.Contains(said, "Schedulers tidy in 2 h 00 m 0 3 * * *, last Mar 1, ") {
		t.Errorf("the scheduler is not told of: %s", said)
	}
	b.fragment("/queue").is(http.StatusOK).shows("fresh").hides("<html")
	a := w.as(w.admin)
	a.get("/queue").is(http.StatusOK).shows("Needs the role owner.")
	a.post("/queue/fresh/pause").is(http.StatusForbidden)
	a.get("/queue/fresh/pause").is(http.StatusForbidden)
	r := b.reader("/queue")
	r.visit("Pause the queue fresh").sees(http.StatusOK, "First attempts: none is sent until the queue is resumed.", "3 tasks wait in it now").send("Pause queue")
	r.sees(http.StatusOK, "The queue fresh is paused.", "Paused")
	b.post("/queue/fresh/pause").redirects("/queue")
	b.get("/queue").shows("is paused already")
	b.post("/queue/fresh/resume").redirects("/queue")
	b.post("/queue/other/pause").is(http.StatusNotFound)
	if n := fixture.Audited(t, w.db, w.org, "queue.paused"); n != 1 {
		t.Errorf("%d pauses are audited, want 1", n)
	}

	w.clock.Advance(workerSilence)
	b.get("/queue").is(http.StatusOK).shows("within 30 s").hides("Silent")
	w.clock.Advance(2 * time.Minute)
	b.get("/queue").is(http.StatusOK).shows("No worker is running", "Silent", "bin/web worker")
	q.mu.Lock()
	q.seen = w.clock.Now()
	q.mu.Unlock()
	b.get("/queue").is(http.StatusOK).shows("Deliveries wait longer than they should", "2 min")
	q.mu.Lock()
	q.away = true
	q.mu.Unlock()
	b.get("/queue").is(http.StatusOK).shows("Redis does not answer", "Nothing is lost")
	b.post("/queue/fresh/pause").is(http.StatusServiceUnavailable).shows("Redis does not answer", "Nothing was changed.")
	b.get("/queue/fresh/pause").is(http.StatusServiceUnavailable)
}

// set changes what the queue says.
func (q *fakeQueue) set(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

// TestQueue_FiguresOfARedisThatIsAwayAreOld: they stand there with their time, and nothing of them can be changed.
func TestQueue_FiguresOfARedisThatIsAwayAreOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	q := &fakeQueue{seen: w.clock.Now(), away: true}
	w.handler.Queue = q
	if said := b.get("/queue").is(http.StatusOK).shows("of the queues nothing is known yet", "Not known: they are in Redis.", "Workers are not known").hides("as of").text(); !strings.Contains(said, "Schedulers Not known.") {
		t.Errorf("schedulers are known: %s", said)
	}
	q.set(func() { q.away = false })
	b.get("/queue").is(http.StatusOK).shows("4,839", "wk-1", "7.4.1").hides(`class="panel stale"`, "as of")
	known := w.clock.Now()
	w.clock.Advance(5 * time.Minute)
	q.set(func() { q.away = true })
	old := b.get("/queue").is(http.StatusOK).shows("Redis does not answer", "as of "+known.Format("15:04:05")+" UTC", "4,839", "wk-1", "7.4.1", "5 min ago", "Redis does not answer.").
		hides("No worker is running", "Silent", "4 of 64 busy", "/queue/fresh/pause")
	if n := strings.Count(old.body, `class="panel stale"`); n != 4 {
		t.Errorf("%d parts of the page are grey, want the queues, the workers, the schedulers and Redis", n)
	}
	q.set(func() { q.away, q.seen = false, w.clock.Now() })
	b.get("/queue").is(http.StatusOK).shows("4 of 64", "Pause the queue fresh").hides(`class="panel stale"`, "as of", "Redis does not answer")
}

// TestQueue_NoWorkerIsAnAlarmAfterHalfAMinute: one that is replaced is away for seconds, and that is none.
func TestQueue_NoWorkerIsAnAlarmAfterHalfAMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	q := &fakeQueue{seen: w.clock.Now()}
	w.handler.Queue = q
	b.get("/queue").is(http.StatusOK).hides("No worker")
	b.get("/").is(http.StatusOK).hides("No worker")
	q.set(func() { q.none = true })
	w.clock.Advance(workerSilence)
	b.get("/queue").is(http.StatusOK).shows("No worker reports just now", "The last one was seen at").hides("No worker is running")
	b.get("/").is(http.StatusOK).hides("No worker")
	w.clock.Advance(queueFresh)
	b.get("/queue").is(http.StatusOK).shows("No worker is running", "bin/web worker")
	b.get("/").is(http.StatusOK).shows("No worker", "is running.", "bin/web worker", "last seen")
	w.as(w.member).get("/").is(http.StatusOK).hides("No worker")

	w.handler.remembered = queueMemory{} // a process that never saw one has nothing to wait for
	b.get("/queue").is(http.StatusOK).shows("No worker is running")
}

// TestQueue_OneOfTwoWorkersIsMissed for a while, and no alarm: it may have been stopped. The overview misses it unless another has
// taken its place.
func TestQueue_OneOfTwoWorkersIsMissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	q := &fakeQueue{seen: w.clock.Now(), second: true}
	w.handler.Queue = q
	b.get("/queue").is(http.StatusOK).shows("wk-1", "wk-2").hides("Silent")
	after := func(d time.Duration) answer {
		w.clock.Advance(d)
		q.set(func() { q.second, q.seen = false, w.clock.Now() })
		return b.get("/queue").is(http.StatusOK).shows("wk-1")
	}
	after(workerSilence).hides("wk-2")
	b.get("/").is(http.StatusOK).hides("wk-2")
	after(time.Second).shows("wk-2", "Silent", "it was stopped, or it died").hides("No worker")
	after(time.Minute).shows("wk-2", "Silent")
	b.get("/").is(http.StatusOK).shows("wk-2 at app-1", "is silent: it was stopped, or it died.", "last seen")
	w.as(w.member).get("/").is(http.StatusOK).hides("wk-2")
	q.set(func() { q.young = true })
	b.get("/queue").is(http.StatusOK).shows("Silent")
	b.get("/").is(http.StatusOK).hides("wk-2")
	q.set(func() { q.young = false })
	after(goneShown).hides("wk-2", "Silent")
	b.get("/").is(http.StatusOK).hides("wk-2")
}

// TestOverview_TellsOfTheQueue: what is wrong with the queue needs somebody, and the page that is about something else asks
// for it no more often than it must.
func TestOverview_TellsOfTheQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	q := &fakeQueue{seen: w.clock.Now()}
	w.handler.Queue = q
	b.get("/").is(http.StatusOK).shows("Nothing needs you right now.")
	q.set(func() { q.away = true })
	poll := b.get("/").is(http.StatusOK).shows("Nothing needs you right now.").find(`hx-get="(/attention[^"]+)"`)
	b.fragment(poll).is(http.StatusNoContent)
	w.clock.Advance(queueFresh)
	b.fragment(poll).is(http.StatusOK).shows("Redis", "does not answer.", "last answer")
	b.get("/").is(http.StatusOK).shows("does not answer.")
	w.browser().get("/sign-in").is(http.StatusOK).shows("Redis</span>", "no answer", "You can sign in all the same.")
	w.as(w.member).get("/").is(http.StatusOK).hides("does not answer.")
	asked := q.snapshots.Load()
	b.get("/")
	b.fragment(poll)
	if n := q.snapshots.Load() - asked; n != 0 {
		t.Errorf("a Redis that did not answer is asked %d times more at once", n)
	}
	q.set(func() { q.away, q.paused, q.seen = false, true, w.clock.Now() })
	w.clock.Advance(queueFresh)
	b.get("/").is(http.StatusOK).shows("The queue", "fresh", "is paused.", "First attempts of every organization wait").hides("does not answer.")
	w.browser().get("/sign-in").is(http.StatusOK).hides("Redis", "Postgres")
}

// TestQueue_APollWithoutNewsChangesNothing
func TestQueue_APollWithoutNewsChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	b := w.as(w.owner)
	q := &fakeQueue{seen: w.clock.Now(), tasks: []QueueTask{{ID: "mine", Queue: "fresh", State: TaskArchived, Dues: []delivery.Due{{EndpointID: e.ID}}}}}
	w.handler.Queue = q
	for path, change := range map[string]func(){
		"/queue":                      func() { q.paused = !q.paused },
		"/queue/fresh?state=archived": func() { q.tasks = nil },
	} {
		poll := b.get(path).is(http.StatusOK).find(`hx-get="(/queue[^"]*seen=[^"]+)"`)
		q.set(func() { q.seen = q.seen.Add(time.Second) }) // a heartbeat is no news
		b.fragment(poll).is(http.StatusNoContent)
		q.set(change)
		next := b.fragment(poll).is(http.StatusOK).find(`hx-get="(/queue[^"]*seen=[^"]+)"`)
		b.fragment(next).is(http.StatusNoContent)
	}
}

// TestQueue_ReadOnlyIsReadOnlyForOwnersToo
func TestQueue_ReadOnlyIsReadOnlyForOwnersToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	b := w.as(w.owner)
	q := &fakeQueue{seen: w.clock.Now(), tasks: []QueueTask{{ID: "mine", Queue: "fresh", State: TaskRetry, Dues: []delivery.Due{{EndpointID: e.ID}}}}}
	w.handler.Queue, w.handler.QueueReadOnly = q, true
	b.get("/queue").is(http.StatusOK).shows("wk-1", "QUEUE_READ_ONLY is set.").hides("/queue/fresh/pause")
	b.get("/queue/fresh?state=retry").is(http.StatusOK).shows("QUEUE_READ_ONLY is set.").hides("/queue/fresh/tasks/mine")
	for _, path := range []string{"/queue/fresh/pause", "/queue/fresh/tasks/mine/run", "/queue/fresh/tasks/mine/archive", "/queue/fresh/tasks/mine/delete"} {
		b.get(path).is(http.StatusForbidden).shows("is read-only", "whatever their role")
		b.post(path).is(http.StatusForbidden)
	}
	b.post("/queue/fresh/resume").is(http.StatusForbidden)
	if q.paused || len(q.tasks) != 1 || q.tasks[0].State != TaskRetry {
		t.Errorf("the queue was changed: %+v", q.tasks)
	}
	if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM audit_logs WHERE event LIKE 'queue.%'"); n != 0 {
		t.Errorf("%d changes are audited that nobody made", n)
	}
}

// TestQueue_SharedIsNobodysToStop: where there are several organizations, none of them stops the others or reads how busy they are.
func TestQueue_SharedIsNobodysToStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := &fakeQueue{seen: w.clock.Now()}
	w.handler.Queue = q
	b := w.as(w.owner)
	figures := []string{"400 ms", "4,839", "4 of 64", "7.4.1"}
	b.get("/queue").is(http.StatusOK).shows(append(figures, "/queue/fresh/pause")...)
	b.post("/queue/fresh/pause").redirects("/queue")
	w.stranger()
	b.get("/queue").is(http.StatusOK).shows("wk-1", "First attempts", "Paused", "Resume the queue fresh", "only their state is shown").hides(append(figures, "Open monitor")...)
	b.post("/queue/fresh/resume").redirects("/queue") // which takes nothing from anybody
	b.get("/queue").is(http.StatusOK).shows("Running", "none of them can stop one").hides("/queue/fresh/pause")
	b.get("/queue/fresh/pause").is(http.StatusForbidden).shows("none of them can stop one", "Pause your endpoints instead", `<a class="btn btn-primary" href="/endpoints">`, `<a class="btn" href="/">`)
	b.post("/queue/fresh/pause").is(http.StatusForbidden)
	if q.paused {
		t.Error("one organization has stopped the queue of all")
	}
}

// TestOverview_WhatIsDueElsewhereIsNotTold: it is the business of those whose it is, and of the metrics.
func TestOverview_WhatIsDueElsewhereIsNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.fail()
	w.clock.Advance(2 * backlogLate)
	w.as(w.owner).get("/").is(http.StatusOK).shows("due and not taken.")
	w.stranger().get("/").is(http.StatusOK).hides("due and not taken.")
}

// TestQueue_AChangeThatFailedIsWrittenDown: Redis may go away, or serve the task, between the question and the change.
func TestQueue_AChangeThatFailedIsWrittenDown(t *testing.T) {
	t.Parallel()
	away := errors.New("redis is away")
	for name, tc := range map[string]struct {
		path, event string
		refuses     error
		status      int
		outcome     string
	}{
		"pause":               {"/queue/fresh/pause", "queue.paused", away, http.StatusServiceUnavailable, "not confirmed"},
		"run":                 {"/queue/fresh/tasks/mine/run", "queue.task_run", away, http.StatusServiceUnavailable, "not confirmed"},
		"archive":             {"/queue/fresh/tasks/mine/archive", "queue.task_archived", away, http.StatusServiceUnavailable, "not confirmed"},
		"delete":              {"/queue/fresh/tasks/mine/delete", "queue.task_deleted", away, http.StatusServiceUnavailable, "not confirmed"},
		"delete what is not":  {"/queue/fresh/tasks/mine/delete", "queue.task_deleted", ErrNoTask, http.StatusSeeOther, "gone before"},
		"archive what is not": {"/queue/fresh/tasks/mine/archive", "queue.task_archived", ErrNoTask, http.StatusSeeOther, "gone before"},
		"archive what moved":  {"/queue/fresh/tasks/mine/archive", "queue.task_archived", ErrTaskMoved, http.StatusSeeOther, "moved before"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			e, _ := w.endpoint("risk", false)
			w.handler.Queue = &fakeQueue{seen: w.clock.Now(), refuses: tc.refuses, tasks: []QueueTask{
				{ID: "mine", Queue: "fresh", State: TaskRetry, Dues: []delivery.Due{{EndpointID: e.ID}}},
			}}
			b := w.as(w.owner)
			b.get("/queue").is(http.StatusOK)
			answered := b.post(tc.path).is(tc.status)
			if errors.Is(tc.refuses, away) {
				answered.shows("Redis did not confirm the change", "may have been made all the same").hides("Nothing was changed")
			}
			failed := fixture.Scalar[string](t, w.db, "SELECT concat_ws('|', string_agg(metadata->>'change', ','), string_agg(metadata->>'outcome', ',')) FROM audit_logs WHERE event = 'queue.change_failed'")
			if n := fixture.Audited(t, w.db, w.org, tc.event); n != 1 || failed != tc.event+"|"+tc.outcome {
				t.Errorf("the log has %d of %s and tells of the failure %q, want one and %q", n, tc.event, failed, tc.event+"|"+tc.outcome)
			}
		})
	}
}

// TestQueue_TasksOfNobodyAreNobodys: a task in which no delivery can be read is not the viewer's, whichever organization they
// look from, and a task that another organization has a part in does not tell its id, which may name an endpoint of theirs.
func TestQueue_TasksOfNobodyAreNobodys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	_, deliveries := w.of(w.fail())
	_, stranger := fixture.Organization(t, w.db)
	theirs := delivery.Due{EndpointID: id.Endpoint{UUID: id.NewUUID(w.clock.Now())}}
	together, unread := theirs.EndpointID.String()+":7", theirs.EndpointID.String()+":8"
	q := &fakeQueue{seen: w.clock.Now(), tasks: []QueueTask{
		{ID: unread, Queue: "fresh", State: TaskArchived, LastError: "payload of " + theirs.EndpointID.String()},
		{ID: together, Queue: "fresh", State: TaskPending, Dues: []delivery.Due{theirs, {EndpointID: e.ID, DeliveryID: deliveries[e.ID].ID}}},
	}}
	w.handler.Queue = q
	for _, b := range []*browser{w.as(w.owner), w.as(stranger)} {
		b.get("/queue/fresh?state=archived").is(http.StatusOK).shows("nothing that can be read").hides(theirs.EndpointID.String(), "Run now", "Delete…")
		b.get("/queue/fresh/tasks/" + unread + "/delete").is(http.StatusNotFound)
		b.post("/queue/fresh/tasks/" + unread + "/delete").is(http.StatusNotFound)
		b.post("/queue/fresh/tasks/" + unread + "/run").is(http.StatusNotFound)
		b.post("/queue/fresh/tasks/" + unread + "/archive").is(http.StatusNotFound)
	}
	if len(q.tasks) != 2 || q.tasks[0].State != TaskArchived {
		t.Errorf("a task of nobody was changed: %+v", q.tasks)
	}
	w.as(w.owner).get("/deliveries/"+deliveries[e.ID].ID.String()).is(http.StatusOK).shows("pending in queue fresh", "with deliveries of other endpoints").hides(theirs.EndpointID.String())
}

// TestQueue_NobodyWaitsForRedisThatHangs: a Redis that is stopped takes the connection and never answers, and the library
// waits for it whatever the context says.
func TestQueue_NobodyWaitsForRedisThatHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	_, deliveries := w.of(w.fail())
	b := w.as(w.owner)
	hangs := make(chan struct{})
	defer close(hangs)
	w.handler.Queue = &fakeQueue{seen: w.clock.Now(), hangs: hangs}
	for _, test := range []struct {
		method, path string
		status       int
		says         string
	}{
		{http.MethodGet, "/queue", http.StatusOK, "Redis does not answer"},
		{http.MethodGet, "/queue/fresh", http.StatusOK, "Redis does not answer"},
		{http.MethodGet, "/deliveries/" + deliveries[e.ID].ID.String(), http.StatusOK, "Redis does not answer"},
		{http.MethodPost, "/queue/fresh/pause", http.StatusServiceUnavailable, "Redis does not answer"},
		{http.MethodPost, "/queue/fresh/tasks/x/delete", http.StatusServiceUnavailable, "Redis does not answer"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), queuePatience+3*time.Second)
		began := time.Now()
		r := b.request(test.method, test.path, nil)
		if test.method == http.MethodPost {
			r = b.request(test.method, test.path, strings.NewReader(url.Values{"csrf_token": {b.csrf}, "form_id": {test.path}}.Encode()), "Content-Type", "application/x-www-form-urlencoded")
		}
		b.do(r.WithContext(ctx)).is(test.status).shows(test.says)
		cancel()
		if took := time.Since(began); took < queuePatience {
			t.Errorf("%s %s answered after %s: it did not ask", test.method, test.path, took)
		}
	}
}

// TestQueue_NobodyWaitsForAChangeThatHangs: Redis may also stop between the question and the change.
func TestQueue_NobodyWaitsForAChangeThatHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	b := w.as(w.owner)
	stalls := make(chan struct{})
	defer close(stalls)
	w.handler.Queue = &fakeQueue{seen: w.clock.Now(), stalls: stalls, tasks: []QueueTask{
		{ID: "mine", Queue: "fresh", State: TaskRetry, Dues: []delivery.Due{{EndpointID: e.ID}}},
	}}
	for path, event := range map[string]string{
		"/queue/fresh/pause": "queue.paused", "/queue/fresh/tasks/mine/run": "queue.task_run", "/queue/fresh/tasks/mine/archive": "queue.task_archived", "/queue/fresh/tasks/mine/delete": "queue.task_deleted",
	} {
		began := time.Now()
		b.post(path).is(http.StatusServiceUnavailable).shows("Redis did not confirm the change")
		if took := time.Since(began); took < queuePatience || took > queuePatience+3*time.Second {
			t.Errorf("%s answered after %s", path, took)
		}
		if n := fixture.Scalar[int](t, w.db, "SELECT count(*) FROM audit_logs WHERE event = 'queue.change_failed' AND metadata->>'change' = '"+event+"' AND metadata->>'outcome' = 'not confirmed'"); n != 1 {
			t.Errorf("%s: %d rows say that it was not confirmed, want one", path, n)
		}
	}
}

// TestQueue_APanicIsLoggedWithItsStack: what asks Redis runs on the side, where the page's own safety net is not.
func TestQueue_APanicIsLoggedWithItsStack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.owner)
	var lines strings.Builder
	w.handler.Log = slog.New(slog.NewTextHandler(&lines, nil))
	w.handler.Queue = &fakeQueue{panics: "the private half"}
	b.get("/queue").is(http.StatusOK).shows("Redis does not answer").hides("private half")
	log := lines.String()
	for _, want := range []string{"queue panicked", "machinery_test.go"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
	if strings.Contains(log, "private half") {
		t.Errorf("the log says what panicked: %s", log)
	}
}

// TestQueue_TasksAndDeliveriesLinkBothWays: Redis serves all organizations, so what a task rings for elsewhere is not named.
func TestQueue_TasksAndDeliveriesLinkBothWays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, _ := w.endpoint("risk", false)
	_, deliveries := w.of(w.fail())
	d := deliveries[e.ID]
	path := "/deliveries/" + d.ID.String()
	b, a, m := w.as(w.owner), w.as(w.admin), w.as(w.member)
	b.get(path).is(http.StatusOK).shows("Queue task", "Redis does not answer")
	b.get("/queue/fresh").is(http.StatusNotFound)

	_, stranger := fixture.Organization(t, w.db)
	foreign := delivery.Due{EndpointID: id.Endpoint{UUID: id.NewUUID(w.clock.Now())}, DeliveryID: id.Delivery{UUID: id.NewUUID(w.clock.Now())}}
	theirs := foreign.EndpointID.String() + ":7"
	q := &fakeQueue{seen: w.clock.Now(), tasks: []QueueTask{
		{ID: theirs, Queue: "fresh", State: TaskActive, Dues: []delivery.Due{{EndpointID: foreign.EndpointID}}},
		{ID: "task-mine", Queue: "fresh", State: TaskPending, Dues: []delivery.Due{{EndpointID: e.ID, DeliveryID: d.ID}}},
		{ID: "task-all", Queue: "fresh", State: TaskPending, Dues: []delivery.Due{{EndpointID: e.ID}}},
		{ID: "task-both", Queue: "fresh", State: TaskRetry, Dues: []delivery.Due{{EndpointID: e.ID}, foreign}, LastError: "lock of " + foreign.DeliveryID.String(), NextAt: w.clock.Now().Add(time.Minute)},
		{ID: "task-late", Queue: "slow", State: TaskRetry, Dues: []delivery.Due{{EndpointID: e.ID}}, Retried: 2, LastError: "database away", NextAt: w.clock.Now().Add(time.Minute)},
	}}
	w.handler.Queue = q
	b.get("/queue").is(http.StatusOK).shows("/queue/fresh?state=pending")
	b.get(path).is(http.StatusOK).shows("pending in queue fresh", "/queue/fresh?state=pending#task-task-mine")
	b.get("/queue/fresh").is(http.StatusOK).shows(`id="task-task-mine"`, path, "whatever is due at risk", "2 tasks", "Delete: task").hides("Run now")
	b.fragment("/queue/fresh").is(http.StatusOK).shows("task-mine").hides("<html")
	b.get("/queue/fresh?state=archived").is(http.StatusOK).shows("No task is archived here")
	b.get("/queue/fresh?state=nonsense&page=-3").is(http.StatusOK).shows("task-mine")
	b.get("/queue/nonsense").is(http.StatusNotFound)
	b.get("/queue/fresh?state=retry").is(http.StatusOK).shows("1 delivery of other organizations").hides(foreign.DeliveryID.String(), "Run now", "Delete…")
	b.get("/queue/fresh?state=active").is(http.StatusOK).shows("1 delivery of other organizations").hides(foreign.EndpointID.String())
	w.as(stranger).get("/queue/fresh").is(http.StatusOK).shows("1 delivery of other organizations").hides(d.ID.String(), "risk", "Delete…")

	m.get("/queue/fresh").is(http.StatusForbidden)
	m.get(path).is(http.StatusOK).hides("Queue task")
	a.get("/queue/slow?state=retry").is(http.StatusOK).shows("database away", "Needs the role owner.")
	x := w.as(stranger)
	before := slices.Clone(q.tasks)
	for _, verb := range []string{"run", "archive", "delete"} {
		late, both := "/queue/slow/tasks/task-late/"+verb, "/queue/fresh/tasks/task-both/"+verb
		for _, who := range []*browser{a, m} {
			who.get(late).is(http.StatusForbidden)
			who.post(late).is(http.StatusForbidden)
		}
		for _, path := range []string{late, both} {
			x.get(path).is(http.StatusNotFound)
			x.post(path).is(http.StatusNotFound)
		}
		b.get(both).is(http.StatusNotFound)
		b.post(both).is(http.StatusNotFound)
	}
	if !slices.EqualFunc(q.tasks, before, func(a, b QueueTask) bool { return a.ID == b.ID && a.State == b.State }) {
		t.Fatalf("somebody else's task was changed: %+v", q.tasks)
	}

	r := b.reader("/queue/slow?state=retry")
	r.visit("Run now: task task-late").sees(http.StatusOK, "The next worker that is free takes it").send("Run now")
	r.sees(http.StatusOK, "is waiting for a worker now")
	b.post("/queue/slow/tasks/task-late/run").redirects("/queue/slow?state=pending")
	b.get("/queue/slow?state=pending").shows("Nothing was changed: the task is pending.")
	r.open(b.get("/queue/slow?state=pending"), "/queue/slow?state=pending")
	r.visit("Archive: task task-late").sees(http.StatusOK, "No delivery is lost", "Redis keeps it for 90 days").send("Archive task")
	r.sees(http.StatusOK, "is archived.", "No task is pending here")
	b.post("/queue/slow/tasks/task-late/archive").redirects("/queue/slow?state=archived")
	r.open(b.get("/queue/slow?state=archived"), "/queue/slow?state=archived")
	r.page.shows("Nothing was changed: the task is archived.")
	r.visit("Delete: task task-late").sees(http.StatusOK, "No delivery is lost").send("Delete task")
	r.sees(http.StatusOK, "is deleted.", "No task is archived here")
	b.post("/queue/slow/tasks/task-late/delete").is(http.StatusNotFound)
	for _, name := range []string{"queue.task_run", "queue.task_archived", "queue.task_deleted"} {
		if n := fixture.Audited(t, w.db, w.org, name); n != 1 {
			t.Errorf("%s is audited %d times, want once", name, n)
		}
	}

	b.post("/deliveries/" + d.ID.String() + "/retry")
	w.sender.answers(http.StatusInternalServerError, "")
	w.work()
	b.get(path).is(http.StatusOK).shows("none yet", "it waits in Postgres")
	q.mu.Lock()
	q.away = true
	q.mu.Unlock()
	b.get("/queue/fresh").is(http.StatusOK).shows("Redis does not answer", "What is due")
}

func TestReceivers_SamplesAndChecker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.member)
	b.get("/help/receivers").is(http.StatusOK).shows("There is no endpoint yet", "your-key-id", "hmac.Equal", "verification.session.cancelled").hides("Check a signature")
	e, secret := w.endpoint("risk", false)
	keyless, _ := w.endpoint("keyless", true)
	b.get("/help/receivers?endpoint="+e.ID.String()+"&lang=node").is(http.StatusOK).shows("risk-key", "timingSafeEqual", "Check a signature").hides(secret)
	b.get("/help/receivers?lang=python").is(http.StatusOK).shows("hmac.compare_digest")
	b.get("/help/receivers?endpoint="+keyless.ID.String()).is(http.StatusOK).shows("keyless has no active key yet", "Needs the role admin.").hides(endpointPath(keyless.ID) + "/keys")
	w.as(w.admin).get("/help/receivers?endpoint=" + keyless.ID.String()).is(http.StatusOK).shows(`href="` + endpointPath(keyless.ID) + `/keys"`)
	// The examples are possible (contract section 3.3): the third failure ends a session, and what was cancelled without one has none.
	b.get("/help/receivers").shows(`"failure_code": "document_authenticity_failed",
    "liveness_tries_used": 0,
    "nfc_tries_used": 3`, `"liveness_tries_used": 0,
    "nfc_tries_used": 0,
    "outcome": "not_verified",
    "reason": "cancelled"`)

	w.fail()
	w.work()
	body := string(w.sender.last.Body)
	signature := w.sender.last.Header.Get(webhook.SignatureHeader)
	check := func(endpoint, signature, body string) answer {
		return b.post("/help/receivers/check", "endpoint", endpoint, "signature", signature, "body", body)
	}
	check(e.ID.String(), signature, body).is(http.StatusOK).shows("The signature is right", "It is the active key.", "Only you can").hides(secret)
	// Without scripting the language and the endpoint stay as they were chosen.
	r := b.reader("/help/receivers?lang=node&endpoint=" + e.ID.String())
	r.send("Check", "signature", signature, "body", body)
	r.sees(http.StatusOK, "The signature is right", "timingSafeEqual").visit("Python").sees(http.StatusOK, "compare_digest", "risk-key")
	check(e.ID.String(), "X-Kayle-Signature: "+signature, body).is(http.StatusOK).shows("The signature is right")
	check(e.ID.String(), signature, body+"\n").is(http.StatusOK).shows("The signature is not right", "spaces or a line break at an end")
	check(keyless.ID.String(), signature, body).is(http.StatusOK).shows("The signature is not right", "another endpoint or system")
	check(e.ID.String(), "v1=00", body).is(http.StatusOK).shows("There is no t.")
	check(e.ID.String(), signature, "plain text").is(http.StatusOK).shows("It has 1 part joined by dots; a compact JWE has five.")
	check(e.ID.String(), "", "").is(http.StatusUnprocessableEntity).shows("Paste the value of the header.", "Paste the body.")
	_, private := keyPair(t)
	middle := strings.Split(private, "\n")[1]
	for _, private := range []string{private, `{"kty":"RSA","n":"AQAB","d":"MARKED"}`} {
		check(e.ID.String(), signature, private).is(http.StatusUnprocessableEntity).shows("treat it as exposed").hides("MARKED", middle)
		check(e.ID.String(), private, body).is(http.StatusUnprocessableEntity).shows("treat it as exposed").hides("MARKED", middle)
	}
	w.clock.Advance(10 * time.Minute)
	check(e.ID.String(), signature, body).is(http.StatusOK).shows("The signature is right, but not fresh")
	a := b.postAs("/help/receivers/check", []string{"HX-Request", "true"}, "csrf_token", b.csrf, "endpoint", e.ID.String(), "signature", signature, "body", body)
	a.is(http.StatusOK).shows("not fresh").hides("<html")

	x := w.stranger()
	x.get("/help/receivers").is(http.StatusOK).hides("risk")
	x.post("/help/receivers/check", "endpoint", e.ID.String(), "signature", signature, "body", body).is(http.StatusNotFound)
}
