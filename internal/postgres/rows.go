package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
)

// ExecRows runs a statement over rows, a slice of structs. The statement takes them as "GIVEN AS v(id uuid, at timestamptz)", each column from
// the field with that JSON name; with several of those, rows are as many, in their order. They go to the server as one array for each column, so
// that the text never varies with their number and Postgres keeps the plan. In a
// transaction it waits for company: what is left this way goes to the server as one statement, before anything else does and at the
// latest before the commit, which is when an error shows. Such statements do not see each other's rows, but foreign keys among them hold.
func (tx *Tx) ExecRows(text string, rows ...any) error {
	s := parseStatement(text)
	args, err := s.args(rows...)
	if err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	if tx.pending == nil {
		return tx.Exec(s.text(1), args...).Error
	}
	return tx.pending.add(waiting{s, args})
}

// Start sends what waits for company to the server and does not wait until it is carried out, so that something can be done meanwhile
// that takes a processor of ours. The next statement waits for it, and the commit; an error shows then. Outside a transaction it does nothing.
func (tx *Tx) Start() {
	if tx.pending != nil {
		tx.pending.start()
	}
}

// pending is the connection of a transaction with the statements that wait for company. Round trips, each with a process to wake on
// either side, cost more than most of our statements.
type pending struct {
	gorm.ConnPool
	tx      *gorm.DB // on the connection itself
	waiting []waiting
	running chan error // gets the error of what was started; nil if nothing was
	failed  error
}

// waiting is a statement with its arguments.
type waiting struct {
	*statement
	args []any
}

func newPending(tx *gorm.DB) *pending { return &pending{ConnPool: tx.Statement.ConnPool, tx: tx} }

// session returns tx with every statement behind those that wait.
func (p *pending) session() *gorm.DB {
	s := p.tx.Session(&gorm.Session{NewDB: true})
	s.Statement = &gorm.Statement{DB: s, ConnPool: p, Context: p.tx.Statement.Context}
	return s
}

func (p *pending) add(w waiting) error {
	if slices.ContainsFunc(p.waiting, func(other waiting) bool { return other.statement == w.statement }) { // it may change the same row, which one statement cannot do twice
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.waiting = append(p.waiting, w)
	return nil
}

// flush runs what waits.
func (p *pending) flush() error {
	if p.settle() == nil && len(p.waiting) > 0 {
		text, args := p.take()
		p.failed = p.tx.Exec(text, args...).Error
	}
	return p.failed
}

// start has what waits run.
func (p *pending) start() {
	if p.settle() != nil || len(p.waiting) == 0 {
		return
	}
	text, args := p.take()
	p.running = make(chan error, 1) // nobody may come for it: a rollback waits for the statement by itself
	go func() { p.running <- p.tx.Exec(text, args...).Error }()
}

// settle waits for what was started.
func (p *pending) settle() error {
	if p.running != nil {
		p.failed = <-p.running
		p.running = nil
	}
	return p.failed
}

// take makes one statement of what waits.
func (p *pending) take() (text string, args []any) {
	waiting := p.waiting
	p.waiting = nil
	// Postgres runs them from the last to the first.
	parts := make([]string, len(waiting))
	for i, w := range waiting {
		parts[len(parts)-1-i] = fmt.Sprintf("w%d AS (%s)", i+1, w.text(len(args)+1))
		args = append(args, w.args...)
	}
	if len(waiting) == 1 {
		return waiting[0].text(1), args
	}
	return "WITH " + strings.Join(parts, ", ") + " SELECT", args
}

// AmongThese is the condition that the column has one of the values, with its argument for $1. A single value is compared as it is:
// Postgres keeps the plan of that, whereas one for a list is made anew each time, since the length of the list counts.
func AmongThese[T any](column string, values []T) (condition string, arg any) {
	if len(values) == 1 {
		return column + " = $1", values[0]
	}
	return column + " = ANY($1)", values
}

func (p *pending) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := p.flush(); err != nil {
		return nil, err
	}
	return p.ConnPool.ExecContext(ctx, query, args...)
}

func (p *pending) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := p.flush(); err != nil {
		return nil, err
	}
	return p.ConnPool.QueryContext(ctx, query, args...)
}

// QueryRowContext cannot say that what waited has failed; the transaction has failed with it, and says so.
func (p *pending) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	_ = p.flush()
	return p.ConnPool.QueryRowContext(ctx, query, args...)
}
