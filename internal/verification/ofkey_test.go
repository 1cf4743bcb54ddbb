package verification_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
)

// TestPipeline_FindsWhatWasEncryptedToAKey has two keys take turns, days apart, each challenged while it is inactive: what was
// encrypted to a key is found, whenever that was, and nothing else.
func TestPipeline_FindsWhatWasEncryptedToAKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r, other := h.keylessEndpoint(), h.endpoint()
	const day = 24 * time.Hour
	of := map[id.Key][]id.Event{}
	session := func(k id.Key) {
		t.Helper()
		h.clock.Advance(day)
		s, _ := h.open(verification.NewSession{})
		h.succeed(s)
		of[k] = append(of[k], h.of(s, r)["session.succeeded"].EventID)
	}
	challenge := func(k id.Key) {
		t.Helper()
		h.clock.Advance(day)
		e, err := h.deliveries.SendChallenge(t.Context(), h.owner, k)
		h.check(err)
		of[k] = append(of[k], e.ID)
	}
	first, err := h.webhooks.AddKey(t.Context(), h.owner, r.ID, publicKey("first"))
	h.check(err)
	session(first.ID)
	h.clock.Advance(day)
	second, err := h.webhooks.StageKey(t.Context(), h.owner, r.ID, publicKey("second"))
	h.check(err)
	challenge(second.ID)
	session(first.ID)
	h.clock.Advance(day)
	_, err = h.webhooks.ReactivateKey(t.Context(), h.owner, second.ID)
	h.check(err)
	session(second.ID)
	challenge(first.ID)
	session(second.ID)
	h.clock.Advance(day)
	_, err = h.webhooks.ReactivateKey(t.Context(), h.owner, first.ID)
	h.check(err)
	session(first.ID)
	challenge(second.ID)

	_, neighbour := fixture.Organization(t, h.db)
	uses, err := h.deliveries.KeyUses(t.Context(), h.owner, r.ID)
	h.check(err)
	for k, all := range of {
		var held []id.Event // the time of the others is over
		deliveries, err := h.deliveries.OfEvents(t.Context(), h.owner, all)
		h.check(err)
		for _, e := range all {
			if deliveries[e][0].PayloadHeld(h.clock.Now()) {
				held = append(held, e)
			}
		}
		if len(held) == 0 || len(held) == len(all) {
			t.Fatalf("%d of %d can still be sent, want some", len(held), len(all))
		}
		for _, f := range []delivery.Filter{{KeyID: k}, {KeyID: k, EndpointID: r.ID}, {KeyID: k, Status: delivery.Pending}, {KeyID: k, Held: true}} {
			list, err := h.deliveries.List(t.Context(), h.owner, f, postgres.Page{Limit: 10})
			h.check(err)
			var got []id.Event
			for _, d := range list.Rows {
				got = append([]id.Event{d.EventID}, got...)
			}
			want := all
			if f.Held {
				want = held
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", f, diff)
			}
		}
		if n, err := h.deliveries.Count(t.Context(), h.owner, delivery.Filter{KeyID: k, EndpointID: other.ID}, 10); err != nil || n != 0 {
			t.Errorf("%d of another endpoint, %v", n, err)
		}
		if n, err := h.deliveries.Count(t.Context(), neighbour, delivery.Filter{KeyID: k}, 10); err != nil || n != 0 {
			t.Errorf("a neighbour sees %d, %v", n, err)
		}
		if u := uses[k]; u.Deliveries != len(all) || u.Waiting != len(held) {
			t.Errorf("%d deliveries, %d held, but the use is %+v", len(all), len(held), u)
		}
	}
}
