package queue

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kaylehooks/internal/devstack"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fixture"
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
	until(t, "every delivery is named by a task", func() bool {
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
	until(t, "every due delivery is attempted", func() bool { return r.count("status = 'succeeded'") == n })
	if got := r.count("attempt_count = 1"); got != n {
		t.Errorf("%d of %d took one attempt", got, n)
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
	until(t, "every due delivery is attempted", func() bool { return r.count("status = 'succeeded'") == n })
}

// withClock opens the rig's database on a clock that can be put wrong.
func (r *rig) withClock(url string, off *atomic.Int64) {
	r.t.Helper()
	db, err := postgres.Open(r.t.Context(), postgres.Options{URL: url, Name: "test", Now: func() time.Time { return time.Now().Add(time.Duration(off.Load())) }})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(db.Close)
	r.db = db
}

func TestWorker_AWrongClockClaimsAndSweepsNothingAndSaysWhy(t *testing.T) {
	t.Parallel()
	url := devtest.Database(t)
	right := &rig{t: t}
	right.withClock(url, new(atomic.Int64))
	_, right.owner = fixture.Organization(t, right.db)
	off := new(atomic.Int64)
	r := &rig{t: t, owner: right.owner, redis: redisClient(t, devtest.Redis(t))}
	r.withClock(url, off)

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
	off.Store(int64(-90 * time.Second))
	err := w.checkClock(t.Context())
	if err == nil || !strings.Contains(err.Error(), "-1m30") {
		t.Errorf("the check says %v, which does not say how far the clock is off", err)
	}
	w.reportClock(err)
	w.sweep(t.Context(), w.Sweeps[0])
	if sweeps.Load() != 0 {
		t.Error("a sweep ran by a wrong clock")
	}
	if n, err := w.feedOnce(t.Context()); n != 0 || err != nil {
		t.Errorf("the feeder took %d rows by a wrong clock (%v)", n, err)
	}

	off.Store(0)
	if err := w.checkClock(t.Context()); err != nil {
		t.Fatalf("the clock is right again: %v", err)
	}
	w.sweep(t.Context(), w.Sweeps[0])
	if sweeps.Load() != 1 {
		t.Error("a worker whose clock is right again does not work")
	}
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
	until(t, "both go on", func() bool { return good.Load() > 3 && bad.Load() > 3 })
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
