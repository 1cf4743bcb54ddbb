package verification_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

func TestMain(m *testing.M) { fixture.Main(m) }

// harness is the rooms on a database of their own, with a clock that the test moves.
type harness struct {
	t          *testing.T
	db         *postgres.DB
	clock      *fixture.Clock
	owner      access.Actor
	engine     access.Actor // an API key with every scope
	webhooks   *webhook.Service
	deliveries *delivery.Service
	sessions   *verification.Service
	rung       []delivery.Due
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	return newHarnessOn(t, devtest.Database(t))
}

// newHarnessOn is newHarness on the database of the URL.
func newHarnessOn(t *testing.T, url string) *harness {
	t.Helper()
	h := &harness{t: t, clock: fixture.NewClock()}
	var err error
	h.db, err = postgres.Open(t.Context(), postgres.Options{URL: url, Name: "test", Now: h.clock.Now})
	h.check(err)
	t.Cleanup(h.db.Close)
	var org id.Organization
	org, h.owner = fixture.Organization(t, h.db)
	h.engine = access.Actor{Type: access.APIKey, Organization: org, ID: "key_test", Name: "engine", Scopes: access.Scopes()}
	h.deliveries = delivery.New(delivery.Config{
		DB: h.db, Keyring: fixture.Keyring(), AllowPrivate: true, Worker: "test",
		Sender: egress.New(egress.Options{Policy: egress.Policy{AllowPrivate: true}, Now: h.clock.Now}),
		Ring:   func(due []delivery.Due) { h.rung = append(h.rung, due...) },
	})
	h.webhooks = &webhook.Service{DB: h.db, Keyring: fixture.Keyring(), AllowPrivate: true, Deliveries: h.deliveries}
	h.sessions = &verification.Service{DB: h.db, Keyring: fixture.Keyring(), Deliveries: h.deliveries}
	h.deliveries.Settler = h.sessions
	return h
}

func (h *harness) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// received is one request as a receiver saw it.
type received struct {
	header  http.Header
	body    string
	payload struct {
		Type     string
		Metadata struct {
			EventID               string `json:"event_id"`
			VerificationSessionID string `json:"verification_session_id"`
		}
		Data json.RawMessage
	}
}

// receiver is an endpoint of the organization with a server behind it.
type receiver struct {
	webhook.Endpoint
	secret string

	mu       sync.Mutex
	requests []received
	// answer decides what the receiver says; nil says 204.
	answer func(w http.ResponseWriter, r received)
}

func (r *receiver) seen() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.requests...)
}

// endpoint adds an endpoint whose server decrypts with privateKey. types empty means all.
func (h *harness) endpoint(types ...string) *receiver {
	h.t.Helper()
	r := h.keylessEndpoint(types...)
	_, err := h.webhooks.AddKey(h.t.Context(), h.owner, r.ID, publicKey("k1"))
	h.check(err)
	return r
}

func publicKey(kid string) webhook.PublicKeyInput {
	return webhook.PublicKeyInput{KeyID: kid, Algorithm: "RSA-OAEP-256", KeyType: "RSA", JWK: fixture.PublicJWK()}
}

func (h *harness) keylessEndpoint(types ...string) *receiver {
	h.t.Helper()
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			h.t.Errorf("read request: %v", err)
		}
		got := received{header: req.Header, body: string(body)}
		if jwe, err := jose.ParseEncryptedCompact(got.body, []jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM}); err != nil {
			h.t.Errorf("parse JWE: %v", err)
		} else if plain, err := jwe.Decrypt(fixture.PrivateKey()); err != nil {
			h.t.Errorf("decrypt: %v", err)
		} else if err := json.Unmarshal(plain, &got.payload); err != nil {
			h.t.Errorf("payload: %v", err)
		}
		r.mu.Lock()
		r.requests = append(r.requests, got)
		answer := r.answer
		r.mu.Unlock()
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, got)
	}))
	h.t.Cleanup(server.Close)
	var err error
	r.Endpoint, r.secret, err = h.webhooks.CreateEndpoint(h.t.Context(), h.owner, webhook.NewEndpoint{URL: server.URL + "/hook", EventTypes: types})
	h.check(err)
	return r
}

// status makes the receiver answer with a status from now on.
func (r *receiver) status(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = func(w http.ResponseWriter, _ received) { w.WriteHeader(code) }
}

func (h *harness) open(in verification.NewSession) (verification.Session, string) {
	h.t.Helper()
	s, token, err := h.sessions.Create(h.t.Context(), h.engine, in)
	h.check(err)
	return s, token
}

const documentID = "98aca4d9bb799f3e77ddc466bdf38d5f1470adf597ed8dd9bc77bf671e3c2c64"

// succeed ends a session with claims.
func (h *harness) succeed(s verification.Session) {
	h.t.Helper()
	claims := map[string]json.RawMessage{"family_name": []byte(`"DOE"`), "kayle_document_id": []byte(`"` + documentID + `"`)}
	_, err := h.sessions.ReportSuccess(h.t.Context(), h.engine, s.ID, claims, []string{"kayle_document_id", "family_name"})
	h.check(err)
}

// deliver works through everything that was rung for.
func (h *harness) deliver() {
	h.t.Helper()
	for len(h.rung) > 0 {
		due := h.rung[0]
		h.rung = h.rung[1:]
		if due.DeliveryID == (id.Delivery{}) { // whatever is due there
			_, err := h.deliveries.DeliverDue(h.t.Context(), 1)
			h.check(err)
			continue
		}
		h.check(deliverOne(h.t.Context(), h.deliveries, due.DeliveryID, func(delivery.Sent) {}))
	}
}

// deliverOne claims the delivery and sends it as a worker does that was rung for it.
func deliverOne(ctx context.Context, s *delivery.Service, d id.Delivery, answered func(delivery.Sent)) error {
	claims, err := s.ClaimThese(ctx, []id.Delivery{d})
	if err != nil || claims[0] == nil {
		answered(delivery.Sent{})
		return err
	}
	return s.Send(ctx, claims[0], answered)
}

// work takes and delivers everything that is due, as a worker with a feeder does.
func (h *harness) work() {
	h.t.Helper()
	h.clock.Advance(delivery.RingWindow)
	h.rung = nil
	_, err := h.deliveries.DeliverDue(h.t.Context(), 1)
	h.check(err)
}

// of returns the delivery of the session's events to the endpoint, by event type.
func (h *harness) of(s verification.Session, r *receiver) map[string]delivery.Delivery {
	h.t.Helper()
	var rows []delivery.Delivery
	h.check(h.db.Reader(h.t.Context()).Raw(`SELECT d.* FROM webhook_deliveries d JOIN events e ON e.id = d.event_id WHERE e.trigger_id = $1 AND d.webhook_endpoint_id = $2`, s.ID, r.ID).Scan(&rows).Error)
	byType := map[string]delivery.Delivery{}
	for _, d := range rows {
		byType[d.EventType.Short()] = d
	}
	return byType
}

func (h *harness) reload(s verification.Session) verification.Session {
	h.t.Helper()
	s, err := h.sessions.Get(h.t.Context(), h.engine, s.ID)
	h.check(err)
	return s
}

// wantSigned checks a request's signature by the recipe of contract section 14.
func wantSigned(t *testing.T, r received, secret string, at time.Time) {
	t.Helper()
	want := webhook.Sign([]string{secret}, at.Unix(), r.body)
	if got := r.header.Get("X-Kayle-Signature"); got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
	if !strings.HasPrefix(want, "t="+strconv.FormatInt(at.Unix(), 10)+",v1=") {
		t.Errorf("unexpected form %q", want)
	}
}
