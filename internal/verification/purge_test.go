package verification_test

import (
	"testing"
	"time"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
)

// duringPurge redeems the token while a transaction that purges is open, and commits that one once the redemption waits for it.
func (h *harness) duringPurge(s verification.Session, token string, purge func(tx *postgres.Tx) (int64, error)) error {
	h.t.Helper()
	redeemed := make(chan error, 1)
	h.check(h.db.InTx(h.t.Context(), func(tx *postgres.Tx) error {
		n, err := purge(tx)
		if n != 1 {
			h.t.Errorf("purged %d rows, want 1", n)
		}
		if err != nil {
			return err
		}
		go func() { redeemed <- h.redeem(s, token) }()
		fixture.AwaitLocks(h.t, h.db, 1)
		return nil
	}))
	return <-redeemed
}

func (h *harness) ended() (verification.Session, string, *receiver) {
	h.t.Helper()
	r := h.endpoint()
	s, token := h.open(verification.NewSession{})
	h.succeed(s)
	h.deliver()
	h.clock.Advance(time.Second)
	return s, token, r
}

func TestRedeem_MeetsThePurgeOfItsEvent(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s, token, r := h.ended()
	h.check(h.duringPurge(s, token, func(tx *postgres.Tx) (int64, error) {
		events, _, err := delivery.PurgeEvents(tx, h.db.Now(), 10)
		return events, err
	}))
	if got := h.reload(s); got.Status != verification.Succeeded || got.CancelTokenConsumedAt == nil {
		t.Errorf("session %+v", got)
	}
	if n := fixture.Scalar[int](t, h.db, "SELECT count(*) FROM events"); n != 0 || len(h.of(s, r)) != 0 {
		t.Errorf("%d events and %d deliveries after the purge", n, len(h.of(s, r)))
	}
	if n := fixture.Audited(t, h.db, h.owner.Organization, "session.privacy_request.submitted"); n != 1 {
		t.Errorf("%d audit rows, want 1", n)
	}
}

func TestRedeem_MeetsThePurgeOfItsSession(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	s, token, _ := h.ended()
	h.check(h.db.InTx(t.Context(), func(tx *postgres.Tx) error {
		_, _, err := delivery.PurgeEvents(tx, h.db.Now(), 10)
		return err
	}))
	err := h.duringPurge(s, token, func(tx *postgres.Tx) (int64, error) { return verification.Purge(tx, h.db.Now(), 10) })
	fixture.WantFault(t, err, verification.ErrPublicNotFound)
}

// The withdrawal came first: the purge leaves the event and its deliveries, if there are any, to a later run.
func TestPurgeEvents_LeavesWhatIsBeingWithdrawn(t *testing.T) {
	t.Parallel()
	for _, sent := range []int64{1, 0} {
		h := newHarness(t)
		if sent > 0 {
			h.endpoint()
		}
		s, token := h.open(verification.NewSession{})
		h.succeed(s)
		h.clock.Advance(time.Second)
		h.deliver()
		h.check(h.db.InTx(t.Context(), func(tx *postgres.Tx) error {
			if _, fates, err := h.deliveries.Withdraw(tx, h.owner.Organization, s.ID); err != nil || int64(len(fates)) != sent {
				t.Errorf("withdrew %v, %v", fates, err)
			}
			return h.db.InTx(t.Context(), func(other *postgres.Tx) error {
				if events, deliveries, err := delivery.PurgeEvents(other, h.db.Now(), 10); events+deliveries != 0 || err != nil {
					t.Errorf("purged %d events, %d deliveries, %v", events, deliveries, err)
				}
				return nil
			})
		}))
		h.check(h.redeem(s, token))
		if n := fixture.Scalar[int64](t, h.db, "SELECT count(*) FROM webhook_deliveries"); n != sent {
			t.Errorf("%d deliveries, want %d", n, sent)
		}
	}
}
