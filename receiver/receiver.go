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

// bodyMax is far above what a webhook can be.
const bodyMax = 4 << 20

// Options configure a Handler.
type Options struct {
	// Secrets are the signing secrets, whole, any of which may have signed: one, or two during a rotation.
	Secrets []string
	// Keys are the private keys by key id (kid). Keep old ones: what was encrypted to them may still arrive.
	Keys map[string]*rsa.PrivateKey
	// OnEvent takes an event in. It is called once per event, and again only after an error.
	OnEvent func(context.Context, Event) error
	// Store remembers what was taken in; Memory(100_000) if nil.
	Store Store
	// OnRequest is told of every request after it was judged and before it is answered, for logs. It may be nil.
	OnRequest func(Receipt)
	// Now is time.Now if nil.
	Now func() time.Time
}

// Receipt says what came of a request.
type Receipt struct {
	Header    http.Header
	Bytes     int    // of the body, which is ciphertext
	Event     *Event // nil when the request was refused
	Err       error  // one of the Err variables, or what OnEvent returned; nil if the request is good
	Duplicate bool   // the event had been taken in before
	Status    int    // of the answer
}

// Handler is the http.Handler to put behind an endpoint's URL. It is safe for concurrent use.
type Handler struct {
	onEvent   func(context.Context, Event) error
	onRequest func(Receipt)
	store     Store
	now       func() time.Time

	mu      sync.Mutex
	secrets []string
	keys    map[string]*rsa.PrivateKey
}

// New returns a handler.
func New(o Options) *Handler {
	h := &Handler{
		onEvent: o.OnEvent, onRequest: o.OnRequest, store: o.Store, now: o.Now,
		secrets: slices.Clone(o.Secrets), keys: map[string]*rsa.PrivateKey{},
	}
	maps.Copy(h.keys, o.Keys)
	if h.onEvent == nil {
		h.onEvent = func(context.Context, Event) error { return nil }
	}
	if h.onRequest == nil {
		h.onRequest = func(Receipt) {}
	}
	if h.store == nil {
		const remembered = 100_000
		h.store = Memory(remembered)
	}
	if h.now == nil {
		h.now = time.Now
	}
	return h
}

// SetSecrets replaces the signing secrets, as during a rotation.
func (h *Handler) SetSecrets(secrets ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.secrets = slices.Clone(secrets)
}

// AddKey adds a private key; the older ones stay.
func (h *Handler) AddKey(kid string, key *rsa.PrivateKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys[kid] = key
}

// ServeHTTP takes one webhook in. It answers 204 to what is good, or 200 with the code of a challenge, and with a short fixed text to what is not: personal
// data has no place in a response.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, err := ReadBody(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	receipt := Receipt{Header: r.Header.Clone(), Bytes: len(body)}
	if event, err := h.Open(r.Header, body); err != nil {
		receipt.Err = err
	} else {
		receipt.Event = &event
		receipt.Duplicate, receipt.Err = h.Take(r.Context(), event)
	}
	receipt.Status = Status(receipt.Err)
	h.onRequest(receipt)
	if receipt.Err == nil {
		WriteAccepted(w, receipt)
		return
	}
	http.Error(w, reason(receipt.Err), receipt.Status)
}

// WriteAccepted answers a webhook that was taken in: without a body, unless its sender asks for a code to be returned.
func WriteAccepted(w http.ResponseWriter, r Receipt) {
	if code := r.Event.Challenge(); code != "" && r.Status == http.StatusNoContent {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, code)
		return
	}
	w.WriteHeader(r.Status)
}

// ReadBody reads the body of a webhook.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if err != nil {
		return nil, errors.New("body too large or cut off")
	}
	return body, nil
}

// Open verifies, then decrypts, and only then parses a request: for those who serve HTTP by other means than Handler. Its
// error is one of the Err variables.
func (h *Handler) Open(header http.Header, body []byte) (Event, error) {
	h.mu.Lock()
	secrets := h.secrets
	h.mu.Unlock()
	now := h.now()
	secret, err := verify(header.Get("X-Kayle-Signature"), body, secrets, now)
	if err != nil {
		return Event{}, err
	}
	plaintext, kid, err := decrypt(body, h.key)
	if err != nil {
		return Event{}, err
	}
	event, err := parseEvent(plaintext)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	event.DeliveryID, event.TypeHint = header.Get("X-Kayle-Delivery-Id"), header.Get("X-Kayle-Event")
	event.KeyID, event.Secret, event.ReceivedAt = kid, secret, now
	return event, nil
}

// Take hands an opened event to OnEvent unless it was taken in before.
func (h *Handler) Take(ctx context.Context, e Event) (duplicate bool, err error) {
	return h.store.Once(ctx, e.ID, func(ctx context.Context) error { return h.onEvent(ctx, e) })
}

func (h *Handler) key(kid string) *rsa.PrivateKey {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.keys[kid]
}

// Status is the HTTP status with which to answer what Open or Take returned.
func Status(err error) int {
	switch {
	case err == nil:
		return http.StatusNoContent
	case errors.Is(err, ErrSignature), errors.Is(err, ErrTimestamp):
		return http.StatusUnauthorized
	case isRefusal(err):
		return http.StatusUnprocessableEntity
	}
	return http.StatusInternalServerError // OnEvent or the Store failed: the sender is to try again
}

// reason is what may be said of an error to the sender.
func reason(err error) string {
	if isRefusal(err) {
		return err.Error()
	}
	return "not taken in, try again"
}

func isRefusal(err error) bool {
	return slices.ContainsFunc([]error{ErrSignature, ErrTimestamp, ErrUnknownKey, ErrDecrypt, ErrPayload},
		func(refusal error) bool { return errors.Is(err, refusal) })
}
