package verification_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

const sweepLimit = 10_000

func (h *history) drawClaim() (op, bool) {
	free := slices.IndexFunc(h.workers, func(w *worker) bool { return w.flight == nil && !h.engaged[w] })
	d := h.drawDelivery(h.now.claimable)
	if free < 0 || d == nil {
		return op{}, false
	}
	h.engaged[h.workers[free]] = true
	return h.claim(h.workers[free], d), true
}

// claim lets a worker take a delivery, if it may.
func (h *history) claim(w *worker, d *deliveryRow) op {
	var got stop
	return op{text: fmt.Sprintf("worker %d claims(%s)", w.no, h.name(h.now, d)), do: func() error {
		got = w.claim(h.shard.t.Context(), d.ID)
		return got.err
	}, apply: func() {
		if got.at != landed {
			w.flight = &flight{delivery: d.ID, endpoint: h.endpointOf(d.Endpoint), stage: got.at, claimed: h.clock.Now()}
		}
	}, expect: func(c *check, _ error) {
		d0, d1 := c.before.byID[d.ID], c.after.byID[d.ID]
		c.wants(!got.asked, "something was sent by a claim that only began")
		if !c.before.claimable(d0) {
			c.wants(got.at == landed, "%s was claimed and must not be", h.name(c.after, d1))
			c.unchanged("INV-15: a claim in vain")
			return
		}
		c.wants(d1.Status == "delivering" && d1.Token != nil && d1.Lease.Equal(c.after.at.Add(delivery.Lease)), "%s was not claimed", h.name(c.after, d1))
	}}
}

func (h *history) endpointOf(u uuid.UUID) *endpoint {
	return h.endpoints[slices.IndexFunc(h.endpoints, func(e *endpoint) bool { return e.id.UUID == u })]
}

// board fills in what is known of a flight only after the step in which it began.
func (h *history) board() {
	for _, w := range h.workers {
		if f := w.flight; f != nil && f.wires == nil {
			f.wires = []wire{f.endpoint.former, f.endpoint.wire}
			if d := h.now.byID[f.delivery]; d.Token != nil {
				f.token = *d.Token
			}
		}
	}
}

func (h *history) drawGoOn() (op, bool) {
	var busy []*worker
	for _, w := range h.workers {
		if w.flight != nil && !h.engaged[w] {
			busy = append(busy, w)
		}
	}
	if len(busy) == 0 {
		return op{}, false
	}
	w := pick(h, "worker", busy)
	var a answer
	if w.flight.stage == duringSend {
		a = pick(h, "answer", answers)
	}
	h.engaged[w] = true
	return h.goOn(w, a), true
}

// goOn lets a worker run to its next stop.
func (h *history) goOn(w *worker, a answer) op {
	f, was := w.flight, w.flight.stage
	text := fmt.Sprintf("worker %d goes on to %s", w.no, was)
	if was == duringSend {
		text = fmt.Sprintf("worker %d is answered: %s", w.no, a.name)
	}
	var got stop
	return op{text: text, do: func() error {
		if was == beforeCheck {
			f.checked = h.clock.Now()
		}
		got = w.proceed(a)
		return got.err
	}, apply: func() {
		f.stage = got.at
		if was == duringSend {
			f.answer = a
			f.ended = f.checked.Add(min(h.clock.Now().Sub(f.checked), delivery.HTTPTimeout))
		}
		if got.at == landed {
			w.flight = nil
		}
	}, expect: func(c *check, _ error) {
		d0, name := c.before.byID[f.delivery], h.name(c.after, c.after.byID[f.delivery])
		late := d0.Token == nil || *d0.Token != f.token
		switch {
		case was == beforeCheck:
			c.checked(f, d0, got, late)
		case late:
			c.unchanged("INV-8: the late result of " + name)
			c.wants(got.at == landed, "the late result of %s goes on to %s", name, got.at)
		case was == duringSend && d0.Withdrawn != nil:
			c.unchanged("INV-18: the result of " + name + ", before its settlement,")
			c.wants(got.at == beforeSettle, "the result of withdrawn %s goes on to %s", name, got.at)
		default:
			c.wants(got.at == landed, "%s goes on to %s", name, got.at)
			c.recorded(f, d0, f.answer)
		}
	}}
}

// checked expects what the pre-send check decides (contract section 7.6 step 3).
func (c *check) checked(f *flight, d0 *deliveryRow, got stop, late bool) {
	name, d1 := c.h.name(c.after, d0), c.after.byID[d0.ID]
	age := f.checked.Sub(f.claimed)
	switch {
	case age > delivery.Lease-delivery.HTTPTimeout || late && age >= 250*time.Millisecond:
		c.unchanged("a worker that stopped for want of a lease")
		c.wants(got.at == landed, "%s goes on to %s without its lease", name, got.at)
	case age < 250*time.Millisecond || d0.Withdrawn == nil && c.before.sendable(d0.Endpoint):
		c.wants(got.at == duringSend, "%s goes on to %s", name, got.at)
		c.unchanged("sending")
	case d0.Withdrawn != nil:
		c.wants(got.at == beforeSettle, "withdrawn %s goes on to %s", name, got.at)
		c.unchanged("INV-18: a worker that met a withdrawal, before its settlement,")
	case !c.before.live(d0.Endpoint):
		c.wants(d1.Status == "failed" && d1.Reason == string(delivery.EndpointDeleted) && len(c.after.attempts) == len(c.before.attempts), "INV-34: %s was not ended before sending", name)
	default:
		// Not sent: no attempt is used, and what is past its time need not wait for the sweep.
		c.wants(d1.Next == nil && d1.Count == d0.Count && len(c.after.attempts) == len(c.before.attempts)+1, "INV-30: %s was not parked before sending", name)
		c.wants(d1.Status == "pending" || !d0.Expires.After(c.after.at), "%s became %s before sending", name, d1.Status)
	}
}

// recorded expects what a result leaves behind (contract sections 7.6, 7.7, 7.9 and 4.5).
func (c *check) recorded(f *flight, d0 *deliveryRow, a answer) {
	name, d1 := c.h.name(c.after, d0), c.after.byID[d0.ID]
	if d0.Withdrawn != nil {
		sent := !f.ended.IsZero()
		c.wants((d1.Status == "succeeded") == (sent && a.kind == "") && d1.Status != "delivering", "INV-18: %s was answered %s and settled as %s", name, a.name, d1.Status)
		return
	}
	if a.kind == "" {
		c.wants(d1.Status == "succeeded", "%s was answered %s and is %s", name, a.name, d1.Status)
		return
	}
	c.wants(d1.Count == d0.Count+1 && d1.LastStatus == a.status && d1.LastAttempt.Equal(f.checked), "%s: the failed attempt is not counted", name)
	switch {
	case !c.before.live(d0.Endpoint):
		c.wants(d1.Status == "failed" && d1.Reason == string(delivery.EndpointDeleted), "INV-34: %s is %s (%s) at a deleted endpoint", name, d1.Status, d1.Reason)
	case d1.Count == delivery.AttemptsPerRun:
		hours := c.before.endpoint[d0.Endpoint].Retention
		c.wants(d1.Status == "failed" && (d1.Payload != nil) == (hours > 0), "%s is %s after its last attempt, with payload: %t", name, d1.Status, d1.Payload != nil)
		c.wants(hours == 0 || d1.Expires.Equal(c.after.at.Add(time.Duration(hours)*time.Hour)), "%s keeps its payload for another time than its endpoint's", name)
	case !c.before.sendable(d0.Endpoint):
		c.wants(d1.Status == "pending" && d1.Next == nil, "INV-10: %s is not parked", name)
	default:
		c.wants(d1.Status == "pending" && d1.Next != nil, "%s is not tried again", name)
		delay := delivery.RetryDelays()[d0.Count]
		least, most := f.ended.Add(delay), f.ended.Add(delay)
		if d1.Count > 1 {
			most = most.Add(delay / 10)
		}
		if a.retryAfter > 0 {
			asked := f.ended.Add(a.retryAfter)
			if a.asDate {
				asked = c.after.at.Add(a.retryAfter).Truncate(time.Second)
			}
			least, most = earlier(later(least, asked), least.Add(time.Hour)), earlier(later(most, asked), most.Add(time.Hour))
		}
		c.wants(!d1.Next.Before(least) && !d1.Next.After(most), "%s is not tried again when it should be", name)
		c.wants(!d1.Expires.Before(d1.Next.Add(delivery.ScheduleSlack)) && !d1.Expires.Before(*d0.Expires), "INV-14: %s may lose its payload before the next attempt", name)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func (h *history) sweepLeases() op {
	return op{text: "sweep leases", do: func() error {
		_, err := h.deliveries.SweepLeases(h.shard.t.Context(), sweepLimit)
		return err
	}, expect: func(c *check, _ error) {
		for i := range c.before.deliveries {
			d0 := &c.before.deliveries[i]
			d1, name := c.after.byID[d0.ID], h.name(c.after, d0)
			if d0.Status != "delivering" || d0.Lease.After(c.before.at) {
				// A settlement may touch other deliveries of the session only by replacing them.
				c.wants(reflect.DeepEqual(d0, d1), "sweeping leases changed %s, which is %s", name, d0.Status)
				continue
			}
			c.wants(len(c.after.tried[d0.ID]) == len(c.before.tried[d0.ID])+1, "INV-7: %s has no attempt of its lost worker", name)
			switch {
			case d0.Withdrawn != nil:
				c.wants(d1.Status == "failed" && d1.Reason == string(delivery.PrivacyRequest), "INV-18: %s is %s (%s) after its worker was lost", name, d1.Status, d1.Reason)
			case !c.before.live(d0.Endpoint):
				c.wants(d1.Status == "failed" && d1.Reason == string(delivery.EndpointDeleted), "INV-34: %s is %s (%s) after its worker was lost", name, d1.Status, d1.Reason)
			case !d0.Expires.After(c.before.at):
				c.wants(d1.Status == "failed" && d1.Reason == string(delivery.Expired), "%s is %s (%s) after its worker was lost", name, d1.Status, d1.Reason)
			case d1.Count == delivery.AttemptsPerRun:
				c.wants(d1.Status == "failed", "%s is %s after its last attempt", name, d1.Status)
			case !c.before.sendable(d0.Endpoint):
				c.wants(d1.Status == "pending" && d1.Next == nil, "%s is not parked after its worker was lost", name)
			case d1.Count == d0.Count:
				c.wants(d1.Status == "pending" && d1.Next != nil && d1.Next.Equal(c.after.at), "INV-7: %s is not due after its worker was lost", name)
			}
		}
	}}
}

func (h *history) sweepPayloads() op {
	return op{text: "sweep payloads", do: func() error {
		_, err := h.deliveries.SweepPayloads(h.shard.t.Context(), sweepLimit)
		return err
	}, expect: func(c *check, _ error) {
		for i := range c.before.deliveries {
			d0 := &c.before.deliveries[i]
			d1, name := c.after.byID[d0.ID], h.name(c.after, d0)
			if d0.Status == "delivering" || d0.Payload == nil || d0.Expires.After(c.before.at) {
				c.wants(reflect.DeepEqual(d0, d1), "INV-13: sweeping payloads changed %s, which is %s", name, d0.Status)
				continue
			}
			c.wants(d1.Status == "failed" && d1.Payload == nil && d1.Reason == string(delivery.Expired), "INV-13: %s is %s (%s) past its expiry", name, d1.Status, d1.Reason)
		}
	}}
}

func (h *history) expireSessions() op {
	return op{text: "expire sessions", do: func() error {
		_, err := h.sessions.ExpireOverdue(h.shard.t.Context(), sweepLimit)
		return err
	}, expect: func(c *check, _ error) {
		for _, s := range c.after.sessions {
			c.wants(s.Completed != nil || s.Expires.After(c.after.at), "INV-5: session %d is %s past its deadline", h.numberOf(s.ID), s.Status)
		}
	}}
}

// findDue expects the feeder to find exactly the endpoints where a delivery is due that was not rung for lately.
func (h *history) findDue() op {
	var found []id.Endpoint
	return op{text: "find due", do: func() (err error) {
		found, err = h.deliveries.DueEndpoints(h.shard.t.Context(), sweepLimit, nil)
		return err
	}, expect: func(c *check, _ error) {
		c.unchanged("looking for what is due")
		for _, e := range h.endpoints {
			due := slices.ContainsFunc(c.before.deliveries, func(d deliveryRow) bool {
				return d.Endpoint == e.id.UUID && c.before.claimable(&d) && (d.Rung == nil || !d.Rung.After(c.before.at.Add(-delivery.RingWindow)))
			})
			c.wants(due == slices.Contains(found, e.id), "INV-6: something is due at endpoint %d: %t, it was found: %t", e.no, due, !due)
		}
	}}
}

func (h *history) eraseSecrets() op {
	return op{text: "erase secrets", do: func() error {
		return h.db.InTx(h.shard.t.Context(), func(tx *postgres.Tx) error {
			_, err := webhook.EraseExpiredSecrets(tx)
			return err
		})
	}, expect: func(c *check, _ error) {
		for _, e := range c.after.endpoints {
			c.wants(e.PreviousExpires == nil || e.PreviousExpires.After(c.after.at), "INV-29: a previous secret outlived its overlap")
		}
	}}
}

func (h *history) drawBurst() (op, bool) {
	// Two bursts would not queue behind a lock of Postgres but behind each other: they share a worker.
	if !h.anyDue() || h.engaged[nil] {
		return op{}, false
	}
	h.engaged[nil] = true
	return h.burst(pick(h, "answer", answers), pick(h, "first endpoint's answer", answers), false), true
}

func (h *history) anyDue() bool {
	return slices.ContainsFunc(h.now.deliveries, func(d deliveryRow) bool { return h.now.claimable(&d) })
}

// burst delivers everything that is due at once, through one worker: by id, as a crowd of tasks does, or by endpoint, as drains do.
func (h *history) burst(a, first answer, drained bool) op {
	due := slices.DeleteFunc(slices.Clone(h.now.deliveries), func(d deliveryRow) bool { return !h.now.claimable(&d) })
	answered := func(d deliveryRow) answer {
		if d.Endpoint == h.endpoints[0].id.UUID {
			return first
		}
		return a
	}
	return op{text: fmt.Sprintf("deliver %d, answered: %s, by endpoint 1: %s", len(due), a.name, first.name), do: func() error {
		clear(h.post.answers)
		for _, d := range due {
			h.post.answers[d.ID] = answered(d)
		}
		if drained {
			sent, err := h.deliveries.DeliverDue(h.shard.t.Context(), 3)
			if err == nil && sent != len(due) {
				err = fmt.Errorf("%d of %d due deliveries were found", sent, len(due))
			}
			return err
		}
		errs := make([]error, len(due))
		var all sync.WaitGroup
		for i, d := range due {
			all.Go(func() {
				errs[i] = deliverOne(h.shard.t.Context(), h.deliveries, id.Delivery{UUID: d.ID}, func(delivery.Sent) {})
			})
		}
		all.Wait()
		return errors.Join(errs...)
	}, expect: func(c *check, _ error) {
		for i := range due {
			c.recorded(&flight{checked: c.before.at, ended: c.before.at}, &due[i], answered(due[i]))
		}
	}}
}

func (h *history) drawWait() {
	durations := []time.Duration{
		0, 300 * time.Millisecond, 3 * time.Second, 16 * time.Second, 31 * time.Second, 6 * time.Minute, 61 * time.Minute, 11 * time.Hour, 30 * time.Hour, 8 * 24 * time.Hour,
	}
	d := pick(h, "duration", durations)
	if at, ok := h.nextDue(); d == 0 && ok {
		d = at.Sub(h.clock.Now())
	}
	h.wait(d)
}

// wait moves the clock. Nothing is read again: nothing has changed but the time.
func (h *history) wait(d time.Duration) {
	h.clock.Advance(d)
	h.now.at = h.clock.Now()
	h.note("wait "+d.Round(time.Second).String(), nil)
}

// nextDue is when the next scheduled attempt is, if there is one to come.
func (h *history) nextDue() (time.Time, bool) {
	var at time.Time
	for _, d := range h.now.deliveries {
		if d.Next != nil && d.Next.After(h.clock.Now()) && (at.IsZero() || d.Next.Before(at)) {
			at = *d.Next
		}
	}
	return at, !at.IsZero()
}

// outage lets everything fail for some rounds of the schedule.
func (h *history) outage() {
	a := pick(h, "answer", answers[1:])
	for range pick(h, "rounds", []int{8, 1, 3}) {
		if at, ok := h.nextDue(); ok {
			h.wait(at.Sub(h.clock.Now()))
		}
		if !h.anyDue() {
			return
		}
		h.run(h.burst(a, a, rapid.Bool().Draw(h.t, "drained")))
	}
}

// loseWorker lets every lease run out; the workers may still come back, too late.
func (h *history) loseWorker() {
	if !slices.ContainsFunc(h.now.deliveries, func(d deliveryRow) bool { return d.Status == "delivering" }) {
		h.t.Skip("nothing is in flight")
	}
	h.wait(delivery.Lease)
	h.run(h.sweepLeases())
}

// loseWorkers lets one delivery bring down worker after worker.
func (h *history) loseWorkers() {
	free := slices.IndexFunc(h.workers, func(w *worker) bool { return w.flight == nil })
	d := h.drawDelivery(h.now.claimable)
	if free < 0 || d == nil {
		h.t.Skip("nothing to do it to")
	}
	w := h.workers[free]
	for range pick(h, "rounds", []int{4, 2}) {
		h.run(h.claim(w, h.now.byID[d.ID]))
		h.wait(delivery.Lease)
		h.run(h.sweepLeases())
		for w.flight != nil {
			h.run(h.goOn(w, answers[0]))
		}
	}
}
