package verification_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/id"
)

// drawDelivery draws any delivery, most likely one that a rule has something to say about.
func (h *history) drawDelivery(preferred func(d *deliveryRow) bool) *deliveryRow {
	var likely []*deliveryRow
	all := make([]*deliveryRow, len(h.now.deliveries))
	for i := range h.now.deliveries {
		all[i] = &h.now.deliveries[i]
		if preferred(all[i]) {
			likely = append(likely, all[i])
		}
	}
	switch {
	case len(all) == 0:
		return nil
	case len(likely) > 0 && rapid.IntRange(0, 7).Draw(h.t, "any delivery") < 7:
		return pick(h, "delivery", likely)
	}
	return pick(h, "delivery", all)
}

// requeueRefusal is contract section 7.10: "" when the delivery can be made due now.
func (s *snapshot) requeueRefusal(d *deliveryRow) string {
	switch {
	case d.Status == "delivering":
		return fault.CodeConflict
	case d.Status == "succeeded" || d.Payload == nil || !d.Expires.After(s.at):
		return fault.CodePayloadExpired
	case !s.sendable(d.Endpoint):
		return fault.CodeConflict
	}
	return ""
}

// requeued expects a delivery to be due now, in its present run or, after a failure, in a new one.
func (c *check) requeued(d0 *deliveryRow) {
	name, d1 := c.h.name(c.after, d0), c.after.byID[d0.ID]
	c.wants(d1.Status == "pending" && d1.Next != nil && d1.Next.Equal(c.after.at), "INV-15: %s is not due after a retry", name)
	run, count, expires := d0.Run, d0.Count, *d0.Expires
	if d0.Status == "failed" {
		run, count = run+1, 0
		hours := time.Duration(c.before.endpoint[d0.Endpoint].Retention) * time.Hour
		if fresh := c.after.at.Add(delivery.Window()).Add(hours); fresh.After(expires) {
			expires = fresh
		}
	}
	c.wants(d1.Run == run && d1.Count == count, "%s is in run %d with %d attempts after a retry, not in run %d with %d", name, d1.Run, d1.Count, run, count)
	c.wants(d1.Expires != nil && d1.Expires.Equal(expires), "INV-14: %s keeps its payload for another time than the new run's", name)
}

func (h *history) drawRetry() (op, bool) {
	d := h.drawDelivery(func(d *deliveryRow) bool { return d.Payload != nil })
	if d == nil {
		return op{}, false
	}
	return op{text: fmt.Sprintf("retry(%s)", h.name(h.now, d)), do: func() error {
		_, err := h.deliveries.Retry(h.shard.t.Context(), h.owner, id.Delivery{UUID: d.ID})
		return err
	}, expect: func(c *check, err error) {
		if code := c.before.requeueRefusal(d); code != "" {
			c.refused(err, code)
			return
		}
		c.wants(err == nil, "%s cannot be retried", h.name(c.after, d))
		c.requeued(d)
	}}, true
}

func (h *history) drawReplay() (op, bool) {
	d := h.drawDelivery(func(d *deliveryRow) bool { return d.Payload != nil })
	if d == nil {
		return op{}, false
	}
	return op{text: fmt.Sprintf("replay(the event of %s)", h.name(h.now, d)), do: func() error {
		_, err := h.deliveries.Replay(h.shard.t.Context(), h.owner, id.Event{UUID: d.Event})
		return err
	}, expect: func(c *check, err error) {
		refusals, all := map[string]int{}, 0
		for i := range c.before.deliveries {
			d0 := &c.before.deliveries[i]
			if d0.Event != d.Event {
				continue
			}
			all++
			code := c.before.requeueRefusal(d0)
			refusals[code]++
			if code == "" {
				c.requeued(d0)
			}
		}
		switch {
		case refusals[""] > 0:
			c.wants(err == nil, "an event with a delivery that can be sent again cannot be replayed")
		case refusals[fault.CodePayloadExpired] == all:
			c.refused(err, fault.CodePayloadExpired)
		default:
			c.refused(err, fault.CodeConflict)
		}
	}}, true
}

func (h *history) drawTest() (op, bool) {
	e := pick(h, "endpoint", h.endpoints)
	return op{text: fmt.Sprintf("test(endpoint %d)", e.no), do: func() error {
		_, err := h.deliveries.SendTest(h.shard.t.Context(), h.owner, e.id)
		return err
	}, expect: func(c *check, err error) {
		if c.before.live(e.id.UUID) && !c.before.sendable(e.id.UUID) {
			c.refused(err, fault.CodeConflict)
			return
		}
		e.existing(func(c *check) {
			c.wants(len(c.after.events) == len(c.before.events)+1, "no test event")
		})(c, err)
	}}, true
}
