package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/logging"
	"kaylehooks/internal/postgres"
)

// Sweep is periodic work that is safe to run twice and in many processes at once.
type Sweep struct {
	Name  string
	Every time.Duration
	// Run does a bounded piece of work and returns how much it did.
	Run func(ctx context.Context) (int, error)
}

// Config is what a Worker needs.
type Config struct {
	Redis      redis.UniversalClient
	Bell       *Bell
	DB         *postgres.DB
	Deliveries *delivery.Service
	Sweeps     []Sweep
	// Concurrency is how many requests are in flight in each lane at most.
	Concurrency int
	Log         *slog.Logger
	// Observe is told of every sweep; nil is fine.
	Observe func(sweep string, did int, err error)
}

// Worker runs the lanes, the feeder and the sweeps of one process.
type Worker struct {
	Config
	gate    *gate
	servers []*asynq.Server
	skewed  atomic.Bool
	stop    context.CancelFunc
	loops   sync.WaitGroup
}

const (
	// feedEvery is the longest pause between two looks for due rows (DUE_SWEEP allows 1 s).
	feedEvery = 500 * time.Millisecond
	// feedBatch is how many due rows are taken at once, and feedPerEndpoint how many of one endpoint.
	feedBatch       = 1_000
	feedPerEndpoint = 250
	// maxSkew is how far host clocks may differ (CLOCK_SKEW_MAX).
	maxSkew   = 5 * time.Second
	skewEvery = 10 * time.Second
	// shutdownPatience lets a request in flight end by itself: HTTP_TIMEOUT and the recording of its result.
	shutdownPatience = delivery.HTTPTimeout + 5*time.Second
	// retryPause is between two tries of a task that failed through a fault of ours.
	retryPause = 2 * time.Second
)

// NewWorker returns a worker; Start sets it going. An endpoint gets at most an eighth of a lane.
func NewWorker(c Config) *Worker {
	w := &Worker{Config: c, gate: newGate(max(1, c.Concurrency/8))}
	c.Bell.lane = func(due delivery.Due) string {
		if w.gate.isSlow(due.EndpointID) {
			return LaneSlow
		}
		return laneOf(due)
	}
	return w
}

// Start runs until Stop. It fails when Redis cannot be reached.
func (w *Worker) Start(ctx context.Context) error {
	if err := w.checkClock(ctx); err != nil {
		return err
	}
	for _, lane := range Lanes() {
		server := asynq.NewServerFromRedisClient(w.Redis, asynq.Config{
			Concurrency: w.Concurrency, Queues: map[string]int{lane: 1},
			TaskCheckInterval: 20 * time.Millisecond, DelayedTaskCheckInterval: time.Second,
			ShutdownTimeout: shutdownPatience, Logger: asynqLog{w.Log}, LogLevel: asynq.WarnLevel,
			RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return retryPause },
			BaseContext:    func() context.Context { return context.WithoutCancel(ctx) },
		})
		handler := asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error { return w.handle(ctx, lane, task) })
		if err := server.Start(handler); err != nil {
			w.Stop()
			return fmt.Errorf("start lane %s: %w", lane, err)
		}
		w.servers = append(w.servers, server)
	}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.loops.Go(func() { w.feed(ctx) })
	w.loops.Go(func() { every(ctx, skewEvery, func() { w.reportClock(w.checkClock(ctx)) }) })
	for _, sweep := range w.Sweeps {
		w.loops.Go(func() { every(ctx, sweep.Every, func() { w.sweep(ctx, sweep) }) })
	}
	return nil
}

// Stop lets the requests in flight end and returns when nothing runs any more.
func (w *Worker) Stop() {
	if w.stop != nil {
		w.stop()
	}
	w.loops.Wait()
	var all sync.WaitGroup
	for _, server := range w.servers {
		all.Go(server.Shutdown)
	}
	all.Wait()
}

// handle is one ring: at most one attempt.
func (w *Worker) handle(ctx context.Context, lane string, task *asynq.Task) error {
	due, err := parsePayload(task.Payload())
	if err != nil {
		return fmt.Errorf("%w: %w", err, asynq.RevokeTask) // not ours to repair, and never to be seen again
	}
	if w.skewed.Load() {
		return nil // another worker, or this one once its clock is right, gets it from the feeder
	}
	due.At = w.DB.Now()
	if lane != LaneSlow && w.gate.isSlow(due.EndpointID) {
		w.Bell.ringIn(due, LaneSlow)
		return nil
	}
	if !w.gate.enter(due) {
		return nil
	}
	taskID, _ := asynq.GetTaskID(ctx)
	ctx = logging.With(logging.With(ctx, "task_id", taskID), "delivery_id", due.DeliveryID.String())
	sent, err := w.Deliveries.Deliver(ctx, due.DeliveryID)
	if next, ok := w.gate.leave(due, sent); ok {
		// Through Redis again rather than at once, so that a busy endpoint does not keep this handler from the others.
		next.At = w.DB.Now()
		w.Bell.ringIn(next, lane)
	}
	return err
}

// feed rings for every row that is due and has no ring under way, whatever the reason.
func (w *Worker) feed(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		took, err := w.feedOnce(ctx)
		if err != nil && ctx.Err() == nil {
			w.Log.Error("feed", "error", err)
		}
		if took > 0 {
			pause.Reset(feedEvery / 10)
		} else {
			pause.Reset(feedEvery)
		}
	}
}

func (w *Worker) feedOnce(ctx context.Context) (int, error) {
	if w.skewed.Load() {
		return 0, nil
	}
	if depth, err := w.Bell.Depth(ctx); err != nil || depth >= highWater/2 {
		return 0, err
	}
	stranded := w.gate.stranded()
	for i := range stranded {
		stranded[i].At = w.DB.Now()
	}
	w.Bell.Ring(stranded)
	due, err := w.Deliveries.TakeDue(ctx, feedBatch, feedPerEndpoint, w.gate.full())
	if err != nil {
		return 0, err
	}
	w.Bell.Ring(due)
	return len(due) + len(stranded), nil
}

func (w *Worker) sweep(ctx context.Context, s Sweep) {
	if w.skewed.Load() {
		return // by a wrong clock, leases and sessions that live have ended
	}
	did, err := s.Run(ctx)
	if w.Observe != nil {
		w.Observe(s.Name, did, err)
	}
	switch {
	case err != nil && ctx.Err() == nil:
		w.Log.Error("sweep", "sweep", s.Name, "did", did, "error", err)
	case did > 0:
		w.Log.Info("sweep", "sweep", s.Name, "did", did)
	}
}

// checkClock compares our clock with the database's. A worker whose clock is off would send too early, or take leases
// that others believe to have ended.
func (w *Worker) checkClock(ctx context.Context) error {
	skew, err := w.DB.ServerSkew(ctx)
	if err != nil {
		return err
	}
	if skew.Abs() > maxSkew {
		w.skewed.Store(true)
		return fmt.Errorf("this host's clock is %s off the database's, which is more than %s: set it right (NTP)", skew.Round(time.Millisecond), maxSkew)
	}
	w.skewed.Store(false)
	return nil
}

func (w *Worker) reportClock(err error) {
	if err != nil {
		w.Log.Error("clock check", "claiming", !w.skewed.Load(), "error", err)
	}
}

// every calls f at once and then at the interval, one call at a time.
func every(ctx context.Context, interval time.Duration, f func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// asynqLog turns asynq's log lines into ours.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) Debug(args ...any) { l.log.Debug("asynq", "detail", fmt.Sprint(args...)) }
func (l asynqLog) Info(args ...any)  { l.log.Info("asynq", "detail", fmt.Sprint(args...)) }
func (l asynqLog) Warn(args ...any)  { l.log.Warn("asynq", "detail", fmt.Sprint(args...)) }
func (l asynqLog) Error(args ...any) { l.log.Error("asynq", "detail", fmt.Sprint(args...)) }
func (l asynqLog) Fatal(args ...any) { l.log.Error("asynq", "detail", fmt.Sprint(args...)) }
