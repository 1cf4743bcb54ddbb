package batch

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Group joins concurrent calls into batches: a call that finds nothing under way leaves at once, calls that arrive
// meanwhile leave together as the next batch. One commit then serves many callers under load and none waits when idle.
type Group[In, Out any] struct {
	max   int
	flush func(ctx context.Context, batch []In) ([]Out, error)
	// Linger is how long a batch waits for more calls before it leaves, and how many calls are enough for it not to wait any longer; it
	// takes no more than are allowed. It is given the size of the batch just before it, 0 if there was none, and how many calls came
	// before that one was answered. Nil means not at all.
	Linger func(before, since int) (most time.Duration, enough int)

	mu      sync.Mutex
	waiting []call[In, Out]
	busy    bool
	enough  int           // so many calls do not wait for more
	full    chan struct{} // tells the batch that lingers that they are there
}

// NewGroup returns a group whose batches have up to most calls. flush answers each of them, in order; its error is everybody's, unless
// a call succeeds alone: then it is tried that way.
func NewGroup[In, Out any](most int, flush func(ctx context.Context, batch []In) ([]Out, error)) *Group[In, Out] {
	return &Group[In, Out]{max: most, flush: flush, enough: most, full: make(chan struct{}, 1)}
}

type call[In, Out any] struct {
	in   In
	done chan result[Out]
}

type result[Out any] struct {
	out Out
	err error
}

// flushTimeout bounds one batch; it is no single caller's context, since others wait for it too.
const flushTimeout = 20 * time.Second

// Do hands in to the next batch and waits for its result, or for ctx.
func (g *Group[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	out, err := g.DoAll(ctx, []In{in})
	if err != nil {
		var none Out
		return none, err
	}
	return out[0], nil
}

// DoAll hands ins in together and waits for their results, which are in the same order, or for ctx. With an error, which is that of any
// of them, the others' results still stand.
func (g *Group[In, Out]) DoAll(ctx context.Context, ins []In) ([]Out, error) {
	calls := make([]call[In, Out], len(ins))
	for i, in := range ins {
		calls[i] = call[In, Out]{in: in, done: make(chan result[Out], 1)}
	}
	g.mu.Lock()
	g.waiting = append(g.waiting, calls...)
	if !g.busy && len(calls) > 0 {
		g.busy = true
		go g.run()
	}
	if len(g.waiting) >= g.enough {
		select {
		case g.full <- struct{}{}:
		default:
		}
	}
	g.mu.Unlock()
	out, errs := make([]Out, len(ins)), make([]error, len(ins))
	for i, c := range calls {
		select {
		case r := <-c.done:
			out[i], errs[i] = r.out, r.err
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
	return out, errors.Join(errs...)
}

func (g *Group[In, Out]) run() {
	n, since := 0, 0
	for {
		if g.Linger != nil {
			g.linger(n, since)
		}
		g.mu.Lock()
		n = min(len(g.waiting), g.max)
		if n == 0 {
			g.busy = false
			g.mu.Unlock()
			return
		}
		batch := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		g.mu.Unlock()
		since = g.serve(batch)
	}
}

// linger waits until the time is over or there are enough.
func (g *Group[In, Out]) linger(before, since int) {
	most, enough := g.Linger(before, since)
	g.mu.Lock()
	g.enough = min(enough, g.max)
	there := len(g.waiting) >= g.enough
	select {
	case <-g.full: // of a batch that has left, perhaps
	default:
	}
	g.mu.Unlock()
	if there || most == 0 {
		return
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-g.full:
	case <-timer.C:
	}
}

// serve flushes a batch, answers it, and returns how many calls waited before. If it fails as a whole each call is tried alone, so that one
// bad row fails itself only.
func (g *Group[In, Out]) serve(batch []call[In, Out]) (since int) {
	in := make([]In, len(batch))
	for i, c := range batch {
		in[i] = c.in
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	out, err := g.flush(ctx, in)
	if err != nil && len(batch) > 1 && ctx.Err() == nil {
		for i := range batch {
			since = g.serve(batch[i : i+1])
		}
		return since
	}
	g.mu.Lock()
	since = len(g.waiting)
	g.mu.Unlock()
	for i, c := range batch {
		if err != nil {
			c.done <- result[Out]{err: err}
			continue
		}
		c.done <- result[Out]{out: out[i]}
	}
	return since
}
