package receiver

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	bodyMax = 4 << 20
	seenMax = 100_000 // event ids remembered to drop repeats
)

// Options configure a Receiver. Secrets and Keys can be changed later.
type Options struct {
	Secrets   []string                   // signing secrets, any of which may have signed
	Keys      map[string]*rsa.PrivateKey // by kid
	Behave    Behaviour                  // answer 200 at once if nil
	OnEvent   func(Event)                // called once per event that is taken in, before it is answered
	OnRequest func(Receipt)              // called for every request, after OnEvent and before it is answered
	Now       func() time.Time           // time.Now if nil
}

// Behaviour decides how a request is answered; n counts all requests from 1. It is asked before anything is verified,
// and what it says wins over the outcome of that, so that a test can have a good request refused.
type Behaviour func(r *http.Request, n int) Answer

// Answer is how to answer a request. The zero value is to behave well: 200, or an error for a request that is refused.
type Answer struct {
	Status int           // 0: by the outcome. Only with 0 or 2xx is the event taken in
	Delay  time.Duration // before answering; cut short when the sender hangs up
	Header http.Header
	Body   string
	HangUp bool // close the connection instead of answering; the event is not taken in
}

// Receipt says what came of a request.
type Receipt struct {
	N         int
	Header    http.Header
	Body      string // as received: the JWE
	Err       error  // one of the Err variables, nil if the request is good
	Event     *Event // nil if Err is not
	Duplicate bool   // the event had been taken in before
	Status    int    // of the answer; 0 for HangUp
}

// Receiver is an http.Handler. It is safe for concurrent use.
type Receiver struct {
	onEvent   func(Event)
	onRequest func(Receipt)
	now       func() time.Time

	mu      sync.Mutex
	behave  Behaviour
	secrets []string
	keys    map[string]*rsa.PrivateKey
	seen    map[string]bool
	order   []string // of seen, oldest first
	n       int
}

// New returns a receiver.
func New(o Options) *Receiver {
	r := &Receiver{
		onEvent: o.OnEvent, onRequest: o.OnRequest, now: o.Now, behave: o.Behave,
		secrets: slices.Clone(o.Secrets), keys: maps.Clone(o.Keys), seen: map[string]bool{},
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.keys == nil {
		r.keys = map[string]*rsa.PrivateKey{}
	}
	return r
}

// SetSecrets replaces the signing secrets.
func (r *Receiver) SetSecrets(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = slices.Clone(secrets)
}

// AddKey adds a private key. Older ones stay: what was encrypted to them may still arrive.
func (r *Receiver) AddKey(kid string, key *rsa.PrivateKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys[kid] = key
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

// ServeHTTP takes one webhook in.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	n, behave := r.arrive()
	var answer Answer
	if behave != nil {
		answer = behave(req, n)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, bodyMax))
	if err != nil {
		http.Error(w, "body too large or cut off", http.StatusBadRequest)
		return
	}
	receipt := Receipt{N: n, Header: req.Header.Clone(), Body: string(body)}
	receipt.Event, receipt.Err = r.open(req.Header, body)
	if receipt.Status = answer.Status; receipt.Status == 0 {
		receipt.Status = statusOf(receipt.Err)
	}
	if answer.HangUp {
		receipt.Status = 0
	}
	if receipt.Event != nil {
		receipt.Duplicate = r.take(*receipt.Event, receipt.Status/100 == 2)
	}
	if r.onRequest != nil {
		r.onRequest(receipt)
	}
	wait(req.Context(), answer.Delay)
	reply(w, receipt, answer)
}

func (r *Receiver) arrive() (int, Behaviour) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	return r.n, r.behave
}

// open verifies, then decrypts, and only then parses.
func (r *Receiver) open(h http.Header, body []byte) (*Event, error) {
	r.mu.Lock()
	secrets := r.secrets
	r.mu.Unlock()
	now := r.now()
	secret, err := verify(h.Get("X-Kayle-Signature"), body, secrets, now)
	if err != nil {
		return nil, err
	}
	plaintext, kid, err := decrypt(body, r.key)
	if err != nil {
		return nil, err
	}
	event, err := parseEvent(plaintext)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	event.DeliveryID, event.TypeHint = h.Get("X-Kayle-Delivery-Id"), h.Get("X-Kayle-Event")
	event.KeyID, event.Secret, event.ReceivedAt = kid, secret, now
	return &event, nil
}

func (r *Receiver) key(kid string) *rsa.PrivateKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys[kid]
}

// take hands a new event on if it is to be accepted, and reports whether it had been before.
func (r *Receiver) take(e Event, accept bool) (duplicate bool) {
	r.mu.Lock()
	duplicate = r.seen[e.ID]
	fresh := accept && !duplicate
	if fresh {
		r.seen[e.ID] = true
		if r.order = append(r.order, e.ID); len(r.order) > seenMax {
			delete(r.seen, r.order[0])
			r.order = r.order[1:]
		}
	}
	r.mu.Unlock()
	if fresh && r.onEvent != nil {
		r.onEvent(e)
	}
	return duplicate
}

func statusOf(err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, ErrSignature), errors.Is(err, ErrTimestamp):
		return http.StatusUnauthorized
	}
	return http.StatusUnprocessableEntity
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

// reply answers with a fixed text by default: personal data has no place in a response.
func reply(w http.ResponseWriter, receipt Receipt, answer Answer) {
	if answer.HangUp {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(receipt.Status)
	text := answer.Body
	if text == "" {
		if text = "ok\n"; receipt.Err != nil {
			text = receipt.Err.Error() + "\n"
		}
	}
	if receipt.Status != http.StatusNoContent && receipt.Status != http.StatusNotModified {
		_, _ = io.WriteString(w, text)
	}
}
