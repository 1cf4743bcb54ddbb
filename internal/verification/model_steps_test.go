package verification_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

// draw makes one random operation; false when there is nothing to do it to.
type draw func(h *history) (op, bool)

// choice is something that can happen, how often, and whether it may race with something else.
type choice struct {
	name   string
	weight int
	races  bool
	draw   draw
}

// choices are what can happen. Those that rapid prefers when it shortens come first.
var choices = []choice{
	{"succeed", 4, true, (*history).drawSuccess},
	{"fail a check", 3, true, (*history).drawFailure},
	{"start", 1, true, (*history).drawStart},
	{"cancel", 1, true, (*history).drawCancel},
	{"redeem", 5, true, (*history).drawRedeem},
	{"switch endpoint", 2, true, (*history).drawToggle},
	{"delete endpoint", 1, true, (*history).drawRemove},
	{"change endpoint", 1, true, (*history).drawChange},
	{"add key", 1, true, (*history).drawAddKey},
	{"switch key", 1, true, (*history).drawSwitchKey},
	{"rotate", 1, true, (*history).drawRotate},
	{"retry", 3, true, (*history).drawRetry},
	{"replay", 1, true, (*history).drawReplay},
	{"test", 1, true, (*history).drawTest},
	{"claim", 8, true, (*history).drawClaim},
	{"go on", 12, true, (*history).drawGoOn},
	{"sweep leases", 2, true, func(h *history) (op, bool) { return h.sweepLeases(), true }},
	{"sweep payloads", 1, true, func(h *history) (op, bool) { return h.sweepPayloads(), true }},
	{"expire sessions", 1, true, func(h *history) (op, bool) { return h.expireSessions(), true }},
	{"burst", 3, true, (*history).drawBurst},
	{"open session", 3, false, (*history).drawSession},
	{"add endpoint", 1, false, (*history).drawEndpoint},
	{"find due", 1, false, func(h *history) (op, bool) { return h.findDue(), true }},
	{"erase secrets", 1, false, func(h *history) (op, bool) { return h.eraseSecrets(), true }},
}

// actions are the choices as rapid wants them: as often as their weight, under different names.
func (h *history) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){}
	add := func(name string, weight int, do func(*rapid.T)) {
		for n := range weight {
			actions[name+strings.Repeat(" ", n)] = do
		}
	}
	for _, c := range choices {
		add(c.name, c.weight, func(t *rapid.T) {
			o, ok := c.draw(h)
			if !ok {
				t.Skip("nothing to do it to")
			}
			h.run(o)
		})
	}
	add("wait", 6, func(*rapid.T) { h.drawWait() })
	add("race", 4, func(*rapid.T) { h.race((*history).anyRacer, (*history).anyRacer) })
	add("race a result", 4, func(*rapid.T) { h.race((*history).drawGoOn, (*history).anyRacer) })
	add("race for a result", 2, func(*rapid.T) { h.race((*history).anyRacer, (*history).drawGoOn) })
	add("outage", 1, func(*rapid.T) { h.outage() })
	add("lose worker", 2, func(*rapid.T) { h.loseWorker() })
	add("lose workers", 1, func(*rapid.T) { h.loseWorkers() })
	return actions
}

// pick draws one of the elements; rapid prefers the first ones when it shortens.
func pick[T any](h *history, what string, of []T) T {
	return of[rapid.IntRange(0, len(of)-1).Draw(h.t, what)]
}

func codeOf(err error) string {
	if refusal, ok := fault.As(err); ok {
		return refusal.Code
	}
	return ""
}

// refused wants the operation to have been refused with a code, changing nothing.
func (c *check) refused(err error, code string) {
	c.wants(codeOf(err) == code, "refused with %q, not with %q", codeOf(err), code)
	c.unchanged("a refused operation")
}

func (h *history) drawSession() (op, bool) {
	var targets []*endpoint
	if len(h.endpoints) > 0 && rapid.IntRange(0, 3).Draw(h.t, "targeted") == 3 {
		targets = append(targets, pick(h, "target", h.endpoints), pick(h, "target", h.endpoints))
	}
	return h.openSession(targets), true
}

func (h *history) openSession(targets []*endpoint) op {
	var in verification.NewSession
	text := fmt.Sprintf("open session %d", len(h.opened)+1)
	for _, e := range targets {
		in.Targets = append(in.Targets, e.id.String())
		text += fmt.Sprintf(" for endpoint %d", e.no)
	}
	var s session
	return op{text: text, do: func() error {
		opened, token, err := h.sessions.Create(h.shard.t.Context(), h.engine, in)
		s.id, s.token = opened.ID, token
		return err
	}, apply: func() {
		s.no = len(h.opened) + 1
		h.opened = append(h.opened, &s)
	}, expect: func(c *check, err error) {
		if slices.ContainsFunc(targets, func(e *endpoint) bool { return !c.before.sendable(e.id.UUID) }) {
			c.refused(err, fault.CodeEndpointUnavailable)
		} else {
			c.wants(err == nil, "a session was refused")
		}
	}}
}

// transition expects what contract section 4.1 says of an operation on a session; next is what it makes of an active one.
func (s *session) transition(next func(s0 *sessionRow) string) func(c *check, err error) {
	return func(c *check, err error) {
		s0, s1 := c.before.bySession[s.id.UUID], c.after.bySession[s.id.UUID]
		active := s0.Status == "created" || s0.Status == "in_progress"
		switch {
		case active && s0.Expires.After(c.before.at):
			c.wants(err == nil && s1.Status == next(s0), "session %d became %s, not %s", s.no, s1.Status, next(s0))
		case active:
			c.wants(codeOf(err) == fault.CodeSessionExpired && s1.Status == "expired", "INV-5: overdue session %d became %s", s.no, s1.Status)
		case s0.Status == "expired":
			c.refused(err, fault.CodeSessionExpired)
		default:
			c.refused(err, fault.CodeSessionNotActive)
		}
	}
}

func (h *history) drawStart() (op, bool) {
	s := pick(h, "session", h.opened)
	return op{text: fmt.Sprintf("start(session %d)", s.no), do: func() error {
		_, err := h.sessions.Start(h.shard.t.Context(), h.engine, s.id)
		return err
	}, expect: s.transition(func(*sessionRow) string { return "in_progress" })}, true
}

func (h *history) drawFailure() (op, bool) {
	s, code := pick(h, "session", h.opened), pick(h, "code", []verification.FailureCode{
		verification.DocumentAntiCloningAttestationFailed, verification.LivenessFailed, verification.DocumentChipAuthenticationFailed, verification.DocumentDataInvalid,
	})
	return op{text: fmt.Sprintf("fail(session %d, %s)", s.no, code), do: func() error {
		_, err := h.sessions.ReportFailure(h.shard.t.Context(), h.engine, s.id, code)
		return err
	}, expect: s.transition(func(s0 *sessionRow) string {
		if code == verification.DocumentAntiCloningAttestationFailed || code == verification.LivenessFailed && s0.Liveness == 2 ||
			code == verification.DocumentChipAuthenticationFailed && s0.NFC == 2 {
			return "failed"
		}
		return "in_progress"
	})}, true
}

// reporter stands for the one transaction at a time in which successes are reported.
var reporter = &worker{}

func (h *history) drawSuccess() (op, bool) {
	s := pick(h, "session", h.opened)
	// Two reports would not queue behind a lock of Postgres but behind each other: they share a transaction.
	if h.engaged[reporter] {
		return op{}, false
	}
	h.engaged[reporter] = true
	claims := map[string]json.RawMessage{"kayle_document_id": []byte(`"` + documentID + `"`)}
	return op{text: fmt.Sprintf("succeed(session %d)", s.no), do: func() error {
		_, err := h.sessions.ReportSuccess(h.shard.t.Context(), h.engine, s.id, claims, []string{"kayle_document_id"})
		return err
	}, expect: s.transition(func(*sessionRow) string { return "succeeded" })}, true
}

func (h *history) drawCancel() (op, bool) {
	s := pick(h, "session", h.opened)
	return op{text: fmt.Sprintf("cancel(session %d)", s.no), do: func() error {
		return h.sessions.Cancel(h.shard.t.Context(), h.engine, s.id)
	}, expect: s.closing(func(c *check, _ *sessionRow) { c.unchanged("cancelling a finished session") })}, true
}

// closing expects what cancelling does; finished judges what it did to a finished session.
func (s *session) closing(finished func(c *check, s0 *sessionRow)) func(c *check, err error) {
	return func(c *check, err error) {
		s0, s1 := c.before.bySession[s.id.UUID], c.after.bySession[s.id.UUID]
		c.wants(err == nil, "session %d: cancelling was refused", s.no)
		active := s0.Status == "created" || s0.Status == "in_progress"
		switch {
		case active && s0.Expires.After(c.before.at):
			c.wants(s1.Status == "cancelled", "session %d is %s, not cancelled", s.no, s1.Status)
		case active:
			c.wants(s1.Status == "expired", "INV-5: overdue session %d became %s", s.no, s1.Status)
		default:
			finished(c, s0)
		}
	}
}

func (h *history) drawRedeem() (op, bool) {
	s := pick(h, "session", h.opened)
	subject := access.Actor{Type: access.Subject}
	if rapid.IntRange(0, 7).Draw(h.t, "wrong token") == 7 {
		return op{text: fmt.Sprintf("redeem(session %d, wrong token)", s.no), do: func() error {
			return h.sessions.Redeem(h.shard.t.Context(), subject, s.id, strings.Repeat("x", verification.CancelLength))
		}, expect: func(c *check, err error) { c.refused(err, fault.CodeCancelTokenInvalid) }}, true
	}
	return op{text: fmt.Sprintf("redeem(session %d)", s.no), do: func() error {
		return h.sessions.Redeem(h.shard.t.Context(), subject, s.id, s.token)
	}, expect: s.closing(func(c *check, s0 *sessionRow) {
		switch {
		case s0.Consumed != nil:
			c.unchanged("INV-20: redeeming again")
		case s0.Status == "expired" || s0.Status == "cancelled":
			c.wants(reflect.DeepEqual(c.before.deliveries, c.after.deliveries), "INV-16: redeeming on session %d, which is %s, touched a delivery", s.no, s0.Status)
		}
	})}, true
}

func (h *history) drawEndpoint() (op, bool) {
	types := pick(h, "types", [][]string{nil, {"verification.session.cancelled"}, {"verification.session.succeeded", "verification.session.failed"}})
	hours := pick(h, "retention", webhook.RetentionOptions())
	return h.createEndpoint(rapid.Bool().Draw(h.t, "with key"), types, &hours), true
}

func (h *history) createEndpoint(keyed bool, types []string, hours *int) op {
	e := &endpoint{no: len(h.endpoints) + 1, steady: keyed && types == nil}
	e.wire.url = fmt.Sprintf("https://receiver.test/%d", e.no)
	return op{text: fmt.Sprintf("create endpoint %d, key %t, types %v", e.no, keyed, types), do: func() error {
		created, secret, err := h.webhooks.CreateEndpoint(h.shard.t.Context(), h.owner, webhook.NewEndpoint{URL: e.wire.url, EventTypes: types, RetentionHours: hours})
		if err != nil || !keyed {
			e.id, e.wire.secret = created.ID, secret
			return err
		}
		e.id, e.wire.secret = created.ID, secret
		key, err := h.webhooks.AddKey(h.shard.t.Context(), h.owner, e.id, publicKey("k1"))
		e.keys = append(e.keys, key.ID)
		return err
	}, apply: func() { h.endpoints = append(h.endpoints, e) }}
}

// existing expects that an operation on an endpoint is refused exactly if it is deleted.
func (e *endpoint) existing(then func(c *check)) func(c *check, err error) {
	return func(c *check, err error) {
		if !c.before.live(e.id.UUID) {
			c.refused(err, fault.CodeNotFound)
			return
		}
		c.wants(err == nil, "an operation on endpoint %d was refused", e.no)
		if then != nil {
			then(c)
		}
	}
}

func (h *history) drawToggle() (op, bool) {
	e := pick(h, "endpoint", h.endpoints)
	row := h.now.endpoint[e.id.UUID]
	on := !row.Enabled
	return h.enable(e, on), true
}

func (h *history) enable(e *endpoint, on bool) op {
	text := fmt.Sprintf("disable(endpoint %d)", e.no)
	if on {
		text = fmt.Sprintf("enable(endpoint %d)", e.no)
	}
	return op{text: text, do: func() error {
		_, err := h.webhooks.UpdateEndpoint(h.shard.t.Context(), h.owner, e.id, webhook.EndpointChange{Enabled: &on})
		return err
	}, apply: func() { e.steady = false }, expect: e.existing(func(c *check) {
		for _, d := range c.after.deliveries {
			d0 := c.before.byID[d.ID]
			if d.Endpoint != e.id.UUID {
				continue
			}
			c.wants(d.Count == d0.Count && d.Status == d0.Status, "INV-30: parking or resuming used an attempt")
			if on && !c.before.sendable(e.id.UUID) && d.Status == "pending" && d.Expires.After(c.after.at) {
				c.wants(d.Next != nil && d.Next.Equal(c.after.at), "INV-30: %s is not due after its endpoint was enabled", h.name(c.after, &d))
			}
		}
	})}
}

func (h *history) drawRemove() (op, bool) {
	e := pick(h, "endpoint", h.endpoints)
	return op{text: fmt.Sprintf("delete(endpoint %d)", e.no), do: func() error {
		return h.webhooks.DeleteEndpoint(h.shard.t.Context(), h.owner, e.id)
	}, apply: func() { e.steady = false }, expect: e.existing(func(c *check) {
		for _, d := range c.before.deliveries {
			d1 := c.after.byID[d.ID]
			if d.Endpoint == e.id.UUID && d.Status != "delivering" && d.Payload != nil {
				c.wants(d1.Status == "failed" && d1.Payload == nil && d1.Reason == string(delivery.EndpointDeleted), "INV-34: %s outlived its endpoint", h.name(c.after, d1))
			}
		}
	})}, true
}

func (h *history) drawChange() (op, bool) {
	e := pick(h, "endpoint", h.endpoints)
	var change webhook.EndpointChange
	var text string
	// Only what changes is noted: two changes may race.
	note := func() {}
	switch rapid.IntRange(0, 2).Draw(h.t, "change") {
	case 0:
		types := pick(h, "types", [][]string{{"verification.session.cancelled"}, {"verification.session.succeeded"}, {"verification.session.succeeded", "verification.session.failed", "verification.session.expired", "verification.session.cancelled"}})
		change.EventTypes, text, note = &types, fmt.Sprintf("types %v", types), func() { e.steady = false }
	case 1:
		hours := pick(h, "retention", webhook.RetentionOptions())
		change.RetentionHours, text = &hours, fmt.Sprintf("retention %d h", hours)
	case 2:
		url := e.wire.url + "/moved"
		change.URL, text, note = &url, "URL", func() { e.wire.url = url }
	}
	return op{text: fmt.Sprintf("change(endpoint %d, %s)", e.no, text), do: func() error {
		_, err := h.webhooks.UpdateEndpoint(h.shard.t.Context(), h.owner, e.id, change)
		return err
	}, apply: note, expect: e.existing(func(c *check) {
		c.wants(reflect.DeepEqual(c.before.deliveries, c.after.deliveries), "changing endpoint %d touched a delivery", e.no)
	})}, true
}

func (h *history) drawAddKey() (op, bool) {
	e := pick(h, "endpoint", h.endpoints)
	var key webhook.Key
	kid := fmt.Sprintf("k%d of step %d", len(e.keys)+1, h.step)
	return op{text: fmt.Sprintf("add key(endpoint %d)", e.no), do: func() (err error) {
		key, err = h.webhooks.AddKey(h.shard.t.Context(), h.owner, e.id, publicKey(kid))
		return err
	}, apply: func() { e.keys = append(e.keys, key.ID) }, expect: e.existing(func(c *check) {
		c.wants(c.after.active[e.id.UUID] == 1, "endpoint %d has no active key after one was added", e.no)
	})}, true
}

func (h *history) drawSwitchKey() (op, bool) {
	e := pick(h, "endpoint", h.endpoints)
	if len(e.keys) == 0 {
		return op{}, false
	}
	key, on := pick(h, "key", e.keys), rapid.Bool().Draw(h.t, "reactivate")
	text, change := "deactivate", h.webhooks.DeactivateKey
	if on {
		text, change = "reactivate", h.webhooks.ReactivateKey
	}
	return op{text: fmt.Sprintf("%s key %d(endpoint %d)", text, slices.Index(e.keys, key)+1, e.no), do: func() error {
		_, err := change(h.shard.t.Context(), h.owner, key)
		return err
	}, apply: func() { e.steady = false }, expect: e.existing(nil)}, true
}

func (h *history) drawRotate() (op, bool) {
	e := pick(h, "endpoint", h.endpoints)
	overlap, force := pick(h, "overlap", []int{0, 1, 24}), rapid.Bool().Draw(h.t, "force")
	var r webhook.Rotation
	return op{text: fmt.Sprintf("rotate(endpoint %d, overlap %d h, force %t)", e.no, overlap, force), do: func() (err error) {
		r, err = h.webhooks.RotateSecret(h.shard.t.Context(), h.owner, e.id, overlap, force)
		return err
	}, apply: func() {
		former := e.wire.secret
		e.wire.secret, e.wire.previous = r.Secret, ""
		if overlap > 0 {
			e.wire.previous, e.wire.previousUntil = former, h.clock.Now().Add(time.Duration(overlap)*time.Hour)
		}
	}, expect: func(c *check, err error) {
		row := c.before.endpoint[e.id.UUID]
		if row.Deleted == nil && row.PreviousExpires != nil && row.PreviousExpires.After(c.before.at) && !force {
			c.refused(err, fault.CodeConflict)
			return
		}
		e.existing(nil)(c, err)
	}}, true
}
