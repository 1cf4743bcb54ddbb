package verification_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/event"
	"kaylehooks/internal/fixture"
	"kaylehooks/internal/id"
)

// worker runs one delivery.Deliver at a time and stops where the model wants to act.
type worker struct {
	no      int
	shard   *shard
	service *delivery.Service
	flight  *flight

	stops chan stop   // where it stopped, or that it is done
	goOn  chan answer // from the model
	free  atomic.Bool // the history is over: run to the end
	aloft bool        // there is a goroutine to wait for
	reads int         // of the clock since the claim began
	// settles is the read with which a settlement begins.
	settles int
}

// stop is where a worker waits for the model.
type stop struct {
	at    stage
	asked bool // the receiver
	err   error
}

type stage string

// The stages of a flight.
const (
	beforeCheck  stage = "the pre-send check"
	duringSend   stage = "the request"
	beforeSettle stage = "the settlement"
	landed       stage = "its end"
)

// flight is a claim under way.
type flight struct {
	delivery uuid.UUID
	endpoint *endpoint
	stage    stage
	token    uuid.UUID
	claimed  time.Time
	checked  time.Time // when the pre-send check was made and the request started
	ended    time.Time // when the request ended; zero if nothing was sent
	wires    []wire    // what URL and secrets may have been at the claim
	answer   answer
}

// now is the worker's clock. Deliver reads it for the claim, for the check, before sending, for the result and for a
// settlement, each time before it touches a row; the model gets its turn before the check and before a settlement. A 2xx
// that is not recorded with one statement has a second read for its result.
func (w *worker) now() time.Time {
	w.reads++
	switch {
	case w.reads == 2:
		w.pause(beforeCheck)
	case w.reads >= w.settles:
		w.pause(beforeSettle)
	}
	return w.shard.clock.Now()
}

// Post implements delivery.Sender.
func (w *worker) Post(_ context.Context, req egress.Request) egress.Result {
	started := w.shard.clock.Now()
	got := w.shard.post.take(req, started)
	got.flight = w.flight
	a := w.pause(duringSend)
	w.shard.post.answered(got, a)
	if a.kind == "" {
		w.settles++
	}
	return a.result(started, w.shard.clock.Now(), req.Confidential)
}

func (w *worker) pause(at stage) answer {
	if w.free.Load() {
		return refusedAnswer
	}
	w.stops <- stop{at: at}
	return <-w.goOn
}

// claim starts a delivery and waits until the worker stops.
func (w *worker) claim(ctx context.Context, d uuid.UUID) stop {
	w.reads, w.settles, w.aloft = 0, 5, true
	w.free.Store(false)
	go func() {
		var sent delivery.Sent
		err := deliverOne(ctx, w.service, id.Delivery{UUID: d}, func(s delivery.Sent) { sent = s })
		w.stops <- stop{at: landed, asked: sent.Asked, err: err}
	}()
	return w.wait()
}

func (w *worker) proceed(a answer) stop {
	w.goOn <- a
	return w.wait()
}

func (w *worker) wait() stop {
	select {
	case s := <-w.stops:
		w.aloft = s.at != landed
		return s
	case <-time.After(patience):
		w.aloft = false // it is lost; the history fails
		return stop{at: landed, err: fmt.Errorf("worker %d hangs", w.no)}
	}
}

// release lets a flight run out, whatever it comes to.
func (w *worker) release() {
	w.flight = nil
	if !w.aloft {
		return
	}
	w.free.Store(true)
	if s := w.proceed(refusedAnswer); s.at != landed {
		w.shard.t.Errorf("worker %d does not end", w.no)
	}
}

// answer is what a receiver does with a request.
type answer struct {
	name       string
	status     int
	kind       delivery.ErrorKind
	retryAfter time.Duration // 0 = none
	asDate     bool
}

// answers are those a history draws from; rapid prefers the first ones when it shortens.
var answers = []answer{
	{name: "204", status: 204},
	refusedAnswer,
	{name: "200", status: 200},
	{name: "404", status: 404, kind: delivery.HTTPStatus},
	{name: "301", status: 301, kind: delivery.RedirectRefused},
	{name: "429, retry after 2 min", status: 429, kind: delivery.HTTPStatus, retryAfter: 2 * time.Minute},
	{name: "503, retry after 2 h", status: 503, kind: delivery.HTTPStatus, retryAfter: 2 * time.Hour, asDate: true},
	{name: "no answer", kind: delivery.TimeoutResponse},
	{name: "no connection", kind: delivery.TimeoutConnect},
	{name: "broken connection", kind: delivery.Reset},
}

var refusedAnswer = answer{name: "500", status: 500, kind: delivery.HTTPStatus}

// result is the answer as the egress client reports it: no exchange takes longer than the deadline.
func (a answer) result(started, now time.Time, confidential bool) egress.Result {
	r := egress.Result{StartedAt: started, Duration: min(now.Sub(started), delivery.HTTPTimeout), StatusCode: a.status, ErrorKind: egress.ErrorKind(a.kind)}
	if a.status == 0 {
		return r
	}
	r.Header = map[string]string{}
	if a.retryAfter > 0 {
		r.RetryAfter = strconv.Itoa(int(a.retryAfter.Seconds()))
		if a.asDate {
			r.RetryAfter = now.Add(a.retryAfter).UTC().Format(http.TimeFormat)
		}
	}
	if !confidential {
		r.Header["content-type"], r.Body = "text/plain", []byte("thank you")
	}
	return r
}

// request is what a receiver got.
type request struct {
	egress.Request
	at     time.Time
	flight *flight // nil in a burst
}

// postbox is every receiver of a history.
type postbox struct {
	mu       sync.Mutex
	arrived  []*request
	accepted map[uuid.UUID]bool   // deliveries that got a 2xx
	answers  map[uuid.UUID]answer // of a burst, by delivery: a URL may change under way

	looked int                 // so many requests have been examined
	read   map[string]envelope // decrypted bodies
}

// envelope is the readable part of a payload.
type envelope struct {
	Type     string
	Metadata struct {
		EventID   string `json:"event_id"`
		SessionID string `json:"verification_session_id"`
	}
}

func newPostbox() *postbox {
	return &postbox{accepted: map[uuid.UUID]bool{}, answers: map[uuid.UUID]answer{}, read: map[string]envelope{}}
}

func (p *postbox) take(req egress.Request, at time.Time) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &request{Request: req, at: at}
	p.arrived = append(p.arrived, r)
	return r
}

func (p *postbox) answered(r *request, a answer) {
	if a.kind != "" {
		return
	}
	d, err := id.Parse[id.DeliveryKind](r.Header.Get("X-Kayle-Delivery-Id"))
	if err != nil {
		return // requests finds it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted[d.UUID] = true
}

// burst is the sender of workers that do not wait for the model.
type burst struct{ *shard }

// Post implements delivery.Sender.
func (b burst) Post(_ context.Context, req egress.Request) egress.Result {
	now := b.clock.Now()
	got := b.post.take(req, now)
	d, err := id.Parse[id.DeliveryKind](req.Header.Get("X-Kayle-Delivery-Id"))
	if err != nil {
		panic(err) // a request of no delivery: nothing can be said of it
	}
	a := b.post.answers[d.UUID]
	b.post.answered(got, a)
	return a.result(now, now, req.Confidential)
}

// decryptBelow picks the quarter of the bodies that is decrypted: a private key takes longer than all the rest.
const decryptBelow = "4"

// requests examines what arrived during the step, with the eyes of a receiver.
func (c *check) requests() {
	for _, r := range c.h.arrived[c.h.looked:] {
		c.request(r)
	}
	c.h.looked = len(c.h.arrived)
}

func (c *check) request(r *request) {
	parsed, err := id.Parse[id.DeliveryKind](r.Header.Get("X-Kayle-Delivery-Id"))
	d := c.after.byID[parsed.UUID]
	if err != nil || d == nil {
		c.problem("a request names no delivery of ours")
		return
	}
	name, to := c.h.name(c.after, d), (*endpoint)(nil)
	for _, e := range c.h.endpoints {
		if e.id.UUID == d.Endpoint {
			to = e
		}
	}
	c.wants(fingerprint(string(r.Body)) == c.h.payloads[d.ID], "%s: the body is not the payload that was stored", name)
	c.wants(r.Header.Get("Content-Type") == "application/jose" && r.Header.Get("X-Kayle-Event") == d.Type && len(r.Header) == 4, "%s: wrong headers", name)
	c.wants(r.Confidential == (d.Type == string(event.SessionSucceeded)), "%s: may keep the answer: %t", name, !r.Confidential)
	if fingerprint(string(r.Body)) < decryptBelow {
		sessionID := ""
		if d.Type != string(event.Test) {
			sessionID = id.Session{UUID: c.after.event[d.Event].Trigger}.String()
		}
		got, err := c.h.decrypt(string(r.Body))
		c.wants(err == nil && got.Type == d.Type && got.Metadata.EventID == (id.Event{UUID: d.Event}).String() && got.Metadata.SessionID == sessionID, "%s: the payload is of something else", name)
	}
	// What a worker may still rely on: what it read at the claim, if that was just now, else what is true now.
	allowed := []wire{to.former, to.wire}
	if f := r.flight; f != nil && r.at.Sub(f.claimed) < 250*time.Millisecond {
		allowed = f.wires
	} else {
		d0 := c.before.byID[d.ID]
		c.wants(c.before.live(d.Endpoint), "INV-34: %s was sent to a deleted endpoint", name)
		c.wants(c.before.sendable(d.Endpoint), "%s was sent to a disabled endpoint", name)
		c.wants(d0.Withdrawn == nil, "INV-17: %s was sent after the withdrawal", name)
	}
	if f := r.flight; f != nil {
		c.wants(!r.at.After(f.claimed.Add(delivery.Lease-delivery.HTTPTimeout)), "INV-8: %s was sent with too little lease left", name)
	}
	c.wants(slices.ContainsFunc(allowed, func(w wire) bool {
		return r.URL == w.url && r.Header.Get("X-Kayle-Signature") == w.signature(string(r.Body), r.at)
	}), "INV-29: %s has a signature or a URL that was not valid at sending", name)
}

// signature is the header by the recipe of contract section 7.4.
func (w wire) signature(body string, at time.Time) string {
	secrets := []string{w.secret}
	if w.previous != "" && w.previousUntil.After(at) {
		secrets = append(secrets, w.previous)
	}
	t := strconv.FormatInt(at.Unix(), 10)
	header := "t=" + t
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(t + "." + body))
		header += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return header
}

// decrypt opens a body, once.
func (p *postbox) decrypt(body string) (envelope, error) {
	if e, known := p.read[body]; known {
		return e, nil
	}
	var e envelope
	jwe, err := jose.ParseEncryptedCompact(body, []jose.KeyAlgorithm{jose.RSA_OAEP_256}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return e, err
	}
	plain, err := jwe.Decrypt(fixture.PrivateKey())
	if err != nil {
		return e, err
	}
	if err := json.NewDecoder(strings.NewReader(string(plain))).Decode(&e); err != nil {
		return e, err
	}
	p.read[body] = e
	return e, nil
}
