package apikey

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"kaylehooks/internal/access"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
)

const (
	// CallDays is how many days (UTC) of calls are kept, the current one included.
	CallDays = 30
	// flushTimeout bounds what a process that stops waits for.
	flushTimeout = 5 * time.Second
)

// DayCalls is how often a key was used on a day.
type DayCalls struct {
	APIKeyID id.APIKey
	Day      time.Time // midnight UTC
	Calls    int64
}

// callDay is what is counted apart.
type callDay struct {
	organization id.Organization
	key          id.APIKey
	day          time.Time
}

// callCounter holds what this process counted and has not written yet. Nothing of it is worth a write per call: a process that is
// killed takes at most a minute of it along.
type callCounter struct {
	mu    sync.Mutex
	calls map[callDay]int64
}

func (c *callCounter) add(d callDay, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls == nil {
		c.calls = map[callDay]int64{}
	}
	c.calls[d] += n
}

func (c *callCounter) take() map[callDay]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.calls
	c.calls = nil
	return taken
}

// KeepCalls writes down what Authenticate counted, each time that the duration has passed and once more when ctx has ended. Call it
// with a ctx that outlives the requests.
func (s *Service) KeepCalls(ctx context.Context, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var ended bool
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		if err := s.FlushCalls(flushing); err != nil {
			log.ErrorContext(ctx, "calls of API keys not written", "error", err)
		}
		cancel()
		if ended {
			return
		}
	}
}

// FlushCalls writes down what Authenticate counted, in one statement. After an error it is counted still, also if the answer to a commit was
// all that was lost: those calls are counted twice. Calls of keys that are gone
// are dropped.
func (s *Service) FlushCalls(ctx context.Context) error {
	counted := s.counted.take()
	if len(counted) == 0 {
		return nil
	}
	if err := s.DB.InTx(ctx, func(tx *postgres.Tx) error { return addCalls(tx, counted) }); err != nil {
		for d, n := range counted {
			s.counted.add(d, n)
		}
		return fmt.Errorf("add calls of API keys: %w", err)
	}
	return nil
}

// addCalls locks rows in one order everywhere, so that two processes cannot wait for each other.
func addCalls(tx *postgres.Tx, counted map[callDay]int64) error {
	type row struct {
		OrganizationID uuid.UUID `json:"organization_id"`
		APIKeyID       uuid.UUID `json:"api_key_id"`
		Day            string    `json:"day"`
		Calls          int64     `json:"calls"`
	}
	rows := make([]row, 0, len(counted))
	for d, n := range counted {
		rows = append(rows, row{d.organization.UUID, d.key.UUID, d.day.Format(time.DateOnly), n})
	}
	return tx.ExecRows(`INSERT INTO api_key_calls AS c (organization_id, api_key_id, day, calls)
		SELECT k.organization_id, k.id, v.day::date, v.calls
			FROM GIVEN AS v(organization_id uuid, api_key_id uuid, day text, calls bigint)
			JOIN api_keys k ON k.organization_id = v.organization_id AND k.id = v.api_key_id
			ORDER BY k.id, v.day FOR KEY SHARE OF k
		ON CONFLICT (organization_id, day, api_key_id) DO UPDATE SET calls = c.calls + excluded.calls`, rows)
}

// Calls returns how often each of the keys was used on each of the last CallDays days, in no order; days without calls are left out, as
// are keys of other organizations. What other processes counted may be a minute behind.
func (s *Service) Calls(ctx context.Context, actor access.Actor, keys []id.APIKey) ([]DayCalls, error) {
	tx := s.DB.Reader(ctx)
	if err := actor.Require(access.APIKeysManage, tx.Now); err != nil {
		return nil, err
	}
	var days []DayCalls
	err := tx.Raw("SELECT api_key_id, day, calls FROM api_key_calls WHERE organization_id = $1 AND day >= $2 AND api_key_id = ANY($3::uuid[])",
		actor.Organization, firstDay(tx.Now), keys).Scan(&days).Error
	if err != nil {
		return nil, fmt.Errorf("read calls of API keys: %w", err)
	}
	return days, nil
}

// PurgeCalls deletes up to limit rows of days that are kept no longer and returns how many.
func PurgeCalls(tx *postgres.Tx, limit int) (int64, error) {
	res := tx.Exec(`DELETE FROM api_key_calls WHERE ctid = ANY(ARRAY(
			SELECT old.ctid FROM organizations o CROSS JOIN LATERAL (
				SELECT c.ctid FROM api_key_calls c WHERE c.organization_id = o.id AND c.day < $1 ORDER BY c.day LIMIT $2 FOR UPDATE SKIP LOCKED
			) AS old LIMIT $2))`, firstDay(tx.Now), limit)
	if res.Error != nil {
		return 0, fmt.Errorf("purge calls of API keys: %w", res.Error)
	}
	return res.RowsAffected, nil
}

// dayOf is the day (UTC) of a time.
func dayOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// firstDay is the earliest day that is kept.
func firstDay(now time.Time) time.Time { return dayOf(now).AddDate(0, 0, 1-CallDays) }
