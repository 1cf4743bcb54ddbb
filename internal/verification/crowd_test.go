package verification_test

import (
	"testing"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/event"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
)

// TestPublish_TellsACrowdFromAFew publishes for sessions of one transaction.
func TestPublish_TellsACrowdFromAFew(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.endpoint()
	h.endpoint()
	for sessions, crowd := range map[int]bool{1: false, delivery.Crowd - 1: false, delivery.Crowd: true} {
		var publications []delivery.Publication
		for range sessions {
			s, _ := h.open(verification.NewSession{})
			publications = append(publications, delivery.Publication{Organization: h.owner.Organization, Session: s.ID, Data: event.ExpiredData{}})
		}
		h.rung = nil
		h.check(h.db.InTx(t.Context(), func(tx *postgres.Tx) error {
			_, err := h.deliveries.PublishSessions(tx, publications)
			return err
		}))
		if len(h.rung) != 2*sessions {
			t.Fatalf("rung for %d deliveries of %d sessions at two endpoints", len(h.rung), sessions)
		}
		for _, due := range h.rung {
			if due.Crowd != crowd {
				t.Errorf("a delivery of one of %d sessions is rung for as a crowd's: %t", sessions, due.Crowd)
			}
		}
	}
}
