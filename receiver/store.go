package receiver

import (
	"context"
	"sync"
)

// Store remembers which events were taken in, so that repeats are dropped.
type Store interface {
	// Once calls take unless the event was taken in before, and then reports a duplicate. The event counts as taken in
	// when take has returned nil, not earlier. While a take of the same event runs, another Once waits for its outcome.
	//
	// Over a database this is one transaction: insert the id, whose column is unique; call take with a context that
	// carries the transaction, so that it writes its work there; commit. The second insert waits for the first.
	Once(ctx context.Context, eventID string, take func(context.Context) error) (duplicate bool, err error)
}

// Memory returns a Store that remembers the latest events in this process, up to the limit, and forgets at its end.
func Memory(limit int) Store {
	return &memory{limit: max(limit, 1), known: map[string]*taking{}}
}

type memory struct {
	limit int

	mu    sync.Mutex
	known map[string]*taking
	order []string // of what was taken in, oldest first
}

// taking is an event that is being, or was, taken in.
type taking struct {
	done chan struct{} // closed at the end
	ok   bool          // read after done
}

// Once implements Store.
func (m *memory) Once(ctx context.Context, eventID string, take func(context.Context) error) (bool, error) {
	for {
		m.mu.Lock()
		other, known := m.known[eventID]
		if !known {
			mine := &taking{done: make(chan struct{})}
			m.known[eventID] = mine
			m.mu.Unlock()
			return false, m.run(ctx, eventID, mine, take)
		}
		m.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if other.ok {
			return true, nil
		}
	}
}

// run calls take and keeps its outcome, also when take panics.
func (m *memory) run(ctx context.Context, eventID string, mine *taking, take func(context.Context) error) (err error) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !mine.ok {
			delete(m.known, eventID)
		} else if m.order = append(m.order, eventID); len(m.order) > m.limit {
			delete(m.known, m.order[0])
			m.order = m.order[1:]
		}
		close(mine.done)
	}()
	err = take(ctx)
	mine.ok = err == nil
	return err
}
