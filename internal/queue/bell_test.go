package queue

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
)

func TestPayload_RoundTrip(t *testing.T) {
	t.Parallel()
	dues := []delivery.Due{newDue(newEndpoint()), {EndpointID: newEndpoint()}, newDue(newEndpoint())}
	got, err := parsePayload(payloadOf(dues))
	if diff := cmp.Diff(dues, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func FuzzParsePayload(f *testing.F) {
	good := string(payloadOf([]delivery.Due{newDue(newEndpoint())}))
	for _, seed := range []string{"", " ", good, good + " ", strings.ToUpper(good), strings.Replace(good, " ", "  ", 1), good[:20], good[:30], good + "\n" + good, good + "\n", "whe_ whd_", "{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		dues, err := parsePayload(payload)
		if err != nil {
			if dues != nil {
				t.Errorf("%q gave both %v and %v", payload, dues, err)
			}
			return
		}
		if got := payloadOf(dues); string(got) != string(payload) {
			t.Errorf("%q was read as %q", payload, got)
		}
	})
}

func TestHandle_ATaskThatIsNotOursIsDroppedForGood(t *testing.T) {
	t.Parallel()
	w := &Worker{}
	if err := w.handle(t.Context(), LaneFresh, asynq.NewTask(taskType, []byte("nonsense"))); !errors.Is(err, asynq.RevokeTask) {
		t.Errorf("got %v, want a task that is never seen again", err)
	}
}

// away is the dial function of a Redis that is not there, or that is frozen.
type away struct {
	frozen  bool
	dialled atomic.Int64
	mu      sync.Mutex
	peers   []net.Conn
}

func (a *away) dial(context.Context, string, string) (net.Conn, error) {
	a.dialled.Add(1)
	if !a.frozen {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.peers = append(a.peers, theirs)
	return ours, nil
}

func TestBell_RingingNeverBlocksWhenRedisIsAway(t *testing.T) {
	t.Parallel()
	for name, frozen := range map[string]bool{"gone": false, "frozen": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redisAway := &away{frozen: frozen}
			client := redis.NewClient(&redis.Options{
				Dialer: redisAway.dial, MaxRetries: -1, DialerRetries: 1, DialTimeout: 50 * time.Millisecond, ReadTimeout: 50 * time.Millisecond, WriteTimeout: 50 * time.Millisecond,
			})
			t.Cleanup(func() { _ = client.Close() })
			bell := NewBell(client, time.Now, slog.New(slog.DiscardHandler))
			e := newEndpoint()
			many := make([]delivery.Due, bellBuffer/2)
			for i := range many {
				many[i] = newDue(e)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 5 { // more than the buffer holds
					bell.Ring(many)
				}
			}()
			select {
			case <-done:
			case <-time.After(patience):
				t.Fatal("ringing blocks")
			}
			fixture.Until(t, "the outage is noticed", bell.failing.Load)
			dialled := redisAway.dialled.Load()
			bell.Close()
			if more := redisAway.dialled.Load() - dialled; more > 5 {
				t.Errorf("closing it tries %d times more", more)
			}
		})
	}
}

func TestBell_StopsRingingWhileTooManyTasksWait(t *testing.T) {
	t.Parallel()
	r := &rig{t: t}
	r.redis = redisClient(t, devtest.Redis(t))
	tasks := make([]any, highWater)
	for i := range tasks {
		tasks[i] = "x"
	}
	const list = "asynq:{fresh}:pending"
	if err := r.redis.RPush(t.Context(), list, tasks...).Err(); err != nil {
		t.Fatal(err)
	}
	bell := NewBell(r.redis, time.Now, slog.New(slog.DiscardHandler))
	bell.Ring([]delivery.Due{newDue(newEndpoint()), newDue(newEndpoint())})
	bell.Close()
	if n := r.redis.LLen(t.Context(), list).Val(); n != highWater {
		t.Errorf("%d tasks wait, want no more than before", n)
	}
}

func TestBell_SlowEndpointsHaveALaneOfTheirOwn(t *testing.T) {
	t.Parallel()
	client := redisClient(t, devtest.Redis(t))
	bell := NewBell(client, time.Now, slog.New(slog.DiscardHandler))
	w := NewWorker(Config{Redis: client, Bell: bell, Concurrency: 8})
	slow := newEndpoint()
	w.gate.enter(slow)
	w.gate.leave(slow, delivery.Sent{Asked: true, Duration: time.Minute})
	fresh, again := newDue(newEndpoint()), newDue(newEndpoint())
	fresh.Fresh = true
	bell.Ring([]delivery.Due{newDue(slow), fresh, again})
	bell.Close()
	for _, lane := range Lanes() {
		if n := client.LLen(t.Context(), "asynq:{"+lane+"}:pending").Val(); n != 1 {
			t.Errorf("%d tasks in lane %s, want 1", n, lane)
		}
	}
}

func TestBell_ACrowdIsRungForALittleLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bell := &Bell{now: time.Now, rings: make(chan ring, 3), lane: laneOf}
		crowd, alone := newDue(newEndpoint()), newDue(newEndpoint())
		crowd.Crowd = true
		bell.Ring([]delivery.Due{crowd, crowd, alone})
		for i, want := range []time.Duration{crowdRest, 0, 0} { // the second has rested with the first
			began := time.Now()
			bell.rest(<-bell.rings)
			if took := time.Since(began); took != want {
				t.Errorf("ring %d rests for %s, want %s", i, took, want)
			}
		}
		for _, c := range []struct {
			due  delivery.Due
			want time.Duration
		}{{alone, 0}, {crowd, crowdRest}} {
			bell := &Bell{now: time.Now, rings: make(chan ring, 1), lane: laneOf}
			bell.Ring([]delivery.Due{c.due})
			bell.closing.Store(true) // with Redis away nothing is asked of it
			bell.failing.Store(true)
			close(bell.rings)
			began := time.Now()
			if bell.run(); time.Since(began) != c.want {
				t.Errorf("the bell rests for %s, want %s", time.Since(began), c.want)
			}
		}
	})
}

func TestBell_RingsThatComeWhileRedisIsBusyShareATask(t *testing.T) {
	t.Parallel()
	client := redisClient(t, devtest.Redis(t))
	bell := &Bell{redis: client, client: asynq.NewClientFromRedisClient(client), log: slog.New(slog.DiscardHandler), now: time.Now, rings: make(chan ring, bellBuffer), lane: laneOf}
	const n = 2*taskSize + 1
	e := newEndpoint()
	for range n {
		bell.Ring([]delivery.Due{{DeliveryID: newDue(e).DeliveryID, EndpointID: e, Fresh: true}})
	}
	// Each worker's feeder finds the same endpoint.
	for range 3 {
		bell.ring(ring{due: delivery.Due{EndpointID: e}, lane: LaneRetry, id: "the same second"})
	}
	bell.done.Go(bell.run)
	bell.Close()
	if got := client.LLen(t.Context(), "asynq:{fresh}:pending").Val(); got != 3 {
		t.Errorf("%d deliveries made %d tasks, want 3", n, got)
	}
	if got := client.LLen(t.Context(), "asynq:{retry}:pending").Val(); got != 1 {
		t.Errorf("%d tasks for an endpoint in one second, want 1", got)
	}
}
