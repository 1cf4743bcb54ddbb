package verification_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"pgregory.net/rapid"

	"kaylehooks/internal/postgres"
)

// gates are what racing operations queue behind: the test holds all of it until both of them wait, or are done. The empty
// one is the lock on the organization's endpoints.
var gates = []struct{ name, sql string }{
	{"session", "SELECT 1 FROM verification_sessions WHERE organization_id = $1 FOR UPDATE"},
	{"delivery", "SELECT 1 FROM webhook_deliveries WHERE organization_id = $1 FOR UPDATE"},
	{"endpoint", ""},
}

// racers are the names of the choices that may race.
var racers = func() (names []string) {
	for _, c := range choices {
		if c.races {
			names = append(names, c.name)
		}
	}
	return names
}()

// anyRacer draws one of the operations that may race.
func (h *history) anyRacer() (op, bool) {
	drawn := rapid.SampledFrom(racers).Draw(h.t, "operation")
	i := slices.IndexFunc(choices, func(c choice) bool { return c.name == drawn })
	return choices[i].draw(h)
}

// race lets two operations wait for the same lock, in this order, and then go.
func (h *history) race(first, second draw) {
	clear(h.engaged)
	gate := pick(h, "gate", gates)
	var ops []op
	for _, d := range []draw{first, second} {
		o, ok := d(h)
		if !ok {
			clear(h.engaged)
			h.t.Skip("nothing to do it to")
		}
		ops = append(ops, o)
	}
	h.prepare()
	errs := h.behind(gate.sql, ops)
	for i, o := range ops {
		if errs[i] == nil && o.apply != nil {
			o.apply()
		}
	}
	h.note(fmt.Sprintf("behind the %s lock: %s, and %s", gate.name, ops[0].text, ops[1].text), errs...)
	h.judge(h.compare(), errs...)
}

// behind starts the operations one after the other while it holds the lock, and returns what they returned.
func (h *history) behind(lock string, ops []op) []error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.shard.t.Context()), patience)
	defer cancel()
	held, released, gone := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	release := sync.OnceFunc(func() { close(released) })
	defer release()
	go func() {
		gone <- h.db.InTx(ctx, func(tx *postgres.Tx) (err error) {
			if lock == "" {
				err = tx.LockOrganization(h.org)
			} else {
				err = tx.Exec(lock, h.org).Error
			}
			close(held)
			<-released
			return err
		})
	}()
	<-held
	errs, done := make([]error, len(ops)), make(chan int, len(ops))
	finished := 0
	for i, o := range ops {
		go func() { errs[i] = o.do(); done <- i }()
		for finished+h.waiting() <= i && ctx.Err() == nil {
			select {
			case <-done:
				finished++
			case <-time.After(100 * time.Microsecond):
			}
		}
	}
	stuck := ctx.Err()
	release()
	for ; finished < len(ops); finished++ {
		<-done
	}
	if err := cmp.Or(<-gone, stuck); err != nil {
		h.t.Fatalf("hold the lock: %v", err)
	}
	return errs
}

// waiting counts the sessions of the database that wait for a lock.
func (h *history) waiting() int {
	var n int
	err := h.rows.QueryRow(context.WithoutCancel(h.shard.t.Context()), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n)
	if err != nil {
		h.t.Fatalf("count waiting sessions: %v", err)
	}
	return n
}
