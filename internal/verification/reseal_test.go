package verification_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

// worker is the delivery room of a process with these master keys.
func (h *harness) worker(k *seal.Keyring) *delivery.Service {
	return delivery.New(delivery.Config{
		DB: h.db, Keyring: k, AllowPrivate: true, Worker: "test",
		Sender: egress.New(egress.Options{Policy: egress.Policy{AllowPrivate: true}, Now: h.clock.Now}),
	})
}

// Master keys are rotated while deliveries are claimed and sent: every one opens its secret and is signed with it, before
// the sweep over the secrets, during it, and after the old key is gone.
func TestRotation_NoDeliveryFailsWhileItRuns(t *testing.T) {
	t.Parallel()
	h := newHarness(t) // under the master key "test"
	r := h.endpoint()
	former := r.secret
	rotated, err := h.webhooks.RotateSecret(t.Context(), h.owner, r.ID, 24, false)
	h.check(err)

	send := func() delivery.Due {
		t.Helper()
		_, err := h.deliveries.SendTest(t.Context(), h.owner, r.ID)
		h.check(err)
		due := h.rung[len(h.rung)-1]
		h.rung = nil
		return due
	}
	deliver := func(w *delivery.Service, due delivery.Due) {
		if err := deliverOne(t.Context(), w, due.DeliveryID, func(delivery.Sent) {}); err != nil {
			t.Error(err)
		}
	}
	reseal := func(k *seal.Keyring) int {
		var moved webhook.Resealed
		if err := h.db.InTx(t.Context(), func(tx *postgres.Tx) (err error) {
			moved, err = webhook.ResealSecrets(tx, k, h.owner.Organization)
			return err
		}); err != nil {
			t.Error(err)
		}
		return moved.Moved
	}
	both, back := fixture.KeyringOf("new", "test"), fixture.KeyringOf("test", "new")
	deliver(h.worker(both), send()) // before

	// One is claimed under the old key and waits at its receiver until the sweep is over.
	arrived, goOn := make(chan struct{}), make(chan struct{})
	r.mu.Lock()
	r.answer = func(w http.ResponseWriter, _ received) {
		close(arrived)
		<-goOn
		w.WriteHeader(http.StatusNoContent)
	}
	r.mu.Unlock()
	held := send()
	var inFlight sync.WaitGroup
	inFlight.Go(func() { deliver(h.worker(both), held) })
	<-arrived
	if moved := reseal(both); moved != 2 {
		t.Errorf("moved %d secrets, want 2", moved)
	}
	close(goOn)
	inFlight.Wait()

	// Many are claimed while secrets move back and forth.
	r.status(http.StatusNoContent)
	var dues []delivery.Due
	for range 30 {
		dues = append(dues, send())
	}
	var sending, moving sync.WaitGroup
	done := make(chan struct{})
	moving.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				reseal(back)
				reseal(both)
			}
		}
	})
	shared := h.worker(both)
	for _, due := range dues {
		sending.Go(func() { deliver(shared, due) })
	}
	sending.Wait()
	close(done)
	moving.Wait()

	reseal(both)
	deliver(h.worker(fixture.KeyringOf("new")), send()) // after, without the old key

	if len(r.seen()) != 33 {
		t.Errorf("%d requests arrived, want 33", len(r.seen()))
	}
	for _, got := range r.seen() {
		if diff := cmp.Diff(webhook.Sign([]string{rotated.Secret, former}, h.clock.Now().Unix(), got.body), got.header.Get("X-Kayle-Signature")); diff != "" {
			t.Errorf("signature (-want +got)\n%s", diff)
		}
	}
	if n := fixture.Scalar[int](t, h.db, "SELECT count(*) FROM webhook_deliveries WHERE status <> 'succeeded'"); n != 0 {
		t.Errorf("%d deliveries did not succeed", n)
	}
}

func TestCountByMasterKey_CountsTokensThatMayComeAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.open(verification.NewSession{})
	used, token := h.open(verification.NewSession{})
	h.check(h.sessions.Redeem(t.Context(), h.engine, used.ID, token))
	h.sessions.Keyring = fixture.KeyringOf("new", "test")
	h.open(verification.NewSession{})
	got, err := verification.CountByMasterKey(h.db.Reader(t.Context()))
	h.check(err)
	if diff := cmp.Diff(map[string]int64{"test": 2, "new": 1}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A withdrawal after the event is gone finds nothing to withdraw, and says so to nobody.
func TestPurge_AWithdrawalAfterwardsIsHarmless(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	r := h.endpoint()
	s, token := h.open(verification.NewSession{})
	h.succeed(s)
	h.deliver()
	h.clock.Advance(time.Second)
	before := h.db.Now()
	h.check(h.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		if n, err := verification.Purge(tx, before, 10); n != 0 || err != nil {
			t.Errorf("a session with its event was purged: %d, %v", n, err)
		}
		if events, deliveries, err := delivery.PurgeEvents(tx, before, 10); events != 1 || deliveries != 1 || err != nil {
			t.Errorf("purged %d events, %d deliveries, %v", events, deliveries, err)
		}
		return nil
	}))
	h.check(h.sessions.Redeem(t.Context(), h.engine, s.ID, token))
	if got := h.reload(s); got.Status != verification.Succeeded || got.CancelTokenConsumedAt == nil {
		t.Errorf("session is %+v", got)
	}
	if len(r.seen()) != 1 || len(h.of(s, r)) != 0 {
		t.Errorf("%d requests, deliveries %v", len(r.seen()), h.of(s, r))
	}
	if _, err := event.Original(h.db.Reader(t.Context()), s.ID); err == nil {
		t.Error("the event is back")
	}
}
