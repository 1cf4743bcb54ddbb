package dashboard

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
)

// queueFresh is for how long the overview takes what the task queue said last for what it would say now. A question is not
// free there, and one to a Redis that hangs takes queuePatience.
const queueFresh = 10 * time.Second

// goneShown is for how long a worker that is no longer there is shown.
const goneShown = 10 * time.Minute

// queueMemory is what the task queue told this process last. It is safe for concurrent use.
type queueMemory struct {
	mu      sync.Mutex
	last    queueNow
	askedAt time.Time // of the latest question, answered or not
}

// queueNow is what is known of the task queue. The snapshot is shared: nobody changes it.
type queueNow struct {
	QueueSnapshot
	// gone are workers that were there a short while ago.
	gone []WorkerState
	// at is when it was like that; zero when nothing is known.
	at time.Time
	// current means that it is like that now.
	current bool
	// workerAt is when a worker was running, as far as anybody looked; zero when none was seen.
	workerAt time.Time
}

// running reports whether the worker was at work at the time.
func (w WorkerState) running(at time.Time) bool {
	return !w.Stopped && at.Sub(w.SeenAt) <= workerSilence
}

// working reports whether any worker was running when that was known.
func (n queueNow) working() bool {
	return slices.ContainsFunc(n.Workers, func(w WorkerState) bool { return w.running(n.at) })
}

// workersGone reports that no worker is there, and that it is no mere change of shifts.
func (n queueNow) workersGone(now time.Time) bool {
	return n.current && !n.working() && now.Sub(n.workerAt) > workerSilence
}

// missing are the workers that were seen a short while ago and are not among those that there are: they were stopped, or they died.
func (n queueNow) missing(there []WorkerState, now time.Time) []WorkerState {
	var gone []WorkerState
	for _, w := range slices.Concat(n.Workers, n.gone) {
		same := func(other WorkerState) bool { return other.Host == w.Host && other.Name == w.Name }
		if !w.Stopped && now.Sub(w.SeenAt) < goneShown && !slices.ContainsFunc(there, same) {
			w.Busy = 0
			gone = append(gone, w)
		}
	}
	return gone
}

// lost are the workers that are gone and that none has been started in the place of.
func (n queueNow) lost() []WorkerState {
	var lost []WorkerState
	for _, w := range n.gone {
		since := w.SeenAt.Add(-workerSilence) // the one in its place may start first
		if !w.running(n.at) && !slices.ContainsFunc(n.Workers, func(other WorkerState) bool { return other.running(n.at) && other.StartedAt.After(since) }) {
			lost = append(lost, w)
		}
	}
	return lost
}

// queueNow asks the task queue. When it does not answer, or there is none, it is what this process knew last.
func (p *page) queueNow() queueNow {
	s, ok := asked(p, func(ctx context.Context) (QueueSnapshot, error) { return p.Queue.Snapshot(ctx) })
	m := &p.remembered
	m.mu.Lock()
	defer m.mu.Unlock()
	m.askedAt, m.last.current = p.Now, ok
	if ok {
		m.last.gone = m.last.missing(s.Workers, p.Now)
		m.last.QueueSnapshot, m.last.at = s, p.Now
		if m.last.working() {
			m.last.workerAt = p.Now
		}
	}
	return m.last
}

// queueLately is queueNow for pages about something else: an answer, or its absence, holds for a while.
func (p *page) queueLately() queueNow {
	m := &p.remembered
	m.mu.Lock()
	last, age := m.last, p.Now.Sub(m.askedAt)
	m.mu.Unlock()
	if age < queueFresh {
		return last
	}
	return p.queueNow()
}

// seenParam is what a poll of a region says that the browser shows; see seenOf.
const seenParam = "seen"

// seenOf tells what a region shows from what it showed before.
func seenOf(region any) (string, error) {
	text, err := json.Marshal(region)
	if err != nil {
		return "", fmt.Errorf("sum up a region: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:12], nil
}
