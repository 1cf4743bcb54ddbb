package verification_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/verification"
)

func (h *harness) redeem(s verification.Session, token string) error {
	return h.sessions.Redeem(h.t.Context(), access.Actor{Type: access.Subject}, s.ID, token)
}

func (h *harness) routing(s verification.Session) map[id.Endpoint]event.Reason {
	h.t.Helper()
	original, err := event.Original(h.db.Reader(h.t.Context()), s.ID)
	h.check(err)
	replacement, err := event.ReplacementOf(h.db.Reader(h.t.Context()), original.ID)
	h.check(err)
	if original.SupersededByEventID == nil || *original.SupersededByEventID != replacement.ID {
		h.t.Errorf("superseded_by is %v, want %s", original.SupersededByEventID, replacement.ID)
	}
	reasons := map[id.Endpoint]event.Reason{}
	for _, route := range replacement.Routing {
		reasons[route.EndpointID] = route.Reason
	}
	return reasons
}

func TestWithdrawal_BeforeAnyoneReceivedItReplacesTheEvent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	waiting, late := h.endpoint("verification.session.succeeded", "verification.session.cancelled"), h.endpoint("verification.session.cancelled")
	deaf := h.endpoint("verification.session.succeeded")
	waiting.status(http.StatusServiceUnavailable)
	deaf.status(http.StatusServiceUnavailable)
	s, token := h.open(verification.NewSession{})
	h.succeed(s)
	h.deliver()
	h.check(h.redeem(s, token))
	waiting.status(http.StatusOK)
	h.deliver()

	if got := h.reload(s); got.Status != verification.Cancelled || got.FailureCode != nil || got.CompletedAt == nil {
		t.Errorf("session %+v", got)
	}
	d := h.of(s, waiting)
	if d["session.succeeded"].State() != delivery.StateWithdrawn || d["session.cancelled"].Status != delivery.Succeeded {
		t.Errorf("deliveries %+v", d)
	}
	if _, sent := h.of(s, deaf)["session.cancelled"]; sent {
		t.Error("a replacement went to an endpoint that does not subscribe")
	}
	if h.of(s, late)["session.cancelled"].Status != delivery.Succeeded {
		t.Error("an endpoint that subscribes to cancelled alone did not hear of it")
	}
	want := map[id.Endpoint]event.Reason{waiting.ID: event.Replacement, late.ID: event.Subscribed, deaf.ID: event.NotSubscribed}
	if diff := cmp.Diff(want, h.routing(s)); diff != "" {
		t.Errorf("routing: %s", diff)
	}
	var data event.CancelledData
	last := waiting.seen()[len(waiting.seen())-1]
	h.check(json.Unmarshal(last.payload.Data, &data))
	if data.Reason != "privacy_cancelled_after_terminal_success" || data.Outcome != "not_verified" {
		t.Errorf("data %+v", data)
	}
	h.check(h.redeem(s, token))
	if n := fixture.Scalar[int](t, h.db, "SELECT count(*) FROM events"); n != 2 {
		t.Errorf("%d events after redeeming twice", n)
	}
}

func TestWithdrawal_AfterAReceiptLeavesTheSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	got, missed := h.endpoint(), h.endpoint()
	missed.status(http.StatusServiceUnavailable)
	s, token := h.open(verification.NewSession{})
	h.succeed(s)
	h.deliver()
	h.check(h.redeem(s, token))
	h.deliver()
	if h.reload(s).Status != verification.Succeeded {
		t.Errorf("session is %s", h.reload(s).Status)
	}
	want := map[id.Endpoint]event.Reason{got.ID: event.OriginalDelivered, missed.ID: event.Replacement}
	if diff := cmp.Diff(want, h.routing(s)); diff != "" {
		t.Errorf("routing: %s", diff)
	}
	if len(got.seen()) != 1 {
		t.Errorf("the endpoint that had it received %d webhooks", len(got.seen()))
	}
}

func TestWithdrawal_WhileInFlightIsDecidedByTheResult(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusOK, http.StatusInternalServerError} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			r := h.endpoint()
			s, token := h.open(verification.NewSession{})
			r.answer = func(w http.ResponseWriter, got received) {
				if got.payload.Type == "verification.session.succeeded" {
					h.check(h.redeem(s, token))
					if reload := h.reload(s); reload.Status != verification.Succeeded {
						t.Errorf("undecided session is %s", reload.Status)
					}
				}
				w.WriteHeader(status)
			}
			h.succeed(s)
			h.deliver()
			final, d := h.reload(s), h.of(s, r)
			if status == http.StatusOK {
				if _, replaced := d["session.cancelled"]; replaced || final.Status != verification.Succeeded || d["session.succeeded"].Status != delivery.Succeeded {
					t.Errorf("session %s, deliveries %+v", final.Status, d)
				}
				return
			}
			if final.Status != verification.Cancelled || d["session.succeeded"].State() != delivery.StateWithdrawn || d["session.cancelled"].Status != delivery.Pending {
				t.Errorf("session %s, deliveries %+v", final.Status, d)
			}
			if n := fixture.Audited(t, h.db, h.owner.Organization, "session.privacy_request.settled"); n != 1 {
				t.Errorf("%d settled audit rows", n)
			}
		})
	}
}

func TestRedeem_RefusesAWrongTokenAndAnUnknownSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s, _ := h.open(verification.NewSession{})
	fixture.WantFault(t, h.redeem(s, "x"), verification.ErrCancelTokenInvalid)
	fixture.WantFault(t, h.redeem(verification.Session{ID: id.Session{UUID: id.NewUUID(h.clock.Now())}}, "x"), verification.ErrPublicNotFound)
	if got := h.reload(s); got.Status != verification.Created || got.CancelTokenConsumedAt != nil {
		t.Errorf("session %+v", got)
	}
}

func TestRedeem_CancelsAnActiveSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	s, token := h.open(verification.NewSession{})
	_, err := h.sessions.ReportFailure(t.Context(), h.engine, s.ID, verification.LivenessFailed)
	h.check(err)
	h.check(h.redeem(s, token))
	h.deliver()
	var data event.CancelledData
	h.check(json.Unmarshal(r.seen()[0].payload.Data, &data))
	if data.Reason != "cancelled_after_failed_check" || data.LivenessTriesUsed != 1 {
		t.Errorf("data %+v", data)
	}
	audited := fixture.Scalar[string](t, h.db, "SELECT metadata->>'reason' FROM audit_logs WHERE event = 'session.cancelled' AND target_id = $1", s.ID.String())
	if audited != data.Reason {
		t.Errorf("the audit log says that it was %q", audited)
	}
}
