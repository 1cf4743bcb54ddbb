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
	// Linger is how long a batch waits for more calls before it leaves, given the size of the one just before it, 0 if there was none;
	// nil means not at all.
	Linger func(before int) time.Duration
	// Parallel is how many batches may be under way at once; 0 means one.
	Parallel int

	mu        sync.Mutex
	waiting   []call[In, Out]
	gathering bool
	underway  int
	before    int // size of the last batch
}

// NewGroup returns a group whose batches have up to most calls. flush answers each of them, in order; its error is everybody's, unless
// a call succeeds alone: then it is tried that way.
func NewGroup[In, Out any](most int, flush func(ctx context.Context, batch []In) ([]Out, error)) *Group[In, Out] {
	return &Group[In, Out]{max: most, flush: flush}
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
	if len(calls) > 0 && g.mayGather() {
		g.gathering = true
		go g.gather()
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

func (g *Group[In, Out]) mayGather() bool { return !g.gathering && g.underway < max(1, g.Parallel) }

// gather sends batches until nothing waits, or somebody else gathers.
func (g *Group[In, Out]) gather() {
	for {
		if g.Linger != nil {
			g.mu.Lock()
			before := g.before
			g.mu.Unlock()
			time.Sleep(g.Linger(before))
		}
		batch := g.next()
		if batch == nil {
			return
		}
		g.serve(batch)
		if !g.done() {
			return
		}
	}
}

// next takes a batch from those that wait, and has the one after it gathered meanwhile if it may be.
func (g *Group[In, Out]) next() []call[In, Out] {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gathering = false
	n := min(len(g.waiting), g.max)
	if n == 0 {
		if g.underway == 0 {
			g.before = 0
		}
		return nil
	}
	batch := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	g.before = n
	g.underway++
	if len(g.waiting) > 0 && g.mayGather() {
		g.gathering = true
		go g.gather()
	}
	return batch
}

// done reports whether the caller, whose batch was served, is to gather the next one.
func (g *Group[In, Out]) done() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underway--
	if g.gathering {
		return false
	}
	g.gathering = true
	return true
}

// serve flushes a batch. If it fails as a whole each call is tried alone, so that one bad row fails itself only.
func (g *Group[In, Out]) serve(batch []call[In, Out]) {
	in := make([]In, len(batch))
	for i, c := range batch {
		in[i] = c.in
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	out, err := g.flush(ctx, in)
	if err != nil && len(batch) > 1 && ctx.Err() == nil {
		for i := range batch {
			g.serve(batch[i : i+1])
		}
		return
	}
	for i, c := range batch {
		if err != nil {
			c.done <- result[Out]{err: err}
			continue
		}
		c.done <- result[Out]{out: out[i]}
	}
}
