package verification_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/id"
)

// check compares the rows before and after a step.
type check struct {
	h             *history
	before, after *snapshot
	problems      []string
}

func (c *check) problem(format string, args ...any) {
	if p := fmt.Sprintf(format, args...); !slices.Contains(c.problems, p) {
		c.problems = append(c.problems, p)
	}
}

// wants notes a problem unless ok.
func (c *check) wants(ok bool, format string, args ...any) {
	if !ok {
		c.problem(format, args...)
	}
}

// unchanged wants that the step wrote nothing at all.
func (c *check) unchanged(why string) {
	c.wants(reflect.DeepEqual(c.before.tables, c.after.tables), "%s changed something", why)
}

// compare reads the rows and holds every invariant against them.
func (h *history) compare() *check {
	c := &check{h: h, before: h.now, after: h.load()}
	h.now = c.after
	h.board()
	for i := range c.after.endpoints {
		c.endpoint(&c.after.endpoints[i])
	}
	for i := range c.after.sessions {
		c.session(&c.after.sessions[i])
	}
	for i := range c.after.events {
		c.routing(&c.after.events[i])
	}
	for i := range c.after.deliveries {
		c.delivery(&c.after.deliveries[i])
	}
	for i := range c.before.deliveries {
		c.wants(c.after.byID[c.before.deliveries[i].ID] != nil, "a delivery vanished")
	}
	c.terminalWebhooks()
	c.requests()
	return c
}

func (c *check) endpoint(e *endpointRow) {
	n := c.h.numberOf(e.ID)
	c.wants(c.after.active[e.ID] <= 1, "INV-27: endpoint %d has more than one active key", n)
	if e.Deleted != nil {
		c.wants(!e.Secret && e.PreviousExpires == nil, "INV-34: deleted endpoint %d has a secret", n)
		c.wants(c.after.active[e.ID] == 0, "INV-34: deleted endpoint %d has an active key", n)
	}
}

// session holds INV-3, 4, 5 and 19: what a session's status, events and audit rows say about each other.
func (c *check) session(s *sessionRow) {
	n, s0 := c.h.numberOf(s.ID), c.before.bySession[s.ID]
	audit := map[string]int{}
	var failedChecks [2]int
	for _, a := range c.after.audit {
		if a.Target != (id.Session{UUID: s.ID}).String() {
			continue
		}
		audit[a.Event]++
		if a.Event == "session.check.failed" {
			switch a.FailureCode {
			case "document_authenticity_failed", "document_active_authentication_failed", "document_chip_authentication_failed":
				failedChecks[0]++
			case "liveness_failed", "selfie_face_mismatch":
				failedChecks[1]++
			}
		}
	}
	c.wants(audit["session.created"] == 1, "INV-26: session %d has %d audit rows of its creation", n, audit["session.created"])
	c.wants(failedChecks == [2]int{s.NFC, s.Liveness}, "INV-26: session %d counts %d and %d failed checks, the audit log %v", n, s.NFC, s.Liveness, failedChecks)
	c.wants(s.Status != "in_progress" || audit["session.started"] == 1, "INV-26: session %d started without audit row", n)
	original, withdrawn := c.after.withdrawn(s)
	events := 0
	for _, e := range c.after.events {
		if e.Trigger == s.ID {
			events++
		}
	}
	if s.Status == "created" || s.Status == "in_progress" {
		c.wants(events == 0 && s.Completed == nil, "INV-3: session %d is %s with %d events", n, s.Status, events)
		c.wants(s0 == nil || s0.Completed == nil, "session %d became active again", n)
		return
	}
	c.wants((s.Status == "failed") == (s.FailureCode != nil), "INV-19: session %d is %s, with a failure code: %t", n, s.Status, s.FailureCode != nil)
	if original == nil {
		c.problem("INV-3: session %d is %s without its event", n, s.Status)
		return
	}
	replacement := c.after.replacement[original.ID]
	ended := original.Type[len("verification.session."):]
	c.wants(events == 1 || events == 2 && replacement != nil, "INV-3: session %d has %d events", n, events)
	c.wants(audit["session."+ended] == 1, "INV-4: session %d ended as %s with %d audit rows", n, ended, audit["session."+ended])
	c.wants(s.Completed != nil && s.Completed.Equal(original.Created), "INV-4: session %d and its event have different times", n)
	c.wants(s0 == nil || s0.Completed == nil || s0.Completed.Equal(*s.Completed), "session %d: completed_at changed", n)
	c.wants(ended == "expired" == !s.Completed.Before(s.Expires), "INV-5: session %d ended as %s on the wrong side of its deadline", n, ended)
	c.wants((original.SupersededBy != nil) == (replacement != nil) && (replacement == nil || *original.SupersededBy == replacement.ID), "INV-3: session %d: original and replacement disagree", n)
	if !withdrawn {
		c.wants(s.Status == ended && replacement == nil, "session %d is %s after its %s event, not withdrawn", n, s.Status, ended)
		return
	}
	received, undecided := 0, 0
	for _, d := range c.after.deliveries {
		if d.Event == original.ID && d.Status == "succeeded" {
			received++
		} else if d.Event == original.ID && d.Status == "delivering" {
			undecided++
		}
	}
	want := ended
	if received+undecided == 0 {
		want = "cancelled"
	}
	c.wants(s.Status == want, "INV-19: withdrawn session %d is %s with %d original deliveries received and %d undecided", n, s.Status, received, undecided)
	c.wants((s.Status == "cancelled") == (audit["session.cancelled"] == 1), "INV-4: withdrawn session %d is %s with %d audit rows of a cancellation", n, s.Status, audit["session.cancelled"])
	c.wants(s.Status != "cancelled" || replacement != nil, "INV-4: session %d was cancelled by withdrawal without an event", n)
	c.wants(audit["session.privacy_request.submitted"] == 1, "INV-4: session %d was withdrawn with %d audit rows", n, audit["session.privacy_request.submitted"])
}

// terminalWebhooks holds INV-1 and INV-2.
func (c *check) terminalWebhooks() {
	succeeded, open := map[pair]int{}, map[pair]int{}
	for _, d := range c.after.deliveries {
		if d.Type == string(event.Test) {
			continue
		}
		to := pair{c.after.event[d.Event].Trigger, d.Endpoint}
		if d.Status == "succeeded" {
			succeeded[to]++
		}
		if d.Status != "failed" {
			open[to]++
		}
	}
	for to, n := range open {
		c.wants(succeeded[to] <= 1, "INV-1: endpoint %d received session %d %d times", c.h.numberOf(to.endpoint), c.h.numberOf(to.of), succeeded[to])
		c.wants(n <= 1, "INV-2: session %d has %d terminal deliveries open or received at endpoint %d", c.h.numberOf(to.of), n, c.h.numberOf(to.endpoint))
	}
}

// delivery holds the invariants of a single delivery.
func (c *check) delivery(d *deliveryRow) {
	name, d0 := c.h.name(c.after, d), c.before.byID[d.ID]
	open := d.Status == "pending" || d.Status == "delivering"
	if d0 != nil && d0.Status == "succeeded" {
		c.wants(reflect.DeepEqual(*d0, *d), "%s changed after it had succeeded", name)
	}
	c.wants(open && d.Payload != nil || d.Status == "failed" || d.Status == "succeeded" && d.Payload == nil, "INV-11: %s is %s, with payload: %t", name, d.Status, d.Payload != nil)
	if d.Payload != nil {
		known, seen := c.h.payloads[d.ID]
		c.wants(!seen || known == *d.Payload, "INV-12: the payload of %s changed", name)
		c.wants(d0 == nil || d0.Payload != nil, "INV-12: %s has a payload again", name)
		c.h.payloads[d.ID] = *d.Payload
		want := delivery.PendingDelivery
		if d.Status == "failed" {
			want = delivery.TerminalFailureRetention
		}
		c.wants(d.Reason == string(want), "%s is %s with its payload held for %s", name, d.Status, d.Reason)
	}
	if d.Status == "succeeded" {
		c.wants(d.Reason == string(delivery.Delivered) && d.Scrubbed != nil && d.LastAttempt != nil && d.Scrubbed.Equal(*d.LastAttempt), "%s succeeded and says %s", name, d.Reason)
		c.wants(c.h.accepted[d.ID], "%s succeeded, but its receiver never accepted it", name)
	}
	sendable := c.after.sendable(d.Endpoint)
	switch {
	case d.Next != nil:
		c.wants(d.Status == "pending" && sendable, "INV-10: %s is %s and scheduled, its endpoint takes requests: %t", name, d.Status, sendable)
		if d0 == nil || d0.Next == nil || !d0.Next.Equal(*d.Next) {
			c.wants(d.Expires.After(*d.Next), "INV-14: %s is scheduled for a time when its payload is gone", name)
		}
	case d.Status == "pending" && sendable:
		// A row that was parked until its payload expired only waits for the sweep.
		c.wants(!d.Expires.After(c.after.at), "INV-10: %s is pending at an enabled endpoint and never due", name)
	}
	c.wants(d.Payload == nil || c.after.live(d.Endpoint) || d.Status == "delivering", "INV-34: a deleted endpoint holds the payload of %s", name)
	if d0 != nil {
		c.wants(d.Run == d0.Run || d.Run == d0.Run+1 && d0.Status == "failed" && d0.Payload != nil, "%s went from run %d (%s) to run %d", name, d0.Run, d0.Status, d.Run)
		c.wants(d0.Status != "failed" || d0.Payload != nil || d.Status == "failed", "%s came back without payload", name)
	}
	c.withdrawal(d, d0, name)
	c.attempts(d, name)
}

// withdrawal holds INV-16, 17 and 18.
func (c *check) withdrawal(d, d0 *deliveryRow, name string) {
	e := c.after.event[d.Event]
	original, withdrawn := (*eventRow)(nil), false
	if s := c.after.bySession[e.Trigger]; s != nil {
		original, withdrawn = c.after.withdrawn(s)
	}
	if !withdrawn || original.ID != e.ID {
		c.wants(d.Withdrawn == nil && d.Reason != string(delivery.PrivacyRequest), "INV-16: %s was scrubbed or marked by a withdrawal", name)
		return
	}
	c.wants(d.Status != "pending", "INV-17: withdrawn %s is pending", name)
	c.wants(d.Status == "succeeded" || d.Withdrawn != nil, "INV-17: %s is not marked withdrawn", name)
	if d.Status == "delivering" {
		claimedBefore := d0 != nil && d0.Token != nil && *d0.Token == *d.Token
		_, earlier := c.before.withdrawn(c.before.bySession[e.Trigger])
		c.wants(claimedBefore || !earlier, "INV-17: withdrawn %s was claimed", name)
	}
	var replaced *deliveryRow
	var route routeRow
	if r := c.after.replacement[original.ID]; r != nil {
		replaced = c.after.sent[pair{r.ID, d.Endpoint}]
		route = routeTo(r, d.Endpoint)
	}
	if d.Status != "failed" {
		c.wants(replaced == nil, "INV-18: %s is %s and has a replacement", name, d.Status)
		return
	}
	c.wants(d.Payload == nil && d.Reason == string(delivery.PrivacyRequest), "INV-18: %s was withdrawn, not received and not scrubbed (%s)", name, d.Reason)
	if d0 == nil || d0.Status == "failed" && d0.Withdrawn != nil {
		return
	}
	// Scrubbed just now: replaced at once, unless the endpoint does not want to know.
	deaf := !subscribes(c.before, d.Endpoint, event.SessionCancelled) || !subscribes(c.after, d.Endpoint, event.SessionCancelled)
	c.wants(replaced != nil || deaf || !c.after.live(d.Endpoint), "INV-18: %s was withdrawn and not replaced", name)
	c.wants(replaced == nil || route.Delivery != nil && route.Delivery.UUID == replaced.ID, "INV-18: %s was replaced without a route", name)
}

func subscribes(s *snapshot, e uuid.UUID, to event.Type) bool {
	return s.endpoint[e] != nil && slices.Contains(s.endpoint[e].Types, string(to))
}

// attempts holds INV-9 and what attempt rows may say.
func (c *check) attempts(d *deliveryRow, name string) {
	counted, losses := 0, 0
	last, before := &attemptRow{}, c.before.tried[d.ID]
	for i, a := range c.after.tried[d.ID] {
		if i > 0 && c.after.tried[d.ID][i-1].Run != a.Run {
			counted, losses, last = 0, 0, &attemptRow{}
		}
		c.wants(a.Run <= d.Run && a.Number == counted+1, "INV-9: %s has attempt %d of run %d after %d counted ones", name, a.Number, a.Run, counted)
		wantCounted := a.Kind != string(delivery.DisabledBeforeSend)
		if losses++; a.Kind != string(delivery.WorkerLost) {
			losses = 0
		} else {
			wantCounted = losses > 2
		}
		c.wants(a.Counted == wantCounted, "INV-9: %s: an attempt (%s) is counted: %t", name, a.Kind, a.Counted)
		if a.Counted {
			counted, last = counted+1, a
		}
		c.wants(!a.Echo || d.Type != string(event.SessionSucceeded), "%s: a response that may echo claims was captured", name)
		c.wants(!a.Captured || d.Reason != string(delivery.PrivacyRequest), "%s: a captured response outlived the withdrawal", name)
		if i < len(before) {
			was := *before[i]
			was.Echo, was.Captured = was.Echo && a.Echo, was.Captured && a.Captured
			c.wants(was == *a, "%s: attempt %d changed", name, a.Number)
		}
	}
	if last.Run != d.Run {
		counted, last = 0, &attemptRow{}
	}
	c.wants(counted == d.Count && counted <= delivery.AttemptsPerRun, "INV-9: %s counts %d attempts and has %d", name, d.Count, counted)
	var lastAt time.Time
	if d.LastAttempt != nil {
		lastAt = *d.LastAttempt
	}
	c.wants(lastAt.Equal(last.Started) && d.LastStatus == last.Code, "%s does not remember its last attempt", name)
	c.wants((d.Status == "succeeded") == (last.Status == "succeeded"), "%s is %s, its last attempt is not", name, d.Status)
}

func routeTo(e *eventRow, to uuid.UUID) routeRow {
	for _, r := range e.Routing {
		if r.Endpoint.UUID == to {
			return r
		}
	}
	return routeRow{}
}

// routing holds INV-33: one route per endpoint, that says what the deliveries say and why.
func (c *check) routing(e *eventRow) {
	name := "the " + e.Type + " event"
	e0 := c.before.event[e.ID]
	seen := map[uuid.UUID]bool{}
	deliveries := 0
	for _, r := range e.Routing {
		to := c.h.numberOf(r.Endpoint.UUID)
		c.wants(!seen[r.Endpoint.UUID], "INV-33: %s has two routes to endpoint %d", name, to)
		seen[r.Endpoint.UUID] = true
		d := c.after.sent[pair{e.ID, r.Endpoint.UUID}]
		c.wants((d != nil) == (r.Delivery != nil) && (d == nil || d.ID == r.Delivery.UUID), "INV-33: %s: route and delivery of endpoint %d disagree", name, to)
		if d != nil {
			deliveries++
			c.wants((d.Bytes > 0) == (r.Decision == "delivered"), "INV-33: %s: endpoint %d was %s (%s), with %d bytes", name, to, r.Decision, r.Reason, d.Bytes)
		}
		if e.Replaces != nil {
			o := c.after.sent[pair{*e.Replaces, r.Endpoint.UUID}]
			undecided := o != nil && o.Status == "delivering"
			c.wants((r.Reason == string(event.OriginalUndecided)) == undecided, "INV-33: %s: the route of endpoint %d says %s", name, to, r.Reason)
			c.wants((r.Reason == string(event.OriginalDelivered)) == (o != nil && o.Status == "succeeded" && !undecided), "INV-33: %s: the route of endpoint %d says %s", name, to, r.Reason)
		}
		if e0 == nil || routeTo(e0, r.Endpoint.UUID).Reason != r.Reason {
			c.wants(e0 == nil || e.Replaces != nil, "INV-33: a route of %s changed", name)
			reasons := []event.Reason{c.reason(c.before, e, r.Endpoint.UUID), c.reason(c.after, e, r.Endpoint.UUID)}
			c.wants(slices.Contains(reasons, event.Reason(r.Reason)), "INV-33: %s: the route of endpoint %d says %s, not one of %v", name, to, r.Reason, reasons)
		}
	}
	for _, d := range c.after.deliveries {
		if d.Event == e.ID {
			deliveries--
		}
	}
	c.wants(deliveries == 0, "INV-33: %s has deliveries without a route", name)
	if e0 != nil {
		c.wants(len(e.Routing) >= len(e0.Routing), "INV-33: %s lost a route", name)
		return
	}
	for _, p := range c.after.endpoints {
		// An endpoint that came or went in a race may have a route or not.
		before, after := c.before.live(p.ID), c.after.live(p.ID)
		c.wants(before != after || before == seen[p.ID], "INV-33: %s has a route to endpoint %d: %t", name, c.h.numberOf(p.ID), seen[p.ID])
	}
}

// reason is what contract section 3.4 says about an endpoint, as the organization was then; "" if it did not exist.
func (c *check) reason(s *snapshot, e *eventRow, to uuid.UUID) event.Reason {
	p := s.endpoint[to]
	if p == nil || p.Deleted != nil && e.Replaces == nil {
		return ""
	}
	keyed := func(reason event.Reason) event.Reason {
		if s.active[to] == 0 {
			return event.NoActiveKey
		}
		return reason
	}
	var targets []uuid.UUID
	if session := c.after.bySession[e.Trigger]; session != nil {
		targets = session.Targets
	}
	subscribed := subscribes(s, to, event.Type(e.Type))
	if e.Type == string(event.Test) {
		if e.Trigger == to {
			return keyed(event.TestSend)
		}
		return event.NotTargeted
	}
	if e.Replaces != nil {
		o := c.after.sent[pair{*e.Replaces, to}]
		switch {
		case o != nil && o.Status == "succeeded":
			return event.OriginalDelivered
		case o != nil && o.Status == "delivering":
			return event.OriginalUndecided
		case o != nil && p.Deleted != nil:
			return event.NotTargeted
		case o != nil && !subscribed:
			return event.NotSubscribed
		case o != nil:
			return keyed(event.Replacement)
		case c.after.bySession[e.Trigger].Status != "cancelled":
			return event.NotTargeted
		}
	}
	switch {
	case len(targets) > 0 && !slices.Contains(targets, to):
		return event.NotTargeted
	case !p.Enabled:
		return event.Disabled
	case !subscribed:
		return event.NotSubscribed
	}
	return keyed(event.Subscribed)
}

// fingerprint is a payload's MD5 as Postgres gives it.
func fingerprint(body string) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}
