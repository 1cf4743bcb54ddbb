package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
)

// fullFaults asks for the whole suite: more deliveries, longer faults, one after the other. `make test-faults` sets it.
var fullFaults = os.Getenv("KAYLEHOOKS_FAULTS") == "full"

// bounded is what every run has time for, in place of what the whole suite does.
func bounded[T any](whole, part T) T {
	if fullFaults {
		return whole
	}
	return part
}

// A fault breaks something while deliveries are in flight, and returns when it has ended.
type fault struct {
	name   string
	strike func(b *blast)
	// lease is set where rows have to wait for the lease of a dead worker.
	lease bool
}

var faults = []fault{
	{name: "one worker is killed", lease: true, strike: func(b *blast) { b.kill(b.workers[0]) }},
	{name: "Redis loses everything", strike: func(b *blast) { b.must(b.redis.FlushAll(b.t.Context()).Err()) }},
	{name: "Redis restarts empty", strike: func(b *blast) { b.must(b.stack.RestartRedis(b.t.Context())) }},
	{name: "Postgres restarts", lease: true, strike: func(b *blast) { b.must(b.stack.RestartPostgres(b.t.Context())) }},
	{name: "all workers are killed", lease: true, strike: func(b *blast) {
		for _, w := range b.workers {
			b.kill(w)
		}
		b.startWorkers("w3", "w4")
	}},
	{name: "Redis stands still", strike: func(b *blast) {
		pid := b.stack.RedisPID()
		b.must(syscall.Kill(pid, syscall.SIGSTOP))
		b.last(bounded(20*time.Second, 6*time.Second))
		b.must(syscall.Kill(pid, syscall.SIGCONT))
	}},
	{name: "a receiver cannot be reached", strike: func(b *blast) {
		b.sinks[0].server.CloseClientConnections()
		b.sinks[0].behaveLike(hangUp, false)
		b.last(2 * time.Second)
		b.sinks[0].behaveLike(nil, true)
	}},
}

// Deliveries are in flight while one thing after the other breaks. Afterwards every event is at every endpoint, no more
// were sent twice than were in flight, every row has come to its end, and nobody had to lend a hand.
func TestFaults_NothingIsLost(t *testing.T) {
	if !fullFaults {
		t.Parallel() // the whole suite measures recovery: nothing else may run meanwhile
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			if !fullFaults {
				t.Parallel()
			}
			deliveries := bounded(5_000, 300)
			b := newBlast(t)
			b.publish(deliveries / len(b.sinks))
			b.startWorkers("w1", "w2")
			b.await("a fifth has arrived, and more is in flight", func() bool { return b.arrived() >= deliveries/5 && b.inFlight() > 0 })
			f.strike(b)
			r := b.recover(f.lease)
			b.check()
			fmt.Printf("recovery | %-28s | %5d deliveries | %3d twice | web %5s | flowing %5s | done %5s\n",
				f.name, b.total(), b.twice(), r.web.Round(10*time.Millisecond), r.flowing.Round(10*time.Millisecond), r.done.Round(10*time.Millisecond))
		})
	}
}

// What a hostile receiver does, and what attempts say of it.
var hostile = []struct {
	name, kind string
	answer     http.HandlerFunc
	target     func(*testing.T) string // in place of the receiver's address
}{
	{"never answers", "timeout_response", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil},
	{"one byte per second", "timeout_response", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for _, c := range "HTTP/1.1 200 OK " + strings.Repeat("O", 100) {
			if _, err := io.WriteString(conn, string(c)); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}, nil},
	{"10 MB of answer", "", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(zeros{}, 10<<20))
	}, nil},
	{"redirects for ever", "redirect_refused", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
	}, nil},
	{"wrong certificate", "tls", nil, untrusted},
	{"its network drops every packet", "timeout_connect", nil, blackHole},
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestFaults_AHostileReceiverHurtsNobody(t *testing.T) {
	if !fullFaults {
		t.Parallel()
	}
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			if !fullFaults {
				t.Parallel()
			}
			b := newBlast(t)
			bad := b.sinks[0]
			if h.answer != nil {
				bad.behaveLike(h.answer, h.kind == "")
			} else {
				b.pointAt(bad, h.target(t))
			}
			events := bounded(1_000, 60)
			b.publish(events)
			b.startWorkers("w1", "w2")
			began := time.Now()
			b.await("the neighbours have everything", func() bool {
				return b.count("webhook_endpoint_id <> $1 AND status = 'succeeded'", bad.id) == events*(len(b.sinks)-1)
			})
			neighbours := time.Since(began)
			b.await("the first attempts at the hostile one are recorded", func() bool {
				return b.count("webhook_endpoint_id = $1 AND attempt_count > 0", bad.id) > 0
			})
			if n := b.count("webhook_endpoint_id = $1 AND attempt_count > 0 AND last_error_kind IS DISTINCT FROM nullif($2, '')", bad.id, h.kind); n > 0 {
				t.Errorf("%d attempts have another outcome than %q", n, h.kind)
			}
			bad.behaveLike(nil, true)
			b.pointAt(bad, bad.server.URL)
			ended := time.Now()
			b.retryAll(bad)
			b.await("what the hostile one refused is delivered", func() bool { return b.count("status <> 'succeeded'") == 0 })
			b.check()
			fmt.Printf("recovery | %-28s | %5d deliveries | neighbours done %5s | done %5s\n", h.name, b.total(), neighbours.Round(time.Millisecond), time.Since(ended).Round(time.Millisecond))
		})
	}
}

// A worker compares its clock with the database's. This one's database is 90 s ahead, by a clock that only its connections see.
func TestFaults_AWorkerWithAWrongClockClaimsNothing(t *testing.T) {
	if !fullFaults {
		t.Parallel()
	}
	b := newBlast(t)
	tell := func(offset string) {
		b.must(b.db.Reader(t.Context()).Exec("CREATE OR REPLACE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '" + offset + "' $$").Error)
	}
	b.must(b.db.Reader(t.Context()).Exec("CREATE SCHEMA skewed").Error)
	skewed := "DATABASE_URL=" + b.stack.DatabaseURL + "&search_path=public,skewed,pg_catalog"

	tell("0 s")
	wrong := b.worker("WORKER_NAME=wrong", skewed)
	tell("90 s")
	wrong.WaitFor(`"msg":"clock check","claiming":false.*clock is -1m(29\.9|30).*NTP`)
	inTime := fixture.Scalar[int](t, b.db, "SELECT count(*) FROM webhook_delivery_attempts")

	other := *b.installation
	other.env = append(append([]string{}, b.env...), skewed)
	second := other.command("worker")
	if out, err := second.CombinedOutput(); err == nil || !strings.Contains(string(out), "clock is") || !strings.Contains(string(out), "NTP") {
		t.Errorf("a worker whose clock is off started, or did not say why not (%v): %s", err, out)
	}

	b.publish(bounded(5_000, 300) / len(b.sinks))
	b.must(b.throughTheDoor(t.Context())) // rung for by another process
	if n := b.count("status <> 'pending'"); n != 0 {
		t.Errorf("%d deliveries were claimed by a worker whose clock is wrong", n)
	}
	b.startWorkers("right")
	b.await("the worker whose clock is right delivers everything", func() bool { return b.count("status <> 'succeeded'") == 0 })
	b.check()
	if n := fixture.Scalar[int](t, b.db, "SELECT count(*) FROM webhook_delivery_attempts WHERE worker = 'wrong'"); n != inTime {
		t.Errorf("the worker whose clock is wrong made %d attempts", n-inTime)
	}
	fmt.Printf("recovery | %-28s | %5d deliveries | none by it, said why\n", "a worker's clock is 90 s off", b.total())
}

// recovery is how long things took from the end of the fault.
type recovery struct{ web, flowing, done time.Duration }

// recover publishes through the API and waits until everything is delivered.
func (b *blast) recover(lease bool) recovery {
	b.t.Helper()
	ended := time.Now()
	var r recovery
	b.await("the API takes a session", func() bool { return b.throughTheDoor(b.t.Context()) == nil })
	r.web = time.Since(ended)
	before := b.arrived()
	b.await("webhooks flow", func() bool { return b.arrived() > before || b.arrived() >= b.total() })
	r.flowing = time.Since(ended)
	b.await("every row has come to its end", func() bool { return b.count("status <> 'succeeded'") == 0 })
	r.done = time.Since(ended)
	limit := 30 * time.Second // generous: the target is 10 s, on a machine that does nothing else
	if lease {
		limit += 30 * time.Second
	}
	if b.total() <= 1_000 && r.done > limit {
		b.t.Errorf("everything was done %s after the end of the fault", r.done)
	}
	return r
}

// last lets a fault last.
func (b *blast) last(d time.Duration) {
	select {
	case <-time.After(d):
	case <-b.t.Context().Done():
	}
}

func hangUp(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// throughTheDoor opens and cancels a session as a customer does. An error is what a customer would see in an outage.
func (b *blast) throughTheDoor(ctx context.Context) error {
	id, err := b.post(ctx, "/v1/sessions", "{}")
	if err == nil {
		_, err = b.post(ctx, "/v1/sessions/"+id+"/cancel", "")
	}
	return err
}
