package queue

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// lookEvery is the longest pause between two looks into an empty lane, for tasks whose wake-up was lost or that asynq itself
	// put back.
	lookEvery = 100 * time.Millisecond
	// settleFor is what asynq sleeps, about, after a look that found nothing even then.
	settleFor = time.Millisecond
)

// wakeChannel is where a bell says that it put a task into the lane.
func wakeChannel(lane string) string { return "kaylehooks:wake:" + lane }

// waker tells lanes that a task was put into them. asynq by itself looks every so often, which costs either time or Redis.
type waker struct {
	subscription *redis.PubSub
	lanes        map[string]chan struct{} // by channel; each holds one wake-up that nobody has waited for yet
}

func newWaker(ctx context.Context, client redis.UniversalClient) *waker {
	w := &waker{lanes: map[string]chan struct{}{}}
	var channels []string
	for _, lane := range Lanes() {
		w.lanes[wakeChannel(lane)] = make(chan struct{}, 1)
		channels = append(channels, wakeChannel(lane))
	}
	w.subscription = client.Subscribe(ctx, channels...)
	return w
}

// run passes wake-ups on until close. go-redis subscribes again after an outage.
func (w *waker) run() {
	for message := range w.subscription.Channel() {
		select {
		case w.lanes[message.Channel] <- struct{}{}:
		default:
		}
	}
}

func (w *waker) close() { _ = w.subscription.Close() }

// client is the Redis client of the server of one lane.
func (w *waker) client(c redis.UniversalClient, lane string) redis.UniversalClient {
	return waitingClient{UniversalClient: c, pending: pendingKey(lane), woken: w.lanes[wakeChannel(lane)], lookEvery: lookEvery}
}

// waitingClient makes asynq's look for a task wait until there may be one.
type waitingClient struct {
	redis.UniversalClient
	pending   string
	woken     <-chan struct{}
	lookEvery time.Duration
}

// EvalSha looks once more after a wake-up if a script that takes from the lane found nothing.
func (c waitingClient) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	cmd := c.UniversalClient.EvalSha(ctx, sha, keys, args...)
	if !errors.Is(cmd.Err(), redis.Nil) || len(keys) == 0 || keys[0] != c.pending {
		return cmd
	}
	timer := time.NewTimer(c.lookEvery)
	defer timer.Stop()
	select {
	case <-c.woken:
	case <-timer.C:
	}
	return c.UniversalClient.EvalSha(ctx, sha, keys, args...)
}
