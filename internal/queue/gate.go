package queue

import (
	"slices"
	"sync"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
)

const (
	// maxWaiting is how many rings a full endpoint keeps in memory. More are forgotten, and cost RingWindow each.
	maxWaiting = 4_096
	// enoughWaiting is where the feeder stops to bring more, so that rows of a hanging endpoint are not rung in vain.
	enoughWaiting = 256
	// slowAfter makes an endpoint slow, quickBelow quick again. Between the two it stays what it is.
	slowAfter  = 3 * time.Second
	quickBelow = time.Second
)

// gate bounds how many requests to one endpoint are in flight in this worker, and knows which endpoints are slow. A ring
// for a full endpoint waits here, not in a handler, so that it takes nothing from the others.
type gate struct {
	limit int

	mu        sync.Mutex
	endpoints map[id.Endpoint]*door
}

type door struct {
	inside  map[id.Delivery]bool // in flight
	slow    bool
	waiting []delivery.Due
	waits   map[id.Delivery]bool // those of waiting
}

func newGate(limit int) *gate {
	return &gate{limit: limit, endpoints: map[id.Endpoint]*door{}}
}

func (g *gate) door(e id.Endpoint) *door {
	d := g.endpoints[e]
	if d == nil {
		d = &door{inside: map[id.Delivery]bool{}, waits: map[id.Delivery]bool{}}
		g.endpoints[e] = d
	}
	return d
}

// enter reports whether the delivery may be sent now. Otherwise it waits for a leave, or, if too many wait already or it
// is here twice, is forgotten: the feeder brings it again. One that waits is let in like any other when there is room:
// the ring that was to call it may be lost, or served by another worker.
func (g *gate) enter(due delivery.Due) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(due.EndpointID)
	switch {
	case d.inside[due.DeliveryID]:
		return false
	case len(d.inside) < g.limit:
		if d.waits[due.DeliveryID] {
			delete(d.waits, due.DeliveryID)
			d.waiting = slices.DeleteFunc(d.waiting, func(w delivery.Due) bool { return w.DeliveryID == due.DeliveryID })
		}
		d.inside[due.DeliveryID] = true
		return true
	case !d.waits[due.DeliveryID] && len(d.waiting) < maxWaiting:
		d.waits[due.DeliveryID] = true
		d.waiting = append(d.waiting, due)
	}
	return false
}

// leave notes how the attempt went and returns the ring that may go next, if one waits.
func (g *gate) leave(due delivery.Due, sent delivery.Sent) (delivery.Due, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(due.EndpointID)
	delete(d.inside, due.DeliveryID)
	if sent.Claimed {
		switch {
		case sent.Duration >= slowAfter:
			d.slow = true
		case sent.Duration < quickBelow:
			d.slow = false
		}
	}
	if len(d.waiting) > 0 {
		return d.call(), true
	}
	if len(d.inside) == 0 && !d.slow {
		delete(g.endpoints, due.EndpointID)
	}
	return delivery.Due{}, false
}

// call takes the ring that waited longest.
func (d *door) call() delivery.Due {
	next := d.waiting[0]
	d.waiting = d.waiting[1:]
	delete(d.waits, next.DeliveryID)
	return next
}

// stranded takes the rings that wait although there is room: what leave called went through Redis, where it may have been
// lost or served by another worker, and nobody is left inside to call the next.
func (g *gate) stranded() []delivery.Due {
	g.mu.Lock()
	defer g.mu.Unlock()
	var called []delivery.Due
	for _, d := range g.endpoints {
		for room := g.limit - len(d.inside); room > 0 && len(d.waiting) > 0; room-- {
			called = append(called, d.call())
		}
	}
	return called
}

// isSlow reports whether the endpoint belongs into the slow lane.
func (g *gate) isSlow(e id.Endpoint) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.endpoints[e]
	return d != nil && d.slow
}

// full returns the endpoints that have rings enough.
func (g *gate) full() []id.Endpoint {
	g.mu.Lock()
	defer g.mu.Unlock()
	var full []id.Endpoint
	for e, d := range g.endpoints {
		if len(d.waiting) >= enoughWaiting {
			full = append(full, e)
		}
	}
	return full
}
