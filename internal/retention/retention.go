package retention

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kaylehooks/internal/apikey"
	"kaylehooks/internal/audit"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/idempotency"
	"kaylehooks/internal/login"
	"kaylehooks/internal/org"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
)

// Numbers of the sweep (contract section 1, METADATA_SWEEP).
const (
	hour, minute = 2, 23 // UTC
	batch        = 500
	// patience is how long a batch may hold its locks. The batch after one that took longer is half as large.
	patience = 100 * time.Millisecond
	// restFor is how long the sweep rests after a batch, in times of what the batch took: it has all night, and who delivers
	// meanwhile is not to notice. A tenth of one connection's time is some 500 events a second.
	restFor = 9
	// smallest is the least size of a batch.
	smallest = 10
	// catchUp is how late a process may start and still do the run of this day.
	catchUp = time.Hour
	// pause is before another try of a run in which something failed.
	pause = 10 * time.Minute
	// rollupDays is the least age of roll-ups: the analytics reach back so far (ANALYTICS_RANGE).
	rollupDays = 31
)

const day = 24 * time.Hour

// Service runs the sweep. DB and Days are required.
type Service struct {
	DB *postgres.DB
	// Days is RETENTION_DAYS.
	Days int

	mu   sync.Mutex
	next time.Time
}

// Counts is how many rows of each kind a run deleted.
type Counts struct {
	Events, Deliveries, Sessions, Jobs, Rollups, Calls, Endpoints, Idempotency, Audit, Invitations, SignIns int64
}

// Total adds all up.
func (c Counts) Total() int64 {
	return c.Events + c.Deliveries + c.Sessions + c.Jobs + c.Rollups + c.Calls + c.Endpoints + c.Idempotency + c.Audit + c.Invitations + c.SignIns
}

// Next returns the first moment after a given one at which the sweep is due: 02:23 UTC.
func Next(after time.Time) time.Time {
	after = after.UTC()
	at := time.Date(after.Year(), after.Month(), after.Day(), hour, minute, 0, 0, time.UTC)
	if !at.After(after) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// RunDue runs the sweep when the clock has passed 02:23 UTC since the last call, and returns how many rows went. A process
// that starts within an hour after it does the run of that day, in case none was up; several processes may do it at once.
func (s *Service) RunDue(ctx context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.DB.Now()
	if s.next.IsZero() {
		s.next = Next(now.Add(-catchUp))
	}
	if now.Before(s.next) {
		return 0, nil
	}
	counts, err := s.Run(ctx)
	s.next = Next(now)
	if retry := now.Add(pause); err != nil && retry.Before(s.next) {
		s.next = retry
	}
	return int(counts.Total()), err
}

// purge deletes up to limit rows of one kind in the caller's transaction and returns how many went.
type purge struct {
	name string
	run  func(tx *postgres.Tx, limit int) (int64, error)
	sum  *int64
}

// Run deletes everything that is too old, batch by batch, each in a short transaction of its own. An error with one kind
// of rows does not stop the others; what it did before stays done.
func (s *Service) Run(ctx context.Context) (Counts, error) {
	var c Counts
	old := func(tx *postgres.Tx) time.Time { return tx.Now.Add(-time.Duration(s.Days) * day) }
	// Each kind after those that refer to it.
	purges := []purge{
		{"events", func(tx *postgres.Tx, limit int) (int64, error) {
			events, deliveries, err := delivery.PurgeEvents(tx, old(tx), limit)
			if err == nil {
				tx.AfterCommit(func() { c.Deliveries += deliveries })
			}
			return events, err
		}, &c.Events},
		{"sessions", func(tx *postgres.Tx, limit int) (int64, error) { return verification.Purge(tx, old(tx), limit) }, &c.Sessions},
		{"jobs", func(tx *postgres.Tx, limit int) (int64, error) { return delivery.PurgeJobs(tx, old(tx), limit) }, &c.Jobs},
		{"roll-ups", func(tx *postgres.Tx, limit int) (int64, error) {
			return delivery.PurgeRollups(tx, tx.Now.Add(-time.Duration(max(s.Days, rollupDays))*day), limit)
		}, &c.Rollups},
		{"calls of API keys", apikey.PurgeCalls, &c.Calls},
		{"endpoints", delivery.PurgeEndpoints, &c.Endpoints},
		{"idempotency records", idempotency.Purge, &c.Idempotency},
		{"audit rows", audit.Purge, &c.Audit},
		{"invitations", org.PurgeInvitations, &c.Invitations},
		{"sign-ins", login.Purge, &c.SignIns},
	}
	var failed []error
	for _, p := range purges {
		if err := s.repeat(ctx, p); err != nil {
			failed = append(failed, fmt.Errorf("purge %s: %w", p.name, err))
		}
	}
	return c, errors.Join(failed...)
}

// repeat runs batches until one finds nothing, or finds another process at work: that one goes on then.
func (s *Service) repeat(ctx context.Context, p purge) error {
	for limit := batch; ; {
		var n int64
		began := s.DB.Now()
		err := s.DB.InTx(ctx, func(tx *postgres.Tx) error {
			n = 0
			free, err := tx.TryLock("retention:" + p.name)
			if err != nil || !free {
				return err
			}
			n, err = p.run(tx, limit)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
		*p.sum += n
		took := s.DB.Now().Sub(began)
		limit = nextLimit(limit, took)
		if err := rest(ctx, restFor*took); err != nil {
			return err
		}
	}
}

func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// nextLimit returns the size of the batch after one of limit rows. It grows again once batches are quick, or one stall would slow the
// rest of the run down for hours.
func nextLimit(limit int, took time.Duration) int {
	switch {
	case took > patience:
		return max(limit/2, smallest)
	case took < patience/3:
		return min(2*limit, batch)
	}
	return limit
}
