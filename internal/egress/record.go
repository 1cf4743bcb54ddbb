package egress

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync"
	"time"
)

// Timing says how long the phases of a request took. A phase is nil when it was not reached, or when a kept-alive
// connection or an address in the URL made it unnecessary. A phase that failed has the time until it did.
type Timing struct {
	DNS       *time.Duration
	Connect   *time.Duration // TCP, over all addresses tried
	TLS       *time.Duration
	FirstByte *time.Duration // from the connection being ready to the first byte of the response
}

// phase is how far a new connection has come.
type phase int

const (
	nothing    phase = iota
	resolving        // waiting for DNS
	refused          // an address was not permitted
	connecting       // waiting for TCP
	securing         // waiting for TLS
	ready            // the dial is done
	sending          // a connection is in use, new or kept alive
)

// recorder notes what happens to one request. The transport calls it from several goroutines, some of which go on
// after the request has ended: finish closes it, and whatever is reported later is dropped.
type recorder struct {
	now     func() time.Time
	started time.Time
	ctx     context.Context //nolint:containedctx // the dial needs the request's deadline, see dialPlain

	mu     sync.Mutex
	closed bool
	phase  phase
	since  time.Time // when the phase began
	timing Timing
	remote string
}

type recorderKey struct{}

// attach returns ctx with the recorder and its trace hooks. Deadline and cancellation are those of ctx.
func (r *recorder) attach(ctx context.Context) context.Context {
	r.ctx = ctx
	return httptrace.WithClientTrace(context.WithValue(ctx, recorderKey{}, r), &httptrace.ClientTrace{
		GetConn:              r.getConn,
		GotConn:              r.gotConn,
		GotFirstResponseByte: r.gotFirstByte,
	})
}

func recorderOf(ctx context.Context) *recorder {
	r, _ := ctx.Value(recorderKey{}).(*recorder)
	return r
}

// begin ends the current phase and starts the next one.
func (r *recorder) begin(p phase) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enter(p)
}

func (r *recorder) enter(p phase) {
	if r.closed || r.phase == sending { // the dial lost to a kept-alive connection
		return
	}
	now := r.now()
	r.settle(now)
	r.phase, r.since = p, now
}

// settle writes down how long the current phase has taken until now.
func (r *recorder) settle(now time.Time) {
	took := now.Sub(r.since)
	switch r.phase {
	case resolving:
		r.timing.DNS = &took
	case connecting:
		r.timing.Connect = &took
	case securing:
		r.timing.TLS = &took
	case nothing, refused, ready, sending:
	}
}

func (r *recorder) connected(addr net.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && r.phase != sending {
		r.remote = addr.String()
	}
	r.enter(ready)
}

// getConn is called first, and again when a kept-alive connection turned out to be dead before anything was written.
func (r *recorder) getConn(string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.phase, r.timing, r.remote = nothing, Timing{}, ""
	}
}

func (r *recorder) gotConn(info httptrace.GotConnInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	if info.Reused { // whatever a dial of ours has done meanwhile does not belong to this connection
		r.timing, r.phase = Timing{}, nothing
	}
	r.enter(sending)
	r.remote = info.Conn.RemoteAddr().String()
	r.since = r.now()
}

func (r *recorder) gotFirstByte() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && r.phase == sending && r.timing.FirstByte == nil {
		took := r.now().Sub(r.since)
		r.timing.FirstByte = &took
	}
}

// finish closes the recorder and copies what it knows into the result.
func (r *recorder) finish(result *Result) (phase, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	now := r.now()
	r.settle(now)
	result.Timing, result.RemoteAddress = r.timing, r.remote
	return r.phase, now
}
