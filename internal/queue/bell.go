package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
)

// Lanes are the queues. Each has a server of its own in every worker, so that none can starve another.
const (
	LaneFresh = "fresh" // first attempts
	LaneRetry = "retry" // later attempts
	LaneSlow  = "slow"  // endpoints that answer slowly or not at all
)

// Lanes lists the lanes.
func Lanes() []string { return []string{LaneFresh, LaneRetry, LaneSlow} }

const (
	taskType = "deliver"
	// taskSize is how many deliveries one task names at most. A task names one unless rings came while Redis was busy.
	taskSize = 64
	// highWater is how many tasks may wait in Redis; beyond it nobody rings, and the feeder catches up later.
	highWater = 5_000
	// bellBuffer is how many rings wait in memory for Redis; beyond it they are dropped, which costs RingWindow at most.
	bellBuffer = 20_000
	// crowdRest is how much later what a crowd published is rung for. Whoever was answered is back by then, if the web server and the
	// worker share processors: those who wait for an answer go before deliveries, for which there is time while the next group commits.
	crowdRest = 5 * time.Millisecond
	// depthEvery is how old the known number of waiting tasks may be.
	depthEvery = 250 * time.Millisecond
	// taskTimeout bounds one handler; claims, one exchange and the recording of its result fit several times.
	taskTimeout = 2 * time.Minute
	// noArchive is a number of retries that is never reached. An archived task would keep its id for months.
	noArchive = 1 << 30
)

// Bell rings for deliveries. It never blocks its caller.
type Bell struct {
	redis  redis.UniversalClient
	client *asynq.Client
	log    *slog.Logger
	now    func() time.Time
	rings  chan ring
	done   sync.WaitGroup

	// lane overrides the lane by what a worker knows of the endpoint; set by the worker before it starts.
	lane func(delivery.Due) string

	depth   atomic.Int64
	depthAt atomic.Int64
	failing atomic.Bool
	closing atomic.Bool
}

type ring struct {
	due  delivery.Due
	lane string
	// id keeps a second task of the same id away while the first one waits or is served; empty keeps none away.
	id string
	// at is when to ring at the earliest; zero is at once.
	at time.Time
}

// NewBell returns a bell on the Redis client, which stays the caller's. Close ends it.
func NewBell(client redis.UniversalClient, now func() time.Time, log *slog.Logger) *Bell {
	b := &Bell{redis: client, client: asynq.NewClientFromRedisClient(client), log: log, now: now, rings: make(chan ring, bellBuffer), lane: laneOf}
	b.done.Go(b.run)
	return b
}

// Close rings what is left, unless Redis is away, and ends the bell. Nobody may ring afterwards.
func (b *Bell) Close() {
	b.closing.Store(true)
	close(b.rings)
	b.done.Wait()
}

func laneOf(due delivery.Due) string {
	if due.Fresh {
		return LaneFresh
	}
	return LaneRetry
}

// Ring wakes the workers for the deliveries.
func (b *Bell) Ring(due []delivery.Due) {
	for _, d := range due {
		r := ring{due: d, lane: b.lane(d)}
		if d.Crowd {
			r.at = b.now().Add(crowdRest)
		}
		b.ring(r)
	}
}

func (b *Bell) ring(r ring) {
	select {
	case b.rings <- r:
	default: // the feeder will find it
	}
}

// rest waits until it is time for the ring. Others behind it wait as well, for as little.
func (b *Bell) rest(r ring) {
	if wait := min(r.at.Sub(b.now()), crowdRest); wait > 0 {
		<-time.After(wait)
	}
}

// run sends one ring at once when it is alone; those that come meanwhile go together.
func (b *Bell) run() {
	for first := range b.rings {
		b.rest(first)
		together := map[string][]ring{first.lane: {first}}
	collect:
		for range taskSize - 1 {
			select {
			case r, ok := <-b.rings:
				if !ok {
					break collect
				}
				together[r.lane] = append(together[r.lane], r)
			default:
				break collect
			}
		}
		if b.closing.Load() && b.failing.Load() {
			continue // the feeder will find them
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		for lane, rings := range together {
			b.report(b.send(ctx, lane, rings))
		}
		cancel()
	}
}

// send makes one task of the rings, and one of its own for each that has an id.
func (b *Bell) send(ctx context.Context, lane string, rings []ring) error {
	if depth, err := b.Depth(ctx); err != nil || depth >= highWater {
		return err
	}
	var joined []delivery.Due
	for _, r := range rings {
		if r.id == "" {
			joined = append(joined, r.due)
		} else if err := b.enqueue(ctx, lane, payloadOf([]delivery.Due{r.due}), asynq.TaskID(r.id)); err != nil {
			return err
		}
	}
	if len(joined) == 0 {
		return nil
	}
	return b.enqueue(ctx, lane, payloadOf(joined))
}

func (b *Bell) enqueue(ctx context.Context, lane string, payload []byte, options ...asynq.Option) error {
	options = append(options, asynq.Queue(lane), asynq.MaxRetry(noArchive), asynq.Timeout(taskTimeout))
	_, err := b.client.EnqueueContext(ctx, asynq.NewTask(taskType, payload), options...)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	if err == nil {
		err = b.redis.Publish(ctx, wakeChannel(lane), "").Err()
	}
	if err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	return nil
}

// report logs the beginning and the end of an outage rather than every ring in it.
func (b *Bell) report(err error) {
	switch {
	case err != nil && b.failing.CompareAndSwap(false, true):
		b.log.Error("cannot ring, the feeder will make up for it", "error", err)
	case err == nil && b.failing.CompareAndSwap(true, false):
		b.log.Info("ringing again")
	}
}

// pendingKey is the list in which asynq keeps the tasks of the lane that wait.
func pendingKey(lane string) string { return "asynq:{" + lane + "}:pending" }

// Depth returns about how many tasks wait in all lanes.
func (b *Bell) Depth(ctx context.Context) (int64, error) {
	now := b.now().UnixNano()
	last := b.depthAt.Load()
	if now-last < int64(depthEvery) || !b.depthAt.CompareAndSwap(last, now) {
		return b.depth.Add(1), nil
	}
	pipe := b.redis.Pipeline()
	lengths := make([]*redis.IntCmd, 0, len(Lanes()))
	for _, lane := range Lanes() {
		lengths = append(lengths, pipe.LLen(ctx, pendingKey(lane)))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("read queue lengths: %w", err)
	}
	var depth int64
	for _, length := range lengths {
		depth += length.Val()
	}
	b.depth.Store(depth)
	return depth, nil
}

// A payload has a line "<endpoint> <delivery>" for each delivery, or "<endpoint>" for whatever is due there: ids only, since asynq
// shows and copies payloads freely.
func payloadOf(dues []delivery.Due) []byte {
	lines := make([]string, len(dues))
	for i, due := range dues {
		lines[i] = due.EndpointID.String()
		if due.DeliveryID != (id.Delivery{}) {
			lines[i] += " " + due.DeliveryID.String()
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

// Dues reads what a task rings for.
func Dues(task *asynq.TaskInfo) ([]delivery.Due, error) { return parsePayload(task.Payload) }

func parsePayload(b []byte) ([]delivery.Due, error) {
	var dues []delivery.Due
	for line := range strings.SplitSeq(string(b), "\n") {
		endpoint, one, found := strings.Cut(line, " ")
		e, err := id.Parse[id.EndpointKind](endpoint)
		due := delivery.Due{EndpointID: e}
		if err == nil && found {
			due.DeliveryID, err = id.Parse[id.DeliveryKind](one)
		}
		if err == nil && (e.IsZero() || found && due.DeliveryID.IsZero()) {
			err = id.ErrMalformed // the ids of nothing; no delivery id means all that is due
		}
		if err != nil {
			return nil, fmt.Errorf("task payload: %w", err)
		}
		dues = append(dues, due)
	}
	return dues, nil
}
