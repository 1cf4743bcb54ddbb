package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// samples are durations of one kind.
type samples []time.Duration

// at returns the quantile in milliseconds.
func (s samples) at(quantile float64) float64 {
	if len(s) == 0 {
		return 0
	}
	slices.Sort(s)
	return float64(s[min(len(s)-1, int(quantile*float64(len(s))))].Microseconds()) / 1000
}

// usage is what the processes have used so far.
type usage struct {
	cpu map[string]float64 // seconds by process
	wal float64            // bytes written to the log of Postgres
}

// use reads what the processes of the site have used since they started.
func (s *site) use() (usage, error) {
	u := usage{cpu: map[string]float64{}}
	pids := map[string]int{"Postgres": s.stack.PostgresPID(), "Redis": s.stack.RedisPID(), "sink": s.sink.cmd.Process.Pid, "web": s.web.cmd.Process.Pid, "load": os.Getpid()}
	if s.worker != nil {
		pids["worker"] = s.worker.cmd.Process.Pid
	}
	for name, pid := range pids {
		ticks, err := treeTicks(pid)
		if err != nil {
			return u, err
		}
		const ticksPerSecond = 100 // USER_HZ, the same on every Linux that Go runs on
		u.cpu[name] = float64(ticks) / ticksPerSecond
	}
	err := s.admin.QueryRow(s.ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8").Scan(&u.wal)
	if err != nil {
		return u, fmt.Errorf("read position of the log: %w", err)
	}
	return u, nil
}

// treeTicks adds up the processor time of a process, of its children, and of children that it has buried.
func treeTicks(pid int) (int, error) {
	const utime, stime, cutime, cstime, ppid = 11, 12, 13, 14, 1 // fields of proc(5) stat after the name
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	total := 0
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		self, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
		number := func(i int) int {
			n, _ := strconv.Atoi(fields[i])
			return n
		}
		switch pid {
		case self:
			total += number(utime) + number(stime)
			if pid != os.Getpid() { // our own buried children are the measured ones
				total += number(cutime) + number(cstime)
			}
		case number(ppid):
			if pid != os.Getpid() {
				total += number(utime) + number(stime)
			}
		}
	}
	return total, nil
}

// peakMemory is the most memory that the process has held at once, in MB.
func peakMemory(p *benchProcess) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read memory of %s: %w", p.name, err)
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			const kilo = 1024
			return kilobytes / kilo, err
		}
	}
	return 0, fmt.Errorf("no memory figure of %s", p.name)
}

// noteCost keeps what n deliveries cost between two readings.
func (b *bench) noteCost(s *site, n int, before, after usage) error {
	const unit = 10_000
	per := unit / float64(n)
	all := 0.0
	for _, name := range []string{"web", "worker", "Postgres", "Redis", "sink", "load"} {
		used := (after.cpu[name] - before.cpu[name]) * per
		all += used
		b.note("CPU per 10,000 deliveries, "+name, "s", "", used)
	}
	b.note("CPU per 10,000 deliveries, all", "s", "≤ 9", all)
	b.note("log of Postgres per delivery", "bytes", "", (after.wal-before.wal)/float64(n))
	for _, p := range []*benchProcess{s.web, s.worker} {
		peak, err := peakMemory(p)
		if err != nil {
			return err
		}
		b.note("peak memory, "+p.name, "MB", "≤ 150", peak)
	}
	return nil
}

// finished waits until n deliveries have arrived and every delivery has reached its end, and checks that nothing is missing.
// It returns when the last one arrived and was recorded.
func (s *site) finished(n int) (time.Time, error) {
	for seen := -1; seen < n; {
		first, _, err := s.arrived()
		if err != nil {
			return time.Time{}, err
		}
		if seen = first; seen < n {
			if err := pause(s.ctx, 10*time.Millisecond); err != nil {
				return time.Time{}, err
			}
		}
	}
	if err := s.settled(s.endpoints); err != nil {
		return time.Time{}, err
	}
	done := time.Now()
	var wrong int // those that the growth scenario stored as failed have lost their payload to age
	err := s.db.QueryRow(s.ctx, `SELECT count(*) FROM webhook_deliveries
		WHERE payload IS NOT NULL OR status <> 'succeeded' AND payload_retention_reason <> 'expired'`).Scan(&wrong)
	switch {
	case err != nil:
		return done, fmt.Errorf("check the deliveries: %w", err)
	case wrong > 0:
		return done, fmt.Errorf("%d deliveries did not succeed, or kept their payload", wrong)
	}
	return done, nil
}

// settled waits until every delivery to the endpoints has reached its end.
func (s *site) settled(endpoints []string) error {
	for {
		var open bool
		if err := s.db.QueryRow(s.ctx, `SELECT EXISTS (SELECT FROM webhook_deliveries WHERE status = 'pending' AND webhook_endpoint_id = ANY($1::uuid[]))
			OR EXISTS (SELECT FROM webhook_deliveries WHERE status = 'delivering' AND webhook_endpoint_id = ANY($1::uuid[]))`, endpoints).Scan(&open); err != nil {
			return fmt.Errorf("look for open deliveries: %w", err)
		}
		if !open {
			return nil
		}
		if err := pause(s.ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// arrivalTimes returns when each delivery arrived first.
func (s *site) arrivalTimes() (map[string]time.Time, error) {
	raw, err := s.askSink(http.MethodGet, "/arrivals")
	if err != nil {
		return nil, err
	}
	var nanos map[string]int64
	if err := json.Unmarshal(raw, &nanos); err != nil {
		return nil, fmt.Errorf("read arrivals: %w", err)
	}
	times := make(map[string]time.Time, len(nanos))
	for delivery, at := range nanos {
		times[delivery] = time.Unix(0, at)
	}
	return times, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
