package verification_test

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

func TestPipeline_SuccessArrivesSignedAndEncrypted(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	s, _ := h.open(verification.NewSession{})
	h.succeed(s)
	h.deliver()

	got := r.seen()
	if len(got) != 1 {
		t.Fatalf("%d requests, want 1", len(got))
	}
	wantSigned(t, got[0], r.secret, h.clock.Now())
	if got[0].header.Get("Content-Type") != "application/jose" || got[0].header.Get("X-Kayle-Event") != "verification.session.succeeded" {
		t.Errorf("headers %v", got[0].header)
	}
	if got[0].payload.Metadata.VerificationSessionID != s.ID.String() {
		t.Errorf("session %q, want %q", got[0].payload.Metadata.VerificationSessionID, s.ID)
	}
	var data event.SucceededData
	h.check(json.Unmarshal(got[0].payload.Data, &data))
	if len(data.Claims) != 12 || data.Claims["family_name"] != "DOE" || data.Claims["given_names"] != nil {
		t.Errorf("claims %v: want every key of the contract, null where not selected", data.Claims)
	}
	if diff := cmp.Diff([]string{"family_name", "kayle_document_id"}, data.SelectedFieldKeys); diff != "" {
		t.Errorf("selected_field_keys: %s", diff)
	}
	d := h.of(s, r)["session.succeeded"]
	if d.Status != delivery.Succeeded || d.AttemptCount != 1 || d.PayloadScrubbedAt == nil || d.Reason() != delivery.Delivered || *d.LastStatusCode != 204 {
		t.Errorf("delivery %+v", d)
	}
	if d.ID.String() != got[0].header.Get("X-Kayle-Delivery-Id") {
		t.Errorf("delivery id %s, header %s", d.ID, got[0].header.Get("X-Kayle-Delivery-Id"))
	}
}

func TestPipeline_FollowsTheWholeSchedule(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	r.status(http.StatusInternalServerError)
	s, _ := h.open(verification.NewSession{})
	h.check(h.sessions.Cancel(t.Context(), h.engine, s.ID))
	h.deliver()
	for k, delay := range delivery.RetryDelays() {
		d := h.of(s, r)["session.cancelled"]
		if d.Status != delivery.Pending || d.AttemptCount != k+1 {
			t.Fatalf("after attempt %d: %s with %d attempts", k+1, d.Status, d.AttemptCount)
		}
		wait := d.NextAttemptAt.Sub(*d.LastAttemptAt)
		if k == 0 && wait != delay || wait < delay || wait > delay+delay/10 {
			t.Errorf("wait before attempt %d is %s, want %s to +10 %%", k+2, wait, delay)
		}
		if d.PayloadExpiresAt.Before(d.NextAttemptAt.Add(delivery.ScheduleSlack)) {
			t.Errorf("payload ends %s, before the next attempt's slack", d.PayloadExpiresAt)
		}
		h.clock.Set(*d.NextAttemptAt)
		h.work()
	}
	d := h.of(s, r)["session.cancelled"]
	if d.Status != delivery.Failed || d.AttemptCount != 8 || d.Reason() != delivery.TerminalFailureRetention || !d.PayloadHeld(h.clock.Now()) {
		t.Fatalf("after the last attempt: %+v", d)
	}
	bodies := map[string]bool{}
	for _, got := range r.seen() {
		bodies[got.body] = true
	}
	if len(r.seen()) != 8 || len(bodies) != 1 {
		t.Errorf("%d requests with %d different bodies, want 8 with one", len(r.seen()), len(bodies))
	}

	h.clock.Advance(time.Second) // attempts of one moment have no order
	retried, err := h.deliveries.Retry(t.Context(), h.owner, d.ID)
	h.check(err)
	if retried.Run != 2 || retried.AttemptCount != 0 || retried.LastStatusCode != nil {
		t.Errorf("retried %+v", retried)
	}
	h.deliver()
	r.status(http.StatusOK)
	h.clock.Set(*h.of(s, r)["session.cancelled"].NextAttemptAt)
	h.work()
	d = h.of(s, r)["session.cancelled"]
	if d.Status != delivery.Succeeded || d.Run != 2 || d.AttemptCount != 2 {
		t.Errorf("after the retry: %+v", d)
	}
	attempts, _, err := h.deliveries.Attempts(t.Context(), h.owner, d.ID, delivery.AttemptsPage{Limit: 100})
	h.check(err)
	if len(attempts) != 10 || attempts[8].Run != 2 || attempts[8].Number != 1 || attempts[9].Run != 2 || attempts[9].Number != 2 {
		t.Errorf("%d attempts, last %+v", len(attempts), attempts[len(attempts)-1])
	}
	for n, a := range attempts {
		want := delivery.Automatic
		if n == 8 { // only the one that the retry made due
			want = delivery.Manual
		}
		if a.Trigger != want {
			t.Errorf("attempt %d is %s, want %s", n+1, a.Trigger, want)
		}
	}
}

// Only the attempt that somebody asked for is named after it: those that its failure leads to are of the schedule (contract section 7.8).
func TestPipeline_AttemptsNameWhatMadeThemDue(t *testing.T) {
	t.Parallel()
	for trigger, again := range map[delivery.Trigger]func(*harness, delivery.Delivery) error{
		delivery.Manual: func(h *harness, d delivery.Delivery) error {
			_, err := h.deliveries.Retry(h.t.Context(), h.owner, d.ID)
			return err
		},
		delivery.Replay: func(h *harness, d delivery.Delivery) error {
			_, err := h.deliveries.Replay(h.t.Context(), h.owner, d.EventID)
			return err
		},
		delivery.Bulk: func(h *harness, _ delivery.Delivery) error {
			_, err := h.deliveries.CreateJob(h.t.Context(), h.owner, delivery.JobInput{Filters: delivery.JobFilters{Status: delivery.Pending}})
			h.check(err)
			for range 2 { // its first step starts its clock
				h.clock.Advance(time.Second)
				_, err = h.deliveries.RunJobs(h.t.Context(), 100)
				h.check(err)
			}
			return nil
		},
		delivery.TestSend: nil, // nothing but the first attempt
	} {
		t.Run(string(trigger), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			r := h.endpoint()
			r.status(http.StatusInternalServerError)
			first := delivery.Automatic
			if trigger == delivery.TestSend {
				first = delivery.TestSend
				_, err := h.deliveries.SendTest(t.Context(), h.owner, r.ID)
				h.check(err)
			} else {
				s, _ := h.open(verification.NewSession{})
				h.check(h.sessions.Cancel(t.Context(), h.engine, s.ID))
			}
			h.deliver()
			stored := func() delivery.Delivery {
				var d delivery.Delivery
				h.check(h.db.Reader(t.Context()).Raw("SELECT * FROM webhook_deliveries").Scan(&d).Error)
				return d
			}
			h.clock.Set(*stored().NextAttemptAt)
			h.work()
			want := []delivery.Trigger{first, delivery.Automatic}
			if again != nil { // ahead of its schedule, which then goes on
				h.clock.Advance(time.Second)
				h.check(again(h, stored()))
				h.deliver()
				h.clock.Set(*stored().NextAttemptAt)
				h.work()
				want = append(want, trigger, delivery.Automatic)
			}
			attempts, _, err := h.deliveries.Attempts(t.Context(), h.owner, stored().ID, delivery.AttemptsPage{Limit: 100})
			h.check(err)
			var got []delivery.Trigger
			for _, a := range attempts {
				got = append(got, a.Trigger)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("triggers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPipeline_EndpointWithoutKeyFailsClosed(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	with, without, former := h.endpoint(), h.keylessEndpoint(), h.endpoint()
	keys, err := h.webhooks.ListKeys(t.Context(), h.owner, former.ID, nil, postgres.Page{Limit: 1})
	h.check(err)
	_, err = h.webhooks.DeactivateKey(t.Context(), h.owner, keys.Rows[0].ID)
	h.check(err)
	s, _ := h.open(verification.NewSession{})
	h.check(h.sessions.Cancel(t.Context(), h.engine, s.ID))
	h.deliver()
	d := h.of(s, without)["session.cancelled"]
	for name, r := range map[string]*receiver{"without": without, "with an inactive": former} {
		d := h.of(s, r)["session.cancelled"]
		if d.Status != delivery.Failed || d.Reason() != delivery.NoActiveKey || d.State() != delivery.StateBlocked || len(r.seen()) != 0 {
			t.Errorf("delivery %s key: %+v, %d requests", name, d, len(r.seen()))
		}
	}
	if h.of(s, with)["session.cancelled"].Status != delivery.Succeeded {
		t.Error("the neighbour was affected")
	}
	e, err := event.Get(t.Context(), h.db, h.owner, d.EventID)
	h.check(err)
	reasons := map[event.Reason]int{}
	for _, route := range e.Routing {
		reasons[route.Reason]++
	}
	if diff := cmp.Diff(map[event.Reason]int{event.Subscribed: 1, event.NoActiveKey: 2}, reasons); diff != "" {
		t.Errorf("routing: %s", diff)
	}
	if _, err := h.deliveries.Retry(t.Context(), h.owner, d.ID); err == nil {
		t.Error("a delivery without payload was retried")
	}
}

// What cannot be encrypted fails its endpoint closed; the event says so, and its neighbour gets it. So it is for one session, and for so
// many that their events are on the way to Postgres before anything is encrypted.
func TestPipeline_FailedEncryptionFailsItsEndpointOnly(t *testing.T) {
	t.Parallel()
	for _, sessions := range []int{1, 5} {
		h := newHarness(t)
		good, broken := h.endpoint(), h.endpoint()
		fixture.Exec(t, h.db, "UPDATE webhook_encryption_keys SET modulus = '!' WHERE webhook_endpoint_id = $1", broken.ID)
		ended := make([]verification.Session, sessions)
		ids := make([]id.Session, sessions)
		for i := range ended {
			ended[i], _ = h.open(verification.NewSession{})
			ids[i] = ended[i].ID
		}
		_, refusals, err := h.sessions.ReportTogether(t.Context(), h.engine, ids, map[string]json.RawMessage{"kayle_document_id": []byte(`"` + documentID + `"`)}, []string{"kayle_document_id"})
		h.check(errors.Join(append(refusals, err)...))
		h.deliver()
		for _, s := range ended {
			sent, failed := h.of(s, good)["session.succeeded"], h.of(s, broken)["session.succeeded"]
			if sent.Status != delivery.Succeeded {
				t.Errorf("of %d: the neighbour has %+v", sessions, sent)
			}
			if failed.Status != delivery.Failed || failed.Reason() != delivery.JWECreationFailed || failed.State() != delivery.StateBlocked {
				t.Errorf("of %d: the failed one is %+v", sessions, failed)
			}
			e, err := event.Get(t.Context(), h.db, h.owner, sent.EventID)
			h.check(err)
			got := map[id.Endpoint]event.Route{}
			for _, route := range e.Routing {
				got[route.EndpointID] = route
			}
			want := map[id.Endpoint]event.Route{
				good.ID:   {EndpointID: good.ID, Decision: event.Delivered, Reason: event.Subscribed, DeliveryID: &sent.ID, CreatedAt: h.clock.Now()},
				broken.ID: {EndpointID: broken.ID, Decision: event.Skipped, Reason: event.EncryptionFailed, DeliveryID: &failed.ID, CreatedAt: h.clock.Now()},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("of %d: routing: %s", sessions, diff)
			}
		}
		if n, none := len(good.seen()), len(broken.seen()); n != sessions || none != 0 {
			t.Errorf("of %d: %d and %d requests", sessions, n, none)
		}
	}
}

// Reporting takes three round trips to Postgres: to begin and lock the sessions, to lock the organizations and read the recipients, to write and
// commit. Where there are many payloads, events are written in one of their own while those are encrypted.
func TestPipeline_ReportingTakesThreeRoundTripsOrFour(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sessions, keyed, keyless, want int }{
		{1, 1, 0, 3}, {7, 1, 0, 3}, {1, 7, 1, 3}, {8, 1, 0, 4}, {4, 2, 0, 4}, {1, 8, 0, 4},
	} {
		link := newLink(t, devtest.Database(t))
		h := newHarnessOn(t, link.url)
		for range c.keyed {
			h.endpoint()
		}
		for range c.keyless {
			h.keylessEndpoint()
		}
		least := math.MaxInt
		const times = 4 // at first statements are prepared, and the pool asks for a connection that was idle for a second whether it is alive
		for range times {
			ids := make([]id.Session, c.sessions)
			for i := range ids {
				s, _ := h.open(verification.NewSession{})
				ids[i] = s.ID
			}
			before := link.turns.Load()
			_, refusals, err := h.sessions.ReportTogether(t.Context(), h.engine, ids, map[string]json.RawMessage{"kayle_document_id": []byte(`"` + documentID + `"`)}, []string{"kayle_document_id"})
			h.check(errors.Join(append(refusals, err)...))
			least = min(least, int(link.turns.Load()-before))
		}
		if n := fixture.Scalar[int](t, h.db, "SELECT count(*) FROM webhook_deliveries"); n != times*c.sessions*(c.keyed+c.keyless) {
			t.Errorf("%+v: %d deliveries", c, n)
		}
		if least != c.want {
			t.Errorf("%+v: %d round trips", c, least)
		}
	}
}

func TestPipeline_DisabledEndpointParksAndResumes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	r.status(http.StatusBadGateway)
	s, _ := h.open(verification.NewSession{})
	h.check(h.sessions.Cancel(t.Context(), h.engine, s.ID))
	h.deliver()
	off, on := false, true
	_, err := h.webhooks.UpdateEndpoint(t.Context(), h.owner, r.ID, webhook.EndpointChange{Enabled: &off})
	h.check(err)
	if d := h.of(s, r)["session.cancelled"]; d.State() != delivery.StateParked || d.AttemptCount != 1 {
		t.Fatalf("parked: %+v", d)
	}
	h.clock.Advance(20 * time.Hour)
	h.work()
	r.status(http.StatusOK)
	_, err = h.webhooks.UpdateEndpoint(t.Context(), h.owner, r.ID, webhook.EndpointChange{Enabled: &on})
	h.check(err)
	h.deliver()
	if d := h.of(s, r)["session.cancelled"]; d.Status != delivery.Succeeded || d.AttemptCount != 2 {
		t.Errorf("after enable: %+v", d)
	}
}

func TestUpdateEndpoint_KeepsTheTransactionsTime(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	name := "new"
	changed, err := h.webhooks.UpdateEndpoint(t.Context(), h.owner, r.ID, webhook.EndpointChange{Name: &name})
	h.check(err)
	stored, err := h.webhooks.GetEndpoint(t.Context(), h.owner, r.ID)
	h.check(err)
	if !changed.UpdatedAt.Equal(h.clock.Now()) || !stored.UpdatedAt.Equal(changed.UpdatedAt) {
		t.Errorf("updated at %s, stored %s, want %s", changed.UpdatedAt, stored.UpdatedAt, h.clock.Now())
	}
	// What was returned is what the next change can be made on.
	_, err = h.webhooks.UpdateEndpoint(t.Context(), h.owner, r.ID, webhook.EndpointChange{Name: &name, ExpectedUpdatedAt: &changed.UpdatedAt})
	h.check(err)
}

func TestPipeline_DeletedEndpointHoldsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	r.status(http.StatusBadGateway)
	s, _ := h.open(verification.NewSession{})
	h.check(h.sessions.Cancel(t.Context(), h.engine, s.ID))
	h.deliver()
	h.check(h.webhooks.DeleteEndpoint(t.Context(), h.owner, r.ID))
	d := h.of(s, r)["session.cancelled"]
	if d.State() != delivery.StateEndpointDeleted || d.PayloadExpiresAt != nil {
		t.Errorf("delivery %+v", d)
	}
	secrets := fixture.Scalar[int](t, h.db, "SELECT count(*) FROM webhook_endpoints WHERE signing_secret IS NOT NULL")
	keys := fixture.Scalar[int](t, h.db, "SELECT count(*) FROM webhook_encryption_keys WHERE is_active")
	if secrets != 0 || keys != 0 {
		t.Errorf("%d secrets and %d active keys left", secrets, keys)
	}
	fixture.WantFault(t, h.webhooks.DeleteEndpoint(t.Context(), h.owner, r.ID), webhook.ErrEndpointNotFound)
}

func TestPipeline_LostWorkerIsMadeUpFor(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	s, _ := h.open(verification.NewSession{})
	h.check(h.sessions.Cancel(t.Context(), h.engine, s.ID))
	d := h.of(s, r)["session.cancelled"]
	for lost := 1; lost <= 3; lost++ {
		fixture.Exec(t, h.db, `UPDATE webhook_deliveries SET status = 'delivering', lease_token = gen_random_uuid(), lease_expires_at = $1, next_attempt_at = NULL WHERE id = $2`,
			h.clock.Now().Add(delivery.Lease), d.ID)
		h.clock.Advance(delivery.Lease)
		taken, err := h.deliveries.SweepLeases(t.Context(), 100)
		h.check(err)
		got := h.of(s, r)["session.cancelled"]
		counted := 0
		if lost == 3 {
			counted = 1
		}
		if taken != 1 || got.Status != delivery.Pending || got.AttemptCount != counted {
			t.Fatalf("after loss %d: took %d, %s with %d attempts", lost, taken, got.Status, got.AttemptCount)
		}
	}
	h.clock.Advance(10 * time.Second)
	h.work()
	if d = h.of(s, r)["session.cancelled"]; d.Status != delivery.Succeeded || d.AttemptCount != 2 {
		t.Errorf("in the end: %+v", d)
	}
}

func TestPipeline_ExpiryIsSweptAndLazy(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	swept, _ := h.open(verification.NewSession{})
	lazy, _ := h.open(verification.NewSession{})
	h.clock.Advance(verification.TTL)
	_, err := h.sessions.Start(t.Context(), h.engine, lazy.ID)
	fixture.WantFault(t, err, verification.ErrExpired)
	n, err := h.sessions.ExpireOverdue(t.Context(), 100)
	h.check(err)
	if n != 1 {
		t.Errorf("swept %d sessions, want 1", n)
	}
	h.deliver()
	for _, s := range []verification.Session{swept, lazy} {
		if h.reload(s).Status != verification.Expired || h.of(s, r)["session.expired"].Status != delivery.Succeeded {
			t.Errorf("session %s is %s", s.ID, h.reload(s).Status)
		}
	}
}

func TestPipeline_PayloadSweepEndsWhatIsPastItsTime(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	s, _ := h.open(verification.NewSession{})
	h.check(h.sessions.Cancel(t.Context(), h.engine, s.ID))
	h.clock.Advance(delivery.Window() + 72*time.Hour)
	n, err := h.deliveries.SweepPayloads(t.Context(), 500)
	h.check(err)
	if d := h.of(s, r)["session.cancelled"]; n != 1 || d.State() != delivery.StateExpired || d.NextAttemptAt != nil {
		t.Errorf("swept %d, delivery %+v", n, d)
	}
}

func TestCheckFailures_EndTheSessionOnlyWhenTheBudgetIsUsed(t *testing.T) {
	t.Parallel()
	for code, want := range map[verification.FailureCode]int{
		verification.DocumentAuthenticityFailed:           3,
		verification.DocumentActiveAuthenticationFailed:   3,
		verification.DocumentChipAuthenticationFailed:     3,
		verification.LivenessFailed:                       3,
		verification.SelfieFaceMismatch:                   3,
		verification.DocumentAntiCloningAttestationFailed: 1,
		verification.DocumentDataInvalid:                  0,
	} {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			r := h.endpoint()
			s, _ := h.open(verification.NewSession{})
			for i := 1; i <= 4; i++ {
				got, err := h.sessions.ReportFailure(t.Context(), h.engine, s.ID, code)
				if want > 0 && i > want {
					fixture.WantFault(t, err, verification.ErrNotActive)
					continue
				}
				h.check(err)
				ended := want > 0 && i == want
				if (got.Status == verification.Failed) != ended {
					t.Fatalf("after report %d the session is %s", i, got.Status)
				}
			}
			h.deliver()
			if want == 0 {
				if len(r.seen()) != 0 {
					t.Error("a non-terminal failure created an event")
				}
				return
			}
			var data event.FailedData
			h.check(json.Unmarshal(r.seen()[0].payload.Data, &data))
			if data.FailureCode != string(code) {
				t.Errorf("data %+v", data)
			}
		})
	}
}

func TestSuccess_BadClaimsStoreNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.endpoint()
	s, _ := h.open(verification.NewSession{ShareFields: json.RawMessage(`{"family_name":{"required":true,"reason":"contract"},"age_over_18":{"required":false,"reason":"age"}}`)})
	ok := json.RawMessage(`"` + documentID + `"`)
	for name, c := range map[string]struct {
		claims   map[string]json.RawMessage
		selected []string
		field    string
	}{
		"missing required":  {map[string]json.RawMessage{"kayle_document_id": ok}, []string{"kayle_document_id"}, "selected_field_keys"},
		"wrong type":        {map[string]json.RawMessage{"kayle_document_id": ok, "family_name": []byte(`7`)}, []string{"kayle_document_id", "family_name"}, "claims.family_name"},
		"selected but gone": {map[string]json.RawMessage{"kayle_document_id": ok}, []string{"kayle_document_id", "family_name"}, "claims.family_name"},
		"not selected":      {map[string]json.RawMessage{"kayle_document_id": ok, "family_name": []byte(`"DOE"`), "age_over_18": []byte(`true`)}, []string{"kayle_document_id", "family_name"}, "claims.age_over_18"},
		"not in contract":   {map[string]json.RawMessage{"kayle_document_id": ok, "family_name": []byte(`"DOE"`), "given_names": []byte(`"J"`)}, []string{"kayle_document_id", "family_name"}, "claims"},
		"repeated":          {map[string]json.RawMessage{"kayle_document_id": ok, "family_name": []byte(`"DOE"`)}, []string{"kayle_document_id", "family_name", "family_name"}, "selected_field_keys"},
		"unknown selected":  {map[string]json.RawMessage{"kayle_document_id": ok, "family_name": []byte(`"DOE"`)}, []string{"kayle_document_id", "family_name", "x"}, "selected_field_keys"},
	} {
		_, err := h.sessions.ReportSuccess(t.Context(), h.engine, s.ID, c.claims, c.selected)
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		fixture.WantField(t, err, c.field)
	}
	if got := h.reload(s); got.Status != verification.Created {
		t.Errorf("the session is %s", got.Status)
	}
	if n := fixture.Scalar[int](t, h.db, "SELECT count(*) FROM events"); n != 0 {
		t.Errorf("%d events", n)
	}
}

// Sessions whose success is reported in one transaction are each held to their own share contract, and shown with it.
func TestSuccess_HoldsEachSessionToItsOwnContract(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.endpoint()
	narrow := json.RawMessage(`{"family_name":{"required":true,"reason":"contract"}}`)
	wide := json.RawMessage(`{"family_name":{"required":true,"reason":"contract"},"given_names":{"required":false,"reason":"letters"}}`)
	var ids []id.Session
	var want []verification.ShareFields
	for _, contract := range []json.RawMessage{narrow, wide, nil, narrow, wide} {
		s, _ := h.open(verification.NewSession{ShareFields: contract})
		ids, want = append(ids, s.ID), append(want, s.ShareFields)
	}
	claims := map[string]json.RawMessage{"family_name": []byte(`"DOE"`), "given_names": []byte(`"JANE"`), "kayle_document_id": []byte(`"` + documentID + `"`)}
	sessions, refusals, err := h.sessions.ReportTogether(t.Context(), h.engine, ids, claims, []string{"kayle_document_id", "family_name", "given_names"})
	h.check(err)
	for i, refused := range []bool{true, false, false, true, false} {
		if (refusals[i] != nil) != refused {
			t.Errorf("report %d: %v", i, refusals[i])
		}
		if diff := cmp.Diff(want[i], sessions[i].ShareFields); diff != "" {
			t.Errorf("report %d has another contract: %s", i, diff)
		}
		stored := h.reload(sessions[i])
		if diff := cmp.Diff(stored, sessions[i]); diff != "" {
			t.Errorf("report %d is not shown as it is stored: %s", i, diff)
		}
	}
}

// Each claim in the forms that it may and may not have when it is selected (contract section 3.2). A good one arrives as it was given.
func TestSuccess_HoldsEachClaimToItsForm(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	quoted := func(text string) string { return `"` + text + `"` }
	long, tooLong := quoted(strings.Repeat("É", 512)), quoted(strings.Repeat("É", 513)) // counted in characters, not in bytes
	noText := []string{`null`, `7`, `true`, `[]`, `{}`, `["P"]`}
	for key, c := range map[string]struct{ good, bad []string }{
		"document_type_code":   {[]string{`"P"`, `"ID"`, long}, []string{`""`, tooLong}},
		"document_number":      {[]string{`"L01X00T47"`, long}, []string{`""`, tooLong}},
		"family_name":          {[]string{`"DOE"`, long}, []string{`""`, tooLong}},
		"given_names":          {[]string{`"JANE<ANN"`, `""`, long}, []string{tooLong}},
		"mrz_optional_data":    {[]string{`"<<<1"`, `""`, long}, []string{tooLong}},
		"issuing_country_code": {[]string{`"D"`, `"GB"`, `"UTO"`}, []string{`""`, `"ABCD"`, `"D<<"`, `"D1"`, `"Ö"`, `" D"`, `"D\n"`}},
		"nationality_code":     {[]string{`"D"`, `"GB"`, `"UTO"`}, []string{`""`, `"ABCD"`, `"D<<"`, `"D1"`, `"Ö"`, `" D"`, `"D\n"`}},
		"date_of_birth":        {[]string{`"1999-12-31"`, `"2000-02-29"`}, []string{`""`, `"1900-02-29"`, `"1999-13-01"`, `"1999-1-1"`, `"19991231"`, `"991231"`, `"1999-12-31T00:00:00Z"`, `"1999-12-31 "`}},
		"document_expiry_date": {[]string{`"2031-01-01"`, `"2028-02-29"`}, []string{`""`, `"2031-02-29"`, `"2031-00-01"`, `"2031-1-1"`, `"20310101"`, `"310101"`, `"2031-01-01T00:00:00Z"`, `"2031-01-01 "`}},
		"sex_marker":           {[]string{`"M"`, `"F"`, `"X"`, `"<"`, `"É"`}, []string{`""`, `"MF"`, `" M"`}},
		"kayle_document_id":    {[]string{quoted(documentID)}, []string{`""`, quoted(documentID[1:]), quoted(documentID + "0"), quoted(strings.ToUpper(documentID)), quoted(documentID[1:] + "g")}},
		"kayle_human_id":       {[]string{`null`}, []string{`""`, `"human"`, quoted(documentID), `0`, `false`}},
		"age_over_18":          {[]string{`true`, `false`}, []string{`null`, `"true"`, `""`, `1`, `0`, `[true]`}},
	} {
		if key != "kayle_human_id" && key != "age_over_18" {
			c.bad = append(c.bad, noText...)
		}
		var in verification.NewSession // asks for every claim that is no age gate
		if key == "age_over_18" {
			in.ShareFields = json.RawMessage(`{"age_over_18":{"required":false,"reason":"age"}}`)
		}
		report := func(s verification.Session, value string) error {
			claims := map[string]json.RawMessage{"kayle_document_id": []byte(quoted(documentID))}
			claims[key] = []byte(value)
			selected := []string{"kayle_document_id"}
			if key != "kayle_document_id" {
				selected = append(selected, key)
			}
			_, err := h.sessions.ReportSuccess(t.Context(), h.engine, s.ID, claims, selected)
			return err
		}
		s, _ := h.open(in)
		for _, value := range c.bad {
			err := report(s, value)
			if err == nil {
				t.Errorf("%s: %.40s was accepted", key, value)
				s, _ = h.open(in)
				continue
			}
			fixture.WantField(t, err, "claims."+key)
		}
		for _, value := range c.good {
			s, _ := h.open(in)
			if err := report(s, value); err != nil {
				t.Errorf("%s: %.40s was refused: %v", key, value, err)
				continue
			}
			h.deliver()
			seen := r.seen()
			var data struct{ Claims map[string]json.RawMessage }
			h.check(json.Unmarshal(seen[len(seen)-1].payload.Data, &data))
			var want, got any
			h.check(json.Unmarshal([]byte(value), &want))
			h.check(json.Unmarshal(data.Claims[key], &got))
			if got != want {
				t.Errorf("%s: %.40s arrived as %.40s", key, value, data.Claims[key])
			}
		}
	}
}

func TestOperations_AskForTheirScope(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s, _ := h.open(verification.NewSession{})
	none := access.Actor{Type: access.APIKey, Organization: h.owner.Organization, Scopes: []access.Scope{access.AnalyticsRead}}
	other := access.Actor{Type: access.APIKey, Scopes: access.Scopes()}
	other.Organization, _ = fixture.Organization(t, h.db)
	ops := map[string]func(access.Actor) error{
		"get":   func(a access.Actor) error { _, err := h.sessions.Get(t.Context(), a, s.ID); return err },
		"start": func(a access.Actor) error { _, err := h.sessions.Start(t.Context(), a, s.ID); return err },
		"fail": func(a access.Actor) error {
			_, err := h.sessions.ReportFailure(t.Context(), a, s.ID, verification.LivenessFailed)
			return err
		},
		"cancel": func(a access.Actor) error { return h.sessions.Cancel(t.Context(), a, s.ID) },
	}
	for name, op := range ops {
		if err := op(none); err == nil {
			t.Errorf("%s: allowed without scope", name)
		}
		fixture.WantFault(t, op(other), verification.ErrNotFound)
	}
	if got := h.reload(s); got.Status != verification.Created {
		t.Errorf("the session is %s", got.Status)
	}
}

func TestReceived_TellsTestsFromSessions(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	want := func(sessions, tests bool) {
		t.Helper()
		gotSessions, gotTests, err := h.deliveries.Received(t.Context(), h.owner)
		h.check(err)
		if gotSessions != sessions || gotTests != tests {
			t.Errorf("sessions %t, tests %t; want %t and %t", gotSessions, gotTests, sessions, tests)
		}
	}
	_, err := h.deliveries.SendTest(t.Context(), h.owner, r.ID)
	h.check(err)
	want(false, false) // created, not received
	h.deliver()
	want(false, true)
	s, _ := h.open(verification.NewSession{})
	h.succeed(s)
	h.deliver()
	want(true, true)
}
