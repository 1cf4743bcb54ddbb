package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

// scripted answers requests as it is told, without a network.
type scripted struct {
	clock *fixture.Clock
	mu    sync.Mutex
	next  egress.Result
	last  egress.Request
}

// Post implements delivery.Sender.
func (s *scripted) Post(_ context.Context, r egress.Request) egress.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = r
	out := s.next
	if r.Confidential { // the promise of [egress.Client], which this stands in for
		out.Header, out.Body = nil, nil
	}
	out.StartedAt = s.clock.Now()
	return out
}

// answers makes the receiver answer with a status and body from now on.
func (s *scripted) answers(status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := func(n int) *time.Duration { d := time.Duration(n) * time.Millisecond; return &d }
	s.next = egress.Result{
		StatusCode: status, Duration: 120 * time.Millisecond, RemoteAddress: "198.51.100.4:443", Header: map[string]string{"date": "Mon, 02 Mar 2026 09:30:00 GMT"},
		Timing: egress.Timing{DNS: ms(4), Connect: ms(20), TLS: ms(30), FirstByte: ms(60)},
	}
	if body != "" {
		s.next.Body = []byte(body)
	}
	if status < 200 || status > 299 {
		s.next.ErrorKind = egress.ErrorKind(delivery.HTTPStatus)
	}
}

// world is a site with rooms that can be driven past the pages.
type world struct {
	*site
	sender *scripted
	engine access.Actor // an API key with every scope
	member access.Actor
	admin  access.Actor
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{site: newOrg(t)}
	w.sender = &scripted{clock: w.clock}
	w.sender.answers(http.StatusNoContent, "")
	w.handler.Deliveries.Sender = w.sender
	w.handler.Deliveries.Settler = w.handler.Sessions
	w.engine = access.Actor{Type: access.APIKey, Organization: w.org, ID: "key_test", Name: "engine", Scopes: access.Scopes()}
	w.member, w.admin = fixture.User(t, w.db, w.org, access.Member), fixture.User(t, w.db, w.org, access.Admin)
	return w
}

func (w *world) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// endpoint adds an endpoint that takes every type; keyless without a key.
func (w *world) endpoint(name string, keyless bool) (webhook.Endpoint, string) {
	w.t.Helper()
	e, secret, err := w.handler.Webhooks.CreateEndpoint(w.t.Context(), w.owner, webhook.NewEndpoint{Name: &name, URL: "https://hooks.example.com/" + name})
	w.check(err)
	if !keyless {
		_, err := w.handler.Webhooks.AddKey(w.t.Context(), w.owner, e.ID, webhook.PublicKeyInput{KeyID: name + "-key", Algorithm: "RSA-OAEP-256", KeyType: "RSA", JWK: fixture.PublicJWK()})
		w.check(err)
	}
	return e, secret
}

func (w *world) open() verification.Session {
	w.t.Helper()
	s, _, err := w.handler.Sessions.Create(w.t.Context(), w.engine, verification.NewSession{})
	w.check(err)
	return s
}

// fail ends a new session with a failed check.
func (w *world) fail() verification.Session {
	w.t.Helper()
	s := w.open()
	_, err := w.handler.Sessions.ReportFailure(w.t.Context(), w.engine, s.ID, verification.DocumentAntiCloningAttestationFailed)
	w.check(err)
	return s
}

// succeed ends a new session with a claim that must never show.
func (w *world) succeed() verification.Session {
	w.t.Helper()
	s := w.open()
	claims := map[string]json.RawMessage{"family_name": []byte(`"MARKERNAME"`), "kayle_document_id": []byte(`"98aca4d9bb799f3e77ddc466bdf38d5f1470adf597ed8dd9bc77bf671e3c2c64"`)}
	_, err := w.handler.Sessions.ReportSuccess(w.t.Context(), w.engine, s.ID, claims, []string{"kayle_document_id", "family_name"})
	w.check(err)
	return s
}

// of returns the session's last event and its deliveries by endpoint.
func (w *world) of(s verification.Session) (event.Event, map[id.Endpoint]delivery.Delivery) {
	w.t.Helper()
	events, err := event.OfSessions(w.db.Reader(w.t.Context()), w.org, []id.Session{s.ID})
	w.check(err)
	e := events[len(events)-1]
	all, err := w.handler.Deliveries.OfEvents(w.t.Context(), w.owner, []id.Event{e.ID})
	w.check(err)
	found := map[id.Endpoint]delivery.Delivery{}
	for _, d := range all[e.ID] {
		found[d.WebhookEndpointID] = d
	}
	return e, found
}

// work makes every attempt that is due.
func (w *world) work() {
	w.t.Helper()
	w.clock.Advance(delivery.RingWindow)
	_, err := w.handler.Deliveries.DeliverDue(w.t.Context(), 1)
	w.check(err)
}

// exhaust makes all eight attempts.
func (w *world) exhaust() {
	w.t.Helper()
	for range delivery.AttemptsPerRun {
		w.work()
		w.clock.Advance(11*time.Hour + time.Minute)
	}
}

// stranger is the owner of another organization.
func (w *world) stranger() *browser {
	w.t.Helper()
	_, actor := fixture.Organization(w.t, w.db)
	return w.as(actor)
}

// statements counts the questions that f puts to the database.
func (w *world) statements(f func()) int {
	w.t.Helper()
	var n atomic.Int64
	const name = "test:count"
	count := func(*gorm.DB) { n.Add(1) }
	queries, rows := w.db.Reader(w.t.Context()).Callback().Query(), w.db.Reader(w.t.Context()).Callback().Row()
	w.check(errors.Join(queries.After("gorm:query").Register(name, count), rows.After("gorm:row").Register(name, count)))
	f()
	w.check(errors.Join(queries.Remove(name), rows.Remove(name)))
	return int(n.Load())
}
