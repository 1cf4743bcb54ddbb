package queue

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
)

func newDue(e id.Endpoint) delivery.Due {
	return delivery.Due{DeliveryID: id.Delivery{UUID: id.NewUUID(time.Now())}, EndpointID: e}
}

func newEndpoint() id.Endpoint { return id.Endpoint{UUID: id.NewUUID(time.Now())} }

var sentQuickly = delivery.Sent{Claimed: true, Duration: time.Millisecond}

func TestGate_AnEndpointGetsItsLimitAndTheRestWaitInOrder(t *testing.T) {
	t.Parallel()
	g, e, other := newGate(2), newEndpoint(), newEndpoint()
	a, b, c, d := newDue(e), newDue(e), newDue(e), newDue(e)
	if !g.enter(a) || !g.enter(b) || g.enter(c) || g.enter(d) {
		t.Fatal("want two inside and two waiting")
	}
	if !g.enter(newDue(other)) {
		t.Error("a full endpoint closed the door of another")
	}
	if next, ok := g.leave(a, sentQuickly); !ok || next != c {
		t.Errorf("called %v, want the one that waited longest", next)
	}
	if !g.enter(c) {
		t.Error("who was called may not enter")
	}
	if next, ok := g.leave(b, sentQuickly); !ok || next != d {
		t.Errorf("called %v, want the last one", next)
	}
	if next, ok := g.leave(c, sentQuickly); ok {
		t.Errorf("called %v although nobody waits", next)
	}
}

func TestGate_ADeliveryIsInFlightOnceOnly(t *testing.T) {
	t.Parallel()
	g, e := newGate(2), newEndpoint()
	a, b, c := newDue(e), newDue(e), newDue(e)
	if !g.enter(a) || g.enter(a) {
		t.Error("one delivery entered twice")
	}
	g.enter(b)
	for range 2 {
		if g.enter(c) {
			t.Error("the endpoint is full")
		}
	}
	g.leave(a, sentQuickly)
	if next, ok := g.leave(b, sentQuickly); ok {
		t.Errorf("%v was called, which had waited twice", next)
	}
}

// The ring that calls a waiting delivery goes through Redis: it may be lost, or served by another worker. The others that
// wait must not depend on it.
func TestGate_WaitingDeliveriesAreNotShutOutWhenACallIsLost(t *testing.T) {
	t.Parallel()
	g, e := newGate(1), newEndpoint()
	a, b, c, d := newDue(e), newDue(e), newDue(e), newDue(e)
	g.enter(a)
	g.enter(b)
	g.enter(c)
	g.enter(d)
	if next, ok := g.leave(a, sentQuickly); !ok || next != b {
		t.Fatalf("called %v", next)
	}
	// b's ring never arrives; the feeder rings for c.
	if !g.enter(c) {
		t.Fatal("a delivery that waits is refused although nobody is inside")
	}
	if next, ok := g.leave(c, sentQuickly); !ok || next != d {
		t.Errorf("called %v, want the one that waits still", next)
	}
}

func TestGate_WhoWaitsThoughThereIsRoomIsCalledAgain(t *testing.T) {
	t.Parallel()
	g, e := newGate(2), newEndpoint()
	dues := []delivery.Due{newDue(e), newDue(e), newDue(e), newDue(e), newDue(e), newDue(e)}
	for _, due := range dues {
		g.enter(due)
	}
	if got := g.stranded(); len(got) != 0 {
		t.Errorf("called %v although the endpoint is full", got)
	}
	g.leave(dues[0], sentQuickly) // calls dues[2], whose ring another worker serves
	if diff := cmp.Diff(dues[3:4], g.stranded()); diff != "" {
		t.Error(diff)
	}
	g.leave(dues[1], sentQuickly)
	if diff := cmp.Diff(dues[5:], g.stranded()); diff != "" {
		t.Error(diff)
	}
}

func TestGate_RemembersSlowEndpointsUntilTheyAreQuickAgain(t *testing.T) {
	t.Parallel()
	g, e := newGate(1), newEndpoint()
	for i, step := range []struct {
		sent delivery.Sent
		want bool
	}{
		{delivery.Sent{Claimed: true, Duration: slowAfter - 1}, false},
		{delivery.Sent{Claimed: true, Duration: slowAfter}, true},
		{delivery.Sent{Claimed: true, Duration: quickBelow}, true}, // between the two it stays what it is
		{delivery.Sent{Claimed: false}, true},                      // nothing was sent, so nothing is known
		{delivery.Sent{Claimed: true, Duration: quickBelow - 1}, false},
	} {
		due := newDue(e)
		if !g.enter(due) {
			t.Fatal("the door is closed")
		}
		g.leave(due, step.sent)
		if got := g.isSlow(e); got != step.want {
			t.Errorf("step %d: slow %t, want %t", i, got, step.want)
		}
	}
	if len(g.endpoints) != 0 {
		t.Error("an idle, quick endpoint is remembered for ever")
	}
}

func TestGate_TellsTheFeederWhoHasEnough(t *testing.T) {
	t.Parallel()
	g, e := newGate(1), newEndpoint()
	inside := newDue(e)
	g.enter(inside)
	for range enoughWaiting {
		if len(g.full()) != 0 {
			t.Fatal("full too early")
		}
		g.enter(newDue(e))
	}
	if diff := cmp.Diff([]id.Endpoint{e}, g.full()); diff != "" {
		t.Fatal(diff)
	}
	g.leave(inside, sentQuickly)
	if len(g.full()) != 0 {
		t.Error("full although one less waits")
	}
}

func TestGate_KeepsABurstButNotWithoutLimit(t *testing.T) {
	t.Parallel()
	g, e := newGate(1), newEndpoint()
	inside := newDue(e)
	g.enter(inside)
	for range maxWaiting + 1 {
		g.enter(newDue(e))
	}
	called := 0
	for next, ok := g.leave(inside, sentQuickly); ok; next, ok = g.leave(next, sentQuickly) {
		called++
	}
	if called != maxWaiting {
		t.Errorf("%d called, want %d", called, maxWaiting)
	}
}
