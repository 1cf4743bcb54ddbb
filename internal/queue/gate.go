package queue

import (
	"sync"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
)

const (
	// slowAfter makes an endpoint slow, quickBelow quick again. Between the two it stays what it is.
	slowAfter  = 3 * time.Second
	quickBelow = time.Second
	// roomLinger is how long a drain with a little room waits for more.
	roomLinger = 2 * time.Millisecond
)

// gate bounds how many requests to one endpoint are in flight in this worker, and knows which endpoints are slow. Who finds an
// endpoint full goes away: whoever leaves next sees to it that the endpoint is drained.
type gate struct {
	limit int

	mu        sync.Mutex
	endpoints map[id.Endpoint]*door
}

type door struct {
	inside   int  // in flight
	slow     bool // answers slowly or not at all
	missed   bool // a ring found the endpoint full
	asked    bool // a drain was rung for and has not begun
	draining bool
	room     chan struct{} // tells the drain that there is room again
}

func newGate(limit int) *gate {
	return &gate{limit: limit, endpoints: map[id.Endpoint]*door{}}
}

func (g *gate) door(e id.Endpoint) *door {
	d := g.endpoints[e]
	if d == nil {
		d = &door{room: make(chan struct{}, 1)}
		g.endpoints[e] = d
	}
	return d
}

// enter reports whether one more request may be sent now.
func (g *gate) enter(e id.Endpoint) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(e)
	if d.inside >= g.limit {
		d.missed = true
		return false
	}
	d.inside++
	return true
}

// leave notes how a request went. It reports whether a drain of the endpoint must be rung for.
func (g *gate) leave(e id.Endpoint, sent delivery.Sent) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(e)
	if sent.Claimed {
		switch {
		case sent.Duration >= slowAfter:
			d.slow = true
		case sent.Duration < quickBelow:
			d.slow = false
		}
	}
	g.vacate(d, 1)
	return g.settle(e, d)
}

// beginDrain reports whether the caller may drain the endpoint: one drain at a time does.
func (g *gate) beginDrain(e id.Endpoint) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(e)
	d.asked = false
	if d.draining {
		return false
	}
	d.draining, d.missed = true, false
	return true
}

// endDrain reports whether another drain must be rung for.
func (g *gate) endDrain(e id.Endpoint) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(e)
	d.draining = false
	return g.settle(e, d)
}

// reserve waits for room and takes all of it; 0 when the worker stopped first. Each place ends with leave or giveBack. While less than
// half of the places are free it waits a moment for more: a claim of many costs little more than a claim of one.
func (g *gate) reserve(stopped <-chan struct{}, e id.Endpoint) int {
	var waited <-chan time.Time
	patient := true
	for {
		g.mu.Lock()
		d := g.door(e)
		n := g.limit - d.inside
		take := n > 0 && (n >= g.limit/2 || !patient)
		if take {
			d.inside += n
		}
		g.mu.Unlock()
		switch {
		case take:
			return n
		case n > 0 && waited == nil:
			waited = time.After(roomLinger)
		}
		select {
		case <-d.room:
		case <-waited:
			patient = false
		case <-stopped:
			return 0
		}
	}
}

// giveBack returns places that were reserved and not needed.
func (g *gate) giveBack(e id.Endpoint, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.vacate(g.door(e), n)
}

func (g *gate) vacate(d *door, n int) {
	d.inside -= n
	select {
	case d.room <- struct{}{}:
	default:
	}
}

// settle asks for a drain if a ring was missed and nobody drains, and forgets an endpoint of which there is nothing to remember.
func (g *gate) settle(e id.Endpoint, d *door) (ring bool) {
	if d.missed && !d.draining {
		d.missed = false
		ring = !d.asked
		d.asked = true
	}
	if *d == (door{room: d.room}) {
		delete(g.endpoints, e)
	}
	return ring
}

// ask reports whether a drain of the endpoint must be rung for, and is not under way already.
func (g *gate) ask(e id.Endpoint) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(e)
	ring := !d.asked && !d.draining
	d.asked = d.asked || ring
	return ring
}

// isSlow reports whether the endpoint belongs into the slow lane.
func (g *gate) isSlow(e id.Endpoint) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.endpoints[e]
	return d != nil && d.slow
}

// drained returns the endpoints that are being drained.
func (g *gate) drained() []id.Endpoint {
	g.mu.Lock()
	defer g.mu.Unlock()
	var drained []id.Endpoint
	for e, d := range g.endpoints {
		if d.draining {
			drained = append(drained, e)
		}
	}
	return drained
}
