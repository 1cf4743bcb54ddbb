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
	// briskBelow makes an endpoint brisk.
	briskBelow = 50 * time.Millisecond
	// aheadFactor times as many deliveries as may be in flight at one endpoint may be claimed ahead at all endpoints together: if some of
	// them stop answering, no more than that is stuck besides what is in flight.
	aheadFactor = 2
	// lineAtMost is how long what was claimed ahead waits for its turn at an endpoint that stopped answering. Then it is sent all the
	// same: a claim that waits longer has to be checked again before it is sent, and one that waits for good is taken for lost.
	lineAtMost = 200 * time.Millisecond
)

// gate bounds how many requests to one endpoint are in flight in this worker, and knows which endpoints are slow. Who finds an
// endpoint full goes away: whoever leaves next sees to it that the endpoint is drained. Deliveries to a brisk endpoint are claimed ahead of
// their turn, since a claim of many costs little more than a claim of one and the endpoint need not wait for it. If it stops answering, those
// are sent beyond the bound (lineAtMost).
type gate struct {
	limit                  int
	briskBelow, lineAtMost time.Duration

	mu        sync.Mutex
	endpoints map[id.Endpoint]*door
	ahead     int // deliveries in line
}

type door struct {
	inside   int  // in flight or in line
	brisk    bool // the last request was over at once
	slow     bool // answers slowly or not at all
	missed   bool // a ring found the endpoint full
	asked    bool // a drain was rung for and has not begun
	draining bool
	room     chan struct{} // tells the drain that there is room again
	line     chan struct{} // holds one for each request in flight
}

func newGate(limit int) *gate {
	return &gate{limit: limit, briskBelow: briskBelow, lineAtMost: lineAtMost, endpoints: map[id.Endpoint]*door{}}
}

func (g *gate) door(e id.Endpoint) *door {
	d := g.endpoints[e]
	if d == nil {
		d = &door{room: make(chan struct{}, 1), line: make(chan struct{}, g.limit)}
		g.endpoints[e] = d
	}
	return d
}

// free is how many more deliveries may be claimed.
func (g *gate) free(d *door) int {
	free := max(0, g.limit-d.inside)
	if d.brisk {
		free += max(0, aheadFactor*g.limit-g.ahead)
	}
	return free
}

// admit changes how many deliveries are inside.
func (g *gate) admit(d *door, n int) {
	inLine := func() int { return max(0, d.inside-g.limit) }
	g.ahead -= inLine()
	d.inside += n
	g.ahead += inLine()
}

// waitInLine returns when the request may be sent. Call the returned function when it was.
func (g *gate) waitInLine(e id.Endpoint) (sent func()) {
	g.mu.Lock()
	line := g.door(e).line
	g.mu.Unlock()
	sent = func() { <-line }
	select {
	case line <- struct{}{}:
		return sent
	default:
	}
	late := time.NewTimer(g.lineAtMost)
	defer late.Stop()
	select {
	case line <- struct{}{}:
		return sent
	case <-late.C:
		return func() {}
	}
}

// enter reports whether one more delivery may be claimed.
func (g *gate) enter(e id.Endpoint) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(e)
	if g.free(d) == 0 {
		d.missed = true
		return false
	}
	g.admit(d, 1)
	return true
}

// leave notes how a request went. It reports whether a drain of the endpoint must be rung for.
func (g *gate) leave(e id.Endpoint, sent delivery.Sent) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(e)
	if sent.Asked {
		d.brisk = sent.Duration < g.briskBelow
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

// reserve waits for room and takes all of it; 0 when the worker stopped first. Each place ends with leave or giveBack. As long as there is
// little room it waits for more, but only a moment when fewer requests are in flight than may be.
func (g *gate) reserve(stopped <-chan struct{}, e id.Endpoint) int {
	var waited <-chan time.Time
	patient := true
	for {
		g.mu.Lock()
		d := g.door(e)
		n, idle := g.free(d), d.inside < g.limit
		take := n >= g.limit || idle && (n >= g.limit/2 || !patient)
		if take {
			g.admit(d, n)
		}
		g.mu.Unlock()
		switch {
		case take:
			return n
		case idle && waited == nil:
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
	g.admit(d, -n)
	d.brisk = d.brisk && d.inside > 0
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
	if *d == (door{room: d.room, line: d.line}) {
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
