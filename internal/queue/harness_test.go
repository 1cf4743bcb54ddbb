package queue

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/webhook"
)

func TestMain(m *testing.M) {
	const tests = 6 // some wait for the seconds after which the feeder no longer trusts a ring
	devtest.AtOnce(tests)
	fixture.Main(m)
}

// patience only ends a test that hangs: a busy machine needs minutes for what takes seconds on its own.
const patience = 3 * time.Minute

// rig is a database and a Redis, and a room that publishes without ringing for anyone.
type rig struct {
	t          *testing.T
	db         *postgres.DB
	redis      *redis.Client
	owner      access.Actor
	deliveries *delivery.Service
	webhooks   *webhook.Service
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, fixture.DB(t))
}

func newRigOn(t *testing.T, db *postgres.DB) *rig {
	t.Helper()
	r := &rig{t: t, db: db, redis: redisClient(t, devtest.Redis(t))}
	_, r.owner = fixture.Organization(t, r.db)
	r.deliveries = r.service("publisher", nil)
	r.webhooks = &webhook.Service{DB: r.db, Keyring: fixture.Keyring(), AllowPrivate: true, Deliveries: r.deliveries}
	return r
}

func redisClient(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.PoolSize = 64
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// service is the delivery room of one process. Its requests may last longer than the test.
func (r *rig) service(worker string, ring func([]delivery.Due)) *delivery.Service {
	sender := egress.New(egress.Options{Policy: egress.Policy{AllowPrivate: true}, Timeout: 2 * patience})
	r.t.Cleanup(sender.CloseIdleConnections)
	return delivery.New(delivery.Config{
		DB: r.db, Keyring: fixture.Keyring(), Log: slog.New(slog.DiscardHandler), AllowPrivate: true, Worker: worker, Ring: ring, Sender: sender,
	})
}

// worker returns a worker of a process of its own that has not started yet.
func (r *rig) worker(name string, concurrency int, sweeps ...Sweep) *Worker {
	r.t.Helper()
	log := slog.New(slog.DiscardHandler)
	bell := NewBell(r.redis, r.db.Now, log)
	r.t.Cleanup(bell.Close)
	return NewWorker(Config{
		Redis: r.redis, Bell: bell, DB: r.db, Deliveries: r.service(name, bell.Ring), Concurrency: concurrency, Log: log, Sweeps: sweeps,
	})
}

// start starts a worker; the returned function stops it, and so does the end of the test.
func (r *rig) start(w *Worker) (stop func()) {
	r.t.Helper()
	if err := w.Start(context.WithoutCancel(r.t.Context())); err != nil {
		r.t.Fatal(err)
	}
	stop = sync.OnceFunc(w.Stop)
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) endpoint(url string) id.Endpoint {
	r.t.Helper()
	e, _, err := r.webhooks.CreateEndpoint(r.t.Context(), r.owner, webhook.NewEndpoint{URL: url})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.webhooks.AddKey(r.t.Context(), r.owner, e.ID, webhook.PublicKeyInput{KeyID: "k1", Algorithm: "RSA-OAEP-256", KeyType: "RSA", JWK: fixture.PublicJWK()}); err != nil {
		r.t.Fatal(err)
	}
	return e.ID
}

// publish makes n deliveries to the endpoint, due now and rung for as the service does it.
func (r *rig) publish(s *delivery.Service, e id.Endpoint, n int) {
	r.t.Helper()
	const batch = 250
	for ; n > 0; n -= batch {
		err := r.db.InTx(r.t.Context(), func(tx *postgres.Tx) error {
			for range min(n, batch) {
				if _, err := s.SendTestIn(tx, r.owner, e); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) count(where string, args ...any) int {
	r.t.Helper()
	return fixture.Scalar[int](r.t, r.db, "SELECT count(*) FROM webhook_deliveries WHERE "+where, args...)
}

// hanging is a receiver that holds every request open until it is let go.
type hanging struct {
	*httptest.Server
	letGo    func()
	letOneGo func()

	mu   sync.Mutex
	held int
	most int
}

func newHanging(t *testing.T) *hanging {
	t.Helper()
	h := &hanging{}
	released := make(chan struct{})
	h.letGo = sync.OnceFunc(func() { close(released) })
	h.letOneGo = func() { released <- struct{}{} }
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		h.add(1)
		defer h.add(-1)
		select {
		case <-released:
		case <-req.Context().Done():
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(h.Close)
	t.Cleanup(h.letGo)
	return h
}

func (h *hanging) add(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held += n
	h.most = max(h.most, h.held)
}

func (h *hanging) holds() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

// peak is the most requests that were ever held at once.
func (h *hanging) peak() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.most
}

// quick is a receiver that takes everything in at once.
func quick(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	return s
}
