package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// benchSinkCommand is the receiver of the benchmark, as a process of its own: it answers at once and notes when what
// arrived. It does not verify, since its cost is not what is measured.
type benchSinkCommand struct{}

// arrivals is what the sink has seen since it was last asked to forget.
type arrivals struct {
	mu    sync.Mutex
	first map[string]int64 // delivery id to nanoseconds since the epoch
	again int              // requests for a delivery that had arrived before
}

// hangFor is how long the hanging endpoint takes to answer.
const hangFor = 10 * time.Second

// Run serves until a signal comes.
func (benchSinkCommand) Run(env environment) error {
	listener, err := listen(env.ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	seen := &arrivals{first: map[string]int64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hook/{endpoint}", func(_ http.ResponseWriter, r *http.Request) { seen.add(r) })
	mux.HandleFunc("POST /hang", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(hangFor):
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		_, _ = fmt.Fprint(w, len(seen.first), " ", seen.again)
	})
	mux.HandleFunc("GET /arrivals", func(w http.ResponseWriter, _ *http.Request) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		_ = json.NewEncoder(w).Encode(seen.first)
	})
	mux.HandleFunc("DELETE /arrivals", func(_ http.ResponseWriter, _ *http.Request) {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		seen.first, seen.again = map[string]int64{}, 0
	})
	_, _ = fmt.Fprintf(env.stdout, "http://%s\n", listener.Addr())
	return serve(env.ctx, listener, mux, slog.New(slog.DiscardHandler))
}

func (a *arrivals) add(r *http.Request) {
	at := time.Now().UnixNano()
	_, _ = io.Copy(io.Discard, r.Body)
	delivery := r.Header.Get("X-Kayle-Delivery-Id")
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.first[delivery]; ok {
		a.again++
		return
	}
	a.first[delivery] = at
}
