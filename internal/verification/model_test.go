package verification_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/devstack/devtest"
	"kaylehooks/internal/fault"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

// The model test lets random histories of operations, workers, sweeps and clock jumps happen to the real rooms on a real
// PostgreSQL, and holds the invariants of contract section 12 against the rows after every step. The steps are in
// model_steps_test.go, the invariants in model_invariants_test.go; what they know of the database they read themselves.
//
// A worker is the real delivery.Service on a clock of its own. It stops at the points where the world may change under
// it: between claim and pre-send check, during the request, and before a settlement; the model says when it goes on. A
// worker that never goes on, or only after its lease was taken back, is a crashed one. Two operations race by queueing
// behind a lock that the test holds, so that even a race happens the same way each time.
//
// A failing history prints its steps, shortened by rapid as far as it goes, and what to run to see it again, such as
//
//	go test ./internal/verification -run 'TestModel_EveryInvariantHolds/shard_2' -rapid.failfile=testdata/rapid/…
//	go test ./internal/verification -run 'TestModel_EveryInvariantHolds/shard_2' -rapid.seed=123
//
// -rapid.checks=N sets the number of histories per shard, -rapid.v prints every step of every history.
const (
	modelShards     = 4   // databases; each runs its histories one after the other
	modelChecks     = 500 // histories per shard
	modelSteps      = 30  // least random steps per history, not counting how it begins and is settled
	modelRepeat     = 10  // average of rapid's rounds, which are repeated until there are enough steps
	modelWorkers    = 3
	modelVacuumEach = 25 // histories; autovacuum is off on test servers
	patience        = 20 * time.Second
)

func TestModel_EveryInvariantHolds(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL")
	}
	defaultFlag(t, "rapid.checks", "RAPID_CHECKS", modelChecks)
	defaultFlag(t, "rapid.steps", "RAPID_STEPS", modelRepeat)
	for n := range modelShards {
		t.Run(fmt.Sprintf("shard_%d", n+1), func(t *testing.T) {
			t.Parallel()
			s := newShard(t)
			rapid.Check(t, s.history)
			t.Logf("%d histories, %d steps", s.histories, s.steps)
		})
	}
}

// defaultFlag sets a flag of rapid that neither the command line nor the environment names.
func defaultFlag(t *testing.T, name, variable string, value int) {
	t.Helper()
	_, given := os.LookupEnv(variable)
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	if err := flag.Set(name, strconv.Itoa(value)); err != nil {
		t.Fatal(err)
	}
}

// shard is the rooms on one database, for many histories in a row.
type shard struct {
	t          *testing.T
	clock      *fixture.Clock
	db         *postgres.DB
	rows       *pgx.Conn // the checker's own connection: it shares no code with the rooms
	webhooks   *webhook.Service
	deliveries *delivery.Service
	sessions   *verification.Service
	workers    []*worker
	post       *postbox // the receivers of the present history

	histories, steps int
	shown            bool
}

func newShard(t *testing.T) *shard {
	t.Helper()
	s := &shard{t: t, clock: fixture.NewClock(), post: newPostbox()}
	url := devtest.Database(t)
	open := func(name string, conns int, now func() time.Time) *postgres.DB {
		db, err := postgres.Open(t.Context(), postgres.Options{URL: url, Name: name, MaxConns: conns, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db
	}
	var err error
	if s.rows, err = pgx.Connect(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.rows.Close(context.WithoutCancel(t.Context())) })
	s.db = open("model", 8, s.clock.Now)
	keyring := fixture.Keyring()
	service := func(db *postgres.DB, sender delivery.Sender, name string) *delivery.Service {
		return delivery.New(delivery.Config{DB: db, Keyring: keyring, AllowPrivate: true, Sender: sender, Worker: name})
	}
	s.deliveries = service(s.db, burst{s}, "burst")
	s.webhooks = &webhook.Service{DB: s.db, Keyring: keyring, AllowPrivate: true, Deliveries: s.deliveries}
	s.sessions = &verification.Service{DB: s.db, Keyring: keyring, Deliveries: s.deliveries}
	s.deliveries.Settler = s.sessions
	for n := range modelWorkers {
		w := &worker{no: n + 1, shard: s, stops: make(chan stop), goOn: make(chan answer)}
		w.service = service(open(fmt.Sprintf("worker %d", w.no), 2, w.now), w, fmt.Sprintf("worker %d", w.no))
		w.service.Settler = s.sessions
		s.workers = append(s.workers, w)
	}
	return s
}

// history is one run of the model: an organization, what it knows of it, and what its receivers got.
type history struct {
	*shard
	*postbox
	t         *rapid.T
	org       id.Organization
	owner     access.Actor
	engine    access.Actor
	opened    []*session
	endpoints []*endpoint
	now       *snapshot            // as of the last step
	payloads  map[uuid.UUID]string // every payload ever stored, by delivery
	order     map[uuid.UUID]int    // events as they came
	engaged   map[*worker]bool     // part of the present step; nil stands for the burst's worker
	step      int
	script    []string
}

// session and endpoint are what the model knows without looking.
type session struct {
	no    int
	id    id.Session
	token string
}

type endpoint struct {
	no     int
	id     id.Endpoint
	keys   []id.Key
	wire   wire
	former wire // before the present step
	// steady is an endpoint that takes every type and was never touched.
	steady bool
}

// wire is how an endpoint is reached and which secrets sign.
type wire struct {
	url              string
	secret, previous string
	previousUntil    time.Time
}

func (s *shard) history(t *rapid.T) {
	s.histories++
	s.clock.Set(fixture.Start)
	s.post = newPostbox()
	h := &history{shard: s, postbox: s.post, t: t, payloads: map[uuid.UUID]string{}, engaged: map[*worker]bool{}, order: map[uuid.UUID]int{}}
	h.org, h.owner = fixture.Organization(s.t, s.db)
	h.engine = access.Actor{Type: access.APIKey, Organization: h.org, ID: "key_model", Name: "engine", Scopes: access.Scopes()}
	defer h.end()
	h.now = h.load()
	h.begin()
	actions := h.actions()
	for enough := h.step + modelSteps; h.step < enough; {
		t.Repeat(actions)
	}
	h.settle()
}

// begin gives a history something to work with: two endpoints with keys and a session.
func (h *history) begin() {
	for range 2 {
		hours := pick(h, "retention", []int{webhook.DefaultRetention, 0})
		h.run(h.createEndpoint(true, nil, &hours))
	}
	h.run(h.openSession(nil))
}

// end leaves nothing behind that a later history's sweeps would find.
func (h *history) end() {
	h.steps += h.step
	for _, w := range h.workers {
		w.release()
	}
	ctx := context.WithoutCancel(h.shard.t.Context())
	tables := []string{"webhook_deliveries", "delivery_rollups", "events", "webhook_encryption_keys", "webhook_endpoints", "verification_sessions", "audit_logs"}
	for _, table := range tables {
		if _, err := h.rows.Exec(ctx, "DELETE FROM "+table+" WHERE organization_id = $1", h.org.UUID); err != nil {
			h.shard.t.Errorf("clear %s: %v", table, err)
		}
	}
	if h.histories%modelVacuumEach == 0 {
		if _, err := h.rows.Exec(ctx, "VACUUM ANALYZE webhook_delivery_attempts, "+strings.Join(tables, ", ")); err != nil {
			h.shard.t.Error(err)
		}
	}
}

// op is one operation of the model.
type op struct {
	text string
	do   func() error
	// apply notes in the model what do has changed; it runs in the test's goroutine, if do returned no error.
	apply func()
	// expect says what the contract wants of it when it happens alone.
	expect func(c *check, err error)
}

// run carries out an operation as one step and holds the invariants against what it left.
func (h *history) run(o op) {
	h.t.Helper()
	h.prepare()
	err := o.do()
	if err == nil && o.apply != nil {
		o.apply()
	}
	h.note(o.text, err)
	c := h.compare()
	if o.expect != nil {
		o.expect(c, err)
	}
	h.judge(c, err)
}

// prepare remembers what a step may change.
func (h *history) prepare() {
	for _, e := range h.endpoints {
		e.former = e.wire
	}
	clear(h.engaged)
}

// note adds a line to the script.
func (h *history) note(text string, errs ...error) {
	h.step++
	line := fmt.Sprintf("step %d: %s → ", h.step, text)
	for i, err := range errs {
		if i > 0 {
			line += ", "
		}
		line += outcomeOf(err)
	}
	h.script = append(h.script, line)
	h.t.Log(line)
}

func outcomeOf(err error) string {
	var refusal *fault.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &refusal):
		return refusal.Code
	}
	return "error"
}

// judge ends the history if anything is wrong. The message has no ids and no times, so that rapid knows it again.
func (h *history) judge(c *check, errs ...error) {
	h.t.Helper()
	for _, err := range errs {
		if outcomeOf(err) == "error" {
			c.problem("an operation failed for no reason of the contract")
			h.t.Logf("the error was: %v", err)
		}
	}
	if len(c.problems) == 0 {
		return
	}
	if !h.shown {
		// Once, as it happened: a failure that does not repeat would not be shown otherwise.
		h.shown = true
		h.shard.t.Logf("the first failing history:\n%s\n%s", strings.Join(h.script, "\n"), strings.Join(c.problems, "\n"))
	}
	h.t.Fatalf("after step %d: %s", h.step, strings.Join(c.problems, "; "))
}
