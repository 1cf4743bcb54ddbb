package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
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
}

// Worker runs the lanes, the feeder and the sweeps of one process.
type Worker struct {
	Config
	gate    *gate
	slots   map[string]*slots // by lane
	waker   *waker
	servers []*asynq.Server
	skewed  atomic.Bool
	running context.Context // ends when the worker is told to stop
	stop    context.CancelFunc
	loops   sync.WaitGroup
}

const (
	// feedEvery is the longest pause between two looks for due rows (DUE_SWEEP allows 1 s).
	feedEvery = 500 * time.Millisecond
	// feedBatch is how many endpoints are rung for at once.
	feedBatch = 1_000
	// drainTurn is how long an endpoint is drained before others that wait for a handler get theirs.
	drainTurn = 5 * time.Second
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
	w := &Worker{Config: c, gate: newGate(max(1, c.Concurrency/8)), slots: map[string]*slots{}}
	for _, lane := range Lanes() {
		w.slots[lane] = newSlots(c.Concurrency)
	}
	c.Bell.lane = func(due delivery.Due) string {
		if w.gate.isSlow(due.EndpointID) {
			return LaneSlow
		}
		return laneOf(due)
	}
	return w
}

// Start runs until Stop. It fails when Redis or Postgres cannot be reached, and when the clock of this host is off.
func (w *Worker) Start(ctx context.Context) error {
	if err := w.checkClock(ctx); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.running, w.stop = running, stop
	w.waker = newWaker(ctx, w.Redis)
	w.loops.Go(w.waker.run)
	for _, lane := range Lanes() {
		server := asynq.NewServerFromRedisClient(w.waker.client(w.Redis, lane), asynq.Config{
			Concurrency: w.Concurrency, Queues: map[string]int{lane: 1},
			TaskCheckInterval: settleFor, DelayedTaskCheckInterval: time.Second,
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
	ctx = running
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
		w.waker.close()
	}
	w.loops.Wait()
	var all sync.WaitGroup
	for _, server := range w.servers {
		all.Go(server.Shutdown)
	}
	all.Wait()
}

// handle serves one task.
func (w *Worker) handle(ctx context.Context, lane string, task *asynq.Task) error {
	dues, err := parsePayload(task.Payload())
	if err != nil {
		return fmt.Errorf("%w: %w", err, asynq.RevokeTask) // not ours to repair, and never to be seen again
	}
	if w.skewed.Load() {
		return nil // another worker, or this one once its clock is right, gets it from the feeder
	}
	taskID, _ := asynq.GetTaskID(ctx)
	ctx = logging.With(ctx, logging.TaskID, taskID)
	var named []delivery.Due
	var sending errgroup.Group
	for _, due := range dues {
		switch {
		case lane != LaneSlow && w.gate.isSlow(due.EndpointID):
			if w.gate.ask(due.EndpointID) {
				w.ringDrain(due.EndpointID)
			}
		case due.DeliveryID == id.Delivery{}:
			sending.Go(func() error { return w.drain(ctx, lane, due.EndpointID) })
		default:
			named = append(named, due)
		}
	}
	return errors.Join(w.deliver(ctx, lane, named, &sending), sending.Wait())
}

// deliver sends the deliveries that may be sent and that their endpoints have room for.
func (w *Worker) deliver(ctx context.Context, lane string, dues []delivery.Due, sending *errgroup.Group) error {
	for len(dues) > 0 {
		got := w.slots[lane].take(len(dues))
		var entered []delivery.Due
		for _, due := range dues[:got] {
			if w.gate.enter(due.EndpointID) {
				entered = append(entered, due)
			} else {
				w.slots[lane].giveBack()
			}
		}
		dues = dues[got:]
		claims, err := w.Deliveries.ClaimThese(ctx, idsOf(entered))
		for i, due := range entered {
			if claims[i] == nil { // not due any more, or somebody else has it
				w.slots[lane].giveBack()
				w.leave(due.EndpointID, delivery.Sent{})
				continue
			}
			w.send(ctx, lane, claims[i], sending)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func idsOf(dues []delivery.Due) []id.Delivery {
	ids := make([]id.Delivery, len(dues))
	for i, due := range dues {
		ids[i] = due.DeliveryID
	}
	return ids
}

// send sends what was claimed, with a slot of the lane and a place at the endpoint that were taken before.
func (w *Worker) send(ctx context.Context, lane string, c *delivery.Claim, sending *errgroup.Group) {
	sending.Go(func() error {
		defer func() { w.slots[lane].giveBack() }()
		done := w.gate.waitInLine(c.WebhookEndpointID)
		return w.Deliveries.Send(ctx, c, func(sent delivery.Sent) {
			done()
			w.leave(c.WebhookEndpointID, sent)
		})
	})
}

// leave makes room at the endpoint. The slot of the lane is kept until the result is recorded, which bounds what waits for that.
func (w *Worker) leave(e id.Endpoint, sent delivery.Sent) {
	if w.gate.leave(e, sent) {
		w.ringDrain(e)
	}
}

// ringDrain goes through Redis, so that a busy endpoint waits in line behind the others.
func (w *Worker) ringDrain(e id.Endpoint) { w.Bell.Ring([]delivery.Due{{EndpointID: e}}) }

// drain sends what is due at an endpoint until nothing is, or until others deserve a turn.
func (w *Worker) drain(ctx context.Context, lane string, e id.Endpoint) error {
	if !w.gate.beginDrain(e) {
		return nil
	}
	var sending errgroup.Group
	again, err := w.drainUntil(ctx, w.DB.Now().Add(drainTurn), lane, e, &sending)
	if w.gate.endDrain(e) || again {
		w.ringDrain(e)
	}
	return errors.Join(err, sending.Wait())
}

// drainUntil reports whether there may be more.
func (w *Worker) drainUntil(ctx context.Context, end time.Time, lane string, e id.Endpoint, sending *errgroup.Group) (again bool, err error) {
	for w.running.Err() == nil && !w.skewed.Load() {
		if !w.DB.Now().Before(end) || lane != LaneSlow && w.gate.isSlow(e) {
			return true, nil
		}
		n := w.gate.reserve(w.running.Done(), e)
		if n == 0 {
			break
		}
		got := w.slots[lane].take(n)
		w.gate.giveBack(e, n-got)
		claims, err := w.Deliveries.Claim(ctx, e, got)
		for range got - len(claims) {
			w.slots[lane].giveBack()
		}
		w.gate.giveBack(e, got-len(claims))
		for _, c := range claims {
			w.send(ctx, lane, c, sending)
		}
		if err != nil || len(claims) < got {
			return false, err
		}
	}
	return false, nil
}

// feed rings for every endpoint where a delivery is due that has no ring under way, whatever the reason.
func (w *Worker) feed(ctx context.Context) {
	every(ctx, feedEvery, func() {
		if _, err := w.feedOnce(ctx); err != nil && ctx.Err() == nil {
			w.Log.Error("feed", "error", err)
		}
	})
}

func (w *Worker) feedOnce(ctx context.Context) (int, error) {
	if w.skewed.Load() {
		return 0, nil
	}
	if depth, err := w.Bell.Depth(ctx); err != nil || depth >= highWater/2 {
		return 0, err
	}
	endpoints, err := w.Deliveries.DueEndpoints(ctx, feedBatch, w.gate.drained())
	if err != nil {
		return 0, err
	}
	for _, e := range endpoints {
		due := delivery.Due{EndpointID: e}
		// Every worker's feeder finds the same endpoints; one task a second is enough for all of them.
		w.Bell.ring(ring{due: due, lane: w.Bell.lane(due), id: fmt.Sprintf("%s:%d", e, w.DB.Now().Unix())})
	}
	return len(endpoints), nil
}

func (w *Worker) sweep(ctx context.Context, s Sweep) {
	if w.skewed.Load() {
		return // by a wrong clock, leases and sessions that live have ended
	}
	did, err := s.Run(ctx)
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
