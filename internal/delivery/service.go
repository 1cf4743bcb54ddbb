package delivery

import (
	"context"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"kaylehooks/internal/batch"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/seal"
)

// Settler decides, when the result of a withdrawn delivery is known, what becomes of its session and its other
// deliveries (contract section 4.5). The verification room implements it.
type Settler interface {
	// SettleWithdrawn locks the session, calls record, and settles the session if record reports that it wrote.
	SettleWithdrawn(tx *postgres.Tx, org id.Organization, session id.Session, record func() (bool, error)) error
}

// Sender makes one request and says how it went. *egress.Client is the real one; the demo's history replays receivers
// at the pace of a clock that it moves itself.
type Sender interface {
	Post(ctx context.Context, req egress.Request) egress.Result
}

// Due names a delivery that waits for a worker, or, without DeliveryID, an endpoint that has deliveries waiting.
type Due struct {
	DeliveryID id.Delivery
	EndpointID id.Endpoint
	// Fresh is set before the first attempt.
	Fresh bool
	// Crowd is Publication.Crowd.
	Crowd bool
}

// Config is what a Service needs.
type Config struct {
	DB      *postgres.DB
	Keyring *seal.Keyring
	// Log is where attempts are noted; nil discards.
	Log *slog.Logger
	// Sender makes the requests; nil in a process that only publishes.
	Sender Sender
	// AllowPrivate is ALLOW_PRIVATE_ENDPOINTS.
	AllowPrivate bool
	// Worker names this process in attempts.
	Worker string
	// Ring wakes the workers for rows that became due. It must not fail or block for long; a lost ring is made up for by
	// the feeder. Nil rings nobody.
	Ring func([]Due)
}

// Service holds the operations on deliveries.
type Service struct {
	Config
	// Settler is set once the verification room exists.
	Settler Settler

	slot      int
	sending   atomic.Int64 // claims whose results are not known yet
	claims    *batch.Group[id.Delivery, *Claim]
	dueClaims *batch.Group[wanted, []*Claim]
	results   *batch.Group[report, recordState]
	successes *batch.Group[report, recordState]
}

// groupSize is the most claims or results in one statement.
const groupSize = 128

// resultLinger is short beside a lease and beside what an operator sees, and several times what a near receiver takes to answer.
const resultLinger = 3 * time.Millisecond

// New returns a Service.
func New(c Config) *Service {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.Worker))
	s := &Service{Config: c, slot: int(h.Sum32() % rollupSlots)}
	s.claims = batch.NewGroup(groupSize, s.claimBatch)
	s.dueClaims = batch.NewGroup(groupSize, s.claimDueBatch)
	s.results = batch.NewGroup(groupSize, s.recordBatch)
	s.successes = batch.NewGroup(groupSize, s.recordSuccesses)
	s.results.Linger, s.successes.Linger = s.linger, s.linger
	return s
}

// linger is how long results wait for those of other requests in flight. No receiver notices, and fewer commits serve more of them.
func (s *Service) linger(int, int) (time.Duration, int) {
	if s.sending.Load() == 0 {
		return 0, groupSize
	}
	return resultLinger, groupSize
}

// ring rings for rows once the transaction has committed.
func (s *Service) ring(tx *postgres.Tx, due []Due) {
	if s.Ring == nil || len(due) == 0 {
		return
	}
	tx.AfterCommit(func() { s.Ring(due) })
}

// randomSlot is the roll-up slot of operations outside the worker's result batches.
func randomSlot() int { return rand.IntN(rollupSlots) } //nolint:gosec // spreads load, guards nothing
