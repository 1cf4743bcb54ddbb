package badreceiver

import (
	"context"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"kaylehooks/receiver"
)

// Options configure a Receiver: those of the public one, and how to misbehave.
type Options struct {
	receiver.Options
	Behave Behaviour // well, if nil
}

// Behaviour decides how a request is answered; n counts all requests from 1. What it says wins over the outcome of
// verifying, so that a test can have a good request refused.
type Behaviour func(r *http.Request, n int) Answer

// Answer is how to answer a request. The zero value is to behave well.
type Answer struct {
	Status int           // 0: by the outcome. Only with 0 or 2xx is the event taken in
	Delay  time.Duration // before answering; cut short when the sender hangs up
	Header http.Header
	Body   string
	HangUp bool // close the connection instead of answering; the event is not taken in
}

// Receiver is an http.Handler. It is safe for concurrent use.
type Receiver struct {
	*receiver.Handler
	onRequest func(receiver.Receipt)

	mu     sync.Mutex
	behave Behaviour
	n      int
}

// New returns a receiver.
func New(o Options) *Receiver {
	return &Receiver{Handler: receiver.New(o.Options), onRequest: o.OnRequest, behave: o.Behave}
}

// SetBehaviour replaces the behaviour; nil is to behave well.
func (r *Receiver) SetBehaviour(b Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behave = b
}

// Requests returns how many requests have come in.
func (r *Receiver) Requests() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

// ServeHTTP takes a webhook in as the public receiver does, and answers as the behaviour says.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost { // somebody who looks whether there is anybody
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	n, behave := r.arrive()
	var answer Answer
	if behave != nil {
		answer = behave(req, n)
	}
	body, err := receiver.ReadBody(w, req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	receipt := receiver.Receipt{Header: req.Header.Clone(), Bytes: len(body)}
	if event, err := r.Open(req.Header, body); err != nil {
		receipt.Err = err
	} else {
		receipt.Event = &event
		if answer.Status/100 == 2 || answer.Status == 0 && !answer.HangUp {
			receipt.Duplicate, receipt.Err = r.Take(req.Context(), event)
		}
	}
	if receipt.Status = answer.Status; receipt.Status == 0 {
		receipt.Status = receiver.Status(receipt.Err)
	}
	if r.onRequest != nil {
		r.onRequest(receipt)
	}
	wait(req.Context(), answer.Delay)
	if answer.HangUp {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header)
	if answer.Status == 0 && receipt.Err == nil {
		receiver.WriteAccepted(w, receipt)
		return
	}
	w.WriteHeader(receipt.Status)
	if receipt.Status != http.StatusNoContent && receipt.Status != http.StatusNotModified {
		_, _ = io.WriteString(w, answer.Body)
	}
}

func (r *Receiver) arrive() (int, Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	return r.n, r.behave
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
