package verification_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

// What changes between the claim and the request is seen before anything is sent (contract section 7.6 step 3).
func TestSend_LooksAgainBeforeSending(t *testing.T) {
	t.Parallel()
	type after struct {
		State    delivery.State
		Requests int
		Attempts int
		Kind     delivery.ErrorKind // of the attempt
	}
	const soon = time.Second // later than the 250 ms for which a claim is trusted
	for name, c := range map[string]struct {
		meanwhile func(h *harness, s verification.Session, token string, r *receiver)
		want      after
	}{
		"nothing": {func(h *harness, _ verification.Session, _ string, _ *receiver) {
			h.clock.Advance(delivery.Lease - delivery.HTTPTimeout)
		}, after{State: delivery.StateSucceeded, Requests: 1, Attempts: 1}},
		"too little is left of the lease": {func(h *harness, _ verification.Session, _ string, _ *receiver) {
			h.clock.Advance(delivery.Lease - delivery.HTTPTimeout + time.Microsecond)
		}, after{State: delivery.StateInFlight}},
		"another worker has the lease": {func(h *harness, _ verification.Session, _ string, _ *receiver) {
			fixture.Exec(h.t, h.db, "UPDATE webhook_deliveries SET lease_token = gen_random_uuid()")
			h.clock.Advance(soon)
		}, after{State: delivery.StateInFlight}},
		"consent is withdrawn": {func(h *harness, s verification.Session, token string, _ *receiver) {
			h.check(h.redeem(s, token))
			h.clock.Advance(soon)
		}, after{State: delivery.StateWithdrawn}},
		"the endpoint is disabled": {func(h *harness, _ verification.Session, _ string, r *receiver) {
			off := false
			_, err := h.webhooks.UpdateEndpoint(h.t.Context(), h.owner, r.ID, webhook.EndpointChange{Enabled: &off})
			h.check(err)
			h.clock.Advance(soon)
		}, after{State: delivery.StateParked, Attempts: 1, Kind: delivery.DisabledBeforeSend}},
		"the endpoint is deleted": {func(h *harness, _ verification.Session, _ string, r *receiver) {
			h.check(h.webhooks.DeleteEndpoint(h.t.Context(), h.owner, r.ID))
			h.clock.Advance(soon)
		}, after{State: delivery.StateEndpointDeleted}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			r := h.endpoint("verification.session.succeeded")
			s, token := h.open(verification.NewSession{})
			h.succeed(s)
			claims, err := h.deliveries.Claim(t.Context(), r.ID, 1)
			h.check(err)
			if len(claims) != 1 {
				t.Fatalf("claimed %d deliveries, want 1", len(claims))
			}
			c.meanwhile(h, s, token, r)
			var sent delivery.Sent
			err = h.deliveries.Send(t.Context(), claims[0], func(s delivery.Sent) { sent = s })
			h.check(err)
			if sent.Asked != (c.want.Requests > 0) {
				t.Errorf("the worker is told of a request: %t", sent.Asked)
			}
			got := after{State: h.of(s, r)["session.succeeded"].State(), Requests: len(r.seen())}
			attempts, _, err := h.deliveries.Attempts(t.Context(), h.owner, claims[0].ID, delivery.AttemptsPage{Limit: 10})
			h.check(err)
			got.Attempts = len(attempts)
			if len(attempts) > 0 && attempts[0].ErrorKind != nil {
				got.Kind = *attempts[0].ErrorKind
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// hurried is a Settler to whom something happens just before it settles, once.
type hurried struct {
	delivery.Settler
	first func()
}

// SettleWithdrawn implements delivery.Settler.
func (u *hurried) SettleWithdrawn(tx *postgres.Tx, org id.Organization, session id.Session, record func() (bool, error)) error {
	if first := u.first; first != nil {
		u.first = nil
		first()
	}
	return u.Settler.SettleWithdrawn(tx, org, session, record)
}

// INV-8: the worker comes back after its lease was taken from it.
func TestSend_ALateResultChangesNothing(t *testing.T) {
	t.Parallel()
	for _, late := range []string{"to record a success", "to record a failure", "to find the withdrawal", "to settle the withdrawal"} {
		t.Run(late, func(t *testing.T) {
			t.Parallel()
			withdraw, status := strings.HasSuffix(late, "withdrawal"), http.StatusOK
			if late == "to record a failure" {
				status = http.StatusInternalServerError
			}
			h := newHarness(t)
			r := h.endpoint()
			s, token := h.open(verification.NewSession{})
			rows := func() string {
				return fixture.Scalar[string](t, h.db, `SELECT (SELECT json_agg(d ORDER BY d.id)::text FROM webhook_deliveries d) ||
					(SELECT json_agg(a ORDER BY a.id)::text FROM webhook_delivery_attempts a) || (SELECT json_agg(s)::text FROM verification_sessions s)`)
			}
			var before string
			loseLease := func() {
				h.clock.Advance(delivery.Lease)
				_, err := h.deliveries.SweepLeases(t.Context(), 10)
				h.check(err)
				claims, err := h.deliveries.Claim(t.Context(), r.ID, 1) // the same delivery, or its replacement
				h.check(err)
				if len(claims) != 1 {
					t.Errorf("claimed %d deliveries, want 1", len(claims))
				}
				before = rows()
			}
			r.answer = func(w http.ResponseWriter, _ received) {
				if withdraw {
					h.check(h.redeem(s, token))
				}
				if late == "to settle the withdrawal" {
					h.deliveries.Settler = &hurried{h.sessions, loseLease}
				} else {
					loseLease()
				}
				w.WriteHeader(status)
			}
			h.succeed(s)
			claims, err := h.deliveries.Claim(t.Context(), r.ID, 1)
			h.check(err)
			err = h.deliveries.Send(t.Context(), claims[0], func(delivery.Sent) {})
			h.check(err)
			if diff := cmp.Diff(before, rows()); diff != "" || before == "" {
				t.Errorf("the late result changed rows (-before +after)\n%s", diff)
			}
		})
	}
}

// Claims that were taken together go each to the URL of its endpoint, signed with the secrets that are its own and valid when it is sent.
func TestSend_ClaimsTakenTogether(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	a, b := h.endpoint("verification.session.succeeded"), h.endpoint("verification.session.succeeded")
	rotated, err := h.webhooks.RotateSecret(t.Context(), h.owner, a.ID, 1, false)
	h.check(err)
	ends := rotated.Endpoint.PreviousSigningSecretExpiresAt
	h.clock.Advance(ends.Sub(h.clock.Now()) - 100*time.Millisecond)
	for range 2 {
		s, _ := h.open(verification.NewSession{})
		h.succeed(s)
	}
	var ids []id.Delivery
	for _, due := range h.rung {
		ids = append(ids, due.DeliveryID)
	}
	claims, err := h.deliveries.ClaimThese(t.Context(), ids)
	h.check(err)
	if len(claims) != 4 {
		t.Fatalf("claimed %d deliveries, want 4", len(claims))
	}

	want := map[*receiver][]string{}
	sent := map[id.Endpoint]int{}
	for _, c := range claims {
		r, secrets := b, []string{b.secret}
		if c.WebhookEndpointID == a.ID {
			r, secrets = a, []string{rotated.Secret, a.secret}
			if sent[a.ID] > 0 {
				h.clock.Advance(100 * time.Millisecond) // the former secret's time is over, the claim still trusted
				secrets = secrets[:1]
			}
		}
		sent[c.WebhookEndpointID]++
		want[r] = append(want[r], webhook.Sign(secrets, h.clock.Now().Unix(), c.Payload))
		h.check(h.deliveries.Send(t.Context(), c, func(delivery.Sent) {}))
	}
	for _, r := range []*receiver{a, b} {
		var got []string
		for _, request := range r.seen() {
			got = append(got, request.header.Get("X-Kayle-Signature"))
		}
		if diff := cmp.Diff(want[r], got); diff != "" || len(got) != 2 {
			t.Errorf("signatures at %s (-want +got)\n%s", r.URL, diff)
		}
	}
}

// A URL that is stored and may not be any more is not asked.
func TestSend_JudgesTheURLItWasClaimedWith(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint("verification.session.succeeded")
	s, _ := h.open(verification.NewSession{})
	h.succeed(s)
	fixture.Exec(t, h.db, `UPDATE webhook_endpoints SET url = replace(url, '/hook', '/ho\ok')`)
	h.deliver()
	attempts, _, err := h.deliveries.Attempts(t.Context(), h.owner, h.of(s, r)["session.succeeded"].ID, delivery.AttemptsPage{Limit: 10})
	h.check(err)
	if len(attempts) != 1 || attempts[0].ErrorKind == nil || *attempts[0].ErrorKind != delivery.BlockedAddress || len(r.seen()) != 0 {
		t.Errorf("attempts %+v, %d requests", attempts, len(r.seen()))
	}
}
