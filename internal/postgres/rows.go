package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

// ExecRows runs a statement over rows handed in as one JSON parameter, for json_to_recordset($1::json), so that its text never varies
// with their number. In a transaction it waits for company: what is left this way goes to the server as one statement, before
// anything else does and at the latest before the commit, which is when an error shows. Such statements do not see each other's rows,
// but foreign keys among them hold.
func (tx *Tx) ExecRows(statement string, rows any) error {
	b, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("encode rows: %w", err)
	}
	if tx.pending == nil {
		return tx.Exec(statement, string(b)).Error
	}
	return tx.pending.add(statement, string(b))
}

// pending is the connection of a transaction with the statements that wait for company. Round trips, each with a process to wake on
// either side, cost more than most of our statements.
type pending struct {
	gorm.ConnPool
	tx         *gorm.DB // on the connection itself
	statements []string
	rows       []any
	failed     error
}

func newPending(tx *gorm.DB) *pending { return &pending{ConnPool: tx.Statement.ConnPool, tx: tx} }

// session returns tx with every statement behind those that wait.
func (p *pending) session() *gorm.DB {
	s := p.tx.Session(&gorm.Session{NewDB: true})
	s.Statement = &gorm.Statement{DB: s, ConnPool: p, Context: p.tx.Statement.Context}
	return s
}

func (p *pending) add(statement, rows string) error {
	if slices.Contains(p.statements, statement) { // it may change the same row, which one statement cannot do twice
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.statements, p.rows = append(p.statements, statement), append(p.rows, rows)
	return nil
}

// flush runs what waits.
func (p *pending) flush() error {
	statements, rows := p.statements, p.rows
	p.statements, p.rows = nil, nil
	switch {
	case p.failed != nil:
		return p.failed
	case len(statements) == 0:
		return nil
	case len(statements) == 1:
		p.failed = p.tx.Exec(statements[0], planned(statements, rows)...).Error
		return p.failed
	}
	// Postgres runs them from the last to the first.
	parts := make([]string, len(statements))
	for i, s := range statements {
		parts[len(parts)-1-i] = fmt.Sprintf("w%d AS (%s)", i+1, strings.ReplaceAll(s, "$1", fmt.Sprintf("$%d", i+1)))
	}
	p.failed = p.tx.Exec("WITH "+strings.Join(parts, ", ")+" SELECT", planned(statements, rows)...).Error
	return p.failed
}

// planned asks for a plan of its own for statements that look for rows to update.
func planned(statements []string, args []any) []any {
	if slices.ContainsFunc(statements, func(s string) bool { return strings.HasPrefix(s, "UPDATE") }) {
		return Planned(args...)
	}
	return args
}

// Planned are arguments with which Postgres plans the statement each time. A kept plan is as good as what was known of the tables when
// the connection used it first: one from the time when a table was nearly empty joins a batch of rows to it by reading an index from
// end to end, until the table is analyzed. It costs half a millisecond, so it is for batches.
func Planned(args ...any) []any {
	return append([]any{pgx.QueryExecModeCacheDescribe}, args...)
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
