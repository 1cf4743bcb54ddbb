package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/config"
	"kaylehooks/internal/dashboard"
	"kaylehooks/internal/queue"
)

// queueView shows asynq to the dashboard, which stands on the same floor as the queue and must not import it.
type queueView struct {
	redis     *redis.Client
	inspector *asynq.Inspector
}

func newQueueView(client *redis.Client) *queueView {
	return &queueView{client, asynq.NewInspectorFromRedisClient(client)}
}

var purposes = map[string]string{
	queue.LaneFresh: "First attempts",
	queue.LaneRetry: "Retries that have become due",
	queue.LaneSlow:  "Endpoints that answer slowly or not at all",
}

// Ping implements dashboard.Queue.
func (v *queueView) Ping(ctx context.Context) error { return v.redis.Ping(ctx).Err() }

// Snapshot implements dashboard.Queue.
func (v *queueView) Snapshot(ctx context.Context) (dashboard.QueueSnapshot, error) {
	var s dashboard.QueueSnapshot
	used, err := v.inspector.Queues()
	if err != nil {
		return s, fmt.Errorf("list queues: %w", err)
	}
	for _, lane := range queue.Lanes() {
		state := dashboard.QueueState{Name: lane, Purpose: purposes[lane]}
		if slices.Contains(used, lane) { // one that was never used is simply empty
			info, err := v.inspector.GetQueueInfo(lane)
			if err != nil {
				return s, fmt.Errorf("read queue %s: %w", lane, err)
			}
			state.Paused, state.Pending, state.Active, state.Scheduled, state.Retry, state.Archive = info.Paused, info.Pending, info.Active, info.Scheduled, info.Retry, info.Archived
			state.Oldest, state.ProcessedToday, state.FailedToday, state.MemoryBytes = info.Latency, info.Processed, info.Failed, info.MemoryUsage
		}
		s.Queues = append(s.Queues, state)
	}
	servers, err := v.inspector.Servers()
	if err != nil {
		return s, fmt.Errorf("read workers: %w", err)
	}
	// asynq keeps an entry for ten seconds after a heartbeat and does not say when that was.
	seen := time.Now().Add(-time.Second)
	byProcess := map[string]*dashboard.WorkerState{}
	for _, server := range servers {
		process := fmt.Sprintf("%s %d", server.Host, server.PID)
		w := byProcess[process]
		if w == nil {
			w = &dashboard.WorkerState{Name: fmt.Sprintf("process %d", server.PID), Host: server.Host, StartedAt: server.Started, SeenAt: seen, Stopped: server.Status != "active"}
			byProcess[process] = w
		}
		for lane := range server.Queues {
			w.Queues = append(w.Queues, lane)
		}
		w.Busy += len(server.ActiveWorkers)
		w.Size += server.Concurrency
	}
	for _, w := range byProcess {
		slices.Sort(w.Queues)
		s.Workers = append(s.Workers, *w)
	}
	slices.SortFunc(s.Workers, func(a, b dashboard.WorkerState) int {
		return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Name, b.Name))
	})
	schedules, err := v.inspector.SchedulerEntries()
	if err != nil {
		return s, fmt.Errorf("read schedulers: %w", err)
	}
	for _, e := range schedules {
		s.Schedules = append(s.Schedules, dashboard.QueueSchedule{Task: e.Task.Type(), Spec: e.Spec, Next: e.Next, Last: e.Prev})
	}
	slices.SortFunc(s.Schedules, func(a, b dashboard.QueueSchedule) int {
		return cmp.Or(a.Next.Compare(b.Next), strings.Compare(a.Task, b.Task))
	})
	s.Redis, err = v.facts(ctx)
	return s, err
}

// Names implements dashboard.Queue.
func (*queueView) Names() []string { return queue.Lanes() }

// Tasks implements dashboard.Queue.
func (v *queueView) Tasks(_ context.Context, lane string, state dashboard.TaskState, page, size int) ([]dashboard.QueueTask, error) {
	list, ok := map[dashboard.TaskState]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		dashboard.TaskPending: v.inspector.ListPendingTasks, dashboard.TaskActive: v.inspector.ListActiveTasks, dashboard.TaskScheduled: v.inspector.ListScheduledTasks,
		dashboard.TaskRetry: v.inspector.ListRetryTasks, dashboard.TaskArchived: v.inspector.ListArchivedTasks,
	}[state]
	if !ok || !slices.Contains(queue.Lanes(), lane) {
		return nil, fmt.Errorf("unknown queue %q or state %q", lane, state)
	}
	infos, err := list(lane, asynq.Page(page), asynq.PageSize(size))
	if errors.Is(err, asynq.ErrQueueNotFound) { // never used
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list tasks of queue %s: %w", lane, err)
	}
	tasks := make([]dashboard.QueueTask, len(infos))
	for i, info := range infos {
		tasks[i] = taskOf(info)
	}
	return tasks, nil
}

func taskOf(info *asynq.TaskInfo) dashboard.QueueTask {
	t := dashboard.QueueTask{ID: info.ID, Queue: info.Queue, State: dashboard.TaskState(info.State.String()), Retried: info.Retried, LastError: info.LastErr}
	t.Dues, _ = queue.Dues(info) // one that is not ours rings for nothing
	if info.State == asynq.TaskStateRetry || info.State == asynq.TaskStateScheduled {
		t.NextAt = info.NextProcessAt
	}
	return t
}

// Task implements dashboard.Queue.
func (v *queueView) Task(_ context.Context, lane, task string) (dashboard.QueueTask, error) {
	info, err := v.inspector.GetTaskInfo(lane, task)
	if err != nil {
		return dashboard.QueueTask{}, noTask(err)
	}
	return taskOf(info), nil
}

// RunTask implements dashboard.Queue.
func (v *queueView) RunTask(_ context.Context, lane, task string) error {
	return noTask(v.inspector.RunTask(lane, task))
}

// ArchiveTask implements dashboard.Queue.
func (v *queueView) ArchiveTask(_ context.Context, lane, task string) error {
	return noTask(v.inspector.ArchiveTask(lane, task))
}

// DeleteTask implements dashboard.Queue.
func (v *queueView) DeleteTask(_ context.Context, lane, task string) error {
	return noTask(v.inspector.DeleteTask(lane, task))
}

func noTask(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, asynq.ErrQueueNotFound), errors.Is(err, asynq.ErrTaskNotFound):
		return dashboard.ErrNoTask
	case strings.Contains(err.Error(), "FAILED_PRECONDITION"): // asynq does not export the error of a wrong state
		return dashboard.ErrTaskMoved
	}
	return fmt.Errorf("task: %w", err)
}

// facts reads what an operator asks about Redis first.
func (v *queueView) facts(ctx context.Context) ([]dashboard.QueueFact, error) {
	info, err := v.redis.Info(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("read redis info: %w", err)
	}
	values := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			values[name] = value
		}
	}
	var facts []dashboard.QueueFact
	for _, f := range [][2]string{
		{"Version", "redis_version"},
		{"Memory used", "used_memory_human"},
		{"Eviction", "maxmemory_policy"},
		{"Clients", "connected_clients"},
		{"Append-only file", "aof_enabled"},
	} {
		if value := values[f[1]]; value != "" {
			if f[1] == "aof_enabled" {
				value = map[string]string{"0": "off", "1": "on"}[value]
			}
			facts = append(facts, dashboard.QueueFact{Name: f[0], Value: value})
		}
	}
	return facts, nil
}

// SetPaused implements dashboard.Queue.
func (v *queueView) SetPaused(_ context.Context, lane string, paused bool) error {
	if !slices.Contains(queue.Lanes(), lane) {
		return fmt.Errorf("unknown queue %q", lane)
	}
	info, err := v.inspector.GetQueueInfo(lane)
	if err != nil {
		return fmt.Errorf("read queue %s: %w", lane, err)
	}
	switch {
	case info.Paused == paused:
		return nil
	case paused:
		err = v.inspector.PauseQueue(lane)
	default:
		err = v.inspector.UnpauseQueue(lane)
	}
	if err != nil {
		return fmt.Errorf("pause or resume queue %s: %w", lane, err)
	}
	return nil
}

// lockedSettings are the values that the settings page shows and the environment fixes. Secrets are not among them.
func lockedSettings(cfg config.Config, lookup func(string) (string, bool)) []dashboard.Setting {
	setting := func(group, label, variable, value string) dashboard.Setting {
		given, ok := lookup(variable)
		return dashboard.Setting{Group: group, Label: label, Variable: variable, Value: value, Default: !ok || strings.TrimSpace(given) == ""}
	}
	return []dashboard.Setting{
		setting("Server", "Public address", "PUBLIC_URL", cfg.PublicURL),
		setting("Server", "Verification address", "VERIFICATION_BASE_URL", cfg.VerificationBaseURL),
		setting("Server", "Proxies in front", "TRUSTED_PROXY_HOPS", fmt.Sprint(cfg.TrustedProxyHops)),
		setting("Privacy", "Metadata is kept for", "RETENTION_DAYS", fmt.Sprintf("%d days", cfg.RetentionDays)),
		setting("Privacy", "Private endpoint addresses", "ALLOW_PRIVATE_ENDPOINTS", map[bool]string{true: "allowed (development only)", false: "refused"}[cfg.AllowPrivateEndpoints]),
		setting("Limits", "Requests per API key and second", "RATE_KEY_PER_SECOND", fmt.Sprint(cfg.RateKeyPerSecond)),
		setting("Limits", "Requests per API key at once", "RATE_KEY_BURST", fmt.Sprint(cfg.RateKeyBurst)),
		setting("Limits", "Sign-ins and public cancels per address and minute", "RATE_IP_PER_MINUTE", fmt.Sprint(cfg.RateIPPerMinute)),
		setting("Limits", "Sign-ins and public cancels per address at once", "RATE_IP_BURST", fmt.Sprint(cfg.RateIPBurst)),
		setting("Delivery", "Requests in flight per lane", "WORKER_CONCURRENCY", fmt.Sprint(cfg.WorkerConcurrency)),
		setting("Delivery", "Queue page and monitor", "QUEUE_READ_ONLY", map[bool]string{true: "read-only", false: "owners can pause queues and change tasks"}[cfg.QueueReadOnly]),
	}
}
