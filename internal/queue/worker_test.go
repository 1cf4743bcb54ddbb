package queue

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

// INV-6: Redis loses everything between the commit and the send.
func TestWorker_AnEmptiedRedisLosesNoDelivery(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.endpoint(quick(t).URL)
	w := r.worker("one", 16)
	const n = 40
	r.publish(w.Deliveries, e, n)
	// Every delivery has been rung for, so the feeder trusts the rings; then they are gone.
	fixture.Until(t, "every delivery is named by a task", func() bool {
		named := 0
		for _, task := range r.redis.LRange(t.Context(), "asynq:{fresh}:pending", 0, -1).Val() {
			named += strings.Count(r.redis.HGet(t.Context(), "asynq:{fresh}:t:"+task, "msg").Val(), "whd_")
		}
		return named == n
	})
	if err := r.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	r.start(w)
	fixture.Until(t, "every due delivery is attempted", func() bool { return r.count("status = 'succeeded'") == n })
	if got := r.count("attempt_count = 1"); got != n {
		t.Errorf("%d of %d took one attempt", got, n)
	}
}

// A drain ends when it gets fewer than it has room for.
func TestClaim_TakesAsManyAsThereIsRoomFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.endpoint(quick(t).URL)
	const n = 300
	r.publish(r.deliveries, e, n+1)
	for _, want := range []int{n, 1} {
		claims, err := r.deliveries.Claim(t.Context(), e, n)
		if err != nil || len(claims) != want {
			t.Errorf("claimed %d, %v; want %d", len(claims), err, want)
		}
	}
}

func TestWorker_WhatWasNeverRungIsFound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e := r.endpoint(quick(t).URL)
	r.start(r.worker("one", 16))
	// The publisher has no bell: as if its process died between commit and ring.
	const n = 20
	r.publish(r.deliveries, e, n)
	fixture.Until(t, "every due delivery is attempted", func() bool { return r.count("status = 'succeeded'") == n })
}

func TestWorker_AWrongClockClaimsAndSweepsNothingAndSaysWhy(t *testing.T) {
	t.Parallel()
	off := new(atomic.Int64)
	db, err := postgres.Open(t.Context(), postgres.Options{URL: devtest.Database(t), Name: "test", Now: func() time.Time { return time.Now().Add(time.Duration(off.Load())) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	r := newRigOn(t, db)

	off.Store(int64(90 * time.Second))
	if err := r.worker("wrong", 8).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "clock is") || !strings.Contains(err.Error(), "NTP") {
		t.Fatalf("a worker whose clock is off started: %v", err)
	}

	off.Store(0)
	var sweeps atomic.Int64
	w := r.worker("drifting", 8, Sweep{Name: "any", Every: time.Millisecond, Run: func(context.Context) (int, error) {
		sweeps.Add(1)
		return 0, nil
	}})
	if err := w.checkClock(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := r.endpoint(quick(t).URL)
	r.publish(r.deliveries, e, 1)
	fixture.Exec(t, r.db, "UPDATE webhook_deliveries SET rung_at = NULL") // as if its process died before it rang
	off.Store(int64(90*time.Minute + 30*time.Second))                     // what is due stays due by this clock
	err = w.checkClock(t.Context())
	if err == nil || !strings.Contains(err.Error(), " 1h30m") {
		t.Errorf("the check says %v, which does not say how far the clock is off", err)
	}
	w.reportClock(err)
	if got := w.work(t, e); got != (worked{}) || sweeps.Load() != 0 {
		t.Errorf("by a wrong clock the worker fed %d endpoints, sent %d deliveries and swept %d times", got.fed, got.sent, sweeps.Load())
	}

	off.Store(0)
	if err := w.checkClock(t.Context()); err != nil {
		t.Fatalf("the clock is right again: %v", err)
	}
	if got := w.work(t, e); got != (worked{1, 1}) || sweeps.Load() != 1 {
		t.Errorf("once its clock is right again, the worker fed %d endpoints, sent %d deliveries and swept %d times, want 1 each", got.fed, got.sent, sweeps.Load())
	}
}

// worked is what a worker did: how many endpoints it found due, and how many deliveries it sent.
type worked struct{ fed, sent int }

// work does each of a worker's duties once: it sweeps, feeds, and serves a task to drain the endpoint.
func (w *Worker) work(t *testing.T, e id.Endpoint) worked {
	t.Helper()
	w.running = t.Context()
	w.sweep(t.Context(), w.Sweeps[0])
	fed, err := w.feedOnce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.handle(t.Context(), LaneFresh, asynq.NewTask("drain", payloadOf([]delivery.Due{{EndpointID: e}}))); err != nil {
		t.Fatal(err)
	}
	return worked{fed, fixture.Scalar[int](t, w.DB, "SELECT count(*) FROM webhook_deliveries WHERE status = 'succeeded'")}
}

func TestWorker_OneFailingSweepStopsNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var good, bad atomic.Int64
	fails := func(context.Context) (int, error) {
		bad.Add(1)
		return 0, context.DeadlineExceeded
	}
	works := func(context.Context) (int, error) {
		good.Add(1)
		return 1, nil
	}
	r.start(r.worker("one", 8, Sweep{Name: "bad", Every: time.Millisecond, Run: fails}, Sweep{Name: "good", Every: time.Millisecond, Run: works}))
	fixture.Until(t, "both go on", func() bool { return good.Load() > 3 && bad.Load() > 3 })
}

func TestWorker_StopEndsEvenWhenRedisIsGone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs PostgreSQL and Redis")
	}
	stack, err := devstack.Start(t.Context(), devstack.Options{Ephemeral: true, DatabaseURL: "none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stack.Stop() })
	r := &rig{t: t, db: fixture.DB(t), redis: redisClient(t, stack.RedisURL)}
	stop := r.start(r.worker("one", 8))
	if err := stack.Stop(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(shutdownPatience):
		t.Fatal("the worker does not stop without Redis")
	}
}
