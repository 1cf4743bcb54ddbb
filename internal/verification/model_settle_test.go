package verification_test

import (
	"context"
	"slices"
	"time"

	"pgregory.net/rapid"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/verification"
)

// settle ends a history: receivers answer, time passes, sweeps run, until nothing is left to do. Then every delivery must
// have come to an end, and every endpoint that was always there must have heard of every session.
func (h *history) settle() {
	ok := answers[0]
	if rapid.Bool().Draw(h.t, "workers die") {
		h.wait(delivery.Lease)
		h.run(h.sweepLeases())
	}
	for _, w := range h.workers {
		for w.flight != nil {
			h.run(h.goOn(w, ok))
		}
	}
	h.wait(verification.TTL)
	h.run(h.expireSessions())
	h.drain(ok)
	for _, d := range h.now.deliveries {
		if d.Status == "delivering" || d.Status == "pending" && h.now.sendable(d.Endpoint) {
			h.t.Fatalf("%s is %s for ever", h.name(h.now, &d), d.Status)
		}
	}
	for _, e := range h.endpoints {
		if row := h.now.endpoint[e.id.UUID]; row.Deleted == nil && !row.Enabled {
			h.run(h.enable(e, true))
		}
	}
	h.drain(ok)
	h.run(h.sweepPayloads())
	h.everythingEnded()
	h.everyoneHeard()
	h.rollupsAddUp()
}

// drain works until nothing is scheduled and nothing in flight.
func (h *history) drain(a answer) {
	for range 50 {
		inFlight := slices.ContainsFunc(h.now.deliveries, func(d deliveryRow) bool { return d.Status == "delivering" })
		at, scheduled := h.nextDue()
		stale := slices.ContainsFunc(h.now.deliveries, func(d deliveryRow) bool { return d.Status == "pending" && !d.Expires.After(h.clock.Now()) })
		switch {
		case h.anyDue():
			h.run(h.burst(a, a, true))
		case stale:
			h.run(h.sweepPayloads())
		case inFlight:
			h.wait(delivery.Lease)
			h.run(h.sweepLeases())
		case scheduled:
			h.wait(at.Sub(h.clock.Now()))
		default:
			return
		}
	}
	h.t.Fatalf("there is still something to do after 50 rounds")
}

func (h *history) everythingEnded() {
	for _, d := range h.now.deliveries {
		if d.Status != "succeeded" && d.Status != "failed" {
			h.t.Fatalf("%s is %s in the end", h.name(h.now, &d), d.Status)
		}
	}
	for _, s := range h.now.sessions {
		if s.Completed == nil {
			h.t.Fatalf("session %d is %s in the end", h.numberOf(s.ID), s.Status)
		}
	}
}

// everyoneHeard wants of each endpoint that was never touched: of each session's webhooks, one was received, or one used
// all its attempts or all its time; those before it were withdrawn.
func (h *history) everyoneHeard() {
	for _, e := range h.endpoints {
		if !e.steady {
			continue
		}
		for _, s := range h.now.sessions {
			original := h.now.original[s.ID]
			if routeTo(original, e.id.UUID).Endpoint != e.id || len(s.Targets) > 0 && !slices.Contains(s.Targets, e.id.UUID) {
				continue
			}
			heard := 0
			for _, d := range h.now.deliveries {
				if d.Endpoint != e.id.UUID || h.now.event[d.Event].Trigger != s.ID || d.Reason == string(delivery.PrivacyRequest) {
					continue
				}
				heard++
				if d.Status != "succeeded" && d.Reason != string(delivery.Expired) && d.Count != delivery.AttemptsPerRun {
					h.t.Fatalf("%s ended as %s (%s) for no reason", h.name(h.now, &d), d.Status, d.Reason)
				}
			}
			if heard != 1 {
				h.t.Fatalf("endpoint %d has %d webhooks that stand for session %d, routed as %+v and replaced as %+v", e.no, heard, h.numberOf(s.ID),
					routeTo(original, e.id.UUID), h.now.replacement[original.ID])
			}
		}
	}
}

// rollupsAddUp compares the statistics with the rows they were made from.
func (h *history) rollupsAddUp() {
	var attempts, succeeded int
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.shard.t.Context()), time.Minute)
	defer cancel()
	err := h.rows.QueryRow(ctx, "SELECT coalesce(sum(attempts), 0), coalesce(sum(succeeded), 0) FROM delivery_rollups WHERE organization_id = $1", h.org.UUID).Scan(&attempts, &succeeded)
	if err != nil {
		h.t.Fatalf("read the roll-ups: %v", err)
	}
	received := 0
	for _, d := range h.now.deliveries {
		if d.Status == "succeeded" {
			received++
		}
	}
	if attempts != len(h.now.attempts) || succeeded != received {
		h.t.Fatalf("roll-ups count %d attempts and %d received, there are %d and %d", attempts, succeeded, len(h.now.attempts), received)
	}
}
