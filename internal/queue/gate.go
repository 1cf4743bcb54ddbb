package queue

import (
	"sync"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
)

const (
	// maxWaiting is how many rings a full endpoint keeps in memory.
	maxWaiting = 256
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
	inFlight int
	slow     bool
	waiting  []delivery.Due
	known    map[id.Delivery]bool // in flight or waiting
}

func newGate(limit int) *gate {
	return &gate{limit: limit, endpoints: map[id.Endpoint]*door{}}
}

func (g *gate) door(e id.Endpoint) *door {
	d := g.endpoints[e]
	if d == nil {
		d = &door{known: map[id.Delivery]bool{}}
		g.endpoints[e] = d
	}
	return d
}

// enter reports whether the delivery may be sent now. Otherwise it waits for a leave, or, if too many wait already or it
// is here twice, is forgotten: the feeder brings it again.
func (g *gate) enter(due delivery.Due) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(due.EndpointID)
	switch {
	case d.known[due.DeliveryID]:
		return false
	case d.inFlight < g.limit:
		d.inFlight++
		d.known[due.DeliveryID] = true
		return true
	case len(d.waiting) < maxWaiting:
		d.waiting = append(d.waiting, due)
		d.known[due.DeliveryID] = true
	}
	return false
}

// leave notes how the attempt went and returns the ring that may go next, if one waits.
func (g *gate) leave(due delivery.Due, sent delivery.Sent) (delivery.Due, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.door(due.EndpointID)
	d.inFlight--
	delete(d.known, due.DeliveryID)
	if sent.Claimed {
		switch {
		case sent.Duration >= slowAfter:
			d.slow = true
		case sent.Duration < quickBelow:
			d.slow = false
		}
	}
	if len(d.waiting) > 0 {
		next := d.waiting[0]
		d.waiting = d.waiting[1:]
		delete(d.known, next.DeliveryID)
		return next, true
	}
	if d.inFlight == 0 && !d.slow {
		delete(g.endpoints, due.EndpointID)
	}
	return delivery.Due{}, false
}

// isSlow reports whether the endpoint belongs into the slow lane.
func (g *gate) isSlow(e id.Endpoint) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.endpoints[e]
	return d != nil && d.slow
}

// full returns the endpoints for which no further ring would be kept.
func (g *gate) full() []id.Endpoint {
	g.mu.Lock()
	defer g.mu.Unlock()
	var full []id.Endpoint
	for e, d := range g.endpoints {
		if len(d.waiting) >= maxWaiting {
			full = append(full, e)
		}
	}
	return full
}
