package queue

import (
	"testing"
	"time"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
)

// One endpoint of ten holds every request open under a flood of due rows. The rule is about order, not about time: its
// requests are held from before the others' deliveries exist until after the last of those is recorded.
func TestWorker_AHangingEndpointHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const (
		concurrency = 16
		limit       = concurrency / 8
		flood       = 2_000
		neighbours  = 9
		each        = 5
	)
	r := newRig(t)
	hang, fast := newHanging(t), quick(t)
	hanging := r.endpoint(hang.URL)
	others := make([]id.Endpoint, neighbours)
	for i := range others {
		others[i] = r.endpoint(fast.URL)
	}
	first := r.worker("one", concurrency)
	stopFirst := r.start(first)
	r.publish(first.Deliveries, hanging, flood)
	fixture.Until(t, "the hanging endpoint holds its cap", func() bool { return hang.holds() == limit })

	recorded := 0
	serveOthers := func(w *Worker, held int) {
		t.Helper()
		for _, e := range others {
			r.publish(w.Deliveries, e, each)
		}
		recorded += neighbours * each
		fixture.Until(t, "every delivery of the neighbours is recorded", func() bool {
			return r.count("webhook_endpoint_id <> $1 AND status = 'succeeded' AND attempt_count = 1", hanging) == recorded
		})
		if got := hang.holds(); got != held {
			t.Errorf("the hanging endpoint holds %d requests when its neighbours are done, want %d throughout", got, held)
		}
	}
	serveOthers(first, limit)

	// A rolling restart: the old worker waits for what it has in flight while the new one works.
	second := r.worker("two", concurrency)
	r.start(second)
	stopped := make(chan struct{})
	go func() {
		stopFirst()
		close(stopped)
	}()
	fixture.Until(t, "the new worker fills its own cap", func() bool { return hang.holds() == 2*limit })
	serveOthers(second, 2*limit)
	select {
	case <-stopped:
		t.Error("the old worker stopped although requests of its own were in flight")
	default:
	}
	if got := hang.peak(); got > 2*limit {
		t.Errorf("%d requests to one endpoint at once, want at most %d from each of two workers", got, limit)
	}
	if n := fixture.Scalar[int](t, r.db, "SELECT count(*) FROM webhook_delivery_attempts WHERE worker = 'two' AND status = 'succeeded'"); n == 0 {
		t.Error("the new worker recorded nothing")
	}
	if n := r.count("webhook_endpoint_id = $1 AND status = 'succeeded'", hanging); n != 0 {
		t.Errorf("%d deliveries of the hanging endpoint are recorded while it holds all", n)
	}

	hang.letGo()
	<-stopped
	fixture.Until(t, "the flood is delivered once the endpoint answers", func() bool {
		return r.count("webhook_endpoint_id = $1 AND status = 'succeeded'", hanging) == flood
	})
	if n := r.count("webhook_endpoint_id <> $1 AND (attempt_count <> 1 OR status <> 'succeeded')", hanging); n != 0 {
		t.Errorf("%d deliveries of the neighbours took more than one attempt", n)
	}
}

// What is claimed ahead for a receiver that answers at once is not sent to it before its turn.
func TestWorker_WhatIsClaimedAheadWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	const (
		concurrency = 16
		limit       = concurrency / 8
		n           = 40
	)
	r := newRig(t)
	receiver := newHanging(t)
	e := r.endpoint(receiver.URL)
	w := r.worker("one", concurrency)
	w.gate.briskBelow, w.gate.lineAtMost = time.Hour, time.Hour // whatever the pace of this machine
	r.start(w)
	r.publish(w.Deliveries, e, n)
	fixture.Until(t, "the receiver holds its cap", func() bool { return receiver.holds() == limit })
	receiver.letOneGo() // so that it passes for brisk
	fixture.Until(t, "more is claimed than is in flight", func() bool { return r.count("status = 'delivering'") == limit*(1+aheadFactor) })
	for range n / 2 {
		receiver.letOneGo()
	}
	if got := receiver.peak(); got != limit {
		t.Errorf("%d requests to one endpoint at once, want at most %d", got, limit)
	}
	receiver.letGo()
	fixture.Until(t, "every delivery is recorded", func() bool { return r.count("status = 'succeeded' AND attempt_count = 1") == n })
	if got := receiver.peak(); got != limit {
		t.Errorf("%d requests to one endpoint at once, want at most %d", got, limit)
	}
}
