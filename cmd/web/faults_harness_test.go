package main_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/queue"
	"kaylehooks/internal/seal"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
	"kaylehooks/receiver"
)

// installAlone is an installation on servers of its own, which the test may break and search. settings are put on the
// database before anything connects.
func installAlone(t *testing.T, settings ...string) (*installation, *devstack.Stack) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL and Redis")
	}
	stack, err := devstack.Start(t.Context(), devstack.Options{Ephemeral: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Stop(); err != nil {
			t.Error(err)
		}
	})
	conn := connect(t, stack)
	for _, setting := range settings {
		if _, err := conn.Exec(t.Context(), "ALTER DATABASE postgres SET "+setting); err != nil {
			t.Fatal(err)
		}
	}
	master := make([]byte, 32)
	_, _ = rand.Read(master)
	i := configure(t, "DATABASE_URL="+stack.DatabaseURL, "REDIS_URL="+stack.RedisURL, "MASTER_KEYS=m1:"+base64.StdEncoding.EncodeToString(master))
	i.command("migrate", "up").Succeed()
	i.setUp()
	return i, stack
}

func connect(t *testing.T, stack *devstack.Stack) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), stack.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// blast is an installation of its own with receivers that write down what they get.
type blast struct {
	*installation
	stack    *devstack.Stack
	db       *postgres.DB
	redis    *redis.Client
	sessions *verification.Service
	webhooks *webhook.Service
	actor    access.Actor
	sinks    []*sink
	workers  []*fixture.Process
	names    map[*fixture.Process]string
	// orphans are the deliveries that killed workers had in flight: claimed, and their results not recorded.
	orphans map[string]bool
}

// sink is a receiver of a blast, and its record.
type sink struct {
	id     id.Endpoint
	server *httptest.Server

	inFlight atomic.Int64

	mu      sync.Mutex
	arrived map[string]int // requests answered well, by delivery
	behave  http.HandlerFunc
	accepts bool
}

// behaveLike replaces what the sink does; nil is to behave well. accepts says that its answer will be a 2xx.
func (s *sink) behaveLike(h http.HandlerFunc, accepts bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave, s.accepts = h, accepts
}

// ServeHTTP implements http.Handler.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	s.mu.Lock()
	behave := s.behave
	if behave == nil || s.accepts {
		s.arrived[r.Header.Get("X-Kayle-Delivery-Id")]++
	}
	s.mu.Unlock()
	if behave != nil {
		behave(w, r)
		return
	}
	const work = 20 * time.Millisecond // what a receiver has to do keeps requests in flight for a while
	select {
	case <-time.After(work):
		w.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
	}
}

// faultConcurrency gives each of the endpoints an in-flight cap of faultCap in each worker.
const (
	faultConcurrency = 32
	faultCap         = faultConcurrency / 8
)

func newBlast(t *testing.T) *blast {
	t.Helper()
	// The servers of tests trade durability for speed, which a restart must not be tested with.
	i, stack := installAlone(t, "synchronous_commit = on")
	b := &blast{installation: i, stack: stack, names: map[*fixture.Process]string{}, orphans: map[string]bool{}}
	var err error
	b.db, err = postgres.Open(t.Context(), postgres.Options{URL: stack.DatabaseURL, Name: "test"})
	b.must(err)
	t.Cleanup(b.db.Close)
	options, err := redis.ParseURL(stack.RedisURL)
	b.must(err)
	b.redis = redis.NewClient(options)
	t.Cleanup(func() { _ = b.redis.Close() })
	var masters string
	for _, setting := range i.env {
		if value, ok := strings.CutPrefix(setting, "MASTER_KEYS="); ok {
			masters = value
		}
	}
	parsed, err := seal.ParseMasterKeys(masters)
	b.must(err)
	keyring := seal.NewKeyring(parsed)
	bell := queue.NewBell(b.redis, b.db.Now, slog.New(slog.DiscardHandler))
	t.Cleanup(bell.Close)
	deliveries := delivery.New(delivery.Config{DB: b.db, Keyring: keyring, AllowPrivate: true, Worker: "test", Ring: bell.Ring})
	b.webhooks = &webhook.Service{DB: b.db, Keyring: keyring, AllowPrivate: true, Deliveries: deliveries}
	b.sessions = &verification.Service{DB: b.db, Keyring: keyring, Deliveries: deliveries}
	b.actor = access.Actor{Type: access.APIKey, Organization: fixture.Scalar[id.Organization](t, b.db, "SELECT id FROM organizations"), ID: "key_test", Name: "test", Scopes: access.Scopes()}
	_, jwk, err := receiver.GenerateKeyPair("k1", 2048)
	b.must(err)
	for range 4 {
		s := &sink{arrived: map[string]int{}}
		s.server = httptest.NewServer(s)
		t.Cleanup(s.server.Close)
		e, _, err := b.webhooks.CreateEndpoint(t.Context(), b.actor, webhook.NewEndpoint{URL: s.server.URL})
		b.must(err)
		_, err = b.webhooks.AddKey(t.Context(), b.actor, e.ID, webhook.PublicKeyInput{KeyID: "k1", Algorithm: "RSA-OAEP-256", KeyType: "RSA", JWK: jwk})
		b.must(err)
		s.id = e.ID
		b.sinks = append(b.sinks, s)
	}
	i.web()
	return b
}

func (b *blast) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// publish ends n sessions, each with an event for every endpoint.
func (b *blast) publish(n int) {
	b.t.Helper()
	const hands = 4
	work, failed := make(chan struct{}, n), make(chan error, hands)
	for range n {
		work <- struct{}{}
	}
	close(work)
	for range hands {
		go func() {
			for range work {
				session, _, err := b.sessions.Create(b.t.Context(), b.actor, verification.NewSession{})
				if err == nil {
					err = b.sessions.Cancel(b.t.Context(), b.actor, session.ID)
				}
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range hands {
		b.must(<-failed)
	}
}

func (b *blast) startWorkers(names ...string) {
	b.t.Helper()
	for _, name := range names {
		w := b.worker("WORKER_NAME="+name, fmt.Sprint("WORKER_CONCURRENCY=", faultConcurrency))
		b.workers, b.names[w] = append(b.workers, w), name
	}
}

// kill is SIGKILL; the process is collected at the end of the test.
func (b *blast) kill(p *fixture.Process) {
	b.t.Helper()
	b.must(p.Process.Kill())
	var rows []uuid.UUID
	b.must(b.db.Reader(b.t.Context()).Raw("SELECT id FROM webhook_deliveries WHERE status = 'delivering' AND worker = $1", b.names[p]).Scan(&rows).Error)
	if most := len(queue.Lanes()) * faultConcurrency; len(rows) > most {
		b.t.Errorf("%s had %d deliveries in flight, and may have %d", b.names[p], len(rows), most)
	}
	for _, row := range rows {
		b.orphans[id.Delivery{UUID: row}.String()] = true
	}
}

// arrived is how many different deliveries have arrived.
func (b *blast) arrived() (n int) {
	for _, s := range b.sinks {
		s.mu.Lock()
		n += len(s.arrived)
		s.mu.Unlock()
	}
	return n
}

// inFlight is how many requests are being answered.
func (b *blast) inFlight() (n int64) {
	for _, s := range b.sinks {
		n += s.inFlight.Load()
	}
	return n
}

// twice is how many requests were not the first of their delivery.
func (b *blast) twice() (n int) {
	for _, s := range b.sinks {
		s.mu.Lock()
		for _, times := range s.arrived {
			n += times - 1
		}
		s.mu.Unlock()
	}
	return n
}

// await polls for what other processes do. It is patient for the full suite's sake.
func (b *blast) await(what string, ok func() bool) {
	b.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(4 * time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			b.t.Fatalf("%s: did not come true; %d of %d arrived, %d rows are not done", what, b.arrived(), b.total(), b.count("status <> 'succeeded'"))
		}
	}
}

// count reads as soon as the database is there to be asked.
func (b *blast) count(where string, args ...any) (n int) {
	b.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(patience); ; {
		err := b.db.Reader(b.t.Context()).Raw("SELECT count(*) FROM webhook_deliveries WHERE "+where, args...).Scan(&n).Error
		if !postgres.IsUnavailable(err) {
			b.must(err)
			return n
		}
		select {
		case <-tick.C:
		case <-timeout:
			b.must(err)
		}
	}
}

func (b *blast) total() int { return b.count("true") }

// check compares the receivers' records with the rows.
func (b *blast) check() {
	b.t.Helper()
	var rows []struct {
		ID, Endpoint string
		Attempts     int
	}
	b.must(b.db.Reader(b.t.Context()).Raw(`SELECT d.id::text, d.webhook_endpoint_id::text AS endpoint,
		(SELECT count(*) FROM webhook_delivery_attempts a WHERE a.webhook_delivery_id = d.id AND a.counted AND a.run = d.run) - d.attempt_count AS attempts
		FROM webhook_deliveries d`).Scan(&rows).Error)
	lost, miscounted := 0, 0
	for _, row := range rows {
		if row.Attempts != 0 {
			miscounted++
		}
		found := false
		for _, s := range b.sinks {
			if s.id.UUID.String() == row.Endpoint {
				s.mu.Lock()
				found = s.arrived[id.Delivery{UUID: uuid.MustParse(row.ID)}.String()] > 0
				s.mu.Unlock()
			}
		}
		if !found {
			lost++
		}
	}
	if lost > 0 || miscounted > 0 {
		b.t.Errorf("of %d deliveries %d never arrived and %d have a wrong number of attempts", len(rows), lost, miscounted)
	}
	if n, events := b.count("true"), fixture.Scalar[int](b.t, b.db, "SELECT count(*) FROM events"); n != events*len(b.sinks) {
		b.t.Errorf("%d deliveries of %d events to %d endpoints", n, events, len(b.sinks))
	}
	if len(b.orphans) > 0 {
		b.checkOrphans()
	} else if n, most := b.twice(), len(b.workers)*len(b.sinks)*faultCap; n > most {
		b.t.Errorf("%d deliveries were sent again, but at most %d were in flight", n, most)
	}
}

// checkOrphans looks at each delivery that was sent again: once, and because the worker that had it in flight was killed. It may have had more
// in flight than were at the receivers: what was answered is, until its result is recorded, which takes its time on a slow machine.
func (b *blast) checkOrphans() {
	b.t.Helper()
	for _, s := range b.sinks {
		s.mu.Lock()
		for d, times := range s.arrived {
			if times > 2 || times == 2 && !b.orphans[d] {
				b.t.Errorf("%s was sent %d times; in flight at a killed worker: %t", d, times, b.orphans[d])
			}
		}
		s.mu.Unlock()
	}
}

// post sends a request to the API and returns the id in the answer.
func (b *blast) post(ctx context.Context, path, body string) (string, error) {
	res, answer, err := b.ask(ctx, http.MethodPost, path, body)
	if err != nil {
		return "", err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return "", fmt.Errorf("%s: %d %s", path, res.StatusCode, answer)
	}
	var out struct{ Data struct{ ID string } }
	if len(answer) > 0 {
		err = json.Unmarshal(answer, &out)
	}
	return out.Data.ID, err
}

// retryAll retries, as fast as a job may, what the endpoint has not taken.
func (b *blast) retryAll(s *sink) {
	b.t.Helper()
	for _, status := range []string{"pending", "failed"} {
		b.await("the job is created", func() bool {
			_, err := b.post(b.t.Context(), "/v1/webhooks/deliveries/retry", fmt.Sprintf(`{"status":%q,"endpoint_id":%q,"rate_per_second":100}`, status, s.id))
			return err == nil
		})
	}
}

func (b *blast) pointAt(s *sink, url string) {
	b.t.Helper()
	_, err := b.webhooks.UpdateEndpoint(b.t.Context(), b.actor, s.id, webhook.EndpointChange{URL: &url})
	b.must(err)
}

// untrusted is the address of a server whose certificate nobody vouches for.
func untrusted(t *testing.T) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL
}

// blackHole is an address where nothing answers the packets that open a connection: its queue is as short as can be, and full.
func blackHole(t *testing.T) string {
	t.Helper()
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	check(err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	check(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	check(syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	check(err)
	port := name.(*syscall.SockaddrInet4).Port
	address := fmt.Sprint("127.0.0.1:", port)
	conn, err := net.DialTimeout("tcp", address, patience)
	check(err)
	t.Cleanup(func() { _ = conn.Close() })
	// One is all that this queue takes. The kernel tells when it is in it: how long another one goes unanswered says nothing on a slow machine.
	full := fmt.Sprintf(" 0100007F:%04X 00000000:0000 0A 00000000:00000001 ", port)
	eventually(t, "the queue of connections is full", func() bool {
		sockets, err := os.ReadFile("/proc/net/tcp")
		check(err)
		return strings.Contains(string(sockets), full)
	}, func(yes bool) bool { return yes })
	return "http://" + address
}
