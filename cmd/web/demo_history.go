package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"kaylehooks/internal/access"
	"kaylehooks/internal/apikey"
	"kaylehooks/internal/delivery"
	"kaylehooks/internal/egress"
	"kaylehooks/internal/id"
	"kaylehooks/internal/postgres"
	"kaylehooks/internal/verification"
	"kaylehooks/internal/webhook"
)

const (
	historyLength   = 7 * 24 * time.Hour
	historyStep     = 5 * time.Minute
	sessionsPerStep = 0.62 // on average, about 1,250 sessions in all
	historySeed     = 20260302
)

// history lets the demo organization live through a week in some seconds. It drives the same rooms as everything else, on
// a clock of its own, so every row in it is one that the system could have made; only the receivers are played.
type history struct {
	db         *postgres.DB
	keys       *apikey.Service
	webhooks   *webhook.Service
	deliveries *delivery.Service
	sessions   *verification.Service
	engine     access.Actor
	apiKey     string // opens the sessions
	random     *rand.Rand
	begin, end time.Time

	mu  sync.Mutex
	now time.Time
	// tries counts the requests of each delivery; play answers for an endpoint.
	tries map[string]int
	play  map[string]func(h *history, delivery string) egress.Result
	open  []openSession
}

// openSession is a session on its way to its outcome.
type openSession struct {
	verification.Session
	token string
	next  time.Time
	plan  []verification.FailureCode
	end   string
}

// Now is the history's clock.
func (h *history) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *history) set(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = now
}

// newHistory builds rooms on a pool whose clock it moves. Close its db.
func newHistory(ctx context.Context, a *app, engine access.Actor, end time.Time) (*history, error) {
	h := &history{engine: engine, begin: end.Add(-historyLength), end: end, tries: map[string]int{}, play: map[string]func(*history, string) egress.Result{}}
	h.now = h.begin
	h.random = rand.New(rand.NewPCG(historySeed, historySeed)) //nolint:gosec // the same week for everybody
	var err error
	if h.db, err = postgres.Open(ctx, postgres.Options{URL: a.cfg.DatabaseURL.Reveal(), Name: "demo history", Now: h.Now}); err != nil {
		return nil, err
	}
	h.keys = apikey.New(h.db, a.keyring)
	h.deliveries = delivery.New(delivery.Config{DB: h.db, Keyring: a.keyring, AllowPrivate: true, Worker: "demo-worker", Sender: h})
	h.webhooks = &webhook.Service{DB: h.db, Keyring: a.keyring, AllowPrivate: true, Deliveries: h.deliveries}
	h.sessions = &verification.Service{DB: h.db, Keyring: a.keyring, Deliveries: h.deliveries}
	h.deliveries.Settler = h.sessions
	return h, nil
}

// Post implements delivery.Sender by playing the receiver behind the URL.
func (h *history) Post(_ context.Context, req egress.Request) egress.Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := req.Header.Get("X-Kayle-Delivery-Id")
	h.tries[d]++
	return h.play[req.URL](h, d)
}

// answer is a played response after about the given time.
func (h *history) answer(status int, typical time.Duration) egress.Result {
	took := time.Duration(float64(typical) * (0.6 + h.random.ExpFloat64()*0.4))
	if took > delivery.HTTPTimeout-time.Second {
		took = delivery.HTTPTimeout - time.Second
	}
	connect, first := took/12, took*9/10
	r := egress.Result{
		StartedAt: h.now, Duration: took, StatusCode: status, RemoteAddress: "127.0.0.1:443",
		Timing: egress.Timing{Connect: &connect, FirstByte: &first}, Header: map[string]string{"content-type": "application/json"},
	}
	switch {
	case status >= 400:
		r.ErrorKind, r.Body = string(delivery.HTTPStatus), []byte(`{"error":"upstream_unavailable"}`)
	case status >= 300:
		r.ErrorKind = string(delivery.RedirectRefused)
	}
	return r
}

// broken is a played exchange without an answer.
func (h *history) broken(kind delivery.ErrorKind, took time.Duration) egress.Result {
	return egress.Result{StartedAt: h.now, Duration: took, ErrorKind: string(kind)}
}

// run lives through the week and reports progress between 0 and 1.
func (h *history) run(ctx context.Context, at map[time.Duration]func() error, progress func(float64)) error {
	moments := make([]time.Duration, 0, len(at))
	for since := range at {
		moments = append(moments, since)
	}
	slices.Sort(moments)
	for t := h.begin; t.Before(h.end); t = t.Add(historyStep) {
		h.set(t)
		for len(moments) > 0 && h.begin.Add(moments[0]).Compare(t) <= 0 {
			if err := at[moments[0]](); err != nil {
				return err
			}
			moments = moments[1:]
		}
		if err := h.step(ctx, t); err != nil {
			return fmt.Errorf("demo history at %s: %w", t.Format(time.RFC3339), err)
		}
		progress(float64(t.Sub(h.begin)) / float64(historyLength))
	}
	h.set(h.end)
	if err := h.keys.FlushCalls(ctx); err != nil {
		return err
	}
	return h.work(ctx)
}

func (h *history) step(ctx context.Context, t time.Time) error {
	// More people verify themselves during the day.
	load := sessionsPerStep * (0.35 + 1.3*dayShare(t))
	for load > 0 {
		if h.random.Float64() < load {
			if err := h.begins(ctx, t); err != nil {
				return err
			}
		}
		load--
	}
	still := h.open[:0]
	for _, s := range h.open {
		if s.next.After(t) {
			still = append(still, s)
			continue
		}
		again, err := h.proceeds(ctx, &s)
		if err != nil {
			return err
		}
		if again {
			still = append(still, s)
		}
	}
	h.open = still
	if _, err := h.sessions.ExpireOverdue(ctx, 100); err != nil {
		return err
	}
	if _, err := h.deliveries.SweepPayloads(ctx, 500); err != nil {
		return err
	}
	return h.work(ctx)
}

// dayShare is 0 at night and 1 in the afternoon.
func dayShare(t time.Time) float64 {
	hour := float64(t.Hour()) + float64(t.Minute())/60
	distance := min(max(hour-15, 15-hour), 24-max(hour-15, 15-hour))
	return max(0, 1-distance/9)
}

// work sends what is due by now, many at a time as a worker does. Retries that fall between two steps are sent at the
// moment they became due.
func (h *history) work(ctx context.Context) error {
	until := h.Now()
	const inFlight = 24
	for {
		sent, err := h.deliveries.DeliverDue(ctx, inFlight)
		if err != nil || sent == 0 {
			h.set(until)
			return err
		}
		// What failed for the first time is due again five seconds later, within the same step.
		h.set(h.Now().Add(delivery.RetryDelays()[0] + delivery.RingWindow))
	}
}

// begins opens a session and decides how it will end.
func (h *history) begins(ctx context.Context, t time.Time) error {
	in := verification.NewSession{}
	if h.random.Float64() < 0.4 {
		in.ShareFields = json.RawMessage(demoShareFields)
	}
	if _, err := h.keys.Authenticate(ctx, h.apiKey, apikey.Use{IP: netip.IPv6Loopback(), Route: "POST /v1/sessions"}); err != nil {
		return err
	}
	s, token, err := h.sessions.Create(ctx, h.engine, in)
	if err != nil {
		return err
	}
	planned := openSession{Session: s, token: token, next: t.Add(time.Duration(2+h.random.IntN(12)) * time.Minute)}
	codes := verification.FailureCodes()
	switch draw := h.random.Float64(); {
	case draw < 0.68:
		planned.end = "succeed"
		if h.random.Float64() < 0.2 {
			planned.plan = []verification.FailureCode{codes[h.random.IntN(5)]}
		}
	case draw < 0.82:
		code := codes[h.random.IntN(6)]
		planned.plan = []verification.FailureCode{code, code, code}
	case draw < 0.89:
		planned.end = "cancel"
	case draw < 0.92:
		planned.end, planned.plan = "redeem", []verification.FailureCode{verification.LivenessFailed}
	case draw < 0.94:
		planned.end = "withdraw"
	}
	h.open = append(h.open, planned)
	return nil
}

// proceeds takes a session one step further and reports whether there is another.
func (h *history) proceeds(ctx context.Context, s *openSession) (bool, error) {
	if len(s.plan) > 0 {
		got, err := h.sessions.ReportFailure(ctx, h.engine, s.ID, s.plan[0])
		if err != nil {
			return false, err
		}
		s.plan = s.plan[1:]
		s.next = h.Now().Add(time.Duration(1+h.random.IntN(4)) * time.Minute)
		return got.Status.Active() && (len(s.plan) > 0 || s.end != ""), nil
	}
	switch s.end {
	case "succeed", "withdraw":
		claims, selected := demoClaims(h.random, s.ShareFields)
		if _, err := h.sessions.ReportSuccess(ctx, h.engine, s.ID, claims, selected); err != nil {
			return false, err
		}
		if s.end == "withdraw" {
			return false, h.redeem(ctx, s.ID, s.token)
		}
	case "cancel":
		return false, h.sessions.Cancel(ctx, h.engine, s.ID)
	case "redeem":
		return false, h.redeem(ctx, s.ID, s.token)
	}
	return false, nil // the others are left alone until they expire
}

func (h *history) redeem(ctx context.Context, session id.Session, token string) error {
	return h.sessions.Redeem(ctx, access.Actor{Type: access.Subject}, session, token)
}
