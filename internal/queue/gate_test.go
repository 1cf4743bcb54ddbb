package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
)

func newDue(e id.Endpoint) delivery.Due {
	return delivery.Due{DeliveryID: id.Delivery{UUID: id.NewUUID(time.Now())}, EndpointID: e}
}

func newEndpoint() id.Endpoint { return id.Endpoint{UUID: id.NewUUID(time.Now())} }

var (
	sentQuickly   = delivery.Sent{Asked: true, Duration: briskBelow - 1}
	sentAtLeisure = delivery.Sent{Asked: true, Duration: briskBelow}
)

func TestGate_AnEndpointGetsItsLimit(t *testing.T) {
	t.Parallel()
	g, e, other := newGate(2), newEndpoint(), newEndpoint()
	for i, want := range []bool{true, true, false} {
		if got := g.enter(e); got != want {
			t.Fatalf("entering for the %d. time: %t, want %t", i+1, got, want)
		}
	}
	if !g.enter(other) {
		t.Error("a full endpoint closed the door of another")
	}
	if g.leave(other, sentAtLeisure) {
		t.Error("a drain is asked for although nobody was turned away")
	}
	if !g.leave(e, sentAtLeisure) {
		t.Error("somebody was turned away, and nobody is asked to see to it")
	}
	if g.leave(e, sentAtLeisure) {
		t.Error("asked twice")
	}
}

func TestGate_WhoIsTurnedAwayDuringADrainIsLeftToIt(t *testing.T) {
	t.Parallel()
	g, e := newGate(1), newEndpoint()
	if !g.beginDrain(e) || g.beginDrain(e) {
		t.Fatal("want one drain at a time")
	}
	if diff := cmp.Diff([]id.Endpoint{e}, g.drained()); diff != "" {
		t.Error(diff)
	}
	if n := g.reserve(t.Context().Done(), e); n != 1 {
		t.Fatalf("reserved %d places, want all there is", n)
	}
	if g.enter(e) {
		t.Error("the endpoint is full")
	}
	if g.leave(e, sentQuickly) {
		t.Error("a drain is asked for while one is under way")
	}
	if !g.endDrain(e) {
		t.Error("the drain may have looked before the ring came, so another is needed")
	}
	if !g.beginDrain(e) || g.endDrain(e) {
		t.Error("want one more drain, and no third")
	}
}

func TestGate_ADrainWaitsForRoomAndGivesBackWhatItDoesNotNeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, e := newGate(3), newEndpoint()
		g.enter(e)
		if n := g.reserve(t.Context().Done(), e); n != 2 {
			t.Fatalf("reserved %d of 2 places", n)
		}
		got := make(chan int, 1)
		go func() { got <- g.reserve(t.Context().Done(), e) }()
		synctest.Wait()
		select {
		case n := <-got:
			t.Fatalf("reserved %d places of a full endpoint", n)
		default:
		}
		g.giveBack(e, 2)
		if n := <-got; n != 2 {
			t.Errorf("reserved %d of 2 places", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if n := g.reserve(ctx.Done(), e); n != 0 {
			t.Errorf("reserved %d places although told to stop", n)
		}
	})
}

func TestGate_ADrainWithLittleRoomWaitsAMomentForMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, e := newGate(4), newEndpoint()
		for range 4 {
			g.enter(e)
		}
		got := make(chan int, 1)
		reserve := func() { got <- g.reserve(t.Context().Done(), e) }
		for _, step := range []struct {
			free []time.Duration // between places that become free
			want int
		}{
			{[]time.Duration{0, roomLinger / 2}, 2},
			{[]time.Duration{0, roomLinger + 1}, 1}, // the second one comes too late
			{[]time.Duration{0}, 1 + 1},             // with the one that came too late
		} {
			go reserve()
			for _, after := range step.free {
				time.Sleep(after)
				g.leave(e, sentAtLeisure)
			}
			if n := <-got; n != step.want {
				t.Errorf("reserved %d places after %v, want %d", n, step.free, step.want)
			}
		}
	})
}

func TestGate_MoreIsClaimedAheadForABriskEndpoint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 4
		g, e := newGate(limit), newEndpoint()
		for range 2 {
			g.enter(e)
		}
		g.leave(e, sentQuickly)
		if n := g.reserve(t.Context().Done(), e); n != limit*(1+aheadFactor)-1 {
			t.Fatalf("reserved %d places, want those in flight and in line but the one that is taken", n)
		}
		if g.enter(e) {
			t.Error("entered although the line is full")
		}
		// While as much is in flight as may be, there is no hurry.
		got := make(chan int, 1)
		go func() { got <- g.reserve(t.Context().Done(), e) }()
		for range limit - 1 {
			g.leave(e, sentQuickly)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case n := <-got:
			t.Fatalf("reserved %d places, want a claim of %d or none", n, limit)
		default:
		}
		g.leave(e, sentQuickly)
		if n := <-got; n != limit {
			t.Errorf("reserved %d places, want %d", n, limit)
		}
		// An answer that takes its time ends it.
		g.leave(e, sentAtLeisure)
		if g.enter(e) {
			t.Error("entered although the endpoint is not brisk any more and has more than its limit")
		}
	})
}

func TestGate_TheLineIsOneForAllEndpoints(t *testing.T) {
	t.Parallel()
	const limit = 4
	g, one, other := newGate(limit), newEndpoint(), newEndpoint()
	for _, e := range []id.Endpoint{one, other} {
		for range 2 {
			g.enter(e)
		}
		g.leave(e, sentQuickly)
	}
	if n := g.reserve(t.Context().Done(), one); n != limit*(1+aheadFactor)-1 {
		t.Fatalf("reserved %d places", n)
	}
	for range limit - 1 {
		if !g.enter(other) {
			t.Error("the line of one endpoint keeps another from what may be in flight there")
		}
	}
	if g.enter(other) {
		t.Error("more in line than may be at all endpoints together")
	}
	g.leave(one, sentQuickly)
	if !g.enter(other) {
		t.Error("the line has room again")
	}
	for range limit*(1+aheadFactor) - 1 {
		g.leave(one, sentQuickly)
	}
	for range limit + 1 {
		g.leave(other, sentQuickly)
	}
	if g.ahead != 0 {
		t.Errorf("%d in line when all have left", g.ahead)
	}
}

func TestGate_WhatIsInLineIsSentInTurnOrAfterAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 2
		g, e := newGate(limit), newEndpoint()
		began := time.Now()
		waited := func(n int) chan time.Duration {
			out := make(chan time.Duration, n)
			for range n {
				g.enter(e)
				go func() { g.waitInLine(e); out <- time.Since(began) }()
			}
			synctest.Wait()
			return out
		}
		first := waited(limit - 1)
		sent := g.waitInLine(e)
		if len(first) != limit-1 || time.Since(began) != 0 {
			t.Fatal("the first ones had to wait")
		}
		second, third := waited(1), waited(1)
		time.Sleep(time.Millisecond)
		sent()
		synctest.Wait()
		if len(second)+len(third) != 1 {
			t.Fatalf("%d of those in line were let through for the one that was sent", len(second)+len(third))
		}
		time.Sleep(lineAtMost)
		synctest.Wait()
		if len(second)+len(third) != 2 {
			t.Error("in line for an endpoint that stopped answering, and never sent")
		}
	})
}

func TestGate_RemembersSlowEndpointsUntilTheyAreQuickAgain(t *testing.T) {
	t.Parallel()
	g, e := newGate(1), newEndpoint()
	for i, step := range []struct {
		sent delivery.Sent
		want bool
	}{
		{delivery.Sent{Asked: true, Duration: slowAfter - 1}, false},
		{delivery.Sent{Asked: true, Duration: slowAfter}, true},
		{delivery.Sent{Asked: true, Duration: quickBelow}, true}, // between the two it stays what it is
		{delivery.Sent{Asked: false}, true},                      // nothing was sent, so nothing is known
		{delivery.Sent{Asked: true, Duration: quickBelow - 1}, false},
	} {
		if !g.enter(e) {
			t.Fatal("the door is closed")
		}
		g.leave(e, step.sent)
		if got := g.isSlow(e); got != step.want {
			t.Errorf("step %d: slow %t, want %t", i, got, step.want)
		}
	}
	if len(g.endpoints) != 0 {
		t.Error("an idle, quick endpoint is remembered for ever")
	}
}

func TestGate_AsksOnceForTheSlowLane(t *testing.T) {
	t.Parallel()
	g, e := newGate(1), newEndpoint()
	if !g.ask(e) || g.ask(e) {
		t.Error("want one ring until a drain begins")
	}
	g.beginDrain(e)
	if g.ask(e) {
		t.Error("a drain is under way")
	}
	g.endDrain(e)
	if !g.ask(e) {
		t.Error("the next ring is not asked for")
	}
}
