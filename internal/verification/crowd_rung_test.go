package verification_test

import (
	"encoding/json"
	"errors"
	"testing"

	"kaylehooks/internal/id"
	"kaylehooks/internal/verification"
)

// TestReportSuccess_TellsTheBellOfACrowd: of one that is back, and of no other.
func TestReportSuccess_TellsTheBellOfACrowd(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.endpoint()
	h.endpoint()
	claims, selected := map[string]json.RawMessage{"kayle_document_id": []byte(`"` + documentID + `"`)}, []string{"kayle_document_id"}
	for awaited, crowd := range map[int]bool{0: false, 1: true, 2: false} {
		s, _ := h.open(verification.NewSession{})
		h.rung = nil
		h.sessions.Await(awaited)
		_, refusals, err := h.sessions.ReportTogether(t.Context(), h.engine, []id.Session{s.ID}, claims, selected)
		h.check(errors.Join(append(refusals, err)...))
		if len(h.rung) != 2 || h.rung[0].Crowd != crowd || h.rung[1].Crowd != crowd {
			t.Errorf("one of %d awaited is rung for as %+v, want twice, of a crowd: %t", awaited, h.rung, crowd)
		}
	}
	s, _ := h.open(verification.NewSession{})
	h.rung = nil
	h.succeed(s)
	if len(h.rung) != 2 || h.rung[0].Crowd {
		t.Errorf("one alone is rung for as %+v", h.rung)
	}
}
