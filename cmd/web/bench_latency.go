package main

import (
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"kaylehooks/internal/id"
)

// reported is when a session's success was due to be reported, and when the API had accepted it.
type reported struct{ due, accepted time.Time }

// openLoop reports one success per tick, whether or not earlier ones have been answered, so that a stall delays none of the
// measured starts.
func (s *site) openLoop(sessions []string, perSecond int) (map[string]reported, error) {
	times := make([]reported, len(sessions))
	var all errgroup.Group
	began := time.Now()
	for i, session := range sessions {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		if err := pause(s.ctx, time.Until(due)); err != nil {
			return nil, err
		}
		all.Go(func() error {
			err := s.succeed(session)
			times[i] = reported{due, time.Now()}
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	bySession := make(map[string]reported, len(sessions))
	for i, session := range sessions {
		bySession[session] = times[i]
	}
	return bySession, nil
}

// lags pairs reports with arrivals: from the start of the request, and from its acceptance.
func (s *site) lags(times map[string]reported) (fromRequest, fromAccept samples, err error) {
	arrived, err := s.arrivalTimes()
	if err != nil {
		return nil, nil, err
	}
	began := time.Now()
	for _, r := range times {
		if r.due.Before(began) {
			began = r.due
		}
	}
	rows, err := s.db.Query(s.ctx, `SELECT d.id::text, e.trigger_id::text FROM webhook_deliveries d JOIN events e ON e.id = d.event_id
		WHERE d.status = 'succeeded' AND e.created_at >= $1`, began)
	if err != nil {
		return nil, nil, fmt.Errorf("read deliveries: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d id.Delivery
		var v id.Session
		if err := rows.Scan(&d, &v); err != nil {
			return nil, nil, fmt.Errorf("read deliveries: %w", err)
		}
		at, came := arrived[d.String()]
		if r, ok := times[v.String()]; ok && came {
			fromRequest, fromAccept = append(fromRequest, at.Sub(r.due)), append(fromAccept, max(0, at.Sub(r.accepted)))
		}
	}
	return fromRequest, fromAccept, rows.Err()
}

// latency measures from report to arrival at 50 and 200 events per second.
func (b *bench) latency() error {
	floor, err := b.floorLatency()
	if err != nil {
		return err
	}
	b.note("L3: one post, one commit, p50", "ms", "", floor.at(0.5))
	b.note("L3: one post, one commit, p99", "ms", "", floor.at(0.99))
	for _, load := range []struct {
		perSecond       int
		ratio, p95, p99 string
	}{{perSecond: 50, ratio: "≤ 3", p99: "≤ 26"}, {perSecond: 200, p95: "≤ 25"}} {
		fromRequest, fromAccept, err := b.paced(load.perSecond)
		if err != nil {
			return err
		}
		at := fmt.Sprintf("%d/s, accepted to arrival, ", load.perSecond)
		b.note(at+"p50", "ms", "", fromAccept.at(0.5))
		b.note(at+"p50, ratio to L3", "× L3", load.ratio, fromAccept.at(0.5)/floor.at(0.5))
		b.note(at+"p95", "ms", load.p95, fromAccept.at(0.95))
		b.note(at+"p99", "ms", load.p99, fromAccept.at(0.99))
		at = fmt.Sprintf("%d/s, from the start of the request, ", load.perSecond)
		b.note(at+"p50", "ms", "", fromRequest.at(0.5))
		b.note(at+"p99", "ms", "", fromRequest.at(0.99))
	}
	return nil
}

// benchSeconds is how long an open loop runs at scale 1.
const benchSeconds = 60

func (b *bench) paced(perSecond int) (fromRequest, fromAccept samples, err error) {
	s, err := b.newSite(1)
	if err != nil {
		return nil, nil, err
	}
	defer s.close()
	if err := s.startWorker(); err != nil {
		return nil, nil, err
	}
	return s.paced(b.scaled(perSecond*benchSeconds), perSecond)
}

// paced reports n successes at a rate and returns what it took each to arrive.
func (s *site) paced(n, perSecond int) (fromRequest, fromAccept samples, err error) {
	sessions, err := s.sessions(n)
	if err != nil {
		return nil, nil, err
	}
	times, err := s.openLoop(sessions, perSecond)
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.finished(n * len(s.endpoints)); err != nil {
		return nil, nil, err
	}
	return s.lags(times)
}

// isolation compares nine endpoints' latency while a tenth answers at once and while it hangs.
func (b *bench) isolation() error {
	const perSecond, endpoints = 50, 10
	var worst [2]float64
	for i, hangs := range []bool{false, true} {
		lags, err := b.besideOne(perSecond, endpoints-1, hangs)
		if err != nil {
			return err
		}
		worst[i] = lags.at(0.99)
		name := "the tenth answers"
		if hangs {
			name = "the tenth hangs"
		}
		b.note("nine endpoints, p50, "+name, "ms", "", lags.at(0.5))
		b.note("nine endpoints, p99, "+name, "ms", "", worst[i])
	}
	b.note("p99 over 1.2 × without", "ms", "≤ 20", worst[1]-1.2*worst[0])
	return nil
}

func (b *bench) besideOne(perSecond, endpoints int, hangs bool) (samples, error) {
	s, err := b.newSite(endpoints)
	if err != nil {
		return nil, err
	}
	defer s.close()
	last := b.sinkURL + "/hook/last"
	if hangs {
		last = b.sinkURL + "/hang"
	}
	if err := s.addEndpoint(last); err != nil {
		return nil, err
	}
	if err := s.startWorker(); err != nil {
		return nil, err
	}
	n := b.scaled(perSecond * benchSeconds)
	sessions, err := s.sessions(n)
	if err != nil {
		return nil, err
	}
	times, err := s.openLoop(sessions, perSecond)
	if err != nil {
		return nil, err
	}
	for {
		var open int
		err := s.db.QueryRow(s.ctx, "SELECT count(*) FROM webhook_deliveries WHERE status IN ('pending', 'delivering') AND webhook_endpoint_id <> $1::text::uuid", s.endpoints[endpoints]).Scan(&open)
		if err != nil {
			return nil, fmt.Errorf("count open deliveries: %w", err)
		}
		if open == 0 {
			break
		}
		if err := pause(s.ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
	// Only the nine count: with an answering tenth, its arrivals are left out as well.
	if _, err := s.db.Exec(s.ctx, "UPDATE webhook_deliveries SET status = 'failed', payload = NULL, payload_expires_at = NULL, payload_scrubbed_at = now(), next_attempt_at = NULL, lease_token = NULL, lease_expires_at = NULL WHERE webhook_endpoint_id = $1::text::uuid", s.endpoints[endpoints]); err != nil {
		return nil, fmt.Errorf("set the tenth endpoint aside: %w", err)
	}
	fromRequest, _, err := s.lags(times)
	return fromRequest, err
}
