package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kaylehooks/internal/postgres"
	"kaylehooks/internal/retention"
)

// retention compares the latency at half the rate that this machine reaches while a month of deliveries is stored, and while it is
// being deleted.
func (b *bench) retention() error {
	rows := b.Rows[0]
	database, err := b.storedOnce(rows, 1)
	if err != nil {
		return err
	}
	s, err := b.copySite(database)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.startWorker(); err != nil {
		return err
	}
	n := b.scaled(5_000)
	sessions, err := s.sessions(n)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.succeedAll(sessions); err != nil {
		return err
	}
	half := max(1, int(float64(n)/time.Since(began).Seconds()/2))
	if _, err := s.finished(n); err != nil {
		return err
	}
	b.note("half rate", "/s", "", float64(half))
	const seconds = 20
	quiet, err := s.pacedAfresh(b.scaled(half*seconds), half)
	if err != nil {
		return err
	}
	stop, err := s.deleteOld()
	if err != nil {
		return err
	}
	busy, err := s.pacedAfresh(b.scaled(half*seconds), half)
	deleted, perSecond, stopped := stop()
	if err := errors.Join(err, stopped); err != nil {
		return err
	}
	at := fmt.Sprintf("%d stored, request to arrival, ", rows)
	b.note(at+"p50", "ms", "", quiet.at(0.5))
	b.note(at+"p50, while they are deleted", "ms", "", busy.at(0.5))
	b.note(at+"p99", "ms", "", quiet.at(0.99))
	b.note(at+"p99, while they are deleted", "ms", "", busy.at(0.99))
	b.note("p99, with and without", "×", "≤ 1.2", busy.at(0.99)/quiet.at(0.99))
	b.note("events deleted", "/s", "", perSecond)
	if deleted == 0 {
		return errors.New("nothing was deleted meanwhile")
	}
	return nil
}

// pacedAfresh is paced, from the start of the request, for a site that has seen arrivals before.
func (s *site) pacedAfresh(n, perSecond int) (samples, error) {
	if err := s.forget(); err != nil {
		return nil, err
	}
	fromRequest, _, err := s.paced(n, perSecond)
	return fromRequest, err
}

// deleteOld runs the sweep of retention on everything but the last day, in this process, until stop or until nothing is left. It returns
// when the first batch is gone.
func (s *site) deleteOld() (stop func() (deleted int64, perSecond float64, err error), err error) {
	db, err := postgres.Open(s.ctx, postgres.Options{URL: s.db.Config().ConnString(), MaxConns: 2, Name: "bench retention"})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	oldest := func() (at time.Time, err error) {
		err = s.db.QueryRow(s.ctx, "SELECT COALESCE(min(created_at), now()) FROM events WHERE organization_id = (SELECT id FROM organizations)").Scan(&at)
		return at, err
	}
	first, err := oldest()
	if err != nil {
		return nil, fmt.Errorf("look for the oldest event: %w", err)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	type outcome struct {
		counts retention.Counts
		took   time.Duration
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		began := time.Now()
		counts, err := (&retention.Service{DB: db, Days: 1}).Run(ctx)
		done <- outcome{counts, time.Since(began), err}
	}()
	for now := first; err == nil && now.Equal(first) && len(done) == 0; {
		if err = pause(s.ctx, time.Millisecond); err == nil {
			now, err = oldest()
		}
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return func() (int64, float64, error) {
		cancel()
		o := <-done
		db.Close()
		if errors.Is(o.err, context.Canceled) {
			o.err = nil
		}
		return o.counts.Events, float64(o.counts.Events) / o.took.Seconds(), o.err
	}, nil
}
