package dashboard

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/webhook"
)

// fakeQueue is a task queue of one lane.
type fakeQueue struct {
	mu     sync.Mutex
	paused bool
	away   bool
	seen   time.Time
}

func (q *fakeQueue) Snapshot(context.Context) (QueueSnapshot, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.away {
		return QueueSnapshot{}, errors.New("redis is away")
	}
	return QueueSnapshot{
		Queues:  []QueueState{{Name: "fresh", Purpose: "First attempts", Paused: q.paused, Pending: 3, Oldest: 400 * time.Millisecond, ProcessedToday: 4839, MemoryBytes: 12_700}},
		Workers: []WorkerState{{Name: "wk-1", Host: "app-1", Queues: []string{"fresh", "retry"}, Busy: 4, Size: 64, SeenAt: q.seen, StartedAt: q.seen.Add(-time.Hour)}},
		Redis:   []QueueFact{{"Version", "7.4.1"}},
	}, nil
}

func (q *fakeQueue) SetPaused(_ context.Context, _ string, paused bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = paused
	return nil
}

func TestQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint("risk", false)
	w.fail()
	b := w.as(w.owner)
	w.as(w.member).get("/queue").is(http.StatusForbidden)
	b.get("/queue").is(http.StatusOK).shows("Redis is not configured", "Due now").hides("Open monitor")
	b.post("/queue/fresh/pause").is(http.StatusNotFound)

	q := &fakeQueue{seen: w.clock.Now()}
	w.handler.Queue = q
	b.get("/queue").is(http.StatusOK).shows("fresh", "First attempts", "400 ms", "4,839", "wk-1", "4 of 64", "7.4.1", "Open monitor", "Pause the queue fresh").hides("Redis is not configured", "No worker is running")
	b.fragment("/queue").is(http.StatusOK).shows("fresh").hides("<html")
	a := w.as(w.admin)
	a.get("/queue").is(http.StatusOK).shows("Needs the role owner.")
	a.post("/queue/fresh/pause").is(http.StatusForbidden)
	b.post("/queue/fresh/pause").redirects("/queue")
	b.get("/queue").shows("The queue fresh is paused.", "Paused")
	b.post("/queue/fresh/pause").redirects("/queue")
	b.get("/queue").shows("is paused already")
	b.post("/queue/fresh/resume").redirects("/queue")
	b.post("/queue/other/pause").is(http.StatusNotFound)
	if n := fixture.Audited(t, w.db, w.org, "queue.paused"); n != 1 {
		t.Errorf("%d pauses are audited, want 1", n)
	}

	w.clock.Advance(2 * time.Minute)
	b.get("/queue").is(http.StatusOK).shows("No worker is running", "Silent", "bin/web worker")
	q.mu.Lock()
	q.seen = w.clock.Now()
	q.mu.Unlock()
	b.get("/queue").is(http.StatusOK).shows("Deliveries wait longer than they should", "2 min")
	q.mu.Lock()
	q.away = true
	q.mu.Unlock()
	b.get("/queue").is(http.StatusOK).shows("Redis does not answer", "Nothing is lost")
	b.post("/queue/fresh/pause").is(http.StatusConflict)
}

func TestReceivers_SamplesAndChecker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.as(w.member)
	b.get("/help/receivers").is(http.StatusOK).shows("There is no endpoint yet", "your-key-id", "hmac.Equal", "verification.session.cancelled").hides("Check a signature")
	e, secret := w.endpoint("risk", false)
	keyless, _ := w.endpoint("keyless", true)
	b.get("/help/receivers?endpoint="+e.ID.String()+"&lang=node").is(http.StatusOK).shows("risk-key", "timingSafeEqual", "Check a signature").hides(secret)
	b.get("/help/receivers?lang=python").is(http.StatusOK).shows("hmac.compare_digest")
	b.get("/help/receivers?endpoint=" + keyless.ID.String()).is(http.StatusOK).shows("keyless has no active key yet")

	w.fail()
	w.work()
	body := string(w.sender.last.Body)
	signature := w.sender.last.Header.Get(webhook.SignatureHeader)
	check := func(endpoint, signature, body string) answer {
		return b.post("/help/receivers/check", "endpoint", endpoint, "signature", signature, "body", body)
	}
	check(e.ID.String(), signature, body).is(http.StatusOK).shows("The signature is right", "It is the active key.", "Only you can").hides(secret)
	check(e.ID.String(), "X-Kayle-Signature: "+signature, body).is(http.StatusOK).shows("The signature is right")
	check(e.ID.String(), signature, body+"\n").is(http.StatusOK).shows("The signature is not right", "spaces or a line break at an end")
	check(keyless.ID.String(), signature, body).is(http.StatusOK).shows("The signature is not right", "another endpoint or system")
	check(e.ID.String(), "v1=00", body).is(http.StatusOK).shows("There is no t.")
	check(e.ID.String(), signature, "plain text").is(http.StatusOK).shows("It has 1 part joined by dots; a compact JWE has five.")
	check(e.ID.String(), "", "").is(http.StatusUnprocessableEntity).shows("Paste the value of the header.", "Paste the body.")
	_, private := keyPair(t)
	check(e.ID.String(), signature, private).is(http.StatusUnprocessableEntity).shows("treat it as exposed").hides(strings.Split(private, "\n")[1])
	w.clock.Advance(10 * time.Minute)
	check(e.ID.String(), signature, body).is(http.StatusOK).shows("The signature is right, but not fresh")
	a := b.postAs("/help/receivers/check", []string{"HX-Request", "true"}, "csrf_token", b.csrf, "endpoint", e.ID.String(), "signature", signature, "body", body)
	a.is(http.StatusOK).shows("not fresh").hides("<html")

	x := w.stranger()
	x.get("/help/receivers").is(http.StatusOK).hides("risk")
	x.post("/help/receivers/check", "endpoint", e.ID.String(), "signature", signature, "body", body).is(http.StatusNotFound)
}
