package verification_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

// What one result costs in memory on its way from the report to the recorded attempt, a receiver in this process included. The limits
// are some three times what it was when they were set; they are there to notice a leak or a copy of everything, not a percent.
const (
	allocatedBytesLimit   = 600_000
	allocatedObjectsLimit = 4_500
)

// It counts what the whole process allocates, so nothing may run beside it.
func TestWritePath_AllocatesABoundedAmountPerDelivery(t *testing.T) { //nolint:paralleltest // see above
	h := newHarness(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	e, _, err := h.webhooks.CreateEndpoint(t.Context(), h.owner, webhook.NewEndpoint{URL: server.URL})
	h.check(err)
	_, err = h.webhooks.AddKey(t.Context(), h.owner, e.ID, publicKey("k1"))
	h.check(err)
	deliver := func(sessions []verification.Session) {
		for _, s := range sessions {
			h.succeed(s)
		}
		h.deliver()
	}
	const warmUp, measured = 20, 100
	sessions := make([]verification.Session, warmUp+measured)
	for i := range sessions {
		sessions[i], _ = h.open(verification.NewSession{})
	}
	deliver(sessions[:warmUp])
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	deliver(sessions[warmUp:])
	runtime.ReadMemStats(&after)
	bytes, objects := (after.TotalAlloc-before.TotalAlloc)/measured, (after.Mallocs-before.Mallocs)/measured
	t.Logf("%d bytes in %d objects per delivery", bytes, objects)
	if bytes > allocatedBytesLimit || objects > allocatedObjectsLimit {
		t.Errorf("a delivery allocates %d bytes in %d objects, want at most %d in %d", bytes, objects, allocatedBytesLimit, allocatedObjectsLimit)
	}
	for _, s := range sessions {
		var succeeded int
		h.check(h.db.Reader(t.Context()).Raw("SELECT count(*) FROM webhook_deliveries d JOIN events e ON e.id = d.event_id WHERE e.trigger_id = $1 AND d.status = 'succeeded'", s.ID).Scan(&succeeded).Error)
		if succeeded != 1 {
			t.Fatalf("%d deliveries of %s succeeded", succeeded, s.ID)
		}
	}
}
